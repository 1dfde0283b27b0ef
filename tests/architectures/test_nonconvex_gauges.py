"""Gauges that are no multiple of the nuclear norm: inner minimisers, factors, direct minimisation over all factors."""

from __future__ import annotations

import math

import numpy as np
import pytest
from effort import examples
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

import ufm
from ufm.architectures import water_filling
from ufm.problem import Problem
from ufm.solvers.nuclear import solve_nuclear
from ufm.solvers.reduced import solve_reduced
from ufm.solvers.sdp import solve_sdp
from ufm.testing import assert_feasible

PRIOR = ufm.ClassPrior([6, 2, 1])
K = 3
NONCONVEX = [
    ufm.LinearDEQ(0.7, 2.0, rho=0.9, E_A=0.5),  # the cap is idle
    ufm.LinearDEQ(0.7, 2.0, rho=0.6, E_A=0.5),  # it binds for some logits
    ufm.LinearDEQ(0.7, 2.0, rho=0.4, E_A=0.3),  # two entries at the cap
    ufm.PenalisedDEQ(0.1, 0.3, rho=0.9, lambda_A=2.0),
    ufm.PenalisedDEQ(0.1, 0.3, rho=0.5, lambda_A=0.5),
    ufm.DeepLinear((1.0, 3.0, 0.5)),
    ufm.DeepLinear((1.0, 3.0, 0.5, 2.0)),
]
seeds = st.integers(0, 2**32 - 1)
spectra = st.lists(st.floats(1e-9, 1) | st.sampled_from([0.0, 0.5, 1.0]), min_size=1, max_size=7).map(np.array)


# Water-filling ------------------------------------------------------------------------------------------------------


@given(spectra, st.floats(0.05, 0.99), st.floats(0.01, 5.0))
@settings(max_examples=examples(150))
def test_water_filling_satisfies_the_kkt_conditions_of_a_concave_problem(sigma, rho, budget):
    """Feasible, and ``sigma = 2 nu a + (multiplier >= 0 of the cap, where a = rho)``, nu >= 0: that is optimality."""
    assume(sigma.max() > 1e-3)
    a = water_filling(sigma, rho, budget)
    used = a[sigma > 0]
    assert (a >= 0).all()
    assert (a <= rho * (1 + 1e-12)).all()
    assert (used**2).sum() <= budget * (1 + 1e-12)
    if (sigma > 0).sum() * rho**2 <= budget:
        np.testing.assert_array_equal(used, rho)
        return
    assert (used**2).sum() == pytest.approx(budget, rel=1e-12)
    free = a < rho * (1 - 1e-12)
    if free.any() and sigma[free].max() > 1e-100:
        level = sigma[free].max() / a[free].max()  # nu
        np.testing.assert_allclose(sigma[free], level * a[free], rtol=1e-9, atol=1e-12)
        assert (sigma[~free] >= level * rho * (1 - 1e-9)).all()


@given(spectra, st.floats(0.05, 0.99), st.floats(0.01, 5.0), seeds)
@settings(max_examples=examples(60))
def test_no_feasible_spectrum_beats_water_filling_and_mutants_do_worse(sigma, rho, budget, seed):
    assume(sigma.max() > 1e-3)
    best = water_filling(sigma, rho, budget) @ sigma
    a = np.random.default_rng(seed).uniform(0, rho, size=(200, len(sigma)))
    a *= np.minimum(1, math.sqrt(budget) / np.linalg.norm(a, axis=1))[:, None]
    assert (a @ sigma).max() <= best * (1 + 1e-12)
    # the direction of sigma, capped without handing on what the cap leaves, is feasible and no better
    capped = np.minimum(rho, math.sqrt(budget) * sigma / np.linalg.norm(sigma))
    assert capped @ sigma <= best * (1 + 1e-12)


def test_capping_without_redistribution_is_strictly_worse_somewhere():
    sigma = np.array([3.0, 2.0, 1.0])
    capped = np.minimum(0.5, math.sqrt(0.5) * sigma / np.linalg.norm(sigma))
    assert capped @ sigma < 0.97 * (water_filling(sigma, 0.5, 0.5) @ sigma)


def test_an_idle_cap_gives_a_difference_of_norms():
    architecture = ufm.LinearDEQ(1, 1, rho=0.8, E_A=0.6)
    sigma = np.array([5.0, 3.0, 3.0, 0.1])
    assert architecture.gauge(sigma) == pytest.approx(sigma.sum() - math.sqrt(0.6) * np.linalg.norm(sigma), rel=1e-14)
    assert ufm.LinearDEQ(1, 1, rho=0.8, E_A=0.6).gauge(np.array([1.0])) == pytest.approx(1 - math.sqrt(0.6), rel=1e-14)


