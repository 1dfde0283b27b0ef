"""The search: known optima, the factors as an independent method, optimality conditions, bounds; mutants of each."""

from __future__ import annotations

import math
import time
import warnings

import numpy as np
import pytest
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st

import ufm
from ufm.problem import Problem
from ufm.solvers import search
from ufm.solvers.direct import solve_direct
from ufm.solvers.search import Landscape, relaxed_lower_bound, solve_search
from ufm.testing import assert_feasible

SKEWED = ufm.ClassPrior([5, 2, 2, 1])
ARCHITECTURES = {
    "budget on A": ufm.LinearDEQ(0.6, 0.9, rho=0.9, E_A=0.5),
    "budget and cap": ufm.LinearDEQ(0.6, 0.9, rho=0.5, E_A=0.4),
    "penalty on A": ufm.PenalisedDEQ(0.03, 0.05, rho=0.6, lambda_A=0.3),
    "three factors": ufm.DeepLinear((2.0, 3.0, 1.5)),
    "four factors": ufm.DeepLinear((2.0, 3.0, 1.5, 2.5)),
    "two factors": ufm.LayerPeeled(0.6, 0.9),
    "weight decay": ufm.UnconstrainedFeatures(0.03, 0.05),
}
NONCONVEX = [name for name in ARCHITECTURES if name not in ("two factors", "weight decay")]
seeds = st.integers(0, 2**32 - 1)


# Known optima -------------------------------------------------------------------------------------------------------


def test_square_code_beats_the_etf_and_both_are_found():
    s = ufm.solve(ufm.LinearDEQ(1, 1, rho=0.95, E_A=0.5), ufm.ClassPrior.balanced(4), starts=30)
    assert s.method == "search"
    assert s.value == pytest.approx(math.log(1 + 2 * math.exp(-2) + math.exp(-4)), rel=1e-13)
    assert s.geometry.structure == "square"
    etf = {m.structure: m.value for m in s.local_minima}["simplex ETF"]
    assert etf == pytest.approx(math.log(1 + 3 * math.exp(-4 / (3 - math.sqrt(1.5)))), rel=1e-13)
    assert s.is_global is None
    assert 0 < s.lower < s.value
    np.testing.assert_allclose(np.linalg.eigvalsh(s.equilibrium), [0, 0, 0.5, 0.5], atol=1e-8)


def test_etf_wins_below_the_boundary_and_loses_above():
    """K = 4, tau = 4: the boundary lies near E_A = 0.31."""
    prior = ufm.ClassPrior.balanced(4)
    for budget, is_etf in [(0.25, True), (0.30, True), (0.33, False), (0.4, False)]:
        s = ufm.solve(ufm.LinearDEQ(1, 1, rho=0.95, E_A=budget), prior, starts=30)
        assert (s.geometry.structure == "simplex ETF") is is_etf, budget


def test_octahedron_is_a_minimum_for_six_classes():
    s = ufm.solve(ufm.LinearDEQ(1, 1, rho=0.95, E_A=0.8), ufm.ClassPrior.balanced(6), starts=40)
    found = {m.structure: m for m in s.local_minima}
    etf = math.log1p(5 * math.exp(-6 / (5 - math.sqrt(0.8 * 5))))
    octahedron = found["octahedron"]
    size = 6 / (3 - math.sqrt(3 * 0.8))
    np.testing.assert_allclose(octahedron.singular_values, [size] * 3 + [0] * 3, rtol=1e-6, atol=1e-8)
    # +-e_i with logits size/2 on the diagonal: itself, four orthogonal points, its antipode
    assert octahedron.value == pytest.approx(math.log1p(4 * math.exp(-size / 2) + math.exp(-size)), rel=1e-12)
    assert s.value < octahedron.value < etf


