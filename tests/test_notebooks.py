"""The notebooks run from top to bottom in a fresh kernel, and what they print is what is committed."""

from __future__ import annotations

import base64
import copy
import importlib.util
import io
import math
import re
import socket
from pathlib import Path
from types import ModuleType
from typing import Any

import matplotlib.image
import nbformat
import numpy as np
import pytest
from effort import count
from hypothesis import settings
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parents[1]
FIRST, SECOND, THIRD = "01_minority_collapse", "02_deq_against_explicit", "03_where_collapse_fails"

NUMBER = re.compile(r"(?<![\w.])[-+]?\d+(?:\.(\d+))?(?:e([-+]?\d+))?(?![\w.]*\w)")
#: A path from the root of a file system, of a home directory or of a drive.
PATH = re.compile(r"(?<![\w.:/])(?:/(?:home|root|Users|usr|opt|tmp|var|work|mnt|private)/|~/|[A-Z]:\\)")
DRAWS = ("plt.show()", "heat_map(", "explore()")


def _load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "notebooks" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_execute = _load("execute")
#: What is run here takes seconds, and some trainings of the full run a minute: a lost message need not cost five.
_execute.TIMEOUT = count(100, _execute.TIMEOUT)
execute = _execute.execute
guides = _load("guides")
PAGES = guides.guides()


def committed(name: str) -> NotebookNode:
    return nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def cell_of(notebook: NotebookNode, ident: str) -> NotebookNode:
    return next(cell for cell in notebook.cells if cell.id == ident)


def text(cell: NotebookNode) -> str:
    return "".join(output.text for output in cell.outputs if output.output_type == "stream")


def images(cell: NotebookNode) -> list[np.ndarray]:
    """Decoded PNG outputs."""
    data = [output.data["image/png"] for output in cell.outputs if "image/png" in output.get("data", {})]
    return [matplotlib.image.imread(io.BytesIO(base64.b64decode(png)), format="png") for png in data]


def draws(cell: NotebookNode) -> bool:
    lines = cell.source.splitlines()
    return any(line.startswith(DRAWS) for line in lines)


def unit(match: re.Match[str]) -> float:
    """Value of one unit of the last digit of a printed number; 0 for a whole number, which is a count."""
    decimals, exponent = match[1], match[2]
    if decimals is None and exponent is None:
        return 0.0
    return 10.0 ** (int(exponent or 0) - len(decimals or ""))


def differences(before: str, after: str) -> list[str]:
    """What differs between two printed texts: words, or numbers by more than one unit of their last digit."""
    skeletons = [" ".join(NUMBER.sub("#", t).split()) for t in (before, after)]
    if skeletons[0] != skeletons[1]:
        return [f"text {skeletons[0]!r} became {skeletons[1]!r}"]
    pairs = zip(NUMBER.finditer(before), NUMBER.finditer(after), strict=True)
    return [f"{a[0]} became {b[0]}" for a, b in pairs if abs(float(a[0]) - float(b[0])) > 1.001 * max(unit(a), unit(b))]


def faults(notebook: NotebookNode) -> list[str]:
    """What is wrong with a notebook's stored outputs: missing, failed, blank, tied to a machine or to a time."""
    found = []
    cells = code_cells(notebook)
    if [cell.execution_count for cell in cells] != list(range(1, len(cells) + 1)):
        found.append("cells were not run once, in order")
    if set(notebook.metadata) - {"kernelspec", "language_info"} or any(cell.metadata for cell in notebook.cells):
        found.append("metadata of a run was kept")
    for cell in notebook.cells:
        stored = [cell.source]
        if cell.cell_type == "code":
            if re.search(r"[\"']results\b|__file__", cell.source):  # the package may be a wheel
                found.append(f"{cell.id}: reads what is not installed")
            for output in cell.outputs:
                if output.output_type == "error" or output.get("name") == "stderr":
                    found.append(f"{cell.id}: {output.get('ename', 'text on stderr')}")
                stored += [output.get("text", ""), str(output.get("data", {}).get("text/plain", ""))]
            if draws(cell) and not images(cell):
                found.append(f"{cell.id}: no figure")
            if "print(" in cell.source and not draws(cell) and not text(cell).strip():
                found.append(f"{cell.id}: nothing printed")
            for picture in images(cell):
                if picture.shape[0] < 200 or picture.shape[1] < 300 or picture[..., :3].std() < 0.02:
                    found.append(f"{cell.id}: a figure is blank or too small")
        for piece in stored:
            if PATH.search(piece) or socket.gethostname() in re.findall(r"[\w.-]+", piece):
                found.append(f"{cell.id}: names a machine or a path on it")
    return found


