"""Collapse thresholds of every loss and bias against the solver on both sides, closed forms, and each other."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ufm
from ufm.losses import get_loss
from ufm.thresholds import collapse_threshold, group_margin, kappa
from ufm.two_groups.thresholds import collapse_threshold as closed_form

DECAY = ufm.UnconstrainedFeatures(0.02, 0.02)
BUDGET = ufm.LayerPeeled(0.6, 0.6)
K_A, K_B = 2, 2

#: Losses with their kappa where it does not depend on the logits.
LOSSES = {
    "ce": ("ce", 1.0),
    "mse": ("mse", 1.0),
    "bce": ("bce", 1.0),
    "smoothing": (ufm.CrossEntropy(smoothing=0.2), 0.8),
    "shifts": (ufm.CrossEntropy(shifts=[1.0, 1.0, -1.0, -1.0]), 1.0),
    "scales": (ufm.CrossEntropy(scales=[1.0, 1.0, 0.8, 0.8]), 0.8),
    "weights": (ufm.CrossEntropy(weights=[1.0, 1.0, 1.5, 1.5]), 1.5),
    "all": (ufm.CrossEntropy(0.2, [1.0, 1.0, 1.5, 1.5], [1.0, 1.0, 0.8, 0.8], [1.0, 1.0, 0.0, 0.0]), 0.96),
    "hinge": (ufm.SquaredHinge(), None),
}
#: The eleven of theory section 7, with weight decay.
ELEVEN = [*((name, None) for name in LOSSES if name != "hinge"), ("ce", "free"), ("bce", "free"), ("shifts", 0.3)]
BIASED = [("hinge", None), ("hinge", 0.3), ("mse", "free"), ("all", "free")]


class Own(ufm.LayerPeeled):
    """An architecture of one's own, whose formulas are not known."""

    def gauge(self, sigma):
        return 2 * super().gauge(sigma)


class Renamed(ufm.Loss):
    """Cross-entropy as somebody else would write it."""

    is_convex = True

    def values(self, logits, targets):
        top = logits.max(axis=0)
        return top + np.log(np.exp(logits - top).sum(axis=0)) - (targets * logits).sum(axis=0)

    def gradients(self, logits, targets):
        e = np.exp(logits - logits.max(axis=0))
        return e / e.sum(axis=0) - targets


def minority_scale(architecture, counts, loss, bias):
    return ufm.solve(architecture, ufm.ClassPrior(counts), loss, bias=bias).geometry.group_scales[-1]


@pytest.mark.parametrize(("name", "bias"), ELEVEN)
@pytest.mark.sample(6)
def test_the_eleven_losses_of_the_criterion(name, bias):
    """``n_B <= N^2 lam^2 / kappa^2``: collapsed to 1e-11 at .9 of it, s_B > .06 at 1.1."""
    loss, slope = LOSSES[name]
    n_a, n_b = 100.0, 20.0
    lam = slope * math.sqrt(n_b) / (K_A * n_a + K_B * n_b)
    architecture = ufm.UnconstrainedFeatures(lam, lam)
    t = collapse_threshold(architecture, K_A, K_B, loss=loss, bias=bias, majority_count=n_a)
    assert t.minority_count == pytest.approx(n_b, rel=1e-12)
    assert t.lower <= t.ratio <= t.upper <= t.lower * (1 + 1e-11)
    # N changes with n_B: the threshold is crossed between .9 and 1.1 of n_B itself
    below, above = (minority_scale(architecture, [n_a] * 2 + [x * n_b] * 2, loss, bias) for x in (0.9, 1.1))
    assert abs(below) < 1e-11
    assert above > 0.06 * (1.0 if name not in ("mse",) else 0.3)


@pytest.mark.parametrize(("name", "bias"), [*BIASED, ("smoothing", 0.3)])
@pytest.mark.sample(2)
def test_weight_decay_against_the_solver_on_both_sides(name, bias):
    loss, slope = LOSSES[name]
    t = collapse_threshold(DECAY, K_A, K_B, loss=loss, bias=bias, minority_count=4.0)
    if slope is not None:  # sqrt(n_B) kappa = N lam
        assert t.ratio == pytest.approx((2 * slope / 0.02 - K_B * 4.0) / (K_A * 4.0), rel=1e-12)
    leaves_in_proportion(DECAY, loss, bias, t, 4.0)


