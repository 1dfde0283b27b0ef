"""Sweeps: what a point is known by, what the store keeps, how a sweep ends when something goes wrong."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import signal
import sqlite3
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sweep_samples as samples
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st

import ufm
from ufm import sweeps
from ufm.sweeps._json import content_key, decode_result, dumps, encode_result, plain
from ufm.sweeps._store import Store

LPM = {"type": "LayerPeeled", "E_W": 1.0, "E_H": 5.0}


@pytest.fixture
def threads() -> Iterator[Executor]:
    with ThreadPoolExecutor(2) as executor:
        yield executor


@pytest.fixture(scope="module")
def pool() -> Iterator[Executor]:
    with sweeps.processes(2) as executor:
        yield executor


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "sweep.sqlite"


def xs(*values: float) -> list[dict[str, float]]:
    return [{"x": x} for x in values]


class Counting(Executor):
    """Runs calls at once, in the caller's thread, and counts them."""

    def __init__(self, before: Callable[[int], None] = lambda n: None) -> None:
        self.calls = 0
        self.before = before

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.before(self.calls)
        self.calls += 1
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


# what a point is known by ---------------------------------------------------------------------------------------------

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
any_floats = st.floats(allow_nan=False)


def bits(x: float) -> bytes:
    return struct.pack("<d", x)


@settings(derandomize=True, max_examples=examples(100), deadline=None)
@given(json_values)
def test_text_of_a_value_reads_back_and_is_the_only_one(value: Any) -> None:
    text = dumps(plain("value", value))
    back = json.loads(text)
    assert back == value
    assert dumps(back) == text
    text.encode("ascii")


@settings(derandomize=True, max_examples=examples(200), deadline=None)
@given(st.lists(any_floats, min_size=1, max_size=5))
def test_floats_of_results_read_back_bit_for_bit(values: list[float]) -> None:
    back = decode_result(encode_result({"values": values}))["values"]
    assert [bits(x) for x in back] == [bits(x) for x in values]


def test_a_key_depends_on_content_not_on_order_or_spelling() -> None:
    key = content_key("m.f", "1", dumps(plain("p", {"a": 1.0, "b": [2, None]})))
    assert key == content_key("m.f", "1", dumps(plain("p", {"b": (np.int64(2), None), "a": np.float64(1)})))
    others = [
        content_key("m.g", "1", dumps({"a": 1.0, "b": [2, None]})),
        content_key("m.f", "2", dumps({"a": 1.0, "b": [2, None]})),
        content_key("m.f", "1", dumps({"a": math.nextafter(1.0, 2), "b": [2, None]})),
        content_key("m.f", "1", dumps({"a": 1, "b": [2, None]})),
        content_key("m.f", "1", dumps({"a": 1.0, "b": [None, 2]})),
        content_key("m.f", "1", dumps({"a": 1.0})),
    ]
    assert len({key, *others}) == 7


def test_key_is_the_documented_hash() -> None:
    text = '["m.f","3",{"a":0.1,"b":"\\u00fc"}]'
    assert content_key("m.f", "3", dumps({"b": "ü", "a": 0.1})) == hashlib.sha256(text.encode()).hexdigest()


def test_equal_points_count_once_in_the_order_given(store: Path) -> None:
    executor = Counting()
    table = sweeps.run(samples.square, xs(3.0, 1.0, 3.0, 2.0, 1.0), store=store, executor=executor)
    assert [r.point["x"] for r in table] == [3.0, 1.0, 2.0]
    assert executor.calls == 3


def test_a_new_version_of_a_function_is_another_function(store: Path) -> None:
    executor = Counting()
    sweeps.run(samples.square_again, xs(2.0), store=store, executor=executor)
    assert sweeps.load(store)[0].version == "2"
    sweeps.run(samples.square_again, xs(2.0), store=store, executor=executor)
    assert executor.calls == 1
    samples.square_again._ufm_sweep_version = "3"
    try:
        sweeps.run(samples.square_again, xs(2.0), store=store, executor=executor)
    finally:
        samples.square_again._ufm_sweep_version = "2"
    assert executor.calls == 2
    assert [r.version for r in sweeps.load(store)].count("3") == 1


