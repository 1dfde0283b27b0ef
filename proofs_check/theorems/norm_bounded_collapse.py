"""Bounded classifiers and features, one frequent class: the imbalance from which on the others are one.

Setting. |w_k| <= a, |h| <= b, cross-entropy, one class of R n samples and n = K_B >= 2 classes of n samples each
(counts R : 1), q = e^{-2 a b}, d >= 2 K. At the collapsed point w_A = -w_B, h_A = -h_B all of full length: logits
+-a b.

Statement. All minority classes have equal logits on the samples of the minority iff R >= R* = ((n + q)^2 - 2 q^2)(1
+ n q)/(2 q^2 (n + q)). R* increases in a b, from ((n+1)^2 - 2)/2 at 0 to infinity.

Source. New here; the imbalanced counterpart of Yaras et al. 2022.

Idea. Two diagonals with [[diag alpha, -M], [-M^T, diag beta]] >= 0, M = -gradient, certify the point; complementarity
determines them, and on the standard representation of the minority the matrix is [[alpha_B, -1], [-1, beta_B]].
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from proofs_check.notation import say
from proofs_check.scope import Scope, hypotheses
from proofs_check.theorems._kernel import Proof, above, argue, at_least, between, holds, identity, limit, monotone

ID = "norm-bounded-collapse"

q, R, x = sp.symbols("q R x", positive=True)
n = sp.Symbol("K_B", integer=True, positive=True)
THRESHOLD = ((n + q) ** 2 - 2 * q**2) * (1 + n * q) / (2 * q**2 * (n + q))
START = ((n + 1) ** 2 - 2) / sp.Integer(2)
WRONG = q / (n + q)  # probability that a minority sample gives the majority
STANDARD = sp.Integer(1)

#: What the theorem covers.
SCOPE = (Scope(models=("norm-bounded",), groups=(2, 2), minority=2, conditions=("K_A = 1", "d ≥ 2 K")),)


def statements(*, threshold: sp.Expr = THRESHOLD, start: sp.Expr = START, **_: Any) -> dict[str, str]:
    """What the theorem says, by part, with these pieces; see :func:`prove`."""
    return {
        "threshold": "With one majority class and q = e^{−2 a b} all minority classes have equal logits on every "
        "sample of the minority "
        f"at the optimum if and only if R ≥ R* = {say(threshold)}.",
        "growth": f"R* increases in a b, from {say(start)} in the limit a b → 0 to ∞.",
    }


def prove(
    *,
    threshold: sp.Expr = THRESHOLD,
    start: sp.Expr = START,
    wrong: sp.Expr = WRONG,
    standard: sp.Expr = STANDARD,
    direction: str = "decreasing",
) -> Proof:
    """Prove the statement with these pieces.

    Args:
        threshold: R* in q and n = K_B.
        start: its limit at q = 1.
        wrong: probability of the majority class on a minority sample at the collapsed point.
        standard: entry of the minority's standard representation of M, in units of its class probability.
        direction: how R* depends on q.
    """
    off = R * n * q / (1 + n * q)  # R times the probability of an error on the majority; weights R and 1
    each = 1 / (n + q)
    alpha_a, alpha_b, beta_a, beta_b = off + n * wrong, off / n + wrong, 2 * off, 2 * wrong
    many = {n: at_least(2), q: between(0, 1), R: above(0)}
    trivial = (
        off**2 / (alpha_a * beta_a)
        + n * wrong**2 / (alpha_a * beta_b)
        + off**2 / n / (alpha_b * beta_a)
        + wrong**2 / (alpha_b * beta_b)
    )
    steps = (
        identity(
            "on a minority sample the logits are -ab and n times ab: probability of the majority",
            1 - n * each,
            wrong,
            many,
        ),
        identity("row A: M h = alpha_A w", off - n * (-wrong) * sp.Integer(1), alpha_a, many),
        identity("row B: M h = -alpha_B", -off / n - (1 - each) + (n - 1) * each, -alpha_b, many),
        identity("column A: M^T w = beta_A", off + n * (off / n), beta_a, many),
        identity("column B: M^T w = -beta_B", -wrong - (1 - each) + (n - 1) * each, -beta_b, many),
        identity("trivial block of M is singular", off * wrong - (-sp.sqrt(n) * wrong) * (-off / sp.sqrt(n)), 0, many),
        identity("and its one singular value, scaled by the diagonals, is 1", trivial, 1, many),
        identity("standard block of M: own entry less another", (1 - each) + each, standard, many),
        identity(
            "alpha_B beta_B - standard^2 = 2 wrong (off/n)/R (R - R*)",
            alpha_b * beta_b - standard**2,
            2 * wrong * (off / (n * R)) * (R - threshold),
            many,
        ),
        holds("whose factor is positive", 2 * wrong * (off / (n * R)), ">", 0, many),
        monotone("R* in q", threshold, q, direction, {n: at_least(2), q: between(0, 1)}),
        identity("R* at q = 1", threshold.subs(q, 1), start, {n: at_least(2)}),
        limit("1/R* falls to 0 with q", 1 / threshold, q, 0, 0, {n: at_least(2)}),
        holds("R* exceeds 1 already there", start, ">", 1, {n: at_least(2)}),
    )
    return Proof(
        id=ID,
        statement=" ".join(statements(threshold=threshold, start=start).values()),
        source="new; bounded norms under imbalance",
        hypotheses=hypotheses(SCOPE),
        steps=steps,
        arguments=(
            argue(
                "gradient inequality",
                "f(Z) >= f(Z0) - <M, Z - Z0>, and <M, Z> <= a b (sum alpha + sum beta)/2 = <M, Z0> for all bounded "
                "factors: 2 <M, W H> <= sum alpha_k |w_k|^2 + sum beta_k |h_k|^2 after scaling w by 1/a and h by 1/b",
            ),
            argue(
                "Schur",
                "the matrix of diagonals and M acts on the trivial and on the standard representation of the minority",
            ),
            argue(
                "convex optimality",
                "for d >= 2 K the logits of bounded factors are a convex set; an optimal point has diagonals that "
                "annihilate every factorisation of it, so those of the collapsed point are these, and it is not "
                "optimal where the standard block is not positive semidefinite",
            ),
            argue(
                "Jensen",
                "the softmax probabilities are the same at all optima, f being strictly convex in them, so equal "
                "logits at one optimum are equal at all; averaged over the minority such an optimum has margins of "
                "at most 2 a b, so the collapsed point, which has them, is optimal too",
            ),
        ),
    )


MUTANTS: dict[str, dict[str, Any]] = {
    "threshold without 2 q^2": {"threshold": (n + q) * (1 + n * q) / (2 * q**2)},
    "threshold halved": {"threshold": THRESHOLD / 2},
    "threshold with q for q^2": {"threshold": ((n + q) ** 2 - 2 * q**2) * (1 + n * q) / (2 * q * (n + q))},
    "start n": {"start": n},
    "wrong with n q": {"wrong": n * q / (1 + n * q)},
    "standard entry 1/n": {"standard": 1 / n},
    "R* falls with the norms": {"direction": "increasing"},
}
