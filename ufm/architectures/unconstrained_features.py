"""The unconstrained features model with weight decay."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ufm._validation import positive
from ufm.architectures.base import Penalised, geometric_mean
from ufm.architectures.registry import register

__all__ = ["UnconstrainedFeatures"]


@register
@dataclass(frozen=True)
class UnconstrainedFeatures(Penalised):
    """Unconstrained features model: ``f + (lambda_W/2)|W|_F^2 + (lambda_H/2) sum_{k,i} |h_ki|^2``.

    Gauge: ``lam |Z D^{1/2}|_*`` with ``lam = sqrt(lambda_W lambda_H)``. Source: Zhu et al. 2021; theory section 2.

    Args:
        lambda_W: weight decay > 0 of the classifier.
        lambda_H: weight decay > 0 of the features, summed over samples.

    >>> model = UnconstrainedFeatures(0.04, 0.01)
    >>> model.strength, model.balance, model.convex_form(2) is model
    (0.02, 0.5, True)
    >>> import numpy as np
    >>> model.gauge(np.diag([3.0, 1.0]))
    0.08
    """

    lambda_W: float
    lambda_H: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "lambda_W", positive("lambda_W", self.lambda_W))
        object.__setattr__(self, "lambda_H", positive("lambda_H", self.lambda_H))

    def convex_form(self, rank: int) -> UnconstrainedFeatures:
        """Itself."""
        return self

    @property
    def strength(self) -> float:
        """``sqrt(lambda_W lambda_H)``."""
        return geometric_mean(self.lambda_W, self.lambda_H)

    @property
    def balance(self) -> float:
        """Ratio alpha of ``|W|_F^2`` to what the gauge charges, the optimal split between W and H."""
        return math.sqrt(self.lambda_H) / math.sqrt(self.lambda_W)
