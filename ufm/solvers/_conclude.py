"""What the iterative solvers end with: value, enclosure and an honest answer to "is it the optimum?"."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ufm.architectures import Factors, PenalisedDEQ
from ufm.problem import Problem
from ufm.solution import Solution

__all__ = ["MSE_FLOOR", "conclude", "is_closed", "lower_bound", "multiplier"]

Array = NDArray[np.float64]

#: Absolute gap that counts as closed under MSE, whose optimum can be 0: residuals ``Z - I`` of about 3e-8.
MSE_FLOOR = 1e-15
#: A cross-entropy below this has no accurate bound any more.
_UNDERFLOW = 1e-290


def lower_bound(problem: Problem, logits: Array) -> float:
    """Weak-duality bound at ``logits``; never below 0, because both losses are nonnegative."""
    return max(0.0, problem.lower_bound(logits))


def is_closed(problem: Problem, value: float, lower: float, tol: float) -> bool:
    """Whether ``value - lower <= tol * value`` (under MSE also if it is at most ``MSE_FLOOR``).

    A cross-entropy that underflows has no accurate bound and never counts as closed.
    """
    if problem.loss.name == "mse":
        return value - lower <= max(tol * value, MSE_FLOOR)
    return value >= _UNDERFLOW and value - lower <= tol * value


def multiplier(problem: Problem, logits: Array) -> float:
    """``mu``: ``|G|_2`` at an optimum of the convex problem with budgets, the strength with weight decay.

    Where the gauge is not convex: ``-<G, Z> / tau``, Euler's relation for a homogeneous gauge, and the slope at 0.
    """
    architecture = problem.architecture
    if problem.is_convex:
        return problem.dual_norm(problem.gradient(logits)) if problem.is_constrained else problem.strength
    if isinstance(architecture, PenalisedDEQ):
        return architecture.slope
    return max(0.0, -float(np.vdot(problem.gradient(logits), logits))) / problem.bound


def conclude(
    problem: Problem,
    method: str,
    logits: Array,
    *,
    tol: float,
    lower: float = 0.0,
    iterations: int,
    info: dict[str, Any],
    dim: int | None,
    factors: Factors | None = None,
    value: float | None = None,
    trouble: str = "",
) -> Solution:
    """Build the solution at feasible ``logits``; warn, and say so in ``info``, where the gap is not closed.

    Args:
        problem: what was solved.
        method: the solver.
        logits: feasible logits Z, shape (K, K).
        tol: relative duality gap up to which the point counts as the global optimum.
        lower: best lower bound met on the way; where the problem is convex the bound at ``logits`` is added here.
        iterations: outer iterations.
        info: solver-specific figures, extended by ``relative_gap``.
        dim: feature dimension of the factors.
        factors: optimised factors; None for the factorisation of ``logits``.
        value: objective of these factors, at least that of ``logits``; None for the latter.
        trouble: why the solver stopped early, for the warning.
    """
    value = problem.objective(logits) if value is None else value
    lower = min(value, max(lower, lower_bound(problem, logits)) if problem.is_convex else lower)
    closed = is_closed(problem, value, lower, tol)
    info["relative_gap"] = (value - lower) / value if value > 0 else 0.0
    if not closed:
        if problem.loss.name == "ce" and value < _UNDERFLOW:
            trouble = "the cross-entropy underflows float64"
        reason = f" ({trouble})" if trouble else ""
        info["warning"] = (
            f"method {method!r} stopped with a relative duality gap of {info['relative_gap']:.2g}, "
            f"above tol = {tol:g}{reason}: the value is an upper bound, not a proven optimum"
        )
        warnings.warn(info["warning"], RuntimeWarning, stacklevel=4)
    return Solution(
        problem,
        method,
        value,
        lower,
        value,
        multiplier(problem, logits),
        True if closed else None,
        iterations,
        logits,
        info,
        dim,
        factors,
    )
