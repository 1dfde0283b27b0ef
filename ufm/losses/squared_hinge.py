"""Squared hinge on the margins against the classes of the target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ufm._validation import positive
from ufm.losses.base import Array, Loss, as_columns

__all__ = ["SquaredHinge"]


@dataclass(frozen=True)
class SquaredHinge(Loss):
    """``l(z; t) = 1/2 sum_k t_k sum_{j: t_j = 0} max(0, margin + z_j - z_k)^2`` (theory section 7).

    For a one-hot target of class k that is ``1/2 sum_{j != k} max(0, margin + z_j - z_k)^2``; a multi-label target sums
    over its classes. Once differentiable, and 0 at finite logits.

    Args:
        margin: > 0.

    >>> SquaredHinge().value(np.zeros((3, 3)), np.full(3, 1 / 3))
    1.0
    """

    margin: float = 1.0

    is_convex = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "margin", positive("margin", self.margin))

    @property
    def name(self) -> str:
        """As it is built."""
        return repr(self)

    def constant_direction(self, num_classes: int) -> Array | None:
        """1: margins are differences."""
        return np.ones(num_classes)

    def values(self, logits: Array, targets: Array) -> Array:
        """``1/2 sum_{k, j} t_k [t_j = 0] max(0, margin + z_j - z_k)^2``, shape (m,)."""
        logits, targets = as_columns(logits, targets)
        return np.asarray(0.5 * (self._weights(targets) * self._excess(logits) ** 2).sum(axis=(0, 1)), dtype=float)

    def gradients(self, logits: Array, targets: Array) -> Array:
        """What the excesses at j sum to, less what those against k do, shape (K, m)."""
        logits, targets = as_columns(logits, targets)
        pull = self._weights(targets) * self._excess(logits)  # [j, k, column]
        return np.asarray(pull.sum(axis=1) - pull.sum(axis=0), dtype=float)

    def curvatures(self, logits: Array, targets: Array, directions: Array) -> Array:
        """The same of the directions' differences, where the excess is positive (a generalised second derivative)."""
        active = self._weights(targets) * (self._excess(logits) > 0)
        pull = active * (directions[:, None] - directions[None])
        return np.asarray(pull.sum(axis=1) - pull.sum(axis=0), dtype=float)

    def curvature_diagonals(self, logits: Array, targets: Array) -> Array:
        """How many excesses are active at a class, as competitor or as own class."""
        active = self._weights(targets) * (self._excess(logits) > 0)
        return np.asarray(active.sum(axis=1) + active.sum(axis=0), dtype=float)

    def dual_values(self, logits: Array, targets: Array, scale: float = 1.0) -> Array | None:
        """``sum_{k, j} t_k [t_j = 0] (margin c e - c^2 e^2 / 2)`` with the excesses e and the scale c.

        The conjugate is a least cost of flows ``y_jk >= 0`` that balance to the gradient, of which ``c e`` is one: a
        lower bound of ``-l*(c g)``, and equal to it at c = 1.
        """
        e = scale * self._excess(logits)
        return np.asarray((self._weights(targets) * (self.margin * e - e**2 / 2)).sum(axis=(0, 1)), dtype=float)

    def expression(self, logits: Any, targets: Array, weights: Array) -> Any:
        """The sum of squared positive parts for CVXPY."""
        import cvxpy as cp

        terms = []
        for column in range(targets.shape[1]):
            t = targets[:, column]
            for k in np.flatnonzero(t):
                others = np.flatnonzero(t == 0)
                if len(others):
                    excess = self.margin + logits[others, column] - logits[k, column]
                    terms.append(weights[column] * t[k] / 2 * cp.sum_squares(cp.pos(excess)))
        return cp.sum(cp.hstack(terms)) if terms else cp.Constant(0.0)

    def _excess(self, logits: Array) -> Array:
        """``max(0, margin + z_j - z_k)`` indexed [j, k, column]."""
        return np.maximum(0.0, self.margin + logits[:, None] - logits[None])

    @staticmethod
    def _weights(targets: Array) -> Array:
        if targets.min() < 0:
            raise ValueError(f"targets must be >= 0 for a squared hinge, got {targets.min():g}")
        return np.asarray((targets == 0)[:, None] * targets[None], dtype=float)
