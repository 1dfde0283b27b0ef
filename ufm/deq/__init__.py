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
    "Dataset": "data",
    "DatasetNotFoundError": "data",
    "ExplicitNetwork": "models",
    "Info": "layer",
    "LinearDEQNetwork": "models",
    "Output": "models",
    "SpectralBound": "wellposed",
    "Sweep": "sweep",
    "SweepConfig": "sweep",
    "SweepInterrupted": "sweep",
    "SweepPoint": "sweep",
    "TrainingConfig": "training",
    "TrainingResult": "training",
    "build_model": "models",
    "digits": "data",
    "load_dataset": "data",
    "plot_sweep": "plotting",
    "predict": "prediction",
    "run_sweep": "sweep",
    "train": "training",
}

if TYPE_CHECKING:
    from ufm.deq.data import Dataset, DatasetNotFoundError, digits, load_dataset
    from ufm.deq.layer import DEQ, ConvergenceError, ConvergenceWarning, Info
    from ufm.deq.models import MODELS, ExplicitNetwork, LinearDEQNetwork, Output, build_model
    from ufm.deq.plotting import plot_sweep
    from ufm.deq.prediction import predict
    from ufm.deq.sweep import Sweep, SweepConfig, SweepInterrupted, SweepPoint, run_sweep
    from ufm.deq.training import TrainingConfig, TrainingResult, train
    from ufm.deq.wellposed import SpectralBound

__all__ = [
    "DEQ",
    "MODELS",
    "ConvergenceError",
    "ConvergenceWarning",
    "Dataset",
    "DatasetNotFoundError",
    "ExplicitNetwork",
    "Info",
    "LinearDEQNetwork",
    "Output",
    "SpectralBound",
    "Sweep",
    "SweepConfig",
    "SweepInterrupted",
    "SweepPoint",
    "TrainingConfig",
    "TrainingResult",
    "build_model",
    "digits",
    "load_dataset",
    "plot_sweep",
    "predict",
    "run_sweep",
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
