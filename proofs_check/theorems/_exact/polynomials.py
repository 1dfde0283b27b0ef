"""Rational functions over the rationals in normal form, and signs of polynomials on boxes.

Only addition and multiplication of polynomials are trusted here. Common divisors and factors come from SymPy and are
multiplied back before they are used.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sympy as sp
from sympy.polys.rings import PolyElement, PolyRing

from proofs_check.theorems._exact.ranges import Range

__all__ = ["Sign", "cancelled", "factors", "powers", "quotient", "reduce", "ring_of", "sign_on_box"]

#: (sign, strict): -1, 0 or 1; strict if 0 is taken nowhere. Sign 0 is the zero polynomial.
Sign = tuple[int, bool]

#: More ends of closed ranges than this are not gone through face by face.
_MOST_CLOSED = 7


def ring_of(symbols: Sequence[sp.Symbol]) -> PolyRing:
    """The polynomials over the rationals in these symbols."""
    return PolyRing(tuple(symbols) or (sp.Dummy("unused"),), sp.QQ)


def quotient(expr: sp.Expr, ring: PolyRing) -> tuple[PolyElement, PolyElement]:
    """Numerator and denominator of a rational expression in the ring's symbols.

    Raises:
        ValueError: the expression is not rational in them.
    """
    if isinstance(expr, sp.Rational):
        return ring(sp.QQ(int(expr.p), int(expr.q))), ring.one
    if expr.is_Symbol and expr in ring.symbols:
        return ring.gens[ring.symbols.index(expr)], ring.one
    if expr.is_Add:
        return _added([quotient(a, ring) for a in expr.args], ring)
    if expr.is_Mul:
        num, den = ring.one, ring.one
        for a in expr.args:
            top, bottom = quotient(a, ring)
            num, den = num * top, den * bottom
        return cancelled(num, den)
    if expr.is_Pow and expr.exp.is_Integer:
        num, den = quotient(expr.base, ring)
        n = int(expr.exp)
        return (num**n, den**n) if n >= 0 else (den**-n, num**-n)
    raise ValueError(f"{expr} is not rational in {', '.join(map(str, ring.symbols))}")


def _added(terms: list[tuple[PolyElement, PolyElement]], ring: PolyRing) -> tuple[PolyElement, PolyElement]:
    by_denominator: dict[PolyElement, PolyElement] = {}
    for top, bottom in terms:
        by_denominator[bottom] = by_denominator.get(bottom, ring.zero) + top
    num, den = ring.zero, ring.one
    for bottom, top in by_denominator.items():
        num, den = cancelled(num * bottom + top * den, den * bottom)
    return num, den


def cancelled(num: PolyElement, den: PolyElement) -> tuple[PolyElement, PolyElement]:
    """The fraction in lower terms, checked by multiplication."""
    if not num:
        return num, den.ring.one
    if den.is_ground:
        return num * (1 / den.LC), den.ring.one
    top, bottom = num.cancel(den)
    return (top, bottom) if bottom and top * den == num * bottom else (num, den)


def factors(poly: PolyElement) -> tuple[sp.Rational, list[tuple[PolyElement, int]]]:
    """Constant and factors with their powers, multiplied back; the polynomial itself if that fails."""
    constant, found = poly.factor_list()
    product = poly.ring(constant)
    for base, power in found:
        product = product * base**power
    if product != poly:
        return sp.Integer(1), [(poly, 1)]
    return _rational(constant), [(base, int(power)) for base, power in found]


def powers(poly: PolyElement, index: int) -> dict[int, PolyElement]:
    """Coefficients of the powers of generator ``index``."""
    parts: dict[int, dict[tuple[int, ...], Any]] = {}
    for monomial, c in poly.terms():
        rest = (*monomial[:index], 0, *monomial[index + 1 :])
        parts.setdefault(monomial[index], {})[rest] = c
    return {k: poly.ring.from_dict(part) for k, part in parts.items()}


def reduce(poly: PolyElement, index: int, order: int, num: PolyElement, den: PolyElement) -> tuple[PolyElement, int]:
    """Use ``generator^order = num/den``: the polynomial times ``den^n`` with lower powers of the generator, and n."""
    parts = powers(poly, index)
    times = max(k // order for k in parts)
    if times == 0:
        return poly, 0
    generator = poly.ring.gens[index]
    total = poly.ring.zero
    for k, part in parts.items():
        total += part * generator ** (k % order) * num ** (k // order) * den ** (times - k // order)
    return total, times


def sign_on_box(
    poly: PolyElement, ranges: Mapping[int, Range], constant: Callable[[PolyElement], int | None]
) -> Sign | None:
    """Sign of a polynomial on a box, None if undecided.

    Half-lines become ``low + t``; bounded intervals ``(low + high t)/(1 + t)``, in Bernstein form; on the whole line
    only even powers are of use. Coefficients of one sign settle the weak sign. The strict one needs a term that stays
    on each face of the box: at a closed end t = 0 those free of t, at t = oo those of full degree.

    Args:
        poly: the polynomial.
        ranges: ranges of the generators, by index; the generators left out are constants.
        constant: sign of a polynomial in the constants.
    """
    degrees = {}
    for i, r in ranges.items():
        degrees[i] = max(powers(poly, i))
        poly = _shifted(poly, i, r, degrees[i])
    terms: dict[tuple[int, ...], dict[tuple[int, ...], Any]] = {}
    for monomial, c in poly.terms():
        key = tuple(monomial[i] for i in ranges)
        rest = tuple(0 if i in ranges else m for i, m in enumerate(monomial))
        terms.setdefault(key, {})[rest] = c
    signs = {key: constant(poly.ring.from_dict(part)) for key, part in terms.items()}
    present = {s for s in signs.values() if s != 0}
    if len(present) != 1 or None in present:
        return None
    kept = [key for key, s in signs.items() if s]
    for place, r in enumerate(ranges.values()):
        if r.low is None and r.high is None and any(key[place] % 2 for key in kept):
            return None
    return present.pop(), _nowhere_zero(kept, list(ranges.values()), list(degrees.values()))  # type: ignore[return-value]


def _shifted(poly: PolyElement, index: int, r: Range, degree: int) -> PolyElement:
    t, one = poly.ring.gens[index], poly.ring.one
    if r.low is None and r.high is None:
        return poly
    if r.low is not None and r.high is not None:
        x, scale = _ground(poly, r.low) + _ground(poly, r.high) * t, one + t
    elif r.low is not None:
        x, scale = _ground(poly, r.low) + t, one
    else:
        x, scale = _ground(poly, r.high) - t, one
    total = poly.ring.zero
    for k, part in powers(poly, index).items():
        total += part * x**k * scale ** (degree - k)
    return total


def _nowhere_zero(terms: list[tuple[int, ...]], ranges: list[Range], degrees: list[int]) -> bool:
    """Whether on every face of the box some term, all of one sign, is not zero."""
    faces: list[tuple[int | None, ...]] = []
    for r, degree in zip(ranges, degrees, strict=True):
        if degree == 0 or not (r.closed or (r.low is None and r.high is None)):
            faces.append((None,))
        elif r.low is None or r.high is None:
            faces.append((None, 0))
        else:
            faces.append((None, 0, degree))
    if sum(len(face) > 1 for face in faces) > _MOST_CLOSED:
        return False
    return all(
        any(all(at is None or power == at for power, at in zip(term, face, strict=True)) for term in terms)
        for face in itertools.product(*faces)
    )


def _ground(poly: PolyElement, value: Any) -> PolyElement:
    return poly.ring(sp.QQ(int(value.p), int(value.q)))


def _rational(c: Any) -> sp.Rational:
    return sp.Rational(int(c.numerator), int(c.denominator))
