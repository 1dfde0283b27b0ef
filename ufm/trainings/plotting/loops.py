"""Hysteresis loops, on the branches that the theory has."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from ufm.architectures import PenalisedDEQ, UnconstrainedFeatures
from ufm.trainings.config import TrainingConfig
from ufm.trainings.loop import Loop
from ufm.trainings.low_rank import low_rank_branch
from ufm.trainings.plotting.checks import checked
from ufm.trainings.plotting.style import STYLES, tidy
from ufm.trainings.prediction import minority_threshold, model_of, predict
from ufm.two_groups.transitions import trapped_threshold

__all__ = ["plot_hysteresis"]


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

    >>> plot_hysteresis({"empty": Loop(TrainingConfig(width=64), ((2,),), 1e-3, ())})
    Traceback (most recent call last):
    ValueError: loops['empty'] must hold at least one point, got none
    """
    if not isinstance(loops, Mapping):
        raise TypeError(f"loops must be a mapping to ufm.deq.Loop, got {loops!r}")
    panels = {k: [v] if isinstance(v, Loop) or not isinstance(v, Sequence) else list(v) for k, v in loops.items()}
    checked("loops", {k: v[0] if v else None for k, v in panels.items()}, str, Loop)
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
    tidy(axes)


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
