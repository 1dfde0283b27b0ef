"""Data of the report's figures, built where the evidence is; :mod:`ufm.report.figures` draws them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ufm.claims._model import Figure

__all__ = ["curves_figure", "gram_figure", "order_parameter_figure"]


def curves_figure(
    title: str,
    caption: str,
    labels: tuple[str, str],
    curves: Mapping[str, tuple[Sequence[float], Sequence[float | None]]],
    marks: Sequence[tuple[str, float, float]] = (),
    *,
    scale: str = "linear",
) -> Figure:
    """Curves of one number over another.

    Args:
        title: short title.
        caption: what to see.
        labels: of the axes.
        curves: abscissae and ordinates by label; None leaves a gap.
        marks: points, each with its label before it.
        scale: of the ordinates, ``"linear"`` or ``"log"``.
    """
    return Figure(
        "thresholds",
        title,
        caption,
        {
            "x_label": labels[0],
            "y_label": labels[1],
            "scale": scale,
            "curves": [
                {"label": label, "x": [float(v) for v in x], "y": [None if v is None else float(v) for v in y]}
                for label, (x, y) in curves.items()
            ],
            "marks": [{"label": label, "x": x, "y": y} for label, x, y in marks],
        },
    )


def gram_figure(title: str, predicted: Any, measured: Any, group_sizes: Sequence[int]) -> Figure:
    """Gram matrices, predicted beside measured, with their largest difference in the caption.

    Args:
        title: which Gram matrix, of which network.
        predicted: shape (K, K).
        measured: shape (K, K).
        group_sizes: sizes of the groups of classes, in the order of the rows.

    Raises:
        ValueError: shapes that differ.
    """
    p, m = np.asarray(predicted, dtype=float), np.asarray(measured, dtype=float)
    if p.shape != m.shape or p.ndim != 2:
        raise ValueError(f"predicted and measured must be matrices of one shape, got {p.shape} and {m.shape}")
    largest = float(np.abs(p).max())
    difference = float(np.abs(p - m).max())
    return Figure(
        "matrices",
        title,
        f"One colour scale for both. Largest difference between entries: {difference:.2g}, the largest predicted entry "
        f"being {largest:.4g}. Lines part the groups of classes, the most frequent first.",
        {
            "panels": [{"label": "predicted", "matrix": p}, {"label": "measured", "matrix": m}],
            "class_groups": list(group_sizes),
        },
    )


def order_parameter_figure(
    title: str, caption: str, series: Sequence[Mapping[str, Any]], thresholds: Mapping[str, float]
) -> Figure:
    """Order parameter s_B against n_B: predictions as lines, trained networks as points.

    Args:
        title: short title.
        caption: what to see.
        series: each ``{"label", "line", "points"}``, line and points ``{"x": [n_B], "y": [s_B]}`` or None.
        thresholds: predicted thresholds in n_B by label.
    """
    return Figure(
        "order-parameter",
        title,
        caption,
        {
            "x_label": "minority samples per class n_B",
            "y_label": "order parameter s_B",
            "series": [dict(entry) for entry in series],
            "thresholds": [{"label": label, "x": x} for label, x in thresholds.items()],
        },
    )
