"""Nonnegative (ReLU) features under imbalance: closed forms, who vanishes, and what a bias changes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ufm.architectures import LayerPeeled, UnconstrainedFeatures
from ufm.certificates import certify_collapse
from ufm.claims._model import Claim, Context, Evidence, Scope, Status, combine
from ufm.claims._tools import Comparison, compare, enclose, evidence, keep, symbolic
from ufm.labels import ClassPrior
from ufm.losses import CrossEntropy
from ufm.solvers import solve

__all__ = ["CLAIMS", "relu_sizes"]

GROUP = "Nonnegative features"
THEOREM = "nonnegative-closed-form"
Array = NDArray[np.float64]

#: Counts and N lam of the instances, on both sides of the thresholds of their classes.
INSTANCES = (((40.0, 20.0, 5.0, 1.0), 1.5), ((30.0, 3.0), 0.9), ((25.0, 25.0, 9.0, 4.0, 4.0), 2.5))


def relu_sizes(counts: Iterable[float], n_lam: float, smoothing: float = 0.0, ratio: float | None = None) -> Array:
    """``a_k`` of ``e^a = max(1, K/(alpha + N lam r sqrt(1/n_k)) - K + 1)``, shape (K,), ``r = sqrt(K/(K-1))`` by default.

    >>> relu_sizes([8.0, 1.0], 1.0).round(6).tolist()
    [1.098612, 0.0]
    """
    n = np.asarray(list(counts), dtype=float)
    k = len(n)
    r = math.sqrt(k / (k - 1)) if ratio is None else ratio
    return np.log(np.maximum(1.0, k / (smoothing + n_lam * r / np.sqrt(n)) - k + 1))


def _risk(sizes: Array, prior: ClassPrior, smoothing: float = 0.0) -> float:
    """Smoothed cross-entropy of ``z_k = a_k (e_k - 1/K)``."""
    k = len(sizes)
    return float(prior.probabilities @ (np.log(np.exp(sizes) + k - 1) - (1 - smoothing + smoothing / k) * sizes))


def _features(model: UnconstrainedFeatures, prior: ClassPrior) -> Array:
    return solve(model, prior, method="factored").features


def _objective(sizes: Array, prior: ClassPrior, lam: float, smoothing: float = 0.0) -> float:
    """Risk and price ``lam sum_k sqrt(n_k) |z_k|`` of the separate classes."""
    k = len(sizes)
    return _risk(sizes, prior, smoothing) + lam * math.sqrt((k - 1) / k) * float(np.sqrt(prior.counts) @ sizes)


def _values(
    sizes: Callable[..., Array], smoothings: Iterable[float], ctx: Context, name: str
) -> tuple[list[Comparison], float]:
    """Values of the closed form against certificates, and the largest difference of logits from the factored solver's."""
    rows: list[Comparison] = []
    off = 0.0
    for smoothing in smoothings:
        for counts, n_lam in INSTANCES:
            prior = ClassPrior(counts)
            lam = n_lam / prior.num_samples
            found = sizes(counts, n_lam, smoothing)
            loss = CrossEntropy(smoothing=smoothing)
            model = UnconstrainedFeatures(lam, lam, features="nonnegative")
            solution = ctx.once(
                f"nonnegative {counts} {n_lam} {smoothing}", partial(solve, model, prior, loss, method="factored")
            )
            label = f"counts {counts}, Nλ = {n_lam:g}" + (f", α = {smoothing:g}" if smoothing else "")
            rows.append(
                compare(
                    label,
                    _objective(found, prior, lam, smoothing),
                    enclose(solution, ctx, f"nonnegative-{name}-{len(rows)}"),
                    "certificate",
                    relative=1e-8,
                )
            )
            logits = np.diag(found) - found[None, :] / len(found)
            off = max(off, float(np.abs(solution.logits - logits).max()))
    return rows, off


# weight decay -------------------------------------------------------------------------------------------------------


