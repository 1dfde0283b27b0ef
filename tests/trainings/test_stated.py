"""Networks of any problem that can be stated, trained to where the theory says; and what they must not take for it."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch

import ufm
from ufm.architectures.blocks import KINDS, transfer
from ufm.deq import train_problem, train_threshold
from ufm.networks.output import Output
from ufm.networks.stated import StatedNetwork, torch_transfer
from ufm.problem import Problem

PRIOR = ufm.ClassPrior([9, 9, 4, 4])
DECAY = ufm.UnconstrainedFeatures(0.03, 0.03)
RELU = {"features": "nonnegative"}
TAILED = ufm.CrossEntropy(shifts=np.log(PRIOR.probabilities).tolist())
SOFT = ufm.Labels([[1, 0, 0.5], [0, 1, 0.2], [0, 0, 0.3]], [6, 5, 4])
SETS = ufm.Labels.multi_label(4, [[0], [1], [0, 1], [2, 3], []], [5] * 5)


def _quartic(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    error = logits - target
    return (error**4).sum() / 4 + (error**2).sum() / 2


AGREEING = {
    "label smoothing": (DECAY, PRIOR, ufm.CrossEntropy(smoothing=0.1), None),
    "logit adjustment with a bias": (DECAY, PRIOR, TAILED, "free"),
    "class-dependent temperature": (DECAY, PRIOR, ufm.CrossEntropy(scales=[1, 1, 0.8, 0.8]), None),
    "mse, penalised bias": (DECAY, PRIOR, "mse", 0.3),
    "a loss in torch": (DECAY, PRIOR, ufm.torch_loss(_quartic), None),
    "squared hinge": (DECAY, PRIOR, ufm.SquaredHinge(), None),
    "focal": (DECAY, PRIOR, ufm.FocalLoss(2.0), None),
    "soft labels": (DECAY, SOFT, "ce", None),
    "weights of columns": (DECAY, SOFT, ufm.CrossEntropy(smoothing=0.1, weights=[1, 2, 3]), None),
    "multi-label": (DECAY, SETS, "bce", "free"),
    "one of a class, a long tail": (DECAY, ufm.ClassPrior([12, 7, 3, 1]), "ce", None),
    "two classes": (DECAY, ufm.ClassPrior([8, 3]), "ce", None),
    "all collapsed": (ufm.UnconstrainedFeatures(0.4, 0.4), PRIOR, "ce", None),
    "budgets": (ufm.LayerPeeled(1.0, 2.0), PRIOR, "ce", None),
    "budgets with slack": (ufm.LayerPeeled(3.0, 3.0), PRIOR, "mse", None),
    "equilibrium": (ufm.LinearDEQ(1.0, 1.0, 0.5), PRIOR, "ce", None),
    "penalised equilibrium": (ufm.PenalisedDEQ(0.03, 0.03, 0.5), PRIOR, "ce", None),
    "equilibrium, both bounds of A bind": (ufm.LinearDEQ(1.0, 1.0, 0.5, 0.4), ufm.ClassPrior([6, 6, 3]), "ce", None),
    "equilibrium, priced A": (ufm.PenalisedDEQ(0.03, 0.03, 0.6, 0.05), PRIOR, "ce", None),
    "equilibrium next to 1": (ufm.PenalisedDEQ(0.3, 0.3, 0.95), PRIOR, "ce", None),
    "flow": (ufm.Gain(1.0, 1.0, 0.5, "ode"), PRIOR, "ce", None),
    "unrolled": (ufm.Gain(1.0, 1.0, 0.5, "unrolled", 3), PRIOR, "ce", None),
    "relu": (ufm.UnconstrainedFeatures(0.03, 0.03, **RELU), PRIOR, "ce", None),
    "bounded norms": (ufm.NormBounded(1.0, 4.0), PRIOR, "ce", None),
    "residual depth, little of it": (ufm.Residual(0.03, 0.03, 3.0, 4), PRIOR, "ce", None),
}


@pytest.mark.parametrize("name", AGREEING)
@pytest.mark.sample(6)
def test_trained_beside_predicted(name: str) -> None:
    architecture, prior, loss, bias = AGREEING[name]
    found = train_problem(architecture, prior, loss, bias=bias, device="cpu")
    assert found.status == "agrees", str(found)
    assert found.logits_error < 1e-3
    assert found.spread < 1e-3
    assert (found.gram_errors["classifier"] is None) == (name in ("all collapsed", "budgets with slack"))
    if name != "residual depth, little of it":  # where factors are determined by the logits
        assert all(error is None or error < 1e-3 for error in found.gram_errors.values())
    if isinstance(prior, ufm.ClassPrior):
        assert found.phase == found.solution.geometry.phase


def test_many_logits_attain_the_optimum_where_budgets_are_idle() -> None:
    """Beyond its margin the hinge is 0: the network ends at the optimum, though elsewhere."""
    found = train_problem(ufm.LayerPeeled(8.0, 8.0), ufm.ClassPrior([4, 4, 4]), ufm.SquaredHinge(), device="cpu")
    assert found.solution.value < 1e-12
    assert found.logits_error > 0.1
    assert found.status == "agrees", str(found)
    assert found.gram_errors == {"classifier": None, "features": None}


def test_where_a_loss_saturates_nothing_is_trapped() -> None:
    """Of e^-40 the gradient is below any tolerance long before the optimum."""
    found = train_problem(ufm.LayerPeeled(30.0, 30.0), ufm.ClassPrior([10, 10, 4, 4]), device="cpu")
    assert found.fit.converged
    assert found.logits_error > 0.1
    assert found.status == "unconverged", str(found)


SMALL = ufm.Labels(1e-4 * np.random.default_rng(3).normal(size=(3, 5)), [4] * 5)
UNITS = {
    "small targets": (ufm.UnconstrainedFeatures(3e-6, 3e-6), SMALL, "mse"),
    "light weights": (ufm.UnconstrainedFeatures(3e-6, 3e-6), PRIOR, ufm.CrossEntropy(weights=[1e-4] * 4)),
    "heavy weights": (ufm.UnconstrainedFeatures(300.0, 300.0), PRIOR, ufm.CrossEntropy(weights=[1e4] * 4)),
    "logits scaled up": (ufm.UnconstrainedFeatures(300.0, 300.0), PRIOR, ufm.CrossEntropy(scales=[1e4] * 4)),
    "small budgets": (ufm.LayerPeeled(1e-3, 1e-3), PRIOR, "ce"),
}


@pytest.mark.parametrize("name", UNITS)
def test_words_do_not_hang_on_units(name: str) -> None:
    """Logits of 1e-4 all looked like 0: after one iteration a training agreed, in rank 0 and phase total."""
    architecture, prior, loss = UNITS[name]
    solution = ufm.solve(architecture, prior, loss)
    found = train_problem(architecture, prior, loss, solution=solution, device="cpu")
    assert found.status == "agrees", str(found)
    assert found.fit.converged
    assert found.logits_error < 1e-3
    assert all(error is not None and error < 1e-3 for error in found.gram_errors.values())
    assert found.rank == np.linalg.matrix_rank(solution.logits, tol=1e-6 * np.linalg.norm(solution.logits, 2))
    if isinstance(prior, ufm.ClassPrior):
        assert found.phase == solution.geometry.phase
    started = train_problem(architecture, prior, loss, solution=solution, max_iterations=1, device="cpu")
    assert started.status != "agrees", str(started)


def test_factors_are_not_determined_where_budgets_press_with_rounding_alone() -> None:
    """Smoothed targets are met within the budgets: the multiplier is 1e-15, and Gram matrices were off by 100 %."""
    found = train_problem(ufm.LayerPeeled(9.0, 9.0), PRIOR, ufm.CrossEntropy(smoothing=0.1), device="cpu")
    assert found.status == "agrees", str(found)
    assert found.logits_error < 1e-3
    assert found.gram_errors == {"classifier": None, "features": None}


@pytest.mark.parametrize("decay", [0.02, 0.01])
def test_phases_of_long_tails_are_those_of_the_theory(decay: float) -> None:
    """Rare classes of different counts, whose features vanish or all but coincide, were in no phase."""
    prior, model = ufm.ClassPrior([100, 60, 36, 22, 13, 8, 5, 3, 2, 1]), ufm.UnconstrainedFeatures(decay, decay)
    phases = {}
    for loss in ("mse", "ce"):
        found = train_problem(model, prior, loss, device="cpu")
        assert found.phase == found.solution.geometry.phase
        phases[loss] = found.phase
    assert phases["mse"] == "total"
    assert (phases["ce"] == "tail") == (decay == 0.02)


def test_an_encoder_that_cannot_have_the_features_is_in_no_trap() -> None:
    x, j = np.random.default_rng(0).normal(size=(12, 8)), np.repeat([0, 1, 2], [6, 4, 2])
    prior = ufm.ClassPrior([6, 4, 2])
    shared = np.concatenate([x[:10], x[:2]])  # the last class's inputs are two of the first's
    for fields in ({"inputs": x, "width": 1}, {"inputs": shared}):
        found = train_problem(DECAY, prior, columns=j, device="cpu", **fields)
        assert (found.is_attained, found.status) == (False, "above"), str(found)
    found = train_problem(DECAY, prior, columns=j, inputs=x, device="cpu")
    assert (found.is_attained, found.status) == (True, "agrees")
    # where 0 is the optimum every encoder has it
    strong = train_problem(ufm.UnconstrainedFeatures(1.0, 1.0), prior, columns=j, inputs=shared, device="cpu")
    assert (strong.is_attained, strong.status) == (True, "agrees")


def test_a_solution_in_other_dimensions_is_another_problem() -> None:
    """Beside an optimum of rank 3 two dimensions were trapped, beside one of rank 2 sixteen were below it."""
    full = ufm.solve(DECAY, PRIOR)
    with pytest.raises(ValueError, match="solution must be one in 2 dimensions"):
        train_problem(DECAY, PRIOR, dim=2, solution=full)
    with pytest.raises(ValueError, match="solution must be one in 16 dimensions"):
        train_problem(DECAY, PRIOR, solution=ufm.solve(DECAY, PRIOR, dim=2))
    assert train_problem(DECAY, PRIOR, dim=3, solution=ufm.solve(DECAY, PRIOR, dim=8), device="cpu").status == "agrees"


def test_next_to_a_threshold_the_minimum_that_it_is_in_is_not_the_optimum() -> None:
    """One per cent above n_B* the minority's s is .014 beside logits of 3, and worth 2e-6 of the objective."""
    lam = 2 * math.sqrt(4.95) / (2 * 40 + 2 * 5)
    model, prior = ufm.PenalisedDEQ(lam, lam, 0.5), ufm.ClassPrior([40, 40, 5, 5])
    found = train_problem(model, prior, start="zero", device="cpu")
    assert found.solution.geometry.phase == "none"
    assert found.phase == "partial"
    assert abs(found.objective_error) < 1e-5
    assert found.logits_error < 0.01
    assert found.status == "trapped", str(found)
    assert found.trap is not None
    assert found.trap.rank == 2
    assert train_problem(model, prior, solution=found.solution, device="cpu").status == "agrees"


