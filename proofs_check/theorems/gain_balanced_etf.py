"""Balanced classes and maps of gain g(rho): the simplex ETF is optimal, at the radius g(rho) tau.

Setting. Balanced cross-entropy, Z = W g(A) H, budgets E_W, E_H, |A|_2 <= rho, tau = K sqrt(E_W E_H); g as in
gain-gauge.

Statement. The least cross-entropy is log(1 + (K-1) e^{-g(rho) tau/(K-1)}), attained by a simplex ETF of size g(rho)
tau/ (K-1), self-dual. It falls as g(rho) grows.

Source. Generalises balanced-spectral-deq-etf.

Idea. The attainable logits are a ball of the nuclear norm; the layer-peeled certificate at its radius.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from proofs_check.notation import say
from proofs_check.scope import Scope, hypotheses
from proofs_check.theorems import balanced_layer_peeled_etf as explicit
from proofs_check.theorems._kernel import Proof, above, argue, at_least, between, monotone
from proofs_check.theorems.balanced_layer_peeled_etf import K, tau

ID = "gain-balanced-etf"

g = sp.Symbol("g", positive=True)
VALUE = sp.log(1 + (K - 1) * sp.exp(-g * tau / (K - 1)))

#: What the theorem covers.
SCOPE = (Scope(models=("gain",), groups=(1, 1), dimension="K - 1"),)


def statements(*, value: sp.Expr = VALUE, direction: str = "decreasing", **_: Any) -> dict[str, str]:
    """What the theorem says, by part, with these pieces; see :func:`prove`."""
    word = "falls" if direction == "decreasing" else "grows"
    shown = say(value.subs(g, sp.Symbol("G", positive=True)))
    return {
        "value": f"With the gain G = g(ρ), the minimum of the cross-entropy over W, A, H is {shown}, τ = K √(E_W "
        f"E_H), attained by "
        f"features g(A) H and classifiers that form a simplex ETF and are self-dual; it {word} as G grows.",
    }


def prove(*, value: sp.Expr = VALUE, radius: sp.Expr = g * tau, direction: str = "decreasing") -> Proof:
    """Prove the statement with these pieces.

    Args:
        value: the optimal value, in K, tau and g.
        radius: of the ball of attainable logits.
        direction: how the value depends on the gain.
    """
    domain = {g: above(0), K: at_least(2)}
    multiplier = explicit.MULTIPLIER.subs(tau, g * tau)
    x = sp.Symbol("x", positive=True)
    steps = (
        *explicit.etf_certificate(radius, value, multiplier, g * tau / (K - 1), 1, "<", domain),
        monotone(
            "the value in the gain", VALUE, g, direction, {**domain, x: between(0, 1)}, {sp.exp(-g * tau / (K - 1)): x}
        ),
    )
    return Proof(
        id=ID,
        statement=" ".join(statements(value=value, direction=direction).values()),
        source="generalises the balanced linear equilibrium layer",
        hypotheses=hypotheses(SCOPE),
        steps=steps,
        arguments=(
            argue("gradient inequality", "f(Y) >= f(Z) + <G, Y - Z>, f convex in the logits"),
            argue("Hoelder", "<G, Y> >= -|G|_2 |Y|_* for attainable Y"),
        ),
        uses=("gain-gauge", "balanced-layer-peeled-etf"),
    )


MUTANTS: dict[str, dict[str, Any]] = {
    "tau/g": {"value": sp.log(1 + (K - 1) * sp.exp(-tau / (g * (K - 1))))},
    "the explicit value": {"value": explicit.VALUE},
    "g^2": {"value": sp.log(1 + (K - 1) * sp.exp(-(g**2) * tau / (K - 1)))},
    "radius tau": {"radius": tau},
    "gain hurts": {"direction": "increasing"},
}
