"""Local worker processes: one BLAS thread each, silent on Ctrl-C, gone when their parent is."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import resource_tracker
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import Any

from ufm._interrupts import interrupts_held
from ufm._threads import available_cpus

__all__ = ["WorkerPool", "processes"]

_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)

_environment_lock = threading.Lock()


@contextlib.contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Hold Ctrl-C back: a process started meanwhile is deaf to it from its first instruction, and so silent."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    # Started here, as it unblocks the signal on its way.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Worker(SpawnProcess):
    def start(self) -> None:
        # BLAS reads its variables when it is loaded, which in a worker may be before any code of ours runs: they must
        # be there when the process starts, and a child's environment is its parent's.
        with _environment_lock, _interrupts_blocked():
            before = {name: os.environ.get(name) for name in _THREAD_VARIABLES}
            os.environ.update(dict.fromkeys(_THREAD_VARIABLES, "1"))
            try:
                super().start()
            finally:
                for name, value in before.items():
                    if value is None:
                        del os.environ[name]
                    else:
                        os.environ[name] = value


class _Context(SpawnContext):
    """The spawn context, which remembers the processes it made."""

    def __init__(self) -> None:
        super().__init__()
        self.workers: list[_Worker] = []

    def Process(self, *args: Any, **kwargs: Any) -> _Worker:  # type: ignore[override]
        worker = _Worker(*args, **kwargs)
        self.workers.append(worker)
        return worker


class WorkerPool(ProcessPoolExecutor):
    """A :class:`concurrent.futures.ProcessPoolExecutor` that can be stopped without waiting for running calls."""

    def __init__(self, max_workers: int) -> None:
        self.size = max_workers
        self._context = _Context()
        super().__init__(max_workers, mp_context=self._context, initializer=_prepare)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Schedule a call as any executor does; an interrupt waits until the process that it starts is a worker."""
        if self._processes is not None and len(self._processes) == self.size:
            return super().submit(fn, *args, **kwargs)
        # Cut short, a start leaves a process that has been told nothing, and dies of that with a traceback, or one that
        # the pool does not know of and never ends.
        with interrupts_held():
            return super().submit(fn, *args, **kwargs)

    def stop(self) -> None:
        """End the worker processes, whatever they are doing."""
        manager: Any = self._executor_manager_thread  # a thread; None before the first call
        # First, and so that the manager sees it first: of a pool that breaks it marks every waiting call as failed, and
        # dies of one that is cancelled already (Python 3.11).
        self.shutdown(wait=False, cancel_futures=True)
        for worker in self._context.workers:
            if worker.pid is not None:
                worker.terminate()
        if manager is not None:
            manager.join()


def processes(max_workers: int | None = None) -> WorkerPool:
    """Executor of local worker processes, the default of :func:`ufm.sweeps.run`.

    Processes are spawned, not forked, have one BLAS thread each, leave Ctrl-C to their parent, and end with it even
    where it is killed.

    Args:
        max_workers: number of processes, >= 1; None for the number of CPUs this process may use.

    Returns:
        A :class:`concurrent.futures.ProcessPoolExecutor`, to be used in a ``with`` statement.

    >>> import math
    >>> with processes(1) as executor:
    ...     print(executor.submit(math.sqrt, 4.0).result())
    2.0
    """
    if max_workers is None:
        max_workers = available_cpus()
    else:
        # Not at the top: it imports NumPy, which workers should load only where their points do.
        from ufm._validation import integer

        max_workers = integer("max_workers", max_workers, minimum=1)
    return WorkerPool(max_workers)


def _prepare() -> None:
    """In a worker, before its first call."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # what a call starts is not to be deaf
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    # A worker whose parent was killed would wait for calls for ever: it holds the writing end of its own queue.
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
