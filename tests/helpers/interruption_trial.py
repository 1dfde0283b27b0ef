"""Signals at random moments of ``ufm verify``: ``python tests/helpers/interruption_trial.py [RUNS [SEED]]``.

Every run must end with its report. ``tests/test_interruption.py`` makes a dozen of them.
"""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

PROGRAM = Path(__file__).parent / "interrupted_run.py"
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def heard() -> None:
    """In a child: a shell starts what runs in its background with Ctrl-C ignored, and so it would stay."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def start(out: Path, workers: int = 1) -> subprocess.Popen[str]:
    """The program, from when on a signal must not be lost."""
    command = [sys.executable, str(PROGRAM), "verify", "--out", str(out), "--workers", str(workers)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if "READY" in line:
            break
    return process


def duration() -> float:
    """Seconds of a run that nobody interrupts, here and now."""
    with tempfile.TemporaryDirectory() as folder:
        begin = time.monotonic()
        process = start(Path(folder))
        out, err = process.communicate(timeout=300)
        assert process.returncode == 0, out + err
        return time.monotonic() - begin


def interrupted(number: signal.Signals, moment: float, out: Path, times: int = 1, workers: int = 1) -> str:
    """How a run ends that gets a signal ``moment`` seconds after its start, once or more; fails where it ends badly."""
    process = start(out, workers)
    try:
        time.sleep(moment)
        written, looked = (out / "report.json").exists(), time.monotonic()
        process.send_signal(number)
        sure = time.monotonic() - looked < 0.05  # that it was sent when the report was as it looked
        for _ in range(times - 1):
            process.send_signal(number)
            time.sleep(0.01)
        stdout, stderr = process.communicate(timeout=120)
    finally:
        process.kill()
    code, what = process.returncode, f"{number.name} after {moment:.2f} s: status {process.returncode}"
    assert (out / "report.json").is_file(), f"{what}, no report\n{stdout}\n{stderr}"
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    # The one traceback there may be is Python's own, of a signal in its last steps, when the whole report is there.
    in_shutdown = not report["partial"] and "Exception ignored in" in stderr and stderr.count("Traceback") == 1
    assert "Traceback" not in stderr or in_shutdown, f"{what}\n{stdout}\n{stderr}"
    kept, left = len(report["verdicts"]), len(report["not_run"])
    assert "<html" in (out / "report.html").read_text(encoding="utf-8"), what
    written_files = {p.name for p in out.rglob("*") if p.is_file() and p.parent.name != "verdicts"}
    assert written_files == {"report.json", "report.html"}, f"{what}, {written_files}"
    assert not [p.name for p in out.rglob(".*")], f"{what}, {list(out.rglob('.*'))}"
    if not report["partial"]:  # it came while the report was written or later
        assert left == 0, what
        assert code in (0, 128 + number, -number), f"{what}, the whole report"
        assert written or not sure or code, f"{what}: it was lost"
        return "complete" if code == 0 else "complete, status of the signal"
    assert code == 128 + number, f"{what}, {kept} verdicts, {left} not run\n{stdout}\n{stderr}"
    assert kept == 0 or report["verdicts"][-1]["status"] in ("inconclusive", "supported"), what
    assert all(v["status"] == "supported" for v in report["verdicts"][:-1]), what
    return f"partial, after {kept - 1}" if kept and report["verdicts"][-1]["status"] == "inconclusive" else "between"


def main(runs: int, seed: int) -> None:
    rng = random.Random(seed)
    last = duration()
    ends: Counter[str] = Counter()
    for i in range(runs):
        number, times = rng.choice(SIGNALS), rng.choice((1, 1, 2))
        with tempfile.TemporaryDirectory() as folder:
            ends[interrupted(number, rng.uniform(0, last), Path(folder), times, rng.choice((1, 2)))] += 1
        print(i + 1, dict(sorted(ends.items())), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 60, int(sys.argv[2]) if len(sys.argv) > 2 else 0)
