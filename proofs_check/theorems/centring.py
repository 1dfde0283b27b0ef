"""Removing each column's mean changes no probability and lowers every gauge, so cross-entropy optima are centred.

Setting. Z of shape (K, K), P = I - 11^T/K, column weights omega; the gauges of this project are functions of the
singular values of Z diag(omega), increasing in each of them.

Statement. softmax(P Z) = softmax(Z) column by column; sigma_i(P Z D) <= sigma_i(Z D) for every i; and
|P Z D|_F^2 = |Z D|_F^2 - |11^T Z D/K|_F^2, so some singular value drops strictly unless Z is centred. A cross-entropy
optimum of rank r therefore has r <= K - 1. The squared error without bias has no such invariance.

Source. Hong, Ling 2023; Thrampoulidis et al. 2022 (cross-entropy logits are centred).

Idea. P is a projection, acting on the left of any column weights.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from proofs_check.notation import say
from proofs_check.scope import BUDGETS, WEIGHT_DECAY, Scope, hypotheses
from proofs_check.theorems._kernel import (
    GroupMatrix,
    Proof,
    Step,
    argue,
    at_least,
    between,
    equal_entries,
    everywhere,
    expectation,
    holds,
    identity,
)

ID = "centring"

K, M = sp.symbols("K M", integer=True, positive=True)
lam, lam_A, s, a, rho, C = sp.symbols("lambda lambda_A s a rho C", positive=True)
z, mean, S_1, S_2 = sp.symbols("z mean S_1 S_2", real=True)


def _risk_change(loss: str) -> Step:
    """The change of the risk of one column when its mean is removed."""
    if loss == "ce":
        before = sp.log(sp.exp(z) + C) - z
        # Every exponential of the column, those summed in C too, is divided by e^mean.
        after = sp.log(sp.exp(z - mean) + C * sp.exp(-mean)) - (z - mean)
    else:
        before = z**2 / 2
        after = (z - mean) ** 2 / 2
    domain = {z: everywhere(), mean: everywhere()}
    return identity("removing the mean does not change the risk", sp.exp(before), sp.exp(after), domain)


#: What the theorem covers.
SCOPE = (
    Scope(
        models=(*BUDGETS, *WEIGHT_DECAY, "frobenius-deq", "deep-linear", "penalised-deq", "deep-decay", "logits"),
    ),
)


def statements(*, removed: sp.Expr = S_1 / K, rank_bound: sp.Expr = K - 1, **_: Any) -> dict[str, str]:
    """What the theorem says, by part, with these pieces; see :func:`prove`."""
    return {
        "centring": f"Removing {say(removed)} from each entry of a column of sum S_1 keeps the risk and raises no "
        f"gauge.",
        "rank": f"The rank of an optimum is at most {say(rank_bound)}.",
    }


def prove(
    *,
    loss: str = "ce",
    removed: sp.Expr = S_1 / K,
    relation: str = "<=",
    slope: sp.Expr = lam * (1 - a),
    rank_bound: sp.Expr = K - 1,
) -> Proof:
    """Prove the statement with these pieces.

    Args:
        loss: ``"ce"``, or ``"mse"`` for the squared error.
        removed: the constant removed from a column of sum S_1.
        relation: relation of the squared norm of a centred column to the original.
        slope: slope in s of the penalty ``lam (1 - a) s + lam_A a^2/2`` of one direction.
        rank_bound: largest rank of centred logits.
    """
    projection = GroupMatrix.of([K], [1], [[-1 / K]])
    domain = {S_1: everywhere(), S_2: at_least(0), K: at_least(2), M: at_least(1), rho: between(0, 1), a: between(0, 1)}
    moments = [K, S_1, S_2]
    centred_norm = expectation((z - removed) ** 2, z, moments)
    steps = (
        _risk_change(loss),
        *equal_entries("P P = P", projection @ projection, projection, domain),
        *equal_entries("P^T = P", projection.T, projection, domain),
        identity("centred columns sum to zero", expectation(z - removed, z, moments), 0, domain),
        identity("|P z|^2 = |z|^2 - S_1^2/K", centred_norm, S_2 - S_1**2 / K, domain),
        holds("squared norm of the centred column against the original", S_2 - S_1**2 / K, relation, S_2, domain),
        identity("rank of P is its trace", projection.trace, rank_bound, domain),
        # Each gauge is a minimum over parameters of functions increasing in each singular value.
        holds("nuclear norm and spectral bound: slope 1 - rho", 1 - rho, ">", 0, domain),
        identity(
            "slope of the penalty of one direction", sp.diff(lam * (1 - a) * s + lam_A * a**2 / 2, s), slope, domain
        ),
        holds("which is positive for 0 < a < 1", slope, ">", 0, domain),
        holds(
            "Schatten powers 2/M: slope positive",
            sp.Rational(2) / M * s ** (sp.Rational(2) / M) / s,
            ">",
            0,
            domain,
            {s ** (sp.Rational(2) / M): sp.Symbol("y", positive=True)},
        ),
    )
    return Proof(
        id=ID,
        statement=" ".join(statements(removed=removed, rank_bound=rank_bound).values()),
        source="Hong, Ling 2023; Thrampoulidis et al. 2022",
        hypotheses=hypotheses(SCOPE),
        steps=steps,
        arguments=(
            argue("submultiplicativity", "sigma_i(P Z D) <= |P|_2 sigma_i(Z D) = sigma_i(Z D)"),
            argue(
                "Pythagoras", "|Z D|_F^2 = |P Z D|_F^2 + |(I - P) Z D|_F^2, so the nuclear norm drops unless P Z = Z"
            ),
        ),
        uses=("ce-convex",),
    )


MUTANTS: dict[str, dict[str, Any]] = {
    "squared error": {"loss": "mse"},
    "S_1 instead of the mean": {"removed": S_1},
    "mean over K - 1": {"removed": S_1 / (K - 1)},
    "centring raises the norm": {"relation": ">="},
    "slope lam a": {"slope": lam * a},
    "rank K": {"rank_bound": K},
}
