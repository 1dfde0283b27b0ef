"""What has to be believed of the second kernel, attacked: that a Coq term says what the expression says.

The text is read by Coq's own rules of precedence, which are written down here once more, and valued by mpmath.
"""

from __future__ import annotations

import random
import re

import mpmath
import pytest
import sympy as sp
from random_facts import NO_VALUE, Setting, value

from proofs_check.coq_steps.statements import bounds, state
from proofs_check.coq_steps.terms import NotExported, conditions, name_symbols, term
from proofs_check.theorems._kernel import above, at_least, between, everywhere, holds, limit

DIGITS = 50
ONE = {
    "exp": mpmath.exp,
    "ln": mpmath.log,
    "sqrt": mpmath.sqrt,
    "sin": mpmath.sin,
    "cos": mpmath.cos,
    "Rabs": mpmath.fabs,
}
TWO = {"Rmax": max, "Rmin": min, "Rpower": lambda a, b: mpmath.exp(b * mpmath.log(a))}


class Reader:
    """A Coq term over R: sums at level 50, products at 40, - and / before a term at 35, powers at 30, application."""

    def __init__(self, text: str, at: dict[str, mpmath.mpf]) -> None:
        self.tokens, self.at = re.findall(r"[A-Za-z_][\w']*|\d+|[-+*/^()]", text), at
        assert "".join(self.tokens) == text.replace(" ", "")

    def all(self) -> mpmath.mpf:
        found = self.sum()
        assert not self.tokens
        return found

    def next(self, among: str) -> str:
        return self.tokens.pop(0) if self.tokens and self.tokens[0] in tuple(among) else ""

    def sum(self) -> mpmath.mpf:
        found = self.product()
        while sign := self.next("+-"):
            other = self.product()
            found = found + other if sign == "+" else found - other
        return found

    def product(self) -> mpmath.mpf:
        found = self.signed()
        while sign := self.next("*/"):
            other = self.signed()
            found = found * other if sign == "*" else found / other
        return found

    def signed(self) -> mpmath.mpf:
        sign = self.next("-/")
        return self.power() if not sign else -self.signed() if sign == "-" else 1 / self.signed()

    def power(self) -> mpmath.mpf:
        base = self.applied()
        if not self.next("^"):
            return base
        exponent = self.power()
        assert exponent == int(exponent) >= 0  # of type nat
        return base ** int(exponent)

    def applied(self) -> mpmath.mpf:
        name = self.tokens[0]
        if name in ONE:
            self.tokens.pop(0)
            return ONE[name](self.atom())
        if name in TWO:
            self.tokens.pop(0)
            return TWO[name](self.atom(), self.atom())
        return self.atom()

    def atom(self) -> mpmath.mpf:
        token = self.tokens.pop(0)
        if token == "(":
            found = self.sum()
            assert self.tokens.pop(0) == ")"
            return found
        return mpmath.mpf(token) if token.isdigit() else mpmath.pi if token == "PI" else self.at[token]


def number(q: sp.Rational) -> mpmath.mpf:
    return mpmath.mpf(int(q.p)) / int(q.q)


def settled(e: sp.Expr, point: dict[sp.Symbol, sp.Rational]) -> bool:
    """Whether all conditions under which an expression is defined hold at a point, well apart from their bounds."""
    for part, relation in conditions(e):
        try:
            at = value(part, point)
        except NO_VALUE:
            return False
        if mpmath.im(at) or abs(at) < 1e-30 or not (at > 0 or relation == "<>"):
            return False
    return True


