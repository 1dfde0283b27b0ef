"""The README: its example prints what it says, its commands, links and paths exist; the claims' table is complete."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

import pytest

from ufm.claims import all_claims

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def _run(code: str) -> str:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(code, "README.md", "exec"), {})
    return out.getvalue()


EXAMPLES = list(zip(_blocks("python"), _blocks("text"), strict=True))


@pytest.mark.parametrize(("code", "expected"), EXAMPLES)
def test_examples_print_what_the_readme_says(code: str, expected: str) -> None:
    assert len(code.strip().splitlines()) <= 15
    assert _run(code) == expected


def test_a_changed_example_would_be_noticed() -> None:
    code, expected = EXAMPLES[0]
    assert _run(code.replace("ratio=50.0", "ratio=49.0")) != expected


def test_commands_are_targets_of_the_makefile() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = set(re.findall(r"(?:`|^)make ([a-z]+)", README, re.MULTILINE))
    assert {"verify", "test"} <= named <= targets


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`((?:ufm|proofs_check|notebooks|results)/[\w./]*)`", README))))
def test_paths_of_the_layout_exist(path: str) -> None:
    assert (ROOT / path).exists()


def test_images_exist() -> None:
    images = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", README)
    assert images
    assert all((ROOT / image).is_file() for image in images)


def test_readme_is_short() -> None:
    assert len(README.encode()) <= 6144


def test_links_of_the_readme_resolve() -> None:
    targets = re.findall(r"\]\(([^)#\s]+)", README)
    assert len(targets) >= 10
    assert [target for target in targets if "://" not in target and not (ROOT / target).exists()] == []


def test_table_holds_every_claim_and_no_other() -> None:
    table = (ROOT / "docs" / "claims.md").read_text(encoding="utf-8")
    table = table.split("<!-- claims:begin")[1].split("<!-- claims:end -->")[0]
    for claim_id in all_claims():
        assert table.count(f"(`{claim_id}`)") == 1, f"claim {claim_id!r} is not in docs/claims.md: run `make claims`"
    assert len(re.findall(r"^\| \*\*", table, re.MULTILINE)) == len(all_claims())
