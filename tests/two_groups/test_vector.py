"""The functions that vectorise, against exact ones, over the ranges where the loops call them."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest

from ufm.two_groups import _vector

RNG = np.random.default_rng(0)
SMALL = RNG.uniform(-1, 1, 300) * 10 ** RNG.uniform(-30, 0, 300)
WIDE = RNG.uniform(-690, 690, 300)


@_vector.compiled
def _each(function, x, out):
    for i in range(len(x)):
        out[i] = function(x[i])


@pytest.mark.parametrize(
    ("name", "points"),
    [
        ("exp", np.concatenate([SMALL, WIDE])),
        ("expm1", np.concatenate([SMALL, WIDE, np.log(2) * np.arange(-5, 6) / 2])),
        ("log", np.concatenate([1 + SMALL[np.abs(SMALL) < 0.9], np.exp(WIDE), [1.0, np.sqrt(2), np.sqrt(0.5)]])),
        ("log1p", np.concatenate([SMALL[SMALL > -0.9], np.exp(WIDE), [0.0]])),
    ],
)
def test_errors_are_below_two_units(name, points):
    found = np.empty_like(points)
    _each(getattr(_vector, name), points, found)
    with mpmath.workprec(120):
        exact = [getattr(mpmath, name)(mpmath.mpf(x)) for x in points.tolist()]
        units = [abs(f - e) / float(np.spacing(abs(float(e)))) for f, e in zip(found.tolist(), exact, strict=True)]
    assert max(units) <= 2


def test_what_leaves_the_normal_numbers():
    found = np.empty(4)
    _each(_vector.exp, np.array([-1e300, -800.0, -np.inf, 0.0]), found)
    assert found.tolist() == [0.0, 0.0, 0.0, 1.0]
    _each(_vector.expm1, np.array([-1e300, -800.0, -np.inf, 0.0]), found)
    assert found.tolist() == [-1.0, -1.0, -1.0, 0.0]
