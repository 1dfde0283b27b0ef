"""Gain, PenalisedDeepLinear and Residual: prices, factors that attain them, what they equal, what they refuse."""

from __future__ import annotations

import math

import numpy as np
import pytest
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize, minimize_scalar

import ufm
from ufm.architectures import Factors
from ufm.architectures.blocks import KINDS, transfer, transfer_gradients
from ufm.landscape.critical_points import classify
from ufm.problem import Problem
from ufm.testing import assert_feasible

PRIOR = ufm.ClassPrior([6, 2, 1])
K = 3
DEPTHS = (1, 2, 9, 200, math.inf)
RESIDUALS = [ufm.Residual(0.1, 0.3, 0.4, depth) for depth in DEPTHS]
DEEP = [ufm.PenalisedDeepLinear(lambdas) for lambdas in ((0.1, 0.3, 0.2), (0.1, 0.3, 0.2, 0.05, 0.4))]
GAINS = [ufm.Gain(0.7, 0.2, 0.6, **kind) for kind in ufm.Gain.variants]
NEW = [*RESIDUALS, *DEEP, *GAINS]
sizes = st.floats(-6, 6).map(lambda x: 10.0**x)
seeds = st.integers(0, 2**32 - 1)


def price(architecture, s):
    return architecture.gauge(np.array([s]))


# Prices -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("architecture", RESIDUALS, ids=repr)
@pytest.mark.parametrize("s", [1e-4, 0.3, 5.0, 300.0])
def test_the_price_of_a_residual_network_is_the_least_over_its_maps(architecture, s):
    lam, cost, depth = architecture.slope, architecture.lambda_A, architecture.depth

    def of(a):
        if depth == math.inf:
            return lam * s * math.exp(-a) + cost * a**2 / 2
        return lam * s * (1 + a) ** -depth + depth * cost * a**2 / 2

    direct = minimize_scalar(of, bounds=(0, 20), method="bounded", options={"xatol": 1e-10})
    assert price(architecture, s) == pytest.approx(direct.fun, rel=1e-9)
    assert price(architecture, s) <= direct.fun * (1 + 1e-12)


@pytest.mark.parametrize("depth", [1, 3])
def test_unequal_maps_cost_no_less_than_equal_ones(depth):
    """The price over all L numbers a_l, of any sign."""
    architecture, s = ufm.Residual(0.1, 0.3, 0.4, depth), 7.0

    def cost(a):
        return architecture.slope * s / np.prod(1 + a) + architecture.lambda_A * (a @ a) / 2

    found = minimize(cost, np.linspace(0.1, 0.9, depth), method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-15})
    assert price(architecture, s) == pytest.approx(found.fun, rel=1e-9)


@given(st.sampled_from([*RESIDUALS, *DEEP, ufm.PenalisedDEQ(0.1, 0.3, 0.6, 0.4)]), sizes, st.floats(1.01, 10))
@settings(max_examples=examples(100))
def test_laws_of_a_price(architecture, s, factor):
    """Positive, growing, concave, of the slope and curvature that it says, above its chord as a relaxation."""
    low, high = price(architecture, s), price(architecture, factor * s)
    assert 0 < low < high <= factor * low * (1 + 1e-12)
    slopes = architecture.slopes(np.array([s, factor * s]))
    assert 0 < slopes[1] <= slopes[0] * (1 + 1e-12)
    assert slopes[1] * (factor - 1) * s <= (high - low) * (1 + 1e-7) + 1e-15
    assert (high - low) <= slopes[0] * (factor - 1) * s * (1 + 1e-7) + 1e-15
    step = 1e-4 * s
    ahead, behind = architecture.slopes(np.array([s + step, s - step]))
    if not isinstance(architecture, ufm.PenalisedDEQ):  # its curvature jumps
        bend = architecture.curvatures(np.array([s]))[0]
        assert (behind - ahead) / (2 * step) == pytest.approx(bend, rel=1e-4, abs=1e-7 * slopes[0] / s)
    chord = architecture.relaxation(K, high)
    if chord is not None:  # else nothing is left of it in float64
        assert chord.strength * s <= low * (1 + 1e-9)
        assert chord.strength * factor * s == pytest.approx(high, rel=1e-6)


