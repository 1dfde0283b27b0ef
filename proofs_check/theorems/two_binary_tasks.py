"""Two binary tasks with correlated labels on shared features: the angle between their classifiers.

Setting. Logistic loss summed over two tasks, labels of mean 0 and correlation r in [0, 1): N (1+r)/4 samples each of
(+,+), (-,-) and N (1-r)/4 each of (+,-), (-,+); weight decay, d >= 2, c = sqrt(N lW lH).

Statement. The logits are +-a on samples with agreeing labels and +-b on the others, a = max(0, log(sqrt(1+r)/c -
1)), b = max(0, log(sqrt(1-r)/c - 1)). The classifiers have the cosine (A - B)/(A + B), A = a sqrt(1+r), B = b
sqrt(1-r), where not both are 0; they are equal iff c >= sqrt(1-r)/2. For r > 0 the cosine tends to (1 -
sqrt(1-r^2))/r as c -> 0.

Source. New here; the question is that of "Neural collapse in multi-task learning" (2026), Theorem 5.1.

Idea. (1, 1)/sqrt(2) and (1, -1)/sqrt(2) are the left singular vectors, so the problem splits in two.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from proofs_check.notation import say
from proofs_check.scope import Scope, hypotheses
from proofs_check.theorems._kernel import Proof, above, argue, at_least, between, holds, identity, monotone
from proofs_check.theorems._kernel import limit as tends

ID = "two-binary-tasks"

r, c, N, z, p, A, B = sp.symbols("r c N z p A B", positive=True)
LOGIT = sp.log(sp.sqrt(p) / c - 1)  # p = 1 + r or 1 - r
COSINE = (A - B) / (A + B)
LIMIT = (1 - sp.sqrt(1 - r**2)) / r

#: What the theorem covers.
SCOPE = (
    Scope(
        ("bce",),
        ("weight-decay",),
        classes=(2, 2),
        dimension="K",
        conditions=("the loss summed over two tasks with labels of mean 0 and correlation r, 0 ≤ r < 1",),
    ),
)


def statements(*, logit: sp.Expr = LOGIT, cosine: sp.Expr = COSINE, limit: sp.Expr = LIMIT, **_: Any) -> dict[str, str]:
    """What the theorem says, by part, with these pieces; see :func:`prove`."""
    a, b = (say(logit.subs(p, x)) for x in (1 + r, 1 - r))
    return {
        "logits": f"With c = √(N λ_W λ_H) the logits are ±a where the labels agree and ±b where they differ, a = "
        f"max(0, {a}) and b = max(0, {b}).",
        "cosine": f"With A = a √(1 + r) and B = b √(1 − r) the two classifiers have the cosine {say(cosine)} for c "
        f"< √(1 + r)/2, and they are equal "
        "if and only if c ≥ √(1 − r)/2.",
        "limit": f"For r > 0 the cosine tends to {say(limit)} as c → 0.",
    }


def prove(
    *,
    logit: sp.Expr = LOGIT,
    cosine: sp.Expr = COSINE,
    limit: sp.Expr = LIMIT,
    singular: sp.Expr = z * sp.sqrt(N * p),
) -> Proof:
    """Prove the statement with these pieces.

    Args:
        logit: a for p = 1 + r, b for p = 1 - r, where positive.
        cosine: in A and B.
        limit: of the cosine as c -> 0.
        singular: singular value of logits +-z on N p/4 + N p/4 samples, both tasks.
    """
    cost = p * sp.log(1 + sp.exp(-z)) + c / sp.sqrt(N) * singular
    many = {p: between(0, 2), c: above(0), N: above(0), z: above(0)}
    level = sp.Symbol("g", positive=True)  # 2 c/sqrt(p) < 1
    t, k, u = sp.symbols("t k u", positive=True)
    plus, minus = sp.sqrt(1 + r), sp.sqrt(1 - r)
    inside = {r: between(0, 1)}
    steps = (
        identity(
            "two columns of N p/4 samples, entries +-z in both rows: square",
            2 * (N * p / 4) * 2 * z**2,
            singular**2,
            many,
        ),
        identity("cost: slope at z", sp.diff(cost, z), c * sp.sqrt(p) - p / (sp.exp(z) + 1), many),
        identity(
            "vanishes at the logit, c = g sqrt(p)/2",
            (c * sp.sqrt(p) - p / (sp.exp(logit) + 1)).subs(c, level * sp.sqrt(p) / 2),
            0,
            {level: between(0, 1), p: between(0, 2)},
        ),
        monotone("and grows", -p / (sp.exp(z) + 1), z, "increasing", {p: between(0, 2), z: above(0)}),
        holds(
            "the logit is positive iff c < sqrt(p)/2: sqrt(p)/c - 1 > 1", 2 / level - 1, ">", 1, {level: between(0, 1)}
        ),
        holds(
            "for c >= sqrt(p)/2 the slope is positive at z > 0",
            ((1 + t) / 2 - 1 / (sp.exp(z) + 1)),
            ">",
            0,
            {t: at_least(0), z: above(0)},
        ),
        # W W^T is a multiple of A u u^T + B v v^T, u = (1, 1)/sqrt(2), v = (1, -1)/sqrt(2)
        identity(
            "cosine: off-diagonal over diagonal", ((A - B) / 2) / ((A + B) / 2), cosine, {A: above(0), B: above(0)}
        ),
        holds("it is below 1 for B > 0", cosine, "<", 1, {A: above(0), B: above(0)}),
        identity("and 1 for B = 0", cosine.subs(B, 0), 1, {A: above(0)}),
        # with x = plus and y = minus a - b is bounded and b is not: A : B -> sqrt(1+r) : sqrt(1-r)
        tends("e^{a-b} at c = y u, x = k y, as u falls to 0", (k - u) / (1 - u), u, 0, k, {k: above(1)}),
        tends("e^{-b} falls to 0", u / (1 - u), u, 0, 0),
        identity(
            "the limit times r: (plus - minus)^2 over plus^2 - minus^2", (plus - minus) ** 2, 2 * r * limit, inside
        ),
        identity("plus^2 - minus^2", plus**2 - minus**2, 2 * r, inside),
    )
    return Proof(
        id=ID,
        statement=" ".join(statements(logit=logit, cosine=cosine, limit=limit).values()),
        source="new; Neural collapse in multi-task learning (2026) for the setting",
        hypotheses=hypotheses(SCOPE),
        steps=steps,
        arguments=(
            argue(
                "Jensen",
                "the objective is strictly convex in the logits and unchanged by flipping all labels and by "
                "exchanging the tasks, so samples of one pair of labels share their logits and these are +-(a, a) "
                "and +-(b, -b)",
            ),
            argue("unitary invariance", "the nuclear norm of orthogonal rank-one parts is the sum of theirs"),
            argue("arithmetic-geometric mean", "balanced factors give W W^T = sqrt(lH/lW) (Z D Z^T)^{1/2}"),
        ),
        uses=("nuclear-norm-factorisation",),
    )


MUTANTS: dict[str, dict[str, Any]] = {
    "logit without the root": {"logit": sp.log(p / c - 1)},
    "logit without 1": {"logit": sp.log(sp.sqrt(p) / c)},
    "cosine (A - B)^2": {"cosine": (A - B) ** 2 / (A + B) ** 2},
    "cosine A/(A + B)": {"cosine": A / (A + B)},
    "limit r": {"limit": r},
    "limit with 1 + r^2": {"limit": (1 - sp.sqrt(1 + r**2)) / r},
    "singular without N": {"singular": z * sp.sqrt(p)},
}
