"""The list of what has to be believed is whole, its lines are counted, and what is said to attack a file knows it."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from trusted_lines import counted, section

ROOT = Path(__file__).parents[2]
BASE = ROOT / "proofs_check"
#: What no verdict rests on: see the page.
NOT_TRUSTED = {"__init__.py", "kinds/__init__.py", "theorems/_exact/__init__.py"} | {
    f"coq_steps/{name}.py" for name in ("__init__", "__main__", "scripts")
}


def listed() -> dict[str, tuple[int, list[str]]]:
    """Lines and attacks by file, as the page has them."""
    rows = re.findall(r"^\| `([\w/.]+)` \| (\d+) \| (.+) \|$", section(), re.M)
    return {file: (int(lines), re.findall(r"`([\w/.]+)`", tests)) for file, lines, tests in rows}


def test_the_list_is_whole() -> None:
    files = {str(path.relative_to(BASE)) for path in BASE.rglob("*.py")}
    theorems = {file for file in files if re.fullmatch(r"theorems/[a-z]\w*\.py", file)}
    assert set(listed()) == files - theorems - NOT_TRUSTED
    assert len(theorems) > 85


def test_lines_and_their_sums_are_those_of_the_files() -> None:
    """Where they are not, ``python tests/helpers/trusted_lines.py`` counts them anew."""
    assert section() == counted(section())


def test_what_attacks_a_file_knows_it() -> None:
    """By its name, or by three of its functions and limits that others import."""
    for file, (_, tests) in listed().items():
        assert tests, file
        name = Path(file).parent.name if file.endswith("__init__.py") else Path(file).stem.lstrip("_")
        parts = re.findall(
            r"^(?:def |class )?([A-Za-z]\w+)(?:\(|:| =)", (BASE / file).read_text(encoding="utf-8"), re.M
        )
        for test in tests:
            text = (ROOT / "tests" / test).read_text(encoding="utf-8")
            by_parts = sum(bool(re.search(rf"\b{part}\b", text)) for part in parts) >= 3
            assert re.search(rf"\b_?{name}\b", text) or by_parts, (file, test)


def test_the_checker_imports_nothing_else_of_the_project() -> None:
    """Its files, those of its kinds and the precision: no theorem, no SymPy, nothing of ufm."""
    files = {BASE / file for file in listed() if file in ("checker.py", "precision.py") or file.startswith("kinds/")}
    allowed = r"proofs_check\.(kinds|precision)|flint|" + "|".join(sys.stdlib_module_names)
    for file in files:
        imports = re.findall(r"^(?:from|import) ([\w.]+)", file.read_text(encoding="utf-8"), re.M)
        assert imports
        assert all(re.fullmatch(rf"({allowed})(\.\w+)*", module) for module in imports), (file.name, imports)
