"""The file of a sweep: one row a finished point, in SQLite with a write-ahead log.

Format, in the table ``sweep_schema``: version 2 has a SHA-256 in every row, over all its columns. Version 1 has none,
and of its rows only function, version and point are secured, by the key, which is their hash. It is read as it is, and
gets its checksums when a sweep goes on in it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import reprlib
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

from ufm.sweeps._json import content_key, decode_result

__all__ = ["Failure", "Record", "Store", "SweepDamaged", "Table", "load", "repair"]

FORMAT = "ufm.sweeps"
VERSION = 2

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
        seconds REAL NOT NULL,
        checksum TEXT NOT NULL
    )""",
)

_UNCHECKED = "key, function, version, point, status, result, error_type, error_message, error_traceback, seconds"
#: Columns of the versions of the format.
_COLUMNS = {1: _UNCHECKED, 2: f"{_UNCHECKED}, checksum"}

# The first result of a point stays; a failure gives way to whatever a later attempt brings.
_PUT = f"""INSERT INTO points ({_COLUMNS[VERSION]}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (key) DO UPDATE SET status = excluded.status, result = excluded.result,
        error_type = excluded.error_type, error_message = excluded.error_message,
        error_traceback = excluded.error_traceback, seconds = excluded.seconds, checksum = excluded.checksum
    WHERE points.status = 'failed'"""

#: What SQLite calls a file that it cannot get at, or that is none of its own: no damage, as far as anyone can tell.
_NOT_DAMAGE = ("SQLITE_CANTOPEN", "SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_READONLY", "SQLITE_IOERR", "SQLITE_FULL")

#: Damaged rows that a message names.
_NAMED = 5

#: A row as SQLite gives it: texts are bytes, which damage may have made undecodable.
Row = tuple[Any, ...]


