r"""Two-group problems under any convex loss, many at a time: six numbers a point, by semismooth Newton steps.

Optima that treat the classes of a group alike have in ``Y = Z diag(omega)`` the six coordinates

    x = (eta_A, Y_AA, Y_BA, eta_B, Y_BB, Y_AB),   eta_a = sqrt(K_a - 1) omega_a s_a,   Y_ab = M_ab omega_b,

of orthonormal directions (:mod:`ufm.reduction`), and the gauge ``sum_a sqrt(K_a - 1) |eta_a| + |Y|_*``. A column of a
group sees three of them. A step from x goes to the zero of the linear part of ``x - prox(x - t grad f(x))``, the prox
being that of the gauge, or the projection onto its ball (Qi and Sun 1993); it is cut to the rank and the signs that the
prox has there, and where it lowers nothing the step to the prox itself is taken (Beck and Teboulle 2009), which does.
Every point ends with the duality gap of its own K x K problem.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

import ufm
from ufm._linalg import svd, svdvals
from ufm.geometry import ZERO_LOGITS
from ufm.labels import MAX_DENSE
from ufm.losses import CrossEntropy, Loss, attack, is_ours, unchanging
from ufm.phases import Phase
from ufm.problem import FLOOR_SHARE

__all__ = ["ROOM", "Found", "Group", "Points", "check_loss_of_groups", "minimise", "solve"]

Array = NDArray[np.float64]

_MOST_STEPS = 120
#: Relative gap that ends a point, and steps without a smaller gap or value that do.
_CLOSED, _PATIENCE = 1e-13, 10
#: Parts of Newton's step that are tried; by which length of x a step moves at most by the gradient, as its inverse.
_LENGTHS, _FLAT = (1.0, 0.3, 0.1), 10.0
_ROUNDING = 1e-15
#: Scales of the simplex that a point may start from, by what the ball holds or, under weight decay, of logits.
_STARTS = 2.0 ** np.arange(-6, 7)
#: Coordinates of either group's column, and where Y stands in all of them.
_COLUMNS = (slice(0, 3), slice(3, 6))
_BLOCK = np.array([[1, 5], [2, 4]])


@dataclass(frozen=True)
class Group:
    """Points with the same numbers of classes.

    Attributes:
        sizes: K_A and K_B.
        mass: K_a pi_a, shape (n, 2).
        omega: weight of the groups' columns in the gauge, shape (n, 2).
        limit: radius, or strength, shape (n,).
        is_ball: whether it is a radius.
    """

    sizes: tuple[int, int]
    mass: Array
    omega: Array
    limit: Array
    is_ball: bool

    def take(self, index: NDArray[np.intp]) -> Group:
        """The points at an index."""
        return replace(self, mass=self.mass[index], omega=self.omega[index], limit=self.limit[index])


@dataclass(frozen=True)
class Found:
    """Optima of n points: x (n, 6), objective, lower bound, dual norm, and the absolute gap that counts as closed."""

    x: Array
    value: Array
    lower: Array
    norm: Array
    floor: Array


def _of_any_columns(loss: Loss, sizes: tuple[int, int]) -> tuple[Loss, Array]:
    """The loss of any number of columns, and what weighs those of either group.

    >>> _of_any_columns(CrossEntropy(weights=[1.0, 3.0, 3.0]), (1, 2))
    (CrossEntropy(), array([1., 3.]))
    """
    if type(loss) is CrossEntropy and loss.weights is not None:
        loss.on_columns(slice(0, 1), sum(sizes))  # refuses weights of another number
        return replace(loss, weights=None), np.array(loss.weights)[[0, sizes[0]]]
    return loss, np.ones(2)


class _Risk:
    """The risk of a group of points at x: its derivatives by the loss's own at two columns."""

    def __init__(self, loss: Loss, group: Group) -> None:
        self.loss, weights = _of_any_columns(loss, group.sizes)
        self.mass = group.mass * weights
        self.omega = group.omega
        self.maps = _maps(group.sizes)
        self.targets = np.zeros((sum(group.sizes), 2))
        self.targets[[0, group.sizes[0]], [0, 1]] = 1.0

    def _columns(self, x: Array, index: NDArray[np.intp]) -> Iterator[tuple[Array, Array, Array, Array]]:
        """Map, logits (K, n), targets (K, n) and ``mass, omega`` (2, n) of either group's column."""
        for c in (0, 1):
            omega = self.omega[index, c]
            logits = self.maps[c] @ (x[:, _COLUMNS[c]] / omega[:, None]).T
            targets = np.repeat(self.targets[:, [c]], len(x), axis=1)
            yield self.maps[c], logits, targets, np.stack([self.mass[index, c], omega])

    def value(self, x: Array, index: NDArray[np.intp]) -> Array:
        """The risk, (n,)."""
        columns = self._columns(x, index)
        return sum((mass * self.loss.values(z, t) for _, z, t, (mass, _) in columns), np.zeros(len(x)))

    def value_and_gradient(self, x: Array, index: NDArray[np.intp]) -> tuple[Array, Array]:
        """The risk and its gradient, (n,) and (n, 6)."""
        value, gradient = np.zeros(len(x)), np.empty_like(x)
        for c, (a, z, t, (mass, omega)) in enumerate(self._columns(x, index)):
            values, slopes = self.loss.values_and_gradients(z, t)
            value += mass * values
            gradient[:, _COLUMNS[c]] = (mass / omega * (a.T @ slopes)).T
        return value, gradient

    def hessian(self, x: Array, index: NDArray[np.intp]) -> Array:
        """Second derivatives (n, 6, 6), a block a column."""
        out = np.zeros((len(x), 6, 6))
        for c, (a, z, t, (mass, omega)) in enumerate(self._columns(x, index)):
            for j in range(3):
                along = self.loss.curvatures(z, t, np.repeat(a[:, [j]], len(x), axis=1))
                out[:, _COLUMNS[c], 3 * c + j] = (mass / omega**2 * (a.T @ along)).T
        return (out + np.swapaxes(out, 1, 2)) / 2


