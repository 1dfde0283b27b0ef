r"""``method="direct"``: optimise the factors themselves, W, H and for a DEQ the matrix A, from random starts.

The problem in the factors is not convex, but a duality gap that closes proves a point found this way optimal. No
gauge enters: the objective is the risk of ``Z = W (I - A)^{-1} H`` with the budgets or the weight decay of the
architecture's definition. Every constraint is removed by a smooth parametrisation that covers the feasible set:

* a budget ``|W|_F^2 <= c`` by ``W = sqrt(c) w / |(w, w_0)|`` with a slack coordinate w_0, zero where the budget binds;
* ``|A|_2 <= rho`` by ``A = rho C``, C the top left block of the orthogonal ``exp(S)``, S skew-symmetric of twice the
  size: every contraction is such a block (Halmos 1950), and those of norm 1 are reached at finite S.

Gradients are written out (that of ``exp`` by divided differences, Daleckii and Krein 1965); the descent is L-BFGS-B.
"""

from __future__ import annotations

import math
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from ufm._validation import integer, positive
from ufm.architectures import Constrained, Factors, LinearDEQ, Penalised, PenalisedDEQ
from ufm.problem import Problem
from ufm.solution import Solution
from ufm.solvers._conclude import conclude

__all__ = ["solve_direct"]

Array = NDArray[np.float64]


def solve_direct(
    problem: Problem,
    *,
    dim: int | None = None,
    seed: int = 0,
    starts: int = 8,
    tol: float = 1e-6,
    max_iter: int = 5000,
) -> Solution:
    """Optimise the factors of ``problem`` from random starts and keep the best.

    Args:
        problem: what to solve.
        dim: feature dimension d of the factors, default K. Below the rank of the convex optimum the gap stays open.
        seed: seed >= 0 of the starts.
        starts: number of starts >= 1.
        tol: relative duality gap > 0 up to which the best point counts as the global optimum.
        max_iter: L-BFGS iterations per start >= 1.

    Returns:
        The best point; its factors are the optimised ones. ``is_global`` is True if the duality gap at its logits is
        at most ``tol``, a proof of optimality; else None, with a RuntimeWarning and ``info["warning"]``. ``info``
        holds the final ``values`` of all starts, their relative ``spread`` and ``start_iterations``.

    Raises:
        TypeError, ValueError: an argument is not what it should be.
    """
    if not problem.is_convex:
        problem.architecture.convex(problem.max_rank)
    k = problem.prior.num_classes
    d = k if dim is None else integer("dim", dim, minimum=1)
    seed = integer("seed", seed, minimum=0)
    starts = integer("starts", starts, minimum=1)
    tol = positive("tol", tol)
    max_iter = integer("max_iter", max_iter, minimum=1)
    landscape = _Landscape(problem, d)
    rng = np.random.default_rng(seed)
    best: Array | None = None
    values: list[float] = []
    iterations: list[int] = []
    for _ in range(starts):
        # gtol and ftol below what rounding allows: each run goes on until it can descend no further
        found = minimize(
            landscape,
            landscape.start(rng),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": max_iter, "maxfun": 2 * max_iter, "maxcor": 30, "ftol": 1e-17, "gtol": 1e-13},
        )
        value = landscape.value(landscape.factors(found.x))
        if not values or value < min(values):
            best = found.x
        values.append(value)
        iterations.append(int(found.nit))
    factors = landscape.factors(cast(Array, best))
    if problem.loss.name == "ce":
        # shifting a column of logits changes no probability, and centring shortens W
        classifier = factors.classifier - factors.classifier.mean(axis=0)
        factors = Factors(classifier, factors.features, factors.equilibrium)
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
        iterations=sum(iterations),
        info=info,
        dim=d,
        factors=factors,
        value=landscape.value(factors),
        trouble="" if max(iterations) < max_iter else f"a start reached max_iter = {max_iter}",
    )


