"""Penalised depth, residual depth, a bound on the rank: known optima, all factors as an independent method, bounds."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import torch

import ufm
from ufm.problem import Problem
from ufm.solvers.closed_form import solve_closed_form
from ufm.solvers.direct import solve_direct
from ufm.solvers.search import relaxed_lower_bound, solve_search
from ufm.testing import assert_feasible, assert_optimal

SKEWED = ufm.ClassPrior([5, 2, 1])
ARCHITECTURES = {
    "three factors": ufm.PenalisedDeepLinear((0.03, 0.05, 0.02)),
    "four factors": ufm.PenalisedDeepLinear((0.03, 0.05, 0.02, 0.04)),
    "one block": ufm.Residual(0.03, 0.05, 0.1, 1),
    "five blocks": ufm.Residual(0.03, 0.05, 0.1, 5),
    "flow": ufm.Residual(0.03, 0.05, 0.02, math.inf),
}
LABELS = {
    "soft": ufm.Labels([[0.8, 0.1, 0.3, 0.25], [0.1, 0.7, 0.3, 0.25], [0.1, 0.2, 0.4, 0.5]], [4, 3, 1, 2]),
    "multi-label": ufm.Labels.multi_label(3, [(0,), (1, 2), (), (0, 2)], [4, 3, 1, 2]),
}


# All factors, in torch ----------------------------------------------------------------------------------------------


def descended(architecture, labels, loss, starts=4):
    """The least objective over all factors, by torch's L-BFGS: nothing of the package enters but the parameters."""
    t, n = torch.tensor(labels.targets), torch.tensor(labels.counts)
    k, m = t.shape
    generator = torch.Generator().manual_seed(0)

    def normal(*shape, size=1.0):
        x = size * torch.randn(*shape, generator=generator, dtype=torch.float64)
        return x.requires_grad_()

    def objective(w, middle, h):
        z = h
        if isinstance(architecture, ufm.PenalisedDeepLinear):
            decays = architecture.lambdas
            for x in reversed(middle):
                z = x @ z
        else:
            decays = (architecture.lambda_W, *[architecture.lambda_A] * len(middle), architecture.lambda_H)
            for a in middle:
                z = torch.matrix_exp(a) @ z if architecture.depth == math.inf else z + a @ z
        z = w @ z
        if loss == "ce":
            values = t.sum(0) * torch.logsumexp(z, 0) - (t * z).sum(0)
        elif loss == "mse":
            values = ((z - t) ** 2).sum(0) / 2
        else:
            values = (torch.nn.functional.softplus(z) - t * z).sum(0)
        squares = [(w**2).sum(), *((x**2).sum() for x in middle), (h**2).sum(0) @ n]
        return (n / n.sum()) @ values + sum(d * s for d, s in zip(decays, squares, strict=True)) / 2

    if isinstance(architecture, ufm.PenalisedDeepLinear):
        count, size = architecture.num_factors - 2, 1.0
    else:
        count, size = architecture.num_maps, 0.3
    best = math.inf
    for _ in range(starts):
        factors = [normal(k, k), *(normal(k, k, size=size) for _ in range(count)), normal(k, m)]
        options = {"max_iter": 1500, "tolerance_grad": 1e-10, "tolerance_change": 0, "history_size": 30}
        optimiser = torch.optim.LBFGS(factors, line_search_fn="strong_wolfe", **options)

        def closure(factors=factors, optimiser=optimiser):
            optimiser.zero_grad()
            value = objective(factors[0], factors[1:-1], factors[-1])
            value.backward()
            return value

        optimiser.step(closure)
        best = min(best, closure().item())
    return best


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("loss", ["ce", "mse"])
@pytest.mark.sample(3)
def test_agrees_with_all_factors(name, loss):
    s = ufm.solve(ARCHITECTURES[name], SKEWED, loss, **({"starts": 10} if loss == "ce" else {}))
    assert s.value == pytest.approx(
        descended(ARCHITECTURES[name], SKEWED, loss, 9 if name == "four factors" else 3), rel=1e-8
    )
    assert s.lower <= s.value
    assert s.is_global is (True if loss == "mse" else None)
    assert_feasible(s)


