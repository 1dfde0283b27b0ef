"""The layer-peeled model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ufm.architectures.base import ClassAveraged
from ufm.architectures.nonnegative import FeatureCone
from ufm.architectures.registry import register

__all__ = ["LayerPeeled"]


@register
@dataclass(frozen=True, repr=False)
class LayerPeeled(FeatureCone, ClassAveraged):
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
        self.check_budgets()
        self.check_features()
