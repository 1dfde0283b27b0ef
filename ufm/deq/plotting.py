"""Figures of trainings: s_B against n_B with the theory as curves, metrics over epochs, hysteresis loops."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

from ufm.deq.experiment import Experiment
from ufm.deq.hysteresis import Loop
from ufm.deq.prediction import minority_threshold, model_of, predict
from ufm.deq.sweep import Sweep
from ufm.deq.threshold import threshold_of_sweep

__all__ = ["plot_curves", "plot_departure", "plot_hysteresis", "plot_sweep"]

#: Okabe and Ito's colours, and a marker for every branch.
STYLES = (("#0072B2", "o"), ("#D55E00", "s"), ("#009E73", "x"))
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = "os^Dv*"


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
    for threshold, style in zip(data["thresholds"], ("--", ":"), strict=False):
        label = f"{threshold['label']}: n_B = {threshold['x']:.3g}"
        axes.axvline(threshold["x"], color="#6b7280", linestyle=style, linewidth=1.2, label=label)
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=-0.02 * axes.get_ylim()[1])
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


def plot_hysteresis(loops: Mapping[str, Loop]) -> Figure:
    """Draw s_B of loops against n_B, beside the branch of the global optimum and the two thresholds.

    Args:
        loops: by title; a panel each.

    Returns:
        A matplotlib figure without a window.

    Raises:
        ValueError: there is no loop.
    """
    if not loops:
        raise ValueError("loops must hold at least one, got none")
    figure = Figure(figsize=(4.8 * len(loops), 4.4), layout="constrained")
    panels = figure.subplots(1, len(loops), squeeze=False, sharey=True)[0]
    for axes, (title, loop) in zip(panels, loops.items(), strict=True):
        training = loop.training
        explicit = dataclasses.replace(training, architecture="explicit", minority_count=1)
        optimal, stable = (minority_threshold(model_of(t), t) for t in (training, explicit))
        largest = 1.05 * max(n for leg in loop.legs for n in leg)
        grid = sorted({*(largest * (i + 1) / 160 for i in range(160)), optimal})
        line = [predict(training, n).scale for n in grid]
        axes.plot(grid, line, color="#6b7280", linewidth=1.5, label="global optimum")
        # The collapsed branch, stable up to the local threshold of a = 0.
        axes.plot(
            [0, min(stable, largest)],
            [0, 0],
            color="#6b7280",
            linewidth=1.5,
            linestyle="--",
            label="collapsed, to the threshold of a = 0",
        )
        axes.axvline(optimal, color="#9ca3af", linestyle=":", linewidth=1.2)
        axes.axvline(stable, color="#9ca3af", linestyle="--", linewidth=1.2)
        for number in range(len(loop.legs)):
            points = loop.leg(number)
            rising = points[-1].minority_count == max(p.minority_count for p in points)
            colour = STYLES[number % len(STYLES)][0]
            axes.plot(
                [p.minority_count for p in points],
                [p.scale for p in points],
                marker="^" if rising else "v",
                color=colour,
                markersize=6,
                markerfacecolor="none",
                linewidth=0.8,
                clip_on=False,
                label="n_B rising" if rising else "n_B falling",
            )
        axes.set_title(title, fontsize=10)
        axes.set_xlim(0, largest)
        axes.set_ylim(bottom=-0.06)
        axes.set_xlabel("minority samples per class, n_B")
        axes.text(optimal, 1.0, f" {optimal:.3g}", transform=axes.get_xaxis_transform(), fontsize=8, va="top")
        axes.text(stable, 1.0, f" {stable:.3g}", transform=axes.get_xaxis_transform(), fontsize=8, va="top")
        _tidy(axes)
    panels[0].set_ylabel("order parameter s_B")
    panels[0].legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(0.0, 0.94))
    return figure


def plot_departure(sweeps: Mapping[float, Sweep]) -> Figure:
    """Draw how far a nonlinear fixed point departs from the linear theory: s_B, and the measured threshold.

    Args:
        sweeps: by gamma, each with points of the branch that starts at A = rho I.

    Returns:
        A matplotlib figure without a window: left s_B against n_B for every gamma with the theory of the linear DEQ,
        right the measured threshold over the predicted one, with its error, where points are enough to extrapolate.

    Raises:
        ValueError: there is no sweep.
    """
    if not sweeps:
        raise ValueError("sweeps must hold at least one, got none")
    figure = Figure(figsize=(9.6, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    first = next(iter(sweeps.values()))
    training = dataclasses.replace(first.config.training, architecture="deq")
    threshold = minority_threshold(model_of(training), training)
    largest = max(p.minority_count for s in sweeps.values() for p in s.branch("identity"))
    grid = sorted({*(1.04 * largest * (i + 1) / 160 for i in range(160)), threshold})
    left.plot(grid, [predict(training, n).scale for n in grid], color="#6b7280", label="theory, linear")
    ratios = []
    for i, (gamma, sweep) in enumerate(sorted(sweeps.items())):
        points = [p for p in sweep.branch("identity") if p.scale is not None]
        style = {"marker": MARKERS[i % len(MARKERS)], "color": COLOURS[i % len(COLOURS)], "markerfacecolor": "none"}
        left.plot(
            [p.minority_count for p in points], [p.scale for p in points], linestyle="", label=f"γ = {gamma:g}", **style
        )
        with contextlib.suppress(ValueError):
            found = threshold_of_sweep(sweep, "identity")
            ratios.append((gamma, found.value / threshold, found.error / threshold))
    if ratios:
        gammas, values, errors = zip(*ratios, strict=True)
        right.errorbar(
            gammas, values, yerr=errors, marker="o", color=COLOURS[0], markerfacecolor="none", capsize=3, linewidth=1
        )
    right.axhline(1, color="#6b7280", linewidth=1)
    left.set_xlabel("minority samples per class, n_B")
    left.set_ylabel("order parameter s_B")
    left.legend(frameon=False, fontsize=8)
    right.set_xlabel("nonlinearity γ")
    right.set_ylabel("measured threshold / linear prediction")
    for axes in (left, right):
        _tidy(axes)
    return figure
