"""The report of a verification: ``report.json`` (schema in ``schema.json``) and a self-contained ``report.html``.

Data flows one way: a run becomes a JSON-able report, and the page and the table are drawn from that report alone.
"""

from ufm.report._build import build_report, load_report, schema
from ufm.report._formula import to_html
from ufm.report._html import render_html
from ufm.report._markdown import claims_table_markdown
from ufm.report._write import write_report

__all__ = [
    "build_report",
    "claims_table_markdown",
    "load_report",
    "render_html",
    "schema",
    "to_html",
    "write_report",
]
