"""Formulas of the criterion and of critical counts and scales, each against its own definition, without a solver."""

from __future__ import annotations

import math

import numpy as np
import pytest

import ufm
from ufm.problem import Problem
from ufm.thresholds import general
from ufm.thresholds.criterion import (
    GroupMargin,
    check_alike,
    check_criterion,
    checked_members,
    collapsed_logits,
    group_margin,
    kappa,
)
from ufm.thresholds.general import NO_MINORITY, Family, _is_idle
from ufm.thresholds.groups import CollapseThresholds, GroupThreshold, _Family, _fixed_point, _neighbour, _root
from ufm.two_groups.thresholds import Threshold

DECAY = ufm.UnconstrainedFeatures(0.1, 0.1)


def test_a_group_at_equality_has_collapsed_and_just_above_it_has_not():
    assert GroupMargin((0, 1), 1.0, 0.25, 0.25).is_collapsed
    assert not GroupMargin((0, 1), 1.0, 0.25 * (1 + 1e-12), 0.25).is_collapsed
    assert GroupMargin((0, 1), 1.0, 0.3, 0.1).margin == pytest.approx(0.2)


@pytest.mark.parametrize("loss", ["ce", "mse", ufm.CrossEntropy(smoothing=0.3)])
def test_kappa_is_the_slope_towards_one_other_class(loss):
    """By differences: a step from the class's own logit to one other of a group of three, its logits equal."""
    problem = Problem.of(DECAY, ufm.ClassPrior([9, 2, 2, 2]), loss)
    z, h = collapsed_logits(np.arange(16.0).reshape(4, 4) / 5, [1, 2, 3]), 1e-6
    step = np.zeros((4, 4))
    step[2, 1], step[1, 1] = h, -h
    columns = [problem.loss.values(z + sign * step, problem.targets)[1] for sign in (1, -1)]
    assert kappa(problem, z, [1, 2, 3], columns=[1]) == pytest.approx((columns[0] - columns[1]) / (2 * h), rel=1e-7)


def test_kappa_sees_the_bias_that_is_best():
    """A squared hinge's slope depends on the logits, and so on the bias beside them."""
    prior, hinge = ufm.ClassPrior([9, 2, 2]), ufm.SquaredHinge(1.0)
    problem, z = Problem.of(DECAY, prior, hinge, "free"), np.diag([2.0, 0.0, 0.0])
    shifted = z + problem.best_bias(z)[:, None]
    assert np.abs(problem.best_bias(z)).max() > 0.1
    assert kappa(problem, z, [1, 2]) == pytest.approx(kappa(Problem.of(DECAY, prior, hinge), shifted, [1, 2]))


def test_losses_that_tell_classes_apart_are_refused_however_little():
    for scales in ((1.0, 1.0, 1.001), (1.0, 1.001, 1.0)):
        loss = ufm.CrossEntropy(scales=scales)
        with pytest.raises(ValueError, match="loss must treat the classes of a group alike"):
            check_criterion(Problem.of(DECAY, ufm.ClassPrior([4, 1, 1]), loss), [1, 2])
        with pytest.raises(ValueError, match="loss must treat classes 1 and 2"):
            check_alike(Problem.of(DECAY, ufm.ClassPrior([4, 2, 1]), loss), 1, 2)


@pytest.mark.parametrize("members", [[1], [1, 1], [0, 3], "01", 3, [0.5, 1]])
def test_members_that_are_no_group(members):
    with pytest.raises((ValueError, TypeError), match="members"):
        checked_members(members, 3)


def test_the_critical_count_solves_its_equation():
    """``sqrt(n) kappa = lam (rest + K_b n)`` by its smaller root; none where lam is too large."""
    prior = ufm.ClassPrior([30, 30, 3, 3])
    for lam in (0.02, 0.04, 0.045):
        n = _Family(Problem.of(ufm.UnconstrainedFeatures(lam, lam), prior), None)._count((2, 3), 1.0)
        assert math.sqrt(n) == pytest.approx(lam * (60 + 2 * n))
        assert n < 30
    assert _Family(Problem.of(ufm.UnconstrainedFeatures(0.046, 0.046), prior), None)._count((2, 3), 1.0) == math.inf


def test_the_critical_strength_is_gain_over_root_count():
    found = _Family(Problem.of(DECAY, ufm.ClassPrior([30, 30, 3, 3])), None)._strength((2, 3), 1.0)
    assert found == pytest.approx(math.sqrt(3) / 66)


def test_roots_and_fixed_points():
    assert _root(lambda x: x - 3.0, 0.0) == pytest.approx(math.exp(3.0))
    assert _root(lambda x: x + 3.0, 0.0) == pytest.approx(math.exp(-3.0))
    assert (_root(lambda x: -1.0, 0.0), _root(lambda x: 1.0, 0.0)) == (math.inf, 0.0)
    assert _fixed_point(lambda x: math.sqrt(2 * x), 1.0) == pytest.approx(2.0)


def test_a_fixed_point_is_found_at_once_where_nothing_depends_on_it():
    asked = []

    def constant(x):
        asked.append(x)
        return 2.0

    assert _fixed_point(constant, 2.0) == 2.0
    assert asked == [2.0]


