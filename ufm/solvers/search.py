r"""``method="search"``: local minima of a problem that need not be convex, from many starts, with a lower bound.

The K x K logits are written ``Y = Z diag(omega) = P diag(t)^{M-2} Q`` with r columns of P and rows of Q, and the
gauge's inner minimiser is put in. With ``p_i = (|P_i|^2 + |Q_i|^2)/2``:

* Frobenius budget (and spectral bound): ``Z = tau P Q / Omega(p)``, ``Omega(p) = sum_i (1 - a_i) p_i`` with a from
  water-filling, so that ``d Omega / d p_i = 1 - a_i``;
* penalty on A: ``f(Z) + sum_i g(p_i)``, ``g'(p_i) = lam (1 - a_i)``;
* M factors: ``Z = (tau^{2/M} / S)^{M/2} P diag(t)^{M-2} Q``, ``S = sum_i (|P_i|^2 + |Q_i|^2 + (M-2) t_i^2) / M``.

Every such point is a feasible set of factors (W, A, H) or (W_1, ..., W_M), A or the middle factors diagonal, and the
singular value decomposition of the optimal logits is one: the parametrisation loses nothing (theory section 2). It is
smooth but for jumps of the second derivative where an entry of a meets the cap, free of constraints, and under budgets
scale-invariant, a slack coordinate y adding ``y^2/2`` to Omega or S where a point need not use all of tau.

Each start descends by L-BFGS, distinct end points are polished by Newton's method with a pseudo-inverse on the orbits
of rotations, and a stationary point whose Hessian has a negative eigenvalue is left along it, downhill, until none has.
What is found is a list of local minima *of this parametrisation*, the least an upper bound of the optimal value; a
convex relaxation bounds it from below, and only where the two meet is a minimum called global.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize, minimize_scalar

from ufm._threads import blas_threads
from ufm._validation import integer, positive
from ufm.architectures import Constrained, Penalised
from ufm.geometry import Geometry
from ufm.labels import ClassPrior
from ufm.losses import ClosedForm
from ufm.problem import Problem
from ufm.solution import LocalMinimum, Solution
from ufm.solvers.auto import solve_convex
from ufm.solvers.conclude import checked, is_closed, multiplier, zero_risk
from ufm.solvers.methods import Support

__all__ = ["RELAXATIONS", "relaxed_lower_bound", "solve_search", "supports"]

Array = NDArray[np.float64]

#: Size of ``|x| |grad log F(x)|``, in units of what log F can vary in a small ball, up to which a point is stationary.
STATIONARY = 1e-9
#: Curvature below this fraction of the largest counts as none: an orbit of rotations, or a flat valley.
_FLAT = 1e-6
#: Relative differences up to which two minima are one, in value and in logits.
_SAME_VALUE, _SAME_LOGITS = 1e-8, 1e-4
#: With more variables than this no Hessian is formed: no Newton polish, and saddles are not told from minima.
_MAX_NEWTON = 1000
_MAX_ESCAPES = 6
#: Further descents, with fresh curvature, from where one ended short of a stationary point.
_RESTARTS = 4


def supports(problem: Problem) -> Support:
    """Bounded for every loss with an infimum and every architecture of this package.

    >>> import ufm
    >>> supports(Problem.of(ufm.LayerPeeled(1.0, 1.0), ufm.ClassPrior([1, 1]))).answer
    'bounded'
    """
    if not problem.is_known:
        return Support.refused(f"architecture {problem.architecture!r} states no price of singular values")
    if not isinstance(problem.prior, ClassPrior):
        return Support.refused("prior has labels that are not one-hot, for which there are no codes to start from")
    if not math.isfinite(problem.loss.infimum):
        return Support.refused(f"loss {problem.loss.name} has no finite infimum")
    return Support("bounded", "local minima from many starts; global only where the lower bound meets the value")


def solve_search(
    problem: Problem,
    *,
    dim: int | None = None,
    seed: int = 0,
    starts: int = 100,
    rank: int | None = None,
    tol: float = 1e-9,
    max_iter: int = 3000,
) -> Solution:
    """Search for the local minima of ``problem`` from structured and random starts.

    Args:
        problem: what to solve, convex or not.
        dim: feature dimension of the factors, default K; the rank of the logits is at most that.
        seed: seed >= 0 of the starts.
        starts: number of starts >= 1: codes of every kind, then random ones; see the module's docstring.
        rank: number r >= 1 of terms, default the bound K - 1 (CE) or K (MSE) of the optimal rank.
        tol: relative gap > 0 between value and lower bound up to which the best minimum counts as global.
        max_iter: L-BFGS iterations per descent >= 1.

    Returns:
        The best minimum; ``local_minima`` lists all distinct ones, best first, ``lower`` comes from
        :func:`relaxed_lower_bound`, ``is_global`` is True where the gap is closed and None otherwise. ``info`` holds
        ``starts``, ``stationary_points``, ``saddles`` (those left downhill), ``relative_gap`` and ``relaxation``.

    Raises:
        TypeError, ValueError: an argument is not what it should be.

    >>> import ufm
    >>> problem = Problem.of(ufm.LayerPeeled(1.0, 1.0), ufm.ClassPrior([1, 1, 1]), "ce")
    >>> solution = solve_search(problem, starts=3)
    >>> round(solution.value, 6), solution.is_global
    (0.368981, True)
    """
    seed = integer("seed", seed, minimum=0)
    starts = integer("starts", starts, minimum=1)
    r = problem.max_rank if rank is None else integer("rank", rank, minimum=1)
    r = r if dim is None else min(r, dim)
    tol = positive("tol", tol)
    max_iter = integer("max_iter", max_iter, minimum=1)
    landscape = Landscape(problem, r)
    found = _Catalogue(landscape, max_iter)
    # threads cost matrices of this size ten times what they bring
    with blas_threads(1):
        if (fitted := zero_risk(problem, r)) is not None:
            minima: tuple[LocalMinimum, ...] = (_minimum(problem, fitted, 0.0, 1.0, 0.0, True),)
        else:
            for y in _starts(problem, r, starts, np.random.default_rng(seed)):
                found.descend(landscape.at(y))
            minima = found.minima()
        best = minima[0]
        name, lower = relaxed_lower_bound(problem, best.value)
    lower = min(lower, best.value)
    info: dict[str, Any] = {
        "starts": found.starts,
        "stationary_points": len(found.points),
        "saddles": found.saddles,
        "relative_gap": (best.value - lower) / best.value if best.value > 0 else 0.0,
        "relaxation": name,
    }
    if best.stationarity > STATIONARY:
        info["warning"] = f"the best point is stationary to {best.stationarity:.2g} only, not {STATIONARY:g}"
        warnings.warn(f"method 'search': {info['warning']}", RuntimeWarning, stacklevel=3)
    found_best = Solution(
        problem,
        "search",
        best.value,
        lower,
        best.value,
        multiplier(problem, best.logits),
        True if is_closed(problem, best.value, lower, tol) else None,
        found.iterations,
        best.logits,
        info,
        dim,
        local_minima=minima,
    )
    return checked(found_best)


def _minimum(
    problem: Problem, logits: Array, value: float, share: float, stationarity: float, is_minimum: bool | None
) -> LocalMinimum:
    geometry = Geometry.of(problem.spectral.factorise(logits, problem.prior), problem.class_prior)
    return LocalMinimum(value, share, stationarity, is_minimum, logits, geometry)


# Lower bounds -------------------------------------------------------------------------------------------------------

Relaxation = Callable[[Problem, float], float]


def _convex_problem(problem: Problem, upper: float) -> float:
    """The problem itself where it is convex, else one whose gauge is a nuclear norm and at most the architecture's.

    See :meth:`ufm.architectures.Spectral.relaxation`; for a loss that is not convex no bound comes from here.
    """
    if not problem.loss.is_convex:
        return -math.inf
    form = problem.spectral.convex_form(problem.max_rank)
    if form is None:
        form = problem.spectral.relaxation(problem.prior.num_classes, upper)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a gap that stays open makes the bound lower, not wrong
        return solve_convex(Problem(form, problem.prior, problem.loss, problem.bias)).lower


def _etf_proof(problem: Problem, upper: float) -> float:
    """The ETF's risk where it is proved optimal, for balanced classes and a small Frobenius budget."""
    from ufm.landscape.etf_bounds import balanced_lower_bound

    return balanced_lower_bound(problem, upper)


