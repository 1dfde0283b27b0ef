"""Synthetic claims for the tests of the framework, the report and the command line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ufm.claims import Claim, Context, Evidence, Figure, Status

#: The claims that train networks.
NETWORK = ["network-explicit-predicted", "network-deq-predicted", "network-deq-trapped", "network-gram-predicted"]


def claim(id: str, check: Callable[[Context], Any], **fields: Any) -> Claim:
    defaults = {"title": f"Title of {id}", "statement": f"Statement of {id}", "source": "nowhere", "group": "Samples"}
    return Claim(id=id, check=check, **(defaults | fields))


def found(status: str, **fields: Any) -> Callable[[Context], Evidence]:
    defaults = {"summary": f"{status} with 1.5", "established_by": ("a test",), "details": {"x": 1.5}}
    return lambda context: Evidence(Status(status), **(defaults | fields))


def crash(context: Context) -> Evidence:
    raise RuntimeError("solver diverged")


def interrupt(context: Context) -> Evidence:
    context.record("points", {"n_B": 8, "s_B": 0.25})
    context.record("points", {"n_B": 14, "s_B": 0.5})
    raise KeyboardInterrupt


FIGURES = (
    Figure(
        "thresholds",
        "Thresholds <of R>",
        'Above "a" curve the minority has collapsed.',
        {
            "x_label": r"$\tau$",
            "y_label": "$R^*$",
            "curves": [{"label": "$K_A = 3$", "x": [1.0, 2.0, 3.0], "y": [2.0, 4.0, None]}],
            "marks": [{"label": "here", "x": 2.0, "y": 4.0}],
        },
    ),
    Figure(
        "matrices",
        "Gram matrices",
        "Predicted beside measured.",
        {
            "panels": [{"label": n, "matrix": [[1.0, -0.5], [-0.5, 1.0]]} for n in ("predicted", "measured")],
            "class_groups": [1, 1],
        },
    ),
    Figure(
        "order-parameter",
        "Order parameter",
        "Lines: prediction. Points: measurement.",
        {
            "x_label": "$n_B$",
            "y_label": "$s_B$",
            "series": [
                {"label": "explicit", "line": {"x": [1, 2], "y": [0.0, 1.0]}, "points": {"x": [2], "y": [1.1]}},
                {"label": "trapped", "line": None, "points": {"x": [2], "y": [0.0]}},
            ],
            "thresholds": [{"label": "explicit", "x": 1.5}],
        },
    ),
)

GOOD = tuple(claim(f"good-{status}", found(status)) for status in ("proved", "certified", "supported"))
EVIL = claim(
    "evil",
    found("supported", summary="<script>alert('s_B')</script> & |A|_2 < 1", details={"<b>": "<i>x</i>"}),
    title="<em>Evil</em> n_B",
    statement="a < b & c",
    hypotheses=("<h>",),
)
FIGURED = claim("figured", found("supported", figures=FIGURES), group="Figures")
REFUTED = claim("refuted", found("refuted"))
CRASHING = claim("crashing", crash)
INTERRUPTED = claim("interrupted", interrupt)
LAST = claim("last", found("proved"))
