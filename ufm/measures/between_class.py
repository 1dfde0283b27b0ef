"""NC2, the arrangement of classes: lengths and angles of class means and of classifiers."""

from __future__ import annotations

from typing import Any

import numpy as np

from ufm._validation import array
from ufm.geometry import cosine_matrix
from ufm.measures._input import LARGEST, Array

__all__ = ["equiangle_cv", "equiangle_std", "equinorm_cv"]


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


def _pair_cosines(vectors: Any) -> Array | None:
    x = array("vectors", vectors, ndim=2, largest=LARGEST)
    if x.shape[1] < 2:
        raise ValueError(f"vectors must have at least 2 columns, got {x.shape[1]}")
    return cosine_matrix(x)[np.triu_indices(x.shape[1], 1)] if x.any() else None
