"""What is derived of an architecture from its class: its parameters, with their kinds and meanings.

The command line's options, and the strategies of :mod:`ufm.testing`, are built from these, so that a new architecture
has them once its class is listed.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import types
import typing
from dataclasses import dataclass
from typing import Any

from ufm.architectures import Architecture

__all__ = ["Parameter", "parameters_of"]


@dataclass(frozen=True)
class Parameter:
    """A field of an architecture.

    Attributes:
        name: of the field.
        kinds: what it may be: of ``int``, ``float``, ``str``, and ``tuple`` for a sequence of numbers.
        required: whether it has no default.
        text: what it is, from the class's docstring.
    """

    name: str
    kinds: tuple[type, ...]
    required: bool
    text: str


def parameters_of(cls: type[Architecture]) -> tuple[Parameter, ...]:
    """The parameters of an architecture, a frozen dataclass whose docstring describes its fields under ``Args:``.

    >>> from ufm.architectures import NormBounded
    >>> [(p.name, p.required, p.text) for p in parameters_of(NormBounded)]
    [('w', False, "bound > 0 of every classifier's length"), ('h', False, "bound > 0 of every feature's length")]

    Raises:
        TypeError: a field whose annotation is neither number, text nor a sequence of numbers.
    """
    hints, texts = typing.get_type_hints(cls), _arguments(inspect.getdoc(cls) or "")
    return tuple(
        Parameter(
            field.name,
            _kinds(cls, field.name, hints[field.name]),
            field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING,
            texts.get(field.name, field.name),
        )
        for field in dataclasses.fields(cls)  # type: ignore[arg-type]
        if field.init
    )


def _kinds(cls: type, name: str, hint: Any) -> tuple[type, ...]:
    found: dict[type, None] = {}
    for part in typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,):
        origin = typing.get_origin(part) or part
        kind = str if origin is typing.Literal else origin
        if kind in (int, float, str, tuple):
            found[kind] = None
        elif kind is not type(None):
            raise TypeError(f"{cls.__name__}.{name} must be a number, text or a tuple of numbers, got {hint!r}")
    return tuple(found)


def _arguments(docstring: str) -> dict[str, str]:
    """What stands under ``Args:``, by name, in one line each and without a full stop."""
    section = re.search(r"^Args:\n((?:[ \t]+.*\n?|\n)*)", docstring, re.MULTILINE)
    if section is None:
        return {}
    entries = re.split(r"^ {4}(?=\S)", section[1], flags=re.MULTILINE)
    pairs = (entry.partition(":") for entry in entries if ":" in entry)
    return {name.strip(): " ".join(text.split()).removesuffix(".") for name, _, text in pairs}
