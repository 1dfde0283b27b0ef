"""Other objectives: focal loss, squared hinge, temperature, fixed and orthogonal classifiers, codes, and the least width."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq, minimize

from proofs_check.scope import Scope
from ufm.architectures import UnconstrainedFeatures
from ufm.claims._figures import curves_figure
from ufm.claims._model import Context, Figure
from ufm.claims._stated import stated
from ufm.claims._tools import Comparison
from ufm.claims.balanced_losses import balanced_decay, etf_size, logit_parts, seen_row
from ufm.geometry import simplex_etf
from ufm.labels import ClassPrior
from ufm.losses import CrossEntropy, FocalLoss, SquaredHinge
from ufm.solvers import solve

__all__ = ["CLAIMS", "focal_margin"]

GROUP = "Other objectives"

Array = NDArray[np.float64]

#: Relative distances from a boundary.
NEAR = (1e-1, -1e-1, 1e-2, -1e-2)

# focal loss ----------------------------------------------------------------------------------------------------------


def focal_margin(num_classes: int, gamma: float) -> float:
    """``gamma (K - 1 - gamma) log K - (2 gamma + 1)(K - 1)``: positive where the transition is a jump."""
    k = num_classes
    return gamma * (k - 1 - gamma) * math.log(k) - (2 * gamma + 1) * (k - 1)


def _focal_jumps(k: int, gamma: float) -> bool:
    """Whether ``F(a) + c a`` falls below F(0) for the c at which zero becomes a local minimum."""
    loss, targets = FocalLoss(gamma=gamma), np.eye(k)[:, :1]
    sizes = np.concatenate(([0.0], np.geomspace(1e-2, 6.0, 300)))
    logits = np.zeros((k, len(sizes)))
    logits[0] = sizes
    values = loss.values(logits, np.repeat(targets, len(sizes), axis=1))
    slope = -float(loss.gradients(logits[:, :1], targets)[0, 0])
    return bool((values[1:] + slope * sizes[1:] < values[0] - 1e-12).any())


def _focal(ctx: Context, formula: Callable[[int, float], float]) -> list[Comparison]:
    rows = []
    cases = [(k, 2.0) for k in (3, 10, 16, 17, 18, 19, 100, 1000)]
    for k, gamma in [*cases, (17, 3.0), (18, 3.0), (19, 5.0), (20, 5.0), (22, 1.0), (40, 1.0), (40, 0.2), (5, 0.0)]:
        seen = 2.0 if ctx.once(f"focal {k} {gamma}", partial(_focal_jumps, k, gamma)) else 1.0
        claimed = 2.0 if formula(k, gamma) > 0 else 1.0
        rows.append(seen_row(f"K={k}, γ={gamma} (minimisers)", claimed, seen))
    return rows


def _focal_figure() -> Figure:
    sizes = np.linspace(0, 4.2, 85)
    slope, critical = focal_slope(100, 2.0), _focal_critical(100, 2.0)
    prices = {"at zero's last decay": slope, "where both cost the same": critical, "above": 2 * critical - slope}
    return curves_figure(
        "Focal loss along the simplex ETF, K = 100, γ = 2",
        "Objective less that at zero, for three weight decays. In the middle one the ETF and zero cost the same: the ETF is left by a jump.",
        ("size a of the logits", "objective less that at zero"),
        {name: (sizes.tolist(), _focal_objective(100, 2.0, at, sizes).tolist()) for name, at in prices.items()},
    )


def _focal_critical(k: int, gamma: float) -> float:
    """The price at which the least objective at ``a P``, a > 0, is that at zero."""
    sizes = np.linspace(0.5, 9, 400)
    return float((-_focal_objective(k, gamma, 0.0, sizes) / ((k - 1) * sizes)).max())


FOCAL = stated(
    focal_margin,
    _focal,
    "focal-first-order",
    ("unique", "two"),
    {
        "focal loss: one minimiser always": lambda k, g: -1.0,
        "focal loss: two from 17 on": lambda k, g: 1.0 if k >= 17 else -1.0,
        "focal loss: without γ²": lambda k, g: g * (k - 1) * math.log(k) - (2 * g + 1) * (k - 1),
        "focal loss: 2 γ for 2 γ + 1": lambda k, g: g * (k - 1 - g) * math.log(k) - 2 * g * (k - 1),
        "focal loss: K log K": lambda k, g: g * k * math.log(k) - (2 * g + 1) * (k - 1),
    },
    summary="one or two minimisers at 16 (K, γ), 17 and 18 classes at γ = 2 among them",
    figure=_focal_figure,
    id="focal-first-order",
    title="Focal loss with γ = 2: from 18 classes on the simplex ETF vanishes by a jump",
    statement="Along the simplex ETF the objective of the focal loss with exponent γ > 0 has one minimiser a ≥ 0 "
    "for every weight decay if and only if γ (K − 1 − γ) log(K) ≤ (1 + 2 γ) (K − 1). For γ = 2 that is K "
    "≤ 17; for more classes there is a weight decay with two minimisers, zero and another, and above it "
    "zero stays a local minimum along the ray.",
    source="Zhou et al. 2022 (are all losses created equal), whose condition of one minimiser focal loss is said to "
    "satisfy, as we state it",
    scope=Scope(
        ("focal",), ("weight-decay",), groups=(1, 1), dimension="K - 1", conditions=("logits a (I − 11ᵀ/K), a ≥ 0",)
    ),
    group=GROUP,
    papers=("zhou2022losses",),
    topic="losses",
    standing="refuted",
)


def focal_slope(num_classes: int, gamma: float) -> float:
    """``kappa``, the spectral norm of the gradient at zero logits."""
    k = num_classes
    return ((k - 1) / k) ** gamma * (k - 1 + gamma * math.log(k)) / (k * (k - 1))


def _focal_objective(k: int, gamma: float, price: float, sizes: Array) -> Array:
    """Objective at ``a P`` less that at zero."""
    logits = np.zeros((k, len(sizes)))
    logits[0] = sizes
    targets = np.eye(k)[:, [0] * len(sizes)]
    loss = FocalLoss(gamma=gamma)
    return np.asarray(loss.values(logits, targets) - loss.values(0 * logits, targets) + price * (k - 1) * sizes)


def _focal_traps(ctx: Context, formula: Callable[[int, float], float]) -> list[Comparison]:
    rows = []
    for k, gamma in ((2, 2.0), (5, 1.0), (10, 2.0), (30, 2.0), (200, 3.0)):
        for distance in (1e-2, -1e-2, 5e-4, -5e-4):
            price = focal_slope(k, gamma) * (1 + distance)
            local = _focal_objective(k, gamma, price, np.array([1e-5]))[0] > 0
            name = f"K={k}, γ={gamma}, μ={price:.6g}"
            claimed = 1.0 if price > formula(k, gamma) else 2.0
            rows.append(seen_row(f"{name} (1 local minimum, 2 not)", claimed, 1.0 if local else 2.0))
        lower = _focal_objective(k, gamma, formula(k, gamma) * 1.001, np.geomspace(0.1, 9.0, 80)).min() < -1e-9
        claimed = 2.0 if focal_margin(k, gamma) > 0 else 1.0
        rows.append(seen_row(f"K={k}, γ={gamma}, 0.1 % above κ (1 global, 2 not)", claimed, 2.0 if lower else 1.0))
    return rows


TRAP = stated(
    focal_slope,
    _focal_traps,
    "focal-zero-trap",
    ("local", "trapped"),
    {
        "focal trap: κ of cross-entropy": lambda k, g: 1 / k,
        "focal trap: without the logarithm": lambda k, g: ((k - 1) / k) ** g / k,
        "focal trap: without the power": lambda k, g: (k - 1 + g * math.log(k)) / (k * (k - 1)),
        "focal trap: 2 % above": lambda k, g: 1.02 * focal_slope(k, g),
    },
    summary="a local minimum or not on both sides of κ at relative distances to 5·10⁻⁴, and global or not above it, at 6 (K, "
    "γ)",
    resolution=1e-3,
    id="focal-zero-trap",
    title="Focal loss: zero is a spurious local minimum of the network, for γ = 2 from 18 classes on",
    statement="With n samples in every class, the focal loss with exponent γ > 0, μ = √(n λ_W λ_H) and κ = ((K − "
    "1)/K)^{γ} (K + γ log(K) − 1)/(K (K − 1)), zero is a strict local minimum in (W, H) if μ > κ and no "
    "local minimum if μ < κ. If γ (K − 1 − γ) log(K) > (1 + 2 γ) (K − 1), as for γ = 2 and K ≥ 18, there "
    "is an interval of μ above κ in which zero is a strict local minimum and not a global one.",
    source="our own; Zhou et al. 2022 (are all losses created equal) have a landscape for focal loss near its optimum",
    scope=Scope(("focal",), ("weight-decay",), groups=(1, 1), dimension="K - 1"),
    group=GROUP,
    papers=("zhou2022losses",),
    topic="landscape",
    standing="new",
    core=False,
)

# a fixed classifier --------------------------------------------------------------------------------------------------


def _least(k: int, alpha: float, decay: float, bound: float | None) -> tuple[float, float]:
    """Loss of class 0 and its feature's component along w_0, by descent from a random start and its opposite."""
    w = alpha * simplex_etf(k, dim=k - 1).T

    def feature(x: Array) -> Array:
        return x if bound is None else bound * x / max(float(np.linalg.norm(x)), 1e-12)

    def loss(x: Array) -> float:
        z = w @ feature(x)
        return float(np.log(np.exp(z - z[0]).sum()))

    def objective(x: Array) -> float:
        return loss(x) + (decay / 2 * float(x @ x) if bound is None else 0.0)

    start = np.random.default_rng(k).standard_normal(k - 1)  # and its opposite: the sphere of K = 2 is two points
    found = min((np.asarray(minimize(objective, x, tol=1e-12).x) for x in (start, -start)), key=objective)
    return loss(found), float(feature(found) @ w[0]) / alpha


