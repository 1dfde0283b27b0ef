"""Collapse thresholds: published figures, a 60-digit reference, agreement with the phase of ``solve``."""

from __future__ import annotations

import inspect
import math
from fractions import Fraction

import mpmath as mp
import numpy as np
import pytest
from effort import examples
from high_precision import threshold as exact_threshold
from hypothesis import given, settings
from hypothesis import strategies as st

import ufm
from ufm.two_groups import thresholds
from ufm.two_groups.thresholds import threshold_curve, total_collapse_threshold

TOLERANCE = 1e-10


def layer_peeled(tau: float, k: int) -> ufm.LayerPeeled:
    """The layer-peeled model of radius tau for k classes."""
    return ufm.LayerPeeled(tau / k, tau / k)


def reference(architecture: ufm.LayerPeeled, k_a: int, k_b: int, ratio: float) -> mp.mpf:
    """R* in 60 digits, Newton's method starting a per mille away from the logits that ``solve`` finds at ``ratio``."""
    k = k_a + k_b
    solution = ufm.solve(architecture, ufm.ClassPrior.step(k_a, k_b, ratio), method="reduced")
    z = solution.logits
    s_a = z[0, 0] - z[1, 0] if k_a > 1 else 0.0
    # d_A = t_AA - t_BA with t_AA the sibling's logit; a single class has z = s + t with s = 0
    d_a = (z[1, 0] if k_a > 1 else z[0, 0]) - z[k_a, 0]
    d_b = z[k - 1, k - 2] - z[0, k - 1]
    start = {"s_a": 1.001 * s_a, "d_a": 1.001 * d_a, "d_b": 1.001 * d_b, "log_ratio": 1.001 * math.log(ratio)}
    return exact_threshold(architecture.radius(k), k_a, k_b, start)


def radius_for(log_ratio: float, k_a: int, k_b: int) -> float:
    """A radius whose log threshold is about ``log_ratio``; only to place the test points."""
    low, high = -200.0, 0.5 * math.log(k_a / k_b)
    for _ in range(100):
        middle = 0.5 * (low + high)
        if threshold_curve(middle, k_a, k_b)[1] > log_ratio:
            low = middle
        else:
            high = middle
    return threshold_curve(low, k_a, k_b)[0]


# -- budgets, cross-entropy --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("k_a", "ratio"), [(3, 245.496930598261985), (5, 12.192447080325935), (7, 4.000466710142019)])
def test_published_figures(k_a, ratio):
    """Fang et al. 2021, Fig. 3: K = 10, E_W = 1, E_H = 5."""
    t = ufm.collapse_threshold(ufm.LayerPeeled(E_W=1.0, E_H=5.0), num_majority=k_a, num_minority=10 - k_a)
    assert t.ratio == pytest.approx(ratio, rel=1e-14)
    assert t.lower <= ratio * (1 + 1e-15)
    assert t.upper >= ratio * (1 - 1e-15)
    assert float(t) == t.ratio
    assert t.majority_count is None
    assert t.minority_count is None


SIZES = [(3, 7), (5, 5), (7, 3), (1, 2), (1, 9), (2, 2), (9, 2), (500, 500), (10, 990), (990, 10), (1, 999), (998, 2)]


@pytest.mark.parametrize(("k_a", "k_b"), SIZES)
@pytest.mark.parametrize("ratio", [1.001, 1.5, 12.0, 1e4, 1e8])
@pytest.mark.sample(12)
def test_ratio_agrees_with_sixty_digits(k_a, k_b, ratio):
    architecture = layer_peeled(radius_for(math.log(ratio), k_a, k_b), k_a + k_b)
    t = ufm.collapse_threshold(architecture, k_a, k_b)
    assert t.ratio == pytest.approx(ratio, rel=1e-6)  # the point is where it should be
    exact = reference(architecture, k_a, k_b, t.ratio)
    assert abs(t.ratio - exact) <= 1e-11 * exact
    assert t.lower <= exact <= t.upper
    assert t.upper / t.lower - 1 <= TOLERANCE


