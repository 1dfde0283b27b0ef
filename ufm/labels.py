"""Class priors: how many samples each class has, and which classes are interchangeable."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ufm._validation import integer, positive, real

__all__ = ["ClassGroup", "ClassPrior"]


@dataclass(frozen=True)
class ClassGroup:
    """Classes with equal counts: they can be permuted without changing any objective of this package.

    Attributes:
        count: samples per class, ``n_a``.
        classes: indices of the classes in the prior, ascending; ``K_a = len(classes)``.
    """

    count: float
    classes: tuple[int, ...]

    @property
    def size(self) -> int:
        """Number of classes ``K_a`` in the group."""
        return len(self.classes)


@dataclass(frozen=True, init=False, eq=False)
class ClassPrior:
    """Counts ``n_k > 0`` of K >= 2 classes and the probabilities ``pi_k = n_k / N``, ``N = sum_k n_k``.

    Counts may be real, so that the imbalance ratio R can be varied continuously.

    Args:
        counts: one positive finite number a class, at least two of them.

    Raises:
        TypeError: a count is not a real number.
        ValueError: no counts, only one, or a count that is zero, negative, infinite or NaN.

    Source: theory section 1; Fang et al. 2021 for the step prior; Cui et al. 2019 for the long-tailed profile.
    """

    _counts: tuple[float, ...]

    def __init__(self, counts: Iterable[float]) -> None:
        if isinstance(counts, str | bytes) or not isinstance(counts, Iterable):
            raise TypeError(f"counts must be a sequence of positive numbers, got {counts!r}")
        values = tuple(positive(f"counts[{k}]", n) for k, n in enumerate(_flat(counts)))
        if len(values) < 2:
            raise ValueError(f"counts must hold at least 2 classes, got {len(values)}: {list(values)}")
        if not math.isfinite(sum(values)):
            raise ValueError("counts must have a finite sum")
        object.__setattr__(self, "_counts", values)

    @classmethod
    def balanced(cls, num_classes: int, count: float = 1.0) -> ClassPrior:
        """K classes with ``count`` samples each."""
        k = integer("num_classes", num_classes, minimum=2)
        return cls([positive("count", count)] * k)

    @classmethod
    def step(cls, num_majority: int, num_minority: int, ratio: float, minority_count: float = 1.0) -> ClassPrior:
        """Two-group prior: K_A majority classes first, K_B minority classes after, ``n_A = ratio * n_B``.

        Args:
            num_majority: K_A >= 1.
            num_minority: K_B >= 1.
            ratio: R = n_A / n_B >= 1.
            minority_count: n_B > 0; it matters for penalised objectives only, where N sets the scale.
        """
        k_a = integer("num_majority", num_majority, minimum=1)
        k_b = integer("num_minority", num_minority, minimum=1)
        r = real("ratio", ratio)
        if r < 1:
            raise ValueError(f"ratio must be >= 1 (majority over minority count), got {ratio!r}")
        n_b = positive("minority_count", minority_count)
        return cls([r * n_b] * k_a + [n_b] * k_b)

    @classmethod
    def long_tailed(cls, num_classes: int, ratio: float, minority_count: float = 1.0) -> ClassPrior:
        """Exponential profile ``n_k = minority_count * ratio^((K-1-k)/(K-1))``, most frequent class first."""
        k = integer("num_classes", num_classes, minimum=2)
        r = real("ratio", ratio)
        if r < 1:
            raise ValueError(f"ratio must be >= 1 (largest over smallest count), got {ratio!r}")
        n_min = positive("minority_count", minority_count)
        return cls([n_min * r ** ((k - 1 - i) / (k - 1)) for i in range(k)])

    @cached_property
    def counts(self) -> NDArray[np.float64]:
        """Counts n_k, shape (K,), read-only."""
        return _frozen(np.array(self._counts))

    @cached_property
    def probabilities(self) -> NDArray[np.float64]:
        """Probabilities pi_k = n_k / N, shape (K,), read-only."""
        return _frozen(self.counts / self.num_samples)

    @property
    def num_classes(self) -> int:
        """Number of classes K."""
        return len(self._counts)

    @cached_property
    def num_samples(self) -> float:
        """Total N = sum_k n_k."""
        return math.fsum(self._counts)

    @cached_property
    def ratio(self) -> float:
        """Imbalance ratio R, the largest count over the smallest."""
        return max(self._counts) / min(self._counts)

    @cached_property
    def groups(self) -> tuple[ClassGroup, ...]:
        """Groups of classes with equal counts, most frequent group first."""
        members: dict[float, list[int]] = {}
        for k, n in enumerate(self._counts):
            members.setdefault(n, []).append(k)
        return tuple(ClassGroup(n, tuple(members[n])) for n in sorted(members, reverse=True))

    @cached_property
    def group_of_class(self) -> NDArray[np.intp]:
        """Index into ``groups`` of every class, shape (K,)."""
        index = np.empty(self.num_classes, dtype=np.intp)
        for a, group in enumerate(self.groups):
            index[list(group.classes)] = a
        return index

    @property
    def is_balanced(self) -> bool:
        """Whether all counts are equal."""
        return len(self.groups) == 1

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ClassPrior) and self._counts == other._counts

    def __hash__(self) -> int:
        return hash(self._counts)

    def __repr__(self) -> str:
        if self.num_classes <= 12:
            return f"ClassPrior([{', '.join(f'{n:g}' for n in self._counts)}])"
        parts = ", ".join(f"{g.size} x {g.count:g}" for g in self.groups[:4])
        return f"ClassPrior({parts}{', ...' if len(self.groups) > 4 else ''})"


def _flat(counts: Iterable[Any]) -> Iterable[Any]:
    array = counts if isinstance(counts, np.ndarray) else None
    if array is not None and array.ndim != 1:
        raise ValueError(f"counts must be one-dimensional, got an array of shape {array.shape}")
    return counts


def _frozen(array: NDArray[np.float64]) -> NDArray[np.float64]:
    array.setflags(write=False)
    return array
