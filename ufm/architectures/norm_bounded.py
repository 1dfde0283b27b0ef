"""Two factors with bounded rows and columns: normalised classifiers and features at a temperature."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ufm._validation import positive
from ufm.architectures.base import Architecture, Array, Factors
from ufm.architectures.registry import register
from ufm.labels import ClassPrior, Labels

__all__ = ["NormBounded"]


@register
@dataclass(frozen=True, repr=False)
class NormBounded(Architecture):
    """Bounded classifiers and features: ``|w_k| <= w`` for every class, ``|h_j| <= h`` for every column.

    Gauge: the gamma_2 norm, ``gamma_2(Z) <= w h`` (:mod:`ufm.gauges.gamma2`). Lengths that are equal to their bounds
    instead cost nothing where the dimension allows them, d >= K + m: this is the model of cosine classifiers at
    temperature ``w h``. The counts of samples do not enter the bounds. Source: Yaras et al. 2022; theory section 8.

    Args:
        w: bound > 0 of every classifier's length.
        h: bound > 0 of every feature's length.

    >>> model = NormBounded(1.0, 3.0)
    >>> model.bound(4), model.is_spectral, model
    (3.0, False, NormBounded(w=1.0, h=3.0))
    >>> etf = np.eye(3) - 1 / 3
    >>> round(model.gauge(etf), 9), round(model.polar(etf), 9), round(model.polar_bound(etf), 9)  # (K - 1)/K, K
    (0.666666667, 3.0, 3.0)
    >>> round(model.gauge(model.atom(etf)), 9)
    1.0
    >>> factors = model.factorise(3 * etf, ClassPrior([1, 1, 1]))
    >>> bool(np.allclose(factors.logits, 3 * etf)), round(model.spent(factors, ClassPrior([1, 1, 1])), 9)
    (True, 2.0)
    """

    w: float = 1.0
    h: float = 3.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "w", positive("w", self.w))
        object.__setattr__(self, "h", positive("h", self.h))

    def bound(self, num_classes: int) -> float:
        """``w h``."""
        return self.w * self.h

    def gauge(self, y: Array) -> float:
        """``gamma_2(Y)`` of a matrix (K, m)."""
        from ufm.gauges import gamma2_norm

        return gamma2_norm(y)

    def polar(self, gradient: Array) -> float:
        """``max <G, Y>`` over ``gamma_2(Y) <= 1``."""
        from ufm.gauges import gamma2_polar

        return gamma2_polar(gradient).value

    def polar_bound(self, gradient: Array) -> float:
        """``(sum alpha + sum beta) / 2`` of two diagonals with ``[[diag alpha, -G], [-G^T, diag beta]] >= 0``."""
        from ufm.gauges import gamma2_polar

        return gamma2_polar(gradient).bound

    def atom(self, gradient: Array) -> Array:
        """The products of unit vectors that attain the polar, shape (K, m)."""
        from ufm.gauges import gamma2_polar

        return gamma2_polar(gradient).atom

    def factorise(self, logits: Array, prior: ClassPrior | Labels, dim: int | None = None) -> Factors:
        """Factors of ``logits`` (K, m) with the shortest rows and columns, in dimension ``dim``, by default K or more.

        Raises:
            ValueError: ``dim`` is smaller than the dimension of the factors found.
        """
        from ufm.gauges import gamma2_factors

        found = gamma2_factors(np.asarray(logits, dtype=float))
        return self.scaled(found.classifier, found.features, prior, dim)

    def scaled(self, w: Array, h: Array, prior: ClassPrior | Labels, dim: int | None = None) -> Factors:
        """Factors of ``w h`` whose longest row and column are as far from their bounds, ``sqrt(w/h)`` between them.

        Zeros fill up to ``dim``, by default K where fewer dimensions are in use.

        Raises:
            ValueError: ``dim`` is smaller than the number of dimensions in use.
        """
        used = w.shape[1]
        d = max(prior.num_classes, used) if dim is None else dim
        if d < used:
            raise ValueError(
                f"dim must be at least the dimension of the factors of the optimal logits, {used}, got {dim}: bounded "
                "rows and columns may need more dimensions than the rank"
            )
        longest = np.linalg.norm(w, axis=1).max(initial=0.0), np.linalg.norm(h, axis=0).max(initial=0.0)
        split = np.sqrt(self.w / self.h * longest[1] / longest[0]) if min(longest) > 0 else 1.0
        classifier, features = np.zeros((len(w), d)), np.zeros((d, h.shape[1]))
        classifier[:, :used], features[:used] = split * w, h / split
        return Factors(classifier, features)

    def spent(self, factors: Factors, prior: ClassPrior | Labels) -> float:
        """``max_k |w_k| max_j |h_j|``, or w h times what one of the two exceeds its own bound by."""
        longest_w = float(np.linalg.norm(factors.classifier, axis=1).max())
        longest_h = float(np.linalg.norm(factors.features, axis=0).max())
        excess = max(longest_w / self.w, longest_h / self.h)
        return max(longest_w * longest_h, self.w * self.h * excess if excess > 1 else 0.0)