def test_zero_is_a_trap_of_losses_that_are_not_convex_too() -> None:
    """The search from many starts leaves it; a layer whose A is 0 does not."""
    found = train_problem(
        ufm.PenalisedDEQ(0.17, 0.27, 0.95), ufm.ClassPrior([12, 2]), ufm.FocalLoss(3.0), start="zero", device="cpu"
    )
    assert (found.status, found.rank) == ("trapped", 0), str(found)
    assert found.trap is not None
    assert found.trap.value == found.problem.risk(np.zeros((2, 2)))


def test_some_classes_of_a_group_may_coincide() -> None:
    """In a code of rank 1 pairs of four equal classes do; as a group they do not."""
    found = train_problem(
        ufm.DeepLinear((0.84, 9.3, 2.0)), ufm.ClassPrior([8] * 4), ufm.SquaredHinge(3.0), seed=1, device="cpu"
    )
    assert found.rank == 1
    assert found.phase == found.solution.geometry.phase == "partial"


class Dearer(StatedNetwork):
    """Pays once more for its logits: the optimum is a bound that it does not reach."""

    is_attained = False

    def decay(self, output: Output) -> torch.Tensor:
        return super().decay(output) + 0.01 * output.logits.square().sum() / len(output.logits)


def test_a_network_of_ones_own() -> None:
    prior = ufm.ClassPrior([4, 2])
    found = train_problem(DECAY, prior, "mse", network=Dearer, device="cpu")
    assert isinstance(found.network, Dearer)
    assert (found.is_attained, found.status) == (False, "above")
    assert found.objective_error > 1e-3
    solution = dataclasses.replace(found.solution, value=1.01 * found.fit.objective)
    assert dataclasses.replace(found, solution=solution).status == "below"


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.sample(1)
def test_codes_of_residual_depth_are_among_the_predicted_minima(seed: int) -> None:
    prior = ufm.ClassPrior([20, 20, 20, 6, 6, 6])
    architecture = ufm.Residual(0.02, 0.02, 0.05, 4)
    solution = ufm.solve(architecture, prior)
    found = train_problem(architecture, prior, solution=solution, seed=seed, device="cpu")
    assert found.status in ("agrees", "trapped"), str(found)
    assert found.trap is not None
    assert found.rank == found.trap.rank < 5
    assert math.isclose(found.fit.objective, found.trap.value, rel_tol=1e-6)


