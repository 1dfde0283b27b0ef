"""Squared error with real targets, many tasks, and few dimensions."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from proofs_check.scope import Scope
from ufm.architectures import UnconstrainedFeatures
from ufm.claims._figures import curves_figure
from ufm.claims._model import Context, Enclosure, Figure
from ufm.claims._stated import enclosed, stated
from ufm.claims._tools import Comparison, compare
from ufm.geometry import etf_error
from ufm.labels import ClassPrior, Labels
from ufm.solution import Solution
from ufm.solvers import solve

__all__ = ["CLAIMS"]

GROUP = "Regression and tasks"

Array = NDArray[np.float64]

REGRESSION = Scope(("regression",), ("weight-decay",), classes=(1, None), dimension="K")

#: What floating point is granted: values of order 1, and the square root of a duality gap of 1e-14 in the logits.
NUMERIC = 1e-6


def _targets(num_targets: int, seed: int) -> Labels:
    """Eight samples of correlated targets."""
    rng = np.random.default_rng(seed)
    return Labels(rng.standard_normal((num_targets, num_targets)) @ rng.standard_normal((num_targets, 8)), np.ones(8))


def _moments(labels: Labels) -> Array:
    """Sigma = (1/N) sum_n y_n y_n^T."""
    found: Array = (labels.targets * labels.counts) @ labels.targets.T / labels.counts.sum()
    return found


def _eigenvalues(labels: Labels) -> Array:
    """Those of Sigma, in increasing order."""
    return np.asarray(np.linalg.eigvalsh(_moments(labels)), dtype=np.float64)


def _decay(labels: Labels, c: float) -> float:
    """lambda_W = lambda_H with N lambda_W lambda_H = c."""
    return math.sqrt(c / float(labels.counts.sum()))


#: (targets, seed, place of sqrt(c) among the roots s_1 < ... < s_K of the eigenvalues): below all, among them, above all.
CASES = ((2, 0, 0.5), (2, 0, 1.5), (3, 1, 1.01), (3, 1, 0.99), (3, 2, 2.5), (2, 3, 1.0), (2, 4, 2.2))


def _level(labels: Labels, place: float) -> float:
    """c with sqrt(c) at that place among 0 = s_0 < s_1 < ... < s_K < 2 s_K."""
    roots = np.sqrt(_eigenvalues(labels))
    ladder = np.concatenate([[0.0], roots, [2 * roots[-1]]])
    return float(np.interp(place, np.arange(len(ladder)), ladder)) ** 2


def _solved(labels: Labels, c: float) -> Solution:
    """The optimum with N lambda_W lambda_H = c."""
    lam = _decay(labels, c)
    return solve(UnconstrainedFeatures(lam, lam), labels, "mse")


def _case(ctx: Context, case: tuple[int, int, float]) -> tuple[str, Labels, float, Solution]:
    """Name, labels, c and the solution of a case."""
    num_targets, seed, place = case
    labels = _targets(num_targets, seed)
    c = _level(labels, place)
    name = f"{num_targets} targets, √c at {place:g}"
    return (
        name,
        labels,
        c,
        ctx.once(f"regression-{case}", partial(_solved, labels, c)),
    )


Spectral = Callable[[Array, float], float]


def _errors(ctx: Context, formula: Spectral) -> list[Comparison]:
    rows = []
    for case in CASES:
        name, labels, c, found = _case(ctx, case)
        error = float((((found.logits - labels.targets) ** 2).sum(axis=0) * labels.counts).sum() / labels.counts.sum())
        claimed = formula(_eigenvalues(labels), c)
        rows.append(compare(name, claimed, Enclosure.around(error, NUMERIC / 10 * error), "solver", relative=NUMERIC))
    return rows


def _values(ctx: Context, formula: Spectral) -> list[Comparison]:
    rows = []
    for case in CASES:
        name, labels, c, _ = _case(ctx, case)
        lam = _decay(labels, c)
        found = enclosed(
            ctx, f"regression-{case[0]}-{case[1]}-{case[2]:g}", UnconstrainedFeatures(lam, lam), labels, "mse"
        )
        rows.append(compare(name, formula(_eigenvalues(labels), c), found, "certificate"))
    return rows


def optimal_error(eigenvalues: Array, c: float) -> float:
    """``sum_i min(s_i^2, c)``."""
    return float(np.minimum(eigenvalues, c).sum())


def optimal_value(eigenvalues: Array, c: float) -> float:
    """``(1/2) sum_i s_i^2 - (1/2) sum_i max(0, s_i - sqrt(c))^2``."""
    return float(eigenvalues.sum() - (np.maximum(0, np.sqrt(eigenvalues) - math.sqrt(c)) ** 2).sum()) / 2


SHRINKAGE = stated(
    optimal_error,
    _errors,
    "regression-collapse",
    ("predictions", "error"),
    {
        "regression: residual of a component c²": lambda l, c: float(np.minimum(l, c * c).sum()),
        "regression: residual of a component √c": lambda l, c: float(np.minimum(l, math.sqrt(c)).sum()),
        "regression: every component keeps c": lambda l, c: c * len(l),
        "regression: ridge instead of thresholds": lambda l, c: float((l * c / (np.sqrt(l) + math.sqrt(c)) ** 2).sum()),
    },
    summary="training errors of the solver on 7 instances, √c below, among and above the roots of the eigenvalues",
    resolution=1e-5,
    id="regression-shrinkage",
    title="Regression collapse is soft thresholding of principal components",
    statement="With the targets' second moments Σ = (1/N) Σ_n y_n y_nᵀ = U diag(s_i²) Uᵀ and c = N λ_W λ_H the "
    "optimal predictions are W h_n = U diag(max(0, 1 − √c/s_i)) Uᵀ y_n, a factor of 0 where s_i = 0. At the optimum "
    "the training error (1/N) Σ_n |W h_n − y_n|² is Σ_i min(s_i², c).",
    source="Andriopoulos et al. 2024, Theorem 4.1, for every c (their λ_H is N λ_H here)",
    scope=REGRESSION,
    group=GROUP,
    papers=("andriopoulos2024",),
    topic="regression",
    standing="corrected",
)

VALUE = stated(
    optimal_value,
    _values,
    "regression-collapse",
    ("value",),
    {
        "regression: value without the half": lambda l, c: 2 * optimal_value(l, c),
        "regression: value of the training error alone": lambda l, c: optimal_error(l, c) / 2,
        "regression: value that never leaves a component out": lambda l, c: float(
            (math.sqrt(c) * np.sqrt(l) - c / 2).sum()
        ),
        "regression: value with c for √c": lambda l, c: float(l.sum() - (np.maximum(0, np.sqrt(l) - c) ** 2).sum()) / 2,
    },
    summary="the value lies in certified enclosures on 7 instances",
    off_by=lambda x: lambda l, c: optimal_value(l, c) * (1 + x),
    resolution=1e-9,
    id="regression-value",
    title="The minimum of the regression problem",
    statement="The minimum of the objective is (1/2) Σ_i s_i² − (1/2) Σ_i max(0, s_i − √c)².",
    source="Andriopoulos et al. 2024, Corollary 4.2 (iv), for every c = N λ_W λ_H; s_i² the eigenvalues of Σ = "
    "(1/N) Σ_n y_n y_nᵀ",
    scope=REGRESSION,
    hypotheses=("s_i² the eigenvalues of (1/N) Σ_n y_n y_nᵀ", "c = N λ_W λ_H"),
    group=GROUP,
    papers=("andriopoulos2024",),
    topic="regression",
    standing="sharpened",
    core=False,
)


def _gram(ctx: Context, formula: Callable[[Array, float, float], Array]) -> list[Comparison]:
    rows = []
    for i, case in enumerate(CASES[:5]):
        name, labels, c, _ = _case(ctx, case)
        lam, quotient = _decay(labels, c), 4.0 if i % 2 else 1.0
        model = UnconstrainedFeatures(lam / math.sqrt(quotient), lam * math.sqrt(quotient))
        found = ctx.once(f"regression-gram-{case}", partial(solve, model, labels, "mse"))
        gram = found.classifier @ found.classifier.T
        eigenvalues, basis = np.linalg.eigh(_moments(labels))
        claimed = (basis * formula(np.sqrt(eigenvalues), math.sqrt(c), float(labels.counts.sum()) * quotient)) @ basis.T
        for i, j in ((0, 0), (0, 1)):
            size = float(np.abs(gram).max())
            computed = Enclosure.around(1 + gram[i, j] / size, NUMERIC / 10)
            rows.append(
                compare(f"{name}, 1 + entry {i, j}", 1 + claimed[i, j] / size, computed, "solver", relative=NUMERIC)
            )
    return rows


def optimal_gram(roots: Array, level: float, factor: float) -> Array:
    """Eigenvalues ``sqrt(N lambda_H/lambda_W) max(0, s_i - sqrt(c))`` of W W^T."""
    found: Array = math.sqrt(factor) * np.maximum(0, roots - level)
    return found


GRAM = stated(
    optimal_gram,
    _gram,
    "regression-collapse",
    ("gram", "printed"),
    {
        "regression: W Wᵀ as printed": lambda s, k, f: math.sqrt(f) * (s - k),
        "regression: W Wᵀ with λ_W/λ_H": lambda s, k, f: np.maximum(0, s - k) / math.sqrt(f),
        "regression: W Wᵀ with c for √c": lambda s, k, f: math.sqrt(f) * np.maximum(0, s - k * k),
        "regression: W Wᵀ of Σ for its root": lambda s, k, f: math.sqrt(f) * np.maximum(0, s * s - k * k),
    },
    summary="W Wᵀ of the solver on 5 instances, c below and between the eigenvalues",
    resolution=1e-5,
    id="regression-gram",
    title="W Wᵀ under regression: the printed formula needs c ≤ λ_min(Σ)",
    statement="At every optimum W Wᵀ = √(N λ_H/λ_W) U diag(max(0, s_i − √c)) Uᵀ. No W has W Wᵀ = √(N λ_H/λ_W) "
    "(Σ^{1/2} − √c I) where c exceeds the least eigenvalue of Σ.",
    source="Andriopoulos et al. 2024, Theorem 4.1 (stated for 0 < c < λ_max with a root of Σ^{1/2} − √c I) and "
    "Corollary 4.2, corrected",
    scope=REGRESSION,
    hypotheses=("Σ = (1/N) Σ_n y_n y_nᵀ = U diag(s_i²) Uᵀ", "c = N λ_W λ_H"),
    group=GROUP,
    papers=("andriopoulos2024",),
    topic="regression",
    standing="corrected",
    core=False,
)


# tasks ---------------------------------------------------------------------------------------------------------------

Gain = Callable[[Array, float], float]


def task_gain(moments: Array, c: float) -> float:
    """``sum_j min(a_j, b_j)``, diagonals of the positive parts of ``Sigma - c I`` and ``c I - Sigma``."""
    eigenvalues, basis = np.linalg.eigh(moments)
    more, fewer = (basis**2 @ np.maximum(0, sign * (eigenvalues - c)) for sign in (1, -1))
    return float(np.minimum(more, fewer).sum())


def _alone(labels: Labels, c: float) -> float:
    """Summed training error of one solved network a target."""
    total = 0.0
    for row in labels.targets:
        one = Labels(np.stack([row, 0 * row]), labels.counts)  # a second target of zeros changes nothing
        found = _solved(one, c)
        total += float(((found.logits[0] - row) ** 2 * labels.counts).sum() / labels.counts.sum())
    return total


def _gains(ctx: Context, formula: Gain) -> list[Comparison]:
    rows = []
    for case in CASES[:6]:
        name, labels, c, joint = _case(ctx, case)
        together = float(
            (((joint.logits - labels.targets) ** 2).sum(axis=0) * labels.counts).sum() / labels.counts.sum()
        )
        alone = ctx.once(f"tasks-alone-{case}", partial(_alone, labels, c))
        computed = Enclosure.around(alone / together, NUMERIC / 10)
        rows.append(compare(name, 1 + formula(_moments(labels), c) / together, computed, "solver", relative=NUMERIC))
    return rows


def _gain_figure() -> Figure:
    decays = np.linspace(0, 2.2, 111).tolist()
    curves = {}
    for r in (0.3, 0.8):
        together = [min(1 + r, c) + min(1 - r, c) for c in decays]
        curves[f"one network, r = {r}"] = (decays, together)
    curves["a network for each target"] = (decays, [2 * min(1.0, c) for c in decays])
    return curves_figure(
        "Two targets of variance 1 and correlation r: training error over weight decay",
        "One network is better between c = 1 − r and c = 1 + r, the eigenvalues of Σ, alone.",
        ("c = N λ_W λ_H", "training error"),
        curves,
    )


GAIN = stated(
    task_gain,
    _gains,
    "multi-task-mse",
    ("gain", "equal"),
    {
        "tasks: always strictly better": lambda m, c: task_gain(m, c) + 0.1 * float(np.trace(m)),
        "tasks: never better": lambda m, c: 0.0,
        "tasks: gain of the larger part": lambda m, c: float(np.maximum(0, np.diag(m) - c).sum()),
        "tasks: gain as if c were √c": lambda m, c: task_gain(m, math.sqrt(c)),
    },
    summary="training errors of joint and separate networks on 6 instances; equal at those with c ≤ λ_min(Σ)",
    figure=_gain_figure,
    resolution=1e-4,
    id="multi-task-gain",
    title="Joint training is never worse, and strictly better only for intermediate decay",
    statement="With Σ = (1/N) Σ_n y_n y_nᵀ and the same λ_W, λ_H, c = N λ_W λ_H, one network a target has the "
    "summed training error of one network for all targets plus Σ_j min(a_j, b_j) ≥ 0, where a_j and b_j are the "
    "diagonals of the positive parts of Σ − c I and c I − Σ. The two are equal if and only if every basis vector "
    "e_j lies in the span of the eigenvectors of Σ with eigenvalues ≤ c or in that of those with eigenvalues ≥ c; "
    "so for c ≤ λ_min(Σ), for c ≥ λ_max(Σ) and for diagonal Σ.",
    source="Multi-task regression collapse (arXiv 2505.09308), which says strictly smaller; the exact gain is "
    "derived here",
    scope=REGRESSION,
    group=GROUP,
    papers=("multitask2025",),
    topic="regression",
    standing="corrected",
)


def _two(ctx: Context, formula: Callable[[float, float, float], float]) -> list[Comparison]:
    rows = []
    for v, r in ((1.0, 0.5), (2.0, 0.9)):
        root = np.linalg.cholesky(v * np.array([[1, r], [r, 1]]))
        labels = Labels(math.sqrt(2) * root, np.ones(2))  # second moments v [[1, r], [r, 1]]
        for c in (v * (1 - r) * 0.99, v * (1 - r) * 1.01, v * (1 - r / 2), v, v * (1 + r / 2), v * (1 + r) * 1.01):
            key = f"two-tasks-{v:g}-{r:g}-{c:g}"
            together = ctx.once(key, partial(_together, labels, c))
            alone = ctx.once(f"{key}-alone", partial(_alone, labels, c))
            computed = Enclosure.around(alone / together, NUMERIC / 10)
            claimed = 1 + formula(v, r, c) / together
            rows.append(compare(f"v={v}, r={r}, c={c:g}", claimed, computed, "solver", relative=NUMERIC))
    return rows


def _together(labels: Labels, c: float) -> float:
    """Training error of one solved network for all targets."""
    found = _solved(labels, c)
    return float((((found.logits - labels.targets) ** 2).sum(axis=0) * labels.counts).sum() / labels.counts.sum())


def two_task_gain(v: float, r: float, c: float) -> float:
    """``max(0, min(v (1 + r) - c, c - v (1 - r)))``."""
    return max(0.0, min(v * (1 + r) - c, c - v * (1 - r)))


TWO = stated(
    two_task_gain,
    _two,
    "multi-task-mse",
    ("two",),
    {
        "two tasks: gain halved": lambda v, r, c: two_task_gain(v, r, c) / 2,
        "two tasks: gain with r²": lambda v, r, c: two_task_gain(v, r * r, c),
        "two tasks: the larger part": lambda v, r, c: max(0.0, v * (1 + r) - c),
        "two tasks: gain outside the window too": lambda v, r, c: abs(min(v * (1 + r) - c, c - v * (1 - r))),
    },
    summary="joint and separate networks for two targets, c on both sides of both ends of the window",
    resolution=1e-4,
    id="multi-task-two-targets",
    title="Two equally varying targets: what joint training gains",
    statement="Two targets of second moment v and product moment r v, 0 < r < 1, gain min(v (1 + r) − c, c − v (1 − "
    "r)) for v (1 − r) < c < v (1 + r) and nothing otherwise.",
    source="Our own, with c = N λ_W λ_H",
    scope=Scope(("regression",), ("weight-decay",), classes=(2, 2), dimension="K"),
    hypotheses=("c = N λ_W λ_H", "gain: training error of two separate networks less that of one, the same λ_W, λ_H"),
    group=GROUP,
    papers=("multitask2025",),
    topic="regression",
    standing="new",
    core=False,
)


def _whitened(ctx: Context, formula: Callable[[Array, float], float]) -> list[Comparison]:
    rows = []
    for case in CASES[:5]:
        labels = _targets(case[0], case[1])
        moments = _moments(labels)
        eigenvalues, basis = np.linalg.eigh(moments)
        root = (basis * np.sqrt(eigenvalues)) @ basis.T
        white = Labels(np.linalg.solve(root, labels.targets), labels.counts)
        for c in (0.04, 0.6):
            key = f"whitened-{case[0]}-{case[1]}-{c}"
            found = ctx.once(key, partial(_solved, white, c))
            error = float(((root @ (found.logits - white.targets)) ** 2).sum() / labels.counts.sum())
            claimed = formula(moments, c)
            computed = Enclosure.around(error, NUMERIC / 10 * error)
            rows.append(compare(f"{case[0]} targets, c={c}", claimed, computed, "solver", relative=NUMERIC))
    return rows


def whitened_error(moments: Array, c: float) -> float:
    """``c tr Sigma``."""
    return c * float(np.trace(moments))


WHITENING = stated(
    whitened_error,
    _whitened,
    "multi-task-mse",
    ("whitening",),
    {
        "whitening: error K c": lambda m, c: c * len(m),
        "whitening: error c² tr Σ": lambda m, c: c * c * float(np.trace(m)),
        "whitening: error c tr Σ²": lambda m, c: c * float((m * m).sum()),
        "whitening: error c tr Σ^{1/2}": lambda m, c: c * float(np.sqrt(np.linalg.eigvalsh(m)).sum()),
    },
    summary="whitened problems solved and mapped back, 10 instances",
    resolution=1e-5,
    id="regression-whitening",
    title="Whitening the targets helps at small decay exactly where they vary by less than 1 on average",
    statement="Training on Σ^{−1/2} y and mapping predictions back by Σ^{1/2} has the error c tr Σ for c ≤ 1; that "
    "is below the K c of the targets as they are, c ≤ λ_min(Σ), if and only if tr Σ < K.",
    source="Multi-task regression collapse (arXiv 2505.09308), whitening, with the range of c = N λ_W λ_H in which "
    "it holds",
    scope=REGRESSION,
    hypotheses=("c = N λ_W λ_H", "Σ invertible"),
    group=GROUP,
    papers=("multitask2025",),
    topic="regression",
    standing="sharpened",
    core=False,
)


# few dimensions ------------------------------------------------------------------------------------------------------


def low_value(num_classes: int, dim: int, gamma: float) -> float:
    """``1/2 - d (1 - gamma)^2/(2 K)`` for gamma < 1, else 1/2."""
    return 0.5 - dim * max(0.0, 1 - gamma) ** 2 / (2 * num_classes)


#: (K, d, n, gamma) of the instances, gamma on both sides of 1.
LOW = ((3, 1, 1.0, 0.3), (4, 2, 2.0, 0.6), (5, 3, 1.0, 0.99), (4, 1, 3.0, 1.01))


def _searched(model: UnconstrainedFeatures, prior: ClassPrior, dim: int) -> Solution:
    """The best point of a search in ``dim`` dimensions; that its gap stays open is known."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return solve(model, prior, "mse", method="direct", dim=dim, starts=3, seed=0)


