"""Arguments of another kind that a stranger gives: the same value in another dress, or one that hardly is a number.

:func:`dressed` returns what stands for a value, and whether it is the same value: then the call either answers as it
does for the plain one, or refuses by name.
"""

from __future__ import annotations

import array as arrays
import decimal
import enum
import fractions
import random
from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["dressed"]


class Whole(int):
    """An int of one's own."""


class Named(str):
    """A str of one's own."""


class Stated(enum.IntEnum):
    """Whole numbers with names."""

    ONE = 1
    TWO = 2
    THREE = 3
    FOUR = 4
    FIVE = 5


class Row(np.ndarray):
    """An array of one's own."""


def _tensor(value: Any, **more: Any) -> Any:
    import torch

    return torch.tensor(np.array(value), **more)


def _half(value: Any) -> Any:
    import torch

    return torch.tensor(np.array(value)).to(torch.bfloat16)


def _frame(value: Any) -> Any:
    import pandas as pd

    found = np.asarray(value)
    return pd.Series(found) if found.ndim == 1 else pd.DataFrame(found)


def _strided(value: Any) -> Any:
    """Every second entry of an array twice as long."""
    found = np.asarray(value)
    return np.repeat(found, 2, axis=-1)[..., ::2]


def _labelled(value: Any) -> Any:
    import xarray as xr

    return xr.DataArray(np.asarray(value))


def _read_only(value: Any) -> Any:
    found = np.array(value)
    found.flags.writeable = False
    return found


Dress = Callable[[Any], Any]