# results and failures -------------------------------------------------------------------------------------------------


def test_a_repeated_call_computes_nothing_and_a_longer_one_the_rest(store: Path) -> None:
    executor = Counting()
    first = sweeps.run(samples.square, xs(1.0, 2.0), store=store, executor=executor)
    again = sweeps.run(samples.square, xs(1.0, 2.0), store=store, executor=executor)
    assert executor.calls == 2
    assert list(again) == list(first)
    longer = sweeps.run(samples.square, xs(3.0, 1.0, 2.0), store=store, executor=executor)
    assert executor.calls == 3
    assert [r.result for r in longer] == [9.0, 1.0, 4.0]


def test_a_failure_is_recorded_and_the_others_go_on(store: Path, pool: Executor) -> None:
    table = sweeps.run(samples.reciprocal, xs(2.0, 0.0, 4.0), store=store, executor=pool)
    assert [r.result for r in table] == [0.5, None, 0.25]
    assert [r.result for r in table.finished] == [0.5, 0.25]
    (failed,) = table.failed
    assert failed.failure is not None
    assert failed.failure.type == "ZeroDivisionError"
    assert failed.failure.message == "float division by zero"
    assert str(failed.failure) == "ZeroDivisionError: float division by zero"
    assert "return 1 / x" in failed.failure.traceback
    assert list(sweeps.load(store).failed) == [failed]
    assert repr(table) == "<Table of 3 points, 1 of them failed>"
    assert list(table[1:]) == list(table)[1:]


def test_exceptions_that_cannot_be_pickled_or_encoded_are_recorded(store: Path, pool: Executor) -> None:
    table = sweeps.run(samples.raises, [{"kind": "exit"}, {"kind": "odd"}], store=store, executor=pool)
    exit_, odd = (r.failure for r in table)
    assert exit_ is not None
    assert (exit_.type, exit_.message) == ("SystemExit", "3")
    assert odd is not None
    assert (odd.type, odd.message) == ("sweep_samples.Unpicklable", "cannot be pickled: \\udcff")


def test_failures_are_retried_on_request_only(store: Path, tmp_path: Path) -> None:
    path = tmp_path / "appears-later"
    executor = Counting()
    points = [{"path": str(path)}]
    assert len(sweeps.run(samples.fails_until, points, store=store, executor=executor).failed) == 1
    path.write_text("there", encoding="utf-8")
    assert len(sweeps.run(samples.fails_until, points, store=store, executor=executor).failed) == 1
    assert executor.calls == 1
    table = sweeps.run(samples.fails_until, points, store=store, executor=executor, retry_failed=True)
    assert [(r.result, r.failure) for r in table] == [("there", None)]
    # A result stays, whatever is asked and whatever would come of it now.
    path.unlink()
    sweeps.run(samples.fails_until, points, store=store, executor=executor, retry_failed=True)
    assert executor.calls == 2
    assert len(sweeps.load(store)) == 1


def test_a_retry_that_fails_again_keeps_the_latest_error(store: Path, tmp_path: Path) -> None:
    points = [{"path": str(tmp_path / "d")}]
    sweeps.run(samples.fails_until, points, store=store, executor=Counting())
    (tmp_path / "d").mkdir()
    (record,) = sweeps.run(samples.fails_until, points, store=store, executor=Counting(), retry_failed=True)
    assert record.failure is not None
    assert record.failure.type == "IsADirectoryError"


@pytest.mark.parametrize("function", [samples.nan, samples.unserialisable])
def test_a_result_that_is_no_json_value_is_a_failure(function: Callable[..., Any], store: Path) -> None:
    (record,) = sweeps.run(function, xs(1.0), store=store, executor=Counting())
    assert record.failure is not None
    assert record.failure.message.startswith("result" if function is samples.nan else "result.set")


