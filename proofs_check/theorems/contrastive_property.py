"""The contrastive property: cross-entropy has it, with smoothed labels as well.

Setting. l(z) the loss of a sample of class k, label smoothing 0 <= delta < 1; t = sum_{j != k} (z_j - z_k).

Statement. l(z) >= phi(t), phi(t) = log(1 + (K-1) e^{t/(K-1)}) - delta t/K, with equality iff all wrong logits are
equal; phi(t) + c |t| has for every c > 0 exactly one minimiser, and it is <= 0: 0 iff c >= (1 - delta)/K.

Source. Zhou et al. 2022 (all losses), Definition 1.

Idea. Jensen for the wrong logits, and a convex phi with slope (1 - delta)/K at 0.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from proofs_check.notation import say
from proofs_check.scope import Scope, hypotheses
from proofs_check.theorems._kernel import Proof, argue, at_least, between, everywhere, holds, identity

ID = "contrastive-property"

K, delta = sp.Symbol("K", positive=True), sp.Symbol("delta", nonnegative=True)
t = sp.Symbol("t", real=True)
PHI = sp.log(1 + (K - 1) * sp.exp(t / (K - 1))) - delta * t / K
BOUND = (1 - delta) / K

#: What the theorem covers.
SCOPE = (Scope(("ce", "smoothed-ce"), ("logits",)),)


def statements(*, phi: sp.Expr = PHI, bound: sp.Expr = BOUND, **_: Any) -> dict[str, str]:
    """What the theorem says, by part, with these pieces; see :func:`prove`."""
    return {
        "property": "With label smoothing 0 ≤ δ < 1 the loss of a sample of class k is at least φ(t), t = Σ_{j ≠ k} "
        f"(z_j − z_k), φ(t) = {say(phi)}, with equality exactly where all wrong logits are equal, and for every c > 0 "
        f"the sum φ(t) + c |t| has one minimiser, which is negative for c < {say(bound)} and 0 otherwise.",
    }


def prove(
    *,
    phi: sp.Expr = PHI,
    bound: sp.Expr = BOUND,
    smoothing: sp.Expr = delta / K,
    bends: str = ">",
) -> Proof:
    """Prove the statement with these pieces.

    Args:
        phi: the bound of the loss, in t.
        bound: c from which on the minimiser is 0.
        smoothing: what the targets take from the sum t.
        bends: sign of its second derivative.
    """
    m, y = sp.symbols("m y", real=True)
    share = {K: at_least(2), delta: between(0, 1), t: everywhere()}
    # m = z_j - z_k of equal wrong logits, t = (K - 1) m
    equal = sp.log(1 + (K - 1) * sp.exp(m)) - smoothing * (K - 1) * m
    steps = (
        identity("loss at equal wrong logits", equal.subs(m, t / (K - 1)), phi, share),
        identity(
            "targets: z_k - sum_i t_i z_i is -(delta/K) t",
            -(1 - delta + delta / K) * 0 - delta / K * (K - 1) * m,
            -smoothing * (K - 1) * m,
            {K: at_least(2), delta: between(0, 1), m: everywhere()},
        ),
        holds("e^y is strictly convex", sp.diff(sp.exp(y), y, 2), bends, 0, {y: everywhere()}),
        holds("and so is phi", sp.diff(PHI, t, 2), bends, 0, share),
        identity("slope of phi at 0", sp.diff(phi, t).subs(t, 0), bound, {K: at_least(2), delta: between(0, 1)}),
        holds("which is positive: nothing is gained by t > 0", bound, ">", 0, {K: at_least(2), delta: between(0, 1)}),
    )
    return Proof(
        id=ID,
        statement=" ".join(statements(phi=phi, bound=bound).values()),
        source="Zhou et al. 2022, Definition 1",
        hypotheses=hypotheses(SCOPE),
        steps=steps,
        arguments=(
            argue(
                "Jensen",
                "sum_{j != k} e^{z_j - z_k} >= (K-1) e^{t/(K-1)}, with equality only for equal wrong logits; what the "
                "smoothed targets take is a function of t",
            ),
            argue(
                "convex optimality",
                "phi + c |t| is strictly convex and, for c > 0, grows at both ends: 0 is its "
                "minimiser iff the slope of phi there is at most c in modulus, and t < 0 where it is larger",
            ),
        ),
    )


MUTANTS: dict[str, dict[str, Any]] = {
    "phi with e^t": {"phi": sp.log(1 + (K - 1) * sp.exp(t)) - delta * t / K},
    "phi without smoothing": {"phi": sp.log(1 + (K - 1) * sp.exp(t / (K - 1)))},
    "phi with K wrong classes": {"phi": sp.log(1 + K * sp.exp(t / (K - 1))) - delta * t / K},
    "zero from 1 - delta on": {"bound": 1 - delta},
    "zero from 1/K on": {"bound": 1 / K},
    "targets take delta": {"smoothing": delta},
    "concave": {"bends": "<"},
}
