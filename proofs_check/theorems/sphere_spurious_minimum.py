"""Classifiers and features on circles: a strict local minimum of the risk that is far from the simplex.

Setting. K = 3, d = 2, |w_k| = a, |h_k| = b, a b = 20, balanced cross-entropy; as angles, logits z_jk = 20 cos(t_j -
p_k). Rotating all vectors changes nothing, so t_1 = 0 is held.

Statement. The risk has a local minimum, strict up to rotation, of value in (0.437227, 0.437228); the simplex ETF has
log(1 + 2 e^{-30}) < 2e-13, in the same dimension K - 1.

Source. Contradicts the landscape theorem of Yaras et al. 2022 where it is quoted with d >= K - 1 (theirs assumes
more).

Idea. At a rational point the gradient is below 1e-14 and the Hessian above mu = 9e-4; the third derivative along a
line is at most T = 50000 everywhere. So the risk is strictly convex within r = 1e-8 and larger on that sphere than
at its centre.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import sympy as sp

from proofs_check.notation import say
from proofs_check.scope import Scope, hypotheses
from proofs_check.theorems._kernel import Proof, Step, argue, compare

ID = "sphere-spurious-minimum"

K = 3
#: The angles t_1, t_2, t_3, p_1, p_2, p_3 in units of 1e-18.
POINT = (
    0,
    53311485428293074,
    -418590581630783974,
    2728869245524545590,
    1596890160352302135,
    -1772499025440033389,
)
#: The Hessian in the last five of them, in units of 1e-12.
HESSIAN = (
    (35440722735463, -4502656302, -5043520487633, -46482688480, -46284527),
    (-4502656302, 502460581633, -472070383572, 696316852, -477496441),
    (-5043520487633, -472070383572, 1621058650586, 0, 0),
    (-46482688480, 696316852, 0, 91358992624, 0),
    (-46284527, -477496441, 0, 0, 953403497),
)
SCALE = sp.Integer(20)
LEAST = sp.Rational(95, 100000)  # below every eigenvalue of the rational matrix
THIRD = sp.Integer(50000)
RADIUS = sp.Rational(1, 10**8)
GRADIENT = sp.Rational(1, 10**14)
LOWER, UPPER = sp.Rational(437227, 10**6), sp.Rational(437228, 10**6)
ETF = sp.Rational(2, 10**13)  # above the simplex ETF's value

#: What the theorem covers.
SCOPE = (
    Scope(
        models=("norm-bounded",),
        classes=(K, K),
        groups=(1, 1),
        conditions=(f"d = {K - 1}", f"lengths equal to the bounds, a b = {SCALE}"),
    ),
)


def statements(
    *, scale: sp.Expr = SCALE, lower: sp.Expr = LOWER, upper: sp.Expr = UPPER, etf: sp.Expr = ETF, **_: Any
) -> dict[str, str]:
    """What the theorem says, by part, with these pieces; see :func:`prove`."""
    return {
        "minimum": f"For K = {K} balanced classes in d = K − 1 = {K - 1} dimensions, |w_k| = a, |h_k| = b and "
        f"a b = {say(scale)}, the cross-entropy has a "
        f"local minimum, strict up to rotation, of value between {_decimal(lower)} and {_decimal(upper)}.",
        "global": f"The simplex ETF has the value {say(_etf(scale))} < {_scientific(etf)} there.",
    }


def prove(
    *,
    scale: sp.Expr = SCALE,
    least: sp.Expr = LEAST,
    third: sp.Expr = THIRD,
    lower: sp.Expr = LOWER,
    upper: sp.Expr = UPPER,
    etf: sp.Expr = ETF,
) -> Proof:
    """Prove the statement with these pieces.

    Args:
        scale: a b.
        least: lower bound of the eigenvalues of the rational matrix.
        third: bound of the third derivative along any line.
        lower: bound of the value.
        upper: the same from above.
        etf: bound of the simplex ETF's value from above.
    """
    s, root = scale, sp.sqrt(2)
    mu = least - 5 * sp.Rational(1, 10**12)
    slope = sp.sqrt(5) * GRADIENT
    value = _value(scale)
    steps = (
        *_gradient(scale),
        *_hessian(scale),
        *_minors(least),
        # along a unit line |Z'| <= sqrt(2) s, |Z''| <= 2 s, |Z'''| <= 2 sqrt(2) s; the third derivative of a column's
        # loss is a third central moment of Z', three covariances of Z' and Z'', and two terms Z'''
        compare(
            "third derivative: 4 sqrt(2) s^3 + 6 sqrt(2) s^2 + 4 sqrt(2) s",
            4 * root * s**3 + 6 * root * s**2 + 4 * root * s,
            "<=",
            third,
        ),
        compare("strictly convex within the radius: mu - T r", mu - third * RADIUS, ">", 0),
        compare(
            "larger on the sphere: mu r/2 - T r^2/6 - |gradient|",
            mu * RADIUS / 2 - third * RADIUS**2 / 6 - slope,
            ">",
            0,
        ),
        compare("value at the point, from below, with what the ball may take off", value - slope * RADIUS, ">", lower),
        compare("and from above", value, "<", upper),
        compare("value of the ETF", _etf(scale), "<", etf),
    )
    return Proof(
        id=ID,
        statement=" ".join(statements(scale=scale, lower=lower, upper=upper, etf=etf).values()),
        source="new; against Yaras et al. 2022 quoted with d >= K - 1",
        hypotheses=hypotheses(SCOPE),
        steps=steps,
        arguments=(
            argue(
                "extreme value theorem",
                "the risk has a minimum in the closed ball, which by its values on the sphere is inside",
            ),
            argue(
                "convexity by Hessian",
                "the Hessian differs from that at the point by T r at most, and that from the rational matrix by "
                "5e-12, so the risk is strictly convex in the ball",
            ),
            argue(
                "mean value theorem",
                "f(x0 + r v) >= f(x0) - r |gradient| + mu r^2/2 - T r^3/6; inside the ball f >= f(x0) - r "
                "|gradient| by convexity",
            ),
        ),
    )


def _decimal(x: sp.Expr) -> str:
    return f"{float(x):.6f}"


def _scientific(x: sp.Expr) -> str:
    digits, exponent = f"{float(x):.0e}".split("e")
    return f"{digits} · 10^{{{int(exponent)}}}".replace("-", "−")


def _etf(scale: sp.Expr) -> sp.Expr:
    """Value of the simplex ETF: margins a b K/(K - 1) in all columns."""
    return sp.log(1 + (K - 1) * sp.exp(-sp.Rational(K, K - 1) * scale))


def _angles() -> tuple[list[sp.Rational], list[sp.Rational]]:
    found = [sp.Rational(x, 10**18) for x in POINT]
    return found[:K], found[K:]


def _logit(j: int, k: int, scale: sp.Expr) -> sp.Expr:
    t, p = _angles()
    return scale * sp.cos(t[j] - p[k])


def _sine(j: int, k: int, scale: sp.Expr) -> sp.Expr:
    t, p = _angles()
    return scale * sp.sin(t[j] - p[k])


def _odds(j: int, k: int, scale: sp.Expr) -> sp.Expr:
    """exp(z_jk - z_kk)."""
    return sp.exp(_logit(j, k, scale) - _logit(k, k, scale))


def _probability(j: int, k: int, scale: sp.Expr) -> sp.Expr:
    return _odds(j, k, scale) / sum(_odds(i, k, scale) for i in range(K))


def _value(scale: sp.Expr) -> sp.Expr:
    return sum(sp.log(sum(_odds(j, k, scale) for j in range(K))) for k in range(K)) / K


def _pull(j: int, k: int, scale: sp.Expr) -> sp.Expr:
    """dF/dz_jk."""
    return (_probability(j, k, scale) - int(j == k)) / K


def _gradient(scale: sp.Expr) -> tuple[Step, ...]:
    """The five components, each below ``GRADIENT``."""
    along_t = [sum(-_pull(j, k, scale) * _sine(j, k, scale) for k in range(K)) for j in range(1, K)]
    along_p = [sum(_pull(j, k, scale) * _sine(j, k, scale) for j in range(K)) for k in range(K)]
    return tuple(
        compare(f"gradient {i}, squared", x**2, "<=", GRADIENT**2) for i, x in enumerate((*along_t, *along_p), start=2)
    )


def _second(u: int, v: int, scale: sp.Expr) -> sp.Expr:
    """d^2 F/dx_u dx_v, coordinates t_1, t_2, t_3, p_1, p_2, p_3; dz_jk/dt_j = -sine, dz_jk/dp_k = sine."""
    if u < K and v < K:
        both = sum(
            _probability(u, k, scale)
            * (int(u == v) - _probability(v, k, scale))
            * _sine(u, k, scale)
            * _sine(v, k, scale)
            / K
            for k in range(K)
        )
        return both - (sum(_pull(u, k, scale) * _logit(u, k, scale) for k in range(K)) if u == v else 0)
    if u >= K and v >= K:
        if u != v:
            return sp.Integer(0)
        k = u - K
        p, sine = [_probability(j, k, scale) for j in range(K)], [_sine(j, k, scale) for j in range(K)]
        mean = sum(x * y for x, y in zip(p, sine, strict=True))
        variance = sum(x * y**2 for x, y in zip(p, sine, strict=True)) - mean**2
        return variance / K - sum(_pull(j, k, scale) * _logit(j, k, scale) for j in range(K))
    if u >= K:
        return _second(v, u, scale)
    k = v - K
    mean = sum(_probability(j, k, scale) * _sine(j, k, scale) for j in range(K))
    centred = _probability(u, k, scale) * (_sine(u, k, scale) - mean)
    return -centred * _sine(u, k, scale) / K + _pull(u, k, scale) * _logit(u, k, scale)


def _hessian(scale: sp.Expr) -> tuple[Step, ...]:
    """Entries of the Hessian beside those of the rational matrix, which are 0 where both angles are of features."""
    steps = []
    for i, j in product(range(5), repeat=2):
        if j >= i and not (i >= 2 and j > i):
            off = _second(i + 1, j + 1, scale) - sp.Rational(HESSIAN[i][j], 10**12)
            steps.append(
                compare(f"Hessian entry {i + 2}, {j + 2}: squared difference", off**2, "<=", sp.Rational(1, 10**24))
            )
    return tuple(steps)


def _minors(least: sp.Expr) -> tuple[Step, ...]:
    """Leading minors of the rational matrix less ``least``, by exact arithmetic."""
    matrix = sp.Matrix(5, 5, lambda i, j: sp.Rational(HESSIAN[i][j], 10**12)) - least * sp.eye(5)
    order = (4, 3, 2, 1, 0)  # small entries first
    turned = matrix.extract(list(order), list(order))
    return tuple(
        compare(f"minor {n} of the rational matrix less mu", turned[:n, :n].det(), ">", 0) for n in range(1, 6)
    )


MUTANTS: dict[str, dict[str, Any]] = {
    "a b = 10": {"scale": sp.Integer(10)},
    "eigenvalues above 1e-3": {"least": sp.Rational(1, 1000)},
    "third derivative below 40000": {"third": sp.Integer(40000)},
    "value above 0.44": {"lower": sp.Rational(44, 100), "upper": sp.Rational(45, 100)},
    "value of the ETF": {"lower": sp.Integer(0), "upper": sp.Rational(1, 10**6)},
    "an ETF below 1e-13": {"etf": sp.Rational(1, 10**13)},
}
