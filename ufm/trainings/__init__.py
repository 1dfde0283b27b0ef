"""Trainings held against the theory's prediction: single ones, sweeps, hysteresis loops, the paper's grid.

The names load lazily, for torch is slow to import.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_EXPORTS = {
    "BRANCHES": "ufm.trainings.sweep_config",
    "BudgetPrediction": "ufm.trainings.budgets",
    "Budgets": "ufm.trainings.budgets",
    "ClassKernel": "ufm.trainings.encoder_price",
    "Comparison": "ufm.trainings.paper",
    "DivergedError": "ufm.trainings.experiment",
    "EncoderPrice": "ufm.trainings.encoder_price",
    "Experiment": "ufm.trainings.experiment_record",
    "ExperimentConfig": "ufm.trainings.experiment_config",
    "Fit": "ufm.trainings.optimisation",
    "HysteresisPoint": "ufm.trainings.loop",
    "KernelPrediction": "ufm.trainings.encoder_price",
    "Loop": "ufm.trainings.loop",
    "LoopInterrupted": "ufm.trainings.loop",
    "LowRankCode": "ufm.trainings.low_rank",
    "MeasuredThreshold": "ufm.trainings.threshold",
    "Observation": "ufm.trainings.paper",
    "Prediction": "ufm.trainings.prediction",
    "STATUSES": "ufm.trainings.judgement",
    "StatedThreshold": "ufm.trainings.stated_threshold",
    "StatedTraining": "ufm.trainings.stated",
    "Sweep": "ufm.trainings.sweep",
    "SweepConfig": "ufm.trainings.sweep_config",
    "SweepInterrupted": "ufm.trainings.sweep",
    "SweepPoint": "ufm.trainings.sweep_point",
    "TrainingConfig": "ufm.trainings.config",
    "TrainingResult": "ufm.trainings.result",
    "compare": "ufm.trainings.comparison",
    "experiment_data": "ufm.trainings.run_data",
    "experiment_point": "ufm.trainings.paper",
    "fit": "ufm.trainings.optimisation",
    "gram_matrices": "ufm.trainings.comparison",
    "hysteresis_loop": "ufm.trainings.hysteresis",
    "is_terminal": "ufm.trainings.experiment_record",
    "judge": "ufm.trainings.judgement",
    "load_run": "ufm.trainings.experiment_record",
    "low_rank_branch": "ufm.trainings.low_rank",
    "low_rank_codes": "ufm.trainings.low_rank",
    "measured_threshold": "ufm.trainings.threshold",
    "minority_gain": "ufm.trainings.gain",
    "minority_threshold": "ufm.trainings.prediction",
    "model_of": "ufm.trainings.prediction",
    "objective": "ufm.trainings.optimisation",
    "paper_points": "ufm.trainings.paper",
    "plot_curves": "ufm.trainings.plotting",
    "plot_departure": "ufm.trainings.plotting",
    "plot_hysteresis": "ufm.trainings.plotting",
    "plot_sweep": "ufm.trainings.plotting",
    "predict": "ufm.trainings.prediction",
    "predict_from_activations": "ufm.trainings.encoder_price",
    "predict_from_budgets": "ufm.trainings.budgets",
    "run_experiment": "ufm.trainings.experiment",
    "run_sweep": "ufm.trainings.sweep",
    "threshold_of_sweep": "ufm.trainings.threshold",
    "train": "ufm.trainings.training",
    "train_monotone": "ufm.trainings.monotone",
    "train_problem": "ufm.trainings.stated",
    "train_threshold": "ufm.trainings.stated_threshold",
}

if TYPE_CHECKING:
    from ufm.trainings.budgets import BudgetPrediction, Budgets, predict_from_budgets
    from ufm.trainings.comparison import compare, gram_matrices
    from ufm.trainings.config import TrainingConfig
    from ufm.trainings.encoder_price import ClassKernel, EncoderPrice, KernelPrediction, predict_from_activations
    from ufm.trainings.experiment import DivergedError, run_experiment
    from ufm.trainings.experiment_config import ExperimentConfig
    from ufm.trainings.experiment_record import Experiment, is_terminal, load_run
    from ufm.trainings.gain import minority_gain
    from ufm.trainings.hysteresis import hysteresis_loop
    from ufm.trainings.judgement import STATUSES, judge
    from ufm.trainings.loop import HysteresisPoint, Loop, LoopInterrupted
    from ufm.trainings.low_rank import LowRankCode, low_rank_branch, low_rank_codes
    from ufm.trainings.monotone import train_monotone
    from ufm.trainings.optimisation import Fit, fit, objective
    from ufm.trainings.paper import Comparison, Observation, experiment_point, paper_points
    from ufm.trainings.plotting import plot_curves, plot_departure, plot_hysteresis, plot_sweep
    from ufm.trainings.prediction import Prediction, minority_threshold, model_of, predict
    from ufm.trainings.result import TrainingResult
    from ufm.trainings.run_data import experiment_data
    from ufm.trainings.stated import StatedTraining, train_problem
    from ufm.trainings.stated_threshold import StatedThreshold, train_threshold
    from ufm.trainings.sweep import Sweep, SweepInterrupted, run_sweep
    from ufm.trainings.sweep_config import BRANCHES, SweepConfig
    from ufm.trainings.sweep_point import SweepPoint
    from ufm.trainings.threshold import MeasuredThreshold, measured_threshold, threshold_of_sweep
    from ufm.trainings.training import train

__all__ = [
    "BRANCHES",
    "STATUSES",
    "BudgetPrediction",
    "Budgets",
    "ClassKernel",
    "Comparison",
    "DivergedError",
    "EncoderPrice",
    "Experiment",
    "ExperimentConfig",
    "Fit",
    "HysteresisPoint",
    "KernelPrediction",
    "Loop",
    "LoopInterrupted",
    "LowRankCode",
    "MeasuredThreshold",
    "Observation",
    "Prediction",
    "StatedThreshold",
    "StatedTraining",
    "Sweep",
    "SweepConfig",
    "SweepInterrupted",
    "SweepPoint",
    "TrainingConfig",
    "TrainingResult",
    "compare",
    "experiment_data",
    "experiment_point",
    "fit",
    "gram_matrices",
    "hysteresis_loop",
    "is_terminal",
    "judge",
    "load_run",
    "low_rank_branch",
    "low_rank_codes",
    "measured_threshold",
    "minority_gain",
    "minority_threshold",
    "model_of",
    "objective",
    "paper_points",
    "plot_curves",
    "plot_departure",
    "plot_hysteresis",
    "plot_sweep",
    "predict",
    "predict_from_activations",
    "predict_from_budgets",
    "run_experiment",
    "run_sweep",
    "threshold_of_sweep",
    "train",
    "train_monotone",
    "train_problem",
    "train_threshold",
]


def __getattr__(name: str) -> Any:
    if name in _EXPORTS:
        value = getattr(importlib.import_module(_EXPORTS[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
