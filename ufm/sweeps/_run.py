"""Running a sweep: points go to an executor, what comes back goes to the store."""

from __future__ import annotations

import contextlib
import inspect
import json
import os
import queue
import sys
import time
import traceback
import uuid
import warnings
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future
from pathlib import Path
from typing import Any, TypeVar

from ufm._interrupts import check_interrupt, interruptible, interrupts_held
from ufm.sweeps._cluster import ClusterWatch, Trouble
from ufm.sweeps._json import content_key, dumps, encode_result, plain
from ufm.sweeps._pool import WorkerPool, processes
from ufm.sweeps._store import Failure, Store, Table

__all__ = ["SweepBroken", "SweepInterrupted", "run", "versioned"]

F = TypeVar("F", bound=Callable[..., Any])
#: ``progress(description, completed, total)``.
Progress = Callable[[str, float, float | None], None]
#: What a call brings back: (text of the result or None, (type, message, traceback) or None, seconds).
Outcome = tuple[str | None, tuple[str, str, str] | None, float]

#: Calls handed to an executor of unknown size and not yet finished.
MAX_IN_FLIGHT = 1000
#: The same for each process of the default executor.
IN_FLIGHT_PER_PROCESS = 4

#: Seconds of a wait after which a sweep looks whether it still makes sense to wait.
LOOK = 5.0
#: Looks in a row at which no worker had any of the calls, after which they are handed out again.
LOST = 3

_TAG = "_ufm_sweep_version"
_NAME = "_ufm_sweep_name"


class SweepInterrupted(KeyboardInterrupt):
    """Ctrl-C or SIGTERM during a sweep; all that had finished is in the store, and the same call goes on from there.

    Attributes:
        table: the finished points, those of earlier runs included.
        total: number of points of the sweep.
    """

    def __init__(self, table: Table, total: int) -> None:
        super().__init__(f"sweep interrupted after {len(table)} of {total} points")
        self.table = table
        self.total = total


class SweepBroken(RuntimeError):
    """The executor stopped working; all that had finished is in the store, and the same call goes on from there.

    Attributes:
        table: the finished points, those of earlier runs included.
        in_flight: points that were with the executor; where it broke because a worker died, one of them is the cause.
        waiting: points that were not started.
    """

    def __init__(
        self, cause: str, table: Table, in_flight: tuple[dict[str, Any], ...], waiting: tuple[dict[str, Any], ...]
    ) -> None:
        super().__init__(
            f"the executor broke after {len(table)} of {len(table) + len(in_flight) + len(waiting)} points, which are "
            f"kept, with {len(in_flight)} in flight and {len(waiting)} waiting ({cause}). Either a point ended its "
            f"worker (out of memory, a crash), or workers could not start: a script must call run under "
            f"'if __name__ == \"__main__\":'. The same call goes on from what is kept"
        )
        self.table = table
        self.in_flight = in_flight
        self.waiting = waiting


def versioned(version: int | str, *, name: str | None = None) -> Callable[[F], F]:
    """Decorator that gives a point function a version, and a name that outlives its move to another module.

    Raise it when the function comes to return something else for the same point: stored results of another version
    are not taken for its own.

    Args:
        version: part of what a point is known by; without the decorator it is 0.
        name: what stored points know the function by; None for ``module.name``, so that points stored before a
            function moved are lost unless its old path stands here.

    >>> @versioned(2, name="first.home.margin")
    ... def margin(*, rho):
    ...     return 1 / (1 - rho)
    >>> margin(rho=0.5)
    2.0
    """
    if isinstance(version, bool) or not isinstance(version, int | str):
        raise TypeError(f"version must be an int or a str, got {version!r}")
    if name is not None and (not isinstance(name, str) or not name):
        raise TypeError(f"name must be a nonempty str or None, got {name!r}")

    def mark(function: F) -> F:
        setattr(function, _TAG, str(version))
        if name is not None:
            setattr(function, _NAME, name)
        return function

    return mark


