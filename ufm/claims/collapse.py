"""Minority collapse: its criterion, its thresholds and its phases."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from proofs_check.scope import WEIGHT_DECAY
from ufm._words import scientific
from ufm.architectures import LayerPeeled, LinearDEQ, PenalisedDEQ, UnconstrainedFeatures
from ufm.certificates import certify_phase, certify_threshold
from ufm.claims._figures import curves_figure
from ufm.claims._model import (
    Claim,
    Context,
    Enclosure,
    Evidence,
    Figure,
    Scope,
    Status,
    combine,
    judge_equal,
    judge_order,
)
from ufm.claims._tools import Comparison, compare, enclose, evidence, keep, second_kernel, symbolic
from ufm.geometry import group_scales
from ufm.labels import ClassPrior
from ufm.solvers import solve
from ufm.two_groups.thresholds import collapse_threshold, threshold_curve, total_collapse_threshold

__all__ = [
    "CLAIMS",
    "criterion_claim",
    "deq_threshold_claim",
    "fang_claim",
    "mse_claim",
    "penalised_claim",
    "phases_claim",
    "total_claim",
]

GROUP = "Minority collapse"

#: Thresholds of Fang et al.'s Fig. 3 setting: K = 10, E_W = 1, E_H = 5, by K_A.
FANG = {3: 245.496930598261985, 5: 12.192447080325935, 7: 4.000466710142019}


def threshold_enclosure(
    architecture: LayerPeeled | LinearDEQ, num_majority: int, num_minority: int, ctx: Context, name: str
) -> Enclosure:
    """Rigorous enclosure of R*, with existence and uniqueness proved inside it; its certificate is kept as ``name``."""
    certificate = keep(ctx, name, certify_threshold(architecture, num_majority, num_minority))
    return Enclosure(certificate.lower, certificate.upper, rigorous=True)


# the criterion ------------------------------------------------------------------------------------------------------


def criterion_claim(rule: Callable[[float, float, float], bool] | None = None, **variant: Any) -> Claim:
    """``s_b = 0 iff pi_b <= mu omega_b``; ``rule(pi_b, mu, omega_b)`` replaces the right side (for false variants)."""
    claimed = rule or (lambda pi, mu, omega: pi <= mu * omega)

    def check(ctx: Context) -> Evidence:
        rng = np.random.default_rng(ctx.seed)
        wrong: list[str] = []
        undecided: list[str] = []
        phases = {True: 0, False: 0}
        trials = 24 if ctx.full else 8
        for trial in range(trials):
            ctx.progress("collapse criterion next to its boundary", trial, trials)
            for distance in NEAR:
                problem, prior = _next_to_threshold(rng, trial, distance)
                seen, name = _seen_collapsed(problem, prior, distance), f"{problem!r}, {prior!r}"
                found = solve(problem, prior)
                mu, omega = found.multiplier, float(found.problem.weights[-1])
                if seen is None:
                    undecided.append(name)
                elif claimed(float(prior.probabilities[-1]), mu, omega) == seen:
                    phases[seen] += 1
                else:
                    wrong.append(name)
        agree = sum(phases.values())
        decided = not wrong and not undecided and min(phases.values()) >= trials
        return evidence(
            f"criterion and phase agree on {agree} of {agree + len(wrong)} random instances at relative distances 10⁻² to 5·10⁻⁷ "
            f"from the boundary ({phases[True]} collapsed, {phases[False]} not; {len(undecided)} undecided)",
            proofs=[] if rule else [symbolic("collapse-criterion", **variant)],
            numeric=Status.supported if decided else Status.inconclusive,
            established_by=("phase certificates, and the K × K solver without symmetry where it can tell",),
            details={"agree": agree, "disagree": wrong, "undecided": undecided},
        )

    return Claim(
        id="collapse-criterion",
        title="Two groups, CE: one collapses exactly when π_b ≤ μ",
        statement="At an optimum with multiplier μ > 0 of |Z diag(ω)|_* the classifiers of a group b of K_b ≥ 2 classes coincide, and "
        "so do its class means (s_b = 0), if and only if μ ω − π_b ≥ 0, with ω = ω_b; s_b > 0 if and only if μ ω < π_b. Under "
        "budgets ω = 1; under weight decay ω_b = √n_b and μ = √(λ_W λ_H).",
        source="Fang et al. 2021 (minority collapse); KKT conditions on the group's standard representation",
        scope=Scope(models=("layer-peeled", "weight-decay"), groups=(2, 2), minority=2, dimension="K - 1"),
        check=check,
        group=GROUP,
        papers=("fang2021",),
        topic="minority-collapse",
        standing="sharpened",
    )


#: Relative distances from a boundary, on both of its sides, at which a claim about it is tried.
NEAR = tuple(sign * size for size in (1e-2, 1e-4, 5e-7) for sign in (1, -1))


def _next_to_threshold(
    rng: np.random.Generator, trial: int, distance: float
) -> tuple[LayerPeeled | UnconstrainedFeatures, ClassPrior]:
    """A random problem of two groups whose minority is collapsed iff ``distance > 0``."""
    k_a, k_b = int(rng.integers(1, 4)), int(rng.integers(2, 5))
    if trial % 2:
        architecture = LayerPeeled(1.0, float(10 ** rng.uniform(-0.6, 0.8)))
        ratio = collapse_threshold(architecture, k_a, k_b).ratio
        return architecture, ClassPrior.step(k_a, k_b, 1 + (ratio - 1) * (1 + distance))
    # counts away from 1, so that n_b and its root cannot be mistaken for each other or left out
    n_b, ratio = float(rng.uniform(4, 40)), float(10 ** rng.uniform(0.1, 2.2))
    lam = math.sqrt(n_b) * (1 + distance) / (n_b * (k_a * ratio + k_b))
    return UnconstrainedFeatures(lam, lam), ClassPrior.step(k_a, k_b, ratio, minority_count=n_b)


def _seen_collapsed(
    architecture: LayerPeeled | UnconstrainedFeatures, prior: ClassPrior, distance: float
) -> bool | None:
    """Whether the minority is collapsed, certified; None if the K x K solver, which knows no groups, sees otherwise."""
    certificate = certify_phase(architecture, prior, "ce")
    if not certificate.check():
        return None
    collapsed: bool = certificate.claim["statement"]["phase"] != "none"
    if abs(distance) >= 1e-2:
        found = solve(architecture, prior, method="nuclear", tol=1e-12)
        s_b = group_scales(found.logits, [group.classes for group in prior.groups])[-1]
        if s_b is None or found.is_global is not True or (s_b <= 1e-9) is not collapsed:
            return None
    return collapsed


# thresholds ---------------------------------------------------------------------------------------------------------


#: K, E_W and E_H of that figure.
FANG_AT = (10, 1.0, 5.0)

#: Relative error to which the thresholds are claimed.
FANG_ERROR = 1e-9


def fang_claim(values: dict[int, float] | None = None) -> Claim:
    """Thresholds in the setting of Fang et al.'s Fig. 3; ``values`` replaces them by K_A (for false variants)."""
    claimed = FANG if values is None else values
    k, e_w, e_h = FANG_AT

    def check(ctx: Context) -> Evidence:
        architecture = LayerPeeled(e_w, e_h)
        rows = [
            compare(
                f"K_A={k_a}",
                value,
                threshold_enclosure(architecture, k_a, k - k_a, ctx, f"threshold-fang-KA{k_a}"),
                "interval certificate with uniqueness",
                relative=FANG_ERROR,
            )
            for k_a, value in claimed.items()
        ]
        kernels: list[str] = []
        status: Status | None = None
        if ctx.full and claimed:  # the second kernel takes a minute
            status, text = second_kernel([certify_threshold(architecture, k_a, k - k_a) for k_a in claimed])
            kernels.append(text)
        return evidence(
            "R* = "
            + ", ".join(f"{c.claimed:.12g} (K_A={k_a})" for k_a, c in zip(claimed, rows, strict=True))
            + ", each inside a certified interval",
            proofs=[symbolic("threshold-curve", lemma=True)] if values is None else [],
            comparisons=rows,
            numeric=status,
            established_by=kernels,
            universal=False,
            figures=[_curves()],
        )

    return Claim(
        id="fang-thresholds",
        title="Minority-collapse thresholds of Fang et al.'s Fig. 3",
        statement=f"For K = {k}, E_W = {e_w:g}, E_H = {e_h:g} the threshold R* from which on the minority is collapsed is "
        + ", ".join(f"{value:.9f} (K_A = {k_a})" for k_a, value in claimed.items())
        + f", each to a relative {scientific(FANG_ERROR)}.",
        source="Fang et al. 2021, Fig. 3 (setting); closed parametric form of the threshold curve",
        scope=Scope(classes=(k, k), groups=(2, 2), minority=2, dimension="K - 1"),
        check=check,
        group=GROUP,
        papers=("fang2021",),
        topic="minority-collapse",
        standing="sharpened",
    )


