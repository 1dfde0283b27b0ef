"""Squared error beside a bias with a price: the root of its equation against the descent, and its derivative."""

from __future__ import annotations

import numpy as np
import pytest
from effort import count

import ufm
from ufm.solvers import penalised_bias
from ufm.solvers.penalised_bias import shrunk_beside_bias


def _problem(seed):
    rng = np.random.default_rng(seed)
    k, m = rng.integers(2, 8), rng.integers(1, 10)
    lam, decay = 10 ** rng.uniform(-3, -0.5), float(10 ** rng.uniform(-4, 4))
    targets = rng.normal(size=(k, m)) if seed % 3 else np.eye(k)[:, rng.integers(0, k, m)]
    labels = ufm.Labels(targets, 10 ** rng.uniform(-1, 2, m))
    architectures = (
        ufm.UnconstrainedFeatures(lam, lam),
        ufm.PenalisedDEQ(lam, lam, 0.3),
        ufm.PenalisedDeepLinear((lam, 2 * lam)),
    )
    return architectures[seed % 3], labels, decay


@pytest.mark.parametrize("seed", range(count(15, 300)))
def test_it_is_what_a_descent_finds(seed):
    architecture, labels, decay = _problem(seed)
    found = ufm.solve(architecture, labels, "mse", bias=decay)
    other = ufm.solve(architecture, labels, "mse", bias=decay, method="nuclear")
    assert found.method == "closed_form"
    assert found.is_global is True
    assert found.gap <= 1e-11 * found.value
    assert found.iterations <= 30
    assert found.value == pytest.approx(other.value, rel=1e-9, abs=1e-14)
    assert found.logits == pytest.approx(other.logits, abs=1e-4 * (1 + np.abs(other.logits).max()))


@pytest.mark.parametrize("threshold", [0.5, 1.5, 2.5, 9.0])  # none to all of the singular values cut
@pytest.mark.parametrize("shape", [(4, 7), (5, 3), (3, 3)])
def test_newtons_step_has_the_derivative_of_the_gradient(threshold, shape):
    rng = np.random.default_rng(1)
    a, q, beta = rng.normal(size=shape), rng.normal(size=shape[1]), rng.normal(size=shape[0])
    q /= np.linalg.norm(q)
    if shape[0] > shape[1]:  # where the rows are more, the span of the columns is all that moves
        a, beta = np.linalg.qr(a)[1], beta[: shape[1]]

    def gradient(at):
        return penalised_bias._Point(a, q, threshold, 0.3, at).gradient

    point, h = penalised_bias._Point(a, q, threshold, 0.3, beta), 1e-6
    matrix = np.array([(gradient(beta + h * e) - gradient(beta - h * e)) / (2 * h) for e in np.eye(len(beta))]).T
    assert matrix @ point.newton_step() == pytest.approx(-point.gradient, abs=1e-7)


def test_the_price_of_a_large_problem_is_a_few_small_decompositions():
    rng = np.random.default_rng(0)
    a, n = rng.normal(size=(30, 400)), rng.integers(1, 9, 400)
    q = np.sqrt(n / n.sum())
    found = shrunk_beside_bias(a * np.sqrt(n), q, 30.0, 1.0)
    assert found.steps <= 15
    assert found.u.shape[1] <= 31
    assert np.abs(found.pull - found.beta).max() <= 1e-12


@pytest.mark.parametrize("decay", [1e-12, 1e-6, 1e6])
def test_a_bias_that_is_nearly_free_or_nearly_none(decay):
    """Where strength is 1e-5 as well, the descent stalls far from the optimum."""
    rng = np.random.default_rng(2)
    labels, architecture = ufm.Labels(rng.normal(size=(6, 5)), [1, 2, 3, 4, 5]), ufm.UnconstrainedFeatures(1e-5, 1e-5)
    found = ufm.solve(architecture, labels, "mse", bias=decay)
    beside = ufm.solve(architecture, labels, "mse", bias=None if decay > 1 else "free")
    assert found.is_global is True
    assert found.value == pytest.approx(beside.value, rel=2e-2)
    assert (found.value <= beside.value) if decay > 1 else (found.value >= beside.value)


def test_few_dimensions_are_searched_by_auto_and_refused_by_name():
    architecture, labels = ufm.UnconstrainedFeatures(0.02, 0.02), ufm.Labels(np.eye(5), [1, 2, 3, 4, 5])
    with pytest.raises(ValueError, match=r"^dim must be at least the rank .*'search'"):
        ufm.solve(architecture, labels, "mse", bias=0.1, dim=1, method="closed_form")
    found = ufm.solve(architecture, labels, "mse", bias=0.1, dim=1)
    assert found.method == "search"
    assert np.linalg.matrix_rank(found.logits, tol=1e-9) == 1
    wide = ufm.solve(architecture, labels, "mse", bias=0.1)
    assert found.value > wide.value + 1e-6
    assert found.lower == pytest.approx(wide.value, rel=1e-6)
