"""Bounded norms, unit vectors and contrastive losses."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from proofs_check.scope import Scope
from ufm.architectures import NormBounded
from ufm.claims._figures import curves_figure
from ufm.claims._model import Context, Enclosure, Figure, judge_order
from ufm.claims._stated import enclosed, stated
from ufm.claims._tools import Comparison, compare
from ufm.geometry import simplex_etf
from ufm.labels import ClassPrior
from ufm.solvers import solve

__all__ = ["APART", "CLAIMS", "certified_sides", "two_cluster_value"]

GROUP = "Bounded norms, codes and spheres"

Array = NDArray[np.float64]


def _unit(vectors: Array) -> Array:
    """The columns at length 1."""
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-2, keepdims=True), dtype=np.float64)


def _lowest(ctx: Context, key: str, value: Callable[[Array], float], optimum: Array, sign: int = 1) -> Enclosure:
    """The least value at an optimum claimed, at 30 points near it and at 30 random ones (largest for sign -1)."""

    def found() -> float:
        rng = np.random.default_rng(0)
        noise = rng.standard_normal((60, *optimum.shape))
        near = [_unit(optimum + 10.0 ** -(1 + i % 4) * noise[i]) for i in range(30)]
        tried = [optimum, *near, *(_unit(x) for x in noise[30:])]
        return sign * min(sign * value(x) for x in tried)

    return Enclosure.around(ctx.once(f"spheres-{key}", found), 1e-13)


# bounded norms -------------------------------------------------------------------------------------------------------


def bounded_value(num_classes: int, size: float) -> float:
    """``log(1 + (K-1) e^{-a b K/(K-1)})``."""
    return math.log1p((num_classes - 1) * math.exp(-size * num_classes / (num_classes - 1)))


def _bounded(ctx: Context, formula: Callable[[int, float], float]) -> list[Comparison]:
    rows = []
    for k, a, b in ((2, 1.0, 0.5), (3, 0.5, 2.0), (4, 1.0, 2.0), (5, 2.0, 0.75)):
        found = enclosed(ctx, f"norm-bounded-{k}", NormBounded(a, b), ClassPrior.balanced(k))
        rows.append(compare(f"K={k}, a={a}, b={b}", formula(k, a * b), found, "certificate"))
    return rows


BALANCED = stated(
    bounded_value,
    _bounded,
    "norm-bounded-etf",
    ("value", "budgets"),
    {
        "bounded norms: exponent a b": lambda k, t: math.log1p((k - 1) * math.exp(-t)),
        "bounded norms: exponent a b (K − 1)/K": lambda k, t: math.log1p((k - 1) * math.exp(-t * (k - 1) / k)),
        "bounded norms: exponent a b/(K − 1)": lambda k, t: math.log1p((k - 1) * math.exp(-t / (k - 1))),
        "bounded norms: K wrong classes": lambda k, t: math.log1p(k * math.exp(-t * k / (k - 1))),
    },
    summary="the value lies in certified enclosures for K = 2 to 5",
    off_by=lambda x: lambda k, t: bounded_value(k, t) * (1 + x),
    resolution=1e-9,
    id="norm-bounded-etf",
    title="With bounded norms and balance the simplex ETF is the only optimum",
    statement="The minimum of the cross-entropy is log(1 + (K − 1) e^{−K a b/(K − 1)}), attained exactly where all "
    "features of class k are one h_k, the h_k form a simplex ETF of length b, and w_k = (a/b) h_k. The budgets "
    "(1/K) Σ |w_k|² ≤ a² and (1/K) Σ |h_k|² ≤ b² have the same minimum.",
    source="Graf et al. 2021, Theorem 1, and Yaras et al. 2022, Theorem 1, as we state them, for d ≥ K − 1",
    scope=Scope(models=("norm-bounded",), groups=(1, 1), dimension="K - 1"),
    hypotheses=("|h| ≤ b for the feature of every sample",),
    group=GROUP,
    papers=("graf2021", "yaras2022"),
    topic="norms",
    standing="sharpened",
)


def bounded_threshold(minority: int, size: float) -> float:
    """R* of one majority class and ``minority`` others at ``a b = size``."""
    n, e = minority, math.exp(-2 * size)
    return (1 + e * n) * ((e + n) ** 2 - 2 * e * e) / (2 * e * e * (e + n))


#: (K_B, a, b, relative distance from the threshold): at 10^-4 margins are near 10^-6, far above the solver's error.
BOUNDED = ((2, 1.0, 0.5, 1e-2), (2, 1.0, 0.5, 1e-4), (3, 1.0, 1.0, 1e-3), (2, 0.5, 3.0, 1e-3))


def _minority_margin(minority: int, a: float, b: float, ratio: float) -> float:
    """Margin between two minority classes on a sample of one of them, at the optimum."""
    logits = solve(NormBounded(a, b), ClassPrior([ratio] + [1.0] * minority)).logits
    return float(logits[1, 1] - logits[2, 1])


def _sides(
    rule: Callable[[int, float], float],
    ctx: Context,
    cases: Sequence[tuple[str, int, float, float, Callable[[], float]]],
) -> list[Comparison]:
    """Whether ``R >= rule`` where the minority is seen to be collapsed, and only there: 1 for collapsed, 2 for not."""
    rows = []
    for name, minority, size, ratio, margin in cases:
        seen = 1.0 if abs(ctx.once(name, margin)) < 1e-7 else 2.0
        claimed = 1.0 if ratio >= rule(minority, size) else 2.0
        rows.append(compare(f"{name} (1 collapsed, 2 not)", claimed, Enclosure.around(seen, 0.0), "solver"))
    return rows


def two_cluster_value(majority: int, minority: int, size: float, ratio: float) -> float:
    """Risk where all classes of either group are one and the groups are opposite, at ``a b = size``.

    >>> round(two_cluster_value(1, 2, 0.5, 15.0), 6)
    0.58798
    """
    q = math.exp(-2 * size)
    risk = majority * ratio * math.log(majority + minority * q) + minority * math.log(minority + majority * q)
    return risk / (majority * ratio + minority)


def certified_sides(
    ctx: Context, majority: int, minority: int, size: float, ratios: Sequence[tuple[float, bool]]
) -> list[Comparison]:
    """The least risk in certified enclosures: that of two clusters where they are claimed, strictly below it elsewhere."""
    rows = []
    for ratio, clusters in ratios:
        name = f"K_A={majority}, K_B={minority}, a b={size:g}, R={ratio:.6g}"
        key = f"norm-bounded-{majority}-{minority}-{size:g}-{ratio:.6g}"
        found = enclosed(ctx, key, NormBounded(1.0, size), ClassPrior([ratio] * majority + [1.0] * minority))
        value = two_cluster_value(majority, minority, size, ratio)
        if clusters:
            rows.append(compare(f"{name}: two clusters", value, found, "certificate"))
        else:
            status = judge_order(found, Enclosure.around(value, 1e-13), strict=True)
            rows.append(Comparison(f"{name}: below two clusters", value, found, status, "certificate"))
    return rows


#: (K_B, a b) whose least risk is certified on both sides of R*, and the relative distance.
ENCLOSED, APART = ((2, 0.5), (3, 1.0)), 0.05


def _bounded_sides(ctx: Context, rule: Callable[[int, float], float]) -> list[Comparison]:
    return [*_certified_thresholds(ctx, rule), *_solved_thresholds(ctx, rule)]


def _certified_thresholds(ctx: Context, rule: Callable[[int, float], float]) -> list[Comparison]:
    rows = []
    for n, size in ENCLOSED:
        ratios = [bounded_threshold(n, size) * (1 + sign * APART) for sign in (1, -1)]
        rows += certified_sides(ctx, 1, n, size, [(ratio, ratio >= rule(n, size)) for ratio in ratios])
    return rows


def _solved_thresholds(ctx: Context, rule: Callable[[int, float], float]) -> list[Comparison]:
    cases = []
    for n, a, b, size in BOUNDED:
        for distance in (size, -size):
            ratio = bounded_threshold(n, a * b) * (1 + distance)
            margin = partial(_minority_margin, n, a, b, ratio)
            cases.append((f"K_B={n}, a={a}, b={b}, R=R*(1{distance:+g})", n, a * b, ratio, margin))
    return _sides(rule, ctx, cases)


def _threshold_figure() -> Figure:
    sizes = np.linspace(0.02, 2.5, 60)
    return curves_figure(
        "Collapse threshold R* with bounded norms, one majority class",
        "Above its curve the minority classes are one: bounding every classifier and feature does not prevent "
        "minority collapse. "
        "Marks: where the curves begin, as a b → 0.",
        ("a b", "R*"),
        {f"K_B = {n}": (sizes.tolist(), [bounded_threshold(n, t) for t in sizes]) for n in (2, 4, 9)},
        [(f"{(n + 1) ** 2 / 2 - 1:g}", 0.02, bounded_threshold(n, 0.02)) for n in (2, 4, 9)],
        scale="log",
    )


def _wrong_threshold(power: float, factor: float = 1.0, size: float = 1.0) -> Callable[[int, float], float]:
    return lambda n, t: factor * bounded_threshold(n, t * size) ** power


COLLAPSE = stated(
    bounded_threshold,
    _bounded_sides,
    "norm-bounded-collapse",
    ("threshold", "growth"),
    {
        "bounded norms: no collapse": lambda n, t: math.inf,
        "bounded norms: threshold halved": _wrong_threshold(1, 0.5),
        "bounded norms: e^{−a b} for e^{−2 a b}": _wrong_threshold(1, 1.0, 0.5),
        "bounded norms: √R*": _wrong_threshold(0.5),
    },
    summary="the least risk certified on both sides of R*, that of two clusters above it and less below, at 4 optima; the phase at 8 "
    "optima, at relative distances 10⁻² to 10⁻⁴",
    figure=_threshold_figure,
    resolution=1e-3,
    id="norm-bounded-collapse",
    title="Bounded norms do not prevent minority collapse: the threshold for one majority class",
    statement="With one majority class and q = e^{−2 a b} all minority classes have equal logits on every sample of "
    "the minority at the optimum if and only if R ≥ R* = (1 + q K_B) ((q + K_B)² − 2 q²)/(2 q² (q + K_B)). R* "
    "increases in a b, from (1 + K_B)²/2 − 1 in the limit a b → 0 to ∞.",
    source="Our own: the imbalanced counterpart of Yaras et al. 2022, by a dual certificate of two diagonals",
    scope=Scope(models=("norm-bounded",), groups=(2, 2), minority=2, conditions=("K_A = 1", "d ≥ 2 K")),
    hypotheses=("|h| ≤ b for the feature of every sample",),
    group=GROUP,
    papers=("yaras2022", "fang2021"),
    topic="norms",
    standing="new",
)


# unit vectors --------------------------------------------------------------------------------------------------------

ENERGIES: dict[str, Callable[[Array], Array]] = {
    "logarithmic": lambda d: -np.log(d) / 2,
    "Coulomb": lambda d: d**-0.5,
    "Riesz, s = 2": lambda d: 1 / d,
    "Gaussian": lambda d: np.exp(-d),
}


def _energy(g: Callable[[Array], Array], vectors: Array) -> float:
    """``sum_{i != j} g(|x_i - x_j|^2)``."""
    gram = vectors.T @ vectors
    off = ~np.eye(len(gram), dtype=bool)
    return float(g(2 - 2 * gram[off]).sum())


def _energies(ctx: Context, formula: Callable[[int], float]) -> list[Comparison]:
    rows = []
    for k in (2, 3, 5):
        for name, g in ENERGIES.items():
            found = _lowest(ctx, f"{name}-{k}", partial(_energy, g), simplex_etf(k))
            claimed = k * (k - 1) * float(g(np.array(formula(k))))
            rows.append(
                compare(f"K={k}, {name}", claimed, found, "simplex, points near it and random ones", relative=1e-10)
            )
    return rows


ENERGY = stated(
    lambda k: 2 * k / (k - 1),
    _energies,
    "unit-vectors-simplex",
    ("distance", "energy"),
    {
        "energy: squared distance 2": lambda k: 2.0,
        "energy: squared distance 2 (K − 1)/K": lambda k: 2 * (k - 1) / k,
        "energy: squared distance K/(K − 1)": lambda k: k / (k - 1),
    },
    summary="logarithmic, Coulomb, Riesz and Gaussian energies for K = 2, 3, 5 are least at the simplex among 60 "
    "other points each",
    resolution=1e-8,
    id="unit-vectors-energy",
    title="Hyperspherical energies are least at the simplex for every convex decreasing kernel",
    statement="The least squared distance of K unit vectors is at most 2 K/(K − 1), with equality exactly at the "
    "regular simplex. For K different unit vectors and g convex and decreasing on (0, 4], "
    "Σ_{i≠j} g(|x_i − x_j|²) ≥ K (K − 1) g(2 K/(K − 1)), with equality at the regular simplex, and only there if g is strictly convex.",
    source="Liu et al. 2023 (Riesz and logarithmic energies); Cohn, Kumar 2007; Jung 1901",
    scope=Scope(("contrastive",), ("vectors",), dimension="K - 1"),
    group=GROUP,
    papers=("liu2023",),
    topic="norms",
    standing="confirmed",
    core=False,
)


def _softmax_sum(alpha: float, vectors: Array) -> float:
    """``sum_i log(1 + sum_{j != i} e^{alpha (<x_i, x_j> - 1)})``."""
    return float(np.log(np.exp(alpha * (vectors.T @ vectors - 1)).sum(axis=0)).sum())


def _softmax(ctx: Context, formula: Callable[[int, float], float]) -> list[Comparison]:
    rows = []
    for k in (2, 3, 6):
        for alpha in (0.1, 1.0, 2.0):
            found = _lowest(ctx, f"softmax-{k}-{alpha}", partial(_softmax_sum, alpha), simplex_etf(k))
            rows.append(
                compare(
                    f"K={k}, α={alpha}",
                    formula(k, alpha),
                    found,
                    "simplex, points near it and random ones",
                    relative=1e-10,
                )
            )
    return rows


def softmax_value(num_vectors: int, alpha: float) -> float:
    """``K log(1 + (K-1) e^{-alpha K/(K-1)})``."""
    k = num_vectors
    return k * math.log1p((k - 1) * math.exp(-alpha * k / (k - 1)))


SOFTMAX = stated(
    softmax_value,
    _softmax,
    "unit-vectors-simplex",
    ("softmax",),
    {
        "softmax on the sphere: exponent α": lambda k, a: k * math.log1p((k - 1) * math.exp(-a)),
        "softmax on the sphere: exponent α/(K − 1)": lambda k, a: k * math.log1p((k - 1) * math.exp(-a / (k - 1))),
        "softmax on the sphere: K terms inside": lambda k, a: k * math.log1p(k * math.exp(-a * k / (k - 1))),
        "softmax on the sphere: one term": lambda k, a: softmax_value(k, a) / k,
    },
    summary="K = 2, 3, 6 and α = 0.1, 1, 2: least at the simplex among 60 other points each",
    off_by=lambda x: lambda k, a: softmax_value(k, a) * (1 + x),
    resolution=1e-9,
    id="sphere-softmax-simplex",
    title="Cross-entropy of unit vectors against themselves is least at the simplex, at every temperature",
    statement="For every α > 0, Σ_i log(1 + Σ_{j≠i} e^{α (⟨x_i, x_j⟩ − 1)}) ≥ K log(1 + (K − 1) e^{−K α/(K − 1)}), "
    "with equality exactly at the regular simplex.",
    source="Lu, Steinerberger 2022, Theorem 1, as we state it",
    scope=Scope(("contrastive",), ("vectors",), dimension="K - 1"),
    group=GROUP,
    papers=("lu2022",),
    topic="norms",
    standing="confirmed",
    core=False,
)


# contrastive losses --------------------------------------------------------------------------------------------------


def supervised_contrastive(vectors: Array, labels: Array, temperature: float) -> Array:
    """Loss of every anchor of a batch, vectors one a column."""
    scores = vectors.T @ vectors / temperature
    others = ~np.eye(len(labels), dtype=bool)
    positive = (labels[:, None] == labels) & others
    total = np.log((np.exp(scores) * others).sum(axis=1))
    return np.asarray(total - (scores * positive).sum(axis=1) / positive.sum(axis=1), dtype=np.float64)


def _mean_loss(labels: Array, temperature: float, vectors: Array) -> float:
    return float(supervised_contrastive(vectors, labels, temperature).mean())


Values = Callable[[int, int, float], tuple[float, float]]


def contrastive_values(num_classes: int, size: int, temperature: float) -> tuple[float, float]:
    """Loss at the simplex and at total collapse, ``size`` samples a class."""
    k, m = num_classes, size
    return math.log(m - 1 + m * (k - 1) * math.exp(-k / ((k - 1) * temperature))), math.log(k * m - 1)


def _contrastive(ctx: Context, formula: Values) -> list[Comparison]:
    rows = []
    for k, m, temperature in ((2, 2, 0.5), (3, 2, 0.3), (4, 3, 1.0)):
        labels = np.repeat(np.arange(k, dtype=np.float64), m)
        least, collapsed = formula(k, m, temperature)
        optimum = np.repeat(simplex_etf(k), m, axis=1)
        found = _lowest(ctx, f"contrastive-{k}-{m}", partial(_mean_loss, labels, temperature), optimum)
        name = f"K={k}, m={m}, θ={temperature}"
        rows.append(compare(name, least, found, "simplex, points near it and random ones", relative=1e-9))
        same = np.repeat(optimum[:, :1], k * m, axis=1)
        at = Enclosure.around(_mean_loss(labels, temperature, same), 1e-13)
        rows.append(compare(f"{name}, all vectors equal", collapsed, at, "evaluation"))
    return rows


CONTRASTIVE = stated(
    contrastive_values,
    _contrastive,
    "supervised-contrastive",
    ("simplex", "collapsed"),
    {
        "contrastive: m for m − 1 positives": lambda k, m, t: (
            math.log(m + m * (k - 1) * math.exp(-k / ((k - 1) * t))),
            math.log(k * m - 1),
        ),
        "contrastive: exponent 1/θ": lambda k, m, t: (
            math.log(m - 1 + m * (k - 1) * math.exp(-1 / t)),
            math.log(k * m - 1),
        ),
        "contrastive: collapse at log B": lambda k, m, t: (contrastive_values(k, m, t)[0], math.log(k * m)),
        "contrastive: orthogonal classes": lambda k, m, t: (contrastive_values(k, m, t)[1], math.log(k * m - 1)),
    },
    summary="3 batches: least at the simplex among 60 other points, and the value where all vectors are equal",
    resolution=1e-8,
    id="contrastive-simplex",
    title="Supervised contrastive loss: its floor, at the simplex, and its value at total collapse",
    statement="In a batch of K classes of m ≥ 2 unit vectors the mean supervised contrastive loss is at least log(m "
    "+ m (K − 1) e^{−K/(θ (K − 1))} − 1), with equality exactly where each class is one vector and these form a "
    "regular simplex. Where all B vectors of a batch coincide every anchor has the loss log(B − 1).",
    source="Graf et al. 2021, Theorem 2, as we state it; for B = 128 and the factor 0.1/0.07 of a common program "
    "total collapse reads 6.9203",
    scope=Scope(("contrastive",), ("vectors",), groups=(1, 1), dimension="K"),
    hypotheses=(
        "loss of an anchor: log Σ_{a≠i} e^{⟨x_i, x_a⟩/θ} less the mean of ⟨x_i, x_p⟩/θ over its positives p ≠ i, θ > 0",
    ),
    group=GROUP,
    papers=("graf2021",),
    topic="norms",
    standing="confirmed",
    core=False,
)


def _nonnegative(ctx: Context, formula: Callable[[int, int, float], float]) -> list[Comparison]:
    rows = []
    for sizes, temperature in (((2, 2), 0.5), ((5, 2, 3), 0.2), ((2, 9), 1.0)):
        labels = np.repeat(np.arange(len(sizes), dtype=np.float64), sizes)
        optimum = np.repeat(np.eye(len(sizes)), sizes, axis=1)

        def total(x: Array, y: Array = labels, t: float = temperature) -> float:
            return float(supervised_contrastive(np.abs(x), y, t).sum())

        found = _lowest(ctx, f"nonnegative-{sizes}", total, optimum)
        claimed = sum(n * formula(n, sum(sizes), temperature) for n in sizes)
        rows.append(
            compare(
                f"classes of {sizes}, θ={temperature}",
                claimed,
                found,
                "orthogonal classes, points near and random ones",
                relative=1e-9,
            )
        )
    return rows


NONNEGATIVE = stated(
    lambda n, b, t: math.log(n - 1 + (b - n) * math.exp(-1 / t)),
    _nonnegative,
    "supervised-contrastive",
    ("nonnegative",),
    {
        "nonnegative contrastive: exponent 2/θ": lambda n, b, t: math.log(n - 1 + (b - n) * math.exp(-2 / t)),
        "nonnegative contrastive: n_c for n_c − 1": lambda n, b, t: math.log(n + (b - n) * math.exp(-1 / t)),
        "nonnegative contrastive: all others negative": lambda n, b, t: math.log(n - 1 + b * math.exp(-1 / t)),
    },
    summary="3 batches with different class sizes: least at orthogonal classes among 60 other points each",
    resolution=1e-8,
    id="contrastive-nonnegative",
    title="Supervised contrastive loss of ReLU features: orthogonal classes at every imbalance",
    statement="For nonnegative unit vectors and any class sizes n_c ≥ 2 with sum B an anchor of class c has a loss "
    "of at least log(n_c + (B − n_c) e^{−1/θ} − 1), and all attain it together exactly where each "
    "class is one vector and these are orthogonal.",
    source="Kini et al. 2024 (symmetric geometry under imbalance), as we state it",
    scope=Scope(("contrastive",), ("vectors",), dimension="K"),
    hypotheses=(
        "loss of an anchor: log Σ_{a≠i} e^{⟨x_i, x_a⟩/θ} less the mean of ⟨x_i, x_p⟩/θ over its positives p ≠ i, θ > 0",
    ),
    group=GROUP,
    papers=("kini2024",),
    topic="nonnegative",
    standing="confirmed",
    core=False,
)


def contrastive_threshold(minority: int, beta: float) -> float:
    """R* of one majority class and ``minority`` others at inverse temperature ``beta``."""
    n, e = minority, math.exp(-2 * beta)
    middle = (1 - e) * (2 + e)
    return n * (middle + math.sqrt(middle**2 + 8 * e * e * (1 + e))) / (2 * e * (1 + e))


def _minority_distance(minority: int, beta: float, ratio: float) -> float:
    """``1 - <x_B, x_B'>`` at the minimum over symmetric Gram matrices, by bisection of the slope along their edge."""
    n = minority

    def e(x: float) -> float:
        return math.exp(beta * (x - 1))

    def slope(v: float) -> float:
        x, y = -math.sqrt(v / n), (v - 1) / (n - 1)
        dx = -1 / (2 * math.sqrt(v * n))
        majority = ratio * n * e(x) * dx / (ratio + n * e(x))
        return majority + n * (e(y) + ratio * e(x) * dx) / (1 + (n - 1) * e(y) + ratio * e(x))

    if slope(n) <= 0:
        return 0.0
    low, high = 1e-9, float(n)
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if slope(middle) < 0 else (low, middle)
    return 1 - (low - 1) / (n - 1)