@given(sizes, st.sampled_from(DEPTHS))
def test_a_residual_price_lies_below_the_nuclear_norm_and_falls_with_depth(s, depth):
    architecture = ufm.Residual(0.1, 0.3, 0.4, depth)
    assert price(architecture, s) <= architecture.slope * s
    if depth < math.inf:
        deeper = ufm.Residual(0.1, 0.3, 0.4, depth + 1)
        assert price(deeper, s) <= price(architecture, s) * (1 + 1e-12)
        # the same price of a block for one map more is no price of depth + 1: a mutant that forgets L in the decay
        flow = ufm.Residual(0.1, 0.3, 0.4 / depth, math.inf)
        assert price(flow, s) <= price(architecture, s) * (1 + 1e-12)


@pytest.mark.parametrize("architecture", RESIDUALS, ids=repr)
def test_the_slope_at_0_does_not_move_with_depth(architecture):
    assert architecture.slopes(np.zeros(1))[0] == architecture.slope == math.sqrt(0.1 * 0.3)
    assert price(architecture, 1e-9) == pytest.approx(architecture.slope * 1e-9, rel=1e-6)
    assert price(architecture, 0.0) == 0.0


@pytest.mark.parametrize("architecture", DEEP, ids=repr)
def test_plain_depth_has_an_infinite_slope_at_0(architecture):
    assert architecture.slope == math.inf == architecture.slopes(np.zeros(1))[0]
    assert price(architecture, 0.0) == 0.0


def test_deep_networks_tend_to_the_flow():
    flow = price(ufm.Residual(0.1, 0.3, 0.02, math.inf), 20.0)
    off = [price(ufm.Residual(0.1, 0.3, 0.02 * depth, depth), 20.0) / flow - 1 for depth in (100, 1000, 10000)]
    assert off[0] == pytest.approx(10 * off[1], rel=0.1)
    assert 0 < off[2] < 1e-3


@pytest.mark.parametrize("architecture", [*DEEP, *RESIDUALS[:3]], ids=repr)
@pytest.mark.parametrize("weight", [0.3, 9.0])
def test_shrinking_finds_the_least_of_the_scalar_problem(architecture, weight):
    b = np.geomspace(0.02, 20, 12)
    found = architecture.shrunk(b, weight)
    kept = 0
    for x, s in zip(b, found, strict=True):

        def cost(s, x=x):
            return (s - x) ** 2 / (2 * weight) + price(architecture, s)

        assert cost(s) <= min(cost(t) for t in np.linspace(0, x, 101)) * (1 + 1e-12)
        kept += s > 0
    assert 0 < kept < len(b)
    assert (np.diff(found) >= 0).all()


# Factors ------------------------------------------------------------------------------------------------------------


def cost(architecture, factors):
    """What factors cost by the definition, written out once more."""
    w, h, n = factors.classifier, factors.features, PRIOR.counts
    if isinstance(architecture, ufm.Gain):
        return np.linalg.norm(w) * np.linalg.norm(h)
    if isinstance(architecture, ufm.PenalisedDeepLinear):
        *middle, last = factors.layers
        squares = [(w**2).sum(), *((x**2).sum() for x in middle), (last**2).sum(axis=0) @ n]
        return float(np.dot(architecture.lambdas, squares)) / 2
    decay = architecture.lambda_W * (w**2).sum() + architecture.lambda_H * (h**2).sum(axis=0) @ n
    return float(decay + architecture.lambda_A * sum((a**2).sum() for a in factors.residual_maps)) / 2


