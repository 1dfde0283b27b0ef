"""Real deep equilibrium models: the layer, networks on it, and trainings held against the theory's prediction.

The names below load lazily, for torch is slow to import.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_EXPORTS = {
    "DEQ": "layer",
    "MODELS": "models",
    "ConvergenceError": "layer",
    "ConvergenceWarning": "layer",
    "Budgets": "prediction",
    "Comparison": "paper",
    "Dataset": "data",
    "DatasetFormatError": "data",
    "DatasetNotFoundError": "data",
    "DatasetWarning": "data",
    "DivergedError": "experiment",
    "Experiment": "experiment",
    "ExperimentConfig": "experiment",
    "ExplicitNetwork": "models",
    "HysteresisPoint": "hysteresis",
    "Info": "layer",
    "LinearDEQNetwork": "models",
    "Loop": "hysteresis",
    "LoopInterrupted": "hysteresis",
    "LowRankCode": "hysteresis",
    "MeasuredThreshold": "threshold",
    "Monotone": "wellposed",
    "MonotoneDEQ": "monotone",
    "Output": "models",
    "PrecisionWarning": "layer",
    "SpectralBound": "wellposed",
    "Sweep": "sweep",
    "SweepConfig": "sweep",
    "SweepInterrupted": "sweep",
    "SweepPoint": "sweep",
    "TrainingConfig": "training",
    "TrainingResult": "training",
    "build_model": "models",
    "digits": "data",
    "hysteresis_loop": "hysteresis",
    "jacobian_penalty": "jacobian",
    "load_dataset": "data",
    "load_run": "experiment",
    "low_rank_branch": "hysteresis",
    "low_rank_codes": "hysteresis",
    "measured_threshold": "threshold",
    "paper_points": "paper",
    "plot_curves": "plotting",
    "plot_departure": "plotting",
    "plot_hysteresis": "plotting",
    "plot_sweep": "plotting",
    "predict": "prediction",
    "predict_from_budgets": "prediction",
    "run_experiment": "experiment",
    "run_sweep": "sweep",
    "spectral_radius": "jacobian",
    "train": "training",
}

if TYPE_CHECKING:
    from ufm.deq.data import Dataset, DatasetFormatError, DatasetNotFoundError, DatasetWarning, digits, load_dataset
    from ufm.deq.experiment import DivergedError, Experiment, ExperimentConfig, load_run, run_experiment
    from ufm.deq.hysteresis import (
        HysteresisPoint,
        Loop,
        LoopInterrupted,
        LowRankCode,
        hysteresis_loop,
        low_rank_branch,
        low_rank_codes,
    )
    from ufm.deq.jacobian import jacobian_penalty, spectral_radius
    from ufm.deq.layer import DEQ, ConvergenceError, ConvergenceWarning, Info, PrecisionWarning
    from ufm.deq.models import MODELS, ExplicitNetwork, LinearDEQNetwork, Output, build_model
    from ufm.deq.monotone import MonotoneDEQ
    from ufm.deq.paper import Comparison, paper_points
    from ufm.deq.plotting import plot_curves, plot_departure, plot_hysteresis, plot_sweep
    from ufm.deq.prediction import Budgets, predict, predict_from_budgets
    from ufm.deq.sweep import Sweep, SweepConfig, SweepInterrupted, SweepPoint, run_sweep
    from ufm.deq.threshold import MeasuredThreshold, measured_threshold
    from ufm.deq.training import TrainingConfig, TrainingResult, train
    from ufm.deq.wellposed import Monotone, SpectralBound

__all__ = [
    "DEQ",
    "MODELS",
    "Budgets",
    "Comparison",
    "ConvergenceError",
    "ConvergenceWarning",
    "Dataset",
    "DatasetFormatError",
    "DatasetNotFoundError",
    "DatasetWarning",
    "DivergedError",
    "Experiment",
    "ExperimentConfig",
    "ExplicitNetwork",
    "HysteresisPoint",
    "Info",
    "LinearDEQNetwork",
    "Loop",
    "LoopInterrupted",
    "LowRankCode",
    "MeasuredThreshold",
    "Monotone",
    "MonotoneDEQ",
    "Output",
    "PrecisionWarning",
    "SpectralBound",
    "Sweep",
    "SweepConfig",
    "SweepInterrupted",
    "SweepPoint",
    "TrainingConfig",
    "TrainingResult",
    "build_model",
    "digits",
    "hysteresis_loop",
    "jacobian_penalty",
    "load_dataset",
    "load_run",
    "low_rank_branch",
    "low_rank_codes",
    "measured_threshold",
    "paper_points",
    "plot_curves",
    "plot_departure",
    "plot_hysteresis",
    "plot_sweep",
    "predict",
    "predict_from_budgets",
    "run_experiment",
    "run_sweep",
    "spectral_radius",
    "train",
]


def __getattr__(name: str) -> Any:
    if name in _EXPORTS:
        value = getattr(importlib.import_module(f"ufm.deq.{_EXPORTS[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'ufm.deq' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
