"""When cross-entropy under weight decay has the logits of a simplex ETF, with and without weights on its samples.

Setting. f(Z) + lam |Z D^{1/2}|_*, lam = sqrt(lW lH), D = diag(n_k), N = sum n_k, P = I - 1 1^T/K, M = D^{1/2} P
D^{1/2}.
At Z = a P the wrong classes have the probability q = 1/(e^a + K - 1).

Statement. Without weights and for K >= 3, Z = a P with a > 0 only for equal counts; for K = 2 always, e^a = max(1,
sqrt(2)/(lam sqrt(N)) - 1). With weights w_k = N/(K n_k), all classes alike in the risk, Z = a P with a > 0 only for
equal counts; under budgets those weights do restore the ETF.

Source. Thrampoulidis et al. 2022, Propositions 1 and 2 (the path leaves SELI unless R = 1); Fang et al. 2021
(oversampling, budgets); weight decay: derived here.

Idea. Stationarity reads M^{1/2} = c M, or = c D^{1/2} P D^{-1/2}; off the diagonal the first wants all n_j + n_k equal,
and the second is symmetric only if all n_k are.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from proofs_check.notation import say
from proofs_check.scope import Scope, hypotheses
from proofs_check.theorems._kernel import Proof, argue, at_least, holds, identity

ID = "etf-logits-decay"

K = sp.Symbol("K", integer=True, positive=True)
a, n_i, n_j, n_k, N, lam, c, tau, slack = sp.symbols("a n_i n_j n_k N lambda c tau t", positive=True)
SIZE = sp.sqrt(2) / (lam * sp.sqrt(N)) - 1
WEIGHT = N / (K * n_k)

#: What the theorem covers.
SCOPE = (
    Scope(("ce", "weighted-ce"), ("weight-decay",), dimension="K - 1"),
    Scope(("weighted-ce",), ("layer-peeled",), dimension="K - 1"),
)


def statements(
    *,
    size: sp.Expr = SIZE,
    weight: sp.Expr = WEIGHT,
    value: sp.Expr = sp.log(1 + (K - 1) * sp.exp(-tau / (K - 1))),
    **_: Any,
) -> dict[str, str]:
    """What the theorem says, by part, with these pieces; see :func:`prove`."""
    return {
        "path": "Under weight decay and cross-entropy with K ≥ 3 classes the optimal logits are a multiple a (I − "
        "11ᵀ/K), a > 0, of "
        "the SELI logits only if all counts are equal.",
        "two": "Under weight decay and cross-entropy with K = 2 classes the optimal logits are a (I − 11ᵀ/2) for any "
        "counts, "
        f"e^a = max(1, {say(size)}), λ = √(λ_W λ_H).",
        "decay": f"Under weight decay and cross-entropy with the weights {say(weight)} alone, by which all "
        f"classes weigh alike in the risk, "
        "the optimal logits are a multiple a (I − 11ᵀ/K), a > 0, of those of a simplex ETF only if all counts are "
        "equal.",
        "budgets": f"Under budgets and cross-entropy with the weights {say(weight)} alone the least risk is "
        f"{say(value)}, τ = K √(E_W E_H), "
        "attained at the simplex ETF, whatever the counts.",
    }


def prove(
    *,
    size: sp.Expr = SIZE,
    weight: sp.Expr = WEIGHT,
    value: sp.Expr = sp.log(1 + (K - 1) * sp.exp(-tau / (K - 1))),
    square: sp.Expr = n_j + n_k - N / K,
    pull: sp.Expr = K,
) -> Proof:
    """Prove the statement with these pieces.

    Args:
        size: e^a for K = 2.
        weight: weight of the samples of class k.
        value: least risk under budgets with the weights.
        square: off the diagonal M^2 is this times M.
        pull: the gradient of a class's loss at a P is minus this times q times P e_k.
    """
    domain = {K: at_least(2)}
    x, y = sp.symbols("x y", real=True)
    rest = sp.Symbol("C", nonnegative=True)
    total = sp.exp(x) + sp.exp(y) + rest
    at = {x: a * (K - 1) / K, y: -a / K, rest: (K - 2) * sp.exp(-a / K)}
    q = 1 / (sp.exp(a) + K - 1)
    root_j, root_k = sp.sqrt(n_j), sp.sqrt(n_k)
    off = -root_j * root_k / K
    q_two = 1 / (size + 1)
    steps = (
        identity(
            "loss of class k at a P: slope of the right logit",
            sp.diff(sp.log(total) - x, x).subs(at, simultaneous=True),
            -pull * q * (1 - 1 / K),
            domain,
        ),
        identity(
            "slope of a wrong logit",
            sp.diff(sp.log(total) - x, y).subs(at, simultaneous=True),
            pull * q / K,
            domain,
        ),
        identity(
            "M^2 off the diagonal: n_j M_jk + M_jk n_k - (diagonal terms) + sqrt(n_j n_k) sum_i n_i/K^2",
            n_j * off + off * n_k + root_j * root_k * N / K**2,
            square * off,
            domain,
        ),
        identity(
            "M = c^2 M^2 for (j, k) and (i, k): the difference", square - square.subs(n_j, n_i), n_j - n_i, domain
        ),
        identity("K = 2: M^2 = (trace M) M off the diagonal, n_j + n_k = N", square.subs({K: 2, n_k: N - n_j}), N / 2),
        identity("K = 2: and trace M = N - N/K", (N - N / K).subs(K, 2), N / 2),
        identity(
            "K = 2: stationarity, (2 q/N) M = lam M/sqrt(N/2) at the size",
            2 * q_two / N * sp.sqrt(N / 2),
            lam,
        ),
        identity(
            "K = 2: a > 0 iff 1/2 > lam sqrt(N/2)", (size - 1) * lam * sp.sqrt(N / 2), 1 - 2 * lam * sp.sqrt(N / 2)
        ),
        identity("weights: n_k/N times the weight is 1/K", n_k / N * weight, 1 / K, domain),
        identity(
            "weights: D^{1/2} P D^{-1/2} at (j, k) minus at (k, j)",
            (-root_j / root_k / K) - (-root_k / root_j / K),
            -(n_j - n_k) / (K * root_j * root_k),
            domain,
        ),
        holds(
            "which is not 0 for n_j = n_k + t",
            (-(n_j - n_k) / (K * root_j * root_k)).subs(n_j, n_k + slack),
            "<",
            0,
            domain,
        ),
        identity(
            "budgets: e^{risk} at Z = s P, s = tau/(K - 1)",
            (total / sp.exp(x)).subs(at, simultaneous=True).subs(a, tau / (K - 1)),
            sp.exp(value),
            domain,
        ),
    )
    return Proof(
        id=ID,
        statement=" ".join(statements(size=size, weight=weight, value=value).values()),
        source="Thrampoulidis et al. 2022; Fang et al. 2021",
        hypotheses=hypotheses(SCOPE),
        steps=steps,
        arguments=(
            argue(
                "convex optimality",
                "the gradient at a P has columns of sum zero, so that of the subgradients of |Z D^{1/2}|_* there only "
                "D^{-1/2} "
                "M^{1/2} D^{1/2} can be minus it: (K q/N) M = lam M^{1/2}, or with the weights q D^{1/2} P D^{-1/2} = "
                "lam "
                "M^{1/2}, the right side being symmetric",
            ),
            argue("unitary invariance", "K = 2: M has rank one, so that M^{1/2} = M/sqrt(trace M)"),
        ),
        uses=("ce-convex", "nuclear-norm-factorisation", "balanced-layer-peeled-etf"),
    )


MUTANTS: dict[str, dict[str, Any]] = {
    "two classes: without the root of 2": {"size": 1 / (lam * sp.sqrt(N)) - 1},
    "two classes: N": {"size": sp.sqrt(2) / (lam * N) - 1},
    "weights without K": {"weight": N / n_k},
    "root of the weights": {"weight": sp.sqrt(N / (K * n_k))},
    "value with K": {"value": sp.log(1 + K * sp.exp(-tau / (K - 1)))},
    "value with tau/K": {"value": sp.log(1 + (K - 1) * sp.exp(-tau / K))},
    "square with N": {"square": n_j + n_k - N},
    "pull K - 1": {"pull": K - 1},
}
