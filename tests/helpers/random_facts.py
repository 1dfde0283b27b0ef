"""Random facts, true and false, on which the kernel of proof steps is tried.

A *false* fact is a call of a step-constructor whose statement fails: it has a witness, a point (or two, for monotone
functions) where mpmath finds it violated by far or without a value, or it is false by the way it was made. A *true* one
is true by the way it was made. Nothing of the kernel is used to tell which is which.

    python tests/helpers/random_facts.py --false 10000 --true 4000

prints how many of each kind the kernel called True, False and undecided. The false ones are judged by the kernel's
proofs alone, its attack at exact points switched off (``--attacked`` leaves it on): what is False by an attack could
hide what a proof would wrongly call True.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import mpmath
import sympy as sp

from proofs_check.theorems import _kernel as kernel

#: Names that a kernel could have used itself stand among the symbols.
NAMES = ("x", "y", "z", "t", "sqrt_x", "exp_0", "t_x", "root_1", "symbol_0", "E", "lambda")
R = sp.Rational
DIGITS = 40


@dataclass
class Fact:
    """A call ``constructor("", *arguments)`` and what is known of it."""

    constructor: str
    arguments: tuple[Any, ...]
    truth: bool
    kind: str
    witness: dict[str, Any] | str = field(default_factory=dict)

    def judge(self) -> bool | None:
        """What the kernel says: False if any step is, True if all are; an error of the input counts as undecided."""
        try:
            found = getattr(kernel, self.constructor)("fact", *self.arguments)
        except (ValueError, TypeError):
            return None
        results = [step.result for step in (found if isinstance(found, tuple) else (found,))]
        return False if False in results else True if all(r is True for r in results) else None


# values by mpmath ---------------------------------------------------------------------------------------------------


def value(e: sp.Expr, point: dict[sp.Symbol, Any], ctx: Any = mpmath.mp) -> Any:
    """Value on the principal branch; raises ArithmeticError or ValueError where there is none."""
    if e in point:
        return ctx.mpf(point[e].p) / point[e].q
    if e.is_Rational:
        return ctx.mpf(e.p) / e.q
    if e.is_Float:
        return ctx.mpf(str(e))
    if e is sp.pi:
        return +ctx.pi
    if e is sp.E:
        return +ctx.e
    if e is sp.I:
        return ctx.mpc(0, 1)
    args = [value(a, point, ctx) for a in e.args]
    if e.is_Add:
        return sum(args, ctx.mpf(0))
    if e.is_Mul:
        return ctx.fprod(args)
    if e.is_Pow:
        if args[0] == 0 and not (e.exp.is_number and e.exp > 0):
            raise ZeroDivisionError
        return args[0] ** (int(e.exp) if e.exp.is_Integer else args[1])
    if isinstance(e, sp.log) and args[0] == 0:
        raise ValueError("log 0")
    if isinstance(e, sp.Max | sp.Min):
        if any(ctx.im(a) for a in args):
            raise ValueError("order of complex numbers")
        return (max if isinstance(e, sp.Max) else min)(args)
    if isinstance(e, sp.sign):
        return ctx.sign(args[0])
    name = {"Abs": "fabs", "atan": "atan"}.get(type(e).__name__, type(e).__name__)
    return getattr(ctx, name)(*args)


#: What evaluation raises where an expression has no value.
NO_VALUE = (ArithmeticError, ValueError)


def violated(lhs: sp.Expr, relation: str, rhs: sp.Expr, point: dict[sp.Symbol, Any]) -> bool:
    """Whether ``lhs relation rhs`` fails at the point by far, or a side has no (real) value there."""
    lhs, rhs = sp.sympify(lhs), sp.sympify(rhs)
    with mpmath.workdps(DIGITS):
        try:
            left, right = value(lhs, point), value(rhs, point)
        except NO_VALUE:
            return True
        if not (mpmath.isfinite(left) and mpmath.isfinite(right)):
            return False
        gap = left - right
        margin = mpmath.mpf(10) ** (10 - DIGITS) * (1 + abs(left) + abs(right))
        if abs(mpmath.im(gap)) > margin:
            return True
        if relation != "==" and (abs(mpmath.im(left)) > margin or abs(mpmath.im(right)) > margin):
            return True
        gap = mpmath.re(gap)
        return {
            "==": abs(gap) > margin,
            ">": gap < -margin or gap == 0,
            ">=": gap < -margin,
            "<": gap > margin or gap == 0,
            "<=": gap > margin,
        }[relation]


def inside(rng: random.Random, r: kernel.Range) -> sp.Rational:
    """A random rational point of a range, near its ends now and then, with a crooked denominator."""
    u = R(rng.randint(1, 996), 997)
    u = u**4 if rng.random() < 0.25 else 1 - (1 - u) ** 4 if rng.random() < 0.3 else u
    if r.closed and rng.random() < 0.15:
        u = sp.Integer(0) if r.high is None or rng.random() < 0.5 else sp.Integer(1)
    if r.low is None and r.high is None:
        return (2 * u - 1) / ((1 - u) * u + R(1, 50))
    if r.low is None:
        return r.high - u / (1 - u)
    return r.low + (u / (1 - u) if r.high is None else (r.high - r.low) * u)


# expressions --------------------------------------------------------------------------------------------------------


@dataclass
class Setting:
    """Symbols and their ranges, and random expressions in them."""

    rng: random.Random
    domain: dict[sp.Symbol, kernel.Range]

    @classmethod
    def draw(cls, rng: random.Random, most: int = 3, ranges: tuple[kernel.Range, ...] = ()) -> Setting:
        names = rng.sample(NAMES, rng.randint(1, most))
        domain = {}
        for name in names:
            r = rng.choice(ranges or RANGES)
            positive = r.low is not None and (r.low > 0 or (r.low == 0 and not r.closed))
            flags = (
                {"positive": True} if positive and rng.random() < 0.7 else {"real": True} if rng.random() < 0.8 else {}
            )
            domain[sp.Symbol(name, **flags)] = r
        return cls(rng, domain)

    @property
    def symbols(self) -> list[sp.Symbol]:
        """The symbols."""
        return list(self.domain)

    def point(self) -> dict[sp.Symbol, sp.Rational]:
        """A random point."""
        return {x: inside(self.rng, r) for x, r in self.domain.items()}

    def number(self, zero: bool = False) -> sp.Rational:
        """A small rational."""
        return R(self.rng.randint(0 if zero else 1, 6), self.rng.choice((1, 1, 1, 2, 3, 5)))

    def positive(self, depth: int = 2) -> sp.Expr:
        """An expression positive on the domain by the way it is made."""
        rng, x = self.rng, self.rng.choice(self.symbols)
        if depth == 0:
            return rng.choice((lambda: self.distance(x), self.number, lambda: sp.exp(self.linear())))()
        a, b = (lambda: self.positive(depth - 1)), (lambda: self.positive(depth - 1))
        return rng.choice(
            (
                lambda: a() + b(),
                lambda: a() + b(),
                lambda: a() * b(),
                lambda: a() / (b() + self.number()),
                lambda: sp.sqrt(a()),
                lambda: a() ** 2 + self.number(),
                lambda: (self.linear()) ** 2 + a(),
                lambda: sp.log(1 + a()),
                lambda: sp.exp(-a()),
            )
        )()

    def distance(self, x: sp.Symbol) -> sp.Expr:
        """How far x is from an end of its range, nonnegative; positive if the range is open."""
        r, ends = self.domain[x], []
        lift = self.number() if r.closed else 0
        ends += [x - r.low + lift] if r.low is not None else []
        ends += [r.high - x + lift] if r.high is not None else []
        return self.rng.choice(ends) if ends else x**2 + self.number()

    def linear(self) -> sp.Expr:
        """A small linear expression of any sign."""
        return sum(self.rng.randint(-2, 2) * x for x in self.symbols) + self.rng.randint(-1, 1)

    def any(self, depth: int = 2) -> sp.Expr:
        """An expression of any sign that may have poles and branches."""
        rng = self.rng
        if depth == 0:
            return rng.choice((lambda: rng.choice(self.symbols), self.linear, self.number))()
        a, b = (lambda: self.any(depth - 1)), (lambda: self.any(depth - 1))
        return rng.choice(
            (
                lambda: a() + b(),
                lambda: a() - b(),
                lambda: a() * b(),
                lambda: a() * b(),
                lambda: a() / (b() + self.number()),
                lambda: a() / b() if (d := b()) != 0 else d,
                lambda: a() ** 2,
                lambda: a() ** 3,
                lambda: sp.sqrt(a()),
                lambda: sp.log(a()) if a() != 0 else a(),
                lambda: sp.exp(a()) if depth < 2 else a(),
                lambda: sp.Abs(a()),
                lambda: _largest(a(), self.number()),
                lambda: sp.cos(a()),
                lambda: sp.sin(a()),
            )
        )()


def _largest(a: sp.Expr, b: sp.Expr) -> sp.Expr:
    """The maximum, unless SymPy knows that one of the two is not real."""
    try:
        return sp.Max(a, b)
    except ValueError:
        return a


RANGES = (
    kernel.above(0),
    kernel.above(0),
    kernel.at_least(0),
    kernel.above(1),
    kernel.between(0, 1),
    kernel.between(0, 1),
    kernel.within(0, 1),
    kernel.between(1, 3),
    kernel.between(-1, 2),
    kernel.within(-2, 2),
    kernel.at_least(-3),
    kernel.below(-1),
    kernel.everywhere(),
)
POSITIVE = (kernel.above(0), kernel.above(1), kernel.between(0, 1), kernel.between(1, 3), kernel.at_least(2))
SMALL = (R(1), R(-1, 7), R(1, 10**6), R(-1, 10**20))


def _clean(e: Any) -> bool:
    return isinstance(e, sp.Expr) and not e.has(sp.nan, sp.zoo, sp.oo, -sp.oo)


# identities ---------------------------------------------------------------------------------------------------------


def _equal_pair(s: Setting) -> tuple[sp.Expr, sp.Expr, str]:
    """Two expressions that agree on the domain by a law, and the law."""
    rng = s.rng
    a, b = s.positive(rng.randint(0, 2)), s.positive(rng.randint(0, 2))
    u, v = s.linear(), s.linear()
    k = rng.randint(2, 4)
    p = sp.Poly([s.number(True) for _ in range(3)], sp.Symbol("w")).as_expr()
    w = sp.Symbol("w")
    return rng.choice(
        (
            lambda: ((a + u) ** 2, a**2 + 2 * a * u + u**2, "square"),
            lambda: ((u + v) ** k, sp.expand((u + v) ** k), "power of a sum"),
            lambda: (u / a + v / b, (u * b + v * a) / (a * b), "sum of fractions"),
            lambda: (a**2 - b**2, (a - b) * (a + b), "difference of squares"),
            lambda: (sp.log(a * b), sp.log(a) + sp.log(b), "log of a product"),
            lambda: (sp.log(a / b), sp.log(a) - sp.log(b), "log of a quotient"),
            lambda: (sp.log(a**k), k * sp.log(a), "log of a power"),
            lambda: (sp.exp(u + v), sp.exp(u) * sp.exp(v), "exp of a sum"),
            lambda: (sp.exp(k * u), sp.exp(u) ** k, "exp of a multiple"),
            lambda: (sp.exp(u + sp.log(a)), a * sp.exp(u), "exp of a log"),
            lambda: (sp.sqrt(a * b), sp.sqrt(a) * sp.sqrt(b), "root of a product"),
            lambda: (sp.sqrt((a + b) ** 2), a + b, "root of a square"),
            lambda: ((a * b) ** R(1, 3) * (a * b) ** R(2, 3), a * b, "cube roots"),
            lambda: (1 / (sp.sqrt(a + 1) - sp.sqrt(a)), sp.sqrt(a + 1) + sp.sqrt(a), "conjugate roots"),
            lambda: (sp.Abs(-a), a, "modulus"),
            lambda: (sp.Max(a, a + b), a + b, "maximum"),
            lambda: (sp.cos(u + v), sp.cos(u) * sp.cos(v) - sp.sin(u) * sp.sin(v), "addition theorem"),
            lambda: (sp.cos(u) ** 2 + sp.sin(u) ** 2, sp.Integer(1), "Pythagoras"),
            lambda: ((a ** (1 / b)) ** b, a, "power of a power"),
            lambda: (p.subs(w, u + 1), sp.expand(p.subs(w, u + 1)), "polynomial"),
        )
    )()


def _inside_a_context(s: Setting, lhs: sp.Expr, rhs: sp.Expr) -> tuple[sp.Expr, sp.Expr]:
    """Both sides put into one expression that is injective enough for a difference to stay visible."""
    x, c = s.rng.choice(s.symbols), s.number()
    shape = s.rng.randint(0, 3)
    if shape == 0:
        return c * lhs + x, c * rhs + x
    if shape == 1:
        return lhs**2 + c, sp.expand(rhs**2) + c
    if shape == 2:
        return 1 / (lhs**2 + c), 1 / (rhs**2 + c)
    return lhs, rhs


def true_identity(rng: random.Random) -> Fact | None:
    """An identity by a law."""
    s = Setting.draw(rng)
    lhs, rhs, kind = _equal_pair(s)
    lhs, rhs = _inside_a_context(s, lhs, rhs)
    return Fact("identity", (lhs, rhs, s.domain), True, kind) if _clean(lhs) and _clean(rhs) else None


def false_identity(rng: random.Random) -> Fact | None:
    """A law with a slip, outside its hypotheses, with a pole in the domain, or with floats."""
    slip = rng.choice(("term", "factor", "hypothesis", "hypothesis", "pole", "float", "unrelated", "name", "complex"))
    s = Setting.draw(rng)
    x = rng.choice(s.symbols)
    if slip == "hypothesis":
        lhs, rhs, kind = _outside_hypotheses(s)
    elif slip == "unrelated":
        lhs, rhs, kind = s.any(2), s.any(2), "unrelated"
    else:
        lhs, rhs, kind = _equal_pair(s)
    made: str | None = None
    if slip == "term":
        rhs, made = rhs + rng.choice(SMALL) * rng.choice((1, x**2 + 1, sp.exp(x))), "a term that is not zero was added"
    elif slip == "factor":
        rhs = rhs * rng.choice((R(2), R(1001, 1000), 1 + x))
    elif slip == "pole":
        pole = s.point()[x]
        lhs, rhs, made = lhs + 1 / (x - pole), rhs + 1 / (x - pole), f"no value at {x} = {pole}"
    elif slip == "float":
        rhs, made = rhs + sp.Float("1e-20") * (x**2 + 1), "a float that is not zero was added"
    elif slip == "name":
        lhs, rhs = rng.choice(((sp.sqrt(x**2 + 1), _other(x)), (sp.exp(x), _other(x)), (x, _other(x))))
        s.domain[rhs] = kernel.above(0)
        made = "a symbol is no function of another"
    elif slip == "complex":
        lhs = lhs + rng.choice((sp.I * (x**2 + 1), sp.exp(sp.I * x) - 2 * sp.exp(-sp.I * x) + 9))
    return _false("identity", lhs, "==", rhs, s, f"{slip}: {kind}", made)


def _other(x: sp.Symbol) -> sp.Symbol:
    return sp.Symbol(f"{random.Random(len(x.name)).choice(('sqrt_', 'exp_', 't_', 'root_'))}{x.name}", positive=True)


def _outside_hypotheses(s: Setting) -> tuple[sp.Expr, sp.Expr, str]:
    """A law for positive numbers applied to expressions of any sign."""
    a, b, k = s.any(s.rng.randint(0, 1)), s.any(s.rng.randint(0, 1)), s.rng.randint(2, 3)
    if a == 0 or b == 0:
        a, b = a + 1, b + 1
    return s.rng.choice(
        (
            lambda: (sp.log(a**2), 2 * sp.log(a), "log of a square"),
            lambda: (sp.log(a * b), sp.log(a) + sp.log(b), "log of a product"),
            lambda: (sp.sqrt(a**2), a, "root of a square"),
            lambda: (sp.sqrt(a) * sp.sqrt(b), sp.sqrt(a * b), "root of a product"),
            lambda: (sp.Abs(a), a, "modulus"),
            lambda: (_largest(a, b), a, "maximum"),
            lambda: ((a**k) ** R(1, k), a, "root of a power"),
            lambda: (a / b * b**2 / b, a, "a pole that cancels"),
            lambda: (sp.sin(a + b), sp.sin(a) + sp.sin(b), "sine of a sum"),
        )
    )()


def _false(
    constructor: str, lhs: Any, relation: str, rhs: Any, s: Setting, kind: str, made: str | None, where: Any = None
) -> Fact | None:
    """The fact, if it is false by construction or a witness is found."""
    lhs, rhs = sp.sympify(lhs), sp.sympify(rhs)
    if not (_clean(lhs) and _clean(rhs)):
        return None
    arguments: tuple[Any, ...] = (lhs, rhs, s.domain) if constructor == "identity" else (lhs, relation, rhs, s.domain)
    if where is not None:
        arguments = (*arguments, where)
    if made is not None:
        return Fact(constructor, arguments, False, kind, made)
    for _ in range(12):
        point = s.point()
        if violated(lhs, relation, rhs, point):
            return Fact(constructor, arguments, False, kind, {str(x): str(v) for x, v in point.items()})
    return None


# signs --------------------------------------------------------------------------------------------------------------


def true_sign(rng: random.Random) -> Fact | None:
    """A sign by the way the expression is made."""
    s = Setting.draw(rng)
    a, b, c = s.positive(rng.randint(0, 2)), s.positive(rng.randint(0, 1)), s.number()
    u, v = s.linear(), s.linear()
    lhs, relation, rhs, kind = rng.choice(
        (
            lambda: (a, ">", 0, "positive"),
            lambda: (a + b, ">", b, "sum above its part"),
            lambda: (a / (a + b), "<", 1, "share"),
            lambda: (-a, "<", 0, "negative"),
            lambda: ((u - v) ** 2, ">=", 0, "square"),
            lambda: ((u - v) ** 2 + a, ">", 0, "square and a positive term"),
            lambda: (u**2 + v**2, ">=", 2 * u * v, "two squares"),
            lambda: (sp.exp(-a), "<", 1, "decaying exponential"),
            lambda: (sp.exp(a), ">", 1, "growing exponential"),
            lambda: (sp.log(1 + a), ">", 0, "logarithm above 1"),
            lambda: (sp.log(1 + a) - a / (1 + a) + a, ">", 0, "logarithm and a fraction"),
            lambda: (sp.sqrt(1 + a), ">", 1, "root above 1"),
            lambda: (1 / (1 + a), "<", 1, "reciprocal"),
            lambda: (1 / b, ">", 1 / (a + b), "reciprocals in order"),
            lambda: (c * a**2 + b, ">=", b, "square above its part"),
            lambda: (sp.cos(u), ">=", -1, "cosine"),
        )
    )()
    return Fact("holds", (sp.sympify(lhs), relation, sp.sympify(rhs), s.domain), True, kind) if _clean(lhs) else None


def false_sign(rng: random.Random) -> Fact | None:
    """A bound that some points pass: just inside the values taken, or at a zero that a strict sign forgets."""
    s = Setting.draw(rng)
    slip = rng.choice(("bound", "bound", "bound", "zero", "end", "any", "pole", "float", "complex", "undefined"))
    a, x = s.positive(rng.randint(0, 2)), rng.choice(s.symbols)
    if slip == "bound":
        f = rng.choice((a, s.any(1), s.any(2), a * s.any(1), (s.linear() - s.linear()) ** 2))
        return _just_inside(s, f)
    if slip == "zero":
        at = s.point()
        factor = rng.choice(((x - at[x]) ** 2, sp.Abs(x - at[x]), (x - at[x]) ** 2 + sum((y - at[y]) ** 2 for y in at)))
        return Fact(
            "holds", (factor * a, ">", sp.Integer(0), s.domain), False, "zero", {str(y): str(q) for y, q in at.items()}
        )
    if slip == "end":
        ends = {y: r.low if r.low is not None else sp.Integer(0) for y, r in s.domain.items()}
        if not all(r.closed if r.low is not None else r.high is None for r in s.domain.values()):
            return None
        # Nonnegative, and zero where every symbol is at the closed end of its range, or at 0 on the whole line.
        away = [y - ends[y] if s.domain[y].closed else y**2 for y in s.symbols]
        at_ends = {str(y): str(q) for y, q in ends.items()}
        return Fact("holds", (sum(away) * a, ">", sp.Integer(0), s.domain), False, "end", at_ends)
    if slip == "any":
        return _false("holds", s.any(2), rng.choice(("<", "<=", ">", ">=")), s.any(1), s, "any", None)
    if slip == "pole":
        pole = s.point()[x]
        return _false("holds", a / (x - pole) ** 2, ">", 0, s, "pole", f"no value at {x} = {pole}")
    if slip == "float":
        return _false("holds", sp.Float("1e-30") + x, "<=", x, s, "float", "a positive float was added")
    if slip == "complex":
        lhs = (sp.exp(sp.I * x) + sp.exp(-sp.I * x)) / 2 + rng.choice((0, R(1, 2), R(9, 10)))
        return _false("holds", lhs, ">", 0, s, "complex", None)
    q = s.point()[x]
    lhs = rng.choice(
        (sp.sqrt(x - q) + 1, sp.log((x - q) ** 2 + 0) ** 2 + 1, sp.log(x - q) ** 2 + 1, (x - q) ** R(-1, 2) + 1)
    )
    return _false("holds", lhs, ">", 0, s, "undefined", None)


def _just_inside(s: Setting, f: sp.Expr) -> Fact | None:
    """``f`` above (or below) a bound a little inside the values that it takes."""
    values = []
    for _ in range(6):
        point = s.point()
        try:
            found = value(f, point, mpmath.mp)
        except NO_VALUE:
            return _false("holds", f, ">", -(10**9), s, "no value", None)
        if not mpmath.isfinite(found) or abs(mpmath.im(found)) > 1e-9 or abs(found) > 1e12:
            return None
        values.append(float(mpmath.re(found)))
    low, high = min(values), max(values)
    share = s.rng.choice((0.3, 0.05, 0.002))
    if s.rng.random() < 0.5:
        bound = R(str(round(low + share * (abs(low) + high - low) + 1e-6, 9)))
        return _false("holds", f, s.rng.choice((">", ">=")), bound, s, "bound", None)
    bound = R(str(round(high - share * (abs(high) + high - low) - 1e-6, 9)))
    return _false("holds", f, s.rng.choice(("<", "<=")), bound, s, "bound", None)


# names for subexpressions -------------------------------------------------------------------------------------------


def _named_parts(s: Setting) -> tuple[sp.Expr, sp.Rational | None]:
    """A subexpression to name, and a bound above which it stays by construction."""
    a, u = s.positive(1), s.linear()
    return s.rng.choice(
        (
            lambda: (sp.exp(u), sp.Integer(0)),
            lambda: (sp.exp(a), sp.Integer(1)),
            lambda: (sp.sqrt(1 + a), sp.Integer(1)),
            lambda: (sp.log(1 + a), sp.Integer(0)),
            lambda: (1 / (1 + a), sp.Integer(0)),
        )
    )()


def true_where(rng: random.Random) -> Fact | None:
    """A fact about a named subexpression in its range."""
    s = Setting.draw(rng, 2)
    key, low = _named_parts(s)
    name = sp.Symbol("Q", positive=True)
    if key.is_number or low is None:
        return None
    x = s.distance(rng.choice(s.symbols)) ** 2
    fact = rng.choice(((key + x, ">", low), (key**2 + x, ">", low**2), (1 / (key + 1), "<", 1 / (low + 1))))
    return Fact("holds", (*fact, {**s.domain, name: kernel.above(low)}, {key: name}), True, "named")


def false_where(rng: random.Random) -> Fact | None:
    """A fact that follows from a range that the named subexpression leaves, or from a name used twice."""
    s = Setting.draw(rng, 2)
    key = rng.choice((_named_parts(s)[0], s.any(1), s.any(2)))
    name = sp.Symbol("Q", positive=True)
    if key.is_number or key.is_Symbol or not _clean(key):
        return None
    if rng.random() < 0.3:
        x = rng.choice(s.symbols)
        return _false("holds", key, "==", x, s, "the name occurs already", None, {key: x})
    try:
        seen = [value(key, s.point(), mpmath.fp) for _ in range(3)]
        seen = [float(v) for v in seen]
    except (*NO_VALUE, TypeError):
        return None
    if not max(map(abs, seen)) < 1e6:
        return None
    bound = sp.Rational(str(round(min(seen) + rng.choice((0.5, 0.01)) * (1 + abs(min(seen))), 6)))
    if bound < 0:
        return None
    found = _false("holds", key, ">", bound, s, "a range that is left", None, {key: name})
    if found is not None:
        found.arguments = (*found.arguments[:3], {**s.domain, name: kernel.above(bound)}, found.arguments[4])
    return found


# monotone functions -------------------------------------------------------------------------------------------------


def _growing(s: Setting, x: sp.Symbol) -> sp.Expr:
    """A function that increases in x on its range by the way it is made."""
    rng, r = s.rng, s.domain[x]
    start = x - r.low if r.low is not None else sp.exp(x)
    lift = s.number()
    pieces = (
        lambda: s.number() * x,
        lambda: s.number() * start**2 + x,
        lambda: sp.exp(s.number() * x),
        lambda: sp.log(start + lift),
        lambda: -1 / (start + lift),
        lambda: sp.sqrt(start + lift),
        lambda: start / (start + lift),
        lambda: x**3 + x,
        lambda: -sp.exp(-x),
    )
    total = sum(rng.choice(pieces)() for _ in range(rng.randint(1, 3)))
    others = [y for y in s.symbols if y != x]
    return total * s.distance(others[0]) + s.linear().subs(x, 0) if others and rng.random() < 0.4 else total


def true_monotone(rng: random.Random) -> Fact | None:
    """A monotone function."""
    s = Setting.draw(rng, 2)
    x = rng.choice(s.symbols)
    f = _growing(s, x)
    if any(r.closed for y, r in s.domain.items() if y != x) and f.free_symbols - {x}:
        f = f + x  # the factor is nonnegative
    if rng.random() < 0.5:
        return Fact("monotone", (f, x, "increasing", s.domain), True, "increasing")
    return Fact("monotone", (-f, x, "decreasing", s.domain), True, "decreasing")


def false_monotone(rng: random.Random) -> Fact | None:
    """A function that turns back somewhere, jumps, or has a pole."""
    s = Setting.draw(rng, 2)
    x = rng.choice(s.symbols)
    q, f = s.point()[x], _growing(s, x)
    slip = rng.choice(("slope", "slope", "pole", "arc tangent", "direction", "any", "floor", "undefined", "float"))
    f = {
        "slope": f - rng.choice((s.number(), R(1, 10))) * rng.choice((x, x**2, sp.exp(x), sp.log(x**2 + 1))),
        "pole": f - s.number() / (x - q),
        "arc tangent": f / 50 - sp.atan(1 / (x - q)),
        "direction": -f,
        "any": s.any(2),
        "floor": f / 50 - sp.floor(x / 3 - q),
        "undefined": f + sp.log((x - q) ** 2),
        "float": -f * sp.Float("1.0"),
    }[slip]
    direction = "increasing" if slip != "any" or rng.random() < 0.5 else "decreasing"
    if not _clean(f):
        return None
    arguments = (f, x, direction, s.domain)
    if slip in ("pole", "undefined", "arc tangent") and f.has(x - q):
        return Fact("monotone", arguments, False, slip, f"no value at {x} = {q}")
    with mpmath.workdps(DIGITS):
        for _ in range(10):
            point = s.point()
            a, b = sorted((point[x], inside(rng, s.domain[x])))
            if a == b:
                continue
            try:
                left, right = (value(f, {**point, x: at}) for at in (a, b))
            except NO_VALUE:
                return Fact("monotone", arguments, False, slip, f"no value for {x} = {a} or {b}")
            change = right - left if direction == "increasing" else left - right
            if abs(mpmath.im(change)) > 1e-20 or mpmath.re(change) < -(10 ** (10 - DIGITS)) * (1 + abs(left)):
                return Fact("monotone", arguments, False, slip, f"{x} from {a} to {b}")
    return None


# starts -------------------------------------------------------------------------------------------------------------


def _start(s: Setting) -> tuple[sp.Expr, sp.Symbol, sp.Rational, int, str]:
    """A function that is positive after its zero at the start, and the order of that zero."""
    rng = s.rng
    x = sp.Symbol("x", **({"real": True} if rng.random() < 0.5 else {"positive": True}))
    low = sp.Integer(0) if x.is_positive else rng.choice((sp.Integer(0), sp.Integer(-1), R(1, 2)))
    t, c, n = x - low, s.number(), rng.randint(1, 4)
    series = sum(t**k / sp.factorial(k) for k in range(n))
    return rng.choice(
        (
            lambda: (c * (sp.exp(t) - series), x, low, n, "exponential series"),
            lambda: (c * t**n, x, low, n, "power"),
            lambda: (sp.log(1 + t) - t / (1 + t), x, low, 1, "logarithm and fraction"),
            lambda: (t - sp.log(1 + t), x, low, 1, "logarithm below"),
            lambda: (c * t + t**2, x, low, 1, "polynomial"),
            lambda: (sp.sqrt(1 + t) - 1, x, low, 1, "root"),
            lambda: (sp.exp(c * t) - 1, x, low, 1, "exponential"),
            lambda: ((1 + t) * sp.log(1 + t) - t, x, low, 1, "entropy"),
        )
    )()


def true_start(rng: random.Random) -> Fact | None:
    """A function that starts at zero and grows."""
    f, x, low, order, kind = _start(Setting.draw(rng))
    return Fact("vanishing_start", (f, x, low, order), True, kind)


def false_start(rng: random.Random) -> Fact | None:
    """A start with a slip: another start, a term that wins later, a pole, a value that is not zero."""
    s = Setting.draw(rng)
    f, x, low, order, kind = _start(s)
    slip = rng.choice(("term", "value", "start", "pole", "float", "sign", "jump"))
    t = x - low
    q = low + R(rng.randint(1, 900), 97)
    made: str | None = None
    if slip == "term":
        f = f - rng.choice((s.number(), R(1, 20))) * t ** rng.choice((1, order, order + 1)) * (1 + t) ** 2 * sp.exp(t)
    elif slip == "value":
        f, made = f + rng.choice(SMALL), "not zero at the start"
    elif slip == "start":
        low, made = low - s.number(), "not zero at the start" if kind != "polynomial" else None
        made = made if kind == "power" or kind.startswith("exponential") else None
    elif slip == "pole":
        f, made = f + t ** (order + 1) / (x - q) ** 2, f"no value at {q}"
    elif slip == "float":
        f, made = f + sp.Float("1e-20"), "not zero at the start"
    elif slip == "sign":
        f = -f
    else:
        f = f - t ** (order + 1) * sp.Abs(x - q) / (x - q) * 50
    if not _clean(f):
        return None
    arguments = (f, x, low, order)
    if made is not None:
        return Fact("vanishing_start", arguments, False, f"{slip}: {kind}", made)
    half_line = Setting(rng, {x: kernel.above(low)})
    for _ in range(12):
        point = half_line.point()
        if violated(f, ">=", sp.Integer(0), point):
            return Fact("vanishing_start", arguments, False, f"{slip}: {kind}", str(point))
    return None


# limits -------------------------------------------------------------------------------------------------------------


def _known_limit(s: Setting) -> tuple[sp.Expr, sp.Symbol, sp.Rational, sp.Expr, str]:
    """An expression, where its variable goes, and the limit, by Taylor's formula."""
    rng = s.rng
    x = sp.Symbol("h", **({"real": True} if rng.random() < 0.5 else {"positive": True}))
    at = sp.Integer(0) if x.is_positive else rng.choice((sp.Integer(0), sp.Integer(2), R(-1, 3)))
    t, a, b, c = x - at, s.positive(0), s.positive(1), s.linear()
    return rng.choice(
        (
            lambda: ((sp.exp(c * t) - 1) / t, x, at, c, "slope of exp"),
            lambda: (sp.log(1 + a * t) / t, x, at, a, "slope of log"),
            lambda: ((sp.sqrt(a + t) - sp.sqrt(a)) / t, x, at, 1 / (2 * sp.sqrt(a)), "slope of a root"),
            lambda: ((a * t + c * t**2) / (b * t + t**3), x, at, a / b, "rational"),
            lambda: ((a + c * t) / (b + t), x, at, a / b, "continuous"),
            lambda: (a / t, x, at, sp.oo, "pole"),
            lambda: (-a / t**2, x, at, -sp.oo, "double pole"),
            lambda: (a * sp.sqrt(t) / (b + c * t), x, at, sp.Integer(0), "root"),
            lambda: (sp.sqrt(t) / (a * sp.sqrt(t) + b * t), x, at, 1 / a, "quotient of roots"),
            lambda: (t ** R(-1, 3) * b, x, at, sp.oo, "negative power"),
            lambda: ((sp.exp(t) - 1 - t) / (a * t**2), x, at, 1 / (2 * a), "second order"),
            lambda: (sp.sin(a * t) / t, x, at, a, "sine"),
            lambda: (a * sp.exp(-b * t) + c * t, x, at, a, "exponential"),
        )
    )()


