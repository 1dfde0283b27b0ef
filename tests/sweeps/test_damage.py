"""Stores whose bytes have changed, and stores of the first version, which had no checksums."""

from __future__ import annotations

import contextlib
import random
import sqlite3
from pathlib import Path
from typing import Any

import flipped_store
import pytest
import sweep_samples as samples
from flipped_store import POINTS, Here

from ufm import sweeps
from ufm.sweeps._json import content_key

#: As it was made until checksums were added.
OLD_SCHEMA = (
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
    "INSERT INTO sweep_schema VALUES ('ufm.sweeps', 1)",
)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "sweep.sqlite"


def execute(store: Path, *statements: str, arguments: tuple[Any, ...] = ()) -> list[Any]:
    with contextlib.closing(sqlite3.connect(store)) as db:
        rows = [db.execute(statement, arguments).fetchall() for statement in statements]
        db.commit()
    return rows[-1]


def squares(*values: float) -> list[dict[str, float]]:
    return [{"x": x} for x in values]


def old_store(store: Path) -> None:
    """A store of version 1 with the squares of 1 and 2."""
    execute(store, "PRAGMA journal_mode = WAL", *OLD_SCHEMA)
    for x in (1.0, 2.0):
        key = content_key("sweep_samples.square", "0", f'{{"x":{x}}}')
        row = (key, "sweep_samples.square", "0", f'{{"x":{x}}}', "done", str(x * x), None, None, None, 0.5)
        execute(store, "INSERT INTO points VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", arguments=row)


@pytest.mark.slow
def test_no_flipped_bit_gives_a_wrong_result_in_silence(store: Path) -> None:
    data = flipped_store.made(store)
    truth = flipped_store.content(sweeps.load(store))
    rng = random.Random(20261128)
    ends = {flipped_store.outcome(store, flipped_store.flipped(data, rng.randrange(8 * len(data))), truth)}
    for _ in range(300):
        ends.add(flipped_store.outcome(store, flipped_store.flipped(data, rng.randrange(8 * len(data))), truth))
    assert {"as it was", "SweepDamaged"} <= ends


@pytest.mark.parametrize(
    "change",
    [
        "result = replace(result, '0.', '0.1')",
        "point = replace(point, '0.05', '0.06')",
        "seconds = seconds + 1",
        "status = 'failed', result = NULL, error_type = 'E', error_message = 'm', error_traceback = 't'",
        "function = 'other.function'",
        "version = '1'",
        "checksum = ''",
        "checksum = upper(checksum)",
        "result = CAST(result AS BLOB) || x'ff'",
        "key = '0' || substr(key, 2)",
    ],
)
def test_a_changed_row_is_named_and_can_be_computed_again(store: Path, change: str) -> None:
    flipped_store.made(store)
    truth = flipped_store.content(sweeps.load(store))
    where = 'WHERE point = \'{"start":0.05,"steps":30}\''
    ((key,),) = execute(store, f"SELECT key FROM points {where}")
    execute(store, f"UPDATE points SET {change} {where}")
    executor = Here()
    for call in (
        lambda: sweeps.load(store),
        lambda: sweeps.run(samples.logistic, POINTS, store=store, executor=executor),
        lambda: sweeps.run(samples.square, squares(1.0), store=store, executor=executor),
    ):
        with pytest.raises(
            sweeps.SweepDamaged, match=r"its checksum does not fit; its arguments read .*repair"
        ) as error:
            call()
        assert isinstance(error.value, ValueError)
        assert str(store) in str(error.value)
        assert error.value.path == store
        assert [k[1:] for k in error.value.rows] == [key[1:]]
        assert all(f"the point {k!r}" in str(error.value) for k in error.value.rows)
    assert executor.calls == 0

    saved = sweeps.repair(store)
    assert flipped_store.content(saved) == [row for row in truth if row[0] != key]
    again = sweeps.run(samples.logistic, POINTS, store=store, executor=executor)
    assert executor.calls == 1
    assert {r.key: r.result for r in again}[key] == samples.logistic(start=0.05, steps=30)
    assert {p.name for p in store.parent.iterdir()} == {"sweep.sqlite", "sweep.sqlite.damaged"}