@pytest.mark.parametrize("end", [0.0, math.inf])
def test_a_fixed_point_may_lie_at_an_end(end):
    assert _fixed_point(lambda x: end, 1.0) == end
    assert _fixed_point(lambda x: pytest.fail("asked at an end"), end) == end


def test_neighbours_in_frequency():
    prior = ufm.ClassPrior([5, 20, 1, 10])
    assert [_neighbour(prior, i) for i in range(4)] == [2, 3, 0, 0]


def test_the_first_to_collapse_comes_first():
    """Budgets shrink: the largest critical radius. Weight decay grows: the smallest critical strength."""
    groups = tuple(GroupThreshold((i,), 1.0, 1.0, 0.1, 0.2, True, scale, None) for i, scale in enumerate((2.0, 1.0)))
    for constrained, wanted in ((True, ((0,), (1,))), (False, ((1,), (0,)))):
        assert CollapseThresholds(groups, 1.0, 0.1, (), ufm.phases.Phase.NONE, 1, constrained).order == wanted


def test_idle_budgets_are_told_from_active_ones():
    """MSE alone can be fitted within budgets; cross-entropy uses whatever it gets."""
    large, small = ufm.LayerPeeled(9.0, 9.0), ufm.LayerPeeled(0.1, 0.1)
    assert _is_idle(Family(large, 2, 2, ufm.MeanSquaredError(), None, None).solve)
    assert not _is_idle(Family(small, 2, 2, ufm.MeanSquaredError(), None, None).solve)


@pytest.mark.parametrize("ratio", [1.0, NO_MINORITY])
def test_idle_at_either_end_is_idle(ratio):
    """Every column fits, or the majority does where the minority counts for nothing."""
    idle, active = (ufm.solve(ufm.LayerPeeled(e, e), ufm.ClassPrior([1, 1, 1]), "mse") for e in (9.0, 0.1))
    assert _is_idle(lambda at: idle if at == ratio else active)


@pytest.mark.parametrize(
    ("k_a", "k_b", "bias"), [(4, 3, None), (3, 20, None), pytest.param(6, 6, 0.3, marks=pytest.mark.sample(0))]
)
def test_budgets_idle_at_every_ratio_never_collapse_a_group(k_a, k_b, bias):
    """With smoothing the least risk of every column lies at logits of its own, which fit or not whatever R is."""
    loss, k = ufm.CrossEntropy(smoothing=0.1), k_a + k_b
    needed = math.log1p(0.9 * k / 0.1) * (k - 1) / k
    for excess, share in ((1.01, 1.0), (2.0, 1.0), (2.07, 3.06)):
        large = ufm.LayerPeeled(excess * needed * share, excess * needed / share)
        assert ufm.collapse_threshold(large, k_a, k_b, loss=loss, bias=bias).ratio == math.inf
    small = ufm.LayerPeeled(0.3 * needed, 0.3 * needed)
    assert 1 < ufm.collapse_threshold(small, 2, 2, loss=loss).ratio < 1e4


def test_why_a_threshold_has_no_derivative():
    for ratio in (1.0, math.inf):
        with pytest.raises(ValueError, match="must lie between 1 and infinity"):
            Threshold(ratio, ratio, ratio).derivative
    with pytest.raises(ValueError, match="was bisected"):
        Threshold(2.0, 2.0, 2.0).derivative


def test_the_price_is_strength_times_the_root_of_the_groups_own_count():
    s = ufm.solve(ufm.UnconstrainedFeatures(0.01, 0.01), ufm.ClassPrior([30, 30, 4, 4]))
    found = group_margin(s, [2, 3])
    assert (found.price, found.gain) == pytest.approx((0.01 * 2, 4 / 68))


def test_a_tail_is_no_exact_collapse():
    assert [phase.is_exact for phase in ufm.phases.Phase] == [False, True, True, False]


def test_a_bisected_threshold_holds_the_closed_form_in_its_bracket(monkeypatch):
    """Where Newton's method on the branch finds nothing."""
    monkeypatch.setattr(general, "_newton", lambda family, solution: None)
    model = ufm.LayerPeeled(0.6, 0.6)
    found = general.general_threshold(Family(model, 2, 2, ufm.CrossEntropy(), None, None))
    assert found.lower < ufm.collapse_threshold(model, 2, 2).ratio < found.upper < found.lower * (1 + 1e-8)
    slopes, exact = found.derivative, ufm.collapse_threshold(model, 2, 2).derivative
    assert {name: slopes[name] for name in exact} == pytest.approx(exact, rel=1e-5)


def test_a_step_that_leads_nowhere_leaves_the_threshold_to_bisection(monkeypatch):
    """A Jacobian that is nearly singular sends logarithms to where float64 holds no exponential."""
    monkeypatch.setattr(general.Branch, "_differences", lambda self, x, setting: np.diag([1e-250] * (len(x) - 1) + [1]))
    found = general.general_threshold(Family(ufm.LayerPeeled(0.6, 0.6), 2, 2, ufm.CrossEntropy(), None, None))
    assert found.ratio == pytest.approx(ufm.collapse_threshold(ufm.LayerPeeled(0.6, 0.6), 2, 2).ratio, rel=1e-8)
