"""The K x K solver: closed forms, optimality conditions, honest gaps, bad input."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st

import ufm
from ufm.problem import Problem
from ufm.solvers import nuclear
from ufm.solvers.nuclear import solve_nuclear

FANG = {3: 245.496930598261985, 5: 12.192447080325935, 7: 4.000466710142019}


def problem(architecture, counts, loss="ce") -> Problem:
    prior = counts if isinstance(counts, ufm.ClassPrior) else ufm.ClassPrior(counts)
    return Problem.of(architecture, prior, loss)


def etf_error(k: int, tau: float, logits) -> float:
    """Largest departure from ``s (I - 11^T/K)``, ``s = tau/(K-1)``, in units of s."""
    s = tau / (k - 1)
    return float(np.abs(logits / s - np.eye(k) + 1 / k).max())


def optimality_error(p: Problem, logits) -> float:
    """Departure from ``-G Omega^-1 in mu d|.|_*(Z Omega)``: dual norm, complementarity over objective."""
    gradient = p.gradient(logits)
    mu = p.dual_norm(gradient) if p.is_constrained else p.strength
    gauge = p.gauge(logits)
    norm_error = max(0.0, p.dual_norm(gradient) / mu - 1)
    complementarity = abs(np.vdot(gradient, logits) + mu * gauge) / p.objective(logits)
    radius_error = abs(gauge / p.radius - 1) if p.is_constrained else 0.0
    return max(norm_error, complementarity, radius_error)


@pytest.mark.parametrize("k", [2, 3, 10, 40])
@pytest.mark.parametrize("per_class", [0.01, 1.0, 5.0, 15.0])
def test_balanced_optimum_is_the_etf(k, per_class):
    tau = k * per_class
    s = solve_nuclear(problem(ufm.LayerPeeled(per_class, per_class), [3.0] * k))
    assert s.value == pytest.approx(math.log1p((k - 1) * math.exp(-tau / (k - 1))), rel=1e-12)
    assert etf_error(k, tau, s.logits) < 1e-8
    assert etf_error(k, 1.001 * tau, s.logits) > 1e-4  # the check can fail
    assert s.is_global is True


@pytest.mark.parametrize("ratio", [1.0, 30.0, 1e4])
@pytest.mark.parametrize("radius", [0.05, 2.0, 5.9])
def test_mse_with_budgets_is_water_filling(ratio, radius):
    prior = ufm.ClassPrior.long_tailed(6, ratio)
    s = solve_nuclear(problem(ufm.DeepLinear((radius, radius)), prior, "mse"))
    # z_k = max(0, 1 - mu/pi_k), mu by bisection on sum z_k = radius
    low, high = 0.0, 1.0
    for _ in range(200):
        mu = (low + high) / 2
        low, high = (mu, high) if np.maximum(0, 1 - mu / prior.probabilities).sum() > radius else (low, mu)
    z = np.maximum(0, 1 - mu / prior.probabilities)
    assert s.logits == pytest.approx(np.diag(z), abs=1e-8)
    assert s.value == pytest.approx(0.5 * prior.probabilities @ (1 - z) ** 2, rel=1e-10)
    assert s.multiplier == pytest.approx(mu, rel=1e-8)
    assert s.is_global is True


def test_mse_with_weight_decay_is_a_general_orthogonal_frame():
    prior = ufm.ClassPrior([50, 20, 20, 3, 1])
    s = solve_nuclear(problem(ufm.UnconstrainedFeatures(0.02, 0.02), prior, "mse"))
    z = np.maximum(0, 1 - prior.num_samples * 0.02 / np.sqrt(prior.counts))
    assert (z == 0).any()
    assert (z > 0).any()
    assert s.logits == pytest.approx(np.diag(z), abs=1e-9)
    assert s.is_global is True


@pytest.mark.parametrize("E_H", [1.0, 1.5, 60.0])
def test_mse_with_an_idle_budget_interpolates(E_H):
    s = solve_nuclear(problem(ufm.LayerPeeled(1.0, E_H), [5, 4, 3, 2, 1, 1], "mse"))
    assert (s.value, s.lower, s.multiplier) == (0.0, 0.0, 0.0)
    assert np.array_equal(s.logits, np.eye(6))
    assert s.is_global is True


def test_strong_weight_decay_gives_zero_factors():
    p = problem(ufm.UnconstrainedFeatures(1.0, 1.0), [5, 4, 3])
    s = solve_nuclear(p)
    assert s.value == pytest.approx(math.log(3), rel=1e-14)
    assert not s.logits.any()
    assert s.is_global is True
    # just below the norm of the gradient at zero the optimum leaves zero
    edge = p.dual_norm(p.gradient(np.zeros((3, 3))))
    assert solve_nuclear(problem(ufm.UnconstrainedFeatures(0.999 * edge, 0.999 * edge), [5, 4, 3])).logits.any()


@pytest.mark.parametrize(("k_a", "threshold"), FANG.items())
def test_minority_collapses_at_fangs_thresholds(k_a, threshold):
    def spread(ratio):
        """s_B: how far a minority class's logit stands out of its group, and the multiplier in units of pi_B."""
        prior = ufm.ClassPrior.step(k_a, 10 - k_a, ratio)
        s = solve_nuclear(problem(ufm.LayerPeeled(1, 5), prior))
        assert s.is_global is True
        block = s.logits[k_a:, k_a:]
        return np.diagonal(block).mean() - block[0, 1], s.multiplier / prior.probabilities[-1]

    above, below = spread(threshold * 1.001), spread(threshold * 0.999)
    assert above[0] == pytest.approx(0, abs=1e-7)
    assert above[1] > 1
    assert below[0] > 1e-4
    assert below[1] < 1


