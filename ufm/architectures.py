"""Architectures as gauges on the logits (theory section 2).

After within-class collapse every architecture here is the problem

    minimise f(Z)  subject to  Omega(sigma(Z)) <= tau                         (budgets: ``Constrained``)
    minimise f(Z) + Omega(sigma(Y)), Y = Z D^{1/2}, D = diag(n_k)             (weight decay: ``Penalised``)

over the (K, K) logits Z, sigma their singular values. An architecture states its gauge Omega with the inner minimiser
that attains it (the spectrum of A, or of the factors) and turns optimal logits back into its factors. Where Omega is
``(1 - rho)`` times the nuclear norm the problem is convex, with ``radius = tau / (1 - rho)`` or a ``strength``; a
Frobenius budget or penalty on A, or a third factor, makes Omega nonconvex, and neither exists.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ufm._validation import fraction, positive, real
from ufm.labels import ClassPrior

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
        features: H, shape (d, K); for a DEQ the injection h, whose equilibrium is ``z* = inv(I - A) h``; for a deep
            linear network the product of ``layers``, what the classifier sees.
        equilibrium: A, shape (d, d), or None for an explicit network.
        layers: of a deep linear network of M >= 3 factors the M - 1 below the classifier, ``W_2, ..., W_M``, the last
            of shape (d, K); else empty.
    """

    classifier: Array
    features: Array
    equilibrium: Array | None = None
    layers: tuple[Array, ...] = ()

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
        """``alpha`` with ``|W|_F^2 = alpha sum_i (1 - a_i) sigma_i(Y)``, the optimal split between W and H."""

    def convex_form(self, rank: int) -> Architecture | None:
        """The architecture with a nuclear-norm gauge that equals this one's on logits of rank at most ``rank``.

        Itself where the gauge is a multiple of the nuclear norm; None where it is not, and the problem nonconvex.
        """
        return self

    def convex(self, rank: int) -> Architecture:
        """:meth:`convex_form`, or a ValueError that says that there is none."""
        form = self.convex_form(rank)
        if form is None:
            raise ValueError(
                f"architecture must have a nuclear-norm gauge here, got {self!r}, whose gauge is not convex: "
                "it has no radius or strength; solve it with ufm.solve(..., method='search')"
            )
        return form

    @abc.abstractmethod
    def gauge(self, sigma: Array) -> float:
        """``Omega(sigma)``: what singular values sigma (r,) of ``Y = Z diag(omega)`` cost, in budget or in penalty."""

    def equilibrium_spectrum(self, sigma: Array) -> Array:
        """The spectrum a (r,) of the A that attains the gauge at ``sigma``: rho throughout, 0 for explicit networks."""
        return np.full(len(sigma), self.spectral_bound)

    def __repr__(self) -> str:
        given = {f.name: getattr(self, f.name) for f in fields(self)}  # type: ignore[arg-type]
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in given.items() if v is not None)})"

    def column_weights(self, prior: ClassPrior) -> Array:
        """Weights omega_k > 0, shape (K,): the gauge is a function of ``Y = Z diag(omega)``."""
        return np.ones(prior.num_classes)

    def factorise(self, logits: Array, prior: ClassPrior, dim: int | None = None) -> Factors:
        """Optimal factors of ``logits`` (K, K) in feature dimension ``dim`` (default K).

        With the singular value decomposition ``Y = Z diag(omega) = U S V^T`` of rank r, the spectrum a of
        :meth:`equilibrium_spectrum` and an orthonormal d x r matrix Q:
        ``W = sqrt(alpha) U [(I - diag a) S]^{1/2} Q^T``,
        ``H diag(omega) = sqrt(1/alpha) Q [(I - diag a) S]^{1/2} V^T``, ``A = Q diag(a) Q^T``.
        Source: theory section 2, (iii).

        Raises:
            ValueError: ``dim`` is smaller than the rank of the logits.
        """
        omega, u, s, vt, q = self._aligned(logits, prior, dim)
        a = self.equilibrium_spectrum(s)
        root = np.sqrt((1 - a) * s)
        w = math.sqrt(self._balance) * (u * root) @ q.T
        h = math.sqrt(1 / self._balance) * q @ (root[:, None] * vt) / omega
        return Factors(w, h, (q * a) @ q.T if self._is_equilibrium else None)

    def _aligned(self, logits: Array, prior: ClassPrior, dim: int | None) -> tuple[Array, Array, Array, Array, Array]:
        """``omega, U, s, V^T`` of the truncated decomposition of ``Z diag(omega)``, and the d x r basis Q."""
        omega = self.column_weights(prior)
        u, s, vt = np.linalg.svd(logits * omega)
        k = prior.num_classes
        rank = int((s > RANK_TOLERANCE * max(s[0], 1e-300)).sum()) if s[0] > 1e-14 else 0
        d = k if dim is None else dim
        if d < rank:
            raise ValueError(f"dim must be at least the rank of the optimal logits, {rank}, got {dim}")
        u = u[:, :rank]
        # In d = K dimensions Q = U makes W symmetric for symmetric logits; any other Q is a rotation of it.
        return omega, u, s[:rank], vt[:rank], u if d == k else np.eye(d)[:, :rank]

    @property
    def _is_equilibrium(self) -> bool:
        return False


