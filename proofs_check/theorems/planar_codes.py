"""Unit vectors that classify best, in the plane and as frames: polygons, and where Grassmannian frames are others.

Setting. K unit vectors w_k of R^d. Margin: min_k dist(w_k, conv{w_j : j != k}); largest cosine: max_{j != k} <w_j,
w_k>; largest modulus: max_{j != k} |<w_j, w_k>|, whose minimisers are the Grassmannian frames.

Statement. In the plane, K >= 3, the margin is at most 1 - cos(2 pi/K), with equality exactly at the regular polygon.
For d + 2 <= K <= 2 d the least largest cosine is 0; K vectors whose cosines are all +-omega, omega^2 = (K-d)/(d (K-1)),
have the least largest modulus, by Welch's bound, and the largest cosine omega > 0 under every choice of their signs.

Source. Jiang et al. 2024 for the plane, as we state it; the comparison with frames (Gao et al. 2023) is our own.

Idea. A vector with arcs a and b to its neighbours is at 2 sin(a/2) sin(b/2) from their chord. Vectors with all
cosines -omega would have a sum of negative squared length.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from proofs_check.notation import say
from proofs_check.scope import Scope, hypotheses
from proofs_check.theorems._kernel import Proof, argue, at_least, between, holds, identity

ID = "planar-codes"

K, d, w, s, q, v = sp.symbols("K d omega s q v", positive=True)
a, b = sp.symbols("a b", positive=True)
SQUARE = (K - d) / (d * (K - 1))

#: What the theorem covers.
SCOPE = (Scope(("none",), ("vectors",), classes=(3, None)),)


def statements(*, margin: str = "1 − cos(2 π/K)", square: sp.Expr = SQUARE, **_: Any) -> dict[str, str]:
    """What the theorem says, by part, with these pieces; see :func:`prove`."""
    return {
        "plane": f"The margin min_k dist(w_k, conv{{w_j : j ≠ k}}) of K ≥ 3 unit vectors of the plane is at "
        f"most {margin}, with equality exactly at the regular polygon.",
        "frames": "For d ≥ 2 and d + 2 ≤ K ≤ 2 d the least largest cosine of K unit vectors of ℝ^d is 0, but K unit "
        f"vectors whose cosines are all ω or −ω with ω² = {say(square)} have a largest cosine of ω > 0 under "
        "every choice of their signs; no K unit vectors have a smaller largest |cosine| than these.",
    }


def prove(
    *,
    margin: str = "1 − cos(2 π/K)",
    square: sp.Expr = SQUARE,
    chord: sp.Expr = 2 * sp.sin(a / 2) * sp.sin(b / 2),
    frame: sp.Expr = K**2 / d,
) -> Proof:
    """Prove the statement with these pieces.

    Args:
        margin: in words, of the plane.
        square: omega^2.
        chord: distance of a vector from the chord of neighbours at arcs a and b.
        frame: least sum of all squared inner products.
    """
    many = {d: at_least(2), K: at_least(4)}
    turn = 2 * sp.pi / K if margin == "1 − cos(2 π/K)" else sp.pi / K
    c1, s1, c2, s2 = sp.symbols("c_1 s_1 c_2 s_2", real=True)  # of a/2 and b/2
    circle = {z: between(-1, 1) for z in (c1, s1, c2, s2)}
    big = {K: d + 2 + v}
    steps = (
        # the line through the points at angles -a and b has its normal at (b-a)/2 and the offset cos((a+b)/2)
        identity(
            "distance from the chord by half arcs: cos((b-a)/2) - cos((a+b)/2)",
            (c1 * c2 + s1 * s2) - (c1 * c2 - s1 * s2),
            2 * s1 * s2,
            circle,
        ),
        identity(
            "that is the chord's formula",
            chord.subs({a: 2 * sp.asin(s), b: 2 * sp.asin(q)}),
            2 * s * q,
            {s: between(0, 1), q: between(0, 1)},
        ),
        identity(
            "(c1 c2 + s1 s2)^2 <= 1 on unit circles: by the square of a sine",
            (c1**2 + s1**2) * (c2**2 + s2**2) - (c1 * c2 + s1 * s2) ** 2,
            (c1 * s2 - s1 * c2) ** 2,
            circle,
        ),
        identity("K arcs with sum 2 pi, each counted twice: mean of (a+b)/2", 2 * sp.pi / K, turn, {K: at_least(3)}),
        # one gap above pi: of the K - 2 vectors not next to it the arcs a + b have sum at most 2 pi
        holds(
            "pi/(K-2), for K - 2 vectors on arcs of sum at most pi, is at most 2 pi/K",
            K,
            "<=",
            2 * (K - 2),
            {K: at_least(4)},
        ),
        # frames
        identity("Welch: off-diagonal squares have sum at least K^2/d - K", frame - K, K * (K - 1) * square, many),
        identity("all cosines -omega: sum of the vectors", K - K * (K - 1) * w, K * (1 - (K - 1) * w)),
        identity("omega^2 against 1/(K-1)^2", (K - 1) ** 2 * square - 1, K * (K - d - 1) / d, many),
        holds(
            "is larger for K >= d + 2",
            (K * (K - d - 1) / d).subs(big),
            ">",
            0,
            {d: at_least(2), v: at_least(0)},
        ),
        identity("at K = d + 1 they agree: the simplex", (square * (K - 1) ** 2).subs(K, d + 1), 1, {d: at_least(2)}),
        holds("omega < 1", SQUARE.subs(big), "<", 1, {d: at_least(2), v: at_least(0)}),
    )
    return Proof(
        id=ID,
        statement=" ".join(statements(margin=margin, square=square).values()),
        source="Jiang et al. 2024 for the plane, as we state it; frames: our own",
        hypotheses=hypotheses(SCOPE),
        steps=steps,
        arguments=(
            argue(
                "mean value theorem",
                "1 - cos grows on [0, pi], so the vector with the least a + b, both at most pi, is at most "
                "1 - cos(2 pi/K) from the chord of its neighbours; where the margin is that large all a + b are "
                "equal to their mean, and a = b at every vector",
            ),
            argue(
                "Cauchy-Schwarz",
                "the frame operator has trace K and rank at most d, so that its squared Frobenius norm is at least "
                "K^2/d; orthogonal sums of K - d simplices have no positive cosine",
            ),
            argue(
                "Radon",
                "of d + 2 vectors two convex combinations of different ones are equal: their inner product is a "
                "square, and would be negative if all cosines were",
            ),
        ),
    )


MUTANTS: dict[str, dict[str, Any]] = {
    "margin of half the arc": {"margin": "1 − cos(π/K)"},
    "omega^2 without K - 1": {"square": (K - d) / (d * K)},
    "omega^2 of 1/d": {"square": 1 / d},
    "chord with one sine": {"chord": 2 * sp.sin(a / 2)},
    "frame K^2": {"frame": K**2},
}