def _population_loss(weights: Array, beta: float, vectors: Array) -> float:
    """``sum_c p_c log sum_c' p_c' e^{beta (<x_c, x_c'> - 1)}``."""
    return float(weights @ np.log(np.exp(beta * (vectors.T @ vectors - 1)) @ weights))


def _descended(minority: int, beta: float, ratio: float) -> float:
    """``1 - <x_B, x_B'>`` after a descent over unit vectors that knows no symmetry."""
    from scipy.optimize import minimize

    k = minority + 1
    weights = np.array([ratio] + [1.0] * minority) / (ratio + minority)
    start = np.random.default_rng(0).standard_normal(k * k)
    found = minimize(lambda v: _population_loss(weights, beta, _unit(v.reshape(k, k))), start, method="BFGS", tol=1e-9)
    vectors = _unit(found.x.reshape(k, k))
    return 1 - float(vectors[:, 1] @ vectors[:, 2])


def _contrastive_sides(ctx: Context, rule: Callable[[int, float], float]) -> list[Comparison]:
    cases = []
    for n, beta in ((2, 0.5), (3, 1.0), (4, 0.2)):
        star = contrastive_threshold(n, beta)
        for distance in (s * x for x in (1e-2, 1e-4, 1e-6) for s in (1, -1)):
            ratio = star * (1 + distance)
            name = f"K_B={n}, β={beta}, R=R*(1{distance:+g})"
            cases.append((f"edge, {name}", n, beta, ratio, partial(_minority_distance, n, beta, ratio)))
    rows = _sides(rule, ctx, cases)
    for ratio in (0.9, 1.1):
        at = ratio * contrastive_threshold(2, 0.5)
        apart = ctx.once(f"contrastive-descent-{ratio}", partial(_descended, 2, 0.5, at))
        claimed = 1.0 if at >= rule(2, 0.5) else 2.0
        seen = Enclosure.around(1.0 if apart < 1e-4 else 2.0, 0.0)
        rows.append(compare(f"K_B=2, β=0.5, R={ratio} R*, descent", claimed, seen, "descent over unit vectors"))
    return rows


