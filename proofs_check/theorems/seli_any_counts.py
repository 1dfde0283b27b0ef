"""The SELI geometry solves the margin problem for every class prior, and nothing else does.

Setting. Least (|W|^2 + sum_k n_k |h_k|^2)/2 = |Z D^{1/2}|_* over Z = W H with z_kk - z_jk >= 1 for j != k; n_k > 0 any
counts, D = diag(n_k), P = I - 1 1^T/K, M = D^{1/2} P D^{1/2} = D - sqrt(n) sqrt(n)^T/K.

Statement. Z = P is the one solution, with multipliers beta_jk = -sqrt(n_k/n_j) (M^{1/2})_jk > 0, an integral in closed
form.

Source. Thrampoulidis et al. 2022, Theorem 1, for two groups; for all counts here.

Idea. The polar factor of P D^{1/2} is D^{-1/2} M^{1/2}. The resolvent of M is that of a rank-one update of a diagonal:
its off-diagonal entries are positive, so those of M^{1/2} are negative.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from proofs_check.notation import SIGNS, say
from proofs_check.scope import Scope, hypotheses
from proofs_check.theorems._kernel import Proof, argue, at_least, holds, identity

ID = "seli-any-counts"

K = sp.Symbol("K", integer=True, positive=True)
n_i, n_j, n_k, t, u = sp.symbols("n_i n_j n_k t u", positive=True)
ENTRY = sp.sqrt(n_j) * sp.sqrt(n_k) / ((n_j + t) * (n_k + t) * u)

#: What the theorem covers.
SCOPE = (Scope(("none",), ("margins",), dimension="K - 1"),)


def statements(
    *,
    margin: sp.Expr = sp.Integer(1),
    relation: str = ">",
    multiplier: sp.Expr = n_k / ((n_j + t) * (n_k + t) * u),
    **_: Any,
) -> dict[str, str]:
    """What the theorem says, by part, with these pieces; see :func:`prove`."""
    return {
        "solution": "For any counts n_k > 0 the least (|W|² + Σ n_k |h_k|²)/2 over Z = W H with z_kk − z_jk ≥ 1 for "
        "all j ≠ k is attained at the "
        f"logits Z = I − 11ᵀ/K alone, where every margin is {say(margin)}.",
        "multipliers": "The multiplier of the margin z_kk − z_jk ≥ 1 there is (1/π) ∫_0^∞ √t "
        f"{say(multiplier)} dt {SIGNS[relation]} 0, with u = Σ_i t/(n_i + t).",
    }


def prove(
    *,
    entry: sp.Expr = ENTRY,
    margin: sp.Expr = sp.Integer(1),
    relation: str = ">",
    multiplier: sp.Expr = n_k / ((n_j + t) * (n_k + t) * u),
) -> Proof:
    """Prove the statement with these pieces.

    Args:
        entry: entry (j, k), j != k, of the inverse of M + t I, u = sum_i t/(n_i + t).
        margin: margins of Z = P.
        relation: sign of the multipliers.
        multiplier: integrand of a multiplier, over sqrt(t)/pi.
    """
    domain = {K: at_least(2)}
    rest = K - u  # sum_i n_i/(n_i + t)
    root_j, root_k = sp.sqrt(n_j), sp.sqrt(n_k)
    # sum_i sqrt(n_i) R_ik, the diagonal part and sqrt(n_i n_k)/((n_i + t)(n_k + t) u) summed over i
    inner = root_k / (n_k + t) + root_k * rest / ((n_k + t) * u)
    own = 1 / (n_k + t) + entry.subs(n_j, n_k)
    steps = (
        identity("n_i/(n_i + t) and t/(n_i + t) sum to 1 in each class", n_i / (n_i + t) + t / (n_i + t), 1),
        identity("sum_i sqrt(n_i) R_ik", inner, K * root_k / ((n_k + t) * u), domain),
        identity(
            "(M + t I) R off the diagonal", (n_j + t) * entry - root_j / K * (K * root_k / ((n_k + t) * u)), 0, domain
        ),
        identity(
            "(M + t I) R on the diagonal", (n_k + t) * own - root_k / K * (K * root_k / ((n_k + t) * u)), 1, domain
        ),
        holds("entries of R off the diagonal are positive", entry, ">", 0),
        identity("M annihilates D^{-1/2} 1, entry j", n_j / root_j - root_j / K * K, 0, domain),
        identity("P^2 = P off the diagonal", 2 * (1 - 1 / K) * (-1 / K) + (K - 2) / K**2, -1 / K, domain),
        identity("and on it", (1 - 1 / K) ** 2 + (K - 1) / K**2, 1 - 1 / K, domain),
        identity("margins of P", (1 - 1 / K) - (-1 / K), margin, domain),
        identity("multiplier: sqrt(n_k/n_j) times the entry of R", root_k / root_j * entry, multiplier),
        holds("it is positive", multiplier, relation, 0),
    )
    return Proof(
        id=ID,
        statement=" ".join(statements(margin=margin, relation=relation, multiplier=multiplier).values()),
        source="Thrampoulidis et al. 2022, Theorem 1",
        hypotheses=hypotheses(SCOPE),
        steps=steps,
        arguments=(
            argue(
                "square root by resolvents",
                "M is positive semidefinite, and off the diagonal M^{1/2} is -(1/pi) times the integral of sqrt(t) R",
            ),
            argue(
                "convex optimality",
                "D^{-1/2} M^{1/2} D^{1/2} is a subgradient of |Z D^{1/2}|_* at P; its columns sum to zero, as M^{1/2} "
                "annihilates D^{-1/2} 1, and it is -beta_jk off the diagonal: a combination of the active margins with "
                "multipliers beta_jk >= 0",
            ),
            argue(
                "submultiplicativity",
                "as all beta_jk > 0, every margin is active at any solution, which is then P + 1 c^T; P times it has "
                "the same "
                "margins and singular values that are none of them larger, so that all are equal",
            ),
            argue("Pythagoras", "then the Frobenius norms agree too, and the part 1 c^T is 0"),
        ),
        uses=("nuclear-norm-factorisation",),
    )


MUTANTS: dict[str, dict[str, Any]] = {
    "resolvent of the wrong sign": {"entry": -ENTRY},
    "resolvent divided by K": {"entry": ENTRY / K},
    "resolvent of an addition": {"entry": ENTRY * u / (2 * K - u)},
    "margins 1 - 1/K": {"margin": 1 - 1 / K},
    "multipliers negative": {"relation": "<"},
    "multiplier with n_j": {"multiplier": n_j / ((n_j + t) * (n_k + t) * u)},
}
