"""The unconstrained features model with weight decay."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from ufm._validation import positive
from ufm.architectures.base import Penalised, geometric_mean
from ufm.architectures.nonnegative import FeatureCone
from ufm.architectures.registry import register

__all__ = ["UnconstrainedFeatures", "chord"]

#: Slopes below this carry no bound in float64.
_SMALLEST = 1e-200


@register
@dataclass(frozen=True, repr=False)
class UnconstrainedFeatures(FeatureCone, Penalised):
    """Unconstrained features model: ``f + (lambda_W/2)|W|_F^2 + (lambda_H/2) sum_{k,i} |h_ki|^2``.

    Gauge: ``lam |Z D^{1/2}|_*`` with ``lam = sqrt(lambda_W lambda_H)``; with nonnegative features lam times that of the
    atoms ``u v^T``, ``v >= 0``, see :mod:`ufm.architectures.nonnegative`. Source: Zhu et al. 2021; Dang et al. 2024;
    theory sections 2 and 8.

    Args:
        lambda_W: weight decay > 0 of the classifier.
        lambda_H: weight decay > 0 of the features, summed over samples.
        features: ``"real"``, or ``"nonnegative"`` for those behind a ReLU.

    >>> model = UnconstrainedFeatures(0.04, 0.01)
    >>> model.strength, model.balance, model.convex_form(2) is model
    (0.02, 0.5, True)
    >>> import numpy as np
    >>> model.gauge(np.diag([3.0, 1.0]))
    0.08
    """

    lambda_W: float
    lambda_H: float
    features: Literal["real", "nonnegative"] = "real"

    def __post_init__(self) -> None:
        object.__setattr__(self, "lambda_W", positive("lambda_W", self.lambda_W))
        object.__setattr__(self, "lambda_H", positive("lambda_H", self.lambda_H))
        self.check_features()

    @property
    def strength(self) -> float:
        """``sqrt(lambda_W lambda_H)``, of the nuclear norm; a ValueError where features are nonnegative."""
        self.convex(1)
        return geometric_mean(self.lambda_W, self.lambda_H)

    @property
    def balance(self) -> float:
        """Ratio alpha of ``|W|_F^2`` to what the gauge charges, the optimal split between W and H."""
        return math.sqrt(self.lambda_H) / math.sqrt(self.lambda_W)


def chord(price: float, largest: float) -> UnconstrainedFeatures | None:
    """Weight decay of slope ``price / largest``, below a concave price that is ``price`` at ``largest``; None for none.

    >>> round(chord(1.0, 4.0).strength, 9), chord(1.0, math.inf)
    (0.25, None)
    """
    slope = price / largest * (1 - 1e-14) if largest > 0 else math.inf
    return UnconstrainedFeatures(slope, slope) if _SMALLEST < slope < 1 / _SMALLEST else None