#: The same number in another dress.
SAME_NUMBERS: tuple[Dress, ...] = (
    np.float64,
    np.longdouble,
    np.array,
    fractions.Fraction,
    decimal.Decimal,
    _tensor,
    lambda x: np.ma.masked_array(x),
    lambda x: np.array([x])[0],
    lambda x: np.array(x, dtype=object),
)
#: The same whole number in another dress.
SAME_WHOLES: tuple[Dress, ...] = (
    Whole,
    np.int8,
    np.uint8,
    np.int64,
    np.uint64,
    float,
    Stated,
    *SAME_NUMBERS,
)
#: The same entries in another dress.
SAME_ARRAYS: tuple[Dress, ...] = (
    np.asfortranarray,
    np.longdouble,
    list,
    tuple,
    iter,
    _tensor,
    lambda x: _tensor(x, requires_grad=True),
    _frame,
    _labelled,
    _strided,
    _read_only,
    lambda x: np.asarray(x).view(Row),
    lambda x: np.ma.masked_array(x),
    lambda x: np.asarray(x).astype(np.asarray(x).dtype.newbyteorder(">")),
    lambda x: np.asarray(x)[::-1][::-1],
    lambda x: np.asarray(x, dtype=object),
    lambda x: arrays.array("d", x),
    lambda x: (y for y in x),
)
#: Something else than the number.
OTHER_NUMBERS: tuple[Dress, ...] = (
    np.float16,
    np.float32,
    complex,
    bool,
    str,
    lambda x: None,
    lambda x: [x],
    lambda x: np.array([x]),
    lambda x: np.array([[x, x]]),
    lambda x: -0.0,
    lambda x: np.float64("nan"),
    lambda x: np.float32("inf"),
    lambda x: 10**400,
    lambda x: fractions.Fraction(10**400, 3),
    lambda x: fractions.Fraction(1, 10**400),
    lambda x: decimal.Decimal("NaN"),
    lambda x: np.longdouble("1e4000"),
    lambda x: np.longdouble("1e-4000"),
    lambda x: 5e-324,
    lambda x: np.finfo(float).max,
    lambda x: np.nextafter(x, np.inf),
    lambda x: np.timedelta64(1, "s"),
    lambda x: np.datetime64("2024-01-01"),
    lambda x: np.bool_(True),
    lambda x: np.complex128(x),
    lambda x: _half(x),
    lambda x: _tensor([x, x]),
    lambda x: np.ma.masked_array(x, mask=True),
    lambda x: (y for y in [x]),
    lambda x: {x},
    lambda x: {"value": x},
    lambda x: float,
    lambda x: range(3),
    lambda x: f"{x}",
    lambda x: "",
    lambda x: b"",
    lambda x: ...,
)
#: Something else than the array.
OTHER_ARRAYS: tuple[Dress, ...] = (
    lambda x: np.asarray(x, dtype=np.float16),
    lambda x: np.asarray(x, dtype=np.float32),
    _half,
    lambda x: np.asarray(x).astype(bool),
    lambda x: np.asarray(x).astype(complex),
    lambda x: np.asarray(x).astype("U8"),
    lambda x: np.asarray(x).astype("S8"),
    lambda x: np.asarray(x).astype("datetime64[s]"),
    lambda x: np.asarray(x).ravel()[0],
    lambda x: np.float64(1.0),
    lambda x: np.array(1.0),
    lambda x: np.array(x) * 0 - 0.0,
    lambda x: np.array(x) * 5e-324,
    lambda x: np.full(np.shape(x), np.finfo(float).max),
    lambda x: np.full(np.shape(x), np.longdouble("1e4000")),
    lambda x: np.empty((0, *np.shape(x)[1:])),
    lambda x: np.array(x)[None],
    lambda x: np.array(x)[..., None],
    lambda x: _tensor(x).to_sparse(),
    lambda x: _tensor(x) * 1j,
    lambda x: np.ma.masked_all(np.shape(x)),
    lambda x: set(np.ravel(x).tolist()),
    lambda x: dict(enumerate(x)),
    lambda x: zip(x, x, strict=True),
    lambda x: range(len(x)),
    lambda x: map(str, x),
    lambda x: memoryview(np.ascontiguousarray(x)),
    lambda x: [*x, None],
    lambda x: [*x, "1"],
    lambda x: [fractions.Fraction(1, 3)] * len(x),
    lambda x: np.zeros(len(x), dtype=[("a", float)]),
    lambda x: None,
    lambda x: "abc",
    lambda x: 3,
    lambda x: True,
    lambda x: np.array,
)
#: Something else than a word, an object or None.
OTHER_THINGS: tuple[Dress, ...] = (
    lambda x: np.str_(x),
    lambda x: Named(x),
    lambda x: str(x).upper(),
    lambda x: f" {x} ",
    lambda x: f"{x}\x00",
    lambda x: str(x).encode(),
    lambda x: np.array(x),
    lambda x: [x],
    lambda x: (x, x),
    lambda x: {x: x},
    lambda x: None,
    lambda x: lambda: x,
    lambda x: type(x),
    lambda x: np.array(x, dtype=object),
    lambda x: np.ma.masked,
    lambda x: np.nan,
    lambda x: 0,
    lambda x: Whole(1),
    lambda x: -0.0,
    lambda x: ...,
    lambda x: _tensor(1.0),
    lambda x: _frame([1.0, 2.0]),
)


def dressed(rng: random.Random, value: Any) -> tuple[Any, bool]:
    """What stands for ``value``, and whether it is the same; ``value`` itself where the dress does not fit it."""
    if isinstance(value, bool | str) or value is None:
        same, other = (), OTHER_THINGS
    elif isinstance(value, int):
        same, other = SAME_WHOLES, OTHER_NUMBERS
    elif isinstance(value, float):
        same, other = SAME_NUMBERS, OTHER_NUMBERS
    elif isinstance(value, np.ndarray) or (isinstance(value, list | tuple) and _is_numbers(value)):
        same, other = SAME_ARRAYS, OTHER_ARRAYS
    else:
        same, other = (), OTHER_THINGS
    kept = bool(same) and rng.random() < 0.5
    try:
        return rng.choice(same if kept else other)(value), kept
    except (TypeError, ValueError, OverflowError, RuntimeError, IndexError):
        return value, True


def _is_numbers(value: Any) -> bool:
    return bool(len(value)) and all(isinstance(x, int | float) and not isinstance(x, bool) for x in value)
