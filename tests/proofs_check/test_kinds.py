"""Kinds of certificate that are files of their own: their conditions, tampering, and checkers with a mistake."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import certificate_oracle as oracle
import numpy as np
import pytest
from effort import count
from flint import arb, arb_mat
from json_schemas import accepted
from tampering import Json, check_rejected, edited, tampered_by_kind

import ufm
from proofs_check import checker, coq
from proofs_check.kinds import geometry, local_minimum, optimality
from proofs_check.kinds.reading import whole_power
from ufm.certificates import certify_geometry, certify_local_minimum, certify_uncollapsed
from ufm.landscape import TrappedMinimum

#: Of each of 16 kinds of tampering, for every kind of certificate: in full at least 1,000 of each.
ROUNDS = count(2, 80)

STORED = Path(__file__).parents[1] / "landscape"


@pytest.fixture(scope="module")
def certificates() -> dict[str, Json]:
    step = ufm.ClassPrior.step
    axes = [[1, 0, 0], [0, 1, 0]]
    made = {
        "none": certify_geometry(ufm.LayerPeeled(1, 5), step(3, 7, 10)),
        "single": certify_geometry(ufm.LayerPeeled(1, 2), step(1, 3, 20)),
        "partial": certify_geometry(ufm.LinearDEQ(1, 1, 0.5), step(3, 7, 1000)),
        "total": certify_geometry(ufm.LayerPeeled(1, 1), step(7, 3, 10)),
        "optimality": ufm.certify_etf_optimal(4, 4, Fraction(1, 16)).certificate(),
        "square": certify_local_minimum(TrappedMinimum.load(STORED / "square_k4.json")),
        "step": certify_local_minimum(TrappedMinimum.load(STORED / "step_k4.json")),
        "uncollapsed": certify_uncollapsed(
            ufm.LayerPeeled(2, 2),
            ufm.ClassPrior([2, 2]),
            axes,
            [[[*row[:2], sign] for sign in (1, -1)] for row in axes],
        ),
    }
    return {name: json.loads(certificate.to_json()) for name, certificate in made.items()}


WORDS = {
    "none": "the phase of the optimum is none, its features' squared ETF error is in",
    "optimality": "the simplex ETF is globally optimal, its risk in [",
    "square": "a local minimum in (W, A, H), A = rho on 2 features, is not global; value in [",
    "uncollapsed": "at some optimum two features of a class have a squared distance of 4",
}


def test_they_are_accepted_with_the_claim_in_words_and_fit_the_schema(certificates):
    for name, certificate in certificates.items():
        assert WORDS.get(name, "") in accepted(certificate, name).statement


CONDITIONS: list[tuple[str, dict[str, Any], str]] = [
    ("none", {"claim__loss": "mse"}, "cross-entropy"),
    ("none", {"claim__statement__phase": "partial"}, "box"),
    ("partial", {"claim__statement__phase": "none"}, "box"),
    (
        "partial",
        {"claim__statement__phase": "total", "witness": {}},
        "no proof that the point with minority features 0",
    ),
    ("none", {"claim__statement__phase": "collapsed"}, "phase must be one of"),
    ("none", {"claim__statement__etf_error_squared": ["0", "1/10000"]}, "etf_error_squared is not proved"),
    ("none", {"claim__statement__self_duality_error_squared": ["1", "2"]}, "self_duality_error_squared is not proved"),
    ("none", {"claim__statement__etf_error_squared": "1"}, "must be a list of 2"),
    ("none", {"claim__architecture__E_H": "5000001/1000000"}, "a zero in the box"),
    ("none", {"claim__prior__0__count": "11"}, "a zero in the box"),
    ("none", {"claim__prior__0__count": "1/2"}, "the first group must be the majority"),
    ("none", {"claim__prior__1__classes": 1}, "two groups"),
    ("none", {"witness__x": ["1/2", "3/2"]}, "box"),
    ("none", {"witness__t": ["1/2", "2"]}, "box"),
    ("none", {"witness__t": ["3", "4"]}, "leaves the simplex"),
    ("none", {"witness__x": ["2", "1"]}, "low < high"),
    ("total", {"claim__prior__0__count": "11/10"}, "minority features 0"),
    ("total", {"claim__architecture__E_W": "100"}, "minority features 0"),
    ("total", {"witness": {"x": ["1", "2"]}}, "witness must have exactly the keys"),
    ("optimality", {"claim__loss": "mse"}, "balanced classes and cross-entropy"),
    ("optimality", {"claim__architecture__E_A": "31/100"}, "not in the claimed"),
    ("optimality", {"claim__architecture__rho": "1/100"}, "sqrt(E_A) <= rho"),
    ("optimality", {"claim__architecture__E_A": "1"}, "E_A < 1"),
    ("optimality", {"claim__statement__upper": "12/25"}, "not in the claimed interval"),
    ("optimality", {"claim__statement__lower": "1"}, "not in the claimed interval"),
    ("optimality", {"claim__prior__0__classes": 2}, "3 to 64 classes"),
    ("optimality", {"witness__near__0": "9/2"}, "near: the bound of a column"),
    ("optimality", {"witness__near__1": "1/100000"}, "near: the multiplier is too small"),
    ("optimality", {"witness__near__1": "1"}, "near: the bound of a column"),
    ("optimality", {"witness__near__0": "2"}, "gap"),
    ("optimality", {"witness__boxes__0": ...}, "gap"),
    ("optimality", {"witness__boxes__5__4": "0", "witness__boxes__5__5": "0"}, "no proof of the bound"),
    ("optimality", {"witness__boxes__5__4": "-1"}, "not negative"),
    ("optimality", {"witness__boxes__5__1": "100"}, "gap"),
    ("square", {"claim__statement__rank": 3}, "P must be"),
    ("square", {"claim__statement__upper": "1/2"}, "value at the local minimum"),
    ("square", {"claim__architecture__rho": "599/1000"}, "gradient is too large"),
    (
        "square",
        {"claim__architecture__name": "unconstrained_features", "claim__architecture__rho": ...},
        "penalised_deq",
    ),
    ("square", {"claim__prior__0__count": "2"}, "strongly convex"),
    ("square", {"witness__P__0__0": "1"}, "strongly convex"),
    ("square", {"witness__curvature": "1"}, "strongly convex"),
    ("square", {"witness__curvature": "1/100000000000000000000000000000000"}, "gradient is too large"),
    ("square", {"witness__radius": "1"}, "strongly convex"),
    ("square", {"witness__slice": []}, "slice must name 1"),
    ("square", {"witness__slice": [4]}, "strongly convex"),
    ("square", {"witness__slice": [99]}, "slice must be an integer"),
    ("square", {"witness__left": ["0", "0", "0", "0"]}, "exceeds (1-rho) lam"),
    ("uncollapsed", {"claim__statement__distance_squared": "401/100"}, "as far apart"),
    ("uncollapsed", {"claim__statement__distance_squared": "0"}, "must be > 0"),
    ("uncollapsed", {"claim__architecture__E_W": "99/100"}, "exceeds a budget"),
    ("uncollapsed", {"claim__architecture__E_H": "199/100"}, "exceeds a budget"),
    ("uncollapsed", {"claim__loss": "ce"}, "mean squared error"),
    ("uncollapsed", {"claim__prior__0__count": "3"}, "features of class 0"),
    ("uncollapsed", {"claim__prior__0__count": "5/2"}, "integers"),
    ("uncollapsed", {"witness__W__0__0": "2"}, "risk of the witness is not 0"),
    ("uncollapsed", {"witness__features__1": ...}, "a list of 2 classes"),
]


@pytest.mark.parametrize(("name", "changes", "reason"), CONDITIONS)
def test_every_condition_stops_a_certificate(certificates, name, changes, reason):
    check_rejected(certificates[name], changes, reason)


def still_true(original: Json, text: str) -> bool:
    """Whether what was accepted is true: the original's claim, or one that the oracle confirms."""
    tampered = json.loads(text)
    claim, witness = tampered["claim"], tampered["witness"]
    if claim == original["claim"]:
        return True
    if claim["kind"] == "uncollapsed":
        found = oracle.uncollapsed_distance(claim, witness)
        return found is not None and found >= Fraction(claim["statement"]["distance_squared"])
    if claim["kind"] == "local-minimum":
        return oracle.local_minimum_holds(claim, witness)
    return oracle.holds(claim)