def fixed_loss(num_classes: int, alpha: float, bound: float) -> float:
    """``log(1 + (K-1) e^{-K alpha b/(K-1)})``."""
    return math.log1p((num_classes - 1) * math.exp(-num_classes * alpha * bound / (num_classes - 1)))


def _fixed_bounded(ctx: Context, formula: Callable[[int, float, float], float]) -> list[Comparison]:
    rows = []
    for k, alpha, bound in ((2, 1.0, 1.0), (3, 2.0, 0.5), (4, 1.5, 1.5), (6, 1.0, 3.0)):
        value, along = ctx.once(f"fixed {k} {alpha} {bound}", partial(_least, k, alpha, 0.0, bound))
        name = f"K={k}, α={alpha}, b={bound}"
        rows += [seen_row(name, formula(k, alpha, bound), value), seen_row(f"{name}: along w_k", bound, along, 1e-5)]
    return rows


FIXED = stated(
    fixed_loss,
    _fixed_bounded,
    "fixed-etf-classifier",
    ("bounded",),
    {
        "fixed ETF: margin α b": lambda k, a, b: math.log1p((k - 1) * math.exp(-a * b)),
        "fixed ETF: margin (K − 1)/K": lambda k, a, b: math.log1p((k - 1) * math.exp(-a * b * (k - 1) / k)),
        "fixed ETF: K wrong classes": lambda k, a, b: math.log1p(k * math.exp(-a * b * k / (k - 1))),
        "fixed ETF: b² for b": lambda k, a, b: fixed_loss(k, a, b * b),
    },
    summary="loss and direction found by descent over the feature of a class, K = 2 to 6",
    resolution=1e-4,
    id="fixed-etf-features",
    title="A classifier fixed to a simplex ETF serves every class alike, whatever the counts",
    statement="With a classifier fixed to a simplex ETF of length α and |h_i| ≤ b the only optimal feature of a "
    "sample of class k is b w_k/α, and the loss of every class is log(1 + (K − 1) e^{−K α b/(K − 1)}), "
    "whatever the counts.",
    source="Yang et al. 2022, Theorem 1, as we state it",
    scope=Scope(("ce",), ("fixed-etf",), dimension="K - 1"),
    group="Fixed classifiers",
    papers=("yang2022",),
    topic="imbalance",
    standing="confirmed",
    core=False,
)


