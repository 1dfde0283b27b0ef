"""What a loss of one's own says is attacked before a solve and where it ended; what stands is answered rightly."""

from __future__ import annotations

import numpy as np
import pytest

import ufm
from ufm.losses import ClosedForm, CrossEntropy, Loss, attack_at

PRIOR = ufm.ClassPrior([5, 3, 1])
PEELED = ufm.LayerPeeled(0.3, 0.3)
TRUTH = ufm.solve(PEELED, PRIOR, "mse").value


class Square(Loss):
    """``unit |z - t|^2 / 2``, one unit a class of losses."""

    is_convex = True
    unit = 1.0

    def values(self, logits, targets):
        return self.unit * ((logits - targets) ** 2).sum(axis=0) / 2

    def gradients(self, logits, targets):
        return self.unit * (logits - targets)


def square(**stated):
    return type("Stated", (Square,), stated)()


@pytest.mark.parametrize("unit", [1e-300, 1e-30, 1e-17, 1.0, 1e17])
def test_no_unit_of_a_loss_makes_an_open_gap_closed(unit):
    found = ufm.solve(PEELED, PRIOR, square(unit=unit))
    assert found.value == pytest.approx(unit * TRUTH, rel=1e-9)
    assert found.value - found.lower <= 1e-9 * found.value or found.is_global is None


@pytest.mark.parametrize("size", [1e-10, 1e-6, 1e6])
def test_no_unit_of_targets_or_margins_does_either(size):
    budget = ufm.LayerPeeled(0.3 * size, 0.3 * size)
    found = ufm.solve(budget, ufm.Labels(size * np.eye(3), [5, 3, 1]), "mse")
    assert found.value == pytest.approx(size**2 * TRUTH, rel=1e-9)
    plain = ufm.solve(PEELED, PRIOR, ufm.SquaredHinge()).value
    assert ufm.solve(budget, PRIOR, ufm.SquaredHinge(size)).value == pytest.approx(size**2 * plain, rel=1e-9)


def test_a_floor_of_ones_own_is_nothing_beside_the_risk_at_zero():
    assert ufm.solve(PEELED, PRIOR, square(floor=1.0)).value == pytest.approx(TRUTH, rel=1e-9)


@pytest.mark.parametrize("word", ["floor", "infimum"])
@pytest.mark.parametrize("said", [float("nan"), float("inf"), "0", None, True])
def test_single_words_are_numbers(word, said):
    with pytest.raises((ValueError, TypeError), match=f"loss Stated.{word} must be"):
        ufm.solve(PEELED, PRIOR, square(**{word: said}))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_an_infimum_that_random_points_do_not_contradict_is_contradicted_by_what_is_found():
    far = ufm.Labels(40 * np.eye(3), [5, 3, 1])  # every value at random logits is above 300
    with pytest.raises(ValueError, match="below its infimum"):
        ufm.solve(ufm.LayerPeeled(35.0, 35.0), far, square(infimum=200.0))


class Claimed(CrossEntropy):
    closed_form = ClosedForm.CROSS_ENTROPY

    def values(self, logits, targets):
        return super().values(3 * logits, targets)

    def gradients(self, logits, targets):
        return 3 * super().gradients(3 * logits, targets)


def test_formulas_hold_for_no_class_of_ones_own():
    with pytest.raises(TypeError, match="loss Claimed must leave closed_form None"):
        ufm.solve(PEELED, PRIOR, Claimed())
    with pytest.raises(TypeError, match="closed_form"):
        ufm.collapse_threshold(PEELED, 2, 2, loss=Claimed())


class BentFarAway(Square):
    """Convex within 50 of the target, logarithmic beyond."""

    infimum = -1e9

    def values(self, logits, targets):
        r = np.abs(logits - targets)
        return np.where(r < 50, r * r / 2, 1250 + 50 * np.log1p(np.abs(r - 50))).sum(axis=0)

    def gradients(self, logits, targets):
        r = logits - targets
        return np.where(np.abs(r) < 50, r, 50 * np.sign(r) / (1 + np.abs(np.abs(r) - 50)))


class UndefinedFarAway(Square):
    def values(self, logits, targets):
        return np.where(np.abs(logits).max(axis=0) > 60, np.nan, super().values(logits, targets))


class ConcaveForNegativeTargets(Square):
    infimum = -1e5

    def values(self, logits, targets):
        return (targets * logits**2 / 2 - targets * logits).sum(axis=0)

    def gradients(self, logits, targets):
        return targets * logits - targets


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(
    ("loss", "budget"), [(BentFarAway(), 30.0), (UndefinedFarAway(), 100.0)], ids=lambda x: type(x).__name__
)
def test_what_is_found_far_from_random_points_is_attacked_there(loss, budget):
    with pytest.raises(ValueError, match=f"loss {type(loss).__name__} (contradicts itself at|must be finite)"):
        ufm.solve(ufm.LayerPeeled(budget, budget), ufm.Labels(100 * np.eye(3), [5, 3, 1]), loss)


