"""What assertions share: the arrays and tolerances they take, and how they fail."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ufm._validation import as_array

__all__ = ["Array", "exceeds", "fail", "infinite", "matrix"]

Array = NDArray[np.float64]


def fail(headline: str, wrong: Iterable[str]) -> None:
    """Raise AssertionError with a line for each thing that is wrong, if anything is."""
    lines = list(wrong)
    if lines:
        raise AssertionError("\n".join([headline, *(f"  - {line}" for line in lines)]))


def matrix(name: str, value: ArrayLike) -> Array:
    """A matrix under test as float64.

    Raises:
        TypeError, ValueError: it is no matrix of real numbers, or has masked entries: the test is wrong.
        AssertionError: it has entries that are NaN or infinite: what is tested is wrong.
    """
    found = as_array(name, value)
    if found.dtype.kind not in "iuf":
        raise TypeError(f"{name} must be a matrix of real numbers, got dtype {found.dtype}")
    if found.ndim != 2 or not found.size:
        raise ValueError(f"{name} must be a matrix, got shape {found.shape}")
    found = found.astype(np.float64)
    if not np.isfinite(found).all():
        raise AssertionError(f"{name} is not finite: {int((~np.isfinite(found)).sum())} entries are NaN or infinite")
    return found


def exceeds(value: float, bound: float) -> bool:
    """Whether ``value`` is not at most ``bound``: NaN, which is not, exceeds every bound."""
    return not value <= bound


def infinite(quantities: dict[str, Any]) -> list[str]:
    """A line for each of the numbers and arrays, by name, that is not finite; None is no quantity.

    >>> infinite({"the value": np.inf, "the logits": np.array([1.0, np.nan]), "A": None, "H": np.eye(2)})
    ['the value is not finite: inf', 'the logits are not finite: 1 of 2 entries']
    """
    lines = []
    for name, value in quantities.items():
        wrong = 0 if value is None else int((~np.isfinite(np.asarray(value, dtype=float))).sum())
        if wrong and np.ndim(value):
            lines.append(f"{name} are not finite: {wrong} of {np.size(value)} entries")
        elif wrong:
            lines.append(f"{name} is not finite: {value!r}")
    return lines
