"""The contract of an architecture: a gauge on the logits, and factors that attain it (theory sections 2 and 8).

After within-class collapse every architecture is one of the problems

    minimise f(Z)  subject to  Omega(Z) <= tau                                (budgets: ``Constrained``)
    minimise f(Z) + Omega(Y), Y = Z diag(omega), omega_k = sqrt(n_k)          (weight decay: ``Penalised``)

over the logits Z (K, m). In general Omega is the gauge of a set of atoms ``u v^T``; its polar is
``Omega^o(G) = max <G, atom>``, and for every convex f ``f(Z) - f* <= <G, Z> + tau Omega^o(-G)`` at ``G = grad f(Z)``.
An architecture of one's own states the three, :meth:`Architecture.gauge`, :meth:`~Architecture.polar` and
:meth:`~Architecture.atom`, in one class.

The architectures of this package are *spectral*: Omega is a function of the singular values sigma alone, stated with
the inner minimiser that attains it (the spectrum of A, or of the factors). Where it is ``1/g(rho)`` times the nuclear
norm, g the gain of the maps between features and classifier, the problem is convex, with ``radius = g(rho) tau`` or a
``strength``; a Frobenius budget or penalty on A, or a third factor, makes it a price that is not convex, and neither
exists.
"""

from __future__ import annotations

import abc
import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import numpy as np
from numpy.typing import NDArray

from ufm._linalg import svd, svdvals
from ufm._validation import positive
from ufm.architectures.blocks import Kind, transfer
from ufm.labels import ClassPrior, Labels

__all__ = [
    "Architecture",
    "Array",
    "ClassAveraged",
    "Constrained",
    "Factors",
    "Penalised",
    "Spectral",
    "geometric_mean",
    "numerical_rank",
]

Array = NDArray[np.float64]

#: Steps of Newton's method on a scalar, and the relative step that is rounding.
_MAX_NEWTON, _ROUNDING = 200, 1e-16
#: Differences of costs of a scalar below this fraction of the largest count as ties.
_TIE = 1e-15

#: Singular values below this fraction of the largest count as zero when logits are factorised.
RANK_TOLERANCE = 1e-9


@dataclass(frozen=True)
class Factors:
    """Factors with ``classifier @ transfer @ features == logits``, where ``transfer`` is what lies between them.

    Nothing in the explicit network, ``inv(I - equilibrium)`` in a DEQ, a product of ``I + A_l`` in a residual network.

    Attributes:
        classifier: W, shape (K, d).
        features: H, shape (d, K); for a DEQ the injection h, whose equilibrium is ``z* = inv(I - A) h``; for a deep
            linear network the product of ``layers``, what the classifier sees.
        equilibrium: A, shape (d, d), or None for an explicit network.
        layers: of a deep linear network of M >= 3 factors the M - 1 below the classifier, ``W_2, ..., W_M``, the last
            of shape (d, K); else empty.
        residual_maps: of a residual network ``A_1, ..., A_L`` (d, d), the first next to the features; of an unrolled
            one the maps of its L steps after the first; of a flow the one A of ``exp(A)``; else empty.
        blocks: how the residual maps act, see :mod:`ufm.architectures.blocks`.
    """

    classifier: Array
    features: Array
    equilibrium: Array | None = None
    layers: tuple[Array, ...] = ()
    residual_maps: tuple[Array, ...] = ()
    blocks: Kind = "residual"

    @property
    def equilibrium_features(self) -> Array:
        """``T H``, shape (d, K), ``inv(I - A) H`` of a DEQ: what the classifier sees. ``features`` where T is none."""
        if self.residual_maps:
            return transfer(self.blocks, self.residual_maps, len(self.features)) @ self.features
        if self.equilibrium is None:
            return self.features
        return np.asarray(np.linalg.solve(np.eye(len(self.equilibrium)) - self.equilibrium, self.features), dtype=float)

    @property
    def logits(self) -> Array:
        """The product of the factors, shape (K, K)."""
        return self.classifier @ self.equilibrium_features


