"""``python -m benchmarks``: measure, print a table of ratios, write it as Markdown and JSON after every row.

A ratio is the peer's median time over ours, with the range that the quartiles of both allow. Errors are relative to the
optimum: our own is the width of our enclosure, a peer's its distance from our value.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import math
import os
import platform
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks._timing import Row, exponent
from ufm._files import write_atomically
from ufm._interrupts import check_interrupt, exit_status, interrupt_answered, interruptible, interrupts_held

#: What every benchmark measures, by effort: (function in module, arguments).
Plan = dict[str, tuple[str, dict[str, Any]]]


def plans() -> dict[str, Plan]:
    """Benchmarks by effort; smoke is for tests of the benchmarks themselves."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    counts = sorted({1, 2, *(2**i for i in range(2, 6) if 2**i <= cores), cores})
    default, clarabel, scs = "default", "CLARABEL", "SCS"
    return {
        "smoke": {
            "single": ("solves.single", {"sizes": [(2, (clarabel,)), (4, ())], "samples": 2, "limit": 60.0}),
            "threshold": ("solves.threshold", {"sizes": [4], "samples": 2}),
            "tailed": ("solves.tailed", {"sizes": [(3, ()), (4, ())], "samples": 2, "limit": 60.0}),
            "grouped": ("solves.grouped", {"sizes": [(3, 1), (3, 2)], "samples": 1}),
            "searches": ("solves.searches", {"sizes": [3], "starts": 4, "peer_starts": 2, "samples": 1}),
            "points": ("batches.points", {"sizes": [100, 400], "samples": 2}),
            "compiled": ("batches.compiled", {"size": 1000, "samples": 2}),
            "cores": ("batches.cores", {"size": 1000, "counts": [1, 2], "samples": 2}),
            "descent": ("descent.descent", {"accuracies": [0.5, 1e-9], "max_steps": 30, "samples": 1}),
            "equilibria": ("equilibria.equilibria", {"sizes": [(2, 3), (2, 2, 4)], "samples": 2}),
            "steps": ("equilibria.steps", {"sizes": [(2, 3), (2, 2, 4)], "samples": 2}),
            "measuring": ("measuring.measuring", {"sizes": [(3, 4, 60)], "samples": 1, "batch_size": 20}),
        },
        "quick": {
            "single": (
                "solves.single",
                {
                    "sizes": [(4, (default, clarabel, scs)), (10, (default, clarabel, scs)), (20, (default, clarabel))],
                    "samples": 5,
                    "limit": 120.0,
                },
            ),
            "threshold": ("solves.threshold", {"sizes": [4, 10, 100], "samples": 5}),
            "tailed": (
                "solves.tailed",
                {
                    "sizes": [(10, (default, clarabel)), (20, (default,)), (50, ()), (100, ())],
                    "samples": 3,
                    "limit": 120.0,
                },
            ),
            "grouped": ("solves.grouped", {"sizes": [(4, 3), (30, 3), (30, 1), (100, 1)], "samples": 3}),
            "searches": ("solves.searches", {"sizes": [4, 10], "starts": 200, "peer_starts": 8, "samples": 1}),
            "points": ("batches.points", {"sizes": [1000, 10_000, 100_000, 1_000_000], "samples": 5}),
            "compiled": ("batches.compiled", {"size": 1_000_000, "samples": 5}),
            "cores": ("batches.cores", {"size": 1_000_000, "counts": counts, "samples": 5}),
            "descent": ("descent.descent", {"accuracies": [1e-1, 1e-2, 1e-3], "max_steps": 3000, "samples": 3}),
            "equilibria": ("equilibria.equilibria", {"sizes": [(64, 32), (256, 128), (32, 8, 16)], "samples": 5}),
            "steps": ("equilibria.steps", {"sizes": [(64, 32), (256, 128), (32, 8, 16)], "samples": 5}),
            "measuring": ("measuring.measuring", {"sizes": [(100, 512, 20_000), (1000, 2048, 5000)], "samples": 3}),
        },
        "full": {
            "single": (
                "solves.single",
                {
                    "sizes": [
                        *((k, (default, clarabel, scs)) for k in (4, 10, 20)),
                        (40, (default, clarabel)),
                        (60, (default, clarabel)),
                        (1000, ()),
                    ],
                    "samples": 7,
                    "limit": 900.0,
                },
            ),
            "threshold": ("solves.threshold", {"sizes": [4, 10, 100, 1000], "samples": 7}),
            "tailed": (
                "solves.tailed",
                {
                    "sizes": [(10, (default, clarabel)), (20, (default, clarabel)), (40, (default,))]
                    + [(k, ()) for k in (100, 300, 1000)],
                    "samples": 3,
                    "limit": 900.0,
                },
            ),
            "grouped": ("solves.grouped", {"sizes": [(4, 3), (30, 3), (30, 1), (100, 1), (300, 1)], "samples": 3}),
            "searches": ("solves.searches", {"sizes": [4, 6, 10, 20], "starts": 200, "peer_starts": 16, "samples": 3}),
            "points": ("batches.points", {"sizes": [1000, 10_000, 100_000, 1_000_000, 10_000_000], "samples": 5}),
            "compiled": ("batches.compiled", {"size": 4_000_000, "samples": 7}),
            "cores": ("batches.cores", {"size": 4_000_000, "counts": counts, "samples": 7}),
            "descent": ("descent.descent", {"accuracies": [1e-1, 1e-2, 1e-3, 1e-4], "max_steps": 30_000, "samples": 5}),
            "equilibria": (
                "equilibria.equilibria",
                {"sizes": [(64, 32), (256, 128), (1024, 128), (32, 8, 16), (64, 16, 32)], "samples": 7},
            ),
            "steps": (
                "equilibria.steps",
                {"sizes": [(16, 32), (64, 32), (256, 128), (1024, 128), (32, 8, 16)], "samples": 15},
            ),
            "measuring": ("measuring.measuring", {"sizes": [(100, 512, 20_000), (1000, 2048, 20_000)], "samples": 5}),
        },
    }


