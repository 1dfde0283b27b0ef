"""Kept results: an index that is current, provenance by one schema, and nothing that a script does not write."""

from __future__ import annotations

import ast
import copy
import fnmatch
import importlib.util
import json
import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

import ufm

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "results"
FOLDERS = sorted(path.name for path in RESULTS.iterdir() if path.is_dir() and not path.name.startswith(("_", ".")))
SCHEMA = json.loads((RESULTS / "provenance.schema.json").read_text(encoding="utf-8"))
#: What scripts leave between runs and nobody commits.
IGNORED = ("points.sqlite*", "checkpoint.pt", "__pycache__", "*.weights.npz")


def provenance(name: str) -> dict:
    return json.loads((RESULTS / name / "provenance.json").read_text(encoding="utf-8"))


def script(name: str) -> ast.Module:
    return ast.parse((RESULTS / name / "run.py").read_text(encoding="utf-8"))


def writes(name: str) -> tuple[str, ...]:
    for node in script(name).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "WRITES":
            return ast.literal_eval(node.value)
    raise AssertionError(f"{name}/run.py does not say what it writes")


def kept_files(name: str) -> list[str]:
    folder = RESULTS / name
    files = [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file()]
    return [f for f in files if not any(fnmatch.fnmatch(part, p) for part in f.split("/") for p in IGNORED)]


def test_there_are_results():
    assert len(FOLDERS) >= 11


@pytest.mark.parametrize("name", FOLDERS)
class TestFolder:
    def test_provenance(self, name):
        found = provenance(name)
        jsonschema.validate(found, SCHEMA)
        assert found["command"] == f"python results/{name}/run.py"
        assert found["what"] == ast.get_docstring(script(name))
        last = found["runs"][-1]
        assert (found["commit"], found["date"]) == (last["commit"], last["date"])

    def test_everything_is_written_by_its_script(self, name):
        patterns = writes(name)
        left = [
            f
            for f in kept_files(name)
            if f not in ("run.py", "provenance.json") and not any(fnmatch.fnmatch(f, p) for p in patterns)
        ]
        assert left == []
        for pattern in patterns:
            assert any(fnmatch.fnmatch(f, pattern) for f in kept_files(name)) or pattern in IGNORED, pattern


def test_index_is_current():
    done = subprocess.run(
        [sys.executable, "-c", "import index; print(index.index(), end='')"],
        cwd=RESULTS,
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert (RESULTS / "README.md").read_text(encoding="utf-8") == done.stdout, "run python results/index.py"
    for name in FOLDERS:
        assert f"[{name}]({name})" in done.stdout


@pytest.mark.parametrize(
    "spoil",
    [
        lambda d: d.pop("versions"),
        lambda d: d.pop("seconds"),
        lambda d: d.update(hostname="somewhere"),
        lambda d: d["machine"].update(processor="/proc/cpuinfo"),
        lambda d: d.update(commit="main"),
        lambda d: d.update(date="yesterday"),
        lambda d: d.update(seeds=["0"]),
        lambda d: d.update(command="make"),
        lambda d: d["runs"].clear(),
        lambda d: d["runs"][0].pop("commit"),
    ],
)
def test_the_schema_refuses(spoil):
    found = copy.deepcopy(provenance(FOLDERS[0]))
    spoil(found)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(found, SCHEMA)


@pytest.fixture
def copied(tmp_path):
    """A copy of the results, without points."""
    shutil.copytree(RESULTS, tmp_path / "results", ignore=shutil.ignore_patterns("*.sqlite*", "__pycache__"))
    return tmp_path / "results"


@pytest.fixture
def finished(copied, monkeypatch):
    """Run a copied script with ``--finished-only``, in this process: a new one would import torch first."""
    shared = [path.stem for path in copied.glob("*.py")]
    before = {name: sys.modules.pop(name, None) for name in shared}
    monkeypatch.setattr(sys, "path", list(sys.path))  # a script puts its own folder there

    def run(name: str) -> Path:
        monkeypatch.setattr(sys, "argv", [str(copied / name / "run.py"), "--finished-only"])
        runpy.run_path(sys.argv[0], run_name="__main__")
        return copied / name

    yield run
    for name, module in before.items():
        sys.modules.pop(name, None)
        if module is not None:
            sys.modules[name] = module


@pytest.mark.parametrize(
    "name", ["budgets", "balanced-fashion-mnist", pytest.param("thresholds", marks=pytest.mark.slow)]
)
@pytest.mark.sample(1)
def test_tables_are_rebuilt_from_what_is_kept(name, copied, finished):
    (copied / name / "table.md").unlink()
    folder = finished(name)
    assert (folder / "table.md").read_bytes() == (RESULTS / name / "table.md").read_bytes()
    if name == "thresholds":  # every number that is kept, to more than what the processor rounds
        kept, new = (json.loads((x / "thresholds.json").read_text(encoding="utf-8")) for x in (RESULTS / name, folder))
        assert kept.keys() == new.keys()
        for entry, numbers in kept.items():
            assert {key: new[entry][key] for key in numbers} == {
                key: pytest.approx(value, rel=1e-9) for key, value in numbers.items()
            }
    found = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))
    jsonschema.validate(found, SCHEMA)
    assert found["runs"][:-1] == provenance(name)["runs"]
    assert found["runs"][-1]["trains"] is False
    assert found["seconds"] >= 0  # rounded: a table may take no time


