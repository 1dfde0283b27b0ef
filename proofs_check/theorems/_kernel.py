"""Proof steps: exact facts that a machine decides, or says it cannot.

A step is *True* when an exact argument settled it at every point of its domain, *False* when exact rational points of
the domain contradict it by a certified margin, and *None* when neither happened. Only True counts. Sampling can refute
a step, it never supports one.

Expressions are those of :mod:`proofs_check.theorems._exact.language`, real and proved to be defined on the whole
domain, subexpression by subexpression; everything else (complex numbers, floats, other functions, a symbol whose range
contradicts its assumptions) is refused and leaves the step undecided. What is trusted for a True is listed in
:data:`TRUSTED`.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import flint
import sympy as sp

from proofs_check.theorems._exact.balls import Number, Undefined, ball, exp_bounds, gap, sign_of
from proofs_check.theorems._exact.language import Language, Refused
from proofs_check.theorems._exact.limits import limit_from_above
from proofs_check.theorems._exact.polynomials import Sign
from proofs_check.theorems._exact.ranges import (
    Domain,
    Range,
    above,
    assumed,
    at_least,
    below,
    between,
    clash,
    everywhere,
    within,
)

__all__ = [
    "LEMMAS",
    "TRUSTED",
    "Argument",
    "Domain",
    "Fact",
    "GroupMatrix",
    "Proof",
    "Range",
    "Step",
    "above",
    "argue",
    "at_least",
    "ball",
    "below",
    "between",
    "compare",
    "equal_entries",
    "everywhere",
    "exp_bounds",
    "expectation",
    "holds",
    "identity",
    "limit",
    "monotone",
    "vanishing_start",
    "within",
]

#: Points at which a step is attacked before a proof of it is attempted.
ATTACKS = 24

#: What a True rests on besides this file and ``_exact``; tests/proofs_check/test_trusted.py attacks each.
TRUSTED: Mapping[str, str] = {
    "construction": "SymPy's rewriting when an expression is made (x + x = 2 x, sqrt(x^2) = x for positive x, "
    "exp(log x) = x), under the assumptions of its symbols, which their ranges are checked against",
    "replacement": "Expr.xreplace: a symbol or a named subexpression replaced wherever it occurs as such",
    "derivative": "sympy.diff of an expression of the language",
    "polynomial arithmetic": "sums, products, powers and equality in sympy.polys.rings over the rationals; what "
    "factor_list, cancel and linsolve return is multiplied back before it is used",
    "integer arithmetic": "sympy.integer_nthroot and factorint of small integers",
    "balls": "python-flint's arb: exp, log, sqrt, sin, cos and pi at 320 bits, for signs of constants and to refute",
}


# records ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Fact:
    """What a step says, as expressions and ranges, for another kernel to judge; nothing of how it was judged here.

    Attributes:
        kind: ``"relation"`` (``lhs relation rhs`` on the domain), ``"start"`` (that, and ``rhs``-free: ``function``
            has the derivative ``derivative`` beyond ``point``), ``"monotone"`` or ``"limit"``.
        lhs: left-hand side; the function of a monotone step or a limit.
        relation: the relation; ``"increasing"`` or ``"decreasing"``; ``"->"``.
        rhs: right-hand side; the value of a limit.
        domain: the range of every symbol.
        where: names of subexpressions: the fact is about every value in the range of the name.
        variable: what a monotone step or a limit varies.
        point: where it decreases to, or starts.
        function: what vanishes at the start.
        derivative: its derivative beyond the start.
    """

    kind: str
    lhs: sp.Expr
    relation: str
    rhs: sp.Expr
    domain: tuple[tuple[sp.Symbol, Range], ...]
    where: tuple[tuple[sp.Expr, sp.Symbol], ...] = ()
    variable: sp.Symbol | None = None
    point: sp.Expr | None = None
    function: sp.Expr | None = None
    derivative: sp.Expr | None = None


@dataclass(frozen=True)
class Step:
    """One fact of a proof.

    Attributes:
        statement: the fact, in words or formulas.
        method: the step-constructor that judged it.
        result: True (decided), False (contradicted at an exact point), None (undecided).
        detail: the normal form, the contradicting point, or why nothing could be decided.
        trivial: whether the two sides were written alike already, so that nothing was left to decide. Such a step
            records a definition; it is never counted among the exact steps of a proof.
        fact: what it says, for the second kernel; None where it says nothing that could be judged.
    """

    statement: str
    method: str
    result: bool | None
    detail: str = ""
    trivial: bool = False
    fact: Fact | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class Argument:
    """A link of the proof that is prose: it rests on a named classical lemma and is not checked by machine."""

    statement: str
    lemma: str


@dataclass(frozen=True)
class Proof:
    """A theorem, the facts its proof consists of, and what was assumed.

    Attributes:
        id: name of the theorem.
        statement: the claim.
        source: where it is stated or first used.
        hypotheses: what is assumed of the data.
        steps: the facts judged by machine.
        arguments: the links in prose, each with the classical lemma it uses.
        uses: other theorems of this package that the arguments refer to.
    """

    id: str
    statement: str
    source: str
    hypotheses: tuple[str, ...]
    steps: tuple[Step, ...]
    arguments: tuple[Argument, ...] = ()
    uses: tuple[str, ...] = ()

    @property
    def lemmas(self) -> tuple[str, ...]:
        """Names of the classical lemmas assumed, in order of first use."""
        return tuple(dict.fromkeys(a.lemma for a in self.arguments))

    @property
    def num_exact(self) -> int:
        """Number of steps in which there was something to decide."""
        return sum(not step.trivial for step in self.steps)

    @property
    def num_trivial(self) -> int:
        """Number of steps whose two sides were written alike already."""
        return len(self.steps) - self.num_exact

    @property
    def status(self) -> str:
        """``"proved"`` iff all steps are True and not all trivial; ``"refuted"`` if one is False; else inconclusive."""
        results = [step.result for step in self.steps]
        if any(result is False for result in results):
            return "refuted"
        return "proved" if self.num_exact and all(result is True for result in results) else "inconclusive"


#: Classical facts that the arguments may name. tests/test_lemmas.py attacks the inequalities among them.
LEMMAS: Mapping[str, str] = {
    "von Neumann": "|tr(X Y)| <= sum_i sigma_i(X) sigma_i(Y)",
    "Gelfand-Naimark": "prod_{i in I} sigma_i(XY) <= prod_{i in I} sigma_i(X) prod_{j <= |I|} "
    "sigma_j(Y) for every index set I",
    "Horn": "sum_i sigma_i(XY) <= sum_i sigma_i(X) sigma_i(Y), and with every positive power p of each singular value",
    "weak log-majorisation": "0 <= x, y and prod of the k largest x <= prod of the k largest y for "
    "all k imply sum x <= sum y",
    "Weyl-Polya": "0 < x, y and prod of the k largest x <= prod of the k largest y for all k imply sum phi(log x) <= "
    "sum phi(log y) for increasing convex phi",
    "Mirsky": "sum_i (sigma_i(X) - sigma_i(Y))^2 <= |X - Y|_F^2",
    "Hoelder": "|<X, Y>| <= |X|_* |Y|_2, |XYZ|_* <= |X|_F |Y|_2 |Z|_F, and sum prod_m x_m <= prod_m (sum x_m^M)^{1/M}",
    "submultiplicativity": "sigma_i(XY) <= |X|_2 sigma_i(Y)",
    "Pythagoras": "|X|_F^2 = |P X|_F^2 + |(I - P) X|_F^2 for an orthogonal projection P",
    "Cauchy-Schwarz": "<x, y>^2 <= |x|^2 |y|^2",
    "arithmetic-geometric mean": "(x_1 ... x_M)^{1/M} <= (x_1 + ... + x_M)/M for x >= 0",
    "Jensen": "l(mean of x_i) <= mean of l(x_i) for convex l",
    "convexity by Hessian": "a twice differentiable function with a positive semidefinite Hessian is convex",
    "gradient inequality": "f(Y) >= f(X) + <grad f(X), Y - X> for differentiable convex f",
    "convex optimality": "X minimises a convex function iff 0 is a subgradient at X",
    "unitary invariance": "singular values are unchanged by orthogonal factors on either side",
    "Schur": "a linear map commuting with a group acts on each isotypic component as (identity) x (a "
    "matrix on multiplicities)",
    "mean value theorem": "a function with positive derivative on an interval is strictly increasing there",
    "intermediate value theorem": "a continuous function on an interval takes every value between two of its values",
    "extreme value theorem": "a continuous function attains its infimum on a compact set",
    "second-order condition": "at an interior local minimum along a line the second derivative is nonnegative",
    "Berge": "a unique minimiser over a compact set of a jointly continuous function is continuous in the parameters",
    "equal variables": "of n reals with given sum and square sum, one largest and n-1 equal ones have the "
    "least sum of e^{-x}",
    "square root by resolvents": "M^{1/2} = (1/pi) int_0^oo (I - t (M + t I)^{-1}) t^{-1/2} dt for M >= 0",
    "Radon": "d + 2 points of R^d split in two sets whose convex hulls share a point",
    "Neumann series": "|(I - A)^{-1}|_2 <= sum_k |A|_2^k for |A|_2 < 1",
}


def argue(lemma: str, statement: str) -> Argument:
    """A prose link resting on ``LEMMAS[lemma]``; raises KeyError for a lemma that is not listed."""
    if lemma not in LEMMAS:
        raise KeyError(f"lemma must be one of {', '.join(LEMMAS)}, got {lemma!r}")
    return Argument(statement, lemma)


# deciding ---------------------------------------------------------------------------------------------------------


def _complete(symbols: Iterable[sp.Symbol], domain: Domain) -> dict[sp.Symbol, Range]:
    """Ranges of all symbols, those left out taken from their assumptions; ValueError if none apply."""
    ranges = dict(domain)
    for symbol in sorted(symbols, key=str):
        if symbol not in ranges:
            implied = assumed(symbol)
            if implied is None:
                raise ValueError(f"domain must give a range for {symbol}: its assumptions do not imply one")
            ranges[symbol] = implied
    return ranges


def _points(symbols: Iterable[sp.Symbol], domain: Domain) -> Iterator[dict[sp.Symbol, sp.Rational]]:
    """Exact points of the domain at which steps are attacked."""
    pools = {x: domain[x].samples(bool(x.is_integer)) for x in sorted(symbols, key=str)}
    if math.prod(map(len, pools.values())) <= ATTACKS:
        yield from (dict(zip(pools, choice, strict=True)) for choice in itertools.product(*pools.values()))
        return
    rng = random.Random(0)
    for _ in range(ATTACKS):
        yield {x: rng.choice(pool) for x, pool in pools.items()}


_FAILS = {"==": (1, -1), ">": (0, -1), ">=": (-1,), "<": (0, 1), "<=": (1,)}


def _continued(ranges: Domain) -> tuple[dict[sp.Symbol, sp.Symbol], dict[sp.Symbol, Range]]:
    """New symbols for those whose closed range ends where their assumptions do, such as a positive x with x >= 0.

    The expression is then judged as it is written, SymPy having rewritten it for the inside, at the end as well.
    """
    renamed = {
        x: sp.Dummy(str(x), **{"integer" if x.is_integer else "real": True})
        for x, r in ranges.items()
        if clash(x, r) is not None and clash(x, r.interior) is None
    }
    return renamed, {renamed.get(x, x): r for x, r in ranges.items()}


def _contradiction(lhs: sp.Expr, rhs: sp.Expr, relation: str, domain: Domain) -> str | None:
    """An exact point of the domain at which ``lhs relation rhs`` certainly fails, in words; None if none was met."""
    for point in _points(lhs.free_symbols | rhs.free_symbols, domain):
        try:
            difference = gap(lhs, rhs, point)
        except Undefined:
            continue
        if sign_of(difference) in _FAILS[relation]:
            return f"left minus right is {_shown(difference)}{_at(point)}"
    return None


def _shown(value: Number) -> str:
    return str(value) if isinstance(value, flint.fmpq) else value.str(8)


def _at(point: Mapping[sp.Symbol, Any]) -> str:
    return f" at {', '.join(f'{x} = {v}' for x, v in point.items())}" if point else ""


def _vanishes(language: Language, difference: sp.Expr) -> bool:
    """Whether the normal form of a difference is exactly 0; False says nothing."""
    return language.vanishes(difference)


def _sign(expr: sp.Expr, domain: Domain) -> Sign | None:
    """Sign of an expression on a domain, as (sign, strict); None if undecided. Sign 0: identically zero."""
    try:
        return Language(_complete(expr.free_symbols, domain)).sign(sp.sympify(expr))
    except Refused:
        return None


def _outside(*exprs: Any) -> str | None:
    """Why expressions cannot be judged at all, before anything is made of them; None if they may be."""
    for e in exprs:
        if not isinstance(e, sp.Expr):
            return f"{e!r} is no expression"
        if e.has(sp.Float):
            return f"{e} holds a floating-point number, which is not exact"
        if e.has(sp.nan, sp.zoo, sp.oo, -sp.oo):
            return f"{e} has no finite value"
    return None


#: A judgement: the result and why.
Judged = tuple[bool | None, str]


@lru_cache(maxsize=4096)
def _judge(
    lhs: sp.Expr,
    rhs: sp.Expr,
    relation: str,
    domain: frozenset[tuple[sp.Symbol, Range]],
    where: tuple[tuple[sp.Expr, sp.Symbol], ...] = (),
) -> Judged:
    """``lhs relation rhs`` on the domain, remembered: variants of a theorem share most of their steps."""
    names = {name for _, name in where}
    given = {x: r for x, r in domain if x not in names}
    free = (lhs.free_symbols | rhs.free_symbols).union(*(key.free_symbols for key, _ in where))
    if free & names or len(names) < len(where):
        return None, f"the names {', '.join(map(str, names))} must be new and different"
    renamed, ranges = _continued(_complete(free, given))
    lhs, rhs = lhs.xreplace(renamed), rhs.xreplace(renamed)
    try:
        language = Language(ranges)
        against = _contradiction(lhs, rhs, relation, ranges)
        if against is not None:
            return False, against
        if where:
            language, named = _named(language, {key.xreplace(renamed): name for key, name in where}, dict(domain))
            lhs, rhs = lhs.xreplace(named), rhs.xreplace(named)
        return _decide(language, lhs, rhs, relation)
    except Refused as refusal:
        return None, str(refusal)


def _decide(language: Language, lhs: sp.Expr, rhs: sp.Expr, relation: str) -> Judged:
    difference = language.read(lhs) - language.read(rhs)
    if relation == "==":
        if _vanishes(language, difference):
            return True, "the difference of the two sides has the normal form 0"
        return None, f"the normal form of {lhs - rhs} is not 0, and no point contradicts it"
    judged = language.sign_of(difference) or language.sign(lhs - rhs)
    if judged is None:
        return None, f"the coefficients of {lhs - rhs} do not settle its sign"
    sign, strict = judged
    wanted = 1 if relation.startswith(">") else -1
    if sign == wanted and (strict or relation.endswith("=")):
        return True, "every factor keeps one sign on the domain"
    if sign == 0 and relation.endswith("="):
        return True, "the two sides agree identically"
    return None, f"only the weak sign of {lhs - rhs} is settled"


def _named(
    language: Language, where: Mapping[sp.Expr, sp.Symbol], domain: Domain
) -> tuple[Language, dict[sp.Expr, sp.Dummy]]:
    """The language with a new symbol for each named expression, once its range is proved from that of its symbols.

    Raises:
        Refused: a named expression is not shown to stay in the range of its name.
    """
    ranges, renamed = dict(language.domain), {}
    for key, name in where.items():
        r = _complete([name], domain)[name]
        language.read(key)
        for end, relation in ((r.low, ">"), (r.high, "<")):
            if end is not None and _decide(language, key, end, relation + "=" * r.closed)[0] is not True:
                raise Refused(f"{key} is not shown to lie in {r}, the range of {name}")
        renamed[key] = sp.Dummy(str(name), real=True)
        ranges[renamed[key]] = r
    return Language(ranges), renamed


# step-constructors ------------------------------------------------------------------------------------------------


def _step(
    statement: str,
    method: str,
    lhs: Any,
    relation: str,
    rhs: Any,
    domain: Domain | None,
    where: Mapping[Any, sp.Symbol] | None = None,
) -> Step:
    lhs, rhs = sp.sympify(lhs), sp.sympify(rhs)
    for symbol, r in (domain or {}).items():
        if not isinstance(symbol, sp.Symbol) or not isinstance(r, Range):
            raise TypeError(f"domain must map symbols to ranges, got {symbol!r}: {r!r}")
    named = tuple((sp.sympify(key), name) for key, name in (where or {}).items())
    reason = _outside(lhs, rhs, *(key for key, _ in named))
    if reason is not None:
        return Step(statement, method, None, reason)
    judged = _judge(lhs, rhs, relation, frozenset((domain or {}).items()), named)
    fact = Fact("relation", lhs, relation, rhs, _ranges_of((lhs, rhs), domain or {}, named), named)
    return Step(statement, method, *judged, trivial=judged[0] is True and lhs - rhs == 0, fact=fact)


def _ranges_of(
    exprs: Iterable[sp.Expr], domain: Domain, named: Sequence[tuple[sp.Expr, sp.Symbol]] = ()
) -> tuple[tuple[sp.Symbol, Range], ...]:
    """The ranges of the symbols that occur, names included, in the order of their names."""
    free = set().union(*(e.free_symbols for e in exprs), *(key.free_symbols | {name} for key, name in named))
    complete = _complete(free, domain)
    return tuple((x, complete[x]) for x in sorted(free, key=str))


def identity(statement: str, lhs: Any, rhs: Any = 0, domain: Domain | None = None) -> Step:
    """``lhs == rhs`` at every point of the domain: True if both are defined there and their normal forms agree."""
    return _step(statement, "identity", lhs, "==", rhs, domain)


def holds(
    statement: str,
    lhs: Any,
    relation: str,
    rhs: Any,
    domain: Domain | None = None,
    where: Mapping[sp.Expr, sp.Symbol] | None = None,
) -> Step:
    """``lhs relation rhs`` on the whole domain, with ``relation`` one of ``== > >= < <=``.

    The difference is factorised and each factor's sign read off its coefficients (Bernstein form on bounded ranges).

    Args:
        statement: the fact, for the record.
        lhs: left-hand side.
        relation: the relation claimed.
        rhs: right-hand side.
        domain: ranges of the symbols; those left out are taken from the symbols' assumptions.
        where: names for subexpressions, such as ``{exp(s): E}``, with a range for E in the domain. The step is then
            about all E in that range, which is a stronger fact; that exp(s) stays in it is proved first.

    Raises:
        ValueError: an unknown relation, or a symbol without a range.
    """
    if relation not in _FAILS:
        raise ValueError(f"relation must be one of == > >= < <=, got {relation!r}")
    return _step(statement, "identity" if relation == "==" else "sign", lhs, relation, rhs, domain, where)


def monotone(
    statement: str,
    function: Any,
    variable: sp.Symbol,
    direction: str,
    domain: Domain | None = None,
    where: Mapping[sp.Expr, sp.Symbol] | None = None,
) -> Step:
    """``function`` is strictly ``"increasing"`` or ``"decreasing"`` in ``variable`` on its range.

    True if it is defined, hence continuous, on the whole range and its derivative has the strict sign inside; False if
    two exact points contradict it.

    Raises:
        ValueError: another direction, or a symbol without a range.
    """
    if direction not in ("increasing", "decreasing"):
        raise ValueError(f"direction must be 'increasing' or 'decreasing', got {direction!r}")
    function, given = sp.sympify(function), dict(domain or {})
    reason = _outside(function)
    if reason is not None:
        return Step(statement, "derivative", None, reason)
    ranges = _complete(function.free_symbols | {variable}, given)
    real_ranges = _ranges_of((function, variable), given)
    fact = Fact("monotone", function, direction, sp.Integer(0), real_ranges, variable=variable)
    try:
        names = set((where or {}).values())
        renamed, real = _continued({x: r for x, r in ranges.items() if x not in names})
        language, continued = Language(real), function.xreplace(renamed)
        against = _not_monotone(continued, renamed.get(variable, variable), direction, real)
        if against is not None:
            return Step(statement, "derivative", False, against, fact=fact)
        language.read(continued)
    except Refused as refusal:
        return Step(statement, "derivative", None, str(refusal), fact=fact)
    inside = {**given, variable: ranges[variable].interior}
    relation = ">" if direction == "increasing" else "<"
    judged = _step(statement, "derivative", sp.diff(function, variable), relation, 0, inside, where)
    if not judged.result:
        # A derivative that is not positive at some point does not contradict strict growth: x^3.
        judged = Step(statement, "derivative", None, f"derivative: {judged.detail}")
    return replace(judged, fact=fact)


def _not_monotone(function: sp.Expr, variable: sp.Symbol, direction: str, ranges: Domain) -> str | None:
    """Two exact points whose values are in the wrong order, in words; None if none were met."""
    others = function.free_symbols - {variable}
    places = sorted(ranges[variable].samples(bool(variable.is_integer)))
    for point in _points(others, ranges):
        for a, b in itertools.pairwise(places):
            try:
                change = gap(function.xreplace({variable: b}), function.xreplace({variable: a}), point)
            except Undefined:
                continue
            if sign_of(change) in _FAILS[">" if direction == "increasing" else "<"]:
                return f"from {variable} = {a} to {b} it changes by {_shown(change)}{_at(point)}"
    return None


def vanishing_start(
    statement: str, function: Any, variable: sp.Symbol, low: Any, order: int = 1, domain: Domain | None = None
) -> tuple[Step, ...]:
    """``function > 0`` for ``variable > low``: derivatives 0 to ``order - 1`` vanish at ``low``, the next is positive.

    The conclusion follows by the mean value theorem applied ``order`` times to functions that are shown to be defined
    from ``low`` on, ``low`` included. A range of the variable in ``domain`` must start at ``low``.

    Raises:
        ValueError: ``order`` is below 1, the range of the variable does not start at ``low``, or a symbol has none.
    """
    if order < 1:
        raise ValueError(f"order must be at least 1, got {order!r}")
    given = dict(domain or {})
    r = given.get(variable, Range(low))
    if r.low != sp.sympify(low):
        raise ValueError(f"domain must start at low={low} for {variable}, got {r}")
    given[variable] = r.interior
    # The start itself need not satisfy the variable's assumptions: what was written for the values above it is
    # continued to it as it stands.
    x = sp.Dummy(str(variable), real=True)
    from_start = {**given, x: Range(r.low, r.high, closed=True)}
    current = sp.sympify(function)
    steps = []
    for k in range(order):
        text = f"{statement}: derivative {k} vanishes at {variable} = {low}"
        start, current = current, sp.diff(current, variable)
        step = _starts_at_zero(text, start.xreplace({variable: x}), x, r.low, from_start)
        steps.append(replace(step, fact=_start_fact(start, current, variable, r.low, given)))
    judged = holds(f"{statement}: derivative {order} is positive for {variable} > {low}", current, ">", 0, given)
    return (*steps, judged)


def _start_fact(function: sp.Expr, derivative: sp.Expr, variable: sp.Symbol, low: sp.Rational, domain: Domain) -> Fact:
    """``function`` is 0 at ``low`` and has that derivative at every point beyond."""
    return Fact(
        "start",
        function.xreplace({variable: low}),
        "==",
        sp.Integer(0),
        _ranges_of((function, variable), domain),
        variable=variable,
        point=low,
        function=function,
        derivative=derivative,
    )


def _starts_at_zero(statement: str, function: sp.Expr, variable: sp.Symbol, low: sp.Rational, domain: Domain) -> Step:
    """``function`` is defined from ``low`` on and vanishes there."""
    others = {x: r for x, r in domain.items() if x != variable}
    at_low = identity(statement, function.xreplace({variable: low}), 0, others)
    if at_low.result is not True:
        return at_low
    defined = identity(statement, function, function, domain)
    return at_low if defined.result else Step(statement, "identity", None, defined.detail)


def limit(statement: str, expr: Any, variable: sp.Symbol, point: Any, value: Any, domain: Domain | None = None) -> Step:
    """``expr -> value`` as ``variable`` decreases to ``point``, for all values of the other symbols.

    By the lowest terms of Taylor's formula for numerator and denominator: with n_k and d_k their derivatives at the
    point, d_k = 0 for k < m and d_m != 0, the limit is n_m/d_m if n_k = 0 for k < m, and infinite if the first n_k that
    is not 0 comes before and has a sign.

    Args:
        statement: the fact, for the record.
        expr: an expression of the variable and other symbols.
        variable: what decreases.
        point: a rational number.
        value: the limit, ``oo`` and ``-oo`` included.
        domain: ranges of the other symbols; those left out are taken from their assumptions, real ones being any.
    """
    expr, claimed, at = sp.sympify(expr), sp.sympify(value), sp.sympify(point)
    infinite = claimed in (sp.oo, -sp.oo)
    reason = _outside(expr) or (None if infinite else _outside(claimed))
    if reason is None and not isinstance(at, sp.Rational):
        reason = f"the point {at} is not rational"
    if reason is None and claimed.has(variable):
        reason = f"the value {claimed} depends on {variable}"
    if reason is None and variable.is_integer:
        reason = f"{variable} is an integer and comes to no limit"
    if reason is not None:
        return Step(statement, "limit", None, reason)
    others = (expr.free_symbols | claimed.free_symbols) - {variable}
    free = {x: everywhere() for x in others if x.is_real and assumed(x) is None}
    ranges = _complete(others, {**free, **(domain or {})})
    within_ranges = tuple((x, ranges[x]) for x in sorted(others, key=str))
    fact = Fact("limit", expr, "->", claimed, within_ranges, variable=variable, point=at)
    try:
        found = limit_from_above(expr, variable, at, {x: r for x, r in ranges.items() if x != variable})
    except Refused as refusal:
        return Step(statement, "limit", None, str(refusal), fact=fact)
    if infinite or found in (sp.oo, -sp.oo):
        return Step(statement, "limit", found == claimed, f"the limit is {found}", fact=fact)
    judged = identity(statement, found, claimed, {x: ranges[x] for x in others})
    return Step(statement, "limit", judged.result, f"the limit is {found}; {judged.detail}", fact=fact)


def compare(statement: str, lhs: Any, relation: str, rhs: Any) -> Step:
    """``lhs relation rhs`` between two constants in closed form, ``relation`` one of ``> >= < <=``, in ball arithmetic.

    Raises:
        ValueError: an unknown relation.
    """
    if relation not in (">", ">=", "<", "<="):
        raise ValueError(f"relation must be one of > >= < <=, got {relation!r}")
    lhs, rhs = sp.sympify(lhs), sp.sympify(rhs)
    fact = Fact("relation", lhs, relation, rhs, ())
    try:
        difference = gap(lhs, rhs, {})
    except Undefined as reason:
        return Step(statement, "enclosure", None, str(reason), fact=fact)
    sign, shown = sign_of(difference), _shown(difference)
    if sign is None:
        return Step(statement, "enclosure", None, f"the enclosure {shown} of the difference contains 0", fact=fact)
    return Step(statement, "enclosure", sign not in _FAILS[relation], f"left minus right is {shown}", fact=fact)


# algebra of matrices invariant under permutations of equal classes ----------------------------------------------------


@dataclass(frozen=True)
class GroupMatrix:
    """``X_ij = s_a [i = j] + t_ab`` for i in group a, j in group b: what commutes with permutations inside the groups.

    Groups of ``sizes`` K_1, ..., K_g (symbols); products need only ``sum over group c of 1 = K_c``.

    Attributes:
        sizes: group sizes.
        s: diagonal coefficients, one a group: the singular value is |s_a| on the K_a - 1 directions of group a that
            sum to zero.
        t: g x g matrix of block constants.
    """

    sizes: tuple[sp.Expr, ...]
    s: tuple[sp.Expr, ...]
    t: sp.Matrix = field(hash=False)

    @classmethod
    def of(cls, sizes: Sequence[Any], s: Sequence[Any], t: Any) -> GroupMatrix:
        """Build from plain sequences."""
        return cls(tuple(map(sp.sympify, sizes)), tuple(map(sp.sympify, s)), sp.Matrix(t))

    def __post_init__(self) -> None:
        g = len(self.sizes)
        if len(self.s) != g or self.t.shape != (g, g):
            raise ValueError(f"s and t must fit {g} groups, got {len(self.s)} entries and shape {self.t.shape}")

    def entry(self, a: int, b: int, same: bool = False) -> sp.Expr:
        """X_ij for i in group a and j in group b, ``same`` if i = j."""
        return self.t[a, b] + (self.s[a] if same else 0)

    def __matmul__(self, other: GroupMatrix) -> GroupMatrix:
        _same_groups(self, other)
        g = len(self.sizes)
        t = sp.zeros(g, g)
        for a, b in itertools.product(range(g), repeat=2):
            t[a, b] = self.s[a] * other.t[a, b] + self.t[a, b] * other.s[b]
            t[a, b] += sum(self.t[a, c] * self.sizes[c] * other.t[c, b] for c in range(g))
        return GroupMatrix(self.sizes, tuple(x * y for x, y in zip(self.s, other.s, strict=True)), t)

    def times(self, factor: Any) -> GroupMatrix:
        """``factor * X``."""
        return GroupMatrix.of(self.sizes, [factor * x for x in self.s], factor * self.t)

    @property
    def T(self) -> GroupMatrix:
        """Transpose."""
        return GroupMatrix(self.sizes, self.s, self.t.T)

    @property
    def trace(self) -> sp.Expr:
        """``sum_a K_a (s_a + t_aa)``."""
        return sum(k * (self.s[a] + self.t[a, a]) for a, k in enumerate(self.sizes))

    @property
    def trivial_block(self) -> sp.Matrix:
        """The g x g matrix of X on the span of the normalised group indicators ``1_a / sqrt(K_a)``.

        ``M_ab = s_a [a = b] + sqrt(K_a K_b) t_ab``.
        """
        g = len(self.sizes)
        return sp.Matrix(
            g,
            g,
            lambda a, b: (self.s[a] if a == b else 0) + sp.sqrt(self.sizes[a]) * sp.sqrt(self.sizes[b]) * self.t[a, b],
        )


def _same_groups(left: GroupMatrix, right: GroupMatrix) -> None:
    if left.sizes != right.sizes:
        raise ValueError(f"matrices must have the same groups, got {left.sizes} and {right.sizes}")


def equal_entries(
    statement: str, left: GroupMatrix, right: GroupMatrix, domain: Domain | None = None
) -> tuple[Step, ...]:
    """Two invariant matrices agree: one identity for each coefficient.

    Raises:
        ValueError: their groups are not the same.
    """
    _same_groups(left, right)
    g = len(left.sizes)
    steps = [identity(f"{statement}: diagonal part, group {a}", left.s[a], right.s[a], domain) for a in range(g)]
    for a, b in itertools.product(range(g), repeat=2):
        steps.append(identity(f"{statement}: block ({a}, {b})", left.t[a, b], right.t[a, b], domain))
    return tuple(steps)


def expectation(polynomial: Any, variable: sp.Symbol, moments: Sequence[Any]) -> sp.Expr:
    """``sum_i p_i polynomial(v_i)`` by linearity, given ``moments[k] = sum_i p_i v_i^k``; any number of terms.

    Raises:
        ValueError: the polynomial's degree exceeds the moments given.
    """
    poly = sp.Poly(sp.expand(polynomial), variable)
    if poly.degree() >= len(moments):
        raise ValueError(f"moments must hold {poly.degree() + 1} numbers for {polynomial}, got {len(moments)}")
    return sp.expand(sum(c * moments[k] for (k,), c in poly.terms()))
