"""Measures against loops over samples, the laws they obey, and wrong formulas that both must catch."""

import dataclasses
import itertools
import json
import math
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st

import ufm
from ufm.geometry import random_isometry, simplex_etf
from ufm.measures import (
    FeatureStatistics,
    Measures,
    cdnv,
    equiangle_cv,
    equiangle_std,
    equinorm_cv,
    measure,
    nc1,
    nearest_mean_agreement,
    trace_quotient,
)

laws = settings(derandomize=True, max_examples=examples(25), deadline=None)


def sample(seed=0, counts=(7, 5, 4, 3), d=6, spread=0.4, offset=0.0):
    """Features around random means, shuffled, with a classifier and a bias that are not quite the means."""
    rng = np.random.default_rng(seed)
    k = len(counts)
    means = rng.standard_normal((k, d)) + offset
    y = rng.permutation(np.repeat(np.arange(k), counts))
    x = means[y] + spread * rng.standard_normal((len(y), d))
    return x, y, means - offset + 0.3 * rng.standard_normal((k, d)), 0.1 * rng.standard_normal(k)


# Naive formulas, sample by sample ---------------------------------------------------------------------------------


class Naive:
    """Every quantity from its definition, with loops."""

    def __init__(self, x, y, k):
        self.k, (self.n, self.d) = k, x.shape
        self.x, self.y = x, y
        self.mean = [sum(x[i] for i in range(self.n) if y[i] == c) / sum(y == c) for c in range(k)]
        centre = sum(self.mean) / k
        self.m = [mean - centre for mean in self.mean]
        self.s_w = sum(np.outer(x[i] - self.mean[y[i]], x[i] - self.mean[y[i]]) for i in range(self.n)) / self.n
        self.s_b = sum(np.outer(m, m) for m in self.m) / k
        self.v = [
            sum(((x[i] - self.mean[c]) ** 2).sum() for i in range(self.n) if y[i] == c) / sum(y == c) for c in range(k)
        ]

    def nc1(self):
        values, vectors = np.linalg.eigh(self.s_b)
        inverse = sum(
            np.outer(vectors[:, i], vectors[:, i]) / values[i] for i in range(self.d) if values[i] > 1e-12 * values[-1]
        )
        return np.trace(self.s_w @ inverse) / self.k

    def cdnv(self):
        pairs = [(j, c) for j in range(self.k) for c in range(self.k) if j != c]
        return sum((self.v[j] + self.v[c]) / (2 * ((self.mean[j] - self.mean[c]) ** 2).sum()) for j, c in pairs) / len(
            pairs
        )

    def nc4(self, predictions):
        return sum(self.hits(predictions)) / self.n

    def hits(self, predictions):
        found = []
        for i in range(self.n):
            distances = [((self.x[i] - mean) ** 2).sum() for mean in self.mean]
            found.append(distances.index(min(distances)) == predictions[i])
        return found

    def nc4_by_class(self, predictions):
        hits = self.hits(predictions)
        return [sum(h for h, c in zip(hits, self.y, strict=True) if c == k) / sum(self.y == k) for k in range(self.k)]


def naive_cv(values):
    mean = sum(values) / len(values)
    return math.sqrt(sum((v - mean) ** 2 for v in values) / len(values)) / abs(mean)


def naive_cosines(vectors, members=None):
    members = range(len(vectors)) if members is None else members
    return [
        vectors[i] @ vectors[j] / math.sqrt((vectors[i] @ vectors[i]) * (vectors[j] @ vectors[j]))
        for i in members
        for j in members
        if i < j
    ]


def naive_etf_error(vectors):
    k = len(vectors)
    g = np.array([[a @ b for b in vectors] for a in vectors])
    etf = np.array([[(1 if i == j else 0) - 1 / k for j in range(k)] for i in range(k)]) / math.sqrt(k - 1)
    return math.sqrt(((g / math.sqrt((g**2).sum()) - etf) ** 2).sum())


def naive_gap(vectors):
    cosines = naive_cosines(vectors)
    return sum(abs(c + 1 / (len(vectors) - 1)) for c in cosines) / len(cosines)


def naive_log_kernel(vectors):
    kernels = [-math.log(math.sqrt(2 - 2 * c)) for c in naive_cosines(vectors)]
    return naive_cv(kernels) if abs(sum(kernels)) > 1e-10 else None


def naive_effective_rank(gram):
    sigma = [math.sqrt(max(v, 0)) for v in np.linalg.eigvalsh(gram)]
    kept = [s for s in sigma if s > 1e-6 * max(sigma)]  # what is below is the root of round-off
    shares = [s / sum(kept) for s in kept]
    return math.exp(-sum(p * math.log(p) for p in shares))


def naive_duality(w, m):
    return [a @ c / math.sqrt((a @ a) * (c @ c)) for a, c in zip(w, m, strict=True)]


def naive_logit_error(w, m):
    z = np.array([[a @ c for c in m] for a in w])
    k = len(w)
    etf = np.array([[(1 if i == j else 0) - 1 / k for j in range(k)] for i in range(k)]) / math.sqrt(k - 1)
    return math.sqrt(((z / math.sqrt((z**2).sum()) - etf) ** 2).sum())


