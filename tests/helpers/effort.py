"""How many instances of a law are tried: a sample by ``make test``, all of them by ``make test-full``."""

from __future__ import annotations

import os
from typing import TypeVar

#: Whether this run tries all instances. It then runs the modules alone that take a sample otherwise.
FULL = os.environ.get("UFM_TESTS") == "full"


T = TypeVar("T")


def count(sample: T, full: T) -> T:
    """Number of instances, or what they are: ``full`` in a full run, ``sample`` in the others."""
    return full if FULL else sample


def examples(full: int) -> int:
    """Number of examples of a property's test: a third of ``full``, and no fewer than 10, unless the run is full."""
    return count(max(full // 3, 10), full)
