"""Distances of features and classifiers to frames, up to rotation and scale.

Convention: a matrix divided by its own norm is read as the zero matrix where the norm is 0, so that a zero matrix is
at distance 1 from every frame, and no error is ever NaN.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ufm._validation import array
from ufm.geometry.arrangement import Arrangement, gram_etf_error

__all__ = [
    "centred",
    "cosine_matrix",
    "etf_error",
    "gof_error",
    "gram_distance",
    "mean_pairwise_cosine",
    "procrustes_distance",
    "self_duality_error",
]

Array = NDArray[np.float64]

#: What is left of a matrix after centring counts as zero below this fraction of it: it is round-off of the mean.
ROUND_OFF = 1e-13


def gram_distance(matrix: Any, frame: Any) -> float:
    """``|G/|G|_F - G0/|G0|_F|_F`` with ``G = M^T M``, ``G0 = F^T F``: 0 iff M is F up to rotation and scale.

    Args:
        matrix: M, shape (d, K).
        frame: F, shape (d', K); d' may differ from d.

    Returns:
        A number in [0, sqrt(2)]; 1.0 if exactly one of the two is zero.

    Raises:
        TypeError, ValueError: not real finite matrices with the same number of columns.

    Source: the NC2 measure of Zhu et al. 2021, for any frame.

    >>> from ufm.geometry import orthogonal_frame, simplex_etf
    >>> gram_distance(5 * simplex_etf(3, dim=2, seed=0), simplex_etf(3)) < 1e-12
    True
    >>> round(gram_distance(orthogonal_frame(3), simplex_etf(3)), 3)
    0.606
    """
    m, f = _pair(matrix, frame)
    return _norm(_unit(_gram(m)) - _unit(_gram(f)))


def procrustes_distance(matrix: Any, frame: Any) -> float:
    """``min over orthogonal Q and c >= 0 of |M/|M|_F - c Q F/|F|_F|_F``: 0 iff M is F up to rotation and scale.

    With ``M F^T = P S R^T`` the minimiser is ``Q = P R^T`` (von Neumann's trace inequality) and
    ``c = |M F^T|_* / (|M|_F |F|_F)``; the minimum is ``sqrt(1 - c^2)``, computed from the residual so that it is
    accurate near 0 too. Where d and d' differ, the smaller matrix is padded with zero rows.

    Args:
        matrix: M, shape (d, K).
        frame: F, shape (d', K).

    Returns:
        A number in [0, 1]; 1.0 if M is zero or F is zero, 0.0 if both are.

    Raises:
        TypeError, ValueError: not real finite matrices with the same number of columns.

    Source: Schonemann 1966; Gower and Dijksterhuis 2004.

    >>> from ufm.geometry import orthogonal_frame, simplex_etf
    >>> procrustes_distance(5 * simplex_etf(3, dim=2, seed=0), simplex_etf(3)) < 1e-12
    True
    >>> round(procrustes_distance(orthogonal_frame(3), simplex_etf(3)), 3)
    0.577
    """
    m, f = (_unit(_compressed(x)) for x in _pair(matrix, frame))
    if not m.any() or not f.any():
        return float(m.any() != f.any())
    rows = max(len(m), len(f))
    m, f = (np.pad(x, ((0, rows - len(x)), (0, 0))) for x in (m, f))
    p, s, rt = np.linalg.svd(m @ f.T)
    return min(1.0, _norm(m - s.sum() * (p @ rt) @ f))


def gof_error(matrix: Any) -> float:
    """Distance to the nearest general orthogonal frame: ``min over L of |G/|G|_F - L/|L|_F|_F``, L diagonal and >= 0.

    The minimum is at ``L_kk`` proportional to ``G_kk`` and equals ``sqrt(2 (1 - g))``, ``g = |diag G| / |G|_F``. With
    the off-diagonal part O of ``G/|G|_F`` that is ``|O|_F sqrt(2/(1+g))``, which keeps its accuracy near 0.

    Args:
        matrix: M, shape (d, K).

    Returns:
        A number in [0, sqrt(2)); 1.0 if M is zero.

    Raises:
        TypeError, ValueError: not a real finite matrix.

    Source: Dang et al. 2023 for the frame.

    >>> from ufm.geometry import general_orthogonal_frame, simplex_etf
    >>> gof_error(general_orthogonal_frame([3, 2, 1], seed=0)) < 1e-12
    True
    >>> round(gof_error(simplex_etf(3)), 3)
    0.606
    """
    gram = _unit(_gram(_matrix("matrix", matrix)))
    if not gram.any():
        return 1.0
    diagonal = np.diagonal(gram).copy()
    np.fill_diagonal(gram, 0.0)
    return _norm(gram) * math.sqrt(2 / (1 + _norm(diagonal)))


def etf_error(matrix: Any, *, centre: bool = True) -> float:
    """``|G/|G|_F - (I - 11^T/K)/sqrt(K-1)|_F`` with ``G = M_c^T M_c`` (NC2).

    It is 0 iff M_c is a simplex ETF up to rotation and scale.

    Args:
        matrix: M, shape (d, K), K >= 2.
        centre: take M_c as M less the unweighted mean of its columns; False for M itself (classifiers).

    Returns:
        A number in [0, sqrt(2)]; 1.0 if all columns are equal (with ``centre``) or zero.

    Raises:
        TypeError, ValueError: not a real finite matrix with at least two columns.

    Source: Zhu et al. 2021; Papyan, Han, Donoho 2020 for centring.

    >>> from ufm.geometry import simplex_etf
    >>> means = simplex_etf(3) + np.ones((3, 1))  # a common shift is taken out
    >>> etf_error(means) < 1e-12, round(etf_error(means, centre=False), 3)
    (True, 1.241)
    """
    m = _matrix("matrix", matrix, min_columns=2)
    return gram_etf_error(_gram(centred(m) if centre else m))


def self_duality_error(classifier: Any, means: Any) -> float:
    """``|W/|W|_F - M^T/|M|_F|_F`` (NC3): 0 iff classifier and means agree up to scale, without rotation.

    Args:
        classifier: W, shape (K, d).
        means: M, shape (d, K), as a rule :func:`centred` class means; they are taken as they come.

    Returns:
        A number in [0, 2]; 1.0 if one of the two is zero, 0.0 if both are (they are equal).

    Raises:
        TypeError, ValueError: not real finite matrices of transposed shapes.

    Source: Papyan, Han, Donoho 2020 (NC3); Zhu et al. 2021.

    >>> means = np.array([[1.0, -1.0], [2.0, -2.0]])
    >>> self_duality_error(3 * means.T, means)
    0.0
    >>> self_duality_error(-means.T, means)
    2.0
    """
    w, m = _matrix("classifier", classifier), _matrix("means", means)
    if w.shape != m.T.shape:
        raise ValueError(f"classifier must have shape (K, d) = {m.T.shape} to match means, got {w.shape}")
    return _norm(_unit(w) - _unit(m.T))


def centred(matrix: Any, weights: Any = None) -> Array:
    """``M`` less the mean of its columns, (d, K); exactly zero where only round-off would be left.

    Args:
        matrix: M, shape (d, K).
        weights: of the columns in the mean, shape (K,), positive; None for equal ones.

    Raises:
        TypeError, ValueError: not a real finite matrix, or weights that do not fit it.

    >>> centred([[1.0, 2.0, 6.0]]), centred([[1.0, 2.0, 6.0]], [2, 1, 1])
    (array([[-2., -1.,  3.]]), array([[-1.5, -0.5,  3.5]]))
    """
    m = _matrix("matrix", matrix)
    if weights is None:
        mean = m.mean(axis=1, keepdims=True)
    else:
        shares = array("weights", weights, ndim=1)
        if shares.shape != m.shape[1:] or not (shares > 0).all():
            raise ValueError(f"weights must be {m.shape[1]} positive numbers, one a column, got {weights!r}")
        mean = m @ (shares / shares.sum())[:, None]
    c = m - mean
    return np.zeros_like(c) if _norm(c) <= ROUND_OFF * _norm(m) else c


def cosine_matrix(matrix: Any, *, zero: float = 1e-12) -> Array:
    """Cosines between the columns of M, shape (K, K), in [-1, 1].

    Two zero columns have cosine 1 (they coincide), a zero and a nonzero column have cosine 0.

    Args:
        matrix: M, shape (d, K).
        zero: columns shorter than this fraction of the longest count as zero.

    Raises:
        TypeError, ValueError: not a real finite matrix.

    >>> cosine_matrix([[3.0, 0.0, -2.0], [0.0, 5.0, 0.0]])
    array([[ 1.,  0., -1.],
           [ 0.,  1.,  0.],
           [-1.,  0.,  1.]])
    """
    return Arrangement(matrix).cosines(zero)


def mean_pairwise_cosine(cosines: Array, members: tuple[int, ...]) -> float | None:
    """Mean of the cosines over pairs of different ``members``; None for fewer than two of them.

    Args:
        cosines: from :func:`cosine_matrix`, shape (K, K).
        members: column indices, for instance the classes of a group.

    Source: Fang et al. 2021 (minority collapse).

    >>> from ufm.geometry import simplex_etf
    >>> cosines = cosine_matrix(simplex_etf(5))
    >>> round(mean_pairwise_cosine(cosines, (2, 3, 4)), 3)
    -0.25
    """
    size = len(members)
    if size < 2:
        return None
    block = cosines[np.ix_(members, members)]
    return min(1.0, float(block.sum() - np.trace(block)) / (size * (size - 1)))


def _matrix(name: str, value: Any, *, min_columns: int = 1) -> Array:
    found = array(name, value, ndim=2, shape="(d, K)")
    if found.shape[1] < min_columns:
        raise ValueError(f"{name} must be a matrix with at least {min_columns} column(s), got shape {found.shape}")
    return found


def _pair(matrix: Any, frame: Any) -> tuple[Array, Array]:
    m, f = _matrix("matrix", matrix), _matrix("frame", frame)
    if m.shape[1] != f.shape[1]:
        raise ValueError(f"frame must have as many columns as matrix, {m.shape[1]}, got {f.shape[1]}")
    return m, f


def _norm(array: Array) -> float:
    """Frobenius norm without overflow or underflow of the squares."""
    top = float(np.abs(array).max(initial=0.0))
    return top * float(np.linalg.norm(array / top)) if top > 0 else 0.0


def _unit(array: Array) -> Array:
    """``A/|A|_F``, and zero for a zero A."""
    top = float(np.abs(array).max(initial=0.0))
    if top == 0:
        return np.zeros_like(array)
    scaled = array / top
    return scaled / np.linalg.norm(scaled)


def _gram(matrix: Array) -> Array:
    """``M^T M / max|M_ij|^2``: the Gram matrix up to scale, safe from overflow."""
    top = float(np.abs(matrix).max(initial=0.0))
    scaled = matrix / top if top > 0 else matrix
    return scaled.T @ scaled


def _compressed(matrix: Array) -> Array:
    """The same columns in min(d, K) coordinates of their own span: nothing that is invariant under rotation changes."""
    return np.asarray(np.linalg.qr(matrix, mode="r")) if len(matrix) > matrix.shape[1] else matrix
