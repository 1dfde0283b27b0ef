"""From the JSON-able report to the page."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from importlib import resources
from typing import Any

from ufm._extras import optional
from ufm._words import number
from ufm.claims import PAPERS
from ufm.report._build import labels, started
from ufm.report._formula import to_html

with optional("report"):
    import jinja2
    from markupsafe import Markup

__all__ = ["render_html"]

#: Longer tables of details are cut on the page; ``report.json`` has all of them.
MAX_ROWS = 40
#: Longer lists of numbers are cut in a line of details.
MAX_ITEMS = 12

#: What ``report.json`` writes for the numbers that JSON lacks, and what the page shows.
NOT_FINITE = {"Infinity": "∞", "-Infinity": "−∞", "NaN": "not a number"}

SYMBOLS = {"proved": "∎", "certified": "✓", "supported": "≈", "refuted": "✗", "inconclusive": "?"}


def render_html(report: dict[str, Any]) -> str:
    """Draw a report as one HTML page: no script, no network, figures inline. The same report gives the same page.

    A figure that cannot be drawn is left out, and the page says why.

    >>> import ufm
    >>> from ufm.claims import Evidence, claim
    >>> @claim(id="two-and-two", title="Sum", statement="2 + 2 = 4.", source="Euclid")
    ... def check(context):
    ...     return Evidence("certified", "2 + 2 is 4", established_by=("integer arithmetic",))
    >>> run = ufm.verify(check)
    >>> verdicts = list(run)
    >>> page = render_html(ufm.report.build_report(run))
    >>> page.startswith("<!DOCTYPE html>"), "2 + 2 is 4" in page, "<script" in page
    (True, True, False)
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("ufm.report", ""),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {"number": number, "seconds": _seconds, "details": _details, "formula": to_html}
    groups: dict[str, list[dict[str, Any]]] = {}
    for verdict in report["verdicts"]:
        groups.setdefault(verdict["claim"]["group"], []).append(verdict)
    filters = _filters(report)
    style = resources.files("ufm.report").joinpath("style.css").read_text(encoding="utf-8")
    page = environment.get_template("template.html").render(
        report=report,
        groups=groups,
        filters=filters,
        marks={v["claim"]["id"]: _marks(v, filters) for v in report["verdicts"]},
        figures=_figures(report),
        labels=labels(),
        symbols=SYMBOLS,
        started=started(report),
        style=Markup(style),
        as_claimed=sum(v["as_claimed"] for v in report["verdicts"]),
    )
    return re.sub(r"[ \t]+\n", "\n", page)


@dataclass(frozen=True)
class Filter:
    """A choice that leaves the claims with one of its values on the page.

    Attributes:
        key: letter that its classes begin with.
        name: what is chosen by.
        options: class, words and number of claims of every value, in the order of the page.
        values: the class of every value.
    """

    key: str
    name: str
    options: tuple[tuple[str, str, int], ...]
    values: dict[str, str]


def _values_of(verdict: dict[str, Any], name: str) -> list[str]:
    """What a verdict is found by under the name of a filter."""
    claim = verdict["claim"]
    found = {
        "verdict": [verdict["status"]],
        "heading": [claim["group"]],
        "paper": claim["papers"],
        "beside its source": [claim["standing"]],
    }
    return [str(value) for value in found[name] if value]


def _filters(report: dict[str, Any]) -> list[Filter]:
    """Those by which a page can be narrowed: each with two values or more."""
    found = []
    for key, name in (("v", "verdict"), ("h", "heading"), ("p", "paper"), ("s", "beside its source")):
        counts = Counter(value for verdict in report["verdicts"] for value in _values_of(verdict, name))
        if len(counts) < 2:
            continue
        order = sorted(counts, key=_paper) if name == "paper" else list(counts)
        values = {value: f"{key}{i}" for i, value in enumerate(order)}
        options = tuple((values[v], _paper(v) if name == "paper" else v, counts[v]) for v in order)
        found.append(Filter(key, name, options, values))
    return found


