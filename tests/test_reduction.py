"""Symmetry reduction against the K x K formulas, on logits that are invariant under permutations within groups."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st

import ufm
from ufm.problem import Problem
from ufm.reduction import ReducedLogits, ReducedRisk

PRIORS = [
    ufm.ClassPrior.balanced(4),
    ufm.ClassPrior.step(2, 3, 7.0),
    ufm.ClassPrior.step(1, 4, 7.0),
    ufm.ClassPrior.step(4, 1, 7.0),
    ufm.ClassPrior([1, 3, 1, 9, 3, 3]),  # groups interleaved
    ufm.ClassPrior.long_tailed(4, 50.0),  # single classes only
    ufm.ClassPrior([1e6, 2.0, 2.0, 2.0 + 1e-9, 2.0 + 1e-9]),
]
FEW = settings(max_examples=examples(60))


def random_logits(prior: ufm.ClassPrior, seed: int, size: float = 2.0) -> ReducedLogits:
    rng = np.random.default_rng(seed)
    g = len(prior.groups)
    s = size * rng.normal(size=g)
    trivial = size * rng.normal(size=(g, g))
    for a, group in enumerate(prior.groups):
        if group.size == 1:
            s[a] = 0.0  # a single class has no standard representation
    return ReducedLogits(s, trivial)


def problems(prior: ufm.ClassPrior) -> tuple[Problem, Problem]:
    return (
        Problem.of(ufm.LayerPeeled(0.5, 0.5), prior, "ce"),
        Problem.of(ufm.UnconstrainedFeatures(1e-2, 1e-2), prior, "ce"),
    )


def group_weights(problem: Problem) -> np.ndarray:
    return np.array([problem.weights[group.classes[0]] for group in problem.prior.groups])


cases = st.tuples(st.sampled_from(PRIORS), st.integers(0, 2**32 - 1))


@given(cases)
@FEW
def test_expansion_has_the_block_form_and_the_right_singular_values(case):
    prior, seed = case
    logits = random_logits(prior, seed)
    z = logits.expand(prior)
    for a, rows in enumerate(prior.groups):
        for b, columns in enumerate(prior.groups):
            block = z[np.ix_(rows.classes, columns.classes)]
            t = (logits.trivial[a, b] - (logits.s[a] if a == b else 0)) / np.sqrt(rows.size * columns.size)
            np.testing.assert_allclose(block, t + (logits.s[a] * np.eye(rows.size) if a == b else 0), atol=1e-14)
    values = np.concatenate(
        [np.linalg.svd(logits.trivial)[1]]
        + [np.full(group.size - 1, abs(logits.s[a])) for a, group in enumerate(prior.groups)]
    )
    np.testing.assert_allclose(np.sort(np.linalg.svd(z)[1]), np.sort(values), atol=1e-12)


@given(cases, st.floats(0.1, 30.0))
@FEW
def test_value_gauge_and_duals_are_those_of_the_expanded_logits(case, size):
    prior, seed = case
    logits = random_logits(prior, seed, size)
    z = logits.expand(prior)
    risk = ReducedRisk(prior)
    for problem in problems(prior):
        weights = group_weights(problem)
        assert risk.value(logits) == pytest.approx(problem.risk(z), rel=1e-12)
        assert logits.gauge(prior, weights) == pytest.approx(problem.gauge(z), rel=1e-12)
        dual_norm = risk.dual_norm(risk.gradient(logits), weights)
        assert dual_norm == pytest.approx(problem.dual_norm(problem.gradient(z)), rel=1e-10)
        for scale in (1.0, 0.3, 0.0):
            expected = problem.loss.dual_value(z, prior.probabilities, scale)
            assert risk.entropy(logits, scale) == pytest.approx(expected, rel=1e-10, abs=1e-13)


@given(cases)
@FEW
def test_gradient_is_the_projection_of_the_full_gradient(case):
    """``<grad f(Z), dZ> = <df/ds, ds> + <df/dM, dM>`` for every direction (ds, dM)."""
    prior, seed = case
    logits = random_logits(prior, seed)
    direction = random_logits(prior, seed + 1)
    full = problems(prior)[0].gradient(logits.expand(prior))
    d_s, d_trivial = ReducedRisk(prior).gradient(logits)
    expected = np.vdot(full, direction.expand(prior))
    assert d_s @ direction.s + np.vdot(d_trivial, direction.trivial) == pytest.approx(expected, rel=1e-10, abs=1e-12)


@given(cases)
@FEW
def test_hessians_are_derivatives_of_the_gradient(case):
    prior, seed = case
    risk = ReducedRisk(prior)
    logits, direction = random_logits(prior, seed), random_logits(prior, seed + 1)
    step = 1e-5

    def gradient(t: float) -> np.ndarray:
        d_s, d_trivial = risk.gradient(
            ReducedLogits(logits.s + t * direction.s, logits.trivial + t * direction.trivial)
        )
        return np.vstack([d_s, d_trivial])  # column b: derivative in y_b

    numeric = (gradient(-2 * step) - 8 * gradient(-step) + 8 * gradient(step) - gradient(2 * step)) / (12 * step)
    for b, hessian in enumerate(risk.hessians(logits)):
        y = np.concatenate([[direction.s[b]], direction.trivial[:, b]])
        np.testing.assert_allclose(hessian @ y, numeric[:, b], atol=1e-9)
        assert np.linalg.eigvalsh(hessian).min() >= -1e-14


@given(cases, st.floats(-40.0, 5.0))
@FEW
def test_units_scale_value_and_derivatives(case, log_unit):
    prior, seed = case
    risk, logits = ReducedRisk(prior), random_logits(prior, seed)
    unit = np.exp(log_unit)
    assert risk.value(logits, log_unit) * unit == pytest.approx(risk.value(logits), rel=1e-12)
    for scaled, plain in zip(risk.gradient(logits, log_unit), risk.gradient(logits), strict=True):
        np.testing.assert_allclose(scaled * unit, plain, rtol=1e-11, atol=1e-14)
    np.testing.assert_allclose(risk.hessians(logits, log_unit) * unit, risk.hessians(logits), rtol=1e-9, atol=1e-14)


@pytest.mark.filterwarnings("error")
def test_units_reach_below_float64():
    """At margins of 900 the risk underflows; in units of e^-900 it is its leading term."""
    prior = ufm.ClassPrior.step(2, 2, 3.0)
    k = prior.num_classes
    logits = ReducedLogits(np.full(2, 900.0), 900.0 * (np.eye(2) - 0.5))  # 900 times the ETF
    risk = ReducedRisk(prior)
    np.testing.assert_allclose(logits.expand(prior), 900.0 * (np.eye(k) - 1 / k), atol=1e-12)
    assert risk.value(logits) == 0.0
    assert risk.value(logits, -900.0) == pytest.approx(k - 1, rel=1e-12)
    d_s, _ = risk.gradient(logits, -900.0)
    assert (d_s < 0).all()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("size", [1e3, 1e6])
def test_huge_logits_stay_finite(size):
    for prior in PRIORS:
        risk = ReducedRisk(prior)
        for seed in range(5):
            logits = random_logits(prior, seed, size)
            z = logits.expand(prior)
            assert risk.value(logits) == pytest.approx(problems(prior)[0].risk(z), rel=1e-10)
            for scale in (0.0, 0.5, 1.0):
                assert np.isfinite(risk.entropy(logits, scale))
            assert all(np.isfinite(part).all() for part in risk.gradient(logits))
            assert np.isfinite(risk.hessians(logits)).all()


def test_a_wrong_multiplicity_is_caught():
    """The comparison with the K x K formulas can fail: counting a class among its own siblings changes the value."""
    prior = PRIORS[1]
    risk, logits = ReducedRisk(prior), random_logits(PRIORS[1], 0)
    risk.multiplicity = risk.multiplicity + np.eye(2)
    assert abs(risk.value(logits) - problems(prior)[0].risk(logits.expand(prior))) > 1e-3


@given(cases)
@FEW
def test_averaging_over_permutations_never_raises_risk_or_gauge(case):
    """Why some optimum is invariant: averaging over the symmetric groups is a contraction for both."""
    prior, seed = case
    rng = np.random.default_rng(seed)
    k = prior.num_classes
    z = rng.normal(size=(k, k))
    average = np.empty_like(z)
    for rows in prior.groups:
        for columns in prior.groups:
            index = np.ix_(rows.classes, columns.classes)
            block = z[index]
            if rows is columns:
                own = np.trace(block) / rows.size
                many = rows.size * (rows.size - 1)
                off = (block.sum() - np.trace(block)) / many if many else 0.0
                average[index] = off + (own - off) * np.eye(rows.size)
            else:
                average[index] = block.mean()
    for problem in problems(prior):
        assert problem.risk(average) <= problem.risk(z) * (1 + 1e-12)
        assert problem.gauge(average) <= problem.gauge(z) * (1 + 1e-12)


def test_mean_is_that_over_all_permutations():
    prior = ufm.ClassPrior([9.0, 2.0, 9.0, 5.0, 2.0])  # groups that are not consecutive, and one of a single class
    logits = np.random.default_rng(0).normal(size=(5, 5))
    orders = [[*a, *b, 3] for a in itertools.permutations((0, 2)) for b in itertools.permutations((1, 4))]
    place = np.argsort([0, 2, 1, 4, 3])
    mean = np.mean([logits[np.ix_(np.array(o)[place], np.array(o)[place])] for o in orders], axis=0)
    np.testing.assert_allclose(ReducedLogits.mean(logits, prior).expand(prior), mean, rtol=0, atol=1e-14)
