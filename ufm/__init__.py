"""ufm: theory verification for the unconstrained features model and deep equilibrium models.

The names below are the public surface; they load lazily: ``import ufm`` pulls in neither torch, cvxpy nor matplotlib.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_EXPORTS: dict[str, str] = {
    "ClassPrior": "ufm.priors",
    "LayerPeeled": "ufm.architectures",
    "UnconstrainedFeatures": "ufm.architectures",
    "DeepLinear": "ufm.architectures",
    "LinearDEQ": "ufm.architectures",
    "PenalisedDEQ": "ufm.architectures",
    "Solution": "ufm.solution",
    "solve": "ufm.solvers",
    "Threshold": "ufm.thresholds",
    "collapse_threshold": "ufm.thresholds",
    "Hysteresis": "ufm.transitions",
    "hysteresis": "ufm.transitions",
    "trapped_threshold": "ufm.transitions",
    "BatchSolution": "ufm.solvers.batch",
    "solve_batch": "ufm.solvers.batch",
    "phase_boundaries": "ufm.phase",
    "phase_diagram": "ufm.phase",
    "plot_phase_diagram": "ufm.phase",
    "save_phase_diagram": "ufm.phase",
    "measure": "ufm.measures",
    "Certificate": "ufm.certificates",
    "certify": "ufm.certificates",
    "certify_counterexample": "ufm.certificates",
    "certify_phase": "ufm.certificates",
    "certify_threshold": "ufm.certificates",
    "EtfBoundary": "ufm.boundaries",
    "etf_boundary": "ufm.boundaries",
    "certify_etf_optimal": "ufm.certificates",
    "verify": "ufm.verification",
}

if TYPE_CHECKING:
    from ufm.architectures import DeepLinear, LayerPeeled, LinearDEQ, PenalisedDEQ, UnconstrainedFeatures
    from ufm.boundaries import EtfBoundary, etf_boundary
    from ufm.certificates import (
        Certificate,
        certify,
        certify_counterexample,
        certify_etf_optimal,
        certify_phase,
        certify_threshold,
    )
    from ufm.measures import measure
    from ufm.phase import phase_boundaries, phase_diagram, plot_phase_diagram, save_phase_diagram
    from ufm.priors import ClassPrior
    from ufm.solution import Solution
    from ufm.solvers import solve
    from ufm.solvers.batch import BatchSolution, solve_batch
    from ufm.thresholds import Threshold, collapse_threshold
    from ufm.transitions import Hysteresis, hysteresis, trapped_threshold
    from ufm.verification import verify

__all__ = [
    "BatchSolution",
    "Certificate",
    "ClassPrior",
    "DeepLinear",
    "EtfBoundary",
    "Hysteresis",
    "LayerPeeled",
    "LinearDEQ",
    "PenalisedDEQ",
    "Solution",
    "Threshold",
    "UnconstrainedFeatures",
    "certify",
    "certify_counterexample",
    "certify_etf_optimal",
    "certify_phase",
    "certify_threshold",
    "collapse_threshold",
    "etf_boundary",
    "hysteresis",
    "measure",
    "phase_boundaries",
    "phase_diagram",
    "plot_phase_diagram",
    "save_phase_diagram",
    "solve",
    "solve_batch",
    "trapped_threshold",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name in _EXPORTS:
        value = getattr(importlib.import_module(_EXPORTS[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'ufm' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
