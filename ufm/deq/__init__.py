"""Deep equilibrium layers: solvers, cells, well-posed parametrisations and their gradients.

The networks on them (:mod:`ufm.networks`), the data sets (:mod:`ufm.data`) and the trainings held against the theory
(:mod:`ufm.trainings`) can be had from here as well. The names below load lazily, for torch is slow to import.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_EXPORTS = {
    "DEQ": "ufm.deq.layer",
    "MODELS": "ufm.networks.models",
    "ConvergenceError": "ufm.deq.layer",
    "ConvergenceWarning": "ufm.deq.layer",
    "Batchwise": "ufm.deq.batchwise",
    "Budgets": "ufm.trainings.prediction",
    "Comparison": "ufm.trainings.paper",
    "Dataset": "ufm.data",
    "DatasetFormatError": "ufm.data",
    "DatasetNotFoundError": "ufm.data",
    "DatasetWarning": "ufm.data",
    "DivergedError": "ufm.trainings.experiment",
    "EncoderPrice": "ufm.trainings.encoder_price",
    "Experiment": "ufm.trainings.experiment",
    "ExperimentConfig": "ufm.trainings.experiment",
    "ExplicitNetwork": "ufm.networks.models",
    "HysteresisPoint": "ufm.trainings.hysteresis",
    "Info": "ufm.deq.layer",
    "LinearDEQNetwork": "ufm.networks.models",
    "Loop": "ufm.trainings.hysteresis",
    "LoopInterrupted": "ufm.trainings.hysteresis",
    "LowRankCode": "ufm.trainings.hysteresis",
    "MeasuredThreshold": "ufm.trainings.threshold",
    "Monotone": "ufm.deq.wellposed",
    "MonotoneDEQ": "ufm.deq.monotone",
    "Output": "ufm.networks.models",
    "PrecisionWarning": "ufm.deq.layer",
    "SpectralBound": "ufm.deq.wellposed",
    "Sweep": "ufm.trainings.sweep",
    "SweepConfig": "ufm.trainings.sweep",
    "SweepInterrupted": "ufm.trainings.sweep",
    "SweepPoint": "ufm.trainings.sweep",
    "TrainingConfig": "ufm.trainings.training",
    "TrainingResult": "ufm.trainings.training",
    "VariationalDropout": "ufm.deq.normalisation",
    "build_model": "ufm.networks.models",
    "digits": "ufm.data",
    "fixed_point_correction": "ufm.deq.normalisation",
    "hysteresis_loop": "ufm.trainings.hysteresis",
    "jacobian_penalty": "ufm.deq.jacobian",
    "load_dataset": "ufm.data",
    "load_run": "ufm.trainings.experiment",
    "low_rank_branch": "ufm.trainings.hysteresis",
    "low_rank_codes": "ufm.trainings.hysteresis",
    "measured_threshold": "ufm.trainings.threshold",
    "normalise": "ufm.deq.normalisation",
    "paper_points": "ufm.trainings.paper",
    "plot_curves": "ufm.trainings.plotting",
    "plot_departure": "ufm.trainings.plotting",
    "plot_hysteresis": "ufm.trainings.plotting",
    "plot_sweep": "ufm.trainings.plotting",
    "predict": "ufm.trainings.prediction",
    "predict_from_activations": "ufm.trainings.encoder_price",
    "predict_from_budgets": "ufm.trainings.prediction",
    "run_experiment": "ufm.trainings.experiment",
    "run_sweep": "ufm.trainings.sweep",
    "spectral_radius": "ufm.deq.jacobian",
    "train": "ufm.trainings.training",
    "train_monotone": "ufm.trainings.monotone",
    "train_problem": "ufm.trainings.stated",
    "train_threshold": "ufm.trainings.stated_threshold",
}

if TYPE_CHECKING:
    from ufm.data import Dataset, DatasetFormatError, DatasetNotFoundError, DatasetWarning, digits, load_dataset
    from ufm.deq.batchwise import Batchwise
    from ufm.deq.jacobian import jacobian_penalty, spectral_radius
    from ufm.deq.layer import DEQ, ConvergenceError, ConvergenceWarning, Info, PrecisionWarning
    from ufm.deq.monotone import MonotoneDEQ
    from ufm.deq.normalisation import VariationalDropout, fixed_point_correction, normalise
    from ufm.deq.wellposed import Monotone, SpectralBound
    from ufm.networks.models import MODELS, ExplicitNetwork, LinearDEQNetwork, Output, build_model
    from ufm.trainings.encoder_price import EncoderPrice, predict_from_activations
    from ufm.trainings.experiment import DivergedError, Experiment, ExperimentConfig, load_run, run_experiment
    from ufm.trainings.hysteresis import (
        HysteresisPoint,
        Loop,
        LoopInterrupted,
        LowRankCode,
        hysteresis_loop,
        low_rank_branch,
        low_rank_codes,
    )
    from ufm.trainings.monotone import train_monotone
    from ufm.trainings.paper import Comparison, paper_points
    from ufm.trainings.plotting import plot_curves, plot_departure, plot_hysteresis, plot_sweep
    from ufm.trainings.prediction import Budgets, predict, predict_from_budgets
    from ufm.trainings.stated import train_problem
    from ufm.trainings.stated_threshold import train_threshold
    from ufm.trainings.sweep import Sweep, SweepConfig, SweepInterrupted, SweepPoint, run_sweep
    from ufm.trainings.threshold import MeasuredThreshold, measured_threshold
    from ufm.trainings.training import TrainingConfig, TrainingResult, train

__all__ = [
    "DEQ",
    "MODELS",
    "Batchwise",
    "Budgets",
    "Comparison",
    "ConvergenceError",
    "ConvergenceWarning",
    "Dataset",
    "DatasetFormatError",
    "DatasetNotFoundError",
    "DatasetWarning",
    "DivergedError",
    "EncoderPrice",
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
    "VariationalDropout",
    "build_model",
    "digits",
    "fixed_point_correction",
    "hysteresis_loop",
    "jacobian_penalty",
    "load_dataset",
    "load_run",
    "low_rank_branch",
    "low_rank_codes",
    "measured_threshold",
    "normalise",
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
    "spectral_radius",
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
    raise AttributeError(f"module 'ufm.deq' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