@given(k_a=st.integers(1, 200), k_b=st.integers(2, 200), log_ratio=st.floats(1e-3, 18.4))
@settings(max_examples=12)
def test_ratio_agrees_with_sixty_digits_anywhere(k_a, k_b, log_ratio):
    architecture = layer_peeled(radius_for(log_ratio, k_a, k_b), k_a + k_b)
    t = ufm.collapse_threshold(architecture, k_a, k_b)
    exact = reference(architecture, k_a, k_b, t.ratio)
    assert abs(t.ratio - exact) <= 1e-11 * exact
    assert t.lower <= exact <= t.upper


def test_the_reference_reproduces_the_published_figure_and_nothing_else():
    with mp.workdps(40):
        tau = 10 * mp.sqrt(5)
        exact = exact_threshold(tau, 3, 7, _logits_at_the_published_threshold())
        assert abs(exact - mp.mpf("245.496930598261985")) <= mp.mpf("1e-15")
        other = exact_threshold(tau * mp.mpf("1.0001"), 3, 7, _logits_at_the_published_threshold())
        assert abs(other / exact - 1) > 1e-4


MUTANTS = [
    ("- k_a * d\n", "+ k_a * d\n"),
    ("(k_a - 1) * s +", "k_a * s +"),
    ("math.log(q * math.sqrt(k * k_b) / cos)", "math.log(q * math.sqrt(k * k_a) / cos)"),
    ("r = sin / math.sqrt(k * k_a)", "r = sin / math.sqrt(k * k_b)"),
    ("(1 + math.sqrt(k_b / k) * cos)", "(1 - math.sqrt(k_b / k) * cos)"),
    ("math.log1p((1 - q) / q * math.exp(-s))", "math.log1p((1 + q) / q * math.exp(-s))"),
    ("s + math.log(q)", "s"),
]


@pytest.mark.parametrize(("right", "wrong"), MUTANTS)
def test_a_wrong_curve_is_caught(monkeypatch, right, wrong):
    """One formula of the curve changed at a time: the comparison with 60 digits notices each."""
    source = inspect.getsource(thresholds._curve)
    assert source.count(right) == 1
    namespace = {"math": math}
    exec(source.replace(right, wrong), namespace)
    monkeypatch.setattr(thresholds, "_curve", namespace["_curve"])
    with mp.workdps(40):
        exact = exact_threshold(10 * mp.sqrt(5), 3, 7, _logits_at_the_published_threshold())
    try:
        ratio = ufm.collapse_threshold(ufm.LayerPeeled(1.0, 5.0), 3, 7).ratio
    except (ValueError, OverflowError):
        return
    assert abs(ratio / exact - 1) > 1e-6


def _logits_at_the_published_threshold() -> dict[str, float]:
    z = ufm.solve(ufm.LayerPeeled(1.0, 5.0), ufm.ClassPrior.step(3, 7, 245.5), method="reduced").logits
    return {"s_a": z[0, 0] - z[1, 0], "d_a": z[1, 0] - z[3, 0], "d_b": z[9, 8] - z[0, 9], "log_ratio": math.log(245.5)}


@pytest.mark.parametrize(("k_a", "k_b"), [(3, 7), (5, 5), (7, 3), (1, 4), (9, 2), (100, 100)])
@pytest.mark.parametrize("tau_per_class", [1e-3, 0.1, 1.0, math.sqrt(5), 4.0])
def test_phase_changes_at_the_threshold(k_a, k_b, tau_per_class):
    architecture = ufm.LayerPeeled(tau_per_class, tau_per_class)
    try:
        ratio = ufm.collapse_threshold(architecture, k_a, k_b).ratio
    except ValueError:
        pytest.skip("threshold beyond float64")
    total = total_collapse_threshold(architecture, k_a, k_b)
    below = ufm.solve(architecture, ufm.ClassPrior.step(k_a, k_b, ratio * (1 - 1e-9)), method="reduced")
    above = ufm.solve(architecture, ufm.ClassPrior.step(k_a, k_b, ratio * (1 + 1e-9)), method="reduced")
    assert below.phase == "none"
    assert below.collapsed == (False, False)
    assert above.phase == ("partial" if ratio * (1 + 1e-9) < total else "total")
    assert above.collapsed == (False, True)
    # the criterion itself, from the K x K gradient
    for solution in (below, above):
        norm = solution.problem.dual_norm(solution.problem.gradient(solution.logits))
        assert (solution.problem.prior.probabilities[-1] <= norm * (1 + 1e-13)) == (solution is above)


