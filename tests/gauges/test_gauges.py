"""Gauges of nonnegative features and of bounded rows and columns, against conic programmes and by their laws."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from ufm import gauges
from ufm.gauges import cone
from ufm.gauges.copositive import split
from ufm.gauges.smooth import damped_step
from ufm.testing.strategies import SEEDS

SHAPES = ((2, 2), (3, 4), (4, 3))


def matrix(seed, k=3, m=3, kind="normal"):
    rng = np.random.default_rng(seed)
    y = rng.normal(size=(k, m))
    if kind == "low rank":
        return rng.normal(size=(k, 2)) @ rng.normal(size=(2, m))
    return np.abs(y) if kind == "positive" else y


def completely_positive_gauge(y):
    """min (tr A + tr B) / 2 over [[A, Y], [Y^T, B]] >= 0, B >= 0: exact for up to four columns (Maxfield and Minc)."""
    cp = pytest.importorskip("cvxpy")
    k, m = y.shape
    x = cp.Variable((k + m, k + m), PSD=True)
    program = cp.Problem(cp.Minimize(cp.trace(x) / 2), [x[:k, k:] == y, x[k:, k:] >= 0])
    program.solve(solver="CLARABEL")
    return program.value


def gamma2_by_program(y):
    """min t over [[A, Y], [Y^T, B]] >= 0 with diagonals at most t."""
    cp = pytest.importorskip("cvxpy")
    k, m = y.shape
    x, t = cp.Variable((k + m, k + m), PSD=True), cp.Variable()
    program = cp.Problem(cp.Minimize(t), [x[:k, k:] == y, cp.diag(x) <= t])
    program.solve(solver="CLARABEL")
    return program.value


@pytest.mark.parametrize("kind", ["normal", "low rank", "positive"])
@pytest.mark.parametrize("shape", SHAPES)
def test_gauge_of_nonnegative_features_is_the_conic_programme(shape, kind):
    y = matrix(3, *shape, kind)
    found = gauges.nonnegative_gauge(y)
    assert found.value == pytest.approx(completely_positive_gauge(y), rel=2e-7)
    assert found.lower == pytest.approx(found.value, rel=1e-10)
    assert (found.features >= 0).all()
    np.testing.assert_allclose(found.classifier @ found.features, y, atol=1e-9)
    spent = np.linalg.norm(found.classifier, axis=0) @ np.linalg.norm(found.features, axis=1)
    assert spent == pytest.approx(found.value, rel=1e-12)


@pytest.mark.parametrize("kind", ["normal", "low rank", "positive"])
@pytest.mark.parametrize("shape", SHAPES)
def test_gamma2_is_the_conic_programme(shape, kind):
    y = matrix(4, *shape, kind)
    found = gauges.gamma2_factors(y)
    assert found.value == pytest.approx(gamma2_by_program(y), rel=1e-6)
    assert gauges.gamma2_norm(y) == found.value
    assert found.value <= found.upper * (1 + 1e-14)
    assert found.upper == pytest.approx(found.value, rel=1e-9)
    np.testing.assert_allclose(found.classifier @ found.features, y, atol=1e-9)


@pytest.mark.parametrize("num_classes", [2, 3, 5])
def test_closed_forms_of_the_etf(num_classes):
    k = num_classes
    etf = np.eye(k) - 1 / k
    assert gauges.nonnegative_gauge(etf).value == pytest.approx(np.sqrt(k * (k - 1)), rel=1e-14)
    assert gauges.gamma2_norm(etf) == pytest.approx((k - 1) / k, rel=1e-12)
    assert gauges.nonnegative_polar(-etf).bound == pytest.approx(np.sqrt((k - 1) / k), rel=1e-14)
    assert gauges.gamma2_polar(etf).bound == pytest.approx(k, rel=1e-12)


def hadamard(order):
    h = np.ones((1, 1))
    while len(h) < order:
        h = np.block([[h, h], [h, -h]])
    return h


def test_gamma2_of_a_hadamard_matrix_is_the_root_of_its_order():
    assert gauges.gamma2_norm(hadamard(4)) == pytest.approx(2.0, rel=1e-12)
    assert gauges.gamma2_polar(hadamard(4)).bound == pytest.approx(8.0, rel=1e-12)


@settings(max_examples=5)
@given(SEEDS, st.sampled_from(SHAPES))
def test_laws(seed, shape):
    y, x = matrix(seed, *shape), matrix(seed + 1, *shape)
    for gauge, polar in (
        (lambda a: gauges.nonnegative_gauge(a).value, lambda a: gauges.nonnegative_polar(a).bound),
        (gauges.gamma2_norm, lambda a: gauges.gamma2_polar(a).bound),
    ):
        size, other = gauge(y), gauge(x)
        assert gauge(3 * y) == pytest.approx(3 * size, rel=1e-9)
        assert gauge(y + x) <= (size + other) * (1 + 1e-9)
        assert np.vdot(x, y) <= polar(x) * size * (1 + 1e-9)


@settings(max_examples=examples(25))
@given(SEEDS, st.integers(2, 6))
def test_largest_value_over_the_cone_is_that_of_a_face(seed, size):
    """Every local maximum is one of a face: the projected power iteration from many starts finds none above."""
    rng = np.random.default_rng(seed)
    g = rng.normal(size=(size, size))
    m = g.T @ g - rng.uniform(0, 2) * np.eye(size)
    found = gauges.cone_maximum(m)
    assert found.value == pytest.approx(found.bound, rel=1e-12, abs=1e-12)
    assert (found.vector >= 0).all()
    assert np.linalg.norm(found.vector) == pytest.approx(1.0, rel=1e-12)
    v = np.abs(rng.normal(size=(size, 200)))
    v /= np.linalg.norm(v, axis=0)
    shifted = m + 10 * np.eye(size) * max(1.0, np.abs(m).max())
    for _ in range(200):
        v = np.maximum(shifted @ v, 0.0)
        v /= np.linalg.norm(v, axis=0)
    assert np.einsum("ij,ik,kj->j", v, m, v).max() <= found.bound + 1e-9 * abs(found.bound)
    assert gauges.split_bound(m) >= found.value - 1e-12


@pytest.mark.parametrize("size", [3, 4])
def test_split_is_tight_for_up_to_four(size):
    """Copositive matrices of up to four rows are sums of a positive-semidefinite and a nonnegative one (Diananda)."""
    for seed in range(4):
        m = matrix(seed, size, size)
        m = m + m.T
        assert gauges.split_bound(m) == pytest.approx(gauges.cone_maximum(m).bound, rel=1e-9)


def test_two_columns_that_cancel_are_no_atom():
    """The eigenvector (1, -1) of the largest eigenvalue sums to 0: it must not count as nonnegative."""
    m = np.array([[1.0, -0.4, 0.1], [-0.4, 1.0, 0.1], [0.1, 0.1, 0.2]])
    best = max(
        float(np.array([a, b, c]) @ m @ np.array([a, b, c]))
        for a, b, c in (
            np.array(p) / np.linalg.norm(p) for p in itertools.product(np.linspace(0, 1, 21), repeat=3) if any(p)
        )
    )
    assert best <= gauges.cone_maximum(m).bound <= best + 2e-3


def test_zero():
    zero = np.zeros((2, 3))
    assert gauges.nonnegative_gauge(zero).value == 0.0
    assert gauges.gamma2_factors(zero).upper == 0.0
    assert gauges.gamma2_polar(zero).bound == 0.0
    assert gauges.nonnegative_polar(zero).bound == 0.0


@pytest.mark.parametrize("seed", range(4))
def test_dual_bounds_from_anywhere(seed):
    """At unit vectors that are no optimum the diagonals are repaired: nothing below the polar may come out."""
    g = matrix(seed, 3, 4)
    rng = np.random.default_rng(seed)
    p, q = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (rng.normal(size=(3, 7)), rng.normal(size=(4, 7))))
    bound, alpha, beta = gauges.dual_bound(g, gauges.UnitPoint(p, q))
    assert bound >= gauges.gamma2_polar(g).value
    proof = np.block([[np.diag(alpha), -g], [-g.T, np.diag(beta)]])
    assert np.linalg.eigvalsh(proof)[0] >= -1e-12


def test_split_of_many_rows_is_the_semidefinite_programme():
    cp = pytest.importorskip("cvxpy")
    g = matrix(5, 4, 14)
    m = g.T @ g
    t, n = cp.Variable(), cp.Variable((14, 14), symmetric=True)
    program = cp.Problem(cp.Minimize(t), [t * np.eye(14) - m - n >> 0, n >= 0])
    bound, found = split(m)
    assert bound == pytest.approx(program.solve(solver="CLARABEL"), rel=1e-7)
    assert (found >= 0).all()
    assert bound == pytest.approx(np.linalg.eigvalsh(m + found)[-1], rel=1e-12)


def test_ascents_end_where_they_cannot_rise():
    g = matrix(8, 5, 16)
    m = g.T @ g
    v = gauges.cone_ascents(m)
    assert v.shape == (16, 3)
    assert (v >= 0).all()
    rises = m @ v - v * np.einsum("ij,ik,kj->j", v, m, v)
    assert np.abs(np.where(v > 1e-7, rises, np.maximum(rises, 0.0))).max() < 1e-5
    values = np.einsum("ij,ik,kj->j", v, m, v)
    assert (np.diff(values) <= 1e-12).all()
    assert values[0] == pytest.approx(gauges.cone_maximum(m, bounded=False).value, rel=1e-12)


@pytest.mark.parametrize("size", [20, 300])
def test_a_damped_step_is_the_same_from_products_and_from_the_matrix(size):
    root = matrix(11, size, size)
    h, g = root @ root.T + np.eye(size), matrix(12, size, 1)[:, 0]
    step = damped_step(lambda x: h @ x, g, 0.5, lambda: h.copy())
    np.testing.assert_allclose(step, -np.linalg.solve(h + 0.5 * np.eye(size), g), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("tau", [None, 3.0])
def test_the_second_derivative_over_the_cone_is_what_its_products_say(tau, monkeypatch):
    w, h = matrix(1, 3, 4), np.abs(matrix(2, 4, 5))
    h[1, 2] = 0.0
    size = 1.0 if tau is None else np.sqrt(2 * tau / ((w**2).sum() + (h**2).sum()))
    phi = gauges.Quadratic(matrix(3, 3, 5), 2.0)
    state = cone._State(phi, gauges.ConePoint(w * size, h * size, 0.7), 0.7, tau)
    met = []

    def compared(apply, gradient, damping, written):
        met.append(len(gradient))
        np.testing.assert_allclose(np.column_stack([apply(e) for e in np.eye(len(gradient))]), written(), atol=1e-12)
        return np.zeros(len(gradient))

    monkeypatch.setattr(cone, "damped_step", compared)
    state.step(0.1)
    assert met


def test_a_polar_that_is_asked_for_again_is_of_the_matrix_as_it_is_now():
    g = np.array([[1.0, 1.0], [1.0, -1.0]])
    first = gauges.gamma2_polar(g)
    assert gauges.gamma2_polar(g).atom is first.atom
    with pytest.raises(ValueError, match="read-only"):
        first.atom[0, 0] = 9
    g[0] *= 2
    assert gauges.gamma2_polar(g).value > 1.1 * first.value
