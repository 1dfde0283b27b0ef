"""Values as JSON has them."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import numpy as np

__all__ = ["plain", "strict"]

#: Digits of the longest integers that are written; Python itself refuses to write or read 4300 and more.
DIGITS = 4000
LARGEST = 10**DIGITS


def plain(name: str, value: Any) -> Any:
    """``value`` as dicts, lists, strings, booleans, None, ints and floats, NumPy's types turned into Python's.

    >>> plain("result", {"s": np.float64(0.5), "margins": np.array([1, 2])})
    {'s': 0.5, 'margins': [1, 2]}

    Raises:
        TypeError: what JSON has no type for, or a key that is no string; the message names ``name``.
        ValueError: an integer too long to be written.
    """
    if value is None or isinstance(value, str | bool):
        return str(value) if isinstance(value, StrEnum) else value
    if isinstance(value, np.bool_):
        return bool(value)
    if isinstance(value, numbers.Integral):
        if abs(int(value)) >= LARGEST:
            raise ValueError(f"{name} must hold integers of at most {DIGITS} digits, which JSON's readers take")
        return int(value)
    if isinstance(value, numbers.Real | np.floating):
        return float(value)
    if isinstance(value, np.ndarray):
        return plain(name, value.tolist())
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise TypeError(f"{name} must have string keys, got {key!r}")
        return {key: plain(f"{name}[{key!r}]", item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(f"{name}[{i}]", item) for i, item in enumerate(value)]
    raise TypeError(f"{name} must hold only what JSON can, got {value!r} of type {type(value).__name__}")


def strict(value: Any) -> Any:
    """A plain value without the floats that JSON has no number for: they become their names.

    >>> strict({"ratio": math.inf, "cosines": [0.5, math.nan]})
    {'ratio': 'Infinity', 'cosines': [0.5, 'NaN']}
    """
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {key: strict(item) for key, item in value.items()}
    if isinstance(value, list):
        return [strict(item) for item in value]
    return value
