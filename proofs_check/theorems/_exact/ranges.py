"""Intervals that symbols range over, and what a symbol's assumptions say about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import sympy as sp

__all__ = ["Domain", "Range", "above", "assumed", "at_least", "below", "between", "clash", "everywhere", "within"]

#: Offsets from the end of a half-line, and shares of an interval, at which steps are attacked.
_OFFSETS = (Fraction(1, 64), Fraction(1, 3), 1, 2, Fraction(7, 2), 9, 40)
_SHARES = (Fraction(1, 64), Fraction(1, 5), Fraction(1, 2), Fraction(5, 7), Fraction(40, 41))

#: Assumptions of a symbol that a real range can honour. A symbol with others (even, prime, imaginary) is refused.
_KNOWN = ("integer", "rational", "real", "positive", "nonnegative", "negative", "nonpositive", "nonzero")


def _exact(name: str, value: Any) -> sp.Rational | None:
    if value is None:
        return None
    number = sp.sympify(value)
    if not isinstance(number, sp.Rational):
        raise TypeError(f"{name} must be an exact rational number, got {value!r}")
    return number


@dataclass(frozen=True)
class Range:
    """An interval for a symbol: ``low`` to ``high`` (None: no end on that side), ends included iff ``closed``.

    Raises:
        TypeError: an end is no exact rational number (floats are not).
        ValueError: the interval is empty.
    """

    low: sp.Rational | None
    high: sp.Rational | None = None
    closed: bool = False

    def __post_init__(self) -> None:
        for name in ("low", "high"):
            object.__setattr__(self, name, _exact(name, getattr(self, name)))
        if self.low is None or self.high is None:
            return
        if self.low > self.high or (self.low == self.high and not self.closed):
            raise ValueError(f"low must be below high, got {self.low} and {self.high}")

    def __str__(self) -> str:
        left = "(-oo" if self.low is None else f"{'[' if self.closed else '('}{self.low}"
        right = "oo)" if self.high is None else f"{self.high}{']' if self.closed else ')'}"
        return f"{left}, {right}"

    @property
    def interior(self) -> Range:
        """The same interval without its ends; itself if it is one point."""
        return self if self.low == self.high and self.low is not None else Range(self.low, self.high)

    def samples(self, integer: bool) -> list[sp.Rational]:
        """Exact points of the interval, small and large, at which steps are attacked."""
        if self.low is not None and self.high is not None:
            points = [self.low + (self.high - self.low) * sp.Rational(x) for x in _SHARES]
        elif self.low is not None:
            points = [self.low + sp.Rational(x) for x in _OFFSETS]
        elif self.high is not None:
            points = [self.high - sp.Rational(x) for x in _OFFSETS]
        else:
            points = [sp.Integer(0), *(sign * sp.Rational(x) for x in _OFFSETS for sign in (1, -1))]
        if self.closed:
            points = [end for end in (self.low, self.high) if end is not None] + points
        return [p for p in dict.fromkeys(points) if p.is_integer] if integer else points

    def is_within_assumption(self, name: str) -> bool:
        """Whether every point is, as an assumption of that name says, positive, nonnegative, and so on."""
        low, high = self.low, self.high
        above_zero = low is not None and (low > 0 or (low == 0 and not self.closed))
        below_zero = high is not None and (high < 0 or (high == 0 and not self.closed))
        return {
            "positive": above_zero,
            "negative": below_zero,
            "nonzero": above_zero or below_zero,
            "nonnegative": low is not None and low >= 0,
            "nonpositive": high is not None and high <= 0,
        }.get(name, True)


Domain = Mapping[sp.Symbol, Range]


def above(low: Any) -> Range:
    """The open half-line ``x > low``."""
    return Range(low)


def at_least(low: Any) -> Range:
    """The closed half-line ``x >= low``."""
    return Range(low, closed=True)


def below(high: Any) -> Range:
    """The open half-line ``x < high``."""
    return Range(None, high)


def between(low: Any, high: Any) -> Range:
    """The open interval ``low < x < high``."""
    return Range(low, high)


def within(low: Any, high: Any) -> Range:
    """The closed interval ``low <= x <= high``."""
    return Range(low, high, closed=True)


def everywhere() -> Range:
    """The whole real line."""
    return Range(None)


def assumed(symbol: sp.Symbol) -> Range | None:
    """The half-line that the symbol's assumptions put it in; None if they imply none."""
    if symbol.is_positive:
        return at_least(1) if symbol.is_integer else above(0)
    if symbol.is_nonnegative:
        return at_least(0)
    return None


def clash(symbol: sp.Symbol, range: Range) -> str | None:
    """Why the symbol may not range over this interval, None if it may.

    SymPy rewrites by a symbol's assumptions when an expression is made: sqrt(x^2) is x for a positive x. A range in
    which these do not hold would be about another expression than the one that was written.
    """
    if not isinstance(symbol, sp.Symbol):
        return f"{symbol} is no symbol"
    given = {name: True for name in _KNOWN if symbol.assumptions0.get(name)}
    if sp.Dummy(**given).assumptions0 != symbol.assumptions0:
        return f"{symbol} has assumptions that no interval expresses"
    for name in given:
        if not range.is_within_assumption(name):
            return f"the range {range} of {symbol} is wider than its assumption {name}"
    return None