def fixed_size(num_classes: int, alpha: float, decay: float) -> float:
    """``t > 0`` with ``lH N t = K alpha/(e^{K alpha t/(K-1)} + K - 1)``; ``decay`` is ``lH N``."""
    k = num_classes
    return float(
        brentq(lambda t: k * alpha / (math.exp(k * alpha * t / (k - 1)) + k - 1) - decay * t, 0, alpha / decay)
    )


def _fixed_decay(ctx: Context, formula: Callable[[int, float, float], float]) -> list[Comparison]:
    rows = []
    for k, alpha, decay in ((2, 1.0, 0.1), (3, 2.0, 0.5), (4, 1.5, 3.0), (5, 1.0, 20.0)):
        _, along = ctx.once(f"fixed decay {k} {alpha} {decay}", partial(_least, k, alpha, decay, None))
        rows.append(seen_row(f"K={k}, α={alpha}, λ_H N={decay}", formula(k, alpha, decay), along, 1e-5))
    return rows


FIXED_DECAY = stated(
    fixed_size,
    _fixed_decay,
    "fixed-etf-classifier",
    ("decay",),
    {
        "fixed ETF, decay: zero from λ_H N ≥ α on": lambda k, a, d: fixed_size(k, a, d) if d < a else 0.0,
        "fixed ETF, decay: α/(λ_H N)": lambda k, a, d: a / d,
        "fixed ETF, decay: twice λ_H": lambda k, a, d: fixed_size(k, a, 2 * d),
        "fixed ETF, decay: α² for α": lambda k, a, d: fixed_size(k, a * a if a != 1 else 1.5, d),
    },
    summary="the feature found by descent at 4 weight decays, from weak to strong",
    resolution=1e-4,
    id="fixed-etf-no-collapse",
    title="With a classifier fixed to a simplex ETF no weight decay of the features makes a class vanish",
    statement="With a classifier fixed to a simplex ETF of length α and weight decay of the features, N samples in "
    "all, the only optimal feature of a sample of class k is t w_k/α, where t > 0 solves λ_H N t = K α/(K "
    "+ e^{K α t/(K − 1)} − 1), whatever the counts: no class collapses or vanishes at any λ_H.",
    source="Yang et al. 2022 bound the features; with weight decay our own",
    scope=Scope(("ce",), ("fixed-etf-decay",), dimension="K - 1"),
    group="Fixed classifiers",
    papers=("yang2022",),
    topic="imbalance",
    standing="new",
    core=False,
)