def changes(before: NotebookNode, after: NotebookNode) -> list[str]:
    """Differences between the outputs of two runs of a notebook."""
    found = []
    for a, b in zip(code_cells(before), code_cells(after), strict=True):
        found += [f"{a.id}: {difference}" for difference in differences(text(a), text(b))]
        if len(images(a)) != len(images(b)):
            found.append(f"{a.id}: {len(images(a))} figures became {len(images(b))}")
    return found


def test_all_notebooks_are_there() -> None:
    assert sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb")) == [FIRST, SECOND, THIRD]


@pytest.mark.parametrize("name", [FIRST, SECOND, THIRD])
def test_committed_outputs_are_complete_and_clean(name: str) -> None:
    notebook = committed(name)
    nbformat.validate(notebook)
    assert faults(notebook) == []
    assert sum(len(images(cell)) for cell in code_cells(notebook)) >= 6


@pytest.mark.slow
def test_first_look_runs_and_reproduces(tmp_path: Path) -> None:
    before = committed(FIRST)
    after = copy.deepcopy(before)
    execute(after, tmp_path)
    assert faults(after) == []
    assert changes(before, after) == []
    # Fang et al. 2021, Fig. 3: K = 10, E_W = 1, E_H = 5
    rows = [line.split() for line in text(cell_of(after, "order")).splitlines()[1:]]
    for row, (k_a, reference) in zip(
        rows, ((3, 245.496930598261985), (5, 12.192447080325935), (7, 4.000466710142019)), strict=True
    ):
        assert (int(row[0]), int(row[1])) == (k_a, 10 - k_a)
        assert float(row[2]) == pytest.approx(reference, rel=1e-9)
    for ident, number in (("criterion", 240), ("phases", 243), ("decay", 112)):
        assert f"{number} of {number} points" in text(cell_of(after, ident))
    assert "No sliders: headless run" in text(cell_of(after, "sliders"))


@pytest.mark.slow
@pytest.mark.sample(0)
def test_deq_against_explicit_runs_and_reproduces(tmp_path: Path) -> None:
    before = committed(SECOND)
    after = copy.deepcopy(before)
    execute(after, tmp_path)
    assert faults(after) == []
    assert changes(before, after) == []
    verdicts = re.findall(
        r"^  (proved|certified|supported|refuted|inconclusive): ", text(cell_of(after, "verdicts")), re.M
    )
    assert verdicts == ["certified"] * 4
    rows = [re.split(r"\s{2,}", line.strip()) for line in text(cell_of(after, "train")).splitlines()[2:]]
    assert len(rows) == 6
    for network, _, *numbers, measured_phase, predicted_phase in rows:
        measured, predicted = np.array(numbers, dtype=float).reshape(4, 2).T
        if network != "DEQ, A = 0":  # the start that is trapped
            assert measured == pytest.approx(predicted, rel=0.01, abs=1e-3)
            assert measured_phase == predicted_phase
        else:
            assert measured[0] > predicted[0]


@pytest.mark.slow
@pytest.mark.sample(0)
def test_where_collapse_fails_runs_and_reproduces(tmp_path: Path) -> None:
    before = committed(THIRD)
    after = copy.deepcopy(before)
    execute(after, tmp_path)
    assert faults(after) == []
    assert changes(before, after) == []
    verdicts = [line.split()[0] for line in text(cell_of(after, "verdicts")).splitlines()]
    assert set(verdicts) <= {"proved", "certified", "supported"}
    assert len(verdicts) == 10
    trapped = text(cell_of(after, "trapped"))
    assert trapped.count("local minimum") == 4
    end, minimum = re.findall(r"\d\.\d{8}", trapped.splitlines()[-1])
    assert end == minimum
    family = [line.split()[2] for line in text(cell_of(after, "first")).splitlines()[1:]]
    assert family == ["True", "True", "True", "False"]


# Notebooks of the guides: their code is run, and what it prints compared, by test_docs.py -----------------------------


