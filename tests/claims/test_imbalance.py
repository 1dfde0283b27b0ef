"""Closed forms that the claims on imbalance share, against optimality conditions and solvers that know none of them."""

from __future__ import annotations

import math

import numpy as np
import pytest

import ufm
from ufm.claims.imbalanced_mse import free_bias_logits
from ufm.claims.nonnegative import relu_sizes
from ufm.claims.seli import margin_multipliers, seli_roots

#: Counts over four orders of magnitude, ties and two classes among them.
COUNTS = ([3.0, 1.0], [40.0, 9.0, 9.0, 0.5], [2000.0, 30.0, 5.0, 1.0, 0.2])


@pytest.mark.parametrize("counts", COUNTS)
def test_multipliers_are_off_diagonal_entries_of_a_matrix_root(counts):
    n = np.array(counts)
    values, vectors = np.linalg.eigh(np.diag(n) - np.sqrt(np.outer(n, n)) / len(n))
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    expected = -root * np.sqrt(n[None, :] / n[:, None])
    np.fill_diagonal(expected, 0.0)
    assert margin_multipliers(counts) == pytest.approx(expected, rel=1e-6, abs=1e-7 * expected.max())
    assert np.abs(margin_multipliers(counts, slip=1) - expected).max() > 0.1 * expected.max()


@pytest.mark.parametrize("counts", COUNTS)
def test_roots_are_those_of_the_two_gram_matrices(counts):
    y = (np.eye(len(counts)) - 1 / len(counts)) * np.sqrt(counts)
    w, h = seli_roots(counts)
    scale = np.abs(y.T @ y).max()
    assert np.abs(w @ w - y @ y.T).max() <= 1e-10 * scale
    assert np.abs(h @ h - y.T @ y).max() <= 1e-10 * scale


@pytest.mark.parametrize("counts", COUNTS)
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_sizes_of_classes_are_stationary_one_by_one(counts, smoothing):
    n, k = np.array(counts), len(counts)
    n_lam = 0.6 * math.sqrt(np.median(n))
    sizes = relu_sizes(counts, n_lam, smoothing)
    # by a: n_k (q (K - 1) - smoothing (K - 1)/K) against N lam sqrt(n_k (K - 1)/K)
    pull = n * (k - 1) * (1 / (np.exp(sizes) + k - 1) - smoothing / k)
    price = n_lam * np.sqrt(n * (k - 1) / k)
    there = sizes > 0
    assert 0 < there.sum() < k
    assert pull[there] == pytest.approx(price[there], rel=1e-9)
    assert (pull[~there] <= price[~there]).all()


@pytest.mark.parametrize("counts", COUNTS)
def test_logits_with_a_free_bias_are_the_solvers(counts):
    prior = ufm.ClassPrior(counts)
    lam = 0.7 * math.sqrt(np.median(counts)) / prior.num_samples
    found = ufm.solve(ufm.UnconstrainedFeatures(lam, lam), prior, "mse", bias="free")
    assert free_bias_logits(counts, lam * prior.num_samples) == pytest.approx(found.logits, abs=1e-7)
