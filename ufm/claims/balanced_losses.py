"""Equal counts: weight decay, smoothed labels and biases, each with its simplex ETF or without."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from proofs_check.scope import Scope
from ufm.architectures import UnconstrainedFeatures
from ufm.certificates import certify_collapse
from ufm.claims._figures import curves_figure
from ufm.claims._model import Context, Enclosure, Figure
from ufm.claims._stated import enclosed, stated
from ufm.claims._tools import Comparison, compare, keep
from ufm.labels import ClassPrior
from ufm.losses import CrossEntropy
from ufm.solution import Solution
from ufm.solvers import solve

__all__ = ["CLAIMS", "balanced_decay", "etf_size", "logit_parts", "seen_row"]

GROUP = "Equal counts: labels, losses and biases"

Array = NDArray[np.float64]

#: Relative distances from a boundary.
NEAR = tuple(sign * size for size in (1e-2, 1e-4, 1e-6) for sign in (1, -1))


def balanced_decay(num_classes: int, c: float, count: float = 1.0, tilt: float = 1.0) -> UnconstrainedFeatures:
    """Weight decay with ``K sqrt(n lW lH) = c`` and ``lW/lH = tilt^2``."""
    lam = c / (num_classes * math.sqrt(count))
    return UnconstrainedFeatures(lam * tilt, lam / tilt)


def _solved(
    ctx: Context, k: int, c: float, loss: str, bias: str | float | None, count: float = 1.0, tilt: float = 1.0
) -> Solution:
    key = f"balanced {k} {c!r} {loss} {bias} {count} {tilt}"
    made = CrossEntropy(smoothing=float(loss[3:])) if loss.startswith("ls ") else loss
    prior = ClassPrior.balanced(k, count)
    return ctx.once(key, lambda: solve(balanced_decay(k, c, count, tilt), prior, made, bias=bias))


def logit_parts(logits: Array) -> tuple[float, float]:
    """``(s, m)`` of the nearest ``s (I - 1 1^T/K) + m 1 1^T/K``."""
    k = len(logits)
    m = float(logits.sum()) / k
    return (float(np.trace(logits)) - m) / (k - 1), m


def seen_row(label: str, claimed: float, seen: float, relative: float = 1e-6) -> Comparison:
    """Equal to ``relative``, of the larger of 1 and the claimed size."""
    shift = 1.0 if abs(claimed) < 1 else 0.0
    shown = f"1 + ({label})" if shift else label
    return compare(shown, claimed + shift, Enclosure.around(seen + shift, 1e-10), "solver", relative=relative)


# cross-entropy, labels smoothed or not -------------------------------------------------------------------------------


def etf_size(num_classes: int, c: float, smoothing: float) -> float:
    """``a``: ``e^a = K/s - K + 1`` with ``s = c + smoothing < 1``, else 0."""
    s = c + smoothing
    return math.log(num_classes / s - num_classes + 1) if s < 1 else 0.0


#: (K, c, smoothing, bias).
SMOOTHED: tuple[tuple[int, float, float, str | float | None], ...] = (
    (2, 0.3, 0.0, None),
    (3, 0.3, 0.2, None),
    (3, 0.2, 0.3, "free"),
    (5, 0.5, 0.1, None),
    (4, 0.05, 0.05, 0.3),
    (4, 0.8, 0.3, None),
)


def _sizes(ctx: Context, formula: Callable[[int, float, float], float]) -> list[Comparison]:
    rows = []
    for k, c, delta, bias in SMOOTHED:
        s, m = logit_parts(_solved(ctx, k, c, f"ls {delta}", bias, 7.0, 2.0).logits)
        name = f"K={k}, c={c}, δ={delta}, bias {bias}"
        rows += [seen_row(name, formula(k, c, delta), s), seen_row(f"{name}: on 1", 0.0, m)]
    for k, delta in ((3, 0.25), (4, 0.0)):
        for distance in NEAR:
            c = (1 - delta) * (1 + distance)
            name = f"K={k}, δ={delta}, c={c:.7g} (1 zero, 2 not)"
            claimed = 1.0 if formula(k, c, delta) <= 0 else 2.0
            rows.append(compare(name, claimed, _zero(ctx, k, c, delta), "certificate"))
    return rows


def _zero(ctx: Context, k: int, c: float, delta: float) -> Enclosure:
    """1 where all classes are certified to coincide, else 2."""

    def found() -> float:
        loss = CrossEntropy(smoothing=delta)
        certificate = certify_collapse(balanced_decay(k, c), ClassPrior.balanced(k), list(range(k)), loss)
        collapsed = keep(ctx, f"zero-{k}-{delta}-{c:.7g}", certificate).claim["statement"]["collapsed"]
        return 1.0 if collapsed else 2.0

    value = ctx.once(f"zero {k} {c!r} {delta}", found)
    return Enclosure(value, value, rigorous=True)


def _smoothing_figure() -> Figure:
    curves = {}
    for delta in (0.0, 0.1, 0.3):
        decays = np.linspace(0.02, 1, 50).tolist()
        curves[f"δ = {delta:g}"] = (decays, [etf_size(4, c, delta) for c in decays])
    return curves_figure(
        "Size of the simplex ETF under weight decay and label smoothing, K = 4",
        "Smoothing δ moves the curve by δ to the left, and does nothing else.",
        ("c = K √(n λ_W λ_H)", "size a of the logits"),
        curves,
    )


SMOOTHING = stated(
    etf_size,
    _sizes,
    "balanced-etf-decay",
    ("logits",),
    {
        "smoothed labels: no trace": lambda k, c, d: etf_size(k, c, 0.0),
        "smoothed labels: c δ": lambda k, c, d: etf_size(k, c * (1 + d), 0.0),
        "smoothed labels: s = c/(1 − δ)": lambda k, c, d: etf_size(k, c / (1 - d), 0.0),
        "smoothed labels: e^a = K/s": lambda k, c, d: math.log(k / (c + d)) if c + d < 1 else 0.0,
        "smoothed labels: twice δ": lambda k, c, d: etf_size(k, c, 2 * d),
    },
    summary="the logits at 6 optima with and without a bias; zero certified on the right side of s = 1 at relative "
    "distances to 10⁻⁶",
    figure=_smoothing_figure,
    resolution=1e-4,
    id="label-smoothing-equals-decay",
    title="Label smoothing δ acts on the optimum as more weight decay does: through c + δ alone",
    statement="With label smoothing 0 ≤ δ < 1, n samples in every class and s = K √(n λ_W λ_H) + δ the optimal "
    "logits are a (I − 11ᵀ/K), e^a = 1 + K/s − K if s < 1 and a = 0 if s ≥ 1, with a bias, free or with "
    "weight decay, as without one.",
    source="Guo et al. 2024 (label smoothing), as we state it; that it equals more weight decay is our own",
    scope=Scope(("ce", "smoothed-ce"), ("weight-decay", "bias-decay"), groups=(1, 1), dimension="K - 1"),
    group=GROUP,
    papers=("guo2024",),
    topic="losses",
    standing="corrected",
)


def etf_minimum(num_classes: int, c: float, smoothing: float) -> float:
    """``log(K/s) - (1 - (K-1) s/K) log(K/s - K + 1)`` for ``s < 1``, else ``log K``."""
    k, s = num_classes, c + smoothing
    return math.log(k / s) - (1 - (k - 1) * s / k) * math.log(k / s - k + 1) if s < 1 else math.log(k)


def _minima(ctx: Context, formula: Callable[[int, float, float], float]) -> list[Comparison]:
    rows = []
    for k, c, delta in ((2, 0.4, 0.0), (3, 0.1, 0.0), (5, 0.6, 0.0), (3, 1.2, 0.0), (3, 0.3, 0.2), (4, 0.9, 0.3)):
        loss = CrossEntropy(smoothing=delta)
        found = enclosed(ctx, f"balanced-{k}-{c}-{delta}", balanced_decay(k, c, 3.0), ClassPrior.balanced(k, 3), loss)
        rows.append(compare(f"K={k}, c={c}, δ={delta}", formula(k, c, delta), found, "certificate"))
    return rows


def _unbounded(k: int, c: float, delta: float) -> float:
    """The value at the ETF's formula where it has none: the shape claimed for any weight decay."""
    s = c + delta
    return math.log(k / s) - (1 - (k - 1) * s / k) * math.log(abs(k / s - k + 1))


