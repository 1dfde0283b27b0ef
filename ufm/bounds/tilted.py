r"""A convex problem tilted by a linear functional, and the bound of the functional that its minimum gives.

Let ``F = f + penalty``, and ``v`` a value that the objective must not exceed. For every t > 0

    max { <C, Z> : F(Z) <= v, Omega(Z) <= tau }  <=  t v - min { t F(Z) - <C, Z> }  =  t (v - min T),
    T(Z) = F(Z) - <C, Z> / t,

and T has a lower bound by weak duality at any Z, with ``G = grad f(Z)``, ``G' = G - C/t`` and ``P = Omega^o(-G')``:

    budgets:       T >= f(Z) - <G, Z> - tau P,
    weight decay:  T >= f(Z) - <G, Z> - max(0, P - 1) (v - inf f),

for what F allows costs at most ``v - inf f`` in penalty. The bound is convex in t, and its derivative is
``v - F(Z_t)`` at the minimum Z_t: the best t is where the minimum just keeps the objective, and there ``<C, Z_t>`` is
attained. With a bias all is joint in Z and b, and the functional sees ``Z + b 1^T``. Source: theory section 9.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from ufm.losses import Loss
from ufm.problem import Problem
from ufm.solvers.nuclear import minimise

__all__ = ["Extreme", "highest"]

Array = NDArray[np.float64]

#: Factor between two multipliers while a bracket is looked for, and how often.
STRIDE, MAX_STRIDES = 8.0, 30
#: Relative width of the bracket of the multiplier: the bound is flat at the best one.
ENOUGH = 1e-3
#: Objectives that exceed what is allowed by more than this, in units of 1 + v - inf f, are those of a divergence.
FAR = 1e3
#: Relative gap to which tilted problems are solved.
TOLERANCE = 1e-9


class Tilted(Loss):
    """A loss less a linear function of every column: ``l(z_j; t_j) - <c_j, z_j>``."""

    infimum = -math.inf

    def __init__(self, base: Loss, tilt: Array) -> None:
        self.base, self.tilt, self.is_convex, self.floor = base, tilt, base.is_convex, base.floor

    def values(self, logits: Array, targets: Array) -> Array:
        """``l(z_j; t_j) - <c_j, z_j>``, shape (m,)."""
        return self.base.values(logits, targets) - (self.tilt * logits).sum(axis=0)

    def gradients(self, logits: Array, targets: Array) -> Array:
        """The base's, less the tilt."""
        return self.base.gradients(logits, targets) - self.tilt

    def curvatures(self, logits: Array, targets: Array, directions: Array) -> Array:
        """The base's."""
        return self.base.curvatures(logits, targets, directions)

    def curvature_diagonals(self, logits: Array, targets: Array) -> Array:
        """The base's."""
        return self.base.curvature_diagonals(logits, targets)

    def curvature_forms(self, logits: Array, targets: Array, vectors: Array) -> Array:
        """The base's."""
        return self.base.curvature_forms(logits, targets, vectors)

    def constant_direction(self, num_classes: int) -> Array | None:
        """The base's where the tilt does not see it."""
        c = self.base.constant_direction(num_classes)
        if c is None or np.abs(c @ self.tilt).max() > 1e-13 * np.abs(self.tilt).max(initial=0.0):
            return None
        return c


@dataclass(frozen=True)
class _TiltedProblem(Problem):
    """A problem with a tilted loss; its bounds hold where the penalty is at most ``spare``."""

    spare: float = math.inf

    def lower_bound(self, logits: Array) -> float:
        """Lower bound of T by weak duality at the gradient there, see the module."""
        gradient = self.gradient(logits)
        base, norm = self.risk(logits) - float(np.vdot(gradient, logits)), self.dual_norm(gradient)
        if self.is_constrained:
            return base - self.radius * norm
        excess = norm / self.strength - 1
        return base - excess * self.spare if excess > 0 else base


@dataclass(frozen=True)
class Extreme:
    """The most that a linear functional can be.

    Attributes:
        bound: no logits within the objective have more.
        attained: some have that much, at most ``bound``.
    """

    bound: float
    attained: float


def highest(problem: Problem, functional: Array, objective: float, best: Array) -> Extreme:
    """The largest ``<C, Z + b 1^T>`` over everything whose objective is at most ``objective``.

    Args:
        problem: convex, with a nuclear-norm gauge.
        functional: C, shape (K, m); not 0.
        objective: v, at least the optimal value.
        best: the optimum's logits (K, m).

    >>> import ufm
    >>> s = ufm.solve(ufm.LayerPeeled(1.0, 1.0), ufm.ClassPrior([1, 1, 1]))
    >>> found = highest(s.problem, np.eye(3), s.value + 1e-3, s.logits)
    >>> bool(np.trace(s.logits) <= found.attained <= found.bound)
    True
    """
    scale = float(np.abs(functional).max())
    c = functional / scale
    spare = objective - problem.loss.infimum * float(problem.prior.probabilities.sum())
    far = objective + FAR * (1 + spare)
    z = best
    bound, attained = math.inf, _value(problem, c, best)

    @functools.cache
    def excess(t: float) -> float:
        """``F(Z_t) - v``, falling in t; keeps the best bound and the best attained value."""
        nonlocal z, bound, attained
        tilted = _TiltedProblem(
            problem.architecture,
            problem.prior,
            Tilted(problem.loss, c / (t * problem.prior.probabilities)),
            problem.bias,
            spare,
        )
        with np.errstate(all="ignore"):  # a tilt beyond the penalty's slope has no minimum: what diverges is left
            try:
                there = minimise(tilted, tol=TOLERANCE, start=z, hopeless=lambda y: not problem.objective(y) < far)
                value = _value(tilted, c, there)
                reached = tilted.objective(there) + value / t  # F at the logits and the bias that are best for T
            except np.linalg.LinAlgError:
                return FAR * (1 + spare)
        if not (math.isfinite(reached) and reached < far):
            return FAR * (1 + spare)
        z = there
        bound = min(bound, t * (objective - tilted.lower_bound(z)))
        if reached <= objective:
            attained = max(attained, value)
        return reached - objective

    # With weight decay a minimum exists for certain where the tilt is below the penalty's slope.
    start = abs(objective) if problem.is_constrained else 2 * problem.dual_norm(c) / problem.strength
    low = high = max(1e-6, start)
    if excess(high) > 0:  # too much weight on the functional
        for _ in range(MAX_STRIDES):
            low, high = high, high * STRIDE
            if excess(high) <= 0:
                break
    else:
        for _ in range(MAX_STRIDES):
            low, high = low / STRIDE, low
            if excess(low) > 0:
                break
    ends = math.log(low), math.log(high)  # whose exponentials are not quite low and high
    if excess(math.exp(ends[0])) > 0 >= excess(math.exp(ends[1])):
        brentq(lambda log_t: excess(math.exp(log_t)), *ends, xtol=ENOUGH, rtol=ENOUGH)
    bound = max(bound, attained)
    return Extreme(scale * bound, scale * attained)


def _value(problem: Problem, functional: Array, logits: Array) -> float:
    """``<C, Z + b 1^T>``, b the best bias at Z."""
    bias = problem.best_bias(logits)
    return float(np.vdot(functional, logits if bias is None else logits + bias[:, None]))
