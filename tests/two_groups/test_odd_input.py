"""Odd calls of every public function on two groups: a right answer, a true warning, or an error that names arguments.

Answers are held against definitions in 60 digits that share no code with the package. Seeds are those below; more cases
with ``UFM_ODD_CASES=5000 python -m pytest tests/two_groups/test_odd_input.py``.
"""

from __future__ import annotations

import dataclasses
import math
import os
import random
import time
import warnings
from typing import Any

import mpmath as mp
import numpy as np
import pytest
from effort import count

import ufm
from ufm.architectures import Architecture
from ufm.losses import CrossEntropy, MeanSquaredError
from ufm.two_groups import batch
from ufm.two_groups.batch import PHASES, solve_batch
from ufm.two_groups.thresholds import collapse_threshold as closed_threshold
from ufm.two_groups.thresholds import threshold_curve, total_collapse_threshold
from ufm.two_groups.transitions import BranchError, collapsed_state, hysteresis, mixing_threshold, trapped_threshold

CASES = int(os.environ.get("UFM_ODD_CASES", count(60, 300)))
SECONDS = 10.0  # of processor time, for one call
DIGITS = 60

#: What an error may name: every argument of the functions below.
ARGUMENTS = [
    "num_majority",
    "num_minority",
    "ratio",
    "E_W",
    "E_H",
    "lambda_W",
    "lambda_H",
    "lambda",
    "rho",
    "majority_count",
    "minority_count",
    "num_samples",
    "loss",
    "chunk_size",
    "workers",
    "architecture",
    "angle",
    "points",
    "dataset",
    "path",
    "quantity",
    "R",
    "K_A",
    "K_B",
    "K",
    "n_B",
    "parameters",
    "arguments",
]


def magnitude(rng: random.Random, low: float, high: float) -> float:
    return 10 ** rng.uniform(low, high)


def classes(rng: random.Random) -> int:
    return rng.choice([1, 1, 2, 2, 3, 10, 1000, 10**6, 10**12, 2**53, rng.randint(1, 50), rng.randint(1, 50)])


def ratios(rng: random.Random) -> float:
    plain = [1.0, 1 + magnitude(rng, -15, 0), magnitude(rng, 0, 3), magnitude(rng, 0, 20)]
    return rng.choice([*plain, magnitude(rng, 0, 308), 1e300, 1.7976931348623157e308])


def scale(rng: random.Random) -> float:
    tame = [1.0, magnitude(rng, -3, 2), magnitude(rng, -10, 5)]
    return rng.choice([*tame, magnitude(rng, -300, 300), 5e-324, 1e-300, 1e300])


def bounds(rng: random.Random) -> float:
    return rng.choice([0.0, 0.0, 0.5, 0.9, 1 - 1e-9, 1 - 2**-53])


def call(function: Any, *args: Any, **kwargs: Any) -> tuple[Any, list[str]]:
    """The result, or None where it is refused by name, and the warnings; anything else fails."""
    start = time.process_time()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        refusal: Exception | None = None
        try:
            result = function(*args, **kwargs)
        except (ValueError, TypeError) as error:
            result, refusal = None, error
    if refusal is not None:
        assert type(refusal) in (ValueError, TypeError, BranchError), refusal
        assert any(name in str(refusal) for name in ARGUMENTS), refusal
    assert time.process_time() - start < SECONDS
    return result, [str(w.message) for w in caught]


