"""The public surface: every documented name exists, and ``import ufm`` stays light."""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import ufm
from ufm import _moved

HEAVY = (
    *(
        "cvxpy",
        "distributed",
        "flint",
        "hypothesis",
        "jinja2",
        "matplotlib",
        "mpmath",
        "pandas",
        "panel",
        "rich",
        "scipy",
    ),
    *("sklearn", "sympy", "torch", "typer", "xarray", "zarr"),
)


def loaded_after(code: str) -> set[str]:
    """Which of the heavy packages a fresh interpreter has loaded after ``code``."""
    script = f"{code}\nimport sys, json; print(json.dumps([n for n in {HEAVY!r} if n in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_import_loads_nothing_heavy():
    assert loaded_after("import ufm") == set()


@pytest.mark.parametrize("room", ["claims", "data", "deq", "networks", "sweeps", "trainings"])
def test_facades_load_nothing_heavier_than_scipy(room):
    assert loaded_after(f"import ufm.{room}; dir(ufm.{room})") <= {"scipy"}


def test_solving_thresholds_and_phases_load_numpy_alone():
    code = (
        "import ufm\n"
        "ufm.solve(ufm.LayerPeeled(1.0, 5.0), ufm.ClassPrior.step(3, 7, 50.0))\n"
        "ufm.collapse_threshold(ufm.LayerPeeled(1.0, 5.0), 3, 7)\n"
        "ufm.solve_batch(3, 7, [2.0, 50.0], E_W=1.0, E_H=5.0)\n"
        "ufm.measure([[1.0], [1.0], [2.0]], [0, 0, 1])"
    )
    assert loaded_after(code) == set()  # scipy.optimize takes longer to import than all of this together


def test_one_solve_loads_nothing_that_it_does_not_use():
    script = (
        "import sys, numpy; before = set(sys.modules)\n"
        "import ufm; ufm.solve(ufm.LayerPeeled(1.0, 5.0), ufm.ClassPrior.step(3, 7, 50.0))\n"
        "unused = ('numpy.random', 'concurrent.futures', 'html', 'ufm.gauges', 'ufm.solvers.search')\n"
        "print([name for name in unused if name in set(sys.modules) - before])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_check_sees_a_heavy_import():
    assert "scipy" in loaded_after("import ufm, scipy")


def test_moved_modules_are_the_same_objects():
    assert _moved.MOVED
    for old, new in _moved.MOVED.items():
        assert importlib.import_module(old) is importlib.import_module(new), old


def test_names_of_the_first_edition_can_be_imported_from_where_they_were():
    lines = Path(__file__).with_name("first_edition.txt").read_text(encoding="utf-8").splitlines()
    pairs = [tuple(line.split()) for line in lines]
    assert len(pairs) > 300
    assert [pair for pair in pairs if not hasattr(importlib.import_module(pair[0]), pair[1])] == []


def test_no_module_takes_the_place_of_a_name_that_loads_later():
    """A module that is loaded becomes an attribute of its package, over a function of its name that is yet to be."""
    packages = [importlib.import_module(m.name) for m in pkgutil.walk_packages(ufm.__path__, "ufm.") if m.ispkg]
    lazy = [package for package in (ufm, *packages) if hasattr(package, "_EXPORTS")]
    assert len(lazy) >= 5
    for package in lazy:
        modules = {m.name for m in pkgutil.iter_modules(package.__path__) if not m.ispkg}
        assert not modules & set(package._EXPORTS), package.__name__


API = [
    "ClassPrior",
    "LayerPeeled",
    "UnconstrainedFeatures",
    "DeepLinear",
    "LinearDEQ",
    "PenalisedDEQ",
    "solve",
    "certify",
    "collapse_threshold",
    "measure",
    "verify",
]


@pytest.mark.parametrize("name", API)
def test_documented_names_exist(name):
    assert name in ufm.__all__
    assert callable(getattr(ufm, name))


def test_every_public_name_resolves_and_has_a_docstring():
    for name in ufm.__all__:
        if not name.startswith("__"):
            assert inspect.getdoc(getattr(ufm, name)), name
    assert set(ufm.__all__) <= set(dir(ufm))
    assert ufm.__version__


def test_unknown_names_are_attribute_errors():
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = ufm.no_such_name


def parameters(function) -> list[str]:
    return list(inspect.signature(function).parameters)


def test_signatures_are_the_documented_ones():
    assert parameters(ufm.ClassPrior) == ["counts"]
    assert parameters(ufm.ClassPrior.balanced)[:1] == ["num_classes"]
    assert parameters(ufm.ClassPrior.step)[:3] == ["num_majority", "num_minority", "ratio"]
    assert parameters(ufm.ClassPrior.long_tailed)[:2] == ["num_classes", "ratio"]
    assert parameters(ufm.LayerPeeled) == ["E_W", "E_H", "features"]
    assert parameters(ufm.UnconstrainedFeatures) == ["lambda_W", "lambda_H", "features"]
    assert parameters(ufm.DeepLinear) == ["budgets"]
    assert parameters(ufm.LinearDEQ)[:3] == ["E_W", "E_H", "rho"]
    assert parameters(ufm.PenalisedDEQ)[:3] == ["lambda_W", "lambda_H", "rho"]
    assert parameters(ufm.solve)[:4] == ["architecture", "prior", "loss", "method"]
    assert parameters(ufm.collapse_threshold)[:3] == ["architecture", "num_majority", "num_minority"]


def test_attributes_are_the_documented_ones():
    prior = ufm.ClassPrior.step(num_majority=5, num_minority=5, ratio=12.0)
    for name in ("counts", "probabilities", "num_classes", "groups"):
        assert getattr(prior, name) is not None
    solution = ufm.solve(ufm.LayerPeeled(E_W=1.0, E_H=5.0), prior, loss="ce")
    for name in ("value", "logits", "classifier", "features", "multiplier", "geometry", "is_global", "lower", "upper"):
        assert getattr(solution, name) is not None
    assert solution.equilibrium is None
    assert ufm.solve(ufm.LinearDEQ(E_W=1.0, E_H=5.0, rho=0.5), prior).equilibrium.shape == (10, 10)
    for name in ("etf_error", "self_duality_error", "minority_cosine", "rank", "phase"):
        assert getattr(solution.geometry, name) == solution.geometry[name]
        assert solution.geometry[name] is not None
    threshold = ufm.collapse_threshold(ufm.LayerPeeled(E_W=1.0, E_H=5.0), num_majority=5, num_minority=5)
    assert threshold.lower <= threshold.ratio <= threshold.upper
    for array in (solution.logits, solution.classifier, solution.features, prior.counts, prior.probabilities):
        assert array.dtype == "float64"


def test_an_optimums_geometry_loads_scipy_alone():
    code = "import ufm; ufm.solve(ufm.LayerPeeled(1.0, 5.0), ufm.ClassPrior.step(3, 7, 50.0)).geometry.phase"
    assert loaded_after(code) <= {"scipy"}


def test_certifying_a_value_loads_flint_alone():
    code = "import ufm; ufm.certify(ufm.solve(ufm.LayerPeeled(1.0, 5.0), ufm.ClassPrior.step(3, 7, 50.0)))"
    assert loaded_after(code) == {"flint"}


def test_packages_are_attributes_after_importing_ufm_alone():
    code = "import ufm; print(ufm.geometry.simplex_etf(3).shape, hasattr(ufm, 'no_such_module'))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert found.stdout.split() == ["(3,", "3)", "False"], found.stderr