def naive_measures(x, y, w, b, groups):
    k = len(w)
    data = Naive(x, y, k)
    z = [[w[j] @ data.mean[c] + b[j] for c in range(k)] for j in range(k)]
    scales = [
        None if len(g) == 1 else sum(z[c][c] - sum(z[j][c] for j in g if j != c) / (len(g) - 1) for c in g) / len(g)
        for g in groups
    ]
    m = np.array(data.m)
    predictions = [max(range(k), key=lambda c: w[c] @ h + b[c]) for h in x]
    # Where there is one group no class is rarer than another: there is no minority, and all classes are the majority.
    rarest = groups[-1] if len(groups) > 1 else ()
    minority, majority = (naive_cosines(w, g) for g in (rarest, groups[0]))
    minority_m, majority_m = (naive_cosines(data.m, g) for g in (rarest, groups[0]))

    def mean(values):
        return sum(values) / len(values) if values else None

    return {
        "nc1": data.nc1(),
        "trace_quotient": sum(data.s_w[i, i] for i in range(data.d)) / sum(data.s_b[i, i] for i in range(data.d)),
        "cdnv": data.cdnv(),
        "etf_error": naive_etf_error(data.m),
        "equinorm_cv": naive_cv([math.sqrt(v @ v) for v in data.m]),
        "equiangle_cv": naive_cv(naive_cosines(data.m)),
        "equiangle_std": naive_cv(naive_cosines(data.m)) * abs(mean(naive_cosines(data.m))),
        "minority_feature_cosine": mean(minority_m),
        "majority_feature_cosine": mean(majority_m),
        "classifier_etf_error": naive_etf_error(w),
        "classifier_equinorm_cv": naive_cv([math.sqrt(v @ v) for v in w]),
        "classifier_equiangle_cv": naive_cv(naive_cosines(w)),
        "classifier_equiangle_std": naive_cv(naive_cosines(w)) * abs(mean(naive_cosines(w))),
        "self_duality_error": math.sqrt(((w / math.sqrt((w**2).sum()) - m / math.sqrt((m**2).sum())) ** 2).sum()),
        "nc4": data.nc4(predictions),
        "minority_cosine": mean(minority),
        "majority_cosine": mean(majority),
        "group_scales": scales,
        "mean_cosine_gap": naive_gap(data.m),
        "coherence": max(map(abs, naive_cosines(data.m))),
        "separation_kernel_cv": naive_log_kernel(data.m),
        "effective_rank": naive_effective_rank(np.array([[a @ c for c in data.m] for a in data.m])),
        "classifier_mean_cosine_gap": naive_gap(w),
        "classifier_coherence": max(map(abs, naive_cosines(w))),
        "duality_cosine": mean(naive_duality(w, data.m)),
        "uniform_duality_cv": naive_cv(naive_duality(w, data.m)),
        "logit_etf_error": naive_logit_error(w, data.m),
        "smallest_margin": min(z[c][c] - max(z[j][c] for j in range(k) if j != c) for c in range(k)),
        "nc4_by_class": data.nc4_by_class(predictions),
    }


def same(measured, expected, tol=1e-10):
    """Assert that dictionaries of measures agree to relative or absolute ``tol``."""
    for name, value in expected.items():
        if name == "groups":
            assert measured[name] == value
            continue
        values, others = ([v] if not isinstance(v, list | tuple) else v for v in (measured[name], value))
        assert len(values) == len(others), name
        for a, b in zip(values, others, strict=True):
            assert a == (pytest.approx(b, rel=tol, abs=tol) if isinstance(b, float) else b), name


CASES = [
    ({}, {}, [(0,), (1,), (2,), (3,)]),
    ({"counts": (6, 2, 6, 2, 2)}, {}, [(0, 2), (1, 3, 4)]),
    ({"counts": (3, 3), "d": 1}, {}, [(0, 1)]),
    ({"counts": (4, 9, 4, 1, 1), "d": 3, "offset": 2.0}, {"num_minority": 3}, [(0, 1), (2, 3, 4)]),
    ({"counts": (2, 7, 1, 5)}, {"num_minority": 2}, [(1, 3), (0, 2)]),
    ({"counts": (4, 4, 4), "d": 9}, {"num_minority": 2}, [(0,), (1, 2)]),
    ({"counts": (5, 4, 3, 2)}, {"prior": ufm.ClassPrior([10, 10, 1, 1])}, [(0, 1), (2, 3)]),
]


@pytest.mark.parametrize(("data", "options", "groups"), CASES)
@pytest.mark.parametrize("with_bias", [True, False])
def test_against_naive(data, options, groups, with_bias):
    x, y, w, b = sample(**data)
    m = measure(x, y, classifier=w, bias=b if with_bias else None, **options)
    same(m.to_dict(), naive_measures(x, y, w, b if with_bias else 0 * b, groups))
    assert m.groups == tuple(groups)
    assert m.counts == tuple(data.get("counts", (7, 5, 4, 3)))
    assert (m.num_samples, m.num_classes, m.dim) == (len(y), len(w), x.shape[1])
    assert m.phase == "none"


# One check a function, and the mutants it rejects -----------------------------------------------------------------


def check_nc1(implementation):
    for seed, d in ((0, 6), (1, 2), (2, 3)):
        x, y, _, _ = sample(seed, d=d, offset=1.0)
        data = Naive(x, y, 4)
        assert implementation(data.s_w, np.array(data.mean).T) == pytest.approx(data.nc1(), rel=1e-10)


def check_trace_quotient(implementation):
    x, y, _, _ = sample(3, offset=1.0)
    data = Naive(x, y, 4)
    expected = np.trace(data.s_w) / np.trace(data.s_b)
    assert implementation(data.s_w, np.array(data.mean).T) == pytest.approx(expected, rel=1e-12)


def check_cdnv(implementation):
    x, y, _, _ = sample(4)
    data = Naive(x, y, 4)
    assert implementation(data.v, np.array(data.mean).T) == pytest.approx(data.cdnv(), rel=1e-12)


def check_equinorm(implementation):
    m = np.random.default_rng(5).standard_normal((3, 5))
    assert implementation(m) == pytest.approx(naive_cv([math.sqrt(v @ v) for v in m.T]), rel=1e-12)
    assert implementation(4 * simplex_etf(5, seed=0)) < 1e-14


def check_equiangle_cv(implementation):
    m = np.random.default_rng(6).standard_normal((3, 5))
    assert implementation(m) == pytest.approx(naive_cv(naive_cosines(m.T)), rel=1e-12)
    # The lengths do not matter, and in an ETF all angles are equal.
    assert implementation(simplex_etf(5, seed=0) * np.arange(1, 6)) < 1e-13


def check_equiangle_std(implementation):
    m = np.random.default_rng(6).standard_normal((3, 5))
    assert implementation(m) == pytest.approx(np.std(naive_cosines(m.T)), rel=1e-12)
    assert implementation(np.eye(4)) == 0.0


