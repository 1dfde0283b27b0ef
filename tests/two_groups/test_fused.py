"""The compiled loop against the arrays, and against single solves; where Numba is missing the loop runs interpreted."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

import ufm
from ufm._extras import MissingExtraError
from ufm.two_groups import _fused, batch
from ufm.two_groups.batch import PHASES, solve_batch

FIELDS = ("value", "lower", "multiplier", "s_A", "s_B", "d_A", "d_B")


def grid(size, family, seed=0):
    """Points of every phase, single classes and balance among them."""
    rng = np.random.default_rng(seed)
    strength = 10 ** rng.uniform(-1, 1.3, size)
    ratio = np.where(rng.random(size) < 0.1, 1.0, 10 ** rng.uniform(1e-3, 4, size))
    sizes = {"E_W": 1.0, "E_H": strength} if family == "budgets" else {"lambda_W": 1e-3, "lambda_H": 1e-3 * strength}
    return sizes | {
        "num_majority": rng.integers(1, 12, size),
        "num_minority": rng.integers(1, 12, size),
        "ratio": ratio,
        "rho": rng.uniform(0, 0.7, size),
    }


@pytest.fixture
def fused(monkeypatch):
    """``solve_batch`` by the loop, compiled or not."""
    monkeypatch.setattr(batch, "_is_fused", lambda wanted, size, possible: possible and wanted is not False)
    return solve_batch


@pytest.mark.parametrize("family", ["budgets", "weight decay"])
def test_the_loop_agrees_with_the_arrays(fused, family):
    given = grid(400, family)
    found, expected = fused(**given), fused(**given, compiled=False)
    assert set(expected.phase) == {0, 1, 2}
    assert (found.phase == expected.phase).all()
    for name in FIELDS:
        assert getattr(found, name) == pytest.approx(getattr(expected, name), rel=1e-11, abs=1e-12), name
    assert (found.gap <= 1e-11 * found.value).all()


def corners(size, family):
    """Hard points: K up to 1e5, R next to 1 and up to 1e12, radii from 1e-6 to where the risk is 1e-250, all phases."""
    rng = np.random.default_rng(3)
    classes = [
        np.where(rng.random(size) < 0.1, 10.0 ** rng.integers(2, 6, size), rng.integers(1, 9, size)) for _ in "AB"
    ]
    near, far = 1 + 10 ** rng.uniform(-12, 0, size), 10 ** rng.uniform(0, 12, size)
    ratio = np.where(rng.random(size) < 0.3, near, far)
    k = classes[0] + classes[1]
    if family == "budgets":
        sizes = {"E_W": 10 ** rng.uniform(-6, 2.5, size) / np.minimum(k, 10), "E_H": 1.0}
    else:
        beta_b = 10 ** rng.uniform(-9, 0.5 + 0.5 * np.log10(ratio))
        sizes = {"lambda_W": 1.0, "lambda_H": (beta_b / (classes[0] * ratio + classes[1])) ** 2}
    return sizes | {"num_majority": classes[0], "num_minority": classes[1], "ratio": ratio}


@pytest.mark.parametrize("family", ["budgets", "weight decay"])
@pytest.mark.parametrize("points", [grid, corners])
@pytest.mark.filterwarnings("ignore:.*relative duality gap")
@pytest.mark.sample(2)
def test_values_are_equal_at_many_points(fused, family, points):
    given = points((100_000 if points is grid else 20_000) if _fused.COMPILED else 300, family)
    found, expected = fused(**given, workers=1), fused(**given, workers=1, compiled=False)
    assert found.value == pytest.approx(expected.value, rel=1e-13, abs=1e-290)
    assert (found.phase == expected.phase).all()
    # a bound is as far off as its point's x, which is rounding over the radius
    assert (np.abs(found.lower - expected.lower) <= 1e-11 * found.value + (found.gap + expected.gap)).all()


@pytest.mark.parametrize("family", ["budgets", "weight decay"])
def test_the_loop_leaves_few_points(fused, family, monkeypatch):
    given, solved = grid(400, family, seed=1), []
    optima = batch._optima
    monkeypatch.setattr(batch, "_optima", lambda xp, points, loss: solved.append(1) or optima(xp, points, loss))
    fused(**given)
    assert not solved  # none of these is hard


def test_the_loop_agrees_with_single_solves(fused):
    given = grid(12, "budgets", seed=2)
    found = fused(**given)
    for i in range(12):
        at = {key: float(value[i]) if np.ndim(value) else value for key, value in given.items()}
        prior = ufm.ClassPrior.step(int(at["num_majority"]), int(at["num_minority"]), at["ratio"])
        expected = ufm.solve(ufm.LinearDEQ(at["E_W"], at["E_H"], at["rho"]), prior, method="reduced")
        assert found.value[i] == pytest.approx(expected.value, rel=1e-11)
        assert PHASES[found.phase[i]] == expected.phase


def test_hard_points_are_left_to_the_arrays(fused):
    energy = np.array([1e-6, 1.0, 1e-7])  # small radii take other formulas
    found, expected = (fused(5, 4, 3.0, E_W=energy, E_H=energy, compiled=c) for c in (None, False))
    assert found.value == pytest.approx(expected.value, rel=1e-13)
    assert found.s_B == pytest.approx(expected.s_B, rel=1e-9)


def test_what_cannot_be_compiled_is_refused():
    with pytest.raises(ValueError, match="compiled=True is for cross-entropy"):
        solve_batch(3, 3, [2.0], E_W=1.0, E_H=1.0, loss="mse", compiled=True)
    if importlib.util.find_spec("numba") is None:
        with pytest.raises(MissingExtraError, match=r"ufm\[fast\]"):
            solve_batch(3, 3, [2.0], E_W=1.0, E_H=1.0, compiled=True)


@pytest.mark.skipif(not _fused.COMPILED, reason="Numba is not installed")
def test_two_threads_share_the_compiled_loop():
    given = grid(3000, "budgets")
    one, two = (solve_batch(**given, compiled=True, workers=w, chunk_size=500) for w in (1, 2))
    assert all((getattr(one, name) == getattr(two, name)).all() for name in FIELDS)