def _low(ctx: Context, formula: Callable[[int, int, float], float]) -> list[Comparison]:
    rows = []
    for k, d, n, gamma in LOW:
        lam = gamma / (k * math.sqrt(n))
        model, prior = UnconstrainedFeatures(lam, lam), ClassPrior([n] * k)
        found = ctx.once(f"low-dimension-{k}-{d}-{gamma}", partial(_searched, model, prior, d))
        # the point of the statement, d classes alone, has the same value as what the search finds
        alone = np.diag([max(0.0, 1 - gamma)] * d + [0.0] * (k - d))
        claimed = formula(k, d, gamma)
        for label, value in (("search", found.value), ("d classes alone", found.problem.objective(alone))):
            computed = Enclosure.around(value, 1e-9)
            rows.append(compare(f"K={k}, d={d}, γ={gamma}, {label}", claimed, computed, "direct solver", relative=1e-7))
    return rows


LOW_DIMENSION = stated(
    low_value,
    _low,
    "low-dimension-mse",
    ("projections", "value", "unfair"),
    {
        "few dimensions: (K − 1) in the place of K": lambda k, d, g: 0.5 - d * max(0.0, 1 - g) ** 2 / (2 * (k - 1)),
        "few dimensions: as if d = K": lambda k, d, g: low_value(k, k, g),
        "few dimensions: 1 − γ² for (1 − γ)²": lambda k, d, g: 0.5 - d * max(0.0, 1 - g * g) / (2 * k),
        "few dimensions: never 0": lambda k, d, g: 0.5 - d * (1 - g) ** 2 / (2 * k),
    },
    summary="the search in d dimensions and d classes alone have the value claimed on 4 instances, γ on both sides "
    "of 1",
    resolution=1e-6,
    id="mse-low-dimension",
    title="MSE in d < K dimensions: any projection is optimal, d classes alone included",
    statement="With n samples a class, λ = √(λ_W λ_H) and γ = K λ √n < 1 the optimal logits are exactly (1 − γ) Q, "
    "Q any orthogonal projection of rank d; for γ ≥ 1 they are 0. The minimum is 1/2 − d (1 − γ)²/(2 K) for γ < 1. "
    "So d of the classes may be fitted as if they were alone and the K − d others not at all: Q = diag(1, …, 1, 0, "
    "…, 0).",
    source="Our own: Eckart and Young for the closed form under MSE; squared error has no counterpart of the codes "
    "of cross-entropy",
    scope=Scope(("mse",), ("weight-decay",), groups=(1, 1), conditions=("d < K",)),
    group=GROUP,
    papers=("tirer2022", "jiang2024"),
    topic="norms",
    standing="new",
)


