"""Departure of a DEQ with tanh or ReLU of strength gamma from the linear theory, on digits: s_B and threshold."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import math
import statistics

from kept import draw, finish, swept, write

from ufm.deq import Sweep, SweepConfig, TrainingConfig, plot_departure
from ufm.trainings.threshold import threshold_of_sweep

FOLDER = Path(__file__).parent
#: Files that this writes, as patterns.
WRITES = ("table.md", "*.jsonl", "*.svg")


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


def main() -> None:
    """Train what is missing, and write tables and figures."""
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
            found[gamma] = sweep = swept(FOLDER / f"{activation}-{gamma:g}.jsonl", config)
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
        draw(plot_departure(found), FOLDER / f"{activation}.svg")
    write(FOLDER / "table.md", "\n".join(lines + last) + "\n")
    finish(__file__, __doc__ or "", [0, 1, 2])


if __name__ == "__main__":
    main()
