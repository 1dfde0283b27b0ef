"""Numbers that the claims on spheres and targets compute, against values known by other means."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ufm.claims import heads, spheres, targets


def test_total_collapse_reads_what_users_report() -> None:
    """Batch 128 at temperature 0.07 and base 0.07/0.1: log(127) 0.1/0.07."""
    losses = spheres.supervised_contrastive(np.tile([[1.0], [0.0]], 128), np.repeat(np.arange(64.0), 2), 0.1)
    assert losses.mean() * 0.1 / 0.07 == pytest.approx(6.9203, abs=5e-5)


@pytest.mark.parametrize(("angles", "margin"), [((0, 90, 180, 270), 1.0), ((0, 120, 240), 1.5), ((0, 0, 180), 0.0)])
def test_margins_of_codes_on_the_circle(angles: tuple[float, ...], margin: float) -> None:
    code = np.array([[math.cos(math.radians(x)) for x in angles], [math.sin(math.radians(x)) for x in angles]])
    assert spheres.code_margin(code) == pytest.approx(margin, abs=1e-6)


def test_thresholds_by_hand() -> None:
    """One majority class, K_B = 2: q = 1/2 gives (2)(6.25 - 0.5)/(2 (0.25)(2.5)) = 9.2."""
    assert spheres.bounded_threshold(2, math.log(2) / 2) == pytest.approx(9.2)
    assert spheres.contrastive_threshold(2, 0.0) == pytest.approx(2.0)


def test_gain_of_two_tasks_is_that_of_the_general_formula() -> None:
    for c in (0.3, 0.8, 1.0, 1.3, 1.7):
        found = targets.task_gain(np.array([[1.0, 0.6], [0.6, 1.0]]), c)
        assert found == pytest.approx(targets.two_task_gain(1.0, 0.6, c), abs=1e-12)


def test_angle_of_uncorrelated_tasks() -> None:
    assert heads.two_tasks(0.0, 0.1)[2] == 0
    assert heads.two_tasks(0.5, 0.4)[2] == 1
    assert heads.two_tasks(0.5, 1e-300)[2] == pytest.approx((1 - math.sqrt(0.75)) / 0.5, abs=1e-3)
