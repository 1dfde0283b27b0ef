"""The metrics of a run by SGD over its epochs."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure

from ufm.trainings.experiment_record import Experiment
from ufm.trainings.plotting.style import STYLES, tidy

__all__ = ["plot_curves"]


def plot_curves(experiment: Experiment) -> Figure:
    """Draw the metrics of a training run over its epochs: accuracies, NC1, NC2, NC3 and the minority's cosines.

    Args:
        experiment: with at least one record.

    Returns:
        A matplotlib figure without a window.

    Raises:
        TypeError, ValueError: ``experiment`` is no experiment, or there is no record to draw.

    >>> from ufm.trainings import ExperimentConfig
    >>> names = ("trace_quotient", "etf_error", "self_duality_error", "minority_cosine", "minority_feature_cosine")
    >>> accuracy = {"overall": 0.9, "majority": 1.0, "minority": 0.8}
    >>> record = {"epoch": 1, "test_accuracy": accuracy, "measures": dict.fromkeys(names, 0.5), "loss": 0.1}
    >>> [axes.get_title() for axes in plot_curves(Experiment(ExperimentConfig(), (record,), None)).axes][:2]
    ['test accuracy', 'NC1: tr S_W / tr S_B']
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
        tidy(axes)
    config = experiment.config
    figure.supxlabel("epoch", fontsize=10)
    figure.suptitle(
        f"{config.model} on {config.dataset}: K_A = {config.num_majority}, K_B = {config.num_minority}, "
        f"R = {config.ratio:g}, seed {config.seed}",
        fontsize=11,
    )
    return figure
