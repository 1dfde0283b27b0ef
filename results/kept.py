"""What the scripts of the kept results share: a folder's provenance, sweeps and grids that go on, tables.

Each folder here holds ``run.py``, what it writes, and ``provenance.json`` by ``provenance.schema.json``. A script goes
on from what its folder holds; to train anew, empty it. ``--finished-only`` trains nothing and writes tables and figures
again; ``$WORKERS`` networks are trained at a time. ``python results/index.py`` writes the index, ``README.md``.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ufm import sweeps
from ufm.deq import ExperimentConfig, Sweep, SweepConfig, SweepPoint, run_sweep

HERE = Path(__file__).parent
WORKERS = int(os.environ.get("WORKERS", "1"))
FINISHED_ONLY = "--finished-only" in sys.argv
PACKAGES = ("ufm", "torch", "numpy", "scipy", "scikit-learn", "mnist1d", "matplotlib", "xarray", "torchdeq", "cvxpy")


def write(path: Path, text: str) -> None:
    """Write ``text`` to ``path`` in one step."""
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def write_json(path: Path, value: Any, *, ascii_only: bool = True) -> None:
    """Write ``value`` as JSON, indented by one."""
    write(path, json.dumps(value, indent=1, ensure_ascii=ascii_only) + "\n")


def draw(figure: Any, path: Path, **options: Any) -> None:
    """Draw a figure of matplotlib into ``path`` in one step."""
    part = path.with_name(f".{path.stem}.part{path.suffix}")
    figure.savefig(part, **options)
    part.replace(path)


def markdown(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells in Markdown, without an end of line at its end."""
    head = [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
    return "\n".join([*head, *(f"| {' | '.join(cells)} |" for cells in rows)])


# Provenance ---------------------------------------------------------------------------------------------------------


def _git(*arguments: str) -> str | None:
    """What git says here; None outside a checkout, and where there is no git."""
    try:
        done = subprocess.run(["git", *arguments], cwd=HERE.parent, capture_output=True, text=True)
    except FileNotFoundError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


#: What runs here, as it was when it was started.
_CHANGED = _git("status", "--porcelain", "--", "ufm", "results/*.py")
SOURCE = {"commit": _git("rev-parse", "HEAD"), "changed": None if _CHANGED is None else _CHANGED != ""}
STARTED = time.perf_counter()


def finish(script: str, what: str, seeds: list[int], settings: Mapping[str, Any] | None = None) -> None:
    """Write the provenance of a folder: what was run, at which commits, with which versions, on what, and how long.

    Args:
        script: ``__file__`` of its ``run.py``.
        what: what it shows, the script's docstring.
        seeds: of everything random.
        settings: what else determines it, as JSON types.
    """
    folder = Path(script).parent
    path = folder / "provenance.json"
    before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"runs": []}
    run = SOURCE | {
        "date": datetime.now(UTC).date().isoformat(),
        "trains": not FINISHED_ONLY,
        "seconds": round(time.perf_counter() - STARTED, 1),
    }
    found = {
        "what": what.strip(),
        "command": f"python results/{folder.name}/run.py",
        "commit": run["commit"],
        "date": run["date"],
        "seconds": run["seconds"],
        "machine": machine(),
        "versions": versions(),
        "seeds": seeds,
        "settings": dict(settings or {}),
        "notes": before.get("notes", ""),
        "runs": [*before["runs"], run],
    }
    write_json(path, found, ascii_only=False)


def machine() -> dict[str, Any]:
    """What computes, without names or paths."""
    return {"device": "CPU", "processor": _processor(), "cores": os.cpu_count(), "threads": 1}


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def versions() -> dict[str, str]:
    """Of Python and of those of :data:`PACKAGES` that are installed."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


# Sweeps and grids that go on ----------------------------------------------------------------------------------------


def swept(path: Path, config: SweepConfig) -> Sweep:
    """The sweep of a config, ``$WORKERS`` trainings at a time; of the same trainings a file has, none is made again."""
    kept = Sweep(config)
    if path.exists():
        old = Sweep.load(path)
        if old.config.training == config.training:
            found = {(p.branch, p.minority_count, p.seed): p for p in old.points}
            wanted = [(branch, training.minority_count, training.seed) for branch, training in config.trainings()]
            kept = Sweep(config, tuple(found[key] for key in wanted if key in found))
    if FINISHED_ONLY or not kept.is_partial:
        return kept
    kept.save(path)
    with sweeps.processes(WORKERS) as pool:
        return run_sweep(config, path=path, executor=pool, on_point=_show)


def _show(p: SweepPoint) -> None:
    print(p.branch, p.minority_count, p.seed, p.status, p.scale, p.predicted_scale, flush=True)


def trained_grid(store: Path, points: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Results of the points, of those that the store does not hold after training them.

    What counts is the config, not its fields: a point kept before a field was added is not trained again.
    """
    from ufm.trainings.paper import experiment_point

    def canonical(point: Any) -> str:
        return json.dumps(ExperimentConfig.from_dict(point).to_dict(), sort_keys=True)

    def finished() -> dict[str, dict[str, Any]]:
        return {canonical(r.point): r.result for r in sweeps.load(store).finished} if store.exists() else {}

    kept = finished()
    missing = [point for point in points if canonical(point) not in kept]
    if FINISHED_ONLY and not kept:
        sys.exit(f"{store.name} is not kept in {store.parent.name}: without --finished-only its points are trained")
    if missing and not FINISHED_ONLY:
        with sweeps.processes(WORKERS) as executor:
            sweeps.run(experiment_point, missing, store=store, executor=executor)
        kept = finished()
    return [kept[key] for key in map(canonical, points) if key in kept]