def check_agreement(implementation):
    x, y, _, _ = sample(7, spread=1.5)
    means = np.array(Naive(x, y, 4).mean).T
    predictions = np.random.default_rng(8).integers(0, 4, len(x))
    expected = Naive(x, y, 4).nc4(predictions)
    assert 0 < expected < 1
    assert implementation(x, means, predictions) == pytest.approx(expected)
    assert Naive(x, y, 4).nc4(y) < 1
    assert implementation(x, means, y) == pytest.approx(Naive(x, y, 4).nc4(y))


CHECKS = {
    check_nc1: nc1,
    check_trace_quotient: trace_quotient,
    check_cdnv: cdnv,
    check_equinorm: equinorm_cv,
    check_equiangle_cv: equiangle_cv,
    check_equiangle_std: equiangle_std,
    check_agreement: nearest_mean_agreement,
}


@pytest.mark.parametrize("check", CHECKS, ids=lambda c: c.__name__)
def test_function_against_naive(check):
    check(CHECKS[check])


def between(m):
    m = m - m.mean(axis=1, keepdims=True)
    return m @ m.T / m.shape[1]


@pytest.mark.parametrize(
    ("check", "mutant"),
    [
        (check_nc1, lambda s_w, m: np.trace(s_w @ np.linalg.pinv(between(m), 1e-10))),
        (check_nc1, lambda s_w, m: np.trace(s_w @ np.linalg.pinv(m @ m.T / m.shape[1], 1e-10)) / m.shape[1]),
        (check_nc1, lambda s_w, m: np.trace(between(m) @ np.linalg.pinv(s_w, 1e-10)) / m.shape[1]),
        (check_nc1, lambda s_w, m: np.trace(s_w @ np.linalg.pinv(m.shape[1] * between(m), 1e-10)) / m.shape[1]),
        (check_trace_quotient, lambda s_w, m: np.trace(s_w) / np.trace(m @ m.T / m.shape[1])),
        (check_trace_quotient, lambda s_w, m: np.trace(s_w) / np.trace(between(m)) / m.shape[1]),
        (check_cdnv, lambda v, m: 2 * cdnv(v, m)),
        (check_cdnv, lambda v, m: cdnv(v, m - m.mean(axis=1, keepdims=True)) + 1e-9),
        (check_cdnv, lambda v, m: cdnv(np.full(len(v), v[0]), m)),
        (check_equinorm, lambda m: np.linalg.norm(m, axis=0).std()),
        (check_equinorm, lambda m: np.linalg.norm(m, axis=1).std() / np.linalg.norm(m, axis=1).mean()),
        (check_equinorm, lambda m: np.linalg.norm(m, axis=0).std(ddof=1) / np.linalg.norm(m, axis=0).mean()),
        (check_equiangle_cv, equiangle_std),
        (check_equiangle_cv, lambda m: (m.T @ m)[np.triu_indices(m.shape[1], 1)].std()),
        (check_equiangle_std, lambda m: np.std(np.corrcoef(m.T)[np.triu_indices(m.shape[1], 1)])),
        (check_equiangle_std, lambda m: np.std((m.T @ m) / np.outer(*[np.linalg.norm(m, axis=0)] * 2))),
        (check_agreement, lambda x, m, p: float(np.mean((x @ m).argmax(axis=1) == p))),
        (check_agreement, lambda x, m, p: 1 - nearest_mean_agreement(x, m, p)),
        (check_agreement, lambda x, m, p: float(np.mean(sample(7)[1] == p))),
    ],
)
def test_wrong_formulas_are_caught(check, mutant):
    with pytest.raises(AssertionError):
        check(mutant)


# Laws of the whole ------------------------------------------------------------------------------------------------


@laws
@given(st.integers(0, 2**32), st.floats(1e-3, 1e3), st.floats(-5, 5))
def test_invariance_under_rotation_scale_and_shift(seed, scale, shift):
    x, y, w, b = sample(seed)
    q = random_isometry(8, 6, seed)
    original = measure(x, y, classifier=w, bias=b).to_dict()
    # The shift moves every class mean alike; the bias takes back what it adds to the logits.
    offset = shift * np.ones(8)
    turned = measure(scale * x @ q.T + offset, y, classifier=w @ q.T / scale, bias=b - w @ q.T @ offset / scale)
    turned = dataclasses.replace(turned, dim=6)
    same(turned.to_dict(), original, 1e-8)


@laws
@given(st.integers(0, 2**32), st.lists(st.integers(1, 3), min_size=3, max_size=6))
def test_invariance_under_relabelling_and_shuffling(seed, counts):
    x, y, w, b = sample(seed, counts=counts)
    rng = np.random.default_rng(seed)
    name_of, rows = rng.permutation(len(counts)), rng.permutation(len(y))
    back = np.argsort(name_of)
    original = measure(x, y, classifier=w, bias=b).to_dict()
    renamed = measure(x[rows], name_of[y][rows], classifier=w[back], bias=b[back]).to_dict()
    for d in (original, renamed):
        d["groups"] = [len(g) for g in d["groups"]]
    for name in ("counts", "nc4_by_class"):
        original[name] = [original[name][c] for c in back]
    same(renamed, original, 1e-10)


@laws
@given(st.integers(0, 2**32), st.lists(st.integers(0, 19), max_size=6), st.booleans())
def test_batching(seed, cuts, reverse):
    x, y, w, b = sample(seed)
    edges = [0, *sorted(cuts), len(y)]
    batches = [(x[i:j], y[i:j]) for i, j in itertools.pairwise(edges)]
    batches = batches[::-1] if reverse else batches
    same(
        measure(batches, classifier=w, bias=b).to_dict(),
        measure(x, y, classifier=w, bias=b).to_dict(),
        1e-11,
    )