#: Lower bounds of the optimal value by name, functions of the problem and an upper bound of it; ``-inf`` where one does
#: not apply. The best one counts, so that a sharper bound for some problems need only be added here.
RELAXATIONS: dict[str, Relaxation] = {"nuclear norm": _convex_problem, "proof that the ETF is optimal": _etf_proof}


def relaxed_lower_bound(problem: Problem, upper: float) -> tuple[str, float]:
    """The best of :data:`RELAXATIONS` and its value, never below the infimum of the loss.

    In floating point, as the bounds of the convex solvers are.

    Args:
        problem: a problem, convex or not.
        upper: an upper bound of its optimal value: the value at some feasible point.

    >>> import ufm
    >>> relaxed_lower_bound(Problem.of(ufm.DeepLinear((1.0, 1.0, 1.0)), ufm.ClassPrior([1, 1]), "mse"), 0.5)[0]
    'nuclear norm'
    """
    name, lower = max(((name, bound(problem, upper)) for name, bound in RELAXATIONS.items()), key=lambda item: item[1])
    least = problem.loss.infimum
    return (name, lower) if lower > least else ("infimum of the loss", least)


# The parametrisation ------------------------------------------------------------------------------------------------


class Landscape:
    """The objective and its gradient in ``x = (P, Q, t, slack)``, see the module's docstring."""

    def __init__(self, problem: Problem, rank: int) -> None:
        self.problem = problem
        self.rank = rank
        k = self._k = problem.prior.num_classes
        self._pi, self._omega = problem.prior.probabilities, problem.weights
        self._ce = problem.loss.closed_form is ClosedForm.CROSS_ENTROPY and problem.bias is None
        architecture = self._architecture = problem.spectral
        self._depth = architecture.num_factors
        self._tau = cast(Constrained, architecture).bound(k) if problem.is_constrained else 0.0
        self._price = architecture.slope if isinstance(architecture, Penalised) else 0.0
        self._slack = problem.is_constrained
        zero = np.zeros((k, k))
        # what is descended is log(value - shift), the shift below every value where that may be 0
        self._shift = problem.loss.infimum - (0.0 if self._is_positive else 1e-15 * self._excess(zero))
        # the most that it can vary to first order within a small ball, the unit of stationarity there
        start = problem.risk(zero) - self._shift
        self.origin = math.log(start)
        reach = self._tau * problem.dual_norm(problem.gradient(zero)) / start
        self.unit = min(1.0, reach) if problem.is_constrained else 1.0
        self._sizes = (k * rank, k * rank, rank if self._depth > 2 else 0, int(self._slack))

    @property
    def _is_positive(self) -> bool:
        """Whether values stay far enough above the infimum for their logarithm to be descended."""
        return self.problem.loss.closed_form is not None

    def _excess(self, logits: Array) -> float:
        return max(self.problem.risk(logits) - self.problem.loss.infimum, 1e-300)

    @property
    def size(self) -> int:
        """Number of variables."""
        return sum(self._sizes)

    def at(self, y: Array) -> Array:
        """A point whose logits are those of the best rank-r approximation of ``y`` (K, K), scaled; 0 is left alone."""
        u, s, vt = np.linalg.svd(y)
        u, s, vt = u[:, : self.rank], s[: self.rank], vt[: self.rank]
        if not s.any():
            return np.zeros(self.size)
        power = 1 / self._depth
        x = [(u * s**power).ravel(), (s[:, None] ** power * vt).ravel(), s**power if self._depth > 2 else np.empty(0)]
        return self._scaled(np.concatenate([*x, np.zeros(int(self._slack))]))

    def _scaled(self, x: Array) -> Array:
        """``x`` at the length at which the objective is least (no matter but for a penalty), or where ``|x| = 1``."""
        x = x / np.linalg.norm(x)
        if self.problem.is_constrained:
            return x
        found = minimize_scalar(lambda t: self(math.exp(t) * x)[0], bounds=(-5.0, 8.0), method="bounded")
        return math.exp(found.x) * x

    def split(self, x: Array) -> tuple[Array, Array, Array]:
        """P (K, r), Q (r, K) and t (r,), or an empty t."""
        n, k, r = self._k * self.rank, self._k, self.rank
        return x[:n].reshape(k, r), x[n : 2 * n].reshape(r, k), x[2 * n : 2 * n + self._sizes[2]]

    def logits(self, x: Array) -> Array:
        """Z (K, K), feasible; centred where the loss does not change."""
        return self.problem.centred(self._evaluate(x)[0] / self._omega)

    def _evaluate(self, x: Array) -> tuple[Array, float, Callable[[Array], Array]]:
        """Y, the penalty, and what turns df/dY into the gradient of objective and penalty."""
        p_, q, t = self.split(x)
        m = self._depth
        squares = np.einsum("ij,ij->j", p_, p_) + np.einsum("ij,ij->i", q, q)
        middle = t ** (m - 2) if m > 2 else np.ones(self.rank)
        left = p_ * middle
        product = left @ q
        if m > 2:
            gauge = float(squares.sum() + (m - 2) * (t @ t)) / m
            slopes = np.full(self.rank, 2 / m)
        else:
            p = squares / 2
            a = self._architecture.equilibrium_spectrum(p)
            slopes = 1 - a
            gauge = float(slopes @ p)
        if not self.problem.is_constrained:
            penalty = self._architecture.spectral_gauge(squares / 2)
            slopes = slopes * self._price
            scale = 1.0
        else:
            penalty = 0.0
            total = gauge + 0.5 * x[-1] ** 2
            scale = (self._tau ** (2 / m) / total) ** (m / 2) if total > 0 else 0.0

        def gradient(g: Array) -> Array:
            if self.problem.is_constrained:
                inner = float(np.vdot(g, product))
                pull = -inner * scale * m / 2 / total
            else:
                pull = 1.0
            g = scale * g
            parts = [
                (g @ (middle[:, None] * q).T + pull * slopes * p_).ravel(),
                (left.T @ g + (pull * slopes)[:, None] * q).ravel(),
            ]
            if m > 2:
                across = np.einsum("ij,ij->j", p_, g @ q.T)
                parts.append((m - 2) * t ** (m - 3) * across + pull * 2 * (m - 2) / m * t)
            if self._slack:
                parts.append(np.array([pull * x[-1]]))
            return np.concatenate(parts)

        return scale * product, penalty, gradient

    def __call__(self, x: Array) -> tuple[float, Array]:
        """``log(objective - shift)`` and its gradient; the shift is 0 for cross-entropy and mean squared error."""
        y, value, gradient = self._evaluate(x)
        z = y / self._omega
        if self._ce:
            risk, g = _cross_entropy(z, self._pi)
        else:
            risk, g = self.problem.risk(z), self.problem.gradient(z)
        value = max(value + risk - self._shift, 1e-300)
        return math.log(value), gradient(g / self._omega) / value

    def pruned(self, x: Array) -> Array:
        """``x`` without the terms that a descent has all but emptied: a is not smooth where several vanish together."""
        p, q, t = (part.copy() for part in self.split(x))
        sizes = np.einsum("ij,ij->j", p, p) + np.einsum("ij,ij->i", q, q)
        empty = sizes < 1e-12 * sizes.max()
        p[:, empty] = q[empty] = 0.0
        if len(t):
            t[empty] = 0.0
        new = np.concatenate([p.ravel(), q.ravel(), t, x[len(x) - self._sizes[3] :]])
        return new if self(new)[0] <= self(x)[0] + 1e-13 else x

    def filled(self, x: Array) -> Array | None:
        """With M > 2 factors, what lies below a stationary point that does not need all of tau and has terms to spare.

        An empty term changes the logits by a product of M small factors, which no Hessian shows. With what is left of
        tau paying for a term of size e along the leading singular pair of -G the risk falls by ``e^M |G|_2``. None
        where this does not apply.
        """
        m = self._depth
        if m == 2:
            return None
        y, _, _ = self._evaluate(x)
        u, s, vt = np.linalg.svd(y)
        rank = int((s > 1e-9 * s[0]).sum())
        needed = float((s[:rank] ** (2 / m)).sum())
        idle = self._tau ** (2 / m) - needed
        g = self.problem.gradient(y / self._omega) / self._omega
        left, size, right = np.linalg.svd(-g)
        if rank >= self.rank or idle < 1e-6 * needed or size[0] < 1e-8:
            return None
        root, e = s[:rank] ** (1 / m), math.sqrt(idle / 2)
        p, q, t = np.zeros((self._k, self.rank)), np.zeros((self.rank, self._k)), np.zeros(self.rank)
        p[:, :rank], q[:rank], t[:rank] = u[:, :rank] * root, root[:, None] * vt[:rank], root
        p[:, rank], q[rank], t[rank] = e * left[:, 0], e * right[0], e
        return np.concatenate([p.ravel(), q.ravel(), t, [math.sqrt(idle)]])

    def hessian(self, x: Array) -> Array:
        """Second derivatives by central differences of the gradient, (n, n)."""
        n = len(x)
        step = 6e-6 * max(float(np.linalg.norm(x)) / math.sqrt(n), 1e-8)
        h = np.empty((n, n))
        for i in range(n):
            ahead, behind = x.copy(), x.copy()
            ahead[i] += step
            behind[i] -= step
            h[i] = (self(ahead)[1] - self(behind)[1]) / (2 * step)
        return (h + h.T) / 2


