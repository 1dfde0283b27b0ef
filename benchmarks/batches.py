"""Two-group problems by the million: growth with points, cores and classes, NumPy against torch and single solves."""

from __future__ import annotations

import importlib.util
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np

import ufm
from benchmarks._timing import Row, Timing, timed

__all__ = ["compiled", "cores", "exponentials", "points"]


def _grid(size: int, family: str) -> dict[str, Any]:
    """Random points of every phase: K_A and K_B up to 30, R up to 1e4, rho up to 0.7."""
    rng = np.random.default_rng(0)
    strength = 10 ** rng.uniform(-1, 1.3, size)
    sizes = {"E_W": 1.0, "E_H": strength} if family == "budgets" else {"lambda_W": 1e-3, "lambda_H": 1e-3 * strength}
    return sizes | {
        "num_majority": rng.integers(1, 30, size),
        "num_minority": rng.integers(1, 30, size),
        "ratio": 10 ** rng.uniform(1e-3, 4, size),
        "rho": rng.uniform(0, 0.7, size),
    }


def _worst(found: ufm.BatchSolution) -> float:
    """Largest relative duality gap."""
    return float(((found.value - found.lower) / found.value).max())


def points(sizes: list[int], samples: int) -> Iterator[Row]:
    """Growth with the number of points, against single solves of the same points (timed on a sample of them)."""
    for family in ("budgets", "weight decay"):
        for size in sizes:
            grid = _grid(size, family)
            ours, found = timed(partial(ufm.solve_batch, **grid), samples)
            singles = min(size, 300)

            def one_by_one(g: dict[str, Any] = grid, n: int = singles, budgets: bool = family == "budgets") -> None:
                for i in range(n):
                    at = {key: float(value[i]) if np.ndim(value) else value for key, value in g.items()}
                    prior = ufm.ClassPrior.step(int(at["num_majority"]), int(at["num_minority"]), at["ratio"])
                    if budgets:
                        architecture: Any = ufm.LinearDEQ(at["E_W"], at["E_H"], at["rho"])
                    else:
                        architecture = ufm.PenalisedDEQ(at["lambda_W"], at["lambda_H"], at["rho"])
                    ufm.solve(architecture, prior, method="reduced")

            theirs, _ = timed(one_by_one, min(samples, 3))
            scaled = type(theirs)(tuple(t * size / singles for t in theirs.samples))
            note = f"{ours.median / size * 1e6:.3g} µs a point"
            case = f"{size:,} points, {family}"
            figures = {"points": size, "family": family, "seconds_a_point": ours.median / size}
            yield Row("points", case, ours, "single solves", scaled, _worst(found), None, note, figures)
    yield from _torch(max(sizes), samples)


def _torch(size: int, samples: int) -> Iterator[Row]:
    """The same points as torch tensors, on a GPU where there is one."""
    import torch

    grid = _grid(size, "budgets")
    numpy_time, _ = timed(partial(ufm.solve_batch, **grid), samples)
    for device in ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",):
        tensors = {
            key: torch.as_tensor(value, device=device) if isinstance(value, np.ndarray) else value
            for key, value in grid.items()
        }

        def solve(given: dict[str, Any] = tensors, on_gpu: bool = device == "cuda") -> ufm.BatchSolution:
            found = ufm.solve_batch(**given)
            if on_gpu:
                torch.cuda.synchronize()
            return found

        ours, found = timed(solve, samples)
        note = f"{ours.median / size * 1e6:.3g} µs a point, {torch.get_num_threads()} threads"
        yield Row("points", f"{size:,} points, torch {device}", ours, "NumPy", numpy_time, _worst(found), None, note)


def cores(size: int, counts: list[int], samples: int) -> Iterator[Row]:
    """Growth with the number of threads, against one, beside what exponentials alone gain from as many threads.

    The exponentials show what the machine gives at the time: other programs take its cores from both. *busy* are CPU
    seconds over wall seconds, *work* the CPU seconds over those of one thread, which threads that wait do not raise.
    """
    grid = _grid(size, "budgets")
    ways = [False, True] if importlib.util.find_spec("numba") is not None else [False]
    for machine_code in ways:
        solve = partial(ufm.solve_batch, **grid, compiled=machine_code)
        found = solve(workers=1)
        for count in counts:
            rounds = [[_busy(partial(solve, workers=n)) for n in (1, count)] for _ in range(samples)]
            alone, ours = (Timing(tuple(wall for wall, _ in column)) for column in zip(*rounds, strict=True))
            work = statistics.median(many[1] / one[1] for one, many in rounds)
            busy = statistics.median(cpu / wall for _, (wall, cpu) in rounds)
            turns = 3000 if size > 10_000 else 60
            limit = statistics.median(exponentials(1, turns) / exponentials(count, turns) for _ in "12345")
            way = "compiled" if machine_code else "arrays"
            case = f"{size:,} points, {way}, {count} thread{'s' if count > 1 else ''}"
            note = f"exponentials {limit:.3g} times as fast; {busy:.3g} cores busy, {work:.3g} times the work of one"
            figures = {"threads": count, "family": way, "exponentials": limit, "busy": busy, "work": work}
            yield Row("cores", case, ours, "one thread", alone, _worst(found), None, note, figures)


