"""Total collapse: where the minority's common direction vanishes too, and why it never does at the threshold.

Setting. Two-group cross-entropy with budgets (omega = 1), group B collapsed, multiplier mu, beta_a = mu/pi_a, beta_B
= R beta_A, K = K_A + K_B. In the total phase T = 0: s_B = d_B = 0, d_A = -s_A/K_A, s_A = tau/(K_A - 1), so r_A = q_A
e^{s_A/K_A}.

Statement. T = 0 is optimal iff K K_B r_A^2/beta_A^2 + (K_A/K)/beta_B^2 <= 1 with beta_A = m = K_A q_A + K_B r_A.
Hence total collapse holds iff R >= R_total, R_total^2 = (K_A/K)/(m^2 - K K_B r_A^2), which exists only if e^{s_A/K_A}
< K_A/(sqrt(K K_B) - K_B): for large tau there is no total phase. R_total > 1/m, so beta_B > 1 there, and at beta_B =
1 the condition fails for s_A > 0: the phase at the threshold is partial, never total.

Source. Refines Fang et al. 2021, Section 4 (minority collapse) by the rank of the minority logits.

Idea. Subgradients of the norm T at 0 are vectors of norm at most 1: the trivial block of the gradient over mu.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from proofs_check.notation import say
from proofs_check.scope import Scope, hypotheses
from proofs_check.theorems._kernel import Proof, argue, at_least, between, holds, identity

ID = "collapse-phases"

K_A, K_B = sp.symbols("K_A K_B", integer=True, positive=True)
K = K_A + K_B
beta_A, beta_B, q, y, g, R = sp.symbols("beta_A beta_B q y g R", positive=True)
tau, s_A = sp.symbols("tau s_A", positive=True)
r = q * y  # y = e^{s_A/K_A} > 1
m = K_A * q + K_B * r
CONDITION = K * K_B * r**2 / beta_A**2 + (K_A / K) / beta_B**2
R_TOTAL_SQUARED = (K_A / K) / (m**2 - K * K_B * r**2)


#: What the theorem covers.
SCOPE = (Scope(groups=(2, 2), majority=2, minority=2, dimension="K - 1"),)


def statements(
    *,
    ratio_squared: sp.Expr = R_TOTAL_SQUARED,
    bound: sp.Expr = K_A / (sp.sqrt(K * K_B) - K_B),
    size: sp.Expr = tau / (K_A - 1),
    relation: str = ">",
    **_: Any,
) -> dict[str, str]:
    """What the theorem says, by part, with these pieces; see :func:`prove`."""
    return {
        "total": f"A collapsed minority vanishes altogether (T = 0: total collapse, rank K_A − 1) if and only if R ≥ "
        f"R_total > 0, "
        f"R_total² = {say(ratio_squared)} with y = e^{{s/K_A}}, q = 1/(e^s + K_A − 1 + K_B y), s = {say(size)}.",
        "window": f"R_total exists if and only if e^{{s/K_A}} < {say(bound)}, s = {say(size)}.",
        "threshold": "Where π_B = μ, at the threshold of collapse, T > 0: the collapse is partial there, the "
        "minority keeps one "
        "common direction, and total collapse needs a larger R."
        if relation == ">"
        else "Where π_B = μ the collapse is total.",
    }


def prove(
    *,
    condition: sp.Expr = CONDITION,
    ratio_squared: sp.Expr = R_TOTAL_SQUARED,
    bound: sp.Expr = K_A / (sp.sqrt(K * K_B) - K_B),
    multiplier: sp.Expr = m,
    size: sp.Expr = tau / (K_A - 1),
    relation: str = ">",
) -> Proof:
    """Prove the statement with these pieces.

    Args:
        condition: T = 0 is optimal iff this is at most 1.
        ratio_squared: R_total^2, in q = q_A and y = e^{s_A/K_A}.
        bound: the total phase exists iff y is below this.
        multiplier: beta_A in the total phase.
        size: s_A in the total phase, in tau.
        relation: relation of the condition at beta_B = 1 to 1.
    """
    domain = {K_A: at_least(1), K_B: at_least(2)}
    d_A = -s_A / K_A
    # Dual vector of (u, v): the derivatives in d_a divided by mu and by the factor of the matching cos or sin.
    pi_A, mu = sp.symbols("pi_A mu", positive=True)
    cos = K_A * pi_A * K_B * r / (mu * K_A * sp.sqrt(K_B / K))
    r_b = 1 / K
    pi_B = sp.Symbol("pi_B", positive=True)
    sin = K_B * pi_B * K_A * r_b / (mu * K_B * sp.sqrt(K_A / K))
    p = 1 - (K_A - 1) * q - K_B * r
    x = sp.Symbol("x", positive=True)
    root, root_b = sp.symbols("kappa k_B", positive=True)  # sqrt(K) = kappa + k_B, sqrt(K_B) = k_B
    plain = {K_A: (root + root_b) ** 2 - root_b**2, K_B: root_b**2}
    exists = (m - sp.sqrt(K * K_B) * r).subs(plain) / q
    limit_y = bound.subs(plain)
    kappa_bound = limit_y * g / (1 + g)  # y below the bound
    steps = (
        identity("u = 0: d_A = -s_A/K_A", s_A + K_A * d_A, 0, domain),
        identity("r_A/q_A = e^{-d_A} = e^{s_A/K_A}", sp.exp(-d_A), sp.exp(s_A / K_A), domain),
        identity("the budget is spent on group A alone", (K_A - 1) * size, tau, {K_A: at_least(2)}),
        # Stationarity along u = 0 (s_A and d_A = -s_A/K_A moved together): (1 - p) - K_B r/K_A = beta_A (K_A-1)/K_A.
        identity("stationarity along u = 0", (1 - p) - K_B * r / K_A, multiplier * (K_A - 1) / K_A, domain),
        identity(
            "squared norm of the dual vector",
            (cos**2 + sin**2).subs({pi_A: mu / beta_A, pi_B: mu / beta_B}),
            condition,
            domain,
        ),
        identity(
            "the condition is an equality at R_total",
            (condition - 1).subs({beta_A: multiplier, beta_B: R * multiplier}).subs(R, sp.sqrt(ratio_squared)),
            0,
            {**domain, y: between(1, sp.Rational(101, 100))},
        ),
        identity(
            "and decreases in R: derivative",
            sp.diff(condition.subs({beta_A: multiplier, beta_B: R * multiplier}), R),
            -2 * (K_A / K) / (R**3 * m**2),
            domain,
        ),
        # m^2 > K K_B r^2 iff m - sqrt(K K_B) r > 0, linear in y.
        identity("m = sqrt(K K_B) r at the bound on y", exists.subs(y, limit_y), 0),
        holds("below the bound m > sqrt(K K_B) r", exists.subs(y, kappa_bound), ">", 0),
        holds(
            "R_total^2 m^2 > 1: K_A m^2 - K (m^2 - K K_B r^2) > 0 for y = 1 + x",
            (K_A * m**2 - K * (m**2 - K * K_B * r**2)).subs(y, 1 + x),
            ">",
            0,
            domain,
        ),
        holds(
            "the condition at the threshold beta_B = 1, y = 1 + x, x > 0",
            condition.subs({beta_B: 1, beta_A: multiplier}).subs(y, 1 + x),
            relation,
            1,
            domain,
        ),
    )
    return Proof(
        id=ID,
        statement=" ".join(statements(ratio_squared=ratio_squared, bound=bound, size=size, relation=relation).values()),
        source="refinement of Fang et al. 2021, Section 4",
        hypotheses=hypotheses(SCOPE),
        steps=steps,
        arguments=(
            argue(
                "convex optimality",
                "T is a norm of (u, v): 0 is a subgradient at T = 0 iff the dual vector has norm <= 1",
            ),
        ),
        uses=("two-group-dual",),
    )


MUTANTS: dict[str, dict[str, Any]] = {
    "swapped class count in the condition": {"condition": K * K_A * r**2 / beta_A**2 + (K_B / K) / beta_B**2},
    "condition without the second term": {"condition": K * K_B * r**2 / beta_A**2},
    "R_total without the root's K_A": {"ratio_squared": (K_B / K) / (m**2 - K * K_B * r**2)},
    "R_total with plus": {"ratio_squared": (K_A / K) / (m**2 + K * K_B * r**2)},
    "bound with plus": {"bound": K_A / (sp.sqrt(K * K_B) + K_B)},
    "beta_A = K_A q_A": {"multiplier": K_A * q},
    "size tau/K_A": {"size": tau / K_A},
    "total at the threshold": {"relation": "<="},
}
