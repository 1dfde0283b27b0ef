"""NC2, the arrangement of classes: lengths and angles of class means and of classifiers."""

from __future__ import annotations

from typing import Any

import numpy as np

from ufm._validation import array, real
from ufm.geometry import cosine_matrix
from ufm.measures._input import LARGEST, LARGEST_SQUARE, Array

__all__ = [
    "coherence",
    "effective_rank",
    "equiangle_cv",
    "equiangle_std",
    "equinorm_cv",
    "mean_cosine_gap",
    "pair_cosines",
    "separation_kernel_cv",
]

#: Unit vectors nearer than this coincide: their squared distance is round-off.
COINCIDENT_DIRECTIONS = 1e-7


def equinorm_cv(vectors: Any) -> float | None:
    """Coefficient of variation of the lengths of K vectors, ``std_k |x_k| / mean_k |x_k|`` (NC2): 0 iff all are equal.

    Args:
        vectors: shape (d, K): centred class means M, or W^T.

    Returns:
        A number >= 0; None where all vectors are zero.

    Raises:
        TypeError, ValueError: not a real finite matrix.

    Source: Papyan, Han, Donoho 2020.

    >>> round(equinorm_cv([[3.0, 0.0], [0.0, 1.0]]), 12)  # lengths 3 and 1: std 1, mean 2
    0.5
    """
    x = array("vectors", vectors, ndim=2, largest=LARGEST)
    top = float(np.abs(x).max())
    if top == 0:
        return None
    norms = np.linalg.norm(x / top, axis=0)
    return float(norms.std() / norms.mean())


def equiangle_std(vectors: Any) -> float | None:
    """Standard deviation over pairs j < k of the cosine of x_j and x_k (NC2): 0 iff all angles are equal.

    A zero vector has cosine 0 with the others, and two zero vectors have cosine 1.

    Args:
        vectors: shape (d, K), K >= 2: centred class means M, or W^T.

    Returns:
        A number in [0, 1]; None where all vectors are zero.

    Raises:
        TypeError, ValueError: not a real finite matrix with at least two columns.

    Source: Papyan, Han, Donoho 2020 (equiangularity).

    >>> round(equiangle_std([[1.0, 0.0, -1.0], [0.0, 2.0, 0.0]]), 6)  # cosines 0, -1 and 0
    0.471405
    """
    cosines = _pair_cosines(vectors)
    return None if cosines is None else float(cosines.std())


def equiangle_cv(vectors: Any) -> float | None:
    """Coefficient of variation over pairs of the cosines, ``std / |mean|``; their mean is ``-1/(K-1)`` in an ETF.

    Args:
        vectors: shape (d, K), K >= 2: centred class means M, or W^T.

    Returns:
        A number >= 0; None where the mean cosine is zero (to 1e-12), as in an orthogonal frame, or all vectors are.

    Raises:
        TypeError, ValueError: not a real finite matrix with at least two columns.

    Source: Papyan, Han, Donoho 2020, whose equiangularity is the numerator (:func:`equiangle_std`).

    >>> from ufm.geometry import simplex_etf
    >>> equiangle_cv(simplex_etf(4)) < 1e-12
    True
    """
    cosines = _pair_cosines(vectors)
    if cosines is None or abs(cosines.mean()) <= 1e-12:
        return None
    return float(cosines.std() / abs(cosines.mean()))


def pair_cosines(vectors: Any) -> Array:
    """Cosines of x_j and x_k over all pairs j < k, shape (K(K-1)/2,): the distribution of angles between classes.

    A zero vector has cosine 0 with the others, and two zero vectors have cosine 1.

    Args:
        vectors: shape (d, K), K >= 2: centred class means M, or W^T.

    Raises:
        TypeError, ValueError: not a real finite matrix with at least two columns.

    >>> pair_cosines([[1.0, 0.0, -1.0], [0.0, 2.0, 0.0]]) + 0.0
    array([ 0., -1.,  0.])
    """
    x = _columns(vectors)
    return cosine_matrix(x)[np.triu_indices(x.shape[1], 1)]


