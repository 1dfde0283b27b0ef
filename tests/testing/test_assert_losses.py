"""Assertions about losses pass what is right and name what is wrong."""

from __future__ import annotations

import numpy as np
import pytest

import ufm
from ufm.testing import assert_convex, assert_gradients, assert_loss

SOFT = np.array([[0.7, 0.1, 0.5], [0.2, 0.9, 0.25], [0.1, 0.0, 0.25]])
RIGHT = [
    ufm.CrossEntropy(),
    ufm.CrossEntropy(smoothing=0.1, scales=(1, 2, 0.5)),
    ufm.BinaryCrossEntropy(),
    ufm.MeanSquaredError(),
    ufm.SquaredHinge(0.5),
]


class Quartic(ufm.Loss):
    is_convex = True

    def values(self, logits, targets):
        return ((logits - targets) ** 4).sum(axis=0)

    def gradients(self, logits, targets):
        return 4 * (logits - targets) ** 3

    def formula(self, logits, target):
        return self.values(logits, target)


class Dented(Quartic):
    """Quartic with a dent."""

    def values(self, logits, targets):
        return super().values(logits, targets) - 0.5 * np.exp(-20 * ((logits - 0.5) ** 2).sum(axis=0))

    def gradients(self, logits, targets):
        dent = 20.0 * (logits - 0.5) * np.exp(-20 * ((logits - 0.5) ** 2).sum(axis=0))
        return super().gradients(logits, targets) + dent


class Slanted(Quartic):
    def gradients(self, logits, targets):
        return 4.01 * (logits - targets) ** 3


@pytest.mark.parametrize("loss", [*RIGHT, Quartic()], ids=lambda loss: type(loss).__name__)
def test_what_is_right_passes(loss):
    for check in (assert_gradients, assert_convex, assert_loss):
        check(loss, SOFT if loss.name not in ("SquaredHinge(margin=0.5)",) else np.eye(3))


def test_what_is_wrong_fails_with_the_numbers():
    with pytest.raises(AssertionError, match=r"not its gradients: .*Slanted.*\n  - gradients give"):
        assert_gradients(Slanted(), SOFT)
    with pytest.raises(AssertionError, match=r"not convex: .*Dented.*\n  - half way between two points"):
        assert_convex(Dented(), np.eye(2))
    with pytest.raises(AssertionError, match="not what it says"):
        assert_loss(Slanted(), SOFT)
    with pytest.raises(AssertionError, match="not convex"):
        assert_convex(ufm.FocalLoss(2.0))
    assert_loss(ufm.FocalLoss(2.0))  # it does not say so


def test_everything_wrong_has_a_line():
    class Wrong(Slanted):
        infimum = 10.0

        def formula(self, logits, target):
            return 2 * (logits - target).sum()

    with pytest.raises(AssertionError, match="gradients give") as found:
        assert_loss(Wrong(), SOFT)
    assert "its formula is" in str(found.value)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: assert_convex("ce"), "^loss must be an object"),
        (lambda: assert_gradients(Quartic(), [1.0]), "^targets must be a matrix"),
        (lambda: assert_convex(Quartic(), rounds=0), "^rounds"),
    ],
)
def test_what_is_no_test_is_refused(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()
