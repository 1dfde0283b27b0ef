"""Bounded classifiers and features, two groups: where the minority is one, by two numbers in closed form.

Setting. |w_k| <= a, |h| <= b, cross-entropy, K_A >= 2 classes of R n samples and K_B >= 2 of n (counts R : 1), d >= 2
K. Merged point: w_A = a (x u + sqrt(1-x^2) f_i), h_A = b (y u + sqrt(1-y^2) f_i), f_i a regular simplex orthogonal to
u, and w_B = -a u, h_B = -b u; g and e the probabilities of another majority class and of a minority class on a
majority sample, p that of a majority class on a minority sample.

Statement. Where the point is stationary, R = p y (1-x)/(e (x - y^2)), and all minority classes have equal logits on
the samples of the minority iff K_A^2 p^2 x (1+x)(1-y^2) >= x - y^2. Equality is the threshold. The two clusters x = y
= 1 are optimal iff 2 K_A^2 p (R e + p) >= 1 and 2 K_B^2 e (R e + p) >= R.

Source. New here; norm-bounded-collapse is the case of one majority class, where x = y = 1.

Idea. Complementarity determines the two diagonals of the dual; its blocks are a sum of squares on what is constant in
each group, singular on the standard representation of the majority, and [[alpha_B, -1], [-1, beta_B]] on the other.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from proofs_check.notation import say
from proofs_check.scope import Scope, hypotheses
from proofs_check.theorems._kernel import Proof, above, argue, at_least, between, everywhere, holds, identity

ID = "norm-bounded-groups"

x, y, e, g, p, R = sp.symbols("x y e g p R", positive=True)
m, n = (sp.Symbol(name, integer=True, positive=True) for name in ("K_A", "K_B"))
RATIO = p * y * (1 - x) / (e * (x - y**2))
#: What is at least ``x - y^2`` where the minority is collapsed.
GAIN = m**2 * p**2 * x * (1 + x) * (1 - y**2)
#: At two clusters: at least 1 where the minority is one, at least R where the majority is.
MINOR, MAJOR = 2 * m**2 * p * (R * e + p), 2 * n**2 * e * (R * e + p)
#: K_A g + K_B e where the standard representation of the majority is stationary.
SPLIT = n * e * sp.sqrt(1 + x) * sp.sqrt(1 - y**2) / (y * sp.sqrt(1 - x))

#: What the theorem covers.
SCOPE = (Scope(models=("norm-bounded",), groups=(2, 2), minority=2, conditions=("K_A ≥ 2", "d ≥ 2 K")),)


def statements(
    *, ratio: sp.Expr = RATIO, gain: sp.Expr = GAIN, minor: sp.Expr = MINOR, major: sp.Expr = MAJOR, **_: Any
) -> dict[str, str]:
    """What the theorem says, by part, with these pieces; see :func:`prove`."""
    return {
        "point": "Let x, y ∈ (0, 1) with y² < x, r = √((1 − x²)(1 − y²)), and let the logits on a majority sample be "
        "a b (x y + r) of its own class, a b (x y − r/(K_A − 1)) of other majority classes, −a b y of minority "
        "classes, on a minority sample −a b x of majority classes and a b of all minority classes; g, e and p are the "
        "probabilities of another majority class and of a minority class on a majority sample, and of a majority "
        "class on a minority sample.",
        "criterion": "If K_B e √((1 + x)(1 − y²)) = (K_A g + K_B e) y √(1 − x), then at the imbalance R = "
        f"{say(ratio)} all minority classes have equal logits on every sample of the minority at the optimum if and "
        f"only if {say(gain)} ≥ x − y².",
        "two clusters": "With q = exp(−2 a b), e = q/(K_A + K_B q) and p = q/(K_B + K_A q) the logits a b within "
        "either group and −a b between the groups are optimal at the imbalance R if and only if "
        f"{say(minor)} ≥ 1 and {say(major)} ≥ R.",
    }


def prove(
    *,
    ratio: sp.Expr = RATIO,
    gain: sp.Expr = GAIN,
    split: sp.Expr = SPLIT,
    standard: sp.Expr = sp.Integer(1),
    minor: sp.Expr = MINOR,
    major: sp.Expr = MAJOR,
) -> Proof:
    """Prove the statement with these pieces.

    Args:
        ratio: R at which the point is stationary.
        gain: what is compared with x - y^2.
        split: K_A g + K_B e at a stationary point.
        standard: entry of -gradient on the standard representation of the minority, for weights R and 1.
        minor, major: what is compared with 1 and with R at two clusters.
    """
    inside = {x: between(0, 1), y: between(0, 1), e: between(0, 1), g: between(0, 1), p: between(0, 1)}
    many = {**inside, m: at_least(2), n: at_least(2), R: above(0)}
    off = R * e  # R times the probability of a minority class on a majority sample
    own, right = 1 - (m - 1) * g - n * e, (1 - m * p) / n
    alpha_a, beta_a = (n * off * y + n * p) / x, n * off * (1 + x) / y
    alpha_b, beta_b = m * (off * y + p), m * p * (1 + x)
    root_x, root_y = sp.sqrt(1 - x) * sp.sqrt(1 + x), sp.sqrt(1 - y**2)
    ua, ub, va, vb, v = sp.symbols("u_A u_B v_A v_B v", real=True)
    # factors constant in each group, in units of those of the point: x s, -t, y s', -t'
    form = (
        m * alpha_a * (x * ua) ** 2
        + n * alpha_b * ub**2
        + m * beta_a * (y * va) ** 2
        + n * beta_b * vb**2
        - 2 * m * n * (off * x * y * ua * va + p * x * ua * vb + off * y * ub * va + p * ub * vb)
    )
    squares = m * n * (off * y * (x * (ua - va) ** 2 + (ub - va) ** 2) + p * (x * (ua - vb) ** 2 + (ub - vb) ** 2))
    at = {p: sp.cancel(R * p / ratio)}  # of the same R, without the pole at x = y^2
    slack = (x - y**2) * (alpha_b * beta_b - standard**2)
    t = sp.Symbol("t", positive=True)  # a b
    apart = {x: y**2 + (1 - y**2) * v}
    steps = (
        identity(
            "row A along u: own entry and those of other majority classes",
            R * (1 - own) - (m - 1) * R * g,
            n * off,
            many,
        ),
        identity("row A on the simplex: own less another", R * (1 - own) + R * g, R * (m * g + n * e), many),
        identity(
            "row B: m majority samples against y, n minority samples",
            m * off * y + (1 - right) - (n - 1) * right,
            alpha_b,
            many,
        ),
        identity("column A along u: n (x + 1) times R e = beta_A y", n * off * x + n * off, beta_a * y, many),
        identity("column B: m p (x + 1)", p * m * x + (1 - right) - (n - 1) * right, beta_b, many),
        identity(
            "column A on the simplex: the same split makes it stationary",
            R * split * root_x,
            beta_a * root_y,
            many,
        ),
        identity(
            "row A on the simplex, at this R",
            (R * split * root_y).subs(at) * x,
            (alpha_a * root_x).subs(at) * x,
            many,
        ),
        identity(
            "what is constant in each group: a sum of squares",
            form,
            squares,
            many | {z: everywhere() for z in (ua, ub, va, vb)},
        ),
        identity(
            "standard block of the majority is singular",
            (alpha_a * beta_a - (R * split) ** 2).subs(at),
            0,
            many,
        ),
        identity("standard entry of the minority: own less another", (1 - right) + right, standard, many),
        identity("determinant of its block, times x - y^2", slack.subs(at), (gain - (x - y**2)).subs(at), many),
        identity("two clusters: minority", (alpha_b * beta_b).subs({x: 1, y: 1}), minor, many),
        identity("two clusters: majority, over R", (alpha_a * beta_a / R).subs({x: 1, y: 1}), major, many),
        identity(
            "two clusters: standard entry of the majority",
            (R * (1 - own) + R * g).subs(g, (1 - n * e) / m),
            R,
            many,
        ),
        *(
            identity(
                f"two clusters: probability {s}",
                sp.exp(-t) / (size * sp.exp(t) + other * sp.exp(-t)),
                sp.exp(-2 * t) / (size + other * sp.exp(-2 * t)),
                many,
            )
            for s, size, other in (("of e", m, n), ("of p", n, m))
        ),
        holds("x - y^2 = (1 - y^2) v", (x - y**2).subs(apart), ">", 0, {y: between(0, 1), v: between(0, 1)}),
        holds("R > 0 there", ratio.subs(apart), ">", 0, {**inside, v: between(0, 1)}),
    )
    return Proof(
        id=ID,
        statement=" ".join(statements(ratio=ratio, gain=gain, minor=minor, major=major).values()),
        source="new; bounded norms under imbalance",
        hypotheses=hypotheses(SCOPE),
        steps=steps,
        arguments=(
            argue(
                "gradient inequality",
                "f(Z) >= f(Z0) - <M, Z - Z0>, and <M, Z> <= a b (sum alpha + sum beta)/2 = <M, Z0> for all bounded "
                "factors, where [[diag alpha, -M], [-M^T, diag beta]] >= 0 annihilates the factors of Z0",
            ),
            argue(
                "Schur",
                "the matrix acts on what is constant in each group and on the standard representation of either group",
            ),
            argue(
                "convex optimality",
                "for d >= 2 K the logits of bounded factors are a convex set; diagonals at an optimal point annihilate "
                "every factorisation of it, so those of this point are these, and it is not optimal where a block is "
                "not positive semidefinite",
            ),
            argue(
                "Jensen",
                "the softmax probabilities are the same at all optima, f being strictly convex in them; an optimum "
                "with equal logits, averaged over both groups, has equal minority rows and columns, and among such "
                "logits the other blocks make this point optimal: it is optimal then",
            ),
        ),
        uses=("ce-convex",),
    )


MUTANTS: dict[str, dict[str, Any]] = {
    "R without 1 - x": {"ratio": p * y / (e * (x - y**2))},
    "R with y^2": {"ratio": p * y**2 * (1 - x) / (e * (x - y**2))},
    "criterion with K_A": {"gain": GAIN / m},
    "criterion without x": {"gain": GAIN / x},
    "criterion with 1 - x": {"gain": m**2 * p**2 * x * (1 - x) * (1 - y**2)},
    "another split": {"split": SPLIT / y},
    "two clusters: K_A": {"minor": MINOR / m},
    "two clusters: K_A for K_B": {"major": 2 * m**2 * e * (R * e + p)},
    "standard entry 1 - p": {"standard": 1 - p},
}
