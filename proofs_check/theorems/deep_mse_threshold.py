"""Squared error and weight decay on three or more linear factors: each class is kept or dropped by itself, with a jump.

Setting. f(Z) = 1/2 sum_k pi_k |Z[:,k] - e_k|^2, pi_k = n_k/N, Z = W_1 ... W_M with sum_j (lambda_j/2)|W_j|_F^2, W_M
the features, summed over samples; M >= 3 counts the features, m = M - 1 the layers above them; Lambda = prod lambda_j.

Statement. Z = diag(z_k) is optimal. With b = m (N^M Lambda)^{1/m} a class is kept, z_k > 0, if b/n_k <
(m-1)^{(m-1)/m}/m, and dropped, z_k = 0, if b/n_k is larger; at equality z_k = 0 and z_k = (m-1)/m cost the same. What
is kept has z_k >= (m-1)/m, and is the largest root of b/n_k = m x^{m-1}/(x^m + 1)^2, z_k = x^m/(x^m + 1). A root with
x^m < m - 1 costs more than z_k = 0.

Source. Dang et al. 2023 (linear networks under squared error); Tirer, Bruna 2022 (M = 3); Sukenik et al. 2023 (K = 2).

Idea. The price is (M/2) Lambda^{1/M} sum_i sigma_i^{2/M}; by von Neumann's inequality singular values separate: with
sigma = sqrt(n_k) z the excess over z = 0 is z^{2/M} (B - phi(z)) n_k/(2N), phi(z) = z^{1-2/M} (2 - z).
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from proofs_check.notation import say
from proofs_check.scope import Scope, hypotheses
from proofs_check.theorems._kernel import Proof, argue, at_least, between, everywhere, holds, identity, monotone

ID = "deep-mse-threshold"

m, n, N, K, Lambda, z, x, y, v, B = sp.symbols("m n N K Lambda z x y v B", positive=True)
t = sp.Symbol("t", real=True)
M = m + 1
#: 1 - 2/M, the power of z in phi.
POWER = (m - 1) / (m + 1)
LARGEST = (m - 1) ** ((m - 1) / m) / m
JUMP = (m - 1) / m
BALANCED = (m - 1) ** (m - 1) / (K ** (m + 1) * m ** (2 * m))

#: What the theorem covers.
SCOPE = (Scope(("mse",), ("deep-decay",), dimension="K", conditions=("all inner dimensions ≥ K",)),)


def statements(
    *,
    largest: sp.Expr = LARGEST,
    jump: sp.Expr = JUMP,
    balanced: sp.Expr = BALANCED,
    witness: sp.Rational = sp.Rational(3, 4),
    share: sp.Rational = sp.Rational(384, 625),
    cost: sp.Rational = sp.Rational(688, 625),
    **_: Any,
) -> dict[str, str]:
    """What the theorem says, by part, with these pieces; see :func:`prove`."""
    bound = sp.Symbol("n_k", positive=True) * largest
    return {
        "threshold": "With m = M − 1 layers above the features, Λ = ∏ λ_j and b = m (N^M Λ)^{1/m}, Z = diag(z_k) "
        "is optimal with "
        f"z_k > 0 if b < {say(bound)}, z_k = 0 if b is larger, and at equality 0 and "
        f"{say(jump)} cost the same.",
        "jump": f"What is kept has z_k ≥ {say(jump)}: z_k is x^m/(x^m + 1) at the largest root x of "
        "b = n_k m x^{m − 1}/(x^m + 1)².",
        "root": "With m = M − 1 layers above the features and b = m (N^M Λ)^{1/m}, a root x of b = n_k m x^{m − "
        "1}/(x^m + 1)² "
        f"with z_k = x^m/(x^m + 1) below {say(jump)} costs more than z_k = 0: at m = 2 and b = {say(share)} n_k the "
        f"root x = {say(witness)} is the largest and costs {say(cost)} times as much.",
        "balanced": "With m = M − 1 layers above the features, Λ = ∏ λ_j and equal counts n, every class is kept "
        "if n Λ < "
        f"{say(balanced)} and none is if n Λ is larger; at K = 2 that is (m − 1)^{{m − 1}}/(2^{{m + 1}} m^{{2 m}}).",
    }


def prove(
    *,
    largest: sp.Expr = LARGEST,
    jump: sp.Expr = JUMP,
    balanced: sp.Expr = BALANCED,
    scale: sp.Expr = m * (N**M * Lambda) ** (1 / m),
    price: sp.Expr = M / 2 * Lambda ** (1 / M),
    beyond: str = ">",
    witness: sp.Rational = sp.Rational(3, 4),
    share: sp.Rational = sp.Rational(384, 625),
    cost: sp.Rational = sp.Rational(688, 625),
) -> Proof:
    """Prove the statement with these pieces.

    Args:
        largest: b/n_k at which a class is dropped.
        jump: z_k there, the least that is kept.
        balanced: n Lambda at which equal classes are dropped.
        scale: b.
        price: factor of sigma^{2/M} in the weight decay of M factors.
        beyond: how a root below the jump compares with z = 0.
        witness: a root below the jump at m = 2.
        share: b/n_k there.
        cost: its cost in that of z = 0.
    """
    deep = {m: at_least(2)}
    inside = {**deep, z: between(0, 1)}
    phi = z**POWER * (2 - z)
    excess = (n * (z - 1) ** 2 - n) / (2 * N) + price * (n * z**2) ** (1 / M)
    size = 2 * N * price * n ** (1 / M - 1)  # B
    stationary = 2 * M / 2 * (1 - z) * z**POWER  # B at a critical point
    root = x**m / (x**m + 1)
    # x^m = v, below the jump v = (m - 1) y/(1 + y), above it m - 1 + y
    steps = (
        identity(
            "excess over z = 0: z^{2/M} (B - phi) n/(2 N)",
            excess,
            n / (2 * N) * z ** (2 / M) * (size - phi),
            inside,
        ),
        identity(
            "phi' = z^{-2/M} (2 m/(m+1)) (jump - z)",
            sp.diff(phi, z),
            z ** (POWER - 1) * 2 * m / (m + 1) * (jump - z),
            inside,
        ),
        holds("phi grows below the jump, z = jump y/(1+y)", jump - jump * y / (1 + y), ">", 0, deep),
        holds("and falls beyond it", jump - (jump + y), "<", 0, deep),
        identity(
            "largest phi: at the jump it is (jump)^{1-2/M} (m+1)/m",
            phi.subs(z, jump),
            jump**POWER * (m + 1) / m,
            deep,
        ),
        holds("the jump lies inside (0, 1)", jump, "<", 1, deep),
        # B against phi(jump) is b/n against its largest value: ((B m/(m+1)))^{(m+1)/m} = b/(n m^{1/m}) ...
        identity(
            "m B/(m+1) to the power m + 1",
            (m * size / (m + 1)) ** (m + 1),
            m ** (m + 1) * N ** (m + 1) * Lambda / n**m,
            deep,
        ),
        identity("b/n to the power m is 1/m as much", (scale / n) ** m, m**m * N ** (m + 1) * Lambda / n**m, deep),
        identity(
            "and at B = phi(jump) it is the largest b/n",
            (m ** (-1 / m) * (m * B / (m + 1)) ** ((m + 1) / m)).subs(B, jump**POWER * (m + 1) / m),
            largest,
            deep,
        ),
        monotone(
            "b/n grows with log B", m ** (-1 / m) * sp.exp((m + 1) / m * t), t, "increasing", {**deep, t: everywhere()}
        ),
        # critical points
        identity(
            "slope of the excess",
            sp.diff(excess, z),
            n / N * z ** (2 / M - 1) * (size / M - (1 - z) * z**POWER),
            inside,
        ),
        identity("root in x: z = x^m/(x^m+1), 1 - z = 1/(x^m+1)", 1 - root, 1 / (x**m + 1), deep),
        identity(
            "at a critical point b/n = m x^{m-1}/(x^m+1)^2: both sides to the power m/(m+1), B/M = (1-z) z^{1-2/M}",
            m ** (-1 / m) * (m * M * (1 / (v + 1)) * (v / (v + 1)) ** POWER / (m + 1)) ** ((m + 1) / m),
            m * v ** ((m - 1) / m) / (v + 1) ** 2,
            deep,
        ),
        identity(
            "phi - B at a critical point",
            phi - stationary,
            z**POWER * (m * z - (m - 1)),
            inside,
        ),
        holds(
            "below the jump, x^m = (m-1) y/(1+y), a critical point against z = 0",
            ((m - 1) - m * v / (1 + v)).subs(v, (m - 1) * y / (1 + y)),
            beyond,
            0,
            deep,
        ),
        holds(
            "beyond it, x^m = m - 1 + y, it is better",
            ((m - 1) - m * v / (1 + v)).subs(v, m - 1 + y),
            "<",
            0,
            deep,
        ),
        identity("the jump in x: x^m = m - 1", (v / (1 + v)).subs(v, m - 1), jump, deep),
        # the objective of class k in x, over n_k/(2 N): z = x^m/(x^m + 1), sum of both terms of g
        identity(
            "g: (1-z)^2 + B z^{2/M} at z = v/(1+v), v = x^m, with B = M (1-z) z^{1-2/M}",
            ((1 - z) ** 2 + stationary * z ** (2 / M)).subs(z, v / (1 + v)),
            1 / (v + 1) + m * v / (v + 1) ** 2,
            deep,
        ),
        identity("m = 2: the witness is a root", (2 * x / (x**2 + 1) ** 2).subs(x, witness), share),
        holds("below the jump", (x**2 / (x**2 + 1)).subs(x, witness), "<", jump.subs(m, 2)),
        identity(
            "share (x^2+1)^2 - 2 x is a multiple of x - witness",
            share * (x**2 + 1) ** 2 - 2 * x,
            share * (x - witness) * (x**3 + witness * x**2 + (2 + witness**2) * x - 1 / witness),
        ),
        holds(
            "its value grows and is positive beyond the witness",
            (x**3 + witness * x**2 + (2 + witness**2) * x - 1 / witness).subs(x, witness + y),
            ">",
            0,
        ),
        identity("and its cost", (1 / (v + 1) + 2 * v / (v + 1) ** 2).subs(v, witness**2), cost),
        # (1 - z) z^POWER falls beyond z = (m-1)/(2 m), half of the jump: the largest root is the one beyond the jump
        identity(
            "slope of (1-z) z^{1-2/M}",
            sp.diff((1 - z) * z**POWER, z),
            z ** (POWER - 1) * 2 * m / (m + 1) * (jump / 2 - z),
            inside,
        ),
        # balanced: N = K n, b/n against its largest value, both to the power m
        identity(
            "equal counts: (b/n)^m = m^m K^{m+1} n Lambda",
            (scale / n).subs(N, K * n) ** m,
            m**m * K ** (m + 1) * n * Lambda,
            deep,
        ),
        identity("at the threshold it is largest^m", m**m * K ** (m + 1) * balanced, largest**m, deep),
        identity("two classes", balanced.subs(K, 2), (m - 1) ** (m - 1) / (2 ** (m + 1) * m ** (2 * m)), deep),
    )
    return Proof(
        id=ID,
        statement=" ".join(
            statements(largest=largest, jump=jump, balanced=balanced, witness=witness, share=share, cost=cost).values()
        ),
        source="Dang et al. 2023; Tirer, Bruna 2022; Sukenik et al. 2023",
        hypotheses=hypotheses(SCOPE),
        steps=steps,
        arguments=(
            argue(
                "von Neumann",
                "Y = Z D^{1/2}: N f = |Y - D^{1/2}|_F^2/2 >= sum_k (sigma_k(Y) - sqrt(n_k))^2/2 in decreasing "
                "order, with "
                "equality for diagonal Y, whose price is the same",
            ),
            argue("mean value theorem", "phi is largest at the jump, and (1-z) z^{1-2/M} falls beyond half of it"),
        ),
        uses=("schatten-factors", "within-class-collapse"),
    )


MUTANTS: dict[str, dict[str, Any]] = {
    "witness beyond the jump": {"witness": sp.Rational(5, 4)},
    "witness at half its share": {"share": sp.Rational(192, 625)},
    "witness cheaper": {"cost": sp.Rational(600, 625)},
    "threshold with m for m - 1": {"largest": m ** ((m - 1) / m) / m},
    "threshold (m-1)^{1/m}/m": {"largest": (m - 1) ** (1 / m) / m},
    "jump at half": {"jump": (m - 1) / (2 * m)},
    "jump at 1": {"jump": sp.Integer(1)},
    "balanced with K^m": {"balanced": (m - 1) ** (m - 1) / (K**m * m ** (2 * m))},
    "balanced with m^m": {"balanced": (m - 1) ** (m - 1) / (K ** (m + 1) * m**m)},
    "b without m": {"scale": (N**M * Lambda) ** (1 / m)},
    "price of two factors": {"price": sp.sqrt(Lambda)},
    "a root below the jump is better": {"beyond": "<"},
}
