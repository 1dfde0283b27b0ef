"""The reduced solver: optimal values to 1e-10 in every phase and corner, against references that share no code with it.

``high_precision.value_error`` bounds the error of a value by weak duality in 60 digits; the factors' own objective,
minimised by SciPy from the definitions, and closed forms are further references.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from effort import examples
from high_precision import solution_enclosure, value_error
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize, minimize_scalar

import ufm
from ufm.problem import Problem
from ufm.solvers import _grouped_newton as grouped
from ufm.solvers._grouped_newton import svd_within
from ufm.solvers._many_groups import ManyGroups
from ufm.two_groups import scalar as _two_groups
from ufm.two_groups.scalar import TwoGroups
from ufm.two_groups.thresholds import total_collapse_threshold

TOLERANCE = 1e-10


def layer_peeled(tau_per_class: float) -> ufm.LayerPeeled:
    """The layer-peeled model with ``tau / K = tau_per_class``."""
    return ufm.LayerPeeled(tau_per_class, tau_per_class)


def penalised(strength: float) -> ufm.UnconstrainedFeatures:
    return ufm.UnconstrainedFeatures(strength, strength)


def check(solution: ufm.Solution, tolerance: float = TOLERANCE) -> None:
    """The value, the bound, the certificate of globality and the logits' gauge."""
    problem = solution.problem
    assert value_error(solution) <= tolerance
    assert solution.is_global is True
    assert solution.lower <= solution.value == solution.upper
    assert solution.gap <= 1e-9 * solution.value
    lower, upper = solution_enclosure(solution)
    assert solution.lower <= float(upper) * (1 + tolerance)
    assert solution.lower >= float(lower) * (1 - 1e-9)
    if problem.prior.num_classes <= 50:  # K x K singular values; beyond, the enclosure speaks for the reduced logits
        assert problem.objective(solution.logits) == pytest.approx(solution.value, rel=1e-11)
        if problem.is_constrained:
            assert problem.gauge(solution.logits) == pytest.approx(problem.radius, rel=1e-11)
    assert solution.phase in ("none", "partial", "total")
    assert (solution.phase == "none") <= (not any(solution.collapsed))
    if problem.prior.num_classes <= 50:
        # classes of different counts coincide too, where all logits vanish; those of a tail do nearly
        assert solution.geometry.phase in (solution.phase, "tail" if solution.phase == "none" else solution.phase)
        assert (solution.geometry.phase == "none") == (solution.geometry.collapsed_classes == ())


def proved(solution) -> bool | None:
    """What a solver may say of a value that has underflown: the optimum is positive, and 0 is no proof."""
    return True if solution.value >= 1e-300 else None


# -- one group ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [2, 3, 10, 1000])
@pytest.mark.parametrize("tau_per_class", [1e-6, 0.1, 1.0, math.sqrt(5), 30.0, 600.0])
def test_balanced_optimum_is_the_etf(k, tau_per_class):
    solution = ufm.solve(layer_peeled(tau_per_class), ufm.ClassPrior.balanced(k), method="reduced")
    s = k * tau_per_class / (k - 1)
    assert solution.value == pytest.approx(math.log1p((k - 1) * math.exp(-s)), rel=1e-12 * max(1.0, s / 10))
    np.testing.assert_allclose(solution.logits, s * (np.eye(k) - 1 / k), rtol=1e-12, atol=1e-12 * s)
    assert solution.phase == "none"
    assert solution.is_global is proved(solution)


@pytest.mark.parametrize("k", [2, 3, 10])
@pytest.mark.parametrize("factor", [1e-300, 1e-12, 1e-3, 0.5, 1 - 1e-9, 1.0, 1 + 1e-9, 100.0])
def test_balanced_penalised_optimum(k, factor):
    """``s = log(1 + K (1 - beta)/beta)`` with ``beta = lam K sqrt(n)``, and nothing at all from beta = 1 on."""
    n = 7.0
    # 1 - 2^-50 instead of 1: the product of square roots may round either way
    solution = ufm.solve(penalised(factor / (k * math.sqrt(n))), ufm.ClassPrior.balanced(k, n), method="reduced")
    if factor > 1:
        assert not solution.logits.any()
        assert solution.value == pytest.approx(math.log(k), rel=1e-15)
        assert solution.phase == "total"
    elif factor < 1:
        s = math.log1p(k * (1 - factor) / factor)
        expected = math.log1p((k - 1) * math.exp(-s)) + factor / k * (k - 1) * s
        assert solution.value == pytest.approx(expected, rel=1e-12)
        assert solution.phase == "none"
        assert solution.logits[0, 0] > 0
    else:
        assert solution.value == pytest.approx(math.log(k), rel=1e-12)


