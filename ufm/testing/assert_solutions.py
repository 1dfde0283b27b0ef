"""Assertions about solutions: feasible by definition, optimal by a bound of their own, equal to another's."""

from __future__ import annotations

import math

import numpy as np

from ufm._validation import positive
from ufm.architectures import Constrained, Factors, FeatureCone, NormBounded, Penalised, Spectral
from ufm.problem import Problem
from ufm.solution import Solution
from ufm.testing._failing import Array, exceeds, fail, infinite

__all__ = ["assert_feasible", "assert_optimal", "assert_same_optimum"]

#: Rounding of a product of factors, relative to the logits and 1; of an objective; and of a norm that meets its bound.
PRODUCT, OBJECTIVE, NORM = 1e-8, 1e-7, 1e-12

#: Below the least normal number all rounding is absolute.
TINY = float(np.finfo(float).tiny)


def assert_feasible(solution: Solution, *, tol: float = 1e-10) -> None:
    """Assert that a solution's factors satisfy the *definition* of its architecture, not only its gauge.

    They are finite, multiply to the logits, respect the budgets (or cost the weight decay that the value says) and, for
    a DEQ, the spectral bound; nonnegative features are nonnegative, bounded rows and columns within their bounds.
    An architecture of one's own is defined by its gauge.

    Args:
        solution: what a solver returned.
        tol: what a budget may be exceeded by, relative, > 0.

    Raises:
        AssertionError: they do not; one line for each thing that is wrong.
        TypeError: no solution.
        ValueError: a tolerance that is not positive and finite.

    >>> import ufm
    >>> assert_feasible(ufm.solve(ufm.LayerPeeled(1.0, 1.0), ufm.ClassPrior.balanced(3)))
    """
    tol = positive("tol", tol)
    problem = _checked("solution", solution).problem
    headline = f"infeasible: {problem.architecture!r}"
    fail(headline, infinite({"the logits": solution.logits, "the value": solution.value}))
    if not problem.is_known:
        fail(headline, _wrong_gauge(solution, tol))
        return
    factors = solution.factors
    quantities = {
        "the entries of W": factors.classifier,
        "the entries of H": factors.features,
        "the entries of A": factors.equilibrium,
        **{f"the entries of A_{j}": a for j, a in enumerate(factors.residual_maps, 1)},
        **{f"the entries of W_{j}": layer for j, layer in enumerate(factors.layers, 2)},
    }
    fail(headline, infinite(quantities))
    wrong = _wrong_product(solution, factors)
    if isinstance(problem.architecture, NormBounded):
        fail(headline, [*wrong, *_wrong_norms(problem.architecture, factors, tol)])
        return
    if isinstance(problem.architecture, FeatureCone) and not problem.is_spectral:
        wrong += _wrong_signs(factors)
    else:
        wrong += _wrong_equilibrium(problem.spectral, factors.equilibrium, tol)
        wrong += _wrong_maps(problem.spectral, factors)
    fail(headline, [*wrong, *_wrong_sizes(solution, factors, tol)])


def _wrong_gauge(solution: Solution, tol: float) -> list[str]:
    """What an architecture of one's own states is its gauge."""
    problem = solution.problem
    gauge = problem.gauge(solution.logits)
    if problem.is_constrained and exceeds(gauge, problem.bound * (1 + tol)):
        return [f"the gauge {gauge:.12g} exceeds the bound {problem.bound:.12g} (tol {tol:g})"]
    return []


def _wrong_product(solution: Solution, factors: Factors) -> list[str]:
    wrong = []
    scale = 1 + float(np.abs(solution.logits).max())
    try:
        product = factors.logits
    except np.linalg.LinAlgError:
        return ["I - A is singular: there is no equilibrium"]
    distance = float(np.abs(product - solution.logits).max())
    if exceeds(distance, PRODUCT * scale):
        wrong.append(f"the factors' product is {distance:.3g} from the logits")
    if factors.layers:
        layers = (factors.classifier, *factors.layers)
        if not np.allclose(np.linalg.multi_dot(layers), product, rtol=0, atol=PRODUCT * scale):
            wrong.append("the layers' product is not the logits")
    return wrong


def _wrong_signs(factors: Factors) -> list[str]:
    """Features that are negative, where none may be."""
    least = float(factors.features.min(initial=0.0))
    return [f"a feature is negative, {least:.3g}"] if least < 0 else []


