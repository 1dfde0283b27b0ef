"""The optimal cross-entropy falls strictly as the radius of the nuclear-norm ball grows.

Setting. V(tau) = min of f(Z) over |Z|_* <= tau with the cross-entropy f(Z) = sum_k pi_k l_k(Z[:, k]), pi_k > 0.

Statement. V(tau') < V(tau) for tau' > tau > 0: the constraint is active at every optimum and the multiplier positive.

Source. Standard; used by Fang et al. 2021 to take the budgets as met with equality.

Idea. If V(tau') = V(tau), an optimum of the smaller ball is optimal in the larger one, in whose interior it lies; then
the gradient vanishes there, but its entry (k, k) is pi_k (p_k - 1) < 0.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from proofs_check.notation import say
from proofs_check.scope import BUDGETS, Scope, hypotheses
from proofs_check.theorems._kernel import Proof, above, argue, holds, identity

ID = "loss-decreases"

x, pi, tau, growth = sp.symbols("x pi tau delta", positive=True)


#: What the theorem covers.
SCOPE = (Scope(models=BUDGETS, dimension="K - 1"),)


def statements(*, radius: sp.Expr = tau + growth, relation: str = "<", **_: Any) -> dict[str, str]:
    """What the theorem says, by part, with these pieces; see :func:`prove`."""
    return {
        "loss": f"The minimum of the cross-entropy over |Z|_* ≤ {say(radius)}, δ > 0, lies strictly below its "
        f"minimum over |Z|_* ≤ τ.",
    }


def prove(*, relation: str = "<", radius: sp.Expr = tau + growth, others: sp.Expr = x) -> Proof:
    """Prove the statement with these pieces.

    Args:
        relation: relation of the diagonal entries of the gradient to 0.
        radius: the second radius tau', in terms of tau and delta > 0.
        others: ``sum_{j != k} e^{z_j - z_k}``, in terms of x > 0.
    """
    domain = {x: above(0), pi: above(0), tau: above(0), growth: above(0)}
    p = 1 / (1 + others)
    steps = (
        identity("1 - p_k = x/(1 + x) with x = sum_{j != k} e^{z_j - z_k}", 1 - p, x / (1 + x), domain),
        holds("diagonal entry of the gradient, pi_k (p_k - 1), against 0", pi * (p - 1), relation, 0, domain),
        holds("the larger ball holds the smaller one in its interior", radius, ">", tau, domain),
    )
    return Proof(
        id=ID,
        statement=" ".join(statements(radius=radius, relation=relation).values()),
        source="standard; Fang et al. 2021",
        hypotheses=hypotheses(SCOPE),
        steps=steps,
        arguments=(
            argue(
                "convex optimality",
                "an optimum of the smaller ball that is optimal in the larger one is an interior minimum of a convex "
                "function, so its gradient is 0",
            ),
        ),
        uses=("ce-convex",),
    )


MUTANTS: dict[str, dict[str, Any]] = {
    "gradient positive": {"relation": ">"},
    "smaller radius": {"radius": tau - growth / 2},
    "same radius": {"radius": tau},
    "probability of the wrong class": {"others": 1 / x},
}