class Architecture(abc.ABC):
    """What a network family can do with its weights: the gauge of a set of atoms on the logits.

    A subclass states :meth:`gauge`, :meth:`polar` and :meth:`atom`, which belong together: none of them is taken from a
    base class once another is overridden. With :meth:`bound` it is a constraint ``gauge(Z) <= bound``, without it a
    penalty ``gauge(Z diag(omega))`` that is added to the risk.

    >>> class Frobenius(Architecture):
    ...     def gauge(self, y):
    ...         return float(np.linalg.norm(y))
    ...     def polar(self, gradient):
    ...         return float(np.linalg.norm(gradient))
    ...     def atom(self, gradient):
    ...         return gradient / np.linalg.norm(gradient)
    >>> round_, g = Frobenius(), np.diag([3.0, 4.0])
    >>> round_.polar(g), float(np.vdot(g, round_.atom(g))), round_.gauge(round_.atom(g))
    (5.0, 5.0, 1.0)
    >>> round_.is_constrained, round_.bound(2), round_.convex_form(2), round_.parameters
    (False, None, None, {})
    >>> round_.column_weights(ClassPrior([5, 1]))
    array([1., 1.])
    """

    @property
    def is_spectral(self) -> bool:
        """Whether the gauge is a function of singular values."""
        return False

    @abc.abstractmethod
    def gauge(self, y: Array) -> float:
        """``Omega(Y)``, positively homogeneous and convex, of a matrix Y (K, m)."""

    def polar(self, gradient: Array) -> float:
        """``Omega^o(G) = max <G, atom>`` of a matrix G (K, m)."""
        raise NotImplementedError(f"{type(self).__name__} states no polar")

    def polar_bound(self, gradient: Array) -> float:
        """An upper bound of the polar, which bounds of optimal values rest on: itself, where it is computed exactly."""
        return self.polar(gradient)

    def spent(self, factors: Factors, prior: ClassPrior | Labels) -> float:
        """What ``factors`` cost, at least the gauge of their logits; ``inf`` where they are not allowed at all."""
        return float(self.gauge(factors.logits * self.column_weights(prior)))

    def atom(self, gradient: Array) -> Array:
        """A matrix of gauge at most 1 that attains the polar: ``<G, atom> = Omega^o(G)``, shape (K, m)."""
        raise NotImplementedError(f"{type(self).__name__} states no atom")

    def factorise(self, logits: Array, prior: ClassPrior | Labels, dim: int | None = None) -> Factors:
        """Factors of ``logits`` that attain the gauge; a ValueError unless an architecture states them."""
        raise ValueError(
            f"architecture {self!r} states no factors of its logits, which features and geometry are of: "
            "they come from factorise(logits, prior, dim), which it leaves out"
        )

    def bound(self, num_classes: int) -> float | None:
        """tau where the gauge is at most tau; None for a penalty."""
        return None

    def column_weights(self, prior: ClassPrior | Labels) -> Array:
        """Weights omega_j > 0, shape (m,): the gauge is a function of ``Y = Z diag(omega)``."""
        return np.ones(prior.num_columns)

    @property
    def is_constrained(self) -> bool:
        """Whether the gauge is bounded; False where it is added to the risk."""
        # a bound may stand in the class, or on the object alone, where it is no less meant
        return getattr(self.bound, "__func__", None) is not Architecture.bound

    @property
    def parameters(self) -> dict[str, Any]:
        """The fields of the class and what they are here, without those that are None, or a default word."""
        if not dataclasses.is_dataclass(self):
            return {}
        given = {f.name: (getattr(self, f.name), f.default) for f in dataclasses.fields(self)}
        return {
            name: value
            for name, (value, default) in given.items()
            if value is not None and not (isinstance(value, str) and value == default)
        }

    def convex_form(self, rank: int) -> Spectral | None:
        """The architecture with a nuclear-norm gauge that equals this one's on logits of rank at most ``rank``.

        Itself where the gauge is a multiple of the nuclear norm; None where it is not.
        """
        return None

    def __repr__(self) -> str:
        if not dataclasses.is_dataclass(self):
            return f"<{type(self).__name__}>"
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.parameters.items())})"


