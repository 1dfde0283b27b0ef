"""Cross-entropy with a temperature, equal counts, weight decay: the simplex ETF and when it vanishes.

Setting. Mean over samples of the cross-entropy of z/T, all weights w; c = K sqrt(n lW lH), P = I - 1 1^T/K.

Statement. Z = a P, e^{a/T} = K w/(c T) - K + 1 for c T < w, and 0 otherwise.

Source. Derived here.

Idea. At a P the gradient is -(w q/T) P, q = 1/(e^{a/T} + K - 1).
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from proofs_check.notation import say
from proofs_check.scope import Scope, hypotheses
from proofs_check.theorems._kernel import Proof, argue, at_least, between, holds, identity

ID = "temperature-etf"

K = sp.Symbol("K", integer=True, positive=True)
T, c, w, u = sp.symbols("T c w u", positive=True)
SIZE = K * w / (c * T) - K + 1
ALIKE = "all weights are w > 0, all scales 1/T > 0, and there are no shifts"

#: What the theorem covers.
SCOPE = (Scope(("weighted-ce",), ("weight-decay",), groups=(1, 1), dimension="K - 1", conditions=(ALIKE,)),)


def statements(*, size: sp.Expr = SIZE, bound: sp.Expr = w, **_: Any) -> dict[str, str]:
    """What the theorem says, by part, with these pieces; see :func:`prove`."""
    return {
        "temperature": "With n samples in every class and c = K √(n λ_W λ_H), weight w and temperature T the optimal "
        f"logits are a (I − 11ᵀ/K), e^{{a/T}} = {say(size)} if c T < {say(bound)}, and 0 if c T ≥ {say(bound)}.",
    }


def prove(*, size: sp.Expr = SIZE, bound: sp.Expr = w, slope: sp.Expr = w / T, wrong: sp.Expr = K - 1) -> Proof:
    """Prove the statement with these pieces.

    Args:
        size: e^{a/T}.
        bound: what c T is compared with.
        slope: of a wrong logit over its probability.
        wrong: number of wrong classes.
    """
    b, rest = sp.symbols("b C", positive=True)  # b = a/T
    x, y = sp.symbols("x y", real=True)
    total = sp.exp(x / T) + sp.exp(y / T) + rest
    loss = w * (sp.log(total) - x / T)
    at = {x: b * T * (K - 1) / K, y: -b * T / K, rest: (K - 2) * sp.exp(-b / K)}
    miss = 1 / (sp.exp(b) + wrong)
    many, below = {K: at_least(2)}, {K: at_least(2), u: between(0, 1)}
    scaled = {c: u * w / T}
    steps = (
        identity("slope of a wrong logit at a P", sp.diff(loss, y).subs(at, simultaneous=True), slope * miss, many),
        identity(
            "slope of the right logit", sp.diff(loss, x).subs(at, simultaneous=True), -(K - 1) * slope * miss, many
        ),
        identity("stationarity at the size, K q w/T = c", K * slope / (size + wrong), c, many),
        identity("c T = u w: e^{a/T} - 1", (size - 1).subs(scaled), K * (1 - u) / u, below),
        holds("which is positive for u < 1", (size - 1).subs(scaled), ">", 0, below),
        identity("at zero: gain less price, times T", (slope - c) * T, bound - c * T, many),
    )
    return Proof(
        id=ID,
        statement=" ".join(statements(size=size, bound=bound).values()),
        source="derived here",
        hypotheses=hypotheses(SCOPE),
        steps=steps,
        arguments=(
            argue(
                "convex optimality",
                "the subgradients of |Z|_* at a P, a > 0, are P + W, |W|_2 <= 1, W orthogonal to P on both sides, and "
                "at 0 all matrices of spectral norm at most 1: the gradient is minus one of them",
            ),
            argue("unitary invariance", "|Z D^{1/2}|_* = sqrt(n) |Z|_* and |P|_* = K - 1"),
        ),
        uses=("ce-convex", "nuclear-norm-factorisation", "within-class-collapse"),
    )


MUTANTS: dict[str, dict[str, Any]] = {
    "size with T/c": {"size": K * w * T / c - K + 1},
    "size without w": {"size": K / (c * T) - K + 1},
    "bound 1": {"bound": sp.Integer(1)},
    "slope w T": {"slope": w * T},
    "K wrong classes": {"wrong": K},
}
