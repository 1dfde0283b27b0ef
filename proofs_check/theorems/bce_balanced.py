"""Binary cross-entropy, equal counts: when the optimum is a simplex ETF, with and without a bias.

Setting. Mean over samples of log(1 + e^{-z_k}) + sum_{j != k} log(1 + e^{z_j}), logits z + b, plus (lb/2) |b|^2; n
samples a class, lam = sqrt(lW lH), c = K lam sqrt(n), P = I - 1 1^T/K, sigma the logistic function.

Statement. With x = (K-1) s/K + beta, y = -s/K + beta, sigma(-x) + sigma(y) = c and sigma(-x) - (K-1) sigma(y) = K lb
beta: an ETF iff lb |beta| <= lam sqrt(n). Free bias: e^s in closed form. No bias: K = 2, or K = 3 and c >= 3 (2 -
sqrt 2)/4; zero iff c >= max(1, (K-2)/2).

Source. Li, Xiao, Shen 2025 (the ETF, a bias with weight decay), as we know it; the condition is our own.

Idea. Invariant logits are s P + m 1 1^T/K; the ETF is m = 0, and the slope in m has to be at most its price.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from proofs_check.notation import SIGNS, say
from proofs_check.scope import Scope, hypotheses
from proofs_check.theorems._kernel import Proof, above, argue, at_least, between, everywhere, holds, identity, monotone

ID = "bce-balanced"

K = sp.Symbol("K", integer=True, positive=True)
c, lb, v = sp.symbols("c lambda_b v", positive=True)
FREE = (K - (K - 1) * c) * (K - c) / ((K - 1) * c**2)
THREE = 3 * (2 - sp.sqrt(2)) / 4
ROOT = 1 + sp.sqrt(2)

#: What the theorem covers.
SCOPE = (Scope(("bce",), ("weight-decay", "bias-decay"), groups=(1, 1), dimension="K"),)

_COUNTS = "With n samples in every class and c = K √(n λ_W λ_H)"


def statements(
    *,
    free: sp.Expr = FREE,
    three: sp.Expr = THREE,
    mean_zero: sp.Expr = (K - 2) / 2,
    relation: str = "<=",
    least: int = 4,
    **_: Any,
) -> dict[str, str]:
    """What the theorem says, by part, with these pieces; see :func:`prove`."""
    return {
        "penalised": f"{_COUNTS} < 1 and a bias with weight decay λ_b > 0 there are one s > 0 and β with σ(−x) + "
        "σ(y) = c and σ(−x) − (K − 1) σ(y) = K λ_b β, where x = (K − 1) s/K + β and y = −s/K + β, and class means and "
        f"classifiers form a simplex ETF if and only if λ_b |β| {SIGNS[relation]} √(n λ_W λ_H); the logits are then s "
        "(I − 11ᵀ/K) and the bias β 1, and σ is the logistic function.",
        "free": f"{_COUNTS} and a free bias the optimal logits without the bias are s (I − 11ᵀ/K), e^s = "
        f"{say(free)}, if c < 1, and zero if c ≥ 1.",
        "none": f"{_COUNTS} < 1 and no bias class means and classifiers form a simplex ETF for K = 2, for K = 3 if "
        f"and only if c ≥ {say(three)}, and for no K ≥ {least}.",
        "zero": f"{_COUNTS} and no bias the optimum is zero if and only if c ≥ 1 and c ≥ {say(mean_zero)}; for 1 ≤ c < "
        f"{say(mean_zero)} all class means coincide, and so do all classifiers, without being zero.",
    }


def prove(
    *,
    free: sp.Expr = FREE,
    three: sp.Expr = THREE,
    mean_zero: sp.Expr = (K - 2) / 2,
    relation: str = "<=",
    root: sp.Expr = ROOT,
    least: int = 4,
    standard: sp.Expr = (K - 1) / K,
) -> Proof:
    """Prove the statement with these pieces.

    Args:
        free: e^s with a free bias.
        three: least c with an ETF at K = 3, no bias.
        mean_zero: least c at which the mean part is zero as well, no bias.
        relation: of lb |beta| to the price where m = 0 is optimal.
        root: e^{s/3} there.
        least: K from which on there is no ETF without a bias.
        standard: factor of the slope in s.
    """
    x, y = sp.symbols("x y", real=True)
    X, Y, t = sp.symbols("X Y t", positive=True)
    reals = {x: everywhere(), y: everywhere(), K: at_least(2)}
    risk = sp.log(1 + sp.exp(-x)) + (K - 1) * sp.log(1 + sp.exp(y))
    miss, wrong = 1 / (1 + sp.exp(x)), sp.exp(y) / (1 + sp.exp(y))
    in_x, in_y = sp.diff(risk, x), sp.diff(risk, y)
    # X = e^x, Y = e^{-y}: sigma(-x) = 1/(1 + X), sigma(y) = 1/(1 + Y)
    left, right = 1 / (1 + X), 1 / (1 + Y)
    below = {c: between(0, 1), K: at_least(2)}
    e_x, e_y = (K - (K - 1) * c) / ((K - 1) * c), (K - c) / c
    gap = 2 / (1 + v**2) - 1 / (1 + v)  # K = 3, v = e^{s/3}
    shift = (miss - (K - 1) * wrong) / K  # lb beta
    slack, price = sp.symbols("r w", positive=True)
    slope = price * (1 - slack) if relation == "<=" else price * (1 + slack)
    steps = (
        # dx/ds = (K-1)/K, dy/ds = -1/K, dx/dm = dy/dm = 1/K, dx/dbeta = dy/dbeta = 1
        identity("slope in s", (K - 1) / K * in_x - in_y / K, -standard * (miss + wrong), reals),
        identity("slope in m", (in_x + in_y) / K, ((K - 1) * wrong - miss) / K, reals),
        holds("the risk is convex in x", sp.diff(risk, x, 2), ">", 0, reals),
        holds("and in y", sp.diff(risk, y, 2), ">", 0, reals),
        identity("at s = 0, y = x, the slope in s is -(K-1)/K", (miss + wrong).subs(y, x), 1, reals),
        identity(
            "slope in beta of risk and decay, K lb beta = sigma(-x) - (K-1) sigma(y): it vanishes, and the slope in m "
            "is -lb beta",
            (in_x + in_y) / K,
            -shift,
            reals,
        ),
        holds(
            "m = 0: beyond it, at a slope that is less than the price w by r, the objective grows",
            t * (price - slope),
            ">",
            0,
            {slack: between(0, 1)},
        ),
        identity("free bias: sigma(-x) = c (K-1)/K", 1 / (1 + e_x), c * (K - 1) / K, below),
        identity("free bias: sigma(y) = c/K, so that the slope in m is 0", 1 / (1 + e_y), c / K, below),
        identity("and the two make c", c * (K - 1) / K + c / K, c, below),
        identity("e^s = e^{x - y}", e_x * e_y, free, below),
        identity("s > 0 iff c < 1", free - 1, K**2 * (1 - c) / ((K - 1) * c**2), below),
        identity(
            "no bias: slope in m less its price c/K = (sigma(-x) + sigma(y))/K",
            ((K - 1) * right - left) - (left + right),
            (K - 2) * right - 2 * left,
            {K: at_least(2)},
        ),
        holds("and the slope is never below minus the price", (K - 1) * right - left + left + right, ">", 0),
        identity("K = 2: below it", ((K - 2) * right - 2 * left).subs(K, 2), -2 * left),
        holds(
            "K >= 4, e^x = e^{(K-1) s/K} beyond e^{-y} = e^{s/K}: above it",
            ((K - 2) * right - 2 * left).subs(X, Y + t),
            ">",
            0,
            {K: at_least(least), Y: at_least(1), t: above(0)},
        ),
        identity(
            "K = 3: price less slope, v = e^{s/3}", gap, (1 + 2 * v - v**2) / ((1 + v) * (1 + v**2)), {v: at_least(1)}
        ),
        identity("which vanishes at the root", 1 + 2 * root - root**2, 0),
        holds("is positive below", (1 + 2 * v - v**2).subs(v, 1 + t * sp.sqrt(2)), ">", 0, {t: between(0, 1)}),
        holds("and negative above", (1 + 2 * v - v**2).subs(v, root + t), "<", 0),
        identity("K = 3: c at the root", (1 / (1 + v**2) + 1 / (1 + v)).subs(v, root), three),
        monotone("K = 3: c falls with s", 1 / (1 + v**2) + 1 / (1 + v), v, "decreasing", {v: at_least(1)}),
        identity("slope in m at zero logits, over 1/K", ((K - 1) * wrong - miss).subs({x: 0, y: 0}), mean_zero, reals),
    )
    return Proof(
        id=ID,
        statement=" ".join(
            statements(free=free, three=three, mean_zero=mean_zero, relation=relation, least=least).values()
        ),
        source="Li, Xiao, Shen 2025",
        hypotheses=hypotheses(SCOPE),
        steps=steps,
        arguments=(
            argue(
                "Jensen",
                "averaging over permutations of the classes raises neither the risk, strictly convex in Z + b 1^T, nor "
                "the gauge nor |b|; at a free bias a part b 1^T of Z only raises |Z|_*",
            ),
            argue("Schur", "what is invariant is Z = s P + m 1 1^T/K and a bias beta 1"),
            argue("unitary invariance", "|Z D^{1/2}|_* = sqrt(n) ((K - 1) |s| + |m|)"),
            argue(
                "convex optimality",
                "s > 0 is stationary iff the slope in s is -(K - 1) c/K, s = 0 optimal iff c >= 1; m = 0 is optimal "
                "iff the slope in m there is at most lam sqrt(n) = c/K in modulus; the problem with m = 0 is strictly "
                "convex in s and beta, coercive for lb > 0, and a stationary bias has slope in m equal to -lb beta",
            ),
        ),
        uses=("nuclear-norm-factorisation", "within-class-collapse"),
    )


MUTANTS: dict[str, dict[str, Any]] = {
    "free bias: K - c squared": {"free": (K - c) ** 2 / ((K - 1) * c**2)},
    "free bias: without K - 1": {"free": (K - (K - 1) * c) * (K - c) / c**2},
    "three classes: c at 1/2": {"three": sp.Rational(1, 2)},
    "three classes: root 1 + sqrt 3": {"root": 1 + sp.sqrt(3)},
    "no ETF from K = 3 on": {"least": 3},
    "zero from (K - 1)/2": {"mean_zero": (K - 1) / 2},
    "an ETF where the slope exceeds its price": {"relation": ">="},
    "slope in s without K": {"standard": K - 1},
}
