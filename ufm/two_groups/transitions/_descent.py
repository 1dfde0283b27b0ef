"""Descent of the family at fixed s_B and R."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from ufm.two_groups.transitions._family import Family

__all__ = ["Descent"]

Array = NDArray[np.float64]

#: Descent ends where the gradient does, or rounding: Newton's method goes on from there.
_CLOSE = {"gtol": 1e-8, "ftol": 1e-16, "maxiter": 500}


class Descent:
    """Descent of the family at fixed s_B and R.

    In ``s_A = z^2`` and ``(T_u, T_v) = y |y|``, as in the factors, it is smooth at vanishing singular values.
    """

    def __init__(self, family: Family, s_b: float, ratio: float) -> None:
        self.family, self.s_b, self.ratio = family, s_b, ratio
        omega_a, omega_b = family.weights(ratio)
        k_a, k_b, k = family.k_a, family.k_b, family.k
        self.scale = np.array([math.sqrt(k_b / k) * omega_a, math.sqrt(k_a / k) * omega_b])

    def from_point(self, x: Array) -> tuple[float, Array]:
        """Merit and x of the minimum that descent from x ends in."""
        trivial = self.scale * x[2:]
        return self._from(np.array([math.sqrt(x[0]), *trivial / math.sqrt(max(math.hypot(*trivial), 1e-300))]))

    def from_sizes(self, s: float, d: float) -> tuple[float, Array]:
        """The same from s_A = s and d_A, d_B of the size d."""
        trivial = np.array([self.family.k_a, self.family.k_b]) * d * self.scale / math.sqrt(2)
        return self._from(np.array([math.sqrt(s), *np.sqrt(trivial)]))

    def _from(self, start: Array) -> tuple[float, Array]:
        found = minimize(self._objective, start, jac=True, method="L-BFGS-B", options=_CLOSE)
        return float(found.fun), self.family.scaled(self._unpack(found.x), self.ratio)[0]

    def _unpack(self, p: Array) -> Array:
        trivial = p[1:] * math.hypot(p[1], p[2]) / self.scale
        return np.array([p[0] ** 2 if self.family.k_a > 1 else 0.0, self.s_b, *trivial])

    def _objective(self, p: Array) -> tuple[float, Array]:
        family = self.family
        x, t = family.scaled(self._unpack(p), self.ratio)
        gradient, price = family.risk(x, self.ratio)[1], family.price(x, self.ratio)
        # of the objective in x, or of the risk along the sphere of the gauge, which x is scaled to by t
        full = t * (gradient + family.multiplier(x, self.ratio) * price)
        r = max(math.hypot(p[1], p[2]), 1e-300)
        # the trivial part of the price, slope T/|T|, is smooth only together with the jacobian
        u, v = full[2:] / self.scale
        along = (p[1] * u + p[2] * v) / r
        slope = np.array([full[0] * 2 * p[0] if family.k_a > 1 else 0.0, r * u + along * p[1], r * v + along * p[2]])
        merit = family.merit(x, self.ratio)
        return merit, slope / math.exp(merit) if family.constrained else slope