def form_claim(
    ratio: Callable[[int], float] | None = None, smoothings: tuple[float, ...] = (0.0,), power: float = 1.0
) -> Claim:
    """The closed form; ``ratio(K)`` in place of sqrt(K/(K-1)) and a power of the smoothing are false variants."""
    part = "smoothing" if any(smoothings) else "form"

    def sizes(counts: tuple[float, ...], n_lam: float, smoothing: float) -> Array:
        return relu_sizes(counts, n_lam, smoothing**power, ratio(len(counts)) if ratio else None)

    def check(ctx: Context) -> Evidence:
        rows, off = _values(sizes, smoothings, ctx, part)
        return evidence(
            f"values inside certified enclosures on {len(rows)} instances; the solver's logits differ by ≤ {off:.0e}",
            proofs=[] if ratio or power != 1 else [symbolic(THEOREM, part)],
            comparisons=rows,
            numeric=Status.supported if off <= 1e-8 else Status.inconclusive,
            details={"largest difference of logits": off},
        )

    smooth = part == "smoothing"
    return Claim(
        id="relu-smoothing-closed-form" if smooth else "relu-imbalanced-closed-form",
        title="ReLU features with label smoothing: classes vanish at more samples, by 1/(1 − α)²"
        if smooth
        else "ReLU features, any counts: the problem separates over classes",
        statement="Under weight decay, features H ≥ 0 and cross-entropy with label smoothing 0 ≤ α < 1 the optimal logits "
        "are z_k = a_k (e_k − 1/K), e^{a_k} = max(1, 1 + K/(α + N λ √K/(√n_k √(K − 1))) − K), λ = √(λ_W λ_H), and "
        "a class vanishes if and only if n_k (1 − α)² ≤ λ_H λ_W K N²/(K − 1)."
        if smooth
        else "Under weight decay, features H ≥ 0 and cross-entropy without bias the optimal logits are z_k = a_k (e_k "
        "− 1/K), e^{a_k} = max(1, 1 + √n_k √K √(K − 1)/(N λ) − K), λ = √(λ_W λ_H).",
        source="Derived here from Dang et al. 2024" if smooth else "Dang et al. 2024, as we state it",
        check=check,
        group=GROUP,
        scope=Scope(("smoothed-ce" if smooth else "ce",), ("nonnegative-decay",), dimension="K"),
        papers=("dang2024", "guo2024") if smooth else ("dang2024",),
        topic="nonnegative",
        standing="new" if smooth else "sharpened",
    )


def threshold_claim(
    bound: Callable[[int], float] = lambda k: k / (k - 1), factor: float = 1.0, true: bool = True
) -> Claim:
    """A class vanishes iff ``n_k <= bound(K) N^2 lW lH``; another bound or factor is a false variant."""

    def check(ctx: Context) -> Evidence:
        rows: list[dict[str, Any]] = []
        wrong = 0
        for others in ((40.0, 25.0, 10.0), (30.0,), (40.0, 10.0, 10.0, 20.0)):
            k, total = len(others) + 1, sum(others) + 4.0
            lam = math.sqrt(4.0 / (factor * bound(k))) / total
            for distance in (1e-2, 1e-4, -1e-4, -1e-2):
                prior = ClassPrior([others[0] + 4.0 * distance, *others[1:], 4.0 * (1 - distance)])
                model = UnconstrainedFeatures(lam, lam, features="nonnegative")
                size = solve(model, prior, method="factored").logits[-1, -1] * k / (k - 1)
                rows.append({"counts": prior.counts.tolist(), "distance": distance, "a": size})
                wrong += bool(abs(size) <= abs(distance) * 1e-3) is not (distance > 0)
        return evidence(
            f"the rarest class vanishes just below the threshold and not above, on {len(rows)} instances at relative distances "
            "10⁻² and 10⁻⁴",
            proofs=[symbolic(THEOREM, "threshold")] if true and factor == 1 else [],
            numeric=Status.inconclusive if wrong else Status.supported,
            details={"instances": rows},
        )

    return Claim(
        id="relu-vanishing-threshold",
        title="ReLU features: a class vanishes at K/(K − 1) times the samples at which classes merge without them",
        statement="Under weight decay, features H ≥ 0 and cross-entropy without bias a class vanishes, z_k = 0 and h_k = 0, "
        "if and only if n_k ≤ λ_H λ_W K N²/(K − 1).",
        source="Dang et al. 2024 (a threshold for each class), in closed form here",
        check=check,
        group=GROUP,
        scope=Scope(("ce",), ("nonnegative-decay",), dimension="K"),
        papers=("dang2024",),
        topic="nonnegative",
        standing="sharpened",
    )


