"""The convex problem: gauge and dual norm, the duality gap, and ``solve``'s checks at the door."""

from __future__ import annotations

import math

import numpy as np
import pytest
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st

import ufm
from ufm.problem import Problem

PRIOR = ufm.ClassPrior([40, 40, 10, 10, 5])
K = PRIOR.num_classes
ARCHITECTURES = [
    ufm.LayerPeeled(0.7, 2.0),
    ufm.LinearDEQ(0.7, 2.0, 0.5),
    ufm.UnconstrainedFeatures(2e-2, 2e-2),
    ufm.PenalisedDEQ(2e-2, 2e-2, 0.5),
]
cases = st.tuples(st.sampled_from(ARCHITECTURES), st.sampled_from(["ce", "mse"]))
seeds = st.integers(0, 2**32 - 1)


@given(cases, seeds)
@settings(max_examples=examples(40))
def test_gauge_and_dual_norm_are_dual(case, seed):
    problem = Problem.of(case[0], PRIOR, case[1])
    rng = np.random.default_rng(seed)
    z, g = rng.normal(size=(2, K, K))
    assert np.vdot(g, z) <= problem.gauge(z) * problem.dual_norm(g) * (1 + 1e-12)
    # attained at the polar factor
    u, _, vt = np.linalg.svd(g / problem.weights)
    best = np.outer(u[:, 0], vt[0]) / problem.weights
    assert problem.gauge(best) == pytest.approx(1.0, rel=1e-12)
    assert np.vdot(g, best) == pytest.approx(problem.dual_norm(g), rel=1e-12)


@given(cases, seeds, st.floats(0.01, 10.0))
@settings(max_examples=examples(60))
def test_lower_bound_never_exceeds_the_optimum(case, seed, size):
    """Weak duality, at points that are not optimal; for weight decay also where the gradient is not dual feasible."""
    problem = Problem.of(case[0], PRIOR, case[1])
    best = ufm.solve(case[0], PRIOR, case[1], method="reduced")
    z = size * np.random.default_rng(seed).normal(size=(K, K))
    assert problem.lower_bound(z) <= best.value * (1 + 1e-12)
    if problem.is_constrained:
        z *= problem.radius / problem.gauge(z)
    assert problem.objective(z) >= best.lower * (1 - 1e-12)


@pytest.mark.parametrize("case", [(a, loss) for a in ARCHITECTURES for loss in ("ce", "mse")], ids=repr)
def test_gap_closes_at_the_optimum_and_only_there(case):
    solution = ufm.solve(case[0], PRIOR, case[1], method="reduced")
    problem = solution.problem
    z = solution.logits
    # independent of the reduction: K x K formulas
    assert problem.objective(z) == pytest.approx(solution.value, rel=1e-12)
    assert problem.lower_bound(z) == pytest.approx(solution.value, rel=1e-11)
    if problem.is_constrained:
        assert problem.gauge(z) <= problem.radius * (1 + 1e-12)
        assert problem.dual_norm(problem.gradient(z)) == pytest.approx(solution.multiplier, rel=1e-10)
    else:
        assert solution.multiplier == problem.strength
        assert problem.dual_norm(problem.gradient(z)) == pytest.approx(problem.strength, rel=1e-10)
    # the same logits shrunk by a per mille have a gap: the check can fail
    assert problem.objective(0.999 * z) - problem.lower_bound(0.999 * z) > 1e-8 * solution.value


def test_frank_wolfe_form_of_the_bound():
    problem = Problem.of(ufm.LayerPeeled(0.7, 2.0), PRIOR, "ce")
    z = np.random.default_rng(0).normal(size=(K, K))
    g = problem.gradient(z)
    expected = problem.risk(z) - np.vdot(g, z) - problem.radius * np.linalg.norm(g, 2)
    assert problem.lower_bound(z) == pytest.approx(expected, rel=1e-12)


