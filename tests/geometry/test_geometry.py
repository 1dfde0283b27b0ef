"""Geometry of factors whose phase, cosines and errors are known by construction."""

import json
import math

import numpy as np
import pytest
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st

import ufm
from ufm.architectures import Factors
from ufm.geometry import (
    Geometry,
    collapse,
    etf_error,
    group_scales,
    orthogonal_frame,
    random_isometry,
    self_duality_error,
    seli,
    simplex_etf,
)

laws = settings(derandomize=True, max_examples=examples(40), deadline=None)


def symmetric_logits(sizes, s, t):
    """``Z_ij = s_a [i = j] + t_ab`` for i in group a, j in group b, columns centred."""
    group = np.repeat(np.arange(len(sizes)), sizes)
    z = np.asarray(t, dtype=float)[np.ix_(group, group)] + np.diag(np.asarray(s, dtype=float)[group])
    return z - z.mean(axis=0)


def factors_of(logits, seed=0, extra=0):
    """Balanced factors in a random basis: W = U S^{1/2} Q^T, H = Q S^{1/2} V^T."""
    u, s, vt = np.linalg.svd(logits)
    q = random_isometry(len(s) + extra, len(s), seed)
    return Factors((u * np.sqrt(s)) @ q.T, q @ (np.sqrt(s)[:, None] * vt))


def step_case(phase, k_a=4, k_b=3):
    """Two-group logits of a given phase, in the order of ``ClassPrior.step``."""
    if phase == "none":
        return symmetric_logits([k_a, k_b], [2.0, 0.7], [[0.0, -1.0], [-1.5, -0.2]])
    if phase == "partial":
        return symmetric_logits([k_a, k_b], [2.0, 0.0], [[0.0, -1.0], [-1.5, 0.3]])
    z = np.zeros((k_a + k_b, k_a + k_b))
    z[:k_a, :k_a] = 2.0 * (np.eye(k_a) - 1 / k_a)
    return z


RANKS = {"none": 6, "partial": 4, "total": 3}
PRIOR = ufm.ClassPrior.step(4, 3, 8.0)


@pytest.mark.parametrize("phase", RANKS)
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("noise", [0.0, 1e-9])
def test_phase(phase, scale, noise):
    z = scale * (step_case(phase) + noise * np.random.default_rng(0).standard_normal((7, 7)))
    g = Geometry.of(factors_of(z), PRIOR)
    assert g.phase == phase
    assert g.rank == RANKS[phase]
    assert g.collapsed == (False, phase != "none")
    assert g.collapsed_groups == (() if phase == "none" else (1,))
    assert g.group_scales[0] == pytest.approx(2 * scale)
    assert g.group_scales[1] == pytest.approx(0.7 * scale if phase == "none" else 0.0, abs=1e-8 * scale)
    if phase != "none":
        assert g.minority_cosine == pytest.approx(1.0, abs=1e-12 if noise == 0 else 1e-6)
        assert g.minority_feature_cosine == pytest.approx(1.0, abs=1e-12 if noise == 0 else 1e-6)
    else:
        assert g.minority_cosine < 0.9


@pytest.mark.parametrize("s", [1e-5, -1e-5, 1e-3])
def test_small_scales_are_not_collapse(s):
    z = symmetric_logits([4, 3], [2.0, s], [[0.0, -1.0], [-1.5, 0.3]])
    assert Geometry.of(factors_of(z), PRIOR).phase == "none"


def test_small_common_direction_is_not_total():
    z = step_case("total") + 1e-4 * step_case("partial")
    assert Geometry.of(factors_of(z), PRIOR).phase == "partial"


def test_logits_shared_by_all_classes_do_not_count():
    # Adding a constant to a column changes no probability: minority features along it carry nothing.
    shift = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.5, 0.5])
    for phase in ("none", "partial", "total"):
        assert Geometry.of(factors_of(step_case(phase) + shift), PRIOR).phase == phase
    uneven = np.array([0, 0, 0, 0, 0.4, 0.5, 0.6])
    assert Geometry.of(factors_of(step_case("partial") + uneven), PRIOR).phase == "partial"


