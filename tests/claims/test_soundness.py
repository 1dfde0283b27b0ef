"""The loop of the claim ``soundness-suite``: what it counts, and what it makes of a false variant that passes."""

from __future__ import annotations

import pytest

from proofs_check import theorems
from ufm._pieces import Pieces
from ufm._verdicts import Store
from ufm.claims import Claim, Context, Evidence, Status, all_claims, soundness


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


def test_stopped_it_goes_on_from_the_variants_that_were_tried(monkeypatch, tmp_path):
    tried: list[str] = []

    def variant(name: str, stops: bool) -> Claim:
        def check(context: Context) -> Evidence:
            tried.append(name)
            if stops and tried.count(name) == 1:
                raise KeyboardInterrupt
            return Evidence("refuted", "a word", established_by=("a word",))

        return Claim("a-claim", "title", "statement", "source", check, "group")

    claims = {f"variant {i}": variant(f"variant {i}", i == 40) for i in range(70)}
    monkeypatch.setattr(soundness, "false_claims", lambda core: claims)
    monkeypatch.setattr(soundness, "false_theorems", list)
    with pytest.raises(KeyboardInterrupt):
        soundness._check(Context(out=tmp_path))
    assert soundness._check(Context(out=tmp_path)).details["by status"] == {"refuted": 70}
    assert tried == [f"variant {i}" for i in (*range(41), *range(40, 70))]
    soundness._check(Context(out=tmp_path, effort="full"))  # another run: from the start
    assert len(tried) == 71 + 70


def test_a_run_that_does_not_resume_forgets_the_variants_that_were_tried(tmp_path):
    pieces = Pieces(tmp_path, "soundness-suite", "quick", 0)
    pieces.add("a variant", "refuted")
    pieces.write()
    assert Pieces(tmp_path, "soundness-suite", "quick", 0).found == {"a variant": "refuted"}
    Store(tmp_path, "key").clear(soundness.CLAIMS)
    assert Pieces(tmp_path, "soundness-suite", "quick", 0).found == {}


def test_counts_say_how_many_each_claim_has(monkeypatch):
    counts = suite(monkeypatch, ["refuted"] * 60).details["false variants of a claim"]
    assert counts["fang-thresholds"] == len(all_claims()["fang-thresholds"].false_variants) >= 3
    assert "seli-path-margins" not in counts  # not of the core