class Constrained(Architecture):
    """Architectures with budgets: ``Omega(sigma(Z)) <= tau``, Omega homogeneous of degree one."""

    @abc.abstractmethod
    def factor_budgets(self, num_classes: int) -> tuple[float, ...]:
        """Budgets ``(c_1, ..., c_M)`` of the squared Frobenius norms of the factors, W first and H last.

        M = 2 but for deep linear networks; H has a column a class.
        """

    def bound(self, num_classes: int) -> float:
        """``tau = prod_j sqrt(c_j)``, the bound on the gauge."""
        return _geometric_mean(*self.factor_budgets(num_classes))

    def radius(self, num_classes: int) -> float:
        """Radius of the nuclear-norm ball of logits, ``tau / (1 - rho)``.

        Raises:
            ValueError: the gauge is not a multiple of the nuclear norm (on K x K matrices).
        """
        form = self.convex(num_classes)
        return self.bound(num_classes) / (1 - form.spectral_bound)

    def gauge(self, sigma: Array) -> float:
        """``sum_i (1 - a_i) sigma_i``, a the :meth:`equilibrium_spectrum`; to be at most :meth:`bound`."""
        return float((1 - self.equilibrium_spectrum(sigma)) @ sigma)


class Penalised(Architecture):
    """Architectures with weight decay: ``f(Z) + Omega(sigma(Z D^{1/2}))``, ``D = diag(n_k)``."""

    lambda_W: float
    lambda_H: float

    @property
    @abc.abstractmethod
    def strength(self) -> float:
        """Strength of the nuclear-norm penalty; a ValueError where the penalty is none."""

    def gauge(self, sigma: Array) -> float:
        """The penalty ``strength * sum_i sigma_i``."""
        return self.strength * float(sigma.sum())

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

    def bound(self, num_classes: int) -> float:
        """``tau = K sqrt(E_W E_H)``."""
        return num_classes * _geometric_mean(self.E_W, self.E_H)

    @property
    def _balance(self) -> float:
        return math.sqrt(self.E_W) / math.sqrt(self.E_H)


