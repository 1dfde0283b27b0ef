"""What a second pass over the samples gives, once the class means are known."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ufm.measures._input import Array, IntArray, chunks
from ufm.measures.nearest_mean import LinearDecisions, NearestMean
from ufm.measures.span import Span

__all__ = ["SecondPass"]


class SecondPass:
    """What is about known class means: the spread of every class, NC1, and NC4 by classes.

    NC1 goes along the span of the class means where that costs less than a (d, d) covariance, n d K in place of n d^2:
    ``tr(S_W pinv(S_B)) / K = (1/N) sum_i |P^T (h_i - m_i)|^2`` with ``P P^T = pinv(M M^T)``.

    Args:
        means: class means, shape (d, K).
        span: of the class means.
        along: gather NC1 along the span.
        covariance: gather the covariance.

    Attributes:
        seen: samples so far.
        class_scatter: ``sum_i |h_ki - m_k|^2`` of every class, shape (K,).
        agreements: among those of every class, samples that NC4 counts, shape (K,).

    >>> features, labels = np.array([[0.5], [1.5], [-0.5], [-1.5]]), np.array([0, 0, 1, 1])
    >>> from ufm.measures.span import span_of_means
    >>> means = np.array([[1.0, -1.0]])
    >>> found = SecondPass(means, span_of_means(means), along=True)
    >>> found.add(features, labels, labels)
    >>> round(found.nc1, 12), found.class_scatter, found.agreements
    (0.125, array([0.5, 0.5]), array([2., 2.]))
    """

    def __init__(self, means: Array, span: Span, *, along: bool = False, covariance: bool = False) -> None:
        self._nearest = NearestMean(means, span.arrangement)
        self._norms = np.linalg.norm(self._nearest.means, axis=1)
        self._span = span if along and not span.arrangement.is_zero else None
        self._rows: list[Array] | None = [] if covariance else None
        self._scatter = np.zeros((len(means), len(means)) if covariance else (0, 0))
        self._spread = 0.0
        self.seen = 0
        self.class_scatter, self.agreements = np.zeros(means.shape[1]), np.zeros(means.shape[1])

    def add(self, features: NDArray[Any], labels: IntArray, predictor: IntArray | LinearDecisions | None) -> None:
        """Add samples, checked: features (n, d), labels (n,), and predicted classes (n,) or what gives them."""
        self.seen += len(features)
        for rows in chunks(features.shape):
            x, y = features[rows], labels[rows]
            deviations = self._nearest.means[y]
            np.subtract(x, deviations, out=deviations)
            squares = np.einsum("ij,ij->i", deviations, deviations)
            self.class_scatter += np.bincount(y, squares, len(self.class_scatter))
            self._spread_along(deviations)
            if predictor is not None:
                distances = np.sqrt(squares)
                if isinstance(predictor, LinearDecisions):
                    predicted = predictor.of_labelled(x, y, distances, distances + self._norms[y])
                else:
                    predicted = predictor[rows]
                agree = self._nearest.agree(x, distances, predicted, y)
                self.agreements += np.bincount(y[agree], minlength=len(self.agreements))

    def _spread_along(self, deviations: Array) -> None:
        if self._span is not None:
            along = deviations @ self._span.inverse_factor
            along /= self._span.scale
            self._spread += float(np.vdot(along, along))
        if self._rows is not None:
            self._rows.append(deviations)
            if sum(map(len, self._rows)) >= len(self._scatter):
                self._add_rows(self._rows)

    def _add_rows(self, rows: list[Array]) -> None:
        together = np.concatenate(rows)
        self._scatter += together.T @ together
        rows.clear()

    @property
    def scatter(self) -> Array | None:
        """``N S_W``, shape (d, d); None where it is not gathered."""
        if self._rows is None:
            return None
        if self._rows:
            self._add_rows(self._rows)
        return self._scatter

    @property
    def nc1(self) -> float | None:
        """``tr(S_W pinv(S_B)) / K`` of the samples seen; None where not gathered, or all class means coincide."""
        return None if self._span is None else self._spread / self.seen
