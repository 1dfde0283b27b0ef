"""Where a training runs and how it tells how far it is: device, CPU threads, progress."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from ufm._extras import optional
from ufm._threads import blas_threads

with optional("deq"):
    import torch

__all__ = ["DEVICES", "Progress", "device_named", "threads"]

#: ``progress(description, completed, total)``; total may be None.
Progress = Callable[[str, float, float | None], None]
DEVICES = ("auto", "cpu", "cuda")


def device_named(name: str) -> torch.device:
    """The device of a name in :data:`DEVICES`; ValueError for ``"cuda"`` where torch finds none.

    >>> device_named("cpu")
    device(type='cpu')
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError("device must be 'auto' or 'cpu' on this machine, got 'cuda': torch finds no CUDA device")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


@contextlib.contextmanager
def threads(number: int) -> Iterator[None]:
    """Torch and BLAS on so many CPU threads: on one, sums come out the same on any machine.

    Vectors of this size gain nothing from more, and on a busy machine threads that wait cost ten times the work.

    >>> with threads(1):
    ...     torch.get_num_threads()
    1
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        with blas_threads(number):
            yield
    finally:
        torch.set_num_threads(threads)
