"""When weight decay leaves no logits at all: cross-entropy, any counts, with label smoothing or not.

Setting. f(Z) + lam |Z D^{1/2}|_*, lam = sqrt(lW lH), D = diag(n_k), N = sum n_k, cross-entropy with targets (1 - alpha)
e_k + alpha/K; M = D - sqrt(n) sqrt(n)^T/K, P = I - 1 1^T/K.

Statement. Z = 0 is optimal iff (1 - alpha)^2 sigma <= N^2 lW lH, sigma the largest eigenvalue of M. Two groups, n_A >=
n_B: sigma = n_A for K_A >= 2, and (n_B + (K - 1) n_A)/K for K_A = 1.

Source. Derived here; MSE without bias has sigma = n_A (Dang et al. 2023).

Idea. The gradient at 0 is -(1 - alpha) P diag(pi), and (P D^{1/2})^T P D^{1/2} = M.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from proofs_check.notation import say
from proofs_check.scope import Scope, hypotheses
from proofs_check.theorems._kernel import GroupMatrix, Proof, argue, at_least, between, holds, identity

ID = "vanishing-logits"

K_A, K_B, K = sp.symbols("K_A K_B K", integer=True, positive=True)
n_A, n_B, n_j, n_k, N, lW, lH, sigma = sp.symbols("n_A n_B n_j n_k N lambda_W lambda_H sigma", positive=True)
alpha, slack = sp.symbols("alpha t", nonnegative=True)
LONE = (n_B + K_B * n_A) / (1 + K_B)

#: What the theorem covers.
SCOPE = (Scope(("ce", "smoothed-ce"), ("weight-decay",), dimension="K - 1"),)


def statements(
    *,
    kept: sp.Expr = 1 - alpha,
    bound: sp.Expr = N**2 * lW * lH,
    lone: sp.Expr = LONE,
    **_: Any,
) -> dict[str, str]:
    """What the theorem says, by part, with these pieces; see :func:`prove`."""
    lead = "Under weight decay and cross-entropy with label smoothing 0 ≤ α < 1"
    return {
        "any": f"{lead} all logits vanish at the optimum if and only if {say(kept**2 * sigma)} ≤ {say(bound)}, σ the "
        f"largest "
        "eigenvalue of diag(n) − √n √nᵀ/K.",
        "groups": f"For two groups, n_A ≥ n_B, σ = n_A if K_A ≥ 2, and σ = {say(lone)} if K_A = 1.",
    }


def prove(
    *,
    kept: sp.Expr = 1 - alpha,
    bound: sp.Expr = N**2 * lW * lH,
    lone: sp.Expr = LONE,
    correlation: sp.Expr = -sp.sqrt(n_j) * sp.sqrt(n_k) / K,
) -> Proof:
    """Prove the statement with these pieces.

    Args:
        kept: factor of P diag(pi) in minus the gradient at 0.
        bound: what the square of that factor times sigma is compared with.
        lone: sigma for K_A = 1.
        correlation: entry (j, k), j != k, of M.
    """
    domain = {K: at_least(2), alpha: between(0, 1)}
    groups = {K_A: at_least(1), K_B: at_least(1)}
    x, y, rest = sp.Symbol("x", real=True), sp.Symbol("y", real=True), sp.Symbol("C", nonnegative=True)
    loss = sp.log(sp.exp(x) + sp.exp(y) + rest) - (1 - alpha + alpha / K) * x - alpha / K * y
    zero = {x: 0, y: 0, rest: K - 2}
    n_a = n_B + slack
    off = GroupMatrix.of([K_A, K_B], [0, 0], [[n_A, sp.sqrt(n_A) * sp.sqrt(n_B)], [sp.sqrt(n_A) * sp.sqrt(n_B), n_B]])
    m = GroupMatrix.of([K_A, K_B], [n_A, n_B], -off.t / (K_A + K_B))
    block = m.trivial_block
    theta = (K_A * n_B + K_B * n_A) / (K_A + K_B)
    steps = (
        identity(
            "slope of the right logit at 0", sp.diff(loss, x).subs(zero, simultaneous=True), -kept * (1 - 1 / K), domain
        ),
        identity("slope of a wrong logit at 0", sp.diff(loss, y).subs(zero, simultaneous=True), kept / K, domain),
        identity(
            "M off the diagonal: sqrt(n_j n_k) times the entry of P^2",
            sp.sqrt(n_j) * sp.sqrt(n_k) * (2 * (1 - 1 / K) * (-1 / K) + (K - 2) / K**2),
            correlation,
            domain,
        ),
        identity("M on the diagonal", n_k * ((1 - 1 / K) ** 2 + (K - 1) / K**2), n_k - n_k / K, domain),
        identity(
            "price minus gain, squared: lam^2 - (kept/N)^2 sigma",
            (lW * lH - kept**2 * sigma / N**2) * N**2,
            bound - kept**2 * sigma,
            domain,
        ),
        identity("two groups: M on sum-zero vectors of A", m.s[0], n_A),
        identity("two groups: trace of the block of M on the indicators", block.trace(), theta, groups),
        identity("two groups: its determinant", block.det(), 0, groups),
        holds("it is at most n_A", theta.subs(n_A, n_a), "<=", n_a, {**groups, slack: at_least(0)}),
        holds("and at least n_B", theta.subs(n_A, n_a), ">=", n_B, {**groups, slack: at_least(0)}),
        identity("K_A = 1: the block alone and B", theta.subs(K_A, 1), lone, groups),
    )
    return Proof(
        id=ID,
        statement=" ".join(statements(kept=kept, bound=bound, lone=lone).values()),
        source="Derived here",
        hypotheses=hypotheses(SCOPE),
        steps=steps,
        arguments=(
            argue(
                "convex optimality",
                "0 is optimal iff minus the gradient at 0, times D^{-1/2}, has a spectral norm of at most lam: it is "
                "((1 - alpha)/N) P D^{1/2}; then it is the only optimum, as the risk is strictly convex up to "
                "constants in "
                "a column",
            ),
            argue("Schur", "two groups: M acts as n_a on the sum-zero vectors of a, and on the two indicators"),
        ),
        uses=("ce-convex", "nuclear-norm-factorisation", "within-class-collapse"),
    )


MUTANTS: dict[str, dict[str, Any]] = {
    "smoothing does not matter": {"kept": sp.Integer(1)},
    "smoothing squared": {"kept": (1 - alpha) ** 2},
    "N for N^2": {"bound": N * lW * lH},
    "a lone class: n_A": {"lone": n_A},
    "a lone class: groups exchanged": {"lone": (n_A + K_B * n_B) / (1 + K_B)},
    "correlation without K": {"correlation": -sp.sqrt(n_j) * sp.sqrt(n_k)},
}