def test_a_loss_that_stood_for_some_targets_is_attacked_for_others():
    loss = ConcaveForNegativeTargets()
    assert ufm.solve(PEELED, ufm.Labels(np.ones((2, 2)), [1, 1]), loss).is_global is True
    with pytest.raises(ValueError, match="is_convex is True, but"):
        ufm.solve(PEELED, ufm.Labels(-np.ones((2, 2)), [1, 1]), loss)


@pytest.mark.parametrize(
    "stated",
    [
        {"curvature_diagonals": lambda self, z, t: np.full(z.shape, np.nan)},
        {"curvature_diagonals": lambda self, z, t: np.ones(2)},
        {"curvature_forms": lambda self, z, t, u: np.full((u.shape[1], z.shape[1]), np.inf)},
        {"curvature_forms": lambda self, z, t, u: np.ones((2, 2))},
        {"values": lambda self, z, t: Square.values(self, z, t).astype(np.float32)},
    ],
    ids=["diagonals nan", "diagonals shape", "forms inf", "forms shape", "single precision"],
)
def test_what_preconditions_is_attacked_too(stated):
    with pytest.raises((ValueError, TypeError)):
        ufm.solve(PEELED, PRIOR, square(**stated))


@pytest.mark.parametrize("loss", ["ce", CrossEntropy(smoothing=0.2), ufm.FocalLoss(), ufm.SquaredHinge(), "bce"])
def test_targets_without_a_lower_bound_are_refused(loss):
    with pytest.raises(ValueError, match="targets must"):
        ufm.solve(PEELED, ufm.Labels([[-0.5, 1], [1.5, 0]], [1, 1]), loss)


@pytest.mark.parametrize("loss", ["ce", "mse", CrossEntropy(smoothing=0.2), ufm.SquaredHinge()])
@pytest.mark.parametrize("architecture", [PEELED, ufm.UnconstrainedFeatures(0.1, 0.1)])
@pytest.mark.parametrize("bias", [None, "free", 0.3])
def test_labels_that_ask_for_nothing_get_nothing(loss, architecture, bias):
    found = ufm.solve(architecture, ufm.Labels(np.zeros((2, 3)), [1, 2, 3]), loss, bias=bias)
    assert (found.value, found.lower, found.is_global) == (0, 0, True)
    assert not found.logits.any()


@pytest.mark.parametrize("loss", ["ce", "mse", ufm.SquaredHinge(), ufm.FocalLoss()])
def test_targets_whose_squares_leave_float64_are_refused(loss):
    with pytest.raises(ValueError, match="targets"):
        ufm.solve(PEELED, ufm.Labels([[1e160, 0], [0, 1]], [1, 1]), loss)


def test_dual_values_of_a_squared_hinge_are_lower_bounds_that_meet_the_loss():
    rng, loss, t = np.random.default_rng(3), ufm.SquaredHinge(0.7), np.eye(4)
    z, y = rng.normal(size=(2, 4, 4))
    g = loss.gradients(z, t)
    assert loss.dual_values(z, t) == pytest.approx(loss.values(z, t) - (g * z).sum(axis=0), rel=1e-12)
    for c in (0.0, 0.3, 1.0):
        assert (loss.dual_values(z, t, c) <= loss.values(y, t) - c * (g * y).sum(axis=0) + 1e-12).all()


class PseudoHuber(Loss):
    """(1 + r^2)^(1/2) - 1: near its infimum a difference of ones."""

    is_convex = True

    def values(self, logits, targets):
        return (np.hypot(1, logits - targets) - 1).sum(axis=0)

    def gradients(self, logits, targets):
        r = logits - targets
        return r / np.hypot(1, r)


@pytest.mark.parametrize("bias", [None, "free", 0.3])
def test_what_rounding_leaves_of_a_difference_is_no_contradiction(bias):
    """Where budgets are idle the optimum is at slopes of 1e-9, of which differences of values know three digits."""
    found = ufm.solve(ufm.LayerPeeled(2.0, 2.0), ufm.ClassPrior([20, 7, 3, 1]), PseudoHuber(), bias=bias)
    assert found.value < 1e-12


class Absolute(Loss):
    """The sum of absolute residuals, with one of its subgradients."""

    is_convex = True

    def values(self, logits, targets):
        return np.abs(logits - targets).sum(axis=0)

    def gradients(self, logits, targets):
        return np.sign(logits - targets)


def test_a_kink_is_called_one_and_a_wrong_gradient_is_not():
    at = np.eye(3) + 1e-9 * np.arange(9).reshape(3, 3)
    with pytest.raises(ValueError, match=r"a kink, with slopes -\S+ and \d\S+ on its sides, .* once differentiable"):
        attack_at(Absolute(), np.eye(3), at)
    wrong = square(gradients=lambda self, logits, targets: 1.001 * (logits - targets))
    with pytest.raises(ValueError, match="gradients give") as told:
        attack_at(wrong, np.eye(3), 2 * at)
    assert "kink" not in str(told.value)
