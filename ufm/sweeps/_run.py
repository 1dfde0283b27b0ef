"""Running a sweep: points go to an executor, what comes back goes to the store."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor
from pathlib import Path
from typing import Any, TypeVar

from ufm._interrupts import interruptible
from ufm.sweeps._json import plain
from ufm.sweeps._store import Store, Table
from ufm.sweeps.engine import MAX_IN_FLIGHT, Engine, Progress

__all__ = ["run", "versioned"]

F = TypeVar("F", bound=Callable[..., Any])

_TAG = "_ufm_sweep_version"
_NAME = "_ufm_sweep_name"


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
    given = list(_plain_points(function, points))
    with interruptible(), Store(store) as opened:
        engine = Engine(
            function,
            given,
            opened,
            name=name,
            version=version,
            progress=progress,
            retry_failed=retry_failed,
            patience=patience,
        )
        if executor is None:
            engine.run_on_processes(max_in_flight)
        else:
            engine.run_on(executor, max_in_flight or MAX_IN_FLIGHT)
        return engine.table()


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


def _plain_points(function: Callable[..., Any], points: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """The points as JSON values, all of them checked before the first runs."""
    try:
        if isinstance(points, Mapping | str | bytes):
            raise TypeError
        listed = iter(points)
    except TypeError:
        raise TypeError(f"points must be an iterable of dictionaries, got {points!r}") from None
    try:
        signature = inspect.signature(function)
    except ValueError:  # some built-in functions have none
        signature = None
    for i, point in enumerate(listed):
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
        yield value
