"""Frames against naive constructions, and wrong constructions that the same checks must catch."""

import math

import numpy as np
import pytest
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st

import ufm
from ufm.geometry import (
    general_orthogonal_frame,
    orthogonal_frame,
    random_isometry,
    seli,
    simplex_etf,
    simplex_etf_gram,
)

laws = settings(derandomize=True, max_examples=examples(30), deadline=None)
classes = st.integers(2, 9)
seeds = st.none() | st.integers(0, 2**32)


def close(a, b, tol=1e-12):
    np.testing.assert_allclose(a, b, rtol=tol, atol=tol)


def naive_etf_gram(k):
    return np.array([[1.0 if i == j else -1.0 / (k - 1) for j in range(k)] for i in range(k)])


def check_etf(etf, gram):
    for k in (2, 3, 7):
        for dim in (None, k - 1, k, k + 4):
            for seed in (None, 5):
                m = etf(k, dim=dim, seed=seed)
                assert m.shape == (k if dim is None else dim, k)
                close(m.T @ m, naive_etf_gram(k))
                close(m.sum(axis=1), 0)
        close(gram(k), naive_etf_gram(k))


def test_simplex_etf():
    check_etf(simplex_etf, simplex_etf_gram)


def test_default_etf_is_the_symmetric_one():
    close(simplex_etf(4), math.sqrt(4 / 3) * (np.eye(4) - 0.25))


@pytest.mark.parametrize(
    "mutant",
    [
        lambda k, dim=None, seed=None: simplex_etf(k, dim=dim, seed=seed) * math.sqrt((k - 1) / k),
        lambda k, dim=None, seed=None: simplex_etf(k, dim=dim, seed=seed) + 1e-6,
        lambda k, dim=None, seed=None: np.eye(k if dim is None else dim)[:, :k],
        lambda k, dim=None, seed=None: np.vstack([simplex_etf(k, dim=dim, seed=seed), np.zeros((1, k))]),
    ],
    ids=["not-unit", "off-centre", "orthogonal", "extra-dimension"],
)
def test_wrong_etf_is_caught(mutant):
    with pytest.raises((AssertionError, ValueError)):
        check_etf(mutant, simplex_etf_gram)


@pytest.mark.parametrize("mutant", [lambda k: np.eye(k) - 1 / k, lambda k: k / (k - 1) * np.eye(k) - 1 / k])
def test_wrong_etf_gram_is_caught(mutant):
    with pytest.raises(AssertionError):
        check_etf(simplex_etf, mutant)


@laws
@given(classes, st.integers(0, 3), seeds)
def test_orthogonal_frame(k, extra, seed):
    m = orthogonal_frame(k, dim=k + extra, seed=seed)
    assert m.shape == (k + extra, k)
    close(m.T @ m, np.eye(k))


@laws
@given(st.lists(st.just(0.0) | st.floats(1e-3, 1e3), min_size=2, max_size=7), seeds)
def test_general_orthogonal_frame(lengths, seed):
    present = sum(x > 0 for x in lengths)
    for dim in (None, max(1, present)):
        m = general_orthogonal_frame(lengths, dim=dim, seed=seed)
        assert m.shape == (len(lengths) if dim is None else dim, len(lengths))
        close(m.T @ m, np.diag(np.square(lengths)), 1e-9)
    if present > 1:
        with pytest.raises(ValueError, match="dim must be"):
            general_orthogonal_frame(lengths, dim=present - 1)


@pytest.mark.parametrize(
    "frame",
    [
        lambda seed: simplex_etf(4, seed=seed),
        lambda seed: orthogonal_frame(4, seed=seed),
        lambda seed: general_orthogonal_frame([1, 2, 3], seed=seed),
        lambda seed: seli(ufm.ClassPrior([5, 3, 2]), seed=seed).features,
    ],
)
def test_seeds(frame):
    assert np.array_equal(frame(3), frame(3))
    assert np.array_equal(frame(3), frame(np.random.default_rng(3)))
    assert not np.allclose(frame(3), frame(4))
    rng = np.random.default_rng(0)
    assert not np.allclose(frame(rng), frame(rng))


def haar_mean(isometry):
    return np.mean([isometry(3, 3, s) for s in range(400)], axis=0)


def test_rotations_have_no_preferred_direction():
    # Each entry has variance 1/3, so that the mean of 400 has standard deviation 0.029.
    assert np.abs(haar_mean(random_isometry)).max() < 0.12


def test_isometry_without_sign_correction_is_caught():
    def mutant(d, r, seed):
        return np.linalg.qr(np.random.default_rng(seed).standard_normal((d, r)))[0]

    assert np.abs(haar_mean(mutant)).max() > 0.12


# SELI -------------------------------------------------------------------------------------------------------------


def naive_seli(counts):
    """Gram matrices from the decomposition of the whole K x N label matrix, as the definition has it."""
    k = len(counts)
    labels = [c for c in range(k) for _ in range(counts[c])]
    z = np.array([[(1.0 if c == y else 0.0) - 1 / k for y in labels] for c in range(k)])
    v, s, ut = np.linalg.svd(z, full_matrices=False)
    return v @ np.diag(s) @ v.T, ut.T @ np.diag(s) @ ut, z