# -- two groups --------------------------------------------------------------------------------------------------------

SIZES = [(3, 7), (5, 5), (7, 3), (1, 1), (1, 2), (2, 1), (1, 9), (9, 1), (2, 2), (500, 500), (10, 990), (999, 1)]
RATIOS = [1 + 1e-15, 1 + 1e-12, 1.001, 2.0, 50.0, 245.4969305982, 1e8, 1e12]
RADII = [1e-6, 1e-3, 0.1, 1.0, math.sqrt(5), 10.0, 100.0, 600.0]


@pytest.mark.parametrize(("k_a", "k_b"), SIZES)
@pytest.mark.sample(2)
def test_two_groups_with_budgets(k_a, k_b):
    for ratio in RATIOS:
        prior = ufm.ClassPrior.step(k_a, k_b, ratio)
        for tau_per_class in RADII:
            solution = ufm.solve(layer_peeled(tau_per_class), prior, method="reduced")
            if solution.value < 1e-300:  # underflow: no relative accuracy, but no NaN either
                assert solution.value >= 0
                assert np.isfinite(solution.logits).all()
                assert solution.is_global is proved(solution)
                continue
            check(solution)


@pytest.mark.parametrize(("k_a", "k_b"), SIZES)
@pytest.mark.sample(2)
def test_two_groups_with_weight_decay(k_a, k_b):
    """Strengths around both thresholds, down to 1e-12 of the minority's and up beyond the majority's."""
    for ratio in (1 + 1e-12, 1.001, 10.0, 1e4, 1e12):
        for minority_count in (1e-6, 1.0, 100.0):
            prior = ufm.ClassPrior.step(k_a, k_b, ratio, minority_count)
            threshold = math.sqrt(minority_count) / prior.num_samples
            for factor in (1e-12, 0.1, 0.9, 1 - 1e-9, 1.0, 1 + 1e-9, 1.5, 0.999 * math.sqrt(ratio)):
                check(ufm.solve(penalised(threshold * factor), prior, method="reduced"))


@given(
    k_a=st.integers(1, 30),
    k_b=st.integers(1, 30),
    log_ratio=st.floats(1e-6, 20.0),
    tau_per_class=st.floats(1e-3, 40.0),
)
@settings(max_examples=examples(150))
def test_two_groups_anywhere(k_a, k_b, log_ratio, tau_per_class):
    check(ufm.solve(layer_peeled(tau_per_class), ufm.ClassPrior.step(k_a, k_b, math.exp(log_ratio)), method="reduced"))


@given(
    k_a=st.integers(1, 30),
    k_b=st.integers(1, 30),
    log_ratio=st.floats(1e-6, 20.0),
    log_factor=st.floats(-25.0, 10.0),
    rho=st.floats(0.0, 0.9),
)
@settings(max_examples=examples(150))
def test_two_groups_anywhere_with_weight_decay(k_a, k_b, log_ratio, log_factor, rho):
    prior = ufm.ClassPrior.step(k_a, k_b, math.exp(log_ratio), minority_count=20)
    lam = math.exp(log_factor) * math.sqrt(20) / prior.num_samples
    check(ufm.solve(ufm.PenalisedDEQ(lam, lam, rho), prior, method="reduced"))


OFFSETS = [-1e-6, -1e-9, -1e-10, -1e-13, -2e-16, 0.0, 2e-16, 1e-13, 1e-10, 1e-9, 1e-6]


@pytest.mark.parametrize(("k_a", "k_b"), [(3, 7), (7, 3), (1, 2), (2, 2), (9, 2), (500, 500)])
@pytest.mark.parametrize("tau_per_class", [1e-4, 0.1, 0.5, math.sqrt(5), 4.0])
@pytest.mark.sample(10)
def test_values_at_and_next_to_both_thresholds(k_a, k_b, tau_per_class):
    """Regression: next to total collapse the search for mu once stopped on a step across the kink of the gauge."""
    architecture = layer_peeled(tau_per_class)
    try:
        thresholds = [ufm.collapse_threshold(architecture, k_a, k_b).ratio]
    except ValueError:  # beyond float64
        return
    thresholds.append(total_collapse_threshold(architecture, k_a, k_b))
    for threshold in filter(math.isfinite, thresholds):
        for offset in OFFSETS:
            prior = ufm.ClassPrior.step(k_a, k_b, max(1.0, threshold * (1 + offset)))
            check(ufm.solve(architecture, prior, method="reduced"))


def test_every_phase_is_seen_by_these_grids():
    phases = {
        ufm.solve(layer_peeled(tau), ufm.ClassPrior.step(k_a, k_b, ratio), method="reduced").phase
        for k_a, k_b in SIZES
        for ratio in RATIOS
        for tau in RADII
    }
    assert phases == {"none", "partial", "total"}


