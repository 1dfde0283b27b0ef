"""Accumulators: what the measures need of features that come in batches, gathered in one pass."""

from __future__ import annotations

from typing import Any

import numpy as np

from ufm._validation import integer
from ufm.measures._input import Array, IntArray, checked_features, checked_labels, chunks

__all__ = ["ClassMeans", "FeatureStatistics"]

#: Entries of a batch up to which SciPy, which takes longer to load, is done without.
SMALL = 1 << 14


class FeatureStatistics:
    """Counts, class means, within-class covariance and class variances of features that come in batches.

    Sums are of what samples differ from the first one of their class, in float64, and are taken to the class means
    where those are asked for: a large offset does no harm, equal samples have no variance, and of n samples of a class
    no more than ``n eps`` is lost, ``eps`` unless their first is far out. Memory is (d, d) + (K, d), never (K, d, d); a
    batch costs one product of its own rows.

    Args:
        num_classes: K >= 2; labels are 0..K-1.
        covariance: gather the (d, d) within-class covariance too, which is most of the work; without it memory is
            (K, d), and the traces are known still.

    Source: Chan, Golub, LeVeque 1983 (shifted sums).

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
        self._about = ClassMeans(self._num_classes)
        # Of what samples differ from the reference of their class: squared lengths by class, and products.
        self._squares = np.zeros(self._num_classes)
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
            differences = self._about.add(x[rows], y[rows])
            lengths = np.einsum("ij,ij->i", differences, differences)
            self._squares += np.bincount(y[rows], lengths, self._num_classes)
            if self.has_covariance:
                self._rows.append(differences)
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
        if self.num_samples and other.num_samples:
            self._check_dim("other", other.dim)
        first, second = (self, other) if self.num_samples else (other, self)
        merged = FeatureStatistics(self._num_classes, covariance=self.has_covariance)
        if first.num_samples:
            merged._allocate(first.dim)
            counts, shift = merged._about.join(first._about, second._about)
            moved = counts * np.einsum("ij,ij->i", shift, shift)
            merged._squares = first._squares + second._central_squares() + moved
            if self.has_covariance:
                shift *= np.sqrt(counts)[:, None]
                merged._scatter += first._complete_scatter() + shift.T @ shift
                merged._scatter += second._central_scatter() if second.num_samples else 0.0
        return merged

    @classmethod
    def about_means(
        cls, counts: IntArray, means: Array, class_scatter: Array, scatter: Array | None
    ) -> FeatureStatistics:
        """Return the statistics of samples of which these are known.

        Args:
            counts: n_k, shape (K,).
            means: m_k, a row each, shape (K, d).
            class_scatter: ``sum_i |h_ki - m_k|^2``, shape (K,).
            scatter: ``N S_W``, shape (d, d), or None: without covariance.

        >>> found = FeatureStatistics.about_means(np.array([2, 1]), np.eye(2), np.array([0.5, 0.0]), None)
        >>> found.num_samples, found.class_variances
        (3, array([0.25, 0.  ]))
        """
        found = cls(len(counts), covariance=scatter is not None)
        found._about = ClassMeans(len(counts)).at(counts, means)
        found._squares = class_scatter
        found._scatter = found._scatter if scatter is None else scatter
        return found

    def _complete_scatter(self) -> Array:
        """Products about the references, shape (d, d)."""
        if self._rows:
            self._add_rows()
        return self._scatter

    def _central_scatter(self) -> Array:
        """``N S_W``, shape (d, d)."""
        counts, shift = self._about.counts, self._about.shift
        shift *= np.sqrt(counts)[:, None]
        return self._complete_scatter() - shift.T @ shift

    def _central_squares(self) -> Array:
        """``sum_i |h_ki - m_k|^2`` of every class, shape (K,)."""
        shift = self._about.shift
        return np.maximum(0.0, self._squares - self._about.counts * np.einsum("ij,ij->i", shift, shift))

    @property
    def num_classes(self) -> int:
        """K."""
        return self._num_classes

    @property
    def dim(self) -> int:
        """d; 0 before the first sample."""
        return self._about.reference.shape[1]

    @property
    def counts(self) -> IntArray:
        """Samples n_k seen of every class, shape (K,)."""
        return self._about.counts.copy()

    @property
    def num_samples(self) -> int:
        """N."""
        return int(self._about.counts.sum())

    @property
    def means(self) -> Array:
        """Class means m_k, shape (d, K). Raises ValueError while a class has no samples."""
        return self._about.means

    @property
    def within_covariance(self) -> Array:
        """``S_W = (1/N) sum_k sum_i (h_ki - m_k)(h_ki - m_k)^T``, shape (d, d).

        Raises ValueError while a class has no samples, and for statistics without covariance.
        """
        self.check_complete()
        if not self.has_covariance:
            raise ValueError("within_covariance must be gathered from the start: FeatureStatistics(covariance=True)")
        return self._central_scatter() / self.num_samples

    @property
    def class_variances(self) -> Array:
        """``v_k = (1/n_k) sum_i |h_ki - m_k|^2``, shape (K,). Raises ValueError while a class has no samples."""
        self.check_complete()
        return self._central_squares() / self._about.counts

    def check_complete(self) -> None:
        """Raise ValueError while a class has no samples; the message names such classes."""
        check_all_seen(self._about.counts)

    def _add_rows(self) -> None:
        rows = np.concatenate(self._rows)
        self._scatter += rows.T @ rows
        self._rows = []

    def _allocate(self, dim: int) -> None:
        self._about.allocate(dim)
        if self.has_covariance and not self._scatter.size:
            self._scatter = np.zeros((dim, dim))

    def _check_dim(self, name: str, dim: int) -> None:
        if self.dim not in (0, dim):
            raise ValueError(f"{name} must have d = {self.dim} as before, got {dim}")


class ClassMeans:
    """Counts and class means alone, of samples that are gone through again for what is about the means.

    Sums are of what samples differ from the first one of their class: a large offset does no harm, and equal samples
    have exactly their own mean.

    Args:
        num_classes: K >= 2; labels are 0..K-1.

    Attributes:
        reference: what the samples of every class are compared with, at first one of them, shape (K, d).

    >>> found = ClassMeans(2).update(np.array([[0.5], [1.5], [-1.0]]), np.array([0, 0, 1]))
    >>> found.means, found.counts
    (array([[ 1., -1.]]), array([2, 1]))
    """

    def __init__(self, num_classes: int) -> None:
        self._counts = np.zeros(num_classes, dtype=np.int64)
        self.reference: Array = np.zeros((num_classes, 0))
        self._sums: Array = np.zeros((num_classes, 0))

    def update(self, features: Any, labels: Any) -> ClassMeans:
        """Add a batch as :meth:`FeatureStatistics.update` does."""
        x = checked_features(features)
        y = checked_labels("labels", labels, num_classes=len(self._counts), length=len(x))
        if not len(x):
            return self
        if self.reference.shape[1] not in (0, x.shape[1]):
            raise ValueError(f"features must have d = {self.reference.shape[1]} as before, got {x.shape[1]}")
        self.allocate(x.shape[1])
        for rows in chunks(x.shape):
            self.add(x[rows], y[rows])
        return self

    def allocate(self, dim: int) -> None:
        """Make room for features of a dimension, once."""
        if self.reference.shape[1] == 0:
            self.reference, self._sums = (np.zeros((len(self._counts), dim)) for _ in range(2))

    def add(self, x: Any, y: IntArray) -> Array:
        """Add checked samples; returns what they differ from the reference of their class, shape (n, d)."""
        classes, where, index, counts = np.unique(y, return_index=True, return_inverse=True, return_counts=True)
        new = self._counts[classes] == 0
        self.reference[classes[new]] = x[where[new]]
        differences = self.reference[y]
        np.subtract(x, differences, out=differences)
        self._sums[classes] += _members(index, len(classes), x.size > SMALL) @ differences
        self._counts[classes] += counts
        return differences

    def at(self, counts: IntArray, means: Array) -> ClassMeans:
        """Take samples as added of which counts (K,) and class means, a row each (K, d), are known. Returns self."""
        self._counts, self.reference, self._sums = counts, means, np.zeros(means.shape)
        return self

    def join(self, first: ClassMeans, second: ClassMeans) -> tuple[IntArray, Array]:
        """Take all samples of two others, about the references of the first where it has any.

        Returns:
            The counts of the second, (K,), and by what its means differ from the references, (K, d).
        """
        if not second.reference.size:  # nothing was added to it
            second = ClassMeans(len(self._counts)).at(second.counts, np.zeros(first.reference.shape))
        self.reference = np.where((first.counts > 0)[:, None], first.reference, second.reference)
        shift = (second.reference - self.reference + second.shift) * (second.counts > 0)[:, None]
        self._counts = first.counts + second.counts
        self._sums = first._sums + second.counts[:, None] * shift
        return second.counts, shift

    @property
    def shift(self) -> Array:
        """By what the class means differ from the references, shape (K, d)."""
        shift: Array = self._sums / np.maximum(self._counts, 1)[:, None]
        return shift

    @property
    def counts(self) -> IntArray:
        """Samples n_k of every class, shape (K,)."""
        return self._counts

    @property
    def means(self) -> Array:
        """Class means m_k, shape (d, K). Raises ValueError while a class has no samples."""
        check_all_seen(self._counts)
        means: Array = self.reference + self._sums / self._counts[:, None]
        return means.T

    def statistics(self, class_scatter: Array, scatter: Array | None) -> FeatureStatistics:
        """All statistics, given the sums of squares by class about the means (K,), and ``N S_W`` (d, d) or None."""
        return FeatureStatistics.about_means(self._counts, self.means.T, class_scatter, scatter)


def check_all_seen(counts: IntArray) -> None:
    """Raise ValueError where a class has no samples; the message names such classes.

    >>> check_all_seen(np.array([3, 1]))
    """
    missing = np.flatnonzero(counts == 0)
    if len(missing):
        shown = ", ".join(map(str, missing[:10])) + (", ..." if len(missing) > 10 else "")
        raise ValueError(f"labels must hold every class 0..{len(counts) - 1}, got no sample of {shown}")


def _members(index: IntArray, size: int, sparse: bool) -> Any:
    """The (P, n) matrix of ones whose products are sums by class; a sparse one costs as much as reading the rows."""
    if not sparse:
        return (np.arange(size)[:, None] == index).astype(np.float64)
    import scipy.sparse

    shape = (size, len(index))
    return scipy.sparse.csc_array((np.ones(len(index)), index, np.arange(len(index) + 1)), shape=shape)