@pytest.mark.parametrize("name", ["three factors", "five blocks"])
@pytest.mark.parametrize("labels", LABELS)
@pytest.mark.parametrize("loss", ["ce", "bce"])
@pytest.mark.sample(3)
def test_agrees_with_all_factors_for_any_labels(name, labels, loss):
    problem = Problem.of(ARCHITECTURES[name], LABELS[labels], loss)
    s = ufm.solve(problem.architecture, problem.prior, loss, starts=8)
    assert s.value == pytest.approx(descended(ARCHITECTURES[name], LABELS[labels], loss, 3), rel=1e-8)
    assert s.method == "search"
    assert_feasible(s)
    assert s.logits.shape == (3, 4)
    first = s.local_minima[0]
    assert (first.geometry, first.phase, first.rank) == (None, None, int((s.singular_values > 1e-8).sum()))
    assert isinstance(first.to_dict()["structure"], str)


@pytest.mark.parametrize("bias", ["free", 0.3])
@pytest.mark.parametrize(
    ("loss", "labels"),
    [
        ("bce", "soft"),
        ("bce", "one-hot"),
        (ufm.SquaredHinge(), "one-hot"),  # it takes no soft labels
        (ufm.CrossEntropy(smoothing=0.1), "soft"),
        (ufm.CrossEntropy(smoothing=0.1), "one-hot"),
    ],
)
@pytest.mark.sample(2)
def test_two_methods_agree_beside_a_bias(labels, loss, bias):
    problem = Problem.of(ARCHITECTURES["three factors"], LABELS.get(labels, SKEWED), loss, bias)
    s = solve_search(problem, starts=50)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the gap stays open
        direct = solve_direct(problem, starts=6, max_iter=1000)
    assert s.value == pytest.approx(direct.value, rel=1e-7)
    assert problem.objective(s.logits) == pytest.approx(s.value, rel=1e-12)


@pytest.mark.parametrize("bias", ["free", 0.3])
def test_a_bias_is_a_variable_of_the_search(bias):
    """Where the problem is convex the optimum is known."""
    for architecture in (ufm.UnconstrainedFeatures(0.05, 0.05), ufm.LayerPeeled(0.5, 0.5)):
        found = solve_search(Problem.of(architecture, SKEWED, "bce", bias), starts=4)
        assert found.is_global is True
        assert found.value == pytest.approx(ufm.solve(architecture, SKEWED, "bce", bias=bias).value, rel=1e-9)


# Mean squared error -------------------------------------------------------------------------------------------------


def threshold(factors):
    """``(M-1)^{(M-1)/M} / M`` with M = factors - 1: Dang et al. count the layers above the features."""
    m = factors - 1
    return (m - 1) ** ((m - 1) / m) / m if m > 1 else 1.0


def balanced(factors, b, k=3, n=4.0):
    """Weight decays, unequal ones, at which ``b = M K (K n prod lambda)^{1/M}``."""
    m = factors - 1
    product = (b / (m * k)) ** m / (k * n)
    lambdas = np.geomspace(0.5, 2, factors)
    lambdas *= (product / np.prod(lambdas)) ** (1 / factors)
    return ufm.solve(ufm.PenalisedDeepLinear(tuple(lambdas)), ufm.ClassPrior.balanced(k, n), "mse")


@pytest.mark.parametrize("factors", [2, 3, 4, 6])
def test_first_order_threshold_of_depth(factors):
    """Nonzero iff b is below the threshold, where both minima are equally good (Dang et al. 2023; corpus C1)."""
    edge = threshold(factors)
    kept, lost = balanced(factors, edge * (1 - 1e-6)), balanced(factors, edge * (1 + 1e-6))
    assert kept.is_global is lost.is_global is True
    assert kept.geometry.structure == "orthogonal frame"
    assert not lost.logits.any()
    assert lost.value == pytest.approx(0.5, rel=1e-15)  # f(0), K (1/2)(1/K)
    assert kept.value == pytest.approx(0.5, rel=1e-5)
    # the jump: s/b = (M-1)/M of its M layers, (F-2)/(F-1) of its F factors, and none for two
    assert kept.logits[0, 0] == pytest.approx((factors - 2) / (factors - 1), abs=1e-2)
    assert kept.logits[0, 0] > 0
    # at the edge itself a tie goes to zero features, whatever is rounded
    tied = balanced(factors, edge)
    assert tied.value == pytest.approx(0.5, rel=1e-14)


@pytest.mark.parametrize("factors", [3, 4])
def test_the_largest_root_is_no_minimum_beyond_the_threshold(factors):
    """``b = M x^{M-1}/(x^M + 1)^2`` has roots there, of a value above that of zero: keeping them is an error."""
    m = factors - 1
    b = 1.08 * threshold(factors)
    x = np.linspace(0.01, 5, 200001)
    values = m * x ** (m - 1) / (x**m + 1) ** 2
    assert values.max() > b
    root = x[np.nonzero(values >= b)[0][-1]]
    assert 1 / (root**m + 1) + b * root > 1
    assert not balanced(factors, b).logits.any()


