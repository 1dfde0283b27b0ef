"""Two-group problems under any convex loss, many at a time, against closed forms and single solves of the same."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import pytest

import ufm
from ufm import solve_batch
from ufm.phases import PHASES
from ufm.two_groups._any_loss import Group, _Gauge, _Risk


class OwnCrossEntropy(ufm.CrossEntropy):
    """Cross-entropy again, by a class of which no closed form is known."""


class OwnSquares(ufm.MeanSquaredError):
    """Squared errors again, by a class of which no closed form is known."""


@dataclass(frozen=True)
class Quartic(ufm.Loss):
    """The fourth power of the residual and some of its square, with nothing known but values and gradients."""

    is_convex = True

    def values(self, logits, targets):
        r = logits - targets
        return (r**4 + 0.1 * r**2).sum(axis=0)

    def gradients(self, logits, targets):
        r = logits - targets
        return 4 * r**3 + 0.2 * r


BUDGETS = {"E_W": 1.0, "E_H": np.array([0.05, 0.3, 2.0, 8.0])[:, None]}
DECAYS = {"lambda_W": np.array([1e-3, 1e-2, 0.1, 2.0])[:, None], "lambda_H": 1e-2, "minority_count": 2.0}


@pytest.mark.parametrize("sizes", [(3, 2), (1, 4), (2, 1)])
@pytest.mark.parametrize("keywords", [BUDGETS, DECAYS], ids=["budgets", "decay"])
@pytest.mark.parametrize(("loss", "own"), [("ce", OwnCrossEntropy()), ("mse", OwnSquares())], ids=["ce", "mse"])
def test_without_the_closed_form_the_optima_are_the_same(sizes, keywords, loss, own):
    ratio = np.array([1.0, 3.0, 40.0])
    closed, found = (solve_batch(*sizes, ratio, rho=0.2, loss=kind, **keywords) for kind in (loss, own))
    np.testing.assert_allclose(found.value, closed.value, rtol=1e-10, atol=1e-14)
    assert (found.lower <= closed.value * (1 + 1e-12) + 1e-14).all()
    np.testing.assert_array_equal(found.phase, closed.phase)
    for k, s, d in ((sizes[0], "s_A", "d_A"), (sizes[1], "s_B", "d_B")):
        # how far a class stands out of its group, and out of all others for a group of one class
        ours, theirs = (getattr(x, s) + getattr(x, d) if k == 1 else getattr(x, s) for x in (found, closed))
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    "loss",
    [
        ufm.CrossEntropy(smoothing=0.1),
        ufm.CrossEntropy(scales=[1.0, 1.0, 1.0, 0.5, 0.5], shifts=[0.0, 0.0, 0.0, 1.0, 1.0]),
        ufm.CrossEntropy(weights=[1.0, 1.0, 1.0, 4.0, 4.0]),
        "bce",
        ufm.SquaredHinge(),
        Quartic(),
    ],
    ids=["smoothing", "scales", "weights", "bce", "hinge", "own"],
)
def test_points_are_single_solves(loss):
    ratios = np.array([1.5, 30.0])
    cases = (
        ({"E_W": 1.0, "E_H": 0.5}, ufm.LayerPeeled(1.0, 0.5)),
        ({"lambda_W": 0.03, "lambda_H": 0.03}, ufm.UnconstrainedFeatures(0.03, 0.03)),
    )
    for keywords, architecture in cases:
        found = solve_batch(3, 2, ratios, loss=loss, **keywords)
        for i, ratio in enumerate(ratios):
            alone = ufm.solve(architecture, ufm.ClassPrior.step(3, 2, ratio), loss)
            assert found.value[i] == pytest.approx(alone.value, rel=1e-9)
            assert found.gap[i] <= 1e-9 * found.value[i]
            assert PHASES[found.phase[i]] == alone.geometry.phase


@pytest.mark.parametrize("loss", ["ce", "mse", "bce"])
def test_derivatives_by_the_parameters(loss):
    """By the radius r = K sqrt(E_W E_H)/(1 - rho) a value has the derivative ``-mu``, by the strength the gauge."""
    ratio, step = np.array([2.0, 30.0]), 1e-5
    value = {
        sign: solve_batch(3, 2, ratio, E_W=1.0, E_H=0.3 * (1 + sign * step), rho=0.5, loss=loss) for sign in (-1, 0, 1)
    }
    slope = (value[1].value - value[-1].value) / (2 * step * 0.3)
    radius = 5 * np.sqrt(0.3) / 0.5
    np.testing.assert_allclose(slope, -value[0].multiplier * radius / (2 * 0.3), rtol=1e-6)


def test_shapes_and_chunks_change_nothing():
    keywords = {"num_majority": np.array([2, 3, 2])[:, None], "num_minority": 2, "ratio": [2.0, 9.0], "loss": "bce"}
    whole = solve_batch(**keywords, E_W=1.0, E_H=1.0)
    parts = solve_batch(**keywords, E_W=1.0, E_H=1.0, chunk_size=2, workers=2)
    assert whole.shape == (3, 2)
    np.testing.assert_array_equal(whole.value[0], whole.value[2])
    np.testing.assert_allclose(parts.value, whole.value, rtol=1e-12)


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"loss": ufm.FocalLoss()}, "loss must be convex for arrays of problems"),
        ({"loss": ufm.CrossEntropy(scales=[1.0, 2.0, 1.0, 1.0])}, "loss must treat the 2 classes of a group alike"),
        ({"loss": ufm.CrossEntropy(weights=[1.0, 1.0, 1.0, 2.0])}, "loss must treat the 2 classes of a group alike"),
        ({"loss": ufm.CrossEntropy(weights=[1.0, 1.0])}, "weights must have one entry a column, 4, got 2"),
        ({"loss": "bce", "compiled": True}, "compiled=True is for cross-entropy"),
    ],
    ids=["convex", "scales", "weights", "number", "compiled"],
)
def test_what_does_not_fit_is_refused(keywords, message):
    with pytest.raises(ValueError, match=message):
        solve_batch(2, 2, 3.0, E_W=1.0, E_H=1.0, **keywords)


def test_tensors_are_refused():
    torch = pytest.importorskip("torch")
    with pytest.raises(ValueError, match="loss must be 'ce' or 'mse' on tensors"):
        solve_batch(2, 2, torch.tensor([3.0]), E_W=1.0, E_H=1.0, loss="bce")


def test_a_point_that_stays_open_is_solved_alone(monkeypatch):
    """Without a step left every point is handed to ``ufm.solve``."""
    expected = solve_batch(2, 2, [2.0, 7.0], E_W=1.0, E_H=1.0, loss="bce")
    monkeypatch.setattr("ufm.two_groups._any_loss._MOST_STEPS", 0)
    found = solve_batch(2, 2, [2.0, 7.0], E_W=1.0, E_H=1.0, loss="bce")
    for name in ("value", "s_A", "s_B", "d_A", "d_B"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=1e-7, atol=1e-9)
    np.testing.assert_array_equal(found.phase, expected.phase)
    monkeypatch.setattr("ufm.two_groups._any_loss._solved_alone", lambda *_: (np.inf, 0.0))
    with pytest.warns(RuntimeWarning, match="2 of 2 points have a relative duality gap"):
        solve_batch(2, 2, [2.0, 7.0], E_W=1.0, E_H=1.0, loss="bce")


def group(is_ball):
    mass, omega = np.array([[0.75, 0.25]] * 4), np.array([[1.5, 1.0]] * 4)
    return Group((3, 2), mass, omega, np.full(4, 1.2), is_ball)


def differences(function, x, step=1e-6):
    """The derivative (n, m, 6) of a function of points (n, 6)."""
    ahead, behind = ([function(x + sign * step * e) for e in np.eye(6)] for sign in (1, -1))
    return np.stack([(a - b) / (2 * step) for a, b in zip(ahead, behind, strict=True)], axis=-1)


def test_derivatives_of_the_risk():
    risk, index = _Risk(ufm.BinaryCrossEntropy(), group(True)), np.arange(4)
    x = np.random.default_rng(0).standard_normal((4, 6))
    gradient = differences(lambda y: risk.value(y, index)[:, None], x)[:, 0]
    np.testing.assert_allclose(risk.value_and_gradient(x, index)[1], gradient, atol=1e-8)
    hessian = differences(lambda y: risk.value_and_gradient(y, index)[1], x)
    np.testing.assert_allclose(risk.hessian(x, index), hessian, atol=1e-8)


@pytest.mark.parametrize("is_ball", [True, False])
def test_derivative_of_the_prox(is_ball):
    points = group(is_ball)
    gauge, step = _Gauge(points), np.full(4, 0.5)
    v = 1.5 * np.random.default_rng(1).standard_normal((4, 6))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        p = gauge.prox(v, points.limit, step)
        found = gauge.derivative(p)
    expected = differences(lambda y: gauge.prox(y, points.limit, step).x, v)
    np.testing.assert_allclose(found, expected, atol=1e-7)
    if is_ball:
        np.testing.assert_allclose(gauge.of(p.x), 1.2, rtol=1e-12)
