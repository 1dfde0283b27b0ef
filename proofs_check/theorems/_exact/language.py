"""The language of expressions that proof steps may use, and their normal forms on a domain.

An expression of the language is a real function that is defined at every point of the domain: rational numbers, symbols
with a range, sums, products, integer powers of what is nowhere zero (or nonnegative ones of anything), other powers of
what is positive, exp, log of what is positive, |u|, max and min where the signs decide them, sin, cos, and pi. All of
this is *proved* on the way; anything else is refused.

It becomes a rational function of *generators*: the symbols and the exponentials, logarithms, roots, sines and cosines
that occur, each with a range of its own. Two expressions agree if their difference is the zero polynomial there, where

    exp(u + v) = exp(u) exp(v)       exponents that depend on each other linearly are written in a basis,
    log(u^p v^q) = p log u + q log v and exp of a rational multiple of a logarithm is a power,
    (u^{1/q})^q = u,                 cos^2 = 1 - sin^2 and the addition theorems.

An expression keeps its sign if the factors of numerator and denominator do on the box of the generators' ranges.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import flint
import sympy as sp
from sympy.polys.rings import PolyElement, PolyRing

from proofs_check.precision import precision
from proofs_check.theorems._exact import balls
from proofs_check.theorems._exact.polynomials import Sign, cancelled, factors, powers, quotient, reduce, ring_of
from proofs_check.theorems._exact.polynomials import sign_on_box as box_sign
from proofs_check.theorems._exact.ranges import Domain, Range, above, at_least, between, clash, everywhere, within

__all__ = ["Language", "Refused"]

#: Larger powers, sums of angles, expansions and factorised integers are refused: nothing here needs them.
_LARGEST_POWER = 64
_LARGEST_MULTIPLE = 8
_LARGEST_EXPANSION = 20_000
_LARGEST_INTEGER = 10**15

#: Denominator of the rational bounds of a root's range.
_ROOT_DENOMINATOR = 2**12


class Refused(ValueError):
    """The expression is outside the language, or is not shown to be defined and real on the whole domain."""


@dataclass(frozen=True)
class Generator:
    """What a generator stands for: ``kind`` applied to ``argument``, a rational expression in earlier generators.

    Attributes:
        kind: ``"symbol"``, ``"exp"``, ``"log"``, ``"root"``, ``"sin"``, ``"cos"`` or ``"pi"``.
        argument: what it is applied to.
        order: q of a q-th root.
        range: where its values lie.
        value: a ball around a constant; None if it varies.
        partner: the sine of a cosine.
    """

    kind: str
    argument: sp.Expr
    range: Range
    order: int = 1
    value: flint.arb | None = None
    partner: sp.Dummy | None = None


@dataclass(frozen=True)
class Form:
    """A reduced fraction of polynomials in generators."""

    num: PolyElement
    den: PolyElement

    @property
    def ring(self) -> PolyRing:
        """The ring of both."""
        return self.num.ring

    @property
    def expr(self) -> sp.Expr:
        """As an expression in the generators."""
        return _expr(self.num) / _expr(self.den)


def _expr(poly: PolyElement) -> sp.Expr:
    return sp.sympify(poly.as_expr())


@dataclass
class Language:
    """Expressions on one domain.

    Attributes:
        domain: ranges of the symbols.
        made: the generators met so far.
    """

    domain: Domain
    made: dict[sp.Dummy, Generator] = field(default_factory=dict)
    _index: dict[Any, sp.Dummy] = field(default_factory=dict, repr=False)
    _memo: dict[sp.Expr, sp.Expr] = field(default_factory=dict, repr=False)
    _forms: dict[sp.Expr, Form] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        for symbol, r in self.domain.items():
            reason = clash(symbol, r)
            if reason is not None:
                raise Refused(reason)

    # what callers ask ----------------------------------------------------------------------------------------------

    def read(self, e: sp.Expr) -> sp.Expr:
        """``e`` as a rational expression in generators.

        Raises:
            Refused: it is outside the language or not shown to be defined on the whole domain.
        """
        if e not in self._memo:
            self._memo[e] = self._read(e)
        return self._memo[e]

    def vanishes(self, t: sp.Expr) -> bool:
        """Whether the normal form of a rational expression in generators is 0; False says nothing."""
        return not self.form(t).num

    def sign(self, e: sp.Expr) -> Sign | None:
        """Sign of an expression on the domain, from its factors or else from its terms as they are written."""
        found = self.sign_of(self.read(e))
        if found is None and e.is_Add:
            found = _signs_added([self.sign(a) for a in e.args])
        return found

    def sign_of(self, t: sp.Expr) -> Sign | None:
        """Sign of a rational expression in generators, from the factors of its normal form; None if undecided."""
        form = self.form(t)
        if not form.num:
            return 0, False
        sign, strict = 1, True
        for part, divides in ((form.num, False), (form.den, True)):
            constant, found = factors(part)
            sign *= int(sp.sign(constant))
            for base, power in found:
                judged = self._sign_of_polynomial(base)
                if judged is None:
                    if divides or power % 2:
                        return None
                    judged = (1, False)  # an even power is nonnegative whatever its base
                if divides and not judged[1]:
                    return None
                sign *= judged[0] ** power
                strict = strict and judged[1]
        return sign, strict

    # reading --------------------------------------------------------------------------------------------------------

    def _read(self, e: sp.Expr) -> sp.Expr:
        if isinstance(e, sp.Rational):
            return e
        if isinstance(e, sp.Symbol):
            return self._symbol(e)
        if e is sp.E:
            return self._exp(sp.Integer(1))
        if e is sp.pi:
            return self._make("pi", sp.Integer(0), within(3, 4), value=flint.arb.pi())
        if e.is_Add and isinstance(e, sp.Add):
            return sp.Add(*map(self.read, e.args))
        if isinstance(e, sp.Mul):
            return sp.Mul(*map(self.read, e.args))
        if isinstance(e, sp.Pow):
            return self._exp(self.read(e.exp)) if e.base is sp.E else self._read_power(e.base, e.exp)
        if isinstance(e, sp.exp):
            return self._exp(self.read(e.args[0]))
        if isinstance(e, sp.log) and len(e.args) == 1:
            return self._log(self.read(e.args[0]), e.args[0])
        if isinstance(e, sp.Abs):
            return self._largest([e.args[0], -e.args[0]])
        if isinstance(e, sp.Max):
            return self._largest(e.args)
        if isinstance(e, sp.Min):
            return -self._largest([-a for a in e.args])
        if isinstance(e, sp.sin | sp.cos):
            return self._turn(self.read(e.args[0]))[isinstance(e, sp.sin)]
        raise Refused(f"{e} is outside the language of exact steps")

    def _symbol(self, x: sp.Symbol) -> sp.Expr:
        if x not in self.domain:
            raise Refused(f"{x} has no range")
        r = self.domain[x]
        if r.low is not None and r.low == r.high:
            return r.low
        return self._make("symbol", x, r)

    def _read_power(self, base: sp.Expr, exponent: sp.Expr) -> sp.Expr:
        t = self.read(base)
        if isinstance(exponent, sp.Rational):
            if abs(exponent) > _LARGEST_POWER:
                raise Refused(f"the exponent {exponent} is beyond {_LARGEST_POWER}")
            if exponent.is_Integer:
                if exponent < 0:
                    self._need_nonzero(base)
                self._need_small(t, abs(int(exponent)))
                return t**exponent
            return self._root(t, base, exponent)
        u = self.read(exponent)
        return self._exp(u * self._log(t, base))

    def _need_nonzero(self, e: sp.Expr) -> None:
        found = self.sign(e)
        if found is None or not found[1]:
            raise Refused(f"the denominator {e} is not shown to be nonzero on the domain")

    def _need_small(self, t: sp.Expr, power: int) -> None:
        if power <= 4:
            return
        form = self.form(t)
        terms = max(math.comb(len(part) + power - 1, power) for part in (form.num, form.den))
        if terms > _LARGEST_EXPANSION:
            raise Refused(f"a power with {terms} terms is beyond {_LARGEST_EXPANSION}")

    def _largest(self, candidates: Iterable[sp.Expr]) -> sp.Expr:
        best, *others = candidates
        for e in others:
            found = self.sign(best - e)
            if found is None:
                raise Refused(f"the domain does not settle which is larger, {best} or {e}")
            best = e if found[0] < 0 else best
        return self.read(best)

    # generators -----------------------------------------------------------------------------------------------------

    def _make(self, kind: str, argument: sp.Expr, r: Range, order: int = 1, **more: Any) -> sp.Dummy:
        key = (kind, argument, order)
        if key not in self._index:
            dummy = sp.Dummy(f"{kind}_{len(self.made)}")
            self.made[dummy] = Generator(kind, argument, r, order, **more)
            self._index[key] = dummy
        return self._index[key]

    def _is_constant(self, t: sp.Expr) -> bool:
        return all(self.made[g].value is not None for g in t.free_symbols)

    def _value(self, t: sp.Expr) -> flint.arb | None:
        """A ball around a constant expression; None if it has no enclosure."""
        try:
            return flint.arb(balls.evaluate(t, {g: self.made[g].value for g in t.free_symbols}))
        except balls.Undefined:
            return None

    def _of_constant(self, kind: str, argument: sp.Expr, order: int = 1) -> sp.Dummy:
        inner = self._value(argument)
        with precision(balls.PRECISION):
            value = (
                None
                if inner is None
                else {"exp": inner.exp, "log": inner.log, "root": lambda: _nth(inner, order)}[kind]()
            )
        if value is None or not value.is_finite():
            raise Refused(f"no enclosure of {kind} of a constant")
        return self._make(kind, argument, everywhere(), order, value=value)

    def _exp(self, u: sp.Expr) -> sp.Expr:
        """``exp(u)``, rational multiples of logarithms in u becoming powers."""
        form = self.form(u)
        num, den, result = form.num, form.den, sp.Integer(1)
        for i, g in enumerate(form.ring.symbols):
            if not num or g not in self.made or self.made[g].kind != "log" or max(powers(den, i)) > 0:
                continue
            parts = powers(num, i)
            share = _multiple(parts[1], den) if max(parts) == 1 else sp.Integer(0)
            if share and abs(share) <= _LARGEST_POWER:
                result *= self._positive_power(self.made[g].argument, share)
                num = num - den * form.ring.gens[i] * form.ring(sp.QQ(int(share.p), int(share.q)))
        if not num:
            return result
        rest = Form(*cancelled(num, den)).expr
        if self._is_constant(rest):
            return result * self._of_constant("exp", rest)
        found = self.sign_of(rest)
        r = above(0) if found is None or not found[1] else above(1) if found[0] > 0 else between(0, 1)
        return result * self._make("exp", rest, at_least(1) if found == (1, False) else r)

    def _log(self, t: sp.Expr, written: sp.Expr) -> sp.Expr:
        """``log(t)``: the sum over the factors of t, all of which keep their signs, or a generator of its own."""
        split = self._positive_factors(t, strict=True)
        if split is None:
            if self.sign(written) != (1, True):
                raise Refused(f"the logarithm's argument {written} is not shown to be positive on the domain")
            return self._log_atom(self.form(t).expr)
        return sp.Add(*(power * self._log_atom(base) for base, power in split))

    def _log_atom(self, f: sp.Expr) -> sp.Expr:
        if f in self.made and self.made[f].kind == "exp":
            return self.made[f].argument
        if f in self.made and self.made[f].kind == "root":
            g = self.made[f]
            return (
                self._log(g.argument, g.argument) / g.order
                if g.argument not in self.made
                else self._log_atom(g.argument) / g.order
            )
        if self._is_constant(f):
            return self._of_constant("log", f)
        found = self.sign_of(f - 1)
        r = everywhere()
        if found is not None and found[1]:
            r = above(0) if found[0] > 0 else Range(None, sp.Integer(0))
        elif found is not None and found[0]:
            r = at_least(0) if found[0] > 0 else Range(None, sp.Integer(0), True)
        return self._make("log", f, r)

    def _root(self, t: sp.Expr, written: sp.Expr, exponent: sp.Rational) -> sp.Expr:
        """``t^exponent`` for a fraction: the product over the factors of t, or a generator of its own."""
        split = self._positive_factors(t, strict=exponent < 0)
        if split is not None:
            return sp.Mul(*(self._positive_power(base, power * exponent) for base, power in split))
        found = self.sign(written)
        if found is None or found[0] < 0 or (exponent < 0 and not found[1]):
            raise Refused(f"{written} is not shown to be {'positive' if exponent < 0 else 'nonnegative'} under a root")
        return self._positive_power(self.form(t).expr, exponent)

    def _positive_power(self, f: sp.Expr, exponent: sp.Rational) -> sp.Expr:
        """``f^exponent`` of a factor that is positive, or nonnegative if the exponent is."""
        whole, left = divmod(exponent.p, exponent.q)
        if abs(exponent) > _LARGEST_POWER or exponent.q > _LARGEST_POWER:
            raise Refused(f"the exponent {exponent} is beyond {_LARGEST_POWER}")
        if left == 0:
            return f**whole
        if f in self.made and self.made[f].kind == "exp":
            return self._exp(self.made[f].argument * exponent)
        if f in self.made and self.made[f].kind == "root":
            return self._positive_power(self.made[f].argument, exponent / self.made[f].order)
        return f**whole * self._root_atom(f, exponent.q) ** left

    def _root_atom(self, f: sp.Expr, order: int) -> sp.Expr:
        if isinstance(f, sp.Rational) and f in (0, 1):
            return f
        if self._is_constant(f):
            return self._of_constant("root", f, order)
        if f in self.made and self.made[f].kind == "symbol":
            return self._make("root", f, _root_range(self.made[f].range, order), order)
        return self._make("root", f, self._root_side(f), order)

    def _root_side(self, f: sp.Expr) -> Range:
        """A range of the roots of f >= 0, from which side of 1 it is on."""
        positive, found = self.sign_of(f) == (1, True), self.sign_of(f - 1)
        if positive and found is not None and found[1]:
            return above(1) if found[0] > 0 else between(0, 1)
        return above(0) if positive else at_least(0)

    def _positive_factors(self, t: sp.Expr, strict: bool) -> list[tuple[sp.Expr, int]] | None:
        """Factors of t with their powers, each positive (or nonnegative unless ``strict``); None if that fails."""
        form = self.form(t)
        if not form.num:
            return None if strict else [(sp.Integer(0), 1)]
        sign, split = 1, []
        for part, direction in ((form.num, 1), (form.den, -1)):
            constant, found = factors(part)
            sign *= int(sp.sign(constant))
            split += _prime_factors(abs(constant), direction)
            for base, power in found:
                judged = self._sign_of_polynomial(base)
                if judged is None or (not judged[1] and (strict or direction < 0)):
                    return None
                sign *= judged[0] ** power
                split.append((judged[0] * _expr(base), direction * power))
        return split if sign == 1 else None

    def _turn(self, u: sp.Expr) -> tuple[sp.Expr, sp.Expr]:
        """Cosine and sine of u by the addition theorems, angle by angle of its numerator."""
        form = self.form(u)
        cos, sin = sp.Integer(1), sp.Integer(0)
        turns = sum(abs(int(c.numerator)) for c in form.num.coeffs())
        if turns > _LARGEST_MULTIPLE:
            raise Refused(f"{turns} angles to be added are more than {_LARGEST_MULTIPLE}")
        for monomial, c in form.num.terms():
            multiple, den = int(c.numerator), int(c.denominator)
            angle = Form(form.ring.from_dict({monomial: sp.QQ(1, den)}), form.den).expr
            c_1, s_1 = self._angle(angle)
            for _ in range(abs(multiple)):
                step = s_1 if multiple > 0 else -s_1
                cos, sin = cos * c_1 - sin * step, sin * c_1 + cos * step
        return cos, sin

    def _angle(self, angle: sp.Expr) -> tuple[sp.Expr, sp.Expr]:
        more: list[dict[str, Any]] = [{}, {}]
        if self._is_constant(angle):
            inner = self._value(angle)
            if inner is None:
                raise Refused("no enclosure of a constant angle")
            with precision(balls.PRECISION):
                more = [{"value": inner.sin()}, {"value": inner.cos()}]
        sin = self._make("sin", angle, within(-1, 1), **more[0])
        return self._make("cos", angle, within(-1, 1), partner=sin, **more[1]), sin

    # normal forms ---------------------------------------------------------------------------------------------------

    def form(self, t: sp.Expr) -> Form:
        """The reduced fraction of a rational expression in generators."""
        if t not in self._forms:
            self._forms[t] = self._form(t)
        return self._forms[t]

    def _form(self, t: sp.Expr) -> Form:
        reach = self._reach(t)
        renamed = self._basis_of_exponentials([g for g in reach if self.made[g].kind == "exp"])
        t = t.xreplace(renamed)
        roots = self._joined_roots([g for g in reach if self.made[g].kind == "root"], renamed)
        t = t.xreplace(roots.powers).xreplace(roots.symbols)
        relations = [(r, n, f.xreplace(roots.symbols)) for r, n, f in roots.relations]
        cosines = [g for g in reach if self.made[g].kind == "cos"]
        relations += [(g, 2, 1 - self.made[g].partner ** 2) for g in cosines]  # type: ignore[operator]
        symbols = set(t.free_symbols).union(*({r} | f.free_symbols for r, _, f in relations))
        ring = ring_of(sorted(symbols, key=list(self.made).index))
        num, den = quotient(t, ring)
        # The relation of a later generator is in earlier ones, except for roots that were joined: hence twice.
        for g, order, f in 2 * sorted(relations, key=lambda x: -list(self.made).index(x[0])):
            if not num:
                break
            top, bottom = quotient(f, ring)
            index = ring.symbols.index(g)
            num, n = reduce(num, index, order, top, bottom)
            den, m = reduce(den, index, order, top, bottom)
            if not den:
                raise Refused("a denominator that vanishes")
            num, den = cancelled(num * bottom**m, den * bottom**n)
        return Form(num, den) if num else Form(num, ring.one)

    def _reach(self, t: sp.Expr) -> list[sp.Dummy]:
        """Generators in an expression and in what its roots are roots of, in the order in which they were made."""
        found: set[sp.Dummy] = set()
        front = set(t.free_symbols)
        while front:
            found |= front
            front = {
                x for g in front if self.made[g].kind == "root" for x in self.made[g].argument.free_symbols
            } - found
        return [g for g in self.made if g in found]

    def _basis_of_exponentials(self, atoms: list[sp.Dummy]) -> dict[sp.Dummy, sp.Expr]:
        """Exponentials whose exponents depend on each other, as powers of a few that are independent."""
        if len(atoms) < 2:
            return {}
        exponents = [self.made[g].argument for g in atoms]
        symbols = sorted(set().union(*(u.free_symbols for u in exponents)), key=list(self.made).index)
        ring = ring_of(symbols)
        fractions = [quotient(u, ring) for u in exponents]
        common = ring.one
        for _, den in fractions:
            common = common * cancelled(den, common)[0]
        vectors = [num * cancelled(common, den)[0] for num, den in fractions]
        if any(v * den != num * common for v, (num, den) in zip(vectors, fractions, strict=True)):
            return {}
        basis, shares = _independent(vectors)
        if len(basis) == len(atoms):
            return {}
        renamed: dict[sp.Dummy, sp.Expr] = {g: sp.Integer(1) for g in atoms}
        for place, j in enumerate(basis):
            scale = math.lcm(*(int(row[place].q) for row in shares))
            g = atoms[j] if scale == 1 else self._scaled(atoms[j], scale)
            for atom, row in zip(atoms, shares, strict=True):
                renamed[atom] = renamed[atom] * g ** (row[place] * scale)
        return renamed

    def _scaled(self, g: sp.Dummy, scale: int) -> sp.Dummy:
        """The generator exp(u/scale) for g = exp(u), on the same side of 1."""
        made = self.made[g]
        argument = Form(*quotient(made.argument / scale, ring_of(list(made.argument.free_symbols)))).expr
        if made.value is not None:
            return self._of_constant("exp", argument)
        return self._make("exp", argument, made.range)

    def _joined_roots(self, atoms: list[sp.Dummy], renamed: Mapping[sp.Dummy, sp.Expr]) -> _Roots:
        """Roots of one thing as powers of one root; a symbol with a root as a power of the root."""
        orders: dict[sp.Expr, int] = {}
        for g in atoms:
            orders[self.made[g].argument] = math.lcm(orders.get(self.made[g].argument, 1), self.made[g].order)
        roots = _Roots({}, {}, [])
        finest = {f: self._root_atom(f, order) for f, order in orders.items()}
        for g in atoms:
            f = self.made[g].argument
            roots.powers[g] = finest[f] ** (orders[f] // self.made[g].order)
        for f, root in finest.items():
            if f in self.made and self.made[f].kind == "symbol":
                roots.symbols[f] = root ** orders[f]
            else:
                roots.relations.append((root, orders[f], f.xreplace(dict(renamed)).xreplace(roots.powers)))
        return roots

    # signs ----------------------------------------------------------------------------------------------------------

    def _sign_of_polynomial(self, poly: PolyElement) -> Sign | None:
        ring = poly.ring
        used = {i for monomial in poly.monoms() for i, m in enumerate(monomial) if m}
        moving = {i: self.made[ring.symbols[i]].range for i in used if self.made[ring.symbols[i]].value is None}
        return box_sign(poly, dict(sorted(moving.items())), self._sign_of_constant)

    def _sign_of_constant(self, poly: PolyElement) -> int | None:
        if poly.is_ground:
            c = poly.LC
            return (c > 0) - (c < 0)
        value = self._value(_expr(poly))
        # Zero is left undecided here: whether it is one is a question for the normal form.
        return None if value is None else 1 if value > 0 else -1 if value < 0 else None


@dataclass
class _Roots:
    powers: dict[sp.Dummy, sp.Expr]
    symbols: dict[sp.Dummy, sp.Expr]
    relations: list[tuple[sp.Dummy, int, sp.Expr]]


def _signs_added(judged: list[Sign | None]) -> Sign | None:
    if any(found is None for found in judged):
        return None
    known = [found for found in judged if found is not None]
    signs = {sign for sign, _ in known if sign}
    return (signs.pop(), any(strict for sign, strict in known if sign)) if len(signs) == 1 else None


def _multiple(poly: PolyElement, of: PolyElement) -> sp.Rational:
    """The rational c for which ``poly - c of`` is simplest: the constant term of the quotient."""
    return _rational(poly.div(of)[0].coeff(1))


def _prime_factors(c: sp.Rational, direction: int) -> list[tuple[sp.Expr, int]]:
    if max(c.p, c.q) > _LARGEST_INTEGER:
        raise Refused(f"the number {c} is too large to be factorised")
    primes = [(p, k) for p, k in sp.factorint(c.p).items()] + [(p, -k) for p, k in sp.factorint(c.q).items()]
    return [(sp.Integer(p), direction * k) for p, k in primes if p != 1]


def _nth(value: flint.arb, order: int) -> flint.arb | None:
    return (value.log() / order).exp() if value > 0 else None


def _root_range(r: Range, order: int) -> Range:
    """A range around the roots of the numbers of ``r >= 0``, its ends exact where they are rational."""
    low, low_exact = _root_below(r.low, order) if r.low is not None else (Fraction(0), False)
    if r.high is None:
        return Range(sp.Rational(low), None, r.closed or not low_exact)
    high, high_exact = _root_below(r.high, order)
    high = high if high_exact else high + Fraction(1, _ROOT_DENOMINATOR)
    return Range(sp.Rational(low), sp.Rational(high), r.closed or not (low_exact and high_exact))


def _root_below(q: sp.Rational, order: int) -> tuple[Fraction, bool]:
    """The largest multiple of 1/_ROOT_DENOMINATOR with ``x^order <= q``, or the root itself; and whether exact."""
    exact = [sp.integer_nthroot(int(n), order) for n in (q.p, q.q)]
    if all(whole for _, whole in exact):
        return Fraction(int(exact[0][0]), int(exact[1][0])), True
    root, _ = sp.integer_nthroot(int(q.p) * _ROOT_DENOMINATOR**order // int(q.q), order)
    return Fraction(int(root), _ROOT_DENOMINATOR), False


def _independent(vectors: list[PolyElement]) -> tuple[list[int], list[list[sp.Rational]]]:
    """Positions of a basis among polynomials over the rationals, and each polynomial's coordinates in it."""
    basis: list[int] = []
    coordinates: list[list[sp.Rational]] = []
    for i, v in enumerate(vectors):
        found = _coordinates(v, [vectors[j] for j in basis])
        if found is None:
            basis.append(i)
            found = [sp.Integer(0)] * (len(basis) - 1) + [sp.Integer(1)]
        coordinates.append(found)
    return basis, [row + [sp.Integer(0)] * (len(basis) - len(row)) for row in coordinates]


def _coordinates(v: PolyElement, basis: list[PolyElement]) -> list[sp.Rational] | None:
    """Coefficients with ``v = sum c_j basis_j``, checked; None if there are none."""
    if not basis:
        return None
    monomials = sorted(set(v.monoms()).union(*(b.monoms() for b in basis)))
    matrix = sp.Matrix([[_rational(b.get(m, 0)) for b in basis] for m in monomials])
    right = sp.Matrix([_rational(v.get(m, 0)) for m in monomials])
    unknowns = sp.symbols(f"c:{len(basis)}", cls=sp.Dummy)
    solution = sp.linsolve((matrix, right), *unknowns)
    if not solution:
        return None
    found = [sp.sympify(c).subs(dict.fromkeys(unknowns, 0)) for c in next(iter(solution))]
    total = v.ring.zero
    for c, b in zip(found, basis, strict=True):
        total += b * sp.QQ(int(c.p), int(c.q))
    return found if total == v else None


def _rational(c: Any) -> sp.Rational:
    c = sp.QQ(c)
    return sp.Rational(int(c.numerator), int(c.denominator))
