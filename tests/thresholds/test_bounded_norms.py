"""R* with bounded norms: against the solver, the closed form of one majority class, and the dual's prices."""

from __future__ import annotations

import math

import numpy as np
import pytest

import ufm
from ufm.gauges import gamma2_polar
from ufm.thresholds.bounded_norms import merged_point, norm_bounded_threshold


@pytest.mark.parametrize(("k_a", "k_b", "size"), [(2, 2, 1.0), (4, 3, 0.6)])
def test_the_point_at_the_threshold_has_prices_that_are_equal_to_the_pull(k_a, k_b, size):
    ratio = ufm.collapse_threshold(ufm.NormBounded(size, 1.0), k_a, k_b).ratio
    solution = ufm.solve(ufm.NormBounded(size, 1.0), ufm.ClassPrior([ratio] * k_a + [1.0] * k_b))
    prices = gamma2_polar(-solution.problem.gradient(solution.logits))
    pull = solution.problem.class_prior.probabilities[-1]
    assert math.sqrt(prices.alpha[-1] * prices.beta[-1]) == pytest.approx(pull, rel=1e-5)


def test_the_logits_of_a_merged_point_are_those_of_the_solver_beyond_the_threshold():
    # R(0.3) = 30 or so, beyond R* = 22.5
    point = merged_point(1.0, 2, 2, 0.34)
    assert point.margin > 0
    ratio = math.exp(point.log_ratio)
    logits = ufm.solve(ufm.NormBounded(1.0, 1.0), ufm.ClassPrior([ratio, ratio, 1.0, 1.0])).logits
    r = math.sqrt((1 - point.x**2) * (1 - point.y**2))
    expected = [point.x * point.y + r, point.x * point.y - r, -point.y, -point.x, 1.0]
    shift = 0.5 * (logits[2, 2] + logits[3, 2]) - 1.0
    found = [logits[0, 0], logits[1, 0], logits[2, 0], logits[0, 2] - shift, 1.0]
    found[:3] = (np.array(found[:3]) - found[2] - point.y).tolist()
    assert found == pytest.approx(expected, abs=1e-4)


def test_it_grows_with_the_norms_and_falls_to_one_or_to_two_clusters():
    values = [norm_bounded_threshold(t, 3, 3) for t in (1e-6, 1e-3, 0.1, 1.0, 10.0, 60.0)]
    assert values == sorted(values)
    assert 1 < values[0] < 1.01
    # K_A = 2, K_B = 10 as a b -> 0: (K_A + K_B)^2/(2 K_A^2) - 1
    assert norm_bounded_threshold(1e-7, 2, 10) == pytest.approx(17, rel=1e-5)


@pytest.mark.parametrize(("k_a", "k_b", "size"), [(2, 3, 0.03), (2, 6, 0.3), (3, 2, 1e-6), (3, 6, 0.1), (10, 2, 1e-3)])
def test_it_is_where_the_margin_of_merged_points_changes_its_sign(k_a, k_b, size):
    """Merged points one after the other, those of R >= 1: the margin has one sign on either side of R*."""
    points = [merged_point(size, k_a, k_b, x) for x in np.linspace(1e-3, 1 - 1e-6, 4000)]
    there = [(point.log_ratio, point.margin) for point in points if 0 <= point.log_ratio < math.inf]
    star = math.log(norm_bounded_threshold(size, k_a, k_b))
    assert any(margin < 0 for _, margin in there)
    apart = max(ratio for ratio, margin in there if margin < 0)
    together = min((ratio for ratio, margin in there if margin >= 0), default=math.inf)
    assert apart <= star * (1 + 1e-9) + 1e-12
    assert star <= together + 1e-12
    assert together - apart < 2e-2 * (1 + star) or together == math.inf


def test_odd_input_is_refused_by_name():
    with pytest.raises(ValueError, match="num_minority"):
        ufm.collapse_threshold(ufm.NormBounded(1.0, 1.0), 2, 1)
    with pytest.raises(ValueError, match=r"num_samples plays no role .*NormBounded"):
        ufm.collapse_threshold(ufm.NormBounded(1.0, 1.0), 2, 2, num_samples=100)
    with pytest.raises(ValueError, match="beyond the range of float64"):
        ufm.collapse_threshold(ufm.NormBounded(30.0, 30.0), 2, 2)
    with pytest.raises(ValueError, match=r"num_samples plays no role .*NormBounded"):
        ufm.collapse_threshold(ufm.NormBounded(1.0, 1.0), 2, 2, loss="bce", num_samples=100)
