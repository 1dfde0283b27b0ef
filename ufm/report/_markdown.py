"""The claims table as Markdown."""

from __future__ import annotations

from typing import Any

__all__ = ["claims_table_markdown"]


def claims_table_markdown(report: dict[str, Any]) -> str:
    """Return a Markdown table of the claims of a report (:func:`ufm.report.build_report`) with their verdicts.

    There are no timings in it: runs that find the same give the same table.

    >>> import ufm
    >>> from ufm.claims import Evidence, claim
    >>> @claim(id="two-and-two", title="Sum", statement="2 + 2 = 4.", source="Euclid")
    ... def check(context):
    ...     return Evidence("certified", "2 + 2 is 4", established_by=("integer arithmetic",))
    >>> run = ufm.verify(check)
    >>> verdicts = list(run)
    >>> print(claims_table_markdown(ufm.report.build_report(run)), end="")
    | Verdict | Claim | Evidence | Established by |
    | --- | --- | --- | --- |
    | **certified** | Sum (`two-and-two`) | 2 + 2 is 4 | integer arithmetic |
    """
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
