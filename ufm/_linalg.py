"""Decompositions that end on every finite matrix.

NumPy's take LAPACK's divide and conquer, which now and then finds no eigenvalues of a finite matrix where entries of
very different sizes meet (29 rows between 1e-44 and 1, as Newton's method on factors writes down beside features at
0). The QR iteration, slower and without that fault, takes those over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["eigh", "eigvalsh", "svd", "svdvals"]

Array = NDArray[np.float64]


def eigh(matrix: Any) -> tuple[Array, Array]:
    """Return the eigenvalues, ascending, and eigenvectors of symmetric matrices ``(..., n, n)``, as ``np.linalg.eigh``.

    Raises:
        numpy.linalg.LinAlgError: the matrix has an entry that is not finite.

    >>> eigh(np.diag([2.0, 1.0]))[0]
    array([1., 2.])
    """
    matrix = np.asarray(matrix)
    try:
        values, vectors = np.linalg.eigh(matrix)
    except np.linalg.LinAlgError:
        from scipy.linalg import eigh as by_iteration

        values, vectors = _one_by_one(matrix, lambda one: by_iteration(one, driver="ev"))
    return values, vectors


def eigvalsh(matrix: Any) -> Array:
    """Return the eigenvalues of symmetric matrices, ascending, as ``np.linalg.eigvalsh``; raises as :func:`eigh`.

    >>> eigvalsh(np.diag([2.0, 1.0]))
    array([1., 2.])
    """
    try:
        return np.asarray(np.linalg.eigvalsh(matrix))
    except np.linalg.LinAlgError:
        return eigh(matrix)[0]


def svd(matrix: Any, full_matrices: bool = True) -> tuple[Array, Array, Array]:
    """Return U, the singular values and V^T of matrices ``(..., m, n)``, as ``np.linalg.svd``.

    Raises:
        numpy.linalg.LinAlgError: the matrix has an entry that is not finite.

    >>> svd(np.diag([1.0, 2.0]))[1]
    array([2., 1.])
    """
    matrix = np.asarray(matrix)
    try:
        u, values, v = np.linalg.svd(matrix, full_matrices=full_matrices)
    except np.linalg.LinAlgError:
        from scipy.linalg import svd as by_iteration

        options = {"full_matrices": full_matrices, "lapack_driver": "gesvd"}
        u, values, v = _one_by_one(matrix, lambda one: by_iteration(one, **options))
    return u, values, v


def svdvals(matrix: Any) -> Array:
    """Return the singular values of matrices, descending; raises as :func:`svd`.

    >>> svdvals(np.diag([1.0, 2.0]))
    array([2., 1.])
    """
    try:
        return np.asarray(np.linalg.svd(matrix, compute_uv=False))
    except np.linalg.LinAlgError:
        return svd(matrix, full_matrices=False)[1]


def _one_by_one(matrix: Array, decompose: Callable[[Array], tuple[Array, ...]]) -> Iterator[Array]:
    """The parts of a decomposition, each of all matrices ``(..., m, n)``."""
    if not np.isfinite(matrix).all():
        raise np.linalg.LinAlgError("a matrix with an entry that is not finite has no decomposition")
    found = [decompose(one) for one in matrix.reshape(-1, *matrix.shape[-2:])]
    return (np.reshape(parts, (*matrix.shape[:-2], *parts[0].shape)) for parts in zip(*found, strict=True))
