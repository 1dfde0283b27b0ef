"""Residual depth with weight decay, balanced classes: once the blocks are strong, pairs beat the ETF.

Setting. Balanced cross-entropy, K classes of n samples, residual depth L with weight decay; a the size of each block
on the directions of an ETF alpha (I - 11^T/K): a (1+a)^{L+1} = lambda sqrt(n) alpha/lambda_A. The code of margin
alpha: pairs alpha [[1, -1], [-1, 1]], for odd K with one triangle (3/2) alpha (I - 11^T/3).

Statement. If 4 (1+a) <= (K-2) L a, K even, or 4 (1+a) <= (K-3) L a, K >= 5 odd, the code costs no more than the ETF
and has the smaller cross-entropy: the ETF is not optimal.

Source. New here; for plain depth deep-codes.

Idea. A pair has one direction of twice the ETF's size. With blocks of the same a it costs twice the ETF's share of W
and H, a (1+a), and once its share of the blocks, L a^2/2; the ETF has K - 1 directions, the pairs K/2.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from proofs_check.notation import say
from proofs_check.scope import Scope, hypotheses
from proofs_check.theorems._kernel import Proof, argue, at_least, holds, identity
from proofs_check.theorems.residual_price import COST, PRICE, SIZE, L, a, lA, s

ID = "residual-codes"

k, y = sp.symbols("K y", positive=True)
EVEN, ODD = (k - 2) * L * a, (k - 3) * L * a

#: What the theorem covers.
SCOPE = (Scope(models=("residual-decay",), classes=(4, None), groups=(1, 1), dimension="K - 1"),)


def statements(*, even: sp.Expr = EVEN, odd: sp.Expr = ODD, **_: Any) -> dict[str, str]:
    """What the theorem says, by part, with these pieces; see :func:`prove`."""
    return {
        "codes": "With λ = √(λ_W λ_H), n samples of each class and a the root of a (1 + a)^{L + 1} = λ √n α/λ_A: "
        "a simplex ETF of "
        f"size α > 0 is not optimal if 4 (1 + a) ≤ {say(even)} for even K, or 4 (1 + a) ≤ {say(odd)} for odd K; pairs "
        "α [[1, −1], [−1, 1]], with one triangle (3/2) α (I − 11ᵀ/3) for odd K, are better.",
    }


def prove(
    *,
    even: sp.Expr = EVEN,
    odd: sp.Expr = ODD,
    pair: sp.Rational = sp.Integer(2),
    triangle: sp.Rational = sp.Rational(3, 2),
) -> Proof:
    """Prove the statement with these pieces.

    Args:
        even, odd: right-hand sides of the conditions.
        pair, triangle: singular values of the blocks in alpha.
    """
    deep = {L: at_least(1)}
    outer, blocks = lA * a * (1 + a), lA * L * a**2 / 2

    def bound(factor: sp.Expr) -> sp.Expr:
        """Price of a direction factor times the ETF's, with its a."""
        return COST.subs(s, factor * SIZE)

    pairs = k / 2 * (pair * outer + blocks)
    mixed = (k - 3) / 2 * (pair * outer + blocks) + 2 * (triangle * outer + blocks)
    etf = (k - 1) * PRICE
    steps = (
        identity("ETF: the price of a direction is outer + blocks", PRICE, outer + blocks, deep),
        identity("a pair's direction with the ETF's a", bound(2), pair * outer + blocks, deep),
        identity("a triangle's directions with it", bound(sp.Rational(3, 2)), triangle * outer + blocks, deep),
        identity("even K: ETF minus pairs", etf - pairs, lA * a / 4 * (even - 4 * (1 + a)), {**deep, k: at_least(4)}),
        identity(
            "odd K: ETF minus pairs and triangle",
            etf - mixed,
            lA * a / 4 * (odd - 4 * (1 + a)),
            {**deep, k: at_least(5)},
        ),
        holds("a positive multiple", lA * a / 4, ">", 0),
        holds("a margin above alpha has the smaller exponential, e^x = 1 + y", 1 / (1 + y) ** 2, "<", 1 / (1 + y)),
    )
    return Proof(
        id=ID,
        statement=" ".join(statements(even=even, odd=odd).values()),
        source="new; linear residual networks with weight decay",
        hypotheses=hypotheses(SCOPE),
        steps=steps,
        arguments=(
            argue("unitary invariance", "the singular values of a block diagonal matrix are those of its blocks"),
        ),
        uses=("residual-price", "deep-codes"),
    )


MUTANTS: dict[str, dict[str, Any]] = {
    "even with K": {"even": k * L * a},
    "even without L": {"even": (k - 2) * a},
    "odd with K - 2": {"odd": EVEN},
    "pairs of singular value 1": {"pair": sp.Integer(1)},
    "triangle of singular value 1": {"triangle": sp.Integer(1)},
}