# landscape -----------------------------------------------------------------------------------------------------------


def enough_features(num_classes: int) -> int:
    """Least d with a benign landscape."""
    return num_classes - 1


def _descended(counts: tuple[float, ...], lam: float, dim: int, seed: int) -> float:
    """Value of the local minimum in (W, H) of dimension ``dim`` that descent from a random start ends in."""
    k, n = len(counts), np.array(counts)

    def objective(x: Array) -> tuple[float, Array]:
        w, h = x[: k * dim].reshape(k, dim), x[k * dim :].reshape(dim, k)
        z = w @ h
        e = np.exp(z - z.max(axis=0))
        p = e / e.sum(axis=0)
        g = (p - np.eye(k)) * n / n.sum()
        value = -float(n @ np.log(np.diag(p))) / n.sum() + lam / 2 * (
            float((w**2).sum()) + float((h**2) @ n @ np.ones(dim))
        )
        return value, np.concatenate([(g @ h.T + lam * w).ravel(), (w.T @ g + lam * h * n).ravel()])

    start = 0.3 * np.random.default_rng(seed).standard_normal(2 * k * dim)
    found = minimize(objective, start, jac=True, method="L-BFGS-B", options={"ftol": 1e-15, "gtol": 1e-10})
    return float(found.fun)


def _optimum(counts: tuple[float, ...], lam: float) -> float:
    return solve(UnconstrainedFeatures(lam, lam), ClassPrior(counts)).value


def _widths(ctx: Context, formula: Callable[[int], int]) -> list[Comparison]:
    rows = []
    for counts, lam in (((1.0, 1.0, 1.0), 0.05), ((10.0, 5.0, 1.0), 0.01), ((6.0, 6.0, 3.0, 3.0), 0.01)):
        best = ctx.once(f"width {counts} {lam}", partial(_optimum, counts, lam))
        dim = formula(len(counts))
        for seed in range(3):
            seen = ctx.once(f"width {counts} {lam} {dim} {seed}", partial(_descended, counts, lam, dim, seed))
            rows.append(seen_row(f"counts {counts}, λ={lam}, d={dim}, start {seed}", best, seen, 1e-8))
    return rows


WIDTH = stated(
    enough_features,
    _widths,
    "landscape-sharp-width",
    ("benign",),
    {
        "width: K − 2 features": lambda k: k - 2,
        "width: one feature": lambda k: 1,
        "width: half as many features": lambda k: k // 2,
    },
    summary="descent in d = K − 1 dimensions ends at the optimal value from 9 random starts; in fewer it does not",
    id="landscape-sharp-width",
    title="K − 1 features make the landscape benign, for any counts",
    statement="With d ≥ K − 1 features and no bias every local minimum in (W, H) is a global one and every other "
    "critical point is a strict saddle, whatever the counts.",
    source="Zhu et al. 2021, Theorem 3.2 (d > K) and Shen, Gu 2024 (d = K), as we state them; d = K − 1 is our own",
    scope=Scope(("ce", "smoothed-ce"), ("weight-decay",), dimension="K - 1"),
    group="Landscape",
    papers=("zhu2021", "shen2024", "zhou2022losses"),
    topic="landscape",
    standing="sharpened",
)