@laws
@given(st.integers(2, 8), st.integers(0, 3), st.integers(1, 5), st.integers(0, 2**32))
def test_collapsed_etf(k, extra, n, seed):
    etf = simplex_etf(k, dim=k + extra, seed=seed)
    m = measure(np.repeat(5 * etf.T + 1.0, n, axis=0), np.repeat(np.arange(k), n), classifier=etf.T)
    for name in ("nc1", "trace_quotient", "cdnv"):
        assert m.to_dict()[name] < 1e-25
    for name in ("etf_error", "equinorm_cv", "equiangle_cv", "equiangle_std", "self_duality_error"):
        assert m.to_dict()[name] < 1e-11
    assert m.classifier_etf_error < 1e-12
    assert m.nc4 == 1.0
    assert m.minority_cosine is m.minority_feature_cosine is None
    assert m.majority_cosine == pytest.approx(-1 / (k - 1))
    assert m.group_scales == pytest.approx((5 * k / (k - 1),))
    assert m.phase == "none"


@laws
@given(st.integers(0, 2**32), st.floats(0.1, 10))
def test_nc1_grows_with_the_spread(seed, factor):
    x, y, _, _ = sample(seed)
    means = np.array([x[y == c].mean(axis=0) for c in range(4)])
    spread = means[y] + factor * (x - means[y])
    a, b = measure(x, y), measure(spread, y)
    for name in ("nc1", "trace_quotient", "cdnv"):
        assert b.to_dict()[name] == pytest.approx(factor**2 * a.to_dict()[name], rel=1e-8)


# The accumulator --------------------------------------------------------------------------------------------------


def two_pass(x, y, k):
    means = np.array([x[y == c].mean(axis=0) for c in range(k)])
    deviations = x - means[y]
    return means.T, deviations.T @ deviations / len(x), np.array([(deviations[y == c] ** 2).sum() for c in range(k)])


def agrees(statistics, x, y, k, tol):
    means, within, scatter = two_pass(x, y, k)
    counts = np.bincount(y, minlength=k)
    np.testing.assert_array_equal(statistics.counts, counts)
    np.testing.assert_allclose(statistics.means, means, rtol=tol, atol=tol * np.abs(means).max())
    np.testing.assert_allclose(statistics.within_covariance, within, rtol=0, atol=tol * np.abs(within).max())
    np.testing.assert_allclose(statistics.class_variances, scatter / counts, rtol=tol)


@laws
@given(st.integers(0, 2**32), st.lists(st.integers(0, 40), min_size=1, max_size=5), st.integers(1, 4))
def test_accumulator_is_the_two_pass_formula(seed, cuts, d):
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((40, d)) + 3.0, np.concatenate([np.arange(5), rng.integers(0, 5, 35)])
    edges = [0, *sorted(cuts), 40]
    statistics = FeatureStatistics(5)
    for i, j in itertools.pairwise(edges):
        assert statistics.update(x[i:j], y[i:j]) is statistics
    agrees(statistics, x, y, 5, 1e-12)


@laws
@given(st.integers(0, 2**32), st.integers(0, 30), st.integers(0, 30))
def test_merge_is_associative_and_commutative(seed, first, second):
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((30, 3)), np.concatenate([np.arange(4), rng.integers(0, 4, 26)])
    i, j = sorted((first, second))
    a, b, c = (FeatureStatistics(4).update(x[s], y[s]) for s in (slice(0, i), slice(i, j), slice(j, 30)))
    for merged in (a.merge(b).merge(c), a.merge(b.merge(c)), c.merge(b).merge(a)):
        agrees(merged, x, y, 4, 1e-12)
    # The parts are left as they were, and a merged object goes on being updated on its own.
    before = a.num_samples
    a.merge(b).update(x, y)
    assert a.num_samples == before


def test_large_offset():
    rng = np.random.default_rng(9)
    x, y = rng.standard_normal((10_000, 3)), rng.integers(0, 3, 10_000)
    shifted = x + 2.0**26  # rounds x to 2^-26 and adds no further error
    x = shifted - 2.0**26
    statistics = FeatureStatistics(3)
    for start in range(0, 10_000, 700):
        statistics.update(shifted[start : start + 700], y[start : start + 700])
    _, within, _ = two_pass(x, y, 3)
    np.testing.assert_allclose(statistics.within_covariance, within, atol=1e-8)
    # The textbook one-pass formula loses everything here.
    means = np.array([shifted[y == c].mean(axis=0) for c in range(3)])
    second = shifted.T @ shifted / 10_000 - (means * np.bincount(y)[:, None]).T @ means / 10_000
    assert np.abs(second - within).max() > 1e-2


def test_memory_holds_no_covariance_per_class():
    k, d = 200, 200
    rng = np.random.default_rng(10)
    x, y = rng.standard_normal((2 * k, d)), np.tile(np.arange(k), 2)
    measure(x, y, classifier=x[:k])  # imports, which hold more than what is measured
    tracemalloc.start()
    measure(x, y, classifier=x[:k])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * k * d * d / 4


def test_a_refused_batch_leaves_no_trace():
    x, y, _, _ = sample(11)
    statistics = FeatureStatistics(4).update(x, y)
    bad = x.copy()
    bad[-1, -1] = np.nan
    for features, labels in ((bad, y), (x, y + 4), (x[:, :3], y), (x[:3], y)):
        with pytest.raises(ValueError, match=r"features|labels"):
            statistics.update(features, labels)
    agrees(statistics, x, y, 4, 1e-12)


def test_empty_batches_and_chunks():
    x, y, _, _ = sample(12)
    statistics = FeatureStatistics(4).update(np.zeros((0, 6)), np.zeros(0, dtype=int)).update(x, y)
    agrees(statistics.merge(FeatureStatistics(4)), x, y, 4, 1e-12)
    agrees(FeatureStatistics(4).merge(statistics), x, y, 4, 1e-12)
    # More rows than are converted at a time.
    rng = np.random.default_rng(13)
    x, y, w = rng.standard_normal((10_000, 2)), rng.integers(0, 4, 10_000), rng.standard_normal((4, 2))
    agrees(FeatureStatistics(4).update(x, y), x, y, 4, 1e-11)
    means = two_pass(x, y, 4)[0]
    nearest = ((x[:, :, None] - means) ** 2).sum(axis=1).argmin(axis=1)
    assert measure(x, y, classifier=w).nc4 == pytest.approx(np.mean((x @ w.T).argmax(axis=1) == nearest))
    assert measure(x, y, predictions=nearest).nc4 == 1.0


