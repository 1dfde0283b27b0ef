"""Strategies for labels, losses, biases and their problems draw what they promise, and show what can be pasted."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from effort import examples
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis.vendor.pretty import pretty

import ufm
from ufm.losses import get_loss
from ufm.problem import Problem
from ufm.testing import assert_optimal, biases, labels, losses, open_problems

SETTINGS = settings(max_examples=examples(40), deadline=None, derandomize=True)
FIND = settings(  # no shrinking: that there is one is what is asked
    SETTINGS, max_examples=500, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
)
NAMES = {name: getattr(ufm, name) for name in ufm.__all__ if name[0].isupper()}


def exists(strategy, condition):
    return find(strategy, condition, settings=FIND)


@SETTINGS
@given(labels())
def test_labels_can_be_pasted(drawn):
    assert 2 <= drawn.num_classes <= 5
    assert 1 <= drawn.num_columns <= 6
    assert drawn.counts.max() / drawn.counts.min() <= 100 * (1 + 1e-12)
    assert eval(pretty(drawn), dict(NAMES)) == drawn


@pytest.mark.parametrize(
    ("kind", "holds"),
    [
        ("one-hot", lambda t: (t.sum(axis=0) == 1).all() and set(t.ravel()) <= {0, 1}),
        ("multi-label", lambda t: set(t.ravel()) <= {0, 1}),
        ("soft", lambda t: np.allclose(t.sum(axis=0), 1) and t.min() >= 0),
        ("regression", lambda t: np.abs(t).max() <= 2),
    ],
)
def test_kinds_of_targets(kind, holds):
    @settings(SETTINGS, max_examples=examples(20))
    @given(labels(kinds=[kind]))
    def check(drawn):
        assert holds(drawn.targets)

    check()


def test_hard_cases_are_among_them():
    assert exists(
        labels(kinds=["multi-label"]), lambda x: not x.targets.sum(axis=0).all()
    )  # a column that asks nothing
    assert exists(labels(), lambda x: x.num_columns > 1 and len({*map(tuple, x.targets.T)}) < x.num_columns)
    assert exists(labels(), lambda x: x.num_columns > x.num_classes)
    assert exists(labels(kinds=["regression"]), lambda x: x.targets.min() < 0)


@SETTINGS
@given(losses(num_classes=3, num_columns=3, convex=False))
def test_losses_can_be_pasted_and_take_targets(loss):
    assert eval(pretty(loss), dict(NAMES)) == loss
    assert np.isfinite(get_loss(loss).value(np.zeros((3, 3)), np.full(3, 1 / 3)))


def test_losses_fit_their_targets():
    @settings(SETTINGS, max_examples=examples(20))
    @given(losses(targets=-np.eye(3)))
    def check(loss):
        loss.values(np.zeros((3, 3)), -np.eye(3))

    check()
    assert not exists(losses(convex=False), lambda loss: not loss.is_convex).is_convex
    assert {type(exists(biases(), lambda b, t=t: isinstance(b, t))) for t in (float, str)} == {float, str}


@settings(SETTINGS, max_examples=examples(25))
@given(open_problems(max_classes=3))
def test_problems_are_solved_and_their_optimum_is_not_trivial(problem):
    assert isinstance(problem, Problem)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        solution = ufm.solve(problem.architecture, problem.prior, problem.loss, bias=_said(problem.bias))
    if solution.is_global:
        assert_optimal(solution)
    else:  # 0 to rounding, or a free bias that takes the risk towards what it does not attain
        assert solution.value < 1e-12 or solution.gap < 1e-5 * solution.value


def _said(bias):
    return "free" if bias == 0 else bias


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: labels(max_classes=1), "max_classes"),
        (lambda: labels(max_columns=100), "max_columns"),
        (lambda: labels(kinds=["hot"]), "kinds"),
        (lambda: labels(kinds=[]), "kinds"),
        (lambda: losses(num_classes=1), "num_classes"),
        (lambda: open_problems(max_classes=1), "max_classes"),
    ],
)
def test_arguments_are_checked_at_the_call(call, name):
    with pytest.raises(ValueError, match=name):
        call()
