"""Thresholds in n_B, explicit network and linear DEQ (rho = 1/2, A started at rho I), on three data sets."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import dataclasses
import math

from kept import draw, finish, swept, write, write_json

from ufm.deq import SweepConfig, TrainingConfig, plot_sweep
from ufm.trainings.threshold import threshold_of_sweep

FOLDER = Path(__file__).parent
#: Files that this writes, as patterns.
WRITES = ("table.md", "thresholds.json", "*.jsonl", "*.svg")


def main() -> None:
    """Train what is missing, and write tables and figures."""
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
            path = FOLDER / f"{dataset}-{branch}.jsonl"
            sweep = swept(path, SweepConfig(**{branch: counts}, seeds=(0, 1, 2), training=training))
            draw(plot_sweep(sweep), path.with_suffix(".svg"))
            measured, predicted = threshold_of_sweep(sweep, branch), sweep.points[0].threshold
            name = "explicit" if branch == "explicit" else "linear DEQ"
            found[f"{dataset}, {name}"] = {"predicted": predicted, **dataclasses.asdict(measured)}
            lines.append(
                f"| {dataset} | {name} | {predicted:.2f} | {measured.value:.2f} ± {measured.error:.2f} | "
                f"{measured.value / predicted - 1:+.2%} | {measured.collapsed}, {measured.uncollapsed} | "
                f"{len(measured.seeds)} |"
            )
    write_json(FOLDER / "thresholds.json", found)
    write(FOLDER / "table.md", "\n".join(lines) + "\n")
    finish(__file__, __doc__ or "", [0, 1, 2])


if __name__ == "__main__":
    main()
