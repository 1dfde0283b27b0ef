"""Roots in a bracket, against SciPy's Brent."""

import math

import pytest
from scipy.optimize import brentq

from ufm._roots import bracketed_root


@pytest.mark.parametrize(
    ("f", "low", "high"),
    [
        (lambda x: x**3 - 2 * x - 5, 2.0, 3.0),
        (lambda x: math.expm1(30 * x) + x - 1, -5.0, 5.0),
        (lambda x: math.atan(1e6 * (x - 0.3)), -1.0, 2.0),
        (lambda x: -1.0 if x < 1 / 3 else 1.0, 0.0, 1.0),  # a jump: halving alone
        (lambda x: x - 1e-9, -1e9, 1e3),
    ],
)
def test_agrees_with_brent(f, low, high):
    expected = brentq(f, low, high, xtol=1e-15, rtol=9e-16, maxiter=1000)
    for ends in ((low, high), (high, low)):
        assert bracketed_root(f, *ends, xtol=1e-15) == pytest.approx(expected, abs=3e-15, rel=1e-14)


def test_few_evaluations_and_ends_that_are_roots():
    seen = []
    bracketed_root(lambda x: seen.append(x) or math.cos(x) - x, 0.0, 1.0, xtol=1e-15)
    assert len(seen) <= 14
    assert bracketed_root(lambda x: x - 1, 0.0, 1.0, xtol=1e-15) == pytest.approx(1.0, abs=1e-14)
    assert bracketed_root(lambda x: x, 0.0, 1.0, xtol=1e-15) == pytest.approx(0.0, abs=1e-14)


def test_refusals():
    with pytest.raises(ValueError, match="must change sign between 1 and 2"):
        bracketed_root(lambda x: x, 1.0, 2.0, xtol=1e-9)
    with pytest.raises(ArithmeticError, match="no root within 1e-15 after 3"):
        bracketed_root(lambda x: x**3 - 0.3, 0.0, 1.0, xtol=1e-15, max_steps=3)
