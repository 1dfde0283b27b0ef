"""JSON with one text a value: what points are known by, and what the store holds."""

from __future__ import annotations

import hashlib
import json
import math
import reprlib
from collections.abc import Mapping
from typing import Any

__all__ = ["content_key", "decode_result", "dumps", "encode_result", "plain"]

#: An infinite float of a result, which JSON has no number for, is an object with this one key.
FLOAT = "$float"

#: Bits of the longest integers; Python writes and reads none of more than 4300 digits.
LONGEST = 13_000


def plain(name: str, value: Any, *, infinities: bool = False) -> Any:
    """``value`` as None, bool, int, float, str, list and dict; arrays and NumPy scalars through their ``tolist``.

    Args:
        name: what to call the value in a message.
        value: anything made of JSON values.
        infinities: encode an infinite float as ``{"$float": "inf"}`` rather than refuse it.

    Raises:
        TypeError: something that JSON has no type for, masked entries, or a key that is not a string.
        ValueError: NaN; an integer too long to be written; an infinite float, or the key ``"$float"`` where
            ``infinities`` gives it a meaning.
    """
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        if value.bit_length() > LONGEST:
            raise ValueError(f"{name} must be an integer of at most {LONGEST} bits, got one of {value.bit_length()}")
        return int(value)
    if isinstance(value, float):
        if math.isfinite(value):
            return float(value)
        if infinities and math.isinf(value):
            return {FLOAT: "inf" if value > 0 else "-inf"}
        raise ValueError(f"{name} must be {'a number' if infinities else 'finite'}, got {float(value)!r}")
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise TypeError(f"{name} must have strings as keys, got {key!r}")
            if infinities and key == FLOAT:
                raise ValueError(f"{name} must not have the key {FLOAT!r}, which stands for infinite floats")
        return {str(key): plain(f"{name}.{key}", item, infinities=infinities) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(f"{name}[{i}]", item, infinities=infinities) for i, item in enumerate(value)]
    if hasattr(value, "dtype") and hasattr(value, "tolist"):
        if hasattr(value, "mask") and bool(value.mask.any()):
            raise TypeError(f"{name} must have no masked entries, got {reprlib.repr(value)}")
        listed = value.tolist()
        if type(listed) is not type(value):
            return plain(name, listed, infinities=infinities)
        # a number wider than Python's stays what it is: NumPy's longdouble, but a complex one has no place here
        if value.dtype.kind == "f":
            return plain(name, float(listed), infinities=infinities)
    raise TypeError(
        f"{name} must be a JSON value (None, bool, int, float, str, list, dict), "
        f"got {reprlib.repr(value)} of type {type(value).__name__}"
    )


def dumps(value: Any) -> str:
    """The one text of a plain value: keys sorted, no spaces, ASCII; floats as the shortest decimal that reads back."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def content_key(function: str, version: str, point: str) -> str:
    """SHA-256, in hexadecimal, of the text of ``[function, version, point]``; ``point`` is a text of :func:`dumps`."""
    return hashlib.sha256(f"[{dumps(function)},{dumps(version)},{point}]".encode("ascii")).hexdigest()


def encode_result(value: Any) -> str:
    """Text of what a point function returned; :func:`decode_result` reads every float back bit for bit."""
    return dumps(plain("result", value, infinities=True))


def decode_result(text: str) -> Any:
    """Read what :func:`encode_result` wrote."""
    return json.loads(text, object_hook=lambda item: float(item[FLOAT]) if FLOAT in item else item)
