"""Residual depth with weight decay: a concave price of the singular values, of the same slope at 0 at every depth.

Setting. Z = W (I + A_L) ... (I + A_1) H with (lambda_W/2)|W|_F^2 + (lambda_H/2)|H|_F^2 + (lambda_A/2) sum_l |A_l|_F^2,
lambda = sqrt(lambda_W lambda_H); H holds one column a class, weighted by the root of its count.

Statement. The least weight decay of Z is sum_i g(s_i), s_i the singular values of Z D^{1/2}, with g(s) = min over a >=
0 of lambda s (1+a)^{-L} + L lambda_A a^2/2. At the root a of a (1+a)^{L+1} = lambda s/lambda_A it is lambda_A (a (1+a)
+ L a^2/2), its slope is lambda (1+a)^{-L} and its curvature -L (lambda^2/lambda_A) (1+a)^{-2L-1}/(1 + (L+2) a).

Source. New here; compare Sukenik et al. 2025, whose blocks are nonlinear.

Idea. Singular values of a product are weakly log-majorised by the products of singular values, g is convex in log s,
and L equal stretches are cheapest as (e^u - 1)^2 is convex.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from proofs_check.notation import say
from proofs_check.scope import LOSSES, Scope, hypotheses
from proofs_check.theorems._kernel import Proof, argue, at_least, holds, identity

ID = "residual-price"

lam, lA, L, s, a, u, y = sp.symbols("lambda lambda_A L s a u y", positive=True)
COST = lam * s * (1 + a) ** (-L) + L * lA * a**2 / 2
#: s as a function of the best a, and the price, slope and curvature there.
SIZE = lA / lam * a * (1 + a) ** (L + 1)
PRICE = lA * (a * (1 + a) + L * a**2 / 2)
SLOPE = lam * (1 + a) ** (-L)
CURVATURE = -L * lam**2 / lA * (1 + a) ** (-2 * L - 1) / (1 + (L + 2) * a)

#: What the theorem covers.
SCOPE = (Scope(tuple(LOSSES), ("residual-decay",), dimension="rank"),)


def statements(*, price: sp.Expr = PRICE, start: sp.Expr = lam, **_: Any) -> dict[str, str]:
    """What the theorem says, by part, with these pieces; see :func:`prove`."""
    return {
        "price": "The least weight decay of logits Z, equal within classes, is Σ g(s_i) over the singular values "
        "of Z D^{1/2}, "
        "g(s) = min over a ≥ 0 of λ s (1 + a)^{−L} + L λ_A a²/2, λ = √(λ_W λ_H), D the counts: "
        f"g(s) = {say(price)} at the root a of a (1 + a)^{{L + 1}} = λ s/λ_A.",
        "slope": f"The price g is increasing and concave, and its slope at 0 is {say(start)} at every depth L and "
        f"every λ_A.",
    }


def prove(
    *,
    cost: sp.Expr = COST,
    size: sp.Expr = SIZE,
    price: sp.Expr = PRICE,
    slope: sp.Expr = SLOPE,
    curvature: sp.Expr = CURVATURE,
    start: sp.Expr = lam,
) -> Proof:
    """Prove the statement with these pieces.

    Args:
        cost: of a direction of size s stretched by (1+a)^L.
        size: s at which a is best.
        price: g there.
        slope: g' there.
        curvature: g'' there.
        start: g'(0).
    """
    deep = {L: at_least(1)}
    steps = (
        identity(
            "the cost's slope in a, times (1+a)^{L+1}/L",
            sp.diff(cost, a) * (1 + a) ** (L + 1) / L,
            lam * (size - s),
            deep,
        ),
        holds(
            "the cost is convex in a: one best a, stretches y = (1+a)^{-L-2} > 0",
            lam * s * L * (L + 1) * y + L * lA,
            ">",
            0,
            deep,
        ),
        identity(
            "that is its second derivative",
            sp.diff(cost, a, 2),
            lam * s * L * (L + 1) * (1 + a) ** (-L - 2) + L * lA,
            deep,
        ),
        identity("the price at the best a", cost.subs(s, size), price, deep),
        identity("slope of the price, times that of the size", sp.diff(price, a), slope * sp.diff(size, a), deep),
        identity("its curvature, times that of the size", sp.diff(slope, a), curvature * sp.diff(size, a), deep),
        identity("growth of the size with a", sp.diff(size, a), lA / lam * (1 + a) ** L * (1 + (L + 2) * a), deep),
        holds("which is positive, y = (1+a)^L", lA / lam * y * (1 + (L + 2) * a), ">", 0, deep),
        identity("slope at a = 0, where s = 0", slope.subs(a, 0), start, deep),
        identity("size at a = 0", size.subs(a, 0), 0, deep),
        identity("slope in log s: s g'(s)", size * slope, lA * a * (1 + a), deep),
        holds("it grows with a, so g is convex in log s", sp.diff(lA * a * (1 + a), a), ">", 0),
        identity(
            "second derivative of (e^u - 1)^2", sp.diff((sp.exp(u) - 1) ** 2, u, 2), 2 * sp.exp(u) * (2 * sp.exp(u) - 1)
        ),
        holds("positive for stretches e^u = 1 + y >= 1", 2 * (1 + y) * (2 * (1 + y) - 1), ">", 0, {y: at_least(0)}),
        holds("a shrinking block, 1 - y, costs more than none", y**2, ">", 0),
    )
    return Proof(
        id=ID,
        statement=" ".join(statements(price=price, start=start).values()),
        source="new; linear residual networks with weight decay",
        hypotheses=hypotheses(SCOPE),
        steps=steps,
        arguments=(
            argue(
                "Gelfand-Naimark",
                "prod_{i <= k} s_i <= prod_{i <= k} w_i h_i prod_l b_li, singular values in decreasing order",
            ),
            argue("Weyl-Polya", "so sum g(s_i) <= sum g(w_i h_i prod_l b_li), g being increasing and convex in log s"),
            argue(
                "Jensen",
                "for a given product of the b_li >= 1 equal ones have the least sum of (b_li - 1)^2; a b_li < 1 put "
                "to 1 raises the product and lowers the sum",
            ),
            argue("Mirsky", "sum_i (b_li - 1)^2 <= |A_l|_F^2 for the singular values b_li of I + A_l"),
            argue("arithmetic-geometric mean", "(lambda_W w^2 + lambda_H h^2)/2 >= lambda w h"),
            argue("unitary invariance", "factors aligned with the singular vectors of Z attain all of it"),
        ),
    )


MUTANTS: dict[str, dict[str, Any]] = {
    "one block's penalty": {"cost": lam * s * (1 + a) ** (-L) + lA * a**2 / 2},
    "size without the derivative's power": {"size": lA / lam * a * (1 + a) ** L},
    "price a + L a^2/2": {"price": lA * (a + L * a**2 / 2)},
    "slope of one block": {"slope": lam / (1 + a)},
    "curvature without L": {"curvature": CURVATURE / L},
    "slope at 0 falls with depth": {"start": lam / L},
}
