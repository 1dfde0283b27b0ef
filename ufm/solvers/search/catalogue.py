"""The stationary points that descents have met, and which of them are minima."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ufm.geometry import Geometry
from ufm.labels import ClassPrior
from ufm.losses import ClosedForm
from ufm.problem import Problem
from ufm.solution import LocalMinimum
from ufm.solvers.search.descent import End, Limits, Queue, descents
from ufm.solvers.search.landscape import STATIONARY, Landscape

__all__ = ["Catalogue", "Point", "minimum"]

Array = NDArray[np.float64]

#: Curvature below this fraction of the largest counts as none: an orbit of rotations, or a flat valley.
_FLAT = 1e-6
#: Relative differences up to which two minima are one, in value and in logits.
_SAME_VALUE, _SAME_LOGITS = 1e-8, 1e-4
#: Relative difference in value up to which a descent whose logits are those of a minimum needs no following.
_NEAR_VALUE = 1e-6
#: With more variables than this no Hessian is formed: no Newton polish, and saddles are not told from minima.
_MAX_NEWTON = 1000
_MAX_ESCAPES = 6
#: Evaluations after which points that are not stationary are left no more: where descents do not converge, as on
#: separable data under budgets without end, each is a new "saddle", with 2^6 descents around it for one start.
_ESCAPING = 20_000
#: And where every evaluation is of one point alone, which costs many times as much.
_ESCAPING_ALONE = 2_500
#: Evaluations after which no saddle is left any more, in landscapes of very many.
_MOST = 60_000
#: Further descents, with fresh curvature, from where one ended short of a stationary point.
_RESTARTS = 4
#: Points that no restart made stationary, after which there are no more: rounding has them all, beside huge counts.
_IN_VAIN = 6


@dataclass
class Point:
    """A stationary point, how many starts ended there, and of a saddle what lies beyond it and where that leads.

    ``level`` is its value as descents see it: a logarithm.
    """

    x: Array
    value: float
    logits: Array
    signature: Array
    stationarity: float
    is_minimum: bool | None
    level: float = math.inf
    count: int = 0
    beyond: list[Array] = field(default_factory=list)
    below: int | None = None


class Catalogue:
    """Distinct stationary points met so far.

    >>> import ufm
    >>> problem = Problem.of(ufm.LayerPeeled(1.0, 1.0), ufm.ClassPrior([1, 1, 1]))
    >>> landscape = Landscape(problem, 2)
    >>> catalogue = Catalogue(landscape, max_iter=1000)
    >>> index = catalogue.descend(landscape.at(np.diag([1.0, 2.0, 3.0])))
    >>> round(catalogue.points[index].value, 6), catalogue.starts, len(catalogue.minima())
    (0.368981, 1, 1)
    >>> catalogue.known(catalogue.point(catalogue.points[index].x)) == index
    True
    """

    def __init__(self, landscape: Landscape, max_iter: int) -> None:
        self.landscape = landscape
        self.points: list[Point] = []
        self.saddles = 0
        self._in_vain = 0  # points that restarts did not make stationary
        self.iterations = 0
        self._limits = Limits(max_iter, together=landscape.together)
        self._options = {
            "maxiter": max_iter,
            "maxfun": 2 * max_iter,
            "maxcor": 20,
            "ftol": self._limits.fall,
            "gtol": self._limits.gradient,
        }
        prior = landscape.problem.prior
        groups = [list(group.classes) for group in prior.groups]
        # permutations of one-hot classes permute the columns of their own group; those of other labels any
        columns = groups if isinstance(prior, ClassPrior) else [list(range(prior.num_columns))]
        self._blocks = [np.ix_(a, b) for a in groups for b in columns]
        self._groups = groups if isinstance(prior, ClassPrior) else []

    def descend(self, x: Array) -> int:
        """Descend from ``x`` to a stationary point, leave it if it is a saddle; the index of where this ends."""
        queue = Queue([x])
        return self._settled(queue, self._one_by_one(queue))[0]

    def descend_all(self, starts: Iterable[Array], *, counted: bool = True) -> list[int]:
        """Descend from many starts at once, on from the saddles met; the indices of where they end.

        What comes close to a listed minimum is not followed further. Starts that were made of minima found before are
        not ``counted`` among those that end there.
        """
        queue = Queue(starts)
        return self._settled(queue, descents(self._rows_in_units, queue, self._limits, self._known_rows), counted)

    def _settled(self, queue: Queue, found: Iterator[End], counted: bool = True) -> list[int]:
        """Indices of the minima below the starts of a queue; the ways out of saddles are added to it as they come."""
        ends, depths = dict[int, int](), dict[int, int]()
        left: dict[int, list[int]] = {}  # the descents that leave a saddle
        for end in found:
            self.iterations += end.steps
            index = self._near(end.x) if end.is_known else None
            index = self._listed(self.landscape.pruned(end.x)) if index is None else index
            ends[end.start], depth = index, depths.get(end.start, 0) + 1
            if depth <= _MAX_ESCAPES and (beyond := self._ways_out(index)):
                left[index] = [queue.add(x) for x in beyond]
                depths |= dict.fromkeys(left[index], depth)
        self.saddles += len(left)
        for i in sorted(left, reverse=True):  # what a later one led to is known by then
            lowest = min((self._bottom(ends[way]) for way in left[i]), key=lambda end: self.points[end].value)
            if self.points[lowest].value < self.points[i].value:
                self.points[i].below = lowest
        bottoms = [self._bottom(ends[i]) for i in sorted(ends) if i not in depths]
        for bottom in bottoms:
            self.points[bottom].count += counted
        return bottoms

    def _one_by_one(self, queue: Queue) -> Iterator[End]:
        while taken := queue.take(1):
            yield End(taken[0][0], self._minimised(taken[0][1]), 0, False)

    def _ways_out(self, index: int) -> list[Array]:
        """Where to descend from beside a saddle that has not been left yet."""
        point = self.points[index]
        spent = self.landscape.evaluations
        most = _ESCAPING if self.landscape.takes_many else _ESCAPING_ALONE
        if spent >= _MOST or (point.stationarity > STATIONARY and spent >= most):
            return []
        beyond, point.beyond = point.beyond, []
        return beyond

    def _bottom(self, index: int) -> int:
        """Where what is at a listed point ends."""
        while (below := self.points[index].below) is not None:
            index = below
        return index

    def _listed(self, x: Array) -> int:
        """Index of the stationary point next to ``x``, where a descent ended; listed if it is new."""
        index = self.known(self.point(x), 3.0)
        if index is not None:
            return index
        polished = self._polished(x)
        for _ in range(_RESTARTS):  # a line search that failed at an edge, or stale curvature
            if polished[1] <= STATIONARY or self._in_vain >= _IN_VAIN:
                break
            polished = self._polished(self._minimised(polished[0]))
        self._in_vain += polished[1] > STATIONARY
        return self._add(polished)

    def _known_rows(self, x: Array, values: Array) -> NDArray[np.bool_]:
        """Which rows have come so close to a listed minimum that they will end there."""
        landscape = self.landscape
        listed = np.array([point.level for point in self.points if point.is_minimum])
        reach = _NEAR_VALUE * max(1.0, 1 / landscape.unit)
        near = np.asarray((np.abs(values[:, None] - listed) <= reach).any(axis=1))
        near[near] = [self._near(row) is not None for row in x[near]]
        return near

    def _near(self, x: Array) -> int | None:
        """Index of the listed minimum that ``x`` has come close to."""
        index = self.known(self.point(x), 3.0, _NEAR_VALUE)
        return index if index is not None and self.points[index].is_minimum else None

    def _rows_in_units(self, x: Array) -> tuple[Array, Array]:
        values, gradients = self.landscape.rows(x)
        return (values - self.landscape.origin) / self.landscape.unit, gradients / self.landscape.unit

    def _minimised(self, x: Array) -> Array:
        from scipy.optimize import minimize

        found = minimize(self._in_units, x, jac=True, method="L-BFGS-B", options=self._options)
        self.iterations += int(found.nit)
        # a limit that ends it within a line search leaves it where that had looked last
        lower = float(found.fun) <= self._in_units(x)[0]
        return self.landscape.pruned(np.asarray(found.x, dtype=float) if lower else x)

    def _in_units(self, x: Array) -> tuple[float, Array]:
        value, gradient = self.landscape(x)
        return (value - self.landscape.origin) / self.landscape.unit, gradient / self.landscape.unit

    def point(self, x: Array) -> Point:
        """What is at ``x``, not yet listed."""
        problem = self.landscape.problem
        z = self.landscape.logits(x)
        if problem.loss.closed_form is not ClosedForm.MEAN_SQUARED_ERROR:
            invariants: list[Any] = [np.sort(z[block], axis=None) for block in self._blocks]
            invariants += [np.sort(z[members, members]) for members in self._groups]
        else:  # without a bias the problem is invariant under rotations of a group, not under permutations alone
            invariants = [np.linalg.svd(z[block], compute_uv=False) for block in self._blocks]
        signature = np.concatenate([*invariants, np.linalg.svd(z, compute_uv=False)])
        return Point(x, problem.objective(z), z, signature, math.inf, None)

    def known(self, point: Point, slack: float = 1.0, value: float = _SAME_VALUE) -> int | None:
        """Index of the listed point that ``point`` is, up to the problem's symmetries; None for a new one.

        Args:
            point: what is to be found again.
            slack: factor of the differences allowed.
            value: relative difference in value that is allowed.
        """
        for i, other in enumerate(self.points):
            scale = max(float(np.abs(other.signature).max()), 1e-12)
            if (
                abs(point.value - other.value) <= slack * value * other.value + 1e-15
                and np.abs(point.signature - other.signature).max() <= slack * _SAME_LOGITS * scale
            ):
                return i
        return None

    def _polished(self, x: Array) -> tuple[Array, float, Array | None]:
        """Newton steps on the curved directions while the gradient falls; x, its stationarity, and the eigenpairs."""
        gradient = self._in_units(x)[1]
        residual = float(np.linalg.norm(x) * np.linalg.norm(gradient))
        if len(x) > _MAX_NEWTON:
            return x, residual, None
        while True:
            values, vectors = self.landscape.curvature(x)
            values = values / self.landscape.unit
            start = residual
            # one Hessian serves several steps, with shallow valleys once the steep directions are done: a step along a
            # valley may raise the gradient across it, which the next ones mend
            for flat in (_FLAT, 1e-3 * _FLAT):
                curved = np.abs(values) > flat * np.abs(values).max()
                inverse = np.divide(1.0, values, out=np.zeros_like(values), where=curved)
                new, new_gradient = x, gradient
                for _ in range(4):
                    new = new - vectors @ (inverse * (vectors.T @ new_gradient))
                    level, new_gradient = self._in_units(new)
                    if level * self.landscape.unit + self.landscape.origin >= self.landscape.plateau - 1.0:
                        break
                    new_residual = float(np.linalg.norm(new) * np.linalg.norm(new_gradient))
                    if new_residual < residual:
                        x, gradient, residual = new, new_gradient, new_residual
                    elif not new_residual < 1e3 * residual:
                        break
            if residual <= 0.01 * STATIONARY or not residual < 0.1 * start:
                return x, residual, np.vstack([values, vectors])

    def _add(self, polished: tuple[Array, float, Array | None]) -> int:
        x, residual, eigen = polished
        point = self.point(x)
        if (known := self.known(point)) is not None:
            return known
        self.points.append(point)
        point.stationarity, point.level = residual, self._in_units(x)[0]
        if eigen is not None:
            values, downhill = eigen[0], eigen[1:, 0]
            point.is_minimum = bool(values[0] >= -_FLAT * np.abs(values).max())
            step = 0.1 * max(float(np.linalg.norm(x)), 0.1) * downhill
            if not point.is_minimum:
                point.beyond = [x + step, x - step]
            elif (filled := self.landscape.filled(x)) is not None:
                point.is_minimum, point.beyond = False, [filled]
        return len(self.points) - 1

    def lowest(self, count: int) -> list[Point]:
        """The ``count`` lowest points."""
        return sorted(self.points, key=lambda point: point.value)[:count]

    @property
    def starts(self) -> int:
        """Number of descents from starts."""
        return sum(point.count for point in self.points)

    def minima(self) -> tuple[LocalMinimum, ...]:
        """The minima, best first."""
        listed = sorted((point for point in self.points if point.below is None), key=lambda point: point.value)
        # what no start ended at and is no minimum is a descent from a saddle that stopped half way
        listed = [point for i, point in enumerate(listed) if i == 0 or point.count or point.is_minimum is not False]
        return tuple(
            minimum(
                self.landscape.problem,
                point.logits,
                point.value,
                point.count / self.starts,
                point.stationarity,
                point.is_minimum,
            )
            for point in listed
        )


def minimum(
    problem: Problem, logits: Array, value: float, share: float, stationarity: float, is_minimum: bool | None
) -> LocalMinimum:
    """What a search says of a minimum at ``logits``; arguments as :class:`ufm.solution.LocalMinimum` has them.

    >>> import ufm
    >>> problem = Problem.of(ufm.LayerPeeled(1.0, 1.0), ufm.ClassPrior([1, 1]), "mse")
    >>> minimum(problem, np.eye(2), 0.0, 1.0, 0.0, True).rank
    2
    """
    factors = problem.spectral.factorise(logits, problem.prior)
    geometry = Geometry.of(factors, problem.prior) if isinstance(problem.prior, ClassPrior) else None
    return LocalMinimum(value, share, stationarity, is_minimum, logits, factors.equilibrium_features, geometry)