@pytest.mark.parametrize(
    ("name", "bias"),
    [
        ("smoothing", None),
        ("scales", "free"),
        ("weights", 0.3),
        ("shifts", "free"),
        ("bce", None),
        ("bce", 0.3),
        ("all", None),
    ],
)
@pytest.mark.sample(3)
def test_budgets_against_the_solver_on_both_sides(name, bias):
    loss, _ = LOSSES[name]
    t = collapse_threshold(BUDGET, K_A, K_B, loss=loss, bias=bias)
    assert 1 < t.ratio < 1e4
    assert t.lower <= t.ratio <= t.upper <= t.lower * (1 + 1e-11)
    assert t.is_monotone
    leaves_in_proportion(BUDGET, loss, bias, t, 1.0)


def leaves_in_proportion(architecture, loss, bias, t, n_b):
    """Collapsed just beyond the threshold, out of collapse just below, and s_B in proportion to the distance."""

    def scale(factor):
        return minority_scale(architecture, [t.ratio * factor * n_b] * K_A + [n_b] * K_B, loss, bias)

    assert abs(scale(1 + 1e-4)) < 1e-8
    near, far = scale(1 - 1e-4), scale(1 - 1e-3)
    assert 0 < near < far
    assert far / near == pytest.approx(10, rel=0.1)


@pytest.mark.parametrize("loss", [ufm.CrossEntropy(shifts=[0.0] * 5), Renamed()], ids=["shifted by 0", "renamed"])
def test_the_general_way_finds_what_the_closed_form_has(loss):
    for architecture in (ufm.LayerPeeled(1.0, 1.0), ufm.LinearDEQ(1.0, 1.0, rho=0.2)):
        plain = closed_form(architecture, 3, 2)
        found = collapse_threshold(architecture, 3, 2, loss=loss)
        assert found.ratio == pytest.approx(plain.ratio, rel=1e-12)
        for name, value in plain.derivative.items():
            assert found.derivative[name] == pytest.approx(value, rel=1e-7)


def test_the_threshold_of_fang_is_what_it_was():
    for k_a, ratio in ((3, 245.496930598261985), (5, 12.192447080325935), (7, 4.000466710142019)):
        assert ufm.collapse_threshold(ufm.LayerPeeled(1.0, 5.0), k_a, 10 - k_a).ratio == pytest.approx(ratio, rel=1e-13)


def test_smoothing_is_more_weight_decay():
    a = 0.15
    smooth = collapse_threshold(DECAY, 3, 3, loss=ufm.CrossEntropy(smoothing=a), num_samples=100.0)
    more = ufm.UnconstrainedFeatures(0.02 / (1 - a), 0.02 / (1 - a))
    assert smooth.ratio == pytest.approx(collapse_threshold(more, 3, 3, num_samples=100.0).ratio, rel=1e-12)


def test_a_bias_moves_the_threshold_of_budgets_and_not_of_weight_decay():
    biases = (None, "free", 0.3)
    fixed = [collapse_threshold(DECAY, 3, 2, loss="mse", bias=b, majority_count=60.0).ratio for b in biases]
    assert fixed == pytest.approx([fixed[0]] * 3, rel=1e-12)
    moved = [collapse_threshold(BUDGET, 2, 2, loss="bce", bias=b).ratio for b in biases]
    assert np.ptp(moved) > 0.01


@settings(max_examples=5, deadline=None)
@given(a=st.floats(0.0, 0.5), rho=st.floats(0.0, 0.8), log_count=st.floats(0.0, 4.0))
def test_law_smoothing_and_gain_are_one_number(a, rho, log_count):
    """With weight decay R* depends on ``lam (1 - rho) / (1 - a)`` alone."""
    count = math.exp(log_count)
    deq = ufm.PenalisedDEQ(0.02, 0.02, rho)
    scale = 0.02 * (1 - rho) / (1 - a)
    expected = closed_form(ufm.UnconstrainedFeatures(scale, scale), 2, 2, minority_count=count).ratio
    found = collapse_threshold(deq, 2, 2, loss=ufm.CrossEntropy(smoothing=a), minority_count=count).ratio
    assert found == pytest.approx(expected, rel=1e-11)


