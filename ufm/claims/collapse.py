"""Minority collapse: its criterion, its thresholds and its phases."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from ufm.architectures import LayerPeeled, LinearDEQ, PenalisedDEQ, UnconstrainedFeatures
from ufm.certificates import certify_phase, certify_threshold
from ufm.claims._model import Claim, Context, Enclosure, Evidence, Figure, Status, combine, judge_order
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
    architecture: LayerPeeled | LinearDEQ, num_majority: int, num_minority: int, ctx: Context | None = None
) -> Enclosure:
    """Rigorous enclosure of R*, with existence and uniqueness proved inside it."""
    certificate = certify_threshold(architecture, num_majority, num_minority)
    if ctx is not None:
        keep(ctx, f"threshold-fang-KA{num_majority}", certificate)
    return Enclosure(certificate.lower, certificate.upper, rigorous=True)


# the criterion ------------------------------------------------------------------------------------------------------


def criterion_claim(rule: Callable[[float, float, float], bool] | None = None, **variant: object) -> Claim:
    """``s_b = 0 iff pi_b <= mu omega_b``; ``rule(pi_b, mu, omega_b)`` replaces the right side (for false variants)."""
    claimed = rule or (lambda pi, mu, omega: pi <= mu * omega)

    def check(ctx: Context) -> Evidence:
        rng = np.random.default_rng(ctx.seed)
        agree = undecided = wrong = 0
        phases = {True: 0, False: 0}
        trials = 60 if ctx.full else 24
        for trial in range(trials):
            ctx.progress("collapse criterion on random priors", trial, trials)
            k_a, k_b = int(rng.integers(1, 4)), int(rng.integers(2, 5))
            # counts away from 1, so that n_b and its root cannot be mistaken for each other or left out
            prior = ClassPrior.step(
                k_a, k_b, float(10 ** rng.uniform(0.1, 2.2)), minority_count=float(rng.uniform(4, 40))
            )
            architecture: LayerPeeled | UnconstrainedFeatures
            if trial % 2:
                architecture = LayerPeeled(1.0, float(10 ** rng.uniform(-1.0, 1.0)))
            else:
                lam = float(10 ** rng.uniform(-1.0, 0.6)) * math.sqrt(prior.counts.min()) / prior.num_samples
                architecture = UnconstrainedFeatures(lam, lam)
            # the K x K method knows nothing of groups: s_b and mu are read off its logits
            found = solve(architecture, prior, method="nuclear", tol=1e-8)
            s_b = group_scales(found.logits, [group.classes for group in prior.groups])[-1]
            if s_b is None:
                raise ValueError("the minority must have at least two classes")
            mu, omega = found.multiplier, float(found.problem.weights[-1])
            pi = float(prior.probabilities[-1])
            # s_b grows from 0 with pi - mu omega; between these two sizes the numbers cannot tell
            seen = True if s_b <= 1e-6 else False if s_b >= 1e-3 else None
            if found.is_global is not True or seen is None or abs(pi / (mu * omega) - 1) < 1e-4:
                undecided += 1
            elif claimed(pi, mu, omega) == seen:
                agree += 1
                phases[seen] += 1
            else:
                wrong += 1
        decided = wrong == 0 and min(phases.values()) >= 3
        return evidence(
            f"criterion and K × K solver agree on {agree} of {agree + wrong} random instances "
            f"({phases[True]} collapsed, {phases[False]} not; {undecided} too close to call)",
            proofs=[] if rule else [symbolic("collapse-criterion", **variant)],
            numeric=Status.supported if decided else Status.inconclusive,
            established_by=("K × K solver without symmetry",),
            details={"agree": agree, "disagree": wrong, "undecided": undecided},
        )

    return Claim(
        id="collapse-criterion",
        title="A group collapses exactly when π_b ≤ μ",
        statement="At an optimum with multiplier μ, a group b of K_b ≥ 2 classes of equal counts has coinciding classifiers and "
        "class means (s_b = 0) if and only if π_b ≤ μ; with weight decay, where μ = λ, if and only if π_b ≤ λ√n_b.",
        source="Fang et al. 2021 (minority collapse); KKT conditions on the group's standard representation",
        hypotheses=("classes of a group have equal counts", "cross-entropy or MSE", "convex gauge |Z diag(ω)|_*"),
        check=check,
        group=GROUP,
    )


# thresholds ---------------------------------------------------------------------------------------------------------


def fang_claim(values: dict[int, float] | None = None) -> Claim:
    """Thresholds in the setting of Fang et al.'s Fig. 3; ``values`` replaces them by K_A (for false variants)."""
    claimed = values or FANG

    def check(ctx: Context) -> Evidence:
        architecture = LayerPeeled(1.0, 5.0)
        rows = [
            compare(
                f"K_A={k_a}",
                value,
                threshold_enclosure(architecture, k_a, 10 - k_a, ctx),
                "interval certificate with uniqueness",
                relative=1e-9,
            )
            for k_a, value in claimed.items()
        ]
        kernels: list[str] = []
        status = Status.certified
        if ctx.full:  # the second kernel takes a minute
            status, text = second_kernel([certify_threshold(architecture, k_a, 10 - k_a) for k_a in claimed])
            kernels.append(text)
        return evidence(
            "R* = "
            + ", ".join(f"{c.claimed:.12g} (K_A={k})" for k, c in zip(claimed, rows, strict=True))
            + ", each inside a certified interval",
            comparisons=rows,
            numeric=status,
            established_by=kernels,
            universal=False,
            figures=[_curves()],
        )

    return Claim(
        id="fang-thresholds",
        title="Minority-collapse thresholds of Fang et al.'s Fig. 3",
        statement="For K = 10, E_W = 1, E_H = 5 the minority collapses exactly for R ≥ R*, with R* = 245.496930598 (K_A = 3), "
        "12.192447080 (K_A = 5), 4.000466710 (K_A = 7), each to a relative 1e-9.",
        source="Fang et al. 2021, Fig. 3 (setting); closed parametric form of the threshold curve",
        hypotheses=("layer-peeled model", "cross-entropy", "two groups of classes"),
        check=check,
        group=GROUP,
    )


