"""Architectures as gauges on the logits: one contract (:class:`Architecture`), one file an architecture."""

from __future__ import annotations

from typing import Any

from ufm.architectures.attack import attack
from ufm.architectures.base import Architecture, Constrained, Factors, Penalised, Spectral
from ufm.architectures.deep_linear import DeepLinear
from ufm.architectures.gain import Gain
from ufm.architectures.layer_peeled import LayerPeeled
from ufm.architectures.linear_deq import LinearDEQ, water_filling
from ufm.architectures.nonnegative import FEATURES, FeatureCone
from ufm.architectures.norm_bounded import NormBounded
from ufm.architectures.penalised_deep_linear import PenalisedDeepLinear
from ufm.architectures.penalised_deq import PenalisedDEQ
from ufm.architectures.registry import ARCHITECTURES, check_fields, command_word, file_word, is_known
from ufm.architectures.residual import Residual
from ufm.architectures.unconstrained_features import UnconstrainedFeatures

__all__ = [
    "ARCHITECTURES",
    "FEATURES",
    "Architecture",
    "Constrained",
    "DeepLinear",
    "Factors",
    "FeatureCone",
    "Gain",
    "LayerPeeled",
    "LinearDEQ",
    "NormBounded",
    "Penalised",
    "PenalisedDEQ",
    "PenalisedDeepLinear",
    "Residual",
    "Spectral",
    "UnconstrainedFeatures",
    "attack",
    "check_architecture",
    "command_word",
    "file_word",
    "is_known",
    "known_architecture",
    "water_filling",
]


def check_architecture(architecture: Any, argument: str = "architecture") -> Architecture:
    """Return ``architecture`` if it is one, else raise ``TypeError``; see :func:`check_fields`.

    >>> check_architecture(LayerPeeled(1.0, 1.0))
    LayerPeeled(E_W=1.0, E_H=1.0)
    """
    if not isinstance(architecture, Architecture):
        raise TypeError(
            f"{argument} must be one of {', '.join(ARCHITECTURES)}, or an object of a subclass of ufm.Architecture, "
            f"got {architecture!r}"
        )
    check_fields(architecture)
    return architecture


def known_architecture(architecture: Any, argument: str = "architecture", where: str = "here") -> Spectral:
    """Return ``architecture`` if the formulas of this package hold for it, see :func:`is_known`.

    Args:
        architecture: what was given.
        argument: what the message calls it.
        where: what asks, for the message.

    Raises:
        TypeError: it is no architecture.
        ValueError: it is one of one's own, of which only gauge, polar and atom are known, or its gauge is no function
            of singular values.

    >>> known_architecture(LayerPeeled(1.0, 1.0))
    LayerPeeled(E_W=1.0, E_H=1.0)
    """
    check_architecture(architecture, argument)
    if is_known(architecture) and not architecture.is_spectral:
        raise ValueError(
            f"{argument} must have a gauge that is a function of singular values {where}, got {architecture!r}"
        )
    if not isinstance(architecture, Spectral) or not is_known(architecture):
        raise ValueError(
            f"{argument} must be one of {', '.join(ARCHITECTURES)} {where}, whose formulas hold for no other, got "
            f"{architecture!r} of class {type(architecture).__name__}"
        )
    return architecture
