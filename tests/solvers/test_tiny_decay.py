"""Weight decay far below rounding, and dimensions below the rank: right, or said not to be proved, in seconds."""

from __future__ import annotations

import time
import warnings

import numpy as np
import pytest

import ufm
from ufm.problem import Problem
from ufm.risk import Risk

PRIOR = ufm.ClassPrior([5, 3, 1])
DECAY = ufm.UnconstrainedFeatures(0.1, 0.1)


@pytest.mark.parametrize("bias", [None, "free"])
def test_mean_squared_error_keeps_its_digits_at_any_decay(bias):
    """At small lam the value is ``lam |T D^{1/2} P|_*``, whatever the decay."""
    plain = ufm.solve(ufm.UnconstrainedFeatures(1e-9, 1e-9), PRIOR, "mse", bias=bias)
    for decay in (1e-12, 1e-20, 1e-100, 1e-300):
        found = ufm.solve(ufm.UnconstrainedFeatures(decay, decay), PRIOR, "mse", bias=bias)
        assert found.value == pytest.approx(plain.value * decay / 1e-9, rel=1e-7)
        assert found.lower == pytest.approx(found.value, rel=1e-12)
        assert found.is_global is True


@pytest.mark.parametrize("loss", ["ce", "bce", "mse", ufm.SquaredHinge()])
@pytest.mark.parametrize("bias", ["free", 1e-20, 1e20])
@pytest.mark.parametrize("decay", [1e-20, 1e-100])
@pytest.mark.sample(4)
def test_a_bias_beside_tiny_decay_takes_seconds_and_claims_no_open_gap(loss, bias, decay):
    start = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        found = ufm.solve(ufm.UnconstrainedFeatures(decay, decay), PRIOR, loss, bias=bias)
    assert time.process_time() - start < 10
    assert 0 <= found.lower <= found.value
    assert found.is_global is (True if found.value - found.lower <= 1e-6 * found.value else None)


def test_cross_entropy_with_a_free_bias_closes_its_gap_there():
    found = ufm.solve(ufm.UnconstrainedFeatures(1e-100, 1e-100), PRIOR, "ce", bias="free")
    assert found.value == pytest.approx(7.141222642736e-98, rel=1e-9)
    assert found.is_global is True


@pytest.mark.parametrize("bias", [None, "free"])
def test_a_closed_form_knows_a_dimension_below_the_rank(bias):
    decay = ufm.UnconstrainedFeatures(0.1, 0.1)
    full = ufm.solve(decay, PRIOR, "mse", bias=bias)
    low = ufm.solve(decay, PRIOR, "mse", bias=bias, dim=1)
    assert low.value > full.value * 1.01
    # the best of a rank keeps the largest thresholded singular values (Eckart and Young): global below the rank too
    assert low.is_global is True
    assert low.classifier.shape == (3, 1)
    searched = ufm.solve(decay, PRIOR, "mse", bias=bias, dim=1, method="search", starts=10)
    assert searched.value == pytest.approx(low.value, rel=1e-8)


def test_labels_that_are_not_one_hot_take_a_dimension_below_the_rank():
    labels = ufm.Labels([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 0]], [5, 3, 2])
    full = ufm.solve(ufm.LayerPeeled(2.0, 2.0), labels, "mse")
    low = ufm.solve(ufm.LayerPeeled(2.0, 2.0), labels, "mse", dim=1)
    assert low.is_global is None
    assert low.value > full.value + 0.1
    assert low.features.shape == (1, 3)


def test_a_search_with_a_bias_takes_seconds():
    deep, loss = ufm.DeepLinear((2.0, 2.0, 2.0)), ufm.CrossEntropy(smoothing=0.1)
    start = time.process_time()
    found = ufm.solve(deep, PRIOR, loss, method="search", bias="free")
    assert time.process_time() - start < 20  # 5 s, and more than 100 s before descents had an end
    assert found.value == pytest.approx(0.46288851337, rel=1e-8)


def test_a_search_finds_nothing_where_nothing_is_asked():
    labels = ufm.Labels([[0.0], [0.0]], [2.0])
    found = ufm.solve(ufm.LayerPeeled(1.0, 1.0), labels, "ce", method="search", bias="free", starts=1)
    assert (found.value, found.is_global) == (0.0, True)


@pytest.mark.parametrize("loss", ["ce", "bce", "mse"])
@pytest.mark.parametrize("price", [5e-324, 1e-200, 1e-30, 1e-20])
@pytest.mark.sample(6)
def test_a_bias_that_costs_next_to_nothing_is_as_good_as_free(loss, price):
    """The bound charges what rounding leaves of its equation at the bias's size, and logits do not drift with it."""
    labels = ufm.Labels([[0.2, 0.7, 0.1, 0.8], [0.5, 0.2, 0.2, 0.1], [0.3, 0.1, 0.7, 0.1]], [1, 1, 1, 30])
    decay = ufm.UnconstrainedFeatures(2e-4, 2e-4)
    found, free = (ufm.solve(decay, labels, loss, bias=bias, method="nuclear") for bias in (price, "free"))
    assert found.value == pytest.approx(free.value, rel=1e-9)
    assert found.is_global is True
    assert found.lower <= found.value * (1 + 1e-14)


@pytest.mark.parametrize("loss", ["ce", "bce"])
@pytest.mark.parametrize("seed", range(20))
@pytest.mark.sample(10)
def test_a_bias_that_costs_next_to_nothing_closes_its_gap_at_any_price(loss, seed):
    """G is then a difference of probabilities and targets far larger than it is: its sums are no better than theirs."""
    rng = np.random.default_rng(seed)
    labels = ufm.Labels([[0.2, 0.7, 0.1, 0.8], [0.5, 0.2, 0.2, 0.1], [0.3, 0.1, 0.7, 0.1]], [1, 1, 1, 30])
    decay = ufm.UnconstrainedFeatures(*[10 ** rng.uniform(-5, -3)] * 2)
    found = ufm.solve(decay, labels, loss, bias=10 ** rng.uniform(-60, -22), method="nuclear")
    assert found.is_global is True
    assert found.iterations <= 200
    if loss == "ce":  # the bias has no part along which the loss is constant
        bias = found.problem.best_bias(found.logits)
        assert abs(bias.sum()) <= 1e-9 * np.abs(bias).max()


class _Trials(Risk):
    """A risk that counts the values of the bias it tries."""

    count = 0

    def beside(self, logits, b):
        type(self).count += 1
        return super().beside(logits, b)


def test_the_best_bias_beside_logits_far_away_takes_few_trials():
    """What all columns share is taken out at once; kinks of scales of 1e60 end the trials."""
    far = -5e5 * np.ones((3, 4)) + np.arange(12.0).reshape(3, 4)
    risk = Problem.of(DECAY, ufm.Labels(np.full((3, 4), 0.3), [1, 2, 3, 4]), "bce", "free").risk_of
    assert np.abs(risk.gradient(far).sum(axis=1)).max() < 1e-9
    kinked = ufm.CrossEntropy(scales=(1e67, 0.1, 3.0))
    trials = _Trials(kinked, np.eye(3), PRIOR.probabilities, 30.0)
    trials.best_bias(np.array([[3e-4, -2e-4, 1e-5], [1e-4, 1e-3, -1e-3], [-2e-3, -4e-2, 4e-2]]))
    assert trials.count < 400
