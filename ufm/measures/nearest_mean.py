"""NC4, the nearest class mean as a classifier: how often the network decides as it does."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ufm._validation import array
from ufm.geometry.arrangement import Arrangement
from ufm.measures._input import LARGEST, Array, IntArray, checked_features, checked_labels, chunks
from ufm.measures.head import Head, decided_near
from ufm.measures.span import Span

__all__ = ["LinearDecisions", "NearestMean", "nearest_mean_agreement"]

#: What differs by less than this, relative to the squared sizes that it comes from, is equal but for round-off.
ROUND_OFF = 1e-12

#: A mean whose next lies nearer than this fraction of the longest is compared by all distances; also what is left
#: between half of that distance and what counts as within it: the squares then differ by much more than round-off.
FAR = 1e-3

#: Sizes up to which single precision is tried, and what vanishes there at most of entries that are smaller than it has.
LARGEST_SINGLE, VANISHING = 1e15, 1e-24


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
        deviations: the arrangement of class means less their mean, where it is at hand.

    Attributes:
        means: class means, a row each, shape (K, d).

    >>> NearestMean(np.array([[1.0, -1.0]])).count_agreements(np.array([[0.9], [-0.2]]), np.array([0, 0]))
    1
    """

    def __init__(self, means: Array, deviations: Arrangement | None = None) -> None:
        self.means: Array = np.ascontiguousarray(means.T)
        self._offset = means.mean(axis=1)
        self._centred = self.means - self._offset
        self._squares = np.einsum("ij,ij->i", self._centred, self._centred)
        self._longest = math.sqrt(self._squares.max())
        self._norms = np.linalg.norm(self.means, axis=1)
        self._away = float(np.linalg.norm(self._offset))
        with np.errstate(over="ignore", under="ignore"):
            level = self._squares / 2 + self._centred @ self._offset
            self._single = np.ascontiguousarray(self._centred.T, dtype=np.float32), level.astype(np.float32)
        self._unit = (len(means) + 8) * 2.0**-24  # of d products, their sum, the conversions and the square
        self._reach = _half_distances(Arrangement(self._centred.T) if deviations is None else deviations)

    def count_agreements(self, features: NDArray[Any], predictor: IntArray | LinearDecisions) -> int:
        """How many rows of features (n, d) agree, see :meth:`agreements`."""
        return int(self.agreements(features, predictor).sum())

    def agreements(self, features: NDArray[Any], predictor: IntArray | LinearDecisions) -> NDArray[np.bool_]:
        """Which rows of features (n, d) have a nearest class mean where the predictor says, shape (n,).

        Args:
            features: shape (n, d), finite.
            predictor: classes, shape (n,), or what gives them of rows.
        """
        agreements = np.zeros(len(features), dtype=bool)
        for rows in chunks(features.shape):
            chunk = features[rows].astype(np.float64)
            if isinstance(predictor, LinearDecisions):
                predicted = predictor.of(features[rows], chunk)
            else:
                predicted = predictor[rows]
            distances = np.linalg.norm(chunk - self.means[predicted], axis=1)
            agreements[rows] = self.agree(chunk, distances, predicted, predicted)
        return agreements

    def agree(self, rows: Array, distances: Array, predicted: IntArray, guesses: IntArray) -> NDArray[np.bool_]:
        """:meth:`agreements` of rows whose distances from a guess are known.

        Args:
            rows: shape (n, d), of any float type.
            distances: of the rows from the means of their guesses, shape (n,).
            predicted: shape (n,).
            guesses: a class for every row, such as its label, whose mean is tried first; they change no result.
        """
        # Within half the distance to the next mean no other can be nearer, whatever the number of classes.
        agreements: NDArray[np.bool_] = predicted == guesses
        undecided = np.flatnonzero(distances >= self._reach[guesses])
        if len(undecided):
            left = rows if len(undecided) == len(rows) else rows[undecided]
            norms = distances[undecided] + self._norms[guesses[undecided]]
            agreements[undecided] = self._by_all_distances(left, predicted[undecided], norms)
        return agreements

    def _by_all_distances(self, rows: NDArray[Any], predicted: IntArray, norms: Array) -> NDArray[np.bool_]:
        """In single precision where its error bound leaves no doubt, else in double; norms are the rows', or larger."""
        each = np.arange(len(rows))
        with np.errstate(over="ignore", invalid="ignore", under="ignore"):
            # <h, c_k> - <c_k, c_k>/2 - <o, c_k> for means c_k less their mean o: the largest is of the nearest.
            nearness = rows.astype(np.float32, copy=False) @ self._single[0]
            nearness -= self._single[1]
            own = nearness[each, predicted].astype(np.float64)
            nearness[each, predicted] = -np.inf
            ahead = own - nearness.max(axis=1)
            error = self._unit * self._longest * (norms + self._longest + self._away)
            sure = np.abs(ahead) > 2 * error + VANISHING
        sure &= np.maximum(norms, self._longest * (self._longest + self._away)) <= LARGEST_SINGLE
        found: NDArray[np.bool_] = ahead > 0
        doubtful = np.flatnonzero(~sure)
        if len(doubtful):
            found[doubtful] = self._in_double(rows[doubtful] - self._offset, predicted[doubtful])
        return found

    def _in_double(self, centred: Array, predicted: IntArray) -> NDArray[np.bool_]:
        # |h - m_k|^2 less the common |h|^2, and what round-off can make of two equal ones.
        distances = self._squares - 2 * centred @ self._centred.T
        slack = ROUND_OFF * self._longest * (self._longest + np.linalg.norm(centred, axis=1))
        found: NDArray[np.bool_] = distances[np.arange(len(centred)), predicted] <= distances.min(axis=1) + slack
        return found


