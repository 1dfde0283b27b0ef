"""Formulas in the plain text of claims, such as ``n_B ≤ |A|_F^2``, typeset for the page and for figures."""

from __future__ import annotations

import re

from ufm._extras import optional

with optional("report"):
    from markupsafe import Markup

__all__ = ["to_html", "to_mathtext"]

#: Subscripts of one or two letters, a bar, a bracket, an integral: ``n_B``, ``|Z|_*``; not ``solve_reduced``.
SUBSCRIPT = re.compile(
    r"(?:(?P<base>(?<![A-Za-z0-9_])(?:[A-Za-z]{1,2}|min|max|1)|[α-ωΑ-Ω])|(?<=[|)\]‖*∫∑∏]))"
    r"_(?:\{(?P<braced>[^{}]+)\}|(?P<bare>(?:[A-Za-z0-9]{1,3}|total)(?![A-Za-z0-9_])|\*))"
)
SUPERSCRIPT = re.compile(r"(?<=[\w|)\]>‖])\^(?:\{(?P<braced>[^{}]+)\}|(?P<bare>[A-Za-z0-9*∞α-ωΑ-Ω]))")
#: Numbers such as ``1.2e-13``.
SCIENTIFIC = re.compile(r"(?<![\w.])(\d+(?:\.\d+)?)e([+-]?\d{1,3})\b")


def to_html(text: str) -> Markup:
    """Return ``text`` as HTML, escaped, with its subscripts, superscripts and powers of ten set.

    >>> print(to_html("n_B <= |A|_F^2"))
    n<sub>B</sub> &lt;= |A|<sub>F</sub><sup>2</sup>
    """
    escaped = str(Markup.escape(text))
    lowered = SUBSCRIPT.sub(lambda m: f"{m['base'] or ''}<sub>{m['braced'] or m['bare']}</sub>", escaped)
    raised = SUPERSCRIPT.sub(lambda m: f"<sup>{m['braced'] or m['bare']}</sup>", lowered)
    return Markup(SCIENTIFIC.sub(lambda m: f"{m[1]}·10<sup>{int(m[2])}</sup>".replace("-", "−"), raised))


def to_mathtext(text: str) -> str:
    """Set the subscripts of ``text`` for Matplotlib; a text that holds ``$`` already is left alone."""
    if "$" in text:
        return text
    return SUBSCRIPT.sub(lambda m: f"${m['base'] or ''}_{{{m['braced'] or m['bare']}}}$", text)
