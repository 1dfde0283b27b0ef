"""The trusted base of the proof steps, member by member, against other libraries on hard inputs."""

from __future__ import annotations

import math
import random
from fractions import Fraction

import flint
import mpmath
import pytest
import sympy as sp
from effort import count
from random_facts import NO_VALUE, Setting, value
from sympy.polys.rings import PolyElement, PolyRing

from proofs_check.theorems import _kernel as kernel
from proofs_check.theorems._exact import balls, language, polynomials
from proofs_check.theorems._exact.language import Language, Refused
from proofs_check.theorems._kernel import TRUSTED, above, ball, between, everywhere, identity

x, y = sp.symbols("x y", positive=True)
r = sp.Symbol("r", real=True)
DIGITS = 60


def exact(e: sp.Expr, point: dict | None = None) -> mpmath.mpf:
    with mpmath.workdps(DIGITS):
        return value(sp.sympify(e), point or {})


def near(a: mpmath.mpf, b: mpmath.mpf, digits: int = 30) -> bool:
    with mpmath.workdps(DIGITS):
        return abs(a - b) <= mpmath.mpf(10) ** -digits * (1 + abs(a))


def settings(most: int, seed: int) -> list[Setting]:
    rng = random.Random(seed)
    return [Setting.draw(rng) for _ in range(most)]


def test_every_trusted_member_is_attacked_here():
    tests = {
        name.removeprefix("test_").split("__")[0] for name in globals() if "__" in name and name.startswith("test_")
    }
    assert {member.replace(" ", "_") for member in TRUSTED} == tests
    assert all(len(text) > 30 for text in TRUSTED.values())


# balls --------------------------------------------------------------------------------------------------------------

HARD = [
    sp.exp(sp.pi * sp.sqrt(163)) - 640320**3 - 744,
    sp.log(1 + sp.Rational(1, 10**40)),
    sp.sin(10**20),
    sp.cos(sp.Rational(355, 113) / 2),
    sp.sqrt(sp.Integer(10) ** 50 + 1) - 10**25,
    sp.exp(-500) * sp.exp(499),
    sp.exp(sp.exp(sp.Rational(7, 3))),
    sp.Rational(1, 3) ** sp.Rational(1, 7),
    sp.pi**sp.E - sp.E**sp.pi,
    sp.log(sp.log(sp.log(10**9))),
    sp.Max(sp.pi, sp.Rational(22, 7)) - sp.pi,
    sp.Abs(sp.sqrt(2) - sp.Rational(3, 2)),
]


@pytest.mark.parametrize("e", HARD, ids=str)
def test_balls__hold_hard_numbers(e):
    found = ball(e)
    with mpmath.workdps(120):
        assert found.overlaps(flint.arb(mpmath.nstr(value(e, {}), 60)))
    assert found.rad() < abs(found.mid()) * 1e-30 + flint.arb("1e-30")


def test_balls__hold_random_numbers():
    tried = 0
    for s in settings(120, 1):
        e, point = s.positive(3), s.point()
        try:
            found = ball(e, point)
        except ValueError:
            continue
        with mpmath.workdps(120):
            expected = value(e, point)
            assert found.overlaps(flint.arb(mpmath.nstr(expected, 70)))
        tried += 1
    assert tried > 100


@pytest.mark.parametrize(
    "e", [sp.log(-1 + 0 * x), sp.sqrt(-x), (-x) ** sp.Rational(1, 3), 1 / (x - 1), sp.log(x - 1), sp.gamma(x), sp.I * x]
)
def test_balls__refuse_what_is_not_real(e):
    with pytest.raises(ValueError, match=r"no enclosure|not be positive|may be zero"):
        ball(e, {x: sp.Integer(1)})


# construction -------------------------------------------------------------------------------------------------------


def _tree(rng: random.Random, depth: int) -> tuple:
    """An expression as nested tuples, which SymPy has never seen."""
    if depth == 0:
        return rng.choice((("x",), ("y",), ("n", rng.randint(1, 5)), ("n", rng.randint(1, 5))))
    kind = rng.choice(("+", "+", "*", "*", "/", "-", "^", "exp", "log", "sqrt", "abs", "max"))
    if kind in ("+", "*", "/", "-", "max"):
        return kind, _tree(rng, depth - 1), _tree(rng, depth - 1)
    return (kind, _tree(rng, depth - 1), rng.choice((2, 3, -1))) if kind == "^" else (kind, _tree(rng, depth - 1))