def test_where_there_is_none_and_where_there_is_always_one():
    for loss, bias in (("mse", "free"), (ufm.SquaredHinge(), None), (ufm.CrossEntropy(smoothing=0.3), None)):
        t = collapse_threshold(ufm.LayerPeeled(5.0, 5.0), K_A, K_B, loss=loss, bias=bias)
        assert t.ratio == t.lower == math.inf
        with pytest.raises(ValueError, match="no derivative"):
            t.derivative
    # a minority that its loss cares for too little is collapsed from R = 1 on
    t = collapse_threshold(BUDGET, K_A, K_B, loss=ufm.CrossEntropy(scales=[1.0, 1.0, 0.5, 0.5]))
    assert t.ratio == 1.0
    assert (
        minority_scale(BUDGET, [1.0001, 1.0001, 1.0, 1.0], ufm.CrossEntropy(scales=[1.0, 1.0, 0.5, 0.5]), None) < 1e-9
    )


def test_collapsed_again_where_weight_decay_grows_with_the_samples():
    """With n_A held, N grows as R falls: at R = 1 the minority is collapsed once more."""
    held = {"majority_count": 400.0}
    for loss in ("ce", ufm.CrossEntropy(shifts=[0.0] * 4)):
        t = collapse_threshold(DECAY, K_A, K_B, loss=loss, **held)
        assert t.is_monotone is (t.ratio == 1.0)
        near = collapse_threshold(ufm.UnconstrainedFeatures(0.017, 0.017), K_A, K_B, loss=loss, majority_count=900.0)
        assert near.is_monotone is (near.ratio == 1.0)


CASES = [
    (ufm.LayerPeeled(0.8, 0.9), {}),
    (ufm.LinearDEQ(0.8, 0.9, rho=0.0), {}),
    (ufm.LinearDEQ(0.8, 0.9, rho=0.3), {}),
    (ufm.LinearDEQ(0.3, 0.3, rho=0.2), {"loss": "mse", "bias": 0.5}),
    (ufm.LayerPeeled(0.3, 0.4), {"loss": "mse"}),
    (ufm.DeepLinear((2.0, 3.0)), {}),
    (ufm.UnconstrainedFeatures(0.01, 0.02), {"minority_count": 4.0}),
    (ufm.PenalisedDEQ(0.01, 0.02, rho=0.4), {"num_samples": 50.0}),
    (ufm.UnconstrainedFeatures(0.01, 0.02), {"majority_count": 40.0, "loss": ufm.CrossEntropy(smoothing=0.1)}),
    (ufm.UnconstrainedFeatures(0.02, 0.02), {"minority_count": 4.0, "loss": ufm.SquaredHinge()}),
]


@pytest.mark.parametrize(("architecture", "options"), CASES, ids=lambda x: str(x)[:60])
@pytest.mark.sample(4)
def test_derivatives_against_differences(architecture, options):
    slopes = collapse_threshold(architecture, 3, 2, **options).derivative
    outside = {k: v for k, v in options.items() if isinstance(v, float)}
    loss = get_loss(options.get("loss", "ce"))
    known = collapse_threshold(architecture, 3, 2, **options).question
    of_loss = {f.name for f in dataclasses.fields(loss)} & set(slopes)
    assert of_loss == {name for name in vars(loss) if getattr(loss, name) is not None} or not hasattr(known, "branch")
    assert set(slopes) == set(architecture.parameters) | set(outside) | of_loss
    for name in set(slopes) - of_loss:
        slope = slopes[name]
        value = outside.get(name, architecture.parameters.get(name))
        if isinstance(value, tuple):
            value, slope = value[0], slope[0]
        h = 1e-4 * (value or 1.0)

        def at(x, name=name):
            if name in outside:
                return collapse_threshold(architecture, 3, 2, **(options | {name: x})).ratio
            x = (x, *architecture.budgets[1:]) if name == "budgets" else x
            return collapse_threshold(dataclasses.replace(architecture, **{name: x}), 3, 2, **options).ratio

        if value == 0:
            difference = (-3 * at(0.0) + 4 * at(h) - at(2 * h)) / (2 * h)
        else:
            difference = (at(value + h) - at(value - h)) / (2 * h)
        assert slope == pytest.approx(difference, rel=2e-6, abs=1e-9), name