# the ETF error -------------------------------------------------------------------------------------------------------


def etf_error_squared(vectors: Array) -> float:
    """``|G/|G|_F - P/sqrt(K-1)|_F^2`` of the columns."""
    return etf_error(vectors, centre=False) ** 2


def error_floor(num_classes: int, dim: int) -> float:
    """``2 - 2 sqrt(d/(K-1))``."""
    return 2 - 2 * math.sqrt(dim / (num_classes - 1))


def _floors(ctx: Context, formula: Callable[[int, int], float]) -> list[Comparison]:
    rng = np.random.default_rng(ctx.seed)
    rows = []
    for k, d in ((4, 1), (5, 2), (9, 4), (30, 7), (6, 5)):
        centred = np.linalg.qr(np.eye(k) - 1 / k)[0][:, : k - 1]
        frame = centred @ np.linalg.qr(rng.standard_normal((k - 1, d)))[0]
        near = min(etf_error_squared(frame.T + 1e-3 * rng.standard_normal((d, k))) for _ in range(20))
        attained = etf_error_squared(frame.T)
        least = attained if near >= attained - 1e-12 else near
        rows.append(
            compare(
                f"K={k}, d={d}",
                formula(k, d) + 1,
                Enclosure.around(least + 1, 1e-12),
                "projection and 20 points near it",
            )
        )
    return rows


