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

__all__ = ["EXACT_SIZE", "ConeMaximum", "cone_maximum", "split", "split_bound"]

Array = NDArray[np.float64]
Indices = NDArray[np.intp]

#: Components up to this size are enumerated.
EXACT_SIZE = 12
#: Components up to this size are bounded by the semidefinite programme, larger ones by their positive part.
_SPLIT_SIZE = 28
#: An eigenvector with entries above minus this counts as nonnegative: more candidates only raise the bound, by its
#: square.
_NONNEGATIVE = 1e-7
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
        values, vectors = np.linalg.eigh(m)
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
            values, vectors = np.linalg.eigh(m[rows[:, :, None], rows[:, None, :]])
            top = vectors[:, :, -1] * np.where(vectors[:, :, -1].sum(axis=1) < 0, -1.0, 1.0)[:, None]
            allowed = np.where(top.min(axis=1) >= -_NONNEGATIVE, values[:, -1], -math.inf)
            i = int(allowed.argmax())
            if allowed[i] > best:
                best, support, vector = float(allowed[i]), rows[i], np.maximum(top[i], 1e-150)
    v = np.zeros(n)
    v[support] = vector / np.linalg.norm(vector)
    return ConeMaximum(float(v @ m @ v), v, best)


def _ascent(m: Array) -> tuple[float, Array]:
    """The best end of ``v <- (M' v)_+ / |.|`` from every unit vector and from their mean; M' = M plus a multiple of I.

    The form of a positive-semidefinite M' is convex, and never falls along these steps.
    """
    shifted = m + max(0.0, -float(np.linalg.eigvalsh(m)[0])) * np.eye(len(m))
    v = np.hstack([np.eye(len(m)), np.full((len(m), 1), 1 / math.sqrt(len(m)))])
    for _ in range(500):
        ahead = np.maximum(shifted @ v, 0.0)
        ahead = ahead / np.maximum(np.linalg.norm(ahead, axis=0), 1e-300)
        if np.abs(ahead - v).max() <= 1e-14:
            break
        v = ahead
    values = np.einsum("ij,ik,kj->j", v, m, v)
    best = int(values.argmax())
    return float(values[best]), v[:, best]


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
    found = float(np.linalg.eigvalsh(positive)[-1]), positive - matrix
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
    t = float(np.linalg.eigvalsh(_with(m, entries, i, j))[-1]) + 1.0
    best, nu, chosen = t, 1.0, entries
    while nu > 1e-15:
        nu *= 0.1
        for _ in range(30):
            try:
                gradient, hessian = _derivatives(t, nu, m, entries, i, j)
                step = -cho_solve(cho_factor(hessian, check_finite=False), gradient / nu, check_finite=False)
            except np.linalg.LinAlgError:
                break
            decrement = -float(gradient @ step) / nu
            length = min(1.0, 1 / (1 + math.sqrt(max(decrement, 0.0)))) if decrement > 0.1 else 1.0
            length = _inside(m, t, entries, step, length, i, j)
            if length == 0:
                break
            t, entries = t + length * step[0], entries + length * step[1:]
            if decrement < 1e-3:
                break
        reached = float(np.linalg.eigvalsh(_with(m, entries, i, j))[-1])
        if reached < best:
            best, chosen = reached, entries
    return best * scale, _with(np.zeros((n, n)), chosen * scale, i, j)


def _derivatives(t: float, nu: float, m: Array, entries: Array, i: Indices, j: Indices) -> tuple[Array, Array]:
    """Gradient, and Hessian over nu, of the barrier in (t, N): along dS -log det S changes by -tr(S^{-1} dS)."""
    q = np.linalg.inv(t * np.eye(len(m)) - _with(m, entries, i, j))
    q = (q + q.T) / 2
    gradient = np.concatenate([[1 - nu * np.trace(q)], nu * (2 * q[i, j] - 1 / entries)])
    q2 = q @ q
    hessian = np.empty((len(i) + 1, len(i) + 1))
    hessian[0, 0] = (q * q).sum()
    hessian[0, 1:] = hessian[1:, 0] = -2 * q2[i, j]
    hessian[1:, 1:] = 2 * (q[np.ix_(i, i)] * q[np.ix_(j, j)] + q[np.ix_(i, j)] * q[np.ix_(j, i)])
    diagonal = np.arange(1, len(i) + 1)
    hessian[diagonal, diagonal] += 1 / entries**2
    return gradient, hessian


def _inside(m: Array, t: float, entries: Array, step: Array, length: float, i: Indices, j: Indices) -> float:
    """The length of a step, halved until it stays inside; 0 where none does."""
    for _ in range(60):
        trial = entries + length * step[1:]
        if (trial > 0).all():
            slack = np.linalg.eigvalsh((t + length * step[0]) * np.eye(len(m)) - _with(m, trial, i, j))
            if slack[0] > 0:
                return length
        length /= 2
    return 0.0


def _with(m: Array, entries: Array, i: Indices, j: Indices) -> Array:
    out = m.copy()
    out[i, j] += entries
    out[j, i] += entries
    return out
