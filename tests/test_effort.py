"""Samples of laws: every value of every parameter is among them, and a full run tries all cases."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest
from effort import covering

LAWS = """
import pytest
from effort import count

@pytest.mark.parametrize("a", range(4))
@pytest.mark.parametrize("b", "xy")
@pytest.mark.sample(4)
def test_law(a, b): pass

@pytest.mark.parametrize("a", [1, pytest.param(2, marks=pytest.mark.sample(0))])
def test_long(a): pass
"""


@pytest.mark.parametrize("most", [4, 5, 9])
def test_every_value_occurs(most):
    cases = list(itertools.product("abcd", "xyz", "pq"))
    taken = [cases[i] for i in covering(most, cases)]
    assert len(set(taken)) == most
    assert [len(set(values)) for values in zip(*taken, strict=True)] == [4, 3, 2]


def test_of_one_parameter_they_are_spread():
    assert covering(3, [(i,) for i in range(9)]) == [0, 4, 8]
    assert covering(1, [(i,) for i in range(9)]) == [0]
    assert covering(0, [(i,) for i in range(9)]) == []
    assert covering(9, [(i,) for i in range(9)]) == list(range(9))


@pytest.mark.parametrize(
    ("full", "name", "run"),
    [("", "", 5), ("full", "", 10), ("", "::test_long", 2)],
    ids=["sample", "full", "asked for by name"],
)
def test_what_a_run_takes(tmp_path, full, name, run):
    for file in ("conftest.py", "helpers/effort.py"):
        (tmp_path / Path(file).name).write_bytes((Path(__file__).parent / file).read_bytes())
    (tmp_path / "test_laws.py").write_text(LAWS)
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "--disable-plugin-autoload",
            "-p",
            "no:cacheprovider",
            f"test_laws.py{name}",
        ],
        cwd=tmp_path,
        env=os.environ | {"UFM_TESTS": full, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert f"{run} passed" in done.stdout, done.stdout + done.stderr
