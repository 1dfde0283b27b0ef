"""The claims table as Markdown."""

from __future__ import annotations

from typing import Any

__all__ = ["claims_table_markdown"]


def claims_table_markdown(report: dict[str, Any]) -> str:
    """Table of the claims of a report (see :func:`ufm.report.build_report`) with their verdicts, without timings."""
    lines = ["| Verdict | Claim | Evidence | Established by |", "| --- | --- | --- | --- |"]
    for verdict in report["verdicts"]:
        claim = verdict["claim"]
        how = "; ".join(verdict["established_by"]) or "-"
        if verdict["assumptions"]:
            how += f" (assuming {'; '.join(verdict['assumptions'])})"
        cells = (f"**{verdict['status']}**", f"{_cell(claim['title'])} (`{claim['id']}`)", _cell(verdict["summary"]))
        lines.append(f"| {' | '.join(cells)} | {_cell(how)} |")
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    for character in "\\|*_`<>[]":
        text = text.replace(character, "\\" + character)
    return " ".join(text.split())
