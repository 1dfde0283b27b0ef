"""The files of a report."""

from __future__ import annotations

import json
from pathlib import Path

from ufm._files import sealed, write_atomically
from ufm.report._build import build_report
from ufm.report._html import render_html
from ufm.report._run import Run

__all__ = ["write_report"]


def write_report(run: Run, directory: Path) -> tuple[Path, Path]:
    """Write ``report.json``, which has a checksum, and ``report.html`` of a run into ``directory``; returns both."""
    report = build_report(run)
    json_path, html_path = directory / "report.json", directory / "report.html"
    write_atomically(json_path, json.dumps(sealed(report), indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    write_atomically(html_path, render_html(report))
    return json_path, html_path