@pytest.mark.parametrize("ratio", [1.0, 100.0, 1e6])
def test_large_radius_keeps_relative_accuracy(ratio):
    """tau/K = 15: the risk is 1e-7 to 1e-10, and the gap is relative to it."""
    p = problem(ufm.LayerPeeled(15, 15), ufm.ClassPrior.step(3, 7, ratio))
    s = solve_nuclear(p)
    assert s.value < 1e-6
    assert s.is_global is True
    assert 0 <= s.gap <= 1e-9 * s.value
    assert optimality_error(p, s.logits) < 1e-9


@st.composite
def problems(draw):
    k = draw(st.integers(2, 8))
    log_counts = draw(st.lists(st.floats(-4, 4), min_size=k, max_size=k))
    prior = ufm.ClassPrior(np.exp(log_counts))
    loss = draw(st.sampled_from(["ce", "mse"]))
    if draw(st.booleans()):
        size = math.exp(draw(st.floats(-4, 2.5 if loss == "ce" else -0.1)))
        return Problem.of(ufm.LayerPeeled(size, size), prior, loss)
    zero = np.zeros((k, k))
    probe = Problem.of(ufm.UnconstrainedFeatures(1, 1), prior, loss)
    strength = probe.dual_norm(probe.gradient(zero)) * math.exp(-draw(st.floats(-0.5, 10)))
    return Problem.of(ufm.UnconstrainedFeatures(strength, strength), prior, loss)


@settings(max_examples=examples(120), deadline=None, derandomize=True)
@given(problems())
def test_any_prior_is_solved_to_its_optimality_conditions(p):
    s = solve_nuclear(p)
    assert s.is_global is True
    assert s.lower <= s.value <= s.lower + max(1e-9 * s.value, 1e-15)
    if s.value > 1e-10:
        # within 1e-5 of the decay from which 0 is optimal, 0 costs the square of that more: the gap is closed there
        at_zero = not p.is_constrained and np.abs(s.logits).max() < 1e-12
        assert optimality_error(p, s.logits) < (1e-5 if at_zero else 1e-7)
    if p.loss.name == "ce":
        assert np.abs(s.logits.sum(axis=0)).max() <= 1e-10 * (1 + np.abs(s.logits).max())
    if p.is_constrained:
        assert p.gauge(s.logits) <= p.radius * (1 + 1e-14 * len(s.logits))
    assert s.factors.logits == pytest.approx(s.logits, abs=1e-8 * (1 + np.abs(s.logits).max()))


def test_optimality_error_notices_wrong_logits():
    p = problem(ufm.LayerPeeled(1, 5), [9, 5, 2, 1])
    z = solve_nuclear(p).logits
    assert optimality_error(p, z) < 1e-9
    assert optimality_error(p, z * 0.999) > 1e-4
    assert optimality_error(p, z.T) > 1e-4  # classifier and features swapped
    other = problem(ufm.LayerPeeled(1, 5), [9, 5, 2, 1.01])
    assert optimality_error(other, z) > 1e-6


def test_classes_can_be_permuted():
    rng = np.random.default_rng(0)
    counts = np.exp(rng.normal(size=7))
    order = rng.permutation(7)
    a = solve_nuclear(problem(ufm.LayerPeeled(1, 4), counts))
    b = solve_nuclear(problem(ufm.LayerPeeled(1, 4), counts[order]))
    assert b.logits == pytest.approx(a.logits[np.ix_(order, order)], abs=1e-7)


