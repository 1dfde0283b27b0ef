r"""``method="atoms"``: any gauge that states its atoms and its polar, by conditional gradients with full corrections.

The gauge of a set of atoms is ``Omega(Y) = min {sum_i c_i : Y = sum_i c_i a_i, c >= 0}``. A step asks for the atom that
the negative gradient likes best, ``<-G, a> = Omega^o(-G)``, and then optimises the weights of all atoms met so far:

    minimise f(Z) over c >= 0, sum_i c_i <= tau        or        f(Z) + sum_i c_i,        Z = sum_i c_i a_i / omega.

By convexity ``f(Z) - f* <= <G, Z> + tau Omega^o(-G)`` (budgets) bounds what is left, see
:meth:`ufm.problem.Problem.lower_bound`. Atoms whose weight is 0 are dropped. Where the atoms are finitely many the
method ends at the optimum; where they form a continuum, as those of a norm with round balls do, it needs many of them
for many digits, and says how far it came. Source: Frank and Wolfe 1956; Jaggi 2013; theory section 8.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ufm._validation import integer, tolerance
from ufm.problem import Problem
from ufm.solution import Solution
from ufm.solvers.conclude import conclude, is_closed
from ufm.solvers.methods import Support

__all__ = ["solve_atoms", "supports"]

Array = NDArray[np.float64]

#: Weights below this fraction of their sum are dropped.
_NOTHING = 1e-13
#: Steps without progress of the gap by a per cent after which float64 is taken to allow no more.
_PATIENCE = 30


def supports(problem: Problem) -> Support:
    """Exact for every convex loss and every architecture of one's own that states gauge, polar and atom.

    >>> import ufm
    >>> supports(Problem.of(ufm.LayerPeeled(1.0, 1.0), ufm.ClassPrior([1, 1]))).answer
    'refused'
    """
    if not problem.loss.is_convex:
        return Support.refused(f"loss {problem.loss.name} is not convex")
    if problem.is_known:
        return Support.refused(f"architecture {problem.architecture!r} states no atoms that are to be met one by one")
    return Support("exact")


def solve_atoms(problem: Problem, *, dim: int | None = None, tol: float = 1e-6, max_iter: int = 500) -> Solution:
    """Solve a convex problem whose gauge is given by its atoms, to a relative duality gap of ``tol``.

    Args:
        problem: what to solve.
        dim: must be None: atoms say nothing of a feature dimension.
        tol: relative duality gap > 0 at which to stop.
        max_iter: atoms asked for >= 1.

    Returns:
        The solution; where the gap stays above ``tol``, ``is_global`` is None and a RuntimeWarning says so. ``info``
        holds the number of ``atoms`` in use.

    Raises:
        TypeError, ValueError: an argument is not what it should be.

    >>> import ufm
    >>> from ufm.solvers.table import ARCHITECTURES
    >>> entrywise = ARCHITECTURES["of one's own (gauge, polar, atom)"]  # the sum of absolute values is at most 2
    >>> solution = solve_atoms(Problem.of(entrywise, ufm.ClassPrior([1, 1]), "mse"))
    >>> bool(solution.value < 1e-9), solution.logits.round(3).tolist()
    (True, [[1.0, 0.0], [0.0, 1.0]])
    """
    if dim is not None:
        raise ValueError(f"dim must be None for an architecture of one's own, whose atoms have no dimension, got {dim}")
    tol = tolerance("tol", tol)
    max_iter = integer("max_iter", max_iter, minimum=1)
    hull = _Hull(problem)
    lower, best_gap, idle, trouble = -math.inf, math.inf, 0, f"max_iter = {max_iter} reached"
    steps = 0
    for steps in range(max_iter + 1):
        z = hull.logits
        value = hull.value
        lower = max(lower, problem.loss.infimum, problem.lower_bound(z))
        if is_closed(problem, value, lower, tol):
            trouble = ""
            break
        idle = 0 if value - lower < 0.99 * best_gap else idle + 1
        best_gap = min(best_gap, value - lower)
        if idle >= _PATIENCE:
            trouble = "no further progress in float64"
            break
        if steps < max_iter:
            hull.add(problem.architecture.atom(-problem.gradient(z) / problem.weights))
    return conclude(
        problem,
        "atoms",
        hull.logits,
        tol=tol,
        lower=lower,
        iterations=steps,
        info={"atoms": hull.size},
        dim=None,
        trouble=trouble,
    )


class _Hull:
    """Atoms met so far with their weights, best at all times."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self._shape = problem.targets.shape
        self._atoms = np.zeros((0, math.prod(self._shape)))  # each divided by omega: logits, not Y
        self._c = np.zeros(0)

    @property
    def size(self) -> int:
        """Number of atoms in use."""
        return len(self._c)

    @property
    def logits(self) -> Array:
        """Z (K, m)."""
        return np.asarray((self._c @ self._atoms).reshape(self._shape), dtype=float)

    @property
    def value(self) -> float:
        """The objective with the sum of the weights in the place of the gauge, which is at most that."""
        return self.problem.risk(self.logits) + (0.0 if self.problem.is_constrained else float(self._c.sum()))

    def add(self, atom: Array) -> None:
        """Take in an atom (K, m) of Y and optimise all weights."""
        row = (np.asarray(atom, dtype=float) / self.problem.weights).ravel()
        self._atoms = np.vstack([self._atoms, row])
        self._c = np.append(self._c, 0.0)
        before = self.value
        trial = self._optimised()
        kept, self._c = self._c, trial
        if not self.value <= before:
            self._c = kept  # rounding, or a solver of the corrections that failed: the old weights are still feasible
        used = self._c > _NOTHING * max(float(self._c.sum()), 1e-300)
        self._atoms, self._c = self._atoms[used], self._c[used]

    def _optimised(self) -> Array:
        """Weights c >= 0 that minimise the objective over the hull of the atoms (sequential quadratic programmes)."""
        from scipy.optimize import minimize

        problem, n = self.problem, len(self._c)
        constrained = problem.is_constrained
        tau = problem.bound if constrained else 1.0
        scale = max(abs(self.value - problem.loss.infimum), 1e-12) if math.isfinite(problem.loss.infimum) else 1.0
        # in units in which every atom is a matrix of logits of the size of those there are, whatever a weight costs
        unit = (float(np.linalg.norm(self.logits)) or 1.0) / np.linalg.norm(self._atoms, axis=1)

        def objective(x: Array) -> tuple[float, Array]:
            z = ((unit * x) @ self._atoms).reshape(self._shape)
            price = 0.0 if constrained else 1.0
            slope = unit * (self._atoms @ problem.gradient(z).ravel() + price)
            return (problem.risk(z) + price * float(unit @ x)) / scale, slope / scale

        budget: list[dict[str, Any]] = []
        if constrained:
            budget = [{"type": "ineq", "fun": lambda x: 1 - unit @ x / tau, "jac": lambda x: -unit / tau}]
        found = minimize(
            objective,
            self._c / unit,
            jac=True,
            method="SLSQP",
            bounds=[(0.0, None)] * n,
            constraints=budget,
            options={"maxiter": 200, "ftol": 1e-15},
        )
        c = unit * np.maximum(found.x, 0.0)
        if constrained:
            c = c / max(1.0, float(c.sum()) / tau)
        return np.asarray(c, dtype=float) if np.isfinite(c).all() else self._c
