"""What stays the same within one solve: masks of dropout and normalised weights, drawn or computed once."""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Hashable
from typing import Any

__all__ = ["in_a_solve", "once_in_a_solve", "solve_scope"]

_scope: contextvars.ContextVar[dict[Hashable, Any] | None] = contextvars.ContextVar("_scope", default=None)


class solve_scope:
    """Mark the extent of a solve: its iterations and the evaluation that is recorded for the gradient.

    What :func:`once_in_a_solve` makes inside is made once. A solve inside of another one has its own.

    Examples:
        >>> with solve_scope():
        ...     first = once_in_a_solve("mask", list)
        ...     first is once_in_a_solve("mask", list)
        True
        >>> with solve_scope():  # the next solve has a new one
        ...     first is once_in_a_solve("mask", list)
        False
    """

    __slots__ = ("token",)

    def __enter__(self) -> None:
        self.token = _scope.set({})

    def __exit__(self, *_: object) -> None:
        _scope.reset(self.token)


def in_a_solve() -> bool:
    """Return whether a solve is going on.

    Examples:
        >>> with solve_scope():
        ...     in_a_solve()
        True
        >>> in_a_solve()
        False
    """
    return _scope.get() is not None


def once_in_a_solve(key: Hashable, make: Callable[[], Any]) -> Any:
    """What ``make`` gives, made once in a solve for this key, and each time outside of solves.

    Examples:
        >>> import itertools
        >>> numbers = itertools.count()
        >>> with solve_scope():
        ...     [once_in_a_solve("key", lambda: next(numbers)) for _ in range(3)]
        [0, 0, 0]
        >>> [once_in_a_solve("key", lambda: next(numbers)) for _ in range(3)]
        [1, 2, 3]
    """
    scope = _scope.get()
    if scope is None:
        return make()
    if key not in scope:
        scope[key] = make()
    return scope[key]
