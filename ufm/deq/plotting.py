"""Figures of trainings: s_B against n_B with the theory as curves, metrics over epochs, hysteresis loops."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure

from ufm.deq.experiment import Experiment
from ufm.deq.sweep import Sweep

__all__ = ["plot_curves", "plot_sweep"]

#: Okabe and Ito's colours, and a marker for every branch.
STYLES = (("#0072B2", "o"), ("#D55E00", "s"), ("#009E73", "x"))


def plot_sweep(sweep: Sweep) -> Figure:
    """Draw the order parameter s_B of a sweep, predicted and measured.

    Args:
        sweep: a sweep, complete or partial, with at least one point that did not fail.

    Returns:
        A matplotlib figure without a window; ``figure.savefig(...)`` writes it.

    Raises:
        ValueError: there is no point to draw.
    """
    data = sweep.order_parameter()
    if not data["series"]:
        raise ValueError("sweep must hold at least one trained point, got none")
    figure = Figure(figsize=(7.2, 5.0), layout="constrained")
    axes = figure.add_subplot()
    for series, (colour, marker) in zip(data["series"], STYLES, strict=False):
        if series["line"] is not None:
            axes.plot(series["line"]["x"], series["line"]["y"], color=colour, label=f"{series['label']}: theory")
        axes.plot(
            series["points"]["x"],
            series["points"]["y"],
            marker,
            color=colour,
            markersize=7,
            markerfacecolor="none",
            markeredgewidth=1.5,
            clip_on=False,
            zorder=3,
            label=f"{series['label']}: trained",
        )
    for threshold, style in zip(data["thresholds"], ("--", ":"), strict=True):
        label = f"{threshold['label']}: n_B = {threshold['x']:.3g}"
        axes.axvline(threshold["x"], color="#6b7280", linestyle=style, linewidth=1.2, label=label)
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=-0.04)
    axes.set_xlabel(data["x_label"])
    axes.set_ylabel(data["y_label"])
    _tidy(axes)
    if sweep.is_partial:
        axes.set_title(f"partial: {len(sweep.points)} of {len(sweep.config.trainings())} trainings", fontsize=10)
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    return figure


def plot_curves(experiment: Experiment) -> Figure:
    """Draw the metrics of a training run over its epochs: accuracies, NC1, NC2, NC3 and the minority's cosines.

    Args:
        experiment: with at least one record.

    Returns:
        A matplotlib figure without a window.

    Raises:
        ValueError: there is no record to draw.
    """
    records = experiment.records
    if not records:
        raise ValueError("experiment must hold at least one record, got none")
    epochs = [r["epoch"] for r in records]
    panels: list[tuple[str, dict[str, list[Any]]]] = [
        ("test accuracy", {k: [r["test_accuracy"][k] for r in records] for k in ("overall", "majority", "minority")}),
        ("NC1: tr S_W / tr S_B", {"": [r["measures"]["trace_quotient"] for r in records]}),
        ("NC2: distance to simplex ETF", {"": [r["measures"]["etf_error"] for r in records]}),
        ("NC3: self-duality error", {"": [r["measures"]["self_duality_error"] for r in records]}),
        (
            "minority: mean cosine",
            {
                "classifiers": [r["measures"]["minority_cosine"] for r in records],
                "class means": [r["measures"]["minority_feature_cosine"] for r in records],
            },
        ),
        ("training loss", {"": [r["loss"] for r in records]}),
    ]
    figure = Figure(figsize=(9.6, 5.4), layout="constrained")
    for axes, (title, curves) in zip(figure.subplots(2, 3).flat, panels, strict=True):
        for (label, values), (colour, _) in zip(curves.items(), STYLES, strict=False):
            known = [(e, v) for e, v in zip(epochs, values, strict=True) if v is not None]
            if known:
                axes.plot(*zip(*known, strict=True), color=colour, marker=".", markersize=4, label=label)
        if title.startswith(("NC1", "training")) and all(v is not None and v > 0 for v in curves[""]):
            axes.set_yscale("log")
        if len(curves) > 1:
            axes.legend(frameon=False, fontsize=8)
        axes.set_title(title, fontsize=10)
        _tidy(axes)
    config = experiment.config
    figure.supxlabel("epoch", fontsize=10)
    figure.suptitle(
        f"{config.model} on {config.dataset}: K_A = {config.num_majority}, K_B = {config.num_minority}, "
        f"R = {config.ratio:g}, seed {config.seed}",
        fontsize=11,
    )
    return figure


def _tidy(axes: Any) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#e3e6ea", linewidth=0.6)
