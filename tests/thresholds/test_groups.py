"""Any number of groups: critical scales and counts against the solver on both sides, merging, long tails."""

import json

import numpy as np
import pytest

import ufm
from ufm.thresholds import collapse_thresholds

BUDGET, DECAY = ufm.LayerPeeled(0.5, 0.5), ufm.UnconstrainedFeatures(0.05, 0.05)
THREE = ufm.ClassPrior([20, 20, 5, 5, 2, 2])


def scaled(found, scale, num_classes):
    if found.is_constrained:
        return ufm.LayerPeeled(scale / num_classes, scale / num_classes)
    return ufm.UnconstrainedFeatures(scale, scale)


def rank_and_scales(architecture, prior, loss, bias):
    s = ufm.solve(architecture, prior, loss, bias=bias)
    return s.geometry.rank, s.geometry.group_scales


@pytest.mark.parametrize(("loss", "bias"), [("ce", None), ("bce", "free"), (ufm.CrossEntropy(smoothing=0.1), None)])
@pytest.mark.parametrize("architecture", [BUDGET, DECAY], ids=["budgets", "decay"])
@pytest.mark.sample(2)
def test_every_critical_scale_is_one(architecture, loss, bias):
    found = collapse_thresholds(architecture, THREE, loss, bias)
    for at, group in enumerate(found.groups):
        assert group.is_collapsed == ((group.critical_scale >= found.scale) == found.is_constrained)
        if group.critical_scale == 0:
            continue
        for side in (-1e-2, -1e-4, 1e-4, 1e-2):
            other = scaled(found, group.critical_scale * (1 + side), 6)
            size = rank_and_scales(other, THREE, loss, bias)[1][at]
            assert (abs(size) < 1e-7) == ((side < 0) == found.is_constrained), (group, side, size)
    assert found.order[0] == (4, 5)  # the rarest merges first


def test_the_most_frequent_group_is_collapsed_for_no_budgets():
    found = collapse_thresholds(BUDGET, THREE)
    assert found.groups[0].critical_scale == 0.0
    assert found.order[-1] == (0, 1)


@pytest.mark.parametrize(("loss", "bias"), [("ce", None), ("bce", 0.2), (ufm.SquaredHinge(), None)])
def test_the_count_at_which_a_group_collapses(loss, bias):
    prior = ufm.ClassPrior([40, 40, 9, 9])
    found = collapse_thresholds(ufm.UnconstrainedFeatures(0.03, 0.03), prior, loss, bias)
    count = found.groups[1].critical_count
    assert 0 < count < 40
    for factor, is_collapsed in ((1 - 1e-3, True), (1 + 1e-3, False)):
        other = ufm.ClassPrior([40, 40, count * factor, count * factor])
        size = rank_and_scales(ufm.UnconstrainedFeatures(0.03, 0.03), other, loss, bias)[1][1]
        assert (abs(size) < 1e-8) == is_collapsed
    strong = collapse_thresholds(ufm.UnconstrainedFeatures(5.0, 5.0), prior)
    assert strong.groups[1].critical_count == np.inf


def test_kappa_of_a_hinge_is_that_of_the_collapsed_optimum():
    found = collapse_thresholds(
        ufm.UnconstrainedFeatures(0.06, 0.06), ufm.ClassPrior([40, 40, 2, 2]), ufm.SquaredHinge()
    )
    assert found.groups[1].is_collapsed
    assert found.groups[1].kappa != pytest.approx(1.0, rel=0.1)


def test_the_critical_strength_of_a_hinge_is_a_fixed_point():
    """Its kappa depends on the logits, and so on the strength itself."""
    prior, hinge = ufm.ClassPrior([40, 40, 2, 2]), ufm.SquaredHinge()
    scale = collapse_thresholds(ufm.UnconstrainedFeatures(0.06, 0.06), prior, hinge).groups[1].critical_scale
    for factor, is_collapsed in ((1 - 1e-3, False), (1 + 1e-3, True)):
        model = ufm.UnconstrainedFeatures(scale * factor, scale * factor)
        assert (abs(rank_and_scales(model, prior, hinge, None)[1][1]) < 1e-8) is is_collapsed


def test_what_is_merged_is_what_the_geometry_says():
    found = collapse_thresholds(ufm.LayerPeeled(0.4, 0.4), ufm.ClassPrior([50, 50, 1, 1, 1]))
    assert found.merged == ((2, 3, 4),)
    assert [g.is_collapsed for g in found.groups] == [False, True]


@pytest.mark.parametrize(
    ("loss", "bias", "extra"),
    [("ce", None, (-1, 0)), ("mse", "free", (-1, 0)), ("bce", None, (0, 1)), ("mse", None, (0,))],
)
@pytest.mark.parametrize("energy", [0.3, 1.0])
@pytest.mark.sample(4)
def test_in_a_tail_the_rank_counts_the_classes_that_have_a_direction(loss, bias, extra, energy):
    prior = ufm.ClassPrior.long_tailed(5, 100.0)
    found = collapse_thresholds(ufm.LayerPeeled(energy, energy), prior, loss, bias)
    kept = sum(not g.is_collapsed for g in found.groups)
    assert found.rank - kept in extra
    assert found.order == tuple((k,) for k in range(4, -1, -1))


def test_in_a_tail_of_mean_squared_error_the_criterion_is_exact():
    prior = ufm.ClassPrior.long_tailed(5, 30.0)
    found = collapse_thresholds(ufm.LayerPeeled(0.4, 0.4), prior, "mse")
    for group in found.groups[1:]:
        for side in (-1e-2, -1e-4, 1e-4, 1e-2):
            s = ufm.solve(scaled(found, group.critical_scale * (1 + side), 5), prior, "mse")
            k = group.classes[0]
            assert (s.logits[k, k] > 1e-9) == (side > 0)


def test_it_shows_itself_and_goes_to_json():
    found = collapse_thresholds(DECAY, THREE)
    assert "collapsed up to n" in str(found)
    assert "<table>" in found._repr_html_()
    assert json.loads(json.dumps(found.to_dict()))["groups"][2]["is_collapsed"] is bool(found.groups[2].is_collapsed)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: collapse_thresholds(BUDGET, ufm.ClassPrior([4, 2, 1]), ufm.CrossEntropy(scales=[1, 2, 1])),
            "^loss must treat",
        ),
        (lambda: collapse_thresholds(BUDGET, THREE, ufm.CrossEntropy(weights=[1, 2, 1, 1, 1, 1])), "^loss must treat"),
        (lambda: collapse_thresholds(BUDGET, THREE, ufm.FocalLoss()), "^loss must be convex"),
        (lambda: collapse_thresholds(ufm.DeepLinear((1, 1, 1)), THREE), "^architecture must have a nuclear-norm"),
        (lambda: collapse_thresholds(BUDGET, ufm.Labels(np.eye(3), [1, 1, 1])), "^prior must be"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(ValueError, match=message):
        call()