def guide_notebook(page: Path) -> NotebookNode:
    return nbformat.read(ROOT / "notebooks" / "guides" / f"{page.stem}.ipynb", as_version=4)


def test_every_guide_has_code_and_a_notebook() -> None:
    names = [page.stem for page in PAGES]
    assert names == sorted(page.stem for page in (ROOT / "docs" / "guides").glob("*.md"))
    assert names == sorted(path.stem for path in (ROOT / "notebooks" / "guides").glob("*.ipynb"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_guides_notebook_is_the_guide(page: Path) -> None:
    """Made anew it is the same, the figures apart: python notebooks/guides.py."""
    made, kept = guides.notebook_of(page), guide_notebook(page)
    nbformat.validate(kept)
    assert faults(kept) == []
    for cell in code_cells(kept):
        assert len(images(cell)) == guides.draws(cell)
        cell.outputs = [output for output in cell.outputs if output.output_type == "stream"]
    assert kept == made


def test_a_guides_notebook_runs_and_draws() -> None:
    (page,) = (page for page in PAGES if page.stem == "measuring")
    notebook = guides.notebook_of(page)
    guides.run(notebook)
    assert [len(images(cell)) for cell in code_cells(notebook)] == [0, 0, 0, 1]
    notebook.cells[1].source += "\nprint(1)"
    notebook.cells = notebook.cells[:2]
    with pytest.raises(ValueError, match="must print what its guide states"):
        guides.run(notebook)


class FrontEnd(NotebookClient):
    """A front end that can be asked for input, as JupyterLab can, and holds widgets."""

    async def async_start_new_kernel_client(self) -> Any:
        client = await super().async_start_new_kernel_client()
        client.allow_stdin = True
        return client


class Losing(NotebookClient):
    """A front end whose first kernels never answer; of those after them no cell is run."""

    answers = iter(())

    def execute(self, **_: Any) -> NotebookNode:
        if not next(self.answers):
            raise CellTimeoutError("no answer")
        return self.nb


def test_a_kernel_that_never_answers_is_given_up_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1")])
    Losing.answers = iter((False, True))
    assert execute(notebook, tmp_path, Losing).nb is notebook
    assert "once more in a new kernel: no answer" in capsys.readouterr().err
    Losing.answers = iter((False, False, True))
    with pytest.raises(CellTimeoutError):
        execute(notebook, tmp_path, Losing)


def sliders_only(*more: str) -> NotebookNode:
    """The first notebook's cells that the sliders need, and more code after them."""
    notebook = committed(FIRST)
    cells = [cell_of(notebook, ident) for ident in ("setup", "explore", "sliders")]
    notebook.cells = cells + [nbformat.v4.new_code_cell(source) for source in more]
    return notebook


@pytest.mark.slow
def test_sliders_move_where_the_front_end_has_them(tmp_path: Path) -> None:
    corners = count(
        "explore(1, K - 2, 0.1)\nexplore(1000, 1, 9)",
        "for R in (1, 1000):\n for K_A in (1, K - 2):\n  for E_H in (0.1, 9):\n   explore(R, K_A, E_H)",
    )
    move = "explore.widget.children[1].value = 7"
    without = f"import sys\nsys.modules['ipywidgets'] = None\n{cell_of(committed(FIRST), 'sliders').source}"
    notebook = sliders_only(corners, move, without)
    front_end = execute(notebook, tmp_path, FrontEnd)
    sliders, at_corners, _, missing = notebook.cells[2:]
    assert any("application/vnd.jupyter.widget-view+json" in output.get("data", {}) for output in sliders.outputs)
    models = {state["_model_name"]: state for state in front_end.widget_state.values()}
    assert {"FloatLogSliderModel", "IntSliderModel", "FloatSliderModel", "OutputModel"} <= set(models)
    assert models["IntSliderModel"]["value"] == 7
    drawn = models["OutputModel"]["outputs"]
    assert [output["output_type"] for output in drawn] == ["display_data"]
    assert "image/png" in drawn[0]["data"]
    assert len(images(at_corners)) == count(2, 8)
    assert "ipywidgets is not installed" in text(missing)


SLUGGISH = """
import time
from hypothesis import given, settings
from hypothesis import strategies as st

@settings(max_examples=9)
@given(st.integers().map(lambda x: time.sleep(0.15)))
def test_on_a_busy_machine(x):
    pass

test_on_a_busy_machine()
"""


def test_a_busy_machine_stops_no_guide() -> None:
    settings.load_profile("default")
    hurried = settings.default.deadline
    try:
        guides.run(guides.new_notebook(cells=[guides.new_code_cell(SLUGGISH, id="busy")]))
        assert settings.default.deadline == hurried
    finally:
        settings.load_profile("ufm")


# What the checks above must catch --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("R* = 12.1924", "R* = 12.1926"),
        ("240 of 240 points", "239 of 240 points"),
        ("certified: smaller", "supported: smaller"),
        ("phase none", "phase partial"),
        ("s_B 0.442", "s_B -0.442"),
        ("within 2e-16", "within 2e-12"),
        ("values 1.0 2.0", "values 1.0"),
        ("", "something"),
    ],
)
def test_a_changed_result_is_noticed(before: str, after: str) -> None:
    assert differences(before, after)
    assert differences(after, before)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("R* = 12.1924", "R* = 12.1925"),
        ("4.00046671", "4.000466710"),
        ("a  0.999", "a 1.000"),
        ("8.3e-10", "8.4e-10"),
        ("W W^T", "W W^T"),
    ],
)
def test_rounding_of_the_last_digit_is_no_change(before: str, after: str) -> None:
    assert differences(before, after) == []


