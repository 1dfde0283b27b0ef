"""Figures of the report, drawn as inline SVG from the data that evidence carries.

The layouts of ``Figure.data`` by kind (lists of numbers; null or a string for a missing or infinite value is a gap;
labels are plain text, in which subscripts such as ``n_B`` are typeset, or hold Matplotlib's ``$...$``):

``"thresholds"``
    ``{"x_label", "y_label", "curves": [{"label", "x", "y"}], "marks": [{"label", "x", "y"}]}``: collapse thresholds
    R*(tau) as curves on a logarithmic axis, single settings as labelled marks; other curves, with ``"scale": "linear"``
    on a linear one.
``"matrices"``
    ``{"panels": [{"label", "matrix"}], "class_groups": [sizes]}``: matrices of one shape beside each other on one
    colour scale, with lines between the groups of classes.
``"order-parameter"``
    ``{"x_label", "y_label", "series": [{"label", "line": {"x", "y"} or null, "points": {"x", "y"} or null}],
    "thresholds": [{"label", "x"}]}``: predictions as lines, measurements as points, thresholds as vertical lines.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable
from html import escape
from typing import Any

import numpy as np

from ufm._extras import optional
from ufm.report._formula import to_mathtext

with optional("report"):
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure as MplFigure
    from matplotlib.ticker import MaxNLocator

__all__ = ["KINDS", "draw"]

#: Okabe and Ito's palette, told apart with any colour vision; dark ones first, since lines are thin.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
MARKERS = ("o", "s", "^", "D", "v", "P")

STYLE: dict[str, Any] = {
    "svg.fonttype": "path",
    "svg.hashsalt": "ufm",
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e3e6ea",
    "grid.linewidth": 0.6,
    "axes.edgecolor": "#6b7280",
    "legend.edgecolor": "none",
    "legend.framealpha": 0.9,
    "legend.fontsize": 8,
    "lines.linewidth": 1.6,
    "lines.markersize": 5,
    "figure.constrained_layout.use": True,
}

#: Width in inches: narrow, so that text stays readable when the drawing is shrunk to a phone's width.
WIDTH = 4.7


def draw(figure: dict[str, Any], number: int) -> str:
    """Draw a figure of a report as an ``<svg>`` element with an accessible name; the same input gives the same text.

    Args:
        figure: ``{"kind", "title", "caption", "data"}`` as in ``report.json``.
        number: number of the figure on its page; it keeps the ids of several drawings apart.

    Raises:
        ValueError: an unknown kind, or data that is not laid out as this module documents.

    >>> data = {"panels": [{"label": "Z", "matrix": [[2, -1], [-1, 2]]}], "class_groups": [1, 1]}
    >>> svg = draw({"kind": "matrices", "title": "Logits", "caption": "Two classes.", "data": data}, number=1)
    >>> svg.startswith("<svg"), 'aria-label="Logits"' in svg
    (True, True)
    """
    kind = figure["kind"]
    if kind not in KINDS:
        raise ValueError(f"figure kind must be one of {', '.join(map(repr, KINDS))}, got {kind!r}")
    settings: Any = dict(mpl.rcParamsDefault) | STYLE  # whatever the user's own settings are
    with mpl.rc_context(settings):
        canvas = MplFigure()
        FigureCanvasSVG(canvas)
        try:
            KINDS[kind](canvas, figure["data"])
        except (KeyError, TypeError, IndexError) as exc:
            raise ValueError(f"data of a {kind!r} figure is not laid out as documented: {exc!r}") from exc
        buffer = io.StringIO()
        canvas.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return _inline(buffer.getvalue(), figure["title"], figure["caption"], f"f{number}-")


def _thresholds(canvas: MplFigure, data: dict[str, Any]) -> None:
    canvas.set_size_inches(WIDTH, 3.5)
    axes = canvas.add_subplot()
    axes.set_yscale(data.get("scale", "log"))
    for i, curve in enumerate(data["curves"]):
        axes.plot(
            _numbers(curve["x"]),
            _numbers(curve["y"]),
            color=_pick(COLOURS, i),
            linestyle=_pick(("-", "--"), i // len(COLOURS)),  # more curves than colours
            label=to_mathtext(curve["label"]),
        )
    for i, mark in enumerate(data["marks"]):
        axes.plot(mark["x"], mark["y"], _pick(MARKERS, i), color="#111827", markersize=4.5, zorder=3)
        axes.annotate(
            to_mathtext(mark["label"]),
            (mark["x"], mark["y"]),
            xytext=(6, -3),
            textcoords="offset points",
            fontsize=8,
            va="top",
            bbox={"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 0.8},
        )
    _label_axes(axes, data)
    axes.legend(loc="best")


def _order_parameter(canvas: MplFigure, data: dict[str, Any]) -> None:
    canvas.set_size_inches(WIDTH, 3.9)
    axes = canvas.add_subplot()
    for i, threshold in enumerate(data["thresholds"]):
        style, name = ("--", ":")[i % 2], to_mathtext(threshold["label"])
        axes.axvline(threshold["x"], color="#6b7280", linestyle=style, linewidth=1, label=name)
    for i, series in enumerate(data["series"]):
        colour = _pick(COLOURS, i)
        line, points = series["line"], series["points"]
        if line is not None:
            named = None if points is not None else to_mathtext(series["label"])
            axes.plot(_numbers(line["x"]), _numbers(line["y"]), color=colour, label=named)
        if points is not None:
            axes.plot(
                _numbers(points["x"]),
                _numbers(points["y"]),
                _pick(MARKERS, i),
                color=colour,
                markersize=6 + i,  # points of several series may coincide: hollow and of growing size all show
                markerfacecolor="none",
                markeredgewidth=1.3,
                linestyle="none",
                label=to_mathtext(series["label"]),
                zorder=3,
            )
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    _label_axes(axes, data)
    canvas.legend(loc="outside upper left", ncols=2)


def _matrices(canvas: MplFigure, data: dict[str, Any]) -> None:
    panels = [(to_mathtext(panel["label"]), np.asarray(panel["matrix"], dtype=float)) for panel in data["panels"]]
    largest = max(float(np.abs(matrix).max()) for _, matrix in panels)
    edges = np.cumsum(data["class_groups"])[:-1]
    canvas.set_size_inches(WIDTH, WIDTH / len(panels) - 0.05)
    colours = mpl.colormaps["RdBu_r"].resampled(101)
    image: Any = None
    all_axes = []
    for i, (title, matrix) in enumerate(panels):
        axes = canvas.add_subplot(1, len(panels), i + 1)
        image = axes.pcolormesh(matrix, cmap=colours, vmin=-largest, vmax=largest, edgecolors="face", linewidth=0.2)
        axes.set_aspect("equal")
        axes.invert_yaxis()
        axes.spines[["top", "right"]].set_visible(True)
        axes.set_title(title)
        axes.grid(False)
        axes.set_xticks([])
        axes.set_yticks([])
        for edge in edges:
            axes.axhline(edge, color="#111827", linewidth=0.7)
            axes.axvline(edge, color="#111827", linewidth=0.7)
        all_axes.append(axes)
    if image is not None:
        bar: Any = canvas.colorbar(image, ax=all_axes, shrink=0.8, pad=0.02)
        bar.solids.set_rasterized(False)
        bar.solids.set_edgecolor("face")


#: Drawings by kind.
KINDS: dict[str, Callable[[MplFigure, dict[str, Any]], None]] = {
    "thresholds": _thresholds,
    "matrices": _matrices,
    "order-parameter": _order_parameter,
}


def _label_axes(axes: Any, data: dict[str, Any]) -> None:
    axes.set_xlabel(to_mathtext(data["x_label"]))
    axes.set_ylabel(to_mathtext(data["y_label"]))


def _numbers(values: list[Any]) -> list[float]:
    return [float(v) if isinstance(v, int | float) else math.nan for v in values]


def _pick(options: tuple[str, ...], i: int) -> str:
    return options[i % len(options)]


def _inline(svg: str, title: str, caption: str, prefix: str) -> str:
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"\s*<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\bid="', f'id="{prefix}', svg)
    svg = re.sub(r"url\(#", f"url(#{prefix}", svg)
    svg = re.sub(r'href="#', f'href="#{prefix}', svg)
    head, body = svg.split(">", 1)
    head = re.sub(r'\s(width|height|version)="[^"]*"', "", head)
    names = f'<title id="{prefix}title">{escape(title)}</title><desc id="{prefix}desc">{escape(caption)}</desc>'
    label = f'role="img" aria-label="{escape(title, quote=True)}" aria-describedby="{prefix}desc"'
    return f"{head} {label}>{names}{body}".strip()
