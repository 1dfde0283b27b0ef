"""Examples that can be pasted: arrays with every digit."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

__all__ = ["Shown", "ShownArray"]


class Shown:
    """A dataclass whose repr gives it back, where ``np`` is NumPy.

    >>> @dataclasses.dataclass(repr=False)
    ... class Pair(Shown):
    ...     x: Any
    ...     y: float
    >>> Pair(np.array([0.1, 1 / 3]), 2.0)
    Pair(x=np.array([0.1, 0.3333333333333333]), y=2.0)
    """

    def __repr__(self) -> str:
        fields = dataclasses.fields(self)  # type: ignore[arg-type]
        return f"{type(self).__name__}({', '.join(f'{f.name}={_exact(getattr(self, f.name))}' for f in fields)})"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self))  # hypothesis and IPython, which would show arrays with eight digits


class ShownArray(np.ndarray):
    """An array whose repr gives it back, where ``np`` is NumPy; what is computed from it is a plain one.

    >>> x = np.array([0.1, 1 / 3]).view(ShownArray)
    >>> x, type(2 * x).__name__, type(x.T @ x).__name__
    (np.array([0.1, 0.3333333333333333]), 'ndarray', 'float64')
    """

    def __array_ufunc__(self, ufunc: Any, method: Any, *inputs: Any, **kwargs: Any) -> Any:
        if "out" in kwargs:
            kwargs["out"] = tuple(_plain(x) for x in kwargs["out"])
        return getattr(ufunc, method)(*(_plain(x) for x in inputs), **kwargs)

    def __repr__(self) -> str:
        return _exact(_plain(self))

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self))


def _plain(value: Any) -> Any:
    return value.view(np.ndarray) if isinstance(value, ShownArray) else value


def _exact(value: Any) -> str:
    return f"np.array({value.tolist()!r})" if isinstance(value, np.ndarray) else repr(value)