@pytest.mark.parametrize(("rho", "rank"), [(0.8, None), (0.95, 0)])
@pytest.mark.sample(2)
def test_an_equilibrium_from_zero_is_trapped_where_the_theory_says(rho: float, rank: int | None) -> None:
    """Among the logits of its rank it is at a minimum; from A = rho I the same objective ends at the optimum."""
    lam = 2 / (60 * (1 - rho))
    model, prior = ufm.PenalisedDEQ(lam, lam, rho), ufm.ClassPrior([12, 12, 6, 6])
    solution = ufm.solve(model, prior)
    found = train_problem(model, prior, solution=solution, start="zero", device="cpu")
    assert found.status == "trapped", str(found)
    assert found.trap is not None
    assert found.rank == found.trap.rank < solution.geometry.rank
    assert rank is None or rank == found.rank
    assert math.isclose(found.fit.objective, found.trap.value, rel_tol=1e-6)
    other = dataclasses.replace(found, fit=dataclasses.replace(found.fit, objective=1.01 * found.fit.objective))
    assert other.trap is None
    assert train_problem(model, prior, solution=solution, device="cpu").status == "agrees"


def test_the_prediction_in_two_dimensions_behind_a_relu_is_the_best_of_several_starts() -> None:
    """From one atom a column it was 1.0235: two features, of which each of two pairs of classes shares one."""
    model = ufm.UnconstrainedFeatures(0.02, 0.02, **RELU)
    prior = ufm.ClassPrior([10, 10, 4, 4])
    with pytest.warns(RuntimeWarning, match="not a proven optimum"):
        found = train_problem(model, prior, dim=2, device="cpu")
    assert found.status == "agrees", str(found)


