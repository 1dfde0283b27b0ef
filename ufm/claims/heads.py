"""Many classification tasks on shared features, and many labels a sample."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from proofs_check.scope import Scope
from ufm.architectures import UnconstrainedFeatures
from ufm.claims._model import Context, Enclosure
from ufm.claims._stated import enclosed, stated
from ufm.claims._tools import Comparison, compare
from ufm.labels import Labels
from ufm.solution import Solution
from ufm.solvers import solve

__all__ = ["CLAIMS"]

GROUP = "Regression and tasks"

Array = NDArray[np.float64]


# heads ---------------------------------------------------------------------------------------------------------------


def _head_margins(sizes: Sequence[int], weights: Sequence[float], lam: float) -> tuple[float, ...]:
    """Margin of every head at the optimum, one sample a tuple of labels, by a descent over all classifiers and "
    "features."""
    from scipy.optimize import minimize

    tuples = np.array(list(itertools.product(*(range(k) for k in sizes))))
    rows, dim, num = sum(sizes), sum(sizes), len(tuples)
    starts = np.cumsum([0, *sizes])
    scale = np.repeat(np.sqrt(weights), sizes)[:, None]  # sqrt(c_t) W^t is what weighs 1 in the decay

    def objective(x: Array) -> tuple[float, Array]:
        v, h = x[: rows * dim].reshape(rows, dim), x[rows * dim :].reshape(dim, num)
        logits, value, slope = v @ h / scale, 0.0, np.zeros((rows, num))
        for t, c in enumerate(weights):
            z = logits[starts[t] : starts[t + 1]]
            p = np.exp(z - z.max(axis=0))
            p /= p.sum(axis=0)
            own = tuples[:, t], np.arange(num)
            value -= c * float(np.log(p[own]).mean())
            p[own] -= 1
            slope[starts[t] : starts[t + 1]] = c * p / num
        slope /= scale
        value += lam / 2 * float((x**2).sum())
        return value, np.concatenate([(slope @ h.T).ravel(), (v.T @ slope).ravel()]) + lam * x

    start = 0.5 * np.random.default_rng(1).standard_normal(dim * (rows + num))
    x = minimize(
        objective, start, jac=True, method="L-BFGS-B", options={"ftol": 1e-15, "gtol": 1e-9, "maxiter": 5000}
    ).x
    logits = x[: rows * dim].reshape(rows, dim) @ x[rows * dim :].reshape(dim, num) / scale
    # a head of size k gives its first sample the label 0
    return tuple(float(logits[s, 0] - logits[s + 1, 0]) for s in starts[:-1])


Margin = Callable[[float, int, int, float], float]


def head_margin(weight: float, num_classes: int, num_samples: int, lam: float) -> float:
    """``log(1 + K/g - K)``, ``g = lam sqrt(N K/c)``, and 0 from g = 1 on."""
    g = lam * math.sqrt(num_samples * num_classes / weight)
    return math.log(1 + num_classes / g - num_classes) if g < 1 else 0.0


#: (sizes, weights, lambda): all heads in use; one just above and one just below its threshold; one out of use.
HEADS = (
    ((2, 3), (1.0, 1.0), 0.15),
    ((2, 3), (0.25, 1.0), 0.99 * math.sqrt(0.25 / 12)),
    ((2, 3), (0.25, 1.0), 1.01 * math.sqrt(0.25 / 12)),
    ((3, 2), (0.3, 2.0), 0.2),
)


def _heads(ctx: Context, formula: Margin) -> list[Comparison]:
    rows = []
    for sizes, weights, lam in HEADS:
        found = ctx.once(f"heads-{weights}-{lam:g}", partial(_head_margins, sizes, weights, lam))
        num = math.prod(sizes)
        for k, c, margin in zip(sizes, weights, found, strict=True):
            computed = Enclosure.around(1 + margin, 1e-5)
            label = f"head of K_t={k}, c_t={c}, λ={lam:.4g}: 1 + margin"
            rows.append(
                compare(label, 1 + formula(c, k, num, lam), computed, "descent over all factors", relative=1e-4)
            )
    return rows