# the contrastive property --------------------------------------------------------------------------------------------


def contrastive_bound(num_classes: int, smoothing: float, total: float) -> float:
    """``phi(t) = log(1 + (K-1) e^{t/(K-1)}) - delta t/K``."""
    k = num_classes
    return math.log1p((k - 1) * math.exp(total / (k - 1))) - smoothing * total / k


def _contrastive(ctx: Context, formula: Callable[[int, float, float], float]) -> list[Comparison]:
    """Least loss over logits of one t: at equal wrong logits, and at 40 others beside them; and the minimiser's sign."""
    rng = np.random.default_rng(ctx.seed)
    rows = []
    for k, delta in ((2, 0.0), (3, 0.2), (5, 0.5), (10, 0.1)):
        loss, targets = CrossEntropy(smoothing=delta), np.eye(k)[:, :1]
        for total in (-3.0 * k, -0.5, 1.5):
            wrong = total / (k - 1) + 10.0 ** -rng.integers(0, 4, 41) * rng.standard_normal((k - 1, 41))
            wrong += total / (k - 1) - wrong.mean(axis=0)
            wrong[:, 0] = total / (k - 1)
            logits = np.vstack([np.zeros(41), wrong])
            least = float(loss.values(logits, np.repeat(targets, 41, axis=1)).min())
            rows.append(seen_row(f"K={k}, δ={delta}, t={total}", formula(k, delta, total), least, 1e-9))
        for distance in NEAR:  # the slope of phi at 0 against c = (1 - delta)/K
            c = (1 - delta) / k * (1 + distance)
            step = -1e-4 * abs(distance)
            falls = formula(k, delta, step) + c * abs(step) < formula(k, delta, 0.0)
            rows.append(
                seen_row(f"K={k}, δ={delta}, c={c:.6g} (1 zero, 2 less)", 1.0 if distance > 0 else 2.0, 1 + falls)
            )
    return rows


CONTRASTIVE = stated(
    contrastive_bound,
    _contrastive,
    "contrastive-property",
    ("property",),
    {
        "contrastive property: e^t": lambda k, d, t: (
            math.log1p((k - 1) * math.exp(t)) - d * t / k if k > 2 else 1 + contrastive_bound(k, d, t)
        ),
        "contrastive property: without smoothing": lambda k, d, t: contrastive_bound(k, 0.0, t),
        "contrastive property: δ t": lambda k, d, t: contrastive_bound(k, d * k, t),
        "contrastive property: K wrong classes": lambda k, d, t: math.log1p(k * math.exp(t / (k - 1))) - d * t / k,
    },
    summary="the least loss at one t, near and far from equal wrong logits, at 12 (K, δ, t); the minimiser on both sides "
    "of its boundary",
    resolution=1e-6,
    id="contrastive-property",
    title="Cross-entropy, with smoothed labels as well, has the contrastive property",
    statement="With label smoothing 0 ≤ δ < 1 the loss of a sample of class k is at least φ(t), t = Σ_{j ≠ k} (z_j "
    "− z_k), φ(t) = log(1 + (K − 1) e^{t/(K − 1)}) − t δ/K, with equality exactly where all wrong logits "
    "are equal, and for every c > 0 the sum φ(t) + c |t| has one minimiser, which is negative for c < (1 "
    "− δ)/K and 0 otherwise.",
    source="Zhou et al. 2022 (are all losses created equal), Definition 1, as we state it; focal loss lacks it for many "
    "classes",
    scope=Scope(("ce", "smoothed-ce"), ("logits",)),
    group=GROUP,
    papers=("zhou2022losses",),
    topic="losses",
    standing="confirmed",
    core=False,
)

# squared hinge and temperature ---------------------------------------------------------------------------------------


def hinge_optimum(num_classes: int, price: float) -> tuple[float, float]:
    """``(a, minimum)`` with ``price = sqrt(n lW lH)``."""
    k, mu = num_classes, price
    return max(0.0, 1 - mu), (k - 1) * mu * (1 - mu / 2) if mu < 1 else (k - 1) / 2