def test_accumulator_properties():
    statistics = FeatureStatistics(3)
    assert (statistics.num_classes, statistics.dim, statistics.num_samples) == (3, 0, 0)
    statistics.update(np.ones((2, 5)), np.array([0, 2]))
    assert (statistics.dim, statistics.num_samples) == (5, 2)
    for name in ("means", "within_covariance", "class_variances"):
        with pytest.raises(ValueError, match="no sample of 1"):
            getattr(statistics, name)
    with pytest.raises(ValueError, match="no sample of 1"):
        Measures.of(statistics)


# Edges ------------------------------------------------------------------------------------------------------------


def no_nan(measures):
    for name, value in measures.to_dict().items():
        for number in value if isinstance(value, list) else [value]:
            if isinstance(number, float):
                assert math.isfinite(number), name


def test_all_means_coincide():
    rng = np.random.default_rng(14)
    x = np.repeat(rng.standard_normal((5, 3)) + 0.1, 2, axis=0)
    m = measure(x, np.tile([0, 1], 5), classifier=rng.standard_normal((2, 3)))
    assert m.minority_feature_cosine is None
    assert m.nc1 is m.trace_quotient is m.cdnv is m.equinorm_cv is m.equiangle_cv is m.equiangle_std is None
    assert m.etf_error == pytest.approx(1.0)
    assert m.self_duality_error == pytest.approx(1.0)
    assert m.majority_feature_cosine == 1.0
    # Every class mean is a nearest one.
    assert m.nc4 == 1.0
    assert m.phase == "partial"
    no_nan(m)


def test_zero_features_and_zero_classifier():
    m = measure(np.zeros((6, 2)), np.repeat([0, 1, 2], 2), classifier=np.zeros((3, 2)))
    assert m.nc1 is m.cdnv is m.equinorm_cv is m.classifier_equinorm_cv is m.classifier_equiangle_cv is None
    assert m.classifier_equiangle_std is None
    assert m.etf_error == m.classifier_etf_error == pytest.approx(1.0)
    assert m.self_duality_error == 0.0
    assert m.majority_cosine == 1.0
    assert m.phase == "total"
    no_nan(m)


def test_one_sample_a_class():
    etf = simplex_etf(4, seed=0)
    m = measure(etf.T, np.arange(4), classifier=etf.T)
    assert m.nc1 == m.trace_quotient == m.cdnv == 0.0
    assert m.etf_error < 1e-13
    no_nan(m)


def test_minority_collapse():
    majority = 4 * simplex_etf(4, dim=5, seed=1).T
    w = np.vstack([majority, np.tile(np.linalg.svd(majority)[2][-1], (2, 1))])
    y = np.repeat(np.arange(6), [8, 8, 8, 8, 2, 2])
    m = measure(w[y], y, classifier=w)
    assert m.minority_cosine == pytest.approx(1.0, abs=1e-13)
    assert m.minority_feature_cosine == pytest.approx(1.0, abs=1e-13)
    assert m.majority_cosine == pytest.approx(-1 / 3)
    assert m.group_scales == pytest.approx((16 * 4 / 3, 0.0))
    assert m.phase == "partial"
    # Two class means coincide: their distance cannot normalise a variance, and either is the nearest.
    assert m.cdnv is None
    assert m.nc1 == pytest.approx(0.0, abs=1e-25)
    assert m.nc4 == 1.0
    total = w.copy()
    total[4:] = 0
    assert measure(total[y], y, classifier=total).phase == "total"
    no_nan(m)


def test_tolerance_of_the_phase():
    etf = simplex_etf(4)
    w = np.vstack([etf.T, [0, 0, 0, 0], [0, 0, 0, 0]])
    w = np.hstack([w, [[0], [0], [0], [0], [0.02], [-0.02]]])
    y = np.repeat(np.arange(6), [4, 4, 4, 4, 1, 1])
    assert measure(w[y], y, classifier=w).phase == "total"
    assert measure(w[y], y, classifier=w, tolerance=1e-5).phase == "none"
    assert measure(w[y], y, classifier=w, tolerance=0.0).phase == "none"


def test_logits_shared_by_all_classes_are_no_evidence():
    # What is added to all logits of a sample changes no probability: it must not make the rest look small.
    x, y, w, b = sample(16, counts=(5, 5, 5, 2, 2))
    same(measure(x, y, classifier=w, bias=b + 1e4).to_dict(), measure(x, y, classifier=w, bias=b).to_dict())
    constant = np.full((len(x), 1), 1e4), np.full((5, 1), 1e4)
    shifted = measure(np.hstack([x, constant[0]]), y, classifier=np.hstack([w, constant[1]]))
    assert shifted.phase == measure(x, y, classifier=w).phase == "none"


def test_phase_does_not_depend_on_scale():
    x, y, w, _ = sample(16, counts=(5, 5, 5, 2, 2))
    w[3:] = w[3]
    x[y >= 3] = x[y >= 3][0]
    noise = 1e-6 * np.random.default_rng(0).standard_normal(x.shape)
    for scale in (1e-8, 1.0, 1e8):
        assert measure(scale * (x + noise), y, classifier=w).phase == "partial"


def test_round_off_in_coinciding_means():
    rng = np.random.default_rng(17)
    means = rng.standard_normal((3, 3)) + 0.1
    means[:, 1] = means[:, 0] * (1 + 1e-15)
    x = means[:, 0] + 0.01 * rng.standard_normal((50, 3))
    assert nearest_mean_agreement(x, means, np.zeros(50, dtype=int)) == 1.0
    assert nearest_mean_agreement(x, means, np.ones(50, dtype=int)) == 1.0
    assert nearest_mean_agreement(x, means, np.full(50, 2)) == 0.0
    means = np.array([[1.0, 1.0 + 2e-16, -1.0], [0.1, 0.1, 0.3]])
    assert cdnv([0.1, 0.1, 0.1], means) is None
    means[0, 1] = 1.0 + 1e-5
    assert nearest_mean_agreement(means.T, means, [1, 0, 2]) == pytest.approx(1 / 3)
    means[0, 1] = 1.0 + 1e-9
    assert cdnv([0.1, 0.1, 0.1], means) > 1e15


