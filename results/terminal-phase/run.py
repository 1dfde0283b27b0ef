"""The paper's networks at R = 10 carried towards the terminal phase (NC1 below 1e-2), and what stops them.

The grid's trainings end after a seventh of a decay time. A ResNet-18 at the paper's weight decay gets to 0.019 in 400
epochs and stands still as its learning rate falls; at ten times the decay it is below 0.01 from epoch 140 to 180. Then
the training breaks out, its loss from 0.01 to 0.5, and begins again; so does the DEQ's at epoch 240, from NC1 0.016.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import dataclasses
import json
import math
from typing import Any

import numpy as np
import torch
from grids import CONV_DEQ, CONV_P4, RESNET
from kept import FINISHED_ONLY, finish, markdown, write, write_json

from ufm.deq import Experiment, ExperimentConfig, run_experiment
from ufm.measures import FeatureStatistics
from ufm.trainings.run_data import experiment_data

FOLDER = Path(__file__).parent
#: Files that this writes, as patterns.
WRITES = ("table.md", "trainings.json")
NETWORKS: dict[str, dict[str, Any]] = {"ResNet-18": RESNET, "convolutional DEQ": CONV_DEQ}
#: What is trained at which weight decay: ten times the paper's, and the paper's.
TRAININGS = (("ResNet-18", 5e-3), ("convolutional DEQ", 5e-3), ("ResNet-18", 5e-4))
BASE = dataclasses.replace(
    CONV_P4, num_majority=5, num_minority=5, majority_count=100, ratio=10.0, epochs=400, evaluate_every=20, seed=0
)
#: The setting of the paper's grid here, results/p4-conv-fashion-mnist.
GRID = dataclasses.replace(CONV_P4, num_majority=5, num_minority=5)
TERMINAL = 1e-2


def trained(config: ExperimentConfig) -> dict[str, Any]:
    """The measures over a training, and where NC1 of its end comes from."""
    found = run_experiment(config)
    curve = [
        {
            "epoch": record["epoch"],
            "decay_time": decay_time(config, record["epoch"]),
            "loss": record["loss"],
            "train_accuracy": record["train_accuracy"]["overall"],
            "test_accuracy": record["test_accuracy"]["overall"],
            **{key: record["measures"][key] for key in ("nc1", "etf_error", "self_duality_error", "minority_cosine")},
        }
        for record in found.records
    ]
    return {"curve": curve, **sources(found)}


def decay_time(config: ExperimentConfig, epochs: int) -> float:
    """``sum eta lambda`` over the steps so far: in that time what nothing renews shrinks by ``e^-sum``."""
    steps = math.ceil(sum(config.counts) / config.batch_size)
    total = steps * config.epochs
    rates = [(1 + math.cos(math.pi * i / total)) / 2 for i in range(steps * epochs)]
    return config.weight_decay * config.learning_rate * sum(rates) / (1 - config.momentum)


def sources(found: Experiment) -> dict[str, Any]:
    """``NC1 = (1/K) tr(S_W pinv(S_B))`` by classes and by the directions of S_B, largest first."""
    data, _ = experiment_data(found.config, None)
    network = found.network
    assert network is not None
    with torch.no_grad():
        parts = [network(batch).features.flatten(1).double() for batch in torch.from_numpy(data.inputs).split(256)]
    x, y = torch.cat(parts).numpy(), np.asarray(data.labels)
    counts = found.config.counts
    statistics = FeatureStatistics(len(counts))
    statistics.update(x, y)
    means = statistics.means.T
    centred = means - means.mean(axis=0)
    _, sizes, directions = np.linalg.svd(centred, full_matrices=False)
    directions, variances = directions[:-1], sizes[:-1] ** 2 / len(counts)
    by_class = [float((((x[y == k] - means[k]) @ directions.T) ** 2 / variances).sum()) for k in range(len(counts))]
    by_direction = (((x - means[y]) @ directions.T) ** 2 / variances).sum(axis=0)
    scale = len(counts) * len(x)
    return {
        "nc1_by_class": [value / scale for value in by_class],
        "nc1_by_direction": [float(value) / scale for value in by_direction],
        "variances": variances.tolist(),
        "norm_of_weights": float(sum(p.detach().double().square().sum() for p in network.parameters())) ** 0.5,
    }


def main() -> None:
    """Train what is missing, and write the table."""
    path = FOLDER / "trainings.json"
    kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    for network, decay in TRAININGS:
        name = f"{network}, {decay:g}"
        if name in kept or FINISHED_ONLY:
            continue
        kept[name] = trained(dataclasses.replace(BASE, weight_decay=decay, **NETWORKS[network]))
        write_json(path, kept)
        print(name, kept[name]["curve"][-1], flush=True)
    write(FOLDER / "table.md", table(kept))
    finish(
        __file__, __doc__ or "", [BASE.seed], {"config": BASE.to_dict(), "networks": NETWORKS, "trainings": TRAININGS}
    )


def table(kept: dict[str, Any]) -> str:
    """NC1 over the decay time, when it is below 1e-2, and which classes it is of at the end."""
    lines = [
        f"A training of the grid is over after {decay_time(GRID, GRID.epochs):.2f} decay times, "
        "`sum eta lambda / (1 - momentum)` over its steps.",
        "",
        markdown(
            [
                "network, weight decay",
                "decay time",
                "NC1 below 1e-2 from",
                "to",
                "least NC1",
                "at the end",
                "share of the majority",
            ],
            [_summary(name, found) for name, found in kept.items()],
        ),
        "",
    ]
    columns = ["epoch", "decay time", "loss", "train acc.", "test acc.", "NC1", "NC2", "NC3", "min. cosine W"]
    keys = list(next(iter(kept.values()))["curve"][0])
    for name, found in kept.items():
        rows = [[f"{record[key]:.4g}" for key in keys] for record in found["curve"]]
        lines += [f"## {name}", "", markdown(columns, rows), ""]
    return "\n".join(lines[:-1]) + "\n"


def _summary(name: str, found: dict[str, Any]) -> list[str]:
    curve, last = found["curve"], found["curve"][-1]
    below = [record for record in curve if record["nc1"] < TERMINAL]
    ends = [f"epoch {r['epoch']} ({r['decay_time']:.2f})" for r in (below[0], below[-1])] if below else ["never", "-"]
    least = min(record["nc1"] for record in curve)
    share = sum(found["nc1_by_class"][: BASE.num_majority]) / sum(found["nc1_by_class"])
    return [name, f"{last['decay_time']:.2f}", *ends, f"{least:.4f}", f"{last['nc1']:.4f}", f"{share:.2f}"]


if __name__ == "__main__":
    main()
