"""The symmetric family of a ``PenalisedDEQ``: weight decay, with a capped minimax concave penalty."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ufm.architectures import PenalisedDEQ
from ufm.two_groups._arguments import SMALLEST_STRENGTH
from ufm.two_groups.counts import CountRule
from ufm.two_groups.transitions._family import Family
from ufm.two_groups.transitions._states import Point

__all__ = ["PenalisedFamily"]

Array = NDArray[np.float64]


class PenalisedFamily(Family):
    """``f + sum_i g(sigma_i)``, ``g(s) = min over 0 <= a <= rho of lam (1-a) s + lambda_A a^2/2``: a capped MCP.

    Args:
        k_a, k_b: classes in either group.
        architecture: the penalties.
        rule: how the counts vary with R.
    """

    constrained = False

    def __init__(self, k_a: int, k_b: int, architecture: PenalisedDEQ, rule: CountRule) -> None:
        super().__init__(k_a, k_b, architecture.rho)
        self.lam = architecture.slope
        if not (self.lam * (1 - self.rho) >= SMALLEST_STRENGTH and self.lam <= 1 / SMALLEST_STRENGTH):
            raise ValueError(
                f"architecture must leave (1 - rho) sqrt(lambda_W lambda_H) between {SMALLEST_STRENGTH:g} and "
                f"{1 / SMALLEST_STRENGTH:g}, got {self.lam * (1 - self.rho):.6g} from {architecture!r}"
            )
        self.lambda_a = architecture.lambda_A
        self.rule = rule

    def counts(self, ratio: float) -> tuple[float, float]:
        """(n_A, n_B) by the rule."""
        return self.rule.counts(ratio, self.k_a, self.k_b)

    def equilibrium(self, sigma: Array) -> Array:
        """``a_i = min(rho, lam sigma_i / lambda_A)``; rho throughout without lambda_A."""
        if self.lambda_a is None:
            return np.full(3, self.rho)
        return np.minimum(self.rho, self.lam * sigma / self.lambda_a)

    def cost(self, x: Array, ratio: float, risk: float) -> float:
        """``f + sum_i m_i [lam (1 - a_i) sigma_i + lambda_A a_i^2/2]``."""
        sigma = self.singular_values(x, ratio)
        a = self.equilibrium(sigma)
        return risk + float(self.multiplicity @ (self.lam * (1 - a) * sigma + 0.5 * (self.lambda_a or 0.0) * a**2))

    def merit(self, x: Array, ratio: float) -> float:
        """The objective itself."""
        return self.cost(x, ratio, self.risk(x, ratio)[0])

    def multiplier(self, x: Array, ratio: float) -> float:
        """lam."""
        return self.lam

    def concavity(self, point: Point) -> float:
        """``lam^2/lambda_A``; 0 without lambda_A."""
        return 0.0 if self.lambda_a is None else self.lam**2 / self.lambda_a

    def collapsed_end(self) -> float:
        """R at which ``n_B = N^2 lam^2``; without lambda_A, where A = rho everywhere, with ``(1-rho) lam``."""
        strength = self.lam * (1 - self.rho if self.lambda_a is None else 1.0)
        n_a, n_b = self.rule.at_collapse(strength, self.k_a, self.k_b)
        if n_a <= n_b:
            raise ValueError(
                f"{self.rule.held} must let the minority grow at R = 1, n_B > N^2 lam^2, got {self.rule.value}"
            )
        return n_a / n_b