def test_cancelling_differences_are_not_collapse():
    # s_b is a mean: here it is zero although no two of the group's classes coincide.
    z = np.zeros((7, 7))
    z[4:, 4:] = [[0, 1, -1], [-1, 0, 1], [1, -1, 0]]
    z[:4, :4] = np.eye(4)
    z -= z.mean(axis=0)
    g = Geometry.of(factors_of(z), PRIOR)
    assert g.group_scales[1] == pytest.approx(0.0, abs=1e-12)
    assert g.phase == "none"


def s_b_alone(z, groups, tolerance):
    flags = tuple(s is not None and abs(s) <= tolerance for s in group_scales(z, groups))
    return flags, "partial" if any(flags) else "none"


def test_collapse_by_the_mean_alone_is_caught():
    z = np.zeros((3, 3))
    z[:] = [[0, 1, -1], [-1, 0, 1], [1, -1, 0]]
    assert s_b_alone(z, [(0, 1, 2)], 1e-9)[1] == "partial"
    assert collapse(z, [(0, 1, 2)], 1e-9) == ((False,), "none")


def test_zero_solution():
    g = Geometry.of(Factors(np.zeros((7, 2)), np.zeros((2, 7))), PRIOR)
    assert g.phase == "total"
    assert g.collapsed == (True, True)
    assert g.rank == 0
    assert g.etf_error == g.classifier_etf_error == pytest.approx(1.0)
    assert g.self_duality_error == 0.0
    assert g.minority_cosine == g.majority_cosine == g.minority_feature_cosine == 1.0
    assert g.group_scales == (0.0, 0.0)
    noise = 1e-8 * np.random.default_rng(1).standard_normal((2, 7, 7))
    noisy = Geometry.of(Factors(noise[0], noise[1]), PRIOR)
    assert (noisy.phase, noisy.rank) == ("total", 0)


@pytest.mark.parametrize("classifier", [True, False])
def test_one_zero_factor(classifier):
    m = simplex_etf(7, seed=1)
    g = Geometry.of(Factors(m.T, 0 * m) if classifier else Factors(0 * m.T, m), PRIOR)
    assert g.self_duality_error == pytest.approx(1.0)
    assert (g.etf_error, g.classifier_etf_error) == pytest.approx((1.0, 0.0) if classifier else (0.0, 1.0), abs=1e-13)


@laws
@given(st.integers(2, 8), st.integers(0, 3), st.integers(0, 2**32), st.floats(1e-3, 1e3))
def test_etf(k, extra, seed, scale):
    m = simplex_etf(k, dim=k + extra, seed=seed)
    g = Geometry.of(Factors(scale * m.T, 3 * m + 1.0), ufm.ClassPrior.balanced(k))
    assert max(g.etf_error, g.classifier_etf_error, g.self_duality_error) < 1e-11
    assert g.rank == k - 1
    assert g.phase == "none"
    for name in ("minority_cosine", "majority_cosine", "minority_feature_cosine", "majority_feature_cosine"):
        assert g[name] == pytest.approx(-1 / (k - 1), abs=1e-11)
    # (W H)_kk - (W H)_jk = 3 scale (1 + 1/(K-1)).
    assert g.group_scales == pytest.approx((3 * scale * k / (k - 1),), rel=1e-9)


def test_orthogonal_frame_of_mse():
    z = np.diag([0.9, 0.9, 0.9, 0.4, 0.4])
    g = Geometry.of(factors_of(z), ufm.ClassPrior([9, 9, 9, 2, 2]))
    assert (g.phase, g.rank) == ("none", 5)
    assert g.group_scales == pytest.approx((0.9, 0.4))
    assert g.minority_cosine == pytest.approx(0.0, abs=1e-12)
    assert g.classifier_etf_error > 0.3
    dropped = Geometry.of(factors_of(np.diag([0.9, 0.9, 0.9, 0.0, 0.0])), ufm.ClassPrior([9, 9, 9, 2, 2]))
    assert (dropped.phase, dropped.rank) == ("total", 3)


