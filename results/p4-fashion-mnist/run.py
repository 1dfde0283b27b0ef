"""The paper's grid on Fashion-MNIST (14 x 14): explicit network against a tanh and a linear DEQ, three seeds."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from grids import P4, paper_grid

from ufm.trainings.paper import ARMS

#: The explicit network against a linear DEQ.
LINEAR_ARMS = {"explicit": ARMS["explicit"], "linear DEQ": {"model": "linear-deq", "options": {"rho": 0.5}}}

#: Files that this writes, as patterns.
WRITES = ("table.md", "results.json", "points.sqlite*")


def main() -> None:
    """Train what is missing, and write the tables."""
    paper_grid(__file__, __doc__ or "", P4, [(ARMS, {}), (LINEAR_ARMS, {})])


if __name__ == "__main__":
    main()
