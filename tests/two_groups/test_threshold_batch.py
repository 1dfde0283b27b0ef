"""Thresholds on arrays against those found one at a time."""

import numpy as np
import pytest

import ufm
from ufm.two_groups.threshold_batch import threshold_batch


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
