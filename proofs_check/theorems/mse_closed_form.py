"""Squared error without bias: the optimal logits are diagonal, z_k = max(0, 1 - mu omega_k / pi_k).

Setting. f(Z) = 1/2 sum_k pi_k |Z[:,k] - e_k|^2. Weight decay: f + lam |Z D^{1/2}|_*, so mu omega_k/pi_k = N
lam/sqrt(n_k). Budgets: |Z|_* <= tau, omega = 1, mu >= 0 the multiplier.

Statement. Z = diag(z_k) with z_k = max(0, 1 - N lam/sqrt(n_k)) under weight decay; z_k = max(0, 1 - mu/pi_k), sum z_k
= tau, under budgets with tau < K (mu = 0 otherwise). With two groups the minority is collapsed iff R >= 1/(1 -
tau/K_A), for tau < K_A.

Source. Dang et al. 2023, Theorem on linear networks under squared error (general orthogonal frame).

Idea. S Z S with signs S leaves objective and gauge alone; averaging over S kills the off-diagonal part.
"""

from __future__ import annotations

import itertools
from typing import Any

import sympy as sp

from proofs_check.notation import say
from proofs_check.scope import Scope, hypotheses
from proofs_check.theorems._kernel import Proof, above, argue, at_least, between, holds, identity, monotone

ID = "mse-closed-form"

pi, z, y, x, t, mu, lam, n, N, tau, R = sp.symbols("pi z y x t mu lambda n N tau R", positive=True)
K_A, K_B = sp.symbols("K_A K_B", integer=True, positive=True)
SIZE = 1 - mu / pi
PENALISED = 1 - N * lam / sp.sqrt(n)


#: What the theorem covers.
SCOPE = (Scope(("mse",), ("layer-peeled", "weight-decay"), dimension="K"),)


def statements(
    *, size: sp.Expr = SIZE, penalised: sp.Expr = PENALISED, ratio: sp.Expr = 1 / (1 - tau / K_A), **_: Any
) -> dict[str, str]:
    """What the theorem says, by part, with these pieces; see :func:`prove`."""
    return {
        "decay": "Under weight decay the optimal logits are Z = diag(z_k), z_k = max(0, "
        f"{say(penalised.subs(n, sp.Symbol('n_k', positive=True)))}), λ = √(λ_W λ_H).",
        "budgets": f"Under budgets, τ < K, they are Z = diag(z_k), z_k = max(0, "
        f"{say(size.subs(pi, sp.Symbol('pi_k', positive=True)))}) "
        "with Σ z_k = τ.",
        "threshold": f"Under budgets two groups have the threshold R* = {say(ratio)} for τ < K_A.",
    }


