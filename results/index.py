"""Writes the index of the kept results, ``README.md``, from their provenance: ``python results/index.py``."""

from __future__ import annotations

import json
from pathlib import Path

HERE = Path(__file__).parent

HEAD = """# Kept results

Each folder holds what its `run.py` writes, and `provenance.json` (by [provenance.schema.json](provenance.schema.json)):
the command, the commits, when, on what, with which versions and seeds, and for how long. A script goes on from what its
folder holds; to train anew, empty it. `--finished-only` trains nothing and writes tables and figures again.
`python results/reproduce.py NAME` runs a folder's script; `python results/index.py` writes this page.
"""


def index() -> str:
    """The page: for each folder what it shows, its command, its date, and its files."""
    lines = [HEAD, "| folder | what it shows | command | last written | files |", "|---|---|---|---|---|"]
    for path in sorted(HERE.glob("*/provenance.json")):
        known, name = json.loads(path.read_text(encoding="utf-8")), path.parent.name
        what = " ".join(known["what"].split())
        shown = [p for p in sorted(path.parent.iterdir()) if p.suffix in (".md", ".svg", ".png")]
        files = ", ".join(f"[{p.name}]({name}/{p.name})" for p in shown)
        lines.append(f"| [{name}]({name}) | {what} | `{known['command']}` | {known['date']} | {files} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    (HERE / "README.md").write_text(index(), encoding="utf-8")
