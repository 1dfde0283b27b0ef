"""Residual depth with weight decay: minority collapse is a first-order transition once the blocks are cheap.

Setting. Two groups, cross-entropy, residual depth L with weight decay, lambda = sqrt(lambda_W lambda_H); n_B samples
in each of K_B >= 2 minority classes, K_A majority classes, N samples in all; s_B the minority's scale and q_B the
probability of a minority class in a minority column where s_B = 0.

Statement. In the symmetric family s_B = 0 is a strict local minimum of the best objective over the other variables for
n_B < N^2 lambda^2 and none for n_B > N^2 lambda^2. Where it ends a lower point exists already if lambda_A q_B < L N
lambda^2, so always if lambda_A/L <= K_B N lambda^2.

Source. New here; landau-collapse for the penalised equilibrium layer.

Idea. The price's curvature at 0 is -L lambda^2/lambda_A, that of the equilibrium layer with lambda_A/L for lambda_A.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from proofs_check.notation import say
from proofs_check.scope import Scope, hypotheses
from proofs_check.theorems import landau_collapse, residual_price
from proofs_check.theorems._kernel import Proof, argue, at_least, between, everywhere, holds, identity
from proofs_check.theorems.landau_collapse import LOSS, SLOPE, VARIANCE, N, k, kappa, lA, lam, m, n, s, v

ID = "residual-first-order"

L = residual_price.L
#: q_B with u = e^{-v/K_B} > 0, v = s_B + K_B d_B.
u = sp.Symbol("u", positive=True)
SIBLING = 1 / (k + m * u)
CRITICAL = N**2 * lam**2
SUFFICIENT = L * k * N * lam**2

#: What the theorem covers.
SCOPE = (Scope(models=("residual-decay",), groups=(2, 2), minority=2, dimension="K - 1", symmetric=True),)


def statements(*, critical: sp.Expr = CRITICAL, sufficient: sp.Expr = SUFFICIENT, **_: Any) -> dict[str, str]:
    """What the theorem says, by part, with these pieces; see :func:`prove`."""
    return {
        "branch": "With λ = √(λ_W λ_H) and residual depth L, s_B = 0 is a strict local minimum in s_B of the best "
        "value over the "
        f"other variables for n_B < {say(critical)} and none for n_B > {say(critical)}.",
        "first order": f"At n_B = {say(critical)} a lower point with s_B > 0 exists already if λ_A q_B < L N λ², "
        f"q_B the probability "
        f"of a minority class in a minority column, so always if λ_A ≤ {say(sufficient)}.",
    }


def prove(
    *,
    critical: sp.Expr = CRITICAL,
    sufficient: sp.Expr = SUFFICIENT,
    concavity: sp.Expr = L * lam**2 / lA,
) -> Proof:
    """Prove the statement with these pieces.

    Args:
        critical: n_B at which the collapsed branch ends.
        sufficient: lambda_A up to which the transition is of first order.
        concavity: minus the price's curvature at 0.
    """
    deep = {L: at_least(1)}
    box = {k: at_least(2), m: at_least(1), **deep}
    column = {k: at_least(2), m: at_least(1), v: everywhere()}
    a = residual_price.a
    q = SIBLING.subs(u, sp.exp(-v / k))
    force = k * n / N * SLOPE + (k - 1) * sp.sqrt(n) * residual_price.SLOPE.subs(a, 0)
    bend = k * n / N * SIBLING * VARIANCE - (k - 1) * n * concavity
    shares = {kappa: between(0, 1), **box}
    steps = (
        identity("slope of the loss at s = 0, for every v", sp.diff(LOSS, s).subs(s, 0), SLOPE, column),
        identity("so the mixed derivative vanishes there", sp.diff(LOSS, s, v).subs(s, 0), 0, column),
        identity("curvature of the loss at s = 0", sp.diff(LOSS, s, 2).subs(s, 0), q * VARIANCE, column),
        identity("curvature of the price at 0", -residual_price.CURVATURE.subs(a, 0), concavity, deep),
        identity("force at s = 0", force, (k - 1) * sp.sqrt(n) * (lam - sp.sqrt(n) / N), box),
        holds("positive below the critical n", force.subs(n, kappa * critical), ">", 0, shares),
        holds("negative above it", force.subs(n, critical / kappa), "<", 0, shares),
        identity(
            "curvature of the best objective at s = 0",
            bend,
            (k - 1) * n * (SIBLING / N - L * lam**2 / lA),
            box,
        ),
        holds(
            "negative at the critical n for lambda_A below the sufficient value",
            bend.subs({lA: kappa * sufficient, n: critical}),
            "<",
            0,
            shares,
        ),
        holds("at the sufficient value itself too", bend.subs({lA: sufficient, n: critical}), "<", 0, box),
    )
    return Proof(
        id=ID,
        statement=" ".join(statements(critical=critical, sufficient=sufficient).values()),
        source="new; " + landau_collapse.ID + " for the equilibrium layer",
        hypotheses=hypotheses(SCOPE),
        steps=steps,
        arguments=(
            argue(
                "second-order condition",
                "at n = N^2 lambda^2 the slope in s vanishes and the curvature is negative: the collapsed point is no "
                "local minimum there, and a point with s > 0 is lower",
            ),
        ),
        uses=("residual-price", "symmetry-reduction", "landau-collapse"),
    )


MUTANTS: dict[str, dict[str, Any]] = {
    "critical n without the square": {"critical": N * lam},
    "sufficient twice as large": {"sufficient": 2 * L * k * N * lam**2},
    "sufficient with K": {"sufficient": L * (k + m) * N * lam**2},
    "concavity without L": {"concavity": lam**2 / lA},
    "concavity doubled": {"concavity": 2 * L * lam**2 / lA},
}
