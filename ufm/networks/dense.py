"""Networks that the theory models: an encoder with a linear classifier, or with a linear equilibrium between them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ufm._validation import integer
from ufm.deq.batchwise import Batchwise
from ufm.deq.layer import DEQ
from ufm.deq.wellposed import SpectralBound, check_dtype
from ufm.networks.encoders import Encoder
from ufm.networks.output import Output, of_kind

__all__ = ["ExplicitNetwork", "LinearDEQNetwork"]

#: Standard deviation of the classifier's entries at the start, well below their optimal size.
CLASSIFIER_SCALE = 0.03


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

    >>> network = ExplicitNetwork(4, 3, dim=2, width=8)
    >>> output = network(torch.zeros(5, 4, dtype=torch.float64))
    >>> output.logits.shape, output.features.shape
    (torch.Size([5, 3]), torch.Size([5, 2]))
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
        check_dtype(dtype)
        p = integer("num_inputs", num_inputs, minimum=1)
        k = integer("num_classes", num_classes, minimum=2)
        d = integer("dim", dim, minimum=1)
        generator = torch.Generator().manual_seed(integer("seed", seed, minimum=0))
        self.encoder = Encoder(p, integer("width", width, minimum=1), d, generator, dtype)
        self.classifier = nn.Linear(d, k, bias=False, dtype=dtype)
        with torch.no_grad():
            self.classifier.weight.copy_(CLASSIFIER_SCALE * torch.randn(k, d, generator=generator, dtype=dtype))

    def forward(self, inputs: Tensor) -> Output:
        """Forward pass on inputs (N, ...) of p entries each."""
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

    >>> network = LinearDEQNetwork(4, 3, dim=2, width=8, rho=0.5, deq=DEQ(tol=1e-12))
    >>> output = network(torch.ones(5, 4, dtype=torch.float64))
    >>> torch.allclose(output.features, 2 * output.injected)  # A starts at I/2
    True
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
        of_kind("deq", deq, DEQ)
        explicit = ExplicitNetwork(num_inputs, num_classes, dim=dim, width=width, seed=seed, dtype=dtype)
        self.encoder, self.classifier = explicit.encoder, explicit.classifier
        self.equilibrium = SpectralBound(dim, rho, start, dtype=dtype)
        self.deq = deq

    def forward(self, inputs: Tensor) -> Output:
        """Forward pass on inputs (N, ...) of p entries each."""
        h = self.encoder(inputs)
        transposed = self.equilibrium().T
        f = Batchwise(lambda z, h: torch.addmm(h, z, transposed), h)
        z, info = self.deq(f, h)
        return Output(self.classifier(z), z, h, info, (f, z))
