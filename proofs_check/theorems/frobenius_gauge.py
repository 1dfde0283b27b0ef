"""A linear equilibrium layer with a Frobenius budget: a difference of norms where the cap is idle, water-filling
otherwise.

Setting. Z = W (I - A)^{-1} H, |A|_F^2 <= E_A, |A|_2 <= rho < 1, |W|_F^2 <= K E_W, |H|_F^2 <= K E_H, tau = K sqrt(E_W
E_H); s = (sigma_i(Z)).

Statement. Z is attainable iff |Z|_* - max{<a, s> : 0 <= a_i <= rho, |a|^2 <= E_A} <= tau. Where sqrt(E_A) s_1 <= rho
|s| the maximum is sqrt(E_A) |s| and the gauge is |Z|_* - sqrt(E_A) |Z|_F; otherwise it is attained at a_i = min(rho,
s_i/nu) with |a|^2 = E_A (or all a_i = rho if that spends less). On m equal singular values s the gauge is (m - sqrt(m
E_A)) s. The gauge is not convex.

Source. New here; the matrix inequality behind it is the one of the MCP penalty.

Idea. Cauchy-Schwarz as an identity; with the cap, the Lagrangian a s - nu a^2/2 maximised coordinate by coordinate.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from proofs_check.notation import say
from proofs_check.scope import LOSSES, Scope, hypotheses
from proofs_check.theorems._kernel import Proof, argue, at_least, between, holds, identity

ID = "frobenius-gauge"

E_A, norm, s, a, nu, rho, m = sp.symbols("E_A S s a nu rho m", positive=True)
x, y = sp.symbols("x y", nonnegative=True)
inner, a_sq = sp.symbols("p Q", positive=True)


#: What the theorem covers.
SCOPE = (Scope(tuple(LOSSES), ("frobenius-deq",), dimension="rank"),)


def statements(
    *,
    reduction: sp.Expr = sp.sqrt(E_A) * norm,
    water: sp.Expr = s / nu,
    equal_gauge: sp.Expr = (m - sp.sqrt(m * E_A)) * s,
    **_: Any,
) -> dict[str, str]:
    """What the theorem says, by part, with these pieces; see :func:`prove`."""
    return {
        "idle": f"Z is attainable iff |Z|_* − {say(reduction)} ≤ τ, S = |Z|_F, where the bound ρ is idle.",
        "capped": f"Otherwise the norm falls by Σ a_i σ_i with a_i = min(ρ, {say(water)}), Σ a_i² = E_A.",
        "equal": f"On m equal singular values s the gauge is {say(equal_gauge)}. It is not convex.",
    }


def prove(
    *,
    reduction: sp.Expr = sp.sqrt(E_A) * norm,
    maximiser_scale: sp.Expr = sp.sqrt(E_A) / norm,
    water: sp.Expr = s / nu,
    equal_gauge: sp.Expr = (m - sp.sqrt(m * E_A)) * s,
    midpoint_relation: str = ">",
    side: str = ">=",
) -> Proof:
    """Prove the statement with these pieces.

    Args:
        reduction: the maximum of <a, s> where the cap is idle, in E_A and S = |s|.
        maximiser_scale: the factor c in the maximiser a = c s there.
        water: the uncapped coordinate of the maximiser, in s and nu.
        equal_gauge: the gauge of m equal singular values s.
        midpoint_relation: relation of the gauge at the midpoint of two rank-one diagonals to their average gauge.
        side: relation of the Lagrangian at the maximiser to its value elsewhere.
    """
    lagrangian = a * s - nu * a**2 / 2
    uncapped = lagrangian.subs(a, water) - lagrangian
    capped = (lagrangian.subs(a, rho) - lagrangian).subs(s, nu * rho + x).subs(a, rho - y)
    e = sp.Symbol("e", positive=True)  # sqrt(E_A)
    half = 2 * sp.Rational(1, 2) - e * sp.sqrt(2) / 2
    steps = (
        # p = <a, s>, Q = |a|^2, S^2 = |s|^2: |a - (p/S^2) s|^2 = Q - 2 (p/S^2) p + (p/S^2)^2 S^2.
        identity(
            "|a|^2 |s|^2 - <a, s>^2 = |s|^2 |a - (<a,s>/|s|^2) s|^2",
            a_sq * norm**2 - inner**2,
            norm**2 * (a_sq - 2 * inner**2 / norm**2 + inner**2 / norm**2),
        ),
        identity(
            "(reduction)^2 - <a, s>^2 = S^2 (E_A - |a|^2) + that",
            reduction**2 - inner**2,
            norm**2 * (E_A - a_sq) + (a_sq * norm**2 - inner**2),
        ),
        identity("the maximiser c s spends the budget: c^2 S^2 = E_A", maximiser_scale**2 * norm**2, E_A),
        identity("and attains the reduction: c S^2", maximiser_scale * norm**2, reduction),
        identity(
            "the cap is idle iff c s_1 <= rho, that is sqrt(E_A) s_1 <= rho S",
            rho - maximiser_scale * s,
            (rho * norm - sp.sqrt(E_A) * s) / norm,
            {rho: between(0, 1)},
        ),
        identity(
            "gauge of m equal singular values: m s - sqrt(E_A) sqrt(m) s",
            m * s - reduction.subs(norm, sp.sqrt(m) * s),
            equal_gauge,
        ),
        identity("Lagrangian at s/nu minus elsewhere is a square", uncapped, nu / 2 * (a - s / nu) ** 2),
        holds(
            "Lagrangian at the uncapped maximiser against elsewhere",
            nu / 2 * (y - x) ** 2,
            side,
            0,
            {x: at_least(0), y: at_least(0)},
        ),
        holds(
            "Lagrangian at the cap against a = rho - y, for s = nu rho + x",
            capped,
            side,
            0,
            {rho: between(0, 1), x: at_least(0), y: at_least(0)},
        ),
        holds(
            "slope 1 - a_i >= 1 - rho > 0: the gauge increases in each singular value",
            1 - rho,
            ">",
            0,
            {rho: between(0, 1)},
        ),
        # diag(1, 0) and diag(0, 1): gauge 1 - e each; midpoint diag(1/2, 1/2): 1 - e/sqrt(2).
        holds("midpoint against average: not convex", half, midpoint_relation, 1 - e, {e: between(0, 1)}),
    )
    return Proof(
        id=ID,
        statement=" ".join(statements(reduction=reduction, water=water, equal_gauge=equal_gauge).values()),
        source="new; linear equilibrium layer with a Frobenius budget",
        hypotheses=hypotheses(SCOPE),
        steps=steps,
        arguments=(
            argue(
                "Gelfand-Naimark",
                "as for the MCP penalty: sum (1 - a_i) sigma_i(Z) <= |W|_F |H|_F, a_i = 1 - sigma_{d+1-i}(B)",
            ),
            argue("weak log-majorisation", "from the products to the sums"),
            argue("Mirsky", "sum a_i^2 <= |A|_F^2 <= E_A and a_i <= rho; negative a_i may be set to 0"),
            argue(
                "intermediate value theorem",
                "|min(rho, s/nu)|^2 runs continuously from K rho^2 to 0 in nu, so nu exists",
            ),
        ),
        uses=("mcp-penalty",),
    )


MUTANTS: dict[str, dict[str, Any]] = {
    "E_A for sqrt(E_A)": {"reduction": E_A * norm},
    "reduction quadratic in the norm": {"reduction": sp.sqrt(E_A) * norm**2},
    "maximiser E_A/S": {"maximiser_scale": E_A / norm},
    "water s nu": {"water": s * nu},
    "water s/(2 nu)": {"water": s / (2 * nu)},
    "equal values with m for sqrt(m)": {"equal_gauge": (m - m * sp.sqrt(E_A)) * s},
    "equal values with plus": {"equal_gauge": (m + sp.sqrt(m * E_A)) * s},
    "convex": {"midpoint_relation": "<="},
    "minimiser instead of maximiser": {"side": "<="},
}
