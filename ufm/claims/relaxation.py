"""From the network to the convex problem: within-class collapse, and the relaxation that loses nothing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.optimize import minimize
from scipy.special import logsumexp

from ufm.architectures import Architecture, LayerPeeled, LinearDEQ, PenalisedDEQ, UnconstrainedFeatures
from ufm.claims._model import Claim, Context, Enclosure, Evidence, Status, combine, judge_order
from ufm.claims._tools import Comparison, compare, enclose, evidence, floating, symbolic
from ufm.labels import ClassPrior
from ufm.solvers import solve

__all__ = ["CLAIMS", "per_sample_optimum", "relaxation_claim", "within_class_claim"]

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


def within_class_claim(**variant: object) -> Claim:
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
        title="Features of a class coincide at an optimum (NC1)",
        statement="For CE and MSE, any class counts and any architecture here, replacing the features of a class by their "
        "mean does not raise the risk and strictly lowers Σ|h|² unless they coincide: at an optimum they do.",
        source="Jensen's inequality; Papyan, Han, Donoho 2020 (NC1); Zhu et al. 2021",
        hypotheses=("features are free variables", "squared-norm budget or penalty on the features"),
        check=check,
        group=GROUP,
    )


def relaxation_claim(radius_factor: float = 1.0, **variant: object) -> Claim:
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
            rows.append(compare(f"{label}: certificate", convex.value, enclose(solve(true, prior)), "certificate"))
            factors = solve(true, prior, method="direct", seed=ctx.seed)
            value = Enclosure.around(factors.value, 1e-9 * factors.value)
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
        statement="Minimising over the factors (W, H), or (W, A, H) of a DEQ with |A|₂ ≤ ρ, equals minimising over logits with "
        "a nuclear-norm ball or penalty, because |Z|_* = min ½(|W|_F² + |H|_F²) over W H = Z whenever d ≥ rank Z.",
        source="Fang et al. 2021 (SDP relaxation); Hong & Ling 2023 (nuclear norm)",
        hypotheses=("d ≥ K", "convex risk of the logits"),
        check=check,
        group=GROUP,
    )


def spectral_shrink(rho: float) -> float:
    """``1 - rho``, by which a spectral DEQ lowers the norm it pays."""
    return 1 - rho


def deq_is_rescaled_claim(shrink: Callable[[float], float] = spectral_shrink, **variant: object) -> Claim:
    """The spectral DEQ is the layer-peeled model of radius tau/(1-rho); ``shrink`` replaces rho -> 1 - rho."""

    def check(ctx: Context) -> Evidence:
        rows: list[Comparison] = []
        for prior in (ClassPrior.step(2, 2, 5.0), ClassPrior.step(3, 7, 50.0), ClassPrior([9, 4, 2, 2])):
            for rho in (0.3, 0.5):
                factor = shrink(rho)
                explicit = solve(LayerPeeled(1.0, 1.0 / factor**2), prior)
                deq = solve(LinearDEQ(1.0, 1.0, rho), prior)
                rows.append(compare(f"{prior!r}, ρ={rho}", explicit.value, enclose(deq), "certificate"))
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
        statement="Over z* = A z* + h with |A|₂ ≤ ρ < 1 the logits W (I−A)⁻¹ H reach exactly |Z|_* ≤ τ/(1−ρ): same optimal "
        "logits, value and thresholds as an explicit network with the radius τ/(1−ρ).",
        source="Derived here (Gelfand-Naimark, Mirsky); Sun & Shi 2024 for the setting",
        hypotheses=("|A|₂ ≤ ρ, 0 ≤ ρ < 1", "no Frobenius budget or penalty on A", "d ≥ K"),
        check=check,
        group=GROUP,
    )


def deq_loss_lower_claim(reverse: bool = False) -> Claim:
    """The DEQ reaches a strictly lower loss; ``reverse`` claims the opposite (for the false variant)."""

    def check(_: Context) -> Evidence:
        statuses: list[Status] = []
        gains: list[float] = []
        for k_a, k_b in ((3, 7), (5, 5), (7, 3)):
            for ratio in (10.0, 50.0, 100.0):
                prior = ClassPrior.step(k_a, k_b, ratio)
                explicit = solve(LayerPeeled(1.0, 5.0), prior)
                for rho in (0.3, 0.5):
                    deq = solve(LinearDEQ(1.0, 5.0, rho), prior)
                    pair = (enclose(deq), enclose(explicit))
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
        statement="For 0 < ρ < 1 and equal (E_W, E_H, prior) the optimal cross-entropy of the spectral DEQ is strictly below that "
        "of the explicit network: its ball of logits is larger by 1/(1−ρ), and the constraint is active under CE.",
        source="Corollary of the rescaling, derived here",
        hypotheses=("|A|₂ ≤ ρ, 0 < ρ < 1", "cross-entropy"),
        check=check,
        group=GROUP,
    )


CLAIMS = (within_class_claim(), relaxation_claim(), deq_is_rescaled_claim(), deq_loss_lower_claim())