class Spectral(Architecture):
    """Architectures whose gauge, or price where it is not convex, is a function of the singular values.

    >>> from ufm.architectures import LayerPeeled
    >>> peeled = LayerPeeled(1.0, 1.0)
    >>> peeled.gauge(np.diag([3.0, 1.0])), peeled.spectral_gauge(np.array([3.0, 1.0]))
    (4.0, 4.0)
    >>> peeled.convex(2) is peeled, peeled.relaxation(3, 0.5) is peeled, peeled.equilibrium_spectrum(np.ones(2))
    (True, True, array([0., 0.]))
    >>> factors = peeled.factorise(np.diag([3.0, 1.0]), ClassPrior([5, 1]))
    >>> bool(np.allclose(factors.logits, np.diag([3.0, 1.0]))), round(float((factors.classifier**2).sum()), 6)
    (True, 4.0)
    """

    @property
    def is_spectral(self) -> bool:
        """True; False of those whose features are constrained further."""
        return True

    #: Choices that are no sizes, one dictionary of arguments for each kind of the architecture.
    variants: ClassVar[tuple[dict[str, Any], ...]] = ({},)

    @property
    def spectral_bound(self) -> float:
        """Bound rho on |A|_2, inf where there is none; 0 for a network without maps A."""
        return 0.0

    @property
    def blocks(self) -> Kind | None:
        """Kind of the maps between features and classifier, see :mod:`ufm.architectures.blocks`; None without any."""
        return None

    @property
    def num_maps(self) -> int:
        """Number of maps A that are free, the L of a residual network; 0 without any."""
        return int(self.blocks is not None)

    @property
    def map_repeats(self) -> int:
        """How often a map is applied that is shared; 1 where none is."""
        return 1

    @property
    def is_equilibrium(self) -> bool:
        """Whether there is an equilibrium map A, ``Z = W (I - A)^{-1} H``."""
        return self.blocks == "deq"

    def inverse_gains(self, a: Array) -> Array:
        """``1/g(a_i)`` for the spectrum a (..., r) of the maps: what a singular value costs of itself, ``1 - a_i``."""
        return 1 - np.asarray(a, dtype=float)

    @property
    def inverse_gain(self) -> float:
        """``1/g(rho)``, ``1 - rho`` of a DEQ; 1 without maps."""
        return float(self.inverse_gains(np.array([self.spectral_bound]))[0])

    def slopes(self, sigma: Array) -> Array:
        """``d Omega / d sigma_i``, shape (..., r): ``1/g(a_i)`` at the spectrum a that attains the gauge."""
        return self.inverse_gains(self.equilibrium_spectrum(sigma))

    @property
    def num_factors(self) -> int:
        """Number M of factors beside A: 2 but for deep linear networks."""
        return 2

    @property
    @abc.abstractmethod
    def balance(self) -> float:
        """``alpha`` with ``|W|_F^2 = alpha sum_i sigma_i(Y)/g(a_i)``, the optimal split between W and H."""

    @abc.abstractmethod
    def spectral_gauge(self, sigma: Array) -> float:
        """``Omega(sigma)``: what singular values sigma (r,) of ``Y = Z diag(omega)`` cost, in budget or in penalty."""

    def gauge(self, y: Array) -> float:
        """``Omega`` of a matrix Y (K, m), or of the singular values (r,) of one."""
        y = np.asarray(y, dtype=float)
        return self.spectral_gauge(y if y.ndim == 1 else np.asarray(svdvals(y), dtype=float))

    def relaxation(self, num_classes: int, upper: float) -> Spectral | None:
        """A convex architecture whose gauge is at most this one's wherever that is at most ``upper``; None for none."""
        form = self.convex_form(num_classes)
        if form is None:
            raise NotImplementedError(f"{type(self).__name__} states no convex relaxation")
        return form

    def convex(self, rank: int) -> Spectral:
        """:meth:`convex_form`, or a ValueError that says that there is none."""
        form = self.convex_form(rank)
        if form is None:
            raise ValueError(
                f"architecture must have a nuclear-norm gauge here, got {self!r}, whose gauge is not convex: "
                "it has no radius or strength; solve it with ufm.solve(..., method='search')"
            )
        return form

    def equilibrium_spectrum(self, sigma: Array) -> Array:
        """The spectrum a (..., r) of the maps that attain the gauge at ``sigma``: rho throughout, 0 without maps."""
        return np.full(np.shape(sigma), self.spectral_bound)

    def factorise(self, logits: Array, prior: ClassPrior | Labels, dim: int | None = None) -> Factors:
        """Optimal factors of ``logits`` (K, K) in feature dimension ``dim`` (default K).

        With the singular value decomposition ``Y = Z diag(omega) = U S V^T`` of rank r, the spectrum a of
        :meth:`equilibrium_spectrum` and an orthonormal d x r matrix Q:
        ``W = sqrt(alpha) U [S/g(a)]^{1/2} Q^T``, ``H diag(omega) = sqrt(1/alpha) Q [S/g(a)]^{1/2} V^T``, every map
        ``A = Q diag(a) Q^T``; for a DEQ ``1/g(a) = I - diag a``. Source: theory section 2, (iii).

        Raises:
            ValueError: ``dim`` is smaller than the rank of the logits.
        """
        omega = self.column_weights(prior)
        return self.factorise_decomposed(svd(logits * omega, full_matrices=False), prior, dim)

    def factorise_decomposed(
        self, decomposed: tuple[Array, Array, Array], prior: ClassPrior | Labels, dim: int | None = None
    ) -> Factors:
        """:meth:`factorise` for two factors from the thin singular value decomposition U, s, V^T of ``Z diag(omega)``.

        For logits that are too large to be written out.

        >>> from ufm.architectures import LayerPeeled
        >>> decomposed = np.eye(3)[:, :1], np.array([4.0]), np.eye(3)[:1]
        >>> LayerPeeled(1.0, 1.0).factorise_decomposed(decomposed, ClassPrior([1, 1, 1]), 1).logits[0]
        array([4., 0., 0.])
        """
        omega, u, s, vt, q = self._aligned(decomposed, prior, dim)
        a = self.equilibrium_spectrum(s)
        root = np.sqrt(self.inverse_gains(a) * s)
        w = math.sqrt(self.balance) * (u * root) @ q.T
        h = math.sqrt(1 / self.balance) * q @ (root[:, None] * vt) / omega
        if self.blocks is None:
            return Factors(w, h)
        shared = (q * a) @ q.T
        if self.blocks == "deq":
            return Factors(w, h, shared)
        return Factors(w, h, residual_maps=(shared,) * (self.num_maps * self.map_repeats), blocks=self.blocks)

    def _layered(
        self,
        logits: Array,
        prior: ClassPrior | Labels,
        dim: int | None,
        spectra: Callable[[Array], Array],
    ) -> Factors:
        """Factors of a linear network of M layers with singular values ``spectra(s)`` (M, r), aligned with the logits.

        ``W_1 = U diag(s_1) Q^T``, ``W_j = Q diag(s_j) Q^T`` in between, ``W_M diag(omega) = Q diag(s_M) V^T``.
        """
        decomposed = svd(logits * self.column_weights(prior), full_matrices=False)
        omega, u, s, vt, q = self._aligned(decomposed, prior, dim)
        first, *middle, last = spectra(s)
        layers = (*((q * x) @ q.T for x in middle), (q * last) @ vt / omega)
        return Factors((u * first) @ q.T, (q * (s / first)) @ vt / omega, None, layers)

    def _aligned(
        self, decomposed: tuple[Array, Array, Array], prior: ClassPrior | Labels, dim: int | None
    ) -> tuple[Array, Array, Array, Array, Array]:
        """``omega, U, s, V^T``, the decomposition of ``Z diag(omega)`` truncated to its rank, and the d x r basis Q."""
        omega = self.column_weights(prior)
        u, s, vt = decomposed
        k = prior.num_classes
        rank = numerical_rank(s)
        d = k if dim is None else dim
        if d < rank:
            raise ValueError(f"dim must be at least the rank of the optimal logits, {rank}, got {dim}")
        u = u[:, :rank]
        # In d = K dimensions Q = U makes W symmetric for symmetric logits; any other Q is a rotation of it.
        return omega, u, s[:rank], vt[:rank], u if d == k else np.eye(d, rank)


