"""A linear equilibrium layer with a spectral bound is a layer-peeled model of radius tau/(1 - rho).

Setting. z* = A z* + h with |A|_2 <= rho < 1, so Z = W (I - A)^{-1} H, with |W|_F^2 <= K E_W, |H|_F^2 <= K E_H,
tau = K sqrt(E_W E_H).

Statement. Z is attainable iff (1 - rho) |Z|_* <= tau. Along a singular direction of size s the cheapest product of
|w| |h| is min over 0 <= a <= rho of (1 - a) s = (1 - rho) s.

Source. Linear case of the equilibrium models of Bai et al. 2019 and Winston, Kolter 2020; the radius is the statement
that the comparison of Sun, Shi 2024 with explicit networks reduces to.

Idea. Below: |Z|_* <= |W|_F |(I - A)^{-1}|_2 |H|_F and the Neumann series. Above: A = rho times the projection on the
row space of W, factors from the singular value decomposition.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from proofs_check.notation import say
from proofs_check.scope import LOSSES, Scope, hypotheses
from proofs_check.theorems._kernel import Proof, argue, at_least, between, holds, identity, monotone

ID = "spectral-deq-gauge"

rho, a, s, K, E_W, E_H, tau, total = sp.symbols("rho a s K E_W E_H tau S", positive=True)
m = sp.Symbol("m", integer=True, positive=True)


#: What the theorem covers.
SCOPE = (Scope(tuple(LOSSES), ("spectral-deq",), dimension="rank"),)


def statements(*, shrink: sp.Expr = 1 - rho, radius: sp.Expr = tau / (1 - rho), **_: Any) -> dict[str, str]:
    """What the theorem says, by part, with these pieces; see :func:`prove`."""
    return {
        "gauge": f"The logits W (I − A)⁻¹ H of the DEQ are exactly those with ({say(shrink)}) |Z|_* ≤ τ, that is "
        f"|Z|_* ≤ {say(radius)}, "
        "τ = K √(E_W E_H).",
    }


def prove(
    *,
    shrink: sp.Expr = 1 - rho,
    radius: sp.Expr = tau / (1 - rho),
    direction: str = "decreasing",
    equilibrium: sp.Expr = rho,
    relation: str = "<",
) -> Proof:
    """Prove the statement with these pieces.

    Args:
        shrink: factor of |Z|_* in the constraint.
        radius: bound on |Z|_*.
        direction: how ``(1 - a) s`` depends on a.
        equilibrium: singular value of A on the directions used.
        relation: relation of the partial Neumann sums to their limit.
    """
    domain = {rho: between(0, 1), a: between(0, 1), m: at_least(1)}
    power, partial = sp.Symbol("y", positive=True), (1 - rho**m) / (1 - rho)
    split = sp.sqrt(E_W / E_H)
    w, h = sp.sqrt(split * shrink * s), sp.sqrt(shrink * s / split)
    budget = {total: K * sp.sqrt(E_W * E_H) / shrink}
    steps = (
        identity("one more term: S_m + rho^m = S_{m+1}", partial + rho**m, partial.subs(m, m + 1), domain),
        identity("one term: S_1 = 1", partial.subs(m, 1), 1, domain),
        holds(
            "partial sums (1 - y)/(1 - rho), 0 < y = rho^m < 1, against 1/(1 - rho)",
            (1 - power) / (1 - rho),
            relation,
            1 / (1 - rho),
            {**domain, power: between(0, 1)},
        ),
        identity("so |Z|_* <= tau/(1 - rho) reads shrink * |Z|_* <= tau", shrink * (tau / (1 - rho)), tau, domain),
        identity("radius", shrink * radius, tau, domain),
        monotone("(1 - a) s in a", (1 - a) * s, a, direction, domain),
        identity("its value at a = rho is shrink * s", ((1 - a) * s).subs(a, rho), shrink * s, domain),
        identity("the factors give the direction: w h/(1 - a) = s", w * h / (1 - equilibrium), s, domain),
        identity("|W|_F^2 = K E_W when shrink |Z|_* = tau", (split * shrink * total).subs(budget), K * E_W, domain),
        identity("|H|_F^2 = K E_H when shrink |Z|_* = tau", (shrink * total / split).subs(budget), K * E_H, domain),
        holds("the singular value of A respects the bound", equilibrium, "<=", rho, domain),
    )
    return Proof(
        id=ID,
        statement=" ".join(statements(shrink=shrink, radius=radius).values()),
        source="Sun, Shi 2024, setting of the linear equilibrium model; Bai et al. 2019",
        hypotheses=hypotheses(SCOPE),
        steps=steps,
        arguments=(
            argue("Neumann series", "|(I - A)^{-1}|_2 <= 1/(1 - rho) as the limit of the partial sums"),
            argue("Hoelder", "|W (I - A)^{-1} H|_* <= |W|_F |(I - A)^{-1}|_2 |H|_F <= tau/(1 - rho)"),
            argue(
                "unitary invariance", "W = U w Q^T, A = rho Q Q^T, H = Q h V^T with Z = U S V^T, direction by direction"
            ),
        ),
    )


MUTANTS: dict[str, dict[str, Any]] = {
    "rho for 1 - rho": {"shrink": rho},
    "1 + rho for 1 - rho": {"shrink": 1 + rho},
    "radius tau/rho": {"radius": tau / rho},
    "radius tau (1 - rho)": {"radius": tau * (1 - rho)},
    "cost grows with a": {"direction": "increasing"},
    "A at 0": {"equilibrium": sp.Integer(0)},
    "A beyond the bound": {"equilibrium": 2 * rho},
    "partial sums above their limit": {"relation": ">"},
}
