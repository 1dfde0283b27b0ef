"""Data sets by name: where their files are, what to do when there are none, and draws with chosen class counts."""

from __future__ import annotations

import contextlib
import os
import random
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ufm._extras import require
from ufm._validation import integer, one_of
from ufm.data._dataset import Dataset
from ufm.data._formats import (
    CIFAR10,
    CIFAR100,
    FASHION,
    Cifar,
    DatasetWarning,
    Raw,
    read_cifar,
    read_idx_pair,
)

__all__ = [
    "DATASETS",
    "ENVIRONMENT",
    "NUM_CLASSES",
    "SPLITS",
    "DatasetNotFoundError",
    "available_counts",
    "class_order",
    "digit_counts",
    "digits",
    "load_dataset",
]

SPLITS = ("train", "test", "all")
#: Number of classes of each data set.
NUM_CLASSES = {"digits": 10, "mnist1d": 10, "fashion-mnist": 10, "cifar10": 10, "cifar100": 100}
DATASETS = tuple(NUM_CLASSES)

#: Environment variable that names a folder with data sets.
ENVIRONMENT = "UFM_DATA"
#: Where Debian's package dataset-fashion-mnist puts its files.
DEBIAN = Path("/usr/share/datasets/fashion-mnist")
#: Seed of the published MNIST-1D.
MNIST1D_SEED = 42
#: Parts in ten of each digit that are the training split.
DIGITS_TRAIN = 8


class DatasetNotFoundError(FileNotFoundError):
    """Files or the package of a data set are missing; the message says what to put where."""


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
        name: ``"digits"``, ``"mnist1d"``, ``"fashion-mnist"``, ``"cifar10"`` or ``"cifar100"`` (its 100 fine labels).
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
    """How many images of each class a split has; errors as :func:`load_dataset`."""
    return tuple(np.bincount(_raw(name, root, split, None).labels).tolist())


def digit_counts() -> tuple[int, ...]:
    """How many images of the digits 0..9 there are."""
    return available_counts("digits", split="all")


def digits(counts: Sequence[Any], *, seed: Any = 0) -> Dataset:
    """``counts[k]`` images of the digit k, out of all 1797, drawn without replacement and whitened to (N, 64).

    Args:
        counts: images of the digits 0..K-1, 2 <= K <= 10, each >= 1 and at most :func:`digit_counts`.
        seed: of the draw, >= 0. A larger count with the same seed contains the smaller one.

    Raises:
        TypeError, ValueError: a count that is not an integer, too small or larger than the data set offers; K outside
            2..10; a seed that is no integer >= 0.
    """
    return load_dataset("digits", split="all", counts=counts, seed=seed).whitened()


def _sequence(name: str, values: Any) -> list[Any]:
    if isinstance(values, str | bytes) or not isinstance(values, Sequence | np.ndarray):
        raise TypeError(f"{name} must be a sequence of integers, got {values!r}")
    return list(values)


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


# Sources ------------------------------------------------------------------------------------------------------------


def _raw(name: str, root: str | os.PathLike[str] | None, split: str, generation_seed: Any) -> Raw:
    """Images (N, C, ...) as stored, pixels as bytes, and labels (N,) of a split."""
    one_of("name", name, DATASETS)
    one_of("split", split, SPLITS)
    if root is not None and not isinstance(root, str | os.PathLike):
        raise TypeError(f"root must be the path of a folder or None, got {root!r}")
    if generation_seed is not None:
        if name != "mnist1d":
            raise ValueError(
                f"generation_seed must be None for {name!r}, which is not generated, got {generation_seed!r}"
            )
        generation_seed = integer("generation_seed", generation_seed, minimum=0, maximum=2**32 - 1)
    if name == "digits":
        return _digits(split)
    if split == "all":
        parts = [_raw(name, root, part, generation_seed) for part in ("train", "test")]
        return Raw(
            np.concatenate([part.images for part in parts]),
            np.concatenate([part.labels for part in parts]),
            {file: digest for part in parts for file, digest in part.files.items()},
            tuple(doubt for part in parts for doubt in part.doubts),
        )
    if name == "mnist1d":
        return _mnist1d(MNIST1D_SEED if generation_seed is None else generation_seed, split)
    if name == "fashion-mnist":
        return _fashion_mnist(_fashion_files(root, split), split)
    layout = CIFAR10 if name == "cifar10" else CIFAR100
    return _cifar(name, split, _cifar_location(name, layout, root, split))


