"""The nuclear norm is the price of a product: |Z|_* = min (|W|_F^2 + |H|_F^2)/2 over Z = W H, and as an SDP.

Setting. Z of rank r with singular values sigma_i, factors W (K x d) and H (d x K) with d >= r, weights lW, lH > 0.

Statement. min (lW/2)|W|_F^2 + (lH/2)|H|_F^2 = sqrt(lW lH) |Z|_*; Z = W H with |W|_F^2 <= c_W, |H|_F^2 <= c_H is
possible iff |Z|_* <= sqrt(c_W c_H), which is tau = K sqrt(E_W E_H) for the layer-peeled budgets c_W = K E_W, c_H = K
E_H; and |Z|_* = min (tr P + tr Q)/2 over [[P, Z], [Z^T, Q]] >= 0. The relaxations are tight, in both directions.

Source. Srebro, Rennie, Jaakkola 2004, Lemma 1; Fang et al. 2021, Section 3; Zhu et al. 2021, Lemma A.3.

Idea. Horn and Cauchy-Schwarz below, the singular value decomposition above, direction by direction.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from proofs_check.notation import say
from proofs_check.scope import LOSSES, Scope, hypotheses
from proofs_check.theorems._kernel import Proof, argue, at_least, holds, identity

ID = "nuclear-norm-factorisation"

lW, lH, w, h, sigma, K, E_W, E_H, total = sp.symbols("lambda_W lambda_H w h sigma K E_W E_H S", positive=True)
p, q, c = sp.symbols("p q c", positive=True)


#: What the theorem covers.
SCOPE = (Scope(tuple(LOSSES), ("layer-peeled", "weight-decay", "bias-decay"), dimension="rank"),)


def statements(
    *,
    strength: sp.Expr = sp.sqrt(lW * lH),
    radius: sp.Expr = K * sp.sqrt(E_W * E_H),
    trace_weight: sp.Expr = sp.Rational(1, 2),
    **_: Any,
) -> dict[str, str]:
    """What the theorem says, by part, with these pieces; see :func:`prove`."""
    return {
        "penalty": f"The least (λ_W/2)|W|_F² + (λ_H/2)|H|_F² over W H = Z is {say(strength)} |Z|_*.",
        "budgets": f"W H = Z with |W|_F² ≤ K E_W, |H|_F² ≤ K E_H is possible if and only if |Z|_* ≤ {say(radius)}.",
        "sdp": f"|Z|_* is the least {say(trace_weight)} (tr P + tr Q) over [[P, Z], [Zᵀ, Q]] ⪰ 0.",
    }


def prove(
    *,
    strength: sp.Expr = sp.sqrt(lW * lH),
    radius: sp.Expr = K * sp.sqrt(E_W * E_H),
    balance: sp.Expr = sp.sqrt(lH / lW),
    split: sp.Expr = sp.sqrt(E_W / E_H),
    trace_weight: sp.Expr = sp.Rational(1, 2),
    relation: str = ">=",
) -> Proof:
    """Prove the statement with these pieces.

    Args:
        strength: factor of the nuclear norm in the penalised problem.
        radius: radius of the nuclear-norm ball under the layer-peeled budgets.
        balance: ratio |W|^2 / |H|^2 of the optimal penalised factors.
        split: the same ratio under budgets.
        trace_weight: factor of tr P + tr Q in the SDP.
        relation: relation of the penalty of any factors to the penalised value.
    """
    slack = sp.Symbol("x", nonnegative=True)
    w_best, h_best = sp.sqrt(balance * sigma), sp.sqrt(sigma / balance)
    penalty = lW * w_best**2 / 2 + lH * h_best**2 / 2
    at_radius = {total: radius}
    roots = {sp.sqrt(lW): sp.Symbol("a", positive=True), sp.sqrt(lH): sp.Symbol("b", positive=True)}
    a, b = roots.values()
    per_direction = (lW * w**2 / 2 + lH * h**2 / 2 - strength * w * h).subs({lW: a**2, lH: b**2})
    steps = (
        identity(
            "lW w^2/2 + lH h^2/2 - strength w h is a square",
            per_direction,
            (a * w - b * h) ** 2 / 2,
            {a: at_least(1), b: at_least(1)},
        ),
        holds(
            "penalty of a direction against strength * w h, the difference being x^2/2 with x real",
            slack**2 / 2,
            relation,
            0,
            {slack: at_least(0)},
        ),
        identity("the balanced factors multiply to sigma", w_best * h_best, sigma),
        identity("the balanced factors cost strength * sigma", penalty, strength * sigma),
        # Budgets: w_i^2 = split * sigma_i, h_i^2 = sigma_i / split, summed over i with sum sigma_i = S = radius.
        identity("budgets: |W|_F^2 = K E_W at |Z|_* = radius", (split * total).subs(at_radius), K * E_W),
        identity("budgets: |H|_F^2 = K E_H at |Z|_* = radius", (total / split).subs(at_radius), K * E_H),
        identity("budgets: |W|_F |H|_F = radius", sp.sqrt(K * E_W) * sp.sqrt(K * E_H), radius),
        # SDP: [[p, sigma], [sigma, q]] >= 0 on each pair of singular vectors means p q = sigma^2 + c with c >= 0.
        identity(
            "SDP: (trace_weight (p + q))^2 - sigma^2 = trace_weight^2 (p - q)^2 + (p q - sigma^2)",
            (trace_weight * (p + q)) ** 2 - sigma**2,
            trace_weight**2 * (p - q) ** 2 + (p * q - sigma**2),
        ),
        holds("SDP: a square plus c is nonnegative", trace_weight**2 * (p - q) ** 2 + c, ">=", 0),
        identity("SDP: P = U S U^T, Q = V S V^T attain |Z|_*", trace_weight * (sigma + sigma), sigma),
    )
    return Proof(
        id=ID,
        statement=" ".join(statements(strength=strength, radius=radius, trace_weight=trace_weight).values()),
        source="Srebro, Rennie, Jaakkola 2004, Lemma 1; Fang et al. 2021, Section 3",
        hypotheses=hypotheses(SCOPE),
        steps=steps,
        arguments=(
            argue("Horn", "|Z|_* = sum sigma_i(WH) <= sum sigma_i(W) sigma_i(H)"),
            argue("Cauchy-Schwarz", "sum sigma_i(W) sigma_i(H) <= |W|_F |H|_F"),
            argue("von Neumann", "tr P >= sum u_i^T P u_i over orthonormal u_i for P >= 0, likewise Q"),
            argue("unitary invariance", "rotating the factors back to the singular vectors changes no norm"),
        ),
    )


MUTANTS: dict[str, dict[str, Any]] = {
    "strength lW lH": {"strength": lW * lH},
    "strength (lW + lH)/2": {"strength": (lW + lH) / 2},
    "radius sqrt(K E_W E_H)": {"radius": sp.sqrt(K * E_W * E_H)},
    "radius without the root": {"radius": K * E_W * E_H},
    "balance inverted": {"balance": sp.sqrt(lW / lH)},
    "budget split inverted": {"split": sp.sqrt(E_H / E_W)},
    "SDP without the half": {"trace_weight": sp.Integer(1)},
    "penalty below the nuclear norm": {"relation": "<="},
}