def product(factors, kind, depth):
    """The logits of factors by the definition of the network, written out once more."""
    z = factors.features
    if kind == "deq":
        return factors.classifier @ np.linalg.solve(np.eye(len(z)) - factors.equilibrium, z)
    if kind == "residual":
        for a in factors.residual_maps:
            z = z + a @ z
        assert len(factors.residual_maps) == depth
    if kind == "unrolled":
        for a in factors.residual_maps:
            z = a @ z + factors.features
        assert len(factors.residual_maps) == depth - 1
    if kind == "ode":
        (a,) = factors.residual_maps
        steps = 2000
        for _ in range(steps):  # midpoint rule
            z = z + a @ (z + a @ z / (2 * steps)) / steps
    return factors.classifier @ z


@pytest.mark.parametrize("architecture", [*RESIDUALS[:3], RESIDUALS[-1], *DEEP, *GAINS], ids=repr)
@pytest.mark.parametrize("dim", [None, 2, 5])
def test_factors_multiply_back_and_attain_the_price(architecture, dim):
    rng = np.random.default_rng(0)
    rank = 2 if dim == 2 else 3
    z = 3 * rng.normal(size=(K, rank)) @ rng.normal(size=(rank, K))
    factors = architecture.factorise(z, PRIOR, dim)
    np.testing.assert_allclose(factors.logits, z, atol=1e-11 * np.abs(z).max())
    if isinstance(architecture, ufm.PenalisedDeepLinear):
        assert np.allclose(np.linalg.multi_dot([factors.classifier, *factors.layers]), z)
    else:
        kind, depth = architecture.blocks, getattr(architecture, "depth", None)
        np.testing.assert_allclose(product(factors, kind, depth), z, rtol=1e-5, atol=1e-5)
    sigma = np.linalg.svd(z * architecture.column_weights(PRIOR), compute_uv=False)[:rank]
    assert cost(architecture, factors) == pytest.approx(architecture.gauge(sigma), rel=1e-11)


@given(seeds, st.sampled_from([*RESIDUALS[:3], RESIDUALS[-1]]))
@settings(max_examples=examples(40))
def test_no_residual_network_costs_less_than_the_price(seed, architecture):
    rng = np.random.default_rng(seed)
    d = int(rng.integers(2, 5))
    count = 1 if architecture.depth == math.inf else architecture.depth
    maps = tuple(rng.normal(size=(count, d, d)) * rng.choice([0.02, 0.2, 1.0]))
    if rng.uniform() < 0.5:
        maps = tuple(a @ a.T / 2 for a in maps)
    factors = Factors(rng.normal(size=(K, d)), rng.normal(size=(d, K)), residual_maps=maps, blocks=architecture.blocks)
    least = architecture.gauge(factors.logits * np.sqrt(PRIOR.counts))
    assert least <= cost(architecture, factors) * (1 + 1e-9)


