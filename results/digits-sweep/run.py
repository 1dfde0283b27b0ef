"""Sweep of n_B across the predicted thresholds, digits: explicit network, DEQ from both starts of A, three seeds."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from kept import draw, finish, swept

from ufm.deq import SweepConfig, plot_sweep

FOLDER = Path(__file__).parent
#: Files that this writes, as patterns.
WRITES = ("sweep.jsonl", "sweep.svg")


def main() -> None:
    """Train what is missing, as ``ufm deq sweep --effort full`` does, and draw the figure."""
    config = SweepConfig.full()
    draw(plot_sweep(swept(FOLDER / "sweep.jsonl", config)), FOLDER / "sweep.svg")
    finish(__file__, __doc__ or "", list(config.seeds))


if __name__ == "__main__":
    main()
