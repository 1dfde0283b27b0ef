r"""What an encoder charges for its features, and the optimum at the kernel of its last hidden layer.

Ordinary training puts weight decay on weights, not on features. With H (d x N) the features of all samples, ``p_i`` the
softmax of sample i and ``G = (p - y)/N`` (K x N), stationarity of the classifier alone, ``G H^T = -lambda_W W``, makes

    -W^T G = H P,    P = G^T G / lambda_W    (N x N, of rank below K):

the gradient in the features is what a quadratic price ``tr(H P H^T)/2`` would make it. The unconstrained features model
is ``H P = lambda_H H``; :class:`EncoderPrice` says how far from that a network is.

Where the features are a linear map of activations, ``H = V Phi^T``, with decay lambda_V on V, they are charged by the
kernel ``Theta = Phi Phi^T``: ``H P Theta = lambda_V H``. For that kernel training is a convex problem,

    min_M  (1/N) sum_i CE(M phi_i, y_i) + sqrt(lambda_W lambda_V) |M|_*,    M = W V,

as soon as d is at least the rank of its optimum, and :func:`predict_from_activations` solves it. A kernel with one
number for all pairs, one for the pairs of a class and one for a sample itself, ``a 11^T + b Y^T Y + c I``, makes the
price of a class mean ``lambda_V / (b + c/n_k)``: by classes where b rules, by samples where c does. The minority is
collapsed iff ``n_B (c + b n_B) <= N^2 lambda_W lambda_V`` (:meth:`ClassKernel.threshold`).

Source: derived here; |M|_* by |W|_F, |V|_F as in Srebro, Rennie & Jaakkola 2004.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ufm._validation import array, integer, positive, real, tolerance
from ufm.losses import CrossEntropy
from ufm.trainings.class_indices import class_indices

__all__ = ["ClassKernel", "EncoderPrice", "KernelPrediction", "predict_from_activations"]

Array = NDArray[np.float64]

#: Ridge of the coordinates that V is moved in, as a share of the kernel's mean eigenvalue: without it directions in
#: which the activations hardly vary move as far as the others, with none of it L-BFGS needs ten times the iterations.
RIDGE = 0.1
#: Of every sample, with the weight 1/N.
_LOSS = CrossEntropy()
#: Largest entry of weights and features, and its inverse the least of features: squares of others leave float64.
_LARGEST = 1e100
#: Of what features and slopes of their size could be charged, what is rounding.
_UNCHARGED = 1e-13
#: Pairs that L-BFGS remembers, and iterations between two looks at the gap.
MEMORY, STRIDE = 30, 250


@dataclass(frozen=True)
class EncoderPrice:
    """How far what an encoder charges is from a weight decay of the features; see the module's docstring.

    Attributes:
        identity: ``|W^T G + H P|_F / |H P|_F``: 0 where the classifier is stationary.
        price: lambda_H that comes nearest, ``<H P, H>/<H, H>``.
        departure: ``|H P - price H|_F / |H P|_F``, from 0 (the unconstrained features model) to 1.
        class_prices: the same price over the samples of each class, shape (K,); 0 for a class whose features all are.
        within: share of the features' scatter that is within classes.
        means_identity: ``identity`` with class means in the place of samples, whose classifier is not stationary.

    >>> w, h = np.eye(2), np.array([[1.0, 0.0], [0.0, 1.0]])  # logits (1, 0) and (0, 1): stationary at this decay
    >>> found = EncoderPrice.of(w, h, [0, 1], 1 / (2 * (1 + np.e)))
    >>> found.departure > 0.5, found.within
    (True, 0.0)
    """

    identity: float
    price: float
    departure: float
    class_prices: Array
    within: float
    means_identity: float

    @classmethod
    def of(cls, classifier: Any, features: Any, labels: Any, lambda_W: Any) -> EncoderPrice:
        """Measure it, for cross-entropy and a classifier without bias.

        Args:
            classifier: W, shape (K, d).
            features: of all samples, shape (N, d).
            labels: shape (N,), integers 0..K-1, every class at least once.
            lambda_W: weight decay of the classifier, > 0, beside the loss's mean over samples.

        Raises:
            TypeError, ValueError: an argument is not what it should be, or nothing is charged: all features are 0, all
                alike in balanced classes, or so well told apart that the loss has no slope in float64. The message
                names it.
        """
        w = array("classifier", classifier, ndim=2, shape="(K, d)")
        h = array("features", features, ndim=2, shape=f"(N, {w.shape[1]})").T
        if h.shape[0] != w.shape[1]:
            raise ValueError(f"features must have {w.shape[1]} columns, as classifier has, got {h.shape[0]}")
        y, decay = _one_hot(labels, h.shape[1], len(w)), positive("lambda_W", lambda_W)
        if not h.any():
            raise ValueError("features must not all be 0: nothing is charged for them")
        for name, x, least in (("classifier", w, 0.0), ("features", h, 1 / _LARGEST)):
            if not least <= np.abs(x).max() <= _LARGEST:
                raise ValueError(
                    f"{name} must have a largest entry between {least:g} and {_LARGEST:g}, got {np.abs(x).max():g}"
                )
        g = _LOSS.gradient(w @ h, _weights(y), y)
        charged = (h @ g.T) @ g / decay
        if not np.linalg.norm(charged) > _UNCHARGED * np.linalg.norm(h) * np.linalg.norm(g, 2) ** 2 / decay:
            raise ValueError(
                "classifier and features must leave the loss a slope H G^T in the classifier, got 0: nothing is charged"
            )
        counts = y.sum(axis=1)
        means = h @ y.T / counts
        g_means = _LOSS.gradient(w @ means, counts / h.shape[1])
        price = float((charged * h).sum() / (h * h).sum())
        own, size = (charged * h).sum(axis=0), (h * h).sum(axis=0)
        centred = h - h.mean(axis=1, keepdims=True)
        scatter = float((centred**2).sum())
        return cls(
            identity=_relative(w.T @ g + charged, charged),
            price=price,
            departure=_relative(charged - price * h, charged),
            class_prices=np.divide(own @ y.T, size @ y.T, out=np.zeros(len(w)), where=size @ y.T > 0),
            within=float(((h - means @ y) ** 2).sum()) / scatter if scatter else 0.0,
            means_identity=_relative(w.T @ g_means + means @ g_means.T @ g_means / decay, w.T @ g_means),
        )


@dataclass(frozen=True)
class KernelPrediction:
    """The optimum at the kernel of given activations.

    Attributes:
        classifier: W, shape (K, q), q the rank.
        features: H, shape (q, N); the logits are ``W H``, and the factors share what the two decays charge.
        value: ``(1/N) sum CE + sqrt(lambda_W lambda_V) |M|_*``.
        lower: no W and V have a lower value: the dual at the loss's gradient, scaled until it is feasible.
        singular_values: of M, descending, shape (q,).
        iterations: of L-BFGS.
    """

    classifier: Array = field(repr=False)
    features: Array = field(repr=False)
    value: float
    lower: float
    singular_values: Array
    iterations: int

    @property
    def logits(self) -> Array:
        """``Z = W H``, shape (K, N)."""
        return self.classifier @ self.features

    @property
    def gap(self) -> float:
        """``(value - lower)/value``: how much better anything could be."""
        return (self.value - self.lower) / self.value

    def class_logits(self, labels: Any) -> Array:
        """Class means of the logits, each column centred, shape (K, K).

        Raises:
            TypeError, ValueError: ``labels`` are not N integers with every class at least once.

        >>> predict_from_activations(np.eye(2), [0, 1], 0.1).class_logits([0, 1]).sum(axis=0).round(12).tolist()
        [0.0, 0.0]
        """
        return class_logits(self.logits, labels)


@dataclass(frozen=True)
class ClassKernel:
    """A kernel of three numbers: ``Theta = common 11^T + between Y^T Y + sample I``.

    >>> kernel = ClassKernel(common=0.0, between=1.0, sample=2.0)
    >>> round(kernel.threshold(60, 3, 3, 0.1), 3)  # n_B (2 + n_B) = (3 (60 + n_B))^2 0.1^2
    24.314
    """

    common: float
    between: float
    sample: float

    def __post_init__(self) -> None:
        for name in ("common", "between", "sample"):
            value = real(name, getattr(self, name))
            if value < 0:
                raise ValueError(f"{name} must be >= 0, got {value!r}")
            object.__setattr__(self, name, value)
        if not self.between + self.sample:
            raise ValueError(
                "between must be > 0 where sample is 0, got 0 for both: such a kernel tells no classes apart"
            )

    @classmethod
    def of(cls, activations: Any, labels: Any) -> ClassKernel:
        """The averages of ``Phi Phi^T`` over pairs of different classes, of one class, and of a sample with itself.

        Classes count alike. An average below the one before it is taken as equal to it.

        Raises:
            TypeError, ValueError: ``activations`` are not (N, p), ``labels`` not N integers of at least two classes.
        """
        phi = array("activations", activations, ndim=2, shape="(N, p)")
        y = _one_hot(labels, len(phi), None)
        counts, sums = y.sum(axis=1), y @ phi
        blocks = sums @ sums.T
        selves = y @ (phi * phi).sum(axis=1)
        pairs = counts * (counts - 1)
        inside = (np.diag(blocks) - selves)[pairs > 0] / pairs[pairs > 0]
        means = blocks / np.outer(counts, counts)
        common = max(0.0, float(means[~np.eye(len(y), dtype=bool)].mean()))
        itself = float((selves / counts).mean())
        between = max(0.0, (float(inside.mean()) if len(inside) else itself) - common)
        return cls(common, between, max(0.0, itself - common - between))

    def activations(self, labels: Any) -> Array:
        """Phi with this kernel, shape (N, 1 + K + N)."""
        y = _one_hot(labels, len(np.asarray(labels)), None).T
        parts = (np.sqrt(self.common) * np.ones((len(y), 1)), np.sqrt(self.between) * y)
        return np.hstack([*parts, math.sqrt(self.sample) * np.eye(len(y))])

    def threshold(self, majority_count: Any, num_majority: Any, num_minority: Any, decay: Any) -> float:
        """n_B* up to which the minority is collapsed: the root of ``n_B (sample + between n_B) = (N decay)^2``.

        ``N = K_A n_A + K_B n_B``, the least root; inf where collapsed at every n_B.

        Args:
            majority_count: n_A > 0.
            num_majority, num_minority: K_A >= 1 and K_B >= 2.
            decay: ``sqrt(lambda_W lambda_V)`` > 0.

        Raises:
            TypeError, ValueError: an argument out of range; the message names it.
        """
        k_a = integer("num_majority", num_majority, minimum=1)
        k_b = integer("num_minority", num_minority, minimum=2)
        lead, rate = positive("decay", decay), k_a * positive("majority_count", majority_count)
        # (between - (decay K_B)^2) n^2 + (sample - 2 decay^2 K_B K_A n_A) n - (decay K_A n_A)^2 = 0
        a, b, c = self.between - (lead * k_b) ** 2, self.sample - 2 * lead**2 * k_b * rate, -((lead * rate) ** 2)
        roots = np.roots([a, b, c] if a else [b, c])
        real_roots = roots[(abs(roots.imag) <= 1e-12 * abs(roots)) & (roots.real > 0)].real
        return float(real_roots.min()) if real_roots.size else math.inf


def predict_from_activations(
    activations: Any,
    labels: Any,
    lambda_W: Any,
    lambda_V: Any = None,
    *,
    tol: Any = 1e-6,
    max_iterations: Any = 20000,
    seed: Any = 0,
) -> KernelPrediction:
    """The optimum over W and V with the activations as they are; see the module's docstring.

    Args:
        activations: Phi, that the last linear map before the features takes, shape (N, p), with a column of ones where
            it has a bias that decays like its weights.
        labels: shape (N,), integers 0..K-1, every class at least once.
        lambda_W, lambda_V: weight decay > 0 of W and of V (None: the same), beside the loss's mean over samples.
        tol: relative duality gap in (0, 0.01] at which it ends.
        max_iterations: of L-BFGS; where they end first, :attr:`KernelPrediction.gap` says how near it came.
        seed: of the start.

    Raises:
        TypeError, ValueError: an argument is not what it should be; the message names it.

    >>> found = predict_from_activations(np.eye(4), [0, 0, 1, 1], 0.05)
    >>> found.gap < 1e-6, found.class_logits([0, 0, 1, 1]).round(3).tolist()
    (True, [[1.288, -1.288], [-1.288, 1.288]])
    """
    phi = array("activations", activations, ndim=2, shape="(N, p)")
    y = _one_hot(labels, len(phi), None)
    decay_w = positive("lambda_W", lambda_W)
    decay_v = decay_w if lambda_V is None else positive("lambda_V", lambda_V)
    accuracy, most = tolerance("tol", tol), integer("max_iterations", max_iterations, minimum=1)
    problem = _KernelProblem(phi, y, math.sqrt(decay_w * decay_v))
    m, iterations = problem.solve(accuracy, most, np.random.default_rng(integer("seed", seed, minimum=0)))
    u, s, vt = np.linalg.svd(m, full_matrices=False)
    share = (decay_v / decay_w) ** 0.25
    return KernelPrediction(
        share * u * np.sqrt(s), np.sqrt(s)[:, None] * vt @ problem.r / share, *problem.bounds(m), s, iterations
    )


class _KernelProblem:
    """``f(M R) + decay |M|_*`` with R (r, N) the activations in the span of their samples."""

    def __init__(self, phi: Array, y: Array, decay: float) -> None:
        u, s, _ = np.linalg.svd(phi, full_matrices=False)
        keep = s > 1e-13 * s[0]
        self.r, self.y, self.pi, self.decay, self.k = (u[:, keep] * s[keep]).T, y, _weights(y), decay, len(y)
        power = s[keep] ** 2
        self.step = 1 / np.sqrt(power + RIDGE * power.mean()) if power.size else np.ones(0)

    def solve(self, tol: float, most: int, rng: np.random.Generator) -> tuple[Array, int]:
        """M with a relative gap of ``tol``, or after ``most`` iterations, and how many they were."""
        from scipy.optimize import minimize

        k, done = self.k, 0
        x = 0.1 * rng.standard_normal(k * (k + len(self.r)))
        while True:
            found = minimize(
                self._objective,
                x,
                jac=True,
                method="L-BFGS-B",
                options={"maxcor": MEMORY, "maxiter": min(STRIDE, most - done), "maxfun": 10**9, "ftol": 0, "gtol": 0},
            )
            x, done = found.x, done + int(found.nit)
            m = np.linalg.multi_dot(self._factors(x))
            value, lower = self.bounds(m)
            if value - lower <= tol * value or done >= most or not found.nit:
                return m, done

    def _factors(self, x: Array) -> tuple[Array, Array]:
        k = self.k
        return x[: k * k].reshape(k, k), x[k * k :].reshape(k, -1) * self.step

    def _objective(self, x: Array) -> tuple[float, Array]:
        """``f(W V R) + decay (|W|^2 + |V|^2)/2``, whose least value over W V = M is ``f(M R) + decay |M|_*``."""
        w, v = self._factors(x)
        h = v @ self.r
        z = w @ h
        g = _LOSS.gradient(z, self.pi, self.y)
        value = _LOSS.value(z, self.pi, self.y) + self.decay / 2 * float((w * w).sum() + (v * v).sum())
        parts = (g @ h.T + self.decay * w, (w.T @ g @ self.r.T + self.decay * v) * self.step)
        return value, np.concatenate([part.ravel() for part in parts])

    def bounds(self, m: Array) -> tuple[float, float]:
        """The value at M, and the dual's at the gradient G times ``min(1, decay/|G R^T|_2)``, a lower bound."""
        z = m @ self.r
        reach = float(np.linalg.norm(_LOSS.gradient(z, self.pi, self.y) @ self.r.T, 2))
        lower = _LOSS.dual_value(z, self.pi, min(1.0, self.decay / reach) if reach else 1.0, self.y)
        return _LOSS.value(z, self.pi, self.y) + self.decay * float(np.linalg.norm(m, "nuc")), cast(float, lower)


def class_logits(logits: Any, labels: Any) -> Array:
    """Class means of logits (K, N), each column centred, shape (K, K).

    Raises:
        TypeError, ValueError: ``labels`` are not N integers 0..K-1 with every class at least once.

    >>> class_logits([[1.0, 3.0, 0.0], [0.0, 0.0, 2.0]], [0, 0, 1])
    array([[ 1., -1.],
           [-1.,  1.]])
    """
    z = array("logits", logits, ndim=2, shape="(K, N)")
    y = _one_hot(labels, z.shape[1], len(z))
    means = z @ y.T / y.sum(axis=1)
    centred: Array = means - means.mean(axis=0)
    return centred


def _weights(y: Array) -> Array:
    """1/N for every sample."""
    return np.full(y.shape[1], 1 / y.shape[1])


def _relative(difference: Array, size: Array) -> float:
    norm = float(np.linalg.norm(size))
    return float(np.linalg.norm(difference)) / norm if norm else 0.0


def _one_hot(labels: Any, size: int, num_classes: int | None) -> Array:
    """Y (K, N), after checks."""
    y = class_indices(labels, size, num_classes)
    one_hot: Array = (y == np.arange(max(y) + 1)[:, None]).astype(np.float64)
    return one_hot
