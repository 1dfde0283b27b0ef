"""ResNet-18 with the stem for small images (He et al. 2016, section 4.2), and signals, in torch alone."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from ufm._validation import integer
from ufm.deq.cells import conv_class
from ufm.deq.wellposed import check_dtype

__all__ = ["BasicBlock", "ResNet18Encoder", "draw_kernels"]

#: Blocks of the four stages; each stage after the first halves the resolution and doubles the channels.
STAGES = (2, 2, 2, 2)


class BasicBlock(nn.Module):
    """``relu(B_2 C_2 relu(B_1 C_1 x) + S x)``: two 3-wide convolutions with batch norms, and a shortcut S.

    S is the identity, or a convolution of width 1 with batch norm where the shape changes.

    >>> BasicBlock(2, 4, 2, 2, torch.float32)(torch.zeros(1, 2, 8, 8)).shape
    torch.Size([1, 4, 4, 4])
    """

    def __init__(self, inputs: int, outputs: int, stride: int, ndim: int, dtype: torch.dtype) -> None:
        super().__init__()
        conv, norm = conv_class(ndim), (nn.BatchNorm1d, nn.BatchNorm2d)[ndim - 1]
        self.conv1 = conv(inputs, outputs, 3, stride, padding=1, bias=False, dtype=dtype)
        self.norm1 = norm(outputs, dtype=dtype)
        self.conv2 = conv(outputs, outputs, 3, padding=1, bias=False, dtype=dtype)
        self.norm2 = norm(outputs, dtype=dtype)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                conv(inputs, outputs, 1, stride, bias=False, dtype=dtype), norm(outputs, dtype=dtype)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Shape (N, inputs, ...) to (N, outputs, ...)."""
        y = self.norm2(self.conv2(torch.relu(self.norm1(self.conv1(x)))))
        return torch.relu(y + self.shortcut(x))


def draw_kernels(network: nn.Module, generator: torch.Generator) -> None:
    """Start the kernels of a network: normal by He et al. 2015 (fan out).

    >>> layer = nn.Conv2d(1, 50, 3, bias=False)
    >>> draw_kernels(layer, torch.Generator().manual_seed(0))
    >>> bool(abs(layer.weight.std() / math.sqrt(2 / 450) - 1) < 0.2)
    True
    """
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.Conv1d | nn.Conv2d):
                weight = module.weight
                deviation = math.sqrt(2 / (weight.shape[0] * math.prod(weight.shape[2:])))
                weight.copy_(deviation * torch.randn(weight.shape, generator=generator, dtype=weight.dtype))


class ResNet18Encoder(nn.Module):
    """ResNet-18 up to its pooled features: 3-wide stem of stride 1 and no pooling after it, four stages of two blocks.

    Args:
        channels: of the input.
        ndim: spatial dimensions, 1 or 2.
        width: channels of the first stage, 64 in the paper; d = 8 width.
        generator: source of the kernels at the start, normal by He et al. 2015 (fan out).
        dtype: float32 or float64.

    Raises:
        TypeError, ValueError: an argument is not what it should be; the message names it.

    Source: He et al. 2016, Deep Residual Learning, section 4.2 for the stem.

    >>> encoder = ResNet18Encoder(3, 2, 2, torch.Generator().manual_seed(0))
    >>> encoder(torch.zeros(2, 3, 8, 8)).shape, encoder.dim
    (torch.Size([2, 16]), 16)
    """

    def __init__(
        self, channels: Any, ndim: Any, width: Any, generator: torch.Generator, dtype: torch.dtype = torch.float32
    ) -> None:
        super().__init__()
        channels, width = integer("channels", channels, minimum=1), integer("width", width, minimum=1)
        conv, norm = conv_class(ndim), (nn.BatchNorm1d, nn.BatchNorm2d)[ndim - 1]
        dtype = check_dtype(dtype)
        layers: list[nn.Module] = [
            conv(channels, width, 3, padding=1, bias=False, dtype=dtype),
            norm(width, dtype=dtype),
            nn.ReLU(),
        ]
        inputs = width
        for stage, blocks in enumerate(STAGES):
            outputs = width * 2**stage
            for block in range(blocks):
                layers.append(BasicBlock(inputs, outputs, 2 if stage and not block else 1, ndim, dtype))
                inputs = outputs
        self.layers = nn.Sequential(*layers)
        self.dim = inputs
        draw_kernels(self, generator)

    def forward(self, inputs: Tensor) -> Tensor:
        """Features (N, 8 width): the last stage averaged over positions."""
        return self.layers(inputs).flatten(2).mean(dim=2)