@pytest.mark.parametrize("tau_per_class", [1e-6, 0.3, math.sqrt(5), 20.0])
def test_ratio_one_merges_the_groups_continuously(tau_per_class):
    architecture = layer_peeled(tau_per_class)
    one = ufm.solve(architecture, ufm.ClassPrior.step(4, 6, 1.0), method="reduced")
    assert len(one.collapsed) == 1
    near = ufm.solve(architecture, ufm.ClassPrior.step(4, 6, 1 + 1e-12), method="reduced")
    assert len(near.collapsed) == 2
    assert near.value == pytest.approx(one.value, rel=1e-11)


@pytest.mark.parametrize(("k_a", "k_b"), [(1, 1), (1, 2), (2, 1), (3, 3), (5, 5)])
@pytest.mark.parametrize("tau_per_class", [600.0, 700.0, 1e3, 1e6, 1e100])
@pytest.mark.filterwarnings("error", "ignore:method 'reduced' ended with a value of:RuntimeWarning")
def test_radii_whose_risk_underflows_give_no_nan(k_a, k_b, tau_per_class):
    for ratio in (1.0, 1 + 1e-12, 10.0, 1e12):
        s = ufm.solve(layer_peeled(tau_per_class), ufm.ClassPrior.step(k_a, k_b, ratio), method="reduced")
        numbers = [s.value, s.lower, s.upper, s.multiplier, *s.logits.ravel(), *s.classifier.ravel()]
        assert np.isfinite(numbers).all()
        assert 0 <= s.value <= 1e-200
        assert s.is_global is proved(s)  # 0 is no proof: the optimum is positive
        assert s.phase == "none"


@given(k_a=st.integers(1, 6), k_b=st.integers(1, 6), log_ratio=st.floats(0.0, 8.0), tau=st.floats(0.05, 5.0))
@settings(max_examples=examples(40))
def test_value_falls_with_the_radius_at_the_rate_of_the_multiplier(k_a, k_b, log_ratio, tau):
    """``d value / d radius = -mu``: ties the multiplier to the values."""
    prior = ufm.ClassPrior.step(k_a, k_b, math.exp(log_ratio))
    k = k_a + k_b
    step = 1e-4 * tau
    values = [ufm.solve(layer_peeled(tau + j * step), prior, method="reduced").value for j in (-2, -1, 1, 2)]
    solution = ufm.solve(layer_peeled(tau), prior, method="reduced")
    slope = (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * k * step)
    assert values == sorted(values, reverse=True)
    # the second derivative jumps where a phase begins, which costs the difference quotient its order
    assert solution.multiplier == pytest.approx(-slope, rel=2e-3)


def test_multiplier_is_the_slope_to_many_digits_within_a_phase():
    prior = ufm.ClassPrior.step(3, 7, 50.0)
    step = 1e-3
    values = [ufm.solve(layer_peeled(2.5 + j * step), prior, method="reduced").value for j in (-2, -1, 1, 2)]
    slope = (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * 10 * step)
    assert ufm.solve(layer_peeled(2.5), prior, method="reduced").multiplier == pytest.approx(-slope, rel=1e-9)


def test_typical_solves_take_few_steps():
    for k_a, k_b, ratio in [(3, 7, 50.0), (5, 5, 10.0), (7, 3, 3.0), (30, 30, 2.0), (500, 500, 1.5)]:
        solution = ufm.solve(ufm.LayerPeeled(1.0, 5.0), ufm.ClassPrior.step(k_a, k_b, ratio), method="reduced")
        assert solution.iterations <= 20


# -- many groups -------------------------------------------------------------------------------------------------------

MANY = [
    ufm.ClassPrior([3, 2, 1]),
    ufm.ClassPrior([100, 100, 10, 10, 1]),
    ufm.ClassPrior([100, 100, 10, 10, 1, 1, 1]),
    ufm.ClassPrior([1, 1, 1 + 1e-9, 1 + 1e-9, 1 + 2e-9]),
    ufm.ClassPrior([2, 2, 1, 1, 1 + 1e-6]),
    ufm.ClassPrior([1e8, 1e8, 1, 1, 1, 0.5, 0.5]),
    ufm.ClassPrior([1, 5, 4, 5, 2, 3, 4, 5, 2]),
    ufm.ClassPrior.long_tailed(6, 100.0),
]


@pytest.mark.parametrize("prior", MANY, ids=repr)
@pytest.mark.sample(4)
def test_many_groups_with_budgets(prior):
    for tau_per_class in (1e-6, 0.05, 0.7, 1.5, math.sqrt(5), 10.0, 100.0):
        check(ufm.solve(layer_peeled(tau_per_class), prior, method="reduced"))


