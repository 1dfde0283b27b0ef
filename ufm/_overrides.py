"""What a class, or an object, states in place of a base, whose formulas hold for it no more."""

from __future__ import annotations

from typing import Any

__all__ = ["overridden", "set_on_object"]

#: What Python itself calls for every attribute.
_EVERY_ATTRIBUTE = "__getattribute__"


def overridden(cls: type, base: type) -> list[str]:
    """Names that classes before ``base`` in the order of resolution state, and that ``base`` has: mixins' too.

    >>> class Doubling:
    ...     def size(self):
    ...         return 2
    >>> class Plain:
    ...     def size(self):
    ...         return 1
    >>> class Mixed(Doubling, Plain):
    ...     def more(self):
    ...         return 3
    >>> overridden(Mixed, Plain), overridden(Plain, Plain)
    (['size'], [])
    """
    before = cls.__mro__[: cls.__mro__.index(base)]
    stated = {name for owner in before for name in vars(owner)}
    return sorted(name for name in stated if _is_used(name) and hasattr(base, name))


def _is_used(name: str) -> bool:
    return name == _EVERY_ATTRIBUTE or not (name.startswith("__") or name == "_abc_impl")


def set_on_object(thing: Any) -> list[str]:
    """Names of functions that an object itself holds in place of its class's.

    >>> class Plain:
    ...     def size(self):
    ...         return 1
    >>> plain = Plain()
    >>> plain.size = lambda: 2
    >>> set_on_object(plain)
    ['size']
    """
    own = getattr(thing, "__dict__", {})
    return sorted(name for name, value in own.items() if callable(value) and callable(getattr(type(thing), name, None)))
