"""Networks with a monotone equilibrium layer: what they cost at least, and that training gets there."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st

import ufm
from ufm.networks import MonotoneNetwork
from ufm.problem import Problem
from ufm.trainings import train_monotone

PRIOR = ufm.ClassPrior([5, 5, 3, 3])


@pytest.mark.parametrize(("m", "loss", "bias"), [(0.5, "ce", None), (2.0, "mse", "free")])
@pytest.mark.sample(1)
def test_a_linear_one_ends_where_the_theory_says(m, loss, bias):
    found = train_monotone(0.03, 0.03 / m, PRIOR, loss, m=m, activation="identity", bias=bias, device="cpu")
    assert found.status == "agrees", str(found)
    assert abs(found.objective_error) < 1e-6
    assert found.phase == found.solution.geometry.phase
    assert all(error is None or error < 1e-3 for error in found.gram_errors.values())
    a = found.network.layer.monotone().detach().numpy()
    h, z = found.features, found.equilibrium_features
    np.testing.assert_allclose(h, m * z, atol=1e-3 * np.abs(z).max())
    used = np.linalg.svd(z)[0][:, : np.linalg.matrix_rank(z, tol=1e-2 * np.abs(z).max())]
    np.testing.assert_allclose(a @ used, (1 - m) * used, atol=1e-2)


@pytest.mark.parametrize("m", [0.5, 1.0])
@pytest.mark.sample(0)
def test_behind_relus_features_are_nonnegative_ones(m):
    found = train_monotone(0.05, 0.05 / m, ufm.ClassPrior([5, 5, 2]), m=m, max_iterations=400, device="cpu")
    assert 0 <= found.objective_error < 1e-3, str(found)
    assert found.logits_error < 0.02
    assert found.equilibrium_features.min() >= 0
    assert all(error is None or error < 0.02 for error in found.gram_errors.values())


def test_a_linear_one_is_the_bounded_layer_of_the_same_gain():
    """``{(I - A)^{-1}}``: largest norm 1/m, as of ``|A|_2 <= 1 - m``."""
    found = train_monotone(0.03, 0.06, PRIOR, m=0.5, activation="identity", device="cpu")
    bounded = ufm.solve(ufm.PenalisedDEQ(0.03, 0.06, 0.5), PRIOR)
    assert math.isclose(found.solution.value, bounded.value, rel_tol=1e-12)
    other = ufm.solve(ufm.UnconstrainedFeatures(0.03, 0.5 * 0.06), PRIOR)  # m for m^2
    assert dataclasses.replace(found, solution=other).status == "below"


def test_float32_gets_near(recwarn):
    found = train_monotone(0.04, 0.04, ufm.ClassPrior([4, 4, 2]), activation="identity", dtype="float32", device="cpu")
    assert found.status == "agrees", str(found)
    assert not recwarn.list


def test_behind_tanh_the_optimum_is_a_bound():
    found = train_monotone(
        0.05, 0.05, ufm.ClassPrior([4, 2]), activation="tanh", dim=4, max_iterations=60, device="cpu"
    )
    assert found.status == "above", str(found)
    assert found.objective_error > 1e-3
    # 0 is the one point that it attains
    zero = train_monotone(0.5, 0.5, ufm.ClassPrior([4, 2]), activation="tanh", dim=4, device="cpu")
    assert (zero.status, zero.rank) == ("agrees", 0), str(zero)


@settings(max_examples=examples(60), deadline=None)
@given(
    seed=st.integers(0, 2**20),
    m=st.floats(0.2, 3.0),
    activation=st.sampled_from(["identity", "relu", "tanh"]),
    scale=st.floats(0.1, 5.0),
)
def test_no_weights_cost_less(seed, m, activation, scale):
    """``|h| >= m |z|`` for every sample, and the objective is no less than the optimum."""
    prior = ufm.ClassPrior([3, 2])
    features = "nonnegative" if activation == "relu" else "real"
    problem = Problem.of(ufm.UnconstrainedFeatures(0.05, 0.05 * m * m, features), prior)
    columns = torch.tensor([0, 0, 0, 1, 1])
    network = MonotoneNetwork(problem, columns, 3, dim=3, width=6, m=m, activation=activation, seed=seed % 97)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in (network.classifier.weight, *network.encoder.parameters(), *network.layer.monotone.parameters()):
            weight.copy_(scale * torch.randn(weight.shape, generator=generator, dtype=weight.dtype))
        output = network(torch.randn(5, 3, generator=generator, dtype=torch.float64))
        h, z = (x.square().sum(dim=1).sqrt() for x in (output.injected, output.features))
        assert bool((h >= m * z - 1e-9 * (1 + h)).all())
        risk = torch.nn.functional.cross_entropy(output.logits, columns)
        value = float(risk + network.decay(output))
    paid = 0.05 * (network.classifier.weight.detach().square().sum() + output.injected.square().sum()) / 2
    assert math.isclose(value, float(risk + paid), rel_tol=1e-12)
    optimum = ufm.solve(problem.architecture, prior).value
    assert value >= optimum * (1 - 1e-9)


@pytest.mark.parametrize(
    ("arguments", "fields", "message"),
    [
        ((0.1, 0.1, PRIOR), {"activation": "gelu"}, "activation"),
        ((0.1, 0.1, PRIOR), {"m": 0.0}, "m must be"),
        ((0.1, -0.1, PRIOR), {}, "lambda_H"),
        ((0.1, 0.1, [3, 2]), {}, "prior must be"),
        ((0.1, 0.1, PRIOR), {"starts": 0}, "starts"),
    ],
)
def test_what_is_refused(arguments, fields, message):
    with pytest.raises((TypeError, ValueError), match=message):
        train_monotone(*arguments, **fields)


def test_a_problem_with_another_layer_is_refused():
    problem = Problem.of(ufm.PenalisedDEQ(0.1, 0.1, 0.5), PRIOR)
    with pytest.raises(ValueError, match=r"problem must be of a ufm\.UnconstrainedFeatures"):
        MonotoneNetwork(problem, torch.zeros(24, dtype=torch.long), 3, dim=4, width=8)
