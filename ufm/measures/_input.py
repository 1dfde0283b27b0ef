"""What may be passed to measures: features, labels, a classifier and its bias."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ufm._validation import array
from ufm.labels import ClassPrior

__all__ = [
    "LARGEST",
    "LARGEST_SQUARE",
    "Array",
    "IntArray",
    "check_prior",
    "checked_classifier",
    "checked_features",
    "checked_labels",
    "chunks",
    "refuse_network",
]

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: Features and classifiers must stay below this, so that no logit squared overflows.
LARGEST = 1e70
LARGEST_SQUARE = 1e150

#: Entries that are converted to float64 and centred at a time: what a core's cache holds, but at least some rows.
CHUNK, FEWEST_ROWS = 1 << 18, 256


def checked_features(value: Any) -> NDArray[Any]:
    """(n, d) finite features, still of their own type: conversion to float64 goes by :func:`chunks`.

    Raises:
        TypeError, ValueError: anything else; see :func:`refuse_network`.
    """
    refuse_network(value)
    found = array("features", value, ndim=2, shape="(n, d)", empty=True, dtype=None, largest=LARGEST)
    if found.shape[1] == 0:
        raise ValueError(f"features must have shape (n, d), one row a sample and d >= 1, got {found.shape}")
    return found


def refuse_network(features: Any) -> None:
    """Raise TypeError for a network in place of its features, which ``measure(network, loader)`` would be."""
    if callable(features) and not hasattr(features, "shape"):
        raise TypeError(
            "features must be what a network gives its last layer, an array of shape (n, d) or batches of it, got a "
            f"{type(features).__name__}, which can be called: pass its outputs, such as "
            "measure([(features_of(x), y) for x, y in loader], classifier=W)"
        )


def checked_labels(name: str, value: Any, *, num_classes: int | None, length: int) -> IntArray:
    """``length`` integers in 0..num_classes-1 (>= 0 where that is None), or an error that names ``name``."""
    found = array(name, value, ndim=1, shape="(n,)", integers=True, empty=True, dtype=None)
    if len(found) != length:
        raise ValueError(f"{name} must have as many entries as features has rows, {length}, got {len(found)}")
    if len(found) and (found.min() < 0 or (num_classes is not None and found.max() >= num_classes)):
        allowed = ">= 0" if num_classes is None else f"between 0 and {num_classes - 1}"
        raise ValueError(f"{name} must be {allowed}, got values from {found.min()} to {found.max()}")
    return found.astype(np.int64, copy=False)


def checked_classifier(classifier: Any, bias: Any, k: int, d: int, rows: str = "K") -> tuple[Array | None, Array]:
    """W (K, d) or None, and b (K,), zero where there is none; ``rows`` is what messages call the K."""
    if classifier is None:
        if bias is not None:
            raise ValueError("bias must come with a classifier, got none")
        return None, np.zeros(k)
    w = array("classifier", classifier, ndim=2, largest=LARGEST)
    if w.shape != (k, d):
        raise ValueError(f"classifier must have shape ({rows}, d) = {(k, d)}, got {w.shape}")
    b = np.zeros(k) if bias is None else array("bias", bias, ndim=1, largest=LARGEST)
    if b.shape != (k,):
        raise ValueError(f"bias must have shape ({rows},) = {(k,)}, got {b.shape}")
    return w, b


def check_prior(prior: Any) -> ClassPrior:
    """``prior`` if it is one, else a TypeError."""
    if not isinstance(prior, ClassPrior):
        raise TypeError(f"prior must be a ufm.ClassPrior, got {prior!r}")
    return prior


def chunks(shape: tuple[int, ...]) -> Iterator[slice]:
    """Slices that cover the rows of an (n, d) array, some :data:`CHUNK` entries at a time."""
    rows = max(FEWEST_ROWS, CHUNK // shape[1])
    for start in range(0, shape[0], rows):
        yield slice(start, start + rows)
