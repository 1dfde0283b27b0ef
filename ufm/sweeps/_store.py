"""The file of a sweep: one row a finished point, in SQLite with a write-ahead log."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

from ufm.sweeps._json import decode_result

__all__ = ["Failure", "Record", "Store", "Table", "load"]

FORMAT = "ufm.sweeps"
VERSION = 1

#: Seconds to wait for another process that writes to the same file.
BUSY_TIMEOUT = 60.0

_SCHEMA = (
    "CREATE TABLE sweep_schema (format TEXT NOT NULL, version INTEGER NOT NULL)",
    """CREATE TABLE points (
        key TEXT NOT NULL PRIMARY KEY,
        function TEXT NOT NULL,
        version TEXT NOT NULL,
        point TEXT NOT NULL,
        status TEXT NOT NULL CHECK (status IN ('done', 'failed')),
        result TEXT CHECK ((result IS NOT NULL) = (status = 'done')),
        error_type TEXT CHECK ((error_type IS NOT NULL) = (status = 'failed')),
        error_message TEXT CHECK ((error_message IS NOT NULL) = (status = 'failed')),
        error_traceback TEXT CHECK ((error_traceback IS NOT NULL) = (status = 'failed')),
        seconds REAL NOT NULL
    )""",
)

_COLUMNS = "key, function, version, point, status, result, error_type, error_message, error_traceback, seconds"

# The first result of a point stays; a failure gives way to whatever a later attempt brings.
_PUT = f"""INSERT INTO points ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (key) DO UPDATE SET status = excluded.status, result = excluded.result,
        error_type = excluded.error_type, error_message = excluded.error_message,
        error_traceback = excluded.error_traceback, seconds = excluded.seconds
    WHERE points.status = 'failed'"""


@dataclass(frozen=True)
class Failure:
    """The exception that a point raised.

    Attributes:
        type: its class, with the module unless it is a built-in one.
        message: ``str(exception)``.
        traceback: the traceback as Python prints it.
    """

    type: str
    message: str
    traceback: str

    def __str__(self) -> str:
        return f"{self.type}: {self.message}"


@dataclass(frozen=True)
class Record:
    """A finished point.

    Attributes:
        key: SHA-256 of the function's name, its version and the point.
        function: qualified name of the point function.
        version: its version, see :func:`ufm.sweeps.versioned`.
        point: the keyword arguments.
        result: what the function returned, as JSON values; None for a point that failed.
        failure: what it raised; None for a point that did not fail.
        seconds: wall time of the call.
    """

    key: str
    function: str
    version: str
    point: dict[str, Any]
    result: Any
    failure: Failure | None
    seconds: float


class Table(Sequence[Record]):
    """Finished points of a sweep, a sequence of :class:`Record`."""

    def __init__(self, records: Iterable[Record]) -> None:
        self._records = tuple(records)

    @overload
    def __getitem__(self, index: int) -> Record: ...
    @overload
    def __getitem__(self, index: slice) -> Table: ...
    def __getitem__(self, index: int | slice) -> Record | Table:
        return Table(self._records[index]) if isinstance(index, slice) else self._records[index]

    def __len__(self) -> int:
        return len(self._records)

    def __repr__(self) -> str:
        return f"<Table of {len(self)} points, {len(self.failed)} of them failed>"

    @property
    def finished(self) -> Table:
        """The points that returned a result."""
        return Table(r for r in self._records if r.failure is None)

    @property
    def failed(self) -> Table:
        """The points that raised."""
        return Table(r for r in self._records if r.failure is not None)


class Store:
    """An open file of points; a context manager.

    Several processes may have one file open: a point is kept once, and the first result stays.

    Args:
        path: the file.
        create: make the file if it does not exist.

    Raises:
        TypeError: ``path`` is no path.
        ValueError: the file is damaged, something else, from a newer version, or cannot be opened or made.
    """

    def __init__(self, path: str | os.PathLike[str], *, create: bool = True) -> None:
        if not isinstance(path, str | os.PathLike):
            raise TypeError(f"store must be the path of a file, got {path!r}")
        self.path = Path(path)
        if not create and not self.path.is_file():
            raise ValueError(f"store must be an existing file, got {str(path)!r}")
        with self._reading():
            self._connection = sqlite3.connect(
                f"{self.path.absolute().as_uri()}?mode={'rwc' if create else 'rw'}",
                uri=True,
                timeout=BUSY_TIMEOUT,
                isolation_level=None,
            )
        try:
            with self._reading():
                self._open()
        except BaseException:
            self._connection.close()
            raise

    def _open(self) -> None:
        # Whose file it is comes first: nothing of a foreign one is changed, not even its journal mode.
        if self._is_new():
            self._use_write_ahead_log()
            self._connection.execute("BEGIN IMMEDIATE")
            with self._rolled_back_on_error():
                if self._is_new():
                    for statement in _SCHEMA:
                        self._connection.execute(statement)
                    self._connection.execute("INSERT INTO sweep_schema VALUES (?, ?)", (FORMAT, VERSION))
                self._connection.execute("COMMIT")
        rows = self._connection.execute("SELECT format, version FROM sweep_schema").fetchall()
        if len(rows) != 1 or rows[0][0] != FORMAT:
            raise ValueError(f"store must be a file of {FORMAT}, got {str(self.path)!r}, whose format is {rows!r}")
        if rows[0][1] != VERSION:
            raise ValueError(f"store must have version {VERSION}, got {str(self.path)!r} of version {rows[0][1]!r}")
        (check,) = self._connection.execute("PRAGMA quick_check(1)").fetchone()
        if check != "ok":
            raise ValueError(f"store must be an undamaged file, got {str(self.path)!r}: {check}")
        self._use_write_ahead_log()
        # A power failure may cost the last points, which are computed again; a killed process costs none.
        self._connection.execute("PRAGMA synchronous = NORMAL")

    def _is_new(self) -> bool:
        """True for an empty file; ValueError for a database without this module's tables."""
        tables = {name for (name,) in self._connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if tables and not {"sweep_schema", "points"} <= tables:
            raise ValueError(
                f"store must be a new file or one of {FORMAT}, got {str(self.path)!r}, another database, "
                f"with the tables {', '.join(sorted(tables))}"
            )
        return not tables

    def _use_write_ahead_log(self) -> None:
        deadline = time.monotonic() + BUSY_TIMEOUT
        while True:
            # SQLite does not wait for other processes here as it does elsewhere.
            try:
                (mode,) = self._connection.execute("PRAGMA journal_mode = WAL").fetchone()
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
                continue
            if mode != "wal":
                raise ValueError(f"store must lie on a file system with write-ahead logs, got {str(self.path)!r}")
            return

    @contextlib.contextmanager
    def _rolled_back_on_error(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            raise ValueError(f"store must be a readable file of {FORMAT}, got {str(self.path)!r}: {error}") from error

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def status(self, key: str) -> str | None:
        """``"done"``, ``"failed"``, or None for a point that is not in the file."""
        with self._reading():
            row = self._connection.execute("SELECT status FROM points WHERE key = ?", (key,)).fetchone()
        return None if row is None else row[0]

    def get(self, key: str) -> Record | None:
        """The point with this key, or None."""
        with self._reading():
            row = self._connection.execute(f"SELECT {_COLUMNS} FROM points WHERE key = ?", (key,)).fetchone()
        return None if row is None else self._record(row)

    def records(self) -> Iterator[Record]:
        """All points, in the order of their keys."""
        with self._reading():
            for row in self._connection.execute(f"SELECT {_COLUMNS} FROM points ORDER BY key"):
                yield self._record(row)

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
        """Keep a point, in one transaction; a result that is there already stays.

        Args:
            key, function, version: see :class:`Record`.
            point, result: texts of JSON values.
            failure: what the point raised, exactly when there is no result.
            seconds: wall time.

        Raises:
            OSError: the file cannot be written.
        """
        error = (None, None, None) if failure is None else (failure.type, failure.message, failure.traceback)
        status = "done" if failure is None else "failed"
        row = (key, function, version, point, status, result, *map(_encodable, error), seconds)
        try:
            self._connection.execute(_PUT, row)
        except sqlite3.DatabaseError as exc:
            raise OSError(f"store {str(self.path)!r} cannot be written: {exc}") from exc

    def _record(self, row: tuple[Any, ...]) -> Record:
        key, function, version, point, status, result, *error, seconds = row
        try:
            return Record(
                key=key,
                function=function,
                version=version,
                point=json.loads(point),
                result=decode_result(result) if status == "done" else None,
                failure=Failure(*error) if status == "failed" else None,
                seconds=seconds,
            )
        except (ValueError, TypeError) as exc:
            raise ValueError(f"store {str(self.path)!r} is damaged at the point {key!r}: {exc}") from exc


def _encodable(text: str | None) -> str | None:
    """Messages may hold what UTF-8 cannot encode, file names for instance."""
    return None if text is None else text.encode("utf-8", "backslashreplace").decode("utf-8")


def load(store: str | os.PathLike[str]) -> Table:
    """All points that a file holds, in the order of their keys.

    Args:
        store: a file that :func:`ufm.sweeps.run` wrote; the sweep may still be running.

    Raises:
        ValueError: there is no such file, or it is damaged or something else.

    >>> import pathlib, tempfile
    >>> from concurrent.futures import ThreadPoolExecutor
    >>> from ufm import sweeps
    >>> point = {"architecture": {"type": "LayerPeeled", "E_W": 1.0, "E_H": 5.0}, "counts": [3.0, 3.0, 1.0]}
    >>> with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(1) as executor:
    ...     store = pathlib.Path(folder) / "lpm.sqlite"
    ...     _ = sweeps.run(sweeps.solve_point, [point], store=store, executor=executor)
    ...     len(load(store).finished)
    1
    """
    with Store(store, create=False) as opened:
        return Table(opened.records())
