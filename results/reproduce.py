"""Trainings behind the figures and tables here: ``python results/reproduce.py JOB``.

Jobs are thresholds, nonlinear, budgets, hysteresis, balanced, balanced_conv, p4, p4_conv. Each goes on from what its
folder holds, and writes figures, tables and ``provenance.json`` there. To train anew, empty it. Sweeps and grids train
``$WORKERS`` networks at a time.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import warnings
from collections.abc import Callable
from concurrent.futures import as_completed
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ufm import sweeps
from ufm._files import write_atomically, write_figure
from ufm.deq import (
    Budgets,
    Comparison,
    ExperimentConfig,
    Sweep,
    SweepConfig,
    SweepPoint,
    TrainingConfig,
    paper_points,
    predict_from_budgets,
    run_experiment,
    run_sweep,
    train,
)
from ufm.trainings.experiment import experiment_data
from ufm.trainings.hysteresis import hysteresis_loop, low_rank_codes
from ufm.trainings.paper import ARMS, experiment_point
from ufm.trainings.plotting import plot_departure, plot_hysteresis, plot_sweep
from ufm.trainings.threshold import threshold_of_sweep

HERE = Path(__file__).parent
WORKERS = int(os.environ.get("WORKERS", "1"))
CONV_DEQ: dict[str, Any] = {
    "model": "conv-deq",
    "options": {"cell": "contractive", "rho": 0.9, "start": "zero", "blocks": 2},
}
ENCODER = {"model": "conv-deq", "options": {**CONV_DEQ["options"], "rho": 0.0}}
RESIDUAL_DEQ = {
    "model": "conv-deq",
    "width": 24,
    "jacobian_weight": 0.3,
    "options": {"cell": "residual", "blocks": 2},
}
#: Four channels give ResNet-18 as many features as the convolutional DEQ has, 32, and no more parameters
#: (44,540; the DEQ 56,288).
RESNET = {"model": "resnet18", "width": 4, "options": {}}
#: Two networks, and the part of the grid in which they are compared.
Pair = tuple[dict[str, dict[str, Any]], dict[str, Any]]
LINEAR_ARMS = {"explicit": ARMS["explicit"], "linear DEQ": {"model": "linear-deq", "options": {"rho": 0.5}}}
#: Everything of the paper's grid but model, class numbers, ratio and seed.
P4 = ExperimentConfig(
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

#: The same for convolutional networks.
CONV_P4 = dataclasses.replace(P4, width=32, epochs=60, learning_rate=0.05, evaluate_every=15)


def git(*arguments: str) -> str:
    """What git says here."""
    return subprocess.run(
        ["git", *arguments], cwd=HERE.parent, capture_output=True, text=True, check=True
    ).stdout.strip()


#: What runs here, as it was when it was started.
SOURCE = {
    "commit": git("rev-parse", "HEAD"),
    "changed": git("status", "--porcelain", "--", "ufm", "results/*.py") != "",
}


def finish(folder: Path, job: Callable[[], None], lines: list[str], seeds: list[int], **more: Any) -> None:
    """Write the table, and what was run, where, at which commits, and with which versions."""
    write_atomically(folder / "table.md", "\n".join(lines) + "\n")
    path = folder / "provenance.json"
    runs = json.loads(path.read_text(encoding="utf-8")).get("runs", []) if path.exists() else []
    run = SOURCE | {"date": datetime.now(UTC).date().isoformat(), "trains": "--finished-only" not in sys.argv}
    found = {
        "what": inspect.cleandoc(job.__doc__ or ""),
        "command": f"OMP_NUM_THREADS=1 python results/reproduce.py {job.__name__}",
        "runs": runs if run in runs else [*runs, run],
        "device": f"CPU, {processor()}, {os.cpu_count()} cores, one thread a training",
        "python": platform.python_version(),
        "versions": {
            name: version(name) for name in ("ufm", "torch", "numpy", "scipy", "scikit-learn", "mnist1d", "matplotlib")
        },
        "seeds": seeds,
        **more,
    }
    write_atomically(path, json.dumps(found, indent=1, ensure_ascii=False) + "\n")


def processor() -> str:
    """Name of the processor."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def show(point: Any) -> None:
    """A line a finished training."""
    print(point.branch, point.minority_count, point.seed, point.status, point.scale, point.predicted_scale, flush=True)