def _cross_entropy(z: Array, pi: Array) -> tuple[float, Array]:
    """Risk and gradient with one exponential, as accurate as those of the loss."""
    margins = z - z.diagonal()
    top = margins.max(axis=0)  # at least 0, the margin of the class itself
    e = np.exp(margins - top)
    diagonal = e.ravel("K")[:: len(pi) + 1]  # a view: e is new, and square
    own = diagonal.copy()
    diagonal[:] = 0.0
    rest = e.sum(axis=0)
    total = own + rest
    loss = np.where(top > 0, top + np.log(total), np.log1p(rest))
    e /= total
    diagonal[:] = -rest / total
    return float(pi @ loss), e * pi


# The search ---------------------------------------------------------------------------------------------------------


@dataclass
class _Point:
    """A stationary point, how many starts ended there, and where its descent leads if it is a saddle."""

    x: Array
    value: float
    logits: Array
    signature: Array
    stationarity: float
    is_minimum: bool | None
    count: int = 0
    below: int | None = None


class _Catalogue:
    """Distinct stationary points met so far."""

    def __init__(self, landscape: Landscape, max_iter: int) -> None:
        self.landscape = landscape
        self.points: list[_Point] = []
        self.saddles = 0
        self.iterations = 0
        self._options = {"maxiter": max_iter, "maxfun": 2 * max_iter, "maxcor": 20, "ftol": 1e-14, "gtol": 1e-8}
        groups = [list(group.classes) for group in landscape.problem.prior.groups]
        self._blocks = [np.ix_(a, b) for a in groups for b in groups]
        self._groups = groups

    def descend(self, x: Array, escapes: int = 0) -> int:
        """Descend from ``x`` to a stationary point, leave it if it is a saddle; the index of where this ends."""
        x = self._minimised(x)
        index = self._known(self._point(x), 3.0)
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
        found = minimize(self._in_units, x, jac=True, method="L-BFGS-B", options=self._options)
        self.iterations += int(found.nit)
        return self.landscape.pruned(np.asarray(found.x, dtype=float))

    def _in_units(self, x: Array) -> tuple[float, Array]:
        value, gradient = self.landscape(x)
        return (value - self.landscape.origin) / self.landscape.unit, gradient / self.landscape.unit

    def _point(self, x: Array) -> _Point:
        problem = self.landscape.problem
        z = self.landscape.logits(x)
        if problem.loss.closed_form is not ClosedForm.MEAN_SQUARED_ERROR:
            invariants: list[Any] = [np.sort(z[block], axis=None) for block in self._blocks]
            invariants += [np.sort(z[members, members]) for members in self._groups]
        else:  # without a bias the problem is invariant under rotations of a group, not under permutations alone
            invariants = [np.linalg.svd(z[block], compute_uv=False) for block in self._blocks]
        signature = np.concatenate([*invariants, np.linalg.svd(z, compute_uv=False)])
        return _Point(x, problem.objective(z), z, signature, math.inf, None)

    def _known(self, point: _Point, slack: float = 1.0) -> int | None:
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
        point = self._point(x)
        if (known := self._known(point)) is not None:
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
        if not point.is_minimum and escapes < _MAX_ESCAPES:
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
            _minimum(
                self.landscape.problem,
                point.logits,
                point.value,
                point.count / self.starts,
                point.stationarity,
                point.is_minimum,
            )
            for point in listed
        )


