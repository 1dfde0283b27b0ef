"""Problems stated in files: what they say is what is solved, and what they lack is named."""

import json
import re
import tomllib
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import ufm
from ufm.cli import app
from ufm.problem_file import parse_problem, parse_text, read_problem

GUIDE = Path(__file__).parents[1] / "docs" / "guides" / "command_line.md"
(EXAMPLE,) = re.findall(r"```toml\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.S)
PEELED = {"type": "LayerPeeled", "E_W": 1.0, "E_H": 2.0}


def stated(**changes):
    return {"architecture": PEELED, "labels": {"counts": [4, 1, 1]}} | changes


def test_the_example_of_the_guide(tmp_path):
    file = tmp_path / "problem.toml"
    file.write_text(EXAMPLE, encoding="utf-8")
    problem = read_problem(file).problem
    assert problem.architecture == ufm.UnconstrainedFeatures(0.01, 0.01)
    assert problem.prior == ufm.Labels.multi_label(3, [(0,), (1,), (2,), (0, 1)], [30, 30, 10, 5])
    assert (problem.loss, problem.bias) == (ufm.BinaryCrossEntropy(), 0.0)
    done = CliRunner().invoke(app, ["solve", str(file), "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.output)
    expected = ufm.solve(problem.architecture, problem.prior, "bce", bias="free")
    assert found["value"] == expected.value
    assert found["logits"] == expected.logits.tolist()
    assert "geometry" not in found
    assert CliRunner().invoke(app, ["solve", str(file)]).exit_code == 0


def test_json_says_the_same_as_toml(tmp_path):
    file = tmp_path / "problem.json"
    file.write_text(json.dumps(tomllib.loads(EXAMPLE)), encoding="utf-8")
    assert read_problem(file).problem == parse_problem(tomllib.loads(EXAMPLE)).problem


def test_the_table_calls_labels_labels():
    shown = CliRunner().invoke(app, ["solve", "-"], input=EXAMPLE).stdout
    assert "\nlabels" in shown
    assert "\ncounts" not in shown


@pytest.mark.parametrize("text", [EXAMPLE, json.dumps(tomllib.loads(EXAMPLE))])
def test_standard_input_and_files_without_a_suffix(tmp_path, text):
    file = tmp_path / "problem"
    file.write_text(text, encoding="utf-8")
    assert read_problem(file).problem == parse_text(text).problem == parse_problem(tomllib.loads(EXAMPLE)).problem
    results = [CliRunner().invoke(app, ["solve", name, "--json"], input=text) for name in ("-", str(file))]
    assert [result.exit_code for result in results] == [0, 0]
    assert results[0].output == results[1].output


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "standard input must hold JSON: "),
        ("[" * 9, "standard input must hold TOML: "),
        ("", "the problem must state architecture, labels, got nothing"),
    ],
)
def test_standard_input_that_states_nothing(text, message):
    result = CliRunner().invoke(app, ["solve", "-"], input=text)
    assert result.exit_code == 2
    assert message in result.output


def test_places_that_are_no_files(tmp_path):
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(ValueError, match="FILE must be a file that exists, got"):
            read_problem(path)
    (tmp_path / "problem.yaml").touch()
    with pytest.raises(ValueError, match=r"the file's suffix must be one of '\.toml', '\.json', '', got '\.yaml'"):
        read_problem(tmp_path / "problem.yaml")


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        ("mse", ufm.MeanSquaredError()),
        ({"type": "ce"}, ufm.CrossEntropy()),
        ({"type": "CrossEntropy", "smoothing": 0.1, "shifts": [0, 0, 1]}, ufm.CrossEntropy(0.1, shifts=[0, 0, 1])),
        ({"type": "SquaredHinge", "margin": 2.0}, ufm.SquaredHinge(2.0)),
        ({"type": "FocalLoss", "gamma": 1.0}, ufm.FocalLoss(1.0)),
    ],
)
def test_losses(loss, expected):
    assert parse_problem(stated(loss=loss)).problem.loss == expected


def test_targets_and_options():
    found = parse_problem(
        stated(labels={"targets": [[1, 0.5], [0, 0.5]], "counts": [3, 1]}, bias=0.5, method="nuclear", seed=1)
    )
    assert found.problem.prior.targets == pytest.approx(np.array([[1, 0.5], [0, 0.5]]))
    assert (found.problem.bias, found.options) == (0.5, {"method": "nuclear", "seed": 1})
    deep = parse_problem(stated(architecture={"type": "DeepLinear", "budgets": [1, 1, 2]}))
    assert deep.problem.architecture == ufm.DeepLinear((1, 1, 2))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"labels": {"counts": [1, 1]}}, "architecture"),
        (stated(colour="red"), "colour"),
        (stated(architecture={"type": "Layers"}), "architecture.type"),
        (stated(architecture={"type": "LayerPeeled", "E_W": 1.0}), "E_H"),
        (stated(architecture=PEELED | {"rho": 0.5}), "rho"),
        (stated(architecture="LayerPeeled"), "architecture must be a table"),
        (stated(labels={"counts": [1, 1], "targets": [[1], [0]], "sets": [[0]]}), "both"),
        (stated(labels={"counts": [1, 1], "sets": [[0], [1]]}), "num_classes"),
        (stated(labels={"counts": [1, 1], "num_classes": 2}), "num_classes"),
        (stated(labels={"counts": [1, -1]}), "counts"),
        (stated(loss="hinge"), "loss"),
        (stated(loss={"type": "MeanSquaredError", "margin": 1}), "margin"),
        (stated(bias=-1.0), "bias"),
    ],
)
def test_what_is_missing_or_unknown_is_named(table, message):
    with pytest.raises((TypeError, ValueError), match=message):
        parse_problem(table)


def test_files_that_are_none(tmp_path):
    for name, text in (("a.toml", "= 1"), ("a.json", "{"), ("a.yaml", ""), ("b.json", None)):
        file = tmp_path / name
        if text is not None:
            file.write_text(text, encoding="utf-8")
        done = CliRunner().invoke(app, ["solve", str(file)])
        assert done.exit_code == 2, name
        assert "FILE" in done.output or "suffix" in done.output


def test_options_beside_a_file_are_refused(tmp_path):
    file = tmp_path / "problem.toml"
    file.write_text(EXAMPLE, encoding="utf-8")
    for option in (["--counts", "1,1"], ["--E-W", "1", "--E-H", "1"], ["--loss", "mse"], ["--bias", "free"]):
        done = CliRunner().invoke(app, ["solve", str(file), *option])
        assert done.exit_code == 2
        assert "plays no role beside FILE" in done.output
