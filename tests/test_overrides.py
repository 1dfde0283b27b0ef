"""What overrides a class of this package, itself, by a mixin or on the object, is another question than the class's."""

from __future__ import annotations

import numpy as np
import pytest

import ufm
from ufm.architectures import is_known
from ufm.losses import CrossEntropy, MeanSquaredError
from ufm.thresholds import group_margin

PRIOR = ufm.ClassPrior([5, 5, 1])
PEELED = ufm.LayerPeeled(1.0, 1.0)


class HalfBudget:
    def factor_budgets(self, num_classes):
        return num_classes / 4, num_classes


class TwiceTheNorm:
    def gauge(self, y):
        return 2 * np.linalg.norm(y, "nuc")

    def polar(self, gradient):
        return np.linalg.norm(gradient, 2) / 2

    def atom(self, gradient):
        u, _, vt = np.linalg.svd(gradient)
        return np.outer(u[:, 0], vt[0]) / 2


class HeavyColumns:
    def column_weights(self, prior):
        return 2 * np.sqrt(prior.counts)


class SmallBound:
    @property
    def spectral_bound(self):
        return 0.25


class Temperature:
    """Cross-entropy of 2.5 times the logits."""

    def values(self, logits, targets):
        return CrossEntropy().values(2.5 * logits, targets)

    def gradients(self, logits, targets):
        return 2.5 * CrossEntropy().gradients(2.5 * logits, targets)


def mixed(*bases):
    return type("Mixed", bases, {})


def on_the_object(made, **functions):
    for name, function in functions.items():
        object.__setattr__(made, name, function)
    return made


OTHERS = [
    mixed(HalfBudget, ufm.LayerPeeled)(1.0, 1.0),
    mixed(SmallBound, ufm.LinearDEQ)(1.0, 1.0, 0.5),
    mixed(HeavyColumns, ufm.UnconstrainedFeatures)(0.02, 0.02),
    mixed(mixed(HalfBudget), mixed(ufm.LayerPeeled))(1.0, 1.0),
    on_the_object(ufm.LayerPeeled(1.0, 1.0), factor_budgets=lambda k: (k / 4, k)),
]


@pytest.mark.parametrize("architecture", OTHERS, ids=lambda a: type(a).__mro__[1].__name__)
@pytest.mark.parametrize(
    "ask",
    [
        lambda a: ufm.solve(a, PRIOR),
        lambda a: ufm.solve(a, PRIOR, "mse", method="direct"),
        lambda a: ufm.solve(a, PRIOR, method="search"),
        lambda a: ufm.collapse_threshold(a, 2, 2),
        lambda a: ufm.collapse_thresholds(a, PRIOR),
        lambda a: ufm.certify_phase(a, PRIOR),
        lambda a: ufm.certify_threshold(a, 2, 2),
        lambda a: ufm.hysteresis(a, 2, 2),
    ],
)
def test_what_a_mixin_or_the_object_overrides_is_refused(architecture, ask):
    assert not is_known(architecture)
    with pytest.raises((ValueError, TypeError), match="architecture"):
        ask(architecture)


def test_a_mixin_that_states_all_three_is_solved():
    twice = mixed(TwiceTheNorm, ufm.LayerPeeled)(1.0, 1.0)
    found = ufm.solve(twice, PRIOR)
    assert found.method == "atoms"
    assert found.value == pytest.approx(ufm.solve(ufm.LayerPeeled(0.5, 0.5), PRIOR).value, rel=1e-6)


def test_what_only_adds_is_the_same_architecture():
    named = type("Named", (mixed(), ufm.LayerPeeled), {"comment": "mine"})(1.0, 1.0)
    assert is_known(named)
    assert ufm.solve(named, PRIOR).value == ufm.solve(PEELED, PRIOR).value


@pytest.mark.parametrize("base", [CrossEntropy, MeanSquaredError, ufm.BinaryCrossEntropy, ufm.SquaredHinge])
def test_a_loss_by_mixin_is_solved_as_what_it_computes(base):
    """What the base knows of its own loss (curvature, conjugate, constant direction) is not the mixin's."""
    found = ufm.solve(PEELED, PRIOR, mixed(Temperature, base)())
    assert found.value == pytest.approx(ufm.solve(ufm.LayerPeeled(2.5, 2.5), PRIOR).value, rel=1e-9)
    assert found.is_global is True


