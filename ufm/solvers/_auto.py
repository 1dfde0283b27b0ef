"""Which method a convex problem is solved by when nobody names one."""

from __future__ import annotations

from typing import Any

from ufm.problem import Problem
from ufm.solution import Solution
from ufm.solvers.nuclear import solve_nuclear
from ufm.solvers.reduced import solve_reduced

__all__ = ["solve_convex"]

#: Above this number of groups the symmetry reduction no longer pays and the K x K method takes over.
MAX_GROUPS = 12


def solve_convex(problem: Problem, **options: Any) -> Solution:
    """Solve a convex problem by ``"reduced"``, with many groups by ``"nuclear"``; ``options`` go to the method.

    >>> import ufm
    >>> solve_convex(Problem.of(ufm.LayerPeeled(1.0, 5.0), ufm.ClassPrior.balanced(4), "ce")).method
    'reduced'
    """
    method = solve_reduced if len(problem.prior.groups) <= MAX_GROUPS else solve_nuclear
    return method(problem, **options)