MINIMUM = stated(
    etf_minimum,
    _minima,
    "balanced-etf-decay",
    ("value",),
    {
        "minimum: without the decay": lambda k, c, d: (
            math.log(k / (c + d)) - math.log(k / (c + d) - k + 1) if c + d < 1 else math.log(k)
        ),
        "minimum: an ETF at any weight decay": _unbounded,
        "minimum: slope 1 − s": lambda k, c, d: (
            math.log(k / (c + d)) - (1 - c - d) * math.log(k / (c + d) - k + 1) if c + d < 1 else math.log(k)
        ),
        "minimum: log(K − 1) at zero": lambda k, c, d: etf_minimum(k, c, d) if c + d < 1 else math.log(k - 1),
    },
    summary="the value lies in 6 certified enclosures, two of them with s ≥ 1",
    off_by=lambda x: lambda k, c, d: etf_minimum(k, c, d) * (1 + x),
    resolution=1e-8,
    id="balanced-decay-etf",
    title="Weight decay of c ≥ 1 leaves no simplex ETF: the minimum in closed form, and where it is log K",
    statement="With label smoothing 0 ≤ δ < 1, n samples in every class and s = K √(n λ_W λ_H) + δ the minimum is "
    "log(K/s) − (1 − s (K − 1)/K) log(1 + K/s − K) if s < 1, and log K, attained at zero alone, if s ≥ 1.",
    source="Zhu et al. 2021, Theorem 3.1, as we state it (no bound on the weight decay); the closed form is our own",
    scope=SMOOTHING.scope,
    group=GROUP,
    papers=("zhu2021", "papyan2020"),
    topic="balance",
    standing="corrected",
)


