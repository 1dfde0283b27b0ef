"""Class priors: how many samples each class has, and which classes are interchangeable."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ufm._overrides import overridden
from ufm._validation import array, as_array, integer, positive, positives, real, sequence

__all__ = ["ClassGroup", "ClassPrior", "Labels"]

#: Most counts, or runs of equal counts, that a prior shows.
LONGEST = 40


#: Least ratio of two counts: a probability below it is subnormal, or underflows.
SMALLEST_SHARE = 1e-290
#: Most classes of a prior; logits are K x K, and symmetry alone lets K be large.
MAX_CLASSES = 10**6
#: Most classes of logits that are written out, K x K.
MAX_DENSE = 20_000


def _add_alone(cls: type, base: type) -> None:
    """A TypeError where a subclass of labels overrides what the methods read: they take it from the counts too."""
    if found := overridden(cls, base):
        raise TypeError(
            f"{cls.__name__} must not override {', '.join(found)} of {base.__name__}, which what is derived from the "
            "counts would contradict: for other targets or weights of columns take ufm.Labels(targets, counts)"
        )


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

    >>> prior = ClassPrior([100, 100, 25, 25])
    >>> prior.probabilities, prior.ratio
    (array([0.4, 0.4, 0.1, 0.1]), 4.0)
    """

    _counts: tuple[float, ...]

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        _add_alone(cls, ClassPrior)

    def __init__(self, counts: Iterable[float]) -> None:
        if isinstance(counts, str | bytes) or not isinstance(counts, Iterable):
            raise TypeError(f"counts must be a sequence of positive numbers, got {counts!r}")
        if hasattr(counts, "shape"):  # an array or a tensor
            found = as_array("counts", counts)
            if found.ndim != 1:
                raise ValueError(f"counts must be one-dimensional, got an array of shape {found.shape}")
            counts = found.tolist()
        values = tuple(positive(f"counts[{k}]", n) for k, n in enumerate(counts))
        if len(values) < 2:
            raise ValueError(f"counts must hold at least 2 classes, got {len(values)}: {list(values)}")
        if not math.isfinite(sum(values)):
            raise ValueError("counts must have a finite sum")
        least, largest = min(values), max(values)
        if least / largest < SMALLEST_SHARE:
            raise ValueError(
                f"counts must not differ by more than {1 / SMALLEST_SHARE:.0e} between classes, got {least!r} beside "
                f"{largest!r}: probabilities so small have no digits in float64"
            )
        object.__setattr__(self, "_counts", values)

    @classmethod
    def balanced(cls, num_classes: int, count: float = 1.0) -> ClassPrior:
        """K classes with ``count`` samples each.

        >>> ClassPrior.balanced(3)
        ClassPrior([1, 1, 1])
        """
        k = integer("num_classes", num_classes, minimum=2, maximum=MAX_CLASSES)
        return cls([positive("count", count)] * k)

    @classmethod
    def step(cls, num_majority: int, num_minority: int, ratio: float, minority_count: float = 1.0) -> ClassPrior:
        """Two-group prior: K_A majority classes first, K_B minority classes after, ``n_A = ratio * n_B``.

        Args:
            num_majority: K_A >= 1.
            num_minority: K_B >= 1.
            ratio: R = n_A / n_B >= 1.
            minority_count: n_B > 0; it matters for penalised objectives only, where N sets the scale.

        >>> ClassPrior.step(2, 3, 10.0)
        ClassPrior([10, 10, 1, 1, 1])
        """
        k_a = integer("num_majority", num_majority, minimum=1, maximum=MAX_CLASSES)
        k_b = integer("num_minority", num_minority, minimum=1, maximum=MAX_CLASSES)
        r = real("ratio", ratio)
        if r < 1:
            raise ValueError(f"ratio must be >= 1 (majority over minority count), got {ratio!r}")
        n_b = positive("minority_count", minority_count)
        _check_ratio(r, n_b)
        return cls([r * n_b] * k_a + [n_b] * k_b)

    @classmethod
    def long_tailed(cls, num_classes: int, ratio: float, minority_count: float = 1.0) -> ClassPrior:
        """Exponential profile ``n_k = minority_count * ratio^((K-1-k)/(K-1))``, most frequent class first.

        >>> ClassPrior.long_tailed(3, 100.0)
        ClassPrior([100, 10, 1])
        """
        k = integer("num_classes", num_classes, minimum=2, maximum=MAX_CLASSES)
        r = real("ratio", ratio)
        if r < 1:
            raise ValueError(f"ratio must be >= 1 (largest over smallest count), got {ratio!r}")
        n_min = positive("minority_count", minority_count)
        _check_ratio(r, n_min)
        return cls([n_min * r ** ((k - 1 - i) / (k - 1)) for i in range(k)])

    @cached_property
    def counts(self) -> NDArray[np.float64]:
        """Counts n_k, shape (K,), read-only."""
        return _frozen(np.array(self._counts))

    @cached_property
    def probabilities(self) -> NDArray[np.float64]:
        """Probabilities pi_k = n_k / N, shape (K,), read-only."""
        return _frozen(self.counts / self.num_samples)

    @cached_property
    def targets(self) -> NDArray[np.float64]:
        """T, shape (K, K), read-only: column k is the target of class k, one-hot.

        Raises:
            ValueError: more than 20000 classes, of which only symmetry makes a problem that fits a machine.
        """
        check_dense(self.num_classes)
        return _frozen(np.eye(self.num_classes))

    @property
    def num_columns(self) -> int:
        """Number of columns m of the logits: K, one a class."""
        return len(self._counts)

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
        """An expression that gives the prior back; of more than 40 different counts in a row the first ones alone."""
        runs = [(_exact(n), len(list(same))) for n, same in itertools.groupby(self._counts)]
        if all(size == 1 for _, size in runs) or self.num_classes <= 12:
            parts = [f"[{', '.join(_exact(n) for n in self._counts[:LONGEST])}]"]
        else:
            parts = [f"[{n}] * {size}" for n, size in runs[:LONGEST]]
        return f"ClassPrior({' + '.join(parts)}{', ...' if len(runs) > LONGEST else ''})"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self))  # for IPython and hypothesis, which show a dataclass by its fields