def test_infinite_floats_are_kept(store: Path) -> None:
    table = sweeps.run(samples.infinities, [{"sign": 1}, {"sign": -1}], store=store, executor=Counting())
    assert [r.result for r in table] == [{"value": s * math.inf, "list": [-math.inf, 0.1]} for s in (1, -1)]


def test_an_object_that_looks_like_an_encoded_float_is_refused() -> None:
    with pytest.raises(ValueError, match=r"result must not have the key '\$float'"):
        encode_result({"$float": "inf"})


def test_points_reach_the_function_unchanged(store: Path) -> None:
    values = [None, True, 0, -0.0, 1e-320, 10**30, "ü\x00", [1, [2.5]], {"b": {}, "a": []}, {"$float": "inf"}]
    points = [{"value": value} for value in values]
    table = sweeps.run(samples.echo, points, store=store, executor=Counting())
    assert [r.point["value"] for r in table] == values
    assert [r.result for r in table[:-1]] == values[:-1]
    assert bits(table[3].result) == bits(-0.0)


# executors ------------------------------------------------------------------------------------------------------------


def test_threads_and_processes_agree(tmp_path: Path, threads: Executor, pool: Executor) -> None:
    points = [{"start": 0.1 + i / 100, "steps": 200} for i in range(20)]
    tables = [
        sweeps.run(samples.logistic, points, store=tmp_path / f"{i}.sqlite", executor=executor)
        for i, executor in enumerate((threads, pool))
    ]
    assert [(r.key, r.result) for r in tables[0]] == [(r.key, r.result) for r in tables[1]]
    assert [r.result for r in tables[0]] == [samples.logistic(**p) for p in points]
    # The comparison can tell one result from another.
    assert tables[0][0].result != samples.logistic(start=0.1 + 1e-15, steps=200)


def test_default_executor_gives_each_worker_one_blas_thread(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "2")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    (record,) = sweeps.run(samples.threads, [{"x": 1}], store=store)
    assert record.result
    assert set(record.result) == {1}
    assert os.environ["OPENBLAS_NUM_THREADS"] == "2"
    assert "OMP_NUM_THREADS" not in os.environ


