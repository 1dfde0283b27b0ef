"""The engine that keeps and resumes: points go to an executor, what comes back goes to whoever keeps it.

:func:`ufm.sweeps.run` keeps points in SQLite. Whatever keeps its pieces elsewhere, in a file of its own format or with
a state that the next piece starts from, is a :class:`Keeper` and has the same executors, interruption and resumption.
"""

from __future__ import annotations

import contextlib
import json
import queue
import time
import traceback
import uuid
import warnings
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future
from typing import Any, Protocol

from ufm._interrupts import check_interrupt, interruptible, interrupts_held
from ufm.sweeps._cluster import ClusterWatch, Trouble
from ufm.sweeps._json import content_key, decode_result, dumps, encode_result
from ufm.sweeps._pool import WorkerPool, processes
from ufm.sweeps._store import Failure, Record, Table

__all__ = [
    "MAX_IN_FLIGHT",
    "ClusterWatch",
    "Engine",
    "InThisProcess",
    "Keeper",
    "Progress",
    "SweepBroken",
    "SweepInterrupted",
    "decode_result",
    "point_key",
]

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


class Keeper(Protocol):
    """Where finished points are kept.

    >>> class InMemory:
    ...     def __init__(self):
    ...         self.texts = {}
    ...
    ...     def status(self, key):
    ...         return "done" if key in self.texts else None
    ...
    ...     def get(self, key):
    ...         return None
    ...
    ...     def put(self, key, *, result, **_):
    ...         self.texts[key] = result
    >>> keeper = InMemory()
    >>> Engine(abs, [], keeper, name="abs", version="1").run_here()
    >>> keeper.texts
    {}
    """

    def status(self, key: str) -> str | None:
        """``"done"``, ``"failed"``, or None for a point that is not there."""

    def get(self, key: str) -> Record | None:
        """The point with this key, or None."""

    def put(
        self,
        key: str,
        *,
        function: str,
        version: str,
        point: str,
        result: str | None,
        failure: Failure | None,
        seconds: float,
    ) -> None:
        """Keep a point; interrupts wait meanwhile. What it raises ends the run."""


def point_key(name: str, version: str, point: Mapping[str, Any]) -> str:
    """What a point of an :class:`Engine` is known by.

    >>> point_key("margin", "1", {"rho": 0.5})[:8]
    '44694a70'
    """
    return content_key(name, version, dumps(point))


class InThisProcess(Executor):
    """Runs a call when it is handed in, in the caller's thread.

    >>> InThisProcess().submit(abs, -2).result()
    2
    """

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """A future that has its result."""
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


class SweepInterrupted(KeyboardInterrupt):
    """Ctrl-C or SIGTERM during a sweep; all that had finished is kept, and the same call goes on from there.

    Attributes:
        table: the finished points, those of earlier runs included.
        total: number of points of the sweep.
    """

    def __init__(self, table: Table, total: int) -> None:
        super().__init__(f"sweep interrupted after {len(table)} of {total} points")
        self.table = table
        self.total = total


class SweepBroken(RuntimeError):
    """The executor stopped working; all that had finished is kept, and the same call goes on from there.

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


class Engine:
    """One pass over points: those that the keeper does not have are computed and kept.

    Args:
        function: called with a point as keyword arguments; an executor that runs it elsewhere must be able to send it.
        points: keyword arguments, made of JSON values with finite numbers; equal ones count once.
        keeper: where finished points are.
        name, version: what the keeper knows the function by, see :func:`ufm.sweeps.versioned`.
        progress: called as ``progress(description, completed points, all points)``.
        retry_failed: call again for points that failed.
        patience: see :func:`ufm.sweeps.run`.

    >>> import pathlib, tempfile
    >>> from ufm.sweeps._store import Store
    >>> def gain(*, rho):
    ...     return 1 / (1 - rho)
    >>> with tempfile.TemporaryDirectory() as folder, Store(pathlib.Path(folder) / "gains.sqlite") as keeper:
    ...     engine = Engine(gain, [{"rho": 0.5}, {"rho": 0.75}], keeper, name="gain", version="1")
    ...     engine.run_here()
    ...     [record.result for record in engine.table()]
    [2.0, 4.0]
    """

    def __init__(
        self,
        function: Callable[..., Any],
        points: Iterable[Mapping[str, Any]],
        keeper: Keeper,
        *,
        name: str,
        version: str,
        progress: Progress | None = None,
        retry_failed: bool = False,
        patience: float | None = None,
    ) -> None:
        texts = map(dumps, points)
        self.texts = {content_key(name, version, text): text for text in texts}
        self.function, self.name, self.version = function, name, version
        self.store, self.progress, self.retry_failed, self.patience = keeper, progress, retry_failed, patience
        self.waiting = iter(self.texts)
        # A future is in here until its point is in the store.
        self.in_flight: dict[Future[Outcome], str] = {}
        self.ended: queue.SimpleQueue[Future[Outcome]] = queue.SimpleQueue()
        self.completed = 0
        self.watch: ClusterWatch | None = None
        self.trouble_since: float | None = None
        self.looks_at_lost_calls = 0

    def table(self) -> Table:
        """The finished points, in the order given."""
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

    def run_here(self) -> None:
        """Run one point after the other in this thread."""
        self.run_on(InThisProcess(), 1)

    def run_on(self, executor: Executor, max_in_flight: int, *, first: str | None = None) -> None:
        """Run on an executor, at most ``max_in_flight`` calls at a time.

        Raises:
            SweepInterrupted: Ctrl-C or SIGTERM.
            SweepBroken: the executor can run no more calls.
        """
        with interruptible():
            self._run_on(executor, max_in_flight, first)

    def _run_on(self, executor: Executor, max_in_flight: int, first: str | None) -> None:
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
        kept = {key for key in self.texts if self.store.status(key) is not None}
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
        errors: list[Exception] = []
        for future, key in self.in_flight.items():
            ended = future.done() and not future.cancelled() and future.exception() is None
            if ended and self.store.status(key) != "done":  # kept already where telling of it was interrupted
                try:
                    self._keep(key, future.result())
                except Exception as error:
                    errors.append(error)
        if errors:
            raise errors[0]

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
