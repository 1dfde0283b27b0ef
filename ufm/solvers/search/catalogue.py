"""The stationary points that descents have met, and which of them are minima."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ufm.geometry import Geometry
from ufm.labels import ClassPrior
from ufm.losses import ClosedForm
from ufm.problem import Problem
from ufm.solution import LocalMinimum
from ufm.solvers.search.landscape import STATIONARY, Landscape

__all__ = ["Catalogue", "Point", "minimum"]

Array = NDArray[np.float64]

#: Curvature below this fraction of the largest counts as none: an orbit of rotations, or a flat valley.
_FLAT = 1e-6
#: Relative differences up to which two minima are one, in value and in logits.
_SAME_VALUE, _SAME_LOGITS = 1e-8, 1e-4
#: With more variables than this no Hessian is formed: no Newton polish, and saddles are not told from minima.
_MAX_NEWTON = 1000
_MAX_ESCAPES = 6
#: Evaluations after which saddles are left no more: where descents do not converge, as on separable data under budgets
#: without end, each point is a new "saddle", and what lies on both sides of it would be 2^6 descents for one start.
_ESCAPING = 20_000
#: Further descents, with fresh curvature, from where one ended short of a stationary point.
_RESTARTS = 4


@dataclass
class Point:
    """A stationary point, how many starts ended there, and where its descent leads if it is a saddle."""

    x: Array
    value: float
    logits: Array
    signature: Array
    stationarity: float
    is_minimum: bool | None
    count: int = 0
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
        self.iterations = 0
        self._options = {"maxiter": max_iter, "maxfun": 2 * max_iter, "maxcor": 20, "ftol": 1e-14, "gtol": 1e-8}
        prior = landscape.problem.prior
        groups = [list(group.classes) for group in prior.groups]
        # permutations of one-hot classes permute the columns of their own group; those of other labels any
        columns = groups if isinstance(prior, ClassPrior) else [list(range(prior.num_columns))]
        self._blocks = [np.ix_(a, b) for a in groups for b in columns]
        self._groups = groups if isinstance(prior, ClassPrior) else []

    def descend(self, x: Array, escapes: int = 0) -> int:
        """Descend from ``x`` to a stationary point, leave it if it is a saddle; the index of where this ends."""
        x = self._minimised(x)
        index = self.known(self.point(x), 3.0)
        if index is None:
            polished = self._polished(x)
            for _ in range(_RESTARTS):  # a line search that failed at an edge, or stale curvature
                if polished[1] <= STATIONARY:
                    break
                polished = self._polished(self._minimised(polished[0]))
            index = self._add(polished, escapes)
        while (below := self.points[index].below) is not None:
            index = below
        if escapes == 0:
            self.points[index].count += 1
        return index

    def _minimised(self, x: Array) -> Array:
        from scipy.optimize import minimize

        found = minimize(self._in_units, x, jac=True, method="L-BFGS-B", options=self._options)
        self.iterations += int(found.nit)
        return self.landscape.pruned(np.asarray(found.x, dtype=float))

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

    def known(self, point: Point, slack: float = 1.0) -> int | None:
        """Index of the listed point that ``point`` is, up to the problem's symmetries; None for a new one."""
        for i, other in enumerate(self.points):
            scale = max(float(np.abs(other.signature).max()), 1e-12)
            if (
                abs(point.value - other.value) <= slack * _SAME_VALUE * other.value + 1e-15
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
            values, vectors = np.linalg.eigh(self.landscape.hessian(x) / self.landscape.unit)
            start = residual
            # one Hessian serves several steps, with shallow valleys once the steep directions are done: a step along a
            # valley may raise the gradient across it, which the next ones mend
            for flat in (_FLAT, 1e-3 * _FLAT):
                curved = np.abs(values) > flat * np.abs(values).max()
                new, new_gradient = x, gradient
                for _ in range(4):
                    new = new - vectors[:, curved] @ (vectors[:, curved].T @ new_gradient / values[curved])
                    new_gradient = self._in_units(new)[1]
                    new_residual = float(np.linalg.norm(new) * np.linalg.norm(new_gradient))
                    if new_residual < residual:
                        x, gradient, residual = new, new_gradient, new_residual
                    elif not new_residual < 1e3 * residual:
                        break
            if residual <= 0.01 * STATIONARY or not residual < 0.1 * start:
                return x, residual, np.vstack([values, vectors])

    def _add(self, polished: tuple[Array, float, Array | None], escapes: int) -> int:
        x, residual, eigen = polished
        point = self.point(x)
        if (known := self.known(point)) is not None:
            return known
        self.points.append(point)
        index = len(self.points) - 1
        point.stationarity = residual
        if eigen is None:
            return index
        values, downhill = eigen[0], eigen[1:, 0]
        point.is_minimum = bool(values[0] >= -_FLAT * np.abs(values).max())
        step = 0.1 * max(float(np.linalg.norm(x)), 0.1) * downhill
        beyond = [x + step, x - step]
        if point.is_minimum and (filled := self.landscape.filled(x)) is not None:
            point.is_minimum, beyond = False, [filled]
        if not point.is_minimum and escapes < _MAX_ESCAPES and self.landscape.evaluations < _ESCAPING:
            self.saddles += 1
            ends = [self.descend(y, escapes + 1) for y in beyond]
            lowest = min(ends, key=lambda i: self.points[i].value)
            point.below = lowest if self.points[lowest].value < point.value else None
        return index

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
