"""Residual depth with weight decay: where a collapsed group stops being a local minimum does not depend on the depth.

Setting. Z = W (I + A_L) ... (I + A_1) H, weight decay, lambda = sqrt(lambda_W lambda_H). Group b: K_b >= 2 classes of
n_b samples each, N in all. At collapsed logits its rows are equal, and so are its columns.

Statement. Collapsed logits are no local minimum if n_b > N^2 lambda^2. If n_b < N^2 lambda^2, they are left with a
loss to first order along every E != 0 on the standard representation of the group, whatever L and lambda_A are.

Source. New here; for plain depth a vanishing direction is a local minimum at every ratio (deep-collapse-stable).

Idea. There the gradient is -pi_b times the identity, pi_b = n_b/N, and the price of t E is t lambda sqrt(n_b) |E|_* to
first order: g has the slope lambda at 0 at every depth.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from proofs_check.notation import SIGNS, say
from proofs_check.scope import Scope, hypotheses
from proofs_check.theorems import residual_price
from proofs_check.theorems._kernel import Proof, argue, at_least, between, holds, identity

ID = "residual-collapse"

n, N, lam, lA, L, a, x, t = sp.symbols("n_b N lambda lambda_A L a x t", positive=True)
K = sp.Symbol("K_b", positive=True)
THRESHOLD = N**2 * lam**2

#: What the theorem covers.
SCOPE = (Scope(("ce",), ("residual-decay",), minority=2, dimension="K - 1"),)


def statements(*, threshold: sp.Expr = THRESHOLD, relation: str = ">", **_: Any) -> dict[str, str]:
    """What the theorem says, by part, with these pieces; see :func:`prove`."""
    other = {">": "<", "<": ">"}[relation]
    return {
        "local": f"At every depth L and every λ_A: logits at which a group of K_b ≥ 2 classes is "
        f"collapsed (its rows are equal, and its columns) are no "
        f"local minimum if "
        f"n_b {SIGNS[relation]} {say(threshold)}, λ = √(λ_W λ_H); if n_b {SIGNS[other]} {say(threshold)} the objective "
        "grows, to first order, along every direction on the standard representation of the group.",
    }


def prove(
    *,
    threshold: sp.Expr = THRESHOLD,
    relation: str = ">",
    price: sp.Expr = lam * sp.sqrt(n),
    gain: sp.Expr = n / N,
) -> Proof:
    """Prove the statement with these pieces.

    Args:
        threshold: n_b at which the first order vanishes.
        relation: of n_b to it where collapsed logits are left.
        price: slope of the price along a unit direction.
        gain: slope of the risk.
    """
    deep = {L: at_least(1)}
    slope, size = residual_price.SLOPE, residual_price.SIZE
    first = price - gain
    p = sp.Symbol("p", positive=True)
    steps = (
        # columns of the group: probability p of each of its classes, 1 - (K_b - 1) p - rest of the true one at collapse
        identity("gradient on the standard representation: (p - 1 - p) n_b/N", (p - 1 - p) * n / N, -gain),
        identity("slope of the price at a = 0, size 0, times sqrt(n_b)", slope.subs(a, 0) * sp.sqrt(n), price, deep),
        identity("size at a = 0", size.subs(a, 0), 0, deep),
        identity("first order at the threshold", first.subs(n, threshold), 0),
        identity("first order: (sqrt(n_b)/N)(N lambda - sqrt(n_b))", first, sp.sqrt(n) / N * (N * lam - sp.sqrt(n))),
        holds(
            "its sign beyond the threshold, sqrt(n_b) = N lambda + x",
            N * lam - (N * lam + x),
            {">": "<", "<": ">"}[relation],
            0,
        ),
        holds("and below it, N lambda = sqrt(n_b) + x", (x + t) - t, {">": ">", "<": "<"}[relation], 0),
        holds(
            "any direction: price - gain times a trace of at most its nuclear norm",
            lam * t - x * t * lam,
            ">=",
            0,
            {x: between(0, 1)},
        ),
    )
    return Proof(
        id=ID,
        statement=" ".join(statements(threshold=threshold, relation=relation).values()),
        source="new; linear residual networks with weight decay",
        hypotheses=hypotheses(SCOPE),
        steps=steps,
        arguments=(
            argue(
                "von Neumann",
                "|tr E| <= |E|_*: the first order along E is at least (lambda sqrt(n_b) - n_b/N)|E|_*, equal for "
                "E >= 0",
            ),
            argue(
                "unitary invariance",
                "the group's standard representation lies in the kernel of collapsed logits, on both sides: "
                "singular values add",
            ),
        ),
        uses=("residual-price", "symmetry-reduction"),
    )


MUTANTS: dict[str, dict[str, Any]] = {
    "threshold N lambda^2": {"threshold": N * lam**2},
    "threshold falls with lambda": {"threshold": N**2 / lam**2},
    "left below the threshold": {"relation": "<"},
    "price without the counts": {"price": lam},
    "gain 1/N": {"gain": 1 / N},
}