def _temperatures() -> Figure:
    betas = np.linspace(0.02, 3, 60).tolist()
    return curves_figure(
        "Contrastive learning: collapse threshold R*, one majority class",
        "Above its curve the minority classes are one. R* tends to K_B as β → 0 and grows like 2 K_B e^{2 β}.",
        ("inverse temperature β", "R*"),
        {f"K_B = {n}": (betas, [contrastive_threshold(n, b) for b in betas]) for n in (2, 4, 9)},
        scale="log",
    )


IMBALANCED = stated(
    contrastive_threshold,
    _contrastive_sides,
    "contrastive-collapse",
    ("threshold", "growth"),
    {
        "contrastive collapse: never": lambda n, b: math.inf,
        "contrastive collapse: threshold K_B": lambda n, b: float(n),
        "contrastive collapse: e^{−β} for e^{−2β}": lambda n, b: contrastive_threshold(n, b / 2),
    },
    summary="the phase on both sides of R* at relative distances 10⁻² to 10⁻⁶, and after descents without symmetry",
    figure=_temperatures,
    resolution=1e-5,
    id="contrastive-minority-collapse",
    title="Contrastive learning has minority collapse: the threshold for one majority class",
    statement="Let F = Σ_c π_c log Σ_c' π_c' e^{β (⟨x_c, x_c'⟩ − 1)} with one class R times as probable as each of "
    "K_B ≥ 2 others, β > 0, q = e^{−2 β}. At the minimum of F the vectors of the others coincide if and only if R ≥ "
    "R* = K_B (√((1 − q)² (2 + q)² + 8 q² (1 + q)) + (1 − q) (2 + q))/(2 q (1 + q)). R* > K_B for every β, and R* → "
    "∞ as β → ∞.",
    source="Our own: the threshold that arXiv 2605.11291 finds numerically, in closed form where there is one "
    "majority class",
    scope=Scope(("contrastive",), ("vectors",), groups=(2, 2), minority=2, dimension="K", conditions=("K_A = 1",)),
    group=GROUP,
    papers=("contrastive2026",),
    topic="minority-collapse",
    standing="new",
)


