"""How many instances of a law are tried: a sample by ``make test``, all of them by ``make test-full``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TypeVar

#: Whether this run tries all instances. It then runs the modules alone that take a sample otherwise.
FULL = os.environ.get("UFM_TESTS") == "full"


T = TypeVar("T")


def count(sample: T, full: T) -> T:
    """Number of instances, or what they are: ``full`` in a full run, ``sample`` in the others."""
    return full if FULL else sample


def examples(full: int) -> int:
    """Number of examples of a property's test: a quarter of ``full``, and no fewer than 10, unless the run is full."""
    return count(max(full // 4, 10), full)


def covering(most: int, cases: Sequence[Sequence[int]]) -> list[int]:
    """Which of the cases of a law with parameters to try, ``most`` of them, so that every value of each occurs early.

    One parameter: evenly spread, the first and the last among them. Several: one after the other that case which has
    most values that none before it has, then most pairs of values.

    >>> covering(3, [(0,), (1,), (2,), (3,), (4,)])
    [0, 2, 4]
    >>> covering(2, [(0, 0), (0, 1), (1, 0), (1, 1)])
    [0, 3]
    """
    if len(cases) <= most:
        return list(range(len(cases)))
    if len(cases[0]) < 2:
        return [round(i * (len(cases) - 1) / max(most - 1, 1)) for i in range(most)]
    values = [set(enumerate(case)) for case in cases]
    pairs = [{(a, b) for a in v for b in v if a < b} for v in values]
    seen: tuple[set[object], set[object]] = (set(), set())
    taken: list[int] = []
    for _ in range(most):
        left = (i for i in range(len(cases)) if i not in taken)
        i = max(left, key=lambda i: (len(values[i] - seen[0]), len(pairs[i] - seen[1]), -i))
        taken.append(i)
        seen[0].update(values[i])
        seen[1].update(pairs[i])
    return sorted(taken)