def _wrong_norms(architecture: NormBounded, factors: Factors, tol: float) -> list[str]:
    """Rows and columns that are longer than their bounds."""
    longest = {
        "|w_k|": (float(np.linalg.norm(factors.classifier, axis=1).max()), architecture.w),
        "|h_j|": (float(np.linalg.norm(factors.features, axis=0).max()), architecture.h),
    }
    return [
        f"max {name} = {length:.12g} exceeds its bound {bound:.12g} (tol {tol:g})"
        for name, (length, bound) in longest.items()
        if exceeds(length, bound * (1 + tol))
    ]


def _wrong_sizes(solution: Solution, factors: Factors, tol: float) -> list[str]:
    """Budgets that are exceeded, or weight decay that makes another value."""
    problem, architecture = solution.problem, solution.problem.architecture
    if isinstance(architecture, Constrained):
        names = [f"|W_{j}|^2" for j in range(1, len(factors.layers) + 2)] if factors.layers else ["|W|^2", "|H|^2"]
        sizes = [_square(x) for x in (factors.classifier, *(factors.layers or (factors.features,)))]
        budgets = architecture.factor_budgets(problem.prior.num_classes)
        return [
            f"{name} = {size:.12g} exceeds its budget {budget:.12g} (tol {tol:g})"
            for name, size, budget in zip(names, sizes, budgets, strict=True)
            if exceeds(size, budget * (1 + tol))
        ]
    if not isinstance(architecture, Penalised):
        raise TypeError(f"solution must be of an architecture with budgets or weight decay, got {architecture!r}")
    objective = problem.risk(factors.logits) + architecture.decay(factors, problem.prior)
    if exceeds(abs(objective - solution.value), OBJECTIVE * abs(solution.value) + 1e-15):
        return [f"the factors cost {objective:.12g}, but the value says {solution.value:.12g}"]
    return []


def _wrong_maps(architecture: Spectral, factors: Factors) -> list[str]:
    """Residual maps of another number than the architecture's, or beyond its bound."""
    maps = factors.residual_maps
    expected = 0 if architecture.blocks in (None, "deq") else architecture.num_maps * architecture.map_repeats
    if len(maps) != expected:
        return [f"there are {len(maps)} residual maps, not {expected}"]
    if maps and factors.blocks != architecture.blocks:
        return [f"the residual maps act as {factors.blocks!r}, not as {architecture.blocks!r}"]
    distinct = {id(a): a for a in maps}.values()
    if architecture.map_repeats > 1 and any(not np.array_equal(a, maps[0]) for a in distinct):
        return ["the residual maps differ, though the network shares one"]
    norm, rho = max((float(np.linalg.norm(a, 2)) for a in distinct), default=0.0), architecture.spectral_bound
    return [f"|A|_2 = {norm:.12g} exceeds rho = {rho:.12g}"] if exceeds(norm, rho * (1 + NORM) + TINY) else []


def _wrong_equilibrium(architecture: Spectral, a: Array | None, tol: float) -> list[str]:
    if not architecture.is_equilibrium:
        return [] if a is None else ["an explicit network has an equilibrium matrix"]
    if a is None:
        return ["a DEQ lacks its matrix A"]
    wrong = []
    norm, rho = float(np.linalg.norm(a, 2)), architecture.spectral_bound
    if exceeds(norm, rho * (1 + NORM) + TINY):
        wrong.append(f"|A|_2 = {norm:.12g} exceeds rho = {rho:.12g}")
    allowed = getattr(architecture, "E_A", None)
    if allowed is not None and exceeds(_square(a), allowed * (1 + tol)):
        wrong.append(f"|A|_F^2 = {_square(a):.12g} exceeds its budget {allowed:.12g} (tol {tol:g})")
    return wrong