def _curves() -> Figure:
    curves, marks = [], []
    for k_a in (3, 5, 7):
        k_b = 10 - k_a
        top = 0.5 * math.log(k_a / k_b)
        points = [threshold_curve(top - step, k_a, k_b) for step in np.geomspace(0.02, 2.6, 160)]
        points = [(tau / 10, log_r) for tau, log_r in points if 0.2 <= tau / 10 <= 4 and log_r < math.log(1e5)]
        curves.append({"label": f"K_A = {k_a}", "x": [p[0] for p in points], "y": [math.exp(p[1]) for p in points]})
        ratio = collapse_threshold(LayerPeeled(1.0, 5.0), k_a, k_b).ratio
        marks.append({"label": f"R* = {ratio:.4g}", "x": math.sqrt(5.0), "y": ratio})
    return Figure(
        "thresholds",
        "Collapse threshold R* against τ/K for K = 10",
        "Above its curve the minority classifiers coincide. Marks: E_W = 1, E_H = 5, the setting of Fang et al.'s Fig. 3. A DEQ "
        "with |A|₂ ≤ ρ sits at τ/(1−ρ), further right on the same curve.",
        {"x_label": "τ/K = √(E_W E_H)", "y_label": "R*", "curves": curves, "marks": marks},
    )


def deq_threshold_claim(reverse: bool = False) -> Claim:
    """The DEQ's threshold is larger; ``reverse`` claims the opposite (for the false variant)."""

    def check(_: Context) -> Evidence:
        statuses: list[Status] = []
        rows = []
        for k_a, k_b in ((3, 7), (5, 5), (7, 3)):
            for e_h in (1.0, 5.0):
                explicit = threshold_enclosure(LayerPeeled(1.0, e_h), k_a, k_b)
                for rho in (0.3, 0.5):
                    deq = threshold_enclosure(LinearDEQ(1.0, e_h, rho), k_a, k_b)
                    pair = (explicit, deq)
                    statuses.append(judge_order(*(pair[::-1] if reverse else pair), strict=True))
                    rows.append({"K_A": k_a, "E_H": e_h, "rho": rho, "explicit": explicit.lower, "DEQ": deq.lower})
        return evidence(
            f"R*_DEQ > R*_LPM on {len(statuses)} certified pairs, e.g. K_A=5, E_H=5: "
            f"{rows[6]['explicit']:.6g} against {rows[6]['DEQ']:.6g} (ρ=0.3), {rows[7]['DEQ']:.6g} (ρ=0.5)",
            proofs=[] if reverse else [symbolic("threshold-curve")],
            numeric=combine(statuses),
            established_by=(f"certified thresholds on {len(statuses)} pairs",),
            details={"thresholds": rows},
        )

    return Claim(
        id="deq-threshold-larger",
        title="P2: the DEQ collapses too, but at a larger imbalance",
        statement="For two groups, K_A, K_B ≥ 2, the spectral DEQ has a finite threshold R*_DEQ(τ, ρ) = R*_LPM(τ/(1−ρ)) > R*_LPM(τ) "
        "for every 0 < ρ < 1.",
        source="Sun & Shi 2024 (claim P2, minority collapse in a DEQ), made precise; threshold curve derived here",
        hypotheses=("|A|₂ ≤ ρ, 0 < ρ < 1", "cross-entropy", "equal budgets (E_W, E_H)"),
        check=check,
        group=GROUP,
    )