def test_known_gauges_of_etf_and_square():
    """K = 4, E_A = 1/2: ``3 s - sqrt(1/2) sqrt(3) s`` for the ETF, half the nuclear norm for the square."""
    architecture = ufm.LinearDEQ(1, 1, rho=0.9, E_A=0.5)
    assert architecture.gauge(np.ones(3)) == pytest.approx(3 - math.sqrt(1.5), rel=1e-14)
    assert architecture.gauge(np.ones(2)) == pytest.approx(1.0, rel=1e-14)
    np.testing.assert_allclose(architecture.equilibrium_spectrum(np.ones(2)), 0.5, rtol=1e-14)


@pytest.mark.parametrize("architecture", NONCONVEX[3:5], ids=repr)
def test_penalty_is_the_capped_minimax_concave_one(architecture):
    lam, cost = math.sqrt(0.1 * 0.3), architecture.lambda_A
    for s in np.linspace(0, 40, 200):
        direct = lam * s - lam**2 * s**2 / (2 * cost)
        if lam * s > architecture.rho * cost:
            direct = lam * (1 - architecture.rho) * s + cost * architecture.rho**2 / 2
        grid = np.linspace(0, architecture.rho, 20001)
        assert architecture.gauge(np.array([s])) == pytest.approx(direct, rel=1e-13, abs=1e-15)
        assert direct == pytest.approx((lam * (1 - grid) * s + cost * grid**2 / 2).min(), rel=1e-6, abs=1e-8)


@given(spectra, st.integers(3, 6))
def test_deep_gauge_is_a_homogeneous_quasi_norm_above_the_nuclear_norm(sigma, depth):
    architecture = ufm.DeepLinear((1.0,) * depth)
    gauge = architecture.gauge(sigma)
    assert gauge >= sigma.sum() * (1 - 1e-12)
    assert architecture.gauge(1e-3 * sigma) == pytest.approx(1e-3 * gauge, rel=1e-12)
    assert gauge == pytest.approx((sigma ** (2 / depth)).sum() ** (depth / 2), rel=1e-9)
    assert architecture.gauge(np.ones(3)) == pytest.approx(3 ** (depth / 2), rel=1e-14)


# Factors ------------------------------------------------------------------------------------------------------------


def cost(architecture, factors):
    """What factors cost by the architecture's definition: the product of norms (budgets) or the weight decay."""
    if factors.layers:
        return math.prod(np.linalg.norm(x) for x in (factors.classifier, *factors.layers))
    w2, h = (factors.classifier**2).sum(), factors.features
    if isinstance(architecture, ufm.PenalisedDEQ):
        decay = architecture.lambda_W * w2 + architecture.lambda_H * (h**2).sum(axis=0) @ PRIOR.counts
        return (decay + architecture.lambda_A * (factors.equilibrium**2).sum()) / 2
    return math.sqrt(w2) * np.linalg.norm(h)


@pytest.mark.parametrize("architecture", NONCONVEX, ids=repr)
@pytest.mark.parametrize("dim", [None, 2, 5])
@given(seed=seeds)
@settings(max_examples=8)
def test_factors_multiply_back_and_attain_the_gauge(architecture, dim, seed):
    rng = np.random.default_rng(seed)
    rank = 2 if dim == 2 else 3
    z = 3 * rng.normal(size=(K, rank)) @ rng.normal(size=(rank, K))
    problem = Problem.of(architecture, PRIOR)
    factors = architecture.factorise(z, PRIOR, dim)
    assert not problem.is_convex
    np.testing.assert_allclose(factors.logits, z, atol=1e-11 * np.abs(z).max())
    assert cost(architecture, factors) == pytest.approx(problem.gauge(z), rel=1e-10)
    if factors.layers:
        product = np.linalg.multi_dot([factors.classifier, *factors.layers])
        np.testing.assert_allclose(product, z, atol=1e-11 * np.abs(z).max())
        norms = np.array([np.linalg.norm(x) for x in (factors.classifier, *factors.layers)])
        np.testing.assert_allclose(norms / np.sqrt(architecture.budgets), norms[0], rtol=1e-10)  # c_1 = 1
    else:
        a = factors.equilibrium
        np.testing.assert_allclose(a, a.T, atol=1e-14)
        assert np.linalg.norm(a, 2) <= architecture.rho * (1 + 1e-12)
        assert (a**2).sum() <= getattr(architecture, "E_A", math.inf) * (1 + 1e-12)


