"""NC2, the arrangement of classes: lengths and angles of class means and of classifiers."""

from __future__ import annotations

from typing import Any

import numpy as np

from ufm._validation import array, real
from ufm.geometry.arrangement import Arrangement, above_diagonal
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
        vectors: shape (d, K): centred class means M, or W^T; or their Arrangement.

    Returns:
        A number >= 0; None where all vectors are zero.

    Raises:
        TypeError, ValueError: not a real finite matrix.

    Source: Papyan, Han, Donoho 2020.

    >>> round(equinorm_cv([[3.0, 0.0], [0.0, 1.0]]), 12)  # lengths 3 and 1: std 1, mean 2
    0.5
    """
    x = vectors if isinstance(vectors, Arrangement) else Arrangement(array("vectors", vectors, ndim=2, largest=LARGEST))
    return None if x.is_zero else variation(x.lengths)


def equiangle_std(vectors: Any) -> float | None:
    """Standard deviation over pairs j < k of the cosine of x_j and x_k (NC2): 0 iff all angles are equal.

    A zero vector has cosine 0 with the others, and two zero vectors have cosine 1.

    Args:
        vectors: shape (d, K), K >= 2: centred class means M, or W^T; or their Arrangement.

    Returns:
        A number in [0, 1]; None where all vectors are zero.

    Raises:
        TypeError, ValueError: not a real finite matrix with at least two columns.

    Source: Papyan, Han, Donoho 2020 (equiangularity).

    >>> round(equiangle_std([[1.0, 0.0, -1.0], [0.0, 2.0, 0.0]]), 6)  # cosines 0, -1 and 0
    0.471405
    """
    x = _arrangement(vectors)
    return None if x.is_zero else float(x.pairs.std())


def equiangle_cv(vectors: Any) -> float | None:
    """Coefficient of variation over pairs of the cosines, ``std / |mean|``; their mean is ``-1/(K-1)`` in an ETF.

    Args:
        vectors: shape (d, K), K >= 2: centred class means M, or W^T; or their Arrangement.

    Returns:
        A number >= 0; None where the mean cosine is zero (to 1e-12), as in an orthogonal frame, or all vectors are.

    Raises:
        TypeError, ValueError: not a real finite matrix with at least two columns.

    Source: Papyan, Han, Donoho 2020, whose equiangularity is the numerator (:func:`equiangle_std`).

    >>> from ufm.geometry import simplex_etf
    >>> equiangle_cv(simplex_etf(4)) < 1e-12
    True
    """
    x = _arrangement(vectors)
    return None if x.is_zero else variation(x.pairs)


def pair_cosines(vectors: Any) -> Array:
    """Cosines of x_j and x_k over all pairs j < k, shape (K(K-1)/2,): the distribution of angles between classes.

    A zero vector has cosine 0 with the others, and two zero vectors have cosine 1.

    Args:
        vectors: shape (d, K), K >= 2: centred class means M, or W^T; or their Arrangement.

    Raises:
        TypeError, ValueError: not a real finite matrix with at least two columns.

    >>> pair_cosines([[1.0, 0.0, -1.0], [0.0, 2.0, 0.0]]) + 0.0
    array([ 0., -1.,  0.])
    """
    return _arrangement(vectors).pairs


def mean_cosine_gap(vectors: Any) -> float | None:
    """``mean over pairs of |cos(x_j, x_k) + 1/(K-1)|`` (NC2): 0 iff all angles are those of a simplex ETF.

    Args:
        vectors: shape (d, K), K >= 2: centred class means M, or W^T; or their Arrangement.

    Returns:
        A number in [0, 2]; None where all vectors are zero.

    Raises:
        TypeError, ValueError: not a real finite matrix with at least two columns.

    Source: Papyan, Han, Donoho 2020 (closeness to the maximal angle).

    >>> mean_cosine_gap([[1.0, 0.0], [0.0, 1.0]])  # cosine 0, the ETF's is -1
    1.0
    """
    x = _arrangement(vectors)
    return None if x.is_zero else float(np.abs(x.pairs + 1 / (len(x.lengths) - 1)).mean())


def coherence(vectors: Any) -> float | None:
    """``max over pairs of |cos(x_j, x_k)|``, the coherence of a frame; at least Welch's ``1/(K-1)`` where d < K.

    Args:
        vectors: shape (d, K), K >= 2: centred class means M, or W^T; or their Arrangement.

    Returns:
        A number in [0, 1]; None where all vectors are zero.

    Raises:
        TypeError, ValueError: not a real finite matrix with at least two columns.

    Source: Welch 1974; as a measure of collapse in Wu and Papyan 2024.

    >>> coherence([[1.0, 0.0], [0.0, 1.0]])
    0.0
    """
    x = _arrangement(vectors)
    return None if x.is_zero else float(np.abs(x.pairs).max())


def separation_kernel_cv(vectors: Any, exponent: float = 0.0) -> float | None:
    """Coefficient of variation over pairs of a kernel of distances on the sphere (generalised NC2, hyperspherical).

    With unit vectors ``u_k = x_k/|x_k|`` the kernel is ``log(1/|u_j - u_k|)`` for exponent 0 and ``|u_j - u_k|^{-s}``
    for an exponent s > 0. It is 0 iff all distances are equal, and meant for K > d + 1, where no ETF fits.

    Args:
        vectors: shape (d, K), K >= 2: centred class means M, or W^T; or their Arrangement.
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
    x = _arrangement(vectors)
    if not x.lengths.all():
        return None
    squares = 2 - 2 * above_diagonal(x.unit_gram)
    if squares.min() <= COINCIDENT_DIRECTIONS**2:
        return None
    return variation(-0.5 * np.log(squares) if s == 0 else squares ** (-s / 2))


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
    return number_that_count(np.asarray(np.linalg.svd(x / top, compute_uv=False), dtype=np.float64))


def variation(values: Array) -> float | None:
    """``std / |mean|`` of some numbers; None where the mean is zero (to 1e-12).

    >>> variation(np.array([1.0, 3.0]))
    0.5
    """
    mean = abs(float(values.mean()))
    return None if mean <= 1e-12 else float(values.std() / mean)


def number_that_count(singular_values: Array) -> float:
    """:func:`effective_rank` of a matrix with these singular values, not all zero.

    >>> number_that_count(np.array([3.0, 3.0, 0.0]))
    2.0
    """
    p = singular_values[singular_values > 0] / singular_values.sum()
    return float(np.exp(-(p * np.log(p)).sum()))


def _arrangement(vectors: Any) -> Arrangement:
    x = vectors if isinstance(vectors, Arrangement) else Arrangement(array("vectors", vectors, ndim=2, largest=LARGEST))
    if len(x.lengths) < 2:
        raise ValueError(f"vectors must have at least 2 columns, got {len(x.lengths)}")
    return x
