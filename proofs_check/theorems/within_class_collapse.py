"""Within-class collapse (NC1) is optimal for every class prior, loss and architecture with a linear head.

Setting. Minimise (1/N) sum_{k,i} l(W B h_{k,i}, k) with a convex l (cross-entropy or squared error), B = I for an
explicit network and B = (I - A)^{-1} for a linear equilibrium layer, subject to a budget on, or a penalty
(lH/2) sum_{k,i} |h_{k,i}|^2 of, the features.

Statement. Replacing each h_{k,i} by its class mean never raises the risk and lowers the squared feature norm of class k
by exactly sum_i |h_{k,i} - mean|^2. So every minimiser of the penalised problem has h_{k,i} = h_k, and so has every
minimiser of the problem with budgets under cross-entropy.

Source. Zhu et al. 2021, Theorem 3.1; Fang et al. 2021, Theorem 1 (balanced); here for any n_k.

Idea. Jensen for the risk, the parallel axis identity for the norm. With budgets a non-collapsed minimiser would leave
slack in a budget, so its logits would minimise the risk without constraint, and cross-entropy has no stationary point.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from proofs_check.theorems._kernel import Proof, above, argue, everywhere, expectation, holds, identity

ID = "within-class-collapse"

n, sum_sq = sp.symbols("n S_2", positive=True)
sum_1, h = sp.symbols("S_1 h", real=True)
spread, slack = sp.symbols("V epsilon", positive=True)


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
        statement=f"replacing features by {mean} lowers sum |h|^2 by {drop_weight} * sum |h - mean|^2 and not the risk",
        source="Zhu et al. 2021, Theorem 3.1; Fang et al. 2021, Theorem 1",
        hypotheses=("l convex in the logits", "logits linear in the features", "feature norm penalised or bounded"),
        steps=steps,
        arguments=(
            argue("Jensen", "(1/n) sum_i l(W B h_i) >= l(W B mean), coordinates of h summed over"),
            argue(
                "convex optimality",
                "budgets: if every constraint on the logits is slack at a minimiser, grad f = 0 there, but entry k of "
                "the gradient is pi_k (p_k - 1) < 0",
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
