"""Contrastive loss under imbalance, several frequent classes: where the rare ones coincide, and where they never do.

Setting. Classes with probabilities pi_c are unit vectors, d >= K; F = sum_c pi_c log sum_c' pi_c' e^{beta (X_cc' - 1)},
X their Gram matrix, beta > 0 the inverse temperature; K_A >= 2 classes R times as probable as each of K_B >= 2 others.

Statement. Let the others coincide: inner products y < 0 between the groups, x = (K_A y^2 - 1)/(K_A - 1) within the
majority, Z_A = R (e^beta + (K_A-1) e^{beta x}) + K_B e^{beta y}, Z_B = K_B e^beta + K_A R e^{beta y}. Where 2 K_A R y
e^{beta x} Z_B + K_B e^{beta y} (Z_A + Z_B) = 0 this is the minimum of F iff e^{2 beta y} (Z_A + Z_B)^2 >= 4 e^{beta
(1+x)} Z_A Z_B. As R -> infinity the two sides have the ratio (1+Z)^2/(4 Z e^{beta (K_A-2)/(K_A-1)}), Z = (e^beta +
(K_A-1) e^{-beta/(K_A-1)})/K_A: above 1 for K_A = 2, and for beta >= (K_A-1) log(4 K_A); below 1 for K_A >= 3 and beta
<= 5/2.

Source. New here; contrastive-collapse is the case of one majority class.

Idea. F is convex in X. The multiplier of X >= 0 is singular on what is constant in each group and on the standard
representation of the majority; its sign on that of the minority is a comparison of three slopes of F.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from proofs_check.notation import say
from proofs_check.scope import Scope, hypotheses
from proofs_check.theorems._kernel import Proof, above, argue, at_least, between, holds, identity, vanishing_start

ID = "contrastive-groups"

R, beta, a, b, c, u, w, Z, s, t = sp.symbols("R beta a b c u w Z s t", positive=True)
x, y, z, v = sp.symbols("x y z v", real=True)
m, n = (sp.Symbol(name, integer=True, positive=True) for name in ("K_A", "K_B"))
Z_A = R * (sp.exp(beta) + (m - 1) * sp.exp(beta * x)) + n * sp.exp(beta * y)
Z_B = n * sp.exp(beta) + m * R * sp.exp(beta * y)
INNER = (m * y**2 - 1) / (m - 1)
#: Of exp(beta), in the limit R -> infinity.
TILT = (m - 2) / (m - 1)

#: Up to this beta the minority stays apart for K_A >= 3.
END = sp.Rational(5, 2)

#: What the theorem covers.
SCOPE = (
    Scope(
        ("contrastive",),
        ("vectors",),
        groups=(2, 2),
        majority=2,
        minority=2,
        dimension="K",
    ),
)


def statements(
    *, inner: sp.Expr = INNER, tilt: sp.Expr = TILT, share: int = 4, end: sp.Rational = END, **_: Any
) -> dict[str, str]:
    """What the theorem says, by part, with these pieces; see :func:`prove`."""
    return {
        "setting": "Let F = Σ_c π_c log Σ_c' π_c' e^{β (⟨x_c, x_c'⟩ − 1)} with K_A ≥ 2 classes R times as probable as "
        "each of K_B ≥ 2 others, β > 0.",
        "criterion": f"For y ∈ (−1, 0) let x = {say(inner)}, Z_A = R (e^β + (K_A − 1) e^{{β x}}) + K_B e^{{β y}} and "
        "Z_B = K_B e^β + K_A R e^{β y}; if 2 K_A R y e^{β x} Z_B + K_B e^{β y} (Z_A + Z_B) = 0, then at the minimum of "
        "F the vectors of the others coincide if and only if e^{2 β y} (Z_A + Z_B)² ≥ "
        f"{share} e^{{β (1 + x)}} Z_A Z_B.",
        "large": "For all R from some on the vectors of the others coincide if K_A = 2 or β ≥ (K_A − 1) log(4 K_A), "
        f"and for no R from some on if K_A ≥ 3 and β ≤ {end}: the sign of (1 + Z)² − {share} Z e^{{{say(tilt)} β}} "
        "with Z = (e^β + (K_A − 1) e^{−β/(K_A − 1)})/K_A decides.",
    }


def prove(
    *,
    inner: sp.Expr = INNER,
    tilt: sp.Expr = TILT,
    share: int = 4,
    minor: sp.Expr = n * b**2 / a,
    end: sp.Rational = END,
) -> Proof:
    """Prove the statement with these pieces.

    Args:
        inner: inner product within the majority.
        tilt: exponent of e^beta in the limit.
        share: of the product of the partition sums in the criterion.
        minor: diagonal entry of the multiplier's block of the minority that is constant in the group.
        end: beta up to which the minority does not collapse, K_A >= 3.
    """
    many = {m: at_least(2), n: at_least(2), R: above(0)}
    real = many | {y: between(-1, 0), x: between(-1, 1)}
    # weights R and 1, times 1/N; z the inner product within the minority
    by_a = sp.log(R * (sp.exp(beta) + (m - 1) * sp.exp(beta * x)) + n * sp.exp(beta * y))
    by_b = sp.log(sp.exp(beta) + (n - 1) * sp.exp(beta * z) + m * R * sp.exp(beta * y))
    whole = m * R * by_a + n * by_b
    within = R**2 * sp.exp(beta * x) / Z_A
    across = R * sp.exp(beta * y) * (1 / Z_A + 1 / Z_B) / 2
    minority = sp.exp(beta) / Z_B
    root = -n * b / (m * a)  # y at a stationary point
    steps = (
        identity("slope of F in x: m (m-1) beta times the entry", sp.diff(whole, x), m * (m - 1) * beta * within, real),
        identity(
            "in y: 2 m n beta times the entry",
            sp.diff(whole, y).subs(z, 1),
            2 * m * n * beta * across,
            real,
        ),
        identity("in z at z = 1", sp.diff(whole, z).subs(z, 1), n * (n - 1) * beta * minority, real),
        identity(
            "on the block of what is constant in each group the Gram matrix is singular at this x",
            (1 + (m - 1) * inner) * n - m * n * y**2,
            0,
            many | {y: between(-1, 0)},
        ),
        identity(
            "derivative of x along that edge times its slope, with F's slope in y: stationary",
            (m * (m - 1) * a * sp.diff(inner, y) + 2 * m * n * b).subs(y, root),
            0,
            many,
        ),
        # the multiplier: entries a, b, c, diagonal a of the majority, d of the minority
        identity(
            "its block annihilates (sqrt(m) y, sqrt(n)): majority",
            (m * a * y + n * b).subs(y, root),
            0,
            many,
        ),
        identity("and minority", (m * b * y + minor).subs(y, root), 0, many),
        identity("so it is singular", m * a * minor - m * n * b**2, 0, many),
        holds("with a positive trace", m * a + minor, ">", 0, many),
        identity(
            "standard representation of the minority, minor = d + (n-1) c",
            (minor - (n - 1) * c) - c,
            n * (b**2 - a * c) / a,
            many,
        ),
        identity(
            "b^2 - a c in the partition sums s = Z_A, t = Z_B, e^beta = u, e^{beta x} = w, e^{beta y} = a",
            (R * a * (1 / s + 1 / t) / 2) ** 2 - R**2 * w / s * u / t,
            R**2 / (4 * s**2 * t**2) * (a**2 * (s + t) ** 2 - share * u * w * s * t),
            many,
        ),
        identity(
            "stationarity in them: m a y + n b",
            m * R**2 * w * y / s + n * R * a * (1 / s + 1 / t) / 2,
            R / (2 * s * t) * (2 * m * R * y * w * t + n * a * (s + t)),
            real,
        ),
        # R -> infinity: y -> 0, Z_A/(m R) -> Z, Z_B/(m R) -> 1
        identity("at y = 0: 1 + x", 1 + inner.subs(y, 0), tilt, many),
        identity(
            "the criterion's sides over (m R)^2",
            (w * Z + w) ** 2 - share * w * Z * w * u,
            w**2 * ((1 + Z) ** 2 - share * Z * u),
        ),
        identity("K_A = 2: u = 1, and the difference", (1 + Z) ** 2 - share * Z, (Z - 1) ** 2),
        identity("there Z = cosh beta, with e^beta = 1 + t", (1 + t + 1 / (1 + t)) / 2 - 1, t**2 / (2 * (1 + t))),
        holds("which is above 1", t**2 / (2 * (1 + t)), ">", 0),
        identity(
            "(1+Z)^2/(4 Z) = Z/4 + 1/2 + 1/(4 Z)", (1 + Z) ** 2 / (4 * Z), Z / 4 + sp.Rational(1, 2) + 1 / (4 * Z)
        ),
        identity(
            "Z > e^beta/m: above 1 for beta = (m-1) log(4 m) + s, where e^{beta/(m-1)}/(4 m) = e^{s/(m-1)}",
            sp.exp(((m - 1) * sp.log(4 * m) + s) / (m - 1)) / (4 * m),
            sp.exp(s / (m - 1)),
            many,
        ),
        identity("and beta = tilt beta + beta/(m-1)", tilt * beta + beta / (m - 1), beta, many),
        holds(
            "K_A >= 3: the exponent is at least 1/2, m = 3 + v",
            tilt.subs(m, 3 + v) - sp.Rational(1, 2),
            ">=",
            0,
            {v: at_least(0)},
        ),
        # e^t <= 1 + t + t^2 (e^beta - 1 - beta)/beta^2 for t <= beta; mean 0, mean square beta^2/(m-1)
        identity(
            "exponents beta and m-1 times -beta/(m-1): mean square",
            (beta**2 + (m - 1) * (beta / (m - 1)) ** 2) / m,
            beta**2 / (m - 1),
            many,
        ),
        identity(
            "(e^t - 1 - t)/t^2 grows: its derivative",
            sp.diff((sp.exp(t) - 1 - t) / t**2, t) * t**3,
            (t - 2) * sp.exp(t) + t + 2,
        ),
        identity("whose numerator is 0 at 0", ((t - 2) * sp.exp(t) + t + 2).subs(t, 0), 0),
        *vanishing_start("and grows: (t-1) e^t + 1", (t - 1) * sp.exp(t) + 1, t, 0),
        identity(
            "Z <= 1 + (e^beta - 1 - beta)/2, (1+Z)^2/(4Z) <= (Z+3)/4, e^beta <= 1 + 5 beta: at most 1 + beta/2",
            (1 + (1 + 5 * beta - 1 - beta) / 2 + 3) / 4,
            1 + beta / 2,
        ),
        holds("e^beta <= 1 + 5 beta at 5/2, convex and equal at 0", 1 + 5 * end - sp.exp(end), ">", 0),
        *vanishing_start("1 + t <= e^t: strictly", sp.exp(t) - 1 - t, t, 0),
    )
    return Proof(
        id=ID,
        statement=" ".join(statements(inner=inner, tilt=tilt, share=share, end=end).values()),
        source="new; contrastive learning under imbalance",
        hypotheses=hypotheses(SCOPE),
        steps=steps,
        arguments=(
            argue(
                "convex optimality",
                "X minimises F over X >= 0 with unit diagonal iff S = grad F + diag(nu) >= 0 and S X = 0, whose "
                "diagonal is determined by S X = 0",
            ),
            argue(
                "Schur",
                "S and X act on what is constant in each group and on the standard representations; X is 0 on that of "
                "the minority, where the others coincide, and S on that of the majority, where X is positive",
            ),
            argue(
                "convexity by Hessian",
                "F is strictly convex in X, so its minimum is symmetric, and among vectors that coincide for the "
                "others there is one stationary point on the edge where F grows with x",
            ),
            argue(
                "mean value theorem",
                "e^t <= 1 + t + t^2 (e^beta - 1 - beta)/beta^2 for t <= beta, as (e^t - 1 - t)/t^2 grows; the mean of "
                "the exponentials over the m exponents, of mean 0, is Z",
            ),
            argue(
                "intermediate value theorem",
                "for R large the stationary y exists: the sum is positive at 0 and negative at -1; it tends to 0 as R "
                "grows, since its first term has R^2",
            ),
        ),
        uses=("contrastive-collapse",),
    )


MUTANTS: dict[str, dict[str, Any]] = {
    "x without K_A": {"inner": (y**2 - 1) / (m - 1)},
    "x over K_A": {"inner": (m * y**2 - 1) / m},
    "tilt 1": {"tilt": sp.Integer(1)},
    "tilt of K_A": {"tilt": (m - 1) / m},
    "criterion with 2": {"share": 2},
    "block of the minority without K_B": {"minor": b**2 / a},
    "up to beta = 3": {"end": sp.Integer(3)},
}
