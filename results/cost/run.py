"""How CPU time grows with classes, columns, groups, points, starts, samples; wall time with cores; and large plans."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import hashlib
import importlib.util
import json
import math
import tempfile
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
from kept import FINISHED_ONLY, draw, finish, write, write_json

import ufm
from benchmarks.batches import exponentials
from ufm import sweeps
from ufm._threads import available_cpus
from ufm.certificates import certify_point
from ufm.problem import Problem
from ufm.problem_file import state_problem
from ufm.solvers.nuclear import solve_nuclear
from ufm.sweeps.engine import InThisProcess
from ufm.sweeps.points import train_point

FOLDER = Path(__file__).parent
#: Files that this writes, as patterns.
WRITES = ("cost.json", "table.md", "cores.md", "plans.md", "cost.svg")

PEELED, DECAY = ufm.LayerPeeled(1.0, 5.0), ufm.UnconstrainedFeatures(1e-3, 1e-3)
#: Series that the plans rest on.
POINTS, VALUES = "solve a batch", "certify a value, classes that all differ"
THRESHOLDS, TRAININGS = "certify a threshold, two groups", "train an explicit network on digits"
#: Points of the store whose cost a point is measured.
STORED = 2000
#: Points of a chunk of a grid, and chunks that are made to measure it.
CHUNK, CHUNKS = 250_000, 4


@dataclass(frozen=True)
class Series:
    """CPU seconds of one thing at several sizes.

    Attributes:
        what: is done.
        size: what varies.
        at: its values, ascending.
        seconds: of CPU, the least of the repeats.
    """

    what: str
    size: str
    at: list[float]
    seconds: list[float]

    def exponent(self) -> tuple[float, float]:
        """Slope of log seconds by log size and its standard error, by least squares."""
        x, y = np.log(self.at), np.log(self.seconds)
        (slope, constant), centred = np.polyfit(x, y, 1), x - x.mean()
        rest = y - slope * x - constant
        return float(slope), math.sqrt(float(rest @ rest) / (len(x) - 2) / float(centred @ centred))

    def last_exponent(self) -> float:
        """Slope between the last two sizes: where cost has a constant part, what it tends to."""
        return math.log(self.seconds[-1] / self.seconds[-2]) / math.log(self.at[-1] / self.at[-2])


def series(what: str, size: str, at: list[int], call: Callable[[int], Any], repeats: int = 2) -> Series:
    """Measure ``call`` at every size, the repeats one after the other over all sizes."""
    call(at[0])  # what is imported on first use is no cost of a size
    rounds = [[_cpu(partial(call, n)) for n in at] for _ in range(repeats)]
    found = Series(what, size, [float(n) for n in at], np.min(rounds, axis=0).tolist())
    print(what, size, *(f"{n:g}: {s:.3g} s" for n, s in zip(found.at, found.seconds, strict=True)), flush=True)
    return found


def _cpu(call: Callable[[], Any]) -> float:
    start = time.process_time()
    call()
    return max(time.process_time() - start, 1e-9)


# What is measured ---------------------------------------------------------------------------------------------------


def _tailed(k: int) -> Any:
    return solve_nuclear(Problem.of(PEELED, ufm.ClassPrior.long_tailed(k, 100.0)))


def _columns(m: int) -> Any:
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 2, size=(8, m)).astype(float)
    targets[rng.integers(0, 8, size=m), np.arange(m)] = 1.0
    return ufm.solve(DECAY, ufm.Labels(targets, rng.integers(1, 20, size=m)), "bce")


def _groups(g: int) -> Any:
    counts = np.repeat(np.geomspace(100, 1, g), 64 // g)
    return ufm.solve(PEELED, ufm.ClassPrior(counts))


def _points(n: int) -> Any:
    return ufm.solve_batch(5, 5, np.geomspace(1, 1e4, n), E_W=1.0, E_H=5.0)


def _search(k: int, starts: int) -> Any:
    architecture, prior = ufm.LinearDEQ(1.0, 1.0, 0.95, E_A=0.8), ufm.ClassPrior.step(k // 2, k - k // 2, 5.0)
    return ufm.solve(architecture, prior, method="search", starts=starts)


def _certificate(k: int) -> dict[str, Any]:
    point = state_problem(Problem.of(PEELED, ufm.ClassPrior.long_tailed(k, 100.0)))
    return certify_point(**point)


def _threshold(k: int) -> dict[str, Any]:
    peeled = {"type": "LayerPeeled", "E_W": 1.0, "E_H": 5.0}
    return certify_point(statement="threshold", architecture=peeled, num_majority=k // 2, num_minority=k - k // 2)


def _training(samples: int) -> dict[str, Any]:
    counts = {"num_majority": 5, "num_minority": 5, "majority_count": samples, "minority_count": samples // 2}
    return train_point(architecture="explicit", device="cpu", lambda_W=5e-3, lambda_H=5e-3, **counts)


def measured() -> list[Series]:
    """All series."""
    warnings.simplefilter("ignore", RuntimeWarning)  # gaps that stay open are no matter here
    return [
        series(POINTS, "points", [1000, 10_000, 100_000, 1_000_000], _points),
        series("solve classes that all differ", "K", [20, 40, 80, 160], _tailed),
        series("solve 64 classes in groups", "groups", [4, 8, 16, 32, 64], _groups),
        series("solve 8 classes, any labels (BCE)", "columns m", [16, 64, 256, 1024], _columns),
        series("search, 20 starts", "K", [4, 6, 10, 14], lambda k: _search(k, 20)),
        series("search, six classes", "starts", [25, 50, 100, 200], lambda n: _search(6, n)),
        series(VALUES, "K", [4, 8, 16, 32], _certificate),
        series(THRESHOLDS, "K", [4, 10, 40, 160], _threshold),
        series(TRAININGS, "samples a class", [8, 16, 32, 64], _training),
    ]


@dataclass(frozen=True)
class Cores:
    """Wall seconds of one piece of work over several workers.

    Attributes:
        what: is done, and by threads or processes.
        workers: their numbers, 1 first.
        seconds: the least of the rounds, in which all numbers and the exponentials alone take turns.
    """

    what: str
    workers: list[int]
    seconds: list[float]

    @property
    def gains(self) -> list[float]:
        """How many times as fast as one worker."""
        return [self.seconds[0] / s for s in self.seconds]

    def share(self) -> float:
        """The part p of the work that workers divide, by Amdahl's ``1/gain = 1 - p + p/n``, least squares."""
        idle = 1 - 1 / np.array(self.workers[1:], float)
        saved = 1 - 1 / np.array(self.gains[1:])
        return float(idle @ saved / (idle @ idle)) if len(idle) else math.nan


