"""Proof steps: exact facts that a machine decides, or says it cannot.

A step is *True* when an exact argument settled it (a symbolic normal form equal to 0, a polynomial with nonnegative
coefficients on the whole domain, an enclosure that excludes the contrary), *False* when one exact rational point of the
domain contradicts it by a certified margin, and *None* when neither happened. Only True counts. Sampling can refute a
step, it never supports one.

What is trusted: SymPy's polynomial arithmetic, differentiation and zero normal forms, python-flint's balls, and this
file. Every identity that SymPy calls zero is evaluated in ball arithmetic at exact points first, so a wrong
simplification that shows at any of them is refused.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from typing import Any

import flint
import sympy as sp

__all__ = [
    "LEMMAS",
    "Argument",
    "Domain",
    "GroupMatrix",
    "Proof",
    "Range",
    "Step",
    "above",
    "argue",
    "at_least",
    "ball",
    "between",
    "compare",
    "equal_entries",
    "exp_bounds",
    "expectation",
    "holds",
    "identity",
    "limit",
    "monotone",
    "vanishing_start",
    "within",
]

#: Working precision in bits of the balls that refute steps and compare constants.
PRECISION = 320

#: Points at which a step is attacked before a proof of it is attempted.
ATTACKS = 24


# records ----------------------------------------------------------------------------------------------------------


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
    """

    statement: str
    method: str
    result: bool | None
    detail: str = ""
    trivial: bool = False


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
    "Neumann series": "|(I - A)^{-1}|_2 <= sum_k |A|_2^k for |A|_2 < 1",
}


def argue(lemma: str, statement: str) -> Argument:
    """A prose link resting on ``LEMMAS[lemma]``; raises KeyError for a lemma that is not listed."""
    if lemma not in LEMMAS:
        raise KeyError(f"lemma must be one of {', '.join(LEMMAS)}, got {lemma!r}")
    return Argument(statement, lemma)


# domains ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Range:
    """An interval for a symbol: ``low`` to ``high`` (None: no upper end), ends included iff ``closed``."""

    low: sp.Rational
    high: sp.Rational | None = None
    closed: bool = False

    def samples(self, integer: bool) -> list[sp.Rational]:
        """Exact points of the interval, small and large, at which steps are attacked."""
        if self.high is None:
            offsets = [Fraction(1, 64), Fraction(1, 3), 1, 2, Fraction(7, 2), 9, 40]
            points = [self.low + sp.Rational(x) for x in offsets]
        else:
            shares = [Fraction(1, 64), Fraction(1, 5), Fraction(1, 2), Fraction(5, 7), Fraction(40, 41)]
            points = [self.low + (self.high - self.low) * sp.Rational(x) for x in shares]
        if self.closed:
            points = [self.low, *points, *([] if self.high is None else [self.high])]
        return [p for p in points if p.is_integer] if integer else points


Domain = Mapping[sp.Symbol, Range]


def above(low: Any) -> Range:
    """The open half-line ``x > low``."""
    return Range(sp.Rational(low))


def at_least(low: Any) -> Range:
    """The closed half-line ``x >= low``."""
    return Range(sp.Rational(low), closed=True)


def between(low: Any, high: Any) -> Range:
    """The open interval ``low < x < high``."""
    return Range(sp.Rational(low), sp.Rational(high))


def within(low: Any, high: Any) -> Range:
    """The closed interval ``low <= x <= high``."""
    return Range(sp.Rational(low), sp.Rational(high), closed=True)


def _complete(expr: sp.Expr, domain: Domain) -> dict[sp.Symbol, Range]:
    """Ranges of the symbols of ``expr``, those left out taken from their assumptions; ValueError if none apply."""
    ranges = {}
    for symbol in sorted(expr.free_symbols, key=str):
        if symbol in domain:
            ranges[symbol] = domain[symbol]
        elif symbol.is_positive:
            ranges[symbol] = at_least(1) if symbol.is_integer else above(0)
        elif symbol.is_nonnegative:
            ranges[symbol] = at_least(0)
        else:
            raise ValueError(f"domain must give a range for {symbol}: its assumptions do not imply one")
    return ranges


# balls ------------------------------------------------------------------------------------------------------------


