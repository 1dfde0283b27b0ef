r"""Mean squared error under a nuclear norm beside a bias that has a price: the root of an equation in the bias alone.

With ``A = T D^{1/2}``, ``q_j = sqrt(pi_j)``, ``beta = sqrt(N) b`` and the threshold ``theta = N lam``, N times the
objective is

    1/2 |Y + beta q^T - A|^2 + theta |Y|_* + (lambda_b/2) |beta|^2,

which for a given beta is least at ``Y = SVT_theta(X)``, ``X = A - beta q^T``. What is left, a function of beta, is
convex with the gradient ``lambda_b beta - C q``, C being X with its singular values s cut to ``h = min(s, theta)``. Its
root has no closed form, for the metric of a priced bias shares no singular vectors with A; Newton's method finds it in
some five decompositions. With ``X = U diag(s) V^T`` and ``y = V^T q`` the derivative of ``C q`` by X in the direction
``delta q^T`` is ``U M U^T delta``,

    M_ij = [i = j] (sum_k (a_ik + c_ik) y_k^2/2 + (h_i/s_i) (1 - |y|^2)) + (a_ij - c_ij) y_i y_j/2,
    a_ij = (h_i - h_j)/(s_i - s_j),    c_ij = (h_i + h_j)/(s_i + s_j),

(Daleckii and Krein; for rectangular matrices by their symmetric dilation). Rows and columns beyond the rank of
``[A, q]`` are left out before, by two QR decompositions. Source: theory section 7.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ufm._linalg import svd

__all__ = ["Shrunk", "shrunk_beside_bias"]

Array = NDArray[np.float64]

#: Newton steps, and their halvings: a convex function of a few kinks needs some five, and rarely one halving.
_MOST_STEPS, _MOST_HALVINGS = 100, 40
_ROUNDING = 1e-15


@dataclass(frozen=True)
class Shrunk:
    """The optimum: ``X = U diag(s) V^T``, what its singular values are cut to, beta, and how many steps it took.

    Attributes:
        u, s, vt: of X, (K, r), (r,) and (r, m).
        kept: ``h = min(s, theta)``; Y has the singular values ``s - h``.
        beta: ``sqrt(N) b``, (K,).
        pull: ``C q`` (K,), at the optimum ``lambda_b beta``.
        steps: decompositions.
    """

    u: Array
    s: Array
    vt: Array
    kept: Array
    beta: Array
    pull: Array
    steps: int


def shrunk_beside_bias(a: Array, q: Array, theta: float, decay: float) -> Shrunk:
    """Minimise ``|Y + beta q^T - A|^2/2 + theta |Y|_* + decay |beta|^2/2``, see the module's docstring.

    Args:
        a: A, shape (K, m).
        q: a unit vector (m,).
        theta: > 0.
        decay: > 0.

    >>> found = shrunk_beside_bias(np.eye(2), np.array([0.6, 0.8]), 0.1, 0.5)
    >>> y = (found.u * (found.s - found.kept)) @ found.vt
    >>> left = y + np.outer(found.beta, [0.6, 0.8]) - np.eye(2)
    >>> bool(np.abs(left @ [0.6, 0.8] + 0.5 * found.beta).max() < 1e-15)  # stationary in beta
    True
    """
    rows, a_small = _row_basis(np.vstack([a, q]))
    q_small, a_small = a_small[-1], a_small[:-1]
    left, a_small = np.linalg.qr(a_small)  # beta lies in the columns' span, as A does
    size = max(float(np.abs(a_small).max(initial=0.0)), theta)
    beta = a_small @ q_small / (1 + decay)
    point = _Point(a_small, q_small, theta, decay, beta)
    steps = 1
    for _ in range(_MOST_STEPS):
        step = point.newton_step()
        slope = float(step @ point.gradient)
        length, moved = 1.0, False
        for _ in range(_MOST_HALVINGS):
            new = _Point(a_small, q_small, theta, decay, beta + length * step)
            steps += 1
            # beside rounding of the values the gradient itself tells
            moved = new.value <= point.value + 1e-4 * length * slope or new.size < 0.5 * point.size
            if moved:
                break
            length /= 2
        if not moved:
            break
        point, beta = new, new.beta
        if point.size <= _ROUNDING * size:
            break
    return Shrunk(left @ point.u, point.s, point.vt @ rows.T, point.kept, left @ point.beta, left @ point.pull, steps)


def _row_basis(matrix: Array) -> tuple[Array, Array]:
    """Orthonormal columns (m, r) whose span has the rows of ``matrix`` (n, m), and the rows in it (n, r)."""
    basis, triangle = np.linalg.qr(matrix.T)
    return basis, triangle.T


class _Point:
    """Value, gradient and second derivative at one beta."""

    def __init__(self, a: Array, q: Array, theta: float, decay: float, beta: Array) -> None:
        self.beta, self._decay = beta, decay
        self.u, self.s, self.vt = svd(a - np.outer(beta, q), full_matrices=False)
        self.kept = np.minimum(self.s, theta)
        self._y = self.vt @ q
        self.pull = self.u @ (self.kept * self._y)
        self.gradient = decay * beta - self.pull
        self.size = float(np.abs(self.gradient).max(initial=0.0))
        left = self.kept @ self.kept / 2 + theta * float((self.s - self.kept).sum())
        self.value = float(left + decay * (beta @ beta) / 2)

    def newton_step(self) -> Array:
        s, h, y = self.s, self.kept, self._y
        cut = (s > h).astype(float)
        apart = s[:, None] - s
        tied = np.abs(apart) <= 1e-12 * (s[:, None] + s)
        slopes = np.where(tied, 1 - np.maximum(cut[:, None], cut), (h[:, None] - h) / np.where(tied, 1.0, apart))
        total = s[:, None] + s
        sums = np.where(total > 0, (h[:, None] + h) / np.where(total > 0, total, 1.0), 1.0)
        share = np.where(s > 0, h / np.where(s > 0, s, 1.0), 1.0)
        beyond = max(0.0, 1 - float(y @ y))  # of q, which is a unit vector
        matrix = (slopes - sums) * np.outer(y, y) / 2
        matrix[np.diag_indices(len(s))] += (slopes + sums) @ y**2 / 2 + share * beyond + self._decay
        # beta lies in the span of U's columns, which is all of the reduced space
        return np.asarray(-self.u @ np.linalg.solve(matrix, self.u.T @ self.gradient), dtype=float)