def test_the_prediction_of_bounded_norms_in_one_dimension_has_shorter_rows() -> None:
    """In one dimension unit vectors are signs, which no descent leaves: the value was 0.419."""
    prior = ufm.ClassPrior([6, 6, 3])
    with pytest.warns(RuntimeWarning, match="not a proven optimum"):
        found = train_problem(ufm.NormBounded(1.0, 3.0), prior, dim=1, device="cpu")
    assert found.status == "agrees", str(found)
    assert np.abs(found.solution.factors.classifier).min() < 0.99


def test_dimensions_below_the_rank_are_a_constraint() -> None:
    found = train_problem(DECAY, PRIOR, dim=2, device="cpu")
    assert found.solution.value > ufm.solve(DECAY, PRIOR).value + 1e-3
    assert found.rank <= 2
    assert found.status == "agrees" or found.trap is not None, str(found)


def test_optima_that_break_the_symmetry_are_found_behind_a_saddle() -> None:
    """From a start without preferences the training comes to a stationary point at which the groups stay symmetric."""
    prior, bounds = ufm.ClassPrior([10, 10, 4, 4]), ufm.LinearDEQ(1.0, 1.0, 0.5, 0.55)
    found = train_problem(bounds, prior, device="cpu")
    assert found.status == "agrees", str(found)
    assert found.logits[0, 2] < found.logits[0, 3] - 0.1 or found.logits[0, 3] < found.logits[0, 2] - 0.1
    lengths = torch.linalg.svdvals(found.network.between()[0].detach())
    assert abs(float(lengths[0]) - 0.5) < 1e-4
    assert abs(float(lengths.square().sum()) - 0.55) < 1e-5


