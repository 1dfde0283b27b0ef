r"""``method="nuclear"``: the K x K convex problem for any prior, without its symmetries.

In ``Y = Z diag(omega)`` the problem is ``min f(Y) + gauge(|Y|_*)``, the gauge being a ball or a multiple of the norm.
Two steps take turns:

* *Accelerated proximal gradient* (Beck and Teboulle 2009, with restarts of O'Donoghue and Candes 2015): singular-value
  soft-thresholding, which finds the rank r of the optimum.
* *Newton on the manifold of rank r* (Bareilles, Iutzeler and Malick 2023 for the combination), which finds the optimum
  on it. At ``Y = U diag(s) V^T`` with ``E = U_r V_r^T`` the Lagrangian ``f + mu |.|_*`` has, along the tangent
  ``D = U [[A, C], [B, 0]] V^T``, the gradient ``G + mu E`` and the second derivative

      f''[D, D] + mu ( sum_{i<j<=r} (A_ij - A_ji)^2 / (s_i + s_j) + sum_i (|B_i|^2 + |C_i|^2) / s_i )
                + 2 <G_00, B diag(1/s) C>,

  G_00 the block of G outside both ranges, at most mu in norm at the optimum; the bases of the complements are those
  of its singular value decomposition ``G_00 = -diag(g)``. The step is found by preconditioned conjugate gradients and
  retracted by a truncated singular value decomposition; a ball keeps ``|Y|_* = radius`` (``tr A = 0``), and its mu is
  the least-squares multiplier.

The curvature of the norm is diagonal in symmetric and skew parts of X = [[A, C], [B, 0]]: nothing for the symmetric
part of A, ``(mu - g_a)/s_i`` and ``(mu + g_a)/s_i`` for those of B and C. That of CE is nearly diagonal in the entries
of Y instead. With the rotation ``R = U V^T`` the symmetric part of A stands for ``R S``, S symmetric, on whose entries
CE acts almost diagonally too. So the preconditioner divides the symmetric part of A in the basis of entries and all
else in the singular basis, which makes the number of inner steps (some ten) nearly independent of K.

The first kind of step alone converges to the global optimum, whatever the second does. The gap is first order in the
gradient's residual, so that Newton's method is what makes a relative gap of 1e-9 and less affordable.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ufm._linalg import svd
from ufm._validation import integer, tolerance
from ufm.problem import Problem
from ufm.solution import Solution
from ufm.solvers.conclude import FLOOR_ROOM, conclude, is_closed, zero_risk
from ufm.solvers.methods import Support

__all__ = ["conjugate_gradients", "minimise", "solve_nuclear", "supports"]

Array = NDArray[np.float64]

#: Singular values below this fraction of the largest count as zero.
_ZERO = 1e-13
#: Relative rounding error allowed for in comparisons of objective values.
_ROUNDING = 1e-14
_MAX_BURST = 10
_MAX_CG = 1000
_MAX_HALVINGS = 12
#: Newton systems of at most so many unknowns are written out once conjugate gradients take more than so many steps.
_FEW, _LONG = 100, 8
#: Logits that a Newton step of the risk alone moves by at most, where they are no larger themselves.
_STRIDE = 2.0
#: Entries of the second derivatives of all columns up to which they are taken apart.
_BLOCKS = 10**6
#: A bias of a price up to this moves no logits that float64 could show; beside weight decay, up to so much
#: of strength times |omega|: what columns share is at most ``lambda_b |b|/(strength |omega|)`` of an optimum's logits.
_ALL_BUT_FREE, _FREE_SHARE = 1e-100, 1e-20
_LONGEST = 40.0  # logarithm of a first length, either way
_LARGEST_START = 1e100  # sums of squares stay finite
#: Outer iterations without progress in value or gap after which float64 has given what it can.
_PATIENCE = 4
#: And iterations that have to lessen the gap by a tenth, or the value by a millionth.
_CREEPING = 30
#: A gap that is closed is closed by as much again, while that makes progress: it is first order in the logits' error.
_SHARPER = 1e-2


def supports(problem: Problem) -> Support:
    """Exact for every convex loss under a nuclear norm, whatever the prior.

    >>> import ufm
    >>> supports(Problem.of(ufm.LayerPeeled(1.0, 1.0), ufm.ClassPrior([1, 1]))).answer
    'exact'
    """
    if not problem.loss.is_convex:
        return Support.refused(f"loss {problem.loss.name} is not convex")
    if not problem.has_nuclear_norm:
        return Support.refused(
            f"architecture {problem.architecture!r} has no nuclear-norm gauge, the problem is not convex in it"
        )
    return Support("exact")


def solve_nuclear(
    problem: Problem,
    *,
    dim: int | None = None,
    tol: float = 1e-9,
    max_iter: int = 200,
    start: ArrayLike | None = None,
) -> Solution:
    """Solve ``problem`` over the K x K logits, for any prior, to a relative duality gap of ``tol``.

    Args:
        problem: what to solve.
        dim: feature dimension of the factors, default K.
        tol: relative duality gap > 0 at which to stop; about 1e-12 is what float64 allows.
        max_iter: outer iterations (a burst of proximal gradient steps and a Newton step each) >= 1.
        start: logits (K, K) to start from, such as the optimum at a nearby radius.

    Returns:
        The solution. Where the gap stays above ``tol``, ``is_global`` is None, a RuntimeWarning says so, and ``info``
        repeats it under ``"warning"``. ``info`` counts the ``proximal_steps``, ``newton_steps`` and ``cg_steps``.

    Raises:
        TypeError, ValueError: ``tol``, ``max_iter`` or ``start`` is not what it should be.

    >>> import ufm
    >>> problem = Problem.of(ufm.LayerPeeled(1.0, 1.0), ufm.ClassPrior([1, 1, 1]), "ce")
    >>> solution = solve_nuclear(problem)
    >>> round(solution.value, 6), solution.is_global
    (0.368981, True)
    """
    tol = tolerance("tol", tol)
    max_iter = integer("max_iter", max_iter, minimum=1)
    first = None if start is None else _check_start(start, problem.targets.shape)
    exact = _without_iterating(problem)
    if exact is not None:
        return conclude(problem, "nuclear", exact, tol=tol, iterations=0, info={}, dim=dim)
    search = _Search(problem, first)
    trouble = search.run(tol, max_iter)
    return conclude(
        problem,
        "nuclear",
        search.logits,
        tol=tol,
        lower=search.lower,
        iterations=search.iterations,
        info=search.counts,
        dim=dim,
        trouble=trouble,
    )


def minimise(
    problem: Problem,
    *,
    tol: float,
    start: Array,
    max_iter: int = 60,
    hopeless: Callable[[Array], bool] | None = None,
) -> Array:
    """Logits (K, m) near the minimum of a convex problem, from ``start``, without a conclusion: for whoever bounds it.

    It ends early at logits that are ``hopeless``: of a problem without a minimum they only grow.

    >>> import ufm
    >>> problem = Problem.of(ufm.LayerPeeled(1.0, 1.0), ufm.ClassPrior([1, 1, 1]), "ce")
    >>> round(problem.objective(minimise(problem, tol=1e-9, start=np.eye(3))), 6)
    0.368981
    """
    exact = _without_iterating(problem)
    if exact is not None:
        return exact
    search = _Search(problem, start)
    search.run(tol, max_iter, hopeless)
    return search.logits


def _check_start(start: ArrayLike, shape: tuple[int, ...]) -> Array:
    try:
        logits = np.array(start, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(f"start must be a {shape} array of real numbers, got {type(start).__name__}") from error
    if logits.shape != shape:
        raise ValueError(f"start must have shape {shape}, got {logits.shape}")
    if not np.isfinite(logits).all():
        raise ValueError("start must be finite, got NaN or infinite entries")
    if np.abs(logits).max() > _LARGEST_START:
        raise ValueError(f"start must have entries of at most {_LARGEST_START:g}, got {np.abs(logits).max():g}")
    return logits


def _without_iterating(problem: Problem) -> Array | None:
    """The optima at which the gauge is not differentiable or idle: Z = 0, and Z = T under MSE."""
    zero = np.zeros(problem.targets.shape)
    slope = problem.dual_norm(problem.gradient(zero))
    if problem.is_constrained:
        return zero if slope == 0 else zero_risk(problem)
    return zero if slope <= problem.strength else None


class _SecondOrder:
    """Gradient and Hessian of the risk at Y, in the variable ``Y = Z diag(omega)``."""

    def __init__(self, problem: Problem, y: Array) -> None:
        self._omega = problem.weights
        self._model = problem.risk_of.model(y / self._omega)
        self.gradient = self._model.gradient / self._omega

    def matrix(self) -> Array:
        """``f''`` as a matrix (K m, K m) of the entries of Y, row by row."""
        over = np.tile(1 / self._omega, len(self.gradient))
        return over[:, None] * self._model.matrix() * over

    def newton_step(self) -> Array | None:
        """D with ``f''[D] = -grad f``; None where all second derivatives are too much to take apart."""
        k, m = self.gradient.shape
        return self._model.newton_step() * self._omega if k * k * m <= _BLOCKS else None

    @property
    def bound(self) -> float:
        """About the largest local curvature, for the first step length."""
        return float(self.entries.max())

    def hessian(self, d: Array) -> Array:
        """``f''[D]``."""
        return self._model.hessian(d / self._omega) / self._omega

    @cached_property
    def entries(self) -> Array:
        """Diagonal of ``f''`` in the entries of Y, shape (K, m)."""
        return self._model.diagonals() / self._omega**2

    def forms(self, u: Array) -> Array:
        """``u_a^T H_j u_a / omega_j^2`` for the columns of u (K, q), shape (q, m).

        The diagonal ``f''[u_a v_b^T, u_a v_b^T]`` in the basis of the columns of u and v is their product with v^2.
        """
        return self._model.forms(u) / self._omega**2


@dataclass
class _Point:
    """``Y = U diag(s) V^T`` of rank r and its objective; U (K, r) and V^T (r, m)."""

    y: Array
    u: Array
    s: Array  # (r,)
    vt: Array
    value: float

    @classmethod
    def of(cls, u: Array, s: Array, vt: Array) -> _Point:
        """Of the singular vectors that belong to s, and perhaps more; its value is to be set."""
        u, vt = u[:, : len(s)], vt[: len(s)]
        return cls((u * s) @ vt, u, s, vt, math.nan)

    @property
    def rank(self) -> int:
        return len(self.s)


class _Search:
    """State of one solve: the current feasible point and what is known about the optimal value."""

    def __init__(self, problem: Problem, start: Array | None) -> None:
        self.problem = problem
        self.lower = problem.loss.infimum
        self.iterations = 0
        self.counts: dict[str, Any] = {"proximal_steps": 0, "newton_steps": 0, "cg_steps": 0}
        self._y, self._value = self._feasible_start(start)
        model = _SecondOrder(problem, self._y)
        # a loss that is all but linear has no curvature to go by: a step then moves Y by what it is
        flat = 1e-3 * float(np.linalg.norm(model.gradient)) / max(float(np.linalg.norm(self._y)), 1e-300)
        self._step = 1 / max(model.bound, flat, 1e-300)
        self._tried = True

    @property
    def logits(self) -> Array:
        """The best point so far, in the ball."""
        logits = self._y / self.problem.weights
        if self.problem.is_constrained:
            gauge = self.problem.gauge(logits)
            if gauge > self.problem.radius:
                logits = logits * (self.problem.radius / gauge)
        return logits

    def _feasible_start(self, start: Array | None) -> tuple[Array, float]:
        """``start`` scaled to the radius; by default the (centred) identity, at its best length if that is shorter."""
        problem = self.problem
        logits = self._centred(self._first_guess() if start is None else start)
        y = logits * problem.weights
        norm = float(np.linalg.norm(y, "nuc"))
        if norm == 0:
            return (y, self._objective(y, 0.0)) if start is None else self._feasible_start(None)
        y = y / norm
        if problem.is_constrained:
            radius = problem.radius
            at_radius = self._objective(y * radius, radius)
            # where half of it is better the ball may be far larger than the optimum, which then is found from near it
            if start is None and self._objective(y * radius / 2, radius / 2) < at_radius:
                shorter, norm = self._best_length(y)
                value = self._objective(shorter * min(norm, radius), norm)
                if value < at_radius:
                    return shorter * min(norm, radius), value
            return y * radius, at_radius
        if start is None:
            y, norm = self._best_length(y)
        return y * norm, self._objective(y * norm, norm)

    def _best_length(self, y: Array) -> tuple[Array, float]:
        """Y of gauge 1 and its best length without a bound; where no length beats 0, of the steepest descent at 0.

        Along the first Y the objective may rise from 0 on although 0 is not optimal, and next to 0 a loss that is
        linear there, as one with kinks is, has no curvature that says how far to go.
        """
        from scipy.optimize import minimize_scalar

        def along(y: Array) -> tuple[float, float]:
            """The least objective, and its length: convex, so that from logits of size 1 one way alone leads down.

            Far longer logits are dear to look at beside a bias, which no Newton step finds there.
            """

            def at(t: float) -> float:
                return self._objective(y * math.exp(t), math.exp(t))

            t = min(_LONGEST, max(-_LONGEST, -math.log(float(np.abs(y / self.problem.weights).max()))))
            value, way = at(t), 2.0
            ahead = at(t + way)
            if not ahead < value:
                way, ahead = -2.0, at(t - 2.0)
            while ahead < value and abs(t) < _LONGEST:
                t, value = t + way, ahead
                ahead = at(t + way)
            found = minimize_scalar(at, bounds=(t - 2.0, t + 2.0), method="bounded")
            return float(found.fun), math.exp(found.x)

        at_zero = self._objective(np.zeros_like(y), 0.0)
        value, norm = along(y)
        if value < at_zero - 100 * _ROUNDING * abs(at_zero):
            return y, norm
        u, _, vt = svd(-self.problem.gradient(np.zeros_like(y)) / self.problem.weights, full_matrices=False)
        steepest = np.outer(u[:, 0], vt[0])
        least, length = along(steepest)
        return (steepest, length) if least < min(at_zero, value) else (y, norm)

    def _centred(self, logits: Array) -> Array:
        """``logits`` without what changes no risk and costs gauge; steps along gradients leave that out as well.

        That is the loss's constant direction and, with a bias that is free or all but free, what all columns share:
        ``Y q`` for ``Y = Z diag(omega)`` and q along omega, for at an optimum ``G 1 = 0`` puts q outside of the row
        space of Y.
        """
        logits = self.problem.centred(logits)
        share = self.problem.weights**2
        price = 0.0 if self.problem.is_constrained else self.problem.strength * math.sqrt(float(share.sum()))
        if self.problem.bias is None or self.problem.bias > max(_ALL_BUT_FREE, _FREE_SHARE * price):
            return logits
        return logits - (logits @ share / share.sum())[:, None]

    def _first_guess(self) -> Array:
        """The targets, for one-hot labels the identity; where nothing of them is left, minus the gradient at 0."""
        guess = self.problem.targets
        if np.linalg.norm(self._centred(guess)) > 1e-8 * np.linalg.norm(guess):
            return guess
        return -self.problem.gradient(np.zeros(guess.shape))

    def _objective(self, y: Array, gauge: float) -> float:
        risk = self.problem.risk(y / self.problem.weights)
        return risk if self.problem.is_constrained else risk + self.problem.strength * gauge

    def run(self, tol: float, max_iter: int, hopeless: Callable[[Array], bool] | None = None) -> str:
        """Iterate until the gap is closed; otherwise return why not."""
        burst = 5
        best_gap, best_value, idle = math.inf, math.inf, 0
        far: list[tuple[float, float]] = []  # gaps and values
        while True:
            self.lower = max(self.lower, self.problem.lower_bound(self._y / self.problem.weights))
            gap = self._value - self.lower
            closed = self._is_closed(tol)
            if closed and self._is_closed(_SHARPER * tol):
                return ""
            if self.iterations >= max_iter:
                return "" if closed else f"max_iter = {max_iter} reached"
            progress = gap < 0.9 * best_gap or self._value < best_value - 100 * _ROUNDING * abs(self._value)
            idle = 0 if progress else idle + 1
            if closed and idle:
                return ""
            best_gap, best_value = min(gap, best_gap), min(self._value, best_value)
            far.append((best_gap, best_value))
            if idle >= _PATIENCE or self._creeps(far):
                return "no further progress in float64"
            if hopeless is not None and hopeless(self.logits):
                return "no minimum in sight"
            self.iterations += 1
            point = self._proximal_burst(burst)
            full_step = point.rank > 0 and self._newton(point)
            burst = max(1, burst // 2) if full_step else min(_MAX_BURST, 2 * burst)

    @staticmethod
    def _creeps(far: list[tuple[float, float]]) -> bool:
        """Whether many iterations have brought next to nothing: kinks of a loss whose risk is 1e-10 of its slope."""
        if len(far) <= _CREEPING:
            return False
        (gap, value), (last_gap, last_value) = far[-1 - _CREEPING], far[-1]
        return last_gap > 0.9 * gap and last_value > value - 1e-6 * abs(value)

    def _is_closed(self, tol: float) -> bool:
        return is_closed(self.problem, self._value, self.lower, tol) and self._is_stationary(tol)

    def _is_stationary(self, tol: float) -> bool:
        """Whether ``strength |Y|_* + <G, Z>`` and the excess of the dual norm vanish to first order as well.

        With budgets both are part of the duality gap. With weight decay the gap is second order in them, and closing
        it to tol would leave logits accurate to the root of tol.
        """
        problem = self.problem
        if problem.is_constrained:
            return True
        logits = self._y / problem.weights
        gradient, gauge = problem.gradient(logits), problem.gauge(logits)
        complementarity = abs(problem.strength * gauge + float(np.vdot(gradient, logits)))
        excess = max(0.0, problem.dual_norm(gradient) - problem.strength) * gauge
        return complementarity + excess <= max(tol * self._value, min(problem.floor, FLOOR_ROOM * self._value))

    def _proximal_burst(self, steps: int) -> _Point:
        """Take accelerated proximal gradient steps, none of which raises the objective."""
        point = None
        momentum, towards = 1.0, self._y
        if self._tried:
            self._step *= 2  # curvature falls with the risk; too long a step is halved below
        for _ in range(steps):
            candidate = self._proximal(towards)
            if candidate.value > self._value and momentum > 1:
                momentum = 1.0
                candidate = self._proximal(self._y)
            if candidate.value > self._value + _ROUNDING * abs(self._value):
                break
            following = (1 + math.sqrt(1 + 4 * momentum**2)) / 2
            # momentum that points uphill is dropped (gradient restart)
            uphill = np.vdot(towards - candidate.y, candidate.y - self._y) > 0
            towards = candidate.y if uphill else candidate.y + (momentum - 1) / following * (candidate.y - self._y)
            momentum = 1.0 if uphill else following
            point = candidate
            self._y, self._value = point.y, point.value
        return candidate if point is None else point

    def _proximal(self, y: Array) -> _Point:
        """``prox(Y - t grad f(Y))``, t halved until f lies below its quadratic model."""
        gradient = _SecondOrder(self.problem, y).gradient
        risk = self.problem.risk(y / self.problem.weights)
        self.counts["proximal_steps"] += 1
        while True:
            u, s, vt = svd(y - self._step * gradient, full_matrices=False)
            new = _Point.of(u, self._shrink(s), vt)
            d = new.y - y
            new_risk = self.problem.risk(new.y / self.problem.weights)
            model = risk + np.vdot(gradient, d) + np.vdot(d, d) / (2 * self._step)
            if new_risk <= model + 10 * _ROUNDING * abs(risk):
                # what rounding passes says nothing of the length, and too long a step undoes a Newton step
                self._tried = float(np.vdot(d, d)) / (2 * self._step) > 100 * _ROUNDING * abs(risk)
                penalty = 0.0 if self.problem.is_constrained else self.problem.strength * float(new.s.sum())
                new.value = float(new_risk) + penalty
                return new
            # half the step, or at once the one whose model the curvature met on this one allows, where that is shorter
            curved = new_risk - risk - float(np.vdot(gradient, d))
            met = float(np.vdot(d, d)) / (2 * curved) if curved > 0 and math.isfinite(curved) else math.inf
            self._step = min(self._step / 2, max(met, 1e-3 * self._step))
            if self._step == 0:
                raise ValueError(
                    f"loss {self.problem.loss.name} must be finite and continuous at logits of size "
                    f"{np.abs(y / self.problem.weights).max():.3g}, got {risk:g} there and {new_risk:g} next to them"
                )

    def _shrink(self, s: Array) -> Array:
        """Soft-threshold singular values (penalty), or project them onto the simplex (ball); the nonzero ones."""
        if not self.problem.is_constrained:
            s = s - self._step * self.problem.strength
        elif s.sum() > self.problem.radius:
            s = s - s[0]  # a shift changes nothing, and keeps the radius beside what is far larger
            excess = np.cumsum(s) - self.problem.radius
            last = int(np.nonzero(s * np.arange(1, len(s) + 1) > excess)[0][-1])
            s = s - excess[last] / (last + 1)
        return s[s > _ZERO * max(s[0], 0.0)] if s[0] > 0 else s[:0]

    def _newton(self, point: _Point) -> bool:
        """Take a Newton step on the manifold of the point's rank; True if the full step lowered the objective."""
        problem = self.problem
        if not problem.is_constrained:
            return self._newton_along(point, _NewtonSystem(problem, point))
        if point.s.sum() < problem.radius * (1 - 1e-9):
            return self._newton_inside(point)
        system = _NewtonSystem(problem, point)
        if system.residual < 1:
            return self._newton_along(point, system)
        # no multiplier yet: a point of the sphere may lie there without being pressed, so both are tried
        if self._newton_inside(point):
            return True
        inside = self._y, self._value
        full_step = system.mu > 0 and self._newton_along(point, system)
        if self._value > inside[1]:
            self._y, self._value = inside
            return False
        return full_step

    def _newton_along(self, point: _Point, system: _NewtonSystem) -> bool:
        x, cg_steps = system.solve()
        self.counts["cg_steps"] += cg_steps
        slope, d = float(np.vdot(system.gradient, x)), system.step(x)
        return self._shortened(point, slope, lambda length: self._retract(point.y + length * d, point.rank, point))

    def _newton_inside(self, point: _Point) -> bool:
        """Take a Newton step of the risk alone, where the ball is idle; as :meth:`_newton` otherwise."""
        model = _SecondOrder(self.problem, point.y)
        x = model.newton_step()
        if x is None or not np.isfinite(x).all():  # curvature that is all but singular gives steps beyond all numbers
            divisors = _floored(model.entries)
            x, cg_steps = conjugate_gradients(model.hessian, lambda r: r / divisors, -model.gradient, 1e-10)
            self.counts["cg_steps"] += cg_steps
        # a column that saturates has a step beyond all bounds, which would shorten those of the others
        longest = np.maximum(_STRIDE * self.problem.weights, np.abs(point.y).max(axis=0))
        x = x * np.minimum(1.0, longest / np.maximum(np.abs(x).max(axis=0), 1e-300))
        x = self._centred_step(x)  # the preconditioner mixes in what the loss does not see, and the ball has to hold
        if not np.isfinite(x).all():
            return False
        slope = float(np.vdot(model.gradient, x))
        if self._shortened(point, slope, lambda length: self._within(point.y + length * x)):
            return True
        self._step_to_sphere(point.y, x)
        return False

    def _step_to_sphere(self, y: Array, x: Array) -> None:
        """Go from Y along X to the sphere, if that is lower than what was found.

        Halves of a step come the nearer to the sphere the shorter they are: an optimum that it hardly presses is not
        reached by them, for from inside no step along the sphere is taken.
        """
        from scipy.optimize import brentq

        radius = self.problem.radius

        def beyond(length: float) -> float:
            return float(np.linalg.norm(y + length * x, "nuc")) - radius

        if not beyond(0.0) < 0 < beyond(1.0):
            return
        new = self._within(y + brentq(beyond, 0.0, 1.0, xtol=1e-15) * x)
        if new.value < self._value:
            self._y, self._value = new.y, new.value

    def _centred_step(self, x: Array) -> Array:
        weights = self.problem.weights
        return self._centred(x / weights) * weights

    def _shortened(self, point: _Point, slope: float, moved: Callable[[float], _Point]) -> bool:
        """Take the longest step that lowers the objective as ``slope`` promises (Armijo); True if it is in full."""
        length = 1.0
        for _ in range(_MAX_HALVINGS):
            new = moved(length)
            if new.value <= point.value + 1e-4 * length * slope + _ROUNDING * abs(point.value):
                self._y, self._value = new.y, new.value
                self.counts["newton_steps"] += 1
                return length == 1.0
            length /= 2
        return False

    def _within(self, y: Array) -> _Point:
        """The point of the ball nearest to ``y``."""
        u, s, vt = svd(y, full_matrices=False)
        return self._valued(_Point.of(u, self._shrink(s), vt))

    def _valued(self, point: _Point) -> _Point:
        point.value = self._objective(point.y, float(point.s.sum()))
        return point

    def _retract(self, y: Array, rank: int, before: _Point | None = None) -> _Point:
        """The point of at most ``rank`` nearest to ``Y``, without the directions that turned round since ``before``.

        A Newton step sees the norm as ``<E, Y>``, which goes on falling where a singular value passes 0; the norm
        itself rises again there. Proximal steps drop few such directions at a time.
        """
        u, s, vt = svd(y, full_matrices=False)
        u, s, vt = u[:, :rank], s[:rank], vt[:rank]
        if before is not None:
            kept = np.einsum("ia,ai->i", u.T @ before.u, before.vt @ vt.T) > 0
            if kept.any():
                u, s, vt = u[:, kept], s[kept], vt[kept]
        if self.problem.is_constrained:
            s = s * (self.problem.radius / s.sum())
        return self._valued(_Point.of(u, s, vt))


