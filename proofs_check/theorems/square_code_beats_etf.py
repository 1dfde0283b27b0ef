"""Frobenius budget, balanced classes: the ETF is not optimal. The square code beats it at K = 4, tau = 4, E_A = 1/2.

Setting. Balanced cross-entropy with K = 4, Z = W (I - A)^{-1} H, |W|_F^2 <= 4, |H|_F^2 <= 4 (tau = 4), |A|_F^2 <= E_A
= 1/2, |A|_2 <= rho for any rho in [1/2, 1).

Statement. With U = [(1,0,-1,0), (0,1,0,-1)]^T/sqrt(2), d = 2: W = sqrt(2) U, H = sqrt(2) U^T, A = I/2 is feasible and
has risk log(1 + 2 e^{-2} + e^{-4}), strictly below log(1 + 3 e^{-4/(3 - sqrt(3/2))}), which no multiple of the ETF
can beat. So neural collapse is not optimal for balanced equilibrium models without a spectral bound: the claim needs
that hypothesis.

Source. Counterexample to Sun, Shi 2024 (balanced classes) taken without a bound on |A|_2; new here. Compare Garrod et
al. 2026 (softmax codes) for deep networks.

Idea. Explicit matrices; the gauge of three equal singular values s is (3 - sqrt(3 E_A)) s; two numbers between
rationals.
"""

from __future__ import annotations

from fractions import Fraction
from math import isqrt
from typing import Any

import sympy as sp

from proofs_check.notation import SIGNS, say
from proofs_check.scope import Scope, hypotheses
from proofs_check.theorems._kernel import Fact, Proof, Step, argue, compare, exp_bounds, holds, identity, monotone

ID = "square-code-beats-etf"

HALF = sp.Rational(1, 2)
SQUARE = sp.log(1 + 2 * sp.exp(-2) + sp.exp(-4))
ETF = sp.log(1 + 3 * sp.exp(-4 / (3 - sp.sqrt(sp.Rational(3, 2)))))

#: Denominator of the rational bounds of square roots.
DENOMINATOR = 10**20


