"""Checks at the door: every message names the argument, the value it had and what is allowed."""

from __future__ import annotations

import dataclasses
import math
import numbers
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

__all__ = [
    "array",
    "as_array",
    "fraction",
    "integer",
    "known_fields",
    "one_of",
    "positive",
    "real",
    "sequence",
    "starts_of",
    "tolerance",
]


def real(name: str, value: Any) -> float:
    """Return ``value`` as a finite float, or raise naming the argument ``name``."""
    if type(value) is float:  # by far the most frequent, and isinstance with abstract classes is slow
        number = value
    elif isinstance(value, bool | np.bool_ | np.timedelta64) or not isinstance(
        value, numbers.Real | np.floating | np.integer
    ):
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


#: Largest relative gap that may be asked for, and largest number of random starts.
LARGEST_TOLERANCE, MOST_STARTS = 0.01, 10**5


def tolerance(name: str, value: Any) -> float:
    """Return ``value`` as a relative duality gap in (0, 0.01]: a larger one proves nothing of an optimum."""
    number = positive(name, value)
    if number > LARGEST_TOLERANCE:
        raise ValueError(f"{name} must be a relative gap of at most {LARGEST_TOLERANCE:g}, got {value!r}")
    return number


def starts_of(name: str, value: Any) -> int:
    """Return ``value`` as a number of random starts between 1 and 100000."""
    return integer(name, value, minimum=1, maximum=MOST_STARTS)


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


def array(
    name: str,
    value: Any,
    *,
    ndim: int | None = None,
    shape: str = "",
    integers: bool = False,
    largest: float = math.inf,
    empty: bool = False,
    finite: bool = True,
    dtype: DTypeLike | None = np.float64,
) -> NDArray[Any]:
    """Return ``value`` as a NumPy array of finite real numbers, or raise naming the argument ``name``.

    Takes what NumPy reads as an array (nested sequences, xarray, pandas) and torch tensors of any device and float
    type. Refuses masked entries, whose values mean nothing, rather than count them.

    Args:
        name: of the argument.
        value: what was given for it.
        ndim: number of dimensions; None for any.
        shape: how the message writes the wanted shape, such as ``"(n, d)"``.
        integers: whether the entries must be of an integer type.
        largest: bound on the size of the entries.
        empty: whether an axis may be empty.
        finite: whether the entries must be finite.
        dtype: of the result; None for the array's own.

    Raises:
        TypeError: entries that are masked or no real numbers (booleans, complex numbers, strings and objects are none).
        ValueError: rows of different lengths, another number of dimensions, an empty axis, or entries that are NaN,
            infinite or too large.

    >>> array("W", [[1, 2], [3, 4]], ndim=2).dtype
    dtype('float64')
    >>> array("W", [1.0, float("nan")])
    Traceback (most recent call last):
        ...
    ValueError: W must be finite, got nan at index 1
    """
    found = as_array(name, value)
    if not np.issubdtype(found.dtype, np.integer) and (integers or not np.issubdtype(found.dtype, np.floating)):
        raise TypeError(f"{name} must be {'integers' if integers else 'real numbers'}, got {_kind(value, found)}")
    if (ndim is not None and found.ndim != ndim) or (not empty and 0 in found.shape):
        wanted = f"shape {shape}" if shape else "any shape" if ndim is None else f"{ndim} dimension(s)"
        raise ValueError(f"{name} must have {wanted}{'' if empty else ' and not be empty'}, got shape {found.shape}")
    if finite:
        _check_finite(name, found, largest)
    return found if dtype is None else found.astype(dtype, copy=False)


def as_array(name: str, value: Any) -> NDArray[Any]:
    """Return ``value``, an array, nested sequence or torch tensor of whatever entries, as a NumPy array.

    The door of every array: what it holds is checked behind it, by :func:`array` or by the rules of the argument.

    Raises:
        TypeError: masked entries: NumPy would silently count what stands under the mask.
        ValueError: rows of different lengths.
    """
    masked = _masked_entries(value)
    if masked:
        raise TypeError(f"{name} must have no masked entries, got {masked} of them: fill them in, or leave them out")
    try:
        if hasattr(value, "detach"):  # a torch tensor, without importing torch
            tensor = value.detach().cpu()
            return (tensor.float() if "float16" in str(tensor.dtype) else tensor).numpy()  # NumPy has no bfloat16
        return np.asarray(value)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{name} must be an array of numbers, got {type(value).__name__}: {error}") from error


def _masked_entries(value: Any) -> int:
    """Number of masked entries of an array, or of the arrays in a nested sequence."""
    if isinstance(value, np.ma.MaskedArray):
        return int(np.ma.count_masked(value))
    return sum(map(_masked_entries, value)) if isinstance(value, list | tuple) else 0


def _check_finite(name: str, found: NDArray[Any], largest: float) -> None:
    if not found.size:
        return
    low, high = float(found.min()), float(found.max())  # NaN if one entry is; without a copy of a large array
    if not (math.isfinite(low) and math.isfinite(high)):
        with np.errstate(over="ignore"):
            where = np.argwhere(~np.isfinite(found.astype(float)))[0].tolist()  # a longdouble may leave float64
        at = where[0] if len(where) == 1 else tuple(where)
        raise ValueError(
            f"{name} must be finite, got {found[tuple(where)].item()!r}{f' at index {at}' if where else ''}"
        )
    if max(-low, high) > largest:
        raise ValueError(f"{name} must be finite and at most {largest:g} in size, got {low} to {high}")


def _kind(value: Any, found: NDArray[Any]) -> str:
    """What was given in place of numbers: its dtype, or the class of an object that is no array."""
    return type(value).__name__ if found.dtype == object and found.ndim == 0 else f"dtype {found.dtype}"


def sequence(name: str, values: Any, of: str) -> tuple[Any, ...]:
    """Return ``values`` as a tuple, or raise a TypeError that says a sequence ``of`` what it must be.

    >>> sequence("classes", range(2), "class indices")
    (0, 1)
    >>> sequence("classes", 3, "class indices")
    Traceback (most recent call last):
        ...
    TypeError: classes must be a sequence of class indices, got 3
    """
    try:
        if isinstance(values, str | bytes):
            raise TypeError
        return tuple(values)
    except TypeError:  # not everything that has __iter__ can be iterated: arrays and tensors without dimensions
        raise TypeError(f"{name} must be a sequence of {of}, got {values!r:.200}") from None


def reals(name: str, values: Any) -> tuple[float, ...]:
    """Return ``values`` as a tuple of finite floats, at least one."""
    return _each(real, name, values)


def positives(name: str, values: Any) -> tuple[float, ...]:
    """Return ``values`` as a tuple of finite floats > 0, at least one."""
    return _each(positive, name, values)


def _each(check: Callable[[str, Any], float], name: str, values: Any) -> tuple[float, ...]:
    if getattr(values, "ndim", 1) > 1:
        raise ValueError(f"{name} must be one-dimensional, got shape {getattr(values, 'shape', None)}")
    found = tuple(check(f"{name}[{i}]", value) for i, value in enumerate(sequence(name, values, "real numbers")))
    if not found:
        raise ValueError(f"{name} must have at least one entry, got none")
    return found