def ball(expr: sp.Expr, point: Mapping[sp.Symbol, sp.Rational] | None = None) -> flint.arb:
    """A rigorous enclosure of ``expr`` at an exact rational point, at ``PRECISION`` bits.

    Raises:
        ValueError: ``expr`` has a free symbol, a function or a constant this evaluator does not know.
    """
    expr = sp.sympify(expr).subs(point or {})
    with flint.ctx.workprec(PRECISION):
        return _ball(expr)


def _ball(e: sp.Expr) -> flint.arb:
    if e.is_Rational:
        return flint.arb(flint.fmpq(int(e.p), int(e.q)))
    if e is sp.E:
        return flint.arb(1).exp()
    if e is sp.pi:
        return flint.arb.pi()
    if e.is_Add:
        return sum((_ball(a) for a in e.args), flint.arb(0))
    if e.is_Mul:
        product = flint.arb(1)
        for a in e.args:
            product *= _ball(a)
        return product
    if e.is_Pow:
        base, exponent = e.args
        if base is sp.E:
            return _ball(exponent).exp()
        if exponent.is_Integer:
            return _ball(base) ** int(exponent)
        if exponent == sp.Rational(1, 2):
            return _ball(base).sqrt()
        return (_ball(base).log() * _ball(exponent)).exp()
    if isinstance(e, sp.exp):
        return _ball(e.args[0]).exp()
    if isinstance(e, sp.log):
        return _ball(e.args[0]).log()
    raise ValueError(f"no enclosure of {e}")


def exp_bounds(x: Fraction, terms: int = 40) -> tuple[Fraction, Fraction]:
    """Rational bounds ``lo < exp(x) < hi`` for rational ``x != 0``, from the exponential series and its tail.

    For x > 0, with S the sum of the first ``terms`` terms and t the next one, S < e^x < S + t/(1 - x/(terms + 1)); for
    x < 0 the reciprocals. Independent of any ball library.

    Raises:
        ValueError: ``x`` is zero or not below ``terms`` in modulus.
    """
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


# deciding ---------------------------------------------------------------------------------------------------------


def _points(expr: sp.Expr, domain: Domain) -> Iterable[dict[sp.Symbol, sp.Rational]]:
    ranges = _complete(expr, domain)
    pools = {x: r.samples(bool(x.is_integer)) for x, r in ranges.items()}
    count = 1
    for pool in pools.values():
        count *= len(pool)
    if count <= ATTACKS:
        for choice in itertools.product(*pools.values()):
            yield dict(zip(pools, choice, strict=True))
        return
    rng = random.Random(0)
    for _ in range(ATTACKS):
        yield {x: rng.choice(pool) for x, pool in pools.items()}


def _contradiction(expr: sp.Expr, relation: str, domain: Domain) -> str | None:
    """An exact point of the domain at which ``expr relation 0`` certainly fails, in words; None if none was met."""
    for point in _points(expr, domain):
        value = expr.subs(point)
        if value.is_Rational:
            sign = int(sp.sign(value))
            shown = str(value)
        else:
            try:
                enclosure = ball(value)
            except ValueError:
                continue
            if not enclosure.is_finite():
                continue
            sign = 1 if enclosure > 0 else -1 if enclosure < 0 else 2
            shown = enclosure.str(8)
        fails = {"==": sign in (1, -1), ">": sign in (0, -1), ">=": sign == -1, "<": sign in (0, 1), "<=": sign == 1}
        if fails[relation]:
            where = ", ".join(f"{x} = {v}" for x, v in point.items())
            return f"left minus right is {shown}" + (f" at {where}" if where else "")
    return None


def _vanishes(expr: sp.Expr) -> bool:
    """Whether a normal form of ``expr`` is exactly 0; False says nothing."""
    attempts = (
        sp.expand,
        lambda e: sp.cancel(sp.together(e)),
        lambda e: sp.expand(sp.radsimp(sp.cancel(sp.together(sp.expand(e))))),
        lambda e: sp.expand(sp.expand_log(sp.logcombine(sp.factor(e)))),
        sp.simplify,
        lambda e: sp.simplify(sp.expand_log(sp.factor(sp.expand_log(e)))),
        # For real e, exp(e) = 1 says e = 0.
        lambda e: sp.simplify(sp.exp(sp.expand(e)) - 1) if e.has(sp.log) else e,
    )
    for attempt in attempts:
        try:
            if attempt(expr) == 0:
                return True
        except (sp.PolynomialError, NotImplementedError):
            continue
    return False


