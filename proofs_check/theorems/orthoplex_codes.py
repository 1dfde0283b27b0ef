"""More classes than dimensions: the largest margin of unit vectors is 1 from d + 2 to 2 d, at many different codes.

Setting. w_1, ..., w_K unit vectors in R^d; margin = least distance of a w_k from the convex hull of the others
(softmax codes).

Statement. For K >= d + 2 the margin is at most 1. For d + 2 <= K <= 2 d it is 1 for every union of K - d regular
simplices in pairwise orthogonal subspaces whose dimensions add up to d, and for any K of the vectors +-e_1, ...,
+-e_d that include both of some pair and one of each. So codes are not unique: at d = 4, K = 6 dimensions 1 + 3 and 2
+ 2 give cosines -1, -1/3 and -1/2.

Source. Jiang et al. 2024 (softmax codes, margin 1 in this range); that the vertices of a cross-polytope are not the
only ones contradicts how arXiv 2603.20587 is summarised.

Idea. A point p of two hulls (Radon): the mean of |w_i - p|^2 over its combination is 1 - |p|^2.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from proofs_check.scope import Scope, hypotheses
from proofs_check.theorems._kernel import Proof, above, argue, at_least, compare, expectation, holds, identity

ID = "orthoplex-codes"

K, d, q, x, y, n = sp.symbols("K d q x y n", positive=True)

#: What the theorem covers.
SCOPE = (Scope(("none",), ("vectors",), classes=(3, None), conditions=("d ≥ 2, d + 2 ≤ K ≤ 2 d",)),)


def statements(
    *,
    margin: sp.Expr = sp.Integer(1),
    second: sp.Expr = -sp.Rational(1, 3),
    third: sp.Expr = -sp.Rational(1, 2),
    **_: Any,
) -> dict[str, str]:
    """What the theorem says, by part, with these pieces; see :func:`prove`."""
    return {
        "margin": f"The largest margin min_k dist(w_k, conv{{w_j : j ≠ k}}) of K unit vectors of ℝ^d is {margin}.",
        "codes": "Every union of K − d regular simplices in pairwise orthogonal subspaces whose dimensions, at "
        "least 1 each, add up to d attains it; so at "
        f"d = 4 and K = 6 there are codes with a cosine {str(second).replace('-', '−')} and others with cosines 0, "
        f"{str(third).replace('-', '−')} only.",
    }


def prove(
    *,
    margin: sp.Expr = sp.Integer(1),
    second: sp.Expr = -sp.Rational(1, 3),
    count: sp.Expr = K - d,
    third: sp.Expr = -sp.Rational(1, 2),
) -> Proof:
    """Prove the statement with these pieces.

    Args:
        margin: the largest.
        second: cosine of two vertices of a simplex in 3 dimensions.
        count: number of simplices.
        third: cosine of two vertices of a simplex in 2 dimensions.
    """
    vertex = sp.Symbol("w", real=True)
    # coordinates of the w_i under the weights of p: sums over coordinates of moments 1, p, |w|^2 = 1
    steps = (
        identity(
            "mean of (w - y)^2 for mean y and mean square x",
            expectation((vertex - y) ** 2, vertex, [1, y, x]),
            x - y**2,
        ),
        holds(
            "unit vectors, q = |p|^2: mean squared distance to p against margin^2",
            1 - q,
            "<=",
            margin**2,
            {q: at_least(0)},
        ),
        identity(
            "vertices of a simplex in n dimensions: |sum|^2 = 0 at cosine -1/n", (n + 1) + (n + 1) * n * (-1 / n), 0
        ),
        holds("whose cosines are not positive", -1 / n, "<=", 0),
        holds(
            "|w - u|^2 = 1 - 2 <w, u> + |u|^2 for <w, u> = -x of a hull point u",
            1 + 2 * x + q,
            ">=",
            margin**2,
            {x: at_least(0), q: at_least(0)},
        ),
        identity("vertices: dimensions adding up to d, one more each", d + count, K),
        holds(
            "K <= 2 d leaves at least one dimension for each: K = d + x, d = x + y",
            (x + y) - x,
            ">=",
            0,
            {y: at_least(0), x: above(0)},
        ),
        identity("a simplex of 4 in 3 dimensions", -1 / sp.Integer(3), second),
        identity("and of 3 in 2", -1 / sp.Integer(2), third),
        compare("are different codes", second, ">", third),
        identity(
            "1 + 3 = 2 + 2 = d = 4 and 2 + 4 = 3 + 3 = K = 6",
            sp.Integer(2 + 4) - sp.Integer(4),
            count.subs({K: 6, d: 4}),
        ),
    )
    return Proof(
        id=ID,
        statement=" ".join(statements(margin=margin, second=second, third=third).values()),
        source="Jiang et al. 2024, softmax codes",
        hypotheses=hypotheses(SCOPE),
        steps=steps,
        arguments=(
            argue(
                "Radon",
                "d + 2 of the vectors split in two sets whose hulls share a point p; one of the vectors has at most "
                "the mean squared distance 1 - |p|^2 to p, which lies in the hull of the others",
            ),
            argue(
                "Pythagoras",
                "vectors of different simplices are orthogonal and the centre 0 lies in the hull of every simplex "
                "that w is not in, so the distance is at most 1; all inner products with w are at most 0, so it is "
                "at least 1",
            ),
        ),
    )


MUTANTS: dict[str, dict[str, Any]] = {
    "margin 9/10": {"margin": sp.Rational(9, 10)},
    "margin sqrt(2)": {"margin": sp.sqrt(2)},
    "count 2 d - K": {"count": 2 * d - K},
    "cosine -1/4": {"second": -sp.Rational(1, 4)},
    "cosine of the triangle -1/3": {"third": -sp.Rational(1, 3)},
}
