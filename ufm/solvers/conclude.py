"""What the iterative solvers end with: value, enclosure and an honest answer to "is it the optimum?"."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ufm.architectures import Factors, Penalised
from ufm.architectures.attack import attack_at as attack_architecture_at
from ufm.losses import ClosedForm, attack_at, is_ours
from ufm.problem import Problem
from ufm.reduction import ReducedLogits, ReducedRisk
from ufm.solution import Solution

__all__ = ["checked", "conclude", "is_closed", "multiplier", "zero_risk"]

Array = NDArray[np.float64]

#: A loss below this has no accurate bound any more.
UNDERFLOW = 1e-300
#: With weight decay an absolute gap counts as closed up to this fraction of the value.
FLOOR_ROOM = 1e-6


class ContradictionError(ArithmeticError, ValueError):
    """What a method ended with contradicts the problem; see :func:`checked`."""


def zero_risk(problem: Problem, rank: int | None = None) -> Array | None:
    """Logits of mean squared error 0, the targets themselves, where budgets and ``rank`` allow them; else None.

    >>> import ufm
    >>> problem = Problem.of(ufm.LayerPeeled(1.0, 1.0), ufm.ClassPrior([1, 1]), "mse")
    >>> zero_risk(problem).tolist()  # radius 2 reaches the identity
    [[1.0, 0.0], [0.0, 1.0]]
    """
    if problem.loss.closed_form is not ClosedForm.MEAN_SQUARED_ERROR or not problem.is_constrained:
        return None
    if rank is not None and rank < np.linalg.matrix_rank(problem.targets):
        return None
    return np.array(problem.targets) if problem.gauge(problem.targets) <= problem.bound else None


def is_closed(problem: Problem, value: float, lower: float, tol: float) -> bool:
    """Whether ``value - lower`` is at most ``tol |value|``, or the absolute gap that the loss counts as closed.

    A value that underflows has no accurate bound, and without such an absolute gap never counts as closed.

    >>> import ufm
    >>> problem = Problem.of(ufm.LayerPeeled(1.0, 1.0), ufm.ClassPrior([1, 1]), "mse")
    >>> is_closed(problem, 1.0, 1.0 - 1e-12, 1e-9), is_closed(problem, 1.0, 0.9, 1e-9)
    (True, False)
    """
    if problem.loss.floor == 0 and abs(value) < UNDERFLOW:
        return value == lower == 0 == problem.objective(np.zeros(problem.targets.shape))
    # weight decay sets a scale of its own, beside which an absolute gap may be all that there is
    floor = problem.floor if problem.is_constrained else min(problem.floor, FLOOR_ROOM * abs(value))
    return value - lower <= max(tol * abs(value), floor)


def multiplier(problem: Problem, logits: Array) -> float:
    """``mu``: ``|G|_2`` at an optimum of the convex problem with budgets, the strength with weight decay.

    Where the gauge is not convex: ``-<G, Z> / tau``, Euler's relation for a homogeneous gauge, and the slope at 0.

    >>> import ufm
    >>> problem = Problem.of(ufm.LayerPeeled(1.0, 1.0), ufm.ClassPrior([1, 1]), "mse")
    >>> multiplier(problem, np.zeros((2, 2)))  # |G|_2 at Z = 0
    0.5
    """
    architecture = problem.architecture
    if problem.has_nuclear_norm:
        return problem.dual_norm(problem.gradient(logits)) if problem.is_constrained else problem.strength
    if isinstance(architecture, Penalised):
        return architecture.multiplier
    if not problem.is_spectral:  # the polar at an optimum, as for a nuclear norm
        return problem.dual_norm(problem.gradient(logits)) if problem.is_constrained else 1.0
    return max(0.0, -float(np.vdot(problem.gradient(logits), logits))) / problem.bound


def conclude(
    problem: Problem,
    method: str,
    logits: Array,
    *,
    tol: float,
    lower: float = -math.inf,
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

    >>> import ufm
    >>> problem = Problem.of(ufm.LayerPeeled(1.0, 1.0), ufm.ClassPrior([1, 1]), "mse")
    >>> conclude(problem, "mine", np.eye(2), tol=1e-9, iterations=0, info={}, dim=None).is_global
    True
    """
    value = problem.objective(logits) if value is None else value
    lower = max(lower, problem.loss.infimum, problem.lower_bound(logits) if problem.is_convex else -math.inf)
    # a bound above the value by more than rounding is no bound
    closed = is_closed(problem, value, lower, tol) and is_closed(problem, lower, value, max(tol, GAP_ROOM))
    lower = min(value, lower)
    info["relative_gap"] = (value - lower) / value if value > 0 else 0.0
    if not closed:
        if problem.loss.floor == 0 and abs(value) < UNDERFLOW:
            trouble = "the risk underflows float64"
        reason = f" ({trouble})" if trouble else ""
        info["warning"] = (
            f"method {method!r} stopped with a relative duality gap of {info['relative_gap']:.2g}, "
            f"above tol = {tol:g}{reason}: the value is an upper bound, not a proven optimum"
        )
        warnings.warn(info["warning"], RuntimeWarning, stacklevel=4)
    found = Solution(
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
    return checked(found)


#: Relative room for rounding between a value and the objective at its logits, and between a gauge and its bound.
VALUE_ROOM, GAUGE_ROOM = 1e-7, 1e-9
#: Relative room for rounding by which a lower bound may exceed the value.
GAP_ROOM = 1e-9


def checked(solution: Solution, reduced: ReducedLogits | None = None) -> Solution:
    """``solution``, after a look at what every solution must satisfy.

    Its value is the objective at its logits (that of its factors may be above), the logits are feasible, and
    ``lower <= value``, all to rounding. With reduced coordinates both are evaluated there, in microseconds.

    A loss or an architecture of one's own is attacked again where the solver ended, far from 0 perhaps.

    Raises:
        ContradictionError: it does not, where numbers lie too far apart for float64: nothing that the method says here
            can be trusted. An ArithmeticError and a ValueError.
        TypeError, ValueError: a loss or an architecture of one's own contradicts itself there.

    >>> import ufm
    >>> problem = Problem.of(ufm.LayerPeeled(1.0, 1.0), ufm.ClassPrior([1, 1]), "mse")
    >>> found = conclude(problem, "mine", np.eye(2), tol=1e-9, iterations=0, info={}, dim=None)
    >>> checked(found) is found
    True
    """
    problem = solution.problem
    _attack_at(problem, solution)
    if reduced is not None and problem.loss.closed_form is ClosedForm.CROSS_ENTROPY:
        prior = problem.class_prior
        weights = problem.weights[[group.classes[0] for group in prior.groups]]
        objective, gauge = ReducedRisk(prior).value(reduced), reduced.gauge(prior, weights)
        objective += 0.0 if problem.is_constrained else problem.strength * gauge
    elif solution.factors_are_own and not problem.is_spectral:
        # what the factors cost is at least the gauge of their logits, which is a problem of its own
        gauge = problem.architecture.spent(solution.factors, problem.prior)
        objective = problem.risk(solution.factors.logits) + (0.0 if problem.is_constrained else gauge)
    else:
        objective, gauge = problem.objective(solution.logits), math.nan
        if problem.is_constrained:
            gauge = problem.gauge(solution.logits)
    room = VALUE_ROOM * abs(objective) + max(problem.floor, UNDERFLOW) + 1e-15 * abs(problem.loss.infimum)
    wrong = not (objective <= solution.value + room)
    if solution.factors_are_own is False:
        wrong = wrong or not abs(objective - solution.value) <= room
    if wrong:
        raise ContradictionError(
            f"method {solution.method!r} ended with the value {solution.value!r}, but the objective at its logits is "
            f"{objective!r}"
        )
    if problem.is_constrained and not gauge <= problem.bound * (1 + GAUGE_ROOM):
        raise ContradictionError(
            f"method {solution.method!r} ended with logits of gauge {gauge!r}, above the bound {problem.bound!r}"
        )
    if not solution.lower <= solution.value:
        raise ContradictionError(
            f"method {solution.method!r} ended with the lower bound {solution.lower!r} above its value "
            f"{solution.value!r}"
        )
    return solution


def _attack_at(problem: Problem, solution: Solution) -> None:
    if not is_ours(problem.loss):
        bias = problem.best_bias(solution.logits)
        attack_at(problem.loss, problem.targets, solution.logits if bias is None else solution.logits + bias[:, None])
        if solution.value < problem.loss.infimum - VALUE_ROOM * abs(problem.loss.infimum) - problem.floor:
            raise ValueError(
                f"loss {problem.loss.name} contradicts itself: method {solution.method!r} found the value "
                f"{solution.value!r}, below its infimum {problem.loss.infimum!r}"
            )
    if not problem.is_known:
        y = solution.logits * problem.weights
        direction = -problem.gradient(solution.logits) / problem.weights
        attack_architecture_at(problem.architecture, y, direction)
