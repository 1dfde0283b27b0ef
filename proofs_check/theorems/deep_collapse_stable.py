"""Three factors or more: every collapsed minimum stays a local minimum, whatever the imbalance.

Setting. Deep linear network with M factors and Frobenius budgets: sum_i sigma_i(Z)^{2/M} <= c. Let Z of rank r be a
local minimum among matrices of rank <= r at which the budget has a positive price m: a budget smaller by delta costs
at least m delta/2, for all small delta, next to Z.

Statement. For M >= 3 Z is a local minimum among all matrices, every higher rank being worse. In particular a
collapsed minority stays collapsed at every ratio R, and so would any group. For M = 2, and for the equilibrium layer,
the price of a new direction has a finite slope at 0, and collapse ends where the gradient exceeds it.

Source. New here; that the quasi-norm has infinite slope at 0 is what makes deep linear networks prefer low rank.

Idea. A new direction of size s = x^M gains at most g s in risk and takes s^{2/M} = x^2 from the budget of the others:
m x^2/2 - g x^M = x^2 (m/2 - g x^{M-2}).
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from proofs_check.notation import say
from proofs_check.scope import LOSSES, Scope, hypotheses
from proofs_check.theorems._kernel import Proof, argue, at_least, between, holds, identity, limit

ID = "deep-collapse-stable"

x, m, g, s, u, lam, lA, kappa, y = sp.symbols("x m g s u lambda lambda_A kappa y", positive=True)
M = sp.Symbol("M", positive=True, integer=True)

#: Factors from which on the price of a new direction has an infinite slope at 0.
LEAST = 3


#: What the proof needs of the minimum that it starts from.
PRICE = (
    "the budget has a positive price at the minimum among logits of its rank or lower: a budget smaller by δ costs "
    "at least a "
    "fixed multiple of δ next to it"
)

#: What the theorem covers.
SCOPE = (Scope(tuple(LOSSES), ("deep-linear",), conditions=("differentiable risk", PRICE)),)


def statements(*, exponent: sp.Expr = 2 / M, slope: sp.Expr = sp.oo, least: int = LEAST, **_: Any) -> dict[str, str]:
    """What the theorem says, by part, with these pieces; see :func:`prove`."""
    return {
        "stable": f"With M ≥ {least} factors a local minimum among logits of its own rank or lower is a local minimum "
        "among all logits, at every ratio "
        f"R: a new direction of size s costs s^{{{say(exponent)}}} of the budget, of slope {say(slope)} at 0. This "
        f"holds of "
        "a collapsed one too.",
    }


def prove(
    *,
    exponent: sp.Expr = 2 / M,
    least: int = LEAST,
    radius: sp.Expr = m / (2 * g),
    slope: sp.Expr = sp.oo,
    shallow: sp.Expr = lam,
) -> Proof:
    """Prove the statement with these pieces.

    Args:
        exponent: of the singular values in the budget.
        least: M from which on the exponent leaves an infinite slope at 0.
        radius: x^{M-2} below which a new direction costs more than it gains.
        slope: of s^{2/M} at s = 0 for the least M.
        shallow: slope at 0 of the equilibrium layer's price.
    """
    price = lam * s - lam**2 * s**2 / (2 * lA)
    many, shallowest = {M: at_least(least)}, exponent.subs(M, least)
    steps = (
        identity("size s = x^M takes x^2 from the budget", (x**M) ** exponent, x**2),
        identity("price minus gain", m * x**2 / 2 - g * x**2 * y, x**2 * (m / 2 - g * y)),
        holds("positive for x^{M-2} = y = kappa radius", m / 2 - g * kappa * radius, ">", 0, {kappa: between(0, 1)}),
        holds(f"M >= {least}: the exponent is below 1", exponent, "<", 1, many),
        limit(f"M = {least}: slope of s^(2/M) at 0", sp.diff(s**shallowest, s), s, 0, slope),
        identity(
            "for more factors it is a constant times s^(-u) times as large, u the difference of the exponents",
            sp.diff(s**exponent, s),
            exponent / shallowest * s ** (exponent - shallowest) * sp.diff(s**shallowest, s),
            many,
        ),
        holds("which is not negative", shallowest - exponent, ">=", 0, many),
        holds("so s^(-u) >= 1 for s < 1", s ** (-u), ">=", 1, {s: between(0, 1), u: at_least(0)}),
        # two new directions: s_1 + s_2 = x^M + y^M take at least what one of that size takes
        holds("M = 3: (x^2 + y^2)^3 >= (x^3 + y^3)^2", 2 * x**2 + 2 * y**2 + (x - y) ** 2, ">", 0),
        identity(
            "M = 3: their difference",
            (x**2 + y**2) ** 3 - (x**3 + y**3) ** 2,
            x**2 * y**2 * (2 * x**2 + 2 * y**2 + (x - y) ** 2),
        ),
        identity("M = 2: slope 1, finite", sp.diff(s ** sp.Rational(2, 2), s), 1),
        limit("the equilibrium layer's price: slope at 0", sp.diff(price, s), s, 0, shallow),
    )
    return Proof(
        id=ID,
        statement=" ".join(statements(exponent=exponent, slope=slope, least=least).values()),
        source="new",
        hypotheses=hypotheses(SCOPE),
        steps=steps,
        arguments=(
            argue("Hoelder", "with Y_r the best rank-r part, f(Y_r + Y_rest) >= f(Y_r) - |grad f(Y_r)|_2 |Y_rest|_*"),
            argue(
                "mean value theorem",
                "s^(2/M) is concave and vanishes at 0, hence subadditive: Y_rest takes at least |Y_rest|_*^(2/M)",
            ),
        ),
        uses=("schatten-factors", "mcp-penalty"),
    )


MUTANTS: dict[str, dict[str, Any]] = {
    "exponent 1/M": {"exponent": 1 / M},
    "exponent 2": {"exponent": 2 * M / M},
    "two factors too": {"least": 2},
    "radius four times as large": {"radius": 4 * m / (2 * g)},
    "finite slope": {"slope": sp.Integer(1)},
    "equilibrium layer with an infinite slope": {"shallow": sp.oo},
}