def _floor_figure() -> Figure:
    shares = np.linspace(0, 1, 101).tolist()
    floors = [math.sqrt(2 - 2 * math.sqrt(share)) for share in shares]
    return curves_figure(
        "The ETF error in d dimensions",
        "All of its range: at least the floor, at most √2, at which all vectors coincide. Marks: K = 29233, d = 64 and 1024.",
        ("d/(K − 1)", "ETF error"),
        {"floor": (shares, floors), "all vectors coincide": (shares, [math.sqrt(2)] * len(shares))},
        [(f"d = {d}", d / 29232, math.sqrt(error_floor(29233, d))) for d in (64, 1024)],
    )


FLOOR = stated(
    error_floor,
    _floors,
    "etf-error-floor",
    ("floor",),
    {
        "ETF floor: d/K": lambda k, d: 2 - 2 * math.sqrt(d / k),
        "ETF floor: no root": lambda k, d: 2 - 2 * d / (k - 1),
        "ETF floor: none": lambda k, d: 0.0,
        "ETF floor: 1 − √(d/(K − 1))": lambda k, d: 1 - math.sqrt(d / (k - 1)),
    },
    summary="attained by projections on 5 instances, and nothing near them is below",
    figure=_floor_figure,
    resolution=1e-9,
    id="etf-error-floor",
    title="In d < K − 1 dimensions the ETF error has a floor set by d/(K − 1)",
    statement="Let K vectors of ℝ^d, not all 0, have the Gram matrix G and the ETF error e = |G/|G|_F − P/√(K − "
    "1)|_F, P = I − 11ᵀ/K. For d ≤ K − 1 it satisfies e² ≥ 2 − 2 √d √(1/(K − 1)), with equality if and only if G is "
    "a multiple of an orthogonal projection of rank d that maps 1 to 0.",
    source="Our own; for K = 29233 and d from 64 to 1024 the floor is 1.3807 to 1.2750, beside measured errors of "
    "1.3753 to 1.4023 (Wu, "
    "Papyan 2024)",
    scope=Scope(("none",), ("logits",)),
    group="Geometry in few dimensions",
    papers=("wu2024", "papyan2020"),
    topic="measures",
    standing="corrected",
)


