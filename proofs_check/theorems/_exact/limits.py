"""One-sided limits by Taylor's formula for numerator and denominator."""

from __future__ import annotations

import math

import sympy as sp

from proofs_check.theorems._exact.language import Language, Refused
from proofs_check.theorems._exact.ranges import Domain, Range, clash

__all__ = ["limit_from_above"]

#: Derivatives that are looked at.
_ORDER = 8


def limit_from_above(expr: sp.Expr, variable: sp.Symbol, point: sp.Rational, domain: Domain) -> sp.Expr:
    """The limit of ``expr`` as ``variable`` decreases to ``point``, for all values of the other symbols.

    Returns:
        An expression in the other symbols, ``oo`` or ``-oo``.

    Raises:
        Refused: it is not shown that there is one.
    """
    reason = clash(variable, Range(point))
    if reason is not None:
        raise Refused(reason)
    language = Language(domain)
    h = sp.Dummy("h", positive=True)
    # Fractional powers of what vanishes at the point become whole powers of h.
    moved = expr.xreplace({variable: point + h ** _fineness(expr, variable, point)})
    num, den = _fraction(moved)
    for part in (num, den):
        _need_analytic(part, h, language)
    return _ratio(num, den, h, language)


def _fineness(expr: sp.Expr, variable: sp.Symbol, point: sp.Rational) -> int:
    roots = [p for p in expr.atoms(sp.Pow) if isinstance(p.exp, sp.Rational) and p.base.has(variable)]
    return math.lcm(*(int(p.exp.q) for p in roots if p.base.xreplace({variable: point}) == 0))


def _fraction(e: sp.Expr) -> tuple[sp.Expr, sp.Expr]:
    """Numerator and denominator, without cancelling anything."""
    if isinstance(e, sp.Add):
        num, den = sp.Integer(0), sp.Integer(1)
        for top, bottom in map(_fraction, e.args):
            num, den = (num + top, den) if den == bottom else (num * bottom + top * den, den * bottom)
        return num, den
    if isinstance(e, sp.Mul):
        parts = [_fraction(a) for a in e.args]
        return sp.Mul(*(top for top, _ in parts)), sp.Mul(*(bottom for _, bottom in parts))
    if isinstance(e, sp.Pow) and isinstance(e.exp, sp.Rational) and (e.exp.is_Integer or e.exp < 0):
        top, bottom = _fraction(e.base) if e.exp.is_Integer else (e.base, sp.Integer(1))
        return (top**e.exp, bottom**e.exp) if e.exp > 0 else (bottom**-e.exp, top**-e.exp)
    return e, sp.Integer(1)


def _need_analytic(e: sp.Expr, h: sp.Symbol, language: Language) -> None:
    """The expression is analytic in h around 0, at every point of the domain of the other symbols.

    Raises:
        Refused: that is not shown.
    """
    if not e.has(h):
        language.read(e)
        return
    if e == h:
        return
    for a in e.args:
        _need_analytic(a, h, language)
    if isinstance(e, sp.Add | sp.Mul | sp.exp | sp.sin | sp.cos) or (isinstance(e, sp.Pow) and e.base is sp.E):
        return
    if isinstance(e, sp.Pow) and e.exp.is_Integer and e.exp >= 0:
        return
    if isinstance(e, sp.Pow | sp.log):
        found = language.sign(e.args[0].xreplace({h: sp.Integer(0)}))
        if found == (1, True) or (found == (-1, True) and isinstance(e, sp.Pow) and e.exp.is_Integer):
            return
    raise Refused(f"{e} is not shown to be smooth at {h} = 0")


def _ratio(num: sp.Expr, den: sp.Expr, h: sp.Symbol, language: Language) -> sp.Expr:
    """Limit of num/den as h decreases to 0, both analytic there."""
    leading = 0  # sign of the first derivative of the numerator that is not 0, none having been met
    for _ in range(_ORDER):
        n, d = (e.xreplace({h: sp.Integer(0)}) for e in (num, den))
        bottom = _settled(d, language)
        if bottom:
            return leading * bottom * sp.oo if leading else n / d
        leading = leading or _settled(n, language)
        num, den = sp.diff(num, h), sp.diff(den, h)
    raise Refused(f"the denominator vanishes to order {_ORDER}")


def _settled(e: sp.Expr, language: Language) -> int:
    """Sign of a coefficient, the same for all values of the other symbols; refused if it may be zero for some only."""
    found = language.sign(e)
    if found is None or (found[0] and not found[1]):
        raise Refused(f"the domain does not settle the sign of the coefficient {e}")
    return found[0]