def test_nothing_left_to_do_starts_no_process(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sweeps.run(samples.square, xs(1.0), store=store, executor=Counting())

    def refuse() -> None:
        raise AssertionError("a pool was started")

    monkeypatch.setattr("ufm.sweeps.engine.processes", refuse)
    assert len(sweeps.run(samples.square, xs(1.0), store=store)) == 1
    assert len(sweeps.run(samples.square, [], store=store)) == 0
    with pytest.raises(AssertionError, match="a pool was started"):
        sweeps.run(samples.square, xs(2.0), store=store)


def test_submission_is_bounded(store: Path) -> None:
    class Holding(Executor):
        """Finishes a call only when it holds as many as allowed, or when no more arrive."""

        def __init__(self) -> None:
            self.held: list[tuple[Future[Any], Callable[[], Any]]] = []
            self.most = 0
            self.lock = threading.Lock()

        def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
            future: Future[Any] = Future()
            with self.lock:
                self.held.append((future, partial(fn, *args, **kwargs)))
                self.most = max(self.most, len(self.held))
            threading.Timer(0.001, self.finish).start()
            return future

        def finish(self) -> None:
            with self.lock:
                future, call = self.held.pop(0)
            future.set_result(call())

    executor = Holding()
    table = sweeps.run(samples.square, xs(*range(40)), store=store, executor=executor, max_in_flight=3)
    assert [r.result for r in table] == [x * x for x in range(40)]
    assert executor.most <= 3


def test_progress_counts_every_point(store: Path) -> None:
    sweeps.run(samples.square, xs(0.0), store=store, executor=Counting())
    seen: list[tuple[str, float, float | None]] = []
    sweeps.run(samples.square, xs(0.0, 1.0, 2.0), store=store, executor=Counting(), progress=lambda *a: seen.append(a))
    assert {s[0] for s in seen} == {"sweep_samples.square"}
    assert {s[2] for s in seen} == {3}
    counts = [s[1] for s in seen]
    assert counts == sorted(counts)
    assert counts[-1] == 3


def test_two_sweeps_on_one_file_at_the_same_time(store: Path) -> None:
    points = xs(*map(float, range(60)))
    tables: list[sweeps.Table] = []

    def sweep(ordered: list[dict[str, float]]) -> None:
        with ThreadPoolExecutor(2) as executor:
            tables.append(sweeps.run(samples.square, ordered, store=store, executor=executor))

    runs = [threading.Thread(target=sweep, args=(p,)) for p in (points, points[::-1], points[30:])]
    for r in runs:
        r.start()
    for r in runs:
        r.join()
    assert len(tables) == 3
    loaded = sweeps.load(store)
    assert sorted(r.point["x"] for r in loaded) == [float(x) for x in range(60)]
    assert all(r.result == r.point["x"] ** 2 for r in loaded)


def test_the_first_result_stays(store: Path) -> None:
    row = {"function": "f", "version": "0", "point": "{}", "seconds": 0.0}
    failure = sweeps.Failure("E", "m", "t")
    with Store(store) as opened:
        opened.put("k", **row, result=None, failure=failure)
        opened.put("k", **row, result="1", failure=None)
        opened.put("k", **row, result="2", failure=None)
        opened.put("k", **row, result=None, failure=failure)
        assert [r.result for r in opened.records()] == [1]
        with pytest.raises(OSError, match="cannot be written: CHECK constraint failed"):
            opened.put("other", **row, result=None, failure=None)


# the end, one way or another ------------------------------------------------------------------------------------------


def test_interrupt_keeps_what_is_finished_and_says_how_far_it_came(store: Path) -> None:
    def interrupt(call: int) -> None:
        if call == 3:
            raise KeyboardInterrupt

    with pytest.raises(sweeps.SweepInterrupted, match="after 3 of 5 points") as caught:
        sweeps.run(samples.square, xs(0.0, 1.0, 2.0, 3.0, 4.0), store=store, executor=Counting(interrupt))
    assert isinstance(caught.value, KeyboardInterrupt)
    assert [r.result for r in caught.value.table] == [0.0, 1.0, 4.0]
    assert caught.value.total == 5
    executor = Counting()
    assert len(sweeps.run(samples.square, xs(0.0, 1.0, 2.0, 3.0, 4.0), store=store, executor=executor)) == 5
    assert executor.calls == 2


def test_interrupt_cancels_what_has_not_begun(store: Path) -> None:
    with ThreadPoolExecutor(1) as executor:
        calls: list[float] = []

        def progress(_: str, completed: float, __: float | None) -> None:
            calls.append(completed)
            if completed >= 1:
                raise KeyboardInterrupt

        points = [{"x": i, "seconds": 0.02} for i in range(50)]
        with pytest.raises(sweeps.SweepInterrupted) as caught:
            sweeps.run(samples.sleeps, points, store=store, executor=executor, progress=progress)
    # The pool is shut down by now: what was not cancelled has run.
    assert 1 <= len(caught.value.table) < 5


def _script(folder: Path, body: str) -> Path:
    path = folder / "script.py"
    tests = str(Path(samples.__file__).parent)
    # A shell starts what runs in its background with Ctrl-C ignored, and Python leaves it so.
    first = "import signal, sys\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
    path.write_text(f"{first}sys.path.insert(0, {tests!r})\n{body}", encoding="utf-8")
    return path


def test_workers_are_deaf_to_ctrl_c_from_their_start(tmp_path: Path) -> None:
    """A starting Python answers Ctrl-C with a traceback, and a terminal's may come before any code of ours runs."""
    script = _script(
        tmp_path,
        """
import os
import signal
import time

import sweep_samples
from ufm.sweeps import processes

if __name__ == "__main__":
    with processes(2) as pool:
        futures = []
        for x in range(2):
            futures.append(pool.submit(sweep_samples.sleeps, x=x, seconds=0.5))
            pids = {worker.pid for worker in pool._context.workers}
            for _ in range(40):
                for pid in pids:
                    os.kill(pid, signal.SIGINT)
                time.sleep(0.005)
        print([future.result() for future in futures], len(pids))
""",
    )
    run = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=120)
    assert (run.returncode, run.stdout, run.stderr) == (0, "[0, 1] 2\n", "")