def test_seli_is_self_dual_only_when_balanced():
    prior = ufm.ClassPrior([40, 40, 40, 4, 4, 4])
    frame = seli(prior)
    g = Geometry.of(Factors(frame.classifier, frame.features), prior)
    assert g.self_duality_error > 0.1
    assert g.etf_error > 0.1
    assert g.group_scales == pytest.approx((1.0, 1.0))
    assert g.phase == "none"


def test_equilibrium_features_not_the_injection():
    rng = np.random.default_rng(2)
    w, h, a = rng.standard_normal((7, 5)), rng.standard_normal((5, 7)), 0.3 * random_isometry(5, 5, 3)
    star = np.linalg.inv(np.eye(5) - a) @ h
    g = Geometry.of(Factors(w, h, a), PRIOR)
    assert g.etf_error == pytest.approx(etf_error(star))
    assert g.self_duality_error == pytest.approx(self_duality_error(w, star - star.mean(axis=1, keepdims=True)))
    np.testing.assert_allclose(g.singular_values, np.linalg.svd(w @ star)[1], atol=1e-12)
    mutant = Geometry.of(Factors(w, h), PRIOR)
    assert abs(mutant.etf_error - g.etf_error) > 1e-3


def naive_mean_cosine(vectors, members):
    cosines = []
    for i in members:
        for j in members:
            if i != j:
                x, y = vectors[i], vectors[j]
                cosines.append(x @ y / math.sqrt(x @ x) / math.sqrt(y @ y))
    return sum(cosines) / len(cosines) if cosines else None


def naive_scale(z, members):
    if len(members) == 1:
        return None
    return sum(z[k, k] - sum(z[j, k] for j in members if j != k) / (len(members) - 1) for k in members) / len(members)


@laws
@given(st.lists(st.integers(1, 4), min_size=2, max_size=7), st.integers(0, 2**32))
def test_against_naive(counts, seed):
    rng = np.random.default_rng(seed)
    k = len(counts)
    w, h = rng.standard_normal((k, 4)), rng.standard_normal((4, k)) + 1.0
    prior = ufm.ClassPrior(counts)
    g = Geometry.of(Factors(w, h), prior)
    groups = [[c for c in range(k) if counts[c] == n] for n in sorted(set(counts), reverse=True)]
    m = (h - h.mean(axis=1, keepdims=True)).T
    expected = {
        "minority_cosine": naive_mean_cosine(w, groups[-1]),
        "majority_cosine": naive_mean_cosine(w, groups[0]),
        "minority_feature_cosine": naive_mean_cosine(m, groups[-1]),
        "majority_feature_cosine": naive_mean_cosine(m, groups[0]),
    }
    for name, value in expected.items():
        assert g[name] == (None if value is None else pytest.approx(value, abs=1e-12)), name
    scales = [naive_scale(w @ h, members) for members in groups]
    for measured, naive in zip(g.group_scales, scales, strict=True):
        assert measured == (None if naive is None else pytest.approx(naive, abs=1e-12))
    np.testing.assert_allclose(g.singular_values, np.linalg.svd(w @ h)[1], atol=1e-12)


@laws
@given(st.lists(st.integers(1, 4), min_size=3, max_size=7), st.integers(0, 2**32))
def test_invariant_under_rotation_and_relabelling(counts, seed):
    rng = np.random.default_rng(seed)
    k = len(counts)
    w, h = rng.standard_normal((k, 4)), rng.standard_normal((4, k))
    g = Geometry.of(Factors(w, h), ufm.ClassPrior(counts)).to_dict()
    q, order = random_isometry(6, 4, rng), rng.permutation(k)
    turned = Factors((w @ q.T)[order], (q @ h)[:, order])
    other = Geometry.of(turned, ufm.ClassPrior([counts[c] for c in order])).to_dict()
    for name, value in g.items():
        if isinstance(value, float):
            assert other[name] == pytest.approx(value, abs=1e-10), name
        elif name == "singular_values":
            np.testing.assert_allclose(other[name], value, atol=1e-10)
        elif name == "group_scales":
            for a, b in zip(other[name], value, strict=True):
                assert a == (None if b is None else pytest.approx(b, abs=1e-10))
        else:
            assert other[name] == value, name