class _NewtonSystem:
    """The Newton system of the module's docstring at one point, in coordinates ``X = U^T D V``.

    Of the complement of the rows only as much has a basis as pairs with that of the columns, so that V is (m, q) with
    q = min(K, m). What lies outside is kept as it is, ``R = U_r^T D (I - V V^T)`` (r, m), in further columns of X.
    """

    def __init__(self, problem: Problem, point: _Point) -> None:
        r = self._r = point.rank
        self._constrained = problem.is_constrained
        self._model = _SecondOrder(problem, point.y)
        self._diag = np.arange(r)
        self._s = point.s
        self._sums = point.s[:, None] + point.s
        left, outside, right = self._outer_directions(point)
        self._u = _completed(np.hstack([point.u, left]), full=True)
        self._v = _completed(np.hstack([point.vt.T, -right]))
        self._spare = self._v.shape[0] > self._v.shape[1]
        g = self._coordinates(self._model.gradient)
        self.mu = -float(np.trace(g[:r, :r])) / r if problem.is_constrained else problem.strength
        # where g > mu the rank is too small; clipping keeps the system positive definite there
        self._outside = np.minimum(outside, (1 - 1e-9) * self.mu)[:, None]
        self._paired = len(outside)  # of K - r and m - r directions outside, as many as both have
        g[self._diag, self._diag] += self.mu
        self.gradient = self._tangent(g)
        self._prepare_preconditioner()

    def _outer_directions(self, point: _Point) -> tuple[Array, Array, Array]:
        """Singular vectors and values of the gradient outside both ranges, as many as both complements have."""
        g, u, v = self._model.gradient, point.u, point.vt.T
        g = g - u @ (u.T @ g)
        g -= (g @ v) @ v.T
        count = min(g.shape) - self._r
        left, outside, right = svd(g, full_matrices=False)
        return left[:, :count], outside[:count], right[:count].T

    def step(self, x: Array) -> Array:
        """``D = U X V^T``, and what lies outside of the rows that V spans."""
        q = self._v.shape[1]
        d: Array = self._u @ x[:, :q] @ self._v.T
        if self._spare:
            d += self._u[:, : self._r] @ x[: self._r, q:]
        return d

    def _coordinates(self, d: Array) -> Array:
        """``U^T D V``, with what V does not span beside it."""
        rows = self._u.T @ d
        core = rows @ self._v
        if not self._spare:
            return core
        out = np.zeros((len(rows), sum(self._v.shape)))
        out[:, : core.shape[1]] = core
        out[: self._r, core.shape[1] :] = rows[: self._r] - core[: self._r] @ self._v.T
        return out

    def _tangent(self, x: Array) -> Array:
        """Project onto the tangent space, in place."""
        r = self._r
        x[r:, r:] = 0.0
        if self._constrained:
            x[self._diag, self._diag] -= np.trace(x[:r, :r]) / r
        return x

    def apply(self, x: Array) -> Array:
        """The second derivative at X, projected onto the tangent space."""
        r, mu, s, outside = self._r, self.mu, self._s, self._outside
        out = self._coordinates(self._model.hessian(self.step(x)))
        a, below, right = x[:r, :r], x[r:, :r], x[:r, r:].T
        out[:r, :r] += mu * (a - a.T) / self._sums
        p = self._paired
        out[r:, :r] += mu * below / s
        out[:r, r:] += (mu * right / s).T
        out[r : r + p, :r] -= outside * right[:p] / s
        out[:r, r : r + p] -= (outside * below[:p] / s).T
        return self._tangent(out)

    def matrix(self) -> Array:
        """:meth:`apply` as a matrix of X, row by row; where V spans all rows."""
        r, mu, s, p = self._r, self.mu, self._s, self._paired
        k, q = len(self._u), self._v.shape[1]
        basis = np.kron(self._u, self._v)
        out = (basis.T @ self._model.matrix() @ basis).reshape(k, q, k, q)
        i, j = np.indices((r, r))
        out[i, j, i, j] += mu / self._sums
        out[i, j, j, i] -= mu / self._sums
        i, below = np.indices((r, k - r))
        out[r + below, i, r + below, i] += mu / s[i]
        i, right = np.indices((r, q - r))
        out[i, r + right, i, r + right] += mu / s[i]
        i, pair = np.indices((r, p))
        coupled = self._outside[pair, 0] / s[i]
        out[r + pair, i, i, r + pair] -= coupled
        out[i, r + pair, r + pair, i] -= coupled
        out[r:, r:] = 0.0
        out[:, :, r:, r:] = 0.0
        flat = out.reshape(k * q, k * q)
        if self._constrained:  # P M P, P the projection that leaves the trace out
            trace = np.eye(k, q)
            trace[r:] = 0.0
            n = trace.ravel() / math.sqrt(r)
            left, right = n @ flat, flat @ n
            flat = flat - np.outer(n, left) - np.outer(right, n) + (n @ right) * np.outer(n, n)
        return flat

    def _map(self) -> Map:
        """:meth:`apply`, written out as a matrix where there are few unknowns and many steps."""
        if self._spare or self._u.shape[0] * self._v.shape[1] > _FEW:
            return self.apply
        steps, matrix = 0, np.empty(0)

        def apply(x: Array) -> Array:
            nonlocal steps, matrix
            steps += 1
            if steps <= _LONG:
                return self.apply(x)
            if steps == _LONG + 1:
                matrix = self.matrix()
            out: Array = (matrix @ x.ravel()).reshape(x.shape)
            return out

        return apply

    def _prepare_preconditioner(self) -> None:
        r, mu, s, p = self._r, self.mu, self._s, self._paired
        forms = self._model.forms(self._u)
        curvature = forms @ self._v**2
        floor = 1e-3 * curvature.mean() + 1e-300  # divisors stay positive
        curvature = np.maximum(curvature, floor)
        block = curvature[:r, :r]
        self._skew = (block + block.T) / 2 + 2 * mu / self._sums
        paired = (curvature[r : r + p, :r] + curvature[:r, r : r + p].T) / 2
        self._below_skew = paired + (mu + self._outside) / s
        self._below_symmetric = paired + (mu - self._outside) / s
        self._below_alone = curvature[r + p :, :r] + mu / s
        self._rest = np.maximum(forms[:r], floor) + mu / s[:, None]
        # the symmetric part of A stands for R S with R = U V^T, see the module's docstring, or S R with more columns
        square = min(self._u.shape[1], self._v.shape[1])
        rotation = self._u[:, :square] @ self._v[:, :square].T
        wide = self._spare
        entries = self._model.entries @ rotation.T**2 if wide else rotation.T**2 @ self._model.entries
        self._entries = _floored((entries + entries.T) / 2)
        self._entry_basis = (self._u if wide else self._v)[:, :r]

    def _precondition(self, x: Array) -> Array:
        r, p = self._r, self._paired
        out = np.zeros_like(x)
        a, below, right = x[:r, :r], x[r:, :r], x[:r, r : r + p].T
        b = self._entry_basis
        out[:r, :r] = b.T @ ((b @ ((a + a.T) / 2) @ b.T) / self._entries) @ b + (a - a.T) / (2 * self._skew)
        symmetric = (below[:p] + right) / (2 * self._below_symmetric)
        skew = (below[:p] - right) / (2 * self._below_skew)
        out[r : r + p, :r] = symmetric + skew
        out[:r, r : r + p] = (symmetric - skew).T
        out[r + p :, :r] = below[p:] / self._below_alone
        if self._spare:
            rest = x[:r, r + p :] / self._rest
            out[:r, r + p :] = rest - (rest @ self._v) @ self._v.T
        return self._tangent(out)

    @property
    def residual(self) -> float:
        """Norm of the gradient beside that of ``mu E``; infinite without a multiplier."""
        size = self.mu * math.sqrt(self._r)
        return float(np.linalg.norm(self.gradient)) / size if size > 0 else math.inf

    def solve(self) -> tuple[Array, int]:
        """Conjugate gradients to a relative residual that falls with the gradient (Eisenstat and Walker 1996)."""
        target = min(0.1, max(self.residual, 1e-12))
        return conjugate_gradients(self._map(), self._precondition, -self.gradient, target)


