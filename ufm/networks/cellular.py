"""Networks of any cell, solved, unrolled or untied, and ResNet-18."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from ufm._validation import integer
from ufm.deq.layer import DEQ
from ufm.networks.output import Output, check_parts, of_kind, pool
from ufm.networks.resnet import ResNet18Encoder

__all__ = ["DEQNetwork", "ResNet18", "UnrolledNetwork", "UntiedNetwork"]


class DEQNetwork(nn.Module):
    """Encoder, equilibrium of a cell, linear classifier: ``z = f(z)`` with ``f = cell(h(x))``, ``logits = W pool(z)``.

    The solver starts at h.

    Args:
        encoder: inputs to h.
        cell: h to the map f, see :mod:`ufm.deq.cells`.
        classifier: W.
        deq: solver of the fixed point.

    Raises:
        TypeError: an argument is not what it should be; the message names it.

    >>> from ufm.networks import build_model
    >>> import torch
    >>> network = build_model("deq", (4,), 3, width=8, dim=2, tol=1e-10)
    >>> with torch.no_grad():
    ...     output = network(torch.ones(5, 4, dtype=torch.float64))
    >>> f, z = output.equilibrium
    >>> torch.allclose(f(z), z)
    True
    """

    def __init__(self, encoder: nn.Module, cell: nn.Module, classifier: nn.Linear, deq: DEQ) -> None:
        super().__init__()
        check_parts(encoder=encoder, cell=cell, classifier=classifier)
        self.encoder, self.cell, self.classifier, self.deq = encoder, cell, classifier, of_kind("deq", deq, DEQ)

    def forward(self, inputs: Tensor) -> Output:
        """Forward pass on a batch."""
        h = self.encoder(inputs)
        f = self.cell(h)
        z, info = self.deq(f, h)
        features = pool(z)
        return Output(self.classifier(features), features, h, info, (f, z))


class UnrolledNetwork(nn.Module):
    """Weight-tied explicit network: L steps ``z <- f(z)`` from ``z = h``, recorded and differentiated as they are.

    Args:
        encoder, cell, classifier: as of :class:`DEQNetwork`.
        depth: L >= 1.

    Raises:
        TypeError, ValueError: an argument is not what it should be; the message names it.

    >>> from ufm.networks import build_model
    >>> import torch
    >>> network = build_model("unrolled", (4,), 3, width=8, dim=2, depth=4)
    >>> network(torch.ones(5, 4, dtype=torch.float64)).features.shape
    torch.Size([5, 2])
    """

    def __init__(self, encoder: nn.Module, cell: nn.Module, classifier: nn.Linear, depth: Any) -> None:
        super().__init__()
        check_parts(encoder=encoder, cell=cell, classifier=classifier)
        self.encoder, self.cell, self.classifier = encoder, cell, classifier
        self.depth = integer("depth", depth, minimum=1)

    def forward(self, inputs: Tensor) -> Output:
        """Forward pass on a batch."""
        h = self.encoder(inputs)
        z, f = h, self.cell(h)
        for _ in range(self.depth):
            z = f(z)
        features = pool(z)
        return Output(self.classifier(features), features, h)


class UntiedNetwork(nn.Module):
    """Explicit network of L cells, each with its own parameters: ``z <- f_l(z)`` from ``z = h``.

    Args:
        encoder, classifier: as of :class:`DEQNetwork`.
        cells: f_1, ..., f_L.

    Raises:
        TypeError: an argument is not what it should be; the message names it.

    >>> from ufm.networks import build_model
    >>> import torch
    >>> network = build_model("untied", (4,), 3, width=8, dim=2, depth=4)
    >>> len(network.cells), network(torch.ones(5, 4, dtype=torch.float64)).features.shape
    (4, torch.Size([5, 2]))
    """

    def __init__(self, encoder: nn.Module, cells: Sequence[nn.Module], classifier: nn.Linear) -> None:
        super().__init__()
        check_parts(encoder=encoder, classifier=classifier)
        if not isinstance(cells, Sequence | nn.ModuleList):
            raise TypeError(f"cells must be a sequence of modules, got {cells!r}")
        check_parts(**{f"cells[{i}]": cell for i, cell in enumerate(cells)})
        self.encoder, self.cells, self.classifier = encoder, nn.ModuleList(cells), classifier

    def forward(self, inputs: Tensor) -> Output:
        """Forward pass on a batch."""
        h = z = self.encoder(inputs)
        for cell in self.cells:
            z = cell(h)(z)
        features = pool(z)
        return Output(self.classifier(features), features, h)


class ResNet18(nn.Module):
    """ResNet-18 for small images: pooled features h of :class:`ResNet18Encoder`, and a linear classifier.

    Args:
        encoder: inputs to h.
        classifier: W.

    Raises:
        TypeError: an argument is not what it should be; the message names it.

    >>> from ufm.networks import build_model
    >>> import torch
    >>> network = build_model("resnet18", (3, 8, 8), 10, width=2)
    >>> network(torch.zeros(2, 3, 8, 8)).features.shape
    torch.Size([2, 16])
    """

    def __init__(self, encoder: ResNet18Encoder, classifier: nn.Linear) -> None:
        super().__init__()
        check_parts(encoder=encoder, classifier=classifier)
        self.encoder, self.classifier = encoder, classifier

    def forward(self, inputs: Tensor) -> Output:
        """Forward pass on a batch."""
        h = self.encoder(inputs)
        return Output(self.classifier(h), h, h)