def _check_ratio(ratio: float, count: float) -> None:
    if ratio * SMALLEST_SHARE > 1 or ratio * count == math.inf:
        raise ValueError(
            f"ratio must be at most {1 / SMALLEST_SHARE:.0e} and leave ratio * minority_count finite, got {ratio!r} "
            f"beside {count!r}"
        )


def check_dense(num_classes: int) -> None:
    """ValueError where matrices of ``num_classes`` rows and columns are too large to be written out."""
    if num_classes > MAX_DENSE:
        raise ValueError(
            f"num_classes must be at most {MAX_DENSE} where logits are written out, K x K, got {num_classes}; "
            "method 'reduced' and ufm.solve_batch do without"
        )


def _exact(count: float) -> str:
    """The shortest text that gives ``count`` back."""
    return str(int(count)) if count.is_integer() and count < 1e15 else repr(count)


@dataclass(frozen=True, init=False, eq=False)
class Labels:
    """What the m columns of logits are for: targets T (K, m) and how many samples, ``n_j > 0``, each stands for.

    One-hot columns, one a class, are a :class:`ClassPrior`; here columns may be soft (they sum to 1), multi-label
    (zeros and ones), or real (regression). Samples of equal target share a column: by convexity they share their
    logits at some optimum, and at every one under weight decay (theory section 7).

    Args:
        targets: T, shape (K, m), finite reals, K >= 2, m >= 1.
        counts: n_j, shape (m,), positive and finite.

    Raises:
        TypeError, ValueError: an argument is not what it should be.

    >>> labels = Labels([[1, 0, 0.5], [0, 1, 0.5]], [10, 10, 4])
    >>> labels.num_classes, labels.num_columns, labels.probabilities.round(3)
    (2, 3, array([0.417, 0.417, 0.167]))
    >>> [group.classes for group in labels.groups]
    [(0, 1)]
    """

    _targets: NDArray[np.float64]
    _counts: tuple[float, ...]

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        _add_alone(cls, Labels)

    def __init__(self, targets: Any, counts: Iterable[float]) -> None:
        if hasattr(targets, "toarray"):  # a sparse matrix
            targets = targets.toarray()
        found = array("targets", targets, ndim=2, shape="(K, m)")
        if found.shape[0] < 2:
            raise ValueError(f"targets must have at least 2 rows, one a class, got shape {found.shape}")
        values = positives("counts", as_array("counts", counts).tolist() if hasattr(counts, "shape") else counts)
        if len(values) != found.shape[1]:
            raise ValueError(f"counts must have one entry a column of targets, {found.shape[1]}, got {len(values)}")
        if not math.isfinite(sum(values)) or min(values) / max(values) < SMALLEST_SHARE:
            raise ValueError(f"counts must have a finite sum and no ratio below {SMALLEST_SHARE:g}, got {values}")
        object.__setattr__(self, "_targets", _frozen(found + 0.0))  # a copy, and 0 for -0, which has other bytes
        object.__setattr__(self, "_counts", values)

    @classmethod
    def multi_label(cls, num_classes: int, sets: Iterable[Iterable[int]], counts: Iterable[float]) -> Labels:
        """Columns of zeros and ones: column j has ones at the classes of the j-th set.

        Args:
            num_classes: K >= 2.
            sets: class indices of every column, without repetition; an empty set is a column of zeros.
            counts: n_j, one a set.

        >>> Labels.multi_label(3, [(0,), (1, 2)], [5, 2]).targets
        array([[1., 0.],
               [0., 1.],
               [0., 1.]])
        """
        k = integer("num_classes", num_classes, minimum=2, maximum=MAX_CLASSES)
        given = [sequence(f"sets[{j}]", s, "class indices") for j, s in enumerate(sequence("sets", sets, "sets"))]
        if not given:
            raise ValueError("sets must hold at least one set, got none")
        members = [tuple(integer(f"sets[{j}]", i, minimum=0, maximum=k - 1) for i in s) for j, s in enumerate(given)]
        targets = np.zeros((k, len(members)))
        for j, s in enumerate(members):
            if len(set(s)) < len(s):
                raise ValueError(f"sets[{j}] must not repeat a class, got {s}")
            targets[list(s), j] = 1.0
        return cls(targets, counts)

    @cached_property
    def targets(self) -> NDArray[np.float64]:
        """T, shape (K, m), read-only."""
        return self._targets

    @cached_property
    def counts(self) -> NDArray[np.float64]:
        """Counts n_j, shape (m,), read-only."""
        return _frozen(np.array(self._counts))

    @cached_property
    def probabilities(self) -> NDArray[np.float64]:
        """Probabilities pi_j = n_j / N, shape (m,), read-only."""
        return _frozen(self.counts / self.num_samples)

    @property
    def num_classes(self) -> int:
        """Number of classes K, the rows of T."""
        return len(self._targets)

    @property
    def num_columns(self) -> int:
        """Number of columns m."""
        return len(self._counts)

    @cached_property
    def num_samples(self) -> float:
        """Total N = sum_j n_j."""
        return math.fsum(self._counts)

    @cached_property
    def groups(self) -> tuple[ClassGroup, ...]:
        """Classes that can be permuted, together with columns, without changing targets and counts; largest first.

        Two classes belong together if exchanging their rows gives the same columns with the same counts in another
        order. ``count`` of a group is the number of samples whose target is not 0 at a class of it.
        """
        rows = self._targets
        shape = [tuple(sorted(zip(row.tolist(), self._counts, strict=True))) for row in rows]
        before = _columns(rows, self._counts)
        groups: list[list[int]] = []
        for i in range(self.num_classes):
            for group in groups:
                if shape[i] == shape[group[0]]:
                    exchanged = rows.copy()
                    exchanged[[i, group[0]]] = rows[[group[0], i]]
                    if _columns(exchanged, self._counts) == before:
                        group.append(i)
                        break
            else:
                groups.append([i])
        samples = (rows != 0) @ self.counts
        return tuple(ClassGroup(float(samples[g[0]]), tuple(g)) for g in sorted(groups, key=lambda g: (-len(g), g)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Labels) or self._counts != other._counts:
            return False
        return np.array_equal(self._targets, other._targets)

    def __hash__(self) -> int:
        return hash((self._targets.tobytes(), self._targets.shape, self._counts))

    def __repr__(self) -> str:
        if self.num_classes * self.num_columns <= LONGEST:
            return f"Labels({self._targets.tolist()}, {list(self._counts)})"
        return f"<Labels of {self.num_classes} classes in {self.num_columns} columns>"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self))  # for IPython and hypothesis, which show a dataclass by its fields


def _columns(targets: NDArray[np.float64], counts: tuple[float, ...]) -> list[tuple[float, ...]]:
    """The columns with their counts, in an order of their own."""
    return sorted((*column, n) for column, n in zip(targets.T.tolist(), counts, strict=True))


def _frozen(values: NDArray[np.float64]) -> NDArray[np.float64]:
    values.setflags(write=False)
    return values
