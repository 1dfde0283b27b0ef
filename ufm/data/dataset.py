"""Inputs with labels, their preprocessing, and class counts of imbalanced draws."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ufm._validation import integer
from ufm.labels import ClassPrior

__all__ = ["Dataset", "long_tailed_counts", "step_counts"]

#: Ridge of the whitening, as a fraction of the mean variance of a direction: keeps empty border pixels from blowing up.
RIDGE = 1e-2


@dataclass(frozen=True, eq=False)
class Dataset:
    """Inputs and labels.

    Attributes:
        inputs: shape (N, C, H, W) for images, (N, C, L) for signals, (N, p) once whitened; float64 or float32.
        labels: shape (N,), integers 0..K-1; class k has ``counts[k]`` of them.
        counts: n_k.
        indices: rows of the split that they are, shape (N,).
        name: where they come from, a name of :func:`load_dataset`.
        split: ``"train"``, ``"test"`` or ``"all"``.
        classes: label k is the class ``classes[k]`` of the source.
        files: SHA-256 of every file that was read, as it lies on the disk or in the archive, by its name; empty where
            there is none.
    """

    inputs: NDArray[np.floating[Any]]
    labels: NDArray[np.int64]
    counts: tuple[int, ...]
    indices: NDArray[np.int64]
    name: str
    split: str
    classes: tuple[int, ...]
    files: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def num_samples(self) -> int:
        """N."""
        return len(self.labels)

    @property
    def num_classes(self) -> int:
        """K."""
        return len(self.counts)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one input."""
        return self.inputs.shape[1:]

    @property
    def prior(self) -> ClassPrior:
        """Class prior n_k."""
        return ClassPrior(self.counts)

    def flattened(self) -> Dataset:
        """The same with inputs of shape (N, p).

        >>> from ufm.data import load_dataset
        >>> load_dataset("digits", counts=[2, 1]).flattened().shape
        (64,)
        """
        return dataclasses.replace(self, inputs=self.inputs.reshape(self.num_samples, -1))

    def standardised(self, by: Dataset | None = None) -> Dataset:
        """The same with every channel at mean 0 and standard deviation 1.

        Args:
            by: the set whose statistics are used, as loaded; default: this one. A test set takes its training set.

        Raises:
            TypeError, ValueError: ``by`` is no :class:`Dataset`, or has inputs of another shape.

        >>> from ufm.data import load_dataset
        >>> float(load_dataset("digits", counts=[20, 10]).standardised().inputs.std().round(6))
        1.0
        """
        source = self._source(by).reshape(-1, self.shape[0], int(np.prod(self.shape[1:])))
        mean, deviation = source.mean(axis=(0, 2)), source.std(axis=(0, 2))
        channel = (1, -1) + (1,) * (len(self.shape) - 1)
        # A constant channel carries nothing: it becomes 0, not 0/0.
        scale = np.where(deviation > 0, 1 / np.where(deviation > 0, deviation, 1), 0)
        inputs = (self.inputs - mean.reshape(channel)) * scale.reshape(channel)
        return dataclasses.replace(self, inputs=inputs.astype(self.inputs.dtype))

    def whitened(self, by: Dataset | None = None) -> Dataset:
        """The same with inputs ``x V (S^2/N + ridge)^{-1/2}``, shape (N, p), of root mean square norm sqrt(p).

        V and S are from the singular value decomposition of the centred, flattened inputs. Whitening spreads images
        out, so that an encoder can tell each from the others; the theory of the features asks no more of them.

        Args:
            by: the set whose mean, V, S and scale are used, as loaded; default: this one.

        Raises:
            TypeError, ValueError: ``by`` is no :class:`Dataset`, or has inputs of another shape, or they are all equal.

        >>> from ufm.data import load_dataset
        >>> x = load_dataset("digits", counts=[20, 10]).whitened().inputs
        >>> x.shape, float((x**2).sum(axis=1).mean().round(6))
        ((30, 64), 64.0)
        """
        source = self._source(by).reshape(-1, int(np.prod(self.shape))).astype(np.float64)
        mean = source.mean(axis=0)
        centred = source - mean
        # All of V even where there are fewer images than pixels.
        _, s, vt = np.linalg.svd(centred, full_matrices=len(source) < source.shape[1])
        variances = np.zeros(len(vt))
        variances[: len(s)] = s**2 / len(source)
        if not variances.any():
            raise ValueError("inputs must not all be equal to be whitened")
        deviation = np.sqrt(variances + RIDGE * variances.mean())
        white = centred @ vt.T / deviation
        scale = np.sqrt(source.shape[1] * len(white) / (white**2).sum())
        if by is not None:
            white = (self.flattened().inputs - mean) @ vt.T / deviation
        return dataclasses.replace(self, inputs=(white * scale).astype(self.inputs.dtype))

    def _source(self, by: Dataset | None) -> NDArray[np.floating[Any]]:
        if by is None:
            return self.inputs
        if not isinstance(by, Dataset):
            raise TypeError(f"by must be a ufm.deq.Dataset or None, got {by!r}")
        if by.shape != self.shape:
            raise ValueError(f"by must hold inputs of shape {self.shape}, got {by.shape}")
        return by.inputs


def step_counts(num_majority: Any, num_minority: Any, majority_count: Any, ratio: Any) -> tuple[int, ...]:
    """Counts of a step prior: ``n_A`` for each majority class, then ``n_B = n_A / R`` rounded for each minority class.

    Args:
        num_majority, num_minority: K_A, K_B >= 1.
        majority_count: n_A >= 1.
        ratio: R in [1, 2 n_A): at least one image of each minority class remains.

    Raises:
        TypeError, ValueError: an argument is not what it should be; the message names it.

    >>> step_counts(2, 3, 100, 8)
    (100, 100, 12, 12, 12)
    """
    n = integer("majority_count", majority_count, minimum=1)
    return _rounded(ClassPrior.step(num_majority, num_minority, ratio), n, ratio)


def long_tailed_counts(num_classes: Any, majority_count: Any, ratio: Any) -> tuple[int, ...]:
    """Counts of a long-tailed prior: ``n_k = n_0 R^{-k/(K-1)}``, rounded, most frequent class first.

    Args:
        num_classes: K >= 2.
        majority_count: n_0 >= 1, of the most frequent class.
        ratio: R in [1, 2 n_0).

    Raises:
        TypeError, ValueError: an argument is not what it should be; the message names it.

    Source: Cui et al. 2019, Class-Balanced Loss.

    >>> long_tailed_counts(4, 100, 8)
    (100, 50, 25, 12)
    """
    n = integer("majority_count", majority_count, minimum=1)
    return _rounded(ClassPrior.long_tailed(num_classes, ratio), n, ratio)


def _rounded(profile: ClassPrior, largest: int, ratio: Any) -> tuple[int, ...]:
    counts = np.rint(largest * profile.counts / profile.counts.max()).astype(int).tolist()
    if min(counts) < 1:
        raise ValueError(f"ratio must leave each class an image of majority_count = {largest}, got {ratio!r}")
    return tuple(counts)
