"""NC3, duality: how the classifier's rows and the class means stand to each other."""

from __future__ import annotations

from typing import Any

import numpy as np

from ufm._validation import array
from ufm.geometry.arrangement import gram_etf_error
from ufm.measures._input import LARGEST, Array
from ufm.measures.between_class import variation

__all__ = ["class_margins", "duality_cosines", "logit_etf_error", "uniform_duality_cv"]


def duality_cosines(classifier: Any, means: Any) -> Array:
    """Cosines ``<w_k, m_k> / (|w_k| |m_k|)`` of every classifier with its class mean, shape (K,); 1 under self-duality.

    Args:
        classifier: W, shape (K, d).
        means: M, shape (d, K), as a rule centred class means.

    Returns:
        Numbers in [-1, 1]; 0 where one of the two is zero.

    Raises:
        TypeError, ValueError: not real finite matrices of transposed shapes.

    Source: Wu and Papyan 2024 (similarities of NC3).

    >>> duality_cosines([[2.0, 0.0], [0.0, 1.0]], [[1.0, 1.0], [0.0, 0.0]])
    array([1., 0.])
    """
    w, m = _pair(classifier, means)
    w, m = _unit_rows(w), _unit_rows(m.T)
    return np.clip((w * m).sum(axis=1), -1.0, 1.0)


def uniform_duality_cv(classifier: Any, means: Any) -> float | None:
    """Coefficient of variation of :func:`duality_cosines` (UNC3): 0 iff every class is as dual as the others.

    Args:
        classifier: W, shape (K, d).
        means: M, shape (d, K), as a rule centred class means.

    Returns:
        A number >= 0; None where the mean cosine is zero (to 1e-12).

    Raises:
        TypeError, ValueError: not real finite matrices of transposed shapes.

    Source: Wu and Papyan 2024 (uniform duality).

    >>> uniform_duality_cv([[2.0, 0.0], [0.0, 1.0]], [[1.0, 1.0], [0.0, 0.0]])
    1.0
    """
    return variation(duality_cosines(classifier, means))


def logit_etf_error(classifier: Any, means: Any) -> float:
    """``|W M/|W M|_F - (I - 11^T/K)/sqrt(K-1)|_F``, Zhu's NC3: 0 iff the class-mean logits are an ETF's, up to scale.

    Args:
        classifier: W, shape (K, d), K >= 2.
        means: M, shape (d, K), as a rule centred class means.

    Returns:
        A number in [0, 2]; 1.0 where W M = 0.

    Raises:
        TypeError, ValueError: not real finite matrices of transposed shapes.

    Source: Zhu et al. 2021 (their NC3).

    >>> from ufm.geometry import simplex_etf
    >>> logit_etf_error(3 * simplex_etf(4).T, simplex_etf(4)) < 1e-12
    True
    """
    w, m = _pair(classifier, means)
    return gram_etf_error(scaled_logits(w, m)[0])


def scaled_logits(classifier: Array, means: Array) -> tuple[Array, float]:
    """``W M`` over the product of the largest entries of both, and that product: nothing over- or underflows.

    >>> scaled_logits(np.array([[2.0, 0.0], [0.0, 1.0]]), np.array([[1.0, 4.0], [0.0, 8.0]]))
    (array([[0.125, 0.5  ],
           [0.   , 0.5  ]]), 16.0)
    """
    tops = float(np.abs(classifier).max()), float(np.abs(means).max())
    scaled = [x / top if top > 0 else x for x, top in zip((classifier, means), tops, strict=True)]
    return scaled[0] @ scaled[1], tops[0] * tops[1]


def class_margins(logits: Any) -> Array:
    """Margins ``z_kk - max_{j != k} z_jk`` of class-mean logits, shape (K,): how far every class mean is on its side.

    Args:
        logits: Z, shape (K, K), column k the logits of class k, K >= 2; ``W [m_1 .. m_K] + b 1^T``.

    Raises:
        TypeError, ValueError: not a real finite square matrix of at least two columns.

    Source: the margins of Ji et al. 2022.

    >>> class_margins([[2.0, 0.0], [1.0, 3.0]])
    array([1., 3.])
    """
    z = array("logits", logits, ndim=2, largest=LARGEST**2)
    if z.shape[0] != z.shape[1] or len(z) < 2:
        raise ValueError(f"logits must be square with at least 2 columns, got shape {z.shape}")
    others = np.where(np.eye(len(z), dtype=bool), -np.inf, z)
    return np.diag(z) - others.max(axis=0)


def _pair(classifier: Any, means: Any) -> tuple[Array, Array]:
    w = array("classifier", classifier, ndim=2, largest=LARGEST)
    m = array("means", means, ndim=2, largest=LARGEST)
    if w.shape != m.T.shape:
        raise ValueError(f"means must have shape (d, K) = {w.T.shape} to match classifier, got {m.shape}")
    if len(w) < 2:
        raise ValueError(f"classifier must have at least 2 rows, got {len(w)}")
    return w, m


def _unit_rows(x: Array) -> Array:
    """Rows of unit length; zero rows stay."""
    tops = np.abs(x).max(axis=1, keepdims=True)
    x = np.divide(x, tops, out=np.zeros_like(x), where=tops > 0)
    norms = np.linalg.norm(x, axis=1, keepdims=True)
    return np.divide(x, norms, out=np.zeros_like(x), where=norms > 0)