# Starts -------------------------------------------------------------------------------------------------------------


def _starts(problem: Problem, rank: int, count: int, rng: np.random.Generator) -> Iterator[Array]:
    """``count`` logits ``Y``: codes as they are, codes with classes permuted and noise added, then random ones."""
    k, omega = problem.prior.num_classes, problem.weights
    codes = list(_codes(problem))
    random = max(count // 2, count - 4 * len(codes))
    for i in range(count):
        if i < count - random:
            x = codes[i % len(codes)]
            if i >= len(codes):
                x = x[:, rng.permutation(k)] * np.exp(rng.normal(scale=0.3, size=k))
                x = x + rng.normal(scale=rng.choice([0.01, 0.1, 0.3]), size=x.shape)
            y = x.T @ x
        elif i % 3 == 0:  # a code of random rank
            x = rng.normal(size=(rng.integers(1, rank + 1), k))
            y = x.T @ x
        elif i % 3 == 1:
            low = rng.integers(1, rank + 1)
            y = (rng.normal(size=(k, low)) * np.exp(rng.normal(size=low))) @ rng.normal(size=(low, k))
            y += rng.choice([0.0, 1.0, 5.0]) * np.eye(k)
        else:
            y = _random_factors(problem, rng)
        yield problem.centred(y) * omega


def _random_factors(problem: Problem, rng: np.random.Generator) -> Array:
    """The logits of normal factors, all M of them, or W, A and H with ``|A|_2`` up to the bound."""
    k = problem.prior.num_classes
    architecture = problem.spectral
    layers = list(rng.normal(size=(architecture.num_factors, k, k)))
    a = rng.normal(size=(k, k))
    a *= architecture.spectral_bound * rng.uniform() / np.linalg.norm(a, 2)
    return np.asarray(np.linalg.multi_dot([layers[0], np.linalg.inv(np.eye(k) - a), *layers[1:]]))


def _codes(problem: Problem) -> Iterator[Array]:
    """Points (d, K): sums and products of simplices, polygons, each also with the classes of a group at one point."""
    prior = problem.prior
    k = prior.num_classes
    for distinct in dict.fromkeys([k, *(k - group.size + 1 for group in prior.groups if 1 < group.size < k)]):
        if distinct == k:
            place = np.arange(k)
        else:  # the members of one group share the last point
            group = next(g for g in prior.groups if k - g.size + 1 == distinct)
            place = np.full(k, distinct - 1)
            place[[j for j in range(k) if j not in group.classes]] = np.arange(distinct - 1)
        for blocks in range(1, distinct // 2 + 1):
            yield _direct_sum([len(part) for part in np.array_split(np.arange(distinct), blocks)])[:, place]
        if distinct > 4:
            angle = 2 * np.pi * np.arange(distinct) / distinct
            yield np.array([np.cos(angle), np.sin(angle)])[:, place]
        for a in range(2, int(distinct**0.5) + 1):
            if distinct % a == 0:
                i, j = np.divmod(np.arange(distinct), distinct // a)
                yield np.vstack([_simplex(a)[:, i], _simplex(distinct // a)[:, j]])[:, place]
    for group in prior.groups:
        if 1 < group.size < k:  # one group alone, and all but one
            x = np.zeros((group.size, k))
            x[:, list(group.classes)] = _simplex(group.size)
            yield x
            rest = [j for j in range(k) if j not in group.classes]
            x = np.zeros((len(rest), k))
            x[:, rest] = _simplex(len(rest))
            if len(rest) > 1:
                yield x
    yield np.eye(k) * np.sqrt(prior.probabilities)


def _simplex(n: int) -> Array:
    return np.eye(n) - 1 / n


def _direct_sum(sizes: list[int]) -> Array:
    x = np.zeros((sum(sizes), sum(sizes)))
    at = 0
    for n in sizes:
        x[at : at + n, at : at + n] = _simplex(n) * math.sqrt(n / (n - 1))
        at += n
    return x
