r"""Descent in two factors of which the second is nonnegative, ``Y = W H``, ``H >= 0``.

    minimise phi(W H) + (lam/2) (|W|_F^2 + |H|_F^2)        or        phi(W H) over |W|_F^2 + |H|_F^2 <= 2 tau.

Three kinds of step take turns until none gains anything:

* L-BFGS-B in the factors; for a ball in coordinates x with a slack s, ``Y = 2 tau W H / (|x|^2 + s^2)``.
* Newton's method on the entries that are not held at 0 (Bertsekas 1982), damped along the directions in which nothing
  changes (factors of one Y are many); on a ball it moves along the sphere, with the multiplier that fits best.
* A new atom: the v >= 0 that likes the negative gradient best, ``|G v| > lam |v|``, is a way down that no descent from
  the atoms at hand sees. Where there is none, and phi is convex, the point is the optimum (theory section 8).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ufm._linalg import eigh
from ufm.gauges.copositive import cone_ascents, cone_maximum
from ufm.gauges.smooth import Quadratic, Smooth, damped_newton, damped_step

__all__ = ["ConePoint", "minimise_over_cone"]

Array = NDArray[np.float64]

#: An atom counts as nothing below this fraction of all of them; below the second it is tried to do without it.
_NOTHING, _LITTLE = 1e-12, 1e-5
#: What a missing atom could bring to first order, relative to the objective, up to which none is missing.
_MISSING = 1e-13
#: Atoms that lead down with this share of the steepest one's slope are taken along with it.
_STEEP = 0.1
#: At most so many atoms are new at once.
_TOGETHER = 3
_MAX_ATOMS = 60
_MAX_NEWTON = 400
#: Steps of a descent that starts near its end, which Newton's method then finds.
_WARM_STEPS = 1000


@dataclass(frozen=True)
class ConePoint:
    """A point of the descent.

    Attributes:
        w: W, shape (K, d).
        h: H >= 0, shape (d, m).
        multiplier: lam, or that of the ball; 0 where it is idle.
        rounds: how often an atom was looked for.
    """

    w: Array
    h: Array
    multiplier: float
    rounds: int = 0

    @property
    def y(self) -> Array:
        """``W H``."""
        return self.w @ self.h

    @property
    def gauge(self) -> float:
        """``(|W|^2 + |H|^2) / 2``, at least the gauge of ``W H``."""
        return (float((self.w**2).sum()) + float((self.h**2).sum())) / 2


def minimise_over_cone(
    phi: Smooth,
    shape: tuple[int, int],
    *,
    strength: float = 0.0,
    radius: float | None = None,
    start: ConePoint | None = None,
    width: int | None = None,
    relative: bool = False,
    enough: float = 0.0,
) -> ConePoint:
    """Minimise phi over the cone of factors, see the module's docstring.

    Args:
        phi: a smooth function of Y.
        shape: (K, m) of Y.
        strength: lam > 0 of the penalty, where there is no ball.
        radius: tau > 0 of the ball; None for a penalty.
        start: factors to start from; None for one atom a column.
        width: most atoms d that may be used; None for as many as are needed.
        relative: whether phi is positive and wanted to relative accuracy, however small (its logarithm then descends).
        enough: absolute gap that needs no closing.

    >>> from ufm.gauges.smooth import Quadratic
    >>> point = minimise_over_cone(Quadratic(np.diag([3.0, 1.0]), 1.0), (2, 2), strength=0.5)
    >>> np.abs(point.y).round(9).tolist()
    [[2.5, 0.0], [0.0, 0.5]]
    """
    descent = _Descent(phi, shape, strength, radius, relative)
    point = descent.first(width) if start is None else start
    best = descent.pruned(descent.polished(descent.descended(point, 3000 if start is None else _WARM_STEPS)))
    limit = _MAX_ATOMS if width is None else width
    rounds = 0
    while rounds < _MAX_ATOMS:
        rounds += 1
        if best.w.shape[1] >= limit or (grown := descent.grown(best, limit - best.w.shape[1], enough)) is None:
            break
        point = descent.pruned(descent.polished(descent.descended(grown, _WARM_STEPS)))
        # an atom that brings nothing but rounding is the end
        if not descent.objective(point) < descent.objective(best) - 1e-15 * abs(descent.objective(best)):
            break
        best = point
    return ConePoint(best.w, best.h, best.multiplier, rounds)


class _Descent:
    def __init__(
        self, phi: Smooth, shape: tuple[int, int], strength: float, radius: float | None, relative: bool
    ) -> None:
        self._phi, self._shape, self._lam, self._tau, self._relative = phi, shape, strength, radius, relative

    def objective(self, point: ConePoint) -> float:
        """phi, plus the penalty where there is one."""
        value = self._phi.value(point.y)
        return value if self._tau is not None else value + self._lam * point.gauge

    def first(self, width: int | None) -> ConePoint:
        """An atom a column, along minus the gradient at 0; with fewer than columns, nonnegative ones that mix them."""
        m = self._shape[1]
        u = -self._phi.gradient(np.zeros(self._shape))
        norms = np.linalg.norm(u, axis=0)
        u = u / np.where(norms > 0, norms, 1.0)
        h = np.eye(m)
        if width is not None and width < m:
            vectors = eigh(u.T @ u)[1]
            h = np.abs(vectors[:, ::-1][:, :width].T) + 0.1
            h = h / np.linalg.norm(h, axis=1, keepdims=True)
            u = u @ h.T
        # next to nothing for a penalty, which then grows what pays; a third of the ball for a ball
        size = 0.5 if self._tau is None else math.sqrt(self._tau / (3 * max(len(h), 1)))
        return ConePoint(size * u, size * h, self._lam)

    # -- descents ---------------------------------------------------------------------------------------------------

    def descended(self, point: ConePoint, steps: int = 3000) -> ConePoint:
        """Where L-BFGS-B ends from ``point``."""
        from scipy.optimize import minimize

        k, d = point.w.shape
        m = point.h.shape[1]
        cut = k * d
        tau = self._tau

        def split(x: Array) -> tuple[Array, Array]:
            return x[:cut].reshape(k, d), x[cut : cut + d * m].reshape(d, m)

        def penalised(x: Array) -> tuple[float, Array]:
            w, h = split(x)
            y = w @ h
            g = self._phi.gradient(y)
            value = self._phi.value(y) + self._lam / 2 * float(x @ x)
            return value, np.concatenate([(g @ h.T).ravel(), (w.T @ g).ravel()]) + self._lam * x

        def in_ball(x: Array) -> tuple[float, Array]:
            w, h = split(x)
            size = float(x @ x)
            scale = 2 * tau / size  # type: ignore[operator]
            y = scale * (w @ h)
            g = self._phi.gradient(y)
            value = self._phi.value(y)
            slope = scale * np.concatenate([(g @ h.T).ravel(), (w.T @ g).ravel(), [0.0]])
            slope -= 2 * float(np.vdot(g, y)) / size * x
            if not self._relative:
                return value, slope
            value = max(value, 1e-300)
            return math.log(value), slope / value

        x = np.concatenate([point.w.ravel(), point.h.ravel()])
        bounds: list[tuple[float | None, float | None]] = [(None, None)] * cut + [(0.0, None)] * (d * m)
        if tau is not None:
            rest = 2 * tau - float(x @ x)
            x = np.append(x, math.sqrt(max(rest, 0.0)))
            bounds.append((0.0, None))
        found = minimize(
            penalised if tau is None else in_ball,
            x,
            jac=True,
            method="L-BFGS-B",
            bounds=bounds,
            options={"maxiter": steps, "maxfun": 2 * steps, "maxcor": 30, "ftol": 1e-16, "gtol": 1e-12},
        )
        x = found.x
        multiplier = self._lam
        if tau is not None:
            x = x * math.sqrt(2 * tau / float(x @ x))
            idle = x[-1] ** 2 > 1e-7 * 2 * tau
            w, h = split(x)
            multiplier = 0.0 if idle else self._fitting(w, h)
            if not idle:
                size = float((w**2).sum() + (h**2).sum())
                x = x * math.sqrt(2 * tau / size)
        w, h = split(x)
        return ConePoint(w.copy(), h.copy(), multiplier)

    def _fitting(self, w: Array, h: Array) -> float:
        """The multiplier of the ball, ``-<G, Y> / tau``."""
        y = w @ h
        return max(0.0, -float(np.vdot(self._phi.gradient(y), y)) / float(self._tau or 1.0))

    def polished(self, point: ConePoint) -> ConePoint:
        """Where Newton's method ends from ``point``: down to rounding of the gradient where the optimum allows it."""
        if point.w.shape[1] == 0:
            return point
        if self._tau is not None and point.multiplier == 0.0:
            return self._unbounded(point)
        state = damped_newton(_State(self._phi, point, self._lam, self._tau), _MAX_NEWTON)
        return ConePoint(state.w, state.h, state.mu)

    def _unbounded(self, point: ConePoint) -> ConePoint:
        """Where phi alone is least, by Newton's method on Y, if the ball holds factors of it; else ``point``."""
        y, damping = point.y, 1e-8  # of the curvature along the gradient: phi may be flat along others
        for _ in range(_MAX_NEWTON):
            g = self._phi.gradient(y)
            second = self._phi.hessian(y)
            curvature = _size(second(g)) / _size(g)
            step = damped_step(_flat(second, self._shape), g.ravel(), damping * curvature)
            trial = y + step.reshape(y.shape)
            if np.linalg.norm(self._phi.gradient(trial)) < np.linalg.norm(g) * (1 - 1e-3):
                y = trial
            elif damping > 1e4:
                break
            else:
                damping *= 100
        w = point.w + (y - point.y) @ np.linalg.pinv(point.h)
        found = ConePoint(w, point.h, 0.0)
        before = self._phi.value(point.y)
        worse = self._phi.value(found.y) > before + 1e-14 * abs(before)
        return point if worse or found.gauge > float(self._tau or 0.0) else found

    # -- atoms --------------------------------------------------------------------------------------------------------

    def pruned(self, point: ConePoint) -> ConePoint:
        """Without atoms that are nothing, nor those of next to nothing that nothing is lost without."""
        for share in (_LITTLE, _NOTHING):
            spare = _balanced(point, share)
            if spare.w.shape[1] == point.w.shape[1]:
                return spare
            spare = self.polished(self._scaled(spare))
            if self.objective(spare) <= self.objective(point) + 1e-14 * abs(self.objective(point)):
                return _balanced(spare, _NOTHING)
        return _balanced(point, _NOTHING)

    def _scaled(self, point: ConePoint) -> ConePoint:
        """On the sphere again, where there is one whose multiplier counts."""
        if self._tau is None or point.multiplier == 0.0 or point.gauge == 0.0:
            return point
        stretch = math.sqrt(self._tau / point.gauge)
        return ConePoint(point.w * stretch, point.h * stretch, point.multiplier)

    def grown(self, point: ConePoint, most: int, enough: float = 0.0) -> ConePoint | None:
        """With further atoms, ``most`` at most, where some lead down; None where none does."""
        y = point.y
        g = -self._phi.gradient(y)
        found = cone_maximum(g.T @ g, bounded=False)
        polar = math.sqrt(max(found.value, 0.0))
        missed = (polar - point.multiplier) * (self._tau or point.gauge)
        if polar <= 1e-300 or (missed <= max(_MISSING * abs(self.objective(point)), enough) and point.gauge > 0):
            return None
        if polar <= point.multiplier:
            return None
        v = self._missing(g, found.vector, point.multiplier)[: min(most, _TOGETHER)]
        u = g @ v.T
        u = u / np.linalg.norm(u, axis=0)
        before = self.objective(point)
        size = max(point.gauge, self._tau or 0.0, 1e-3)
        for exponent in range(40):
            length = math.sqrt(size * 0.5**exponent / len(v))
            w, h = np.column_stack([point.w, length * u]), np.vstack([point.h, length * v])
            trial = ConePoint(w, h, point.multiplier)
            if self._tau is not None and trial.gauge > self._tau:
                shrink = math.sqrt(self._tau / trial.gauge)
                trial = ConePoint(w * shrink, h * shrink, point.multiplier)
            if self.objective(trial) < before:
                return trial
        return None

    def _missing(self, g: Array, first: Array, multiplier: float) -> Array:
        """The features (atoms, m) of new atoms: ``first``, and others that lead down nearly as steeply."""
        vectors = cone_ascents(g.T @ g)
        gain = np.linalg.norm(g @ vectors, axis=0) - multiplier
        steep = gain > _STEEP * (float(np.linalg.norm(g @ first)) - multiplier)
        other = vectors.T @ first < 1 - 1e-4
        return np.vstack([first, vectors[:, steep & other].T])


