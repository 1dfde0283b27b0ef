"""Closed forms beyond singular values, against the general method and at their thresholds."""

from __future__ import annotations

import math

import numpy as np
import pytest

import ufm
from ufm.testing import assert_optimal, assert_same_optimum

PRIORS = (ufm.ClassPrior([9, 5, 2, 1]), ufm.ClassPrior([20, 20, 3, 3, 3]), ufm.ClassPrior([2, 1]))
DECAYED = ufm.UnconstrainedFeatures(0.02, 0.03, features="nonnegative")
TIGHT, WIDE = (ufm.LayerPeeled(e, 2 * e, features="nonnegative") for e in (0.2, 2.0))


@pytest.mark.parametrize("loss", ["ce", "mse"])
@pytest.mark.parametrize("architecture", [DECAYED, TIGHT])
@pytest.mark.parametrize("prior", PRIORS)
def test_is_what_the_general_method_finds(architecture, prior, loss):
    s = ufm.solve(architecture, prior, loss)
    assert s.method == "closed_form"
    assert_same_optimum(s, ufm.solve(architecture, prior, loss, method="factored"), rtol=1e-11)
    assert_optimal(s, rtol=1e-12)


@pytest.mark.parametrize("num_classes", [2, 3, 30])
def test_balanced(num_classes):
    k = num_classes
    prior = ufm.ClassPrior.balanced(k)
    peeled = ufm.solve(ufm.LayerPeeled(1.0, 1.0, features="nonnegative"), prior)
    assert peeled.value == pytest.approx(math.log1p((k - 1) * math.exp(-k / math.sqrt(k * (k - 1)))), rel=1e-13)
    np.testing.assert_allclose(peeled.features.T @ peeled.features, np.eye(k), atol=1e-12)
    bounded = ufm.solve(ufm.NormBounded(2.0, 1.5), prior, bias=0.3)
    assert bounded.method == "closed_form"
    assert bounded.value == pytest.approx(math.log1p((k - 1) * math.exp(-3 * k / (k - 1))), rel=1e-13)
    assert bounded.gap <= 1e-13 * bounded.value
    assert bounded.geometry.phase == "none"


def test_tiny_risks_keep_their_digits():
    """At a risk of 1e-82 the multiplier alone has the digits; the gap is relative."""
    s = ufm.solve(ufm.LayerPeeled(30.0, 900.0, features="nonnegative"), PRIORS[0])
    assert 0 < s.value < 1e-80
    assert s.is_global is True
    assert s.gap <= 1e-9 * s.value


@pytest.mark.parametrize("loss", ["ce", "mse"])
@pytest.mark.parametrize("num_minority", [2, 3])
def test_threshold_is_where_the_minority_vanishes(num_minority, loss):
    for architecture, fixed in ((TIGHT, {}), (DECAYED, {"num_samples": 90.0})):
        t = ufm.collapse_threshold(architecture, 2, num_minority, loss=loss, **fixed)
        assert 1 < t.lower <= t.ratio <= t.upper < t.ratio * (1 + 1e-12)
        for factor, vanished in ((1 - 1e-6, False), (1 + 1e-6, True)):
            ratio = t.ratio * factor
            prior = ufm.ClassPrior.step(2, num_minority, ratio, minority_count=90 / (2 * ratio + num_minority))
            s = ufm.solve(architecture, prior, loss)
            assert s.geometry.collapsed == (False, vanished)
            assert s.geometry.phase == ("total" if vanished else "none")
            assert bool(np.abs(s.features[:, 2:]).max() == 0) is vanished


def test_threshold_of_weight_decay_is_the_formula():
    k, lam = 5, math.sqrt(0.02 * 0.03)
    t = ufm.collapse_threshold(DECAYED, 2, 3, num_samples=90)
    assert t.minority_count == pytest.approx(90**2 * lam**2 * k / (k - 1), rel=1e-14)


def test_threshold_of_bounded_norms_is_where_the_minority_coincides():
    assert ufm.collapse_threshold(ufm.NormBounded(1.0, 1.0), 2, 2).ratio == pytest.approx(22.544857, rel=1e-7)


@pytest.mark.sample(0)
def test_threshold_of_bounded_norms_is_where_the_minority_coincides_under_any_loss():
    bounded = ufm.NormBounded(1.0, 3.0)
    ratio = ufm.collapse_threshold(bounded, 2, 3, loss="bce").ratio
    for factor, apart in ((0.98, True), (1.02, False)):
        logits = ufm.solve(bounded, ufm.ClassPrior.step(2, 3, ratio * factor), "bce").logits
        assert bool(np.abs(logits[:, 2] - logits[:, 3]).max() > 1e-4) is apart


def test_beyond_float():
    with pytest.raises(ValueError, match=r"architecture has a threshold .* beyond the range of float64"):
        ufm.collapse_threshold(ufm.LayerPeeled(1e3, 1e3, features="nonnegative"), 2, 3)


def test_classes_of_different_counts_vanish_together():
    s = ufm.solve(ufm.UnconstrainedFeatures(0.03, 0.03, features="nonnegative"), ufm.ClassPrior([30, 20, 1.5, 1.0]))
    assert s.geometry.collapsed_classes == ((2, 3),)
    assert s.geometry.collapsed == (False, False, False, False)
    assert s.geometry.phase == "total"
    assert s.geometry.rank == 2


def test_small_dim_is_a_constraint_for_auto_and_refused_by_name():
    with pytest.warns(RuntimeWarning, match="relative duality gap"):
        s = ufm.solve(WIDE, PRIORS[0], dim=3)
    assert (s.method, s.is_global) == ("factored", None)
    assert s.classifier.shape == (4, 3)
    with pytest.raises(ValueError, match=r"dim must be at least the number of nonnegative atoms .* 4, got 3"):
        ufm.solve(WIDE, PRIORS[0], dim=3, method="closed_form")
    with pytest.raises(ValueError, match=r"dim must be at least K - 1 = 3 .* got 2"):
        ufm.solve(ufm.NormBounded(), ufm.ClassPrior.balanced(4), dim=2, method="closed_form")


@pytest.mark.parametrize("architecture", [DECAYED, TIGHT, ufm.NormBounded()])
def test_refusals_name_the_argument(architecture):
    for prior, loss, bias, word in (
        (PRIORS[0], "bce", None, "loss"),
        (ufm.Labels(np.eye(3), [1, 1, 1]), "ce", None, "prior"),
        (PRIORS[0], "mse" if isinstance(architecture, ufm.NormBounded) else "ce", "free", "(bias|loss)"),
    ):
        with pytest.raises(ValueError, match=f"'closed_form' does not solve this problem: {word} "):
            ufm.solve(architecture, prior, loss, bias=bias, method="closed_form")
