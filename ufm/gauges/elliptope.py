r"""Descent in two factors with rows and columns of length 1, ``Y = s P Q^T``, and the dual that bounds what is left.

The Gram matrices of K + m unit vectors are the elliptope: positive semidefinite, ones on the diagonal. Every Y of
gamma_2 norm at most s is s times an off-diagonal block of one, for a shorter vector can be made longer in a dimension
of its own. In K + m dimensions the descent in unit vectors V = (P, Q) has no local minimum that is
not global for a convex phi (Burer and Monteiro 2005); larger problems get fewer, and the dual says whether they do.

The dual of ``max <G, Y>`` over ``gamma_2(Y) <= 1`` is

    min (sum alpha + sum beta) / 2    over    [[diag alpha, -G], [-G^T, diag beta]] >= 0,

and at a stationary point ``alpha_k = <p_k, (G Q)_k>``, ``beta_j = <q_j, (G^T P)_j>``. Adding to every entry what the
matrix lacks of being positive semidefinite makes them a bound at any other point too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ufm._linalg import eigvalsh, svd
from ufm.gauges.smooth import DENSE, Smooth, damped_newton, damped_step

__all__ = ["UnitPoint", "dual_bound", "minimise_over_elliptope"]

Array = NDArray[np.float64]

#: Up to so many vectors they get as many dimensions; beyond, as many as the shorter side and a few.
_FULL = 48
#: Dimensions that carry less than this, relative, after the first descent are left out of Newton's method.
_EMPTY = 1e-5
_MAX_NEWTON = 400


@dataclass(frozen=True)
class UnitPoint:
    """Unit vectors, or with a ``width`` vectors no longer than that.

    Attributes:
        p: P, shape (K, p), rows of length 1, at most 1 with a width.
        q: Q, shape (m, p), likewise.
    """

    p: Array
    q: Array


def minimise_over_elliptope(
    phi: Smooth,
    shape: tuple[int, int],
    scale: float,
    *,
    start: UnitPoint | None = None,
    width: int | None = None,
    relative: bool = False,
    enough: float = 0.0,
    seed: int = 0,
) -> UnitPoint:
    """Minimise ``phi(s P Q^T)`` over unit vectors, by L-BFGS and then Newton's method on the product of spheres.

    Where there are dimensions enough, what a vector lacks of length 1 can point where no other does. With fewer they
    may be shorter: each is a unit vector less a last coordinate, which enters no product.

    Args:
        phi: a smooth function of Y.
        shape: (K, m) of Y.
        scale: s > 0.
        start: where to start; None for random vectors.
        width: p, in which vectors may be shorter than 1; None for one in which local minima are global.
        relative: whether phi is positive and wanted to relative accuracy (its logarithm then descends).
        enough: a value that needs no lowering.
        seed: of the random vectors.

    >>> from ufm.gauges.smooth import Linear
    >>> point = minimise_over_elliptope(Linear(np.eye(3)), (3, 3), 1.0)
    >>> np.vdot(np.eye(3), point.p @ point.q.T).round(9)
    np.float64(3.0)
    """
    k, m = shape
    n = k + m
    if start is None:
        full = n if n <= _FULL else min(n, min(k, m) + math.ceil(math.sqrt(2 * n)))
        v = np.random.default_rng(seed).normal(size=(n, full if width is None else width + 1))
    else:
        v = np.vstack([start.p, start.q])
    seen = np.ones(v.shape[1])
    if width is not None:
        seen[width:] = 0.0
    v = _descended(phi, v, k, scale, relative, seen)
    v = v / np.linalg.norm(v, axis=1, keepdims=True)
    if width is None:
        v = _compressed(v)
        seen = np.ones(v.shape[1])
    state = damped_newton(_State(phi, v, k, scale, seen), _MAX_NEWTON, lambda s: 0 <= s.objective <= enough)
    v = state.v[:, seen > 0]
    return UnitPoint(v[:k], v[k:])


def _compressed(v: Array) -> Array:
    """Unit vectors, rotated into the dimensions that they use."""
    _, s, vt = svd(v, full_matrices=False)
    v = v @ vt[s > _EMPTY * s[0]].T
    return np.asarray(v / np.linalg.norm(v, axis=1, keepdims=True))


def _descended(phi: Smooth, v: Array, k: int, scale: float, relative: bool, seen: Array) -> Array:
    from scipy.optimize import minimize

    shape = v.shape

    def objective(x: Array) -> tuple[float, Array]:
        raw = x.reshape(shape)
        norms = np.linalg.norm(raw, axis=1, keepdims=True)
        u = raw / norms
        inner = u * seen
        y = scale * inner[:k] @ inner[k:].T
        g = scale * phi.gradient(y)
        value = phi.value(y)
        slope = np.vstack([g @ inner[k:], g.T @ inner[:k]])
        slope = (slope - u * (slope * u).sum(axis=1, keepdims=True)) / norms
        if not relative:
            return value, slope.ravel()
        value = max(value, 1e-300)
        return math.log(value), slope.ravel() / value

    options = {"maxiter": 3000, "maxfun": 6000, "maxcor": 30, "ftol": 1e-16, "gtol": 1e-12}
    found = minimize(objective, v.ravel(), jac=True, method="L-BFGS-B", options=options)
    return np.asarray(found.x.reshape(shape), dtype=float)


class _State:
    """Unit vectors with their gradient along the spheres; ``seen`` is 1 for coordinates in products, 0 for others."""

    def __init__(self, phi: Smooth, v: Array, k: int, scale: float, seen: Array) -> None:
        self._phi, self.v, self._k, self._radius, self._seen = phi, v, k, scale, seen
        p, q = v[:k] * seen, v[k:] * seen
        self._y = scale * p @ q.T
        self.objective = phi.value(self._y)
        self._g = scale * phi.gradient(self._y)
        slope = np.vstack([self._g @ q, self._g.T @ p])
        self._along = (slope * v).sum(axis=1, keepdims=True)  # minus the multipliers of the norms
        self.gradient = slope - v * self._along
        self.residual = float(np.linalg.norm(self.gradient))
        self.scale = max(float(np.linalg.norm(slope)), 1e-300)

    def step(self, damping: float) -> Array:
        """The damped Newton step in the tangent space, shape (K + m, p)."""
        k, v = self._k, self.v
        seen = self._seen
        p, q = v[:k] * seen, v[k:] * seen
        second = self._phi.hessian(self._y)

        def along(d: Array) -> Array:
            """The second derivative along tangents d, (..., K + m, p), of the objective on the product of spheres."""
            d = d - v * (d * v).sum(axis=-1, keepdims=True)
            dp, dq = d[..., :k, :], d[..., k:, :]
            moves = dp @ q.T + p @ dq.swapaxes(-1, -2)
            curved = np.stack([second(move) for move in moves.reshape(-1, *moves.shape[-2:])]).reshape(moves.shape)
            curved *= self._radius**2
            out = (
                np.concatenate(
                    [curved @ q + self._g @ dq * seen, curved.swapaxes(-1, -2) @ p + self._g.T @ dp * seen], axis=-2
                )
                - self._along * d
            )
            return np.asarray(out - v * (out * v).sum(axis=-1, keepdims=True))

        def apply(x: Array) -> Array:
            return along(x.reshape(v.shape)).ravel()

        def matrix() -> Array:
            return along(np.eye(v.size).reshape(-1, *v.shape)).reshape(v.size, v.size)

        step = damped_step(apply, self.gradient.ravel(), damping, matrix if v.size <= DENSE else None)
        step = step.reshape(v.shape)
        return np.asarray(step - v * (step * v).sum(axis=1, keepdims=True))

    def moved(self, step: Array) -> _State:
        """The state after ``step``, back on the spheres."""
        v = self.v + step
        v = v / np.linalg.norm(v, axis=1, keepdims=True)
        return _State(self._phi, v, self._k, self._radius, self._seen)


def dual_bound(gradient: Array, point: UnitPoint) -> tuple[float, Array, Array]:
    """An upper bound of ``max <G, Y>`` over ``gamma_2(Y) <= 1``, and the diagonals alpha (K,), beta (m,) that prove it.

    >>> unit = np.eye(2)
    >>> bound, alpha, beta = dual_bound(np.diag([3.0, 1.0]), UnitPoint(unit, unit))
    >>> bound, alpha.tolist(), beta.tolist()
    (4.0, [3.0, 1.0], [3.0, 1.0])
    """
    alpha = (point.p * (gradient @ point.q)).sum(axis=1)
    beta = (point.q * (gradient.T @ point.p)).sum(axis=1)
    matrix = np.block([[np.diag(alpha), -gradient], [-gradient.T, np.diag(beta)]])
    lacking = max(0.0, -float(eigvalsh(matrix)[0]))
    alpha, beta = alpha + lacking, beta + lacking
    return float(alpha.sum() + beta.sum()) / 2, alpha, beta
