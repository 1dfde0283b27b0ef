"""Optional packages: the core works without them, and what needs one that is missing names the extra that brings it."""

from __future__ import annotations

import ast
import pickle
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from ufm._extras import MissingExtraError, optional, require, require_installed

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

#: Every package beyond the standard library, NumPy and SciPy that some part of ufm imports.
OPTIONAL = (
    *("bokeh", "contourpy", "cvxpy", "flint", "hypothesis", "jinja2", "markupsafe", "matplotlib", "mnist1d", "mpmath"),
    *("numba", "panel", "pytest", "rich", "sklearn", "sympy", "threadpoolctl", "torch", "typer", "xarray", "zarr"),
)

BLOCKER = """
import importlib.abc, sys
class Blocker(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {names!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Blocker())
"""


def run_without(packages: tuple[str, ...], code: str) -> subprocess.CompletedProcess[str]:
    """Run ``code`` in an interpreter in which ``packages`` cannot be imported."""
    script = BLOCKER.format(names=set(packages)) + code
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)


CORE = """
import numpy as np, ufm
prior, network = ufm.ClassPrior.step(3, 4, 2.0), ufm.LayerPeeled(1.0, 5.0)
solution = ufm.solve(network, prior)
assert solution.is_global and solution.geometry.rank == 6
assert ufm.solve(network, prior, "mse", method="nuclear").is_global
assert ufm.solve(ufm.LinearDEQ(1.0, 5.0, 0.5), prior, method="direct", starts=2).equilibrium is not None
searched = ufm.solve(ufm.LinearDEQ(1.0, 5.0, 0.9, E_A=0.5), ufm.ClassPrior.balanced(3), method="search", starts=2)
assert searched.lower <= searched.value
assert 1 < ufm.collapse_threshold(ufm.LayerPeeled(1.0, 0.3), 3, 4).ratio < np.inf
assert ufm.solve_batch(3, 4, [2.0, 3.0], E_W=1.0, E_H=5.0).value.shape == (2,)
assert ufm.measure(np.eye(12), np.arange(12) % 4).num_classes == 4
assert ufm.etf_boundary(4, 0.5, 0.5, certify=False).lower == 0
import ufm.claims, ufm.data, ufm.deq, ufm.geometry, ufm.landscape, ufm.sweeps, ufm.trainings
"""


def test_the_core_needs_numpy_and_scipy_alone():
    done = run_without(OPTIONAL, CORE)
    assert done.returncode == 0, done.stderr


DIAGRAM = "ufm.phase_diagram(K_A=5, K_B=5, R=[2.0, 3.0], E_W=1.0, E_H=[1.0, 2.0])"

#: What a user writes, the package that is missing, and the extra that the error must name.
USES = [
    ("ufm.solve(ufm.LayerPeeled(1.0, 5.0), ufm.ClassPrior.balanced(3), method='sdp')", "cvxpy", "sdp"),
    ("ufm.certify(ufm.solve(ufm.LayerPeeled(1.0, 5.0), ufm.ClassPrior.balanced(3)))", "flint", "certify"),
    ("import ufm.certificates", "flint", "certify"),
    ("ufm.etf_boundary(4, 0.5, 0.5)", "flint", "certify"),
    ("from ufm.landscape import certify_trapped; certify_trapped(None)", "flint", "certify"),
    ("ufm.verify()", "torch", "verify"),
    ("ufm.verify()", "flint", "verify"),
    ("ufm.verify(['lpm-balanced-etf'])", "flint", "certify"),
    ("ufm.verify(['lpm-balanced-etf'], out='no/such/folder')", "jinja2", "report"),
    ("ufm.phase_diagram(K_A=5, K_B=5, R=[2.0, 3.0], E_W=1.0, E_H=1.0)", "xarray", "grids"),
    (f"ufm.plot_phase_diagram({DIAGRAM})", "matplotlib", "plot"),
    ("ufm.plot_phase_diagram(None)", "xarray", "grids"),
    ("ufm.save_phase_diagram(None, 'x.nc')", "xarray", "grids"),
    ("import ufm.deq; ufm.deq.DEQ", "torch", "deq"),
    ("import ufm.deq; ufm.deq.run_sweep", "torch", "deq"),
    ("import ufm.deq; ufm.deq.plot_sweep", "matplotlib", "plot"),
    ("import ufm.deq; ufm.deq.load_dataset('digits')", "sklearn", "data"),
    ("import ufm.networks.models", "torch", "deq"),
    ("import ufm.trainings.training", "torch", "deq"),
    ("import ufm.report", "jinja2", "report"),
    ("import ufm.report.figures", "matplotlib", "report"),
    ("import ufm.testing", "hypothesis", "testing"),
    ("import ufm.cli", "typer", "cli"),
    ("import ufm.explorer; ufm.explorer.app()", "panel", "explore"),
    ("import ufm.explorer; ufm.explorer.serve(ufm.explorer.State())", "panel", "explore"),
]


