"""Deep linear networks with weight decay on every factor."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ufm._validation import positives
from ufm.architectures.base import Array, Factors, Penalised, geometric_mean
from ufm.architectures.registry import register
from ufm.architectures.unconstrained_features import UnconstrainedFeatures, chord
from ufm.labels import ClassPrior, Labels

__all__ = ["PenalisedDeepLinear"]


@register
@dataclass(frozen=True)
class PenalisedDeepLinear(Penalised):
    """Deep linear network ``Z = W_1 W_2 ... W_M`` with weight decay ``sum_j (lambda_j/2) |W_j|_F^2``, W_M the features.

    Price, with ``lam = (lambda_1 ... lambda_M)^{1/M}`` and ``Y = Z D^{1/2}``: ``(M/2) lam sum_i sigma_i(Y)^{2/M}``, by
    the arithmetic-geometric mean inequality; for M = 2 the nuclear norm of unconstrained features, for more a price of
    infinite slope at 0: every vanishing direction is a local minimum. Source: Dang et al. 2023; theory section 8.

    Under mean squared error one singular value b of the targets ``T D^{1/2}`` is one scalar problem. It is kept iff
    ``N lam M b^{2/M - 2} < (M/(M-1)) ((M-2)/(M-1))^{1 - 2/M}``; for K balanced classes of n that is
    ``b_C < (M-2)^{(M-2)/(M-1)}/(M-1)``, ``b_C = (M-1) K (K n lambda_1 ... lambda_M)^{1/(M-1)}``.

    Args:
        lambdas: (lambda_1, ..., lambda_M), all > 0, M >= 2; the classifier's first, the features' last, the latter
            summed over samples.

    Raises:
        ValueError: fewer than two factors, or a weight decay that is not positive and finite.

    >>> deep = PenalisedDeepLinear((0.1, 0.2, 0.4))
    >>> deep.num_factors, round(deep.multiplier, 6), deep.slope, deep.convex_form(4) is None
    (3, 0.2, inf, True)
    >>> round(deep.gauge(np.array([8.0, 1.0])), 6)  # 1.5 * 0.2 * (4 + 1)
    1.5
    >>> deep.slopes(np.array([8.0])).round(6), deep.curvatures(np.array([8.0])).round(6)
    (array([0.1]), array([0.004167]))
    >>> deep.shrunk(np.array([3.0, 0.5]), 1.0).round(6)  # the smaller one is not worth its price
    array([2.859086, 0.      ])
    >>> deep.factor_spectra(np.array([8.0])).ravel().round(6).tolist()
    [2.828427, 2.0, 1.414214]
    >>> round(deep.relaxation(4, 1.2).strength, 6)  # s <= 8, and below it the price is above its chord, 0.15 s
    0.15
    >>> PenalisedDeepLinear((0.04, 0.01)).strength
    0.02
    """

    lambdas: tuple[float, ...]

    def __post_init__(self) -> None:
        values = positives("lambdas", self.lambdas)
        if len(values) < 2:
            raise ValueError(f"lambdas must have at least 2 entries (W and H), got {len(values)}: {values}")
        object.__setattr__(self, "lambdas", values)

    @property
    def lambda_W(self) -> float:  # type: ignore[override]
        """Weight decay of the classifier, the first."""
        return self.lambdas[0]

    @property
    def lambda_H(self) -> float:  # type: ignore[override]
        """Weight decay of the features, the last."""
        return self.lambdas[-1]

    @property
    def num_factors(self) -> int:
        """M."""
        return len(self.lambdas)

    @property
    def factor_decays(self) -> tuple[float, ...]:
        """The lambdas."""
        return self.lambdas

    @property
    def multiplier(self) -> float:
        """``lam``, the geometric mean of the weight decays."""
        if self.num_factors == 2:
            return geometric_mean(*self.lambdas)
        return math.exp(math.fsum(map(math.log, self.lambdas)) / self.num_factors)

    @property
    def slope(self) -> float:
        """lam for two factors, else inf."""
        return self.multiplier if self.num_factors == 2 else math.inf

    @property
    def strength(self) -> float:
        """lam for two factors; a ValueError for more."""
        self.convex(2)
        return self.multiplier

    @property
    def balance(self) -> float:
        """Ratio alpha of ``|W|_F^2`` to what the gauge charges, for two factors the optimal split between W and H."""
        return math.sqrt(self.lambda_H) / math.sqrt(self.lambda_W)

    def convex_form(self, rank: int) -> PenalisedDeepLinear | None:
        """Itself for two factors, else None."""
        return self if self.num_factors == 2 else None

    def relaxation(self, num_classes: int, upper: float) -> UnconstrainedFeatures | PenalisedDeepLinear | None:
        """Weight decay by the slope of the price's chord up to the s of which the price is ``upper``."""
        if self.num_factors == 2:
            return self
        m = self.num_factors
        return chord(upper, (upper / (m / 2 * self.multiplier)) ** (m / 2))

    def spectral_gauge(self, sigma: Array) -> float:
        """``(M/2) lam sum_i sigma_i^{2/M}``."""
        m = self.num_factors
        if m == 2:
            return self.multiplier * float(sigma.sum())
        return m / 2 * self.multiplier * float((np.asarray(sigma, dtype=float) ** (2 / m)).sum())

    def slopes(self, sigma: Array) -> Array:
        """``lam sigma_i^{2/M - 1}``."""
        with np.errstate(divide="ignore"):
            return self.multiplier * np.asarray(sigma, dtype=float) ** (2 / self.num_factors - 1)

    def curvatures(self, sigma: Array) -> Array:
        """``lam (1 - 2/M) sigma_i^{2/M - 2}``."""
        power = 2 / self.num_factors
        with np.errstate(divide="ignore", invalid="ignore"):
            return (1 - power) * self.multiplier * np.asarray(sigma, dtype=float) ** (power - 2)

    def factor_spectra(self, sigma: Array) -> Array:
        """Singular values (M, r) of the optimal factors: ``(lam sigma^{2/M} / lambda_j)^{1/2}``."""
        logs = np.log(self.lambdas) / 2
        return np.exp(logs.mean() - logs)[:, None] * np.asarray(sigma, dtype=float) ** (1 / self.num_factors)

    def factorise(self, logits: Array, prior: ClassPrior | Labels, dim: int | None = None) -> Factors:
        """Optimal factors of ``logits`` (K, m) in hidden dimension ``dim`` (default K), see :meth:`factor_spectra`.

        ``W_1 = U diag(s_1) Q^T``, ``W_j = Q diag(s_j) Q^T`` in between, ``W_M D^{1/2} = Q diag(s_M) V^T``.

        Raises:
            ValueError: ``dim`` is smaller than the rank of the logits.
        """
        if self.num_factors == 2:
            return super().factorise(logits, prior, dim)
        return self._layered(logits, prior, dim, self.factor_spectra)
