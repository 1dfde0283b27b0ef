r"""The gauge of the atoms ``u v^T``, ``|u|, |v| <= 1``, ``v >= 0``: what two factors cost, the second nonnegative.

    Omega(Y) = min (|W|_F^2 + |H|_F^2) / 2  over  W H = Y, H >= 0,        Omega^o(G) = max {|G v| : v >= 0, |v| = 1}.

The polar is a copositive problem (:mod:`ufm.gauges.copositive`), exact where few columns of G agree in sign. Where the
columns of Y are pairwise obtuse, every column is an atom of its own: ``Omega(Y) = sum_j |y_j|``, for ``G =
(y_j/|y_j|)`` has polar 1. Otherwise the gauge is found by the method of multipliers (Rockafellar 1976) on the factors,
and the last multiplier is the G that bounds it from below. Source: theory section 8.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ufm._linalg import svdvals
from ufm._validation import array
from ufm.gauges.cone import ConePoint, minimise_over_cone
from ufm.gauges.copositive import ConeMaximum, cone_maximum
from ufm.gauges.smooth import Quadratic

__all__ = ["ConeGauge", "nonnegative_gauge", "nonnegative_polar"]

Array = NDArray[np.float64]

#: Cosines up to this count as obtuse: the gauge changes by its square.
_OBTUSE = 1e-12
#: Distance of the factors' product, relative to Y, at which the multipliers are right.
_REACHED = 1e-13
_MAX_ROUNDS = 40
#: Share of the distance that a round must not leave.
_SLOW = 0.2


@dataclass(frozen=True)
class ConeGauge:
    """The gauge of a matrix with the factors that attain it.

    Attributes:
        value: ``(|W|^2 + |H|^2) / 2``, the gauge and an upper bound of it.
        lower: ``<G, Y> / Omega^o(G)`` at the multiplier G, a lower bound.
        classifier: W, shape (K, d).
        features: H >= 0, shape (d, m), ``W H = Y``; d is the number of atoms.
    """

    value: float
    lower: float
    classifier: Array
    features: Array


def nonnegative_polar(gradient: Array, *, bounded: bool = True) -> ConeMaximum:
    """``max {|G v| : v >= 0, |v| = 1}`` of G (K, m): value, the v that attains it, and an upper bound.

    Args:
        gradient: G.
        bounded: whether many columns are worth the effort of a bound; without it theirs is infinite.

    >>> g = np.array([[1.0, -1.0], [0.0, 1.0]])  # columns at 135 degrees: mixing them gains nothing
    >>> found = nonnegative_polar(g)
    >>> round(found.value**2, 12), found.bound == found.value
    (2.0, True)
    """
    g = array("gradient", gradient, ndim=2, shape="(K, m)")
    scale = float(np.abs(g).max(initial=0.0))
    if scale == 0.0:
        return ConeMaximum(0.0, np.eye(g.shape[1])[0], 0.0)
    g = g / scale
    found = cone_maximum(g.T @ g, bounded=bounded)
    value = float(np.linalg.norm(g @ found.vector))
    return ConeMaximum(scale * value, found.vector, scale * max(value, math.sqrt(max(found.bound, 0.0))))


def nonnegative_gauge(y: Array) -> ConeGauge:
    """The gauge of Y (K, m), see the module's docstring.

    >>> found = nonnegative_gauge(np.array([[1.0, -1.0], [-1.0, 1.0]]))  # the nuclear norm is 2
    >>> round(found.value**2, 12), bool((found.features >= 0).all())
    (8.0, True)
    """
    y = array("y", y, ndim=2, shape="(K, m)")
    scale = float(np.abs(y).max(initial=0.0))  # the squares of a norm may leave float64
    if scale == 0.0:
        return ConeGauge(0.0, 0.0, np.zeros((len(y), 0)), np.zeros((0, y.shape[1])))
    used = np.linalg.norm(y / scale, axis=0) > 0
    w, h, lower = _factors(y[:, used] / scale)
    full = np.zeros((len(h), y.shape[1]))
    full[:, used] = h
    root = math.sqrt(scale)
    value = float((np.linalg.norm(w, axis=0) * np.linalg.norm(h, axis=1)).sum())
    return ConeGauge(scale * value, min(scale * lower, scale * value), root * w, root * full)


def _factors(y: Array) -> tuple[Array, Array, float]:
    """W, H >= 0 and a lower bound of the gauge, for Y without zero columns."""
    norms = np.linalg.norm(y, axis=0)
    cosines = (y / norms).T @ (y / norms)
    np.fill_diagonal(cosines, 0.0)
    if cosines.max(initial=0.0) <= _OBTUSE:
        root = np.sqrt(norms)
        return y / root, np.diag(root), float(norms.sum())
    sigma = svdvals(y)
    rho = 20.0 / float(sigma[0])
    multiplier = np.zeros_like(y)
    point: ConePoint | None = None
    best, least = None, math.inf
    for _ in range(_MAX_ROUNDS):
        found = minimise_over_cone(Quadratic(y + multiplier / rho, rho), y.shape, strength=1.0, start=point)
        rest = y - found.y
        multiplier = multiplier + rho * rest
        distance = float(np.linalg.norm(rest))
        if distance > _SLOW * least:
            rho *= 10.0  # the multiplier is far along a flat direction of the dual
        if distance < least:
            best, least = found, distance
        if distance <= _REACHED * float(sigma[0]) or (distance > 0.9 * least and distance <= 1e-11 * float(sigma[0])):
            break
        # a start without atoms, or with too few, is no start
        point = found if found.w.shape[1] else None
    assert best is not None
    w = best.w + (y - best.y) @ np.linalg.pinv(best.h, rcond=1e-6)
    polar = nonnegative_polar(multiplier).bound
    return w, best.h, float(np.vdot(multiplier, y)) / polar if polar > 0 else 0.0
