"""Trainings small enough for tests, and a data set in files."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from ufm.deq import TrainingConfig, TrainingResult, train

LAMBDA = math.sqrt(8) / 114
#: K = 6, n_A = 30: thresholds at n_B = 8 (explicit) and 1.38 (DEQ).
SMALL = TrainingConfig(
    majority_count=30,
    num_majority=3,
    num_minority=3,
    minority_count=1,
    lambda_W=LAMBDA,
    lambda_H=LAMBDA,
    dim=8,
    width=128,
    device="cpu",
)

#: 18 images at most: a training takes a second, a nonlinear one too.
TINY = TrainingConfig(
    majority_count=6,
    num_majority=2,
    num_minority=2,
    minority_count=3,
    lambda_W=0.07,
    lambda_H=0.07,
    rho=0.3,
    device="cpu",
)


def write_fashion(folder: Path, size: int = 80) -> None:
    """Random images in the files of Fashion-MNIST's training split, as many of each class."""
    rng = np.random.default_rng(size)
    images = rng.integers(0, 256, (size, 28, 28), dtype=np.uint8)
    labels = np.arange(size, dtype=np.uint8) % 10
    for name, array in (("train-images-idx3-ubyte", images), ("train-labels-idx1-ubyte", labels)):
        head = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4) for n in array.shape)
        (folder / name).write_bytes(head + array.tobytes())


#: Results of :func:`train_once` by its arguments.
_TRAINED: dict[Hashable, TrainingResult] = {}


def train_once(
    config: TrainingConfig, *, initial: Mapping[str, Tensor] | None = None, progress: object = None, **others: Any
) -> TrainingResult:
    """As ``train``: what it has trained before, from the very same bits, it does not train again."""
    weights = None if initial is None else tuple((name, w.numpy().tobytes()) for name, w in initial.items())
    key = (config, weights, *sorted(others.items()))
    if key not in _TRAINED:
        _TRAINED[key] = train(config, initial=initial, progress=progress, **others)
    return _TRAINED[key]
