r"""``method="direct"``: optimise the factors themselves, W, H, for a DEQ the matrix A, from random starts.

The problem in the factors is not convex, but a duality gap that closes proves a point found this way optimal. No
gauge enters: the objective is the risk of ``Z = W (I - A)^{-1} H``, or of whatever maps lie between the factors, with
the budgets or the weight decay of the architecture's definition. Every constraint is removed by a smooth
parametrisation that covers the feasible set:

* a budget ``|W|_F^2 <= c`` by ``W = sqrt(c) w / |(w, w_0)|`` with a slack coordinate w_0, zero where the budget binds;
* ``|A|_2 <= rho`` by ``A = rho C``, C the top left block of the orthogonal ``exp(S)``, S skew-symmetric of twice the
  size: every contraction is such a block (Halmos 1950), and those of norm 1 are reached at finite S;
* nonnegative features by bounds on their entries, which the parametrisation of budgets keeps the signs of;
* ``|w_k| <= w`` and ``|h_j| <= h`` by a slack coordinate for every row and column;
* the maps of a residual network, which nothing bounds, are variables themselves;
* ``|A|_F^2 <= E_A`` by scaling down what is longer. The map has an edge: where both bounds on A bind at an optimum the
  descent may stop short of it.

Gradients are written out (that of ``exp`` by divided differences, Daleckii and Krein 1965); the descent is L-BFGS-B.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ufm._threads import blas_threads
from ufm._validation import integer, starts_of, tolerance
from ufm.architectures import Constrained, Factors, NormBounded, Penalised, Spectral
from ufm.architectures.blocks import transfer, transfer_gradients
from ufm.problem import Problem
from ufm.solution import Solution
from ufm.solvers.conclude import conclude
from ufm.solvers.methods import Support
from ufm.solvers.search import relaxed_lower_bound

__all__ = ["solve_direct", "supports"]

Array = NDArray[np.float64]

#: Starts by default, and evaluations after which there are no more of them.
_STARTS, _MOST = 8, 4_000


def supports(problem: Problem) -> Support:
    """Bounded for every loss and every architecture of this package: descent in the factors, no gauge enters.

    >>> import ufm
    >>> supports(Problem.of(ufm.LayerPeeled(1.0, 1.0), ufm.ClassPrior([1, 1]))).answer
    'bounded'
    """
    if not problem.is_known:
        return Support.refused(f"architecture {problem.architecture!r} states no factors")
    return Support("bounded", "a descent from random starts; global only where the duality gap closes")


def solve_direct(
    problem: Problem,
    *,
    dim: int | None = None,
    seed: int = 0,
    starts: int | None = None,
    tol: float = 1e-6,
    max_iter: int = 5000,
) -> Solution:
    """Optimise the factors of ``problem`` from random starts and keep the best.

    Args:
        problem: what to solve.
        dim: feature dimension d of the factors, default K. Below the rank of the convex optimum the gap stays open.
        seed: seed >= 0 of the starts.
        starts: number of starts >= 1. Default 8, or fewer once they have cost 4000 evaluations.
        tol: relative duality gap > 0 up to which the best point counts as the global optimum.
        max_iter: L-BFGS iterations per start >= 1.

    Returns:
        The best point; its factors are the optimised ones. ``is_global`` is True if the duality gap at its logits is
        at most ``tol``, a proof of optimality; else None, with a RuntimeWarning and ``info["warning"]``. ``info``
        holds the final ``values`` of all starts, their relative ``spread`` and ``start_iterations``.

    Raises:
        TypeError, ValueError: an argument is not what it should be.

    >>> import ufm
    >>> problem = Problem.of(ufm.LayerPeeled(1.0, 1.0), ufm.ClassPrior([1, 1, 1]), "ce")
    >>> solution = solve_direct(problem, starts=2)
    >>> round(solution.value, 6), solution.is_global
    (0.368981, True)
    """
    from scipy.optimize import minimize

    k = problem.prior.num_classes
    d = k if dim is None else integer("dim", dim, minimum=1)
    seed = integer("seed", seed, minimum=0)
    most = _MOST if starts is None else math.inf
    starts = starts_of("starts", _STARTS if starts is None else starts)
    tol = tolerance("tol", tol)
    max_iter = integer("max_iter", max_iter, minimum=1)
    landscape: _Landscape | _BoundedRows
    landscape = _BoundedRows(problem, d) if isinstance(problem.architecture, NormBounded) else _Landscape(problem, d)
    rng = np.random.default_rng(seed)
    best: Array | None = None
    values: list[float] = []
    iterations: list[int] = []
    evaluations = 0
    # threads cost matrices of this size ten times what they bring
    with blas_threads(1):
        for _ in range(starts):
            # gtol and ftol below what rounding allows: each run goes on until it can descend no further
            found = minimize(
                landscape,
                landscape.start(rng),
                jac=True,
                method="L-BFGS-B",
                bounds=landscape.bounds,
                options={"maxiter": max_iter, "maxfun": 2 * max_iter, "maxcor": 30, "ftol": 1e-17, "gtol": 1e-13},
            )
            value = landscape.value(landscape.factors(found.x))
            if not values or value < min(values):
                best = found.x
            values.append(value)
            iterations.append(int(found.nit))
            evaluations += int(found.nfev)
            if evaluations >= most:
                break
    factors = landscape.factors(cast(Array, best))
    if problem.constant_direction is not None and not isinstance(problem.architecture, NormBounded):
        # a shift of a column of logits along it changes no loss, and centring shortens W
        classifier = problem.centred(factors.classifier)
        factors = dataclasses.replace(factors, classifier=classifier)
    lower = -math.inf if problem.is_convex else relaxed_lower_bound(problem, landscape.value(factors))[1]
    info: dict[str, Any] = {
        "values": values,
        "spread": (max(values) - min(values)) / max(min(values), 1e-300),
        "start_iterations": iterations,
    }
    return conclude(
        problem,
        "direct",
        factors.logits,
        tol=tol,
        lower=lower,
        iterations=sum(iterations),
        info=info,
        dim=d,
        factors=factors,
        value=landscape.value(factors),
        trouble="" if max(iterations) < max_iter else f"a start reached max_iter = {max_iter}",
    )


class _Landscape:
    """The objective as a smooth function of one vector: factors W, ..., H with a slack each, then S, then the bias."""

    def __init__(self, problem: Problem, dim: int) -> None:
        self.problem = problem
        self.dim = dim
        architecture = cast(Spectral, problem.architecture)
        self._blocks = architecture.blocks if architecture.map_repeats else None
        self._repeats = architecture.map_repeats
        self._is_bounded = self._blocks is not None and math.isfinite(architecture.spectral_bound)
        self._num_free = architecture.num_maps if self._blocks is not None and not self._is_bounded else 0
        self._rho = float(getattr(architecture, "rho", 0.0))
        self._upper = np.triu_indices(2 * dim, 1)
        self._last: tuple[bytes, Array, NDArray[np.complex128]] | None = None
        k = problem.prior.num_classes
        self._budgets = architecture.factor_budgets(k) if isinstance(architecture, Constrained) else ()
        self._decays = () if isinstance(architecture, Constrained) else cast(Penalised, architecture).factor_decays
        self._decay_a = 0.0 if isinstance(architecture, Constrained) else cast(Penalised, architecture).map_decay
        depth = architecture.num_factors
        self._shapes = [(k, dim), *[(dim, dim)] * (depth - 2), (dim, problem.prior.num_columns)]
        self._ends = np.cumsum([a * b + 1 for a, b in self._shapes])
        self._nonnegative = not problem.is_spectral
        self._num_biases = 0 if problem.bias is None else k

    @property
    def bounds(self) -> list[tuple[float | None, float | None]] | None:
        """Of the entries of nonnegative features; None where there are none."""
        if not self._nonnegative:
            return None
        first, last = int(self._ends[0]), int(self._ends[1])
        free: tuple[float | None, float | None] = (None, None)
        # the slack may have either sign: bounded too, a step could end at the origin, which has no direction
        return [free] * first + [(0.0, None)] * (last - first - 1) + [free] * (1 + self._num_biases)

    def start(self, rng: np.random.Generator) -> Array:
        """Normal factors of random size, and S from next to 0, where A = rho I, to where exp(S) is any rotation.

        Maps without a bound are normal too, of which a product of all is of moderate size.
        """
        factors = rng.normal(size=self._ends[-1]) * math.exp(rng.uniform(-2, 1))
        if self._nonnegative:
            factors[self._ends[0] :] = np.abs(factors[self._ends[0] :])
        skew = rng.normal(size=len(self._upper[0]) if self._is_bounded else 0) * math.exp(rng.uniform(-3, 1))
        bias = np.zeros(self._num_biases)
        if not self._num_free:
            return np.concatenate([factors, skew, bias])
        free = rng.normal(size=self._num_free * self.dim**2) * math.exp(rng.uniform(-3, 0)) / self._num_free
        return np.concatenate([factors, free, bias])

    def _split(self, x: Array) -> list[Array]:
        """Raw factors, then what the maps are made of; without the bias."""
        return np.split(x[: len(x) - self._num_biases], self._ends)

    def _spectrum(self, s: Array) -> tuple[Array, NDArray[np.complex128]]:
        """Angles t (2d,) and unitary U with ``S = U diag(i t) U^*``; the map and its gradient ask for the same one."""
        key = s.tobytes()
        if self._last is None or self._last[0] != key:
            skew = np.zeros((2 * self.dim, 2 * self.dim))
            skew[self._upper] = s
            angles, u = np.linalg.eigh(-1j * (skew - skew.T))
            self._last = key, angles, u
        return self._last[1:]

    def _layers(self, raw: list[Array]) -> list[Array]:
        """The factors, within their budgets where there are any."""
        if self._budgets:
            raw = [math.sqrt(c) / np.linalg.norm(x) * x for c, x in zip(self._budgets, raw, strict=True)]
        return [x[:-1].reshape(shape) for x, shape in zip(raw, self._shapes, strict=True)]

    def _contraction(self, spectrum: tuple[Array, NDArray[np.complex128]]) -> Array:
        """``rho C``; the bound on A here is rho itself, not what a Frobenius budget leaves of it."""
        return self._rho * _rotation(*spectrum)[: self.dim, : self.dim]

    @property
    def _radius(self) -> float:
        """Bound on |A|_F."""
        budget = getattr(self.problem.architecture, "E_A", None)
        return math.inf if budget is None else math.sqrt(budget)

    def _equilibrium(self, spectrum: tuple[Array, NDArray[np.complex128]]) -> Array:
        a = self._contraction(spectrum)
        norm = float(np.linalg.norm(a))
        return a * (self._radius / norm) if norm > self._radius else a

    def _maps(self, s: Array) -> tuple[Array, ...]:
        """The maps between features and classifier, within their bounds where there are any."""
        if self._is_bounded:
            return (self._equilibrium(self._spectrum(s)),) * self._repeats
        return tuple(s.reshape(self._num_free, self.dim, self.dim))

    def factors(self, x: Array) -> Factors:
        """The factors at ``x``; they satisfy all bounds."""
        *raw, s = self._split(x)
        return self._factors(self._layers(raw), self._maps(s))

    def _factors(self, layers: list[Array], maps: tuple[Array, ...]) -> Factors:
        w, *below = layers
        h = below[0] if len(below) == 1 else np.asarray(np.linalg.multi_dot(below))
        deep = tuple(below) if len(below) > 1 else ()
        if self._blocks is None or self._blocks == "deq":
            return Factors(w, h, maps[0] if maps else None, deep)
        return Factors(w, h, None, deep, maps, self._blocks)

    def _decay(self, factors: Factors) -> float:
        """The weight decay of the architecture's definition, where there is one."""
        architecture = self.problem.architecture
        return architecture.decay(factors, self.problem.prior) if isinstance(architecture, Penalised) else 0.0

    def value(self, factors: Factors) -> float:
        """The objective at ``factors``."""
        return self.problem.risk(factors.logits) + self._decay(factors)

    def __call__(self, x: Array) -> tuple[float, Array]:
        """``log`` of the objective and its gradient; the objective itself for a loss whose optimum can be 0."""
        d = self.dim
        *raw, s = self._split(x)
        layers = self._layers(raw)
        w, h = layers[0], layers[-1]
        maps = self._maps(s)
        seen = [h]  # what layers M, M-1, ..., 2 put out, the last of them through the maps
        if self._blocks is not None:
            between = transfer(self._blocks, maps, d)
            seen = [between @ h]
        for layer in layers[-2:0:-1]:
            seen.append(layer @ seen[-1])
        logits = w @ seen[-1]
        bias = x[len(x) - self._num_biases :]
        if self._num_biases:
            risk, g, g_bias = self.problem.risk_of.joint(logits, bias)
        else:
            risk, g, g_bias = self.problem.risk(logits), self.problem.gradient(logits), bias
        value = risk + self._decay(self._factors(layers, maps))
        gradients = []
        for layer, below in zip(layers, reversed(seen), strict=False):
            gradients.append(g @ below.T)
            g = layer.T @ g
        g_s = np.empty(0)
        if self._blocks is not None:
            g_maps = transfer_gradients(self._blocks, maps, g @ h.T)
            g_maps = [g_a + self._decay_a * a for g_a, a in zip(g_maps, maps, strict=True)]
            g_s = self._skew_gradient(s, sum(g_maps, np.zeros((d, d)))) if self._is_bounded else np.ravel(g_maps)
            g = between.T @ g
        gradients.append(g)
        if self._decays:
            sides = [1.0] * (len(layers) - 1) + [self.problem.prior.counts]
            penalties = zip(gradients, self._decays, layers, sides, strict=True)
            gradients = [g + decay * layer * side for g, decay, layer, side in penalties]
            # without a budget the slack coordinates play no part
            parts = [np.append(g.ravel(), 0.0) for g in gradients]
        else:
            parts = [_on_sphere(*args) for args in zip(raw, gradients, self._budgets, strict=True)]
        gradient = np.concatenate([*parts, g_s, g_bias])
        if self.problem.loss.floor > 0:
            return value, gradient
        value = max(value, 1e-300)
        return math.log(value), gradient / value

    def _skew_gradient(self, s: Array, g_a: Array) -> Array:
        """Gradient in s of a function of the bounded A whose gradient in A is ``g_a``."""
        d, spectrum = self.dim, self._spectrum(s)
        free = self._contraction(spectrum)
        norm = float(np.linalg.norm(free))
        if norm > self._radius:
            g_a = self._radius / norm * (g_a - free * (np.vdot(free, g_a) / norm**2))
        block = np.zeros((2 * d, 2 * d))
        block[:d, :d] = self._rho * g_a
        full = _rotation_adjoint(*spectrum, block)
        return (full - full.T)[self._upper]