def _known_sign(c: sp.Expr) -> int | None:
    """Sign of a constant: exact for rationals, by an enclosure otherwise, None if the enclosure straddles 0."""
    if c.is_Rational:
        return int(sp.sign(c))
    enclosure = ball(c)
    return 1 if enclosure > 0 else -1 if enclosure < 0 else None


def _polynomial_sign(expr: sp.Expr, ranges: Mapping[sp.Symbol, Range]) -> tuple[int, bool] | None:
    """Sign of a polynomial on a box: (sign, strict), or None.

    Half-lines become ``low + t``; bounded intervals ``(low w + high t)/(w + t)`` in Bernstein form. All coefficients of
    one sign settle the weak sign; the strict one needs a basis function that vanishes nowhere on the domain.
    """
    substitution, gens = {}, []
    for x, r in ranges.items():
        t = sp.Dummy(f"t_{x}", positive=True)
        gens.append((t, r))
        substitution[x] = r.low + t if r.high is None else (r.low + r.high * t) / (1 + t)
    shifted = sp.together(expr.subs(substitution, simultaneous=True))
    numerator, denominator = sp.fraction(shifted)
    # What the substitution put below the line must be powers of (1 + t), positive by construction.
    constant, factors = sp.factor_list(denominator)
    if _known_sign(constant) != 1:
        return None
    for base, _ in factors:
        if not any(r.high is not None and sp.expand(base - (1 + t)) == 0 for t, r in gens):
            return None
    try:
        poly = sp.Poly(sp.expand(numerator), *[t for t, _ in gens])
    except sp.PolynomialError:
        return None
    if not gens or any(c.free_symbols for c in poly.coeffs()):
        return None
    signs = {monomial: _known_sign(sp.sympify(c)) for monomial, c in poly.terms()}
    if any(s is None for s in signs.values()):
        return None
    present = {s for s in signs.values() if s}
    if len(present) != 1:
        return None
    sign = present.pop()

    def vanishes_nowhere(monomial: tuple[int, ...]) -> bool:
        # t^i on [0, oo) vanishes at 0 unless i = 0; the far end of a closed bounded range, t = oo, is not covered.
        return all(not r.closed or (i == 0 and r.high is None) for i, (_, r) in zip(monomial, gens, strict=True))

    return sign, any(vanishes_nowhere(m) for m, s in signs.items() if s)


def _sign(expr: sp.Expr, domain: Domain) -> tuple[int, bool] | None:
    """Sign of a rational function on a domain, as (sign, strict); None if undecided. Sign 0: identically zero."""
    if expr.has(sp.log) and expr.free_symbols:
        return None  # not rational in the symbols; the caller names the logarithm through ``where``
    expr, ranges = _without_roots(expr, _complete(expr, domain))
    expr = sp.factor(sp.together(expr))
    # Exponentials that are left count as independent positive numbers.
    for k, atom in enumerate(sorted(expr.atoms(sp.exp), key=str)):
        name = sp.Symbol(f"exp_{k}", positive=True)
        expr, ranges = expr.subs(atom, name), {**ranges, name: above(0)}
    expr = sp.factor(expr)
    if expr == 0:
        return 0, False
    ranges = {x: r for x, r in ranges.items() if x in expr.free_symbols}
    if not ranges:
        known = _known_sign(expr)
        return None if known is None else (known, known != 0)
    numerator, denominator = sp.fraction(expr)
    sign, strict = 1, True
    for part, divides in ((numerator, False), (denominator, True)):
        try:
            constant, factors = sp.factor_list(part)
        except sp.PolynomialError:
            return None
        head = _known_sign(constant) if not constant.free_symbols else None
        if head is None:
            return None
        sign *= head
        for base, power in factors:
            if not base.free_symbols:
                known = _known_sign(base)
                judged = None if known is None else (known, True)
            else:
                judged = _polynomial_sign(base, {x: ranges[x] for x in sorted(base.free_symbols, key=str)})
            if judged is None:
                if divides or power % 2:
                    return None
                judged = (1, False)  # an even power is nonnegative whatever its base
            if divides and not judged[1]:
                return None
            sign *= judged[0] ** int(power)
            strict = strict and judged[1]
    return sign, strict


