"""Where a claim or a conjecture fails, and what is left of it."""

from __future__ import annotations

import math

import numpy as np

from ufm.certificates import certify_square_code
from ufm.claims._model import Claim, Context, Evidence, Status
from ufm.claims._tools import evidence, keep, second_kernel, symbolic
from ufm.two_groups.thresholds import threshold_curve

__all__ = ["CLAIMS", "power_claim"]

GROUP = "Where claims and conjectures fail"


def _square_code(ctx: Context) -> Evidence:
    certificate = keep(ctx, "square-code-beats-etf", certify_square_code())
    status, kernels = second_kernel([certificate])
    square = math.log(1 + 2 * math.exp(-2) + math.exp(-4))
    etf = math.log(1 + 3 * math.exp(-4 / (3 - math.sqrt(1.5))))
    return evidence(
        f"square code {square:.6f} < {etf:.6f}, the best simplex ETF: exactly rational factors, certified",
        proofs=[symbolic("square-code-beats-etf")],
        numeric=status,
        established_by=(kernels,),
        details={"square code": square, "best ETF": etf, "certificate": certificate.claim},
    )


def _not_convex(_: Context) -> Evidence:
    slopes = {}
    for k_a, k_b in ((2, 2), (5, 5), (3, 7), (8, 2)):
        top = 0.5 * math.log(k_a / k_b)
        tau, log_ratio = np.array([threshold_curve(top - x, k_a, k_b) for x in np.geomspace(0.01, 8, 2000)]).T
        slope = np.diff(log_ratio) / np.diff(tau)
        steepest = int(slope.argmax())
        slopes[f"K_A={k_a}, K_B={k_b}"] = {
            "steepest at tau/K": float(tau[steepest] / (k_a + k_b)),
            "slope there": float(slope[steepest]),
            "slope at the end": float(slope[-1]),
            "limit of the slope": 1 / (k_a - 1 + math.sqrt(k_b / (k_a + k_b))),
        }
    falls = all(row["slope there"] > row["slope at the end"] * (1 + 1e-6) for row in slopes.values())
    first = slopes["K_A=5, K_B=5"]
    return evidence(
        f"for K_A = K_B = 5 the slope of log R* peaks at {first['slope there']:.5f} (τ/K ≈ {first['steepest at tau/K']:.0f}) and falls "
        f"to its limit {first['limit of the slope']:.5f}",
        proofs=[symbolic("threshold-not-log-convex")],
        numeric=Status.supported if falls else Status.inconclusive,
        established_by=("slopes along the exact curve",),
        details={"slopes": slopes},
    )


def _uncapped(_: Context) -> Evidence:
    return evidence(
        "no minimiser for λ_A < min(log K, 2Kλ²n), a minimiser for λ_A ≥ 2 log K or with a cap; between them open",
        proofs=[symbolic("uncapped-deq-no-minimiser")],
    )


def power_claim(exponent: float = 1.0) -> Claim:
    """``R*_DEQ >= (R*_LPM)^{1/(1-rho)}``; another ``exponent`` of 1/(1-rho) is a false variant."""

    def check(ctx: Context) -> Evidence:
        # With L = log R*: L(x tau) >= x^exponent L(tau) for all x >= 1 iff L/tau^exponent does not fall.
        pairs = [(a, b) for a in (1, 2, 3, 5, 10, 50, 300) for b in (2, 3, 5, 10, 50, 300)]
        points = 4000 if ctx.full else 800
        smallest = math.inf
        at = ""
        for k_a, k_b in pairs:
            top = 0.5 * math.log(k_a / k_b)
            curve = [threshold_curve(top - x, k_a, k_b) for x in np.geomspace(0.01, 8, points)]
            level = [log_ratio / tau**exponent for tau, log_ratio in curve]
            for i in range(points - 1):
                rise = level[i + 1] / level[i] - 1
                if rise < smallest:
                    smallest, at = rise, f"K_A={k_a}, K_B={k_b}, τ/K={curve[i][0] / (k_a + k_b):.3g}"
        return evidence(
            f"log R*/τ rises between all {points} points of {len(pairs)} curves (smallest relative rise {smallest:.1e} at {at})",
            numeric=Status.supported if smallest > 1e-12 else Status.inconclusive,
            established_by=(f"search over {points * len(pairs)} points of the exact curves",),
            details={"smallest relative rise": smallest, "at": at},
        )

    return Claim(
        id="deq-threshold-power",
        title="Consequence that survives: R*_DEQ ≥ (R*_LPM)^{1/(1−ρ)}",
        statement="For two groups under CE with budgets, R*_DEQ(τ, ρ) ≥ R*_LPM(τ)^{1/(1−ρ)}: log R*(τ)/τ does not fall, although log R* is "
        "not convex.",
        source="Weaker than the conjecture that log R* is convex, which fails; open, searched for counterexamples here",
        hypotheses=("K_A ≥ 1, K_B ≥ 2", "cross-entropy", "0 ≤ ρ < 1"),
        check=check,
        group=GROUP,
    )


CLAIMS = (
    Claim(
        id="deq-frobenius-counterexample",
        title="P1 without a spectral bound is false: the square code beats the ETF",
        statement="For balanced classes and a linear DEQ with a Frobenius budget |A|_F² ≤ E_A in place of a small spectral bound, the simplex "
        "ETF need not be optimal: for K = 4, τ = 4, E_A = ½ the square code has risk log(1 + 2e⁻² + e⁻⁴), below the best ETF's "
        "log(1 + 3 e^{−4/(3−√(3/2))}).",
        source="Counterexample to Sun & Shi 2024 (claim P1) read without a bound on |A|₂, derived here",
        hypotheses=("K = 4 balanced classes", "E_W = E_H = 1", "|A|_F² ≤ ½, |A|₂ ≤ ρ with ρ ≥ ½"),
        check=_square_code,
        group=GROUP,
    ),
    Claim(
        id="threshold-not-log-convex",
        title="The conjecture that log R*(τ) is convex is false",
        statement="For no K_A ≥ 1, K_B ≥ 2 is log R*(τ) a convex function of τ: its slope exceeds its limit 1/(K_A − 1 + √(K_B/K)) for all "
        "large τ.",
        source="Refutes a natural conjecture, derived here",
        hypotheses=("two groups", "cross-entropy with budgets"),
        check=_not_convex,
        group=GROUP,
    ),
    power_claim(),
    Claim(
        id="uncapped-deq-minimiser",
        title="Without a cap on A the penalised DEQ may have no minimiser, but not always",
        statement="For K ≥ 3 balanced classes of n samples, cross-entropy and the penalty (λ_A/2)|A|_F² with no bound on |A|₂: if λ_A < log K "
        "and λ_A < 2Kλ²n, λ = √(λ_W λ_H), the infimum is not attained (a_i → 1); if λ_A ≥ 2 log K it is. With |A|₂ ≤ ρ < 1 it always is.",
        source="Derived here; the statement without a condition on λ_A is false",
        hypotheses=("balanced classes, K ≥ 3", "cross-entropy", "I − A invertible"),
        check=_uncapped,
        group=GROUP,
    ),
)
