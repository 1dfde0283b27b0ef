"""What the equilibrium layer does along directions that nothing uses yet: the gain that decides local stability."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["USED", "minority_gain"]

Array = NDArray[np.float64]

#: Singular values of trained features or logits below this fraction of the largest are those of unused directions.
USED = 1e-3


def minority_gain(equilibrium: Array, classifier: Array, means: Array, tolerance: float = USED) -> float:
    r"""Gain c of the equilibrium layer along directions that neither features nor classifier use yet.

    ``c = |P (I-A)^{-1} Q|_2`` with P the projector onto the complement of the features' span and Q that of the span of
    ``(I-A)^{-T} W^T``. At a collapsed state a perturbation ``dW = w p^T``, ``dH = q w^T`` (w in the standard
    representation of the minority, p in the range of P, q in that of Q) changes the objective by
    ``(lambda_W/2)|p|^2 + (lambda_H n_B/2)|q|^2 - pi_B p^T (I-A)^{-1} q`` to second order: down for some p, q iff
    ``n_B > N^2 lambda_W lambda_H / c^2``, the *local threshold*. For A = a I on those directions ``c = 1/(1-a)``.

    Args:
        equilibrium: A, shape (d, d).
        classifier: W, shape (K, d).
        means: class means of the equilibrium features, shape (d, K).
        tolerance: singular values below this fraction of the largest count as unused.

    Returns:
        c; 0.0 where every direction is used.

    >>> unused = np.diag([0.5, 0.0, 0.2])  # W and the means use the second direction alone
    >>> w, means = np.array([[0.0, 1.0, 0.0], [0.0, -1.0, 0.0]]), np.array([[0.0, 0.0], [1.0, -1.0], [0.0, 0.0]])
    >>> round(minority_gain(unused, w, means), 9)
    2.0
    """
    d = len(equilibrium)
    resolvent = np.linalg.inv(np.eye(d) - equilibrium)
    p = _complement(means, tolerance)
    q = _complement(resolvent.T @ classifier.T, tolerance)
    if not p.shape[1] or not q.shape[1]:
        return 0.0
    return float(np.linalg.norm(p.T @ resolvent @ q, 2))


def _complement(vectors: Array, tolerance: float) -> Array:
    """Orthonormal basis (d, d - rank) of the complement of the span of the columns of ``vectors`` (d, K)."""
    u, s, _ = np.linalg.svd(vectors)
    return u[:, int((s > tolerance * s[0]).sum()) :]
