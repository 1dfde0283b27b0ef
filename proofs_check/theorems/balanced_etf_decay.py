"""Equal counts, cross-entropy under weight decay, labels smoothed or not: the simplex ETF, its size, value and Hessian.

Setting. Risk: mean over samples of the cross-entropy with targets (1 - delta) e_k + delta/K, 0 <= delta < 1; n samples
a class, lam = sqrt(lW lH), P = I - 1 1^T/K. The gauge is lam sqrt(n) |Z|_*. On the ray Z = a P wrong classes have the
probability q = 1/(e^a + K - 1).

Statement. With s = K lam sqrt(n) + delta: Z = a P, e^a = K/s - K + 1 for s < 1 and Z = 0 for s >= 1, so decay and
smoothing act through their sum s alone, also on the minimum and on the Hessian.

Source. Zhu et al. 2021, Theorem 3.1 (the shape, with no upper bound on the decay); Guo et al. 2024 (label smoothing).

Idea. At a P the gradient is -(q - delta/K) P.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from proofs_check.notation import say
from proofs_check.scope import Scope, hypotheses
from proofs_check.theorems._kernel import Proof, argue, at_least, between, holds, identity, monotone

ID = "balanced-etf-decay"

K = sp.Symbol("K", integer=True, positive=True)
a, s, n, lW, lH = sp.symbols("a s n lambda_W lambda_H", positive=True)
u = sp.Symbol("u", nonnegative=True)
SIZE = K / s - K + 1
VALUE = sp.log(K / s) - (1 - (K - 1) * s / K) * sp.log(SIZE)
FEATURE = a * (K - 1) / K * sp.sqrt(lW / (n * lH))
CONDITION = K - (K - 1) * s

#: What the theorem covers.
SCOPE = (Scope(("ce", "smoothed-ce"), ("weight-decay", "bias-decay"), groups=(1, 1), dimension="K - 1"),)

_WITH = "With label smoothing 0 ≤ δ < 1, n samples in every class and s = K √(n λ_W λ_H) + δ"


def statements(
    *,
    size: sp.Expr = SIZE,
    value: sp.Expr = VALUE,
    feature: sp.Expr = FEATURE,
    condition: sp.Expr = CONDITION,
    **_: Any,
) -> dict[str, str]:
    """What the theorem says, by part, with these pieces; see :func:`prove`."""
    return {
        "logits": f"{_WITH} the optimal logits are a (I − 11ᵀ/K), e^a = {say(size)} if s < 1 and a = 0 if s ≥ 1, with "
        "a bias, free or with weight decay, as without one.",
        "value": f"{_WITH} the minimum is {say(value)} if s < 1, and log K, attained at zero alone, if s ≥ 1.",
        "norms": f"{_WITH} < 1, e^a = {say(size)}, all features of class k are one h_k with |h_k|² = {say(feature)}, "
        "and |w_k|² is n λ_H/λ_W times that; at λ_W = λ_H they fall strictly as the weight decay grows, to 0 at s = 1.",
        "condition": f"{_WITH} the Hessian of the loss of a sample in its logits, on vectors of sum 0 and for K ≥ 3, "
        f"has at the optimum the condition number {say(condition)} if s < 1 and 1 if s ≥ 1.",
    }


def prove(
    *,
    size: sp.Expr = SIZE,
    value: sp.Expr = VALUE,
    feature: sp.Expr = FEATURE,
    condition: sp.Expr = CONDITION,
    smoothing: sp.Expr = s * u,
    falls: str = "decreasing",
) -> Proof:
    """Prove the statement with these pieces.

    Args:
        size: e^a.
        value: the minimum for s < 1.
        feature: |h_k|^2.
        condition: condition number of the Hessian.
        smoothing: delta, lam sqrt(n) being s (1 - u)/K.
        falls: how a depends on s.
    """
    domain = {K: at_least(2), s: between(0, 1), u: between(0, 1)}
    # delta = u s and lam sqrt(n) = (1 - u) s/K: any two numbers with K lam sqrt(n) + delta = s
    price = (1 - u) * s / K
    delta = sp.Symbol("delta", nonnegative=True)
    x, y, t = sp.symbols("x y t", real=True)
    rest, p, q = sp.symbols("C p q", positive=True)
    total = sp.exp(x) + sp.exp(y) + rest
    at = {x: a * (K - 1) / K, y: -a / K, rest: (K - 2) * sp.exp(-a / K)}
    loss = sp.log(total) - (1 - delta + delta / K) * x - delta / K * y
    share = {delta: between(0, 1), K: at_least(2)}
    miss = 1 / (sp.exp(a) + K - 1)
    ratio = sp.sqrt(n * lH / lW)
    right = 1 - (K - 1) * q
    two = sp.log(p + q * sp.exp(t) + q * sp.exp(-t) + rest)
    shape = {K: at_least(3), q: between(0, 1)}
    steps = (
        identity(
            "slope of the right logit at a P",
            sp.diff(loss, x).subs(at, simultaneous=True),
            -(K - 1) * (miss - delta / K),
            share,
        ),
        identity("slope of a wrong logit", sp.diff(loss, y).subs(at, simultaneous=True), miss - delta / K, share),
        identity(
            "stationarity: q - delta/K is the price lam sqrt(n) at the size",
            1 / (size + K - 1) - smoothing / K,
            price,
            domain,
        ),
        identity("at a = 0: K times gain minus price", K * ((1 - smoothing) / K - price), 1 - s, domain),
        identity("a > 0 iff s < 1: e^a - 1", size - 1, K * (1 - s) / s, domain),
        holds("which is positive", size - 1, ">", 0, domain),
        identity(
            "objective at a P, |P|_* = K - 1",
            sp.log(size + K - 1) - (1 - smoothing + smoothing / K - price * (K - 1)) * sp.log(size),
            value,
            domain,
        ),
        identity("W = r H^T, r = sqrt(n lH/lW): r |h_k|^2 is the right logit", ratio * feature, a * (K - 1) / K),
        identity(
            "and the decay of both is the price lam sqrt(n) (K - 1) a",
            lW / 2 * K * ratio**2 * feature + lH / 2 * n * K * feature,
            sp.sqrt(lW * lH) * sp.sqrt(n) * (K - 1) * a,
        ),
        monotone("e^a in s", size, s, falls, {K: at_least(2), s: between(0, 1)}),
        identity(
            "Hessian diag(p) - p p^T on (K - 1, -1, .., -1): the right entry",
            right * (K - 1) - right * (right * (K - 1) - (K - 1) * q),
            K * right * q * (K - 1),
            shape,
        ),
        identity("a wrong entry", -q - q * (right * (K - 1) - (K - 1) * q), -K * right * q, shape),
        identity(
            "on differences of two wrong logits, of squared length 2",
            sp.diff(two, t, 2).subs(t, 0) / 2,
            q / (p + 2 * q + rest),
        ),
        identity("ratio of the two eigenvalues at q = s/K", (K * right * q / q).subs(q, s / K), condition, domain),
        holds("which is more than 1", condition, ">", 1, domain),
    )
    return Proof(
        id=ID,
        statement=" ".join(statements(size=size, value=value, feature=feature, condition=condition).values()),
        source="Zhu et al. 2021; Guo et al. 2024",
        hypotheses=hypotheses(SCOPE),
        steps=steps,
        arguments=(
            argue(
                "convex optimality",
                "the subgradients of |Z|_* at a P, a > 0, are P + W, |W|_2 <= 1, W orthogonal to P on both sides, and "
                "at 0 all matrices of spectral norm at most 1: the gradient is minus one of them",
            ),
            argue(
                "Jensen",
                "the risk is strictly convex up to constants in a column, and what is added to a P by such constants "
                "and by a bias b 1^T raises |Z|_* as P (Z) P stays a P: the optimal logits are unique, and a bias is "
                "a multiple of 1, which no loss sees",
            ),
            argue("unitary invariance", "|Z D^{1/2}|_* = sqrt(n) |Z|_* and |P|_* = K - 1"),
        ),
        uses=("ce-convex", "nuclear-norm-factorisation", "within-class-collapse"),
    )


MUTANTS: dict[str, dict[str, Any]] = {
    "size K/s": {"size": K / s},
    "size with K - 1": {"size": (K - 1) / s - K + 2},
    "value without its slope": {"value": sp.log(K / s)},
    "value with s": {"value": sp.log(K / s) - (1 - s) * sp.log(SIZE)},
    "features with n": {"feature": a * (K - 1) / K * sp.sqrt(lW / lH) / n},
    "features with lambda_H/lambda_W": {"feature": a * (K - 1) / K * sp.sqrt(lH / (n * lW))},
    "condition number K s": {"condition": K * s},
    "smoothing counts twice": {"smoothing": 2 * s * u},
    "a grows": {"falls": "increasing"},
}