class _BoundedRows:
    """The risk as a smooth function of rows of W and columns of H, each with a slack coordinate."""

    bounds = None

    def __init__(self, problem: Problem, dim: int) -> None:
        self.problem = problem
        architecture = cast(NormBounded, problem.architecture)
        self._k, self._n = problem.prior.num_classes, problem.prior.num_classes + problem.prior.num_columns
        self._lengths = np.repeat([architecture.w, architecture.h], [self._k, self._n - self._k])[:, None]
        self._dim = dim

    def start(self, rng: np.random.Generator) -> Array:
        """Normal vectors, most of them longer than their slack."""
        return rng.normal(size=self._n * (self._dim + 1))

    def factors(self, x: Array) -> Factors:
        """The factors at ``x``, within their norms."""
        raw = x.reshape(self._n, self._dim + 1)
        v = (self._lengths / np.linalg.norm(raw, axis=1, keepdims=True) * raw)[:, :-1]
        return Factors(v[: self._k], v[self._k :].T)

    def value(self, factors: Factors) -> float:
        """The risk at ``factors``."""
        return self.problem.risk(factors.logits)

    def __call__(self, x: Array) -> tuple[float, Array]:
        """``log`` of the risk and its gradient; the risk itself for a loss whose optimum can be 0."""
        raw = x.reshape(self._n, self._dim + 1)
        factors = self.factors(x)
        value, g = self.value(factors), self.problem.gradient(factors.logits)
        slope = np.zeros_like(raw)
        slope[:, :-1] = np.vstack([g @ factors.features.T, (factors.classifier.T @ g).T])
        norms = np.linalg.norm(raw, axis=1, keepdims=True)
        gradient = (self._lengths / norms * (slope - raw * (slope * raw).sum(axis=1, keepdims=True) / norms**2)).ravel()
        if self.problem.loss.floor > 0:
            return value, gradient
        value = max(value, 1e-300)
        return math.log(value), gradient / value


def _on_sphere(x: Array, gradient: Array, budget: float) -> Array:
    """Gradient through ``x -> sqrt(budget) x / |x|`` of a function of all but the last coordinate."""
    norm = float(np.linalg.norm(x))
    full = np.append(gradient.ravel(), 0.0)
    return math.sqrt(budget) / norm * (full - x * (x @ full) / norm**2)


def _rotation(angles: Array, u: NDArray[np.complex128]) -> Array:
    """``exp(S)``, orthogonal."""
    return ((u * np.exp(1j * angles)) @ u.conj().T).real


def _rotation_adjoint(angles: Array, u: NDArray[np.complex128], gradient: Array) -> Array:
    """Gradient in S of ``<gradient, exp(S)>``: with ``(e^{ia} - e^{ib}) / (i(a - b)) = e^{i(a+b)/2} sinc((a-b)/2)``."""
    differences = np.subtract.outer(angles, angles) / 2
    factor = np.exp(-0.5j * np.add.outer(angles, angles)) * np.sinc(differences / np.pi)
    return (u @ (factor * (u.conj().T @ gradient @ u)) @ u.conj().T).real