def _maps(sizes: tuple[int, int]) -> list[Array]:
    """Logits of the first column of either group as a linear map of its three coordinates times 1/omega, (K, 3)."""
    k, found = sum(sizes), []
    for start, size in ((0, sizes[0]), (sizes[0], sizes[1])):
        a = np.zeros((k, 3))
        mine = slice(start, start + size)
        if size > 1:
            a[mine, 0] = -1 / size
            a[start, 0] += 1
            a[:, 0] /= np.sqrt(size - 1)
        a[mine, 1] = 1 / size
        a[:, 2] = 1 / np.sqrt(sizes[0] * sizes[1])
        a[mine, 2] = 0.0
        found.append(a)
    return found


def _singular_values(blocks: Array) -> Array:
    """Of (n, 2, 2), shape (n, 2); NaN where a block is not finite."""
    out = np.full((len(blocks), 2), np.nan)
    finite = np.isfinite(blocks).all(axis=(1, 2))
    out[finite] = svdvals(blocks[finite])
    return out


class _Gauge:
    """Prox or projection of the gauge at points of one group, and its derivative."""

    def __init__(self, group: Group) -> None:
        self.is_ball = group.is_ball
        self.root = np.sqrt(np.array(group.sizes) - 1.0)

    def of(self, x: Array) -> Array:
        """The gauge, (n,)."""
        sigma = _singular_values(x[:, _BLOCK])
        return np.abs(x[:, [0, 3]]) @ self.root + sigma.sum(axis=1)

    def prox(self, v: Array, limit: Array, step: Array) -> _Prox:
        """The prox of ``step limit`` times the gauge, or the projection onto its ball of radius ``limit``."""
        # a step so long that it overflows is none: whether an SVD of infinities raises hangs on the processor
        v = np.where(np.isfinite(v).all(axis=1, keepdims=True), v, 0.0)
        eta, root = v[:, [0, 3]], self.root
        u, sigma, vt = svd(v[:, _BLOCK])
        threshold = _to_ball(np.abs(eta), sigma, root, limit) if self.is_ball else step * limit
        kept = np.maximum(np.abs(eta) - threshold[:, None] * root, 0.0) * (root > 0)
        left = np.maximum(sigma - threshold[:, None], 0.0)
        x = np.empty_like(v)
        x[:, [0, 3]] = np.copysign(kept, eta)
        x[:, _BLOCK.ravel()] = ((u * left[:, None, :]) @ vt).reshape(len(v), 4)
        return _Prox(x, np.sign(eta) * (kept > 0) * root, u, sigma, vt, left, threshold)

    def derivative(self, p: _Prox) -> Array:
        """The derivative of the prox, (n, 6, 6)."""
        n = len(p.x)
        out = np.zeros((n, 6, 6))
        out[:, 0, 0], out[:, 3, 3] = (p.signs != 0).T
        total, spread = p.sigma.sum(axis=1), p.sigma[:, 0] - p.sigma[:, 1]
        same = np.where(spread > 1e-12 * total, (p.left[:, 0] - p.left[:, 1]) / np.maximum(spread, 1e-300), 1.0)
        same = np.where((spread <= 1e-12 * total) & (p.left[:, 1] == 0), 0.0, same)
        skew = np.where(total > 0, p.left.sum(axis=1) / np.maximum(total, 1e-300), 0.0)
        basis = np.einsum("nia,nbj->nabij", p.u, p.vt).reshape(n, 2, 2, 4)
        half = np.sqrt(0.5)
        parts = (
            (basis[:, 0, 0], (p.left[:, 0] > 0).astype(float)),
            (basis[:, 1, 1], (p.left[:, 1] > 0).astype(float)),
            (half * (basis[:, 0, 1] + basis[:, 1, 0]), same),
            (half * (basis[:, 0, 1] - basis[:, 1, 0]), skew),
        )
        block = sum((c[:, None, None] * b[:, :, None] * b[:, None, :] for b, c in parts), np.zeros((n, 4, 4)))
        place = _BLOCK.ravel()
        out[:, place[:, None], place] = block
        if self.is_ball:
            normal = p.normal()
            size = np.where(p.threshold > 0, np.einsum("ni,ni->n", normal, normal), np.inf)
            out -= normal[:, :, None] * normal[:, None, :] / np.maximum(size, 1e-300)[:, None, None]
        return out

    def cut(self, x: Array, p: _Prox, limit: Array) -> Array:
        """x with the rank and the signs of a prox and, if that is on the sphere, on the sphere."""
        x = x.copy()
        eta = x[:, [0, 3]]
        x[:, [0, 3]] = np.where(eta * p.signs > 0, eta, 0.0)
        u, sigma, vt = svd(x[:, _BLOCK])
        sigma = np.where(p.left > 0, sigma, 0.0)
        x[:, _BLOCK.ravel()] = ((u * sigma[:, None, :]) @ vt).reshape(len(x), 4)
        if self.is_ball:
            gauge = self.of(x)
            full = (p.threshold > 0) | (gauge > limit)
            x *= np.where(full & (gauge > 0), limit / np.maximum(gauge, 1e-300), 1.0)[:, None]
        return x