# codes ---------------------------------------------------------------------------------------------------------------


def _direct_sum(dimensions: Sequence[int]) -> Array:
    """Regular simplices in orthogonal subspaces of these dimensions, one vector a column."""
    blocks = []
    for at, n in enumerate(dimensions):
        corners = simplex_etf(n + 1, dim=n)
        before, after = sum(dimensions[:at]), sum(dimensions[at + 1 :])
        blocks.append(np.pad(_unit(corners), ((before, after), (0, 0))))
    return np.concatenate(blocks, axis=1)


def code_margin(vectors: Array) -> float:
    """``min_k dist(w_k, conv{w_j : j != k})``, by nonnegative least squares."""
    from scipy.optimize import nnls

    found = []
    for k in range(vectors.shape[1]):
        others = np.delete(vectors, k, axis=1)
        # weights sum to 1 by a row of large weight
        weights, _ = nnls(np.vstack([others, np.full(others.shape[1], 1e4)]), np.append(vectors[:, k], 1e4))
        found.append(float(np.linalg.norm(vectors[:, k] - others @ (weights / weights.sum()))))
    return min(found)


def _codes(ctx: Context, formula: Callable[[int, int], float]) -> list[Comparison]:
    rows = []
    for dimensions in ((1, 1), (1, 2), (1, 3), (2, 2), (1, 1, 3)):
        d, k = sum(dimensions), sum(dimensions) + len(dimensions)
        code = _direct_sum(dimensions)
        name = f"d={d}, K={k}, simplices in {' + '.join(map(str, dimensions))} dimensions"
        attained = ctx.once(f"code-{dimensions}", partial(code_margin, code))
        rows.append(compare(name, formula(k, d), Enclosure.around(attained, 1e-7), "distances to hulls", relative=1e-6))
        best = ctx.once(f"code-best-{dimensions}", partial(_best_random, d, k))
        # random codes stay below what is claimed to be the largest margin
        least = Enclosure.around(max(best, attained), 1e-7)
        rows.append(
            compare(f"{name}: none of 40 random codes", formula(k, d), least, "distances to hulls", relative=1e-6)
        )
    return rows


