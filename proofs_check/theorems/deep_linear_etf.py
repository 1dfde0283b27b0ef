"""Three or more linear factors, balanced classes: the simplex ETF is not optimal, for even K >= 6 whatever the
budgets.

Setting. Balanced cross-entropy, Z = W_1 ... W_M, |W_j|_F^2 <= c_j, tau = prod sqrt(c_j), n = K - 1: the gauge is the
Schatten quasi-norm (sum sigma_i^{2/M})^{M/2} <= tau. The best ETF is alpha P, alpha = tau/n^{M/2}.

Statement. (i) For K >= 4 and M >= 3 the ETF is no local minimum for tau < K (M-2)/M n^{M/2}. (ii) For K = 2 m classes
the cross-polytope (m orthogonal antipodal pairs) of the same budgets has margins s/2 to all classes but the antipode,
s to that one, s = tau/m^{M/2}; it beats every ETF at every tau if ((2m-1)/m)^{M/2} >= 2, so for m >= 3, M >= 3 and
for m = 2, M >= 4.

Source. New here; Sukenik, Mondelli 2023 and Garrod et al. 2026 show that deep neural collapse can be suboptimal.

Idea. (i) Along s P + t E, E with eigenvalues 2, -2, 0, ... and zero diagonal, the risk rises by 8 p/K t^2/2 and the
gauge lets s grow by 8 (1 - 2/M)/(n alpha) t^2/2. (ii) s/2 >= alpha: every margin is at least the ETF's, the
antipode's is more.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from proofs_check.notation import say
from proofs_check.scope import Scope, hypotheses
from proofs_check.theorems._kernel import Proof, above, argue, at_least, compare, holds, identity, monotone
from proofs_check.theorems.etf_local_stability import PAIRS

ID = "deep-linear-etf"

n, s, tau, alpha, p = sp.symbols("n s tau alpha p", positive=True)
M = sp.Symbol("M", positive=True)
t = sp.Symbol("t", positive=True)
m = sp.Symbol("m", positive=True, integer=True)


#: What the factors must have room for.
WIDE = "all inner dimensions ≥ K − 1"

#: What the theorem covers.
SCOPE = (Scope(models=("deep-linear",), classes=(4, None), groups=(1, 1), dimension="K - 1", conditions=(WIDE,)),)


def statements(
    *,
    critical: sp.Expr = (n + 1) * (M - 2) / M * n ** (M / 2),
    octahedron: tuple[int, int] = (3, 3),
    square: tuple[int, int] = (2, 4),
    **_: Any,
) -> dict[str, str]:
    """What the theorem says, by part, with these pieces; see :func:`prove`."""
    return {
        "local": f"The ETF is no local minimum for τ = ∏ √c_j < {say(critical.subs(n, sp.Symbol('K') - 1))}.",
        "polytope": "The cross-polytope beats every simplex ETF at every τ for even K ≥ "
        f"{2 * octahedron[0]} if M ≥ {octahedron[1]}, and for K = {2 * square[0]} if M ≥ {square[1]}.",
    }


def prove(
    *,
    critical: sp.Expr = (n + 1) * (M - 2) / M * n ** (M / 2),
    near: sp.Rational = sp.Rational(1, 2),
    direction: sp.Matrix = PAIRS,
    octahedron: tuple[int, int] = (3, 3),
    square: tuple[int, int] = (2, 4),
) -> Proof:
    """Prove the statement with these pieces.

    Args:
        critical: tau below which the ETF is no local minimum.
        near: the cross-polytope's margin to all but the antipode, in its singular value s.
        direction: the perturbation E of four classes.
        octahedron: (m, M), the least ones of the first case of (ii).
        square: (m, M) of the second.
    """
    wrong = 1 / (sp.exp(s) + n)
    # four classes have margins s +- t once each and s else; the others s throughout
    risk = 4 / (n + 1) * sp.log(1 + sp.exp(-s) * (n - 2 + sp.exp(t) + sp.exp(-t))) + (n - 3) / (n + 1) * sp.log(
        1 + n * sp.exp(-s)
    )
    power = 2 / M
    gauge = (n - 2) * s**power + (s + 2 * t) ** power + (s - 2 * t) ** power
    bend = -sp.diff(gauge, t, 2).subs(t, 0) / sp.diff(gauge, s).subs(t, 0)
    squares = direction**3 - 4 * direction
    half = [(2 * sp.Integer(a) - 1) / sp.Integer(a) for a, _ in (octahedron, square)]
    steps = (
        identity("E^3 = 4 E: eigenvalues 2, -2 and 0", sum(x**2 for x in squares), 0),
        identity("|E|_F^2 = 8: 2 and -2 once each, their sum being tr E = 0", (direction.T * direction).trace(), 8),
        identity("tr E = 0 and no diagonal", sum(x**2 for x in direction.diagonal()), 0),
        identity("risk, first order in t", sp.diff(risk, t).subs(t, 0), 0),
        identity("risk, second order in t", sp.diff(risk, t, 2).subs(t, 0), 8 * wrong / (n + 1), {n: at_least(3)}),
        identity("risk, slope in s", sp.diff(risk, s).subs(t, 0), -n * wrong, {n: at_least(3)}),
        identity("second order of s on the gauge", bend, 8 * (1 - power) / (n * s), {M: at_least(3), n: at_least(3)}),
        identity(
            "second order of the risk along the gauge, alpha = tau/n^{M/2}",
            8 * p / (n + 1) - n * p * (8 * (1 - power) / (n * alpha)).subs(alpha, tau / n ** (M / 2)),
            8 * p / (n + 1) * (1 - critical / tau),
            {M: at_least(3), n: at_least(3)},
        ),
        # antipodal pairs: Z = s (pair projector), diagonal s/2, antipode -s/2, else 0
        identity("cross-polytope: margin to the others", sp.Rational(1, 2) - 0, near),
        identity("cross-polytope: margin to the antipode", sp.Rational(1, 2) + sp.Rational(1, 2), 2 * near),
        monotone("(2m-1)/m", (2 * m - 1) / m, m, "increasing", {m: at_least(1)}),
        holds("and at least 1", (2 * m - 1) / m, ">=", 1, {m: at_least(1)}),
        *(
            compare(f"((2m-1)/m)^M >= 4 at m = {a}, M = {depth}", ratio**depth, ">=", 1 / near**2)
            for ratio, (a, depth) in zip(half, (octahedron, square), strict=True)
        ),
        monotone("risk log(1 + y)", sp.log(1 + s), s, "increasing"),
        holds("e^{-2x} < e^{-x}, with e^x = y + 1", 1 / (s + 1) ** 2, "<", 1 / (s + 1), {s: above(0)}),
    )
    return Proof(
        id=ID,
        statement=" ".join(statements(critical=critical, octahedron=octahedron, square=square).values()),
        source="new; deep linear networks",
        hypotheses=hypotheses(SCOPE),
        steps=steps,
        arguments=(
            argue("second-order condition", "along the curve of (i) the risk has a negative second derivative"),
            argue("mean value theorem", "((2m-1)/m)^{M/2} grows in m and, being at least 1, in M"),
        ),
        uses=("schatten-factors", "etf-gram"),
    )


MUTANTS: dict[str, dict[str, Any]] = {
    "critical without K": {"critical": (M - 2) / M * n ** (M / 2)},
    "critical with (M-1)/M": {"critical": (n + 1) * (M - 1) / M * n ** (M / 2)},
    "critical with n^M": {"critical": (n + 1) * (M - 2) / M * n**M},
    "near margin 2/3": {"near": sp.Rational(2, 3)},
    "direction of one pair": {"direction": sp.Matrix([[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]])},
    "two factors, m = 3": {"octahedron": (3, 2)},
    "square with three factors": {"square": (2, 3)},
}
