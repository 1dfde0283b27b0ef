"""What every kind of certificate is read with: JSON without surprises, exact rationals, balls, and the claim's data.

Part of :mod:`proofs_check.checker`, apart so that each kind is a file of its own; it imports nothing from ``ufm``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from flint import arb, arb_mat, fmpq

MAX_BYTES = 4_000_000
MAX_DIGITS = 400
MAX_SUM_BITS = 20_000  # of the denominator of an exact sum
RATIONAL = re.compile(rf"-?[0-9]{{1,{MAX_DIGITS}}}(/[0-9]{{1,{MAX_DIGITS}}})?", re.ASCII)

Answer = tuple[str, tuple[str, ...]]  # why a claim holds, and the lemmas that takes


class Reject(Exception):
    """The certificate does not pass; the message says why."""


def parse(text: str | bytes) -> Any:
    """JSON of bounded size, without floats, NaN or duplicate keys; the standard library bounds its depth."""
    if len(text) > MAX_BYTES:
        raise Reject(f"the file is larger than {MAX_BYTES} bytes")
    if isinstance(text, bytes):
        text = text.decode("utf-8")

    def no_float(token: str) -> Any:
        raise Reject(f"{token[:40]} is not allowed: numbers are exact, as strings 'p/q'")

    def small_int(token: str) -> int:
        if len(token) > 9:
            raise Reject("integers have at most 9 digits; larger numbers are strings 'p/q'")
        return int(token)

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) != len(pairs):
            raise Reject(f"duplicate key among {sorted(key[:40] for key, _ in pairs[:20])}")
        return dict(pairs)

    try:
        return json.loads(
            text, parse_float=no_float, parse_constant=no_float, parse_int=small_int, object_pairs_hook=unique
        )
    except json.JSONDecodeError as problem:
        raise Reject(f"not JSON: {problem}") from None


def fields(value: Any, name: str, *keys: str) -> list[Any]:
    """Values of exactly these keys of an object, in this order."""
    if not isinstance(value, dict) or set(value) != set(keys):
        found = sorted(key[:40] for key in value)[:20] if isinstance(value, dict) else type(value).__name__
        raise Reject(f"{name} must have exactly the keys {sorted(keys)}, got {found}")
    return [value[key] for key in keys]


def rational(value: Any, name: str, *, positive: bool = False) -> fmpq:
    """Exact rational from a string 'p' or 'p/q' in lowest terms, as no other string spells it."""
    if not isinstance(value, str) or not RATIONAL.fullmatch(value):
        raise Reject(f"{name} must be a rational 'p/q' of at most {MAX_DIGITS} digits, got {str(value)[:60]!r}")
    p, _, q = value.partition("/")
    if int(q or 1) == 0:
        raise Reject(f"{name} has denominator 0")
    number = fmpq(int(p), int(q or 1))
    if str(number) != value:
        raise Reject(f"{name} must be in lowest terms without leading zeros, got {value[:60]!r}")
    if positive and number <= 0:
        raise Reject(f"{name} must be > 0, got {value[:60]}")
    return number


def fraction(value: Any, name: str) -> fmpq:
    """Rational in [0, 1)."""
    number = rational(value, name)
    if not 0 <= number < 1:
        raise Reject(f"{name} must lie in [0, 1)")
    return number


def integer(value: Any, name: str, low: int, high: int) -> int:
    """Integer between low and high."""
    if type(value) is not int or not low <= value <= high:
        raise Reject(f"{name} must be an integer between {low} and {high}, got {str(value)[:60]!r}")
    return value


def vector(value: Any, name: str, low: int, high: int | None = None, *, positive: bool = False) -> list[fmpq]:
    """Rational vector of ``low`` to ``high`` entries (default: exactly ``low``)."""
    if not isinstance(value, list) or not low <= len(value) <= (high or low):
        raise Reject(f"{name} must be a list of {low}{f' to {high}' if high else ''} rationals")
    return [rational(x, name, positive=positive) for x in value]


def matrix(value: Any, name: str, rows: int, columns: int | None, limit: int) -> list[list[fmpq]]:
    """Rational matrix as a list of ``rows`` rows; ``columns`` None: any number of columns from 1 to ``limit``."""
    if not isinstance(value, list) or len(value) != rows or rows > limit:
        raise Reject(f"{name} must be a list of {rows} rows (at most {limit})")
    first = vector(value[0], name, columns or 1, columns or limit)
    return [first, *(vector(row, name, len(first)) for row in value[1:])]


def exact_sum(values: Iterable[fmpq], name: str) -> fmpq:
    """The sum, as long as its denominator stays short: those of a hostile file could be all different."""
    total = fmpq(0)
    for x in values:
        total += x
        if total.q.bit_length() > MAX_SUM_BITS:
            raise Reject(f"{name}: the denominators have too little in common to be added exactly")
    return total


@dataclass(frozen=True)
class Claim:
    """The problem, derived from the claim alone, and the statement about it.

    Attributes:
        kind: "value", "threshold", "phase" or "counterexample".
        architecture, parameters: its name, and its parameters as written.
        sizes: K_a of every group.
        counts: n_a of every group; none for a threshold, where the ratio is what is sought.
        fixed: for a threshold under weight decay: what is held fixed while the ratio varies, and its value.
        loss: "ce" or "mse".
        penalised: weight decay (True) or budgets (False).
        scale2: squared strength of the nuclear-norm penalty, or squared radius of the nuclear-norm ball.
        statement: the statement's data.
    """

    kind: str
    architecture: str
    parameters: dict[str, Any]
    sizes: list[int]
    counts: list[fmpq]
    fixed: tuple[str, fmpq] | None
    loss: str
    penalised: bool
    scale2: fmpq
    statement: Any

    @property
    def total(self) -> fmpq:
        """N = sum_a K_a n_a."""
        return sum((k * n for k, n in zip(self.sizes, self.counts, strict=True)), fmpq(0))

    @property
    def radius2(self) -> fmpq:
        """Squared radius of the nuclear-norm ball."""
        if self.penalised:
            raise Reject(f"{self.architecture} has no budgets")
        return self.scale2

    @property
    def strength2(self) -> fmpq:
        """Squared strength of the nuclear-norm penalty."""
        if not self.penalised:
            raise Reject(f"{self.architecture} has no weight decay")
        return self.scale2


def brief(value: Any) -> str:
    """Data for people: rationals too long to read become decimals with 20 digits, everything else is cut short."""
    if isinstance(value, str) and len(value) > 12 and RATIONAL.fullmatch(value):
        return "~" + str(arb(rational(value, "number")).str(20, radius=False))
    return value if isinstance(value, str) and re.fullmatch("[a-z]{1,12}|[-0-9/]{1,12}", value) else f"{value!r:.200}"


# Balls --------------------------------------------------------------------------------------------------------------


def identity(n: int) -> arb_mat:
    """Identity matrix."""
    return arb_mat(n, n, [int(i == j) for i in range(n) for j in range(n)])


def whole_power(x: arb, n: int) -> arb:
    """x^n, n >= 1. FLINT's own is NaN for a ball about exactly 0."""
    if x.mid() != 0:
        return x**n
    most, any_sign = arb(x.upper()) ** n, arb(0, 1)
    return most * any_sign if n % 2 else most * (1 + any_sign) / 2


