"""Maps under a spectral bound: residual blocks, unrolled steps, flows and fixed points are worth their gain at the bound."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ufm.architectures import Gain, LayerPeeled, UnconstrainedFeatures
from ufm.claims._figures import curves_figure
from ufm.claims._model import Claim, Context, Evidence, Figure, Scope, Status, combine, judge_order
from ufm.claims._tools import Comparison, compare, enclose, evidence, floating, symbolic
from ufm.claims.balanced import etf_value
from ufm.labels import ClassPrior
from ufm.solvers import solve

__all__ = ["CLAIMS", "etf_claim", "gauge_claim", "order_claim", "threshold_claim", "unrolled_claim"]

GROUP = "Gains: residual blocks, unrolled steps, flows, fixed points"

#: The kinds with what they need, and their gains at a bound.
KINDS: tuple[tuple[dict[str, Any], Callable[[float], float]], ...] = (
    ({"kind": "residual", "depth": 3}, lambda x: (1 + x) ** 3),
    ({"kind": "unrolled", "depth": 4}, lambda x: 1 + x + x * x + x**3),
    ({"kind": "ode"}, math.exp),
    ({"kind": "deq"}, lambda x: 1 / (1 - x)),
)


def gauge_claim(gain: Callable[[float], float] = lambda g: g) -> Claim:
    """Attainable logits are those of radius ``gain(g(rho)) tau``."""

    def check(ctx: Context) -> Evidence:
        rows: list[Comparison] = []
        prior, rho = ClassPrior.step(2, 3, 6.0), 0.4
        for kind, g in KINDS:
            explicit = solve(LayerPeeled(0.5, 0.5 * gain(g(rho)) ** 2), prior)
            found = solve(Gain(0.5, 0.5, rho, **kind), prior)
            rows.append(
                compare(str(kind["kind"]), explicit.value, enclose(found, ctx, f"gain-{kind['kind']}"), "certificate")
            )
        kind, g = KINDS[1]
        small = ClassPrior([3, 1])
        direct = solve(Gain(0.5, 0.5, rho, **kind), small, method="direct", seed=ctx.seed)
        explicit = solve(LayerPeeled(0.5, 0.5 * gain(g(rho)) ** 2), small)
        rows.append(
            compare("optimised (W, A, H), unrolled", explicit.value, floating(direct), "direct solver", relative=1e-6)
        )
        return evidence(
            "every kind agrees with the layer-peeled model at g(ρ) τ on certified instances, one with optimised (W, A, H)",
            proofs=[symbolic("gain-gauge")] if gain(2.0) == 2.0 else [],
            comparisons=rows,
        )

    return Claim(
        id="gain-gauge",
        title="Residual blocks, unrolled steps, flows and fixed points: a layer-peeled model at g(ρ) τ",
        statement="Let g(x) be (1 + x)^L, 1 + x + ⋯ + x^{T − 1}, e^x, or 1/(1 − x) with ρ < 1: the logits W g(A) H with |A|₂ ≤ ρ are exactly "
        "those with |Z|_* ≤ g(ρ) τ, τ = K √(E_W E_H).",
        source="Derived here; Sun & Shi 2024 for the fixed point",
        scope=Scope(("ce", "mse", "convex"), ("gain",), dimension="rank"),
        check=check,
        group=GROUP,
        papers=("sun2024",),
        topic="deq",
    )


def etf_claim(radius: Callable[[float, float], float] = lambda tau, g: g * tau) -> Claim:
    """The balanced value at every gain; ``radius`` replaces ``g tau``."""

    def check(ctx: Context) -> Evidence:
        rows: list[Comparison] = []
        for k in (3, 10):
            for rho in (0.2, 0.6):
                for kind, g in KINDS:
                    claimed = etf_value(k, radius(0.7 * k, g(rho)))
                    found = solve(Gain(0.7, 0.7, rho, **kind), ClassPrior.balanced(k))
                    name = f"gain-etf-{kind['kind']}-K{k}-rho{rho}"
                    rows.append(
                        compare(f"K={k}, ρ={rho}, {kind['kind']}", claimed, enclose(found, ctx, name), "certificate")
                    )
        return evidence(
            f"value matches {len(rows)} certified enclosures",
            proofs=[symbolic("gain-balanced-etf")] if radius(2.0, 3.0) == 6.0 else [],
            comparisons=rows,
        )

    return Claim(
        id="gain-balanced-etf",
        title="Balanced classes, any map of bounded gain: the simplex ETF is optimal",
        statement="With the gain G = g(ρ), the minimum of the cross-entropy over W, A, H is log(1 + (K − 1) e^{−G τ/(K − 1)}), τ = K √(E_W E_H), "
        "attained by features g(A) H and classifiers that form a simplex ETF and are self-dual; it falls as G grows.",
        source="Sun & Shi 2024 (claim P1) for the fixed point; derived here for the other kinds",
        scope=Scope(models=("gain",), groups=(1, 1), dimension="K - 1"),
        hypotheses=("g(x) = (1 + x)^L, 1 + x + ⋯ + x^{T − 1}, e^x, or 1/(1 − x) with ρ < 1",),
        check=check,
        group=GROUP,
        papers=("sun2024",),
        topic="deq",
        standing="sharpened",
        core=False,
    )


def threshold_claim(power: float = 2.0, **variant: Any) -> Claim:
    """Collapse under weight decay iff ``n_B <= N^2 lambda_W lambda_H/G^power``."""

    def check(ctx: Context) -> Evidence:
        wrong = []
        prior = ClassPrior([40, 40, 6, 6])
        for kind, g in KINDS:
            gain = g(0.45)
            for near in (1e-2, 1e-4):
                for side in (-near, near):
                    # n_B at 1 + side of the bound: lambda_W = lambda_H = lam of the network, lam/G of its convex form
                    lam = math.sqrt(6 / (1 + side) * gain**power) / prior.num_samples
                    for loss in ("ce", "mse"):
                        found = solve(UnconstrainedFeatures(lam / gain, lam / gain), prior, loss=loss)
                        if bool(found.collapsed and found.collapsed[1]) is not (side < 0):
                            wrong.append(f"{kind['kind']}, {loss}, n_B at {1 + side:.4f} of the bound")
        return evidence(
            "solved instances of every kind are collapsed below the bound and not above, CE and MSE, at relative distances of 10⁻² and 10⁻⁴"
            if not wrong
            else f"not at {wrong[0]}",
            proofs=[symbolic("gain-threshold", **variant)] if power == 2.0 or variant else [],
            numeric=Status.inconclusive if wrong else Status.supported,
            established_by=("solved instances on both sides",),
        )

    return Claim(
        id="gain-threshold",
        title="Minority collapse ends g(ρ)² times earlier behind a map of gain g(ρ)",
        statement="With the gain G = g(ρ), a group of classes with n_B samples each, N in all, is collapsed if and only if n_B ≤ λ_H λ_W N²/G².",
        source="Derived here; Hong & Ling 2023 and Dang et al. 2023 for G = 1",
        scope=(
            Scope(models=("gain-decay",), groups=(2, 2), minority=2, dimension="K - 1"),
            Scope(("mse",), ("gain-decay",), minority=2, dimension="K"),
        ),
        hypotheses=("g(x) = (1 + x)^L, 1 + x + ⋯ + x^{T − 1}, e^x, or 1/(1 − x) with ρ < 1",),
        check=check,
        group=GROUP,
        papers=("hong2023", "dang2023"),
        topic="deq",
    )


def order_claim(reverse: bool = False, rho: float = 0.5, **variant: Any) -> Claim:
    """The order of gains and of certified losses at one bound; ``reverse`` claims the opposite."""

    def check(ctx: Context) -> Evidence:
        prior = ClassPrior.step(2, 2, 8.0)
        chain = [
            Gain(0.6, 0.6, rho, "residual", depth=1),
            Gain(0.6, 0.6, rho / 2, "residual", depth=2),
            Gain(0.6, 0.6, rho / 8, "residual", depth=8),
            Gain(0.6, 0.6, rho, "ode"),
            Gain(0.6, 0.6, rho, "deq"),
        ]
        found = [enclose(solve(x, prior), ctx, f"gain-order-{i}") for i, x in enumerate(chain)]
        pairs = list(zip(found[1:], found, strict=False))
        statuses = [judge_order(*(pair[::-1] if reverse else pair), strict=True) for pair in pairs]
        values = ", ".join(f"{x.upper:.4f}" for x in found)
        return evidence(
            f"certified losses at ρ = {rho:g}: {values} for one block, 2 and 8 blocks of ρ/2 and ρ/8, flow, fixed point",
            proofs=[] if reverse else [symbolic("gain-order", "order", "loss", **variant)],
            numeric=combine(statuses),
            established_by=("certificates of every value",),
            figures=[_gains()],
        )

    return Claim(
        id="gain-order",
        title="At the same bound: one block, many blocks of ρ/L, the flow, the fixed point, each with the lower loss",
        statement="For 0 < ρ < 1, 1 + ρ < e^ρ < 1/(1 − ρ), and (1 + ρ/L)^L grows with L and stays below e^ρ. At equal budgets the architecture with the "
        "larger gain has the strictly lower least cross-entropy.",
        source="Derived here (theorem gain-order)",
        scope=Scope(models=("gain",), dimension="K - 1", conditions=("0 < ρ < 1",)),
        check=check,
        group=GROUP,
        topic="deq",
        core=False,
    )


def _gains() -> Figure:
    bounds = [i / 40 for i in range(1, 33)]
    curves = (
        ("fixed point 1/(1 − ρ)", lambda x: 1 / (1 - x)),
        ("8 unrolled steps", lambda x: (1 - x**8) / (1 - x)),
        ("flow e^ρ", math.exp),
        ("8 blocks of ρ/8", lambda x: (1 + x / 8) ** 8),
        ("1 block, 2 unrolled steps", lambda x: 1 + x),
        ("2 blocks of ρ", lambda x: (1 + x) ** 2),
    )
    return curves_figure(
        "What maps of norm at most ρ are worth: their gain",
        "At equal budgets the radius of attainable logits is g(ρ) τ. L blocks of norm ρ each, instead of ρ/L, pass the fixed point while ρ is small.",
        ("ρ", "gain g(ρ)"),
        {label: (bounds, [g(x) for x in bounds]) for label, g in curves},
        scale="log",
    )


def unrolled_claim(shift: int = 0, factor: float = 1.0, **variant: Any) -> Claim:
    """T unrolled steps miss the share rho^T; ``shift`` adds to T, and a ``factor`` to the gain."""

    def check(ctx: Context) -> Evidence:
        rows: list[Comparison] = []
        rho, k = 0.6, 4
        for steps in (1, 2, 6, 20):
            found = solve(Gain(0.7, 0.7, rho, "unrolled", depth=steps), ClassPrior.balanced(k))
            claimed = etf_value(k, factor * 0.7 * k * (1 - rho ** (steps + shift)) / (1 - rho))
            rows.append(compare(f"T = {steps}", claimed, enclose(found, ctx, f"unrolled-{steps}"), "certificate"))
        return evidence(
            "balanced values at T = 1, 2, 6, 20 match certified enclosures",
            proofs=[symbolic("gain-order", "unrolled", **variant)] if (shift, factor) == (0, 1.0) else [],
            comparisons=rows,
        )

    return Claim(
        id="gain-unrolled",
        title="Unrolled steps reach the fixed point's gain at the rate ρ^T",
        statement="The gain of T unrolled steps is (1 − ρ^T)/(1 − ρ): it grows with T and misses that of the fixed point by its share ρ^T.",
        source="Derived here (theorem gain-order)",
        scope=Scope(models=("gain",), dimension="K - 1", conditions=("0 < ρ < 1",)),
        check=check,
        group=GROUP,
        topic="deq",
        core=False,
    )


CLAIMS = (
    replace(
        gauge_claim(),
        variants={
            "gain: the root of g(ρ)": gauge_claim(math.sqrt),
            "gain: g(ρ)²": gauge_claim(lambda g: g * g),
            "gain: g(ρ) − 1": gauge_claim(lambda g: g - 1),
        },
        off_by=lambda x: gauge_claim(lambda g: g * (1 + x)),
        resolution=1e-9,
    ),
    replace(
        etf_claim(),
        variants={
            "gain ETF: τ/g": etf_claim(lambda tau, g: tau / g),
            "gain ETF: no gain": etf_claim(lambda tau, g: tau),
            "gain ETF: g² τ": etf_claim(lambda tau, g: g * g * tau),
        },
        off_by=lambda x: etf_claim(lambda tau, g: tau * g * (1 + x)),
        resolution=1e-9,
    ),
    replace(
        threshold_claim(),
        variants={
            "gain threshold: 1/G": threshold_claim(1.0),
            "gain threshold: 1/G³": threshold_claim(3.0),
            "gain threshold: no gain": threshold_claim(0.0),
            "gain threshold, MSE: of a class by itself": replace(
                threshold_claim(), scope=Scope(("mse",), ("gain-decay",), dimension="K")
            ),
        },
        off_by=lambda x: threshold_claim(2.0 * (1 + x)),
        resolution=1e-3,
    ),
    replace(
        order_claim(),
        variants={
            "gain order: reversed": order_claim(reverse=True),
            "gain order: the flow above the fixed point": order_claim(flow=-1),
            "gain order: a step takes away": order_claim(relation="<"),
        },
    ),
    replace(
        unrolled_claim(),
        variants={
            "unrolled: T + 1 steps": unrolled_claim(1),
            "unrolled: T − 1 steps": unrolled_claim(-1),
            "unrolled: a step takes away": unrolled_claim(relation="<"),
        },
        off_by=lambda x: unrolled_claim(factor=1 + x),
        resolution=1e-9,
    ),
)
