"""The problem that an architecture, a class prior and a loss define on the logits, and bounds of its optimal value."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ufm._linalg import svdvals
from ufm._validation import positive, real
from ufm.architectures import (
    Architecture,
    Constrained,
    Penalised,
    Spectral,
    attack,
    check_architecture,
    is_known,
    known_architecture,
)
from ufm.labels import ClassPrior, Labels
from ufm.losses import Loss, check_loss, get_loss
from ufm.losses.base import column_blocks
from ufm.risk import Risk

__all__ = ["Problem"]

Array = NDArray[np.float64]


#: Singular values below this fraction of the largest are rounding, to a gauge with infinite slope at 0.
ROUNDING = 1e-13

#: Most that an absolute gap may be and count as closed, as a fraction of the risk at logits 0 above its infimum.
FLOOR_SHARE = 1e-14
#: What rounding leaves of a bias's own equation, beside the gradients that it sums.
_SETTLED = 1e-13
#: Largest risk, and entry of its gradient, at logits 0: squares of what is larger leave float64.
LARGEST = 1e100


@dataclass(frozen=True)
class Problem:
    """Minimise ``f(Z)`` over ``Omega(Z) <= tau``, or ``f(Z) + Omega(Z diag(omega))`` over all Z (K, m).

    For the architectures of this package Omega is a function of singular values. Where it is a multiple of the nuclear
    norm (``has_nuclear_norm``) the problem reads ``|Z|_* <= radius`` or ``f(Z) + strength |Z diag(omega)|_*``; where it
    is not, radius and strength raise ValueError.

    Build it with :meth:`of`, which checks its arguments. Source: theory sections 2, 3, 7 and 8.

    Attributes:
        architecture: where the gauge comes from.
        prior: the class prior, or labels of any kind.
        loss: what the columns of logits are judged by.
        bias: lambda_b >= 0 of a bias b that is added to every column, 0 for a free one; None for none. It is taken out
            of the problem, see :mod:`ufm.risk`.

    >>> import ufm
    >>> problem = Problem.of(ufm.LayerPeeled(1.0, 1.0), ufm.ClassPrior.balanced(3), "mse")
    >>> z = np.diag([1.0, 1.0, 1.0])
    >>> problem.risk(z), problem.gauge(z), problem.objective(z), problem.bound
    (0.0, 3.0, 0.0, 3.0)
    >>> problem.gradient(np.zeros((3, 3))).round(3).tolist()[0], round(problem.dual_norm(np.eye(3)), 6)
    ([-0.333, 0.0, 0.0], 1.0)
    >>> bool(problem.lower_bound(0.9 * z) <= 0.0), problem.centred(z) is z
    (True, True)
    """

    architecture: Architecture
    prior: ClassPrior | Labels
    loss: Loss
    bias: float | None = None

    @classmethod
    def of(cls, architecture: Any, prior: Any, loss: str | Loss = "ce", bias: str | float | None = None) -> Problem:
        """Check the arguments and build the problem; raises TypeError or ValueError naming the bad one.

        A loss or an architecture of one's own is attacked with random points before it is believed.

        >>> import ufm
        >>> Problem.of(ufm.LayerPeeled(1.0, 1.0), ufm.ClassPrior.balanced(3)).radius
        3.0
        """
        check_architecture(architecture)
        if not isinstance(prior, ClassPrior | Labels):
            raise TypeError(f"prior must be a ufm.ClassPrior or ufm.Labels, got {prior!r}")
        found = get_loss(loss)
        # plain losses take all targets of a prior, which are not made here: symmetry alone lets K be large
        plain = found.closed_form is not None and isinstance(prior, ClassPrior)
        if not plain:
            found = check_loss(found, prior.targets)
        problem = cls(architecture, prior, found, check_bias(bias))
        if problem.bias is not None and not problem.loss.is_convex:
            raise ValueError(f"bias must be None for a loss that is not convex, got {bias!r} with {problem.loss!r}")
        if not plain:
            _check_size(problem)
        if not problem.is_known:
            attack(architecture, (prior.num_classes, prior.num_columns))
            _check_own(problem)
        return problem

    @property
    def stated_bias(self) -> str | float | None:
        """The bias as ``bias=`` takes it: None, ``"free"`` or lambda_b.

        >>> import ufm
        >>> Problem.of(ufm.LayerPeeled(1.0, 1.0), ufm.ClassPrior([3, 1]), "mse", "free").stated_bias
        'free'
        """
        return "free" if self.bias == 0 else self.bias

    @property
    def targets(self) -> Array:
        """T, shape (K, m): one-hot columns for a class prior."""
        return self.prior.targets

    @property
    def class_prior(self) -> ClassPrior:
        """The prior of one-hot labels, one column a class; a ValueError for labels of another kind."""
        if not isinstance(self.prior, ClassPrior):
            raise ValueError(f"prior must be a ufm.ClassPrior here, one-hot columns, one a class, got {self.prior!r}")
        return self.prior

    @cached_property
    def risk_of(self) -> Risk:
        """The risk as a function of the logits, the bias taken out."""
        return Risk(self.loss, self.targets, self.prior.probabilities, self.bias)

    def best_bias(self, logits: Array) -> Array | None:
        """The bias b (K,) that is best beside logits Z; None without one.

        >>> import ufm
        >>> problem = Problem.of(ufm.LayerPeeled(1.0, 1.0), ufm.ClassPrior([3, 1]), "mse", "free")
        >>> problem.best_bias(np.zeros((2, 2)))
        array([0.75, 0.25])
        """
        return None if self.bias is None else self.risk_of.best_bias(logits)

    @cached_property
    def floor(self) -> float:
        """The absolute gap that counts as closed: the loss's, where that is nothing beside the risk at logits 0.

        >>> import ufm
        >>> tiny = ufm.Labels(1e-10 * np.eye(2), [1, 1])
        >>> bool(Problem.of(ufm.LayerPeeled(1.0, 1.0), tiny, "mse").floor < 1e-33)
        True
        """
        if self.loss.floor == 0:
            return 0.0
        start = self.loss.value(np.zeros(self.targets.shape), self.prior.probabilities, self.targets)
        above = start - self.loss.infimum if np.isfinite(self.loss.infimum) else abs(start)
        return min(self.loss.floor, FLOOR_SHARE * max(above, 0.0))

    @cached_property
    def is_known(self) -> bool:
        """Whether the architecture is one of this package's, see :func:`ufm.architectures.is_known`."""
        return is_known(self.architecture)

    @cached_property
    def is_spectral(self) -> bool:
        """Whether the architecture is one of this package's whose gauge is a function of singular values."""
        return self.is_known and self.architecture.is_spectral

    @cached_property
    def spectral(self) -> Spectral:
        """The architecture where :attr:`is_spectral`; else a ValueError."""
        return known_architecture(self.architecture)

    @property
    def is_constrained(self) -> bool:
        """True for budgets, False for weight decay."""
        return self.architecture.is_constrained

    @cached_property
    def constant_direction(self) -> Array | None:
        """The direction c (K,) along which the loss of a column is constant, of length 1; None where there is none.

        With a penalised bias the risk is constant along it too: the bias stays away from it.
        """
        c = self.loss.constant_direction(self.prior.num_classes)
        return None if c is None else np.asarray(c, dtype=float) / np.linalg.norm(c)

    def centred(self, logits: Array) -> Array:
        """Logits less their part along :attr:`constant_direction`: the same risk, and no larger spectral gauge."""
        c = self.constant_direction
        if c is None:
            return logits
        if np.all(c == c[0]):
            return np.asarray(logits - logits.mean(axis=0), dtype=float)
        return np.asarray(logits - np.outer(c, c @ logits), dtype=float)

    @property
    def max_rank(self) -> int:
        """Bound on the rank of an optimum: K - 1 where the loss is constant along a direction, else K."""
        return min(self.prior.num_classes - (self.constant_direction is not None), self.prior.num_columns)

    @cached_property
    def has_nuclear_norm(self) -> bool:
        """Whether the gauge is a multiple of the nuclear norm on logits of an optimum's rank."""
        return self.is_spectral and self.spectral.convex_form(self.max_rank) is not None

    @property
    def is_convex(self) -> bool:
        """Whether the loss is convex and the gauge too."""
        return self.loss.is_convex and (self.has_nuclear_norm or not self.is_spectral)

    @cached_property
    def radius(self) -> float:
        """Radius of the nuclear-norm ball; only for architectures with budgets and a convex gauge."""
        if not isinstance(self.spectral, Constrained):
            raise ValueError(f"{self.architecture!r} has no radius: it is penalised")
        form = cast(Constrained, self.spectral.convex(self.max_rank))
        return form.radius(self.prior.num_classes)

    @cached_property
    def strength(self) -> float:
        """Strength of the nuclear-norm penalty; only for architectures with weight decay and a convex gauge."""
        if not isinstance(self.spectral, Penalised):
            raise ValueError(f"{self.architecture!r} has no strength: it has budgets")
        return cast(Penalised, self.spectral.convex(self.max_rank)).strength

    @cached_property
    def bound(self) -> float:
        """What the gauge may be at most: the radius where it is a nuclear norm, else tau."""
        if self.has_nuclear_norm:
            return self.radius
        tau = self.architecture.bound(self.prior.num_classes) if self.is_constrained else None
        if tau is None:
            raise ValueError(f"{self.architecture!r} has no bound: it is penalised")
        return tau

    @cached_property
    def weights(self) -> Array:
        """Column weights omega (m,) of the gauge: ones for budgets, sqrt(n_k) for weight decay."""
        return self.architecture.column_weights(self.prior)

    def risk(self, logits: Array) -> float:
        """``f(Z)``."""
        return self.risk_of.value(logits)

    def gradient(self, logits: Array) -> Array:
        """``grad f(Z)``, shape (K, m)."""
        return self.risk_of.gradient(logits)

    def gauge(self, logits: Array) -> float:
        """``|Z diag(omega)|_*``; the architecture's own gauge or price where that is no nuclear norm."""
        y = logits * self.weights
        if self.has_nuclear_norm:
            return float(np.linalg.norm(y, "nuc"))
        if not self.is_spectral:
            return float(self.architecture.gauge(y))
        sigma = np.asarray(svdvals(y), dtype=float)
        sigma[sigma <= ROUNDING * sigma[0]] = 0.0  # a root of rounding would count
        return self.spectral.spectral_gauge(sigma)

    def dual_norm(self, gradient: Array) -> float:
        """``Omega^o(-G diag(1/omega))``, or a bound of it: for a nuclear norm ``|G diag(1/omega)|_2``."""
        g = gradient / self.weights
        return float(np.linalg.norm(g, 2)) if self.is_spectral else float(self.architecture.polar_bound(-g))

    def objective(self, logits: Array) -> float:
        """Optimal value candidate at Z: the risk, plus the penalty where there is one."""
        if self.is_constrained:
            return self.risk(logits)
        return self.risk(logits) + (self.strength if self.has_nuclear_norm else 1.0) * self.gauge(logits)

    def lower_bound(self, logits: Array) -> float:
        """Lower bound on the optimal value of a convex problem by weak duality at ``G = grad f(Z)``, in floating point.

        Budgets: ``-f*(G) - radius |G|_2`` with ``-f*(G) = f(Z) - <G, Z>`` (the Frank-Wolfe bound, theory section 3).
        Weight decay: ``-f*(c G)`` with ``c = min(1, strength / |G diag(1/omega)|_2)`` where the conjugate is known,
        else ``f(Z) - <G, Z> - max(0, |G diag(1/omega)|_2 / strength - 1) (f(0) - inf f)``, for an optimum costs at most
        ``f(0) - inf f`` in penalty (theory section 7).

        Raises:
            ValueError: the gauge of an architecture of this package is no nuclear norm.
        """
        pi = self.prior.probabilities
        gradient = self.gradient(logits)
        norm = self.dual_norm(gradient)
        least = self.loss.infimum * float(pi.sum())
        if self.is_constrained:
            base = self.loss.dual_value(logits, pi, 1.0, self.targets) if self.bias is None else None
            if base is None:
                base = self.risk(logits) - float(np.vdot(gradient, logits))
            return base - (self.radius if self.is_spectral else self.bound) * norm
        strength = self.strength if self.is_spectral else 1.0
        scale = 1.0 if norm <= strength else strength / norm
        found = self._dual_value(logits, gradient, scale)
        if found is None:
            spare = self.risk(np.zeros_like(logits)) - least
            found = self.risk(logits) - float(np.vdot(gradient, logits)) - max(0.0, norm / strength - 1) * spare
        if norm <= strength and not logits.any():
            found = max(found, self.risk(logits))  # 0 is optimal, by convexity alone
        return found

    def _dual_value(self, logits: Array, gradient: Array, scale: float) -> float | None:
        """``-F*(c G)``, F the risk with its bias taken out: ``-f*(c G) - |c G 1|^2 / (2 lambda_b)``.

        A free bias has G 1 = 0 where it is best, and what rounding leaves of it is charged at the bias's own size; so
        is what it leaves of ``G 1 = -lambda_b b`` of a bias that costs nearly nothing.
        """
        pi = self.prior.probabilities
        b = self.best_bias(logits)
        if b is None:
            return self.loss.dual_value(logits, pi, scale, self.targets)
        found = self.loss.dual_value(logits + b[:, None], pi, scale, self.targets)
        if found is None:
            return None
        left = scale * gradient.sum(axis=1)
        charged = float(np.abs(left) @ np.maximum(np.abs(b), 1.0))
        if not self.bias:
            return found - charged
        exact = float(left @ left) / (2 * self.bias)
        # G is small beside the targets and probabilities that it is a difference of where little is decayed
        terms = 1e-3 * float(pi @ np.abs(self.targets).sum(axis=0)) + np.abs(gradient).sum()
        rounded = np.abs(left + scale * self.bias * b).max() <= _SETTLED * terms
        return found - (min(exact, charged) if rounded else exact)