@pytest.mark.parametrize(("code", "package", "extra"), USES)
@pytest.mark.sample(12)
def test_what_needs_a_missing_package_names_the_extra(code, package, extra):
    done = run_without((package,), f"import ufm; {code}")
    assert done.returncode == 1
    name = {"flint": "python-flint", "sklearn": "scikit-learn"}.get(package, package)
    error = done.stderr.splitlines()[-1]
    assert error == f"ufm._extras.MissingExtraError: this needs {name}: pip install 'ufm[{extra}]'"


def test_the_checker_alone_names_what_it_needs():
    done = run_without(("flint",), "import proofs_check.checker")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith("the checker needs python-flint: pip install 'ufm[certify]'")


def test_every_deq_name_that_needs_torch_says_so():
    code = (
        "import ufm.deq\n"
        "def get(name):\n"
        "    try:\n"
        "        getattr(ufm.deq, name)\n"
        "    except ImportError as error:\n"
        "        assert type(error).__name__ == 'MissingExtraError', (name, repr(error))\n"
        "        return False\n"
        "    return True\n"
        "print(*filter(get, ufm.deq.__all__))"
    )
    done = run_without(("torch",), code)
    assert done.returncode == 0, done.stderr
    assert {"digits", "load_dataset"} <= set(done.stdout.split())
    assert not {"DEQ", "MonotoneDEQ", "train"} & set(done.stdout.split())


