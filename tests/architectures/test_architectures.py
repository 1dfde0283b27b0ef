"""Architectures: gauges, optimal factors that attain them, and what is refused."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st

import ufm
from ufm.architectures import Factors

PRIOR = ufm.ClassPrior([40, 40, 10, 10, 5])
K = PRIOR.num_classes

CONSTRAINED = [
    ufm.LayerPeeled(E_W=1.0, E_H=5.0),
    ufm.LayerPeeled(E_W=3.0, E_H=0.2),
    ufm.DeepLinear(budgets=(2.0, 7.0)),
    ufm.LinearDEQ(E_W=1.0, E_H=5.0, rho=0.5),
    ufm.LinearDEQ(E_W=1.0, E_H=5.0, rho=0.0),
    ufm.LinearDEQ(E_W=0.3, E_H=2.0, rho=0.95),
]
PENALISED = [
    ufm.UnconstrainedFeatures(lambda_W=5e-3, lambda_H=5e-3),
    ufm.UnconstrainedFeatures(lambda_W=1e-3, lambda_H=2e-2),
    ufm.PenalisedDEQ(lambda_W=5e-3, lambda_H=5e-3, rho=0.5),
    ufm.PenalisedDEQ(lambda_W=1e-3, lambda_H=2e-2, rho=0.0),
]
ALL = CONSTRAINED + PENALISED


def centred_logits(seed: int, rank: int = K - 1, size: float = 5.0):
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(K, rank)) @ rng.normal(size=(rank, K))
    return size * (z - z.mean(axis=0))


def test_radii_and_strengths_are_the_tables():
    tau = 10 * math.sqrt(5)
    assert ufm.LayerPeeled(1.0, 5.0).radius(10) == pytest.approx(tau, rel=1e-15)
    assert ufm.LinearDEQ(1.0, 5.0, 0.75).radius(10) == pytest.approx(4 * tau, rel=1e-15)
    assert ufm.DeepLinear((4.0, 9.0)).radius(10) == 6.0
    assert ufm.UnconstrainedFeatures(4e-3, 9e-3).strength == pytest.approx(6e-3, rel=1e-15)
    assert ufm.PenalisedDEQ(4e-3, 9e-3, 0.75).strength == pytest.approx(1.5e-3, rel=1e-15)
    np.testing.assert_array_equal(ufm.LayerPeeled(1, 5).column_weights(PRIOR), np.ones(K))
    np.testing.assert_array_equal(ufm.UnconstrainedFeatures(1, 5).column_weights(PRIOR), np.sqrt(PRIOR.counts))


def test_budgets_at_the_ends_of_float64_give_finite_radii():
    assert ufm.LayerPeeled(1e-300, 1e300).radius(10) == pytest.approx(10.0)
    assert ufm.LayerPeeled(1e300, 1e300).radius(10) == pytest.approx(1e301)
    assert ufm.UnconstrainedFeatures(1e-200, 1e-200).strength == pytest.approx(1e-200)


@pytest.mark.parametrize("architecture", ALL, ids=repr)
@pytest.mark.parametrize("dim", [None, K - 1, K, 3 * K])
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=10)
def test_factors_multiply_back_and_attain_the_gauge(architecture, dim, seed):
    z = centred_logits(seed)
    factors = architecture.factorise(z, PRIOR, dim)
    d = K if dim is None else dim
    assert factors.classifier.shape == (K, d)
    assert factors.features.shape == (d, K)
    tolerance = 1e-12 * np.abs(z).max()
    np.testing.assert_allclose(factors.logits, z, atol=tolerance / (1 - architecture.spectral_bound))
    gauge = np.linalg.norm(z * architecture.column_weights(PRIOR), "nuc")
    w2 = np.linalg.norm(factors.classifier) ** 2
    h2 = (np.linalg.norm(factors.features, axis=0) ** 2 * architecture.column_weights(PRIOR) ** 2).sum()
    # the product of the two norms attains the bound of the gauge ...
    assert math.sqrt(w2 * h2) == pytest.approx((1 - architecture.spectral_bound) * gauge, rel=1e-12)
    if isinstance(architecture, ufm.UnconstrainedFeatures | ufm.PenalisedDEQ):
        # ... and the penalty is split evenly
        penalty = architecture.lambda_W / 2 * w2 + architecture.lambda_H / 2 * h2
        assert penalty == pytest.approx(architecture.strength * gauge, rel=1e-12)
        assert architecture.lambda_W * w2 == pytest.approx(architecture.lambda_H * h2, rel=1e-12)


@pytest.mark.parametrize("architecture", CONSTRAINED, ids=repr)
def test_budgets_are_met_with_equality_on_the_boundary(architecture):
    z = centred_logits(0)
    z *= architecture.radius(K) / np.linalg.norm(z, "nuc")
    factors = architecture.factorise(z, PRIOR)
    c_w, c_h = architecture.factor_budgets(K)
    assert np.linalg.norm(factors.classifier) ** 2 == pytest.approx(c_w, rel=1e-12)
    assert np.linalg.norm(factors.features) ** 2 == pytest.approx(c_h, rel=1e-12)
    if not isinstance(architecture, ufm.DeepLinear):
        assert c_w == pytest.approx(K * architecture.E_W)
        assert c_h == pytest.approx(K * architecture.E_H)
    else:
        assert (c_w, c_h) == architecture.budgets


@pytest.mark.parametrize("architecture", ALL, ids=repr)
@pytest.mark.parametrize("dim", [None, 2 * K])
def test_only_equilibrium_networks_have_an_equilibrium_of_norm_rho(architecture, dim):
    a = architecture.factorise(centred_logits(1), PRIOR, dim).equilibrium
    if isinstance(architecture, ufm.LinearDEQ | ufm.PenalisedDEQ):
        assert np.linalg.norm(a, 2) == pytest.approx(architecture.rho, rel=1e-12, abs=1e-15)
        np.testing.assert_allclose(a, a.T, atol=1e-15)
    else:
        assert a is None
        assert architecture.spectral_bound == 0


def test_equilibrium_features_solve_the_fixed_point():
    factors = ufm.LinearDEQ(1.0, 5.0, 0.5).factorise(centred_logits(2), PRIOR)
    z = factors.equilibrium_features
    np.testing.assert_allclose(factors.equilibrium @ z + factors.features, z, atol=1e-12)
    explicit = ufm.LayerPeeled(1.0, 5.0).factorise(centred_logits(2), PRIOR)
    assert explicit.equilibrium_features is explicit.features


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_rank_deficient_logits_need_only_their_rank(rank):
    z = centred_logits(3, rank)
    for architecture in ALL:
        factors = architecture.factorise(z, PRIOR, rank)
        assert factors.classifier.shape == (K, rank)
        np.testing.assert_allclose(factors.logits, z, atol=1e-9)
        if rank > 1:
            with pytest.raises(ValueError, match=rf"dim must be at least the rank of the optimal logits, {rank}"):
                architecture.factorise(z, PRIOR, rank - 1)


@pytest.mark.parametrize("architecture", ALL, ids=repr)
def test_zero_logits_have_zero_factors_in_any_dimension(architecture):
    factors = architecture.factorise(np.zeros((K, K)), PRIOR, 1)
    assert not factors.classifier.any()
    assert not factors.features.any()
    assert not factors.logits.any()
    if factors.equilibrium is not None:
        assert not factors.equilibrium.any()


@given(seed=st.integers(0, 2**32 - 1), rho=st.floats(0.0, 0.95))
@settings(max_examples=examples(30))
def test_no_equilibrium_within_the_bound_gives_more_logits(seed, rho):
    """``(1-rho) |Z|_* <= |W|_F |H|_F`` for arbitrary W, H and |A|_2 <= rho (Gelfand-Naimark and Mirsky)."""
    rng = np.random.default_rng(seed)
    d = int(rng.integers(2, 6))
    a = rng.normal(size=(d, d))
    a *= rho / np.linalg.norm(a, 2)
    factors = Factors(rng.normal(size=(K, d)), rng.normal(size=(d, K)), a)
    product = np.linalg.norm(factors.classifier) * np.linalg.norm(factors.features)
    assert (1 - rho) * np.linalg.norm(factors.logits, "nuc") <= product * (1 + 1e-10)


def test_factors_of_another_split_break_a_budget():
    """The budget check can fail: an unbalanced split of the same logits exceeds one budget."""
    architecture = ufm.LayerPeeled(1.0, 5.0)
    z = centred_logits(0)
    z *= architecture.radius(K) / np.linalg.norm(z, "nuc")
    factors = architecture.factorise(z, PRIOR)
    other = Factors(2 * factors.classifier, factors.features / 2)
    np.testing.assert_allclose(other.logits, z, atol=1e-10)
    assert np.linalg.norm(other.classifier) ** 2 > 2 * K * architecture.E_W


def test_architectures_are_values():
    assert ufm.LayerPeeled(1, 5) == ufm.LayerPeeled(E_W=1.0, E_H=5.0)
    assert hash(ufm.LinearDEQ(1, 5, 0.5)) == hash(ufm.LinearDEQ(1.0, 5.0, 0.5))
    assert ufm.LayerPeeled(1, 5) != ufm.LinearDEQ(1, 5, 0.0)
    assert repr(ufm.LayerPeeled(1, 5)) == "LayerPeeled(E_W=1.0, E_H=5.0)"
    assert ufm.DeepLinear([1, 5]).budgets == (1.0, 5.0)
    with pytest.raises(dataclasses.FrozenInstanceError):
        ufm.LayerPeeled(1, 5).E_W = 2.0


@pytest.mark.parametrize("value", [0, 0.0, -1.0, math.inf, -math.inf, math.nan, 10**400])
@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("E_W", lambda x: ufm.LayerPeeled(E_W=x, E_H=1.0)),
        ("E_H", lambda x: ufm.LayerPeeled(E_W=1.0, E_H=x)),
        ("E_W", lambda x: ufm.LinearDEQ(E_W=x, E_H=1.0, rho=0.5)),
        ("E_H", lambda x: ufm.LinearDEQ(E_W=1.0, E_H=x, rho=0.5)),
        (r"budgets\[0\]", lambda x: ufm.DeepLinear((x, 1.0))),
        (r"budgets\[1\]", lambda x: ufm.DeepLinear((1.0, x))),
        ("lambda_W", lambda x: ufm.UnconstrainedFeatures(lambda_W=x, lambda_H=1.0)),
        ("lambda_H", lambda x: ufm.UnconstrainedFeatures(lambda_W=1.0, lambda_H=x)),
        ("lambda_W", lambda x: ufm.PenalisedDEQ(lambda_W=x, lambda_H=1.0, rho=0.5)),
        ("lambda_H", lambda x: ufm.PenalisedDEQ(lambda_W=1.0, lambda_H=x, rho=0.5)),
    ],
)
def test_budgets_and_weight_decays_must_be_positive_and_finite(name, make, value):
    with pytest.raises(ValueError, match=rf"^{name} must be (> 0 and )?finite, got {value}"):
        make(value)


@pytest.mark.parametrize("value", [None, "1", True, 1j, [1.0], np.bool_(True), np.complex128(1)])
@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("E_W", lambda x: ufm.LayerPeeled(E_W=x, E_H=1.0)),
        ("rho", lambda x: ufm.LinearDEQ(E_W=1.0, E_H=1.0, rho=x)),
        ("lambda_H", lambda x: ufm.UnconstrainedFeatures(lambda_W=1.0, lambda_H=x)),
    ],
)
def test_parameters_must_be_real_numbers(name, make, value):
    with pytest.raises(TypeError, match=rf"^{name} must be a real number, got "):
        make(value)


@pytest.mark.parametrize("rho", [1.0, 1.5, -0.1, 1 + 1e-15, -1e-300])
def test_rho_must_lie_in_the_half_open_unit_interval(rho):
    with pytest.raises(ValueError, match=r"^rho must lie in \[0, 1\), got "):
        ufm.LinearDEQ(E_W=1.0, E_H=1.0, rho=rho)
    with pytest.raises(ValueError, match=r"^rho must lie in \[0, 1\), got "):
        ufm.PenalisedDEQ(lambda_W=1.0, lambda_H=1.0, rho=rho)


@pytest.mark.parametrize("rho", [math.nan, math.inf])
def test_rho_must_be_finite(rho):
    with pytest.raises(ValueError, match=r"^rho must be finite"):
        ufm.LinearDEQ(E_W=1.0, E_H=1.0, rho=rho)


@pytest.mark.parametrize("budgets", [(), (1.0,)])
def test_deep_linear_needs_enough_factors(budgets):
    with pytest.raises(ValueError, match=r"^budgets must "):
        ufm.DeepLinear(budgets=budgets)


@pytest.mark.parametrize("budgets", ["12", 3.0, None])
def test_deep_linear_budgets_must_be_a_sequence(budgets):
    with pytest.raises(TypeError, match=r"^budgets must be a sequence of positive numbers, got "):
        ufm.DeepLinear(budgets=budgets)
