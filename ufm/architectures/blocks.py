"""What lies between the features and the classifier: ``Z = W T H``, T made of maps A_1, ..., A_L by one of four kinds.

============  ==========================================================  ==================
kind          T                                                           of one spectrum a
============  ==========================================================  ==================
``deq``       ``(I - A)^{-1}``, the fixed point of ``z = A z + h``        ``1/(1 - a)``
``residual``  ``(I + A_L) ... (I + A_1)``                                 ``(1 + a)^L``
``unrolled``  ``T_0 = I``, ``T_l = I + A_l T_{l-1}``: ``z = A_l z + h``   ``1 + a + ... + a^L``
``ode``       ``exp(A)``, the flow of ``dz/dt = A z`` until time 1        ``e^a``
============  ==========================================================  ==================
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["KINDS", "Kind", "transfer", "transfer_gradients"]

Array = NDArray[np.float64]

Kind = Literal["deq", "residual", "unrolled", "ode"]
KINDS: tuple[Kind, ...] = ("deq", "residual", "unrolled", "ode")


def transfer(kind: Kind, maps: Sequence[Array], dim: int) -> Array:
    """T (d, d) of the maps A_1, ..., A_L, see the module's docstring; a DEQ and a flow have one map.

    >>> a = np.diag([0.5, 0.0])
    >>> [transfer(kind, [a], 2)[0, 0].round(6).item() for kind in KINDS]
    [2.0, 1.5, 1.5, 1.648721]
    >>> transfer("residual", [a] * 3, 2)[0, 0].item(), transfer("unrolled", [a] * 3, 2)[0, 0].item()
    (3.375, 1.875)
    """
    if kind in ("deq", "ode"):
        (a,) = maps
        from scipy.linalg import expm  # the command line starts without it

        return np.asarray(np.linalg.inv(np.eye(dim) - a) if kind == "deq" else expm(a), dtype=float)
    if kind == "residual" and maps and all(a is maps[0] for a in maps):
        return np.asarray(np.linalg.matrix_power(np.eye(dim) + maps[0], len(maps)), dtype=float)
    return _states(kind, maps, dim)[-1]


def _states(kind: Kind, maps: Sequence[Array], dim: int) -> list[Array]:
    """``T_0 = I, T_1, ..., T_L``."""
    states = [np.eye(dim)]
    for a in maps:
        states.append((states[-1] if kind == "residual" else states[0]) + a @ states[-1])
    return states


def transfer_gradients(kind: Kind, maps: Sequence[Array], gradient: Array) -> list[Array]:
    """Gradients in A_1, ..., A_L of a function of T whose gradient in T is ``gradient`` (d, d).

    >>> a, direction, g = np.diag([0.5, 0.2]), np.ones((2, 2)), np.eye(2)
    >>> found = [sum(np.vdot(x, direction) for x in transfer_gradients(kind, [a], g)) for kind in KINDS]
    >>> step = [(transfer(kind, [a + 1e-6 * direction], 2) - transfer(kind, [a], 2)) / 1e-6 for kind in KINDS]
    >>> np.allclose(found, [np.trace(x) for x in step], rtol=1e-5)
    True
    """
    dim = len(gradient)
    if kind == "deq":
        t = transfer(kind, maps, dim).T
        return [t @ gradient @ t]
    if kind == "ode":
        from scipy.linalg import expm_frechet

        return [np.asarray(expm_frechet(maps[0].T, gradient, compute_expm=False), dtype=float)]
    states, out = _states(kind, maps, dim), []
    for a, below in zip(reversed(maps), reversed(states[:-1]), strict=True):
        out.append(gradient @ below.T)
        gradient = a.T @ gradient + (gradient if kind == "residual" else 0.0)
    return out[::-1]
