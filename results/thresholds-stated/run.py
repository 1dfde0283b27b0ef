"""Thresholds in n_B of problems of every kind, digits: losses, biases, ReLU features, residual depth, three seeds."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import dataclasses
import json
import math
from typing import Any

import numpy as np
from kept import FINISHED_ONLY, finish, write, write_json
from scipy.optimize import brentq

import ufm
from ufm.trainings import train_threshold

FOLDER = Path(__file__).parent
#: Files that this writes, as patterns.
WRITES = ("table.md", "thresholds.json")
SEEDS = (0, 1, 2)
#: Classes of either kind, n_A, and the threshold of most settings.
GROUPS, MAJORITY, STAR = 3, 60, 20
LAMBDA = math.sqrt(STAR) / (GROUPS * (MAJORITY + STAR))
NEAR = (17, 18, 19, 21, 22, 23, 24)


def adjusted(prior: ufm.ClassPrior) -> ufm.Loss:
    """Cross-entropy with logit adjustment."""
    return ufm.CrossEntropy(shifts=np.log(prior.probabilities).tolist())


def tempered(minority: float) -> ufm.Loss:
    """Cross-entropy of logits scaled by ``minority`` for the minority classes."""
    return ufm.CrossEntropy(scales=[1.0] * GROUPS + [minority] * GROUPS)


def decay(factor: float, **fields: Any) -> ufm.UnconstrainedFeatures:
    """Weight decay of ``factor`` times the common strength."""
    return ufm.UnconstrainedFeatures(factor * LAMBDA, factor * LAMBDA, **fields)


def budgets(rho: float = 0.0) -> Any:
    """Budgets E_W = 1 and E_H with the threshold at n_B = STAR, of an equilibrium layer where rho > 0."""

    def model(e_h: float) -> Any:
        return ufm.LinearDEQ(1.0, e_h, rho) if rho else ufm.LayerPeeled(1.0, e_h)

    def excess(e_h: float) -> float:
        return ufm.collapse_threshold(model(e_h), GROUPS, GROUPS).ratio - MAJORITY / STAR

    return model(brentq(excess, 0.01, 5.0, xtol=1e-12))


SETTINGS: dict[str, dict[str, Any]] = {
    "CE": {"architecture": decay(1)},
    "MSE": {"architecture": decay(1), "loss": "mse"},
    "MSE, free bias": {"architecture": decay(1), "loss": "mse", "bias": "free"},
    "BCE, penalised bias": {"architecture": decay(1), "loss": "bce", "bias": 0.1},
    "label smoothing 0.2": {"architecture": decay(0.8), "loss": ufm.CrossEntropy(smoothing=0.2)},
    "logit adjustment, free bias": {"architecture": decay(1), "loss": adjusted, "bias": "free"},
    "minority logits times 0.8": {"architecture": decay(0.8), "loss": tempered(0.8)},
    "minority logits times 1.1, decay as CE": {
        "architecture": decay(1),
        "loss": tempered(1.1),
        "minority_counts": (12, 13, 14, 15, 16, 17, 18),
    },
    "ReLU features": {"architecture": decay(math.sqrt(1 - 1 / (2 * GROUPS)), features="nonnegative"), "starts": 4},
    "equilibrium, rho 1/2": {"architecture": ufm.PenalisedDEQ(2 * LAMBDA, 2 * LAMBDA, 0.5)},
    "residual depth 4, lambda_A 3": {"architecture": ufm.Residual(LAMBDA, LAMBDA, 3.0, 4)},
    "CE, float32": {"architecture": decay(1), "dtype": "float32"},
    "MSE, penalised bias": {"architecture": decay(1), "loss": "mse", "bias": 0.05},
    "budgets E_W, E_H": {"architecture": budgets()},
    "budgets, equilibrium, rho 1/2": {"architecture": budgets(0.5), "max_iterations": 3000},
}


def main() -> None:
    """Train what is missing, and write the table."""
    path = FOLDER / "thresholds.json"
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    for name, setting in SETTINGS.items():
        if name in found or FINISHED_ONLY:
            continue
        options = {"majority_count": MAJORITY, "minority_counts": NEAR, "seeds": SEEDS, "device": "cpu", **setting}
        result = train_threshold(options.pop("architecture"), GROUPS, GROUPS, **options)
        found[name] = {
            "predicted": result.predicted,
            "measured": dataclasses.asdict(result.measured),
            "points": [list(point) for point in result.points],
        }
        write_json(path, found)
        print(name, result.predicted, result.measured.value, flush=True)
    lines = [
        "| problem | predicted n_B* | measured n_B* | error | largest collapsed, smallest uncollapsed | agree |",
        "|" + "---|" * 6,
    ]
    for name, entry in found.items():
        measured, agree = entry["measured"], sum(p[3] == "agrees" for p in entry["points"])
        lines.append(
            f"| {name} | {entry['predicted']:.3f} | {measured['value']:.3f} ± {measured['error']:.3f} | "
            f"{measured['value'] / entry['predicted'] - 1:+.2%} | {measured['collapsed']}, {measured['uncollapsed']} | "
            f"{agree} of {len(entry['points'])} |"
        )
    write(FOLDER / "table.md", "\n".join(lines) + "\n")
    finish(__file__, __doc__ or "", list(SEEDS))


if __name__ == "__main__":
    main()
