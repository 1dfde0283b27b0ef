"""How near to a simplex ETF vectors can be in few dimensions, and how far from it any can be.

Setting. x_1, ..., x_K in R^d, not all 0, Gram matrix G, P = I - 11^T/K, e = |G/|G|_F - P/sqrt(K-1)|_F.

Statement. e^2 = 2 - 2 <G, P>/(|G|_F sqrt(K-1)). It is at least 2 - 2 sqrt(d/(K-1)) for d <= K-1, with equality
exactly for G a multiple of an orthogonal projection Q of rank d with Q 1 = 0; and at most 2, with equality exactly
where all x_k coincide.

Source. New here; the measure is NC2 of Papyan, Han, Donoho 2020 as language models are measured by it (Wu, Papyan
2024).

Idea. <G, P> = sum |x_k - mean|^2 lies between 0 and tr G, and (tr G)^2 <= d |G|_F^2.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from proofs_check.notation import say
from proofs_check.scope import Scope, hypotheses
from proofs_check.theorems._kernel import Proof, above, argue, at_least, expectation, holds, identity, monotone

ID = "etf-error-floor"

K, d, F, T, q, m, M = sp.symbols("K d F g q m M", positive=True)
FLOOR = 2 - 2 * sp.sqrt(d / (K - 1))

#: What the theorem covers.
SCOPE = (Scope(("none",), ("logits",)),)


def statements(*, floor: sp.Expr = FLOOR, ceiling: sp.Expr = sp.Integer(2), **_: Any) -> dict[str, str]:
    """What the theorem says, by part, with these pieces; see :func:`prove`."""
    setting = (
        "Let K vectors of ℝ^d, not all 0, have the Gram matrix G and the ETF error e = |G/|G|_F − P/√(K − 1)|_F, "
        "P = I − 11ᵀ/K."
    )
    return {
        "floor": f"{setting} For d ≤ K − 1 it satisfies e² ≥ {say(floor)}, with equality if and only if G is a "
        f"multiple of an orthogonal projection "
        "of rank d that maps 1 to 0.",
        "ceiling": f"{setting} For every d it satisfies e² ≤ {say(ceiling)}, with equality if and only if the K "
        f"vectors coincide.",
    }


def prove(
    *, floor: sp.Expr = FLOOR, ceiling: sp.Expr = sp.Integer(2), rank: sp.Expr = d, cross: sp.Expr = T / F
) -> Proof:
    """Prove the statement with these pieces.

    Args:
        floor: the least e^2.
        ceiling: the largest.
        rank: the most that (tr G)^2/|G|_F^2 can be.
        cross: <G/|G|, P> in T = <G, P> and F = |G|_F.
    """
    root = sp.sqrt(K - 1)
    square = 1 + (K - 1) / root**2 - 2 * cross / root
    y = sp.Symbol("y", real=True)
    many = {K: at_least(2), d: at_least(1), F: above(0)}
    steps = (
        identity("|P|_F^2 = K (1 - 1/K)^2 + K (K-1)/K^2", K * (1 - 1 / K) ** 2 + K * (K - 1) / K**2, K - 1, many),
        identity("e^2 with T = <G, P>, F = |G|_F", 1 - 2 * T / (F * root) + (K - 1) / root**2, square, many),
        # sum over k of |x_k - m|^2 with mean m: coordinates have the moments 1, m, M
        identity(
            "mean of (y - m)^2 is M - m^2: <G, P> = tr G - K |mean|^2",
            expectation((y - m) ** 2, y, [1, m, M]),
            M - m**2,
        ),
        identity(
            "of d eigenvalues with sum T and square sum F^2: mean of (y - T/d)^2",
            expectation((y - T / d) ** 2, y, [1, T / d, F**2 / d]),
            F**2 / d - T**2 / d**2,
        ),
        identity(
            "so (T/F)^2 = rank - rank^2 variance/F^2",
            (F**2 - d * q).subs(F, F) / F**2 * d,
            rank - rank**2 * q / F**2,
            many,
        ),
        holds("which is at most d", rank - rank**2 * q / F**2, "<=", d, {q: at_least(0), d: at_least(1), F: above(0)}),
        monotone("e^2 falls as T grows", square, T, "decreasing", many),
        identity("e^2 at T = sqrt(d) F", square.subs(T, sp.sqrt(d) * F), floor, many),
        identity(
            "attained by Q: <Q, P> = tr Q = d, |Q|_F = sqrt(d)",
            square.subs({T: d, F: sp.sqrt(d)}, simultaneous=True),
            floor,
            many,
        ),
        identity("e^2 at T = 0", square.subs(T, 0), ceiling, many),
        holds("the floor is below the ceiling", floor, "<", ceiling, many),
    )
    return Proof(
        id=ID,
        statement=" ".join(statements(floor=floor, ceiling=ceiling).values()),
        source="new; Wu, Papyan 2024 for the measure in language models",
        hypotheses=hypotheses(SCOPE),
        steps=steps,
        arguments=(
            argue(
                "Pythagoras",
                "<G, P> = sum_k |x_k - mean|^2 = tr G - K |mean|^2 <= tr G, with equality iff the mean is 0, that "
                "is G 1 = 0; it is 0 iff the x_k coincide",
            ),
            argue(
                "Cauchy-Schwarz",
                "G has at most d eigenvalues that are not 0; (tr G)^2 = d |G|_F^2 iff d of them are equal and the "
                "others 0",
            ),
        ),
    )


MUTANTS: dict[str, dict[str, Any]] = {
    "floor with d/K": {"floor": 2 - 2 * sp.sqrt(d / K)},
    "floor without the root": {"floor": 2 - 2 * d / (K - 1)},
    "floor with 1": {"floor": 1 - sp.sqrt(d / (K - 1))},
    "ceiling 4": {"ceiling": sp.Integer(4)},
    "rank d^2": {"rank": d**2},
    "cross without the norm": {"cross": T},
}
