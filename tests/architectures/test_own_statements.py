"""What an architecture of one's own says beside its gauge: bounds, weights, factors, and what its functions return."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from stated_architectures import Entrywise

import ufm
from ufm.architectures import Factors

PRIOR = ufm.ClassPrior([5, 5, 1])
TAU = 2.0


class Bounded(Entrywise):
    def bound(self, num_classes):
        return TAU


BOUNDED_VALUE = 0.6011872207262382


def test_the_value_with_a_bound_by_brute_force():
    """Only the diagonal is worth its price; weights on it by a grid that is refined."""
    pi = PRIOR.probabilities

    def risk(a, b):
        c = TAU - 2 * a if b is None else TAU - a - b
        z = np.array([a, a if b is None else b, c])
        return float(pi @ (np.log(np.exp(z) + 2) - z))

    grid = np.linspace(0, TAU / 2, 200_001)
    assert min(risk(a, None) for a in grid[::100]) == pytest.approx(BOUNDED_VALUE, abs=1e-7)
    assert ufm.solve(Bounded(), PRIOR).value == pytest.approx(BOUNDED_VALUE, rel=1e-9)


class OnTheObject(Entrywise):
    def __init__(self):
        self.bound = lambda num_classes: TAU


class Number(Entrywise):
    def __init__(self):
        self.bound = TAU


@dataclass
class Field(Entrywise):
    bound: float


@dataclass
class FieldWithDefault(Entrywise):
    bound: float = TAU


class Property(Entrywise):
    @property
    def bound(self):
        return TAU


def test_a_bound_on_the_object_is_a_bound():
    """It was passed over, and the problem answered as if the gauge were added to the risk."""
    assert OnTheObject().is_constrained
    assert ufm.solve(OnTheObject(), PRIOR).value == pytest.approx(BOUNDED_VALUE, rel=1e-9)


@pytest.mark.parametrize("architecture", [Number(), Field(TAU), FieldWithDefault(), Property()], ids=repr)
def test_a_bound_that_is_no_function_is_refused_and_not_passed_over(architecture):
    with pytest.raises(TypeError, match=r"architecture \w+\.bound must be a function of num_classes, got 2\.0"):
        ufm.solve(architecture, PRIOR)


def test_column_weights_that_are_no_function_are_refused():
    weighted = Entrywise()
    weighted.column_weights = np.ones(3)
    with pytest.raises(TypeError, match=r"Entrywise\.column_weights must be a function of prior"):
        ufm.solve(weighted, PRIOR)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.999])
def test_a_bound_of_the_polar_below_the_polar_is_no_bound(share):
    """Values were called global by it: log 3 where the optimum is .6012."""

    class Short(Bounded):
        def polar_bound(self, gradient):
            return share * self.polar(gradient)

    with pytest.raises(ValueError, match=r"polar_bound\(G\) = .* is below polar\(G\)"):
        ufm.solve(Short(), PRIOR)


def test_a_bound_of_the_polar_above_it_leaves_a_gap():
    class Wide(Bounded):
        def polar_bound(self, gradient):
            return 1.01 * self.polar(gradient)

    with pytest.warns(RuntimeWarning, match="gap"):
        found = ufm.solve(Wide(), PRIOR)
    assert found.is_global is None
    assert found.lower < BOUNDED_VALUE <= found.value * (1 + 1e-9)


def test_a_gauge_that_is_less_at_atoms_than_they_say_is_refused():
    class Less(Entrywise):
        def gauge(self, y):
            return float(np.abs(y).sum()) * (0.5 if (y != 0).sum() <= 2 else 1.0)

    with pytest.raises(ValueError, match=r"above polar\(G\) gauge\(atom\(G\)\)"):
        ufm.solve(Less(), PRIOR)


class Cone(ufm.Architecture):
    """Nonnegative features; the atom by alternation from the largest column alone, which may end at a local maximum."""

    def __init__(self, tau):
        self._exact = ufm.LayerPeeled(1.0, 1.0, features="nonnegative")
        self._tau = tau

    def bound(self, num_classes):
        return self._tau

    def gauge(self, y):
        return self._exact.gauge(y)

    def polar(self, gradient):
        return float(np.vdot(gradient, self.atom(gradient)))

    def atom(self, gradient):
        w = gradient[:, np.linalg.norm(gradient, axis=0).argmax()]
        for _ in range(200):
            h = np.maximum(gradient.T @ w, 0.0)
            w = gradient @ (h / np.linalg.norm(h))
            w = w / np.linalg.norm(w)
        return np.outer(w, h / np.linalg.norm(h))


def test_an_atom_that_is_a_local_maximum_is_found_out():
    """Several classes apart from each other: from the largest column alone the best cone is missed for some G."""
    gradient = np.array([[1.0, 0, 0, 0], [0, 0.8, 0.8, 0.8], [0, 0, 0, 0], [0, 0, 0, 0]])
    from ufm.architectures.attack import attack_at

    cone = Cone(3.0)
    assert cone.polar(gradient) == pytest.approx(1.0)  # and not |(.8, .8, .8)| = 1.386
    with pytest.raises(ValueError, match=r"another of its atoms"):
        attack_at(cone, np.eye(4), gradient)


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (str, "gauge.* must be real numbers, got dtype <U"),
        (complex, "gauge.* must be real numbers, got dtype complex128"),
        (lambda x: None, "gauge.* must be real numbers, got NoneType"),
        (lambda x: [x], r"gauge.* must have shape \(\)"),
        (lambda x: float("nan"), "gauge.* must be finite, got nan"),
    ],
)
def test_what_a_gauge_returns_is_a_real_number(made, words):
    class Odd(Entrywise):
        def gauge(self, y):
            return made(super().gauge(y))

    with pytest.raises((TypeError, ValueError), match=f"architecture Odd.{words}"):
        ufm.solve(Odd(), PRIOR)


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (lambda a: a + 0j, "must be real numbers, got dtype complex128"),
        (lambda a: np.ma.masked_equal(a, 0.0), "must have no masked entries"),
        (lambda a: a[:, :2], r"must return shape \(3, 3\), got \(3, 2\)"),
        (lambda a: a.ravel(), r"must have shape \(K, m\)"),
    ],
)
def test_what_an_atom_returns_is_a_matrix_of_the_gradients_shape(made, words):
    class Odd(Bounded):
        def atom(self, gradient):
            return made(super().atom(gradient))

    with pytest.raises((TypeError, ValueError), match=f"architecture Odd.atom.* {words}"):
        ufm.solve(Odd(), PRIOR)


def test_lists_and_single_numbers_of_numpy_are_taken():
    class Lists(Bounded):
        def gauge(self, y):
            return np.array(super().gauge(y))

        def atom(self, gradient):
            return super().atom(gradient).tolist()

    assert ufm.solve(Lists(), PRIOR).value == pytest.approx(BOUNDED_VALUE, rel=1e-9)


class Factored(Bounded):
    def __init__(self, made):
        self._made = made

    def factorise(self, logits, prior, dim=None):
        return self._made(logits)


def test_factors_of_ones_own_multiply_back():
    right = ufm.solve(Factored(lambda z: Factors(np.eye(3), z)), PRIOR)
    np.testing.assert_array_equal(right.classifier @ right.features, right.logits)
    for made, words in (
        (lambda z: Factors(np.eye(3), 2 * z), "factors that multiply back to the logits"),
        (lambda z: Factors(np.eye(2), z[:2]), r"factors of logits \(3, 3\), got \(2, 3\)"),
        (lambda z: (np.eye(3), z), "must return ufm.architectures.Factors"),
        (lambda z: Factors(np.eye(3), np.nan * z), "must be finite"),
    ):
        solution = ufm.solve(Factored(made), PRIOR)
        with pytest.raises((TypeError, ValueError), match=words):
            solution.factors
