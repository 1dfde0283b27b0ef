"""Balanced classes, layer-peeled model: the simplex ETF is optimal, with a matching dual certificate.

Setting. Minimise f(Z) = (1/K) sum_k [logsumexp(Z[:,k]) - Z_kk] subject to |Z|_* <= tau.

Statement. Z = (tau/(K-1)) (I - 11^T/K) is optimal, min f = log(1 + (K-1) e^{-tau/(K-1)}), G = grad f(Z) is
-q (I - 11^T/K) with q the probability of a wrong class, the multiplier is |G|_2 = q = -d(min f)/d tau, and the
Frank-Wolfe gap <G, Z> + tau |G|_2 is exactly 0.

Source. Fang et al. 2021, Theorem 1; Zhu et al. 2021, Theorem 3.1; Papyan, Han, Donoho 2020.

Idea. For every feasible Y, f(Y) >= f(Z) + <G, Y - Z> >= f(Z) - (<G, Z> + tau |G|_2), and the bracket vanishes.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from proofs_check.notation import say
from proofs_check.scope import Scope, hypotheses
from proofs_check.theorems._kernel import GroupMatrix, Proof, Step, argue, at_least, equal_entries, holds, identity

ID = "balanced-layer-peeled-etf"

K = sp.Symbol("K", integer=True, positive=True)
tau = sp.Symbol("tau", positive=True)
MARGIN = tau / (K - 1)
VALUE = sp.log(1 + (K - 1) * sp.exp(-MARGIN))
MULTIPLIER = sp.exp(-MARGIN) / (1 + (K - 1) * sp.exp(-MARGIN))


#: What the theorem covers.
SCOPE = (Scope(groups=(1, 1), dimension="K - 1"),)


def statements(*, value: sp.Expr = VALUE, margin: sp.Expr = MARGIN, **_: Any) -> dict[str, str]:
    """What the theorem says, by part, with these pieces; see :func:`prove`."""
    return {
        "value": f"The minimum of the cross-entropy over |Z|_* ≤ τ, τ = K √(E_W E_H), is {say(value)}, attained at "
        f"Z = s (I − 11ᵀ/K) with s = {say(margin)}, by class means and classifiers that form a simplex ETF and are "
        f"self-dual.",
    }


def prove(
    *,
    value: sp.Expr = VALUE,
    multiplier: sp.Expr = MULTIPLIER,
    margin: sp.Expr = MARGIN,
    gap_sign: int = 1,
    relation: str = "<",
) -> Proof:
    """Prove the statement with these pieces, expressions in K and tau.

    Args:
        value: the optimal value.
        multiplier: the multiplier of the constraint.
        margin: size s of the optimal logits ``s (I - 11^T/K)``.
        gap_sign: sign of ``tau |G|_2`` in the Frank-Wolfe gap.
        relation: relation of the multiplier to the prior 1/K: below it, no class collapses.
    """
    return Proof(
        id=ID,
        statement=" ".join(statements(value=value, margin=margin).values()),
        source="Fang et al. 2021, Theorem 1; Zhu et al. 2021, Theorem 3.1",
        hypotheses=hypotheses(SCOPE),
        steps=etf_certificate(tau, value, multiplier, margin, gap_sign, relation),
        arguments=(
            argue("gradient inequality", "f(Y) >= f(Z) + <G, Y - Z>, f convex in the logits"),
            argue("Hoelder", "<G, Y> >= -|G|_2 |Y|_* >= -tau |G|_2 for feasible Y"),
        ),
        uses=("etf-gram", "ce-convex", "nuclear-norm-factorisation", "within-class-collapse"),
    )


def etf_certificate(
    radius: sp.Expr,
    value: sp.Expr,
    multiplier: sp.Expr,
    margin: sp.Expr,
    gap_sign: int,
    relation: str,
    domain: Any = None,
) -> tuple[Step, ...]:
    """Feasibility, value, gradient, gap and multiplier of ``margin (I - 11^T/K)`` in the ball of this radius."""
    domain = {K: at_least(2), **(domain or {})}
    logits = GroupMatrix.of([K], [margin], [[-margin / K]])
    right, wrong = logits.entry(0, 0, same=True), logits.entry(0, 0)
    total = sp.exp(right) + (K - 1) * sp.exp(wrong)
    # Softmax after shifting the column by its largest entry, which changes no probability.
    p_right = 1 / (1 + (K - 1) * sp.exp(-margin))
    p_wrong = sp.exp(-margin) * p_right
    # G = (softmax(Z[:,k]) - e_k)/K: off-diagonal p_wrong/K, on the diagonal (p_right - 1)/K.
    gradient = GroupMatrix.of([K], [(p_right - 1 - p_wrong) / K], [[p_wrong / K]])
    projection = GroupMatrix.of([K], [1], [[-1 / K]])
    x = sp.Symbol("x", positive=True)
    return (
        identity("feasible with equality: (K-1) margin = radius", (K - 1) * margin, radius, domain),
        identity("probability of the right class", p_right, sp.exp(right) / total, domain),
        identity("f at the ETF is -log of it", sp.log(1 / p_right), value, domain),
        *equal_entries("G = -multiplier (I - 11^T/K)", gradient, projection.times(-multiplier), domain),
        identity("G 1 = 0", gradient.trivial_block[0, 0], 0, domain),
        identity(
            "Frank-Wolfe gap <G, Z> + radius |G|_2, |G|_2 = -(coefficient of G)",
            (gradient.T @ logits).trace + gap_sign * radius * -gradient.s[0],
            0,
            domain,
        ),
        identity("multiplier = -d value / d radius", -sp.diff(value, tau) / sp.diff(radius, tau), multiplier, domain),
        # With x = e^{-margin} in (0, 1): q = x/(1 + (K-1) x) and 1/K - q = (1 - x)/(K (1 + (K-1) x)).
        identity(
            "the multiplier is x/(1 + (K-1) x) at x = e^{-margin}",
            (x / (1 + (K - 1) * x)).subs(x, sp.exp(-margin)),
            multiplier,
            domain,
        ),
        holds(
            "multiplier against 1/K, with x = 1/(1 + y), y > 0",
            (x / (1 + (K - 1) * x)).subs(x, 1 / (1 + x)),
            relation,
            1 / K,
            domain,
        ),
    )


MUTANTS: dict[str, dict[str, Any]] = {
    "K for K - 1 in front": {"value": sp.log(1 + K * sp.exp(-MARGIN))},
    "K for K - 1 in the exponent": {"value": sp.log(1 + (K - 1) * sp.exp(-tau / K))},
    "sign of the exponent": {"value": sp.log(1 + (K - 1) * sp.exp(MARGIN))},
    "K tau/(K-1), the unscaled ETF": {"value": sp.log(1 + (K - 1) * sp.exp(-K * tau / (K - 1)))},
    "margin tau/K": {"margin": tau / K},
    "multiplier of the right class": {"multiplier": 1 / (1 + (K - 1) * sp.exp(-MARGIN))},
    "gap with the wrong sign": {"gap_sign": -1},
    "balanced classes collapse": {"relation": ">="},
}