def test_second_derivative_on_the_manifold():
    """The Newton system is the Hessian of objective after retraction: compare with differences of the objective."""
    rng = np.random.default_rng(1)
    k, r = 5, 3
    p = problem(ufm.UnconstrainedFeatures(0.2, 0.2), np.exp(rng.normal(size=k)))
    search = nuclear._Search(p, None)
    point = search._retract((rng.normal(size=(k, r)) @ rng.normal(size=(r, k))) * p.weights, r)
    system = nuclear._NewtonSystem(p, point)
    assert system._outside.max() < (1 - 1e-6) * p.strength  # not clipped
    for _ in range(5):
        x = system._tangent(rng.normal(size=(k, k)))
        d = system.step(x)
        h = 1e-3
        ahead, behind = (search._retract(point.y + t * d, r).value for t in (h, -h))
        slope, curvature = (ahead - behind) / (2 * h), (ahead - 2 * point.value + behind) / h**2
        assert np.vdot(system.gradient, x) == pytest.approx(slope, rel=1e-4)
        assert np.vdot(x, system.apply(x)) == pytest.approx(curvature, rel=1e-4)
        # without the curvature of the nuclear norm it would not be
        assert np.vdot(d, system._model.hessian(d)) != pytest.approx(curvature, rel=1e-2)


@pytest.mark.parametrize("architecture", [ufm.LayerPeeled(1, 1), ufm.UnconstrainedFeatures(0.02, 0.02)])
@pytest.mark.parametrize("bias", [None, "free", 0.3])
@pytest.mark.parametrize("shape", [(4, 4), (5, 3)])
def test_written_out_a_newton_system_is_the_same_map(architecture, bias, shape):
    rng = np.random.default_rng(4)
    labels = ufm.Labels(rng.dirichlet(np.ones(shape[0]), size=shape[1]).T, rng.uniform(1, 5, size=shape[1]))
    p = Problem.of(architecture, labels, "ce", bias)
    search = nuclear._Search(p, rng.normal(size=shape))
    for r in (1, 2, 3):
        system = nuclear._NewtonSystem(p, search._retract(rng.normal(size=shape) * p.weights, r))
        matrix = system.matrix()
        x = system._tangent(rng.normal(size=shape))
        assert (matrix @ x.ravel()).reshape(shape) == pytest.approx(system.apply(x), rel=1e-10, abs=1e-13)
        assert matrix == pytest.approx(matrix.T, abs=1e-13)


@pytest.mark.parametrize("bias", [None, "free", 0.3])
@pytest.mark.parametrize("loss", ["ce", "bce"])
def test_newtons_step_of_the_risk_solves_its_system(bias, loss):
    """Found column by column, of a risk whose columns a bias couples."""
    rng = np.random.default_rng(5)
    labels = ufm.Labels(rng.dirichlet(np.ones(4), size=5).T, rng.uniform(1, 5, size=5))
    model = Problem.of(ufm.LayerPeeled(1, 1), labels, loss, bias).risk_of.model(rng.normal(size=(4, 5)))
    assert np.abs(model.gradient).max() > 1e-3
    assert model.hessian(model.newton_step()) == pytest.approx(-model.gradient, abs=1e-9)


@pytest.mark.parametrize("ratio", [2.0, 1e5])
@pytest.mark.parametrize("k", [7, 12])  # few unknowns, and more than are written out
@pytest.mark.parametrize("bias", [None, "free", 0.3])
def test_idle_budgets_leave_the_least_risk_of_every_column(ratio, k, bias):
    """Label smoothing has its optimum at finite logits, the simplex ETF of softmax's inverse, and no more than that."""
    p = Problem.of(ufm.LayerPeeled(8, 8), ufm.ClassPrior.step(4, k - 4, ratio), ufm.CrossEntropy(smoothing=0.1), bias)
    s = solve_nuclear(p)
    assert s.is_global is True
    assert s.gap <= 1e-9 * s.value
    if bias != "free":  # one with a price is 0
        scale = math.log1p(0.9 * k / 0.1)
        assert s.logits == pytest.approx(scale * (np.eye(k) - 1 / k), abs=1e-4)


@pytest.mark.parametrize("radius", [7.5, 7.8])
def test_an_optimum_that_the_sphere_hardly_presses_is_reached_from_inside(radius):
    """Halves of a step from inside come nearer to the sphere without end: the gap stayed at 1e-7."""
    targets = [
        [0.32, 0.47, 0.37, 0.018],
        [0.672, 0.016, 0.001, 0.79],
        [8e-3, 0.29, 0.453, 0.187],
        [1e-8, 0.224, 0.176, 5e-3],
    ]
    labels = ufm.Labels(targets, [20.5, 32.5, 3.5, 18.0])
    found = ufm.solve(ufm.LayerPeeled(radius, radius), labels, "bce", method="nuclear")
    assert found.is_global is True
    assert found.gap <= 1e-9 * found.value
    assert 0 < found.multiplier < 1e-7


