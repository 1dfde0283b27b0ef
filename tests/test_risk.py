"""The bias's curvature: columns repeated for every unit vector in one call, where they stand alone."""

from __future__ import annotations

import numpy as np
import pytest

import ufm
from ufm.problem import Problem
from ufm.risk import Risk

TARGETS = np.array([[0.7, 0.1, 0.5, 1.0], [0.2, 0.9, 0.25, 0.0], [0.1, 0.0, 0.25, 0.0]])
PI = np.array([0.4, 0.3, 0.2, 0.1])


class Quartic(ufm.Loss):
    is_convex = True
    calls = 0

    def values(self, logits, targets):
        return ((logits - targets) ** 4).sum(axis=0)

    def gradients(self, logits, targets):
        type(self).calls += 1
        return 4 * (logits - targets) ** 3


class Weighing(Quartic):
    """Weights of its columns that it does not tell of: repeated columns are not what it knows."""

    def __init__(self, weights):
        self.weights = np.array(weights)

    def values(self, logits, targets):
        return super().values(logits, targets) * self.weights

    def gradients(self, logits, targets):
        return super().gradients(logits, targets) * self.weights


LOSSES = [
    ufm.CrossEntropy(smoothing=0.1, scales=(1, 2, 0.5)),
    ufm.CrossEntropy(weights=(1, 2, 3, 4)),
    ufm.BinaryCrossEntropy(),
    Quartic(),
    Weighing([1.0, 2.0, 3.0, 4.0]),
]


@pytest.mark.parametrize("loss", LOSSES, ids=lambda x: type(x).__name__)
def test_curvature_is_that_of_each_unit_vector(loss):
    z = np.random.default_rng(0).normal(size=TARGETS.shape)
    each = []
    for i in range(3):
        d = np.zeros_like(z)
        d[i] = 1.0
        each.append(loss.curvatures(z, TARGETS, d))
    risk = Risk(loss, TARGETS, PI, 0.5)
    for _ in range(2):
        assert np.array_equal(np.stack(list(risk.curved_units(z))), np.stack(each))


def test_repeated_columns_are_one_call():
    risk = Risk(Quartic(), TARGETS, PI, 0.0)
    z = np.zeros(TARGETS.shape)
    list(risk.curved_units(z))  # looks whether it may
    Quartic.calls = 0
    list(risk.curved_units(z))
    assert Quartic.calls == 2  # a difference of gradients


def test_a_bias_that_is_not_found_again_and_again_is_sought_less(monkeypatch):
    """Kinks, as of scales of 1e20: two long searches at each logits, then a short one, until one is found."""
    lengths, found = [], [False] * 10 + [True, True]

    def search(self, logits, starts, most):
        lengths.append(most)
        return starts[0]

    monkeypatch.setattr(Risk, "_newton_bias", search)
    risk = Risk(ufm.CrossEntropy(), TARGETS, PI, decay=0.1)
    for step, best in enumerate(found):
        monkeypatch.setattr(Risk, "_is_best", lambda self, logits, b, best=best: best)
        risk.best_bias(np.full((3, 4), float(step)))
    full, few = max(lengths), min(lengths)
    assert lengths == [full] * 16 + [few] * 3 + [full]
    assert few < full


def test_curvatures_that_jump_do_not_hold_the_bias_up():
    """A squared hinge whose kinks Newton's method zigzags along: exchanging classes changes no risk."""
    model, prior = ufm.LayerPeeled(0.3, 0.3), ufm.ClassPrior([2, 1, 1, 1])
    problem = Problem.of(model, prior, ufm.SquaredHinge(0.5), "free")
    rng = np.random.default_rng(0)
    for scale in (1.0, 4.0):
        z = scale * rng.standard_normal((4, 4))
        order = [0, 2, 1, 3]
        assert problem.risk(z[np.ix_(order, order)]) == pytest.approx(problem.risk(z), rel=1e-9)


@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_slopes_beside_any_bias_against_differences(decay):
    rng = np.random.default_rng(3)
    risk, logits, bias = Risk(Quartic(), TARGETS, PI, decay), rng.normal(size=(3, 4)), rng.normal(size=3)
    value, g, g_bias = risk.joint(logits, bias)
    assert value == pytest.approx(risk.beside(logits, bias))
    for d, e in ((rng.normal(size=(3, 4)), np.zeros(3)), (np.zeros((3, 4)), rng.normal(size=3))):
        ahead, behind = (risk.beside(logits + h * d, bias + h * e) for h in (1e-5, -1e-5))
        assert np.vdot(g, d) + g_bias @ e == pytest.approx((ahead - behind) / 2e-5, rel=1e-7)
