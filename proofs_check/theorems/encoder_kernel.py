"""Minority collapse in ordinary training: the price of features that are a linear map of given activations.

Setting. Z = W V Phi^T, Phi (N x p) fixed, f(Z) + (lW/2)|W|_F^2 + (lV/2)|V|_F^2, f cross-entropy averaged over N
samples, lam = sqrt(lW lV). The kernel Phi Phi^T has three numbers: a + b + c on the diagonal, a + b for two samples of
one class, a for two of different classes.

Statement. The K_b >= 2 classes of n_b samples are collapsed iff n_b (c + b n_b) <= N^2 lW lV. By samples, for b = 0:
n_b <= N^2 lW lV / c; by classes, for small c: about n_b <= N lam / sqrt(b).

Source. Derived here.

Idea. The optimum is alike for the samples of a class. On the vectors of the minority with sum zero the kernel is the
number c + b n_b, so that a class's share of the nuclear norm is lam s_b / sqrt(b + c/n_b), against a gain pi_b.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from proofs_check.notation import SIGNS, say
from proofs_check.scope import Scope, hypotheses
from proofs_check.theorems._kernel import (
    GroupMatrix,
    Proof,
    above,
    argue,
    at_least,
    everywhere,
    holds,
    identity,
)

ID = "encoder-kernel"

N, n, lW, lV, C, u = sp.symbols("N n_b lambda_W lambda_V C u", positive=True)
a, b, c, t = sp.symbols("a b c t", nonnegative=True)
x, y = sp.symbols("x y", real=True)
m = sp.Symbol("n_a", positive=True)
K_a, K_b = sp.symbols("K_a K_b", integer=True, positive=True)
BOUND = N**2 * lW * lV

#: What the theorem covers.
SCOPE = (Scope(("ce",), ("encoder-kernel",), minority=2, dimension="K"),)


def statements(
    *, price: sp.Expr = n * (c + b * n), bound: sp.Expr = BOUND, relation: str = "<=", **_: Any
) -> dict[str, str]:
    """What the theorem says, with these pieces; see :func:`prove`."""
    return {
        "threshold": "If the kernel of the activations is a + b + c ≥ 0 on the diagonal, a + b for two samples of one "
        "class and a for two of different classes, with a, b, c ≥ 0 and c > 0, then the classifiers of K_b ≥ 2 "
        "classes with n_b samples each, N in all, coincide, and so do their class means, if and only if "
        f"{say(price)} {SIGNS[relation]} {say(bound)}."
    }


def prove(
    *,
    price: sp.Expr = n * (c + b * n),
    bound: sp.Expr = BOUND,
    relation: str = "<=",
    eigenvalue: sp.Expr = b + c / n,
    share: sp.Expr = 1 / sp.sqrt(b + c / n),
    gain: sp.Expr = n / N,
) -> Proof:
    """Prove the statement with these pieces.

    Args:
        price: what is compared with the bound.
        bound: N^2 lW lV.
        relation: of the price to the bound where the group is collapsed.
        eigenvalue: of the kernel of the class means of activations on the minority's vectors of sum zero.
        share: of the nuclear norm, for class-mean logits of singular value 1 on the minority's vectors of sum zero.
        gain: slope of the risk there.
    """
    # of class means: a pair of classes a, a class (n (a + b + c) + n (n - 1) (a + b))/n^2
    kernel = GroupMatrix.of([K_a, K_b], [b + c / m, b + c / n], [[a, a], [a, a]])
    direction = GroupMatrix.of([K_a, K_b], [0, 1], [[0, 0], [0, -1 / K_b]])
    positive = {K_a: at_least(1), K_b: at_least(2), a: at_least(0), b: at_least(0), c: above(0)}
    right, mate = sp.exp(x), sp.exp(y)
    total = right + mate + C
    loss = sp.log(total) - x
    reals = {x: everywhere(), y: everywhere()}
    some = {a: at_least(0), b: at_least(0), c: above(0)}
    steps = (
        identity(
            "slope of a mate minus slope of the right class is 1 - (p - q)",
            sp.diff(loss, y) - sp.diff(loss, x),
            1 - (right - mate) / total,
            reals,
        ),
        identity("at x = y it is 1", (1 - (right - mate) / total).subs(y, x), 1, reals),
        holds(
            "for x > y, p = (1 + u) q, it is less",
            1 - ((1 + u) * mate - mate) / total,
            "<",
            1,
            {**reals, u: above(0)},
        ),
        identity(
            "the mean of a class with itself: n samples and n (n - 1) pairs",
            (n * (a + b + c) + n * (n - 1) * (a + b)) / n**2,
            a + b + c / n,
            some,
        ),
        identity(
            "kernel of class means on vectors of sum zero: what is common to all samples drops out",
            (direction.T @ kernel @ direction).trace,
            (K_b - 1) * eigenvalue,
            positive,
        ),
        identity("share of the nuclear norm", 1, share**2 * eigenvalue, some),
        identity(
            "squares of price and gain: their difference has the sign of the bound minus the claimed price",
            (lW * lV * share**2 - gain**2) * (b + c / n) * N**2,
            bound - price,
            some,
        ),
        holds(
            "the claimed price against the bound where the share is the gain plus t >= 0",
            u**2,
            relation,
            (u + t) ** 2,
            {u: above(0), t: at_least(0)},
        ),
    )
    return Proof(
        id=ID,
        statement=" ".join(statements(price=price, bound=bound, relation=relation).values()),
        source="derived here",
        hypotheses=hypotheses(SCOPE),
        steps=steps,
        arguments=(
            argue(
                "submultiplicativity",
                "with Phi^T = U T^{1/2}, T the kernel and U^T U = I, the least penalty of M = W V is lam |M|_* "
                "(theorem nuclear-norm-factorisation), at least lam |M U|_* = lam |Z T^{-1/2}|_*, "
                "which M = Z T^{-1/2} U^T attains",
            ),
            argue(
                "Jensen",
                "kernel and risk are invariant under permutations of the samples of a class and of the classes of a "
                "group; both are convex and the risk strictly so up to constants in a column, so that the logits of "
                "an optimum are alike for the samples of a class and symmetric on the group",
            ),
            argue(
                "convex optimality",
                "invariant class-mean logits act on the vectors of the group with sum zero as a number s_b; s_b = 0 is "
                "optimal iff the slope pi_b of the gain there is at most that of the price, for the slope falls with "
                "s_b",
            ),
        ),
        uses=("ce-convex", "nuclear-norm-factorisation"),
    )


MUTANTS: dict[str, dict[str, Any]] = {
    "by samples alone": {"price": n * c},
    "by classes alone": {"price": b * n**2},
    "the common part is charged": {"price": n * (a + c + b * n)},
    "N for N^2": {"bound": N * lW * lV},
    "collapsed above": {"relation": ">="},
    "the samples count one by one": {"eigenvalue": b + c},
    "price of a class": {"share": 1 / sp.sqrt(b + c)},
    "gain by root": {"gain": sp.sqrt(n) / N},
}