@pytest.mark.parametrize("prior", MANY, ids=repr)
@pytest.mark.sample(3)
def test_many_groups_with_weight_decay(prior):
    for count in (prior.groups[-1].count, prior.groups[1].count):
        threshold = math.sqrt(count) / prior.num_samples
        for factor in (1e-12, 0.3, 1 - 1e-9, 1.0, 1 + 1e-9, 2.0):
            check(ufm.solve(penalised(threshold * factor), prior, method="reduced"))


@pytest.mark.slow
def test_ten_distinct_counts():
    for ratio in (10.0, 1000.0):
        for tau_per_class in (0.3, math.sqrt(5), 30.0):
            check(ufm.solve(layer_peeled(tau_per_class), ufm.ClassPrior.long_tailed(10, ratio), method="reduced"))


@pytest.mark.filterwarnings("error", "ignore:method 'reduced' ended with a value of:RuntimeWarning")
@pytest.mark.parametrize("tau_per_class", [550.0, 600.0, 1000.0])
def test_many_groups_whose_risk_underflows(tau_per_class):
    for prior in MANY[:5]:
        s = ufm.solve(layer_peeled(tau_per_class), prior, method="reduced")
        assert np.isfinite([s.value, s.lower, s.multiplier, *s.logits.ravel()]).all()
        assert 0 <= s.value < 1e-200
        assert s.is_global is proved(s)
        assert s.problem.gauge(s.logits) == pytest.approx(s.problem.radius, rel=1e-12)


@pytest.mark.parametrize(("k_a", "k_b"), [(3, 7), (1, 4), (4, 1), (2, 2)])
@pytest.mark.parametrize("ratio", [1.001, 5.0, 300.0])
def test_many_groups_solver_agrees_with_two_groups(k_a, k_b, ratio):
    """Two algorithms for the same problem: factored Newton, and scalar equations."""
    prior = ufm.ClassPrior.step(k_a, k_b, ratio)
    pi = [prior.probabilities[0], prior.probabilities[-1]]
    for tau in (0.3, 5.0, 30.0):
        many = ManyGroups(prior, np.ones(2)).constrained(tau)
        two = TwoGroups(k_a, k_b, *pi, 1.0, 1.0)
        found = two.constrained(tau)
        value, _ = two.bounds(found, radius=tau)
        assert ManyGroups(prior, np.ones(2)).risk.value(many.logits) == pytest.approx(value, rel=1e-12)
        assert many.multiplier == pytest.approx(math.exp(found.log_multiplier), rel=1e-8)
        assert many.collapsed == (False, found.collapsed)
        np.testing.assert_allclose(many.logits.s, [found.s_a, found.s_b], atol=1e-6)
    omega = np.sqrt([ratio, 1.0])
    for strength in (1e-6, 0.1 / prior.num_samples, 1.1 / prior.num_samples):
        many = ManyGroups(prior, omega).penalised(strength)
        found = TwoGroups(k_a, k_b, *pi, *omega).penalised(strength)
        np.testing.assert_allclose(many.logits.s, [found.s_a, found.s_b], atol=1e-6)
        nothing = k_a > 1 and found.total and found.s_a == 0
        assert many.collapsed == (nothing, found.collapsed)


@pytest.mark.parametrize("prior", [*MANY[:3], ufm.ClassPrior.step(2, 3, 8.0)], ids=repr)
@pytest.mark.parametrize("factor", [0.05, 0.5, 1.3])
def test_the_network_itself_has_no_better_weights(prior, factor):
    """``f(W H) + (lW/2)|W|^2 + (lH/2) sum_k n_k |h_k|^2`` by L-BFGS from random W and H: from the definition alone."""
    k, d = prior.num_classes, prior.num_classes
    lam = factor * math.sqrt(prior.counts.min()) / prior.num_samples
    weight_w, weight_h = 2 * lam, lam / 2
    solution = ufm.solve(ufm.UnconstrainedFeatures(weight_w, weight_h), prior, method="reduced")
    pi, n = prior.probabilities, prior.counts

    def objective(x):
        w, h = x[: k * d].reshape(k, d), x[k * d :].reshape(d, k)
        z = w @ h
        top = z.max(axis=0)
        e = np.exp(z - top)
        total = e.sum(axis=0)
        risk = pi @ (np.log(total) + top - np.diagonal(z))
        g = (e / total - np.eye(k)) * pi
        value = risk + weight_w / 2 * (w**2).sum() + weight_h / 2 * (n * (h**2).sum(axis=0)).sum()
        return value, np.concatenate([(g @ h.T + weight_w * w).ravel(), (w.T @ g + weight_h * n * h).ravel()])

    start = np.random.default_rng(0).normal(size=2 * k * d)
    options = {"maxiter": 20000, "maxfun": 40000, "maxcor": 40, "ftol": 1e-16, "gtol": 1e-11}
    found = minimize(objective, start, jac=True, method="L-BFGS-B", options=options)
    assert found.fun >= solution.value * (1 - 1e-12)
    assert found.fun == pytest.approx(solution.value, rel=1e-8)