def _busy(call: Callable[[], Any]) -> tuple[float, float]:
    """Wall and CPU seconds of a call."""
    start, cpu = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - start, time.process_time() - cpu


def exponentials(count: int, turns: int = 3000) -> float:
    """Wall seconds of so many thousand exponentials, 16 a turn, in so many threads, each in memory of its own."""
    parts = [np.linspace(-3, 3, 1 << 14) for _ in range(count)]

    def work(values: Any) -> None:
        out = np.empty_like(values)
        for _ in range(turns // count):
            np.exp(values, out=out)

    with ThreadPoolExecutor(count) as pool:
        start = time.perf_counter()
        list(pool.map(work, parts))
        return time.perf_counter() - start


def compiled(size: int, samples: int) -> Iterator[Row]:
    """Machine code against arrays on one core, and a point's cost in exponentials; no row without Numba.

    A point takes a counted number of exponentials and logarithms. ``overhead`` is its time over that of as many of
    NumPy's exponentials, measured in turns with it, all in CPU seconds: 1 would be a loop that does nothing else.
    ``loop`` is that of the loop alone, on points that the caches hold and arrays that are there: what a call adds is
    the reading and checking of arguments, and new memory for 57 bytes of results a point.
    """
    if importlib.util.find_spec("numba") is None:
        return
    angles = np.random.default_rng(0).uniform(-3, 3, 1 << 15)
    for family in ("budgets", "weight decay"):
        grid = _grid(size, family)
        few = min(size, 200_000)
        loop = _loop(_grid(few, family))
        taken = loop() / few  # compiles
        turns = [_beside(loop, angles) for _ in range(5 * samples)]
        alone = statistics.median(seconds / few / unit for seconds, unit in turns) / taken
        needed = _loop(grid)() / size
        slow = partial(ufm.solve_batch, **grid, workers=1, compiled=False)
        arrays = Timing(tuple(_beside(slow, angles)[0] for _ in range(min(samples, 5))))
        rounds = [_beside(partial(ufm.solve_batch, **grid, workers=1, compiled=True), angles) for _ in range(samples)]
        ours = Timing(tuple(seconds for seconds, _ in rounds))
        found = ufm.solve_batch(**grid, workers=1, compiled=True)
        cost = statistics.median(seconds / size / unit for seconds, unit in rounds)
        note = (
            f"{ours.median / size * 1e9:.3g} ns a point, the time of {cost:.3g} exponentials; it takes {needed:.3g}: "
            f"{cost / needed:.3g} to 1, the loop alone {alone:.3g}"
        )
        figures = {"points": size, "family": family, "exponentials": cost, "taken": needed}
        figures |= {"overhead": cost / needed, "loop": alone}
        yield Row("compiled", f"{size:,} points, {family}", ours, "NumPy", arrays, _worst(found), None, note, figures)


def _beside(solve: Callable[[], Any], angles: Any) -> tuple[float, float]:
    """CPU seconds of a call, and of an exponential at the same time."""
    taken = []
    for _ in range(2):
        start = time.thread_time()
        for _ in range(100):
            np.exp(angles)
        taken.append((time.thread_time() - start) / 100 / len(angles))
        if len(taken) == 1:
            start = time.thread_time()
            solve()
            seconds = time.thread_time() - start
    return seconds, sum(taken) / 2


def _loop(grid: dict[str, Any]) -> Callable[[], int]:
    """The compiled loop over a grid's points; it returns how many exponentials and logarithms it took."""
    from ufm.two_groups import _fused

    size = len(grid["ratio"])
    given = {"minority_count": 1.0, "shrink": 1 - grid["rho"], **grid}
    out = (*(np.empty(size) for _ in range(7)), np.empty(size, np.int8), np.empty(size, np.bool_))
    names = ("E_W", "E_H", "shrink") if "E_W" in grid else ("lambda_W", "lambda_H", "shrink", "minority_count")
    kernel = _fused.budgets if "E_W" in grid else _fused.weight_decay
    arguments = (given[name] for name in ("num_majority", "num_minority", "ratio", *names))
    return partial(kernel, tuple(np.atleast_1d(np.asarray(x, float)) for x in arguments), out)
