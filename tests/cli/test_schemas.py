"""The schemas of the commands' JSON: complete, described, strict, and the page that is made from them.

That outputs are valid is checked wherever a test asks a command for JSON: ``ufm_cli`` in test_cli.py, and below.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import typer.main
from json_schemas import check_file, check_output
from matplotlib.figure import Figure
from typer.testing import CliRunner

import ufm
from ufm._verdicts import Store, checked
from ufm.claims import Context, all_claims
from ufm.cli import app
from ufm.cli.schemas import COMMANDS, FILES, file_schema, output_schema, page
from ufm.measures import History

ROOT = Path(__file__).parents[2]
BUDGETS = ("--E-W", "1", "--E-H", "5", "--majority", "5", "--minority", "5")


def commands(command: Any = None, path: tuple[str, ...] = ()) -> Iterator[str]:
    command = typer.main.get_command(app) if command is None else command
    inner = getattr(command, "commands", None)
    if inner is None:
        yield " ".join(path)
    else:
        for name, one in inner.items():
            yield from commands(one, (*path, name))


def objects(schema: Any, name: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema of an object with named fields."""
    if isinstance(schema, dict):
        if "properties" in schema:
            yield name, schema
        for key, inner in schema.items():
            yield from objects(inner, f"{name}/{key}")


def test_every_command_has_a_schema():
    assert set(COMMANDS) == {*commands(), "deq train --run"}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_schema_is_one_and_describes_every_field(command):
    schema = output_schema(command)
    jsonschema.Draft202012Validator.check_schema(schema)
    for name, found in objects(schema) if command != "verify" else ():  # the report's has tests of its own
        assert "additionalProperties" in found, name
        for field, inner in found["properties"].items():
            assert "description" in inner or "$ref" in inner, f"{name}: {field}"


def test_the_page_is_made_from_them():
    assert (ROOT / "docs" / "json.md").read_text(encoding="utf-8") == page(), "python -m ufm.cli.schemas docs/json.md"


PROBLEM = """
bias = "free"
architecture = {type = "UnconstrainedFeatures", lambda_W = 0.01, lambda_H = 0.01}
labels = {num_classes = 3, sets = [[0], [1], [2], [0, 1]], counts = [30, 30, 10, 5]}
loss = {type = "BinaryCrossEntropy"}
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("problem.toml").write_text(PROBLEM, encoding="utf-8")
    ufm.certify(ufm.solve(ufm.LayerPeeled(1.0, 1.0), ufm.ClassPrior.balanced(3))).save("certificate.json")
    Path("none.json").write_text("{}", encoding="utf-8")


@pytest.mark.parametrize(
    "arguments",
    [
        ("claims",),
        ("solve", *BUDGETS, "--ratio", "12"),
        ("solve", "--E-W", "1", "--E-H", "5", "--counts", "4,2,1", "--bias", "free"),
        ("solve", "-a", "deep-linear", "--budgets", "1,1,1", "--counts", "4,4,2", "--starts", "2"),
        ("solve", "problem.toml"),
        ("threshold", *BUDGETS),
        ("threshold", *BUDGETS, "--loss", "mse"),
        ("phase", "--K-A", "5", "--K-B", "5", "--R", "1,20", "--E-W", "1", "--E-H", "5"),
        ("phase", "--K-A", "5", "--K-B", "5", "--R", "1:20:40", "--E-W", "1", "--E-H", "1:5:40"),
        ("explore", "--at", "K_B=1"),
        ("certify", "certificate.json", "none.json"),
    ],
    ids=" ".join,
)
def test_outputs_are_valid(folder, arguments):
    result = CliRunner().invoke(app, [*arguments, "--json"])
    assert result.exit_code in (0, 1), result.output
    check_output(arguments[0], result.stdout)


TINY = ("--majority", "2", "--minority", "2", "--majority-count", "6", "--lambda-W", "0.07", "--lambda-H", "0.07")
RUN = ("--run", ".", "--model", "explicit", "--majority", "2", "--minority", "2", "--majority-count", "6")


def trained(*arguments: str) -> None:
    result = CliRunner().invoke(app, ["deq", *arguments])
    assert result.exit_code in (0, 1), result.output


def kept_report() -> None:
    assert CliRunner().invoke(app, ["verify", "rank-two-suffices", "--out", "."]).exit_code == 0


def kept_verdict() -> None:
    claim = all_claims()["three-phases"]
    Store(Path(), "key").save(claim, checked(claim, Context()))


def kept_history() -> None:
    history = History()
    history.record(3, ufm.measure([[1.5], [0.5], [-1.0], [-1.0]], [0, 0, 1, 1]))
    history.save("history.json")


#: What writes a file of every kind, and where.
WRITERS: dict[str, tuple[Callable[[], Any], str]] = {
    "report": (kept_report, "report.json"),
    "certificate": (lambda: None, "certificate.json"),
    "problem": (lambda: Path("p.json").write_text(json.dumps(tomllib.loads(PROBLEM)), encoding="utf-8"), "p.json"),
    "verdict": (kept_verdict, "verdicts/three-phases.json"),
    "sweep": (lambda: trained("sweep", *TINY, "--explicit", "2,3", "--zero", "2", "--out", "s.jsonl"), "s.jsonl"),
    "hysteresis": (lambda: trained("hysteresis", *TINY, "--leg", "2,3", "--out", "loop.json"), "loop.json"),
    "history": (kept_history, "history.json"),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_files_are_valid(folder, kind):
    write, name = WRITERS[kind]
    write()
    assert check_file(kind, Path(name))


def test_files_of_a_run_are_valid(folder, monkeypatch):
    monkeypatch.setattr("ufm.trainings.plotting.plot_curves", lambda experiment: Figure())
    trained("train", *RUN, "--ratio", "2", "--test-count", "5", "--width", "8", "--epochs", "2", "--device", "cpu")
    names = {"config": "config.json", "metrics": "metrics.jsonl", "result": "result.json"}
    for kind, name in names.items():
        assert check_file(kind, Path(name))
    assert {*WRITERS, *names} == set(FILES)


@pytest.mark.parametrize("kind", FILES)
def test_the_schema_of_a_file_describes_every_field(kind):
    schema = file_schema(kind)
    jsonschema.Draft202012Validator.check_schema(schema)
    for name, found in objects(schema) if kind not in ("report", "certificate") else ():  # which have tests of theirs
        for field, inner in found["properties"].items():
            assert "description" in inner or "$ref" in inner, f"{name}: {field}"


def test_a_field_that_no_schema_has_is_noticed():
    found = json.loads(CliRunner().invoke(app, ["threshold", *BUDGETS, "--json"]).stdout)
    with pytest.raises(jsonschema.ValidationError, match="surprise"):
        jsonschema.validate(found | {"surprise": 1}, output_schema("threshold"))
    del found["ratio"]
    with pytest.raises(jsonschema.ValidationError, match="ratio"):
        jsonschema.validate(found, output_schema("threshold"))


def test_a_command_or_a_kind_that_is_none_is_refused():
    with pytest.raises(ValueError, match="command must be one of"):
        output_schema("train")
    with pytest.raises(ValueError, match="kind must be one of"):
        file_schema("train")