def feature_square(num_classes: int, c: float, count: float, tilt: float) -> float:
    """``|h_k|^2 = a (K-1)/K sqrt(lW/(n lH))``."""
    return etf_size(num_classes, c, 0.0) * (num_classes - 1) / num_classes * tilt / math.sqrt(count)


def _norms(ctx: Context, formula: Callable[[int, float, float, float], float]) -> list[Comparison]:
    rows = []
    for k, c, count, tilt in ((2, 0.3, 1.0, 1.0), (3, 0.3, 1.0, 2.0), (3, 0.6, 5.0, 2.0), (4, 0.1, 20.0, 0.5)):
        found = _solved(ctx, k, c, "ce", None, count, tilt)
        claimed = formula(k, c, count, tilt)
        name = f"K={k}, c={c}, n={count}, √(λ_W/λ_H)={tilt}"
        rows.append(seen_row(f"{name}: |h|²", claimed, float((found.features[:, 0] ** 2).sum()), 1e-5))
        seen = float((found.classifier[0] ** 2).sum())
        rows.append(seen_row(f"{name}: |w|²", claimed * count / tilt**2, seen, 1e-5))
    return rows


NORMS = stated(
    feature_square,
    _norms,
    "balanced-etf-decay",
    ("norms",),
    {
        "feature norms: λ_H/λ_W": lambda k, c, n, t: feature_square(k, c, n, 1 / t),
        "feature norms: 1/n": lambda k, c, n, t: feature_square(k, c, n * n, t),
        "feature norms: without (K − 1)/K": lambda k, c, n, t: feature_square(k, c, n, t) * k / (k - 1),
        "feature norms: the same at every weight decay": lambda k, c, n, t: feature_square(k, 0.3, n, t),
        "feature norms: |h| for its square": lambda k, c, n, t: math.sqrt(feature_square(k, c, n, t)),
    },
    summary="norms of features and classifiers at 4 optima, two weight decays at K = 3",
    resolution=1e-4,
    id="feature-norms-under-decay",
    title="Feature norms at collapse depend on the weight decay, by a formula",
    statement="With label smoothing 0 ≤ δ < 1, n samples in every class and s = K √(n λ_W λ_H) + δ < 1, e^a = 1 + "
    "K/s − K, all features of class k are one h_k with |h_k|² = a √λ_W (K − 1)/(√λ_H √n K), and |w_k|² is "
    "n λ_H/λ_W times that; at λ_W = λ_H they fall strictly as the weight decay grows, to 0 at s = 1.",
    source="Paul Rupa 2026 (feature norms at collapse, an invariance seen in training), as we state it; the formula is "
    "our own",
    scope=SMOOTHING.scope,
    group=GROUP,
    papers=("rupa2026",),
    topic="balance",
    standing="corrected",
    core=False,
)


