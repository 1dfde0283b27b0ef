"""Weight decay around maps of gain g(rho): minority collapse ends g(rho)^2 times earlier.

Setting. Z = W g(A) H, weight decay lambda_W, lambda_H of W and H, |A|_2 <= rho free of charge; g as in gain-gauge.
Group B: K_B >= 2 classes of n_B samples, N in all.

Statement. The group is collapsed iff n_B <= N^2 lambda_W lambda_H/g(rho)^2.

Source. Generalises penalised-threshold.

Idea. The price of Z is sqrt(lambda_W lambda_H)/g(rho) times the nuclear norm of Z D^{1/2}; the collapse criterion.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from proofs_check.notation import SIGNS, say
from proofs_check.scope import Scope, hypotheses
from proofs_check.theorems._kernel import Proof, argue, at_least, holds, identity, monotone

ID = "gain-threshold"

n, N, lW, lH, G, x, w, h, s = sp.symbols("n_B N lambda_W lambda_H G x w h s", positive=True)
THRESHOLD = N**2 * lW * lH / G**2

#: What the theorem covers.
SCOPE = (
    Scope(models=("gain-decay",), groups=(2, 2), minority=2, dimension="K - 1"),
    Scope(("mse",), ("gain-decay",), minority=2, dimension="K"),
)


def statements(*, threshold: sp.Expr = THRESHOLD, relation: str = "<=", **_: Any) -> dict[str, str]:
    """What the theorem says, by part, with these pieces; see :func:`prove`."""
    return {
        "threshold": "With the gain G = g(ρ), a group of classes with n_B samples each, N in all, is collapsed if "
        "and only if "
        f"n_B {SIGNS[relation]} {say(threshold)}.",
    }


def prove(
    *,
    threshold: sp.Expr = THRESHOLD,
    strength: sp.Expr = sp.sqrt(lW * lH) / G,
    relation: str = "<=",
    direction: str = "decreasing",
) -> Proof:
    """Prove the statement with these pieces.

    Args:
        threshold: n_B at which the criteria are equalities.
        strength: price of a singular value.
        relation: of n_B to the threshold where the group is collapsed.
        direction: how the threshold depends on the gain.
    """
    slack = sp.Symbol("t", nonnegative=True)
    margin = strength * sp.sqrt(n) - n / N
    size = 1 - N * strength / sp.sqrt(n)
    root = sp.sqrt(threshold)
    steps = (
        identity(
            "price: lambda_W w^2/2 + lambda_H h^2/2 at w h G = s is strength s plus a square",
            (lW * w**2 / 2 + lH * h**2 / 2 - strength * s).subs(s, w * h * G),
            (sp.sqrt(lW) * w - sp.sqrt(lH) * h) ** 2 / 2,
        ),
        identity("cross-entropy: strength sqrt(n_B) - pi_B", margin, sp.sqrt(n) / N * (root - sp.sqrt(n))),
        identity("squared error: -z_B", -size, (root - sp.sqrt(n)) / sp.sqrt(n)),
        holds("both factors are positive", sp.sqrt(n) / N, ">", 0),
        holds(
            "n_B against the threshold where its root is sqrt(n_B) + t",
            x**2,
            relation,
            (x + slack) ** 2,
            {slack: at_least(0)},
        ),
        monotone("the threshold in the gain", THRESHOLD, G, direction),
        identity("no map, G = 1", threshold.subs(G, 1), N**2 * lW * lH),
    )
    return Proof(
        id=ID,
        statement=" ".join(statements(threshold=threshold, relation=relation).values()),
        source="generalises the threshold under weight decay",
        hypotheses=hypotheses(SCOPE),
        steps=steps,
        arguments=(
            argue(
                "Hoelder",
                "|W g(A) H|_* <= |W|_F |g(A)|_2 |H|_F <= g(rho) |W|_F |H|_F: the price is at least strength |Z|_*",
            ),
            argue("unitary invariance", "aligned factors with A = rho Q Q^T attain it"),
            argue("convex optimality", "the criteria are those of the theorems used, with the multiplier strength"),
        ),
        uses=("gain-gauge", "collapse-criterion", "mse-closed-form"),
    )


MUTANTS: dict[str, dict[str, Any]] = {
    "threshold with G": {"threshold": N**2 * lW * lH / G},
    "threshold times G^2": {"threshold": N**2 * lW * lH * G**2},
    "the explicit threshold": {"threshold": N**2 * lW * lH},
    "strength without the gain": {"strength": sp.sqrt(lW * lH)},
    "collapsed above": {"relation": ">="},
    "grows with the gain": {"direction": "increasing"},
}
