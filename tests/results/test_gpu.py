"""The script for a GPU: its rehearsal runs every stage, time is kept, and what fails is written down."""

from __future__ import annotations

import importlib
import importlib.util
import json
import math
import os
import signal
import sys
import tarfile
import time
from pathlib import Path

import pytest
from effort import count

from ufm import ClassPrior, UnconstrainedFeatures
from ufm.data import DatasetNotFoundError
from ufm.deq import load_dataset, train_problem

SCRIPT = Path(__file__).parents[2] / "results" / "gpu" / "run.py"


@pytest.fixture(scope="module")
def gpu():
    before = list(sys.path)
    spec = importlib.util.spec_from_file_location("gpu_run", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules["gpu_run"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    sys.path[:] = before


def run_of(gpu, seconds=3600.0):
    return gpu.Run("cpu", True, None, time.monotonic() + seconds)


def test_rehearsal_of_every_stage(gpu, tmp_path, monkeypatch):
    try:
        load_dataset("fashion-mnist")
    except DatasetNotFoundError:
        pytest.skip("Fashion-MNIST's files are not here")
    # another run of pytest, in which a CPU skips everything
    stages = {name: gpu.STAGES[name] for name in gpu.STAGES if name not in count(("cuda-tests",), ())}
    monkeypatch.setattr(gpu, "STAGES", stages)
    monkeypatch.delenv("UFM_TESTS", raising=False)  # that run takes the tests of CUDA, samples or not
    found = gpu.perform(run_of(gpu), tmp_path)
    assert list(found) == [*count((), ("cuda-tests",)), "thresholds", "points", "layer", "grid", "soft-labels"]
    assert {name: result["status"] for name, result in found.items()} == dict.fromkeys(found, "done")
    for name, result in found.items():
        assert json.loads((tmp_path / f"{name}.json").read_text()) == result
    trained = found["thresholds"]["result"]["points"]
    assert [(p["architecture"], p["n_B"] > p["predicted_threshold"], p["s_B"] > 0.01) for p in trained] == [
        ("explicit", False, False),
        ("explicit", True, True),
        ("deq", False, False),
        ("deq", True, True),
    ]
    assert found["points"]["result"]["largest_gap"] < 1e-9
    assert all(r["residuals"]["ufm"] < 1e-4 for r in found["layer"]["result"]["rows"])
    assert {row["model"] for row in found["grid"]["result"]["rows"]} == {"conv-deq", "resnet18"}
    assert all(0 <= row["test_overall"] <= 1 for row in found["grid"]["result"]["rows"])
    soft = found["soft-labels"]["result"]
    assert 0 <= soft["gap"] < 1e-3
    assert soft["value"] < 0.99 * math.log(soft["tokens"])  # something is learnt
    assert "rehearsal" in gpu.table(found, "a CPU, as a rehearsal")


def test_a_stage_that_fails_or_has_no_time_leaves_its_word(gpu, tmp_path, monkeypatch):
    def fails(run):
        yield {"half": 1}
        raise RuntimeError("out of memory")

    monkeypatch.setattr(gpu, "STAGES", {"fails": (fails, 0.0), "late": (fails, 10.0)})
    found = gpu.perform(gpu.Run("cpu", False, None, time.monotonic() + 1.0), tmp_path)
    assert found["fails"]["status"] == "failed: RuntimeError: out of memory"
    assert found["fails"]["result"] == {"half": 1}
    assert found["late"]["status"] == "skipped: no time left"
    assert (tmp_path / "late.json").is_file()


def test_no_stage_leaves_the_later_ones_nothing(gpu, tmp_path, monkeypatch):
    def greedy(run):
        while run.left > 0:
            time.sleep(0.02)
            yield {"left": run.left}
        raise gpu.TimeIsUp

    stages = {"greedy": (greedy, 0.0), "next": (lambda run: iter([{"left": run.left}]), 0.5)}
    monkeypatch.setattr(gpu, "STAGES", stages)
    monkeypatch.setattr(gpu, "SHARES", {"greedy": 0.2})
    assert set(gpu.SHARES) <= set(stages)
    found = gpu.perform(gpu.Run("cpu", False, None, time.monotonic() + 2.0), tmp_path)
    assert found["greedy"]["status"] == "stopped: no time left"
    assert found["next"]["status"] == "done"
    assert found["next"]["result"]["left"] > 0.5


def test_what_was_found_is_written_when_the_machine_is_taken_away(gpu, tmp_path, monkeypatch):
    def stage(run):
        yield {"half": 1}
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)
        yield {"half": 2}

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(gpu, "STAGES", {"first": (lambda run: iter([{"all": 3}]), 0.0), "taken": (stage, 0.0)})
    try:
        assert gpu.main(["--rehearse", "--out", str(tmp_path)]) == 130
        assert signal.getsignal(signal.SIGTERM) is before
    finally:
        signal.signal(signal.SIGTERM, before)
    taken = json.loads((tmp_path / "taken.json").read_text())
    assert (taken["status"], taken["result"]) == ("stopped: interrupted", {"half": 1})
    assert '| first | done | 0.0 | {"all": 3} |' in (tmp_path / "table.md").read_text()


def test_a_training_is_cut_off_when_time_is_up(gpu, tmp_path, monkeypatch):
    def stage(run):
        yield {"half": 1}
        train_problem(UnconstrainedFeatures(0.05, 0.05), ClassPrior([4, 2]), "mse", progress=gpu.watched(run))
        yield {"half": 2}

    monkeypatch.setattr(gpu, "STAGES", {"long": (stage, 0.0)})
    found = gpu.perform(gpu.Run("cpu", False, None, time.monotonic() + 1.0), tmp_path)
    assert (found["long"]["status"], found["long"]["result"]) == ("stopped: no time left", {"half": 1})


def test_packages_of_the_folder_are_importable(gpu, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    module = tmp_path / "peer_of_the_layer.py"
    module.write_text("VALUE = 3\n", encoding="utf-8")
    with tarfile.open(tmp_path / "torchdeq-9.tar.gz", "w:gz") as archive:
        archive.add(module, "torchdeq-9/peer_of_the_layer.py")
    gpu._import_from(tmp_path)
    assert importlib.import_module("peer_of_the_layer").VALUE == 3


def test_a_device_that_gives_something_else_fails(gpu, tmp_path, monkeypatch):
    monkeypatch.setattr(gpu, "_layer_off", lambda device: 1e-3)
    monkeypatch.setattr(gpu, "_training_off", lambda device: 0.0)
    monkeypatch.setattr(gpu, "STAGES", {"cuda-tests": gpu.STAGES["cuda-tests"]})
    found = gpu.perform(gpu.Run("cpu", True, None, time.monotonic() + 60.0), tmp_path)
    assert found["cuda-tests"]["status"].startswith(
        "failed: RuntimeError: the device gives something else than the CPU"
    )


def test_without_a_gpu_it_says_so(gpu, tmp_path, monkeypatch, capsys):
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit):
        gpu.main(["--out", str(tmp_path)])
    assert "--rehearse" in capsys.readouterr().err