def condition_number(num_classes: int, c: float, smoothing: float) -> float:
    """``K - (K-1) s`` for ``s < 1``, else 1."""
    s = c + smoothing
    return num_classes - (num_classes - 1) * s if s < 1 else 1.0


def _conditions(ctx: Context, formula: Callable[[int, float, float], float]) -> list[Comparison]:
    rows = []
    for k, c, delta in ((3, 0.3, 0.0), (3, 0.3, 0.2), (3, 0.2, 0.3), (5, 0.5, 0.1), (4, 0.8, 0.3)):
        z = _solved(ctx, k, c, f"ls {delta}", None).logits[:, 0]
        p = np.exp(z - z.max())
        p /= p.sum()
        eigenvalues = np.linalg.eigvalsh(np.diag(p) - np.outer(p, p))[1:]
        seen = float(eigenvalues[-1] / eigenvalues[0])
        rows.append(seen_row(f"K={k}, c={c}, δ={delta}", formula(k, c, delta), seen))
    return rows


CONDITIONING = stated(
    condition_number,
    _conditions,
    "balanced-etf-decay",
    ("condition",),
    {
        "conditioning: smoothing does not enter": lambda k, c, d: condition_number(k, c, 0.0),
        "conditioning: 1/s": lambda k, c, d: 1 / (c + d) if c + d < 1 else 1.0,
        "conditioning: K (1 − s)": lambda k, c, d: k * (1 - c - d) if c + d < 1 else 1.0,
        "conditioning: grows with smoothing": lambda k, c, d: condition_number(k, c - d, 0.0),
    },
    summary="eigenvalues of the Hessian at 5 optima, two of them with one s",
    resolution=1e-5,
    id="smoothing-conditioning",
    title="Smoothed labels condition the loss better at one weight decay, and no better at one c + δ",
    statement="With label smoothing 0 ≤ δ < 1, n samples in every class and s = K √(n λ_W λ_H) + δ the Hessian of "
    "the loss of a sample in its logits, on vectors of sum 0 and for K ≥ 3, has at the optimum the "
    "condition number K − s (K − 1) if s < 1 and 1 if s ≥ 1.",
    source="Guo et al. 2024 (conditioning under label smoothing), as we state it; the formula is our own",
    scope=SMOOTHING.scope,
    group=GROUP,
    papers=("guo2024",),
    topic="losses",
    standing="sharpened",
    core=False,
)

# squared error with a bias -------------------------------------------------------------------------------------------


def mse_parts(c: float, decay: float) -> tuple[float, float]:
    """``(s, m)``, without the bias."""
    return max(0.0, 1 - c), max(0.0, 1 - c - c / decay) if decay else 0.0


#: (K, c, lambda_b): on both sides of c/(1 - c), and at it.
BIASED = ((2, 0.3, 1.0), (3, 0.3, 0.2), (4, 0.2, 0.5), (3, 0.5, 1.0), (4, 0.2, 40.0), (3, 1.2, 0.5), (3, 0.4, 0.0))


def _mse(ctx: Context, k: int, c: float, decay: float) -> Solution:
    return _solved(ctx, k, c, "mse", decay or "free", 4.0)


def _mse_logits(ctx: Context, formula: Callable[[float, float], tuple[float, float]]) -> list[Comparison]:
    rows = []
    for k, c, decay in BIASED:
        found = _mse(ctx, k, c, decay)
        name = f"K={k}, c={c}, λ_b={decay}"
        for part, claimed, seen in zip("sm", formula(c, decay), logit_parts(found.logits), strict=True):
            rows.append(seen_row(f"{name}: {part}", claimed, seen))
        claimed = (1 - formula(c, decay)[1]) / (k * (1 + decay))
        rows.append(seen_row(f"{name}: bias", claimed, float(np.asarray(found.bias).mean())))
    return rows


def _switch_figure() -> Figure:
    decays = [0.02 * i for i in range(1, 76)]
    series = [
        {
            "label": f"c = {c}",
            "line": {"x": decays, "y": [mse_cosine(4, c, b) for b in decays]},
            "points": None,
        }
        for c in (0.1, 0.3, 0.5)
    ]
    return Figure(
        "order-parameter",
        "Squared error with a penalised bias, K = 4",
        "Cosine between the features of two classes: −1/3, a simplex ETF, up to λ_b = c/(1 − c), then towards 0.",
        {
            "x_label": "λ_b",
            "y_label": "cosine",
            "series": series,
            "thresholds": [{"label": f"c/(1 − c), c = {c}", "x": mse_switch(c)} for c in (0.1, 0.5)],
        },
    )


