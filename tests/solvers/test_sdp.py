"""Fang et al.'s semidefinite relaxation: its own numbers, its multipliers, what it does when the solver fails."""

from __future__ import annotations

import math
import warnings

import cvxpy as cp
import numpy as np
import pytest

import ufm
from ufm.problem import Problem
from ufm.solvers import sdp
from ufm.solvers.nuclear import solve_nuclear
from ufm.solvers.sdp import solve_sdp

#: (architecture, loss), solved below for an imbalanced prior
CASES = [
    (ufm.LayerPeeled(1.0, 3.0), "ce"),
    (ufm.LayerPeeled(0.8, 0.4), "mse"),
    (ufm.DeepLinear((2.0, 9.0)), "ce"),
    (ufm.LinearDEQ(1.0, 2.0, rho=0.4), "ce"),
    (ufm.LinearDEQ(0.3, 0.2, rho=0.4), "mse"),
    (ufm.UnconstrainedFeatures(0.01, 0.05), "ce"),
    (ufm.UnconstrainedFeatures(0.01, 0.05), "mse"),
    (ufm.PenalisedDEQ(0.01, 0.05, rho=0.4), "ce"),
]


@pytest.mark.parametrize(("architecture", "loss"), CASES)
def test_agrees_with_the_gauge(architecture, loss):
    p = Problem.of(architecture, ufm.ClassPrior([12, 5, 2, 1]), loss)
    s = solve_sdp(p)
    assert s.value == pytest.approx(solve_nuclear(p).value, rel=1e-6)
    assert s.info["objective"] == pytest.approx(s.value, rel=1e-6)
    assert s.is_global is True
    assert s.lower <= s.value <= s.lower * (1 + 1e-5)
    assert s.factors.logits == pytest.approx(s.logits, abs=1e-8 * np.abs(s.logits).max())
    if p.is_constrained:
        assert p.gauge(s.logits) <= p.radius * (1 + 1e-13)


def test_fangs_figure_3_instance():
    """K = 10, E_W = 1, E_H = 5, K_A = 5: below and above the threshold R* = 12.19."""
    for ratio, collapsed in ((10.0, False), (15.0, True)):
        p = Problem.of(ufm.LayerPeeled(1, 5), ufm.ClassPrior.step(5, 5, ratio))
        s = solve_sdp(p)
        assert s.value == pytest.approx(solve_nuclear(p).value, rel=1e-7)
        block = s.logits[5:, 5:]
        assert (np.diagonal(block).mean() - block[0, 1] < 1e-3) == collapsed
        w = s.classifier[5:] / np.linalg.norm(s.classifier[5:], axis=1, keepdims=True)
        assert ((w @ w.T).min() > 1 - 1e-3) == collapsed


def test_balanced_closed_form():
    k, tau = 4, 4 * math.sqrt(2 * 3)
    s = solve_sdp(Problem.of(ufm.LayerPeeled(2, 3), ufm.ClassPrior.balanced(k)))
    assert s.value == pytest.approx(math.log1p((k - 1) * math.exp(-tau / (k - 1))), rel=1e-7)
    assert s.logits == pytest.approx(tau / (k - 1) * (np.eye(k) - 1 / k), abs=1e-4)


@pytest.mark.parametrize("architecture", [ufm.LayerPeeled(1.0, 3.0), ufm.LinearDEQ(1.0, 2.0, rho=0.4)])
def test_budget_multipliers_give_that_of_the_nuclear_norm(architecture):
    """min over W H = Z of y_W |W|^2 + y_H |H|^2 is 2 sqrt(y_W y_H) |Z|_*."""
    p = Problem.of(architecture, ufm.ClassPrior([12, 5, 2, 1]))
    s = solve_sdp(p)
    y_w, y_h = s.info["budget_multipliers"]
    mu = solve_nuclear(p).multiplier
    assert 2 * math.sqrt(y_w * y_h) == pytest.approx(mu, rel=1e-5)
    assert s.multiplier == pytest.approx(mu, rel=1e-4)
    # both budgets buy the same: y_W c_W = y_H c_H (in the budget of what the classifier sees)
    budget_w, budget_h = architecture.factor_budgets(4)
    assert y_w * budget_w == pytest.approx(y_h * budget_h / (1 - architecture.spectral_bound) ** 2, rel=1e-5)


