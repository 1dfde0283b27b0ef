"""Checks at the door: every message names the argument, the value it had and what is allowed."""

from __future__ import annotations

import dataclasses
import math
import numbers
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

__all__ = ["fraction", "integer", "one_of", "positive", "real"]


def real(name: str, value: Any) -> float:
    """Return ``value`` as a finite float, or raise naming the argument ``name``."""
    if type(value) is float:  # by far the most frequent, and isinstance with abstract classes is slow
        number = value
    elif isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Real | np.floating | np.integer):
        raise TypeError(f"{name} must be a real number, got {value!r} of type {type(value).__name__}")
    else:
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
    if not math.isfinite(number):
        raise ValueError(f"{name} must be finite, got {value!r}")
    return number


def positive(name: str, value: Any) -> float:
    """Return ``value`` as a finite float > 0."""
    number = real(name, value)
    if number <= 0:
        raise ValueError(f"{name} must be > 0 and finite, got {value!r}")
    return number


def fraction(name: str, value: Any) -> float:
    """Return ``value`` as a float in [0, 1)."""
    number = real(name, value)
    if not 0 <= number < 1:
        raise ValueError(f"{name} must lie in [0, 1), got {value!r}")
    return number


def integer(name: str, value: Any, *, minimum: int, maximum: int | None = None, reason: str = "") -> int:
    """Return ``value`` as an int >= ``minimum`` (integral floats are accepted, booleans are not)."""
    number = real(name, value)
    if number != int(number):
        raise ValueError(f"{name} must be an integer >= {minimum}, got {value!r}")
    if number < minimum or (maximum is not None and number > maximum):
        allowed = f">= {minimum}" if maximum is None else f"between {minimum} and {maximum}"
        raise ValueError(f"{name} must be an integer {allowed}, got {value!r}{'; ' + reason if reason else ''}")
    return int(number)


def one_of(name: str, value: Any, allowed: Iterable[str]) -> str:
    """Return ``value`` if it is one of the ``allowed`` strings."""
    options = tuple(allowed)
    if not isinstance(value, str):
        raise TypeError(f"{name} must be one of {', '.join(map(repr, options))}, got {value!r}")
    if value not in options:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, options))}, got {value!r}")
    return value


def known_fields(what: str, config: type[Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    """``fields``, all of them fields of the dataclass ``config``; ValueError for one that ``what`` does not have."""
    unknown = set(fields) - {f.name for f in dataclasses.fields(config)}
    if unknown:
        raise ValueError(f"{what} has no field {', '.join(sorted(map(repr, unknown)))}")
    return dict(fields)
