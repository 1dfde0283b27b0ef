"""Property-based testing: hypothesis strategies for the objects of this field, and assertions that say what is wrong.

For tests of this package and of code built on it; it needs the package ``hypothesis`` and is not imported by
``import ufm``. A test reads like the statement it checks::

    from hypothesis import given
    from ufm.testing import assert_optimal, problems

    @given(problems(max_classes=4))
    def test_my_solver(problem):
        assert_optimal(my_solver(problem))

Strategies shrink towards small and plain: few classes, balanced priors, explicit networks, unrotated frames, no noise.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ufm._extras import optional
from ufm._validation import fraction, integer, one_of
from ufm.architectures import (
    Architecture,
    DeepLinear,
    LayerPeeled,
    LinearDEQ,
    PenalisedDEQ,
    UnconstrainedFeatures,
)
from ufm.geometry.frames import random_isometry, simplex_etf
from ufm.labels import ClassPrior
from ufm.problem import Problem
from ufm.solution import Solution

with optional("testing"):
    from hypothesis import strategies as st
    from hypothesis.strategies import SearchStrategy

__all__ = [
    "ACTIVATIONS",
    "ARCHITECTURES",
    "EquilibriumMap",
    "LabelledFeatures",
    "architectures",
    "assert_collapsed",
    "assert_etf",
    "assert_feasible",
    "assert_fixed_point",
    "assert_optimal",
    "assert_same_optimum",
    "assert_self_dual",
    "assert_well_posed",
    "equilibrium_maps",
    "etfs",
    "far_from_collapse",
    "log_uniform",
    "near_collapse",
    "priors",
    "problems",
    "step_priors",
]

Array = NDArray[np.float64]

#: Families an architecture is drawn from, by class name.
ARCHITECTURES = ("LayerPeeled", "LinearDEQ", "DeepLinear", "UnconstrainedFeatures", "PenalisedDEQ")

#: phi of an equilibrium map by name, and its slope; each is 1-Lipschitz.
ACTIVATIONS: dict[str, tuple[Callable[[Array], Array], Callable[[Array], Array]]] = {
    "identity": (lambda y: y, np.ones_like),
    "relu": (lambda y: np.maximum(y, 0.0), lambda y: (y > 0).astype(float)),
    "tanh": (np.tanh, lambda y: 1 - np.tanh(y) ** 2),
}

_SEEDS = st.integers(0, 2**32 - 1)


# Strategies ---------------------------------------------------------------------------------------------------------


def log_uniform(low: float, high: float) -> SearchStrategy[float]:
    """Positive numbers of every order of magnitude between ``low`` and ``high``; shrinks towards 1, or what is nearest.

    Raises:
        ValueError: unless 0 < low <= high.

    >>> from hypothesis import given, settings
    >>> @given(log_uniform(1e-3, 1e3))
    ... @settings(max_examples=10, deadline=None)
    ... def test(size):
    ...     assert 1e-3 <= size <= 1e3
    >>> test()
    """
    if not 0 < low <= high < math.inf:
        raise ValueError(f"low and high must satisfy 0 < low <= high < inf, got {low!r} and {high!r}")
    # rounding of exp(log(.)) must not leave the interval
    return st.floats(math.log(low), math.log(high)).map(lambda x: min(max(math.exp(x), low), high))


@st.composite
def priors(
    draw: st.DrawFn, *, min_classes: int = 2, max_classes: int = 8, max_groups: int = 3, max_ratio: float = 100.0
) -> ClassPrior:
    """Class priors with up to ``max_groups`` different counts in any order, ratio of the largest to the least bounded.

    Args:
        min_classes, max_classes: range of K, 2 <= min <= max.
        max_groups: most distinct counts; 1 gives balanced priors, ``max_classes`` priors without symmetry.
        max_ratio: bound of R.

    >>> from hypothesis import given, settings
    >>> @given(priors(max_classes=4, max_ratio=10))
    ... @settings(max_examples=10, deadline=None)
    ... def test(prior):
    ...     assert prior.num_classes <= 4 and prior.ratio <= 10 * (1 + 1e-12)
    >>> test()
    """
    k = draw(st.integers(min_classes, max_classes))
    half = math.sqrt(max_ratio)
    levels = draw(st.lists(log_uniform(1 / half, half), min_size=1, max_size=min(max_groups, k)))
    members = draw(st.lists(st.integers(0, len(levels) - 1), min_size=k, max_size=k))
    return ClassPrior([levels[i] for i in members])


@st.composite
def step_priors(
    draw: st.DrawFn, *, max_majority: int = 6, max_minority: int = 6, min_minority: int = 1, max_ratio: float = 1e4
) -> ClassPrior:
    """Two-group priors: K_A and K_B classes, R = n_A/n_B in [1, max_ratio], R = 1 and nearly 1 among them, n_B = 1.

    >>> from hypothesis import given, settings
    >>> @given(step_priors(max_minority=3))
    ... @settings(max_examples=10, deadline=None)
    ... def test(prior):
    ...     assert len(prior.groups) <= 2 and prior.counts.min() == 1
    >>> test()
    """
    k_a, k_b = draw(st.integers(1, max_majority)), draw(st.integers(min_minority, max_minority))
    beyond = st.one_of(st.just(0.0), log_uniform(1e-6, max(max_ratio - 1, 2e-6)))
    return ClassPrior.step(k_a, k_b, min(1 + draw(beyond), max_ratio))


@st.composite
def architectures(
    draw: st.DrawFn,
    *,
    families: Sequence[str] = ARCHITECTURES,
    min_size: float = 0.05,
    max_size: float = 4.0,
    max_rho: float = 0.8,
) -> Architecture:
    """Architectures of the given ``families``, budgets or weight decays in [min_size, max_size], rho in [0, max_rho].

    Weight decay of that size mostly leaves nothing of the optimum; :func:`problems` scales it to the prior.

    >>> from hypothesis import given, settings
    >>> @given(architectures(families=["LinearDEQ"], max_rho=0.5))
    ... @settings(max_examples=10, deadline=None)
    ... def test(layer):
    ...     assert layer.rho <= 0.5
    >>> test()
    """
    unknown = [name for name in families if name not in ARCHITECTURES]
    if unknown or not families:
        raise ValueError(f"families must be among {', '.join(ARCHITECTURES)}, got {list(families)!r}")
    family = draw(st.sampled_from(list(families)))
    first, second = draw(log_uniform(min_size, max_size)), draw(log_uniform(min_size, max_size))
    rho = draw(st.floats(0, max_rho)) if family.endswith("DEQ") else 0.0
    match family:
        case "LayerPeeled":
            return LayerPeeled(first, second)
        case "LinearDEQ":
            return LinearDEQ(first, second, rho)
        case "DeepLinear":
            return DeepLinear((first, second))
        case "UnconstrainedFeatures":
            return UnconstrainedFeatures(first, second)
        case _:
            return PenalisedDEQ(first, second, rho)


@st.composite
def problems(
    draw: st.DrawFn,
    *,
    max_classes: int = 6,
    max_groups: int = 3,
    losses: Sequence[str] = ("ce", "mse"),
    families: Sequence[str] = ARCHITECTURES,
) -> Problem:
    """Problems whose optimum is worth finding: neither underflowing nor, as a rule, zero.

    Budgets put the radius between K/20 and 4 K under cross-entropy and below 0.9 K under MSE (whose risk vanishes at
    K). Weight decay lies between a hundredth of and just above the strength from which zero features are optimal.

    >>> from hypothesis import given, settings
    >>> import ufm
    >>> @given(problems(max_classes=3, families=["LayerPeeled"], losses=["ce"]))
    ... @settings(max_examples=10, deadline=None)
    ... def test(problem):
    ...     assert_optimal(ufm.solve(problem.architecture, problem.prior, problem.loss))
    >>> test()
    """
    prior = draw(priors(max_classes=max_classes, max_groups=max_groups))
    loss = draw(st.sampled_from(list(losses)))
    k = prior.num_classes
    architecture = draw(architectures(families=families, max_size=4.0 if loss == "ce" else 0.9, max_rho=0.6))
    if isinstance(architecture, LinearDEQ):
        shrunk = architecture.E_H * (1 - architecture.rho) ** 2
        architecture = LinearDEQ(architecture.E_W, shrunk, architecture.rho)
    elif isinstance(architecture, DeepLinear):
        architecture = DeepLinear(tuple(k * c for c in architecture.budgets))
    elif isinstance(architecture, UnconstrainedFeatures | PenalisedDEQ):
        probe = Problem.of(UnconstrainedFeatures(1.0, 1.0), prior, loss)
        edge = probe.dual_norm(probe.gradient(np.zeros((k, k))))
        decays = {"lambda_W": edge * draw(log_uniform(0.01, 1.2)), "lambda_H": edge}
        if isinstance(architecture, PenalisedDEQ):
            architecture = PenalisedDEQ(**decays, rho=architecture.rho)
        else:
            architecture = UnconstrainedFeatures(**decays)
    return Problem.of(architecture, prior, loss)


@st.composite
def etfs(draw: st.DrawFn, *, min_classes: int = 2, max_classes: int = 8, max_extra: int = 3) -> Array:
    """Simplex ETFs (d, K) in random rotations and scales, K - 1 <= d <= K + ``max_extra``.

    >>> from hypothesis import given, settings
    >>> @given(etfs(max_classes=4))
    ... @settings(max_examples=10, deadline=None)
    ... def test(frame):
    ...     assert_etf(frame)
    >>> test()
    """
    k = draw(st.integers(min_classes, max_classes))
    d = draw(st.integers(max(k - 1, 1), k + max_extra))
    seed = draw(st.none() | _SEEDS)
    return draw(log_uniform(1e-3, 1e3)) * simplex_etf(k, dim=d, seed=seed)


@dataclass(frozen=True, eq=False)
class LabelledFeatures:
    """Features as a network's last layer sees them.

    Attributes:
        features: shape (N, d), one row a sample.
        labels: shape (N,), classes 0..K-1, each at least once.
        means: the class means they were drawn around, shape (d, K).
        noise: root mean square distance of a sample from its mean, over that of the means from theirs.
    """

    features: Array
    labels: NDArray[np.int64]
    means: Array
    noise: float

    @property
    def classifier(self) -> Array:
        """The self-dual classifier, ``means.T``, shape (K, d)."""
        return self.means.T


@st.composite
def near_collapse(
    draw: st.DrawFn, *, max_classes: int = 6, max_samples: int = 8, max_noise: float = 1e-2
) -> LabelledFeatures:
    """Features around a randomly rotated simplex ETF with within-class noise in [0, max_noise], 0 among them.

    >>> from hypothesis import given, settings
    >>> @given(near_collapse(max_noise=1e-3))
    ... @settings(max_examples=10, deadline=None)
    ... def test(data):
    ...     assert_collapsed(data.features, data.labels, tol=0.1)
    >>> test()
    """
    means = draw(etfs(max_classes=max_classes))
    noise = draw(st.one_of(st.just(0.0), log_uniform(1e-12, max_noise)))
    return draw(_samples(means, noise, max_samples))


@st.composite
def far_from_collapse(draw: st.DrawFn, *, max_classes: int = 6, max_samples: int = 8) -> LabelledFeatures:
    """Features of Gaussian classes: means without any structure, noise as large as they are or larger.

    >>> from hypothesis import given, settings
    >>> @given(far_from_collapse())
    ... @settings(max_examples=10, deadline=None)
    ... def test(data):
    ...     assert data.noise >= 1
    >>> test()
    """
    k = draw(st.integers(2, max_classes))
    d = draw(st.integers(1, k + 3))
    means = np.random.default_rng(draw(_SEEDS)).standard_normal((d, k))
    return draw(_samples(means, draw(log_uniform(1.0, 100.0)), max_samples, min_samples=2))


@st.composite
def _samples(draw: st.DrawFn, means: Array, noise: float, most: int, *, min_samples: int = 1) -> LabelledFeatures:
    d, k = means.shape
    counts = draw(st.lists(st.integers(min_samples, most), min_size=k, max_size=k))
    labels = np.repeat(np.arange(k), counts)
    rng = np.random.default_rng(draw(_SEEDS))
    rng.shuffle(labels)
    centre = means.mean(axis=1, keepdims=True)
    size = noise * math.sqrt(((means - centre) ** 2).sum() / k / d)
    features = means.T[labels] + size * rng.standard_normal((len(labels), d))
    return LabelledFeatures(features, labels, means, noise)


@dataclass(frozen=True, eq=False)
class EquilibriumMap:
    """A well-posed map ``f(z) = phi(A z + h)`` on (n, d) arrays, rows are samples: |A|_2 <= rho < 1, phi 1-Lipschitz.

    Attributes:
        matrix: A, shape (d, d).
        injection: h, shape (n, d).
        activation: a name in :data:`ACTIVATIONS`.
        rho: contraction factor in [0, 1).

    Raises:
        TypeError, ValueError: a field is not what it should be, or ``|A|_2 > rho``; the message names it.

    >>> f = EquilibriumMap(np.array([[0.5]]), np.array([[1.0], [-1.0]]), "relu", 0.5)
    >>> f.equilibrium.ravel().tolist()
    [2.0, 0.0]
    """

    matrix: Array
    injection: Array
    activation: str
    rho: float

    def __post_init__(self) -> None:
        one_of("activation", self.activation, ACTIVATIONS)
        for name in ("matrix", "injection"):
            value = np.asarray(getattr(self, name), dtype=np.float64)
            if value.ndim != 2 or not value.size or not np.isfinite(value).all():
                raise ValueError(f"{name} must be a finite matrix with rows and columns, got {value!r}")
            object.__setattr__(self, name, value)
        rho, a, h = fraction("rho", self.rho), self.matrix, self.injection
        if a.shape[0] != a.shape[1] or h.shape[1] != len(a):
            raise ValueError(f"matrix (d, d) and injection (n, d) must fit together, got {a.shape} and {h.shape}")
        if np.linalg.norm(a, 2) > rho * (1 + 1e-9):
            raise ValueError(f"matrix must have |A|_2 <= rho = {rho:g}, got {np.linalg.norm(a, 2):g}")

    def __call__(self, z: Array) -> Array:
        """``f(z)``, shape (n, d)."""
        return ACTIVATIONS[self.activation][0](z @ self.matrix.T + self.injection)

    @property
    def equilibrium(self) -> Array:
        """The fixed point z*, to rounding.

        By Newton steps ``z + (I - D A)^{-1} (f(z) - z)``, D the slopes of phi, where they bring the residual down as
        iterating does, by the factor rho, and by iterating where they do not.
        """
        return np.stack([self._row(h) for h in self.injection])

    def _row(self, h: Array) -> Array:
        phi, slope = ACTIVATIONS[self.activation]
        z, size = np.zeros_like(h), math.inf
        while True:
            image = phi(self.matrix @ z + h)
            residual = image - z
            if not np.linalg.norm(residual) < size:
                return image  # rounding
            size = float(np.linalg.norm(residual))
            jacobian = slope(self.matrix @ z + h)[:, None] * self.matrix
            newton = z + np.linalg.solve(np.eye(len(h)) - jacobian, residual)
            left = np.linalg.norm(phi(self.matrix @ newton + h) - newton)
            z = newton if left <= self.rho * size else image


def equilibrium_maps(
    *,
    max_dim: int = 5,
    max_samples: int = 4,
    max_rho: float = 0.9,
    activations: Sequence[str] = tuple(ACTIVATIONS),
) -> SearchStrategy[EquilibriumMap]:
    """Well-posed equilibrium maps: A = 0, rho I, symmetric, rotated, nilpotent and general, at the bound or inside.

    Args:
        max_dim, max_samples: largest d and n, >= 1.
        max_rho: largest contraction factor, in [0, 1).
        activations: names in :data:`ACTIVATIONS`, at least one.

    Raises:
        TypeError, ValueError: an argument is not what it should be; the message names it.

    >>> equilibrium_maps(activations=("ReLU",))
    Traceback (most recent call last):
    ValueError: activations[0] must be one of 'identity', 'relu', 'tanh', got 'ReLU'
    """
    integer("max_dim", max_dim, minimum=1)
    integer("max_samples", max_samples, minimum=1)
    fraction("max_rho", max_rho)
    if isinstance(activations, str | bytes) or not isinstance(activations, Sequence):
        raise TypeError(f"activations must be a sequence of names, got {activations!r}")
    if not activations:
        raise ValueError(f"activations must hold at least one of {', '.join(map(repr, ACTIVATIONS))}, got none")
    names = [one_of(f"activations[{i}]", name, ACTIVATIONS) for i, name in enumerate(activations)]
    return _equilibrium_maps(max_dim, max_samples, max_rho, names)


@st.composite
def _equilibrium_maps(
    draw: st.DrawFn, max_dim: int, max_samples: int, max_rho: float, activations: list[str]
) -> EquilibriumMap:
    d, n = draw(st.integers(1, max_dim)), draw(st.integers(1, max_samples))
    rho = draw(st.floats(0, max_rho, allow_subnormal=False))  # below them A rounds by more than rho itself
    rng = np.random.default_rng(draw(_SEEDS))
    kind = draw(st.sampled_from(["scaled identity", "symmetric", "rotation", "nilpotent", "general"]))
    if kind == "scaled identity":
        a = np.eye(d)
    elif kind == "rotation":
        a = random_isometry(d, d, rng)
    else:
        a = rng.standard_normal((d, d))
        if kind == "symmetric":
            a = a + a.T
        elif kind == "nilpotent":
            a = np.triu(a, 1)
    size = np.linalg.norm(a, 2)
    # a little inside: rounding must not carry the norm beyond the bound
    a = a * (rho * (1 - 1e-12) / size) if size > 0 else a
    h = draw(log_uniform(1e-2, 1e2)) * rng.standard_normal((n, d))
    return EquilibriumMap(a, h, draw(st.sampled_from(activations)), rho)


# Assertions ---------------------------------------------------------------------------------------------------------


def assert_etf(matrix: ArrayLike, *, tol: float = 1e-8) -> None:
    """Assert that the columns of a (d, K) matrix form a simplex ETF up to rotation and scale.

    Every length must be the mean length, every cosine ``-1/(K-1)``, to within ``tol`` (relative, and absolute); then
    the columns sum to zero as well.

    >>> assert_etf(simplex_etf(4, seed=0))
    >>> assert_etf(np.eye(3))
    Traceback (most recent call last):
    AssertionError: not a simplex ETF
      - columns 0 and 1 have cosine 0, not -1/(K-1) = -0.5 (tol 1e-08)
    """
    m = _matrix("matrix", matrix)
    k = m.shape[1]
    lengths = np.linalg.norm(m, axis=0)
    if not lengths.all():
        _fail("not a simplex ETF", [f"column {int(lengths.argmin())} is zero"])
    wrong = []
    far = np.abs(lengths / lengths.mean() - 1)
    if far.max() > tol:
        i = int(far.argmax())
        wrong.append(
            f"column {i} has length {lengths[i]:.6g}, {far[i]:.2g} off the mean {lengths.mean():.6g} (tol {tol:g})"
        )
    cosines = (m / lengths).T @ (m / lengths)
    far = np.abs(cosines + 1 / (k - 1))
    np.fill_diagonal(far, 0.0)
    if far.max() > tol:
        i, j = sorted(int(x) for x in np.unravel_index(far.argmax(), far.shape))
        wrong.append(
            f"columns {i} and {j} have cosine {cosines[i, j]:.6g}, not -1/(K-1) = {-1 / (k - 1):.6g} (tol {tol:g})"
        )
    _fail("not a simplex ETF", wrong)


def assert_self_dual(classifier: ArrayLike, means: ArrayLike, *, tol: float = 1e-8) -> None:
    """Assert that a classifier (K, d) is the transpose of class means (d, K) up to one positive scale (NC3).

    >>> means = simplex_etf(3)
    >>> assert_self_dual(7 * means.T, means)
    """
    from ufm.geometry.distances import self_duality_error

    w, m = _matrix("classifier", classifier), _matrix("means", means)
    error = self_duality_error(w, m)
    if error <= tol:
        return
    rows = np.linalg.norm(w / np.linalg.norm(w) - m.T / np.linalg.norm(m), axis=1)
    worst = int(rows.argmax())
    _fail(
        "classifier and class means are not dual",
        [
            f"|W/|W| - M^T/|M|| = {error:.3g} (tol {tol:g})",
            f"class {worst} is farthest, with {rows[worst]:.3g}; its classifier and mean have cosine "
            f"{_cosine(w[worst], m[:, worst]):.6g}",
        ],
    )


def assert_collapsed(features: ArrayLike, labels: ArrayLike, *, tol: float = 1e-6) -> None:
    """Assert within-class collapse (NC1): every sample (N, d) at its class mean.

    Distances are relative to the root mean square distance of the class means from their mean (to that of the features
    from 0 where the means coincide).

    >>> assert_collapsed([[1, 0], [1, 0], [0, 2]], [0, 0, 1])
    >>> assert_collapsed([[1, 0], [3, 0], [0, 2]], [0, 0, 1])
    Traceback (most recent call last):
    AssertionError: features have not collapsed
      - sample 0 (class 0) is 0.707 from its class mean, in units of the spread of the means (tol 1e-06)
      - 2 of 3 samples are farther than the tolerance
    """
    x, y = _matrix("features", features), np.asarray(labels)
    if y.shape != x.shape[:1]:
        raise ValueError(f"labels must have shape {x.shape[:1]} to match features, got {y.shape}")
    classes = np.unique(y)
    means = np.stack([x[y == c].mean(axis=0) for c in classes])
    spread = math.sqrt(((means - means.mean(axis=0)) ** 2).sum() / len(classes))
    scale = spread if spread > 0 else max(float(np.sqrt((x**2).sum(axis=1).mean())), 1e-300)
    distances = np.linalg.norm(x - means[np.searchsorted(classes, y)], axis=1) / scale
    worst = int(distances.argmax())
    if distances[worst] > tol:
        off = int((distances > tol).sum())
        _fail(
            "features have not collapsed",
            [
                f"sample {worst} (class {y[worst]}) is {distances[worst]:.3g} from its class mean, in units of the "
                f"spread of the means (tol {tol:g})",
                f"{off} of {len(x)} samples are farther than the tolerance",
            ],
        )


def assert_feasible(solution: Solution, *, tol: float = 1e-10) -> None:
    """Assert that a solution's factors satisfy the *definition* of its architecture, not only its gauge.

    They multiply to the logits, respect the budgets (or cost the weight decay that the value says) and, for a DEQ, the
    spectral bound.

    >>> import ufm
    >>> assert_feasible(ufm.solve(ufm.LinearDEQ(1.0, 5.0, rho=0.5), ClassPrior.step(2, 3, 10.0)))
    """
    problem, factors = solution.problem, solution.factors
    architecture, prior = problem.architecture, problem.prior
    w, h, a = factors.classifier, factors.features, factors.equilibrium
    wrong = []
    scale = 1 + float(np.abs(solution.logits).max())
    distance = float(np.abs(factors.logits - solution.logits).max())
    if distance > 1e-8 * scale:
        wrong.append(f"the factors' product is {distance:.3g} from the logits")
    sizes = {"|W|^2": float((w**2).sum()), "|H|^2": float((h**2).sum())}
    if factors.layers:
        layers = (w, *factors.layers)
        sizes = {f"|W_{j}|^2": float((x**2).sum()) for j, x in enumerate(layers, 1)}
        if not np.allclose(np.linalg.multi_dot(layers), factors.logits, rtol=0, atol=1e-8 * scale):
            wrong.append("the layers' product is not the logits")
    if isinstance(architecture, LayerPeeled | LinearDEQ | DeepLinear):
        for (name, size), budget in zip(sizes.items(), architecture.factor_budgets(prior.num_classes), strict=True):
            if size > budget * (1 + tol):
                wrong.append(f"{name} = {size:.12g} exceeds its budget {budget:.12g} (tol {tol:g})")
    elif isinstance(architecture, UnconstrainedFeatures | PenalisedDEQ):
        decay = architecture.lambda_W * sizes["|W|^2"] + architecture.lambda_H * float(
            (h**2).sum(axis=0) @ prior.counts
        )
        if isinstance(architecture, PenalisedDEQ) and architecture.lambda_A is not None and a is not None:
            decay += architecture.lambda_A * float((a**2).sum())
        objective = problem.risk(factors.logits) + decay / 2
        if abs(objective - solution.value) > 1e-7 * solution.value + 1e-15:
            wrong.append(f"the factors cost {objective:.12g}, but the value says {solution.value:.12g}")
    if (a is None) == isinstance(architecture, LinearDEQ | PenalisedDEQ):
        wrong.append("an explicit network has an equilibrium matrix" if a is not None else "a DEQ lacks its matrix A")
    # Below the least normal number nothing is rounded relatively.
    elif a is not None and np.linalg.norm(a, 2) > problem.spectral.spectral_bound * (1 + 1e-12) + np.finfo(float).tiny:
        wrong.append(f"|A|_2 = {np.linalg.norm(a, 2):.12g} exceeds rho = {problem.spectral.spectral_bound:.12g}")
    allowed = getattr(architecture, "E_A", None)
    if a is not None and allowed is not None and (size := float((a**2).sum())) > allowed * (1 + tol):
        wrong.append(f"|A|_F^2 = {size:.12g} exceeds its budget {allowed:.12g} (tol {tol:g})")
    _fail(f"infeasible: {problem.architecture!r}", wrong)


def assert_optimal(solution: Solution, *, rtol: float = 1e-8) -> None:
    """Assert that a solution is feasible and globally optimal, recomputing all of it from its logits.

    Checks that the value is the objective at the logits, that the logits lie in the ball, that the weak-duality bound
    at them (independent of the solver's own) closes to ``rtol``, that lower <= value <= upper, and
    :func:`assert_feasible`.

    >>> import ufm
    >>> assert_optimal(ufm.solve(ufm.LayerPeeled(1.0, 5.0), ClassPrior.step(2, 3, 10.0)))
    """
    problem, z = solution.problem, solution.logits
    floor = max(problem.loss.floor, 1e-290)
    allowed = rtol * solution.value + floor
    headline = f"not optimal (rtol {rtol:g}): {problem.architecture!r}, {problem.prior!r}, {problem.loss.name}"
    wrong = []
    if not np.isfinite(z).all():
        _fail(headline, ["the logits are not finite"])
    if problem.is_constrained and problem.gauge(z) > problem.radius * (1 + 1e-10):
        wrong.append(f"the gauge {problem.gauge(z):.12g} exceeds the radius {problem.radius:.12g}")
    if abs(problem.objective(z) - solution.value) > allowed:
        wrong.append(f"the logits' objective is {problem.objective(z):.12g}, the value {solution.value:.12g}")
    bound = problem.lower_bound(z)
    if solution.value - bound > allowed:
        wrong.append(f"the duality gap at the logits is {(solution.value - bound) / solution.value:.3g} of the value")
    if not solution.lower <= solution.value * (1 + 1e-12) + floor or not solution.value <= solution.upper + allowed:
        wrong.append(
            f"the value {solution.value!r} is outside [lower, upper] = [{solution.lower!r}, {solution.upper!r}]"
        )
    if solution.is_global is not True:
        wrong.append(f"is_global is {solution.is_global!r}, with a relative gap of {solution.gap / solution.value:.3g}")
    _fail(headline, wrong)
    assert_feasible(solution)


def assert_same_optimum(solution: Solution, reference: Solution, *, rtol: float = 1e-8) -> None:
    """Assert that two solutions of one problem agree in value, and each value in the other's enclosure.

    >>> import ufm
    >>> network, prior = ufm.LayerPeeled(1.0, 5.0), ClassPrior.step(2, 3, 10.0)
    >>> assert_same_optimum(ufm.solve(network, prior), ufm.solve(network, prior, method="nuclear"))
    """
    if solution.problem != reference.problem:
        raise ValueError(f"solutions must be of one problem, got {solution.problem!r} and {reference.problem!r}")
    floor = max(solution.problem.loss.floor, 1e-290)
    allowed = rtol * reference.value + floor
    wrong = []
    if abs(solution.value - reference.value) > allowed:
        off = solution.value / reference.value - 1 if reference.value else math.inf
        wrong.append(f"{solution.method} gives {solution.value!r}, {reference.method} {reference.value!r}: {off:+.3g}")
    for one, other in ((solution, reference), (reference, solution)):
        if not one.lower - allowed <= other.value <= one.upper + allowed:
            wrong.append(
                f"{other.method}'s value {other.value!r} is outside {one.method}'s [{one.lower!r}, {one.upper!r}]"
            )
    _fail(f"different optima (rtol {rtol:g}): {solution.problem.architecture!r}, {solution.problem.prior!r}", wrong)


def assert_well_posed(matrix: ArrayLike, rho: float, *, tol: float = 1e-12) -> None:
    """Assert ``|A|_2 <= rho < 1``: ``z = A z + h`` has one solution for every h, and iterating finds it.

    >>> assert_well_posed([[0.5, 0.0], [0.0, -0.5]], rho=0.5)
    """
    a = _matrix("matrix", matrix)
    if a.shape[0] != a.shape[1]:
        raise ValueError(f"matrix must be square, got shape {a.shape}")
    norm = float(np.linalg.norm(a, 2))
    wrong = [f"|A|_2 = {norm:.12g} exceeds rho = {rho:.12g}"] if norm > rho + tol else []
    if not 0 <= rho < 1:
        wrong.append(f"rho = {rho!r} is not in [0, 1)")
    if wrong and norm >= 1:
        radius = float(np.abs(np.linalg.eigvals(a)).max())
        wrong.append(
            f"the spectral radius is {radius:.6g}: iterating {'still converges' if radius < 1 else 'diverges'}"
        )
    _fail("not well posed", wrong)


def assert_fixed_point(f: Callable[[Any], Any], z: ArrayLike, *, tol: float = 1e-8) -> None:
    """Assert ``f(z) = z`` row by row: ``|f(z_i) - z_i| <= tol max(|f(z_i)|, |z_i|)``, rows of (n, d) being samples.

    >>> assert_fixed_point(lambda z: z / 2 + 1, [[2.0, 2.0]])
    """
    point = _matrix("z", z)
    image = _matrix("f(z)", f(point))
    if image.shape != point.shape:
        raise ValueError(f"f must keep the shape of z, {point.shape}, but returned {image.shape}")
    residuals = np.linalg.norm(image - point, axis=1)
    sizes = np.maximum(np.linalg.norm(image, axis=1), np.linalg.norm(point, axis=1))
    relative = np.divide(residuals, sizes, out=np.zeros_like(residuals), where=sizes > 0)
    worst = int(relative.argmax())
    if relative[worst] > tol:
        _fail(
            "not a fixed point",
            [
                f"sample {worst} has a relative residual of {relative[worst]:.3g} (tol {tol:g})",
                f"{int((relative > tol).sum())} of {len(point)} samples are beyond the tolerance",
            ],
        )


def _fail(headline: str, wrong: Iterable[str]) -> None:
    """Raise AssertionError unless nothing is wrong."""
    lines = list(wrong)
    if lines:
        raise AssertionError("\n".join([headline, *(f"  - {line}" for line in lines)]))


def _matrix(name: str, value: ArrayLike) -> Array:
    array = np.asarray(value, dtype=np.float64)
    if array.ndim != 2 or not array.size:
        raise ValueError(f"{name} must be a matrix, got shape {array.shape}")
    if not np.isfinite(array).all():
        raise AssertionError(f"{name} is not finite: {int((~np.isfinite(array)).sum())} entries are NaN or infinite")
    return array


def _cosine(a: Array, b: Array) -> float:
    size = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / size if size > 0 else 0.0