def test_a_term_has_the_value_of_its_expression():
    rng, tried, undefined = random.Random(11), 0, 0
    for _ in range(240):
        s = Setting.draw(rng)
        e = s.any(rng.randint(1, 3)) if rng.random() < 0.6 else s.positive(3) - s.any(1) / s.positive(1)
        point, names = s.point(), name_symbols(s.symbols)
        if e.has(sp.I, sp.zoo, sp.nan):
            continue
        try:
            text = term(e, names)
        except NotExported:
            continue
        with mpmath.workdps(DIGITS):
            try:
                said = value(e, point)
            except NO_VALUE:
                said = mpmath.mpc(0, 1)
            if not settled(e, point):
                undefined += 1
                continue
            # where the conditions hold there is a value, and Coq's total functions have it
            assert not mpmath.im(said), (e, point)
            read = Reader(text, {names[x]: number(q) for x, q in point.items()}).all()
            assert abs(read - said) <= mpmath.mpf(10) ** -35 * (1 + abs(said)), (e, text)
        tried += 1
    assert tried > 110
    assert undefined > 10


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("-x**2", "- x ^ 2"),
        ("(-2)**x", None),
        ("(x - 1)**(-2)", "/ ((x - 1) ^ 2)"),
        ("x/(2*y)", "x / (2 * y)"),
        ("-x/(y*(x - 1))", "- x / (y * (x - 1))"),
        ("x - (y - 1)", None),
        ("x**Rational(-1, 2)", "/ (sqrt x)"),
        ("(x**2)**y", None),
        ("exp(-x**2)", "exp (- x ^ 2)"),
        ("x**(y - 1)", "Rpower x (y - 1)"),
    ],
)
def test_terms_in_which_precedence_matters(expression, text):
    e = sp.sympify(expression, locals={"x": sp.Symbol("x"), "y": sp.Symbol("y")})
    x, y = sp.symbols("x y")
    shown = term(e, {x: "x", y: "y"})
    assert text is None or shown == text
    point = {x: sp.Rational(7, 3), y: sp.Rational(5)}
    with mpmath.workdps(DIGITS):
        if settled(e, point):
            read = Reader(shown, {symbol.name: number(q) for symbol, q in point.items()}).all()
            assert abs(read - value(e, point)) < 1e-40


def test_no_symbol_takes_the_name_of_another_or_of_coq():
    drawn = [
        sp.Symbol(x) for x in ("exp", "R", "PI", "sqrt", "fun", "x", "x'", "x^", "x_", "x-", "λ", "1x", "d_", "H0")
    ]
    drawn += [sp.Symbol("x", positive=True), sp.Dummy("x"), sp.Dummy("R")]
    names = name_symbols(drawn)
    assert len(set(names.values())) == len(drawn)
    assert all(re.fullmatch(r"[A-Za-z][\w']*", name, re.ASCII) for name in names.values())
    assert not {"exp", "R", "PI", "sqrt", "fun", "d_"} & set(names.values())


def test_a_symbol_is_not_caught_by_the_variable_of_a_limit():
    """``exists d_``: a symbol of that name means itself, in the condition that holds next to the point."""
    x, d = sp.symbols("x d_", positive=True)
    text = state(limit("", sp.log(x + d) - sp.log(d), x, 0, 0).fact).text
    (caught,) = re.findall(r"exists d_ : R,(.*)", text)
    assert "ln" not in caught
    assert "d__ + x > 0" in caught


@pytest.mark.parametrize(
    "r", [above(0), above(sp.Rational(-7, 2)), at_least(2), at_least(-3), between(-1, sp.Rational(1, 3)), everywhere()]
)
def test_hypotheses_hold_within_a_range_and_nowhere_else(r):
    lines = list(bounds(r, "x"))
    for q in (sp.Rational(n, 6) for n in range(-30, 31)):
        inside = all(
            low is None or (q * sign > low * sign) or (r.closed and q == low)
            for low, sign in ((r.low, 1), (r.high, -1))
        )
        assert all(_holds(line, {"x": number(q)}) for line in lines) is inside


def _holds(line: str, at: dict[str, mpmath.mpf]) -> bool:
    left, sign, right = re.fullmatch(r"(.*?) (<=|<) (.*)", line).groups()
    a, b = Reader(left, at).all(), Reader(right, at).all()
    return bool(a <= b if sign == "<=" else a < b)


@pytest.mark.parametrize("relation", ["==", "<", "<=", ">", ">="])
def test_a_conclusion_is_true_exactly_where_the_relation_is(relation):
    x = sp.Symbol("x", real=True)
    text = state(holds("", x**2 - 2 * x, relation, -x + 2, {x: everywhere()}).fact).text.split("\n")[-1].strip()
    left, sign, right = re.fullmatch(r"(.*?) (<=|>=|<|>|=) (.*)", text).groups()
    same = {"=": "==", "<": "<", "<=": "<=", ">": ">", ">=": ">="}[sign]
    assert same == relation
    for q in (-2, -1, 0, sp.Rational(1, 2), 2, 3):
        at = {"x": number(sp.Rational(q))}
        assert Reader(left, at).all() == q**2 - 2 * q
        assert Reader(right, at).all() == 2 - q