@dataclass(frozen=True)
class _Prox:
    """A prox x (n, 6); derivatives of the gauge by eta there, 0 at 0; the decomposition of Y before and after it."""

    x: Array
    signs: Array  # (n, 2), times sqrt(K_a - 1)
    u: Array
    sigma: Array
    vt: Array
    left: Array
    threshold: Array

    def take(self, index: NDArray[np.intp]) -> _Prox:
        """Those of the points at an index."""
        return _Prox(*(value[index] for value in vars(self).values()))

    def normal(self) -> Array:
        """The gradient of the gauge on the manifold of x, (n, 6)."""
        out = np.empty_like(self.x)
        out[:, [0, 3]] = self.signs
        out[:, _BLOCK.ravel()] = ((self.u * (self.left > 0)[:, None, :]) @ self.vt).reshape(len(out), 4)
        return out


def _to_ball(eta: Array, sigma: Array, root: Array, radius: Array) -> Array:
    """What all singular values are lessened by for ``sum_a (K_a-1) (y_a - theta)_+ + sum (sigma - theta)_+ = radius``.

    0 inside of the ball.
    """
    counts = np.broadcast_to([*(root**2), 1.0, 1.0], (len(eta), 4))
    values = np.hstack([eta / np.where(root > 0, root, 1.0) * (root > 0), sigma])
    order = np.argsort(-values, axis=1)
    values, counts = np.take_along_axis(values, order, 1), np.take_along_axis(counts, order, 1)
    sums, many = np.cumsum(counts * values, axis=1), np.cumsum(counts, axis=1)
    theta = np.where(many > 0, (sums - radius[:, None]) / np.maximum(many, 1.0), -np.inf)
    # the largest of the candidates is the right one: what takes fewer or more values in asks for less
    return np.maximum(theta.max(axis=1), 0.0)


