"""Losses as expressions of logits and target, which certificates carry: what a loss's ``formula`` is made of.

The operations are those of :mod:`proofs_check.kinds.formula`, which shows by the rules of disciplined convex
programming that an expression is convex; here they are put together and evaluated in double precision.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import numpy as np

from ufm.losses.base import Array, Loss

__all__ = ["Formula", "evaluate", "formula_of", "state"]

#: NumPy's functions that are operations of expressions, entry by entry.
_UFUNCS: dict[Any, Callable[..., Formula]] = {
    np.add: lambda x, y: Formula.made("sum", x, y),
    np.subtract: lambda x, y: Formula.made("sum", x, -Formula.of(y)),
    np.multiply: lambda x, y: Formula.made("*", x, y),
    np.divide: lambda x, y: Formula.made("/", x, y),
    np.negative: lambda x: Formula.made("*", -1, x),
    np.power: lambda x, p: Formula.made("power", x, p),
    np.square: lambda x: Formula.made("power", x, 2),
    np.exp: lambda x: Formula.made("exp", x),
    np.log: lambda x: Formula.made("log", x),
    np.absolute: lambda x: Formula.made("abs", x),
    np.maximum: lambda x, y: Formula.made("max", x, y),
    np.minimum: lambda x, y: -Formula.made("max", -Formula.of(x), -Formula.of(y)),
    np.logaddexp: lambda x, y: Formula.made("logsumexp", x, y),
    np.hypot: lambda x, y: Formula.made("norm", x, y),
    np.matmul: lambda matrix, x: Formula.of(x).transformed(matrix),
}


_COMPARISONS = (np.less, np.less_equal, np.greater, np.greater_equal, np.equal, np.not_equal)


class Formula(np.lib.mixins.NDArrayOperatorsMixin):
    """An expression of the logits ``z`` and the target ``t`` of one column; a vector has an entry a class.

    Built from the two that :meth:`ufm.Loss.formula` is given, with numbers, ``+ - * / **``, ``z[i]``, ``matrix @ z``,
    NumPy's ``exp``, ``log``, ``abs``, ``maximum``, ``minimum``, ``logaddexp`` and ``hypot``, and the methods
    :meth:`sum`, :meth:`max`, :meth:`logsumexp`, :meth:`norm`, :meth:`softplus` and :meth:`huber`.

    Attributes:
        node: the expression as certificates write it.
        width: number of its entries; None for a scalar.

    >>> z, t = Formula.logits(3), Formula.target(3)
    >>> z.logsumexp() - (t * z).sum()
    Formula(sum(logsumexp(z), *(-1, sum(*(t, z)))))
    >>> np.maximum(0, 1 - z).sum() + 0.5 * z[0] ** 2
    Formula(sum(sum(max(0, sum(1, *(-1, z)))), *(1/2, power(at(z, 0), 2))))
    >>> sum(z[i] for i in range(3))
    Formula(sum(0, at(z, 0), at(z, 1), at(z, 2)))
    """

    def __init__(self, node: Any, width: int | None) -> None:
        self.node, self.width = node, width

    @classmethod
    def logits(cls, num_classes: int) -> Formula:
        """z, of ``num_classes`` entries.

        >>> Formula.logits(2)
        Formula(z)
        """
        return cls("z", num_classes)

    @classmethod
    def target(cls, num_classes: int) -> Formula:
        """t, of ``num_classes`` entries.

        >>> Formula.target(2)
        Formula(t)
        """
        return cls("t", num_classes)

    @classmethod
    def of(cls, value: Any) -> Formula:
        """``value`` as an expression: itself, a number, or a list or array of either.

        Raises:
            TypeError: it is none of these.

        >>> Formula.of(0.25), Formula.of([1, 2])
        (Formula(1/4), Formula(list(1, 2)))
        """
        if isinstance(value, Formula):
            return value
        if isinstance(value, np.ndarray) and value.ndim == 0:
            value = value.item()
        if isinstance(value, list | tuple | np.ndarray):
            parts = [cls.of(part) for part in value]
            if not parts or any(part.width is not None for part in parts):
                raise TypeError(f"a vector of a formula must be a list of scalars, got {value!r:.200}")
            return cls(["list", *(part.node for part in parts)], len(parts))
        number: Any = value.item() if isinstance(value, np.generic) else value
        if isinstance(number, bool) or not isinstance(number, int | float | Fraction) or number != number:
            raise TypeError(f"a number of a formula must be real, got {value!r:.200}")
        try:
            return cls(str(Fraction(number)), None)
        except OverflowError:
            raise ValueError(f"a number of a formula must be finite, got {value!r}") from None

    @classmethod
    def made(cls, word: str, *parts: Any) -> Formula:
        """The operation ``word`` entry by entry; a ValueError where the parts are vectors of different lengths.

        >>> Formula.made("max", 0, Formula.logits(2))
        Formula(max(0, z))
        """
        given = [cls.of(part) for part in parts]
        widths = {part.width for part in given if part.width is not None}
        if len(widths) > 1:
            raise ValueError(f"{word} must have scalars and vectors of one length, got lengths {sorted(widths)}")
        nodes = [part.node for part in given]
        if word == "sum":  # sums of sums are one: Python's own nests them as deep as they are long
            nodes = [x for node in nodes for x in (node[1:] if _is_sum(node) else [node])]
        return cls([word, *nodes], widths.pop() if widths else None)

    def __array_ufunc__(self, function: Any, method: str, *inputs: Any, **options: Any) -> Any:
        if function in _COMPARISONS:
            raise TypeError("a formula has no truth value: its cases must be written with np.maximum, np.abs or huber")
        if function not in _UFUNCS or method != "__call__" or options:
            raise TypeError(
                f"numpy.{function.__name__} must be one of {', '.join(sorted(f.__name__ for f in _UFUNCS))} here"
            )
        return _UFUNCS[function](*inputs)

    def __getitem__(self, i: int) -> Formula:
        if self.width is None or not isinstance(i, int | np.integer) or not -self.width <= i < self.width:
            raise IndexError(f"i must be an entry of a vector of length {self.width}, got {i!r}")
        return Formula(["at", self.node, int(i) % self.width], None)

    def __len__(self) -> int:
        if self.width is None:
            raise TypeError("a scalar formula has no length")
        return self.width

    def __iter__(self) -> Iterator[Formula]:
        return (self[i] for i in range(len(self)))

    def __bool__(self) -> bool:
        raise TypeError("a formula has no truth value: its cases must be written with np.maximum, np.abs or huber")

    def __repr__(self) -> str:
        return f"Formula({_spell(self.node)})"

    def _reduced(self, word: str, axis: Any, others: dict[str, Any]) -> Formula:
        # NumPy's own functions pass what they were not given as well
        given = {key: value for key, value in others.items() if value not in (None, False, np._NoValue)}
        if axis not in (None, 0) or given:
            raise TypeError(f"{word} must be of all entries of a vector, axis None or 0, got axis={axis!r}, {given}")
        return Formula([word, self.node], None) if self.width is not None else self

    def sum(self, axis: int | None = None, **others: Any) -> Formula:
        """The sum of the entries.

        >>> Formula.logits(2).sum()
        Formula(sum(z))
        """
        return self._reduced("sum", axis, others)

    def max(self, axis: int | None = None, **others: Any) -> Formula:
        """The largest entry.

        >>> Formula.logits(2).max()
        Formula(max(z))
        """
        return self._reduced("max", axis, others)

    def logsumexp(self, axis: int | None = None) -> Formula:
        """``log sum_i exp x_i``.

        >>> Formula.logits(2).logsumexp()
        Formula(logsumexp(z))
        """
        return self._reduced("logsumexp", axis, {})

    def norm(self, axis: int | None = None) -> Formula:
        """``(sum_i x_i^2)^(1/2)``.

        >>> Formula.logits(2).norm()
        Formula(norm(z))
        """
        return self._reduced("norm", axis, {}) if self.width is not None else Formula.made("abs", self)

    def softplus(self) -> Formula:
        """``log(1 + exp x)``, entry by entry.

        >>> Formula.logits(2).softplus()
        Formula(softplus(z))
        """
        return Formula.made("softplus", self)

    def huber(self, width: float = 1.0) -> Formula:
        """``x^2/2`` up to ``|x| = width``, ``width (|x| - width/2)`` beyond, entry by entry.

        >>> Formula.logits(2).huber(0.5)
        Formula(huber(z, 1/2))
        """
        return Formula.made("huber", self, width)

    def transformed(self, matrix: Any) -> Formula:
        """``matrix @ x``, a sum for every row.

        >>> Formula.logits(2).transformed([[1, -1]])
        Formula(list(sum(*(list(1, -1), z))))
        """
        rows = np.asarray(matrix, dtype=float)
        if rows.ndim != 2 or rows.shape[1] != self.width:
            raise ValueError(f"matrix must have {self.width} columns, got the shape {rows.shape}")
        return Formula.of([(Formula.of(row) * self).sum() for row in rows])


def _is_sum(node: Any) -> bool:
    return isinstance(node, list) and node[0] == "sum" and len(node) > 2


def _spell(node: Any) -> str:
    if not isinstance(node, list):
        return str(node)
    return f"{node[0]}({', '.join(map(_spell, node[1:]))})"


def formula_of(loss: Loss, num_classes: int) -> Formula | None:
    """What ``loss`` states as its formula for ``num_classes`` classes, or None.

    Raises:
        TypeError: its ``formula`` returned something else than a scalar expression.

    >>> from ufm.losses import CrossEntropy
    >>> formula_of(CrossEntropy(), 3) is None
    True
    """
    found = loss.formula(Formula.logits(num_classes), Formula.target(num_classes))
    if found is None:
        return None
    if not isinstance(found, Formula) or found.width is not None:
        raise TypeError(f"loss {type(loss).__name__}.formula must return a scalar formula, got {found!r:.200}")
    return found


def state(loss: Loss, targets: Array) -> Formula | None:
    """:func:`formula_of` the loss, compared with its values at random logits; None where it states none.

    Raises:
        ValueError: the two differ.

    >>> from ufm.losses import CrossEntropy
    >>> state(CrossEntropy(), np.eye(2)) is None
    True
    """
    found = formula_of(loss, len(targets))
    if found is None:
        return None
    rng = np.random.default_rng(20241205)
    for size in (0.1, 1.0, 10.0):
        z = size * rng.normal(size=targets.shape)
        said, value = evaluate(found, z, targets), loss.values(z, targets)
        if not np.allclose(said, value, rtol=1e-9, atol=1e-9 * max(1.0, float(np.abs(value).max()))):
            j = int(np.argmax(np.abs(said - value)))
            raise ValueError(
                f"loss {type(loss).__name__} contradicts itself: its formula is {said[j]:.12g} where values gives "
                f"{value[j]:.12g}, at logits {z[:, j].tolist()!s:.200}"
            )
    return found


def evaluate(formula: Formula, logits: Array, targets: Array) -> Array:
    """The formula at every column of logits and targets (K, m), shape (m,), or (width, m) for a vector.

    >>> evaluate(Formula.logits(2).logsumexp(), np.zeros((2, 1)), np.zeros((2, 1))).round(6).tolist()
    [0.693147]
    """
    found = _value(formula.node, logits, targets)
    out = np.broadcast_to(found, (len(found), logits.shape[1]))
    return np.array(out if formula.width is not None else out[0])


#: Operations on arrays (width, m), of several arguments stacked along a first axis.
_SEVERAL: dict[str, Callable[[Array], Array]] = {
    "sum": lambda x: x.sum(axis=0),
    "max": lambda x: x.max(axis=0),
    "logsumexp": lambda x: np.logaddexp.reduce(x, axis=0),
    "norm": lambda x: np.linalg.norm(x, axis=0),
}
_ONE: dict[str, Callable[..., Array]] = {
    "*": np.multiply,
    "/": np.divide,
    "power": lambda x, p: x**p,
    "exp": np.exp,
    "log": np.log,
    "abs": np.abs,
    "softplus": lambda x: np.logaddexp(0.0, x),
    "huber": lambda x, d: np.clip(x, -d, d) * (x - np.clip(x, -d, d) / 2),
}


def _value(node: Any, z: Array, t: Array) -> Array:
    if isinstance(node, str):
        return z if node == "z" else t if node == "t" else np.array([[float(Fraction(node))]])
    word = node[0]
    if word == "at":
        return _value(node[1], z, t)[[node[2]]]
    parts = [_value(part, z, t) for part in node[1:]]
    if word not in _SEVERAL and word != "list":
        return _ONE[word](*parts)
    same = [np.broadcast_to(part, (len(part), z.shape[1])) for part in parts]
    if word == "list":
        return np.concatenate(same)
    return _SEVERAL[word](same[0])[None] if len(same) == 1 else _SEVERAL[word](np.stack(np.broadcast_arrays(*same)))