def penalised_claim(loss: str, power: float = 2.0, factor: float = 1.0, **variant: object) -> Claim:
    """``n_B = (1-rho)^2 N^2 lW lH`` for ``loss``.

    For false variants ``power`` replaces the exponent of 1 - rho, and ``factor`` multiplies the right side.
    """

    def check(_: Context) -> Evidence:
        statuses: list[Status] = []
        tried = []
        for k_a, k_b in ((5, 5), (3, 7), (1, 4)):
            for rho in (0.0, 0.5):
                n_a, lam = 100.0, 0.0
                # choose lam so that the claimed threshold is n_B = 20 when N = K_A 100 + K_B 20
                n = k_a * n_a + k_b * 20.0
                lam = math.sqrt(20.0 / factor) / n / (1 - rho) ** (power / 2)
                architecture = PenalisedDEQ(lam, lam, rho) if rho else UnconstrainedFeatures(lam, lam)
                for relative, expected in ((1 - 1e-6, True), (1 + 1e-6, False)):
                    n_b = 20.0 * relative
                    # N is held: the majority makes up for what the minority gives
                    prior = ClassPrior([(n - k_b * n_b) / k_a] * k_a + [n_b] * k_b)
                    collapsed = _certified_collapse(architecture, prior, loss)
                    tried.append({"K_A": k_a, "K_B": k_b, "rho": rho, "n_B": n_b, "collapsed": collapsed})
                    if collapsed is None:
                        statuses.append(Status.inconclusive)
                    else:
                        statuses.append(Status.certified if collapsed is expected else Status.refuted)
        return evidence(
            f"certified collapsed at n_B = (1−10⁻⁶)·N²λ² and not collapsed at (1+10⁻⁶)·N²λ² on {len(statuses)} instances",
            proofs=[symbolic("penalised-threshold", **variant)] if power == 2 and factor == 1 else [],
            numeric=combine(statuses),
            established_by=(f"phase certificates on {len(statuses)} instances",),
            details={"instances": tried},
        )

    name = {"ce": "cross-entropy", "mse": "MSE without bias"}[loss]
    return Claim(
        id=f"penalised-threshold-{loss}",
        title=f"With weight decay the minority collapses iff n_B ≤ N² λ_W λ_H ({'CE' if loss == 'ce' else 'MSE'})",
        statement=f"Under {name} with weight decay a group of K_B ≥ 2 classes is collapsed if and only if n_B ≤ N² λ_W λ_H, and with "
        "a spectral DEQ if and only if n_B ≤ (1−ρ)² N² λ_W λ_H.",
        source="Dang et al. 2023 (MSE, explicit); CE and the DEQ derived here",
        hypotheses=("penalty (λ_W/2)|W|² + (λ_H/2) Σ|h_ki|²", "risk averaged over N samples"),
        check=check,
        group=GROUP,
    )


