"""The paper's grid on Fashion-MNIST (14 x 14): ResNet-18 against convolutional DEQs, three seeds.

In the part with five majority and five minority classes also the residual DEQ, whose trainings take four times as
long, and the convolutional DEQ against its own encoder, ``z = relu(h)``: what the equilibrium does, and what the
rest of the architecture.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from grids import CONV_DEQ, CONV_P4, ENCODER, RESIDUAL_DEQ, RESNET, Pair, paper_grid

#: Files that this writes, as patterns.
WRITES = ("table.md", "results.json", "points.sqlite*")


def main() -> None:
    """Train what is missing, and write the tables."""
    part = {"class_numbers": ((5, 5),), "ratios": (10, 100)}
    pairs: list[Pair] = [({"ResNet-18": RESNET, "convolutional DEQ": CONV_DEQ}, {})]
    pairs += [({"ResNet-18": RESNET, "residual convolutional DEQ": RESIDUAL_DEQ}, part)]
    pairs += [({"encoder alone": ENCODER, "convolutional DEQ": CONV_DEQ}, part)]
    paper_grid(__file__, __doc__ or "", CONV_P4, pairs)


if __name__ == "__main__":
    main()