def enclosure(
    k_a: Any, k_b: Any, ratio: Any, logits: tuple[Any, ...], *, radius: Any = None, strength: Any = None, n_b: Any = 1
) -> tuple[Any, Any, Any]:
    """(objective, lower bound by weak duality, gauge over radius) of reduced logits, from the definitions."""
    k_a, k_b, ratio, s_a, s_b, d_a, d_b = map(mp.mpf, (k_a, k_b, ratio, *logits))
    k = k_a + k_b
    pi = ratio / (k_a * ratio + k_b), 1 / (k_a * ratio + k_b)
    omega = (mp.mpf(1), mp.mpf(1)) if strength is None else (mp.sqrt(ratio * n_b), mp.sqrt(mp.mpf(n_b)))
    risk, spread, norm, cross = mp.mpf(0), mp.mpf(0), mp.mpf(0), []
    for p, w, own, other, s, d in ((pi[0], omega[0], k_a, k_b, s_a, d_a), (pi[1], omega[1], k_b, k_a, s_b, d_b)):
        q, r = mp.exp(-s), mp.exp(-s - d)
        rest = (own - 1) * q + other * r
        q, r = q / (1 + rest), r / (1 + rest)
        risk += own * p * mp.log1p(rest)
        spread += own * p * ((own - 1) * q * s + other * r * (s + d))
        cross.append(p / w * mp.sqrt(k * other) * r)
        if own > 1:
            norm = max(norm, p / w * (own * q + other * r))
    norm = max(norm, mp.hypot(*cross))
    u, v = omega[0] * (s_a + k_a * d_a), omega[1] * (s_b + k_b * d_b)
    gauge = omega[0] * (k_a - 1) * abs(s_a) + omega[1] * (k_b - 1) * abs(s_b) + mp.sqrt((k_b * u**2 + k_a * v**2) / k)
    if strength is None:
        return risk, risk + spread - radius * norm, gauge / radius
    return risk + strength * gauge, (risk + spread) * min(mp.mpf(1), strength / norm), mp.mpf(0)


def assert_solved(found: Any, warned: list[str], k_a: int, k_b: int, ratio: float, given: dict[str, float]) -> None:
    """Value, bound and feasibility of one point of a batch under cross-entropy."""
    numbers = {name: float(getattr(found, name)) for name in vars(found)}
    assert all(map(math.isfinite, numbers.values()))
    assert 0 <= numbers["lower"] <= numbers["value"] or numbers["value"] - numbers["lower"] < 1e-290
    assert numbers["s_A"] >= 0
    assert numbers["s_B"] >= 0
    assert (numbers["phase"] > 0) <= (numbers["s_B"] == 0)
    with mp.workdps(DIGITS):
        shrink = 1 - mp.mpf(given["rho"])
        if "E_W" in given:
            scales = {"radius": (k_a + k_b) * mp.sqrt(mp.mpf(given["E_W"]) * mp.mpf(given["E_H"])) / shrink}
        else:
            strength = shrink * mp.sqrt(mp.mpf(given["lambda_W"]) * mp.mpf(given["lambda_H"]))
            scales = {"strength": strength, "n_b": given["minority_count"]}
        logits = tuple(numbers[name] for name in ("s_A", "s_B", "d_A", "d_B"))
        value, lower, gauge = enclosure(k_a, k_b, ratio, logits, **scales)
        tolerance = 1e-9 * value + mp.mpf(1e-290)
        assert gauge <= 1 + mp.mpf(1e-9)
        assert abs(value - numbers["value"]) <= tolerance
        assert numbers["lower"] <= value + tolerance
        # what is not proven is said
        assert value - lower <= 2 * tolerance or any("duality gap" in text for text in warned)
        assert value >= mp.mpf(1e-290) or any("underflows" in text for text in warned)


@pytest.mark.parametrize("seed", range(3))
def test_batches(seed: int) -> None:
    rng = random.Random(seed)
    answered = 0
    for _ in range(CASES):
        k_a, k_b, ratio = classes(rng), classes(rng), ratios(rng)
        given = {"rho": bounds(rng)}
        if rng.random() < 0.5:
            given |= {"E_W": scale(rng), "E_H": scale(rng)}
        elif rng.random() < 0.5:
            n_b = rng.choice([1.0, magnitude(rng, -3, 6)])
            decay = magnitude(rng, -15, 3) / (math.sqrt(n_b) * (k_a * ratio + k_b))
            given |= {"lambda_W": decay, "lambda_H": decay, "minority_count": n_b}
        else:
            n_b = rng.choice([1.0, magnitude(rng, -5, 9), scale(rng)])
            given |= {"lambda_W": scale(rng), "lambda_H": scale(rng), "minority_count": n_b}
        found, warned = call(solve_batch, k_a, k_b, ratio, **given)
        if found is not None:
            answered += 1
            assert_solved(found, warned, k_a, k_b, ratio, given)
        squares, _ = call(solve_batch, k_a, k_b, ratio, loss="mse", **given)
        if squares is not None:
            assert all(np.isfinite(array) for array in vars(squares).values())
            assert squares.gap <= 1e-9 * squares.value + 1e-15
    assert answered > CASES / 4