MSE_BIAS = stated(
    mse_parts,
    _mse_logits,
    "mse-bias-switch",
    ("logits", "free"),
    {
        "MSE with a bias: m = 0 at every λ_b": lambda c, b: (max(0.0, 1 - c), 0.0),
        "MSE with a bias: m without the bias": lambda c, b: (max(0.0, 1 - c),) * 2,
        "MSE with a bias: c λ_b": lambda c, b: (max(0.0, 1 - c), max(0.0, 1 - c - c * b) if b else 0.0),
        "MSE with a bias: 2 c": lambda c, b: (max(0.0, 1 - 2 * c), mse_parts(c, b)[1]),
    },
    summary="both parts of the logits and the bias at 7 optima on both sides of the switch and at it",
    resolution=1e-5,
    id="mse-bias-logits",
    title="Squared error with a penalised bias, in closed form",
    statement="With n samples in every class, c = K √(n λ_W λ_H) and λ_b > 0 the optimal logits without the bias "
    "are s (I − 11ᵀ/K) + m 11ᵀ/K, s = max(0, 1 − c) and m = max(0, 1 − c − c/λ_b), and every entry of the "
    "bias is (1 − m)/(K (1 + λ_b)). With n samples in every class, c = K √(n λ_W λ_H) and a free bias "
    "(λ_b = 0) the optimal logits without the bias are s (I − 11ᵀ/K), s = max(0, 1 − c), and every entry "
    "of the bias is 1/K.",
    source="Tirer, Bruna 2022 and Zhou et al. 2022 (no bias, free bias), as we state them; between them our own",
    scope=Scope(("mse",), ("bias-decay",), groups=(1, 1), dimension="K"),
    group=GROUP,
    papers=("tirer2022", "zhou2022", "role2026"),
    topic="bias",
    standing="sharpened",
    core=False,
)


def mse_switch(c: float) -> float:
    """``c/(1-c)``."""
    return c / (1 - c)


def mse_cosine(num_classes: int, c: float, decay: float) -> float:
    """Between the features of two classes: ``-c/(K lb (1-c) - c)`` beyond the switch, ``-1/(K-1)`` before it."""
    beyond = decay > mse_switch(c)
    return -c / (num_classes * decay * (1 - c) - c) if beyond else -1 / (num_classes - 1)


def _mse_angles(ctx: Context, formula: Callable[[int, float, float], float]) -> list[Comparison]:
    rows = []
    for k, c in ((3, 0.3), (4, 0.2)):
        for distance in (1e-2, -1e-2, 1e-3, -1e-3, 1.0, 20.0):
            decay = mse_switch(c) * (1 + distance)
            h = _mse(ctx, k, c, decay).features
            seen = float(h[:, 0] @ h[:, 1] / (h[:, 0] @ h[:, 0]))
            rows.append(seen_row(f"K={k}, c={c}, λ_b={decay:.6g}", formula(k, c, decay), seen))
    return rows


MSE_SWITCH = stated(
    mse_cosine,
    _mse_angles,
    "mse-bias-switch",
    ("switch", "angle"),
    {
        "MSE switch: with a bias always an ETF": lambda k, c, b: -1 / (k - 1),
        "MSE switch: orthogonal beyond it": lambda k, c, b: 0.0 if b > mse_switch(c) else -1 / (k - 1),
        "MSE switch: at λ_b = c": lambda k, c, b: -c / (k * b * (1 - c) - c) if b > c else -1 / (k - 1),
        "MSE switch: cosine without K": lambda k, c, b: (
            -c / (b * (1 - c) + (k - 2) * c) if b > mse_switch(c) else -1 / (k - 1)
        ),
        "MSE switch: at (1 − c)/c": lambda k, c, b: mse_cosine(k, c, b) if b > (1 - c) / c else -1 / (k - 1),
    },
    summary="the cosine of features at 12 optima, on both sides of the switch at relative distances to 10⁻³",
    figure=_switch_figure,
    resolution=1e-5,
    id="mse-bias-switch",
    title="Squared error with a bias: a simplex ETF exactly up to λ_b = c/(1 − c)",
    statement="With n samples in every class, c = K √(n λ_W λ_H) < 1, class means and classifiers form a simplex "
    "ETF if and only if λ_b ≤ c/(1 − c), and orthogonal frames for no λ_b. With n samples in every class, "
    "c = K √(n λ_W λ_H) < 1 and λ_b > c/(1 − c), the cosine between the features of any two classes is "
    "−c/(λ_b K (1 − c) − c), which rises with λ_b towards 0.",
    source="The role of class encoding 2026 (a transition as λ_b grows), as we state it; its place and the cosine are our "
    "own",
    scope=MSE_BIAS.scope,
    group=GROUP,
    papers=("role2026", "tirer2022"),
    topic="bias",
    standing="corrected",
)

