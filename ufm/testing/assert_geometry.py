"""Assertions about frames, classifiers and features: the simplex ETF, self-duality, within-class collapse."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from ufm._validation import as_array, positive
from ufm.geometry.distances import self_duality_error
from ufm.testing._failing import Array, fail
from ufm.testing._failing import matrix as _matrix

__all__ = ["assert_collapsed", "assert_etf", "assert_self_dual"]

#: Distances are relative to at least this, where features have no size of their own.
SMALLEST = 1e-300


def assert_etf(matrix: ArrayLike, *, tol: float = 1e-8) -> None:
    """Assert that the columns of a (d, K) matrix form a simplex ETF up to rotation and scale.

    Every length must be the mean length, every cosine ``-1/(K-1)``, to within ``tol`` (relative, and absolute); then
    the columns sum to zero as well.

    Args:
        matrix: shape (d, K).
        tol: positive.

    Raises:
        AssertionError: they do not, or are not finite; the message says which column is farthest off, and how far.
        TypeError, ValueError: no matrix of real numbers, one column, or a tolerance that is not positive and finite.

    >>> from ufm.geometry import simplex_etf
    >>> assert_etf(3 * simplex_etf(4, seed=0))
    >>> assert_etf([[1.0, 0.0], [0.0, 1.0]])
    Traceback (most recent call last):
        ...
    AssertionError: not a simplex ETF
      - columns 0 and 1 have cosine 0, not -1/(K-1) = -1 (tol 1e-08)
    """
    tol = positive("tol", tol)
    m = _matrix("matrix", matrix)
    k = m.shape[1]
    if k < 2:
        raise ValueError(f"matrix must have at least 2 columns, got shape {m.shape}")
    lengths = np.linalg.norm(m, axis=0)
    if not lengths.all():
        fail("not a simplex ETF", [f"column {int(lengths.argmin())} is zero"])
    wrong = []
    far = np.abs(lengths / lengths.mean() - 1)
    if far.max() > tol:
        i = int(far.argmax())
        wrong.append(
            f"column {i} has length {lengths[i]:.6g}, {far[i]:.2g} off the mean {lengths.mean():.6g} (tol {tol:g})"
        )
    cosines = (m / lengths).T @ (m / lengths)
    far = np.abs(cosines + 1 / (k - 1))
    np.fill_diagonal(far, 0.0)
    if far.max() > tol:
        i, j = sorted(int(x) for x in np.unravel_index(far.argmax(), far.shape))
        wrong.append(
            f"columns {i} and {j} have cosine {cosines[i, j]:.6g}, not -1/(K-1) = {-1 / (k - 1):.6g} (tol {tol:g})"
        )
    fail("not a simplex ETF", wrong)


def assert_self_dual(classifier: ArrayLike, means: ArrayLike, *, tol: float = 1e-8) -> None:
    """Assert that a classifier (K, d) is the transpose of class means (d, K) up to one positive scale (NC3).

    Args:
        classifier: W, shape (K, d).
        means: M, shape (d, K), as a rule centred.
        tol: bound > 0 of ``|W/|W| - M^T/|M||``.

    Raises:
        AssertionError: it is not, or one of them is not finite; the message names the class that is farthest off.
        TypeError, ValueError: no matrices of transposed shapes, or a tolerance that is not positive and finite.

    >>> assert_self_dual([[2.0, 0.0], [0.0, 2.0]], [[1.0, 0.0], [0.0, 1.0]])
    """
    tol = positive("tol", tol)
    w, m = _matrix("classifier", classifier), _matrix("means", means)
    error = self_duality_error(w, m)
    if error <= tol:
        return
    rows = np.linalg.norm(_unit(w) - _unit(m).T, axis=1)
    worst = int(rows.argmax())
    fail(
        "classifier and class means are not dual",
        [
            f"|W/|W| - M^T/|M|| = {error:.3g} (tol {tol:g})",
            f"class {worst} is farthest, with {rows[worst]:.3g}; its classifier and mean have cosine "
            f"{_cosine(w[worst], m[:, worst]):.6g}",
        ],
    )


def assert_collapsed(features: ArrayLike, labels: ArrayLike, *, tol: float = 1e-6) -> None:
    """Assert within-class collapse (NC1): every sample (N, d) at its class mean.

    Distances are relative to the root mean square distance of the class means from their mean (to that of the features
    from 0 where the means coincide).

    Args:
        features: shape (N, d), one row a sample.
        labels: shape (N,), whatever tells the classes apart.
        tol: bound > 0 of the relative distances.

    Raises:
        AssertionError: a sample is farther, or not finite; the message says which, and how many are.
        TypeError, ValueError: arrays of other shapes, or a tolerance that is not positive and finite.

    >>> assert_collapsed([[1.0], [1.0], [-1.0]], ["a", "a", "b"])
    """
    tol = positive("tol", tol)
    x, y = _matrix("features", features), as_array("labels", labels)
    if y.shape != x.shape[:1]:
        raise ValueError(f"labels must have shape {x.shape[:1]} to match features, got {y.shape}")
    if y.dtype.kind == "f" and not np.isfinite(y).all():
        raise ValueError(f"labels must be finite, got {y[~np.isfinite(y)][0]}")
    classes, members = np.unique(y, return_inverse=True)
    means = np.stack([x[members == c].mean(axis=0) for c in range(len(classes))])
    spread = math.sqrt(((means - means.mean(axis=0)) ** 2).sum() / len(classes))
    scale = spread if spread > 0 else max(float(np.sqrt((x**2).sum(axis=1).mean())), SMALLEST)
    distances = np.linalg.norm(x - means[members], axis=1) / scale
    worst = int(distances.argmax())
    if not distances[worst] <= tol:
        off = int((distances > tol).sum())
        fail(
            "features have not collapsed",
            [
                f"sample {worst} (class {y[worst]}) is {distances[worst]:.3g} from its class mean, in units of the "
                f"spread of the means (tol {tol:g})",
                f"{off} of {len(x)} samples are farther than the tolerance",
            ],
        )


def _unit(x: Array) -> Array:
    """``x/|x|``, and zero for zero."""
    size = float(np.linalg.norm(x))
    return x / size if size > 0 else x


def _cosine(a: Array, b: Array) -> float:
    return float(_unit(a) @ _unit(b))
