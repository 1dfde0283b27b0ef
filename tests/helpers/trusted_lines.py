"""Count the lines of the trusted base: ``python tests/helpers/trusted_lines.py`` writes them into docs/proofs.md."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "proofs.md"
FILE = re.compile(r"^\| `([\w/.]+)` \| (\d+) \|")
SUM = re.compile(r"^\| (\*\*.+\*\*) \| \*\*(\d+)\*\* \| \|$")


def section() -> str:
    """The list as it stands on the page."""
    return PAGE.read_text(encoding="utf-8").split("## The trusted base")[1].split("\n## ")[0]


def counted(text: str) -> str:
    """The list with the lines that its files have, and their sums."""
    out: list[str] = []
    head = total = 0
    for line in text.split("\n"):
        if file := FILE.match(line):
            number = len((ROOT / "proofs_check" / file[1]).read_text(encoding="utf-8").splitlines())
            line, total = FILE.sub(f"| `{file[1]}` | {number} |", line), total + number
            out[head] = SUM.sub(rf"| \1 | **{total}** | |", out[head])
        elif SUM.match(line):
            head, total = len(out), 0
        out.append(line)
    return "\n".join(out)


if __name__ == "__main__":
    PAGE.write_text(PAGE.read_text(encoding="utf-8").replace(section(), counted(section())), encoding="utf-8")