def test_classes_of_distinct_counts_coincide_where_all_logits_vanish():
    z = np.zeros((3, 3))
    g = Geometry.of(factors_of(z), ufm.ClassPrior([3, 2, 1]))
    assert g.phase == "total"
    assert g.collapsed_classes == ((0, 1, 2),)
    assert g.collapsed == (False, False, False)
    assert g.group_scales == (None, None, None)
    assert g.minority_cosine is g.majority_cosine is g.minority_feature_cosine is None


def test_single_minority_class():
    z = symmetric_logits([4, 1], [2.0, 0.0], [[0.0, -1.0], [-1.0, 0.5]])
    g = Geometry.of(factors_of(z), ufm.ClassPrior.step(4, 1, 5.0))
    assert g.phase == "none"
    assert g.minority_cosine is None
    assert g.majority_cosine == pytest.approx(-0.25, abs=0.2)
    assert g.group_scales[1] is None


def test_a_solver_that_knows_better():
    near = factors_of(symmetric_logits([4, 3], [2.0, 1e-9], [[0.0, -1.0], [-1.5, 0.3]]))
    assert Geometry.of(near, PRIOR).phase == "partial"
    known = Geometry.of(near, PRIOR, phase="none")
    assert (known.phase, known.collapsed) == ("none", (False, False))
    known = Geometry.of(near, PRIOR, collapsed=[False, False])
    assert (known.phase, known.collapsed) == ("none", (False, False))
    far = factors_of(step_case("none"))
    known = Geometry.of(far, PRIOR, phase="total")
    assert (known.phase, known.collapsed) == ("total", (False, True))
    known = Geometry.of(far, PRIOR, collapsed=(False, True))
    assert (known.phase, known.collapsed) == ("partial", (False, True))
    total = factors_of(step_case("total"))
    assert Geometry.of(total, PRIOR, collapsed=np.array([False, True])).phase == "total"
    both = Geometry.of(total, PRIOR, collapsed=(False, True), phase="partial")
    assert (both.phase, both.collapsed) == ("partial", (False, True))
    three = ufm.ClassPrior([5, 5, 3, 3, 1])
    assert Geometry.of(factors_of(np.eye(5)), three, phase="partial").collapsed == (False, True, False)


def test_access_and_serialisation():
    g = Geometry.of(factors_of(step_case("none")), PRIOR)
    assert g["etf_error"] == g.etf_error
    with pytest.raises(KeyError, match="etf_eror"):
        g["etf_eror"]
    with pytest.raises(KeyError):
        g["collapsed_groups"]
    assert json.loads(json.dumps(g.to_dict())) == g.to_dict()
    assert set(g.to_dict()) == set(Geometry.__dataclass_fields__)
    assert g.to_dict()["collapsed"] == [False, False]
    with pytest.raises(AttributeError):
        g.rank = 3
    with pytest.raises(ValueError, match="read-only"):
        g.singular_values[0] = 1.0


@pytest.mark.parametrize("prior", [ufm.ClassPrior.balanced(6), ufm.ClassPrior.long_tailed(5, 20.0), PRIOR])
@pytest.mark.parametrize("logits_scale", [0.0, 1e-14, 1e-6, 1.0, 1e6])
def test_never_nan(prior, logits_scale):
    z = logits_scale * np.random.default_rng(3).standard_normal((prior.num_classes, prior.num_classes))
    for value in Geometry.of(factors_of(z), prior).to_dict().values():
        if isinstance(value, float):
            assert math.isfinite(value)


F = Factors(np.ones((7, 3)), np.ones((3, 7)))
OVERRIDE = [
    ({"collapsed": [True]}, ValueError, "collapsed must have one entry"),
    ({"collapsed": "ab"}, TypeError, "collapsed must be a sequence"),
    ({"collapsed": True}, TypeError, "collapsed must be a sequence"),
    ({"collapsed": [0, 1]}, TypeError, r"collapsed\[0\] must be a boolean"),
    ({"phase": "half"}, ValueError, "phase must be one of"),
    ({"phase": 1}, TypeError, "phase must be one of"),
    ({"phase": "none", "collapsed": [False, True]}, ValueError, "contradicts"),
    ({"phase": "total", "collapsed": [False, False]}, ValueError, "contradicts"),
]


