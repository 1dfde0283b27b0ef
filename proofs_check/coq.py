"""A second kernel: the scalar inequalities behind a certificate as Coq theorems, checked by ``coqc``.

:func:`export` states what :mod:`proofs_check.checker` verifies in ball arithmetic as closed statements about real
numbers and leaves them to the ``interval`` tactic of the Coq library Interval (Debian: ``coq``, ``libcoq-interval``).
Formulas are written down here anew, so a slip in the checker's arithmetic does not repeat itself; shared are the
reading of the claim (``checker.read_claim``) and the lemmas ``checker.LEMMAS``, which lead from the inequalities to it.
Coq's own axioms in use are those of its classical real numbers and of its machine integers.

    python -m proofs_check.coq FILE             # check with both kernels
    python -m proofs_check.coq --export FILE    # print the Coq file
"""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

from proofs_check import checker

__all__ = [
    "CoqOutcome",
    "NotExportable",
    "check_with_coq",
    "coqc_available",
    "export",
    "kernels",
    "lacks_library",
    "run_coqc",
]

PRECISION = 192  # bits of the interval tactic; nothing in a certificate can change it
MAX_GROUPS = 2  # groups of a value certificate; beyond, the norm bound is no longer a short scalar statement
MAX_CLASSES = 8  # of a counterexample
MAX_FACTORS = 4
MAX_RESIDUAL = 12  # classes of a counterexample behind residual depth
MAX_BITS = 128
MAX_COQ_BYTES = 400_000

Fact = tuple[str, str]  # statement, tactic
Matrix = list[list[Fraction]]


class NotExportable(ValueError):
    """The certificate has no export to scalar inequalities; says nothing about its truth."""


@dataclass(frozen=True)
class CoqOutcome:
    """Verdict of Coq on a certificate.

    Attributes:
        accepted: True: every statement proved; False: coqc refused one; None: no verdict (see reason).
        reason: why.
        theorems: number of statements.
        seconds: time coqc took.
    """

    accepted: bool | None
    reason: str
    theorems: int = 0
    seconds: float = 0.0


def coqc_available() -> bool:
    """Whether ``coqc`` is on the path and finds the Interval library."""
    path = shutil.which("coqc")
    return path is not None and _finds_interval(path)


@lru_cache(maxsize=4)
def _finds_interval(path: str) -> bool:
    """Asked once of every ``coqc``: to load the library takes seconds."""
    return _coqc("From Interval Require Import Tactic.\n", 60.0)[0] == 0


def check_with_coq(certificate: str | bytes | dict[str, Any], timeout: float = 120.0) -> CoqOutcome:
    """Export a certificate to Coq and have ``coqc`` prove every statement, within ``timeout`` seconds."""
    try:
        source = export(certificate)
    except NotExportable as problem:
        return CoqOutcome(None, str(problem))
    except checker.Reject as problem:
        return CoqOutcome(False, str(problem))
    if shutil.which("coqc") is None:
        return CoqOutcome(None, "coqc is not installed (Debian packages coq and libcoq-interval)")
    theorems = source.count("\nTheorem ")
    start = time.monotonic()
    status, output = _coqc(source, timeout)
    seconds = time.monotonic() - start
    if status is None:
        return CoqOutcome(None, f"coqc took longer than {timeout:g} s", theorems, seconds)
    if status == 0:
        return CoqOutcome(True, f"coqc proves {theorems} statements", theorems, seconds)
    if lacks_library(output):
        return CoqOutcome(None, "coqc does not find the Interval library (Debian package libcoq-interval)", theorems)
    message = " ".join(output.split())
    return CoqOutcome(False, f"coqc does not accept: {message[-300:]}", theorems, seconds)


def kernels(certificate: str | bytes | dict[str, Any], timeout: float = 120.0) -> dict[str, bool | None]:
    """Which kernels accept a certificate: ball arithmetic and Coq, each True, False or None (no verdict)."""
    return {
        "ball arithmetic": checker.check(certificate).accepted,
        "coq": check_with_coq(certificate, timeout).accepted,
    }


def _coqc(source: str, timeout: float) -> tuple[int | None, str]:
    """Exit status (None: timed out) and output of coqc on a source file in a directory of its own."""
    with tempfile.TemporaryDirectory(prefix="certificate-") as folder:
        path = Path(folder) / "certificate.v"
        path.write_text(source, encoding="ascii")
        return run_coqc([path.name], Path(folder), timeout)


def run_coqc(arguments: Sequence[str], folder: Path, timeout: float) -> tuple[int | None, str]:
    """Exit status (None: timed out) and output of coqc, run in ``folder``; what it has started ends with it."""
    return _run(["coqc", "-q", *arguments], folder, None, timeout)


def run_coqtop(arguments: Sequence[str], script: str, timeout: float) -> tuple[int | None, str]:
    """Exit status (None: timed out) and output of coqtop on the sentences of ``script``: it goes on after an error."""
    return _run(["coqtop", "-q", *arguments], Path(tempfile.gettempdir()), script, timeout)


