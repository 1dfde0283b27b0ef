"""Make a notebook of every guide of the docs: its text, its code, and what the code prints and draws.

    python notebooks/guides.py

A block of Python in a guide becomes a cell; the block of text after it, which the tests compare with what the code
prints, becomes its output. A block that ends in an expression shows its value too: a figure. Guides are run in this
process, each in a namespace of its own, and import nothing but installed packages.
"""

from __future__ import annotations

import ast
import base64
import contextlib
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
from hypothesis import HealthCheck, settings
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

ROOT = Path(__file__).resolve().parents[1]
GUIDES, FOLDER = ROOT / "docs" / "guides", ROOT / "notebooks" / "guides"
BLOCK = re.compile(r"^```python\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", re.M | re.S)
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def guides() -> list[Path]:
    """The guides that have code to run."""
    return [page for page in sorted(GUIDES.glob("*.md")) if BLOCK.search(page.read_text(encoding="utf-8"))]


def notebook_of(page: Path) -> NotebookNode:
    """The notebook of a guide, with the outputs that the guide states; figures are still to be drawn."""
    text = page.read_text(encoding="utf-8")
    cells, end = [], 0
    for block in BLOCK.finditer(text):
        cells += [new_markdown_cell(text[end : block.start()].strip()), _code_cell(block[1], block[2])]
        end = block.end()
    cells.append(new_markdown_cell(text[end:].strip()))
    kept = [cell for cell in cells if cell.source]
    count = 0
    for i, cell in enumerate(kept):
        cell.id = f"{page.stem.replace('_', '-')}-{i}"
        if cell.cell_type == "markdown":
            cell.source = without_links(cell.source)
        else:
            count += 1
            cell.execution_count = count
    return new_notebook(cells=kept, metadata=METADATA)


def without_links(text: str) -> str:
    """A guide's text without what only stands beside it: figures and pages of the docs."""
    text = re.sub(r"^!\[[^]]*\]\([^)]*\)\n?", "", text, flags=re.M)
    return re.sub(r"\[([^]]+)\]\((?!https?:)[^)]*\)", r"\1", text).strip()


def _code_cell(code: str, printed: str | None) -> NotebookNode:
    outputs = [new_output("stream", name="stdout", text=printed)] if printed else []
    return new_code_cell(code.rstrip(), outputs=outputs)


def draws(cell: NotebookNode) -> bool:
    """Whether a cell ends in a name, whose value is shown: a figure."""
    return cell.cell_type == "code" and shown(cell) is not None


def shown(cell: NotebookNode) -> str | None:
    """The name that a cell of code ends in."""
    last = ast.parse(cell.source).body[-1]
    return last.value.id if isinstance(last, ast.Expr) and isinstance(last.value, ast.Name) else None


@contextlib.contextmanager
def unhurried() -> Iterator[None]:
    """Within it no test of hypothesis fails because the machine is busy."""
    settings.register_profile("before guides", settings())
    settings.register_profile("guides", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("guides")
    try:
        yield
    finally:
        settings.load_profile("before guides")


def run(notebook: NotebookNode) -> None:
    """Run a notebook's cells in this process, and add the figures that they end in.

    Raises:
        ValueError: a cell prints something else than the guide states.
    """
    namespace: dict[str, Any] = {}
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        out = io.StringIO()
        with contextlib.redirect_stdout(out), unhurried():
            exec(compile(cell.source, cell.id, "exec"), namespace)
        stated = "".join(o.text for o in cell.outputs if o.output_type == "stream")
        if out.getvalue() != stated:
            raise ValueError(f"{cell.id} must print what its guide states, {stated!r}, got {out.getvalue()!r}")
        if draws(cell):
            buffer = io.BytesIO()
            namespace[shown(cell)].savefig(buffer, format="png", dpi=80, metadata={"Software": None})
            data = {"image/png": base64.b64encode(buffer.getvalue()).decode(), "text/plain": "<Figure>"}
            count = cell.execution_count
            cell.outputs.append(new_output("execute_result", data=data, execution_count=count))


def main() -> None:
    """Write every notebook."""
    FOLDER.mkdir(exist_ok=True)
    for page in guides():
        notebook = notebook_of(page)
        run(notebook)
        nbformat.write(notebook, FOLDER / f"{page.stem}.ipynb")


if __name__ == "__main__":
    main()
