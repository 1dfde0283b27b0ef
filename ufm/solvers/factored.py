r"""``method="factored"``: gauges that are no functions of singular values, by descent in their factors and a dual.

*Nonnegative features* (:mod:`ufm.gauges.cone`): the descent looks for a further atom, the v >= 0 with
``|G v| > mu |v|``, whenever it has ended, so that what it ends with is the optimum of the convex problem, not a local
minimum of the factors. The bound rests on ``Omega^o(-G) = max {|G v| : v >= 0, |v| = 1}`` from above, which is computed
exactly for up to a dozen columns, and where products of the columns of G are nowhere positive
(:mod:`ufm.gauges.copositive`). Beyond, the bound is that of the doubly nonnegative relaxation
(:mod:`ufm.solvers.doubly_nonnegative`).

*Bounded rows and columns* (:mod:`ufm.gauges.elliptope`): the descent runs over unit vectors in as many dimensions as
make local minima global, and its stationarity gives the two diagonals of the dual.

Both end with Newton's method, so that the gap closes to rounding. Source: theory section 8.
"""

from __future__ import annotations

import dataclasses
import math
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ufm._linalg import svd
from ufm._threads import blas_threads
from ufm._validation import integer, starts_of, tolerance
from ufm.architectures import Factors, FeatureCone, NormBounded
from ufm.gauges import EXACT_SIZE, ConePoint, UnitPoint, dual_bound, minimise_over_cone, minimise_over_elliptope
from ufm.problem import Problem
from ufm.solution import Solution
from ufm.solvers.columns import ColumnRisk
from ufm.solvers.conclude import conclude, is_closed, zero_risk
from ufm.solvers.doubly_nonnegative import relaxed_logits
from ufm.solvers.methods import Support

__all__ = ["solve_factored", "supports"]

Array = NDArray[np.float64]

#: Dimensions of the unit vectors that carry less than this, relative, are dropped.
_DIMENSION = 1e-9


def supports(problem: Problem) -> Support:
    """Exact for every convex loss under nonnegative features of a dozen columns, and under bounded norms.

    >>> import ufm
    >>> supports(Problem.of(ufm.NormBounded(1.0, 3.0), ufm.ClassPrior([1, 1]))).answer
    'exact'
    >>> relu = ufm.LayerPeeled(1.0, 1.0, features="nonnegative")
    >>> supports(Problem.of(relu, ufm.ClassPrior.balanced(20), "bce")).answer
    'bounded'
    """
    if not problem.is_known or problem.is_spectral:
        return Support.refused(f"architecture {problem.architecture!r} states no cone or norms of its factors")
    if not problem.loss.is_convex:
        return Support.refused(f"loss {problem.loss.name} is not convex")
    if isinstance(problem.architecture, FeatureCone) and problem.prior.num_columns > EXACT_SIZE:
        return Support("bounded", f"the polar of more than {EXACT_SIZE} columns need not be tight")
    return Support("exact")


