"""A sweep killed at random ten times, or thirty, ends with every point exactly once, as if nothing had happened."""

from __future__ import annotations

import contextlib
import json
import multiprocessing.util
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

import psutil
import pytest
import sweep_samples
from effort import count

from ufm import sweeps
from ufm._interrupts import interrupt_answered, interruptible

KILLS = count(6, 30)
POINTS = 600

RUNNER = """
import sys

sys.path.insert(0, {tests!r})
import sweep_samples
from ufm import sweeps

if __name__ == "__main__":
    points = [
        {{"start": (i + 1) / {points} * 0.9, "steps": 500, "log": "SWEEP_LOG", "pause": 0.004}} for i in range({points})
    ]
    with sweeps.processes(2) as executor:
        table = sweeps.run(sweep_samples.logistic, points, store=sys.argv[1], executor=executor)
    print(len(table.finished))
"""


def _start(runner: Path, store: Path, log: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(runner), str(store)],
        env=os.environ | {"SWEEP_LOG": str(log)},
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _rows(store: Path) -> list[tuple[Any, ...]]:
    """What the file itself says, read without the package; nothing while there is no table yet."""
    if not store.exists():
        return []
    with contextlib.closing(sqlite3.connect(store, timeout=30)) as db:
        try:
            return db.execute("SELECT key, point, status, result FROM points ORDER BY key").fetchall()
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):
                return []
            raise


def _count(store: Path) -> int:
    if not store.exists():
        return 0
    with contextlib.closing(sqlite3.connect(store, timeout=30)) as db:
        try:
            return db.execute("SELECT count(*) FROM points").fetchone()[0]
        except sqlite3.OperationalError:
            return 0


def _starts(log: Path) -> list[float]:
    """Points whose computation began; the last line may be cut off by a kill."""
    lines = log.read_text(encoding="ascii").split("\n")[:-1] if log.exists() else []
    return [float(line) for line in lines]


def _alive(session: int) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
            if os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


@pytest.fixture
def runner(tmp_path: Path) -> Path:
    path = tmp_path / "runner.py"
    path.write_text(RUNNER.format(tests=str(Path(sweep_samples.__file__).parent), points=POINTS), encoding="utf-8")
    return path


@pytest.mark.slow
def test_killed_many_times(tmp_path: Path, runner: Path) -> None:
    rng = random.Random(20260101)
    store, log = tmp_path / "killed.sqlite", tmp_path / "log"
    progress = []
    for kill in range(KILLS):
        before = _rows(store)
        log.unlink(missing_ok=True)
        process = _start(runner, store, log)
        # Half of them at a moment of the clock, start-up included; half when so many more points are in the file.
        moment, more = time.monotonic() + rng.uniform(0.0, 0.6), len(before) + rng.randint(1, 12)
        while time.monotonic() < moment if kill % 2 else _count(store) < more:
            assert process.poll() is None, f"the sweep ended before its kill {kill}: {process.communicate()}"
            time.sleep(0.001)
        if rng.random() < 0.5:
            os.kill(process.pid, signal.SIGKILL)  # the workers must notice
        else:
            os.killpg(process.pid, signal.SIGKILL)
        assert process.wait(timeout=60) == -signal.SIGKILL
        deadline = time.monotonic() + 30
        while alive := _alive(process.pid):
            assert time.monotonic() < deadline, f"processes outlived their parent: {alive}"
            time.sleep(0.005)
        process.communicate()
        after = _rows(store)
        assert set(before) <= set(after), "a kill lost or changed a finished point"
        _assert_not_repeated(before, _starts(log))
        progress.append(len(after))
    assert 0 < progress[-1] < POINTS, "the kills must hit a sweep that is under way"
    assert len(set(progress)) > KILLS // 3

    before = _rows(store)
    log.unlink(missing_ok=True)
    process = _start(runner, store, log)
    out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (0, f"{POINTS}\n"), err
    _assert_not_repeated(before, _starts(log))
    assert len(_starts(log)) == POINTS - len(before)

    whole = tmp_path / "whole.sqlite"
    process = _start(runner, whole, tmp_path / "log-of-whole")
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    rows = _rows(store)
    assert len(rows) == len({row[0] for row in rows}) == len({row[1] for row in rows}) == POINTS
    assert {row[2] for row in rows} == {"done"}
    assert rows == _rows(whole)
    with contextlib.closing(sqlite3.connect(store)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def _assert_not_repeated(before: list[tuple[Any, ...]], started: list[float]) -> None:
    finished = {json.loads(row[1])["start"] for row in before}
    assert not finished & set(started), "finished points were computed again"


def test_what_the_comparison_reads_shows_a_changed_a_missing_and_an_extra_point(tmp_path: Path) -> None:
    store = tmp_path / "sweep.sqlite"
    points = [{"start": x, "steps": 10} for x in (0.1, 0.2, 0.3)]
    with sweeps.processes(1) as executor:
        sweeps.run(sweep_samples.logistic, points[:2], store=store, executor=executor)
    good = _rows(store)
    assert len(good) == 2
    with pytest.raises(AssertionError, match="computed again"):
        _assert_not_repeated(good, [0.3, 0.2])
    _assert_not_repeated(good, [0.3])
    with sweeps.processes(1) as executor:
        sweeps.run(sweep_samples.logistic, points, store=store, executor=executor)
    assert len(_rows(store)) == 3
    for statement in (
        "DELETE FROM points WHERE point LIKE '%0.3%'",
        "UPDATE points SET result = replace(result, '1', '2') WHERE point LIKE '%0.2%'",
        "DELETE FROM points WHERE point LIKE '%0.2%'",
    ):
        with contextlib.closing(sqlite3.connect(store)) as db:
            db.execute(statement)
            db.commit()
        assert (_rows(store) == good) == statement.endswith("'%0.3%'")


@pytest.mark.skipif(not hasattr(multiprocessing.util, "spawnv_passfds"), reason="no processes of POSIX")
def test_interrupt_waits_until_a_started_process_is_a_worker(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A signal between the start of a process and what it is told first: no process is lost or dies of it."""
    resource_tracker.ensure_running()  # it is started in the same way
    start, started = multiprocessing.util.spawnv_passfds, []

    def interrupted(*args: Any) -> int:
        started.append(start(*args))
        if len(started) == 1:
            signal.raise_signal(signal.SIGTERM)
        return started[-1]

    monkeypatch.setattr(multiprocessing.util, "spawnv_passfds", interrupted)
    with interruptible(), sweeps.processes(1) as executor:
        with pytest.raises(KeyboardInterrupt):
            executor.submit(abs, -1)
        interrupt_answered()
        assert executor.submit(abs, -2).result(timeout=120) == 2
    assert len(started) == 1
    assert capfd.readouterr().err == ""
