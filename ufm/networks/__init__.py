"""Networks that the trainings use: encoders, explicit classifiers and linear, nonlinear and convolutional DEQs.

The names load lazily, for torch is slow to import.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ufm._extras import require_installed

require_installed("torch", extra="deq")

_EXPORTS = {
    "ConvEncoder": "ufm.networks.encoders",
    "DEQNetwork": "ufm.networks.cellular",
    "Encoder": "ufm.networks.encoders",
    "ExplicitNetwork": "ufm.networks.dense",
    "LinearDEQNetwork": "ufm.networks.dense",
    "MODELS": "ufm.networks.models",
    "MonotoneNetwork": "ufm.networks.monotone",
    "Network": "ufm.networks.models",
    "Output": "ufm.networks.output",
    "ResNet18": "ufm.networks.cellular",
    "ResNet18Encoder": "ufm.networks.resnet",
    "StatedNetwork": "ufm.networks.stated",
    "UnrolledNetwork": "ufm.networks.cellular",
    "UntiedNetwork": "ufm.networks.cellular",
    "build_model": "ufm.networks.models",
    "check_options": "ufm.networks.models",
    "matched_width": "ufm.networks.models",
    "parameter_counts": "ufm.networks.models",
}

if TYPE_CHECKING:
    from ufm.networks.cellular import DEQNetwork, ResNet18, UnrolledNetwork, UntiedNetwork
    from ufm.networks.dense import ExplicitNetwork, LinearDEQNetwork
    from ufm.networks.encoders import ConvEncoder, Encoder
    from ufm.networks.models import MODELS, Network, build_model, check_options, matched_width, parameter_counts
    from ufm.networks.monotone import MonotoneNetwork
    from ufm.networks.output import Output
    from ufm.networks.resnet import ResNet18Encoder
    from ufm.networks.stated import StatedNetwork

__all__ = [
    "MODELS",
    "ConvEncoder",
    "DEQNetwork",
    "Encoder",
    "ExplicitNetwork",
    "LinearDEQNetwork",
    "MonotoneNetwork",
    "Network",
    "Output",
    "ResNet18",
    "ResNet18Encoder",
    "StatedNetwork",
    "UnrolledNetwork",
    "UntiedNetwork",
    "build_model",
    "check_options",
    "matched_width",
    "parameter_counts",
]


def __getattr__(name: str) -> Any:
    if name in _EXPORTS:
        value = getattr(importlib.import_module(_EXPORTS[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
