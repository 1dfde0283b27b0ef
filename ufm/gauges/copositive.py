r"""The largest value of a quadratic form over nonnegative vectors, ``max {v^T M v : v >= 0, |v| = 1}``.

It is at most t exactly if ``t I - M`` is copositive. Three facts make it computable where matrices are small:

* Entries that are not positive never help across: the maximum over M is that over the connected components of the graph
  of its positive off-diagonal entries.
* A maximiser with the fewest nonzero entries S is the eigenvector of the largest eigenvalue of ``M_SS``, which
  is simple (along a second one v could move until an entry vanishes). The maximum is therefore that of
  ``lambda_max(M_SS)`` over those S whose eigenvector is positive: a finite enumeration, exact up to rounding.
* Whatever the size, ``lambda_max(M + N)`` with ``N >= 0`` entrywise is an upper bound, as are the best N
  (``t I - M = PSD + nonnegative``, a semidefinite programme) and the one that removes all negative entries.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ufm._linalg import eigh, eigvalsh

__all__ = ["EXACT_SIZE", "ConeMaximum", "cone_ascents", "cone_maximum", "split", "split_bound"]

Array = NDArray[np.float64]
Indices = NDArray[np.intp]

#: Components up to this size are enumerated.
EXACT_SIZE = 12
#: Components up to this size are bounded by the semidefinite programme, larger ones by their positive part.
_SPLIT_SIZE = 32
#: Where the barrier's parameter ends, relative to the entries: what is left of the bound is as many times the unknowns.
_LAST_NU = 1e-12
#: Newton's steps at every nu at most, and shares of nu by which it is tried to lower it.
_CORRECTIONS = 40
_SHARES = (0.9, 0.8, 0.65, 0.5, 0.3, 0.1)
#: An eigenvector with entries above minus this counts as nonnegative: more candidates only raise the bound, by its
#: square.
_NONNEGATIVE = 1e-7
#: Ends of ascents whose cosine is this near to 1 are one.
_ALIKE = 1e-4
#: Subsets of which the eigenvalue problems are solved at once.
_BATCH = 4096


@dataclass(frozen=True)
class ConeMaximum:
    """What is known of ``max {v^T M v : v >= 0, |v| = 1}``.

    Attributes:
        value: the form at ``vector``.
        vector: v (m,) >= 0 of length 1, the best that was found.
        bound: an upper bound of the maximum; equal to ``value`` up to rounding where every component was enumerated.
    """

    value: float
    vector: Array
    bound: float


def cone_maximum(matrix: Array, *, bounded: bool = True) -> ConeMaximum:
    """The maximum of ``v^T M v`` over nonnegative v of length 1, M (m, m) symmetric.

    Args:
        matrix: M.
        bounded: whether large components are worth the effort of a bound; without it theirs is infinite.

    >>> found = cone_maximum(np.array([[2.0, -1.0], [-1.0, 1.0]]))  # nothing is gained by mixing
    >>> found.value, found.bound, found.vector.tolist()
    (2.0, 2.0, [1.0, 0.0])
    >>> round(cone_maximum(np.array([[2.0, 1.0], [1.0, 2.0]])).value, 12)
    3.0
    """
    from scipy.sparse.csgraph import connected_components

    positive = np.triu(matrix, 1) > 0
    count, label = connected_components(positive, directed=False)
    best: ConeMaximum | None = None
    bound = -math.inf
    for c in range(count):
        members = np.flatnonzero(label == c)
        found = _of_component(matrix[np.ix_(members, members)], bounded)
        bound = max(bound, found.bound)
        if best is None or found.value > best.value:
            vector = np.zeros(len(matrix))
            vector[members] = found.vector
            best = ConeMaximum(found.value, vector, bound)
    assert best is not None  # a matrix has at least one row
    return ConeMaximum(best.value, best.vector, max(bound, best.value))


def _of_component(m: Array, bounded: bool) -> ConeMaximum:
    if len(m) == 1:
        return ConeMaximum(float(m[0, 0]), np.ones(1), float(m[0, 0]))
    if m.min() >= 0:  # Perron and Frobenius: the eigenvector is nonnegative
        values, vectors = eigh(m)
        return ConeMaximum(float(values[-1]), np.abs(vectors[:, -1]), float(values[-1]))
    if len(m) <= EXACT_SIZE:
        return _enumerated(m)
    value, vector = _ascent(m)
    return ConeMaximum(value, vector, split_bound(m) if bounded else math.inf)


def _enumerated(m: Array) -> ConeMaximum:
    n = len(m)
    at = int(np.argmax(np.diagonal(m)))
    best, support, vector = float(m[at, at]), np.array([at]), np.ones(1)
    for size in range(2, n + 1):
        subsets = np.array(list(itertools.combinations(range(n), size)))
        for start in range(0, len(subsets), _BATCH):
            rows = subsets[start : start + _BATCH]
            values, vectors = eigh(m[rows[:, :, None], rows[:, None, :]])
            top = vectors[:, :, -1] * np.where(vectors[:, :, -1].sum(axis=1) < 0, -1.0, 1.0)[:, None]
            allowed = np.where(top.min(axis=1) >= -_NONNEGATIVE, values[:, -1], -math.inf)
            i = int(allowed.argmax())
            if allowed[i] > best:
                best, support, vector = float(allowed[i]), rows[i], np.maximum(top[i], 1e-150)
    v = np.zeros(n)
    v[support] = vector / np.linalg.norm(vector)
    return ConeMaximum(float(v @ m @ v), v, best)


def _ascent(m: Array) -> tuple[float, Array]:
    """The best of the ends of the ascents."""
    values, vectors = _ascents(m)
    best = int(values.argmax())
    return float(values[best]), vectors[:, best]


def _ascents(m: Array) -> tuple[Array, Array]:
    """The ends of ``v <- (M' v)_+ / |.|`` from many starts; M' = M plus a multiple of I.

    They are every unit vector, the mean of all and of every two, and what is positive of the eigenvectors and their
    negatives.

    The form of a positive-semidefinite M' is convex, and never falls along these steps.
    """
    n = len(m)
    values, vectors = eigh(m)
    shifted = m + max(0.0, -float(values[0])) * np.eye(n)
    pairs = [np.eye(n)[:, list(pair)].sum(axis=1, keepdims=True) for pair in itertools.combinations(range(n), 2)]
    v = np.hstack([np.eye(n), np.ones((n, 1)), np.maximum(vectors, 0.0), np.maximum(-vectors, 0.0), *pairs])
    v = v[:, v.any(axis=0)]
    v = v / np.linalg.norm(v, axis=0)
    for _ in range(500):
        ahead = np.maximum(shifted @ v, 0.0)
        ahead = ahead / np.maximum(np.linalg.norm(ahead, axis=0), 1e-300)
        if np.abs(ahead - v).max() <= 1e-14:
            break
        v = ahead
    return np.einsum("ij,ik,kj->j", v, m, v), v


def cone_ascents(matrix: Array) -> Array:
    """Different v >= 0 of length 1, (m, count), at which ascents of ``v^T M v`` end, saddles too, the best first.

    >>> cone_ascents(np.array([[2.0, -1.0], [-1.0, 1.0]]))[:, 0].tolist()
    [1.0, 0.0]
    """
    values, v = _ascents(matrix)
    v = v[:, np.argsort(-values, kind="stable")]
    alike = np.triu(v.T @ v, 1) > 1 - _ALIKE
    return np.asarray(v[:, ~alike.any(axis=0)], dtype=float)


def split_bound(matrix: Array) -> float:
    """An upper bound of the maximum: ``min {lambda_max(M + N) : N >= 0}``, at most that of the positive part of M.

    The semidefinite programme is solved by a barrier, ``min t - nu [log det(t I - M - N) + sum log N_ij]`` with
    Newton's method at every nu; whatever N it ends with, the largest eigenvalue of ``M + N`` is a bound.

    >>> m = np.array([[1.0, -3.0, 1.0], [-3.0, 1.0, 1.0], [1.0, 1.0, 1.0]])
    >>> round(split_bound(m), 6)  # v = (1, 0, 1) / sqrt 2
    2.0
    """
    return split(matrix)[0]


def split(matrix: Array) -> tuple[float, Array]:
    """The bound of :func:`split_bound`, and the N (m, m) >= 0 with zero diagonal whose ``lambda_max(M + N)`` it is.

    >>> bound, n = split(np.array([[1.0, -3.0], [-3.0, 1.0]]))
    >>> round(bound, 9), bool(n[0, 1] == n[1, 0] > 2.99)
    (1.0, True)
    """
    positive = np.maximum(matrix, np.diag(np.diagonal(matrix))).clip(_floor(matrix))
    found = float(eigvalsh(positive)[-1]), positive - matrix
    return found if len(matrix) > _SPLIT_SIZE else min(found, _barrier(matrix), key=lambda pair: pair[0])


def _floor(matrix: Array) -> Array:
    """Zero off the diagonal, minus infinity on it: negative entries of the diagonal stay."""
    floor = np.zeros_like(matrix)
    np.fill_diagonal(floor, -np.inf)
    return floor


def _barrier(matrix: Array) -> tuple[float, Array]:
    from scipy.linalg import cho_factor, cho_solve

    n = len(matrix)
    scale = float(np.abs(matrix).max())
    if scale == 0:
        return 0.0, np.zeros((n, n))
    m = np.asarray(matrix / scale, dtype=float)
    i, j = (np.asarray(x, dtype=np.intp) for x in np.triu_indices(n, 1))
    entries = np.maximum(-m[i, j], 0.0) + 1.0 / n
    t = float(eigvalsh(_with(m, entries, i, j))[-1]) + 1.0
    best, nu, chosen = t, 1.0, entries
    x = np.concatenate([[t], entries])
    towards = np.zeros(len(x))
    towards[0] = 1.0
    x = _centred(m, x, nu, i, j)
    while nu > _LAST_NU:
        # the path of the centres is nearly straight in nu: along its tangent, most of the way to the boundary
        try:
            tangent = -cho_solve(cho_factor(_derivatives(x, nu, m, i, j)[1]), towards / nu)
        except np.linalg.LinAlgError:
            break
        share = next((a for a in _SHARES if _inside(m, x + a * tangent, i, j)), 0.0)
        if share == 0.0:
            break
        nu *= 1 - share
        x = _centred(m, x + share * tangent, nu, i, j)
        reached = float(eigvalsh(_with(m, x[1:], i, j))[-1])
        if reached < best:
            best, chosen = reached, x[1:]
    return best * scale, _with(np.zeros((n, n)), chosen * scale, i, j)


def _centred(m: Array, x: Array, nu: float, i: Indices, j: Indices) -> Array:
    """Near the least point of the barrier at nu, by Newton's method from ``x = (t, N)`` inside."""
    from scipy.linalg import cho_factor, cho_solve

    for _ in range(_CORRECTIONS):
        try:
            gradient, hessian = _derivatives(x, nu, m, i, j)
            step = -cho_solve(cho_factor(hessian, check_finite=False), gradient, check_finite=False)
        except np.linalg.LinAlgError:
            break
        decrement = math.sqrt(max(0.0, -float(gradient @ step)))
        length = 1.0 if decrement < 0.25 else 1 / (1 + decrement)  # stays inside: the barrier is self-concordant
        if not _inside(m, x + length * step, i, j):
            break
        x = x + length * step
        if decrement < 0.1:
            break
    return x


def _derivatives(x: Array, nu: float, m: Array, i: Indices, j: Indices) -> tuple[Array, Array]:
    """Gradient and Hessian over nu of the barrier in (t, N): along dS -log det S changes by -tr(S^{-1} dS)."""
    entries = x[1:]
    q = np.linalg.inv(x[0] * np.eye(len(m)) - _with(m, entries, i, j))
    q = (q + q.T) / 2
    gradient = np.concatenate([[1 / nu - np.trace(q)], 2 * q[i, j] - 1 / entries])
    q2 = q @ q
    hessian = np.empty((len(i) + 1, len(i) + 1))
    hessian[0, 0] = (q * q).sum()
    hessian[0, 1:] = hessian[1:, 0] = -2 * q2[i, j]
    rows, columns = q[i], q[j]  # a gather of whole rows first is four times as fast as one of entries
    hessian[1:, 1:] = 2 * (rows[:, i] * columns[:, j] + rows[:, j] * columns[:, i])
    diagonal = np.arange(1, len(i) + 1)
    hessian[diagonal, diagonal] += 1 / entries**2
    return gradient, hessian


def _inside(m: Array, x: Array, i: Indices, j: Indices) -> bool:
    """Whether ``N > 0`` and ``t I - M - N`` is positive definite."""
    if not (x[1:] > 0).all():
        return False
    return bool(eigvalsh(x[0] * np.eye(len(m)) - _with(m, x[1:], i, j))[0] > 0)


def _with(m: Array, entries: Array, i: Indices, j: Indices) -> Array:
    out = m.copy()
    out[i, j] += entries
    out[j, i] += entries
    return out