@pytest.mark.parametrize("loss", ["ce", "mse"])
def test_diagonals_of_the_preconditioner(loss):
    rng = np.random.default_rng(2)
    for _ in range(3):
        p = problem(ufm.UnconstrainedFeatures(0.2, 0.2), np.exp(rng.normal(size=4)), loss)
        model = nuclear._SecondOrder(p, rng.normal(size=(4, 4)) * p.weights)
        u, v = np.linalg.qr(rng.normal(size=(2, 4, 4)))[0]
        expected = [[np.vdot(np.outer(a, b), model.hessian(np.outer(a, b))) for b in v.T] for a in u.T]
        assert (model.forms(u) @ v**2) == pytest.approx(np.array(expected), rel=1e-9)
        assert model.entries == pytest.approx(model.forms(np.eye(4)), rel=1e-9)


@pytest.mark.parametrize("radius", [50.0, 200.0, 600.0])  # most of the tail collapsed, some, none
def test_few_inner_steps(radius):
    """The preconditioner: some ten conjugate gradient steps a Newton step; the diagonal alone takes a hundred."""
    p = problem(ufm.DeepLinear((radius, radius)), ufm.ClassPrior.long_tailed(60, 100.0))
    s = solve_nuclear(p)
    assert s.is_global is True
    assert s.info["cg_steps"] <= 20 * s.iterations


def test_newton_steps_drop_directions_at_once():
    """Sparse targets, of which 8 of 40 directions are not worth their price: proximal steps drop one or two a burst."""
    rng = np.random.default_rng(0)
    targets = np.zeros((40, 120))
    for column in targets.T:
        support = rng.choice(40, rng.integers(2, 6), replace=False)
        column[support] = rng.dirichlet(np.ones(len(support)))
    s = solve_nuclear(Problem.of(ufm.UnconstrainedFeatures(5e-4, 5e-4), ufm.Labels(targets, np.ones(120))))
    assert s.is_global is True
    assert np.count_nonzero(np.linalg.svd(s.logits, compute_uv=False) > 1e-9) < 35
    assert s.info["proximal_steps"] <= 50


def test_long_tail_of_100_classes():
    p = problem(ufm.LayerPeeled(1, 5), ufm.ClassPrior.long_tailed(100, 100.0))
    s = solve_nuclear(p)
    assert s.is_global is True
    assert s.gap <= 1e-9 * s.value
    assert optimality_error(p, s.logits) < 1e-8
    # the tail is collapsed: fewer directions than classes, and the multiplier lies among the probabilities
    rank = np.linalg.matrix_rank(s.logits, tol=1e-6)
    assert rank == (p.prior.probabilities > s.multiplier).sum()
    assert rank < 99


def test_warm_start_saves_iterations():
    prior = ufm.ClassPrior.long_tailed(20, 50.0)
    near = solve_nuclear(problem(ufm.LayerPeeled(1, 5), prior))
    p = problem(ufm.LayerPeeled(1, 5.05), prior)
    cold, warm = solve_nuclear(p), solve_nuclear(p, start=near.logits)
    assert warm.value == pytest.approx(cold.value, rel=1e-12)
    assert warm.info["proximal_steps"] < cold.info["proximal_steps"]


@pytest.mark.parametrize("architecture", [ufm.LayerPeeled(1, 5), ufm.UnconstrainedFeatures(0.01, 0.01)])
def test_any_start_leads_to_the_optimum(architecture):
    p = problem(architecture, [20, 10, 5, 2, 1])
    value = solve_nuclear(p).value
    rng = np.random.default_rng(3)
    for start in (np.zeros((5, 5)), np.ones((5, 5)), -np.eye(5), 30 * rng.normal(size=(5, 5))):
        s = solve_nuclear(p, start=start)
        assert s.value == pytest.approx(value, rel=1e-10)
        assert s.is_global is True


def test_too_few_iterations_are_reported():
    p = problem(ufm.LayerPeeled(1, 5), [20, 10, 5, 2, 1])
    value = solve_nuclear(p).value
    with pytest.warns(RuntimeWarning, match="max_iter = 1 reached"):
        s = solve_nuclear(p, max_iter=1, tol=1e-12)
    assert s.is_global is None
    assert "max_iter" in s.info["warning"]
    assert s.lower < value < s.upper
    assert p.gauge(s.logits) <= p.radius * (1 + 1e-14)