def _ceilings(ctx: Context, formula: Callable[[int], float]) -> list[Comparison]:
    rng = np.random.default_rng(ctx.seed)
    rows = []
    for k, d in ((2, 1), (4, 7), (9, 3)):
        same = np.outer(rng.standard_normal(d), np.ones(k))
        most = max(etf_error_squared(same + 1e-4 * rng.standard_normal((d, k))) for _ in range(20))
        largest = max(most, etf_error_squared(same))
        rows.append(
            compare(
                f"K={k}, d={d}", formula(k), Enclosure.around(largest, 1e-12), "equal vectors and 20 points near them"
            )
        )
    return rows


CEILING = stated(
    lambda k: 2.0,
    _ceilings,
    "etf-error-floor",
    ("ceiling",),
    {
        "ETF ceiling: 4": lambda k: 4.0,
        "ETF ceiling: 1": lambda k: 1.0,
        "ETF ceiling: 2 (K − 1)/K": lambda k: 2 * (k - 1) / k,
    },
    summary="attained by equal vectors on 3 instances, and nothing near them is above",
    resolution=1e-9,
    id="etf-error-ceiling",
    title="The ETF error is largest, √2, exactly where all vectors coincide",
    statement="Let K vectors of ℝ^d, not all 0, have the Gram matrix G and the ETF error e = |G/|G|_F − P/√(K − "
    "1)|_F, P = I − 11ᵀ/K. For every d it satisfies e² ≤ 2, with equality if and only if the K vectors coincide.",
    source="Our own: what the largest value of the measure NC2 means",
    scope=Scope(("none",), ("logits",)),
    group="Geometry in few dimensions",
    papers=("wu2024", "papyan2020"),
    topic="measures",
    standing="new",
    core=False,
)


