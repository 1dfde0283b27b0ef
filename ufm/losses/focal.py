"""Focal loss: cross-entropy that looks away from what is already right; not convex."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ufm._validation import real
from ufm.losses.base import Array, Loss, as_columns

__all__ = ["FocalLoss"]


@dataclass(frozen=True)
class FocalLoss(Loss):
    """``l(z; t) = -sum_k t_k (1 - p_k)^gamma log p_k`` with ``p = softmax(z)`` (Lin et al. 2017).

    Not convex for gamma > 0 (at gamma = 0 it is cross-entropy, and convex): solved by search and descent alone.

    Args:
        gamma: >= 0.

    >>> FocalLoss(gamma=2.0).is_convex, FocalLoss(gamma=0.0).is_convex
    (False, True)
    """

    gamma: float = 2.0

    def __post_init__(self) -> None:
        gamma = real("gamma", self.gamma)
        if gamma < 0:
            raise ValueError(f"gamma must be >= 0, got {self.gamma!r}")
        object.__setattr__(self, "gamma", gamma)

    @property
    def is_convex(self) -> bool:  # type: ignore[override]
        """True for gamma = 0 alone."""
        return self.gamma == 0

    @property
    def name(self) -> str:
        """As it is built."""
        return repr(self)

    def constant_direction(self, num_classes: int) -> Array | None:
        """1: softmax does not see a shift of all logits."""
        return np.ones(num_classes)

    def values(self, logits: Array, targets: Array) -> Array:
        """``-sum_k t_k (1 - p_k)^gamma log p_k``, shape (m,)."""
        logits, targets = as_columns(logits, targets)
        log_p, miss = self._probabilities(logits)
        if targets.min() < 0:
            raise ValueError(f"targets must be >= 0 for a focal loss, got {targets.min():g}")
        return np.asarray(-(targets * miss**self.gamma * log_p).sum(axis=0), dtype=float)

    def gradients(self, logits: Array, targets: Array) -> Array:
        """``sum_k t_k a_k (e_k - p)`` with ``a_k = gamma (1-p_k)^{gamma-1} p_k log p_k - (1-p_k)^gamma``."""
        logits, targets = as_columns(logits, targets)
        log_p, miss = self._probabilities(logits)
        p = np.exp(log_p)
        with np.errstate(divide="ignore", invalid="ignore"):
            bent = self.gamma * np.where(miss > 0, miss ** (self.gamma - 1), 0.0) * p * log_p
        a = targets * (bent - miss**self.gamma)
        return np.asarray(a - p * a.sum(axis=0), dtype=float)

    @staticmethod
    def _probabilities(logits: Array) -> tuple[Array, Array]:
        """``log p`` and ``1 - p``, the latter as the sum of the others."""
        e = np.exp(logits - logits.max(axis=0))
        total = e.sum(axis=0)
        shifted = logits - logits.max(axis=0)
        miss = np.stack([np.delete(e, k, axis=0).sum(axis=0) for k in range(len(e))]) / total
        return np.where(miss < 0.5, np.log1p(-np.minimum(miss, 0.5)), shifted - np.log(total)), miss
