"""The penalised linear equilibrium layer is a capped minimax concave penalty (MCP) on the singular values.

Setting. (lW/2)|W|_F^2 + (lH/2)|H|_F^2 + (lA/2)|A|_F^2 with Z = W (I - A)^{-1} H, |A|_2 <= rho < 1, lam = sqrt(lW lH).

Statement. The cheapest price of logits with singular values sigma_i is sum_i g(sigma_i), where
g(s) = min over 0 <= a <= rho of lam (1 - a) s + lA a^2/2 is

    lam s - lam^2 s^2/(2 lA)            while lam s <= rho lA   (the MCP of Zhang with gamma = lA/lam^2),
    lam (1 - rho) s + lA rho^2/2        beyond.

g is continuously differentiable, increasing, concave, with the finite slope lam at 0.

Source. Zhang 2010 (MCP); the equilibrium layer: new here.

Idea. Complete the square in a. For matrices: with B = I - A, Gelfand-Naimark twice makes sigma_i(Z)/sigma_i(B^{-1})
weakly log-majorised by sigma_i(W) sigma_i(H), and Mirsky bounds sum (1 - sigma_i(B))^2 by |A|_F^2.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from proofs_check.notation import say
from proofs_check.scope import LOSSES, Scope, hypotheses
from proofs_check.theorems._kernel import Proof, above, argue, at_least, between, holds, identity

ID = "mcp-penalty"

lam, lA, s, a, rho, y, gamma, w, h, lW, lH = sp.symbols(
    "lambda lambda_A s a rho y gamma w h lambda_W lambda_H", positive=True
)
x, drop = sp.symbols("x y", nonnegative=True)
COST = lam * (1 - a) * s + lA * a**2 / 2
CONCAVE = lam * s - lam**2 * s**2 / (2 * lA)
CAPPED = lam * (1 - rho) * s + lA * rho**2 / 2


#: What the theorem covers.
SCOPE = (Scope(tuple(LOSSES), ("penalised-deq",), dimension="rank"),)


def statements(
    *, concave: sp.Expr = CONCAVE, capped: sp.Expr = CAPPED, joint: sp.Expr = rho * lA / lam, **_: Any
) -> dict[str, str]:
    """What the theorem says, by part, with these pieces; see :func:`prove`."""
    return {
        "price": f"The least penalty of logits with singular values σ_i is Σ g(σ_i), g(s) = {say(concave)} for s ≤ "
        f"{say(joint)} and "
        f"{say(capped)} beyond.",
    }


def prove(
    *,
    concave: sp.Expr = CONCAVE,
    capped: sp.Expr = CAPPED,
    minimiser: sp.Expr = lam * s / lA,
    joint: sp.Expr = rho * lA / lam,
    slope_at_zero: sp.Expr = lam,
    cap: bool = True,
    curvature_relation: str = "<",
) -> Proof:
    """Prove the statement with these pieces.

    Args:
        concave: g below the joint.
        capped: g beyond it.
        minimiser: the optimal a below the joint.
        joint: singular value at which the cap becomes active.
        slope_at_zero: g'(0).
        cap: False claims the concave branch for all s, dropping the cap a <= rho.
        curvature_relation: relation of g'' below the joint to 0.
    """
    domain = {rho: between(0, 1)}
    excess = (rho - a) * (lam * s - lA * (rho + a) / 2)
    below_cap = COST - COST.subs(a, rho)
    at_joint = {s: joint}
    kappa = sp.Symbol("kappa", positive=True)
    on_branch = joint * kappa if cap else joint * (1 + kappa)
    steps = (
        identity(
            "lam (1-a) s + lA a^2/2 = g(s) + (lA/2)(a - minimiser)^2", COST, concave + lA / 2 * (a - minimiser) ** 2
        ),
        holds(
            "the minimiser respects the cap on the branch",
            minimiser.subs(s, on_branch),
            "<=",
            rho,
            {**domain, kappa: between(0, 1)},
        ),
        identity(
            "beyond the joint: cost(a) - cost(rho) = (rho - a)(lam s - lA (rho + a)/2)", below_cap, excess, domain
        ),
        holds(
            "is nonnegative for a = rho - y, lam s = rho lA + x",
            excess.subs(a, rho - drop).subs(s, (rho * lA + x) / lam),
            ">=",
            0,
            {**domain, x: at_least(0), drop: at_least(0)},
        ),
        identity("cost at the cap", COST.subs(a, rho), capped, domain),
        holds("a negative a = -y costs more", (COST.subs(a, -y) - COST.subs(a, 0)), ">", 0),
        identity("g is continuous at the joint", concave.subs(at_joint), capped.subs(at_joint), domain),
        identity(
            "g' is continuous at the joint",
            sp.diff(concave, s).subs(at_joint),
            sp.diff(capped, s).subs(at_joint),
            domain,
        ),
        identity("slope at 0", sp.diff(concave, s).subs(s, 0), slope_at_zero),
        holds(
            "g' > 0 below the joint, s = kappa joint",
            sp.diff(concave, s).subs(s, kappa * joint),
            ">",
            0,
            {**domain, kappa: between(0, 1)},
        ),
        holds("g' > 0 beyond it", sp.diff(capped, s), ">", 0, domain),
        holds("g'' below the joint against 0", sp.diff(concave, s, 2), curvature_relation, 0),
        identity(
            "Zhang's MCP lam s - s^2/(2 gamma) at gamma = lA/lam^2",
            (lam * s - s**2 / (2 * gamma)).subs(gamma, lA / lam**2),
            concave,
        ),
        identity(
            "lW w^2/2 + lH h^2/2 - sqrt(lW lH) w h is a square",
            lW * w**2 / 2 + lH * h**2 / 2 - sp.sqrt(lW * lH) * w * h,
            (sp.sqrt(lW) * w - sp.sqrt(lH) * h) ** 2 / 2,
            {lW: above(0), lH: above(0)},
        ),
    )
    return Proof(
        id=ID,
        statement=" ".join(statements(concave=concave, capped=capped, joint=joint).values()),
        source="Zhang 2010 (MCP); equilibrium layer: new",
        hypotheses=hypotheses(SCOPE),
        steps=steps,
        arguments=(
            argue(
                "Gelfand-Naimark",
                "prod_{i in I} sigma_i(Z)/sigma_i(B^{-1}) <= prod_{j <= |I|} sigma_j(W) sigma_j(H) for every I",
            ),
            argue("weak log-majorisation", "so sum sigma_i(Z) sigma_{d+1-i}(B) <= sum sigma_i(W) sigma_i(H)"),
            argue(
                "Mirsky",
                "a_i = 1 - sigma_{d+1-i}(B) has sum a_i^2 <= |A|_F^2 and a_i <= rho; negative a_i may be set to 0",
            ),
            argue("unitary invariance", "A symmetric and aligned with the singular vectors of Z attains the bound"),
        ),
        uses=("nuclear-norm-factorisation",),
    )


MUTANTS: dict[str, dict[str, Any]] = {
    "quadratic term doubled": {"concave": lam * s - lam**2 * s**2 / lA},
    "quadratic term of the wrong sign": {"concave": lam * s + lam**2 * s**2 / (2 * lA)},
    "lam for lam^2": {"concave": lam * s - lam * s**2 / (2 * lA)},
    "capped branch with rho for 1 - rho": {"capped": lam * rho * s + lA * rho**2 / 2},
    "capped branch with minus": {"capped": lam * (1 - rho) * s - lA * rho**2 / 2},
    "capped branch without the constant": {"capped": lam * (1 - rho) * s},
    "minimiser lam s": {"minimiser": lam * s},
    "joint at lA/lam": {"joint": lA / lam},
    "infinite slope at 0, or half": {"slope_at_zero": lam / 2},
    "cap dropped": {"cap": False},
    "convex": {"curvature_relation": ">"},
}
