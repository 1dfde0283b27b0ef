"""Residual depth with weight decay, balanced classes: where blocks are dear enough, the ETF is optimal.

Setting. Balanced cross-entropy, K classes of n samples, residual depth L with weight decay, lambda = sqrt(lambda_W
lambda_H).

Statement. If lambda_A/L > K^2 n lambda^2 exp(sqrt(2) e log K/(lambda sqrt(n))) and lambda_A/L >= log K, the optimal
logits are alpha (I - 11^T/K) with some alpha >= 0.

Source. New here.

Idea. The price bends down by at most kappa = L lambda^2/lambda_A, the risk bends up by at least p/K where p is the
least probability. Nothing whose price exceeds log K, the value of Z = 0, is optimal; that bounds |Z|_2, hence p, on a
convex set on which the objective is convex: averaging over permutations of the classes keeps an optimum one.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from proofs_check.notation import say
from proofs_check.scope import Scope, hypotheses
from proofs_check.theorems._kernel import (
    Proof,
    argue,
    at_least,
    between,
    expectation,
    holds,
    identity,
    vanishing_start,
)
from proofs_check.theorems.residual_price import CURVATURE, PRICE, SIZE, L, a, lA, lam

ID = "residual-etf-optimal"

k, n, q, x, y, c, e2 = sp.symbols("K n q x y c e_2", positive=True)
BOUND = k**2 * n * lam**2 * sp.exp(sp.sqrt(2) * sp.E * sp.log(k) / (lam * sp.sqrt(n)))

#: What the theorem covers.
SCOPE = (Scope(models=("residual-decay",), classes=(2, None), groups=(1, 1), dimension="K - 1"),)


def statements(*, bound: sp.Expr = BOUND, **_: Any) -> dict[str, str]:
    """What the theorem says, by part, with these pieces; see :func:`prove`."""
    shown = say(bound) if bound != BOUND else "K² n λ² e^{√2 e log K/(λ √n)}"
    return {
        "optimal": f"With λ = √(λ_W λ_H) and n samples of each class: if λ_A/L ≥ log K and λ_A/L > {shown}, the "
        f"optimal logits are "
        "α (I − 11ᵀ/K) with some α ≥ 0.",
    }


def prove(
    *,
    bound: sp.Expr = BOUND,
    bend: sp.Expr = L * lam**2 / lA,
    reach: sp.Expr = sp.E * sp.log(k) / (lam * sp.sqrt(n)),
    spread: sp.Expr = sp.sqrt(2),
) -> Proof:
    """Prove the statement with these pieces.

    Args:
        bound: on lambda_A/L.
        bend: kappa, by which g bends down at most.
        reach: bound of |Z|_2.
        spread: range of a column's logits in |Z|_2.
    """
    deep = {L: at_least(1), k: at_least(2)}
    v = sp.Symbol("v", real=True)
    small = {y: between(0, 1), L: at_least(1)}
    probability = sp.exp(-spread * reach) / k
    steps = (
        identity("curvature at a = 0", -CURVATURE.subs(a, 0), bend, deep),
        identity(
            "curvature elsewhere, times (1+a)^{2L+1}(1 + (L+2) a)",
            -CURVATURE * (1 + a) ** (2 * L + 1) * (1 + (L + 2) * a),
            bend,
            deep,
        ),
        holds("which is no more: y = (1+a)^{-2L-1} in (0, 1)", y / (1 + (L + 2) * a), "<", 1, small),
        # sum_i (e_i - c)^2 over K entries of mean 0 and square sum K e_2
        identity(
            "spread around any centre c of a centred column",
            expectation((v - c) ** 2, v, [1, 0, e2]),
            e2 + c**2,
            {e2: at_least(0)},
        ),
        # price at most log K: lambda_A a (1+a) <= log K, as the blocks' part is positive
        holds("price without the blocks' part", lA * a * (1 + a), "<", PRICE, deep),
        identity("lambda s = price without blocks times (1+a)^L", lam * SIZE, lA * a * (1 + a) * (1 + a) ** L, deep),
        *vanishing_start("log(1 + a) <= a", x - sp.log(1 + x), x, 0),
        holds("a < a (1+a) <= log K/lambda_A <= 1/L", a, "<", a * (1 + a)),
        identity("so |Z|_2 <= e log K/(lambda sqrt(n))", reach * lam * sp.sqrt(n), sp.E * sp.log(k), deep),
        # z_i - z_j <= sqrt(2) |z|: (1, -1) has length sqrt(2)
        identity("length of (1, -1)", sp.sqrt(sp.Integer(1) + 1), spread),
        # risk bends by p/K, price by kappa n
        identity(
            "least bend of the risk minus the price's, at lambda_A/L = bound q",
            probability / k - n * bend.subs(lA, L * bound * q),
            probability / k * (1 - 1 / q),
            deep,
        ),
        holds("positive for q = 1 + y", 1 - 1 / (1 + y), ">", 0),
        holds("a negative alpha = -x is worse than 0: e^x > 1", (k - 1) * (1 + y), ">", k - 1, {k: at_least(2)}),
    )
    return Proof(
        id=ID,
        statement=" ".join(statements(bound=bound).values()),
        source="new; linear residual networks with weight decay",
        hypotheses=hypotheses(SCOPE),
        steps=steps,
        arguments=(
            argue(
                "Cauchy-Schwarz",
                "z_ik - z_jk <= sqrt(2) |z_k| <= sqrt(2) |Z|_2, so every probability is at least e^{-sqrt(2)|Z|_2}/K",
            ),
            argue(
                "convexity by Hessian",
                "log-probabilities are concave, so the logits with least probability above K n kappa are a convex "
                "set; there "
                "f - (n kappa/2)|Z|_F^2 is strictly convex on centred logits, and g + kappa s^2/2 is convex and "
                "increasing",
            ),
            argue(
                "Jensen",
                "the mean over permutations S of S Z S^T is as good, so an optimum is invariant, and strictly the "
                "only one",
            ),
            argue("submultiplicativity", "averaging within classes and centring columns lower every singular value"),
        ),
        uses=("residual-price", "centring", "symmetry-reduction"),
    )


MUTANTS: dict[str, dict[str, Any]] = {
    "bound with K": {"bound": k * n * lam**2 * sp.exp(sp.sqrt(2) * sp.E * sp.log(k) / (lam * sp.sqrt(n)))},
    "bound without the exponential": {"bound": k**2 * n * lam**2},
    "bend without L": {"bend": lam**2 / lA},
    "reach without e": {"reach": sp.log(k) / (lam * sp.sqrt(n))},
    "spread 1": {"spread": sp.Integer(1)},
}
