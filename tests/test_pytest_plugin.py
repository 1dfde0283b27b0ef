"""``pytest --ufm-claims``: every claim of a file or module is a test."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

CLAIMS = """
import ufm
from ufm.claims import Evidence


def found(status):
    return lambda context: Evidence(status, f"found {status}", established_by=("a test",))


def claim(name, status, **fields):
    return ufm.claim(id=name, title=name.title(), statement=f"{name}.", source="here", **fields)(found(status))


good = claim("holds", "supported")
more = [claim("fails", "refuted"), claim("watched", "proved", variants={"its twin": claim("twin", "certified")})]


@ufm.claim(id="crashes", title="Crash", statement="No.", source="here")
def crash(context):
    raise RuntimeError("diverged")


@ufm.claim(id="by-effort", title="Effort", statement="Full.", source="here")
def by_effort(context):
    return found("supported" if context.full else "inconclusive")(context)


def test_beside_them():
    pass
"""


@pytest.fixture
def run(tmp_path):
    """Run pytest in a folder with claims and a test beside them; its status, and what it says."""
    (tmp_path / "my_claims.py").write_text(CLAIMS, encoding="utf-8")
    (tmp_path / "test_other.py").write_text("def test_other():\n    pass\n", encoding="utf-8")

    def run(*args):
        command = [sys.executable, "-m", "pytest", "-p", "ufm.pytest_plugin", "-p", "no:cacheprovider", "-v", *args]
        path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        env = os.environ | {"PYTHONPATH": path}
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr

    return run


def test_every_claim_is_a_test_and_fails_where_it_is_not_as_claimed(run):
    status, said = run("--ufm-claims", "my_claims.py")
    assert status == 1, said
    for name, outcome in {
        "holds": "PASSED",
        "fails": "FAILED",
        "watched": "FAILED",
        "crashes": "FAILED",
        "by-effort": "FAILED",
        "test_beside_them": "PASSED",
    }.items():
        assert f"my_claims.py::{name} {outcome}" in said
    assert "refuted: found refuted" in said
    assert "the false variant 'its twin' came out as if it were true" in said
    assert "RuntimeError: diverged" in said
    assert "test_other" not in said  # no tests were named: these claims alone


def test_by_module_by_name_by_effort_and_beside_other_tests(run):
    named = ["my_claims.py::holds", "my_claims.py::by-effort", "test_other.py"]
    status, said = run("--ufm-claims", "my_claims", "--ufm-effort", "full", *named)
    assert status == 0, said
    assert "3 passed" in said.splitlines()[-1]


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("missing.py", "--ufm-claims must name a .py file that exists, got 'missing.py'"),
        ("no_such_module", "--ufm-claims must name a .py file or a module, got 'no_such_module'"),
    ],
)
def test_what_holds_no_claims_is_an_error(run, source, words):
    status, said = run("--ufm-claims", source)
    assert status in (2, 4)
    assert words in said


def test_pytest_loads_it_by_itself_once():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["entry-points"]["pytest11"] == {"ufm.pytest_plugin": "ufm.pytest_plugin"}