# ordinal targets -----------------------------------------------------------------------------------------------------

#: Thresholds of the ordinal instances, four classes of one sample each.
CUTS = (-2.0, 0.0, 2.0)


def _ordinal(lam: float) -> Array:
    """Optimal logits of the four classes: logistic cumulative loss and ``lam |z|``, by a descent over z = w h."""
    from scipy.optimize import minimize
    from scipy.special import expit

    low, high = np.array([-np.inf, *CUTS]), np.array([*CUTS, np.inf])

    def objective(x: Array) -> tuple[float, Array]:
        z = x[0] * x[1:]
        upper, lower = expit(high - z), expit(low - z)
        slope = -(upper * (1 - upper) - lower * (1 - lower)) / (upper - lower) / -4
        value = -float(np.log(upper - lower).mean()) + lam / 2 * float(x @ x)
        return value, np.concatenate([[slope @ x[1:]], slope * x[0]]) + lam * x

    start = np.array([1.0, -1.0, -0.3, 0.3, 1.0])
    x = minimize(
        objective, start, jac=True, method="L-BFGS-B", options={"ftol": 1e-16, "gtol": 1e-12, "maxiter": 3000}
    ).x
    return np.asarray(x[0] * x[1:], dtype=np.float64)


def least_logit(lam: float) -> float:
    """``b_{K-1} + log(1/g - 1)``, ``g = N lam/sqrt(n_K)``, for four samples."""
    return CUTS[-1] + math.log(1 / (4 * lam) - 1)


