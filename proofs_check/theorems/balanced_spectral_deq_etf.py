"""Balanced classes, linear equilibrium layer with |A|_2 <= rho: the simplex ETF is optimal.

Setting. The balanced problem of the layer-peeled model with logits W (I - A)^{-1} H, |A|_2 <= rho < 1.

Statement. The optimum is the ETF of size tau/((1-rho)(K-1)), with value
log(1 + (K-1) e^{-tau/((1-rho)(K-1))}), strictly below the explicit network's for rho > 0 at equal budgets.

Source. Sun, Shi 2024, the claim of neural collapse in balanced equilibrium models (spectral bound).

Idea. The attainable logits are the nuclear-norm ball of radius tau/(1-rho); then the layer-peeled certificate.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from proofs_check.notation import say
from proofs_check.scope import Scope, hypotheses
from proofs_check.theorems import balanced_layer_peeled_etf as explicit
from proofs_check.theorems._kernel import Proof, argue, at_least, between, monotone
from proofs_check.theorems.balanced_layer_peeled_etf import K, tau

ID = "balanced-spectral-deq-etf"

rho = sp.Symbol("rho", positive=True)
RADIUS = tau / (1 - rho)
VALUE = sp.log(1 + (K - 1) * sp.exp(-tau / ((1 - rho) * (K - 1))))


#: What the theorem covers.
SCOPE = (Scope(models=("spectral-deq",), groups=(1, 1), dimension="K - 1"),)


def statements(*, value: sp.Expr = VALUE, **_: Any) -> dict[str, str]:
    """What the theorem says, by part, with these pieces; see :func:`prove`."""
    return {
        "value": f"The minimum of the cross-entropy over W, A, H is {say(value)}, τ = K √(E_W E_H), attained by "
        f"equilibrium "
        "features (I − A)⁻¹ H and classifiers that form a simplex ETF and are self-dual.",
    }


def prove(*, value: sp.Expr = VALUE, radius: sp.Expr = RADIUS, direction: str = "decreasing") -> Proof:
    """Prove the statement with these pieces, expressions in K, tau and rho.

    Args:
        value: the optimal value.
        radius: radius of the ball of attainable logits.
        direction: how the value depends on rho.
    """
    domain = {rho: between(0, 1), K: at_least(2)}
    margin = RADIUS / (K - 1)
    multiplier = explicit.MULTIPLIER.subs(tau, RADIUS)
    x = sp.Symbol("x", positive=True)
    in_rho = sp.exp(-tau / ((1 - rho) * (K - 1)))
    steps = (
        *explicit.etf_certificate(radius, value, multiplier, margin, 1, "<", domain),
        monotone("the value in rho", VALUE, rho, direction, {**domain, x: between(0, 1)}, {in_rho: x}),
    )
    return Proof(
        id=ID,
        statement=" ".join(statements(value=value).values()),
        source="Sun, Shi 2024, balanced classes",
        hypotheses=hypotheses(SCOPE),
        steps=steps,
        arguments=(
            argue("gradient inequality", "f(Y) >= f(Z) + <G, Y - Z>, f convex in the logits"),
            argue("Hoelder", "<G, Y> >= -|G|_2 |Y|_* for attainable Y"),
        ),
        uses=("spectral-deq-gauge", "balanced-layer-peeled-etf"),
    )


MUTANTS: dict[str, dict[str, Any]] = {
    "rho for 1 - rho": {"value": sp.log(1 + (K - 1) * sp.exp(-tau / (rho * (K - 1))))},
    "1 + rho": {"value": sp.log(1 + (K - 1) * sp.exp(-tau / ((1 + rho) * (K - 1))))},
    "the explicit value": {"value": explicit.VALUE},
    "(1 - rho) in the numerator": {"value": sp.log(1 + (K - 1) * sp.exp(-tau * (1 - rho) / (K - 1)))},
    "radius tau": {"radius": tau},
    "rho hurts": {"direction": "increasing"},
}
