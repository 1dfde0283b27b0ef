"""ufm: theory verification for the unconstrained features model and deep equilibrium models.

The names below are the public surface; they load lazily: ``import ufm`` pulls in neither torch, cvxpy nor matplotlib.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import TYPE_CHECKING, Any

from ufm import _moved

__version__ = "0.2.0"

_EXPORTS: dict[str, str] = {
    "ClassPrior": "ufm.labels",
    "Labels": "ufm.labels",
    "Architecture": "ufm.architectures",
    "Loss": "ufm.losses",
    "CrossEntropy": "ufm.losses",
    "MeanSquaredError": "ufm.losses",
    "BinaryCrossEntropy": "ufm.losses",
    "SquaredHinge": "ufm.losses",
    "FocalLoss": "ufm.losses",
    "torch_loss": "ufm.losses",
    "LayerPeeled": "ufm.architectures",
    "NormBounded": "ufm.architectures",
    "UnconstrainedFeatures": "ufm.architectures",
    "DeepLinear": "ufm.architectures",
    "Gain": "ufm.architectures",
    "LinearDEQ": "ufm.architectures",
    "PenalisedDEQ": "ufm.architectures",
    "PenalisedDeepLinear": "ufm.architectures",
    "Residual": "ufm.architectures",
    "Solution": "ufm.solution",
    "solve": "ufm.solvers",
    "Threshold": "ufm.two_groups.thresholds",
    "collapse_threshold": "ufm.thresholds",
    "collapse_thresholds": "ufm.thresholds",
    "threshold_array": "ufm.thresholds",
    "Hysteresis": "ufm.two_groups.transitions",
    "hysteresis": "ufm.two_groups.transitions",
    "trapped_threshold": "ufm.two_groups.transitions",
    "BatchSolution": "ufm.two_groups.batch",
    "solve_batch": "ufm.two_groups.batch",
    "phase_boundaries": "ufm.two_groups.phase_diagram",
    "phase_diagram": "ufm.two_groups.phase_diagram",
    "plot_phase_diagram": "ufm.two_groups.phase_diagram",
    "save_phase_diagram": "ufm.two_groups.phase_diagram",
    "measure": "ufm.measures",
    "Certificate": "ufm.certificates",
    "certify": "ufm.certificates",
    "certify_all": "ufm.certificates",
    "certify_counterexample": "ufm.certificates",
    "certify_phase": "ufm.certificates",
    "certify_threshold": "ufm.certificates",
    "EtfBoundary": "ufm.landscape.etf_boundary",
    "etf_boundary": "ufm.landscape.etf_boundary",
    "certify_etf_optimal": "ufm.certificates",
    "Claim": "ufm.claims",
    "Scope": "ufm.claims",
    "Evidence": "ufm.claims",
    "Status": "ufm.claims",
    "claim": "ufm.claims",
    "geometry_bounds": "ufm.bounds",
    "verify": "ufm.verification",
}

if TYPE_CHECKING:
    from ufm.architectures import (
        Architecture,
        DeepLinear,
        Gain,
        LayerPeeled,
        LinearDEQ,
        NormBounded,
        PenalisedDeepLinear,
        PenalisedDEQ,
        Residual,
        UnconstrainedFeatures,
    )
    from ufm.bounds import geometry_bounds
    from ufm.certificates import (
        Certificate,
        certify,
        certify_all,
        certify_counterexample,
        certify_etf_optimal,
        certify_phase,
        certify_threshold,
    )
    from ufm.claims import Claim, Evidence, Scope, Status, claim
    from ufm.labels import ClassPrior, Labels
    from ufm.landscape.etf_boundary import EtfBoundary, etf_boundary
    from ufm.losses import (
        BinaryCrossEntropy,
        CrossEntropy,
        FocalLoss,
        Loss,
        MeanSquaredError,
        SquaredHinge,
        torch_loss,
    )
    from ufm.measures import measure
    from ufm.solution import Solution
    from ufm.solvers import solve
    from ufm.thresholds import collapse_threshold, collapse_thresholds, threshold_array
    from ufm.two_groups.batch import BatchSolution, solve_batch
    from ufm.two_groups.phase_diagram import phase_boundaries, phase_diagram, plot_phase_diagram, save_phase_diagram
    from ufm.two_groups.thresholds import Threshold
    from ufm.two_groups.transitions import Hysteresis, hysteresis, trapped_threshold
    from ufm.verification import verify

__all__ = [
    "Architecture",
    "BatchSolution",
    "BinaryCrossEntropy",
    "Certificate",
    "Claim",
    "ClassPrior",
    "CrossEntropy",
    "DeepLinear",
    "EtfBoundary",
    "Evidence",
    "FocalLoss",
    "Gain",
    "Hysteresis",
    "Labels",
    "LayerPeeled",
    "LinearDEQ",
    "Loss",
    "MeanSquaredError",
    "NormBounded",
    "PenalisedDEQ",
    "PenalisedDeepLinear",
    "Residual",
    "Scope",
    "Solution",
    "SquaredHinge",
    "Status",
    "Threshold",
    "UnconstrainedFeatures",
    "certify",
    "certify_all",
    "certify_counterexample",
    "certify_etf_optimal",
    "certify_phase",
    "certify_threshold",
    "claim",
    "collapse_threshold",
    "collapse_thresholds",
    "etf_boundary",
    "geometry_bounds",
    "hysteresis",
    "measure",
    "phase_boundaries",
    "phase_diagram",
    "plot_phase_diagram",
    "save_phase_diagram",
    "solve",
    "solve_batch",
    "threshold_array",
    "torch_loss",
    "trapped_threshold",
    "verify",
]


_moved.install()


def __getattr__(name: str) -> Any:
    if f"ufm.{name}" in _moved.MOVED:  # ``ufm.priors``: a module of the first edition
        return importlib.import_module(f"ufm.{name}")
    if name in _EXPORTS:
        value = getattr(importlib.import_module(_EXPORTS[name]), name)
        globals()[name] = value
        return value
    if not name.startswith("_") and importlib.util.find_spec(f"ufm.{name}") is not None:
        return importlib.import_module(f"ufm.{name}")  # ``ufm.geometry`` after ``import ufm`` alone
    raise AttributeError(f"module 'ufm' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