def test_a_loss_with_functions_on_the_object_is_refused():
    hot = on_the_object(CrossEntropy(), values=Temperature().values, gradients=Temperature().gradients)
    for ask in (lambda: ufm.solve(PEELED, PRIOR, hot), lambda: ufm.collapse_threshold(PEELED, 2, 2, loss=hot)):
        with pytest.raises(TypeError, match="loss CrossEntropy has gradients, values set on the object"):
            ask()


@pytest.mark.parametrize("base", [ufm.ClassPrior, ufm.Labels])
@pytest.mark.parametrize("name", ["targets", "probabilities", "counts"])
def test_labels_are_what_their_counts_say(base, name):
    for bases, stated in (((base,), {name: property(lambda self: None)}), ((type("M", (), {name: None}), base), {})):
        with pytest.raises(TypeError, match=f"must not override {name} of {base.__name__}"):
            type("Mine", bases, stated)
    added = type("Mine", (base,), {"comment": "mine"})
    assert added.comment == "mine"


WEIGHTED = CrossEntropy(weights=(3.0, 1.0, 1.0))


@pytest.mark.parametrize("loss", [WEIGHTED, CrossEntropy(scales=(1.0, 2.0, 1.0)), CrossEntropy(shifts=(1.0, 0.0, 0.0))])
def test_a_group_whose_classes_a_loss_tells_apart_has_no_one_range(loss):
    solution = ufm.solve(PEELED, PRIOR, loss)
    z = solution.logits
    assert abs((z[0, 0] - z[1, 0]) - (z[1, 1] - z[0, 1])) > 0.1
    for ask in (lambda: ufm.geometry_bounds(solution), lambda: group_margin(solution, [0, 1])):
        with pytest.raises(ValueError, match="loss must treat the classes of a group alike"):
            ask()


def test_weights_that_treat_a_group_alike_have_ranges():
    solution = ufm.solve(PEELED, PRIOR, CrossEntropy(weights=(1.0, 1.0, 3.0)))
    near = ufm.geometry_bounds(solution, gap=1e-6)
    z = solution.logits
    assert z[0, 0] - z[1, 0] in near.margins[0, 0]
    assert z[1, 1] - z[0, 1] in near.margins[0, 0]


def unchecked(base, *fields):
    return type("Unchecked", (base,), {"__post_init__": lambda self: None})(*fields)


@pytest.mark.parametrize(
    ("architecture", "words"),
    [
        (unchecked(ufm.LayerPeeled, -2.0, -2.0), "E_W must be > 0 and finite, got -2.0"),
        (unchecked(ufm.LayerPeeled, 1.0, float("nan")), "E_H must be"),
        (unchecked(ufm.LayerPeeled, "1", 1.0), "E_W must be a real number, got '1'"),
        (unchecked(ufm.LinearDEQ, 1.0, 1.0, -0.5), "rho must"),
        (unchecked(ufm.LinearDEQ, 1.0, 1.0, 1.5), "rho must"),
        (unchecked(ufm.UnconstrainedFeatures, 0.0, 0.1), "lambda_W must be > 0"),
        (type("Empty", (ufm.LayerPeeled,), {"__init__": lambda self: None})(), "Empty must have E_W, E_H"),
    ],
    ids=lambda x: x if isinstance(x, str) else "",
)
def test_a_subclass_without_its_bases_checks_is_checked(architecture, words):
    counts = {"num_samples": 9} if isinstance(architecture, ufm.UnconstrainedFeatures) else {}
    for ask in (
        lambda: ufm.solve(architecture, PRIOR),
        lambda: ufm.solve(architecture, PRIOR, "mse", method="search"),
        lambda: ufm.collapse_threshold(architecture, 2, 2, **counts),
        lambda: ufm.certify_phase(architecture, ufm.ClassPrior([5, 5, 1, 1])),
    ):
        with pytest.raises((ValueError, TypeError), match=words):
            ask()