class SweepDamaged(ValueError):
    """A store whose bytes have changed: a row's checksum does not fit, or SQLite cannot read a page.

    No record is returned that could be wrong. :func:`ufm.sweeps.repair` saves the others.

    Attributes:
        path: the file.
        rows: what is wrong with the damaged rows, by key; empty where the file cannot be read by rows.
    """

    def __init__(self, path: Path, why: str, rows: dict[str, str] | None = None) -> None:
        super().__init__(
            f"store must be an undamaged file, got {str(path)!r}: {why}. ufm.sweeps.repair({str(path)!r}) keeps the "
            "rows that are whole; the next run computes the others again"
        )
        self.path = path
        self.rows = rows or {}


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
        create: make the file if it does not exist, and bring an older one to this version.

    Raises:
        TypeError: ``path`` is no path.
        SweepDamaged: a page or a row of the file is damaged, whatever is asked of it later.
        ValueError: it is something else, from a newer version, or cannot be opened or made.
    """

    def __init__(self, path: str | os.PathLike[str], *, create: bool = True) -> None:
        self.path = _path(path)
        if not create and not self.path.is_file():
            raise ValueError(f"store must be an existing file, got {str(path)!r}")
        with self._reading():
            self._connection = _connect(self.path, "rwc" if create else "rw")
        try:
            with self._reading():
                self._open()
                if self._version < VERSION and create:
                    self._upgrade()
            self._check_rows()
        except BaseException:
            self._connection.close()
            raise

    def _open(self) -> None:
        # Whose file it is comes first: nothing of a foreign one is changed, not even its journal mode.
        if self._is_new():
            self._use_write_ahead_log()
            with self._transaction():
                if self._is_new():
                    for statement in _SCHEMA:
                        self._connection.execute(statement)
                    self._connection.execute("INSERT INTO sweep_schema VALUES (?, ?)", (FORMAT, VERSION))
        self._version = self._checked_version()
        (check,) = self._connection.execute("PRAGMA integrity_check(1)").fetchone()
        if check != b"ok":
            raise SweepDamaged(self.path, _shown(check))
        self._use_write_ahead_log()
        # A power failure may cost the last points, which are computed again; a killed process costs none.
        self._connection.execute("PRAGMA synchronous = NORMAL")

    def _is_new(self) -> bool:
        """True for an empty file; ValueError for a database without this module's tables."""
        # The pages first: another process may make the tables in between, and what it has made is then seen whole.
        (pages,) = self._connection.execute("PRAGMA page_count").fetchone()
        tables = {_shown(n) for (n,) in self._connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if (tables or pages > 1) and not {"sweep_schema", "points"} <= tables:
            raise ValueError(
                f"store must be a new file or one of {FORMAT}, got {str(self.path)!r}, another database, "
                f"with the tables {', '.join(sorted(tables))}"
            )
        return not tables

    def _checked_version(self) -> int:
        """Version of the format, which the columns must fit; ValueError for a file of another format."""
        rows = self._connection.execute("SELECT format, version FROM sweep_schema").fetchall()
        found = [(_shown(name), version) for name, version in rows]
        if len(found) != 1 or found[0][0] != FORMAT:
            raise ValueError(f"store must be a file of {FORMAT}, got {str(self.path)!r}, whose format is {found!r}")
        ((_, version),) = found
        if version not in _COLUMNS:
            raise ValueError(f"store must have version {VERSION}, got {str(self.path)!r} of version {version!r}")
        columns = ", ".join(_shown(row[1]) for row in self._connection.execute("PRAGMA table_info(points)"))
        if columns != _COLUMNS[version]:
            raise SweepDamaged(self.path, f"it is of version {version} and has the columns {columns}")
        return version

    def _upgrade(self) -> None:
        """Give every row its checksum."""
        with self._transaction():
            if self._checked_version() == VERSION:  # another process was faster
                self._version = VERSION
                return
            rows = list(self._rows())
            self._refuse_damaged(rows)
            self._connection.execute("ALTER TABLE points ADD COLUMN checksum TEXT NOT NULL DEFAULT ''")
            self._connection.executemany(
                "UPDATE points SET checksum = ? WHERE key = CAST(? AS TEXT)", [(_checksum(row), row[0]) for row in rows]
            )
            self._connection.execute("UPDATE sweep_schema SET version = ?", (VERSION,))
        self._version = VERSION

    def _check_rows(self) -> None:
        self._refuse_damaged(self._rows())

    def _refuse_damaged(self, rows: Iterable[Row]) -> None:
        damaged = {
            _shown(row[0]): f"{why}; its arguments read {reprlib.repr(_shown(row[3]))}"
            for row in rows
            if (why := _damage(row)) is not None
        }
        if damaged:
            named = [f"the point {key!r} ({why})" for key, why in list(damaged.items())[:_NAMED]]
            more = [f"{len(damaged) - _NAMED} more"] if len(damaged) > _NAMED else []
            raise SweepDamaged(self.path, f"it is damaged at {', '.join(named + more)}", damaged)

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
            if mode != b"wal":
                raise ValueError(f"store must lie on a file system with write-ahead logs, got {str(self.path)!r}")
            return

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            name = getattr(error, "sqlite_errorname", "")
            if name.startswith(_NOT_DAMAGE):
                raise ValueError(
                    f"store must be a readable file of {FORMAT}, got {str(self.path)!r}: {error}"
                ) from error
            raise SweepDamaged(self.path, str(error)) from error
        except UnicodeError as error:  # SQLite quotes what it cannot read
            raise SweepDamaged(self.path, f"SQLite cannot read it ({error})") from error

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def status(self, key: str) -> str | None:
        """``"done"``, ``"failed"``, or None for a point that is not in the file."""
        with self._reading():
            row = self._connection.execute("SELECT status FROM points WHERE key = ?", (key,)).fetchone()
        return None if row is None else _shown(row[0])

    def get(self, key: str) -> Record | None:
        """The point with this key, or None."""
        with self._reading():
            row = self._connection.execute(f"{self._select} WHERE key = ?", (key,)).fetchone()
        return None if row is None else self._record(row)

    def records(self) -> Iterator[Record]:
        """All points, in the order of their keys."""
        return map(self._record, self._rows())

    @property
    def _select(self) -> str:
        return f"SELECT {_COLUMNS[self._version]} FROM points"

    def _rows(self) -> Iterator[Row]:
        with self._reading():
            yield from self._connection.execute(f"{self._select} ORDER BY key")

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
        row = (key, function, version, point, status, result, *map(_encodable, error), float(seconds))
        try:
            self._connection.execute(_PUT, (*row, _checksum(row)))
        except (sqlite3.DatabaseError, UnicodeError) as exc:
            raise OSError(f"store {str(self.path)!r} cannot be written: {exc}") from exc

    def put_row(self, row: Row) -> None:
        """Keep a row of another store as it is, with the checksum of this version."""
        key, function, version, point = _texts(row[:4])
        self.put(key, function=function, version=version, point=point, **_outcome(row))

    def _record(self, row: Row) -> Record:
        self._refuse_damaged([row])
        key, function, version, point = _texts(row[:4])
        outcome = _outcome(row)
        result = outcome.pop("result")
        return Record(
            key=key,
            function=function,
            version=version,
            point=json.loads(point),
            result=None if result is None else decode_result(result),
            **outcome,
        )


def _path(path: str | os.PathLike[str]) -> Path:
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"store must be the path of a file, got {path!r}")
    return Path(path)


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    connection = sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT, isolation_level=None)
    connection.text_factory = bytes
    return connection


def _texts(columns: Iterable[bytes]) -> list[str]:
    return [column.decode("utf-8") for column in columns]


