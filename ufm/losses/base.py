"""The contract of a loss: per-column value, gradient and curvature, and what is known of them beyond that.

Every function of the contract takes logits ``Z`` (K, m), column j = logits of the j-th kind of sample, and targets
``T`` (K, m); the risk of a problem is ``f(Z) = sum_j pi_j l(z_j; t_j)``. A loss of one's own is one class::

    @dataclass(frozen=True)
    class Quartic(ufm.Loss):
        is_convex = True

        def values(self, logits, targets):
            return ((logits - targets) ** 4).sum(axis=0)

        def gradients(self, logits, targets):
            return 4 * (logits - targets) ** 3

What it does not state is not assumed: curvature comes from differences of the gradient, bounds of the optimal value
from convexity alone, and methods that need a closed form refuse it by name. What it does state is attacked before it is
believed, see :func:`ufm.losses.attack`.
"""

from __future__ import annotations

import abc
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ufm._validation import array

__all__ = ["ClosedForm", "Loss", "as_columns", "column_blocks"]

Array = NDArray[np.float64]

#: Directions in which the diagonal of an unknown curvature is probed.
_PROBES = 4


#: What a loss may state beyond its values and gradients.
_KNOWLEDGE = (
    "name",
    "values_and_gradients",
    "curvatures",
    "curvature_diagonals",
    "curvature_forms",
    "curvature_sums",
    "dual_values",
    "constant_direction",
    "expression",
    "formula",
)


def _stated_at(cls: type, name: str) -> int:
    """Place, in the order of resolution, of the class that states ``name``: a mixin is before what it is mixed into."""
    return next(i for i, base in enumerate(cls.__mro__) if name in vars(base))


def as_columns(logits: Any, targets: Any) -> tuple[Array, Array]:
    """Return logits and targets as real matrices (K, m) of one shape, or raise by name.

    NumPy would stretch the smaller one in silence.

    >>> as_columns([[1, 2], [3, 4]], np.eye(2))[0]
    array([[1., 2.],
           [3., 4.]])
    >>> as_columns(np.zeros((3, 2)), np.zeros((3, 1)))
    Traceback (most recent call last):
        ...
    ValueError: targets must have the shape (K, m) of logits, (3, 2), got (3, 1)
    """
    z, t = _matrix("logits", logits), _matrix("targets", targets)
    if z.shape != t.shape:
        raise ValueError(f"targets must have the shape (K, m) of logits, {z.shape}, got {t.shape}")
    return z, t


def _matrix(name: str, given: Any) -> Array:
    # descents call this for every point: what is right already is only looked at, and single precision is kept
    if type(given) is np.ndarray and given.ndim == 2 and given.dtype in (np.float64, np.float32):
        return given
    return array(name, given, ndim=2, shape="(K, m)", finite=False)