def _flat(second: Callable[[Array], Array], shape: tuple[int, int]) -> Callable[[Array], Array]:
    return lambda d: second(d.reshape(shape)).ravel()


def _size(x: Array) -> float:
    return max(float(np.linalg.norm(x)), 1e-300)


def _balanced(point: ConePoint, share: float) -> ConePoint:
    """Without the atoms below a share of all, each of the others equally long in both factors."""
    lengths = np.linalg.norm(point.w, axis=0), np.linalg.norm(point.h, axis=1)
    weight = lengths[0] * lengths[1]
    kept = weight > share * max(float(weight.sum()), 1e-300)
    ratio = np.sqrt(lengths[1][kept] / lengths[0][kept])
    return ConePoint(point.w[:, kept] * ratio, point.h[kept] / ratio[:, None], point.multiplier)


class _State:
    """A point of Newton's method: gradient, held entries, residual."""

    def __init__(self, phi: Smooth, point: ConePoint, lam: float, tau: float | None, idle: bool | None = None) -> None:
        self._phi, self._lam, self._tau = phi, lam, tau
        self.w, self.h = point.w, point.h
        # steps stay on the sphere that they began on, though the multiplier may be 0 on their way
        self._idle = tau is not None and point.multiplier == 0.0 if idle is None else idle
        y = self.w @ self.h
        self._y = y
        self._g = phi.gradient(y)
        self.mu = lam
        if tau is not None:
            self.mu = 0.0 if self._idle else max(0.0, -float(np.vdot(self._g, y)) / tau)
        self.x = np.concatenate([self.w.ravel(), self.h.ravel()])
        slope = np.concatenate([(self._g @ self.h.T).ravel(), (self.w.T @ self._g).ravel()])
        self.gradient = slope + self.mu * self.x
        nonnegative = np.arange(len(self.x)) >= self.w.size
        self._held = nonnegative & (self.x <= 0) & (self.gradient > 0)
        self.free = ~self._held
        self.residual = float(np.linalg.norm(self.gradient[self.free]))
        self.scale = max(float(np.linalg.norm(slope)), self.mu * float(np.linalg.norm(self.x)), 1e-300)
        self.objective = phi.value(y) + (lam / 2 * float(self.x @ self.x) if tau is None else 0.0)
        self._nonnegative = nonnegative

    def step(self, damping: float) -> Array:
        """The damped Newton step on the entries that are free, along the sphere where there is one."""
        k, d = self.w.shape
        cut = self.w.size
        second = self._phi.hessian(self._y)
        # entries that a full step would only push against the bound are held: those at 0 within the residual's reach
        near = self._nonnegative & (self.x <= 1e-3 * self.residual / self.scale) & (self.gradient > 0)
        free = self.free & ~near
        normal = np.where(free, self.x, 0.0)
        on_sphere = self._tau is not None and not self._idle
        length = float(np.linalg.norm(normal))
        normal = normal / length if on_sphere and length > 0 else np.zeros_like(normal)

        def apply(part: Array) -> Array:
            full = np.zeros(len(self.x))
            full[free] = part
            full -= normal * (normal @ full)
            dw, dh = full[:cut].reshape(k, d), full[cut:].reshape(d, -1)
            curved = second(dw @ self.h + self.w @ dh)
            out = np.concatenate(
                [(curved @ self.h.T + self._g @ dh.T).ravel(), (self.w.T @ curved + dw.T @ self._g).ravel()]
            )
            out = np.where(free, out + self.mu * full, 0.0)
            out -= normal * (normal @ out)
            return np.asarray(out[free])

        gradient = np.where(free, self.gradient, 0.0)
        gradient = gradient - normal * (normal @ gradient)
        full = np.where(near & self.free, -self.x, 0.0)
        full[free] = damped_step(apply, gradient[free], damping, lambda: self._matrix(second, free, normal))
        return full

    def _matrix(self, second: Callable[[Array], Array], free: NDArray[np.bool_], normal: Array) -> Array:
        """The second derivative on the free entries, along the sphere.

        With J the derivative of ``W H``, that is ``J^T phi'' J + mu I`` and, between W_ia and H_aj, the gradient G_ij.
        """
        (k, d), m, cut = self.w.shape, self.h.shape[1], self.w.size
        jacobian = np.zeros((k, m, len(self.x)))
        for i in range(k):
            jacobian[i, :, i * d : (i + 1) * d] = self.h.T
        for j in range(m):
            jacobian[:, j, cut + j :: m] = self.w
        flat = jacobian.reshape(k * m, -1)[:, free]
        if isinstance(self._phi, Quadratic):
            out = self._phi.rho * (flat.T @ flat)
        else:
            curved = np.column_stack([second(e.reshape(k, m)).ravel() for e in np.eye(k * m)])
            out = flat.T @ curved @ flat
        cross = np.zeros((len(self.x), len(self.x)))
        for a in range(d):
            cross[a:cut:d, cut + a * m : cut + (a + 1) * m] = self._g
        out += (cross + cross.T)[np.ix_(free, free)]
        out[np.diag_indices_from(out)] += self.mu
        n = normal[free]
        if n.any():
            n_out = out @ n
            out -= np.outer(n, n_out) + np.outer(n_out, n) - float(n @ n_out) * np.outer(n, n)
        return out

    def moved(self, step: Array) -> _State:
        """The state after ``step``, projected onto the cone and back onto the sphere."""
        x = self.x + step
        x = np.where(self._nonnegative, np.maximum(x, 0.0), x)
        if self._tau is not None and not self._idle:
            x = x * math.sqrt(2 * self._tau / float(x @ x))
        w, h = x[: self.w.size].reshape(self.w.shape), x[self.w.size :].reshape(self.h.shape)
        return _State(self._phi, ConePoint(w, h, self.mu), self._lam, self._tau, self._idle)