def test_equal_samples_have_no_spread():
    x = np.tile([0.1, 1 / 3, 1e3], (3001, 1))
    statistics = FeatureStatistics(2).update(x, np.arange(3001) % 2)
    assert statistics.class_variances.max() < 1e-30
    np.testing.assert_allclose(statistics.means[:, 0], x[0], rtol=3e-16)


@pytest.mark.parametrize("scale", [1e-320, 1e-200, 1e-100, 1e-30, 1e30, 1e60])
def test_extreme_scales(scale):
    x, y, w, _ = sample(17)
    m = measure(scale * x, y, classifier=w)
    no_nan(m)
    if scale > 1e-150:
        assert m.nc1 == pytest.approx(measure(x, y).nc1, rel=1e-9)
        assert m.cdnv == pytest.approx(measure(x, y).cdnv, rel=1e-9)
    if scale > 1e-300:
        assert m.etf_error == pytest.approx(measure(x, y).etf_error, rel=1e-9)
    no_nan(measure(x, y, classifier=scale * w))


def test_known_values():
    # Two classes at +-1 on a line, samples at distance 1/2 from their means.
    m = measure(np.array([[0.5], [1.5], [-0.5], [-1.5]]), np.array([0, 0, 1, 1]))
    assert m.nc1 == pytest.approx(0.25 / 1 / 2)
    assert m.trace_quotient == pytest.approx(0.25)
    assert m.cdnv == pytest.approx((0.25 + 0.25) / (2 * 4))
    assert m.nc4 is m.self_duality_error is m.phase is m.minority_cosine is m.group_scales is None


def test_s_w_counts_samples_and_s_b_classes():
    # Class 0 has three samples of variance 2/3, class 1 one without: S_W = 3/4 * 2/3, S_B unweighted = 1.
    m = measure(np.array([[0.0], [1.0], [2.0], [-1.0]]), np.array([0, 0, 0, 1]))
    assert m.trace_quotient == pytest.approx(0.5)


# What may be passed -----------------------------------------------------------------------------------------------


def test_torch_tensors():
    torch = pytest.importorskip("torch")
    x, y, w, b = sample(18)
    expected = measure(x, y, classifier=w, bias=b).to_dict()
    tensors = [torch.tensor(a, requires_grad=a.dtype.kind == "f") for a in (x, y, w, b)]
    same(measure(*tensors[:2], classifier=tensors[2], bias=tensors[3]).to_dict(), expected, 1e-12)
    layer = torch.nn.Linear(6, 4, dtype=torch.float64)
    with torch.no_grad():
        layer.weight.copy_(tensors[2])
        layer.bias.copy_(tensors[3])
    loader = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(tensors[0].detach(), tensors[1]), batch_size=4, shuffle=True
    )
    same(measure(loader, classifier=layer.weight, bias=layer.bias).to_dict(), expected, 1e-11)
    for dtype, tol in ((torch.float32, 1e-5), (torch.float16, 0.05), (torch.bfloat16, 0.2)):
        assert measure(tensors[0].to(dtype), tensors[1].int()).nc1 == pytest.approx(expected["nc1"], rel=tol)
    predictions = (tensors[0] @ tensors[2].T + tensors[3]).argmax(1)
    assert measure(*tensors[:2], predictions=predictions).nc4 == expected["nc4"]


def test_float32_is_converted_before_it_is_summed():
    x, y, _, _ = sample(19, counts=(2000, 2000), spread=1e-3, offset=100.0)
    x = x.astype(np.float32)
    assert measure(x, y).nc1 == pytest.approx(measure(x.astype(np.float64), y).nc1, rel=1e-12)


def test_other_arguments():
    x, y, w, b = sample(20)
    full = measure(x, y, classifier=w, bias=b)
    batches = [(x[:9], y[:9]), [x[9:], y[9:]]]
    once = measure(iter(batches), classifier=w, bias=b)
    assert once.nc4 is None
    assert once.nc4_by_class is None
    same(dataclasses.replace(once, nc4=full.nc4, nc4_by_class=full.nc4_by_class).to_dict(), full.to_dict(), 1e-11)
    assert measure(batches, num_classes=4).nc4 is None
    assert measure(batches, prior=ufm.ClassPrior.balanced(4)).groups == ((0, 1, 2, 3),)
    predictions = (x @ w.T + b).argmax(axis=1)
    assert measure(x, y, predictions=predictions).nc4 == full.nc4
    assert measure(x, y, classifier=w, bias=b, predictions=(predictions + 1) % 4).nc4 != full.nc4
    assert measure(x.tolist(), y.tolist(), classifier=w.tolist(), bias=b.tolist()) == full
    assert measure((5 * x).astype(int), y.astype(np.uint8)).num_classes == 4
    assert measure(x, y, num_minority=1).groups == ((0, 1, 2), (3,))
    assert ufm.measure is measure