def test_idle_budget_under_mse():
    s = solve_sdp(Problem.of(ufm.LayerPeeled(2, 2), ufm.ClassPrior([3, 2, 1]), "mse"))
    assert s.value < 1e-15
    assert s.logits == pytest.approx(np.eye(3), abs=1e-7)
    assert s.is_global is True


def test_another_solver():
    p = Problem.of(ufm.LayerPeeled(0.5, 0.5), ufm.ClassPrior([3, 2, 1]), "mse")
    s = solve_sdp(p, solver="SCS")
    assert s.info["solver"] == "SCS"
    assert s.value == pytest.approx(solve_nuclear(p).value, rel=1e-5)


def test_risk_below_the_accuracy_of_the_solver_is_not_called_optimal():
    p = Problem.of(ufm.LayerPeeled(20, 20), ufm.ClassPrior([3, 2, 1]))
    with pytest.warns(RuntimeWarning, match="duality gap"):
        s = solve_sdp(p)
    assert s.is_global is None
    assert s.lower <= solve_nuclear(p).value <= s.upper


def test_wrong_scale_of_the_equilibrium_is_noticed(monkeypatch):
    """(1 - rho) in place of (1 - rho)^2 in the budget of z* changes the value."""
    p = Problem.of(ufm.LinearDEQ(1.0, 2.0, rho=0.4), ufm.ClassPrior([12, 5, 2, 1]))
    right = sdp._scales
    monkeypatch.setattr(sdp, "_scales", lambda q: (right(q)[0], right(q)[1] * math.sqrt(0.6)))
    with pytest.warns(RuntimeWarning, match="duality gap"):
        s = solve_sdp(p)
    assert s.value > solve_nuclear(p).value * 1.1
    assert s.is_global is None


def test_failure_of_the_solver_is_a_runtime_error(monkeypatch):
    p = Problem.of(ufm.LayerPeeled(1, 1), ufm.ClassPrior([3, 2, 1]))

    def fail(self, **options):
        raise cp.error.SolverError("out of luck")

    with monkeypatch.context() as patch:
        patch.setattr(cp.Problem, "solve", fail)
        with pytest.raises(RuntimeError, match=r"CLARABEL failed: out of luck"):
            solve_sdp(p)
    monkeypatch.setitem(sdp._SETTINGS, "SCS", {"max_iters": 1})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            s = solve_sdp(p, solver="SCS")
        except RuntimeError as error:
            assert "status" in str(error)  # noqa: PT017
        else:
            assert s.is_global is None


def test_unsolved_status_is_a_runtime_error(monkeypatch):
    monkeypatch.setattr(cp.Problem, "solve", lambda self, **options: None)
    with pytest.raises(RuntimeError, match="status None"):
        solve_sdp(Problem.of(ufm.LayerPeeled(1, 1), ufm.ClassPrior([3, 2, 1])))


def test_many_classes_warn(monkeypatch):
    monkeypatch.setattr(sdp, "_SLOW_CLASSES", 2)
    with pytest.warns(UserWarning, match=r"slow for K = 3 > 2 classes"):
        solve_sdp(Problem.of(ufm.LayerPeeled(1, 1), ufm.ClassPrior([3, 2, 1])))


@pytest.mark.parametrize(
    ("option", "value", "error"),
    [("tol", 0, ValueError), ("tol", None, TypeError), ("solver", "NO_SUCH", ValueError), ("solver", 3, TypeError)],
)
def test_bad_options(option, value, error):
    with pytest.raises(error, match=option):
        ufm.solve(ufm.LayerPeeled(1, 1), ufm.ClassPrior([2, 1, 1]), method="sdp", **{option: value})