@dataclass(frozen=True, repr=False)
class LinearDEQ(Constrained):
    """Linear deep equilibrium model ``z* = A z* + h``: layer-peeled budgets, ``|A|_2 <= rho`` and ``|A|_F^2 <= E_A``.

    Gauge: ``|Z|_* - max{<a, sigma(Z)> : 0 <= a_i <= rho, |a|^2 <= E_A} <= tau = K sqrt(E_W E_H)``. Without E_A, or with
    one that does not bind (E_A >= rank(Z) rho^2), that is ``(1 - rho) |Z|_* <= tau``, the layer-peeled model of radius
    ``tau/(1-rho)``; with an idle cap (E_A <= rho^2) it is ``|Z|_* - sqrt(E_A) |Z|_F <= tau``. Source: theory section 2
    (Gelfand-Naimark and Mirsky).

    Args:
        E_W: classifier budget > 0.
        E_H: budget > 0 of the injected features h.
        rho: spectral bound in [0, 1).
        E_A: budget >= 0 of |A|_F^2; None for none.
    """

    E_W: float
    E_H: float
    rho: float
    E_A: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "E_W", positive("E_W", self.E_W))
        object.__setattr__(self, "E_H", positive("E_H", self.E_H))
        object.__setattr__(self, "rho", fraction("rho", self.rho))
        if self.E_A is not None:
            if (budget := real("E_A", self.E_A)) < 0:
                raise ValueError(f"E_A must be >= 0 and finite, or None, got {self.E_A!r}")
            object.__setattr__(self, "E_A", budget)

    @property
    def spectral_bound(self) -> float:
        """``min(rho, sqrt(E_A))``."""
        return self.rho if self.E_A is None else min(self.rho, math.sqrt(self.E_A))

    def convex_form(self, rank: int) -> LinearDEQ | None:
        """Without E_A where it does not bind or the rank is 1, with rho = 0 where nothing is left of A; else None."""
        if self.E_A is None:
            return self
        if self.spectral_bound == 0:
            return LinearDEQ(self.E_W, self.E_H, 0.0)
        if rank <= 1:
            return LinearDEQ(self.E_W, self.E_H, self.spectral_bound)
        return LinearDEQ(self.E_W, self.E_H, self.rho) if rank * self.rho**2 <= self.E_A else None

    def factor_budgets(self, num_classes: int) -> tuple[float, float]:
        """``(K E_W, K E_H)``, the latter for the injection h."""
        return num_classes * self.E_W, num_classes * self.E_H

    def bound(self, num_classes: int) -> float:
        """``tau = K sqrt(E_W E_H)``."""
        return num_classes * _geometric_mean(self.E_W, self.E_H)

    def equilibrium_spectrum(self, sigma: Array) -> Array:
        """Water-filling: ``a_i = min(rho, sigma_i / nu)``, ``|a|^2 = E_A``; rho throughout where E_A allows it."""
        return np.full(len(sigma), self.rho) if self.E_A is None else water_filling(sigma, self.rho, self.E_A)

    @property
    def _balance(self) -> float:
        return math.sqrt(self.E_W) / math.sqrt(self.E_H)

    @property
    def _is_equilibrium(self) -> bool:
        return True


