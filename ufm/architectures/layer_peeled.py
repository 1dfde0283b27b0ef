"""The layer-peeled model."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from ufm._validation import positive
from ufm.architectures.base import Constrained, geometric_mean
from ufm.architectures.nonnegative import FeatureCone
from ufm.architectures.registry import register

__all__ = ["LayerPeeled"]


@register
@dataclass(frozen=True, repr=False)
class LayerPeeled(FeatureCone, Constrained):
    """Layer-peeled model: ``(1/K)|W|_F^2 <= E_W``, ``(1/K) sum_k (1/n_k) sum_i |h_ki|^2 <= E_H``.

    Gauge: ``|Z|_* <= tau = K sqrt(E_W E_H)``; with nonnegative features that of the atoms ``u v^T``, ``v >= 0``, see
    :mod:`ufm.architectures.nonnegative`. Source: Fang, He, Long, Su 2021; Dang et al. 2024; theory sections 2 and 8.

    Args:
        E_W: classifier budget > 0.
        E_H: feature budget > 0.
        features: ``"real"``, or ``"nonnegative"`` for those behind a ReLU.

    >>> peeled = LayerPeeled(1.0, 4.0)
    >>> peeled.factor_budgets(3), peeled.bound(3), peeled.radius(3)
    ((3.0, 12.0), 6.0, 6.0)
    >>> peeled.convex_form(2) is peeled, peeled.balance
    (True, 0.5)
    >>> LayerPeeled(1.0, 4.0, features="nonnegative")
    LayerPeeled(E_W=1.0, E_H=4.0, features='nonnegative')
    """

    E_W: float
    E_H: float
    features: Literal["real", "nonnegative"] = "real"

    def __post_init__(self) -> None:
        object.__setattr__(self, "E_W", positive("E_W", self.E_W))
        object.__setattr__(self, "E_H", positive("E_H", self.E_H))
        self.check_features()

    def factor_budgets(self, num_classes: int) -> tuple[float, float]:
        """``(K E_W, K E_H)``."""
        return num_classes * self.E_W, num_classes * self.E_H

    def bound(self, num_classes: int) -> float:
        """``tau = K sqrt(E_W E_H)``."""
        return num_classes * geometric_mean(self.E_W, self.E_H)

    @property
    def balance(self) -> float:
        """Ratio alpha of ``|W|_F^2`` to what the gauge charges, the optimal split between W and H."""
        return math.sqrt(self.E_W) / math.sqrt(self.E_H)