def run(plan: Plan) -> Iterator[Row]:
    """Run the benchmarks of a plan in order."""
    for place, arguments in plan.values():
        module, name = place.split(".")
        benchmark: Callable[..., Iterator[Row]] = getattr(importlib.import_module(f"benchmarks.{module}"), name)
        yield from benchmark(**arguments)


def growth(rows: list[Row]) -> list[str]:
    """How our cost grows: slopes of log time against log size."""
    lines = []
    for benchmark, key, label in (
        ("single", "K", "single two-group solves"),
        ("threshold", "K", "thresholds"),
        ("long-tailed", "K", "long-tailed priors, all counts distinct"),
        ("searches", "K", "searches, a start"),
        ("points", "points", "batches"),
    ):
        by_family: dict[str, dict[int, float]] = {}
        for row in rows:
            if row.benchmark == benchmark and key in row.figures:
                family = f", {row.figures['family']}" if "family" in row.figures else ""
                by_family.setdefault(family, {})[row.figures[key]] = row.ours.median
        for family, times in by_family.items():
            if len(times) > 1:
                lines.append(f"{label}{family}: time ~ {key}^{exponent(list(times), list(times.values())):.2f}")
    ways: dict[str, dict[int, tuple[float, float]]] = {}
    for row in rows:
        if row.benchmark == "cores" and row.ratio:
            gains = (row.ratio[0], row.figures["exponentials"])
            ways.setdefault(row.figures["family"], {})[row.figures["threads"]] = gains
    for way, threads in ways.items():
        gained = [f"{n} threads {ratio:.2f} times ({limit:.2f})" for n, (ratio, limit) in threads.items() if n > 1]
        lines.append(f"batches, {way}, as fast as one thread (exponentials alone): {', '.join(gained)}")
    return lines


