"""``ufm.geometry_bounds``: what everything near the optimum has in common."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ufm._validation import array, real
from ufm.bounds.tilted import highest
from ufm.labels import ClassPrior
from ufm.problem import Problem
from ufm.solution import Solution
from ufm.solvers import solve
from ufm.thresholds.criterion import check_symmetric

__all__ = ["GeometryBounds", "Range", "functional_bounds", "geometry_bounds"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Range:
    """What a number can be over everything near the optimum.

    Attributes:
        lower, upper: bounds by weak duality: it lies between them.
        attained_lower, attained_upper: values that it takes there, so that the bounds can be no nearer than these.
    """

    lower: float
    upper: float
    attained_lower: float
    attained_upper: float

    def __contains__(self, value: float) -> bool:
        return self.lower <= value <= self.upper


@dataclass(frozen=True)
class GeometryBounds:
    """Ranges of the geometry of everything whose objective is at most ``objective``.

    Groups are those of the class prior, most frequent first; by symmetry a range depends on the groups of its classes.

    Attributes:
        objective: v, what the objective was allowed to be.
        lower: lower bound of the optimal value, so that the gap is at most ``objective - lower``.
        groups: class indices of every group.
        margins: ``z_kk - z_jk`` (with the bias) for k in group a and another class j in group b, by (a, b).
        scales: s_b of every group of at least two classes, by its index; the mean over the group's classes of their own
            logit less that of the others.
    """

    objective: float
    lower: float
    groups: tuple[tuple[int, ...], ...]
    margins: dict[tuple[int, int], Range]
    scales: dict[int, Range]

    @property
    def smallest_margin(self) -> float:
        """A number that no class's margin over any other is below."""
        return min(r.lower for r in self.margins.values())

    @property
    def uncollapsed(self) -> tuple[int, ...]:
        """Indices of the groups that have not collapsed by these bounds: s_b > 0 for everything near the optimum."""
        return tuple(b for b, r in self.scales.items() if r.lower > 0)

    def _repr_html_(self) -> str:
        rows = [(f"margin of a class of group {a} over one of group {b}", r) for (a, b), r in self.margins.items()]
        rows += [(f"s of group {b}", r) for b, r in self.scales.items()]
        cells = "".join(f"<tr><th>{name}</th><td>{r.lower:.6g}</td><td>{r.upper:.6g}</td></tr>" for name, r in rows)
        return (
            f"<table><caption>objective at most {self.objective:.9g}, optimum at least {self.lower:.9g}</caption>"
            f"<tr><th></th><th>from</th><th>to</th></tr>{cells}</table>"
        )


def geometry_bounds(
    problem: Problem | Solution, gap: float | None = None, *, objective: float | None = None
) -> GeometryBounds:
    """Ranges of margins and order parameters over everything whose objective is within ``gap`` of the optimum.

    ``{Z : f(Z) + penalty <= v}`` is convex, and so the extremes of a linear functional over it have bounds by duality
    (theory section 9): they hold for the class-mean logits of *anything* with that objective, a trained network too.
    By Jensen's inequality the class means of features have at most the objective of the samples.

    Args:
        problem: a convex problem with a nuclear-norm gauge and a class prior, or its solution.
        gap: absolute, >= 0, above the best value found; default 1e-3 without ``objective``.
        objective: instead, the objective v that was measured, of a network that was trained on the problem.

    Returns:
        The bounds, in floating point, and values attained within them.

    Raises:
        TypeError, ValueError: another kind of problem, a loss that tells classes of a group apart, both ``gap`` and
            ``objective``, or an objective below what the optimum is known to be at least.

    >>> import ufm
    >>> s = ufm.solve(ufm.LayerPeeled(1.0, 2.0), ufm.ClassPrior([4, 4, 1, 1]))
    >>> near = geometry_bounds(s, gap=1e-4)
    >>> [round(x, 2) for x in (near.scales[1].lower, s.geometry.group_scales[1], near.scales[1].upper)]
    [0.59, 0.64, 0.7]
    >>> near.uncollapsed, bool(near.smallest_margin > 0)
    ((0, 1), True)
    """
    solution = _solution(problem)
    if not isinstance(solution.problem.prior, ClassPrior):
        raise ValueError(
            f"problem must have a ufm.ClassPrior for ranges of classes, got {solution.problem.prior!r}: "
            "ufm.bounds.functional_bounds takes any functional of any labels"
        )
    v = _allowed(solution, gap, objective)
    groups = tuple(group.classes for group in solution.problem.prior.groups)
    if solution.problem.loss.closed_form is None:  # a range is of one class of a group, for all of them
        for members in groups:
            check_symmetric(solution.problem, members, "ranges of groups (ufm.bounds.functional_bounds takes any loss)")
    margins, scales = {}, {}
    for a, of in enumerate(groups):
        if len(of) > 1:
            scales[a] = _range(solution, _scale(solution, of), v)
        for b, over in enumerate(groups):
            others = [j for j in over if j != of[0]]
            if others:
                functional = np.zeros_like(solution.logits)
                functional[of[0], of[0]], functional[others[0], of[0]] = 1.0, -1.0
                margins[a, b] = _range(solution, functional, v)
    return GeometryBounds(v, solution.lower, groups, margins, scales)


