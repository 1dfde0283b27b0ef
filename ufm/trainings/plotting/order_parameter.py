"""The order parameter s_B of a sweep, predicted and measured."""

from __future__ import annotations

from matplotlib.figure import Figure

from ufm.trainings.plotting.style import STYLES, tidy
from ufm.trainings.sweep import Sweep

__all__ = ["plot_sweep"]


def plot_sweep(sweep: Sweep) -> Figure:
    """Draw the order parameter s_B of a sweep, predicted and measured.

    Args:
        sweep: a sweep, complete or partial, with at least one point that did not fail.

    Returns:
        A matplotlib figure without a window; ``figure.savefig(...)`` writes it.

    Raises:
        TypeError, ValueError: ``sweep`` is no sweep, or there is no point to draw.

    >>> from ufm.trainings import SweepConfig
    >>> plot_sweep(Sweep(SweepConfig(explicit=(14,))))
    Traceback (most recent call last):
    ValueError: sweep must hold at least one trained point, got none
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
    tidy(axes)
    if sweep.is_partial:
        axes.set_title(f"partial: {len(sweep.points)} of {len(sweep.config.trainings())} trainings", fontsize=10)
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    return figure
