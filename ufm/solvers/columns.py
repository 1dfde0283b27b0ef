"""The risk of a problem as a smooth function of ``Y = Z diag(omega)``, its second derivative written out by columns.

The loss acts on every column alone, so that K products give the second derivative of all of them, K x K blocks B_j; a
bias that is taken out couples them by a Schur complement.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ufm.problem import Problem

__all__ = ["ColumnRisk"]

Array = NDArray[np.float64]


class ColumnRisk:
    """``f(Y diag(1/omega))``; see :class:`ufm.gauges.Smooth`.

    >>> import ufm
    >>> problem = Problem.of(ufm.LayerPeeled(1.0, 1.0), ufm.ClassPrior([1, 1]), "mse")
    >>> risk, y = ColumnRisk(problem), np.zeros((2, 2))
    >>> risk.value(y), risk.gradient(y).tolist(), risk.hessian(y)(np.eye(2)).tolist()
    (0.5, [[-0.5, 0.0], [0.0, -0.5]], [[0.5, 0.0], [0.0, 0.5]])
    """

    def __init__(self, problem: Problem) -> None:
        self._risk, self._omega = problem.risk_of, problem.weights
        self._bias: Array | None = None
        self._at: Array | None = None

    def _shifted(self, y: Array) -> tuple[Array, Array | None]:
        """Logits with their bias, and the bias; the last one is where the next search for it starts."""
        z = y / self._omega
        if self._risk.decay is None:
            return z, None
        if self._at is None or not np.array_equal(self._at, y):
            self._bias, self._at = self._risk.best_bias(z), y.copy()
        return z + np.asarray(self._bias)[:, None], self._bias

    def value(self, y: Array) -> float:
        """``f(Z)``."""
        z, b = self._shifted(y)
        found = self._risk.loss.value(z, self._risk.pi, self._risk.targets)
        return found if b is None else found + (self._risk.decay or 0.0) / 2 * float(b @ b)

    def gradient(self, y: Array) -> Array:
        """``grad f(Z) diag(1/omega)``."""
        z, _ = self._shifted(y)
        return self._risk.loss.gradient(z, self._risk.pi, self._risk.targets) / self._omega

    def hessian(self, y: Array) -> Callable[[Array], Array]:
        """The second derivative at Y."""
        z, b = self._shifted(y)
        k = len(z)
        blocks = np.empty((z.shape[1], k, k))
        for i in range(k):
            direction = np.zeros_like(z)
            direction[i] = 1.0
            blocks[:, :, i] = (self._risk.loss.curvatures(z, self._risk.targets, direction) * self._risk.pi).T
        omega = self._omega
        if b is None:
            return lambda d: np.einsum("jik,kj->ij", blocks, d / omega) / omega
        inverse = np.linalg.pinv(
            blocks.sum(axis=0) + (self._risk.decay or 0.0) * np.eye(k), rcond=1e-13, hermitian=True
        )

        def product(d: Array) -> Array:
            d = d / omega
            e = -inverse @ np.einsum("jik,kj->i", blocks, d)
            return np.asarray(np.einsum("jik,kj->ij", blocks, d + e[:, None]) / omega)

        return product
