"""Critical points in the factors: strict saddles, minima, trapped minima with certificates, and what must not pass."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flint import arb, arb_mat
from hypothesis import given, settings
from hypothesis import strategies as st

import ufm
from ufm.architectures import Factors
from ufm.certificates import CertificationError
from ufm.landscape import TrappedMinimum, certify_trapped, classify, find_trapped
from ufm.landscape.critical_points import _Analysis
from ufm.landscape.trapped import smallest_eigenvalue
from ufm.problem import Problem

FIXTURES = sorted((Path(__file__).parent).glob("*.json"))
PRIOR = ufm.ClassPrior([4, 4, 1, 1])
ARCHITECTURES = [
    ufm.UnconstrainedFeatures(0.05, 0.03),
    ufm.LayerPeeled(1.0, 0.7),
    ufm.PenalisedDEQ(0.06, 0.05, 0.4),
    ufm.PenalisedDEQ(0.06, 0.05, 0.4, lambda_A=0.2),
    ufm.LinearDEQ(1.0, 0.7, 0.5),
]


def load(name: str) -> TrappedMinimum:
    return TrappedMinimum.load(Path(__file__).parent / f"{name}.json")


# first and second derivatives -----------------------------------------------------------------------------------------


@settings(max_examples=12)
@given(
    seed=st.integers(0, 10**6),
    which=st.sampled_from([0, 2, 3]),
    loss=st.sampled_from(["ce", "mse"]),
    bias=st.sampled_from([None, 0.1, "free"]),
)
def test_hessian_is_the_second_difference_of_the_objective(seed: int, which: int, loss: str, bias: Any) -> None:
    rng = np.random.default_rng(seed)
    problem = Problem.of(ARCHITECTURES[which], PRIOR, loss, bias)
    d = 3
    w, h, a = rng.normal(size=(4, d)), rng.normal(size=(d, 4)), rng.normal(size=(d, d))
    a *= 0.3 / np.linalg.norm(a, 2)
    equilibrium = None if which == 0 else a
    analysis = _Analysis(problem, Factors(w, h, equilibrium))
    v = rng.normal(size=analysis._size) * (1.0 if which else np.r_[np.ones(8 * d), np.zeros(d * d)])
    dw, dh, da = analysis._unpack(v)

    def value(t: float) -> float:
        moved = Factors(w + t * dw, h + t * dh, None if equilibrium is None else a + t * da)
        return _Analysis(problem, moved).value()

    t = 1e-3 / np.linalg.norm(v)
    second = (-value(2 * t) + 16 * value(t) - 30 * value(0) + 16 * value(-t) - value(-2 * t)) / (12 * t * t)
    assert second == pytest.approx(v @ analysis._product(v), rel=2e-4, abs=1e-3)


@pytest.mark.parametrize("architecture", ARCHITECTURES[:3] + ARCHITECTURES[4:])
def test_convex_optima_are_global_minima_with_no_negative_curvature(architecture: Any) -> None:
    solution = ufm.solve(architecture, PRIOR)
    point = classify(solution.problem, solution.factors)
    assert point.kind == "global minimum"
    assert point.index == 0
    assert point.value == pytest.approx(solution.value, rel=1e-12)
    moved = Factors(solution.classifier * 1.0, solution.features * 0.999, solution.equilibrium)
    assert classify(solution.problem, moved).kind == "not critical"


@pytest.mark.filterwarnings("ignore:method 'direct' stopped")
@pytest.mark.parametrize("loss", ["ce", "mse"])
@pytest.mark.parametrize("rank", [0, 1, 2])
def test_explicit_network_has_strict_saddles_only(loss: str, rank: int) -> None:
    """Critical points of low rank, with d = K: curvature 2 (lam - |G D^{-1/2}|) along the move of the docstring."""
    lam = 0.04
    problem = Problem.of(ufm.UnconstrainedFeatures(lam, lam), PRIOR, loss)
    small = ufm.solve(problem.architecture, PRIOR, loss=loss, method="direct", dim=rank) if rank else None
    w, h = np.zeros((4, 4)), np.zeros((4, 4))
    if small is not None:
        w[:, :rank], h[:rank] = small.classifier, small.features
    point = classify(problem, Factors(w, h), tol=1e-5)
    assert point.kind == "strict saddle"
    assert point.eigenvalues[0] <= (lam - point.dual_norm) * (1 - 1e-6)  # the move has squared length 1 + 1/n_k


def test_the_balanced_origin_is_a_local_minimum_of_the_deq_and_a_saddle_of_the_explicit_network() -> None:
    prior = ufm.ClassPrior.balanced(4)  # |G D^{-1/2}|_2 = 1/(K sqrt(n)) = 1/4 at Z = 0
    zero = np.zeros((4, 4))
    for lam, rho, kind in ((0.3, 0.5, "local minimum"), (0.2, 0.5, "strict saddle"), (0.3, 0.1, "global minimum")):
        problem = Problem.of(ufm.PenalisedDEQ(lam, lam, rho), prior)
        assert classify(problem, Factors(zero, zero, zero)).kind == kind
    problem = Problem.of(ufm.PenalisedDEQ(0.3, 0.3, 0.5, lambda_A=1.0), prior)
    point = classify(problem, Factors(zero, zero, zero))
    assert (point.kind, point.nullity) == ("local minimum", 0)
    grown = problem.architecture.factorise(6.0 * (np.eye(4) - 0.25), prior)
    assert classify(Problem.of(ufm.PenalisedDEQ(0.3, 0.3, 0.5), prior), grown).kind == "not critical"


# trapped minima -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)
def test_stored_counterexamples_are_certified_spurious_minima(path: Path) -> None:
    minimum = TrappedMinimum.load(path)
    numbers = certify_trapped(minimum)
    assert numbers["gradient"] < 1e-12
    assert (1 - minimum.rho) * minimum.lam < numbers["dual_norm_lower"] <= numbers["dual_norm_upper"] < minimum.lam
    point = classify(minimum.problem, minimum.factors(minimum.rank + 1))
    assert point.kind == "local minimum"
    assert point.gradient_norm < 1e-12
    assert numbers["dual_norm_lower"] <= point.dual_norm <= numbers["dual_norm_upper"]
    best = ufm.solve(minimum.problem.architecture, minimum.problem.prior)
    assert best.value < point.value * (1 - 1e-3)


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)
def test_no_direction_nearby_is_lower(path: Path) -> None:
    minimum = TrappedMinimum.load(path)
    rng = np.random.default_rng(0)
    factors = minimum.factors(minimum.rank + 1)
    value = _Analysis(minimum.problem, factors).value()
    assert factors.equilibrium is not None
    for size in (1e-1, 1e-2, 1e-3):
        for _ in range(20):
            a = factors.equilibrium + size * rng.normal(size=factors.equilibrium.shape) * 0.1
            u, s, vt = np.linalg.svd(a)
            moved = Factors(
                factors.classifier + size * rng.normal(size=factors.classifier.shape),
                factors.features + size * rng.normal(size=factors.features.shape) / np.sqrt(minimum.counts),
                (u * np.minimum(s, minimum.rho)) @ vt,
            )
            assert _Analysis(minimum.problem, moved).value() > value - 1e-14


def test_the_trap_opens_where_a_beside_reaches_its_threshold() -> None:
    minimum = load("step_k4")
    norm = classify(minimum.problem, minimum.factors()).dual_norm
    threshold = 1 - norm / minimum.lam
    for factor, kind in ((0.98, "local minimum"), (1.02, "strict saddle")):
        assert classify(minimum.problem, minimum.factors(equilibrium=factor * threshold)).kind == kind


def test_the_same_logits_are_a_strict_saddle_of_the_explicit_network() -> None:
    minimum = load("digits_k10")
    lam = (1 - minimum.rho) * minimum.lam
    problem = Problem.of(ufm.UnconstrainedFeatures(lam, lam), minimum.problem.prior)
    pad = np.eye(minimum.rank, 10)
    point = classify(problem, Factors(minimum.left @ pad, pad.T @ (minimum.right.T / np.sqrt(minimum.counts))))
    assert point.kind == "strict saddle"


def test_a_network_trained_from_zero_ended_in_the_stored_minimum() -> None:
    from ufm.deq import Sweep

    sweep = Sweep.load(Path(__file__).parents[2] / "results" / "digits-sweep" / "sweep.jsonl")
    value = classify(load("digits_k10").problem, load("digits_k10").factors(6)).value
    trained = [p.objective for p in sweep.points if p.branch == "zero" and p.minority_count == 20]
    assert min(abs(v - value) for v in trained) < 1e-9


def _moved(minimum: TrappedMinimum) -> TrappedMinimum:
    return dataclasses.replace(minimum, left=minimum.left + 1e-6)


@pytest.mark.parametrize(
    "spoil",
    [
        _moved,
        lambda m: dataclasses.replace(m, rho=m.rho * 0.999),
        lambda m: dataclasses.replace(m, lam=m.lam * 1.001),
        lambda m: dataclasses.replace(m, counts=tuple(n * (1 + 1e-3 * i) for i, n in enumerate(m.counts))),
        lambda m: dataclasses.replace(m, left=0 * m.left, right=0 * m.right),
    ],
)
def test_spoilt_data_is_not_certified(spoil: Any) -> None:
    with pytest.raises(CertificationError):
        certify_trapped(spoil(load("step_k4")))


def test_a_saddle_of_fewer_features_is_not_certified() -> None:
    """A minimum of two features is a critical point of three, and no minimum there."""
    small = find_trapped([1] * 6, 0.12, 5 / 6, 2, starts=2)[0]
    certify_trapped(small)
    padded = dataclasses.replace(small, left=np.c_[small.left, np.zeros(6)], right=np.c_[small.right, np.zeros(6)])
    with pytest.raises(CertificationError, match="no critical point certain"):
        certify_trapped(padded)


def test_no_trap_where_a_cannot_grow_or_the_gradient_is_too_large() -> None:
    assert find_trapped([4, 4, 1, 1], 0.06, 0.01, 2, starts=4) == []  # (1-rho) lam and lam too close
    assert find_trapped([4, 4, 1, 1], 0.02, 0.05, 2, starts=4) == []


def test_json_round_trip_is_exact() -> None:
    minimum = load("digits_k10")
    again = TrappedMinimum.from_json(minimum.to_json())
    assert np.array_equal(again.left, minimum.left)
    assert (again.counts, again.lam, again.rho) == (minimum.counts, minimum.lam, minimum.rho)


@pytest.mark.parametrize(
    ("factors", "message"),
    [
        (Factors(np.zeros((3, 2)), np.zeros((2, 4)), np.zeros((2, 2))), "shapes"),
        (Factors(np.zeros((4, 2)), np.zeros((2, 4))), "equilibrium map"),
        (Factors(np.zeros((4, 2)), np.zeros((2, 4)), np.eye(2)), r"\|A\|_2"),
        (Factors(np.zeros((4, 2)), np.zeros((2, 4)), np.zeros((3, 3))), "equilibrium map of shape"),
    ],
)
def test_factors_that_do_not_fit(factors: Factors, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        classify(Problem.of(ufm.PenalisedDEQ(0.1, 0.1, 0.5), PRIOR), factors)


def test_budgets_are_checked() -> None:
    with pytest.raises(ValueError, match=r"\|W\|_F\^2"):
        classify(Problem.of(ufm.LayerPeeled(1.0, 1.0), PRIOR), Factors(3 * np.eye(4), np.eye(4)))
    with pytest.raises(TypeError, match="problem"):
        classify(None, Factors(np.eye(4), np.eye(4)))  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e200])
def test_data_without_meaning_are_refused(value: float) -> None:
    minimum = TrappedMinimum.load(FIXTURES[0])
    left = minimum.left.copy()
    left[0, 0] = value
    with pytest.raises(CertificationError):
        certify_trapped(dataclasses.replace(minimum, left=left))


@pytest.mark.parametrize("entry", [arb(2, math.inf), arb(math.nan)])
def test_an_unknown_entry_off_the_first_row_proves_no_eigenvalue_bound(entry: arb) -> None:
    assert smallest_eigenvalue(arb_mat([[arb(1), arb(0)], [arb(0), arb(2)]])) > 0.9
    assert not smallest_eigenvalue(arb_mat([[arb(1), arb(0)], [arb(0), entry]])) > 0
