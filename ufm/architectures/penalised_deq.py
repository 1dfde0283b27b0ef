"""The linear deep equilibrium model with weight decay."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ufm._validation import fraction, positive
from ufm.architectures.base import Array, Penalised
from ufm.architectures.blocks import Kind
from ufm.architectures.registry import register
from ufm.architectures.unconstrained_features import UnconstrainedFeatures

__all__ = ["PenalisedDEQ"]


@register
@dataclass(frozen=True, repr=False)
class PenalisedDEQ(Penalised):
    """Unconstrained features before a linear equilibrium layer, ``|A|_2 <= rho``, with penalty ``(lambda_A/2)|A|_F^2``.

    Gauge, with ``lam = sqrt(lambda_W lambda_H)`` and ``Y = Z D^{1/2}``: ``(1 - rho) lam |Y|_*`` without lambda_A; with
    it ``sum_i g(sigma_i(Y))``, ``g(s) = lam s - lam^2 s^2/(2 lambda_A)`` while ``lam s <= rho lambda_A``, then
    ``lam (1 - rho) s + lambda_A rho^2/2``: a capped minimax concave penalty (Zhang 2010). Source: theory section 2.

    Args:
        lambda_W: weight decay > 0 of the classifier.
        lambda_H: weight decay > 0 of the injected features h, summed over samples.
        rho: spectral bound in [0, 1).
        lambda_A: weight decay > 0 of A; None for none.

    Raises:
        ValueError: a parameter out of range. Without a cap (rho = 1, or rho None) the penalised problem need not have
            a minimiser, and is refused: a direction of logits costs at most ``lambda_A/2``, however large.

    >>> capped = PenalisedDEQ(0.1, 0.1, 0.5, lambda_A=0.2)
    >>> capped.slope, capped.convex_form(3) is None
    (0.1, True)
    >>> capped.equilibrium_spectrum(np.array([0.5, 4.0]))  # min(rho, lam sigma / lambda_A)
    array([0.25, 0.5 ])
    >>> round(capped.gauge(np.array([4.0])), 6)  # lam (1 - rho) s + lambda_A rho^2 / 2
    0.225
    >>> capped.relaxation(3, 0.225).strength <= capped.slope
    True
    >>> PenalisedDEQ(0.1, 0.1, 0.5).strength
    0.05
    """

    lambda_W: float
    lambda_H: float
    rho: float
    lambda_A: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "lambda_W", positive("lambda_W", self.lambda_W))
        object.__setattr__(self, "lambda_H", positive("lambda_H", self.lambda_H))
        if self.lambda_A is not None:
            object.__setattr__(self, "lambda_A", positive("lambda_A", self.lambda_A))
            if self.rho is None or (isinstance(self.rho, int | float) and self.rho == 1):
                raise ValueError(
                    f"rho must lie in [0, 1), got {self.rho!r}: without a bound |A|_2 <= rho < 1 the penalised DEQ "
                    "need not have a minimiser. Every direction of logits costs at most lambda_A/2 however large its "
                    "singular value, so that for small lambda_A (under cross-entropy with K >= 3 balanced classes of n "
                    "samples: lambda_A < min(log K, 2 K lambda_W lambda_H n)) the infimum is approached only as "
                    "eigenvalues of A tend to 1"
                )
        object.__setattr__(self, "rho", fraction("rho", self.rho))

    @property
    def spectral_bound(self) -> float:
        """rho."""
        return self.rho

    def convex_form(self, rank: int) -> PenalisedDEQ | None:
        """Itself without lambda_A, or with rho = 0; else None."""
        if self.lambda_A is None:
            return self
        return PenalisedDEQ(self.lambda_W, self.lambda_H, 0.0) if self.rho == 0 else None

    def relaxation(self, num_classes: int, upper: float) -> UnconstrainedFeatures | PenalisedDEQ:
        """Weight decay by the slope of the price's chord up to the s of which the price is ``upper``.

        ``g(sigma_i) <= upper`` bounds sigma_i by s_max with ``g(s_max) = upper``, and the concave g lies above its
        chord there, ``g(s) >= g(s_max)/s_max s``.
        """
        if self.lambda_A is None:
            return self
        upper *= 1 + 1e-12
        if upper < self.lambda_A * self.rho * (1 - self.rho / 2):  # g at the cap, lam s = rho lambda_A
            a = 1 - math.sqrt(1 - 2 * upper / self.lambda_A)  # g(s) = lambda_A (a - a^2/2) with a = lam s / lambda_A
            chord = self.slope * (1 - a / 2)
        else:
            chord = self.slope * (1 - self.rho) * upper / (upper - self.lambda_A * self.rho**2 / 2)
        return UnconstrainedFeatures(chord, chord)

    @property
    def strength(self) -> float:
        """``(1 - rho) sqrt(lambda_W lambda_H)``."""
        return (1 - self.convex(1).spectral_bound) * self.slope

    def equilibrium_spectrum(self, sigma: Array) -> Array:
        """``a_i = min(rho, lam sigma_i / lambda_A)``; rho throughout without lambda_A."""
        if self.lambda_A is None:
            return np.full(np.shape(sigma), self.rho)
        return np.minimum(self.rho, self.slope / self.lambda_A * np.asarray(sigma, dtype=float))

    def spectral_gauge(self, sigma: Array) -> float:
        """``sum_i [lam (1 - a_i) sigma_i + lambda_A a_i^2 / 2]``, a the :meth:`equilibrium_spectrum`."""
        a = self.equilibrium_spectrum(sigma)
        return self.slope * float((1 - a) @ sigma) + (self.lambda_A or 0.0) / 2 * float(a @ a)

    def curvatures(self, sigma: Array) -> Array:
        """``lam^2/lambda_A`` below the cap, 0 beyond it and without lambda_A."""
        if self.lambda_A is None:
            return np.zeros(len(sigma))
        return np.where(self.slope * sigma < self.rho * self.lambda_A, self.slope**2 / self.lambda_A, 0.0)

    @property
    def balance(self) -> float:
        """Ratio alpha of ``|W|_F^2`` to what the gauge charges, the optimal split between W and H."""
        return math.sqrt(self.lambda_H) / math.sqrt(self.lambda_W)

    @property
    def blocks(self) -> Kind:
        """``"deq"``."""
        return "deq"

    @property
    def map_decay(self) -> float:
        """lambda_A, or 0."""
        return self.lambda_A or 0.0