@pytest.mark.parametrize("factors", [3, 5])
def test_the_published_scalar_form_is_the_same_value(factors):
    """``2 K f = K (1/(x^M + 1) + b x)`` at the largest root (Dang et al. 2023)."""
    m, b = factors - 1, 0.7 * threshold(factors)
    s = balanced(factors, b)
    z = s.logits[0, 0]  # x^M/(x^M + 1)
    x = (z / (1 - z)) ** (1 / m)
    assert m * x ** (m - 1) / (x**m + 1) ** 2 == pytest.approx(b, rel=1e-10)
    assert s.value == pytest.approx((1 / (x**m + 1) + b * x) / 2, rel=1e-12)


@pytest.mark.parametrize("name", [*ARCHITECTURES, "penalty on A"])
@pytest.mark.parametrize("bias", [None, "free"])
@pytest.mark.sample(6)
def test_the_closed_form_is_what_a_search_finds(name, bias):
    architecture = ARCHITECTURES.get(name, ufm.PenalisedDEQ(0.03, 0.05, 0.6, 0.3))
    for labels in (SKEWED, LABELS["soft"]):
        problem = Problem.of(architecture, labels, "mse", bias)
        exact, searched = solve_closed_form(problem), solve_search(problem, starts=6)
        assert exact.is_global is True
        assert exact.value <= searched.value * (1 + 1e-12)
        assert searched.value == pytest.approx(exact.value, rel=1e-9)
        assert relaxed_lower_bound(problem, exact.value)[1] <= exact.value
        assert_feasible(exact)


@pytest.mark.parametrize("architecture", [ARCHITECTURES["five blocks"], ufm.UnconstrainedFeatures(0.03, 0.05)])
def test_a_bound_on_the_rank_is_met_exactly_under_squared_error(architecture):
    prior = ufm.ClassPrior([5, 4, 2, 2])
    free = ufm.solve(architecture, prior, "mse")
    before = free.value
    for dim in (4, 2, 1):
        s = ufm.solve(architecture, prior, "mse", dim=dim)
        assert s.is_global is True
        assert s.classifier.shape == (4, dim)
        assert s.geometry.rank <= dim
        assert s.value >= before
        before = s.value
        searched = solve_search(Problem.of(architecture, prior, "mse"), dim=dim, starts=5)
        assert searched.value == pytest.approx(s.value, rel=1e-9)
        assert_feasible(s)
    assert before > free.value * (1 + 1e-3)


# Cross-entropy: which code ------------------------------------------------------------------------------------------


def test_residual_depth_does_not_save_the_etf():
    """K = 4, n = 20, lam = 5e-3: the ETF is optimal at L/lambda_A = 16 and beaten by the square at 32."""
    prior = ufm.ClassPrior.balanced(4, 20)
    values = {}
    for depth, winner in ((8, "simplex ETF"), (16, "simplex ETF"), (32, "square")):
        s = ufm.solve(ufm.Residual(5e-3, 5e-3, 1.0, depth), prior, starts=8)
        assert s.geometry.structure == winner
        assert s.is_global is None
        values[depth] = {m.structure: m.value for m in s.local_minima}
    assert values[8]["simplex ETF"] == pytest.approx(0.26381601, abs=1e-8)
    assert values[16]["simplex ETF"] < values[16]["square"] == pytest.approx(0.23431727, abs=1e-8)
    assert values[32]["square"] == pytest.approx(0.18523678, abs=1e-8)
    assert values[32]["simplex ETF"] == pytest.approx(0.19021179, abs=1e-8)
    for c, winner in ((1 / 8, "simplex ETF"), (1 / 32, "square")):
        assert ufm.solve(ufm.Residual(5e-3, 5e-3, c, math.inf), prior, starts=8).geometry.structure == winner


def test_pairs_beat_the_etf_under_plain_depth():
    """K = 6, three factors, mu sum sigma^{2/3} with mu = .01: .175984 of the ETF, .164501 of pairs (corpus F1)."""
    s = ufm.solve(ufm.PenalisedDeepLinear((0.02 / 3,) * 3), ufm.ClassPrior.balanced(6), starts=20)
    assert s.value == pytest.approx(0.164501, abs=1e-6)
    assert s.geometry.structure == "octahedron"
    assert {m.structure: m.value for m in s.local_minima}["simplex ETF"] == pytest.approx(0.175984, abs=1e-6)