def test_unreachable_tolerance_stops_with_the_gap_it_has():
    open_gaps = 0
    for budget in (2.0, 3.0, 4.0, 5.0, 6.0, 7.0):  # on some of them rounding may close the gap altogether
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            s = solve_nuclear(problem(ufm.LayerPeeled(budget, 5), [20, 10, 5, 2, 1]), tol=1e-18)
        open_gaps += s.is_global is None
        assert (s.is_global is None) == any("duality gap" in str(w.message) for w in caught)
        assert s.info["relative_gap"] < 1e-12
    assert open_gaps


def test_underflow_is_not_called_optimal():
    with pytest.warns(RuntimeWarning, match="underflows"):
        s = solve_nuclear(problem(ufm.DeepLinear((1e5, 1e5)), [2, 1, 1]))
    assert s.is_global is None
    assert math.isfinite(s.value)


@pytest.mark.parametrize(
    ("option", "value", "error"),
    [
        ("tol", 0.0, ValueError),
        ("tol", -1e-9, ValueError),
        ("tol", math.nan, ValueError),
        ("tol", "small", TypeError),
        ("max_iter", 0, ValueError),
        ("max_iter", 2.5, ValueError),
        ("start", np.zeros((2, 2)), ValueError),
        ("start", np.full((3, 3), math.nan), ValueError),
        ("start", np.full((3, 3), 1e200), ValueError),
        ("start", "zeros", TypeError),
    ],
)
def test_bad_options(option, value, error):
    with pytest.raises(error, match=option):
        ufm.solve(ufm.LayerPeeled(1, 1), ufm.ClassPrior([2, 1, 1]), method="nuclear", **{option: value})


def test_interruption_propagates(monkeypatch):
    def interrupt(self, point):
        raise KeyboardInterrupt

    monkeypatch.setattr(nuclear._Search, "_newton", interrupt)
    with pytest.raises(KeyboardInterrupt):
        solve_nuclear(problem(ufm.LayerPeeled(1, 1), [2, 1, 1]))


def test_proximal_steps_alone_reach_the_optimum(monkeypatch):
    """Global convergence does not rest on Newton's method."""
    p = problem(ufm.LayerPeeled(1, 2), [4, 2, 1])
    value = solve_nuclear(p).value
    monkeypatch.setattr(nuclear._Search, "_newton", lambda self, point: False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the gap may stay above 1e-9
        s = solve_nuclear(p)
    assert s.value == pytest.approx(value, rel=1e-10)
    assert s.info["newton_steps"] == 0


class Huber(ufm.Loss):
    """Linear from a distance of 1/2 on: without curvature at logits 0."""

    is_convex = True

    def values(self, logits, targets):
        r = np.clip(logits - targets, -0.5, 0.5)
        return (r * (logits - targets - r / 2)).sum(axis=0)

    def gradients(self, logits, targets):
        return np.clip(logits - targets, -0.5, 0.5)


def test_a_loss_without_curvature_at_0_is_left_where_0_is_not_optimal():
    """Just beyond it: along the targets the objective rises from 0 on, along the largest class alone it falls."""
    prior, strength = ufm.ClassPrior([20, 7, 3, 1]), 0.06
    found = ufm.solve(ufm.UnconstrainedFeatures(strength, strength), prior, Huber(), method="nuclear")
    pi, n = 20 / 31, 20
    z = 1 - strength * math.sqrt(n) / pi  # of the first class alone: pi (z - 1) + strength sqrt(n) = 0
    value = pi * (1 - z) ** 2 / 2 + strength * math.sqrt(n) * z + (1 - pi) * 3 / 8
    assert found.is_global
    assert found.value == pytest.approx(value, rel=1e-12)


class Exponential(ufm.Loss):
    """sum_k t_k sum_i exp(z_i - z_k): overflows at logits of 710."""

    is_convex = True

    def values(self, logits, targets):
        return np.exp(logits).sum(axis=0) * (targets * np.exp(-logits)).sum(axis=0)

    def gradients(self, logits, targets):
        up, down = np.exp(logits), targets * np.exp(-logits)
        return up * down.sum(axis=0) - down * up.sum(axis=0)

    def constant_direction(self, num_classes):
        return np.ones(num_classes)


@pytest.mark.parametrize("bias", ["free", 0.3])
def test_beside_logits_at_which_a_loss_overflows_no_bias_is_looked_for(bias):
    found = ufm.solve(ufm.UnconstrainedFeatures(0.06, 0.06), ufm.ClassPrior([6, 6, 1, 1]), Exponential(), bias=bias)
    assert found.is_global
