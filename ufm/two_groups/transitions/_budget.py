"""The symmetric family of a ``LinearDEQ``: budgets, one of them for A."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from ufm.architectures import LinearDEQ
from ufm.two_groups.thresholds import collapse_threshold
from ufm.two_groups.transitions._critical import polish, profile
from ufm.two_groups.transitions._family import Family
from ufm.two_groups.transitions._landau import restoring
from ufm.two_groups.transitions._states import Point

__all__ = ["BudgetFamily"]

#: Largest log R at which the end of the collapsed branch is looked for.
HIGHEST = 60.0

Array = NDArray[np.float64]


class BudgetFamily(Family):
    """``f`` over ``|Z|_* - max {<a, sigma>: 0 <= a_i <= rho, |a|^2 <= E_A} <= tau``.

    Args:
        k_a, k_b: classes in either group.
        architecture: the budgets; None for that of A leaves ``|A|_2 <= rho`` alone.
    """

    constrained = True

    def __init__(self, k_a: int, k_b: int, architecture: LinearDEQ) -> None:
        super().__init__(k_a, k_b, architecture.rho)
        self.tau = architecture.bound(self.k)
        #: the architecture with a nuclear-norm gauge that is the same on logits of rank K - 1, if there is one
        self.form = architecture.convex_form(self.k - 1)
        self.counted: list[float] = self.multiplicity.tolist()
        self.budget = math.inf if architecture.E_A is None else architecture.E_A

    def counts(self, ratio: float) -> tuple[float, float]:
        """``(R, 1)``: R alone matters."""
        return ratio, 1.0

    def _water(self, sigma: Sequence[float]) -> tuple[list[float], float]:
        """``a_i = min(rho, sigma_i/nu)`` and 1/nu; a vanishing sigma_i gets what is left over.

        In plain numbers: of three, arrays cost many times as much, and a descent asks a hundred thousand times.
        """
        m, a, top = self.counted, [self.rho] * 3, max(sigma)
        if top <= 0:
            return [0.0] * 3, 0.0
        sizes = [max(s, 1e-150 * top) for s in sigma]
        free, left = [i for i in range(3) if m[i] > 0], self.budget
        while free:
            inverse = math.sqrt(max(0.0, left) / sum(m[i] * sizes[i] ** 2 for i in free))
            over = [i for i in free if inverse * sizes[i] >= self.rho]
            if not over:
                for i in free:
                    a[i] = inverse * sizes[i]
                return a, inverse
            left -= self.rho**2 * sum(m[i] for i in over)
            free = [i for i in free if i not in over]
        return a, 0.0

    def equilibrium(self, sigma: Array) -> Array:
        """Water-filling over the directions with their multiplicities."""
        return np.array(self._water(sigma.tolist())[0])

    def _gauge_of(self, sigma: Sequence[float]) -> float:
        """``sum_i (1 - a_i) m_i sigma_i`` of singular values (A, B, T)."""
        return sum((1 - a) * m * s for a, m, s in zip(self._water(sigma)[0], self.counted, sigma, strict=True))

    def cost(self, x: Array, ratio: float, risk: float) -> float:
        """The risk."""
        return risk

    def merit(self, x: Array, ratio: float) -> float:
        """Logarithm of the risk that is left to gain, which may be tiny."""
        return math.log(max(self.excess(x, ratio), 1e-300))

    def surplus(self, x: Array, ratio: float) -> float:
        """``gauge/tau - 1``."""
        return self.gauge(x, ratio) / self.tau - 1

    def multiplier(self, x: Array, ratio: float) -> float:
        """``-<grad f, x>/<grad gauge, x>`` over all but s_B."""
        others = [0, 2, 3]
        gradient, price = self.risk(x, ratio)[1][others], self.price(x, ratio)[others]
        return -float(gradient @ x[others]) / float(price @ x[others])

    def scaled(self, x: Array, ratio: float) -> tuple[Array, float]:
        """x on the sphere ``gauge = tau``, and the factor of all but s_B; ArithmeticError where s_B is too large."""
        if x[1] == 0.0:  # the gauge is homogeneous
            t = self.tau / max(self.gauge(x, ratio), 1e-300)
        else:
            s_a, s_b, trivial = self.singular_values(x, ratio).tolist()

            def excess(log_t: float) -> float:
                t = math.exp(log_t)
                return self._gauge_of((t * s_a, s_b, t * trivial)) - self.tau

            if excess(-40.0) > 0:
                raise ArithmeticError(f"s_B = {x[1]:.6g} alone exceeds the budgets")
            t = math.exp(brentq(excess, -40.0, 40.0, xtol=1e-14))
        return np.array([t * x[0], x[1], t * x[2], t * x[3]]), t

    def concavity(self, point: Point) -> float:
        """``mu/nu`` with the water level nu; 0 where a_B does not grow with s_B."""
        a, inverse = self._water(self.singular_values(point.x, point.ratio).tolist())
        # with part of the budget idle a_B is what is left of it, and does not grow with s_B
        return point.mu * inverse if a[1] < 1e-100 else 0.0

    def relaxation(self, point: Point) -> float:
        """By a central difference of the multiplier: ``F'(tau) = -mu``."""
        step = 1e-4 * self.tau
        multipliers = []
        for sign in (1, -1):
            self.tau += sign * step
            moved = polish(self, point._replace(x=self.scaled(point.x, point.ratio)[0]), ratio_free=False)
            self.tau -= sign * step
            multipliers.append(moved.mu)
        slope = 1 - self.equilibrium(self.singular_values(point.x, point.ratio))[1]
        return slope**2 * (multipliers[1] - multipliers[0]) / (2 * step)

    def collapsed_end(self) -> float:
        """R at which price and force in s_B balance on the best collapsed point; ValueError where no R > 1 does."""
        if self.form is None:
            return self.scanned_end()
        ratio = collapse_threshold(self.form, self.k_a, self.k_b).ratio
        if ratio <= 1 + 1e-9:
            raise ValueError(f"architecture must let the minority grow at R = 1, got {self.form!r}")
        if ratio > math.exp(HIGHEST):
            raise ValueError(
                f"architecture must collapse the minority at some R below e^{HIGHEST:g}, got {self.form!r}"
            )
        return ratio

    def scanned_end(self) -> float:
        """:meth:`collapsed_end` by a scan upwards from R = 1, whether the problem is convex or not."""

        def excess(log_ratio: float) -> float:
            return restoring(self, profile(self, 0.0, math.exp(log_ratio)))

        # after two stable steps in a row the collapsed branch stays stable
        grid, last, run = 0.0, None, 0
        while run < 2:
            if excess(grid) >= 0:
                run += 1
            else:
                last, run = grid, 0
            grid += 0.5 if grid < 10 else 2.0
            if grid > HIGHEST:
                raise ValueError(f"architecture must collapse the minority at some R below e^{HIGHEST:g}")
        if last is None:
            raise ValueError("architecture must let the minority grow at R = 1, and leaves it collapsed at every R")
        return math.exp(brentq(excess, last, last + (0.5 if last < 10 else 2.0), xtol=1e-13, rtol=1e-14))
