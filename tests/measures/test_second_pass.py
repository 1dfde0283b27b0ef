"""What is gathered in a second pass, by Gram matrices or in single precision is what the direct way gives."""

from __future__ import annotations

import numpy as np
import pytest

from ufm.geometry import cosine_matrix, etf_error, simplex_etf
from ufm.geometry.arrangement import Arrangement
from ufm.measures import FeatureStatistics, effective_rank, measure, nc1
from ufm.measures.nearest_mean import LinearDecisions, NearestMean
from ufm.measures.span import Span, span_of_means


def network(seed, k=6, d=40, n=150, spread=0.5):
    rng = np.random.default_rng(seed)
    means = rng.standard_normal((k, d))
    y = rng.permutation(np.arange(n) % k)
    return means[y] + spread * rng.standard_normal((n, d)), y, means + 0.3 * rng.standard_normal((k, d))


def in_batches(x, y, size=32):
    return [(x[i : i + size], y[i : i + size]) for i in range(0, len(x), size)]


def close(one, other, tol):
    for name, value in one.to_dict().items():
        if isinstance(value, float):
            assert value == pytest.approx(other.to_dict()[name], rel=tol, abs=tol), name


@pytest.mark.parametrize("spread", [0.0, 0.01, 0.5, 3.0])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_nc1_along_the_means_is_that_of_the_covariance(spread, dtype):
    x, y, w = network(0, spread=spread)
    batches = in_batches(x.astype(dtype), y)
    again, once = measure(batches, classifier=w), measure(iter(batches), classifier=w)
    assert once.nc4 is None  # gone through once, with the covariance
    close(again, measure(np.concatenate([f for f, _ in batches]), y, classifier=w), 1e-12)
    assert again.nc1 == pytest.approx(once.nc1, rel=1e-11, abs=1e-25)


def test_the_order_of_the_batches_changes_nothing():
    x, y, w = network(1, n=400)
    batches = in_batches(x + 100.0, y, 25)
    first = measure(batches, classifier=w)
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(len(batches))
        close(measure([batches[i] for i in order], classifier=w), first, 1e-10)


def test_a_loader_that_draws_other_samples_gets_nc1_of_one_pass():
    x, y, w = network(2)

    class Drawing:
        passes = 0

        def __iter__(self):
            self.passes += 1
            return iter([(x * self.passes, y)])

    assert measure(Drawing(), classifier=w).nc1 == pytest.approx(measure(x, y, classifier=w).nc1, rel=1e-11)


def test_coinciding_means_have_no_nc1_in_either_way():
    x, y = np.ones((20, 40)), np.arange(20) % 4
    assert measure([(x, y)], classifier=np.eye(4, 40)).nc1 is None
    assert measure(iter([(x, y)]), classifier=np.eye(4, 40)).nc1 is None


@pytest.mark.parametrize("condition", [1.0, 10.0, 1e4, 1e9])
def test_span_is_that_of_the_singular_value_decomposition(condition):
    rng = np.random.default_rng(3)
    m = simplex_etf(7, dim=20, seed=0)
    u, _, v = np.linalg.svd(m, full_matrices=False)
    m = (u[:, :6] * np.geomspace(1, 1 / condition, 6)) @ v[:6]
    scatter = rng.standard_normal((20, 20))
    scatter = scatter @ scatter.T
    inverse = np.linalg.pinv(m @ m.T / 7, rcond=1e-14, hermitian=True)
    if condition <= 1e4:
        assert nc1(scatter, m) == pytest.approx(np.trace(scatter @ inverse) / 7, rel=1e-6 if condition > 10 else 1e-11)
    span = span_of_means(m)
    assert len(span.singular_values) in (6, 7)
    expected = np.linalg.svd(m, compute_uv=False)[:6] / span.scale
    np.testing.assert_allclose(np.sort(span.singular_values)[::-1][:6], expected, rtol=1e-6, atol=1e-9)


def test_span_about_the_mean_of_all_samples():
    rng = np.random.default_rng(4)
    m, counts = rng.standard_normal((12, 5)), np.array([9.0, 5, 3, 2, 1])
    m -= (m @ counts / counts.sum())[:, None]
    span = Span(Arrangement(m), counts)
    expected = np.linalg.svd(m, compute_uv=False)[:4] / span.scale
    np.testing.assert_allclose(np.sort(span.singular_values)[::-1], expected, rtol=1e-12)
    assert measure(m.T, np.arange(5), prior=None, centre="samples").effective_rank == pytest.approx(
        effective_rank(m - m.mean(axis=1, keepdims=True)), rel=1e-12
    )


def test_fewer_dimensions_than_classes():
    x, y, w = network(5, k=9, d=4)
    found = measure(in_batches(x, y), classifier=w)
    means = np.array([x[y == k].mean(axis=0) for k in range(9)]).T
    assert found.nc1 == pytest.approx(nc1((x - means.T[y]).T @ (x - means.T[y]) / len(x), means), rel=1e-12)


@pytest.mark.parametrize("scale", [1e-200, 1e-30, 1.0, 1e30])
def test_decisions_in_single_precision_are_those_in_double(scale):
    rng = np.random.default_rng(6)
    x, w, b = scale * rng.standard_normal((300, 30)), rng.standard_normal((8, 30)), rng.standard_normal(8)
    w[3], b[3] = w[2] + 1e-9 * rng.standard_normal(30), b[2]  # too near for single precision
    w[5], b[5] = w[4], b[4]  # equal: the first counts
    expected = (x @ w.T + b).argmax(axis=1)
    assert {2, 3} <= set(expected) or scale < 1
    np.testing.assert_array_equal(LinearDecisions(w, b).of(x, x), expected)


def test_nearest_means_within_reach_are_those_by_all_distances():
    rng = np.random.default_rng(7)
    means = rng.standard_normal((5, 12))
    means[:, 3] = means[:, 2]  # each counts as the nearest
    means[:, 5] = means[:, 4] + 1e-5
    x = np.concatenate([means.T[rng.integers(0, 12, 400)] + s * rng.standard_normal((400, 5)) for s in (0, 1e-6, 0.3)])
    distances = ((x[:, :, None] - means) ** 2).sum(axis=1)
    for predicted in (distances.argmin(axis=1), rng.integers(0, 12, len(x)), np.full(len(x), 3)):
        expected = distances[np.arange(len(x)), predicted] <= distances.min(axis=1) + 1e-13
        np.testing.assert_array_equal(NearestMean(means).agreements(x, predicted), expected)


def test_statistics_without_covariance():
    x, y, _ = network(8)
    one, other = FeatureStatistics(6, covariance=False).update(x, y), FeatureStatistics(6).update(x, y)
    np.testing.assert_allclose(one.class_variances, other.class_variances, rtol=1e-13)
    assert one.merge(one).num_samples == 2 * len(x)
    with pytest.raises(ValueError, match="within_covariance must be gathered from the start"):
        _ = one.within_covariance
    with pytest.raises(ValueError, match="other must have covariance=False, got True"):
        one.merge(other)
    with pytest.raises(TypeError, match="covariance must be True or False, got 1"):
        FeatureStatistics(6, covariance=1)


def test_an_arrangement_gives_what_the_matrices_give():
    m = np.random.default_rng(9).standard_normal((7, 5)) * [1, 1e-3, 1e-14, 0, 2]
    found = Arrangement(m)
    np.testing.assert_array_equal(found.cosines(), cosine_matrix(m))
    np.testing.assert_allclose(found.gram * found.longest**2, m.T @ m, rtol=1e-13, atol=1e-28)
    assert etf_error(1e150 * m) == pytest.approx(etf_error(m), rel=1e-12)
