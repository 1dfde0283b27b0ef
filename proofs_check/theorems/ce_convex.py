"""Cross-entropy and squared error are convex in the logits; cross-entropy has no stationary point.

Setting. Logits z in R^K, correct class k, p = softmax(z); l(z) = logsumexp(z) - z_k, or l(z) = |z - e_k|^2 / 2.

Statement. grad l = p - e_k and Hess l = diag(p) - p p^T for cross-entropy, with v^T (diag(p) - p p^T) v = sum_i p_i
(v_i - sum_j p_j v_j)^2 >= 0; the squared error has Hess l = I. Shifting all logits by one constant leaves p
unchanged. The k-th entry of grad l is p_k - 1 < 0 for K >= 2, so cross-entropy is stationary nowhere.

Source. Standard; used by Zhu et al. 2021 and Fang et al. 2021 for every statement on the unconstrained features model.

Idea. One or two logits move, the other K - 1 or K - 2 exponentials are a constant C > 0; the variance identity is
linearity of the mean.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from proofs_check.notation import SIGNS, say
from proofs_check.scope import Scope, hypotheses
from proofs_check.theorems._kernel import Proof, argue, at_least, everywhere, expectation, holds, identity

ID = "ce-convex"

z_i, z_j, v, m1, m2, shift = sp.symbols("z_i z_j v m_1 m_2 c", real=True)
C = sp.Symbol("C", positive=True)
P_I = sp.exp(z_i) / (sp.exp(z_i) + sp.exp(z_j) + C)
P_J = sp.exp(z_j) / (sp.exp(z_i) + sp.exp(z_j) + C)


#: What the theorem covers.
SCOPE = (Scope(("ce", "mse"), ("logits",)),)


def statements(*, centre: sp.Expr = m1, relation: str = "<", **_: Any) -> dict[str, str]:
    """What the theorem says, by part, with these pieces; see :func:`prove`."""
    return {
        "hessian": f"The Hessian of the cross-entropy in the logits is diag(p) − p pᵀ, the variance Σ p_i (v_i − "
        f"{say(centre)})² in "
        "the direction v with moments m_1, m_2 under p; that of MSE is I.",
        "gradient": f"The entry of the cross-entropy's gradient for the right class is {SIGNS[relation]} 0.",
    }


def prove(
    *,
    diagonal: sp.Expr = P_I - P_I**2,
    off_diagonal: sp.Expr = -P_I * P_J,
    centre: sp.Expr = m1,
    relation: str = "<",
    invariance: sp.Expr = shift,
) -> Proof:
    """Prove the statement with these pieces.

    Args:
        diagonal: second derivative of logsumexp in one logit.
        off_diagonal: its mixed second derivative.
        centre: what is subtracted from v_i in the variance identity, in terms of the moments m_1, m_2 of v under p.
        relation: relation of the k-th gradient entry to 0.
        invariance: shift of logit j when logit i and the others are shifted by c.
    """
    reals = {x: everywhere() for x in (z_i, z_j, shift)}
    total = sp.log(sp.exp(z_i) + sp.exp(z_j) + C)
    variance = expectation((v - centre) ** 2, v, [1, m1, m2])
    moments = {m1: everywhere(), m2: at_least(0)}
    shifted = sp.exp(z_i + shift) / (sp.exp(z_i + shift) + sp.exp(z_j + invariance) + C * sp.exp(shift))
    e, rest = sp.symbols("e rest", positive=True)
    steps = (
        identity("d logsumexp / d z_i = p_i", sp.diff(total, z_i), P_I, reals),
        identity("d p_i / d z_i = p_i - p_i^2", sp.diff(P_I, z_i), diagonal, reals),
        identity("d p_i / d z_j = -p_i p_j", sp.diff(P_I, z_j), off_diagonal, reals),
        identity("v^T (diag p - p p^T) v = sum_i p_i (v_i - centre)^2", m2 - m1**2, variance, moments),
        identity("p does not change when every logit is shifted by c", shifted, P_I, reals),
        holds("entry k of the gradient, p_k - 1 with p_k = e/(e + rest)", e / (e + rest) - 1, relation, 0),
        identity("squared error: second derivative of (z - 1)^2/2", sp.diff((z_i - 1) ** 2 / 2, z_i, 2), 1, reals),
    )
    return Proof(
        id=ID,
        statement=" ".join(statements(centre=centre, relation=relation).values()),
        source="Zhu et al. 2021, Section 3; Fang et al. 2021",
        hypotheses=hypotheses(SCOPE),
        steps=steps,
        arguments=(argue("convexity by Hessian", "the Hessians diag(p) - p p^T and I are positive semidefinite"),),
    )


MUTANTS: dict[str, dict[str, Any]] = {
    "diagonal without the square": {"diagonal": P_I},
    "off-diagonal of the wrong sign": {"off_diagonal": P_I * P_J},
    "centre at the second moment": {"centre": m2},
    "uncentred": {"centre": sp.Integer(0)},
    "gradient entry positive": {"relation": ">"},
    "one logit shifted twice as far": {"invariance": 2 * shift},
}
