"""The two-group problem under one's hands: sliders beside the optimum and the phase map, in a browser or a notebook.

:class:`State` is where the sliders stand and :func:`view_of` what is shown there, with NumPy and SciPy alone; the page
itself, :func:`app` and :func:`serve`, is made with panel, ``pip install 'ufm[explore]'``.
"""

from __future__ import annotations

from ufm.explorer.maps import PhaseMap, phase_map
from ufm.explorer.networks import StoredNetworks, stored_networks
from ufm.explorer.page import app, serve
from ufm.explorer.state import RANGES, State
from ufm.explorer.view import View, view_of

__all__ = [
    "RANGES",
    "PhaseMap",
    "State",
    "StoredNetworks",
    "View",
    "app",
    "phase_map",
    "serve",
    "stored_networks",
    "view_of",
]
