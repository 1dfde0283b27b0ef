"""Claims of one's own that are odd: fields that are none, checks that end otherwise, files that do not load."""

from __future__ import annotations

import json
import os
import sys

import numpy as np
import pytest

import ufm
from ufm._verdicts import Outcome, Store
from ufm.claims import Figure, package_claims
from ufm.claims.plugins import claims_of
from ufm.cli import main


def run(monkeypatch, *words):
    """The exit status of a command."""
    monkeypatch.setattr(sys, "argv", ["ufm", *words])
    with pytest.raises(SystemExit) as end:
        main()
    return end.value.code


def found(summary="as it should be", **fields):
    return ufm.Evidence("supported", summary, established_by=("a test",), **fields)


def stated(check=lambda context: found(), **fields):
    given = {"id": "odd-claim", "title": "t", "statement": "s.", "source": "a test", "group": "g", "check": check}
    return ufm.Claim(**{**given, **fields})


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"id": "a" * 101}, "claim id must have at most 100 characters"),
        ({"region": 5}, "region of claim 'odd-claim' must be a non-empty string"),
        ({"variants": ["a"]}, "variants of claim 'odd-claim' must be a dictionary of claims"),
        ({"variants": {"wrong": 5}}, "must be claims by what is wrong in each, got 5 by 'wrong'"),
        ({"off_by": 3, "resolution": 0.1}, "off_by of claim 'odd-claim' must be a function"),
        ({"off_by": stated, "resolution": "a"}, "resolution of claim 'odd-claim' must be a real number"),
        ({"off_by": stated, "resolution": 0.0}, r"resolution of claim 'odd-claim' must be in \(0, 1\)"),
        ({"off_by": stated, "resolution": -1e-3}, r"resolution of claim 'odd-claim' must be in \(0, 1\)"),
        ({"topic": 5}, "topic of claim 'odd-claim' must be a string"),
        ({"core": "no"}, "core of claim 'odd-claim' must be True or False"),
    ],
)
def test_fields_of_a_claim(fields, words):
    with pytest.raises((TypeError, ValueError), match=words):
        stated(**fields)


def test_what_is_off_is_a_claim():
    with pytest.raises(TypeError, match="off_by of claim 'odd-claim' must return a Claim, got 5"):
        stated(off_by=lambda x: 5, resolution=0.1).false_variants


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"figures": (5,)}, "figures must hold Figure objects, got 5"),
        ({"details": [1]}, "details must be a dictionary"),
        ({"details": None}, "details must be a dictionary"),
        ({"details": {"n": 10**5000}}, "integers of at most 4000 digits"),
        ({"cites": ("etf-gram",)}, "cites must hold Citation objects"),
        ({"instances": "true"}, "instances must be one of 'proved'"),
    ],
)
def test_fields_of_evidence_are_looked_at_where_they_are_given(fields, words):
    """Later, in the report, they took the verdicts of all other claims with them."""
    with pytest.raises((TypeError, ValueError), match=words):
        found(**fields)
    (verdict,) = ufm.verify([stated(lambda context: found(**fields))])
    assert verdict.status is ufm.Status.inconclusive


def test_figures_that_are_ones_are_kept():
    figure = Figure("curves", "t", "c", {})
    assert found(figures=[figure]).figures == (figure,)


class Mute(Exception):
    def __str__(self):
        raise RuntimeError("no words")


def raising(error):
    def check(context):
        raise error

    return check


@pytest.mark.parametrize("error", [Mute(), GeneratorExit(), BaseException("own"), SystemExit(0)], ids=repr)
def test_whatever_a_check_raises_the_next_has_its_turn(error, tmp_path):
    claims = [stated(raising(error)), stated(id="next-claim")]
    verdicts = list(ufm.verify(claims, out=tmp_path))
    assert [v.status.value for v in verdicts] == ["inconclusive", "supported"]
    assert verdicts[0].evidence.summary.startswith(f"the check failed: {type(error).__name__}")
    assert len(json.loads((tmp_path / "report.json").read_text())["verdicts"]) == 2


def test_an_outcome_of_pytest_is_a_failure():
    (verdict,) = ufm.verify([stated(lambda context: pytest.fail("as a test"))])
    assert verdict.evidence.summary == "the check failed: Failed: as a test"


