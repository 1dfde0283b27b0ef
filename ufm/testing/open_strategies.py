"""Strategies for labels of any kind, losses, biases, and the problems that they make.

As in :mod:`ufm.testing.strategies` every draw has a range of its own: a column of targets is as long as most classes
there may be, and is cut. Examples shrink towards one-hot labels, cross-entropy and no bias, and can be pasted back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from ufm._validation import integer, one_of
from ufm.labels import ClassPrior, Labels
from ufm.losses import BinaryCrossEntropy, CrossEntropy, FocalLoss, Loss, MeanSquaredError, SquaredHinge
from ufm.problem import Problem
from ufm.testing.strategies import architectures, log_uniform, priors, scaled

__all__ = ["KINDS", "biases", "labels", "losses", "open_problems"]

#: Kinds of targets, plainest first.
KINDS = ("one-hot", "multi-label", "soft", "regression")

#: Entries of Labels that its repr writes out.
_SHOWN = 40


def labels(
    *,
    min_classes: int = 2,
    max_classes: int = 5,
    max_columns: int = 6,
    kinds: Sequence[str] = KINDS,
    max_ratio: float = 100.0,
) -> SearchStrategy[Labels]:
    """Labels of K classes in 1 to ``max_columns`` columns: repeated, empty and unused classes among them.

    Args:
        min_classes, max_classes: range of K, 2 <= min <= max.
        max_columns: most columns, >= 1; K times as many at most 40, so that an example can be pasted.
        kinds: of the targets, at least one of :data:`KINDS`; examples shrink towards the first.
        max_ratio: bound of the largest count over the least, >= 1.

    Raises:
        TypeError, ValueError: an argument out of its range.

    >>> from hypothesis import find
    >>> find(labels(max_columns=2), lambda x: x.num_columns == 2)
    Labels([[1.0, 1.0], [0.0, 0.0]], [1.0, 1.0])
    >>> find(labels(kinds=["regression"]), lambda x: x.targets.min() < 0).num_columns
    1
    """
    low = integer("min_classes", min_classes, minimum=2)
    high = integer("max_classes", max_classes, minimum=low)
    most = integer("max_columns", max_columns, minimum=1, maximum=_SHOWN // high, reason="examples are to be pasted")
    names = [one_of("kinds", kind, KINDS) for kind in kinds]
    if not names:
        raise ValueError(f"kinds must name at least one of {', '.join(KINDS)}, got none")
    half = max(float(max_ratio), 1.0) ** 0.5
    column = st.tuples(*[st.integers(0, 8)] * high)
    return st.builds(
        _labels,
        st.integers(low, high),
        st.sampled_from(names),
        st.lists(column, min_size=1, max_size=most),
        st.tuples(*[log_uniform(1 / half, half)] * most),
    )


def _labels(k: int, kind: str, columns: list[tuple[int, ...]], counts: tuple[float, ...]) -> Labels:
    """Targets from eighths, which are exact and short to read."""
    eighths = np.array([column[:k] for column in columns], dtype=float).T
    if kind == "one-hot":
        targets = np.eye(k)[:, (eighths.sum(axis=0) % k).astype(int)]
    elif kind == "multi-label":
        targets = (eighths > 4).astype(float)
    elif kind == "soft":
        sums = eighths.sum(axis=0)
        targets = np.where(sums > 0, eighths / np.where(sums > 0, sums, 1.0), np.eye(k)[:, :1])
    else:
        targets = eighths / 2 - 2
    return Labels(targets, counts[: len(columns)])


def losses(
    num_classes: int | None = None, num_columns: int | None = None, *, targets: Any = None, convex: bool = True
) -> SearchStrategy[Loss]:
    """Losses of this package, with parameters, cross-entropy first.

    Args:
        num_classes: K, for scales and shifts of the logits; None for none.
        num_columns: m, for weights of the columns; None for none.
        targets: T (K, m) that they must take, instead of both; None for targets in [0, 1].
        convex: False adds the focal loss.

    Raises:
        TypeError, ValueError: an argument out of its range.

    >>> from hypothesis import find
    >>> find(losses(), lambda loss: loss.name == "bce"), find(losses(targets=-np.eye(2)), lambda loss: True)
    (BinaryCrossEntropy(), MeanSquaredError())
    >>> len(find(losses(num_classes=2), lambda loss: getattr(loss, "shifts", None)).shifts)
    2
    """
    if targets is not None:
        num_classes, num_columns = np.asarray(targets).shape
    found: list[SearchStrategy[Any]] = [st.builds(MeanSquaredError)]
    if targets is None or np.min(targets) >= 0:
        margins = log_uniform(0.1, 10.0)
        plain = st.builds(CrossEntropy, st.sampled_from([0.0, 0.1, 0.3]))
        found = [plain, *found, st.builds(SquaredHinge, margins)]
        if num_classes is not None or num_columns is not None:
            found.append(_weighted(num_classes, num_columns))
        if targets is None or np.max(targets) <= 1:
            found.append(st.builds(BinaryCrossEntropy))
        if not convex:
            found.append(st.builds(FocalLoss, st.sampled_from([1.0, 2.0, 0.5])))
    return st.one_of(found)


def _weighted(num_classes: int | None, num_columns: int | None) -> SearchStrategy[CrossEntropy]:
    parameters: dict[str, SearchStrategy[Any]] = {"smoothing": st.sampled_from([0.0, 0.2])}
    if num_classes is not None:
        k = integer("num_classes", num_classes, minimum=2)
        parameters["scales"] = st.tuples(*[log_uniform(0.25, 4.0)] * k)
        parameters["shifts"] = st.tuples(*[st.floats(-3, 3)] * k)
    if num_columns is not None:
        m = integer("num_columns", num_columns, minimum=1)
        parameters["weights"] = st.tuples(*[log_uniform(0.1, 10.0)] * m)
    return st.builds(CrossEntropy, **parameters)


def biases() -> SearchStrategy[Any]:
    """What ``bias=`` may be: None, a weight decay of any size from 1e-3 to 1e2, or ``"free"``.

    >>> from hypothesis import find
    >>> find(biases(), lambda b: b is None), find(biases(), lambda b: isinstance(b, str))
    (None, 'free')
    """
    return st.one_of(st.none(), log_uniform(1e-3, 1e2), st.just("free"))


def open_problems(*, max_classes: int = 4, max_columns: int = 5) -> SearchStrategy[Problem]:
    """Convex problems of any labels, loss and bias, scaled so that their optimum is worth finding.

    Args:
        max_classes: bound of K, >= 2.
        max_columns: most columns of labels, >= 1.

    Raises:
        TypeError, ValueError: an argument out of its range.

    >>> from hypothesis import Phase, find, settings
    >>> first = settings(phases=[Phase.generate])  # to shrink problems takes longer than to find one
    >>> find(open_problems(), lambda p: p.bias == 0.0, settings=first).bias  # a free one
    0.0
    """
    one_hot = priors(max_classes=max_classes)
    return _open_problems(st.one_of(one_hot, labels(max_classes=max_classes, max_columns=max_columns)))


@st.composite
def _open_problems(draw: st.DrawFn, kinds: SearchStrategy[ClassPrior | Labels]) -> Problem:
    architecture, prior = draw(architectures(max_rho=0.6)), draw(kinds)
    return scaled(architecture, prior, draw(losses(targets=prior.targets)), draw(biases()))
