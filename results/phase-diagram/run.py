"""Phases of the layer-peeled model in the setting of Fang et al. 2021 (K = 10, K_A = 5, E_W = 1), a million points."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from kept import draw, finish

import ufm

FOLDER = Path(__file__).parent
#: Files that this writes, as patterns.
WRITES = ("fang.png",)


def main() -> None:
    """Solve every point, and draw the phases with the boundaries from the exact thresholds."""
    budgets, ratios = np.linspace(0.02, 5, 1000), np.geomspace(1, 1e4, 1000)
    diagram = ufm.phase_diagram("ce", K_A=5, K_B=5, R=ratios, E_W=1.0, E_H=budgets)
    draw(ufm.plot_phase_diagram(diagram), FOLDER / "fang.png", dpi=150)
    finish(__file__, __doc__ or "", [])


if __name__ == "__main__":
    main()
