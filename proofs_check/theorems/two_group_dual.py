"""The two-group cross-entropy problem in closed dual form: probabilities explicit in one angle, one monotone equation.

Setting. Variables and gauge of the symmetry reduction, T > 0, multiplier mu of the gauge, beta_a = mu omega_a / pi_a,
K = K_A + K_B. cos = sqrt(K_B/K) omega_A u / T, sin = sqrt(K_A/K) omega_B v / T.

Statement. Where both groups are uncollapsed, stationarity is equivalent to

    r_A = beta_A cos / sqrt(K K_B),  q_A = (beta_A/K_A)(1 - sqrt(K_B/K) cos),
    p_A = 1 - (beta_A/K_A)(K_A - 1 + sqrt(K_B/K) cos),

the same for B with the letters and sin, cos exchanged. If B is collapsed, r_B is the same and p_B = q_B = (1 - K_A
r_B)/K_B, which is stationary iff beta_B >= 1. The angle solves omega_A sqrt(K_B) u sin = omega_B sqrt(K_A) v cos,
whose left side minus right side increases strictly in the angle where u, v > 0: the solution is unique.

Source. Stationarity of the reduced problem; compare Fang et al. 2021, Section 4.

Idea. The gauge's gradient in (u, v) is the unit vector (cos, sin); u = log p + (K_A-1) log q - K_A log r decreases in
cos.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from proofs_check.notation import say
from proofs_check.scope import CONVEX, Scope, hypotheses
from proofs_check.theorems._kernel import Proof, argue, at_least, between, holds, identity, monotone

ID = "two-group-dual"

K_A, K_B = sp.symbols("K_A K_B", integer=True, positive=True)
K = K_A + K_B
omega_A, omega_B, pi_A, pi_B, mu, beta_A, beta_B, c, s, u, v = sp.symbols(
    "omega_A omega_B pi_A pi_B mu beta_A beta_B c s u v", positive=True
)
s_A, d_A, s_B, d_B = sp.symbols("s_A d_A s_B d_B", real=True)
ALPHA = sp.sqrt(K_B / K)
GAMMA = sp.sqrt(K_A / K)
R_A = beta_A * c / sp.sqrt(K * K_B)
Q_A = beta_A / K_A * (1 - ALPHA * c)
P_A = 1 - beta_A / K_A * (K_A - 1 + ALPHA * c)
R_B = beta_B * s / sp.sqrt(K * K_A)
CONSISTENCY = omega_A * sp.sqrt(K_B) * u * s - omega_B * sp.sqrt(K_A) * v * c


#: What the theorem covers.
SCOPE = (Scope(models=CONVEX, groups=(2, 2), minority=2, dimension="K - 1", conditions=("T > 0", "μ > 0")),)


def statements(
    *,
    r_a: sp.Expr = R_A,
    q_a: sp.Expr = Q_A,
    p_a: sp.Expr = P_A,
    collapse_margin: sp.Expr = (K_B - 1) * (beta_B - 1) / K_B,
    **_: Any,
) -> dict[str, str]:
    """What the theorem says, by part, with these pieces; see :func:`prove`."""
    return {
        "dual": f"Where both groups are uncollapsed, in a column of A the probabilities are r = {say(r_a)}, q = "
        f"{say(q_a)}, p = {say(p_a)}, c the "
        f"cosine of the angle.",
        "collapse": f"A collapsed group B is stationary iff {say(collapse_margin)} ≥ 0.",
    }


def prove(
    *,
    r_a: sp.Expr = R_A,
    q_a: sp.Expr = Q_A,
    p_a: sp.Expr = P_A,
    r_b: sp.Expr = R_B,
    collapsed_q: sp.Expr = (1 - K_A * R_B) / K_B,
    collapse_margin: sp.Expr = (K_B - 1) * (beta_B - 1) / K_B,
    consistency: sp.Expr = CONSISTENCY,
    direction: str = "increasing",
    u_relation: str = "<",
) -> Proof:
    """Prove the statement with these pieces.

    Args:
        r_a: probability of a class of B in a column of A, in beta_A, c = cos.
        q_a: probability of another class of A in that column.
        p_a: probability of the right class.
        r_b: probability of a class of A in a column of B, in beta_B, s = sin.
        collapsed_q: probability of a class of B in a column of B when B is collapsed.
        collapse_margin: slope of the objective in s_B at s_B = 0 over K_B pi_B: B is collapsed iff it is nonnegative.
        consistency: the function F of the angle whose zero is sought, in u, v, s, c.
        direction: how F depends on the angle.
        u_relation: relation of du/dcos to 0.
    """
    u_of, v_of = s_A + K_A * d_A, s_B + K_B * d_B
    t = sp.sqrt((K_B * omega_A**2 * u_of**2 + K_A * omega_B**2 * v_of**2) / K)
    cos_of, sin_of = ALPHA * omega_A * u_of / t, GAMMA * omega_B * v_of / t
    risk = sp.log(1 + (K_A - 1) * sp.exp(-s_A) + K_B * sp.exp(-s_A - d_A))
    total = 1 + (K_A - 1) * sp.exp(-s_A) + K_B * sp.exp(-s_A - d_A)
    risk_b = sp.log(1 + (K_B - 1) * sp.exp(-s_B) + K_A * sp.exp(-s_B - d_B))
    total_b = 1 + (K_B - 1) * sp.exp(-s_B) + K_A * sp.exp(-s_B - d_B)
    pos = {x: at_least(1) for x in (s_A, d_A, s_B, d_B)}
    to_mu_a, to_mu_b = {mu: beta_A * pi_A / omega_A}, {mu: beta_B * pi_B / omega_B}
    du, dv = sp.symbols("du dv", positive=True)
    f = consistency
    theta = sp.Symbol("theta", positive=True)
    u_fun, v_fun = sp.Function("u")(theta), sp.Function("v")(theta)
    along = f.subs({u: u_fun, v: v_fun, s: sp.sin(theta), c: sp.cos(theta)})
    # u increases (rate du > 0) and v decreases (rate -dv < 0) with the angle.
    slope = sp.diff(along, theta).subs({sp.Derivative(u_fun, theta): du, sp.Derivative(v_fun, theta): -dv})
    slope = slope.subs({u_fun: u, v_fun: v, sp.sin(theta): s, sp.cos(theta): c})
    p, q, r, k = sp.symbols("p q r k", positive=True)
    u_rate = sp.diff(p_a, c) / p + (K_A - 1) * sp.diff(q_a, c) / q - K_A * sp.diff(r_a, c) / r
    # Named independently, which only makes the sign fact stronger: sqrt(K), K_A >= 1, K_B.
    root, root_a, root_b = sp.symbols("kappa k_A k_B", positive=True)
    plain = {sp.sqrt(K): root, K_A: root_a**2, K_B: root_b**2}
    q_b_unc = beta_B / K_B * (1 - GAMMA * s)
    p_b_unc = 1 - beta_B / K_B * (K_B - 1 + GAMMA * s)
    steps = (
        identity("dCE_A/ds_A = -(1 - p_A)", sp.diff(risk, s_A), 1 / total - 1, pos),
        identity("dCE_A/dd_A = -K_B r_A", sp.diff(risk, d_A), -K_B * sp.exp(-s_A - d_A) / total, pos),
        identity("dCE_B/dd_B = -K_A r_B", sp.diff(risk_b, d_B), -K_A * sp.exp(-s_B - d_B) / total_b, pos),
        identity("dT/dd_A = K_A omega_A sqrt(K_B/K) cos", sp.diff(t, d_A), K_A * omega_A * ALPHA * cos_of, pos),
        identity("dT/ds_A = omega_A sqrt(K_B/K) cos", sp.diff(t, s_A), omega_A * ALPHA * cos_of, pos),
        identity("dT/dd_B = K_B omega_B sqrt(K_A/K) sin", sp.diff(t, d_B), K_B * omega_B * GAMMA * sin_of, pos),
        identity("cos^2 + sin^2 = 1", cos_of**2 + sin_of**2, 1, pos),
        identity(
            "stationarity in d_A",
            (-K_A * pi_A * K_B * r_a + mu * K_A * omega_A * ALPHA * c).subs(to_mu_a),
        ),
        identity(
            "stationarity in s_A",
            (-K_A * pi_A * (1 - p_a) + mu * omega_A * (K_A - 1 + ALPHA * c)).subs(to_mu_a),
        ),
        identity("column of A sums to 1", p_a + (K_A - 1) * q_a + K_B * r_a, 1),
        identity(
            "stationarity in d_B",
            (-K_B * pi_B * K_A * r_b + mu * K_B * omega_B * GAMMA * s).subs(to_mu_b),
        ),
        identity(
            "stationarity in s_B, B uncollapsed",
            (-K_B * pi_B * (1 - p_b_unc) + mu * omega_B * (K_B - 1 + GAMMA * s)).subs(to_mu_b),
        ),
        identity("column of B sums to 1", p_b_unc + (K_B - 1) * q_b_unc + K_A * r_b, 1),
        identity("collapsed column of B sums to 1", K_B * collapsed_q + K_A * r_b, 1),
        identity(
            "slope in s_B at s_B = 0, over K_B pi_B",
            -(1 - collapsed_q) + beta_B / K_B * (K_B - 1 + GAMMA * s),
            collapse_margin,
        ),
        holds(
            "u = log p + (K_A - 1) log q - K_A log r: du/dcos against 0",
            u_rate.subs(plain, simultaneous=True),
            u_relation,
            0,
            {root_a: at_least(1)},
        ),
        # v is u with the letters exchanged; if B is collapsed v = K_B log(q_B/r_B) with K_B q_B = 1 - K_A r_B.
        monotone(
            "v of a collapsed B decreases in r_B: (1 - k r)/(n r) does",
            (1 - k * r) / (p * r),
            r,
            "decreasing",
        ),
        identity(
            "F = 0 says that (cos, sin) belongs to (u, v)",
            f.subs({u: u_of, v: v_of, c: cos_of, s: sin_of}, simultaneous=True),
            0,
            pos,
        ),
        holds(
            f"F is {direction} in the angle where u, v > 0",
            slope,
            ">" if direction == "increasing" else "<",
            0,
            {s: between(0, 1), c: between(0, 1)},
        ),
    )
    return Proof(
        id=ID,
        statement=" ".join(statements(r_a=r_a, q_a=q_a, p_a=p_a, collapse_margin=collapse_margin).values()),
        source="stationarity of the symmetry-reduced problem; Fang et al. 2021, Section 4",
        hypotheses=hypotheses(SCOPE),
        steps=steps,
        arguments=(
            argue("convex optimality", "the reduced problem is convex, so stationary points are optimal"),
            argue(
                "mean value theorem",
                "F' > 0 where u, v > 0, so F vanishes at most once there; cos, sin > 0 as r_A, r_B > 0",
            ),
        ),
        uses=("symmetry-reduction", "collapse-criterion"),
    )


MUTANTS: dict[str, dict[str, Any]] = {
    "r_A over sqrt(K K_A)": {"r_a": beta_A * c / sp.sqrt(K * K_A)},
    "r_A of the wrong sign": {"r_a": -R_A},
    "q_A with sqrt(K_A/K)": {"q_a": beta_A / K_A * (1 - GAMMA * c)},
    "q_A over K_B": {"q_a": beta_A / K_B * (1 - ALPHA * c)},
    "p_A with plus": {"p_a": 1 + beta_A / K_A * (K_A - 1 + ALPHA * c)},
    "p_A with K_A": {"p_a": 1 - beta_A / K_A * (K_A + ALPHA * c)},
    "r_B over sqrt(K K_B)": {"r_b": beta_B * s / sp.sqrt(K * K_B)},
    "collapsed q over K_A": {"collapsed_q": (1 - K_A * R_B) / K_A},
    "collapsed iff beta_B <= 1": {"collapse_margin": (K_B - 1) * (1 - beta_B) / K_B},
    "consistency with the class counts exchanged": {
        "consistency": omega_A * sp.sqrt(K_A) * u * s - omega_B * sp.sqrt(K_B) * v * c
    },
    "consistency with sin and cos exchanged": {
        "consistency": omega_A * sp.sqrt(K_B) * u * c - omega_B * sp.sqrt(K_A) * v * s
    },
    "F decreasing": {"direction": "decreasing"},
    "u increases in cos": {"u_relation": ">"},
}
