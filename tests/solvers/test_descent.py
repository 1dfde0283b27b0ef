"""Descents from many starts at once: they end where each ends alone; rows are what their points are."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize, rosen, rosen_der

import ufm
from ufm.architectures import water_filling
from ufm.problem import Problem
from ufm.solvers.search import Catalogue, Landscape, solve_search, starting_points
from ufm.solvers.search.descent import Limits, Queue, descents

PRIOR = ufm.ClassPrior([5, 2, 2, 1])
ARCHITECTURES = {
    "budget on A": ufm.LinearDEQ(0.6, 0.9, rho=0.9, E_A=0.5),
    "cap": ufm.LinearDEQ(0.6, 0.9, rho=0.5),
    "penalty on A": ufm.PenalisedDEQ(0.03, 0.05, rho=0.6, lambda_A=0.3),
    "three factors": ufm.DeepLinear((2.0, 3.0, 1.5)),
    "four decays": ufm.PenalisedDeepLinear((0.1, 0.1, 0.1, 0.1)),
    "residual": ufm.Residual(0.03, 0.05, 0.1, depth=2),
    "unrolled": ufm.Gain(0.6, 0.9, 0.4, kind="unrolled", depth=3),
    "weight decay": ufm.UnconstrainedFeatures(0.03, 0.05),
}


def banana(x):
    return np.array([rosen(row) for row in x]), np.array([rosen_der(row) for row in x])


def test_each_start_ends_where_it_ends_alone():
    starts = np.random.default_rng(0).normal(size=(7, 4))
    limits = Limits(steps=500, together=3)
    ends = {end.start: end for end in descents(banana, Queue(starts), limits)}
    assert sorted(ends) == list(range(7))
    for i, start in enumerate(starts):
        (alone,) = descents(banana, Queue([start]), limits)
        # how sums are ordered depends on the rows beside: the same basin, not the same bits
        np.testing.assert_allclose(ends[i].x, alone.x, atol=1e-5)
        assert np.abs(rosen_der(ends[i].x)).max() < 1e-5
        plain = minimize(rosen, start, jac=rosen_der, method="L-BFGS-B")
        assert ends[i].steps < 3 * plain.nit


def test_what_is_known_is_given_up_and_what_is_added_is_followed():
    queue = Queue([np.full(2, 3.0), np.full(2, -1.0)])
    seen = []

    def bowl(x):
        return ((x - 1) ** 4).sum(axis=1), 4 * (x - 1) ** 3

    limits = Limits(steps=200, look=1)
    for end in descents(bowl, queue, limits, known=lambda x, value: x[:, 0] < 0.9):
        seen.append((end.start, end.is_known))
        if len(seen) == 1:
            assert queue.add(np.full(2, 4.0)) == 2
    assert sorted(seen) == [(0, False), (1, True), (2, False)]


def test_limits_are_kept_and_values_that_are_none_are_backed_away_from():
    (end,) = descents(banana, Queue([np.array([-1.2, 1.0])]), Limits(steps=3))
    assert end.steps == 3

    def walled(x):
        inside = (np.abs(x) < 1).all(axis=1)
        return np.where(inside, (x**2).sum(axis=1), np.nan), np.where(inside[:, None], 2 * x, np.nan)

    (end,) = descents(walled, Queue([np.array([0.99, -0.5])]), Limits(steps=50))
    np.testing.assert_allclose(end.x, 0, atol=1e-7)


def test_nothing_to_do():
    assert list(descents(banana, Queue([]), Limits(steps=3))) == []


@pytest.mark.parametrize("loss", ["ce", "mse", "bce", ufm.CrossEntropy(weights=[1, 2, 3, 4]), ufm.SquaredHinge(1.0)])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_rows_are_what_each_point_is_alone(name, loss):
    problem = Problem.of(ARCHITECTURES[name], PRIOR, loss, None if name in ("budget on A", "unrolled") else 0.2)
    landscape = Landscape(problem, 3)
    x = np.random.default_rng(1).normal(size=(5, landscape.size))
    values, gradients = landscape.rows(x)
    for row, value, gradient in zip(x, values, gradients, strict=True):
        alone, slope = landscape(row)
        assert value == pytest.approx(alone, rel=1e-13)
        np.testing.assert_allclose(gradient, slope, rtol=1e-10, atol=1e-14)
        bias = row[len(row) - 4 :] if problem.bias is not None else np.zeros(4)
        decay = (problem.bias or 0.0) / 2 * bias @ bias
        if problem.is_constrained:
            z = landscape._evaluate(row[None])[0][0] / problem.weights
            risk = problem.loss.value(z + bias[:, None], PRIOR.probabilities) + decay
            assert np.exp(alone) + landscape._shift == pytest.approx(risk, rel=1e-12)


@pytest.mark.parametrize("name", ["three factors", "four decays"])
def test_empty_terms_have_nothing_but_their_diagonal(name):
    landscape = Landscape(Problem.of(ARCHITECTURES[name], PRIOR), 3)
    x = np.random.default_rng(2).normal(size=landscape.size)
    p, q, t = landscape.split(x)  # views
    p[:, 1], q[1], t[1] = 0.0, 0.0, 0.0
    n, step = len(x), 1e-5
    every = np.array([landscape(x + step * e)[1] - landscape(x - step * e)[1] for e in np.eye(n)]) / (2 * step)
    np.testing.assert_allclose(landscape.hessian(x), (every + every.T) / 2, atol=1e-8)
    values, vectors = landscape.curvature(x)
    assert (np.diff(values) >= 0).all()
    np.testing.assert_allclose(vectors * values @ vectors.T, landscape.hessian(x), atol=1e-12)
    p[0, 1] = 1.0  # no longer empty
    assert not landscape._idle(x).any()


def test_water_filling_of_rows():
    rng = np.random.default_rng(0)
    for size in (1, 4, 7):
        for cap, budget in [(0.9, 0.25), (0.3, 0.25), (0.9, 40.0), (0.5, 1.0)]:
            sigma = rng.exponential(size=(6, size)) * rng.choice([0.0, 1.0, 1e-200, 1e3], size=(6, size))
            rows = [water_filling(row, cap, budget) for row in sigma]
            np.testing.assert_allclose(water_filling(sigma, cap, budget), rows, rtol=1e-13, atol=1e-15)
            assert (water_filling(sigma[:, None], cap, budget)[:, 0] == water_filling(sigma, cap, budget)).all()


def test_starts_together_find_what_they_find_one_by_one():
    problem = Problem.of(ufm.LinearDEQ(1, 1, rho=0.95, E_A=0.8), ufm.ClassPrior.step(3, 3, 5))
    together = solve_search(problem, starts=16)
    landscape = Landscape(problem, problem.max_rank)
    alone = Catalogue(landscape, 3000)
    for y in starting_points(problem, problem.max_rank, 16, np.random.default_rng(0)):
        alone.descend(landscape.at(y))
    minima = alone.minima()
    assert [m.value for m in together.local_minima] == pytest.approx([m.value for m in minima], rel=1e-12)
    assert sum(m.share for m in together.local_minima) == pytest.approx(1.0)
    # a start near the boundary of two basins may go either way
    assert all(abs(m.share - o.share) < 0.3 for m, o in zip(together.local_minima, minima, strict=True))