# -- mean squared error ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prior", [ufm.ClassPrior.balanced(4), ufm.ClassPrior.step(2, 3, 8.0), *MANY[:2]], ids=repr)
@pytest.mark.parametrize("share", [1e-6, 0.1, 0.5, 0.9, 0.999999, 1.0, 1.5])
def test_mse_water_filling_against_scipy(prior, share):
    k = prior.num_classes
    pi = prior.probabilities
    solution = ufm.solve(ufm.DeepLinear((share * k, share * k)), prior, "mse", method="reduced")
    z = np.diagonal(solution.logits)
    assert (solution.logits == np.diag(z)).all()
    assert z.sum() == pytest.approx(min(share, 1.0) * k, rel=1e-13)
    found = minimize(
        lambda x: (0.5 * pi @ (x - 1) ** 2, pi * (x - 1)),
        np.full(k, min(share, 1.0)),
        jac=True,
        method="SLSQP",
        bounds=[(0, 1)] * k,
        constraints={"type": "ineq", "fun": lambda x: share * k - x.sum(), "jac": lambda x: -np.ones(k)},
        options={"ftol": 1e-15, "maxiter": 500},
    )
    assert solution.value <= found.fun * (1 + 1e-9) + 1e-12
    np.testing.assert_allclose(z, found.x, atol=1e-5)
    # mu is the slope; complementary slackness class by class
    np.testing.assert_allclose(pi[z > 0] * (1 - z[z > 0]), solution.multiplier, rtol=1e-10, atol=1e-15)
    assert (pi[z == 0] <= solution.multiplier * (1 + 1e-12)).all()
    assert solution.is_global is True


@pytest.mark.parametrize("prior", [ufm.ClassPrior.step(2, 3, 8.0), *MANY[:2]], ids=repr)
def test_mse_with_weight_decay_is_the_closed_form(prior):
    """``z_k = max(0, 1 - N lam / sqrt(n_k))``, each the minimiser of its own scalar problem."""
    n, total, pi = prior.counts, prior.num_samples, prior.probabilities
    for lam in (
        1e-12,
        0.3 * math.sqrt(n.min()) / total,
        1.2 * math.sqrt(n.min()) / total,
        2 * math.sqrt(n.max()) / total,
    ):
        solution = ufm.solve(penalised(lam), prior, "mse", method="reduced")
        lam = solution.problem.strength
        z = np.diagonal(solution.logits)
        np.testing.assert_allclose(z, np.maximum(0, 1 - total * lam / np.sqrt(n)), atol=1e-14)
        for k, z_k in enumerate(z):
            scalar = minimize_scalar(
                lambda x, k=k, lam=lam, n=n: pi[k] * (x - 1) ** 2 / 2 + lam * math.sqrt(n[k]) * abs(x),
                bounds=(-1, 2),
                method="bounded",
                options={"xatol": 1e-10},
            )
            assert z_k == pytest.approx(scalar.x, abs=1e-7)
        # logits 1 - 1e-12 keep four digits of what decides, and a gap of their rounding is not called closed
        assert solution.is_global is True or (lam < 1e-11 and solution.gap < 1e-15)
        assert solution.value == pytest.approx(solution.problem.objective(solution.logits), rel=1e-12)
        collapsed = [group.size > 1 and total * lam >= math.sqrt(group.count) for group in prior.groups]
        assert list(solution.collapsed) == collapsed
        vanished = sum(total * lam >= math.sqrt(n) for n in prior.counts)
        assert solution.phase == ("total" if vanished > 1 else "none")


@given(st.sampled_from(MANY), st.floats(0.05, 1.4), st.integers(0, 2**32 - 1))
@settings(max_examples=examples(40))
def test_no_logits_in_the_ball_have_a_lower_mse(prior, share, seed):
    """Off-diagonal logits do not help: random points of the ball, near the optimum and far from it."""
    k = prior.num_classes
    solution = ufm.solve(ufm.DeepLinear((share * k, share * k)), prior, "mse", method="reduced")
    rng = np.random.default_rng(seed)
    for size in (1e-4, 1e-2, 1.0):
        z = solution.logits + size * rng.normal(size=(k, k))
        z *= min(1.0, solution.problem.radius / solution.problem.gauge(z))
        assert solution.problem.risk(z) >= solution.value - 1e-14