def _best_random(dim: int, num_vectors: int) -> float:
    rng = np.random.default_rng(0)
    return max(code_margin(_unit(rng.standard_normal((dim, num_vectors)))) for _ in range(40))


CODES = stated(
    lambda k, d: 1.0,
    _codes,
    "orthoplex-codes",
    ("margin", "codes"),
    {
        "codes: margin √2": lambda k, d: math.sqrt(2),
        "codes: margin of the simplex": lambda k, d: k / (k - 1),
        "codes: margin d/(K − d)": lambda k, d: d / (k - d) if d != k - d else 0.5,
        "codes: margin of equal norms of the hull": lambda k, d: 1 - 1 / k,
    },
    summary="five direct sums of simplices with d from 2 to 5 attain margin 1, and none of 40 random codes each "
    "exceeds it",
    resolution=1e-5,
    id="softmax-codes-not-unique",
    title="From d + 2 to 2 d classes the best margin is 1, at many codes: not only the cross-polytope",
    statement="The largest margin min_k dist(w_k, conv{w_j : j ≠ k}) of K unit vectors of ℝ^d is 1. Every union of "
    "K − d regular simplices in pairwise orthogonal subspaces whose dimensions, at least 1 each, add up to d "
    "attains it; so at d = 4 and K = 6 there are codes with a cosine −1/3 and others with cosines 0, −1/2 only.",
    source="Jiang et al. 2024 (margin 1), and how arXiv 2603.20587 is summarised (vertices of a cross-polytope), "
    "corrected",
    scope=Scope(("none",), ("vectors",), classes=(3, None), conditions=("d ≥ 2, d + 2 ≤ K ≤ 2 d",)),
    group=GROUP,
    papers=("alcala2026", "jiang2024"),
    topic="norms",
    standing="corrected",
    core=False,
)


