"""Random odd calls of everything public; any number of them with ``python tests/helpers/odd_calls.py``."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import odd_calls
import odd_checks
import odd_entries
import pytest
from odd_calls import FAMILIES, judge
from odd_checks import disagree, sampled_below, wrong_by_definition

import ufm

#: Calls that went wrong once: a tolerance that proves nothing, starts and saddles without end, sizes that
#: leave float64, ...
#: Tilts without a minimum, scales of 1e67 beside 1, points that restarts do not make stationary, kinks: from 5473 on.
ONCE_WRONG = (81, 87, 312, 450, 782, 787, 828, 1134, 1142, 1147, 11875, 5473, 8810, 61242, 62727, 70281)
#: Those that take seconds, searches among them.
LONG = (5473, 8810, 62727)
#: Of single entries: certificates' rationals, solutions and priors that are none, sizes of frames, a status.
ENTRIES_ONCE_WRONG = (50, 61, 88, 271, 287, 551, 680, 706, 749, 751, 853, 1266, 1326, 1436)
#: Of single entries too: arguments that cannot be iterated, seeds that are floats, squares that leave float64.
ENTRIES_ONCE_WRONG += (5926, 6919, 7305, 8594, 8732, 21121, 22258, 22862, 23706)
#: And a bias that costs 5e-324, recorded steps without end.
ENTRIES_ONCE_WRONG += (5223, 60577)
#: In another dress: structured arrays, arrays for an infinite depth, durations, longdoubles beyond float64, tensors
#: without dimensions.
KINDS_ONCE_WRONG = (26, 116, 133, 265, 279, 413, 475, 481, 554, 799, 1126, 1337, 1664, 1755, 2223, 2600, 4535, 4547)
KINDS_ONCE_WRONG += (60687, 60949, 5281, 6993, 8231, 8233, 8621, 8842)

#: Of the newest: numbers of classes beyond every array, a class for an architecture, logits of nothing but 0.
NEWEST_ONCE_WRONG = (80342, 80460, 80494, 80604, 80790, 80847, 81830, 81916)


def complaints(seeds: Iterable[int], family: str) -> list[tuple[int, str]]:
    return [(seed, said) for seed in seeds for outcome, said in [judge(seed, family)] if outcome == "wrong"]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("first", range(0, 60, 10))
@pytest.mark.sample(12)
def test_an_odd_call_ends_in_an_answer_a_warning_or_an_error_that_names_arguments(family, first):
    assert not complaints(range(first, first + 10), family)


@pytest.mark.parametrize(
    "seed", [pytest.param(seed, marks=[pytest.mark.sample(0)] * (seed in LONG)) for seed in ONCE_WRONG]
)
def test_what_went_wrong_once(seed):
    assert not complaints([seed], "wild")


def test_entries_that_went_wrong_once():
    assert not complaints(ENTRIES_ONCE_WRONG, "entries")


def test_kinds_that_went_wrong_once():
    assert not complaints(KINDS_ONCE_WRONG, "kinds")


def test_newest_that_went_wrong_once():
    assert not complaints(NEWEST_ONCE_WRONG, "newest")


def test_checks_of_the_newest_notice_what_is_wrong():
    """A slope, a margin, a threshold and a value that are off are told."""
    given = {"architecture": ufm.LayerPeeled(0.6, 0.6), "num_majority": 2, "num_minority": 2}
    array = {**given, "over": {"E_W": [0.6, 0.5]}}
    found = ufm.threshold_array(**array)
    assert not odd_entries.elementwise(found, array)
    assert "alone" in odd_entries.elementwise(found, {**array, "over": {"E_W": [0.6, 0.51]}})
    threshold = ufm.collapse_threshold(**given)
    assert "slopes" in odd_entries.finite_slopes((threshold, {"E_W": float("nan")}), given)
    relu = {**given, "architecture": ufm.LayerPeeled(0.5, 0.5, features="nonnegative"), "loss": "ce", "bias": None}
    right = ufm.collapse_threshold(relu["architecture"], 2, 2)
    assert not odd_entries.slack_crossed(right, relu)
    for factor in (0.9, 1.1):
        wrong = dataclasses.replace(right, ratio=right.ratio * factor, lower=1.0, upper=9.0)
        assert "beside it" in odd_entries.slack_crossed(wrong, relu)
    near = ufm.geometry_bounds(s := ufm.solve(ufm.LayerPeeled(0.5, 0.5), ufm.ClassPrior([3, 2, 2])), gap=1e-6)
    assert not odd_entries.within(near, {"problem": s})
    assert "outside" in odd_entries.within(
        near, {"problem": ufm.solve(ufm.LayerPeeled(0.6, 0.5), ufm.ClassPrior([3, 2, 2]))}
    )


@pytest.mark.parametrize(
    "loss", [ufm.CrossEntropy(), ufm.MeanSquaredError(), ufm.BinaryCrossEntropy(), ufm.FocalLoss(), ufm.SquaredHinge()]
)
@pytest.mark.parametrize("function", ["values", "gradients"])
def test_losses_refuse_what_numpy_would_stretch(loss, function):
    """One column of targets for three of logits, a scalar, no array at all."""
    called = getattr(loss, function)
    for targets in (np.eye(3)[:, :1], np.array(1.0), np.eye(3)[0], [[1.0]], 1.0):
        with pytest.raises((TypeError, ValueError), match="targets"):
            called(np.zeros((3, 3)), targets)
    with pytest.raises(ValueError, match="logits"):
        called(np.zeros(3), np.zeros(3))


def test_the_same_value_in_another_dress_is_told():
    """The kinds try what they should: both dresses that mean the value and such that do not."""
    rng = odd_calls.random.Random(0)
    drawn = [odd_calls.odd_kinds.dressed(rng, value) for value in (3, 0.5, np.eye(2), [1.0, 2.0]) for _ in range(40)]
    same = [worn for worn, kept in drawn if kept]
    assert 40 < len(same) < 120
    assert len({type(worn) for worn, _ in drawn}) > 25


def test_a_wrong_answer_would_be_noticed():
    """The reference is no copy: a value, a bound and a factor that are off by a thousandth are told."""
    s = ufm.solve(ufm.LayerPeeled(0.5, 0.5), ufm.ClassPrior([3, 2, 2]))
    assert not wrong_by_definition(s)
    assert "by definition" in wrong_by_definition(dataclasses.replace(s, value=1.001 * s.value))
    other = ufm.solve(ufm.LayerPeeled(0.501, 0.5), ufm.ClassPrior([3, 2, 2]))
    assert "do not meet" in disagree(s, other, "another problem")
    lifted = dataclasses.replace(s, lower=10 * s.value)
    assert "below the lower bound" in sampled_below(lifted, np.random.default_rng(0))


def test_every_public_function_is_called():
    """What ``ufm`` offers to be called is drawn by one family or the other; the rest is listed with the reason."""
    files = (odd_calls.__file__, odd_entries.__file__, odd_checks.__file__)
    called = set(re.findall(r"ufm\.(\w+)", "".join(Path(file).read_text(encoding="utf-8") for file in files)))
    results = {"BatchSolution", "Certificate", "Claim", "EtfBoundary", "Hysteresis", "Solution", "Status", "Threshold"}
    bases = {"Architecture", "Loss", "Scope"}
    of_results = {"certify_all", "save_phase_diagram", "phase_boundaries", "plot_phase_diagram"}  # in their own rooms
    assert set(ufm.__all__) - results - bases - of_results <= called
