"""Risks on class-mean logits: cross-entropy and mean squared error, their gradients and Fenchel duals.

All functions take logits ``Z`` of shape (K, K), column k = logits of class k, and probabilities ``pi`` of shape (K,).
"""

from __future__ import annotations

import abc

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr, xlog1py

from ufm._validation import one_of

__all__ = ["LOSSES", "CrossEntropy", "Loss", "MeanSquaredError", "get_loss"]

Array = NDArray[np.float64]


class Loss(abc.ABC):
    """A convex risk ``f(Z) = sum_k pi_k l_k(Z[:, k])``."""

    name: str

    @abc.abstractmethod
    def value(self, logits: Array, pi: Array) -> float:
        """The risk f(Z)."""

    @abc.abstractmethod
    def gradient(self, logits: Array, pi: Array) -> Array:
        """The gradient G = grad f(Z), shape (K, K)."""

    @abc.abstractmethod
    def dual_value(self, logits: Array, pi: Array, scale: float = 1.0) -> float:
        """``-f*(scale * G)`` at ``G = grad f(Z)``, for scale in [0, 1]; f* is the Fenchel conjugate.

        By weak duality ``min f + penalty >= -f*(scale * G)`` whenever ``scale * G`` is dual feasible.
        """


class CrossEntropy(Loss):
    """``f(Z) = sum_k pi_k [logsumexp(Z[:, k]) - Z[k, k]]`` (theory section 1).

    Computed as ``log1p(sum_{j != k} exp(Z[j, k] - Z[k, k]))``, so that a tiny risk keeps its relative accuracy.
    """

    name = "ce"

    def value(self, logits: Array, pi: Array) -> float:
        """The risk f(Z)."""
        return float(pi @ self.per_class(logits))

    @staticmethod
    def per_class(logits: Array) -> Array:
        """Cross-entropy of each class, shape (K,)."""
        margins = logits - np.diagonal(logits)
        np.fill_diagonal(margins, -np.inf)
        top = np.maximum(margins.max(axis=0), 0.0)
        rest = np.exp(margins - top).sum(axis=0)
        return np.where(top > 0, top + np.log(np.exp(-top) + rest), np.log1p(rest))

    @staticmethod
    def probabilities(logits: Array) -> tuple[Array, Array]:
        """Softmax columns P (K, K), and ``1 - P[k, k]`` (K,) computed without cancellation."""
        e = np.exp(logits - logits.max(axis=0))
        p = e / e.sum(axis=0)
        off = p.copy()
        np.fill_diagonal(off, 0.0)
        return p, off.sum(axis=0)

    def gradient(self, logits: Array, pi: Array) -> Array:
        """``G[:, k] = pi_k (softmax(Z[:, k]) - e_k)``."""
        p, miss = self.probabilities(logits)
        np.fill_diagonal(p, -miss)
        return p * pi

    def dual_value(self, logits: Array, pi: Array, scale: float = 1.0) -> float:
        """``sum_k pi_k H(q_k)`` with ``q_k = e_k + scale (p_k - e_k)`` and H the entropy."""
        p, miss = self.probabilities(logits)
        miss = np.minimum(scale * miss, 1.0)
        off = scale * p
        np.fill_diagonal(off, 0.0)
        return float(pi @ (entr(off).sum(axis=0) - xlog1py(1 - miss, -miss)))


class MeanSquaredError(Loss):
    """``f(Z) = 1/2 sum_k pi_k |Z[:, k] - e_k|^2`` without bias (theory section 1)."""

    name = "mse"

    def value(self, logits: Array, pi: Array) -> float:
        """The risk f(Z)."""
        return 0.5 * float(pi @ ((logits - np.eye(len(pi))) ** 2).sum(axis=0))

    def gradient(self, logits: Array, pi: Array) -> Array:
        """``G[:, k] = pi_k (Z[:, k] - e_k)``."""
        return (logits - np.eye(len(pi))) * pi

    def dual_value(self, logits: Array, pi: Array, scale: float = 1.0) -> float:
        """``-sum_k [G_kk + |G_k|^2 / (2 pi_k)]`` at ``scale * G``."""
        residual = logits - np.eye(len(pi))
        return float(-scale * (pi @ np.diagonal(residual)) - 0.5 * scale**2 * (pi @ (residual**2).sum(axis=0)))


LOSSES: dict[str, Loss] = {loss.name: loss for loss in (CrossEntropy(), MeanSquaredError())}


def get_loss(loss: str | Loss) -> Loss:
    """Return the loss called ``loss``; raises ``ValueError`` for an unknown name."""
    if isinstance(loss, Loss):
        return loss
    return LOSSES[one_of("loss", loss, LOSSES)]
