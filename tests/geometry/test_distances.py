"""Distances against loops and brute force; each law also has to reject wrong formulas."""

import math

import numpy as np
import pytest
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import orthogonal_procrustes

from ufm.geometry import (
    centred,
    cosine_matrix,
    etf_error,
    general_orthogonal_frame,
    gof_error,
    gram_distance,
    mean_pairwise_cosine,
    orthogonal_frame,
    procrustes_distance,
    random_isometry,
    self_duality_error,
    simplex_etf,
)

laws = settings(derandomize=True, max_examples=examples(30), deadline=None)


@st.composite
def matrices(draw, min_rows=1, min_columns=2):
    d, k = draw(st.integers(min_rows, 6)), draw(st.integers(min_columns, 6))
    return np.random.default_rng(draw(st.integers(0, 2**32))).standard_normal((d, k))


def frobenius(a):
    return math.sqrt(sum(float(x) ** 2 for row in a for x in row))


def naive_gram(m):
    d, k = m.shape
    return np.array([[sum(m[r, i] * m[r, j] for r in range(d)) for j in range(k)] for i in range(k)])


def naive_centred(m):
    d, k = m.shape
    return np.array([[m[r, j] - sum(m[r]) / k for j in range(k)] for r in range(d)])


def naive_gram_distance(m, f):
    g, g0 = naive_gram(m), naive_gram(f)
    return frobenius(g / frobenius(g) - g0 / frobenius(g0))


def naive_etf_error(m, centre=True):
    k = m.shape[1]
    etf = np.array([[(1 if i == j else 0) - 1 / k for j in range(k)] for i in range(k)]) / math.sqrt(k - 1)
    g = naive_gram(naive_centred(m) if centre else m)
    return frobenius(g / frobenius(g) - etf)


# Against naive formulas -------------------------------------------------------------------------------------------


def check_gram_distance(distance):
    rng = np.random.default_rng(0)
    for d, d0, k in ((3, 3, 3), (5, 2, 4), (2, 6, 3)):
        m, f = rng.standard_normal((d, k)), rng.standard_normal((d0, k))
        assert distance(m, f) == pytest.approx(naive_gram_distance(m, f), abs=1e-13)
    assert distance(3 * simplex_etf(5, dim=7, seed=1), simplex_etf(5)) < 1e-14


def check_etf_error(error):
    rng = np.random.default_rng(1)
    for d, k in ((3, 3), (6, 4), (2, 5), (1, 2)):
        m = rng.standard_normal((d, k)) + 3.0
        assert error(m) == pytest.approx(naive_etf_error(m), abs=1e-13)
        assert error(m, centre=False) == pytest.approx(naive_etf_error(m, centre=False), abs=1e-13)
    for k in (2, 3, 10):
        # A common offset of the class means is no part of their geometry; of a classifier it is.
        assert error(simplex_etf(k, seed=k) + 2.0) < 1e-14
        assert error(simplex_etf(k, seed=k) + 2.0, centre=False) > 0.1


def check_self_duality(error):
    rng = np.random.default_rng(2)
    w, m = rng.standard_normal((4, 3)), rng.standard_normal((3, 4))
    assert error(w, m) == pytest.approx(frobenius(w / frobenius(w) - m.T / frobenius(m)), abs=1e-13)
    assert error(5 * m.T, m) < 1e-15
    assert error(-m.T, m) == pytest.approx(2.0)
    # Unlike the Gram distances this one sees a rotation of one of the two.
    assert error((random_isometry(3, 3, 7) @ m).T, m) > 0.1


def check_gof(error):
    rng = np.random.default_rng(3)
    assert error(general_orthogonal_frame([3, 2, 0, 1e-3], seed=4)) < 1e-14
    m = rng.standard_normal((5, 4))
    value = error(m)
    g = naive_gram(m)
    assert naive_gram_distance(m, np.diag(np.sqrt(np.diagonal(g)))) == pytest.approx(value, abs=1e-13)
    for _ in range(300):
        lengths = np.sqrt(np.diagonal(g)) * np.exp(0.3 * rng.standard_normal(4))
        assert value <= naive_gram_distance(m, np.diag(lengths)) + 1e-13