def true_limit(rng: random.Random) -> Fact | None:
    """A limit by Taylor's formula."""
    s = Setting.draw(rng, 2)
    e, x, at, limit, kind = _known_limit(s)
    return Fact("limit", (e, x, at, limit, s.domain), True, kind) if _clean(e) else None


def false_limit(rng: random.Random) -> Fact | None:
    """Another value, or a denominator that vanishes for some parameters."""
    s = Setting.draw(rng, 2)
    e, x, at, limit, kind = _known_limit(s)
    slip = rng.choice(("value", "value", "infinite", "parameter", "parameter", "modulus", "float"))
    t, y = x - at, rng.choice(s.symbols)
    q = s.point()[y]
    finite = not limit.is_infinite
    if slip == "value":
        wrong = limit + rng.choice(SMALL) if finite else rng.choice((sp.Integer(0), sp.Integer(1), -limit))
        fact = (e, x, at, wrong)
    elif slip == "infinite":
        if not finite:
            return None
        fact = (e, x, at, rng.choice((sp.oo, -sp.oo)))
    elif slip == "parameter":
        # For y = q the limit is 1 (or infinite), for other y it is 0 (or finite).
        fact = rng.choice(
            (
                (t / (t + (y - q) ** 2), x, at, sp.Integer(0)),
                (t / (t + y - q), x, at, sp.Integer(0)),
                ((y - q) ** 2 / (t + (y - q) ** 2), x, at, sp.Integer(1)),
                ((y - q) ** 2 / t, x, at, sp.oo),
                (sp.sqrt(t) / (sp.sqrt(t) + (y - q) ** 2), x, at, sp.Integer(0)),
            )
        )
    elif slip == "modulus":
        # For y <= q the limit is 1/2 or 1.
        inner = sp.Symbol("u", real=True)
        fact = rng.choice(
            (
                (t / (t + sp.Abs(y - q) - (y - q)), x, at, sp.Integer(0)),
                (t / (t + _largest(y - q, sp.Integer(0))), x, at, sp.Integer(0)),
                ((sp.Abs(t + y - q) - sp.Abs(y - q)) / t, x, at, -sp.Integer(1)),
            )
        )
        fact = tuple(f.subs(inner, y) for f in fact)
    else:
        fact = (e * sp.Float("1.0"), x, at, limit + R(1, 10**20) if finite else sp.Integer(3))
    return Fact("limit", (*fact, s.domain), False, f"{slip}: {kind}", f"{y} = {q}") if _clean(fact[0]) else None


