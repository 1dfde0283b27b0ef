"""Three or more linear factors, balanced cross-entropy: pairs, with a triangle for odd K, beat the ETF at every size.

Setting. Z = W_1 ... W_M, M factors with weight decay or Frobenius budgets: what Z costs increases with sum_i
sigma_i^p, p = 2/M. The ETF of size alpha is alpha (I - 11^T/K), all margins z_kk - z_jk being alpha. The code of
margin alpha is block diagonal: antipodal pairs alpha [[1, -1], [-1, 1]] and, for odd K, one triangle (3/2) alpha (I -
11^T/3).

Statement. For M >= 3 and K >= 6, and for M >= 4 and K >= 4, the code costs less than the ETF of the same alpha, no
margin of it is below alpha and some are above. So no ETF alpha (I - 11^T/K), alpha > 0, is optimal, whatever the
weight decay or the budgets are; and among logits with all margins at least 1 the code has the smaller Schatten-p
price.

Source. New here for odd K; Garrod, Keating 2025, Theorem 1. Against it: the cross-entropy part of Dang et al. 2023.

Idea. A pair has one singular value 2 alpha for its 2 classes, a triangle two of (3/2) alpha for its 3, the ETF K - 1
of alpha. (K/2) 2^p < K - 1, and ((K-3)/2) 2^p + 2 (3/2)^p < K - 1.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from proofs_check.scope import Scope, hypotheses
from proofs_check.theorems._kernel import Proof, Step, above, argue, at_least, compare, holds, identity, monotone

ID = "deep-codes"

p, alpha, y, u = sp.symbols("p alpha y u", positive=True)
PAIR = sp.Matrix([[1, -1], [-1, 1]])
TRIANGLE = sp.Rational(3, 2) * (sp.eye(3) - sp.ones(3, 3) / 3)
#: Least K of both cases: M >= 3 and M >= 4, even and odd.
LEAST = {3: (6, 7), 4: (4, 5)}

WIDE = "all inner dimensions ≥ K − 1"

#: What the theorem covers.
SCOPE = tuple(
    Scope(models=(model,), classes=(4, None), groups=(1, 1), dimension="K - 1", conditions=(WIDE,))
    for model in ("deep-linear", "deep-decay")
)


def statements(*, least: dict[int, tuple[int, int]] = LEAST, **_: Any) -> dict[str, str]:
    """What the theorem says, by part, with these pieces; see :func:`prove`."""
    cases = ", and for ".join(f"M ≥ {m} and K ≥ {min(ks)}" for m, ks in least.items())
    return {
        "codes": f"For {cases}, no simplex ETF α (I − 11ᵀ/K), α > 0, is optimal: pairs α [[1, −1], [−1, 1]], with "
        f"one triangle "
        "(3/2) α (I − 11ᵀ/3) for odd K, have a smaller cross-entropy and a smaller Σ σ_i^{2/M}.",
        "margins": "So among logits of which all margins are at least 1 the simplex ETF has not the least Σ σ_i^{2/M}.",
    }


def prove(
    *,
    least: dict[int, tuple[int, int]] = LEAST,
    pair: sp.Matrix = PAIR,
    triangle: sp.Matrix = TRIANGLE,
    cost: sp.Expr = 2 * sp.Rational(3, 2) ** p,
    relation: str = "<",
) -> Proof:
    """Prove the statement with these pieces.

    Args:
        least: the least even and odd K by M.
        pair, triangle: the blocks at alpha = 1.
        cost: price of the triangle at alpha = 1.
        relation: of the code's price to the ETF's.
    """
    exponents = {m: sp.Rational(2, m) for m in least}
    steps: list[Step] = [
        *_block("pair", pair, 2, 1),
        *_block("triangle", triangle, sp.Rational(3, 2), 2),
        identity("price of a triangle", 2 * sp.Rational(3, 2) ** p, cost),
        monotone("s^p = e^{p u}, u = log s > 0, for s = 2 and 3/2", sp.exp(p * u), p, "increasing"),
        holds("e^{-2 x} < e^{-x}, e^x = 1 + y", 1 / (1 + y) ** 2, "<", 1 / (1 + y), {y: above(0)}),
    ]
    for m, (even, odd) in least.items():
        q = exponents[m]
        steps += [
            compare(f"M = {m}, even K = {even}: K/2 pairs", even * 2**q / 2, relation, even - 1),
            compare(
                f"M = {m}, odd K = {odd}: (K-3)/2 pairs and a triangle",
                (odd - 3) * 2**q / 2 + cost.subs(p, q),
                relation,
                odd - 1,
            ),
            compare(f"M = {m}: two more classes cost the ETF 2, the code 2^p", 2**q, "<", 2),
        ]
    # K = K_0 + 2 y classes: price_0 + y 2^p against K_0 - 1 + 2 y
    steps.append(
        holds(
            "so it stays so for more classes: c + y u < c + t + 2 y for u < 2, t > 0",
            y * u / (1 + u) * 2,
            "<",
            alpha + 2 * y,
            {y: at_least(0), u: above(0), alpha: above(0)},
        )
    )
    return Proof(
        id=ID,
        statement=" ".join(statements(least=least).values()),
        source="new for odd K; Garrod, Keating 2025",
        hypotheses=hypotheses(SCOPE),
        steps=tuple(steps),
        arguments=(
            argue(
                "mean value theorem",
                "the price of the code grows with p and the ETF's, K - 1, does not: M >= 3, p <= 2/3",
            ),
            argue(
                "unitary invariance",
                "the singular values of a block diagonal matrix are those of its blocks, and alpha^p is a factor "
                "of every price",
            ),
        ),
        uses=("schatten-factors", "etf-gram", "within-class-collapse"),
    )


def _block(name: str, block: sp.Matrix, size: sp.Expr, rank: int) -> tuple[Step, ...]:
    """Singular values ``size``, ``rank`` times; margin 1 to the classes of other blocks, more than 1 inside."""
    square = block * block - size * block
    n = range(block.rows)
    inside = {(i, j): block[i, i] - block[j, i] for i in n for j in n if i != j}
    return (
        identity(f"{name}: symmetric", sum(x**2 for x in block - block.T), 0),
        identity(f"{name}: eigenvalues 0 and {size}", sum(x**2 for x in square), 0),
        identity(f"{name}: the latter {rank} times", block.trace(), rank * size),
        *(identity(f"{name}: margin of class {i} to other blocks", block[i, i], 1) for i in n),
        *(holds(f"{name}: margin of class {i} to {j}", x, ">", 1) for (i, j), x in inside.items()),
    )


MUTANTS: dict[str, dict[str, Any]] = {
    "two factors": {"least": {2: (6, 7), 4: (4, 5)}},
    "three factors from K = 4": {"least": {3: (4, 7)}},
    "three factors from K = 5": {"least": {3: (6, 5)}},
    "four factors for the triangle alone": {"least": {4: (4, 3)}},
    "pairs of margin 1/2": {"pair": PAIR / 2},
    "triangle without 3/2": {"triangle": TRIANGLE * sp.Rational(2, 3)},
    "a triangle at the price of one direction": {"cost": sp.Rational(3, 2) ** p},
    "the code costs more": {"relation": ">"},
}
