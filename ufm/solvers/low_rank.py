r"""``method="low_rank"``: large convex problems through factors of few dimensions, with a bound from the dual.

Logits of thousands of classes and columns are never written out. In ``Y = Z diag(omega) = P Q``, P (K, d), Q (d, m),
the nuclear norm is ``min (|P|_F^2 + |Q|_F^2)/2``, so that weight decay reads

    min f(P Q / omega) + strength (|P|_F^2 + |Q|_F^2) / 2,

and a ball ``Y = radius P Q / h`` with ``h = (|P|_F^2 + |Q|_F^2 + w^2)/2`` and a slack w. A bias is a further variable.
The descent is L-BFGS in variables divided by about the root of their curvature, started from the leading singular
vectors of the gradient at 0. Every evaluation goes through the logits in blocks of columns, one thread a core, for
large problems first in single precision.

*Bound.* With ``G = grad f(Z)`` weak duality gives ``f* >= -f*(c G)``, c = min(1, strength / |G diag(1/omega)|_2), or
``-f*(G) - radius |G|_2``; both need the spectral norm from above. That of large problems is estimated from below by
subspace iteration while the descent goes on. In the end it is bounded from above (:func:`spectral_norm_bound`):
``t I - G G^T`` has a Cholesky decomposition, and the rounding of that and of ``G G^T`` is added.

*Rank.* An optimum of the convex problem has as many singular values of G at the strength as its rank; in fewer
dimensions the descent ends at a point where ``|G diag(1/omega)|_2`` exceeds the strength, and the gap says by how much
the value can be above the convex optimum. With ``dim=None`` the directions that are missing are taken in until it
closes. Source: theory sections 3 and 7.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ufm._linalg import eigvalsh, svd
from ufm._threads import available_cpus, blas_threads
from ufm._validation import integer, one_of, tolerance
from ufm.losses import is_ours
from ufm.losses.base import column_blocks
from ufm.problem import Problem
from ufm.solution import Solution
from ufm.solvers.conclude import checked, is_closed
from ufm.solvers.methods import LARGE, Support

__all__ = ["LARGE", "solve_low_rank", "spectral_norm_bound", "supports"]

Array = NDArray[np.float64]

#: Entries of a block of logits: some fit the cache.
_BLOCK = 2**18
#: Dimensions that a search begins with where none are given, and those beyond them that an estimate of a norm looks at.
_FIRST_DIM, _SPARE = 16, 8
#: L-BFGS iterations between two estimates of the gap, and the pairs that it remembers.
_ROUND, _MEMORY = 60, 20
#: Rounds in which neither value nor gap moved after which float64 has given what it can.
_PATIENCE = 2
#: Rows or columns up to which a spectral norm costs nothing beside the descent.
_SMALL = 500
_UNIT = 2.0**-53


def supports(problem: Problem) -> Support:
    """Bounded for every convex loss under a nuclear norm: global where the gap closes.

    >>> import ufm
    >>> supports(Problem.of(ufm.LayerPeeled(1.0, 1.0), ufm.ClassPrior([1, 1]))).answer
    'bounded'
    """
    if not problem.loss.is_convex:
        return Support.refused(f"loss {problem.loss.name} is not convex")
    if not problem.has_nuclear_norm:
        return Support.refused(
            f"architecture {problem.architecture!r} has no nuclear-norm gauge, the problem is not convex in it"
        )
    return Support("bounded", "a descent over factors of few dimensions; global only where the duality gap closes")


def solve_low_rank(
    problem: Problem,
    *,
    dim: int | None = None,
    seed: int = 0,
    tol: float = 1e-6,
    max_iter: int = 2000,
    precision: str | None = None,
    start: Solution | None = None,
    report: Callable[[int, float, float], None] | None = None,
) -> Solution:
    """Solve a convex problem over factors of few dimensions, in memory of the factors and the labels alone.

    Args:
        problem: what to solve.
        dim: dimension d of the factors. None for 16 and more, until the gap is closed. Below the rank of the convex
            optimum it is a constraint: the gap to the convex problem stays open, and ``is_global`` is None.
        seed: seed >= 0 of the random vectors that singular vectors are looked for with.
        tol: relative duality gap > 0 at which to stop.
        max_iter: L-BFGS iterations >= 1 in all.
        precision: ``"double"``, or ``"mixed"``: single precision first; None for mixed above four million logits.
        start: a solution with the same labels to go on from, such as one to a looser ``tol``.
        report: called after every round of the descent with the number of evaluations so far, the value and about the
            gap; what it raises ends the search.

    Returns:
        The solution. ``logits`` are made when they are asked for, and then take K m numbers. ``info`` counts the
        ``evaluations``, and holds the ``norm`` of the gradient over the multiplier, 1 at an optimum, more where
        dimensions are missing.

    Raises:
        TypeError, ValueError: an argument is not what it should be.

    >>> import ufm
    >>> problem = Problem.of(ufm.LayerPeeled(1.0, 1.0), ufm.ClassPrior([1, 1, 1]), "ce")
    >>> solution = solve_low_rank(problem)
    >>> round(solution.value, 6), solution.is_global, solution.features.shape
    (0.368981, True, (2, 3))
    """
    seed = integer("seed", seed, minimum=0)
    tol = tolerance("tol", tol)
    max_iter = integer("max_iter", max_iter, minimum=1)
    if dim is not None:
        dim = integer("dim", dim, minimum=1)
    if precision is not None:
        one_of("precision", precision, ("double", "mixed"))
    _check_start(problem, start, dim)
    large = math.prod(problem.targets.shape) > LARGE
    mixed = precision == "mixed" or (precision is None and large and is_ours(problem.loss))
    with _Blocks(problem) as blocks:
        search = _Search(problem, blocks, dim, seed, start)
        trouble = search.run(tol, max_iter, mixed, report)
        return search.concluded(tol, trouble)


def _check_start(problem: Problem, start: Any, dim: int | None) -> None:
    if start is None:
        return
    if not isinstance(start, Solution):
        raise TypeError(f"start must be a ufm.Solution, got {start!r:.200}")
    if start.problem.targets.shape != problem.targets.shape:
        raise ValueError(f"start must have logits of shape {problem.targets.shape}, got {start.problem.targets.shape}")
    if dim is not None and start.classifier.shape[1] > dim:
        raise ValueError(f"start must have at most dim = {dim} dimensions, got {start.classifier.shape[1]}")


def spectral_norm_bound(gram: Array, length: int, squares: float) -> float:
    """An upper bound of ``|G|_2`` from ``gram``, computed as ``G G^T`` in float64; close to it.

    Where the Cholesky decomposition of ``t I - gram`` (n, n) ends without a root of a negative number, that matrix is
    positive semidefinite but for a perturbation of norm at most ``(n + 1) u n t`` (Rump 2006); gram itself is ``G G^T``
    but for ``length u |G|_F^2``. Both are added to t, which starts next to the largest eigenvalue and is raised until
    the decomposition ends.

    Args:
        gram: ``G G^T`` (n, n).
        length: number of products that each of its entries sums.
        squares: ``|G|_F^2``.

    >>> g = np.array([[3.0, 0.0], [4.0, 1.0]])
    >>> bound = spectral_norm_bound(g @ g.T, 2, 26.0)
    >>> bool(0 <= bound / np.linalg.norm(g, 2) - 1 < 1e-12)
    True
    """
    from scipy.linalg import LinAlgError, cholesky

    n = len(gram)
    estimate = _largest_eigenvalue(gram)
    if squares == 0:
        return 0.0
    room = 4 * n * _UNIT
    while True:
        t = max(estimate, squares * _UNIT) * (1 + room)
        shifted = -gram
        shifted[np.diag_indices(n)] += t
        try:
            cholesky(shifted, lower=True, overwrite_a=True, check_finite=False)
        except LinAlgError:
            room *= 4
            continue
        rounding = 1.1 * _UNIT * ((n + 4) * n * t + (length + 4) * squares)
        return math.sqrt(t + rounding) * (1 + 4 * _UNIT)


def _largest_eigenvalue(matrix: Array) -> float:
    """About the largest eigenvalue of a positive semidefinite matrix."""
    if len(matrix) <= 400:
        return float(eigvalsh(matrix)[-1])
    from scipy.sparse.linalg import ArpackNoConvergence, eigsh

    start = np.random.default_rng(0).normal(size=len(matrix))
    try:
        found = eigsh(matrix, k=1, ncv=60, which="LA", v0=start, tol=1e-8, maxiter=30, return_eigenvectors=False)
    except ArpackNoConvergence:  # many as large as the largest
        return float(eigvalsh(matrix)[-1])
    return float(found[0])


@dataclass(frozen=True)
class _Point:
    """``Z = P Q diag(1/omega) + b 1^T``; the bias b (K,) is 0 where the problem has none."""

    p: Array
    q: Array
    b: Array

    def logits(self, omega: Array, columns: slice, dtype: DTypeLike = np.float64) -> Array:
        """A block of columns of Z."""
        z = self.p.astype(dtype, copy=False) @ self.q[:, columns].astype(dtype, copy=False)
        z /= omega[columns].astype(dtype)
        z += self.b[:, None].astype(dtype)
        return np.asarray(z)


class _Blocks:
    """Sums over blocks of columns, shared out among threads and added in one order."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.omega, self.pi, self.targets = problem.weights, problem.prior.probabilities, problem.targets
        self.slices = column_blocks(self.targets.shape, _BLOCK)
        self._open = ExitStack()
        self._threads = min(available_cpus(), len(self.slices))

    def __enter__(self) -> _Blocks:
        from concurrent.futures import ThreadPoolExecutor  # slow to import, and seldom needed

        self._open.enter_context(blas_threads(1))
        self._pool = self._open.enter_context(ThreadPoolExecutor(self._threads))
        return self

    def __exit__(self, *error: Any) -> None:
        self._open.close()

    def each(self, function: Callable[[slice], Any]) -> Any:
        """``function`` of every block, in order."""
        if self._threads == 1:
            return map(function, self.slices)
        return self._pool.map(function, self.slices)

    def of(self, point: _Point, columns: slice, dtype: DTypeLike = np.float64) -> tuple[Array, Array]:
        """``l(z_j; t_j)`` and ``grad f`` of the columns of a block."""
        loss = self.problem.loss.on_columns(columns, len(self.pi))
        t = self.targets[:, columns].astype(dtype, copy=False)
        values, g = loss.values_and_gradients(point.logits(self.omega, columns, dtype), t)
        return values, g * self.pi[columns].astype(dtype)

    def _gradient(self, point: _Point, columns: slice) -> Array:
        """A block of ``grad f(Z) diag(1/omega)``."""
        return self.of(point, columns)[1] / self.omega[columns]

    def evaluate(self, point: _Point, dtype: DTypeLike = np.float64) -> tuple[float, Array, Array, Array]:
        """f(Z) and its gradients in P, Q and b."""

        def block(columns: slice) -> tuple[float, Array, Array, Array]:
            values, g = self.of(point, columns, dtype)
            shift = g.sum(axis=1)
            g /= self.omega[columns].astype(dtype)
            p, q = point.p.astype(dtype, copy=False), point.q[:, columns].astype(dtype, copy=False)
            return float(self.pi[columns] @ values), g @ q.T, p.T @ g, shift

        risk, g_p, parts, g_b = 0.0, np.zeros(point.p.shape), [], np.zeros(len(point.b))
        for value, left, right, shift in self.each(block):
            risk += value
            g_p += left
            g_b += shift
            parts.append(right)
        return risk, g_p, np.hstack(parts).astype(np.float64, copy=False), g_b

    def curvatures(self, point: _Point) -> tuple[Array, Array, Array]:
        """About the diagonals of the second derivative of f in P, Q and b."""

        def block(columns: slice) -> tuple[Array, Array, Array]:
            loss = self.problem.loss.on_columns(columns, len(self.pi))
            h = loss.curvature_diagonals(point.logits(self.omega, columns), self.targets[:, columns]) * self.pi[columns]
            shift = h.sum(axis=1)
            h /= self.omega[columns] ** 2
            return h @ point.q[:, columns].T ** 2, (point.p.T**2) @ h, shift

        parts = list(self.each(block))
        left, shift = (np.asarray(sum(part[i] for part in parts), dtype=float) for i in (0, 2))
        return left, np.hstack([part[1] for part in parts]), shift

    def products(self, point: _Point, right: Array | None = None, left: Array | None = None) -> Array:
        """``G right`` (K, q), or ``left^T G`` (q, m), with ``G = grad f(Z) diag(1/omega)``."""

        def block(columns: slice) -> Array:
            g = self._gradient(point, columns)
            return g @ right[columns] if left is None and right is not None else np.asarray(left).T @ g

        found = list(self.each(block))
        return np.asarray(sum(found) if left is None else np.hstack(found), dtype=float)

    def gram(self, point: _Point) -> tuple[Array, int, float]:
        """``G G^T`` or ``G^T G``, whichever is smaller, the length of its sums, and ``|G|_F^2``."""
        k, m = self.targets.shape
        if m < k:
            g = np.hstack(list(self.each(lambda columns: self._gradient(point, columns))))
            return g.T @ g, k, float(np.vdot(g, g))
        total, squares = np.zeros((k, k)), 0.0
        with blas_threads(available_cpus()):
            for columns in column_blocks((k, m), max(_BLOCK, 1024 * k)):  # one product of large matrices at a time
                g = self._gradient(point, columns)
                total += g @ g.T
                squares += float(np.vdot(g, g))
        return total, m, squares

    def dual(self, point: _Point, scale: float) -> tuple[float, float, float | None, Array]:
        """``f(Z)``, ``<G, Z>``, ``-f*(scale G)`` where the conjugate is known, and ``G 1``; Z with its bias."""

        def block(columns: slice) -> tuple[float, float, float | None, Array]:
            loss = self.problem.loss.on_columns(columns, len(self.pi))
            z, t, pi = point.logits(self.omega, columns), self.targets[:, columns], self.pi[columns]
            values, g = loss.values_and_gradients(z, t)
            g = g * pi
            conjugate = loss.dual_values(z, t, scale)
            found = None if conjugate is None else float(pi @ conjugate)
            return float(pi @ values), float(np.vdot(g, z)), found, g.sum(axis=1)

        parts = list(self.each(block))
        known = [part[2] for part in parts if part[2] is not None]
        conjugate = math.fsum(known) if len(known) == len(parts) else None
        shift = np.asarray(sum(part[3] for part in parts), dtype=float)
        return math.fsum(part[0] for part in parts), math.fsum(part[1] for part in parts), conjugate, shift