def exact_curve(k_a: int, k_b: int, ratio: float, tau: Any) -> tuple[Any, Any]:
    """``(tau, R)`` along the branch with s_B = 0 and mu = pi_B, at the angle where R is ``ratio``, by bisection."""
    k = mp.mpf(k_a + k_b)

    def curve(angle: Any) -> tuple[Any, Any]:
        cos, sin = mp.cos(mp.atan(mp.exp(angle))), mp.sin(mp.atan(mp.exp(angle)))
        r, q = sin / mp.sqrt(k * k_a), (1 - mp.sqrt(k_b / k) * cos) / k_a
        v = k_b * mp.log((1 - k_a * r) / (k_b * r))
        s = mp.sqrt(mp.mpf(k_a) / k_b) * v * cos / sin - k_a * mp.log(q * mp.sqrt(k * k_b) / cos)
        return (k_a - 1) * s + mp.sqrt(k_a / k) * v / sin, 1 + q * mp.expm1(s)

    high = mp.log(mp.mpf(k_a) / k_b) / 2
    low = high - 1
    while curve(low)[0] < tau:
        low = high - 2 * (high - low)
    for _ in range(220):
        middle = (low + high) / 2
        low, high = (middle, high) if curve(middle)[0] > tau else (low, middle)
    return curve(low)


def test_thresholds_with_budgets() -> None:
    rng = random.Random(10)
    answered = 0
    for _ in range(CASES):
        k_a, k_b = classes(rng), max(2, classes(rng))
        makers = [
            lambda: ufm.LayerPeeled(scale(rng), scale(rng)),
            lambda: ufm.LinearDEQ(scale(rng), scale(rng), bounds(rng)),
            lambda: ufm.LayerPeeled(1.0, magnitude(rng, -4, 1)),
        ]
        architecture = rng.choice(makers)()
        found, _ = call(ufm.collapse_threshold, architecture, k_a, k_b)
        total, _ = call(total_collapse_threshold, architecture, k_a, k_b)
        squares, _ = call(ufm.collapse_threshold, architecture, k_a, k_b, loss="mse")
        with mp.workdps(DIGITS):
            shrink = 1 - mp.mpf(getattr(architecture, "rho", 0.0))
            tau = (k_a + k_b) * mp.sqrt(mp.mpf(architecture.E_W) * mp.mpf(architecture.E_H)) / shrink
            if found is not None:
                answered += 1
                assert 1 <= found.lower <= found.ratio <= found.upper < math.inf
                _, ratio = exact_curve(k_a, k_b, found.ratio, tau)
                assert found.lower <= ratio <= found.upper
                if max(k_a, k_b) <= 1000:
                    assert found.upper - found.lower <= mp.mpf(1e-9) * ratio
            if found is not None and total is not None:
                assert total >= found.lower * (1 - 1e-12)
            if total is not None and math.isfinite(total):
                s = tau / (k_a - 1)
                shift = mp.exp(-s / k_a)
                q = 1 / (mp.exp(s) + k_a - 1 + k_b / shift)
                m, k = k_a * q + k_b * q / shift, k_a + k_b
                ratio = mp.sqrt(mp.mpf(k_a) / k / (m**2 - k * k_b * (q / shift) ** 2))
                assert abs(total - ratio) <= mp.mpf(1e-9) * ratio
            if squares is not None:
                limit = mp.inf if tau >= k_a else k_a / (k_a - tau)
                near = abs(tau - k_a) <= mp.mpf(1e-14) * k_a
                assert near or squares.lower <= limit * (1 + mp.mpf(1e-13)) <= squares.upper * (1 + mp.mpf(1e-12))
    assert answered > CASES / 4