def test_imbalance_breaks_the_symmetry_within_groups():
    """K_A = K_B = 3, R = 5: the optimum is not invariant under the permutations of either group."""
    s = ufm.solve(ufm.LinearDEQ(1, 1, rho=0.95, E_A=0.8), ufm.ClassPrior.step(3, 3, 5), starts=40)
    diagonal = np.diagonal(s.logits)
    assert np.ptp(diagonal[:3]) > 0.1
    assert np.ptp(diagonal[3:]) > 0.1
    assert len(s.local_minima) > 1
    assert s.phase is None
    assert s.geometry.phase == "none"


def test_depth_collapses_the_minority_where_two_factors_do_not():
    prior = ufm.ClassPrior.step(3, 3, 5)
    deep = ufm.solve(ufm.DeepLinear((6.0, 6.0, 6.0)), prior, starts=40)
    shallow = ufm.solve(ufm.DeepLinear((6.0**1.5, 6.0**1.5)), prior)
    assert (deep.geometry.phase, shallow.geometry.phase) == ("partial", "none")
    assert deep.value > shallow.value
    assert deep.lower == pytest.approx(shallow.value, rel=1e-9)


def test_small_budgets_are_resolved_although_the_risk_hardly_varies():
    """One direction pays: the whole radius on the top singular pair of -G(0), to first order."""
    prior = ufm.ClassPrior.step(3, 3, 50)
    s = ufm.solve(ufm.LinearDEQ(1e-3, 1e-3, rho=0.9, E_A=0.5), prior, starts=10)
    problem = s.problem
    zero = np.zeros((6, 6))
    fall = 6e-3 / (1 - math.sqrt(0.5)) * np.linalg.norm(problem.gradient(zero), 2)
    assert problem.risk(zero) - s.value == pytest.approx(fall, rel=1e-2)
    assert [m.rank for m in s.local_minima] == [1]
    assert s.local_minima[0].stationarity <= 1e-9


def test_more_classes_than_any_proof_covers():
    s = ufm.solve(ufm.LinearDEQ(1, 1, rho=0.9, E_A=0.01), ufm.ClassPrior.balanced(18), starts=1)
    assert s.info["relaxation"] == "nuclear norm"
    assert s.geometry.structure == "simplex ETF"
    assert s.is_global is None


def test_idle_budget_under_mse_is_solved_exactly():
    s = ufm.solve(ufm.LinearDEQ(1, 1, rho=0.5, E_A=0.3), ufm.ClassPrior.step(3, 3, 5), "mse")
    assert (s.value, s.is_global, s.geometry.structure) == (0.0, True, "orthogonal frame")
    assert_feasible(s)


# An independent method ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", ["ce", "mse"])
@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.sample(3)
def test_agrees_with_descent_on_all_factors(name, loss):
    """W, A (not symmetric, not diagonal) and H, or all M factors, from random starts: neither finds better."""
    problem = Problem.of(ARCHITECTURES[name], SKEWED, loss)
    s = solve_search(problem, starts=40)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the gap stays open
        direct = solve_direct(problem, starts=10, max_iter=1000)
    assert s.value == pytest.approx(direct.value, rel=1e-6, abs=1e-12)
    assert_feasible(s)
    assert_feasible(direct)
    assert problem.objective(s.logits) == s.value
    assert s.lower <= s.value


@pytest.mark.parametrize("loss", ["ce", "mse"])
@pytest.mark.parametrize("name", ["two factors", "weight decay"])
def test_convex_problems_have_one_minimum_and_it_is_proved_global(name, loss):
    s = solve_search(Problem.of(ARCHITECTURES[name], SKEWED, loss), starts=20)
    best = ufm.solve(ARCHITECTURES[name], SKEWED, loss)
    assert s.value == pytest.approx(best.value, rel=1e-12)
    assert s.is_global is True
    assert len(s.local_minima) == 1
    assert s.multiplier == pytest.approx(best.multiplier, rel=1e-6)
    np.testing.assert_allclose(s.logits, best.logits, atol=1e-6)


# Optimality conditions ----------------------------------------------------------------------------------------------


