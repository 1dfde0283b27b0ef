"""Ball arithmetic behind :func:`ufm.landscape.certify_trapped`."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ufm._extras import optional
from ufm.certificates import CertificationError
from ufm.landscape.trapped_minima import TrappedMinimum

with optional("certify"):
    from flint import arb, arb_mat

    from proofs_check import precision as working

__all__ = ["prove_trapped"]

Array = NDArray[np.float64]


def prove_trapped(minimum: TrappedMinimum, width: float, precision: int) -> dict[str, float]:
    """Prove in ball arithmetic that a spurious local minimum lies within ``width`` of the data.

    This is :func:`ufm.landscape.certify_trapped`, which says what is shown, with its arguments checked there.

    Args:
        minimum: the data.
        width: largest ``|y|_2`` of the box, > 0.
        precision: bits of the balls.

    Returns:
        The rigorous numbers: ``curvature``, ``gradient``, and bounds ``dual_norm_lower``, ``dual_norm_upper``.

    Raises:
        CertificationError: the data are not finite, or one of the three parts could not be shown.

    >>> minimum = TrappedMinimum((1.0,) * 4, 0.04, 0.5, np.ones((4, 2)), np.ones((4, 2)))  # no critical point
    >>> prove_trapped(minimum, 1e-9, 128)
    Traceback (most recent call last):
        ...
    ufm...CertificationError: no critical point certain: ...
    """
    if not (np.isfinite(minimum.left).all() and np.isfinite(minimum.right).all()):
        raise CertificationError("the data carry no proof: they are not finite")
    try:
        with working.precision(precision):
            return _Proof(minimum, width).numbers()
    except (ValueError, np.linalg.LinAlgError) as error:  # numbers so large that no rounded inverse is left of them
        raise CertificationError(f"the data carry no proof: {error}") from None


def _exact(matrix: NDArray[np.floating[Any]]) -> arb_mat:
    return arb_mat([[arb(float(x)) for x in row] for row in np.atleast_2d(matrix)])


def _middle(matrix: arb_mat) -> Array:
    return np.array([[float(matrix[i, j].mid()) for j in range(matrix.ncols())] for i in range(matrix.nrows())])


def smallest_eigenvalue(matrix: arb_mat) -> arb:
    """A lower bound of the smallest eigenvalue of a symmetric matrix of balls, by Gershgorin in a nearby eigenbasis.

    With V the eigenvectors of the midpoint, ``V^T M V >= c I`` gives ``M >= c/|V|^2`` for c >= 0, and
    ``|V|^2 <= |V^T V|_inf``.
    """
    middle = _middle(matrix)
    v = _exact(np.linalg.eigh((middle + middle.T) / 2)[1])
    rotated, gram = v.transpose() * matrix * v, v.transpose() * v
    n = rotated.nrows()
    # arb.min and arb.max keep a NaN, which then proves nothing; comparisons would pass it over
    bound = functools.reduce(
        arb.min, (rotated[i, i] - sum((abs(rotated[i, j]) for j in range(n) if j != i), arb(0)) for i in range(n))
    )
    norm = functools.reduce(arb.max, (sum((abs(gram[i, j]) for j in range(n)), arb(0)) for i in range(n)))
    if not v.det() != 0:
        raise CertificationError("the eigenvectors of the midpoint are not certainly a basis")
    return (bound / norm).lower()


class _Proof:
    """Balls of everything on the box around the data."""

    def __init__(self, minimum: TrappedMinimum, width: float) -> None:
        from scipy.linalg import null_space

        self.minimum = minimum
        self.k, self.r = minimum.left.shape
        self.size = 2 * self.k * self.r
        self.width = arb(width)
        self.lam = arb(minimum.lam)
        self.strength = (1 - arb(minimum.rho)) * self.lam
        counts = [arb(n) for n in minimum.counts]
        total = sum(counts, arb(0))
        self.pi = [n / total for n in counts]
        self.root = [n.sqrt() for n in counts]
        self.x_0 = np.concatenate([minimum.left.ravel(), minimum.right.ravel()])
        self.tangent = self._tangent(self.x_0)
        self.normal = null_space(self.tangent.T) if self.tangent.shape[1] else np.eye(self.size)

    def _skew(self) -> list[tuple[int, int]]:
        return [(i, j) for i in range(self.r) for j in range(i)]

    def _tangent(self, x: Array) -> Array:
        """Columns ``x S`` for the elementary skew S."""
        p, q = x.reshape(2, self.k, self.r)
        columns = []
        for i, j in self._skew():
            s = np.zeros((self.r, self.r))
            s[i, j], s[j, i] = 1.0, -1.0
            columns.append(np.concatenate([(p @ s).ravel(), (q @ s).ravel()]))
        return np.array(columns).T if columns else np.zeros((self.size, 0))

    def _factors(self, radius: arb) -> tuple[arb_mat, arb_mat]:
        """P and Q as balls of the given radius about the data."""
        interval = arb(0, 1) * radius
        p, q = self.x_0.reshape(2, self.k, self.r)
        return tuple(  # type: ignore[return-value]
            arb_mat([[arb(float(v)) + interval for v in row] for row in matrix]) for matrix in (p, q)
        )

    def _softmax(self, p: arb_mat, q: arb_mat) -> list[list[arb]]:
        """Columns of probabilities."""
        y = p * q.transpose()
        columns = []
        for c in range(self.k):
            logits = [y[i, c] / self.root[c] for i in range(self.k)]
            e = [(z - logits[c].mid()).exp() for z in logits]
            total = sum(e, arb(0))
            columns.append([v / total for v in e])
        return columns

    def _weighted_gradient(self, columns: list[list[arb]]) -> arb_mat:
        """``G D^{-1/2}``."""
        return arb_mat(
            [
                [self.pi[c] / self.root[c] * (columns[c][i] - (1 if i == c else 0)) for c in range(self.k)]
                for i in range(self.k)
            ]
        )

    def _gradient(self, p: arb_mat, q: arb_mat) -> list[arb]:
        g = self._weighted_gradient(self._softmax(p, q))
        left, right = g * q + p * self.strength, g.transpose() * p + q * self.strength
        return [m[i, j] for m in (left, right) for i in range(self.k) for j in range(self.r)]

    def _hessian(self, p: arb_mat, q: arb_mat) -> arb_mat:
        """``J^T S J`` + cross terms + strength: the Hessian in (P, Q), row by row."""
        k, r, n = self.k, self.r, self.size
        columns = self._softmax(p, q)
        g = self._weighted_gradient(columns)
        hessian = arb_mat(n, n)
        for c in range(k):
            # dz_c = (dP q_c + P dq_c)/sqrt(n_c): k rows, over the k r entries of P and the r of row c of Q
            places = [*range(k * r), *(k * r + c * r + b for b in range(r))]
            jacobian = arb_mat(k, len(places))
            for i in range(k):
                for b in range(r):
                    jacobian[i, i * r + b] = q[c, b] / self.root[c]
                    jacobian[i, k * r + b] = p[i, b] / self.root[c]
            prob = columns[c]
            curvature = arb_mat(
                [[self.pi[c] * ((prob[i] if i == j else 0) - prob[i] * prob[j]) for j in range(k)] for i in range(k)]
            )
            block = jacobian.transpose() * curvature * jacobian
            for a, row in enumerate(places):
                for b, column in enumerate(places):
                    hessian[row, column] += block[a, b]
        for i in range(k):
            for c in range(k):
                for b in range(r):
                    hessian[i * r + b, k * r + c * r + b] += g[i, c]
                    hessian[k * r + c * r + b, i * r + b] += g[i, c]
        for i in range(n):
            hessian[i, i] += self.strength
        return hessian

    def numbers(self) -> dict[str, float]:
        """The three parts of the proof."""
        normal = _exact(self.normal)
        # |N y|_inf <= |y|_2 max_i |N_i|_2
        rows = [sum((normal[i, j] ** 2 for j in range(normal.ncols())), arb(0)).sqrt() for i in range(self.size)]
        radius = (self.width * functools.reduce(arb.max, rows)).upper()
        box = self._factors(radius)
        curvature = smallest_eigenvalue(normal.transpose() * self._hessian(*box) * normal)
        start = normal.transpose() * arb_mat([[v] for v in self._gradient(*self._factors(arb(0)))])
        gradient = sum((start[i, 0] * start[i, 0] for i in range(start.nrows())), arb(0)).sqrt().upper()
        if not (curvature > 0 and gradient < curvature * self.width):
            raise CertificationError(
                f"no critical point certain: curvature {float(curvature):.2e}, gradient {float(gradient):.2e}"
            )
        self._transversal(box)
        g = self._weighted_gradient(self._softmax(*box))
        u, _, vt = np.linalg.svd(_middle(g))
        left, right = _exact(u[:, :1]), _exact(vt[:1].T)
        size = ((left.transpose() * left)[0, 0] * (right.transpose() * right)[0, 0]).sqrt()
        lower = (abs((left.transpose() * g * right)[0, 0]) / size).lower()
        # |G D^{-1/2}|_2 <= c iff c^2 - (G D^{-1/2})(G D^{-1/2})^T is positive semidefinite
        gram = g * g.transpose()
        upper = (float(lower) * (1 + 1e-6)) if float(lower) > 0 else 0.0
        rest = arb_mat(self.k, self.k)
        for i in range(self.k):
            for j in range(self.k):
                rest[i, j] = (arb(upper) ** 2 if i == j else 0) - gram[i, j]
        if not smallest_eigenvalue(rest) > 0:
            raise CertificationError("no upper bound of the gradient's spectral norm")
        if not (self.strength < lower and arb(upper) < self.lam):
            raise CertificationError(
                f"|G D^(-1/2)|_2 in [{float(lower):.8g}, {upper:.8g}] is not certain to lie between (1-rho) lam and lam"
            )
        return {
            "curvature": float(curvature),
            "gradient": float(gradient),
            "dual_norm_lower": float(lower),
            "dual_norm_upper": upper,
        }

    def _transversal(self, box: tuple[arb_mat, arb_mat]) -> None:
        """The slice and the orbit's tangent span everything at every point of the box."""
        if not self.tangent.shape[1]:
            return
        columns = []
        for i, j in self._skew():
            s = arb_mat(self.r, self.r)
            s[i, j], s[j, i] = arb(1), arb(-1)
            columns.append([m[a, b] for m in (box[0] * s, box[1] * s) for a in range(self.k) for b in range(self.r)])
        whole = arb_mat(
            [[*(arb(float(v)) for v in self.normal[i]), *(c[i] for c in columns)] for i in range(self.size)]
        )
        try:
            regular = whole.det() != 0
        except (ValueError, ZeroDivisionError):
            regular = False
        if not regular:
            # precondition: close to the identity is regular
            inverse = _exact(np.linalg.inv(_middle(whole)))
            product = inverse * whole
            for i in range(self.size):
                off = sum((abs(product[i, j]) for j in range(self.size) if j != i), arb(0))
                if not abs(product[i, i]) > off:
                    raise CertificationError("the orbit is not certainly transversal to the slice")