def test_thresholds_with_weight_decay() -> None:
    rng = random.Random(11)
    answered = 0
    for _ in range(CASES):
        k_a, k_b = classes(rng), max(2, classes(rng))
        count = rng.choice([magnitude(rng, 0, 5), magnitude(rng, -10, 10), magnitude(rng, -300, 300), 5e-324, 1e308])
        held = rng.choice(["num_samples", "majority_count", "minority_count"])
        size = rng.choice([magnitude(rng, -6, 0), scale(rng)])
        architecture = rng.choice(
            [ufm.UnconstrainedFeatures(size, scale(rng)), ufm.PenalisedDEQ(size, size, bounds(rng))]
        )
        found, _ = call(ufm.collapse_threshold, architecture, k_a, k_b, loss=rng.choice(["ce", "mse"]), **{held: count})
        if found is None:
            continue
        answered += 1
        assert 1 <= found.lower <= found.ratio <= found.upper < math.inf
        with mp.workdps(DIGITS):
            n_a, n_b = mp.mpf(found.majority_count), mp.mpf(found.minority_count)
            shrink = 1 - mp.mpf(getattr(architecture, "rho", 0.0))
            lam = shrink * mp.sqrt(mp.mpf(architecture.lambda_W) * mp.mpf(architecture.lambda_H))
            total = k_a * n_a + k_b * n_b
            quantity = {"num_samples": total, "majority_count": n_a, "minority_count": n_b}[held]
            assert abs(quantity - count) <= mp.mpf(1e-12) * count * (1 + mp.mpf(k_b) / k_a)
            if found.lower > 1:  # else it is collapsed from R = 1 on, or as good as that
                assert abs(n_b / (total * lam) ** 2 - 1) <= mp.mpf(1e-9) * (1 + mp.mpf(k_b) / k_a)
            else:
                assert n_b <= (total * lam) ** 2 * (1 + mp.mpf(1e-9) * (1 + mp.mpf(k_b) / k_a))
    assert answered > CASES / 4


def test_the_curve() -> None:
    rng = random.Random(12)
    for _ in range(CASES):
        k_a, k_b = classes(rng), max(1, classes(rng))
        angle = rng.choice([rng.uniform(-20, 5), rng.uniform(-600, 600), scale(rng), -scale(rng), math.nan, math.inf])
        found, _ = call(threshold_curve, angle, k_a, k_b)
        if found is not None:
            assert all(map(math.isfinite, found))
            assert min(found) >= -1e-6


def value_of(architecture: Any, state: Any, k_a: int, k_b: int, counts: tuple[Any, Any]) -> tuple[Any, Any]:
    """(objective, risk) of a state from the definitions, A as it says."""
    n_a, n_b = map(mp.mpf, counts)
    logits = (state.s_A, state.s_B, state.d_A, state.d_B)
    risk, _, _ = enclosure(k_a, k_b, n_a / n_b, logits, radius=mp.mpf(1))
    lam = mp.sqrt(mp.mpf(architecture.lambda_W) * mp.mpf(architecture.lambda_H))
    u, v = state.s_A + k_a * mp.mpf(state.d_A), state.s_B + k_b * mp.mpf(state.d_B)
    common = mp.sqrt((k_b * n_a * u**2 + k_a * n_b * v**2) / (k_a + k_b))
    sigma = (mp.sqrt(n_a) * state.s_A, mp.sqrt(n_b) * state.s_B, common)
    price = mp.mpf(0)
    for m, s, a in zip((k_a - 1, k_b - 1, 1), sigma, (state.a_A, state.a_B, state.a_T), strict=True):
        price += m * (lam * (1 - mp.mpf(a)) * s + mp.mpf(architecture.lambda_A or 0) * mp.mpf(a) ** 2 / 2)
    return risk + price, risk


