r"""Symmetry reduction: logits invariant under permuting classes of equal counts (theory section 3).

Risk and gauges are invariant under permuting the classes of a group, so by convexity some optimum is too. With groups
a = 1..g of K_a classes, ``Z_ij = s_a [i=j] + t_ab`` for i in group a and j in group b. On the standard representation
of group a such a matrix acts as the scalar s_a, with multiplicity K_a - 1; on the span of the groups' indicator vectors
it acts as ``M_ab = s_a [a=b] + sqrt(K_a K_b) t_ab``. Hence

    |Z diag(omega)|_* = sum_a omega_a (K_a - 1) |s_a| + |M diag(omega)|_*,

and the same numbers of the gradient give its spectral norm. Size g + g^2, whatever K is.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ufm._linalg import svdvals
from ufm.geometry import group_scales
from ufm.labels import ClassPrior, check_dense

__all__ = ["ReducedLogits", "ReducedRisk"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class ReducedLogits:
    """Logits in reduced coordinates.

    Attributes:
        s: (g,) scale of every group's own standard representation; 0 for a group of one class.
        trivial: M, (g, g), the block on the groups' indicator vectors.

    >>> prior = ClassPrior([5, 5, 1])
    >>> z = np.diag([2.0, 4.0, 1.0])
    >>> reduced = ReducedLogits.mean(z, prior)
    >>> reduced.s.tolist(), np.abs(reduced.expand(prior)).round(6).tolist()
    ([3.0, 0.0], [[3.0, 0.0, 0.0], [0.0, 3.0, 0.0], [0.0, 0.0, 1.0]])
    >>> round(reduced.gauge(prior, np.ones(2)), 6)
    7.0
    """

    s: Array
    trivial: Array

    @classmethod
    def mean(cls, logits: Array, prior: ClassPrior) -> ReducedLogits:
        """The mean of logits (K, K) over all permutations of classes with equal counts."""
        scales = group_scales(logits, tuple(group.classes for group in prior.groups))
        index = [np.array(group.classes) for group in prior.groups]
        root = np.sqrt([len(classes) for classes in index])
        if len(index) == len(logits):  # no classes share a count
            means = logits[np.ix_(np.concatenate(index), np.concatenate(index))]
        else:
            means = np.array([[logits[np.ix_(rows, columns)].mean() for columns in index] for rows in index])
        return cls(np.array([s or 0.0 for s in scales]), means * np.outer(root, root))

    def expand(self, prior: ClassPrior) -> Array:
        """The (K, K) logits ``Z_ij = s_a [i=j] + t_ab``."""
        check_dense(prior.num_classes)
        size = np.array([group.size for group in prior.groups], dtype=float)
        t = (self.trivial - np.diag(self.s)) / np.sqrt(np.outer(size, size))
        index = prior.group_of_class
        z = t[np.ix_(index, index)].copy()
        z[np.diag_indices_from(z)] += self.s[index]
        return z

    def gauge(self, prior: ClassPrior, weights: Array) -> float:
        """``sum_a omega_a (K_a - 1) |s_a| + |M diag(omega)|_*`` for group weights ``weights`` (g,)."""
        size = np.array([group.size for group in prior.groups], dtype=float)
        return float(weights * (size - 1) @ np.abs(self.s) + svdvals(self.trivial * weights).sum())


class ReducedRisk:
    """Cross-entropy of reduced logits: value, gradient and Hessian.

    A column of group b has margin ``delta_bb = s_b`` over its K_b - 1 siblings and
    ``delta_ab = s_b + t_bb - t_ab`` over the K_a classes of group a, so ``loss_b = log(1 + sum_a m_ab e^{-delta_ab})``
    with ``m_ab = K_a - [a=b]``.

    >>> prior = ClassPrior([5, 5, 1])
    >>> risk, zero = ReducedRisk(prior), ReducedLogits(np.zeros(2), np.zeros((2, 2)))
    >>> round(risk.value(zero), 6), round(risk.entropy(zero), 6)  # log 3, both
    (1.098612, 1.098612)
    >>> d_s, d_m = risk.gradient(zero)
    >>> round(risk.dual_norm((d_s, d_m), np.ones(2)), 6), risk.hessians(zero).shape
    (0.454545, (2, 3, 3))
    """

    def __init__(self, prior: ClassPrior) -> None:
        size = np.array([group.size for group in prior.groups], dtype=float)
        self._set(size, size * np.array([group.count for group in prior.groups]) / prior.num_samples)

    @classmethod
    def of(cls, size: Array, mass: Array) -> ReducedRisk:
        """The risk of groups of ``size`` classes that hold the share ``mass`` of the samples each, shapes (g,).

        >>> float(ReducedRisk.of(np.array([2.0, 1.0]), np.array([0.8, 0.2])).mass.sum())
        1.0
        """
        risk = cls.__new__(cls)
        risk._set(size, mass)
        return risk

    def _set(self, size: Array, mass: Array) -> None:
        self.size, self.mass = size, mass
        self.root = np.sqrt(np.outer(self.size, self.size))
        self.multiplicity = self.size[:, None] - np.eye(len(self.size))

    def softmax(self, logits: ReducedLogits, log_unit: float = 0.0) -> tuple[Array, Array]:
        """``w_ab``, probability of the m_ab wrong classes of group a in a column of group b, and losses, in units.

        >>> zero = ReducedLogits(np.zeros(2), np.zeros((2, 2)))
        >>> ReducedRisk(ClassPrior([5, 5, 1])).softmax(zero)[0].round(3).tolist()
        [[0.333, 0.667], [0.333, 0.0]]
        """
        t = logits.trivial / self.root
        margins = logits.s * (1 - 1 / self.size) + np.diagonal(t) - t
        np.fill_diagonal(margins, logits.s)
        margins[self.multiplicity == 0] = np.inf  # a single class has no siblings
        top = np.maximum(-margins.min(axis=0), 0.0)
        terms = self.multiplicity * np.exp(-margins - top)
        total = terms.sum(axis=0)
        loss = np.where(top > 0, top + np.log(np.exp(-top) + total), np.log1p(total))
        if log_unit == 0.0:
            return terms / (np.exp(-top) + total), loss
        with np.errstate(over="ignore", invalid="ignore"):
            w = self.multiplicity * np.exp(-margins - loss - log_unit)
            # loss = -log(1 - miss), and miss keeps its digits where the loss itself underflows
            loss = np.where(loss < 1e-8, w.sum(axis=0), loss * np.exp(-log_unit))
        return w, loss

    def value(self, logits: ReducedLogits, log_unit: float = 0.0) -> float:
        """The risk, in units of ``e^log_unit``: relative to a tiny multiplier it does not underflow."""
        return float(self.mass @ self.softmax(logits, log_unit)[1])

    def entropy(self, logits: ReducedLogits, scale: float = 1.0) -> float:
        """``sum_k pi_k H(e_k + scale (p_k - e_k))``, the dual value ``-f*(scale grad f)``."""
        from scipy.special import entr, xlog1py, xlogy

        off = scale * self.softmax(logits)[0]
        miss = np.minimum(off.sum(axis=0), 1.0)
        own = -xlog1py(1 - miss, -miss)
        return float(self.mass @ (own + (entr(off) + xlogy(off, self.multiplicity)).sum(axis=0)))

    def gradient(self, logits: ReducedLogits, log_unit: float = 0.0) -> tuple[Array, Array]:
        """``(df/ds, df/dM)``, shapes (g,) and (g, g), in units of ``e^log_unit``."""
        return self.gradient_from(self.softmax(logits, log_unit)[0])

    def gradient_from(self, w: Array) -> tuple[Array, Array]:
        """``(df/ds, df/dM)`` from the probabilities w (g, g) that :meth:`softmax` gives, in their units.

        >>> risk, zero = ReducedRisk(ClassPrior([5, 5, 1])), ReducedLogits(np.zeros(2), np.zeros((2, 2)))
        >>> bool((risk.gradient_from(risk.softmax(zero)[0])[0] == risk.gradient(zero)[0]).all())
        True
        """
        siblings = np.diagonal(w)
        others = w.sum(axis=0) - siblings
        d_s = -self.mass * (siblings + (1 - 1 / self.size) * others)
        d_trivial = self.mass * w / self.root
        np.fill_diagonal(d_trivial, -self.mass * others / self.size)
        return d_s, d_trivial

    @cached_property
    def _maps(self) -> Array:
        """``d delta_ab / d y_b`` with ``y_b = (s_b, M[:, b])``, shape (g, g, g+1) indexed [b, a]."""
        g = len(self.size)
        maps = np.zeros((g, g, g + 1))
        for b in range(g):
            maps[b, :, 0] = 1 - 1 / self.size[b]
            maps[b, :, 1 + b] = 1 / self.size[b]
            maps[b, np.arange(g), 1 + np.arange(g)] -= 1 / self.root[:, b]
            maps[b, b, 0] = 1.0
        return maps

    def hessians(self, logits: ReducedLogits, log_unit: float = 0.0) -> Array:
        """Hessians in ``y_b = (s_b, M[:, b])``, shape (g, g+1, g+1), in units of ``e^log_unit``; columns do not mix."""
        w = self.softmax(logits)[0].T[:, :, None]
        scaled = self.softmax(logits, log_unit)[0].T[:, :, None]
        second = np.swapaxes(self._maps, 1, 2) @ (scaled * self._maps)
        mean = (w * self._maps).sum(axis=1, keepdims=True)
        scaled_mean = (scaled * self._maps).sum(axis=1, keepdims=True)
        return self.mass[:, None, None] * (second - np.swapaxes(scaled_mean, 1, 2) @ mean)

    def dual_norm(self, gradient: tuple[Array, Array], weights: Array) -> float:
        """``|grad f diag(1/omega)|_2`` from the reduced gradient: standard representations and trivial block."""
        d_s, d_trivial = gradient
        several = self.size > 1
        # d_s is the derivative at fixed M: K_a - 1 equal entries of the standard representation
        standard = np.abs(d_s[several]) / ((self.size[several] - 1) * weights[several])
        trivial = svdvals(d_trivial / weights)
        return float(max(trivial[0], standard.max(initial=0.0)))