def _built(t: tuple) -> sp.Expr:
    kind, args = t[0], [_built(a) for a in t[1:] if isinstance(a, tuple)]
    return {
        "x": lambda: x,
        "y": lambda: y,
        "n": lambda: sp.Integer(t[1]),
        "+": lambda: args[0] + args[1],
        "-": lambda: args[0] - args[1],
        "*": lambda: args[0] * args[1],
        "/": lambda: args[0] / args[1],
        "^": lambda: args[0] ** t[2],
        "exp": lambda: sp.exp(args[0]),
        "log": lambda: sp.log(args[0]),
        "sqrt": lambda: sp.sqrt(args[0]),
        "abs": lambda: sp.Abs(args[0]),
        "max": lambda: sp.Max(*args),
    }[kind]()


def _worth(t: tuple, at: dict[str, mpmath.mpf]) -> mpmath.mpf:
    kind, args = t[0], [_worth(a, at) for a in t[1:] if isinstance(a, tuple)]
    if kind in ("log", "sqrt") and args[0] <= 0:
        raise ValueError("not real")
    if kind == "exp" and args[0] > 1000:
        raise ValueError("too large")
    return {
        "x": lambda: at["x"],
        "y": lambda: at["y"],
        "n": lambda: mpmath.mpf(t[1]),
        "+": lambda: args[0] + args[1],
        "-": lambda: args[0] - args[1],
        "*": lambda: args[0] * args[1],
        "/": lambda: args[0] / args[1],
        "^": lambda: args[0] ** t[2],
        "exp": lambda: mpmath.exp(args[0]),
        "log": lambda: mpmath.log(args[0]),
        "sqrt": lambda: mpmath.sqrt(args[0]),
        "abs": lambda: abs(args[0]),
        "max": lambda: max(args),
    }[kind]()


def test_construction__keeps_the_value():
    rng, tried = random.Random(2), 0
    for _ in range(400):
        t = _tree(rng, rng.randint(1, 4))
        point = {s: sp.Rational(rng.randint(1, 60), rng.choice((7, 11, 13))) for s in (x, y)}
        with mpmath.workdps(DIGITS):
            at = {s.name: mpmath.mpf(int(q.p)) / int(q.q) for s, q in point.items()}
            try:
                expected, found = _worth(t, at), value(_built(t), point)
            except (*NO_VALUE, TypeError):
                continue
            if abs(expected) < mpmath.mpf(10) ** 60:
                assert near(expected, found), t
                tried += 1
    assert tried > 200


# replacement --------------------------------------------------------------------------------------------------------


def test_replacement__is_evaluation_at_the_replaced_point():
    tried = 0
    for s in settings(count(30, 80), 3):
        e, point, q = s.positive(3), s.point(), sp.Rational(17, 13)
        one = s.rng.choice(s.symbols)
        try:
            left, right = exact(e.xreplace({one: q}), point), exact(e, {**point, one: q})
            moved = exact(e.xreplace({one: sp.exp(one) + 1}), point), exact(e, point)
        except NO_VALUE:
            continue
        assert near(left, right)
        assert all(map(mpmath.isfinite, moved))
        tried += 1
    assert tried > count(18, 50)


def test_replacement__of_a_subexpression_leaves_no_trace_of_it():
    big = sp.exp(-x * (y - 1))
    e = (big**2 + sp.exp(-2 * x * (y - 1)) + sp.log(1 + big)) / (1 + big)
    name = sp.Dummy("E", real=True)
    replaced = e.xreplace({big: name})
    assert not replaced.has(big)
    assert replaced.xreplace({name: big}) == e
    assert kernel.holds("", e, ">", 0, {name: above(0)}, {big: name}).result is True


# derivative ---------------------------------------------------------------------------------------------------------