def module_of(path: Path, monkeypatch):
    """A script of the results, imported."""
    monkeypatch.setattr(sys, "path", [str(RESULTS), *sys.path])
    spec = importlib.util.spec_from_file_location(f"results_{path.parent.name}_{path.stem}".replace("-", "_"), path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_table_of_trained_problems_is_that_of_its_data(monkeypatch):
    run = module_of(RESULTS / "trained-problems" / "run.py", monkeypatch)
    kept = json.loads((RESULTS / "trained-problems" / "trainings.json").read_text(encoding="utf-8"))
    assert set(kept["problems"]) == set(run.PROBLEMS)
    assert set(kept["equilibria"]) == set(run.EQUILIBRIA)
    text = (RESULTS / "trained-problems" / "table.md").read_text(encoding="utf-8")
    assert run.table(kept) == text
    kept["equilibria"][next(iter(run.EQUILIBRIA))]["trained"] *= 1.001
    assert run.table(kept) != text


def test_the_page_on_the_paper_is_that_of_the_results(monkeypatch):
    paper = module_of(RESULTS / "paper.py", monkeypatch)
    text = (ROOT / "docs" / "paper.md").read_text(encoding="utf-8")
    assert paper.page() == text, "run python results/paper.py"
    claims = set(re.findall(r"`([a-z]+(?:-[a-z]+)+)`", text))
    assert len(claims) >= 8
    assert claims <= set(ufm.claims.all_claims())


def test_the_former_command(copied):
    """Names that jobs had before are those of folders now; an unknown one is wrong usage."""
    reproduce = copied / "reproduce.py"
    for name, folder in (("p4", "p4-fashion-mnist"), ("nonlinear", "nonlinear-digits")):
        script_ = copied / folder / "run.py"
        script_.write_text("import sys; print(sys.argv[1:], __file__)", encoding="utf-8")
        done = subprocess.run(
            [sys.executable, reproduce, name, "--finished-only"], capture_output=True, text=True, check=True
        )
        assert done.stdout == f"['--finished-only'] {script_}\n"
    done = subprocess.run([sys.executable, reproduce, "p5"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "got 'p5'" in done.stderr
    assert "thresholds" in done.stderr
    assert subprocess.run([sys.executable, reproduce], capture_output=True).returncode == 2


def test_a_grid_without_its_points_is_not_overwritten(copied, finished):
    with pytest.raises(SystemExit, match=r"points\.sqlite is not kept in p4-fashion-mnist"):
        finished("p4-fashion-mnist")
    for file in ("table.md", "results.json", "provenance.json"):
        assert (copied / "p4-fashion-mnist" / file).read_bytes() == (RESULTS / "p4-fashion-mnist" / file).read_bytes()