def first_order_residual(problem, logits):
    """Distance of G from the gauge's normal cone at Z, by the formulas on the K x K logits.

    ``U_r^T G V_r = -mu diag(d Omega / d sigma)``; outside of both ranges ``|G_00|_2 <= mu (1 - a_0)``, where a_0 is
    what a further direction would get; no bound where the slope at 0 is infinite.
    """
    architecture = problem.architecture
    y = logits * problem.weights
    g = problem.gradient(logits) / problem.weights
    u, s, vt = np.linalg.svd(y)
    r = int((s > 1e-7 * s[0]).sum())
    if isinstance(architecture, ufm.DeepLinear):
        m = architecture.depth
        slope = s[:r] ** (2 / m - 1) * architecture.gauge(s[:r]) ** (1 - 2 / m)
        at_zero = math.inf if m > 2 else 1.0
    else:
        a = architecture.equilibrium_spectrum(np.append(s[:r], 0.0))
        slope, at_zero = 1 - a[:r], 1 - a[r]
    if problem.is_constrained:
        mu = -float(np.vdot(g, y)) / architecture.gauge(s[:r])
    else:
        mu = getattr(architecture, "slope", None) or problem.strength
    inside = u.T @ g @ vt.T
    inside[np.arange(r), np.arange(r)] += mu * slope
    outside = np.linalg.norm(inside[r:, r:], 2) if r < len(s) else 0.0
    inside[r:, r:] = 0
    return np.abs(inside).max() / mu, max(0.0, outside / mu - at_zero)


@pytest.mark.parametrize("loss", ["ce", "mse"])
@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.sample(7)
def test_every_minimum_listed_satisfies_the_optimality_conditions_on_the_logits(name, loss):
    problem = Problem.of(ARCHITECTURES[name], SKEWED, loss)
    s = solve_search(problem, starts=30)
    assert [m.value for m in s.local_minima] == sorted(m.value for m in s.local_minima)
    assert s.local_minima[0].value == s.value
    assert sum(m.share for m in s.local_minima) == pytest.approx(1)
    for m in s.local_minima:
        assert m.stationarity <= 1e-9
        assert m.is_minimum is True
        assert problem.objective(m.logits) == pytest.approx(m.value, rel=1e-14)
        if problem.is_constrained:
            assert problem.gauge(m.logits) <= problem.bound * (1 + 1e-12)
        if problem.is_constrained and problem.gauge(m.logits) < problem.bound * (1 - 1e-9):
            assert np.abs(problem.gradient(m.logits)).max() < 1e-9
            continue
        inside, outside = first_order_residual(problem, m.logits)
        assert inside < 1e-6
        assert outside < 1e-6
        # the same logits, shrunk by a per mille, fail
        assert first_order_residual(problem, 0.999 * m.logits)[0] > 1e-5


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("loss", ["ce", "mse"])
def test_gradient(name, loss):
    landscape = Landscape(Problem.of(ARCHITECTURES[name], SKEWED, loss), 3)
    rng = np.random.default_rng(0)
    for _ in range(3):
        x, direction = rng.normal(size=(2, landscape.size))
        ahead, behind = (landscape(x + t * direction)[0] for t in (1e-5, -1e-5))
        assert landscape(x)[1] @ direction == pytest.approx((ahead - behind) / 2e-5, rel=1e-6, abs=1e-9)
        problem = landscape.problem
        z = landscape.logits(x)
        if problem.is_constrained:
            assert problem.gauge(z) <= problem.bound * (1 + 1e-12)
        assert problem.objective(z) <= math.exp(landscape(x)[0]) * (1 + 1e-12) or loss == "mse"


@given(seeds, st.integers(2, 8), st.floats(-3, 3), st.sampled_from("CF"))
def test_one_pass_cross_entropy_is_the_loss(seed, k, log_size, order):
    rng = np.random.default_rng(seed)
    z = np.array(10**log_size * (rng.normal(size=(k, k)) + rng.choice([0, 5]) * np.eye(k)), order=order)
    pi = rng.dirichlet(np.ones(k))
    value, gradient = search.cross_entropy(z, pi)
    loss = Problem.of(ARCHITECTURES["two factors"], SKEWED).loss
    assert value == pytest.approx(loss.value(z, pi), rel=1e-13)
    np.testing.assert_allclose(gradient, loss.gradient(z, pi), rtol=1e-10, atol=1e-300)


