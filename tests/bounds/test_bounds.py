"""Ranges near the optimum against CVXPY, against points within them, their laws and refusals."""

import cvxpy as cp
import numpy as np
import pytest

import ufm
from ufm.bounds import Range, functional_bounds, geometry_bounds
from ufm.problem import Problem
from ufm.solvers import nuclear

PRIOR = ufm.ClassPrior([4, 1, 1])
SOFT = ufm.Labels([[1, 0, 0.5, 0], [0, 1, 0.5, 0], [0, 0, 0, 1]], [4, 3, 2, 1])
PEELED, DECAY = ufm.LayerPeeled(0.8, 0.9), ufm.UnconstrainedFeatures(0.08, 0.1)


def by_cvxpy(problem, functional, v):
    """The largest value of the functional, by a conic solver."""
    k, m = problem.targets.shape
    z = cp.Variable((k, m))
    b = cp.Variable((k, 1)) if problem.bias is not None else np.zeros((k, 1))
    shifted = z + b @ np.ones((1, m))
    risk = problem.loss.expression(shifted, problem.targets, problem.prior.probabilities)
    if problem.bias:
        risk = risk + problem.bias / 2 * cp.sum_squares(b)
    norm = cp.normNuc(z @ np.diag(problem.weights))
    within = [risk <= v, norm <= problem.radius] if problem.is_constrained else [risk + problem.strength * norm <= v]
    found = cp.Problem(cp.Maximize(cp.sum(cp.multiply(functional, shifted))), within)
    found.solve(solver=cp.CLARABEL)
    return found.value


@pytest.mark.parametrize(
    ("architecture", "labels", "loss", "bias"),
    [
        (PEELED, PRIOR, "ce", None),
        (DECAY, PRIOR, "ce", None),
        (PEELED, SOFT, ufm.CrossEntropy(smoothing=0.1), None),
        (DECAY, SOFT, "ce", "free"),
        (PEELED, PRIOR, "bce", 0.3),
        (DECAY, SOFT, "bce", None),
        (DECAY, PRIOR, "mse", 0.5),
    ],
)
@pytest.mark.sample(4)
def test_against_a_conic_solver(architecture, labels, loss, bias):
    s = ufm.solve(architecture, labels, loss, bias=bias)
    functional = np.zeros_like(s.logits)
    functional[0, 0], functional[1, 0] = 1.0, -1.0
    for gap in (1e-2, 1e-4):
        found = functional_bounds(s, functional, gap)
        above = by_cvxpy(s.problem, functional, s.upper + gap)
        below = -by_cvxpy(s.problem, -functional, s.upper + gap)
        width = above - below
        assert found.upper == pytest.approx(above, abs=2e-3 * width)
        assert found.lower == pytest.approx(below, abs=2e-3 * width)
        room = 1e-7 / gap  # what a conic solver's tolerance of 1e-8 in the objective lets it gain
        assert found.upper >= above - room * width
        assert found.lower <= below + room * width
        assert found.lower <= found.attained_lower <= found.attained_upper <= found.upper
        assert found.attained_upper - found.attained_lower > 0.9 * (found.upper - found.lower)


@pytest.mark.parametrize("architecture", [PEELED, DECAY])
def test_what_is_near_lies_within(architecture):
    s = ufm.solve(architecture, PRIOR)
    near = geometry_bounds(s, 1e-2)
    rng = np.random.default_rng(0)
    seen = 0
    for _ in range(200):
        z = s.logits + 0.3 * rng.random() * rng.standard_normal((3, 3))
        if s.problem.is_constrained:
            z *= min(1.0, s.problem.radius / s.problem.gauge(z))
        if s.problem.objective(z) <= near.objective:
            seen += 1
            assert z[1, 1] - z[2, 1] in near.margins[1, 1]
            assert z[0, 0] - z[2, 0] in near.margins[0, 1]
            assert (z[1, 1] + z[2, 2] - z[1, 2] - z[2, 1]) / 2 in near.scales[1]
    assert seen > 20


def test_ranges_shrink_with_the_root_of_the_gap():
    s = ufm.solve(PEELED, PRIOR)
    widths = [near.upper - near.lower for near in (geometry_bounds(s, g).scales[1] for g in (1e-4, 1e-6))]
    assert widths[0] / widths[1] == pytest.approx(10, rel=0.2)


def test_a_gap_says_when_a_group_has_not_collapsed():
    s = ufm.solve(ufm.LayerPeeled(1.0, 2.0), PRIOR)
    assert geometry_bounds(s, 1e-4).uncollapsed == (1,)
    wide = geometry_bounds(s, 0.2)
    assert wide.uncollapsed == ()
    assert 0.0 in wide.scales[1]
    collapsed = ufm.solve(ufm.LayerPeeled(1.0, 2.0), ufm.ClassPrior([400, 1, 1]))
    assert 0.0 in geometry_bounds(collapsed, 1e-7).scales[1]


def test_a_measured_objective():
    s = ufm.solve(DECAY, PRIOR)
    measured = s.value + 1e-3
    by_gap, by_objective = geometry_bounds(s, 1e-3), geometry_bounds(s.problem, objective=measured)
    assert by_objective.scales[1].upper == pytest.approx(by_gap.scales[1].upper, rel=1e-6)
    assert "margin of a class" in by_gap._repr_html_()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s: geometry_bounds(s, -1.0), "gap"),
        (lambda s: geometry_bounds(s, 1e-3, objective=1.0), "gap"),
        (lambda s: geometry_bounds(s, objective=0.0), "objective"),
        (lambda s: geometry_bounds(ufm.solve(PEELED, SOFT)), "functional_bounds"),
        (lambda s: functional_bounds(s, np.ones((2, 3))), "functional"),
        (lambda s: functional_bounds(s, np.zeros((3, 3))), "functional"),
        (lambda s: geometry_bounds(Problem.of(ufm.DeepLinear((1, 1, 1)), PRIOR)), "convex"),
        (lambda s: geometry_bounds(Problem.of(PEELED, PRIOR, ufm.FocalLoss())), "convex"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(ValueError, match=message):
        call(ufm.solve(PEELED, PRIOR))
    with pytest.raises(TypeError, match="problem"):
        geometry_bounds(1.0)


def test_a_range_contains_its_ends():
    assert 1.0 in Range(1.0, 2.0, 1.0, 2.0)
    assert 2.1 not in Range(1.0, 2.0, 1.0, 2.0)


def test_tilts_without_a_minimum_are_given_up_early(monkeypatch):
    """Beyond the penalty's slope logits only grow: no sixty rounds are spent on each such tilt."""
    rounds = []

    class Counted(nuclear._Search):
        def run(self, tol, max_iter, hopeless=None):
            found = super().run(tol, max_iter, hopeless)
            rounds.append(self.iterations)
            return found

    architecture, prior = ufm.UnconstrainedFeatures(0.0194, 0.007), ufm.ClassPrior([1, 100, 0.2, 1, 5])
    s = ufm.solve(architecture, prior)
    functional = np.zeros((5, 5))
    functional[2, 2], functional[0, 2] = -1.0, 1.0
    monkeypatch.setattr(nuclear, "_Search", Counted)
    found = functional_bounds(s, functional, 0.7)
    assert found.lower < found.attained_lower < found.attained_upper < found.upper
    assert max(rounds) < 30
    assert sum(rounds) < 200
