"""Real and generated images with chosen class counts: one interface, :func:`load_dataset`.

Which data sets there are :data:`DATASETS` says, and :func:`dataset_table` shows: each is a module of
:mod:`ufm.data.sources`, and :func:`register_dataset` adds another. The names load lazily.

>>> from ufm.data import DATASETS
>>> list(DATASETS)
['digits', 'cifar10', 'cifar100', 'fashion-mnist', 'mnist1d']
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_EXPORTS = {
    "DATASETS": "ufm.data._registry",
    "Dataset": "ufm.data.dataset",
    "DatasetFormatError": "ufm.data.raw",
    "DatasetNotFoundError": "ufm.data.raw",
    "DatasetWarning": "ufm.data.raw",
    "ENVIRONMENT": "ufm.data.places",
    "NUM_CLASSES": "ufm.data._registry",
    "Raw": "ufm.data.raw",
    "SPLITS": "ufm.data._registry",
    "Source": "ufm.data._registry",
    "available_counts": "ufm.data.load",
    "class_order": "ufm.data.load",
    "dataset_table": "ufm.data._registry",
    "digit_counts": "ufm.data.load",
    "digits": "ufm.data.load",
    "load_dataset": "ufm.data.load",
    "long_tailed_counts": "ufm.data.dataset",
    "read_idx": "ufm.data.idx",
    "register_dataset": "ufm.data._registry",
    "step_counts": "ufm.data.dataset",
    "unregister_dataset": "ufm.data._registry",
}

if TYPE_CHECKING:
    from ufm.data._registry import (
        DATASETS,
        NUM_CLASSES,
        SPLITS,
        Source,
        dataset_table,
        register_dataset,
        unregister_dataset,
    )
    from ufm.data.dataset import Dataset, long_tailed_counts, step_counts
    from ufm.data.idx import read_idx
    from ufm.data.load import available_counts, class_order, digit_counts, digits, load_dataset
    from ufm.data.places import ENVIRONMENT
    from ufm.data.raw import DatasetFormatError, DatasetNotFoundError, DatasetWarning, Raw

__all__ = [
    "DATASETS",
    "ENVIRONMENT",
    "NUM_CLASSES",
    "SPLITS",
    "Dataset",
    "DatasetFormatError",
    "DatasetNotFoundError",
    "DatasetWarning",
    "Raw",
    "Source",
    "available_counts",
    "class_order",
    "dataset_table",
    "digit_counts",
    "digits",
    "load_dataset",
    "long_tailed_counts",
    "read_idx",
    "register_dataset",
    "step_counts",
    "unregister_dataset",
]


def __getattr__(name: str) -> Any:
    if name in _EXPORTS:
        value = getattr(importlib.import_module(_EXPORTS[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
