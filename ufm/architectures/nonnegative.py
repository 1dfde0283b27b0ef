r"""Nonnegative features, ``H >= 0``, as those behind a ReLU are: what they make of an architecture with two factors.

The gauge is then that of the atoms ``u v^T`` with ``v >= 0``, at least the nuclear norm and no function of singular
values (:mod:`ufm.gauges.nonnegative`). Factors of Z need as many dimensions as it has such atoms, which may be more
than its rank: d = K orthogonal features for centred logits of rank K - 1. Source: Dang et al. 2024; theory section 8.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from ufm._linalg import svd
from ufm._validation import one_of
from ufm.architectures.base import Array, Factors, Spectral
from ufm.labels import ClassPrior, Labels

__all__ = ["FEATURES", "FeatureCone"]

#: What ``features=`` may be.
FEATURES = ("real", "nonnegative")

#: A singular value is one of a matrix whose features may have either sign.
_NO_SPECTRUM = "architecture must have real features here, whose gauge is a function of singular values, got {!r}"


class FeatureCone(Spectral):
    """Two factors whose features are real, or nonnegative where the field ``features`` says so.

    >>> from ufm.architectures import LayerPeeled
    >>> relu = LayerPeeled(1.0, 1.0, features="nonnegative")
    >>> etf = np.eye(3) - 1 / 3
    >>> round(LayerPeeled(1.0, 1.0).gauge(etf), 6), round(relu.gauge(etf), 6)  # K - 1 and sqrt(K (K - 1))
    (2.0, 2.44949)
    >>> relu.is_spectral, relu.convex_form(2), round(relu.polar(-np.eye(3)), 6), relu.polar_bound(np.eye(3))
    (False, None, 1.0, 1.0)
    >>> factors = relu.factorise(etf, ClassPrior([1, 1, 1]))
    >>> bool((factors.features >= 0).all()), bool(np.allclose(factors.logits, etf))
    (True, True)
    >>> round(relu.spent(factors, ClassPrior([1, 1, 1])), 6)
    2.44949
    """

    features: str

    def check_features(self) -> None:
        """Raise a ValueError unless ``features`` is one of :data:`FEATURES`."""
        one_of("features", self.features, FEATURES)

    @property
    def is_spectral(self) -> bool:
        """Whether the features are real."""
        return self.features == "real"

    @property
    def price(self) -> float:
        """What a unit of the gauge of atoms costs: 1 in budget, lam in weight decay."""
        return getattr(self, "slope", 1.0)

    def convex_form(self, rank: int) -> Any:
        """Itself where features are real; else None, for the gauge is no multiple of the nuclear norm."""
        return self if self.is_spectral else None

    def relaxation(self, num_classes: int, upper: float) -> Spectral:
        """With real features, of which the nonnegative ones are some."""
        return self if self.is_spectral else dataclasses.replace(self, features="real")  # type: ignore[type-var]

    def gauge(self, y: Array) -> float:
        """``Omega(Y)`` of a matrix (K, m); with real features of singular values (r,), too."""
        if self.is_spectral:
            return super().gauge(y)
        from ufm.gauges import nonnegative_gauge

        return self.price * nonnegative_gauge(_matrix(y, self)).value

    def polar(self, gradient: Array) -> float:
        """``max {|G v| : v >= 0, |v| = 1}`` over the price; with real features the spectral norm."""
        if self.is_spectral:
            return float(np.linalg.norm(gradient, 2)) / self.price
        from ufm.gauges import nonnegative_polar

        return nonnegative_polar(gradient, bounded=False).value / self.price

    def polar_bound(self, gradient: Array) -> float:
        """The polar from above: exact for up to a dozen columns that agree in sign, else by a relaxation."""
        if self.is_spectral:
            return self.polar(gradient)
        from ufm.gauges import nonnegative_polar

        return nonnegative_polar(gradient).bound / self.price

    def atom(self, gradient: Array) -> Array:
        """``u v^T`` of gauge 1 with ``<G, u v^T>`` the polar."""
        if self.is_spectral:
            u, _, vt = svd(gradient)
            return np.asarray(np.outer(u[:, 0], vt[0]) / self.price, dtype=float)
        from ufm.gauges import nonnegative_polar

        v = nonnegative_polar(gradient, bounded=False).vector
        u = gradient @ v
        return np.asarray(np.outer(u / max(float(np.linalg.norm(u)), 1e-300), v) / self.price, dtype=float)

    def factorise(self, logits: Array, prior: ClassPrior | Labels, dim: int | None = None) -> Factors:
        """Optimal factors of ``logits`` (K, m), in feature dimension ``dim``; by default K, or one an atom.

        Raises:
            ValueError: ``dim`` is smaller than the rank of the logits, or than the number of nonnegative atoms found.
        """
        if self.is_spectral:
            return super().factorise(logits, prior, dim)
        from ufm.gauges import nonnegative_gauge

        found = nonnegative_gauge(np.asarray(logits, dtype=float) * self.column_weights(prior))
        return self.scaled(found.classifier, found.features, prior, dim)

    def scaled(self, w: Array, h: Array, prior: ClassPrior | Labels, dim: int | None = None) -> Factors:
        """Factors of ``Z diag(omega) = w h`` in which the two share the cost as the architecture wants it.

        Atoms, columns of w (K, a) and rows of h (a, m), are made equally long first; zeros fill up to ``dim``.

        Raises:
            ValueError: ``dim`` is smaller than the number of atoms.
        """
        lengths = np.linalg.norm(w, axis=0), np.linalg.norm(h, axis=1)
        used = (lengths[0] > 0) & (lengths[1] > 0)
        ratio = np.sqrt(lengths[1][used] / lengths[0][used])
        w, h = w[:, used] * ratio, h[used] / ratio[:, None]
        atoms = w.shape[1]
        d = max(prior.num_classes, atoms) if dim is None else dim
        if d < atoms:
            raise ValueError(
                f"dim must be at least the number of nonnegative atoms that make up the optimal logits, {atoms}, got "
                f"{dim}: nonnegative features of a matrix need its nonnegative rank, which may be above its rank"
            )
        root = math.sqrt(self.balance)
        classifier, features = np.zeros((len(w), d)), np.zeros((d, h.shape[1]))
        classifier[:, :atoms], features[:atoms] = root * w, h / root / self.column_weights(prior)
        return Factors(classifier, features)

    def spent(self, factors: Factors, prior: ClassPrior | Labels) -> float:
        """``|W|_F |H diag(omega)|_F`` times the price; ``inf`` where a feature is negative."""
        if not self.is_spectral and not (factors.features >= 0).all():
            return math.inf
        h = factors.features * self.column_weights(prior)
        return self.price * float(np.linalg.norm(factors.classifier)) * float(np.linalg.norm(h))

    def spectral_gauge(self, sigma: Array) -> float:
        """What singular values cost; a ValueError where features are nonnegative."""
        if not self.is_spectral:
            raise ValueError(_NO_SPECTRUM.format(self))
        return float(super().spectral_gauge(sigma))  # type: ignore[safe-super]


def _matrix(y: Array, architecture: FeatureCone) -> Array:
    y = np.asarray(y, dtype=float)
    if y.ndim != 2:
        raise ValueError(_NO_SPECTRUM.format(architecture))
    return y