# criterion by prices --------------------------------------------------------------------------------------------------

Prices = tuple[float, float, float, float]


def _priced(majority: int, minority: int, ratio: float) -> Prices:
    """Minority margin, probability of a minority class, its two prices, at a = b = 1."""
    from ufm.gauges import gamma2_polar

    prior = ClassPrior([ratio] * majority + [1.0] * minority)
    found = solve(NormBounded(1.0, 1.0), prior)
    prices = gamma2_polar(-found.problem.gradient(found.logits))
    margin = float(found.logits[-1, -1] - found.logits[-2, -1])
    return margin, float(prior.probabilities[-1]), float(prices.alpha[-1]), float(prices.beta[-1])


#: (K_A, K_B, R) on both sides of the thresholds 22.5449 and 15.1706 at a b = 1, those of norm-bounded-groups.
PRICED = ((2, 2, 22.54), (2, 2, 22.55), (3, 2, 15.16), (3, 2, 15.18))


def _criterion(ctx: Context, rule: Callable[[float, float, float], bool]) -> list[Comparison]:
    rows = []
    for majority, minority, ratio in PRICED:
        name = f"K_A={majority}, K_B={minority}, R={ratio:g}"
        margin, p, alpha, beta = ctx.once(f"priced {name}", partial(_priced, majority, minority, ratio))
        seen = 1.0 if abs(margin) < 1e-7 else 2.0
        claimed = 1.0 if rule(p, alpha, beta) else 2.0
        rows.append(compare(f"{name} (1 collapsed, 2 not)", claimed, Enclosure.around(seen, 0.0), "solver and prices"))
    return rows


CRITERION = stated(
    lambda p, alpha, beta: p <= math.sqrt(alpha * beta),
    _criterion,
    "norm-bounded-criterion",
    ("criterion",),
    {
        "prices: π_b ≤ √(α_b β_b)/2": lambda p, alpha, beta: p <= math.sqrt(alpha * beta) / 2,
        "prices: π_b ≤ (α_b + β_b)/2": lambda p, alpha, beta: p <= (alpha + beta) / 2,
        "prices: π_b ≥ √(α_b β_b)": lambda p, alpha, beta: p >= math.sqrt(alpha * beta),
        "prices: π_b ≤ β_b": lambda p, alpha, beta: p <= beta,
    },
    summary="phase and prices of 4 optima with K_B = 2: R* lies between 22.54 and 22.55 for K_A = 2, between 15.16 "
    "and 15.18 for K_A = 3",
    off_by=lambda x: lambda p, alpha, beta: p <= (1 + x) * math.sqrt(alpha * beta),
    resolution=1e-3,
    id="norm-bounded-criterion",
    title="Bounded norms: a group of classes is collapsed exactly where π_b ≤ √(α_b β_b)",
    statement="Let α_k and β_k be prices of the bounds at an optimum, [[diag α, −M], [−Mᵀ, diag β]] ⪰ 0 with (Σ α_k "
    "+ Σ β_k)/2 = ⟨M, Z⟩/(a b) and M the negative gradient, equal within a group b of K_b ≥ 2 classes of equal "
    "counts. Its classes have equal logits on the samples of the group if and only if π_b ≤ √(α_b β_b).",
    source="Our own: the criterion of minority collapse with one price a vector; under budgets all prices are μ",
    scope=Scope(models=("norm-bounded",), minority=2, conditions=("d ≥ 2 K",)),
    group=GROUP,
    papers=("yaras2022", "fang2021"),
    topic="minority-collapse",
    standing="new",
    core=False,
)


# near the optimum -----------------------------------------------------------------------------------------------------


def _network(seed: int, distance: float, num_classes: int, per_class: int) -> tuple[Array, Array]:
    """Classifiers (d, K) and features (d, K, n) near a simplex ETF, bounded by 1.5 and 2."""
    rng = np.random.default_rng(seed)
    k = num_classes
    frame = np.vstack([simplex_etf(k), np.zeros((1, k))])
    w = 1.5 * frame + distance * rng.standard_normal(frame.shape)
    h = 2 * frame[:, :, None] + distance * rng.standard_normal((k + 1, k, per_class))
    return _shortened(w, 1.5), _shortened(h, 2.0)


def _shortened(vectors: Array, length: float) -> Array:
    """Vectors along the first axis, those longer than ``length`` cut to it."""
    return np.asarray(vectors * np.minimum(1, length / np.linalg.norm(vectors, axis=0)), dtype=np.float64)


Spread = tuple[float, float, float, float]


def _spread(w: Array, h: Array) -> tuple[float, Spread]:
    """Risk; mean margin, variance within classes, distance to self-duality, mean inner product of class means."""
    k = w.shape[1]
    logits = np.einsum("dj,dkn->jkn", w, h)
    own = logits[np.arange(k), np.arange(k)]
    risk = float((np.log(np.exp(logits - own).sum(axis=0))).mean())
    margin = float((k * own - logits.sum(axis=0)).mean() / (k - 1))
    means = h.mean(axis=2)
    within = float(((h - means[:, :, None]) ** 2).sum(axis=0).mean())
    x, y = w / 1.5, means / 2.0
    x0, y0 = x.mean(axis=1, keepdims=True), y.mean(axis=1, keepdims=True)
    dual = float((x0**2).sum() + (y0**2).sum() + ((x - x0 - y + y0) ** 2).sum(axis=0).mean())
    product = float(((means.sum(axis=1) ** 2).sum() - (means**2).sum()) / (k * (k - 1)))
    return risk, (margin, within, dual, product)


