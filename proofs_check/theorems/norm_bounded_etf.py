"""Bounded classifiers and features, balanced classes: the simplex ETF, at the value of the Frobenius budgets.

Setting. |w_k| <= a, |h| <= b for every classifier and feature, equal counts, cross-entropy, d >= K - 1. With means
wm, hm and S = sum_k <w_k - wm, h_k - hm> the K (K-1) margins z_kk - z_jk have the mean S/(K-1).

Statement. The minimum is log(1 + (K-1) e^{-a b K/(K-1)}), attained exactly where the features of class k are h_k,
the h_k form a simplex ETF of length b and w_k = (a/b) h_k. Budgets E_W = a^2, E_H = b^2 for the averages have the
same minimum.

Source. Graf et al. 2021, Theorem 1, and Yaras et al. 2022, Theorem 1, as we state them.

Idea. Jensen over the margins; S <= K a b with equality only for means 0 and parallel w_k, h_k of full length.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from proofs_check.notation import say
from proofs_check.scope import Scope, hypotheses
from proofs_check.theorems._kernel import Proof, above, argue, at_least, everywhere, holds, identity, monotone

ID = "norm-bounded-etf"

K, a, b, S, m, p, q = sp.symbols("K a b S m p q", positive=True)
MARGIN = a * b * K / (K - 1)
BUDGET = K * a * b / (K - 1)

#: What the theorem covers.
SCOPE = (Scope(models=("norm-bounded",), groups=(1, 1), dimension="K - 1"),)


def statements(*, margin: sp.Expr = MARGIN, **_: Any) -> dict[str, str]:
    """What the theorem says, by part, with these pieces; see :func:`prove`."""
    return {
        "value": f"The minimum of the cross-entropy is log(1 + (K − 1) e^{{−{say(margin)}}}), attained exactly "
        f"where all features of "
        "class k are one h_k, the h_k form a simplex ETF of length b, and w_k = (a/b) h_k.",
        "budgets": "The budgets (1/K) Σ |w_k|² ≤ a² and (1/K) Σ |h_k|² ≤ b² have the same minimum.",
    }


def prove(
    *,
    margin: sp.Expr = MARGIN,
    budget: sp.Expr = BUDGET,
    mean: sp.Expr = S / (K - 1),
    cosine: sp.Expr = -1 / (K - 1),
) -> Proof:
    """Prove the statement with these pieces.

    Args:
        margin: the margin at the optimum.
        budget: that under Frobenius budgets, tau/(K-1) with tau = K sqrt(E_W E_H).
        mean: mean of all margins, in S.
        cosine: of two features.
    """
    inner = sp.Symbol("c", real=True)  # <wm, hm>
    loss = sp.log(1 + (K - 1) * sp.exp(-m))
    many = {K: at_least(2), m: above(0), a: above(0), b: above(0)}
    # |w_k - wm|^2 sums to K (a^2 - p) at most, p = |wm|^2; the same with q = |hm|^2; 2 x y <= (b/a) x^2 + (a/b) y^2
    bound = (b / a * K * (a**2 - p) + a / b * K * (b**2 - q)) / 2
    x, y = sp.symbols("x y", positive=True)
    steps = (
        # sum_k z_kk = S + K <wm, hm>, sum_jk z_jk = K^2 <wm, hm>
        identity(
            "mean margin: (K sum z_kk - sum z_jk)/(K (K-1))",
            (K * (S + K * inner) - K**2 * inner) / (K * (K - 1)),
            mean,
            {**many, inner: everywhere()},
        ),
        identity(
            "(b/a) x^2 + (a/b) y^2 - 2 x y is a square",
            b / a * x**2 + a / b * y**2 - 2 * x * y,
            (b * x - a * y) ** 2 / (a * b),
            many,
        ),
        identity("the bound of S", bound, K * a * b - K * (b * p / a + a * q / b) / 2, many),
        holds("which is at most K a b", bound, "<=", K * a * b, {**many, p: at_least(0), q: at_least(0)}),
        holds("and less where a mean is not 0", bound.subs(q, 0), "<", K * a * b, {**many, p: above(0)}),
        identity("mean margin at S = K a b", mean.subs(S, K * a * b), margin, many),
        monotone("the loss falls with the margin", loss, m, "decreasing", many),
        holds("and is strictly convex in it", sp.diff(loss, m, 2), ">", 0, many),
        identity("the ETF has this margin: a b (1 - cosine)", a * b * (1 - cosine), margin, many),
        identity("and mean 0: K + K (K-1) cosine = 0", K + K * (K - 1) * cosine, 0, many),
        identity("budgets: tau/(K-1), tau = K sqrt(a^2 b^2)", K * sp.sqrt(a**2 * b**2) / (K - 1), budget, many),
        identity("is the same margin", budget, margin, many),
    )
    return Proof(
        id=ID,
        statement=" ".join(statements(margin=margin).values()),
        source="Graf et al. 2021, Theorem 1; Yaras et al. 2022, Theorem 1",
        hypotheses=hypotheses(SCOPE),
        steps=steps,
        arguments=(
            argue(
                "Jensen",
                "the average over samples, classes k and j of a strictly convex decreasing function of the margins "
                "is at least its value at their mean, with equality only for equal margins; a class mean of "
                "features has length at most b",
            ),
            argue(
                "Cauchy-Schwarz",
                "<w_k - wm, h_k - hm> <= |w_k - wm| |h_k - hm|, with equality only for parallel vectors",
            ),
            argue(
                "Pythagoras",
                "sum |w_k - wm|^2 = sum |w_k|^2 - K |wm|^2 <= K (a^2 - |wm|^2), so S = K a b makes the means 0, the "
                "lengths a and b, and w_k = (a/b) h_k; equal margins then make the h_k equiangular",
            ),
        ),
        uses=("balanced-layer-peeled-etf",),
    )


MUTANTS: dict[str, dict[str, Any]] = {
    "margin a b": {"margin": a * b},
    "margin (K-1)/K": {"margin": a * b * (K - 1) / K},
    "margin with a^2 b^2": {"margin": a**2 * b**2 * K / (K - 1)},
    "budget without K": {"budget": a * b / (K - 1)},
    "mean over K": {"mean": S / K},
    "cosine -1/K": {"cosine": -1 / K},
}