def _certified_collapse(
    architecture: UnconstrainedFeatures | PenalisedDEQ, prior: ClassPrior, loss: str
) -> bool | None:
    """Whether the minority is collapsed, by a rigorous phase certificate that an independent checker accepts."""
    certificate = certify_phase(architecture, prior, loss)
    return certificate.claim["statement"]["phase"] != "none" if certificate.check() else None


# MSE ----------------------------------------------------------------------------------------------------------------


def mse_claim(exponent: float = 0.5, **variant: object) -> Claim:
    """``z_k = max(0, 1 - N lam / n_k^exponent)``; an exponent other than 1/2 is a false variant."""

    def check(_: Context) -> Evidence:
        rows: list[Comparison] = []
        off = 0.0
        for counts in ((50, 50, 5, 5), (40, 20, 10, 5, 1)):
            prior = ClassPrior(counts)
            n = prior.num_samples
            for strength in (0.3, 1.5):
                lam = strength / n
                z = np.maximum(0.0, 1 - n * lam / prior.counts**exponent)
                value = 0.5 * float(prior.probabilities @ (z - 1) ** 2) + lam * float(np.sqrt(prior.counts) @ z)
                architecture = UnconstrainedFeatures(lam, lam)
                certified = enclose(solve(architecture, prior, "mse"))
                rows.append(compare(f"counts {counts}, Nλ={strength}", value, certified, "certificate"))
                numeric = solve(architecture, prior, "mse", method="nuclear")
                off = max(off, float(np.abs(numeric.logits - np.diag(z)).max()))
        return evidence(
            f"closed form inside certified enclosures on {len(rows)} instances; K × K solver's logits differ by ≤ {off:.1e}",
            proofs=[symbolic("mse-closed-form", **variant)] if exponent == 0.5 else [],
            comparisons=rows,
            numeric=Status.supported if off <= 1e-6 else Status.inconclusive,
            details={"largest difference of logits": off},
        )

    return Claim(
        id="mse-closed-form",
        title="MSE: a general orthogonal frame in closed form",
        statement="Under MSE without bias and with weight decay the optimal logits are Z = diag(z), z_k = max(0, 1 − Nλ/√n_k) with "
        "λ = √(λ_W λ_H): orthogonal directions of unequal lengths, and classes vanish one by one as λ grows.",
        source="Dang et al. 2023; Zhou et al. 2022 (MSE landscape)",
        hypotheses=("MSE without bias", "weight decay on W and H"),
        check=check,
        group=GROUP,
    )


# phases -------------------------------------------------------------------------------------------------------------


