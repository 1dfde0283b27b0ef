"""What a forward pass gives, and checks of the parts that a network is made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ufm.deq.layer import DEQ, Info

__all__ = ["Output", "check_parts", "of_kind", "pool"]


@dataclass
class Output:
    """What a forward pass gives.

    Attributes:
        logits: ``z W^T``, shape (N, K).
        features: what the classifier sees, shape (N, d): the equilibrium of a DEQ (of a convolutional one, its positive
            part averaged over positions), the last layer of an explicit network.
        injected: encoder output h, shape (N, d), or (N, c, ...) of a convolutional network. The penalty on the features
            is on these.
        info: of the fixed-point solve, None for an explicit network.
        equilibrium: ``(f, z)``, the map and its fixed point as the solver found it, None for an explicit network: what
            :func:`ufm.deq.jacobian_penalty` and :func:`ufm.deq.spectral_radius` take.
    """

    logits: Tensor
    features: Tensor
    injected: Tensor
    info: Info | None = None
    equilibrium: tuple[Callable[[Tensor], Tensor], Tensor] | None = None


def of_kind(name: str, value: Any, kind: type[nn.Module]) -> Any:
    """``value``, a module of a ``kind``; else TypeError naming the argument.

    >>> of_kind("encoder", nn.Identity(), nn.Module)
    Identity()
    >>> of_kind("deq", nn.Identity(), DEQ)
    Traceback (most recent call last):
    TypeError: deq must be a ufm.deq.DEQ, got Identity()
    """
    if not isinstance(value, kind):
        allowed = "a ufm.deq.DEQ" if kind is DEQ else f"a torch.nn.{kind.__name__}"
        raise TypeError(f"{name} must be {allowed}, got {value!r}")
    return value


def check_parts(**parts: Any) -> None:
    """TypeError naming the first of ``parts`` that is no module; ``classifier`` must be linear.

    >>> check_parts(encoder=nn.Identity(), classifier=nn.Linear(2, 3))
    >>> check_parts(classifier=nn.Identity())
    Traceback (most recent call last):
    TypeError: classifier must be a torch.nn.Linear, got Identity()
    """
    for name, part in parts.items():
        of_kind(name, part, nn.Linear if name == "classifier" else nn.Module)


def pool(z: Tensor) -> Tensor:
    """Features of z: itself if (N, d), else the mean of its positive part over positions.

    The positive part matters: behind a group norm the channel means of a group add up to a constant, and features would
    miss a dimension for every group.

    >>> pool(torch.tensor([[[1.0, -3.0], [2.0, 4.0]]]))
    tensor([[0.5000, 3.0000]])
    """
    return z if z.ndim == 2 else torch.relu(z).flatten(2).mean(dim=2)