# binary cross-entropy ------------------------------------------------------------------------------------------------


def _sigmoid(x: float) -> float:
    return 0.5 * (1 + math.tanh(x / 2))


def _rest_of_slope(k: int, c: float, beta: float, s: float) -> float:
    """``sigma(-x) + sigma(y) - c``: positive at s = 0, and falling."""
    return _sigmoid(-(k - 1) * s / k - beta) + _sigmoid(beta - s / k) - c


def bce_point(num_classes: int, c: float, decay: float) -> tuple[float, float]:
    """``(s, beta)``: ``sigma(-x) + sigma(y) = c`` and ``sigma(-x) - (K-1) sigma(y) = K lb beta``, m = 0."""
    k = num_classes

    def scale(beta: float) -> float:
        rest = partial(_rest_of_slope, k, c, beta)
        return float(brentq(rest, 0, 1e3, xtol=1e-13))

    def balance(beta: float) -> float:
        s = scale(beta)
        return _sigmoid(-(k - 1) * s / k - beta) - (k - 1) * _sigmoid(beta - s / k) - k * decay * beta

    beta = float(brentq(balance, -20, 20, xtol=1e-13))
    return scale(beta), beta


def bce_switch(num_classes: int, c: float) -> float:
    """The ``lb`` at which ``lb |beta| = c/K``: there is one, as the slope of m grows with ``lb``."""
    k = num_classes
    return float(brentq(lambda b: b * abs(bce_point(k, c, b)[1]) - c / k, 1e-6, 1e2, xtol=1e-13))


def bce_is_etf(num_classes: int, c: float, decay: float) -> bool:
    """``lb |beta| <= lam sqrt(n)``."""
    return decay * abs(bce_point(num_classes, c, decay)[1]) <= c / num_classes


def _bce_sides(ctx: Context, formula: Callable[[int, float, float], bool]) -> list[Comparison]:
    rows = []
    for k, c in ((4, 0.3), (10, 0.5), (3, 0.2)):
        switch = ctx.once(f"bce switch {k} {c}", partial(bce_switch, k, c))
        for distance in (1e-2, -1e-2, 5e-4, -5e-4, -0.5, 1.0):
            decay = switch * (1 + distance)
            s, m = logit_parts(_solved(ctx, k, c, "bce", decay).logits)
            name = f"K={k}, c={c}, λ_b={decay:.6g}"
            claimed = 1.0 if formula(k, c, decay) else 2.0
            seen = 1.0 if abs(m) < 1e-5 else 2.0
            rows.append(seen_row(f"{name} (1 ETF, 2 not)", claimed, seen))
            if seen == 1:
                rows.append(seen_row(f"{name}: s", bce_point(k, c, decay)[0], s))
    return rows


def _bce_figure() -> Figure:
    decays = np.linspace(0.02, 0.95, 30).tolist()
    return curves_figure(
        "Binary cross-entropy: the weight decay of the bias up to which the optimum is a simplex ETF",
        "Below its curve the optimum is an ETF, above it is none.",
        ("c = K √(n λ_W λ_H)", "λ_b"),
        {f"K = {k}": (decays, [bce_switch(k, c) for c in decays]) for k in (4, 6, 10)},
        scale="log",
    )