def disjoint_claim(cosine: float = 0.0) -> Claim:
    """Features of different classes are orthogonal; another cosine is a false variant."""

    def check(ctx: Context) -> Evidence:
        worst, pairs = 0.0, 0
        for counts, n_lam in INSTANCES:
            prior = ClassPrior(counts)
            lam = n_lam / prior.num_samples
            model = UnconstrainedFeatures(lam, lam, features="nonnegative")
            features = ctx.once(f"features {counts}", partial(_features, model, prior))
            lengths = np.linalg.norm(features, axis=0)
            there = features[:, lengths > 1e-6] / lengths[lengths > 1e-6]
            gram = there.T @ there - cosine
            off = np.abs(gram[~np.eye(len(gram), dtype=bool)])
            worst, pairs = max(worst, float(off.max(initial=0.0))), pairs + len(off)
        return evidence(
            f"cosines between features of different classes are {cosine:g} within {worst:.0e} on {pairs} pairs",
            proofs=[] if cosine else [symbolic(THEOREM, "disjoint")],
            numeric=Status.supported if worst <= 1e-7 and pairs else Status.inconclusive,
            details={"largest difference": worst, "pairs": pairs},
        )

    return Claim(
        id="relu-disjoint-features",
        title="ReLU features: no two classes share a coordinate, so none merge before they vanish",
        statement="Under weight decay, features H ≥ 0 and cross-entropy without bias each coordinate of the optimal "
        "features is positive in one class at most: features of different classes are orthogonal, and no two "
        "classes share a direction.",
        source="Dang et al. 2024 (orthogonal features); that no two classes can share a direction: derived here",
        check=check,
        group=GROUP,
        scope=Scope(("ce",), ("nonnegative-decay",), dimension="K"),
        papers=("dang2024",),
        topic="nonnegative",
        standing="sharpened",
    )


def mse_claim(factor: float = 1.0, exponent: float = 0.5) -> Claim:
    """MSE: the logits without H >= 0; another factor or exponent is a false variant."""

    def check(ctx: Context) -> Evidence:
        rows: list[Comparison] = []
        for counts, n_lam in INSTANCES:
            prior = ClassPrior(counts)
            lam = n_lam / prior.num_samples
            z = np.maximum(0.0, 1 - factor * n_lam / prior.counts**exponent)
            value = 0.5 * float(prior.probabilities @ (z - 1) ** 2) + lam * float(np.sqrt(prior.counts) @ z)
            for features in ("nonnegative", "real"):
                model = UnconstrainedFeatures(lam, lam, features=features)
                found = ctx.once(f"relu mse {counts} {features}", partial(solve, model, prior, "mse"))
                off = float(np.abs(np.diag(z) - found.logits).max())
                certified = enclose(found, ctx, f"nonnegative-mse-{len(rows)}")
                row = compare(f"counts {counts}, Nλ = {n_lam:g}, {features}", value, certified, "certificate")
                rows.append(row if off <= 1e-8 else replace(row, status=Status.inconclusive))
        return evidence(
            f"one value, and one diagonal of logits, with H ≥ 0 and without on {len(rows)} certified instances",
            proofs=[symbolic(THEOREM, "mse")] if factor == 1 and exponent == 0.5 else [],
            comparisons=rows,
        )

    return Claim(
        id="relu-mse-costs-nothing",
        title="MSE: nonnegative features cost nothing, whatever the counts",
        statement="Under weight decay, features H ≥ 0 and MSE without bias the optimal logits are Z = diag(z_k), z_k = "
        "max(0, 1 − N λ/√n_k), λ = √(λ_W λ_H): those without H ≥ 0.",
        source="Derived here from the general orthogonal frame of Dang et al. 2023",
        check=check,
        group=GROUP,
        scope=Scope(("mse",), ("nonnegative-decay",), dimension="K"),
        papers=("dang2023", "tirer2022"),
        topic="nonnegative",
        core=False,
    )


