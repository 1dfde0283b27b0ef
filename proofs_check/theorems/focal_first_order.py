"""Focal loss along the simplex ETF: when the transition to zero logits is a jump.

Setting. l = -(1 - p)^gamma log p, p the probability of the right class; at Z = a P, P = I - 1 1^T/K, p = 1/(1 + (K-1)
e^{-a}), and weight decay costs a linear amount. F(a) = l.

Statement. F(a) + c a, a >= 0, has one minimiser for every c > 0 iff gamma (K - 1 - gamma) log K <= (2 gamma + 1)(K -
1); for gamma = 2 iff K <= 17. Else there is a c with two, one of them a = 0.

Source. Zhou et al. 2022 (all losses), whose condition asks for one minimiser; that it fails is our own finding.

Idea. F'' has the sign of (gamma^2 p - gamma (1-p)) (-log p) + (2 gamma + 1)(1 - p), and with k = 1/p this is minus a
convex function of k over k, which is 0 at k = 1.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from proofs_check.notation import say
from proofs_check.scope import Scope, hypotheses
from proofs_check.theorems._kernel import Proof, argue, at_least, between, holds, identity

ID = "focal-first-order"

K, k, g = sp.symbols("K k gamma", positive=True)
RAY = "logits a (I − 11ᵀ/K), a ≥ 0"
LEFT = g * (K - 1 - g) * sp.log(K)
RIGHT = (2 * g + 1) * (K - 1)

#: The largest K with one minimiser at gamma = 2.
LAST = 17

#: What the theorem covers.
SCOPE = (Scope(("focal",), ("weight-decay",), groups=(1, 1), dimension="K - 1", conditions=(RAY,)),)


def statements(*, left: sp.Expr = LEFT, right: sp.Expr = RIGHT, last: int = LAST, **_: Any) -> dict[str, str]:
    """What the theorem says, by part, with these pieces; see :func:`prove`."""
    return {
        "unique": "Along the simplex ETF the objective of the focal loss with exponent γ > 0 has one minimiser a ≥ 0 "
        f"for every weight decay if and only if {say(left)} ≤ {say(right)}.",
        "two": f"For γ = 2 that is K ≤ {last}; for more classes there is a weight decay with two minimisers, zero and "
        "another, and above it zero stays a local minimum along the ray.",
    }


def prove(
    *,
    left: sp.Expr = LEFT,
    right: sp.Expr = RIGHT,
    last: int = LAST,
    bend: sp.Expr = g**2 / k - g * (1 - 1 / k),
    rest: sp.Expr = 2 * g + 1,
) -> Proof:
    """Prove the statement with these pieces.

    Args:
        left: what is compared with ``right`` at K.
        right: see there.
        last: largest K with one minimiser at gamma = 2.
        bend: factor of -log p in the sign of F''.
        rest: factor of 1 - p there.
    """
    p, log_p = sp.symbols("p L", positive=True)
    share = {p: between(0, 1)}
    # d/da p = p (1 - p), d/da (-log p) = -(1 - p); F = q^g L with q = 1 - p, L = -log p
    q = 1 - p
    # powers of q are divided out: F = q^g L, F' = q^g first, F'' = q^g second
    first = -g * p * log_p - q

    def along(factor: sp.Expr) -> sp.Expr:
        """Derivative of ``q^g factor`` by a, over q^g."""
        return p * q * sp.diff(factor, p) - q * sp.diff(factor, log_p) - g * p * factor

    sign = bend.subs(k, 1 / p) * log_p + rest * q
    shape = left.subs(K, k) - right.subs(K, k)
    steps = (
        identity("slope of p = 1/(1 + (K-1) e^{-a}) in a, y = (K-1) e^{-a}", *_slope()),
        identity("F' over (1-p)^gamma", along(log_p), first, share),
        identity("F'' over (1-p)^gamma: p times its sign", along(first), p * sign, share),
        identity(
            "k times the sign, at p = 1/k",
            sign.subs({p: 1 / k, log_p: sp.log(k)}, simultaneous=True) * k,
            -shape,
            {k: at_least(2)},
        ),
        identity("at k = 1 the two sides are equal", shape.subs(k, 1), 0),
        holds("the difference is strictly convex in k", sp.diff(shape, k, 2), ">", 0, {k: at_least(1)}),
        holds("gamma = 2: one minimiser", shape.subs({g: 2, k: last}), "<", 0),
        holds("gamma = 2: two with one class more", shape.subs({g: 2, k: last + 1}), ">", 0),
    )
    return Proof(
        id=ID,
        statement=" ".join(statements(left=left, right=right, last=last).values()),
        source="Zhou et al. 2022, the contrastive property",
        hypotheses=hypotheses(SCOPE),
        steps=steps,
        arguments=(
            argue(
                "Jensen",
                "a convex function of k that is 0 at 1 and at most 0 at K is at most 0 in between, and negative but "
                "at the ends: F is strictly convex on a >= 0, where 1 < 1/p <= K; where it is positive at K, F is "
                "strictly concave next to a = 0",
            ),
            argue(
                "extreme value theorem",
                "F strictly concave at 0: (F(0) - F(a))/a exceeds -F'(0) next to 0 and tends to 0, so it has a largest "
                "value c at some a > 0, where F + c a is F(0) again and nowhere less; -F'(0) < c makes zero a strict "
                "local minimum there and for larger c",
            ),
        ),
        uses=("nuclear-norm-factorisation",),
    )


def _slope() -> tuple[sp.Expr, sp.Expr]:
    a, y = sp.symbols("a y", positive=True)
    p = 1 / (1 + y * sp.exp(-a))
    return sp.diff(p, a), p * (1 - p)


MUTANTS: dict[str, dict[str, Any]] = {
    "left without gamma": {"left": (K - 1 - g) * sp.log(K)},
    "left with K - 1": {"left": g * (K - 1) * sp.log(K)},
    "right with K": {"right": (2 * g + 1) * K},
    "one minimiser up to 18": {"last": 18},
    "one minimiser up to 16": {"last": 16},
    "bend without gamma squared": {"bend": g / k - g * (1 - 1 / k)},
    "rest 2 gamma": {"rest": 2 * g},
}