@given(seed=seeds, name=st.sampled_from(sorted(ARCHITECTURES)))
@settings(max_examples=examples(30))
def test_the_parametrisation_reaches_any_logits_at_the_cost_of_the_gauge(seed, name):
    problem = Problem.of(ARCHITECTURES[name], SKEWED, "mse")
    landscape = Landscape(problem, 4)
    z = np.random.default_rng(seed).normal(size=(4, 4))
    if problem.is_constrained:
        z *= problem.bound / problem.gauge(z)
        x = landscape.at(z * problem.weights)
        np.testing.assert_allclose(landscape.logits(x), z, rtol=1e-9, atol=1e-10)
        assert math.exp(landscape(x)[0]) == pytest.approx(problem.risk(z), rel=1e-9)
    else:
        scaled = landscape.logits(landscape.at(z * problem.weights))
        np.testing.assert_allclose(scaled / np.linalg.norm(scaled), z / np.linalg.norm(z), atol=1e-9)
        assert problem.objective(scaled) == pytest.approx(
            math.exp(landscape(landscape.at(z * problem.weights))[0]), rel=1e-9
        )


# Lower bounds -------------------------------------------------------------------------------------------------------


@given(seed=seeds, name=st.sampled_from(NONCONVEX), loss=st.sampled_from(["ce", "mse"]))
@settings(max_examples=examples(60))
def test_lower_bound_is_below_every_feasible_point(seed, name, loss):
    problem = Problem.of(ARCHITECTURES[name], SKEWED, loss)
    rng = np.random.default_rng(seed)
    z = np.eye(4) + 0.5 * rng.normal(size=(4, 4)) * rng.choice([0, 1], size=4)
    if problem.is_constrained:
        z *= problem.bound / problem.gauge(z)
    value = problem.objective(z)
    assert relaxed_lower_bound(problem, value)[1] <= value * (1 + 1e-12)


@given(st.floats(0.01, 0.95), st.floats(0.01, 10), st.floats(0.01, 3), seeds)
@settings(max_examples=examples(60))
def test_chord_of_the_penalty_lies_below_it_up_to_the_upper_bound(rho, cost, upper, seed):
    architecture = ufm.PenalisedDEQ(0.2, 0.3, rho, cost)
    slope = architecture.relaxation(4, upper).strength
    grid = np.geomspace(1e-6, 1e6, 400)
    below = [s for s in grid if architecture.gauge(np.array([s])) <= upper]
    assert all(slope * s <= architecture.gauge(np.array([s])) * (1 + 1e-9) for s in below)
    # the slope at 0 in its place would not do
    assert slope <= architecture.slope
    # nor does the chord do further out: it is the best slope
    beyond = upper / slope * 1.5
    assert slope * beyond >= architecture.gauge(np.array([beyond])) * (1 - 1e-9)


def test_a_relaxation_with_a_wrong_constant_is_above_the_optimum():
    """Mutants: the gauge taken for the nuclear norm, or the cap forgotten, give bounds that the search refutes."""
    prior = ufm.ClassPrior.balanced(4)
    s = ufm.solve(ufm.LinearDEQ(1, 1, rho=0.95, E_A=0.5), prior, starts=20)
    assert ufm.solve(ufm.LayerPeeled(1, 1), prior).value > s.value
    assert ufm.solve(ufm.LinearDEQ(1, 1, math.sqrt(0.5)), prior).value < s.value
    p = ufm.PenalisedDEQ(0.02, 0.02, 0.8, 0.5)
    assert ufm.solve(ufm.UnconstrainedFeatures(p.slope, p.slope), SKEWED).value > ufm.solve(p, SKEWED, starts=20).value


