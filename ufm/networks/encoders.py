"""Encoders: inputs to the injected h, a hidden layer or convolutions."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ufm.deq.cells import conv_class, group_norm
from ufm.networks.resnet import BasicBlock, draw_kernels

__all__ = ["ConvEncoder", "Encoder"]

#: Initial scale of the features: well below their optimal size, so that where A starts, and not a large random feature,
#: decides which directions of A grow.
FEATURE_SCALE = 0.01


class Encoder(nn.Module):
    """``h(x) = V relu(U x + b) + c``: one hidden layer, wide enough to give every training image any features.

    Args:
        num_inputs: p.
        width: hidden units.
        dim: d.
        generator: source of the random start: U by He et al. 2015, V the same times a hundredth, b = c = 0.

    >>> encoder = Encoder(4, 8, 3, torch.Generator().manual_seed(0))
    >>> x = torch.zeros(2, 4, dtype=torch.float64)
    >>> encoder(x).shape, encoder.activations(x).shape
    (torch.Size([2, 3]), torch.Size([2, 8]))
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
        """``relu(U x + b)``, shape (N, width), of inputs (N, ...)."""
        return torch.relu(self.hidden(inputs.flatten(1)))

    def forward(self, inputs: Tensor) -> Tensor:
        """Features h, shape (N, d)."""
        return self.output(self.activations(inputs))


class ConvEncoder(nn.Module):
    """Stem of convolutional networks: 3-wide convolution, group norm, relu, convolution of stride 2, group norm.

    And ResNet's residual blocks on it, with batch norms: h is computed before the equilibrium is sought, so that they
    do not tie samples together where solvers take them apart.

    Args:
        channels: of the input.
        ndim: spatial dimensions, 1 or 2.
        width: channels c of h, which has half the resolution, rounded up.
        generator: source of the kernels at the start, normal by He et al. 2015.
        blocks: number of residual blocks >= 0.

    >>> encoder = ConvEncoder(1, 2, 8, torch.Generator().manual_seed(0))
    >>> encoder(torch.zeros(2, 1, 9, 9)).shape
    torch.Size([2, 8, 5, 5])
    """

    def __init__(
        self,
        channels: int,
        ndim: int,
        width: int,
        generator: torch.Generator,
        dtype: torch.dtype = torch.float32,
        blocks: int = 0,
    ) -> None:
        super().__init__()
        conv = conv_class(ndim)
        first = conv(channels, width, 3, padding=1, bias=False, dtype=dtype)
        second = conv(width, width, 3, stride=2, padding=1, bias=False, dtype=dtype)
        self.layers = nn.Sequential(first, group_norm(width, dtype), nn.ReLU(), second, group_norm(width, dtype))
        with torch.no_grad():
            for layer in (first, second):
                deviation = math.sqrt(2 / math.prod(layer.weight.shape[1:]))
                layer.weight.copy_(deviation * torch.randn(layer.weight.shape, generator=generator, dtype=dtype))
        for _ in range(blocks):
            block = BasicBlock(width, width, 1, ndim, dtype)
            draw_kernels(block, generator)
            self.layers.append(block)

    def forward(self, inputs: Tensor) -> Tensor:
        """Injected h, shape (N, c, ...)."""
        return self.layers(inputs)
