"""The verifier tried on itself: false variants of the claims, none of which may come out as claimed.

A variant changes a sign, a constant, an exponent, a class count or a hypothesis of a true claim and runs through the very
check of that claim; the false variants of the symbolic theorems (``MUTANTS`` of each) run through their proofs.
"""

from __future__ import annotations

import math
from collections import Counter

from ufm._extras import require
from ufm.claims import balanced, beyond, collapse, imbalanced_geometry, landscape, nonconvex, relaxation
from ufm.claims._model import Claim, Context, Evidence, Status
from ufm.claims._tools import evidence

__all__ = ["CLAIMS", "false_claims", "false_theorems"]


def false_claims() -> dict[str, Claim]:
    """False variants of the claims, by a description of what is wrong in each."""
    etf = balanced.etf_value

    def log1p_exp(k: float, exponent: float) -> float:
        return math.log1p(k * math.exp(exponent))

    variants: dict[str, Claim] = {
        "balanced value: exponent −τ/K": balanced.layer_peeled_claim(lambda k, t: log1p_exp(k - 1, -t / k)),
        "balanced value: exponent −τ": balanced.layer_peeled_claim(lambda k, t: log1p_exp(k - 1, -t)),
        "balanced value: exponent +τ/(K−1)": balanced.layer_peeled_claim(lambda k, t: log1p_exp(k - 1, t / (k - 1))),
        "balanced value: K instead of K−1 wrong classes": balanced.layer_peeled_claim(
            lambda k, t: log1p_exp(k, -t / (k - 1))
        ),
        "balanced value: too small by 10⁻⁶": balanced.layer_peeled_claim(lambda k, t: etf(k, t) * (1 - 1e-6)),
        "balanced value: radius of the Frobenius norm": balanced.layer_peeled_claim(
            lambda k, t: etf(k, t * math.sqrt(k - 1)) if k > 2 else 1.0
        ),
        "balanced DEQ: τ(1−ρ)": balanced.deq_balanced_claim(lambda t, rho: t * (1 - rho)),
        "balanced DEQ: τ/(1+ρ)": balanced.deq_balanced_claim(lambda t, rho: t / (1 + rho)),
        "balanced DEQ: τ/(1−ρ²)": balanced.deq_balanced_claim(lambda t, rho: t / (1 - rho * rho)),
        "balanced DEQ: τ/(1−ρ)²": balanced.deq_balanced_claim(lambda t, rho: t / (1 - rho) ** 2),
        "balanced DEQ: ρ for 1−ρ": balanced.deq_balanced_claim(lambda t, rho: t / rho, rhos=(0.3, 0.9)),
        "relaxation: radius larger by 10⁻³": relaxation.relaxation_claim(1.001),
        "relaxation: radius smaller by 10⁻³": relaxation.relaxation_claim(0.999),
        "rescaled DEQ: factor 1+ρ": relaxation.deq_is_rescaled_claim(shrink=lambda rho: 1 + rho),
        "rescaled DEQ: factor (1−ρ)²": relaxation.deq_is_rescaled_claim(shrink=lambda rho: (1 - rho) ** 2),
        "rescaled DEQ: factor ρ": relaxation.deq_is_rescaled_claim(shrink=lambda rho: rho * 1.01),
        "loss: DEQ higher": relaxation.deq_loss_lower_claim(reverse=True),
        "threshold: DEQ smaller": collapse.deq_threshold_claim(reverse=True),
        "criterion: π_b ≥ μ": collapse.criterion_claim(lambda pi, mu, omega: pi >= mu * omega),
        "criterion: π_b ≤ 2μ": collapse.criterion_claim(lambda pi, mu, omega: pi <= 2 * mu * omega),
        "criterion: π_b ≤ μ/2": collapse.criterion_claim(lambda pi, mu, omega: pi <= mu * omega / 2),
        "criterion: π_b ≤ μ, weight √n_b dropped": collapse.criterion_claim(lambda pi, mu, omega: pi <= mu),
        "criterion: always collapsed": collapse.criterion_claim(lambda pi, mu, omega: True),
        "Fang: K_A and K_B swapped": collapse.fang_claim({3: collapse.FANG[7], 7: collapse.FANG[3]}),
        "Fang: last digits off by 10⁻⁸": collapse.fang_claim({5: collapse.FANG[5] * (1 + 1e-8)}),
        "Fang: threshold of the square root of τ": collapse.fang_claim({3: math.sqrt(collapse.FANG[3])}),
        "weight decay, CE: exponent 1 of 1−ρ": collapse.penalised_claim("ce", power=1.0),
        "weight decay, CE: ρ plays no role": collapse.penalised_claim("ce", power=0.0),
        "weight decay, MSE: exponent 3 of 1−ρ": collapse.penalised_claim("mse", power=3.0),
        "weight decay, CE: n_B ≤ 1.01 N²λ²": collapse.penalised_claim("ce", factor=1.01),
        "weight decay, MSE: n_B ≤ 0.99 N²λ²": collapse.penalised_claim("mse", factor=0.99),
        "MSE: Nλ/n_k": collapse.mse_claim(exponent=1.0),
        "MSE: Nλ/n_k^¼": collapse.mse_claim(exponent=0.25),
        "total collapse: critical τ 10 % higher": collapse.total_claim(critical_factor=1.1),
        "threshold of the DEQ: power 1.1/(1−ρ)": beyond.power_claim(exponent=1.1),
        "threshold of the DEQ: power (1−ρ)⁻²": beyond.power_claim(exponent=2.0),
        "ETF optimal: at a budget where a code beats it": nonconvex.optimal_claim({4: "31/100"}),
        "ETF optimal: at E_W E_H/(K−1)": nonconvex.optimal_claim({10: "1/9"}),
        "ETF beaten: at a budget where it is optimal": nonconvex.suboptimal_claim({4: "1/8"}),
        "ETF beaten while stable: beyond E_W E_H/(K−1)": nonconvex.suboptimal_claim({6: "21/100"}),
        "ETF stable: up to E_W E_H/K": nonconvex.local_claim(factor=0.8),
        "deep linear: two factors suffice": nonconvex.deep_claim(depth=2),
        "deep linear: unstable up to n^{0.45 M}": nonconvex.deep_claim(exponent=0.45),
        "penalty on A: unstable 10 % further": nonconvex.penalised_claim(factor=1.1),
        "ETF stable: 10 % further": nonconvex.local_claim(factor=1.1),
        "total collapse: critical τ 10 % lower": collapse.total_claim(critical_factor=0.9),
    }
    variants |= {
        "first-order collapse: λ_A ≤ 3 K_B N λ²": landscape.first_order_claim(3.0),
        "mixing: R 5 % larger": landscape.mixing_claim(1.05),
        "mixing: R 5 % smaller": landscape.mixing_claim(1 / 1.05),
        "explicit landscape: curvature doubled": landscape.benign_claim(2.0),
        "trapped minima: A = 0.3 beside": landscape.trapped_claim(0.3),
        "depth: two factors too": landscape.depth_claim((2, 3)),
        "self-duality: monotone for K_A = 1": landscape.monotone_claim("duality", phases=(0,)),
        "self-duality: monotone in every phase": landscape.monotone_claim("duality", smallest_majority=2),
    }
    for measure in ("etf", "duality"):
        for reverse in (False, True):
            name = f"P3, {measure}: {'explicit network smaller' if reverse else 'on the whole grid'}"
            variants[name] = imbalanced_geometry.ordering_claim(
                measure,
                id="false-variant",
                title=name,
                statement=name,
                excluded=frozenset(),
                region=None,
                reverse=reverse,
            )
    return variants