class Constrained(Spectral):
    """Architectures with budgets: ``Omega(sigma(Z)) <= tau``, Omega homogeneous of degree one.

    >>> from ufm.architectures import LinearDEQ
    >>> deq = LinearDEQ(1.0, 1.0, 0.5)
    >>> deq.bound(3), deq.radius(3), deq.factor_budgets(3), deq.spectral_gauge(np.array([6.0]))
    (3.0, 6.0, (3.0, 3.0), 3.0)
    """

    is_constrained = True

    @abc.abstractmethod
    def factor_budgets(self, num_classes: int) -> tuple[float, ...]:
        """Budgets ``(c_1, ..., c_M)`` of the squared Frobenius norms of the factors, W first and H last.

        M = 2 but for deep linear networks; H has a column a class.
        """

    def bound(self, num_classes: int) -> float:
        """``tau = prod_j sqrt(c_j)``, the bound on the gauge."""
        return geometric_mean(*self.factor_budgets(num_classes))

    def radius(self, num_classes: int) -> float:
        """Radius of the nuclear-norm ball of logits, ``g(rho) tau``: of a DEQ ``tau / (1 - rho)``.

        Raises:
            ValueError: the gauge is not a multiple of the nuclear norm (on K x K matrices).
        """
        form = self.convex(num_classes)
        return self.bound(num_classes) / form.inverse_gain

    def spectral_gauge(self, sigma: Array) -> float:
        """``sum_i sigma_i/g(a_i)``, a the :meth:`equilibrium_spectrum`; to be at most :meth:`bound`."""
        return float(self.slopes(sigma) @ sigma)


