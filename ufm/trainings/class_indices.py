"""Labels of a sample beside its activations: which class each is of."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ufm._validation import as_array

__all__ = ["class_indices"]


def class_indices(labels: Any, size: int, num_classes: int | None = None, *, row: str = "sample") -> NDArray[np.int64]:
    """``labels`` as class indices, shape (size,), with every class at least once.

    Args:
        labels: integers, one a sample.
        size: number of samples N.
        num_classes: K; None for as many as the largest label says, at least 2.
        row: what the message calls a sample.

    Raises:
        TypeError: labels that are no integers.
        ValueError: another number of them, one that is no class, or a class without a sample.

    >>> class_indices([0, 1, 1], 3)
    array([0, 1, 1])
    """
    found = as_array("labels", labels)
    if found.dtype.kind not in "iu":
        raise TypeError(f"labels must be integers, got {labels!r}")
    if found.shape != (size,):
        raise ValueError(f"labels must have shape {(size,)}, one for each {row}, got {found.shape}")
    found = found.astype(np.int64)
    k = max(int(found.max(initial=0)) + 1, 2) if num_classes is None else num_classes
    wrong = found[(found < 0) | (found >= k)]
    if wrong.size:
        raise ValueError(f"labels must lie in 0..{k - 1}, one for each class, got {wrong[0]}")
    missing = sorted(set(range(k)) - set(found.tolist()))
    if missing:
        raise ValueError(f"labels must hold every class 0..{k - 1} at least once, got none of {missing}")
    return found