@dataclass(frozen=True)
class DeepLinear(Constrained):
    """Deep linear network ``Z = W_1 W_2 ... W_M`` with squared Frobenius budgets ``|W_j|_F^2 <= c_j``.

    Gauge: the Schatten quasi-norm ``(sum_i sigma_i^{2/M})^{M/2} <= prod_j sqrt(c_j)``, convex for M = 2 alone.
    Source: theory section 2; the variational form of Schatten quasi-norms, Shang et al. 2020.

    Args:
        budgets: (c_1, ..., c_M), all > 0, M >= 2; the classifier's first, the features' last.

    Raises:
        ValueError: fewer than two factors, or a budget that is not positive and finite.
    """

    budgets: tuple[float, ...]

    def __post_init__(self) -> None:
        if isinstance(self.budgets, str | bytes) or not isinstance(self.budgets, Iterable):
            raise TypeError(f"budgets must be a sequence of positive numbers, got {self.budgets!r}")
        values = tuple(positive(f"budgets[{i}]", c) for i, c in enumerate(self.budgets))
        if len(values) < 2:
            raise ValueError(f"budgets must have at least 2 entries (W and H), got {len(values)}: {values}")
        object.__setattr__(self, "budgets", values)

    @property
    def depth(self) -> int:
        """Number of factors M."""
        return len(self.budgets)

    def convex_form(self, rank: int) -> DeepLinear | None:
        """Itself for two factors (for any number if the rank is at most 1, too), else None."""
        if self.depth == 2:
            return self
        return DeepLinear((self.bound(1),) * 2) if rank <= 1 else None

    def factor_budgets(self, num_classes: int) -> tuple[float, ...]:
        """``(c_1, ..., c_M)``."""
        return self.budgets

    def gauge(self, sigma: Array) -> float:
        """``(sum_i sigma_i^{2/M})^{M/2}``."""
        top = float(sigma.max(initial=0.0))
        return top * float(((sigma / top) ** (2 / self.depth)).sum()) ** (self.depth / 2) if top > 0 else 0.0

    def factor_spectra(self, sigma: Array) -> Array:
        """Singular values (M, r) of the optimal factors: ``sigma^{1/M}`` for each, times ``sqrt(c_j) / tau^{1/M}``.

        Their squares sum to ``c_j (Omega(sigma)/tau)^{2/M}``, by the arithmetic-geometric mean inequality the least.
        """
        logs = np.log(self.budgets) / 2
        return np.exp(logs - logs.mean())[:, None] * np.asarray(sigma, dtype=float) ** (1 / self.depth)

    def factorise(self, logits: Array, prior: ClassPrior, dim: int | None = None) -> Factors:
        """Optimal factors of ``logits`` (K, K) in hidden dimension ``dim`` (default K), see :meth:`factor_spectra`.

        ``W_1 = U diag(s_1) Q^T``, ``W_j = Q diag(s_j) Q^T`` in between, ``W_M = Q diag(s_M) V^T``.

        Raises:
            ValueError: ``dim`` is smaller than the rank of the logits.
        """
        if self.depth == 2:
            return super().factorise(logits, prior, dim)
        _, u, s, vt, q = self._aligned(logits, prior, dim)
        first, *middle, last = self.factor_spectra(s)
        layers = (*((q * x) @ q.T for x in middle), (q * last) @ vt)
        return Factors((u * first) @ q.T, (q * (s / first)) @ vt, None, layers)

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


@dataclass(frozen=True, repr=False)
class PenalisedDEQ(Penalised):
    """Unconstrained features before a linear equilibrium layer, ``|A|_2 <= rho``, with penalty ``(lambda_A/2)|A|_F^2``.

    Gauge, with ``lam = sqrt(lambda_W lambda_H)`` and ``Y = Z D^{1/2}``: ``(1 - rho) lam |Y|_*`` without lambda_A; with
    it ``sum_i g(sigma_i(Y))``, ``g(s) = lam s - lam^2 s^2/(2 lambda_A)`` while ``lam s <= rho lambda_A``, then
    ``lam (1 - rho) s + lambda_A rho^2/2``: a capped minimax concave penalty (Zhang 2010). Source: theory section 2.

    Args:
        lambda_W: weight decay > 0 of the classifier.
        lambda_H: weight decay > 0 of the injected features h, summed over samples.
        rho: spectral bound in [0, 1).
        lambda_A: weight decay > 0 of A; None for none.

    Raises:
        ValueError: a parameter out of range. Without a cap (rho = 1, or rho None) the penalised problem need not have
            a minimiser, and is refused: a direction of logits costs at most ``lambda_A/2``, however large.
    """

    lambda_W: float
    lambda_H: float
    rho: float
    lambda_A: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "lambda_W", positive("lambda_W", self.lambda_W))
        object.__setattr__(self, "lambda_H", positive("lambda_H", self.lambda_H))
        if self.lambda_A is not None:
            object.__setattr__(self, "lambda_A", positive("lambda_A", self.lambda_A))
            if self.rho is None or (isinstance(self.rho, int | float) and self.rho == 1):
                raise ValueError(
                    f"rho must lie in [0, 1), got {self.rho!r}: without a bound |A|_2 <= rho < 1 the penalised DEQ "
                    "need not have a minimiser. Every direction of logits costs at most lambda_A/2 however large its "
                    "singular value, so that for small lambda_A (under cross-entropy with K >= 3 balanced classes of n "
                    "samples: lambda_A < min(log K, 2 K lambda_W lambda_H n)) the infimum is approached only as "
                    "eigenvalues of A tend to 1"
                )
        object.__setattr__(self, "rho", fraction("rho", self.rho))

    @property
    def spectral_bound(self) -> float:
        """rho."""
        return self.rho

    def convex_form(self, rank: int) -> PenalisedDEQ | None:
        """Itself without lambda_A, or with rho = 0; else None."""
        if self.lambda_A is None:
            return self
        return PenalisedDEQ(self.lambda_W, self.lambda_H, 0.0) if self.rho == 0 else None

    @property
    def slope(self) -> float:
        """``lam = sqrt(lambda_W lambda_H)``, the penalty's slope at 0 where lambda_A makes it concave."""
        return _geometric_mean(self.lambda_W, self.lambda_H)

    @property
    def strength(self) -> float:
        """``(1 - rho) sqrt(lambda_W lambda_H)``."""
        return (1 - self.convex(1).spectral_bound) * self.slope

    def equilibrium_spectrum(self, sigma: Array) -> Array:
        """``a_i = min(rho, lam sigma_i / lambda_A)``; rho throughout without lambda_A."""
        if self.lambda_A is None:
            return np.full(len(sigma), self.rho)
        return np.minimum(self.rho, self.slope / self.lambda_A * np.asarray(sigma, dtype=float))

    def gauge(self, sigma: Array) -> float:
        """``sum_i [lam (1 - a_i) sigma_i + lambda_A a_i^2 / 2]``, a the :meth:`equilibrium_spectrum`."""
        a = self.equilibrium_spectrum(sigma)
        return self.slope * float((1 - a) @ sigma) + (self.lambda_A or 0.0) / 2 * float(a @ a)

    @property
    def _balance(self) -> float:
        return math.sqrt(self.lambda_H) / math.sqrt(self.lambda_W)

    @property
    def _is_equilibrium(self) -> bool:
        return True


