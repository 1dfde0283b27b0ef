"""The collapse transition of the symmetric family: Landau expansion, branches, spinodals and Maxwell point."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ufm
from ufm.landscape import classify
from ufm.problem import Problem
from ufm.two_groups.counts import CountRule
from ufm.two_groups.transitions import Hysteresis, State
from ufm.two_groups.transitions._budget import BudgetFamily
from ufm.two_groups.transitions._critical import polish, profile
from ufm.two_groups.transitions._family import Family
from ufm.two_groups.transitions._landau import curvature
from ufm.two_groups.transitions._mixing import mixing_end
from ufm.two_groups.transitions._penalised import PenalisedFamily
from ufm.two_groups.transitions._tracer import Tracer

SAMPLES = 600.0
LAM = math.sqrt(20) / SAMPLES  # the collapsed branch ends at n_B = 20, R = 5 for K_A = K_B = 5


def penalised(strength: float, rho: float, lam: float = LAM) -> ufm.PenalisedDEQ:
    """``lambda_A = strength N lam^2``: first order for strength <= K_B, locally continuous for strength >= K."""
    return ufm.PenalisedDEQ(lam, lam, rho, lambda_A=strength * SAMPLES * lam**2)


def logits(state: State, k_a: int, k_b: int) -> np.ndarray:
    """The K x K logits of a state, columns centred."""
    t = np.zeros((2, 2))
    t[1, 0], t[0, 1] = -state.d_A, -state.d_B
    group = np.repeat([0, 1], [k_a, k_b])
    z = t[np.ix_(group, group)] + np.diag(np.array([state.s_A, state.s_B])[group])
    return z - z.mean(axis=0)


def objective(architecture: Any, state: State, k_a: int, k_b: int, counts: tuple[float, float]) -> float:
    """The K x K objective, from the definitions alone."""
    prior = ufm.ClassPrior([counts[0]] * k_a + [counts[1]] * k_b)
    z = logits(state, k_a, k_b)
    sigma = np.linalg.svd(z * np.sqrt(prior.counts), compute_uv=False)
    a = np.minimum(architecture.rho, LAM * sigma / architecture.lambda_A)
    return Problem.of(ufm.LayerPeeled(1, 1), prior).risk(z) + float(
        (LAM * (1 - a) * sigma + architecture.lambda_A * a**2 / 2).sum()
    )


@pytest.fixture(scope="module")
def first_order() -> Hysteresis:
    return ufm.hysteresis(penalised(2, 0.5), 5, 5, num_samples=SAMPLES, points=24)


def test_a_first_order_transition(first_order: Hysteresis) -> None:
    h = first_order
    assert h.first_order
    assert h.curvature < 0
    assert h.collapsed_end == pytest.approx(5.0, rel=1e-12)
    assert h.lower == h.collapsed_end < h.maxwell < h.upper
    assert h.jump[0] == 0 < h.jump[1]
    # n_B <= (1 - rho)^2 N^2 lam^2 leaves no other critical point
    assert SAMPLES / (5 * h.upper + 5) > (1 - 0.5) ** 2 * 20


def test_values_are_those_of_the_definition(first_order: Hysteresis) -> None:
    for branch in first_order.branches:
        for state in branch.states[:: max(1, len(branch.states) // 7)]:
            n_b = SAMPLES / (5 * state.ratio + 5)
            value = objective(penalised(2, 0.5), state, 5, 5, (state.ratio * n_b, n_b))
            assert state.value == pytest.approx(value, rel=1e-12)


def test_states_are_critical_in_every_invariant_direction(first_order: Hysteresis) -> None:
    architecture = penalised(2, 0.5)
    states = [s for s in first_order.uncollapsed.states if s.s_B > 0.1]
    for state in states[::4]:
        n_b = SAMPLES / (5 * state.ratio + 5)
        for name in ("s_A", "s_B", "d_A", "d_B"):
            shifted = [
                objective(
                    architecture,
                    State(**{**vars(state), name: getattr(state, name) + step}),
                    5,
                    5,
                    (state.ratio * n_b, n_b),
                )
                for step in (1e-5, -1e-5)
            ]
            # the penalty's second derivative jumps where a reaches rho
            assert abs(shifted[0] - shifted[1]) / 2e-5 < 2e-6


def test_stable_stretches_are_minima_and_the_rest_is_not(first_order: Hysteresis) -> None:
    family = PenalisedFamily(5, 5, penalised(2, 0.5), CountRule("num_samples", SAMPLES))
    branch = first_order.uncollapsed
    turn = int(np.argmax(branch.ratio))
    assert not any(branch.stable[1 : turn - 1])
    assert all(branch.stable[turn + 1 :])
    for state, stable in list(zip(branch.states, branch.stable, strict=True))[5::6]:
        if abs(math.log(state.ratio / first_order.upper)) < 1e-2:
            continue
        around = [
            family.state(profile(family, state.s_B * factor, state.ratio)).value - state.value
            for factor in (0.97, 1.03)
        ]
        assert (min(around) > 0) if stable else (max(around) < 0)


def test_maxwell_point_equates_the_two_values(first_order: Hysteresis) -> None:
    family = PenalisedFamily(5, 5, penalised(2, 0.5), CountRule("num_samples", SAMPLES))
    collapsed, other = (family.state(profile(family, s, first_order.maxwell)) for s in first_order.jump)
    assert collapsed.value == pytest.approx(other.value, rel=1e-11)


@settings(max_examples=15)
@given(
    k_a=st.integers(1, 6),
    k_b=st.integers(2, 6),
    strength=st.floats(0.5, 30),
    rho=st.floats(0.2, 0.9),
    ratio=st.floats(2, 20),
)
def test_landau_coefficients_are_those_of_the_profile(
    k_a: int, k_b: int, strength: float, rho: float, ratio: float
) -> None:
    n_b = SAMPLES / (k_a * ratio + k_b)
    lam = math.sqrt(n_b) / SAMPLES
    family = PenalisedFamily(k_a, k_b, penalised(strength, rho, lam), CountRule("num_samples", SAMPLES))
    assert family.collapsed_end() == pytest.approx(ratio, rel=1e-10)
    _check_expansion(family, ratio, h=1e-3)


@pytest.mark.parametrize(("k", "budget", "rho"), [((3, 3), 0.4, 0.95), ((2, 3), 0.3, 0.4), ((4, 2), 0.2, 0.3)])
def test_curvature_under_a_budget_is_that_of_the_profile(k: tuple[int, int], budget: float, rho: float) -> None:
    family = BudgetFamily(*k, ufm.LinearDEQ(1.0, 1.0, rho, E_A=budget))
    _check_expansion(family, family.collapsed_end(), h=2e-3)


def _check_expansion(family: Family, ratio: float, h: float) -> None:
    start = profile(family, 0.0, ratio)
    values = []
    for s in (0.0, h, 2 * h):
        x = start.x.copy()
        x[1] = s
        values.append(family.state(polish(family, start._replace(x=x), ratio_free=False)).value)
    slope = (4 * values[1] - values[2] - 3 * values[0]) / (2 * h)
    bend = (values[0] - 2 * values[1] + values[2]) / h**2
    scale = (family.k_b - 1) * family.pi_b(ratio)
    assert abs(slope) < 1e-4 * scale
    assert bend == pytest.approx(curvature(family, ratio), abs=2e-2 * scale)


def test_a_small_penalty_makes_it_first_order_whatever_the_cap() -> None:
    h = ufm.hysteresis(penalised(4.9, 0.1), 5, 5, num_samples=SAMPLES, points=16)
    assert h.first_order
    assert h.curvature < 0


@pytest.mark.parametrize("points", [12, 16, 25])
@pytest.mark.sample(1)
def test_a_positive_curvature_does_not_exclude_a_jump(points: int) -> None:
    h = ufm.hysteresis(penalised(6, 0.8), 5, 5, num_samples=SAMPLES, points=points)
    # whatever the points: two uncollapsed minima coexist down to balanced classes
    assert (h.lower, h.maxwell, h.upper) == pytest.approx((1.0, 4.942536700913, 5.400084845290), rel=1e-9)
    assert h.curvature > 0
    assert h.first_order
    assert 0 < h.jump[0] < h.jump[1]


@pytest.mark.parametrize("architecture", [penalised(20, 0.5), ufm.PenalisedDEQ(LAM, LAM, 0.4)])
@pytest.mark.sample(1)
def test_continuous_transitions(architecture: ufm.PenalisedDEQ) -> None:
    h = ufm.hysteresis(architecture, 5, 5, num_samples=SAMPLES, points=16)
    assert not h.first_order
    assert h.lower == h.upper == h.maxwell == h.collapsed_end
    assert h.jump == (0.0, 0.0)
    assert h.curvature > 0


def test_a_common_direction_that_appears_along_the_branch_is_no_jump() -> None:
    """The branch leaves s_B = 0 in total collapse, and its common direction grows continuously from T = 0 later on."""
    h = ufm.hysteresis(ufm.LinearDEQ(1.0, 1.0, 0.9, E_A=0.3), 2, 2, points=16)
    assert not h.first_order
    assert h.lower == h.upper == h.collapsed_end
    assert h.uncollapsed.a_T[1] == 0 < h.uncollapsed.a_T[-1]


def test_without_a_budget_of_its_own_the_threshold_is_the_convex_one() -> None:
    architecture = ufm.LinearDEQ(1.0, 0.2, 0.5)
    h = ufm.hysteresis(architecture, 5, 5, points=10)
    assert h.collapsed_end == pytest.approx(BudgetFamily(5, 5, architecture).scanned_end(), rel=1e-9)
    assert h.collapsed_end == pytest.approx(ufm.collapse_threshold(architecture, 5, 5).ratio, rel=1e-9)
    assert not h.first_order


@pytest.mark.parametrize(("k_a", "k_b", "e_h"), [(2, 2, 5.0), (1, 2, 1.0), (3, 2, 0.3)])
@pytest.mark.sample(1)
def test_with_a_budget_for_every_direction_the_threshold_is_the_convex_one(k_a: int, k_b: int, e_h: float) -> None:
    """Also where what is left to gain is far below the rounding of the risk: R* up to 10^22."""
    architecture = ufm.LinearDEQ(1.0, e_h, 0.9, E_A=0.9**2 * (k_a + k_b - 1))
    h = ufm.hysteresis(architecture, k_a, k_b, points=10)
    expected = ufm.collapse_threshold(ufm.LinearDEQ(1.0, e_h, 0.9), k_a, k_b).ratio
    assert h.collapsed_end == pytest.approx(expected, rel=1e-8)
    assert BudgetFamily(k_a, k_b, architecture).scanned_end() == pytest.approx(expected, rel=1e-8)
    assert h.lower == h.upper == h.maxwell == h.collapsed_end
    assert not h.first_order


def _best_size(family: Family, ratio: float, sizes: np.ndarray) -> float:
    """s_B, among those given, of the lowest value at R."""
    values = []
    for s in sizes:
        try:
            values.append(family.state(profile(family, float(s), ratio)).value)
        except ArithmeticError:  # alone it exceeds the budgets
            values.append(math.inf)
    return float(sizes[int(np.argmin(values))])


@pytest.mark.parametrize(("k", "e_h", "budget"), [(3, 0.3, 0.5), (3, 0.3, 1.0), (5, 1.0, 0.5), (5, 1.0, 2.0)])
@pytest.mark.sample(2)
def test_two_kinds_of_collapse_exchange_the_optimum(k: int, e_h: float, budget: float) -> None:
    """As R falls the minority leaves total collapse, and then jumps back to s_B = 0, into partial collapse."""
    architecture = ufm.LinearDEQ(1.0, e_h, 0.9, E_A=budget)
    h = ufm.hysteresis(architecture, k, k, points=16)
    assert h.first_order
    assert 1 <= h.lower < h.maxwell < h.upper == h.collapsed_end
    assert 0 == h.jump[1] < h.jump[0]
    family = BudgetFamily(k, k, architecture)
    above, below = (family.state(profile(family, s, h.maxwell)) for s in h.jump)
    assert above.value == pytest.approx(below.value, rel=1e-9)
    assert above.a_T == 0 < below.a_T
    # an exhaustive look along s_B, on both sides of the Maxwell point
    sizes = np.array([0.0, *h.jump[0] * np.array([0.2, 0.5, 0.8, 1.0, 1.2, 1.5, 2.0, 4.0])])
    assert _best_size(family, h.maxwell * 0.97, sizes) == 0
    assert _best_size(family, h.maxwell * 1.03, sizes) == pytest.approx(h.jump[0], rel=0.25)


def test_a_kind_of_collapse_that_was_missed_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    real = Tracer.march

    def march(self: Tracer) -> Any:
        curve, stretches = real(self)
        assert len(stretches) == 2
        return curve, stretches[:1]

    monkeypatch.setattr(Tracer, "march", march)
    with pytest.raises(ArithmeticError, match="collapse is stable at R = 1"):
        ufm.hysteresis(ufm.LinearDEQ(1.0, 0.3, 0.9, E_A=0.5), 3, 3, points=16)


def test_a_saddle_of_the_family_is_no_second_minimum() -> None:
    """Two curves of critical points meet in s_B; beyond, one of them is a saddle, and nothing coexists."""
    h = ufm.hysteresis(ufm.LinearDEQ(1.0, 1.0, 0.9, E_A=2.0), 2, 3, points=16)
    assert h.lower == h.upper == h.maxwell == h.collapsed_end
    assert not h.first_order


@pytest.mark.parametrize("fixed", [{"majority_count": 100.0}, {"minority_count": 20.0}])
@pytest.mark.sample(1)
def test_what_is_held_fixed_does_not_move_the_end_of_the_branch(fixed: dict[str, float]) -> None:
    h = ufm.hysteresis(penalised(2, 0.5), 5, 5, points=16, **fixed)
    assert h.collapsed_end == pytest.approx(5.0, rel=1e-9)
    assert h.first_order


@pytest.mark.parametrize(
    ("k_a", "k_b", "strength", "rho", "end"), [(5, 5, 2, 0.5, 5.0), (3, 4, 2.5, 0.6, 5.0), (1, 3, 2, 0.7, 8.0)]
)
def test_mixing_ends_the_collapsed_branch_of_the_full_problem(
    k_a: int, k_b: int, strength: float, rho: float, end: float
) -> None:
    """The closed form changes sign where the Hessian in (W, A, H) does."""
    lam = math.sqrt(SAMPLES / (k_a * end + k_b)) / SAMPLES
    architecture = penalised(strength, rho, lam)
    family = PenalisedFamily(k_a, k_b, architecture, CountRule("num_samples", SAMPLES))
    threshold = mixing_end(family, end)
    assert threshold > end * 1.01
    for ratio, kind in ((threshold * 0.995, "strict saddle"), (threshold * 1.005, "local minimum")):
        n_b = SAMPLES / (k_a * ratio + k_b)
        prior = ufm.ClassPrior([ratio * n_b] * k_a + [n_b] * k_b)
        z = logits(family.state(profile(family, 0.0, ratio)), k_a, k_b)
        assert classify(Problem.of(architecture, prior), architecture.factorise(z, prior)).kind == kind


def test_the_trapped_collapse_on_digits_ends_where_the_trained_networks_leave_it() -> None:
    """Networks trained from A = 0 with n_A = 100 stay collapsed up to n_B = 10 and leave from 12 on."""
    pytest.importorskip("torch")
    from ufm.deq import Sweep

    sweep = Sweep.load(Path(__file__).parents[2] / "results" / "digits-sweep" / "sweep.jsonl")
    stayed = max(p.minority_count for p in sweep.points if p.branch == "zero" and p.phase == "partial")
    left = min(p.minority_count for p in sweep.points if p.branch == "zero" and p.phase == "none")
    predicted = 100 / ufm.trapped_threshold(ufm.PenalisedDEQ(LAM, LAM, 0.5), 5, 5, majority_count=100)
    assert stayed < predicted < left * 1.005
    assert predicted < 20  # n_B = N^2 lam^2, where the family itself lets go


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: ufm.hysteresis(penalised(2, 0.5), 5, 5), ValueError, "exactly one of num_samples"),
        (lambda: ufm.hysteresis(penalised(2, 0.5), 5, 1, num_samples=6), ValueError, "num_minority"),
        (
            lambda: ufm.hysteresis(ufm.LinearDEQ(1, 1, 0.5), 5, 5, num_samples=6),
            ValueError,
            "num_samples plays no role",
        ),
        (lambda: ufm.hysteresis(ufm.LayerPeeled(1, 1), 5, 5), TypeError, "must be a PenalisedDEQ or a LinearDEQ"),
        (lambda: ufm.hysteresis(penalised(2, 0.5), 5, 5, num_samples=1e7), ValueError, "num_samples must let"),
        (lambda: ufm.hysteresis(penalised(2, 0.5), 5, 5, num_samples=600, points=3), ValueError, "points"),
        (lambda: ufm.trapped_threshold(penalised(2, 0.5), 5, 5, num_samples=600), TypeError, "without lambda_A"),
    ],
)
def test_invalid_arguments(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
