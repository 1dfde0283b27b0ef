"""Minority collapse under weight decay: cross-entropy with weights, smoothing and shifts, BCE, MSE, with a bias or not.

Setting. f(Z + b 1^T) + lam |Z D^{1/2}|_* (+ (lb/2)|b|^2), or f(Z) with |Z|_* <= tau, lam = sqrt(lW lH), D = diag(n_k),
N = sum n_k. Column k of
the risk, k in group b: (w/N) (log sum_i e^{Delta_i z_i + iota_i} - sum_i t_i (Delta_i z_i + iota_i)), t = (1 - a) e_k +
a/K, with w, Delta, iota equal on the group; or BCE, or MSE. x: the right logit, y: that of another class of the group.

Statement. Group b of K_b >= 2 classes is collapsed iff kappa^2 n_b <= N^2 lW lH, kappa = w Delta (1 - a) for
cross-entropy and 1 for BCE and MSE. Neither shifts nor a bias enter. Budgets: iff pi_b kappa <= mu.

Source. Hong & Ling 2023 (CE with a bias), Behnia et al. 2023 (weights, scales and shifts as lam -> 0); the criterion in
closed form is new here.

Idea. On the vectors of the group with sum zero the gradient is the number -pi_b kappa(s), kappa(s) = w Delta ((1 - a) -
(p - q)) with predictions p, q of the right class and of a mate; p = q exactly at s = x - y = 0.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from proofs_check.notation import SIGNS, say
from proofs_check.scope import Scope, hypotheses
from proofs_check.theorems._kernel import (
    GroupMatrix,
    Proof,
    above,
    argue,
    at_least,
    between,
    everywhere,
    holds,
    identity,
)

ID = "universal-collapse"

w, delta, N, n, lW, lH, C, q, u = sp.symbols("w_b Delta_b N n_b lambda_W lambda_H C q u", positive=True)
a = sp.Symbol("a", nonnegative=True)
x, y, iota, beta = sp.symbols("x y iota beta", real=True)
K_a, K_b, K = sp.symbols("K_a K_b K", integer=True, positive=True)
BOUND = N**2 * lW * lH

_LOSSES = ("ce", "smoothed-ce", "weighted-ce", "bce", "mse")
#: What the theorem covers.
SCOPE = (Scope(_LOSSES, ("weight-decay", "bias-decay", "layer-peeled"), minority=2, dimension="K"),)

_ALIKE = (
    "the classifiers of a group of K_b ≥ 2 classes with n_b samples each, N in all, coincide, and so do its class "
    "means,"
)


def statements(
    *,
    kappa: sp.Expr = w * delta * (1 - a),
    kappa_bce: sp.Expr = sp.Integer(1),
    bound: sp.Expr = BOUND,
    relation: str = "<=",
    **_: Any,
) -> dict[str, str]:
    """What the theorem says, by part, with these pieces; see :func:`prove`."""
    plain, sign = {w: 1, delta: 1}, SIGNS[relation]
    share = sp.Symbol("pi_b", positive=True)

    def rule(slope: sp.Expr) -> str:
        return f"if and only if {say(sp.powsimp(slope**2 * n))} {sign} {say(bound)}"

    return {
        "bce": f"Under weight decay and binary cross-entropy {_ALIKE} {rule(kappa_bce)}.",
        "smoothing": f"Under weight decay and cross-entropy with label smoothing 0 ≤ a < 1 {_ALIKE} "
        f"{rule(kappa.subs(plain))}.",
        "weights": "Under weight decay and cross-entropy with weights, scales and shifts that are equal on a group of "
        "K_b ≥ 2 classes "
        "with n_b samples each, N in all, w_b > 0 and Δ_b > 0, the classifiers of the group coincide, and so do its "
        "class "
        f"means, {rule(kappa.subs(a, 0))}.",
        "shifts": f"Shifts of the logits that are equal on the group do not enter: under weight decay and "
        f"cross-entropy with "
        f"them, without weights and scales, {_ALIKE} {rule(kappa.subs({**plain, a: 0}))}, whatever the shifts.",
        "bias": "A bias, free or with weight decay of its own, does not enter: under weight decay and cross-entropy, "
        f"binary cross-entropy or MSE with a bias {_ALIKE} {rule(kappa_bce)}.",
        "budgets": "At an optimum under budgets with multiplier μ > 0 of |Z|_* and cross-entropy with label smoothing "
        "0 ≤ a < 1 and weights w_b > 0, scales Δ_b > 0 and shifts that are equal on a group of K_b ≥ 2 classes, the "
        f"classifiers of the group coincide, and so do its class means, if and only if {say(share * kappa)} {sign} μ; "
        f"under binary cross-entropy or MSE if and only if {say(share * kappa_bce)} {sign} μ.",
    }


def prove(
    *,
    kappa: sp.Expr = w * delta * (1 - a),
    kappa_bce: sp.Expr = sp.Integer(1),
    bound: sp.Expr = BOUND,
    relation: str = "<=",
    ratio: sp.Expr = sp.exp(delta * (x - y)),
    singular: sp.Expr = sp.sqrt(n),
) -> Proof:
    """Prove the statement with these pieces.

    Args:
        kappa: what a direction of its own gains a class at collapsed logits, over pi_b, for cross-entropy.
        kappa_bce: the same for binary cross-entropy and squared error.
        bound: what kappa^2 n_b is compared with.
        relation: relation of kappa^2 n_b to the bound where the group is collapsed.
        ratio: p/q.
        singular: singular value of P_b D^{1/2}, P_b the projection onto the vectors of the group with sum zero.
    """
    reals = {v: everywhere() for v in (x, y, iota, beta)}
    share = {a: between(0, 1)}
    # one column: the right logit, one mate, and the exponentials of all others in C; the bias beta is that of the group
    right, mate = sp.exp(delta * (x + beta) + iota), sp.exp(delta * (y + beta) + iota)
    total = right + mate + C
    p_, q_ = right / total, mate / total
    loss = w * (sp.log(total) - (1 - a + a / K) * (delta * (x + beta) + iota) - (a / K) * (delta * (y + beta) + iota))
    slope = w * delta * (1 - a - (p_ - q_))
    bce = sp.log(1 + sp.exp(-(x + beta))) + sp.log(1 + sp.exp(y + beta))
    sigma = {v: sp.exp(v + beta) / (1 + sp.exp(v + beta)) for v in (x, y)}
    mse = (x + beta - 1) ** 2 / 2 + (y + beta) ** 2 / 2
    coefficient = sp.Symbol("c", real=True)
    gradient = GroupMatrix.of([K_a, K_b], [0, coefficient], sp.zeros(2, 2))
    direction = GroupMatrix.of([K_a, K_b], [0, 1], [[0, 0], [0, -1 / K_b]])
    groups = {K_a: at_least(1), K_b: at_least(2), coefficient: everywhere()}
    lam, k_, slack = sp.sqrt(lW * lH), sp.Symbol("kappa", positive=True), sp.Symbol("t", nonnegative=True)
    steps = (
        identity(
            "cross-entropy: slope of a mate minus slope of the right class",
            sp.diff(loss, y) - sp.diff(loss, x),
            slope,
            {**reals, **share, K: at_least(2)},
        ),
        identity("p/q, in which bias and shift are gone", p_ / q_, ratio, reals),
        identity("at x = y it is kappa", slope.subs(y, x), kappa, {**reals, **share}),
        holds(
            "for x > y, p = (1 + u) q, it is less than kappa",
            w * delta * (1 - a - ((1 + u) * q - q)),
            "<",
            kappa,
            share,
        ),
        holds(
            "for x < y, q = (1 + u) p, it is positive",
            w * delta * (1 - a - (q - (1 + u) * q)),
            ">",
            0,
            share,
        ),
        identity(
            "binary cross-entropy: the same slope",
            sp.diff(bce, y) - sp.diff(bce, x),
            1 - (sigma[x] - sigma[y]),
            reals,
        ),
        identity("binary cross-entropy at x = y", (1 - (sigma[x] - sigma[y])).subs(y, x), kappa_bce, reals),
        holds("binary cross-entropy: the slope is positive", 1 - sigma[x] + sigma[y], ">", 0, reals),
        identity(
            "binary cross-entropy: sigma(x) - sigma(y) has the sign of e^{x - y} - 1",
            sigma[x] - sigma[y],
            sp.exp(y + beta) * (sp.exp(x - y) - 1) / ((1 + sp.exp(x + beta)) * (1 + sp.exp(y + beta))),
            reals,
        ),
        identity("squared error: the same slope is 1 - (x - y)", sp.diff(mse, y) - sp.diff(mse, x), 1 - (x - y), reals),
        identity("squared error at x = y", (1 - (x - y)).subs(y, x), kappa_bce, reals),
        identity(
            "slope of the risk along P_b: <G, P_b> = (K_b - 1) times the gradient on vectors of the group with sum "
            "zero",
            (gradient.T @ direction).trace,
            (K_b - 1) * coefficient,
            groups,
        ),
        identity(
            "|P_b D^{1/2}|_F^2 = (K_b - 1) times the square of its singular value",
            (direction.T @ direction).trace * n,
            (K_b - 1) * singular**2,
            groups,
        ),
        identity("budgets: |P_b|_F^2 = K_b - 1", (direction.T @ direction).trace, K_b - 1, groups),
        identity(
            "price minus gain: lam sqrt(n_b) - pi_b kappa",
            (lam * singular - n / N * k_) * N * (N * lam + k_ * sp.sqrt(n)),
            sp.sqrt(n) * (bound - k_**2 * n),
        ),
        holds(
            "kappa^2 n_b against the bound where the price is the gain plus t >= 0",
            u**2,
            relation,
            (u + slack) ** 2,
            {u: above(0), slack: at_least(0)},
        ),
    )
    return Proof(
        id=ID,
        statement=" ".join(statements(kappa=kappa, kappa_bce=kappa_bce, bound=bound, relation=relation).values()),
        source="Hong & Ling 2023; Behnia et al. 2023",
        hypotheses=hypotheses(SCOPE),
        steps=steps,
        arguments=(
            argue(
                "Jensen",
                "averaging over the permutations of the group raises neither risk nor gauge, both convex; the risk is "
                "strictly convex up to constants in a column, which the gauge picks, so that the logits of an optimum, "
                "bias included, are invariant",
            ),
            argue(
                "Schur", "invariant logits act on the vectors of the group with sum zero as a number s_b, P_b's share"
            ),
            argue(
                "convex optimality",
                "the gauge is lam sqrt(n_b) (K_b - 1) |s_b| plus a part without s_b, and a bias, b 1^T, vanishes on "
                "vectors of sum zero: s_b = 0 is optimal iff the gain pi_b kappa is at most lam sqrt(n_b); s_b > 0 "
                "needs pi_b kappa(s_b) = lam sqrt(n_b), and s_b < 0 is never stationary; budgets: mu for lam sqrt(n_b)",
            ),
        ),
        uses=("ce-convex", "nuclear-norm-factorisation", "within-class-collapse"),
    )


MUTANTS: dict[str, dict[str, Any]] = {
    "scale squared": {"kappa": w * delta**2 * (1 - a)},
    "weights do not enter": {"kappa": delta * (1 - a)},
    "smoothing delays nothing": {"kappa": w * delta},
    "smoothing of the wrong sign": {"kappa": w * delta * (1 + a)},
    "binary cross-entropy at half": {"kappa_bce": sp.Rational(1, 2)},
    "N for N^2": {"bound": N * lW * lH},
    "root of the weights": {"bound": N**2 * sp.sqrt(lW * lH)},
    "collapsed above": {"relation": ">="},
    "the scale is lost": {"ratio": sp.exp(x - y)},
    "weight n_b": {"singular": n},
}