def _half_distances(means: Arrangement) -> Array:
    """Half the distance from every mean to the next, shape (K,); 0 where that is not large against round-off."""
    squares = means.lengths**2
    distances = squares[:, None] + squares - 2 * means.gram
    np.fill_diagonal(distances, np.inf)
    nearest = np.sqrt(np.maximum(0.0, distances.min(axis=1)))
    return np.where(nearest > FAR, (0.5 - FAR) * means.longest * nearest, 0.0)


class LinearDecisions:
    """The classes ``argmax(W h + b)``: in single precision where its error bound leaves no doubt, else in double.

    Args:
        classifier: W, shape (K, d).
        bias: b, shape (K,).
        near: of every class mean what is decided there, (K,), and within what distance nothing else is, (K,); see
            :func:`~ufm.measures.head.decided_near`.

    >>> LinearDecisions(np.eye(2), np.zeros(2)).of(np.array([[1.0, 3.0]]), np.array([[1.0, 3.0]]))
    array([1])
    """

    def __init__(self, classifier: Array, bias: Array, near: tuple[IntArray, Array] | None = None) -> None:
        self._near = (np.zeros(len(bias), dtype=np.int64), np.zeros(len(bias))) if near is None else near
        self._w, self._b = classifier, bias
        with np.errstate(over="ignore", under="ignore"):
            self._single = np.ascontiguousarray(classifier.T, dtype=np.float32), bias.astype(np.float32)
        self._longest = math.sqrt(float((classifier**2).sum(axis=1).max()))
        self._unit = (classifier.shape[1] + 8) * 2.0**-24  # of d products, their sum, the conversions and the bias
        self._largest_bias = float(np.abs(bias).max())
        self._largest = max(self._longest, self._largest_bias)

    @classmethod
    def of_head(cls, head: Head, means: Span) -> LinearDecisions:
        """Those of a head, which about the class means are known beforehand."""
        return cls(head.weight, head.bias, decided_near(head, means.arrangement, means.centre))

    def of_labelled(self, features: NDArray[Any], labels: IntArray, distances: Array, norms: Array) -> IntArray:
        """The classes of rows (n, d) at some distances from the means of their labels; norms are theirs, or larger."""
        found: IntArray = self._near[0][labels]
        doubtful = np.flatnonzero(~(distances < self._near[1][labels]))
        if len(doubtful):
            rows = features if len(doubtful) == len(features) else features[doubtful]
            found[doubtful] = self.of(rows, rows, norms[doubtful])
        return found

    def of(self, features: NDArray[Any], exact: Array, norms: Array | None = None) -> IntArray:
        """The classes of rows: as they come, and what is converted to double precision; norms are theirs, or larger."""
        norms = np.linalg.norm(exact.astype(np.float64, copy=False), axis=1) if norms is None else norms
        error = self._unit * (norms * self._longest + self._largest_bias)
        with np.errstate(over="ignore", invalid="ignore", under="ignore"):
            logits = features.astype(np.float32, copy=False) @ self._single[0] + self._single[1]
            rows = np.arange(len(logits))
            found: IntArray = logits.argmax(axis=1)
            best = logits[rows, found].astype(np.float64)
            logits[rows, found] = -np.inf
            sure = best - logits.max(axis=1) > 2 * error + VANISHING
        sure &= np.maximum(norms, self._largest) <= LARGEST_SINGLE
        doubtful = np.flatnonzero(~sure)
        found[doubtful] = (exact[doubtful].astype(np.float64) @ self._w.T + self._b).argmax(axis=1)
        return found
