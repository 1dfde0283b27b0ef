"""The claims table as Markdown."""

from __future__ import annotations

from typing import Any

__all__ = ["claims_table_markdown", "grounds"]


def claims_table_markdown(report: dict[str, Any]) -> str:
    """Return claims and verdicts of a report (:func:`ufm.report.build_report`) as Markdown, a table a heading.

    The last one lists statements of the literature that are put right: what is claimed, what is true, and by what. What
    else a verdict is established by and rests on stands in the report and on the claims' pages. There are no timings:
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
    lines += _corrections(verdicts)
    return "\n".join(lines) + "\n"


def _row(verdict: dict[str, Any]) -> str:
    claim = verdict["claim"]
    name = f"{_cell(claim['title'])} (`{claim['id']}`)"
    return f"| **{verdict['status']}** | {name} | {_cell(verdict['summary'])} |"


def _cell(text: str) -> str:
    for character in "\\|*_`<>[]":
        text = text.replace(character, "\\" + character)
    return " ".join(text.split())


def _corrections(verdicts: list[dict[str, Any]]) -> list[str]:
    """The table of what is claimed and what is true, empty where no verdict corrects anything."""
    found: dict[str, list[dict[str, Any]]] = {}
    for verdict in verdicts:
        if corrected := verdict["claim"].get("corrects"):
            found.setdefault(corrected["claimed"], []).append(verdict)
    if not found:
        return []
    lines = ["", "## What turned out false", "", "| Claimed | True | By |", "| --- | --- | --- |"]
    for claimed, members in found.items():
        true = members[0]["claim"]["corrects"]["true"]
        by = "; ".join(f"`{v['claim']['id']}`, {grounds(v)}" for v in members)
        lines.append(f"| {_cell(claimed)} | {_cell(true)} | {by} |")
    return lines


def grounds(verdict: dict[str, Any]) -> str:
    """Return a verdict in a few words with what anybody can check again: its theorems, its certificates.

    >>> details = {"proofs": [{"theorem": "etf-gram", "coq": "7 of 7 steps"}], "certificates": ["a.json"]}
    >>> grounds({"status": "proved", "details": details})
    'proved: theorem `etf-gram` (Coq 7 of 7 steps), 1 certificate'
    """
    details = verdict["details"]
    texts = [f"theorem `{p['theorem']}` (Coq {p['coq']})" for p in details.get("proofs", ())]
    if files := details.get("certificates", ()):
        texts.append(f"{len(files)} certificate{'s' * (len(files) != 1)}")
    return f"{verdict['status']}{': ' * bool(texts)}{', '.join(texts)}"
