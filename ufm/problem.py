"""The problem an architecture, a class prior and a loss define on the logits; where convex, with its duality gap."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ufm.architectures import Architecture, Constrained, Penalised, check_architecture
from ufm.labels import ClassPrior
from ufm.losses import Loss, get_loss

__all__ = ["Problem"]

Array = NDArray[np.float64]


#: Singular values below this fraction of the largest are rounding, to a gauge with infinite slope at 0.
ROUNDING = 1e-13


@dataclass(frozen=True)
class Problem:
    """Minimise ``f(Z)`` over ``|Z|_* <= radius``, or ``f(Z) + strength |Z diag(omega)|_*`` over all Z (K, K).

    Where the architecture's gauge is no multiple of the nuclear norm (``is_convex`` False) it stands in its place, and
    radius, strength and the duality gap raise ValueError.

    Build it with :meth:`of`, which checks its arguments. Source: theory sections 2 and 3.

    Attributes:
        architecture: where the gauge comes from.
        prior: the class prior.
        loss: cross-entropy or mean squared error.
    """

    architecture: Architecture
    prior: ClassPrior
    loss: Loss

    @classmethod
    def of(cls, architecture: Any, prior: Any, loss: str | Loss = "ce") -> Problem:
        """Check the arguments and build the problem; raises TypeError or ValueError naming the bad one."""
        check_architecture(architecture)
        if not isinstance(prior, ClassPrior):
            raise TypeError(f"prior must be a ufm.ClassPrior, got {prior!r}")
        return cls(architecture, prior, get_loss(loss))

    @property
    def is_constrained(self) -> bool:
        """True for budgets, False for weight decay."""
        return isinstance(self.architecture, Constrained)

    @property
    def max_rank(self) -> int:
        """Bound on the rank of an optimum: K - 1 under CE, where centring columns lowers the gauge, K under MSE."""
        return self.prior.num_classes - (self.loss.name == "ce")

    @cached_property
    def is_convex(self) -> bool:
        """Whether the gauge is a multiple of the nuclear norm on the logits of an optimum's rank."""
        return self.architecture.convex_form(self.max_rank) is not None

    @cached_property
    def radius(self) -> float:
        """Radius of the nuclear-norm ball; only for architectures with budgets and a convex gauge."""
        if not isinstance(self.architecture, Constrained):
            raise ValueError(f"{self.architecture!r} has no radius: it is penalised")
        form = self.architecture.convex(self.max_rank)
        return cast(Constrained, form).radius(self.prior.num_classes)

    @cached_property
    def strength(self) -> float:
        """Strength of the nuclear-norm penalty; only for architectures with weight decay and a convex gauge."""
        if not isinstance(self.architecture, Penalised):
            raise ValueError(f"{self.architecture!r} has no strength: it has budgets")
        return cast(Penalised, self.architecture.convex(self.max_rank)).strength

    @cached_property
    def bound(self) -> float:
        """What the gauge may be at most: the radius where the problem is convex, else tau."""
        if self.is_convex:
            return self.radius
        if not isinstance(self.architecture, Constrained):
            raise ValueError(f"{self.architecture!r} has no bound: it is penalised")
        return self.architecture.bound(self.prior.num_classes)

    @cached_property
    def weights(self) -> Array:
        """Column weights omega (K,) of the gauge: ones for budgets, sqrt(n_k) for weight decay."""
        return self.architecture.column_weights(self.prior)

    def risk(self, logits: Array) -> float:
        """``f(Z)``."""
        return self.loss.value(logits, self.prior.probabilities)

    def gradient(self, logits: Array) -> Array:
        """``grad f(Z)``, shape (K, K)."""
        return self.loss.gradient(logits, self.prior.probabilities)

    def gauge(self, logits: Array) -> float:
        """``|Z diag(omega)|_*``; the architecture's gauge of these singular values where that is not convex."""
        y = logits * self.weights
        if self.is_convex:
            return float(np.linalg.norm(y, "nuc"))
        sigma = np.asarray(np.linalg.svd(y, compute_uv=False), dtype=float)
        sigma[sigma <= ROUNDING * sigma[0]] = 0.0  # a root of rounding would count
        return self.architecture.gauge(sigma)

    def dual_norm(self, gradient: Array) -> float:
        """``|G diag(1/omega)|_2``, the norm dual to the gauge."""
        return float(np.linalg.norm(gradient / self.weights, 2))

    def objective(self, logits: Array) -> float:
        """Optimal value candidate at Z: the risk, plus the penalty where there is one."""
        if self.is_constrained:
            return self.risk(logits)
        return self.risk(logits) + (self.strength if self.is_convex else 1.0) * self.gauge(logits)

    def lower_bound(self, logits: Array) -> float:
        """Lower bound on the optimal value by weak duality at ``G = grad f(Z)``, in floating point.

        Budgets: ``-f*(G) - radius |G|_2 = f(Z) - <G, Z> - radius |G|_2`` (the Frank-Wolfe bound, theory section 3).
        Weight decay: ``-f*(c G)`` with ``c = min(1, strength / |G diag(1/omega)|_2)``.
        """
        pi = self.prior.probabilities
        norm = self.dual_norm(self.gradient(logits))
        if self.is_constrained:
            return self.loss.dual_value(logits, pi) - self.radius * norm
        scale = 1.0 if norm <= self.strength else self.strength / norm
        return self.loss.dual_value(logits, pi, scale)
