"""Networks of the theory: encoder -> features [-> equilibrium layer] -> linear classifier without bias."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ufm._validation import integer
from ufm.deq.layer import DEQ, Info
from ufm.deq.wellposed import SpectralBound

__all__ = ["Encoder", "ExplicitNetwork", "LinearDEQNetwork", "Output"]

#: Initial scale of the features, and standard deviation of the classifier's entries. Both start well below their
#: optimal size, so that where A starts, and not a large random feature, decides which directions of A grow.
FEATURE_SCALE = 0.01
CLASSIFIER_SCALE = 0.03


@dataclass
class Output:
    """What a forward pass gives.

    Attributes:
        logits: ``z W^T``, shape (N, K).
        features: what the classifier sees, shape (N, d): ``z* = A z* + h`` of a DEQ, h of an explicit network.
        injected: encoder output h, shape (N, d). The penalty on the features is on these.
        info: of the fixed-point solve, None for an explicit network.
    """

    logits: Tensor
    features: Tensor
    injected: Tensor
    info: Info | None = None


class Encoder(nn.Module):
    """``h(x) = V relu(U x + b) + c``: one hidden layer, wide enough to give every training image any features.

    Args:
        num_inputs: p.
        width: hidden units.
        dim: d.
        generator: source of the random start: U by He et al. 2015, V the same times a hundredth, b = c = 0.
    """

    def __init__(
        self, num_inputs: int, width: int, dim: int, generator: torch.Generator, dtype: torch.dtype = torch.float64
    ) -> None:
        super().__init__()
        self.hidden = nn.Linear(num_inputs, width, dtype=dtype)
        self.output = nn.Linear(width, dim, dtype=dtype)
        with torch.no_grad():
            for layer, scale in ((self.hidden, 1.0), (self.output, FEATURE_SCALE)):
                deviation = scale * math.sqrt(2 / layer.in_features)
                layer.weight.copy_(deviation * torch.randn(layer.weight.shape, generator=generator, dtype=dtype))
                layer.bias.zero_()

    def activations(self, inputs: Tensor) -> Tensor:
        """``relu(U x + b)``, shape (N, width)."""
        return torch.relu(self.hidden(inputs))

    def forward(self, inputs: Tensor) -> Tensor:
        """Features h, shape (N, d)."""
        return self.output(self.activations(inputs))


class ExplicitNetwork(nn.Module):
    """Encoder and linear classifier: ``logits = W h(x)``. The unconstrained features model is its theory.

    Args:
        num_inputs: p >= 1.
        num_classes: K >= 2.
        dim: feature dimension d >= 1.
        width: hidden units of the encoder >= 1.
        seed: of the random start.

    Raises:
        TypeError, ValueError: an argument is not what it should be; the message names it.
    """

    def __init__(
        self,
        num_inputs: Any,
        num_classes: Any,
        *,
        dim: Any,
        width: Any,
        seed: Any = 0,
        dtype: torch.dtype = torch.float64,
    ) -> None:
        super().__init__()
        p = integer("num_inputs", num_inputs, minimum=1)
        k = integer("num_classes", num_classes, minimum=2)
        d = integer("dim", dim, minimum=1)
        generator = torch.Generator().manual_seed(integer("seed", seed, minimum=0))
        self.encoder = Encoder(p, integer("width", width, minimum=1), d, generator, dtype)
        self.classifier = nn.Linear(d, k, bias=False, dtype=dtype)
        with torch.no_grad():
            self.classifier.weight.copy_(CLASSIFIER_SCALE * torch.randn(k, d, generator=generator, dtype=dtype))

    def forward(self, inputs: Tensor) -> Output:
        """Forward pass on inputs (N, p)."""
        h = self.encoder(inputs)
        return Output(self.classifier(h), h, h)


class LinearDEQNetwork(nn.Module):
    """Encoder, linear equilibrium layer and linear classifier.

    ``z* = A z* + h(x)`` with ``|A|_2 <= rho``, and ``logits = W z*``. The equilibrium is found by iteration and its
    gradient by the implicit function theorem (:class:`DEQ`).

    Args:
        num_inputs, num_classes, dim, width, seed: as for :class:`ExplicitNetwork`; the same seed gives the same
            encoder and classifier.
        rho: spectral bound in [0, 1).
        start: ``"identity"`` (A = rho I) or ``"zero"`` (A = 0).
        deq: solver of the fixed point.

    Raises:
        TypeError, ValueError: an argument is not what it should be; the message names it.
    """

    def __init__(
        self,
        num_inputs: Any,
        num_classes: Any,
        *,
        dim: Any,
        width: Any,
        rho: Any,
        start: str = "identity",
        deq: DEQ,
        seed: Any = 0,
        dtype: torch.dtype = torch.float64,
    ) -> None:
        super().__init__()
        explicit = ExplicitNetwork(num_inputs, num_classes, dim=dim, width=width, seed=seed, dtype=dtype)
        self.encoder, self.classifier = explicit.encoder, explicit.classifier
        self.equilibrium = SpectralBound(dim, rho, start, dtype=dtype)
        self.deq = deq

    def forward(self, inputs: Tensor) -> Output:
        """Forward pass on inputs (N, p)."""
        h = self.encoder(inputs)
        transposed = self.equilibrium().T
        z, info = self.deq(lambda z: torch.addmm(h, z, transposed), h)
        return Output(self.classifier(z), z, h, info)
