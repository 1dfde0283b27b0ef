"""The docs: their examples run, their links resolve, and every section of the theory that is cited exists."""

from __future__ import annotations

import contextlib
import doctest
import io
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
#: Folders that the site's builder writes.
GENERATED = {"library", "results", "notebooks"}
PAGES = [
    path for path in sorted((ROOT / "docs").rglob("*.md")) if not GENERATED & set(path.relative_to(ROOT / "docs").parts)
]
CITED = re.compile(r"theory,?\s+sections?\s+((?:\d+(?:,\s*|\s+and\s+)?)+)", re.IGNORECASE)


def cited_sections() -> dict[int, str]:
    """Section numbers that sources cite, each with one place."""
    found: dict[int, str] = {}
    for folder in ("ufm", "proofs_check", "benchmarks", "tests", "notebooks"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in (".py", ".ipynb") and "theory" in (text := path.read_text(encoding="utf-8")):
                for match in CITED.finditer(text):
                    for number in re.findall(r"\d+", match.group(1)):
                        found.setdefault(int(number), f"{path.relative_to(ROOT)}: {match.group(0)!r}")
    return found


def test_every_section_that_is_cited_exists():
    headings = re.findall(r"^## Section (\d+)\. ", (ROOT / "docs" / "theory.md").read_text(encoding="utf-8"), re.M)
    assert [int(n) for n in headings] == list(range(1, len(headings) + 1))
    cited = cited_sections()
    assert len(cited) >= 6
    missing = {number: place for number, place in cited.items() if number > len(headings)}
    assert missing == {}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_resolve(page):
    for target in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize(
    "page", [page for page in PAGES if ">>>" in page.read_text(encoding="utf-8")], ids=lambda p: p.name
)
def test_examples_run(page):
    failed, tried = doctest.testfile(str(page), module_relative=False, optionflags=doctest.ELLIPSIS)
    assert tried > 0
    assert failed == 0


#: Pages whose examples take seconds.
LONG = ("examples/network-deq-predicted.md", "examples/residual-imbalance.md", "guides/nonconvex.md")
PRINTING = [
    (page.relative_to(ROOT / "docs").as_posix(), code, expected)
    for page in PAGES
    for code, expected in re.findall(
        r"```python\n(?!>>>)(.*?)```\n\n```text\n(.*?)```", page.read_text(encoding="utf-8"), re.S
    )
]


@pytest.mark.parametrize(
    ("page", "code", "expected"),
    [
        pytest.param(*example, id=f"{example[0]}-{i}", marks=[pytest.mark.sample(0)] * (example[0] in LONG))
        for i, example in enumerate(PRINTING)
    ],
)
def test_examples_print_what_the_page_says(page, code, expected):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(code, page, "exec"), {})
    assert out.getvalue() == expected


def test_every_block_of_python_is_run():
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        blocks = re.findall(r"```python\n(.*?)```", text, re.S)
        printing = sum(1 for name, _, _ in PRINTING if name == page.relative_to(ROOT / "docs").as_posix())
        assert len(blocks) == printing + sum(block.startswith(">>>") for block in blocks), page


def test_examples_are_of_claims():
    from ufm.claims import all_claims

    found = {page.stem for page in (ROOT / "docs" / "examples").glob("*.md")}
    assert len(found) >= 162  # all there were; a claim added since has the lines of its page that check it
    assert found <= set(all_claims())


def test_paths_that_developing_names_exist():
    text = (ROOT / "docs" / "developing.md").read_text(encoding="utf-8")
    paths = re.findall(r"`((?:ufm|tests|proofs_check)/[\w/.]+)`", text)
    assert len(paths) >= 8
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_messages_that_the_errors_page_quotes_are_those_of_the_code():
    code = "".join(
        path.read_text(encoding="utf-8") for room in ("ufm", "proofs_check") for path in (ROOT / room).rglob("*.py")
    )
    joined = re.sub(r'"\s*\n\s*f?"', "", code)  # messages that go on in the next line
    rows = re.findall(r"^\| ([^|]*`[^|]*) \|", (ROOT / "docs" / "errors.md").read_text(encoding="utf-8"), re.M)
    pieces = [part.strip() for row in rows for quoted in re.findall(r"`([^`]+)`", row) for part in quoted.split("...")]
    long = [part for part in pieces if len(part) >= 6]
    assert len(long) >= 45
    assert [part for part in long if part not in joined] == []
