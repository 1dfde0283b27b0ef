"""The working precision of ball arithmetic. FLINT keeps one for the whole process: one thread at a time has it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from flint import ctx

__all__ = ["precision"]

_ONE_THREAD = threading.RLock()


@contextmanager
def precision(bits: int) -> Iterator[None]:
    """Give balls ``bits`` bits; other threads that ask for a precision wait until this one is done.

    >>> from flint import arb
    >>> with precision(200):
    ...     print((arb(1) / 3).rel_accuracy_bits() > 190)
    True
    """
    with _ONE_THREAD, ctx.workprec(bits):
        yield
