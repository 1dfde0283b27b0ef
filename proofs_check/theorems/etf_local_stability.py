"""Frobenius budget, balanced classes: up to which budget the simplex ETF is a local minimum, in closed form.

Setting. Balanced cross-entropy, K >= 4, n = K - 1, gauge |Z|_* - b |Z|_F <= tau with b = sqrt(E_A) (the cap |A|_2 <=
rho idle at the ETF: b < rho sqrt(n)). The ETF is alpha P, P = I - 11^T/K, alpha (n - b sqrt(n)) = tau; p = 1/(e^alpha +
n) is the probability of each wrong class there.

Statement. The ETF is a strict local minimum for E_A < tau^2/(K^2 n) = E_W E_H/n
and no local minimum for E_A > tau^2/(K^2 n). tau >= K sqrt(n) means a local minimum at every E_A < 1.

Source. New here; compare Sukenik, Mondelli 2023 and Garrod et al. 2026 (softmax codes win over deep neural collapse).

Idea. Write Z = s P + E with <E, P> = 0. Nuclear norm >= trace = n s, so s(E) is at most what n s - b sqrt(n s^2 +
|E|^2) = tau allows: it grows by b |E|^2/(2 sqrt(n) tau) alpha. The risk falls by n p times that, and its second order
in E is (1/2K) sum_k Var(E_k) >= p |E|^2/(2K), with equality where the diagonal of E vanishes. Symmetric such E leave
the nuclear norm equal to the trace.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from proofs_check.notation import say
from proofs_check.scope import Scope, hypotheses
from proofs_check.theorems._kernel import Proof, argue, at_least, between, holds, identity

ID = "etf-local-stability"

n, tau, b, alpha, p, q, e = sp.symbols("n tau b alpha p q e", positive=True)
k = n + 1
S = sp.Symbol("S", positive=True)  # |sum of the margins| of a perturbed column

#: A symmetric perturbation of four classes with zero row sums and zero diagonal; other classes get zeros.
PAIRS = sp.Matrix([[0, 1, 0, -1], [1, 0, -1, 0], [0, -1, 0, 1], [-1, 0, 1, 0]])


#: The bound on |A|_2 plays no part at the ETF.
IDLE = "√E_A < ρ √(K − 1): the bound on |A|₂ is idle at the ETF"

#: What the theorem covers.
SCOPE = (Scope(models=("frobenius-deq",), classes=(4, None), groups=(1, 1), dimension="K - 1", conditions=(IDLE,)),)


def statements(*, critical: sp.Expr = tau / ((n + 1) * sp.sqrt(n)), **_: Any) -> dict[str, str]:
    """What the theorem says, by part, with these pieces; see :func:`prove`."""
    return {
        "stability": "Among logits the simplex ETF is a strict local minimum for "
        f"√E_A < {say(critical.subs(n, sp.Symbol('K') - 1))} and no local minimum for √E_A above that, τ = K √(E_W "
        f"E_H).",
    }


def prove(
    *,
    critical: sp.Expr = tau / ((n + 1) * sp.sqrt(n)),
    growth: sp.Expr = b * alpha / (2 * sp.sqrt(n) * tau),
    curvature: sp.Expr = p / (2 * (n + 1)),
    direction: sp.Matrix = PAIRS,
) -> Proof:
    """Prove the statement with these pieces.

    Args:
        critical: the value of b = sqrt(E_A) where stability changes.
        growth: d s/d e^2 at the ETF for |E| = e, before alpha is divided out of it.
        curvature: least second-order coefficient of the risk in e^2.
        direction: a perturbation that attains it without any loss in the nuclear norm.
    """
    root = sp.sqrt(n)
    small = {b: between(0, 1), n: at_least(3)}  # b < 1 and K >= 4, so that the gauge of the ETF is positive
    size = tau / (n - b * root)  # alpha
    f = sp.log(1 + n * sp.exp(-alpha))
    wrong = 1 / (sp.exp(alpha) + n)
    total = curvature - n * p * growth.subs(alpha, 1)  # growth is proportional to alpha, which multiplies e^2/alpha
    x, m2 = sp.symbols("x m_2", positive=True)
    variance = p * m2 - p**2 * S**2
    steps = (
        identity("T sqrt(n) = n alpha and gauge of the ETF", n * size - b * root * size, tau, small),
        identity("d f/d alpha = -n p", sp.diff(f, alpha), -n * wrong),
        # n s - b sqrt(n s^2 + e^2) = tau, differentiated: (n - b n s/T) s' = b/(2 T) with T = sqrt(n) s.
        identity(
            "implicit derivative of s in e^2, times alpha",
            (b / (2 * root * alpha)) / (n - b * root) * alpha,
            (growth / alpha).subs(tau, alpha * (n - b * root)) * alpha,
            small,
        ),
        # q = m_2 - S^2/K is |E_k|^2 for the margins m of a centred column.
        identity(
            "variance of a column minus p |E_k|^2",
            variance.subs(m2, q + S**2 / k) - p * q,
            p * S**2 * (1 / k - p),
        ),
        identity("p <= 1/K: 1/K - p = (e^alpha - 1)/(K (e^alpha + n))", 1 / k - 1 / (x + n), (x - 1) / (k * (x + n))),
        identity("least curvature: half of p over K", curvature, p / (2 * k)),
        identity(
            "second order of the risk along the boundary",
            total,
            p / (2 * k) * (1 - b / critical),
        ),
        identity("in the budgets: critical^2 = E_W E_H/(K-1)", (critical / tau * k) ** 2, 1 / n),
        *(
            identity(f"perturbation: row {i} sums to 0 and has no diagonal", sum(direction[i, :]), 0)
            for i in range(direction.rows)
        ),
        identity("perturbation: the diagonal vanishes", sum(x_ii**2 for x_ii in direction.diagonal()), 0),
        identity("perturbation: symmetric", sum(((direction - direction.T)[i]) ** 2 for i in range(16)), 0),
        holds("perturbation: not zero", sum(entry**2 for entry in direction), ">", 0),
    )
    return Proof(
        id=ID,
        statement=" ".join(statements(critical=critical).values()),
        source="new; linear equilibrium layer with a Frobenius budget",
        hypotheses=hypotheses(SCOPE),
        steps=steps,
        arguments=(
            argue("Cauchy-Schwarz", "the gauge with a cap is at least |Z|_* - b |Z|_F, with equality near the ETF"),
            argue("von Neumann", "|Z|_* >= tr(Z P) = tr Z, with equality for symmetric Z = s P + E, |E|_2 <= s"),
            argue("second-order condition", "along s(t) P + t E the risk has the second order above"),
        ),
        uses=("frobenius-gauge", "etf-gram"),
    )


MUTANTS: dict[str, dict[str, Any]] = {
    "critical tau/(K n)": {"critical": tau / ((n + 1) * n)},
    "critical tau/K": {"critical": tau / (n + 1)},
    "critical twice": {"critical": 2 * tau / ((n + 1) * sp.sqrt(n))},
    "growth without the half": {"growth": b * alpha / (sp.sqrt(n) * tau)},
    "growth with n for sqrt(n)": {"growth": b * alpha / (2 * n * tau)},
    "curvature p/2": {"curvature": p / 2},
    "curvature p^2/(2K)": {"curvature": p**2 / (2 * (n + 1))},
    "direction of one pair": {"direction": sp.Matrix([[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]])},
    "direction with a diagonal": {"direction": sp.Matrix([[1, -1, 0, 0], [-1, 1, 0, 0], [0, 0, 1, -1], [0, 0, -1, 1]])},
}
