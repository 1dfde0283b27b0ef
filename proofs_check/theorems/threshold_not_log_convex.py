"""The logarithm of the collapse threshold is not a convex function of the budget, for any number of classes.

Setting. The curve R*(tau) of two groups under cross-entropy with budgets; L = log R*, a = sqrt(K_B/K), b = sqrt(K_A/K).

Statement. As tau -> infinity the slope dL/dtau tends to 1/(K_A - 1 + a), and it is larger than that for all large
tau. A convex L would have a non-decreasing slope, so L is convex for no K_A >= 1, K_B >= 2. For K_A = 8, K_B = 2
three exact points of the curve show it: the middle one lies above the chord of its neighbours.

Source. New here; the opposite is a natural conjecture, suggested by the convexity of L for small and moderate tau.

Idea. With alpha = -ds_A/dtheta, eta = -dT/dtheta, q = (1 - a c)/K_A and q' = dq/dtheta,
dL/dtau = (1 - delta)/(K_A - 1 + eta/alpha), where delta = (1-q)/R + (q'/alpha)(e^{s_A} - 1)/R is at most
1/R + q'/(q alpha) = O(s^3), while a - eta/alpha is at least a (1 - c)/4, of order s^2: the denominator wins.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sympy as sp

from proofs_check.notation import SIGNS, say
from proofs_check.scope import Scope, hypotheses
from proofs_check.theorems._kernel import (
    Proof,
    Step,
    above,
    argue,
    at_least,
    between,
    compare,
    holds,
    identity,
    limit,
    vanishing_start,
)
from proofs_check.theorems.threshold_curve import EXP_DB, K_A, K_B, QUOTIENT, SIZE, TRIVIAL, E, a, along, b, c, s

ID = "threshold-not-log-convex"

v, z, q, kappa, dq_name, alpha_name = sp.symbols("v z q kappa q' alpha", positive=True)
w = sp.Symbol("w", nonnegative=True)
LIMIT_SLOPE = 1 / (K_A - 1 + a)
POINTS = (sp.Rational(1, 3), sp.Rational(1, 4), sp.Rational(1, 8))
SIZES = (8, 2)


def curve_point(half_tangent: sp.Rational, k_a: int, k_b: int) -> tuple[sp.Expr, sp.Expr]:
    """(tau, log R*) at ``tan(theta/2) = half_tangent``, in closed form."""
    k = sp.Integer(k_a + k_b)
    at = {
        s: 2 * half_tangent / (1 + half_tangent**2),
        c: (1 - half_tangent**2) / (1 + half_tangent**2),
        a: sp.sqrt(k_b / k),
        b: sp.sqrt(k_a / k),
        K_A: k_a,
        K_B: k_b,
    }
    size, trivial = SIZE.subs(at), TRIVIAL.subs(at)
    ratio = 1 + QUOTIENT.subs(at) * (sp.exp(size) - 1)
    return (k_a - 1) * size + trivial, sp.log(ratio)


def _chord(points: Sequence[sp.Rational], k_a: int, k_b: int, relation: str) -> tuple[Step, ...]:
    """The middle of three points against the chord of the outer ones; relation ">" means above, against convexity."""
    (t1, l1), (t2, l2), (t3, l3) = (curve_point(p, k_a, k_b) for p in points)
    name = f"K_A = {k_a}, K_B = {k_b}"
    return (
        compare(f"{name}: tau_1 < tau_2", t1, "<", t2),
        compare(f"{name}: tau_2 < tau_3", t2, "<", t3),
        compare(
            f"{name}: slope before the middle point against the slope after it",
            (l2 - l1) * (t3 - t2),
            relation,
            (l3 - l2) * (t2 - t1),
        ),
    )


#: What the theorem covers.
SCOPE = (Scope(groups=(2, 2), minority=2, dimension="K - 1"),)


def statements(*, limit_slope: sp.Expr = LIMIT_SLOPE, relation: str = ">", **_: Any) -> dict[str, str]:
    """What the theorem says, by part, with these pieces; see :func:`prove`."""
    return {
        "slope": "For no K_A ≥ 1, K_B ≥ 2 is log R*(τ) a convex function of τ: its slope tends to "
        f"{say(limit_slope)}, a = √(K_B/(K_A + K_B)), and is {SIGNS[relation]} that for all large τ.",
    }


def prove(
    *,
    limit_slope: sp.Expr = LIMIT_SLOPE,
    relation: str = ">",
    points: Sequence[sp.Rational] = POINTS,
    gap: sp.Expr = a * s**2 / 8,
) -> Proof:
    """Prove the statement with these pieces.

    Args:
        limit_slope: limit of dL/dtau as tau -> infinity.
        relation: relation of the slope to its limit for large tau, and of the slopes before and after the middle point.
        points: half-tangents of theta of the three points, decreasing (so tau increases).
        gap: lower bound of ``a - eta/alpha`` for all small s.
    """
    unit = {x: between(0, 1) for x in (a, b, c, s)}
    domain = {**unit, K_A: at_least(1), K_B: at_least(1), v: above(0), E: above(1)}
    named = {sp.log(EXP_DB): v / K_B}
    alpha, eta = -along(SIZE).subs(named), -along(TRIVIAL).subs(named)
    dq = along(QUOTIENT)
    shape = K_B / (1 - b * s)
    tail = a / b * K_A * s**3 / (c * (1 - a * c))
    bottom = shape * c**2 + v + tail
    top = (1 - c) * v - c * (1 - c) * shape + tail
    circle = {c: sp.sqrt(1 - s**2)}
    half = sp.Symbol("t", positive=True)  # tan(theta/2)
    turn = {s: 2 * half / (1 + half**2), c: (1 - half**2) / (1 + half**2)}
    ratio = 1 + q * (E - 1)
    delta = (1 - q) / ratio + dq_name / alpha_name * (E - 1) / ratio
    named_domain = {q: between(0, 1), E: above(1)}
    bound_r = 6 * (a / (b * v * c)) ** 3 * s**3 / QUOTIENT
    bound_q = a**2 * s**3 / (b * v * (1 - a * c))
    base = K_A - 1 + a
    e_z = sp.exp(z) - (1 + z + z**2 / 2 + z**3 / 6)
    steps = (
        identity(
            "dL/dtheta = -alpha (1 - delta)",
            (dq_name * (E - 1) - q * E * alpha_name) / ratio,
            -alpha_name * (1 - delta),
            named_domain,
        ),
        holds("(1 - q)/R <= 1/(q E)", (1 - q) / ratio, "<=", 1 / (q * E), named_domain),
        holds("(E - 1)/R <= 1/q, so delta <= 1/(q E) + q'/(q alpha)", (E - 1) / ratio, "<=", 1 / q, named_domain),
        identity(
            "eta/alpha = a c (shape + v)/bottom, using s^2 + c^2 = 1",
            (eta * bottom).subs(turn),
            (alpha * a * c * (shape + v)).subs(turn),
            {**domain, half: between(0, 1)},
        ),
        identity("a - eta/alpha = a top/bottom", bottom - c * (shape + v), top, domain),
        holds(
            "top >= (1 - c) v/2 + tail where v = 2 shape + w, w >= 0",
            (top - (1 - c) * v / 2 - tail).subs(v, 2 * shape + w),
            ">=",
            0,
            {**domain, w: at_least(0)},
        ),
        holds("tail >= 0", tail, ">=", 0, domain),
        holds("bottom <= 2 v where shape <= v/2 and tail <= v/2", v / 2 * c**2 + v + v / 2, "<=", 2 * v, domain),
        holds(
            "so a - eta/alpha >= a (1 - c)/4 >= gap, with s^2 = 1 - c^2",
            a * (1 - c) / 4,
            ">=",
            gap.subs(s, sp.sqrt(1 - c**2)),
            domain,
        ),
        holds("a - eta/alpha <= a (1 - c + tail/v): top and bottom", (1 - c) * v + tail - top, ">=", 0, domain),
        holds("and bottom >= v", bottom, ">=", v, domain),
        limit("1 - c + tail/v -> 0 as s -> 0, v >= 1", (1 - c + tail).subs(circle), s, 0, 0, unit),
        limit("v -> infinity as s -> 0: e^{-d_B} -> 0", 1 / EXP_DB, s, 0, 0, unit),
        holds(
            "alpha >= (b/a) v (s^2 + c^2)/s^2, that is (b/a) v/s^2",
            alpha - b / a * v * (s**2 + c**2) / s**2,
            ">=",
            0,
            domain,
        ),
        identity("so q'/(q alpha) <= bound_q", dq / (QUOTIENT * (b / a * v / s**2)), bound_q, domain),
        *vanishing_start("e^z > 1 + z + z^2/2 + z^3/6", e_z, z, 0, 4),
        identity(
            "so 1/(q E) <= bound_r with E = e^{s_A} > s_A^3/6, s_A >= (b/a) v c/s as d_A <= 0",
            6 / (QUOTIENT * (b / a * v * c / s) ** 3),
            bound_r,
            domain,
        ),
        limit("delta/s^2 -> 0 as s -> 0, v >= 1: bound_r", (bound_r / s**2).subs(v, 1).subs(circle), s, 0, 0, unit),
        limit("delta/s^2 -> 0 as s -> 0, v >= 1: bound_q", (bound_q / s**2).subs(v, 1).subs(circle), s, 0, 0, unit),
        identity(
            "limit of (1 - delta)/(K_A - 1 + eta/alpha) at delta = 0, eta/alpha = a", 1 / base, limit_slope, domain
        ),
        holds(
            "slope against its limit, once delta <= kappa a s^2/(16 (K_A - 1 + a)), 0 < kappa < 1",
            (1 - kappa * a * s**2 / (16 * base)) / (base - gap),
            relation,
            limit_slope,
            {**domain, kappa: between(0, 1)},
        ),
        *_chord(points, *SIZES, relation),
    )
    return Proof(
        id=ID,
        statement=" ".join(statements(limit_slope=limit_slope, relation=relation).values()),
        source="new; against a natural conjecture",
        hypotheses=hypotheses(SCOPE),
        steps=steps,
        arguments=(
            argue(
                "mean value theorem",
                "a convex function has non-decreasing slopes, so none above their limit at infinity",
            ),
        ),
        uses=("threshold-curve",),
    )


MUTANTS: dict[str, dict[str, Any]] = {
    "limit slope 1/K_A": {"limit_slope": 1 / K_A},
    "limit slope with b": {"limit_slope": 1 / (K_A - 1 + b)},
    "limit slope 1/(K_A + K_B)": {"limit_slope": 1 / (K_A + K_B)},
    "slope below its limit": {"relation": "<"},
    "points in the convex stretch": {"points": (sp.Rational(1, 2), sp.Rational(9, 20), sp.Rational(2, 5))},
    "gap of order one": {"gap": a / 8},
}