@pytest.mark.parametrize(("k_a", "k_b"), [(3, 7), (5, 5), (7, 3), (9, 2), (2, 2), (100, 100)])
@pytest.mark.parametrize("tau_per_class", [1e-3, 0.05, 0.3, 1.0])
def test_phase_changes_at_total_collapse(k_a, k_b, tau_per_class):
    architecture = ufm.LayerPeeled(tau_per_class, tau_per_class)
    total = total_collapse_threshold(architecture, k_a, k_b)
    partial = ufm.collapse_threshold(architecture, k_a, k_b).ratio
    assert total > partial
    if math.isinf(total):
        far = ufm.solve(architecture, ufm.ClassPrior.step(k_a, k_b, 1e12), method="reduced")
        assert far.phase == "partial"
        return
    gap = min(1e-9, 0.1 * (total / partial - 1))
    below = ufm.solve(architecture, ufm.ClassPrior.step(k_a, k_b, total * (1 - gap)), method="reduced")
    above = ufm.solve(architecture, ufm.ClassPrior.step(k_a, k_b, total * (1 + 1e-9)), method="reduced")
    assert (below.phase, above.phase) == ("partial", "total")
    # the minority's columns of logits vanish, and the majority keeps its own ETF
    assert not above.logits[:, k_a:].any()
    s = above.problem.radius / (k_a - 1)
    np.testing.assert_allclose(above.logits[:k_a, :k_a], s * (np.eye(k_a) - 1 / k_a), atol=1e-12 * s)
    assert above.geometry.rank == k_a - 1
    # the trivial block of the gradient has norm mu exactly at the threshold
    at = ufm.solve(architecture, ufm.ClassPrior.step(k_a, k_b, total), method="reduced")
    g = at.problem.gradient(at.logits)
    u = np.concatenate([np.full(k_a, 1 / math.sqrt(k_a)), np.zeros(k_b)])
    v = np.concatenate([np.zeros(k_a), np.full(k_b, 1 / math.sqrt(k_b))])
    basis = np.stack([u, v])
    assert np.linalg.norm(basis @ g @ basis.T, 2) == pytest.approx(at.multiplier, rel=1e-8)


def test_total_collapse_needs_a_small_radius():
    """``e^{s_A/K_A} (sqrt(K K_B) - K_B) < K_A``: beyond that no imbalance makes the minority vanish."""
    k_a, k_b = 3, 7
    limit = k_a * (k_a - 1) * math.log(k_a / (math.sqrt(10 * k_b) - k_b))
    assert math.isfinite(total_collapse_threshold(layer_peeled(limit * (1 - 1e-6), 10), k_a, k_b))
    assert math.isinf(total_collapse_threshold(layer_peeled(limit * (1 + 1e-6), 10), k_a, k_b))
    assert math.isinf(total_collapse_threshold(ufm.LayerPeeled(0.01, 0.01), 1, 4))


@given(k_a=st.integers(1, 30), k_b=st.integers(2, 30), low=st.floats(1e-4, 3.0), factor=st.floats(1.0001, 1.5))
@settings(max_examples=examples(60))
def test_thresholds_grow_with_the_radius(k_a, k_b, low, factor):
    t = [ufm.collapse_threshold(ufm.LayerPeeled(x, x), k_a, k_b).ratio for x in (low, low * factor)]
    assert 1 < t[0] < t[1]