def test_further_relaxations_can_be_added(monkeypatch):
    problem = Problem.of(ARCHITECTURES["budget on A"], SKEWED)
    plain = solve_search(problem, starts=5)
    assert plain.info["relaxation"] == "nuclear norm"
    monkeypatch.setitem(search.RELAXATIONS, "oracle", lambda problem, upper: plain.value * (1 - 1e-11))
    closed = solve_search(problem, starts=5)
    assert (closed.is_global, closed.info["relaxation"]) == (True, "oracle")
    monkeypatch.setitem(search.RELAXATIONS, "oracle", lambda problem, upper: plain.value * (1 - 1e-6))
    assert solve_search(problem, starts=5).is_global is None


def test_a_proof_for_a_small_budget_closes_the_gap():
    s = ufm.solve(ufm.LinearDEQ(1, 1, rho=0.95, E_A=0.05), ufm.ClassPrior.balanced(4), starts=10)
    assert s.is_global is True
    assert s.geometry.structure == "simplex ETF"
    assert s.value == pytest.approx(math.log1p(3 * math.exp(-4 / (3 - math.sqrt(0.15)))), rel=1e-12)


# The catalogue ------------------------------------------------------------------------------------------------------


def test_minima_are_one_up_to_permutations_of_classes_with_equal_counts_only():
    problem = Problem.of(ufm.LinearDEQ(1, 1, rho=0.95, E_A=0.8), ufm.ClassPrior.step(3, 3, 5))
    landscape = Landscape(problem, 5)
    catalogue = search.Catalogue(landscape, 2000)
    minimum = solve_search(problem, starts=10).logits
    first = catalogue.descend(landscape.at(minimum))
    within = [1, 2, 0, 5, 3, 4]
    assert catalogue.descend(landscape.at(minimum[np.ix_(within, within)])) == first
    across = [3, 4, 5, 0, 1, 2]
    point = catalogue.point(landscape.at(minimum[np.ix_(across, across)]))
    assert catalogue.known(point) is None
    assert catalogue.known(catalogue.point(landscape.at(1.01 * minimum + 0.01 * np.eye(6)))) is None


def test_saddles_are_left_downhill():
    """Started exactly at the ETF above the boundary of its stability, the descent finds better."""
    problem = Problem.of(ufm.LinearDEQ(1, 1, rho=0.95, E_A=1.0), ufm.ClassPrior.balanced(6))
    landscape = Landscape(problem, 5)
    catalogue = search.Catalogue(landscape, 2000)
    etf = landscape.at(np.eye(6) - 1 / 6)
    assert np.linalg.norm(landscape(etf)[1]) < 1e-12
    end = catalogue.points[catalogue.descend(etf)]
    assert catalogue.saddles >= 1
    assert end.is_minimum is True
    assert end.value < catalogue.points[0].value * (1 - 1e-6)
    assert catalogue.points[0].is_minimum is False


def test_an_idle_deep_network_with_terms_to_spare_is_at_no_minimum():
    """Under MSE a deep network with room left that fits one class exactly is stationary, with no negative curvature."""
    problem = Problem.of(ARCHITECTURES["three factors"], SKEWED, "mse")
    landscape = Landscape(problem, 4)
    point = landscape.at(np.diag([1.0, 0.0, 0.0, 0.0]))
    point[-1] = math.sqrt(
        2 * (problem.bound ** (2 / 3) - 1) * (point @ point) / 3
    )  # all of tau but what Z = e_1 e_1^T needs
    np.testing.assert_allclose(landscape.logits(point), np.diag([1.0, 0.0, 0.0, 0.0]), atol=1e-12)
    assert np.linalg.norm(landscape(point)[1]) < 1e-9
    assert np.linalg.eigvalsh(landscape.hessian(point))[0] > -1e-6
    catalogue = search.Catalogue(landscape, 2000)
    end = catalogue.points[catalogue.descend(point)]
    assert catalogue.points[0].is_minimum is False
    assert landscape(landscape.filled(point))[0] < landscape(point)[0]
    assert end.value < 0.9 * catalogue.points[0].value
    assert end.is_minimum is True


