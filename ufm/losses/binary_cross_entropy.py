"""Binary cross-entropy: one logistic loss a class, for one-hot, soft and multi-label targets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ufm.losses.base import Array, Loss, as_columns

__all__ = ["BinaryCrossEntropy"]


@dataclass(frozen=True)
class BinaryCrossEntropy(Loss):
    """``l(z; t) = sum_i [log(1 + e^{z_i}) - t_i z_i]`` (theory section 7).

    A target entry of 1 is computed as ``log(1 + e^{-z_i})``, so that a tiny loss keeps its relative accuracy. Targets
    outside of [0, 1] have no lower bound and are refused.

    >>> round(BinaryCrossEntropy().value(np.zeros((2, 2)), np.array([0.5, 0.5])), 6)
    1.386294
    """

    is_convex = True
    floor = 0.0

    @property
    def name(self) -> str:
        """``"bce"``."""
        return "bce"

    def values(self, logits: Array, targets: Array) -> Array:
        """``sum_i [t_i log(1 + e^{-z_i}) + (1 - t_i) log(1 + e^{z_i})]``, shape (m,)."""
        logits, targets = as_columns(logits, targets)
        t = _checked(targets)
        return np.asarray((t * np.logaddexp(0, -logits) + (1 - t) * np.logaddexp(0, logits)).sum(axis=0), dtype=float)

    def gradients(self, logits: Array, targets: Array) -> Array:
        """``(1 - t) sigmoid(z) - t sigmoid(-z)``, without cancellation at targets 0 and 1."""
        from scipy.special import expit

        logits, targets = as_columns(logits, targets)
        t = _checked(targets)
        return np.asarray((1 - t) * expit(logits) - t * expit(-logits), dtype=float)

    def curvatures(self, logits: Array, targets: Array, directions: Array) -> Array:
        """``sigmoid(z) sigmoid(-z) d``."""
        from scipy.special import expit

        return np.asarray(expit(logits) * expit(-logits) * directions, dtype=float)

    def curvature_diagonals(self, logits: Array, targets: Array) -> Array:
        """``sigmoid(z) sigmoid(-z)``."""
        from scipy.special import expit

        return np.asarray(expit(logits) * expit(-logits), dtype=float)

    def curvature_sums(self, logits: Array, targets: Array, pi: Array) -> Array | None:
        """``sum_j pi_j diag(sigmoid(z_j) sigmoid(-z_j))``, (K, K)."""
        return np.diag(self.curvature_diagonals(logits, targets) @ pi)

    def dual_values(self, logits: Array, targets: Array, scale: float = 1.0) -> Array | None:
        """``sum_i h(q_i)`` with ``q = t + scale (sigmoid(z) - t)`` and h the binary entropy."""
        from scipy.special import entr, expit

        t = _checked(targets)
        g = scale * self.gradients(logits, t)
        # q and 1 - q, each without cancellation where the other is nearly 1
        q = np.where(t == 1, 1 + g, (1 - scale) * t + scale * expit(logits))
        rest = np.where(t == 0, 1 - g, (1 - scale) * (1 - t) + scale * expit(-logits))
        own = np.where(t == 1, _entropy_of_rest(-g), np.where(t == 0, _entropy_of_rest(g), entr(q) + entr(rest)))
        return np.asarray(own.sum(axis=0), dtype=float)

    def expression(self, logits: Any, targets: Array, weights: Array) -> Any:
        """``sum_j weights_j sum_i [logistic(z_ij) - t_ij z_ij]`` for CVXPY."""
        import cvxpy as cp

        w = np.broadcast_to(weights, targets.shape)
        return cp.sum(cp.multiply(w, cp.logistic(logits))) - cp.sum(cp.multiply(w * _checked(targets), logits))


def _entropy_of_rest(p: Array) -> Array:
    """Binary entropy ``-p log p - (1 - p) log(1 - p)`` of a p that may be tiny."""
    from scipy.special import entr

    p = np.clip(p, 0.0, 1.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(entr(p) - np.where(p < 1, (1 - p) * np.log1p(-p), 0.0), dtype=float)


def _checked(targets: Array) -> Array:
    if targets.min() < 0 or targets.max() > 1:
        raise ValueError(
            f"targets must lie in [0, 1] for binary cross-entropy, got {targets.min():g} to {targets.max():g}"
        )
    return targets
