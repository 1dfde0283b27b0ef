"""Large convex problems through factors of few dimensions, against the method for the logits."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import ufm
from ufm.problem import Problem
from ufm.solvers import low_rank
from ufm.solvers.low_rank import spectral_norm_bound


@pytest.fixture(scope="module")
def contexts() -> ufm.Labels:
    """Soft targets of 12 classes in 40 contexts, of logits of rank 3."""
    rng = np.random.default_rng(0)
    z = 2 * rng.normal(size=(12, 3)) @ rng.normal(size=(3, 40))
    targets = np.exp(z - z.max(axis=0))
    return ufm.Labels(targets / targets.sum(axis=0), rng.integers(1, 30, size=40))


LOSSES = {
    "ce": "ce",
    "weighted": ufm.CrossEntropy(smoothing=0.1, weights=np.linspace(1, 2, 40), scales=np.linspace(1, 2, 12)),
    "bce": "bce",
    "mse": "mse",
}


DECAY, PEELED, DEQ = ufm.UnconstrainedFeatures(3e-3, 3e-3), ufm.LayerPeeled(0.2, 0.2), ufm.LinearDEQ(0.2, 0.2, 0.5)
CASES = [
    (DECAY, None, "ce"), (DECAY, "free", "weighted"), (DECAY, 0.1, "bce"), (DECAY, "free", "mse"), (DECAY, 0.1, "ce"),
    (PEELED, None, "weighted"), (PEELED, "free", "ce"), (PEELED, 0.1, "mse"), (DEQ, None, "bce"), (DEQ, 0.1, "ce"),
]  # fmt: skip


@pytest.mark.parametrize(("architecture", "bias", "loss"), CASES, ids=repr)
def test_it_agrees_with_the_method_for_logits(contexts, architecture, bias, loss):
    found = ufm.solve(architecture, contexts, LOSSES[loss], bias=bias, method="low_rank", tol=1e-7)
    other = ufm.solve(architecture, contexts, LOSSES[loss], bias=bias, method="nuclear")
    assert found.is_global is True
    assert other.lower * (1 - 1e-12) <= found.value <= other.value * (1 + 1e-7)
    assert found.lower <= other.value * (1 + 1e-12)
    assert np.abs(found.factors.logits - found.logits).max() <= 1e-9 * np.abs(found.logits).max()


def test_blocks_and_single_precision_give_the_same(contexts, monkeypatch):
    monkeypatch.setattr(low_rank, "_BLOCK", 12 * 7)
    monkeypatch.setattr(low_rank, "LARGE", 0)
    monkeypatch.setattr(low_rank, "_SMALL", 0)
    architecture = ufm.UnconstrainedFeatures(3e-3, 3e-3)
    found = ufm.solve(architecture, contexts, LOSSES["weighted"], bias=0.1, method="low_rank")
    other = ufm.solve(architecture, contexts, LOSSES["weighted"], bias=0.1, method="nuclear")
    assert found.is_global is True
    assert found.value == pytest.approx(other.value, rel=1e-6)


def test_gaps_are_those_of_double_precision(contexts, monkeypatch):
    seen = []

    def noted(search, value):
        exact = search._objective(search._packed(search.point, search.slack), search.point.p.shape[1], np.float64)[0]
        seen.append(abs(value / exact - 1))
        return estimate(search, value)

    estimate = low_rank._Search._estimated_gap
    monkeypatch.setattr(low_rank._Search, "_estimated_gap", noted)
    found = ufm.solve(ufm.UnconstrainedFeatures(3e-3, 3e-3), contexts, method="low_rank", precision="mixed")
    assert found.is_global is True
    assert max(seen) < 1e-12


def test_more_classes_than_columns(contexts):
    labels = ufm.Labels(contexts.targets[:, :7], contexts.counts[:7])
    found = ufm.solve(ufm.UnconstrainedFeatures(0.02, 0.02), labels, method="low_rank")
    assert found.is_global is True
    assert found.value == pytest.approx(ufm.solve(ufm.UnconstrainedFeatures(0.02, 0.02), labels).value, rel=1e-6)


def test_below_the_rank_the_gap_is_open_and_true(contexts):
    architecture = ufm.UnconstrainedFeatures(3e-3, 3e-3)
    best = ufm.solve(architecture, contexts, method="nuclear")
    rank = np.linalg.matrix_rank(best.logits, 1e-7)
    with pytest.warns(RuntimeWarning, match="dimensions are missing"):
        narrow = ufm.solve(architecture, contexts, method="low_rank", dim=int(rank) - 1)
    assert narrow.is_global is None
    assert narrow.lower <= best.value < narrow.value * (1 - 1e-9)
    assert narrow.info["norm"] > 1 + 1e-6
    assert narrow.features.shape == (rank - 1, 40)


@pytest.mark.parametrize("size", [20.0, 49.0, 50.0, 60.0])
def test_slack_budgets_end_at_risk_zero(contexts, size):
    """Also where a descent leaves the slack negative: the next one began without it, far above."""
    found = ufm.solve(ufm.LayerPeeled(size, size), contexts, "mse", method="low_rank")
    assert found.is_global is True
    assert found.value <= 1e-12


def test_too_much_decay_leaves_nothing(contexts):
    found = ufm.solve(ufm.UnconstrainedFeatures(1.0, 1.0), contexts, method="low_rank")
    assert found.is_global is True
    assert found.value == pytest.approx(np.log(12), rel=1e-12)
    assert not found.logits.any()


@pytest.mark.parametrize("shape", [(5, 8), (60, 90), (450, 20)])
def test_the_norm_is_bounded_from_above(shape):
    rng = np.random.default_rng(1)
    for scale in (1e-9, 1.0, 1e6):
        g = scale * rng.normal(size=shape)
        g[0] = 0.0
        bound = spectral_norm_bound(g @ g.T, shape[1], float(np.vdot(g, g)))
        assert 1 <= bound / np.linalg.norm(g, 2) < 1 + 1e-9
    assert spectral_norm_bound(np.zeros((3, 3)), 4, 0.0) == 0.0


def test_a_large_problem_is_given_to_it(monkeypatch, contexts):
    from ufm.solvers import auto

    problem = Problem.of(ufm.UnconstrainedFeatures(3e-3, 3e-3), contexts)
    assert auto.ranked(problem)[0].name == "nuclear"
    monkeypatch.setattr(auto, "LARGE", 100)
    assert [method.name for method in auto.ranked(problem)] == ["low_rank"]


@pytest.mark.parametrize(
    ("option", "value"), [("dim", 0), ("tol", 0.0), ("max_iter", 0), ("precision", "half"), ("seed", -1)]
)
def test_options_are_checked(contexts, option, value):
    with pytest.raises(ValueError, match=option):
        ufm.solve(ufm.UnconstrainedFeatures(3e-3, 3e-3), contexts, method="low_rank", **{option: value})


def test_one_iteration_says_so(contexts):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = ufm.solve(ufm.UnconstrainedFeatures(3e-3, 3e-3), contexts, method="low_rank", max_iter=1)
    assert found.is_global is None
    assert "max_iter = 1 reached" in str(caught[0].message)
    assert found.lower < found.value


@pytest.mark.parametrize(
    ("architecture", "bias"),
    [(ufm.UnconstrainedFeatures(2e-3, 2e-3), None), (ufm.LayerPeeled(0.5, 0.5), "free")],
)
def test_a_search_goes_on_from_a_looser_one(architecture, bias):
    labels = ufm.Labels(np.random.default_rng(0).dirichlet(0.3 * np.ones(12), size=30).T, np.ones(30))
    told = []
    options = {"bias": bias, "method": "low_rank"}
    loose = ufm.solve(architecture, labels, tol=1e-2, **options)
    close = ufm.solve(architecture, labels, tol=1e-6, **options)
    again = ufm.solve(architecture, labels, tol=1e-5, start=close, report=lambda *row: told.append(row), **options)
    further = ufm.solve(architecture, labels, tol=1e-6, start=loose, **options)
    assert further.is_global
    assert further.value == pytest.approx(close.value, rel=2e-6)
    assert again.value <= close.value * (1 + 1e-12)
    assert again.info["evaluations"] < close.info["evaluations"]
    assert [row[0] for row in told] == [again.info["evaluations"]]  # one round, for nothing was left to do
    assert told[0][1] == pytest.approx(again.value, rel=1e-9)


@pytest.mark.parametrize(
    ("start", "error", "message"),
    [
        (1.0, TypeError, "start must be a ufm.Solution, got 1.0"),
        ("other", ValueError, r"start must have logits of shape \(3, 3\), got \(2, 2\)"),
        ("wide", ValueError, "start must have at most dim = 1 dimensions, got"),
    ],
)
def test_what_cannot_be_gone_on_from_is_refused(start, error, message):
    problem = ufm.LayerPeeled(1.0, 1.0), ufm.ClassPrior([3, 2, 1])
    made = {"other": ufm.ClassPrior([2, 1]), "wide": problem[1]}
    start = ufm.solve(problem[0], made[start]) if isinstance(start, str) else start
    with pytest.raises(error, match=message):
        ufm.solve(*problem, method="low_rank", dim=1, start=start)
