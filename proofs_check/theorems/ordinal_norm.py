"""Ordinal regression with fixed thresholds: the classifier's norm has no limit as the weight decay vanishes.

Setting. z = w^T h, classes 1, ..., Q >= 2 with n_q of N samples, thresholds b_1 < ... < b_{Q-1}, loss of class q:
-log(s(b_q - z) - s(b_{q-1} - z)), s(x) = 1/(1 + e^{-x}), b_0 = -oo, b_Q = oo; weight decay lW, lH, lam^2 = lW lH,
any d >= 1.

Statement. For g = lam N/sqrt(n_Q) < 1 the last class has z_Q >= b_{Q-1} + log(1/g - 1) at every optimum, and |w|^2 =
sqrt(lH/lW) (sum n_q z_q^2)^{1/2} >= sqrt(lH/lW) sqrt(n_Q) z_Q where z_Q >= 0. So |w|/(lH/lW)^{1/4} grows like (log
1/lam)^{1/2} at least, and has no limit as lam -> 0.

Source. arXiv 2506.05801 (ordinal neural collapse), whose w* = Theta((lH/lW)^{1/4}) as lam -> 0 this contradicts for
logistic links and extreme classes that are half-lines.

Idea. The optimality condition of the last class: its slope is at most lam sqrt(n_Q).
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from proofs_check.notation import say
from proofs_check.scope import Scope, hypotheses
from proofs_check.theorems._kernel import Proof, above, argue, at_least, between, everywhere, holds, identity, monotone
from proofs_check.theorems._kernel import limit as tends

ID = "ordinal-norm"

g, n, N, lam, lW, lH, x = sp.symbols("g n_Q N lambda l_W l_H x", positive=True)
z, b = sp.symbols("z b", real=True)
SIZE = sp.log(1 / g - 1)

#: What the theorem covers.
SCOPE = (
    Scope(
        ("ordinal",),
        ("weight-decay",),
        conditions=(
            "cumulative logits: one logit z, fixed thresholds b_1 < … < b_{K−1}, logistic link, half-lines at both "
            "ends",
        ),
    ),
)


def statements(*, size: sp.Expr = SIZE, **_: Any) -> dict[str, str]:
    """What the theorem says, by part, with these pieces; see :func:`prove`."""
    return {
        "size": f"With g = N √(λ_W λ_H/n_K) < 1 the last class has the logit z_K ≥ b_{{K−1}} + {say(size)} at every "
        f"optimum.",
        "norm": "Where that bound is positive |w| ≥ (λ_H/λ_W)^{1/4} (√n_K (b_{K−1} + log(1/g − 1)))^{1/2}: "
        "|w|/(λ_H/λ_W)^{1/4} has no bound as λ_W λ_H → 0.",
    }


def prove(
    *,
    size: sp.Expr = SIZE,
    level: sp.Expr = lam * N / sp.sqrt(n),
    slope: sp.Expr = -1 / (1 + sp.exp(z - b)),
    square: sp.Expr = sp.sqrt(lH / lW) * x,
) -> Proof:
    """Prove the statement with these pieces.

    Args:
        size: z_Q - b at the slope g.
        level: g, the largest slope at an optimum, in lam, N and n.
        slope: of the loss of the last class.
        square: |w|^2 of balanced factors of singular value x.
    """
    loss = sp.log(1 + sp.exp(b - z))
    real = {z: everywhere(), b: everywhere()}
    steps = (
        identity("slope of the last class", sp.diff(loss, z), slope, real),
        monotone("grows to 0", slope.subs(b, 0), z, "increasing", {z: everywhere()}),
        holds("and the loss is convex", sp.diff(loss, z, 2), ">", 0, real),
        # (n/N) |slope| <= lam n z/|z|_D <= lam sqrt(n), |z|_D^2 = sum n_q z_q^2
        identity("(n/N) |slope| = lam sqrt(n) is |slope| = g", n / N * level, lam * sp.sqrt(n)),
        identity("slope at b + size: e^size + 1 = 1/g", 1 / (1 + sp.exp(size)), g, {g: between(0, 1)}),
        monotone("e^size grows as g falls", sp.exp(size), g, "decreasing", {g: between(0, 1)}),
        tends("e^{-size} falls to 0 with g", g / (1 - g), g, 0, 0),
        identity("balanced factors, lW w^2 = lH h^2 and w h = x", square * sp.sqrt(lW / lH), x),
        holds(
            "one term of the norm: sqrt(n) z <= sqrt(n z^2 + y)",
            n * x**2,
            "<=",
            n * x**2 + lam,
            {lam: at_least(0), n: above(0), x: above(0)},
        ),
    )
    return Proof(
        id=ID,
        statement=" ".join(statements(size=size).values()),
        source="arXiv 2506.05801, contradicted",
        hypotheses=hypotheses(SCOPE),
        steps=steps,
        arguments=(
            argue(
                "convex optimality",
                "lam |z|_D has the subgradients lam n_q z_q/|z|_D at z, of modulus at most lam sqrt(n_q), and at 0 "
                "those of dual norm at most lam, so the same bound",
            ),
            argue("Jensen", "the losses are convex in z, so samples of a class share their logit"),
            argue(
                "arithmetic-geometric mean",
                "(lW |w|^2 + lH |h|^2)/2 >= lam |w||h| with equality for balanced factors alone",
            ),
        ),
        uses=("nuclear-norm-factorisation",),
    )


MUTANTS: dict[str, dict[str, Any]] = {
    "size log(1/g)": {"size": sp.log(1 / g)},
    "size 1/g": {"size": 1 / g},
    "level with n": {"level": lam * N / n},
    "level without N": {"level": lam / sp.sqrt(n)},
    "slope of the first class": {"slope": 1 / (1 + sp.exp(b - z))},
    "square with lW/lH": {"square": sp.sqrt(lW / lH) * x},
}