def _curves() -> Figure:
    k, e_w, e_h = FANG_AT
    curves, marks = {}, []
    for k_a in (3, 5, 7):
        k_b = k - k_a
        top = 0.5 * math.log(k_a / k_b)
        points = [threshold_curve(top - step, k_a, k_b) for step in np.geomspace(0.02, 2.6, 160)]
        points = [(tau / k, log_r) for tau, log_r in points if 0.2 <= tau / k <= 4 and log_r < math.log(1e5)]
        curves[f"K_A = {k_a}"] = [p[0] for p in points], [math.exp(p[1]) for p in points]
        ratio = collapse_threshold(LayerPeeled(e_w, e_h), k_a, k_b).ratio
        marks.append((f"R* = {ratio:.4g}", math.sqrt(e_w * e_h), ratio))
    return curves_figure(
        f"Collapse threshold R* against τ/K for K = {k}",
        f"Above its curve the minority classifiers coincide. Marks: E_W = {e_w:g}, E_H = {e_h:g}, the setting of Fang et al.'s Fig. 3. A DEQ "
        "with |A|₂ ≤ ρ sits at τ/(1−ρ), further right on the same curve.",
        ("τ/K = √(E_W E_H)", "R*"),
        curves,
        marks,
        scale="log",
    )


def deq_threshold_claim(reverse: bool = False, factor: float = 1.0) -> Claim:
    """The DEQ's threshold is that of a larger radius.

    For false variants ``reverse`` claims that it is smaller, and ``factor`` multiplies the radius tau/(1-rho).
    """

    def check(ctx: Context) -> Evidence:
        statuses: list[Status] = []
        rows = []
        for k_a, k_b in ((3, 7), (5, 5), (7, 3)):
            for e_h in (1.0, 5.0):
                name = f"threshold-KA{k_a}-KB{k_b}-EH{e_h:g}"
                explicit = threshold_enclosure(LayerPeeled(1.0, e_h), k_a, k_b, ctx, name)
                for rho in (0.3, 0.5):
                    deq = threshold_enclosure(LinearDEQ(1.0, e_h, rho), k_a, k_b, ctx, f"{name}-rho{rho:g}")
                    larger = LayerPeeled(1.0, e_h * (factor / (1 - rho)) ** 2)
                    same = threshold_enclosure(larger, k_a, k_b, ctx, f"{name}-rescaled{rho:g}")
                    statuses.append(judge_equal(same, deq, tolerance=1e-9 * deq.upper))
                    pair = (explicit, deq)
                    statuses.append(judge_order(*(pair[::-1] if reverse else pair), strict=True))
                    rows.append({"K_A": k_a, "E_H": e_h, "rho": rho, "explicit": explicit.lower, "DEQ": deq.lower})
        return evidence(
            f"R*_DEQ(τ, ρ) = R*(τ/(1−ρ)) > R*(τ) on {len(rows)} certified pairs, e.g. K_A=5, E_H=5: "
            f"{rows[6]['explicit']:.6g} against {rows[6]['DEQ']:.6g} (ρ=0.3), {rows[7]['DEQ']:.6g} (ρ=0.5)",
            proofs=[] if reverse or factor != 1 else [symbolic("threshold-curve", "threshold", "deq")],
            numeric=combine(statuses),
            established_by=(f"certified thresholds on {len(rows)} pairs",),
            details={"thresholds": rows},
        )

    return Claim(
        id="deq-threshold-larger",
        title="P2: the DEQ collapses too, but at a larger imbalance",
        statement="For every τ > 0 there is exactly one R*(τ) > 1 at which π_B = μ without A; there the minority is collapsed if and only if "
        "R ≥ R*(τ), and R*(τ) increases strictly in τ. The DEQ with |A|₂ ≤ ρ has R*_DEQ(τ, ρ) = R*(τ/(1 − ρ)) > R*(τ).",
        source="Sun & Shi 2024 (claim P2, minority collapse in a DEQ), made precise; threshold curve derived here",
        scope=Scope(models=("layer-peeled", "spectral-deq"), groups=(2, 2), minority=2, dimension="K - 1"),
        hypotheses=("equal budgets (E_W, E_H)",),
        check=check,
        group=GROUP,
        papers=("sun2024",),
        topic="minority-collapse",
        standing="confirmed",
    )