def functional_bounds(
    problem: Problem | Solution, functional: Any, gap: float | None = None, *, objective: float | None = None
) -> Range:
    """The range of ``<C, Z + b 1^T>`` over everything near the optimum, for any labels; see :func:`geometry_bounds`.

    Args:
        problem: a convex problem with a nuclear-norm gauge, or its solution.
        functional: C, shape (K, m), not 0.
        gap, objective: as in :func:`geometry_bounds`.

    Raises:
        TypeError, ValueError: as there, or a functional that is not real, finite, of that shape and not 0.

    >>> import ufm
    >>> s = ufm.solve(ufm.UnconstrainedFeatures(0.1, 0.1), ufm.Labels([[1, 0, 0.5], [0, 1, 0.5]], [4, 4, 2]))
    >>> found = functional_bounds(s, [[1, 0, 0], [-1, 0, 0]], gap=1e-4)
    >>> margin = s.logits[0, 0] - s.logits[1, 0]
    >>> bool(found.lower <= found.attained_lower <= margin <= found.attained_upper <= found.upper)
    True
    """
    solution = _solution(problem)
    c = array("functional", functional, ndim=2)
    if c.shape != solution.logits.shape or not c.any():
        raise ValueError(f"functional must have shape {solution.logits.shape} and not be 0, got {c.shape}")
    return _range(solution, c, _allowed(solution, gap, objective))


def _solution(problem: Problem | Solution) -> Solution:
    found = problem.problem if isinstance(problem, Solution) else problem
    if not isinstance(found, Problem):
        raise TypeError(f"problem must be a ufm.problem.Problem or a ufm.Solution, got {problem!r}")
    if not found.loss.is_convex or not found.has_nuclear_norm:
        raise ValueError(
            f"problem must be convex with a nuclear-norm gauge for ranges by duality, got {found.architecture!r} and "
            f"{found.loss!r}"
        )
    if isinstance(problem, Solution):
        return problem
    return solve(found.architecture, found.prior, found.loss, bias=found.stated_bias)


def _allowed(solution: Solution, gap: float | None, objective: float | None) -> float:
    """v from whichever of the two is given."""
    if objective is not None:
        if gap is not None:
            raise ValueError(f"gap must be left out where objective is given, got {gap!r}")
        v = real("objective", objective)
        if v < solution.lower:
            raise ValueError(f"objective must be at least the optimal value, which is >= {solution.lower!r}, got {v!r}")
        return v
    size = 1e-3 if gap is None else real("gap", gap)
    if size < 0:
        raise ValueError(f"gap must be >= 0, got {gap!r}")
    return solution.upper + size


def _scale(solution: Solution, members: tuple[int, ...]) -> Array:
    """The functional s_b: mean over k in the group of ``z_kk`` less the mean of ``z_jk`` over its other classes."""
    out, size = np.zeros_like(solution.logits), len(members)
    out[np.ix_(members, members)] = -1 / (size * (size - 1))
    out[members, members] = 1 / size
    return out


def _range(solution: Solution, functional: Array, v: float) -> Range:
    up = highest(solution.problem, functional, v, solution.logits)
    down = highest(solution.problem, -functional, v, solution.logits)
    lower, upper = -down.bound, up.bound
    if not (math.isfinite(lower) and math.isfinite(upper)):
        raise ValueError(f"gap or objective must leave a finite range, none was found at objective {v!r}")
    return Range(lower, upper, -down.attained, up.attained)