def _outcome(row: Row) -> dict[str, Any]:
    """How the call ended: ``result`` (text), ``failure`` and ``seconds``."""
    if row[4] == b"done":
        return {"result": row[5].decode("utf-8"), "failure": None, "seconds": row[9]}
    return {"result": None, "failure": Failure(*_texts(row[6:9])), "seconds": row[9]}


def _shown(text: Any) -> str:
    """A text from the file for a message, damaged though it may be."""
    return text.decode("utf-8", "backslashreplace") if isinstance(text, bytes) else str(text)


def _checksum(row: Row) -> str:
    """SHA-256, in hexadecimal, of a row's columns but the checksum: of each its type, its length and its content."""
    found = hashlib.sha256()
    for value in row[:10]:
        data = value.encode("utf-8") if isinstance(value, str) else value
        kind = "text" if isinstance(data, bytes) else type(value).__name__
        content = data if isinstance(data, bytes) else repr(value).encode("ascii")
        found.update(f"{kind} {len(content)}:".encode("ascii") + content)
    return found.hexdigest()


def _damage(row: Row) -> str | None:
    """What is wrong with a row, or None."""
    if len(row) > 10:
        return None if row[10] == _checksum(row).encode("ascii") else "its checksum does not fit"
    # Version 1: what can be told without a checksum.
    try:
        key, function, version, point = _texts(row[:4])
        if content_key(function, version, point) != key:
            return "its key does not fit its function, version and point"
        outcome = _outcome(row)
        if outcome["result"] is not None:
            decode_result(outcome["result"])
    except (ValueError, AttributeError, TypeError) as error:
        return str(error)
    return None


def _encodable(text: str | None) -> str | None:
    """Messages may hold what UTF-8 cannot encode, file names for instance."""
    return None if text is None else text.encode("utf-8", "backslashreplace").decode("utf-8")


def load(store: str | os.PathLike[str]) -> Table:
    """All points that a file holds, in the order of their keys.

    Args:
        store: a file that :func:`ufm.sweeps.run` wrote; the sweep may still be running.

    Raises:
        SweepDamaged: a row of it, or the file, is damaged; the message names it.
        ValueError: there is no such file, or it is something else.

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


def repair(store: str | os.PathLike[str]) -> Table:
    """Save the rows of a damaged file that are whole; the next :func:`ufm.sweeps.run` computes the others again.

    The damaged file stays beside the new one, under its name with ``.damaged`` behind. Nobody else may have it open.

    Args:
        store: a file that :func:`ufm.sweeps.run` wrote.

    Returns:
        The points that were saved, in the order of their keys.

    Raises:
        SweepDamaged: nothing of it can be read.
        ValueError: there is no such file.

    >>> import pathlib, tempfile
    >>> from concurrent.futures import ThreadPoolExecutor
    >>> from ufm import sweeps
    >>> point = {"architecture": {"type": "LayerPeeled", "E_W": 1.0, "E_H": 5.0}, "counts": [3.0, 3.0, 1.0]}
    >>> with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(1) as executor:
    ...     store = pathlib.Path(folder) / "lpm.sqlite"
    ...     _ = sweeps.run(sweeps.solve_point, [point], store=store, executor=executor)
    ...     len(repair(store))
    1
    """
    path = _path(store)
    if not path.is_file():
        raise ValueError(f"store must be an existing file, got {str(path)!r}")
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.", suffix=".part") as folder:
        copy, new = Path(folder, "copy"), Path(folder, "new")
        for end in ("", "-wal"):
            if Path(f"{path}{end}").exists():
                shutil.copyfile(f"{path}{end}", f"{copy}{end}")
        with Store(new) as saved:
            for row in _whole_rows(copy, path):
                saved.put_row(row)
        kept = load(new)
        for end in ("", "-wal", "-shm"):
            if Path(f"{path}{end}").exists():
                os.replace(f"{path}{end}", f"{_aside(path)}{end}")
        os.replace(new, path)
    return kept


def _aside(path: Path) -> Path:
    return path.with_name(f"{path.name}.damaged")


def _whole_rows(copy: Path, path: Path) -> Iterator[Row]:
    """Rows of a damaged file that can be read and whose checksums fit."""
    with contextlib.closing(_connect(copy, "rw")) as connection:
        try:
            columns = {_shown(row[1]) for row in connection.execute("PRAGMA table_info(points)")}
            select = f"SELECT {_COLUMNS[2 if 'checksum' in columns else 1]} FROM points"
            (last,) = connection.execute("SELECT max(rowid) FROM points").fetchone()
        except (sqlite3.DatabaseError, UnicodeError) as error:
            raise SweepDamaged(path, f"nothing of it can be read ({error}): move it away and start anew") from error
        for number in range(1, (last or 0) + 1):
            with contextlib.suppress(sqlite3.DatabaseError, UnicodeError):
                row = connection.execute(f"{select} WHERE rowid = ?", (number,)).fetchone()
                if row is not None and _damage(row) is None:
                    yield row
