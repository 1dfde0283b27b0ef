"""How objects show themselves in notebooks: a small table of names and values."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["table"]


def table(caption: str, rows: Mapping[str, object]) -> str:
    """An HTML table with a row for each name, its value as text; rows whose value is None are left out.

    >>> table("Sum <of two>", {"value": 4, "nothing": None})
    '<table><caption>Sum &lt;of two&gt;</caption><tbody><tr><th>value</th><td>4</td></tr></tbody></table>'
    """
    import html  # with a table of all entities, which no solve needs

    body = "".join(
        f"<tr><th>{html.escape(name)}</th><td>{html.escape(str(value))}</td></tr>"
        for name, value in rows.items()
        if value is not None
    )
    return f"<table><caption>{html.escape(caption)}</caption><tbody>{body}</tbody></table>"
