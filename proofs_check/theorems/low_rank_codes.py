"""Depth prefers low rank at every weight decay: from which number of factors on a code of lower rank beats the ETF.

Setting. Balanced cross-entropy, M linear factors with weight decay or budgets. X is a matrix of logits with all
margins x_kk - x_jk at least 1 and one above, of rank q < K - 1 and largest singular value S > 1.

Statement. For M >= 2 log S/log((K-1)/q), alpha X has a smaller cross-entropy and no larger price than alpha (I -
11^T/K), for every alpha > 0: no ETF is optimal, whatever the weight decay is.

Source. Sharpens Garrod, Keating 2025, Theorem 2, whose depth depends on the weight decay, for the ETF as the other
code.

Idea. The price of X is at most q S^{2/M}, the ETF's K - 1.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from proofs_check.scope import Scope, hypotheses
from proofs_check.theorems._kernel import Proof, argue, at_least, holds, identity, monotone

ID = "low-rank-codes"

M, u, v, q, y = sp.symbols("M u v q y", positive=True)
#: u = log S and v = log((K-1)/q), both positive.
LEAST = 2 * u / v

#: What the theorem covers.
SCOPE = tuple(
    Scope(
        models=(model,),
        classes=(4, None),
        groups=(1, 1),
        dimension="K - 1",
        conditions=("all inner dimensions ≥ K − 1",),
    )
    for model in ("deep-linear", "deep-decay")
)


def statements(*, constant: int = 2, **_: Any) -> dict[str, str]:
    """What the theorem says, by part, with these pieces; see :func:`prove`."""
    return {
        "depth": "Let X be logits of which all margins x_kk − x_jk are at least 1 and one is more, of rank q < K "
        "− 1 and largest singular "
        f"value S > 1. For M ≥ {constant} log S/log((K − 1)/q) factors α X has a smaller cross-entropy and no "
        f"larger Σ σ_i^{{2/M}} than "
        "the simplex ETF α (I − 11ᵀ/K), at every α > 0: no ETF is optimal, whatever the weight decay or the "
        "budgets are.",
    }


def prove(
    *, least: sp.Expr = LEAST, direction: str = "decreasing", share: sp.Expr = sp.exp(v), constant: int = 2
) -> Proof:
    """Prove the statement with these pieces.

    Args:
        least: number of factors.
        direction: how the price depends on M.
        share: of the ETF's price in q.
        constant: in front of log S in the statement.
    """
    steps = (
        identity("price of X at the least M: q S^{2/M} = q e^{2u/M}", q * sp.exp(2 * u / M).subs(M, least), q * share),
        identity("the least M", constant * u / v, least),
        monotone("q e^{2u/M} in M", q * sp.exp(2 * u / M), M, direction),
        holds("a singular value s = S/(1+y) costs no more than S", 1 / (1 + y), "<=", 1, {y: at_least(0)}),
        holds("a margin of more than alpha, e^x = 1 + y", 1 / (1 + y) ** 2, "<", 1 / (1 + y)),
    )
    return Proof(
        id=ID,
        statement=" ".join(statements(constant=constant).values()),
        source="sharpens Garrod, Keating 2025",
        hypotheses=hypotheses(SCOPE),
        steps=steps,
        arguments=(
            argue(
                "unitary invariance",
                "X has q singular values other than 0, the ETF K - 1 equal to 1; alpha^{2/M} is a factor of both "
                "prices",
            ),
        ),
        uses=("schatten-factors", "etf-gram", "within-class-collapse"),
    )


MUTANTS: dict[str, dict[str, Any]] = {
    "half as many factors": {"least": u / v},
    "log S alone": {"constant": 1},
    "price grows with depth": {"direction": "increasing"},
    "the ETF's rank squared": {"share": sp.exp(2 * v)},
}