def _without_figure(cell: NotebookNode) -> None:
    cell.outputs = [output for output in cell.outputs if "image/png" not in output.get("data", {})]


def _blank_figure(cell: NotebookNode) -> None:
    buffer = io.BytesIO()
    matplotlib.image.imsave(buffer, np.ones((400, 600, 3)), format="png")
    output = next(o for o in cell.outputs if "image/png" in o.get("data", {}))
    output.data["image/png"] = base64.b64encode(buffer.getvalue()).decode()


def _with_path(cell: NotebookNode) -> None:
    cell.outputs.append(nbformat.v4.new_output("stream", name="stdout", text="saved /home/someone/figure.png"))


def _with_warning(cell: NotebookNode) -> None:
    cell.outputs.append(nbformat.v4.new_output("stream", name="stderr", text="RuntimeWarning: overflow"))


def _with_error(cell: NotebookNode) -> None:
    cell.outputs.append(nbformat.v4.new_output("error", ename="ValueError", evalue="", traceback=[]))


def _with_time(cell: NotebookNode) -> None:
    cell.metadata["execution"] = {"iopub.status.busy": "2020-01-01T00:00:00Z"}


def _not_run(cell: NotebookNode) -> None:
    cell.execution_count = None


def _from_the_repository(cell: NotebookNode) -> None:
    cell.source += '\nkept = root / "results" / "sweep.jsonl"'


def _silent(cell: NotebookNode) -> None:
    cell.source, cell.outputs = "print(1)", []


@pytest.mark.parametrize(
    "spoil",
    [
        _without_figure,
        _blank_figure,
        _with_path,
        _with_warning,
        _with_error,
        _with_time,
        _not_run,
        _silent,
        _from_the_repository,
    ],
)
def test_spoilt_outputs_are_noticed(spoil: Any) -> None:
    notebook = committed(FIRST)
    spoil(cell_of(notebook, "order"))
    assert faults(notebook)


def test_a_changed_number_in_a_notebook_is_noticed() -> None:
    before, after = committed(FIRST), committed(FIRST)
    output = next(o for o in cell_of(after, "order").outputs if o.output_type == "stream")
    assert "12.19244708" in output.text
    output.text = output.text.replace("12.19244708", "12.19244808")
    assert changes(before, before) == []
    assert changes(before, after) == ["order: 12.19244708 became 12.19244808"]


def test_an_exception_in_a_cell_fails_the_run(tmp_path: Path) -> None:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("import ufm\nufm.ClassPrior([1, -1])")])
    with pytest.raises(CellExecutionError, match="ValueError"):
        execute(notebook, tmp_path)


def test_units_of_printed_numbers() -> None:
    printed = ["12", "1.50", "3e-07", "2.5e3"]
    assert [unit(m) for m in map(NUMBER.fullmatch, printed) if m is not None] == pytest.approx([0, 0.01, 1e-7, 100])
    assert math.isclose(sum(float(m[0]) for m in NUMBER.finditer("K_A = 3, n2 and 4.5")), 7.5)
