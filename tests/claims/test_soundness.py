"""The loop of the claim ``soundness-suite``: what it counts, and what it makes of a false variant that passes."""

from __future__ import annotations

import pytest

from proofs_check import theorems
from ufm.claims import Claim, Context, Evidence, Status, soundness


def ending(status: str) -> Claim:
    """A claim whose check comes out so."""
    evidence = Evidence(status, "a word", established_by=("a word",))
    return Claim("a-claim", "title", "statement", "source", lambda context: evidence, "group")


def suite(monkeypatch: pytest.MonkeyPatch, statuses: list[str]) -> Evidence:
    claims = {f"variant {i}": ending(status) for i, status in enumerate(statuses)}
    monkeypatch.setattr(soundness, "false_claims", lambda core: claims)
    monkeypatch.setattr(
        soundness, "false_theorems", lambda: [("etf-gram", name) for name in theorems.mutants("etf-gram")]
    )
    return soundness._check(Context())


def test_sixty_that_fail_support_it(monkeypatch):
    found = suite(monkeypatch, ["refuted"] * 50 + ["inconclusive"] * 10)
    assert found.status is Status.supported
    assert found.details["taken for true"] == []
    assert found.details["by status"]["refuted"] >= 50


@pytest.mark.parametrize("status", ["proved", "certified", "supported"])
def test_one_that_passes_is_named_and_leaves_it_open(monkeypatch, status):
    found = suite(monkeypatch, ["refuted"] * 60 + [status])
    assert found.status is Status.inconclusive
    assert found.details["taken for true"] == ["variant 60"]


def test_few_variants_show_nothing(monkeypatch):
    assert suite(monkeypatch, ["refuted"] * 3).status is Status.inconclusive
