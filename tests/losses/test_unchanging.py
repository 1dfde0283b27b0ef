"""Losses that change while they are worked with: noise, a counter. They are refused by name."""

from __future__ import annotations

import numpy as np
import pytest

import ufm
from ufm.losses import unchanging


class Drifting(ufm.Loss):
    """Squared error, from some call on times a factor."""

    is_convex = True

    def __init__(self, calls: int, factor: float) -> None:
        self.calls, self.factor, self.called = calls, factor, 0

    def _share(self):
        self.called += 1
        return self.factor if self.called > self.calls else 1.0

    def values(self, logits, targets):
        return self._share() * ufm.MeanSquaredError().values(logits, targets)

    def gradients(self, logits, targets):
        return ufm.MeanSquaredError().gradients(logits, targets)


@pytest.mark.parametrize("factor", [1.0, 1 + 1e-6])
def test_a_batch_is_of_one_loss(factor):
    loss = Drifting(250, factor)
    given = {"ratio": [2.0, 5.0], "E_W": 1.0, "E_H": 1.0, "num_majority": 2, "num_minority": 2, "loss": loss}
    if factor == 1:
        expected = ufm.solve_batch(**given | {"loss": "mse"}).value
        assert ufm.solve_batch(**given).value == pytest.approx(expected, rel=1e-9)
    else:
        with pytest.raises(ValueError, match=r"^loss Drifting must give the same value .* it has a state"):
            ufm.solve_batch(**given)
    assert loss.called > 250


def test_a_threshold_is_of_one_loss():
    architecture, counted = ufm.UnconstrainedFeatures(0.05, 0.05), Drifting(10**9, 1.0)
    ufm.collapse_threshold(architecture, 2, 2, loss=counted, minority_count=4.0)
    drifting = Drifting(counted.called // 2, 1 + 1e-6)
    with pytest.raises(ValueError, match=r"^loss Drifting (must give the same value|contradicts itself)"):
        ufm.collapse_threshold(architecture, 2, 2, loss=drifting, minority_count=4.0)


def test_noise_is_told_and_errors_within_pass():
    noise = np.random.default_rng(0)

    class Noisy(Drifting):
        def _share(self):
            return 1 + 1e-6 * noise.normal()

    with pytest.raises(ValueError, match="draws random numbers"), unchanging(Noisy(0, 1.0), np.eye(3)):
        pass
    with pytest.raises(KeyError), unchanging(Noisy(0, 1.0), np.eye(3)):
        raise KeyError