def test_derivatives_by_the_parameters_of_the_loss():
    """``R* = (kappa/(lam sqrt(n_B)) - K_B)/K_A`` with kappa = (1 - a) w Delta; not the majority's numbers."""
    loss = ufm.CrossEntropy(0.1, (1.0, 1.0, 1.5, 1.5), (1.0, 1.0, 0.8, 0.8), (0.5, 0.5, 0.0, 0.0))
    architecture = ufm.UnconstrainedFeatures(5e-3, 5e-3)
    slopes = collapse_threshold(architecture, 2, 2, loss=loss, minority_count=4.0).derivative
    whole = 0.9 * 1.5 * 0.8 / 5e-3 / 2 / 2
    assert slopes["smoothing"] == pytest.approx(-whole / 0.9, rel=1e-7)
    assert slopes["weights"] == pytest.approx((0.0, whole / 1.5), rel=1e-7, abs=1e-6)
    assert slopes["scales"] == pytest.approx((0.0, whole / 0.8), rel=1e-7, abs=1e-6)
    assert slopes["shifts"] == pytest.approx((0.0, 0.0), abs=1e-6)
    # at the end of its range, to one side
    plain = collapse_threshold(architecture, 2, 2, bias="free", minority_count=4.0).derivative
    assert plain["smoothing"] == pytest.approx(-1 / 5e-3 / 2 / 2, rel=1e-7)


def test_derivatives_by_the_parameters_of_the_loss_with_budgets():
    """Where the multiplier moves as well: against differences."""

    def at(x):
        return collapse_threshold(BUDGET, 2, 2, loss=ufm.CrossEntropy(x))

    difference = (at(0.1001).ratio - at(0.0999).ratio) / 2e-4
    assert at(0.1).derivative["smoothing"] == pytest.approx(difference, rel=1e-6)


def test_arrays_are_their_elements():
    over = {"E_H": np.array([[0.5], [0.6]]), "smoothing": np.array([0.0, 0.1, 0.2])}
    found = ufm.threshold_array(ufm.LayerPeeled(0.6, 0.6), 2, 2, over=over)
    assert found.shape == (2, 3)
    one = collapse_threshold(ufm.LayerPeeled(0.6, 0.5), 2, 2, loss=ufm.CrossEntropy(smoothing=0.2))
    assert found.ratio[0, 2] == one.ratio
    assert found.derivative["smoothing"][0, 2] == one.derivative["smoothing"]
    numbers = ufm.threshold_array(ufm.LayerPeeled(1, 1), 2, 2, over={"num_majority": [2, 3, 2]}, loss="mse")
    assert numbers.ratio.tolist() == [math.inf, math.inf, math.inf]
    assert numbers.derivative == {}
    decay = ufm.threshold_array(DECAY, 2, 2, over={"num_samples": [40.0, 80.0]}, loss="bce")
    assert decay.derivative["num_samples"].shape == (2,)