def test_seed_decides_and_starts_are_counted():
    problem = Problem.of(ARCHITECTURES["budget on A"], SKEWED)
    first, again = (solve_search(problem, starts=7, seed=3) for _ in range(2))
    np.testing.assert_array_equal(first.logits, again.logits)
    assert first.info["starts"] == 7
    assert {round(7 * m.share, 9) % 1 for m in first.local_minima} == {0.0}
    assert ufm.solve(ARCHITECTURES["budget on A"], SKEWED, starts=7, seed=3, dim=6).classifier.shape == (4, 6)


def test_few_iterations_are_reported():
    problem = Problem.of(ARCHITECTURES["budget on A"], SKEWED)
    with pytest.warns(RuntimeWarning, match="stationary to"):
        s = solve_search(problem, starts=1, max_iter=1)
    assert s.local_minima[0].stationarity > 1e-9
    assert s.is_global is None
    assert "warning" in s.info


@pytest.mark.parametrize(
    ("option", "value", "error"),
    [
        ("starts", 0, ValueError),
        ("starts", "many", TypeError),
        ("rank", 0, ValueError),
        ("tol", 0.0, ValueError),
        ("max_iter", -1, ValueError),
        ("seed", -1, ValueError),
        ("dim", 0, ValueError),
    ],
)
def test_bad_options(option, value, error):
    with pytest.raises(error, match=option):
        ufm.solve(ARCHITECTURES["budget on A"], SKEWED, **{option: value})


@pytest.mark.slow
def test_ten_classes_from_two_hundred_starts_within_a_minute():
    before = time.process_time()
    s = ufm.solve(ufm.LinearDEQ(1, 1, rho=0.95, E_A=0.8), ufm.ClassPrior.step(5, 5, 5), starts=200)
    assert time.process_time() - before < 60
    assert s.geometry.structure == "regular polygon (5) + simplex ETF (5)"
    assert max(m.stationarity for m in s.local_minima) <= 1e-9


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.sample(0)
def test_among_many_counts_the_best_minimum_hangs_on_no_seed(seed):
    """Seven classes of seven counts share three directions: which, a hundred starts alone seldom find."""
    counts = np.round(1000 / np.arange(1, 8) ** 1.3) + 1
    found = ufm.solve(ufm.PenalisedDeepLinear((0.008, 0.01, 0.002)), ufm.ClassPrior(counts), seed=seed)
    assert found.method == "search"
    assert found.value == pytest.approx(0.7594241762609, rel=1e-9)  # all factors by L-BFGS from 14 random starts
    assert found.info["starts"] == 100
    assert sum(minimum.share for minimum in found.local_minima) <= 1 + 1e-12


class Exponential(ufm.Loss):
    """exp(-margin) of every entry: beyond logits of 709 float64 has no value, and starts are tried up to there."""

    is_convex = True

    def values(self, logits, targets):
        return np.exp(-(2 * targets - 1) * logits).sum(axis=0)

    def gradients(self, logits, targets):
        signs = 2 * targets - 1
        return -signs * np.exp(-signs * logits)


@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
@pytest.mark.parametrize("architecture", [ufm.PenalisedDeepLinear((0.01,) * 3), ufm.Residual(0.01, 0.01, 0.1, 2)])
@pytest.mark.parametrize("bias", [None, "free"])
@pytest.mark.sample(2)
def test_a_loss_that_overflows_far_out_is_searched_where_it_does_not(architecture, bias):
    problem = (architecture, ufm.ClassPrior([50, 5, 1]), Exponential())
    found = ufm.solve(*problem, bias=bias, method="search", starts=6)
    other = ufm.solve(*problem, bias=bias, method="direct", starts=4)
    assert found.value == pytest.approx(other.value, rel=1e-9)
    assert np.abs(found.logits).max() < 100
    assert "warning" not in found.info


@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning", "ignore:method 'search':RuntimeWarning")
def test_a_search_cut_short_at_large_logits_calls_no_overflow_beside_them_a_contradiction():
    found = ufm.solve(
        ufm.Residual(0.01, 0.01, 0.1, 2),
        ufm.ClassPrior([50, 5, 1]),
        Exponential(),
        method="search",
        starts=1,
        max_iter=2,
    )
    assert math.isfinite(found.value)