def mean_cosine_gap(vectors: Any) -> float | None:
    """``mean over pairs of |cos(x_j, x_k) + 1/(K-1)|`` (NC2): 0 iff all angles are those of a simplex ETF.

    Args:
        vectors: shape (d, K), K >= 2: centred class means M, or W^T.

    Returns:
        A number in [0, 2]; None where all vectors are zero.

    Raises:
        TypeError, ValueError: not a real finite matrix with at least two columns.

    Source: Papyan, Han, Donoho 2020 (closeness to the maximal angle).

    >>> mean_cosine_gap([[1.0, 0.0], [0.0, 1.0]])  # cosine 0, the ETF's is -1
    1.0
    """
    x = _columns(vectors)
    return float(np.abs(pair_cosines(x) + 1 / (x.shape[1] - 1)).mean()) if x.any() else None


def coherence(vectors: Any) -> float | None:
    """``max over pairs of |cos(x_j, x_k)|``, the coherence of a frame; at least Welch's ``1/(K-1)`` where d < K.

    Args:
        vectors: shape (d, K), K >= 2: centred class means M, or W^T.

    Returns:
        A number in [0, 1]; None where all vectors are zero.

    Raises:
        TypeError, ValueError: not a real finite matrix with at least two columns.

    Source: Welch 1974; as a measure of collapse in Wu and Papyan 2024.

    >>> coherence([[1.0, 0.0], [0.0, 1.0]])
    0.0
    """
    x = _columns(vectors)
    return float(np.abs(pair_cosines(x)).max()) if x.any() else None


def separation_kernel_cv(vectors: Any, exponent: float = 0.0) -> float | None:
    """Coefficient of variation over pairs of a kernel of distances on the sphere (generalised NC2, hyperspherical).

    With unit vectors ``u_k = x_k/|x_k|`` the kernel is ``log(1/|u_j - u_k|)`` for exponent 0 and ``|u_j - u_k|^{-s}``
    for an exponent s > 0. It is 0 iff all distances are equal, and meant for K > d + 1, where no ETF fits.

    Args:
        vectors: shape (d, K), K >= 2: centred class means M, or W^T.
        exponent: s >= 0.

    Returns:
        A number >= 0; None where two directions coincide (to 1e-7) or a vector is zero, and where the mean kernel is
        zero (to 1e-12).

    Raises:
        TypeError, ValueError: not a real finite matrix with at least two columns, or a negative exponent.

    Source: Liu et al. 2023 (hyperspherical uniformity); Wu and Papyan 2024 (GNC2).

    >>> from ufm.geometry import simplex_etf
    >>> separation_kernel_cv(simplex_etf(4)) < 1e-12, separation_kernel_cv(simplex_etf(4), exponent=2) < 1e-12
    (True, True)
    """
    s = real("exponent", exponent)
    if s < 0:
        raise ValueError(f"exponent must be >= 0, got {exponent!r}")
    x = _columns(vectors)
    tops = np.abs(x).max(axis=0)
    if not tops.all():
        return None
    x = x / tops
    x /= np.linalg.norm(x, axis=0)
    squares = 2 - 2 * (x.T @ x)[np.triu_indices(x.shape[1], 1)]
    if squares.min() <= COINCIDENT_DIRECTIONS**2:
        return None
    kernel = -0.5 * np.log(squares) if s == 0 else squares ** (-s / 2)
    mean = abs(float(kernel.mean()))
    return None if mean <= 1e-12 else float(kernel.std() / mean)


def effective_rank(matrix: Any) -> float | None:
    """``exp(-sum p_i log p_i)`` with ``p_i = sigma_i / sum sigma``: the number of singular values that count.

    Args:
        matrix: any matrix, such as centred class means M (d, K), W, or a covariance.

    Returns:
        A number in [1, min(matrix.shape)]; K - 1 for a simplex ETF of K vectors; None for a zero matrix.

    Raises:
        TypeError, ValueError: not a real finite matrix.

    Source: Roy and Vetterli 2007.

    >>> round(effective_rank([[1.0, 0.0], [0.0, 1.0]]), 12)
    2.0
    """
    x = array("matrix", matrix, ndim=2, largest=LARGEST_SQUARE)
    top = float(np.abs(x).max())
    if top == 0:
        return None
    p = np.linalg.svd(x / top, compute_uv=False)
    p = p[p > 0] / p.sum()
    return float(np.exp(-(p * np.log(p)).sum()))


def _columns(vectors: Any) -> Array:
    x = array("vectors", vectors, ndim=2, largest=LARGEST)
    if x.shape[1] < 2:
        raise ValueError(f"vectors must have at least 2 columns, got {x.shape[1]}")
    return x


def _pair_cosines(vectors: Any) -> Array | None:
    x = _columns(vectors)
    return pair_cosines(x) if x.any() else None
