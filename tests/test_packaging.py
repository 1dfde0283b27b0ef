"""What is built from the tree is complete: the wheel, the sources, and what they do where they are installed."""

from __future__ import annotations

import email
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import ufm

ROOT = Path(__file__).parents[1]
PACKAGES = ("ufm", "proofs_check")
#: What the sources hold beside the packages: the suite, and what it reads.
KEPT = ("tests", "benchmarks", "docs", "notebooks", "results")
BUILD = "import sys; from setuptools import build_meta as b; print(getattr(b, 'build_' + sys.argv[1])(sys.argv[2]))"


def is_source(path: Path) -> bool:
    return path.is_file() and "__pycache__" not in path.parts and path.suffix not in (".pyc", ".vo", ".glob")


def kept_below(root: Path, name: str) -> set[Path]:
    """Files below a folder that the sources hold: not what the site's builder writes, nor what trainings go on from."""
    found = {path.relative_to(root) for path in (root / name).rglob("*") if is_source(path)}
    generated = {Path("docs", inner) for inner in ("library", "notebooks", "results")}
    return {p for p in found if not generated & set(p.parents) and p.suffix not in (".pt", ".sqlite")}


def files(root: Path) -> set[str]:
    """Files of the packages below ``root``."""
    return {
        path.relative_to(root).as_posix() for name in PACKAGES for path in (root / name).rglob("*") if is_source(path)
    }


def build(kind: str, tree: Path, out: Path) -> Path:
    """Build a ``wheel`` or an ``sdist`` of ``tree`` by the hooks that pip calls."""
    done = subprocess.run([sys.executable, "-c", BUILD, kind, str(out)], cwd=tree, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return out / done.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    """A copy of the tree, so that building leaves nothing in it."""
    target = tmp_path_factory.mktemp("tree")
    for name in (*PACKAGES, *KEPT):
        shutil.copytree(ROOT / name, target / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for path in ROOT.iterdir():
        if path.is_file():
            shutil.copy(path, target)
    return target


@pytest.fixture(scope="module")
def wheel(tree, tmp_path_factory) -> Path:
    return build("wheel", tree, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def sdist(tree, tmp_path_factory) -> Path:
    return build("sdist", tree, tmp_path_factory.mktemp("sdist"))


def test_the_wheel_holds_the_packages_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as archive:
        inside = {name for name in archive.namelist() if not name.partition("/")[0].endswith(".dist-info")}
    assert inside == files(ROOT)
    assert {"ufm/py.typed", "proofs_check/py.typed", "proofs_check/schema.json", "ufm/report/schema.json"} <= inside
    assert {Path(name).suffix for name in inside if name.startswith("ufm/report/")} >= {".css", ".html", ".json", ".py"}


def metadata(wheel: Path) -> email.message.Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        return email.message_from_bytes(archive.read(name))


def test_the_version_stands_in_one_place(wheel):
    assert metadata(wheel)["Version"] == ufm.__version__
    assert re.search(r"^version: (.*)$", (ROOT / "CITATION.cff").read_text(), re.M).group(1) == ufm.__version__
    base = re.match(r"\d+\.\d+\.\d+", ufm.__version__).group()
    assert f"\n## {base}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_the_core_is_what_installs_by_default(wheel):
    required = metadata(wheel).get_all("Requires-Dist")
    assert sorted(re.match(r"[\w-]+", r).group() for r in required if "extra ==" not in r) == [
        "numpy",
        "scipy",
        "threadpoolctl",
    ]


def test_the_sources_hold_the_suite_and_build_the_same_wheel(sdist, wheel, tmp_path):
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (unpacked,) = tmp_path.iterdir()
    assert files(unpacked) == files(ROOT)
    for name in KEPT:
        assert kept_below(unpacked, name) == kept_below(ROOT, name), name
    for name in ("LICENSE", "README.md", "CHANGELOG.md", "Makefile", "constraints.txt", "pyproject.toml"):
        assert (unpacked / name).is_file(), name
    again = build("wheel", unpacked, tmp_path)
    with zipfile.ZipFile(again) as second, zipfile.ZipFile(wheel) as first:
        for name in files(ROOT):
            assert second.read(name) == first.read(name), name


USE = """
import sys, ufm, ufm.report, proofs_check, importlib.metadata
from importlib import resources
assert ufm.__file__.startswith(sys.argv[1]) and proofs_check.__file__.startswith(sys.argv[1]), ufm.__file__
assert importlib.metadata.version("ufm") == ufm.__version__
solution = ufm.solve(ufm.LayerPeeled(1.0, 5.0), ufm.ClassPrior.step(2, 2, 3.0))
assert solution.is_global and ufm.certify(solution).lower <= solution.value
assert ufm.report.schema()["type"] == "object"
assert resources.files("proofs_check").joinpath("schema.json").read_text()
verdict, = run = ufm.verify(["lpm-balanced-etf"])
print(verdict.status)
"""


def test_installed_it_solves_certifies_and_verifies(wheel, tmp_path):
    pytest.importorskip("pip", reason="this environment was made without pip")
    target = tmp_path / "site"
    pip = ["pip", "install", "--quiet", "--no-deps", "--no-index", "--disable-pip-version-check", "--target"]
    subprocess.run([sys.executable, "-m", *pip, str(target), str(wheel)], check=True, cwd=tmp_path)
    environment = os.environ | {"PYTHONPATH": str(target)}
    done = subprocess.run(
        [sys.executable, "-c", USE, str(target)], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["proved"]
    script = subprocess.run(
        [target / "bin" / "ufm", "solve", "--help"], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert script.returncode == 0, script.stderr
    assert "Example: ufm solve" in script.stdout


def test_a_script_beside_a_clone_named_ufm_gets_the_package(tmp_path):
    """The clone's folder has no ``__init__.py``: one on the path wins over it, one that a finder knows does not."""
    folders = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    for place in sys.path:
        for path in Path(place).glob("__editable__*.pth"):
            folders += path.read_text(encoding="utf-8").splitlines()
    if str(ROOT) not in folders:
        pytest.skip("ufm is not installed by its folder's path, as the Makefile installs it")
    (tmp_path / "ufm" / "ufm").mkdir(parents=True)
    script = tmp_path / "script.py"
    script.write_text("import ufm\nprint(ufm.__version__)\n", encoding="utf-8")
    done = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == (ufm.__version__, "")