def solve_factored(
    problem: Problem, *, dim: int | None = None, seed: int = 0, tol: float = 1e-9, starts: int = 3
) -> Solution:
    """Solve a convex problem over its factors, to a relative duality gap of ``tol``.

    Args:
        problem: what to solve.
        dim: feature dimension of the factors; None for K, or as many as the optimum needs. With fewer dimensions than
            it needs (nonnegative features need its nonnegative rank) they are a constraint; ``lower`` is then the
            optimum without it, from which the gap stays open, and ``is_global`` None.
        seed: seed >= 0 of the random starts.
        tol: relative duality gap > 0 up to which the point counts as the global optimum.
        starts: random starts >= 1 at most; a further one is taken only where the gap is not closed.

    Returns:
        The solution with the factors that were optimised. ``info`` holds the number of ``atoms`` (nonnegative features)
        or of ``dimensions`` in use.

    Raises:
        TypeError, ValueError: an argument is not what it should be.

    >>> import ufm
    >>> problem = Problem.of(ufm.NormBounded(1.0, 3.0), ufm.ClassPrior([1, 1, 1]), "ce")
    >>> solution = solve_factored(problem)
    >>> round(solution.value, 9), solution.is_global  # log(1 + 2 e^{-3 * 3/2})
    (0.02197477, True)
    """
    if dim is not None:
        dim = integer("dim", dim, minimum=1)
    seed = integer("seed", seed, minimum=0)
    tol = tolerance("tol", tol)
    starts = starts_of("starts", starts)
    if dim is None and (fitted := zero_risk(problem)) is not None:
        return conclude(problem, "factored", fitted, tol=tol, lower=0.0, iterations=0, info={}, dim=None)
    best: Solution | None = None
    # threads cost matrices of this size ten times what they bring
    with blas_threads(1):
        for start in range(starts):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)  # said below, of the best
                found = _once(problem, dim, seed + start, tol)
            if best is None or found.value < best.value:
                best = found
            if best.is_global is True or (dim is None and _is_relaxed(problem) and _is_stationary(best, tol)):
                break
        assert best is not None
        if _is_relaxed(problem) and best.is_global is not True:
            best = _bounded(best, tol)
    if best.is_global is not True:
        warnings.warn(best.info["warning"], RuntimeWarning, stacklevel=3)
    return best


def _is_relaxed(problem: Problem) -> bool:
    """Whether the polar of the gauge is bounded by a relaxation alone."""
    return isinstance(problem.architecture, FeatureCone) and problem.prior.num_columns > EXACT_SIZE


def _is_stationary(solution: Solution, tol: float) -> bool:
    """Whether no atom that ascents find leads down: then other starts end at the same value."""
    problem = solution.problem
    gradient = problem.gradient(solution.logits)
    polar = float(problem.architecture.polar(-gradient / problem.weights))
    if problem.is_constrained:
        missed = float(np.vdot(gradient, solution.logits)) + problem.bound * polar
    else:
        missed = (polar - 1) * (solution.value - problem.risk(solution.logits))
    return missed <= tol * abs(solution.value) + problem.floor


def _bounded(solution: Solution, tol: float) -> Solution:
    """``solution`` with the bound of the doubly nonnegative relaxation, where that is better."""
    problem = solution.problem
    logits = relaxed_logits(problem)
    lower = -math.inf if logits is None else min(solution.value, problem.lower_bound(logits))
    if lower <= solution.lower:
        return solution
    gap = (solution.value - lower) / solution.value
    info = solution.info | {"relative_gap": gap, "dual_logits": logits}
    closed = is_closed(problem, solution.value, lower, tol)
    info["warning"] = (
        f"method 'factored' stopped with a relative duality gap of {gap:.2g}, above tol = {tol:g}: no atom leads "
        f"further down, but of {problem.prior.num_columns} > {EXACT_SIZE} columns only a relaxation is bounded"
    )
    if closed:
        del info["warning"]
    return dataclasses.replace(solution, lower=lower, info=info, is_global=True if closed else None)


def _once(problem: Problem, dim: int | None, seed: int, tol: float) -> Solution:
    if isinstance(problem.architecture, NormBounded):
        factors, lower, info = _norm_bounded(problem, problem.architecture, dim, seed)
    else:
        factors, lower, info = _nonnegative(problem, dim, seed)
    value = problem.risk(factors.logits)
    if not problem.is_constrained:
        value += problem.architecture.spent(factors, problem.prior)
    return conclude(
        problem, "factored", factors.logits, tol=tol, lower=lower, iterations=info.pop("rounds", 1), info=info, dim=dim,
        factors=factors, value=value, trouble=info.pop("trouble", ""),
    )  # fmt: skip