def test_mutant_bounds_are_caught():
    """A dual norm without its weights, or a bound without the dual scaling, exceeds the optimum somewhere."""
    architecture = ufm.UnconstrainedFeatures(2e-2, 2e-2)
    problem = Problem.of(architecture, PRIOR, "ce")
    best = ufm.solve(architecture, PRIOR, method="reduced").value
    pi = PRIOR.probabilities
    z = np.zeros((K, K))
    unscaled = problem.loss.dual_value(z, pi, 1.0)
    unweighted = np.linalg.norm(problem.gradient(z), 2)
    wrong = problem.loss.dual_value(z, pi, min(1.0, problem.strength / unweighted))
    assert unscaled > best * 1.05
    assert problem.lower_bound(z) <= best
    assert abs(wrong - problem.lower_bound(z)) > 1e-3 * best


def test_radius_and_strength_exist_only_where_they_mean_something():
    with pytest.raises(ValueError, match="no radius"):
        _ = Problem.of(ufm.UnconstrainedFeatures(1e-2, 1e-2), PRIOR).radius
    with pytest.raises(ValueError, match="no strength"):
        _ = Problem.of(ufm.LayerPeeled(1.0, 1.0), PRIOR).strength


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((None, PRIOR), {}, TypeError, r"^architecture must be .*LayerPeeled.*got None"),
        ((ufm.LayerPeeled, PRIOR), {}, TypeError, r"^architecture must be .*got <class"),
        (("lpm", PRIOR), {}, TypeError, r"^architecture must be .*got 'lpm'"),
        (
            (ufm.LayerPeeled(1, 1), [3, 2]),
            {},
            TypeError,
            r"^prior must be a ufm.ClassPrior or .*got \[3, 2\]",
        ),
        ((ufm.LayerPeeled(1, 1), None), {}, TypeError, r"^prior must be a ufm.ClassPrior or .*got None"),
        (
            (ufm.LayerPeeled(1, 1), PRIOR, "hinge"),
            {},
            ValueError,
            r"^loss must be one of 'ce', 'mse', .*got 'hinge'",
        ),
        ((ufm.LayerPeeled(1, 1), PRIOR, 3), {}, TypeError, r"^loss must be one of 'ce', 'mse', .*got 3"),
        ((ufm.LayerPeeled(1, 1), PRIOR), {"method": "newton"}, ValueError, r"^method must be one of .*got 'newton'"),
        ((ufm.LayerPeeled(1, 1), PRIOR), {"method": None}, TypeError, r"^method must be one of .*got None"),
        ((ufm.LayerPeeled(1, 1), PRIOR), {"dim": 0}, ValueError, r"^dim must be an integer between 1 and 20000, got 0"),
        ((ufm.LayerPeeled(1, 1), PRIOR), {"dim": 2.5}, ValueError, r"^dim must be an integer >= 1, got 2.5"),
        ((ufm.LayerPeeled(1, 1), PRIOR), {"dim": "4"}, TypeError, r"^dim must be a real number, got '4'"),
        ((ufm.LayerPeeled(1, 1), PRIOR), {"seed": -1}, ValueError, r"^seed must be an integer >= 0, got -1"),
        ((ufm.LayerPeeled(1, 1), PRIOR), {"seed": math.nan}, ValueError, r"^seed must be finite, got nan"),
    ],
)
def test_solve_refuses_bad_arguments_by_name(arguments, options, error, message):
    with pytest.raises(error, match=message):
        ufm.solve(*arguments, **options)


@pytest.mark.parametrize("method", ["auto", "reduced"])
def test_unknown_options_are_a_type_error_that_names_option_and_method(method):
    with pytest.raises(TypeError, match=r"unknown_option"):
        ufm.solve(ufm.LayerPeeled(1, 1), PRIOR, method=method, unknown_option=1)


def test_too_small_a_dimension_is_refused_when_factors_are_asked_for():
    for method in ("reduced", "nuclear"):
        with pytest.raises(ValueError, match=r"dim must be at least the rank of the optimal logits, 4, .*got 2"):
            ufm.solve(ufm.LayerPeeled(1.0, 5.0), PRIOR, dim=2, method=method)
    wide = ufm.solve(ufm.LayerPeeled(1.0, 5.0), PRIOR, dim=9)
    assert wide.classifier.shape == (K, 9)
    np.testing.assert_allclose(wide.classifier @ wide.features, wide.logits, atol=1e-12)