def test_ctrl_c_in_a_terminal_ends_running_points_at_once(tmp_path: Path, store: Path) -> None:
    mark = tmp_path / "running"
    script = _script(
        tmp_path,
        f"""
import sweep_samples
from ufm import sweeps

if __name__ == "__main__":
    points = [{{"x": 0, "seconds": 0.0}}, *({{"x": i, "seconds": 300.0, "mark": {str(mark)!r}}} for i in range(1, 9))]
    try:
        sweeps.run(sweep_samples.sleeps, points, store={str(store)!r})
    except sweeps.SweepInterrupted as error:
        print(error)
        sys.exit(130)
""",
    )
    process = subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        _wait_for(lambda: mark.exists() and store.exists() and len(sweeps.load(store)) == 1)
        # A terminal signals the whole group: workers must leave it to their parent.
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 130
    assert out == "sweep interrupted after 1 of 9 points\n"
    assert "Traceback" not in err, err
    assert [r.point["x"] for r in sweeps.load(store)] == [0]


def _wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def test_a_point_that_ends_its_worker_leaves_the_finished_ones(store: Path) -> None:
    points = [{"x": i, "killer": 6} for i in range(20)]
    with (
        sweeps.processes(1) as executor,
        pytest.raises(
            sweeps.SweepBroken, match=r"the executor broke after \d+ of 20 points.*BrokenProcessPool"
        ) as caught,
    ):
        sweeps.run(samples.kills_its_worker, points, store=store, executor=executor, max_in_flight=2)
    error = caught.value
    done = [r.point["x"] for r in error.table]
    assert done == list(range(6))
    assert points[6] in error.in_flight
    assert len(done) + len(error.in_flight) + len(error.waiting) == 20
    assert [*range(6), *(p["x"] for p in (*error.in_flight, *error.waiting))] == list(range(20))
    # Without the culprit, the rest goes through.
    table = sweeps.run(samples.kills_its_worker, [p for p in points if p["x"] != 6], store=store, executor=Counting())
    assert len(table) == 19


def test_the_default_executor_breaks_as_clearly(store: Path) -> None:
    with pytest.raises(sweeps.SweepBroken, match="BrokenProcessPool"):
        sweeps.run(samples.kills_its_worker, [{"x": i, "killer": 1} for i in range(3)], store=store)
    assert [r.failure for r in sweeps.load(store)].count(None) == len(sweeps.load(store))


def test_an_executor_that_is_shut_down_breaks_the_sweep(store: Path) -> None:
    executor = ThreadPoolExecutor(1)
    executor.shutdown()
    with pytest.raises(sweeps.SweepBroken, match="cannot schedule new futures after shutdown") as caught:
        sweeps.run(samples.square, xs(1.0, 2.0), store=store, executor=executor)
    assert (len(caught.value.in_flight), len(caught.value.waiting)) == (1, 1)


def test_calls_that_the_executor_cancels_break_the_sweep(store: Path) -> None:
    class Cancelling(Executor):
        def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
            future: Future[Any] = Future()
            if args[1] == '{"x":1.0}':
                future.set_result(fn(*args))
            else:
                future.cancel()
            return future

    with pytest.raises(sweeps.SweepBroken, match="CancelledError"):
        sweeps.run(samples.square, xs(1.0, 2.0), store=store, executor=Cancelling())
    assert [r.result for r in sweeps.load(store)] == [1.0]


def test_an_exception_of_the_caller_passes_and_finished_points_stay(store: Path) -> None:
    def progress(_: str, completed: float, __: float | None) -> None:
        if completed == 2:
            raise OSError("the display is gone")

    with pytest.raises(OSError, match="the display is gone"):
        sweeps.run(samples.square, xs(1.0, 2.0, 3.0), store=store, executor=Counting(), progress=progress)
    assert len(sweeps.load(store)) >= 2


