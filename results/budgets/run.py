"""Predictions from the networks' own budgets, no objective given, on three data sets; and of SGD-trained ones."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import dataclasses
import json
import math
import statistics
import warnings
from typing import Any

import numpy as np
import torch
from grids import P4
from kept import FINISHED_ONLY, finish, write, write_json

from ufm.deq import Budgets, TrainingConfig, predict_from_budgets, run_experiment, train
from ufm.trainings import experiment_data

FOLDER = Path(__file__).parent
#: Files that this writes, as patterns.
WRITES = ("table.md", "budgets.json")


def main() -> None:
    """Train what is missing, and write tables and figures."""
    path = FOLDER / "budgets.json"
    found: dict[str, list[dict[str, Any]]] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    decay = math.sqrt(20) / 240
    for dataset in ("digits", "mnist1d", "fashion-mnist"):
        for architecture, gamma in (("explicit", 0.0), ("deq", 0.0)):
            name = f"{dataset}, {'explicit' if architecture == 'explicit' else 'linear DEQ'}, penalised features"
            for seed in range(len(found.get(name, [])), 0 if FINISHED_ONLY else 3):
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
                write_json(path, found)
                print(name, seed, entry["scale"], flush=True)
    for model, options in (("explicit", {}), ("linear-deq", {"rho": 0.5}), ("deq", {"rho": 0.9})):
        for weighting in ("samples", "classes"):
            name = f"fashion-mnist, {model}, SGD with weight decay, budgets by {weighting}"
            for seed in range(len(found.get(name, [])), 0 if FINISHED_ONLY else 3):
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
                write_json(path, found)
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
    write(FOLDER / "table.md", "\n".join(lines) + "\n")
    finish(__file__, __doc__ or "", [0, 1, 2])


if __name__ == "__main__":
    main()