def check_procrustes(distance):
    rng = np.random.default_rng(4)
    for d, k in ((2, 2), (2, 5), (4, 3), (3, 3)):
        m, f = rng.standard_normal((d, k)), rng.standard_normal((d, k))
        m, f = m / frobenius(m), f / frobenius(f)
        cosine = orthogonal_procrustes(f.T, m.T)[1]
        assert distance(m, f) == pytest.approx(math.sqrt(1 - cosine**2), abs=1e-12)
        for _ in range(50):
            q = random_isometry(d, d, rng)
            c = max(0.0, float((m * (q @ f)).sum()))
            assert distance(m, f) <= frobenius(m - c * q @ f) + 1e-12
    assert distance(3 * simplex_etf(5, dim=7, seed=1), simplex_etf(5, dim=4)) < 1e-14
    # A reflection is allowed: the Gram matrix does not see it either.
    assert distance(np.diag([1.0, -1.0]) @ f[:2], f[:2]) < 1e-14


CHECKS = {
    check_gram_distance: gram_distance,
    check_etf_error: etf_error,
    check_self_duality: self_duality_error,
    check_gof: gof_error,
    check_procrustes: procrustes_distance,
}


@pytest.mark.parametrize("check", CHECKS, ids=lambda c: c.__name__)
def test_against_naive(check):
    check(CHECKS[check])


def unit(a):
    return a / np.linalg.norm(a)


def rotation_only(m, f):
    rows = max(len(m), len(f))
    m, f = (np.pad(unit(x), ((0, rows - len(x)), (0, 0))) for x in (m, f))
    p, _, rt = np.linalg.svd(m @ f.T)
    return frobenius(m - p @ rt @ f)


def proper_rotation(m, f):
    rows = max(len(m), len(f))
    m, f = (np.pad(unit(x), ((0, rows - len(x)), (0, 0))) for x in (m, f))
    p, s, rt = np.linalg.svd(m @ f.T)
    s[-1] *= np.sign(np.linalg.det(p @ rt))
    return math.sqrt(max(0.0, 1 - s.sum() ** 2))


@pytest.mark.parametrize(
    ("check", "mutant"),
    [
        (check_gram_distance, lambda m, f: np.linalg.norm(m.T @ m - f.T @ f)),
        (check_gram_distance, lambda m, f: np.linalg.norm(unit(m.T @ m) - unit(f.T @ f)) ** 2),
        (check_gram_distance, lambda m, f: np.linalg.norm(m.T @ m / np.trace(m.T @ m) - f.T @ f / np.trace(f.T @ f))),
        (check_etf_error, lambda m, centre=True: etf_error(m, centre=False)),
        (check_etf_error, lambda m, centre=True: etf_error(m, centre=True)),
        (check_etf_error, lambda m, centre=True: gram_distance(m - m.mean() if centre else m, simplex_etf(m.shape[1]))),
        (check_self_duality, lambda w, m: gram_distance(w.T, m)),
        (check_self_duality, lambda w, m: np.linalg.norm(w - m.T) / np.linalg.norm(m)),
        (check_self_duality, lambda w, m: min(self_duality_error(w, m), self_duality_error(-w, m))),
        (check_gof, lambda m: gram_distance(m, orthogonal_frame(m.shape[1]))),
        (check_gof, lambda m: gof_error(m) / math.sqrt(2)),
        (check_procrustes, rotation_only),
        (check_procrustes, proper_rotation),
        (check_procrustes, gram_distance),
    ],
)
def test_wrong_formulas_are_caught(check, mutant):
    with pytest.raises(AssertionError):
        check(mutant)


# Laws -------------------------------------------------------------------------------------------------------------


@laws
@given(matrices(), matrices(), st.floats(1e-3, 1e3), st.integers(0, 2**32))
def test_invariance(m, f, scale, seed):
    k = min(m.shape[1], f.shape[1])
    m, f = m[:, :k], f[:, :k]
    rng = np.random.default_rng(seed)
    turned = scale * random_isometry(len(m) + 2, len(m), rng) @ m
    order = rng.permutation(k)
    for distance in (gram_distance, procrustes_distance):
        value = distance(m, f)
        assert value == pytest.approx(distance(f, m), abs=1e-11)
        assert value == pytest.approx(distance(turned, f), abs=1e-11)
        assert value == pytest.approx(distance(m[:, order], f[:, order]), abs=1e-11)
    for error in (gof_error, etf_error):
        assert error(m) == pytest.approx(error(turned), abs=1e-11)
        assert error(m) == pytest.approx(error(m[:, order]), abs=1e-11)
    assert etf_error(m) == pytest.approx(etf_error(m + np.ones((len(m), 1))), abs=1e-11)


