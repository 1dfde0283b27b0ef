"""What a logit, and a risk, of order one is: so that what counts as small does not hang on the unit of the targets."""

from __future__ import annotations

import math

import numpy as np

from ufm.problem import Problem
from ufm.solution import Solution

__all__ = ["logit_unit", "newton_step", "risk_unit"]


def newton_step(problem: Problem) -> float:
    """Length of Newton's step down the gradient from logits 0, of the column where it is longest.

    ``|g_j| / <e_j, H_j e_j>``, g_j and H_j gradient and Hessian of column j at its best bias and e_j along g_j; inf
    where a column is linear or concave there, and where all are flat.

    Args:
        problem: any.

    >>> import ufm
    >>> model, small = ufm.UnconstrainedFeatures(0.1, 0.1), ufm.Labels([[1e-3, 0], [0, 2e-3]], [2, 3])
    >>> round(newton_step(Problem.of(model, small, "mse")), 9)
    0.002
    """
    slopes, bends = _start(problem)
    steep = slopes > 0
    if not steep.any() or not (bends[steep] > 0).all():
        return math.inf
    return float((slopes[steep] / bends[steep]).max())


def logit_unit(problem: Problem) -> float:
    """The lesser of 1 and :func:`newton_step`.

    That is about K for cross-entropy, over the scale of its logits, and ``|t_j|`` for squared error; weights of the
    loss do not enter.

    Args:
        problem: any.

    >>> import ufm
    >>> hot = ufm.CrossEntropy(scales=[100.0, 100.0])
    >>> round(logit_unit(Problem.of(ufm.UnconstrainedFeatures(0.1, 0.1), ufm.ClassPrior([2, 3]), hot)), 4)
    0.0141
    """
    return min(1.0, newton_step(problem))


def risk_unit(solution: Solution) -> float:
    """What the risk falls by, to first order, over a :func:`logit_unit` from logits 0; of budgets, at most what it can.

    ``sum_j pi_j |g_j| u``; 1 where the risk is flat there.

    Args:
        solution: with the value that the risk can fall to.

    >>> import ufm
    >>> prior = ufm.ClassPrior([2, 2])
    >>> found = [ufm.solve(ufm.LayerPeeled(e, e), prior, "mse") for e in (1e-4, 1.0)]
    >>> [float(f"{risk_unit(solution):.3g}") for solution in found]
    [0.0001, 0.5]
    """
    problem = solution.problem
    unit = float(problem.prior.probabilities @ _start(problem)[0]) * logit_unit(problem)
    if problem.is_constrained:
        fall = problem.risk(np.zeros(problem.targets.shape)) - solution.value
        unit = min(unit, fall) if fall > 0 else unit
    return unit or 1.0


def _start(problem: Problem) -> tuple[np.ndarray, np.ndarray]:
    """``|g_j|`` and ``<e_j, H_j e_j>``, e_j along g_j, at logits 0 with the best bias, shapes (m,)."""
    z, t = np.zeros(problem.targets.shape), np.asarray(problem.targets, dtype=float)
    b = problem.best_bias(z)
    z = z if b is None else z + b[:, None]
    g = problem.loss.gradients(z, t)
    slopes = np.linalg.norm(g, axis=0)
    along = np.divide(g, slopes, out=np.zeros_like(g), where=slopes > 0)
    return slopes, np.einsum("kj,kj->j", along, problem.loss.curvatures(z, t, along))