def test_a_claim_that_lacks_a_package_comes_out_inconclusive_and_names_the_extra():
    code = "import ufm; verdict, = ufm.verify(['lpm-balanced-etf']); print(verdict.status, verdict.evidence.summary)"
    done = run_without(("sympy",), code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("inconclusive")
    assert "this needs sympy: pip install 'ufm[proofs]'" in done.stdout


@pytest.mark.parametrize(
    ("package", "arguments", "message"),
    [
        ("sympy", ["verify"], "ufm: this needs sympy: pip install 'ufm[verify]'"),
        ("typer", ["--help"], "ufm: this needs typer: pip install 'ufm[cli]'"),
        ("flint", ["certify", "x.json"], "ufm: this needs python-flint: pip install 'ufm[certify]'"),
        (
            "xarray",
            ["phase", "--majority", "5", "--minority", "5", "--R", "2:3:2", "--E-W", "1", "--E-H", "1"],
            "ufm: this needs xarray: pip install 'ufm[grids]'",
        ),
    ],
)
def test_the_command_line_ends_with_the_message_and_status_2(package, arguments, message):
    done = run_without((package,), f"sys.argv = ['ufm', *{arguments!r}]; from ufm.__main__ import main; main()")
    assert (done.returncode, done.stderr.strip()) == (2, message)


def test_the_script_is_the_guarded_one():
    assert PROJECT["scripts"] == {"ufm": "ufm.__main__:main"}


# The extras of pyproject.toml ----------------------------------------------------------------------------------------


def distributions(extra: str) -> set[str]:
    """What ``extra`` installs of itself and through other extras, in lower case."""
    found: set[str] = set()
    for requirement in PROJECT["optional-dependencies"][extra]:
        name, _, inner = re.match(r"([\w.-]+)(\[([\w,-]+)\])?", requirement).groups()
        found |= set().union(*map(distributions, inner.split(","))) if name == "ufm" else {name.lower()}
    return found


def guarded_imports() -> list[tuple[str, str, str]]:
    """(file, extra, package) of every import that ``optional`` or ``require`` guards, by reading the source."""
    found = []
    for path in sorted((ROOT / "ufm").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names: list[str] = []
            if isinstance(node, ast.With) and isinstance(call := node.items[0].context_expr, ast.Call):
                if getattr(call.func, "id", "") == "optional":
                    names = [a.name for s in node.body if isinstance(s, ast.Import) for a in s.names]
                    names += [s.module for s in node.body if isinstance(s, ast.ImportFrom)]
                    extra = getattr(call.args[0], "value", "")
            elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "require":
                names, extra = [node.args[0].value], node.keywords[0].value.value
            found += [(path.name, extra, name.partition(".")[0]) for name in names]
    return [item for item in found if item[1] and item[2] not in ("ufm", "proofs_check")]


def test_guards_name_extras_that_bring_what_they_guard():
    found = guarded_imports()
    assert {package for _, _, package in found} >= {"cvxpy", "flint", "hypothesis", "matplotlib", "torch", "typer"}
    brought = {"flint": "python-flint", "sklearn": "scikit-learn", "markupsafe": "jinja2", "contourpy": "matplotlib"}
    brought |= {"llvmlite": "numba"}
    for file, extra, package in found:
        assert brought.get(package, package) in distributions(extra), (file, extra, package)


def test_the_extra_verify_brings_what_verification_looks_for():
    from ufm.verification import NEEDED, REPORTING

    brought = {"flint": "python-flint", "sklearn": "scikit-learn"}
    assert {brought.get(name, name) for name in NEEDED} <= distributions("verify")
    assert set(REPORTING) <= distributions("report") <= distributions("verify")


def test_the_suite_installs_everything():
    names = set(PROJECT["optional-dependencies"]) - {"bench", "docs", "test"}
    assert set().union(*map(distributions, names)) <= distributions("test")


def test_the_guide_lists_every_extra_and_what_it_brings():
    text = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", text, re.MULTILINE))
    extras = PROJECT["optional-dependencies"]
    assert set(rows) == set(extras) - {"all"}
    for extra in set(rows) - {"notebooks", "test"}:  # those in words
        own = {re.match(r"[\w.-]+", requirement).group() for requirement in extras[extra]} - {"ufm"}
        assert set(re.findall(r"[\w-]+", re.sub(r"`\w+`", "", rows[extra]))) == own, extra


def test_the_core_requires_little():
    assert {re.match(r"[\w-]+", d).group() for d in PROJECT["dependencies"]} == {"numpy", "scipy", "threadpoolctl"}


# The guards themselves -----------------------------------------------------------------------------------------------


def test_require_returns_the_module():
    assert require("json", extra="x").loads("[1]") == [1]


def test_a_package_that_is_broken_is_not_called_missing():
    with pytest.raises(ImportError, match="no symbol") as caught, optional("deq"):
        raise ImportError("no symbol")
    assert not isinstance(caught.value, MissingExtraError)


@pytest.mark.parametrize("name", ["ufm.no_such_module", "proofs_check.no_such_module"])
def test_a_module_of_ours_that_is_missing_is_a_fault_of_ours(name):
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        require(name, extra="deq")


def test_a_missing_submodule_names_its_package():
    with pytest.raises(MissingExtraError) as caught:
        require("no_such_package.inner", extra="deq")
    assert (caught.value.package, caught.value.name, caught.value.extra) == ("no_such_package",) * 2 + ("deq",)
    with pytest.raises(MissingExtraError, match=r"needs no_such_package: pip install 'ufm\[deq\]'"):
        require_installed("json", "no_such_package", extra="deq")


def test_the_error_crosses_processes():
    error = pickle.loads(pickle.dumps(MissingExtraError("flint", "certify")))  # pickle is what process pools use
    assert (str(error), error.package) == ("this needs python-flint: pip install 'ufm[certify]'", "flint")
