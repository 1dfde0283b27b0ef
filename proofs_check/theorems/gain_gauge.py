"""Maps between features and classifier with a spectral bound: what they are worth is their gain at the bound.

Setting. Z = W g(A) H with |W|_F^2 <= K E_W, |H|_F^2 <= K E_H, |A|_2 <= rho, tau = K sqrt(E_W E_H). g(x) is (1+x)^L (L
equal residual blocks), 1 + x + ... + x^{T-1} (T unrolled steps), e^x (a linear flow until time 1) or 1/(1-x) (the
fixed point, rho < 1).

Statement. Z is attainable iff |Z|_* <= g(rho) tau.

Source. Generalises spectral-deq-gauge; the kinds are those of Bai et al. 2019 (fixed point) and their unrollings.

Idea. Power series with nonnegative coefficients: |g(A)|_2 <= g(|A|_2) <= g(rho), with equality for A = rho times a
projection. Hoelder's inequality above, the singular value decomposition below.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from proofs_check.scope import LOSSES, Scope, hypotheses
from proofs_check.theorems._kernel import Proof, argue, at_least, between, holds, identity

ID = "gain-gauge"

x, y, s, G, K, E_W, E_H, total = sp.symbols("x y s G K E_W E_H S", positive=True)
D = sp.Symbol("D", positive=True)
tau = K * sp.sqrt(E_W * E_H)

#: What the theorem covers.
SCOPE = (Scope(tuple(LOSSES), ("gain",), dimension="rank"),)


def statements(*, steps: str = "1 + x + ⋯ + x^{T − 1}", fixed: str = "1/(1 − x)", **_: Any) -> dict[str, str]:
    """What the theorem says, by part, with these pieces; see :func:`prove`."""
    return {
        "gauge": f"Let g(x) be (1 + x)^L, {steps}, e^x, or {fixed} with ρ < 1: the logits W g(A) H with |A|₂ ≤ ρ "
        f"are exactly those "
        "with |Z|_* ≤ g(ρ) τ, τ = K √(E_W E_H).",
    }


def prove(
    *,
    partial: sp.Expr = (1 - x**D) / (1 - x),
    share: sp.Expr = 1 / G,
    growth: str = ">",
) -> Proof:
    """Prove the statement with these pieces.

    Args:
        partial: the sum of D powers.
        share: factor of |Z|_* that W and H pay for.
        growth: sign of the slopes of g.
    """
    unit = {x: between(0, 1)}
    split = sp.sqrt(E_W / E_H)
    w, h = sp.sqrt(split * share * s), sp.sqrt(share * s / split)
    steps = (
        identity(
            "one more step: S_D + x^D = S_{D+1}", partial + x**D, partial.subs(D, D + 1), {**unit, D: at_least(1)}
        ),
        identity("one step", partial.subs(D, 1), 1, unit),
        holds(
            "partial sums stay below 1/(1-x), with 0 < y = x^D < 1",
            (1 - y) / (1 - x),
            "<",
            1 / (1 - x),
            {**unit, y: between(0, 1)},
        ),
        # slopes: y stands for (1+x)^{L-1}, for e^x
        identity("slope of L blocks", sp.diff((1 + x) ** D, x), D * (1 + x) ** (D - 1), {D: at_least(1)}),
        holds("it is positive, y = (1+x)^{L-1}", D * y, growth, 0),
        holds("slope of the fixed point", 1 / (1 - x) ** 2, growth, 0, unit),
        identity("that is its slope", sp.diff(1 / (1 - x), x), 1 / (1 - x) ** 2, unit),
        holds("a term k x^{k-1} of the slope of a power series, y = x^{k-1}", D * y, growth, 0, {D: at_least(1)}),
        identity("the factors give the direction: w h G = s", w * h * G, s),
        identity("|W|_F^2 = K E_W when |Z|_* = G tau", (split * share * total).subs(total, G * tau), K * E_W),
        identity("|H|_F^2 = K E_H when |Z|_* = G tau", (share * total / split).subs(total, G * tau), K * E_H),
    )
    return Proof(
        id=ID,
        statement=" ".join(statements().values()),
        source="generalises the gauge of the linear equilibrium layer",
        hypotheses=hypotheses(SCOPE),
        steps=steps,
        arguments=(
            argue(
                "submultiplicativity", "|A^k|_2 <= |A|_2^k and |I + A|_2 <= 1 + |A|_2: |g(A)|_2 <= g(|A|_2) <= g(rho)"
            ),
            argue("Neumann series", "the fixed point as the limit of the partial sums"),
            argue("Hoelder", "|W g(A) H|_* <= |W|_F |g(A)|_2 |H|_F <= g(rho) tau"),
            argue(
                "unitary invariance",
                "W = U w Q^T, A = rho Q Q^T, H = Q h V^T: g(A) Q = g(rho) Q, direction by direction",
            ),
        ),
    )


MUTANTS: dict[str, dict[str, Any]] = {
    "partial sums of D + 1 powers": {"partial": (1 - x ** (D + 1)) / (1 - x)},
    "partial sums without the quotient": {"partial": 1 - x**D},
    "share G": {"share": G},
    "share 1/G^2": {"share": 1 / G**2},
    "gains fall with x": {"growth": "<"},
}