def water_filling(sigma: Array, cap: float, budget: float) -> Array:
    """The a that maximises ``<a, sigma>`` over ``0 <= a_i <= cap``, ``|a|^2 <= budget``, for sigma (r,) >= 0.

    ``a_i = min(cap, sigma_i / nu)``: with m at the cap, ``nu^2 = sum_{i>m} sigma_i^2 / (budget - m cap^2)``,
    for the least m at which the next entry stays below the cap. Where the budget does not bind (fewer positive entries
    than ``budget / cap^2``) the positive ones are at the cap, and the zeros, whose a changes nothing, get what one of
    them could.
    """
    sigma = np.asarray(sigma, dtype=float)
    if len(sigma) == 0 or cap == 0:
        return np.zeros(len(sigma))
    order = (-sigma).argsort(kind="stable")
    s = sigma[order] / max(float(sigma[order[0]]), 1e-300)
    s[s < 1e-150] = 0.0  # their squares underflow
    positive_entries = int(np.count_nonzero(s))
    a = np.empty(len(s))
    if budget >= positive_entries * cap**2:
        a[order] = np.where(s > 0, cap, min(cap, math.sqrt(budget - positive_entries * cap**2)))
        return a
    rest = (s[::-1] ** 2).cumsum()[::-1]  # sum over i >= m
    for m in range(positive_entries):
        left = budget - m * cap**2
        level = math.sqrt(left / rest[m])
        if s[m] * level <= cap:
            break
    filled = s * level
    filled[:m] = cap
    a[order] = filled
    return a


def _geometric_mean(*values: float) -> float:
    """``prod sqrt(x_j)``: two equal factors give themselves back, which two rounded roots do not."""
    product = math.prod(values)
    return math.sqrt(product) if 1e-280 < product < 1e280 else math.prod(map(math.sqrt, values))


def check_architecture(architecture: Any) -> Architecture:
    """Return ``architecture`` if it is one of this module's, else raise ``TypeError``."""
    if not isinstance(architecture, Constrained | Penalised):
        raise TypeError(
            "architecture must be LayerPeeled, UnconstrainedFeatures, DeepLinear, LinearDEQ or PenalisedDEQ, "
            f"got {architecture!r}"
        )
    return architecture
