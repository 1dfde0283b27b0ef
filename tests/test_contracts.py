"""Losses and architectures of one's own through every public entry: answered, or refused by name."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import math
import warnings
from dataclasses import dataclass

import numpy as np
import pytest
from scipy.optimize import minimize
from stated_architectures import Entrywise

import ufm
from ufm.architectures import Architecture, LayerPeeled, Penalised, is_known
from ufm.landscape import classify
from ufm.losses import LOSSES, CrossEntropy, Loss, MeanSquaredError, attack
from ufm.problem import Problem
from ufm.solvers import METHODS, supported
from ufm.testing import assert_feasible, assert_optimal

PRIOR = ufm.ClassPrior.step(3, 3, 5.0)
PEELED = ufm.LayerPeeled(0.3, 0.5)
DECAY = ufm.UnconstrainedFeatures(0.05, 0.05)
ENTRIES = [name for name in METHODS if name != "auto"]


def _softmax(z):
    e = np.exp(z - z.max(axis=0))
    return e / e.sum(axis=0)


class Smoothed(Loss):
    """Cross-entropy with label smoothing a tenth."""

    is_convex = True

    def values(self, logits, targets):
        t = 0.9 * targets + 0.1 / len(targets)
        top = logits.max(axis=0)
        return top + np.log(np.exp(logits - top).sum(axis=0)) - (t * logits).sum(axis=0)

    def gradients(self, logits, targets):
        return _softmax(logits) - 0.9 * targets - 0.1 / len(targets)


class Hinge(Loss):
    """Squared hinge, ``1/2 sum_{j != k} max(0, 1 + z_j - z_k)^2``: once differentiable, 0 at finite logits."""

    is_convex = True

    def values(self, logits, targets):
        return 0.5 * (self._excess(logits, targets) ** 2).sum(axis=0)

    def gradients(self, logits, targets):
        excess = self._excess(logits, targets)
        return excess - targets * excess.sum(axis=0)

    def _excess(self, logits, targets):
        return np.maximum(0.0, 1 + logits - (targets * logits).sum(axis=0)) * (1 - targets)


class Hot(CrossEntropy):
    """Cross-entropy at temperature a tenth, which inherits the name and all else that its base knows of itself."""

    def values(self, logits, targets):
        return super().values(10 * logits, targets)

    def gradients(self, logits, targets):
        return 10 * super().gradients(10 * logits, targets)


class HotMean(MeanSquaredError):
    """Mean squared error of thrice the logits."""

    def values(self, logits, targets):
        return super().values(3 * logits, targets)

    def gradients(self, logits, targets):
        return 3 * super().gradients(3 * logits, targets)


class Negative(Loss):
    """A loss without a lower bound: minus the margin."""

    is_convex = True
    infimum = -np.inf

    def values(self, logits, targets):
        return logits.mean(axis=0) - (targets * logits).sum(axis=0)

    def gradients(self, logits, targets):
        return np.full_like(logits, 1 / len(logits)) - targets


class Bumpy(Loss):
    """Not convex, and says so."""

    is_convex = False

    def values(self, logits, targets):
        return (1 - np.cos(logits - targets)).sum(axis=0) + 0.01 * ((logits - targets) ** 2).sum(axis=0)

    def gradients(self, logits, targets):
        return np.sin(logits - targets) + 0.02 * (logits - targets)


OWN = (Smoothed(), Hinge(), Hot(), HotMean())


def descended(loss, architecture, prior, seed=0):
    """The least objective over the factors by plain L-BFGS on values and gradients: no solver of the package."""
    k, pi, n = prior.num_classes, prior.probabilities, prior.counts
    t, best = np.eye(k), np.inf
    rng = np.random.default_rng(seed)

    def split(x):
        w, h = x[: k * k].reshape(k, k), x[k * k :].reshape(k, k)
        if isinstance(architecture, LayerPeeled):
            w = w * np.sqrt(k * architecture.E_W) / max(np.linalg.norm(w), np.sqrt(k * architecture.E_W))
            h = h * np.sqrt(k * architecture.E_H) / max(np.linalg.norm(h), np.sqrt(k * architecture.E_H))
        return w, h

    def value(x):
        w, h = split(x)
        risk = float(pi @ loss.values(w @ h, t))
        if isinstance(architecture, LayerPeeled):
            return risk
        return risk + architecture.lambda_W / 2 * (w**2).sum() + architecture.lambda_H / 2 * float((h**2).sum(0) @ n)

    for _ in range(3):
        found = minimize(
            value, rng.normal(size=2 * k * k), method="L-BFGS-B", options={"maxiter": 4000, "maxfun": 10**6}
        )
        best = min(best, float(found.fun))
    return best


# -- losses ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", OWN, ids=lambda loss: type(loss).__name__)
@pytest.mark.parametrize("architecture", [PEELED, DECAY], ids=repr)
@pytest.mark.sample(4)
def test_a_loss_of_ones_own_is_solved_to_a_closed_gap(loss, architecture):
    prior = ufm.ClassPrior.step(2, 2, 4.0)
    solution = ufm.solve(architecture, prior, loss)
    assert solution.is_global is True
    assert solution.method == "nuclear"
    assert solution.value <= descended(loss, architecture, prior) * (1 + 1e-5) + 1e-9
    assert solution.value >= descended(loss, architecture, prior) * (1 - 1e-3) - 1e-9
    assert_optimal(solution)


def test_published_figure_of_label_smoothing():
    """A value that the first edition got wrong by a factor of two, and called global."""
    solution = ufm.solve(ufm.LayerPeeled(1.0, 5.0), PRIOR, Smoothed())
    assert solution.value == pytest.approx(0.48119579, abs=5e-9)
    assert solution.is_global is True
    same = ufm.solve(ufm.LayerPeeled(1.0, 5.0), PRIOR, CrossEntropy(smoothing=0.1))
    assert same.value == pytest.approx(solution.value, rel=1e-8)


@pytest.mark.parametrize("loss", OWN, ids=lambda loss: type(loss).__name__)
@pytest.mark.parametrize("method", ENTRIES)
@pytest.mark.sample(20)
def test_every_method_agrees_or_refuses_by_name(loss, method):
    truth = ufm.solve(PEELED, PRIOR, loss).value
    problem = Problem.of(PEELED, PRIOR, loss)
    answer = supported(problem)[method]
    if not answer:
        with pytest.raises(
            ValueError, match=rf"method '{method}' does not solve this problem: (loss|archit).*; methods that solve"
        ):
            ufm.solve(PEELED, PRIOR, loss, method=method)
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # direct may leave its gap open
        found = ufm.solve(
            PEELED, PRIOR, loss, method=method, **({"starts": 4} if method in ("direct", "search") else {})
        )
    assert found.value >= truth - 1e-9 * (1 + truth)
    assert found.lower <= truth + 1e-9 * (1 + truth)
    if found.is_global:
        assert found.value == pytest.approx(truth, rel=1e-5, abs=1e-9)


@pytest.mark.parametrize("loss", OWN, ids=lambda loss: type(loss).__name__)
def test_what_rests_on_formulas_refuses_by_name(loss):
    solution = ufm.solve(PEELED, PRIOR, loss)
    calls = {
        "certify": lambda: ufm.certify(solution),
        "certify_phase": lambda: ufm.certify_phase(PEELED, PRIOR, loss),
        "certify_threshold": lambda: ufm.certify_threshold(PEELED, 3, 3, loss=loss),
        "phase_diagram": lambda: ufm.phase_diagram(R=[2.0, 3.0], E_W=[1.0], E_H=1.0, K_A=3, K_B=3, loss=loss),
    }
    for call in calls.values():
        with pytest.raises((ValueError, TypeError), match="loss"):
            call()


@pytest.mark.parametrize("loss", OWN, ids=lambda loss: type(loss).__name__)
def test_arrays_of_problems_take_it(loss):
    found = ufm.solve_batch(2, 2, 3.0, E_W=0.4, E_H=0.4, loss=loss)
    alone = ufm.solve(ufm.LayerPeeled(0.4, 0.4), ufm.ClassPrior([3.0, 3.0, 1.0, 1.0]), loss)
    assert float(found.value) == pytest.approx(alone.value, rel=1e-9, abs=1e-14)


@pytest.mark.parametrize("loss", OWN, ids=lambda loss: type(loss).__name__)
@pytest.mark.sample(2)
def test_a_threshold_is_that_of_the_loss_itself(loss):
    """Not cross-entropy's, nor its base's: the minority is collapsed beyond R* and out of collapse below."""
    t = ufm.collapse_threshold(ufm.LayerPeeled(0.4, 0.4), 2, 2, loss=loss)
    if not 1.0 < t.ratio < math.inf:
        counts = [2.0, 2.0, 1.0, 1.0] if t.ratio == 1.0 else [1e3, 1e3, 1.0, 1.0]
        scale = ufm.solve(ufm.LayerPeeled(0.4, 0.4), ufm.ClassPrior(counts), loss).geometry.group_scales[-1]
        assert (abs(scale) < 1e-7) == (t.ratio == 1.0)
        return
    for side, is_collapsed in ((1e-2, True), (-1e-2, False)):
        prior = ufm.ClassPrior([t.ratio * (1 + side)] * 2 + [1.0] * 2)
        scale = ufm.solve(ufm.LayerPeeled(0.4, 0.4), prior, loss).geometry.group_scales[-1]
        assert (abs(scale) < 1e-7) == is_collapsed


def test_critical_points_use_the_curvature_of_the_loss():
    solution = ufm.solve(DECAY, PRIOR, Hot())
    assert classify(solution.problem, solution.factors).kind == "global minimum"


def test_deep_factors_under_a_loss_of_ones_own_are_no_global_optimum():
    found = ufm.solve(ufm.DeepLinear((1.0, 1.0, 1.0)), ufm.ClassPrior.balanced(4), Hinge(), starts=10)
    assert found.is_global is None
    assert found.lower < found.value
    relaxed = ufm.solve(ufm.DeepLinear((1.0, 1.0)), ufm.ClassPrior.balanced(4), Hinge())
    assert found.lower <= relaxed.value * (1 + 1e-9)


def test_a_loss_that_is_not_convex_is_searched_and_never_called_global():
    answers = supported(Problem.of(PEELED, PRIOR, Bumpy()))
    assert [name for name, answer in answers.items() if answer] == ["direct", "search"]
    found = ufm.solve(PEELED, PRIOR, Bumpy(), starts=6)
    assert found.method == "search"
    assert found.is_global is None
    assert found.lower == 0.0


def test_a_loss_without_infimum():
    """Linear: the optimum of a linear function over a nuclear ball is ``-radius |G|_2``."""
    found = ufm.solve(PEELED, PRIOR, Negative())
    g = (1 / 6 - np.eye(6)) * PRIOR.probabilities
    assert found.value == pytest.approx(-found.problem.radius * np.linalg.norm(g, 2), rel=1e-8)
    assert found.is_global is True
    assert not supported(found.problem)["search"]


class OldStyle(CrossEntropy):
    """The contract of the first edition: a risk instead of columns."""

    def value(self, logits, pi, targets=None):
        return 2 * super().value(logits, pi)


class WrongGradient(Smoothed):
    def gradients(self, logits, targets):
        return _softmax(logits) - targets


class NotConvex(Bumpy):
    is_convex = True


class WrongDual(Smoothed):
    def dual_values(self, logits, targets, scale=1.0):
        return self.values(logits, targets)


class WrongDirection(Smoothed):
    def constant_direction(self, num_classes):
        return np.arange(1.0, num_classes + 1)


class BelowInfimum(Negative):
    infimum = 0.0


class WrongShape(Smoothed):
    def values(self, logits, targets):
        return super().values(logits, targets).sum()


class ByTheBatch(Smoothed):
    """A mean over the columns: of each its share, which shrinks with how many there are."""

    def values(self, logits, targets):
        return super().values(logits, targets) / logits.shape[1]

    def gradients(self, logits, targets):
        return super().gradients(logits, targets) / logits.shape[1]


class InPlace(Smoothed):
    def values(self, logits, targets):
        logits -= logits.max(axis=0)
        return super().values(logits, targets)


class Silent(Loss):
    def values(self, logits, targets):
        return (logits**2).sum(axis=0)

    def gradients(self, logits, targets):
        return 2 * logits


@pytest.mark.parametrize(
    ("loss", "error", "words"),
    [
        (OldStyle(), TypeError, "overrides value"),
        (WrongGradient(), ValueError, "gradients give"),
        (NotConvex(), ValueError, "is_convex is True, but"),
        (WrongDual(), ValueError, "dual_values"),
        (WrongDirection(), ValueError, "constant_direction"),
        (BelowInfimum(), ValueError, "below its infimum"),
        (WrongShape(), TypeError, "must return floats of shape"),
        (ByTheBatch(), ValueError, "values of a column hang on the others"),
        (InPlace(), ValueError, "changes the logits"),
        (Silent(), TypeError, "must say is_convex"),
        (Smoothed, TypeError, "loss must be one of"),
    ],
    ids=lambda x: getattr(x, "__name__", type(x).__name__),
)
def test_what_a_loss_says_of_itself_is_attacked(loss, error, words):
    with pytest.raises(error, match=words):
        ufm.solve(PEELED, PRIOR, loss)


@pytest.mark.parametrize(
    "loss",
    [
        *LOSSES.values(),
        CrossEntropy(smoothing=0.2),
        CrossEntropy(scales=(1.0, 2.0, 0.5, 1.5), shifts=(0.3, -1.0, 0.0, 2.0)),
        CrossEntropy(smoothing=0.1, weights=(1.0, 2.0, 3.0, 0.5), scales=(1.0, 2.0, 0.5, 1.5), shifts=(0.3, -1, 0, 2)),
    ],
    ids=repr,
)
@pytest.mark.parametrize("kind", ["one-hot", "soft", "multi-label"])
def test_the_losses_of_the_package_stand_the_attack(loss, kind):
    rng = np.random.default_rng(3)
    targets = {"one-hot": np.eye(4), "soft": rng.dirichlet(np.ones(4), size=4).T, "multi-label": np.tri(4)}[kind]
    attack(loss, targets)


def test_without_an_optimum_there_is_no_threshold():
    with pytest.raises(ValueError, match="must have an optimum to have a threshold"):
        ufm.collapse_threshold(DECAY, 2, 2, loss=Negative(), num_samples=20)
    budgets = ufm.collapse_threshold(ufm.LayerPeeled(1, 1), 2, 2, loss=Negative())
    assert budgets.ratio == 1  # linear: all of the budgets for the classes that count most


def test_without_an_optimum_arrays_have_no_lower_bound():
    with pytest.warns(RuntimeWarning, match="relative duality gap above") as told:
        found = ufm.solve_batch(
            2, 2, lambda_W=0.05, lambda_H=0.05, majority_count=3.0, minority_count=1.0, loss=Negative()
        )
    assert len(told) == 1
    assert found.lower == -math.inf


def test_what_a_class_inherits_of_another_loss_is_dropped():
    for name in ("curvatures", "dual_values", "constant_direction", "expression", "name"):
        assert inspect.getattr_static(Hot, name) is inspect.getattr_static(Loss, name)
    assert Hot().closed_form is None
    assert Hot().name == "Hot"


# -- architectures -----------------------------------------------------------------------------------------------------


class Renamed(LayerPeeled):
    """Nothing overridden: the same architecture."""


class Twice(LayerPeeled):
    def gauge(self, y):
        return 2 * super().gauge(y)


class Bounded(LayerPeeled):
    def bound(self, num_classes):
        return 0.5 * super().bound(num_classes)


@dataclass(frozen=True)
class RootPenalty(Penalised):
    """A price of its own under weight decay, in the way of the first edition."""

    lambda_W: float = 0.1
    lambda_H: float = 0.1

    @property
    def strength(self):
        return 0.1

    @property
    def balance(self):
        return 1.0

    def spectral_gauge(self, sigma):
        return float(np.sqrt(sigma).sum())


class MySpectralDEQ(ufm.LinearDEQ):
    """A DEQ that forgets its bound."""

    @property
    def spectral_bound(self):
        return 0.0


class BoundedEntries(Entrywise):
    """``sum_ij |Y_ij| <= 1``; ``polar`` is replaced by mutants."""

    def bound(self, num_classes):
        return 1.0


class OnlyGauge(Architecture):
    def gauge(self, y):
        return float(np.abs(y).sum())


class WrongPolar(BoundedEntries):
    def polar(self, gradient):
        return 0.5 * super().polar(gradient)


class WrongAtom(BoundedEntries):
    def atom(self, gradient):
        return 2 * super().atom(gradient)


class NotHomogeneous(BoundedEntries):
    def gauge(self, y):
        return float(np.abs(y).sum() ** 2)


FOREIGN = (Twice(0.3, 0.5), Bounded(0.3, 0.5), RootPenalty(), MySpectralDEQ(0.3, 0.5, 0.5), OnlyGauge())


def test_a_subclass_that_overrides_nothing_is_the_same_architecture():
    assert is_known(Renamed(0.3, 0.5))
    assert ufm.solve(Renamed(0.3, 0.5), PRIOR).value == ufm.solve(PEELED, PRIOR).value


@pytest.mark.parametrize("architecture", FOREIGN, ids=lambda a: type(a).__name__)
def test_an_architecture_that_is_not_stated_in_full_is_refused_everywhere(architecture):
    assert not is_known(architecture)
    solution = ufm.solve(PEELED, PRIOR)
    calls = [lambda m=m: ufm.solve(architecture, PRIOR, method=m) for m in METHODS]
    calls += [
        lambda: ufm.collapse_threshold(architecture, 3, 3),
        lambda: ufm.collapse_threshold(architecture, 3, 3, num_samples=100.0),
        lambda: ufm.certify_threshold(architecture, 3, 3),
        lambda: ufm.certify_phase(architecture, PRIOR),
        lambda: ufm.hysteresis(architecture, 3, 3),
        lambda: classify(Problem.of(architecture, PRIOR), solution.factors),
    ]
    for call in calls:
        with pytest.raises((ValueError, TypeError), match="architecture"):
            call()


@pytest.mark.parametrize("architecture", [WrongPolar(), WrongAtom(), NotHomogeneous()], ids=lambda a: type(a).__name__)
def test_what_an_architecture_says_of_itself_is_attacked(architecture):
    with pytest.raises(ValueError, match="contradicts itself"):
        ufm.solve(architecture, PRIOR)


def test_architectures_that_are_none():
    for wrong in (LayerPeeled, "LayerPeeled", None):
        with pytest.raises(TypeError, match="architecture must be"):
            ufm.solve(wrong, PRIOR)


# -- methods -----------------------------------------------------------------------------------------------------------


def test_an_option_that_a_method_does_not_take_is_named():
    with pytest.raises(TypeError, match=r"tol is no option of method 'reduced', which takes none"):
        ufm.solve(PEELED, PRIOR, tol=1e-6)
    with pytest.raises(TypeError, match=r"start is no option of method 'search', which takes seed, starts"):
        ufm.solve(PEELED, PRIOR, method="search", start=3)


def test_a_value_that_has_underflown_is_no_proof():
    with pytest.warns(RuntimeWarning, match="underflow"):
        found = ufm.solve(LayerPeeled(1e3, 1e3), ufm.ClassPrior([66, 59, 55, 1, 10]))
    assert found.is_global is None


def test_tiny_budgets_are_kept_to():
    found = ufm.solve(LayerPeeled(1e-12, 1e-12), ufm.ClassPrior.step(3, 3, 2), "mse")
    assert np.linalg.norm(found.classifier) ** 2 <= 6e-12 * (1 + 1e-12)
    assert np.linalg.norm(found.features) ** 2 <= 6e-12 * (1 + 1e-12)


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_a_dimension_below_the_rank_is_a_constraint(dim):
    prior = ufm.ClassPrior.balanced(4)
    found = ufm.solve(ufm.LayerPeeled(1.0, 1.0), prior, dim=dim)
    assert found.classifier.shape == (4, dim)
    np.testing.assert_allclose(found.classifier @ found.features, found.logits, atol=1e-9)
    assert_feasible(found)
    free = ufm.solve(ufm.LayerPeeled(1.0, 1.0), prior)
    if dim == 3:
        assert found.is_global is True
        assert found.value == pytest.approx(free.value, rel=1e-12)
    else:
        assert found.is_global is None
        assert found.value > free.value * (1 + 1e-3)
        assert found.lower <= free.value * (1 + 1e-9)
    assert found.geometry.rank <= dim
    for name in ("direct", "search"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            other = ufm.solve(ufm.LayerPeeled(1.0, 1.0), prior, method=name, dim=dim)
        assert other.geometry.rank <= dim
        assert other.value == pytest.approx(found.value, rel=1e-5)


def test_groups_and_tails_have_phases():
    total = ufm.ClassPrior([100, 100, 2, 2, 1, 3])
    for method in ("reduced", "nuclear"):
        found = ufm.solve(LayerPeeled(0.1, 0.1), total, method=method)
        assert found.geometry.phase == "total"
        assert found.geometry.collapsed_classes == ((2, 3, 4, 5),)


def test_the_tail_of_a_long_tailed_prior_has_a_word():
    """Classes with ``pi_k <= mu`` have no direction of their own; here three quarters of them."""
    prior = ufm.ClassPrior.long_tailed(100, 100.0)
    found = ufm.solve(LayerPeeled(1.0, 1.0), prior)
    geometry = found.geometry
    assert geometry.phase == "tail"
    assert found.is_global is True
    (tail,) = geometry.collapsed_classes
    assert tail == tuple(range(100 - len(tail), 100))
    lost = int((prior.probabilities <= found.multiplier).sum())
    assert lost - 2 <= len(tail) <= lost
    z = found.logits - found.logits.mean(axis=0)
    longest = np.linalg.norm(z, axis=0).max()
    assert np.linalg.norm(z[:, tail] - z[:, [99]], axis=0).max() <= 2e-2 * longest
    assert np.linalg.norm(z[:, : tail[0] - 1] - z[:, [99]], axis=0).min() > 1e-1 * longest
    assert geometry.rank == 24
    assert ufm.solve(LayerPeeled(30.0, 30.0), ufm.ClassPrior.long_tailed(10, 3.0)).geometry.phase == "none"


#: Rooms whose functions take numbers of classes and how they are imbalanced.
TAKING_COUNTS = ("", ".thresholds", ".landscape", ".certificates", ".data", ".deq", ".trainings")


def test_what_formulas_call_by_symbols_has_one_name_as_an_argument():
    """The names stand in one place, ``SYMBOLS``; a phase diagram, whose axes bear the symbols, takes these as well."""
    from ufm.two_groups.phase_diagram import SYMBOLS

    rooms = [importlib.import_module(f"ufm{room}") for room in TAKING_COUNTS]
    public = {f"{room.__name__}.{name}": getattr(room, name) for room in rooms for name in room.__all__}
    others = {"majority", "minority", "n_A", "n_majority", "n_minority", "imbalance_ratio", *SYMBOLS.values()} - {"K"}
    found, seen = {}, set()
    for name, one in public.items():
        with contextlib.suppress(TypeError, ValueError):
            parameters = set(inspect.signature(one).parameters)
            seen |= parameters & set(SYMBOLS)
            found[name] = parameters & others
    assert {"num_majority", "num_minority", "ratio", "num_classes", "minority_count"} <= seen
    assert {name: bad for name, bad in found.items() if bad} == {
        "ufm.Scope": {"majority", "minority"}
    }  # sizes of groups