def false_theorems() -> list[tuple[str, str]]:
    """(theorem, name of the false variant) of every symbolic theorem."""
    require("sympy", extra="proofs")
    from proofs_check import theorems

    return [(theorem, name) for theorem in theorems.all_theorems() for name in theorems.mutants(theorem)]


def _check(ctx: Context) -> Evidence:
    require("sympy", extra="proofs")
    from proofs_check import theorems

    counts: Counter[str] = Counter()
    passed: list[str] = []
    claims, proofs = false_claims(), false_theorems()
    total = len(claims) + len(proofs)
    inner = Context(effort="quick", seed=ctx.seed, cache=ctx.cache)
    for i, (name, claim) in enumerate(claims.items()):
        ctx.progress("false variants of claims", i, total)
        status = claim.check(inner).status
        counts[status.value] += 1
        if status.as_claimed:
            passed.append(name)
    for i, (theorem, name) in enumerate(proofs, start=len(claims)):
        ctx.progress("false variants of theorems", i, total)
        status = Status(theorems.prove(theorem, **theorems.mutants(theorem)[name]).status)
        counts[status.value] += 1
        if status.as_claimed:
            passed.append(f"{theorem}: {name}")
    outcome = Status.supported if total >= 60 and not passed else Status.inconclusive
    return evidence(
        f"{total} false variants ({len(claims)} of claims, {len(proofs)} of theorems): {counts['refuted']} refuted, "
        f"{counts['inconclusive']} inconclusive, {len(passed)} taken for true",
        numeric=outcome,
        established_by=(f"running all {total} variants through the checks",),
        details={"by status": dict(counts), "taken for true": passed},
    )


CLAIMS = (
    Claim(
        id="soundness-suite",
        title="False variants of the claims do not pass",
        statement="Each of at least 60 false variants of the claims and theorems here (a sign, a constant, a swapped class count, a "
        "dropped hypothesis, ρ for 1−ρ, > for <) comes out refuted or inconclusive.",
        source="Mutation testing of this package's own checks",
        check=_check,
        group="The verifier itself",
    ),
)
