"""MSE with a free bias under imbalance: soft-thresholded singular values, interlaced with the counts.

Setting. f(Z, b) = (1/2) sum_k pi_k |Z[:,k] + b - e_k|^2 + lam |Z D^{1/2}|_*, lam = sqrt(lW lH), D = diag(n_k), N = sum
n_k, q = sqrt(pi).

Statement. Z D^{1/2} has the singular vectors of Y = D^{1/2} - n sqrt(n)^T/N = D^{1/2} (I - q q^T) and the singular
values max(0, s_i - N lam), s_i those of Y. Two groups: sqrt(n_A), sqrt(n_B), sqrt(K n_A n_B/N), 0. Different counts in
descending order: n_i > s_i^2 > n_{i+1}. Equal counts: Z = max(0, 1 - K sqrt(n) lam) (I - 1 1^T/K).

Source. arXiv 2411.17278 (an unregularised bias under imbalance), as we state it.

Idea. The best bias takes away the part of Z D^{1/2} - D^{1/2} along q; what is left is a singular value thresholding.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from proofs_check.notation import say
from proofs_check.scope import Scope, hypotheses
from proofs_check.theorems._kernel import (
    GroupMatrix,
    Proof,
    argue,
    at_least,
    between,
    everywhere,
    expectation,
    holds,
    identity,
    monotone,
)

ID = "mse-free-bias"

K_A, K_B, K = sp.symbols("K_A K_B K", integer=True, positive=True)
n, n_A, n_B, n_1, n_2, N, lam, s, y, x = sp.symbols("n n_A n_B n_1 n_2 N lambda s_i y x", positive=True)
b, v, m_1 = sp.symbols("b v m_1", real=True)
m_2 = sp.Symbol("m_2", positive=True)
TOTAL = K_A * n_A + K_B * n_B
BLOCK = (K_A + K_B) * n_A * n_B / TOTAL

#: What the theorem covers.
SCOPE = (Scope(("mse",), ("bias-decay",), dimension="K - 1", conditions=("the bias is free, λ_b = 0",)),)


def statements(
    *,
    size: sp.Expr = s - N * lam,
    block: sp.Expr = BLOCK,
    balanced: sp.Expr = 1 - K * sp.sqrt(n) * lam,
    **_: Any,
) -> dict[str, str]:
    """What the theorem says, by part, with these pieces; see :func:`prove`."""
    lead = "Under weight decay and MSE with a free bias"
    short = {TOTAL: sp.Symbol("N", positive=True), K_A + K_B: sp.Symbol("K", positive=True)}
    return {
        "form": f"{lead} the optimal Z D^{{1/2}} has the singular vectors of Y = D^{{1/2}} − n √nᵀ/N and the singular "
        f"values max(0, "
        f"{say(size)}), s_i those of Y, λ = √(λ_W λ_H); its rank is at most K − 1.",
        "groups": f"{lead} and two groups of classes the s_i are √n_A (K_A − 1 times), √n_B (K_B − 1 times), √θ with "
        f"θ = "
        f"{say(block.subs(short))}, and 0.",
        "interlacing": f"{lead} and counts n_1 > n_2 > … > n_K the s_i satisfy n_i > s_i² > n_{{i+1}} for i < K: the "
        f"rank of Z is the "
        "number of classes with n_k > N² λ², or one less.",
        "balanced": f"{lead} and n samples in each class the optimal logits are Z = max(0, {say(balanced)}) (I − "
        f"11ᵀ/K), those of a simplex ETF if λ K √n < 1 and zero if λ K √n ≥ 1.",
    }


def prove(
    *,
    size: sp.Expr = s - N * lam,
    block: sp.Expr = BLOCK,
    balanced: sp.Expr = 1 - K * sp.sqrt(n) * lam,
    best: sp.Expr = -m_1,
    growth: str = "increasing",
) -> Proof:
    """Prove the statement with these pieces.

    Args:
        size: optimal singular value before clipping at 0.
        block: theta of two groups.
        balanced: factor of I - 11^T/K under equal counts, before clipping at 0.
        best: the best bias, m_1 the mean of a row of Z - I under pi.
        growth: how a term of the secular function depends on x.
    """
    domain = {K_A: at_least(1), K_B: at_least(1)}
    moments = {b: everywhere(), m_1: everywhere()}
    risk = (y - s) ** 2 / (2 * N) + lam * y
    t = sp.Symbol("t", nonnegative=True)
    y_0 = sp.Symbol("y", nonnegative=True)
    code = GroupMatrix.of(
        [K_A, K_B],
        [sp.sqrt(n_A), sp.sqrt(n_B)],
        [
            [-n_A * sp.sqrt(n_A) / TOTAL, -n_A * sp.sqrt(n_B) / TOTAL],
            [-n_B * sp.sqrt(n_A) / TOTAL, -n_B * sp.sqrt(n_B) / TOTAL],
        ],
    )
    square = code.T @ code
    trivial = square.trivial_block
    w_1, w_2, rest = sp.symbols("w_1 w_2 C", positive=True)
    steps = (
        identity(
            "a row of the risk: the mean of (v + b)^2 is its least value plus (b - best)^2",
            expectation((v + b) ** 2, v, [1, m_1, m_2]),
            (m_2 - m_1**2) + (b - best) ** 2,
            moments,
        ),
        identity(
            "N times the least value is |row D^{1/2}|^2 less its part along q",
            N * m_2 - (sp.sqrt(N) * m_1) ** 2,
            N * (m_2 - m_1**2),
            moments,
        ),
        identity(
            "D^{1/2} q q^T = n sqrt(n)^T/N: entry",
            sp.sqrt(n_1) * sp.sqrt(n_1 / N) * sp.sqrt(n_2 / N),
            n_1 * sp.sqrt(n_2) / N,
        ),
        identity(
            "one singular value y against s: risk minus the risk at its optimum",
            risk - risk.subs(y, s - N * lam),
            (y - size) ** 2 / (2 * N),
        ),
        holds(
            "and for s <= N lam, N lam = s + t, at 0",
            (risk - risk.subs(y, 0)).subs({lam: (s + t) / N, y: y_0}),
            ">=",
            0,
            {t: at_least(0), y_0: at_least(0)},
        ),
        identity("two groups: Y^T Y on sum-zero vectors of A", square.s[0], n_A, domain),
        identity("two groups: Y^T Y on sum-zero vectors of B", square.s[1], n_B, domain),
        identity("two groups: trace of the block of Y^T Y on the indicators", trivial.trace(), block, domain),
        identity("two groups: its determinant", trivial.det(), 0, domain),
        monotone(
            "secular function, a term below its pole", w_1 / (n_1 - x), x, growth, {x: between(0, 1), n_1: at_least(1)}
        ),
        monotone("a term above its pole, n_2 + x", -w_2 / x, x, "increasing"),
        holds(
            "at the distance w/(r + u) from its pole a term outgrows a bound r on the others",
            w_2 / (w_2 / (rest + w_1)),
            ">",
            rest,
        ),
        identity(
            "equal counts: (sqrt(n) - N lam)/sqrt(n), N = K n",
            (sp.sqrt(n) - K * n * lam) / sp.sqrt(n),
            balanced,
        ),
    )
    return Proof(
        id=ID,
        statement=" ".join(statements(size=size, block=block, balanced=balanced).values()),
        source="arXiv 2411.17278",
        hypotheses=hypotheses(SCOPE),
        steps=steps,
        arguments=(
            argue("von Neumann", "|Z D^{1/2} - Y|_F^2 >= sum (y_i - s_i)^2, with equality for common singular vectors"),
            argue(
                "submultiplicativity",
                "taking away the part of Z D^{1/2} along q raises no singular value and leaves the risk alone",
            ),
            argue("Schur", "two groups: Y acts as sqrt(n_a) on the sum-zero vectors of a, and on the two indicators"),
            argue(
                "intermediate value theorem",
                "x is an eigenvalue of (I - q q^T) D (I - q q^T) on the complement of q iff sum_k q_k^2/(n_k - x) = "
                "0, which "
                "has one root between two counts next to each other",
            ),
        ),
        uses=("ce-convex", "nuclear-norm-factorisation", "within-class-collapse"),
    )


MUTANTS: dict[str, dict[str, Any]] = {
    "threshold lam": {"size": s - lam},
    "threshold N lam/2": {"size": s - N * lam / 2},
    "block with N": {"block": TOTAL * n_A * n_B / TOTAL},
    "block without a bias": {"block": n_B},
    "balanced with N": {"balanced": 1 - K * n * lam},
    "best bias of the other sign": {"best": m_1},
    "secular function falls": {"growth": "decreasing"},
}
