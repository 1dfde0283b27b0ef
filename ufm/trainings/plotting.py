"""Figures of trainings: s_B against n_B with the theory as curves, metrics over epochs, hysteresis loops."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Mapping, Sequence
from types import UnionType
from typing import Any

from matplotlib.figure import Figure

from ufm.architectures import PenalisedDEQ, UnconstrainedFeatures
from ufm.trainings.experiment import Experiment
from ufm.trainings.hysteresis import Loop, low_rank_branch
from ufm.trainings.prediction import minority_threshold, model_of, predict
from ufm.trainings.sweep import Sweep
from ufm.trainings.threshold import threshold_of_sweep
from ufm.trainings.training import TrainingConfig
from ufm.two_groups.transitions import trapped_threshold

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
        TypeError, ValueError: ``sweep`` is no sweep, or there is no point to draw.
    """
    if not isinstance(sweep, Sweep):
        raise TypeError(f"sweep must be a ufm.deq.Sweep, got {sweep!r}")
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
        TypeError, ValueError: ``experiment`` is no experiment, or there is no record to draw.
    """
    if not isinstance(experiment, Experiment):
        raise TypeError(f"experiment must be a ufm.deq.Experiment, got {experiment!r}")
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


def plot_hysteresis(loops: Mapping[str, Loop | Sequence[Loop]]) -> Figure:
    """Draw s_B of loops against n_B, on the branches that theory has.

    These are the global optimum and, where networks have less than its rank, the local minima of their rank that
    :func:`ufm.deq.low_rank_branch` follows, where they are local minima with A = 0 beside the directions in use.
    Vertical lines: where the optimum leaves collapse; where a collapsed network with A = 0 beside them does, by mixing
    directions in use; and where its unused directions are unstable as well.

    Args:
        loops: by title; a panel each, of one loop or of several that differ in the seed.

    Returns:
        A matplotlib figure without a window.

    Raises:
        TypeError, ValueError: ``loops`` is no mapping of titles to loops, a loop has no point, or those of a panel
            differ in more than the seed.
    """
    if not isinstance(loops, Mapping):
        raise TypeError(f"loops must be a mapping to ufm.deq.Loop, got {loops!r}")
    panels = {k: [v] if isinstance(v, Loop) or not isinstance(v, Sequence) else list(v) for k, v in loops.items()}
    _checked("loops", {k: v[0] if v else None for k, v in panels.items()}, str, Loop)
    for title, together in panels.items():
        for loop in together:
            if not isinstance(loop, Loop):
                raise TypeError(f"loops[{title!r}] must hold ufm.deq.Loop, got {loop!r}")
            if not loop.points:
                raise ValueError(f"loops[{title!r}] must hold at least one point, got none")
            if dataclasses.replace(loop.training, seed=0) != dataclasses.replace(together[0].training, seed=0):
                raise ValueError(f"loops[{title!r}] must differ in nothing but the seed, got {loop.training!r}")
    figure = Figure(figsize=(max(4.4 * len(panels), 7.2), 5.4), layout="constrained")
    grid = figure.subplots(1, len(panels), squeeze=False)[0]
    for axes, (title, together) in zip(grid, panels.items(), strict=True):
        _draw_loops(axes, together)
        axes.set_title(title, fontsize=10, pad=18)
    grid[0].set_ylabel("order parameter s_B")
    entries = {label: handle for axes in grid for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    labels = sorted(entries, key=lambda label: (not label.startswith("trained"), "rank" not in label))
    figure.legend(
        [entries[label] for label in labels],
        labels,
        loc="outside lower center",
        ncols=min(len(panels) + 1, 3),
        frameon=False,
        fontsize=8,
    )
    return figure


def _draw_loops(axes: Any, loops: list[Loop]) -> None:
    training = loops[0].training
    largest = min(1.05 * max(n for loop in loops for leg in loop.legs for n in leg), training.majority_count)
    thresholds = [(label, n, dash) for label, n, dash in _loop_thresholds(training) if n < largest]
    kinks = [n for _, n, _ in thresholds]
    grid = sorted({*(largest * (i + 1) / 120 for i in range(120)), *kinks})
    optimum = [predict(training, n).scale for n in grid]
    axes.plot(grid, optimum, color="#6b7280", linewidth=1.5, label="global optimum")
    for rising, rank, first, last in sorted(
        {branch for loop in loops for branch in _branches(loop)}, key=lambda branch: (branch[1], not branch[0], branch)
    ):
        order = [first, *(n for n in (grid if rising else grid[::-1]) if min(first, last) < n < max(first, last)), last]
        codes = low_rank_branch(training, order, rank, follow=True)
        axes.plot(
            order,
            [c.scale if c.is_stable else math.nan for c in codes],
            color=STYLES[0 if rising else 1][0],
            linewidth=1.3,
            linestyle=((0, (5, 1.5)), (0, (2.5, 1.5)), (0, (1, 1)))[rank % 3],
            label=f"local minimum of rank {rank}, n_B {'rising' if rising else 'falling'}",
        )
    for label, n, dash in thresholds:
        axes.axvline(n, color="#9ca3af", linestyle=dash, linewidth=1.1, label=label, zorder=1)
        top = axes.get_xaxis_transform()
        axes.text(n, 1.01, f"{n:.2f}", transform=top, fontsize=8, ha="center", va="bottom", color="#4b5563")
    for loop in loops:
        for number in range(len(loop.legs)):
            points = loop.leg(number)
            rising = _rises(loop, number)
            axes.plot(
                [p.minority_count for p in points],
                [p.scale for p in points],
                "^" if rising else "v",
                color=STYLES[0 if rising else 1][0],
                markersize=7,
                markerfacecolor="none",
                markeredgewidth=1.2,
                clip_on=False,
                zorder=3,
                label=f"trained, n_B {'rising' if rising else 'falling'}",
            )
    axes.set_xlim(0, largest)
    axes.set_ylim(bottom=-0.04 * axes.get_ylim()[1])
    axes.set_xlabel("minority samples per class, n_B")
    _tidy(axes)


def _rises(loop: Loop, number: int) -> bool:
    """Whether n_B rises on a leg; from the leg before to it, where it is a single one."""
    leg = loop.legs[number]
    return leg[-1] >= (loop.legs[number - 1][-1] if number and len(leg) == 1 else leg[0])


def _branches(loop: Loop) -> list[tuple[bool, int, int, int]]:
    """Whether n_B rises, rank, and n_B from and to, of the low-rank branches that a loop is on."""
    found = []
    for run in loop.runs():
        leg = loop.leg(run[0].leg)
        after = leg[min(leg.index(run[-1]) + 1, len(leg) - 1)]
        found.append((_rises(loop, run[0].leg), run[0].rank, run[0].minority_count, after.minority_count))
    return found


def _loop_thresholds(training: TrainingConfig) -> list[tuple[str, float, str]]:
    """Label, n_B and line style."""
    model = model_of(training)
    found = [("the optimum leaves collapse", minority_threshold(model, training), ":")]
    if isinstance(model, PenalisedDEQ) and training.rho > 0:
        k_a, k_b, n_a = training.num_majority, training.num_minority, training.majority_count
        explicit = UnconstrainedFeatures(training.lambda_W, training.lambda_H)
        unused = minority_threshold(explicit, training)
        mixing = n_a / trapped_threshold(model, k_a, k_b, majority_count=n_a)
        found += [
            ("a collapsed network with A = 0 beside does, by mixing", mixing, "-."),
            ("its unused directions are unstable", unused, "--"),
        ]
    return found


def _checked(name: str, mapping: Any, key: type | UnionType, value: type) -> None:
    """Raise unless ``mapping`` maps at least one ``key`` to a ``value`` each."""
    if not isinstance(mapping, Mapping):
        raise TypeError(f"{name} must be a mapping to ufm.deq.{value.__name__}, got {mapping!r}")
    if not mapping:
        raise ValueError(f"{name} must hold at least one, got none")
    for k, v in mapping.items():
        if not isinstance(k, key) or isinstance(k, bool):
            raise TypeError(f"{name} must have keys of type {getattr(key, '__name__', key)}, got {k!r}")
        if not isinstance(v, value):
            raise TypeError(f"{name}[{k!r}] must be a ufm.deq.{value.__name__}, got {v!r}")


def plot_departure(sweeps: Mapping[float, Sweep]) -> Figure:
    """Draw how far a nonlinear fixed point departs from the linear theory: s_B, and the measured threshold.

    Args:
        sweeps: by gamma, each with points of the branch that starts at A = rho I.

    Returns:
        A matplotlib figure without a window: left s_B against n_B for every gamma with the theory of the linear DEQ,
        right the measured threshold over the predicted one, with its error, where points are enough to extrapolate.

    Raises:
        TypeError, ValueError: ``sweeps`` is no mapping of gammas to sweeps, or no sweep has a trained point of that
            branch.
    """
    _checked("sweeps", sweeps, int | float, Sweep)
    if not any(p.scale is not None for s in sweeps.values() for p in s.branch("identity")):
        raise ValueError("sweeps must hold at least one trained point that starts at A = rho I, got none")
    figure = Figure(figsize=(9.6, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    first = next(iter(sweeps.values()))
    training = dataclasses.replace(first.config.training, architecture="deq")
    threshold = minority_threshold(model_of(training), training)
    largest = 1.04 * max(p.minority_count for s in sweeps.values() for p in s.branch("identity"))
    largest = min(largest, training.majority_count)
    grid = sorted({*(largest * (i + 1) / 160 for i in range(160)), threshold})
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