def minimise(loss: Loss, group: Group) -> Found:
    """Optima of a group of points, each with a bound of its own; where a gap stays open the bound says so.

    >>> balanced = Group((1, 1), np.full((1, 2), 0.5), np.ones((1, 2)), np.array([2.0]), True)
    >>> minimise(CrossEntropy(), balanced).value.round(6).tolist()  # log(1 + e^-2)
    [0.126928]
    """
    return _Descent(loss, group).run()


class _Descent:
    def __init__(self, loss: Loss, group: Group) -> None:
        self.group, self.risk, self.gauge = group, _Risk(loss, group), _Gauge(group)
        self.least = loss.infimum * self.risk.mass.sum(axis=1)
        n = len(group.limit)
        everything = np.arange(n)
        self.at_zero = self.risk.value(np.zeros((n, 6)), everything)
        # as :attr:`ufm.Problem.floor` has it
        self.floor = FLOOR_SHARE * np.abs(self.at_zero - np.where(np.isfinite(self.least), self.least, 0.0))
        self.floor = np.minimum(loss.floor, self.floor) if loss.floor else np.zeros(n)
        self.x = self._start(everything)
        self.value, self.gradient = self._evaluated(self.x, everything)
        self.lower, self.norm = self._bound(self.x, self.value, self.gradient, everything)
        self.shorter = np.ones(n)

    def _start(self, index: NDArray[np.intp]) -> Array:
        """The simplex of all classes, at the best of some scales."""
        k_a, k_b = self.group.sizes
        k = k_a + k_b
        simplex = np.array([np.sqrt(k_a - 1), k_b / k, 0.0, np.sqrt(k_b - 1), k_a / k, 0.0])
        simplex[[2, 5]] = -np.sqrt(k_a * k_b) / k
        x = simplex * np.repeat(self.group.omega, 3, axis=1)
        if self.group.is_ball:
            x *= (self.group.limit / self.gauge.of(x))[:, None]
        best, least = np.zeros_like(x), self.at_zero.copy()
        for scale in (s for s in _STARTS if not (self.group.is_ball and s > 1)):
            value, _ = self._evaluated(scale * x, index)
            better = value < least
            best[better], least[better] = scale * x[better], value[better]
        return best

    def _evaluated(self, x: Array, index: NDArray[np.intp]) -> tuple[Array, Array]:
        """The objective, and the gradient of the risk."""
        value, gradient = self.risk.value_and_gradient(x, index)
        if not self.group.is_ball:
            value = value + self.group.limit[index] * self.gauge.of(x)
        return value, gradient

    def _bound(self, x: Array, value: Array, gradient: Array, index: NDArray[np.intp]) -> tuple[Any, Any]:
        """The lower bound of convexity at x, as :meth:`ufm.Problem.lower_bound` has it, and the dual norm."""
        limit, root = self.group.limit[index], self.gauge.root
        norm = _singular_values(gradient[:, _BLOCK])[:, 0]
        for c in (0, 1):
            if root[c] > 0:
                norm = np.maximum(norm, np.abs(gradient[:, 3 * c]) / root[c])
        inner = np.einsum("ni,ni->n", gradient, x)
        if self.group.is_ball:
            return value - np.maximum(inner + limit * norm, 0.0), norm
        excess = np.maximum(0.0, norm / limit - 1)
        slack = limit * self.gauge.of(x) + inner
        with np.errstate(invalid="ignore", over="ignore"):  # an infimum that is not known bounds nothing
            over = np.where(excess > 0, excess * (self.at_zero - self.least)[index], 0.0)
        return value - np.maximum(slack + over, 0.0), norm

    def run(self) -> Found:
        rest = np.flatnonzero(~self._is_closed(np.arange(len(self.x))))
        idle = np.zeros(len(self.x), dtype=int)
        for _ in range(_MOST_STEPS):
            if not len(rest):
                break
            gap, value = (self.value - self.lower)[rest], self.value[rest]
            with np.errstate(all="ignore"):  # without a lower bound points go on to where they overflow
                self._step(rest)
            better = (self.value - self.lower)[rest] < 0.9 * gap
            better |= self.value[rest] < value - 100 * _ROUNDING * np.abs(value)
            idle[rest] = np.where(better, 0, idle[rest] + 1)
            rest = rest[~self._is_closed(rest) & (idle[rest] < _PATIENCE)]
        return Found(self.x, self.value, np.minimum(self.lower, self.value), self.norm, self.floor)

    def _is_closed(self, index: NDArray[np.intp]) -> NDArray[np.bool_]:
        return (self.value - self.lower)[index] <= _CLOSED * np.abs(self.value[index]) + 0.1 * self.floor[index]

    def _step(self, index: NDArray[np.intp]) -> None:
        """Newton's step, where it lowers the value or the gap; elsewhere the prox, from shorter steps if need be."""
        x, gradient, limit = self.x[index], self.gradient[index], self.group.limit[index]
        hessian = self.risk.hessian(x, index)
        length = np.maximum(np.linalg.norm(x, axis=1), 1e-2 * np.linalg.norm(self.group.omega[index], axis=1))
        # where nothing is curved a step moves x by a tenth of what it is
        slope = np.linalg.norm(gradient, axis=1) + (0.0 if self.group.is_ball else limit)
        flat = np.maximum(np.trace(hessian, axis1=1, axis2=2), _FLAT * slope / length)
        step = self.shorter[index] / np.maximum(flat, 1e-300)
        p = self.gauge.prox(x - step[:, None] * gradient, limit, step)
        newton = self._newton(x, p, hessian, step)
        taken = np.zeros(len(index), dtype=bool)
        for part in _LENGTHS:
            left = np.flatnonzero(~taken)
            if len(left):
                moved = self.gauge.cut(x[left] + part * newton[left], p.take(left), limit[left])
                taken[left] = self._take(moved, index[left])
        left = np.flatnonzero(~taken)
        if len(left):
            taken[left] = self._take(p.x[left], index[left])
        self.shorter[index] = np.where(taken, np.minimum(1.0, 2 * self.shorter[index]), self.shorter[index] / 4)

    def _newton(self, x: Array, p: _Prox, hessian: Array, step: Array) -> Array:
        """The zero of the linear part of ``x - prox(x - t grad f(x))``."""
        derivative, one = self.gauge.derivative(p), np.eye(6)
        matrix = one - derivative @ (one - step[:, None, None] * hessian) + 1e-14 * one
        with np.errstate(all="ignore"):
            found = np.linalg.solve(matrix, (p.x - x)[:, :, None])[:, :, 0]
        return np.where(np.isfinite(found).all(axis=1, keepdims=True), found, p.x - x)

    def _take(self, x: Array, index: NDArray[np.intp]) -> NDArray[np.bool_]:
        """Go to x, where that lowers the value or, at no higher value but for rounding, the gap; where it does."""
        with np.errstate(all="ignore"):
            value, gradient = self._evaluated(x, index)
            lower, norm = self._bound(x, value, gradient, index)
        old, gap = self.value[index], (self.value - self.lower)[index]
        rounding = 10 * _ROUNDING * np.abs(old)
        good = (value < old - rounding) | ((value <= old + rounding) & (value - lower < gap))
        good &= np.isfinite(value) & np.isfinite(gradient).all(axis=1)
        to = index[good]
        self.x[to], self.value[to], self.gradient[to] = x[good], value[good], gradient[good]
        self.lower[to] = np.maximum(lower[good], self.lower[to])
        self.norm[to] = norm[good]
        return good


