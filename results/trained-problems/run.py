"""Any problem, trained on images of digits beside its optimum; the linear DEQ at rho up to .95, where it is trapped."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from kept import FINISHED_ONLY, finish, markdown, write, write_json

import ufm
from ufm.trainings import StatedTraining, train_monotone, train_problem

FOLDER = Path(__file__).parent
#: Files that this writes, as patterns.
WRITES = ("table.md", "trainings.json")
SEEDS = (0, 1, 2)
#: Largest relative difference of a trained objective from the optimum, or from a trap, that agrees.
AGREES = 1e-6

Training = Callable[[], StatedTraining]

# Problems of every kind ---------------------------------------------------------------------------------------------

GROUPS = ufm.ClassPrior([16, 16, 8, 8, 3, 3])
TAIL = ufm.ClassPrior([40, 24, 15, 9, 5, 3, 2, 1, 1, 1])
PAIRS = ufm.ClassPrior([10, 10, 4, 4])
MANY = ufm.ClassPrior([3] * 50 + [1] * 50)
DECAY = ufm.UnconstrainedFeatures(0.02, 0.02)
SOFT = ufm.Labels([[1, 0, 0.5, 0.2], [0, 1, 0.2, 0.2], [0, 0, 0.3, 0.6]], [8, 6, 4, 3])
SETS = ufm.Labels.multi_label(4, [[0], [1], [0, 1], [2, 3], [1, 2], []], [6, 6, 4, 4, 2, 2])
RELU = {"features": "nonnegative"}


def targets(rows: int, columns: int) -> ufm.Labels:
    """Real targets, correlated and off the origin, each of so many samples as its place modulo 4, and one."""
    rng = np.random.default_rng(5)
    mixed = rng.normal(size=(rows, rows)) @ rng.normal(size=(rows, columns)) + 0.5
    return ufm.Labels(mixed, [1 + j % 4 for j in range(columns)])


def each_its_own(bias: str | None) -> Training:
    """Regression in which every one of forty samples has a target of its own: two smooth functions of the input."""

    def run() -> StatedTraining:
        x = np.random.default_rng(6).normal(size=(40, 12))
        y = np.array([np.sin(x[:, 0]) + x[:, 1], x[:, 2] * x[:, 3]])
        labels = ufm.Labels(y, [1] * 40)
        model = ufm.UnconstrainedFeatures(0.01, 0.01)
        return train_problem(model, labels, "mse", bias=bias, inputs=x, columns=np.arange(40), device="cpu")

    return run


def hundred() -> StatedTraining:
    """A hundred classes, half of them with a third of the samples of the others."""
    columns = np.repeat(np.arange(100), MANY.counts.astype(int))
    inputs = np.random.default_rng(7).normal(size=(len(columns), 40))
    model = ufm.UnconstrainedFeatures(0.004, 0.004)
    return train_problem(model, MANY, inputs=inputs, columns=columns, device="cpu")


def stated(architecture: Any, prior: Any = PAIRS, loss: Any = "ce", **options: Any) -> Training:
    """A training of a problem."""
    return lambda: train_problem(architecture, prior, loss, device="cpu", **options)


def monotone(prior: Any = GROUPS, loss: Any = "ce", **options: Any) -> Training:
    """A training of a monotone equilibrium layer."""
    return lambda: train_monotone(0.02, 0.02, prior, loss, device="cpu", **options)


def adjusted(prior: ufm.ClassPrior) -> ufm.Loss:
    """Cross-entropy with logit adjustment."""
    return ufm.CrossEntropy(shifts=np.log(prior.probabilities).tolist())


PROBLEMS: dict[str, Training] = {
    "balanced, six classes": stated(DECAY, ufm.ClassPrior([8] * 6)),
    "balanced, linear DEQ, rho .9": stated(ufm.LinearDEQ(0.5, 0.5, 0.9), ufm.ClassPrior([8] * 6)),
    "three groups, 16, 8 and 3 samples": stated(DECAY, GROUPS),
    "three groups, linear DEQ, rho 1/2": stated(ufm.PenalisedDEQ(0.04, 0.04, 0.5), GROUPS),
    "three groups, budgets": stated(ufm.LayerPeeled(1.0, 2.0), GROUPS),
    "long tail of ten classes, 40 to 1": stated(ufm.UnconstrainedFeatures(0.008, 0.008), TAIL),
    "long tail, linear DEQ, rho .8": stated(ufm.PenalisedDEQ(0.04, 0.04, 0.8), TAIL),
    "long tail, MSE, free bias": stated(ufm.UnconstrainedFeatures(0.008, 0.008), TAIL, "mse", bias="free"),
    "one minority class": stated(DECAY, ufm.ClassPrior([12, 12, 12, 3])),
    "one minority class, linear DEQ": stated(ufm.LinearDEQ(1.0, 2.0, 0.6), ufm.ClassPrior([12, 12, 12, 3])),
    "two classes, 12 and 4": stated(DECAY, ufm.ClassPrior([12, 4])),
    "two classes, BCE, penalised bias": stated(DECAY, ufm.ClassPrior([12, 4]), "bce", bias=0.2),
    "a hundred classes, 3 and 1 samples": hundred,
    "regression, two targets, 8 values": stated(DECAY, targets(2, 8), "mse"),
    "regression, free bias, linear DEQ": stated(ufm.PenalisedDEQ(0.03, 0.03, 0.5), targets(3, 8), "mse", bias="free"),
    "regression under budgets": stated(ufm.LayerPeeled(0.5, 0.5), targets(3, 8), "mse"),
    "regression, every sample its target": each_its_own(None),
    "regression, every sample its target, free bias": each_its_own("free"),
    "monotone DEQ, m = 1/2, identity": monotone(m=0.5, activation="identity"),
    "monotone DEQ, m = 2, identity, MSE": monotone(PAIRS, "mse", m=2.0, activation="identity"),
    "monotone DEQ, m = 1/2, ReLU": monotone(m=0.5, activation="relu"),
    "monotone DEQ, m = 1, ReLU, free bias": monotone(PAIRS, m=1.0, activation="relu", bias="free"),
    "monotone DEQ, m = 1, tanh: a bound": monotone(PAIRS, m=1.0, activation="tanh"),
    "monotone DEQ, regression, m = 1/2": monotone(targets(2, 8), "mse", m=0.5, activation="identity"),
    "focal loss, three groups": stated(DECAY, GROUPS, ufm.FocalLoss(1.0)),
    "gain of residual depth 3, budgets": stated(ufm.Gain(1.0, 1.0, 0.4, "residual", 3), GROUPS),
    "unrolled five steps, long tail": stated(ufm.Gain(0.6, 0.6, 0.7, "unrolled", 5), TAIL),
    "bounded norms, K = 3, 9, 5 and 2": stated(ufm.NormBounded(1.0, 3.0), ufm.ClassPrior([9, 5, 2])),
    "several labels, budgets, BCE": stated(ufm.LayerPeeled(1.0, 2.0), SETS, "bce"),
    "several labels, linear DEQ, penalised bias": stated(ufm.PenalisedDEQ(0.04, 0.04, 0.5), SETS, "bce", bias=0.1),
    "E_A binds, imbalance": stated(ufm.LinearDEQ(1.0, 1.0, 0.9, 0.3), PAIRS),
    "penalised bias, logit adjustment": stated(DECAY, PAIRS, adjusted(PAIRS), bias=0.05),
    "two dimensions, K = 4": stated(DECAY, PAIRS, dim=2),
    "one dimension, linear DEQ": stated(ufm.PenalisedDEQ(0.04, 0.04, 0.5), PAIRS, dim=1),
    "ReLU features, budgets, three groups": stated(ufm.LayerPeeled(1.0, 2.0, **RELU), GROUPS, starts=4),
    "plain depth, three factors": stated(ufm.PenalisedDeepLinear((0.03, 0.03, 0.03)), PAIRS, "mse"),
    "soft labels, smoothing, weights": stated(DECAY, SOFT, ufm.CrossEntropy(smoothing=0.1, weights=[1, 2, 1, 3])),
    "float32, linear DEQ": stated(ufm.PenalisedDEQ(0.04, 0.04, 0.5), PAIRS, dtype="float32"),
}


def entry(found: StatedTraining) -> dict[str, Any]:
    """What is kept of a training."""
    solution = found.solution
    predicted = solution.geometry.phase if isinstance(found.problem.prior, ufm.ClassPrior) else None
    return {
        "predicted": solution.value,
        "global": solution.is_global,
        "attained": found.is_attained,
        "trained": found.fit.objective,
        "logits": found.logits_error,
        "gram": found.gram_errors,
        "phase": None if found.phase is None else str(found.phase),
        "predicted_phase": None if predicted is None else str(predicted),
        "rank": found.rank,
        "status": found.status,
        "trap": None if found.trap is None else found.trap.value,
        "iterations": found.fit.iterations,
    }


# The linear DEQ near rho = 1 ----------------------------------------------------------------------------------------

RHO = (0.5, 0.8, 0.9, 0.95)
MAJORITY, MINORITY, CLASSES = 20, (2, 8), 3
#: n_B at the threshold of each rho in the first series; that of the explicit network in the second.
STAR, EXPLICIT = 4.0, 12.0


def strength(rho: float, series: str) -> float:
    """lambda_W = lambda_H: the DEQ's threshold at n_B = 4 for every rho, or the explicit network's at 12."""
    star, factor = (STAR, 1 - rho) if series == "DEQ" else (EXPLICIT, 1.0)
    return math.sqrt(star) / (CLASSES * (MAJORITY + star)) / factor


def equilibrium(rho: float, series: str, minority: int, start: str, seed: int) -> dict[str, Any]:
    """A training of the linear DEQ, the trap that it is in, and whether a direction out of it would open.

    Along directions in which A is 0 a code is stable while ``|G D^{-1/2}|_2 < sqrt(lambda_W lambda_H)``; it is the
    optimum where that is at most ``1 - rho`` times as much.
    """
    lam = strength(rho, series)
    prior = ufm.ClassPrior([MAJORITY] * CLASSES + [minority] * CLASSES)
    found = train_problem(ufm.PenalisedDEQ(lam, lam, rho), prior, start=start, seed=seed, device="cpu")
    problem = found.problem
    return entry(found) | {
        "predicted_rank": int(found.solution.geometry.rank),
        "opening": problem.dual_norm(problem.gradient(found.logits)) / lam,
    }


EQUILIBRIA: dict[str, Callable[[], dict[str, Any]]] = {
    json.dumps([rho, series, minority, start, seed]): (
        lambda rho=rho, series=series, minority=minority, start=start, seed=seed: equilibrium(
            rho, series, minority, start, seed
        )
    )
    for rho in RHO
    for series in ("DEQ", "explicit")
    for minority in MINORITY
    for start in ("identity", "zero")
    for seed in SEEDS
}


# Tables -------------------------------------------------------------------------------------------------------------


def relative(value: float, reference: float) -> float:
    """``value/reference - 1``, the difference where the reference is below 1e-3."""
    return (value - reference) / (abs(reference) if abs(reference) >= 1e-3 else 1.0)


def _gram(value: float | None) -> str:
    return "-" if value is None else f"{value:.0e}"


def _row(name: str, kept: dict[str, Any]) -> list[str]:
    phase = "-" if kept["phase"] is None else kept["phase"]
    if kept["phase"] != kept["predicted_phase"]:
        phase += f", predicted {kept['predicted_phase']}"
    verdict = kept["status"]
    if verdict == "trapped":
        verdict = "trapped, in no minimum that is known"
        if kept["trap"] is not None:
            verdict = f"trapped at {kept['trap']:.8f}, {relative(kept['trained'], kept['trap']):+.0e}"
    if not kept["global"]:
        verdict += " (best that a search found)"
    return [
        name,
        f"{kept['predicted']:.8f}",
        f"{kept['trained']:.8f}",
        f"{relative(kept['trained'], kept['predicted']):+.0e}",
        f"{kept['logits']:.0e}",
        _gram(kept["gram"]["classifier"]),
        _gram(kept["gram"]["features"]),
        phase,
        verdict,
    ]


def _equilibrium_row(key: str, kept: dict[str, Any]) -> list[str]:
    rho, series, minority, start, seed = json.loads(key)
    off = relative(kept["trained"], kept["predicted"])
    if abs(off) <= AGREES:
        end = "the optimum"
    elif kept["trap"] is None:
        end = "no minimum that is known"
    else:
        end = f"rank {kept['rank']}, {kept['trap']:.8f}, {relative(kept['trained'], kept['trap']):+.0e}"
    return [
        f"{rho:g}",
        series,
        str(minority),
        {"identity": "ρI", "zero": "0"}[start],
        str(seed),
        f"{kept['predicted']:.8f}",
        f"{kept['trained']:.8f}",
        f"{off:+.1e}",
        f"{kept['rank']} of {kept['predicted_rank']}",
        f"{kept['opening']:.3f}",
        end,
    ]


def table(kept: dict[str, Any]) -> str:
    """Both tables, with what they add up to."""
    problems, deq = kept["problems"], kept["equilibria"]
    agree = sum(found["status"] == "agrees" for found in problems.values())
    trapped = [f for f in problems.values() if f["status"] == "trapped"]
    known = sum(f["trap"] is not None for f in trapped)
    bounded = sum(f["status"] == "above" for f in problems.values())
    optimal = {
        start: [abs(relative(f["trained"], f["predicted"])) <= AGREES for k, f in deq.items() if f'"{start}"' in k]
        for start in ("identity", "zero")
    }
    away = [f for f in deq.values() if abs(relative(f["trained"], f["predicted"])) > AGREES]
    named = sum(f["trap"] is not None and abs(relative(f["trained"], f["trap"])) <= AGREES for f in away)
    return "\n".join(
        [
            "# Trained beside predicted",
            "",
            f"{agree} of {len(problems)} problems agree, {bounded} stays above a bound that no network attains (tanh), "
            f"{len(trapped)} are trapped, {known} of them in a minimum that the theory has.",
            "Errors are relative: of the objective, of the logits, of the Gram matrices of W and of the features.",
            "",
            markdown(
                ["problem", "predicted", "trained", "error", "logits", "Gram, W", "Gram, H", "phase", "verdict"],
                [_row(name, found) for name, found in problems.items()],
            ),
            "",
            "# The linear DEQ, rho up to .95",
            "",
            f"Three classes of {MAJORITY} and three of n_B samples. The series: λ such that the DEQ's collapse ends at "
            f"n_B = {STAR:g}, or the explicit network's at {EXPLICIT:g}. From A = ρI "
            f"{sum(optimal['identity'])} of {len(optimal['identity'])} trainings end at the optimum, from A = 0 "
            f"{sum(optimal['zero'])} of {len(optimal['zero'])}. Of the other {len(away)} the theory has {named} to "
            f"{AGREES:g}: minima among the logits of their rank,",
            "stable while |G D^(-1/2)|₂/λ, that opens directions where A is 0, is below 1; at the optimum it is 1 − ρ.",
            "",
            markdown(
                [
                    "ρ",
                    "series",
                    "n_B",
                    "A starts at",
                    "seed",
                    "optimum",
                    "trained",
                    "error",
                    "rank",
                    "opening",
                    "ends in",
                ],
                [_equilibrium_row(key, found) for key, found in deq.items()],
            ),
            "",
        ]
    )


def main() -> None:
    """Train what is missing, and write the tables."""
    path = FOLDER / "trainings.json"
    kept: dict[str, Any] = {"problems": {}, "equilibria": {}}
    if path.exists():
        kept = json.loads(path.read_text(encoding="utf-8"))
    wanted: dict[str, dict[str, Callable[[], dict[str, Any]]]] = {
        "problems": {name: (lambda run=run: entry(run())) for name, run in PROBLEMS.items()},
        "equilibria": EQUILIBRIA,
    }
    for part, trainings in wanted.items():
        for name, training in trainings.items():
            if name not in kept[part] and not FINISHED_ONLY:
                kept[part][name] = training()
                write_json(path, kept)
                print(name, kept[part][name]["status"], flush=True)
        kept[part] = {name: kept[part][name] for name in trainings if name in kept[part]}
    write_json(path, kept)
    write(FOLDER / "table.md", table(kept))
    finish(__file__, __doc__ or "", list(SEEDS))


if __name__ == "__main__":
    main()