@given(k_a=st.integers(1, 30), k_b=st.integers(2, 30), tau=st.floats(0.01, 2.0), rho=st.floats(0.0, 0.8))
@settings(max_examples=examples(40))
def test_a_spectral_deq_has_the_threshold_of_the_larger_radius(k_a, k_b, tau, rho):
    k = k_a + k_b
    deq = ufm.collapse_threshold(ufm.LinearDEQ(tau, tau, rho), k_a, k_b).ratio
    assert deq == pytest.approx(ufm.collapse_threshold(layer_peeled(k * tau / (1 - rho), k), k_a, k_b).ratio, rel=1e-10)
    assert deq >= ufm.collapse_threshold(ufm.LayerPeeled(tau, tau), k_a, k_b).ratio
    linear = ufm.collapse_threshold(ufm.DeepLinear((k * tau / (1 - rho),) * 2), k_a, k_b).ratio
    assert deq == pytest.approx(linear, rel=1e-10)


@pytest.mark.parametrize(("k_a", "k_b"), [(3, 7), (1, 2), (500, 500)])
@pytest.mark.parametrize("tau_per_class", [1e-300, 1e-20, 1e-12, 1e-8, 1e-5])
def test_a_vanishing_radius_has_threshold_one(k_a, k_b, tau_per_class):
    t = ufm.collapse_threshold(ufm.LayerPeeled(tau_per_class, tau_per_class), k_a, k_b)
    assert 1 <= t.lower <= t.ratio <= t.upper
    assert t.ratio == pytest.approx(1.0, abs=max(1e-12, 10 * (k_a + k_b) * tau_per_class))


def test_a_threshold_beyond_float64_is_an_error_with_its_logarithm():
    with pytest.raises(ValueError, match=r"^architecture has a threshold R\* = exp\(\d+.*beyond the range of float64"):
        ufm.collapse_threshold(ufm.LayerPeeled(600.0, 600.0), 3, 7)


@given(k_a=st.integers(1, 50), k_b=st.integers(2, 50), angle=st.floats(0.01, 30.0))
@settings(max_examples=examples(60))
def test_curve_is_strictly_monotone(k_a, k_b, angle):
    top = 0.5 * math.log(k_a / k_b)
    (tau, log_ratio), (more, log_more) = (threshold_curve(top - x, k_a, k_b) for x in (angle, 1.01 * angle))
    assert 0 < tau < more
    assert 0 < log_ratio < log_more


# -- budgets, mean squared error ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("k_a", "k_b"), [(3, 7), (1, 2), (7, 3)])
@pytest.mark.parametrize("share", [1e-6, 0.1, 0.5, 0.999])
def test_mse_threshold(k_a, k_b, share):
    """``R* = 1/(1 - tau/K_A)``, and the phase of ``solve`` on either side."""
    architecture = layer_peeled(share * k_a, k_a + k_b)
    t = ufm.collapse_threshold(architecture, k_a, k_b, loss="mse")
    exact = Fraction(k_a) / (k_a - Fraction(architecture.radius(k_a + k_b)))
    assert t.ratio == pytest.approx(float(exact), rel=4e-16)
    assert t.lower <= exact <= t.upper
    assert t.lower <= t.ratio <= t.upper
    for sign, collapsed in ((-1, False), (1, True)):
        prior = ufm.ClassPrior.step(k_a, k_b, max(1.0, t.ratio * (1 + sign * 1e-9)))
        assert ufm.solve(architecture, prior, "mse", method="reduced").collapsed[-1] is collapsed


@pytest.mark.parametrize("share", [1.0, 1.5, 100.0])
def test_mse_never_collapses_beyond_the_majority(share):
    t = ufm.collapse_threshold(ufm.DeepLinear((3 * share, 3 * share)), 3, 7, loss="mse")
    assert (t.ratio, t.lower, t.upper) == (math.inf, math.inf, math.inf)
    prior = ufm.ClassPrior.step(3, 7, 1e12)
    assert ufm.solve(ufm.DeepLinear((3.01 * share,) * 2), prior, "mse", method="reduced").phase == "none"


