r"""Cross-entropy with any number of groups, up to one a class: Newton's method on the manifold of the optimum's rank.

In the coordinates of :mod:`ufm.reduction`, ``y_a = omega_a s_a`` with multiplicity ``n_a = K_a - 1`` and the g x g
block ``Y = M diag(omega)`` carry all singular values of the K x K logits, so that the problem is

    min f(y, Y) + gauge( sum_a n_a |y_a| + |Y|_* ),

the gauge being a ball or a multiple of the norm. The method is that of :mod:`ufm.solvers.nuclear` (whose docstring
derives the second derivative and the preconditioner), here with the scales y beside the block, and three savings:

* *Levels.* The classes are first merged into a quarter as many groups of neighbouring counts, and so on down to two,
  which scalar equations solve. Every level starts from the logits of the one above it, between whose groups they are
  interpolated: their rank and multiplier are nearly right.
* *Rare classes* that have no direction of their own are much alike: before the last level they alone stay merged.
* *Proximal steps* are taken only where the rank has to change.
* *Spans.* A step from a low rank changes the range of Y by as much again, within which it is decomposed.

Everything is in units of the multiplier, so that a tiny risk does not underflow.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ufm._linalg import eigh, eigvalsh, svd
from ufm.labels import ClassPrior
from ufm.reduction import ReducedLogits, ReducedRisk
from ufm.solvers.nuclear import conjugate_gradients
from ufm.two_groups.scalar import TwoGroups

__all__ = ["Classes", "GroupedOptimum", "minimise_grouped"]

Array = NDArray[np.float64]
Index = NDArray[np.intp]

#: Groups of one level for one of the next.
_MERGED = 4
#: How far below the multiplier, in logarithms, groups are rare; how many of them are merged; what that has to save.
_RARE, _RARE_MERGED, _WORTH_MERGING = 0.2, 12, 2
_MAX_OUTER = 40
_MAX_HALVINGS = 4
_MAX_CG, _MAX_CG_SINGLE = 400, 40
#: Singular values below this fraction of the largest count as zero.
_ZERO = 1e-13
_ROUNDING = 1e-14
#: Relative size of the gradient on the manifold at which a level ends: on the way down, and on the last one.
_COARSE, _MIDDLE, _FINE = 1e-2, 1e-4, 1e-12
#: Groups from which on a step costs more than what saves one, the relative gap that ends their last level, and the
#: relative residual to which their Newton systems are solved in single precision.
_MANY, _CLOSED, _SINGLE = 150, 3e-10, 5e-4
#: Outer iterations without progress after which float64 has given what it can.
_PATIENCE = 3
#: Logarithm of units within which probabilities neither underflow nor overflow.
_SAME_SCALE = 100.0
#: Error below which Newton's method converges, unless rounding hinders it.
_SETTLED = 1e-8
#: Ranks of which so many make a block are decomposed within the spans of a step.
_FEW = 3
#: Groups below which the whole block is decomposed as fast.
_SPANNED = 80


@dataclass(frozen=True)
class Classes:
    """Groups of classes as the solver sees them.

    Attributes:
        size: K_a, shape (g,).
        pi: probability of one class of the group, shape (g,).
        omega: weight of its columns in the gauge, shape (g,).
    """

    size: Array
    pi: Array
    omega: Array

    @classmethod
    def of(cls, prior: ClassPrior, weights: Array) -> Classes:
        """The groups of a prior, with the gauge's weight of each."""
        size = np.array([group.size for group in prior.groups], dtype=float)
        return cls(size, np.array([group.count for group in prior.groups]) / prior.num_samples, weights)

    def merged(self, index: Index) -> Classes:
        """A group for each number of the index, with the mean probability and weight of those of ours that have it."""
        size = np.bincount(index, self.size).astype(float)
        mean = [np.bincount(index, self.size * x) / size for x in (self.pi, self.omega)]
        return Classes(size, *mean)

    def rare(self, log_multiplier: float) -> Index:
        """An index that merges neighbours among groups well below the multiplier, and no others."""
        rare = np.log(self.pi) - np.log(self.omega) < log_multiplier - _RARE
        counts = np.where(rare, (np.cumsum(rare) - 1) // _RARE_MERGED, -1 - np.arange(len(rare)))
        return np.unique(counts, return_inverse=True)[1]


@dataclass(frozen=True)
class GroupedOptimum:
    """Optimum in reduced coordinates, the logarithm of its multiplier, how many steps it took, and its block's rank."""

    logits: ReducedLogits
    log_multiplier: float
    steps: int
    rank: int


def minimise_grouped(
    classes: Classes, *, radius: float | None = None, strength: float | None = None, finest: bool = True
) -> GroupedOptimum:
    """Minimise the risk over the ball of ``radius``, or the risk and ``strength`` times the gauge."""
    g = len(classes.size)
    if g <= 2:
        return _two_groups(classes, radius, strength)
    index = np.arange(g) * max(2, g // _MERGED) // g
    coarse = classes.merged(index)
    start = _refined(minimise_grouped(coarse, radius=radius, strength=strength, finest=False), coarse, classes, index)
    if not finest:
        return _Search(classes, radius, strength, start, _COARSE).run()
    index = classes.rare(start.log_multiplier) if g >= _MANY else np.arange(g)
    if _WORTH_MERGING * (index.max() + 1) < g:
        few = classes.merged(index)
        above = _Search(few, radius, strength, _averaged(start, classes, few, index), _MIDDLE).run()
        start = _refined(above, few, classes, index)
    return _Search(classes, radius, strength, start, _FINE).run()


def _two_groups(classes: Classes, radius: float | None, strength: float | None) -> GroupedOptimum:
    (k_a, k_b), (pi_a, pi_b), (omega_a, omega_b) = classes.size, classes.pi, classes.omega
    core = TwoGroups(int(k_a), int(k_b), float(pi_a), float(pi_b), float(omega_a), float(omega_b))
    found = core.constrained(radius) if radius is not None else core.penalised(strength or 0.0)
    u = 0.0 if found.total else found.s_a + k_a * found.d_a
    v = 0.0 if found.total else found.s_b + k_b * found.d_b
    root, k = math.sqrt(k_a * k_b), k_a + k_b
    trivial = np.array([[k_b * u / k, -root * v / k], [-root * u / k, k_a * v / k]])
    logits = ReducedLogits(np.array([found.s_a, found.s_b]), trivial)
    return GroupedOptimum(logits, found.log_multiplier, 0, int(trivial.any()))


def _refined(above: GroupedOptimum, coarse: Classes, fine: Classes, index: Index) -> GroupedOptimum:
    """About the optimum of finer groups, interpolated between coarse ones in the logarithm of the probability.

    A coarse group of one finer one is that one. Between the others ``t_ab`` is linear, and so is ``log kappa`` in
    ``e^s = 1 + kappa (pi/(mu omega) - 1)``, by which s ends where it has to (kappa is beta/q of :mod:`ufm.two_groups`).
    """
    t = (above.logits.trivial - np.diag(above.logits.s)) / np.sqrt(np.outer(coarse.size, coarse.size))
    s, many = above.logits.s[index], np.bincount(index) > 1
    weights = np.zeros((len(index), len(many)))
    weights[np.arange(len(index)), index] = 1.0
    if many.sum() > 1:
        knots, inner = np.log(coarse.pi[many]), many[index]
        weights[np.ix_(inner, many)] = _between(np.log(fine.pi[inner]), knots)
        excess = [np.log(x.pi) - np.log(x.omega) - above.log_multiplier for x in (coarse, fine)]
        s[inner] = _scales(excess[1][inner], excess[0][many], above.logits.s[many])
    return _moved(above, s, weights @ t @ weights.T, fine)


def _averaged(start: GroupedOptimum, fine: Classes, coarse: Classes, index: Index) -> GroupedOptimum:
    """About the optimum of merged groups: the mean logits of those that they are merged from."""
    t = (start.logits.trivial - np.diag(start.logits.s)) / np.sqrt(np.outer(fine.size, fine.size))
    weights = np.zeros((len(coarse.size), len(index)))
    weights[index, np.arange(len(index))] = fine.size / coarse.size[index]
    return _moved(start, weights @ start.logits.s, weights @ t @ weights.T, coarse)


def _moved(found: GroupedOptimum, s: Array, t: Array, classes: Classes) -> GroupedOptimum:
    """An optimum with the logits ``s [a = b] + t_ab`` of other groups; each that stands adds a rank to the block's."""
    rank = found.rank + int((s > 0).sum()) - int((found.logits.s > 0).sum())
    block = t * np.sqrt(np.outer(classes.size, classes.size)) + np.diag(s)
    logits = ReducedLogits(np.where(classes.size > 1, s, 0.0), block)
    return GroupedOptimum(logits, found.log_multiplier, found.steps, max(rank, 1))


def _between(at: Array, knots: Array) -> Array:
    """Weights (n, k) of linear interpolation between knots, and half an interval beyond their ends."""
    order = np.argsort(knots)
    x = knots[order]
    i = np.clip(np.searchsorted(x, at) - 1, 0, len(x) - 2)
    share = np.clip((at - x[i]) / (x[i + 1] - x[i]), -0.5, 1.5)
    out, rows = np.zeros((len(at), len(x))), np.arange(len(at))
    out[rows, order[i]], out[rows, order[i + 1]] = 1 - share, share
    return out


def _scales(at: Array, knots: Array, s: Array) -> Array:
    """Scales by ``log pi/(mu omega)``, from those at knots."""
    found, known = np.zeros(len(at)), (s > 0) & (knots > 0)
    stands = at > 0
    if known.any() and stands.any():
        kappa = _log_expm1(s[known]) - _log_expm1(knots[known])
        order = np.argsort(knots[known])
        kappa = np.interp(at[stands], knots[known][order], kappa[order])
        found[stands] = np.logaddexp(0.0, kappa + _log_expm1(at[stands]))
    return found


def _log_expm1(x: Array) -> Array:
    """``log(e^x - 1)`` for x > 0, where e^x may overflow."""
    return x + np.log(-np.expm1(-x))


@dataclass
class _Point:
    """Scales y >= 0 and ``Y = U diag(sigma) V^T`` of rank r with its full singular bases, and the objective there."""

    y: Array  # (g,)
    block: Array  # (g, g)
    u: Array
    sigma: Array  # (r,)
    vt: Array
    value: float

    @property
    def rank(self) -> int:
        return len(self.sigma)


class _Local:
    """Gradient and curvature of the risk, in units of ``e^log_unit``, in ``eta = sqrt(n) y`` and Y.

    A column of group b has margins ``delta_ab = s_b (1 - 1/K_b) + (M^_bb - M^_ab) / sqrt(K_b)`` over the classes of
    group a, with ``M^_ab = M_ab / sqrt(K_a)``, and ``delta_bb = s_b``; its second derivative in them is
    ``mass_b (diag(w) - w w^T)``.
    """

    def __init__(self, risk: ReducedRisk, omega: Array, logits: ReducedLogits, log_unit: float) -> None:
        self._risk, self._omega = risk, omega
        several = risk.size > 1
        self._per_eta = np.where(several, 1 / (omega * np.sqrt(np.where(several, risk.size - 1, 1.0))), 0.0)
        self._own = 1 - 1 / risk.size
        w = risk.softmax(logits, log_unit)[0]
        self._p = w * math.exp(log_unit) if abs(log_unit) < _SAME_SCALE else risk.softmax(logits)[0]
        self._w = w * risk.mass
        self._margin = 1 / (omega * risk.root)  # of Y_ab in delta_ab, and of delta_ab in Y_ab
        self._margin_own = 1 / (omega * risk.size)
        d_s, d_m = risk.gradient_from(w)
        self.eta, self.block = d_s * self._per_eta, d_m / omega

    def hessian(self, eta: Array, block: Array) -> tuple[Array, Array]:
        """The second derivative applied to a direction."""
        d_s = eta * self._per_eta
        delta = -self._margin * block
        delta += self._own * d_s - _diagonal(delta)
        _diagonal(delta)[:] = d_s
        delta -= np.einsum("ab,ab->b", self._p, delta)
        delta *= self._w
        siblings = _diagonal(delta).copy()
        others = delta.sum(axis=0) - siblings
        out = -self._margin * delta
        _diagonal(out)[:] = others * self._margin_own
        return (siblings + self._own * others) * self._per_eta, out

    @property
    def eta_diagonal(self) -> Array:
        """Diagonal of the second derivative in eta, (g,)."""
        siblings, p = np.diagonal(self._w), np.diagonal(self._p)
        others, rest = self._w.sum(axis=0) - siblings, self._p.sum(axis=0) - p
        mean = p + self._own * rest
        return (siblings * (1 - mean) + self._own * others * (self._own - mean)) * self._per_eta**2

    @property
    def entries(self) -> Array:
        """Diagonal of the second derivative in the entries of Y, (g, g)."""
        out = self._w * (1 - self._p) / self._risk.root**2
        siblings, p = np.diagonal(self._w), np.diagonal(self._p)
        others, rest = self._w.sum(axis=0) - siblings, self._p.sum(axis=0) - p
        np.fill_diagonal(out, others * (1 - rest) / self._risk.size**2)
        return np.maximum(out, 0.0) / self._omega**2

    def diagonal(self, u: Array, v: Array) -> Array:
        """Diagonal in the basis ``u_a v_b^T`` of the columns of u and v, (g, g)."""
        ours = (u / np.sqrt(self._risk.size)[:, None]).T
        share = self._w.sum(axis=0)
        mean, part = ours @ self._w, ours @ self._p
        second = ours**2 @ self._w - 2 * ours * mean + ours**2 * share
        first = (mean - ours * share) * (part - ours * self._p.sum(axis=0))
        return np.maximum(second - first, 0.0) / self._risk.size / self._omega**2 @ v**2


def _diagonal(square: Array) -> Array:
    """The diagonal of a contiguous square matrix, to be written to."""
    return square.reshape(-1)[:: len(square) + 1]


class _Search:
    """State of one level: the best point so far, its multiplier and how far it is from stationary."""

    def __init__(
        self, classes: Classes, radius: float | None, strength: float | None, start: GroupedOptimum, accuracy: float
    ) -> None:
        self.size, self.omega = classes.size, classes.omega
        self.n = classes.size - 1
        self.risk = ReducedRisk.of(classes.size, classes.size * classes.pi)
        self.radius, self.strength, self.accuracy = radius, strength, accuracy
        self.steps = start.steps
        self.log_unit = math.log(strength) if strength is not None else start.log_multiplier
        self.y = np.where(self.n > 0, start.logits.s * self.omega, 0.0)
        self.block, self.rank = start.logits.trivial * self.omega, start.rank
        self.length = 0.0
        self.cg_steps = self.svds = 0

    def logits(self, y: Array, block: Array) -> ReducedLogits:
        return ReducedLogits(y / self.omega, block / self.omega)

    def local(self, point: _Point) -> _Local:
        return _Local(self.risk, self.omega, self.logits(point.y, point.block), self.log_unit)

    def objective(self, y: Array, block: Array, gauge: float) -> float:
        risk = self.risk.value(self.logits(y, block), self.log_unit)
        return risk if self.radius is not None else risk + gauge

    def decomposed(
        self,
        y: Array,
        block: Array,
        rank: int | None = None,
        *,
        threshold: float | None = None,
        spans: tuple[Array, Array] | None = None,
    ) -> _Point:
        """The point at y and the block, cut to ``rank`` and moved to the ball, or shrunk by ``threshold``."""
        self.svds += 1
        u, sigma, vt = svd(block) if spans is None else svd_within(block, *spans)
        y = np.where(self.n > 0, y, 0.0)
        if threshold is not None:
            if self.radius is not None:
                threshold = self._to_ball(y, sigma)
            y, sigma = np.maximum(y - threshold, 0.0), sigma - threshold
        else:
            y, sigma = np.maximum(y, 0.0), sigma[:rank]
        return self._valued(y, u, sigma, vt)

    def _valued(self, y: Array, u: Array, sigma: Array, vt: Array) -> _Point:
        """The point of singular values, those that are not rounding, moved to the ball."""
        sigma = sigma[sigma > _ZERO * max(float(sigma.max(initial=0.0)), float(y.max(initial=0.0)))]
        gauge = float(self.n @ y + sigma.sum())
        if self.radius is not None and gauge > 0:
            y, sigma, gauge = y * (self.radius / gauge), sigma * (self.radius / gauge), self.radius
        block = (u[:, : len(sigma)] * sigma) @ vt[: len(sigma)]
        return _Point(y, block, u, sigma, vt, self.objective(y, block, gauge))

    def _to_ball(self, y: Array, sigma: Array) -> float:
        """The theta for which ``sum_a n_a (y_a - theta)_+ + sum_i (sigma_i - theta)_+`` is the radius."""
        values, counts = np.concatenate([y, sigma]), np.concatenate([self.n, np.ones(len(sigma))])
        order = np.argsort(-values)
        values, counts = values[order], counts[order]
        many = np.cumsum(counts)
        theta = (np.cumsum(counts * values) - self.radius) / np.maximum(many, 1.0)
        last = np.flatnonzero((values > theta) & (many > 0))[-1]
        return float(theta[last])

    def run(self) -> GroupedOptimum:
        """Newton's steps, and proximal ones where the rank has to grow or Newton's are not taken in full."""
        point = least = self.decomposed(self.y, self.block, self.rank)
        best, idle, log_mu = math.inf, 0, self.log_unit
        for _ in range(_MAX_OUTER):
            self.steps += 1
            system = self._system(point)
            if system.error < best:
                least, log_mu = point, self.log_multiplier(system)
            idle = 0 if system.error < 0.5 * best else idle + 1
            best = min(best, system.error)
            settled = best < _SETTLED and idle >= _PATIENCE
            if best <= self._enough(point) or self._is_closed(point, system) or settled:
                break
            full = False
            if system.mu > 0 and system.excess <= 1e-9:
                point, full = self._newton(point, system)
            if not full:
                point = self._proximal(point)
                grown = self._system(point)
                if grown.mu > 0:
                    point, _ = self._newton(point, grown)
        return GroupedOptimum(self.logits(least.y, least.block), log_mu, self.steps, least.rank)

    def _enough(self, point: _Point) -> float:
        """The error to end with; on the last level the gap counts, error times gauge, relative to the value."""
        gauge = float(self.n @ point.y + point.sigma.sum())
        if self.accuracy != _FINE or gauge == 0:
            return self.accuracy
        return self.accuracy * min(1.0, max(abs(point.value) / gauge, 1e-3))

    def _is_closed(self, point: _Point, system: _System) -> bool:
        """Whether the duality gap of many groups is closed, to first order, at the end of the last level."""
        if len(self.n) < _MANY or self.accuracy != _FINE or not system.error <= _CLOSED:
            return False
        return system.gap(float(self.n @ point.y + point.sigma.sum())) <= _CLOSED * abs(point.value)

    def log_multiplier(self, system: _System) -> float:
        """log mu."""
        return self.log_unit + (math.log(system.mu) if self.radius is not None and system.mu > 0 else 0.0)

    def _system(self, point: _Point) -> _System:
        """The Newton system at a point, in units of its own multiplier."""
        system = _System(self, point)
        if self.radius is not None and system.mu > 0 and abs(math.log(system.mu)) > 0.1:
            self.log_unit += math.log(system.mu)
            point.value = self.objective(point.y, point.block, self.radius)
            system = _System(self, point)
        return system

    def _newton(self, point: _Point, system: _System) -> tuple[_Point, bool]:
        """The point after the longest step that lowers the objective as its slope promises; whether it is in full."""
        x = system.solve(self._enough(point))
        self.cg_steps += system.cg_steps
        slope = float(system.gradient @ x)
        d_y, d_block, rank, longest = system.step(x)
        spans = system.spans(x)
        if rank < point.rank:
            new = self.decomposed(point.y + d_y, point.block + d_block, rank, spans=spans)
            if new.value <= point.value + 1e-4 * slope:
                return new, True
            new = self._without(point, system.vanishing(x))
            if new.value <= point.value:
                return new, True
        length = min(1.0, 0.95 * longest)
        for _ in range(_MAX_HALVINGS):
            new = self.decomposed(point.y + length * d_y, point.block + length * d_block, point.rank, spans=spans)
            if new.value <= point.value + 1e-4 * length * slope + _ROUNDING * abs(point.value):
                return new, length == 1.0
            length /= 2
        return point, False

    def _without(self, point: _Point, directions: Array) -> _Point:
        """The point less the directions (r, q), orthonormal beside ``diag(sigma)^(1/2)``."""
        r, root = point.rank, np.sqrt(point.sigma)
        part = root[:, None] * directions
        left, sigma, right = svd(np.diag(point.sigma) - part @ part.T)
        u, vt = point.u.copy(), point.vt.copy()
        u[:, :r], vt[:r] = u[:, :r] @ left, right @ vt[:r]
        return self._valued(point.y, u, sigma[: r - directions.shape[1]], vt)

    def _proximal(self, point: _Point) -> _Point:
        """Soft-thresholding after a gradient step, halved until the risk lies below its quadratic model."""
        local = self.local(point)
        if self.length == 0.0:
            self.length = 1 / max(float(local.entries.max()), float(local.eta_diagonal.max()), 1e-300)
        self.length *= 1.5
        per = np.sqrt(np.maximum(self.n, 1e-300))
        risk = self.risk.value(self.logits(point.y, point.block), self.log_unit)
        d_y = np.where(self.n > 0, local.eta / per, 0.0)
        while True:
            new = self.decomposed(
                point.y - self.length * d_y, point.block - self.length * local.block, threshold=self.length
            )
            y, block = new.y - point.y, new.block - point.block
            model = float(self.n * d_y @ y + np.vdot(local.block, block))
            model += float(self.n @ y**2 + np.vdot(block, block)) / (2 * self.length)
            now = self.risk.value(self.logits(new.y, new.block), self.log_unit)
            if now <= risk + model + 10 * _ROUNDING * abs(risk) or self.length < 1e-300:
                return new
            self.length /= 2


class _System:
    """The Newton system at one point, in coordinates eta and ``X = U^T D V``, packed in a vector (g + g^2,)."""

    def __init__(self, search: _Search, point: _Point) -> None:
        self._local = search.local(point)
        g, r = len(search.n), point.rank
        self._g, self._r, self._point = g, r, point
        self._active = point.y > 0
        self._per = np.sqrt(search.n)
        self._constrained = search.radius is not None
        self._diag = np.arange(r)
        self._sums = point.sigma[:, None] + point.sigma
        self._many = 2 * r > g  # whether one product of full bases costs less than two of parts
        block = point.u.T @ self._local.block @ point.vt.T
        many = r + float(search.n[self._active].sum())
        trace = float(np.trace(block[:r, :r]) + (self._per * self._local.eta)[self._active].sum())
        self.mu = (-trace / many if many else 0.0) if self._constrained else 1.0
        left, outside, right = svd(block[r:, r:])
        self._u = np.hstack([point.u[:, :r], point.u[:, r:] @ left])
        self._vt = np.vstack([point.vt[:r], -right @ point.vt[r:]])
        block[r:, :r] = left.T @ block[r:, :r]
        block[:r, r:] = -block[:r, r:] @ right.T
        idle = (search.n > 0) & ~self._active
        asked = -(self._local.eta / np.where(search.n > 0, self._per, 1.0))[idle]
        most = max(float(outside.max(initial=0.0)), float(asked.max(initial=0.0)))
        self.excess = most / self.mu - 1 if self.mu > 0 else math.inf
        # where g > mu the rank is too small; clipping keeps the system positive definite there
        self._outside = np.minimum(outside, (1 - 1e-9) * self.mu)[:, None]
        self._turn, self._pull, self._swap = self.mu / self._sums, self.mu / point.sigma, self._outside / point.sigma
        block[self._diag, self._diag] += self.mu
        block[r:, r:] = 0.0
        eta = np.where(self._active, self._local.eta + self.mu * self._per, 0.0)
        self.gradient = np.concatenate([eta, block.ravel()])
        ones = np.zeros((g, g))
        ones[self._diag, self._diag] = 1.0
        self._normal = np.concatenate([np.where(self._active, self._per, 0.0), ones.ravel()])
        self.error = math.inf
        if self.mu > 0:
            self.error = float(np.linalg.norm(self.gradient)) / (self.mu * math.sqrt(max(many, 1.0)))
            self.error += max(self.excess, 0.0)
        self.cg_steps = 0

    def gap(self, gauge: float) -> float:
        """The duality gap to first order: what the gradient misses of ``-mu`` times one of the gauge."""
        norm = float(np.linalg.norm(self._local.block, 2))
        standing = self._per > 0
        norm = max(norm, float((-self._local.eta[standing] / self._per[standing]).max(initial=0.0)))
        mu = norm if self._constrained else self.mu
        inner = float(np.vdot(self._local.block, self._point.block) + self._per * self._local.eta @ self._point.y)
        return abs(mu * gauge + inner) + max(norm - mu, 0.0) * gauge

    def _split(self, x: Array) -> tuple[Array, Array]:
        return x[: self._g], x[self._g :].reshape(self._g, self._g)

    def step(self, x: Array) -> tuple[Array, Array, int, float]:
        """The direction in y and Y, the rank of the point that it leads to, and its length up to a lower rank."""
        eta, block = self._split(x)
        r = self._r
        values = eigvalsh(self._core(block)) if r else np.zeros(1)
        longest = -1 / float(values[0]) if values[0] < 0 else math.inf
        rank = r - int((values <= -1).sum())
        return eta / np.where(self._per > 0, self._per, 1.0), self._ambient(block), rank, longest

    def _core(self, block: Array) -> Array:
        """The symmetric part of A beside ``diag(sigma)^(1/2)``: at length t a direction of value -1/t vanishes."""
        r, root = self._r, np.sqrt(self._point.sigma)
        return (block[:r, :r] + block[:r, :r].T) / (2 * np.outer(root, root))

    def vanishing(self, x: Array) -> Array:
        """Directions (r, q) that the step takes to 0 or beyond."""
        values, vectors = eigh(self._core(self._split(x)[1]))
        return vectors[:, values <= -1]

    def spans(self, x: Array) -> tuple[Array, Array] | None:
        """Bases of the columns and of the rows of Y and the direction, where they are few."""
        r = self._r
        if _FEW * r > self._g or self._g < _SPANNED:
            return None
        block = self._split(x)[1]
        left = np.hstack([self._u[:, :r], self._u[:, r:] @ block[r:, :r]])
        right = np.hstack([self._vt[:r].T, (block[:r, r:] @ self._vt[r:]).T])
        return np.linalg.qr(left)[0], np.linalg.qr(right)[0]

    def _ambient(self, block: Array) -> Array:
        """``U X V^T`` of a tangent X."""
        r = self._r
        if self._many:
            return self._u @ (block @ self._vt)  # beside its rows and columns of the rank a tangent is 0
        return self._u[:, :r] @ (block[:r] @ self._vt) + (self._u[:, r:] @ block[r:, :r]) @ self._vt[:r]

    def _coordinates(self, block: Array) -> Array:
        """The tangent part of ``U^T D V``."""
        r = self._r
        if self._many:
            out = self._u.T @ block @ self._vt.T
            out[r:, r:] = 0.0
            return out
        out = np.zeros_like(block)
        out[:r] = (self._u[:, :r].T @ block) @ self._vt.T
        out[r:, :r] = self._u[:, r:].T @ (block @ self._vt[:r].T)
        return out

    def apply(self, x: Array) -> Array:
        """The second derivative at a tangent, projected onto the tangent space."""
        r = self._r
        eta, block = self._split(x)
        d_eta, d_block = self._local.hessian(eta, self._ambient(block))
        out = self._coordinates(d_block)
        a, below, right = block[:r, :r], block[r:, :r], block[:r, r:].T
        out[:r, :r] += self._turn * (a - a.T)
        out[r:, :r] += self._pull * below - self._swap * right
        out[:r, r:] += (self._pull * right - self._swap * below).T
        return np.concatenate([np.where(self._active, d_eta, 0.0), out.ravel()])

    def _prepare(self) -> None:
        r, mu, s = self._r, self.mu, self._point.sigma
        curvature = self._local.diagonal(self._u, self._vt.T)
        curvature = np.maximum(curvature, 1e-3 * curvature.mean() + 1e-300)
        block = curvature[:r, :r]
        self._skew = block + block.T + 4 * mu / self._sums
        paired = (curvature[r:, :r] + curvature[:r, r:].T) / 2
        self._below_skew = 2 * (paired + (mu + self._outside) / s)
        self._below_symmetric = 2 * (paired + (mu - self._outside) / s)
        rotation = self._u @ self._vt
        entries = rotation.T**2 @ self._local.entries
        self._entries = 2 * _floored((entries + entries.T) / 2)
        self._eta = _floored(self._local.eta_diagonal)
        self._conjugate = self._divided(self._normal)
        self._length = float(self._normal @ self._conjugate)

    def _divided(self, x: Array) -> Array:
        r = self._r
        eta, block = self._split(x)
        out = np.zeros_like(block)
        a, below, right = block[:r, :r], block[r:, :r], block[:r, r:].T
        v = self._vt[:r]
        turned = a.T
        out[:r, :r] = v @ ((v.T @ (a + turned) @ v) / self._entries) @ v.T + (a - turned) / self._skew
        symmetric = (below + right) / self._below_symmetric
        skew = (below - right) / self._below_skew
        out[r:, :r] = symmetric + skew
        out[:r, r:] = (symmetric - skew).T
        return np.concatenate([np.where(self._active, eta / self._eta, 0.0), out.ravel()])

    def _precondition(self, x: Array) -> Array:
        """The preconditioner, on the tangents that keep the gauge where that is a ball's radius."""
        out = self._divided(x)
        if self._constrained and self._length > 0:
            out -= self._conjugate * (float(self._normal @ out) / self._length)
        return out

    def solve(self, accuracy: float) -> Array:
        """Conjugate gradients to a residual that falls with the gradient (Eisenstat and Walker 1996), or is enough."""
        target = min(0.1, max(self.error, 0.1 * accuracy / max(self.error, accuracy)))
        if self._g >= _MANY and self.error > _SETTLED * _SINGLE:
            x, self.cg_steps = self._in_single_precision(max(target, _SINGLE))
            if self.cg_steps < _MAX_CG_SINGLE:
                return x
        self._prepare()
        x, steps = conjugate_gradients(self.apply, self._precondition, -self.gradient, target, _MAX_CG)
        self.cg_steps += steps
        return x

    def _in_single_precision(self, target: float) -> tuple[Array, int]:
        """Conjugate gradients in half the memory, and their steps: at the limit rounding may have hindered them."""
        half, size = in_single_precision(self), float(np.abs(self.gradient).max())
        half._prepare()
        right: Any = (-self.gradient / max(size, 1e-300)).astype(np.float32)
        x, steps = conjugate_gradients(half.apply, half._precondition, right, target, _MAX_CG_SINGLE)
        return size * x.astype(np.float64), steps


def in_single_precision(thing: Any) -> Any:
    """A copy of a system and what it holds, with its arrays in half the memory."""
    found = copy.copy(thing)
    for name, value in vars(thing).items():
        if isinstance(value, np.ndarray) and value.dtype == np.float64:
            setattr(found, name, value.astype(np.float32))
        elif isinstance(value, _Local | ReducedRisk | _Point):
            setattr(found, name, in_single_precision(value))
    return found


def svd_within(block: Array, left: Array, right: Array) -> tuple[Array, Array, Array]:
    """Singular value decomposition, with full bases, of a block whose columns and rows lie in the spans given."""
    u, sigma, vt = svd(left.T @ block @ right)
    u, vt = left @ u, vt @ right.T
    more = [np.linalg.qr(x, mode="complete")[0][:, len(sigma) :] for x in (u, vt.T)]
    return np.hstack([u, more[0]]), sigma, np.vstack([vt, more[1].T])


def _floored(diagonal: Array) -> Array:
    """Positive divisors: entries not below a thousandth of the mean."""
    return np.maximum(diagonal, 1e-3 * diagonal.mean() + 1e-300)