def _without_roots(expr: sp.Expr, ranges: dict[sp.Symbol, Range]) -> tuple[sp.Expr, dict[sp.Symbol, Range]]:
    """Replace x by y^2 where sqrt(x) occurs, y ranging over at least the roots of x's range."""
    rooted = {p.base for p in expr.atoms(sp.Pow) if p.base in ranges and p.exp.is_Rational and p.exp.q == 2}
    for x in sorted(rooted, key=str):
        r = ranges.pop(x)
        if r.low < 0:
            raise ValueError(f"domain must keep {x} nonnegative under a square root")
        y = sp.Symbol(f"sqrt_{x}", positive=True)
        low, high = sp.floor(sp.sqrt(r.low)), None if r.high is None else sp.ceiling(sp.sqrt(r.high))
        ranges[y] = Range(low, high, r.closed or low**2 != r.low)
        expr = expr.subs(x, y**2)
    return expr, ranges


def _unfold(expr: sp.Expr, ranges: Mapping[sp.Symbol, Range]) -> sp.Expr:
    """Write bounded symbols as (low + high t)/(1 + t), t > 0, and x > low as low + t, so that roots know their sign."""
    for x in expr.free_symbols & set(ranges):
        r, t = ranges[x], sp.Dummy(f"t_{x}", positive=True)
        if not x.is_integer:
            expr = expr.subs(x, r.low + t if r.high is None else sp.factor((r.low + r.high * t) / (1 + t)))
    return expr


def _sum_sign(expr: sp.Expr, domain: Domain) -> tuple[int, bool] | None:
    """Sign of a sum from the signs of its terms as written, squares among them: (sign, strict), or None."""
    if not expr.is_Add:
        return None
    judged = []
    for term in expr.args:
        found = _sign(term, domain)
        if found is None:
            return None
        judged.append(found)
    signs = {sign for sign, _ in judged if sign}
    return (signs.pop(), any(strict for _, strict in judged)) if len(signs) == 1 else None


# step-constructors ------------------------------------------------------------------------------------------------


@lru_cache(maxsize=4096)
def _judge(expr: sp.Expr, relation: str, domain: frozenset[tuple[sp.Symbol, Range]]) -> tuple[bool | None, str]:
    """``expr relation 0`` on the domain, remembered: variants of a theorem share most of their steps."""
    ranges = dict(domain)
    against = _contradiction(expr, relation, ranges)
    if against is not None:
        return False, against
    if relation == "==":
        if _vanishes(expr) or _vanishes(_unfold(expr, ranges)):
            return True, "the difference of the two sides has the normal form 0"
        return None, f"no normal form of {expr} is 0, and no point contradicts it"
    judged = _sign(expr, ranges) or _sum_sign(expr, ranges)
    if judged is None:
        return None, f"the coefficients of {expr} do not settle its sign"
    sign, strict = judged
    wanted = 1 if relation.startswith(">") else -1
    if sign == wanted and (strict or relation.endswith("=")):
        return True, "every factor keeps one sign on the domain"
    if sign == 0 and relation.endswith("="):
        return True, "the two sides agree identically"
    return None, f"only the weak sign of {expr} is settled"