# From arrays of points to arrays of optima --------------------------------------------------------------------------

#: Logits of all columns of a block of points.
_ENTRIES = 1 << 19
#: Gap above which a point is solved alone, as :func:`ufm.solve` does it.
_OPEN = 1e-10
#: Floors of the gap that rounding of a large radius may take.
ROOM = 10.0
#: Distance of columns that counts as none, beside the length of all logits.
_SAME = 1e-9
#: Relative difference of losses that is more than rounding.
_UNLIKE = 1e-9


@dataclass(frozen=True)
class Points:
    """Two-group problems, arrays (n,) each: sizes, R, n_B and either the radius or the strength of the gauge."""

    k_a: Array
    k_b: Array
    ratio: Array
    minority_count: Array
    limit: Array
    is_ball: bool

    def group(self, index: NDArray[np.intp]) -> Group:
        """The points at an index, of the same sizes."""
        k_a, k_b, ratio = self.k_a[index], self.k_b[index], self.ratio[index]
        counts = np.stack([ratio, np.ones_like(ratio)], axis=1)
        mass = counts * np.stack([k_a, k_b], axis=1) / (k_a * ratio + k_b)[:, None]
        omega = np.ones_like(counts) if self.is_ball else np.sqrt(counts * self.minority_count[index, None])
        return Group((int(k_a[0]), int(k_b[0])), mass, omega, self.limit[index], self.is_ball)