def test_the_oracle_confirms_the_claims(certificates):
    for name, certificate in certificates.items():
        moved = edited(certificate, format="another")  # for the oracle to look at all
        claim = moved["claim"] | {"note": ""}
        assert still_true(certificate, json.dumps(moved | {"claim": claim})), name


def test_no_tampered_certificate_passes_unless_its_claim_is_still_true(certificates):
    found = tampered_by_kind(random.Random(7), list(certificates.values()), ROUNDS, still_true)
    assert min(tried for tried, _ in found.values()) >= count(24, 1000)
    assert sum(accepted for _, accepted in found.values()) > 5  # wider intervals


def _without(name: str, module: Any, value: Any) -> Callable[[pytest.MonkeyPatch], None]:
    return lambda patch: patch.setattr(module, name, value)


MISTAKES: dict[str, tuple[str, Callable[[pytest.MonkeyPatch], None], dict[str, Any]]] = {
    "boxes need not cover": (
        "optimality",
        _without("check_cover", optimality, lambda *_: None),
        {"witness__boxes__9": ...},
    ),
    "the neighbourhood is not checked": (
        "optimality",
        _without("check_near", optimality, lambda *_: None),
        {"witness__near__0": "21/5"},
    ),
    "columns are not bounded": (
        "optimality",
        _without("check_box", optimality, lambda *_: 0),
        {"witness__boxes__3__4": "9"},
    ),
    "norms are not looked at": (
        "square",
        _without("check_norm", local_minimum, lambda *_: None),
        {"witness__left": ["0"] * 4},
    ),
    "every matrix is definite": (
        "square",
        _without("positive_definite", local_minimum, lambda _: True),
        {"witness__curvature": "1"},
    ),
    "rounding of six digits": ("none", _without("PRECISION", checker, 20), {}),
    "sides of other probabilities": (
        "none",
        _without("side", geometry, lambda k, others, beta, a, cos, flat: (beta * cos * k, beta * cos)),
        {},
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_checker_with_a_mistake_lets_a_false_certificate_or_loses_a_true_one(certificates, monkeypatch, mistake):
    name, make, changes = MISTAKES[mistake]
    tampered = edited(certificates[name], **changes)
    assert bool(checker.check(tampered)) is not bool(changes)
    make(monkeypatch)
    assert bool(checker.check(tampered)) is bool(changes)


def test_which_of_them_coq_can_check(certificates):
    for name, certificate in certificates.items():
        if name == "uncollapsed":
            assert "Theorem fact_1" in coq.export(certificate)
        else:
            assert coq.check_with_coq(certificate).accepted is None


@pytest.mark.usefixtures("with_coq")
def test_coq_refuses_a_false_uncollapsed_optimum(certificates):
    assert coq.check_with_coq(edited(certificates["uncollapsed"], claim__architecture__E_H="3/2")).accepted is False


def test_krawczyk_needs_a_box_around_the_zero(certificates):
    """A box next to the optimum, of the same size, holds no zero: it is refused."""
    for name in ("none", "single", "partial"):
        ends = [Fraction(x) for x in certificates[name]["witness"]["t"]]
        moved = [str(x + 3 * (ends[1] - ends[0])) for x in ends]
        assert not checker.check(edited(certificates[name], witness__t=moved))


def test_corners_bound_a_column_from_below(certificates):
    """On random rectangles the bound is below the column's value at random points of it, and near at small ones."""
    data = certificates["optimality"]
    with checker.precision(128):
        model = optimality.Model(checker.read_claim(data))
        rng = random.Random(3)
        for _ in range(300):
            kappa, lam = rng.random() * 0.3, rng.random()
            s1, d1, width = rng.uniform(-1, 4), rng.uniform(0, 2), rng.choice([1e-4, 0.1, 1.0])
            s, d = s1 + width * rng.random(), d1 + width * rng.random()
            n = model.n
            value = oracle.mp.log1p(oracle.mp.exp(-(n - 1) * d - s) + (n - 1) * oracle.mp.exp(d - s))
            value += lam * s - kappa * (n / model.k * s * s + n * (n - 1) * d * d)
            low = optimality.corner(model, *map(arb, (kappa, lam, s1, s1 + width, d1, d1 + width)))
            assert float(low) <= float(value) + 1e-12
            assert width > 1e-3 or float(value) - float(low) < 1e-2


def test_the_hessian_of_a_local_minimum_is_the_derivative_of_its_gradient(certificates):
    with checker.precision(256):
        _compare_derivatives(checker.read_claim(certificates["step"]))


def _compare_derivatives(claim: checker.Claim) -> None:
    rng = random.Random(1)
    rows = [[[arb(rng.uniform(-1, 1)) for _ in range(2)] for _ in range(4)] for _ in range(2)]
    step = arb(2) ** -40

    def at(index: int, move: arb) -> local_minimum.Point:
        moved = [[list(row) for row in part] for part in rows]
        moved[index // 8][index // 2 % 4][index % 2] += move
        return local_minimum.Point(claim, *map(arb_mat, moved))

    hessian, first = at(0, arb(0)).second(), at(0, arb(0)).first()
    for j in range(16):
        ahead, behind = at(j, step), at(j, -step)
        assert abs((ahead.value() - behind.value()) / (2 * step) - first[j]) < 1e-18
        slopes = [(x - y) / (2 * step) for x, y in zip(ahead.first(), behind.first(), strict=True)]
        assert all(abs(slope - hessian[i, j]) < 1e-18 for i, slope in enumerate(slopes))


def test_a_local_minimum_on_the_axes_is_certified():
    """Balls about exactly 0: which of its rotations a descent ends in hangs on the processor."""
    square = TrappedMinimum.load(STORED / "square_k4.json")
    axes = float(abs(square.left[0]).max()) * np.array([[0.0, -1], [-1, 0], [1, 0], [0, 1]])
    size = np.linalg.norm(square.left, axis=1).mean() / np.linalg.norm(axes, axis=1).mean()
    found = certify_local_minimum(replace(square, left=size * axes, right=size * axes))
    assert found.check().accepted
    assert found.relative_width < 1e-20


@pytest.mark.parametrize("n", [1, 2, 3, 8])
def test_whole_powers_hold_the_powers_of_what_a_ball_holds(n: int) -> None:
    rng = random.Random(n)
    for middle, radius in ((0.0, 1e-3), (0.0, 2.0), (1e-30, 1.0), (-2.0, 0.5), (0.5, 0.0), (0.0, 0.0)):
        ball = arb(middle, radius)
        found = whole_power(ball, n)
        assert found.is_finite()
        inside = [middle + radius * rng.uniform(-1, 1) for _ in range(20)]
        inside.append(0.0 if radius >= abs(middle) else middle)
        assert all(found.contains(arb(x) ** n) for x in inside)
        assert found.abs_upper() <= 1.0001 * ball.abs_upper() ** n
        assert n % 2 or middle or found.lower() >= -1e-6 * found.abs_upper()
    assert not whole_power(arb("nan"), n).is_finite()
