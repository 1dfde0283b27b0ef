"""A classifier fixed to a simplex ETF: every class is served alike, whatever its samples.

Setting. w_k fixed, |w_k| = alpha, <w_j, w_k> = -alpha^2/(K-1), d >= K - 1; features free, |h_i| <= b for every sample,
or weight decay (lH/2) sum_i |h_i|^2 with N samples in all; mean cross-entropy.

Statement. h_i = b w_k/alpha in class k, or t w_k/alpha with lH N t = K alpha/(e^{K alpha t/(K-1)} + K - 1): the counts
do not enter.

Source. Yang et al. 2022, Theorem 1 (bounded features); weight decay is our own.

Idea. The problem separates over samples; the mean margin of a sample is K/(K-1) <w_k, h>.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from proofs_check.notation import say
from proofs_check.scope import Scope, hypotheses
from proofs_check.theorems._kernel import Proof, argue, at_least, holds, identity, monotone

ID = "fixed-etf-classifier"

K, alpha, b, lH, N, t = sp.symbols("K alpha b lambda_H N t", positive=True)
MARGIN = K * alpha * b / (K - 1)
SLOPE = K * alpha / (sp.exp(K * alpha * t / (K - 1)) + K - 1)

#: What the theorem covers.
SCOPE = (Scope(("ce",), ("fixed-etf", "fixed-etf-decay"), dimension="K - 1"),)

_FIXED = "With a classifier fixed to a simplex ETF of length α"


def statements(*, margin: sp.Expr = MARGIN, slope: sp.Expr = SLOPE, **_: Any) -> dict[str, str]:
    """What the theorem says, by part, with these pieces; see :func:`prove`."""
    return {
        "bounded": f"{_FIXED} and |h_i| ≤ b the only optimal feature of a sample of class k is b w_k/α, and the loss "
        f"of every class is log(1 + (K − 1) e^{{−{say(margin)}}}), whatever the counts.",
        "decay": f"{_FIXED} and weight decay of the features, N samples in all, the only optimal "
        "feature of a sample of class k is t w_k/α, where t > 0 solves "
        f"λ_H N t = {say(slope)}, whatever the counts: no class collapses or vanishes at any λ_H.",
    }


def prove(
    *,
    margin: sp.Expr = MARGIN,
    slope: sp.Expr = SLOPE,
    inner: sp.Expr = -(alpha**2) / (K - 1),
    bends: str = ">",
) -> Proof:
    """Prove the statement with these pieces.

    Args:
        margin: of every sample, bounded features.
        slope: what lH N t equals, under weight decay.
        inner: <w_j, w_k>.
        bends: sign of the second derivative of the loss in t.
    """
    m, product, grown = sp.symbols("m P E", positive=True)
    many = {K: at_least(2)}
    loss = sp.log(1 + (K - 1) * sp.exp(-m))
    along = loss.subs(m, K * alpha * t / (K - 1))
    steps = (
        identity("the w_k sum to zero: alpha^2 + (K-1) <w_j, w_k>", alpha**2 + (K - 1) * inner, 0, many),
        # sum_{j != k} <w_j, h> = -<w_k, h> =: -P
        identity(
            "mean margin (1/(K-1)) sum_j <w_k - w_j, h>",
            ((K - 1) * product + product) / (K - 1),
            product * margin / (alpha * b),
            many,
        ),
        identity("margin of each j at h = t w_k/alpha", (alpha**2 - inner) * b / alpha, margin, many),
        monotone("the loss falls with the margin", loss, m, "decreasing", many),
        holds("and is strictly convex in it", sp.diff(loss, m, 2), bends, 0, many),
        identity("slope of the loss in t", -sp.diff(along, t), slope, many),
        holds("it is positive at t = 0: zero is never optimal", slope.subs(t, 0), ">", 0, many),
        monotone(
            "and falls with e^{K alpha t/(K-1)}, which grows with t as lH N t does: one t",
            slope.subs(sp.exp(K * alpha * t / (K - 1)), grown),
            grown,
            "decreasing",
            {K: at_least(2), grown: at_least(1)},
        ),
        identity("class of n samples, mean loss and decay: n is a factor", *_class()),
    )
    return Proof(
        id=ID,
        statement=" ".join(statements(margin=margin, slope=slope).values()),
        source="Yang et al. 2022, Theorem 1",
        hypotheses=hypotheses(SCOPE),
        steps=steps,
        arguments=(
            argue(
                "Jensen",
                "the loss of a sample is log(1 + sum_j e^{-m_j}) >= log(1 + (K-1) e^{-m}), m the mean margin, with "
                "equality only for equal margins",
            ),
            argue("Cauchy-Schwarz", "<w_k, h> <= alpha |h|, with equality only for h a multiple t >= 0 of w_k"),
            argue("intermediate value theorem", "slope - lH N t is positive at 0 and negative for large t"),
        ),
    )


def _class() -> tuple[sp.Expr, sp.Expr]:
    n, loss, r = sp.symbols("n L r", positive=True)
    return n / N * loss + lH / 2 * n * r**2, n / N * (loss + lH * N * r**2 / 2)


MUTANTS: dict[str, dict[str, Any]] = {
    "margin alpha b": {"margin": alpha * b},
    "margin with K - 1 over K": {"margin": (K - 1) * alpha * b / K},
    "slope without K - 1": {"slope": K * alpha / (sp.exp(K * alpha * t / (K - 1)) + 1)},
    "slope without K": {"slope": alpha / (sp.exp(K * alpha * t / (K - 1)) + K - 1)},
    "inner product -alpha^2/K": {"inner": -(alpha**2) / K},
    "concave loss": {"bends": "<"},
}
