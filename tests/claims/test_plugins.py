"""Claims that installed packages register as entry points."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import types
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from claim_samples import claim, found

import ufm
from ufm import claims as package
from ufm.claims import all_claims, plugins

ROOT = Path(__file__).parents[2]


@pytest.fixture
def installed(monkeypatch):
    """Register objects under names, as packages would; what is collected is forgotten afterwards."""

    def register(**held):
        module = types.ModuleType("registered_claims_of_a_test")
        vars(module).update(held)
        monkeypatch.setitem(sys.modules, module.__name__, module)
        points = [EntryPoint(name, f"{module.__name__}:{name}", plugins.GROUP) for name in held]
        monkeypatch.setattr(plugins, "entry_points", lambda group: points if group == plugins.GROUP else [])
        package._collect.cache_clear()

    yield register
    package._collect.cache_clear()


def test_claims_of_installed_packages_are_listed_checked_and_found_by_id(installed):
    module = types.ModuleType("claims_in_a_module")
    module.first = claim("registered-first", found("proved"))
    installed(
        one=claim("registered-one", found("supported")), many=[claim("registered-two", found("refuted"))], m=module
    )
    known = all_claims()
    assert list(known)[-3:] == ["registered-first", "registered-two", "registered-one"]
    verdicts = list(ufm.verify(["registered-one", "registered-two"]))
    assert [v.status.value for v in verdicts] == ["supported", "refuted"]


@pytest.mark.parametrize("held", [claim("lpm-balanced-etf", found("proved")), 3, [], None])
def test_a_package_that_registers_nonsense_is_left_out_and_named(installed, held):
    installed(bad=held, good=claim("registered-good", found("proved")))
    with pytest.warns(RuntimeWarning, match="claims of the entry point 'bad' = .* are left out"):
        known = all_claims()
    assert "registered-good" in known
    assert known["lpm-balanced-etf"].source != "nowhere"


def test_a_package_that_cannot_be_imported_is_left_out(installed, monkeypatch):
    points = [EntryPoint("gone", "no_such_package.claims", plugins.GROUP)]
    installed()
    monkeypatch.setattr(plugins, "entry_points", lambda group: points)
    with pytest.warns(RuntimeWarning, match="ModuleNotFoundError"):
        assert "lpm-balanced-etf" in all_claims()


PACKAGE = """
import ufm

@ufm.claim(id="mine", title="Mine", statement="1 < 2.", source="here")
def check(context):
    return ufm.Evidence("supported", "1 < 2", established_by=("arithmetic",))
"""


def test_an_installed_package_brings_its_claims_to_the_command_line(tmp_path):
    installed = tmp_path / "their_package-1.0.dist-info"  # what pip leaves of one
    installed.mkdir()
    (tmp_path / "their_package.py").write_text(PACKAGE, encoding="utf-8")
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: their-package\nVersion: 1.0\n", encoding="utf-8")
    (installed / "entry_points.txt").write_text("[ufm.claims]\nmine = their_package:check\n", encoding="utf-8")
    path = os.pathsep.join([str(tmp_path), str(ROOT), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-m", "ufm", "verify", "mine", "--out", "out", "--json"]
    done = subprocess.run(
        command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    (verdict,) = json.loads(done.stdout)["verdicts"]
    assert (verdict["claim"]["id"], verdict["status"]) == ("mine", "supported")
