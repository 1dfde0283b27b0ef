"""Several classification heads on shared features: each is an ETF at a margin of its own, or not used at all.

Setting. Heads t with K_t >= 2 classes and weights c_t > 0, N samples among which every tuple of labels is equally
frequent; minimise sum_t c_t [(1/N) sum_i CE(W^t h_i) + (lW/2)|W^t|^2] + (lH/2) sum_i |h_i|^2; d >= sum (K_t - 1),
lam^2 = lW lH.

Statement. Head t is not 0 iff lam^2 < c_t/(N K_t). Then W^t is a simplex ETF, the logits of head t are a_t (e_y -
1/K_t), a_t = log(K_t/g - K_t + 1), g = lam sqrt(N K_t/c_t); the rows of different heads are orthogonal.

Source. The multi-task theorem of "Neural collapse in multi-task learning" (2026), whose condition has no c_t,
corrected.

Idea. With V^t = sqrt(c_t) W^t the heads are one matrix V; blocks of the gradient are orthogonal to each other, so its
spectral norm is the largest of theirs, and the nuclear norm of the logits is a sum over heads.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from proofs_check.notation import say
from proofs_check.scope import Scope, hypotheses
from proofs_check.theorems._kernel import Proof, above, argue, at_least, between, holds, identity

ID = "multi-task-heads"

K, L, N, c, lam, g, a = sp.symbols("K_t K_s N c_t lambda g a", positive=True)
LEVEL = c / (N * K)
MARGIN = sp.log(K / g - K + 1)

#: What the theorem covers.
SCOPE = (
    Scope(
        models=("weight-decay",),
        groups=(1, 1),
        conditions=(
            "heads t with K_t ≥ 2 classes and weights c_t > 0 of both risk and weight decay, on the same features",
            "every tuple of labels equally frequent",
            "d ≥ Σ (K_t − 1)",
        ),
    ),
)


def statements(*, level: sp.Expr = LEVEL, margin: sp.Expr = MARGIN, **_: Any) -> dict[str, str]:
    """What the theorem says, by part, with these pieces; see :func:`prove`."""
    return {
        "threshold": f"Head t is not 0 at the optimum if and only if λ_W λ_H < {say(level)}.",
        "geometry": "The classifiers of a head that is not 0 form a simplex ETF, those of different heads are "
        "orthogonal, and its logits are "
        f"a (e_y − 1/K_t) with a = {say(margin)}, g = √(λ_W λ_H N K_t/c_t).",
    }


def prove(
    *,
    level: sp.Expr = LEVEL,
    margin: sp.Expr = MARGIN,
    share: sp.Expr = N / K,
    cross: sp.Expr = sp.Integer(0),
) -> Proof:
    """Prove the statement with these pieces.

    Args:
        level: lW lH from which on head t is 0.
        margin: a_t in K_t and g.
        share: eigenvalue of sum_i (e_y - 1/K)(e_y - 1/K)^T.
        cross: sum_i (e_y - 1/K_t)_j (e_y' - 1/K_s)_k over samples, for two heads.
    """
    many = {K: at_least(2), L: at_least(2), N: above(0), c: above(0)}
    own, other = 1 - 1 / K, -1 / K
    # entries of the sum over samples, N/K of each label, and its eigenvalue on vectors of sum 0
    diagonal = N / K * (own**2 + (K - 1) * other**2)
    off = N / K * (2 * own * other + (K - 2) * other**2)
    error = 1 / (sp.exp(a) + K - 1)  # probability of each wrong class at logits a (e_y - 1/K)
    inside = {K: at_least(2), g: between(0, 1)}
    steps = (
        identity("labels of one head over samples: eigenvalue", diagonal - off, share, many),
        identity(
            "labels of two heads, all pairs equally frequent",
            N / (K * L) * (own + (K - 1) * other) * ((1 - 1 / L) + (L - 1) * (-1 / L)),
            cross,
            many,
        ),
        identity(
            "square of |gradient block|_2 at 0: (sqrt(c)/N)^2 N/K",
            (sp.sqrt(c) / N) ** 2 * (diagonal - off),
            level,
            many,
        ),
        identity("is lam^2 where g = lam sqrt(N K/c) is 1", (lam * sp.sqrt(N * K / c)) ** 2, lam**2 / level, many),
        # logits of V are sqrt(c) a (e_y - 1/K): singular value a sqrt(c N/K);
        # gradient block (sqrt(c)/N) K error (e_y - 1/K)
        identity("1 - p_own = (K - 1) error", 1 - sp.exp(a) * error, (K - 1) * error, {K: at_least(2), a: above(0)}),
        identity(
            "gradient along e_y - 1/K: own less wrong",
            (1 - sp.exp(a) * error) + error,
            K * error,
            {K: at_least(2), a: above(0)},
        ),
        identity("its size is lam at the margin: K error = g", K / (sp.exp(margin) + K - 1), g, inside),
        identity(
            "lam in these terms: (sqrt(c)/N) g sqrt(N/K)",
            (sp.sqrt(c) / N * g * sp.sqrt(N / K)).subs(g, lam * sp.sqrt(N * K / c)),
            lam,
            many,
        ),
        holds("the margin is positive: K/g - K + 1 > 1 for g < 1", K / g - K + 1, ">", 1, inside),
        holds(
            "a head of 0 has a gradient of lam at most: g >= 1",
            1 / (K + (K - 1) * 0) * K,
            "<=",
            g,
            {K: at_least(2), g: at_least(1)},
        ),
    )
    return Proof(
        id=ID,
        statement=" ".join(statements(level=level, margin=margin).values()),
        source="Neural collapse in multi-task learning (2026), corrected",
        hypotheses=hypotheses(SCOPE),
        steps=steps,
        arguments=(
            argue(
                "convex optimality",
                "the risk is convex in the stacked logits V H; -gradient = lam U V^T on the active blocks and has "
                "norm at most lam elsewhere, so the point is optimal; the probabilities of the optimum are unique, "
                "and the logits of every head are centred",
            ),
            argue(
                "unitary invariance",
                "blocks with orthogonal rows and orthogonal columns: singular values of the whole are those of the "
                "blocks",
            ),
        ),
        uses=("nuclear-norm-factorisation", "ce-convex"),
    )


MUTANTS: dict[str, dict[str, Any]] = {
    "level without c": {"level": 1 / (N * K)},
    "level with c^2": {"level": c**2 / (N * K)},
    "level without K": {"level": c / N},
    "margin log(K/g)": {"margin": sp.log(K / g)},
    "margin log(1/g)": {"margin": sp.log(1 / g)},
    "share N": {"share": N},
    "heads overlap": {"cross": N / (K * L)},
}