def bias_claim(rule: Callable[[ClassPrior], bool] | None = None) -> Claim:
    """A bias lowers the value iff counts differ; another ``rule`` is a false variant."""
    helps = rule or (lambda prior: len(set(prior.counts.tolist())) > 1)

    def check(ctx: Context) -> Evidence:
        statuses: list[Status] = []
        rows: list[dict[str, Any]] = []
        for counts in ((8.0, 8.0, 8.0), (9.0, 8.0, 7.0), (20.0, 2.0), (6.0, 6.0), (12.0, 12.0, 3.0)):
            prior = ClassPrior(counts)
            lam = 1.2 / prior.num_samples
            model = UnconstrainedFeatures(lam, lam, features="nonnegative")
            for bias in ("free", 0.1):
                key = f"relu bias {counts} {bias}"
                found = ctx.once(key, partial(solve, model, prior, bias=bias))
                without = ctx.once(f"relu {counts}", partial(solve, model, prior))
                gain = enclose(without).lower - enclose(found, ctx, f"nonnegative-bias-{len(rows)}").upper
                expected = helps(prior)
                agrees = gain > 1e-9 if expected else abs(gain) <= 1e-11
                statuses.append(Status.certified if agrees else Status.inconclusive)
                rows.append({"counts": list(counts), "bias": bias, "gain": gain})
        return evidence(
            f"certified: a bias lowers the value where counts differ and nowhere else, on {len(rows)} instances",
            proofs=[symbolic(THEOREM, "bias")] if rule is None else [],
            numeric=combine(statuses),
            established_by=(f"certificates of both values on {len(rows)} instances",),
            details={"instances": rows},
        )

    return Claim(
        id="relu-bias-couples-classes",
        title="ReLU features: a bias changes the optimum exactly where counts differ",
        statement="Under weight decay, features H ≥ 0 and cross-entropy the logits that are optimal without bias are "
        "optimal, beside the bias 0, with a bias, free or with weight decay of its own, if and only if all counts "
        "are equal.",
        source="Derived here; Dang et al. 2024 have no bias",
        check=check,
        group=GROUP,
        scope=Scope(("ce",), ("nonnegative-decay",), dimension="K"),
        papers=("dang2024",),
        topic="nonnegative",
        core=False,
    )


#: Classes in each of the two groups between the thresholds.
PAIR = 2


def between_claim(n_b: float = 20.0, relu: bool = True, real: bool = False) -> Claim:
    """Between the thresholds; ``n_b``, and whether classes vanish or collapse, replaced in false variants."""
    root, samples = 4, 240  # N lam, N: merging at N^2 lam^2 = 16, vanishing at 64/3
    lam, n_a = root / samples, samples / PAIR - n_b

    def check(ctx: Context) -> Evidence:
        prior = ClassPrior([n_a] * PAIR + [n_b] * PAIR)
        certificate = certify_collapse(UnconstrainedFeatures(lam, lam), prior, prior.groups[-1].classes)
        keep(ctx, f"relu-between-{n_b:g}", certificate)
        collapsed = bool(certificate.check()) and certificate.claim["statement"]["collapsed"]
        vanished = not relu_sizes(prior.counts, float(root))[2:].any()
        agrees = collapsed is real and vanished is relu
        return evidence(
            f"n_B = {n_b:g}: vanished with H ≥ 0: {vanished}, collapsed without: {collapsed}",
            proofs=[
                symbolic(
                    THEOREM, "threshold", lemma=True, used_for=(Scope(("ce",), ("nonnegative-decay",), dimension="K"),)
                )
            ],
            numeric=Status.certified if agrees else Status.refuted,
            universal=False,
            established_by=("a certificate that the classes are not collapsed without H ≥ 0",),
        )

    return Claim(
        id="relu-vanishes-before-merging",
        title="Between the two thresholds ReLU features lose classes that other features keep apart",
        statement=f"At K = {2 * PAIR}, n = ({', '.join([f'{n_a:g}'] * PAIR + [f'{n_b:g}'] * PAIR)}), λ_W = λ_H = {root}/{samples} under cross-entropy the two minority "
        "classes vanish with features H ≥ 0, and without that condition they are not even collapsed.",
        source=f"Derived here: {root**2} < n_B ≤ {Fraction(4 * root**2, 3)} lies between N² λ² and N² λ² K/(K − 1)",
        check=check,
        group=GROUP,
        scope=(
            Scope(
                ("ce",), ("nonnegative-decay",), classes=(4, 4), groups=(2, 2), majority=2, minority=2, dimension="K"
            ),
            Scope(("ce",), ("weight-decay",), classes=(4, 4), groups=(2, 2), majority=2, minority=2, dimension="K"),
        ),
        papers=("dang2024",),
        topic="nonnegative",
        core=False,
    )


# budgets ------------------------------------------------------------------------------------------------------------


def _filled(counts: Array, radius: float, power: float) -> Array:
    """Sizes under budgets: ``e^a = max(1, pi_k^power/mu - K + 1)`` with ``sum a_k = radius``, by bisection in mu."""
    k, pull = len(counts), (counts / counts.sum()) ** power
    low, high = 0.0, float(pull.max()) / k
    for _ in range(200):
        mu = (low + high) / 2
        spent = float(np.log(np.maximum(1.0, pull / mu - k + 1)).sum())
        low, high = (mu, high) if spent > radius else (low, mu)
    return np.log(np.maximum(1.0, pull / high - k + 1))


