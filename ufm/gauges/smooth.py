"""A smooth convex function of a matrix, as descents in factors want it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from ufm._linalg import eigh

__all__ = ["DENSE", "Linear", "Quadratic", "Smooth", "damped_newton", "damped_step"]

Array = NDArray[np.float64]


class Smooth(Protocol):
    """``phi(Y)`` of a matrix Y (K, m).

    >>> f: Smooth = Quadratic(np.eye(2), 2.0)
    >>> f.value(np.eye(2)), f.gradient(np.eye(2)).tolist(), f.hessian(np.eye(2))(np.eye(2)).tolist()
    (0.0, [[0.0, 0.0], [0.0, 0.0]], [[2.0, 0.0], [0.0, 2.0]])
    """

    def value(self, y: Array) -> float:
        """``phi(Y)``."""

    def gradient(self, y: Array) -> Array:
        """Its gradient, shape (K, m)."""

    def hessian(self, y: Array) -> Callable[[Array], Array]:
        """Its second derivative at Y, a linear map of matrices (K, m)."""


class Quadratic:
    """``(rho/2) |Y - C|_F^2``.

    >>> f = Quadratic(np.eye(2), 2.0)
    >>> f.value(np.zeros((2, 2))), f.gradient(np.zeros((2, 2))).tolist()
    (2.0, [[-2.0, 0.0], [0.0, -2.0]])

    Attributes:
        rho: its curvature, the same in all directions.
    """

    def __init__(self, centre: Array, rho: float) -> None:
        self.centre, self.rho = centre, rho

    def value(self, y: Array) -> float:
        """``(rho/2) |Y - C|^2``."""
        return self.rho / 2 * float(((y - self.centre) ** 2).sum())

    def gradient(self, y: Array) -> Array:
        """``rho (Y - C)``."""
        return self.rho * (y - self.centre)

    def hessian(self, y: Array) -> Callable[[Array], Array]:
        """rho times the identity."""
        return lambda d: self.rho * d


class Linear:
    """``-<G, Y>``.

    >>> Linear(np.eye(2)).value(np.eye(2))
    -2.0
    """

    def __init__(self, gradient: Array) -> None:
        self._g = gradient

    def value(self, y: Array) -> float:
        """``-<G, Y>``."""
        return -float(np.vdot(self._g, y))

    def gradient(self, y: Array) -> Array:
        """``-G``."""
        return -self._g

    def hessian(self, y: Array) -> Callable[[Array], Array]:
        """Zero."""
        return lambda d: np.zeros_like(d)


#: Up to so many unknowns all eigenvalues of a system are computed; beyond, a Cholesky factor or conjugate gradients.
DENSE = 250
#: Up to so many unknowns a system that is at hand as a matrix is factorised.
_FACTORISED = 1200


def damped_step(
    apply: Callable[[Array], Array],
    gradient: Array,
    damping: float,
    matrix: Callable[[], Array] | None = None,
) -> Array:
    """``-(H + damping I)^{-1} g``, H symmetric and nearly positive semidefinite.

    With all eigenvalues negative ones count by their size; conjugate gradients stop where the curvature ends.

    Args:
        apply: products with H.
        gradient: g.
        damping: at least 0.
        matrix: H written out, where that costs less than n products.

    >>> damped_step(lambda x: 2 * x, np.ones(2), 0.0)
    array([-0.5, -0.5])
    """
    n = len(gradient)
    if n <= DENSE:
        h = np.column_stack([apply(e) for e in np.eye(n)]) if matrix is None else matrix()
        values, vectors = eigh((h + h.T) / 2)
        return np.asarray(-vectors @ ((vectors.T @ gradient) / (np.abs(values) + damping)), dtype=float)
    if matrix is not None and n <= _FACTORISED and (found := _solved(matrix(), gradient, damping)) is not None:
        return found
    return _conjugate_gradients(apply, gradient, damping)


def _solved(h: Array, gradient: Array, damping: float) -> Array | None:
    """By Cholesky's factor; None where the damped matrix has a negative eigenvalue."""
    from scipy.linalg import cho_factor, cho_solve

    # directions without curvature are many where factors are: there rounding must not decide
    h[np.diag_indices_from(h)] += max(damping, 1e-13 * float(np.abs(np.diagonal(h)).max()))
    try:
        return np.asarray(-cho_solve(cho_factor(h, check_finite=False), gradient, check_finite=False), dtype=float)
    except np.linalg.LinAlgError:
        return None


def _conjugate_gradients(apply: Callable[[Array], Array], gradient: Array, damping: float) -> Array:
    x, r = np.zeros(len(gradient)), -gradient
    p, rr = r, float(r @ r)
    first = rr
    for _ in range(400):
        hp = apply(p) + damping * p
        curvature = float(p @ hp)
        if curvature <= 0:
            return x if x.any() else -gradient
        x = x + rr / curvature * p
        r = r - rr / curvature * hp
        rr, before = float(r @ r), rr
        if rr <= 1e-20 * first:
            break
        p = r + rr / before * p
    return x


class _State(Protocol):
    """A point of a damped Newton method; ``residual`` is its gradient's norm, ``scale`` that of the terms in it."""

    objective: float
    residual: float
    scale: float

    def step(self, damping: float) -> Array:
        """The damped Newton step."""

    def moved(self, step: Array) -> Self:
        """The point after ``step``, back among those that are allowed."""


S = TypeVar("S", bound=_State)


def damped_newton(state: S, max_steps: int, done: Callable[[S], bool] = lambda state: False) -> S:
    """The last point of a damped Newton method that lowers the objective, or at equal objective the residual.

    Args:
        state: where to start.
        max_steps: most steps.
        done: whether a point is good enough.

    >>> class Parabola:
    ...     def __init__(self, x):
    ...         self.x, self.objective, self.residual, self.scale = x, x * x / 2, abs(x), 1.0
    ...     def step(self, damping):
    ...         return -self.x / (1 + damping)
    ...     def moved(self, step):
    ...         return Parabola(self.x + step)
    >>> abs(damped_newton(Parabola(3.0), 50).x) < 1e-12
    True
    """
    damping = 1e-3
    for _ in range(max_steps):
        if state.residual <= 1e-16 * state.scale or done(state):
            break
        trial = state.moved(state.step(damping * min(1.0, state.residual / state.scale) * state.scale))
        rounding = 1e-14 * abs(state.objective)
        lower = trial.objective < state.objective - rounding  # leaving a saddle, the gradient grows at first
        nearer = trial.residual < state.residual * (1 - 1e-3) and trial.objective <= state.objective + rounding
        if lower or nearer:
            state, damping = trial, max(damping / 10, 1e-8)
        elif damping > 1e4:
            break
        else:
            damping *= 10
    return state
