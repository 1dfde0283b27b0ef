"""Duals of losses that state themselves: tangents of the risk at the solution, for ``proofs_check.kinds.formula``.

Rows of the tangents' mean sum to 0 where a bias is free: the tangents are those at biases around the best one, apart by
so little that the mean is lower than the risk by the square of that alone. Under weight decay a gradient that is longer
than it may be by rounding is mixed with a shorter one, further out, or with the bound 0 of a nonnegative loss.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from proofs_check.checker import Reject
from proofs_check.kinds import formula as rules
from proofs_check.kinds.labels import OpenClaim
from ufm.architectures import UnconstrainedFeatures
from ufm.certificates._certificate import CertificationError
from ufm.problem import Problem
from ufm.solvers import solve

Features = Literal["real", "nonnegative"]

__all__ = ["Tangents", "endless", "is_nonnegative", "shorter", "slopes", "tangents"]

Array = NDArray[np.float64]

#: How far an entry of a bias is moved off the edge of a range in which the risk does not depend on it.
EDGE = 2.0**-16
#: How much shorter the gradient is that one too long by rounding is mixed with.
SHORTER = 0.98


@dataclass(frozen=True)
class Tangents:
    """Where the risk's tangents are taken, and the gradient of their mean before a second matrix is mixed in.

    Attributes:
        logits: Z_0 (K, m).
        bias, moves: their sums are added to its columns, (K,) and (q, K); exact, for the moves are small.
        direction: along which the loss does not change, or None.
        gradient: about G (K, m).
    """

    logits: Array
    bias: Array
    moves: Array
    direction: Array | None
    gradient: Array

    def witness(self, other: Array | None, share: Fraction) -> dict[str, Any]:
        """The dual of a certificate, in fractions."""
        matrices = [self.logits] if other is None else [self.logits, other]
        return {
            "logits": [[[Fraction(x) for x in row] for row in z.tolist()] for z in matrices],
            "biases": [
                [Fraction(b) + Fraction(x) for b, x in zip(self.bias.tolist(), row, strict=True)]
                for row in self.moves.tolist()
            ],
            "share": share,
            "direction": None if self.direction is None else [Fraction(x) for x in self.direction.tolist()],
        }


def tangents(problem: Problem, logits: Array, apart: float) -> Tangents:
    """Tangents at the logits; with a free bias at biases around the best, whose row sums are ``apart``."""
    bias, k = problem.best_bias(logits), len(logits)
    if problem.bias != 0 or bias is None:
        moves = np.zeros((1, k))
        return Tangents(logits, moves[0] if bias is None else bias, moves, None, problem.gradient(logits))
    direction = problem.loss.constant_direction(k)
    if not slopes(problem, (1 + EDGE) * logits + bias[:, None]).any():
        logits = (1 + EDGE) * logits  # nothing is left to gain
    bias = _off_edges(problem, logits, bias)
    shifted = logits + bias[:, None]
    gradient, curved = slopes(problem, shifted), problem.risk_of.bias_hessian(shifted)
    sums = gradient.sum(axis=1)
    idle = _are_balanced(problem, shifted) & ~curved.any(axis=0)
    spare = None if direction is None else int(np.flatnonzero(direction)[0])
    rows = [i for i in range(k) if i != spare and not idle[i]]
    small = curved[np.ix_(rows, rows)]
    # vertices of a simplex around 0, which the row sums are moved to; smaller ones would be lost in rounding
    rounding = 2.0**-48 * np.abs(small).max(initial=0.0) * max(1.0, float(np.abs(shifted).max()))
    size = max(apart * float(np.abs(gradient).sum(axis=1).max()), rounding)
    wanted = size * np.vstack([np.eye(len(rows)), -np.ones(len(rows))]) - sums[rows]
    moves = np.zeros((len(rows) + 1, k))
    moves[:, rows] = np.linalg.lstsq(small, wanted.T, rcond=1e-12)[0].T if rows else 0.0
    if not np.isfinite(moves).all():
        raise CertificationError("the solution's numbers are not finite")
    return Tangents(logits, bias, moves, direction, _mean(problem, shifted, moves, rows))


def _are_balanced(problem: Problem, shifted: Array) -> NDArray[np.bool_]:
    """Of which classes ``sum_j n_j g_j`` is 0, exactly: rounded slopes that cancel leave something of their sum."""
    counts = [Fraction(n) for n in problem.prior.counts.tolist()]
    each = problem.loss.gradients(shifted, problem.targets).tolist()
    sums = [sum((n * Fraction(x) for n, x in zip(counts, row, strict=True)), Fraction(0)) for row in each]
    return np.array([x == 0 for x in sums])


def _mean(problem: Problem, shifted: Array, moves: Array, rows: list[int]) -> Array:
    """The mean of the gradients at the moved biases whose rows sum to 0, about."""
    each = np.stack([slopes(problem, shifted + move[:, None]) for move in moves])
    sums = np.vstack([each.sum(axis=2).T[rows], np.ones(len(moves))])
    # rows of very different size are solved for alike
    sizes = np.maximum(np.abs(sums).max(axis=1), 1e-300)
    right = np.zeros(len(sums))
    right[-1] = 1.0
    shares = np.linalg.lstsq(sums / sizes[:, None], right, rcond=1e-14)[0]
    return np.tensordot(shares, each, axes=1) if np.isfinite(shares).all() else each.mean(axis=0)


def _off_edges(problem: Problem, logits: Array, bias: Array) -> Array:
    """The bias, its entries moved a little to where the risk does not depend on them if they end at an edge of that."""
    size = max(1.0, float(np.abs(bias).max()))
    for i in range(len(bias)):
        for step in (EDGE * size, -EDGE * size):
            moved = bias.copy()
            moved[i] += step
            if not slopes(problem, logits + moved[:, None])[i].any():
                bias = moved
                break
    return bias


def slopes(problem: Problem, shifted: Array) -> Array:
    """The risk's gradient (K, m) at logits that their bias is added to already."""
    return problem.loss.gradient(shifted, problem.prior.probabilities, problem.targets)


def endless(problem: Problem, logits: Array) -> str:
    """Which class's free bias has no best value where none seems to be, in words; empty where all have one."""
    if problem.bias != 0:
        return ""
    bias = problem.best_bias(logits)
    for i, row in enumerate(slopes(problem, logits + (0.0 if bias is None else bias[:, None]))):
        if row.any() and (row.min() >= 0 or row.max() <= 0):
            way = "falls" if row.max() > 0 else "grows"
            return f"; the free bias of class {i} seems to have no best value, the risk falls for ever as it {way}"
    return ""


def is_nonnegative(claim: OpenClaim) -> bool:
    """Whether the checker's rules show the loss to be >= 0; the reason of a refusal is raised as a ValueError."""
    try:
        return rules.nonnegative(claim)
    except Reject as reason:
        raise ValueError(f"loss must state a formula that the checker can show to be convex: {reason}") from None


def shorter(problem: Problem, strength: float) -> Array:
    """Logits, the bias included, with a gradient of about ``SHORTER`` times the strength: an optimum at less of it."""
    features: Features = "nonnegative" if "features" in problem.architecture.parameters else "real"
    less = UnconstrainedFeatures(SHORTER * strength, SHORTER * strength, features=features)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # whatever its gap, its tangent is below
        found = solve(less, problem.prior, problem.loss, bias=problem.stated_bias)
    logits = np.asarray(found.info.get("dual_logits", found.logits), dtype=float)
    bias = problem.best_bias(logits)
    return logits if bias is None else logits + bias[:, None]
