"""Squared error in few dimensions: the largest components are kept, and with balanced classes any of them.

Setting. MSE without bias, targets with second moments Sigma = (1/N) sum_n y_n y_n^T, eigenvalues s_1^2 >= s_2^2 >=
..., weight decay, any d >= 1, c = N lW lH, k = sqrt(c). One-hot, n a class: Sigma = I/K, so s = 1/sqrt(K) and k/s =
K sqrt(n lW lH).

Statement. The minimum is (1/2) tr Sigma - (1/2) sum_{i <= d} max(0, s_i - k)^2. With K balanced classes, d < K and k
< s the optimal logits are (1 - k/s) Q with Q any orthogonal projection of rank d, so that d classes may be fitted as
if they were alone and the others not at all; with value 1/2 - (d/K)(1 - k/s)^2/2.

Source. New here; Eckart and Young for the singular value thresholding of regression collapse.

Idea. At most d singular values are not 0, and each lowers the objective by (s_i - k)^2/2 at most (Mirsky).
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from proofs_check.notation import say
from proofs_check.scope import Scope, hypotheses
from proofs_check.theorems._kernel import Proof, above, argue, at_least, between, holds, identity, monotone

ID = "low-dimension-mse"

s, k, t, x, d, K, n, lam, gamma = sp.symbols("s k t x d K n lambda gamma", positive=True)
DROP = (s - k) ** 2 / 2
LEVEL = K * lam * sp.sqrt(n)
VALUE = sp.Rational(1, 2) - d * (1 - gamma) ** 2 / (2 * K)

#: What the theorem covers.
SCOPE = (Scope(("mse",), ("weight-decay",), groups=(1, 1), conditions=("d < K",)),)


def statements(*, level: sp.Expr = LEVEL, value: sp.Expr = VALUE, **_: Any) -> dict[str, str]:
    """What the theorem says, by part, with these pieces; see :func:`prove`."""
    return {
        "projections": f"With n samples a class, λ = √(λ_W λ_H) and γ = {say(level)} < 1 the optimal logits are "
        f"exactly (1 − γ) Q, Q any "
        "orthogonal projection of rank d; for γ ≥ 1 they are 0.",
        "value": f"The minimum is {say(value)} for γ < 1.",
        "unfair": "So d of the classes may be fitted as if they were alone and the K − d others not at all: Q = "
        "diag(1, …, 1, 0, …, 0).",
    }


def prove(*, drop: sp.Expr = DROP, level: sp.Expr = LEVEL, value: sp.Expr = VALUE) -> Proof:
    """Prove the statement with these pieces.

    Args:
        drop: what a component of the targets lowers the objective by, at most.
        level: k/s with balanced classes, in K, n and lambda.
        value: the minimum in d, K and gamma = k/s < 1.
    """
    cost = (x - s) ** 2 / 2 + k * x
    unit = 1 / sp.sqrt(K)
    small = {gamma: between(0, 1), d: at_least(1), K: at_least(2)}
    steps = (
        identity("cost(x) = s^2/2 - drop + (x - s + k)^2/2", cost, s**2 / 2 - drop + (x - s + k) ** 2 / 2),
        identity(
            "s = k/(1 + t) < k: cost(x) - cost(0)",
            (cost - cost.subs(x, 0)).subs(s, k / (1 + t)),
            x**2 / 2 + k * t * x / (1 + t),
        ),
        holds("is not negative", x**2 / 2 + k * t * x / (1 + t), ">=", 0),
        monotone(
            "the drop grows with s > k, so the largest d are kept",
            drop.subs(s, k + t),
            t,
            "increasing",
            {k: above(0), t: above(0)},
        ),
        identity("balanced: K n samples, c = K n lambda^2, s = 1/sqrt(K): k/s", sp.sqrt(K * n) * lam / unit, level),
        identity("tr Sigma/2 = K s^2/2", K * unit**2 / 2, sp.Rational(1, 2)),
        identity(
            "1/2 less d drops",
            sp.Rational(1, 2) - d * drop.subs({s: unit, k: gamma * unit}, simultaneous=True),
            value,
            small,
        ),
        # diag(1, .., 1, 0, .., 0): column costs of the fitted and of the others, in a class of probability 1/K
        identity(
            "the same from d classes alone: error gamma^2/2 each, and the penalty",
            (d * gamma**2 + (K - d)) / (2 * K) + (gamma * unit) * (d * (1 - gamma) * unit),
            value,
            small,
        ),
        holds("which is less than at 0", value, "<", sp.Rational(1, 2), small),
    )
    return Proof(
        id=ID,
        statement=" ".join(statements(level=level, value=value).values()),
        source="new; Eckart and Young 1936 for regression collapse",
        hypotheses=hypotheses(SCOPE),
        steps=steps,
        arguments=(
            argue(
                "Mirsky",
                "|Z - Y|_F^2 >= sum (sigma_i(Z) - sigma_i(Y))^2, and at most d of the sigma_i(Z) are not 0; with "
                "equal sigma_i(Y), Y = "
                "sigma I, the bound holds with equality for Z = x Q, and |x I_d - sigma I|: equality needs Z "
                "symmetric positive "
                "semidefinite with all its nonzero singular values x",
            ),
            argue(
                "von Neumann",
                "equality <Z, Y> = sigma |Z|_* with Y = sigma I means tr Z = |Z|_*, Z symmetric and positive "
                "semidefinite",
            ),
        ),
        uses=("nuclear-norm-factorisation",),
    )


MUTANTS: dict[str, dict[str, Any]] = {
    "drop without the half": {"drop": (s - k) ** 2},
    "drop with the sum": {"drop": (s + k) ** 2 / 2},
    "level with n": {"level": K * lam * n},
    "level without K": {"level": lam * sp.sqrt(n)},
    "value with K - d": {"value": sp.Rational(1, 2) - (K - d) * (1 - gamma) ** 2 / (2 * K)},
    "value without the square": {"value": sp.Rational(1, 2) - d * (1 - gamma) / (2 * K)},
}