# the file -------------------------------------------------------------------------------------------------------------


def test_the_file_is_in_wal_mode_with_one_row_a_point_and_no_pickle(store: Path) -> None:
    sweeps.run(samples.square, xs(1.0, 2.0), store=store, executor=Counting())
    with contextlib.closing(sqlite3.connect(store)) as db:
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert db.execute("SELECT format, version FROM sweep_schema").fetchall() == [("ufm.sweeps", 2)]
        rows = db.execute("SELECT point, result, typeof(result) FROM points ORDER BY point").fetchall()
    assert rows == [('{"x":1.0}', "1.0", "text"), ('{"x":2.0}', "4.0", "text")]


def _text_file(path: Path) -> None:
    path.write_text("not a database, but long enough to be read as one\n" * 40, encoding="utf-8")


def _foreign(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE points (x)")
        db.execute("CREATE TABLE accounts (y)")
        db.commit()


def _of_format(path: Path, name: str, version: int) -> None:
    sweeps.run(samples.square, xs(1.0), store=path, executor=Counting())
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("UPDATE sweep_schema SET format = ?, version = ?", (name, version))
        db.commit()


def _truncated(path: Path) -> None:
    points = [{"value": "x" * 2000 + str(i)} for i in range(40)]
    sweeps.run(samples.echo, points, store=path, executor=Counting())
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _overwritten(path: Path) -> None:
    points = [{"value": "x" * 2000 + str(i)} for i in range(40)]
    sweeps.run(samples.echo, points, store=path, executor=Counting())
    with open(path, "r+b") as file:
        file.seek(4096 * 3)
        file.write(b"\xff" * 4096 * 2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (_text_file, "not a database"),
        (_foreign, "another database, with the tables accounts, points"),
        (partial(_of_format, name="other", version=1), "be a file of ufm.sweeps.* whose format is"),
        (partial(_of_format, name="ufm.sweeps", version=3), "have version 2.* of version 3"),
        (partial(_of_format, name="ufm.sweeps", version=1), "of version 1 and has the columns .* checksum"),
        (_truncated, "malformed|undamaged"),
        (_overwritten, "malformed|undamaged"),
        (Path.mkdir, "unable to open database file"),
    ],
)
def test_a_foreign_or_damaged_file_is_refused_and_left_alone(
    make: Callable[[Path], None], message: str, store: Path
) -> None:
    make(store)
    before = store.read_bytes() if store.is_file() else None
    with pytest.raises(ValueError, match=f"store must (?s:.*)({message})") as caught:
        sweeps.run(samples.square, xs(1.0), store=store, executor=Counting())
    assert str(store) in str(caught.value)
    with pytest.raises(ValueError, match="store must"):
        sweeps.load(store)
    assert (store.read_bytes() if store.is_file() else None) == before


def test_a_damaged_row_is_named(store: Path) -> None:
    sweeps.run(samples.square, xs(1.0), store=store, executor=Counting())
    with contextlib.closing(sqlite3.connect(store)) as db:
        db.execute("UPDATE points SET result = '{'")
        db.commit()
    with pytest.raises(ValueError, match=r"damaged at the point '[0-9a-f]{64}'"):
        sweeps.load(store)


def test_an_empty_file_becomes_a_store_and_a_missing_one_cannot_be_loaded(store: Path) -> None:
    store.touch()
    assert len(sweeps.run(samples.square, xs(1.0), store=store, executor=Counting())) == 1
    missing = store.with_name("missing.sqlite")
    with pytest.raises(ValueError, match=r"store must be an existing file, got '.*missing.sqlite'"):
        sweeps.load(missing)
    assert not missing.exists()


def test_odd_characters_in_a_path(tmp_path: Path) -> None:
    store = tmp_path / "a b?c=%20#ü.sqlite"
    sweeps.run(samples.square, xs(1.0), store=store, executor=Counting())
    assert [p.name for p in tmp_path.iterdir()] == [store.name]
    assert len(sweeps.load(store)) == 1