@cache
def _digits(split: str) -> Raw:
    require("sklearn", extra="data")
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    images = np.asarray(images, dtype=np.float64).reshape(-1, 1, 8, 8) / 16
    labels = np.asarray(labels, dtype=np.int64)
    if split != "all":
        train = np.zeros(len(labels), dtype=bool)
        for k in range(10):
            rows = np.flatnonzero(labels == k)
            train[rows[: len(rows) * DIGITS_TRAIN // 10]] = True
        keep = train if split == "train" else ~train
        images, labels = images[keep], labels[keep]
    return Raw(images, labels)


@lru_cache(maxsize=2)
def _generate_mnist1d(seed: int) -> dict[str, NDArray[Any]]:
    try:
        from mnist1d.data import get_dataset_args, make_dataset
    except ImportError as exc:
        raise DatasetNotFoundError(
            "mnist1d is generated by the Python package mnist1d, which cannot be imported "
            f"({exc}): install it with `pip install mnist1d`, or with this package as `pip install 'ufm[data]'`"
        ) from None
    arguments = get_dataset_args()
    arguments.seed = seed
    with _global_generators_restored():
        return make_dataset(arguments)


def _mnist1d(seed: int, split: str) -> Raw:
    generated = _generate_mnist1d(seed)
    suffix = "" if split == "train" else "_test"
    return Raw(generated[f"x{suffix}"][:, None], generated[f"y{suffix}"].astype(np.int64))


@contextlib.contextmanager
def _global_generators_restored() -> Iterator[None]:
    """The package seeds the global generators of NumPy and Python: others' draws must not depend on it."""
    state, legacy = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        yield
    finally:
        random.setstate(state)
        np.random.set_state(legacy)  # noqa: NPY002


def _fashion_files(root: str | os.PathLike[str] | None, split: str) -> tuple[Path, Path]:
    prefix = "train" if split == "train" else "t10k"
    names = (f"{prefix}-images-idx3-ubyte", f"{prefix}-labels-idx1-ubyte")
    folders = _folders(root, ("fashion-mnist", "FashionMNIST/raw"))
    if root is None:
        folders.append(DEBIAN)

    def find(folder: Path) -> tuple[Path, Path] | list[str]:
        found = [next((p for p in (folder / n, folder / f"{n}.gz") if p.is_file()), None) for n in names]
        if found[0] is not None and found[1] is not None:
            return found[0], found[1]
        return [n for n, p in zip(names, found, strict=True) if p is None]

    return _first(
        folders,
        find,
        f"fashion-mnist was not found. It needs the files {names[0]} and {names[1]}, plain or .gz. Install Debian's "
        f"package dataset-fashion-mnist (it puts them in {DEBIAN}), or put them in a folder and name it",
    )


@lru_cache(maxsize=2)
def _fashion_mnist(files: tuple[Path, Path], split: str) -> Raw:
    return read_idx_pair(*files, shape=(28, 28), num_classes=10, published=FASHION[split])


def _cifar_location(name: str, layout: Cifar, root: str | os.PathLike[str] | None, split: str) -> Path:
    def find(folder: Path) -> Path | list[str]:
        missing = [n for n in layout.files[split] if not (folder / n).is_file()]
        if not missing:
            return folder
        archive = folder / layout.archive
        return archive if archive.is_file() else [*missing, f"or {layout.archive}"]

    return _first(
        _folders(root, (layout.folder,)),
        find,
        f"{name} was not found. It needs {layout.archive} (the binary version of https://www.cs.toronto.edu/~kriz/"
        f"cifar.html) or the files in it, {', '.join(layout.files[split])}. Put either in a folder and name it",
    )


@lru_cache(maxsize=2)
def _cifar(name: str, split: str, location: Path) -> Raw:
    return read_cifar(CIFAR10 if name == "cifar10" else CIFAR100, split, location)


def _folders(root: str | os.PathLike[str] | None, subfolders: tuple[str, ...]) -> list[Path]:
    place = os.environ.get(ENVIRONMENT) if root is None else root
    return [Path(place).expanduser() / sub for sub in ("", *subfolders)] if place else []


def _first(folders: list[Path], find: Callable[[Path], Any], message: str) -> Any:
    """What ``find`` finds in the first folder that has all; it lists what is missing elsewhere."""
    searched = []
    for folder in folders:
        found = find(folder)
        if not isinstance(found, list):
            return found
        searched.append(f"{folder} ({'lacks ' + ', '.join(found) if folder.is_dir() else 'no such folder'})")
    places = f" Searched: {'; '.join(searched)}." if searched else ""
    raise DatasetNotFoundError(f"{message} as root or in the environment variable {ENVIRONMENT}.{places}")
