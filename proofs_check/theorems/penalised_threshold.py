"""Weight decay: cross-entropy and squared error collapse the minority at the same number of samples.

Setting. f(Z) + lam |Z D^{1/2}|_*, lam = sqrt(lW lH), D = diag(n_k), N = sum n_k; with a linear equilibrium layer of
spectral bound rho the strength is (1 - rho) lam.

Statement. A group with n_B samples a class (K_B >= 2 under cross-entropy) is collapsed iff n_B <= (1-rho)^2 N^2 lW
lH, for both losses. At fixed N, with K_A classes of R n_B samples and K_B of n_B, that is R >= (1/((1-rho)^2 N lW lH)
- K_B)/K_A where this exceeds 1.

Source. Zhu et al. 2021 (the penalised model); Dang et al. 2023 (squared error); cross-entropy and the equilibrium
layer: new here.

Idea. Cross-entropy: the collapse criterion pi_B <= lam sqrt(n_B). Squared error: z_B = 1 - N lam/sqrt(n_B) <= 0.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from proofs_check.notation import SIGNS, say
from proofs_check.scope import WEIGHT_DECAY, Scope, hypotheses
from proofs_check.theorems._kernel import Proof, above, argue, at_least, between, holds, identity, monotone

ID = "penalised-threshold"

n, N, lW, lH, rho, R, lam = sp.symbols("n_B N lambda_W lambda_H rho R lambda", positive=True)
K_A, K_B = sp.symbols("K_A K_B", integer=True, positive=True)
THRESHOLD = (1 - rho) ** 2 * N**2 * lW * lH
RATIO = (1 / ((1 - rho) ** 2 * N * lW * lH) - K_B) / K_A


#: What the theorem covers.
SCOPE = (
    Scope(models=WEIGHT_DECAY, groups=(2, 2), minority=2, dimension="K - 1"),
    Scope(("mse",), WEIGHT_DECAY, dimension="K"),
)


def statements(*, threshold: sp.Expr = THRESHOLD, relation: str = "<=", **_: Any) -> dict[str, str]:
    """What the theorem says, by part, with these pieces; see :func:`prove`."""
    return {
        "threshold": "A group of classes with n_B samples each, N in all, is collapsed if and only if "
        f"n_B {SIGNS[relation]} {say(threshold)}, ρ = 0 for the explicit network.",
    }


def prove(
    *,
    threshold: sp.Expr = THRESHOLD,
    ratio: sp.Expr = RATIO,
    relation: str = "<=",
    ce_weight: sp.Expr = sp.sqrt(n),
    mse_size: sp.Expr = 1 - N * lam / sp.sqrt(n),
) -> Proof:
    """Prove the statement with these pieces.

    Args:
        threshold: number of samples n_B at which both criteria are equalities.
        ratio: the same in R at fixed N.
        relation: relation of n_B to the threshold where B is collapsed.
        ce_weight: column weight omega_B of the gauge, in n_B.
        mse_size: the size z_B under the squared error before clipping at 0, in lam, n_B, N.
    """
    domain = {rho: between(0, 1), K_A: at_least(1), K_B: at_least(2)}
    strength = (1 - rho) * sp.sqrt(lW * lH)
    x = sp.Symbol("x", positive=True)
    margin_ce = lam * ce_weight - n / N
    margin_mse = -mse_size
    excess = N * lam - sp.sqrt(n)
    at = {lam: strength, n: threshold}
    share = 1 / (K_A * R + K_B)
    slack = sp.Symbol("t", nonnegative=True)
    steps = (
        identity(
            "cross-entropy: lam omega_B - pi_B = (sqrt(n_B)/N)(N lam - sqrt(n_B))", margin_ce, sp.sqrt(n) / N * excess
        ),
        identity("squared error: -z_B = (N lam - sqrt(n_B))/sqrt(n_B)", margin_mse, excess / sp.sqrt(n)),
        holds("both factors are positive", sp.sqrt(n) / N, ">", 0),
        identity(
            "N lam - sqrt(n_B) = (N^2 lam^2 - n_B)/(N lam + sqrt(n_B))",
            excess,
            (N**2 * lam**2 - n) / (N * lam + sp.sqrt(n)),
        ),
        holds(
            "n_B against the threshold N^2 lam^2 where N lam - sqrt(n_B) = t >= 0",
            x**2,
            relation,
            (x + slack) ** 2,
            {slack: at_least(0), x: above(0)},
        ),
        identity("cross-entropy criterion at the threshold", margin_ce.subs(at), 0, domain),
        identity("squared error criterion at the threshold", margin_mse.subs(at), 0, domain),
        identity(
            "pi_B N = n_B = N/(K_A R + K_B) meets the threshold at the ratio",
            (N * share).subs(R, ratio),
            threshold,
            {**domain, lW: between(0, sp.Rational(1, 1000)), lH: between(0, sp.Rational(1, 1000)), N: between(1, 2)},
        ),
        monotone("n_B at fixed N in R", N * share, R, "decreasing", domain),
        monotone("the threshold in rho", THRESHOLD, rho, "decreasing", domain),
    )
    return Proof(
        id=ID,
        statement=" ".join(statements(threshold=threshold, relation=relation).values()),
        source="Zhu et al. 2021; Dang et al. 2023",
        hypotheses=hypotheses(SCOPE),
        steps=steps,
        arguments=(argue("convex optimality", "the criteria are those of the theorems used, with mu = (1 - rho) lam"),),
        uses=("collapse-criterion", "mse-closed-form", "spectral-deq-gauge", "nuclear-norm-factorisation"),
    )


MUTANTS: dict[str, dict[str, Any]] = {
    "rho for 1 - rho": {"threshold": rho**2 * N**2 * lW * lH},
    "1 - rho without the square": {"threshold": (1 - rho) * N**2 * lW * lH},
    "N for N^2": {"threshold": (1 - rho) ** 2 * N * lW * lH},
    "sqrt(lW lH)": {"threshold": (1 - rho) ** 2 * N**2 * sp.sqrt(lW * lH)},
    "the explicit threshold": {"threshold": N**2 * lW * lH},
    "collapsed above": {"relation": ">="},
    "swapped class counts in R": {"ratio": (1 / ((1 - rho) ** 2 * N * lW * lH) - K_A) / K_B},
    "weight n_B": {"ce_weight": n},
    "squared error with n_B": {"mse_size": 1 - N * lam / n},
}