# -- zero solutions ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prior", [ufm.ClassPrior.step(3, 4, 9.0), ufm.ClassPrior.step(1, 4, 9.0), *MANY[:3]], ids=repr)
@pytest.mark.parametrize("loss", ["ce", "mse"])
def test_strong_weight_decay_leaves_nothing(prior, loss):
    probe = Problem.of(penalised(1.0), prior, loss)
    k = prior.num_classes
    enough = probe.dual_norm(probe.gradient(np.zeros((k, k))))
    nothing = ufm.solve(penalised(enough * (1 + 1e-9)), prior, loss, method="reduced")
    assert not nothing.logits.any()
    assert nothing.value == pytest.approx(math.log(k) if loss == "ce" else 0.5, rel=1e-14)
    assert nothing.phase == "total"
    assert nothing.geometry.collapsed_classes == (tuple(range(k)),)
    assert not nothing.factors.classifier.any()
    something = ufm.solve(penalised(enough * (1 - 1e-3)), prior, loss, method="reduced")
    assert something.logits.any()
    assert something.value < nothing.value
    assert nothing.is_global is something.is_global is True


# -- factors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "architecture",
    [
        ufm.LayerPeeled(1.0, 5.0),
        ufm.LinearDEQ(1.0, 5.0, 0.5),
        ufm.UnconstrainedFeatures(4e-3, 1e-3),
        ufm.PenalisedDEQ(4e-3, 1e-3, 0.3),
    ],
    ids=repr,
)
@pytest.mark.parametrize("prior", [ufm.ClassPrior.step(3, 7, 300.0), ufm.ClassPrior.step(5, 5, 3.0), MANY[1]], ids=repr)
def test_factors_multiply_back_within_their_budgets(architecture, prior):
    s = ufm.solve(architecture, prior, method="reduced")
    k = prior.num_classes
    middle = np.eye(k) if s.equilibrium is None else np.linalg.inv(np.eye(k) - s.equilibrium)
    np.testing.assert_allclose(s.classifier @ middle @ s.features, s.logits, atol=1e-11 * np.abs(s.logits).max())
    if s.problem.is_constrained:
        assert (s.classifier**2).sum() / k == pytest.approx(architecture.E_W, rel=1e-10)
        assert (s.features**2).sum() / k == pytest.approx(architecture.E_H, rel=1e-10)
    else:
        penalty = architecture.lambda_W / 2 * (s.classifier**2).sum()
        penalty += architecture.lambda_H / 2 * (prior.counts * (s.features**2).sum(axis=0)).sum()
        assert s.problem.risk(s.logits) + penalty == pytest.approx(s.value, rel=1e-11)
    np.testing.assert_allclose(s.logits.sum(axis=0), 0, atol=1e-11 * np.abs(s.logits).max())


def test_spectral_deq_is_a_layer_peeled_model_of_larger_radius():
    prior = ufm.ClassPrior.step(3, 7, 100.0)
    deq = ufm.solve(ufm.LinearDEQ(1.0, 5.0, 0.5), prior, method="reduced")
    wide = ufm.solve(ufm.LayerPeeled(2.0, 10.0), prior, method="reduced")
    assert deq.value == wide.value
    np.testing.assert_array_equal(deq.logits, wide.logits)


# -- mutants: the checks above can fail --------------------------------------------------------------------------------


DECAY = ufm.UnconstrainedFeatures(1e-3, 1e-3)


def error_with(monkeypatch, target, name, make, architecture, ratio=50.0) -> float:
    """Error of the value when ``target.name`` is replaced by ``make(original)``."""
    monkeypatch.setattr(target, name, make(getattr(target, name)))
    try:
        return value_error(ufm.solve(architecture, ufm.ClassPrior.step(3, 7, ratio), method="reduced"))
    except ArithmeticError:  # the check on the way out has seen it
        return math.inf


@pytest.mark.parametrize("architecture", [DECAY, ufm.LayerPeeled(1.0, 5.0)], ids=repr)
def test_unmutated_solver_passes_the_check(monkeypatch, architecture):
    assert error_with(monkeypatch, _two_groups, "_side", lambda original: original, architecture) < 1e-13


def test_a_sign_error_in_the_kkt_system_is_caught(monkeypatch):
    """q with 1 + a cos instead of 1 - a cos, all other equations intact."""

    def make(original):
        def side(k, k_other, log_beta, cos, sin, sign, collapsed):
            result = original(k, k_other, log_beta, cos, sin, sign, collapsed)
            if result is None or collapsed or k == 1:
                return result
            a = math.sqrt(k_other / (k + k_other))
            shift = math.log1p(a * cos) - math.log1p(-a * cos)
            return result._replace(s=result.s - shift, d=result.d + shift, w=result.w + (k - 1) * shift)

        return side

    assert error_with(monkeypatch, _two_groups, "_side", make, DECAY) > 1e-3