def assert_optimal(solution: Solution, *, rtol: float = 1e-8) -> None:
    """Assert that a solution is feasible and globally optimal, recomputing all of it from its logits.

    Checks that the value is the objective at the logits, that the logits lie in the ball, that the weak-duality bound
    at them (independent of the solver's own; where the problem is not convex the solver's) closes to ``rtol``, that
    lower <= value <= upper, and :func:`assert_feasible`.

    Args:
        solution: what a solver returned.
        rtol: what the value may be off by, relative, > 0.

    Raises:
        AssertionError: it is not; one line for each thing that is wrong.
        TypeError: no solution.
        ValueError: a tolerance that is not positive and finite.

    >>> import ufm
    >>> assert_optimal(ufm.solve(ufm.LayerPeeled(1.0, 1.0), ufm.ClassPrior.balanced(3)))
    """
    rtol = positive("rtol", rtol)
    problem, z, value = _checked("solution", solution).problem, solution.logits, solution.value
    headline = f"not optimal (rtol {rtol:g}): {problem.architecture!r}, {problem.prior!r}, {problem.loss.name}"
    bounds = {"the value": value, "the lower bound": solution.lower, "the upper bound": solution.upper}
    fail(headline, infinite({"the logits": z, **bounds}))
    floor = _floor(problem)
    allowed = rtol * abs(value) + floor
    wrong = []
    if problem.is_constrained and exceeds(problem.gauge(z), problem.bound * (1 + 1e-10)):
        wrong.append(f"the gauge {problem.gauge(z):.12g} exceeds the radius {problem.bound:.12g}")
    objective = problem.objective(z)
    if exceeds(abs(objective - value), allowed):
        wrong.append(f"the logits' objective is {objective:.12g}, the value {value:.12g}")
    # a risk that vanishes is bounded by the loss alone: beside it the gradient's rounding is not small
    gap = value - (max(problem.lower_bound(z), problem.loss.infimum) if problem.is_convex else solution.lower)
    if exceeds(gap, allowed):
        wrong.append(f"the duality gap at the logits is {_relative(gap, value):.3g} of the value")
    if exceeds(solution.lower, value * (1 + NORM) + floor) or exceeds(value, solution.upper + allowed):
        wrong.append(f"the value {value!r} is outside [lower, upper] = [{solution.lower!r}, {solution.upper!r}]")
    if solution.is_global is not True:
        own = _relative(solution.upper - solution.lower, value)
        wrong.append(f"is_global is {solution.is_global!r}, with a relative gap of {own:.3g}")
    fail(headline, wrong)
    assert_feasible(solution)


def assert_same_optimum(solution: Solution, reference: Solution, *, rtol: float = 1e-8) -> None:
    """Assert that two solutions of one problem agree in value, and each value in the other's enclosure.

    Args:
        solution, reference: what two solvers returned.
        rtol: what the values may differ by, relative, > 0.

    Raises:
        AssertionError: they do not, or a value or a bound is not finite.
        TypeError, ValueError: no solutions, of different problems, or a tolerance that is not positive and finite.

    >>> import ufm
    >>> problem = ufm.LayerPeeled(1.0, 1.0), ufm.ClassPrior([2, 1])
    >>> assert_same_optimum(*(ufm.solve(*problem, method=method) for method in ("reduced", "nuclear")))
    """
    rtol = positive("rtol", rtol)
    problem = _checked("solution", solution).problem
    if problem != _checked("reference", reference).problem:
        raise ValueError(f"solutions must be of one problem, got {problem!r} and {reference.problem!r}")
    headline = f"different optima (rtol {rtol:g}): {problem.architecture!r}, {problem.prior!r}"
    pair = (solution, reference)
    for name, one in (("solution", solution), ("reference", reference)):
        fail(headline, infinite({f"the {name}'s {x}": getattr(one, x) for x in ("value", "lower", "upper")}))
    allowed = rtol * abs(reference.value) + _floor(problem)
    wrong = []
    if exceeds(abs(solution.value - reference.value), allowed):
        off = solution.value / reference.value - 1 if reference.value else math.inf
        wrong.append(f"{solution.method} gives {solution.value!r}, {reference.method} {reference.value!r}: {off:+.3g}")
    for one, other in (pair, pair[::-1]):
        if exceeds(one.lower - allowed, other.value) or exceeds(other.value, one.upper + allowed):
            wrong.append(
                f"{other.method}'s value {other.value!r} is outside {one.method}'s [{one.lower!r}, {one.upper!r}]"
            )
    fail(headline, wrong)


def _checked(name: str, solution: Solution) -> Solution:
    if not isinstance(solution, Solution):
        raise TypeError(f"{name} must be a ufm.Solution, got {solution!r}")
    return solution


def _floor(problem: Problem) -> float:
    """Absolute gap that counts as closed."""
    return max(problem.floor, 1e-290)


def _square(x: Array) -> float:
    return float((x**2).sum())


def _relative(gap: float, value: float) -> float:
    return gap / abs(value) if value else math.inf