def budgets_claim(power: float = 1.0, spend: float = 0.5) -> Claim:
    """The closed form under budgets; another power of pi_k, or of K/(K-1) in the radius, is a false variant."""

    def check(ctx: Context) -> Evidence:
        rows: list[Comparison] = []
        off = 0.0
        for counts in ((40.0, 20.0, 5.0, 1.0), (30.0, 2.0), (9.0, 9.0, 3.0)):
            k, prior = len(counts), ClassPrior(counts)
            for e_h in (0.5, 2.0):
                sizes = _filled(prior.counts, k * math.sqrt(e_h) * (k / (k - 1)) ** spend, power)
                model = LayerPeeled(1.0, e_h, features="nonnegative")
                found = ctx.once(f"relu budgets {counts} {e_h}", partial(solve, model, prior))
                off = max(off, float(np.abs(found.logits - np.diag(sizes) + sizes[None, :] / k).max()))
                certified = ctx.once(f"relu budgets enclosed {counts} {e_h}", partial(enclose, found))
                if ctx.out is not None:
                    enclose(found, ctx, f"nonnegative-budgets-{len(rows)}")
                label = f"counts {counts}, E_H = {e_h:g}"
                rows.append(compare(label, _risk(sizes, prior), certified, "certificate", relative=1e-8))
        return evidence(
            f"values inside certified enclosures on {len(rows)} instances; the solver's logits differ by ≤ {off:.0e}",
            proofs=[symbolic(THEOREM, "budgets")] if (power, spend) == (1.0, 0.5) else [],
            comparisons=rows,
            numeric=Status.supported if off <= 1e-5 else Status.inconclusive,
            details={"largest difference of logits": off},
        )

    return Claim(
        id="relu-budgets-closed-form",
        title="ReLU features under budgets: the budget is filled in like water, frequent classes first",
        statement="Under budgets, features H ≥ 0 and cross-entropy without bias the optimal logits are z_k = a_k (e_k − "
        "1/K), e^{a_k} = max(1, 1 + π_k √K √(K − 1)/μ − K), with the one μ > 0 for which Σ a_k = τ √(K/(K − 1)), "
        "τ = K √(E_W E_H).",
        source="Derived here",
        check=check,
        group=GROUP,
        scope=Scope(("ce",), ("nonnegative-budgets",), dimension="K"),
        papers=("dang2024",),
        topic="nonnegative",
        core=False,
    )


def relu_value(num_classes: int, tau: float) -> float:
    """The least risk under equal counts, ``log(1 + (K-1) e^{-tau/sqrt(K (K-1))})``."""
    return math.log(1 + (num_classes - 1) * math.exp(-tau / math.sqrt(num_classes * (num_classes - 1))))


def balanced_claim(value: Callable[[int, float], float] | None = None) -> Claim:
    """The least risk under equal counts; another value is a false variant."""
    claimed = value or relu_value

    def check(ctx: Context) -> Evidence:
        rows: list[Comparison] = []
        for k in (2, 3, 5):
            for e_h in (0.5, 2.0):
                model, prior = LayerPeeled(1.0, e_h, features="nonnegative"), ClassPrior.balanced(k)
                found = ctx.once(f"relu balanced {k} {e_h}", partial(solve, model, prior))
                certified = enclose(found, ctx, f"nonnegative-balanced-{len(rows)}")
                rows.append(
                    compare(f"K = {k}, E_H = {e_h:g}", claimed(k, k * math.sqrt(e_h)), certified, "certificate")
                )
        return evidence(
            f"the value is inside certified enclosures on {len(rows)} instances",
            proofs=[] if value else [symbolic(THEOREM, "balanced")],
            comparisons=rows,
        )

    return Claim(
        id="relu-budgets-balanced-value",
        title="ReLU features cost a factor √(K/(K − 1)) of the budget under balance",
        statement="Under budgets, features H ≥ 0 and cross-entropy without bias the least risk for equal counts is log(1 + "
        "(K − 1) e^{−τ/(√K √(K − 1))}), τ = K √(E_W E_H).",
        source="Dang et al. 2024 (orthogonal frame); the value: derived here",
        check=check,
        group=GROUP,
        scope=Scope(("ce",), ("nonnegative-budgets",), groups=(1, 1), dimension="K"),
        papers=("dang2024",),
        topic="nonnegative",
    )