@pytest.mark.parametrize("relative", [1e-4, 1e-2])
def test_a_wrong_gauge_weight_is_caught(monkeypatch, relative):
    def make(original):
        def init(self, k_a, k_b, pi_a, pi_b, omega_a, omega_b):
            original(self, k_a, k_b, pi_a, pi_b, omega_a * (1 + relative), omega_b)

        return init

    assert error_with(monkeypatch, TwoGroups, "__init__", make, DECAY) > 10 * TOLERANCE


def test_a_shifted_multiplier_is_caught(monkeypatch):
    def make(original):
        return lambda self, m, collapsed: original(self, m + 1e-3, collapsed)

    assert error_with(monkeypatch, TwoGroups, "_angle", make, DECAY) > 10 * TOLERANCE


@pytest.mark.parametrize("name", ["s_a", "s_b", "d_a", "d_b"])
@pytest.mark.parametrize("relative", [1e-6, -1e-6])
def test_an_error_in_any_reduced_logit_is_caught(monkeypatch, name, relative):
    def make(original):
        def constrained(self, radius):
            found = original(self, radius)
            return replace(found, **{name: getattr(found, name) * (1 + relative)})

        return constrained

    assert error_with(monkeypatch, TwoGroups, "constrained", make, ufm.LayerPeeled(1.0, 5.0)) > 10 * TOLERANCE


def test_logits_outside_of_the_ball_do_not_pass_as_global(monkeypatch):
    original = TwoGroups.constrained
    monkeypatch.setattr(TwoGroups, "constrained", lambda self, radius: original(self, radius * (1 + 1e-6)))
    with pytest.raises(ArithmeticError, match="above the bound"):
        ufm.solve(ufm.LayerPeeled(1.0, 5.0), ufm.ClassPrior.step(3, 7, 50.0), method="reduced")


def test_logits_short_of_the_optimum_do_not_pass_as_global(monkeypatch):
    original = TwoGroups.constrained
    monkeypatch.setattr(TwoGroups, "constrained", lambda self, radius: original(self, radius * (1 - 1e-6)))
    solution = ufm.solve(ufm.LayerPeeled(1.0, 5.0), ufm.ClassPrior.step(3, 7, 50.0), method="reduced")
    assert solution.is_global is None
    assert solution.lower < solution.value


def test_a_wrongly_collapsed_group_is_caught():
    """Forcing s_B = 0 below the threshold costs value: the phase is not a matter of taste."""
    prior = ufm.ClassPrior.step(3, 7, 50.0)
    two = TwoGroups(3, 7, *prior.probabilities[[0, -1]], *np.sqrt(prior.counts[[0, -1]]))
    strength = 0.5 / prior.num_samples
    best = two.penalised(strength)
    assert not best.collapsed
    m = best.log_multiplier + two.log_scale
    a, b = two._angle(m, True)
    forced = two._optimum(a.s, b.s, a.d, b.d, m, True)
    assert forced.s_b == 0
    assert two.bounds(forced, strength=strength)[0] > two.bounds(best, strength=strength)[0] * (1 + 1e-4)


@pytest.mark.parametrize("architecture", [ufm.LayerPeeled(1e-6, 1e-6), ufm.UnconstrainedFeatures(1e-9, 1e-9)])
def test_mean_squared_error_sums_many_classes_without_drift(architecture: object) -> None:
    """With K = 1000 classes a plain sum misses the certified optimum by 1e-14; the value must lie within rounding."""
    solution = ufm.solve(architecture, ufm.ClassPrior.step(500, 500, 1e8), "mse")
    certificate = ufm.certify(solution)
    assert solution.value == pytest.approx(certificate.upper, rel=2e-15, abs=0)


@pytest.mark.parametrize(("tau_per_class", "factor"), [(0.5, 0.3), (3.0, 1.1)])
def test_all_counts_distinct_agrees_with_the_problem_without_symmetry(tau_per_class, factor):
    """Newton's method over the groups and over the K x K logits: the same optimum, each with a closed gap."""
    prior = ufm.ClassPrior.long_tailed(24, 100.0)
    strength = factor * math.sqrt(prior.counts.min()) / prior.num_samples
    for architecture in (layer_peeled(tau_per_class), penalised(strength)):
        ours, other = (ufm.solve(architecture, prior, method=method) for method in ("reduced", "nuclear"))
        assert ours.is_global is other.is_global is True
        assert ours.value == pytest.approx(other.value, rel=1e-10)
        np.testing.assert_allclose(ours.logits, other.logits, atol=1e-6 * float(np.abs(other.logits).max()))


