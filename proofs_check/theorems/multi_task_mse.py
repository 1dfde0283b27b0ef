"""Squared error with real targets: what one network for all targets gains over one network a target.

Setting. Second moments Sigma = (1/N) sum_n y_n y_n^T of targets in R^K with eigenvalues l_i and eigenvectors u_i; c
= N lW lH the same jointly and separately. Training errors are sum_i min(l_i, c) and sum_j min(Sigma_jj, c)
(regression-collapse).

Statement. The second exceeds the first by sum_j min(a_j, b_j) >= 0 with a_j = sum_i u_ji^2 max(0, l_i - c) and b_j =
sum_i u_ji^2 max(0, c - l_i). So they are equal iff each e_j lies in the span of the eigenvectors with l_i <= c or in
that of those with l_i >= c, as for c <= l_min, c >= l_max or a diagonal Sigma. Two targets of variance v and
correlation r: max(0, v r - |v - c|). Trained on Sigma^{-1/2} y and mapped back: c tr Sigma for c <= 1.

Source. arXiv 2505.09308 (multi-task regression collapse), whose "strictly smaller" fails for c <= l_min.

Idea. min(x, c) = c - max(0, c - x), and the weights u_ji^2 sum to 1 over i and over j.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from proofs_check.notation import say
from proofs_check.scope import Scope, hypotheses
from proofs_check.theorems._kernel import Proof, above, argue, at_least, between, holds, identity

ID = "multi-task-mse"

a, b, c, v, r, K, T, t = sp.symbols("a b c v r K T t", positive=True)
GAIN = sp.Symbol("g", positive=True)
ABOVE = v * (1 + r) - c
BELOW = c - v * (1 - r)
WHITENED = c * T

#: What the theorem covers.
SCOPE = (Scope(("regression",), ("weight-decay",), classes=(1, None), dimension="K"),)


def statements(
    *, upper: sp.Expr = ABOVE, lower: sp.Expr = BELOW, whitened: sp.Expr = WHITENED, **_: Any
) -> dict[str, str]:
    """What the theorem says, by part, with these pieces; see :func:`prove`."""
    trace = sp.Symbol("tr_Sigma", positive=True)
    return {
        "gain": "With Σ = (1/N) Σ_n y_n y_nᵀ and the same λ_W, λ_H, c = N λ_W λ_H, one network a target has the "
        "summed training "
        "error of one network for all targets plus Σ_j min(a_j, b_j) ≥ 0, where a_j and b_j are the diagonals of the "
        "positive parts of Σ − c I and c I − Σ.",
        "equal": "The two are equal if and only if every basis vector e_j lies in the span of the eigenvectors of Σ "
        "with "
        "eigenvalues ≤ c or in that of those with eigenvalues ≥ c; so for c ≤ λ_min(Σ), for c ≥ λ_max(Σ) and for "
        "diagonal Σ.",
        "two": f"Two targets of second moment v and product moment r v, 0 < r < 1, gain min({say(upper)}, "
        f"{say(lower)}) for "
        "v (1 − r) < c < v (1 + r) and nothing otherwise.",
        "whitening": f"Training on Σ^{{−1/2}} y and mapping predictions back by Σ^{{1/2}} has the error "
        f"{say(whitened.subs(T, trace)).replace('tr_Sigma', 'tr Σ')} "
        "for c ≤ 1; that is below the K c of the targets as they are, c ≤ λ_min(Σ), if and only if tr Σ < K.",
    }


def prove(
    *,
    upper: sp.Expr = ABOVE,
    lower: sp.Expr = BELOW,
    whitened: sp.Expr = WHITENED,
    more: sp.Expr = b,
    fewer: sp.Expr = a,
) -> Proof:
    """Prove the statement with these pieces.

    Args:
        upper: the gain of two targets where it is the part above c.
        lower: the gain where it is the part below.
        whitened: error after whitening.
        more: gain of a target where Sigma_jj >= c.
        fewer: gain of a target where Sigma_jj <= c.
    """
    joint = c - b  # sum_i u_ji^2 min(l_i, c)
    variance = c + a - b  # Sigma_jj
    reals = {a: at_least(0), b: at_least(0), c: above(0)}
    large, small = v * (1 + r), v * (1 - r)
    pair = {v: above(0), r: between(0, 1), c: above(0)}
    root, p, x, y = sp.symbols("q p x y", positive=True)
    share = {p: between(0, 1), x: above(0), y: above(0), c: above(0)}
    pair_of = {a: p * x, b: (1 - p) * y}
    steps = (
        identity("l = c + t: min(l, c) = c = l - t", (c + t) - t, c),
        identity("sum_i u_ji^2 l_i = c + a_j - b_j, from l - c = max(0, l - c) - max(0, c - l)", (a - b) + c, variance),
        # Sigma_jj >= c is a >= b: a = b + t
        identity("Sigma_jj >= c: alone c, gain", c - joint, more, reals),
        identity("Sigma_jj <= c: alone Sigma_jj, gain", variance - joint, fewer, reals),
        holds(
            "Sigma_jj = c + t >= c is a_j = b_j + t >= b_j",
            (variance - c).subs(a, b + t),
            ">=",
            0,
            {t: at_least(0), b: at_least(0)},
        ),
        holds(
            "Sigma_jj <= c is a_j <= b_j = a_j + t",
            (variance - c).subs(b, a + t),
            "<=",
            0,
            {t: at_least(0), a: at_least(0)},
        ),
        # a pair of components c + x and c - y with the weights p and 1 - p: a_j = p x, b_j = (1 - p) y
        identity("l = c + x and c - y: Sigma_jj", p * (c + x) + (1 - p) * (c - y), variance.subs(pair_of), share),
        identity("and sum of weighted min(l, c)", p * c + (1 - p) * (c - y), joint.subs(pair_of), share),
        holds("so alone is strictly worse, Sigma_jj >= c", c - (p * c + (1 - p) * (c - y)), ">", 0, share),
        holds("and Sigma_jj <= c", variance.subs(pair_of) - joint.subs(pair_of), ">", 0, share),
        # two targets: eigenvectors (1, 1)/sqrt(2) and (1, -1)/sqrt(2)
        identity("trace of v [[1, r], [r, 1]]", large + small, 2 * v, pair),
        identity("and its determinant", large * small, v**2 * (1 - r**2), pair),
        identity("2 a_1 = 2 a_2 = l_1 - c, l_1 = v (1 + r)", 2 * ((large - c) / 2), upper, pair),
        identity("2 b_1 = 2 b_2 = c - l_2, l_2 = v (1 - r)", 2 * ((c - small) / 2), lower, pair),
        identity("the two parts add up to 2 v r", upper + lower, 2 * v * r, pair),
        holds("so the lesser, at c = v + t the one above, is at most v r", upper.subs(c, v + t), "<=", v * r, pair),
        identity(
            "both vanish together with c - l_2 = 0 or l_1 - c = 0", upper.subs(c, large) + lower.subs(c, small), 0, pair
        ),
        # whitening: the moments are I, the residual of a component is sqrt(c) of it, mapped back by sqrt(l)
        identity("a whitened component keeps (1 - (1 - sqrt(c)))^2 = c of its square", (1 - (1 - sp.sqrt(c))) ** 2, c),
        identity("mapped back: (root of l)^2 c", (root * sp.sqrt(c)) ** 2, whitened.subs(T, root**2)),
        holds("c tr Sigma < K c for tr Sigma = K/(1 + t)", whitened.subs(T, K / (1 + t)), "<", K * c, {t: above(0)}),
        holds("and not for tr Sigma = K (1 + t), t >= 0", whitened.subs(T, K * (1 + t)), ">=", K * c, {t: at_least(0)}),
    )
    return Proof(
        id=ID,
        statement=" ".join(statements(upper=upper, lower=lower, whitened=whitened).values()),
        source="multi-task regression collapse, arXiv 2505.09308, corrected",
        hypotheses=hypotheses(SCOPE),
        steps=steps,
        arguments=(
            argue(
                "unitary invariance",
                "the squares u_ji^2 of an orthogonal matrix sum to 1 over i and over j, so sum_j sum_i u_ji^2 "
                "min(l_i, c) is the "
                "joint error; a sum of nonnegative terms is 0 only where each is",
            ),
        ),
        uses=("regression-collapse",),
    )


MUTANTS: dict[str, dict[str, Any]] = {
    "gain of the other part": {"more": a},
    "gain of the sum": {"more": a + b},
    "gain twice": {"fewer": 2 * a},
    "two targets with r^2": {"upper": v * (1 + r**2) - c},
    "two targets, lower part with 1 + r": {"lower": v * (1 + r) - c},
    "whitened c^2": {"whitened": c**2 * T},
    "whitened without c": {"whitened": T},
}
