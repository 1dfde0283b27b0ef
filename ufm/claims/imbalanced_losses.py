"""Minority collapse under other losses, weights, scales, shifts and biases, and what re-weighting restores."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from ufm.architectures import LayerPeeled, UnconstrainedFeatures
from ufm.certificates import CertificationError, certify_collapse
from ufm.claims._model import Claim, Context, Evidence, Scope, Status, combine
from ufm.claims._tools import Comparison, compare, enclose, evidence, extrapolated, keep, symbolic
from ufm.geometry import group_scales
from ufm.labels import ClassPrior
from ufm.losses import CrossEntropy, Loss, get_loss
from ufm.solvers import solve
from ufm.thresholds import collapse_threshold

__all__ = ["CLAIMS", "Setting", "threshold_claim"]

GROUP = "Minority collapse under other losses"
Array = NDArray[np.float64]

#: Relative distances from a threshold, on both of its sides.
NEAR = tuple(sign * size for size in (1e-2, 1e-4, 1e-6) for sign in (1, -1))

#: Samples of a minority class at the claimed threshold.
AT = 20.0


@dataclass(frozen=True)
class Setting:
    """A loss and bias, with counts of other classes, and the numbers that a threshold may depend on.

    Attributes:
        others: counts of the classes outside of the minority.
        minority: K_B.
        bias: as in :func:`ufm.solve`.
        loss: a name, or None for cross-entropy with the numbers below.
        smoothing: label smoothing a.
        weight, scale, shift: w_B, Delta_B and iota_B; those of all other classes are 1, 1 and 0.
    """

    others: tuple[float, ...] = (100.0, 100.0)
    minority: int = 2
    bias: str | float | None = None
    loss: str | None = None
    smoothing: float = 0.0
    weight: float = 1.0
    scale: float = 1.0
    shift: float = 0.0

    @property
    def classes(self) -> list[int]:
        """Indices of the minority."""
        return list(range(len(self.others), len(self.others) + self.minority))

    def built(self) -> str | Loss:
        """The loss."""
        if self.loss is not None:
            return self.loss
        others = len(self.others)
        numbers: dict[str, Any] = {
            name: (neutral,) * others + (value,) * self.minority
            for name, neutral, value in (
                ("weights", 1.0, self.weight),
                ("scales", 1.0, self.scale),
                ("shifts", 0.0, self.shift),
            )
            if value != neutral
        }
        return CrossEntropy(smoothing=self.smoothing, **numbers)

    def prior(self, count: float) -> ClassPrior:
        """Minority classes with that many samples; the first class makes up for what they give."""
        first = self.others[0] + self.minority * (AT - count)
        return ClassPrior([first, *self.others[1:], *[count] * self.minority])

    def label(self) -> str:
        """What is set, in words."""
        parts = [f"{name}={value!r}" for name, value in vars(self).items() if value != getattr(Setting(), name)]
        return ", ".join(parts) or "plain cross-entropy"


def threshold_claim(
    part: str,
    settings: Sequence[Setting],
    rule: Callable[[Setting], float],
    *,
    false: bool = False,
    factor: float = 1.0,
    **fields: Any,
) -> Claim:
    """``rule(setting)^2 n_B <= N^2 lW lH`` on the settings; ``part`` of theorem universal-collapse says so for all.

    Args:
        part: key of its statement.
        settings: where it is tried.
        rule: the claimed kappa.
        false: whether the rule is a false one, which no theorem proves.
        factor: multiplies the claimed number of samples (for false variants).
        **fields: of the claim.
    """

    def check(ctx: Context) -> Evidence:
        found: list[dict[str, Any]] = []
        for number, setting in enumerate(settings):
            samples = sum(setting.others) + setting.minority * AT
            strength = rule(setting) * math.sqrt(AT / factor) / samples
            for distance in NEAR:
                name = f"{part}-{number}-{distance:g}"
                collapsed = _collapsed(setting, strength, AT * (1 - distance), ctx, name, distance)
                found.append({"setting": setting.label(), "distance": distance, "collapsed": collapsed})
        statuses = [
            Status.inconclusive
            if row["collapsed"] is None
            else Status.certified
            if row["collapsed"] is (row["distance"] > 0)
            else Status.refuted
            for row in found
        ]
        return evidence(
            f"certified collapsed just below the threshold and not above, at relative distances 10⁻² to 10⁻⁶, on {len(found)} "
            f"instances of {len(settings)} settings; the solver sees the same at 10⁻²",
            proofs=[] if false or factor != 1 else [symbolic("universal-collapse", part)],
            numeric=combine(statuses),
            established_by=(f"certificates of collapse on {len(found)} instances",),
            details={"instances": found},
        )

    return Claim(check=check, group=GROUP, topic="losses", **fields)


def _collapsed(
    setting: Setting, strength: float, count: float, ctx: Context, name: str, distance: float
) -> bool | None:
    """Whether the minority is collapsed, certified; None if the K x K solver, which knows no groups, sees otherwise."""
    model, prior, loss = UnconstrainedFeatures(strength, strength), setting.prior(count), setting.built()
    try:
        certificate = keep(ctx, f"collapse-{name}", certify_collapse(model, prior, setting.classes, loss, setting.bias))
    except CertificationError:
        return None
    collapsed: bool = certificate.claim["statement"]["collapsed"]
    if abs(distance) < 1e-2:
        return collapsed
    found = ctx.once(f"solved {setting!r} {strength!r} {count!r}", lambda: solve(model, prior, loss, bias=setting.bias))
    scale = group_scales(found.logits, [tuple(setting.classes)])[0]
    agrees = found.is_global is True and scale is not None and (scale <= 1e-7) is collapsed
    return collapsed if agrees else None


BCE = (Setting(loss="bce"), Setting((90.0, 60.0, 40.0), 3, loss="bce"))
SMOOTHED = (
    Setting(smoothing=0.1),
    Setting(smoothing=0.4),
    Setting((150.0,), 3, smoothing=0.2),
    Setting((90.0, 60.0, 40.0), 2, smoothing=0.3),
)
WEIGHTED = (
    Setting(weight=3.0, scale=0.5),
    Setting(weight=0.4),
    Setting((150.0,), 3, scale=2.0),
    Setting((90.0, 60.0, 40.0), 2, weight=2.0, scale=1.5),
)
SHIFTED = (Setting(shift=-2.0), Setting(shift=0.75), Setting((90.0, 60.0, 40.0), 3, shift=-1.5))
BIASED = tuple(
    Setting(others, minority, bias=bias, loss=loss)
    for others, minority, bias, loss in (
        ((100.0, 100.0), 2, "free", "ce"),
        ((90.0, 60.0, 40.0), 2, 0.05, "ce"),
        ((150.0,), 3, "free", "bce"),
        ((100.0, 100.0), 2, 0.02, "bce"),
        ((90.0, 60.0, 40.0), 2, "free", "mse"),
    )
)


def _one(_: Setting) -> float:
    return 1.0


def _bce(rule: Callable[[Setting], float] = _one, **how: Any) -> Claim:
    return threshold_claim(
        "bce",
        BCE,
        rule,
        **how,
        id="bce-collapse-threshold",
        title="Binary cross-entropy collapses the minority where cross-entropy does",
        statement="Under weight decay and binary cross-entropy the classifiers of a group of K_b ≥ 2 classes with n_b "
        "samples each, N in all, coincide, and so do its class means, if and only if n_b ≤ λ_H λ_W N².",
        source="The collapse criterion of Hong & Ling 2023 for cross-entropy; binary cross-entropy: derived here",
        scope=Scope(("bce",), ("weight-decay",), minority=2, dimension="K"),
        papers=("hong2023", "li2025"),
    )


def _smoothing(rule: Callable[[Setting], float] = lambda s: 1 - s.smoothing, **how: Any) -> Claim:
    return threshold_claim(
        "smoothing",
        SMOOTHED,
        rule,
        **how,
        id="smoothing-collapse-threshold",
        title="Label smoothing collapses the minority at more samples, by 1/(1 − a)²",
        statement="Under weight decay and cross-entropy with label smoothing 0 ≤ a < 1 the classifiers of a group of K_b ≥ "
        "2 classes with n_b samples each, N in all, coincide, and so do its class means, if and only if n_b (1 − a)² ≤ λ_H "
        "λ_W N².",
        source="Derived here; Guo et al. 2024 for label smoothing under balance",
        scope=Scope(("smoothed-ce",), ("weight-decay",), minority=2, dimension="K"),
        papers=("guo2024",),
    )


def _weights(rule: Callable[[Setting], float] = lambda s: s.weight * s.scale, **how: Any) -> Claim:
    return threshold_claim(
        "weights",
        WEIGHTED,
        rule,
        **how,
        id="weights-scales-collapse-threshold",
        title="Weights and scales move the threshold of collapse, by their squares",
        statement="Under weight decay and cross-entropy with weights, scales and shifts that are equal on a group of K_b ≥ 2 "
        "classes with n_b samples each, N in all, w_b > 0 and Δ_b > 0, the classifiers of the group coincide, and "
        "so do its class means, if and only if n_b Δ_b² w_b² ≤ λ_H λ_W N².",
        source="Behnia et al. 2023 for λ → 0, where weights do not matter; derived here for λ > 0, where they do",
        scope=Scope(("weighted-ce",), ("weight-decay",), minority=2, dimension="K"),
        papers=("behnia2023", "kini2021"),
        standing="sharpened",
    )


def _shifts(rule: Callable[[Setting], float] = _one, **how: Any) -> Claim:
    return threshold_claim(
        "shifts",
        SHIFTED,
        rule,
        **how,
        id="shifts-leave-collapse-threshold",
        title="Logit adjustment leaves the threshold of collapse where it is",
        statement="Shifts of the logits that are equal on the group do not enter: under weight decay and cross-entropy with "
        "them, without weights and scales, the classifiers of a group of K_b ≥ 2 classes with n_b samples each, N in all, coincide, and so do "
        "its class means, if and only if n_b ≤ λ_H λ_W N², whatever the shifts.",
        source="Derived here; Behnia et al. 2023 for λ → 0",
        scope=Scope(("weighted-ce",), ("weight-decay",), minority=2, dimension="K"),
        papers=("behnia2023",),
    )


def _bias(rule: Callable[[Setting], float] = _one, **how: Any) -> Claim:
    return threshold_claim(
        "bias",
        BIASED,
        rule,
        **how,
        id="bias-leaves-collapse-threshold",
        title="A bias leaves the threshold of collapse where it is",
        statement="A bias, free or with weight decay of its own, does not enter: under weight decay and cross-entropy, "
        "binary cross-entropy or MSE with a bias the classifiers of a group of K_b ≥ 2 classes with n_b samples "
        "each, N in all, coincide, and so do its class means, if and only if n_b ≤ λ_H λ_W N².",
        source="Hong & Ling 2023, cross-entropy with a bias; binary cross-entropy and MSE: derived here",
        scope=Scope(("ce", "bce", "mse"), ("bias-decay",), minority=2, dimension="K"),
        papers=("hong2023",),
        standing="sharpened",
    )


BUDGETED = (
    Setting(smoothing=0.2),
    Setting(weight=2.0, shift=-1.0),
    Setting(scale=1.5, smoothing=0.1),
    Setting(loss="bce"),
    Setting(loss="mse"),
)


def _edge(model: LayerPeeled, loss: str | Loss) -> float:
    return collapse_threshold(model, 2, 2, loss=loss).ratio


def multiplier_claim(rule: Callable[[Setting], float] | None = None, factor: float = 1.0) -> Claim:
    """Budgets: collapsed iff ``pi_b kappa <= mu`` with ``kappa = rule(setting)``; another rule or factor is false."""
    kappa = rule or (lambda s: s.weight * s.scale * (1 - s.smoothing))

    def check(ctx: Context) -> Evidence:
        model, rows, agrees = LayerPeeled(1.0, 0.2), [], True
        for setting in BUDGETED:
            loss = setting.built()
            edge = ctx.once(f"edge {setting!r}", partial(_edge, model, loss))
            for distance in (2e-2, 2e-4, -2e-4, -2e-2):
                prior = ClassPrior.step(2, 2, 1 + (edge - 1) * (1 + distance))
                found = ctx.once(
                    f"budgets {setting!r} {distance}", partial(solve, model, prior, loss, method="nuclear")
                )
                scale = group_scales(found.logits, [(2, 3)])[0]
                claimed = factor * float(prior.probabilities[-1]) * kappa(setting) <= found.multiplier
                agrees = agrees and scale is not None and (scale <= 1e-6) is bool(claimed)
                rows.append(
                    {"setting": setting.label(), "distance": distance, "s_B": scale, "multiplier": found.multiplier}
                )
        return evidence(
            f"the K × K solver's s_B is 0 exactly where π_B κ ≤ μ, on {len(rows)} instances within 2·10⁻² to 2·10⁻⁴ of a threshold",
            proofs=[] if rule or factor != 1 else [symbolic("universal-collapse", "budgets")],
            numeric=Status.supported if agrees else Status.inconclusive,
            details={"instances": rows},
        )

    return Claim(
        id="collapse-criterion-any-loss",
        title="Budgets: a group is collapsed exactly when π_b κ_b ≤ μ, for cross-entropy of any kind, binary cross-entropy and MSE",
        statement="At an optimum under budgets with multiplier μ > 0 of |Z|_* and cross-entropy with label smoothing 0 ≤ a "
        "< 1 and weights w_b > 0, scales Δ_b > 0 and shifts that are equal on a group of K_b ≥ 2 classes, the "
        "classifiers of the group coincide, and so do its class means, if and only if Δ_b π_b w_b (1 − a) ≤ μ; "
        "under binary cross-entropy or MSE if and only if π_b ≤ μ.",
        source="Derived here from the collapse criterion under cross-entropy",
        check=check,
        group=GROUP,
        scope=Scope(("ce", "smoothed-ce", "weighted-ce", "bce", "mse"), ("layer-peeled",), minority=2, dimension="K"),
        papers=("fang2021", "behnia2023"),
        topic="minority-collapse",
        core=False,
    )


#: Counts, and loss parameters there.
LIMITS_AT = (9, 4, 1)
LIMITS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("weights", {"weights": (1.0, 3.0, 0.2)}),
    ("shifts", {"shifts": (0.5, -1.0, 2.0)}),
    ("scales", {"scales": (1.0, 1.5, 0.6)}),
)


def limit_claim(follows: Callable[[str], bool] = lambda name: name == "scales", off: float = 0.0) -> Claim:
    """Directions as lam -> 0 follow scales, and neither weights nor shifts; another rule, or a target off, is false."""
    said = {name: "(" + ", ".join(f"{x:g}" for x in numbers[name]) + ")" for name, numbers in LIMITS}
    said = {name: numbers.replace("-", "−") for name, numbers in said.items()}

    def check(ctx: Context) -> Evidence:
        prior, rows, worst, closed = ClassPrior(LIMITS_AT), [], 0.0, True
        for name, numbers in LIMITS:
            delta = np.abs(next(iter(numbers.values()))) if follows(name) else np.ones(3)
            target = (np.eye(3) - np.outer(1 / delta, 1 / delta) / (delta**-2.0).sum()) / delta
            target = target / np.linalg.norm(target) + off * np.eye(3)
            ends = []
            for exponent in (6, 8, 10, 12, 14):
                lam = 10.0**-exponent
                key = f"limit {name} {exponent}"
                model, loss = UnconstrainedFeatures(lam, lam), CrossEntropy(**numbers)
                found = ctx.once(key, partial(solve, model, prior, loss))
                closed = closed and found.is_global is True
                ends.append((exponent, found.logits / np.linalg.norm(found.logits) - target))
            # what is left is a power series in 1/log(1/lam)
            error = float(np.linalg.norm(extrapolated([end for end, _ in ends], [left for _, left in ends])))
            rows.append({"parameters": name, "error": error})
            worst = max(worst, error)
        return evidence(
            f"directions extrapolated from five λ = 10⁻⁶ to 10⁻¹⁴ agree with the limits within {worst:.0e}",
            numeric=Status.supported if worst <= 2e-4 and closed else Status.inconclusive,
            established_by=("optima at a closed duality gap",),
            details={"limits": rows},
        )

    return Claim(
        id="limit-follows-scales-alone",
        title="As λ → 0 scales tilt the geometry, weights and shifts do not",
        statement=f"At n = {LIMITS_AT} under weight decay and cross-entropy the direction of the optimal logits tends to that of "
        f"(I − v vᵀ/|v|²) diag(1/δ), v = 1/δ, as λ → 0 with the scales δ = {said['scales']}, and to that of I − 11ᵀ/K, as without, with "
        f"the weights {said['weights']} or the shifts {said['shifts']}.",
        source="Behnia et al. 2023, as we state it",
        check=check,
        group=GROUP,
        scope=Scope(("weighted-ce",), ("weight-decay",), classes=(3, 3), dimension="K"),
        papers=("behnia2023", "kini2021"),
        topic="losses",
        standing="confirmed",
        core=False,
    )


# the convex program --------------------------------------------------------------------------------------------------


def _descended(prior: ClassPrior, loss: Loss, strengths: tuple[float, float, float], seed: int) -> tuple[float, float]:
    """Least objective that a descent over W, a feature of each sample and a bias finds, and the spread within classes."""
    k, n = prior.num_classes, int(prior.num_samples)
    labels = np.repeat(np.arange(k), prior.counts.astype(int))
    targets, (l_w, l_h, l_b) = np.eye(k)[:, labels], strengths
    cut = k * k, k * k + k * n

    def objective(x: Array) -> tuple[float, Array]:
        w, h, b = x[: cut[0]].reshape(k, k), x[cut[0] : cut[1]].reshape(k, n), x[cut[1] :]
        z = w @ h + b[:, None]
        slopes = loss.gradients(z, targets) / n
        penalty = (l_w * (w**2).sum() + l_h * (h**2).sum() + l_b * (b**2).sum()) / 2
        parts = (slopes @ h.T + l_w * w, w.T @ slopes + l_h * h, slopes.sum(axis=1) + l_b * b)
        return float(loss.values(z, targets).mean() + penalty), np.concatenate([part.ravel() for part in parts])

    start = np.random.default_rng(seed).standard_normal(cut[1] + k)
    found = minimize(
        objective, start, jac=True, method="L-BFGS-B", options={"maxiter": 5000, "ftol": 1e-15, "gtol": 1e-9}
    )
    h = found.x[cut[0] : cut[1]].reshape(k, n)
    spread = max(
        float(np.abs(h[:, labels == c] - h[:, labels == c].mean(axis=1, keepdims=True)).max()) for c in range(k)
    )
    return float(found.fun), spread


def program_claim(factor: float = 1.0, power: float = 0.5) -> Claim:
    """Factors with a bias against the convex program; ``lam`` times a factor, or another power, is a false variant."""

    def check(ctx: Context) -> Evidence:
        rows: list[Comparison] = []
        spread = 0.0
        for counts, bias in (((6.0, 3.0, 1.0), "free"), ((4.0, 4.0, 2.0), 0.1), ((5.0, 2.0), 0.02)):
            prior, l_w, l_h = ClassPrior(counts), 0.05, 0.02
            lam = factor * (l_w * l_h) ** power
            for name in ("ce", "bce", "mse"):
                loss = get_loss(name)
                strengths = (l_w, l_h, bias if isinstance(bias, float) else 0.0)
                key = f"program {counts} {name}"
                value, wide = ctx.once(key, partial(_descended, prior, loss, strengths, ctx.seed))
                convex = solve(UnconstrainedFeatures(lam, lam), prior, loss, bias=bias)
                label = f"{name}, counts {counts}, bias {bias}"
                kept = enclose(convex, ctx, f"program-{len(rows)}")
                rows.append(compare(label, value, kept, "descent over all factors", relative=1e-7))
                spread = max(spread, wide)
        return evidence(
            f"a descent over factors, one feature a sample, ends in the certified value of the convex program on {len(rows)} instances; "
            f"features of a class differ by ≤ {spread:.0e}",
            proofs=[symbolic("nuclear-norm-factorisation", "penalty"), symbolic("within-class-collapse")]
            if (factor, power) == (1.0, 0.5)
            else [],
            comparisons=rows,
            numeric=Status.supported if spread <= 1e-2 else Status.inconclusive,
            details={"largest spread": spread},
        )

    return Claim(
        id="bias-convex-program",
        title="With a bias, weight decay is a convex program in the logits and the bias, and classes collapse onto their means",
        statement="The least (λ_W/2)|W|_F² + (λ_H/2)|H|_F² over W H = Z is √λ_H √λ_W |Z|_*."
        " "
        "Replacing the n features of a class, of sum S_1, by S_1/n does not raise the risk and lowers Σ|h|² by "
        "Σ|h − S_1/n|². So the features of a class coincide at every minimiser.",
        source="Hong & Ling 2023, Theorem 3.1, as we state it",
        check=check,
        group=GROUP,
        scope=Scope(("ce", "bce", "mse"), ("bias-decay",), dimension="K"),
        papers=("hong2023",),
        topic="bias",
        standing="confirmed",
        core=False,
    )


# single instances ---------------------------------------------------------------------------------------------------

#: Counts, and lW = lH, at which the minority is weighted otherwise.
REWEIGHTED_AT = ((100, 100, 10, 10), Fraction(1, 64))

#: What that does: whether the minority is collapsed.
REWEIGHTED: tuple[tuple[str, Setting, bool], ...] = (
    ("no weights", Setting(), True),
    ("weight 3/2 of the minority's samples", Setting(weight=1.5), False),
    ("scale 3/2 of the minority's logits", Setting(scale=1.5), False),
    ("weight 1/2 beside scale 2", Setting(weight=0.5, scale=2.0), True),
    ("shift −3 of the minority's logits", Setting(shift=-3.0), True),
)


def _weighed(setting: Setting) -> str:
    """What is done to the minority, in words."""
    weight, scale = (str(Fraction(x)) for x in (setting.weight, setting.scale))
    if setting.shift:
        return f"with the shift {setting.shift:g}".replace("-", "−")
    if setting.weight == 1:
        return f"with scale {scale} on their logits"
    return f"with weight {weight} on their samples" if setting.scale == 1 else f"with weight {weight} and scale {scale}"


def reweighting_claim(expected: Sequence[bool] | None = None) -> Claim:
    """Weights are no matter of λ → 0 alone; ``expected`` replaces what is collapsed (for false variants)."""
    counts, decay = REWEIGHTED_AT
    claimed = [row[2] for row in REWEIGHTED] if expected is None else list(expected)
    said = [f"{_weighed(row[1])} they are{'' if at else ' not'}" for row, at in zip(REWEIGHTED, claimed, strict=True)]

    def check(ctx: Context) -> Evidence:
        prior, model = ClassPrior(counts), UnconstrainedFeatures(float(decay), float(decay))
        found = []
        for number, (_, setting, _) in enumerate(REWEIGHTED):
            certificate = certify_collapse(model, prior, [2, 3], setting.built())
            keep(ctx, f"reweighting-{number}", certificate)
            found.append(bool(certificate.check()) and certificate.claim["statement"]["collapsed"])
        status = Status.certified if found == claimed else Status.refuted
        return evidence(
            f"{sum(found)} of {len(found)} collapsed, each certified",
            numeric=status,
            universal=False,
            established_by=(f"certificates of collapse on {len(found)} instances",),
            details={"collapsed": dict(zip((row[0] for row in REWEIGHTED), found, strict=True))},
        )

    return Claim(
        id="weights-matter-under-decay",
        title="At λ > 0 weights do matter to the geometry",
        statement=f"At K = {len(counts)}, n = {counts}, λ_W = λ_H = {decay} under cross-entropy the two minority classes are "
        f"{'' if claimed[0] else 'not '}collapsed; {', '.join(said[1:-1])}, and {said[-1]}: that weights do not change the geometry holds "
        "in the limit λ → 0 alone.",
        source="Behnia et al. 2023 and Kini et al. 2021 (weights do not matter as λ → 0), as we state it",
        check=check,
        group=GROUP,
        scope=Scope(
            ("weighted-ce",), ("weight-decay",), classes=(4, 4), groups=(2, 2), majority=2, minority=2, dimension="K"
        ),
        papers=("behnia2023", "kini2021"),
        topic="losses",
        standing="corrected",
        core=False,
    )


#: Size of both groups, and both budgets, where a shift decides on collapse.
BUDGETS_AT = (2, 1.0)


def budgets_claim(shifts: tuple[float, float] = (0.0, -1.0), ratio: float = 4.0) -> Claim:
    """Budgets: one shift collapses the minority at a ratio at which the other does not (others for false variants)."""
    size, budget = BUDGETS_AT

    def check(ctx: Context) -> Evidence:
        prior, model = ClassPrior.step(size, size, ratio), LayerPeeled(budget, budget)
        found = []
        for number, shift in enumerate(shifts):
            certificate = certify_collapse(model, prior, prior.groups[-1].classes, Setting(shift=shift).built())
            keep(ctx, f"budgets-shift-{number}", certificate)
            found.append(bool(certificate.check()) and certificate.claim["statement"]["collapsed"])
        return evidence(
            f"shift {shifts[0]:g}: collapsed {found[0]}; shift {shifts[1]:g}: collapsed {found[1]}; both certified",
            numeric=Status.certified if found == [True, False] else Status.refuted,
            universal=False,
            established_by=("certificates of collapse on 2 instances",),
        )

    return Claim(
        id="budgets-shifts-move-collapse",
        title="Under budgets logit adjustment does move the threshold",
        statement=f"At K_A = K_B = {size}, R = {ratio:g}, E_W = E_H = {budget:g} under cross-entropy the minority is collapsed, and with the shift "
        f"{shifts[1]:g} of its logits it is not: unlike under weight decay, where the shift does not enter.",
        source="Derived here: the multiplier of a budget depends on the shifts",
        check=check,
        group=GROUP,
        scope=Scope(
            ("weighted-ce",), ("layer-peeled",), classes=(4, 4), groups=(2, 2), majority=2, minority=2, dimension="K"
        ),
        papers=("behnia2023", "fang2021"),
        topic="losses",
        core=False,
    )


def tail_claim(order: Callable[[float, float], bool] = lambda n, bound: n <= bound) -> Claim:
    """Groups of a long tail merge one after the other; another rule for when is a false variant."""
    counts, strengths = (60.0, 30.0, 14.0, 6.0), (0.008, 0.014, 0.020, 0.030)
    samples = 2 * sum(counts)
    amounts = ("none", "the rarest", "the two rarest", "the three rarest", "all")
    bounds = [round((samples * lam) ** 2, 9) for lam in strengths]
    merged = [amounts[sum(order(n, bound) for n in counts)] for bound in bounds]

    def check(ctx: Context) -> Evidence:
        prior = ClassPrior([n for n in counts for _ in range(2)])
        rows: list[dict[str, Any]] = []
        agrees = True
        for lam in strengths:
            model = UnconstrainedFeatures(lam, lam)
            found = []
            for group, n in enumerate(counts):
                certificate = certify_collapse(model, prior, [2 * group, 2 * group + 1])
                keep(ctx, f"long-tail-{lam:g}-{group}", certificate)
                found.append(bool(certificate.check()) and certificate.claim["statement"]["collapsed"])
                agrees = agrees and found[-1] is order(n, (samples * lam) ** 2)
            rows.append({"lambda": lam, "collapsed": found})
        return evidence(
            f"{sum(sum(row['collapsed']) for row in rows)} of {len(rows) * len(counts)} groups collapsed, each certified either way",
            numeric=Status.certified if agrees else Status.refuted,
            universal=False,
            established_by=(f"certificates of collapse on {len(rows) * len(counts)} instances",),
            details={"groups": rows},
        )

    return Claim(
        id="long-tail-groups-merge-in-order",
        title="A long tail: groups merge one after the other, the rarest first",
        statement=f"With two classes each of {', '.join(f'{n:g}' for n in counts[:-1])} and {counts[-1]:g} samples, λ_W = λ_H = λ, under "
        f"cross-entropy those two are collapsed whose count is at most ({samples:g} λ)², and no others: at λ = {strengths[0]:.3f} {merged[0]} "
        f"(bound {bounds[0]:g}), "
        + ", ".join(
            f"at {lam:.3f} {who} ({to:g})" for lam, who, to in zip(strengths[1:], merged[1:], bounds[1:], strict=True)
        )
        + ".",
        source="Derived here; Hong & Ling 2023 for two groups",
        check=check,
        group=GROUP,
        scope=Scope(("ce",), ("weight-decay",), classes=(8, 8), groups=(4, 4), minority=2, dimension="K"),
        papers=("hong2023",),
        topic="minority-collapse",
        core=False,
    )


# no logits at all ---------------------------------------------------------------------------------------------------

#: Counts and smoothing at which all logits vanish or not.
VANISHING = (((30.0, 12.0, 5.0), 0.0), ((20.0, 20.0, 3.0, 3.0), 0.2), ((40.0, 4.0, 4.0), 0.1), ((9.0, 7.0), 0.0))


def _top(counts: Sequence[float], smoothing: float) -> float:
    """``(1 - alpha)^2`` times the largest eigenvalue of ``D - sqrt(n) sqrt(n)^T/K``."""
    root = np.sqrt(np.asarray(counts))
    return (1 - smoothing) ** 2 * float(np.linalg.eigvalsh(np.diag(root**2) - np.outer(root, root) / len(root))[-1])


def _top_of_groups(counts: Sequence[float], smoothing: float) -> float:
    """The same in closed form, two groups, majority first."""
    n_a, n_b, k = counts[0], counts[-1], len(counts)
    lone = counts.count(n_a) == 1 and n_a != n_b
    return (1 - smoothing) ** 2 * ((n_b + (k - 1) * n_a) / k if lone else n_a)


def vanishing_claim(
    rule: Callable[[Sequence[float], float], float] | None = None, groups: bool = False, factor: float = 1.0
) -> Claim:
    """All logits vanish iff ``rule <= N^2 lW lH``; another rule or a factor is a false variant."""
    settings = VANISHING[1:] if groups else VANISHING
    claimed = rule or (_top_of_groups if groups else _top)

    def check(ctx: Context) -> Evidence:
        rows, agrees = [], True
        for counts, smoothing in settings:
            prior = ClassPrior(counts)
            edge = math.sqrt(factor * claimed(counts, smoothing)) / prior.num_samples
            for distance in (1e-2, 1e-4, -1e-4, -1e-2):
                lam = edge * (1 + distance)
                key = f"vanishing {counts} {smoothing} {lam!r}"
                model, loss = UnconstrainedFeatures(lam, lam), CrossEntropy(smoothing=smoothing)
                found = ctx.once(key, partial(solve, model, prior, loss))
                size = float(np.abs(found.logits).max())
                agrees = agrees and (size <= 1e-8) is (distance > 0) and found.is_global is True
                rows.append(
                    {"counts": list(counts), "smoothing": smoothing, "distance": distance, "largest logit": size}
                )
        return evidence(
            f"logits vanish just above the threshold in λ and not below, on {len(rows)} instances at relative distances 10⁻² and 10⁻⁴",
            proofs=[]
            if rule or factor != 1
            else [symbolic("vanishing-logits", *(("any", "groups") if groups else ("any",)))],
            numeric=Status.supported if agrees else Status.inconclusive,
            details={"instances": rows},
        )

    return Claim(
        id="vanishing-logits-two-groups" if groups else "vanishing-logits",
        title="Two groups: weight decay leaves nothing where the most frequent classes vanish"
        if groups
        else "When weight decay leaves no logits at all",
        statement="Under weight decay and cross-entropy with label smoothing 0 ≤ α < 1 all logits vanish at the optimum if "
        "and only if σ (1 − α)² ≤ λ_H λ_W N², σ the largest eigenvalue of diag(n) − √n √nᵀ/K. For two groups, n_A "
        "≥ n_B, σ = n_A if K_A ≥ 2, and σ = (n_B + n_A K_B)/(1 + K_B) if K_A = 1."
        if groups
        else "Under weight decay and cross-entropy with label smoothing 0 ≤ α < 1 all logits vanish at the optimum if "
        "and only if σ (1 − α)² ≤ λ_H λ_W N², σ the largest eigenvalue of diag(n) − √n √nᵀ/K.",
        source="Derived here",
        check=check,
        group=GROUP,
        scope=Scope(
            ("ce", "smoothed-ce"), ("weight-decay",), groups=(2, 2) if groups else (1, None), dimension="K - 1"
        ),
        papers=("dang2023", "hong2023"),
        topic="imbalance",
        core=False,
    )


def _tried(
    make: Callable[..., Claim], core: bool, rules: dict[str, Callable[[Setting], float]], unsaid: str = ""
) -> Claim:
    """The claim with false rules in its place, off by a factor, and without a hypothesis that it needs, ``unsaid``."""
    true = make()
    variants = {f"{true.id}: {name}": make(rule, false=True) for name, rule in rules.items()}
    if unsaid:
        variants[f"{true.id}: without {unsaid!r}"] = replace(true, statement=true.statement.replace(unsaid, ""))
    return replace(
        true,
        core=core,
        variants=variants,
        off_by=lambda x: make(factor=1 + x),
        resolution=1e-5,
    )


CLAIMS = (
    _tried(
        _bce,
        True,
        {
            "κ = 1/2": lambda s: 0.5,
            "κ = √2": lambda s: math.sqrt(2),
            "κ = 2": lambda s: 2.0,
        },
    ),
    _tried(
        _smoothing,
        True,
        {
            "no matter": lambda s: 1.0,
            "κ = √(1 − a)": lambda s: math.sqrt(1 - s.smoothing),
            "κ = (1 − a)²": lambda s: (1 - s.smoothing) ** 2,
            "κ = 1 + a": lambda s: 1 + s.smoothing,
        },
    ),
    _tried(
        _weights,
        True,
        {
            "weights do not matter": lambda s: s.scale,
            "scales do not matter": lambda s: s.weight,
            "scales squared": lambda s: s.weight * s.scale**2,
            "divided by the scale": lambda s: s.weight / s.scale,
        },
        unsaid=" and shifts",
    ),
    _tried(
        _shifts,
        False,
        {
            "κ = e^ι": lambda s: math.exp(s.shift),
            "κ = e^{−ι/2}": lambda s: math.exp(-s.shift / 2),
            "κ = 1 + ι²": lambda s: 1 + s.shift**2,
        },
        unsaid=", without weights and scales",
    ),
    _tried(
        _bias,
        False,
        {
            "κ = (K − 1)/K": lambda s: 1 - 1 / (len(s.others) + s.minority),
            "κ = 1/(1 + λ_b)": lambda s: 1 / (1 + (s.bias if isinstance(s.bias, float) else 0.1)),
            "κ = 1 + λ_b": lambda s: 1 + (s.bias if isinstance(s.bias, float) else 0.1),
        },
    ),
    replace(
        reweighting_claim(),
        variants={
            "weights do not matter": reweighting_claim([True, True, False, True, True]),
            "scales do not matter": reweighting_claim([True, False, True, True, True]),
            "shifts matter": reweighting_claim([True, False, False, True, False]),
            "scales alone count": reweighting_claim([True, False, False, False, True]),
        },
    ),
    replace(
        budgets_claim(),
        variants={
            "the shift the other way": budgets_claim((0.0, 1.0)),
            "no shift": budgets_claim((0.0, 0.0)),
            "at R = 3": budgets_claim(ratio=3.0),
            "at R = 6": budgets_claim(ratio=6.0),
        },
    ),
    replace(
        tail_claim(),
        variants={
            "long tail: the most frequent first": tail_claim(lambda n, bound: n >= bound),
            "long tail: all at once": tail_claim(lambda n, bound: bound >= 14.0),
            "long tail: bound halved": tail_claim(lambda n, bound: n <= bound / 2),
            "long tail: bound by the root": tail_claim(lambda n, bound: n <= math.sqrt(bound)),
        },
    ),
    replace(
        vanishing_claim(),
        variants={
            "vanishing: largest count": vanishing_claim(lambda n, a: (1 - a) ** 2 * max(n)),
            "vanishing: mean count": vanishing_claim(lambda n, a: (1 - a) ** 2 * sum(n) / len(n)),
            "vanishing: 1 − α": vanishing_claim(lambda n, a: _top(n, a) / (1 - a)),
        },
        off_by=lambda x: vanishing_claim(factor=1 + x),
        resolution=1e-3,
    ),
    replace(
        vanishing_claim(groups=True),
        variants={
            "vanishing, groups: always n_A": vanishing_claim(lambda n, a: (1 - a) ** 2 * n[0], True),
            "vanishing, groups: the mean": vanishing_claim(lambda n, a: (1 - a) ** 2 * (n[0] + n[-1]) / 2, True),
            "vanishing, groups: n_B": vanishing_claim(lambda n, a: (1 - a) ** 2 * n[-1], True),
        },
        off_by=lambda x: vanishing_claim(groups=True, factor=1 + x),
        resolution=1e-3,
    ),
    replace(
        multiplier_claim(),
        variants={
            "budgets: κ = 1": multiplier_claim(lambda s: 1.0),
            "budgets: smoothing does not matter": multiplier_claim(lambda s: s.weight * s.scale),
            "budgets: weights do not matter": multiplier_claim(lambda s: s.scale * (1 - s.smoothing)),
            "budgets: scales squared": multiplier_claim(lambda s: s.weight * s.scale**2 * (1 - s.smoothing)),
        },
        off_by=lambda x: multiplier_claim(factor=1 + x),
        resolution=1e-3,
    ),
    replace(
        limit_claim(),
        variants={
            "limit: weights tilt too": limit_claim(lambda name: name != "shifts"),
            "limit: shifts tilt too": limit_claim(lambda name: name != "weights"),
            "limit: nothing tilts": limit_claim(lambda name: False),
        },
        off_by=lambda x: limit_claim(off=x),
        resolution=1e-3,
    ),
    replace(
        program_claim(),
        variants={
            "program: strength λ_W λ_H": program_claim(power=1.0),
            "program: strength doubled": program_claim(2.0),
            "program: strength halved": program_claim(0.5),
        },
        off_by=lambda x: program_claim(1 + x),
        resolution=1e-4,
    ),
)
