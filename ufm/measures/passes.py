"""Samples that come in batches, gone through: the class means first, then what is about them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from numpy.typing import NDArray

from ufm.measures._input import Array, IntArray, checked_features, checked_labels
from ufm.measures.accumulators import ClassMeans, FeatureStatistics, check_all_seen
from ufm.measures.nearest_mean import LinearDecisions
from ufm.measures.second_pass import SecondPass
from ufm.measures.span import Span, span_of_means

__all__ = ["Passes", "copies", "pairs_of"]

Predictor = IntArray | LinearDecisions | None

#: Bytes of features that are kept of batches that may not come again as they were.
KEPT = 1 << 28


class Passes:
    """The samples of (features, labels) batches.

    Lists and tuples hold the same samples each time and are gone through twice. Of what may draw others, such as a
    loader, copies are kept up to :data:`KEPT` bytes; beyond that all statistics come of one pass, with a covariance.

    Args:
        batches: (features, labels) batches, an iterable.
        num_classes: K.

    Attributes:
        means: class means, shape (d, K).
        span: of the class means.

    Raises:
        TypeError, ValueError: batches that are none, and classes without samples.

    >>> import numpy as np
    >>> found = Passes([(np.array([[0.5], [1.5], [-1.0]]), np.array([0, 0, 1]))], 2)
    >>> statistics, nc1, agreements = found.finish(np.array([0, 1, 1]))
    >>> found.means, statistics.class_variances, agreements
    (array([[ 1., -1.]]), array([0.25, 0.  ]), array([1., 1.]))
    """

    def __init__(self, batches: Iterable[Any], num_classes: int) -> None:
        self._batches = batches
        if isinstance(batches, list | tuple):
            self._kept: Sequence[Any] | None = batches
            self._first: ClassMeans | FeatureStatistics = ClassMeans(num_classes)
            everything: Iterable[Any] = pairs_of(batches)
        else:
            pairs = pairs_of(batches)
            kept, more = copies(pairs)
            self._kept = None if more else kept
            self._first = FeatureStatistics(num_classes) if more else ClassMeans(num_classes)
            everything = itertools.chain(kept, more, pairs)
        for features, labels in everything:
            self._first.update(features, labels)
        check_all_seen(self._first.counts)
        self.means: Array = self._first.means
        self.span: Span = span_of_means(self.means)

    def finish(self, predictor: Predictor) -> tuple[FeatureStatistics, float | None, NDArray[Any] | None]:
        """All statistics; NC1 where they have no covariance; and of every class the samples that NC4 counts, (K,).

        The last is None without a predictor, and for an iterator, which can be gone through only once.
        """
        asked = None if isinstance(self._batches, Iterator) else predictor
        if isinstance(self._first, FeatureStatistics) or self._kept is None:
            statistics, nc1, counted = self._first, None, None
        else:
            d, k = self.means.shape
            along = 2 * (k - 1) <= d  # n d K products then, against n d^2 / 2 of a covariance
            second = SecondPass(self.means, self.span, along=along, covariance=not along)
            same = self._kept is self._batches
            self._go_through(self._kept, second, asked if same else None)
            statistics, nc1 = self._first.statistics(second.class_scatter, second.scatter), second.nc1
            counted = second.agreements if same and asked is not None else None
        if asked is not None and counted is None:
            decided = SecondPass(self.means, self.span)
            self._go_through(self._batches, decided, asked)
            counted = decided.agreements if decided.seen else None
        assert isinstance(statistics, FeatureStatistics)
        return statistics, nc1, counted

    def _go_through(self, batches: Iterable[Any], found: SecondPass, predictor: Predictor) -> None:
        for features, labels in pairs_of(batches):
            x = checked_features(features)
            y = checked_labels("labels", labels, num_classes=self.means.shape[1], length=len(x))
            found.add(x, y, predictor)
        samples = int(self._first.counts.sum())
        if found.seen not in (0, samples):
            raise ValueError(
                f"features must give the same samples each time, got {samples} and then {found.seen}: "
                "pass an iterator to go through them once, without NC4"
            )


def copies(pairs: Iterator[tuple[Any, Any]]) -> tuple[list[tuple[Any, Any]], list[tuple[Any, Any]]]:
    """Copies of the first batches, up to :data:`KEPT` bytes, and the one after them, if there is one.

    >>> import numpy as np
    >>> copies(iter([(np.ones((1, 2)), np.array([0]))]))
    ([(array([[1., 1.]]), array([0]))], [])
    """
    kept: list[tuple[Any, Any]] = []
    size = 0
    for features, labels in pairs:
        x = checked_features(features)
        size += x.nbytes
        if size > KEPT:
            return kept, [(features, labels)]
        kept.append((x.copy(), checked_labels("labels", labels, num_classes=None, length=len(x)).copy()))
    return kept, []


def pairs_of(batches: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
    """The batches, each checked to be a pair.

    >>> list(pairs_of([([[1.0]], [0])]))
    [([[1.0]], [0])]
    """
    for i, batch in enumerate(batches):
        if not isinstance(batch, Sequence) or isinstance(batch, str | bytes) or len(batch) != 2:
            raise TypeError(f"features must give (features, labels) batches, got {type(batch).__name__} as batch {i}")
        yield batch[0], batch[1]
