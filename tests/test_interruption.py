"""Ctrl-C and SIGTERM at any moment of the main job: what is finished is kept and the report says it is partial."""

from __future__ import annotations

import json
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import interruption_trial
import pytest
from effort import count

from ufm.deq import Sweep

#: ``ufm verify`` whose quick sweep has trainings of a fraction of a second; the workers of its pool read it too.
PROGRAM = f"""
import sys

sys.path.insert(0, {str(Path(interruption_trial.__file__).parent)!r})
from deq_samples import SMALL
from ufm.__main__ import main
from ufm.deq import SweepConfig

sweep = SweepConfig((4, 8, 12, 16), (1, 2, 3, 4), (3, 4, 5, 6), training=SMALL)
SweepConfig.quick = lambda **_: sweep
if __name__ == "__main__":
    main()
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.sample(1)
def test_interrupted_sweep_keeps_its_points(tmp_path: Path, number: signal.Signals) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM, encoding="utf-8")
    out = tmp_path / "out"
    claims = ("fang-thresholds", "network-explicit-predicted")
    command = [sys.executable, str(program), "verify", *claims, "--out", str(out)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, preexec_fn=interruption_trial.heard
    )
    kept = out / "digits-sweep-quick-seed0.jsonl"
    deadline = time.monotonic() + 240
    while process.poll() is None and time.monotonic() < deadline:
        if kept.exists() and len(kept.read_text(encoding="utf-8").splitlines()) >= 2:  # header and a training
            break
        time.sleep(0.05)
    process.send_signal(number)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 128 + number, output

    sweep = Sweep.load(kept)
    assert sweep.is_partial
    assert len(sweep.points) >= 1
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    assert report["partial"] is True
    statuses = {verdict["claim"]["id"]: verdict["status"] for verdict in report["verdicts"]}
    assert statuses["fang-thresholds"] == "certified"
    assert statuses["network-explicit-predicted"] == "inconclusive"
    interrupted = next(v for v in report["verdicts"] if v["claim"]["id"] == "network-explicit-predicted")
    finished = interrupted["details"]["finished"]["digits sweep"]
    assert [p["minority_count"] for p in finished] == [p.minority_count for p in sweep.points]
    assert re.search("finished pieces? of its work kept", interrupted["summary"])
    assert "partial" in (out / "report.html").read_text(encoding="utf-8").lower()


@pytest.mark.slow
def test_signals_at_random_moments_end_it_with_its_report(tmp_path: Path) -> None:
    """Inside finalisers, callbacks of C code, imports, subprocesses and pools too."""
    rng = random.Random(20261128)
    last = interruption_trial.duration()
    ends, runs = set(), count(3, 12)
    for i in range(runs):
        number, times = interruption_trial.SIGNALS[i % 3], rng.choice((1, 1, 2))
        workers = 2 if i % 4 == 2 else 1
        ends.add(
            interruption_trial.interrupted(
                number, rng.uniform(i, i + 1) / runs * last, tmp_path / str(i), times, workers
            )
        )
    assert len(ends) > count(1, 2)
