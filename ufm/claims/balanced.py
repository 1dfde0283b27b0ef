"""Balanced classes: the simplex ETF is optimal, for explicit networks and for the DEQ with a spectral bound."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ufm.architectures import LayerPeeled, LinearDEQ
from ufm.claims._model import Claim, Context, Evidence, Scope, Status
from ufm.claims._tools import Comparison, compare, enclose, evidence, floating, symbolic
from ufm.labels import ClassPrior
from ufm.solvers import solve

__all__ = ["CLAIMS", "deq_balanced_claim", "layer_peeled_claim"]

GROUP = "Balanced classes"

#: (K, E_W, E_H) of the certified instances; tau/K from 1/2 to 4.
SETTINGS: tuple[tuple[int, float, float], ...] = (
    (2, 1.0, 1.0),
    (3, 0.5, 0.5),
    (4, 1.0, 4.0),
    (10, 1.0, 5.0),
    (37, 2.0, 8.0),
)


def etf_value(num_classes: int, radius: float) -> float:
    """``log(1 + (K-1) e^{-radius/(K-1)})``."""
    return math.log1p((num_classes - 1) * math.exp(-radius / (num_classes - 1)))


def layer_peeled_claim(value: Callable[[int, float], float] = etf_value, **variant: Any) -> Claim:
    """The claim; ``value`` and ``variant`` replace the claimed value in instances and proof (for false variants)."""

    def check(ctx: Context) -> Evidence:
        rows: list[Comparison] = []
        worst = 0.0
        for k, e_w, e_h in SETTINGS:
            architecture, prior = LayerPeeled(e_w, e_h), ClassPrior.balanced(k)
            solution = solve(architecture, prior)
            rows.append(
                compare(
                    f"K={k}, E_W={e_w}, E_H={e_h}",
                    value(k, k * math.sqrt(e_w * e_h)),
                    enclose(solution, ctx, f"balanced-K{k}"),
                    "certificate",
                )
            )
            worst = max(worst, solution.geometry.etf_error, solution.geometry.self_duality_error)
        for method in ("nuclear", "direct"):
            k, e_w, e_h = SETTINGS[2]
            solution = solve(LayerPeeled(e_w, e_h), ClassPrior.balanced(k), method=method, seed=ctx.seed)
            claimed = value(k, k * math.sqrt(e_w * e_h))
            rows.append(compare(f"K={k}, {method}", claimed, floating(solution), f"{method} solver", relative=1e-6))
            # the square of an error in the value is what an error in the geometry costs
            worst = max(worst, solution.geometry.etf_error if method == "direct" else 0.0)
        geometry = Status.supported if worst <= 1e-4 else Status.inconclusive
        return evidence(
            f"value matches certified enclosures for K = {', '.join(str(s[0]) for s in SETTINGS)}; "
            f"largest ETF or self-duality error {worst:.1e}",
            proofs=[symbolic("balanced-layer-peeled-etf", **variant)] if value is etf_value else [],
            comparisons=rows,
            numeric=geometry,
            details={"largest geometry error": worst},
        )

    return Claim(
        id="lpm-balanced-etf",
        title="Balanced layer-peeled optimum is the simplex ETF",
        statement="The minimum of the cross-entropy over |Z|_* ≤ τ, τ = K √(E_W E_H), is log(1 + (K − 1) e^{−τ/(K − 1)}), "
        "attained at Z = s (I − 11ᵀ/K) with s = τ/(K − 1), by class means and classifiers that form a simplex ETF and are "
        "self-dual.",
        source="Fang, He, Long, Su 2021, Theorem 1; Papyan, Han, Donoho 2020 (NC2, NC3)",
        scope=Scope(models=("layer-peeled",), groups=(1, 1), dimension="K - 1"),
        check=check,
        group=GROUP,
        papers=("fang2021", "papyan2020"),
        topic="balance",
        standing="confirmed",
    )


def spectral_radius(tau: float, rho: float) -> float:
    """``tau/(1-rho)``, the radius of the explicit network that a spectral DEQ equals."""
    return tau / (1 - rho)


def deq_balanced_claim(
    radius: Callable[[float, float], float] = spectral_radius,
    rhos: Sequence[float] = (0.0, 0.3, 0.5, 0.9),
    **variant: Any,
) -> Claim:
    """The claim; ``radius`` maps (tau, rho) to the claimed radius of the equivalent explicit network."""

    def check(ctx: Context) -> Evidence:
        rows: list[Comparison] = []
        # one bound is drawn at random, so that a formula right at the listed ones alone does not pass
        drawn = float(np.random.default_rng(ctx.seed).uniform(0.05, 0.95))
        for k, e_w, e_h in SETTINGS[:4]:
            for rho in (*rhos, drawn):
                tau = k * math.sqrt(e_w * e_h)
                solution = solve(LinearDEQ(e_w, e_h, rho), ClassPrior.balanced(k))
                claimed = etf_value(k, radius(tau, rho))
                rows.append(
                    compare(
                        f"K={k}, τ={tau:.4g}, ρ={rho}",
                        claimed,
                        enclose(solution, ctx, f"deq-balanced-K{k}-rho{rho:.3g}"),
                        "certificate",
                    )
                )
        direct = solve(LinearDEQ(1.0, 1.0, 0.5), ClassPrior.balanced(3), method="direct", seed=ctx.seed)
        rows.append(
            compare(
                "K=3, τ=3, ρ=0.5, factors W, A, H",
                etf_value(3, radius(3.0, 0.5)),
                floating(direct),
                "direct solver",
                relative=1e-6,
            )
        )
        error = max(direct.geometry.etf_error, direct.geometry.self_duality_error)
        return evidence(
            f"value matches certified enclosures on {len(rows) - 1} instances; optimised (W, A, H) reach it with ETF and "
            f"self-duality error ≤ {error:.1e}",
            proofs=[symbolic("balanced-spectral-deq-etf", **variant)] if radius is spectral_radius else [],
            comparisons=rows,
            numeric=Status.supported if error <= 1e-4 else Status.inconclusive,
        )

    return Claim(
        id="deq-balanced-etf",
        title="P1: the balanced DEQ's optimum is the simplex ETF (spectral bound)",
        statement="The minimum of the cross-entropy over W, A, H is log(1 + (K − 1) e^{−τ/((1 − ρ) (K − 1))}), "
        "τ = K √(E_W E_H), attained by equilibrium features (I − A)⁻¹ H and classifiers that form a simplex ETF and are "
        "self-dual.",
        source="Sun & Shi 2024 (claim P1, neural collapse in a DEQ under balance), made precise with a spectral bound",
        scope=Scope(models=("spectral-deq",), groups=(1, 1), dimension="K - 1"),
        check=check,
        group=GROUP,
        papers=("sun2024",),
        topic="balance",
        standing="corrected",
    )


def _log1p_exp(k: float, exponent: float) -> float:
    return math.log1p(k * math.exp(exponent))


CLAIMS = (
    replace(
        layer_peeled_claim(),
        variants={
            "balanced value: exponent −τ/K": layer_peeled_claim(lambda k, t: _log1p_exp(k - 1, -t / k)),
            "balanced value: exponent −τ": layer_peeled_claim(lambda k, t: _log1p_exp(k - 1, -t)),
            "balanced value: exponent +τ/(K−1)": layer_peeled_claim(lambda k, t: _log1p_exp(k - 1, t / (k - 1))),
            "balanced value: K instead of K−1 wrong classes": layer_peeled_claim(
                lambda k, t: _log1p_exp(k, -t / (k - 1))
            ),
            "balanced value: too small by 10⁻⁶": layer_peeled_claim(lambda k, t: etf_value(k, t) * (1 - 1e-6)),
            "balanced value: radius of the Frobenius norm": layer_peeled_claim(
                lambda k, t: etf_value(k, t * math.sqrt(k - 1)) if k > 2 else 1.0
            ),
        },
        off_by=lambda x: layer_peeled_claim(lambda k, t: etf_value(k, t) * (1 + x)),
        resolution=1e-9,
    ),
    replace(
        deq_balanced_claim(),
        variants={
            "balanced DEQ: τ(1−ρ)": deq_balanced_claim(lambda t, rho: t * (1 - rho)),
            "balanced DEQ: τ/(1+ρ)": deq_balanced_claim(lambda t, rho: t / (1 + rho)),
            "balanced DEQ: τ/(1−ρ²)": deq_balanced_claim(lambda t, rho: t / (1 - rho * rho)),
            "balanced DEQ: τ/(1−ρ)²": deq_balanced_claim(lambda t, rho: t / (1 - rho) ** 2),
            "balanced DEQ: ρ for 1−ρ": deq_balanced_claim(lambda t, rho: t / rho, rhos=(0.3, 0.9)),
        },
        off_by=lambda x: deq_balanced_claim(lambda t, rho: t / (1 - rho) * (1 + x)),
        resolution=1e-9,
    ),
)
