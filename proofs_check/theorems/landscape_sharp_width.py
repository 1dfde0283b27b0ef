"""K - 1 features suffice for a benign landscape, for every loss that does not see a shift of all logits.

Setting. f(WH) + (lW/2)|W|_F^2 + (lH/2)|H D^{1/2}|_F^2, f convex with 1^T grad f = 0, d >= K - 1; G = grad f at a
critical point, lam = sqrt(lW lH).

Statement. Every local minimum is a global one, and every other critical point has a direction of negative curvature.

Source. Zhu et al. 2021 (d > K), Shen & Gu 2024 (d = K); d = K - 1 is our own.

Idea. Either a feature is unused, and can be put to use where |G D^{-1/2}|_2 > lam, or the columns of W are K - 1
independent eigenvectors of G D^{-1} G^T, orthogonal to 1, of eigenvalue lam^2: all of them.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from proofs_check.scope import Scope, hypotheses
from proofs_check.theorems._kernel import Proof, argue, at_least, between, holds, identity

ID = "landscape-sharp-width"

lW, lH, g, n = sp.symbols("lambda_W lambda_H g n_k", positive=True)
CHANGE = sp.sqrt(lW * lH) - g

#: What the theorem covers.
SCOPE = (Scope(("ce", "smoothed-ce"), ("weight-decay",), dimension="K - 1"),)


def statements(*, change: sp.Expr = CHANGE, **_: Any) -> dict[str, str]:
    """What the theorem says, by part, with these pieces; see :func:`prove`."""
    return {
        "benign": "With d ≥ K − 1 features and no bias every local minimum in (W, H) is a global one and every other "
        "critical point is a strict saddle, whatever the counts.",
    }


def prove(
    *,
    change: sp.Expr = CHANGE,
    eigenvalue: sp.Expr = lW * lH,
    constant: sp.Expr = sp.Integer(0),
    smoothing: sp.Expr | None = None,
) -> Proof:
    """Prove the statement with these pieces.

    Args:
        change: of the objective along the move of an unused feature, over t^2.
        eigenvalue: of G D^{-1} G^T on the columns of W.
        constant: what the slopes of a column sum to.
        smoothing: target of the K - 1 wrong classes together, delta (K-1)/K.
    """
    K, C = sp.symbols("K C", positive=True)
    delta = sp.Symbol("delta", nonnegative=True)
    w, x_0, rest = sp.symbols("w x_0 r", positive=True)
    off = delta * (K - 1) / K if smoothing is None else smoothing
    right, wrong = 1 / (1 + C), C / (1 + C)
    share = {delta: between(0, 1), K: at_least(2)}
    move = (lH / lW) ** sp.Rational(1, 4)
    # singular direction: G v = -g u with |u| = 1, v of squared length 1 in the weights 1/n_k
    steps = (
        identity(
            "slopes of a column, right class and all wrong ones together, sum to",
            (right - (1 - delta * (K - 1) / K)) + (wrong - off),
            constant,
            share,
        ),
        identity(
            "unused feature, w = x t u and h = (t/x) v D^{-1/2}: change over t^2, x^4 = lH/lW",
            lW * move**2 / 2 + lH / move**2 / 2 - g,
            change,
        ),
        holds("negative for g beyond lam", change.subs(g, sp.sqrt(lW * lH) + rest), "<", 0),
        holds(
            "which no other x can better: (lW x^2 + lH/x^2)/2 is at least lam",
            (lW * x_0**2 + lH / x_0**2) / 2,
            ">=",
            sp.sqrt(lW * lH),
        ),
        # G H^T = -lW W and W^T G = -lH H D, one entry each: G D^{-1} G^T W = -lH G H^T = lW lH W
        identity(
            "eigenvalue: lH h n = -w G and G h = -lW w give G (1/n) G w = lW lH w, for one class",
            (g * (1 / n) * g * w).subs(g, sp.sqrt(lW * lH * n)),
            eigenvalue * w,
        ),
        identity(
            "with h from the first and w from the second equation, g^2 = lW lH n",
            (g * (g * w / (lH * n)) - lW * w) * lH * n,
            w * (g**2 - eigenvalue * n),
        ),
    )
    return Proof(
        id=ID,
        statement=" ".join(statements(change=change).values()),
        source="Zhu et al. 2021; Shen & Gu 2024; d = K - 1 is our own",
        hypotheses=hypotheses(SCOPE),
        steps=steps,
        arguments=(
            argue("convex optimality", "a critical point is global iff |G D^{-1/2}|_2 <= lam"),
            argue(
                "unitary invariance",
                "stationarity, G H^T = -lW W and W^T G = -lH H D, gives G D^{-1} G^T W = lam^2 W; as 1^T G = 0 the "
                "columns of W are orthogonal to 1. Where W has rank K - 1 they span all vectors of sum 0, so G D^{-1} "
                "G^T = lam^2 (I - 1 1^T/K), |G D^{-1/2}|_2 = lam and the point is global; else W q = 0 for a unit "
                "vector q, and with it H^T q = 0",
            ),
            argue("second-order condition", "negative curvature along a feasible curve excludes a local minimum"),
        ),
        uses=("nuclear-norm-factorisation",),
    )


MUTANTS: dict[str, dict[str, Any]] = {
    "change lam - 2 g": {"change": sp.sqrt(lW * lH) - 2 * g},
    "change with the sum of the decays": {"change": (lW + lH) / 2 - g},
    "eigenvalue lam": {"eigenvalue": sp.sqrt(lW * lH)},
    "eigenvalue lW^2": {"eigenvalue": lW**2},
    "slopes sum to 1": {"constant": sp.Integer(1)},
    "smoothing off by its own share": {"smoothing": sp.Symbol("delta", nonnegative=True)},
}