def penalised_claim(loss: str, power: float = 2.0, factor: float = 1.0, **variant: Any) -> Claim:
    """``n_B = (1-rho)^2 N^2 lW lH`` for ``loss``.

    For false variants ``power`` replaces the exponent of 1 - rho, and ``factor`` multiplies the right side.
    """

    def check(ctx: Context) -> Evidence:
        statuses: list[Status] = []
        tried = []
        for k_a, k_b in ((5, 5), (3, 7), (1, 4)):
            for rho in (0.0, 0.5):
                n_a, lam = 100.0, 0.0
                # choose lam so that the claimed threshold is n_B = 20 when N = K_A 100 + K_B 20
                n = k_a * n_a + k_b * 20.0
                lam = math.sqrt(20.0 / factor) / n / (1 - rho) ** (power / 2)
                architecture = PenalisedDEQ(lam, lam, rho) if rho else UnconstrainedFeatures(lam, lam)
                for distance in NEAR:
                    n_b, expected = 20.0 * (1 - distance), distance > 0
                    # N is held: the majority makes up for what the minority gives
                    prior = ClassPrior([(n - k_b * n_b) / k_a] * k_a + [n_b] * k_b)
                    name = f"{loss}-KA{k_a}-KB{k_b}-rho{rho:g}-{distance:g}"
                    collapsed = _certified_collapse(architecture, prior, loss, ctx, name)
                    tried.append({"K_A": k_a, "K_B": k_b, "rho": rho, "n_B": n_b, "collapsed": collapsed})
                    if collapsed is None:
                        statuses.append(Status.inconclusive)
                    else:
                        statuses.append(Status.certified if collapsed is expected else Status.refuted)
        return evidence(
            f"certified collapsed just below n_B = (1−ρ)²N²λ² and not above, at relative distances 10⁻² to 5·10⁻⁷, on {len(statuses)} instances",
            proofs=[symbolic("penalised-threshold", **variant)] if power == 2 and factor == 1 else [],
            numeric=combine(statuses),
            established_by=(f"phase certificates on {len(statuses)} instances",),
            details={"instances": tried},
        )

    return Claim(
        id=f"penalised-threshold-{loss}",
        title=f"With weight decay the minority collapses iff n_B ≤ N² λ_W λ_H ({'CE' if loss == 'ce' else 'MSE'})",
        statement="A group of classes with n_B samples each, N in all, is collapsed if and only if n_B ≤ λ_H λ_W N² (1 − ρ)², ρ = 0 for "
        "the explicit network.",
        source="Dang et al. 2023 (MSE, explicit); CE and the DEQ derived here",
        scope=Scope((loss,), WEIGHT_DECAY, groups=(2, 2), minority=2, dimension="K - 1" if loss == "ce" else "K"),
        hypotheses=("penalty (λ_W/2)|W|² + (λ_H/2) Σ|h_ki|²", "risk averaged over N samples"),
        check=check,
        group=GROUP,
        papers=("dang2023", "hong2023"),
        topic="minority-collapse",
        standing="confirmed",
    )