@pytest.mark.parametrize(
    ("architecture", "over", "options"),
    [
        (ufm.LayerPeeled(0.6, 0.6), {"E_W": np.geomspace(0.01, 20.0, 1000)}, {}),
        (ufm.LinearDEQ(0.6, 0.6, 0.2), {"rho": np.linspace(0, 0.9, 1000), "num_minority": [[2], [3]]}, {}),
        (ufm.LayerPeeled(0.6, 0.6), {"E_H": np.geomspace(0.01, 20.0, 1000)}, {"loss": "mse"}),
        (DECAY, {"lambda_W": np.geomspace(1e-4, 1.0, 1000)}, {"minority_count": 4.0}),
        (ufm.PenalisedDEQ(0.01, 0.01, 0.3), {"num_samples": np.geomspace(1.0, 1e3, 1000)}, {"loss": "mse"}),
        (DECAY, {"smoothing": np.linspace(0, 0.5, 1000)}, {"majority_count": 20.0}),
        (DECAY, {"lambda_H": np.geomspace(1e-4, 0.1, 1000)}, {"minority_count": 4.0, "loss": "mse", "bias": "free"}),
    ],
)
def test_large_arrays_are_found_together_and_are_their_elements(architecture, over, options):
    found = ufm.threshold_array(architecture, 3, 2, over=over, **options)
    assert found.together is not None
    whole = {name: values.reshape(-1)[::333] for name, values in found.over.items()}
    if "num_minority" in whole:
        whole["num_minority"] = whole["num_minority"].astype(int)
    few = ufm.threshold_array(architecture, 3, 2, over=whole, **options)
    assert few.together is None
    finite = np.isfinite(few.ratio)
    assert (finite == np.isfinite(found.ratio.reshape(-1)[::333])).all()
    assert found.ratio.reshape(-1)[::333][finite] == pytest.approx(few.ratio[finite], rel=1e-11)


def test_a_minority_that_is_out_of_collapse_beside_the_peak_alone():
    """Under a squared hinge kappa moves with R: out of collapse near 1.145, in it at 1, at 1.3 and at K_B / K_A."""
    decay, counts, hinge = ufm.UnconstrainedFeatures(0.316964, 0.316964), {"majority_count": 10.0}, ufm.SquaredHinge()
    found = collapse_threshold(decay, 3, 4, loss=hinge, **counts)
    assert found.ratio == pytest.approx(1.17683311, rel=1e-6)
    assert found.is_monotone is False
    for ratio, out in ((1.0, False), (1.145, True), (1.17, True), (1.18, False), (4 / 3, False)):
        prior = ufm.ClassPrior([10.0] * 3 + [10.0 / ratio] * 4)
        assert (group_margin(ufm.solve(decay, prior, hinge), range(3, 7)).margin > 0) == out


def test_a_bias_of_many_prices_is_an_array_like_any_other(monkeypatch):
    from ufm.thresholds import arrays

    over = {"bias": np.array([0.05, 1.0])}
    few = ufm.threshold_array(DECAY, 2, 2, over=over, minority_count=4.0)
    monkeypatch.setattr(arrays, "MANY", 2)
    assert ufm.threshold_array(DECAY, 2, 2, over=over, minority_count=4.0).ratio.tolist() == few.ratio.tolist()


@pytest.mark.parametrize(
    ("over", "options", "message"),
    [
        ({"E_W": np.r_[np.ones(1000), -2.0]}, {}, "^E_W must be > 0"),
        ({"E_W": np.r_[np.ones(1000), 1e9]}, {}, "beyond the range of float64"),
        ({"num_minority": np.r_[np.full(1000, 2), 1]}, {}, "^num_minority must"),
        ({"E_W": np.ones(1000)}, {"minority_count": 3.0}, "^minority_count"),
    ],
)
def test_a_point_of_many_is_refused_as_it_is_alone(over, options, message):
    with pytest.raises(ValueError, match=message):
        ufm.threshold_array(ufm.LayerPeeled(1.0, 1.0), 2, 2, over=over, **options)