def run(
    function: Callable[..., Any],
    points: Iterable[Mapping[str, Any]],
    *,
    store: str | os.PathLike[str],
    executor: Executor | None = None,
    progress: Progress | None = None,
    max_in_flight: int | None = None,
    retry_failed: bool = False,
    patience: float | None = 30.0,
) -> Table:
    """Call ``function(**point)`` for every point that the store does not hold yet.

    Args:
        function: a function defined at the top level of a module, of keyword arguments that are JSON values, returning
            JSON values; NumPy arrays come back as lists, infinite floats are kept, NaN counts as a failure. What it
            returns must depend on the point alone: randomness comes from a seed in the point.
        points: keyword arguments, a dictionary a point; equal ones count once. Numbers are finite; 1 and 1.0 are
            different points.
        store: the SQLite file; made if it does not exist. Several sweeps may share it, also at the same time.
        executor: any :class:`concurrent.futures.Executor`: :func:`ufm.sweeps.processes`, ``Client.get_executor()`` of a
            Dask cluster, ``mpi4py.futures.MPIPoolExecutor``, threads. It stays open. None: local processes.
        progress: called as ``progress(description, completed points, all points)``.
        max_in_flight: how many calls the executor may hold at once, running or queued; several times the number of its
            workers keeps them busy. None: 4 a process for the default executor, 1000 for any other.
        retry_failed: call again for points that failed in an earlier run; otherwise their record stays.
        patience: seconds to wait while nobody works on any call of a Dask cluster: no worker is left, or the scheduler
            does not answer. Calls that a dying worker lost are handed out again before; workers that are silent for so
            long are warned of. None: for ever, for a cluster that may be without workers for long.

    Returns:
        The finished points, in the order of ``points``. Those that raised have a ``failure`` in place of a result.

    Raises:
        TypeError, ValueError: an argument is not what it should be, a point does not fit the function's parameters, or
            the file is something else. Nothing has run then.
        SweepDamaged: bytes of the file have changed; it is a ValueError, and nothing has run.
        SweepInterrupted: Ctrl-C or SIGTERM. Calls that have not begun are cancelled, the default executor's running
            ones ended; those that run in another executor come to their end there, unrecorded.
        SweepBroken: the executor can run no more calls, or nobody has worked on them for ``patience``.

    Example:
        >>> import tempfile, pathlib
        >>> from ufm import sweeps
        >>> points = [
        ...     {"architecture": {"type": "LayerPeeled", "E_W": 1.0, "E_H": 5.0}, "counts": [ratio] * 5 + [1.0] * 5}
        ...     for ratio in (10.0, 100.0)
        ... ]
        >>> with tempfile.TemporaryDirectory() as folder, sweeps.processes(2) as executor:
        ...     store = pathlib.Path(folder) / "lpm.sqlite"
        ...     table = sweeps.run(sweeps.solve_point, points, store=store, executor=executor)
        >>> [record.result["geometry"]["phase"] for record in table]
        ['none', 'partial']
    """
    name = getattr(function, _NAME, None) or _qualified_name(function)
    version = getattr(function, _TAG, "0")
    if executor is not None and not isinstance(executor, Executor):
        hint = "; a Dask client gives one by client.get_executor()" if hasattr(executor, "get_executor") else ""
        raise TypeError(f"executor must be a concurrent.futures.Executor or None, got {executor!r}{hint}")
    if max_in_flight is not None:
        # Not at the top: it imports NumPy, which workers should load only where their points do.
        from ufm._validation import integer

        max_in_flight = integer("max_in_flight", max_in_flight, minimum=1)
    if not isinstance(retry_failed, bool):
        raise TypeError(f"retry_failed must be True or False, got {retry_failed!r}")
    if patience is not None:
        from ufm._validation import positive

        patience = positive("patience", patience)
    texts = {content_key(name, version, text): text for text in _texts(function, points)}
    with interruptible(), Store(store) as opened:
        sweep = _Sweep(function, name, version, texts, opened, progress, retry_failed, patience)
        if executor is None:
            sweep.run_on_processes(max_in_flight)
        else:
            sweep.run_on(executor, max_in_flight or MAX_IN_FLIGHT)
        return sweep.table()