def solve(loss: Loss, points: Points) -> tuple[tuple[Array, ...], Array]:
    """Value, lower bound, multiplier, s_A, s_B, d_A, d_B and phase of every point, (n,) each, and floors of the gap.

    >>> one = np.ones(1)
    >>> found, _ = solve(CrossEntropy(smoothing=0.1), Points(2 * one, 2 * one, 5 * one, one, 8 * one, True))
    >>> bool(found[0][0] - found[1][0] <= 1e-12 * found[0][0]), found[-1].tolist()
    (True, [0])
    """
    n = len(points.limit)
    out = np.empty((7, n))
    phases, floors = np.empty(n, np.int8), np.empty(n)
    sizes, which = np.unique(np.stack([points.k_a, points.k_b]), axis=1, return_inverse=True)
    which = which.reshape(-1)  # NumPy 2.0 gives it the array's dimensions
    order = np.argsort(which, kind="stable")
    with ExitStack() as stack:
        for (k_a, k_b), all_of_them in zip(
            sizes.T.astype(int).tolist(), np.split(order, np.cumsum(np.bincount(which))[:-1]), strict=True
        ):
            check_loss_of_groups(loss, (k_a, k_b))  # says first what else may be wrong
            stack.enter_context(unchanging(loss, np.eye(k_a + k_b)[:, [0, k_a]]))
            _solve_sizes(loss, points, (k_a, k_b), all_of_them, (out, phases, floors))
    return (*out, phases), floors