def prove(
    *,
    size: sp.Expr = SIZE,
    penalised: sp.Expr = PENALISED,
    ratio: sp.Expr = 1 / (1 - tau / K_A),
    off_diagonal: sp.Expr = sp.Integer(0),
    direction: str = "increasing",
    curvature: sp.Expr = pi / 2,
) -> Proof:
    """Prove the statement with these pieces.

    Args:
        size: z_k before clipping, with ``mu`` standing for ``mu omega_k``.
        penalised: the same under weight decay.
        ratio: the two-group threshold in R.
        off_diagonal: factor that averaging over signs leaves of an off-diagonal entry.
        direction: how the threshold depends on tau.
        curvature: factor of ``(z - z_k)^2`` in the excess of the objective.
    """
    signs = list(itertools.product((-1, 1), repeat=2))
    phi = pi / 2 * (z - 1) ** 2 + mu * z
    reals = {mu: above(0), pi: above(0)}
    # Collapsed: mu = pi (1 + t), t >= 0.
    excess_at_zero = (phi - phi.subs(z, 0)).subs(mu, pi * (1 + t))
    z_0, t_0 = sp.symbols("z t", nonnegative=True)
    budget = {tau: between(0, 1), K_A: at_least(1), K_B: at_least(1)}
    pi_a, pi_b = sp.symbols("pi_A pi_B", positive=True)
    gradient = pi * (size - 1)
    steps = (
        identity(
            "averaging eps_i eps_j over signs, i != j",
            sum(sp.Integer(i * j) for i, j in signs) / sp.Integer(4),
            off_diagonal,
        ),
        identity("and eps_i^2", sum(sp.Integer(i * i) for i, _ in signs) / sp.Integer(4), 1),
        *(identity(f"entries of the risk are unchanged for eps = {e}", (e[0] * e[1] * z) ** 2, z**2) for e in signs),
        identity(
            "phi(z) - phi(z_k) = curvature (z - z_k)^2", phi - phi.subs(z, size), curvature * (z - size) ** 2, reals
        ),
        holds("curvature is positive", curvature, ">", 0),
        identity("collapsed, mu = pi (1 + t): phi(z) - phi(0)", excess_at_zero, pi * (z**2 / 2 + t * z)),
        holds("which is nonnegative for z >= 0", excess_at_zero.subs({z: z_0, t: t_0}), ">=", 0),
        identity("negative z = -y costs more by 2 pi y", pi / 2 * (-y - 1) ** 2 + mu * y - phi.subs(z, y), 2 * pi * y),
        identity(
            "weight decay: mu -> lam sqrt(n), pi = n/N",
            size.subs({mu: lam * sp.sqrt(n), pi: n / N}, simultaneous=True),
            penalised,
        ),
        identity("dual certificate: gradient entry is -mu where z_k > 0", gradient, -mu),
        holds("and -pi_k, of modulus at most mu = pi_k (1 + t), where z_k = 0", pi, "<=", pi * (1 + t_0)),
        identity(
            "budget at the threshold: K_A z_A = tau with mu = pi_B, pi_A = R pi_B",
            (K_A * SIZE.subs({mu: pi_b, pi: pi_a})).subs(pi_a, ratio * pi_b),
            tau,
            budget,
        ),
        monotone("the threshold in tau", ratio.subs(K_A, K_A), tau, direction, budget),
        holds("and it exceeds 1", ratio, ">", 1, budget),
        # tau = K_A + x: z_A = 1 would not use the budget, so the minority is never collapsed.
        holds(
            "tau > K_A: the majority alone cannot spend the budget, K_A (1 - mu/pi) < K_A + x", K_A * SIZE, "<", K_A + x
        ),
    )
    return Proof(
        id=ID,
        statement=" ".join(statements(size=size, penalised=penalised, ratio=ratio).values()),
        source="Dang et al. 2023, linear networks under squared error",
        hypotheses=hypotheses(SCOPE),
        steps=steps,
        arguments=(
            argue(
                "Jensen",
                "the average of S Z S over signs S is diag(Z) and raises neither the risk nor the gauge, both convex",
            ),
            argue(
                "unitary invariance",
                "S Z S D^{1/2} = S (Z D^{1/2}) S as diagonal matrices commute; the nuclear norm of a "
                "diagonal matrix is the sum of moduli",
            ),
            argue("convex optimality", "budgets: the Lagrangian at mu is minimised at the z_k, which spend the budget"),
        ),
        uses=("ce-convex",),
    )


MUTANTS: dict[str, dict[str, Any]] = {
    "plus": {"size": 1 + mu / pi},
    "pi/mu": {"size": 1 - pi / mu},
    "half the shrinkage": {"size": 1 - mu / (2 * pi)},
    "weight decay with n": {"penalised": 1 - N * lam / n},
    "weight decay without N": {"penalised": 1 - lam / sp.sqrt(n)},
    "threshold with K_B": {"ratio": 1 / (1 - tau / K_B)},
    "threshold inverted": {"ratio": 1 - tau / K_A},
    "averaging keeps half": {"off_diagonal": sp.Rational(1, 2)},
    "threshold falls with tau": {"direction": "decreasing"},
    "curvature pi": {"curvature": pi},
}