def test_derivative__is_the_difference_quotient():
    tried = 0
    for s in settings(count(30, 80), 4):
        e, point = s.positive(3), s.point()
        one = s.rng.choice(s.symbols)
        step = sp.Rational(1, 10**18)
        with mpmath.workdps(90):
            try:
                ends = [value(e, {**point, one: point[one] + sign * step}) for sign in (1, -1)]
                slope, third = value(sp.diff(e, one), point), value(sp.diff(e, one, 3), point)
            except NO_VALUE:
                continue
            if not all(mpmath.isfinite(v) and not mpmath.im(v) and abs(v) < 1e12 for v in (*ends, slope, third)):
                continue
            quotient = (ends[0] - ends[1]) / (2 * mpmath.mpf(10) ** -18)
            assert abs(quotient - slope) < mpmath.mpf(10) ** -20 * (1 + abs(slope) + abs(third)), e
        tried += 1
    assert tried > count(18, 50)


# polynomial arithmetic ----------------------------------------------------------------------------------------------


def _random_polynomial(rng: random.Random, ring: PolyRing) -> PolyElement:
    total = ring.zero
    for _ in range(rng.randint(1, 5)):
        monomial = tuple(rng.randint(0, 3) for _ in ring.gens)
        total += ring.from_dict({monomial: sp.QQ(rng.randint(-9, 9), rng.randint(1, 9))})
    return total


def _at(poly: PolyElement, point: list[Fraction]) -> Fraction:
    return sum(
        (
            Fraction(int(c.numerator), int(c.denominator)) * math.prod(q**k for q, k in zip(point, m, strict=True))
            for m, c in poly.terms()
        ),
        Fraction(0),
    )


def test_polynomial_arithmetic__agrees_with_fractions():
    rng, ring = random.Random(5), polynomials.ring_of(sp.symbols("a b c"))
    for _ in range(80):
        p, q = _random_polynomial(rng, ring), _random_polynomial(rng, ring)
        point = [Fraction(rng.randint(-30, 30), rng.randint(1, 12)) for _ in ring.gens]
        a, b, n = _at(p, point), _at(q, point), rng.randint(0, 5)
        assert (_at(p + q, point), _at(p * q, point), _at(p**n, point)) == (a + b, a * b, a**n)
        assert (p - p, p * q - q * p, (p + q) ** 2 - p**2 - 2 * p * q - q**2) == (0, 0, 0)


def test_polynomial_arithmetic__agrees_with_flint():
    rng, ring = random.Random(6), polynomials.ring_of(sp.symbols("a,"))
    for _ in range(60):
        p, q = _random_polynomial(rng, ring), _random_polynomial(rng, ring)
        left, right = (
            flint.fmpq_poly(
                [
                    flint.fmpq(
                        int(f.coeff(ring.gens[0] ** k if k else 1).numerator),
                        int(f.coeff(ring.gens[0] ** k if k else 1).denominator),
                    )
                    for k in range(4)
                ]
            )
            for f in (p, q)
        )
        product = (left * right).coeffs()
        assert [p.__mul__(q).coeff(ring.gens[0] ** k if k else 1) for k in range(len(product))] == product


def test_polynomial_arithmetic__what_sympy_factorises_wrongly_is_not_used(monkeypatch):
    ring = polynomials.ring_of(sp.symbols("a b"))
    a, b = ring.gens
    poly = a**2 - b**2
    monkeypatch.setattr(PolyElement, "factor_list", lambda self: (ring.domain.one, [(a - b, 2)]))
    assert polynomials.factors(poly) == (1, [(poly, 1)])
    monkeypatch.setattr(PolyElement, "cancel", lambda self, other: (a, b))
    assert polynomials.cancelled(poly, a + b) == (poly, a + b)
    monkeypatch.setattr(sp, "linsolve", lambda *args: {(sp.Integer(2),)})
    assert language._coordinates(a, [b]) is None
    assert language._coordinates(2 * b, [b]) == [2]


def test_polynomial_arithmetic__a_wrong_factor_makes_nothing_true(monkeypatch):
    kernel._judge.cache_clear()
    monkeypatch.setattr(
        PolyElement, "factor_list", lambda self: (self.ring.domain.one, [(self.ring.one * 1 + self**2, 1)])
    )
    try:
        assert kernel.holds("", r - x, ">", 0, {r: between(-1, 1)}).result is not True
        assert kernel.holds("", (r - x) ** 2, ">", 0, {r: between(-1, 1)}).result is not True
    finally:
        kernel._judge.cache_clear()


