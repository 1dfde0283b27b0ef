"""The linear deep equilibrium model with budgets."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ufm._validation import fraction, real
from ufm.architectures.base import Array, ClassAveraged
from ufm.architectures.blocks import Kind
from ufm.architectures.registry import register

__all__ = ["LinearDEQ", "water_filling"]


@register
@dataclass(frozen=True, repr=False)
class LinearDEQ(ClassAveraged):
    """Linear deep equilibrium model ``z* = A z* + h``: layer-peeled budgets, ``|A|_2 <= rho`` and ``|A|_F^2 <= E_A``.

    Gauge: ``|Z|_* - max{<a, sigma(Z)> : 0 <= a_i <= rho, |a|^2 <= E_A} <= tau = K sqrt(E_W E_H)``. Without E_A, or with
    one that does not bind (E_A >= rank(Z) rho^2), that is ``(1 - rho) |Z|_* <= tau``, the layer-peeled model of radius
    ``tau/(1-rho)``; with an idle cap (E_A <= rho^2) it is ``|Z|_* - sqrt(E_A) |Z|_F <= tau``. Source: theory section 2
    (Gelfand-Naimark and Mirsky).

    Args:
        E_W: classifier budget > 0.
        E_H: budget > 0 of the injected features h.
        rho: spectral bound in [0, 1).
        E_A: budget >= 0 of |A|_F^2; None for none.

    >>> LinearDEQ(1.0, 1.0, 0.5).radius(3)  # K sqrt(E_W E_H) / (1 - rho)
    6.0
    >>> budgeted = LinearDEQ(1.0, 1.0, 0.9, E_A=0.25)
    >>> budgeted.spectral_bound, budgeted.convex_form(3) is None, budgeted.relaxation(3, 1.0)
    (0.5, True, LinearDEQ(E_W=1.0, E_H=1.0, rho=0.5))
    >>> budgeted.equilibrium_spectrum(np.array([4.0, 3.0]))  # sigma sqrt(E_A) / |sigma|
    array([0.4, 0.3])
    >>> round(budgeted.gauge(np.array([4.0, 3.0])), 6), budgeted.bound(3), budgeted.factor_budgets(3)
    (4.5, 3.0, (3.0, 3.0))
    """

    E_W: float
    E_H: float
    rho: float
    E_A: float | None = None

    def __post_init__(self) -> None:
        self.check_budgets()
        object.__setattr__(self, "rho", fraction("rho", self.rho))
        if self.E_A is not None:
            if (budget := real("E_A", self.E_A)) < 0:
                raise ValueError(f"E_A must be >= 0 and finite, or None, got {self.E_A!r}")
            object.__setattr__(self, "E_A", budget)

    @property
    def spectral_bound(self) -> float:
        """``min(rho, sqrt(E_A))``."""
        return self.rho if self.E_A is None else min(self.rho, math.sqrt(self.E_A))

    def convex_form(self, rank: int) -> LinearDEQ | None:
        """Without E_A where it does not bind or the rank is 1, with rho = 0 where nothing is left of A; else None."""
        if self.E_A is None:
            return self
        if self.spectral_bound == 0:
            return LinearDEQ(self.E_W, self.E_H, 0.0)
        if rank <= 1:
            return LinearDEQ(self.E_W, self.E_H, self.spectral_bound)
        return LinearDEQ(self.E_W, self.E_H, self.rho) if rank * self.rho**2 <= self.E_A else None

    def relaxation(self, num_classes: int, upper: float) -> LinearDEQ:
        """Without E_A, under the bound that it leaves: ``Omega(sigma) >= (1 - min(rho, sqrt(E_A))) sum sigma``."""
        return LinearDEQ(self.E_W, self.E_H, self.spectral_bound)

    def equilibrium_spectrum(self, sigma: Array) -> Array:
        """Water-filling: ``a_i = min(rho, sigma_i / nu)``, ``|a|^2 = E_A``; rho throughout where E_A allows it."""
        return np.full(np.shape(sigma), self.rho) if self.E_A is None else water_filling(sigma, self.rho, self.E_A)

    @property
    def blocks(self) -> Kind:
        """``"deq"``."""
        return "deq"


def water_filling(sigma: Array, cap: float, budget: float) -> Array:
    """The a that maximises ``<a, sigma>`` over ``0 <= a_i <= cap``, ``|a|^2 <= budget``, for each sigma (..., r) >= 0.

    ``a_i = min(cap, sigma_i / nu)``: with m at the cap, ``nu^2 = sum_{i>m} sigma_i^2 / (budget - m cap^2)``,
    for the least m at which the next entry stays below the cap. Where the budget does not bind (fewer positive entries
    than ``budget / cap^2``) the positive ones are at the cap, and the zeros, whose a changes nothing, get what one of
    them could.

    >>> water_filling(np.array([4.0, 3.0, 0.0]), cap=0.9, budget=0.25)
    array([0.4, 0.3, 0. ])
    """
    sigma = np.asarray(sigma, dtype=float)
    if sigma.size == 0 or cap == 0:
        return np.zeros(sigma.shape)
    if sigma.ndim > 1 and sigma.size > sigma.shape[-1]:
        return _filled_rows(sigma.reshape(-1, sigma.shape[-1]), cap, budget).reshape(sigma.shape)
    shape, sigma = sigma.shape, sigma.ravel()
    order = (-sigma).argsort(kind="stable")
    s = sigma[order] / max(float(sigma[order[0]]), 1e-300)
    s[s < 1e-150] = 0.0  # their squares underflow
    positive_entries = int(np.count_nonzero(s))
    a = np.empty(len(s))
    if budget >= positive_entries * cap**2:
        a[order] = np.where(s > 0, cap, min(cap, math.sqrt(budget - positive_entries * cap**2)))
        return a.reshape(shape)
    rest = (s[::-1] ** 2).cumsum()[::-1]  # sum over i >= m
    for m in range(positive_entries):
        left = budget - m * cap**2
        level = math.sqrt(left / rest[m])
        if s[m] * level <= cap:
            break
    filled = s * level
    filled[:m] = cap
    a[order] = filled
    return a.reshape(shape)


def _filled_rows(sigma: Array, cap: float, budget: float) -> Array:
    """:func:`water_filling` of every row of sigma (B, r)."""
    order = (-sigma).argsort(axis=1, kind="stable")
    s = np.take_along_axis(sigma, order, axis=1)
    s = s / np.maximum(s[:, :1], 1e-300)
    s[s < 1e-150] = 0.0
    size = np.count_nonzero(s, axis=1)[:, None]
    at = np.arange(s.shape[1])
    left = budget - at * cap**2
    rest = (s[:, ::-1] ** 2).cumsum(axis=1)[:, ::-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        levels = np.sqrt(left / rest)
        fits = (s * levels <= cap) & (at < size)
        m = np.where(fits.any(axis=1), fits.argmax(axis=1), size[:, 0] - 1)[:, None]
        filled = np.where(at < m, cap, s * np.take_along_axis(levels, m, axis=1))
    idle = budget - size * cap**2
    loose = np.where(s > 0, cap, np.minimum(cap, np.sqrt(np.maximum(idle, 0.0))))
    a = np.empty_like(s)
    np.put_along_axis(a, order, np.where(idle >= 0, loose, filled), axis=1)
    return a
