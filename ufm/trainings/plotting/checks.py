"""Checks of what is given to be drawn."""

from __future__ import annotations

from collections.abc import Mapping
from types import UnionType
from typing import Any

__all__ = ["checked"]


def checked(name: str, mapping: Any, key: type | UnionType, value: type) -> None:
    """Raise unless ``mapping`` maps at least one ``key`` to a ``value`` each.

    >>> checked("sizes", {"a": 1}, str, int)
    >>> checked("sizes", {}, str, int)
    Traceback (most recent call last):
    ValueError: sizes must hold at least one, got none
    """
    if not isinstance(mapping, Mapping):
        raise TypeError(f"{name} must be a mapping to ufm.deq.{value.__name__}, got {mapping!r}")
    if not mapping:
        raise ValueError(f"{name} must hold at least one, got none")
    for k, v in mapping.items():
        if not isinstance(k, key) or isinstance(k, bool):
            raise TypeError(f"{name} must have keys of type {getattr(key, '__name__', key)}, got {k!r}")
        if not isinstance(v, value):
            raise TypeError(f"{name}[{k!r}] must be a ufm.deq.{value.__name__}, got {v!r}")