Map = Callable[[Array], Array]


def conjugate_gradients(
    apply: Map, precondition: Map, right: Array, target: float, most: int = _MAX_CG
) -> tuple[Array, int]:
    """About the solution of a positive semidefinite system, to a relative residual of ``target``, and the steps.

    >>> divide = np.array([2.0, 4.0])
    >>> conjugate_gradients(lambda x: divide * x, lambda x: x / divide, np.array([2.0, 2.0]), 1e-12)
    (array([1. , 0.5]), 1)
    """
    x = np.zeros_like(right)
    residual = right
    z = precondition(residual)
    p, rz = z, np.vdot(residual, z)
    first = rz
    # in exact arithmetic as many steps as there are unknowns end it; rounding takes some more
    limit = min(most, 10 + 4 * x.size)
    for step in range(1, limit + 1):
        hp = apply(p)
        curvature = np.vdot(p, hp)
        if not curvature > 0:  # rounding, next to the solution
            return x, step
        x = x + rz / curvature * p
        residual = residual - rz / curvature * hp
        z = precondition(residual)
        rz, previous = np.vdot(residual, z), rz
        if rz <= target**2 * first:
            return x, step
        p = z + rz / previous * p
    return x, limit


def _completed(columns: Array, full: bool = False) -> Array:
    """``columns`` (n, q), orthonormal but for those that rounding made up, as such; and ``full``, a basis of R^n."""
    q, r = np.linalg.qr(columns, mode="complete" if full else "reduced")
    signs = np.where(np.diagonal(r) < 0, -1.0, 1.0)
    q[:, : len(signs)] *= signs
    return q


def _floored(diagonal: Array) -> Array:
    """Positive divisors: entries not below a thousandth of the mean."""
    return np.maximum(diagonal, 1e-3 * diagonal.mean() + 1e-300)
