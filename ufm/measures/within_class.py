"""NC1, within-class variability: how far the samples of a class differ, against how far the classes are apart."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ufm._validation import array
from ufm.geometry import centred
from ufm.geometry.arrangement import Arrangement, above_diagonal
from ufm.measures._input import LARGEST, LARGEST_SQUARE, Array
from ufm.measures.span import Span, span_of_means

__all__ = ["cdnv", "nc1", "trace_quotient"]

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
    span = span_of_means(m)
    return None if span.arrangement.is_zero else nc1_along(s_w, span)


def nc1_along(within_covariance: Array, span: Span) -> float:
    """:func:`nc1` of class means whose span is known.

    >>> nc1_along(np.array([[0.25]]), span_of_means(np.array([[1.0, -1.0]])))
    0.125
    """
    p = span.inverse_factor
    return max(0.0, float((p * ((within_covariance / span.scale / span.scale) @ p)).sum()))


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
    return trace_quotient_of(float(np.trace(s_w)), Arrangement(centred(m)))


def trace_quotient_of(within: float, centred_means: Arrangement) -> float | None:
    """:func:`trace_quotient` where ``tr S_W`` is known.

    >>> trace_quotient_of(0.25, Arrangement([[1.0, -1.0]]))
    0.25
    """
    if centred_means.is_zero:
        return None
    top, lengths = centred_means.longest, centred_means.lengths
    return within / top / top / (float(lengths @ lengths) / len(lengths))


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
    return cdnv_of(v, m, Arrangement(m - m.mean(axis=1, keepdims=True)))


def cdnv_of(variances: Array, means: Array, deviations: Arrangement) -> float | None:
    """:func:`cdnv` where the arrangement of the means less a common vector is known.

    >>> cdnv_of(np.array([0.25, 0.25]), np.array([[2.0, 0.0]]), Arrangement([[1.0, -1.0]]))
    0.0625
    """
    if deviations.is_zero:
        return None
    # By a power of 2, which rounds nothing: near means are subtracted below.
    exponent = math.frexp(float(np.abs(means).max()))[1]
    m, v = np.ldexp(means, -exponent), np.ldexp(variances, -2 * exponent)
    distances = _squared_distances(m, deviations, math.ldexp(deviations.longest, -exponent))
    if distances.min() <= (COINCIDENT * float(np.linalg.norm(m, axis=0).max())) ** 2:
        return None
    return float((above_diagonal(v[:, None] + v) / (2 * distances)).mean())


def _squared_distances(means: Array, deviations: Arrangement, longest: float) -> Array:
    """``|m_j - m_k|^2`` of the pairs j < k, accurate for near ones too; deviations are the same with another length."""
    squares = (longest * deviations.lengths) ** 2
    sizes = above_diagonal(squares[:, None] + squares)
    distances: Array = sizes - 2 * longest**2 * above_diagonal(deviations.gram)
    # |m_j|^2 + |m_k|^2 - 2 <m_j, m_k> cancels where means are near, and near pairs weigh most.
    near = np.flatnonzero(distances <= NEAR * sizes)
    if len(near):
        i, j = (index[near] for index in np.triu_indices(means.shape[1], 1))
        for part in np.array_split(np.arange(len(near)), 1 + near.size * len(means) // 2**22):
            distances[near[part]] = ((means[:, i[part]] - means[:, j[part]]) ** 2).sum(axis=0)
    return distances


def _covariance_and_means(within_covariance: Any, means: Any) -> tuple[Array, Array]:
    s_w = array("within_covariance", within_covariance, ndim=2, largest=LARGEST_SQUARE)
    m = array("means", means, ndim=2, largest=LARGEST)
    if s_w.shape != (len(m), len(m)):
        raise ValueError(f"within_covariance must have shape (d, d) = {(len(m), len(m))}, got {s_w.shape}")
    return s_w, m
