"""What a second pass over the samples gives, once the class means are known."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ufm.measures._input import IntArray, chunks
from ufm.measures.accumulators import FeatureStatistics
from ufm.measures.nearest_mean import LinearDecisions, NearestMean, classes_of
from ufm.measures.span import Span

__all__ = ["SecondPass"]


class SecondPass:
    """NC4 by classes, and NC1 along the span of the class means, for which no (d, d) covariance is needed.

    ``tr(S_W pinv(S_B)) / K = (1/N) sum_i |P^T (h_i - m_i)|^2`` with ``P P^T = pinv(M M^T)`` costs n d K where a
    covariance costs n d^2.

    Args:
        statistics: of the first pass over the same samples; NC1 is left to those with covariance.
        span: of the class means.

    Attributes:
        seen: samples so far.
        agreements: among those of every class, samples that NC4 counts, shape (K,).

    >>> features, labels = np.array([[0.5], [1.5], [-0.5], [-1.5]]), np.array([0, 0, 1, 1])
    >>> from ufm.measures.span import span_of_means
    >>> statistics = FeatureStatistics(2, covariance=False).update(features, labels)
    >>> found = SecondPass(statistics, span_of_means(statistics.means))
    >>> found.add(features, labels, labels)
    >>> round(found.nc1, 12), found.agreements
    (0.125, array([2., 2.]))
    """

    def __init__(self, statistics: FeatureStatistics, span: Span) -> None:
        self._nearest = NearestMean(statistics.means, span.arrangement)
        self._norms = np.linalg.norm(self._nearest.means, axis=1)
        self._span = None if statistics.has_covariance or span.arrangement.is_zero else span
        self._spread = 0.0
        self.seen = 0
        self.agreements = np.zeros(statistics.num_classes)

    def add(self, features: NDArray[Any], labels: IntArray, predictor: IntArray | LinearDecisions | None) -> None:
        """Add samples, checked: features (n, d), labels (n,), and predicted classes (n,) or what gives them."""
        self.seen += len(features)
        for rows in chunks(features.shape):
            exact, y = features[rows].astype(np.float64), labels[rows]
            deviations = self._nearest.means[y]
            np.subtract(exact, deviations, out=deviations)
            if self._span is not None:
                along = deviations @ self._span.inverse_factor
                along /= self._span.scale
                self._spread += float(np.vdot(along, along))
            if predictor is not None:
                distances = np.sqrt(np.einsum("ij,ij->i", deviations, deviations))
                predicted = classes_of(predictor, features, exact, rows, distances + self._norms[y])
                agree = self._nearest.agree(exact, distances, predicted, y)
                self.agreements += np.bincount(y[agree], minlength=len(self.agreements))

    @property
    def nc1(self) -> float | None:
        """``tr(S_W pinv(S_B)) / K`` of the samples seen; None where statistics give it or all class means coincide."""
        return None if self._span is None else self._spread / self.seen
