"""Colours, markers and axes that the figures of trainings share."""

from __future__ import annotations

from typing import Any

__all__ = ["COLOURS", "MARKERS", "STYLES", "tidy"]

#: Okabe and Ito's colours, and a marker for every branch.
STYLES = (("#0072B2", "o"), ("#D55E00", "s"), ("#009E73", "x"))
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = "os^Dv*"


def tidy(axes: Any) -> None:
    """Take away the upper and the right frame and draw a light grid.

    >>> from matplotlib.figure import Figure
    >>> axes = Figure().add_subplot()
    >>> tidy(axes)
    >>> axes.spines["top"].get_visible(), axes.spines["left"].get_visible()
    (False, True)
    """
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#e3e6ea", linewidth=0.6)
