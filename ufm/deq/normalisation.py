"""Dropout and normalised weights for cells: the same at every evaluation of a solve, so that there is a fixed point.

Each solve draws its masks and computes its weights anew; the evaluation that is recorded for the gradient has them too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ufm._extras import optional
from ufm._validation import fraction, integer, one_of, positive
from ufm.deq.scope import in_a_solve, once_in_a_solve

with optional("deq"):
    import torch
    from torch import Tensor, nn
    from torch.nn.utils import parametrize

__all__ = ["NORMS", "VariationalDropout", "fixed_point_correction", "normalise"]

#: ``"weight"``: rows of the weight have a learnt norm; ``"spectral"``: the weight as a matrix has norm 1 at most.
NORMS = ("weight", "spectral")


class VariationalDropout(nn.Module):
    """Dropout with one mask a solve: ``z * mask / (1 - p)`` in training, z in evaluation.

    Args:
        p: probability in [0, 1) that an entry is dropped.
        shared: dimensions >= 1 of z along which the mask is the same, as (2, 3) for whole channels of images.

    Raises:
        TypeError, ValueError: an argument is not what it should be; the message names it.

    Examples:
        >>> import torch
        >>> from ufm.deq import DEQ
        >>> drop = VariationalDropout(0.2)
        >>> z, info = DEQ()(lambda z: 0.5 * drop(z) + 1, torch.zeros(4, 8))
        >>> info.all_converged, sorted(set(z.flatten().round(decimals=3).tolist())) != [2.0]
        (True, True)

    Source: Gal and Ghahramani 2016, there for recurrent networks; Bai, Kolter, Koltun 2019 for equilibria.
    """

    def __init__(self, p: Any = 0.5, shared: Sequence[int] = ()) -> None:
        super().__init__()
        self.p = fraction("p", p)
        self.shared = tuple(integer(f"shared[{i}]", d, minimum=1) for i, d in enumerate(shared))

    def forward(self, z: Tensor) -> Tensor:
        """Shape (batch, ...) to the same."""
        if not self.training or not self.p:
            return z
        return z * once_in_a_solve((id(self), z.shape), lambda: self._mask(z)).to(z.dtype)

    def _mask(self, z: Tensor) -> Tensor:
        if self.shared and max(self.shared) >= z.ndim:
            raise ValueError(f"shared must be dimensions of z, of which there are {z.ndim}, got {self.shared}")
        shape = [1 if d in self.shared else n for d, n in enumerate(z.shape)]
        return torch.empty(shape, device=z.device).bernoulli_(1 - self.p) / (1 - self.p)

    def extra_repr(self) -> str:
        """Probability and shared dimensions, for ``print``."""
        return f"p={self.p:g}, shared={self.shared}"


class _Normalisation(nn.Module):
    """A parametrisation that is computed once in a solve, recorded where gradients are asked for outside of it."""

    def forward(self, weight: Tensor) -> Tensor:
        """The normalised weight."""

        def make() -> Tensor:
            # Solvers iterate without recording, but what the gradient is taken of has this very tensor.
            with torch.set_grad_enabled(torch.is_grad_enabled() or in_a_solve()):
                return self.value(weight)

        return once_in_a_solve(id(self), make)

    def value(self, weight: Tensor) -> Tensor:
        """What is computed once."""
        raise NotImplementedError


class _WeightNorm(_Normalisation):
    """``g_i w_i / |w_i|`` for rows w_i of the weight."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.norms = nn.Parameter(torch.linalg.vector_norm(weight.detach().flatten(1), dim=1))

    def value(self, weight: Tensor) -> Tensor:
        rows = weight.flatten(1)
        scale = self.norms / torch.linalg.vector_norm(rows, dim=1).clamp_min(torch.finfo(weight.dtype).tiny)
        return (rows * scale[:, None]).view_as(weight)


class _SpectralNorm(_Normalisation):
    """``bound w / max(bound, |w|_2)`` for the weight as a matrix of its rows, with the exact norm."""

    def __init__(self, bound: float) -> None:
        super().__init__()
        self.bound = bound

    def value(self, weight: Tensor) -> Tensor:
        wide = weight.to(torch.promote_types(weight.dtype, torch.float32))
        norm = torch.linalg.svdvals(wide.flatten(1)).amax()
        return (wide * (self.bound / norm.clamp_min(self.bound))).to(weight.dtype)


def normalise(module: nn.Module, norm: str = "weight", *, bound: Any = 1.0) -> nn.Module:
    """The module itself, with the weights of its linear and convolutional layers normalised once a solve.

    A convolution counts as the matrix of its kernel, whose norm is not that of the convolution:
    :class:`ufm.deq.cells.ContractiveConvCell` bounds that one.

    Args:
        module: holds the layers; what has been normalised already is left as it is.
        norm: ``"weight"``: rows get norms that are parameters of their own; ``"spectral"``: the largest singular value
            is brought down to ``bound``.
        bound: of the singular values, > 0.

    Raises:
        TypeError, ValueError: an argument is not what it should be; the message names it.

    Examples:
        >>> import torch
        >>> layer = normalise(torch.nn.Linear(3, 3), "spectral", bound=0.9)
        >>> float(torch.linalg.matrix_norm(layer.weight.detach(), 2)) <= 0.9 + 1e-6
        True

    Source: Salimans and Kingma 2016; Miyato et al. 2018, there with power iteration for the norm.
    """
    if not isinstance(module, nn.Module):
        raise TypeError(f"module must be a torch.nn.Module, got {module!r}")
    one_of("norm", norm, NORMS)
    bound = positive("bound", bound)
    layers = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
    for layer in [m for m in module.modules() if isinstance(m, layers) and not parametrize.is_parametrized(m)]:
        kind = _WeightNorm(layer.weight) if norm == "weight" else _SpectralNorm(bound)
        parametrize.register_parametrization(layer, "weight", kind)
    return module


def fixed_point_correction(loss: Callable[[Any], Tensor], states: Sequence[Any], *, decay: Any = 0.8) -> Tensor:
    """``sum_k decay^{n-1-k} loss(z_k)`` over states on the way, the last of which is the equilibrium.

    It asks of the solver's early states what is asked of the equilibrium, and steadies training.

    Args:
        loss: of one state.
        states: ``info.states`` of a call with ``indexing`` or ``n_states``.
        decay: weight of each state relative to the next, in [0, 1).

    Raises:
        TypeError, ValueError: an argument is not what it should be; the message names it.

    Examples:
        >>> import torch
        >>> float(fixed_point_correction(torch.sum, [torch.ones(2), 2 * torch.ones(2)], decay=0.5))
        5.0

    Source: Bai, Geng, Savani, Kolter 2022, Deep Equilibrium Optical Flow Estimation, equation (9).
    """
    decay = fraction("decay", decay)
    if not isinstance(states, Sequence) or not states:
        raise ValueError(f"states must hold the states of a call with indexing or n_states, got {states!r}")
    total = loss(states[-1])
    for k, state in enumerate(reversed(states[:-1]), 1):
        total = total + decay**k * loss(state)
    return total