def _solve_sizes(
    loss: Loss, points: Points, sizes: tuple[int, int], indices: NDArray[np.intp], into: tuple[Array, Any, Array]
) -> None:
    """Solve the points of one size, in blocks, into the numbers, phases and floors of all."""
    out, phases, floors = into
    many = max(1, _ENTRIES // sum(sizes))
    for start in range(0, len(indices), many):
        index = indices[start : start + many]
        group = points.group(index)
        found = minimise(loss, group)
        s, t = _logits(found.x, group)
        out[:, index] = [
            found.value,
            found.lower,
            found.norm if points.is_ball else points.limit[index],
            *s,
            t[0, 0] - t[1, 0],
            t[1, 1] - t[0, 1],
        ]
        phases[index], floors[index] = _phases(s, t, sizes), found.floor
        for i in index[~(found.value - found.lower <= _OPEN * np.abs(found.value) + ROOM * found.floor)]:
            alone = _solved_alone(loss, points, i)
            if alone[0] - alone[1] < out[0, i] - out[1, i]:
                out[:, i], phases[i] = alone[:7], alone[7]


def _logits(x: Array, group: Group) -> tuple[Array, Array]:
    """``s_a`` (2, n) and ``t_ab`` (2, 2, n) of ``Z_ij = s_a [i = j] + t_ab``."""
    size = np.array(group.sizes, dtype=float)
    root = np.sqrt(np.maximum(size - 1, 1.0))
    s = (x[:, [0, 3]] / root / group.omega).T
    m = np.moveaxis(x[:, _BLOCK] / group.omega[:, None, :], 0, 2)
    m[[0, 1], [0, 1]] -= s
    return s, m / np.sqrt(np.outer(size, size))[:, :, None]


def _phases(s: Array, t: Array, sizes: tuple[int, int]) -> NDArray[np.int8]:
    """The codes of the phases, as :func:`ufm.geometry.collapse` tells them of one problem's logits."""
    size = np.array(sizes, dtype=float)[:, None]
    # in units of the largest entry, where that is large: no square overflows
    unit = np.maximum(1.0, np.maximum(np.abs(s).max(axis=0), np.abs(t).max(axis=(0, 1))))
    s, t = s / unit, t / unit
    # the centred column of a group whose classes coincide, by its entries at A and at B
    columns = t + np.where(size == 1, s, 0.0) * np.eye(2)[:, :, None]
    columns = columns - (size[:, :, None] * columns).sum(axis=0) / size.sum()
    lengths = np.sqrt((size[:, :, None] * columns**2).sum(axis=0))
    total = np.sqrt((size * (size * (t**2).sum(axis=0) + 2 * s * t[[0, 1], [0, 1]] + s**2)).sum(axis=0))
    small = np.maximum(_SAME * total, ZERO_LOGITS)
    fixed = (s == 0) & (size > 1)
    alike = fixed | (size == 1)
    distance = np.sqrt((size * (columns[:, 0] - columns[:, 1]) ** 2).sum(axis=0))
    merged = alike.all(axis=0) & (distance <= small)
    some = fixed | merged
    nothing = (some & (lengths <= small)).any(axis=0)
    return np.where(nothing, Phase.TOTAL.code, np.where(some.any(axis=0), Phase.PARTIAL.code, 0)).astype(np.int8)


def _solved_alone(loss: Loss, points: Points, i: int) -> tuple[Any, ...]:
    """What :func:`ufm.solve` finds of one point."""
    k_a, k_b, limit = int(points.k_a[i]), int(points.k_b[i]), float(points.limit[i])
    n_b = float(points.minority_count[i])
    prior = ufm.ClassPrior([n_b * float(points.ratio[i])] * k_a + [n_b] * k_b)
    length = limit / (k_a + k_b)
    architecture = ufm.LayerPeeled(length, length) if points.is_ball else ufm.UnconstrainedFeatures(limit, limit)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the batch counts what stays open
        found = ufm.solve(architecture, prior, loss)
    z, parts = found.logits, (slice(0, k_a), slice(k_a, None))
    sums = np.array([[z[rows, columns].sum() for columns in parts] for rows in parts])
    own = np.array([np.trace(z[part, part]) for part in parts])
    size = np.array([k_a, k_b], dtype=float)
    pairs = size * (size - 1)
    s = np.where(pairs > 0, own / size - (np.diagonal(sums) - own) / np.maximum(pairs, 1.0), 0.0)
    s[np.abs(s) <= max(_SAME * float(np.abs(z).max()), ZERO_LOGITS)] = 0.0  # what rounding leaves of a collapsed group
    t = (sums - np.diag(s * size)) / np.outer(size, size)
    multiplier = found.multiplier if points.is_ball else limit
    code = _phases(s[:, None], t[:, :, None], (k_a, k_b))[0]
    return found.value, found.lower, multiplier, *s, t[0, 0] - t[1, 0], t[1, 1] - t[0, 1], code


def check_loss_of_groups(loss: Loss, sizes: tuple[int, int]) -> None:
    """Raise ValueError unless the loss treats the classes of either group alike; attack one that is not of ours.

    >>> check_loss_of_groups(CrossEntropy(scales=[1.0, 2.0, 2.0]), (1, 2))
    >>> check_loss_of_groups(CrossEntropy(scales=[1.0, 2.0, 2.0]), (2, 1))
    Traceback (most recent call last):
        ...
    ValueError: loss must treat the 2 classes of a group alike for arrays of problems, got ...
    """
    if sum(sizes) > MAX_DENSE:
        raise ValueError(
            f"num_majority + num_minority must be at most {MAX_DENSE} with a loss without a closed form, got "
            f"{sum(sizes)}"
        )
    if not is_ours(loss):
        attack(loss, np.eye(sum(sizes))[:, [0, sizes[0]]])
    found, _ = _of_any_columns(loss, sizes)
    weights = getattr(loss, "weights", None) if found is not loss else None
    for start, size in ((0, sizes[0]), (sizes[0], sizes[1])):
        members = range(start, start + size)
        alike = size == 1 or _are_alike(found, sum(sizes), members)
        if not alike or (weights is not None and len({weights[i] for i in members}) > 1):
            raise ValueError(
                f"loss must treat the {size} classes of a group alike for arrays of problems, got {loss!r}; "
                "ufm.solve(..., loss=...) takes any"
            )


def _are_alike(loss: Loss, k: int, members: range) -> bool:
    """Whether exchanging neighbours among the members leaves losses as they are: of their own columns and of others."""
    z = 2 * np.random.default_rng(0).standard_normal(k)
    others = {members[0], members[-1], (members[-1] + 1) % k}
    pairs = list(itertools.pairwise(members))
    cases = [(i, j, i, j) for i, j in pairs] + [(i, j, own, own) for i, j in pairs for own in others - {i, j}]
    columns, (first, second, before, after) = np.arange(len(cases)), np.array(cases).T
    logits, targets = np.repeat(z[:, None], len(cases), axis=1), np.zeros((2, k, len(cases)))
    exchanged = logits.copy()
    exchanged[first, columns], exchanged[second, columns] = z[second], z[first]
    targets[0, before, columns] = targets[1, after, columns] = 1.0
    old, new = loss.values(logits, targets[0]), loss.values(exchanged, targets[1])
    return bool((np.abs(new - old) <= _UNLIKE * (1 + np.abs(old))).all())