class ClassAveraged(Constrained):
    """Budgets averaged over classes: ``(1/K)|W|_F^2 <= E_W`` and ``(1/K) sum_k (1/n_k) sum_i |h_ki|^2 <= E_H``.

    >>> from ufm.architectures import LayerPeeled
    >>> LayerPeeled(1.0, 4.0).factor_budgets(3), LayerPeeled(1.0, 4.0).bound(3), LayerPeeled(1.0, 4.0).balance
    ((3.0, 12.0), 6.0, 0.5)
    """

    E_W: float
    E_H: float

    def check_budgets(self) -> None:
        """Make E_W and E_H floats; a TypeError or ValueError unless they are positive and finite."""
        for name in ("E_W", "E_H"):
            object.__setattr__(self, name, positive(name, getattr(self, name)))

    def factor_budgets(self, num_classes: int) -> tuple[float, float]:
        """``(K E_W, K E_H)``."""
        return num_classes * self.E_W, num_classes * self.E_H

    def bound(self, num_classes: int) -> float:
        """``tau = K sqrt(E_W E_H)``."""
        return num_classes * geometric_mean(self.E_W, self.E_H)

    @property
    def balance(self) -> float:
        """Ratio alpha of ``|W|_F^2`` to what the gauge charges, the optimal split between W and H."""
        return math.sqrt(self.E_W) / math.sqrt(self.E_H)