BCE_BIAS = stated(
    bce_is_etf,
    _bce_sides,
    "bce-balanced",
    ("penalised",),
    {
        "BCE: an ETF with every bias": lambda k, c, b: True,
        "BCE: the other way round": lambda k, c, b: not bce_is_etf(k, c, b),
        "BCE: λ_b|β| against c": lambda k, c, b: b * abs(bce_point(k, c, b)[1]) <= c,
        "BCE: λ_b against √(n λ_W λ_H)": lambda k, c, b: b <= c / k,
        "BCE: |β| against √(n λ_W λ_H)": lambda k, c, b: abs(bce_point(k, c, b)[1]) <= c / k,
    },
    summary="ETF or not at 18 optima, on both sides of the switch at relative distances to 5·10⁻⁴, K = 3, 4 and 10",
    figure=_bce_figure,
    off_by=lambda x: lambda k, c, b: b * abs(bce_point(k, c, b)[1]) <= (1 + x) * c / k,
    resolution=1e-3,
    id="bce-etf-condition",
    title="Binary cross-entropy with a penalised bias: an ETF only where the bias is cheap",
    statement="With n samples in every class and c = K √(n λ_W λ_H) < 1 and a bias with weight decay λ_b > 0 there "
    "are one s > 0 and β with σ(−x) + σ(y) = c and σ(−x) − (K − 1) σ(y) = K λ_b β, where x = (K − 1) s/K "
    "+ β and y = −s/K + β, and class means and classifiers form a simplex ETF if and only if λ_b |β| ≤ "
    "√(n λ_W λ_H); the logits are then s (I − 11ᵀ/K) and the bias β 1, and σ is the logistic function.",
    source="Li, Xiao, Shen 2025 (BCE with a penalised bias), as we state it; the condition is our own",
    scope=Scope(("bce",), ("bias-decay",), groups=(1, 1), dimension="K"),
    group=GROUP,
    papers=("li2025",),
    topic="bias",
    standing="corrected",
)


def bce_free_size(num_classes: int, c: float) -> float:
    """``s`` with a free bias."""
    k = num_classes
    return math.log((k - (k - 1) * c) * (k - c) / ((k - 1) * c * c)) if c < 1 else 0.0


def _bce_free(ctx: Context, formula: Callable[[int, float], float]) -> list[Comparison]:
    rows = []
    for k, c in ((2, 0.3), (3, 0.1), (4, 0.5), (6, 0.9), (5, 0.99), (3, 1.2)):
        s, m = logit_parts(_solved(ctx, k, c, "bce", "free", 3.0).logits)
        rows.append(seen_row(f"K={k}, c={c}: s", formula(k, c), s))
        rows.append(seen_row(f"K={k}, c={c}: m", 0.0, m))
    return rows


BCE_FREE = stated(
    bce_free_size,
    _bce_free,
    "bce-balanced",
    ("free",),
    {
        "BCE, free bias: the size of cross-entropy": lambda k, c: etf_size(k, c, 0.0),
        "BCE, free bias: without K − 1": lambda k, c: bce_free_size(k, c) + math.log(k - 1) if c < 1 else 0.0,
        "BCE, free bias: (K − c)²": lambda k, c: math.log((k - c) ** 2 / ((k - 1) * c * c)) if c < 1 else 0.0,
        "BCE, free bias: half of it": lambda k, c: bce_free_size(k, c) / 2,
    },
    summary="the logits at 6 optima, one with c > 1",
    resolution=1e-4,
    id="bce-free-bias",
    title="Binary cross-entropy with a free bias is the simplex ETF, in closed form",
    statement="With n samples in every class and c = K √(n λ_W λ_H) and a free bias the optimal logits without "
    "the bias are s (I − 11ᵀ/K), e^s = (K − c) (K − c (K − 1))/(c² (K − 1)), if c < 1, and zero if c ≥ 1.",
    source="Li, Xiao, Shen 2025 (BCE), as we state it; the closed form is our own",
    scope=BCE_BIAS.scope,
    group=GROUP,
    papers=("li2025",),
    topic="bias",
    standing="new",
    core=False,
)

#: Least c with an ETF at K = 3.
THREE = 3 * (2 - math.sqrt(2)) / 4


def bce_plain_etf(num_classes: int, c: float) -> bool:
    """Whether binary cross-entropy without a bias has a simplex ETF at ``c < 1``."""
    return num_classes == 2 or (num_classes == 3 and c >= THREE)