def _paper(key: str) -> str:
    """How a filter names a paper: authors and year; its key where it is none of ours."""
    paper = PAPERS.get(key)
    return key if paper is None else f"{paper.authors} {paper.year}"


def _marks(verdict: dict[str, Any], filters: list[Filter]) -> str:
    """Classes of a claim's row and article, by which filters know it."""
    return " ".join(f.values[value] for f in filters for value in _values_of(verdict, f.name))


def _seconds(value: float) -> str:
    if value < 0.05:
        return "< 0.1 s"
    return f"{value:.1f} s" if value < 60 else f"{int(value // 60)} min {int(value % 60)} s"


def _figures(report: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Figures by claim id, each drawn or with the reason why it could not be."""
    from ufm.report.figures import draw

    drawn: dict[str, list[dict[str, Any]]] = {}
    count = 0
    for verdict in report["verdicts"]:
        for figure in verdict["figures"]:
            count += 1
            entry: dict[str, Any] = {"number": count, "title": figure["title"], "caption": figure["caption"]}
            try:
                entry["svg"] = Markup(draw(figure, count))
            except Exception as exc:  # a figure that fails must not take the report with it; the page says so
                entry["error"] = f"{type(exc).__name__}: {exc}"
            drawn.setdefault(verdict["claim"]["id"], []).append(entry)
    return drawn


def _details(details: dict[str, Any]) -> Markup:
    """A description list; lists of like records become tables, matrices too."""
    rows = Markup("").join(
        Markup("<div><dt>{}</dt><dd>{}</dd></div>").format(_label(key), _value(value)) for key, value in details.items()
    )
    return Markup('<dl class="details">{}</dl>').format(rows)


def _label(key: str) -> Markup:
    words = key if " " in key or re.fullmatch(r"[A-Za-z]{1,2}_\w+", key) else key.replace("_", " ")
    return to_html(words)


def _value(value: Any) -> Markup:
    if isinstance(value, dict):
        rows = list(value.values())
        if len(rows) > 1 and all(isinstance(row, dict) and row.keys() == rows[0].keys() != set() for row in rows):
            return _table(["", *rows[0]], [[key, *row.values()] for key, row in value.items()])
        return _details(value) if value else Markup("none")
    if isinstance(value, list) and value:
        if all(isinstance(row, dict) and row.keys() == value[0].keys() for row in value) and value[0]:
            return _table(list(value[0]), [list(row.values()) for row in value])
        if all(isinstance(row, list) and len(row) == len(value[0]) for row in value) and value[0]:
            return _table(None, value)
        shown = Markup(", ").join(_value(item) for item in value[:MAX_ITEMS])
        left = len(value) - MAX_ITEMS
        return shown + Markup(", … ({} more in report.json)").format(left) if left > 0 else shown
    return to_html(value) if isinstance(value, str) and value not in NOT_FINITE else Markup.escape(_scalar(value))


def _scalar(value: Any) -> str:
    if value is None:
        return "–"
    if value == []:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return number(value)
    return NOT_FINITE[value]


def _alignment(value: Any) -> Markup:
    """Attribute that aligns words to the left; numbers stand to the right."""
    return Markup(' class="words"' if isinstance(value, str) and value not in NOT_FINITE else "")


def _table(header: list[str] | None, rows: list[list[Any]]) -> Markup:
    head = Markup("")
    if header is not None:
        cells = Markup("").join(
            Markup('<th scope="col"{}>{}</th>').format(_alignment(value), _label(key))
            for key, value in zip(header, rows[0], strict=True)
        )
        head = Markup("<thead><tr>{}</tr></thead>").format(cells)
    body = Markup("").join(
        Markup("<tr>{}</tr>").format(
            Markup("").join(Markup("<td{}>{}</td>").format(_alignment(cell), _value(cell)) for cell in row)
        )
        for row in rows[:MAX_ROWS]
    )
    table = Markup('<div class="scroll" tabindex="0"><table class="data">{}<tbody>{}</tbody></table></div>').format(
        head, body
    )
    left = len(rows) - MAX_ROWS
    return table + Markup("<p class='more'>{} more rows in report.json</p>").format(left) if left > 0 else table