@pytest.mark.parametrize("architecture", [layer_peeled(0.5), penalised(2e-4)])
def test_rare_classes_merged_and_single_precision_change_nothing(architecture, monkeypatch):
    """160 counts that all differ, by what saves time there and without: the same optimum, each with a closed gap."""
    prior = ufm.ClassPrior.long_tailed(160, 100.0)
    quick = ufm.solve(architecture, prior, method="reduced")
    monkeypatch.setattr(grouped, "_MANY", 1000)
    slow = ufm.solve(architecture, prior, method="reduced")
    for solution in (quick, slow):
        assert solution.is_global is True
        assert solution.gap <= 1e-9 * solution.value
    assert slow.gap <= 1e-11 * slow.value
    assert quick.value == pytest.approx(slow.value, rel=1e-9)


def test_interpolation_keeps_what_is_linear():
    knots = np.array([0.0, -1.0, -2.0, -3.0])
    at = np.array([0.4, -0.5, -1.25, -1.9, -2.5])
    np.testing.assert_allclose(grouped._between(at, knots) @ knots, at, atol=1e-15)


def test_scales_between_groups_end_where_those_of_one_group_do():
    """Of balanced classes ``e^s = 1 + K (1 - beta)/beta``, and s = 0 from beta = 1 on: kappa is the same everywhere."""
    beta = np.array([0.1, 0.3, 0.8, 1.2, 1.5])
    s = np.log(np.maximum(1 + 7 * (1 - beta) / beta, 1.0))
    found = grouped._scales(-np.log(beta), -np.log(beta[[0, 2, 4]]), s[[0, 2, 4]])
    np.testing.assert_allclose(found, s, rtol=1e-12)
    assert not grouped._scales(-np.log(beta), -np.log(beta[3:]), s[3:]).any()


def test_rare_groups_alone_are_merged():
    prior = ufm.ClassPrior(np.arange(40, 0, -1))
    classes = grouped.Classes.of(prior, np.ones(40))
    index = classes.rare(math.log(classes.pi[15]))
    alone = np.log(classes.pi) >= math.log(classes.pi[15]) - grouped._RARE
    counts = np.bincount(index)
    assert (counts[index[alone]] == 1).all()
    assert (counts[index[~alone]] > 1).all()
    merged = classes.merged(index)
    assert merged.size.sum() == 40
    assert merged.size @ merged.pi == pytest.approx(1.0)


def test_many_groups_of_many_classes_cost_what_groups_cost():
    """Integer counts of a power law: 3000 classes in 40 groups, to a closed gap without K x K logits."""
    counts = np.round(1000 * np.arange(1, 3001) ** -1.2).clip(2)
    counts = np.minimum(counts, 30)
    solution = ufm.solve(ufm.LayerPeeled(1.0, 1.0), ufm.ClassPrior(counts))
    assert solution.method == "reduced"
    assert solution.is_global is True
    assert solution.gap <= 1e-10 * solution.value
    assert "logits" not in vars(solution)


def test_a_step_across_a_lower_rank_is_within_its_spans():
    """The decomposition within the spans of a low-rank block is that of the whole block, with full bases."""
    rng = np.random.default_rng(0)
    left, right = (np.linalg.qr(rng.normal(size=(9, 3)))[0] for _ in range(2))
    block = left @ np.diag([3.0, 2.0, 0.5]) @ right.T
    u, sigma, vt = svd_within(block, left, right)
    np.testing.assert_allclose(sigma, [3.0, 2.0, 0.5], rtol=1e-13)
    np.testing.assert_allclose((u[:, :3] * sigma) @ vt[:3], block, atol=1e-13)
    for basis in (u, vt):
        np.testing.assert_allclose(basis @ basis.T, np.eye(9), atol=1e-13)


def test_more_different_counts_than_can_be_solved_are_refused_with_their_number():
    counts = np.linspace(1.0, 2.0, 4001)
    with pytest.raises(ValueError, match=r"^prior has 4001 different counts.*round them.*'low_rank'"):
        ufm.solve(ufm.LayerPeeled(1.0, 1.0), ufm.ClassPrior(counts))
    with pytest.raises(ValueError, match="prior has 4001 different counts"):
        ufm.solve(ufm.LayerPeeled(1.0, 1.0), ufm.ClassPrior(counts), method="reduced")
    assert ufm.solve(ufm.UnconstrainedFeatures(1e-4, 1e-4), ufm.ClassPrior(np.round(counts, 1))).is_global is True