class Penalised(Spectral):
    """Architectures with weight decay: ``f(Z) + Omega(sigma(Z D^{1/2}))``, ``D = diag(n_k)``.

    Omega is a sum over singular values, ``sum_i g(sigma_i)``, of a concave price g whose slope ``g'`` is convex.

    >>> from ufm.architectures import UnconstrainedFeatures
    >>> model = UnconstrainedFeatures(0.1, 0.1)
    >>> model.column_weights(ClassPrior([9, 4])), round(model.spectral_gauge(np.array([3.0, 1.0])), 6)
    (array([3., 2.]), 0.4)
    """

    lambda_W: float
    lambda_H: float

    is_constrained = False

    @property
    def slope(self) -> float:
        """``lam = sqrt(lambda_W lambda_H)``, the price's slope at 0."""
        return geometric_mean(self.lambda_W, self.lambda_H)

    @property
    def multiplier(self) -> float:
        """What the gradient at a nonzero optimum is measured by: the slope at 0 where that is finite."""
        return self.slope

    @property
    def factor_decays(self) -> tuple[float, ...]:
        """Weight decays of the M factors, W first and H last, the latter summed over samples."""
        return self.lambda_W, self.lambda_H

    @property
    def map_decay(self) -> float:
        """Weight decay of every map A; 0 where there is none."""
        return 0.0

    def decay(self, factors: Factors, prior: ClassPrior | Labels) -> float:
        """What factors cost by the definition, ``(lambda_W |W|^2 + lambda_H sum_j n_j |h_j|^2 + lambda_A |A|^2)/2``.

        Of a deep linear network the sum over all layers, of a residual one over all its maps.
        """
        layers = (factors.classifier, *(factors.layers or (factors.features,)))
        squares = [float((x**2).sum()) for x in layers[:-1]]
        squares.append(float((layers[-1] ** 2).sum(axis=0) @ prior.counts))
        total = sum(decay * square for decay, square in zip(self.factor_decays, squares, strict=True))
        maps = factors.residual_maps if factors.equilibrium is None else (factors.equilibrium,)
        return 0.5 * (total + self.map_decay * sum(float((a**2).sum()) for a in maps))

    @property
    def strength(self) -> float:
        """Strength of the nuclear-norm penalty; a ValueError where the penalty is none."""
        return cast(Penalised, self.convex(2)).strength

    def spectral_gauge(self, sigma: Array) -> float:
        """The penalty ``strength * sum_i sigma_i``."""
        return self.strength * float(sigma.sum())

    def slopes(self, sigma: Array) -> Array:
        """``g'(sigma_i)``, shape (r,): ``lam/g(a_i)``."""
        return self.slope * super().slopes(sigma)

    def curvatures(self, sigma: Array) -> Array:
        """``-g''(sigma_i) >= 0``, shape (r,): 0 for a multiple of the nuclear norm."""
        return np.zeros(len(sigma))

    def shrunk(self, b: Array, weight: float) -> Array:
        """The s (r,) that minimise ``(s_i - b_i)^2 / (2 weight) + g(s_i)`` over s_i >= 0, for b (r,) >= 0; 0 at a tie.

        As g' is convex, so is the derivative, which is positive at ``s = b``: its largest root, to which Newton's
        method descends from b without overshooting, is the only minimum beside s = 0.
        """
        return np.array([self._shrunk(float(x), weight) for x in b])

    def _shrunk(self, b: float, weight: float) -> float:
        def price(s: float) -> float:
            return self.spectral_gauge(np.array([s]))

        s = b
        for _ in range(_MAX_NEWTON):
            at = np.array([s])
            rise = (s - b) / weight + float(self.slopes(at)[0])
            bend = 1 / weight - float(self.curvatures(at)[0])
            if bend <= 0:
                return 0.0  # the derivative falls up to here, and is positive: there is no root
            step = rise / bend
            if step <= _ROUNDING * s:
                break
            s -= step
            if s <= 0:
                return 0.0
        # half of s^2 - 2 b s, not the difference of two squares: a tie is one to rounding
        return s if s * (s - 2 * b) / (2 * weight) + price(s) < -_TIE * b * b / weight else 0.0

    def column_weights(self, prior: ClassPrior | Labels) -> Array:
        """``omega_k = sqrt(n_k)``."""
        return np.sqrt(prior.counts)


def numerical_rank(sigma: Array) -> int:
    """Number of singular values (r,), descending, that count when logits are factorised.

    >>> numerical_rank(np.array([2.0, 1.0, 1e-12]))
    2
    """
    return int((sigma > RANK_TOLERANCE * sigma[0]).sum()) if len(sigma) and sigma[0] > 1e-300 else 0


def geometric_mean(*values: float) -> float:
    """``prod sqrt(x_j)``: two equal factors give themselves back, which two rounded roots do not.

    >>> geometric_mean(0.1, 0.1), geometric_mean(1e-300, 1e-300)
    (0.1, 1e-300)
    """
    product = math.prod(values)
    return math.sqrt(product) if 1e-280 < product < 1e280 else math.prod(map(math.sqrt, values))
