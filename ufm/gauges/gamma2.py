r"""The gamma_2 norm: the gauge of the matrices ``W H`` with rows ``|w_k| <= 1`` and columns ``|h_j| <= 1``.

    gamma_2(Y) = min max_k |w_k| max_j |h_j|  over  W H = Y
               = max |diag(a)^{1/2} Y diag(b)^{1/2}|_*  over  a, b >= 0 that sum to 1 each.

The second form is concave in (a, b): the best W at given prices a and b of the squared lengths is a matter of one
singular value decomposition ``diag(a)^{1/2} Y diag(b)^{1/2} = U S V^T``, with ``a_k |w_k|^2 = (U S U^T)_kk``. With a
and b on the logarithmic scale its gradient is ``((U S U^T)_kk - a_k |S|) / 2``, and vanishes where all lengths that
have a price are equal. The polar is a maximum over unit vectors (:mod:`ufm.gauges.elliptope`). Source: Linial and
Shraibman 2009; theory section 8.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ufm._linalg import eigh, svd
from ufm._validation import array
from ufm.gauges.elliptope import UnitPoint, dual_bound, minimise_over_elliptope
from ufm.gauges.smooth import Linear, Quadratic

__all__ = ["Gamma2", "Gamma2Polar", "gamma2_factors", "gamma2_norm", "gamma2_polar"]

Array = NDArray[np.float64]

#: Distance of the products of unit vectors from a matrix on the boundary at which they are its factors.
_REACHED = 3e-12
_STARTS = 3
_MAX_NEWTON = 30
#: Lowest logarithm of a price relative to the highest: a length that needs none has it, and stays within the bound.
_LOWEST = -25.0


@dataclass(frozen=True)
class Gamma2:
    """Factors that attain the gamma_2 norm of a matrix.

    Attributes:
        value: the norm, from below: see :func:`gamma2_norm`.
        upper: ``max |w_k| max |h_j|`` of the factors, from above.
        classifier: W, shape (K, d), ``|w_k|^2 <= gamma_2`` up to rounding.
        features: H, shape (d, m), likewise; ``W H = Y``. d may be above the rank of Y.
    """

    value: float
    upper: float
    classifier: Array
    features: Array


@dataclass(frozen=True)
class Gamma2Polar:
    """``max <G, Y>`` over ``gamma_2(Y) <= 1``.

    Attributes:
        value: ``<G, P Q^T>`` at unit vectors.
        bound: the dual value that no Y exceeds.
        atom: ``P Q^T``, shape (K, m).
        alpha, beta: the diagonals (K,), (m,) of the dual.
    """

    value: float
    bound: float
    atom: Array
    alpha: Array
    beta: Array


def gamma2_polar(gradient: Array) -> Gamma2Polar:
    """The polar of the gamma_2 norm at G (K, m), with the atom that attains it and the diagonals that bound it.

    >>> found = gamma2_polar(np.array([[1.0, 1.0], [1.0, -1.0]]))  # 2 sqrt 2, Grothendieck's
    >>> round(found.value**2, 9), round(found.bound**2, 9)
    (8.0, 8.0)
    """
    g = array("gradient", gradient, ndim=2, shape="(K, m)")
    return _polar_of(g.tobytes(), g.shape[0], g.shape[1])


@lru_cache(maxsize=4)  # a bound, a multiplier and an atom are wanted of one gradient
def _polar_of(entries: bytes, k: int, m: int) -> Gamma2Polar:
    found = _polar(np.frombuffer(entries).reshape(k, m))
    for shared in (found.atom, found.alpha, found.beta):
        shared.flags.writeable = False
    return found


def _polar(g: Array) -> Gamma2Polar:
    scale = float(np.abs(g).max(initial=0.0))
    if scale == 0.0:
        return Gamma2Polar(0.0, 0.0, np.zeros_like(g), np.zeros(len(g)), np.zeros(g.shape[1]))
    g = g / scale
    best: tuple[float, float, UnitPoint, Array, Array] | None = None
    for seed in range(_STARTS):
        point = minimise_over_elliptope(Linear(g), (g.shape[0], g.shape[1]), 1.0, seed=seed)
        value = float(np.vdot(g, point.p @ point.q.T))
        bound, alpha, beta = dual_bound(g, point)
        if best is None or bound < best[1]:
            best = value, bound, point, alpha, beta
        if best[1] - best[0] <= 1e-13 * best[1]:
            break
    assert best is not None
    value, bound, point, alpha, beta = best
    return Gamma2Polar(scale * value, scale * max(bound, value), point.p @ point.q.T, scale * alpha, scale * beta)


def gamma2_norm(y: Array) -> float:
    """The gamma_2 norm of Y (K, m): the nuclear norm at the best prices found, see the module's docstring.

    >>> round(gamma2_norm(np.array([[1.0, 1.0], [1.0, -1.0]])) ** 2, 9)
    2.0
    >>> round(gamma2_norm(np.eye(3)), 12), round(gamma2_norm(np.ones((2, 3))), 12), gamma2_norm(np.zeros((2, 3)))
    (1.0, 1.0, 0.0)
    """
    inner, _, _, scale = _without_zeros(y)
    return scale * _priced(inner) if scale > 0 else 0.0


def gamma2_factors(y: Array) -> Gamma2:
    """Factors of Y (K, m) whose rows and columns are no longer than the root of its gamma_2 norm.

    >>> found = gamma2_factors(np.array([[1.0, 1.0], [1.0, -1.0]]))
    >>> bool(found.upper <= found.value * (1 + 1e-9)), (found.classifier @ found.features).round(9).tolist()
    (True, [[1.0, 1.0], [1.0, -1.0]])
    """
    inner, rows, columns, scale = _without_zeros(y)
    k, m = np.shape(y)
    if scale == 0:
        return Gamma2(0.0, 0.0, np.zeros((k, 0)), np.zeros((0, m)))
    value = _priced(inner)
    w, h = _factors(value, inner)
    root = np.sqrt(scale)
    classifier, features = np.zeros((k, w.shape[1])), np.zeros((w.shape[1], m))
    classifier[rows], features[:, columns] = root * w, root * h
    upper = np.linalg.norm(classifier, axis=1).max() * np.linalg.norm(features, axis=0).max()
    return Gamma2(scale * value, float(upper), classifier, features)


def _without_zeros(y: Array) -> tuple[Array, Array, Array, float]:
    """Y without zero rows and columns over its largest entry, which rows and columns these are, and the entry."""
    y = array("y", y, ndim=2, shape="(K, m)")
    rows, columns = np.abs(y).max(axis=1, initial=0.0) > 0, np.abs(y).max(axis=0, initial=0.0) > 0
    scale = float(np.abs(y).max(initial=0.0))
    return y[np.ix_(rows, columns)] / (scale or 1.0), rows, columns, scale


def _prices(x: Array, k: int) -> tuple[Array, Array]:
    from scipy.special import softmax

    return softmax(x[:k]), softmax(x[k:])


def _at(x: Array, y: Array) -> tuple[float, Array, tuple[Array, Array, Array]]:
    """The nuclear norm at the prices of x, its logarithm's gradient, and the decomposition."""
    a, b = _prices(x, len(y))
    u, s, vt = svd(np.sqrt(a)[:, None] * y * np.sqrt(b), full_matrices=False)
    total = float(s.sum())
    slope = np.concatenate([u**2 @ s / total - a, s @ vt**2 / total - b]) / 2
    return total, slope, (u, s, vt)