@pytest.mark.parametrize(("override", "error", "message"), OVERRIDE)
def test_bad_override(override, error, message):
    with pytest.raises(error, match=message):
        Geometry.of(F, PRIOR, **override)


def test_single_classes_cannot_be_said_to_collapse():
    prior = ufm.ClassPrior([3, 3, 1])
    f = factors_of(np.eye(3))
    with pytest.raises(ValueError, match=r"collapsed\[1\] must be False"):
        Geometry.of(f, prior, collapsed=[False, True])
    with pytest.raises(ValueError, match="phase must be 'none'"):
        Geometry.of(f, ufm.ClassPrior([3, 2, 1]), phase="partial")


@pytest.mark.parametrize(
    ("factors", "prior", "error", "message"),
    [
        (None, PRIOR, TypeError, "factors must be"),
        (F, [4, 3], TypeError, "prior must be"),
        (F, ufm.ClassPrior.balanced(6), ValueError, "factors.classifier must have shape"),
        (Factors(np.ones(7), np.ones((3, 7))), PRIOR, ValueError, "factors.classifier must have shape"),
        (Factors(np.ones((7, 3)), np.ones((7, 3))), PRIOR, ValueError, "factors.features must have shape"),
        (
            Factors(np.ones((7, 3)), np.ones((3, 7)), np.eye(2)),
            PRIOR,
            ValueError,
            "factors.equilibrium must have shape",
        ),
        (Factors(np.ones((7, 3)), np.ones((3, 7)), np.eye(3)), PRIOR, ValueError, "eigenvalue 1"),
        (Factors(np.full((7, 3), np.nan), np.ones((3, 7))), PRIOR, ValueError, "factors must be finite"),
        (Factors(np.ones((7, 3)), np.full((3, 7), np.inf)), PRIOR, ValueError, "factors must be finite"),
    ],
)
def test_bad_factors(factors, prior, error, message):
    with pytest.raises(error, match=message):
        Geometry.of(factors, prior)


# Wrong s_b, and the check that rejects it -------------------------------------------------------------------------


def check_group_scales(implementation):
    rng = np.random.default_rng(4)
    z, groups = rng.standard_normal((6, 6)), [(1, 4, 5), (0, 3), (2,)]
    naive = [naive_scale(z, members) for members in groups]
    assert implementation(z, groups) == pytest.approx(naive, abs=1e-13)
    # A constant added to a column changes no probability and no s_b.
    assert implementation(z + rng.standard_normal(6), groups) == pytest.approx(naive, abs=1e-13)


def test_group_scales():
    check_group_scales(group_scales)
    assert group_scales(0.1 * np.ones((3, 3)), [(0, 1, 2)]) == (0.0,)


def wrong_scales(correct):
    def mutant(z, groups):
        return [correct(z, list(m)) if len(m) > 1 else None for m in groups]

    return mutant


@pytest.mark.parametrize(
    "mutant",
    [
        wrong_scales(lambda z, m: np.diagonal(z)[m].mean() - z[np.ix_(m, m)].mean()),
        wrong_scales(lambda z, m: np.diagonal(z)[m].mean()),
        wrong_scales(lambda z, m: np.mean([z[k, k] - np.delete(z[:, k], k).mean() for k in m])),
        wrong_scales(lambda z, m: -naive_scale(z, m)),
    ],
    ids=["mean-includes-diagonal", "no-difference", "all-classes", "sign"],
)
def test_wrong_group_scales_are_caught(mutant):
    with pytest.raises(AssertionError):
        check_group_scales(mutant)


def test_orthogonal_features_are_an_etf_once_centred():
    m = orthogonal_frame(5, seed=1)
    g = Geometry.of(Factors(m.T, m), ufm.ClassPrior.balanced(5))
    assert g.etf_error < 1e-13
    assert g.classifier_etf_error > 0.1