def test_a_flat_saddle_next_to_a_threshold_is_left() -> None:
    """Its gradient is below 1e-7 where the fourth direction is a thousandth of the first: it passed for a trap."""
    found = train_problem(ufm.Gain(0.3, 0.3, 0.5, "ode"), ufm.ClassPrior([40] * 2 + [26] * 3), device="cpu")
    assert found.status == "agrees", str(found)
    assert found.objective_error < 1e-8
    assert found.phase == found.solution.geometry.phase == "none"


def test_of_several_starts_the_lowest_counts() -> None:
    prior, model = ufm.ClassPrior([20] * 3 + [6] * 3), ufm.LayerPeeled(1.0, 2.0, **RELU)
    solution = ufm.solve(model, prior)
    first, best = (train_problem(model, prior, solution=solution, starts=n, device="cpu") for n in (1, 2))
    assert first.fit.objective > best.fit.objective + 1e-6
    assert best.status == "agrees"


def test_float32_gets_near() -> None:
    found = train_problem(DECAY, PRIOR, dtype="float32", device="cpu")
    assert found.network.classifier.weight.dtype == torch.float32
    assert found.status == "agrees", str(found)


@pytest.mark.parametrize("architecture", [DECAY, ufm.LayerPeeled(1.0, 1.0)])
def test_a_loose_tolerance_makes_no_trap(architecture: ufm.Architecture) -> None:
    """By the saddle at 0, where weights start, the gradient is below 1e-2."""
    found = train_problem(architecture, PRIOR, gradient_tol=1e-2, device="cpu")
    assert found.fit.converged
    assert found.objective_error > 0.01
    assert found.status == "unconverged", str(found)


def test_a_minimum_that_float32_is_in_is_named() -> None:
    """Its gradient meets no tolerance, and where it ended was not looked for."""
    lam = 2 / (60 * 0.2)
    model, prior = ufm.PenalisedDEQ(lam, lam, 0.8), ufm.ClassPrior([12, 12, 6, 6])
    found = train_problem(model, prior, start="zero", dtype="float32", gradient_tol=1e-12, device="cpu")
    assert not found.fit.converged
    assert found.status == "trapped", str(found)
    assert found.trap is not None