def column_blocks(shape: tuple[int, ...], entries: int = 2**22) -> list[slice]:
    """Blocks of consecutive columns of a (K, m) matrix, of about ``entries`` entries each, at least a column.

    >>> column_blocks((10, 5), entries=20)
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    rows, m = shape
    width = max(1, entries // max(rows, 1))
    return [slice(start, min(start + width, m)) for start in range(0, m, width)]


class ClosedForm(Enum):
    """Losses for which formulas are derived in this package: closed forms, thresholds, phases, certificates.

    A value is the word that files and the command line use.
    """

    CROSS_ENTROPY = "ce"
    MEAN_SQUARED_ERROR = "mse"


class Loss(abc.ABC):
    """A loss ``l(z; t)`` of logits z (K,) and a target t (K,); a risk is a weighted sum of it over columns.

    Attributes:
        is_convex: whether ``l(.; t)`` is convex for every target. It has to be said; it is attacked by random segments.
        infimum: a number that no value is below, ``-inf`` if none is known.
        floor: absolute gap between upper and lower bound of a risk that counts as closed, beside the relative one;
            never more than 1e-14 of what the risk is at logits 0, above its infimum.
        closed_form: which of the package's formulas hold for it, or None. Never inherited: a subclass is another loss.

    A class that overrides ``values`` or ``gradients`` inherits nothing that its base knew of its own: no curvature, no
    conjugate, no direction along which it is constant. It may state them anew.

    >>> class Quartic(Loss):
    ...     is_convex = True
    ...     def values(self, logits, targets):
    ...         return ((logits - targets) ** 4).sum(axis=0)
    ...     def gradients(self, logits, targets):
    ...         return 4 * (logits - targets) ** 3
    >>> loss, t, z = Quartic(), np.eye(2), np.zeros((2, 2))
    >>> loss.value(z, np.array([0.5, 0.5])), loss.gradient(z, np.array([0.5, 0.5])).tolist()
    (1.0, [[-2.0, 0.0], [0.0, -2.0]])
    >>> loss.curvatures(z, t, np.eye(2)).round(6).tolist()  # 12 r^2, by differences
    [[12.0, 0.0], [0.0, 12.0]]
    >>> loss.name, loss.dual_value(z, np.ones(2)), loss.constant_direction(2), loss.closed_form
    ('Quartic', None, None, None)
    """

    is_convex: bool
    infimum: float = 0.0
    floor: float = 1e-15
    closed_form: ClosedForm | None = None

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "closed_form" not in vars(cls):
            cls.closed_form = None
        newest = min(_stated_at(cls, "values"), _stated_at(cls, "gradients"))
        for name in _KNOWLEDGE:
            # what classes behind the one that states the two say beyond them describes their own loss
            if _stated_at(cls, name) > newest:
                setattr(cls, name, vars(Loss)[name])

    @property
    def name(self) -> str:
        """What messages and reports call it; the class's name unless the class says otherwise."""
        return type(self).__name__

    @abc.abstractmethod
    def values(self, logits: Array, targets: Array) -> Array:
        """``l(z_j; t_j)`` for every column, shape (m,).

        Those of this package refuse targets of another shape than the logits; :func:`as_columns` does that.
        """

    @abc.abstractmethod
    def gradients(self, logits: Array, targets: Array) -> Array:
        """``dl/dz`` at every column, shape (K, m)."""

    def values_and_gradients(self, logits: Array, targets: Array) -> tuple[Array, Array]:
        """Both at once, (m,) and (K, m); a loss states it where the two share most of their work."""
        return self.values(logits, targets), self.gradients(logits, targets)

    def on_columns(self, columns: slice, num_columns: int) -> Loss:
        """The loss of some of m = ``num_columns`` columns: itself, unless it has a parameter for every column."""
        return self

    def curvatures(self, logits: Array, targets: Array, directions: Array) -> Array:
        """The second derivative of every column applied to its direction, shape (K, m).

        Unless a loss states its own: central differences of the gradient, accurate to about 1e-9 relative.
        """
        length = np.linalg.norm(directions, axis=0)
        unit = directions / np.where(length > 0, length, 1.0)
        step = 6e-6 * np.maximum(1.0, np.abs(logits).max(axis=0))
        ahead = self.gradients(logits + step * unit, targets)
        behind = self.gradients(logits - step * unit, targets)
        return np.asarray((ahead - behind) / (2 * step) * length, dtype=float)

    def curvature_diagonals(self, logits: Array, targets: Array) -> Array:
        """About the diagonal of every column's second derivative, (K, m): for preconditioning, not for bounds.

        Unless a loss states its own: the mean of ``v * H v`` over random signs v (Hutchinson 1990).
        """
        rng = np.random.default_rng(0)
        total = np.zeros_like(logits)
        for _ in range(_PROBES):
            v = rng.choice([-1.0, 1.0], size=logits.shape)
            total += v * self.curvatures(logits, targets, v)
        return np.maximum(total / _PROBES, 0.0)

    def curvature_forms(self, logits: Array, targets: Array, vectors: Array) -> Array:
        """About ``u_a^T H_j u_a`` for columns u_a of ``vectors`` (K, q), shape (q, m): for preconditioning as well.

        Unless a loss states its own: as if the second derivatives were diagonal.
        """
        return np.asarray(vectors.T**2 @ self.curvature_diagonals(logits, targets), dtype=float)

    def curvature_sums(self, logits: Array, targets: Array, pi: Array) -> Array | None:
        """``sum_j pi_j H_j`` (K, K) of the columns' second derivatives H_j, which is what a bias sees.

        None, unless a loss states it: it is then put together from :meth:`curvatures`, one unit vector at a time.
        """
        return None

    def dual_values(self, logits: Array, targets: Array, scale: float = 1.0) -> Array | None:
        """``-l*(scale g; t)`` at ``g = dl/dz`` for every column, (m,), l* the Fenchel conjugate, scale in [0, 1].

        None, unless a loss states it: bounds then rest on convexity, ``-l*(g) = l(z) - <g, z>``, and on the infimum.
        """
        return None

    def constant_direction(self, num_classes: int) -> Array | None:
        """A vector c (K,) with ``l(z + x c; t) = l(z; t)`` for every x, or None."""
        return None

    def expression(self, logits: Any, targets: Array, weights: Array) -> Any:
        """The risk ``sum_j weights_j l(z_j; t_j)`` as a CVXPY expression of a variable (K, m), or None."""
        return None

    def formula(self, logits: Any, target: Any) -> Any:
        """The loss of one column as a :class:`ufm.losses.Formula` of its logits and target, or None.

        Certificates carry it, and their checker reads it instead of the class: what it cannot show to be convex by the
        rules of composition is refused.
        """
        return None

    # -- risks: what the loss gives by weighting its columns ----------------------------------------------------------

    def value(self, logits: Array, pi: Array, targets: Array | None = None) -> float:
        """The risk ``f(Z) = sum_j pi_j l(z_j; t_j)``.

        Args:
            logits: Z, shape (K, m).
            pi: weights of the columns, shape (m,).
            targets: T, shape (K, m); None for one-hot targets of m = K classes.
        """
        targets = np.eye(len(pi)) if targets is None else targets
        blocks = column_blocks(targets.shape)
        if len(blocks) == 1:
            return float(pi @ self.values(logits, targets))
        m = len(pi)  # in parts, for the memory that all at once would take
        return sum(float(pi[b] @ self.on_columns(b, m).values(logits[:, b], targets[:, b])) for b in blocks)

    def gradient(self, logits: Array, pi: Array, targets: Array | None = None) -> Array:
        """``grad f(Z)``, shape (K, m); arguments as in :meth:`value`."""
        return self.gradients(logits, np.eye(len(pi)) if targets is None else targets) * pi

    def dual_value(self, logits: Array, pi: Array, scale: float = 1.0, targets: Array | None = None) -> float | None:
        """``-f*(scale grad f(Z))``, or None where the conjugate is not known; arguments as in :meth:`value`.

        By weak duality ``min f + penalty >= -f*(scale G)`` whenever ``scale G`` is dual feasible.
        """
        found = self.dual_values(logits, np.eye(len(pi)) if targets is None else targets, scale)
        return None if found is None else float(pi @ found)
