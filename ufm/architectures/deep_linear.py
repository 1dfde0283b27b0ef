"""Deep linear networks with budgets."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ufm._validation import positive
from ufm.architectures.base import Array, Constrained, Factors
from ufm.architectures.registry import register
from ufm.labels import ClassPrior, Labels

__all__ = ["DeepLinear"]


@register
@dataclass(frozen=True)
class DeepLinear(Constrained):
    """Deep linear network ``Z = W_1 W_2 ... W_M`` with squared Frobenius budgets ``|W_j|_F^2 <= c_j``.

    Gauge: the Schatten quasi-norm ``(sum_i sigma_i^{2/M})^{M/2} <= prod_j sqrt(c_j)``, convex for M = 2 alone.
    Source: theory section 2; the variational form of Schatten quasi-norms, Shang et al. 2020.

    Args:
        budgets: (c_1, ..., c_M), all > 0, M >= 2; the classifier's first, the features' last.

    Raises:
        ValueError: fewer than two factors, or a budget that is not positive and finite.

    >>> deep = DeepLinear((1.0, 4.0, 1.0))
    >>> deep.depth, deep.bound(5), deep.factor_budgets(5)
    (3, 2.0, (1.0, 4.0, 1.0))
    >>> round(deep.gauge(np.array([8.0, 1.0])), 6)  # (8^(2/3) + 1)^(3/2)
    11.18034
    >>> deep.convex_form(4) is None, deep.relaxation(4, 1.0)
    (True, DeepLinear(budgets=(2.0, 2.0)))
    >>> deep.factor_spectra(np.array([8.0])).ravel().round(6).tolist()
    [1.587401, 3.174802, 1.587401]
    """

    budgets: tuple[float, ...]

    def __post_init__(self) -> None:
        if isinstance(self.budgets, str | bytes) or not isinstance(self.budgets, Iterable):
            raise TypeError(f"budgets must be a sequence of positive numbers, got {self.budgets!r}")
        values = tuple(positive(f"budgets[{i}]", c) for i, c in enumerate(self.budgets))
        if len(values) < 2:
            raise ValueError(f"budgets must have at least 2 entries (W and H), got {len(values)}: {values}")
        object.__setattr__(self, "budgets", values)

    @property
    def depth(self) -> int:
        """Number of factors M."""
        return len(self.budgets)

    @property
    def num_factors(self) -> int:
        """M."""
        return len(self.budgets)

    def relaxation(self, num_classes: int, upper: float) -> DeepLinear:
        """Two factors of the same bound: ``(sum sigma^{2/M})^{M/2} >= sum sigma``."""
        return DeepLinear((self.bound(num_classes),) * 2)

    def convex_form(self, rank: int) -> DeepLinear | None:
        """Itself for two factors (for any number if the rank is at most 1, too), else None."""
        if self.depth == 2:
            return self
        return DeepLinear((self.bound(1),) * 2) if rank <= 1 else None

    def factor_budgets(self, num_classes: int) -> tuple[float, ...]:
        """``(c_1, ..., c_M)``."""
        return self.budgets

    def spectral_gauge(self, sigma: Array) -> float:
        """``(sum_i sigma_i^{2/M})^{M/2}``."""
        top = float(sigma.max(initial=0.0))
        return top * float(((sigma / top) ** (2 / self.depth)).sum()) ** (self.depth / 2) if top > 0 else 0.0

    def factor_spectra(self, sigma: Array) -> Array:
        """Singular values (M, r) of the optimal factors: ``sigma^{1/M}`` for each, times ``sqrt(c_j) / tau^{1/M}``.

        Their squares sum to ``c_j (Omega(sigma)/tau)^{2/M}``, by the arithmetic-geometric mean inequality the least.
        """
        logs = np.log(self.budgets) / 2
        return np.exp(logs - logs.mean())[:, None] * np.asarray(sigma, dtype=float) ** (1 / self.depth)

    def factorise(self, logits: Array, prior: ClassPrior | Labels, dim: int | None = None) -> Factors:
        """Optimal factors of ``logits`` (K, K) in hidden dimension ``dim`` (default K), see :meth:`factor_spectra`.

        ``W_1 = U diag(s_1) Q^T``, ``W_j = Q diag(s_j) Q^T`` in between, ``W_M = Q diag(s_M) V^T``.

        Raises:
            ValueError: ``dim`` is smaller than the rank of the logits.
        """
        if self.depth == 2:
            return super().factorise(logits, prior, dim)
        return self._layered(logits, prior, dim, self.factor_spectra)

    @property
    def balance(self) -> float:
        """Ratio alpha of ``|W|_F^2`` to what the gauge charges, the optimal split between W and H."""
        return math.sqrt(self.budgets[0]) / math.sqrt(self.budgets[1])
