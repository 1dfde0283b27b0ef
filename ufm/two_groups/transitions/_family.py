"""The two-group symmetric family: its singular values, risk and gauge in the unknowns ``x = (s_A, s_B, u, v)``.

The names are those of :mod:`ufm.two_groups.transitions`. Subclasses say how the counts vary with R and what A costs:
:class:`~ufm.two_groups.transitions._penalised.PenalisedFamily` and
:class:`~ufm.two_groups.transitions._budget.BudgetFamily`.
"""

from __future__ import annotations

import abc
import math

import numpy as np
from numpy.typing import NDArray

from ufm.two_groups.transitions._states import Point, State

__all__ = ["Family"]

Array = NDArray[np.float64]


class Family(abc.ABC):
    """The symmetric family at any R, as functions of ``x = (s_A, s_B, u, v)``.

    Args:
        k_a, k_b: classes in either group.
        rho: cap of the singular values of A.
    """

    #: Whether there are budgets, and with them a multiplier to be found.
    constrained: bool

    def __init__(self, k_a: int, k_b: int, rho: float) -> None:
        self.k_a, self.k_b, self.k, self.rho = k_a, k_b, k_a + k_b, rho
        self.multiplicity = np.array([k_a - 1, k_b - 1, 1.0])

    # -- what an architecture supplies --------------------------------------------------------------------------------

    @abc.abstractmethod
    def counts(self, ratio: float) -> tuple[float, float]:
        """(n_A, n_B) at R."""

    @abc.abstractmethod
    def equilibrium(self, sigma: Array) -> Array:
        """Optimal singular values of A for singular values (A, B, T) of the logits."""

    @abc.abstractmethod
    def cost(self, x: Array, ratio: float, risk: float) -> float:
        """Value of the problem at x."""

    @abc.abstractmethod
    def merit(self, x: Array, ratio: float) -> float:
        """What descends: a smooth increasing function of the value."""

    @abc.abstractmethod
    def multiplier(self, x: Array, ratio: float) -> float:
        """mu that balances risk and gauge along x at fixed s_B; lam for weight decay."""

    @abc.abstractmethod
    def concavity(self, point: Point) -> float:
        """``-d^2 price / d sigma_B^2`` at s_B = 0, mu included."""

    @abc.abstractmethod
    def collapsed_end(self) -> float:
        """R down to which the collapsed branch is a local minimum."""

    def surplus(self, x: Array, ratio: float) -> float:
        """Gauge over radius, less 1; 0 without a radius."""
        return 0.0

    def scaled(self, x: Array, ratio: float) -> tuple[Array, float]:
        """x with all but s_B scaled to feasibility, and the scale."""
        return x, 1.0

    def relaxation(self, point: Point) -> float:
        """What a tight budget adds to the curvature in s_B: ``F''(tau) (slope of the gauge)^2/(K_B - 1)^2``."""
        return 0.0

    # -- what follows -------------------------------------------------------------------------------------------------

    def weights(self, ratio: float) -> tuple[float, float]:
        """(omega_A, omega_B) at R."""
        n_a, n_b = self.counts(ratio)
        return (1.0, 1.0) if self.constrained else (math.sqrt(n_a), math.sqrt(n_b))

    def pi_b(self, ratio: float) -> float:
        """Probability of a minority class."""
        n_a, n_b = self.counts(ratio)
        return n_b / (self.k_a * n_a + self.k_b * n_b)

    def singular_values(self, x: Array, ratio: float) -> Array:
        """``(omega_A s_A, omega_B s_B, T)``."""
        omega_a, omega_b = self.weights(ratio)
        t = math.hypot(math.sqrt(self.k_b / self.k) * omega_a * x[2], math.sqrt(self.k_a / self.k) * omega_b * x[3])
        return np.array([omega_a * x[0], omega_b * x[1], t])

    def risk(self, x: Array, ratio: float) -> tuple[float, Array, float]:
        """Risk, gradient in x and q_B."""
        mass_b = self.k_b * self.pi_b(ratio)
        a, a_s, a_w, _ = _column(self.k_a, self.k_b, x[0], x[2])
        b, b_s, b_w, q = _column(self.k_b, self.k_a, x[1], x[3])
        mass_a = 1 - mass_b
        return mass_a * a + mass_b * b, np.array([mass_a * a_s, mass_b * b_s, mass_a * a_w, mass_b * b_w]), q

    def excess(self, x: Array, ratio: float) -> float:
        """Risk above what it cannot fall below at this s_B, ``K_B pi_B log(1 + (K_B-1) e^{-s_B})``, without rounding.

        Between columns that are all but certain it is the excess alone that tells one point from another.
        """
        mass_b = self.k_b * self.pi_b(ratio)
        rest = -x[1] * (1 - 1 / self.k_b) - x[3] / self.k_b
        siblings = math.log1p((self.k_b - 1) * math.exp(-x[1]))
        minority = float(np.logaddexp(0.0, math.log(self.k_a) + rest - siblings))
        return (1 - mass_b) * _column(self.k_a, self.k_b, x[0], x[2])[0] + mass_b * minority

    def price(self, x: Array, ratio: float) -> Array:
        """Gradient in x of the gauge, ``sum_i (1 - a_i) m_i d sigma_i/dx``."""
        omega_a, omega_b = self.weights(ratio)
        sigma = self.singular_values(x, ratio)
        slopes = 1 - self.equilibrium(sigma)
        t = max(sigma[2], 1e-300)
        return np.array(
            [
                slopes[0] * (self.k_a - 1) * omega_a,
                slopes[1] * (self.k_b - 1) * omega_b,
                slopes[2] * self.k_b / self.k * omega_a**2 * x[2] / t,
                slopes[2] * self.k_a / self.k * omega_b**2 * x[3] / t,
            ]
        )

    def gauge(self, x: Array, ratio: float) -> float:
        """``sum_i (1 - a_i) m_i sigma_i``."""
        sigma = self.singular_values(x, ratio)
        return float(self.multiplicity @ ((1 - self.equilibrium(sigma)) * sigma))

    def state(self, point: Point) -> State:
        """The critical point in the coordinates of :class:`State`, with its value."""
        x, ratio, _ = point
        sigma = self.singular_values(x, ratio)
        a = self.equilibrium(sigma) * (sigma > 0) * (self.multiplicity > 0)
        value = self.cost(x, ratio, self.risk(x, ratio)[0])
        d_a, d_b = (x[2] - x[0]) / self.k_a, (x[3] - x[1]) / self.k_b
        return State(ratio, *(float(y) for y in (x[0], x[1], d_a, d_b, *a, value)))


def _column(k: int, other: int, s: float, w: float) -> tuple[float, float, float, float]:
    """Loss of a column of a group of ``k`` classes, its derivatives in s and w, and the probability of a sibling.

    ``log(1 + (k-1) e^{-s} + other e^{-s (1-1/k) - w/k})`` with ``w = s + k d``, largest exponent first.
    """
    siblings, rest = -s, -s * (1 - 1 / k) - w / k
    top = max(0.0, siblings if k > 1 else 0.0, rest)
    e_0, e_s, e_r = math.exp(-top), (k - 1) * math.exp(siblings - top), other * math.exp(rest - top)
    total = e_0 + e_s + e_r
    p_s, p_r = e_s / total, e_r / total
    loss = math.log1p(e_s + e_r) if top == 0.0 else top + math.log(total)
    q = p_s / (k - 1) if k > 1 else e_0 / total
    return loss, -p_s - (1 - 1 / k) * p_r, -p_r / k, q
