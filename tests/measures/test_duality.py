"""Duality, angles and scores against values by hand, their laws and their refusals."""

import math

import numpy as np
import pytest
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from ufm.geometry import etf_error, orthogonal_frame, simplex_etf
from ufm.measures import (
    class_margins,
    coherence,
    duality_cosines,
    effective_rank,
    etf_error_floor,
    logit_etf_error,
    mean_cosine_gap,
    neco_scores,
    pair_cosines,
    separation_kernel_cv,
    uniform_duality_cv,
)

laws = settings(derandomize=True, max_examples=examples(25), deadline=None)
sizes = st.integers(2, 7)


@laws
@given(sizes, st.integers(0, 3), st.integers(0, 2**32), st.floats(1e-30, 1e30), st.floats(1e-30, 1e30))
def test_an_etf_has_the_values_of_an_etf(k, extra, seed, a, b):
    frame = simplex_etf(k, dim=k - 1 + extra, seed=seed)
    w, m = a * frame.T, b * frame
    assert mean_cosine_gap(m) == pytest.approx(0, abs=1e-12)
    assert coherence(m) == pytest.approx(1 / (k - 1))
    assert pair_cosines(m) == pytest.approx(np.full(k * (k - 1) // 2, -1 / (k - 1)))
    assert effective_rank(m) == pytest.approx(k - 1)
    assert separation_kernel_cv(m, exponent=1.5) == pytest.approx(0, abs=1e-9)
    assert duality_cosines(w, m) == pytest.approx(np.ones(k))
    assert uniform_duality_cv(w, m) == pytest.approx(0, abs=1e-12)
    assert logit_etf_error(w, m) == pytest.approx(0, abs=1e-12)


@laws
@given(st.integers(3, 9), st.data())
def test_no_frame_is_below_the_floor_and_one_attains_it(k, data):
    d = data.draw(st.integers(1, k - 2))
    floor = etf_error_floor(k, d)
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    assert etf_error(rng.standard_normal((d, k))) >= floor - 1e-12
    # A projection onto d of the K - 1 directions of the ETF.
    assert etf_error(simplex_etf(k, dim=k - 1, seed=int(rng.integers(2**32)))[:d]) == pytest.approx(floor)


def test_values_by_hand():
    assert separation_kernel_cv([[1.0, 0.0, -1.0], [0.0, 1.0, 0.0]], exponent=2) == pytest.approx(
        np.std([1 / 2, 1 / 4, 1 / 2]) / np.mean([1 / 2, 1 / 4, 1 / 2])
    )
    assert effective_rank(np.diag([3.0, 1.0])) == pytest.approx(4 / 3**0.75)
    assert class_margins([[1.0, 5.0], [2.0, 4.0]]).tolist() == [-1.0, -1.0]
    scores = neco_scores([[3.0, 4.0, 0.0], [0.0, 0.0, 0.0]], [[1.0, -1.0], [0.0, 0.0], [0.0, 0.0]])
    assert scores == pytest.approx([0.6, 0.0])


def test_what_is_degenerate_is_none():
    assert separation_kernel_cv([[1.0, 2.0], [0.0, 0.0]]) is None  # one direction
    assert separation_kernel_cv([[1.0, 0.0], [0.0, 0.0]]) is None  # no direction
    assert mean_cosine_gap(np.zeros((2, 3))) is None
    assert coherence(np.zeros((2, 3))) is None
    assert effective_rank(np.zeros((2, 3))) is None
    assert uniform_duality_cv(np.eye(2), np.array([[0.0, 1.0], [1.0, 0.0]])) is None
    assert logit_etf_error(np.zeros((2, 2)), np.eye(2)) == 1.0
    assert duality_cosines(np.zeros((2, 2)), np.eye(2)).tolist() == [0.0, 0.0]


def test_an_orthogonal_frame_is_no_etf():
    assert mean_cosine_gap(orthogonal_frame(4)) == pytest.approx(1 / 3)
    assert logit_etf_error(orthogonal_frame(4).T, orthogonal_frame(4)) > 0.1


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: coherence([[1.0]]), "vectors"),
        (lambda: separation_kernel_cv(np.eye(2), exponent=-1), "exponent"),
        (lambda: separation_kernel_cv(np.eye(2), exponent=math.nan), "exponent"),
        (lambda: duality_cosines(np.eye(2), np.ones((3, 2))), "means"),
        (lambda: class_margins(np.ones((2, 3))), "logits"),
        (lambda: etf_error_floor(1, 1), "num_classes"),
        (lambda: etf_error_floor(3, 0), "dim"),
        (lambda: neco_scores(np.ones((2, 3)), np.ones((2, 2))), "features"),
    ],
)
def test_refusals_name_the_argument(call, name):
    with pytest.raises(ValueError, match=name):
        call()
