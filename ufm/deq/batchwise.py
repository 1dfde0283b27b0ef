"""Maps that act on the samples separately and say so: solvers need not evaluate them where they have converged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ufm._extras import optional
from ufm.deq.iteration import check_map

with optional("deq"):
    from torch import Tensor

__all__ = ["Batchwise"]


class Batchwise:
    """The map ``z -> f(z, *inputs)``, of any of the samples: ``deq(Batchwise(f, h), z0)``.

    A solver evaluates it at the samples that have not converged alone, once it has seen that this gives the same.

    Args:
        f: called with z and the inputs, with the rows of some samples or all.
        inputs: tensors (batch, ...), whose rows belong to the samples.

    Raises:
        TypeError, ValueError: ``f`` cannot be called, or an input is no tensor with a batch dimension.

    Examples:
        >>> import torch
        >>> from ufm.deq import DEQ
        >>> rates = torch.tensor([[0.1], [0.9]])
        >>> sizes = []
        >>> def f(z, rates):
        ...     sizes.append(len(z))
        ...     return rates * torch.cos(z) + 1
        >>> with torch.no_grad():
        ...     z, info = DEQ("fixed_point", max_steps=200)(Batchwise(f, rates), torch.zeros(2, 1))
        >>> info.all_converged, sizes.count(1) > sizes.count(2)
        (True, True)
    """

    def __init__(self, f: Callable[..., Any], *inputs: Tensor) -> None:
        check_map(f)
        for i, value in enumerate(inputs):
            if not isinstance(value, Tensor):
                raise TypeError(f"inputs[{i}] must be a tensor, got {value!r}")
            if value.ndim < 1:
                raise ValueError(f"inputs[{i}] must have a batch dimension, got shape ()")
        self.f, self.inputs = f, inputs

    def __call__(self, z: Any) -> Any:
        """``f(z, *inputs)``."""
        return self.f(z, *self.inputs)

    def of_rows(self, rows: Tensor) -> Batchwise:
        """The map of the samples with these indices (k,)."""
        return Batchwise(self.f, *(value.index_select(0, rows) for value in self.inputs))
