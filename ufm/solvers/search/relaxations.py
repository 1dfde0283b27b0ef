"""Lower bounds of the optimal value of a problem that need not be convex."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable

from ufm.problem import Problem
from ufm.solvers.auto import solve_convex

__all__ = ["RELAXATIONS", "Relaxation", "relaxed_lower_bound"]

Relaxation = Callable[[Problem, float], float]


def _convex_problem(problem: Problem, upper: float) -> float:
    """The problem itself where it is convex, else one whose gauge is a nuclear norm and at most the architecture's.

    Where the objective is at most ``upper`` the price of every singular value is at most ``upper - inf f``, which
    bounds the largest. On the interval that is left the convex envelope of a concave price is its chord, see
    :meth:`ufm.architectures.Spectral.relaxation`. For a loss that is not convex no bound comes from here.
    """
    if not problem.loss.is_convex:
        return -math.inf
    form = problem.spectral.convex_form(problem.max_rank)
    if form is None:
        form = problem.spectral.relaxation(problem.prior.num_classes, upper - problem.loss.infimum)
    if form is None:
        return -math.inf
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a gap that stays open makes the bound lower, not wrong
        return solve_convex(Problem(form, problem.prior, problem.loss, problem.bias)).lower


def _etf_proof(problem: Problem, upper: float) -> float:
    """The ETF's risk where it is proved optimal, for balanced classes and a small Frobenius budget."""
    from ufm.landscape.etf_bounds import balanced_lower_bound

    return balanced_lower_bound(problem, upper)


#: Lower bounds of the optimal value by name, functions of the problem and an upper bound of it; ``-inf`` where one does
#: not apply. The best one counts, so that a sharper bound for some problems need only be added here.
RELAXATIONS: dict[str, Relaxation] = {"nuclear norm": _convex_problem, "proof that the ETF is optimal": _etf_proof}


def relaxed_lower_bound(problem: Problem, upper: float) -> tuple[str, float]:
    """The best of :data:`RELAXATIONS` and its value, never below the infimum of the loss.

    In floating point, as the bounds of the convex solvers are.

    Args:
        problem: a problem, convex or not.
        upper: an upper bound of its optimal value: the value at some feasible point.

    >>> import ufm
    >>> relaxed_lower_bound(Problem.of(ufm.DeepLinear((1.0, 1.0, 1.0)), ufm.ClassPrior([1, 1]), "mse"), 0.5)[0]
    'nuclear norm'
    """
    name, lower = max(((name, bound(problem, upper)) for name, bound in RELAXATIONS.items()), key=lambda item: item[1])
    least = problem.loss.infimum
    return (name, lower) if lower > least else ("infimum of the loss", least)
