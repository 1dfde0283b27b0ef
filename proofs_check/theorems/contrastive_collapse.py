"""Contrastive loss under imbalance, one frequent class: the imbalance from which on the others coincide.

Setting. Classes with probabilities p_c are unit vectors x_c, d >= K; F = sum_c p_c log sum_c' p_c' e^{beta (<x_c,
x_c'> - 1)}, beta > 0 the inverse temperature: the loss of a class whose samples have collapsed, with negatives and
positives drawn from the population. One class has R times the probability of each of n = K_B >= 2 others; q = e^{-2
beta}.

Statement. At the minimum the minority vectors coincide, opposite to that of the majority, iff R^2 q (1+q) - R n
(1-q)(2+q) - 2 n^2 q >= 0. The threshold R*, its positive root, exceeds n, and R* -> infinity as q -> 0.

Source. New here; the phenomenon is that of arXiv 2605.11291.

Idea. F is convex in the Gram matrix, so symmetric vectors suffice: inner products x with the majority and y within
the minority, x >= -sqrt(v/n), v = 1 + (n-1) y. On this boundary F is convex in v; its slope at v = n decides.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from proofs_check.notation import say
from proofs_check.scope import Scope, hypotheses
from proofs_check.theorems._kernel import Proof, above, argue, at_least, between, holds, identity, limit

ID = "contrastive-collapse"

q, R, v, beta = sp.symbols("q R v beta", positive=True)
x, y = sp.symbols("x y", real=True)
n = sp.Symbol("K_B", integer=True, positive=True)
CONDITION = R**2 * q * (1 + q) - R * n * (1 - q) * (2 + q) - 2 * n**2 * q
ROOT = n * ((1 - q) * (2 + q) + sp.sqrt((1 - q) ** 2 * (2 + q) ** 2 + 8 * q**2 * (1 + q))) / (2 * q * (1 + q))

#: What the theorem covers.
SCOPE = (Scope(("contrastive",), ("vectors",), groups=(2, 2), minority=2, dimension="K", conditions=("K_A = 1",)),)


def statements(*, root: sp.Expr = ROOT, **_: Any) -> dict[str, str]:
    """What the theorem says, by part, with these pieces; see :func:`prove`."""
    return {
        "threshold": "Let F = Σ_c π_c log Σ_c' π_c' e^{β (⟨x_c, x_c'⟩ − 1)} with one class R times as probable as "
        "each of K_B ≥ 2 others, β > 0, q = "
        f"e^{{−2 β}}. At the minimum of F the vectors of the others coincide if and only if R ≥ R* = {say(root)}.",
        "growth": "R* > K_B for every β, and R* → ∞ as β → ∞.",
    }


def prove(
    *,
    condition: sp.Expr = CONDITION,
    root: sp.Expr = ROOT,
    turning: sp.Expr = -1 / (2 * n),
    at_n: sp.Expr = -2 * n**2 * (1 - q**2),
) -> Proof:
    """Prove the statement with these pieces.

    Args:
        condition: what is >= 0 where the minority is collapsed.
        root: its positive root in R.
        turning: derivative of x = -sqrt(v/n) in v at v = n.
        at_n: condition at R = n.
    """
    many = {n: at_least(2), q: between(0, 1), R: above(0)}
    # slopes at v = n in units of beta/(R + n), weights R and 1: anchors of the majority, then of the minority
    majority = R * (n * q * turning) / (R + n * q)
    minority = n * ((n - 1) / (n - 1) + R * q * turning) / (n + R * q)
    own = R * sp.log(R + n * sp.exp(beta * (x - 1)))
    rest = n * sp.log(1 + (n - 1) * sp.exp(beta * (y - 1)) + R * sp.exp(beta * (x - 1)))
    real = {n: at_least(2), R: above(0), beta: above(0), x: at_least(-1), y: at_least(-1)}
    edge = -sp.sqrt(v / n)
    middle = (1 - q) * (2 + q)
    radicand = middle**2 + 8 * q**2 * (1 + q)
    steps = (
        identity("derivative of x = -sqrt(v/n) at v = n", sp.diff(edge, v).subs(v, n), turning, {n: at_least(2)}),
        holds("the edge is convex", sp.diff(edge, v, 2), ">", 0, {n: at_least(2), v: above(0)}),
        holds("F grows with x: anchors of the majority", sp.diff(own, x), ">", 0, real),
        holds("and of the minority", sp.diff(rest, x), ">", 0, real),
        identity(
            "slope of F along the edge at v = n",
            (majority + minority) * 2 * (R + n * q) * (n + R * q) / n,
            -condition / n,
            many,
        ),
        holds("whose factor is positive", 2 * (R + n * q) * (n + R * q) / n, ">", 0, many),
        identity(
            "condition by squares",
            4 * q * (1 + q) * condition,
            (2 * q * (1 + q) * R - n * middle) ** 2 - n**2 * radicand,
            many,
        ),
        identity(
            "vanishes at the root: 2 q (1+q) R* - n middle",
            2 * q * (1 + q) * root - n * middle,
            n * sp.sqrt(radicand),
            many,
        ),
        identity("the condition at R = n", condition.subs(R, n), at_n, many),
        holds("is negative there, and at R = 0", at_n, "<", 0, many),
        holds(
            "its leading coefficient is positive, so it has one positive root, beyond n",
            sp.diff(condition, R, 2),
            ">",
            0,
            many,
        ),
        holds("at R = 0 it is negative", condition.subs(R, 0), "<", 0, many),
        holds("R* exceeds n middle/(2 q (1+q)): its root is positive", n * sp.sqrt(radicand), ">", 0, many),
        limit("whose inverse falls to 0 with q", 2 * q * (1 + q) / (n * middle), q, 0, 0, {n: at_least(2)}),
    )
    return Proof(
        id=ID,
        statement=" ".join(statements(root=root).values()),
        source="new; contrastive learning under imbalance",
        hypotheses=hypotheses(SCOPE),
        steps=steps,
        arguments=(
            argue(
                "convexity by Hessian",
                "log of a sum of exponentials of linear functions of the Gram matrix is convex, so averaging over "
                "permutations of the minority lowers F; a convex function that grows with x, at a convex x(v) and "
                "linear y(v), is convex in v",
            ),
            argue(
                "Schur",
                "the symmetric Gram matrix is positive semidefinite iff y <= 1, v >= 0 and n x^2 <= v; y = 1 is v = n",
            ),
            argue(
                "convex optimality",
                "a convex function of v <= n is least at v = n iff its slope there is not positive; Gram matrices "
                "that are minimal average to a minimal one, with y = 1 only if all inner products of the minority "
                "are 1",
            ),
        ),
    )


MUTANTS: dict[str, dict[str, Any]] = {
    "condition with (1-q)^2": {"condition": R**2 * q * (1 + q) - R * n * (1 - q) ** 2 - 2 * n**2 * q},
    "condition without n^2": {"condition": R**2 * q * (1 + q) - R * n * (1 - q) * (2 + q) - 2 * n * q},
    "condition without q": {"condition": R**2 * (1 + q) - R * n * (1 - q) * (2 + q) - 2 * n**2 * q},
    "the other root": {"root": ROOT - n * sp.sqrt((1 - q) ** 2 * (2 + q) ** 2 + 8 * q**2 * (1 + q)) / (q * (1 + q))},
    "root halved": {"root": ROOT / 2},
    "condition at R = n halved": {"at_n": -(n**2) * (1 - q**2)},
    "edge without the half": {"turning": -1 / n},
    "edge 1/(2 sqrt n)": {"turning": -1 / (2 * sp.sqrt(n))},
}
