"""Values of expressions at exact points: rational where every operation is, rigorous enclosures (balls) otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import flint
import sympy as sp

from proofs_check.precision import precision

__all__ = ["PRECISION", "Number", "Undefined", "ball", "evaluate", "exp_bounds", "gap", "sign_of"]

#: Working precision in bits of the balls that refute steps and compare constants.
PRECISION = 320

#: Beyond this exponent powers of rationals become balls: their digits would fill the memory.
_LARGEST_EXACT_POWER = 1000

#: An exact rational number or an enclosure.
Number = flint.fmpq | flint.arb


class Undefined(ValueError):
    """The expression has no value at the point that could be enclosed."""


def ball(expr: Any, point: Mapping[sp.Symbol, Any] | None = None) -> flint.arb:
    """A rigorous enclosure of ``expr`` at an exact rational point, at ``PRECISION`` bits.

    Raises:
        ValueError: ``expr`` has a free symbol, a function or a constant this evaluator does not know, or has no real
            value there.
    """
    at = {x: sp.sympify(value) for x, value in (point or {}).items()}
    for x, value in at.items():
        if not isinstance(value, sp.Rational):
            raise ValueError(f"point must have exact rational coordinates, got {x} = {value}")
    return flint.arb(evaluate(sp.sympify(expr), at))


def evaluate(expr: sp.Expr, point: Mapping[sp.Symbol, Any]) -> Number:
    """Value of ``expr`` at a point whose coordinates are rational numbers or balls, without SymPy's rewriting.

    Raises:
        Undefined: no enclosure is known, the value is not real, or a denominator may be zero.
    """
    with precision(PRECISION):
        return _evaluate(expr, point)


def gap(lhs: sp.Expr, rhs: sp.Expr, point: Mapping[sp.Symbol, Any]) -> Number:
    """``lhs - rhs`` at a point, each side evaluated as it is written; raises what :func:`evaluate` does."""
    with precision(PRECISION):
        return _evaluate(lhs, point) - _evaluate(rhs, point)


def sign_of(value: Number) -> int | None:
    """Sign of a value: exact for rationals, None for a ball that straddles 0."""
    return 1 if value > 0 else -1 if value < 0 else 0 if value == 0 else None


def _evaluate(e: sp.Expr, point: Mapping[sp.Symbol, Any]) -> Number:
    if isinstance(e, sp.Rational):
        return flint.fmpq(int(e.p), int(e.q))
    if e in point:
        value = point[e]
        return flint.fmpq(int(value.p), int(value.q)) if isinstance(value, sp.Rational) else value
    if e is sp.E:
        return flint.arb(1).exp()
    if e is sp.pi:
        return flint.arb.pi()
    rule = next((rule for kind, rule in _RULES.items() if isinstance(e, kind)), None)
    if rule is None:
        raise Undefined(f"no enclosure of {e}")
    value = rule(*(_evaluate(a, point) for a in e.args))
    if isinstance(value, flint.arb) and not value.is_finite():
        raise Undefined(f"no enclosure of {e}")
    return value


def _sum(*terms: Number) -> Number:
    return sum(terms, flint.fmpq(0))


def _product(*terms: Number) -> Number:
    value: Number = flint.fmpq(1)
    for term in terms:
        value = value * term
    return value


def _power(base: Number, exponent: Number) -> Number:
    if isinstance(exponent, flint.fmpq) and exponent.q == 1:
        if exponent < 0 and not sign_of(base):
            raise Undefined("a denominator that may be zero")
        return (base if abs(exponent) <= _LARGEST_EXACT_POWER else flint.arb(base)) ** int(exponent.p)
    if sign_of(base) == 0 and sign_of(exponent) == 1:
        return flint.fmpq(0)
    if sign_of(base) != 1:
        raise Undefined("a power of a number that may not be positive")
    if isinstance(base, flint.fmpq) and base == 1:
        return base
    if isinstance(exponent, flint.fmpq) and exponent == flint.fmpq(1, 2):
        return _exact_root(base) if isinstance(base, flint.fmpq) else base.sqrt()
    return (flint.arb(base).log() * exponent).exp()


def _exact_root(q: flint.fmpq) -> Number:
    roots = [flint.fmpz(x).isqrt() for x in (q.p, q.q)]
    exact = flint.fmpq(*roots)
    return exact if exact * exact == q else flint.arb(q).sqrt()


def _exp(x: Number) -> Number:
    return flint.fmpq(1) if sign_of(x) == 0 else flint.arb(x).exp()


def _log(x: Number) -> Number:
    if sign_of(x) != 1:
        raise Undefined("the logarithm of a number that may not be positive")
    return flint.fmpq(0) if isinstance(x, flint.fmpq) and x == 1 else flint.arb(x).log()


def _modulus(x: Number) -> Number:
    return -x if sign_of(x) == -1 else x if sign_of(x) is not None else flint.arb(x).__abs__()


def _extreme(direction: int):
    def pick(*values: Number) -> Number:
        best = values[0]
        for value in values[1:]:
            order = sign_of(value - best)
            if order is None:
                raise Undefined("two numbers that cannot be told apart")
            best = value if order == direction else best
        return best

    return pick


_RULES: dict[type, Any] = {
    sp.Add: _sum,
    sp.Mul: _product,
    sp.Pow: _power,
    sp.exp: _exp,
    sp.log: _log,
    sp.Abs: _modulus,
    sp.Max: _extreme(1),
    sp.Min: _extreme(-1),
    sp.sin: lambda x: flint.arb(x).sin(),
    sp.cos: lambda x: flint.arb(x).cos(),
}


def exp_bounds(x: Fraction, terms: int = 40) -> tuple[Fraction, Fraction]:
    """Rational bounds ``lo < exp(x) < hi`` for rational ``x != 0``, from the exponential series and its tail.

    For x > 0, with S the sum of the first ``terms`` terms and t the next one, S < e^x < S + t/(1 - x/(terms + 1)); for
    x < 0 the reciprocals. Independent of any ball library.

    Raises:
        ValueError: ``x`` is zero or not below ``terms`` in modulus.
        TypeError: ``x`` is a float.
    """
    if isinstance(x, float):
        raise TypeError(f"x must be an exact rational number, got {x!r}")
    x = Fraction(x)
    if x == 0 or abs(x) >= terms:
        raise ValueError(f"x must be nonzero and below terms={terms} in modulus, got {x}")
    if x < 0:
        low, high = exp_bounds(-x, terms)
        return 1 / high, 1 / low
    total, term = Fraction(0), Fraction(1)
    for k in range(1, terms + 1):
        total += term
        term = term * x / k
    return total, total + term / (1 - x / (terms + 1))