def _check_size(problem: Problem) -> None:
    """ValueError where the risk at logits 0, or its gradient, is so large that float64 cannot hold its square."""
    targets, m = problem.targets, problem.prior.num_columns
    value, slope = 0.0, 0.0
    with np.errstate(all="ignore"):
        for b in column_blocks(targets.shape):
            loss, t, pi = problem.loss.on_columns(b, m), targets[:, b], problem.prior.probabilities[b]
            zero = np.zeros(t.shape)
            value += loss.value(zero, pi, t)
            slope = float(np.maximum(slope, np.abs(loss.gradient(zero, pi, t)).max()))  # NaN if one is
    if not (abs(value) <= LARGEST and slope <= LARGEST):
        raise ValueError(
            f"loss and targets must give a risk and a gradient of at most {LARGEST:g} at logits 0, got {value:g} and "
            f"{slope:g}: with {problem.loss!r} scale the targets, weights or scales down"
        )


def _check_own(problem: Problem) -> None:
    """What an architecture of one's own says beside its gauge: the weights of the columns, and the bound."""
    name = type(problem.architecture).__name__
    for word, given in (("column_weights", "prior"), ("bound", "num_classes")):
        said = getattr(problem.architecture, word)
        if not callable(said):
            raise TypeError(f"architecture {name}.{word} must be a function of {given}, got {said!r}")
    weights = np.asarray(problem.weights)
    m = problem.prior.num_columns
    if weights.shape != (m,) or weights.dtype.kind not in "fi" or not (np.isfinite(weights) & (weights > 0)).all():
        raise ValueError(f"architecture {name}.column_weights must be {m} positive finite numbers, got {weights!r}")
    if problem.is_constrained:
        positive(f"architecture {name}.bound", problem.architecture.bound(problem.prior.num_classes))


def check_bias(bias: Any) -> float | None:
    """``lambda_b`` of what ``bias=`` says: None for none, 0 for ``"free"``, or a number > 0.

    >>> check_bias("free"), check_bias(0.5), check_bias(None)
    (0.0, 0.5, None)
    """
    if bias is None:
        return None
    if isinstance(bias, str):
        if bias != "free":
            raise ValueError(f"bias must be None, 'free', or a weight decay lambda_b > 0, got {bias!r}")
        return 0.0
    decay = real("bias", bias)
    if decay <= 0:
        raise ValueError(f"bias must be None, 'free', or a weight decay lambda_b > 0, got {bias!r}")
    return decay
