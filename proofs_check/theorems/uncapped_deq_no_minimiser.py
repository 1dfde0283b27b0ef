"""Without a cap on A the penalised equilibrium problem has no minimiser when the penalty on A is small, and one when
large.

Setting. Balanced cross-entropy, K >= 3 classes of n samples, kappa = lam sqrt(n), penalty (lA/2)|A|_F^2, I - A
invertible but no bound on |A|_2. F(Z) = f(Z) + sum_i g(sigma_i(Z)), g(s) = kappa s - kappa^2 s^2/(2 lA) for kappa s <
lA, lA/2 beyond.

Statement. (a) A direction with kappa s >= lA costs more than lA/2 at every a < 1 and comes arbitrarily close. (b) If
lA < log K and lA < 2 K kappa^2 there is no minimiser. (c) If lA >= 2 log K there is one. (d) With |A|_2 <= rho < 1
there is always one. So the absence of a minimiser needs the hypothesis on lA: "no cap, hence no minimiser" alone is
false.

Source. New here.

Idea. (b) At a minimiser no singular value lies strictly between 0 and lA/kappa: the risk's second derivative along its
singular vectors is at most 1/(2K), less than kappa^2/lA. None lies beyond, by (a). So Z = 0, of value log K; but two
directions on a circle code have infimum lA < log K. (c) One direction with kappa s >= lA already costs more than Z = 0.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from proofs_check.notation import say
from proofs_check.scope import Scope, hypotheses
from proofs_check.theorems._kernel import Proof, argue, at_least, between, everywhere, holds, identity, limit, monotone

ID = "uncapped-deq-no-minimiser"

K = sp.Symbol("K", integer=True, positive=True)
kappa, lA, s, y, t, rho = sp.symbols("kappa lambda_A s y t rho", positive=True)
x = sp.Symbol("x", nonnegative=True)


#: What the theorem covers.
SCOPE = (
    Scope(models=("uncapped-deq",), classes=(3, None), groups=(1, 1), dimension="K", conditions=("I − A invertible",)),
)


def statements(
    *,
    curvature: sp.Expr = 1 / (2 * K),
    small: sp.Expr | None = None,
    large: sp.Expr = 2 * sp.log(K),
    **_: Any,
) -> dict[str, str]:
    """What the theorem says, by part, with these pieces; see :func:`prove`."""
    return {
        "none": f"With κ = √(λ_W λ_H n), n samples a class: the infimum is not attained if λ_A < "
        f"{say(sp.log(K) if small is None else small)} "
        f"and λ_A < {say(kappa**2 / curvature)}.",
        "one": f"It is attained if λ_A ≥ {say(large)}, and always once |A|₂ ≤ ρ < 1 is demanded.",
    }


def prove(
    *,
    ceiling: sp.Expr = lA / 2,
    relation: str = ">",
    curvature: sp.Expr = 1 / (2 * K),
    small: sp.Expr | None = None,
    large: sp.Expr = 2 * sp.log(K),
    code_rank: int = 2,
    cap_slope: sp.Expr = kappa * (1 - rho),
) -> Proof:
    """Prove the statement with these pieces.

    Args:
        ceiling: infimum of the cost of a direction with ``kappa s >= lA``.
        relation: relation of its cost at a < 1 to the ceiling.
        curvature: bound on the second derivative of the risk along a unit rank-one direction.
        small: lA is below this in (b), at ``kappa`` large; default ``log K``.
        large: lA is at least this in (c).
        code_rank: rank of the code in (b).
        cap_slope: slope of g at infinity under the cap rho.
    """
    # kappa s = lA + x, a = 1 - y with 0 < y < 1.
    cost = kappa * (1 - (1 - y)) * (lA + x) / kappa + lA * (1 - y) ** 2 / 2
    interior = {y: between(0, 1)}
    lo, hi, mean, second, u_i, u_j = sp.symbols("lo hi mean second u_i u_j", real=True)
    reals = {z: everywhere() for z in (lo, hi, mean, second, u_i, u_j)}
    alpha, beta = sp.symbols("alpha beta", real=True)
    small = sp.log(K) if small is None else small
    value_capped = sp.Symbol("f", positive=True)
    steps = (
        holds("(a) cost at a = 1 - y against the ceiling", cost, relation, ceiling, interior),
        limit("(a) cost tends to the ceiling as a -> 1", cost, y, 0, ceiling),
        # (b) curvature: E[(hi - v)(v - lo)] >= 0 bounds the variance.
        identity(
            "E (hi - v)(v - lo) = (hi - mean)(mean - lo) - Var",
            hi * mean - hi * lo - second + lo * mean,
            (hi - mean) * (mean - lo) - (second - mean**2),
            reals,
        ),
        identity(
            "(hi - lo)^2/4 - (hi - mean)(mean - lo) is a square",
            (hi - lo) ** 2 / 4 - (hi - mean) * (mean - lo),
            (mean - (hi + lo) / 2) ** 2,
            reals,
        ),
        identity(
            "2 (u_i^2 + u_j^2) - (u_i - u_j)^2 is a square",
            2 * (u_i**2 + u_j**2) - (u_i - u_j) ** 2,
            (u_i + u_j) ** 2,
            reals,
        ),
        identity(
            "so f'' <= (1/K) max Var <= (1/K) (2/4) on unit vectors",
            1 / K * sp.Rational(2, 4),
            curvature,
            {K: at_least(3)},
        ),
        holds(
            "second derivative along a singular pair with 0 < kappa s < lA is negative when lA < 2 K "
            "kappa^2, lA = 2 K kappa^2 y",
            curvature - kappa**2 / (2 * K * kappa**2 * y),
            "<",
            0,
            {K: at_least(3), y: between(0, 1)},
        ),
        identity(
            "the circle code cos(alpha - beta) has rank 2",
            sp.cos(alpha) * sp.cos(beta) + sp.sin(alpha) * sp.sin(beta),
            sp.cos(alpha - beta),
            {alpha: everywhere(), beta: everywhere()},
        ),
        limit(
            "its risk, at most log(1 + (K-1) e^{-c m}) with m = 1 - cos(2 pi/K) > 0, tends to 0",
            sp.log(1 + (K - 1) * t),
            t,
            0,
            0,
        ),
        holds("m > 0 for K >= 3: 1 - (1 - y)/(1 + y) with y = tan^2(pi/K)", 1 - (1 - y) / (1 + y), ">", 0),
        identity("infimum at most code_rank * lA/2 = lA", code_rank * lA / 2, lA),
        # lA = small * y, 0 < y < 1, against the value log K of Z = 0; K = 3 is the tightest.
        holds("(b) lA below the value of Z = 0", small * y / sp.log(K), "<", 1, {K: at_least(3), y: between(0, 1)}),
        # (c) f > 0, so F >= lA/2 + f > log K = F(0) once some kappa s >= lA; g is nonnegative in the other directions.
        holds(
            "(c) lA/2 + f exceeds log K at lA = large + t",
            large / 2 + t / 2 + value_capped,
            ">",
            sp.log(K),
            {K: at_least(3)},
        ),
        identity("F(0) = log K", sp.log(K * sp.exp(0)), sp.log(K), {K: at_least(3)}),
        identity(
            "(c) below the joint a = kappa s/lA < 1 is attained: s = y lA/kappa",
            (kappa * s / lA).subs(s, y * lA / kappa),
            y,
        ),
        monotone(
            "(d) with a cap g grows without bound: kappa (1 - rho) s + lA rho^2/2",
            kappa * (1 - rho) * s + lA * rho**2 / 2,
            s,
            "increasing",
            {rho: between(0, 1)},
        ),
        identity("(d) its slope", sp.diff(kappa * (1 - rho) * s + lA * rho**2 / 2, s), cap_slope, {rho: between(0, 1)}),
    )
    return Proof(
        id=ID,
        statement=" ".join(statements(curvature=curvature, small=small, large=large).values()),
        source="new",
        hypotheses=hypotheses(SCOPE),
        steps=steps,
        arguments=(
            argue("second-order condition", "moving one singular value alone changes F along a line of logits"),
            argue("extreme value theorem", "(c), (d): minimising sequences stay bounded and F is continuous"),
        ),
        uses=("mcp-penalty", "ce-convex"),
    )


MUTANTS: dict[str, dict[str, Any]] = {
    "ceiling lA": {"ceiling": lA},
    "ceiling lA/4": {"ceiling": lA / 4},
    "cost below the ceiling": {"relation": "<"},
    "curvature 1/(4K)": {"curvature": 1 / (4 * K)},
    "no minimiser up to 2 log K": {"small": 2 * sp.log(K)},
    "a minimiser from log K on": {"large": sp.log(K)},
    "rank one code": {"code_rank": 1},
    "slope kappa rho under the cap": {"cap_slope": kappa * rho},
}
