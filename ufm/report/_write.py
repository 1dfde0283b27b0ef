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
    """Write ``report.json``, which has a checksum, and ``report.html`` of a run into ``directory``.

    Each file is written whole or not at all; the directory must exist.

    Returns:
        The paths of both.

    Raises:
        OSError: a file cannot be written.

    >>> import tempfile, ufm
    >>> from ufm.claims import Evidence, claim
    >>> @claim(id="two-and-two", title="Sum", statement="2 + 2 = 4.", source="Euclid")
    ... def check(context):
    ...     return Evidence("certified", "2 + 2 is 4", established_by=("integer arithmetic",))
    >>> run = ufm.verify(check)
    >>> verdicts = list(run)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     json_path, html_path = write_report(run, Path(folder))
    ...     json_path.name, html_path.name, ufm.report.load_report(json_path)["all_as_claimed"]
    ('report.json', 'report.html', True)
    """
    report = build_report(run)
    json_path, html_path = directory / "report.json", directory / "report.html"
    write_atomically(json_path, json.dumps(sealed(report), indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    write_atomically(html_path, render_html(report))
    return json_path, html_path
