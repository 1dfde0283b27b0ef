"""Mean squared error with any real targets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ufm.losses.base import Array, ClosedForm, Loss, as_columns

__all__ = ["MeanSquaredError"]


@dataclass(frozen=True)
class MeanSquaredError(Loss):
    """``l(z; t) = |z - t|^2 / 2`` (theory sections 1 and 7).

    >>> MeanSquaredError().value(np.zeros((2, 2)), np.array([0.5, 0.5]))
    0.5
    """

    is_convex = True
    #: The optimum can be 0; this is a residual of about 3e-8.
    floor = 1e-15

    @property
    def name(self) -> str:
        """``"mse"``."""
        return "mse"

    @property
    def closed_form(self) -> ClosedForm | None:  # type: ignore[override]
        """The formulas of mean squared error, for this very class."""
        return ClosedForm.MEAN_SQUARED_ERROR if type(self) is MeanSquaredError else None

    def values(self, logits: Array, targets: Array) -> Array:
        """``|z_j - t_j|^2 / 2``, shape (m,)."""
        logits, targets = as_columns(logits, targets)
        return 0.5 * ((logits - targets) ** 2).sum(axis=0)

    def gradients(self, logits: Array, targets: Array) -> Array:
        """``z_j - t_j``, shape (K, m)."""
        logits, targets = as_columns(logits, targets)
        return logits - targets

    def curvatures(self, logits: Array, targets: Array, directions: Array) -> Array:
        """The directions themselves."""
        return np.array(directions, dtype=float)

    def curvature_diagonals(self, logits: Array, targets: Array) -> Array:
        """Ones."""
        return np.ones(logits.shape)

    def dual_values(self, logits: Array, targets: Array, scale: float = 1.0) -> Array | None:
        """``-<t, c r> - |c r|^2/2`` with ``r = z - t`` the gradient and c the scale."""
        residual = logits - targets
        return -scale * (targets * residual).sum(axis=0) - 0.5 * scale**2 * (residual**2).sum(axis=0)

    def expression(self, logits: Any, targets: Array, weights: Array) -> Any:
        """``sum_j weights_j |z_j - t_j|^2 / 2`` for CVXPY."""
        import cvxpy as cp

        return 0.5 * cp.sum_squares((logits - targets) @ np.diag(np.sqrt(weights)))