def _certified_collapse(
    architecture: UnconstrainedFeatures | PenalisedDEQ, prior: ClassPrior, loss: str, ctx: Context, name: str
) -> bool | None:
    """Whether the minority is collapsed, by a rigorous phase certificate that an independent checker accepts."""
    certificate = keep(ctx, f"phase-penalised-{name}", certify_phase(architecture, prior, loss))
    return certificate.claim["statement"]["phase"] != "none" if certificate.check() else None


# MSE ----------------------------------------------------------------------------------------------------------------


def mse_claim(exponent: float = 0.5, factor: float = 1.0, **variant: Any) -> Claim:
    """``z_k = max(0, 1 - factor N lam / n_k^exponent)``; another factor or exponent is a false variant."""

    def check(ctx: Context) -> Evidence:
        rows: list[Comparison] = []
        off = 0.0
        for counts in ((50, 50, 5, 5), (40, 20, 10, 5, 1)):
            prior = ClassPrior(counts)
            n = prior.num_samples
            for strength in (0.3, 1.5):
                lam = strength / n
                z = np.maximum(0.0, 1 - factor * n * lam / prior.counts**exponent)
                value = 0.5 * float(prior.probabilities @ (z - 1) ** 2) + lam * float(np.sqrt(prior.counts) @ z)
                architecture = UnconstrainedFeatures(lam, lam)
                certified = enclose(solve(architecture, prior, "mse"), ctx, f"mse-closed-form-{len(rows)}")
                rows.append(compare(f"counts {counts}, Nλ={strength}", value, certified, "certificate"))
                numeric = solve(architecture, prior, "mse", method="nuclear", tol=1e-13)
                off = max(off, float(np.abs(numeric.logits - np.diag(z)).max()))
        return evidence(
            f"closed form inside certified enclosures on {len(rows)} instances; K × K solver's logits differ by ≤ {off:.1e}",
            proofs=[symbolic("mse-closed-form", "decay", **variant)] if exponent == 0.5 and factor == 1 else [],
            comparisons=rows,
            numeric=Status.supported if off <= 1e-7 else Status.inconclusive,
            details={"largest difference of logits": off},
        )

    return Claim(
        id="mse-closed-form",
        title="MSE: a general orthogonal frame in closed form",
        statement="Under weight decay the optimal logits are Z = diag(z_k), z_k = max(0, 1 − N λ/√n_k), λ = √(λ_W λ_H).",
        source="Dang et al. 2023; Zhou et al. 2022 (MSE landscape)",
        scope=Scope(("mse",), ("weight-decay",), dimension="K"),
        check=check,
        group=GROUP,
        papers=("dang2023", "zhou2022"),
        topic="imbalance",
        standing="confirmed",
    )


