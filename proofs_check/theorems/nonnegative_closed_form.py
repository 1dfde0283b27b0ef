"""Nonnegative features: the problem separates over classes, for any counts, and classes vanish one by one.

Setting. H >= 0. f(Z) + (lW/2)|W|^2 + (lH/2) sum n_k |h_k|^2, or budgets; cross-entropy with targets t = (1 - alpha) e_k
+ alpha/K, or MSE. z_k = a_k (e_k - 1/K), q_k = 1/(e^{a_k} + K - 1), c_k = K q_k - alpha, lam = sqrt(lW lH).

Statement. e^{a_k} = max(1, K/(alpha + N lam r_k) - K + 1) with r_k = sqrt(K/((K-1) n_k)); class k vanishes iff (1 -
alpha)^2 n_k <= N^2 lW lH K/(K-1). Features of different classes have disjoint supports. Balanced budgets: value
log(1 + (K-1) e^{-tau/sqrt(K(K-1))}), tau = K sqrt(E_W E_H). MSE: the optimum without H >= 0.

Source. Dang et al. 2024 (cross-entropy, ReLU features, no smoothing); smoothing, budgets and biases: derived here.

Idea. The columns of minus the gradient, pi_k c_k (e_k - 1/K), have negative inner products, so that |G v| over v >= 0
of
length 1 is greatest at a coordinate vector.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from proofs_check.notation import say
from proofs_check.scope import Scope, hypotheses
from proofs_check.theorems._kernel import Proof, argue, at_least, between, holds, identity, monotone

ID = "nonnegative-closed-form"

K = sp.Symbol("K", integer=True, positive=True)
alpha = sp.Symbol("alpha", nonnegative=True)
a, n, N, lam, lW, lH, mu, pi, tau, m = sp.symbols("a n_k N lambda lambda_W lambda_H mu pi_k tau m", positive=True)
v_j, v_k, c_j, c_k, pi_j = sp.symbols("v_j v_k c_j c_k pi_j", positive=True)
x, y = sp.symbols("x y", real=True)
SIZE = K / (alpha + N * lam * sp.sqrt(K / ((K - 1) * n))) - K + 1
BUDGET = pi * sp.sqrt(K * (K - 1)) / mu - K + 1
BOUND = N**2 * lW * lH * K / (K - 1)

#: What the theorem covers.
SCOPE = (
    Scope(("ce", "smoothed-ce", "mse"), ("nonnegative-decay",), dimension="K"),
    Scope(("ce",), ("nonnegative-budgets",), dimension="K"),
)

_UNDER = "Under weight decay, features H ≥ 0 and cross-entropy"


def statements(
    *,
    size: sp.Expr = SIZE,
    budget: sp.Expr = BUDGET,
    bound: sp.Expr = BOUND,
    value: sp.Expr = sp.log(1 + (K - 1) * sp.exp(-tau / sp.sqrt(K * (K - 1)))),
    mse: sp.Expr = 1 - N * lam / sp.sqrt(n),
    **_: Any,
) -> dict[str, str]:
    """What the theorem says, by part, with these pieces; see :func:`prove`."""
    return {
        "form": f"{_UNDER} without bias the optimal logits are z_k = a_k (e_k − 1/K), e^{{a_k}} = max(1, "
        f"{say(size.subs(alpha, 0))}), λ = √(λ_W λ_H).",
        "threshold": f"{_UNDER} without bias a class vanishes, z_k = 0 and h_k = 0, if and only if n_k ≤ {say(bound)}.",
        "smoothing": f"{_UNDER} with label smoothing 0 ≤ α < 1 the optimal logits are z_k = a_k (e_k − 1/K), "
        f"e^{{a_k}} = "
        f"max(1, {say(size)}), λ = √(λ_W λ_H), and a class vanishes if and only if n_k (1 − α)² ≤ {say(bound)}.",
        "disjoint": f"{_UNDER} without bias each coordinate of the optimal features is positive in one class at most: "
        f"features of "
        "different classes are orthogonal, and no two classes share a direction.",
        "budgets": "Under budgets, features H ≥ 0 and cross-entropy without bias the optimal logits are z_k = a_k "
        "(e_k − 1/K), "
        f"e^{{a_k}} = max(1, {say(budget)}), with the one μ > 0 for which Σ a_k = τ √(K/(K − 1)), τ = K √(E_W E_H).",
        "balanced": "Under budgets, features H ≥ 0 and cross-entropy without bias the least risk for equal counts is "
        f"{say(value)}, τ = K √(E_W E_H).",
        "mse": f"Under weight decay, features H ≥ 0 and MSE without bias the optimal logits are Z = diag(z_k), z_k = "
        f"max(0, "
        f"{say(mse)}), λ = √(λ_W λ_H): those without H ≥ 0.",
        "bias": f"{_UNDER} the logits that are optimal without bias are optimal, beside the bias 0, with a bias, free "
        f"or with "
        "weight decay of its own, if and only if all counts are equal.",
    }


def prove(
    *,
    size: sp.Expr = SIZE,
    budget: sp.Expr = BUDGET,
    bound: sp.Expr = BOUND,
    value: sp.Expr = sp.log(1 + (K - 1) * sp.exp(-tau / sp.sqrt(K * (K - 1)))),
    mse: sp.Expr = 1 - N * lam / sp.sqrt(n),
    product: sp.Expr = -1 / K,
    length: sp.Expr = (K - 1) / K,
    growth: str = "increasing",
) -> Proof:
    """Prove the statement with these pieces.

    Args:
        size: e^{a_k} under weight decay before clipping at 1.
        budget: the same under budgets with multiplier mu.
        bound: what (1 - alpha)^2 n_k is compared with.
        value: least risk under budgets, equal counts.
        mse: z_k under MSE before clipping at 0.
        product: inner product of e_j - 1/K and e_k - 1/K, j != k.
        length: square of the length of e_k - 1/K.
        growth: how pi_k c_k depends on n_k.
    """
    domain = {K: at_least(2), alpha: between(0, 1)}
    rest = sp.Symbol("C", nonnegative=True)
    # a column: the right logit x, one wrong logit y, the exponentials of the other K - 2 in C
    total = sp.exp(x) + sp.exp(y) + rest
    loss = sp.log(total) - (1 - alpha + alpha / K) * x - alpha / K * y
    at = {x: a * (K - 1) / K, y: -a / K, rest: (K - 2) * sp.exp(-a / K)}
    q = 1 / (sp.exp(a) + K - 1)
    c = K * q - alpha
    r = sp.sqrt(K / ((K - 1) * n))
    q_best = 1 / (size + K - 1)
    alive = N * lam * r
    slack = sp.Symbol("t", nonnegative=True)
    share = 1 - alpha
    steps = (
        identity(
            "cross-entropy: slope of the right logit is -c (1 - 1/K)",
            sp.diff(loss, x).subs(at, simultaneous=True),
            -c * (1 - 1 / K),
            domain,
        ),
        identity(
            "cross-entropy: slope of a wrong logit is c/K", sp.diff(loss, y).subs(at, simultaneous=True), c / K, domain
        ),
        identity(
            "inner product of e_j - 1/K and e_k - 1/K", 2 * (1 - 1 / K) * (-1 / K) + (K - 2) / K**2, product, domain
        ),
        identity("squared length of e_k - 1/K", (1 - 1 / K) ** 2 + (K - 1) / K**2, length, domain),
        holds(
            "v > 0 in two classes: the cross term of |G v|^2 is negative",
            2 * v_j * v_k * pi_j * pi * c_j * c_k * product,
            "<",
            0,
            domain,
        ),
        identity(
            "stationary: (pi_k c_k)^2 |e_k - 1/K|^2 = lam^2 n_k at the size",
            (n / N * (K * q_best - alpha)) ** 2 * length,
            lam**2 * n,
            domain,
        ),
        identity(
            "the size exceeds 1 as 1 - alpha exceeds N lam r_k",
            (size - 1) * (alpha + alive),
            K * (share - alive),
            domain,
        ),
        identity(
            "at a_k = 0, c_k = 1 - alpha: lam^2 n_k minus the squared gain, by the bound minus (1 - alpha)^2 n_k",
            lW * lH * n - (n / N * share) ** 2 * length,
            (n / N**2) * (K - 1) / K * (bound - share**2 * n),
            domain,
        ),
        holds("c_k > 0 at a_k = 0", (K * q - alpha).subs(a, 0), ">", 0, {K: at_least(2), alpha: between(0, 1)}),
        identity(
            "budgets: (pi_k c_k)^2 |e_k - 1/K|^2 = mu^2 at the size",
            (pi * K / (budget + K - 1)) ** 2 * length,
            mu**2,
            domain,
        ),
        monotone("budgets: the size decreases in mu", budget, mu, "decreasing", domain),
        identity(
            "budgets, equal counts: K a |e_k - 1/K| = tau, squared",
            (K * tau / sp.sqrt(K * (K - 1))) ** 2 * length,
            tau**2,
            domain,
        ),
        identity(
            "e^{risk} of a class at tau = a sqrt(K(K-1))",
            (total / sp.exp(x)).subs(at, simultaneous=True),
            sp.exp(value.subs(tau, a * sp.sqrt(K * (K - 1)))),
            domain,
        ),
        identity("MSE: slope pi_k (z_k - 1) is -lam sqrt(n_k) at the size", n / N * (mse - 1), -lam * sp.sqrt(n)),
        holds(
            "MSE: and of modulus at most lam sqrt(n_k) where z_k = 0, N lam = sqrt(n_k) + t",
            n / N,
            "<=",
            (sp.sqrt(n) + slack) * sp.sqrt(n) / N,
            {slack: at_least(0)},
        ),
        monotone("pi_k c_k in n_k, classes that have not vanished", lam * n * r, n, growth, domain),
        monotone("pi_k c_k in n_k, classes that have", n / N * share, n, "increasing", domain),
        identity(
            "a class that has vanished, N lam r_k = 1 - alpha + t: pi_k c_k is lam n_k r_k minus",
            n / N * share,
            (n * lam * r - n / N * slack).subs(lam, (share + slack) / (N * r)),
            {**domain, slack: at_least(0)},
        ),
    )
    return Proof(
        id=ID,
        statement=" ".join(statements(size=size, budget=budget, bound=bound, value=value, mse=mse).values()),
        source="Dang et al. 2024",
        hypotheses=hypotheses(SCOPE),
        steps=steps,
        arguments=(
            argue("gradient inequality", "f(W H) >= f(Z) + <G, W H - Z>, G the gradient at Z, and <G, Z> = -penalty"),
            argue(
                "Cauchy-Schwarz",
                "coordinate i of the features, v_i >= 0: -<G, w_i v_i^T> <= |w_i| |G v_i|, and |G v|^2 is at most the "
                "sum of "
                "v_k^2 |g_k|^2 <= lam^2 |D^{1/2} v|^2, strictly less where v is positive in two classes",
            ),
            argue(
                "arithmetic-geometric mean",
                "the penalty of the coordinate is at least lam |w_i| |D^{1/2} v_i|; budgets: the product of the two "
                "norms",
            ),
            argue(
                "convex optimality",
                "biases: the gradient in the bias at 0 is -sum pi_k c_k (e_k - 1/K), which is 0 iff all pi_k c_k "
                "agree; "
                "the optimal logits are unique as the risk is strictly convex up to constants in a column",
            ),
            argue(
                "mean value theorem", "budgets: Σ a_k decreases in mu from infinity to 0, so that one mu spends them"
            ),
        ),
        uses=("ce-convex", "within-class-collapse", "mse-closed-form"),
    )


MUTANTS: dict[str, dict[str, Any]] = {
    "size without ReLU's factor": {"size": K / (alpha + N * lam / sp.sqrt(n)) - K + 1},
    "smoothing divided by K": {"size": K / (alpha / K + N * lam * sp.sqrt(K / ((K - 1) * n))) - K + 1},
    "budgets with K": {"budget": pi * K / mu - K + 1},
    "threshold of merging": {"bound": N**2 * lW * lH},
    "factor inverted": {"bound": N**2 * lW * lH * (K - 1) / K},
    "factor squared": {"bound": N**2 * lW * lH * K**2 / (K - 1) ** 2},
    "value of the simplex ETF": {"value": sp.log(1 + (K - 1) * sp.exp(-tau / (K - 1)))},
    "value of the orthogonal frame": {"value": sp.log(1 + (K - 1) * sp.exp(-tau / K))},
    "MSE with the factor": {"mse": 1 - N * lam * sp.sqrt(K / (K - 1)) / sp.sqrt(n)},
    "orthogonal columns": {"product": sp.Integer(0)},
    "columns of length 1": {"length": sp.Integer(1)},
    "rarer classes pull harder": {"growth": "decreasing"},
}