# integer arithmetic -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 561, 1105, 2**31 - 1, 2**40, 3**25, 999983**2, 999983 * 1000003, 10**15 - 11])
def test_integer_arithmetic__of_hard_integers(n):
    found = sp.factorint(n)
    assert math.prod(p**k for p, k in found.items()) == n
    assert all(sum(p % d == 0 for d in range(2, min(p, 2000))) == 0 for p in found)
    for order in (2, 3, 5, 64):
        root, whole = sp.integer_nthroot(n, order)
        assert root**order <= n < (root + 1) ** order
        assert whole == (root**order == n)


# the language as a whole --------------------------------------------------------------------------------------------


def test_reading_an_expression_keeps_its_value_and_every_generator_stays_in_its_range():
    tried = 0
    for s in settings(count(60, 150), 7):
        e, point = s.positive(s.rng.randint(1, 3)) + s.linear() * s.positive(1), s.point()
        words = Language(s.domain)
        try:
            form = words.form(words.read(e))
        except Refused:
            continue
        with mpmath.workdps(DIGITS):
            try:
                expected, at = exact(e, point), {}
                for g, made in words.made.items():
                    at[g] = _value_of_generator(made, point, at)
                    low, high = made.range.low, made.range.high
                    assert low is None or at[g] > exact(low) - mpmath.mpf(10) ** -40, made
                    assert high is None or at[g] < exact(high) + mpmath.mpf(10) ** -40, made
                top, bottom = (_rational_value(part.as_expr(), at) for part in (form.num, form.den))
            except NO_VALUE:
                continue
            if mpmath.isfinite(expected) and abs(expected) < 1e30 and abs(bottom) > 1e-30:
                assert near(expected, top / bottom, 25), e
                tried += 1
    assert tried > count(36, 90)


def _rational_value(e: sp.Expr, at: dict) -> mpmath.mpf:
    if e in at:
        return at[e]
    if e.is_Rational:
        return mpmath.mpf(int(e.p)) / int(e.q)
    args = [_rational_value(a, at) for a in e.args]
    return mpmath.fsum(args) if e.is_Add else mpmath.fprod(args) if e.is_Mul else args[0] ** args[1]


def _value_of_generator(made: language.Generator, point: dict, at: dict) -> mpmath.mpf:
    if made.kind == "symbol":
        return exact(made.argument, point)
    inner = _rational_value(made.argument, at)
    return {
        "exp": lambda: mpmath.exp(inner),
        "log": lambda: mpmath.log(inner),
        "root": lambda: mpmath.root(inner, made.order),
        "sin": lambda: mpmath.sin(inner),
        "cos": lambda: mpmath.cos(inner),
        "pi": lambda: mpmath.pi * 1,
    }[made.kind]()


def test_signs_on_boxes_hold_at_random_points():
    tried = 0
    for s in settings(count(60, 150), 8):
        e = s.linear() * s.linear() * s.distance(s.symbols[0]) + s.number() * s.distance(s.symbols[-1])
        found = kernel._sign(sp.sympify(e), s.domain)
        if found is None:
            continue
        for _ in range(8):
            v = exact(e, s.point())
            assert v * found[0] >= 0
            assert v != 0 or not found[1]
        tried += 1
    assert tried > count(8, 20)


def test_a_normal_form_is_zero_only_for_zero():
    point = {x: sp.Rational(3, 7)}
    for e in (
        sp.sqrt(2) + sp.sqrt(3) - sp.sqrt(5),
        sp.exp(x) - 1 - x,
        sp.log(2) + sp.log(3) - sp.log(7),
        sp.sin(x) ** 2,
    ):
        words = Language({x: above(0)})
        assert not words.vanishes(words.read(e))
        assert balls.sign_of(balls.evaluate(e, point)) != 0
    assert identity("", sp.sqrt(2) * sp.sqrt(3), sp.sqrt(6)).result is True
    assert identity("", r, r, {r: everywhere()}).trivial is True
