"""Values of small convex problems of every kind, to ten digits, by default; more with ``UFM_SMALL_VALUES=1000``."""

from __future__ import annotations

import os
import time

import numpy as np
import pytest
from small_problems import cvxpy_value, small_problem

import ufm

SEEDS = range(int(os.environ.get("UFM_SMALL_VALUES", "24")))


@pytest.mark.filterwarnings("ignore:.*not a proven optimum:RuntimeWarning")
@pytest.mark.parametrize("seed", SEEDS)
def test_the_default_closes_its_gap_to_ten_digits(seed):
    architecture, prior, loss, bias = small_problem(seed)
    start = time.process_time()
    found = ufm.solve(architecture, prior, loss, bias=bias)
    assert time.process_time() - start < 10
    assert found.lower <= found.value
    if found.value < 1e-14:  # attained 0, or a risk that a free bias alone takes towards it
        return
    assert found.is_global is True
    assert found.value - found.lower <= 2e-10 * found.value
    assert found.value == pytest.approx(found.problem.objective(found.logits), rel=1e-12)
    if found.problem.is_constrained:
        assert found.problem.gauge(found.logits) <= found.problem.bound * (1 + 1e-12)


@pytest.mark.parametrize("seed", [1001, 1004, 1011, 1016])
def test_an_interior_point_method_agrees(seed):
    pytest.importorskip("cvxpy")
    problem = small_problem(seed)
    found = ufm.solve(*problem[:3], bias=problem[3])
    assert found.value == pytest.approx(cvxpy_value(*problem), rel=1e-7, abs=1e-8)


@pytest.mark.parametrize("loss", [ufm.CrossEntropy(smoothing=0.3), ufm.CrossEntropy(smoothing=0.1, scales=(1, 2, 0.5))])
@pytest.mark.parametrize("bias", [None, "free", 0.1])
@pytest.mark.sample(2)
def test_a_budget_that_is_idle_leaves_the_entropy_of_the_targets(loss, bias):
    """Smoothed labels have their optimum at finite logits, inside a large ball."""
    k, a = 3, loss.smoothing
    t = np.array([1 - a + a / k, *[a / k] * (k - 1)])
    found = ufm.solve(ufm.LayerPeeled(40.0, 40.0), ufm.ClassPrior([9, 3, 1]), loss, bias=bias)
    assert found.value == pytest.approx(-float(t @ np.log(t)), rel=1e-11)
    assert found.is_global is True
    assert found.multiplier == pytest.approx(0.0, abs=1e-6)
