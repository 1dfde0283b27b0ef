"""Contrastive loss under imbalance, several frequent classes: rare ones that coincide still do as imbalance grows.

Setting. As in contrastive-groups: K_A >= 2 classes R times as probable as each of K_B >= 2 others, inverse
temperature beta > 0. Where the others coincide, -u is the inner product between the groups, x = (K_A u^2 - 1)/(K_A - 1)
that within the majority, T = Z_A/Z_B; the others coincide at the minimum iff (1+T)^2/(4T) >= e^{beta h},
h = 1 + x + 2u.

Statement. The R at which the others coincide are none or a half-line; none iff (1+Z)^2 <= 4 Z e^{beta (K_A-2)/(K_A-1)},
Z = (e^beta + (K_A-1) e^{-beta/(K_A-1)})/K_A.

Source. New here.

Idea. Stationarity is one equation Phi(T, u) = 0, convex and quadratic in T. It has one root, and u falls from 1 to 0 as
R grows. Where T <= 1 the others are apart. Where T > 1 the slope of T in u is below 2 beta T, so that
log((1+T)^2/(4T)) - beta h falls with u: it rises with R.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from proofs_check.notation import say
from proofs_check.scope import Scope, hypotheses
from proofs_check.theorems._kernel import Proof, above, argue, at_least, between, holds, identity, vanishing_start
from proofs_check.theorems.contrastive_groups import END

ID = "contrastive-monotone"

beta, T, r, s, t, a, b, c, B, E, theta, Z = sp.symbols("beta T r s t a b c B E theta Z", positive=True)
u, v = sp.symbols("u v", positive=True)
m = sp.Symbol("K_A", integer=True, positive=True)
INNER = (m * u**2 - 1) / (m - 1)
#: Of e^beta, in the limit R -> infinity.
TILT = (m - 2) / (m - 1)
#: Bound of the slope of log T in u, over beta.
SLOPE = sp.Integer(2)

#: What the theorem covers.
SCOPE = (Scope(("contrastive",), ("vectors",), groups=(2, 2), majority=2, minority=2, dimension="K"),)


def statements(*, tilt: sp.Expr = TILT, share: int = 4, **_: Any) -> dict[str, str]:
    """What the theorem says, by part, with these pieces; see :func:`prove`."""
    return {
        "setting": "Let F = Σ_c π_c log Σ_c' π_c' e^{β (⟨x_c, x_c'⟩ − 1)} with K_A ≥ 2 classes R times as probable as "
        "each of K_B ≥ 2 others, β > 0.",
        "monotone": "If the vectors of the others coincide at the minimum of F for one R > 0, they coincide for every "
        "larger one.",
        "ever": f"They coincide for some R if and only if (1 + Z)² > {share} Z e^{{{say(tilt)} β}}, "
        "Z = (e^β + (K_A − 1) e^{−β/(K_A − 1)})/K_A; so they do for some R if K_A = 2 or β ≥ (K_A − 1) log(4 K_A), and "
        f"for no R if K_A ≥ 3 and β ≤ {END}.",
    }


def prove(
    *,
    inner: sp.Expr = INNER,
    tilt: sp.Expr = TILT,
    share: int = 4,
    slope: sp.Expr = SLOPE,
    least: sp.Expr = 1 / m,
) -> Proof:
    """Prove the statement with these pieces.

    Args:
        inner: inner product within the majority.
        tilt: exponent of e^beta in the limit.
        share: of T in the criterion.
        slope: bound of the slope of log T in u, over beta, where T >= 1.
        least: u from which on h >= 1 + u.
    """
    real = {m: at_least(2), u: between(0, 1)}
    h = 1 + inner + 2 * u
    eps, eta = sp.exp(-beta * u), sp.exp(beta * inner)
    large = sp.exp(beta * (1 + u))
    alpha = sp.exp(beta) + (m - 1) * eta
    # a = e^{-beta u}, b = e^{beta x}, c = e^beta + (m-1) b, E = e^{beta (1+u)}
    pull = 2 * m * u * b * (T * E - 1)
    phi = pull - (1 + T) * (c - m * a * T)
    full = 2 * m * u * eta * (T * large - 1) - (1 + T) * (alpha - m * eps * T)
    root = m * a * T + pull / (1 + T)  # c at Phi = 0
    down = sp.diff(inner, u)
    by_t = 2 * m * u * b * T * (E + 1) / (1 + T) + T * (1 + T) * m * a
    by_u = 2 * m * b * ((1 + u * beta * down) * (T * E - 1) + u * beta * T * E - (1 + T) * beta * u)
    by_u -= (1 + T) * m * beta * a * T
    rest = (1 + u * beta * down) * (T * E - 1) + u * beta * (T * (E - 1) - 1)
    fall = 2 * m * u * b * slope * beta * T * (E + 1) / (1 + T) + (slope - 1) * beta * T * (1 + T) * m * a
    steps = (
        # the criterion of contrastive-groups over Z_B^2, y = -u
        identity(
            "criterion: e^{-2 beta u} (1+T)^2 - 4 e^{beta (1+x)} T over e^{-2 beta u} 4 T, share 4",
            (a**2 * (1 + T) ** 2 - share * B * T) / (4 * a**2 * T),
            (1 + T) ** 2 / (4 * T) - B / a**2,
        ),
        identity("where B = e^{beta (1+x)}, a = e^{-beta u}: e^{beta h}", 1 + inner - 2 * (-u), h, real),
        # stationarity, R = n r: 2 m r u e^{beta x} = e^{-beta u} (1 + T), and T Z_B = Z_A
        identity(
            "r eliminated from T Z_B = Z_A: Phi",
            (2 * m * u * b * (T * (E * a + m * r * a) - r * c - a)).subs(r, a * (1 + T) / (2 * m * u * b)),
            a * phi,
            real,
        ),
        identity("Phi with its exponentials, at T = 0", full.subs(T, 0), -(2 * m * u * eta + alpha), real),
        holds("is negative", -(2 * m * u * b + c), "<", 0, real),
        identity("Phi is convex in T", sp.diff(phi, T, 2), 4 * m * a * 1 - 2 * m * a, real),
        # T E > 1
        identity(
            "Phi at T E = 1, E = e^{beta (1+u)}",
            phi.subs(T, 1 / E),
            -(1 + 1 / E) * (c - m * a / E),
            real,
        ),
        identity(
            "where c - m a/E in t = e^{beta h} and s = e^{2 beta (1+u)}, over e^{-beta (1+2u)}",
            s + (m - 1) * t - m,
            (s - 1) + (m - 1) * (t - 1),
            real,
        ),
        identity("exponents: beta and beta x over -beta (1+2u)", beta * inner + beta * (1 + 2 * u), beta * h, real),
        holds("h > 0, m = 2 + v", h.subs(m, 2 + v), ">", 0, {v: at_least(0), u: between(0, 1)}),
        # T <= 1: apart. u >= 1/m
        identity("1/T less (1+T)^2/(4T)", 1 / T - (1 + T) ** 2 / (4 * T), (1 - T) * (3 + T) / (4 * T)),
        identity("h less 1 + u", h - (1 + u), m * (u - least) * (1 + u) / (m - 1), real),
        # u < 1/m: Phi < 0 at T = 1, v = m u, theta = beta (1+u), B = e^{-theta (1-v)/(m-1)}, e^{beta x} = a B
        identity("exponent of B", -(1 + u) * (1 - m * u) / (m - 1), inner + u, real),
        identity(
            "Phi at T = 1, B = 1 - s",
            phi.subs({T: 1, b: a * (1 - s), c: E * a + (m - 1) * a * (1 - s)}).subs(u, v / m),
            -2 * a * ((1 - v) * (E - 1) - (m - 1) * s + v * s * (E - 1)),
            real,
        ),
        *vanishing_start("s <= theta (1-v)/(m-1): 1 - e^{-t} <= t", sp.exp(-t) - 1 + t, t, 0),
        *vanishing_start("E - 1 > theta", sp.exp(t) - 1 - t, t, 0),
        identity(
            "so the bracket is at least (1-v) (E - 1 - theta) + v s (E - 1)",
            (1 - v) * (E - 1) - (m - 1) * (theta * (1 - v) / (m - 1)) + v * s * (E - 1),
            (1 - v) * (E - 1 - theta) + v * s * (E - 1),
            real,
        ),
        # slopes of Phi at its root
        identity("T times the slope in T at the root", (T * sp.diff(phi, T)).subs(c, root), by_t, real),
        holds("is positive", by_t, ">", 0, real),
        identity(
            "slope in u",
            sp.diff(full, u),
            by_u.subs({a: eps, b: eta, E: large}),
            real,
        ),
        identity(
            "slope 2 beta T times the one and the other, at the root",
            slope * beta * by_t + by_u,
            fall + 2 * m * b * rest,
            real,
        ),
        holds(
            "is positive for T = 1 + t, E = 1 + beta (1+u) + s: the part that could be negative, m = 2 + v",
            rest.subs({T: 1 + t, E: 1 + beta * (1 + u) + s}).subs(m, 2 + v),
            ">",
            0,
            {v: at_least(0), t: at_least(0), s: at_least(0), u: between(0, 1), beta: above(0)},
        ),
        holds("and the others", fall, ">", 0, real),
        # G = log((1+T)^2/(4T)) - beta h
        identity("slope of log((1+T)^2/(4T)) in T", sp.diff(2 * sp.log(1 + T) - sp.log(T), T), (T - 1) / (T * (1 + T))),
        identity("slope of h in u", sp.diff(h, u), 2 + 2 * m * u / (m - 1), real),
        identity(
            "at slope 2 beta T of T: G falls",
            (T - 1) / (T * (1 + T)) * slope * beta * T - beta * (2 + down),
            -beta * (4 / (1 + T) + down),
            real,
        ),
        holds("x grows with u", down, ">", 0, real),
        # u = 1: two clusters, T between e^{-2 beta} and e^{2 beta}
        identity("h at u = 1", h.subs(u, 1), 4, {m: at_least(2)}),
        identity(
            "e^{2 beta} = s: (1+T)^2/(4T) at T = s and 1/s",
            (1 + s) ** 2 / (4 * s) - (1 + 1 / s) ** 2 / (4 / s),
            0,
        ),
        identity("and s^2 less it, s = 1 + t", s**2 - (1 + s) ** 2 / (4 * s), (4 * s**3 - (1 + s) ** 2) / (4 * s)),
        holds("which is positive", (4 * s**3 - (1 + s) ** 2).subs(s, 1 + t), ">", 0),
        # u -> 0
        identity(
            "Phi at u = 0",
            full.subs(u, 0),
            -(1 + T) * (sp.exp(beta) + (m - 1) * sp.exp(-beta / (m - 1)) - m * T),
            {m: at_least(2)},
        ),
        identity("h at u = 0", h.subs(u, 0), tilt, {m: at_least(2)}),
    )
    return Proof(
        id=ID,
        statement=" ".join(statements(tilt=tilt, share=share).values()),
        source="new; contrastive learning under imbalance",
        hypotheses=hypotheses(SCOPE),
        steps=steps,
        arguments=(
            argue(
                "convexity by Hessian",
                "for every R the least F among vectors that coincide for the others is attained at one u, for F is "
                "strictly convex in the Gram matrix and grows with x, and x is convex in u",
            ),
            argue(
                "intermediate value theorem",
                "Phi, convex in T and negative at 0, has one positive root T(u), continuous in u, and R = K_B "
                "e^{-beta u} (1+T)/(2 K_A u e^{beta x}) is continuous, is taken once and tends to infinity as "
                "u to 0: it falls with u; what is smaller than all of these R has u = 1",
            ),
            argue(
                "mean value theorem",
                "from a u with G >= 0, where T > 1, down to 0: G rises as long as T > 1, and T = 1 would need G < 0; "
                "as T > 1 near 0, G is below its limit there if that is at most 0",
            ),
            argue(
                "convex optimality",
                "at u = 1 all classes of either group coincide, and the two conditions of their standard "
                "representations, n b >= m a and m b >= n c in the entries of the gradient, give b^2 >= a c, which is "
                "(1+T)^2/(4T) >= e^{4 beta}; log((1+T)^2/(4T)) is even and convex in log T",
            ),
        ),
        uses=("contrastive-groups",),
    )


MUTANTS: dict[str, dict[str, Any]] = {
    "x without K_A": {"inner": (u**2 - 1) / (m - 1)},
    "tilt 1": {"tilt": sp.Integer(1)},
    "tilt of K_A": {"tilt": (m - 1) / m},
    "criterion with 2": {"share": 2},
    "slope at most beta T/2": {"slope": sp.Rational(1, 2)},
    "slope at most 3 beta T": {"slope": sp.Integer(3)},
    "h >= 1 + u from 1/K": {"least": 1 / (m + 1)},
}