def check_seli(implementation):
    for counts in ([3, 3, 3], [5, 2], [7, 4, 2, 1], [6, 6, 1, 1, 1]):
        w_gram, h_gram, z = naive_seli(counts)
        for dim in (None, len(counts) - 1, len(counts) + 2):
            for seed in (None, 1):
                g = implementation(ufm.ClassPrior(counts), dim=dim, seed=seed)
                d = len(counts) if dim is None else dim
                assert g.classifier.shape == (len(counts), d)
                assert g.features.shape == (d, len(counts))
                close(g.classifier_gram, w_gram)
                close(g.sample_features.T @ g.sample_features, h_gram)
                close(g.classifier @ g.sample_features, z)
                close(g.feature_gram, g.features.T @ g.features)
                close(g.logits, np.eye(len(counts)) - 1 / len(counts))


def test_seli_is_the_decomposition_of_the_label_matrix():
    check_seli(seli)


@pytest.mark.parametrize("power", [0.0, 0.5, 2.0], ids=["balanced", "root-counts", "squared-counts"])
def test_seli_of_other_counts_is_caught(power):
    def mutant(prior, **kwargs):
        wrong = seli(ufm.ClassPrior(prior.counts**power), **kwargs)
        return ufm.geometry.SELI(prior, wrong.classifier, wrong.features)

    with pytest.raises(AssertionError):
        check_seli(mutant)


def test_unbalanced_factors_are_caught():
    def mutant(prior, **kwargs):
        g = seli(prior, **kwargs)
        return ufm.geometry.SELI(prior, 2 * g.classifier, g.features / 2)

    with pytest.raises(AssertionError):
        check_seli(mutant)


def test_default_seli_classifier_is_symmetric():
    w = seli(ufm.ClassPrior([9, 4, 1])).classifier
    close(w, w.T)


@laws
@given(classes, st.floats(0.1, 100))
def test_seli_of_balanced_classes_is_the_etf(k, count):
    g = seli(ufm.ClassPrior.balanced(k, count))
    for gram in (g.classifier_gram, g.feature_gram):
        close(gram / np.linalg.norm(gram), naive_etf_gram(k) / np.linalg.norm(naive_etf_gram(k)))


@laws
@given(st.lists(st.floats(0.5, 200), min_size=2, max_size=6), st.floats(0.1, 50), st.randoms())
def test_seli_scales_and_permutes_with_the_counts(counts, factor, random):
    g = seli(ufm.ClassPrior(counts))
    scaled = seli(ufm.ClassPrior([factor * n for n in counts]))
    close(scaled.classifier_gram, math.sqrt(factor) * g.classifier_gram, 1e-9)
    close(scaled.feature_gram, g.feature_gram / math.sqrt(factor), 1e-9)
    order = list(range(len(counts)))
    random.shuffle(order)
    permuted = seli(ufm.ClassPrior([counts[c] for c in order]))
    close(permuted.classifier_gram, g.classifier_gram[np.ix_(order, order)], 1e-9)
    close(permuted.feature_gram, g.feature_gram[np.ix_(order, order)], 1e-9)


@laws
@given(st.lists(st.floats(0.5, 200), min_size=2, max_size=6))
def test_seli_splits_the_nuclear_norm_evenly(counts):
    g = seli(ufm.ClassPrior(counts))
    nuclear = np.linalg.norm(g.logits * np.sqrt(counts), "nuc")
    close([(g.classifier**2).sum(), (g.features**2 * counts).sum()], nuclear, 1e-10)


# Bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "error", "name"),
    [
        (lambda: simplex_etf(1), ValueError, "num_classes"),
        (lambda: simplex_etf(2.5), ValueError, "num_classes"),
        (lambda: simplex_etf("3"), TypeError, "num_classes"),
        (lambda: simplex_etf(5, dim=3), ValueError, "dim"),
        (lambda: simplex_etf(5, seed=-1), ValueError, "seed"),
        (lambda: simplex_etf(5, seed="x"), TypeError, "seed"),
        (lambda: simplex_etf(5, seed=True), TypeError, "seed"),
        (lambda: simplex_etf_gram(1), ValueError, "num_classes"),
        (lambda: orthogonal_frame(1), ValueError, "num_classes"),
        (lambda: orthogonal_frame(4, dim=3), ValueError, "dim"),
        (lambda: orthogonal_frame(4, seed=1.5), TypeError, "seed"),
        (lambda: general_orthogonal_frame([1.0]), ValueError, "lengths"),
        (lambda: general_orthogonal_frame([]), ValueError, "lengths"),
        (lambda: general_orthogonal_frame([1.0, -2.0]), ValueError, "lengths"),
        (lambda: general_orthogonal_frame([1.0, math.nan]), ValueError, "lengths"),
        (lambda: general_orthogonal_frame([1.0, math.inf]), ValueError, "lengths"),
        (lambda: general_orthogonal_frame([1.0, "a"]), TypeError, "lengths"),
        (lambda: general_orthogonal_frame("12"), TypeError, "lengths"),
        (lambda: general_orthogonal_frame(3), TypeError, "lengths"),
        (lambda: general_orthogonal_frame(np.ones((2, 2))), ValueError, "lengths"),
        (lambda: seli([3, 2]), TypeError, "prior"),
        (lambda: seli(ufm.ClassPrior([3, 2, 1]), dim=1), ValueError, "dim"),
        (lambda: seli(ufm.ClassPrior([3, 2, 1]), seed=-2), ValueError, "seed"),
        (lambda: seli(ufm.ClassPrior([3, 2.5])).sample_features, ValueError, "integer counts"),
        (lambda: random_isometry(2, 3, 0), ValueError, "rank"),
        (lambda: random_isometry(3, 2, None), TypeError, "seed"),
    ],
)
def test_bad_input(call, error, name):
    with pytest.raises(error, match=name):
        call()