THRESHOLDS = stated(
    head_margin,
    _heads,
    "multi-task-heads",
    ("threshold", "geometry"),
    {
        "heads: threshold without c_t": lambda c, k, n, lam: head_margin(1.0, k, n, lam),
        "heads: threshold with c_t²": lambda c, k, n, lam: head_margin(c * c, k, n, lam),
        "heads: never out of use": lambda c, k, n, lam: math.log1p(k / (lam * math.sqrt(n * k / c))),
        "heads: threshold of N/K_t": lambda c, k, n, lam: head_margin(c * k, k, n, lam),
    },
    summary="margins of both heads at 4 settings, one head just above and just below its own threshold",
    resolution=1e-3,
    id="multi-task-heads",
    title="Each classification head has a threshold of its own: c_t/(N K_t)",
    statement="Head t is not 0 at the optimum if and only if λ_W λ_H < c_t/(K_t N). The classifiers of a head that "
    "is not 0 form a simplex ETF, those of different heads are orthogonal, and its logits are a (e_y − 1/K_t) with "
    "a = log(1 + K_t/g − K_t), g = √(λ_W λ_H N K_t/c_t).",
    source="Neural collapse in multi-task learning (2026), Theorem 3.1, whose condition (N/(4 K) in its units) has "
    "no c_t: corrected",
    scope=Scope(
        models=("weight-decay",),
        groups=(1, 1),
        conditions=(
            "heads t with K_t ≥ 2 classes and weights c_t > 0 of both risk and weight decay, on the same features",
            "every tuple of labels equally frequent",
            "d ≥ Σ (K_t − 1)",
        ),
    ),
    group=GROUP,
    papers=("mtl2026",),
    topic="losses",
    standing="corrected",
    core=False,
)


# two binary tasks ----------------------------------------------------------------------------------------------------

Angle = Callable[[float, float], tuple[float, float, float]]


def _logit(p: float, c: float) -> float:
    return math.log(math.sqrt(p) / c - 1) if c < math.sqrt(p) / 2 else 0.0


def two_tasks(r: float, c: float) -> tuple[float, float, float]:
    """(a, b, cosine) at correlation ``r``; cosine 1 where both are 0."""
    a, b = _logit(1 + r, c), _logit(1 - r, c)
    x, y = a * math.sqrt(1 + r), b * math.sqrt(1 - r)
    return a, b, (x - y) / (x + y) if x + y > 0 else 1.0


#: (correlation, c / (sqrt(1 - r)/2)), on both sides of where the two classifiers become one.
PAIRS = ((0.0, 0.3), (0.5, 0.2), (0.5, 0.999), (0.5, 1.001), (0.9, 0.5), (0.2, 1.4))


def _pair(ctx: Context, r: float, place: float) -> tuple[float, Solution, str, UnconstrainedFeatures, Labels]:
    counts = np.array([1 + r, 1 + r, 1 - r, 1 - r])
    labels = Labels(np.array([[1.0, 0, 1, 0], [1, 0, 0, 1]]), counts)
    c = place * math.sqrt(1 - r) / 2
    model = UnconstrainedFeatures(c / 2, c / 2)  # N = 4
    key = f"two-binary-tasks-{r:g}-{place:g}"
    return c, ctx.once(f"solved-{key}", partial(solve, model, labels, "bce")), key, model, labels


def _angles(ctx: Context, formula: Angle) -> list[Comparison]:
    rows = []
    for r, place in PAIRS:
        c, found, _, _, _ = _pair(ctx, r, place)
        w = found.classifier
        cosine = float(w[0] @ w[1] / (np.linalg.norm(w[0]) * np.linalg.norm(w[1]))) if np.abs(w).max() > 1e-6 else 1.0
        seen = float(found.logits[0, 0]), float(found.logits[0, 2]), cosine
        for name, claimed, value in zip(("a", "b", "cosine"), formula(r, c), seen, strict=True):
            computed = Enclosure.around(2 + value, 1e-5)
            rows.append(compare(f"r={r}, c={c:.4g}: 2 + {name}", 2 + claimed, computed, "solver", relative=1e-5))
    return rows


ANGLE = stated(
    two_tasks,
    _angles,
    "two-binary-tasks",
    ("logits", "cosine", "limit"),
    {
        "two binary tasks: cosine r": lambda r, c: (*two_tasks(r, c)[:2], r),
        "two binary tasks: orthogonal": lambda r, c: (*two_tasks(r, c)[:2], 0.0),
        "two binary tasks: weights forgotten": lambda r, c: (
            *two_tasks(r, c)[:2],
            (_logit(1 + r, c) - _logit(1 - r, c)) / max(_logit(1 + r, c) + _logit(1 - r, c), 1e-9),
        ),
        "two binary tasks: c for c²": lambda r, c: two_tasks(r, c * c),
    },
    summary="logits and cosine at 6 optima, just below and just above where the classifiers become one",
    resolution=1e-4,
    id="two-binary-tasks",
    title="The angle between the classifiers of two correlated binary tasks, in closed form",
    statement="With c = √(N λ_W λ_H) the logits are ±a where the labels agree and ±b where they differ, a = max(0, "
    "log(√(1 + r)/c − 1)) and b = max(0, log(√(1 − r)/c − 1)). With A = a √(1 + r) and B = b √(1 − r) the two "
    "classifiers have the cosine (A − B)/(A + B) for c < √(1 + r)/2, and they are equal if and only if c ≥ √(1 − "
    "r)/2. For r > 0 the cosine tends to (1 − √(1 − r²))/r as c → 0.",
    source="Our own; the setting is that of Neural collapse in multi-task learning (2026), Theorem 5.1",
    scope=Scope(
        ("bce",),
        ("weight-decay",),
        classes=(2, 2),
        dimension="K",
        conditions=("the loss summed over two tasks with labels of mean 0 and correlation r, 0 ≤ r < 1",),
    ),
    group=GROUP,
    papers=("mtl2026",),
    topic="losses",
    standing="new",
)