@pytest.mark.parametrize(
    ("over", "message"),
    [
        ({}, "^over must map names"),
        ({"rho": [0.1]}, "^over has the name 'rho', which must be one of E_W, E_H, smoothing, num_majority"),
        ({"E_W": ["a"]}, r"^over\['E_W'\] must be an array of numbers"),
        ({"E_W": [1.0, 2.0], "E_H": [1.0, 2.0, 3.0]}, "^over must have arrays that broadcast"),
        ({"E_W": [1.0, -2.0]}, "^E_W must"),
    ],
)
def test_arrays_are_refused_by_name(over, message):
    with pytest.raises((TypeError, ValueError), match=message):
        ufm.threshold_array(ufm.LayerPeeled(1.0, 1.0), 2, 2, over=over)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: collapse_threshold(BUDGET, 2, 2, loss=ufm.FocalLoss()), "^loss must be convex"),
        (
            lambda: collapse_threshold(BUDGET, 2, 2, loss=ufm.CrossEntropy(weights=[1, 1, 1, 2])),
            "^loss must treat .*alike",
        ),
        (
            lambda: collapse_threshold(BUDGET, 2, 2, loss=ufm.CrossEntropy(scales=[1, 2, 1, 1])),
            "^loss must treat .*alike",
        ),
        (lambda: collapse_threshold(ufm.DeepLinear((1, 1, 1)), 2, 2, loss="bce"), "^architecture must"),
        (lambda: collapse_threshold(Own(0.6, 0.6), 2, 2, loss="bce"), "^architecture must be one of .* of class Own"),
        (lambda: collapse_threshold(BUDGET, 2, 1, loss="bce"), "^num_minority"),
        (lambda: collapse_threshold(BUDGET, 2, 2, loss="bce", num_samples=3), "^num_samples"),
        (lambda: collapse_threshold(DECAY, 2, 2, loss="bce"), "^exactly one"),
        (lambda: collapse_threshold(BUDGET, 2, 2, bias=-1.0), "^bias"),
        (lambda: collapse_threshold(BUDGET, 200, 2, bias="free"), "^num_majority.*200"),
        (
            lambda: collapse_threshold(ufm.LayerPeeled(40.0, 40.0), 2, 2, loss="bce"),
            "^architecture must leave a threshold",
        ),
    ],
)
def test_refusals_name_the_argument(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_kappa_of_a_squared_hinge_depends_on_the_logits():
    problem = ufm.solve(BUDGET, ufm.ClassPrior([2, 2, 1, 1]), ufm.SquaredHinge()).problem
    assert kappa(problem, np.zeros((4, 4)), [2, 3]) == pytest.approx(4.0)  # 1 + three margins of 1
    assert kappa(problem, np.diag([0.0, 0.0, 5.0, 5.0]), [2, 3]) < 4.0


def test_margin_of_a_solution_says_what_its_phase_says():
    for ratio, is_collapsed in ((2.0, False), (40.0, True)):
        s = ufm.solve(ufm.LayerPeeled(1.0, 5.0), ufm.ClassPrior.step(5, 5, ratio))
        assert group_margin(s, range(5, 10)).is_collapsed == is_collapsed


class Absolute(ufm.Loss):
    """The sum of absolute residuals: convex, with kinks at which no gradient says how far a class is from leaving."""

    is_convex = True

    def values(self, logits, targets):
        return np.abs(logits - targets).sum(axis=0)

    def gradients(self, logits, targets):
        return np.sign(logits - targets)


def test_a_threshold_does_not_rest_on_solutions_that_are_none():
    """R* is 1, for the budget goes to the larger classes; the solver stopped short beside it, and 1.000895 was told."""
    with pytest.raises(ValueError, match=r"leaves a gap of .* with loss Absolute .* would not rest on certified"):
        ufm.collapse_threshold(ufm.LayerPeeled(0.4, 0.4), 2, 2, loss=Absolute())


@pytest.mark.parametrize("share", [0.99, 0.9999, 0.999999])
def test_a_minority_that_is_out_of_collapse_between_two_ratios_alone(share):
    """With n_A held n_B / N^2 rises to R = K_B / K_A and falls: at 4/3 the minority may be out of it, not at 1.3."""
    k_a, k_b, lam = 3, 4, 0.02
    counts = {"majority_count": share / (4 * k_a * k_b * lam**2)}
    for loss, kept in (("bce", "ce"), (ufm.CrossEntropy(weights=[0.7] * 3 + [1.0] * 4), "ce")):
        found = collapse_threshold(ufm.UnconstrainedFeatures(lam, lam), k_a, k_b, loss=loss, **counts)
        exact = closed_form(ufm.UnconstrainedFeatures(lam, lam), k_a, k_b, loss=kept, **counts)
        assert found.ratio == pytest.approx(exact.ratio, rel=1e-6)
        assert found.ratio > 4 / 3
        assert found.is_monotone is False
    none = {"majority_count": counts["majority_count"] / share * 1.0001}
    assert collapse_threshold(ufm.UnconstrainedFeatures(lam, lam), k_a, k_b, loss="bce", **none).ratio == 1.0
