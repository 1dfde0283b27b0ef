"""The data sets by name: each is a module of :mod:`ufm.data.sources` that registers its loader here.

A new one is such a module and a test. What says which data sets there are, error messages, the command line, tables and
the trainings that take them, reads :data:`DATASETS`.
"""

from __future__ import annotations

import importlib
import inspect
import os
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ufm.data.raw import Raw

__all__ = [
    "DATASETS",
    "NUM_CLASSES",
    "SPLITS",
    "Loader",
    "Root",
    "Source",
    "dataset_table",
    "register_dataset",
    "unregister_dataset",
]

SPLITS = ("train", "test", "all")

Root = str | os.PathLike[str] | None
#: ``load(split, root)``, or ``load(split, root, generation_seed)`` of a set that is generated.
Loader = Callable[..., "Raw"]


@dataclass(frozen=True)
class Source:
    """A data set as it is registered.

    Attributes:
        name: what :func:`ufm.data.load_dataset` calls it.
        num_classes: K; labels are 0..K-1.
        what: size and shape in a few words, for tables.
        where: where its images come from, for tables.
        load: gives a split as stored.
        has_whole: whether ``load`` knows the split ``"all"``; else that is its training split, then its test split.
        is_bundled: whether its images are there wherever the package is, so that counts can be checked at once.
        default_generation_seed: of a set that is generated: the seed of the published one; None for any other.
        fitted_split: the split that trainings on the modelled objective draw from
            (:class:`ufm.deq.TrainingConfig`), None where they do not take the data set.
    """

    name: str
    num_classes: int
    what: str
    where: str
    load: Loader
    has_whole: bool = False
    is_bundled: bool = False
    default_generation_seed: int | None = None
    fitted_split: str | None = None


_SOURCES: dict[str, Source] = {}


def register_dataset(
    name: str,
    *,
    num_classes: int,
    what: str,
    where: str,
    has_whole: bool = False,
    is_bundled: bool = False,
    default_generation_seed: int | None = None,
    fitted_split: str | None = None,
) -> Callable[[Loader], Loader]:
    """Decorate the loader of a data set, ``load(split, root) -> Raw``, and every name-taking function knows it.

    Args:
        name: not taken by another loader; the same function may register again.
        num_classes: K >= 2.
        what, where, has_whole, is_bundled, default_generation_seed, fitted_split: see :class:`Source`. A set with a
            ``default_generation_seed`` has a loader ``load(split, root, generation_seed)``.

    Raises:
        TypeError, ValueError: an argument is not what it should be; the message names it.

    >>> import numpy as np
    >>> from ufm.data import load_dataset
    >>> from ufm.data.raw import Raw
    >>> @register_dataset("corners", num_classes=2, what="4 dots, 1 x 2 x 2", where="this example")
    ... def corners(split, root):
    ...     return Raw(np.eye(4).reshape(4, 1, 2, 2), np.array([0, 0, 1, 1]))
    >>> load_dataset("corners", counts=[2, 1]).counts
    (2, 1)
    >>> unregister_dataset("corners")
    """
    for argument, text in (("name", name), ("what", what), ("where", where)):
        if not isinstance(text, str):
            raise TypeError(f"{argument} must be a string, got {text!r}")
    if not name:
        raise ValueError("name must not be empty, got ''")
    # By hand: the package's checks import NumPy, and names must be had without it.
    if not isinstance(num_classes, int) or num_classes < 2:
        raise ValueError(f"num_classes must be an integer >= 2, got {num_classes!r}")
    if fitted_split is not None and fitted_split not in SPLITS:
        raise ValueError(f"fitted_split must be one of {', '.join(map(repr, SPLITS))}, got {fitted_split!r}")

    def register(load: Loader) -> Loader:
        parameters = 2 if default_generation_seed is None else 3
        if not callable(load) or len(inspect.signature(load).parameters) != parameters:
            wanted = "load(split, root)" if parameters == 2 else "load(split, root, generation_seed)"
            raise TypeError(f"the loader of {name!r} must be a function {wanted}, got {load!r}")
        taken = _SOURCES.get(name)
        if taken is not None and _place(taken.load) != _place(load):
            raise ValueError(f"name must be new, got {name!r}, which {_place(taken.load)} has registered")
        _SOURCES[name] = Source(
            name,
            num_classes,
            what,
            where,
            load,
            has_whole,
            is_bundled,
            default_generation_seed,
            fitted_split,
        )
        return load

    return register


def unregister_dataset(name: str) -> None:
    """Forget a data set that :func:`register_dataset` was told of; ValueError for a name that nobody has registered.

    >>> unregister_dataset("bogus")
    Traceback (most recent call last):
    ValueError: name must be one of 'digits', ..., got 'bogus'
    """
    from ufm._validation import one_of

    del _SOURCES[one_of("name", name, DATASETS)]


def _place(load: Loader) -> str:
    return f"{load.__module__}.{getattr(load, '__qualname__', load)}"


class _Registered(Mapping[str, Any]):
    """A view of what is registered, or of one attribute of it: bundled sets first, then by name."""

    def __init__(self, attribute: str | None = None) -> None:
        self._attribute = attribute

    def __getitem__(self, name: str) -> Any:
        source = self._known()[name]
        return source if self._attribute is None else getattr(source, self._attribute)

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._known(), key=lambda name: (not _SOURCES[name].is_bundled, name)))

    def __len__(self) -> int:
        return len(self._known())

    def __repr__(self) -> str:
        return f"{type(self).__name__}({dict(self)!r})"

    @staticmethod
    def _known() -> dict[str, Source]:
        _import_sources()
        return _SOURCES


@cache
def _import_sources() -> None:
    """Let every module in :mod:`ufm.data.sources` register what it has, once."""
    package = importlib.import_module("ufm.data.sources")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")


#: What :func:`ufm.data.load_dataset` knows, by name.
DATASETS: Mapping[str, Source] = _Registered()
#: Number of classes of each data set.
NUM_CLASSES: Mapping[str, int] = _Registered("num_classes")


def dataset_table() -> str:
    """The registered data sets as a Markdown table: name, what it is, where it comes from, split that is fitted.

    >>> print("\\n".join(dataset_table().splitlines()[:3]))
    | name | what | where from | split of trainings on the modelled objective |
    |---|---|---|---|
    | `digits` | 1797 handwritten digits, 1 x 8 x 8 | scikit-learn | all |
    """
    lines = ["| name | what | where from | split of trainings on the modelled objective |", "|---|---|---|---|"]
    lines += [f"| `{s.name}` | {s.what} | {s.where} | {s.fitted_split or '–'} |" for s in DATASETS.values()]
    return "\n".join(lines) + "\n"
