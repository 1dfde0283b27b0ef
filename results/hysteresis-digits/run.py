"""n_B swept up and down with warm starts, digits, from A = 0 and from A = rho I."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import dataclasses
import math

from kept import FINISHED_ONLY, draw, finish, write

from ufm.deq import Loop, TrainingConfig, hysteresis_loop, low_rank_codes, plot_hysteresis

FOLDER = Path(__file__).parent
#: Files that this writes, as patterns.
WRITES = ("table.md", "*.json", "*.svg")


def main() -> None:
    """Train what is missing, and write tables and figures."""
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
            Loop.load(FOLDER / f"{name}.json")
            if FINISHED_ONLY
            else hysteresis_loop(
                dataclasses.replace(training, start=start, seed=seed),
                (counts, counts[-2::-1]),
                path=FOLDER / f"{name}.json",
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
    draw(plot_hysteresis(loops), FOLDER / "hysteresis.svg")
    write(FOLDER / "table.md", "\n".join(lines) + "\n")
    finish(__file__, __doc__ or "", [0, 1, 2])


if __name__ == "__main__":
    main()
