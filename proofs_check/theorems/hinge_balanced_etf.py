"""Squared hinge loss, equal counts, weight decay: a simplex ETF up to K times the decay of cross-entropy.

Setting. Mean over samples of 1/2 sum_{j != k} max(0, 1 + z_j - z_k)^2; n samples a class, mu = sqrt(n lW lH), P = I - 1
1^T/K; the gauge is mu |Z|_*.

Statement. Z = a P, a = max(0, 1 - mu); minimum (K-1) mu (1 - mu/2) for mu < 1, else (K-1)/2.

Source. Derived here.

Idea. At a P every excess is 1 - a and the gradient is -(1 - a) P.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from proofs_check.notation import say
from proofs_check.scope import Scope, hypotheses
from proofs_check.theorems._kernel import Proof, argue, at_least, between, everywhere, holds, identity

ID = "hinge-balanced-etf"

K, mu = sp.symbols("K mu", positive=True)
SIZE = 1 - mu
VALUE = (K - 1) * mu * (1 - mu / 2)

#: What the theorem covers.
SCOPE = (Scope(("squared-hinge",), ("weight-decay", "bias-decay"), groups=(1, 1), dimension="K - 1"),)


def statements(*, size: sp.Expr = SIZE, value: sp.Expr = VALUE, **_: Any) -> dict[str, str]:
    """What the theorem says, by part, with these pieces; see :func:`prove`."""
    return {
        "hinge": "With n samples in every class and μ = √(n λ_W λ_H) the optimal logits are a (I − 11ᵀ/K), a = max(0, "
        f"{say(size)}), with a bias, free or with weight decay, as without one, and the minimum is {say(value)} if "
        "μ < 1 and (K − 1)/2 if μ ≥ 1.",
    }


def prove(
    *,
    size: sp.Expr = SIZE,
    value: sp.Expr = VALUE,
    pull: sp.Expr = K - 1,
    excess: sp.Expr = sp.Integer(1),
) -> Proof:
    """Prove the statement with these pieces.

    Args:
        size: a before clipping.
        value: the minimum for mu < 1.
        pull: slope of the right logit over minus the excess.
        excess: slope of a wrong logit over the excess.
    """
    a, t, r = sp.symbols("a t r", positive=True)
    x, y, z = sp.symbols("x y z", real=True)
    reals = {x: everywhere(), y: everywhere(), z: everywhere(), K: at_least(2)}
    # right logit x, one wrong logit y, K - 2 wrong ones z; excesses positive
    loss = (1 + y - x) ** 2 / 2 + (K - 2) * (1 + z - x) ** 2 / 2
    at = {x: a * (K - 1) / K, y: -a / K, z: -a / K}
    below = {mu: between(0, 1), K: at_least(2)}
    steps = (
        identity("slope of the right logit", sp.diff(loss, x).subs(at), -pull * (1 - a), reals),
        identity("slope of a wrong logit", sp.diff(loss, y).subs(at), excess * (1 - a), reals),
        identity("the column is -K (1 - a) times that of P: right entry", -K * (1 - a) * (1 - 1 / K), -pull * (1 - a)),
        identity("stationarity at the size, over 1/K: K (1 - a)/K is the price", K * (1 - size) / K, mu, below),
        holds("the size is positive for mu < 1", size, ">", 0, below),
        holds("and excesses are", 1 - size, ">", 0, below),
        identity("objective at a P, |P|_* = K - 1", (K - 1) * (1 - size) ** 2 / 2 + mu * (K - 1) * size, value, below),
        holds("mu = 1 + t: at 0 the gain 1 is less than the price", 1 + t, ">", 1),
        identity("at mu = 1 the two values agree", value.subs(mu, 1), (K - 1) / 2),
        holds("a margin short by r costs strictly convexly", sp.diff(r**2 / 2, r, 2), ">", 0),
    )
    return Proof(
        id=ID,
        statement=" ".join(statements(size=size, value=value).values()),
        source="derived here",
        hypotheses=hypotheses(SCOPE),
        steps=steps,
        arguments=(
            argue(
                "convex optimality",
                "the subgradients of |Z|_* at a P, a > 0, are P + W, |W|_2 <= 1, W orthogonal to P on both sides, and "
                "at 0 all matrices of spectral norm at most 1: the gradient -(1 - a) P is minus mu times one of them",
            ),
            argue(
                "Jensen",
                "two optima have the same excesses max(0, 1 - m), strictly convex where positive; at a P all are, so "
                "the margins are unique, and constants in a column or a bias only raise |Z|_*",
            ),
            argue("unitary invariance", "|Z D^{1/2}|_* = sqrt(n) |Z|_*"),
        ),
        uses=("nuclear-norm-factorisation", "within-class-collapse"),
    )


MUTANTS: dict[str, dict[str, Any]] = {
    "size 1 - K mu": {"size": 1 - K * mu},
    "size 1/(1 + mu)": {"size": 1 / (1 + mu)},
    "value of the risk alone": {"value": (K - 1) * mu**2 / 2},
    "value without K": {"value": mu * (1 - mu / 2)},
    "pull K": {"pull": K},
    "excess counted twice": {"excess": sp.Integer(2)},
}
