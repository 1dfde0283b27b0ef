r"""Cross-entropy with any number of groups: Newton's method on the factored symmetry reduction.

The nuclear norms are written as sums of squares, ``s_a = x_a^2`` and ``M diag(omega) = B U V^T`` with B an orthonormal
basis of the centred vectors (``u_a = sqrt(K_a/K)`` is the direction that centring removes), U (g-1, g-1), V (g, g-1):

    f(x^2, B U V^T / omega) / mu + sum_a omega_a (K_a-1) x_a^2 + (|U|_F^2 + |V|_F^2)/2.

The factorisation has full width, so its second-order points are the optima of the convex problem; the duality gap,
computed in the original variables, confirms it every time. With budgets, log mu is found by Newton's method on
gauge(mu) = radius. Group a is collapsed exactly when pi_a <= mu omega_a (theory section 3), and then x_a is left out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ufm._linalg import eigh, svd
from ufm.labels import ClassPrior
from ufm.reduction import ReducedLogits, ReducedRisk

__all__ = ["ManyGroups", "ManyGroupsOptimum"]

Array = NDArray[np.float64]

_MAX_NEWTON = 300
_MAX_OUTER = 100


@dataclass(frozen=True)
class ManyGroupsOptimum:
    """Optimum in reduced coordinates, its multiplier and which groups are collapsed (s_a = 0 exactly)."""

    logits: ReducedLogits
    multiplier: float
    collapsed: tuple[bool, ...]
    steps: int


class ManyGroups:
    """The problem of a prior with g >= 2 groups under cross-entropy.

    Args:
        prior: the class prior.
        weights: gauge weight omega_a of every group, shape (g,).
    """

    def __init__(self, prior: ClassPrior, weights: Array) -> None:
        self.prior, self.weights = prior, weights
        self.risk = ReducedRisk(prior)
        size = self.risk.size
        self.g = len(size)
        self.pi = self.risk.mass / size
        direction = np.sqrt(size / size.sum())
        # orthonormal complement of the direction that centring removes
        self.basis = svd(direction[:, None])[0][:, 1:]
        self.steps = 0

    # -- points: (x, U, V) packed in a vector -------------------------------------------------------------------------

    def _unpack(self, point: Array) -> tuple[Array, Array, Array]:
        g, r = self.g, self.g - 1
        return point[:g], point[g : g + r * r].reshape(r, r), point[g + r * r :].reshape(g, r)

    def _logits(self, point: Array) -> ReducedLogits:
        x, u, v = self._unpack(point)
        return ReducedLogits(x * x, self.basis @ (u @ v.T) / self.weights)

    def _size(self, point: Array) -> float:
        x, u, v = self._unpack(point)
        return float(self.weights * (self.risk.size - 1) @ (x * x) + 0.5 * ((u * u).sum() + (v * v).sum()))

    def _objective(self, point: Array, log_mu: float) -> float:
        return self.risk.value(self._logits(point), log_mu) + self._size(point)

    def _derivatives(self, point: Array, log_mu: float, free: Array) -> tuple[Array, Array, Array]:
        """Gradient and Hessian of the objective on the free coordinates, and the gradient of the size."""
        g, r = self.g, self.g - 1
        x, u, v = self._unpack(point)
        logits = self._logits(point)
        d_s, d_m = self.risk.gradient(logits, log_mu)
        d_y = self.basis.T @ d_m / self.weights  # (r, g)
        price = self.weights * (self.risk.size - 1)
        size_grad = np.concatenate([2 * x * price, u.ravel(), v.ravel()])
        grad = np.concatenate([2 * x * d_s, (d_y @ v).ravel(), (d_y.T @ u).ravel()]) + size_grad
        n = len(point)
        hess = np.zeros((n, n))
        for b, block in enumerate(self.risk.hessians(logits, log_mu)):
            jac = np.zeros((g + 1, n))
            jac[0, b] = 2 * x[b]
            scaled = self.basis / self.weights[b]
            jac[1:, g : g + r * r] = np.einsum("gi,j->gij", scaled, v[b]).reshape(g, r * r)
            start = g + r * r + b * r
            jac[1:, start : start + r] = scaled @ u
            hess += jac.T @ block @ jac
        hess[np.arange(g), np.arange(g)] += 2 * (d_s + price)
        hess[np.arange(g, n), np.arange(g, n)] += 1.0
        cross = np.einsum("ib,jk->ijbk", d_y, np.eye(r)).reshape(r * r, g * r)
        hess[g : g + r * r, g + r * r :] += cross
        hess[g + r * r :, g : g + r * r] += cross.T
        return grad[free], hess[np.ix_(free, free)], size_grad[free]

    # -- minimisation at a given multiplier ---------------------------------------------------------------------------

    def _start(self, log_mu: float) -> Array:
        scale = np.maximum(np.log(self.pi / self.weights) - log_mu, 0.0) + 0.5
        y = self.basis.T * (scale * self.weights)
        u, s, vt = svd(y, full_matrices=False)
        root = np.sqrt(s)
        return np.concatenate([np.sqrt(scale), (u * root).ravel(), (vt.T * root).ravel()])

    def _minimise(self, point: Array, log_mu: float) -> tuple[Array, float]:
        """Second-order point of the objective from ``point``, and d(size)/d(log mu) there."""
        standing = (self.pi > math.exp(log_mu) * self.weights) & (self.risk.size > 1)
        point = point.copy()
        point[: self.g] = np.where(standing, np.where(point[: self.g] > 1e-3, point[: self.g], 0.3), 0.0)
        free = np.concatenate([np.flatnonzero(standing), np.arange(self.g, len(point))])
        value = self._objective(point, log_mu)
        rate, best, stalls = 0.0, math.inf, 0
        for _ in range(_MAX_NEWTON):
            self.steps += 1
            grad, hess, size_grad = self._derivatives(point, log_mu, free)
            eigenvalues, vectors = eigh(hess)
            cut = 1e-11 * max(1.0, float(np.abs(eigenvalues).max()))
            along = vectors.T @ grad
            regular = np.abs(eigenvalues) > cut
            rate = -float(((vectors.T @ size_grad)[regular] ** 2 / eigenvalues[regular]).sum())
            norm = float(np.linalg.norm(grad))
            stalls = stalls + 1 if norm >= 0.5 * best else 0
            best = min(best, norm)
            scale = 1 + self._size(point)
            if eigenvalues[0] >= -1e-7 and (norm <= 1e-15 * scale or (norm <= 1e-10 * scale and stalls >= 3)):
                break
            step = np.zeros_like(along)
            step[regular] = -along[regular] / np.abs(eigenvalues[regular])
            if eigenvalues[0] < -1e-7 and norm <= -0.1 * eigenvalues[0]:
                # next to a saddle, where Newton's step is short: leave along the direction of negative curvature
                step[0] = math.copysign(0.3, -along[0])
            move = vectors @ step
            slope = float(grad @ move)
            length = 1.0
            while True:
                trial = point.copy()
                trial[free] += length * move
                trial_value = self._objective(trial, log_mu)
                # near the optimum rounding hides the decrease and the full Newton step is right
                if trial_value <= value + 1e-4 * length * slope + 1e-14 * abs(value) or length < 1e-12:
                    break
                length *= 0.5
            point, value = trial, trial_value
        return point, rate

    # -- optima -------------------------------------------------------------------------------------------------------

    def _at_zero(self) -> float:
        zero = ReducedLogits(np.zeros(self.g), np.zeros((self.g, self.g)))
        return self.risk.dual_norm(self.risk.gradient(zero), self.weights)

    def _optimum(self, point: Array, mu: float, scale: float = 1.0) -> ManyGroupsOptimum:
        logits = self._logits(point)
        collapsed = tuple(bool(c) for c in (self.risk.size > 1) & (self.pi <= mu * self.weights))
        return ManyGroupsOptimum(ReducedLogits(scale * logits.s, scale * logits.trivial), mu, collapsed, self.steps)

    def penalised(self, strength: float) -> ManyGroupsOptimum:
        """Minimiser of the risk plus ``strength`` times the gauge."""
        if strength >= self._at_zero():
            return self._optimum(np.zeros(self.g + (self.g - 1) * (2 * self.g - 1)), strength)
        log_mu = math.log(strength)
        point, _ = self._minimise(self._start(log_mu), log_mu)
        return self._optimum(point, strength)

    def constrained(self, radius: float) -> ManyGroupsOptimum:
        """Minimiser of the risk over gauge <= radius."""
        lo, hi = -math.inf, math.log(self._at_zero())
        m = hi - 1e-2 - radius / float(self.weights * self.risk.size @ np.ones(self.g))
        point = self._start(m)
        for _ in range(_MAX_OUTER):
            point, rate = self._minimise(point, m)
            excess = self._size(point) - radius
            lo, hi = (m, hi) if excess > 0 else (lo, m)
            step = -excess / rate if rate < 0 else math.nan
            if abs(step) <= 1e-14 * max(1.0, abs(m)) or hi - lo <= 1e-15 * max(1.0, abs(m)):
                break
            new = m + step
            if not lo < new < hi:
                new = 0.5 * (lo + hi) if math.isfinite(lo) else m - 2 * (1 + abs(m))
            # probabilities are exponential in the distance, which makes a point from far away a bad start
            point = point if abs(new - m) <= 2.0 else self._start(new)
            m = new
        # the last digits of the constraint are met by scaling
        size = self._size(point)
        return self._optimum(point, math.exp(m), radius / size if size > 0 else 1.0)
