"""How many threads linear algebra uses: on small matrices threads cost more than they bring."""

from __future__ import annotations

import contextlib
import os
from contextlib import AbstractContextManager
from typing import Any

__all__ = ["available_cpus", "blas_threads"]


def blas_threads(number: int) -> AbstractContextManager[Any]:
    """A context in which BLAS uses ``number`` threads; without ``threadpoolctl`` they stay as they are.

    >>> with blas_threads(1):
    ...     pass
    """
    try:
        from threadpoolctl import threadpool_limits
    except ModuleNotFoundError:
        return contextlib.nullcontext()  # only speed is at stake
    return threadpool_limits(number, user_api="blas")


def available_cpus() -> int:
    """CPUs that this process may use.

    >>> available_cpus() >= 1
    True
    """
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
