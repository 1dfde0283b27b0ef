"""Squared error with a penalised bias, equal counts: from simplex ETF to nearly orthogonal frame.

Setting. Mean over samples of |z + b - e_k|^2/2, plus (lb/2) |b|^2; n samples a class, lam = sqrt(lW lH), c = K lam
sqrt(n), P = I - 1 1^T/K.

Statement. Z = s P + m 1 1^T/K, s = max(0, 1 - c), m = max(0, 1 - c - c/lb); an ETF iff lb <= c/(1 - c).

Source. Tirer & Bruna 2022, Zhou et al. 2022 (no bias, free bias); The role of class encoding 2026 (that there is a
transition); the closed form is our own.

Idea. On sum-zero vectors and on 1 the problem is one number each.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from proofs_check.notation import say
from proofs_check.scope import Scope, hypotheses
from proofs_check.theorems._kernel import Proof, argue, at_least, between, everywhere, holds, identity, monotone

ID = "mse-bias-switch"

K = sp.Symbol("K", integer=True, positive=True)
c, lb = sp.symbols("c lambda_b", positive=True)
STANDARD = 1 - c
MEAN = 1 - c - c / lb
SWITCH = c / (1 - c)
COSINE = -c / (K * lb * (1 - c) - c)
BIAS = c / (K * lb)

#: What the theorem covers.
SCOPE = (Scope(("mse",), ("bias-decay",), groups=(1, 1), dimension="K"),)

_WITH = "With n samples in every class, c = K √(n λ_W λ_H)"


def statements(
    *, standard: sp.Expr = STANDARD, mean: sp.Expr = MEAN, switch: sp.Expr = SWITCH, cosine: sp.Expr = COSINE, **_: Any
) -> dict[str, str]:
    """What the theorem says, by part, with these pieces; see :func:`prove`."""
    return {
        "logits": f"{_WITH} and λ_b > 0 the optimal logits without the bias "
        f"are s (I − 11ᵀ/K) + m 11ᵀ/K, s = max(0, {say(standard)}) and m = max(0, {say(mean)}), and every entry of the "
        "bias is (1 − m)/(K (1 + λ_b)).",
        "free": f"{_WITH} and a free bias (λ_b = 0) the optimal logits without the bias are s (I − 11ᵀ/K), s = max(0, "
        f"{say(standard)}), and every entry of the bias is 1/K.",
        "switch": f"{_WITH} < 1, class means and classifiers form a simplex ETF if and only if "
        f"λ_b ≤ {say(switch)}, and orthogonal frames for no λ_b.",
        "angle": f"{_WITH} < 1 and λ_b > {say(switch)}, the cosine between the features of any two classes is "
        f"{say(cosine)}, which rises with λ_b towards 0.",
    }


def prove(
    *,
    standard: sp.Expr = STANDARD,
    mean: sp.Expr = MEAN,
    switch: sp.Expr = SWITCH,
    cosine: sp.Expr = COSINE,
    bias: sp.Expr = BIAS,
    rises: str = "increasing",
) -> Proof:
    """Prove the statement with these pieces.

    Args:
        standard: s before clipping.
        mean: m before clipping.
        switch: largest lambda_b with an ETF.
        cosine: between the features of two classes, where m > 0.
        bias: every entry of the bias where m > 0.
        rises: how the cosine depends on lambda_b.
    """
    z, m, t = sp.symbols("z m t", real=True)
    y, w = sp.symbols("y w", positive=True)
    reals = {z: everywhere(), m: everywhere(), t: everywhere(), K: at_least(2)}
    # K times the objective: (K - 1) alike parts on sum-zero vectors, one on 1; t = K beta
    part = (z - 1) ** 2 / 2 + c * z
    joint = ((m + t - 1) ** 2 + lb * t**2) / 2 + c * m
    best = (1 - m) / (1 + lb)
    reduced = lb / (1 + lb) * (1 - m) ** 2 / 2 + c * m
    below = {c: between(0, 1), K: at_least(2)}
    beyond = (c + w) / (1 - c)  # lambda_b past the switch
    steps = (
        identity("sum-zero vectors: excess over s", part - part.subs(z, standard), (z - standard) ** 2 / 2, reals),
        identity("negative z = -y costs more by 2 y", (-y - 1) ** 2 / 2 + c * y - part.subs(z, y), 2 * y),
        holds(
            "c >= 1: excess over 0 is nonnegative for z >= 0",
            (part - sp.Rational(1, 2)).subs({c: 1 + w, z: y}),
            ">",
            0,
        ),
        identity(
            "on 1: excess over the best bias",
            joint - joint.subs(t, best),
            (1 + lb) * (t - best) ** 2 / 2,
            reals,
        ),
        identity("which leaves", joint.subs(t, best), reduced, reals),
        identity("excess over m", reduced - reduced.subs(m, mean), lb / (1 + lb) * (m - mean) ** 2 / 2, reals),
        holds(
            "where mean <= 0, c = lb/(1 + lb) + w: excess over m = 0 is positive for m > 0",
            (reduced - reduced.subs(m, 0)).subs({c: lb / (1 + lb) + w, m: y}),
            ">",
            0,
        ),
        identity(
            "negative m = -y costs more by 2 lb y/(1 + lb)",
            (lb / (1 + lb) * (1 + y) ** 2 / 2 + c * y) - reduced.subs(m, y),
            2 * lb * y / (1 + lb),
        ),
        identity("the bias where m > 0, over K", best.subs(m, mean) / K, bias, below),
        identity("free bias: (m + t - 1)^2 is 0 at m = 0, t = 1", joint.subs({lb: 0, m: 0, t: 1}), 0, reals),
        identity("the switch is where mean is 0", mean.subs(lb, switch), 0, below),
        monotone("and mean grows with lb", mean, lb, "increasing", below),
        holds("mean stays below s, so Z is no multiple of I", mean, "<", standard),
        identity(
            "cosine beyond the switch: (m - s)/(m + (K - 1) s), as H^T H is a multiple of Z",
            ((mean - standard) / (mean + (K - 1) * standard)).subs(lb, beyond),
            cosine.subs(lb, beyond),
            below,
        ),
        monotone("the cosine in lb beyond the switch", cosine.subs(lb, beyond), w, rises, below),
        identity("at the switch it is that of the ETF", cosine.subs(lb, SWITCH), -1 / (K - 1), below),
    )
    return Proof(
        id=ID,
        statement=" ".join(statements(standard=standard, mean=mean, switch=switch, cosine=cosine).values()),
        source="Tirer & Bruna 2022; Zhou et al. 2022; The role of class encoding 2026",
        hypotheses=hypotheses(SCOPE),
        steps=steps,
        arguments=(
            argue(
                "Jensen",
                "averaging over permutations of the classes raises neither the risk, strictly convex in Z + b 1^T, nor "
                "the gauge nor |b|; at a free bias a part b 1^T of Z only raises |Z|_*",
            ),
            argue("Schur", "what is invariant is Z = s P + m 1 1^T/K and b a multiple of 1"),
            argue("unitary invariance", "|Z D^{1/2}|_* = sqrt(n) ((K - 1) |s| + |m|)"),
        ),
        uses=("nuclear-norm-factorisation", "within-class-collapse"),
    )


MUTANTS: dict[str, dict[str, Any]] = {
    "mean without the bias": {"mean": 1 - c},
    "mean with c lb": {"mean": 1 - c - c * lb},
    "standard with c/K": {"standard": 1 - c / K},
    "switch at c": {"switch": c},
    "switch at (1 - c)/c": {"switch": (1 - c) / c},
    "cosine without K": {"cosine": -c / (lb * (1 - c) - c / 2)},
    "bias without K": {"bias": c / lb},
    "cosine falls": {"rises": "decreasing"},
}
