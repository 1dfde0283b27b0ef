"""The architectures of this package by name; what lists them elsewhere is derived from here."""

from __future__ import annotations

import dataclasses
import re
from typing import Any, TypeVar

from ufm._overrides import overridden, set_on_object
from ufm.architectures.base import Architecture

__all__ = ["ARCHITECTURES", "check_fields", "command_word", "file_word", "is_known", "register"]

#: Classes by their name, in the order in which they are listed.
ARCHITECTURES: dict[str, type[Architecture]] = {}

C = TypeVar("C", bound=type[Architecture])


def register(cls: C) -> C:
    """Class decorator: list the architecture under its class's name.

    >>> import ufm.architectures
    >>> "LayerPeeled" in ARCHITECTURES
    True
    """
    ARCHITECTURES[cls.__name__] = cls
    return cls


def is_known(architecture: Any) -> bool:
    """Whether the formulas of this package hold for ``architecture``.

    They do for the registered classes and for subclasses that override nothing of them; a class that overrides the
    gauge, a bound or anything else that they use, itself, by a mixin or on the object, is another architecture.

    >>> from ufm.architectures import LayerPeeled
    >>> class Twice(LayerPeeled):
    ...     def gauge(self, y):
    ...         return 2 * super().gauge(y)
    >>> is_known(LayerPeeled(1.0, 1.0)), is_known(Twice(1.0, 1.0))
    (True, False)
    """
    base = _registered(type(architecture))
    return base is not None and not overridden(type(architecture), base) and not set_on_object(architecture)


def _registered(cls: type) -> type[Architecture] | None:
    """The architecture of this package that ``cls`` is, or is a subclass of."""
    return next((known for known in cls.__mro__ if known in ARCHITECTURES.values()), None)


def check_fields(architecture: Architecture) -> None:
    """Raise what the architecture that a subclass comes from says of its fields: its own checks may have been left out.

    >>> from ufm.architectures import LayerPeeled
    >>> class Unchecked(LayerPeeled):
    ...     def __post_init__(self):
    ...         pass
    >>> check_fields(Unchecked(-1.0, 1.0))
    Traceback (most recent call last):
        ...
    ValueError: E_W must be > 0 and finite, got -1.0

    Raises:
        TypeError, ValueError: a field that is missing, or not what it should be.
    """
    base = _registered(type(architecture))
    if base is None or base is type(architecture) or not dataclasses.is_dataclass(base):
        return
    names = [field.name for field in dataclasses.fields(base) if field.init]
    if missing := [name for name in names if not hasattr(architecture, name)]:
        raise TypeError(f"{type(architecture).__name__} must have {', '.join(missing)}, as {base.__name__} does")
    base(**{name: getattr(architecture, name) for name in names})


def command_word(cls: type) -> str:
    """The class's name as the command line spells it.

    >>> from ufm.architectures import LinearDEQ
    >>> command_word(LinearDEQ)
    'linear-deq'
    """
    return file_word(cls).replace("_", "-")


def file_word(cls: type) -> str:
    """The class's name as certificates spell it.

    >>> from ufm.architectures import LayerPeeled
    >>> file_word(LayerPeeled)
    'layer_peeled'
    """
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", cls.__name__).lower()