# constants ----------------------------------------------------------------------------------------------------------


def _constant(rng: random.Random, depth: int = 2) -> sp.Expr:
    if depth == 0:
        return rng.choice((sp.pi, sp.E, sp.sqrt(rng.randint(2, 30)), R(rng.randint(1, 60), rng.randint(1, 12))))
    a, b = _constant(rng, depth - 1), _constant(rng, depth - 1)
    return rng.choice((a + b, a - b, a * b, sp.log(1 + a**2), sp.exp(-(a**2) / 9), a / (1 + b**2), sp.sqrt(1 + a**2)))


def _constants(rng: random.Random, truth: bool) -> Fact | None:
    a = _constant(rng, rng.randint(1, 3))
    with mpmath.workdps(60):
        near = mpmath.nstr(value(a, {}), rng.choice((3, 8, 15, 25)), strip_zeros=False)
        b = rng.choice((_constant(rng), R(near), R(near)))
        gap = value(a, {}) - value(b, {})
        if abs(gap) < mpmath.mpf(10) ** -40:
            return None
        right = (">", ">=") if gap > 0 else ("<", "<=")
        wrong = ("<", "<=") if gap > 0 else (">", ">=")
    return Fact("compare", (a, rng.choice(right if truth else wrong), b), truth, "constants", mpmath.nstr(gap, 5))


