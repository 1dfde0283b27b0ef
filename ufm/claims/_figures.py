"""Data of the report's figures, built where the evidence is; :mod:`ufm.report.figures` draws them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ufm.architectures import LayerPeeled
from ufm.claims._model import Figure
from ufm.thresholds import collapse_threshold

__all__ = ["gram_figure", "order_parameter_figure", "threshold_figure"]

#: Points on a threshold curve.
CURVE_POINTS = 80
#: Thresholds above this are left out of the picture; they grow exponentially in tau / K.
LARGEST_RATIO = 1e4


def threshold_figure(
    setting: LayerPeeled, num_classes: int, majorities: Sequence[int], taus: Sequence[float] | None = None
) -> Figure:
    """Threshold R*(tau) for every number K_A of majority classes, with ``setting`` marked on each curve.

    Args:
        setting: the budgets to mark, such as Fang et al.'s E_W = 1, E_H = 5.
        num_classes: K.
        majorities: numbers K_A of majority classes, each at most K - 2.
        taus: radii of the curves; from 0 to twice the setting's unless given.
    """
    k = num_classes
    marked = setting.radius(k)
    grid = np.linspace(0, 2 * marked, CURVE_POINTS + 1)[1:] if taus is None else np.asarray(taus, dtype=float)
    curves, marks = [], []
    for k_a in majorities:
        ratios = [float(collapse_threshold(LayerPeeled((tau / k) ** 2, 1.0), k_a, k - k_a)) for tau in grid]
        shown = [r if r <= LARGEST_RATIO else None for r in ratios]
        curves.append({"label": f"$K_A = {k_a}$", "x": list(grid), "y": shown})
        ratio = float(collapse_threshold(setting, k_a, k - k_a))
        marks.append({"label": f"$R^* = {ratio:.6g}$", "x": marked, "y": ratio})
    return Figure(
        "thresholds",
        "Collapse threshold R* against the radius τ",
        f"Above a curve the minority has collapsed. K = {k} classes, K_A of them in the majority. Marked: E_W = "
        f"{setting.E_W:g}, E_H = {setting.E_H:g}, that is τ = K √(E_W E_H) = {marked:.4g}. A linear DEQ with |A|_2 ≤ ρ "
        "sits on the same curve at τ/(1−ρ).",
        {
            "x_label": r"radius $\tau$ of the nuclear-norm ball",
            "y_label": r"collapse threshold $R^*$",
            "curves": curves,
            "marks": marks,
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
            "x_label": r"minority samples per class $n_B$",
            "y_label": r"order parameter $s_B$",
            "series": [dict(entry) for entry in series],
            "thresholds": [{"label": label, "x": x} for label, x in thresholds.items()],
        },
    )