@given(seeds, st.sampled_from(GAINS))
@settings(max_examples=examples(40))
def test_no_network_within_the_spectral_bound_reaches_further(seed, architecture):
    rng = np.random.default_rng(seed)
    d = int(rng.integers(2, 5))
    a = rng.normal(size=(d, d))
    a *= rng.choice([1.0, 0.5]) * architecture.rho / np.linalg.norm(a, 2)
    w, h = rng.normal(size=(K, d)), rng.normal(size=(d, K))
    z = w @ transfer(architecture.blocks, [a] * architecture.map_repeats, d) @ h
    assert architecture.gauge(z) <= np.linalg.norm(w) * np.linalg.norm(h) * (1 + 1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_of_maps(kind):
    rng = np.random.default_rng(1)
    maps = list(0.3 * rng.normal(size=(1 if kind in ("deq", "ode") else 3, 3, 3)))
    g, directions = rng.normal(size=(3, 3)), rng.normal(size=(len(maps), 3, 3))

    def value(t):
        moved = [a + t * x for a, x in zip(maps, directions, strict=True)]
        return np.vdot(g, transfer(kind, moved, 3))

    slope = sum(np.vdot(x, y) for x, y in zip(transfer_gradients(kind, maps, g), directions, strict=True))
    assert slope == pytest.approx((value(1e-6) - value(-1e-6)) / 2e-6, rel=1e-6)


# What equals what ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", ["ce", "mse", "bce"])
@pytest.mark.parametrize("bias", [None, "free"])
def test_two_penalised_factors_are_unconstrained_features(loss, bias):
    prior = ufm.ClassPrior.step(2, 2, 7.0)
    deep = ufm.solve(ufm.PenalisedDeepLinear((0.04, 0.01)), prior, loss, bias=bias)
    plain = ufm.solve(ufm.UnconstrainedFeatures(0.04, 0.01), prior, loss, bias=bias)
    assert (deep.value, deep.lower, deep.method, deep.is_global) == (
        plain.value, plain.lower, plain.method, True,
    )  # fmt: skip
    np.testing.assert_array_equal(deep.classifier, plain.classifier)
    np.testing.assert_array_equal(deep.features, plain.features)
    assert ufm.collapse_threshold(ufm.PenalisedDeepLinear((0.04, 0.01)), 2, 2, num_samples=50.0) == (
        ufm.collapse_threshold(ufm.UnconstrainedFeatures(0.04, 0.01), 2, 2, num_samples=50.0)
    )


@pytest.mark.parametrize("kind", ufm.Gain.variants, ids=lambda kind: kind["kind"])
def test_a_gain_is_a_layer_peeled_model_of_a_larger_radius(kind):
    rho = 0.6
    gain = {"residual": 1.6**3, "unrolled": 1 + rho + rho**2, "ode": math.exp(rho), "deq": 2.5}[kind["kind"]]
    architecture, peeled = ufm.Gain(0.3, 0.5, rho, **kind), ufm.LayerPeeled(0.3 * gain, 0.5 * gain)
    prior = ufm.ClassPrior.step(2, 3, 9.0)
    assert architecture.radius(5) == pytest.approx(peeled.radius(5), rel=1e-14)
    found, reference = ufm.solve(architecture, prior), ufm.solve(peeled, prior)
    assert found.is_global is True
    assert found.value == pytest.approx(reference.value, rel=1e-11)
    np.testing.assert_allclose(found.logits, reference.logits, atol=1e-9)
    assert_feasible(found)
    assert (found.equilibrium is None) == (kind["kind"] != "deq")
    threshold = ufm.collapse_threshold(architecture, 2, 3).ratio
    assert threshold == pytest.approx(ufm.collapse_threshold(peeled, 2, 3).ratio, rel=1e-11)
    # a mutant: the bound itself in place of the gain
    assert architecture.radius(5) != pytest.approx(ufm.LayerPeeled(0.3 * rho, 0.5 * rho).radius(5), rel=0.1)


@pytest.mark.parametrize("method", ["reduced", "nuclear", "sdp", "direct", "search"])
def test_every_method_knows_a_gain(method):
    architecture, prior = ufm.Gain(0.3, 0.5, 0.4, "residual", depth=2), ufm.ClassPrior.step(2, 1, 3.0)
    options = {"starts": 3} if method in ("direct", "search") else {}
    found = ufm.solve(architecture, prior, method=method, **options)
    assert found.is_global is True
    assert found.value == pytest.approx(ufm.solve(architecture, prior).value, rel=1e-5)
    assert_feasible(found)


def test_the_gain_of_a_fixed_point_is_the_linear_deq():
    gain, layer = ufm.Gain(0.3, 0.5, 0.6, "deq"), ufm.LinearDEQ(0.3, 0.5, 0.6)
    found, reference = (ufm.solve(a, ufm.ClassPrior.step(2, 2, 4.0)) for a in (gain, layer))
    assert (found.value, found.lower) == (reference.value, reference.lower)
    np.testing.assert_array_equal(found.equilibrium, reference.equilibrium)
    np.testing.assert_array_equal(found.features, reference.features)


def test_one_block_and_one_step():
    assert ufm.Gain(1, 1, 0.5, "residual", 1).radius(2) == ufm.Gain(1, 1, 0.5, "unrolled", 2).radius(2) == 3.0
    step = ufm.Gain(1, 1, 0.5, "unrolled", 1)
    assert step.radius(2) == 2.0
    found = ufm.solve(step, ufm.ClassPrior([3, 1]))
    assert found.residual_maps == ()
    assert_feasible(found)
    assert ufm.solve(step, ufm.ClassPrior([3, 1]), method="direct", starts=2).value == pytest.approx(found.value)


# What is refused ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: ufm.Gain(1, 1, 0.5, "resnet"), r"kind must be one of 'deq'"),
        (lambda: ufm.Gain(1, 1, 0.5, "residual"), r"depth must be an integer >= 1 for kind 'residual', got None"),
        (lambda: ufm.Gain(1, 1, 0.5, "ode", 3), r"depth must be None for kind 'ode'"),
        (lambda: ufm.Gain(1, 1, 0.5, "unrolled", 0), r"depth must be an integer between 1 and 100000, got 0"),
        (lambda: ufm.Gain(1, 1, 0.5, "unrolled", 1.5), r"depth must be an integer"),
        (lambda: ufm.Gain(1, 1, 1.0, "deq"), r"rho must lie in \[0, 1\), got 1.0"),
        (lambda: ufm.Gain(1, 1, -0.1, "ode"), r"rho must be >= 0, got -0.1"),
        (lambda: ufm.Gain(1, 1, 2.0, "residual", 1000), r"rho and depth must leave a gain of at most 1e\+100"),
        (lambda: ufm.Gain(0, 1, 0.5, "ode"), r"E_W must be > 0"),
        (lambda: ufm.Residual(0.1, 0.1, 0.0, 2), r"lambda_A must be > 0"),
        (lambda: ufm.Residual(0.1, 0.1, 0.1, 0), r"depth must be an integer between 1 and 100000, got 0"),
        (lambda: ufm.Residual(0.1, 0.1, 0.1, -math.inf), r"depth must be finite, got -inf"),
        (lambda: ufm.Residual(0.1, 0.1, 0.1, math.nan), r"depth must be finite, got nan"),
        (lambda: ufm.PenalisedDeepLinear((0.1,)), r"lambdas must have at least 2 entries"),
        (lambda: ufm.PenalisedDeepLinear(()), r"lambdas must have at least one entry"),
        (lambda: ufm.PenalisedDeepLinear((0.1, -1)), r"lambdas\[1\] must be > 0"),
    ],
)
def test_parameters_out_of_range(make, words):
    with pytest.raises(ValueError, match=words):
        make()


