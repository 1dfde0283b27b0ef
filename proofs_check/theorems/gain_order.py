"""Which map is worth most at the same spectral bound: unrolled steps below the fixed point, a flow in between.

Setting. Gains g(rho) of gain-gauge at the same budgets and the same 0 < rho < 1.

Statement. 1 + rho < e^rho < 1/(1-rho), and (1+rho/L)^L grows with L and stays below e^rho. T unrolled steps miss the
fixed point's gain by the share rho^T, which falls with T. Under budgets the larger gain has the lower least
cross-entropy.

Source. Derived here; unrolling as in Bai et al. 2019.

Idea. Logarithms: L log(1 + rho/L) grows with L, x + log(1-x) falls. Geometric sums.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from proofs_check.scope import Scope, hypotheses
from proofs_check.theorems._kernel import (
    Proof,
    above,
    argue,
    at_least,
    between,
    holds,
    identity,
    monotone,
    vanishing_start,
)

ID = "gain-order"

x, y, t, D = sp.symbols("x y t D", positive=True)

#: What the theorem covers.
SCOPE = (Scope(models=("gain",), dimension="K - 1", conditions=("0 < ρ < 1",)),)


def statements(*, share: str = "ρ^T", **_: Any) -> dict[str, str]:
    """What the theorem says, by part; see :func:`prove`."""
    return {
        "order": "For 0 < ρ < 1, 1 + ρ < e^ρ < 1/(1 − ρ), and (1 + ρ/L)^L grows with L and stays below e^ρ.",
        "unrolled": f"The gain of T unrolled steps is (1 − {share})/(1 − ρ): it grows with T and misses that of "
        f"the fixed point by its "
        f"share {share}.",
        "loss": "At equal budgets the architecture with the larger gain has the strictly lower least cross-entropy.",
    }


def prove(
    *,
    flow: sp.Expr = sp.log(1 + y) - y / (1 + y),
    blocks: sp.Expr = sp.log(1 + y) - y / (1 + y),
    share: sp.Expr = x**D,
    relation: str = ">",
) -> Proof:
    """Prove the statement with these pieces.

    Args:
        flow: logarithm of the fixed point's gain over the flow's, at rho = y/(1+y).
        blocks: derivative of L log(1 + rho/L) in L, y = rho/L.
        share: of the fixed point's gain that D unrolled steps miss.
        relation: sign of what one more step adds.
    """
    unit = {x: between(0, 1)}
    steps = (
        identity("that logarithm: 1/(1-rho) = 1 + y", sp.log(1 / (1 - x)).subs(x, y / (1 + y)), flow + y / (1 + y)),
        *vanishing_start("the fixed point against the flow: log(1+y) - y/(1+y) > 0", flow, y, 0),
        *vanishing_start("the flow against one block: x - log(1+x) > 0", x - sp.log(1 + x), x, 0),
        *vanishing_start("L log(1 + rho/L) grows: log(1+y) - y/(1+y) > 0", blocks, y, 0),
        identity(
            "that is its derivative in L",
            sp.diff(D * sp.log(1 + t / D), D),
            blocks.subs(y, t / D),
        ),
        *vanishing_start("L blocks of rho/L against the flow: y - log(1+y) > 0", y - sp.log(1 + y), y, 0),
        identity(
            "unrolled against the fixed point",
            1 / (1 - x) - (1 - x**D) / (1 - x),
            share / (1 - x),
            {**unit, D: at_least(1)},
        ),
        holds("one more step adds x^T > 0, named y", y, relation, 0),
        identity(
            "that is what it adds", (1 - x ** (D + 1)) / (1 - x) - (1 - x**D) / (1 - x), x**D, {**unit, D: at_least(1)}
        ),
        monotone("the share e^{-T y}, y = -log rho > 0, in T", sp.exp(-D * y), D, "decreasing"),
        holds("a larger gain has the larger radius", (t + y) * x, ">", t * x, {x: above(0)}),
    )
    return Proof(
        id=ID,
        statement=" ".join(statements().values()),
        source="derived here",
        hypotheses=hypotheses(SCOPE),
        steps=steps,
        arguments=(
            argue(
                "convex optimality",
                "the least cross-entropy of a larger ball is strictly lower: theorem loss-decreases",
            ),
        ),
        uses=("gain-gauge", "loss-decreases"),
    )


MUTANTS: dict[str, dict[str, Any]] = {
    "the flow above the fixed point": {"flow": y / (1 + y) - sp.log(1 + y)},
    "blocks fall with L": {"blocks": y / (1 + y) - sp.log(1 + y)},
    "the share of T + 1 steps": {"share": x ** (D + 1)},
    "a step takes away": {"relation": "<"},
}