@given(seed=seeds, depth=st.integers(3, 5))
@settings(max_examples=examples(40))
def test_no_factors_cost_less_than_the_gauge(seed, depth):
    """Random factors of any kind, with the bounds on A that they happen to meet."""
    rng = np.random.default_rng(seed)
    d = int(rng.integers(2, 5))
    layers = [rng.normal(size=s) for s in [(K, d), *[(d, d)] * (depth - 2), (d, K)]]
    sigma = np.linalg.svd(np.linalg.multi_dot(layers), compute_uv=False)
    product = math.prod(np.linalg.norm(x) for x in layers)
    assert ufm.DeepLinear((1.0,) * depth).gauge(sigma) <= product * (1 + 1e-10)
    w, h, a = layers[0], layers[-1], rng.normal(size=(d, d)) * rng.choice([0.1, 1.0], size=d)
    if rng.uniform() < 0.5:
        a = a @ a.T
    a *= rng.uniform(0.1, 0.99) / np.linalg.norm(a, 2)
    rho, budget = np.linalg.norm(a, 2), (a**2).sum()
    sigma = np.linalg.svd(w @ np.linalg.solve(np.eye(d) - a, h), compute_uv=False)
    product = np.linalg.norm(w) * np.linalg.norm(h)
    assert ufm.LinearDEQ(1, 1, rho, budget * (1 + 1e-12)).gauge(sigma) <= product * (1 + 1e-10)
    decay = ((w**2).sum() + (h**2).sum() + 0.7 * budget) / 2
    assert ufm.PenalisedDEQ(1, 1, rho, 0.7).gauge(sigma) <= decay * (1 + 1e-10)


def least_cost(architecture, z, rng):
    """Least cost over all factors of ``z`` (full rank, d = K): any invertible factors and A, the classifier follows."""
    eye = np.eye(K)

    def unpack(x):
        if isinstance(architecture, ufm.DeepLinear):
            layers = [eye + m for m in x.reshape(-1, K, K)]
            rest = np.linalg.multi_dot(layers)
            return z @ np.linalg.inv(rest), layers, None
        h, raw = eye + x[: K * K].reshape(K, K), x[K * K :].reshape(K, K)
        u, s, vt = np.linalg.svd(raw)
        a = (u * (architecture.rho * np.tanh(s))) @ vt
        if (limit := getattr(architecture, "E_A", None)) is not None:
            a = a * min(1.0, math.sqrt(limit) / max(np.linalg.norm(a), 1e-300))
        return z @ np.linalg.inv(h) @ (eye - a), [h], a

    def objective(x):
        w, layers, a = unpack(x)
        if not isinstance(architecture, ufm.PenalisedDEQ):
            return math.log(math.prod(np.linalg.norm(f) for f in (w, *layers)))
        decay = (
            architecture.lambda_W * (w**2).sum() + architecture.lambda_H * (layers[0] ** 2).sum(axis=0) @ PRIOR.counts
        )
        return math.log((decay + architecture.lambda_A * (a**2).sum()) / 2)

    size = K * K * (len(architecture.budgets) - 1 if isinstance(architecture, ufm.DeepLinear) else 2)
    options = {"maxiter": 1500, "maxfun": 10**6}
    runs = [minimize(objective, rng.normal(size=size), method="L-BFGS-B", options=options) for _ in range(4)]
    return math.exp(min(run.fun for run in runs))


@pytest.mark.parametrize("architecture", NONCONVEX, ids=repr)
@pytest.mark.sample(4)
def test_direct_minimisation_over_all_factors_reaches_the_gauge_and_not_less(architecture):
    rng = np.random.default_rng(5)
    z = rng.normal(size=(K, K)) + 2 * np.eye(K)
    gauge = Problem.of(architecture, PRIOR).gauge(z)
    least = least_cost(architecture, z, rng)
    assert least >= gauge * (1 - 1e-9)
    # tanh reaches the cap only in the limit
    assert least <= gauge * (1 + 2e-4)
    # the two-sided check tells the gauge from one without A, or with two factors
    plain = np.linalg.norm(z * Problem.of(architecture, PRIOR).weights, "nuc") * getattr(architecture, "slope", 1.0)
    assert abs(least / plain - 1) > 0.05


# What is convex after all, and what is refused ----------------------------------------------------------------------


