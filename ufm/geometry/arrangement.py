"""K vectors by their lengths and the cosines between them: one product of the matrix with itself for all."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ufm._validation import array
from ufm.geometry.frames import simplex_etf_gram

__all__ = ["Arrangement", "gram_etf_error"]

Array = NDArray[np.float64]


class Arrangement:
    """Lengths and angles of the columns of M, (d, K), safe from overflow and underflow at any scale.

    Attributes:
        vectors: M, shape (d, K).
        longest: the length of the longest column.
        lengths: of the columns, as fractions of the longest, shape (K,); zero where all are.
        unit: the columns at length one, shape (d, K); zero ones stay.

    Raises:
        TypeError, ValueError: not a real finite matrix.

    >>> found = Arrangement([[3.0, 0.0, -2.0], [0.0, 6.0, 0.0]])
    >>> found.longest, found.lengths.round(6), found.pairs + 0.0
    (6.0, array([0.5     , 1.      , 0.333333]), array([ 0., -1.,  0.]))
    """

    def __init__(self, matrix: Any) -> None:
        self.vectors: Array = array("matrix", matrix, ndim=2, shape="(d, K)")
        # Each column by its own largest entry first: neither tiny nor huge columns may under- or overflow when squared.
        tops = np.abs(self.vectors).max(axis=0, initial=0.0)
        unit: Array = self.vectors / np.where(tops > 0, tops, 1.0)
        norms = np.sqrt(np.einsum("ij,ij->j", unit, unit))
        unit /= np.where(norms > 0, norms, 1.0)
        top = float(tops.max(initial=0.0))
        lengths = norms * (tops / top) if top > 0 else norms
        relative = float(lengths.max(initial=0.0))
        self.longest = top * relative
        self.lengths: Array = lengths / relative if relative > 0 else lengths
        self.unit = unit

    @cached_property
    def unit_gram(self) -> Array:
        """``<x_j, x_k> / (|x_j| |x_k|)``, shape (K, K), not clipped; zero for zero columns."""
        return np.asarray(self.unit.T @ self.unit)

    @property
    def is_zero(self) -> bool:
        """Whether all vectors are zero.

        >>> Arrangement([[0.0, 0.0]]).is_zero
        True
        """
        return self.longest == 0

    def cosines(self, zero: float = 1e-12) -> Array:
        """Cosines in [-1, 1], shape (K, K); columns shorter than ``zero`` times the longest count as zero.

        Two zero columns have cosine 1 (they coincide), a zero and a nonzero column have cosine 0.

        >>> Arrangement([[3.0, 0.0, -2.0]]).cosines()
        array([[ 1.,  0., -1.],
               [ 0.,  1.,  0.],
               [-1.,  0.,  1.]])
        """
        vanishing = self.lengths <= zero * self.lengths.max(initial=0.0)
        cosines = np.clip(self.unit_gram, -1.0, 1.0)
        cosines[vanishing, :] = 0.0
        cosines[:, vanishing] = 0.0
        cosines[np.ix_(vanishing, vanishing)] = 1.0
        return cosines

    @cached_property
    def pairs(self) -> Array:
        """Cosines over all pairs j < k, row by row, shape (K(K-1)/2,)."""
        return above_diagonal(self.cosines())

    @cached_property
    def gram(self) -> Array:
        """``M^T M`` over the square of the longest length, shape (K, K)."""
        return self.unit_gram * self.lengths[:, None] * self.lengths


def above_diagonal(matrix: Array) -> Array:
    """Entries j < k of a square matrix, row by row.

    >>> above_diagonal(np.arange(9).reshape(3, 3))
    array([1, 2, 5])
    """
    return matrix[np.triu(np.ones(matrix.shape, dtype=bool), 1)]


def gram_etf_error(gram: Array) -> float:
    """``|G/|G|_F - (I - 11^T/K)/sqrt(K-1)|_F`` of a Gram matrix G of any scale that does not overflow; 1.0 for zero.

    >>> gram_etf_error(2 * np.eye(2) - 1) < 1e-12
    True
    """
    size = float(np.linalg.norm(gram))
    if size == 0:
        return 1.0
    target = simplex_etf_gram(len(gram))
    return float(np.linalg.norm(gram / size - target / np.linalg.norm(target)))
