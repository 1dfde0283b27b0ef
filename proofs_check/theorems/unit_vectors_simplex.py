"""K unit vectors: every repulsion that is convex and falls with the squared distance is least at the regular simplex.

Setting. x_1, ..., x_K in R^d, |x_k| = 1, d >= K - 1, c the mean of the K (K-1) inner products of different vectors.

Statement. c >= -1/(K-1), so the mean squared distance is at most 2 K/(K-1), and so is the least one, with equality
exactly at the regular simplex. For different x_k and g convex and decreasing on (0, 4]: sum_{i != j} g(|x_i -
x_j|^2) >= K (K-1) g(2 K/(K-1)), and for every alpha > 0: sum_i log(1 + sum_{j != i} e^{alpha (<x_i, x_j> - 1)}) >=
K log(1 + (K-1) e^{-alpha K/(K-1)}).

Source. Lu, Steinerberger 2022, Theorem 1; Liu et al. 2023 and Cohn, Kumar 2007 for energies; Jung 1901 for distances.

Idea. |x_1 + ... + x_K|^2 >= 0 and Jensen.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from proofs_check.notation import say
from proofs_check.scope import Scope, hypotheses
from proofs_check.theorems._kernel import Proof, above, argue, at_least, holds, identity, monotone

ID = "unit-vectors-simplex"

K, alpha, x, D, p = sp.symbols("K alpha x D p", positive=True)
u = sp.Symbol("u", real=True)
DISTANCE = 2 * K / (K - 1)
EXPONENT = alpha * K / (K - 1)

#: What the theorem covers.
SCOPE = (Scope(("contrastive",), ("vectors",), dimension="K - 1"),)


def statements(*, distance: sp.Expr = DISTANCE, exponent: sp.Expr = EXPONENT, **_: Any) -> dict[str, str]:
    """What the theorem says, by part, with these pieces; see :func:`prove`."""
    return {
        "distance": f"The least squared distance of K unit vectors is at most {say(distance)}, with equality "
        f"exactly at the regular simplex.",
        "energy": f"For K different unit vectors and g convex and decreasing on (0, 4], Σ_{{i≠j}} g(|x_i − x_j|²) ≥ "
        f"K (K − 1) g({say(distance)}), with equality at the regular "
        "simplex, and only there if g is strictly convex.",
        "softmax": f"For every α > 0, Σ_i log(1 + Σ_{{j≠i}} e^{{α (⟨x_i, x_j⟩ − 1)}}) ≥ K log(1 + (K − 1) "
        f"e^{{−{say(exponent)}}}), with equality exactly at "
        "the regular simplex.",
    }


def prove(
    *,
    distance: sp.Expr = DISTANCE,
    exponent: sp.Expr = EXPONENT,
    cosine: sp.Expr = -1 / (K - 1),
    slope: str = "increasing",
) -> Proof:
    """Prove the statement with these pieces.

    Args:
        distance: squared distance in the simplex.
        exponent: of the softmax value.
        cosine: least mean inner product.
        slope: how the softmax sum depends on the mean inner product.
    """
    mean = sp.Symbol("c", positive=True)
    many = {K: at_least(2), alpha: above(0), x: at_least(0), u: at_least(-2)}
    loss = sp.log(1 + (K - 1) * sp.exp(alpha * u))  # u + 1 the mean inner product of one vector with the others
    log_energy = -sp.log(D) / 2
    steps = (
        identity(
            "|sum x_k|^2 = K + K (K-1) c = x makes c",
            (K + K * (K - 1) * mean).subs(mean, -1 / (K - 1) + x / (K * (K - 1))),
            x,
            many,
        ),
        holds("so c is at least the cosine", -1 / (K - 1) + x / (K * (K - 1)), ">=", cosine, many),
        identity("squared distance 2 - 2 c at the cosine", 2 - 2 * cosine, distance, many),
        holds("mean squared distance", 2 - 2 * (-1 / (K - 1) + x / (K * (K - 1))), "<=", distance, many),
        holds("which is at most 4: g is defined there", distance, "<=", 4, many),
        monotone(
            "the softmax term in the mean inner product",
            loss,
            u,
            slope,
            {K: at_least(2), alpha: above(0), u: at_least(-2)},
        ),
        holds("and it is strictly convex in it", sp.diff(loss, u, 2), ">", 0, many),
        identity("its exponent at the cosine", alpha * (cosine - 1), -exponent, many),
        # energies in use: log, Riesz, Gaussian
        holds("-log D/2 falls", sp.diff(log_energy, D), "<", 0),
        holds("-log D/2 is convex", sp.diff(log_energy, D, 2), ">", 0),
        holds("e^{-p D} falls", sp.diff(sp.exp(-p * D), D), "<", 0),
        holds("e^{-p D} is convex", sp.diff(sp.exp(-p * D), D, 2), ">", 0),
        holds("1/D falls", sp.diff(1 / D, D), "<", 0),
        holds("1/D is convex", sp.diff(1 / D, D, 2), ">", 0),
    )
    return Proof(
        id=ID,
        statement=" ".join(statements(distance=distance, exponent=exponent).values()),
        source="Lu, Steinerberger 2022, Theorem 1; Liu et al. 2023",
        hypotheses=hypotheses(SCOPE),
        steps=steps,
        arguments=(
            argue(
                "Jensen",
                "the mean of g over the pairs is at least g of the mean squared distance, which is at least g(2 "
                "K/(K-1)); the mean of e^{alpha u} over j is at least e^{alpha mean}, and the softmax term is "
                "convex in the mean; equality needs equal inner products with one vector, equal means, and mean "
                "-1/(K-1): the simplex",
            ),
            argue("Pythagoras", "sum_{i != j} <x_i, x_j> = |sum x_k|^2 - K"),
        ),
    )


MUTANTS: dict[str, dict[str, Any]] = {
    "distance 2": {"distance": sp.Integer(2)},
    "distance 2 (K-1)/K": {"distance": 2 * (K - 1) / K},
    "exponent alpha": {"exponent": alpha},
    "exponent alpha/(K-1)": {"exponent": alpha / (K - 1)},
    "cosine -1/K": {"cosine": -1 / K},
    "the sum falls with the inner products": {"slope": "decreasing"},
}