# class losses -------------------------------------------------------------------------------------------------------


def losses_claim(loss: str, scale: Callable[[int], float] | None = None, gone: float = 1.0) -> Claim:
    """Losses of the classes; another scale of ``N lam/sqrt(n_k)`` or loss of a class that is gone is a false variant."""
    ce = loss == "ce"
    r = scale or ((lambda k: math.sqrt((k - 1) / k)) if ce else (lambda k: 1.0))

    def claimed(n: float, n_lam: float, k: int) -> float:
        share = n_lam * r(k) / math.sqrt(n)
        if ce:
            return -math.log(1 - share) if share < 1 - 1 / k else gone * math.log(k)
        return min(share, 1.0) ** 2 / 2 if share < 1 else gone / 2

    def check(ctx: Context) -> Evidence:
        worst, rises = 0.0, []
        for counts, n_lam in INSTANCES:
            prior, k = ClassPrior(counts), len(counts)
            seen = []
            for step in (1.0, 1.02):
                lam = step * n_lam / prior.num_samples
                model = UnconstrainedFeatures(lam, lam, features="nonnegative" if ce else "real")
                key = f"class losses {loss} {counts} {step}"
                method = "factored" if ce else "nuclear"
                found = ctx.once(key, partial(solve, model, prior, loss, method=method))
                seen.append(found.problem.loss.values(found.logits, found.problem.targets))
                truth = [claimed(n, step * n_lam, k) for n in counts]
                worst = max(worst, float(np.abs(seen[-1] - truth).max()))
            rises.append((seen[1] - seen[0]).tolist())
        there = [[x for x in rise if x > 1e-6] for rise in rises]
        ordered = all(a <= b + 1e-9 for rise in there for a, b in itertools.pairwise(rise))
        return evidence(
            f"losses of classes as claimed within {worst:.0e}; their rises by λ increase as counts fall, until a class vanishes",
            proofs=[] if scale or gone != 1 else [symbolic("rare-class-losses", loss)],
            numeric=Status.supported if worst <= 1e-6 and ordered else Status.inconclusive,
            details={"rises": rises, "largest difference": worst},
        )

    return Claim(
        id="rare-class-losses-relu" if ce else "rare-class-losses-mse",
        title=f"Weight decay costs rarer classes more, until they vanish ({'CE, ReLU features' if ce else 'MSE'})",
        statement="Under weight decay, features H ≥ 0 and cross-entropy without bias the loss of a class with n_k samples "
        "is −log(1 − N λ √(K − 1)/(√n_k √K)) while n_k > N² λ² K/(K − 1), and log(K) otherwise; its derivative by "
        "λ = √(λ_W λ_H) is larger for fewer samples, among classes that have not vanished, and 0 for classes that "
        "have, except with n_k at that bound, where it does not exist."
        if ce
        else "Under weight decay and MSE without bias the loss of a class with n_k samples is N² λ²/(2 n_k) while n_k "
        "> N² λ², and 1/2 otherwise; its derivative by λ = √(λ_W λ_H) is larger for fewer samples, among classes "
        "that have not vanished, and 0 for classes that have, except with n_k at that bound, where it does not exist.",
        source="“Weight decay hides rare-token degradation”, unconstrained features, which has no exception, as we state it",
        check=check,
        group=GROUP,
        scope=Scope((loss,), ("nonnegative-decay" if ce else "weight-decay",), dimension="K"),
        papers=("dang2024",) if ce else ("dang2023",),
        topic="nonnegative" if ce else "imbalance",
        standing="corrected",
        core=False,
    )