class _Landscape:
    """The objective as a smooth function of one unconstrained vector (w, w_0, h, h_0, S)."""

    def __init__(self, problem: Problem, dim: int) -> None:
        self.problem = problem
        self.dim = dim
        self._is_equilibrium = isinstance(problem.architecture, LinearDEQ | PenalisedDEQ)
        self._upper = np.triu_indices(2 * dim, 1)
        self._size = problem.prior.num_classes * dim + 1

    def start(self, rng: np.random.Generator) -> Array:
        """Normal factors of random size, and S from next to 0, where A = rho I, to where exp(S) is any rotation."""
        factors = rng.normal(size=2 * self._size) * math.exp(rng.uniform(-2, 1))
        skew = rng.normal(size=len(self._upper[0]) if self._is_equilibrium else 0) * math.exp(rng.uniform(-3, 1))
        return np.concatenate([factors, skew])

    def _split(self, x: Array) -> tuple[Array, Array, Array]:
        return x[: self._size], x[self._size : 2 * self._size], x[2 * self._size :]

    def _budgets(self) -> tuple[float, float]:
        budgets = cast(Constrained, self.problem.architecture).factor_budgets(self.problem.prior.num_classes)
        return budgets[0], budgets[-1]

    def _spectrum(self, s: Array) -> tuple[Array, NDArray[np.complex128]]:
        """Angles t (2d,) and unitary U with ``S = U diag(i t) U^*``."""
        skew = np.zeros((2 * self.dim, 2 * self.dim))
        skew[self._upper] = s
        angles, u = np.linalg.eigh(-1j * (skew - skew.T))
        return angles, u

    def _weights(self, w: Array, h: Array) -> tuple[Array, Array]:
        """W and H, within their budgets where there are any."""
        if self.problem.is_constrained:
            budget_w, budget_h = self._budgets()
            w = math.sqrt(budget_w) / np.linalg.norm(w) * w
            h = math.sqrt(budget_h) / np.linalg.norm(h) * h
        k, d = self.problem.prior.num_classes, self.dim
        return w[:-1].reshape(k, d), h[:-1].reshape(d, k)

    def _equilibrium(self, spectrum: tuple[Array, NDArray[np.complex128]]) -> Array:
        return self.problem.architecture.spectral_bound * _rotation(*spectrum)[: self.dim, : self.dim]

    def factors(self, x: Array) -> Factors:
        """The factors at ``x``; they satisfy budgets and spectral bound."""
        w, h, s = self._split(x)
        return Factors(*self._weights(w, h), self._equilibrium(self._spectrum(s)) if self._is_equilibrium else None)

    def objective(self, w: Array, h: Array, logits: Array) -> float:
        """The risk, plus ``(lambda_W/2)|W|^2 + (lambda_H/2) sum_k n_k |h_k|^2`` with weight decay."""
        risk = self.problem.risk(logits)
        architecture = self.problem.architecture
        if not isinstance(architecture, Penalised):
            return risk
        decay_w = architecture.lambda_W * float((w**2).sum())
        decay_h = architecture.lambda_H * float((h**2).sum(axis=0) @ self.problem.prior.counts)
        return risk + 0.5 * (decay_w + decay_h)

    def value(self, factors: Factors) -> float:
        """The objective at ``factors``."""
        return self.objective(factors.classifier, factors.features, factors.logits)

    def __call__(self, x: Array) -> tuple[float, Array]:
        """``log`` of the objective and its gradient; under MSE, whose optimum can be 0, the objective itself."""
        d = self.dim
        raw_w, raw_h, s = self._split(x)
        w, h = self._weights(raw_w, raw_h)
        seen = h
        if self._is_equilibrium:
            spectrum = self._spectrum(s)
            resolvent = np.linalg.inv(np.eye(d) - self._equilibrium(spectrum))
            seen = resolvent @ h
        logits = w @ seen
        value = self.objective(w, h, logits)
        g = self.problem.gradient(logits)
        g_w, g_h, g_s = g @ seen.T, w.T @ g, np.empty(0)
        if self._is_equilibrium:
            g_h = resolvent.T @ g_h
            block = np.zeros((2 * d, 2 * d))
            block[:d, :d] = self.problem.architecture.spectral_bound * g_h @ seen.T
            full = _rotation_adjoint(*spectrum, block)
            g_s = (full - full.T)[self._upper]
        architecture = self.problem.architecture
        if isinstance(architecture, Penalised):
            g_w = g_w + architecture.lambda_W * w
            g_h = g_h + architecture.lambda_H * h * self.problem.prior.counts
            # without a budget the slack coordinates play no part
            gradient = np.concatenate([g_w.ravel(), [0.0], g_h.ravel(), [0.0], g_s])
        else:
            budget_w, budget_h = self._budgets()
            gradient = np.concatenate([_on_sphere(raw_w, g_w, budget_w), _on_sphere(raw_h, g_h, budget_h), g_s])
        if self.problem.loss.name == "mse":
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
