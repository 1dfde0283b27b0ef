"""Classifiers of bounded spectral norm: the logits fill a Frobenius ball, and nothing ever collapses.

Setting. |W|_2 <= s, |H|_F <= t for the class means H, r = s t, d >= K; mean cross-entropy; P = I - 1 1^T/K.

Statement. {WH} is the ball |Z|_F <= r. Equal counts: Z = r P/sqrt(K-1), minimum log(1 + (K-1) e^{-r/sqrt(K-1)}). Any
counts: no two classes of a group with equal counts ever coincide.

Source. Derived here, for regularisers that keep classifiers orthogonal.

Idea. On a Frobenius ball the gradient is a multiple of the logits; on sum-zero vectors of a group it is pi_b (1 - (p -
q)) > 0.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from proofs_check.notation import say
from proofs_check.scope import Scope, hypotheses
from proofs_check.theorems._kernel import Proof, above, argue, at_least, between, everywhere, holds, identity

ID = "orthogonal-classifier"

K, s, t = sp.symbols("K s t", positive=True)
MARGIN = s * t / sp.sqrt(K - 1)

#: What the theorem covers.
SCOPE = (
    Scope(("ce",), ("orthogonal",), groups=(1, 1), dimension="K"),
    Scope(("ce",), ("orthogonal",), minority=2, dimension="K"),
)


def statements(*, margin: sp.Expr = MARGIN, **_: Any) -> dict[str, str]:
    """What the theorem says, by part, with these pieces; see :func:`prove`."""
    return {
        "etf": f"With equal counts the only optimal logits are a (I − 11ᵀ/K), a = {say(margin)}, and the minimum of "
        "the cross-entropy is log(1 + (K − 1) e^{−a}).",
        "apart": "Two classes with equal counts never have the same optimal logits, whatever the counts and budgets.",
    }


def prove(
    *,
    margin: sp.Expr = MARGIN,
    norm: sp.Expr = K - 1,
    slope: sp.Expr | None = None,
    relation: str = ">",
) -> Proof:
    """Prove the statement with these pieces.

    Args:
        margin: a, with equal counts.
        norm: |P|_F^2.
        slope: of a mate less that of the right class at equal logits.
        relation: of that slope to 0.
    """
    a, rest, p, q = sp.symbols("a C p q", positive=True)
    x, y = sp.symbols("x y", real=True)
    many = {K: at_least(2)}
    total = sp.exp(x) + sp.exp(y) + rest
    loss = sp.log(total) - x
    at = {x: a * (K - 1) / K, y: -a / K, rest: (K - 2) * sp.exp(-a / K)}
    equal = sp.Integer(1) if slope is None else slope
    steps = (
        identity("|P|_F^2 = K (1 - 1/K)^2 + K (K-1)/K^2", K * (1 - 1 / K) ** 2 + K * (K - 1) / K**2, norm, many),
        identity("|a P|_F = s t", margin * sp.sqrt(norm), s * t, many),
        identity("e^{loss} at a P", (total / sp.exp(x)).subs(at, simultaneous=True), 1 + (K - 1) * sp.exp(-a), many),
        identity(
            "the gradient at a P is a multiple of P: right slope + (K-1) wrong slope",
            (sp.diff(loss, x) + (K - 1) * sp.diff(loss, y)).subs(at, simultaneous=True),
            0,
            many,
        ),
        identity(
            "slope of a mate less that of the right class",
            sp.diff(loss, y) - sp.diff(loss, x),
            1 - (sp.exp(x) - sp.exp(y)) / total,
            {x: everywhere(), y: everywhere()},
        ),
        identity("at equal logits", (sp.diff(loss, y) - sp.diff(loss, x)).subs(y, x), equal, {x: everywhere()}),
        holds("it is positive: 1 - (p - q) for p + q < 1", 1 - (p - q), relation, 0, {p: between(0, 1), q: above(0)}),
    )
    return Proof(
        id=ID,
        statement=" ".join(statements(margin=margin).values()),
        source="derived here",
        hypotheses=hypotheses(SCOPE),
        steps=steps,
        arguments=(
            argue(
                "submultiplicativity", "|W H|_F <= |W|_2 |H|_F, and Z = (s I)(Z/s) attains all of the ball at d >= K"
            ),
            argue(
                "convex optimality",
                "the risk has no minimiser, so that the optimum is on the sphere with G = -nu Z, nu > 0, and by strict "
                "convexity up to constants in a column, which the norm picks, it is unique",
            ),
            argue(
                "Schur",
                "the unique optimum is invariant under permutations of classes with equal counts: for two such classes "
                "j, k, (e_j - e_k)^T (-G) (e_j - e_k)/2 = pi_k times the slope = nu (Z_kk - Z_jk), so Z_kk > Z_jk",
            ),
        ),
        uses=("ce-convex", "within-class-collapse"),
    )


MUTANTS: dict[str, dict[str, Any]] = {
    "margin s t/(K-1)": {"margin": s * t / (K - 1)},
    "margin s t/sqrt K": {"margin": s * t / sp.sqrt(K)},
    "norm K": {"norm": K},
    "slope 0 at equal logits": {"slope": sp.Integer(0)},
    "slope negative": {"relation": "<"},
}