MAKERS: dict[str, tuple[Callable[[random.Random], Fact | None], Callable[[random.Random], Fact | None]]] = {
    "identity": (true_identity, false_identity),
    "holds": (true_sign, false_sign),
    "holds where": (true_where, false_where),
    "monotone": (true_monotone, false_monotone),
    "vanishing_start": (true_start, false_start),
    "limit": (true_limit, false_limit),
    "compare": (lambda rng: _constants(rng, True), lambda rng: _constants(rng, False)),
}


def facts(truth: bool, count: int, seed: int) -> Iterator[tuple[str, Fact]]:
    """``count`` facts, spread evenly over the constructors, each with the name of its maker."""
    rng = random.Random(f"{seed} {truth}")
    made = 0
    while made < count:
        for name, makers in MAKERS.items():
            fact = None
            while fact is None:
                fact = makers[0 if truth else 1](rng)
            made += 1
            yield name, fact
            if made == count:
                return


@contextlib.contextmanager
def unattacked() -> Iterator[None]:
    """The kernel without its attack at exact points: only proofs say anything. No weaker test of what is True."""
    kernel._judge.cache_clear()
    try:
        with mock.patch.multiple(kernel, _contradiction=lambda *args: None, _not_monotone=lambda *args: None):
            yield
    finally:
        kernel._judge.cache_clear()


