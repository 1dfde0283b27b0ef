"""Losses written in torch: derivatives by automatic differentiation."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ufm._extras import require
from ufm._validation import real
from ufm.losses.base import Array, Loss, as_columns

__all__ = ["torch_loss"]


class TorchLoss(Loss):
    """A loss whose value is a torch function of one column; build it with :func:`torch_loss`."""

    floor = 1e-14

    def __init__(self, function: Callable[[Any, Any], Any], convex: bool, infimum: float) -> None:
        self._function = function
        self._torch = require("torch", extra="deq")
        self.is_convex = convex
        self.infimum = infimum

    @property
    def name(self) -> str:
        """The function's name."""
        return getattr(self._function, "__name__", type(self._function).__name__)

    def __repr__(self) -> str:
        return f"torch_loss({self.name}, convex={self.is_convex}, infimum={self.infimum})"

    def values(self, logits: Array, targets: Array) -> Array:
        """The function at every column, in float64."""
        z, t = self._tensors(logits, targets)
        with self._torch.no_grad():
            return np.array([float(self._column(z[:, j], t[:, j])) for j in range(z.shape[1])])

    def gradients(self, logits: Array, targets: Array) -> Array:
        """By one backward pass through the sum over columns, also where the caller records no gradients."""
        with self._torch.inference_mode(False), self._torch.enable_grad():
            return self._recorded(logits, targets)

    def _recorded(self, logits: Array, targets: Array) -> Array:
        z, t = self._tensors(logits, targets)
        z.requires_grad_(True)
        total: Any = sum(self._column(z[:, j], t[:, j]) for j in range(z.shape[1]))
        if not total.requires_grad:
            raise TypeError(
                "fn must return a tensor that torch can differentiate by the logits, got one that does not depend on "
                f"them: {total!r}"
            )
        try:
            (gradient,) = self._torch.autograd.grad(total, z)
        except RuntimeError as error:
            raise ValueError(f"fn must be differentiable by the logits, got from torch: {error}") from error
        return np.array(gradient.numpy(), dtype=float)

    def _tensors(self, logits: Array, targets: Array) -> tuple[Any, Any]:
        logits, targets = as_columns(logits, targets)
        torch = self._torch
        return torch.tensor(np.array(logits), dtype=torch.float64), torch.tensor(np.array(targets), dtype=torch.float64)

    def _column(self, z: Any, t: Any) -> Any:
        found = self._function(z.clone(), t.clone())  # what it does to its arguments is its own
        is_tensor = isinstance(found, self._torch.Tensor)
        if not is_tensor or found.shape != () or not found.is_floating_point():
            raise TypeError(f"fn must return a scalar tensor of real numbers, got {found!r}")
        return found


def torch_loss(fn: Callable[[Any, Any], Any], convex: bool = True, infimum: float = 0.0) -> Loss:
    """A loss from ``fn(logits (K,), target (K,)) -> scalar tensor``, in float64, derivatives by autograd.

    Args:
        fn: differentiable in its first argument.
        convex: whether it is convex for every target. It is attacked with random points before it is believed.
        infimum: a number that no value is below, ``-inf`` if none is known.

    Raises:
        TypeError: ``fn`` is not callable, or returns no scalar tensor, or one that does not depend on the logits;
            ``infimum`` is no real number. What ``fn`` returns is seen when it is called.

    >>> import torch
    >>> torch_loss(lambda z, t: torch.logsumexp(z, 0) - (t * z).sum()).value(np.zeros((2, 2)), np.array([0.5, 0.5]))
    0.6931471805599453
    """
    if not callable(fn):
        raise TypeError(f"fn must be a function of logits and target, got {fn!r}")
    if not isinstance(convex, bool):
        raise TypeError(f"convex must be a bool, got {convex!r}")
    # no bound at all is one that may be said
    lowest = -math.inf if isinstance(infimum, float) and infimum == -math.inf else real("infimum", infimum)
    return TorchLoss(fn, convex, lowest)