#: What the processor itself gives: threads that do nothing but NumPy's exponentials.
EXPONENTIALS = "exponentials alone, threads"


def over_cores(rounds: int = 5) -> list[Cores]:
    """Wall seconds by threads and processes, one thread of arithmetic in each."""
    numbers = [n for n in (1, 2, 4, 8, 16, 32) if n <= available_cpus()]
    ways: dict[str, Callable[[int], float]] = {EXPONENTIALS: exponentials, "a batch of arrays, threads": _batch}
    if importlib.util.find_spec("numba") is not None:
        ways["a compiled batch, threads"] = partial(_batch, size=4_000_000, compiled=True)
    ways |= {"searches, processes": _searches, "certificates, processes": _certificates}
    times = [[[way(n) for n in numbers] for way in ways.values()] for _ in range(rounds + 1)][1:]
    least = np.min(times, axis=0)
    return [Cores(what, numbers, row.tolist()) for what, row in zip(ways, least, strict=True)]


def _wall(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _batch(workers: int, size: int = 500_000, compiled: bool = False) -> float:
    ratios = np.geomspace(1, 1e4, size)

    def call() -> None:
        ufm.solve_batch(5, 5, ratios, E_W=1.0, E_H=5.0, workers=workers, compiled=compiled)

    # the second of two finds pages that the first has had made, which on a virtual machine may take as long
    return min(_wall(call), _wall(call))


def _searches(workers: int) -> float:
    return _in_processes(workers, _one_search, 12)


def _certificates(workers: int) -> float:
    return _in_processes(workers, _one_certificate, 16)


def _in_processes(workers: int, work: Callable[[int], Any], count: int) -> float:
    """Wall seconds of the calls, once every worker has made one: what it imports is no cost of the work."""
    with ProcessPoolExecutor(workers) as pool:
        list(pool.map(work, range(2 * workers)))
        return _wall(lambda: list(pool.map(work, range(count))))


def _one_search(_: int) -> float:
    return float(_search(6, 25).value)


def _one_certificate(_: int) -> bool:
    return bool(_certificate(16))


def nothing(*, x: float) -> dict[str, float]:
    """A point that costs nothing but its keeping."""
    return {"x": x, "s_A": x / 3, "s_B": x / 7, "value": x / 11}


def chunk(*, folder: str, number: int, count: int) -> dict[str, Any]:
    """One chunk of a large grid: its points solved and written to a file of their own; what is kept tells of the file.

    A chunk is a point of a sweep, so that whatever dies leaves whole chunks, and the same call makes the others.
    """
    ratios = np.geomspace(1 + number, 2 + number, count)
    found = ufm.solve_batch(5, 5, ratios, E_W=1.0, E_H=5.0)
    numbers = np.stack([found.value, found.lower, found.s_A, found.s_B])
    path, part = Path(folder) / f"{number:06}.npy", Path(folder) / f".{number:06}.part"
    with part.open("wb") as stream:
        np.save(stream, numbers)
    part.replace(path)
    return {"file": path.name, "sha256": hashlib.sha256(numbers.tobytes()).hexdigest()}


def chunked() -> dict[str, float]:
    """CPU seconds and bytes a point of a grid in chunks, keeping and files included."""
    with tempfile.TemporaryDirectory() as folder:
        points = [{"folder": folder, "number": i, "count": CHUNK} for i in range(CHUNKS)]
        store = Path(folder) / "chunks.sqlite"
        seconds = _cpu(lambda: sweeps.run(chunk, points, store=store, executor=InThisProcess(), max_in_flight=1))
        size = sum(path.stat().st_size for path in Path(folder).iterdir())
    return {"chunk seconds": seconds / (CHUNK * CHUNKS), "chunk bytes": size / (CHUNK * CHUNKS)}


def stored() -> dict[str, float]:
    """CPU seconds and bytes that a sweep spends on keeping a point, and the bytes of certificates and trainings."""
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "points.sqlite"
        points = [{"x": float(i)} for i in range(STORED)]
        seconds = _cpu(lambda: sweeps.run(nothing, points, store=store, executor=InThisProcess()))
        size = sum(path.stat().st_size for path in Path(folder).iterdir() if path.name.endswith("sqlite"))
    made = {VALUES: _certificate(16), THRESHOLDS: _threshold(10), TRAININGS: _training(8)}
    lengths = {what: float(len(json.dumps(result))) for what, result in made.items()}
    return {"seconds": seconds / STORED, "bytes": size / STORED, **lengths, **chunked()}


# What is written ----------------------------------------------------------------------------------------------------


def table(found: list[Series]) -> str:
    """The series as Markdown, with their exponents."""
    lines = [
        "CPU seconds on one core, the least of two; exponents by least squares on logarithms, with their "
        "standard errors, and between the last two sizes.\n",
        "| what | by | from | to | CPU seconds | exponent | at the end |",
        "|---|---|---|---|---|---|---|",
    ]
    for s in found:
        slope, error = s.exponent()
        seconds = f"{s.seconds[0]:.2g} to {s.seconds[-1]:.2g}"
        ends, end = f"{s.at[0]:g} | {s.at[-1]:g}", f"{s.last_exponent():.2f}"
        lines.append(f"| {s.what} | {s.size} | {ends} | {seconds} | {slope:.2f} ± {error:.2f} | {end} |")
    return "\n".join(lines) + "\n"


def cores_table(found: list[Cores]) -> str:
    """Gains by workers, and the parts that workers divide, beside what the processor gives to exponentials."""
    lines = [
        "Wall seconds, the least of five turns; the share of the work that workers divide by Amdahl's law.\n",
        "| what | workers | seconds | times as fast as one | share divided |",
        "|---|---|---|---|---|",
    ]
    for c in found:
        columns = (map(str, c.workers), (f"{s:.2g}" for s in c.seconds), (f"{g:.2f}" for g in c.gains))
        lines.append(f"| {c.what} | {' | '.join(', '.join(column) for column in columns)} | {c.share():.2f} |")
    return "\n".join(lines) + "\n"


def plans(found: list[Series], keeping: dict[str, float]) -> str:
    """What the large plans cost, from the measured rates."""
    of = {s.what: s for s in found}
    point = of[POINTS].seconds[-1] / of[POINTS].at[-1]
    kept = keeping["seconds"]
    rows = [
        ("1e10 points of two groups in chunks", 1e10, keeping["chunk seconds"], keeping["chunk bytes"]),
        ("1e7 points of two groups, one by one in a store", 1e7, point + kept, keeping["bytes"]),
        ("1e6 certified thresholds, ten classes", 1e6, of[THRESHOLDS].seconds[1] + kept, keeping[THRESHOLDS]),
        ("1e6 certified values, 16 classes that all differ", 1e6, of[VALUES].seconds[2] + kept, keeping[VALUES]),
        ("1e5 trainings on digits, 64 samples a class", 1e5, of[TRAININGS].seconds[-1] + kept, keeping[TRAININGS]),
    ]
    lines = [
        f"Keeping a point in a sweep's store costs {1e6 * kept:.0f} µs of CPU and {keeping['bytes']:.0f} bytes.\n",
        "| plan | CPU seconds a piece | core hours | bytes a piece | in all |",
        "|---|---|---|---|---|",
    ]
    for what, count, seconds, size in rows:
        hours, whole = f"{count * seconds / 3600:,.3g}", f"{count * size / 1e9:,.3g} GB"
        lines.append(f"| {what} | {seconds:.2g} | {hours} | {size:,.0f} | {whole} |")
    return "\n".join(lines) + "\n"


def drawn(found: list[Series], cores: list[Cores]) -> Any:
    """A panel a series: what was measured, and the line of its exponent; and one of the gains by cores."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullLocator

    figure = Figure(figsize=(9, 10.5), layout="constrained")
    grid = figure.add_gridspec(4, 3)
    for i, s in enumerate(found):
        axes = figure.add_subplot(grid[divmod(i, 3)])
        slope, error = s.exponent()
        x, y = np.array(s.at), np.array(s.seconds)
        constant = np.exp(np.mean(np.log(y) - slope * np.log(x)))
        axes.loglog(x, y, "o", color="#0072b2")
        axes.loglog(x, constant * x**slope, color="#d55e00", label=f"{slope:.2f} ± {error:.2f}")
        axes.set(title=s.what, xlabel=s.size, ylabel="CPU seconds", ylim=(y.min() / 3, 3 * y.max()))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xticks(s.at, [f"{n:g}" for n in s.at])
        axes.title.set_fontsize(9)
        axes.legend(fontsize=8)
    axes = figure.add_subplot(grid[3, :])
    for c, style in zip(cores, ("o:", "s-", "D-", "^-", "v-"), strict=False):
        axes.plot(
            c.workers,
            c.gains,
            style,
            label=f"{c.what}, {c.share():.2f} divided",
            color="#666666" if c.what == EXPONENTIALS else None,
        )
    most = max(c.workers[-1] for c in cores)
    axes.plot([1, most], [1, most], color="#bbbbbb", linewidth=0.8)
    axes.set(title="cores", xlabel="threads or processes", ylabel="times as fast as one", xticks=cores[0].workers)
    axes.title.set_fontsize(9)
    axes.legend(fontsize=8)
    return figure


def main() -> None:
    """Measure, unless only what was measured is to be written again."""
    path = FOLDER / "cost.json"
    if not FINISHED_ONLY:
        cores, series_, keeping = over_cores(), measured(), stored()
        write_json(
            path, {"series": [asdict(s) for s in series_], "cores": [asdict(c) for c in cores], "keeping": keeping}
        )
    kept = json.loads(path.read_text(encoding="utf-8"))
    found, cores = [Series(**s) for s in kept["series"]], [Cores(**c) for c in kept["cores"]]
    write(FOLDER / "table.md", table(found))
    write(FOLDER / "cores.md", cores_table(cores))
    write(FOLDER / "plans.md", plans(found, kept["keeping"]))
    draw(drawn(found, cores), FOLDER / "cost.svg", metadata={"Date": None})
    finish(__file__, __doc__ or "", [0])


if __name__ == "__main__":
    main()
