"""Multi-label cross-entropy over all sets of each size: one margin a size, one threshold for all of them.

Setting. For sizes m in M, 1 <= m <= K-1, each of the C_m = binom(K, m) sets S of m of K classes has n_m samples, N
in all; loss sum over k in S of the cross-entropy with label k; weight decay, d >= K - 1, lam^2 = lW lH, k_m = C_m m
(K-m)/(K (K-1)) = binom(K-2, m-1).

Statement. The optimum is 0 iff N lam >= sqrt(sum_m n_m k_m). Otherwise the logits of S are a_m (1_S - m/K) with
every a_m > 0 and a_m (m e^{a_m} + K - m) the same for all m, so larger sets have smaller margins; the classifiers
form a simplex ETF and the features of S are (a_m/a_1) times the sum of those of its classes where 1 is in M.

Source. Li et al. 2024 (multi-label neural collapse), as we state it; the common threshold is derived here.

Idea. The columns of all sizes are W^T-images of sum-zero indicators, whose second moments are multiples of I -
11^T/K.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from proofs_check.scope import Scope, hypotheses
from proofs_check.theorems._kernel import Proof, above, argue, at_least, holds, identity, monotone

ID = "multi-label-pick-all"

K, m, C, n, N, a, s, lam, x = sp.symbols("K m C n N a s lambda x", positive=True)
MOMENT = C * m * (K - m) / (K * (K - 1))
BALANCE = a * (m * sp.exp(a) + K - m)

#: What the theorem covers.
SCOPE = (
    Scope(
        models=("weight-decay",),
        dimension="K - 1",
        conditions=(
            "labels are all sets of each of some sizes 1 ≤ m ≤ K − 1, n_m samples for each set of size m",
            "the loss of a sample summed over its labels",
        ),
    ),
)


def statements(*, power: int = 1, slope: str = "increasing", **_: Any) -> dict[str, str]:
    """What the theorem says, by part, with these pieces; see :func:`prove`."""
    return {
        "threshold": "The optimum is 0 if and only if N √(λ_W λ_H) ≥ √(Σ_m n_m binom(K − 2, m − 1)), so either all "
        "sizes have a margin or none has.",
        "margins": "Where the optimum is not 0 the logits of a set S of size m are a_m (1_S − m/K) with a_m > 0, and "
        "a_m (m e^{a_m} + K − m) is the same for all m: "
        "larger sets have smaller margins.",
        "features": "The classifiers form a simplex ETF, and where single labels occur the features of S are "
        "a_m/a_1 times the sum of those of its "
        "classes.",
    }


def prove(
    *,
    moment: sp.Expr = MOMENT,
    balance: sp.Expr = BALANCE,
    pull: sp.Expr = K / (m * sp.exp(a) + K - m),
    slope: str = "increasing",
) -> Proof:
    """Prove the statement with these pieces.

    Args:
        moment: k_m, eigenvalue of the second moments of 1_S - m/K over the sets of size m.
        balance: what all sizes share, in a and m.
        pull: gradient along 1_S - m/K at the margin a, times N/n.
        slope: how the balance depends on a.
    """
    total = m * sp.exp(a) + K - m
    y = m + x  # K = m + x: x >= 1 classes outside of S
    diagonal = C * (m / K * (1 - m / K) ** 2 + (1 - m / K) * (m / K) ** 2)
    off = C * (m * (m - 1) / (K * (K - 1)) - m**2 / K**2)
    free = {m: at_least(1), x: at_least(1), a: above(0), C: above(0)}
    wide = {K: at_least(2), m: at_least(1), C: above(0)}
    out = {K: y}
    steps = (
        identity("second moments of 1_S - m/K: rows sum to 0", diagonal + (K - 1) * off, 0, wide),
        identity("so they are a multiple of I - 11^T/K, by", diagonal - off, moment, wide),
        identity(
            "gradient: on S less off S",
            (1 - m * sp.exp(a) / total).subs(out) + (m / total).subs(out),
            pull.subs(out),
            free,
        ),
        identity("and it sums to 0", (m * (1 - m * sp.exp(a) / total) - (K - m) * m / total).subs(out), 0, free),
        identity("at 0 the pull is 1", pull.subs(a, 0), 1, {K: at_least(2), m: at_least(1)}),
        # active: (n/N) pull sqrt-weighted column = lam a/s times that of Z: pull/N = lam a/s
        identity(
            "optimality pull/N = lam a/s says a total = K s/(N lam)",
            (pull / a * s / (N * lam) * balance).subs(out),
            (K * s / (N * lam)).subs(out),
            {**free, s: above(0), N: above(0), lam: above(0)},
        ),
        monotone("the balance in a", balance.subs(out), a, slope, free),
        holds("and it grows with m at fixed K and a", sp.diff(balance, m), ">", 0, {a: above(0)}),
        identity(
            "at a = 0 the balance is 0, so no a_m is 0 unless all are",
            balance.subs(a, 0),
            0,
            {K: at_least(2), m: at_least(1)},
        ),
        identity(
            "norm at 0: sum over sizes of n/N^2 k_m, one term",
            (n / N) ** 2 / n * moment,
            n * moment / N**2,
            {**wide, n: above(0), N: above(0)},
        ),
    )
    return Proof(
        id=ID,
        statement=" ".join(statements(slope=slope).values()),
        source="Li et al. 2024, multi-label neural collapse; threshold derived here",
        hypotheses=hypotheses(SCOPE),
        steps=steps,
        arguments=(
            argue(
                "Jensen",
                "the objective is convex and unchanged by permutations of the classes, so averaging leaves logits "
                "alpha 1_S + beta; centring lowers the norm: a_m (1_S - m/K)",
            ),
            argue(
                "convex optimality",
                "|Z D^{1/2}|_* has the subgradient Z D^{1/2}/s at s (I - 11^T/K)-orthogonal rows, and "
                "|gradient|_2^2 = sum_m n_m k_m/N^2 at 0; the probabilities at the optimum are unique and so are "
                "centred logits",
            ),
            argue(
                "arithmetic-geometric mean",
                "balanced factors: W W^T = sqrt(lH/lW) s P and H a multiple of W^T Z, whose column S is a_m times "
                "the sum of W^T e_k over S",
            ),
        ),
        uses=("nuclear-norm-factorisation", "ce-convex"),
    )


MUTANTS: dict[str, dict[str, Any]] = {
    "moment with K^2": {"moment": C * m * (K - m) / K**2},
    "moment C m": {"moment": C * m},
    "balance without m": {"balance": a * (sp.exp(a) + K - m)},
    "balance of 1": {"balance": a * (m * sp.exp(a) + K)},
    "pull without K": {"pull": 1 / (m * sp.exp(a) + K - m)},
    "the balance falls": {"slope": "decreasing"},
}