def _nonnegative(problem: Problem, dim: int | None, seed: int) -> tuple[Factors, float, dict[str, Any]]:
    architecture = problem.architecture
    assert isinstance(architecture, FeatureCone)
    options: dict[str, Any] = {"relative": problem.loss.floor == 0, "enough": problem.floor}
    if problem.is_constrained:
        options["radius"] = problem.bound
    else:
        options["strength"] = architecture.price
    phi, shape = ColumnRisk(problem), (problem.prior.num_classes, problem.prior.num_columns)
    start = None if seed == 0 else _random_atoms(problem, seed)
    point = minimise_over_cone(phi, shape, start=start, **options)
    atoms, lower, trouble = point.w.shape[1], -math.inf, {}
    if dim is not None and dim < atoms:
        wide = architecture.scaled(problem.centred(point.w), point.h, problem.prior, None)
        lower, trouble = problem.lower_bound(wide.logits), _constrained_by(dim, atoms)
        # which classes share an atom is a matter of the start
        start = None if seed == 0 else _random_atoms(problem, seed, dim)
        point = minimise_over_cone(phi, shape, start=start, width=dim, **options)
    w = problem.centred(point.w)  # a shift of a column of logits along it changes no loss, and this shortens W
    info = {"atoms": atoms, "rounds": max(1, point.rounds)} | trouble
    return architecture.scaled(w, point.h, problem.prior, dim), lower, info


def _constrained_by(dim: int, needed: int) -> dict[str, Any]:
    """Why no gap closes in so few dimensions, for the warning."""
    return {"trouble": f"dim = {dim} is a constraint: the convex problem, whose optimum bounds it, took {needed}"}


def _random_atoms(problem: Problem, seed: int, atoms: int | None = None) -> ConePoint:
    """So many atoms, default two a column, with features of random size."""
    rng = np.random.default_rng(seed)
    k, m = problem.targets.shape
    atoms = 2 * m if atoms is None else atoms
    h = np.abs(rng.normal(size=(atoms, m)))
    w = rng.normal(size=(k, atoms))
    size = problem.bound if problem.is_constrained else 1.0
    w, h = w / np.linalg.norm(w), h / np.linalg.norm(h)
    return ConePoint(math.sqrt(size) * w, math.sqrt(size) * h, 0.0)


def _norm_bounded(
    problem: Problem, architecture: NormBounded, dim: int | None, seed: int
) -> tuple[Factors, float, dict[str, Any]]:
    phi, shape = ColumnRisk(problem), (problem.prior.num_classes, problem.prior.num_columns)
    relative, enough = problem.loss.floor == 0, problem.floor * 1e-3
    point = minimise_over_elliptope(phi, shape, problem.bound, seed=seed, relative=relative, enough=enough)
    v = np.vstack([point.p, point.q])
    _, s, vt = svd(v, full_matrices=False)
    used = int((s > _DIMENSION * s[0]).sum())
    lower, trouble = -math.inf, {}
    if dim is not None and dim < used:
        wide = point.p @ point.q.T * problem.bound
        lower, trouble = _norm_bound(problem, wide, point), _constrained_by(dim, used)
        point = minimise_over_elliptope(
            phi, shape, problem.bound, seed=seed, width=dim, relative=relative, enough=enough
        )
        v, used = np.vstack([point.p, point.q]), dim
    else:
        v = v @ vt[:used].T
        v = v / np.linalg.norm(v, axis=1, keepdims=True)
    factors = architecture.scaled(architecture.w * v[: shape[0]], architecture.h * v[shape[0] :].T, problem.prior, dim)
    return factors, max(lower, _norm_bound(problem, factors.logits, point)), {"dimensions": used} | trouble


def _norm_bound(problem: Problem, logits: Array, point: UnitPoint) -> float:
    """What no logits are below: the tangent at these, with the polar bounded by the point's multipliers."""
    gradient = problem.gradient(logits)
    bound, _, _ = dual_bound(-gradient, point)
    return problem.risk(logits) - float(np.vdot(gradient, logits)) - problem.bound * bound