def phases_claim(**variant: object) -> Claim:
    """At the threshold the collapse is partial, never total."""

    def check(ctx: Context) -> Evidence:
        found: list[dict[str, object]] = []
        statuses: list[Status] = []
        for k_a, k_b, e_h in ((7, 3, 5.0), (5, 5, 1.0), (3, 7, 1.0), (2, 2, 0.25)):
            architecture = LayerPeeled(1.0, e_h)
            ratio = collapse_threshold(architecture, k_a, k_b).ratio
            total = total_collapse_threshold(architecture, k_a, k_b)
            probes = {"none": 1 + 0.99 * (ratio - 1), "partial": min(1.01 * ratio, 0.5 * (ratio + total))}
            if math.isfinite(total):
                probes["total"] = 1.01 * total
            for expected, at in probes.items():
                phase = _certified_phase(architecture, ClassPrior.step(k_a, k_b, at), ctx)
                found.append({"K_A": k_a, "K_B": k_b, "E_H": e_h, "R": at, "expected": expected, "phase": phase})
                certain = phase is not None
                statuses.append(
                    Status.inconclusive if not certain else Status.certified if phase == expected else Status.refuted
                )
        return evidence(
            f"{len(found)} certified phases around the thresholds, in the order none, partial, total",
            proofs=[symbolic("collapse-phases", **variant)],
            numeric=combine(statuses),
            established_by=(f"phase certificates on {len(found)} instances",),
            details={"phases": found},
        )

    return Claim(
        id="three-phases",
        title="Collapse comes in three phases, and is partial at its threshold",
        statement="For two groups under CE with budgets there are three phases: none, partial (s_B = 0, the minority shares one "
        "direction) and total (minority features are 0, rank K_A − 1). At R = R* the phase is partial, never total.",
        source="Derived here from the KKT system; Fang et al. 2021 for the collapse",
        hypotheses=("layer-peeled model or spectral DEQ", "cross-entropy", "K_A, K_B ≥ 2"),
        check=check,
        group=GROUP,
    )


def _certified_phase(
    architecture: LayerPeeled | LinearDEQ, prior: ClassPrior, ctx: Context | None = None
) -> str | None:
    certificate = certify_phase(architecture, prior, "ce")
    if ctx is not None:
        majority, minority = prior.groups
        keep(ctx, f"phase-KA{majority.size}-KB{minority.size}-R{prior.ratio:.4g}", certificate)
    return certificate.claim["statement"]["phase"] if certificate.check() else None


def total_claim(critical_factor: float = 1.0, **variant: object) -> Claim:
    """Total collapse exists only below a critical radius; ``critical_factor`` scales it (for false variants)."""

    def check(_: Context) -> Evidence:
        statuses: list[Status] = []
        rows = []
        for k_a, k_b in ((5, 5), (7, 3), (3, 7)):
            k = k_a + k_b
            critical = critical_factor * k_a * (k_a - 1) * math.log(k_a / (math.sqrt(k * k_b) - k_b))
            for relative, exists in ((1 - 1e-6, True), (1 + 1e-6, False)):
                architecture = LayerPeeled(1.0, (relative * critical / k) ** 2)
                # far above any finite threshold of this size, or none exists
                at = 1e6 if not exists else 4 * (total_collapse_threshold(architecture, k_a, k_b))
                if not math.isfinite(at):
                    statuses.append(Status.inconclusive)
                    continue
                phase = _certified_phase(architecture, ClassPrior.step(k_a, k_b, at))
                rows.append({"K_A": k_a, "tau": relative * critical, "R": at, "phase": phase, "exists": exists})
                if phase is None:
                    statuses.append(Status.inconclusive)
                else:
                    statuses.append(Status.certified if (phase == "total") is exists else Status.refuted)
        return evidence(
            f"phase certified total just below the critical τ and partial at R = 10⁶ just above it, {len(rows)} instances",
            proofs=[symbolic("collapse-phases", **variant)] if critical_factor == 1 else [],
            numeric=combine(statuses),
            established_by=(f"phase certificates on {len(rows)} instances",),
            details={"instances": rows},
        )

    return Claim(
        id="total-collapse-window",
        title="Beyond a critical τ no imbalance makes the minority vanish",
        statement="For two groups under CE with budgets and K_A ≥ 2 the minority's features vanish altogether for some finite R if "
        "and only if τ < K_A(K_A−1) log(K_A/(√(K K_B) − K_B)); then R_total = √((K_A/K)/(m² − K K_B r²)) in closed form.",
        source="Derived here from the KKT system",
        hypotheses=("layer-peeled model (spectral DEQ: τ/(1−ρ))", "cross-entropy", "K_A, K_B ≥ 2"),
        check=check,
        group=GROUP,
    )


CLAIMS = (
    criterion_claim(),
    fang_claim(),
    deq_threshold_claim(),
    penalised_claim("ce"),
    penalised_claim("mse"),
    mse_claim(),
    phases_claim(),
    total_claim(),
)