def test_more_classes_than_a_data_set_has() -> None:
    prior = ufm.ClassPrior([3] * 20)
    columns = np.repeat(np.arange(20), 3)
    inputs = np.random.default_rng(0).normal(size=(60, 30))
    found = train_problem(ufm.UnconstrainedFeatures(0.01, 0.01), prior, inputs=inputs, columns=columns, device="cpu")
    assert found.status == "agrees", str(found)
    assert found.solution.geometry.etf_error < 1e-6


def test_an_optimum_of_another_problem_is_not_agreed_with() -> None:
    near = ufm.UnconstrainedFeatures(0.0303, 0.03)
    solution = ufm.solve(near, PRIOR)
    found = train_problem(DECAY, PRIOR, device="cpu")
    assert dataclasses.replace(found, solution=solution).status == "below"
    with pytest.raises(ValueError, match="solution must be one of this problem"):
        train_problem(DECAY, PRIOR, solution=solution, device="cpu")


def test_thresholds_do_not_move_with_the_bias_and_do_with_the_temperature() -> None:
    """n_B* = N^2 lam^2 / delta^2, and additive shifts and a bias leave it alone."""
    lam = math.sqrt(8) / (3 * 24 + 3 * 8)
    model = ufm.UnconstrainedFeatures(lam, lam)
    settings = {"majority_count": 24, "minority_counts": (7, 9, 10, 11, 12), "device": "cpu"}
    adjusted = train_threshold(
        model,
        3,
        3,
        loss=lambda prior: ufm.CrossEntropy(shifts=np.log(prior.probabilities).tolist()),
        bias="free",
        **settings,
    )
    hot = ufm.UnconstrainedFeatures(0.8 * lam, 0.8 * lam)
    scaled = train_threshold(hot, 3, 3, loss=ufm.CrossEntropy(scales=[1, 1, 1, 0.8, 0.8, 0.8]), **settings)
    for found in (adjusted, scaled):
        assert math.isclose(found.predicted, 8, rel_tol=1e-9)
        assert abs(found.error) < 0.01
        assert (found.measured.collapsed, found.measured.uncollapsed) == (7, 9)


def test_a_loss_of_the_counts_has_its_threshold_where_it_is_that_of_its_own_count() -> None:
    """sqrt(n) (24/n)^.1 = lam N: the threshold of the loss at the least count, 7, is 7.6."""
    lam = math.sqrt(8) * 3**0.1 / (3 * 24 + 3 * 8)
    settings = {"majority_count": 24, "minority_counts": (7, 9, 10, 11, 12), "device": "cpu"}

    def balanced(prior: ufm.ClassPrior) -> ufm.Loss:
        return ufm.CrossEntropy(weights=((prior.counts.max() / prior.counts) ** 0.1).tolist())

    found = train_threshold(ufm.UnconstrainedFeatures(lam, lam), 3, 3, loss=balanced, **settings)
    assert math.isclose(found.predicted, 8, rel_tol=1e-8)
    assert abs(found.error) < 0.01
    with pytest.raises(ValueError, match="minority_counts must lie on both sides of the threshold"):
        train_threshold(ufm.UnconstrainedFeatures(0.7 * lam, 0.7 * lam), 3, 3, loss=balanced, **settings)


def test_a_threshold_is_measured_in_any_unit_of_the_logits() -> None:
    """With logits scaled up by 20 the s_B of uncollapsed trainings is below 1e-2."""
    lam = math.sqrt(8) / (3 * 24 + 3 * 8)
    settings = {"majority_count": 24, "minority_counts": (7, 9, 10, 11, 12), "device": "cpu"}
    plain, hot = (
        train_threshold(
            ufm.UnconstrainedFeatures(t * lam, t * lam), 3, 3, loss=ufm.CrossEntropy(scales=[t] * 6), **settings
        )
        for t in (1.0, 20.0)
    )
    assert (hot.measured.collapsed, hot.measured.uncollapsed) == (7, 9)
    assert math.isclose(hot.measured.value, plain.measured.value, rel_tol=1e-3)


