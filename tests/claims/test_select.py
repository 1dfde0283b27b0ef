"""Claims found by paper, topic, loss, model and standing, in Python and on the command line."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from ufm.claims import STANDINGS, all_claims, select
from ufm.claims.papers import PAPERS, TOPICS
from ufm.cli import app


def listed(*arguments: str) -> list[str]:
    done = CliRunner().invoke(app, ["claims", "--json", *arguments])
    assert done.exit_code == 0, done.output
    return [claim["id"] for claim in json.loads(done.output)]


def test_every_claim_says_what_it_is_found_by():
    for claim in all_claims().values():
        assert claim.topic in TOPICS, claim.id
        assert set(claim.papers) <= set(PAPERS), claim.id
        assert claim.standing in STANDINGS, claim.id


def test_what_is_found_is_about_all_that_was_asked():
    some = select(paper="fang2021")
    assert 0 < len(some) < len(all_claims())
    assert all("fang2021" in claim.papers for claim in some)
    both = select(paper="fang2021", topic=some[0].topic)
    assert both == [claim for claim in some if claim.topic == some[0].topic]
    assert select() == list(all_claims().values())
    assert [c.id for c in select(standing="refuted")] == [
        c.id for c in all_claims().values() if c.standing == "refuted"
    ]


def test_the_command_line_finds_the_same():
    assert listed("--paper", "fang2021") == [claim.id for claim in select(paper="fang2021")]
    assert listed("--verdict", "refuted") == [claim.id for claim in select(standing="refuted")]
    assert listed() == list(all_claims())


def test_an_unknown_key_is_refused_with_those_there_are():
    with pytest.raises(ValueError, match=r"paper must be one of .*fang2021"):
        select(paper="nobody1999")
    done = CliRunner().invoke(app, ["claims", "--topic", "cooking"])
    assert done.exit_code == 2
    assert "topic" in done.output
