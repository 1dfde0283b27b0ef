"""M linear factors: the price of logits is a Schatten power 2/M of the singular values.

Setting. Z = W_M ... W_1 with weights lam_m > 0 on |W_m|_F^2/2, or budgets |W_m|_F^2 <= c_m; M >= 2.

Statement. min sum_m (lam_m/2)|W_m|_F^2 = (M/2) (prod lam_m)^{1/M} sum_i sigma_i^{2/M}; under budgets Z is attainable
iff sum_i sigma_i^{2/M} <= (prod c_m)^{1/M}, that is |Z|_{S_{2/M}} <= prod sqrt(c_m). For M = 2 these are the
nuclear-norm statements; for M >= 3 the quasi-norm violates the triangle inequality and sigma^{2/M} has infinite slope
at 0.

Source. Dai, Karzand, Srebro 2021 (deep linear representation cost); Dang et al. 2023; Sukenik, Mondelli 2024.

Idea. Horn with the power 2/M, Hoelder and the arithmetic-geometric mean below; equal shares sigma^{1/M} above.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from proofs_check.notation import say
from proofs_check.scope import LOSSES, Scope, hypotheses
from proofs_check.theorems._kernel import Proof, above, argue, at_least, holds, identity, limit

ID = "schatten-factors"

M = sp.Symbol("M", integer=True, positive=True)
sigma, prod_lam, lam_m, total, prod_c, c_m, x, y = sp.symbols("sigma Lambda lambda_m S C c_m x y", positive=True)


#: What the theorem covers.
SCOPE = (Scope(tuple(LOSSES), ("layer-peeled", "weight-decay", "deep-linear", "deep-decay"), dimension="rank"),)


def statements(
    *,
    exponent: sp.Expr = 2 / M,
    constant: sp.Expr = M / 2,
    geometric: sp.Expr = prod_lam ** (1 / M),
    radius: sp.Expr = sp.sqrt(prod_c),
    **_: Any,
) -> dict[str, str]:
    """What the theorem says, by part, with these pieces; see :func:`prove`."""
    return {
        "penalty": f"The least weight decay of M factors of Z is {say(constant)} {say(geometric)} Σ "
        f"σ_i^{{{say(exponent)}}}, Λ = ∏ λ_m.",
        "budgets": f"Z is attainable under budgets iff |Z|_{{S_p}} ≤ {say(radius)}, p = {say(exponent)}, C = ∏ c_m.",
    }


def prove(
    *,
    exponent: sp.Expr = 2 / M,
    constant: sp.Expr = M / 2,
    share: sp.Expr = sigma ** (1 / M),
    geometric: sp.Expr = prod_lam ** (1 / M),
    radius: sp.Expr = sp.sqrt(prod_c),
    triangle_relation: str = ">",
    slope: sp.Expr = sp.oo,
) -> Proof:
    """Prove the statement with these pieces.

    Args:
        exponent: power of the singular values.
        constant: factor in front of the penalised value.
        share: size of a direction in a factor when all weights are equal.
        geometric: what stands for the weights in the value, with ``Lambda = prod lam_m``.
        radius: bound on the Schatten quasi-norm, with ``C = prod c_m``.
        triangle_relation: relation of |diag(1,1)| to |diag(1,0)| + |diag(0,1)| for M >= 3.
        slope: slope of sigma^{2/M} at 0 for M = 3.
    """
    # Factor m carries x_m = sqrt(Lambda^{1/M}/lam_m) share: every term (lam_m/2) x_m^2 is the same.
    carried_squared = prod_lam ** (1 / M) / lam_m * share**2
    # The product of x_m^2 over m: (Lambda^{1/M})^M / Lambda * share^(2M).
    product_squared = (prod_lam ** (1 / M)) ** M / prod_lam * share ** (2 * M)
    steps = (
        identity("the shares multiply to sigma", product_squared, sigma**2),
        identity(
            "M equal terms make the value", M * lam_m * carried_squared / 2, constant * geometric * sigma**exponent
        ),
        # Budgets: W_m has squared directions c_m sigma_i^(2/M)/S with S = sum_i sigma_i^(2/M).
        identity(
            "budgets: c_m share^2/S summed over directions is c_m",
            c_m * share**2 / total,
            c_m * sigma**exponent / total,
        ),
        identity(
            "budgets: the product of sizes is sigma when S = (quasi-norm)^(2/M) = radius^(2/M)",
            (prod_c * (share**2 / total) ** M).subs(total, radius**exponent),
            sigma**2,
        ),
        identity(
            "M = 2: penalised value sqrt(Lambda) sigma",
            (constant * geometric * sigma**exponent).subs(M, 2),
            sp.sqrt(prod_lam) * sigma,
        ),
        identity("M = 2: radius sqrt(c_1 c_2)", radius.subs(M, 2), sp.sqrt(prod_c)),
        # Two of size one: (1 + 1)^(M/2) = 2^(M/2) against 2; with M = 2 + 2 y, 2^(M/2) = 2 * 2^y and 2^y > 1 for y > 0.
        identity(
            "2^(M/2) = 2 * 2^y at M = 2 + 2 y", (sp.Integer(2) ** (M / 2)).subs(M, 2 + 2 * y), 2 * sp.Integer(2) ** y
        ),
        holds("so |diag(1,1)| against 2, with 2^y = 1 + x, x > 0", 2 * (1 + x), triangle_relation, 2, {x: above(0)}),
        limit("slope of sigma^exponent at 0 for M = 3", sp.diff(sigma**exponent, sigma).subs(M, 3), sigma, 0, slope),
        holds(
            "penalty increases in sigma",
            constant * geometric * exponent * y,
            ">",
            0,
            {M: at_least(2)},
            {geometric: sp.Symbol("g", positive=True)},
        ),
    )
    return Proof(
        id=ID,
        statement=" ".join(
            statements(exponent=exponent, constant=constant, geometric=geometric, radius=radius).values()
        ),
        source="Dai, Karzand, Srebro 2021; Dang et al. 2023",
        hypotheses=hypotheses(SCOPE),
        steps=steps,
        arguments=(
            argue("Horn", "sum sigma_i(W_M ... W_1)^{2/M} <= sum_i prod_m sigma_i(W_m)^{2/M}"),
            argue("Hoelder", "sum_i prod_m sigma_i(W_m)^{2/M} <= prod_m (|W_m|_F^2)^{1/M}"),
            argue("arithmetic-geometric mean", "M (prod lam_m |W_m|_F^2)^{1/M} <= sum lam_m |W_m|_F^2"),
            argue("unitary invariance", "diagonal factors between the singular vectors attain both"),
        ),
        uses=("nuclear-norm-factorisation",),
    )


MUTANTS: dict[str, dict[str, Any]] = {
    "exponent 1/M": {"exponent": 1 / M},
    "exponent M/2": {"exponent": M / 2},
    "constant 1/2": {"constant": sp.Rational(1, 2)},
    "constant M": {"constant": M},
    "share sigma^{2/M}": {"share": sigma ** (2 / M)},
    "product of the weights": {"geometric": prod_lam},
    "radius prod c_m": {"radius": prod_c},
    "radius (prod c_m)^{1/M}": {"radius": prod_c ** (1 / M)},
    "a norm for M >= 3": {"triangle_relation": "<="},
    "finite slope": {"slope": sp.Integer(1)},
}
