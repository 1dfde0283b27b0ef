"""Training and test set of a run by SGD."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

import numpy as np

from ufm.data import NUM_CLASSES, Dataset, available_counts, class_order, load_dataset
from ufm.trainings.experiment_config import ExperimentConfig

__all__ = ["experiment_data"]


def experiment_data(config: ExperimentConfig, root: str | os.PathLike[str] | None = None) -> tuple[Dataset, Dataset]:
    """Training and test set of a run, in float32, pooled and standardised by the training set.

    Args:
        config: of the run.
        root: folder of the data set's files, see :func:`ufm.data.load_dataset`.

    Raises:
        ValueError: the data set has fewer images of a class than the config asks for, or ``pool`` does not divide the
            sides of its images; the message names the field.
        DatasetNotFoundError, DatasetFormatError: as :func:`ufm.data.load_dataset`.

    >>> config = ExperimentConfig("digits", num_majority=2, num_minority=2, majority_count=40, ratio=4, pool=2)
    >>> train, test = experiment_data(config)
    >>> train.counts, train.shape, test.shape
    ((40, 40, 10, 10), (1, 4, 4), (1, 4, 4))
    """
    k = len(config.counts)
    _check_counts(config, root)
    options: dict[str, Any] = {"root": root, "seed": config.seed, "dtype": np.float32}
    order = "shuffled" if config.classes == "shuffled" else None
    train = load_dataset(config.dataset, split="train", counts=config.counts, classes=order, **options)
    counts = None if config.test_count is None else (config.test_count,) * k
    test = load_dataset(config.dataset, split="test", counts=counts, classes=train.classes, **options)
    train, test = (_pooled(data, config.pool) for data in (train, test))
    return train.standardised(), test.standardised(by=train)


def _check_counts(config: ExperimentConfig, root: str | os.PathLike[str] | None) -> None:
    """That both splits have the images that the config asks for."""
    order = class_order(
        config.dataset,
        "shuffled" if config.classes == "shuffled" else None,
        len(config.counts),
        NUM_CLASSES[config.dataset],
        config.seed,
    )
    wanted = {"train": ("majority_count", config.majority_count, config.counts)}
    if config.test_count is not None:
        wanted["test"] = ("test_count", config.test_count, (config.test_count,) * len(order))
    for split, (name, value, counts) in wanted.items():
        available = available_counts(config.dataset, root, split=split)
        for c, n in zip(order, counts, strict=True):
            if n > available[c]:
                raise ValueError(
                    f"{name} must ask for no more images of a class than the {split} split of {config.dataset} has, "
                    f"{available[c]} of class {c}, got {value}, which asks for {n} of it"
                )


def _pooled(data: Dataset, size: int) -> Dataset:
    if size == 1:
        return data
    if any(side % size for side in data.shape[1:]):
        raise ValueError(f"pool must divide the sides {data.shape[1:]} of an input of {data.name}, got {size}")
    sides = [side for s in data.shape[1:] for side in (s // size, size)]
    images = data.inputs.reshape(len(data.labels), data.shape[0], *sides)
    inputs = images.mean(axis=tuple(range(3, images.ndim, 2)), dtype=np.float64).astype(data.inputs.dtype)
    return dataclasses.replace(data, inputs=inputs)
