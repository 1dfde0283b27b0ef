"""The architectures of this package by name; what lists them elsewhere is derived from here."""

from __future__ import annotations

import re
from typing import Any, TypeVar

from ufm._overrides import overridden, set_on_object
from ufm.architectures.base import Architecture

__all__ = ["ARCHITECTURES", "command_word", "file_word", "is_known", "register"]

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
    cls = type(architecture)
    base = next((known for known in cls.__mro__ if known in ARCHITECTURES.values()), None)
    return base is not None and not overridden(cls, base) and not set_on_object(architecture)


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
