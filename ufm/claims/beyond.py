"""Where a claim or a conjecture fails, and what is left of it."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np

from ufm._words import scientific
from ufm.certificates import certify_square_code
from ufm.claims._model import Claim, Context, Evidence, Scope, Status
from ufm.claims._tools import evidence, keep, second_kernel, symbolic
from ufm.two_groups.thresholds import threshold_curve

__all__ = ["CLAIMS", "power_claim"]

#: Two groups with budgets, for which the threshold curve is proved.
TWO_GROUPS = Scope(models=("layer-peeled", "spectral-deq"), groups=(2, 2), minority=2, dimension="K - 1")

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


#: K_A and K_B of the curves that are searched, and how far their parameter goes from its least value on.
SEARCHED = ((1, 2, 3, 5, 10, 50, 300), (2, 3, 5, 10, 50, 300))
ALONG = (0.01, 8.0)


def _largest() -> float:
    """The largest τ/K that every curve reaches, to 1 digit from below."""
    least = min(
        max(threshold_curve(0.5 * math.log(a / b) - x, a, b)[0] for x in ALONG) / (a + b)
        for a, b in itertools.product(*SEARCHED)
    )
    unit = 10.0 ** math.floor(math.log10(least))
    return math.floor(least / unit) * unit


def power_claim(exponent: float = 1.0) -> Claim:
    """``R*_DEQ >= (R*_LPM)^{1/(1-rho)}``; another ``exponent`` of 1/(1-rho) is a false variant."""

    def check(ctx: Context) -> Evidence:
        # With L = log R*: L(x tau) >= x^exponent L(tau) for all x >= 1 iff L/tau^exponent does not fall.
        pairs = list(itertools.product(*SEARCHED))
        points = 4000 if ctx.full else 800
        smallest = math.inf
        at = ""
        for k_a, k_b in pairs:
            top = 0.5 * math.log(k_a / k_b)
            curve = [threshold_curve(top - x, k_a, k_b) for x in np.geomspace(*ALONG, points)]
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
        statement="R*_DEQ(τ, ρ) ≥ R*_LPM(τ)^{1/(1−ρ)}: log R*(τ)/τ does not fall, although log R* is not convex.",
        region=f"searched for K_A ≤ {SEARCHED[0][-1]}, K_B ≤ {SEARCHED[1][-1]} and τ/K up to {scientific(_largest())}",
        source="Weaker than the conjecture that log R* is convex, which fails; open, searched for counterexamples here",
        scope=TWO_GROUPS,
        check=check,
        group=GROUP,
        topic="minority-collapse",
    )


NOT_CONVEX = Claim(
    id="threshold-not-log-convex",
    title="The conjecture that log R*(τ) is convex is false",
    statement="For no K_A ≥ 1, K_B ≥ 2 is log R*(τ) a convex function of τ: its slope tends to 1/(a + K_A − 1), "
    "a = √(K_B/(K_A + K_B)), and is > that for all large τ.",
    source="Refutes a natural conjecture, derived here",
    scope=replace(TWO_GROUPS, models=("layer-peeled",)),
    check=_not_convex,
    group=GROUP,
    topic="minority-collapse",
)


CLAIMS = (
    Claim(
        id="deq-frobenius-counterexample",
        title="P1 without a spectral bound is false: the square code beats the ETF",
        statement="At K = 4, τ = 4, E_A = 1/2 the square code has the risk log(1 + 2 e^{−2} + e^{−4}), which is < "
        "log(1 + 3 e^{−4/(3 − √(6)/2)}), the least risk of a multiple of the simplex ETF.",
        source="Counterexample to Sun & Shi 2024 (claim P1) read without a bound on |A|₂, derived here",
        scope=Scope(
            models=("frobenius-deq",),
            classes=(4, 4),
            groups=(1, 1),
            dimension="K - 1",
            conditions=("E_W = E_H = 1, E_A = 1/2, 1/2 ≤ ρ < 1",),
        ),
        check=_square_code,
        group=GROUP,
        papers=("sun2024",),
        topic="deq",
        standing="refuted",
    ),
    replace(
        NOT_CONVEX,
        variants={
            "threshold: the limit of its slope behind an equilibrium layer": replace(NOT_CONVEX, scope=TWO_GROUPS)
        },
    ),
    replace(
        power_claim(),
        variants={
            "threshold of the DEQ: power 1.1/(1−ρ)": power_claim(exponent=1.1),
            "threshold of the DEQ: power (1−ρ)⁻²": power_claim(exponent=2.0),
        },
        # a smaller power is a weaker statement, and true if this one is
        off_by=lambda x: power_claim(exponent=1 + abs(x)),
        resolution=1e-5,
    ),
    Claim(
        id="uncapped-deq-minimiser",
        title="Without a cap on A the penalised DEQ may have no minimiser, but not always",
        statement="With κ = √(λ_W λ_H n), n samples a class: the infimum is not attained if λ_A < log(K) and λ_A < 2 K κ². It is "
        "attained if λ_A ≥ 2 log(K), and always once |A|₂ ≤ ρ < 1 is demanded.",
        source="Derived here; the statement without a condition on λ_A is false",
        scope=Scope(
            models=("uncapped-deq",),
            classes=(3, None),
            groups=(1, 1),
            dimension="K",
            conditions=("I − A invertible",),
        ),
        region="between log K and 2 log K, and for λ_A between 2 K κ² and log K, it is open",
        check=_uncapped,
        group=GROUP,
        topic="deq",
    ),
)
