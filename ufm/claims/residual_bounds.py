"""Residual depth with weight decay: lower bounds by parabolas, and certificates on both sides of where codes take over."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from ufm.architectures import Residual
from ufm.certificates import Certificate, CertificationError, certify_residual_code, certify_residual_etf
from ufm.claims._model import Claim, Context, Evidence, Figure, Scope, Status, combine
from ufm.claims._tools import evidence, keep, symbolic
from ufm.landscape.residual_codes import cheapest_sum

__all__ = ["CLAIMS", "certified_claim", "parabola_claim"]

GROUP = "Residual depth with weight decay"

#: Balanced classes, cross-entropy.
BALANCED = Scope(models=("residual-decay",), classes=(3, None), groups=(1, 1), dimension="K - 1")

#: Depth of the certified instances, and for each K: lambda sqrt(n), c = lambda_A/L where the ETF is optimal, c where a
#: code beats it (None where none is known). All are exact in binary.
DEPTH = 8
INSTANCES: Mapping[int, tuple[float, float, float | None]] = {
    3: (1 / 4, 3 / 4, None),
    4: (3 / 16, 5 / 4, 7 / 16),
    5: (5 / 32, 7 / 4, 35 / 64),
    6: (1 / 8, 5 / 2, 41 / 64),
    10: (5 / 64, 7.0, 57 / 64),
}


def parabola_claim(power: int = 0, bend: float = 1.0, share: float = 1.0, **variant: Any) -> Claim:
    """Parabolas below the price; ``power`` more of 1 + a in A, ``bend`` times kappa, ``share`` times the t of |Z|_F^2."""

    def check(ctx: Context) -> Evidence:
        rng = np.random.default_rng(ctx.seed)
        above, apart, lost = 0.0, 0.0, 0.0
        for depth in (1, 2, 8):
            network, lam = Residual(0.3, 0.2, 0.7, depth), math.sqrt(0.06)
            for a in (0.0, 0.1, 0.5, 2.0):
                slope = lam * (1 + (depth + 1) * a) * (1 + a) ** (power - depth - 1)
                curve = bend * depth * lam**2 / 0.7 * (1 + a) ** (-2 * depth - 2)
                sizes = np.append(np.geomspace(1e-2, 1e4, 60), 0.7 / lam * a * (1 + a) ** (depth + 1))
                prices = np.array([network.gauge(np.array([s])) for s in sizes])
                below = slope * sizes - curve * sizes**2 / 2
                above = max(above, float(((below - prices) / np.maximum(prices, 1e-3)).max()))
                apart = max(apart, abs(prices[-1] - below[-1]) / max(1e-3, prices[-1]))
                for t in (0.3, 1.0):
                    z = rng.standard_normal((4, 4)) + 3 * np.eye(4)
                    norms = np.linalg.svd(z, compute_uv=False)
                    bound = (1 - t) * slope * np.trace(z) - (curve / 2 - share * t * slope / norms[0]) * (z**2).sum()
                    lost = max(lost, float(bound - network.gauge(np.asarray(norms, dtype=float))))
        good = above < 1e-9 and apart < 1e-9 and lost < 1e-9
        return evidence(
            "for L = 1, 2, 8 and a from 0 to 2 the parabolas touch the price and stay below it from s = 0.01 to 10⁴"
            if good
            else f"a parabola is above the price by {above:.1e} of it, apart from it by {apart:.1e}, a bound too large by {lost:.1e}",
            proofs=[symbolic("residual-columns", **variant)] if good or variant else [],
            numeric=Status.supported if good else Status.inconclusive,
            established_by=("prices on a grid", "drawn logits"),
        )

    return Claim(
        id="residual-parabolas",
        title="Residual depth: under the concave price lies a parabola through each of its points, and the objective splits over columns",
        statement="With A = λ (1 + (L + 1) a)/(1 + a)^{L + 1} and κ = L λ²/(λ_A (1 + a)^{2 L + 2}) the price of residual depth satisfies "
        "g(s) ≥ A s − κ s²/2 for all s ≥ 0 and a ≥ 0, with equality at s = (λ_A/λ) a (1 + a)^{L + 1}. "
        "So logits with |Z|₂ ≤ m, one sample of each class, have a weight decay of at least (1 − t) A tr Z − (κ/2 − t A/m) |Z|_F² "
        "for every t from 0 to 1.",
        source="Derived here (theorem residual-columns)",
        scope=BALANCED,
        check=check,
        group=GROUP,
        topic="deq",
        core=False,
    )


def certified_claim(instances: Mapping[int, tuple[float, float, float | None]] = INSTANCES) -> Claim:
    """The ETF is optimal at one c of each instance and beaten at the other."""
    optimal = ", ".join(f"{c:.6g} (K = {k}, λ √n = {lam:.6g})" for k, (lam, c, _) in instances.items())
    beaten = ", ".join(f"{c:.6g} (K = {k})" for k, (_, _, c) in instances.items() if c is not None)

    return Claim(
        id="residual-depth-certified",
        title="Residual depth: the ETF certified optimal where blocks are dear, and certified beaten where they are cheap",
        statement=f"At depth L = 8, λ = √(λ_W λ_H), n samples of each class, the simplex ETF is globally optimal at λ_A/L = {optimal}, "
        f"and some factors have a smaller objective than every simplex ETF at the same λ √n and λ_A/L = {beaten}.",
        source="Certified here; the codes are pairs, with one triangle for odd K",
        scope=replace(BALANCED, classes=(3, 10), conditions=("L = 8",)),
        region="between the two, a factor of 2.9 at K = 4 and of 7.9 at K = 10, optimality is open: the bound of the columns, each by itself, "
        "allows few large singular values with columns that no matrix of that rank has",
        check=partial(_certified, instances),
        group=GROUP,
        topic="deq",
        core=False,
    )


def _certified(instances: Mapping[int, tuple[float, float, float | None]], ctx: Context) -> Evidence:
    rows: list[dict[str, object]] = []
    statuses = []
    for i, (k, (lam, dear, cheap)) in enumerate(instances.items()):
        ctx.progress("certifying both sides", i, len(instances))
        found = ctx.once(f"residual ETF {k} {lam} {dear}", partial(_etf, k, lam, dear))
        code = None if cheap is None else ctx.once(f"residual code {k} {lam} {cheap}", partial(_code, k, lam, cheap))
        statuses += [
            Status.certified if isinstance(x, Certificate) else Status.inconclusive for x in (found, code) if x
        ]
        for name, certificate in (("residual-etf", found), ("residual-code", code)):
            if isinstance(certificate, Certificate):
                keep(ctx, f"{name}-K{k}", certificate)
        rows.append(
            {"K": k, "lambda sqrt(n)": lam, "optimal at": dear, "beaten at": cheap, "open": _reasons(found, code)}
        )
    return evidence(
        f"both sides at K = {', '.join(map(str, instances))}"
        if all(s is Status.certified for s in statuses)
        else "not certified",
        proofs=[symbolic("residual-columns", lemma=True)],
        numeric=combine(statuses),
        universal=False,
        established_by=("ball arithmetic on boxes of |Z|₂", "explicit rational factors, every ETF covered by pieces"),
        details={"points": rows},
        figures=[_figure(instances)],
    )


def _etf(k: int, lam: float, strength: float) -> Certificate | str:
    """A certificate that the ETF is optimal, or why there is none."""
    try:
        return certify_residual_etf(Residual(lam, lam, strength * DEPTH, DEPTH), k)
    except CertificationError as reason:
        return str(reason)


def _code(k: int, lam: float, strength: float) -> Certificate | str:
    """A certificate that a code beats the ETF, or why there is none."""
    network = Residual(lam, lam, strength * DEPTH, DEPTH)
    try:
        return certify_residual_code(network, cheapest_sum(network, k, etf=False).logits)
    except CertificationError as reason:
        return str(reason)


def _reasons(*found: Certificate | str | None) -> list[str]:
    return [x for x in found if isinstance(x, str)]


def _figure(instances: Mapping[int, tuple[float, float, float | None]]) -> Figure:
    """The two strengths over K, both certified."""
    sides = {
        "ETF optimal: certified": [c for _, c, _ in instances.values()],
        "a code beats it: certified": [c for _, _, c in instances.values()],
    }
    return Figure(
        "order-parameter",
        "Residual depth: where the balanced simplex ETF is optimal, and where it is not",
        "At L = 8, K λ √n about 3/4. The boundary lies between the points of each K.",
        {
            "x_label": "classes K",
            "y_label": "strength λ_A/L",
            "series": [
                {"label": label, "line": None, "points": {"x": list(instances), "y": y}} for label, y in sides.items()
            ],
            "thresholds": [],
        },
    )


def _moved(k: int, at: int, value: float) -> dict[int, tuple[float, float, float | None]]:
    """The instances with one of the two strengths of K moved."""
    lam, dear, cheap = INSTANCES[k]
    return {**INSTANCES, k: (lam, value, cheap) if at == 1 else (lam, dear, value)}


CLAIMS = (
    replace(
        parabola_claim(),
        variants={
            "residual parabolas: one power of 1 + a more in A": parabola_claim(power=1),
            "residual parabolas: half the bend": parabola_claim(bend=0.5),
            "residual parabolas: twice the share of |Z|_F²": parabola_claim(share=2.0),
        },
        off_by=lambda x: parabola_claim(bend=1 - x),
        resolution=1e-4,
    ),
    replace(
        certified_claim(),
        variants={
            "residual certified: the ETF optimal at 7/16 for K = 4": certified_claim(_moved(4, 1, 7 / 16)),
            "residual certified: a code better at 5/4 for K = 4": certified_claim(_moved(4, 2, 5 / 4)),
            "residual certified: a code better at 0.46 for K = 4": certified_claim(_moved(4, 2, 0.46)),
        },
    ),
)