@pytest.mark.parametrize(
    ("arguments", "fields", "message"),
    [
        ((ufm.PenalisedDeepLinear((0.03, 0.03, 0.03)), 2, 2), {}, "architecture must have a nuclear-norm gauge"),
        ((DECAY, 2, 2), {"loss": ufm.FocalLoss(1.0)}, "loss must be convex"),
        ((DECAY, 2, 2), {"dim": 2}, "dim must be at least 3"),
        ((ufm.UnconstrainedFeatures(0.2, 0.2), 2, 2), {}, "architecture .* must have a threshold below majority_count"),
        ((DECAY, 2, 2), {"seeds": ()}, "minority_counts and seeds must not be empty"),
        ((DECAY, 2, 2), {"minority_counts": ()}, "minority_counts and seeds must not be empty"),
    ],
)
def test_thresholds_that_cannot_be_predicted_are_refused_before_any_training(
    monkeypatch: pytest.MonkeyPatch, arguments: tuple, fields: dict, message: str
) -> None:
    monkeypatch.setattr("ufm.trainings.stated_threshold.train_problem", None)
    with pytest.raises(ValueError, match=message):
        train_threshold(*arguments, **({"majority_count": 9, "minority_counts": (3, 4)} | fields))


def test_maps_are_those_of_the_theory() -> None:
    rng = np.random.default_rng(1)
    for kind in KINDS:
        maps = [0.2 * rng.normal(size=(3, 3)) for _ in range(1 if kind in ("deq", "ode") else 3)]
        found = torch_transfer(kind, [torch.from_numpy(a) for a in maps], 3)
        np.testing.assert_allclose(found.numpy(), transfer(kind, maps, 3), atol=1e-12)


@pytest.mark.parametrize(
    "architecture",
    [
        ufm.LayerPeeled(1.0, 2.0),
        ufm.LinearDEQ(1.0, 2.0, 0.5, 0.1),
        ufm.NormBounded(1.0, 2.0),
        ufm.DeepLinear((1.0, 2.0, 3.0)),
        ufm.LayerPeeled(1.0, 2.0, **RELU),
    ],
    ids=repr,
)
def test_no_weights_leave_the_bounds(architecture: ufm.Architecture) -> None:
    columns = torch.tensor([0] * 5 + [1] * 3)
    problem = Problem.of(architecture, ufm.ClassPrior([5, 3]))
    network = StatedNetwork(problem, columns, 4, dim=3, width=8, seed=1)
    with torch.no_grad():
        for weight in network.parameters():
            weight.mul_(50.0).add_(0.3)
        output = network(torch.randn(8, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64))
        factors, h, maps = network.factors(), output.injected, network.between()
    squares = torch.stack([h[columns == j].square().sum(dim=1).mean() for j in (0, 1)])
    if isinstance(architecture, ufm.NormBounded):
        assert factors[0].norm(dim=1).max() <= 1 + 1e-12
        assert h.norm(dim=1).max() <= 2 + 1e-12
        return
    budgets = architecture.factor_budgets(2)
    for x, budget in zip([*(f.square().sum() for f in factors), squares.sum()], budgets, strict=True):
        assert float(x) <= budget * (1 + 1e-12)
    if maps:
        assert float(torch.linalg.matrix_norm(maps[0], 2)) <= 0.5 + 1e-12
        assert float(maps[0].square().sum()) <= 0.1 + 1e-12
    if architecture.parameters.get("features"):
        assert float(h.min()) >= 0


class Own(ufm.Architecture):
    def gauge(self, y):
        return float(np.linalg.norm(y))

    def polar(self, gradient):
        return float(np.linalg.norm(gradient))

    def atom(self, gradient):
        return gradient / np.linalg.norm(gradient)


