"""Residual depth with weight decay, balanced classes: where a critical ETF is a local minimum, in closed form.

Setting. Balanced cross-entropy, K >= 4 classes of n samples, residual depth L with weight decay, lambda =
sqrt(lambda_W lambda_H). An ETF alpha (I - 11^T/K); p = 1/(e^alpha + K - 1) is the probability of a wrong class there,
and a the size of each block on its directions: a (1+a)^{L+1} = lambda sqrt(n) alpha/lambda_A.

Statement. A critical ETF has p = lambda sqrt(n) (1+a)^{-L}. With alpha (1 + (L+2) a) above K L a it is
a strict local minimum among centred logits, below none.

Source. New here; for L = 1 and the equilibrium layer compare penalised-deq-etf.

Idea. Along alpha P + t E, E symmetric with eigenvalues 2, -2, 0, ... and zero diagonal, the risk has the second
derivative 8 p/K and the price 8 n g''. On the other side the risk bends up by at least p |E|^2/K along every centred
E, and by von Neumann and Mirsky the price down by at most n |g''| |E|^2; the first orders, -p tr E and p tr E, cancel.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from proofs_check.notation import say
from proofs_check.scope import Scope, hypotheses
from proofs_check.theorems._kernel import Proof, above, argue, at_least, between, everywhere, holds, identity
from proofs_check.theorems.residual_price import CURVATURE, SIZE, SLOPE, L, a, lA, lam

ID = "residual-etf-stability"

k, s, t, n, p = sp.symbols("K s t n p", positive=True)
LEFT = s * (1 + (L + 2) * a)
RIGHT = k * L * a

#: lambda_A at a critical ETF.
DEAR = p * s / (a * (1 + a))

#: What the theorem covers.
SCOPE = (Scope(models=("residual-decay",), classes=(4, None), groups=(1, 1), dimension="K - 1"),)


def statements(
    *, left: sp.Expr = LEFT, right: sp.Expr = RIGHT, critical: sp.Expr = sp.sqrt(n) * SLOPE, **_: Any
) -> dict[str, str]:
    """What the theorem says, by part, with these pieces; see :func:`prove`."""
    size = sp.Symbol("alpha", positive=True)
    return {
        "stability": "With λ = √(λ_W λ_H), n samples of each class and a the root of a (1 + a)^{L + 1} = λ √n "
        "α/λ_A: an ETF of "
        f"size α is critical iff p = {say(critical)}, p = 1/(e^α + K − 1), and then no local minimum if "
        f"{say(left.subs(s, size))} < {say(right)}.",
        "strict": "A critical ETF is a strict local minimum among logits whose columns have sum 0 if "
        f"{say(left.subs(s, size))} > {say(right)}.",
    }


def prove(
    *,
    left: sp.Expr = LEFT,
    right: sp.Expr = RIGHT,
    critical: sp.Expr = sp.sqrt(n) * SLOPE,
    risk_bend: sp.Expr = 8 * p / k,
    least_bend: sp.Expr = p / k,
) -> Proof:
    """Prove the statement with these pieces.

    Args:
        left, right: sides of the condition.
        critical: p of a critical ETF.
        risk_bend: second derivative of the risk along alpha P + t E.
        least_bend: what the risk bends up by at least along a centred E, over |E|^2.
    """
    deep = {L: at_least(1), k: above(3)}
    w = k - 1
    wrong = 1 / (sp.exp(s) + w)
    risk = 4 / k * sp.log(1 + sp.exp(-s) * (w - 2 + sp.exp(t) + sp.exp(-t)))
    # two singular values sqrt(n) alpha move by +-2 t sqrt(n)
    price_bend = 2 * (2 * sp.sqrt(n)) ** 2 * CURVATURE
    # a column of E of sum 0 and square sum c^2 + m, own entry c: own probability o + p, o = 1 - K p, others p
    c, m = sp.Symbol("c", real=True), sp.Symbol("m", positive=True)
    o = sp.Symbol("o", positive=True)
    variance = (o + p) * c**2 + p * m - ((o + p) * c - p * c) ** 2
    column = {c: everywhere(), o: between(0, 1), p: between(0, 1)}
    root = p / sp.sqrt(n) * (1 + a) ** L  # lambda at a critical ETF
    steps = (
        identity("risk of the ETF: slope in its size", sp.diff(sp.log(1 + w * sp.exp(-s)), s), -w * wrong, deep),
        identity(
            "critical: K - 1 directions of slope sqrt(n) g'", w * (-p + sp.sqrt(n) * SLOPE), w * (critical - p), deep
        ),
        identity("risk, first order in t", sp.diff(risk, t).subs(t, 0), 0, deep),
        identity("risk, second order in t", sp.diff(risk, t, 2).subs(t, 0), risk_bend.subs(p, wrong), deep),
        identity(
            "curvature of the price in its slope y", CURVATURE, -L / lA * SLOPE**2 / ((1 + a) * (1 + (L + 2) * a)), deep
        ),
        # a (1+a)^{L+1} = lambda sqrt(n) alpha/lambda_A and p = lambda sqrt(n) (1+a)^{-L}
        identity("lambda_A at a critical ETF", (lam * sp.sqrt(n) * s / SIZE * lA / lam).subs(lam, root), DEAR, deep),
        identity(
            "both at a critical ETF: positive multiple of left - right",
            (risk_bend - 8 * n * L / lA * (p / sp.sqrt(n)) ** 2 / ((1 + a) * (1 + (L + 2) * a))).subs(lA, DEAR),
            8 * p / (k * s * (1 + (L + 2) * a)) * (left - right),
            deep,
        ),
        identity("price, second order in t", price_bend, 8 * n * CURVATURE, deep),
        identity("own less another probability", 1 - w * p - p, 1 - k * p, deep),
        identity("variance of a column of sum 0", variance, p * (c**2 + m) + o * (1 - o) * c**2, column),
        holds("is at least p times its square sum", o * (1 - o) * c**2, ">=", 0, column),
        identity(
            "over K, less the price's: positive multiple of left - right",
            (least_bend - n * L / lA * (p / sp.sqrt(n)) ** 2 / ((1 + a) * (1 + (L + 2) * a))).subs(lA, DEAR),
            p / (k * s * (1 + (L + 2) * a)) * (left - right),
            deep,
        ),
        holds("which is positive", p / (k * s * (1 + (L + 2) * a)), ">", 0, deep),
    )
    return Proof(
        id=ID,
        statement=" ".join(statements(left=left, right=right, critical=critical).values()),
        source="new; linear residual networks with weight decay",
        hypotheses=hypotheses(SCOPE),
        steps=steps,
        arguments=(
            argue("second-order condition", "along alpha P + t E the objective bends down"),
            argue(
                "convexity by Hessian",
                "near the ETF the risk less (c/2)|Z|_F^2 is convex on centred logits for c below its least bend, so "
                "that it stays above its tangent, and g plus (c/2) s^2 is for c above |g''|",
            ),
            argue("von Neumann", "the sum of singular values of alpha P + E is at least tr(P (alpha P + E))"),
            argue("Mirsky", "the squared changes of the singular values add up to at most |E|_F^2"),
        ),
        uses=("residual-price", "etf-local-stability"),
    )


MUTANTS: dict[str, dict[str, Any]] = {
    "without the blocks": {"left": s},
    "with L + 1": {"left": s * (1 + (L + 1) * a)},
    "without L": {"right": k * a},
    "without K": {"right": L * a},
    "critical without sqrt(n)": {"critical": SLOPE},
    "least bend p": {"least_bend": p},
    "risk bends twice as much": {"risk_bend": 16 * p / k},
}
