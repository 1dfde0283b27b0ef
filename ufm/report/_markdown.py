"""The claims table as Markdown."""

from __future__ import annotations

from typing import Any

__all__ = ["claims_table_markdown"]


def claims_table_markdown(report: dict[str, Any]) -> str:
    """Return claims and verdicts of a report (:func:`ufm.report.build_report`) as Markdown, a table a heading.

    What a verdict is established by and rests on stands in the report and on the claims' pages. There are no timings:
    runs that find the same give the same text.

    >>> import ufm
    >>> from ufm.claims import Evidence, claim
    >>> @claim(id="two-and-two", title="Sum", statement="2 + 2 = 4.", source="Euclid", group="Sums")
    ... def check(context):
    ...     return Evidence("certified", "2 + 2 is 4", established_by=("integer arithmetic",))
    >>> run = ufm.verify(check)
    >>> verdicts = list(run)
    >>> print(claims_table_markdown(ufm.report.build_report(run)), end="")
    1 claim: 1 certified.
    <BLANKLINE>
    ## Sums
    <BLANKLINE>
    | Verdict | Claim | Evidence |
    | --- | --- | --- |
    | **certified** | Sum (`two-and-two`) | 2 + 2 is 4 |
    """
    verdicts = report["verdicts"]
    counts = ", ".join(f"{count} {status}" for status, count in report["counts"].items() if count)
    lines = [f"{len(verdicts)} claim{'s' * (len(verdicts) != 1)}: {counts}."]
    groups: dict[str, list[dict[str, Any]]] = {}
    for verdict in verdicts:
        groups.setdefault(verdict["claim"]["group"], []).append(verdict)
    for group, members in groups.items():
        lines += ["", f"## {_cell(group)}", "", "| Verdict | Claim | Evidence |", "| --- | --- | --- |"]
        lines += [_row(verdict) for verdict in members]
    return "\n".join(lines) + "\n"


def _row(verdict: dict[str, Any]) -> str:
    claim = verdict["claim"]
    name = f"{_cell(claim['title'])} (`{claim['id']}`)"
    return f"| **{verdict['status']}** | {name} | {_cell(verdict['summary'])} |"


def _cell(text: str) -> str:
    for character in "\\|*_`<>[]":
        text = text.replace(character, "\\" + character)
    return " ".join(text.split())