def _hinge(ctx: Context, formula: Callable[[int, float], tuple[float, float]]) -> list[Comparison]:
    rows = []
    for k, mu, bias in ((2, 0.3, None), (3, 0.5, "free"), (4, 0.9, None), (3, 1.1, None), (5, 0.05, 0.2)):
        model, prior = balanced_decay(k, k * mu, 3.0), ClassPrior.balanced(k, 3.0)
        found = ctx.once(f"hinge {k} {mu} {bias}", partial(solve, model, prior, SquaredHinge(), bias=bias))
        size, value = formula(k, mu)
        name = f"K={k}, μ={mu}, bias {bias}"
        rows.append(seen_row(f"{name}: a", size, logit_parts(found.logits)[0], 1e-5))
        rows.append(seen_row(f"{name}: minimum", value, found.value))
    return rows


HINGE = stated(
    hinge_optimum,
    _hinge,
    "hinge-balanced-etf",
    ("hinge",),
    {
        "squared hinge: the threshold of cross-entropy": lambda k, m: hinge_optimum(k, min(1.0, k * m)),
        "squared hinge: 1/(1 + μ)": lambda k, m: (1 / (1 + m), hinge_optimum(k, m)[1]),
        "squared hinge: the risk alone": lambda k, m: (hinge_optimum(k, m)[0], (k - 1) * min(1.0, m) ** 2 / 2),
        "squared hinge: margin 1": lambda k, m: (1.0, hinge_optimum(k, m)[1]),
    },
    summary="logits and minimum at 5 optima with and without a bias, one with μ > 1",
    resolution=1e-4,
    id="hinge-balanced-etf",
    title="Squared hinge loss: the simplex ETF, up to K times the weight decay that cross-entropy bears",
    statement="With n samples in every class and μ = √(n λ_W λ_H) the optimal logits are a (I − 11ᵀ/K), a = max(0, "
    "1 − μ), with a bias, free or with weight decay, as without one, and the minimum is μ (1 − μ/2) (K − "
    "1) if μ < 1 and (K − 1)/2 if μ ≥ 1.",
    source="our own; the shape for losses of margins: Zhou et al. 2022 (are all losses created equal)",
    scope=Scope(("squared-hinge",), ("weight-decay", "bias-decay"), groups=(1, 1), dimension="K - 1"),
    group=GROUP,
    papers=("zhou2022losses",),
    topic="losses",
    standing="new",
    core=False,
)


def temperature_size(num_classes: int, c: float, weight: float, temperature: float) -> float:
    """``a``: ``e^{a/T} = K w/(c T) - K + 1`` for ``c T < w``, else 0."""
    return temperature * etf_size(num_classes, c * temperature / weight, 0.0)


def _temperatures(ctx: Context, formula: Callable[[int, float, float, float], float]) -> list[Comparison]:
    rows = []
    cases = [(3, 1.5 * (1 + d), 3.0, 2.0) for d in (1e-2, -1e-2, 1e-3, -1e-3)]
    for k, c, w, t in [*cases, (2, 0.3, 1.0, 0.5), (4, 0.2, 1.0, 2.0), (3, 0.4, 2.0, 0.1), (3, 0.4, 1.0, 3.0)]:
        loss = CrossEntropy(weights=(w,) * k, scales=(1 / t,) * k)
        make = partial(solve, balanced_decay(k, c, 2.0), ClassPrior.balanced(k, 2.0), loss)
        size = logit_parts(ctx.once(f"temperature {k} {c!r} {w} {t}", make).logits)[0]
        rows.append(seen_row(f"K={k}, c={c:.5g}, w={w}, T={t}", formula(k, c, w, t), size))
    return rows