# phases -------------------------------------------------------------------------------------------------------------


def _total_ratio(k_a: int, k_b: int, tau: float) -> float:
    """R_total in closed form, inf where there is none."""
    k, s = k_a + k_b, tau / (k_a - 1)
    y = math.exp(s / k_a)
    q = 1 / (math.exp(s) + k_a - 1 + k_b * y)
    rest = (k_a + k_b * y) ** 2 - k * k_b * y**2
    return math.sqrt(k_a / (k * rest)) / q if k_a + k_b * y > math.sqrt(k * k_b) * y else math.inf


def phases_claim(factor: float = 1.0, **variant: Any) -> Claim:
    """Partial at the threshold, total from R_total on; ``factor`` multiplies R - 1 of both (for false variants)."""

    def check(ctx: Context) -> Evidence:
        found: list[dict[str, object]] = []
        statuses: list[Status] = []
        for k_a, k_b, e_h in ((7, 3, 5.0), (5, 5, 1.0), (3, 7, 1.0), (2, 2, 0.25)):
            architecture = LayerPeeled(1.0, e_h)
            first = collapse_threshold(architecture, k_a, k_b).ratio
            last = _total_ratio(k_a, k_b, (k_a + k_b) * math.sqrt(e_h))
            probes = [(first, -1, "none"), (first, 1, "partial")]
            probes += [(last, -1, "partial"), (last, 1, "total")] if math.isfinite(last) else []
            for edge, side, expected in probes:
                for distance in (1e-2, 1e-4, 5e-7):
                    at = 1 + factor * (edge - 1) * (1 + side * distance)
                    name = f"KA{k_a}-KB{k_b}-{len(found)}-{expected}"
                    phase = _certified_phase(architecture, ClassPrior.step(k_a, k_b, at), ctx, name)
                    found.append({"K_A": k_a, "K_B": k_b, "E_H": e_h, "R": at, "expected": expected, "phase": phase})
                    agrees = Status.certified if phase == expected else Status.refuted
                    statuses.append(Status.inconclusive if phase is None else agrees)
        return evidence(
            f"{len(found)} certified phases at relative distances 10⁻² to 5·10⁻⁷ from both thresholds, in the order none, partial, "
            "total",
            proofs=[symbolic("collapse-phases", "total", "threshold", **variant)] if factor == 1 else [],
            numeric=combine(statuses),
            established_by=(f"phase certificates on {len(found)} instances",),
            details={"phases": found},
        )

    return Claim(
        id="three-phases",
        title="Collapse is partial at its threshold, and total, if ever, from a larger R on",
        statement="A collapsed minority vanishes altogether (T = 0: total collapse, rank K_A − 1) if and only if R ≥ R_total > 0, "
        "R_total² = K_A/((K_A + K_B) ((q K_A + q y K_B)² − K_B q² y² (K_A + K_B))) with y = e^{s/K_A}, "
        "q = 1/(e^s + K_A − 1 + K_B y), s = τ/(K_A − 1). Where π_B = μ, at the threshold of collapse, T > 0: the collapse is partial "
        "there, the minority keeps one common direction, and total collapse needs a larger R.",
        source="Derived here from the KKT system; Fang et al. 2021 for the collapse",
        scope=Scope(models=("layer-peeled",), groups=(2, 2), majority=2, minority=2, dimension="K - 1"),
        check=check,
        group=GROUP,
        papers=("fang2021",),
        topic="minority-collapse",
    )


