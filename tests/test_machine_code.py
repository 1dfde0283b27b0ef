"""Machine code that is kept between processes is made anew when anything that is built into it changes.

Numba compiles again what stands in a file that has changed, not what that file takes from others. So a file of compiled
functions names the digest of what it takes, and changes with it.
"""

from __future__ import annotations

import hashlib
import importlib
from pathlib import Path

import pytest

import ufm

#: Files of compiled functions; the file whose code is built into them, and the constants from elsewhere.
BUILT_IN = {
    "ufm.deq._kernels": ("deq/_vectors.py", {"ufm.deq.iteration": ("FIRST_MEMORY",)}),
    "ufm.two_groups._fused": (
        "two_groups/_vector.py",
        {"ufm.two_groups._arrays": ("NONE", "PARTIAL", "SMALL", "TOTAL")},
    ),
}


def digest(text, constants):
    return hashlib.sha256((text + repr(constants)).encode()).hexdigest()[:16]


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_file_changes_with_what_is_built_into_it(name):
    pytest.importorskip("numba")
    path, others = BUILT_IN[name]
    constants = [getattr(importlib.import_module(module), each) for module, names in others.items() for each in names]
    found = digest((Path(ufm.__file__).parent / path).read_text("utf-8"), constants)
    assert found == importlib.import_module(name).BUILT_IN, f"{path} has changed: say BUILT_IN = {found!r} in {name}"


def test_every_file_of_machine_code_that_is_kept_is_listed():
    root = Path(ufm.__file__).parent
    keep = [path for path in root.rglob("*.py") if "cache=True" in path.read_text("utf-8")]
    assert {path.relative_to(root).as_posix() for path in keep} == {"deq/_kernels.py", "two_groups/_vector.py"}


def test_a_changed_line_is_another_digest():
    assert digest("a = 1\n", [8]) != digest("a = 2\n", [8]) != digest("a = 2\n", [9])