def test_what_a_check_sets_is_not_for_the_next(tmp_path, monkeypatch):
    """The folder it runs in, from which the report was lost, and what NumPy does at an overflow."""
    monkeypatch.chdir(tmp_path)

    def moved(context):
        np.seterr(all="raise")
        os.chdir("/")
        return found()

    before = np.geterr()
    assert [v.status.value for v in ufm.verify([stated(moved)], out="report")] == ["supported"]
    assert (tmp_path / "report" / "report.json").is_file()
    assert np.geterr() == before


OWN = """
import ufm
print("noise of the file")
@ufm.claim(id="{id}", title="t", statement="s.", source="x")
def check(context):
    print("noise of the check")
    return ufm.Evidence("supported", "ok", established_by=("x",))
"""


@pytest.mark.parametrize("command", [("verify", "--out", "report"), ("claims",)], ids=lambda words: words[0])
def test_what_claims_print_is_not_among_the_json(tmp_path, monkeypatch, capsys, command):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.py").write_text(OWN.format(id="own-noise"))
    assert run(monkeypatch, *command, "--claims", "own.py", "--json") == 0
    told = capsys.readouterr()
    json.loads(told.out)
    assert "noise of the file" in told.err


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("import sys\nsys.exit(0)", "which raised SystemExit: 0 .*line 2"),
        ("def (", "which raised SyntaxError"),
        ("x = 1\n1 / 0", "which raised ZeroDivisionError: division by zero .*line 2"),
        ("import nowhere_at_all", "which raised ModuleNotFoundError"),
        ("print(1)", "with none"),
    ],
)
def test_a_file_that_does_not_load_is_wrong_usage(tmp_path, monkeypatch, text, words):
    """One that ends in sys.exit() ended the command with status 0, as if all had come out as claimed."""
    path = tmp_path / "own.py"
    path.write_text(text)
    with pytest.raises(ValueError, match=words):
        claims_of(str(path))
    assert run(monkeypatch, "verify", "--claims", str(path), "--out", str(tmp_path / "out")) == 2


@pytest.mark.parametrize("source", ["", "..", "a b", "nowhere_at_all", "ufm.nowhere", "own.txt"])
def test_a_source_that_is_none_is_named(source):
    with pytest.raises(ValueError, match=r"--claims must name a .py file or a module, got"):
        claims_of(source)


def test_a_module_is_named_as_its_file_is(tmp_path, monkeypatch):
    """Python imports a module whose file's name is no name of a variable."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "own-claims.py").write_text(OWN.format(id="own-dashed"))
    assert list(claims_of("own-claims")) == ["own-dashed"]
    monkeypatch.delitem(sys.modules, "own-claims")


@pytest.mark.parametrize("held", ["[check]", "(check,)", "{check}", "{'mine': check}"])
def test_claims_in_any_collection_are_found(tmp_path, held):
    path = tmp_path / "own.py"
    path.write_text(OWN.format(id="own-held") + f"\nHELD = {held}\ndel check\n")
    assert list(claims_of(str(path))) == ["own-held"]


def test_no_verdict_is_kept_of_a_claim_whose_code_no_key_knows(tmp_path, monkeypatch):
    """An installed claim that is edited between two runs would have gone on from its old verdict."""
    from ufm import claims as room

    mine = stated(id="of-another-package")
    monkeypatch.setattr(room, "_collect", lambda: package_claims() | {mine.id: mine})
    assert room.all_claims()[mine.id] is mine
    store, outcome = Store(tmp_path, "key"), Outcome(found(), 0.1)
    store.save(mine, outcome)
    assert store.load(mine) is None
    of_package = next(iter(package_claims().values()))
    store.save(of_package, outcome)
    assert store.load(of_package) == outcome


def test_said_of_an_error_needs_no_words():
    from ufm._words import said

    assert said(Mute()) == "Mute, whose message cannot be shown"


@pytest.mark.parametrize("command", ["verify", "claims"])
def test_an_id_of_the_library_is_not_taken(tmp_path, monkeypatch, capsys, command):
    """Else a report says of one's own statement that the library's claim is proved."""
    path = tmp_path / "own.py"
    path.write_text(OWN.format(id="lpm-balanced-etf"))
    out = ["--out", str(tmp_path / "out")] if command == "verify" else []
    assert run(monkeypatch, command, "--claims", str(path), *out) == 2
    assert "must not take the id 'lpm-balanced-etf', that of another claim: Balanced" in capsys.readouterr().err
    assert claims_of("ufm.claims.balanced", taken=package_claims())["lpm-balanced-etf"].topic == "balance"
