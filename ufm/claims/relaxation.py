"""From the network to the convex problem: within-class collapse, and the relaxation that loses nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import logsumexp

from ufm.architectures import Architecture, LayerPeeled, LinearDEQ, PenalisedDEQ, UnconstrainedFeatures
from ufm.certificates import certify_uncollapsed
from ufm.claims._model import Claim, Context, Enclosure, Evidence, Scope, Status, combine, judge_order
from ufm.claims._tools import Comparison, compare, enclose, evidence, floating, keep, symbolic
from ufm.labels import ClassPrior
from ufm.solvers import solve

__all__ = ["CLAIMS", "per_sample_optimum", "relaxation_claim", "slack_claim", "within_class_claim"]

GROUP = "From the network to a convex problem"


def per_sample_optimum(
    counts: tuple[int, ...], lambda_w: float, lambda_h: float, dim: int, rng: np.random.Generator
) -> tuple[float, float]:
    """Minimise ``f + (lW/2)|W|^2 + (lH/2) sum_i |h_i|^2`` over W and one *free* feature vector a sample.

    Returns:
        The value found from one random start, and the ratio tr(S_W)/tr(S_B) of the scatter of the features within
        classes to that between them (0: within-class collapse).
    """
    labels = np.repeat(np.arange(len(counts)), counts)
    n, k = len(labels), len(counts)
    onehot = np.eye(k)[labels]  # (N, K)

    def objective(x: np.ndarray) -> tuple[float, np.ndarray]:
        w, h = x[: k * dim].reshape(k, dim), x[k * dim :].reshape(n, dim)
        z = h @ w.T
        top = logsumexp(z, axis=1, keepdims=True)
        residual = (np.exp(z - top) - onehot) / n
        value = float((top[:, 0] - z[np.arange(n), labels]).mean())
        value += 0.5 * lambda_w * float((w * w).sum()) + 0.5 * lambda_h * float((h * h).sum())
        gradient = np.concatenate([(residual.T @ h + lambda_w * w).ravel(), (residual @ w + lambda_h * h).ravel()])
        return value, gradient

    start = rng.standard_normal(k * dim + n * dim)
    found = minimize(
        objective, start, jac=True, method="L-BFGS-B", options={"maxiter": 20000, "ftol": 1e-15, "gtol": 1e-10}
    )
    h = found.x[k * dim :].reshape(n, dim)
    means = np.array([h[labels == c].mean(axis=0) for c in range(k)])
    within = float(((h - means[labels]) ** 2).sum()) / n
    between = float(((means - means.mean(axis=0)) ** 2).sum()) / k
    return float(found.fun), within / between


def within_class_claim(**variant: Any) -> Claim:
    """Within-class collapse is optimal."""

    def check(ctx: Context) -> Evidence:
        rng = np.random.default_rng(ctx.seed)
        rows: list[Comparison] = []
        scatter = 0.0
        for counts in ((4, 4, 4), (9, 5, 2), (6, 6, 2, 1)):
            lam = 0.4 / sum(counts)
            predicted = solve(UnconstrainedFeatures(lam, lam), ClassPrior(counts))
            value, ratio = per_sample_optimum(counts, lam, lam, dim=len(counts) + 1, rng=rng)
            scatter = max(scatter, ratio)
            rows.append(
                compare(
                    f"counts {counts}, a free feature a sample",
                    predicted.value,
                    Enclosure.around(value, 1e-9 * value),
                    "per-sample optimisation",
                    relative=1e-7,
                )
            )
        return evidence(
            f"optimising a free feature for every sample from random starts ends at the collapsed optimum; "
            f"tr S_W / tr S_B ≤ {scatter:.1e}",
            proofs=[symbolic("within-class-collapse", **variant)],
            comparisons=rows,
            numeric=Status.supported if scatter <= 1e-8 else Status.inconclusive,
            details={"largest within-class scatter over between-class scatter": scatter},
        )

    return Claim(
        id="within-class-collapse",
        title="Features of a class coincide at an optimum (NC1): weight decay, and budgets under cross-entropy",
        statement="Replacing the n features of a class, of sum S_1, by S_1/n does not raise the risk and lowers Σ|h|² by "
        "Σ|h − S_1/n|². So the features of a class coincide at every minimiser.",
        source="Jensen's inequality; Papyan, Han, Donoho 2020 (NC1); Zhu et al. 2021",
        scope=(
            Scope(("ce", "mse"), ("weight-decay", "spectral-deq-decay", "penalised-deq", "deep-decay")),
            Scope(("ce",), ("layer-peeled", "spectral-deq", "frobenius-deq", "deep-linear")),
        ),
        hypotheses=("features are free variables",),
        check=check,
        group=GROUP,
        papers=("papyan2020", "zhu2021"),
        topic="reduction",
        standing="confirmed",
    )


#: Classes of the counterexample under slack budgets, in one dimension more, and the sides on which samples of a class are.
SLACK_CLASSES, SIGNS = 2, (1, -1)


def slack_claim(budget: Fraction = Fraction(2), apart: Fraction = Fraction(1)) -> Claim:
    """MSE with slack budgets: exact factors of risk 0 whose features differ by ``2 apart`` within a class."""
    k = SLACK_CLASSES

    def check(ctx: Context) -> Evidence:
        # w_k = e_k and h_{k, +-} = e_k +- apart e_3, so that W h = e_k exactly; averages over classes as in the budgets
        w = tuple(tuple(Fraction(int(i == j)) for j in range(k + 1)) for i in range(k))
        features = [[(*row[:k], sign * apart) for sign in SIGNS] for row in w]
        logits = [[[sum(a * b for a, b in zip(row, h, strict=True)) for row in w] for h in pair] for pair in features]
        risk = sum((z[i] - int(i == c)) ** 2 for c, pair in enumerate(logits) for z in pair for i in range(k))
        spent_w = sum(x * x for row in w for x in row) / k
        spent_h = sum(x * x for pair in features for h in pair for x in h) / (k * len(SIGNS))
        optimal = risk == 0 and spent_w <= budget and spent_h <= budget and apart != 0
        if optimal:
            model = LayerPeeled(float(budget), float(budget))
            keep(ctx, "uncollapsed-optimum", certify_uncollapsed(model, ClassPrior([len(SIGNS)] * k), w, features))
        return evidence(
            f"risk {risk}, |W|² per class {spent_w} and mean |h|² {spent_h}, both at most {budget}; features of a class differ by "
            f"{2 * apart}: exact",
            numeric=Status.certified if optimal else Status.refuted,
            universal=False,
            established_by=("exact rational factors of risk 0",),
        )

    return Claim(
        id="within-class-collapse-slack",
        title="NC1 can fail: MSE with slack budgets has optima that are not collapsed",
        statement=f"For MSE, K = {k} classes of {len(SIGNS)} samples, d = {k + 1} and E_W = E_H = {budget} there is an optimum, of risk 0, at which the features "
        f"of each class differ: w_k = e_k, h_k = e_k ± {'' if apart == 1 else f'{apart} '}e_{k + 1}.",
        source="Counterexample to NC1 for MSE under budgets, found here",
        scope=Scope(
            ("mse",), ("layer-peeled",), (k, k), (1, 1), dimension="K", conditions=("budgets that are not active",)
        ),
        check=check,
        group=GROUP,
        papers=("papyan2020",),
        topic="reduction",
        standing="corrected",
    )


def relaxation_claim(radius_factor: float = 1.0, **variant: Any) -> Claim:
    """The convex relaxation is tight; ``radius_factor`` != 1 relaxes to a wrong ball (for false variants)."""
    prior = ClassPrior([6, 6, 2, 1])
    cases: tuple[tuple[str, Architecture, Architecture], ...] = (
        ("layer-peeled", LayerPeeled(1.0, 2.0), LayerPeeled(1.0, 2.0 * radius_factor**2)),
        ("spectral DEQ, ρ=0.4", LinearDEQ(1.0, 1.0, 0.4), LinearDEQ(1.0, radius_factor**2, 0.4)),
        ("weight decay", UnconstrainedFeatures(0.02, 0.03), UnconstrainedFeatures(0.02, 0.03 / radius_factor**2)),
        ("penalised DEQ, ρ=0.4", PenalisedDEQ(0.02, 0.03, 0.4), PenalisedDEQ(0.02, 0.03 / radius_factor**2, 0.4)),
    )

    def check(ctx: Context) -> Evidence:
        rows: list[Comparison] = []
        for label, true, relaxed in cases:
            convex = solve(relaxed, prior)
            # The certificate's upper end is the value at exact rational factors, feasible for the original problem.
            rows.append(
                compare(
                    f"{label}: certificate",
                    convex.value,
                    enclose(solve(true, prior), ctx, f"relaxation-{len(rows)}"),
                    "certificate",
                )
            )
            found = ctx.once(f"direct {label}", partial(_direct_value, true, prior, ctx.seed))
            value = Enclosure.around(found, 1e-9 * found)
            rows.append(compare(f"{label}: factors", convex.value, value, "direct solver", relative=1e-6))
        sdp = solve(cases[0][2], prior, method="sdp")
        rows.append(
            compare("layer-peeled: 2K x 2K SDP", sdp.value, floating(solve(cases[0][1], prior)), "SDP", relative=1e-5)
        )
        return evidence(
            "the convex value, the 2K × 2K SDP and the factors optimised from random starts agree on 4 architectures",
            proofs=[symbolic("nuclear-norm-factorisation", **variant)] if radius_factor == 1 else [],
            comparisons=rows,
        )

    return Claim(
        id="relaxation-tight",
        title="The convex relaxation is tight",
        statement="The least (λ_W/2)|W|_F² + (λ_H/2)|H|_F² over W H = Z is √λ_H √λ_W |Z|_*. W H = Z with |W|_F² ≤ K E_W, "
        "|H|_F² ≤ K E_H is possible if and only if |Z|_* ≤ K √E_H √E_W. |Z|_* is the least 1/2 (tr P + tr Q) over "
        "[[P, Z], [Zᵀ, Q]] ⪰ 0.",
        source="Fang et al. 2021 (SDP relaxation); Hong & Ling 2023 (nuclear norm)",
        scope=Scope(("ce", "mse", "convex"), ("layer-peeled", "weight-decay"), dimension="rank"),
        check=check,
        group=GROUP,
        papers=("fang2021", "hong2023"),
        topic="reduction",
        standing="sharpened",
    )


def _direct_value(architecture: Architecture, prior: ClassPrior, seed: int) -> float:
    """Least value that the factors themselves reach."""
    return float(solve(architecture, prior, method="direct", seed=seed).value)


def spectral_shrink(rho: float) -> float:
    """``1 - rho``, by which a spectral DEQ lowers the norm it pays."""
    return 1 - rho


def deq_is_rescaled_claim(shrink: Callable[[float], float] = spectral_shrink, **variant: Any) -> Claim:
    """The spectral DEQ is the layer-peeled model of radius tau/(1-rho); ``shrink`` replaces rho -> 1 - rho."""

    def check(ctx: Context) -> Evidence:
        rows: list[Comparison] = []
        for prior in (ClassPrior.step(2, 2, 5.0), ClassPrior.step(3, 7, 50.0), ClassPrior([9, 4, 2, 2])):
            for rho in (0.3, 0.5):
                factor = shrink(rho)
                explicit = solve(LayerPeeled(1.0, 1.0 / factor**2), prior)
                deq = solve(LinearDEQ(1.0, 1.0, rho), prior)
                rows.append(
                    compare(
                        f"{prior!r}, ρ={rho}", explicit.value, enclose(deq, ctx, f"rescaled-{len(rows)}"), "certificate"
                    )
                )
        prior = ClassPrior.step(2, 2, 5.0)
        factor = shrink(0.5)
        direct = solve(LinearDEQ(1.0, 1.0, 0.5), prior, method="direct", seed=ctx.seed)
        explicit = solve(LayerPeeled(1.0, 1.0 / factor**2), prior)
        value = Enclosure.around(direct.value, 1e-9 * direct.value)
        rows.append(
            compare("optimised (W, A, H), K=4, R=5, ρ=0.5", explicit.value, value, "direct solver", relative=1e-6)
        )
        return evidence(
            f"DEQ and explicit network at τ/(1−ρ) agree on {len(rows) - 1} certified instances and with optimised (W, A, H)",
            proofs=[symbolic("spectral-deq-gauge", **variant)] if shrink is spectral_shrink else [],
            comparisons=rows,
        )

    return Claim(
        id="deq-is-rescaled-lpm",
        title="A spectral DEQ is a layer-peeled model at τ/(1−ρ)",
        statement="The logits W (I − A)⁻¹ H of the DEQ are exactly those with (1 − ρ) |Z|_* ≤ τ, that is |Z|_* ≤ τ/(1 − ρ), "
        "τ = K √(E_W E_H).",
        source="Derived here (Neumann series); Sun & Shi 2024 for the setting",
        scope=Scope(("ce", "mse", "convex"), ("spectral-deq",), dimension="rank"),
        check=check,
        group=GROUP,
        papers=("sun2024",),
        topic="deq",
    )


def deq_loss_lower_claim(reverse: bool = False) -> Claim:
    """The DEQ reaches a strictly lower loss; ``reverse`` claims the opposite (for the false variant)."""

    def check(ctx: Context) -> Evidence:
        statuses: list[Status] = []
        gains: list[float] = []
        for k_a, k_b in ((3, 7), (5, 5), (7, 3)):
            for ratio in (10.0, 50.0, 100.0):
                prior = ClassPrior.step(k_a, k_b, ratio)
                explicit = solve(LayerPeeled(1.0, 5.0), prior)
                for rho in (0.3, 0.5):
                    deq = solve(LinearDEQ(1.0, 5.0, rho), prior)
                    name = f"loss-KA{k_a}-R{ratio:g}"
                    pair = (enclose(deq, ctx, f"{name}-rho{rho:g}"), enclose(explicit, ctx, name))
                    statuses.append(judge_order(*(pair[::-1] if reverse else pair), strict=True))
                    gains.append(1 - deq.value / explicit.value)
        return evidence(
            f"loss lower by {min(gains):.1%} to {max(gains):.1%} on {len(statuses)} settings, each certified",
            proofs=[] if reverse else [symbolic("spectral-deq-gauge"), symbolic("loss-decreases")],
            numeric=combine(statuses),
            established_by=(f"certificates on {len(statuses)} pairs",),
            details={"smallest relative gain": min(gains), "largest relative gain": max(gains)},
        )

    return Claim(
        id="deq-loss-lower",
        title="At equal budgets the DEQ's optimal loss is lower",
        statement="The logits W (I − A)⁻¹ H of the DEQ are exactly those with (1 − ρ) |Z|_* ≤ τ, that is |Z|_* ≤ τ/(1 − ρ), "
        "τ = K √(E_W E_H). The minimum of the cross-entropy over |Z|_* ≤ δ + τ, δ > 0, lies strictly below its minimum over "
        "|Z|_* ≤ τ.",
        source="Corollary of the rescaling, derived here",
        scope=Scope(("ce",), ("spectral-deq",), dimension="K - 1"),
        check=check,
        group=GROUP,
        papers=("sun2024",),
        topic="deq",
        standing="confirmed",
    )


CLAIMS = (
    within_class_claim(),
    replace(
        slack_claim(),
        variants={
            "slack budgets: E_H = 2 − 10⁻⁶": slack_claim(Fraction(2) - Fraction(1, 10**6)),
            "slack budgets: features that coincide": slack_claim(apart=Fraction(0)),
        },
    ),
    replace(
        relaxation_claim(),
        variants={
            "relaxation: radius larger by 10⁻³": relaxation_claim(1.001),
            "relaxation: radius smaller by 10⁻³": relaxation_claim(0.999),
        },
        off_by=lambda x: relaxation_claim(1 + x),
        resolution=1e-9,
    ),
    replace(
        deq_is_rescaled_claim(),
        variants={
            "rescaled DEQ: factor 1+ρ": deq_is_rescaled_claim(shrink=lambda rho: 1 + rho),
            "rescaled DEQ: factor (1−ρ)²": deq_is_rescaled_claim(shrink=lambda rho: (1 - rho) ** 2),
            "rescaled DEQ: factor ρ": deq_is_rescaled_claim(shrink=lambda rho: rho * 1.01),
        },
        off_by=lambda x: deq_is_rescaled_claim(shrink=lambda rho: (1 - rho) * (1 + x)),
        resolution=1e-9,
    ),
    replace(deq_loss_lower_claim(), variants={"loss: DEQ higher": deq_loss_lower_claim(reverse=True)}),
)