class _Sweep:
    """One call of :func:`run`. A future is in ``in_flight`` until its point is in the store."""

    def __init__(
        self,
        function: Callable[..., Any],
        name: str,
        version: str,
        texts: dict[str, str],
        store: Store,
        progress: Progress | None,
        retry_failed: bool,
        patience: float | None,
    ) -> None:
        self.function, self.name, self.version = function, name, version
        self.texts, self.store, self.progress, self.retry_failed = texts, store, progress, retry_failed
        self.waiting = iter(texts)
        self.in_flight: dict[Future[Outcome], str] = {}
        self.ended: queue.SimpleQueue[Future[Outcome]] = queue.SimpleQueue()
        self.completed = 0
        self.patience = patience
        self.watch: ClusterWatch | None = None
        self.trouble_since: float | None = None
        self.looks_at_lost_calls = 0

    def table(self) -> Table:
        return Table(record for key in self.texts if (record := self.store.get(key)) is not None)

    def run_on_processes(self, max_in_flight: int | None) -> None:
        """Run on the default executor, which is not started where nothing is left to do."""
        key = self._next()
        if key is None:
            self._report()
            return
        pool: WorkerPool = processes()
        try:
            self.run_on(pool, max_in_flight or IN_FLIGHT_PER_PROCESS * pool.size, first=key)
        except BaseException:
            with interrupts_held():
                pool.stop()
            raise
        pool.shutdown()

    def run_on(self, executor: Executor, max_in_flight: int, *, first: str | None = None) -> None:
        client = getattr(executor, "_client", None)
        self.watch = ClusterWatch(client) if hasattr(client, "scheduler_info") else None
        try:
            self._report()
            while True:
                while len(self.in_flight) < max_in_flight:
                    key, first = first or self._next(), None
                    if key is None:
                        break
                    self._submit(executor, key)
                if not self.in_flight:
                    break
                self._wait(executor)
                check_interrupt()
                self._report()
        except KeyboardInterrupt:
            with interrupts_held():
                self._salvage()
                raise SweepInterrupted(self.table(), len(self.texts)) from None
        except _Broken as broken:
            with interrupts_held():
                raise self._broken(broken) from broken.__cause__
        except BaseException:
            with interrupts_held():
                self._salvage()
            raise
        self._report()

    def _broken(self, broken: _Broken) -> SweepBroken:
        self._salvage()
        table = self.table()
        kept = {record.key for record in table}
        at_executor = {key for key in [*self.in_flight.values(), broken.key] if key not in kept}
        return SweepBroken(
            broken.cause,
            table,
            tuple(json.loads(text) for key, text in self.texts.items() if key in at_executor),
            tuple(json.loads(text) for key, text in self.texts.items() if key not in kept | at_executor),
        )

    def _wait(self, executor: Executor) -> None:
        """Keep the next point that ends; after a while without one, see whether there will be one."""
        try:
            future = self.ended.get(timeout=LOOK)
        except queue.Empty:
            self._look(executor)
            return
        if future in self.in_flight:  # or its call was handed out again
            self.trouble_since, self.looks_at_lost_calls = None, 0
            self._collect(future)

    def _look(self, executor: Executor) -> None:
        """Hand out calls again that the cluster has lost; give up where nobody has worked on any for ``patience``."""
        trouble = None if self.watch is None else self.watch.trouble()
        if trouble is None:
            self.trouble_since, self.looks_at_lost_calls = None, 0
            return
        now = time.monotonic()
        self.trouble_since = self.trouble_since or now
        if self.progress is not None:
            self.progress(f"{self.name}: {trouble.text}", self.completed, len(self.texts))
        if self.patience is not None and now - self.trouble_since > self.patience:
            self._lose_patience(trouble, now - self.trouble_since)
        self.looks_at_lost_calls += not trouble.passes
        if self.looks_at_lost_calls == LOST:
            for future, key in list(self.in_flight.items()):
                del self.in_flight[future]
                future.cancel()
                self._submit(executor, key)

    def _lose_patience(self, trouble: Trouble, seconds: float) -> None:
        said = f"{trouble.text}, for {seconds:.0f} s"
        if not trouble.passes:
            error = TimeoutError(said)
            raise _Broken(next(iter(self.in_flight.values())), error) from error
        self.trouble_since = None
        warnings.warn(f"{said}; Dask gives their calls to others when it gives them up", RuntimeWarning, stacklevel=2)

    def _next(self) -> str | None:
        """Key of the next point to run, passing over those that the store holds."""
        for key in self.waiting:
            # Asked point by point, not once at the start: another process may work on the same file.
            status = self.store.status(key)
            if status is None or (status == "failed" and self.retry_failed):
                return key
            self.completed += 1
        return None

    def _submit(self, executor: Executor, key: str) -> None:
        try:
            # Dask takes calls with equal arguments for one task: a retried point must not get its old outcome.
            future = executor.submit(evaluate, self.function, self.texts[key], uuid.uuid4().hex)
        except RuntimeError as error:  # shut down, or broken
            raise _Broken(key, error) from error
        self.in_flight[future] = key
        future.add_done_callback(self.ended.put)

    def _collect(self, future: Future[Outcome]) -> None:
        key = self.in_flight[future]
        try:
            error = future.exception()
        except CancelledError as cancelled:  # by the executor: its cluster was closed, say
            check_interrupt()  # which may have ended the workers too
            raise _Broken(key, cancelled) from cancelled
        if isinstance(error, BrokenExecutor):
            check_interrupt()
            raise _Broken(key, error) from error
        if isinstance(error, KeyboardInterrupt):  # a worker got the Ctrl-C
            raise error
        # Any other exception is the point's: it ended its worker and the executor went on, or could not be sent.
        with interrupts_held():
            self._keep(key, future.result() if error is None else (None, _described(error), 0.0))
            del self.in_flight[future]
            self.completed += 1

    def _keep(self, key: str, outcome: Outcome) -> None:
        result, error, seconds = outcome
        self.store.put(
            key,
            function=self.name,
            version=self.version,
            point=self.texts[key],
            result=result,
            failure=None if error is None else Failure(*error),
            seconds=seconds,
        )

    def _salvage(self) -> None:
        """Cancel what has not begun; keep what has ended."""
        for future in self.in_flight:
            with contextlib.suppress(Exception):  # of a cluster that is gone
                future.cancel()
        for future, key in self.in_flight.items():
            if future.done() and not future.cancelled() and future.exception() is None:
                self._keep(key, future.result())

    def _report(self) -> None:
        if self.progress is not None:
            self.progress(self.name, self.completed, len(self.texts))


