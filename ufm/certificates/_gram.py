"""Certificates of the contrastive loss of unit vectors, two groups of classes: ``proofs_check/kinds/gram.py``.

With K_A classes of weight R and K_B of weight 1 the optimal Gram matrix has inner products x, y, z within the majority,
across and within the minority; p = 1 + (K_A - 1) x, q = 1 + (K_B - 1) z and y = -sqrt(p q/(K_A K_B)). The loss is
convex in (p, q) on [0, K_A] x [0, K_B], and the minority is one where q = K_B. The optimum is found in floats, then in
DIGITS digits by secants and Newton's method.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any, NamedTuple

from flint import arb

from proofs_check import checker
from proofs_check.kinds import gram
from proofs_check.kinds.reading import fmpq
from proofs_check.precision import precision
from ufm._extras import require
from ufm._validation import integer, one_of
from ufm.certificates._certificate import Certificate, CertificationError
from ufm.certificates._exact import ball, dyadic, lower_end, rational, round_down, round_up, text, upper_end

__all__ = ["certify_contrastive"]

#: Digits of the optimum, bits after the point of its vectors, and by which power of 2 the multiplier exceeds its limit.
DIGITS, BITS, SLACK_BITS = 110, 330, 200

#: Digits of a certified value.
VALUE_DIGITS = 20

#: The least logarithms of p and q at which they are sought; at R = 1, q is K_A/(K - 1), and it grows with R.
LEAST_P, LEAST_Q = -90.0, -10.0


class _Loss(NamedTuple):
    """The loss of two groups in (p, q), with the functions of ``math`` or of ``mpmath``."""

    majority: int
    minority: int
    ratio: Any
    beta: Any
    functions: Any

    def cosines(self, p: Any, q: Any) -> tuple[Any, Any, Any]:
        """x, y, z; x is 1 where there is one majority class."""
        m, n = self.majority, self.minority
        return (p - 1) / (m - 1) if m > 1 else 1, -self.functions.sqrt(p * q / (m * n)), (q - 1) / (n - 1)

    def slopes(self, p: Any, q: Any) -> tuple[Any, Any]:
        """Derivatives of the loss, times its total weight over beta, in p and q."""
        m, n, r, beta, functions = self
        x, y, z = self.cosines(p, q)
        within, across, rare = (functions.exp(beta * (c - 1)) for c in (x, y, z))
        first = r * (1 + (m - 1) * within) + n * across
        second = 1 + (n - 1) * rare + m * r * across
        pull = m * n * r * across * y / 2 * (1 / first + 1 / second)
        return m * r * r * within / first + pull / p, n * rare / second + pull / q


def certify_contrastive(
    num_majority: int, num_minority: int, ratio: Any, beta: Any, *, statement: str = "value"
) -> Certificate:
    """Certificate of the least population contrastive loss of unit vectors, K_A classes R times as probable as K_B.

    ``F = sum_c pi_c log sum_c' pi_c' e^{beta (<x_c, x_c'> - 1)}`` over unit vectors x_c in d >= K dimensions.

    Args:
        num_majority, num_minority: K_A >= 1 and K_B >= 2, at most 16 in all.
        ratio: R >= 1, as an int, float, Fraction or string "p/q".
        beta: the inverse temperature, > 0, likewise.
        statement: ``"value"``: the least loss is in an interval; ``"collapse"``: whether the vectors of the minority
            coincide.

    Raises:
        TypeError, ValueError: an argument out of range.
        CertificationError: no proof was found: R next to the threshold of collapse, or beta too large.
        MissingExtraError: without mpmath, of the extra "proofs".

    >>> certify_contrastive(2, 2, 200, 1, statement="collapse").claim["statement"]
    {'classes': [2, 3], 'collapsed': True}
    >>> value = certify_contrastive(2, 2, 100, 1)
    >>> round(value.lower, 9) == round(value.upper, 9), value.check().accepted
    (True, True)
    """
    m = integer("num_majority", num_majority, minimum=1, maximum=gram.MAX_CLASSES - 2)
    n = integer("num_minority", num_minority, minimum=2, maximum=gram.MAX_CLASSES - m)
    r, b = rational("ratio", ratio), rational("beta", beta)
    if r < 1 or b <= 0:
        raise ValueError(f"ratio must be at least 1 and beta > 0, got {ratio!r} and {beta!r}")
    one_of("statement", statement, ("value", "collapse"))
    vectors, collapsed = _vectors(m, n, r, b)
    weights = [r] * m + [Fraction(1)] * n
    claim = {
        "kind": "contrastive",
        "architecture": {"name": "unit_vectors"},
        "prior": [{"classes": m, "count": text(r)}, {"classes": n, "count": "1"}],
        "loss": {"name": "contrastive", "beta": text(b)},
    }
    shift, ends = _bounds([w / sum(weights) for w in weights], b, vectors)
    said: dict[str, Any] = {"lower": text(ends[0]), "upper": text(ends[1])}
    if statement == "collapse":
        said = {"classes": list(range(m, m + n)), "collapsed": collapsed}
    witness = {"vectors": [[text(x) for x in row] for row in vectors], "shift": [text(y) for y in shift]}
    return Certificate.proving({**claim, "statement": said}, witness)


def _bounds(
    pi: list[Fraction], beta: Fraction, vectors: list[list[Fraction]]
) -> tuple[list[Fraction], tuple[Fraction, Fraction]]:
    """A shift just above the multiplier of the diagonal, and rounded ends of the value."""
    with precision(checker.PRECISION):
        rational_pi = [fmpq(x.numerator, x.denominator) for x in pi]
        g = gram.gram([[fmpq(x.numerator, x.denominator) for x in row] for row in vectors])
        value, s = gram.tangent(rational_pi, ball(beta), g)
        pulls = [sum((x * y for x, y in zip(*rows, strict=True)), arb(0)) for rows in zip(s, g, strict=True)]
        shift = [dyadic(-upper_end(pull), BITS) + Fraction(1, 2**SLACK_BITS) for pull in pulls]
        gap = sum((pull + ball(y) for pull, y in zip(pulls, shift, strict=True)), arb(0))
        low, high = lower_end(value - gap), upper_end(value)
    return shift, (round_down(low, VALUE_DIGITS), round_up(high, VALUE_DIGITS))


def _vectors(m: int, n: int, r: Fraction, b: Fraction) -> tuple[list[list[Fraction]], bool]:
    """Vectors at the optimum, a row each, and whether the minority is one: two simplices about opposite directions."""
    mp = require("mpmath", extra="proofs")
    with mp.workdps(DIGITS):
        p, q, collapsed = _optimum(m, n, r, b, mp)
        rows = [
            [mp.sqrt(1 - c) * (mp.mpf(i == j) - mp.mpf(1) / size) for j in range(size)]
            for size, c in ((m, (p - 1) / (m - 1) if m > 1 else 1), (n, (q - 1) / (n - 1)))
            for i in range(size)
        ]
        apart = mp.sqrt(p / m), -mp.sqrt(q / n)
        zeros = [mp.mpf(0)]
        full = [[*row, *(zeros * n), apart[0]] for row in rows[:m]] + [
            [*(zeros * m), *row, apart[1]] for row in rows[m:]
        ]
        return [[Fraction(int(mp.nint(mp.ldexp(x, BITS))), 2**BITS) for x in row] for row in full], collapsed


def _optimum(m: int, n: int, r: Fraction, b: Fraction, mp: Any) -> tuple[Any, Any, bool]:
    """p and q of the optimum in the digits that ``mp``, mpmath, is set to, and whether q = K_B."""
    fine = _Loss(m, n, mp.mpf(r.numerator) / r.denominator, mp.mpf(b.numerator) / b.denominator, mp)

    def best(log_q: float) -> float:
        if m == 1 or rough.slopes(m, math.exp(log_q))[0] <= 0:  # the majority is one
            return math.log(m)
        return _root(lambda u: rough.slopes(math.exp(u), math.exp(log_q))[0], LEAST_P, m)

    def refined(slope: Callable[[Any], Any], start: float) -> Any:
        return mp.exp(mp.findroot(lambda u: slope(mp.exp(u)), (start, start + 1e-9)))

    def both(u: Any, v: Any) -> list[Any]:
        if max(u, v) > gram.MAX_CLASSES:
            raise ValueError("Newton's method diverges")
        return list(fine.slopes(mp.exp(u), mp.exp(v)))

    whole = mp.mpf(n)
    try:
        rough = _Loss(m, n, float(r), float(b), math)
        start = best(math.log(n))
        p = mp.mpf(m) if start == math.log(m) else refined(lambda p: fine.slopes(p, whole)[0], start)
        if fine.slopes(p, whole)[1] <= 0:
            return p, whole, True
        v = _root(lambda v: float(fine.slopes(mp.exp(best(v)), mp.exp(v))[1]), LEAST_Q, n)
        if best(v) == math.log(m):
            return mp.mpf(m), refined(lambda q: fine.slopes(mp.mpf(m), q)[1], v), False
        found = [mp.exp(x) for x in mp.findroot(both, (best(v), v))]
        if not (found[0] < m and found[1] < n):
            raise ValueError("Newton's method leaves the cosines up to 1")
    except (ValueError, ZeroDivisionError, OverflowError) as reason:
        at = f"R = {r!s:.30}, beta = {b!s:.30}"
        raise CertificationError(f"the optimum was not found at {at}: {reason}") from None
    return found[0], found[1], False


def _root(slope: Callable[[float], float], least: float, top: float) -> float:
    """The logarithm of where a function of (0, top], given in the logarithm, rises through 0."""
    from scipy.optimize import brentq

    return float(brentq(slope, least, math.log(top), xtol=1e-15))
