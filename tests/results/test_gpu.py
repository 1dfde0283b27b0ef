"""The script for a GPU: its rehearsal runs every stage, time is kept, and what fails is written down."""

from __future__ import annotations

import importlib.util
import json
import math
import sys
import time
from pathlib import Path

import pytest

from ufm.data import DatasetNotFoundError
from ufm.deq import load_dataset

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


def run_of(gpu, seconds=120.0):
    return gpu.Run("cpu", True, None, time.monotonic() + seconds)


def test_rehearsal_of_every_stage(gpu, tmp_path):
    try:
        load_dataset("fashion-mnist")
    except DatasetNotFoundError:
        pytest.skip("Fashion-MNIST's files are not here")
    found = gpu.perform(run_of(gpu), tmp_path)
    assert list(found) == ["cuda-tests", "thresholds", "points", "layer", "grid", "soft-labels"]
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


def test_without_a_gpu_it_says_so(gpu, tmp_path, monkeypatch, capsys):
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit):
        gpu.main(["--out", str(tmp_path)])
    assert "--rehearse" in capsys.readouterr().err