def trained(training: TrainingConfig, branch: str, count: int, seed: int) -> SweepPoint:
    """One point of a sweep."""
    return run_sweep(SweepConfig(**{branch: (count,)}, seeds=(seed,), training=training)).points[0]


def swept(path: Path, config: SweepConfig) -> Sweep:
    """The sweep of a config, ``$WORKERS`` trainings at a time; of the same trainings a file has, none is made again."""
    kept: dict[tuple[str, int, int], SweepPoint] = {}
    if path.exists():
        old = Sweep.load(path)
        if old.config.training == config.training:
            kept = {(p.branch, p.minority_count, p.seed): p for p in old.points}
    wanted = [(branch, training.minority_count, training.seed) for branch, training in config.trainings()]
    missing = [key for key in wanted if key not in kept]
    if "--finished-only" not in sys.argv and missing:
        with sweeps.processes(WORKERS) as pool:
            futures = {pool.submit(trained, config.training, *key): key for key in missing}
            for future in as_completed(futures):
                kept[futures[future]] = point = future.result()
                show(point)
                Sweep(config, tuple(kept[key] for key in wanted if key in kept)).save(path)
    return Sweep(config, tuple(kept[key] for key in wanted if key in kept))


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
    for dataset, counts, star, settings in (
        ("digits", (40, 46, 49, 51, 54, 58, 62, 66), 50, ten),
        ("mnist1d", (40, 46, 49, 51, 54, 58, 62, 66), 50, ten),
        ("fashion-mnist", (34, 37, 39, 41, 43, 46, 49, 52), 40, small),
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
            path = folder / f"{dataset}-{branch}.jsonl"
            sweep = swept(path, SweepConfig(**{branch: counts}, seeds=(0, 1, 2), training=training))
            write_figure(plot_sweep(sweep), path.with_suffix(".svg"))
            measured, predicted = threshold_of_sweep(sweep, branch), sweep.points[0].threshold
            name = "explicit" if branch == "explicit" else "linear DEQ"
            found[f"{dataset}, {name}"] = {"predicted": predicted, **dataclasses.asdict(measured)}
            lines.append(
                f"| {dataset} | {name} | {predicted:.2f} | {measured.value:.2f} ± {measured.error:.2f} | "
                f"{measured.value / predicted - 1:+.2%} | {measured.collapsed}, {measured.uncollapsed} | "
                f"{len(measured.seeds)} |"
            )
    write_atomically(folder / "thresholds.json", json.dumps(found, indent=1) + "\n")
    finish(folder, thresholds, lines, [0, 1, 2])


def nonlinear() -> None:
    """Departure of a DEQ with tanh or ReLU of strength gamma from the linear theory, on digits: s_B and threshold."""
    folder = HERE / "nonlinear-digits"
    folder.mkdir(exist_ok=True)
    star = 15
    decay = math.sqrt(star) / (300 + 3 * star) / 0.5
    far = (14, 16, 17, 19, 23, 28, 36, 50)
    lines = [
        "| activation | gamma | n_B | s_B, linear theory | s_B, mean over seeds | spread | relative | collapsed "
        "| objective over linear optimum | converged |",
        "|" + "---|" * 10,
    ]
    last = [
        "",
        "| activation | gamma | measured threshold n_B* | over the linear prediction | largest collapsed, smallest "
        "uncollapsed | seeds |",
        "|" + "---|" * 6,
    ]
    for activation, strengths in (
        ("tanh", {0.0: (13, 16, 18, 20, 22), 0.1: (13, 16, 19, 23, 28, 36), 0.3: far, 1.0: far}),
        # Leaky ReLU far below 1: at gamma = 1 L-BFGS stalls at kinks, with gradients of 3e-4.
        ("relu", {0.1: far, 0.3: far}),
    ):
        found = {}
        for gamma, counts in strengths.items():
            training = TrainingConfig(
                minority_count=1,
                num_majority=3,
                num_minority=3,
                lambda_W=decay,
                lambda_H=decay,
                device="cpu",
                dim=12,
                activation=activation,
                gamma=gamma,
                solver="anderson",
                tol=1e-13,  # at 1e-10 the noise of the objective stops L-BFGS at gradients of a few 1e-7
                max_iterations=3000,
                width=384,
            )
            config = SweepConfig(identity=counts, seeds=(0, 1, 2), training=training)
            found[gamma] = sweep = swept(folder / f"{activation}-{gamma:g}.jsonl", config)
            for count in counts:
                points = [p for p in sweep.branch("identity") if p.minority_count == count and p.scale is not None]
                predicted, scales = points[0].predicted_scale, [p.scale for p in points if p.scale is not None]
                mean = statistics.fmean(scales)
                lines.append(
                    f"| {activation} | {gamma:g} | {count} | {predicted:.4f} | {mean:.4f} | "
                    f"{statistics.stdev(scales):.0e} | "
                    f"{f'{mean / predicted - 1:+.1%}' if predicted else '–'} | "
                    f"{sum(p.phase != 'none' for p in points)} of {len(points)} | "
                    f"{statistics.fmean(p.objective_error for p in points if p.objective_error is not None):+.2%} | "
                    f"{sum(bool(p.converged) for p in points)} of {len(points)} |"
                )
            last.append(f"| {activation} | {gamma:g} | {departed_threshold(sweep)} |")
        write_figure(plot_departure(found), folder / f"{activation}.svg")
    finish(folder, nonlinear, lines + last, [0, 1, 2])


def departed_threshold(sweep: Sweep) -> str:
    """Cells of a table: the threshold with its error, the ratio to the prediction, the bracket, the number of seeds."""
    points = [p for p in sweep.branch("identity") if p.phase is not None]
    collapsed = [p.minority_count for p in points if p.phase != "none"]
    uncollapsed = [p.minority_count for p in points if p.phase == "none"]
    bracket = f"{max(collapsed, default='–')}, {min(uncollapsed, default='–')} | {len({p.seed for p in points})}"
    try:
        m = threshold_of_sweep(sweep, "identity")
    except ValueError:
        return f"no parabola has a zero | – | {bracket}"
    return f"{m.value:.2f} ± {m.error:.2f} | {m.value / points[0].threshold:.3f} | {bracket}"


def budgets() -> None:
    """Predictions from the networks' own budgets, no objective given, on three data sets; and of SGD-trained ones."""
    folder = HERE / "budgets"
    folder.mkdir(exist_ok=True)
    path = folder / "budgets.json"
    found: dict[str, list[dict[str, Any]]] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    decay = math.sqrt(20) / 240
    for dataset in ("digits", "mnist1d", "fashion-mnist"):
        for architecture, gamma in (("explicit", 0.0), ("deq", 0.0)):
            name = f"{dataset}, {'explicit' if architecture == 'explicit' else 'linear DEQ'}, penalised features"
            for seed in range(len(found.get(name, [])), 3):
                config = TrainingConfig(
                    architecture=architecture,
                    minority_count=30,
                    majority_count=60,
                    num_majority=3,
                    num_minority=3,
                    lambda_W=decay,
                    lambda_H=decay,
                    dim=12,
                    seed=seed,
                    gamma=gamma,
                    dataset=dataset,
                    device="cpu",
                )
                result = train(config)
                entry = result.from_budgets() | {"measured_phase": result.measures.phase}
                entry |= {"true_threshold": result.prediction.threshold, "true_lambda": decay}
                found.setdefault(name, []).append(entry)
                write_atomically(path, json.dumps(found, indent=1) + "\n")
                print(name, seed, entry["scale"], flush=True)
    for model, options in (("explicit", {}), ("linear-deq", {"rho": 0.5}), ("deq", {"rho": 0.9})):
        for weighting in ("samples", "classes"):
            name = f"fashion-mnist, {model}, SGD with weight decay, budgets by {weighting}"
            for seed in range(len(found.get(name, [])), 3):
                changes = {"model": model, "options": options, "seed": seed, "num_majority": 5, "num_minority": 5}
                experiment = run_experiment(dataclasses.replace(P4, ratio=10.0, **changes))
                train_set = experiment_data(experiment.config)[0]
                network: Any = experiment.network
                with torch.no_grad(), warnings.catch_warnings(action="ignore"):
                    output = network(torch.from_numpy(train_set.inputs))
                    layer = getattr(network, "cell", network)
                    a = layer.equilibrium().double().numpy() if hasattr(layer, "equilibrium") else None
                w, z, h = (
                    t.detach().double().numpy() for t in (network.classifier.weight, output.features, output.injected)
                )
                k = len(experiment.config.counts)
                means = np.stack([z[train_set.labels == c].mean(axis=0) for c in range(k)], axis=1)
                spent = Budgets.of(w, h, train_set.labels, a)
                predicted = predict_from_budgets(spent, experiment.config.counts, 5, weighting=weighting)
                measured_phase = experiment.records[-1]["measures"]["phase"]
                found.setdefault(name, []).append(predicted.compare(w, means) | {"measured_phase": measured_phase})
                write_atomically(path, json.dumps(found, indent=1) + "\n")
                print(name, seed, found[name][-1]["scale"], flush=True)
    lines = [
        "| network | s_B predicted | s_B measured | error | Gram, features | Gram, classifier | minority cosine, error "
        "| phase | threshold n_B*, error | lambda_W, error |",
        "|" + "---|" * 10,
    ]

    def spread(values: list[float], style: str) -> str:
        if not values:
            return "–"
        return f"{style.format(statistics.fmean(values))} ± {style.format(statistics.stdev(values))}".replace("+-", "-")

    for name, entries in found.items():
        scales = [e["scale"] for e in entries]
        right = sum(e["phase"] == e["measured_phase"] for e in entries)
        known = [e for e in entries if "true_threshold" in e]
        lines.append(
            f"| {name} | {spread([s['predicted'] for s in scales], '{:.4f}')} | "
            f"{spread([s['measured'] for s in scales], '{:.4f}')} | "
            f"{spread([s['error'] for s in scales if s['error'] is not None], '{:.1e}')} | "
            f"{spread([e['gram_features'] for e in entries], '{:.1e}')} | "
            f"{spread([e['gram_classifier'] for e in entries], '{:.1e}')} | "
            f"{spread([e['minority_cosine']['error'] for e in entries], '{:.1e}')} | "
            f"right for {right} of {len(entries)} | "
            f"{spread([e['threshold'] / e['true_threshold'] - 1 for e in known], '{:.1e}')} | "
            f"{spread([e['lambda_W'] / e['true_lambda'] - 1 for e in known], '{:.1e}')} |"
        )
    finish(folder, budgets, lines, [0, 1, 2])


def hysteresis() -> None:
    """n_B swept up and down with warm starts, digits, from A = 0 and from A = rho I."""
    folder = HERE / "hysteresis-digits"
    folder.mkdir(exist_ok=True)
    rising, to_jump = (2, 3, 4, 5, 6, 8, 10, 12, 14, 15, 17, 18, 20, 24), (2, 4, 6, 8, 9, 10, 11, 12, 13, 14, 16)
    decay = math.sqrt(16) / 228
    ten = TrainingConfig(width=768, gradient_tol=1e-6, max_iterations=1500, device="cpu")
    six = dataclasses.replace(
        ten,
        minority_count=1,
        majority_count=60,
        num_majority=3,
        num_minority=3,
        lambda_W=decay,
        lambda_H=decay,
        dim=12,
        width=256,
    )
    loops = {}
    for title, names, training, start, counts in (
        ("K = 3 + 3, A starts at ρI", ["identity"], six, "identity", rising),
        ("K = 3 + 3, A starts at 0", ["zero"], six, "zero", rising),
        ("K = 5 + 5, A starts at 0, 3 seeds", [f"zero-ten-{seed}" for seed in range(3)], ten, "zero", to_jump),
    ):
        loops[title] = [
            hysteresis_loop(
                dataclasses.replace(training, start=start, seed=seed),
                (counts, counts[-2::-1]),
                path=folder / f"{name}.json",
                progress=lambda text, i, n: print(text, i, n, flush=True),
            )
            for seed, name in enumerate(names)
        ]
    lines = [
        "| loop | seed | leg | n_B | s_B | its branch | optimum | phase | rank | over its branch | over optimum | "
        "local threshold |",
        "|" + "---|" * 12,
    ]
    for title, together in loops.items():
        for loop in together:
            for p, code in zip(loop.points, low_rank_codes(loop), strict=True):
                # The optimum's own rank: the branch is the optimum's.
                scale = p.predicted_scale if code is None else code.scale
                excess = p.objective_error if code is None else p.objective(loop.training) / code.value - 1
                local = "–" if p.local_threshold is None else f"{p.local_threshold:.2f}"
                lines.append(
                    f"| {title} | {loop.training.seed} | {'rising' if p.leg == 0 else 'falling'} | {p.minority_count} "
                    f"| {p.scale:.4f} | {abs(scale):.4f} | {p.predicted_scale:.4f} | {p.phase} "
                    f"| {p.rank} of {p.predicted_rank} | {excess:+.0e} | {p.objective_error:+.2%} | {local} |"
                )
    write_figure(plot_hysteresis(loops), folder / "hysteresis.svg")
    finish(folder, hysteresis, lines, [0, 1, 2])


def balanced() -> None:
    """NC in a balanced tanh DEQ on Fashion-MNIST by SGD: the paper's weight decay, and ten times as much."""
    folder = HERE / "balanced-fashion-mnist"
    folder.mkdir(exist_ok=True)
    lines = ["| weight decay | epoch | train acc. | test acc. | NC1 | NC2 | NC3 | NC4 |", "|" + "---|" * 8]
    for decay in (5e-4, 5e-3):
        config = dataclasses.replace(
            P4,
            model="deq",
            options={"rho": 0.9},
            majority_count=100,
            ratio=1.0,
            classes="first",
            epochs=300,
            learning_rate=0.03,
            weight_decay=decay,
        )
        experiment = run_experiment(config, folder / f"weight-decay-{decay:g}")
        for r in (experiment.records[0], experiment.records[-1]):
            m = r["measures"]
            lines.append(
                f"| {decay:g} | {r['epoch']} | {r['train_accuracy']['overall']:.3f} | "
                f"{r['test_accuracy']['overall']:.3f} | {m['trace_quotient']:.3f} | {m['etf_error']:.3f} | "
                f"{m['self_duality_error']:.3f} | {m['nc4']:.3f} |"
            )
    finish(folder, balanced, lines, [0])


def p4() -> None:
    """The paper's grid on Fashion-MNIST (14 x 14): explicit network against a tanh and a linear DEQ, three seeds."""
    paper_grid(p4, "p4-fashion-mnist", P4, [(ARMS, {}), (LINEAR_ARMS, {})])


def p4_conv() -> None:
    """The paper's grid on Fashion-MNIST (14 x 14): ResNet-18 against convolutional DEQs, three seeds.

    In the part with five majority and five minority classes also the residual DEQ, whose trainings take four times as
    long, and the convolutional DEQ against its own encoder, ``z = relu(h)``: what the equilibrium does, and what the
    rest of the architecture.
    """
    part = {"class_numbers": ((5, 5),), "ratios": (10, 100)}
    pairs: list[Pair] = [({"ResNet-18": RESNET, "convolutional DEQ": CONV_DEQ}, {})]
    pairs += [({"ResNet-18": RESNET, "residual convolutional DEQ": RESIDUAL_DEQ}, part)]
    pairs += [({"encoder alone": ENCODER, "convolutional DEQ": CONV_DEQ}, part)]
    paper_grid(p4_conv, "p4-conv-fashion-mnist", CONV_P4, pairs)


def balanced_conv() -> None:
    """NC in balanced convolutional networks on Fashion-MNIST by SGD, at ten times the paper's weight decay."""
    base = dataclasses.replace(CONV_P4, majority_count=100, weight_decay=5e-3, epochs=300, evaluate_every=50)
    pair = {"ResNet-18": RESNET, "convolutional DEQ": CONV_DEQ}
    paper_grid(balanced_conv, "balanced-conv-fashion-mnist", base, [(pair, {"class_numbers": ((5, 5),), "ratios": ()})])


def paper_grid(job: Callable[[], None], name: str, base: ExperimentConfig, pairs: list[Pair]) -> None:
    """Train pairs of networks over the grid or a part of it, explicit network first, and compare them."""
    folder = HERE / name
    folder.mkdir(exist_ok=True)
    text, kept = [], {}
    for arms, part in pairs:
        results = trained_grid(folder / "points.sqlite", paper_points(base, arms=arms, **part))
        comparison = Comparison(results, arms)
        explicit, deq = arms
        text += [f"## {explicit} against {deq}", "", comparison.markdown()]
        text += ["| claim | verdict | settings | criterion | numbers |", "|---|---|---|---|---|"]
        observations = [o for o in comparison.observations() if o.of]
        text += [f"| {o.id} | {o.verdict} | {o.holds} of {o.of} | {o.statement} | {o.evidence} |" for o in observations]
        text.append("")
        kept[f"{explicit} against {deq}"] = {
            "rows": comparison.rows(),
            "observations": [{**dataclasses.asdict(o), "verdict": o.verdict} for o in observations],
        }
    write_atomically(folder / "results.json", json.dumps(kept, indent=1, ensure_ascii=False) + "\n")
    networks = {arm: changes for arms, _ in pairs for arm, changes in arms.items()}
    finish(folder, job, text[:-1], [0, 1, 2], config=base.to_dict(), networks=networks)


def trained_grid(store: Path, points: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Results of the points, of those that the store does not hold after training them.

    What counts is the config, not its fields: a point kept before a field was added is not trained again.
    """

    def canonical(point: Any) -> str:
        return json.dumps(ExperimentConfig.from_dict(point).to_dict(), sort_keys=True)

    def finished() -> dict[str, dict[str, Any]]:
        return {canonical(r.point): r.result for r in sweeps.load(store).finished} if store.exists() else {}

    kept = finished()
    missing = [point for point in points if canonical(point) not in kept]
    if missing and "--finished-only" not in sys.argv:
        with sweeps.processes(WORKERS) as executor:
            sweeps.run(experiment_point, missing, store=store, executor=executor)
        kept = finished()
    return [kept[key] for key in map(canonical, points) if key in kept]


if __name__ == "__main__":
    jobs = {
        job.__name__: job for job in (thresholds, nonlinear, budgets, hysteresis, balanced, balanced_conv, p4, p4_conv)
    }
    if len(sys.argv) < 2 or sys.argv[1] not in jobs:
        sys.exit(f"usage: python results/reproduce.py {'|'.join(jobs)} [--finished-only]")
    jobs[sys.argv[1]]()
