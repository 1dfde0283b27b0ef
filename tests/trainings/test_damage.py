"""Files that trainings keep: those without checksums are read, and of those with one no flipped bit goes unnoticed."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from ufm._files import check_archive, sealed
from ufm.trainings import ExperimentConfig, Loop, Sweep, load_run
from ufm.trainings.hysteresis import _resumed, _save_state, _state_file

RESULTS = Path(__file__).resolve().parents[2] / "results"


def flips(path: Path, number: int) -> Iterator[int]:
    """Flips a bit of a file at a time; the file is whole again at the end."""
    data = path.read_bytes()
    for bit in random.Random(0).sample(range(8 * len(data)), number):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        yield bit
    path.write_bytes(data)


def refused(path: Path, number: int, read: Callable[[], Any], truth: Any) -> int:
    """How many flips are refused with a ValueError that names the file; the others must not matter."""
    found = 0
    for bit in flips(path, number):
        try:
            value = read()
        except ValueError as error:
            if str(path) not in str(error):
                raise AssertionError(f"bit {bit}: the error names no file") from error
            found += 1
        else:
            assert value == truth, bit
    return found


@pytest.mark.parametrize("path", sorted(RESULTS.rglob("*.jsonl")), ids=lambda p: p.stem)
def test_sweeps_kept_without_checksums_are_read(path: Path) -> None:
    if "metrics" not in path.name:
        assert Sweep.load(path).points


@pytest.mark.parametrize("path", sorted((RESULTS / "hysteresis-digits").glob("*o*-*.json")), ids=lambda p: p.stem)
def test_loops_kept_without_checksums_are_read_and_get_one(path: Path, tmp_path: Path) -> None:
    loop = Loop.load(path)
    assert not loop.is_partial
    kept = tmp_path / "loop.json"
    loop.save(kept)
    assert refused(kept, 200, lambda: Loop.load(kept), loop) > 150


def test_metrics_and_result_of_a_run(tmp_path: Path) -> None:
    config = ExperimentConfig(epochs=2)
    (tmp_path / "config.json").write_text(json.dumps(config.to_dict()))
    records = [{"epoch": i, "loss": 0.1 + i / 3, "measures": {"nc1": None}} for i in (1, 2)]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records))
    (tmp_path / "result.json").write_text(json.dumps({"stopped": "epochs"}))
    old = load_run(tmp_path)
    assert list(old.records) == records
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(sealed(r)) + "\n" for r in records))
    (tmp_path / "result.json").write_text(json.dumps(sealed({"stopped": "epochs"})))
    assert load_run(tmp_path) == old

    def content() -> Any:
        run = load_run(tmp_path)
        return [{key: r.get(key) for key in ("epoch", "loss", "measures")} for r in run.records], run.stopped

    truth = (records, "epochs")
    assert refused(tmp_path / "metrics.jsonl", 200, content, truth) > 150
    # A flip in the name of the checksum's key leaves a file as they were before there were any.
    assert refused(tmp_path / "result.json", 200, content, truth) > 150


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_archives_of_weights(tmp_path: Path) -> None:
    """``torch.load`` looks at no checksum: four of five flips gave other weights."""
    weights = torch.randn(20, 20, generator=torch.Generator().manual_seed(0))
    path = tmp_path / "checkpoint.pt"
    torch.save({"weights": weights}, path)
    check_archive(path)
    wrong = unseen = 0
    for _ in flips(path, 300):
        try:
            check_archive(path)
        except ValueError as error:
            assert "checkpoint.pt is damaged" in str(error)  # noqa: PT017
            continue
        unseen += 1
        try:
            wrong += not torch.equal(torch.load(path, weights_only=True)["weights"], weights)
        except Exception:  # torch fails in many ways
            continue
    assert wrong == 0
    assert unseen < 100
    with pytest.raises(OSError, match="missing"):
        check_archive(tmp_path / "missing.npz")


def test_state_of_an_unfinished_loop(tmp_path: Path) -> None:
    whole = Loop.load(RESULTS / "hysteresis-digits" / "zero.json")
    loop = Loop(whole.training, whole.legs, whole.perturbation, whole.points[:2])
    path = tmp_path / "loop.json"
    loop.save(path)
    generator = torch.Generator().manual_seed(3)
    weights = {"layer.weight": torch.arange(12.0).reshape(3, 4), "layer.bias": torch.ones(3)}
    _save_state(path, loop, weights, generator)

    def content() -> Any:
        found = torch.Generator()
        newest, kept = _resumed(loop, path, found)
        assert kept is not None
        return newest, {n: w.tolist() for n, w in kept.items()}, found.get_state().tolist()

    truth = (loop, {n: w.tolist() for n, w in weights.items()}, generator.get_state().tolist())
    assert content() == truth
    assert refused(_state_file(path), 200, content, truth) > 150
