"""Within-class collapse (NC1) is optimal for every class prior, loss and architecture with a linear head.

Setting. Minimise (1/N) sum_{k,i} l(W B h_{k,i}, k) with a convex l (cross-entropy or squared error), B = I for an
explicit network and B = (I - A)^{-1} for a linear equilibrium layer, subject to a budget on, or a penalty
(lH/2) sum_{k,i} |h_{k,i}|^2 of, the features.

Statement. Replacing each h_{k,i} by its class mean never raises the risk and lowers the squared feature norm of class k
by exactly sum_i |h_{k,i} - mean|^2. So every minimiser of the penalised problem has h_{k,i} = h_k, and so has every
minimiser of the problem with budgets under cross-entropy.

Source. Zhu et al. 2021, Theorem 3.1; Fang et al. 2021, Theorem 1 (balanced); here for any n_k.

Under budgets MSE is left out: with slack budgets it has minimisers of risk 0 that are not collapsed.

Idea. Jensen for the risk, the parallel axis identity for the norm. With budgets a non-collapsed minimiser would leave
slack in that of the features, so the gradient of the risk in them would vanish, which cross-entropy does not allow.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from proofs_check.notation import say
from proofs_check.scope import LOSSES, Scope, hypotheses
from proofs_check.theorems._kernel import Proof, above, argue, everywhere, expectation, holds, identity

ID = "within-class-collapse"

n, sum_sq = sp.symbols("n S_2", positive=True)
sum_1, h = sp.symbols("S_1 h", real=True)
spread, slack = sp.symbols("V epsilon", positive=True)


#: Models whose features pay a weight decay.
DECAY = ("weight-decay", "spectral-deq-decay", "penalised-deq", "uncapped-deq", "deep-decay", "bias-decay")

#: What the theorem covers.
SCOPE = (
    Scope(tuple(LOSSES), DECAY),
    Scope(models=("layer-peeled", "spectral-deq", "frobenius-deq", "deep-linear")),
)


def statements(*, mean: sp.Expr = sum_1 / n, drop_weight: sp.Expr = sp.Integer(1), **_: Any) -> dict[str, str]:
    """What the theorem says, by part, with these pieces; see :func:`prove`."""
    return {
        "mean": f"Replacing the n features of a class, of sum S_1, by {say(mean)} does not raise the risk and lowers "
        f"Σ|h|² by "
        f"{'' if drop_weight == 1 else say(drop_weight) + ' · '}Σ|h − {say(mean)}|².",
        "minimisers": "So the features of a class coincide at every minimiser.",
    }


def prove(
    *,
    mean: sp.Expr = sum_1 / n,
    drop_weight: sp.Expr = sp.Integer(1),
    relation: str = "<",
    scaling: sp.Expr = sp.sqrt(1 + slack),
) -> Proof:
    """Prove the statement with these pieces.

    Args:
        mean: what replaces the features of a class, in terms of ``S_1 = sum_i h_i`` and n (one coordinate).
        drop_weight: factor of ``sum_i |h_i - mean|^2`` in the drop of the squared norm.
        relation: relation of the collapsed squared norm to the original one, when the class is not collapsed.
        scaling: factor by which collapsed features may grow when the fraction epsilon of their budget is left.
    """
    domain = {sum_1: everywhere(), n: above(0)}
    moments = [n, sum_1, sum_sq]
    around_mean = expectation((h - mean) ** 2, h, moments)
    drop = sum_sq - n * mean**2
    steps = (
        identity("sum_i (h_i - mean) = 0", expectation(h - mean, h, moments), 0, domain),
        identity("sum_i h_i^2 - n mean^2 = sum_i (h_i - mean)^2", drop, drop_weight * around_mean, domain),
        holds(
            "squared norm of the collapsed class against the original, V = sum_i (h_i - mean)^2 > 0",
            n * mean**2,
            relation,
            n * mean**2 + spread,
            domain,
        ),
        identity("features scaled into the slack use the budget exactly", scaling**2, 1 + slack),
        holds("the slack allows a scaling above 1", scaling**2 - 1, ">", 0),
    )
    return Proof(
        id=ID,
        statement=" ".join(statements(mean=mean, drop_weight=drop_weight).values()),
        source="Zhu et al. 2021, Theorem 3.1; Fang et al. 2021, Theorem 1",
        hypotheses=hypotheses(SCOPE),
        steps=steps,
        arguments=(
            argue("Jensen", "(1/n) sum_i l(W B h_i + b) >= l(W B mean + b), coordinates of h summed over"),
            argue(
                "convex optimality",
                "budgets: if that of the features is slack at a minimiser, the gradient in them vanishes: each row "
                "of W B is "
                "the mean of all rows under the probabilities p of a column, all positive, so that all rows are one, "
                "the logits "
                "of a column are equal and the risk is that of Z = 0, which entry k of the gradient, pi_k (p_k - 1) "
                "< 0, lowers",
            ),
        ),
        uses=("ce-convex",),
    )


MUTANTS: dict[str, dict[str, Any]] = {
    "twice the drop": {"drop_weight": sp.Integer(2)},
    "sum instead of mean": {"mean": sum_1},
    "mean over n + 1": {"mean": sum_1 / (n + 1)},
    "collapse raises the norm": {"relation": ">"},
    "scaling by 1 + epsilon": {"scaling": 1 + slack},
}