# -- weight decay ------------------------------------------------------------------------------------------------------

DECAYS = [
    ufm.UnconstrainedFeatures(5e-3, 5e-3),
    ufm.UnconstrainedFeatures(1e-4, 4e-3),
    ufm.PenalisedDEQ(5e-3, 5e-3, 0.5),
]


@pytest.mark.parametrize("architecture", DECAYS, ids=repr)
@pytest.mark.parametrize("loss", ["ce", "mse"])
@pytest.mark.parametrize(
    "fixed",
    [{"num_samples": 60.0}, {"majority_count": 9.0}, {"minority_count": 2.0}],
    ids=lambda fixed: next(iter(fixed)),
)
def test_penalised_thresholds_and_phases(architecture, loss, fixed):
    k_a, k_b = 5, 5
    lam = architecture.strength
    t = ufm.collapse_threshold(architecture, k_a, k_b, loss=loss, **fixed)
    assert t.ratio > 1
    assert t.ratio == pytest.approx(t.majority_count / t.minority_count, rel=1e-14)
    assert t.lower <= t.ratio <= t.upper
    total = k_a * t.majority_count + k_b * t.minority_count
    # on the boundary of n_B <= N^2 lam^2
    assert t.minority_count == pytest.approx((total * lam) ** 2, rel=1e-12)
    given_name, value = next(iter(fixed.items()))
    assert {"num_samples": total, "majority_count": t.majority_count, "minority_count": t.minority_count}[
        given_name
    ] == pytest.approx(value, rel=1e-13)
    for sign, collapsed in ((-1, False), (1, True)):
        ratio = t.ratio * (1 + sign * 1e-9)
        n_b = {
            "num_samples": lambda ratio=ratio: value / (k_a * ratio + k_b),
            "majority_count": lambda ratio=ratio: value / ratio,
            "minority_count": lambda: value,
        }[given_name]()
        solution = ufm.solve(
            architecture, ufm.ClassPrior.step(k_a, k_b, ratio, minority_count=n_b), loss, method="reduced"
        )
        assert solution.collapsed[-1] is collapsed
        assert (solution.phase != "none") is collapsed


def test_penalised_thresholds_differ_by_what_is_held_fixed():
    """Mutant-proof: none of the three formulas can stand in for another."""
    architecture = ufm.UnconstrainedFeatures(5e-3, 5e-3)
    ratios = [
        ufm.collapse_threshold(architecture, 5, 5, **fixed).ratio
        for fixed in ({"num_samples": 40.0}, {"majority_count": 40.0}, {"minority_count": 40.0})
    ]
    assert len({round(r, 3) for r in ratios}) == 3


def test_digits_example():
    """600 samples, K_A = K_B = 5: ``lam = sqrt(20)/600`` puts the threshold at n_B = 20, a DEQ of rho = 1/2 at 5."""
    lam = math.sqrt(20) / 600
    t = ufm.collapse_threshold(ufm.UnconstrainedFeatures(lam, lam), 5, 5, num_samples=600)
    assert t.minority_count == pytest.approx(20, rel=1e-13)
    assert t.majority_count == pytest.approx(100, rel=1e-13)
    assert t.ratio == pytest.approx(5, rel=1e-13)
    deq = ufm.collapse_threshold(ufm.PenalisedDEQ(lam, lam, 0.5), 5, 5, num_samples=600)
    assert deq.minority_count == pytest.approx(5, rel=1e-13)


@pytest.mark.parametrize("fixed", [{"num_samples": 1e6}, {"majority_count": 1e6}, {"minority_count": 1e6}])
def test_strong_weight_decay_collapses_every_ratio(fixed):
    t = ufm.collapse_threshold(ufm.UnconstrainedFeatures(1.0, 1.0), 5, 5, **fixed)
    assert t.ratio == pytest.approx(1.0, rel=1e-14)
    assert t.lower == 1.0