def test_many_damaged_rows_are_counted(store: Path) -> None:
    flipped_store.made(store)
    execute(store, "UPDATE points SET seconds = seconds + 1 WHERE status = 'done'")
    with pytest.raises(sweeps.SweepDamaged, match=r", 25 more\. ufm") as error:
        sweeps.load(store)
    assert len(error.value.rows) == 30
    assert len(sweeps.repair(store)) == 1


def test_a_damaged_page_is_a_clear_error_and_the_other_rows_are_saved(store: Path) -> None:
    points = [{"value": "x" * 1500 + str(i)} for i in range(60)]
    sweeps.run(samples.echo, points, store=store, executor=Here())
    truth = {r.key: r.result for r in sweeps.load(store)}
    data = bytearray(store.read_bytes())
    data[4096 * 20 : 4096 * 21] = b"\xff" * 4096
    store.write_bytes(data)
    with pytest.raises(sweeps.SweepDamaged, match="store must be an undamaged file"):
        sweeps.load(store)
    saved = sweeps.repair(store)
    assert 40 < len(saved) < 60
    assert all(truth[r.key] == r.result for r in saved)
    executor = Here()
    assert {r.key: r.result for r in sweeps.run(samples.echo, points, store=store, executor=executor)} == truth
    assert executor.calls == 60 - len(saved)


def test_a_whole_store_is_repaired_into_itself_and_ruins_are_not_touched(store: Path, tmp_path: Path) -> None:
    flipped_store.made(store)
    truth = flipped_store.content(sweeps.load(store))
    assert flipped_store.content(sweeps.repair(store)) == truth
    ruin = tmp_path / "ruin.sqlite"
    ruin.write_bytes(store.read_bytes()[:100] + b"\xff" * 8092)
    before = ruin.read_bytes()
    with pytest.raises(sweeps.SweepDamaged, match="nothing of it can be read"):
        sweeps.repair(ruin)
    assert ruin.read_bytes() == before
    with pytest.raises(ValueError, match="store must be an existing file"):
        sweeps.repair(tmp_path / "missing.sqlite")


class TestVersionOne:
    def test_is_read_as_it_is_and_gets_checksums_when_a_sweep_goes_on(self, store: Path) -> None:
        old_store(store)
        assert sorted(r.result for r in sweeps.load(store)) == [1.0, 4.0]
        assert execute(store, "SELECT version FROM sweep_schema") == [(1,)]
        executor = Here()
        table = sweeps.run(samples.square, squares(1.0, 2.0, 3.0), store=store, executor=executor)
        assert [r.result for r in table] == [1.0, 4.0, 9.0]
        assert [r.seconds for r in table[:2]] == [0.5, 0.5]
        assert executor.calls == 1
        assert execute(store, "SELECT version FROM sweep_schema") == [(2,)]
        assert len(sweeps.load(store)) == 3
        execute(store, "UPDATE points SET result = '1.5' WHERE result = '1.0'")
        with pytest.raises(sweeps.SweepDamaged, match="its checksum does not fit"):
            sweeps.load(store)

    @pytest.mark.parametrize(
        ("change", "why"),
        [
            ("point = replace(point, '1.0', '3.0')", "its key does not fit"),
            ("function = 'sweep_samples.cube'", "its key does not fit"),
            ("version = '4'", "its key does not fit"),
            ("result = '{'", "Expecting property name"),
        ],
    )
    def test_what_its_keys_secure_is_checked_and_it_is_not_brought_on(self, store: Path, change: str, why: str) -> None:
        old_store(store)
        execute(store, f"UPDATE points SET {change} WHERE result = '1.0'")
        for call in (lambda: sweeps.load(store), lambda: sweeps.run(samples.square, squares(5.0), store=store)):
            with pytest.raises(sweeps.SweepDamaged, match=why):
                call()
        assert execute(store, "SELECT version FROM sweep_schema") == [(1,)]
        assert [r.result for r in sweeps.repair(store)] == [4.0]
        assert execute(store, "SELECT version FROM sweep_schema") == [(2,)]