class _Search:
    """State of one descent: the factors, and what is known of the optimal value."""

    def __init__(
        self, problem: Problem, blocks: _Blocks, dim: int | None, seed: int, start: Solution | None = None
    ) -> None:
        self.problem, self.blocks, self.dim = problem, blocks, dim
        self._rng = np.random.default_rng(seed)
        k, m = problem.targets.shape
        self._most = min(problem.max_rank, k, m)
        zero = _Point(np.zeros((k, 1)), np.zeros((1, m)), np.zeros(k))
        zero = _Point(zero.p, zero.q, self._first_bias())
        width = min(self._most, _FIRST_DIM if dim is None else dim)
        u, s, vt = self._leading(zero, width)
        self._at_zero = float(s[0]) if len(s) else 0.0
        self.slack = 0.0
        self._bias_unit = self._bias_length()
        if start is not None and start.classifier.any():
            b = np.zeros(k) if problem.bias is None or start.bias is None else np.array(start.bias)
            point = _Point(np.array(start.classifier), start.features * blocks.omega, b)
            self.point, _, _ = self._within(point, 0.0)
        else:
            self.point = self._scaled(_Point(u * np.sqrt(s), np.sqrt(s)[:, None] * vt, zero.b))
        self.iterations = self.evaluations = 0

    def _first_bias(self) -> Array:
        """The best bias of logits 0 where it is cheap to find."""
        problem = self.problem
        if problem.bias is None or self._is_guess:
            return np.zeros(problem.targets.shape[0])
        return problem.risk_of.best_bias(np.zeros(problem.targets.shape))

    def _bias_length(self) -> float:
        """The unit of the bias in which its curvature at 0 is about that of the factors."""
        problem, some = self.problem, self.blocks.slices[0]
        loss = problem.loss.on_columns(some, len(self.blocks.pi))
        t = self.blocks.targets[:, some]
        curvature = float(loss.curvature_diagonals(np.zeros(t.shape), t).mean()) + (problem.bias or 0.0)
        mu = self._at_zero if problem.is_constrained else problem.strength
        return math.sqrt(mu / curvature) if curvature > 0 and mu > 0 else 1.0

    def _leading(self, point: _Point, width: int) -> tuple[Array, Array, Array]:
        """About the leading singular vectors and values of ``-G diag(1/omega)``, by subspace iteration."""
        m = len(self.blocks.pi)
        q = self._rng.normal(size=(m, min(width + _SPARE, *self.problem.targets.shape)))
        if point.q.any():  # next to an optimum the rows in use are among them
            q = np.hstack(
                [point.q.T / np.linalg.norm(point.q, axis=1).max(), q[:, : max(_SPARE, width - len(point.q))]]
            )
            q = np.linalg.qr(q)[0]
        for _ in range(3):
            left = np.linalg.qr(self.blocks.products(point, right=q))[0]
            rows = self.blocks.products(point, left=left)
            q = np.linalg.qr(rows.T)[0]
        u, s, vt = svd(-rows, full_matrices=False)
        kept = s[:width] > 1e-12 * s[0] if s[0] > 0 else np.zeros(width, dtype=bool)[: len(s)]
        return (left @ u)[:, :width][:, kept], s[:width][kept], vt[:width][kept]

    def _scaled(self, point: _Point) -> _Point:
        """``point`` with its factors at their best common length."""
        from scipy.optimize import minimize_scalar

        if not point.p.size:
            return point

        def objective(log: float) -> float:
            x = self._packed(_Point(math.exp(log) * point.p, math.exp(log) * point.q, point.b), 0.0)
            with np.errstate(all="ignore"):
                value = self._objective(x, point.p.shape[1], np.float32 if self._is_large else np.float64)[0]
            return value if math.isfinite(value) else math.inf

        size = float(np.vdot(point.p, point.p))
        if self.problem.is_constrained:
            log = 0.5 * math.log(self.problem.bound / size)
        else:
            log = minimize_scalar(
                objective, bounds=(-6.0, 12.0), method="bounded", options={"xatol": 0.3, "maxiter": 12}
            ).x
        return _Point(math.exp(log) * point.p, math.exp(log) * point.q, point.b)

    @property
    def _is_guess(self) -> bool:
        """Whether the bias at logits 0 is not known to be the best there."""
        return self.problem.bias is not None and math.prod(self.problem.targets.shape) > LARGE

    @property
    def _is_large(self) -> bool:
        return math.prod(self.problem.targets.shape) > LARGE and is_ours(self.problem.loss)

    # -- the objective as a function of one vector --------------------------------------------------------------------

    def _packed(self, point: _Point, slack: float) -> Array:
        bias = point.b / self._bias_unit if self.problem.bias is not None else np.zeros(0)
        tail = [slack] if self.problem.is_constrained else []
        return np.concatenate([point.p.ravel(), point.q.ravel(), bias, tail])

    def _unpacked(self, x: Array, d: int) -> tuple[_Point, float]:
        """The factors as they stand in x, and the slack; budgets are yet to be met."""
        k, m = self.problem.targets.shape
        p, q, rest = x[: k * d].reshape(k, d), x[k * d : (k + m) * d].reshape(d, m), x[(k + m) * d :]
        b = self._bias_unit * rest[:k] if self.problem.bias is not None else np.zeros(k)
        return _Point(p, q, b), float(rest[-1]) if self.problem.is_constrained else 0.0

    def _within(self, point: _Point, slack: float) -> tuple[_Point, float, float]:
        """The factors within their budgets, what they were multiplied by, and ``h``."""
        if not self.problem.is_constrained:
            return point, 1.0, 1.0
        half = (float(np.vdot(point.p, point.p)) + float(np.vdot(point.q, point.q)) + slack * slack) / 2
        scale = math.sqrt(self.problem.bound / half)
        return _Point(scale * point.p, scale * point.q, point.b), scale, half

    def _objective(self, x: Array, d: int, dtype: DTypeLike) -> tuple[float, Array]:
        problem = self.problem
        raw, slack = self._unpacked(x, d)
        point, scale, half = self._within(raw, slack)
        risk, g_p, g_q, g_b = self.blocks.evaluate(point, dtype)
        if problem.bias:
            risk += problem.bias / 2 * float(point.b @ point.b)
            g_b = g_b + problem.bias * point.b
        bias = self._bias_unit * g_b if problem.bias is not None else np.zeros(0)
        if not problem.is_constrained:
            risk += problem.strength / 2 * (float(np.vdot(point.p, point.p)) + float(np.vdot(point.q, point.q)))
            g_p, g_q = g_p + problem.strength * point.p, g_q + problem.strength * point.q
            return risk, np.concatenate([g_p.ravel(), g_q.ravel(), bias])
        along = float(np.vdot(g_p, point.p)) / half  # <G, Y> / h
        g_p, g_q = scale * g_p - along * raw.p, scale * g_q - along * raw.q
        return risk, np.concatenate([g_p.ravel(), g_q.ravel(), bias, [-along * slack]])

    # -- the descent --------------------------------------------------------------------------------------------------

    def run(
        self, tol: float, max_iter: int, mixed: bool, report: Callable[[int, float, float], None] | None = None
    ) -> str:
        """Descend until the gap is estimated to be closed; otherwise return why not."""
        if self._at_zero <= (0.0 if self.problem.is_constrained else self.problem.strength) and not self._is_guess:
            k, m = self.problem.targets.shape  # 0 is optimal
            self.point = _Point(np.zeros((k, 1)), np.zeros((1, m)), self.point.b)
            return ""
        dtype: DTypeLike = np.float32 if mixed else np.float64
        best_gap, best_value, idle = math.inf, math.inf, 0
        while True:
            value = self._descend(dtype, min(_ROUND, max_iter - self.iterations))
            gap, missing = self._estimated_gap(value)
            if report is not None:
                report(self.evaluations, value, gap)
            if gap <= 0.5 * tol * abs(value):
                gap = value - self._lower(self.point, self._norm(self.point))
                if gap <= tol * abs(value):
                    return ""
            if self.iterations >= max_iter:
                return f"max_iter = {max_iter} reached"
            moved = gap < 0.9 * best_gap or value < best_value - (1e-6 if dtype == np.float32 else 1e-13) * abs(value)
            idle = 0 if moved else idle + 1
            best_gap, best_value = min(gap, best_gap), min(value, best_value)
            if idle < _PATIENCE and not (missing and idle):
                continue
            if dtype == np.float32:
                dtype, idle, best_gap = np.float64, 0, math.inf
            elif self.dim is None and missing and self.point.p.shape[1] < self._most:
                self._widen()
                idle, best_gap = 0, math.inf
            elif idle >= _PATIENCE:
                narrow = self.point.p.shape[1] < min(self.problem.targets.shape)
                return "dimensions are missing" if missing and narrow else "no further progress in float64"

    def _descend(self, dtype: DTypeLike, iterations: int) -> float:
        """A round of L-BFGS, in variables in which the curvature is about 1 in every one of them."""
        from scipy.optimize import minimize

        u, s, vt = _decomposed(self.point.p, self.point.q, 0.0)
        self.point = _Point(u * np.sqrt(s), np.sqrt(s)[:, None] * vt, self.point.b)
        d, half = len(s), float(s.sum())
        # of a slack of exactly 0 the derivative is 0 too; of either sign it is the same slack
        slack = max(abs(self.slack), 1e-2 * math.sqrt(half)) if self.problem.is_constrained else 0.0
        unit = 1 / np.sqrt(self._curvatures(slack))

        def objective(x: Array) -> tuple[float, Array]:
            self.evaluations += 1
            value, gradient = self._objective(unit * x, d, dtype)
            return value, unit * gradient

        x = self._packed(self.point, slack) / unit
        options = {"maxiter": iterations, "maxfun": 3 * iterations, "maxcor": _MEMORY, "ftol": 0.0, "gtol": 0.0}
        found = minimize(objective, x, jac=True, method="L-BFGS-B", options=options)
        raw, slack = self._unpacked(unit * found.x, d)
        self.point, scale, _ = self._within(raw, slack)
        self.slack = scale * slack
        self.iterations += max(1, int(found.nit))
        return float(found.fun) if dtype == np.float64 else self._objective(found.x * unit, d, np.float64)[0]

    def _curvatures(self, slack: float) -> Array:
        """About the diagonal of the objective's second derivative in all variables, as they are packed."""
        mu = self.problem.strength if not self.problem.is_constrained else self._multiplier()
        of_p, of_q, of_b = self.blocks.curvatures(self.point)
        of_b = (of_b + (self.problem.bias or 0.0)) * self._bias_unit**2
        found = self._packed(_Point(mu + of_p, mu + of_q, of_b * self._bias_unit), mu)
        return np.maximum(found, 1e-3 * mu)

    def _multiplier(self) -> float:
        """``-<G, Z>`` over the gauge in use."""
        g_p = self.blocks.evaluate(self.point)[1]
        half = (float(np.vdot(self.point.p, self.point.p)) + float(np.vdot(self.point.q, self.point.q))) / 2
        return max(-float(np.vdot(g_p, self.point.p)) / max(half, 1e-300), 1e-6 * self._at_zero)

    def _estimated_gap(self, value: float) -> tuple[float, bool]:
        """About the duality gap, of large problems with the norm from below, and whether dimensions are missing."""
        problem = self.problem
        if min(problem.targets.shape) <= _SMALL:
            norm = self._norm(self.point)
        else:
            s = self._leading(self.point, self.point.p.shape[1])[1]
            g_p = self.blocks.evaluate(self.point)[1]
            half = (float(np.vdot(self.point.p, self.point.p)) + float(np.vdot(self.point.q, self.point.q))) / 2
            # no more than the norm is what the factors themselves say of it
            norm = max(float(s[0]) if len(s) else 0.0, -float(np.vdot(g_p, self.point.p)) / max(half, 1e-300))
        lower = self._lower(self.point, norm)
        mu = self._multiplier() if problem.is_constrained else problem.strength
        return value - lower, norm > mu * (1 + 1e-9) and value - lower > 0

    def _norm(self, point: _Point) -> float:
        """``|G diag(1/omega)|_2`` from above."""
        gram, length, squares = self.blocks.gram(point)
        with blas_threads(available_cpus() if len(gram) > _SMALL else 1):
            return spectral_norm_bound(gram, length, squares)

    def _lower(self, point: _Point, norm: float) -> float:
        """The bound of :meth:`Problem.lower_bound` from ``|G diag(1/omega)|_2 <= norm``."""
        problem, b = self.problem, point.b
        least = problem.loss.infimum
        scale = 1.0
        if not problem.is_constrained and norm > problem.strength:
            scale = problem.strength / norm
        risk, inner, conjugate, shift = self.blocks.dual(point, scale)
        if problem.bias:
            risk += problem.bias / 2 * float(b @ b)
        if problem.is_constrained:
            base = conjugate if conjugate is not None and problem.bias is None else None
            if base is None:
                base = risk - (inner - float(shift @ b)) - self._left(shift, b)
            return max(least, base - problem.bound * norm)
        if conjugate is None:
            spare = problem.risk(np.zeros(problem.targets.shape)) - least
            excess = max(0.0, norm / problem.strength - 1)
            return max(least, risk - (inner - float(shift @ b)) - self._left(shift, b) - excess * spare)
        if problem.bias is None:
            return max(least, conjugate)
        if problem.bias:
            return max(least, conjugate - float((scale * shift) @ (scale * shift)) / (2 * problem.bias))
        return max(least, conjugate - float(np.abs(scale * shift) @ np.maximum(np.abs(b), 1.0)))

    def _left(self, shift: Array, b: Array) -> float:
        """What a bias that is not quite at its best could still gain, at its own size where it is free."""
        decay = self.problem.bias
        if decay is None:
            return 0.0
        left = shift + decay * b
        return float(left @ left) / (2 * decay) if decay else float(np.abs(left) @ np.maximum(np.abs(b), 1.0))

    def _widen(self) -> None:
        """Take in the directions in which the gradient exceeds the multiplier, as many as there are dimensions."""
        d = self.point.p.shape[1]
        u, s, vt = self._leading(self.point, min(2 * d, self._most))
        more = min(max(d, 1), self._most - d, len(s))
        size = 1e-2 * math.sqrt(float(np.vdot(self.point.p, self.point.p)) / d)
        p = np.hstack([self.point.p, size * u[:, :more]])
        q = np.vstack([self.point.q, size * vt[:more]])
        self.point, _, _ = self._within(_Point(p, q, self.point.b), self.slack)

    # -- the end ------------------------------------------------------------------------------------------------------

    def concluded(self, tol: float, trouble: str) -> Solution:
        """The solution at the factors found, its bound with a norm that is bounded from above."""
        problem = self.problem
        p, q, b = problem.centred(self.point.p), self.point.q, self.point.b  # a shift along c changes no risk
        if problem.bias is not None and math.prod(problem.targets.shape) <= LARGE:
            b = problem.risk_of.best_bias((p @ q) / problem.weights)
        u, s, vt = _decomposed(p, q)
        if problem.is_constrained and s.sum() > problem.bound:
            s = s * (problem.bound / s.sum())
        root = np.sqrt(s)
        point = _Point(u * root, root[:, None] * vt, b)
        norm = self._norm(point)
        risk = self.blocks.evaluate(point)[0]
        if problem.bias:
            risk += problem.bias / 2 * float(b @ b)
        value = risk if problem.is_constrained else risk + problem.strength * float(s.sum())
        lower = min(value, self._lower(point, norm))
        closed = is_closed(problem, value, lower, tol)
        mu = norm if problem.is_constrained else problem.strength
        info: dict[str, Any] = {
            "evaluations": self.evaluations,
            "norm": norm / mu if mu else 0.0,
            "relative_gap": (value - lower) / value if value > 0 else 0.0,
        }
        if not closed:
            reason = f" ({trouble})" if trouble else ""
            info["warning"] = (
                f"method 'low_rank' stopped with a relative duality gap of {info['relative_gap']:.2g}, above "
                f"tol = {tol:g}{reason}: the value is an upper bound, not a proven optimum"
            )
            warnings.warn(info["warning"], RuntimeWarning, stacklevel=4)
        width = max(len(s), 1) if self.dim is None else self.dim
        factors = problem.spectral.factorise_decomposed((u, s, vt), problem.prior, width)
        found = Solution(
            problem,
            "low_rank",
            value,
            lower,
            value,
            mu,
            True if closed else None,
            self.iterations,
            lambda: factors.logits,
            info,
            width,
            factors,
        )
        # of a large one the value is what the factors were just evaluated to, and the budget is met by scaling
        return found if math.prod(problem.targets.shape) > LARGE else checked(found)


def _decomposed(p: Array, q: Array, least: float = 1e-9) -> tuple[Array, Array, Array]:
    """The thin singular value decomposition of ``P Q``, without what is rounding."""
    left, a = np.linalg.qr(p)
    right, b = np.linalg.qr(q.T)
    u, s, vt = svd(a @ b.T)
    kept = s > least * s[0] if len(s) and s[0] > 0 else np.zeros(len(s), dtype=bool)
    return left @ u[:, kept], s[kept], vt[kept] @ right.T
