"""Architectures as gauges on the logits (theory section 2).

After within-class collapse every architecture here is the problem

    minimise f(Z)  subject to  |Z|_* <= radius            (budgets: ``Constrained``)
    minimise f(Z) + strength |Z D^{1/2}|_*, D = diag(n_k)  (weight decay: ``Penalised``)

over the (K, K) logits Z. An architecture states its radius or strength and turns optimal logits back into its factors.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ufm._validation import fraction, positive
from ufm.priors import ClassPrior

__all__ = [
    "Architecture",
    "Constrained",
    "DeepLinear",
    "Factors",
    "LayerPeeled",
    "LinearDEQ",
    "Penalised",
    "PenalisedDEQ",
    "UnconstrainedFeatures",
]

Array = NDArray[np.float64]

#: Singular values below this fraction of the largest count as zero when logits are factorised.
RANK_TOLERANCE = 1e-9


@dataclass(frozen=True)
class Factors:
    """Factors with ``classifier @ inv(I - equilibrium) @ features == logits`` (no equilibrium: ``W @ H``).

    Attributes:
        classifier: W, shape (K, d).
        features: H, shape (d, K); for a DEQ the injection h, whose equilibrium is ``z* = inv(I - A) h``.
        equilibrium: A, shape (d, d), or None for an explicit network.
    """

    classifier: Array
    features: Array
    equilibrium: Array | None = None

    @property
    def equilibrium_features(self) -> Array:
        """``z* = inv(I - A) H``, shape (d, K): what the classifier sees. Equals ``features`` when A is None."""
        if self.equilibrium is None:
            return self.features
        return np.asarray(np.linalg.solve(np.eye(len(self.equilibrium)) - self.equilibrium, self.features), dtype=float)

    @property
    def logits(self) -> Array:
        """The product of the factors, shape (K, K)."""
        return self.classifier @ self.equilibrium_features


class Architecture(abc.ABC):
    """What a network family can do with its weights: a gauge on the logits, and factors that attain it."""

    @property
    def spectral_bound(self) -> float:
        """Bound rho on |A|_2; 0 for an explicit network."""
        return 0.0

    @property
    @abc.abstractmethod
    def _balance(self) -> float:
        """``alpha`` with ``|W|_F^2 = alpha * (1-rho) |Y|_*``, the optimal split of a nuclear norm between W and H."""

    def column_weights(self, prior: ClassPrior) -> Array:
        """Weights omega_k > 0, shape (K,): the gauge is a function of ``Y = Z diag(omega)``."""
        return np.ones(prior.num_classes)

    def factorise(self, logits: Array, prior: ClassPrior, dim: int | None = None) -> Factors:
        """Optimal factors of ``logits`` (K, K) in feature dimension ``dim`` (default K).

        With the singular value decomposition ``Y = Z diag(omega) = U S V^T`` of rank r and an orthonormal d x r matrix
        Q: ``W = sqrt(alpha (1-rho)) U S^{1/2} Q^T``, ``H diag(omega) = sqrt((1-rho)/alpha) Q S^{1/2} V^T``,
        ``A = rho Q Q^T``. Source: theory section 2, (iii).

        Raises:
            ValueError: ``dim`` is smaller than the rank of the logits.
        """
        omega = self.column_weights(prior)
        u, s, vt = np.linalg.svd(logits * omega)
        k = prior.num_classes
        rank = int((s > RANK_TOLERANCE * max(s[0], 1e-300)).sum()) if s[0] > 1e-14 else 0
        d = k if dim is None else dim
        if d < rank:
            raise ValueError(f"dim must be at least the rank of the optimal logits, {rank}, got {dim}")
        u, root, vt = u[:, :rank], np.sqrt(s[:rank]), vt[:rank]
        # In d = K dimensions Q = U makes W symmetric for symmetric logits; any other Q is a rotation of it.
        q = u if d == k else np.eye(d)[:, :rank]
        shrink = 1 - self.spectral_bound
        w = math.sqrt(self._balance * shrink) * (u * root) @ q.T
        h = math.sqrt(shrink / self._balance) * q @ (root[:, None] * vt) / omega
        a = self.spectral_bound * q @ q.T if self._is_equilibrium else None
        return Factors(w, h, a)

    @property
    def _is_equilibrium(self) -> bool:
        return False


class Constrained(Architecture):
    """Architectures with budgets: ``|Z|_* <= radius``."""

    @abc.abstractmethod
    def factor_budgets(self, num_classes: int) -> tuple[float, float]:
        """``(c_W, c_H)`` of the definition: ``|W|_F^2 <= c_W`` and, with a column a class, ``|H|_F^2 <= c_H``."""

    @abc.abstractmethod
    def radius(self, num_classes: int) -> float:
        """Radius of the nuclear-norm ball of logits."""


class Penalised(Architecture):
    """Architectures with weight decay: ``f(Z) + strength |Z D^{1/2}|_*``, ``D = diag(n_k)``."""

    lambda_W: float
    lambda_H: float

    @property
    @abc.abstractmethod
    def strength(self) -> float:
        """Strength of the nuclear-norm penalty."""

    def column_weights(self, prior: ClassPrior) -> Array:
        """``omega_k = sqrt(n_k)``."""
        return np.sqrt(prior.counts)


@dataclass(frozen=True)
class LayerPeeled(Constrained):
    """Layer-peeled model: ``(1/K)|W|_F^2 <= E_W``, ``(1/K) sum_k (1/n_k) sum_i |h_ki|^2 <= E_H``.

    Gauge: ``|Z|_* <= tau = K sqrt(E_W E_H)``. Source: Fang, He, Long, Su 2021; theory section 2.

    Args:
        E_W: classifier budget > 0.
        E_H: feature budget > 0.
    """

    E_W: float
    E_H: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "E_W", positive("E_W", self.E_W))
        object.__setattr__(self, "E_H", positive("E_H", self.E_H))

    def factor_budgets(self, num_classes: int) -> tuple[float, float]:
        """``(K E_W, K E_H)``."""
        return num_classes * self.E_W, num_classes * self.E_H

    def radius(self, num_classes: int) -> float:
        """``tau = K sqrt(E_W E_H)``."""
        return num_classes * _geometric_mean(self.E_W, self.E_H)

    @property
    def _balance(self) -> float:
        return math.sqrt(self.E_W) / math.sqrt(self.E_H)


@dataclass(frozen=True)
class LinearDEQ(Constrained):
    """Linear deep equilibrium model ``z* = A z* + h`` with the layer-peeled budgets and ``|A|_2 <= rho``.

    Gauge: ``(1 - rho) |Z|_* <= tau = K sqrt(E_W E_H)``, that is the layer-peeled model of radius ``tau/(1-rho)``.
    Source: theory section 2 (Gelfand-Naimark and Mirsky).

    Args:
        E_W: classifier budget > 0.
        E_H: budget > 0 of the injected features h.
        rho: spectral bound in [0, 1).
    """

    E_W: float
    E_H: float
    rho: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "E_W", positive("E_W", self.E_W))
        object.__setattr__(self, "E_H", positive("E_H", self.E_H))
        object.__setattr__(self, "rho", fraction("rho", self.rho))

    @property
    def spectral_bound(self) -> float:
        """rho."""
        return self.rho

    def factor_budgets(self, num_classes: int) -> tuple[float, float]:
        """``(K E_W, K E_H)``, the latter for the injection h."""
        return num_classes * self.E_W, num_classes * self.E_H

    def radius(self, num_classes: int) -> float:
        """``tau / (1 - rho)``."""
        return num_classes * _geometric_mean(self.E_W, self.E_H) / (1 - self.rho)

    @property
    def _balance(self) -> float:
        return math.sqrt(self.E_W) / math.sqrt(self.E_H)

    @property
    def _is_equilibrium(self) -> bool:
        return True


@dataclass(frozen=True)
class DeepLinear(Constrained):
    """Deep linear network of two factors with squared Frobenius budgets ``|W|_F^2 <= c_1``, ``|H|_F^2 <= c_2``.

    Gauge: ``|Z|_* <= sqrt(c_1 c_2)``. Source: theory section 2, M = 2 (the convex case).

    Args:
        budgets: (c_1, c_2), both > 0.

    Raises:
        ValueError: a number of factors other than two, or a budget that is not positive and finite.
    """

    budgets: tuple[float, ...]

    def __post_init__(self) -> None:
        if isinstance(self.budgets, str | bytes) or not isinstance(self.budgets, Iterable):
            raise TypeError(f"budgets must be a sequence of positive numbers, got {self.budgets!r}")
        values = tuple(positive(f"budgets[{i}]", c) for i, c in enumerate(self.budgets))
        if len(values) != 2:
            raise ValueError(f"budgets must have 2 entries (W and H), got {len(values)}: {values}")
        object.__setattr__(self, "budgets", values)

    def factor_budgets(self, num_classes: int) -> tuple[float, float]:
        """``(c_1, c_2)``."""
        return self.budgets[0], self.budgets[1]

    def radius(self, num_classes: int) -> float:
        """``sqrt(c_1 c_2)``."""
        return _geometric_mean(*self.budgets)

    @property
    def _balance(self) -> float:
        return math.sqrt(self.budgets[0]) / math.sqrt(self.budgets[1])


@dataclass(frozen=True)
class UnconstrainedFeatures(Penalised):
    """Unconstrained features model: ``f + (lambda_W/2)|W|_F^2 + (lambda_H/2) sum_{k,i} |h_ki|^2``.

    Gauge: ``lam |Z D^{1/2}|_*`` with ``lam = sqrt(lambda_W lambda_H)``. Source: Zhu et al. 2021; theory section 2.

    Args:
        lambda_W: weight decay > 0 of the classifier.
        lambda_H: weight decay > 0 of the features, summed over samples.
    """

    lambda_W: float
    lambda_H: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "lambda_W", positive("lambda_W", self.lambda_W))
        object.__setattr__(self, "lambda_H", positive("lambda_H", self.lambda_H))

    @property
    def strength(self) -> float:
        """``sqrt(lambda_W lambda_H)``."""
        return _geometric_mean(self.lambda_W, self.lambda_H)

    @property
    def _balance(self) -> float:
        return math.sqrt(self.lambda_H) / math.sqrt(self.lambda_W)


@dataclass(frozen=True)
class PenalisedDEQ(Penalised):
    """Unconstrained features in front of a linear equilibrium layer with ``|A|_2 <= rho`` and no penalty on A.

    Gauge: ``(1 - rho) lam |Z D^{1/2}|_*`` with ``lam = sqrt(lambda_W lambda_H)``. Source: theory sections 2 and 3.

    Args:
        lambda_W: weight decay > 0 of the classifier.
        lambda_H: weight decay > 0 of the injected features h, summed over samples.
        rho: spectral bound in [0, 1).
    """

    lambda_W: float
    lambda_H: float
    rho: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "lambda_W", positive("lambda_W", self.lambda_W))
        object.__setattr__(self, "lambda_H", positive("lambda_H", self.lambda_H))
        object.__setattr__(self, "rho", fraction("rho", self.rho))

    @property
    def spectral_bound(self) -> float:
        """rho."""
        return self.rho

    @property
    def strength(self) -> float:
        """``(1 - rho) sqrt(lambda_W lambda_H)``."""
        return (1 - self.rho) * _geometric_mean(self.lambda_W, self.lambda_H)

    @property
    def _balance(self) -> float:
        return math.sqrt(self.lambda_H) / math.sqrt(self.lambda_W)

    @property
    def _is_equilibrium(self) -> bool:
        return True


def _geometric_mean(x: float, y: float) -> float:
    """``sqrt(x y)``: equal factors give themselves back, which two rounded roots do not."""
    product = x * y
    return math.sqrt(product) if 1e-280 < product < 1e280 else math.sqrt(x) * math.sqrt(y)


def check_architecture(architecture: Any) -> Architecture:
    """Return ``architecture`` if it is one of this module's, else raise ``TypeError``."""
    if not isinstance(architecture, Constrained | Penalised):
        raise TypeError(
            "architecture must be LayerPeeled, UnconstrainedFeatures, DeepLinear, LinearDEQ or PenalisedDEQ, "
            f"got {architecture!r}"
        )
    return architecture