# arguments ------------------------------------------------------------------------------------------------------------


def _nested() -> Callable[..., Any]:
    def inner(*, x: float) -> float:
        return x

    return inner


@pytest.mark.parametrize(
    "function", [lambda x: x, _nested(), partial(samples.square, x=1.0), "sweep_samples.square", None, 3]
)
def test_functions_that_workers_cannot_import_are_refused(function: Any, store: Path) -> None:
    with pytest.raises(TypeError, match="function must be defined at the top level of a module"):
        sweeps.run(function, xs(1.0), store=store, executor=Counting())
    assert not store.exists()


@pytest.mark.parametrize(
    ("points", "error", "message"),
    [
        ({"x": 1.0}, TypeError, "points must be an iterable of dictionaries"),
        (3, TypeError, "points must be an iterable of dictionaries"),
        ([{"x": 1.0}, 3], TypeError, r"points\[1\] must be a dictionary"),
        ([{"x": 1.0}, {"x": math.nan}], ValueError, r"points\[1\]\.x must be finite, got nan"),
        ([{"x": np.float64("inf")}], ValueError, r"points\[0\]\.x must be finite, got inf"),
        ([{"x": [1, {2: 3}]}], TypeError, r"points\[0\]\.x\[1\] must have strings as keys, got 2"),
        ([{"x": {1.0}}], TypeError, r"points\[0\]\.x must be a JSON value .* of type set"),
        (
            [{"y": 1.0}],
            TypeError,
            r"points\[0\] must fit square\(\*, x.*missing a required .*argument: 'x'",
        ),
        ([{"x": 1.0, "y": 1.0}], TypeError, "unexpected keyword argument 'y'"),
    ],
)
def test_bad_points_are_refused_before_anything_runs(
    points: Any, error: type[Exception], message: str, store: Path
) -> None:
    executor = Counting()
    with pytest.raises(error, match=message):
        sweeps.run(samples.square, points, store=store, executor=executor)
    assert executor.calls == 0
    assert not store.exists()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"executor": 3}, TypeError, "executor must be a concurrent.futures.Executor or None, got 3"),
        ({"max_in_flight": 0}, ValueError, "max_in_flight must be an integer >= 1, got 0"),
        ({"max_in_flight": 1.5}, ValueError, "max_in_flight must be an integer >= 1, got 1.5"),
        ({"max_in_flight": "many"}, TypeError, "max_in_flight must be a real number"),
        ({"retry_failed": 1}, TypeError, "retry_failed must be True or False, got 1"),
        ({"store": 3}, TypeError, "store must be the path of a file, got 3"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], error: type[Exception], message: str, store: Path) -> None:
    with pytest.raises(error, match=message):
        sweeps.run(samples.square, xs(1.0), **{"store": store, **arguments})
    assert not store.exists()


def test_bad_versions_and_process_numbers() -> None:
    with pytest.raises(TypeError, match=r"version must be an int or a str, got 1\.0"):
        sweeps.versioned(1.0)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="max_workers must be an integer >= 1, got 0"):
        sweeps.processes(0)


def test_a_script_and_its_import_share_their_points(tmp_path: Path, store: Path) -> None:
    script = _script(
        tmp_path,
        f"""
from ufm import sweeps

def triple(*, x):
    return 3 * x

if __name__ == "__main__":
    with sweeps.processes(1) as executor:
        sweeps.run(triple, [{{"x": 2}}], store={str(store)!r}, executor=executor)
""",
    )
    subprocess.run([sys.executable, str(script)], check=True, timeout=60)
    assert [(r.function, r.result) for r in sweeps.load(store)] == [("script.triple", 6)]


