"""NC in a balanced tanh DEQ on Fashion-MNIST by SGD: the paper's weight decay, and ten times as much."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import dataclasses

from grids import P4
from kept import FINISHED_ONLY, finish, write

from ufm.deq import load_run, run_experiment

FOLDER = Path(__file__).parent
#: Files that this writes, as patterns.
WRITES = ("table.md", "weight-decay-*/*")


def main() -> None:
    """Train what is missing, and write tables and figures."""
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
        run = FOLDER / f"weight-decay-{decay:g}"
        experiment = load_run(run) if FINISHED_ONLY else run_experiment(config, run)
        for r in (experiment.records[0], experiment.records[-1]):
            m = r["measures"]
            lines.append(
                f"| {decay:g} | {r['epoch']} | {r['train_accuracy']['overall']:.3f} | "
                f"{r['test_accuracy']['overall']:.3f} | {m['trace_quotient']:.3f} | {m['etf_error']:.3f} | "
                f"{m['self_duality_error']:.3f} | {m['nc4']:.3f} |"
            )
    write(FOLDER / "table.md", "\n".join(lines) + "\n")
    finish(__file__, __doc__ or "", [0])


if __name__ == "__main__":
    main()