class _Broken(Exception):
    """The executor failed when the point ``key`` was with it."""

    def __init__(self, key: str, cause: BaseException) -> None:
        super().__init__(key)
        self.key = key
        self.cause = f"{type(cause).__name__}: {cause}" if str(cause) else type(cause).__name__


def evaluate(function: Callable[..., Any], text: str, token: str) -> Outcome:
    """In a worker: call the point function, and turn result or exception into text.

    Exceptions do not travel as objects: not every one can be pickled, and no traceback can.
    """
    start = time.perf_counter()
    try:
        result = encode_result(function(**json.loads(text)))
    except (Exception, SystemExit) as error:
        return None, _described(error), time.perf_counter() - start
    return result, None, time.perf_counter() - start


def _described(error: BaseException) -> tuple[str, str, str]:
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    try:
        message = str(error)
    except Exception:
        message = "(its message cannot be printed)"
    return name, message, "".join(traceback.format_exception(error))


def _qualified_name(function: Any) -> str:
    """``module.name`` of a top-level function, the same whether its module was imported or run as a script."""
    module_name, name = getattr(function, "__module__", None), getattr(function, "__qualname__", None)
    found = sys.modules.get(module_name or "")
    module = found
    for part in (name or "").split("."):
        found = getattr(found, part, None)
    if not callable(function) or module is None or found is not function:
        raise TypeError(
            "function must be defined at the top level of a module, so that workers can import it, "
            f"got {function!r} (no lambda, no nested function, no partial)"
        )
    if module_name == "__main__":
        spec, file = getattr(module, "__spec__", None), getattr(module, "__file__", None)
        if spec is None and file is None:
            raise TypeError(
                f"function must be defined in a file, so that workers can import it, got {name} of an interactive "
                "session"
            )
        module_name = spec.name if spec is not None else Path(str(file)).stem
    return f"{module_name}.{name}"


def _texts(function: Callable[..., Any], points: Iterable[Mapping[str, Any]]) -> Iterable[str]:
    """Texts of the points, all of them checked before the first runs."""
    if isinstance(points, Mapping | str | bytes) or not isinstance(points, Iterable):
        raise TypeError(f"points must be an iterable of dictionaries, got {points!r}")
    try:
        signature = inspect.signature(function)
    except ValueError:  # some built-in functions have none
        signature = None
    for i, point in enumerate(points):
        if not isinstance(point, Mapping):
            raise TypeError(f"points[{i}] must be a dictionary of keyword arguments, got {point!r}")
        value = plain(f"points[{i}]", point)
        if signature is not None:
            try:
                signature.bind(**value)
            except TypeError as error:
                raise TypeError(
                    f"points[{i}] must fit {function.__name__}{signature}, got {value!r}: {error}"
                ) from None
        yield dumps(value)
