"""How far a nonlinear fixed point departs from the linear theory."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping

from matplotlib.figure import Figure

from ufm.trainings.plotting.checks import checked
from ufm.trainings.plotting.style import COLOURS, MARKERS, tidy
from ufm.trainings.prediction import minority_threshold, model_of, predict
from ufm.trainings.sweep import Sweep
from ufm.trainings.threshold import threshold_of_sweep

__all__ = ["plot_departure"]


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

    >>> from ufm.trainings import SweepConfig
    >>> plot_departure({0.5: Sweep(SweepConfig(explicit=(14,)))})
    Traceback (most recent call last):
    ValueError: sweeps must hold at least one trained point that starts at A = rho I, got none
    """
    checked("sweeps", sweeps, int | float, Sweep)
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
        tidy(axes)
    return figure