def positive_definite(m: arb_mat) -> bool:
    """Whether every symmetric matrix in a ball matrix is positive definite.

    Halved: ``[[A, B], [B', C]] > 0`` iff ``A > 0`` and its Schur complement ``C - B' A^{-1} B > 0``.
    """
    n, rows = m.nrows(), m.tolist()
    if n <= 1:
        return n == 0 or bool(m[0, 0] > 0)
    first, last = slice(n // 2), slice(n // 2, n)
    a, b, c = (arb_mat([row[q] for row in rows[p]]) for p, q in ((first, first), (first, last), (last, last)))
    try:
        return positive_definite(a) and positive_definite(c - b.transpose() * a.solve(b))
    except ZeroDivisionError:  # the balls of A hold a singular matrix
        return False


def interval(value: Any, name: str) -> tuple[arb, arb, arb]:
    """Two rationals 0 <= low < high as points, and a ball that holds everything between them."""
    low, high = vector(value, name, 2)
    if not 0 <= low < high:
        raise Reject(f"{name} must satisfy 0 <= low < high")
    return arb(low), arb(high), arb(low).union(arb(high))


def enclosed(statement: Any, lower: arb, upper: arb, *, nonnegative: bool = True) -> Answer:
    """The optimal value lies where a statement says, for it does in ``[lower, upper]``, and maybe above 0."""
    low, high = (rational(x, "statement") for x in fields(statement, "statement", "lower", "upper"))
    if not upper <= arb(high):
        raise Reject("upper bound not proved: the objective at the witness is not below the claimed bound")
    if (low > 0 or not nonnegative) and not arb(low) <= lower:
        raise Reject("lower bound not proved: the dual value of the witness is not above the claimed bound")
    return "feasible factors from above, a dual bound from below", ("gauge", "duality")
