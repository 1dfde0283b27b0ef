"""How much weight decay costs each class: more the rarer it is, until it vanishes.

Setting. Weight decay, lam = sqrt(lW lH); cross-entropy with features H >= 0, or MSE; no bias; any counts n_k. L_k: the
loss of class k at the optimum.

Statement. Cross-entropy, H >= 0: L_k = -log(1 - N lam sqrt((K-1)/(K n_k))) until the class vanishes, log K from there
on. MSE: L_k = N^2 lam^2/(2 n_k) until it vanishes, 1/2 from there on. Among classes that have not vanished dL_k/dlam is
larger for rarer ones; for classes that have it is 0.

Source. "Weight decay hides rare-token degradation", which states the order for unconstrained features without the
exception; derived here from the closed forms.

Idea. The closed forms, differentiated.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from proofs_check.notation import say
from proofs_check.scope import Scope, hypotheses
from proofs_check.theorems._kernel import Proof, argue, at_least, between, identity, monotone
from proofs_check.theorems.nonnegative_closed_form import SIZE, K, N, alpha, lam, n

ID = "rare-class-losses"

CE = -sp.log(1 - N * lam * sp.sqrt((K - 1) / (K * n)))
MSE = N**2 * lam**2 / (2 * n)

#: What the theorem covers.
SCOPE = (Scope(("ce",), ("nonnegative-decay",), dimension="K"), Scope(("mse",), ("weight-decay",), dimension="K"))


def statements(*, ce: sp.Expr = CE, mse: sp.Expr = MSE, gone: sp.Expr = sp.log(K), **_: Any) -> dict[str, str]:
    """What the theorem says, by part, with these pieces; see :func:`prove`."""
    order = (
        "its derivative by λ = √(λ_W λ_H) is larger for fewer samples, among classes that have not vanished, and 0 "
        "for classes that have, except with n_k at that bound, where it does not exist."
    )
    return {
        "ce": "Under weight decay, features H ≥ 0 and cross-entropy without bias the loss of a class with n_k samples "
        f"is {say(ce)} while n_k > N² λ² K/(K − 1), and {say(gone)} otherwise; {order}",
        "mse": f"Under weight decay and MSE without bias the loss of a class with n_k samples is {say(mse)} while "
        f"n_k > N² λ², and 1/2 otherwise; {order}",
    }


def prove(
    *,
    ce: sp.Expr = CE,
    mse: sp.Expr = MSE,
    gone: sp.Expr = sp.log(K),
    order: str = "decreasing",
) -> Proof:
    """Prove the statement with these pieces.

    Args:
        ce: loss of a class that has not vanished, cross-entropy with nonnegative features.
        mse: the same under MSE.
        gone: loss of a class that has vanished, cross-entropy.
        order: how the derivative by lam depends on n_k.
    """
    size = SIZE.subs(alpha, 0)
    domain = {K: at_least(2)}
    p, y = sp.symbols("p y", positive=True)
    z = 1 - N * lam / sp.sqrt(n)
    slope = y / (1 - lam * y)
    steps = (
        identity(
            "cross-entropy: probability of the right class at the closed form",
            size / (size + K - 1),
            1 - N * lam * sp.sqrt((K - 1) / (K * n)),
            domain,
        ),
        identity(
            "which is e^{-loss}",
            sp.exp(-ce).subs(lam, (1 - p) / (N * sp.sqrt((K - 1) / (K * n)))),
            p,
            {**domain, p: between(0, 1)},
        ),
        identity("cross-entropy at z_k = 0", -sp.log(1 / K), gone, domain),
        identity(
            "slope by lam is y/(1 - lam y), y = N sqrt((K-1)/(K n_k))",
            sp.diff(-sp.log(1 - lam * y), lam),
            slope,
            {lam: between(0, 1), y: between(0, 1)},
        ),
        monotone("which increases in y", slope, y, "increasing", {lam: between(0, 1), y: between(0, 1)}),
        monotone("and y in n_k: its square", N**2 * (K - 1) / (K * n), n, order, domain),
        identity("MSE: (1 - z_k)^2/2", (1 - z) ** 2 / 2, mse),
        identity(
            "MSE: at z_k = 0 it is 1/2, as at the boundary N lam = sqrt(n_k)",
            mse.subs(lam, sp.sqrt(n) / N),
            sp.Rational(1, 2),
        ),
        monotone("MSE: slope by lam in n_k", sp.diff(mse, lam), n, order),
    )
    return Proof(
        id=ID,
        statement=" ".join(statements(ce=ce, mse=mse, gone=gone).values()),
        source="Weight decay hides rare-token degradation, unconstrained features",
        hypotheses=hypotheses(SCOPE),
        steps=steps,
        arguments=(argue("convex optimality", "the optimal logits are those of the theorems used"),),
        uses=("mse-closed-form", "nonnegative-closed-form"),
    )


MUTANTS: dict[str, dict[str, Any]] = {
    "loss with K n_k/(K-1)": {"ce": -sp.log(1 - N * lam * sp.sqrt(K / ((K - 1) * n)))},
    "loss without N": {"ce": -sp.log(1 - lam * sp.sqrt((K - 1) / (K * n)))},
    "MSE with the root of n_k": {"mse": N**2 * lam**2 / (2 * sp.sqrt(n))},
    "vanished: loss 1": {"gone": sp.Integer(1)},
    "frequent classes lose more": {"order": "increasing"},
}
