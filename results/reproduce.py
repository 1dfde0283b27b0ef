"""Trainings behind the figures and tables here: ``python results/reproduce.py thresholds|nonlinear|hysteresis|p4``.

Each goes on from what its folder holds, and writes figures, tables and ``provenance.json`` there.
To train anew, empty it.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ufm import sweeps
from ufm.deq import Comparison, ExperimentConfig, Sweep, SweepConfig, TrainingConfig, paper_points, run_sweep
from ufm.deq.hysteresis import Loop, hysteresis_loop
from ufm.deq.paper import ARMS, experiment_point
from ufm.deq.plotting import plot_departure, plot_hysteresis, plot_sweep
from ufm.deq.threshold import threshold_of_sweep
from ufm.report import write_atomically

HERE = Path(__file__).parent
LINEAR_ARMS = {"explicit": ARMS["explicit"], "linear DEQ": {"model": "linear-deq", "options": {"rho": 0.5}}}


def provenance(folder: Path, job: str, what: str, seeds: list[int], **more: Any) -> None:
    """What was run, where, and with which versions."""
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=HERE, capture_output=True, text=True, check=True)
    found = {
        "what": what,
        "command": f"OMP_NUM_THREADS=1 python results/reproduce.py {job}",
        "commit": commit.stdout.strip(),
        "device": f"CPU, {platform.machine()}, 1 thread of {os.cpu_count()} cores",
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("torch", "numpy", "scipy", "scikit-learn", "mnist1d")},
        "seeds": seeds,
        "date": datetime.now(UTC).date().isoformat(),
        **more,
    }
    write_atomically(folder / "provenance.json", json.dumps(found, indent=1, ensure_ascii=False) + "\n")


def show(point: Any) -> None:
    """A line a finished training."""
    print(point.branch, point.minority_count, point.seed, point.status, point.scale, point.predicted_scale, flush=True)


def sweep_table(path: Path, config: SweepConfig) -> Sweep:
    """Run a sweep, or what is missing of it, and draw it."""
    sweep = run_sweep(config, path=path, on_point=show)
    plot_sweep(sweep).savefig(path.with_suffix(".svg"))
    return sweep


def thresholds() -> None:
    """Thresholds in n_B, explicit network and linear DEQ (rho = 1/2, A started at rho I), on three data sets."""
    folder = HERE / "thresholds"
    folder.mkdir(exist_ok=True)
    lines = [
        "| data | network | predicted n_B* | measured n_B* | error | largest collapsed, smallest uncollapsed | seeds |",
        "|---|---|---|---|---|---|---|",
    ]
    found = {}
    small = {"majority_count": 60, "num_majority": 3, "num_minority": 3, "dim": 12}
    ten = {"gradient_tol": 1e-6}
    for dataset, seeds, counts, star, settings in (
        ("digits", (0, 1, 2), (40, 46, 54, 58, 62, 66), 50, ten),
        ("mnist1d", (0, 1), (40, 46, 54, 58, 62, 66), 50, ten),
        ("fashion-mnist", (0, 1), (34, 37, 43, 46, 49, 52), 40, small),
    ):
        majority = (settings.get("num_majority", 5)) * (settings.get("majority_count", 100))
        for branch, architecture in (("explicit", "explicit"), ("identity", "deq")):
            decay = math.sqrt(star) / (majority + settings.get("num_minority", 5) * star)
            decay /= 0.5 if architecture == "deq" else 1.0
            training = TrainingConfig(
                architecture=architecture,
                minority_count=1,
                lambda_W=decay,
                lambda_H=decay,
                device="cpu",
                dataset=dataset,
                **settings,
            )
            config = SweepConfig(**{branch: counts}, seeds=seeds, training=training)
            sweep = sweep_table(folder / f"{dataset}-{branch}.jsonl", config)
            measured, predicted = threshold_of_sweep(sweep, branch), sweep.points[0].threshold
            name = "explicit" if branch == "explicit" else "linear DEQ"
            found[f"{dataset}, {name}"] = {"predicted": predicted, **dataclasses.asdict(measured)}
            lines.append(
                f"| {dataset} | {name} | {predicted:.2f} | {measured.value:.2f} ± {measured.error:.2f} | "
                f"{measured.value / predicted - 1:+.2%} | {measured.collapsed}, {measured.uncollapsed} | {len(seeds)} |"
            )
    write_atomically(folder / "table.md", "\n".join(lines) + "\n")
    write_atomically(folder / "thresholds.json", json.dumps(found, indent=1) + "\n")
    provenance(folder, "thresholds", thresholds.__doc__ or "", [0, 1, 2])


def nonlinear() -> None:
    """Departure of a DEQ with tanh of strength gamma from the linear theory, on digits: s_B and threshold."""
    folder = HERE / "nonlinear-digits"
    folder.mkdir(exist_ok=True)
    star = 15
    decay = math.sqrt(star) / (300 + 3 * star) / 0.5
    found = {}
    for gamma, counts in (
        (0.0, (13, 16, 18, 20, 22)),
        (0.1, (13, 16, 19, 23, 28, 36)),
        (1.0, (16, 19, 23, 28, 36, 50)),
        (0.3, (16, 19, 23, 28, 36, 50)),
    ):
        training = TrainingConfig(
            minority_count=1,
            num_majority=3,
            num_minority=3,
            lambda_W=decay,
            lambda_H=decay,
            device="cpu",
            dim=12,
            gamma=gamma,
            solver="anderson",
            tol=1e-10,
            max_iterations=1500,
            width=384,
        )
        config = SweepConfig(identity=counts, seeds=(0,), training=training)
        path = folder / f"tanh-{gamma:g}.jsonl"
        if "--finished-only" in sys.argv:
            if not path.exists():
                continue
            found[gamma] = Sweep.load(path)
        else:
            found[gamma] = run_sweep(config, path=path, on_point=show)
    lines = [
        "| gamma | n_B | s_B, linear theory | s_B | relative | phase | objective over linear optimum | converged |"
    ]
    lines.append("|---|---|---|---|---|---|---|---|")
    for gamma, sweep in sorted(found.items()):
        for p in sweep.branch("identity"):
            relative = "–" if p.scale_error is None else f"{p.scale_error:+.1%}"
            lines.append(
                f"| {gamma:g} | {p.minority_count} | {p.predicted_scale:.4f} | {p.scale:.4f} | {relative} | "
                f"{p.phase} | {p.objective_error:+.2%} | {'yes' if p.converged else 'no'} |"
            )
    lines += ["", "| gamma | measured threshold n_B* | over the linear prediction |", "|---|---|---|"]
    for gamma, sweep in sorted(found.items()):
        try:
            m, predicted = threshold_of_sweep(sweep, "identity"), sweep.points[0].threshold
            lines.append(f"| {gamma:g} | {m.value:.2f} ± {m.error:.2f} | {m.value / predicted:.3f} |")
        except ValueError as error:
            lines.append(f"| {gamma:g} | {error} | |")
    write_atomically(folder / "table.md", "\n".join(lines) + "\n")
    plot_departure(found).savefig(folder / "departure.svg")
    provenance(folder, "nonlinear", nonlinear.__doc__ or "", [0])


def hysteresis() -> None:
    """n_B swept up and down with warm starts, digits, K_A = K_B = 3, from A = 0 and from A = rho I."""
    folder = HERE / "hysteresis-digits"
    folder.mkdir(exist_ok=True)
    rising = (2, 3, 4, 5, 6, 8, 10, 12, 14, 15, 17, 18, 20, 24)
    decay = math.sqrt(16) / 228
    loops = {}
    for start, title in (("zero", "A starts at 0"), ("identity", "A starts at ρI")):
        path = folder / f"{start}.json"
        if not path.exists():
            training = TrainingConfig(
                start=start,
                width=256,
                minority_count=1,
                majority_count=60,
                num_majority=3,
                num_minority=3,
                dim=12,
                lambda_W=decay,
                lambda_H=decay,
                gradient_tol=1e-6,
                max_iterations=1500,
                device="cpu",
            )
            hysteresis_loop(
                training, (rising, rising[-2::-1]), progress=lambda text, i, n: print(text, i, n, flush=True)
            ).save(path)
        loops[title] = Loop.load(path)
    lines = ["| start | leg | n_B | s_B | optimum | phase | rank | over optimum | local threshold |", "|" + "---|" * 9]
    for title, loop in loops.items():
        for p in loop.points:
            local = "–" if p.local_threshold is None else f"{p.local_threshold:.2f}"
            lines.append(
                f"| {title} | {'rising' if p.leg == 0 else 'falling'} | {p.minority_count} | {p.scale:.4f} | "
                f"{p.predicted_scale:.4f} | {p.phase} | {p.rank} of {p.predicted_rank} | "
                f"{p.objective_error:+.2%} | {local} |"
            )
    write_atomically(folder / "table.md", "\n".join(lines) + "\n")
    plot_hysteresis(loops).savefig(folder / "hysteresis.svg")
    provenance(folder, "hysteresis", hysteresis.__doc__ or "", [0])


def p4() -> None:
    """The paper's grid on Fashion-MNIST (14 x 14): explicit network against a tanh and a linear DEQ, three seeds."""
    folder = HERE / "p4-fashion-mnist"
    folder.mkdir(exist_ok=True)
    base = ExperimentConfig(
        dataset="fashion-mnist",
        width=256,
        majority_count=200,
        pool=2,
        epochs=100,
        batch_size=64,
        learning_rate=0.02,
        test_count=100,
        evaluate_every=20,
        classes="shuffled",
        device="cpu",
    )
    text, kept = [], {}
    for arms in (ARMS, LINEAR_ARMS):
        points = paper_points(base, arms=arms)
        if "--finished-only" in sys.argv:
            records = sweeps.load(folder / "points.sqlite").finished
            results = [r.result for r in records if r.point in points]
        else:
            with sweeps.processes(1) as executor:
                store = folder / "points.sqlite"
                results = [r.result for r in sweeps.run(experiment_point, points, store=store, executor=executor)]
        comparison = Comparison(results, arms)
        deq = list(arms)[1]
        text += [f"## Explicit network against {deq}", "", comparison.markdown()]
        text += ["| claim | verdict | settings | criterion | numbers |", "|---|---|---|---|---|"]
        observations = comparison.observations()
        text += [f"| {o.id} | {o.verdict} | {o.holds} of {o.of} | {o.statement} | {o.evidence} |" for o in observations]
        text.append("")
        kept[deq] = {
            "rows": comparison.rows(),
            "observations": [{**dataclasses.asdict(o), "verdict": o.verdict} for o in observations],
        }
    write_atomically(folder / "table.md", "\n".join(text))
    write_atomically(folder / "results.json", json.dumps(kept, indent=1, ensure_ascii=False) + "\n")
    provenance(folder, "p4", p4.__doc__ or "", [0, 1, 2], config=base.to_dict())


if __name__ == "__main__":
    jobs = {job.__name__: job for job in (thresholds, nonlinear, hysteresis, p4)}
    if len(sys.argv) < 2 or sys.argv[1] not in jobs:
        sys.exit(f"usage: python results/reproduce.py {'|'.join(jobs)} [--finished-only]")
    jobs[sys.argv[1]]()
