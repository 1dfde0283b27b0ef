"""Residual depth with weight decay: parabolas below the price, and what they leave of the objective, column by column.

Setting. Residual depth L with weight decay, lambda = sqrt(lambda_W lambda_H); Z the logits with columns weighted by the
roots of the counts; for the columns K balanced classes, n = K - 1, columns centred, s_k = (K/n) Z_kk, |z_k|^2 = (n/K)
s_k^2 + n (n-1) d_k^2, d_k >= 0.

Statement. For all s, a >= 0, A = lambda (1 + (L+1) a)/(1+a)^{L+1} and kappa = (L lambda^2/lambda_A) (1+a)^{-2L-2}:
g(s) >= A s - kappa s^2/2, with equality at s = (lambda_A/lambda) a (1+a)^{L+1}. If |Z|_2 <= m and 0 <= t <= 1 the
weight decay of Z is at least (1-t) A tr Z - (kappa/2 - t A/m) |Z|_F^2, a sum over columns, and every column's loss is
at least log(1 + e^{-s} (e^{-(n-1) d} + (n-1) e^d)). At the column alpha (e_k - 1/K) of a critical ETF, whose blocks
have size a, the sum with t = 0 is stationary, and it is the ETF's objective.

Source. New here; for a Frobenius budget frobenius-budget-etf.

Idea. (1+b)^{-L} is above its tangent at a; what is left is a square in b. It holds for every a at once, so that each
range of |Z|_2 can have its own.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from proofs_check.notation import say
from proofs_check.scope import Scope, hypotheses
from proofs_check.theorems._kernel import Proof, argue, at_least, between, holds, identity
from proofs_check.theorems.residual_price import PRICE, SIZE, SLOPE, L, a, lA, lam, s

ID = "residual-columns"

b, m, t, y, w, n, d, x, al, N, T, p = sp.symbols("b m t y w n d x alpha N T p", positive=True)
FIRST = lam * (1 + (L + 1) * a) / (1 + a) ** (L + 1)
BEND = L * lam**2 / (lA * (1 + a) ** (2 * L + 2))

#: What the theorem covers; of the columns, balanced classes under cross-entropy.
SCOPE = (Scope(models=("residual-decay",), classes=(3, None), groups=(1, 1), dimension="K - 1"),)


def statements(*, first: sp.Expr = FIRST, bend: sp.Expr = BEND, share: sp.Expr = t, **_: Any) -> dict[str, str]:
    """What the theorem says, by part, with these pieces; see :func:`prove`."""
    slope = "λ (1 + (L + 1) a)/(1 + a)^{L + 1}" if first == FIRST else say(first)
    curve = "L λ²/(λ_A (1 + a)^{2 L + 2})" if bend == BEND else say(bend)
    return {
        "parabola": f"With A = {slope} and κ = {curve} the price of residual depth satisfies g(s) ≥ A s − κ s²/2 for "
        "all s ≥ 0 and a ≥ 0, with equality at s = (λ_A/λ) a (1 + a)^{L + 1}.",
        "columns": f"So logits with |Z|₂ ≤ m, one sample of each class, have a weight decay of at least "
        f"(1 − t) A tr Z − (κ/2 − {say(share)} A/m) |Z|_F² for every t from 0 to 1.",
    }


def prove(
    *,
    first: sp.Expr = FIRST,
    bend: sp.Expr = BEND,
    share: sp.Expr = t,
    tangent: sp.Expr = (1 + a) ** (-L) - L * (1 + a) ** (-L - 1) * (b - a),
    deviation: sp.Expr = n * (n - 1) * d**2,
) -> Proof:
    """Prove the statement with these pieces.

    Args:
        first: A, the parabola's slope at 0.
        bend: kappa.
        share: of A |Z|_*, that is bounded by |Z|_F^2/m.
        tangent: of (1+b)^{-L} at b = a.
        deviation: |z|^2 - (n/K) s^2 of a column with margins s + (n-1) d once and s - d else.
    """
    deep = {L: at_least(1)}
    steep = (1 + a) ** (-L - 1)
    whole = lam * s * tangent + L * lA * b**2 / 2
    parabola = first * s - bend * s**2 / 2
    k = n + 1
    loss = sp.log(1 + sp.exp(-x) * (sp.exp(-(n - 1) * d) + (n - 1) * sp.exp(d)))
    column = loss + n * first * x - k * bend / 2 * (n / k * x**2 + n * (n - 1) * d**2)
    critical = {lam: p * (1 + a) ** L}
    steps = (
        identity("the tangent of (1+b)^{-L} at b = a", tangent.subs(b, a), (1 + a) ** (-L), deep),
        identity("and its slope", sp.diff(tangent, b), sp.diff((1 + b) ** (-L), b).subs(b, a), deep),
        holds("(1+b)^{-L} is convex: y = (1+b)^{-L-2} > 0", L * (L + 1) * y, ">", 0, deep),
        identity(
            "that is its second derivative", sp.diff((1 + b) ** (-L), b, 2), L * (L + 1) * (1 + b) ** (-L - 2), deep
        ),
        identity(
            "cost with the tangent, less the parabola: a square in b",
            whole - parabola,
            L * lA / 2 * (b - lam * s * steep / lA) ** 2,
            deep,
        ),
        holds("at least 0", L * lA / 2 * y**2, ">", 0, deep),
        identity("at s = (lambda_A/lambda) a (1+a)^{L+1} the square's root is a", lam * SIZE * steep / lA, a, deep),
        identity("and the parabola is the price", parabola.subs(s, SIZE), PRICE, deep),
        identity("with its slope", (first - bend * s).subs(s, SIZE), SLOPE, deep),
        identity(
            "A N - kappa T^2/2 less the bound: (1-t) A (N - S) + t A (N - T^2/m), S = tr Z",
            first * N - bend * T**2 / 2 - ((1 - t) * first * w - (bend / 2 - share * first / m) * T**2),
            (1 - t) * first * (N - w) + t * first * (N - T**2 / m),
            {**deep, t: between(0, 1)},
        ),
        holds("A > 0, with y = (1+a)^{-L-1}", lam * (1 + (L + 1) * a) * y, ">", 0, deep),
        # columns
        identity("margins x + (n-1) d and n-1 times x - d: mean", x + (n - 1) * d + (n - 1) * (x - d), n * x),
        identity("and variance about the mean", ((n - 1) * d) ** 2 + (n - 1) * d**2, deviation),
        identity("tr Z is a mean over columns: (K/n) Z_kk = x", n / k * x * k, n * x),
        identity("of |z_k|^2 too: n x is the sum of its margins", y + n * x**2 - (n * x) ** 2 / k, y + n / k * x**2),
        # the ETF's column
        identity("F is stationary in d at d = 0", sp.diff(column, d).subs(d, 0), 0, deep),
        identity(
            "and in x at a critical ETF, where p = lambda (1+a)^{-L} = 1/(e^alpha + n): the price's part",
            (n * first - n * bend * s).subs(s, SIZE).subs(critical),
            n * p,
            deep,
        ),
        identity(
            "and the loss's",
            sp.diff(loss, x).subs(d, 0).subs(x, al),
            -n / (sp.exp(al) + n),
        ),
        identity(
            "F there is the ETF's objective: price of n singular values", n * parabola.subs(s, SIZE), n * PRICE, deep
        ),
        # the largest singular value costs g >= another parabola
        identity(
            "p_b - p_a is convex in s where kappa_b <= kappa_a, kappa_a - kappa_b = y",
            sp.diff(w * s + y * s**2 / 2, s, 2),
            y,
        ),
    )
    return Proof(
        id=ID,
        statement=" ".join(statements(first=first, bend=bend, share=share).values()),
        source="new; linear residual networks with weight decay",
        hypotheses=hypotheses(SCOPE),
        steps=steps,
        arguments=(
            argue("gradient inequality", "(1+b)^{-L} is at least its tangent at a, for every b >= 0"),
            argue("von Neumann", "tr Z <= |Z|_* = N"),
            argue("Hoelder", "T^2 = |Z|_F^2 <= |Z|_2 |Z|_* <= m N"),
            argue("submultiplicativity", "centring columns and averaging within classes lower every singular value"),
            argue(
                "equal variables",
                "of n margins with given sum and square sum one larger and n-1 equal ones have the least sum of e^{-x}",
            ),
        ),
        uses=("residual-price",),
    )


MUTANTS: dict[str, dict[str, Any]] = {
    "slope at 0 without L + 1": {"first": lam * (1 + L * a) / (1 + a) ** (L + 1)},
    "slope at 0 of one power less": {"first": lam * (1 + (L + 1) * a) / (1 + a) ** L},
    "bend halved": {"bend": BEND / 2},
    "bend of g'' at a": {"bend": L * lam**2 / (lA * (1 + a) ** (2 * L + 1))},
    "share twice": {"share": 2 * t},
    "tangent with half the slope": {"tangent": (1 + a) ** (-L) - L * (1 + a) ** (-L - 1) * (b - a) / 2},
    "deviation with n^2": {"deviation": n**2 * d**2},
}