def near_bounds(num_classes: int, risk: float) -> Spread:
    """Least margin, and the largest of the other three, for a = 1.5 and b = 2."""
    k, a, b = num_classes, 1.5, 2.0
    margin = math.log((k - 1) / math.expm1(risk))
    delta = 1 - margin * (k - 1) / (a * b * k)
    return (
        margin,
        b * b * delta * (2 - delta),
        2 * delta,
        b * b * (2 * k * delta - (1 - delta) ** 2) / (k - 1),
    )


def _near(ctx: Context, formula: Callable[[int, float], Spread]) -> list[Comparison]:
    rows = []
    for k, distance in ((2, 0.1), (3, 0.01), (4, 0.3), (6, 1e-3)):
        risk, seen = ctx.once(f"near-{k}-{distance}", partial(_seen_near, k, distance))
        bounds = formula(k, risk)
        kept = [seen[0] >= bounds[0] - 1e-12, *(x <= y + 1e-12 for x, y in zip(seen[1:], bounds[1:], strict=True))]
        for name, holds in zip(("margin", "variance", "self-duality", "inner product"), kept, strict=True):
            seen_in = Enclosure.around(1.0 if holds else 2.0, 0.0)
            rows.append(
                compare(
                    f"K={k}, distance {distance}: {name} within its bound (1 yes, 2 no)", 1.0, seen_in, "evaluation"
                )
            )
        # a multiple of the ETF attains the bound of the margin
        shrunk = 0.9 * 3.0 * k / (k - 1)
        at = formula(k, math.log1p((k - 1) * math.exp(-shrunk)))[0]
        rows.append(compare(f"K={k}: 0.9 of the ETF", at, Enclosure.around(shrunk, 1e-12), "evaluation", relative=1e-9))
        # at the optimum itself all bounds are those of the ETF
        best = formula(k, math.log1p((k - 1) * math.exp(-3.0 * k / (k - 1))))
        for name, value, limit in zip(
            ("variance", "self-duality", "inner product"), best[1:], (0, 0, -4 / (k - 1)), strict=True
        ):
            rows.append(
                compare(
                    f"K={k}: 10 + bound of the {name} at the optimum",
                    10 + value,
                    Enclosure.around(10 + limit, 1e-10),
                    "ETF",
                    relative=1e-9,
                )
            )
    return rows


def _seen_near(num_classes: int, distance: float) -> tuple[float, Spread]:
    return _spread(*_network(0, distance, num_classes, 3))


def _near_variant(place: int, factor: float) -> Callable[[int, float], Spread]:
    def bounds(k: int, risk: float) -> Spread:
        found = list(near_bounds(k, risk))
        found[place] *= factor
        return found[0], found[1], found[2], found[3]

    return bounds


NEAR = stated(
    near_bounds,
    _near,
    "near-optimal-bounded",
    ("margin", "variance", "duality", "product"),
    {
        "near the optimum: margin a hundredth more": _near_variant(0, 1.01),
        "near the optimum: variance within classes 0.1 of it": _near_variant(1, 0.1),
        "near the optimum: self-duality 0.01 of it": _near_variant(2, 0.01),
        "near the optimum: inner products twice those of the ETF": _near_variant(3, 2.0),
    },
    summary="four networks at distances 10⁻³ to 0.3 of the optimum keep all bounds; multiples of the ETF attain "
    "that of the margin",
    resolution=1e-8,
    id="near-optimal-bounded",
    title="Everything of small risk is near the ETF, with explicit constants",
    statement="Let W and features have a risk f below log K, m = log((K − 1)/(e^f − 1)), m* = a b K/(K − 1), δ = 1 "
    "− m/m*, h_k the class means of the features. The mean of the margins z_kk − z_jk is at least m, and among all "
    "networks of that risk a multiple of the simplex ETF attains it. The mean squared distance of a feature to its "
    "class mean is at most δ b² (2 − δ). With the means w̄ and h̄ over the classes, |w̄|²/a² + |h̄|²/b² plus the "
    "mean of |(w_k − w̄)/a − (h_k − h̄)/b|² over the classes is at most 2 δ. The mean of ⟨h_j, h_k⟩ over j ≠ k is "
    "at most b² (2 K δ − (1 − δ)²)/(K − 1).",
    source="Pan, Cao 2023 (near-optimal risk and cosines under normalisation), as we state it, with constants "
    "derived here",
    scope=Scope(
        models=("norm-bounded",),
        groups=(1, 1),
        dimension="K - 1",
        conditions=("|h| ≤ b for the feature of every sample",),
    ),
    group=GROUP,
    papers=("pan2023",),
    topic="norms",
    standing="sharpened",
)


# a spurious minimum ----------------------------------------------------------------------------------------------------


def _angular(angles: Array, scale: float) -> float:
    """Risk of classifiers and features on a circle, three angles each."""
    logits = scale * np.cos(angles[:3, None] - angles[None, 3:])
    return float(np.log(np.exp(logits - np.diag(logits)).sum(axis=0)).mean())


#: Degrees of the three classifiers and of their features at the minimum.
TRAPPED = (0.0, 3.05, -23.98, 156.35, 91.5, -101.56)


def _descents(scale: float) -> tuple[float, ...]:
    """Values at which descents end: from near the minimum three times, then from the simplex."""
    from scipy.optimize import minimize

    rng = np.random.default_rng(0)
    starts = [np.radians(TRAPPED) + 0.02 * rng.standard_normal(6) for _ in range(3)]
    starts.append(np.radians([0.0, 120, 240, 0, 120, 240]) + 0.02 * rng.standard_normal(6))
    return tuple(float(minimize(_angular, x, (scale,), method="BFGS", options={"gtol": 1e-10}).fun) for x in starts)