def _priced(y: Array) -> float:
    """The largest nuclear norm that prices give; those that ended lowest are worth nothing."""
    from scipy.optimize import minimize

    k, m = y.shape

    def objective(x: Array) -> tuple[float, Array]:
        total, slope, _ = _at(x, y)
        return -float(np.log(total)), -slope

    options = {"maxiter": 2000, "maxfun": 4000, "maxcor": 20, "ftol": 1e-16, "gtol": 1e-13}
    bounds = [(_LOWEST, 0.0)] * (k + m)
    start = np.log(np.concatenate([np.full(k, 1 / k), np.full(m, 1 / m)])) - 1
    x = minimize(objective, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options).x
    x = _refined(x, y)
    spared = np.where(x <= _LOWEST + 1e-3, -np.inf, x)
    return max(_at(x, y)[0], _at(spared, y)[0] if np.isfinite([spared[:k].max(), spared[k:].max()]).all() else 0.0)


def _refined(x: Array, y: Array) -> Array:
    """Newton's method on the gradient, its derivative by differences: descent reaches it to the root of rounding."""
    free = np.flatnonzero(x > _LOWEST + 1e-3)
    slope = _at(x, y)[1][free]
    step = 1e-5
    for _ in range(_MAX_NEWTON):
        size = float(np.linalg.norm(slope))
        if size <= 1e-16:
            break
        jacobian = np.empty((len(free), len(free)))
        for column, i in enumerate(free):
            e = step * (np.arange(len(x)) == i)
            jacobian[:, column] = (_at(x + e, y)[1][free] - _at(x - e, y)[1][free]) / (2 * step)
        values, vectors = eigh((jacobian + jacobian.T) / 2)
        kept = np.abs(values) > 1e-9 * np.abs(values).max()  # a shift of all logarithms changes nothing
        trial = x.copy()
        trial[free] -= vectors[:, kept] @ ((vectors[:, kept].T @ slope) / values[kept])
        found = _at(trial, y)[1][free]
        if not np.linalg.norm(found) < size * 0.9:
            break
        x, slope = trial, found
    return x


def _factors(value: float, y: Array) -> tuple[Array, Array]:
    """W and H with ``W H = Y`` and lengths up to ``sqrt(value)``: unit vectors with products Y / value, by descent.

    On the boundary of the ball the products come near Y by the square of the distance of the vectors; what is left of
    it is put into W.
    """
    best, least = None, np.inf
    for seed in range(_STARTS):
        target = Quadratic(y / value, 1.0)
        point = minimise_over_elliptope(target, (y.shape[0], y.shape[1]), 1.0, seed=seed, enough=_REACHED**2 / 2)
        distance = float(np.linalg.norm(point.p @ point.q.T - y / value))
        if distance < least:
            best, least = point, distance
        if least <= 1e-8:  # products come near by the square of what another start could gain
            break
    assert best is not None
    root = np.sqrt(value)
    v = np.vstack([best.p, best.q])
    _, s, vt = svd(v, full_matrices=False)
    v = root * v @ vt[s > 1e-9 * s[0]].T
    w, h = v[: len(y)], v[len(y) :].T
    return w + (y - w @ h) @ np.linalg.pinv(h, rcond=1e-6), h
