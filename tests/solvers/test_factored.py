"""Nonnegative features and bounded norms: closed forms, an independent conic programme, what the factors must be."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ufm
from ufm.architectures import Factors
from ufm.problem import Problem
from ufm.testing import assert_feasible, assert_optimal, problems
from ufm.two_groups.thresholds import total_collapse_threshold

SOFT = ufm.Labels([[0.7, 0.1, 0.3, 0.0], [0.3, 0.8, 0.3, 0.1], [0.0, 0.1, 0.4, 0.9]], [6, 3, 2, 4])
MULTI = ufm.Labels.multi_label(3, [(0,), (0, 1), (1, 2), (2,)], [5, 2, 1, 4])
STEP = ufm.ClassPrior([9, 5, 2, 1])
PEELED = ufm.LayerPeeled(0.5, 0.8, features="nonnegative")
DECAYED = ufm.UnconstrainedFeatures(0.03, 0.04, features="nonnegative")
BOUNDED = ufm.NormBounded(0.5, 1.2)


def separated(counts, lam):
    """The optimal value of cross-entropy under weight decay, class by class (theory section 8)."""
    n, k = np.asarray(counts, dtype=float), len(counts)
    a = np.log(np.maximum(1.0, (k - 1) * (math.sqrt(k / (k - 1)) * np.sqrt(n) / (n.sum() * lam) - 1)))
    return float((n / n.sum() * np.log1p((k - 1) * np.exp(-a)) + lam * np.sqrt(n * (k - 1) / k) * a).sum())


@pytest.mark.parametrize("counts", [(5, 5, 5), (9, 5, 2, 1), (20, 15, 10, 6, 3, 1)])
@pytest.mark.parametrize("lam", [0.01, 0.03, 0.08])
def test_weight_decay_separates_over_classes(counts, lam):
    s = ufm.solve(
        ufm.UnconstrainedFeatures(lam, lam, features="nonnegative"), ufm.ClassPrior(counts), method="factored"
    )
    assert s.value == pytest.approx(separated(counts, lam), rel=1e-12)
    assert s.is_global is True
    assert_optimal(s, rtol=1e-11)


@pytest.mark.parametrize("num_classes", [2, 3, 6])
def test_balanced_budgets(num_classes):
    k, tau = num_classes, num_classes * math.sqrt(0.5 * 0.8)
    s = ufm.solve(PEELED, ufm.ClassPrior.balanced(k), method="factored")
    assert s.value == pytest.approx(math.log1p((k - 1) * math.exp(-tau / math.sqrt(k * (k - 1)))), rel=1e-12)


@pytest.mark.parametrize("num_classes", [2, 3, 6])
def test_bounded_norms_of_balanced_classes_are_an_etf(num_classes):
    k = num_classes
    s = ufm.solve(ufm.NormBounded(1.0, 3.0), ufm.ClassPrior.balanced(k), method="factored")
    assert s.value == pytest.approx(math.log1p((k - 1) * math.exp(-3 * k / (k - 1))), rel=1e-12)
    assert s.geometry.etf_error < 1e-6


def conic(problem):
    """The problem as a conic programme in the Gram matrix of factors: none of the code that it tests."""
    cp = pytest.importorskip("cvxpy")
    k, m = problem.targets.shape
    x = cp.Variable((k + m, k + m), PSD=True)
    z = x[:k, k:]
    shifted, extra = z, 0.0
    if problem.bias is not None:
        b = cp.Variable((k, 1))
        shifted, extra = z + b @ np.ones((1, m)), problem.bias / 2 * cp.sum_squares(b)
    objective = problem.loss.expression(shifted, problem.targets, problem.prior.probabilities) + extra
    architecture = problem.architecture
    if isinstance(architecture, ufm.NormBounded):
        where = [cp.diag(x[:k, :k]) <= architecture.w**2, cp.diag(x[k:, k:]) <= architecture.h**2]
    elif problem.is_constrained:
        where = [
            x[k:, k:] >= 0,
            cp.trace(x[:k, :k]) <= k * architecture.E_W,
            cp.trace(x[k:, k:]) <= k * architecture.E_H,
        ]
    else:
        where = [x[k:, k:] >= 0]
        objective += architecture.lambda_W / 2 * cp.trace(x[:k, :k])
        objective += architecture.lambda_H / 2 * (problem.prior.counts @ cp.diag(x[k:, k:]))
    program = cp.Problem(cp.Minimize(objective), where)
    program.solve(solver="CLARABEL", tol_gap_abs=1e-10, tol_gap_rel=1e-10, tol_feas=1e-10)
    return float(program.value)


CASES = [
    (architecture, prior, loss, bias)
    for architecture in (PEELED, DECAYED, BOUNDED)
    for prior, loss, bias in (
        (STEP, "ce", None),
        (STEP, "ce", "free"),
        (STEP, ufm.CrossEntropy(smoothing=0.2), 0.4),
        (STEP, ufm.SquaredHinge(), None),
        (SOFT, "ce", None),
        (SOFT, "mse", 0.3),
        (MULTI, "bce", "free"),
        (MULTI, "mse", None),
    )
]


@pytest.mark.parametrize(("architecture", "prior", "loss", "bias"), CASES)
@pytest.mark.sample(8)
def test_agrees_with_the_conic_programme(architecture, prior, loss, bias):
    """Four columns: completely positive is doubly nonnegative, so the programme is exact."""
    s = ufm.solve(architecture, prior, loss, bias=bias)
    assert s.value == pytest.approx(conic(s.problem), rel=1e-6, abs=1e-9)
    assert s.is_global is True
    assert s.gap <= 1e-10 * s.value
    assert_optimal(s, rtol=1e-9)


@pytest.mark.parametrize("architecture", [PEELED, DECAYED, BOUNDED])
@pytest.mark.parametrize(("prior", "loss"), [(STEP, "ce"), (SOFT, "mse"), (MULTI, "bce")])
@pytest.mark.sample(3)
def test_direct_descent_in_the_factors_ends_at_the_same_value(architecture, prior, loss):
    s = ufm.solve(architecture, prior, loss)
    direct = ufm.solve(architecture, prior, loss, method="direct", dim=8, starts=1)
    assert direct.value == pytest.approx(s.value, rel=1e-7)
    assert_feasible(direct)


def test_features_that_vanish_at_the_threshold():
    """Class k vanishes iff n_k <= N^2 lam^2 K / (K - 1), and no class is left with a direction that it shares."""
    counts = np.array([30.0, 20.0, 4.2, 3.8, 3.8])
    k, n = len(counts), counts.sum()
    lam = math.sqrt(4.0 * (k - 1) / k) / n
    s = ufm.solve(ufm.UnconstrainedFeatures(lam, lam, features="nonnegative"), ufm.ClassPrior(counts))
    lengths = np.linalg.norm(s.features, axis=0)
    assert (lengths[:3] > 1e-2).all()
    assert lengths[3:].max() < 1e-9
    assert s.geometry.collapsed_classes == ((3, 4),)
    assert s.geometry.phase == "total"


def test_dim_below_the_number_of_atoms_is_a_constraint():
    s = ufm.solve(PEELED, ufm.ClassPrior.balanced(3))
    assert s.geometry.rank == 2
    with pytest.warns(RuntimeWarning, match=r"relative duality gap .* \(dim = 2 is a constraint: .* took 3\)"):
        narrow = ufm.solve(PEELED, ufm.ClassPrior.balanced(3), method="factored", dim=2)
    assert narrow.is_global is None
    assert narrow.value > s.value * (1 + 1e-3)
    assert narrow.lower == pytest.approx(s.value, rel=1e-9)
    assert_feasible(narrow)
    with pytest.raises(ValueError, match=r"dim must be at least the number of nonnegative atoms .* 3, got 2"):
        s.problem.architecture.factorise(s.logits, s.problem.prior, 2)


@pytest.mark.filterwarnings("ignore:method 'factored' stopped")
@pytest.mark.parametrize("architecture", [PEELED, DECAYED, BOUNDED, ufm.NormBounded(1.0, 6.0)])
@pytest.mark.parametrize("labels", [STEP, SOFT])
def test_few_dimensions_are_bounded_by_the_problem_without_the_constraint(architecture, labels):
    """The tangent at the narrow optimum alone bounds far below it, at 0 for bounded norms."""
    wide = ufm.solve(architecture, labels, method="factored")
    narrow = ufm.solve(architecture, labels, method="factored", dim=1)
    assert narrow.lower == pytest.approx(wide.value, rel=1e-8)
    assert narrow.value > wide.value
    assert_feasible(narrow)


def test_wide_factors():
    for architecture in (PEELED, BOUNDED):
        s = ufm.solve(architecture, STEP, dim=11)
        assert s.features.shape == (11, 4)
        assert_feasible(s)


@pytest.mark.parametrize("method", ["nuclear", "reduced", "sdp", "search", "atoms"])
@pytest.mark.parametrize("architecture", [PEELED, DECAYED, BOUNDED])
def test_others_refuse(architecture, method):
    with pytest.raises(ValueError, match=f"'{method}' does not solve this problem: .*architecture"):
        ufm.solve(architecture, STEP, method=method)


@pytest.mark.parametrize("architecture", [PEELED, DECAYED, BOUNDED])
def test_what_rests_on_singular_values_refuses(architecture):
    with pytest.raises(ValueError, match="architecture must have a gauge that is a function of singular values"):
        total_collapse_threshold(architecture, 2, 2)
    problem = Problem.of(architecture, STEP)
    for name in ("radius", "strength"):
        with pytest.raises(ValueError, match="architecture must have a gauge that is a function of singular values"):
            getattr(problem, name)


@pytest.mark.parametrize("value", ["relu", "", None, 1])
def test_unknown_features(value):
    for cls in (ufm.LayerPeeled, ufm.UnconstrainedFeatures):
        with pytest.raises((ValueError, TypeError), match="features"):
            cls(1.0, 1.0, features=value)


@pytest.mark.parametrize("name", ["w", "h"])
@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_norms_must_be_positive(name, value):
    with pytest.raises(ValueError, match=name):
        ufm.NormBounded(**{name: value})


def test_representations():
    assert repr(PEELED) == "LayerPeeled(E_W=0.5, E_H=0.8, features='nonnegative')"
    assert repr(ufm.LayerPeeled(0.5, 0.8, "real")) == "LayerPeeled(E_W=0.5, E_H=0.8)"
    assert ufm.LayerPeeled(0.5, 0.8) != PEELED
    assert repr(ufm.NormBounded()) == "NormBounded(w=1.0, h=3.0)"


def test_is_global_rests_on_the_bound_alone():
    """With the polar of real features in its place no gap would be negative; with too small a one it would be false."""
    s = ufm.solve(DECAYED, SOFT)
    z, architecture = s.logits, s.problem.architecture
    g = s.problem.gradient(z) / s.problem.weights
    assert architecture.polar(-g) == pytest.approx(1.0, rel=1e-9)
    assert architecture.polar_bound(-g) <= ufm.UnconstrainedFeatures(0.03, 0.04).polar(-g) * (1 + 1e-12)


def test_gauge_of_the_solution_is_what_its_factors_cost():
    for architecture in (PEELED, DECAYED, BOUNDED):
        s = ufm.solve(architecture, SOFT, "mse")
        y = s.logits * s.problem.weights
        assert architecture.gauge(y) == pytest.approx(architecture.spent(s.factors, SOFT), rel=1e-8)


def test_long_tails_under_bounded_norms_need_as_many_dimensions_as_the_optimum_has():
    """Of 12 classes in 24 unit vectors the optimum has 11 dimensions: sqrt(2 * 24) + 1 would leave local minima."""
    s = ufm.solve(ufm.NormBounded(1.0, 3.0), ufm.ClassPrior.long_tailed(12, 50))
    assert s.is_global is True
    assert s.gap <= 1e-11 * s.value
    assert s.geometry.rank == 11


@settings(max_examples=6)
@given(st.one_of(problems(max_classes=4, features="nonnegative"), problems(max_classes=4, families=("NormBounded",))))
def test_any_problem_is_solved_to_a_closed_gap(problem):
    s = ufm.solve(problem.architecture, problem.prior, problem.loss, method="factored")
    assert_optimal(s, rtol=1e-9)
    if isinstance(problem.architecture, ufm.NormBounded):
        # rows and columns within norms are within the budgets of their sum
        w, h = problem.architecture.w, problem.architecture.h
        real = ufm.solve(ufm.LayerPeeled(w**2, h**2), problem.prior, problem.loss)
    else:
        relaxed = dataclasses.replace(problem.architecture, features="real")
        real = ufm.solve(relaxed, problem.prior, problem.loss)
    assert real.lower <= s.value * (1 + 1e-9)


def test_more_columns_than_are_enumerated_are_bounded_or_proved():
    prior = ufm.ClassPrior([20.0 - k for k in range(14)])
    s = ufm.solve(
        ufm.UnconstrainedFeatures(0.004, 0.004, features="nonnegative"), prior, ufm.CrossEntropy(smoothing=0.1)
    )
    assert s.is_global is True  # the columns of the gradient are obtuse: the polar is exact all the same
    assert s.gap <= 1e-11 * s.value


def doubly_nonnegative_value(labels, lam):
    """min f + (lam/2) tr X over [[A, Y], [Y^T, B]] >= 0, B >= 0: below the value, for any number of columns."""
    cp = pytest.importorskip("cvxpy")
    k, m = labels.targets.shape
    x, n = cp.Variable((k + m, k + m), PSD=True), labels.counts
    z = x[:k, k:] @ np.diag(n**-0.5)
    risk = cp.sum(cp.multiply(n / n.sum(), cp.log_sum_exp(z, axis=0) - cp.sum(cp.multiply(labels.targets, z), axis=0)))
    program = cp.Problem(cp.Minimize(risk + lam / 2 * cp.trace(x)), [x[k:, k:] >= 0])
    return program.solve(solver="CLARABEL")


def test_soft_labels_of_many_columns_are_bounded_by_the_doubly_nonnegative_relaxation():
    rng = np.random.default_rng(1)
    labels = ufm.Labels(rng.dirichlet(np.full(5, 0.5), size=14).T, rng.integers(1, 9, size=14))
    relu = ufm.UnconstrainedFeatures(0.01, 0.01, features="nonnegative")
    with pytest.warns(RuntimeWarning, match="of 14 > 12 columns only a relaxation is bounded"):
        s = ufm.solve(relu, labels)
    assert s.is_global is None
    assert s.lower == pytest.approx(doubly_nonnegative_value(labels, 0.01), rel=1e-6)
    assert s.problem.lower_bound(s.logits) < s.lower - 1e-4  # its own gradient says less
    assert s.gap < 1e-3 * s.value
    certificate = ufm.certify(s)
    assert certificate.check().accepted
    assert certificate.relative_width < 1e-3


@pytest.mark.parametrize(
    ("architecture", "message"), [(PEELED, "a feature is negative"), (BOUNDED, "exceeds its bound")]
)
def test_assertions_see_what_the_definition_forbids(architecture, message):
    s = ufm.solve(architecture, STEP, method="factored")
    w, h = s.classifier, s.features
    turn = np.eye(len(h))
    if architecture is PEELED:
        turn[:2, :2] = [[0.0, 1.0], [-1.0, 0.0]]  # the same logits, with another sign
    else:
        turn *= 1.01
    wrong = dataclasses.replace(s, _factors=Factors(w @ np.linalg.inv(turn), turn @ h))
    assert_feasible(s)
    with pytest.raises(AssertionError, match=message):
        assert_feasible(wrong)


@pytest.mark.parametrize("architecture", [ufm.LayerPeeled(1.0, 1.0, features="nonnegative"), ufm.NormBounded(1.0, 1.0)])
@pytest.mark.parametrize("bias", [None, "free", 1.0])
def test_budgets_that_just_reach_the_targets_leave_no_squared_error(architecture, bias):
    found = ufm.solve(architecture, ufm.ClassPrior([7, 7, 1, 6]), "mse", bias=bias)
    assert found.value == 0.0
    assert found.is_global is True