def test_idle_and_empty_budgets_are_solved_as_the_convex_problems_they_are():
    prior = ufm.ClassPrior.step(2, 2, 4)
    for rho, budget, reference in [(0.4, 3 * 0.4**2, 0.4), (0.4, 0.0, 0.0), (0.0, 0.3, 0.0), (0.4, 7.0, 0.4)]:
        solution = ufm.solve(ufm.LinearDEQ(1, 2, rho, budget), prior)
        assert solution.is_global is True
        assert solution.method == "reduced"
        assert solution.value == ufm.solve(ufm.LinearDEQ(1, 2, reference), prior).value
        assert_feasible(solution)
        assert (solution.equilibrium**2).sum() <= budget * (1 + 1e-12)
    assert ufm.solve(ufm.LinearDEQ(1, 2, 0.4, 0.0), prior).value == ufm.solve(ufm.LayerPeeled(1, 2), prior).value
    idle = ufm.solve(ufm.PenalisedDEQ(0.01, 0.02, 0.0, lambda_A=3.0), prior)
    assert idle.is_global is True
    assert idle.value == ufm.solve(ufm.UnconstrainedFeatures(0.01, 0.02), prior).value
    # under MSE the optimum may have rank K: the same budget binds
    assert not Problem.of(ufm.LinearDEQ(1, 2, 0.4, 3 * 0.4**2), prior, "mse").is_convex
    assert Problem.of(ufm.LinearDEQ(1, 2, 0.4, 4 * 0.4**2), prior, "mse").is_convex
    # a hair less, and the problem is not convex
    assert not Problem.of(ufm.LinearDEQ(1, 2, 0.4, 2.99 * 0.4**2), prior).is_convex


def test_two_classes_have_one_direction_and_any_gauge_is_convex_there():
    prior = ufm.ClassPrior([3, 1])
    capped = ufm.solve(ufm.LinearDEQ(1, 2, 0.9, 0.25), prior)
    assert capped.value == ufm.solve(ufm.LinearDEQ(1, 2, 0.5), prior).value
    deep = ufm.solve(ufm.DeepLinear((2.0, 3.0, 4.0)), prior)
    assert deep.value == pytest.approx(ufm.solve(ufm.DeepLinear((4.0, 6.0)), prior).value, rel=1e-13)
    assert deep.is_global is True
    assert_feasible(deep)


@pytest.mark.parametrize("architecture", NONCONVEX, ids=repr)
def test_convex_methods_refuse_what_is_not_convex(architecture):
    problem = Problem.of(architecture, PRIOR)
    for refuse in (
        lambda: solve_reduced(problem),
        lambda: solve_nuclear(problem),
        lambda: solve_sdp(problem),
        lambda: problem.lower_bound(np.eye(K)),
        lambda: ufm.collapse_threshold(
            architecture, 2, 2, **({} if problem.is_constrained else {"num_samples": 100.0})
        ),
        lambda: architecture.radius(K) if problem.is_constrained else architecture.strength,
    ):
        with pytest.raises(ValueError, match=r"architecture must have a nuclear-norm gauge here, got .*not convex"):
            refuse()
    with pytest.raises(ValueError, match="to be certified"):
        ufm.certify(ufm.solve(architecture, PRIOR, starts=2))


@pytest.mark.parametrize("rho", [1, 1.0, None])
def test_uncapped_penalised_problem_is_refused_with_the_reason(rho):
    with pytest.raises(ValueError, match=r"(?s)^rho must lie in \[0, 1\).*need not have a minimiser.*lambda_A/2"):
        ufm.PenalisedDEQ(0.01, 0.01, rho, lambda_A=0.1)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: ufm.LinearDEQ(1, 1, 0.5, -0.1), ValueError, r"^E_A must be >= 0 and finite, or None, got -0.1"),
        (lambda: ufm.LinearDEQ(1, 1, 0.5, math.nan), ValueError, r"^E_A must be finite, got nan"),
        (lambda: ufm.LinearDEQ(1, 1, 0.5, "1"), TypeError, r"^E_A must be a real number, got '1'"),
        (lambda: ufm.PenalisedDEQ(1, 1, 0.5, 0.0), ValueError, r"^lambda_A must be > 0"),
        (lambda: ufm.PenalisedDEQ(1, 1, 0.5, math.inf), ValueError, r"^lambda_A must be finite"),
        (lambda: ufm.PenalisedDEQ(1, 1, 1.5, 0.1), ValueError, r"^rho must lie in \[0, 1\), got 1.5"),
        (lambda: ufm.DeepLinear((1.0, 2.0, 0.0)), ValueError, r"^budgets\[2\] must be > 0"),
    ],
)
def test_bad_parameters_are_named(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_representations_leave_out_what_is_not_there():
    assert repr(ufm.LinearDEQ(1, 1, 0.5)) == "LinearDEQ(E_W=1.0, E_H=1.0, rho=0.5)"
    assert repr(ufm.LinearDEQ(1, 1, 0.5, 0.25)) == "LinearDEQ(E_W=1.0, E_H=1.0, rho=0.5, E_A=0.25)"
    assert repr(ufm.PenalisedDEQ(1, 1, 0.5, 2)) == "PenalisedDEQ(lambda_W=1.0, lambda_H=1.0, rho=0.5, lambda_A=2.0)"
    assert ufm.LinearDEQ(1, 1, 0.5) != ufm.LinearDEQ(1, 1, 0.5, 0.25)
