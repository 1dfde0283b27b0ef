"""At the same temperature the contrastive loss collapses its minority at less imbalance than cross-entropy does.

Setting. One majority class, n = K_B >= 2 others, q = e^{-2 t}: t = beta for the population contrastive loss of unit
vectors, t = a b for cross-entropy with |w_k| <= a, |h| <= b.

Statement. R*_contrastive(t) < R*_cross-entropy(t) for every t > 0, and at t -> 0 they tend to n and (n^2 + 2 n -
1)/2.

Source. New here.

Idea. The contrastive condition, a quadratic in R with one positive root, holds strictly at the other threshold.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from proofs_check.notation import say
from proofs_check.scope import Scope, hypotheses
from proofs_check.theorems._kernel import Proof, above, argue, at_least, between, holds, identity
from proofs_check.theorems.contrastive_collapse import CONDITION, R, n, q
from proofs_check.theorems.norm_bounded_collapse import THRESHOLD

ID = "contrastive-collapses-earlier"

RATIO = (n**2 + 2 * n - 1) / (2 * n)

#: What the theorem covers.
SCOPE = (
    Scope(("contrastive",), ("vectors",), groups=(2, 2), minority=2, dimension="K", conditions=("K_A = 1",)),
    Scope(("ce",), ("norm-bounded",), groups=(2, 2), minority=2, conditions=("K_A = 1", "d ≥ 2 K")),
)


def statements(*, relation: str = "<", ratio: sp.Expr = RATIO, power: int = 1, **_: Any) -> dict[str, str]:
    """What the theorem says, by part, with these pieces; see :func:`prove`."""
    return {
        "earlier": "With one majority class the minority of the contrastive loss Σ_c π_c log Σ_c' π_c' e^{β (⟨x_c, "
        "x_c'⟩ − 1)} has its R* "
        f"{'below' if relation == '<' else 'above'} that{'' if power == 1 else f' to the power {power}'} of "
        "cross-entropy with |w_k| ≤ a, |h_k| ≤ b and a b = β, "
        f"for every β > 0.",
        "ratio": f"As β → 0 the second over the first tends to {say(ratio)}.",
    }


def prove(*, relation: str = "<", ratio: sp.Expr = RATIO, power: int = 1) -> Proof:
    """Prove the statement with these pieces.

    Args:
        relation: of the contrastive threshold to that of cross-entropy.
        ratio: of cross-entropy's to the contrastive one at q = 1.
        power: of the threshold of cross-entropy that is compared.
    """
    many = {n: at_least(2), q: between(0, 1)}
    at = CONDITION.subs(R, THRESHOLD**power)
    scaled = sp.together(at)
    steps = (
        holds(
            "the contrastive condition at the threshold of cross-entropy",
            scaled,
            {"<": ">", ">": "<"}[relation],
            0,
            many,
        ),
        holds("its leading coefficient is positive", sp.diff(CONDITION, R, 2), ">", 0, many),
        holds("and it is negative at R = 0, so it has one positive root", CONDITION.subs(R, 0), "<", 0, many),
        identity(
            "at q = 1 the condition is 2 (R^2 - n^2)",
            CONDITION.subs(q, 1),
            2 * (R**2 - n**2),
            {n: at_least(2), R: above(0)},
        ),
        identity("and the threshold of cross-entropy over n", THRESHOLD.subs(q, 1) / n, ratio, {n: at_least(2)}),
        holds("which is above 1", ratio, ">", 1, {n: at_least(2)}),
    )
    return Proof(
        id=ID,
        statement=" ".join(statements(relation=relation, ratio=ratio, power=power).values()),
        source="new",
        hypotheses=hypotheses(SCOPE),
        steps=steps,
        arguments=(
            argue(
                "intermediate value theorem",
                "a quadratic that is negative at 0 and has a positive leading coefficient is positive exactly "
                "beyond its one positive root, which depends continuously on q",
            ),
        ),
        uses=("norm-bounded-collapse", "contrastive-collapse"),
    )


MUTANTS: dict[str, dict[str, Any]] = {
    "later": {"relation": ">"},
    "ratio n": {"ratio": n},
    "ratio 1": {"ratio": sp.Integer(1)},
    "its inverse": {"power": -1},
}