def tally(truth: bool, count: int, seed: int) -> tuple[dict[str, collections.Counter], list[Fact]]:
    """How the kernel judges random facts: results by maker, and those that it judges wrongly."""
    table: dict[str, collections.Counter] = {name: collections.Counter() for name in MAKERS}
    wrong = []
    for name, fact in facts(truth, count, seed):
        result = fact.judge()
        table[name][result] += 1
        if result is (not truth):
            wrong.append(fact)
    return table, wrong


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--false", type=int, default=10000, help="number of false facts")
    parser.add_argument("--true", type=int, default=4000, help="number of true facts")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--attacked", action="store_true", help="leave the kernel's attack at points on")
    options = parser.parse_args()
    failures = 0
    for truth, count in ((False, options.false), (True, options.true)):
        began = time.process_time()
        with contextlib.nullcontext() if truth or options.attacked else unattacked():
            table, wrong = tally(truth, count, options.seed)
        print(f"{count} {str(truth).lower()} facts, seed {options.seed}, {time.process_time() - began:.0f} s")
        for name, found in table.items():
            total = found.total()
            shares = ", ".join(f"{found[r]} {r}" for r in (True, False, None))
            print(f"  {name:16} {total:6}: {shares}" + (f"; proved {found[True] / max(total, 1):.0%}" if truth else ""))
        for fact in wrong[:20]:
            print("  WRONG", fact)
        failures += len(wrong)
    raise SystemExit(failures > 0)


if __name__ == "__main__":
    main()