def environment() -> dict[str, Any]:
    """Versions and machine, for whoever compares two tables."""
    packages = ("ufm", "numpy", "scipy", "torch", "cvxpy", "clarabel", "scs", "torchdeq")
    versions = {}
    for name in packages:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "not installed"
    machine = {"processor": _processor(), "cores": os.cpu_count(), "system": platform.system()}
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    threads = {name: os.environ.get(name) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    return {"python": platform.python_version(), **versions, **machine, "load_at_start": load, **threads}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


HEADER = ("benchmark", "case", "ours", "spread", "peer", "theirs", "ratio", "range", "our error", "their error", "note")


def cells(row: Row) -> tuple[str, ...]:
    """A row of the table as text."""
    ratio = row.ratio
    return (
        row.benchmark,
        row.case,
        seconds(row.ours.median),
        " to ".join(map(seconds, row.ours.quartiles)),
        row.peer or "",
        "" if row.theirs is None else seconds(row.theirs.median),
        "" if ratio is None else _times(ratio[0]),
        "" if ratio is None else f"{_times(ratio[1])} to {_times(ratio[2])}",
        "" if row.error is None else f"{row.error:.0e}",
        "" if row.peer_error is None else f"{row.peer_error:.0e}",
        row.note,
    )


def seconds(value: float) -> str:
    """A time with three digits and its unit."""
    unit, size = next(((u, n) for u, n in (("s", 1.0), ("ms", 1e-3)) if value >= n), ("µs", 1e-6))
    return f"{value / size:.3g} {unit}"


def _times(ratio: float) -> str:
    """A ratio with three digits."""
    digits = 2 - math.floor(math.log10(ratio))
    return f"{round(ratio, digits):,.{max(digits, 0)}f}"


def markdown(rows: list[Row], about: dict[str, Any], command: str, *, partial: bool = False) -> str:
    """The table, how cost grows, and the environment."""
    slopes = growth(rows)
    lines = [
        "# Benchmarks" + (" (partial: the run has not come to its end)" if partial else ""),
        "",
        f"`{command}`. Ratio: the peer's median time over ours, and the range that the "
        "quartiles allow. Errors are relative to the optimum.",
        "",
        "| " + " | ".join(HEADER) + " |",
        "|" + "---|" * len(HEADER),
        *("| " + " | ".join(cells(row)) + " |" for row in rows),
        "",
        *(["How cost grows:", "", *(f"- {line}" for line in slopes), ""] if slopes else []),
        "Environment: " + ", ".join(f"{name} {value}" for name, value in about.items() if value is not None) + ".",
        "",
    ]
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__)
    efforts = plans()
    parser.add_argument("names", nargs="*", metavar="BENCHMARK", help=f"of {', '.join(efforts['quick'])}; default all")
    parser.add_argument(
        "--effort", choices=list(efforts), default="quick", help="smoke, quick (minutes) or full (an hour)"
    )
    parser.add_argument("--out", type=Path, default=Path("out/benchmarks"), help="directory of the table")
    given = parser.parse_args(arguments)
    plan = efforts[given.effort]
    if unknown := [name for name in given.names if name not in plan]:
        parser.error(f"BENCHMARK must be among {', '.join(plan)}, got {', '.join(unknown)}")
    about = environment()
    chosen = {name: plan[name] for name in plan if not given.names or name in given.names}

    given.out.mkdir(parents=True, exist_ok=True)
    command = shlex.join(["python", "-m", "benchmarks", *given.names, "--effort", given.effort])
    rows: list[Row] = []

    def keep(*, partial: bool) -> None:
        document = {
            "command": command,
            "effort": given.effort,
            "partial": partial,
            "environment": about,
            "growth": growth(rows),
            "rows": [r.to_dict() for r in rows],
        }
        write_atomically(given.out / "benchmarks.json", json.dumps(document, indent=1, allow_nan=False) + "\n")
        write_atomically(given.out / "benchmarks.md", markdown(rows, about, command, partial=partial))

    with interruptible():
        try:
            keep(partial=True)
            for row in run(chosen):
                with interrupts_held():
                    rows.append(row)
                    keep(partial=True)
                check_interrupt()
                print("  ".join(cell for cell in cells(row) if cell), flush=True)
            keep(partial=False)
        except KeyboardInterrupt:
            interrupt_answered()
            print(f"interrupted; table of {len(rows)} rows: {given.out / 'benchmarks.md'}", file=sys.stderr)
            return exit_status()
    for line in growth(rows):
        print(line)
    print(f"table: {given.out / 'benchmarks.md'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
