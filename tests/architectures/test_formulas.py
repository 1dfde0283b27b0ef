"""Formulas of the architectures against what they are the least of, their differences, and their bounds."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

import ufm
from ufm.architectures import Factors, water_filling

S = (0.02, 0.3, 1.7, 6.0)
LAM = 0.3


def brute(architecture: Any, s: float) -> float:
    """The price of one singular value: the least over a of what its factors cost."""
    if isinstance(architecture, ufm.Residual):
        depth, c = architecture.depth, architecture.lambda_A
        costs = (
            (lambda a: LAM * s * math.exp(-a) + c * a * a / 2)
            if depth == math.inf
            else (lambda a: LAM * s * (1 + a) ** -depth + depth * c * a * a / 2)
        )
        return float(minimize_scalar(costs, bounds=(0, 60), method="bounded", options={"xatol": 1e-11}).fun)
    if isinstance(architecture, ufm.PenalisedDEQ):
        grid = np.linspace(0, architecture.rho, 200_001)
        return float((LAM * (1 - grid) * s + architecture.lambda_A / 2 * grid**2).min())
    m = architecture.num_factors  # each of the M factors takes s^{1/M} of the value, in the geometric mean of decays
    return m / 2 * math.prod(architecture.lambdas) ** (1 / m) * s ** (2 / m)


PRICES = {
    "residual 1": ufm.Residual(LAM, LAM, 0.2, depth=1),
    "residual 4": ufm.Residual(LAM, LAM, 0.2, depth=4),
    "flow": ufm.Residual(LAM, LAM, 0.2, depth=math.inf),
    "penalty": ufm.PenalisedDEQ(LAM, LAM, 0.8, lambda_A=0.4),
    "three factors": ufm.PenalisedDeepLinear((0.1, 0.2, 0.4)),
}


@pytest.mark.parametrize("name", PRICES)
class TestPrices:
    def test_the_price_is_the_least_cost(self, name):
        model = PRICES[name]
        assert [model.spectral_gauge(np.array([s])) for s in S] == pytest.approx([brute(model, s) for s in S], rel=1e-7)

    def test_slope_and_curvature_are_its_derivatives(self, name):
        model, h = PRICES[name], 1e-4
        for s in S:
            low, at, high = (model.spectral_gauge(np.array([x])) for x in (s * (1 - h), s, s * (1 + h)))
            assert float(model.slopes(np.array([s]))[0]) == pytest.approx((high - low) / (2 * h * s), rel=1e-6)
            bend = -(high - 2 * at + low) / (h * s) ** 2
            assert float(model.curvatures(np.array([s]))[0]) == pytest.approx(bend, rel=1e-4, abs=1e-6)

    def test_the_relaxation_touches_at_the_bound_and_lies_below(self, name):
        """Its slope times s is at most the price while the price is at most the bound, and equal where it is that."""
        model = PRICES[name]
        for most in S:
            upper = model.spectral_gauge(np.array([most]))
            relaxed = model.relaxation(3, upper)
            assert relaxed.strength * most == pytest.approx(upper, rel=1e-9)
            assert all(relaxed.strength * s <= model.spectral_gauge(np.array([s])) * (1 + 1e-9) for s in S if s < most)

    def test_shrinking_finds_the_least_of_distance_and_price(self, name):
        model, grid = PRICES[name], np.linspace(1e-6, 8, 801)
        prices = np.array([model.spectral_gauge(np.array([s])) for s in grid])
        for b, weight in ((0.3, 0.5), (2.0, 1.0), (7.0, 0.3)):
            found = float(model.shrunk(np.array([b]), weight)[0])
            cost = (found - b) ** 2 / (2 * weight) + (model.spectral_gauge(np.array([found])) if found > 0 else 0.0)
            assert cost <= min(((grid - b) ** 2 / (2 * weight) + prices).min(), b * b / (2 * weight)) + 1e-6


def test_factors_of_depth_multiply_and_share_the_cost():
    """Spectra multiply to s; decays times squares are equal, budgets are used in equal shares."""
    s = np.array([0.3, 2.0])
    decayed = ufm.PenalisedDeepLinear((0.1, 0.2, 0.4)).factor_spectra(s)
    assert decayed.prod(axis=0) == pytest.approx(s)
    shares = np.array([0.1, 0.2, 0.4])[:, None] * decayed**2
    assert shares == pytest.approx(np.broadcast_to(shares[0], shares.shape))
    budgeted = ufm.DeepLinear((0.5, 1.0, 3.0)).factor_spectra(s)
    assert budgeted.prod(axis=0) == pytest.approx(s)
    used = (budgeted**2).sum(axis=1) / np.array([0.5, 1.0, 3.0])
    assert used == pytest.approx(np.full(3, used[0]))


def test_where_depth_and_frobenius_budgets_are_convex():
    assert ufm.DeepLinear((1.0, 1.0, 1.0)).convex_form(rank=1) is not None
    assert ufm.DeepLinear((1.0, 1.0, 1.0)).convex_form(rank=2) is None
    deq = ufm.LinearDEQ(1.0, 1.0, 0.5, E_A=0.5)  # two directions at the bound use it up, three do not fit
    assert deq.convex_form(rank=2) == ufm.LinearDEQ(1.0, 1.0, 0.5)
    assert deq.convex_form(rank=3) is None


@pytest.mark.parametrize("rows", [1, 3])
def test_water_filling_is_the_best_of_random_fillings(rows):
    rng, cap, budget = np.random.default_rng(0), 0.8, 1.5
    sigma = np.sort(rng.random((rows, 4)) ** 3 * 5)[:, ::-1]
    a = water_filling(sigma, cap, budget)
    assert (a <= cap + 1e-12).all()
    assert (a**2).sum(axis=1) == pytest.approx(np.full(rows, budget))
    other = np.minimum(cap, rng.random((4000, 4)))
    other *= np.minimum(1, np.sqrt(budget / (other**2).sum(axis=1)))[:, None]
    assert ((other @ sigma.T).max(axis=0) <= (a * sigma).sum(axis=1) + 1e-12).all()


def test_gains_are_their_series():
    a, depth = 0.4, 3
    inverse = {
        "residual": (1 + a) ** -depth,
        "unrolled": 1 / (1 + a + a * a),
        "ode": math.exp(-a),
        "deq": 1 - a,
    }
    for kind, wanted in inverse.items():
        more = {} if kind in ("ode", "deq") else {"depth": depth}
        model = ufm.Gain(1.0, 1.0, 0.4, kind=kind, **more)
        assert float(model.inverse_gains(np.array([a]))[0]) == pytest.approx(wanted)
    assert ufm.Gain(1.0, 1.0, 0.4, kind="unrolled", depth=3).map_repeats == 2
    assert ufm.Gain(1.0, 1.0, 0.4, kind="residual", depth=3).map_repeats == 3


def test_factors_of_cones_and_bounded_norms_have_the_balance_that_is_asked():
    prior = ufm.ClassPrior([4, 1, 1])
    s = ufm.solve(ufm.LayerPeeled(0.5, 2.0, features="nonnegative"), prior)
    assert (np.linalg.norm(s.classifier) ** 2 / 3, np.linalg.norm(s.features) ** 2 / 3) == pytest.approx((0.5, 2.0))
    model = ufm.NormBounded(1.0, 3.0)
    factors = ufm.solve(model, prior).factors
    lengths = np.linalg.norm(factors.classifier, axis=1).max(), np.linalg.norm(factors.features, axis=0).max()
    assert lengths == pytest.approx((1.0, 3.0), rel=1e-6)


def test_weight_decay_charges_the_map():
    """``(lambda_W |W|^2 + lambda_H sum n_k |h_k|^2 + lambda_A |A|^2) / 2`` of factors with every part in use."""
    prior = ufm.ClassPrior([3, 2])
    model = ufm.PenalisedDEQ(0.1, 0.2, 0.5, lambda_A=0.3)
    parts = Factors(np.diag([1.0, 2.0]), np.array([[1.0, 0.5], [0.2, 3.0]]), 0.4 * np.eye(2))
    w, h, a = parts.classifier, parts.features, parts.equilibrium
    wanted = (0.1 * (w**2).sum() + 0.2 * ((h**2).sum(axis=0) * [3, 2]).sum() + 0.3 * (a**2).sum()) / 2
    assert model.decay(parts, prior) == pytest.approx(wanted)