def identity(statement: str, lhs: Any, rhs: Any = 0, domain: Domain | None = None) -> Step:
    """``lhs == rhs`` for all values of the symbols: True if the difference has the normal form 0."""
    expr = sp.sympify(lhs) - sp.sympify(rhs)
    return Step(statement, "identity", *_judge(expr, "==", frozenset((domain or {}).items())), expr == 0)


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
        where: names for subexpressions that are not rational in the symbols, such as ``{exp(s): E}`` with a range for
            E in the domain. The step is then about all E in that range, which is a stronger fact.

    Raises:
        ValueError: an unknown relation, or a symbol without a range.
    """
    if relation not in ("==", ">", ">=", "<", "<="):
        raise ValueError(f"relation must be one of == > >= < <=, got {relation!r}")
    expr = (sp.sympify(lhs) - sp.sympify(rhs)).subs(where or {})
    method = "identity" if relation == "==" else "sign"
    return Step(statement, method, *_judge(expr, relation, frozenset((domain or {}).items())), expr == 0)


def monotone(
    statement: str,
    function: Any,
    variable: sp.Symbol,
    direction: str,
    domain: Domain | None = None,
    where: Mapping[sp.Expr, sp.Symbol] | None = None,
) -> Step:
    """``function`` is strictly ``"increasing"`` or ``"decreasing"`` in ``variable``: the sign of its exact derivative.

    Raises:
        ValueError: another direction.
    """
    if direction not in ("increasing", "decreasing"):
        raise ValueError(f"direction must be 'increasing' or 'decreasing', got {direction!r}")
    derivative = sp.diff(sp.sympify(function), variable)
    judged = holds(statement, derivative, ">" if direction == "increasing" else "<", 0, domain, where)
    return Step(statement, "derivative", judged.result, judged.detail)


def vanishing_start(
    statement: str, function: Any, variable: sp.Symbol, low: Any, order: int = 1, domain: Domain | None = None
) -> tuple[Step, ...]:
    """``function > 0`` for ``variable > low``: derivatives 0 to ``order - 1`` vanish at ``low``, the next is positive.

    The conclusion follows by the mean value theorem applied ``order`` times.
    """
    steps = []
    current = sp.sympify(function)
    for k in range(order):
        steps.append(
            identity(f"{statement}: derivative {k} vanishes at {variable} = {low}", current.subs(variable, low))
        )
        current = sp.diff(current, variable)
    judged = holds(f"{statement}: derivative {order} is positive for {variable} > {low}", current, ">", 0, domain)
    return (*steps, judged)


def limit(statement: str, expr: Any, variable: sp.Symbol, point: Any, value: Any) -> Step:
    """``expr -> value`` as ``variable`` decreases to ``point``, by SymPy's limit of an elementary function."""
    found = _limit(sp.sympify(expr), variable, sp.sympify(point))
    if found is None:
        return Step(statement, "limit", None, "no limit found")
    claimed = sp.sympify(value)
    if found == claimed:
        return Step(statement, "limit", True, f"the limit is {found}")
    if found.is_infinite or claimed.is_infinite:
        return Step(statement, "limit", False, f"the limit is {found}")
    judged = identity(statement, found, claimed)
    return Step(statement, "limit", judged.result, f"the limit is {found}; {judged.detail}")


@lru_cache(maxsize=512)
def _limit(expr: sp.Expr, variable: sp.Symbol, point: sp.Expr) -> sp.Expr | None:
    try:
        found = sp.limit(expr, variable, point, dir="+")
    except (NotImplementedError, ValueError):
        return None
    return None if found.has(sp.Limit, sp.AccumBounds, sp.nan) else found


def compare(statement: str, lhs: Any, relation: str, rhs: Any) -> Step:
    """``lhs relation rhs`` between two constants in closed form, ``relation`` one of ``> >= < <=``, in ball arithmetic.

    Raises:
        ValueError: an unknown relation.
    """
    if relation not in (">", ">=", "<", "<="):
        raise ValueError(f"relation must be one of > >= < <=, got {relation!r}")
    gap = ball(sp.sympify(lhs) - sp.sympify(rhs))
    above_zero, below_zero = bool(gap > 0), bool(gap < 0)
    if not (above_zero or below_zero):
        return Step(statement, "enclosure", None, f"the enclosure {gap.str(8)} of the difference contains 0")
    result = above_zero if relation.startswith(">") else below_zero
    return Step(statement, "enclosure", result, f"left minus right is {gap.str(8)}")


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

    def entry(self, a: int, b: int, same: bool = False) -> sp.Expr:
        """X_ij for i in group a and j in group b, ``same`` if i = j."""
        return self.t[a, b] + (self.s[a] if same else 0)

    def __matmul__(self, other: GroupMatrix) -> GroupMatrix:
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


def equal_entries(
    statement: str, left: GroupMatrix, right: GroupMatrix, domain: Domain | None = None
) -> tuple[Step, ...]:
    """Two invariant matrices agree: one identity for each coefficient."""
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
