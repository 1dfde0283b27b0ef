"""Ctrl-C in the middle of the main job's sweep: finished trainings are kept and the report says it is partial."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ufm.deq import Sweep


@pytest.mark.slow
def test_interrupted_sweep_keeps_its_points(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "ufm",
        "verify",
        "fang-thresholds",
        "network-explicit-predicted",
        "--out",
        str(tmp_path),
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    kept = tmp_path / "digits-sweep-quick-seed0.jsonl"
    deadline = time.monotonic() + 240
    while process.poll() is None and time.monotonic() < deadline:
        if kept.exists() and len(kept.read_text(encoding="utf-8").splitlines()) >= 3:  # header and two trainings
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 130, output

    sweep = Sweep.load(kept)
    assert sweep.is_partial
    assert len(sweep.points) >= 2
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert report["partial"] is True
    statuses = {verdict["claim"]["id"]: verdict["status"] for verdict in report["verdicts"]}
    assert statuses["fang-thresholds"] == "certified"
    assert statuses["network-explicit-predicted"] == "inconclusive"
    interrupted = next(v for v in report["verdicts"] if v["claim"]["id"] == "network-explicit-predicted")
    finished = interrupted["details"]["finished"]["digits sweep"]
    assert [p["minority_count"] for p in finished] == [p.minority_count for p in sweep.points]
    assert "finished pieces of its work kept" in interrupted["summary"]
    assert "partial" in (tmp_path / "report.html").read_text(encoding="utf-8").lower()
