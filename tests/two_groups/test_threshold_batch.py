"""Thresholds on arrays against those found one at a time."""

import numpy as np
import pytest

import ufm
from ufm.two_groups.threshold_batch import penalised_threshold_batch, threshold_batch


def test_every_point_is_what_is_found_one_at_a_time():
    rng = np.random.default_rng(0)
    k_a, k_b = rng.integers(1, 30, 60), rng.integers(2, 30, 60)
    energy, rho = 10 ** rng.uniform(-3, 0.3, 60), rng.uniform(0, 0.6, 60)
    found = threshold_batch(k_a, k_b, E_W=energy, E_H=1.0, rho=rho)
    for i, ratio in enumerate(found):
        one = ufm.collapse_threshold(
            ufm.LinearDEQ(float(energy[i]), 1.0, float(rho[i])), int(k_a[i]), int(k_b[i])
        ).ratio
        assert ratio == pytest.approx(one, rel=1e-10)


def test_it_broadcasts_and_ends():
    found = threshold_batch(5, [[5], [3]], E_W=np.geomspace(1e-8, 1e5, 9), E_H=1.0)
    assert found.shape == (2, 9)
    assert (np.diff(found[np.isfinite(found).all(axis=1)], axis=1) >= 0).all()
    assert (found >= 1).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [({"rho": 1.0}, "^rho"), ({"num_minority": 1}, "^num_minority"), ({"E_W": [1.0, -1.0]}, r"^E_W\[1\]")],
)
def test_refusals(options, message):
    with pytest.raises(ValueError, match=message):
        threshold_batch(**({"num_majority": 5, "num_minority": 5, "E_W": 1.0, "E_H": 1.0} | options))


def test_mean_squared_error_is_what_is_found_one_at_a_time():
    energy = np.geomspace(1e-3, 3.0, 25)
    found = threshold_batch(4, 3, E_W=energy, E_H=0.5, rho=0.25, loss="mse")
    for e, ratio in zip(energy, found, strict=True):
        one = ufm.collapse_threshold(ufm.LinearDEQ(float(e), 0.5, 0.25), 4, 3, loss="mse").ratio
        assert ratio == pytest.approx(one, rel=1e-13)
    assert np.isinf(found[-1])


@pytest.mark.parametrize("held", ["num_samples", "majority_count", "minority_count"])
def test_weight_decay_is_what_is_found_one_at_a_time(held):
    rng = np.random.default_rng(0)
    k_a, k_b = rng.integers(1, 9, 60), rng.integers(2, 9, 60)
    decay, rho, count = 10 ** rng.uniform(-3.5, 0.5, 60), rng.uniform(0, 0.6, 60), 10 ** rng.uniform(0, 3, 60)
    found = penalised_threshold_batch(k_a, k_b, lambda_W=decay, lambda_H=1e-2, rho=rho, **{held: count})
    assert (found == 1).any()
    assert (found > 1).any()
    for i, ratio in enumerate(found):
        network = ufm.PenalisedDEQ(float(decay[i]), 1e-2, float(rho[i]))
        one = ufm.collapse_threshold(network, int(k_a[i]), int(k_b[i]), **{held: float(count[i])})
        assert ratio == pytest.approx(one.ratio, rel=1e-12)


def test_kappa_is_what_the_loss_makes_of_it():
    loss = ufm.CrossEntropy(smoothing=0.25, weights=(1, 1, 2, 2), scales=(1, 1, 0.75, 0.75), shifts=(0, 0, 1, 1))
    one = ufm.collapse_threshold(
        ufm.UnconstrainedFeatures(5e-3, 4e-3), 2, 2, loss=loss, bias="free", minority_count=9.0
    )
    found = penalised_threshold_batch(2, 2, lambda_W=5e-3, lambda_H=4e-3, kappa=0.75 * 2 * 0.75, minority_count=9.0)
    assert float(found) == pytest.approx(one.ratio, rel=1e-9)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kappa": 0.0}, "^kappa"),
        ({"lambda_W": -1.0}, "^lambda_W"),
        ({"minority_count": None}, "exactly one of num_samples.*got none"),
        ({"num_samples": 3.0}, "exactly one of num_samples"),
        ({"kappa": [1, 2], "rho": [0, 0, 0]}, r"one shape, got rho \(3,\), kappa \(2,\)"),
    ],
)
def test_refusals_of_weight_decay(options, message):
    given = {"num_majority": 5, "num_minority": 5, "lambda_W": 0.01, "lambda_H": 0.01, "minority_count": 4.0} | options
    with pytest.raises(ValueError, match=message):
        penalised_threshold_batch(**given)


def test_an_unknown_loss_is_refused():
    with pytest.raises(ValueError, match="loss must be one of"):
        threshold_batch(5, 5, E_W=1.0, E_H=1.0, loss="bce")
