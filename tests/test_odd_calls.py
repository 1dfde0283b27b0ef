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
ONCE_WRONG = (81, 87, 312, 450, 782, 787, 828, 1134, 1142, 1147, 11875)
#: Of single entries: certificates' rationals, solutions and priors that are none, sizes of frames, a status.
ENTRIES_ONCE_WRONG = (50, 61, 88, 271, 287, 551, 680, 706, 749, 751, 853, 1266, 1326, 1436)


def complaints(seeds: Iterable[int], family: str) -> list[tuple[int, str]]:
    return [(seed, said) for seed in seeds for outcome, said in [judge(seed, family)] if outcome == "wrong"]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("first", range(0, 60, 10))
def test_an_odd_call_ends_in_an_answer_a_warning_or_an_error_that_names_arguments(family, first):
    assert not complaints(range(first, first + 10), family)


@pytest.mark.parametrize("seed", ONCE_WRONG)
def test_what_went_wrong_once(seed):
    assert not complaints([seed], "wild")


def test_entries_that_went_wrong_once():
    assert not complaints(ENTRIES_ONCE_WRONG, "entries")


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
