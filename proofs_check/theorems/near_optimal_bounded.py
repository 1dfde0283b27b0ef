"""Bounded classifiers and features, balanced: what every near-optimal network has in common, with explicit constants.

Setting. |w_k| <= a, |h| <= b, equal counts, cross-entropy; optimum f*, margin there m* = a b K/(K-1)
(norm-bounded-etf). A point has the risk f <= f* + eps < log K; m = log((K-1)/(e^{f* + eps} - 1)), delta = 1 - m/m*.
h_k are class means of features, bars means over classes.

Statement. The mean margin is at least m, which a multiple of the ETF attains. The mean square distance of features
to their class mean is at most b^2 delta (2 - delta); the mean over k of |(w_k - wbar)/a - (h_k - hbar)/b|^2, plus
|wbar|^2/a^2 + |hbar|^2/b^2, at most 2 delta; the mean of <h_j, h_k>, j != k, at most b^2 (2 K delta - (1 -
delta)^2)/(K-1).

Source. The statement of Pan, Cao 2023 (near-optimal risk and cosines) with constants that are derived here.

Idea. Jensen bounds the mean margin S/(K-1) from below, and K a b - S bounds everything else.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from proofs_check.notation import say
from proofs_check.scope import Scope, hypotheses
from proofs_check.theorems._kernel import Proof, above, argue, at_least, between, holds, identity, monotone

ID = "near-optimal-bounded"

K, a, b, m, f, delta, S, p, q, x = sp.symbols("K a b m f delta S p q x", positive=True)
LEAST = sp.log((K - 1) / (sp.exp(f) - 1))
VARIANCE = b**2 * delta * (2 - delta)
DUALITY = 2 * delta
PRODUCT = b**2 * (2 * K * delta - (1 - delta) ** 2) / (K - 1)

#: What the theorem covers.
SCOPE = (
    Scope(
        models=("norm-bounded",),
        groups=(1, 1),
        dimension="K - 1",
        conditions=("|h| ≤ b for the feature of every sample",),
    ),
)


def statements(
    *, variance: sp.Expr = VARIANCE, duality: sp.Expr = DUALITY, product: sp.Expr = PRODUCT, **_: Any
) -> dict[str, str]:
    """What the theorem says, by part, with these pieces; see :func:`prove`."""
    setting = (
        "Let W and features have a risk f below log K, m = log((K − 1)/(e^f − 1)), m* = a b K/(K − 1), δ = 1 − "
        "m/m*, h_k the class means of the "
        "features."
    )
    return {
        "margin": f"{setting} The mean of the margins z_kk − z_jk is at least m, and among all networks of that "
        f"risk a multiple of the simplex ETF attains it.",
        "variance": f"The mean squared distance of a feature to its class mean is at most {say(variance)}.",
        "duality": f"With the means w̄ and h̄ over the classes, |w̄|²/a² + |h̄|²/b² plus the mean of |(w_k − w̄)/a "
        f"− (h_k − h̄)/b|² over the classes is at most {say(duality)}.",
        "product": f"The mean of ⟨h_j, h_k⟩ over j ≠ k is at most {say(product)}.",
    }


def prove(
    *,
    least: sp.Expr = LEAST,
    variance: sp.Expr = VARIANCE,
    duality: sp.Expr = DUALITY,
    product: sp.Expr = PRODUCT,
) -> Proof:
    """Prove the statement with these pieces.

    Args:
        least: mean margin that a risk f needs.
        variance: bound of the mean squared distance to class means.
        duality: bound of the distance to self-duality and of the means.
        product: bound of the mean inner product of two class means.
    """
    many = {K: at_least(2), a: above(0), b: above(0), delta: between(0, 1)}
    full = K * a * b * (1 - delta)  # least S
    length = full**2 / (K * a**2)  # least sum |h_k|^2
    loss = sp.log(1 + (K - 1) * sp.exp(-m))
    top = a * b * K / (K - 1)
    steps = (
        monotone("the risk of equal margins falls with them", loss, m, "decreasing", {K: at_least(2), m: above(0)}),
        holds("and is convex in them", sp.diff(loss, m, 2), ">", 0, {K: at_least(2), m: above(0)}),
        identity(
            "e^f - 1 at margin m is (K-1) e^{-m}: e^m",
            (K - 1) / (sp.exp(loss) - 1),
            sp.exp(m),
            {K: at_least(2), m: above(0)},
        ),
        identity(
            "so the margin is what the risk needs",
            sp.exp(least.subs(f, loss)),
            sp.exp(m),
            {K: at_least(2), m: above(0)},
        ),
        identity("mean margin S/(K-1) at least (1 - delta) m*: S", (K - 1) * (1 - delta) * top, full, many),
        # S <= sqrt(sum |w_k - wbar|^2) sqrt(sum |h_k|^2) <= a sqrt(K) sqrt(sum |h_k|^2)
        identity("sum |h_k|^2 at least S^2/(K a^2)", length, K * b**2 * (1 - delta) ** 2, many),
        identity("mean |h|^2 <= b^2 less mean |h_k|^2", b**2 - length / K, variance, many),
        # p = |wbar|^2/a^2, q = |hbar|^2/b^2: sum |w_k - wbar|^2/a^2 <= K (1 - p)
        identity(
            "mean of |x_k - y_k|^2 for centred x_k = w_k/a, y_k = h_k/b, plus p + q",
            (1 - p) + (1 - q) - 2 * full / (K * a * b) + p + q,
            duality,
            many,
        ),
        holds("hence q", duality - x, "<=", 2 * delta, {x: at_least(0), delta: between(0, 1)}),
        identity(
            "mean <h_j, h_k>: (K^2 b^2 q - sum |h_k|^2)/(K (K-1)) at q = 2 delta",
            (K**2 * b**2 * duality - length) / (K * (K - 1)),
            product,
            many,
        ),
        identity(
            "at delta = 0 the product is that of the ETF",
            product.subs(delta, 0),
            -(b**2) / (K - 1),
            {K: at_least(2), b: above(0)},
        ),
        monotone(
            "and it grows with delta", product, delta, "increasing", {K: at_least(2), b: above(0), delta: between(0, 1)}
        ),
    )
    return Proof(
        id=ID,
        statement=" ".join(statements(variance=variance, duality=duality, product=product).values()),
        source="Pan, Cao 2023, with constants derived here",
        hypotheses=hypotheses(SCOPE),
        steps=steps,
        arguments=(
            argue(
                "Jensen",
                "f >= log(1 + (K-1) e^{-mean margin}), with equality for equal margins: those of a multiple of the ETF",
            ),
            argue(
                "Cauchy-Schwarz",
                "S = sum <w_k - wbar, h_k> <= (sum |w_k - wbar|^2)^{1/2} (sum |h_k|^2)^{1/2}, and sum |w_k - "
                "wbar|^2 <= K a^2",
            ),
            argue(
                "Pythagoras",
                "sum |w_k - wbar|^2 = sum |w_k|^2 - K |wbar|^2; the mean squared distance to class means is the "
                "mean of |h|^2 less that of |h_k|^2",
            ),
        ),
        uses=("norm-bounded-etf",),
    )


MUTANTS: dict[str, dict[str, Any]] = {
    "margin log(K/(e^f - 1))": {"least": sp.log(K / (sp.exp(f) - 1))},
    "margin log((K-1)/e^f)": {"least": sp.log((K - 1) / sp.exp(f))},
    "variance delta^2": {"variance": b**2 * delta**2},
    "variance delta": {"variance": b**2 * delta},
    "duality delta": {"duality": delta},
    "product without 2": {"product": b**2 * (K * delta - (1 - delta) ** 2) / (K - 1)},
}
