"""Accumulators: what the measures need of features that come in batches, gathered in one pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ufm._validation import integer
from ufm.measures._input import Array, IntArray, checked_features, checked_labels, chunks

__all__ = ["ClassMeans", "FeatureStatistics"]

#: Entries of a batch up to which SciPy, which takes longer to load, is done without.
SMALL = 1 << 14


@dataclass(frozen=True)
class _Part:
    """Statistics of some samples, for the P classes that occur among them.

    Attributes:
        classes: which, shape (P,).
        counts: samples of each, shape (P,).
        means: of each, shape (P, d).
        class_scatter: ``sum_i |h_i - m|^2`` of each, shape (P,).
    """

    classes: IntArray
    counts: IntArray
    means: Array
    class_scatter: Array


class FeatureStatistics:
    """Counts, class means, within-class covariance and class variances of features that come in batches.

    Every batch is centred about its own class means and merged by Chan, Golub and LeVeque's update, in float64: the
    result is that of the two-pass formula, in any order of the batches. Memory is (d, d) + (K, d), never (K, d, d);
    a batch costs a product of its own rows, however many classes there are.

    Args:
        num_classes: K >= 2; labels are 0..K-1.
        covariance: gather the (d, d) within-class covariance too, which is most of the work; without it memory is
            (K, d), and the traces are known still.

    Source: Welford 1962; Chan, Golub, LeVeque 1983.

    >>> statistics = FeatureStatistics(2)
    >>> for features, labels in [([[0.5], [1.5]], [0, 0]), ([[-0.5], [-1.5]], [1, 1])]:
    ...     statistics = statistics.update(features, labels)
    >>> statistics.means, statistics.within_covariance
    (array([[ 1., -1.]]), array([[0.25]]))
    """

    def __init__(self, num_classes: int, *, covariance: bool = True) -> None:
        if not isinstance(covariance, bool):
            raise TypeError(f"covariance must be True or False, got {covariance!r}")
        self.has_covariance = covariance
        self._num_classes = integer("num_classes", num_classes, minimum=2)
        self._counts = np.zeros(self._num_classes, dtype=np.int64)
        self._class_scatter = np.zeros(self._num_classes)
        self._means: Array = np.zeros((self._num_classes, 0))
        self._scatter: Array = np.zeros((0, 0))
        # Rows whose Gram matrix is still to be added to the scatter: one product of many rows is faster than many.
        self._rows: list[Array] = []

    def update(self, features: Any, labels: Any) -> FeatureStatistics:
        """Add a batch: features (n, d) and integer labels (n,); NumPy arrays or torch tensors. Returns self.

        Raises:
            TypeError, ValueError: features that are not real, finite and (n, d), labels that are not integers in
                0..K-1, of another length, or another d than before. Nothing has been added then.
        """
        x = checked_features(features)
        y = checked_labels("labels", labels, num_classes=self._num_classes, length=len(x))
        self._check_dim("features", x.shape[1])
        if not len(x):
            return self
        self._allocate(x.shape[1])
        for rows in chunks(x.shape):
            part, deviations = _centred_by_class(x[rows].astype(np.float64), y[rows])
            self._absorb(part)
            self._keep(deviations)
        if sum(map(len, self._rows)) >= self.dim:
            self._add_rows()
        return self

    def merge(self, other: FeatureStatistics) -> FeatureStatistics:
        """The statistics of both data sets together, as a new object.

        Raises:
            TypeError, ValueError: not FeatureStatistics, of another K or d, or one with and one without covariance.
        """
        if not isinstance(other, FeatureStatistics):
            raise TypeError(f"other must be FeatureStatistics, got {other!r}")
        if other._num_classes != self._num_classes:
            raise ValueError(f"other must have {self._num_classes} classes, got {other._num_classes}")
        if other.has_covariance != self.has_covariance:
            raise ValueError(f"other must have covariance={self.has_covariance}, got {other.has_covariance}")
        merged = FeatureStatistics(self._num_classes, covariance=self.has_covariance)
        for part in (self, other):
            if part.num_samples:
                merged._check_dim("other", part.dim)
                merged._allocate(part.dim)
                present = np.flatnonzero(part._counts)
                counts, means, scatter = part._counts[present], part._means[present], part._class_scatter[present]
                merged._absorb(_Part(present, counts, means, scatter))
                if self.has_covariance:
                    merged._scatter += part._complete_scatter()
        return merged

    @property
    def num_classes(self) -> int:
        """K."""
        return self._num_classes

    @property
    def dim(self) -> int:
        """d; 0 before the first sample."""
        return self._means.shape[1]

    @property
    def counts(self) -> IntArray:
        """Samples n_k seen of every class, shape (K,)."""
        return self._counts.copy()

    @property
    def num_samples(self) -> int:
        """N."""
        return int(self._counts.sum())

    @property
    def means(self) -> Array:
        """Class means m_k, shape (d, K). Raises ValueError while a class has no samples."""
        self.check_complete()
        return self._means.copy().T

    @property
    def within_covariance(self) -> Array:
        """``S_W = (1/N) sum_k sum_i (h_ki - m_k)(h_ki - m_k)^T``, shape (d, d).

        Raises ValueError while a class has no samples, and for statistics without covariance.
        """
        self.check_complete()
        if not self.has_covariance:
            raise ValueError("within_covariance must be gathered from the start: FeatureStatistics(covariance=True)")
        return self._complete_scatter() / self.num_samples

    @property
    def class_variances(self) -> Array:
        """``v_k = (1/n_k) sum_i |h_ki - m_k|^2``, shape (K,). Raises ValueError while a class has no samples."""
        self.check_complete()
        return self._class_scatter / self._counts

    def check_complete(self) -> None:
        """Raise ValueError while a class has no samples; the message names such classes."""
        check_all_seen(self._counts)

    def _absorb(self, part: _Part) -> None:
        """Merge counts, means and class scatters; what the shift of the means adds to the scatter waits as rows."""
        old = self._counts[part.classes]
        share = part.counts / (old + part.counts)
        shift = part.means - self._means[part.classes]
        self._class_scatter[part.classes] += part.class_scatter + old * share * np.einsum("ij,ij->i", shift, shift)
        if self.has_covariance:
            self._keep((shift * np.sqrt(old * share)[:, None])[old > 0])
        shift *= share[:, None]
        self._means[part.classes] += shift
        self._counts[part.classes] += part.counts

    def _keep(self, rows: Array) -> None:
        if self.has_covariance:
            self._rows.append(rows)

    def _add_rows(self) -> None:
        rows = np.concatenate(self._rows)
        self._scatter += rows.T @ rows
        self._rows = []

    def _complete_scatter(self) -> Array:
        """``N S_W``, shape (d, d)."""
        if self._rows:
            self._add_rows()
        return self._scatter

    def _allocate(self, dim: int) -> None:
        if self.dim == 0:
            self._means = np.zeros((self._num_classes, dim))
            self._scatter = np.zeros((dim, dim) if self.has_covariance else (0, 0))

    def _check_dim(self, name: str, dim: int) -> None:
        if self.dim not in (0, dim):
            raise ValueError(f"{name} must have d = {self.dim} as before, got {dim}")


class ClassMeans:
    """Counts and class means alone, of samples that are gone through again for what is about the means.

    Sums are of what samples differ from the first one of their class: a large offset does no harm, and equal samples
    have exactly their own mean.

    Args:
        num_classes: K >= 2; labels are 0..K-1.

    >>> found = ClassMeans(2).update(np.array([[0.5], [1.5], [-1.0]]), np.array([0, 0, 1]))
    >>> found.means, found.counts
    (array([[ 1., -1.]]), array([2, 1]))
    """

    def __init__(self, num_classes: int) -> None:
        self._counts = np.zeros(num_classes, dtype=np.int64)
        self._first: Array = np.zeros((num_classes, 0))
        self._sums: Array = np.zeros((num_classes, 0))

    def update(self, features: Any, labels: Any) -> ClassMeans:
        """Add a batch as :meth:`FeatureStatistics.update` does."""
        x = checked_features(features)
        y = checked_labels("labels", labels, num_classes=len(self._counts), length=len(x))
        if not len(x):
            return self
        if self._first.shape[1] not in (0, x.shape[1]):
            raise ValueError(f"features must have d = {self._first.shape[1]} as before, got {x.shape[1]}")
        if self._first.shape[1] == 0:
            self._first, self._sums = (np.zeros((len(self._counts), x.shape[1])) for _ in range(2))
        for rows in chunks(x.shape):
            self._add(x[rows], y[rows])
        return self

    def _add(self, x: Any, y: IntArray) -> None:
        classes, where, index, counts = np.unique(y, return_index=True, return_inverse=True, return_counts=True)
        new = self._counts[classes] == 0
        self._first[classes[new]] = x[where[new]]
        differences = self._first[y]
        np.subtract(x, differences, out=differences)
        self._sums[classes] += _members(index, len(classes), x.size > SMALL) @ differences
        self._counts[classes] += counts

    @property
    def counts(self) -> IntArray:
        """Samples n_k of every class, shape (K,)."""
        return self._counts

    @property
    def means(self) -> Array:
        """Class means m_k, shape (d, K). Raises ValueError while a class has no samples."""
        check_all_seen(self._counts)
        return (self._first + self._sums / self._counts[:, None]).T

    def statistics(self, class_scatter: Array, scatter: Array | None) -> FeatureStatistics:
        """All statistics, given the sums of squares by class about the means (K,), and ``N S_W`` (d, d) or None."""
        found = FeatureStatistics(len(self._counts), covariance=scatter is not None)
        found._counts, found._means, found._class_scatter = self._counts, self.means.T, class_scatter
        found._scatter = found._scatter if scatter is None else scatter
        return found


def check_all_seen(counts: IntArray) -> None:
    """Raise ValueError where a class has no samples; the message names such classes.

    >>> check_all_seen(np.array([3, 1]))
    """
    missing = np.flatnonzero(counts == 0)
    if len(missing):
        shown = ", ".join(map(str, missing[:10])) + (", ..." if len(missing) > 10 else "")
        raise ValueError(f"labels must hold every class 0..{len(counts) - 1}, got no sample of {shown}")


def _centred_by_class(x: Array, y: IntArray) -> tuple[_Part, Array]:
    """The statistics of one chunk, and its rows less the means of their classes; x is overwritten."""
    classes, index, counts = np.unique(y, return_inverse=True, return_counts=True)
    members = _members(index, len(classes), x.size > SMALL)
    means = np.zeros((len(classes), x.shape[1]))
    # The second round removes the rounding error of the first, so that a large common offset does no harm.
    for _ in range(2):
        shift = (members @ x) / counts[:, None]
        means += shift
        x -= shift[index]
    scatter: Array = np.bincount(index, np.einsum("ij,ij->i", x, x)).astype(np.float64, copy=False)
    return _Part(classes, counts, means, scatter), x


def _members(index: IntArray, size: int, sparse: bool) -> Any:
    """The (P, n) matrix of ones whose products are sums by class; a sparse one costs as much as reading the rows."""
    if not sparse:
        return (np.arange(size)[:, None] == index).astype(np.float64)
    import scipy.sparse

    shape = (size, len(index))
    return scipy.sparse.csc_array((np.ones(len(index)), index, np.arange(len(index) + 1)), shape=shape)