def _run(command: Sequence[str], folder: Path, text: str | None, timeout: float) -> tuple[int | None, str]:
    process = subprocess.Popen(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL if text is None else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(text, timeout=timeout)
    except BaseException as problem:
        os.killpg(process.pid, signal.SIGKILL)  # coqc runs coqworkers of its own
        process.communicate()
        if isinstance(problem, subprocess.TimeoutExpired):
            return None, ""
        raise
    return process.returncode, output


def lacks_library(output: str) -> bool:
    """Whether coqc stopped because it found no library, so that it said nothing of the statements."""
    return "Cannot find a physical path" in output or "Unable to locate library" in output


def export(certificate: str | bytes | dict[str, Any]) -> str:
    """Coq source stating the scalar inequalities behind a certificate.

    Raises:
        checker.Reject: the certificate cannot be read or lacks what its kind needs.
        NotExportable: a value certificate with more than two groups, or one whose statements get too long.
    """
    data = checker.parse(certificate if isinstance(certificate, str | bytes) else json.dumps(certificate))
    claim = checker.read(data)
    if not isinstance(claim, checker.Claim):
        raise NotExportable(f"certificates of kind {claim.kind!r} have no export to short scalar statements")
    if claim.kind not in _FACTS:
        raise NotExportable(
            f"certificates of kind {claim.kind!r} are not exported: boxes are no short scalar statements"
        )
    facts = list(_FACTS[claim.kind](claim, data["witness"]))
    words = re.sub(r"[^A-Za-z0-9 .,:=_/^~\[\]-]", " ", checker.describe(claim))
    lines = [
        f"(* {words} *)",
        "From Coq Require Import Reals Lra.",
        "From Interval Require Import Tactic.",
        "Open Scope R_scope.",
    ]
    for i, (statement, tactic) in enumerate(facts, 1):
        lines += ["", f"Theorem fact_{i} :", f"  {statement}.", f"Proof. {tactic} Qed."]
    text = "\n".join(lines) + "\n"
    if len(text) > MAX_COQ_BYTES:
        raise NotExportable(f"the Coq statements would exceed {MAX_COQ_BYTES} bytes")
    return text


# Writing real expressions -----------------------------------------------------------------------------------------

INTERVAL = f"intros; interval with (i_prec {PRECISION})."
EXACT = "lra."
#: Along t, by Taylor models on parts that are cut where they do not decide.
BISECTED = f"intros; interval with (i_prec {PRECISION}, i_bisect t, i_taylor t, i_depth 60)."


def num(value: Any) -> str:
    """A rational constant."""
    x = Fraction(str(value)) if not isinstance(value, Fraction) else value
    top = f"({x.numerator})" if x.numerator < 0 else str(x.numerator)
    return top if x.denominator == 1 else f"({top} / {x.denominator})"


def add(*terms: str) -> str:
    """Sum."""
    kept = [t for t in terms if t != "0"]
    return f"({' + '.join(kept)})" if kept else "0"


def mul(*factors: str) -> str:
    """Product."""
    return "0" if "0" in factors else f"({' * '.join(f for f in factors if f != '1') or '1'})"


def sub(x: str, y: str) -> str:
    """Difference."""
    return f"({x} - {y})"


def div(x: str, y: str) -> str:
    """Quotient."""
    return f"({x} / {y})"


def call(name: str, x: str) -> str:
    """Function applied to an argument."""
    return f"({name} {x if x.startswith('(') or x.isdigit() else f'({x})'})"


def square(x: str) -> str:
    """Square."""
    return f"({x} ^ 2)"


def root(value: Fraction) -> str:
    """Square root of a nonnegative rational."""
    return call("sqrt", num(value))


def fact(left: str, relation: str, right: str, tactic: str = INTERVAL) -> Fact:
    """A closed statement."""
    return f"{left} {relation} {right}", tactic


def on(bracket: tuple[Fraction, Fraction], left: str, relation: str, right: str) -> Fact:
    """A statement for every t in a bracket."""
    low, high = bracket
    return f"forall t : R, {num(low)} <= t <= {num(high)} -> {left} {relation} {right}", INTERVAL


def rational(value: Any, name: str) -> Fraction:
    """The checker's reading of a rational, as a Fraction."""
    x = checker.rational(value, name)
    return Fraction(int(x.p), int(x.q))


def bracket(value: Any, name: str) -> tuple[Fraction, Fraction]:
    """Two rationals 0 <= low < high."""
    if not isinstance(value, list) or len(value) != 2:
        raise checker.Reject(f"{name} must be a list of 2 rationals")
    low, high = (rational(x, name) for x in value)
    if not 0 <= low < high:
        raise checker.Reject(f"{name} must satisfy 0 <= low < high")
    return low, high


def fractions(values: Sequence[Any]) -> list[Fraction]:
    """flint rationals as Fractions."""
    return [Fraction(int(x.p), int(x.q)) for x in values]


# Values -------------------------------------------------------------------------------------------------------------


def value_facts(claim: checker.Claim, witness: Any) -> Iterator[Fact]:
    """Feasible factors, risk, norm of the gradient and dual value of a value certificate with one or two groups."""
    low, high = (rational(x, "statement") for x in checker.fields(claim.statement, "statement", "lower", "upper"))
    g = len(claim.sizes)
    if g > MAX_GROUPS:
        raise NotExportable(f"value certificates of more than {MAX_GROUPS} groups are not exported")
    k = claim.sizes
    n = fractions(claim.counts)
    scale2 = fractions([claim.scale2])[0]  # squared radius, or squared strength
    if witness == {}:
        if claim.loss != "mse" or claim.penalised:
            raise checker.Reject("witness missing")
        yield fact(num(sum(k) ** 2), "<=", num(scale2), EXACT)
        yield fact(num(low), "<=", "0", EXACT)
        yield fact("0", "<=", num(high), EXACT)
        return
    point, norm_data = checker.fields(witness, "witness", "point", "dual_norm")
    norm = rational(norm_data, "dual_norm")
    s_data, l_data, r_data = checker.fields(point, "point", "within", "left", "right")
    s = fractions(checker.vector(s_data, "within", g))
    left = [fractions(row) for row in checker.matrix(l_data, "left", g, None, g)]
    right = [fractions(row) for row in checker.matrix(r_data, "right", len(left[0]), g, g)]
    ranks = range(len(right))
    b_means = [[sum((left[a][r] * right[r][b] for r in ranks), Fraction(0)) for b in range(g)] for a in range(g)]
    pi = [x / sum((m * y for m, y in zip(k, n, strict=True)), Fraction(0)) for x in n]
    weights = n if claim.penalised else [Fraction(1)] * g
    yield fact("0", "<", num(norm), EXACT)

    # factors
    left2 = sum((k[a] * left[a][r] ** 2 for a in range(g) for r in ranks), Fraction(0))
    right2 = sum((k[b] * weights[b] * right[r][b] ** 2 for b in range(g) for r in ranks), Fraction(0))
    scale = add(*(mul(num((k[a] - 1) * abs(s[a])), root(weights[a])) for a in range(g)))
    penalty = add(scale, call("sqrt", num(left2 * right2)))
    if not claim.penalised:
        flat = sum(((k[a] - 1) * abs(s[a]) for a in range(g)), Fraction(0))
        yield fact(mul(num(flat + left2), num(flat + right2)), "<=", num(scale2), EXACT)

    risk, standard, block, dual = (ce_terms if claim.loss == "ce" else mse_terms)(k, pi, s, b_means)
    upper = add(risk, mul(root(scale2), penalty)) if claim.penalised else risk
    yield fact(upper, "<=", num(high))

    # |G diag(w)^{-1/2}|_2 <= norm
    for a in range(g):
        if k[a] > 1:
            yield fact(call("Rabs", standard[a]), "<=", mul(num(norm), root(weights[a])))
    x = [[div(mul(call("sqrt", num(k[a] * k[b])), block[a][b]), root(weights[b])) for b in range(g)] for a in range(g)]
    if g == 1:
        yield fact(square(x[0][0]), "<=", num(norm**2))
    else:
        # 2 x 2: every eigenvalue of X^T X is at most m iff trace <= 2 m and det (m I - X^T X) >= 0
        trace = add(*(square(entry) for row in x for entry in row))
        det = sub(mul(x[0][0], x[1][1]), mul(x[0][1], x[1][0]))
        yield fact(trace, "<=", num(2 * norm**2))
        yield fact(mul(num(norm**2), trace), "<=", add(num(norm**4), square(det)))

    if low > 0:
        if not claim.penalised:
            yield fact(num(low), "<=", sub(dual("1"), mul(root(scale2), num(norm))))
        elif norm**2 <= scale2:
            yield fact(num(norm**2), "<=", num(scale2), EXACT)
            yield fact(num(low), "<=", dual("1"))
        else:
            yield fact(num(low), "<=", dual(div(root(scale2), num(norm))))


def ce_terms(k: list[int], pi: list[Fraction], s: list[Fraction], means: Matrix) -> tuple[Any, ...]:
    """Risk, gradient (scalars and block means) and dual value under cross-entropy."""
    g = len(k)
    risk: list[str] = []
    standard: list[str] = []
    block = [["0"] * g for _ in range(g)]
    masses: list[tuple[str, str, list[tuple[str, int]]]] = []
    for b in range(g):
        own = means[b][b] + s[b] * Fraction(k[b] - 1, k[b])
        margin = [-s[b] if a == b else means[a][b] - own for a in range(g)]
        others = [k[a] - (a == b) for a in range(g)]
        odds = [mul(num(others[a]), call("exp", num(margin[a]))) for a in range(g)]
        total = add(*odds)
        partition = add("1", total)
        risk.append(mul(num(k[b] * pi[b]), call("ln", partition)))
        prob = [div(call("exp", num(margin[a])), partition) for a in range(g)]  # of one class of group a
        miss = div(total, partition)
        standard.append(mul(num(pi[b]), add(miss, prob[b]) if others[b] else miss))
        for a in range(g):
            own_mean = div(sub(mul(num(others[b]), prob[b]), miss), num(k[b]))
            block[a][b] = mul(num(pi[b]), own_mean if a == b else prob[a])
        masses.append((num(k[b] * pi[b]), miss, [(prob[a], others[a]) for a in range(g) if others[a]]))

    def dual(c: str) -> str:
        entropies = []
        for mass, miss, probs in masses:
            right = sub("1", mul(c, miss))
            terms = [mul(num(m), c, p, call("ln", mul(c, p))) for p, m in probs]
            entropies.append(mul(mass, f"(- {add(mul(right, call('ln', right)), *terms)})"))
        return add(*entropies)

    return add(*risk), standard, block, dual


def mse_terms(k: list[int], pi: list[Fraction], s: list[Fraction], means: Matrix) -> tuple[Any, ...]:
    """Risk, gradient and dual value under MSE, rational numbers all of them."""
    g = len(k)
    residual = [[means[a][b] - (Fraction(1, k[b]) if a == b else 0) for b in range(g)] for a in range(g)]
    risk, trace = Fraction(0), Fraction(0)
    for b in range(g):
        risk += pi[b] * (k[b] - 1) * (s[b] - 1) ** 2 / 2
        risk += pi[b] * k[b] * sum((k[a] * residual[a][b] ** 2 for a in range(g)), Fraction(0)) / 2
        trace += pi[b] * ((k[b] - 1) * (s[b] - 1) + k[b] * residual[b][b])
    standard = [num(pi[b] * (s[b] - 1)) for b in range(g)]
    block = [[num(pi[b] * residual[a][b]) for b in range(g)] for a in range(g)]
    return (
        num(risk),
        standard,
        block,
        lambda c: sub(mul(num(-trace), c), mul(num(risk), square(c))),
    )


# Two groups: thresholds and phases ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Angle:
    """The closed form of the two-group optimum at tan(theta/2) = t, as expressions in the real number t."""

    k_a: int
    k_b: int
    t: str

    @property
    def k(self) -> int:
        return self.k_a + self.k_b

    @property
    def cos(self) -> str:
        return div(sub("1", square(self.t)), add("1", square(self.t)))

    @property
    def sin(self) -> str:
        return div(mul("2", self.t), add("1", square(self.t)))

    @property
    def q(self) -> str:
        return div(sub("1", mul(root(Fraction(self.k_b, self.k)), self.cos)), num(self.k_a))

    @property
    def d(self) -> str:
        return call("ln", div(mul(self.q, root(Fraction(self.k * self.k_b))), self.cos))

    @property
    def r(self) -> str:
        return div(self.sin, root(Fraction(self.k * self.k_a)))

    @property
    def v(self) -> str:
        return mul(num(self.k_b), call("ln", div(sub("1", mul(num(self.k_a), self.r)), mul(num(self.k_b), self.r))))

    def s(self, v: str) -> str:
        lead = root(Fraction(self.k_a, self.k_b))
        return sub(div(mul(lead, v, self.cos), self.sin), mul(num(self.k_a), self.d))

    def tau(self, v: str) -> str:
        size = div(mul(root(Fraction(self.k_a, self.k)), v), self.sin)
        return add(mul(num(self.k_a - 1), self.s(v)), size)

    @property
    def slope(self) -> str:
        """d tau/d theta on the threshold curve."""
        cos, sin, v = self.cos, self.sin, self.v
        a, b = root(Fraction(self.k_b, self.k)), root(Fraction(self.k_a, self.k))
        dv = div(mul(num(-self.k_b), cos), mul(sin, sub("1", mul(num(self.k_a), self.r))))
        dd = add(div(mul(a, sin), sub("1", mul(a, cos))), div(sin, cos))
        cot = sub(div(mul(dv, cos), sin), div(v, square(sin)))
        ds = sub(mul(root(Fraction(self.k_a, self.k_b)), cot), mul(num(self.k_a), dd))
        return add(mul(num(self.k_a - 1), ds), div(mul(b, sub(mul(dv, sin), mul(v, cos))), square(sin)))

    def branch_v(self, tau: str) -> str:
        """v of the best logits with s_B = 0 and gauge tau."""
        top = add(tau, mul(num(self.k_a * (self.k_a - 1)), self.d))
        cot = div(mul(root(Fraction(self.k_a, self.k_b)), self.cos), self.sin)
        return div(top, add(mul(num(self.k_a - 1), cot), div(root(Fraction(self.k_a, self.k)), self.sin)))

    def beta(self, v: str) -> str:
        """mu/pi_B there."""
        odds = add(num(self.k_a), mul(num(self.k_b), call("exp", div(v, num(self.k_b)))))
        return div(root(Fraction(self.k * self.k_a)), mul(odds, self.sin))

    def ratio(self, v: str) -> str:
        """R there."""
        return mul(self.beta(v), add("1", mul(self.q, sub(call("exp", self.s(v)), "1"))))


def branch_facts(
    claim: checker.Claim, tau: str, ratio: Fraction, ends: tuple[Fraction, Fraction], relation: str
) -> Iterator[Fact]:
    """A sign change of R(theta) - ratio on a bracket where the branch exists, and mu/pi_B against 1 on all of it."""
    k_a, k_b = claim.sizes
    low, high = (_Angle(k_a, k_b, num(t)) for t in ends)
    inside = _Angle(k_a, k_b, "t")
    v = inside.branch_v(tau)
    yield fact("0", "<", num(ends[0]), EXACT)
    yield fact(num(ends[1]), "<", "1", EXACT)
    yield on(ends, "0", "<", v)
    if k_a > 1:
        yield on(ends, "0", "<", inside.s(v))
    yield fact(num(ratio), "<", low.ratio(low.branch_v(tau)))
    yield fact(high.ratio(high.branch_v(tau)), "<", num(ratio))
    yield on(ends, inside.beta(v), relation, "1")


def threshold_facts(claim: checker.Claim, witness: Any) -> Iterator[Fact]:
    """Brackets of a threshold certificate, or the comparisons of rationals it comes down to."""
    k_a, k_b = checker.check_two_groups(claim)
    if "infinite" in claim.statement:
        if claim.loss != "mse" or claim.penalised or claim.statement != {"infinite": True}:
            raise checker.Reject("an infinite threshold needs MSE and budgets")
        yield fact(num(k_a**2), "<=", num(fractions([claim.radius2])[0]), EXACT)
        return
    low, high = (rational(x, "statement") for x in checker.fields(claim.statement, "statement", "lower", "upper"))
    yield fact("1", "<=", num(low), EXACT)
    yield fact(num(low), "<=", num(high), EXACT)
    if claim.fixed is not None:
        held, value = claim.fixed[0], fractions([claim.fixed[1]])[0]
        strength2 = fractions([claim.strength2])[0]

        def over(ratio: Fraction) -> str:
            size = add(mul(num(k_a), num(ratio)), num(k_b))
            power = {"num_samples": size, "minority_count": square(size), "majority_count": square(size)}[held]
            return div(mul(num(strength2), num(value), power), num(ratio) if held == "majority_count" else "1")

        if low > 1:
            yield fact(over(low), "<", "1", EXACT)
        # N^2/n_B at fixed n_A falls until R = K_B/K_A and grows from there on
        yield fact("1", "<=", over(max(high, Fraction(k_b, k_a)) if held == "majority_count" else high), EXACT)
        return
    radius2 = fractions([claim.radius2])[0]
    if claim.loss == "mse":
        for ratio, relation in ((low, "<="), (high, ">=")):
            yield fact(square(mul(num(k_a), sub("1", div("1", num(ratio))))), relation, num(radius2), EXACT)
        return
    data = checker.fields(witness, "witness", "bracket", "below", "above")
    curve, below, above = (bracket(x, name) for x, name in zip(data, ("bracket", "below", "above"), strict=True))
    tau = root(radius2)
    first, last = (_Angle(k_a, k_b, num(t)) for t in curve)
    yield fact("0", "<", num(curve[0]), EXACT)
    yield fact(mul(num(k_a + k_b), square(last.sin)), "<", num(k_a), EXACT)
    yield fact(num(curve[1]), "<", "1", EXACT)
    yield fact(tau, "<", first.tau(first.v))
    yield fact(last.tau(last.v), "<", tau)
    yield on(curve, _Angle(k_a, k_b, "t").slope, "<", "0")
    yield fact(num(low), "<=", add("1", mul(first.q, sub(call("exp", last.s(last.v)), "1"))))
    yield fact(add("1", mul(last.q, sub(call("exp", first.s(first.v)), "1"))), "<=", num(high))
    yield from branch_facts(claim, tau, low, below, "<")
    yield from branch_facts(claim, tau, high, above, ">")


def phase_facts(claim: checker.Claim, witness: Any) -> Iterator[Fact]:
    """What decides a phase."""
    k_a, k_b = checker.check_two_groups(claim)
    (phase,) = checker.fields(claim.statement, "statement", "phase")
    if phase not in ("none", "partial", "total"):
        raise checker.Reject("phase must be 'none', 'partial' or 'total'")
    n_a, n_b = fractions(claim.counts)
    if not claim.penalised:
        radius2 = fractions([claim.radius2])[0]
        if claim.loss == "mse":
            if phase == "partial":
                raise checker.Reject("under MSE no collapse is partial")
            bound = square(mul(num(k_a), sub("1", div(num(n_b), num(n_a)))))
            yield fact(num(radius2), "<=" if phase == "total" else ">", bound, EXACT)
        elif phase == "total":
            if k_a == 1:
                raise checker.Reject("with one majority class and a budget the trivial block cannot vanish")
            q, r = total_terms(k_a, k_b, div(root(radius2), num(k_a - 1)))
            beta = add(mul(num(k_a), q), mul(num(k_b), r))
            yield fact(total_margin(k_a, k_b, r, beta, mul(num(n_a / n_b), beta)), "<", "1")
        else:
            (angle,) = checker.fields(witness, "witness", "angle")
            relation = "<" if phase == "none" else ">"
            yield from branch_facts(claim, root(radius2), n_a / n_b, bracket(angle, "angle"), relation)
        return
    scale2 = fractions([claim.strength2])[0] * (k_a * n_a + k_b * n_b) ** 2
    beta2_a, beta2_b = scale2 / n_a, scale2 / n_b
    if phase == "none":
        yield fact(num(beta2_b), "<", "1", EXACT)
        return
    yield fact("1", "<=", num(beta2_b), EXACT)
    if claim.loss == "mse":
        if phase == "partial":
            raise checker.Reject("under MSE no collapse is partial")
    elif k_a == 1 or beta2_a >= 1:
        at_zero = add(
            div(num(Fraction(k_b, k_a + k_b)), num(beta2_a)), div(num(Fraction(k_a, k_a + k_b)), num(beta2_b))
        )
        yield fact(at_zero, "<=" if phase == "total" else ">", "1", EXACT)
    else:
        (scale,) = checker.fields(witness, "witness", "scale")
        ends = bracket(scale, "scale")
        beta_a, beta_b = root(beta2_a), root(beta2_b)
        for end, relation in zip(ends, (">", "<"), strict=True):
            q, r = total_terms(k_a, k_b, num(end))
            yield fact(add(mul(num(k_a), q), mul(num(k_b), r)), relation, beta_a)
        margin = total_margin(k_a, k_b, total_terms(k_a, k_b, "t")[1], beta_a, beta_b)
        yield on(ends, margin, "<" if phase == "total" else ">", "1")


def total_terms(k_a: int, k_b: int, s: str) -> tuple[str, str]:
    """(q_A, r_A) where the trivial block of the logits vanishes and s_A = s."""
    grown = call("exp", div(s, num(k_a)))
    partition = add(call("exp", s), num(k_a - 1), mul(num(k_b), grown))
    return div("1", partition), div(grown, partition)


def total_margin(k_a: int, k_b: int, r: str, beta_a: str, beta_b: str) -> str:
    """Squared norm of the trivial block of the gradient over mu^2 there."""
    k = k_a + k_b
    return add(mul(num(k * k_b), square(div(r, beta_a))), div(num(Fraction(k_a, k)), square(beta_b)))


# Counterexamples ------------------------------------------------------------------------------------------------------


def counterexample_facts(claim: checker.Claim, witness: Any) -> Iterator[Fact]:
    """Budgets and logits of exact factors, and their risk against the best simplex ETF's."""
    refutes, margin_data = checker.fields(claim.statement, "statement", "refutes", "margin")
    if refutes != "etf-optimal" or claim.loss != "ce" or len(claim.sizes) != 1:
        raise checker.Reject("counterexamples refute 'etf-optimal' for balanced classes under cross-entropy")
    margin, k = rational(margin_data, "margin"), claim.sizes[0]
    yield fact("0", "<", num(margin), EXACT)
    if claim.architecture == "residual":
        yield from residual_facts(claim, witness, margin)
        return
    if k > MAX_CLASSES:
        raise NotExportable(f"counterexamples of more than {MAX_CLASSES} classes are not exported")

    def read(data: Any, name: str, rows: int, columns: int | None) -> Matrix:
        m = [fractions(row) for row in checker.matrix(data, name, rows, columns, checker.MAX_FACTOR_SIZE)]
        if len(m[0]) > MAX_CLASSES or any(max(x.numerator, x.denominator) >> MAX_BITS for row in m for x in row):
            raise NotExportable(f"factors wider than {MAX_CLASSES} or of more than {MAX_BITS} bits are not exported")
        return m

    if claim.architecture == "linear_deq":
        e_w, e_h, rho, e_a = (rational(claim.parameters[key], key) for key in ("E_W", "E_H", "rho", "E_A"))
        w_data, a_data, h_data = checker.fields(witness, "witness", "W", "A", "H")
        w = read(w_data, "W", k, None)
        d = len(w[0])
        a, h = read(a_data, "A", d, d), read(h_data, "H", d, k)
        yield frobenius(w, k * e_w)
        yield frobenius(h, k * e_h)
        yield frobenius(a, e_a)
        yield spectral_fact(a, rho)
        z_star = solve([[Fraction(int(i == j)) - a[i][j] for j in range(d)] for i in range(d)], h)
        yield from equations(z_star, a, z_star, h)  # z* = A z* + h
        logits = product(w, z_star)
        yield from equations(logits, w, z_star)
        capped = (k - 1) * rho**2 <= e_a
        growth = num((k - 1) * rho) if capped else root((k - 1) * e_a)
        yield fact(num((k - 1) * rho**2), "<=" if capped else ">=", num(e_a), EXACT)  # which of the two caps binds
        sigma = div(root(k * k * e_w * e_h), sub(num(k - 1), growth))
    else:
        budgets = [rational(c, "budgets") for c in claim.parameters["budgets"]]
        if len(budgets) > MAX_FACTORS:
            raise NotExportable(f"counterexamples of more than {MAX_FACTORS} factors are not exported")
        (data,) = checker.fields(witness, "witness", "factors")
        if not isinstance(data, list) or len(data) != len(budgets):
            raise checker.Reject(f"factors must be a list of {len(budgets)} matrices")
        logits, rows, size = [[Fraction(int(i == j)) for j in range(k)] for i in range(k)], k, Fraction(1)
        for i, (factor_data, budget) in enumerate(zip(data, budgets, strict=True)):
            factor = read(factor_data, "factors", rows, k if i == len(budgets) - 1 else None)
            yield frobenius(factor, budget)
            before, logits = logits, product(logits, factor)
            yield from equations(logits, before, factor)
            rows, size = len(factor[0]), size * budget
        sigma = root(size / Fraction(k - 1) ** len(budgets))
    risk = [
        call("ln", add("1", *(call("exp", num(logits[i][j] - logits[j][j])) for i in range(k) if i != j)))
        for j in range(k)
    ]
    etf = call("ln", add("1", mul(num(k - 1), call("exp", f"(- {sigma})"))))
    yield fact(add(div(add(*risk), num(k)), num(margin)), "<=", etf)


def residual_facts(claim: checker.Claim, witness: Any, margin: Fraction) -> Iterator[Fact]:
    """What the factors pay, with the margin, is below a rational, and that below every simplex ETF's objective.

    An ETF whose blocks have size t >= 0 has the singular value ``(lambda_A/l) t (1+t)^{L+1}`` K - 1 times, each at the
    price ``lambda_A (t + (L+2) t^2/2)``, with ``l = sqrt(n_1 lambda_W lambda_H)``; e^t for (1+t)^L at infinite depth.
    """
    k = claim.sizes[0]
    if k > MAX_RESIDUAL:
        raise NotExportable(f"counterexamples of more than {MAX_RESIDUAL} classes are not exported")
    by_w, by_h, dear = (rational(claim.parameters[key], key) for key in ("lambda_W", "lambda_H", "lambda_A"))
    by_h *= Fraction(str(claim.counts[0]))
    depth = None if claim.parameters["depth"] == "inf" else int(claim.parameters["depth"])
    w_data, block_data, h_data = checker.fields(witness, "witness", "W", "blocks", "H")
    w = [fractions(row) for row in checker.matrix(w_data, "W", k, None, MAX_RESIDUAL)]
    h = [fractions(row) for row in checker.matrix(h_data, "H", len(w[0]), k, MAX_RESIDUAL)]
    blocks = fractions(checker.vector(block_data, "blocks", len(h)))
    for block in blocks:
        yield fact(num(Fraction(-1)), "<", num(block), EXACT)

    def stretched(a: str) -> str:
        return call("exp", a) if depth is None else f"((1 + {a}) ^ {depth})"

    def margin_of(i: int, j: int) -> tuple[str, float]:
        """z_ij - z_jj, in Coq and about."""
        parts = [((w[i][r] - w[j][r]) * h[r][j], a) for r, a in enumerate(blocks)]
        about = sum(float(x) * (math.exp(a) if depth is None else (1 + float(a)) ** depth) for x, a in parts)
        return add(*(mul(num(x), stretched(num(a))) for x, a in parts if x)), about

    columns = [[margin_of(i, j) for i in range(k) if i != j] for j in range(k)]
    risk = [call("ln", add("1", *(call("exp", text) for text, _ in column))) for column in columns]
    paid = by_w / 2 * sum(x * x for row in w for x in row) + by_h / 2 * sum(x * x for row in h for x in row)
    paid += dear * (1 if depth is None else depth) / 2 * sum(a * a for a in blocks) + margin
    about = math.fsum(math.log1p(math.fsum(math.exp(x) for _, x in column)) for column in columns) / k + float(paid)
    between = Fraction(about) + Fraction(1, 10**13)
    yield fact(add(div(add(*risk), num(k)), num(paid)), "<=", num(between))
    growth = mul("t", stretched("t"), "1" if depth is None else "(1 + t)")
    size = mul(div(num(dear), root(by_w * by_h)), growth)
    bend = Fraction(1, 2) if depth is None else Fraction(depth + 2, 2)
    price = mul(num((k - 1) * dear), add("t", mul(num(bend), square("t"))))
    etf = add(call("ln", add("1", mul(num(k - 1), call("exp", f"(- {size})")))), price)
    top = Fraction(1, 1024)
    while (k - 1) * dear * (top + bend * top * top) <= between:
        top *= 2
    yield f"forall t : R, 0 <= t <= {num(top)} -> {num(between)} <= {etf}", BISECTED
    yield f"forall t : R, {num(top)} <= t -> {num(between)} < {price}", INTERVAL  # the risk is positive besides


def frobenius(m: Matrix, budget: Fraction) -> Fact:
    """``|m|_F^2 <= budget``."""
    return fact(add(*(square(num(x)) for row in m for x in row)), "<=", num(budget), EXACT)


def product(x: Matrix, y: Matrix) -> Matrix:
    """Matrix product."""
    columns = list(zip(*y, strict=True))
    return [[sum((a * b for a, b in zip(row, c, strict=True)), Fraction(0)) for c in columns] for row in x]


def equations(left: Matrix, x: Matrix, y: Matrix, shift: Matrix | None = None) -> Iterator[Fact]:
    """``left = x y (+ shift)``, entry by entry."""
    for i, row in enumerate(left):
        for j, entry in enumerate(row):
            terms = [mul(num(a), num(y[m][j])) for m, a in enumerate(x[i])]
            yield fact(num(entry), "=", add(*terms, *([num(shift[i][j])] if shift else [])), EXACT)


def spectral_fact(a: Matrix, rho: Fraction) -> Fact:
    """``|A x|^2 <= rho^2 |x|^2`` for all x: the difference is written as a sum of squares with nonnegative weights."""
    d = len(a)
    gram = [
        [rho**2 * (i == j) - sum((a[m][i] * a[m][j] for m in range(d)), Fraction(0)) for j in range(d)]
        for i in range(d)
    ]
    names = [f"x{i}" for i in range(d)]
    squares = []
    for i in range(d):  # symmetric elimination
        pivot = gram[i][i]
        if pivot < 0 or (pivot == 0 and any(gram[i][j] != 0 for j in range(i, d))):
            raise checker.Reject("|A|_2 exceeds rho")
        if pivot == 0:
            continue
        form = add(*(mul(num(gram[i][j] / pivot), names[j]) for j in range(i, d) if gram[i][j] != 0))
        squares.append(mul(num(pivot), square(form)))
        gram = [[gram[p][q] - gram[p][i] * gram[i][q] / pivot for q in range(d)] for p in range(d)]
    image = add(*(square(add(*(mul(num(x), name) for x, name in zip(row, names, strict=True)))) for row in a))
    whole = mul(num(rho**2), add(*(square(name) for name in names)))
    nonnegative = "".join(
        f" assert (0 <= {term}) by (apply Rmult_le_pos; [lra | apply pow2_ge_0])." for term in squares
    )
    goal = add(*squares) if squares else "0"
    tactic = f"intros.{nonnegative} assert ({whole} - {image} = {goal}) by field. lra."
    return f"forall {' '.join(names)} : R, {image} <= {whole}", tactic


def solve(m: Matrix, rhs: Matrix) -> Matrix:
    """Solution of a regular rational system, by elimination."""
    rows = [[*x, *y] for x, y in zip(m, rhs, strict=True)]
    d = len(rows)
    for i in range(d):
        pivot = next((p for p in range(i, d) if rows[p][i] != 0), None)
        if pivot is None:
            raise checker.Reject("I - A is singular")
        rows[i], rows[pivot] = rows[pivot], rows[i]
        rows[i] = [x / rows[i][i] for x in rows[i]]
        for p in range(d):
            if p != i:
                rows[p] = [x - rows[p][i] * y for x, y in zip(rows[p], rows[i], strict=True)]
    return [row[d:] for row in rows]


def uncollapsed_facts(claim: checker.Claim, witness: Any) -> Iterator[Fact]:
    """Exact logits e_k, budgets and distance of a certificate of an optimum that is not collapsed."""
    (distance,) = checker.fields(claim.statement, "statement", "distance_squared")
    w_data, classes = checker.fields(witness, "witness", "W", "features")
    counts = [n for k, n in zip(claim.sizes, fractions(claim.counts), strict=True) for _ in range(k)]
    if claim.loss != "mse" or claim.architecture != "layer_peeled" or not isinstance(classes, list):
        raise checker.Reject("uncollapsed optima are known for a layer_peeled model under mean squared error")
    if len(counts) > MAX_CLASSES or len(classes) != len(counts) or any(n.denominator > 1 or n > 8 for n in counts):
        raise NotExportable(f"at most {MAX_CLASSES} classes of 8 samples are exported")
    w = [fractions(row) for row in checker.matrix(w_data, "W", len(counts), None, checker.MAX_FACTOR_SIZE)]
    samples = [
        [fractions(h) for h in checker.matrix(rows, "features", int(n), len(w[0]), checker.MAX_FACTOR_SIZE)]
        for rows, n in zip(classes, counts, strict=True)
    ]
    for own, rows in enumerate(samples):
        logits = [[Fraction(int(i == own)) for _ in rows] for i in range(len(w))]
        yield from equations(logits, w, [list(column) for column in zip(*rows, strict=True)])
    e_w, e_h = (rational(claim.parameters[key], key) for key in ("E_W", "E_H"))
    yield frobenius(w, len(w) * e_w)
    spent = [div(add(*(square(num(x)) for h in rows for x in h)), num(len(rows))) for rows in samples]
    yield fact(add(*spent), "<=", num(len(w) * e_h), EXACT)
    pairs = [(g, h) for rows in samples for g in rows for h in rows]
    g, h = max(pairs, key=lambda pair: sum((x - y) ** 2 for x, y in zip(*pair, strict=True)))
    yield fact("0", "<", num(rational(distance, "distance_squared")), EXACT)
    apart = add(*(square(sub(num(x), num(y))) for x, y in zip(g, h, strict=True)))
    yield fact(num(rational(distance, "distance_squared")), "<=", apart, EXACT)


_FACTS = {
    "uncollapsed": uncollapsed_facts,
    "value": value_facts,
    "threshold": threshold_facts,
    "phase": phase_facts,
    "counterexample": counterexample_facts,
}


def main(arguments: Sequence[str]) -> int:
    """Check files with both kernels, or print their export; exit status 1 when a kernel refuses, 2 for wrong usage."""
    only_export = "--export" in arguments
    paths = [argument for argument in arguments if argument != "--export"]
    if not paths:
        print("usage: python -m proofs_check.coq [--export] FILE...", file=sys.stderr)
        return 2
    status = 0
    for path in paths:
        with open(path, "rb") as stream:
            data = stream.read(checker.MAX_BYTES + 1)
        if only_export:
            try:
                print(export(data), end="")
            except (checker.Reject, NotExportable) as problem:
                print(f"{path}: {problem}", file=sys.stderr)
                status = 1
            continue
        ball, coq = checker.check(data), check_with_coq(data)
        verdict = {True: "accepted", False: "REJECTED", None: "no verdict"}
        print(f"{path}\n  ball arithmetic: {verdict[ball.accepted]}: {ball.reason}")
        print(f"  coq: {verdict[coq.accepted]}: {coq.reason} ({coq.seconds:.1f} s)")
        status = max(status, int(not ball.accepted or coq.accepted is False))
    return status


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
