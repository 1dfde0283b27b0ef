"""Expressions of the steps as Coq terms over R, and what has to hold for them to be defined.

Only this file and :mod:`~proofs_check.coq_steps.statements` have to be believed for what a Coq theorem says; a proof
that Coq accepts needs no trust.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import sympy as sp

__all__ = ["NotExported", "conditions", "name_symbols", "term"]

_RESERVED = (
    "R S N C O D E T Q Z PI INR IZR exp ln sqrt sin cos Rabs Rmax Rmin Rpower fun forall exists let in if then else "
    "match with end at as ball abs plus mult zero one norm scal opp minus eq eta pi "
    "d_ locally filterlim at_right is_derive Rbar_locally p_infty m_infty"
)
_TAKEN = frozenset(_RESERVED.split())


class NotExported(ValueError):
    """The step has no Coq statement; says nothing about its truth."""


def name_symbols(symbols: Iterator[sp.Symbol] | list[sp.Symbol]) -> dict[sp.Symbol, str]:
    """A Coq identifier for every symbol, all different."""
    names: dict[sp.Symbol, str] = {}
    for x in symbols:
        base = "".join(c if (c.isalnum() and c.isascii()) or c in "_'" else "_" for c in x.name)
        base = base + "_" if base in _TAKEN else base if base[0].isalpha() else "v" + base
        while base in names.values():
            base += "'"
        names[x] = base
    return names


def term(e: sp.Expr, names: Mapping[sp.Symbol, str]) -> str:
    """A Coq term for an expression.

    Raises:
        NotExported: it holds something that has no term here.

    >>> x, K = sp.symbols("x K", positive=True)
    >>> term(sp.exp(-x / (K - 1)), {x: "x", K: "K"})
    'exp (- x / (K - 1))'
    """
    return _Writer(names).write(e)[0]


#: How tightly a term binds: a sum, a product, a power or application, an atom.
_SUM, _PRODUCT, _POWER, _ATOM = range(4)
_Written = tuple[str, int]


class _Writer:
    def __init__(self, names: Mapping[sp.Symbol, str]) -> None:
        self.names = names

    def write(self, e: sp.Expr) -> _Written:
        if isinstance(e, sp.Rational):
            return _rational(e)
        if isinstance(e, sp.Symbol):
            return self.names[e], _ATOM
        if e is sp.E:
            return "exp 1", _POWER
        if e is sp.pi:
            return "PI", _ATOM
        if isinstance(e, sp.Add):
            return self._sum(e)
        if isinstance(e, sp.Mul):
            return self._product(e)
        if isinstance(e, sp.Pow):
            return self._power(e)
        for kind, name in ((sp.exp, "exp"), (sp.log, "ln"), (sp.Abs, "Rabs"), (sp.sin, "sin"), (sp.cos, "cos")):
            if isinstance(e, kind) and len(e.args) == 1:
                return f"{name} {self.inside(e.args[0], _ATOM)}", _POWER
        for kind, name in ((sp.Max, "Rmax"), (sp.Min, "Rmin")):
            if isinstance(e, kind):
                return self._extreme(name, list(e.args))
        raise NotExported(f"{e} has no Coq term")

    def inside(self, e: sp.Expr, least: int) -> str:
        text, tightness = self.write(e)
        return text if tightness >= least else f"({text})"

    def _extreme(self, name: str, args: list[sp.Expr]) -> _Written:
        if len(args) == 1:
            return self.write(args[0])
        rest, _ = self._extreme(name, args[1:])
        return f"{name} {self.inside(args[0], _ATOM)} ({rest})", _POWER

    def _sum(self, e: sp.Add) -> _Written:
        first, *others = sorted(e.args, key=lambda a: bool(a.could_extract_minus_sign()))
        text = self.inside(first, _SUM)
        for a in others:
            if a.could_extract_minus_sign():
                text += f" - {self.inside(-a, _PRODUCT)}"
            else:
                text += f" + {self.inside(a, _PRODUCT)}"
        return text, _SUM

    def _product(self, e: sp.Mul) -> _Written:
        over: list[sp.Expr] = []
        under: list[sp.Expr] = []
        sign = ""
        for a in e.args:
            if isinstance(a, sp.Rational):
                sign = "- " if a < 0 else sign
                if abs(a.p) != 1:
                    over.append(sp.Integer(abs(a.p)))
                if a.q != 1:
                    under.append(sp.Integer(a.q))
            elif isinstance(a, sp.Pow) and a.base is not sp.E and isinstance(a.exp, sp.Rational) and a.exp < 0:
                under.append(sp.Pow(a.base, -a.exp))
            else:
                over.append(a)
        top = " * ".join(self.inside(a, _POWER) for a in over) or "1"
        if not under:
            return sign + top, _PRODUCT
        bottom = self.inside(under[0], _POWER) if len(under) == 1 else self._joined(under)
        return f"{sign}{top} / {bottom}", _PRODUCT

    def _joined(self, factors: list[sp.Expr]) -> str:
        return "(" + " * ".join(self.inside(a, _POWER) for a in factors) + ")"

    def _power(self, e: sp.Pow) -> _Written:
        base, exponent = e.args
        if base is sp.E:
            return f"exp {self.inside(exponent, _ATOM)}", _POWER
        if isinstance(exponent, sp.Rational) and exponent < 0:
            return f"/ {self.inside(sp.Pow(base, -exponent), _ATOM)}", _PRODUCT
        if isinstance(exponent, sp.Integer):
            return f"{self.inside(base, _ATOM)} ^ {exponent}", _POWER
        if exponent == sp.Rational(1, 2):
            return f"sqrt {self.inside(base, _ATOM)}", _POWER
        return f"Rpower {self.inside(base, _ATOM)} {self.inside(exponent, _ATOM)}", _POWER


def _rational(q: sp.Rational) -> _Written:
    if q.q == 1:
        return (str(q.p), _ATOM) if q.p >= 0 else (f"- {-q.p}", _SUM)
    return f"{'- ' if q.p < 0 else ''}{abs(q.p)} / {q.q}", _PRODUCT


def conditions(e: sp.Expr) -> Iterator[tuple[sp.Expr, str]]:
    """What has to hold for an expression to be defined, inner parts first: (part, ``"<>"``, ``">"`` or ``">="``).

    A power with an integer exponent below 0 wants a base that is not 0; a square root one that is not negative; every
    other power, and a logarithm, one that is positive.
    """
    for a in e.args:
        yield from conditions(a)
    if isinstance(e, sp.log):
        yield e.args[0], ">"
    if not isinstance(e, sp.Pow) or e.base is sp.E or (isinstance(e.base, sp.Rational) and e.base > 0):
        return
    if isinstance(e.exp, sp.Integer):
        if e.exp < 0:
            yield e.base, "<>"
    elif e.exp == sp.Rational(1, 2):
        yield e.base, ">="
    else:
        yield e.base, ">"
