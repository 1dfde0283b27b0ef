"""The span of centred class means: their singular values, and what inverts ``S_B`` on it."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from ufm.geometry import centred
from ufm.geometry.arrangement import Arrangement
from ufm.measures._input import Array

__all__ = ["PINV_TOLERANCE", "Span", "span_of_means"]

#: Singular values of M below this fraction of the largest count as zero in pinv(S_B).
PINV_TOLERANCE = 1e-7

#: Up to this condition number of M^T M, off its null vector, the Gram matrix stands in for M: it loses as many digits.
LARGEST_CONDITION = 1e3


class Span:
    """The span of vectors with a known null vector, ``M v = 0``: class means less their mean.

    Where ``M^T M`` is well conditioned apart from v, all comes from that (K, K) matrix; elsewhere from the singular
    value decomposition of M.

    Args:
        arrangement: of M, shape (d, K); there is nothing to ask where all is zero.
        null: v, shape (K,), not zero: ones for means less their unweighted mean, counts for a weighted one.
        centre: what has been taken off the vectors, shape (d,); zero by default.

    >>> span = Span(Arrangement([[2.0, -2.0], [0.0, 0.0]]), np.ones(2))
    >>> span.scale, span.singular_values.round(6), span.inverse_factor.round(6)[0]
    (2.0, array([1.414214]), array([ 0.5, -0.5]))
    """

    def __init__(self, arrangement: Arrangement, null: Array, centre: Array | None = None) -> None:
        self.arrangement = arrangement
        self.centre: Array = np.zeros(len(arrangement.vectors)) if centre is None else centre
        self._null = null / np.linalg.norm(null)

    @property
    def scale(self) -> float:
        """The length that everything here is relative to: that of the longest vector."""
        return self.arrangement.longest

    @cached_property
    def singular_values(self) -> Array:
        """Those of M over :attr:`scale`, the one along v left out where it is known to be zero."""
        return self._decomposition[1] if self._spectrum is None else np.sqrt(self._spectrum)

    @cached_property
    def inverse_factor(self) -> Array:
        """P, shape (d, r), with ``P P^T = pinv(M M^T)`` times the square of :attr:`scale`."""
        if self._spectrum is not None:
            # M pinv(M^T M), for which any multiple of v v^T may be added to M^T M, since M v = 0.
            return np.asarray(self._matrix @ np.linalg.inv(self._lifted), dtype=np.float64)
        u, s = self._decomposition
        keep = s > PINV_TOLERANCE * s[0]
        return u[:, keep] / s[keep]

    @cached_property
    def _matrix(self) -> Array:
        return self.arrangement.vectors / self.scale

    @cached_property
    def _lift(self) -> float:
        """The mean of the K - 1 other eigenvalues, which v is given."""
        return float(np.trace(self.arrangement.gram)) / (len(self._null) - 1)

    @cached_property
    def _lifted(self) -> Array:
        return self.arrangement.gram + self._lift * np.outer(self._null, self._null)

    @cached_property
    def _spectrum(self) -> Array | None:
        """Eigenvalues of ``M^T M`` apart from v's; None where there are more than d, or they differ too much."""
        if len(self._null) - 1 > len(self.arrangement.vectors):
            return None
        values = np.linalg.eigvalsh(self._lifted)
        if not values[0] * LARGEST_CONDITION > values[-1]:
            return None
        return np.delete(values, np.abs(values - self._lift).argmin())

    @cached_property
    def _decomposition(self) -> tuple[Array, Array]:
        u, s, _ = np.linalg.svd(self._matrix, full_matrices=False)
        return u, s


def span_of_means(means: Array) -> Span:
    """The span of class means (d, K) less their unweighted mean.

    >>> span_of_means(np.array([[3.0, 1.0]])).arrangement.vectors
    array([[ 1., -1.]])
    """
    return Span(Arrangement(centred(means)), np.ones(means.shape[1]), means.mean(axis=1))