def test_presentation():
    x, y, w, b = sample(21, counts=(6, 6, 2, 2))
    m = measure(x, y, classifier=w, bias=b)
    text = str(m)
    assert "16 samples, 4 classes, 6 features" in text
    for label, value in (("NC1", m.nc1), ("NC3", m.self_duality_error), ("CDNV", m.cdnv), ("NC4", m.nc4)):
        assert any(label in line and f"{value:.6g}" in line for line in text.splitlines()), label
    assert f"{m.group_scales[1]:.6g}" in text
    assert "2..3" in text
    columns = {line.rindex("  ") for line in text.splitlines()[1:]}
    assert len(columns) == 1
    bare = str(measure(x, y))
    assert "NC3  self-duality error" in bare
    assert "None" not in bare
    assert "nan" not in bare
    rich = pytest.importorskip("rich.console")
    console = rich.Console(width=100, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(m)
    assert f"{m.nc1:.6g}" in console.export_text()
    assert json.loads(json.dumps(m.to_dict())) == m.to_dict()
    assert set(m.to_dict()) == {f.name for f in dataclasses.fields(Measures)}
    with pytest.raises(dataclasses.FrozenInstanceError):
        m.nc1 = 0.0


def test_no_torch_at_import():
    code = "import sys, ufm.measures, ufm.geometry; print([m for m in ('torch', 'cvxpy', 'rich') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_no_minority_in_balanced_data():
    x, y, w, b = sample(23, counts=(4, 4, 4, 4))
    m = measure(x, y, classifier=w, bias=b)
    assert m.groups == ((0, 1, 2, 3),)
    assert m.minority_cosine is m.minority_feature_cosine is None
    assert m.majority_cosine is not None
    assert any("minority cosine" in line and line.endswith(" -") for line in str(m).splitlines())
    assert measure(x, y, classifier=w, bias=b, num_minority=2).minority_cosine is not None


def test_a_batch_costs_a_product_of_its_own_rows():
    k, d, n = 500, 32, 10
    rng = np.random.default_rng(24)
    x, y = rng.standard_normal((k + n, d)), np.concatenate([np.arange(k), np.arange(n)])
    statistics = FeatureStatistics(k).update(x[:k], y[:k])
    statistics.update(x[k : k + n], y[k : k + n])
    assert sum(map(len, statistics._rows)) <= 2 * n  # and not k
    agrees(statistics, x, y, k, 1e-12)


def test_near_means_do_not_cancel():
    rng = np.random.default_rng(25)
    means, v = rng.standard_normal((300, 40)), rng.random(40)
    means[:, 1:20] = means[:, :1] + 1e-7 * rng.standard_normal((300, 19))
    pairs = list(itertools.combinations(range(40), 2))
    naive = [(v[i] + v[j]) / (2 * ((means[:, i] - means[:, j]) ** 2).sum()) for i, j in pairs]
    assert cdnv(v, means) == pytest.approx(sum(naive) / len(naive), rel=1e-12)


class Once:
    """An iterable that is empty, or shorter, when gone through again."""

    def __init__(self, *passes):
        self.passes = list(passes)

    def __iter__(self):
        return iter(self.passes.pop(0))


class Network:
    """Something to be called that can be iterated over too, as torch.nn.Sequential."""

    def __call__(self, x):
        return x

    def __iter__(self):
        return iter([])


def test_a_second_pass_over_other_samples_is_no_nc4():
    x, y, w, b = sample(26)
    assert measure(Once([(x, y)], []), classifier=w, bias=b).nc4 is None
    with pytest.raises(ValueError, match="features must give the same samples each time, got 19 and then 9"):
        measure(Once([(x, y)], [(x[:9], y[:9])]), classifier=w, bias=b)


X, Y, W, B = sample(22)
MASKED = np.ma.array(X, mask=X[0, 0] == X)
BAD = [
    (lambda: measure(MASKED, Y), TypeError, "features must have no masked entries"),
    (lambda: measure([(X, Y), (MASKED, Y)], num_classes=4), TypeError, "features must have no masked entries"),
    (lambda: measure([MASKED[0], *X[1:]], Y), TypeError, "features must have no masked entries"),
    (lambda: measure(X, np.ma.array(Y, mask=Y == 2)), TypeError, "labels must have no masked entries, got 4"),
    (lambda: measure(X, Y, classifier=np.ma.array(W, mask=W > 0)), TypeError, "classifier must have no masked"),
    (lambda: measure(X, Y, classifier=W, bias=np.ma.array(B, mask=B > 0)), TypeError, "bias must have no masked"),
    (lambda: measure(X, Y, predictions=np.ma.array(Y, mask=Y == 2)), TypeError, "predictions must have no masked"),
    (lambda: nc1(np.ma.array(np.eye(6), mask=np.eye(6)), X.T), TypeError, "within_covariance must have no masked"),
    (lambda: cdnv([1.0, 1.0], np.ma.array(np.eye(2), mask=np.eye(2))), TypeError, "means must have no masked"),
    (lambda: equinorm_cv(np.ma.array(np.eye(2), mask=np.eye(2))), TypeError, "vectors must have no masked"),
    (lambda: measure(lambda x: x, [(X, Y)]), TypeError, "features must be what a network gives .* got a function"),
    (lambda: measure(Network(), [(X, Y)]), TypeError, "features must be what a network gives .* got a Network"),
    (lambda: measure(Network()), TypeError, "features must be what a network gives .* got a Network"),
    (lambda: measure([(X, Y)], [(X, Y)]), ValueError, "features must be an array of numbers, got list"),
    (lambda: measure(X, Network()), TypeError, "labels must be integers, got Network"),
    (lambda: measure(X, [[0], [0, 1]]), ValueError, "labels must be an array of numbers, got list"),
    (lambda: measure(X, Y[:-1]), ValueError, "labels must have as many entries as features has rows, 19, got 18"),
    (lambda: measure(X, np.where(Y == 2, 1, Y)), ValueError, "labels must hold every class 0..3, got no sample of 2"),
    (lambda: measure(X, Y, num_classes=5), ValueError, "no sample of 4"),
    (lambda: measure(X, Y, num_classes=3), ValueError, "labels must be between 0 and 2"),
    (lambda: measure(X, Y - 1), ValueError, "labels must be >= 0"),
    (lambda: measure(X, Y.astype(float)), TypeError, "labels must be integers"),
    (lambda: measure(X, Y.astype(bool)), TypeError, "labels must be integers"),
    (lambda: measure(X, Y.astype(str)), TypeError, "labels must be integers"),
    (lambda: measure(X, np.eye(4, dtype=int)[Y]), ValueError, r"labels must have shape \(n,\)"),
    (lambda: measure(X, 0 * Y), ValueError, "labels must have at least 2 classes"),
    (lambda: measure(X * np.nan, Y), ValueError, "features must be finite"),
    (lambda: measure(X / np.where(X[3, 3] == X, 0.0, 1.0), Y), ValueError, "features must be finite"),
    (lambda: measure(1e80 * X, Y), ValueError, "features must be finite and at most"),
    (lambda: measure(X.astype(complex), Y), TypeError, "features must be real"),
    (lambda: measure(X.astype(str), Y), TypeError, "features must be real"),
    (lambda: measure(X > 0, Y), TypeError, "features must be real"),
    (lambda: measure(X[0], Y), ValueError, r"features must have shape \(n, d\)"),
    (lambda: measure(X.reshape(19, 3, 2), Y), ValueError, r"features must have shape \(n, d\)"),
    (lambda: measure(X[:, :0], Y), ValueError, "features must have shape"),
    (lambda: measure(X[:0], Y[:0]), ValueError, "features must hold at least one sample"),
    (lambda: measure(X), TypeError, "labels must be given"),
    (lambda: measure(None), TypeError, "labels must be given"),
    (lambda: measure("ab"), TypeError, "labels must be given"),
    (lambda: measure([(X, Y, Y)], num_classes=4), TypeError, r"features must give \(features, labels\) batches"),
    (lambda: measure([X], num_classes=4), TypeError, "features must give"),
    (lambda: measure([(X, Y)]), ValueError, "num_classes must be given"),
    (lambda: measure([], num_classes=2), ValueError, "no sample of 0, 1"),
    (lambda: measure([], classifier=W), ValueError, "no sample of 0, 1, 2, 3"),
    (lambda: measure([(X, Y), (X[:, :2], Y)], num_classes=4), ValueError, "features must have d = 6"),
    (lambda: measure([(X, Y)], num_classes=4, predictions=Y), ValueError, "predictions must be left out"),
    (lambda: measure(X, Y, classifier=W.T), ValueError, "number of classes|no sample|classifier"),
    (lambda: measure(X, Y, classifier=W[:, :3]), ValueError, r"classifier must have shape \(K, d\) = \(4, 6\)"),
    (lambda: measure(X, Y, classifier=W[0]), ValueError, "classifier"),
    (lambda: measure(X, Y, classifier=W * np.inf), ValueError, "classifier must be finite"),
    (lambda: measure(X, Y, classifier="W"), TypeError, "classifier must be real"),
    (lambda: measure(X, Y, classifier=W, bias=B[:3]), ValueError, r"bias must have shape \(K,\)"),
    (lambda: measure(X, Y, classifier=W, bias=B * np.nan), ValueError, "bias must be finite"),
    (lambda: measure(X, Y, bias=B), ValueError, "bias must come with a classifier"),
    (lambda: measure(X, Y, predictions=Y[:-1]), ValueError, "predictions must have as many"),
    (lambda: measure(X, Y, predictions=Y + 1), ValueError, "predictions must be between 0 and 3"),
    (lambda: measure(X, Y, predictions=X), TypeError, "predictions must be integers"),
    (lambda: measure(X, Y, num_classes=1), ValueError, "num_classes"),
    (lambda: measure(X, Y, num_classes="4"), TypeError, "num_classes"),
    (
        lambda: measure(X, Y, num_classes=4, prior=ufm.ClassPrior.balanced(3)),
        ValueError,
        "number of classes must be one",
    ),
    (lambda: measure(X, Y, prior=[1, 2, 3, 4]), TypeError, "prior must be"),
    (lambda: measure(X, Y, num_minority=0), ValueError, "num_minority"),
    (lambda: measure(X, Y, num_minority=4), ValueError, "num_minority"),
    (lambda: measure(X, Y, num_minority=1.5), ValueError, "num_minority"),
    (
        lambda: measure(X, Y, num_minority=1, prior=ufm.ClassPrior.balanced(4)),
        ValueError,
        "num_minority must be left out",
    ),
    (lambda: measure(X, Y, tolerance=-1.0), ValueError, "tolerance"),
    (lambda: measure(X, Y, tolerance="x"), TypeError, "tolerance"),
    (lambda: FeatureStatistics(1), ValueError, "num_classes"),
    (lambda: FeatureStatistics(4).update(X, Y).merge(FeatureStatistics(3)), ValueError, "other must have 4 classes"),
    (lambda: FeatureStatistics(4).merge(None), TypeError, "other must be FeatureStatistics"),
    (
        lambda: FeatureStatistics(4).update(X, Y).merge(FeatureStatistics(4).update(X[:, :2], Y)),
        ValueError,
        "other must have d = 6",
    ),
    (lambda: Measures.of(None), TypeError, "statistics must be"),
    (
        lambda: Measures.of(FeatureStatistics(4).update(X, Y), prior=ufm.ClassPrior([1, 2])),
        ValueError,
        "prior must have 4",
    ),
    (lambda: nc1(np.eye(2), X.T), ValueError, r"within_covariance must have shape \(d, d\)"),
    (lambda: nc1(np.eye(6) * np.nan, X.T), ValueError, "within_covariance must be finite"),
    (lambda: trace_quotient(np.eye(6), X.T * np.nan), ValueError, "means must be finite"),
    (lambda: cdnv([1.0, -1.0], np.eye(2)), ValueError, "class_variances must be >= 0"),
    (lambda: cdnv([1.0], np.eye(2)), ValueError, "class_variances must have shape"),
    (lambda: cdnv([1.0], np.ones((2, 1))), ValueError, "means must have at least 2"),
    (lambda: equinorm_cv(np.zeros((0, 2))), ValueError, "vectors"),
    (lambda: equiangle_cv(np.ones((2, 1))), ValueError, "vectors must have at least 2"),
    (lambda: equiangle_std(np.ones(3)), ValueError, "vectors"),
    (lambda: nearest_mean_agreement(X, np.eye(3), 0 * Y), ValueError, "features must have d = 3"),
    (lambda: nearest_mean_agreement(X[:0], W.T, Y[:0]), ValueError, "features must hold at least one sample"),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message), np.errstate(all="ignore"):
        call()
