"""NC1, within-class variability: how far the samples of a class differ, against how far the classes are apart."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ufm._validation import array
from ufm.geometry import centred
from ufm.measures._input import LARGEST, LARGEST_SQUARE, Array

__all__ = ["cdnv", "nc1", "trace_quotient"]

#: Singular values of M below this fraction of the largest count as zero in pinv(S_B).
PINV_TOLERANCE = 1e-7

#: Class means closer than this fraction of the longest coincide: the rest is round-off of the averages.
COINCIDENT = 1e-13

#: Means nearer than this, in |m_j - m_k|^2 over |m_j|^2 + |m_k|^2, are subtracted before they are squared.
NEAR = 0.05


def nc1(within_covariance: Any, means: Any) -> float | None:
    """Within-class variability ``tr(S_W pinv(S_B)) / K``: 0 iff features have no spread along the class means.

    With the compact singular value decomposition ``M = U s V^T`` it equals ``tr(s^{-1} U^T S_W U s^{-1})``. Singular
    values below 1e-7 of the largest count as zero.

    Args:
        within_covariance: S_W, shape (d, d).
        means: class means, shape (d, K); their unweighted mean is removed here.

    Returns:
        A number >= 0; None where all class means coincide, for then S_B = 0 and there is nothing to compare with.

    Raises:
        TypeError, ValueError: arrays that are not real, finite and of these shapes.

    Source: Papyan, Han, Donoho 2020 (NC1).

    >>> round(nc1([[0.25]], [[1.0, -1.0]]), 12)  # S_W = 1/4, S_B = 1, K = 2
    0.125
    """
    s_w, m = _covariance_and_means(within_covariance, means)
    m = centred(m)
    top = float(np.abs(m).max())
    if top == 0:
        return None
    u, s, _ = np.linalg.svd(m / top, full_matrices=False)
    keep = s > PINV_TOLERANCE * s[0]
    scaled = u[:, keep] / s[keep]
    return max(0.0, float((scaled * ((s_w / top / top) @ scaled)).sum()))


def trace_quotient(within_covariance: Any, means: Any) -> float | None:
    """``tr S_W / tr S_B``, the cheap variant of NC1.

    Args:
        within_covariance: S_W, shape (d, d).
        means: class means, shape (d, K); their unweighted mean is removed here.

    Returns:
        A number >= 0; None where all class means coincide (S_B = 0).

    Raises:
        TypeError, ValueError: arrays that are not real, finite and of these shapes.

    Source: the quotient of Hui, Belkin, Nakkiran 2022.

    >>> trace_quotient([[0.25]], [[1.0, -1.0]])
    0.25
    """
    s_w, m = _covariance_and_means(within_covariance, means)
    m = centred(m)
    top = float(np.abs(m).max())
    if top == 0:
        return None
    return float(np.trace(s_w) / top / top) / (float(((m / top) ** 2).sum()) / m.shape[1])


def cdnv(class_variances: Any, means: Any) -> float | None:
    """Class-distance normalised variance: mean over pairs j < k of ``(v_j + v_k) / (2 |m_j - m_k|^2)``.

    Args:
        class_variances: ``v_k = (1/n_k) sum_i |h_ki - m_k|^2``, shape (K,).
        means: class means, shape (d, K).

    Returns:
        A number >= 0; None where two class means coincide (to 1e-13 of the longest), as under minority collapse.

    Raises:
        TypeError, ValueError: arrays that are not real, finite and of these shapes, or a negative variance.

    Source: Galanti, Gyorgy, Hutter 2022.

    >>> cdnv([0.25, 0.25], [[1.0, -1.0]])  # (1/4 + 1/4) / (2 * 2^2)
    0.0625
    """
    m = array("means", means, ndim=2, largest=LARGEST)
    v = array("class_variances", class_variances, ndim=1, largest=LARGEST_SQUARE)
    k = m.shape[1]
    if k < 2:
        raise ValueError(f"means must have at least 2 columns, got {k}")
    if v.shape != (k,):
        raise ValueError(f"class_variances must have shape (K,) = {(k,)}, got {v.shape}")
    if (v < 0).any():
        raise ValueError(f"class_variances must be >= 0, got {float(v.min())!r}")
    top = float(np.abs(m).max())
    if top == 0:
        return None
    # By a power of 2, which rounds nothing: near means are subtracted below.
    exponent = math.frexp(top)[1]
    m, v = np.ldexp(m, -exponent), np.ldexp(v, -2 * exponent)
    pairs = np.triu_indices(k, 1)
    distances = _squared_distances(m, pairs)
    if distances.min() <= (COINCIDENT * float(np.linalg.norm(m, axis=0).max())) ** 2:
        return None
    return float(((v[pairs[0]] + v[pairs[1]]) / (2 * distances)).mean())


def _squared_distances(means: Array, pairs: tuple[np.ndarray, np.ndarray]) -> Array:
    """``|m_j - m_k|^2`` of the pairs, accurate for near ones too."""
    m = means - means.mean(axis=1, keepdims=True)
    squares = (m**2).sum(axis=0)
    sizes = squares[pairs[0]] + squares[pairs[1]]
    distances: Array = sizes - 2 * (m.T @ m)[pairs]
    # |m_j|^2 + |m_k|^2 - 2 <m_j, m_k> cancels where means are near, and near pairs weigh most.
    near = np.flatnonzero(distances <= NEAR * sizes)
    for part in np.array_split(near, 1 + near.size * len(m) // 2**22):
        distances[part] = ((means[:, pairs[0][part]] - means[:, pairs[1][part]]) ** 2).sum(axis=0)
    return distances


def _covariance_and_means(within_covariance: Any, means: Any) -> tuple[Array, Array]:
    s_w = array("within_covariance", within_covariance, ndim=2, largest=LARGEST_SQUARE)
    m = array("means", means, ndim=2, largest=LARGEST)
    if s_w.shape != (len(m), len(m)):
        raise ValueError(f"within_covariance must have shape (d, d) = {(len(m), len(m))}, got {s_w.shape}")
    return s_w, m
