"""Five factors with ReLU between them: the edges of a complete graph beat deep neural collapse at the same logits.

Setting. K = r(r-1)/2 classes, the pairs of r points, n samples each; M factors with weight decay, W_1 relu(W_2 ...
relu(W_{M-1} H)). Deep neural collapse realises the logits z I by K equal directions in every factor.

Statement. For r >= 4 and M >= 5 the factors H = B, M - 3 times the identity of size r, B^T - 11^T/2 and the identity
of size K, suitably scaled, realise z I, z > 0, at a smaller weight decay; B is the r x K incidence matrix.

Source. Sukenik, Mondelli, Lampert 2024 use such a code for a theorem of this kind; this construction and bound are our
own.

Idea. Two pairs share 2, 1 or 0 points: B^T B - 11^T has the entries 1, 0, -1, and the ReLU leaves the identity.
Products of squared norms decide, by the arithmetic-geometric mean: r^M/2 ... against K^M.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from proofs_check.scope import Scope, hypotheses
from proofs_check.theorems._kernel import Proof, argue, at_least, holds, identity, monotone

ID = "relu-edge-code"

r, y = sp.symbols("r y", positive=True)
M = sp.Symbol("M", positive=True)
K = r * (r - 1) / 2

#: Least numbers of factors and of points r of which pairs are taken.
FACTORS, POINTS = 5, 4

#: What the theorem covers.
SCOPE = (
    Scope(
        ("mse",),
        ("relu-decay",),
        classes=(POINTS * (POINTS - 1) // 2, None),
        groups=(1, 1),
        dimension="K",
        conditions=("all inner dimensions ≥ K", f"M ≥ {FACTORS}", f"K = r (r − 1)/2 for an integer r ≥ {POINTS}"),
    ),
)


def statements(*, factors: int = FACTORS, points: int = POINTS, **_: Any) -> dict[str, str]:
    """What the theorem says, by part, with these pieces; see :func:`prove`."""
    return {
        "code": f"For K = r (r − 1)/2, r ≥ {points}, and M ≥ {factors} factors with ReLU between them: deep "
        f"neural collapse, K equal "
        "directions in every factor, realises the logits z I, z > 0, at a larger weight decay than the pairs of r "
        "points do: features "
        "B, the r × K incidence matrix, M − 3 identities of size r, Bᵀ − ½ 11ᵀ and an identity of size K, scaled. "
        "So it is "
        "not optimal at any z > 0.",
    }


def prove(
    *,
    factors: int = FACTORS,
    points: int = POINTS,
    shift: sp.Rational = sp.Rational(1, 2),
    product: sp.Expr = r ** (M - 2) * K**3 / 2,
) -> Proof:
    """Prove the statement with these pieces.

    Args:
        factors, points: least M and r.
        shift: what is subtracted from the entries of B^T.
        product: product of the squared norms of the M factors.
    """
    wide = {r: at_least(points)}
    entries = {shared: shared - 2 * shift for shared in (2, 1, 0)}
    row = 2 * (1 - shift) ** 2 + (r - 2) * shift**2
    # K^M over the product, M = factors + y: K^{M-3} 2/r^{M-2}
    base = (r - 1) / 2
    steps = (
        *(
            identity(f"pairs with {shared} points in common, after the ReLU", sp.Max(entry, 0), int(shared == 2))
            for shared, entry in entries.items()
        ),
        identity("squared norm of B: two ones a column", 2 * K, r * (r - 1), wide),
        identity("squared norm of B^T - 11^T/2", K * row, K * r / 4, wide),
        identity(
            "product with r^{M-3} of the identities and K of the last",
            2 * K * r ** (M - 3) * (K * r / 4) * K,
            product,
            {**wide, M: at_least(factors)},
        ),
        identity(
            "K^M over it at the least M",
            (K**M / product).subs(M, factors),
            base ** (factors - 3) * 2 / r,
            wide,
        ),
        identity("one more factor multiplies it by K/r", K / r, base, wide),
        holds(f"at M = {factors} it exceeds 1", (base ** (factors - 3) * 2 / r), ">", 1, wide),
        holds("and one more factor makes it larger, (r-1)/2 > 1", base, ">", 1, wide),
        monotone(
            "(M/2) (Lambda P n z^2)^{1/M} grows with the product P: P^{1/M} with log P = y",
            sp.exp(y / M),
            y,
            "increasing",
            {M: at_least(factors)},
        ),
    )
    return Proof(
        id=ID,
        statement=" ".join(statements(factors=factors, points=points).values()),
        source="construction of our own; compare Sukenik, Mondelli, Lampert 2024",
        hypotheses=hypotheses(SCOPE),
        steps=steps,
        arguments=(
            argue(
                "arithmetic-geometric mean",
                "factors F_j scaled by t_j, prod t_j = z, the features n times: the least of "
                "sum (lambda_j/2) t_j^2 |F_j|_F^2 is (M/2) (Lambda n z^2 prod |F_j|_F^2)^{1/M}; collapse has "
                "|F_j|_F^2 = K for every j; a positive scale passes through a ReLU, and B >= 0",
            ),
        ),
        uses=("schatten-factors",),
    )


MUTANTS: dict[str, dict[str, Any]] = {
    "four factors": {"factors": 4},
    "three points": {"points": 3},
    "entries less 1/4": {"shift": sp.Rational(1, 4)},
    "entries less 1": {"shift": sp.Integer(1)},
    "product without the last half": {"product": r ** (M - 2) * K**3},
}
