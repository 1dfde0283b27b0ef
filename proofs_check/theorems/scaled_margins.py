"""Scaled margins: what class-dependent temperatures do to the limit of weight decay, for any counts and any scales.

Setting. Least (|W|^2 + sum_k n_k |h_k|^2)/2 = |Z D^{1/2}|_* over Z = W H with delta_k z_kk - delta_j z_jk >= 1 for j !=
k (CDT), or delta_k (z_kk - z_jk) >= 1 (LDT); n_k, delta_k > 0, D = diag(n_k), Delta = diag(delta_k), v = (1/delta_k),
S =
|v|^2, Q = I - v v^T/S, E_k = n_k/delta_k^2.

Statement. CDT: Z = Q Delta^{-1} alone. LDT: Z = (I - 1 1^T/K) Delta^{-1} alone; with delta_k = sqrt(n_k) the
classifiers
are a simplex ETF.

Source. Behnia et al. 2023 (CDT and LDT, where the dual has the right signs); that it always has: derived here.

Idea. The polar factor of Q Delta^{-1} D^{1/2} is Delta D^{-1/2} M^{1/2} with M = diag(E) - e e^T/S, e_k =
sqrt(n_k)/delta_k^2, whose resolvent is positive off the diagonal. LDT is the margin problem with the counts E_k.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from proofs_check.notation import SIGNS, say
from proofs_check.scope import Scope, hypotheses
from proofs_check.theorems._kernel import Proof, argue, holds, identity

ID = "scaled-margins"

n_i, n_j, n_k, t, u, S = sp.symbols("n_i n_j n_k t u S", positive=True)
d_i, d_j, d_k = sp.symbols("delta_i delta_j delta_k", positive=True)
E_J, E_K = n_j / d_j**2, n_k / d_k**2
e_j, e_k = sp.sqrt(n_j) / d_j**2, sp.sqrt(n_k) / d_k**2
ENTRY = e_j * e_k / ((E_J + t) * (E_K + t) * u)

#: What the theorem covers.
SCOPE = (Scope(("none",), ("scaled-margins",), dimension="K - 1"),)


def statements(
    *, margin: sp.Expr = sp.Integer(1), relation: str = ">", restored: sp.Expr = sp.sqrt(n_k), **_: Any
) -> dict[str, str]:
    """What the theorem says, by part, with these pieces; see :func:`prove`."""
    lead = "For any counts n_k > 0 and scales δ_k > 0 the least (|W|² + Σ n_k |h_k|²)/2 over Z = W H"
    return {
        "cdt": f"{lead} with δ_k z_kk − δ_j z_jk ≥ 1 for all j ≠ k is attained at the logits Z = (I − v vᵀ/|v|²) "
        f"diag(1/δ) "
        f"alone, v = (1/δ_1, …, 1/δ_K), where every such margin is {say(margin)} with a multiplier {SIGNS[relation]} "
        f"0.",
        "ldt": f"{lead} with δ_k (z_kk − z_jk) ≥ 1 for all j ≠ k is attained at the logits Z = (I − 11ᵀ/K) diag(1/δ) "
        f"alone.",
        "restored": f"With δ_k = {say(restored)} the classifiers, and the class means times √n_k, then form a simplex "
        f"ETF.",
    }


def prove(
    *,
    entry: sp.Expr = ENTRY,
    margin: sp.Expr = sp.Integer(1),
    relation: str = ">",
    restored: sp.Expr = sp.sqrt(n_k),
) -> Proof:
    """Prove the statement with these pieces.

    Args:
        entry: entry (j, k), j != k, of the inverse of M + t I, u = sum_i (1/delta_i^2) t/(E_i + t).
        margin: margins of Z = Q Delta^{-1}.
        relation: sign of the multipliers.
        restored: scales under LDT for which the classifiers are a simplex ETF.
    """
    share = n_i / d_i**4 / (n_i / d_i**2 + t)
    inner = e_k / (E_K + t) + e_k * (S - u) / ((E_K + t) * u)
    column = S * e_k / ((E_K + t) * u)
    own = 1 / (E_K + t) + entry.subs({n_j: n_k, d_j: d_k})
    off = -1 / (d_j * d_k * S)
    steps = (
        identity(
            "e_i^2/(E_i + t) and (1/delta_i^2) t/(E_i + t) sum to 1/delta_i^2",
            share + t / d_i**2 / (n_i / d_i**2 + t),
            1 / d_i**2,
        ),
        identity("sum_i e_i R_ik", inner, column),
        identity("(M + t I) R off the diagonal", (E_J + t) * entry - e_j / S * column, 0),
        identity("(M + t I) R on the diagonal", (E_K + t) * own - e_k / S * column, 1),
        holds("entries of R off the diagonal are positive", entry, ">", 0),
        identity("M annihilates D^{-1/2} 1: entry j, sum_i e_i/sqrt(n_i) = S", E_J / sp.sqrt(n_j) - e_j / S * S, 0),
        identity("Q^2 = Q off the diagonal", 2 * off + S / (d_j * d_k * S**2), off),
        identity(
            "M off the diagonal: that of D^{1/2} Delta^{-1} Q Delta^{-1} D^{1/2}",
            sp.sqrt(n_j) / d_j * off * sp.sqrt(n_k) / d_k,
            -e_j * e_k / S,
        ),
        identity("and on it", n_k / d_k**2 * (1 - 1 / (d_k**2 * S)), E_K - e_k**2 / S),
        identity(
            "margins of Q Delta^{-1}",
            d_k * (1 - 1 / (d_k**2 * S)) / d_k - d_j * off / d_k,
            margin,
        ),
        holds("multiplier: sqrt(n_k/n_j) times the entry of R", sp.sqrt(n_k) / sp.sqrt(n_j) * entry, relation, 0),
        identity("LDT with these scales: counts n_k/delta_k^2 are all 1", n_k / restored**2, 1),
    )
    return Proof(
        id=ID,
        statement=" ".join(statements(margin=margin, relation=relation, restored=restored).values()),
        source="Behnia et al. 2023",
        hypotheses=hypotheses(SCOPE),
        steps=steps,
        arguments=(
            argue(
                "square root by resolvents",
                "M is positive semidefinite, and off the diagonal M^{1/2} is -(1/pi) times the integral of sqrt(t) R",
            ),
            argue(
                "convex optimality",
                "Delta D^{-1/2} M^{1/2} D^{1/2} is a subgradient of |Z D^{1/2}|_* at Q Delta^{-1}, with v to its left "
                "kernel, and "
                "-delta_j beta_jk off the diagonal: a combination of the active margins with multipliers beta_jk >= 0",
            ),
            argue(
                "submultiplicativity",
                "as all beta_jk > 0, every margin is active at any solution, which is then Q Delta^{-1} + v c^T; Q "
                "times it has "
                "the same margins and singular values that are none of them larger, so that all are equal",
            ),
            argue("Pythagoras", "then the Frobenius norms agree too, and the part v c^T is 0"),
            argue(
                "unitary invariance",
                "LDT: Z Delta solves the margin problem with counts n_k/delta_k^2; roots of P are P",
            ),
        ),
        uses=("nuclear-norm-factorisation", "seli-any-counts"),
    )


MUTANTS: dict[str, dict[str, Any]] = {
    "resolvent of the wrong sign": {"entry": -ENTRY},
    "resolvent without the scales": {"entry": ENTRY * d_j**2},
    "resolvent divided by S": {"entry": ENTRY / S},
    "margins 1/delta": {"margin": 1 / d_k},
    "multipliers negative": {"relation": "<"},
    "restored by the counts": {"restored": n_k},
    "restored by one over the root": {"restored": 1 / sp.sqrt(n_k)},
}