@pytest.mark.parametrize(
    ("arguments", "fields", "message"),
    [
        ((DECAY, ufm.ClassPrior([4.5, 2])), {}, "prior must have whole counts"),
        ((DECAY, ufm.ClassPrior([2] * 11)), {}, "prior must have at most 10 columns"),
        ((DECAY, ufm.Labels([[1.0], [0.0]], [5])), {}, "prior must have 2 columns or more"),
        ((DECAY, PRIOR), {"dataset": "cifar10"}, "dataset"),
        ((DECAY, PRIOR), {"dtype": "float16"}, "dtype"),
        ((DECAY, PRIOR), {"inputs": np.zeros((26, 3))}, "inputs and columns must be given together"),
        ((DECAY, PRIOR), {"inputs": np.zeros((26, 3)), "columns": np.zeros(26, int)}, "columns must occur as often"),
        ((DECAY, PRIOR), {"inputs": np.full((26, 3), 1e200), "columns": np.zeros(26, int)}, "inputs must have a root"),
        ((DECAY, PRIOR), {"inputs": np.full((26, 3), 1e-9), "columns": np.zeros(26, int)}, "inputs must have a root"),
        ((DECAY, PRIOR), {"inputs": np.ones((26, 3)) * 1j, "columns": np.zeros(26, int)}, "inputs must be real"),
        (
            (DECAY, PRIOR),
            {"inputs": np.ma.masked_less(np.eye(26), 1), "columns": [0] * 26},
            "inputs must have no masked",
        ),
        ((DECAY, PRIOR), {"inputs": [[1], [2, 3]], "columns": [0, 1]}, "inputs must be an array"),
        ((DECAY, PRIOR), {"inputs": np.eye(26), "columns": np.full(26, 10**12)}, "columns must occur as often"),
        ((DECAY, PRIOR), {"progress": 3}, "progress must be callable"),
        ((DECAY, PRIOR), {"start": "anywhere"}, "start"),
        ((DECAY, PRIOR), {"dim": 0}, "dim"),
        ((DECAY, PRIOR), {"starts": 0}, "starts"),
        ((DECAY, PRIOR), {"gradient_tol": 0.0}, "gradient_tol"),
        ((DECAY, PRIOR), {"network": None}, "network must make a ufm.networks.StatedNetwork"),
        ((DECAY, PRIOR), {"network": lambda *_, **__: torch.nn.Linear(3, 4)}, "network must make"),
        ((Own(), PRIOR), {}, "states no factors"),
        ((DECAY, [9, 9, 4, 4]), {}, "prior must be"),
    ],
)
def test_what_cannot_be_trained_is_refused(arguments: tuple, fields: dict, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        train_problem(*arguments, **fields)


@pytest.mark.sample(0)
def test_thresholds_under_budgets() -> None:
    """Budgets are kept while n_B goes through 24/R*."""
    ratio = ufm.collapse_threshold(ufm.LayerPeeled(1.0, 1.0), 3, 3).ratio
    star = 24 / ratio
    counts = tuple(math.ceil(star) + i for i in range(4))
    found = train_threshold(
        ufm.LayerPeeled(1.0, 1.0), 3, 3, majority_count=24, minority_counts=(math.floor(star) - 1, *counts)
    )
    assert math.isclose(found.predicted, star)
    assert abs(found.error) < 0.01
    assert all(status == "agrees" for *_, status in found.points)


def test_thresholds_need_weight_decay_or_budgets() -> None:
    counts = {"majority_count": 9, "minority_counts": (3, 4)}
    with pytest.raises(TypeError, match="architecture must have weight decay or budgets"):
        train_threshold(ufm.NormBounded(1.0, 1.0), 2, 2, **counts)
    with pytest.raises(ValueError, match="loss must not depend on the counts"):
        train_threshold(ufm.LayerPeeled(1.0, 1.0), 2, 2, loss=lambda prior: ufm.CrossEntropy(), **counts)
