"""The linear classifier on top of a network, and what of it several measures ask for."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from ufm.geometry.arrangement import Arrangement
from ufm.measures._input import Array, IntArray
from ufm.measures.duality import scaled_logits

__all__ = ["Head", "decided_near"]

#: Relative round-off of a logit is below this many times d; of a squared difference of two rows below the other.
UNIT, ROUND_OFF = 4e-16, 1e-12


class Head:
    """W and b, checked.

    Args:
        weight: W, shape (K, d).
        bias: b, shape (K,).

    >>> head = Head(np.array([[2.0, 0.0], [0.0, 1.0]]), np.zeros(2))
    >>> head.rows.lengths, head.logits(Arrangement([[1.0, -1.0], [0.0, 4.0]]), np.zeros(2))
    (array([1. , 0.5]), array([[ 2., -2.],
           [ 0.,  4.]]))
    """

    def __init__(self, weight: Array, bias: Array) -> None:
        self.weight, self.bias = weight, bias
        self._product: tuple[Arrangement, Array, float] | None = None

    @cached_property
    def rows(self) -> Arrangement:
        """Lengths and angles of the rows of W."""
        return Arrangement(self.weight.T)

    def product(self, means: Arrangement) -> tuple[Array, float]:
        """``W M`` over a scale, and the scale; see :func:`~ufm.measures.duality.scaled_logits`."""
        if self._product is None or self._product[0] is not means:
            self._product = means, *scaled_logits(self.weight, means.vectors)
        return self._product[1:]

    def logits(self, means: Arrangement, centre: Array) -> Array:
        """``W (M + c 1^T)``, shape (K, K), of class means that have c (d,) taken off; without the bias."""
        product, scale = self.product(means)
        return product * scale + (self.weight @ centre)[:, None]


def decided_near(head: Head, means: Arrangement, centre: Array) -> tuple[IntArray, Array]:
    """What the classifier decides at every class mean, (K,), and how far about the mean it decides nothing else, (K,).

    The boundary between classes k and j is ``(z_k - z_j) / |w_k - w_j|`` from a point with logits z; zero stands where
    round-off leaves a doubt.

    >>> decided_near(Head(np.array([[3.0], [-1.0]]), np.zeros(2)), Arrangement([[1.0, -1.0]]), np.zeros(1))
    (array([0, 1]), array([1., 1.]))
    """
    logits = head.logits(means, centre) + head.bias[:, None]
    found: IntArray = logits.argmax(axis=0)
    columns = np.arange(len(found))
    size = head.rows.longest * (means.longest + float(np.linalg.norm(centre))) + float(np.abs(head.bias).max())
    margins = logits[found, columns] - logits - (len(centre) + 8) * UNIT * size
    squares = head.rows.lengths**2
    sums = squares[:, None] + squares
    apart = head.rows.longest * np.sqrt(np.maximum(0.0, sums - 2 * head.rows.gram) + ROUND_OFF * sums)
    with np.errstate(divide="ignore", invalid="ignore"):
        radii = np.where(margins > 0, margins / apart.T[:, found], 0.0)
    radii[found, columns] = np.inf
    return found, (1 - 1e-9) * radii.min(axis=0)
