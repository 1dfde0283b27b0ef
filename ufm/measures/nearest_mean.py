"""NC4, the nearest class mean as a classifier: how often the network decides as it does."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ufm._validation import array
from ufm.measures._input import LARGEST, Array, IntArray, checked_features, checked_labels, chunks

__all__ = ["NearestMean", "nearest_mean_agreement"]

#: What differs by less than this, relative to the squared sizes that it comes from, is equal but for round-off.
ROUND_OFF = 1e-12


def nearest_mean_agreement(features: Any, means: Any, predictions: Any) -> float:
    """NC4: fraction of the samples whose predicted class has the nearest class mean, ``argmin_k |h - m_k|``.

    Where several means are equally near, each of them counts as the nearest (collapsed classes share one mean); equal
    is what differs in ``|h - m_k|^2`` by less than 1e-12 of the squared size of h and the means.

    Args:
        features: h, shape (n, d).
        means: class means, shape (d, K).
        predictions: the network's classes, integers in 0..K-1, shape (n,).

    Returns:
        A number in [0, 1].

    Raises:
        TypeError, ValueError: arrays that are not of these shapes and kinds, or no samples.

    Source: Papyan, Han, Donoho 2020 (NC4; they report one minus this).

    >>> nearest_mean_agreement([[0.9], [-0.2]], [[1.0, -1.0]], [0, 0])  # the second is nearer to class 1
    0.5
    """
    m = array("means", means, ndim=2, largest=LARGEST)
    x = checked_features(features)
    if not len(x):
        raise ValueError("features must hold at least one sample, got none")
    y = checked_labels("predictions", predictions, num_classes=m.shape[1], length=len(x))
    if x.shape[1] != len(m):
        raise ValueError(f"features must have d = {len(m)} columns to match means, got {x.shape[1]}")
    return NearestMean(m).count_agreements(x, y) / len(x)


class NearestMean:
    """The classifier that takes the nearest of given class means.

    Args:
        means: class means, shape (d, K).

    >>> NearestMean(np.array([[1.0, -1.0]])).count_agreements(np.array([[0.9], [-0.2]]), np.array([0, 0]))
    1
    """

    def __init__(self, means: Array) -> None:
        self._offset = means.mean(axis=1)
        self._means = means - self._offset[:, None]
        self._squares = (self._means**2).sum(axis=0)
        self._longest = math.sqrt(self._squares.max())

    def count_agreements(self, features: NDArray[Any], predictor: IntArray | tuple[Array, Array]) -> int:
        """How many rows of features (n, d) agree, see :meth:`agreements`."""
        return int(self.agreements(features, predictor).sum())

    def agreements(self, features: NDArray[Any], predictor: IntArray | tuple[Array, Array]) -> NDArray[np.bool_]:
        """Which rows of features (n, d) have a nearest class mean where the predictor says, shape (n,).

        Args:
            features: shape (n, d), finite.
            predictor: classes, shape (n,), or (W, b) whose ``argmax(W h + b)`` they are.
        """
        agreements = np.zeros(len(features), dtype=bool)
        for rows in chunks(len(features)):
            chunk = features[rows].astype(np.float64)
            if isinstance(predictor, tuple):
                w, b = predictor
                predicted = (chunk @ w.T + b).argmax(axis=1)
            else:
                predicted = predictor[rows]
            chunk -= self._offset
            # |h - m_k|^2 less the common |h|^2, and what round-off can make of two equal ones.
            distances = self._squares - 2 * chunk @ self._means
            slack = ROUND_OFF * self._longest * (self._longest + np.linalg.norm(chunk, axis=1))
            agreements[rows] = distances[np.arange(len(chunk)), predicted] <= distances.min(axis=1) + slack
        return agreements