def _certified_phase(architecture: LayerPeeled | LinearDEQ, prior: ClassPrior, ctx: Context, name: str) -> str | None:
    certificate = keep(ctx, f"phase-{name}", certify_phase(architecture, prior, "ce"))
    return certificate.claim["statement"]["phase"] if certificate.check() else None


def total_claim(critical_factor: float = 1.0, **variant: Any) -> Claim:
    """Total collapse exists only below a critical radius; ``critical_factor`` scales it (for false variants)."""

    def check(ctx: Context) -> Evidence:
        statuses: list[Status] = []
        rows = []
        for k_a, k_b in ((5, 5), (7, 3), (3, 7)):
            k = k_a + k_b
            critical = critical_factor * k_a * (k_a - 1) * math.log(k_a / (math.sqrt(k * k_b) - k_b))
            for relative, exists in [(1 + d, d < 0) for d in (-1e-2, -1e-4, -1e-6, 1e-6, 1e-4, 1e-2)]:
                architecture = LayerPeeled(1.0, (relative * critical / k) ** 2)
                # far above any finite threshold of this size, or none exists
                at = 1e6 if not exists else 4 * (total_collapse_threshold(architecture, k_a, k_b))
                if not math.isfinite(at):
                    statuses.append(Status.inconclusive)
                    continue
                name = f"window-KA{k_a}-KB{k_b}-{relative:.7g}"
                phase = _certified_phase(architecture, ClassPrior.step(k_a, k_b, at), ctx, name)
                rows.append({"K_A": k_a, "tau": relative * critical, "R": at, "phase": phase, "exists": exists})
                if phase is None:
                    statuses.append(Status.inconclusive)
                else:
                    statuses.append(Status.certified if (phase == "total") is exists else Status.refuted)
        return evidence(
            f"phase certified total below the critical τ and partial at R = 10⁶ above it, at relative distances 10⁻² to 10⁻⁶, {len(rows)} instances",
            proofs=[symbolic("collapse-phases", "total", "window", **variant)] if critical_factor == 1 else [],
            numeric=combine(statuses),
            established_by=(f"phase certificates on {len(rows)} instances",),
            details={"instances": rows},
        )

    return Claim(
        id="total-collapse-window",
        title="Beyond a critical τ no imbalance makes the minority vanish",
        statement="A collapsed minority vanishes altogether (T = 0: total collapse, rank K_A − 1) if and only if R ≥ R_total > 0, "
        "R_total² = K_A/((K_A + K_B) ((q K_A + q y K_B)² − K_B q² y² (K_A + K_B))) with y = e^{s/K_A}, "
        "q = 1/(e^s + K_A − 1 + K_B y), s = τ/(K_A − 1). R_total exists if and only if "
        "e^{s/K_A} < K_A/(√K_B √(K_A + K_B) − K_B), s = τ/(K_A − 1).",
        source="Derived here from the KKT system",
        scope=Scope(models=("layer-peeled",), groups=(2, 2), majority=2, minority=2, dimension="K - 1"),
        check=check,
        group=GROUP,
        topic="minority-collapse",
    )