def task_value(r: float, c: float, a: float, b: float) -> float:
    """Objective at the logits +-a and +-b."""
    risk = (1 + r) * math.log1p(math.exp(-a)) + (1 - r) * math.log1p(math.exp(-b))
    return risk + c * (a * math.sqrt(1 + r) + b * math.sqrt(1 - r))


def _task_values(ctx: Context, formula: Angle) -> list[Comparison]:
    rows = []
    for r, place in PAIRS:
        c, _, key, model, labels = _pair(ctx, r, place)
        a, b, _ = formula(r, c)
        found = enclosed(ctx, key, model, labels, "bce")
        rows.append(compare(f"r={r}, c={c:.4g}", task_value(r, c, a, b), found, "certificate"))
    return rows


LOGITS = stated(
    two_tasks,
    _task_values,
    "two-binary-tasks",
    ("logits",),
    {
        "task logits: log(√p/c)": lambda r, c: (math.log(math.sqrt(1 + r) / c), math.log(math.sqrt(1 - r) / c), 0.0),
        "task logits: the same for all": lambda r, c: (_logit(1, c), _logit(1, c), 0.0),
        "task logits: p for √p": lambda r, c: (_logit((1 + r) ** 2, c), _logit((1 - r) ** 2, c), 0.0),
    },
    summary="the objective at these logits lies in the certified enclosure of the minimum at 6 settings",
    resolution=1e-4,
    id="two-binary-tasks-logits",
    title="Two correlated binary tasks: samples with agreeing labels have the larger margin",
    statement="With c = √(N λ_W λ_H) the logits are ±a where the labels agree and ±b where they differ, a = max(0, "
    "log(√(1 + r)/c − 1)) and b = max(0, log(√(1 − r)/c − 1)).",
    source="Our own; the setting is that of Neural collapse in multi-task learning (2026), Theorem 5.1",
    scope=ANGLE.scope,
    group=GROUP,
    papers=("mtl2026",),
    topic="losses",
    standing="new",
    core=False,
)


# many labels a sample ------------------------------------------------------------------------------------------------

#: (K, counts of a set by its size, place of lambda relative to the threshold).
SETS = (
    (3, {1: 2.0, 2: 1.0}, 0.5),
    (4, {1: 3.0, 2: 2.0}, 0.99),
    (4, {1: 3.0, 2: 2.0}, 1.01),
    (4, {2: 1.0}, 0.3),
    (4, {1: 1.0, 2: 0.5, 3: 0.2}, 0.7),
)


def set_threshold(num_classes: int, counts: dict[int, float]) -> float:
    """``sqrt(sum_m n_m binom(K-2, m-1))``, which N lambda is compared with."""
    return math.sqrt(sum(n * math.comb(num_classes - 2, m - 1) for m, n in counts.items()))


def _sets(
    ctx: Context, num_classes: int, counts: dict[int, float], place: float
) -> tuple[list[tuple[int, ...]], float, Solution]:
    sets = [s for m in counts for s in itertools.combinations(range(num_classes), m)]
    samples = [counts[len(s)] for s in sets]
    lam = place * set_threshold(num_classes, counts) / sum(samples)
    labels = Labels.multi_label(num_classes, sets, samples)
    key = f"sets-{num_classes}-{sorted(counts.items())}-{place}"
    return sets, lam * sum(samples), ctx.once(key, partial(solve, UnconstrainedFeatures(lam, lam), labels))


def _set_sides(ctx: Context, formula: Callable[[int, dict[int, float]], float]) -> list[Comparison]:
    rows = []
    for k, counts, place in (*SETS, (3, {1: 1.0, 2: 4.0}, 0.9999), (3, {1: 1.0, 2: 4.0}, 1.0001)):
        _, level, found = _sets(ctx, k, counts, place)
        seen = 1.0 if np.abs(found.logits).max() < 1e-8 else 2.0
        claimed = 1.0 if level >= formula(k, counts) else 2.0
        name = f"K={k}, n={counts}, λ at {place} (1 zero, 2 not)"
        rows.append(compare(name, claimed, Enclosure.around(seen, 0.0), "solver"))
        if seen == 2.0:  # all sizes together
            margins = [float(np.ptp(column)) for column in found.logits.T]
            rows.append(
                compare(
                    f"{name}: every margin",
                    claimed,
                    Enclosure.around(2.0 if min(margins) > 1e-6 else 1.0, 0.0),
                    "solver",
                )
            )
    return rows


