r"""Symmetry reduction: logits invariant under permuting classes of equal counts (theory section 3).

Risk and gauges are invariant under permuting the classes of a group, so by convexity some optimum is too. With groups
a = 1..g of K_a classes, ``Z_ij = s_a [i=j] + t_ab`` for i in group a and j in group b. On the standard representation
of group a such a matrix acts as the scalar s_a, with multiplicity K_a - 1; on the span of the groups' indicator vectors
it acts as ``M_ab = s_a [a=b] + sqrt(K_a K_b) t_ab``. Hence

    |Z diag(omega)|_* = sum_a omega_a (K_a - 1) |s_a| + |M diag(omega)|_*,

and the same numbers of the gradient give its spectral norm. Size g + g^2, whatever K is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ufm.priors import ClassPrior

__all__ = ["ReducedLogits", "ReducedRisk"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class ReducedLogits:
    """Logits in reduced coordinates.

    Attributes:
        s: (g,) scale of every group's own standard representation; 0 for a group of one class.
        trivial: M, (g, g), the block on the groups' indicator vectors.
    """

    s: Array
    trivial: Array

    def expand(self, prior: ClassPrior) -> Array:
        """The (K, K) logits ``Z_ij = s_a [i=j] + t_ab``."""
        size = np.array([group.size for group in prior.groups], dtype=float)
        t = (self.trivial - np.diag(self.s)) / np.sqrt(np.outer(size, size))
        index = prior.group_of_class
        z = t[np.ix_(index, index)].copy()
        z[np.diag_indices_from(z)] += self.s[index]
        return z

    def gauge(self, prior: ClassPrior, weights: Array) -> float:
        """``sum_a omega_a (K_a - 1) |s_a| + |M diag(omega)|_*`` for group weights ``weights`` (g,)."""
        size = np.array([group.size for group in prior.groups], dtype=float)
        return float(weights * (size - 1) @ np.abs(self.s) + np.linalg.norm(self.trivial * weights, "nuc"))


class ReducedRisk:
    """Cross-entropy of reduced logits: value, gradient and Hessian column by column.

    A column of group b has ``delta_bb = s_b`` against its K_b - 1 siblings and
    ``delta_ab = s_b + t_bb - t_ab`` against the K_a classes of group a, so ``loss_b = log(1 + sum_j m_j e^{-delta_j})``
    with delta linear in ``y_b = (s_b, M[:, b])``.
    """

    def __init__(self, prior: ClassPrior) -> None:
        self.prior = prior
        self.size = np.array([group.size for group in prior.groups], dtype=float)
        self.mass = self.size * np.array([group.count for group in prior.groups]) / prior.num_samples
        g = len(self.size)
        self._maps: list[Array] = []
        self._multiplicity: list[Array] = []
        for b in range(g):
            map_b = np.zeros((g, g + 1))
            map_b[:, 0] = 1 - 1 / self.size[b]
            map_b[:, 1 + b] = 1 / self.size[b]
            map_b[np.arange(g), 1 + np.arange(g)] -= 1 / np.sqrt(self.size * self.size[b])
            map_b[b] = 0.0
            map_b[b, 0] = 1.0
            multiplicity = self.size.copy()
            multiplicity[b] -= 1
            if multiplicity[b] == 0:  # a single class has no siblings
                keep = np.arange(g) != b
                map_b, multiplicity = map_b[keep], multiplicity[keep]
            self._maps.append(map_b)
            self._multiplicity.append(multiplicity)

    def _columns(self, logits: ReducedLogits) -> Iterator[tuple[int, Array, Array, float]]:
        for b, (map_b, multiplicity) in enumerate(zip(self._maps, self._multiplicity, strict=True)):
            delta = map_b @ np.concatenate(([logits.s[b]], logits.trivial[:, b]))
            top = max(0.0, float((-delta).max()))
            terms = multiplicity * np.exp(-delta - top)
            total = terms.sum()
            loss = np.log1p(total) if top == 0.0 else top + np.log(np.exp(-top) + total)
            yield b, terms / (np.exp(-top) + total), multiplicity, float(loss)

    def value(self, logits: ReducedLogits) -> float:
        """The risk."""
        return float(sum(self.mass[b] * loss for b, _, _, loss in self._columns(logits)))

    def entropy(self, logits: ReducedLogits, scale: float = 1.0) -> float:
        """``sum_k pi_k H(e_k + scale (p_k - e_k))``, the dual value ``-f*(scale grad f)``."""
        total = 0.0
        for b, w, multiplicity, _ in self._columns(logits):
            off = scale * w[w > 0]
            miss = min(off.sum(), 1 - 1e-300)
            own = -(1 - miss) * np.log1p(-miss)
            total += self.mass[b] * (own - off @ np.log(off / multiplicity[w > 0]))
        return float(total)

    def gradient(self, logits: ReducedLogits) -> tuple[Array, Array]:
        """``(df/ds, df/dM)``, shapes (g,) and (g, g)."""
        g = len(self.size)
        d_s, d_trivial = np.zeros(g), np.zeros((g, g))
        for b, w, _, _ in self._columns(logits):
            column = -self.mass[b] * (w @ self._maps[b])
            d_s[b], d_trivial[:, b] = column[0], column[1:]
        return d_s, d_trivial

    def hessians(self, logits: ReducedLogits) -> list[Array]:
        """Hessian in ``y_b = (s_b, M[:, b])`` for every group b, each (g+1, g+1); distinct b do not interact."""
        return [
            self.mass[b] * (self._maps[b].T @ ((w[:, None] * self._maps[b]) - np.outer(w, w @ self._maps[b])))
            for b, w, _, _ in self._columns(logits)
        ]

    def dual_norm(self, gradient: tuple[Array, Array], weights: Array) -> float:
        """``|grad f diag(1/omega)|_2`` from the reduced gradient: standard representations and trivial block."""
        d_s, d_trivial = gradient
        several = self.size > 1
        # d_s is the derivative at fixed M: K_a - 1 equal entries of the standard representation
        standard = np.abs(d_s[several]) / ((self.size[several] - 1) * weights[several])
        return float(max(np.linalg.norm(d_trivial / weights, 2), standard.max(initial=0.0)))
