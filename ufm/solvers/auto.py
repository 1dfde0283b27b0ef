"""Which method a problem is solved by when nobody names one."""

from __future__ import annotations

import warnings
from typing import Any

from ufm.losses import ClosedForm
from ufm.problem import Problem
from ufm.solution import Solution
from ufm.solvers.methods import LARGE, METHODS, Method, supported

__all__ = ["first_closed", "ranked", "solve_convex"]


def first_closed(problem: Problem, methods: list[Method], *, dim: int | None = None, **options: Any) -> Solution:
    """What the first of ``methods`` finds; where it leaves a gap, what the first of the others finds that leaves none.

    With options only the first is asked: they are its own.

    >>> import ufm
    >>> problem = Problem.of(ufm.LayerPeeled(1.0, 1.0), ufm.ClassPrior([3, 1]))
    >>> first_closed(problem, ranked(problem)).method
    'reduced'
    """
    method, *others = methods
    if options or not others:
        return method.solve(problem, dim=dim, **options)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = method.solve(problem, dim=dim)
    if found.is_global is not True:
        for other in others:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)
                second = other.solve(problem, dim=dim)
            if second.is_global is True:
                return second
    for warning in caught:
        warnings.warn(warning.message, stacklevel=3)
    return found


def solve_convex(problem: Problem) -> Solution:
    """Solve a convex problem by whichever exact method costs least.

    >>> import ufm
    >>> solve_convex(Problem.of(ufm.LayerPeeled(1.0, 5.0), ufm.ClassPrior.balanced(4), "ce")).method
    'reduced'
    """
    return first_closed(problem, ranked(problem))


def ranked(problem: Problem) -> list[Method]:
    """The method that does most, and the other exact ones by their cost; without an exact one the search.

    >>> import ufm
    >>> [m.name for m in ranked(Problem.of(ufm.LayerPeeled(1.0, 1.0), ufm.ClassPrior([3, 1])))]
    ['reduced', 'nuclear']
    """
    size = problem.prior.num_classes * problem.prior.num_columns
    small = size <= LARGE or any(METHODS[name].supports(problem) for name in ("closed_form", "reduced"))
    if not small and (refused := METHODS["reduced"].supports(problem).reason):
        from ufm.solvers.reduced import too_many_counts

        if refused == too_many_counts(problem):  # a descent over factors would take as long as the reduction
            raise ValueError(f"{refused}, or ask for method='low_rank', which is no faster but tells its gap")
    if not small and METHODS["low_rank"].supports(problem):
        return [METHODS["low_rank"]]  # what all others write out does not fit
    # asking a method imports it: the methods for other atoms than singular vectors only where there are some
    others = () if problem.is_spectral else ("atoms", "factored")
    names = ("closed_form", "reduced", "nuclear", *others)
    exact = [name for name in names if METHODS[name].supports(problem).answer == "exact"]
    if exact:
        return [METHODS[name] for name in sorted(exact, key=lambda name: _cost(name, problem))]
    answers = supported(problem)
    for name in ("search", "factored", *answers):
        if answers[name]:
            return [METHODS[name]]
    reasons = "; ".join(f"{name!r}: {support.reason}" for name, support in answers.items())
    raise ValueError(f"no method solves this problem: {reasons}")


def _cost(name: str, problem: Problem) -> float:
    """About the seconds that an exact method takes, fitted to measurements, for choosing among them."""
    k = problem.prior.num_classes
    if name == "closed_form":
        return 1e-3 + 1e-8 * k**3
    if name == "reduced":
        groups = len(problem.prior.groups)
        if groups <= 2 or problem.loss.closed_form is ClosedForm.MEAN_SQUARED_ERROR:
            return 1e-4 + 1e-8 * k * k
        return 5e-3 + 8e-4 * groups + 2e-8 * groups**3
    if name == "nuclear":
        return 6e-3 + 8e-4 * k + 8e-8 * k**3
    return 1e6 + float(k)
