"""The minority-collapse threshold: one for each budget, an exact curve in an angle, strictly increasing in the budget.

Setting. Two groups, cross-entropy, budgets (omega = 1), K_A >= 1, K_B >= 2, K = K_A + K_B, a = sqrt(K_B/K),
b = sqrt(K_A/K), imbalance R = pi_A/pi_B, radius tau. Threshold: pi_B = mu, that is beta_B = 1 and beta_A = 1/R.

Statement. For every tau > 0 there is exactly one R*(tau) > 1 with pi_B = mu, and B is collapsed iff R >= R*(tau). The
curve is, for the angle theta in (0, arcsin b), c = cos theta, s = sin theta,

    v = K_B log( b(1 - b s)/(a^2 s) ),        d_A = log( a(1 - a c)/(b^2 c) ),
    s_A = (b/a) v c/s - K_A d_A,              T = b v/s,
    tau = (K_A - 1) s_A + T,                  R* = 1 + (1 - a c)(e^{s_A} - 1)/K_A,

and along it s_A, T, tau and R* decrease strictly in theta, from infinity to (0, 0, 0, 1): R* increases strictly in
tau. A linear equilibrium layer with |A|_2 <= rho has R*_DEQ(tau) = R*(tau/(1-rho)) > R*(tau).

Source. Fang et al. 2021, Theorem 5 (collapse as R -> infinity) and Fig. 3 (a finite threshold, observed); its existence
and uniqueness, the curve and the monotonicity are new here.

Idea. d/dtheta of s_A and T is a sum of negative terms once v > 0. In R, the factor (1 - a c)/K_A grows, but by less
than the share -K_A d_A of s_A lets e^{s_A} fall.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from proofs_check.notation import say
from proofs_check.scope import BUDGETS, Scope, hypotheses
from proofs_check.theorems._kernel import (
    Proof,
    above,
    argue,
    at_least,
    between,
    everywhere,
    holds,
    identity,
    limit,
    monotone,
    vanishing_start,
)

ID = "threshold-curve"

K_A, K_B = sp.symbols("K_A K_B", integer=True, positive=True)
K = K_A + K_B
a, b, c, s, E, v, tau, rho, y = sp.symbols("a b c s E v tau rho y", positive=True)
EXP_DA = a * (1 - a * c) / (b**2 * c)
EXP_DB = b * (1 - b * s) / (a**2 * s)
V = K_B * sp.log(EXP_DB)
SIZE = b / a * V * c / s - K_A * sp.log(EXP_DA)
TRIVIAL = b * V / s
QUOTIENT = (1 - a * c) / K_A
RATIO = 1 + QUOTIENT * (E - 1)


def along(function: sp.Expr) -> sp.Expr:
    """d/dtheta of a function of s = sin theta and c = cos theta."""
    return sp.diff(function, s) * c - sp.diff(function, c) * s


#: What the theorem covers.
SCOPE = (Scope(models=BUDGETS, groups=(2, 2), minority=2, dimension="K - 1"),)


def statements(
    *,
    size: sp.Expr = SIZE,
    trivial: sp.Expr = TRIVIAL,
    ratio: sp.Expr = RATIO,
    relation: str = "<",
    deq_radius: sp.Expr = tau / (1 - rho),
    **_: Any,
) -> dict[str, str]:
    """What the theorem says, by part, with these pieces; see :func:`prove`."""
    return {
        "threshold": "For every τ > 0 there is exactly one R*(τ) > 1 at which π_B = μ without A; there the minority is "
        "collapsed if and only if R ≥ R*(τ), "
        f"and R*(τ) {'increases' if relation == '<' else 'decreases'} strictly in τ.",
        "deq": f"The DEQ with |A|₂ ≤ ρ has R*_DEQ(τ, ρ) = R*({say(deq_radius)}) > R*(τ).",
        "curve": f"With a = √(K_B/K), b = √(K_A/K), c = cos θ, s = sin θ: s_A = {say(size)}, T = {say(trivial)}, τ = "
        f"(K_A − 1) s_A + T, "
        f"R* = {say(ratio)}, E = e^{{s_A}}.",
    }


def prove(
    *,
    exp_d_a: sp.Expr = EXP_DA,
    exp_d_b: sp.Expr = EXP_DB,
    size: sp.Expr = SIZE,
    trivial: sp.Expr = TRIVIAL,
    ratio: sp.Expr = RATIO,
    relation: str = "<",
    collapse_beyond: sp.Expr = 1 + sp.exp(2 * tau) / (K - 1),
    deq_radius: sp.Expr = tau / (1 - rho),
) -> Proof:
    """Prove the statement with these pieces.

    Args:
        exp_d_a: ``e^{d_A}`` on the curve.
        exp_d_b: ``e^{d_B}`` on the curve.
        size: s_A on the curve.
        trivial: T on the curve.
        ratio: R on the curve, with ``E = e^{s_A}``.
        relation: relation of the derivatives in theta of s_A, T and R to 0.
        collapse_beyond: an R from which on B is surely collapsed.
        deq_radius: radius of the nuclear-norm ball of the equilibrium layer.
    """
    classes = {K_A: at_least(1), K_B: at_least(2)}
    unit = {x: between(0, 1) for x in (a, b, c, s)}
    domain = {**classes, **unit, v: above(0), E: above(1)}
    alpha, gamma = sp.sqrt(K_B / K), sp.sqrt(K_A / K)
    sizes = {a: alpha, b: gamma}
    # Columns at beta_B = 1, beta_A = 1/ratio, from the closed dual form.
    r_a, q_a = c / sp.sqrt(K * K_B) / ratio, (1 - a * c) / K_A / ratio
    p_a = 1 - (K_A - 1 + a * c) / K_A / ratio
    r_b = s / sp.sqrt(K * K_A)
    q_b = (1 - K_A * r_b) / K_B
    log_v = {sp.log(exp_d_b): v / K_B, sp.log(exp_d_a): sp.Symbol("d_A", real=True)}
    d_size = along(size).subs(log_v)
    d_trivial = along(trivial).subs(log_v)
    steepest = -K_A * s / (c * (1 - a * c))  # -K_A dd_A/dtheta
    d_quotient = a * s / K_A
    start = sp.log(1 + y) - y / (1 + y)
    risk_left = (K - 1) * sp.exp(-2 * tau) / (1 + (K - 1) * sp.exp(-2 * tau))
    steps = (
        identity("e^{d_A} = q_A/r_A, in which R cancels", (q_a / r_a).subs(sizes), exp_d_a.subs(sizes), domain),
        identity("e^{d_B} = q_B/r_B for the collapsed B", q_b / r_b, exp_d_b.subs(sizes), domain),
        identity("e^{s_A} = p_A/q_A gives R", p_a - E * q_a, 0, domain),
        identity(
            "consistency sqrt(K_B) u s = sqrt(K_A) v c, with u = s_A + K_A d_A",
            (a * (size + K_A * sp.log(exp_d_a)) * s).subs(log_v),
            b * v * c,
            {**unit, sp.Symbol("d_A", real=True): everywhere()},
        ),
        identity("T from sin = sqrt(K_A/K) v/T", (b * v / trivial).subs(log_v), s, domain),
        identity(
            "d_B > 0 iff s < b: b(1 - b s) - a^2 s = b - s",
            (b * (1 - b * s) - a**2 * s).subs(a, sp.sqrt(1 - b**2)),
            b - s,
            unit,
        ),
        identity("end s = b, c = a: e^{d_B} = 1", exp_d_b.subs(s, b).subs(a, sp.sqrt(1 - b**2)), 1, unit),
        identity("end s = b, c = a: e^{d_A} = 1", exp_d_a.subs(c, a).subs(b, sp.sqrt(1 - a**2)), 1, unit),
        identity("end: s_A = 0 for v = d_A = 0", size.subs(log_v).subs({v: 0, sp.Symbol("d_A", real=True): 0}), 0),
        identity("end: R = 1 at s_A = 0", ratio.subs(E, 1), 1, domain),
        holds("R > 1 where s_A > 0", ratio, ">", 1, domain),
        identity("dd_A/dtheta = s/(c (1 - a c))", along(sp.log(exp_d_a)), s / (c * (1 - a * c)), domain),
        identity(
            "dv/dtheta = -K_B c/(s (1 - b s))", along(K_B * sp.log(exp_d_b)), -K_B * c / (s * (1 - b * s)), domain
        ),
        holds("ds_A/dtheta against 0", d_size, relation, 0, domain),
        holds("dT/dtheta against 0", d_trivial, relation, 0, domain),
        holds("ds_A/dtheta < -K_A dd_A/dtheta", d_size - steepest, "<", 0, domain),
        identity("d/dtheta of (1 - a c)/K_A", along(QUOTIENT), d_quotient, domain),
        identity(
            "dR/dtheta by the chain rule, dE/dtheta = E ds_A/dtheta",
            along(ratio) + sp.diff(ratio, E) * E * steepest,
            d_quotient * (E - 1) + QUOTIENT * E * steepest,
            domain,
        ),
        holds(
            "dR/dtheta, with ds_A/dtheta replaced by its larger bound, against 0",
            d_quotient * (E - 1) + QUOTIENT * E * steepest,
            relation,
            0,
            domain,
        ),
        *vanishing_start("log(1 + y) > y/(1 + y)", start, y, 0),
        limit(
            "T >= (b K_B/s)(1 - e^{-d_B}) -> infinity as s -> 0: its reciprocal -> 0",
            s / (b * K_B * (1 - 1 / exp_d_b)),
            s,
            0,
            0,
        ),
        # Every margin is at most 2 |Z|_2 <= 2 tau, so a class of A is missed with probability at least risk_left.
        holds("pi_A (missed share of A) >= pi_B from this R on", collapse_beyond * risk_left, ">=", 1, classes),
        monotone(
            "missed share (K-1) e/(1 + (K-1) e) increases in e",
            (K - 1) * y / (1 + (K - 1) * y),
            y,
            "increasing",
            {**classes, y: above(0)},
        ),
        identity("radius of the equilibrium layer", deq_radius * (1 - rho), tau, {rho: between(0, 1)}),
        holds("which exceeds tau", deq_radius, ">", tau, {rho: between(0, 1)}),
    )
    return Proof(
        id=ID,
        statement=" ".join(
            statements(size=size, trivial=trivial, ratio=ratio, relation=relation, deq_radius=deq_radius).values()
        ),
        source="Fang et al. 2021, Theorem 5 and Fig. 3",
        hypotheses=hypotheses(SCOPE),
        steps=steps,
        arguments=(
            argue(
                "mean value theorem",
                "negative derivatives make s_A, T, tau, R strictly decreasing in theta (strictly "
                "increasing in one another): at most one R* for each tau",
            ),
            argue(
                "intermediate value theorem", "tau runs over (0, oo) as theta does over (0, arcsin b): exactly one R*"
            ),
            argue(
                "Berge",
                "centred optimal logits are unique (diag p - p p^T has kernel 1 only), so mu and pi_B are continuous "
                "in R; they differ at every R but R*: pi_B > mu at R = 1 (balanced), pi_B <= mu for large R",
            ),
            argue("Hoelder", "mu = |G|_2 >= |G_11| = pi_A (1 - p_A), and |Z_ij| <= |Z|_2 <= tau"),
        ),
        uses=("two-group-dual", "collapse-phases", "balanced-layer-peeled-etf", "spectral-deq-gauge"),
    )


MUTANTS: dict[str, dict[str, Any]] = {
    "a and b exchanged in e^{d_A}": {"exp_d_a": b * (1 - a * c) / (a**2 * c)},
    "plus in e^{d_B}": {"exp_d_b": b * (1 + b * s) / (a**2 * s)},
    "a/b for b/a in s_A": {"size": a / b * V * c / s - K_A * sp.log(EXP_DA)},
    "K_B d_A in s_A": {"size": b / a * V * c / s - K_B * sp.log(EXP_DA)},
    "s_A with the sign of d_A": {"size": b / a * V * c / s + K_A * sp.log(EXP_DA)},
    "T = a v/s": {"trivial": a * V / s},
    "T = b v/c": {"trivial": b * V / c},
    "R without the minus one": {"ratio": 1 + QUOTIENT * E},
    "R over K_B": {"ratio": 1 + (1 - a * c) / K_B * (E - 1)},
    "R decreasing in tau": {"relation": ">"},
    "collapse beyond e^{2 tau/K^2}": {"collapse_beyond": 1 + sp.exp(2 * tau / K**2) / (K - 1)},
    "rho for 1 - rho": {"deq_radius": tau / rho},
    "the DEQ's threshold is smaller": {"deq_radius": tau * (1 - rho)},
}