CLAIMS = (
    replace(
        criterion_claim(),
        variants={
            "criterion: π_b ≥ μ": criterion_claim(lambda pi, mu, omega: pi >= mu * omega),
            "criterion: π_b ≤ 2μ": criterion_claim(lambda pi, mu, omega: pi <= 2 * mu * omega),
            "criterion: π_b ≤ μ/2": criterion_claim(lambda pi, mu, omega: pi <= mu * omega / 2),
            "criterion: π_b ≤ 1.01 μ": criterion_claim(lambda pi, mu, omega: pi <= 1.01 * mu * omega),
            "criterion: π_b ≤ 0.9 μ": criterion_claim(lambda pi, mu, omega: pi <= 0.9 * mu * omega),
            "criterion: weight n_b^0.45": criterion_claim(lambda pi, mu, omega: pi <= mu * omega**0.9),
            "criterion: π_b ≤ μ, weight √n_b dropped": criterion_claim(lambda pi, mu, omega: pi <= mu),
            "criterion: always collapsed": criterion_claim(lambda pi, mu, omega: True),
        },
        off_by=lambda x: criterion_claim(lambda pi, mu, omega: pi <= (1 + x) * mu * omega),
        resolution=1e-6,
    ),
    replace(
        fang_claim(),
        variants={
            "Fang: K_A and K_B swapped": fang_claim({3: FANG[7], 7: FANG[3]}),
            "Fang: threshold of the square root of τ": fang_claim({3: math.sqrt(FANG[3])}),
            "no setting of Fang's at all": fang_claim({}),
        },
        off_by=lambda x: fang_claim({k_a: value * (1 + x) for k_a, value in FANG.items()}),
        resolution=1e-8,
    ),
    replace(
        deq_threshold_claim(),
        variants={"threshold: DEQ smaller": deq_threshold_claim(reverse=True)},
        off_by=lambda x: deq_threshold_claim(factor=1 + x),
        resolution=1e-8,
    ),
    *(
        replace(
            penalised_claim(loss),
            variants={
                f"weight decay, {loss.upper()}: exponent {power:g} of 1−ρ": penalised_claim(loss, power=power)
                for power in (0.0, 1.0, 3.0)
            },
            off_by=partial(lambda loss, x: penalised_claim(loss, factor=1 + x), loss),
            resolution=1e-6,
        )
        for loss in ("ce", "mse")
    ),
    replace(
        mse_claim(),
        variants={"MSE: Nλ/n_k": mse_claim(exponent=1.0), "MSE: Nλ/n_k^0.45": mse_claim(exponent=0.45)},
        off_by=lambda x: mse_claim(factor=1 + x),
        resolution=1e-6,
    ),
    replace(phases_claim(), off_by=lambda x: phases_claim(factor=1 + x), resolution=1e-6),
    replace(
        total_claim(),
        variants={
            "total collapse: critical τ 10 % higher": total_claim(critical_factor=1.1),
            "total collapse: critical τ 10 % lower": total_claim(critical_factor=0.9),
        },
        off_by=lambda x: total_claim(critical_factor=1 + x),
        resolution=1e-5,
    ),
)