def test_transitions() -> None:
    rng = random.Random(13)
    answered = 0
    for _ in range(CASES // 3):
        k_a, k_b = (
            rng.choice([1, 2, 3, rng.randint(1, 12), classes(rng)]),
            rng.choice([2, 3, rng.randint(1, 12), 2**53]),
        )
        options: dict[str, float] = {}
        ratio = rng.choice([1.0, magnitude(rng, 0, 3), ratios(rng)])
        if rng.random() < 0.6:
            samples = magnitude(rng, 0, 5)
            lam = rng.choice([math.sqrt(samples / (k_a * magnitude(rng, -1, 3) + k_b)) / samples, scale(rng)])
            stiffness = rng.choice([None, magnitude(rng, -3, 3) * samples * lam * lam or None, scale(rng)])
            architecture: Any = ufm.PenalisedDEQ(lam, lam, bounds(rng), lambda_A=min(stiffness or 1.0, 1e308))
            if stiffness is None:
                architecture = dataclasses.replace(architecture, lambda_A=None)
            options = {rng.choice(["num_samples"] * 3 + ["majority_count", "minority_count"]): samples}
        else:
            energy = rng.choice([magnitude(rng, -2, 1), scale(rng)])
            architecture = ufm.LinearDEQ(1.0, energy, bounds(rng), E_A=rng.choice([None, 0.0, magnitude(rng, -3, 1)]))
        state, _ = call(collapsed_state, architecture, k_a, k_b, ratio, **options)
        for function in (mixing_threshold, trapped_threshold):
            end, _ = call(function, architecture, k_a, k_b, **options)
            assert end is None or 1 <= end < math.inf
        if state is None:
            continue
        answered += 1
        assert all(map(math.isfinite, vars(state).values()))
        assert state.s_B == 0
        if isinstance(architecture, ufm.PenalisedDEQ) and "num_samples" in options:
            n_b = mp.mpf(samples) / (k_a * mp.mpf(ratio) + k_b)
            value, _ = value_of(architecture, state, k_a, k_b, (ratio * n_b, n_b))
            assert abs(value - state.value) <= 1e-9 * value
    assert answered > CASES / 20


def test_hysteresis() -> None:
    rng = random.Random(14)
    answered = 0
    for _ in range(max(3, CASES // 100)):
        samples, k_a, k_b = magnitude(rng, 1, 4), rng.randint(1, 6), rng.randint(2, 6)
        lam = math.sqrt(samples / (k_a * magnitude(rng, 0.1, 2) + k_b)) / samples
        architecture = ufm.PenalisedDEQ(lam, lam, bounds(rng), lambda_A=magnitude(rng, -1, 2) * samples * lam**2)
        found, _ = call(hysteresis, architecture, k_a, k_b, num_samples=samples, points=10)
        if found is None:
            continue
        answered += 1
        numbers = (found.lower, found.upper, found.maxwell, found.collapsed_end, found.mixing_end, *found.jump)
        assert all(map(math.isfinite, (*numbers, found.curvature)))
        assert 1 <= found.lower <= found.maxwell * (1 + 1e-12) <= found.upper * (1 + 1e-11)
        assert found.mixing_end >= found.collapsed_end * (1 - 1e-12)
    assert answered


@pytest.mark.parametrize("num_majority", [1, 2])
@pytest.mark.parametrize("num_minority", [1, 2, 7])
def test_a_single_problem_of_vanishing_radius_is_feasible(num_majority: int, num_minority: int) -> None:
    rng = random.Random(15)
    for _ in range(20):
        energy, ratio = magnitude(rng, -25, -5), 1 + magnitude(rng, -14, 4)
        prior = ufm.ClassPrior.step(num_majority, num_minority, ratio)
        found = ufm.solve(ufm.LayerPeeled(energy, energy), prior, method="reduced")
        radius = (num_majority + num_minority) * energy
        assert np.linalg.norm(found.logits, "nuc") == pytest.approx(radius, rel=1e-9)
        assert found.is_global


# -- what the formulas do not hold for -------------------------------------------------------------------------------


class Hot(CrossEntropy):
    """A loss that inherits from cross-entropy, and its name, and is another."""

    def values(self, logits: Any, targets: Any) -> Any:
        return super().values(10 * logits, targets)

    def gradients(self, logits: Any, targets: Any) -> Any:
        return 10 * super().gradients(10 * logits, targets)


class Half(MeanSquaredError):
    """The same of the mean squared error."""

    def values(self, logits: Any, targets: Any) -> Any:
        return super().values(logits, targets) / 2


@dataclasses.dataclass(frozen=True)
class Twice(ufm.LayerPeeled):
    """An architecture that inherits a radius and has another gauge."""

    def gauge(self, y: Any) -> float:
        return 2 * super().gauge(y)


@dataclasses.dataclass(frozen=True)
class Stiff(ufm.PenalisedDEQ):
    """The same of weight decay."""

    @property
    def slope(self) -> float:
        return 2 * super().slope


class Own(Architecture):
    """An architecture of one's own, no dataclass."""

    def gauge(self, y: Any) -> float:
        return float(np.abs(y).max())


LPM = ufm.LayerPeeled(1.0, 1.0)
LOSSES = [Hot(), Half(), CrossEntropy(smoothing=0.1), "bce", "hinge", None, 3, CrossEntropy]
ARCHITECTURES = [Twice(1.0, 1.0), Stiff(0.01, 0.01, 0.5), Own(), "lpm", None, ufm.LayerPeeled]


@pytest.fixture
def no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    def work(*args: Any) -> Any:
        raise AssertionError("work has begun")

    monkeypatch.setattr(batch, "_solve", work)


@pytest.mark.usefixtures("no_work")
@pytest.mark.parametrize("loss", LOSSES, ids=str)
@pytest.mark.parametrize(
    "function",
    [
        lambda loss: ufm.phase_diagram(loss, num_majority=3, num_minority=2, ratio=4.0, E_W=1.0, E_H=1.0),
        lambda loss: closed_threshold(LPM, 3, 2, loss=loss),
        lambda loss: closed_threshold(ufm.UnconstrainedFeatures(0.01, 0.01), 3, 2, loss=loss, num_samples=60),
    ],
    ids=["phase_diagram", "budgets", "weight decay"],
)
def test_other_losses_are_refused_by_name(function: Any, loss: Any) -> None:
    with pytest.raises((ValueError, TypeError), match=r"^loss "):
        function(loss)


@pytest.mark.usefixtures("no_work")
@pytest.mark.parametrize("loss", [Half(), "hinge", None, 3, CrossEntropy], ids=str)
def test_arrays_refuse_what_is_no_loss_by_name(loss: Any) -> None:
    with pytest.raises((ValueError, TypeError), match=r"^loss "):
        solve_batch(3, 2, 4.0, E_W=1.0, E_H=1.0, loss=loss)


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda a: type(a).__name__)
@pytest.mark.parametrize(
    "function",
    [
        lambda a: ufm.collapse_threshold(a, 3, 2),
        lambda a: total_collapse_threshold(a, 3, 2),
        lambda a: hysteresis(a, 3, 2, num_samples=60),
        lambda a: trapped_threshold(a, 3, 2, num_samples=60),
        lambda a: mixing_threshold(a, 3, 2, num_samples=60),
        lambda a: collapsed_state(a, 3, 2, 4.0, num_samples=60),
    ],
    ids=["collapse", "total", "hysteresis", "trapped", "mixing", "state"],
)
def test_other_architectures_are_refused_by_name(function: Any, architecture: Any) -> None:
    with pytest.raises((ValueError, TypeError), match=r"^architecture "):
        function(architecture)


@pytest.mark.usefixtures("no_work")
@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((5, None, [1, 2, 3.0]), {"E_W": 1, "E_H": 1}, TypeError, r"num_minority must be real numbers"),
        ((3, 1e300, 2.0), {"E_W": 1e-9, "E_H": 1e-6}, ValueError, r"num_minority must be an integer from 1 to 2\^53"),
        ((5, 5, [1, [2]]), {"E_W": 1, "E_H": 1}, (TypeError, ValueError), "ratio must be"),
        ((5, 5, np.ma.array([1.0, 2], mask=[0, 1])), {"E_W": 1, "E_H": 1}, TypeError, r"ratio must .* masked"),
        ((5, 5, 2.0), {"E_W": 1, "E_H": 1, "rho": None}, TypeError, "rho must be real numbers"),
        ((5, 5, 10**400), {"E_W": 1, "E_H": 1}, TypeError, "ratio must be real numbers"),
        (
            (5, 5, [2.0, 3.0]),
            {"E_W": 1e300, "E_H": [1.0, 1e300]},
            ValueError,
            "E_W and E_H must leave a radius .* got ",
        ),
        (
            (5, 5, 2.0),
            {"lambda_W": 1e-300, "lambda_H": 1e-300},
            ValueError,
            "lambda_W and lambda_H must leave strength",
        ),
        (
            (5, 5, 2.0),
            {"lambda_W": 1e-286, "lambda_H": 1e-286, "rho": [0.0, 0.9, 1 - 1e-15], "minority_count": 1e250},
            ValueError,
            "lambda_W and lambda_H must leave strength",
        ),
        ((2**53, 5, 1e300), {"E_W": 1, "E_H": 1}, ValueError, r"ratio must leave N/n_B = K_A R"),
        ((5, 5), {"majority_count": 1e300, "minority_count": 1e-300, "E_W": 1, "E_H": 1}, ValueError, "minority_count"),
    ],
)
def test_batches_are_refused_before_any_work(arguments: Any, options: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        solve_batch(*arguments, **options)


def test_thresholds_beyond_float64_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^num_minority must be at most 9007199254740992"):
        ufm.collapse_threshold(LPM, 1, 1e308)
    with pytest.raises(ValueError, match=r"^architecture must leave a radius"):
        ufm.collapse_threshold(ufm.LayerPeeled(1e308, 1e308), 3, 2)
    with pytest.raises(ValueError, match=r"^num_samples = 1 puts the threshold"):
        ufm.collapse_threshold(ufm.UnconstrainedFeatures(1e-200, 1e-200), 3, 2, num_samples=1)


GRID = {"num_majority": 5, "num_minority": 5, "ratio": [1.0, 3.0, 9.0], "E_W": 1.0, "E_H": [0.1, 1.0, 5.0]}


def test_names_and_symbols_of_a_diagram_are_one() -> None:
    symbols = {"K_A": 5, "K_B": 5, "R": [1.0, 3.0, 9.0], "E_W": 1.0, "E_H": [0.1, 1.0, 5.0]}
    assert ufm.phase_diagram(**GRID).identical(ufm.phase_diagram(**symbols))
    decay = {"num_classes": 8, "num_majority": 5, "ratio": 3.0, "lambda_": [0.01, 0.1], "minority_count": 2}
    other = {"K": 8, "K_A": 5, "R": 3.0, "lambda": [0.01, 0.1], "n_B": 2}
    assert ufm.phase_diagram(**decay).identical(ufm.phase_diagram(**other))
    with pytest.raises(TypeError, match=r"R must be given once, got 'R' as well"):
        ufm.phase_diagram(**GRID, R=2.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.assign_attrs(loss="bce"), "dataset must have the attribute loss"),
        (lambda d: d.drop_attrs(), "dataset must have the attribute loss"),
        (lambda d: d.drop_vars("phase"), "dataset must have the variable phase"),
        (lambda d: d.drop_vars("E_W"), "dataset must have the coordinates"),
        (lambda d: d.assign_coords(R=[1.0, math.nan, 3.0]), r"dataset must have the coordinates .* R"),
        (lambda d: d.assign_coords(rho=2.0), r"dataset must have the coordinates .* rho"),
        (lambda d: d.rename(R="imbalance"), "dataset must have"),
        (lambda d: d.to_array(), "dataset must be an xarray Dataset"),
        (lambda d: None, "dataset must be an xarray Dataset"),
    ],
)
@pytest.mark.parametrize("function", [ufm.phase_boundaries, ufm.plot_phase_diagram], ids=["boundaries", "plot"])
def test_diagrams_that_are_none_are_refused(function: Any, change: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        function(change(ufm.phase_diagram(**GRID)))


def test_files_of_what_is_no_diagram_are_refused(tmp_path: Any) -> None:
    with pytest.raises(TypeError, match="dataset must be an xarray Dataset"):
        ufm.save_phase_diagram({"phase": 1}, tmp_path / "x.nc")
    with pytest.raises(TypeError, match="path must be a path"):
        ufm.save_phase_diagram(ufm.phase_diagram(**GRID), 3)
    assert not list(tmp_path.iterdir())


def test_the_phases_are_the_package_s() -> None:
    assert PHASES is ufm.phases.PHASES
