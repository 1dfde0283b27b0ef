"""Files written whole or not at all."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from ufm.report._build import build_report
from ufm.report._html import render_html

if TYPE_CHECKING:
    from ufm.verification import Verification

__all__ = ["write_atomically", "write_report"]


def write_report(run: Verification, directory: Path) -> tuple[Path, Path]:
    """Write ``report.json``, then ``report.html``, of a run into ``directory``; returns both paths."""
    report = build_report(run)
    json_path, html_path = directory / "report.json", directory / "report.html"
    write_atomically(json_path, json.dumps(report, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    write_atomically(html_path, render_html(report))
    return json_path, html_path


def write_atomically(path: Path, text: str) -> None:
    """Write UTF-8 ``text`` to ``path`` by way of a temporary file beside it, so that readers see old or new, whole."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