def test_the_example_of_the_guide(tmp_path: Path) -> None:
    guide = (Path(__file__).resolve().parents[2] / "docs" / "guides" / "sweeps.md").read_text(encoding="utf-8")
    script = tmp_path / "example.py"
    script.write_text(guide.split("```py\n")[1].split("```")[0], encoding="utf-8")
    done = subprocess.run([sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (
        0,
        "['none', 'partial', 'none', 'none'] <Table of 0 points, 0 of them failed>\n",
    ), done.stderr
    assert len(sweeps.load(tmp_path / "deq.sqlite")) == 4


def test_importing_sweeps_loads_nothing_heavy() -> None:
    code = "import sys, ufm.sweeps; print(sorted({'numpy', 'scipy', 'torch', 'distributed'} & set(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60).stdout
    assert out == "[]\n"


# solves, direct searches, trainings -----------------------------------------------------------------------------------


def test_solves_and_direct_searches(store: Path, pool: Executor) -> None:
    counts = [20.0] * 3 + [1.0] * 3
    points = [
        {"architecture": LPM, "counts": counts},
        {"architecture": LPM, "counts": counts, "method": "direct", "seed": 3, "options": {"starts": 2}},
        {"architecture": {"type": "DeepLinear", "budgets": [1.0, 2.0]}, "counts": counts, "loss": "mse"},
        {"architecture": {**LPM, "type": "Unpeeled"}, "counts": counts},
        {"architecture": {**LPM, "E_W": -1.0}, "counts": counts},
    ]
    table = sweeps.run(sweeps.solve_point, points, store=store, executor=pool)
    exact, direct, deep, unknown, negative = table
    solution = ufm.solve(ufm.LayerPeeled(1.0, 5.0), ufm.ClassPrior(counts))
    assert exact.result["value"] == solution.value
    assert exact.result["geometry"] == solution.geometry.to_dict()
    assert direct.result["method"] == "direct"
    assert direct.result["value"] == pytest.approx(solution.value, rel=1e-6)
    assert deep.result["value"] == ufm.solve(ufm.DeepLinear((1.0, 2.0)), ufm.ClassPrior(counts), "mse").value
    assert unknown.failure is not None
    assert "architecture['type'] must be one of" in unknown.failure.message
    assert "'LayerPeeled'" in unknown.failure.message
    assert negative.failure is not None
    assert negative.failure.message == "E_W must be > 0 and finite, got -1.0"


@pytest.mark.slow
def test_trainings(store: Path, pool: Executor) -> None:
    small = {"majority_count": 6, "num_majority": 2, "num_minority": 2, "dim": 4, "width": 16, "max_iterations": 5}
    points = [
        {**small, "architecture": "explicit", "minority_count": 3, "device": "cpu"},
        {**small, "architecture": "explicit", "minority_count": 7},
    ]
    # one worker alone imports torch
    (trained,) = sweeps.run(sweeps.train_point, points[:1], store=store, executor=pool)
    _, refused = sweeps.run(sweeps.train_point, points, store=store, executor=Counting())
    assert trained.result["config"]["minority_count"] == 3
    assert trained.result["fit"]["iterations"] == 5
    assert "seconds" not in trained.result["fit"]
    assert trained.result == sweeps.train_point(**points[0])
    assert refused.failure is not None
    assert refused.failure.message.startswith("minority_count must be an integer between 1 and 6, got 7")


@pytest.mark.parametrize("value", [np.longdouble(1.5), np.array([1.5], dtype=np.longdouble), np.float16(1.5)])
def test_numbers_of_every_width_are_floats(value: Any) -> None:
    """NumPy's longdouble gives itself as a list, and the reading of it came to no end."""
    assert plain("value", value) == plain("value", np.asarray(value, dtype=float).tolist())


@pytest.mark.parametrize(
    ("value", "error", "words"),
    [
        (np.clongdouble(1 + 2j), TypeError, "value must be a JSON value"),  # its imaginary part was lost
        (np.ma.masked_equal([1.0, 2.0], 2.0), TypeError, "value must have no masked entries"),
        (np.ma.masked, TypeError, "value must have no masked entries"),
        (10**5000, ValueError, "value must be an integer of at most 13000 bits, got one of 16610"),
    ],
    ids=["complex", "entries", "scalar", "integer"],
)
def test_what_json_cannot_hold_is_named(value: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        plain("value", value)
    assert plain("value", np.ma.array([1.0])) == [1.0]
