"""Focal loss under weight decay: zero as a local minimum of the network, and when it is not the global one.

Setting. Mean over samples of -(1 - p)^gamma log p, p the probability of the right class; n samples a class, mu =
sqrt(n lW lH), the gauge mu |Z|_*; G the gradient at Z = 0.

Statement. Zero is a strict local minimum in (W, H) iff mu > kappa up to the boundary, kappa = |G|_2 = ((K-1)/K)^gamma
(K - 1 + gamma log K)/(K (K-1)). If gamma (K - 1 - gamma) log K > (2 gamma + 1)(K - 1), it is not global for mu next
above kappa.

Source. Zhou et al. 2022 (all losses) have the focal landscape locally; that zero traps is derived here.

Idea. The logits are quadratic in the factors, so the gradient at 0 decides; along the ETF theorem focal-first-order.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from proofs_check.notation import say
from proofs_check.scope import Scope, hypotheses
from proofs_check.theorems._kernel import Proof, argue, at_least, between, holds, identity
from proofs_check.theorems.focal_first_order import LAST, LEFT, RIGHT, K, g

ID = "focal-zero-trap"

KAPPA = ((K - 1) / K) ** g * (K - 1 + g * sp.log(K)) / (K * (K - 1))

#: What the theorem covers.
SCOPE = (Scope(("focal",), ("weight-decay",), groups=(1, 1), dimension="K - 1"),)


def statements(*, kappa: sp.Expr = KAPPA, **_: Any) -> dict[str, str]:
    """What the theorem says, by part, with these pieces; see :func:`prove`."""
    return {
        "local": "With n samples in every class, the focal loss with exponent γ > 0, μ = √(n λ_W λ_H) and κ = "
        f"{say(kappa)}, zero is a strict local minimum in (W, H) if μ > κ and no local minimum if μ < κ.",
        "trapped": f"If {say(LEFT)} > {say(RIGHT)}, as for γ = 2 and K ≥ {LAST + 1}, there is an interval of μ above κ "
        "in which zero is a strict local minimum and not a global one.",
    }


def prove(
    *,
    kappa: sp.Expr = KAPPA,
    right: sp.Expr | None = None,
    change: str = ">",
) -> Proof:
    """Prove the statement with these pieces.

    Args:
        kappa: spectral norm of the gradient at zero.
        right: slope of the loss in the right logit at zero, over -(1-p)^gamma, in p and L = -log p.
        change: sign of the objective's change next to zero for mu beyond kappa.
    """
    p, log_p, gap, size = sp.symbols("p L r x", positive=True)
    q = 1 - p
    slope = q + g * p * log_p if right is None else right
    share = {p: between(0, 1)}
    many = {K: at_least(2)}
    at_zero = {p: 1 / K, log_p: sp.log(K)}
    # dp/dz = p (1 - p) for the right logit, -p p_j for another; (1-p)^gamma L has in p the slope q^gamma in_p
    in_p = -g * log_p / q - 1 / p
    steps = (
        identity("slope in the right logit, over (1-p)^gamma", in_p * p * q, -slope, share),
        identity(
            "slopes of the K - 1 wrong logits, p_j = (1-p)/(K-1) each, and of the right one add up to 0",
            in_p * p * q + (K - 1) * in_p * (-p * q / (K - 1)),
            0,
            {**share, **many},
        ),
        # a column of slopes (-1, 1/(K-1), ..) times S is -S K/(K-1) P e_k; the mean over classes divides by K
        identity(
            "G = -kappa P: its diagonal is -S/K and that of -kappa P -kappa (K-1)/K",
            ((K - 1) / K) ** g * slope.subs(at_zero, simultaneous=True) / K,
            kappa * (K - 1) / K,
            many,
        ),
        identity(
            "off the diagonal S/(K (K-1)) = kappa/K, at S = K kappa (K-1)/K",
            (K - 1) * kappa / (K * (K - 1)),
            kappa / K,
            many,
        ),
        holds(
            "mu = kappa + r: (mu - kappa) x less what is of second order, x r/2", gap * size - gap * size / 2, change, 0
        ),
        holds("mu = kappa - r: the move along a pair of singular vectors pays", -gap * size**2, "<", 0),
    )
    return Proof(
        id=ID,
        statement=" ".join(statements(kappa=kappa).values()),
        source="Zhou et al. 2022 for the loss; derived here",
        hypotheses=hypotheses(SCOPE),
        steps=steps,
        arguments=(
            argue(
                "Hoelder",
                "f(Z) >= f(0) - kappa |Z|_* - C |Z|_F^2 next to 0 with a constant C, and the decay is at least mu "
                "|Z|_*; where Z = 0 the decay alone is positive off zero",
            ),
            argue(
                "unitary invariance",
                "|P|_2 = 1, so kappa = |G|_2; along W = t x u q^T, H = (t/x) q v^T with G v = -kappa u, x^4 = lH n/lW, "
                "the objective changes by (mu - kappa) t^2 + o(t^2)",
            ),
            argue(
                "extreme value theorem",
                "the largest (F(0) - F(a))/((K-1) a) over a > 0 exceeds kappa where F is strictly concave at 0: for mu "
                "between the two the ETF of that a is lower than zero",
            ),
        ),
        uses=("focal-first-order", "nuclear-norm-factorisation"),
    )


MUTANTS: dict[str, dict[str, Any]] = {
    "kappa of cross-entropy": {"kappa": 1 / K},
    "kappa without the logarithm": {"kappa": ((K - 1) / K) ** g / K},
    "kappa with the power gamma + 1": {"kappa": ((K - 1) / K) ** (g + 1) * (K - 1 + g * sp.log(K)) / (K * (K - 1))},
    "slope without gamma": {"right": 1 - sp.Symbol("p", positive=True)},
    "falls beyond kappa": {"change": "<"},
}
