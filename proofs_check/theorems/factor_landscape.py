"""The landscape in the factors: benign for explicit networks, not for equilibrium layers; mixing.

Setting. Penalised problem in (W, H) or (W, A, H), |A|_2 <= rho, Z = W (I - A)^{-1} H, Y = Z D^{1/2}, G = grad f(Z) at
a critical point, g = |G D^{-1/2}|_2 on directions u, v beside those in use, q a feature that neither W nor H uses and
A q = A^T q = a q, lam = sqrt(lW lH).

Statement. (1) Along W + t x u q^T, H + t y q v^T D^{-1/2} with the best x, y the objective changes by (lam - g/(1-a))
t^2 + o(t^2): at a = 0 every critical point with g > lam is a strict saddle; with A the move pays iff a > 1 - g/lam. (2)
Let Z of rank r be a local minimum of f + (1-rho) lam |Y|_* among matrices of rank <= r. With A = rho on the features
in use and a beside them it is a local minimum in (W, A, H) if g < (1-a) lam, and no global one if g > (1-rho) lam.
(3) Turning a pair in use of value sigma, price slope p, by small angles theta, phi towards u, v costs (sigma/2) [(p +
sigma c1) theta^2 - 2 g theta phi + (p + sigma c2) phi^2], c1, c2 the risk's curvatures along u v_0^T and u_0 v^T: no
minimum if g^2 > (p + sigma c1)(p + sigma c2). The mixed curvature of these two must vanish, as for a collapsed group:
v sums to 0 over columns that are alike.

Source. (1) at a = 0: Zhu et al. 2021; the rest is new here.

Idea. Z is quadratic in the move, so only first order in G counts. For (2): Gelfand-Naimark bounds the objective below
by a price that is (1-rho) lam for the r largest and kappa lam, kappa next to 1 - a, for the other singular values;
what is beyond rank r gains at most g and costs kappa lam.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from proofs_check.notation import say
from proofs_check.scope import LOSSES, Scope, hypotheses
from proofs_check.theorems._kernel import Proof, argue, between, holds, identity

ID = "factor-landscape"

lW, lH, lam, g, a, rho, kappa, eps, rest, sigma, p, c1, c2 = sp.symbols(
    "lambda_W lambda_H lambda g a rho kappa epsilon rest sigma p c_1 c_2", positive=True
)
theta, phi = sp.symbols("theta phi", real=True)
GAIN = g / (1 - a)
OPENING = 1 - g / lam


#: What the equilibrium layer's A must do with a feature that W and H do not use.
UNUSED = "A q = Aᵀ q = a q for an unused feature q"

#: What the theorem covers.
SCOPE = (
    Scope(tuple(LOSSES), ("weight-decay",), dimension="K"),
    Scope(tuple(LOSSES), ("spectral-deq-decay",), dimension="rank + 1", conditions=(UNUSED,)),
)


def statements(
    *,
    gain: sp.Expr = GAIN,
    opening: sp.Expr = OPENING,
    local: sp.Expr = (1 - a) * lam,
    spurious: sp.Expr = (1 - rho) * lam,
    determinant: sp.Expr = (p + sigma * c1) * (p + sigma * c2),
    **_: Any,
) -> dict[str, str]:
    """What the theorem says, by part, with these pieces; see :func:`prove`."""
    return {
        "explicit": "A critical point (W, H) of the explicit network with g = |G D^{−1/2}|₂ ≤ λ is a global minimum; "
        "one with g > λ is a "
        f"strict saddle, the objective changing by ({say((lam - gain).subs(a, 0))}) t² + o(t²) along a move of size t.",
        "deq": f"In the equilibrium layer the move pays from a = {say(opening)} on.",
        "trapped": "A local minimum among logits of rank ≤ r with A = ρ on the features in use and a beside them is "
        "a local minimum in "
        f"(W, A, H) if g < {say(local)}, and no global one if g > {say(spurious)}.",
        "mixing": f"A pair in use of value σ and price slope p is no local minimum where g² > {say(determinant)}, if "
        f"the mixed curvature of "
        "the risk along u v₀ᵀ and u₀ vᵀ vanishes, as for a collapsed group.",
    }


def prove(
    *,
    gain: sp.Expr = GAIN,
    opening: sp.Expr = OPENING,
    local: sp.Expr = (1 - a) * lam,
    spurious: sp.Expr = (1 - rho) * lam,
    determinant: sp.Expr = (p + sigma * c1) * (p + sigma * c2),
    cross: sp.Expr = -sigma * g,
) -> Proof:
    """Prove the statement with these pieces.

    Args:
        gain: what the risk gains by the move, for x y = 1.
        opening: a from which on the move pays.
        local: g below which the point is a local minimum.
        spurious: g above which it is not a global one.
        determinant: what g^2 is compared with for mixing.
        cross: mixed derivative of the risk's linear part in the two angles.
    """
    x = (lH / lW) ** sp.Rational(1, 4)
    move = lW * x**2 / 2 + lH / x**2 / 2 - 1 / (1 - a) * g
    shares = {kappa: between(0, 1)}
    at_opening = lam - GAIN
    linear = sigma * (-p * sp.cos(theta) * sp.cos(phi) - g * sp.sin(theta) * sp.sin(phi))
    zero = {theta: 0, phi: 0}
    first, second = p + sigma * c1, p + sigma * c2
    steps = (
        identity("change along the move, over t^2", move, sp.sqrt(lW * lH) - gain, {a: between(0, 1)}),
        holds("explicit network, g = lam + rest: negative", (at_opening.subs(a, 0)).subs(g, lam + rest), "<", 0),
        holds(
            "beyond the opening, a = opening + kappa (1 - opening): negative",
            at_opening.subs(a, opening + kappa * (1 - opening)),
            "<",
            0,
            shares,
        ),
        holds(
            "below it, with g = (1 - rho) lam so that the opening is rho, a = kappa opening: positive",
            at_opening.subs(a, kappa * opening).subs(g, (1 - rho) * lam),
            ">",
            0,
            {**shares, rho: between(0, 1)},
        ),
        holds(
            "price minus gain of what is beyond rank r, kappa' = (1 - a)(1 - eps), g = (1 - 2 eps) local",
            (lam * (1 - a) * (1 - eps) - (1 - 2 * eps) * local) * rest,
            ">",
            0,
            {eps: between(0, sp.Rational(1, 2)), a: between(0, 1)},
        ),
        holds(
            "slope of the convex objective (1 - rho) lam - g towards u v^T, g = spurious + rest: negative",
            (1 - rho) * lam - (spurious + rest),
            "<",
            0,
            {rho: between(0, 1)},
        ),
        identity(
            "the risk's linear part in the angles: second derivative in theta",
            sp.diff(linear, theta, 2).subs(zero),
            sigma * p,
        ),
        identity("in phi", sp.diff(linear, phi, 2).subs(zero), sigma * p),
        identity("mixed", sp.diff(linear, theta, phi).subs(zero), cross),
        # with the curvatures sigma^2 c_1, sigma^2 c_2 of the risk the form is first theta^2 - 2 g theta phi + ...
        holds(
            "at the angles (g, first) the form is first (first second - g^2): negative for g^2 > determinant",
            (first * g**2 - 2 * g * g * first + second * first**2).subs(g, sp.sqrt(determinant + rest)),
            "<",
            0,
        ),
        holds(
            "and the form, first times itself (first theta - g phi)^2 + (first second - g^2) phi^2, is positive below",
            (first * second - (kappa * sp.sqrt(determinant)) ** 2),
            ">",
            0,
            shares,
        ),
    )
    return Proof(
        id=ID,
        statement=" ".join(
            statements(gain=gain, opening=opening, local=local, spurious=spurious, determinant=determinant).values()
        ),
        source="Zhu et al. 2021 for the explicit network; new for the equilibrium layer",
        hypotheses=hypotheses(SCOPE),
        steps=steps,
        arguments=(
            argue("convex optimality", "a critical point of the explicit network is global iff |G D^{-1/2}|_2 <= lam"),
            argue(
                "unitary invariance",
                "stationarity, G H^T = -lW W and W^T G = -lH H D, gives G D^{-1} G^T W = lam^2 W: if W has full rank "
                "K = d, |G D^{-1/2}|_2 = lam and it is global; else W q = 0 = H^T q for a feature q",
            ),
            argue(
                "gradient inequality",
                "f(Y_r + Y_rest) >= f(Y_r) + <grad f(Y_r), Y_rest> for the best rank-r part Y_r and the rest",
            ),
            argue("Hoelder", "<grad f(Y_r), Y_rest> >= -|grad f(Y_r)|_2 |Y_rest|_*, and |grad f(Y_r)|_2 is next to g"),
            argue(
                "Gelfand-Naimark",
                "the objective is at least f(Z) + lam sum_i sigma_i(Y) sigma_{d+1-i}(I - A)",
            ),
            argue("Mirsky", "next to the point d - r singular values of I - A are next to 1 - a or larger"),
            argue("second-order condition", "negative curvature along a feasible curve excludes a local minimum"),
        ),
        uses=("nuclear-norm-factorisation", "spectral-deq-gauge"),
    )


MUTANTS: dict[str, dict[str, Any]] = {
    "gain without the resolvent": {"gain": g},
    "gain squared": {"gain": g / (1 - a) ** 2},
    "opening at g/lam": {"opening": g / lam},
    "opening at half": {"opening": (1 - g / lam) / 2},
    "local up to lam": {"local": lam},
    "local up to lam (1 - a/2)": {"local": lam * (1 - a / 2)},
    "spurious from (1 - rho)^2 lam": {"spurious": (1 - rho) ** 2 * lam / 2},
    "mixing at p^2": {"determinant": p**2},
    "mixing at twice the determinant": {"determinant": 2 * (p + sigma * c1) * (p + sigma * c2)},
    "mixed derivative of the wrong sign": {"cross": sigma * g},
}