TEMPERATURE = stated(
    temperature_size,
    _temperatures,
    "temperature-etf",
    ("temperature",),
    {
        "temperature: does not enter": lambda k, c, w, t: etf_size(k, c / w, 0.0),
        "temperature: c/T": lambda k, c, w, t: t * etf_size(k, c / (t * w), 0.0),
        "temperature: a for a/T": lambda k, c, w, t: etf_size(k, c * t / w, 0.0),
        "temperature: without the weight": lambda k, c, w, t: temperature_size(k, c, 1.0, t),
    },
    summary="the size at 8 optima, on both sides of c T = w at relative distances to 10⁻³",
    resolution=1e-4,
    id="temperature-etf",
    title="A temperature T makes cross-entropy bear 1/T times the weight decay",
    statement="With n samples in every class and c = K √(n λ_W λ_H), weight w and temperature T the optimal logits "
    "are a (I − 11ᵀ/K), e^{a/T} = 1 + w K/(T c) − K if c T < w, and 0 if c T ≥ w.",
    source="our own",
    scope=Scope(
        ("weighted-ce",),
        ("weight-decay",),
        groups=(1, 1),
        dimension="K - 1",
        conditions=("all weights are w > 0, all scales 1/T > 0, and there are no shifts",),
    ),
    group=GROUP,
    papers=("yaras2022",),
    topic="losses",
    standing="new",
    core=False,
)

# codes and orthogonal classifiers ------------------------------------------------------------------------------------


def best_exponent(num_classes: int) -> float:
    """``K/(4(K-1))``."""
    return num_classes / (4 * (num_classes - 1))


def _largest_exponent(k: int, dim: int) -> float:
    """Largest least ``|x_j - x_k|^2/8`` of the simplex (where it fits) and of codes by descent of a sharp energy."""

    def unit(x: Array) -> Array:
        v = x.reshape(k, dim)
        return np.asarray(v / np.linalg.norm(v, axis=1, keepdims=True))

    def distances(x: Array) -> Array:
        v = unit(x)
        return np.asarray(2 - 2 * (v @ v.T)[np.triu_indices(k, 1)])

    rng = np.random.default_rng(k)
    starts = [rng.standard_normal(k * dim) for _ in range(2)]
    ends = [minimize(lambda x: float(np.log(np.exp(-40 * distances(x)).sum())), x).x for x in starts]
    simplex = [simplex_etf(k, dim=k - 1).T.ravel()] if dim >= k - 1 else []
    return max(float(distances(x).min()) for x in [*starts, *ends, *simplex]) / 8


def _exponents(ctx: Context, formula: Callable[[int], float]) -> list[Comparison]:
    rows = []
    for k in (2, 3, 4, 5):
        seen = ctx.once(f"exponent {k}", partial(_largest_exponent, k, k - 1))
        rows.append(seen_row(f"K={k}", formula(k), seen))
    for k, dim in ((4, 2), (5, 3)):  # 1 where it is less in d < K - 1, 2 where not
        seen = ctx.once(f"exponent {k} {dim}", partial(_largest_exponent, k, dim))
        less = 1.0 if seen < formula(k) * (1 - 1e-3) else 2.0
        rows.append(seen_row(f"K={k}, d={dim} (1 less, 2 not)", 1.0, less))
    return rows


EXPONENT = stated(
    best_exponent,
    _exponents,
    "error-exponent-simplex",
    ("exponent",),
    {
        "error exponent: 1/4": lambda k: 0.25,
        "error exponent: (K − 1)/(4 K)": lambda k: (k - 1) / (4 * k),
        "error exponent: K/(8 (K − 1))": lambda k: k / (8 * (k - 1)),
        "error exponent: that of two classes": lambda k: 0.5,
    },
    summary="the best of random, optimised and simplex codes, K = 2 to 5, and less in d = K − 2",
    resolution=1e-5,
    id="error-exponent-simplex",
    title="The simplex ETF has the best error exponent of nearest-mean classification, K/(4(K − 1))",
    statement="The least |x_j − x_k|²/8 over pairs of unit vectors is at most K/(4 K − 4), with equality exactly "
    "where they form a simplex ETF, so in d < K − 1 dimensions it is less.",
    source="Papyan, Han, Donoho 2020, supplement, as we state it: in Gaussian noise of variance σ² the nearest mean errs "
    "with probability e^{−E/σ² + o(1/σ²)}, E the least |x_j − x_k|²/8",
    scope=Scope(("none",), ("vectors",)),
    group=GROUP,
    papers=("papyan2020",),
    topic="norms",
    standing="confirmed",
    core=False,
)


def orthogonal_value(num_classes: int, radius: float) -> float:
    """``log(1 + (K-1) e^{-r/sqrt(K-1)})``, ``r = s t``."""
    return math.log1p((num_classes - 1) * math.exp(-radius / math.sqrt(num_classes - 1)))