@pytest.mark.parametrize("architecture", [ufm.LayerPeeled(1, 1), ufm.Residual(5e-3, 5e-3, 1.0, 4)], ids=repr)
@pytest.mark.parametrize(("k", "structure"), [(4, "square"), (5, "regular polygon (5)")])
def test_codes_in_the_plane(architecture, k, structure):
    prior = ufm.ClassPrior.balanced(k, 20)
    s = ufm.solve(architecture, prior, method="search", starts=6, dim=2)
    assert s.geometry.structure == structure
    assert s.is_global is not True
    free = ufm.solve(architecture, prior, method="search", starts=6).value
    assert s.lower * (1 - 1e-14) <= free <= s.value
    assert_feasible(s)


def test_zero_features_are_found_where_they_are_best():
    """A first-order transition: other local minima are there, and worse."""
    deep = ufm.PenalisedDeepLinear((0.15,) * 3)
    s = ufm.solve(deep, ufm.ClassPrior.balanced(3, 2), starts=20)
    assert s.value == pytest.approx(math.log(3), rel=1e-12)
    assert s.geometry.rank == 0


# Lower bounds -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_lower_bound_is_below_every_point(name):
    problem = Problem.of(ARCHITECTURES[name], SKEWED)
    rng = np.random.default_rng(0)
    best = solve_search(problem, starts=6)
    assert problem.loss.infimum < best.lower < best.value
    for _ in range(4):
        z = np.eye(3) + 0.5 * rng.normal(size=(3, 3))
        assert relaxed_lower_bound(problem, problem.objective(z))[1] <= best.value
    # a mutant: the chord up to half of the largest singular value that there may be
    tight = relaxed_lower_bound(problem, best.value * 0.3)[1]
    assert tight > best.lower


class Shifted(ufm.MeanSquaredError):
    """Squared error less 2: of negative infimum, and no closed form."""

    is_convex = True
    infimum = -2.0

    def values(self, logits, targets):
        return ((logits - targets) ** 2).sum(axis=0) / 2 - 2.0

    def gradients(self, logits, targets):
        return logits - targets


@pytest.mark.parametrize("architecture", [ARCHITECTURES["five blocks"], ufm.PenalisedDEQ(0.03, 0.05, 0.6, 0.3)])
def test_a_negative_infimum_leaves_more_room_for_the_price(architecture):
    truth = ufm.solve(architecture, SKEWED, "mse").value - 2
    found = ufm.solve(architecture, SKEWED, Shifted(), starts=8)
    assert found.value == pytest.approx(truth, rel=1e-8)
    assert -2 < found.lower <= truth


@pytest.mark.parametrize("scale", [1e-4, 1e4])
def test_counts_and_decays_that_cancel_leave_the_problem(scale):
    """``Z D^{1/2}`` and lam enter as a product."""
    prior = ufm.ClassPrior([5, 2, 1])
    scaled = ufm.ClassPrior([5 * scale, 2 * scale, scale])
    deep = ufm.PenalisedDeepLinear((0.03, 0.05, 0.02 / scale))
    assert ufm.solve(deep, scaled, "mse").value == pytest.approx(
        ufm.solve(ARCHITECTURES["three factors"], prior, "mse").value, rel=1e-12
    )
    found = ufm.solve(deep, scaled, starts=8)
    assert found.value == pytest.approx(ufm.solve(ARCHITECTURES["three factors"], prior, starts=8).value, rel=1e-9)


def test_optimal_by_its_own_bound():
    assert_optimal(ufm.solve(ufm.PenalisedDeepLinear((0.03, 0.05)), SKEWED))
    with pytest.raises(AssertionError, match="not optimal"):
        assert_optimal(ufm.solve(ARCHITECTURES["flow"], SKEWED, starts=3))


@pytest.mark.parametrize("loss", ["bce", ufm.FocalLoss(2.0)], ids=str)
@pytest.mark.parametrize("sets", [[[], []], [[0], [1], []]])
def test_labels_of_no_class_are_searched(sets: list[list[int]], loss: str | ufm.Loss) -> None:
    """Codes mixed by columns of zeros are zero, from where no descent starts."""
    labels = ufm.Labels.multi_label(3, sets, [2.0] * len(sets))
    with warnings.catch_warnings(action="ignore"):
        found = ufm.solve(ufm.DeepLinear((1.0, 1.0, 1.0)), labels, loss, method="search", starts=4, seed=0)
    assert np.isfinite(found.value)
    assert found.value < found.problem.risk(np.zeros((3, len(sets)))) or isinstance(loss, ufm.FocalLoss)
