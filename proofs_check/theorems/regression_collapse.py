"""Squared error with real targets: predictions are the targets with their principal components shrunk.

Setting. Targets y_1, ..., y_N in R^K with second moments Sigma = (1/N) sum_i y_i y_i^T = U diag(s_i^2) U^T; minimise
(1/(2N)) sum_i |W h_i - y_i|^2 + (lW/2) |W|^2 + (lH/2) sum_i |h_i|^2, d >= K, c = N lW lH, k = sqrt(c).

Statement. The predictions are y -> U diag(max(0, 1 - k/s_i)) U^T y, W W^T = sqrt(N lH/lW) U diag(max(0, s_i - k))
U^T, the training error is sum_i min(s_i^2, c), the minimum (1/2) sum_i s_i^2 - (1/2) sum_i max(0, s_i - k)^2. So W
W^T = sqrt(N lH/lW) (Sigma^{1/2} - k I) needs c <= lambda_min(Sigma): beyond it the right side has a negative
eigenvalue.

Source. Andriopoulos et al. 2024, Theorem 4.1 and Corollary 4.2 (theirs is lH/N here), corrected.

Idea. Mirsky: for given singular values the squared error is least where the singular vectors are those of the
targets.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from proofs_check.notation import say
from proofs_check.scope import Scope, hypotheses
from proofs_check.theorems._kernel import Proof, above, argue, at_least, holds, identity

ID = "regression-collapse"

s, k, t, x, N, lW, lH = sp.symbols("s k t x N l_W l_H", positive=True)
SHRINK = 1 - k / s
ERROR = k**2
VALUE = s**2 / 2 - (s - k) ** 2 / 2
GRAM = sp.sqrt(N * lH / lW) * (s - k)

#: What the theorem covers.
SCOPE = (Scope(("regression",), ("weight-decay",), classes=(1, None), dimension="K"),)

_COMPONENTS = "the targets' second moments Σ = (1/N) Σ_n y_n y_nᵀ = U diag(s_i²) Uᵀ"


def statements(*, shrink: sp.Expr = SHRINK, error: sp.Expr = ERROR, **_: Any) -> dict[str, str]:
    """What the theorem says, by part, with these pieces; see :func:`prove`."""
    factor = say(shrink.subs(k, sp.sqrt(sp.Symbol("c", positive=True))).subs(s, sp.Symbol("s_i", positive=True)))
    least = say(error.subs(k, sp.sqrt(sp.Symbol("c", positive=True))))
    return {
        "predictions": f"With {_COMPONENTS} and c = N λ_W λ_H the optimal predictions are W h_n = U diag(max(0, "
        f"{factor})) Uᵀ y_n, "
        "a factor of 0 where s_i = 0.",
        "error": f"At the optimum the training error (1/N) Σ_n |W h_n − y_n|² is Σ_i min(s_i², {least}).",
        "value": "The minimum of the objective is (1/2) Σ_i s_i² − (1/2) Σ_i max(0, s_i − √c)².",
        "gram": "At every optimum W Wᵀ = √(N λ_H/λ_W) U diag(max(0, s_i − √c)) Uᵀ.",
        "printed": "No W has W Wᵀ = √(N λ_H/λ_W) (Σ^{1/2} − √c I) where c exceeds the least eigenvalue of Σ.",
    }


def prove(
    *,
    shrink: sp.Expr = SHRINK,
    error: sp.Expr = ERROR,
    value: sp.Expr = VALUE,
    gram: sp.Expr = GRAM,
    level: sp.Expr = sp.sqrt(N * lW * lH),
) -> Proof:
    """Prove the statement with these pieces.

    Args:
        shrink: factor of a component with s > k.
        error: squared error that such a component keeps.
        value: what it adds to the objective.
        gram: eigenvalue of W W^T along it.
        level: k = sqrt(c).
    """
    cost = (x - s) ** 2 / 2 + k * x
    size = shrink * s
    low = {s: above(0), k: above(0)}
    shorter = k / (1 + t)  # s < k
    w2 = sp.sqrt(lH / lW) * sp.sqrt(N) * size
    steps = (
        identity(
            "the threshold N sqrt(lW lH) of singular values, over sqrt(N)", N * sp.sqrt(lW * lH) / sp.sqrt(N), level
        ),
        identity("cost(x) - cost(shrunk) = (x - shrunk)^2/2", cost - cost.subs(x, size), (x - size) ** 2 / 2, low),
        identity(
            "s = k/(1 + t) < k: cost(x) - cost(0)",
            (cost - cost.subs(x, 0)).subs(s, shorter),
            x**2 / 2 + k * t * x / (1 + t),
        ),
        holds("which is positive for x > 0", x**2 / 2 + k * t * x / (1 + t), ">", 0),
        identity("and s = k: x^2/2", (cost - cost.subs(x, 0)).subs(s, k), x**2 / 2),
        identity("squared error of a shrunk component", (s - size) ** 2, error, low),
        identity("its cost", cost.subs(x, size), value, low),
        identity("a component left out costs s^2/2", cost.subs(x, 0), s**2 / 2),
        # factors in balance, lW w^2 = lH h^2 and w h = sqrt(N) x
        identity("w^2 = sqrt(lH/lW) w h: eigenvalue of W W^T", w2, gram, low),
        identity("h^2 = lW w^2/lH gives w h back", w2 * sp.sqrt(lW / lH), sp.sqrt(N) * size, low),
        holds(
            "s < k: the eigenvalue of Sigma^{1/2} - k I is negative", shorter - k, "<", 0, {t: above(0), k: above(0)}
        ),
        holds("and s >= k: it is not", k + t - k, ">=", 0, {t: at_least(0)}),
    )
    return Proof(
        id=ID,
        statement=" ".join(statements(shrink=shrink, error=error).values()),
        source="Andriopoulos et al. 2024, Theorem 4.1 and Corollary 4.2, corrected",
        hypotheses=hypotheses(SCOPE),
        steps=steps,
        arguments=(
            argue(
                "Mirsky",
                "|Z - Y|_F^2 >= sum (sigma_i(Z) - sqrt(N) s_i)^2, with equality for the singular vectors of Y; the "
                "least cost "
                "is one number a component, and Z is unique as the objective is strictly convex",
            ),
            argue(
                "arithmetic-geometric mean", "sqrt(lW lH) |Z|_* is attained only by factors with lW W^T W = lH H H^T"
            ),
        ),
        uses=("nuclear-norm-factorisation",),
    )


MUTANTS: dict[str, dict[str, Any]] = {
    "shrunk by c": {"shrink": 1 - k**2 / s},
    "shrunk by half": {"shrink": 1 - k / (2 * s)},
    "shrunk as ridge": {"shrink": s / (s + k)},
    "error sqrt(c)": {"error": k},
    "error 2 c": {"error": 2 * k**2},
    "value without the half": {"value": s**2 / 2 - (s - k) ** 2},
    "gram with lW/lH": {"gram": sp.sqrt(N * lW / lH) * (s - k)},
    "gram without N": {"gram": sp.sqrt(lH / lW) * (s - k)},
    "c without N": {"level": sp.sqrt(lW * lH)},
}