def _trapped(ctx: Context, formula: Callable[[], tuple[float, float]]) -> list[Comparison]:
    *near, best = ctx.once("sphere-trapped", partial(_descents, 20.0))
    value, global_value = formula()
    rows = [
        compare(f"descent {i} from near the minimum", value, Enclosure.around(x, 1e-9), "descent", relative=1e-7)
        for i, x in enumerate(near)
    ]
    rows.append(
        compare(
            "1 + descent from the simplex", 1 + global_value, Enclosure.around(1 + best, 1e-9), "descent", relative=1e-7
        )
    )
    return rows


SPURIOUS = stated(
    lambda: (0.4372276749, math.log1p(2 * math.exp(-30))),
    _trapped,
    "sphere-spurious-minimum",
    ("minimum", "global"),
    {
        "circle: no other minimum": lambda: (math.log1p(2 * math.exp(-30)),) * 2,
        "circle: minimum of value 0.4372": lambda: (0.4372, math.log1p(2 * math.exp(-30))),
        "circle: simplex no better": lambda: (0.4372276749, 0.4372276749),
    },
    summary="three descents from near the minimum end in it, one from near the simplex in the simplex",
    resolution=1e-6,
    id="sphere-spurious-minimum",
    title="On spheres d = K − 1 is not enough for a benign landscape",
    statement="For K = 3 balanced classes in d = K − 1 = 2 dimensions, |w_k| = a, |h_k| = b and a b = 20, the "
    "cross-entropy has a local minimum, strict up to rotation, of value between 0.437227 and 0.437228. The simplex "
    "ETF has the value log(1 + 2 e^{−30}) < 2 · 10^{−13} there.",
    source="Yaras et al. 2022, landscape, where it is quoted with d ≥ K − 1; their hypothesis on d is needed",
    scope=Scope(
        models=("norm-bounded",),
        classes=(3, 3),
        groups=(1, 1),
        conditions=("d = 2", "lengths equal to the bounds, a b = 20"),
    ),
    group=GROUP,
    papers=("yaras2022",),
    topic="landscape",
    standing="corrected",
)


# which collapses first -------------------------------------------------------------------------------------------------

Order = Callable[[int, float], tuple[float, float, float]]


def _order(ctx: Context, formula: Order) -> list[Comparison]:
    rows = []
    for n, t in ((2, 0.3), (3, 0.8)):
        first, second = contrastive_threshold(n, t), bounded_threshold(n, t)
        between = math.sqrt(first * second)
        contrastive = ctx.once(f"order-contrastive-{n}-{t}", partial(_minority_distance, n, t, between))
        margin = ctx.once(f"order-ce-{n}-{t}", partial(_minority_margin, n, t, 1.0, between))
        seen = (1.0 if contrastive == 0 else 2.0, 1.0 if abs(margin) < 1e-7 else 2.0)
        claimed = formula(n, t)
        for name, x, y in zip(("contrastive", "cross-entropy"), claimed[:2], seen, strict=True):
            label = f"K_B={n}, β=a b={t}, R={between:.4g}: {name} (1 collapsed, 2 not)"
            rows.append(compare(label, x, Enclosure.around(y, 0.0), "solver"))
        small = 1e-7
        ratio = bounded_threshold(n, small) / contrastive_threshold(n, small)
        rows.append(
            compare(
                f"K_B={n}: R* over R* at β=1e-7", claimed[2], Enclosure.around(ratio, 1e-9), "thresholds", relative=1e-5
            )
        )
    return rows


def _ratio(n: int) -> float:
    return (n * n + 2 * n - 1) / (2 * n)


def _both_thresholds() -> Figure:
    sizes = np.linspace(0.02, 2.5, 60).tolist()
    curves = {}
    for n in (2, 9):
        curves[f"contrastive, K_B = {n}"] = (sizes, [contrastive_threshold(n, t) for t in sizes])
        curves[f"cross-entropy, K_B = {n}"] = (sizes, [bounded_threshold(n, t) for t in sizes])
    return curves_figure(
        "Collapse thresholds of contrastive loss and of cross-entropy with bounded norms",
        "One majority class. Between the two curves of a K_B the contrastive minority is one and that of cross-entropy is not.",
        ("β = a b", "R*"),
        curves,
        scale="log",
    )


ORDER = stated(
    lambda n, t: (1.0, 2.0, _ratio(n)),
    _order,
    "contrastive-collapses-earlier",
    ("earlier", "ratio"),
    {
        "order: cross-entropy first": lambda n, t: (2.0, 1.0, _ratio(n)),
        "order: together": lambda n, t: (1.0, 1.0, 1.0),
        "order: ratio K_B": lambda n, t: (1.0, 2.0, float(n)),
    },
    summary="between the two thresholds the contrastive minority is collapsed and that of cross-entropy is not, at "
    "2 settings",
    figure=_both_thresholds,
    off_by=lambda x: lambda n, t: (1.0, 2.0, (1 + x) * _ratio(n)),
    resolution=1e-4,
    id="contrastive-collapses-earlier",
    title="At the same temperature contrastive learning collapses its minority before cross-entropy does",
    statement="With one majority class the minority of the contrastive loss Σ_c π_c log Σ_c' π_c' e^{β (⟨x_c, x_c'⟩ "
    "− 1)} has its R* below that of cross-entropy with |w_k| ≤ a, |h_k| ≤ b and a b = β, for every β > 0. As β → 0 "
    "the second over the first tends to (K_B² + 2 K_B − 1)/(2 K_B).",
    source="Our own, from the two thresholds",
    scope=(
        Scope(("contrastive",), ("vectors",), groups=(2, 2), minority=2, dimension="K", conditions=("K_A = 1",)),
        Scope(models=("norm-bounded",), groups=(2, 2), minority=2, conditions=("K_A = 1", "d ≥ 2 K")),
    ),
    group=GROUP,
    papers=("contrastive2026", "yaras2022"),
    topic="minority-collapse",
    standing="new",
    core=False,
)


CLAIMS = (
    BALANCED,
    COLLAPSE,
    ENERGY,
    SOFTMAX,
    CONTRASTIVE,
    NONNEGATIVE,
    IMBALANCED,
    CODES,
    CRITERION,
    NEAR,
    SPURIOUS,
    ORDER,
)
