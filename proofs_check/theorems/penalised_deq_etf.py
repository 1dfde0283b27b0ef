"""A penalty on A, balanced classes: where the cap is idle the simplex ETF is no local minimum for a small lambda_A.

Setting. Balanced cross-entropy, K >= 4 classes of nu samples, N = K nu, lam = sqrt(lambda_W lambda_H), objective f(Z)
+ sum_i g(sqrt(nu) sigma_i), g(x) = lam x - lam^2 x^2/(2 lambda_A) while lam x < rho lambda_A. p = 1/(e^alpha + K - 1)
is the probability of a wrong class at the ETF alpha P.

Statement. An ETF alpha P with lam sqrt(nu) alpha < rho lambda_A is no local minimum if lambda_A p < N lam^2, in
particular if lambda_A < K N lam^2, whatever alpha is.

Source. New here; MCP penalty, Zhang 2010.

Idea. Along alpha P + t E, E symmetric with eigenvalues 2, -2, 0, ... and zero diagonal, the risk has the second
derivative 8 p/K and the penalty -8 nu lam^2/lambda_A.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from proofs_check.notation import say
from proofs_check.scope import Scope, hypotheses
from proofs_check.theorems._kernel import Proof, above, argue, holds, identity

ID = "penalised-deq-etf"

k, s, t, nu, lam, lam_a, p, x = sp.symbols("K s t nu lambda lambda_A p x", positive=True)


#: The bound on |A|_2 plays no part at the ETF.
IDLE = "λ √(N/K) α < ρ λ_A: the bound on |A|₂ is idle at the ETF"

#: What the theorem covers.
SCOPE = (Scope(models=("penalised-deq",), classes=(4, None), groups=(1, 1), dimension="K - 1", conditions=(IDLE,)),)


def statements(*, critical: sp.Expr = k * nu * lam**2 / p, **_: Any) -> dict[str, str]:
    """What the theorem says, by part, with these pieces; see :func:`prove`."""
    return {
        "stability": "With λ = √(λ_W λ_H) and N samples an ETF of size α is no local minimum for "
        f"λ_A < {say(critical.subs(nu, sp.Symbol('N', positive=True) / k))}, p = 1/(e^α + K − 1) the probability of "
        f"a wrong class; so for "
        "λ_A < K N λ² none is, whatever α is.",
    }


def prove(
    *,
    price: sp.Expr = lam * x - lam**2 * x**2 / (2 * lam_a),
    risk_bend: sp.Expr = 8 * p / k,
    critical: sp.Expr = k * nu * lam**2 / p,
    largest: sp.Expr = 1 / k,
) -> Proof:
    """Prove the statement with these pieces.

    Args:
        price: g(x) below the cap.
        risk_bend: second derivative of the risk along alpha P + t E.
        critical: lambda_A below which the ETF is no local minimum.
        largest: upper bound of p.
    """
    y = sp.Symbol("y", positive=True)
    penalty = sum(price.subs(x, sp.sqrt(nu) * (s + shift)) for shift in (2 * t, -2 * t))
    n = k - 1
    risk = 4 / k * sp.log(1 + sp.exp(-s) * (n - 2 + sp.exp(t) + sp.exp(-t)))
    domain = {k: above(3)}
    steps = (
        identity("risk, first order in t", sp.diff(risk, t).subs(t, 0), 0, domain),
        identity(
            "risk, second order in t",
            sp.diff(risk, t, 2).subs(t, 0),
            risk_bend.subs(p, 1 / (sp.exp(s) + n)),
            domain,
        ),
        identity("penalty, first order in t", sp.diff(penalty, t).subs(t, 0), 0),
        identity("penalty, second order in t", sp.diff(penalty, t, 2).subs(t, 0), -8 * nu * lam**2 / lam_a),
        identity(
            "both: positive multiple of lambda_A - critical",
            risk_bend - 8 * nu * lam**2 / lam_a,
            8 * p / (k * lam_a) * (lam_a - critical),
        ),
        holds("p below its bound: e^alpha = 1 + y", 1 / (1 + y + n), "<", largest, domain),
        identity("so critical is above K N lam^2", critical.subs(p, largest), k**2 * nu * lam**2),
    )
    return Proof(
        id=ID,
        statement=" ".join(statements(critical=critical).values()),
        source="new; linear equilibrium layer with weight decay on A",
        hypotheses=hypotheses(SCOPE),
        steps=steps,
        arguments=(argue("second-order condition", "along alpha P + t E the objective bends down"),),
        uses=("mcp-penalty", "etf-local-stability"),
    )


MUTANTS: dict[str, dict[str, Any]] = {
    "price with lam^2/lambda_A": {"price": lam * x - lam**2 * x**2 / lam_a},
    "price linear": {"price": lam * x},
    "risk bends twice as much": {"risk_bend": 16 * p / k},
    "critical without p": {"critical": k * nu * lam**2},
    "critical with lam": {"critical": k * nu * lam / p},
    "p below 1/(2K)": {"largest": 1 / (2 * k)},
}