@laws
@given(matrices(), matrices())
def test_ranges(m, f):
    k = min(m.shape[1], f.shape[1])
    m, f = m[:, :k], f[:, :k]
    assert 0 <= gram_distance(m, f) <= math.sqrt(2) + 1e-12
    assert 0 <= procrustes_distance(m, f) <= 1
    assert 0 <= gof_error(m) < math.sqrt(2)
    assert 0 <= etf_error(m) <= math.sqrt(2) + 1e-12
    # Gram matrices of trace 1 differ by at most twice the residual, and their norms are at least 1/sqrt(K).
    assert gram_distance(m, f) <= 4 * math.sqrt(k) * procrustes_distance(m, f)


@pytest.mark.parametrize("size", [1e-4, 1e-8, 1e-12])
def test_accurate_near_zero(size):
    direction = np.random.default_rng(5).standard_normal((4, 4))
    direction -= direction.mean(axis=1, keepdims=True)
    m = simplex_etf(4) + size * direction
    off = np.eye(4) + size * direction
    for error in (
        gram_distance(m, simplex_etf(4)),
        procrustes_distance(m, simplex_etf(4)),
        etf_error(m),
        gof_error(off),
    ):
        assert 0.05 * size < error < 5 * size


@pytest.mark.parametrize("scale", [1e-300, 1e-160, 1e160, 1e300])
def test_extreme_scales(scale):
    m = simplex_etf(4, seed=1)
    assert etf_error(scale * m) < 1e-13
    assert gram_distance(scale * m, m) < 1e-13
    assert procrustes_distance(scale * m, m) < 1e-13
    assert gof_error(scale * np.eye(3)) < 1e-13
    assert self_duality_error(scale * m.T, m) < 1e-13
    np.testing.assert_allclose(cosine_matrix(scale * m), m.T @ m, atol=1e-13)


def test_zero_matrices_are_at_distance_one():
    zero, m = np.zeros((3, 4)), np.random.default_rng(6).standard_normal((3, 4))
    assert gram_distance(zero, m) == pytest.approx(1.0)
    assert gram_distance(m, zero) == pytest.approx(1.0)
    assert procrustes_distance(zero, m) == procrustes_distance(m, zero) == 1.0
    assert etf_error(zero) == pytest.approx(1.0)
    assert gof_error(zero) == 1.0
    assert self_duality_error(zero.T, m) == self_duality_error(m.T, zero) == pytest.approx(1.0)
    assert gram_distance(zero, zero) == procrustes_distance(zero, zero) == self_duality_error(zero.T, zero) == 0.0


@laws
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=5), st.integers(2, 9))
def test_coincident_means_are_zero_when_centred(mean, k):
    # 0.1 + 0.1 + 0.1 is not 0.3: without care the error would be that of the rounding.
    m = np.repeat(np.array(mean)[:, None], k, axis=1)
    assert not centred(m).any()
    assert etf_error(m) == pytest.approx(1.0)


def test_a_large_common_mean_does_not_hide_differences():
    assert etf_error(simplex_etf(4, seed=1) + 1e8) < 1e-6


@laws
@given(matrices())
def test_centred(m):
    np.testing.assert_allclose(centred(m), naive_centred(m), atol=1e-13)


def test_known_values():
    # An orthogonal frame is an ETF once centred; uncentred the distance of I/sqrt(K) to the ETF is known.
    assert etf_error(np.eye(5)) < 1e-14
    k = 5
    assert etf_error(np.eye(k), centre=False) == pytest.approx(math.sqrt(2 - 2 * math.sqrt((k - 1) / k)))
    # Antipodal vectors are the ETF of two classes.
    assert etf_error(np.array([[1.0, -1.0]])) < 1e-15


# Cosines ----------------------------------------------------------------------------------------------------------


def naive_cosine(x, y):
    nx, ny = math.sqrt(sum(x * x)), math.sqrt(sum(y * y))
    if nx == 0 or ny == 0:
        return 1.0 if nx == ny else 0.0
    return sum(x * y) / nx / ny


