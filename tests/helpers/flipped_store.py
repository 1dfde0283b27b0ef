"""Flips bits in the file of a sweep: ``python tests/helpers/flipped_store.py [FLIPS [SEED]]``.

After each flip the file is loaded and the sweep is run again. None may give a result that is not the true one: the
record is as it was, or an error says that the file is damaged. ``tests/sweeps/test_damage.py`` makes a few hundred.
Of 10,000 with seed 0, 5,936 left the record as it was, 4,054 ended in SweepDamaged, 10 in a ValueError; none was wrong.
"""

from __future__ import annotations

import random
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import sweep_samples as samples

from ufm import sweeps

POINTS = [{"start": 0.05 + i / 50, "steps": 30} for i in range(30)] + [{"start": 0.5, "steps": 0}]


class Here(Executor):
    """Runs calls at once, in the caller's thread, and counts them."""

    def __init__(self) -> None:
        self.calls = 0

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.calls += 1
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


def content(table: sweeps.Table) -> list[tuple[Any, ...]]:
    """All that a user reads of a table."""
    rows = [(r.key, r.function, r.version, r.point, repr(r.result), r.failure, r.seconds) for r in table]
    return sorted(rows, key=lambda row: row[0])


def made(path: Path) -> bytes:
    """The bytes of a store with results and a failure."""
    sweeps.run(samples.logistic, POINTS, store=path, executor=Here())
    return path.read_bytes()


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def outcome(path: Path, data: bytes, truth: list[tuple[Any, ...]]) -> str:
    """What comes of loading and of running again with these bytes; AssertionError for a wrong result."""
    for end in ("", "-wal", "-shm"):
        Path(f"{path}{end}").unlink(missing_ok=True)
    path.write_bytes(data)
    try:
        loaded = content(sweeps.load(path))
    except ValueError as error:
        if str(path) not in str(error):
            raise AssertionError("the error names no file") from error
        return type(error).__name__
    assert all(row in truth for row in loaded), "a wrong record was loaded"
    assert loaded == truth, "a record was lost in silence"
    executor = Here()
    again = content(sweeps.run(samples.logistic, POINTS, store=path, executor=executor))
    assert again == truth, "a wrong record came of the sweep"
    assert executor.calls == 0
    return "as it was"


def main(flips: int, seed: int) -> None:
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "sweep.sqlite")
        data = made(path)
        truth = content(sweeps.load(path))
        print(f"{len(data)} bytes, {len(truth)} points, {sum(row[5] is not None for row in truth)} failed")
        ends: Counter[str] = Counter()
        for i in range(flips):
            bit = rng.randrange(8 * len(data))
            try:
                ends[outcome(path, flipped(data, bit), truth)] += 1
            except BaseException as error:
                ends[f"{type(error).__name__}: {error}"[:100]] += 1
                print(f"bit {bit}: {type(error).__name__}: {error}", flush=True)
            if i % 1000 == 999:
                print(i + 1, dict(ends), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000, int(sys.argv[2]) if len(sys.argv) > 2 else 0)
