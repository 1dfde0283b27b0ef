"""Cells of deep networks: maps ``z -> f(z)`` with an injected h, to be iterated, solved for a fixed point or stacked.

``cell(h)`` returns f. What f needs of the parameters is computed there once, and not again at every iteration.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from ufm._extras import optional
from ufm._validation import fraction, integer, one_of, real
from ufm.deq.batchwise import Batchwise
from ufm.deq.wellposed import STARTS, SpectralBound, check_dtype

with optional("deq"):
    import torch
    from torch import Tensor, nn

__all__ = [
    "ACTIVATIONS",
    "Activation",
    "ContractiveConvCell",
    "DenseCell",
    "FreeCell",
    "ResidualConvCell",
    "conv_class",
    "conv_norm_bound",
]

ACTIVATIONS = ("tanh", "relu")

#: Doublings of the exponent in :func:`conv_norm_bound`: for c channels the bound is at most c^{1/64} times too large.
GRAM_ITERATIONS = 5
#: Kernel size of the convolutions.
KERNEL = 3
#: Standard deviation of the kernels of :class:`ResidualConvCell` at the start: the map is then nearly constant.
RESIDUAL_SCALE = 0.01


class Activation(nn.Module):
    """Nonlinearity of strength gamma, monotone and 1-Lipschitz, with slopes in [1 - gamma, 1].

    ``"tanh"``: ``(1-gamma) u + gamma tanh(u)``. ``"relu"``: u for u >= 0, ``(1-gamma) u`` below (leaky). At gamma = 0
    both are the identity, at gamma = 1 the function of that name.

    Args:
        name: ``"tanh"`` or ``"relu"``.
        gamma: in [0, 1].

    Raises:
        TypeError, ValueError: an argument is not what it should be; the message names it.

    Examples:
        >>> import torch
        >>> u = torch.tensor([-2.0, 3.0])
        >>> Activation("relu", 0.75)(u).tolist(), Activation("tanh", 0)(u).tolist()  # leaky; the identity
        ([-0.5, 3.0], [-2.0, 3.0])
        >>> Activation("relu", 0.75)
        Activation('relu', gamma=0.75)
    """

    def __init__(self, name: str, gamma: Any = 1.0) -> None:
        super().__init__()
        self.name = one_of("activation", name, ACTIVATIONS)
        self.gamma = real("gamma", gamma)
        if not 0 <= self.gamma <= 1:
            raise ValueError(f"gamma must lie in [0, 1], got {gamma!r}")

    def forward(self, u: Tensor) -> Tensor:
        """Apply the nonlinearity to every entry of u, of any shape."""
        if self.name == "tanh":
            return (1 - self.gamma) * u + self.gamma * torch.tanh(u)
        return nn.functional.leaky_relu(u, 1 - self.gamma)

    def extra_repr(self) -> str:
        """Return name and strength, which ``print`` shows."""
        return f"{self.name!r}, gamma={self.gamma:g}"


class DenseCell(nn.Module):
    """``f(z) = phi(A z + h)`` with ``|A|_2 <= rho < 1``: a contraction in the Euclidean norm, as phi is 1-Lipschitz.

    Args:
        dim: d.
        rho: spectral bound in [0, 1).
        start: ``"identity"`` (A = rho I) or ``"zero"``.
        activation, gamma: phi, see :class:`Activation`; gamma = 0 is the linear cell.
        dtype: float64 or float32.

    Raises:
        TypeError, ValueError: an argument is not what it should be; the message names it.

    Examples:
        >>> import torch
        >>> from ufm.deq import DEQ
        >>> cell = DenseCell(2, 0.5, "identity", "tanh", 0.0)  # z = z/2 + h
        >>> h = torch.tensor([[1.0, -2.0]], dtype=torch.float64)
        >>> z, info = DEQ()(cell(h), torch.zeros_like(h))
        >>> info.all_converged, torch.allclose(z, 2 * h, atol=1e-5)
        (True, True)

    Source: Banach 1922 for the fixed point of a contraction; :class:`SpectralBound` for A.
    """

    def __init__(
        self, dim: Any, rho: Any, start: str, activation: str, gamma: Any, dtype: torch.dtype = torch.float64
    ) -> None:
        super().__init__()
        self.equilibrium = SpectralBound(dim, rho, start, dtype=dtype)
        self.activation = Activation(activation, gamma)

    def forward(self, h: Tensor) -> Callable[[Tensor], Tensor]:
        """Return the map f of z, which like h has shape (N, d)."""
        transposed = self.equilibrium().T
        return Batchwise(lambda z, h: self.activation(torch.addmm(h, z, transposed)), h)


class FreeCell(nn.Module):
    """``f(z) = phi(V z)`` with a free V and without h: a layer of a feed-forward network.

    Args:
        dim: d.
        activation, gamma: phi, see :class:`Activation`.
        generator: source of the start, an orthogonal V.
        dtype: float64 or float32.

    Raises:
        TypeError, ValueError: an argument is not what it should be; the message names it.

    Examples:
        >>> import torch
        >>> cell = FreeCell(3, "tanh", 0.0, torch.Generator().manual_seed(0))  # linear
        >>> z = torch.ones(2, 3, dtype=torch.float64)
        >>> torch.allclose(cell(torch.zeros_like(z))(z).norm(dim=1), z.norm(dim=1))  # an orthogonal V keeps lengths
        True

    Source: Saxe, McClelland, Ganguli 2014, for the start.
    """

    def __init__(
        self, dim: Any, activation: str, gamma: Any, generator: torch.Generator, dtype: torch.dtype = torch.float64
    ) -> None:
        super().__init__()
        dim, dtype = integer("dim", dim, minimum=1), check_dtype(dtype)
        q, r = torch.linalg.qr(torch.randn(dim, dim, generator=generator, dtype=dtype))
        self.weight = nn.Parameter(q * r.diagonal().sign())
        self.activation = Activation(activation, gamma)

    def forward(self, h: Tensor) -> Callable[[Tensor], Tensor]:
        """Return the map f of z (N, d); it ignores h."""
        return lambda z: self.activation(z @ self.weight.T)


# Convolutions -------------------------------------------------------------------------------------------------------


def conv_class(ndim: int) -> type[nn.Conv1d] | type[nn.Conv2d]:
    """Return the class of convolutions in ``ndim`` dimensions: ``Conv1d`` for signals, ``Conv2d`` for images.

    Raises:
        TypeError, ValueError: ``ndim`` is neither 1 nor 2.

    Examples:
        >>> conv_class(2).__name__
        'Conv2d'
    """
    return (nn.Conv1d, nn.Conv2d)[integer("ndim", ndim, minimum=1, maximum=2) - 1]


def _check_size(size: Any) -> tuple[int, ...]:
    """The spatial size of a signal or an image."""
    if isinstance(size, str | bytes) or not isinstance(size, Sequence):
        raise TypeError(f"size must be a sequence of integers, got {size!r}")
    if len(size) not in (1, 2):
        raise ValueError(f"size must have 1 or 2 entries, (length) or (height, width), got {tuple(size)}")
    return tuple(integer(f"size[{i}]", n, minimum=1) for i, n in enumerate(size))


def conv_norm_bound(kernel: Tensor, size: Sequence[int], iterations: int = GRAM_ITERATIONS) -> Tensor:
    """Upper bound of the spectral norm of a multi-channel convolution, stride 1, zero or circular padding.

    On a torus, convolution is block diagonal in the Fourier basis, with a c_out x c_in matrix a frequency. A
    zero-padded convolution is a restriction of the one on a torus larger by the kernel less one, so the largest norm of
    those matrices bounds its norm. They are bounded by
    ``|M|_2 <= |(M^* M)^{2^{t-1}}|_F^{1/2^t}``, at most ``min(c_in, c_out)^{1/2^{t+1}}`` times too large: differentiable
    without kinks at ties, and matrix products only (Gram iteration).

    Args:
        kernel: shape (c_out, c_in, k) or (c_out, c_in, k, k), float32 or float64.
        size: spatial size of the input; the bound holds for smaller inputs with zero padding too.
        iterations: t >= 1.

    Raises:
        TypeError, ValueError: an argument is not what it should be; the message names it.

    Examples:
        >>> import torch
        >>> average = torch.ones(1, 1, 3) / 3
        >>> f"{float(conv_norm_bound(average, [8])):.4f}"  # constant signals stay as they are
        '1.0000'
        >>> matrix = torch.diag(torch.tensor([2.0, 1.0]))[:, :, None]  # a kernel of one pixel: of norm 2
        >>> [f"{float(conv_norm_bound(matrix, [8], iterations=t)):.2f}" for t in (1, 5)]  # (2^4 + 1^4)^{1/4} and less
        ['2.03', '2.00']

    Source: Sedghi, Gupta, Long 2019, for the blocks; Delattre et al. 2023 for the iteration.
    """
    iterations = integer("iterations", iterations, minimum=1)
    sides = _check_size(size)
    if not isinstance(kernel, Tensor):
        raise TypeError(f"kernel must be a tensor, got {kernel!r}")
    if kernel.ndim != 2 + len(sides) or not kernel.numel():
        raise ValueError(
            f"kernel must have shape (c_out, c_in{', k' * len(sides)}) for size = {sides}, got {tuple(kernel.shape)}"
        )
    if kernel.dtype not in (torch.float32, torch.float64):
        raise ValueError(f"kernel must be in torch.float32 or torch.float64, got {kernel.dtype}")
    torus = [n + k - 1 for n, k in zip(sides, kernel.shape[2:], strict=True)]
    # The bound is homogeneous; of a kernel of order 1 no square overflows.
    scale = kernel.detach().abs().amax().clamp_min(torch.finfo(kernel.dtype).tiny)
    # Half of the frequencies: the others' matrices are conjugates of these, as the kernel is real.
    blocks = torch.fft.rfftn(kernel / scale, s=torus, dim=list(range(2, kernel.ndim))).flatten(2).permute(2, 0, 1)
    # Only the frequency with the largest bound has a gradient: the others' products need not be kept.
    with torch.no_grad():
        largest = _log_norm_bounds(blocks, iterations).argmax(dim=0, keepdim=True)
    return scale * _log_norm_bounds(blocks.index_select(0, largest), iterations)[0].exp()


def _log_norm_bounds(matrices: Tensor, iterations: int) -> Tensor:
    """Logarithms of the bounds of complex matrices (n, c_out, c_in), shape (n,)."""
    logarithm = torch.zeros(len(matrices), dtype=matrices.real.dtype, device=matrices.device)
    for _ in range(iterations):
        norm = _frobenius(matrices)
        logarithm = 2 * (logarithm + norm.log())
        matrices = matrices / norm[:, None, None]
        matrices = matrices.mH @ matrices
    return (logarithm + _frobenius(matrices).log()) / 2**iterations


def _frobenius(matrices: Tensor) -> Tensor:
    """Frobenius norms, kept above 0 for their logarithms."""
    norm = torch.linalg.vector_norm(torch.view_as_real(matrices), dim=(1, 2, 3))
    return norm.clamp_min(torch.finfo(norm.dtype).tiny)


class ContractiveConvCell(nn.Module):
    """``f(z) = phi(A * z + h)``: a zero-padded 3-wide convolution of norm at most rho < 1, so a rho-contraction.

    ``A = rho M / max(1, b(M))`` with the bound b of :func:`conv_norm_bound`, of the free kernel M.

    Args:
        channels: c.
        size: spatial size of z; smaller inputs are covered, larger ones an error.
        rho: in [0, 1).
        start: ``"identity"`` (M picks the pixel itself, A = rho I) or ``"zero"``.
        activation, gamma: phi, see :class:`Activation`.
        dtype: float32 or float64.

    Raises:
        TypeError, ValueError: an argument is not what it should be; the message names it.

    Examples:
        >>> import torch
        >>> from ufm.deq import DEQ
        >>> cell = ContractiveConvCell(2, (4, 4), 0.9, "identity", "tanh", 1.0)
        >>> kernel = cell.kernel().detach()
        >>> tuple(kernel.shape), float(conv_norm_bound(kernel, (4, 4))) <= 0.9 + 1e-5
        ((2, 2, 3, 3), True)
        >>> h = torch.ones(1, 2, 4, 4)
        >>> z, info = DEQ()(cell(h), torch.zeros_like(h))
        >>> info.all_converged
        True

    Source: Miyato et al. 2018 for dividing by the norm, there of the kernel as a matrix; :func:`conv_norm_bound`.
    """

    def __init__(
        self,
        channels: Any,
        size: Sequence[int],
        rho: Any,
        start: str,
        activation: str,
        gamma: Any,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        channels, dtype = integer("channels", channels, minimum=1), check_dtype(dtype)
        self.size = _check_size(size)
        self.rho = fraction("rho", rho)
        self.activation = Activation(activation, gamma)
        weight = torch.zeros(channels, channels, *(KERNEL,) * len(self.size), dtype=dtype)
        if one_of("start", start, STARTS) == "identity":
            nn.init.dirac_(weight)
        self.weight = nn.Parameter(weight)

    def kernel(self) -> Tensor:
        """Return the bounded kernel A, shape (c, c, 3) for signals and (c, c, 3, 3) for images."""
        # Below float32 there is no Fourier transform: after ``half()`` the bound holds up to the rounding of entries.
        wide = self.weight.to(torch.promote_types(self.weight.dtype, torch.float32))
        return (self.rho * wide / conv_norm_bound(wide, self.size).clamp_min(1)).to(self.weight.dtype)

    def forward(self, h: Tensor) -> Callable[[Tensor], Tensor]:
        """Return the map f of z, which like h has shape (N, c, n) or (N, c, height, width).

        Raises:
            ValueError: h is larger than ``size``, for which the bound holds.
        """
        if any(n > bound for n, bound in zip(h.shape[2:], self.size, strict=True)):
            raise ValueError(f"h must have a spatial size of at most {self.size}, got {tuple(h.shape[2:])}")
        kernel = self.kernel()
        convolution = (nn.functional.conv1d, nn.functional.conv2d)[len(self.size) - 1]
        return Batchwise(lambda z, h: self.activation(convolution(z, kernel, padding="same") + h), h)


class ResidualConvCell(nn.Module):
    """``f(z) = n_3(relu(z + n_2(h + C_2 n_1(relu(C_1 z)))))`` with group norms n_i and 3-wide convolutions C_i.

    The residual block of multiscale DEQs, at one scale. It starts nearly constant, with one
    fixed point; nothing keeps it so in training, where ``info`` says whether fixed points were found.

    Args:
        channels: c.
        ndim: spatial dimensions, 1 or 2.
        generator: source of the kernels at the start.
        dtype: float32 or float64.

    Raises:
        TypeError, ValueError: an argument is not what it should be; the message names it.

    Examples:
        >>> import torch
        >>> from ufm.deq import DEQ
        >>> generator = torch.Generator().manual_seed(0)
        >>> cell = ResidualConvCell(4, 1, generator, torch.float64)
        >>> h = torch.randn(2, 4, 6, generator=generator, dtype=torch.float64)
        >>> z, info = DEQ()(cell(h), torch.zeros_like(h))
        >>> tuple(z.shape), info.all_converged
        ((2, 4, 6), True)

    Source: Bai, Koltun, Kolter 2020, Multiscale Deep Equilibrium Models.
    """

    def __init__(
        self, channels: Any, ndim: Any, generator: torch.Generator, dtype: torch.dtype = torch.float32
    ) -> None:
        super().__init__()
        channels, dtype = integer("channels", channels, minimum=1), check_dtype(dtype)
        conv = conv_class(ndim)
        self.conv1, self.conv2 = (
            conv(channels, channels, KERNEL, padding="same", bias=False, dtype=dtype) for _ in range(2)
        )
        self.norm1, self.norm2, self.norm3 = (group_norm(channels, dtype) for _ in range(3))
        with torch.no_grad():
            for layer in (self.conv1, self.conv2):
                noise = torch.randn(layer.weight.shape, generator=generator, dtype=dtype)
                layer.weight.copy_(RESIDUAL_SCALE * noise)

    def forward(self, h: Tensor) -> Callable[[Tensor], Tensor]:
        """Return the map f of z, which like h has shape (N, c, n) or (N, c, height, width)."""

        def f(z: Tensor, h: Tensor) -> Tensor:
            inner = self.norm1(torch.relu(self.conv1(z)))
            return self.norm3(torch.relu(z + self.norm2(h + self.conv2(inner))))

        return Batchwise(f, h)


def group_norm(channels: int, dtype: torch.dtype) -> nn.GroupNorm:
    """Group norm in up to 8 groups of equal size: unlike batch norm it acts on each sample by itself.

    Args:
        channels: width of a network, >= 1.

    Raises:
        TypeError, ValueError: it is no integer >= 1; the message calls it width.

    Source: Wu and He 2018, Group Normalization.
    """
    return nn.GroupNorm(math.gcd(8, integer("width", channels, minimum=1)), channels, dtype=dtype)
