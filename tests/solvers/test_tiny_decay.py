"""Weight decay far below rounding, and dimensions below the rank: right, or said not to be proved, in seconds."""

from __future__ import annotations

import time
import warnings

import pytest

import ufm

PRIOR = ufm.ClassPrior([5, 3, 1])


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