@pytest.mark.parametrize("value", ["many", None, True, [3]])
def test_a_depth_that_is_no_number(value):
    with pytest.raises((TypeError, ValueError), match="depth"):
        ufm.Residual(0.1, 0.1, 0.1, value)


@pytest.mark.parametrize("architecture", [RESIDUALS[1], RESIDUALS[-1], DEEP[0]], ids=repr)
def test_what_rests_on_a_nuclear_norm_refuses_by_name(architecture):
    prior = ufm.ClassPrior.step(2, 2, 3.0)
    solution = ufm.solve(architecture, prior, starts=1)
    problem = Problem.of(architecture, prior)
    calls = [
        lambda: architecture.strength,
        lambda: ufm.certify(solution),
        lambda: ufm.collapse_threshold(architecture, 2, 2, num_samples=50.0),
        lambda: ufm.certify_threshold(architecture, 2, 2, num_samples=50),
        lambda: ufm.hysteresis(architecture, 2, 2, num_samples=50.0),
        lambda: classify(problem, solution.factors),
        *(lambda m=m: ufm.solve(architecture, prior, method=m) for m in ("reduced", "nuclear", "sdp", "atoms")),
    ]
    for call in calls:
        with pytest.raises((ValueError, TypeError), match=f"{type(architecture).__name__}"):
            call()


def test_critical_points_of_a_gain_are_not_those_of_its_factors_alone():
    architecture = GAINS[0]
    solution = ufm.solve(architecture, PRIOR)
    with pytest.raises(ValueError, match="two factors or an equilibrium layer, got Gain"):
        classify(solution.problem, solution.factors)