CLAIMS = (
    replace(
        form_claim(),
        variants={
            "ReLU: without K/(K − 1)": form_claim(lambda k: 1.0),
            "ReLU: K/(K − 1) without the root": form_claim(lambda k: k / (k - 1)),
            "ReLU: factor inverted": form_claim(lambda k: math.sqrt((k - 1) / k)),
        },
        off_by=lambda x: form_claim(lambda k: math.sqrt(k / (k - 1)) * (1 + x)),
        resolution=1e-6,
    ),
    replace(
        threshold_claim(),
        variants={
            "ReLU: the threshold of merging": threshold_claim(lambda k: 1.0, true=False),
            "ReLU: threshold (K − 1)/K": threshold_claim(lambda k: (k - 1) / k, true=False),
            "ReLU: threshold (K/(K − 1))²": threshold_claim(lambda k: (k / (k - 1)) ** 2, true=False),
        },
        off_by=lambda x: threshold_claim(factor=1 + x),
        resolution=1e-3,
    ),
    replace(
        form_claim(smoothings=(0.1, 0.3)),
        variants={
            "ReLU, smoothing: without K/(K − 1)": form_claim(lambda k: 1.0, (0.1, 0.3)),
            "ReLU, smoothing: α²": form_claim(None, (0.1, 0.3), 2.0),
            "ReLU, smoothing: √α": form_claim(None, (0.1, 0.3), 0.5),
        },
        off_by=lambda x: form_claim(lambda k: math.sqrt(k / (k - 1)) * (1 + x), (0.1, 0.3)),
        resolution=1e-5,
    ),
    replace(
        disjoint_claim(),
        variants={
            "ReLU: cosines of a simplex ETF": disjoint_claim(-1 / 3),
            "ReLU: one direction": disjoint_claim(1.0),
            "ReLU: cosine 10⁻⁴": disjoint_claim(1e-4),
        },
    ),
    replace(
        mse_claim(),
        variants={
            "ReLU, MSE: with K/(K − 1)": mse_claim(4 / 3),
            "ReLU, MSE: Nλ/n_k": mse_claim(exponent=1.0),
            "ReLU, MSE: n_k^0.45": mse_claim(exponent=0.45),
        },
        off_by=lambda x: mse_claim(1 + x),
        resolution=1e-6,
    ),
    replace(
        bias_claim(),
        variants={
            "ReLU: a bias never helps": bias_claim(lambda prior: False),
            "ReLU: a bias always helps": bias_claim(lambda prior: True),
            "ReLU: a bias helps from R = 2 on": bias_claim(lambda prior: prior.counts.max() >= 2 * prior.counts.min()),
        },
    ),
    replace(
        between_claim(),
        variants={
            "ReLU: at n_B = 22": between_claim(22.0),
            "ReLU: at n_B = 15": between_claim(15.0),
            "ReLU: merging first": between_claim(20.0, relu=False, real=True),
        },
    ),
    replace(
        budgets_claim(),
        variants={
            "ReLU, budgets: √π_k": budgets_claim(0.5),
            "ReLU, budgets: π_k²": budgets_claim(2.0),
            "ReLU, budgets: radius τ": budgets_claim(spend=0.0),
            "ReLU, budgets: radius τ K/(K − 1)": budgets_claim(spend=1.0),
        },
        off_by=lambda x: budgets_claim(1 + x),
        resolution=1e-4,
    ),
    replace(
        balanced_claim(),
        variants={
            "ReLU: value of the simplex ETF": balanced_claim(
                lambda k, t: math.log(1 + (k - 1) * math.exp(-t / (k - 1)))
            ),
            "ReLU: value with τ/K": balanced_claim(lambda k, t: math.log(1 + (k - 1) * math.exp(-t / k))),
            "ReLU: K others": balanced_claim(lambda k, t: math.log(1 + k * math.exp(-t / math.sqrt(k * (k - 1))))),
        },
        off_by=lambda x: balanced_claim(lambda k, t: relu_value(k, t) * (1 + x)),
        resolution=1e-9,
    ),
    replace(
        losses_claim("ce"),
        variants={
            "class losses, ReLU: factor inverted": losses_claim("ce", lambda k: math.sqrt(k / (k - 1))),
            "class losses, ReLU: no factor": losses_claim("ce", lambda k: 1.0),
            "class losses, ReLU: twice log K": losses_claim("ce", gone=2.0),
        },
        off_by=lambda x: losses_claim("ce", lambda k: math.sqrt((k - 1) / k) * (1 + x)),
        resolution=1e-4,
    ),
    replace(
        losses_claim("mse"),
        variants={
            "class losses, MSE: factor of ReLU": losses_claim("mse", lambda k: math.sqrt((k - 1) / k)),
            "class losses, MSE: Nλ doubled": losses_claim("mse", lambda k: 2.0),
            "class losses, MSE: loss 1 when gone": losses_claim("mse", gone=2.0),
        },
        off_by=lambda x: losses_claim("mse", lambda k: 1 + x),
        resolution=1e-4,
    ),
)
