"""Sweeps on a real Dask cluster of local worker processes."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any, ClassVar

import dask
import pytest
import sweep_samples as samples
from distributed import Client, LocalCluster
from distributed.cfexecutor import ClientExecutor
from effort import count

import ufm
from ufm import sweeps
from ufm.claims import Status
from ufm.sweeps._json import decode_result, encode_result


@contextlib.contextmanager
def local_cluster(n_workers: int, allowed_failures: int = 3) -> Iterator[LocalCluster]:
    """Workers that are forked from one process, which has made their imports; a busy machine has time to end them."""
    settings = {
        "distributed.scheduler.allowed-failures": allowed_failures,
        "distributed.worker.multiprocessing-method": "forkserver",
    }
    with dask.config.set(settings):
        made = {"processes": True, "n_workers": n_workers, "threads_per_worker": 1, "dashboard_address": ":0"}
        cluster = LocalCluster(**made, scheduler_kwargs={"dashboard": False})
        try:
            yield cluster
        finally:
            cluster.close(timeout=60)


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    # A worker that a test killed comes back at once, and the cluster closes without waiting for it.
    with local_cluster(2, allowed_failures=0) as cluster, Client(cluster) as connected:
        yield connected


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "sweep.sqlite"


def test_same_as_on_local_processes(client: Client, tmp_path: Path) -> None:
    points = [{"start": 0.1 + i / 50, "steps": 300} for i in range(30)]
    on_dask = sweeps.run(
        samples.logistic, points, store=tmp_path / "dask.sqlite", executor=client.get_executor(), max_in_flight=8
    )
    local = sweeps.run(samples.logistic, points, store=tmp_path / "local.sqlite")
    assert [(r.key, r.point, r.result) for r in on_dask] == [(r.key, r.point, r.result) for r in local]
    assert [r.result for r in on_dask] == [samples.logistic(**p) for p in points]


def test_a_sweep_begun_elsewhere_goes_on_there(client: Client, store: Path) -> None:
    points = [{"x": float(i)} for i in range(6)]
    with sweeps.processes(1) as executor:
        begun = sweeps.run(samples.square, points[:3], store=store, executor=executor)
    table = sweeps.run(samples.square, points, store=store, executor=client.get_executor())
    assert list(table[:3]) == list(begun)
    assert [r.result for r in table] == [0.0, 1.0, 4.0, 9.0, 16.0, 25.0]


def test_solves(client: Client, store: Path) -> None:
    points = [
        {"architecture": {"type": "LinearDEQ", "E_W": 1.0, "E_H": 5.0, "rho": rho}, "counts": [50.0] * 5 + [1.0] * 5}
        for rho in (0.0, 0.5)
    ]
    table = sweeps.run(sweeps.solve_point, points, store=store, executor=client.get_executor())
    assert [r.result["geometry"]["phase"] for r in table] == ["partial", "none"]
    assert [r.result for r in table] == [decode_result(encode_result(sweeps.solve_point(**p))) for p in points]


def test_failures_are_recorded_and_a_retry_is_a_new_call(client: Client, store: Path, tmp_path: Path) -> None:
    table = sweeps.run(
        samples.reciprocal, [{"x": x} for x in (2.0, 0.0, 4.0)], store=store, executor=client.get_executor()
    )
    assert [r.result for r in table] == [0.5, None, 0.25]
    failure = table[1].failure
    assert failure is not None
    assert failure.type == "ZeroDivisionError"
    assert "return 1 / x" in failure.traceback

    class Holding(ClientExecutor):
        held: ClassVar[list[Future[Any]]] = []

        def submit(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Future[Any]:
            self.held.append(super().submit(fn, *args, **kwargs))
            return self.held[-1]

    path = tmp_path / "appears-later"
    executor = Holding(client)
    points = [{"path": str(path)}]
    assert len(sweeps.run(samples.fails_until, points, store=store, executor=executor).failed) == 1
    path.write_text("there", encoding="utf-8")
    # Dask takes a call with equal arguments for the same task, and hands out the old outcome where it is still held.
    (record,) = sweeps.run(samples.fails_until, points, store=store, executor=executor, retry_failed=True)
    assert record.result == "there"


def test_a_point_that_kills_its_worker_is_recorded_and_the_others_go_on(client: Client, store: Path) -> None:
    points = [{"x": i, "killer": 1} for i in range(4)]
    table = sweeps.run(samples.kills_its_worker, points, store=store, executor=client.get_executor(), max_in_flight=1)
    assert [r.result for r in table] == [0, None, 2, 3]
    failure = table[1].failure
    assert failure is not None
    assert failure.type.endswith("KilledWorker")


def test_interrupt_cancels_on_the_cluster(client: Client, store: Path) -> None:
    def progress(_: str, completed: float, __: float | None) -> None:
        if completed == 2:
            raise KeyboardInterrupt

    points = [{"x": i, "seconds": 0.05} for i in range(400)]
    with pytest.raises(sweeps.SweepInterrupted) as caught:
        sweeps.run(samples.sleeps, points, store=store, executor=client.get_executor(), progress=progress)
    assert 2 <= len(caught.value.table) < 200  # a busy machine does some more while the others are taken back
    # The cluster is free again: what had not begun is not run.
    client.submit(samples.square, x=3.0, pure=False).result(timeout=3)
    assert len(sweeps.load(store)) == len(caught.value.table)


def test_a_client_in_place_of_its_executor_is_refused_with_a_hint(client: Client, store: Path) -> None:
    with pytest.raises(TypeError, match=r"a Dask client gives one by client\.get_executor\(\)"):
        sweeps.run(samples.square, [{"x": 1.0}], store=store, executor=client)  # type: ignore[arg-type]


def test_a_closed_cluster_breaks_the_sweep_and_keeps_what_is_finished(store: Path) -> None:
    with local_cluster(1) as cluster, Client(cluster) as client:

        def progress(_: str, completed: float, __: float | None) -> None:
            if completed == 1:
                client.close()

        points = [{"x": i, "seconds": 0.2} for i in range(20)]
        with pytest.raises(sweeps.SweepBroken) as caught:
            sweeps.run(samples.sleeps, points, store=store, executor=client.get_executor(), progress=progress)
    assert 1 <= len(caught.value.table) < 20
    assert len(sweeps.load(store)) == len(caught.value.table)


def test_workers_that_join_work_and_those_that_die_lose_nothing(store: Path) -> None:
    with local_cluster(1, allowed_failures=10) as cluster, Client(cluster) as client:
        (first,) = (w.pid for w in cluster.workers.values())
        told = threading.Event()

        def progress(_: str, completed: float, __: float | None) -> None:
            if completed >= 5 and not told.is_set():
                told.set()
                cluster.scale(2)
                client.wait_for_workers(2, timeout=60)
                os.kill(first, signal.SIGKILL)

        points = [{"x": i, "seconds": 0.02} for i in range(40)]
        table = sweeps.run(
            samples.where, points, store=store, executor=client.get_executor(), progress=progress, max_in_flight=8
        )
    assert [r.result[0] for r in table] == list(range(40))
    assert len({r.result[1] for r in table} - {first}) >= 1  # the one that came in time did the rest
    assert {r.result[1] for r in table[:5]} == {first}
    assert list(sweeps.load(store)) == sorted(table, key=lambda r: r.key)


def test_certificates(client: Client, store: Path) -> None:
    peeled = {"type": "LayerPeeled", "E_W": 1.0, "E_H": 1.0}
    grid = [{"statement": "phase", "architecture": peeled, "labels": {"counts": [r, r, 1, 1]}} for r in (2, 200)]
    found = ufm.certify_all(grid, store=store, executor=client.get_executor())
    assert [c.claim["statement"]["phase"] for c in found] == ["none", "partial"]
    assert all(c.check() for c in found)


@pytest.mark.slow
def test_trainings_and_claims(client: Client, store: Path) -> None:
    counts = {"num_majority": 2, "majority_count": 6, "num_minority": 2, "minority_count": 3}
    point = {"architecture": "explicit", "lambda_W": 0.07, "lambda_H": 0.07, "device": "cpu", **counts}
    (trained,) = sweeps.run(sweeps.train_point, [point], store=store, executor=client.get_executor())
    assert trained.result["config"]["minority_count"] == 3
    (verdict,) = ufm.verify(["mse-closed-form"], executor=client.get_executor())
    assert verdict.status is Status.proved


@pytest.mark.slow
def test_workers_that_are_killed_at_random_never_hang_a_sweep(tmp_path: Path) -> None:
    rng = random.Random(20261128)
    points = [{"x": i, "seconds": 0.05} for i in range(60)]
    with local_cluster(2) as cluster:
        for trial in range(count(2, 0), count(3, 4)):
            store = tmp_path / f"{trial}.sqlite"
            done = threading.Event()

            def kill(done: threading.Event = done, kills: int = 1 + trial) -> None:
                for _ in range(kills):
                    if done.wait(rng.uniform(0.1, 1.0)):
                        return
                    alive = [w.pid for w in cluster.workers.values() if w.pid is not None]
                    with contextlib.suppress(ProcessLookupError, IndexError):
                        os.kill(rng.choice(alive), signal.SIGKILL)

            killer = threading.Thread(target=kill)
            with Client(cluster) as connected:
                connected.wait_for_workers(2, timeout=60)
                killer.start()
                begin = time.monotonic()
                try:
                    found = sweeps.run(samples.sleeps, points, store=store, executor=connected.get_executor())
                except sweeps.SweepBroken as broken:
                    found, left = broken.table, len(broken.in_flight) + len(broken.waiting)
                else:
                    left = 0
                finally:
                    done.set()
                    killer.join()
                assert len(found) + left == len(points)
                # A minute after the last point that ended at the most, on a machine that has other things to do too.
                assert time.monotonic() - begin < 150
            assert [r.result for r in found.finished] == [r.point["x"] for r in found.finished]
            assert list(sweeps.load(store)) == sorted(found, key=lambda r: r.key)


class FakeClient:
    """A Dask client whose cluster is in the state that a test gives it."""

    def __init__(self, state: str) -> None:
        self.state = state
        self.futures = {"mine": None}

    def processing(self) -> dict[str, tuple[str, ...]]:
        if self.state == "gone":
            raise OSError("timed out")
        return {"no workers": {}, "lost": {"tcp://a": ("another's",)}}.get(self.state, {"tcp://a": ("mine",)})

    def scheduler_info(self) -> dict[str, Any]:
        seen = time.monotonic() if self.state == "working" else 1.0
        return {"workers": {"tcp://a": {"last_seen": seen}}}


class Losing(Executor):
    """Never answers its first calls; a ``client`` says what the cluster looks like."""

    def __init__(self, state: str, lost: int) -> None:
        self._client = FakeClient(state)
        self.lost, self.calls = lost, 0

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.calls += 1
        future: Future[Any] = Future()
        if self.calls > self.lost:
            future.set_result(fn(*args, **kwargs))
        return future


class TestWatch:
    @pytest.fixture(autouse=True)
    def quick(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("ufm.sweeps.engine.LOOK", 0.01)

    def test_lost_calls_are_handed_out_again(self, store: Path) -> None:
        executor = Losing("lost", 2)
        said: list[str] = []
        points = [{"x": float(i)} for i in range(3)]
        table = sweeps.run(
            samples.square, points, store=store, executor=executor, progress=lambda text, *_: said.append(text)
        )
        assert [r.result for r in table] == [0.0, 1.0, 4.0]
        assert executor.calls == 5
        assert "sweep_samples.square: no worker has any of the calls" in said

    @pytest.mark.parametrize(
        ("state", "message"),
        [
            ("no workers", "no worker is left, for"),
            ("gone", "the scheduler does not answer: OSError: timed out"),
            ("lost", "no worker has any of the calls"),
        ],
    )
    def test_a_cluster_that_does_nothing_is_broken_and_what_is_finished_kept(
        self, state: str, message: str, store: Path
    ) -> None:
        sweeps.run(samples.square, [{"x": 5.0}], store=store, executor=Losing(state, 0))
        points = [{"x": float(i)} for i in range(6)]
        with pytest.raises(sweeps.SweepBroken, match=message) as caught:
            sweeps.run(samples.square, points, store=store, executor=Losing(state, 99), max_in_flight=2, patience=0.2)
        assert [r.result for r in caught.value.table] == [25.0]
        assert [p["x"] for p in caught.value.in_flight] == [0.0, 1.0]
        assert [p["x"] for p in caught.value.waiting] == [2.0, 3.0, 4.0]

    def test_silent_workers_are_told_of(self, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        executor = Losing("silent", 1)

        def tell(message: str, *_: object, **__: object) -> None:
            assert "workers that have the calls are silent: tcp://a, for" in message
            executor._client.state = "lost"  # as Dask does later

        monkeypatch.setattr("ufm.sweeps.engine.warnings.warn", tell)
        (record,) = sweeps.run(samples.square, [{"x": 3.0}], store=store, executor=executor, patience=0.1)
        assert record.result == 9.0

    def test_long_calls_on_a_cluster_that_works_are_waited_for(self, store: Path) -> None:
        executor = Losing("working", 1)

        def progress(_: str, completed: float, __: float | None) -> None:
            assert completed in (0, 1)

        future: list[Future[Any]] = []
        real = executor.submit

        def submit(fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
            future.append(real(fn, *args, **kwargs))
            threading.Timer(0.5, lambda: future[0].set_result(fn(*args, **kwargs))).start()
            return future[0]

        executor.submit = submit  # type: ignore[method-assign]
        (record,) = sweeps.run(
            samples.square, [{"x": 3.0}], store=store, executor=executor, patience=0.05, progress=progress
        )
        assert record.result == 9.0
        assert executor.calls == 1

    def test_claims_that_a_cluster_has_lost_are_checked_here(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("ufm.verification.LOOK", 0.0)
        monkeypatch.setattr("ufm.verification.PATIENCE", 0.1)
        for state in ("lost", "no workers"):
            executor = Losing(state, 99)
            (verdict,) = ufm.verify(["mse-closed-form"], executor=executor)
            assert (verdict.status, executor.calls) == (Status.proved, 1)

    def test_bad_patience(self, store: Path) -> None:
        with pytest.raises(ValueError, match="patience must be"):
            sweeps.run(samples.square, [{"x": 1.0}], store=store, patience=0)