@given(
    k_a=st.integers(1, 20),
    k_b=st.integers(2, 20),
    log_lam=st.floats(-20.0, 0.0),
    name=st.sampled_from(["num_samples", "majority_count", "minority_count"]),
    log_value=st.floats(-5.0, 12.0),
)
@settings(max_examples=examples(100))
def test_penalised_thresholds_solve_the_criterion(k_a, k_b, log_lam, name, log_value):
    lam = math.exp(log_lam)
    t = ufm.collapse_threshold(ufm.UnconstrainedFeatures(lam, lam), k_a, k_b, **{name: math.exp(log_value)})
    total = k_a * t.majority_count + k_b * t.minority_count
    assert t.ratio >= 1 - 1e-14
    if t.ratio > 1 + 1e-9:
        assert t.minority_count == pytest.approx((total * lam) ** 2, rel=1e-11)
    else:  # collapsed from R = 1 on
        assert t.minority_count <= (total * lam) ** 2 * (1 + 1e-9)


# -- bad input ---------------------------------------------------------------------------------------------------------

LPM, UFM = ufm.LayerPeeled(1.0, 5.0), ufm.UnconstrainedFeatures(5e-3, 5e-3)


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((LPM, 9, 1), {}, ValueError, r"^num_minority must be an integer >= 2, got 1; a single minority class cannot"),
        ((LPM, 9, 0), {}, ValueError, r"^num_minority must be an integer >= 2, got 0"),
        ((LPM, 0, 5), {}, ValueError, r"^num_majority must be an integer >= 1, got 0"),
        ((LPM, 2.5, 5), {}, ValueError, r"^num_majority must be an integer >= 1, got 2.5"),
        ((LPM, 5, math.nan), {}, ValueError, r"^num_minority must be finite, got nan"),
        ((LPM, "5", 5), {}, TypeError, r"^num_majority must be a real number, got '5'"),
        ((LPM, True, 5), {}, TypeError, r"^num_majority must be a real number, got True"),
        (("lpm", 5, 5), {}, TypeError, r"^architecture must be .*got 'lpm'"),
        ((LPM, 5, 5), {"loss": "hinge"}, ValueError, r"^loss must be one of 'ce', 'mse', .*got 'hinge'"),
        ((LPM, 5, 5), {"num_samples": 600}, ValueError, r"^num_samples plays no role for LayerPeeled"),
        ((UFM, 5, 5), {}, ValueError, r"^exactly one of num_samples, majority_count and minority_count .*got none"),
        (
            (UFM, 5, 5),
            {"num_samples": 600, "majority_count": 5},
            ValueError,
            r"^exactly one of .*got \['majority_count', 'num_samples'\]",
        ),
        ((UFM, 5, 5), {"num_samples": 0}, ValueError, r"^num_samples must be > 0 and finite, got 0"),
        ((UFM, 5, 5), {"num_samples": math.inf}, ValueError, r"^num_samples must be finite, got inf"),
        ((UFM, 5, 5), {"majority_count": -3}, ValueError, r"^majority_count must be > 0 and finite, got -3"),
        ((UFM, 5, 5), {"minority_count": "20"}, TypeError, r"^minority_count must be a real number, got '20'"),
        ((UFM, 9, 1), {"num_samples": 600}, ValueError, r"^num_minority must be an integer >= 2, got 1"),
    ],
)
def test_bad_arguments_are_refused_by_name(arguments, options, error, message):
    with pytest.raises(error, match=message):
        ufm.collapse_threshold(*arguments, **options)


def test_total_collapse_threshold_refuses_bad_arguments():
    with pytest.raises(ValueError, match=r"^architecture must have budgets"):
        total_collapse_threshold(UFM, 5, 5)
    with pytest.raises(ValueError, match=r"^num_minority must be an integer >= 2, got 1"):
        total_collapse_threshold(LPM, 9, 1)