def check_cosines(cosines):
    rng = np.random.default_rng(7)
    for d, k in ((3, 5), (1, 3), (6, 2)):
        m = rng.standard_normal((d, k))
        m[:, 0] *= 1e-6
        m[:, -1] = 0
        naive = [[naive_cosine(m[:, i], m[:, j]) for j in range(k)] for i in range(k)]
        np.testing.assert_allclose(cosines(m), naive, atol=1e-13)
    m[:, 0] = 0
    np.testing.assert_array_equal(cosines(m), np.ones((2, 2)))


def test_cosine_matrix():
    check_cosines(cosine_matrix)
    m = np.array([[1.0, 1e-5, 2e-5], [0.0, 1e-5, -2e-5]])
    assert cosine_matrix(m)[1, 2] == pytest.approx(0.0)
    assert cosine_matrix(m, zero=1e-4)[1, 2] == 1.0
    lines = np.random.default_rng(8).standard_normal((100, 7))
    assert max(cosine_matrix(np.outer(x, [1, 3, -7])).max() for x in lines) == 1.0
    assert min(cosine_matrix(np.outer(x, [1, 3, -7])).min() for x in lines) == -1.0


def cosines_of_zero_vectors_are_zero(m):
    cosines = cosine_matrix(m)
    zero = ~m.any(axis=0)
    cosines[np.ix_(zero, zero)] = 0.0
    return cosines


@pytest.mark.parametrize(
    "mutant",
    [
        lambda m: m.T @ m,
        lambda m: np.nan_to_num(np.corrcoef(m.T)),
        lambda m: np.abs(cosine_matrix(m)),
        lambda m: cosine_matrix(m, zero=1e-3),
        cosines_of_zero_vectors_are_zero,
    ],
)
def test_wrong_cosines_are_caught(mutant):
    with pytest.raises(AssertionError), np.errstate(all="ignore"):
        check_cosines(mutant)


def test_mean_pairwise_cosine():
    cosines = np.array([[1.0, 0.1, 0.2], [0.1, 1.0, 0.6], [0.2, 0.6, 1.0]])
    assert mean_pairwise_cosine(cosines, (0, 1, 2)) == pytest.approx(0.3)
    assert mean_pairwise_cosine(cosines, (1, 2)) == pytest.approx(0.6)
    assert mean_pairwise_cosine(cosines, (1,)) is None
    assert mean_pairwise_cosine(np.ones((6, 6)), tuple(range(6))) == 1.0
    assert mean_pairwise_cosine(cosine_matrix(simplex_etf(6, seed=1)), (0, 2, 5)) == pytest.approx(-1 / 5)


# Bad input --------------------------------------------------------------------------------------------------------


M = np.ones((3, 4))


@pytest.mark.parametrize(
    ("call", "error", "name"),
    [
        (lambda: gram_distance(np.full((2, 2), np.nan), np.eye(2)), ValueError, "matrix must be finite"),
        (lambda: gram_distance(np.eye(2), np.full((2, 2), np.inf)), ValueError, "frame must be finite"),
        (lambda: gram_distance(np.eye(2), np.eye(3)), ValueError, "frame must have as many columns"),
        (lambda: gram_distance(np.ones(3), np.eye(3)), ValueError, "matrix"),
        (lambda: gram_distance("abc", np.eye(3)), TypeError, "matrix"),
        (lambda: procrustes_distance(np.eye(2) * 1j, np.eye(2)), TypeError, "matrix"),
        (lambda: procrustes_distance(np.eye(2), np.eye(3)), ValueError, "frame"),
        (lambda: gof_error(np.zeros((0, 3))), ValueError, "matrix"),
        (lambda: gof_error(np.zeros((3, 0))), ValueError, "matrix"),
        (lambda: etf_error(np.ones((3, 1))), ValueError, "at least 2 column"),
        (lambda: etf_error(np.array([["a", "b"]])), TypeError, "matrix"),
        (lambda: self_duality_error(M, M), ValueError, "classifier must have shape"),
        (lambda: self_duality_error(M.T * np.nan, M), ValueError, "classifier must be finite"),
        (lambda: self_duality_error(M.T, M * np.nan), ValueError, "means must be finite"),
        (lambda: centred(np.ones(3)), ValueError, "matrix"),
        (lambda: cosine_matrix(np.ones((2, 2), dtype=bool)), TypeError, "matrix"),
    ],
)
def test_bad_input(call, error, name):
    with pytest.raises(error, match=name):
        call()
