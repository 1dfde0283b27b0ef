"""Cross-entropy with any targets, label smoothing, weights of the columns, and scales and shifts of the logits."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ufm._validation import positives, real, reals
from ufm.losses.base import Array, ClosedForm, Loss, as_columns

__all__ = ["CrossEntropy"]


@dataclass(frozen=True, repr=False)
class CrossEntropy(Loss):
    """``l(z; t) = w [S logsumexp(Delta z + iota) - <t, Delta z + iota>]`` with ``S = sum_i t_i`` (theory section 7).

    With a smoothing a the target t of sum S becomes ``(1 - a) t + (a S / K) 1``. Scales Delta > 0 and shifts iota are
    the vector scaling of Kini et al. 2021: LDAM and logit adjustment are shifts, class-dependent temperatures scales.

    One-hot columns are computed as ``log1p(sum_{j != k} exp(z_j - z_k))``, so that a tiny loss keeps its relative
    accuracy; a column with mass on several classes has the entropy of its target as its infimum.

    Args:
        smoothing: a in [0, 1).
        weights: w, one positive number a column; None for ones.
        scales: Delta, one positive number a class; None for ones.
        shifts: iota, one number a class; None for zeros.

    Raises:
        TypeError, ValueError: an argument out of its range.

    >>> CrossEntropy().value(np.zeros((2, 2)), np.array([0.5, 0.5])).__format__(".6f")
    '0.693147'
    >>> CrossEntropy(smoothing=0.1)
    CrossEntropy(smoothing=0.1)
    """

    smoothing: float = 0.0
    weights: tuple[float, ...] | None = None
    scales: tuple[float, ...] | None = None
    shifts: tuple[float, ...] | None = None

    is_convex = True
    #: A sum of probabilities this small has no accurate bound: only a relative gap counts as closed.
    floor = 0.0

    def __post_init__(self) -> None:
        a = real("smoothing", self.smoothing)
        if not 0 <= a < 1:
            raise ValueError(f"smoothing must lie in [0, 1), got {self.smoothing!r}")
        object.__setattr__(self, "smoothing", a)
        for name, check in (("weights", positives), ("scales", positives), ("shifts", reals)):
            given = getattr(self, name)
            object.__setattr__(self, name, None if given is None else check(name, given))

    def __repr__(self) -> str:
        given = {name: getattr(self, name) for name in ("smoothing", "weights", "scales", "shifts")}
        return f"CrossEntropy({', '.join(f'{name}={value!r}' for name, value in given.items() if value)})"

    @property
    def name(self) -> str:
        """``"ce"`` where nothing is added to plain cross-entropy, else as it is built."""
        return "ce" if self._is_plain else repr(self)

    @property
    def _is_plain(self) -> bool:
        return not self.smoothing and self.weights is None and self.scales is None and self.shifts is None

    @property
    def closed_form(self) -> ClosedForm | None:  # type: ignore[override]
        """The formulas of cross-entropy, for this very class without further parameters."""
        return ClosedForm.CROSS_ENTROPY if type(self) is CrossEntropy and self._is_plain else None

    def constant_direction(self, num_classes: int) -> Array | None:
        """``Delta^{-1} 1``: softmax does not see a shift of all logits."""
        return np.ones(num_classes) / self._scales(num_classes)

    # -- the loss -----------------------------------------------------------------------------------------------------

    def values(self, logits: Array, targets: Array) -> Array:
        """``w [S logsumexp(x) - <t, x>]`` with ``x = Delta z + iota``, shape (m,)."""
        x, t = self._prepared(logits, targets)
        own = _own_class(t)
        if own is None:
            top = x.max(axis=0)
            e = np.exp(x - top)
            total = e.sum(axis=0)
            return self._weighted((t * (top + np.log(total) - x)).sum(axis=0))
        columns = np.arange(x.shape[1])
        margins = x - x[own, columns]
        margins[own, columns] = -np.inf
        top = np.maximum(margins.max(axis=0), 0.0)
        rest = np.exp(margins - top).sum(axis=0)
        found = np.where(top > 0, top + np.log(np.exp(-top) + rest), np.log1p(rest))
        return self._weighted(t[own, columns] * found)

    def gradients(self, logits: Array, targets: Array) -> Array:
        """``w Delta (S p - t)`` with p = softmax(x), shape (K, m)."""
        x, t = self._prepared(logits, targets)
        own = _own_class(t)
        mass = t.sum(axis=0)
        p, miss = _softmax(x, own)
        if own is None:
            g = mass * p - t
        else:
            columns = np.arange(x.shape[1])
            p[own, columns] = -miss
            g = mass * p
        return self._weighted(g * self._column_scales(len(x)))

    def values_and_gradients(self, logits: Array, targets: Array) -> tuple[Array, Array]:
        """Both from one softmax, shapes (m,) and (K, m)."""
        x, t = self._prepared(logits, targets)
        if _own_class(t) is not None:
            return self.values(logits, targets), self.gradients(logits, targets)
        mass = t.sum(axis=0)
        x = x - x.max(axis=0)
        p = np.exp(x)
        total = p.sum(axis=0)
        values = mass * np.log(total) - np.einsum("kj,kj->j", t, x)  # no x is positive: both are sums of one sign
        p *= mass / total
        p -= t
        return self._weighted(values), self._weighted(p * self._column_scales(len(x)))

    def on_columns(self, columns: slice, num_columns: int) -> CrossEntropy:
        """With the weights of these columns alone."""
        if self.weights is None:
            return self
        self._weighted(np.zeros(num_columns))  # refuses weights of another number
        return replace(self, weights=self.weights[columns])

    def curvatures(self, logits: Array, targets: Array, directions: Array) -> Array:
        """``w S Delta (diag p - p p^T) Delta d``, in margins to keep a small p's relative accuracy."""
        x, t = self._prepared(logits, targets)
        own = _own_class(t)
        scales = self._column_scales(len(x))
        p, _ = _softmax(x, own)
        d = scales * directions
        if own is None:  # in place: conjugate gradients ask for hundreds of these
            out = d - np.einsum("ij,ij->j", p, d)
            out *= p
            out *= self._weighted(t.sum(axis=0))
            return np.asarray(scales * out, dtype=float)
        columns = np.arange(x.shape[1])
        p[own, columns] = 0.0
        margins = d - d[own, columns]
        out = p * (margins - (p * margins).sum(axis=0))
        out[own, columns] = 0.0
        out[own, columns] = -out.sum(axis=0)
        return self._weighted(t.sum(axis=0) * scales * out)

    def curvature_sums(self, logits: Array, targets: Array, pi: Array) -> Array | None:
        """``Delta sum_j c_j (diag p_j - p_j p_j^T) Delta``, ``c_j = pi_j w_j S_j``; None for one-hot columns.

        Rows sum to 0 before Delta, which gives the diagonal without cancellation.
        """
        x, t = self._prepared(logits, targets)
        if _own_class(t) is not None:
            return None
        p, _ = _softmax(x, None)
        out = -(p * self._weighted(pi * t.sum(axis=0))) @ p.T
        np.fill_diagonal(out, 0.0)
        np.fill_diagonal(out, -out.sum(axis=1))
        scales = np.ones(len(x)) if self.scales is None else self._scales(len(x))
        return np.asarray(scales[:, None] * out * scales, dtype=float)

    def curvature_diagonals(self, logits: Array, targets: Array) -> Array:
        """``w S Delta^2 p (1 - p)``."""
        x, t = self._prepared(logits, targets)
        own = _own_class(t)
        p, miss = _softmax(x, own)
        out = p * (1 - p)
        if own is not None:
            columns = np.arange(x.shape[1])
            out[own, columns] = miss * (1 - miss)
        return self._weighted(t.sum(axis=0) * self._column_scales(len(x)) ** 2 * out)

    def curvature_forms(self, logits: Array, targets: Array, vectors: Array) -> Array:
        """``w S [u^T diag(p) u - (u^T p)^2]`` with ``u = Delta u_a``, in margins where a column has its own class."""
        x, t = self._prepared(logits, targets)
        own = _own_class(t)
        u = (self._column_scales(len(x)) * vectors).T
        p, miss = _softmax(x, own)
        if own is None:
            second, mean = u**2 @ p, u @ p
        else:
            p[own, np.arange(x.shape[1])] = 0.0
            ours = u[:, own]
            mean = u @ p - ours * miss
            second = u**2 @ p - 2 * ours * (u @ p) + ours**2 * miss
        return self._weighted(t.sum(axis=0) * np.maximum(second - mean**2, 0.0))

    def dual_values(self, logits: Array, targets: Array, scale: float = 1.0) -> Array | None:
        """``w [S H(q) + <iota, S q - t>]`` with ``q = t/S + scale (p - t/S)`` and H the entropy, shape (m,).

        The conjugate of logsumexp is the negative entropy on the simplex.
        """
        from scipy.special import entr, xlog1py, xlogy

        x, t = self._prepared(logits, targets)
        own = _own_class(t)
        mass = t.sum(axis=0)
        p, miss = _softmax(x, own)
        if own is None:
            q = (1 - scale) * t + scale * mass * p
            found = -xlogy(q, q / np.where(mass > 0, mass, 1.0)).sum(axis=0)
            moved = scale * (mass * p - t)
        else:
            columns = np.arange(x.shape[1])
            p[own, columns] = 0.0
            miss = np.minimum(scale * miss, 1.0)
            found = mass * (entr(scale * p).sum(axis=0) - xlog1py(1 - miss, -miss))
            moved = mass * scale * p
            moved[own, columns] = -mass * miss
        if self.shifts is not None:
            found = found + np.asarray(self.shifts) @ moved
        return self._weighted(found)

    def expression(self, logits: Any, targets: Array, weights: Array) -> Any:
        """``sum_j weights_j w_j [S_j log_sum_exp(x_j) - <t_j, x_j>]`` for CVXPY."""
        import cvxpy as cp

        _, t = self._prepared(np.zeros(targets.shape), targets)
        k, m = t.shape
        x = cp.multiply(np.repeat(self._scales(k)[:, None], m, axis=1), logits) + self._shifts(k)[:, None]
        w = self._weighted(np.asarray(weights, dtype=float))
        return (w * t.sum(axis=0)) @ cp.log_sum_exp(x, axis=0) - cp.sum(cp.multiply(w * t, x))

    # -- preparation --------------------------------------------------------------------------------------------------

    def _prepared(self, logits: Array, targets: Array) -> tuple[Array, Array]:
        """``x = Delta z + iota`` and the smoothed targets."""
        logits, targets = as_columns(logits, targets)
        k = len(logits)
        if self.smoothing:
            targets = (1 - self.smoothing) * targets + self.smoothing / k * targets.sum(axis=0)
        if targets.min() < 0:
            raise ValueError(
                f"targets must be >= 0 for cross-entropy, whose infimum is -inf beside others, got {targets.min():g}"
            )
        if self.scales is None and self.shifts is None:
            return logits, targets
        return self._column_scales(k) * logits + self._shifts(k)[:, None], targets

    def _scales(self, num_classes: int) -> Array:
        return _per_class("scales", self.scales, num_classes, 1.0)

    def _shifts(self, num_classes: int) -> Array:
        return _per_class("shifts", self.shifts, num_classes, 0.0)

    def _column_scales(self, num_classes: int) -> Any:
        return 1.0 if self.scales is None else self._scales(num_classes)[:, None]

    def _weighted(self, x: Array) -> Array:
        if self.weights is None:
            return x
        if len(self.weights) != x.shape[-1]:
            raise ValueError(f"weights must have one entry a column, {x.shape[-1]}, got {len(self.weights)}")
        return x * np.asarray(self.weights)

    @staticmethod
    def per_class(logits: Array) -> Array:
        """Plain cross-entropy of every class at its own column of logits (K, K), shape (K,)."""
        return CrossEntropy().values(logits, np.eye(len(logits)))

    @staticmethod
    def probabilities(logits: Array) -> tuple[Array, Array]:
        """Softmax columns P (K, K), and ``1 - P[k, k]`` (K,) computed without cancellation."""
        return _softmax(logits, np.arange(len(logits)))


def _own_class(targets: Array) -> np.ndarray[Any, np.dtype[np.intp]] | None:
    """The class of every column where all are one-hot up to their sum, else None."""
    if (np.count_nonzero(targets, axis=0) == 1).all():
        return np.asarray(targets.argmax(axis=0))
    return None


def _softmax(x: Array, own: Any) -> tuple[Array, Array]:
    """Softmax columns (K, m), and ``1 - p_own`` (m,) without cancellation; zeros where no class is the column's own."""
    p = np.exp(x - x.max(axis=0))
    p /= p.sum(axis=0)
    if own is None:
        return p, np.zeros(x.shape[1])
    off = p.copy()
    off[own, np.arange(x.shape[1])] = 0.0
    return p, off.sum(axis=0)


def _per_class(name: str, given: tuple[float, ...] | None, num_classes: int, default: float) -> Array:
    if given is None:
        return np.full(num_classes, default)
    if len(given) != num_classes:
        raise ValueError(f"{name} must have one entry a class, {num_classes}, got {len(given)}")
    return np.asarray(given)
