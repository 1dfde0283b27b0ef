"""Architectures of one's own at every size of their bound or penalty, against those of this package."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import ufm

LABELS = ufm.Labels([[1.0, 0.0, 0.5], [0.0, 1.0, 0.5]], [5.0, 2.0, 1.0])


class Nuclear(ufm.Architecture):
    """``lam |Y|_*``, Y = Z diag(sqrt(n)): weight decay with ``lam = sqrt(lambda_W lambda_H)``."""

    def __init__(self, lam):
        self.lam = lam

    def column_weights(self, prior):
        return np.sqrt(prior.counts)

    def gauge(self, y):
        return self.lam * float(np.linalg.norm(y, "nuc"))

    def polar(self, gradient):
        return float(np.linalg.norm(gradient, 2)) / self.lam

    def atom(self, gradient):
        u, _, vt = np.linalg.svd(gradient)
        return np.outer(u[:, 0], vt[0]) / self.lam


class Ball(Nuclear):
    """``|Z|_* <= tau``."""

    def __init__(self, tau):
        super().__init__(1.0)
        self.tau = tau

    def column_weights(self, prior):
        return np.ones(prior.num_columns)

    def bound(self, num_classes):
        return self.tau


@pytest.mark.parametrize("loss", ["ce", "mse", ufm.CrossEntropy(smoothing=0.3), "bce"])
@pytest.mark.parametrize("lam", [1e-6, 1e-3, 0.1])
def test_a_penalty_of_any_size(loss, lam):
    """Of 1e-6 the method stopped at once, ten thousand times above the optimum, for its first weights were 1/2."""
    own = ufm.solve(Nuclear(lam), LABELS, loss)
    known = ufm.solve(ufm.UnconstrainedFeatures(lam, lam), LABELS, loss)
    assert own.is_global is True
    assert own.value == pytest.approx(known.value, rel=2e-6)
    assert own.lower <= known.value * (1 + 1e-9)


@pytest.mark.parametrize("loss", ["mse", ufm.CrossEntropy(smoothing=0.3)])
@pytest.mark.parametrize("tau", [1e-3, 1.0, 1e3, 1e6])
def test_a_bound_of_any_size(loss, tau):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a closed gap of a large bound takes gradients of rounding
        own = ufm.solve(Ball(tau), LABELS, loss)
    known = ufm.solve(ufm.LayerPeeled(tau / 2, tau / 2), LABELS, loss)
    assert own.value == pytest.approx(known.value, rel=2e-6, abs=1e-9)
    # the gap is the bound times the polar of the gradient, of which every processor leaves some 1e-9 in its last bits
    assert own.is_global is True or 0 <= own.value - own.lower < 1e-8 * tau
    assert own.is_global is True or tau >= 1e3


def test_the_value_is_the_objective_at_the_logits_though_atoms_weigh_more():
    """Atoms in use weigh at least the gauge of their sum; where they weighed more, the method called itself wrong."""
    targets = np.array([[1.4, 0.3, 1.9, 0.2, 0.7, 1.1], [0.1, 1.2, 0.4, 1.7, 0.2, 0.9], [0.8, 0.2, 1.3, 0.6, 1.5, 0.1]])
    labels = ufm.Labels(targets, [1e3, 5.0, 1.0, 1e3, 3.7, 2.0])
    with pytest.warns(RuntimeWarning, match="gap"):
        found = ufm.solve(Nuclear(1e-4), labels, ufm.CrossEntropy(smoothing=0.9), max_iter=8, method="atoms")
    assert found.value == found.problem.objective(found.logits)


def test_an_optimum_far_inside_of_the_ball_is_found():
    """Curvature that is all but singular gave a step beyond all numbers, and the decomposition of it an error."""
    targets = [
        [1.0, 1.0, 1.0, 0.0, 1.0, 0.0],
        [0.0, 0.0, 1.0, 1.0, 1.0, 1.0],
        [1.0, 1.0, 0.0, 0.0, 0.0, 0.0],
        [0.0, 0.0, 0.0, 0.0, 1.0, 0.0],
    ]
    labels = ufm.Labels(targets, [1.0, 20.0, 3.7, 1.0, 0.5, 5.0])
    values = [
        ufm.solve(ufm.LayerPeeled(size, size), labels, ufm.CrossEntropy(smoothing=0.9)) for size in (1.0, 800.0, 1040.0)
    ]
    assert all(found.is_global for found in values)
    assert [found.value for found in values] == pytest.approx([values[0].value] * 3, rel=1e-12)


@pytest.mark.parametrize(
    "loss",
    [ufm.CrossEntropy(smoothing=0.1), "bce", ufm.CrossEntropy(shifts=[1.0, -2.0])],
    ids=["smooth", "bce", "shift"],
)
@pytest.mark.parametrize("bias", [None, "free"])
def test_a_ball_that_is_far_larger_than_the_optimum(loss, bias):
    """The start was on its surface, at logits of its size: at 1e5 the value found was a thousand times the optimum."""
    targets = 0.9 * np.array([[1.0, 0.0, 0.5, 0.9], [0.0, 1.0, 0.6, 0.2]]) + 0.05  # none is reached at infinity alone
    labels = ufm.Labels(targets, [5.0, 2.0, 1.0, 3.0])
    found = [ufm.solve(ufm.LayerPeeled(size, size), labels, loss, bias=bias) for size in (10.0, 1e3, 1e5)]
    assert all(one.is_global for one in found[:2])
    least = found[0].value
    assert [one.value for one in found] == pytest.approx([least] * 3, rel=1e-9)
