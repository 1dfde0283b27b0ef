"""Bounded classifiers and features: a group is collapsed exactly where its probability is at most its prices.

Setting. Cross-entropy, |w_k| <= a, |h| <= b, group b of K_b >= 2 classes of equal counts, each of probability p;
alpha, beta >= 0 minimise (sum alpha + sum beta)/2 subject to [[diag alpha, -M], [-M^T, diag beta]] >= 0, M =
-gradient at an optimum that is symmetric under permutations of the group: the prices of the bounds, in units a = b =
1.

Statement. The group has equal logits on its own samples iff p <= sqrt(alpha_b beta_b); otherwise p (1 - u) =
sqrt(alpha_b beta_b), u > 0 the probability of the own class less that of another of the group.

Source. New here; under Frobenius budgets all prices are mu and this is the criterion of Fang et al. 2021 made
precise.

Idea. On the standard representation of the group the dual matrix is [[alpha, -m], [-m, beta]], m = p (1 - u).
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from proofs_check.scope import Scope, hypotheses
from proofs_check.theorems._kernel import Proof, above, argue, at_least, between, holds, identity, monotone

ID = "norm-bounded-criterion"

p, u, alpha, beta, y, o, s, K, m = sp.symbols("p u alpha beta y o s K m", positive=True)
PULL = p * (1 - u)

#: What the theorem covers.
SCOPE = (Scope(models=("norm-bounded",), minority=2, conditions=("d ≥ 2 K",)),)


def statements(*, sign: str = "≤", **_: Any) -> dict[str, str]:
    """What the theorem says, by part, with these pieces; see :func:`prove`."""
    return {
        "criterion": "Let α_k and β_k be prices of the bounds at an optimum, [[diag α, −M], [−Mᵀ, diag β]] ⪰ 0 with "
        "(Σ α_k + Σ β_k)/2 = ⟨M, Z⟩/(a b) and "
        f"M the negative gradient, equal within a group b of K_b ≥ 2 classes of equal counts. Its classes have "
        f"equal logits on the samples of the group if and only if π_b {sign} √(α_b β_b).",
    }


def prove(*, pull: sp.Expr = PULL, sign: str = "≤", zero: sp.Expr = p) -> Proof:
    """Prove the statement with these pieces.

    Args:
        pull: M on the standard representation, u the own less another probability.
        sign: of the criterion.
        zero: the pull where the logits of the group are equal.
    """
    relation = {"≤": "<=", "≥": ">="}[sign]
    own = sp.Symbol("w", positive=True)
    inside = {p: between(0, 1), u: between(0, 1)}
    t = sp.Symbol("t", positive=True)
    gap = (sp.exp(s) - 1) / (sp.exp(s) + m)  # margin s in the group, e^s + m the sum of exponentials
    steps = (
        identity(
            "M on the standard representation: own less another entry",
            p * (1 - own) + p * (own - u),
            pull,
            {p: between(0, 1), own: between(0, 1), u: between(0, 1)},
        ),
        identity(
            "probability gap of a margin s",
            sp.exp(s) / (sp.exp(s) + m) - 1 / (sp.exp(s) + m),
            gap,
            {s: at_least(0), m: at_least(1)},
        ),
        monotone("grows with the margin", gap, s, "increasing", {s: at_least(0), m: at_least(1)}),
        identity("and is 0 without one", gap.subs(s, 0), 0, {m: at_least(1)}),
        identity("no margin: pull", pull.subs(u, 0), zero, {p: between(0, 1)}),
        holds("with one: less", pull, "<", p, inside),
        # kernel of [[alpha, -m], [-m, beta]]: w alpha = m h, h beta = m w
        identity("determinant of the block", alpha * beta - (sp.sqrt(alpha * beta)) ** 2, 0),
        holds(
            "determinant below its root: m = sqrt(alpha beta)/(1 + t)",
            alpha * beta - alpha * beta / (1 + t) ** 2,
            ">",
            0,
            {t: above(0), alpha: above(0), beta: above(0)},
        ),
        holds("a kernel vector has w and h of one sign: h = alpha w/m, product", (alpha / m) * y**2, ">", 0),
        holds(
            "collapsed: p against the root of the prices, root = p (1 + t)",
            zero,
            relation,
            p * (1 + t),
            {t: at_least(0), p: between(0, 1)},
        ),
        holds("not collapsed: the root is the pull, so p exceeds it", p - pull, ">", 0, inside),
    )
    return Proof(
        id=ID,
        statement=" ".join(statements(sign=sign).values()),
        source="new; bounded norms",
        hypotheses=hypotheses(SCOPE),
        steps=steps,
        arguments=(
            argue(
                "convex optimality",
                "for d >= 2 K the logits of bounded factors are a convex set with the polar that the two diagonals "
                "attain; at an optimum the matrix annihilates the stacked factors (W/a; H/b)",
            ),
            argue(
                "Schur",
                "on the standard representation of the group the matrix is the 2 x 2 block, singular where the "
                "factors have a component there; a symmetric optimum exists by averaging, with the same probabilities",
            ),
        ),
        uses=("ce-convex",),
    )


MUTANTS: dict[str, dict[str, Any]] = {
    "pull p u": {"pull": p * u},
    "pull p (1 + u)": {"pull": p * (1 + u)},
    "the other side": {"sign": "≥"},
    "no margin: p/2": {"zero": p / 2},
}
