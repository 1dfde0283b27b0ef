"""What turned out false: the list, its claims, and where a reader finds it."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from ufm.claims import CORRECTIONS, Correction, all_claims, correction_of
from ufm.report import build_report, claims_table_markdown
from ufm.verification import Verification

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def library():
    spec = importlib.util.spec_from_file_location("library", ROOT / "docs" / "_ext" / "library.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_each_is_established_by_claims_that_stand_so_to_their_source():
    known = all_claims()
    for found in CORRECTIONS:
        assert set(found.claims) <= set(known), found.name
        assert known[found.claims[0]].standing in ("corrected", "refuted", "sharpened"), found.name
    assert len(CORRECTIONS) == len({found.name for found in CORRECTIONS}) >= 17


def test_a_claim_finds_its_own_among_others():
    one, two = Correction("a", "A", "not A", ("x",)), Correction("b", "B", "not B", ("y", "x"))
    assert correction_of("x", [one, two]) is one
    assert correction_of("y", [one, two]) is two
    assert correction_of("z", [one, two]) is None


def test_the_table_says_what_is_claimed_what_is_true_and_by_what():
    import ufm

    run = ufm.verify("mse-bias-switch")
    assert isinstance(run, Verification)
    list(run)
    text = claims_table_markdown(build_report(run))
    (row,) = [line for line in text.splitlines() if line.startswith("| Squared error with a bias has the simplex ETF")]
    assert "if and only if λ\\_b ≤ c/(1 − c)" in row
    assert "`mse-bias-switch`, proved: theorem `mse-bias-switch` (Coq " in row


def test_the_page_of_a_claim_says_both_and_links_the_list(library):
    page = library.claim_page(all_claims()["sphere-spurious-minimum"], None)
    assert page.index("## What is claimed") < page.index("## What is true") < page.index("## Statement")
    assert "(false.md)" in page
    assert "## What is claimed" not in library.claim_page(all_claims()["lpm-balanced-etf"], None)


def test_the_list_has_every_one_with_its_claims(library):
    claims = list(all_claims().values())
    verdict = {"status": "proved", "details": {"proofs": [{"theorem": "etf-gram", "coq": "7 of 7 steps"}]}}
    page = library.turned_out_false(claims, {"etf-error-floor": verdict})
    for number, found in enumerate(CORRECTIONS, 1):
        assert f"## {number}. {library.escaped(found.name)}" in page
        assert all(f"({name}.md)" in page for name in found.claims)
    assert "theorem {download}`etf-gram <../../proofs_check/theorems/etf_gram.py>` (Coq 7 of 7 steps)" in page
    assert (ROOT / "proofs_check/theorems/etf_gram.py").is_file()
    _, others = page.split("## Other statements put right")
    assert "(within-class-collapse-slack.md)" in others
    assert "(mse-bias-switch.md)" not in others