def _ball(counts: tuple[float, ...], radius: float) -> tuple[float, Array]:
    """Least risk and its logits over the Frobenius ball, by descent along rays."""
    k, n = len(counts), np.array(counts) / sum(counts)

    def logits(x: Array) -> Array:
        return np.asarray((radius * x / np.linalg.norm(x)).reshape(k, k))

    def risk(x: Array) -> float:
        z = logits(x)
        return float(n @ (np.log(np.exp(z).sum(axis=0)) - np.diag(z)))

    found = minimize(risk, np.eye(k).ravel() + 0.1 * np.random.default_rng(k).standard_normal(k * k), tol=1e-11)
    return float(found.fun), logits(np.asarray(found.x))


def _orthogonal(ctx: Context, formula: Callable[[int, float], float]) -> list[Comparison]:
    rows = []
    for k, radius in ((2, 1.0), (3, 2.0), (4, 0.5), (4, 5.0)):
        value, _ = ctx.once(f"ball {k} {radius}", partial(_ball, (1.0,) * k, radius))
        rows.append(seen_row(f"K={k}, s t={radius}", formula(k, radius), value))
    return rows


ORTHOGONAL = stated(
    orthogonal_value,
    _orthogonal,
    "orthogonal-classifier",
    ("etf",),
    {
        "orthogonal classifier: the nuclear norm": lambda k, r: math.log1p((k - 1) * math.exp(-r / (k - 1))),
        "orthogonal classifier: margin s t": lambda k, r: math.log1p((k - 1) * math.exp(-r)) if k > 2 else 0.0,
        "orthogonal classifier: √K": lambda k, r: math.log1p((k - 1) * math.exp(-r / math.sqrt(k))),
        "orthogonal classifier: K wrong classes": lambda k, r: math.log1p(k * math.exp(-r / math.sqrt(k - 1))),
    },
    summary="the least risk over the Frobenius ball at 4 instances, K = 2 to 4",
    resolution=1e-5,
    id="orthogonal-classifier-etf",
    title="Classifiers of bounded spectral norm: the simplex ETF, with larger margins",
    statement="With equal counts the only optimal logits are a (I − 11ᵀ/K), a = s t/√(K − 1), and the minimum of "
    "the cross-entropy is log(1 + (K − 1) e^{−a}).",
    source="our own, for regularisers that keep classifiers orthogonal",
    scope=Scope(("ce",), ("orthogonal",), groups=(1, 1), dimension="K"),
    group=GROUP,
    papers=("fang2021",),
    topic="norms",
    standing="new",
    core=False,
)


def stays_apart(ratio: float) -> bool:
    """Whether two minority classes keep different logits."""
    return True


def _apart(ctx: Context, formula: Callable[[float], bool]) -> list[Comparison]:
    rows = []
    for ratio, radius in ((3.0, 1.0), (30.0, 1.0), (300.0, 2.0), (30.0, 0.2)):
        _, z = ctx.once(f"ball {ratio} {radius}", partial(_ball, (ratio, ratio, 1.0, 1.0), radius))
        gap = float(z[3, 3] - z[2, 3])
        seen = 1.0 if gap > 1e-3 * radius / ratio else 2.0
        claimed = 1.0 if formula(ratio) else 2.0
        rows.append(seen_row(f"R={ratio}, s t={radius} (1 apart, 2 not)", claimed, seen))
    return rows


APART = stated(
    stays_apart,
    _apart,
    "orthogonal-classifier",
    ("apart",),
    {
        "orthogonal classifier: collapse from R = 10 on": lambda ratio: ratio < 10,
        "orthogonal classifier: collapse from R = 100 on": lambda ratio: ratio < 100,
        "orthogonal classifier: collapse always": lambda ratio: False,
    },
    summary="two minority classes at ratios 3 to 300: their logits differ",
    id="orthogonal-classifier-no-collapse",
    title="With a bound on the spectral norm of the classifier there is no minority collapse at any imbalance",
    statement="Two classes with equal counts never have the same optimal logits, whatever the counts and budgets.",
    source="our own; Fang, He, Long, Su 2021 have minority collapse under Frobenius budgets",
    scope=Scope(("ce",), ("orthogonal",), minority=2, dimension="K"),
    group=GROUP,
    papers=("fang2021",),
    topic="minority-collapse",
    standing="new",
)

CLAIMS = (
    FOCAL,
    TRAP,
    CONTRASTIVE,
    HINGE,
    TEMPERATURE,
    FIXED,
    FIXED_DECAY,
    ORTHOGONAL,
    APART,
    EXPONENT,
    WIDTH,
)