def _ordinals(ctx: Context, formula: Callable[[float], float]) -> list[Comparison]:
    rows = []
    for lam in (0.1, 1e-2, 1e-3, 1e-4, 1e-5):
        z = ctx.once(f"ordinal-{lam}", partial(_ordinal, lam))
        above = 1.0 if z[-1] >= formula(lam) else 2.0
        # and the bound is near: the slope of the last class is lam times its share of the norm
        near = 1.0 if z[-1] <= formula(lam) + 1.5 else 2.0
        for name, seen in (("at least the bound", above), ("at most 1.5 above it", near)):
            rows.append(
                compare(f"λ={lam}: last logit {name} (1 yes, 2 no)", 1.0, Enclosure.around(seen, 0.0), "descent")
            )
    return rows


ORDINAL = stated(
    least_logit,
    _ordinals,
    "ordinal-norm",
    ("size", "norm"),
    {
        "ordinal: bounded logits": lambda lam: 1.5 * CUTS[-1],
        "ordinal: log(1/λ²)": lambda lam: CUTS[-1] + math.log(1 / (4 * lam) ** 2),
        "ordinal: from the lower threshold": lambda lam: CUTS[0] + math.log(1 / (4 * lam) - 1),
    },
    summary="optima of four classes at λ = 10⁻¹ to 10⁻⁵: the last logit is at most 1.5 above the bound",
    id="ordinal-norm-unbounded",
    title="Ordinal regression: |w|/(λ_H/λ_W)^{1/4} has no limit as the decay vanishes",
    statement="With g = N √(λ_W λ_H/n_K) < 1 the last class has the logit z_K ≥ b_{K−1} + log(1/g − 1) at every "
    "optimum. Where that bound is positive |w| ≥ (λ_H/λ_W)^{1/4} (√n_K (b_{K−1} + log(1/g − 1)))^{1/2}: "
    "|w|/(λ_H/λ_W)^{1/4} has no bound as λ_W λ_H → 0.",
    source="Ma, Obuchi, Tanaka 2025 (w* = Θ((λ_H/λ_W)^{1/4}) as λ → 0, from its summary): refuted for a logistic "
    "link with half-lines at both ends",
    scope=Scope(
        ("ordinal",),
        ("weight-decay",),
        conditions=(
            "cumulative logits: one logit z, fixed thresholds b_1 < … < b_{K−1}, logistic link, half-lines at both "
            "ends",
        ),
    ),
    group=GROUP,
    papers=("ma2025",),
    topic="regression",
    standing="refuted",
    core=False,
)


CLAIMS: tuple[Any, ...] = (SHRINKAGE, VALUE, GRAM, GAIN, TWO, WHITENING, LOW_DIMENSION, FLOOR, CEILING, ORDINAL)
