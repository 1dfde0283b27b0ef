"""Balanced cross-entropy: the cyclic code of rank 2 beats the ETF at every size once there are six linear factors.

Setting. K >= 4 classes on a circle, theta = 2 pi/K: z_jk = alpha cos((j - k) theta)/(1 - cos theta). Z = W_1 ... W_M:
what Z costs increases with sum_i sigma_i^{2/M}.

Statement. All margins of the code are at least alpha, some are above, and its two singular values are alpha K/(4 sin^2
(pi/K)). It costs at most what the ETF of size alpha costs iff 2 (K/(4 sin^2(pi/K)))^{2/M} <= K - 1, which holds for M
>= 6 whatever K >= 4 is. So there no weight decay and no budget makes an ETF optimal.

Source. New here; Tan, Gai, Zhang 2026 state a critical weight decay of order 1/K, for a surrogate.

Idea. Margin (1 - cos(m theta))/(1 - cos theta) >= 1. Sums of cos over the circle telescope. sin x >= 2 x/pi bounds the
singular value by K^3/16, and 2 (K^3/16)^{1/3} < K - 1 for K >= 5.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from proofs_check.scope import Scope, hypotheses
from proofs_check.theorems._kernel import Proof, above, argue, at_least, between, compare, holds, identity, monotone

ID = "cyclic-codes"

K = sp.Symbol("K", positive=True)
a, b, w, x, y = sp.symbols("a b w x y", positive=True)
WIDE = "all inner dimensions ≥ K − 1"

#: Least numbers of classes and of factors.
CLASSES, FACTORS = 4, 6

#: What the theorem covers.
SCOPE = tuple(
    Scope(
        models=(model,), classes=(CLASSES, None), groups=(1, 1), dimension="K - 1", conditions=(WIDE, f"M ≥ {FACTORS}")
    )
    for model in ("deep-linear", "deep-decay")
)


def statements(*, factors: int = FACTORS, **_: Any) -> dict[str, str]:
    """What the theorem says, by part, with these pieces; see :func:`prove`."""
    return {
        "price": "The cyclic code z_jk = α cos(2π (j − k)/K)/(1 − cos(2π/K)) has no margin below α, and two "
        "singular values "
        "α K/(4 sin²(π/K)).",
        "codes": f"For M ≥ {factors} it has a smaller cross-entropy and no larger Σ σ_i^{{2/M}} than the simplex ETF "
        "α (I − 11ᵀ/K), at every "
        f"α > 0 and K ≥ {CLASSES}: no ETF is optimal at any weight decay or budget.",
    }


def prove(
    *,
    size: sp.Expr = K / (4 * w**2),
    factors: int = FACTORS,
    least: int = 5,
    rank: int = 2,
    chord: sp.Expr = 2 * sp.sin(a) * sp.sin(b),
) -> Proof:
    """Prove the statement with these pieces.

    Args:
        size: the singular values at alpha = 1, ``w = sin(pi/K)``.
        factors: M.
        least: K from which on the bound K^3/16 of the size is enough.
        rank: number of singular values.
        chord: cos(a - b) - cos(a + b), at a = b 1 - cos(2 a).
    """
    turn = {a: between(0, 1), b: between(0, 1)}
    power = sp.Rational(2, factors)
    near = rank * (sp.Integer(least) ** 3 / 16) ** power
    steps = (
        # margin of class k to the class m places on, with sin(m h)^2 = y
        identity(
            "entry: cos(a - b) is the sum over both coordinates",
            sp.cos(a - b),
            sp.cos(a) * sp.cos(b) + sp.sin(a) * sp.sin(b),
            turn,
        ),
        # sin(m h) for m h in [h, pi - h] is at least sin h: with x = a + b and y = a - b
        identity(
            "sin(a + b) - sin(a - b) = 2 cos(a) sin(b)", sp.sin(a + b) - sp.sin(a - b), 2 * sp.cos(a) * sp.sin(b), turn
        ),
        # sum_j cos(2 j theta): 2 sin(theta) cos(2 j theta) telescopes to a full turn
        identity(
            "telescope: sin(b + a) - sin(b - a) = 2 sin(a) cos(b)",
            sp.sin(b + a) - sp.sin(b - a),
            2 * sp.sin(a) * sp.cos(b),
            turn,
        ),
        identity(
            "telescope: cos(b - a) - cos(b + a) = 2 sin(a) sin(b)",
            sp.cos(b - a) - sp.cos(b + a),
            chord,
            turn,
        ),
        # so sum cos^2 = sum sin^2 = K/2 and sum sin cos = 0: the two coordinates are singular vectors of size K/2
        identity("K/2 over 1 - cos(2 h) = 2 w^2", 1 / (4 * w**2 / K), size),
        identity(
            "trace of Z: K diagonal entries 1/(2 w^2) are as much as both", rank * size - K / (4 * w**2), K / (4 * w**2)
        ),
        identity(
            "margin to the class m places on: 1 - cos(2 a) over 1 - cos(2 h), with sin a = x",
            chord.subs({sp.sin(a): x, sp.sin(b): x}) / chord.subs({sp.sin(a): w, sp.sin(b): w}),
            x**2 / w**2,
        ),
        holds("at least 1 where sin a = w + x, x >= 0", (w + x) ** 2 / w**2, ">=", 1, {x: at_least(0)}),
        compare("two places on: sin(2 h)/sin(h) = 2 cos(h) >= 2 cos(pi/4)", sp.sqrt(2), ">", 1),
        holds(
            "sin h >= 2/K: K/(4 sin^2 h) <= K^3/16, with sin h = 2/K + x",
            K / (4 * (2 / K + x) ** 2),
            "<=",
            K**3 / 16,
            {x: at_least(0)},
        ),
        compare(f"K = {least}, M = {factors}: price of the code against K - 1", near, "<", least - 1),
        identity(
            "the price of K = K_0 (1 + y) is (1 + y)^{3p} as large",
            rank * ((least * (1 + y)) ** 3 / sp.Integer(16)) ** power,
            near * (1 + y) ** (3 * power),
            {y: at_least(0)},
        ),
        holds("which is 1 + y, or less", (1 + y) ** (3 * power) / (1 + y) ** 2, "<=", 1 / (1 + y), {y: at_least(0)}),
        holds(
            "and K_0 (1 + y) - 1 grows more than (K_0 - 1)(1 + y)",
            least * (1 + y) - 1,
            ">=",
            (least - 1) * (1 + y),
            {y: at_least(0)},
        ),
        *(
            compare(
                f"K = {k}, M = {factors}: size {k}/(4 sin^2(pi/{k}))",
                rank * (k / (4 * sp.sin(sp.pi / k) ** 2)) ** power,
                "<",
                k - 1,
            )
            for k in range(CLASSES, least)
        ),
        monotone(
            "prices s^p grow with p for s = 1 + y > 1", (1 + y) ** x, x, "increasing", {y: above(0), x: between(0, 1)}
        ),
    )
    return Proof(
        id=ID,
        statement=" ".join(statements(factors=factors).values()),
        source="new; compare Tan, Gai, Zhang 2026",
        hypotheses=hypotheses(SCOPE),
        steps=steps,
        arguments=(
            argue(
                "mean value theorem",
                "sin grows on [0, pi/2] and sin(pi - x) = sin x: sin(m h) >= sin h; sin x >= 2 x/pi on [0, pi/2], "
                "sin being concave there; prices grow with p, so M >= 6 costs less",
            ),
            argue(
                "unitary invariance",
                "Z is the sum of two rank-one terms along orthogonal vectors, cos(j theta) and sin(j theta), of "
                "square norm K/2",
            ),
        ),
        uses=("schatten-factors", "etf-gram", "within-class-collapse"),
    )


MUTANTS: dict[str, dict[str, Any]] = {
    "size K/(2 sin^2)": {"size": K / (2 * w**2)},
    "size K/(4 sin)": {"size": K / (4 * w)},
    "two factors": {"factors": 2},
    "five factors": {"factors": 5},
    "bound from K = 3 on": {"least": 3},
    "rank four": {"rank": 4},
    "chord without 2": {"chord": sp.sin(a) * sp.sin(b)},
}
