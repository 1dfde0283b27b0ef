"""Minority collapse: the classifiers of group b coincide iff pi_b omega-weighted does not exceed the multiplier.

Setting. Two groups, cross-entropy, invariant optimum with multiplier mu > 0 of |Z diag(omega)|_* (mu = lam for weight
decay). p, q, r: probabilities in a column of group b of the right class, of each other class of b, of each class of
the other group.

Statement. For K_b >= 2: s_b = 0 iff pi_b <= mu omega_b, and s_b >= 0 always. With budgets (omega = 1) that is pi_b <=
mu.

Source. Fang et al. 2021, Theorem 5 (collapse as R -> infinity) and Fig. 3; the criterion in closed form is new here.

Idea. On the vectors of group b with sum zero the gradient is the number -pi_b (1 - p + q), and p = q exactly at s_b =
0.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from proofs_check.notation import SIGNS, say
from proofs_check.scope import Scope, hypotheses
from proofs_check.theorems._kernel import GroupMatrix, Proof, argue, at_least, between, everywhere, holds, identity

ID = "collapse-criterion"

K_a, K_b = sp.symbols("K_a K_b", integer=True, positive=True)
pi_a, pi_b, omega, mu, q, r, x = sp.symbols("pi_a pi_b omega mu q r x", positive=True)
s, m = sp.symbols("s m", real=True)


#: What the theorem covers.
SCOPE = (Scope(models=("layer-peeled", "spectral-deq", "weight-decay"), groups=(2, 2), minority=2, dimension="K - 1"),)


def statements(*, criterion: sp.Expr = mu * omega - pi_b, relation: str = "<", **_: Any) -> dict[str, str]:
    """What the theorem says, by part, with these pieces; see :func:`prove`."""
    return {
        "criterion": "At an optimum with multiplier μ > 0 of |Z diag(ω)|_* the classifiers of a group b of K_b ≥ 2 "
        "classes "
        f"coincide, and so do its class means (s_b = 0), if and only if {say(criterion)} ≥ 0, with ω = ω_b; s_b > 0 "
        f"if and only if "
        f"μ ω {SIGNS[relation]} π_b. Under budgets ω = 1; under weight decay ω_b = √n_b and μ = √(λ_W λ_H).",
    }


def prove(
    *,
    collapsed_slope: sp.Expr = pi_b,
    criterion: sp.Expr = mu * omega - pi_b,
    relation: str = "<",
    ratio: sp.Expr = sp.exp(s),
    slope: sp.Expr | None = None,
) -> Proof:
    """Prove the statement with these pieces.

    Args:
        collapsed_slope: |gradient| on the sum-zero vectors of group b at s_b = 0.
        criterion: s_b = 0 iff this is nonnegative.
        relation: relation of ``mu omega_b`` to ``pi_b`` where s_b > 0.
        ratio: p/q.
        slope: gradient on those vectors, default ``-pi_b (1 - p + q)``.
    """
    p = 1 - (K_b - 1) * q - K_a * r
    # Columns of b: gradient entries pi_b (p - 1) on the diagonal, pi_b q inside the group; columns of a are irrelevant.
    coefficient = pi_b * (p - 1) - pi_b * q
    gradient = GroupMatrix.of([K_a, K_b], [0, coefficient], [[0, pi_b * r], [0, pi_b * q]])
    claimed = -pi_b * (1 - p + q) if slope is None else slope
    # Logits s P_b + const: the column has margin s to its K_b - 1 mates and m + s (K_b-1)/K_b to the other group.
    direction = GroupMatrix.of([K_a, K_b], [0, 1], [[0, 0], [0, -1 / K_b]])
    e_mate, e_far = sp.exp(-s), sp.exp(-m - s * (K_b - 1) / K_b)
    total = 1 + (K_b - 1) * e_mate + K_a * e_far
    risk = sp.log(total)
    at = {p_: v for p_, v in ((q, e_mate / total), (r, e_far / total))}
    reals = {s: everywhere(), m: everywhere()}
    box = {K_b: at_least(2)}
    y = sp.Symbol("y", positive=True)
    collapsed_q = (1 - K_a * r) / K_b
    steps = (
        identity("gradient on sum-zero vectors of b", coefficient, claimed, box),
        identity(
            "slope of the objective along them: <G, P_b> = (K_b - 1) coefficient",
            (gradient.T @ direction).trace,
            (K_b - 1) * claimed,
            box,
        ),
        identity(
            "the same by differentiating the risk of the K_b classes",
            K_b * pi_b * sp.diff(risk, s),
            ((K_b - 1) * claimed).subs(at),
            {**reals, **box},
        ),
        identity("p/q = e^s", (p / q).subs(at), ratio, {**reals, **box}),
        identity("at s = 0, p = q", p.subs(q, collapsed_q), collapsed_q, box),
        identity("so |gradient| there is pi_b", -coefficient.subs(q, collapsed_q), collapsed_slope, box),
        identity(
            "0 is a subgradient at s = 0 iff mu omega_b - |gradient| >= 0",
            mu * omega + coefficient.subs(q, collapsed_q),
            criterion,
            box,
        ),
        # s > 0: p = x q with x = e^s > 1 and stationarity mu omega_b = pi_b (1 - p + q), so mu omega_b < pi_b.
        holds("s > 0: mu omega_b against pi_b, with p = (1 + y) q", pi_b * (1 - (1 + y) * q + q), relation, pi_b),
        # s < 0: slope of the objective is (K_b - 1)(-pi_b (1 - p + q) - mu omega_b), p = x q with x < 1: never 0.
        holds(
            "s < 0 is never stationary",
            -pi_b * (1 - x * q + q) - mu * omega,
            "<",
            0,
            {x: between(0, 1), q: between(0, 1)},
        ),
    )
    return Proof(
        id=ID,
        statement=" ".join(statements(criterion=criterion, relation=relation).values()),
        source="Fang et al. 2021, Theorem 5",
        hypotheses=hypotheses(SCOPE),
        steps=steps,
        arguments=(
            argue(
                "convex optimality",
                "the reduced problem is convex; |s_b| has subgradients [-1, 1] at 0, and the sum-zero "
                "vectors of b carry the term omega_b (K_b - 1) |s_b| of the gauge",
            ),
            argue("Schur", "an invariant gradient is a multiple of the identity on the sum-zero vectors of b"),
        ),
        uses=("ce-convex", "symmetry-reduction"),
    )


MUTANTS: dict[str, dict[str, Any]] = {
    "half the prior": {"collapsed_slope": pi_b / 2},
    "the other group's prior": {"collapsed_slope": pi_a},
    "pi_b >= mu": {"criterion": pi_b - mu * omega},
    "weight squared": {"criterion": mu * omega**2 - pi_b},
    "K_b pi_b <= mu": {"criterion": mu * omega - K_b * pi_b},
    "uncollapsed means mu above pi_b": {"relation": ">"},
    "p/q = e^-s": {"ratio": sp.exp(-s)},
    "slope with p + q": {"slope": -pi_b * (1 - (1 - (K_b - 1) * q - K_a * r) - q)},
}
