"""Four classes and three linear factors: the square code beats the ETF of the same budgets at small scale only.

Setting. Balanced cross-entropy, K = 4, Z = W_1 W_2 W_3, |W_j|_F^2 <= c_j, tau = prod sqrt(c_j). The best ETF has
margins alpha = tau/3^{3/2}; the square code, two antipodal pairs, has margins r alpha to two classes and 2 r alpha to
the antipode, r = (27/32)^{1/2}.

Statement. There is one size alpha* between 4.9 and 5 such that the square code is better for alpha < alpha*, and worse
for alpha > alpha*.

Source. New here; Garrod, Keating 2025 say nothing of K = 4 and three factors.

Idea. 2 e^{-r alpha} + e^{-2 r alpha} < 3 e^{-alpha} iff F(alpha) = 2 e^{(1-r) alpha} + e^{(1-2r) alpha} - 3 < 0; F is
strictly convex, vanishes at 0 and falls there.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from proofs_check.notation import say
from proofs_check.scope import Scope, hypotheses
from proofs_check.theorems._kernel import Proof, above, argue, compare, holds, identity, monotone

ID = "deep-square-scale"

alpha, tau, u, v, y = sp.symbols("alpha tau u v y", positive=True)
#: Classes and factors: the price is the sum of the singular values to the power 2/FACTORS.
CLASSES, FACTORS = 4, 3
RATIO = sp.sqrt(sp.Rational(27, 32))
BOUNDS = (sp.Rational(49, 10), sp.Integer(5))

#: What the theorem covers.
SCOPE = (
    Scope(
        models=("deep-linear",),
        classes=(CLASSES, CLASSES),
        groups=(1, 1),
        dimension="K - 1",
        conditions=(f"M = {FACTORS}", "all inner dimensions ≥ K − 1"),
    ),
)


def statements(*, bounds: tuple[sp.Rational, sp.Rational] = BOUNDS, better: str = "<", **_: Any) -> dict[str, str]:
    """What the theorem says, by part, with these pieces; see :func:`prove`."""
    low, high = (say(x) for x in bounds)
    sides = ("smaller", "larger") if better == "<" else ("larger", "smaller")
    return {
        "scale": f"At K = {CLASSES} and M = {FACTORS} there is one α* between {low} and {high}: the square code of the "
        f"same budgets, two antipodal pairs, beats the best simplex ETF, of margin "
        f"α = τ/{CLASSES - 1}^{{{FACTORS}/2}}, if α is {sides[0]} than α*, and loses to it if α is "
        f"{sides[1]}.",
    }


def prove(
    *,
    ratio: sp.Expr = RATIO,
    bounds: tuple[sp.Rational, sp.Rational] = BOUNDS,
    far: int = 2,
    better: str = "<",
) -> Proof:
    """Prove the statement with these pieces.

    Args:
        ratio: margin of the code to its neighbours in the ETF's.
        bounds: an interval that holds alpha*.
        far: margin to the antipode in that to the neighbours.
        better: sign of F at small alpha.
    """
    f = 2 * sp.exp((1 - ratio) * alpha) + sp.exp((1 - far * ratio) * alpha) - 3
    slope = sp.diff(f, alpha)
    rank, power = CLASSES - 1, sp.Rational(2, FACTORS)
    low, high = bounds
    steps = (
        identity(
            "the same Schatten-2/3 price: 2 s^{2/3} = 3 alpha^{2/3} at s = 2 r alpha",
            2 * (2 * ratio * alpha) ** power,
            rank * alpha**power,
        ),
        identity(
            "budgets: the ETF's price to the 3/2 is tau",
            (rank * (tau / rank ** (1 / power)) ** power) ** (1 / power),
            tau,
        ),
        identity("antipode: s/2 + s/2 against s/2", sp.Rational(1, 2) + sp.Rational(1, 2), far * sp.Rational(1, 2)),
        identity(
            "code against ETF, times e^alpha",
            (2 * sp.exp(-ratio * alpha) + sp.exp(-far * ratio * alpha) - 3 * sp.exp(-alpha)) * sp.exp(alpha),
            f,
        ),
        identity("F vanishes at 0", f.subs(alpha, 0), 0),
        compare("and its slope there has this sign", slope.subs(alpha, 0), better, 0),
        holds(
            "F is strictly convex, exponentials named u, v",
            (1 - ratio) ** 2 * 2 * u + (1 - far * ratio) ** 2 * v,
            ">",
            0,
        ),
        identity(
            "those being its second derivative",
            sp.diff(f, alpha, 2),
            2 * (1 - ratio) ** 2 * sp.exp((1 - ratio) * alpha)
            + (1 - far * ratio) ** 2 * sp.exp((1 - far * ratio) * alpha),
        ),
        compare(f"F at {low}", f.subs(alpha, low), better, 0),
        compare(f"F at {high}", f.subs(alpha, high), ">" if better == "<" else "<", 0),
        monotone("risk log(1 + y)", sp.log(1 + y), y, "increasing", {y: above(0)}),
    )
    return Proof(
        id=ID,
        statement=" ".join(statements(bounds=bounds, better=better).values()),
        source="new; compare Garrod, Keating 2025",
        hypotheses=hypotheses(SCOPE),
        steps=steps,
        arguments=(
            argue(
                "mean value theorem",
                "a strictly convex function that vanishes at 0 and falls there has one zero beyond",
            ),
            argue("intermediate value theorem", "F changes its sign between the bounds"),
        ),
        uses=("schatten-factors", "etf-gram"),
    )


MUTANTS: dict[str, dict[str, Any]] = {
    "ratio of two factors": {"ratio": sp.Rational(3, 4)},
    "ratio 27/32": {"ratio": sp.Rational(27, 32)},
    "alpha* below 9/2": {"bounds": (sp.Integer(4), sp.Rational(9, 2))},
    "alpha* above 6": {"bounds": (sp.Integer(6), sp.Integer(7))},
    "antipode three times as far": {"far": 3},
    "the code wins at large scale": {"better": ">"},
}