def _bce_plain(ctx: Context, formula: Callable[[int, float], bool]) -> list[Comparison]:
    rows = []
    cases = [(3, THREE * (1 + d)) for d in (1e-2, -1e-2, 5e-4, -5e-4)]
    for k, c in [*cases, (3, 0.1), (3, 0.8), (2, 0.1), (2, 0.7), (4, 0.1), (4, 0.9), (6, 0.6), (10, 0.5)]:
        s, m = logit_parts(_solved(ctx, k, c, "bce", None).logits)
        seen = 1.0 if abs(m) < 1e-5 * max(1.0, s) else 2.0
        rows.append(seen_row(f"K={k}, c={c:.6g} (1 ETF, 2 not)", 1.0 if formula(k, c) else 2.0, seen))
    return rows


BCE_PLAIN = stated(
    bce_plain_etf,
    _bce_plain,
    "bce-balanced",
    ("none",),
    {
        "BCE, no bias: an ETF always": lambda k, c: True,
        "BCE, no bias: K = 3 always": lambda k, c: k <= 3,
        "BCE, no bias: K = 3 at large margins": lambda k, c: k == 2 or (k == 3 and c <= THREE),
        "BCE, no bias: K = 3 from c = 1/2 on": lambda k, c: k == 2 or (k == 3 and c >= 0.5),
        "BCE, no bias: K = 4 as well": lambda k, c: bce_plain_etf(min(k, 3), c),
    },
    summary="ETF or not at 12 optima, K = 2 to 10, and at relative distances to 5·10⁻⁴ from the switch at K = 3",
    off_by=lambda x: lambda k, c: k == 2 or (k == 3 and c >= THREE * (1 + x)),
    resolution=1e-3,
    id="bce-no-bias-etf",
    title="Binary cross-entropy without a bias: no simplex ETF from four classes on",
    statement="With n samples in every class and c = K √(n λ_W λ_H) < 1 and no bias class means and classifiers "
    "form a simplex ETF for K = 2, for K = 3 if and only if c ≥ 3/2 − 3 √(2)/4, and for no K ≥ 4.",
    source="our own; Li, Xiao, Shen 2025 have a bias",
    scope=Scope(("bce",), ("weight-decay",), groups=(1, 1), dimension="K"),
    group=GROUP,
    papers=("li2025",),
    topic="losses",
    standing="new",
)


def bce_zero_from(num_classes: int) -> float:
    """Least c at which the optimum is zero, no bias."""
    return max(1.0, (num_classes - 2) / 2)


def _bce_zero(ctx: Context, formula: Callable[[int], float]) -> list[Comparison]:
    rows = []
    for k in (2, 4, 5, 8):
        for distance in (1e-2, -1e-2, 5e-4, -5e-4):
            c = bce_zero_from(k) * (1 + distance)
            size = float(np.abs(_solved(ctx, k, c, "bce", None).logits).max())
            claimed = 1.0 if c >= formula(k) else 2.0
            rows.append(seen_row(f"K={k}, c={c:.5g} (1 zero, 2 not)", claimed, 1.0 if size < 1e-6 else 2.0))
    return rows


BCE_ZERO = stated(
    bce_zero_from,
    _bce_zero,
    "bce-balanced",
    ("zero",),
    {
        "BCE, zero: from c = 1 on": lambda k: 1.0,
        "BCE, zero: from (K − 1)/2 on": lambda k: max(1.0, (k - 1) / 2),
        "BCE, zero: from K/2 on": lambda k: max(1.0, k / 2),
        "BCE, zero: the smaller of the two": lambda k: min(1.0, (k - 2) / 2),
    },
    summary="zero or not at 16 optima, at relative distances to 5·10⁻⁴ on both sides",
    resolution=1e-3,
    id="bce-zero-threshold",
    title="Binary cross-entropy without a bias: all classes merge long before the optimum is zero",
    statement="With n samples in every class and c = K √(n λ_W λ_H) and no bias the optimum is zero if and only if "
    "c ≥ 1 and c ≥ K/2 − 1; for 1 ≤ c < K/2 − 1 all class means coincide, and so do all classifiers, "
    "without being zero.",
    source="our own",
    scope=BCE_PLAIN.scope,
    group=GROUP,
    papers=("li2025",),
    topic="losses",
    standing="new",
    core=False,
)

CLAIMS = (
    SMOOTHING,
    MINIMUM,
    NORMS,
    CONDITIONING,
    MSE_SWITCH,
    MSE_BIAS,
    BCE_BIAS,
    BCE_FREE,
    BCE_PLAIN,
    BCE_ZERO,
)
