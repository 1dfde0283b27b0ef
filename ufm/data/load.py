"""Draws from data sets by name, with chosen class counts."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ufm._validation import integer, one_of, sequence
from ufm.data._registry import DATASETS, SPLITS, Root, Source
from ufm.data.dataset import Dataset
from ufm.data.raw import DatasetFormatError, DatasetWarning, Raw

__all__ = ["available_counts", "class_order", "digit_counts", "digits", "load_dataset"]


def load_dataset(
    name: str,
    root: str | os.PathLike[str] | None = None,
    *,
    split: str = "train",
    counts: Sequence[Any] | None = None,
    classes: Sequence[Any] | str | None = None,
    seed: Any = 0,
    generation_seed: Any = None,
    dtype: DTypeLike = np.float64,
) -> Dataset:
    """A data set, or a draw from it with ``counts[k]`` images of its class ``classes[k]``, without replacement.

    Pixels are scaled to [0, 1]; MNIST-1D is as generated (mean 0, standard deviation 1). For networks use
    :meth:`Dataset.whitened` or :meth:`Dataset.standardised`.

    What files are verified for: an archive of CIFAR for its published checksum, unpacked files of CIFAR for sizes,
    labels and class counts, those of Fashion-MNIST for their layout. Beyond that the number of images, those of a class
    and the mean pixel of each channel are compared with the published set's, and a :class:`DatasetWarning` tells where
    they differ. Single pixels are not verified; :attr:`Dataset.files` identifies what was read.

    Args:
        name: in :data:`ufm.data.DATASETS`, which :func:`ufm.data.dataset_table` describes.
        root: folder of the files of Fashion-MNIST and CIFAR, directly or in the folder they unpack to. Default: the one
            in the environment variable ``UFM_DATA``, then, for Fashion-MNIST, that of Debian's dataset-fashion-mnist.
        split: ``"train"``, ``"test"`` or ``"all"`` (train, then test). Digits has no published split: its training
            split is the first four fifths of the images of each digit.
        counts: images a class, each >= 1 and at most what the split has; :func:`step_counts`,
            :func:`long_tailed_counts`. Default: all images, in the order of the source.
        classes: the classes in the order of the labels, so that a step prior makes the first ones the majority;
            ``"shuffled"`` for an order drawn with the seed; default: 0, 1, ..., as many as there are counts.
        seed: of the draw, >= 0. A larger count with the same seed contains the smaller one, whatever the other counts
            and the order of the classes are.
        generation_seed: of MNIST-1D, default 42 as published; ValueError with any other data set.
        dtype: ``float64`` or ``float32``.

    Warns:
        DatasetWarning: files are well-formed, but not the published ones; the message names a file, what it holds and
            what the published one does.

    Raises:
        DatasetNotFoundError: the files or the package are not there; the message says what to put where.
        DatasetFormatError: a file is damaged or not what its name says.
        TypeError, ValueError: an argument is not what it should be; the message names it.

    >>> data = load_dataset("digits", counts=[20, 20, 5], seed=1)
    >>> data.inputs.shape, data.counts, data.prior.probabilities.round(2).tolist()
    ((45, 1, 8, 8), (20, 20, 5), [0.44, 0.44, 0.11])
    """
    try:
        kind = np.dtype(dtype)
    except TypeError:
        raise TypeError(f"dtype must be float64 or float32, got {dtype!r}") from None
    if kind not in (np.float64, np.float32):
        raise ValueError(f"dtype must be float64 or float32, got {kind}")
    seed = integer("seed", seed, minimum=0)
    wanted = None if counts is None else _sequence("counts", counts)
    images, labels, files, doubts = _raw(name, root, split, generation_seed)
    for doubt in doubts:
        warnings.warn(f"{name}: {doubt}", DatasetWarning, stacklevel=2)
    available = np.bincount(labels)
    order = class_order(name, classes, None if wanted is None else len(wanted), len(available), seed)
    if wanted is None:
        rows = np.flatnonzero(np.isin(labels, order))
    else:
        if len(wanted) != len(order):
            raise ValueError(f"counts must hold one number for each of the {len(order)} classes, got {len(wanted)}")
        where = name if split == "all" else f"the {split} split of {name}"
        checked = [
            integer(
                f"counts[{k}]",
                n,
                minimum=1,
                maximum=int(available[c]),
                reason=f"{where} has {available[c]} images of {c}",
            )
            for k, (n, c) in enumerate(zip(wanted, order, strict=True))
        ]
        rng = np.random.default_rng(seed)
        # Every class is permuted, wanted or not, so that a class's draw does not depend on the other counts.
        draws = [rng.permutation(np.flatnonzero(labels == c)) for c in range(len(available))]
        rows = np.concatenate([draws[c][:n] for c, n in zip(order, checked, strict=True)])
    position = np.full(len(available), -1)
    position[list(order)] = np.arange(len(order))
    chosen = images[rows]
    inputs = chosen.astype(kind) / kind.type(255) if chosen.dtype == np.uint8 else chosen.astype(kind)
    new_labels = position[labels[rows]].astype(np.int64)
    totals = tuple(np.bincount(new_labels, minlength=len(order)).tolist())
    return Dataset(inputs, new_labels, totals, rows, name, split, order, dict(files))


def available_counts(name: str, root: str | os.PathLike[str] | None = None, *, split: str = "train") -> tuple[int, ...]:
    """How many images of each class a split has; errors as :func:`load_dataset`.

    >>> available_counts("digits", split="test")[:3]
    (36, 37, 36)
    """
    return tuple(np.bincount(_raw(name, root, split, None).labels).tolist())


def digit_counts() -> tuple[int, ...]:
    """How many images of the digits 0..9 there are.

    >>> sum(digit_counts())
    1797
    """
    return available_counts("digits", split="all")


def digits(counts: Sequence[Any], *, seed: Any = 0) -> Dataset:
    """``counts[k]`` images of the digit k, out of all 1797, drawn without replacement and whitened to (N, 64).

    Args:
        counts: images of the digits 0..K-1, 2 <= K <= 10, each >= 1 and at most :func:`digit_counts`.
        seed: of the draw, >= 0. A larger count with the same seed contains the smaller one.

    Raises:
        TypeError, ValueError: a count that is not an integer, too small or larger than the data set offers; K outside
            2..10; a seed that is no integer >= 0.

    >>> digits([3, 2]).inputs.shape
    (5, 64)
    """
    return load_dataset("digits", split="all", counts=counts, seed=seed).whitened()


def _sequence(name: str, values: Any) -> list[Any]:
    return list(sequence(name, values, "integers"))


def class_order(name: str, classes: Any, wanted: int | None, total: int, seed: int) -> tuple[int, ...]:
    """The classes of the source in the order of the labels, as :func:`load_dataset` takes them.

    Args:
        name: of the data set, for messages.
        classes: as of :func:`load_dataset`: None, ``"shuffled"`` or the classes.
        wanted: how many, where ``classes`` leaves it open; None for all.
        total: how many the data set has.
        seed: of the shuffled order.

    Raises:
        TypeError, ValueError: ``classes`` are not different ones of the data set, or too few or too many are wanted.

    >>> class_order("digits", None, 3, 10, seed=0), class_order("digits", [7, 2], None, 10, seed=0)
    ((0, 1, 2), (7, 2))
    """
    size = total if wanted is None else wanted
    if classes is None or (isinstance(classes, str) and classes == "shuffled"):
        if not 2 <= size <= total:
            raise ValueError(f"counts must hold 2 to {total} classes, got {size}")
        # A stream of its own: the order says nothing about which images are drawn.
        order = range(total) if classes is None else np.random.default_rng([seed, 1]).permutation(total).tolist()
        return tuple(order[:size])
    if isinstance(classes, str):
        raise ValueError(f"classes must be a sequence of integers or 'shuffled', got {classes!r}")
    order = tuple(
        integer(f"classes[{k}]", c, minimum=0, maximum=total - 1, reason=f"{name} has {total} classes")
        for k, c in enumerate(_sequence("classes", classes))
    )
    if len(order) < 2 or len(set(order)) < len(order):
        raise ValueError(f"classes must be at least 2 different ones, got {list(order)}")
    return order


def _raw(name: str, root: Root, split: str, generation_seed: Any) -> Raw:
    """Images (N, C, ...) as stored, pixels as bytes, and labels (N,) of a split."""
    source = DATASETS[one_of("name", name, DATASETS)]
    one_of("split", split, SPLITS)
    if root is not None and not isinstance(root, str | os.PathLike):
        raise TypeError(f"root must be the path of a folder or None, got {root!r}")
    options: tuple[int, ...] = ()
    if source.default_generation_seed is not None:
        seed = source.default_generation_seed if generation_seed is None else generation_seed
        options = (integer("generation_seed", seed, minimum=0, maximum=2**32 - 1),)
    elif generation_seed is not None:
        raise ValueError(f"generation_seed must be None for {name!r}, which is not generated, got {generation_seed!r}")
    if split != "all" or source.has_whole:
        return _checked(source, source.load(split, root, *options))
    parts = [_checked(source, source.load(part, root, *options)) for part in ("train", "test")]
    return Raw(
        np.concatenate([part.images for part in parts]),
        np.concatenate([part.labels for part in parts]),
        {file: digest for part in parts for file, digest in part.files.items()},
        tuple(doubt for part in parts for doubt in part.doubts),
    )


def _checked(source: Source, raw: Raw) -> Raw:
    """``raw``, as a loader must give it: whoever registered one is told what is wrong with it."""
    images, labels = np.asarray(raw.images), np.asarray(raw.labels)
    where = f"the loader of {source.name!r}"
    if images.ndim < 3 or images.shape[:1] != labels.shape:
        raise DatasetFormatError(
            f"{where} must give images (N, C, ...) and labels (N,), got shapes {images.shape} and {labels.shape}"
        )
    if labels.dtype.kind not in "iu" or sorted(set(labels.tolist())) != list(range(source.num_classes)):
        raise DatasetFormatError(
            f"{where} must give integer labels 0..{source.num_classes - 1}, each at least once, got "
            f"{np.unique(labels).tolist()} of {labels.dtype}"
        )
    return raw