def _forgetful(weigh: Callable[[int, int], float]) -> Callable[[int, dict[int, float]], float]:
    return lambda k, counts: math.sqrt(sum(n * weigh(k, m) for m, n in counts.items()))


COMMON = stated(
    set_threshold,
    _set_sides,
    "multi-label-pick-all",
    ("threshold",),
    {
        "many labels: binom(K − 1, m − 1)": _forgetful(lambda k, m: math.comb(k - 1, m - 1)),
        "many labels: binom(K, m)": _forgetful(lambda k, m: math.comb(k, m)),
        "many labels: single labels alone": _forgetful(lambda k, m: 1.0 if m == 1 else 0.0),
        "many labels: no root": lambda k, counts: set_threshold(k, counts) ** 2,
    },
    summary="zero or not at 7 optima, at relative distances to 10⁻⁴ on both sides of the threshold; all sizes together",
    resolution=1e-3,
    id="multi-label-threshold",
    title="Many labels a sample: one threshold for all sizes of label sets",
    statement="The optimum is 0 if and only if N √(λ_W λ_H) ≥ √(Σ_m n_m binom(K − 2, m − 1)), so either all sizes "
    "have a margin or none has.",
    source="Li et al. 2024 (multi-label neural collapse), as we state it; the common threshold is our own",
    scope=Scope(
        models=("weight-decay",),
        dimension="K - 1",
        conditions=(
            "labels are all sets of each of some sizes 1 ≤ m ≤ K − 1, n_m samples for each set of size m",
            "the loss of a sample summed over its labels",
        ),
    ),
    group=GROUP,
    papers=("li2024",),
    topic="losses",
    standing="new",
    core=False,
)


def balance(num_classes: int, size: int, margin: float) -> float:
    """``a (m e^a + K - m)``."""
    return margin * (size * math.exp(margin) + num_classes - size)


def _balances(ctx: Context, formula: Callable[[int, int, float], float]) -> list[Comparison]:
    rows = []
    for k, counts, place in SETS:
        sets, _, found = _sets(ctx, k, counts, place)
        if place > 1 or len(counts) < 2:
            continue
        first = formula(k, 1, float(np.ptp(found.logits[:, 0])))
        single = found.features[:, :k]
        for s, column, feature in zip(sets, found.logits.T, found.features.T, strict=True):
            if s != tuple(range(len(s))) or len(s) == 1:
                continue
            a = float(np.ptp(column))
            computed = Enclosure.around(formula(k, len(s), a) / first, 1e-5)
            rows.append(
                compare(
                    f"K={k}, λ at {place}, sets of {len(s)} against single labels",
                    1.0,
                    computed,
                    "solver",
                    relative=1e-4,
                )
            )
            mean = a / float(np.ptp(found.logits[:, 0])) * single[:, list(s)].sum(axis=1)
            off = float(np.linalg.norm(feature - mean) / np.linalg.norm(feature))
            rows.append(
                compare(
                    f"K={k}, λ at {place}, features of {s}",
                    1.0,
                    Enclosure.around(1 + off, 1e-6),
                    "solver",
                    relative=1e-4,
                )
            )
    return rows


MARGINS = stated(
    balance,
    _balances,
    "multi-label-pick-all",
    ("margins", "features"),
    {
        "many labels: equal margins": lambda k, m, a: a,
        "many labels: balance without m": lambda k, m, a: a * (math.exp(a) + k - m),
        "many labels: balance a e^a": lambda k, m, a: a * math.exp(a),
        "many labels: balance m a": lambda k, m, a: m * a,
    },
    summary="what all sizes share, and features as multiples of sums, at 3 optima with sets of two and three",
    off_by=lambda x: lambda k, m, a: balance(k, m, a) * (1 + x * (m > 1)),
    resolution=1e-3,
    id="multi-label-margins",
    title="Many labels a sample: larger sets have smaller margins, and features add up",
    statement="Where the optimum is not 0 the logits of a set S of size m are a_m (1_S − m/K) with a_m > 0, and a_m (m e^{a_m} + K − "
    "m) is the same for all m: larger sets have smaller margins. The classifiers form a simplex ETF, and where "
    "single labels occur the features of S are a_m/a_1 times the sum of those of its classes.",
    source="Li et al. 2024 (tag-wise average), as we state it; the equation of the margins is our own",
    scope=COMMON.scope,
    group=GROUP,
    papers=("li2024",),
    topic="losses",
    standing="sharpened",
    core=False,
)


CLAIMS = (THRESHOLDS, ANGLE, LOGITS, COMMON, MARGINS)
