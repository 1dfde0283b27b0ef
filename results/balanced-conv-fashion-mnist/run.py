"""NC in balanced convolutional networks on Fashion-MNIST by SGD, at ten times the paper's weight decay."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import dataclasses

from grids import CONV_DEQ, CONV_P4, RESNET, paper_grid

#: Files that this writes, as patterns.
WRITES = ("table.md", "results.json", "points.sqlite*")


def main() -> None:
    """Train what is missing, and write the tables."""
    base = dataclasses.replace(CONV_P4, majority_count=100, weight_decay=5e-3, epochs=300, evaluate_every=50)
    pair = {"ResNet-18": RESNET, "convolutional DEQ": CONV_DEQ}
    paper_grid(__file__, __doc__ or "", base, [(pair, {"class_numbers": ((5, 5),), "ratios": ()})])


if __name__ == "__main__":
    main()