def sqrt_bounds(q: Fraction) -> tuple[Fraction, Fraction]:
    """Rational ``lo <= sqrt(q) < hi`` for rational ``q >= 0``."""
    root = isqrt(q.numerator * DENOMINATOR**2 // q.denominator)
    return Fraction(root, DENOMINATOR), Fraction(root + 1, DENOMINATOR)


def _rational_gap(tau: sp.Rational, e_a: sp.Rational, relation: str) -> Step:
    """2 e^{-x} + e^{-2x} against 3 e^{-s}: rational bounds from the exponential series alone, no ball library."""
    t, e = Fraction(int(tau.p), int(tau.q)), Fraction(int(e_a.p), int(e_a.q))
    # Square code: singular values 2x twice, a = sqrt(e/2) each, (1 - a) 4 x = tau. ETF: (3 - sqrt(3 e)) s = tau.
    a_lo, a_hi = sqrt_bounds(e / 2)
    r_lo, r_hi = sqrt_bounds(3 * e)
    x_lo, x_hi = t / (4 * (1 - a_lo)), t / (4 * (1 - a_hi))
    s_lo, s_hi = t / (3 - r_lo), t / (3 - r_hi)
    square = (2 * exp_bounds(-x_hi)[0] + exp_bounds(-2 * x_hi)[0], 2 * exp_bounds(-x_lo)[1] + exp_bounds(-2 * x_lo)[1])
    etf = (3 * exp_bounds(-s_hi)[0], 3 * exp_bounds(-s_lo)[1])
    below, over = square[1] < etf[0], square[0] > etf[1]
    statement = "2 e^{-x} + e^{-2x} of the square code against 3 e^{-s} of the ETF, in rationals"
    x, s = tau / (4 * (1 - sp.sqrt(e_a / 2))), tau / (3 - sp.sqrt(3 * e_a))
    fact = Fact("relation", 2 * sp.exp(-x) + sp.exp(-2 * x), relation, 3 * sp.exp(-s), ())
    if not (below or over):
        return Step(statement, "rational", None, "the rational bounds overlap", fact=fact)
    return Step(
        statement,
        "rational",
        below if relation == "<" else over,
        f"square in [{float(square[0]):.12f}, {float(square[1]):.12f}], ETF in [{float(etf[0]):.12f}, "
        f"{float(etf[1]):.12f}]",
        fact=fact,
    )


#: Classes and the budgets of the counterexample: A is E_A times the identity of two features, so ρ is at least E_A.
K = 4
FOUR = sp.Integer(4)
SETTING = f"E_W = E_H = 1, E_A = {say(HALF)}, {say(HALF)} ≤ ρ < 1"

#: What the theorem covers.
SCOPE = (Scope(models=("frobenius-deq",), classes=(K, K), groups=(1, 1), dimension="K - 1", conditions=(SETTING,)),)


def statements(
    *,
    square: sp.Expr = SQUARE,
    etf: sp.Expr = ETF,
    relation: str = "<",
    e_a: sp.Rational = HALF,
    tau: sp.Rational = FOUR,
    **_: Any,
) -> dict[str, str]:
    """What the theorem says, by part, with these pieces; see :func:`prove`."""
    return {
        "risks": f"At K = {K}, τ = {say(tau)}, E_A = {say(e_a)} the square code has the risk {say(square)}, which is "
        f"{SIGNS[relation]} "
        f"{say(etf)}, the least risk of a multiple of the simplex ETF.",
    }


def prove(
    *,
    square: sp.Expr = SQUARE,
    etf: sp.Expr = ETF,
    relation: str = "<",
    e_a: sp.Rational = HALF,
    tau: sp.Rational = sp.Integer(4),
    equilibrium: sp.Rational = HALF,
) -> Proof:
    """Prove the statement with these pieces.

    Args:
        square: risk of the square code.
        etf: the least risk of a multiple of the ETF.
        relation: relation of the first to the second.
        e_a: Frobenius budget E_A.
        tau: budget of W and H, |W|_F^2 = |H|_F^2 = tau.
        equilibrium: A is this times the identity, d = 2.
    """
    u = sp.Matrix([[1, 0], [0, 1], [-1, 0], [0, -1]]) / sp.sqrt(2)
    w, h = sp.sqrt(tau / 2) * u, sp.sqrt(tau / 2) * u.T
    a = equilibrium * sp.eye(2)
    z = w * (sp.eye(2) - a).inv() * h
    column = [sp.exp(z[j, 0] - z[0, 0]) for j in range(K)]
    s, y = sp.symbols("s y", positive=True)
    norm_a = (a.T * a).trace()
    etf_gauge = 3 - sp.sqrt(3 * e_a)
    steps = (
        identity("|W|_F^2 = tau", (w.T * w).trace(), tau),
        identity("|H|_F^2 = tau", (h.T * h).trace(), tau),
        identity("|A|_F^2 = E_A", norm_a, e_a),
        holds("|A|_2 <= 1/2", equilibrium, "<=", HALF),
        *(
            identity(
                f"column {k} of Z is a permutation of column 0 with the same class on top",
                sum(sp.exp(z[j, k] - z[k, k]) for j in range(K)),
                sum(column),
            )
            for k in range(1, K)
        ),
        identity("risk of the square code", sp.log(sum(column)), square),
        identity(
            "ETF: the gauge (3 - sqrt(3 E_A)) s = tau gives the risk", sp.log(1 + 3 * sp.exp(-tau / etf_gauge)), etf
        ),
        holds(
            "its gauge factor is positive for E_A <= 1: 3 - sqrt(3) e, e = y/(1+y)",
            3 - sp.sqrt(3) * y / (1 + y),
            ">",
            0,
        ),
        monotone("risk log(1 + 3 e^{-s}) of the ETF of size s", sp.log(1 + 3 * sp.exp(-s)), s, "decreasing"),
        compare("the inequality, in ball arithmetic", square, relation, etf),
        _rational_gap(sp.sympify(tau), sp.sympify(e_a), relation),
        monotone("so log(1 + y) compares as y does", sp.log(1 + y), y, "increasing"),
    )
    return Proof(
        id=ID,
        statement=" ".join(statements(square=square, etf=etf, relation=relation, e_a=e_a, tau=tau).values()),
        source="counterexample; compare Sun, Shi 2024, balanced classes, and Garrod et al. 2026",
        hypotheses=hypotheses(SCOPE),
        steps=steps,
        arguments=(
            argue(
                "Cauchy-Schwarz",
                "<a, sigma> <= sqrt(E_A) |sigma|: for every rho the gauge of the ETF is at least "
                "(3 - sqrt(3 E_A)) s, so s <= tau/(3 - sqrt(3 E_A))",
            ),
        ),
        uses=("frobenius-gauge", "etf-gram"),
    )


MUTANTS: dict[str, dict[str, Any]] = {
    "the ETF is better": {"relation": ">"},
    "square code with e^{-2} once": {"square": sp.log(1 + sp.exp(-2) + sp.exp(-4))},
    "square code without the diagonal": {"square": sp.log(1 + 2 * sp.exp(-2))},
    "ETF under the spectral bound": {"etf": sp.log(1 + 3 * sp.exp(-sp.Rational(8, 3)))},
    "ETF with plus": {"etf": sp.log(1 + 3 * sp.exp(-4 / (3 + sp.sqrt(sp.Rational(3, 2)))))},
    "E_A = 1/4": {
        "e_a": sp.Rational(1, 4),
        "equilibrium": sp.sqrt(2) / 4,
        "square": sp.log(1 + 2 * sp.exp(-1 / (1 - sp.sqrt(2) / 4)) + sp.exp(-2 / (1 - sp.sqrt(2) / 4))),
        "etf": sp.log(1 + 3 * sp.exp(-4 / (3 - sp.sqrt(3) / 2))),
    },
    "A twice the budget": {"equilibrium": sp.sqrt(2) / 2},
    "tau = 2 with these values": {"tau": sp.Integer(2)},
}
