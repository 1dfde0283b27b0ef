"""Nearest-mean classification in small Gaussian noise: the best error exponent belongs to the simplex ETF.

Setting. Unit vectors x_1, .., x_K; S = |sum_k x_k|^2. In noise of variance sigma^2 the nearest mean errs with
probability e^{-E/sigma^2 + o(1/sigma^2)}, E the least |x_j - x_k|^2/8.

Statement. E <= K/(4(K-1)), with equality exactly at the simplex ETF.

Source. Papyan, Han, Donoho 2020 (supplement, large deviations).

Idea. The mean of all squared distances is 2 K/(K-1) less 2 S/(K(K-1)).
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from proofs_check.notation import say
from proofs_check.scope import Scope, hypotheses
from proofs_check.theorems._kernel import Proof, above, argue, at_least, holds, identity

ID = "error-exponent-simplex"

K, S = sp.symbols("K S", positive=True)
BEST = K / (4 * (K - 1))

#: What the theorem covers.
SCOPE = (Scope(("none",), ("vectors",)),)


def statements(*, best: sp.Expr = BEST, **_: Any) -> dict[str, str]:
    """What the theorem says, by part, with these pieces; see :func:`prove`."""
    return {
        "exponent": f"The least |x_j − x_k|²/8 over pairs of unit vectors is at most {say(best)}, with equality "
        "exactly where they form a simplex ETF, so in d < K − 1 dimensions it is less.",
    }


def prove(
    *,
    best: sp.Expr = BEST,
    mean: sp.Expr = (2 * K**2 - 2 * S) / (K * (K - 1)),
    cosine: sp.Expr = -1 / (K - 1),
    exponent: sp.Expr = sp.Rational(1, 8),
) -> Proof:
    """Prove the statement with these pieces.

    Args:
        best: the largest exponent.
        mean: of the squared distances of all pairs.
        cosine: of two vectors where all distances are the best.
        exponent: of a pair, over its squared distance.
    """
    many = {K: at_least(2)}
    half = sp.Symbol("h", positive=True)
    steps = (
        # sum over ordered pairs of |x_j|^2 + |x_k|^2 - 2 <x_j, x_k>, the inner products adding up to S - K
        identity("mean over K (K-1) pairs: 2 - 2 (S - K)/(K (K-1))", 2 - 2 * (S - K) / (K * (K - 1)), mean, many),
        identity("at S = 0, over 8", mean.subs(S, 0) * exponent, best, many),
        holds("and less for S > 0", mean * exponent, "<", best, {K: at_least(2), S: above(0)}),
        identity("all distances equal: 2 - 2 cosine", (2 - 2 * cosine) / 8, best, many),
        identity("and then the vectors sum to 0: K + K (K-1) cosine", K + K * (K - 1) * cosine, 0, many),
        # a pair errs where the noise passes half of the distance: exponent half^2/2
        identity("pair at distance 2 h: half^2/2 is the exponent", half**2 / 2, (2 * half) ** 2 * exponent),
    )
    return Proof(
        id=ID,
        statement=" ".join(statements(best=best).values()),
        source="Papyan, Han, Donoho 2020",
        hypotheses=hypotheses(SCOPE),
        steps=steps,
        arguments=(
            argue(
                "Jensen",
                "the least distance is at most the mean, with equality only where all are equal: equal cosines "
                "-1/(K-1) are a simplex ETF, whose Gram matrix has rank K - 1",
            ),
        ),
    )


MUTANTS: dict[str, dict[str, Any]] = {
    "K/(8 (K-1))": {"best": K / (8 * (K - 1))},
    "(K-1)/(4 K)": {"best": (K - 1) / (4 * K)},
    "mean over K^2 pairs": {"mean": (2 * K**2 - 2 * S) / K**2},
    "mean with S of the wrong sign": {"mean": (2 * K**2 + 2 * S) / (K * (K - 1))},
    "cosine -1/K": {"cosine": -1 / K},
    "distance squared over 4": {"exponent": sp.Rational(1, 4)},
}
