"""The claims themselves: each comes out as claimed, and false variants of them never do."""

from __future__ import annotations

import importlib
import inspect
import re
import tomllib
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import sympy as sp
from claim_samples import NETWORK

import ufm
from proofs_check.checker import check_file
from ufm.claims import Claim, Context, Status, all_claims, balanced, collapse, relaxation
from ufm.claims.soundness import false_claims, false_theorems

#: The weakest status a claim may have here.
EXPECTED = {
    name: Status(status)
    for module in tomllib.loads(Path(__file__).with_name("expected.toml").read_text(encoding="utf-8")).values()
    for name, status in module.items()
}
FALSE = false_claims()
DOCS = Path(__file__).parents[2] / "docs"
#: What claims and variants of them compute alike, computed once.
SHARED: dict[str, Any] = {}


def test_every_claim_is_tested() -> None:
    assert set(all_claims()) == {*EXPECTED, *NETWORK, "soundness-suite"}


def test_no_claim_overlooks_a_thousandth() -> None:
    """Every resolution, which the false variants of that size measure, is 1e-3 or finer."""
    stated = {name: claim.resolution for name, claim in all_claims().items() if claim.resolution is not None}
    assert len(stated) > 110
    assert {name: size for name, size in stated.items() if size > 1e-3} == {}


def without_numbers() -> dict[str, set[str]]:
    """The table of claims that have no number to be off by: what they say, and which they are."""
    text = (DOCS / "claims.md").read_text(encoding="utf-8")
    table = text.split("## Without a number to be off by")[1].split("##")[0]
    return {
        row.split("|")[1].strip(): set(re.findall(r"`([\w-]+)`", row.split("|")[2]))
        for row in table.splitlines()
        if row.startswith("| ") and "`" in row
    }


def test_every_claim_says_what_it_would_notice_or_why_not() -> None:
    listed = [name for names in without_numbers().values() for name in names]
    assert len(listed) == len(set(listed))
    assert set(listed) == {name for name, claim in all_claims().items() if claim.resolution is None}


def test_what_is_supported_says_what_it_would_notice() -> None:
    """Trainings, judged by the errors that they state, and the verifier are the exceptions."""
    supported = {name for name in all_claims() if EXPECTED.get(name, Status.supported) is Status.supported}
    assert {name for name in supported if all_claims()[name].resolution is None} == {*NETWORK, "soundness-suite"}


#: Claims whose numbers theorems alone decide, and those theorems.
DECIDED = {
    "deq-frobenius-counterexample": "square_code_beats_etf",
    "threshold-not-log-convex": "threshold_not_log_convex",
    "focal-first-order": "focal_first_order",
    "deep-mse-larger-root": "deep_mse_threshold",
    "deep-square-scale": "deep_square_scale",
}


def test_numbers_that_theorems_decide_are_pieces_of_them() -> None:
    """Which are made false by a thousandth where theorems are tested."""
    (names,) = (names for said, names in without_numbers().items() if "theorem alone" in said)
    assert names == set(DECIDED)
    for theorem in DECIDED.values():
        prove = importlib.import_module(f"proofs_check.theorems.{theorem}").prove
        assert any(isinstance(p.default, sp.Expr) for p in inspect.signature(prove).parameters.values()), theorem


@pytest.mark.parametrize("claim", EXPECTED)
def test_claim(claim: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ufm.verification.Context", partial(Context, cache=SHARED))
    (verdict,) = ufm.verify([claim], out=tmp_path if EXPECTED[claim] is Status.certified else None)
    assert verdict.error is None
    assert verdict.status is EXPECTED[claim], verdict.evidence
    if EXPECTED[claim] is Status.certified:  # what is called so leaves files that the checker accepts
        files = verdict.evidence.details["certificates"]
        assert files
        assert all(check_file(tmp_path / file).accepted for file in files)


@pytest.mark.parametrize("name", FALSE)
@pytest.mark.sample(120)
def test_false_variant_is_not_taken_for_true(name: str) -> None:
    evidence = FALSE[name].check(Context(cache=SHARED))
    assert evidence.status in (Status.refuted, Status.inconclusive), evidence.summary


#: Wrong by less than any instance can tell, or right on the instances alone: only the proof knows, and it proves other
#: numbers than these.
BELOW_RESOLUTION = {
    "balanced value": balanced.layer_peeled_claim(lambda k, t: balanced.etf_value(k, t) * (1 + 1e-12)),
    "balanced DEQ, right on the instances": balanced.deq_balanced_claim(
        lambda t, rho: t / (1 - rho) if rho in (0.0, 0.3, 0.5, 0.9) else t
    ),
    "relaxation": relaxation.relaxation_claim(1 + 1e-12),
    "rescaled DEQ": relaxation.deq_is_rescaled_claim(shrink=lambda rho: (1 - rho) * (1 + 1e-12)),
    "weight decay, CE": collapse.penalised_claim("ce", factor=1 + 1e-7),
    "weight decay, MSE": collapse.penalised_claim("mse", power=2 + 1e-8),
    "MSE": collapse.mse_claim(exponent=0.5 + 1e-12),
    "total collapse": collapse.total_claim(critical_factor=1.0001),
}


@pytest.mark.parametrize("name", BELOW_RESOLUTION)
@pytest.mark.sample(4)
def test_no_proof_is_lent_to_other_numbers(name: str) -> None:
    evidence = BELOW_RESOLUTION[name].check(Context())
    assert evidence.status not in (Status.proved, Status.certified), evidence.summary


@pytest.mark.parametrize("error", [-1e-9, 1e-9])
@pytest.mark.sample(1)
def test_values_are_compared_far_below_a_billionth(error: float) -> None:
    for claim in (
        balanced.layer_peeled_claim(lambda k, t: balanced.etf_value(k, t) * (1 + error)),
        relaxation.relaxation_claim(1 + error),
    ):
        evidence = claim.check(Context())
        assert evidence.status is Status.refuted, evidence.summary


def test_number_of_false_variants() -> None:
    theorems = false_theorems()
    assert len(set(FALSE)) + len(set(theorems)) >= 60
    assert len(theorems) == len(set(theorems))


def test_most_false_values_are_refuted_not_just_left_open() -> None:
    """Inconclusive is allowed, but a suite that only ever shrugs would be no test of the certificates."""
    names = [n for n in FALSE if n.startswith(("balanced value", "Fang", "rescaled DEQ"))]
    assert len(names) >= 9
    assert all(FALSE[n].check(Context()).status is Status.refuted for n in names)


def test_a_check_that_crashes_supports_nothing() -> None:
    def crash(_: Context) -> None:
        raise ZeroDivisionError("on purpose")

    claim = Claim(id="crash", title="t", statement="s", source="none", check=crash, group="g")  # type: ignore[arg-type]
    (verdict,) = ufm.verify([claim])
    assert verdict.status is Status.inconclusive
    assert "ZeroDivisionError" in str(verdict.error)


def test_certificates_are_kept_beside_the_report(tmp_path: Path) -> None:
    list(ufm.verify(["fang-thresholds", "three-phases", "lpm-balanced-etf"], out=tmp_path))
    files = sorted((tmp_path / "certificates").glob("*.json"))
    assert {f.name.split("-")[0] for f in files} == {"balanced", "phase", "threshold"}
    assert all(check_file(f).accepted for f in files)


@pytest.mark.parametrize("claim", ["collapse-criterion", "within-class-collapse", "deq-balanced-etf"])
@pytest.mark.sample(1)
def test_same_seed_same_evidence(claim: str) -> None:
    first, second = (next(iter(ufm.verify([claim], seed=3))).evidence for _ in range(2))
    assert first == second
