"""More than a thousand random tamperings of valid certificates: none may pass unless its claim is still true.

Truth is decided by ``certificate_oracle`` (50 digits, other formulas, other code). What a tampering of the witness
alone leaves accepted proves the same, true claim.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import certificate_oracle as oracle
import pytest
from tampering import (
    TAMPERINGS,
    Json,
    change_number,
    easier_problem,
    narrow,
    rename,
    swap_witness,
    tampered_texts,
    widen,
)

import ufm
from proofs_check import checker
from ufm.certificates import certify_square_code

ROUNDS = 150  # of every kind of tampering; there are 16 kinds


@pytest.fixture(scope="module")
def pool() -> list[Json]:
    step = ufm.ClassPrior.step
    lpm, deq = ufm.LayerPeeled(1, 5), ufm.LinearDEQ(0.3, 0.7, 0.5)
    weak, strong = ufm.PenalisedDEQ(5e-3, 5e-3, 0.5), ufm.UnconstrainedFeatures(2e-2, 2e-2)
    square = [[1, 0], [0, 1], [-1, 0], [0, -1]]
    made = [
        ufm.certify(ufm.solve(lpm, step(3, 7, 10))),
        ufm.certify(ufm.solve(lpm, step(3, 7, 1000))),
        ufm.certify(ufm.solve(deq, step(5, 5, 4))),
        ufm.certify(ufm.solve(ufm.DeepLinear((3.0, 4.0)), ufm.ClassPrior.balanced(6))),
        ufm.certify(ufm.solve(weak, step(2, 3, 12))),
        ufm.certify(ufm.solve(strong, step(5, 5, 10))),
        ufm.certify(ufm.solve(deq, step(3, 7, 10), "mse")),
        ufm.certify(ufm.solve(lpm, step(3, 7, 10), "mse")),
        ufm.certify(ufm.solve(weak, step(2, 3, 12), "mse")),
        ufm.certify_threshold(lpm, 3, 7),
        ufm.certify_threshold(deq, 5, 5),
        ufm.certify_threshold(lpm, 3, 7, loss="mse"),
        ufm.certify_threshold(ufm.LayerPeeled(0.1, 0.5), 3, 7, loss="mse"),
        ufm.certify_threshold(weak, 3, 7, num_samples=600),
        ufm.certify_threshold(weak, 3, 7, majority_count=100),
        ufm.certify_threshold(weak, 3, 7, loss="mse", minority_count=20),
        ufm.certify_phase(lpm, step(3, 7, 10)),
        ufm.certify_phase(lpm, step(3, 7, 1000)),
        ufm.certify_phase(ufm.LayerPeeled(1, 1), step(5, 5, 10)),
        ufm.certify_phase(strong, step(5, 5, 10)),
        ufm.certify_phase(ufm.UnconstrainedFeatures(8e-3, 8e-3), step(5, 5, 80)),
        ufm.certify_phase(deq, step(3, 7, 10), "mse"),
        certify_square_code(),
        ufm.certify_counterexample(
            {"name": "deep_linear", "budgets": [4, 2, 4]},
            4,
            [square, [[1, 0], [0, 1]], [list(column) for column in zip(*square, strict=True)]],
        ),
    ]
    return [json.loads(certificate.to_json()) for certificate in made]


def still_true(original: Json, text: str) -> bool:
    """Whether what was accepted is true: the original's claim, or one that the oracle confirms."""
    tampered = json.loads(text)
    if tampered["claim"] == original["claim"]:
        return True
    if tampered["claim"]["kind"] == "counterexample":
        margin = oracle.counterexample_margin(tampered["claim"], tampered["witness"])
        return bool(margin >= oracle.big(tampered["claim"]["statement"]["margin"]))
    return oracle.holds(tampered["claim"])


def test_the_certificates_that_get_tampered_with_are_valid_and_true(pool):
    for certificate in pool:
        assert checker.check(certificate)
        if certificate["claim"]["kind"] == "counterexample":
            margin = oracle.counterexample_margin(certificate["claim"], certificate["witness"])
            assert margin >= oracle.big(certificate["claim"]["statement"]["margin"])
        else:
            assert oracle.holds(certificate["claim"])


def test_no_tampered_certificate_passes_unless_its_claim_is_still_true(pool):
    rng = random.Random(20240117)
    counts: Counter[str] = Counter()
    for tamper in TAMPERINGS:
        for original, text in tampered_texts(rng, pool, tamper, ROUNDS):
            outcome = checker.check(text)
            counts["accepted" if outcome else "rejected"] += 1
            assert outcome.reason
            if outcome:
                assert still_true(original, text), (outcome.statement, text[:2000])
    assert counts.total() == ROUNDS * len(TAMPERINGS) >= 1000
    # both happen: most tamperings are caught, and some (a wider interval) leave a true claim
    assert counts["rejected"] >= 0.8 * counts.total()
    assert counts["accepted"] >= 50


def _without_budget(value: Any, name: str, rows: int, columns: int | None, budget: Any) -> Any:
    return checker.matrix(value, name, rows, columns, checker.MAX_FACTOR_SIZE)


WRONG_ON_PURPOSE: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "norms of gradients are not checked": lambda m: m.setattr(checker, "spectral_norm_at_most", lambda *_: True),
    "factors weigh nothing": lambda m: m.setattr(
        checker, "factor_norms", lambda claim, *_: tuple(checker.arb(0) for _ in range(3))
    ),
    "rho is not read": lambda m: m.setattr(checker, "fraction", lambda *_: checker.fmpq(0)),
    "rounding of six digits": lambda m: m.setattr(checker, "PRECISION", 12),
    "Frobenius norms are not checked": lambda m: m.setattr(checker, "factor_matrix", _without_budget),
    "optimum with s_B = 0 taken anywhere": lambda m: m.setattr(
        checker, "multiplier_ratio", lambda *args: checker.arb(2 if args[-1] in ("above", "angle") else 0)
    ),
}


@pytest.mark.parametrize("mistake", WRONG_ON_PURPOSE)
def test_a_checker_with_a_mistake_lets_a_false_claim_or_loses_a_true_one(pool, monkeypatch, mistake):
    """The tamperings above have teeth: a checker wrong on purpose does not come through them."""
    WRONG_ON_PURPOSE[mistake](monkeypatch)
    if not all(checker.check(certificate) for certificate in pool):
        return  # caught by the valid certificates already
    rng = random.Random(5)
    for tamper in (
        easier_problem,
        narrow,
        change_number("claim"),
        change_number("witness"),
        swap_witness,
        rename,
        widen,
    ):
        for original, text in tampered_texts(rng, pool, tamper, 300):
            if checker.check(text) and not still_true(original, text):
                return
    pytest.fail(f"nothing noticed that {mistake}")
