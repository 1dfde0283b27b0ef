"""Names of configurations: every structure in random rotations, with copies and zeros; mutants must not be named."""

from __future__ import annotations

import math

import numpy as np
import pytest
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import block_diag

import ufm
from ufm.geometry import name_structure, simplex_etf
from ufm.geometry.codes import TOLERANCE

seeds = st.integers(0, 2**32 - 1)


def antipodal(sizes):
    return np.hstack([np.diag(sizes), -np.diag(sizes)])


def polygon(n):
    angle = 2 * np.pi * np.arange(n) / n
    return np.array([np.cos(angle), np.sin(angle)])


STRUCTURES = {
    "digon": antipodal([1.0]),
    "simplex ETF": simplex_etf(5),
    "square": antipodal([1.0, 1.0]),
    "octahedron": antipodal([1.0] * 3),
    "cross-polytope": antipodal([1.0] * 4),
    "antipodal pairs": antipodal([1.0, 0.7, 0.5]),
    "regular polygon (5)": polygon(5),
    "regular polygon (8)": polygon(8),
    "orthogonal frame": np.eye(4),
    "orthogonal points": np.diag([1.0, 0.8, 0.3]),
    "2 x simplex ETF (3)": block_diag(simplex_etf(3), simplex_etf(3)),
    "point + simplex ETF (4)": block_diag(np.eye(1), 0.3 * simplex_etf(4)),
    "digon + regular polygon (5)": block_diag(antipodal([2.0]), polygon(5)),
}


@pytest.mark.parametrize("name", STRUCTURES)
@given(seed=seeds, size=st.sampled_from([1e-30, 1e-3, 1.0, 7.0, 1e30]))
@settings(max_examples=15)
def test_structures_are_named_in_any_rotation_order_and_size(name, seed, size):
    rng = np.random.default_rng(seed)
    x = STRUCTURES[name]
    d = len(x) + int(rng.integers(0, 4))
    rotation = np.linalg.qr(rng.normal(size=(d, d)))[0][:, : len(x)]
    x = rotation @ x[:, rng.permutation(x.shape[1])]
    x = x + 0.02 * TOLERANCE * np.abs(x).max() * rng.normal(size=x.shape)
    assert name_structure(size * x) == name


@pytest.mark.parametrize("name", [name for name in STRUCTURES if name != "digon"])
@given(seed=seeds)
@settings(max_examples=10)
def test_perturbed_structures_lose_their_name(name, seed):
    rng = np.random.default_rng(seed)
    x = STRUCTURES[name]
    x = x + 30 * TOLERANCE * np.linalg.norm(x, axis=0).max() * rng.normal(size=x.shape)
    assert name_structure(x) != name


def test_one_moved_point_or_one_longer_point_is_enough():
    for name in ("simplex ETF", "square", "octahedron", "cross-polytope", "regular polygon (5)", "orthogonal frame"):
        longer = STRUCTURES[name].copy()
        longer[:, 0] *= 1 + 5 * TOLERANCE
        assert name_structure(longer) != name
        assert name_structure(longer, tolerance=20 * TOLERANCE) == name
    # a regular hexagon with two neighbours swapped is a hexagon; a rectangle is no square, nor is a rhombus
    rectangle = np.array([[1.0, 1, -1, -1], [0.7, -0.7, -0.7, 0.7]])
    assert name_structure(rectangle) == "softmax code of rank 2"
    assert name_structure(antipodal([1.0, 0.7])) == "antipodal pairs"


@given(st.integers(2, 9), seeds)
@settings(max_examples=examples(30))
def test_anything_else_is_a_softmax_code_of_its_rank(rank, seed):
    x = np.random.default_rng(seed).normal(size=(rank, rank + 4))
    assert name_structure(x) == f"softmax code of rank {rank}"


def test_repeated_points_and_points_at_the_origin():
    x = simplex_etf(3)
    assert name_structure(x[:, [0, 1, 2, 2, 2, 0]]) == "simplex ETF with repeated points (3, 2, 1)"
    assert name_structure(np.hstack([x, np.zeros((3, 2))])) == "simplex ETF and 2 at the origin"
    both = np.hstack([antipodal([1.0, 1.0]), antipodal([1.0, 1.0]), np.zeros((2, 1))])
    assert name_structure(both) == "square with repeated points (2, 2, 2, 2) and 1 at the origin"
    assert name_structure(np.zeros((3, 4))) == "origin"
    assert name_structure(np.ones((2, 3))) == "point with repeated points (3)"


@pytest.mark.parametrize(
    ("points", "tolerance", "message"),
    [
        (np.ones(3), 1e-4, r"^points must have shape \(d, K\)"),
        (np.array([[math.nan]]), 1e-4, r"^points must be finite"),
        (np.ones((2, 0)), 1e-4, r"^points must have shape \(d, K\) and not be empty"),
        (np.ones((2, 2)), 0.0, r"^tolerance must be > 0"),
    ],
)
def test_bad_arguments(points, tolerance, message):
    with pytest.raises(ValueError, match=message):
        name_structure(points, tolerance)


def test_solutions_report_their_structure():
    assert ufm.solve(ufm.LayerPeeled(1, 5), ufm.ClassPrior.balanced(5)).geometry.structure == "simplex ETF"
    assert ufm.solve(ufm.LayerPeeled(0.1, 0.1), ufm.ClassPrior.balanced(5), "mse").geometry["structure"] == (
        "orthogonal frame"
    )
    collapsed = ufm.solve(ufm.LayerPeeled(1, 1), ufm.ClassPrior.step(3, 4, 100)).geometry
    assert collapsed.phase == "partial"
    assert collapsed.structure == "softmax code of rank 3 with repeated points (4, 1, 1, 1)"
    assert collapsed.to_dict()["structure"] == collapsed.structure
