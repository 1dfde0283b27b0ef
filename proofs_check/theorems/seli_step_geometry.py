"""SELI with two groups: singular values, and what becomes of the minority's angles as R grows.

Setting. The solution Z = I - 1 1^T/K of the margin problem with K_A classes of R samples and K_B of one, balanced
factors: W W^T = (Y Y^T)^{1/2} and D^{1/2} H^T H D^{1/2} = (Y^T Y)^{1/2}, Y = Z D^{1/2}.

Statement. Singular values of Y: sqrt(R) (K_A - 1 times), 1 (K_B - 1 times), sqrt(theta), theta = (K_A + K_B R)/K, and
0.
Minority classifiers have the cosine 1 - 1/(1 - 1/K_B + K_A sqrt(theta)/(K K_B)), increasing in R, with limit 1;
minority
class means 1 - 1/(1 - 1/K_B + K_A/(K K_B sqrt(theta))), decreasing, with limit -1/(K_B - 1).

Source. Thrampoulidis et al. 2022 (closed forms for two groups, minority collapse of the classifiers as R -> infinity);
derived here.

Idea. Y Y^T and Y^T Y have rank one on the indicators of the groups.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from proofs_check.notation import say
from proofs_check.scope import Scope, hypotheses
from proofs_check.theorems._kernel import (
    GroupMatrix,
    Proof,
    argue,
    at_least,
    equal_entries,
    identity,
    limit,
    monotone,
)

ID = "seli-step-geometry"

K_A, K_B = sp.symbols("K_A K_B", integer=True, positive=True)
R, theta, x = sp.symbols("R theta x", positive=True)
K = K_A + K_B
THETA = (K_A + K_B * R) / K
CLASSIFIERS = 1 - 1 / (1 - 1 / K_B + K_A * sp.sqrt(theta) / (K * K_B))
FEATURES = 1 - 1 / (1 - 1 / K_B + K_A / (K * K_B * sp.sqrt(theta)))

#: What the theorem covers.
SCOPE = (Scope(("none",), ("margins",), groups=(2, 2), minority=2, dimension="K - 1"),)


def statements(
    *,
    value: sp.Expr = THETA,
    classifiers: sp.Expr = CLASSIFIERS,
    features: sp.Expr = FEATURES,
    end: sp.Expr = sp.Integer(1),
    features_end: sp.Expr = -1 / (K_B - 1),
    **_: Any,
) -> dict[str, str]:
    """What the theorem says, by part, with these pieces; see :func:`prove`."""
    short = {K_A + K_B: sp.Symbol("K", positive=True)}
    at = f"θ = {say(value.subs(short))}"
    where = (
        "Where |W|² + Σ n_k |h_k|² is least with z_kk − z_jk ≥ 1 for all j ≠ k, with R > 0, K_A classes of R n_B "
        "samples each and K_B classes of n_B,"
    )
    return {
        "values": f"{where} the logits, times √(n_k/n_B) in column k, have the singular values √R (K_A − 1 times), 1 "
        f"(K_B − 1 "
        f"times), √θ with {at}, and 0.",
        "classifiers": f"{where} the cosine between two minority classifiers is {say(classifiers.subs(short))} with "
        f"{at}; it "
        f"increases in R and tends to {say(end)}.",
        "features": f"{where} the cosine between two minority class means is {say(features.subs(short))} with {at}; "
        f"it decreases "
        f"in R and tends to {say(features_end)}.",
    }


def _at(gram: GroupMatrix, value: sp.Expr) -> GroupMatrix:
    """A Gram matrix at that theta."""
    return GroupMatrix(gram.sizes, gram.s, gram.t.subs(theta, value))


def _cosine(gram: GroupMatrix) -> sp.Expr:
    """Cosine between two minority classes."""
    return gram.entry(1, 1) / gram.entry(1, 1, same=True)


def prove(
    *,
    value: sp.Expr = THETA,
    classifiers: sp.Expr = CLASSIFIERS,
    features: sp.Expr = FEATURES,
    end: sp.Expr = sp.Integer(1),
    features_end: sp.Expr = -1 / (K_B - 1),
) -> Proof:
    """Prove the statement with these pieces.

    Args:
        value: theta, the square of the singular value on the indicators.
        classifiers: cosine between minority classifiers, in theta.
        features: cosine between minority class means, in theta.
        end: limit of the first as R -> infinity.
        features_end: limit of the second.
    """
    domain = {K_A: at_least(1), K_B: at_least(2)}
    root = sp.sqrt(theta)
    y = GroupMatrix.of([K_A, K_B], [sp.sqrt(R), 1], [[-sp.sqrt(R) / K, -1 / K], [-sp.sqrt(R) / K, -1 / K]])
    # trivial parts: sqrt(theta) times the projection onto (sqrt(K_B), -sqrt(K_A)), and (sqrt(R K_B), -sqrt(K_A))
    w = GroupMatrix.of(
        [K_A, K_B],
        [sp.sqrt(R), 1],
        [
            [-sp.sqrt(R) / K_A + root * K_B / (K * K_A), -root / K],
            [-root / K, -1 / K_B + root * K_A / (K * K_B)],
        ],
    )
    h = GroupMatrix.of(
        [K_A, K_B],
        [sp.sqrt(R), 1],
        [
            [-sp.sqrt(R) / K_A + R * K_B / (K * K_A * root), -sp.sqrt(R) / (K * root)],
            [-sp.sqrt(R) / (K * root), -1 / K_B + K_A / (K * K_B * root)],
        ],
    )
    at = {theta: value}
    b, c = K * K_B, K * (K_B - 1)
    p, r, m = sp.symbols("p r m", positive=True)
    steps = (
        *equal_entries(
            "square of the classifiers' Gram matrix is Y Y^T", _at(w, value) @ _at(w, value), y @ y.T, domain
        ),
        *equal_entries(
            "square of the class means' Gram matrix is Y^T Y", _at(h, value) @ _at(h, value), y.T @ y, domain
        ),
        identity("trace of the classifiers' Gram matrix", w.trace, (K_A - 1) * sp.sqrt(R) + (K_B - 1) + root, domain),
        identity("its trivial block has determinant 0", w.trivial_block.det(), 0, domain),
        identity(
            "trace of the class means' Gram matrix",
            _at(h, value).trace,
            (K_A - 1) * sp.sqrt(R) + (K_B - 1) + root.subs(at),
            domain,
        ),
        identity("and its trivial block has determinant 0", h.trivial_block.det(), 0, domain),
        identity("cosine between minority classifiers", _cosine(w), classifiers, domain),
        identity("cosine between minority class means", _cosine(h), features, domain),
        monotone("theta in R", value, R, "increasing", domain),
        identity("first cosine at theta = x^2", classifiers.subs(theta, x**2), 1 - b / (c + K_A * x), domain),
        identity("second cosine at theta = 1/x^2", features.subs(theta, 1 / x**2), 1 - b / (c + K_A * x), domain),
        monotone("both increase in x", 1 - p / (r + m * x), x, "increasing"),
        limit("the first at theta = 1/x^2 as x -> 0", 1 - b * x / (c * x + K_A), x, 0, end, domain),
        limit("the second at theta = 1/x^2 as x -> 0", 1 - b / (c + K_A * x), x, 0, features_end, domain),
    )
    return Proof(
        id=ID,
        statement=" ".join(
            statements(
                value=value, classifiers=classifiers, features=features, end=end, features_end=features_end
            ).values()
        ),
        source="Thrampoulidis et al. 2022",
        hypotheses=hypotheses(SCOPE),
        steps=steps,
        arguments=(
            argue(
                "arithmetic-geometric mean",
                "factors of least norm are balanced, so that W W^T and D^{1/2} H^T H D^{1/2} are the positive "
                "semidefinite roots of Y Y^T and Y^T Y",
            ),
            argue(
                "Schur", "the groups' sum-zero vectors carry sqrt(R) and 1, the trivial block one nonzero eigenvalue"
            ),
        ),
        uses=("seli-any-counts",),
    )


MUTANTS: dict[str, dict[str, Any]] = {
    "theta with the groups exchanged": {"value": (K_B + K_A * R) / K},
    "theta without the division by K": {"value": K_A + K_B * R},
    "classifiers without the root": {"classifiers": CLASSIFIERS.subs(theta, theta**2)},
    "classifiers as class means": {"classifiers": FEATURES},
    "class means as classifiers": {"features": CLASSIFIERS},
    "classifiers stay apart": {"end": sp.Integer(0)},
    "class means of the ETF of all classes": {"features_end": -1 / (K - 1)},
    "class means merge": {"features_end": sp.Integer(1)},
}
