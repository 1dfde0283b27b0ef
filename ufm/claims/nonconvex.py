"""Balanced classes and a Frobenius budget on A: where the simplex ETF is optimal, where it is not, and how it goes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ufm._words import scientific
from ufm.certificates import CertificationError, certify_code, certify_counterexample, certify_etf_optimal
from ufm.claims._figures import curves_figure
from ufm.claims._model import Claim, Context, Evidence, Figure, Scope, Status, combine
from ufm.claims._tools import evidence, keep, symbolic
from ufm.landscape.etf_boundary import ACCURACY, etf_boundary, logits_beating_etf
from ufm.landscape.etf_bounds import MARGIN

if TYPE_CHECKING:
    import mpmath

__all__ = [
    "CLAIMS",
    "boundary_claim",
    "deep_claim",
    "local_claim",
    "optimal_claim",
    "penalised_claim",
    "suboptimal_claim",
]

GROUP = "Where neural collapse fails: Frobenius budgets and depth"

#: E_A at which the ETF is optimal and at which it is not, by K, for E_W = E_H = 1: the claims' own numbers.
OPTIMAL = {3: "1/5", 4: "1/8", 5: "9/100", 6: "7/100", 7: "27/500", 8: "11/250", 9: "37/1000", 10: "4/125"}
SUBOPTIMAL = {3: "19/20", 4: "31/100", 5: "9/40", 6: "163/1000", 7: "127/1000", 8: "26/250", 9: "87/1000", 10: "3/40"}

#: Balanced classes, cross-entropy, a Frobenius budget on A.
FROBENIUS = Scope(models=("frobenius-deq",), groups=(1, 1), dimension="K - 1")

#: Where the ETF's local stability is used: E_A < 1/(K-1) is far below the E_A at which the bound on |A|_2 takes part.
STABLE = replace(FROBENIUS, classes=(4, 10), conditions=("√E_A < ρ √(K − 1): the bound on |A|₂ is idle at the ETF",))

#: Bound on |A|_2 of the counterexamples.
RHO = Fraction(99, 100)

#: sqrt(E_W E_H) at which E_A* is drawn at full effort.
SCALES = (0.4, 0.6, 0.8, 1.0, 1.4, 2.0, 3.0, 4.5)
KS = tuple(range(3, 11))

#: And at quick effort, with the numbers of classes.
QUICK = ((0.6, 1.0), (4, 5))


def local_claim(factor: float = 1.0) -> Claim:
    """The ETF is a local minimum iff ``E_A < factor E_W E_H/(K-1)``; true for factor 1."""

    def check(ctx: Context) -> Evidence:
        wrong, gaps = [], []
        for k in (4, 5, 6, 10):
            for tau in (0.5 * k, 1.0 * k):
                critical = factor * (tau / k) ** 2 / (k - 1)
                bends = {distance: _bend_frobenius(k, tau, critical * (1 + distance)) for distance in NEAR}
                gaps.append({"K": k, "tau": tau, "E_A": critical, "bends": list(bends.values())})
                if not all(bend * distance < 0 for distance, bend in bends.items()):
                    wrong.append(f"K = {k}, τ = {tau:g}")
        true = factor == 1.0
        return evidence(
            "the risk's second order along the boundary changes sign there for K = 4, 5, 6, 10, at relative distances down to 5·10⁻⁷"
            if not wrong
            else f"no change of sign at {wrong[0]}",
            proofs=[symbolic("etf-local-stability")] if true else [],
            numeric=Status.inconclusive if wrong else Status.supported,
            established_by=("perturbations in 80 digits on both sides of the bound",),
            details={"relative distances": NEAR, "second order": gaps},
        )

    return Claim(
        id="etf-local-stability",
        title="The ETF is a local minimum up to E_A = E_W E_H/(K − 1), and no further",
        statement="Among logits the simplex ETF is a strict local minimum for √E_A < τ/(K √(K − 1)) and no local minimum for √E_A above that, "
        "τ = K √(E_W E_H).",
        source="Derived here (theorem etf-local-stability)",
        scope=replace(
            FROBENIUS, classes=(4, None), conditions=("√E_A < ρ √(K − 1): the bound on |A|₂ is idle at the ETF",)
        ),
        check=check,
        group=GROUP,
        topic="deq",
    )


#: Relative distances on both sides of a bound at which the second order is computed.
NEAR = (-1e-2, -1e-4, -5e-7, 5e-7, 1e-4, 1e-2)

#: Size of those perturbations, in 80 digits: what they change is of its square.
SIZE = "1e-15"


def _bend_frobenius(k: int, tau: float, budget: float) -> float:
    """(risk at sP + tE - risk of the ETF)/t^2 on the boundary of the budgets, E in a least stable direction."""
    import mpmath

    with mpmath.workdps(80):
        n, t, b2, radius = k - 1, mpmath.mpf(SIZE), mpmath.mpf(budget), mpmath.mpf(tau)

        def size(square: mpmath.mpf) -> mpmath.mpf:
            """s with n s - sqrt(E_A (n s^2 + square)) = tau: E has the eigenvalues 2 and -2."""
            lead = n * n - b2 * n
            return (n * radius + mpmath.sqrt(n**2 * radius**2 - lead * (radius**2 - b2 * square))) / lead

        return float((_perturbed(k, size(8 * t * t), t) - _perturbed(k, size(mpmath.mpf(0)), mpmath.mpf(0))) / t**2)


def optimal_claim(budgets: Mapping[int, str] = OPTIMAL) -> Claim:
    """The ETF is globally optimal at these E_A, tau = K."""

    def check(ctx: Context) -> Evidence:
        theorem = symbolic("frobenius-budget-etf", lemma=True)
        rows: list[dict[str, object]] = []
        statuses: list[Status] = []
        for i, (k, budget) in enumerate(budgets.items()):
            ctx.progress("certifying that the ETF is optimal", i, len(budgets))
            row: dict[str, object] = {"K": k, "tau": k, "E_A": budget}
            try:
                found = certify_etf_optimal(k, k, Fraction(budget))
                keep(ctx, f"etf-optimal-K{k}", found.certificate(RHO))
                row |= {"optimal value": [found.lower, found.upper], "boxes": found.boxes}
                statuses.append(Status.certified)
            except CertificationError as reason:
                row["open"] = str(reason)
                statuses.append(Status.inconclusive)
            rows.append(row)
        status = combine(statuses)
        shares = [float(Fraction(budgets[k])) / float(Fraction(SUBOPTIMAL[k])) for k in budgets if k > 3]
        return evidence(
            f"the ETF is optimal at E_A = {', '.join(budgets.values())} for K = {', '.join(map(str, budgets))} and E_W = E_H = 1, at least "
            f"{min(shares, default=0):.0%} of the least E_A known to break it for K ≥ 4"
            if status.as_claimed
            else "no proof for every K",
            proofs=[theorem],
            numeric=status,
            universal=False,
            established_by=("ball arithmetic on boxes of (|Z|_F, |Z|_* − tr Z)",),
            details={"points": rows},
        )

    return Claim(
        id="etf-optimal-small-frobenius",
        title="P1 at small Frobenius budgets holds: the ETF is globally optimal",
        statement="For a linear DEQ with E_W = E_H = 1 and |A|_F² ≤ E_A, any bound on |A|₂ that is idle at the ETF, the simplex ETF is globally "
        "optimal at " + ", ".join(f"E_A = {float(Fraction(x)):g} (K = {k})" for k, x in budgets.items()) + ".",
        source="Sun & Shi 2024 (claim P1), for a Frobenius budget; derived here (theorem frobenius-budget-etf)",
        scope=replace(FROBENIUS, classes=(3, 10), conditions=("E_A < 1", "E_W = E_H = 1", "√E_A ≤ ρ √(K − 1)")),
        region="a bound below the true boundary: between these E_A and those of the counterexamples optimality is open",
        check=check,
        group=GROUP,
        papers=("sun2024",),
        topic="deq",
        standing="corrected",
    )


def suboptimal_claim(budgets: Mapping[int, str] = SUBOPTIMAL) -> Claim:
    """A code beats every ETF at these E_A, tau = K, and for K >= 4 the ETF is still a local minimum there."""

    def check(ctx: Context) -> Evidence:
        rows, statuses = [], []
        for i, (k, text) in enumerate(budgets.items()):
            ctx.progress("certifying codes that beat the ETF", i, len(budgets))
            budget = Fraction(text)
            row: dict[str, object] = {"K": k, "tau": k, "E_A": text}
            code = logits_beating_etf(k, float(k), float(budget), float(RHO))
            try:
                if code is None:
                    raise CertificationError("no code that beats the ETF was found")
                certificate = keep(ctx, f"code-beats-etf-K{k}", certify_code(code, k, budget, RHO))
                row["margin"] = float(Fraction(certificate.claim["statement"]["margin"]))
                row["singular values"] = np.linalg.svd(code, compute_uv=False)[:-1].tolist()
                # exact: E_A < E_W E_H/(K-1), the bound of local stability
                stable = k == 3 or budget < Fraction(1, k - 1)
                statuses.append(Status.certified if stable else Status.refuted)
            except CertificationError as reason:
                row["open"] = str(reason)
                statuses.append(Status.inconclusive)
            rows.append(row)
        return evidence(
            "exactly rational codes beat every ETF for K = 3, …, 10, for K ≥ 4 below the E_A at which the ETF stops being a local minimum",
            proofs=[symbolic("etf-local-stability", lemma=True, used_for=(STABLE,))],
            numeric=combine(statuses),
            universal=False,
            established_by=("exactly feasible rational factors, risks in ball arithmetic",),
            details={"points": rows},
            figures=[_at_unit_budgets(budgets)],
        )

    return Claim(
        id="etf-suboptimal-frobenius",
        title="P1 with a larger Frobenius budget fails, first by a jump: codes win while the ETF is still a local minimum",
        statement=f"For a linear DEQ with E_W = E_H = 1, |A|₂ ≤ {float(RHO):g} and |A|_F² ≤ E_A a softmax code beats every simplex ETF at "
        + ", ".join(f"E_A = {float(Fraction(x)):g} (K = {k})" for k, x in budgets.items())
        + f"; for K ≥ {STABLE.classes[0]} the ETF is still a strict local minimum among logits there (E_A < 1/(K − 1)).",
        source="Counterexamples to Sun & Shi 2024 (claim P1) read without a bound on |A|₂; softmax codes as in Garrod et al. 2026 for depth; "
        "derived here",
        scope=replace(FROBENIUS, classes=(3, 10), conditions=("E_W = E_H = 1", f"|A|₂ ≤ {float(RHO):g}")),
        check=check,
        group=GROUP,
        papers=("sun2024",),
        topic="deq",
        standing="refuted",
    )


def _at_unit_budgets(budgets: Mapping[int, str]) -> Figure:
    ks = list(range(3, 11))
    points = {
        "ETF optimal: certified": [float(Fraction(OPTIMAL[k])) for k in ks],
        "a code beats it: certified": [float(Fraction(budgets[k])) if k in budgets else None for k in ks],
    }
    local = {"x": ks[1:], "y": [1 / (k - 1) for k in ks[1:]]}
    return Figure(
        "order-parameter",
        "Where the balanced simplex ETF is optimal under a Frobenius budget",
        "For E_W = E_H = 1. The boundary lies between the points of each K; on the line the ETF stops being a local minimum, so that "
        "in between it is a local minimum that a softmax code beats.",
        {
            "x_label": "classes K",
            "y_label": "Frobenius budget E_A",
            "series": [
                *({"label": label, "line": None, "points": {"x": ks, "y": y}} for label, y in points.items()),
                {"label": "ETF loses stability: E_W E_H/(K−1)", "line": local, "points": None},
            ],
            "thresholds": [],
        },
    )


def deep_claim(depth: int = 3, exponent: float = 0.5) -> Claim:
    """K even >= 6 and ``depth`` = 3 or more: cross-polytopes beat the ETF; the ETF is unstable below ``K (M-2)/M n^{M exponent}``."""

    def check(ctx: Context) -> Evidence:
        statuses, rows = [], []
        for k, factors in ((6, depth), (8, depth), (10, depth), (4, depth + 1)):
            m = k // 2
            code = [[(i == j) - (i == j + m) for j in range(m)] for i in range(k)]
            for size in (1, 4, 16):  # of the middle factors: tau = 2 m (size sqrt(m))^(M-2)
                middle = [[size * (i == j) for j in range(m)] for i in range(m)]
                budgets = [k, *[m * size * size] * (factors - 2), k]
                row: dict[str, object] = {"K": k, "M": factors, "budgets": budgets}
                try:
                    columns = [list(column) for column in zip(*code, strict=True)]
                    certificate = certify_counterexample(
                        {"name": "deep_linear", "budgets": budgets}, k, [code, *[middle] * (factors - 2), columns]
                    )
                    keep(ctx, f"cross-polytope-K{k}-M{factors}-{size}", certificate)
                    row["margin"] = float(Fraction(certificate.claim["statement"]["margin"]))
                    statuses.append(Status.certified)
                except CertificationError as reason:
                    row["open"] = str(reason)
                    statuses.append(Status.inconclusive)
                rows.append(row)
        signs = []
        for k in (4, 5, 8):
            n, power = k - 1, 2 / depth
            critical = k * (1 - power) * n ** (depth * exponent)
            signs += [depth > 2 and _bend_deep(k, depth, (1 + x) * critical) * x > 0 for x in NEAR]
        if not all(signs):
            statuses.append(Status.inconclusive)
        true = depth >= 3 and exponent == 0.5
        return evidence(
            f"certified at {len(rows)} settings with K = 4, 6, 8, 10; the risk's second order changes sign at the stated τ"
            if combine(statuses).as_claimed
            else "not confirmed on the instances",
            proofs=[symbolic("deep-linear-etf")] if true else [],
            numeric=combine(statuses),
            established_by=("exactly feasible rational factors, risks in ball arithmetic",),
            details={"points": rows},
        )

    return Claim(
        id="deep-linear-etf",
        title="Three or more linear factors: the balanced ETF is never optimal for even K ≥ 6",
        statement="The ETF is no local minimum for τ = ∏ √c_j < K (K − 1)^{M/2} (M − 2)/M. The cross-polytope beats every simplex ETF at every "
        "τ for even K ≥ 6 if M ≥ 3, and for K = 4 if M ≥ 4.",
        source="Derived here (theorem deep-linear-etf); that deep neural collapse can be suboptimal: Sukenik & Mondelli 2023, Garrod et al. 2026",
        scope=Scope(
            models=("deep-linear",),
            classes=(4, None),
            groups=(1, 1),
            dimension="K - 1",
            conditions=("all inner dimensions ≥ K − 1",),
        ),
        region="odd K above that τ, and K = 4 with M = 3, are left open",
        check=check,
        group=GROUP,
        papers=("sukenik2024", "garrod2025"),
        topic="depth",
        standing="sharpened",
    )


def _perturbed(k: int, s: mpmath.mpf, t: mpmath.mpf) -> mpmath.mpf:
    """Risk at sP + tE, E with eigenvalues 2 and -2 and zero diagonal: four classes have margins s - t, s + t and s else."""
    import mpmath

    n = k - 1
    four = mpmath.log1p(mpmath.exp(-s) * (n - 2 + 2 * mpmath.cosh(t)))
    return (4 * four + (k - 4) * mpmath.log1p(n * mpmath.exp(-s))) / k


def _bend_deep(k: int, depth: int, tau: float) -> float:
    """(risk along the gauge of M factors at sP + tE - risk of the ETF)/t^2."""
    import mpmath

    with mpmath.workdps(80):
        n, p, radius = k - 1, mpmath.mpf(2) / depth, mpmath.mpf(tau)
        etf = radius / mpmath.mpf(n) ** (1 / p)
        t = mpmath.mpf(SIZE) * etf
        s = etf
        for _ in range(6):  # (n-2) s^p + (s + 2t)^p + (s - 2t)^p = tau^p
            s *= (radius**p / ((n - 2) * s**p + (s + 2 * t) ** p + (s - 2 * t) ** p)) ** (1 / p)
        return float((_perturbed(k, s, t) - _perturbed(k, etf, mpmath.mpf(0))) / t**2)


def _bend_penalised(k: int, alpha: float, lambda_a: float) -> float:
    """(objective at alpha P + tE - objective of the ETF)/t^2 for N lam^2 = 1 and a cap that is idle."""
    import mpmath

    with mpmath.workdps(80):
        t, size = mpmath.mpf(SIZE), mpmath.mpf(alpha)
        # of the penalty, quadratic in the two singular values that move by +-2t; nu lam^2 = N lam^2/K
        change = -8 * t * t / (2 * k * mpmath.mpf(lambda_a))
        return float((_perturbed(k, size, t) - _perturbed(k, size, mpmath.mpf(0)) + change) / t**2)


def penalised_claim(factor: float = 1.0) -> Claim:
    """An ETF below the cap is no local minimum for ``lambda_A p < factor N lam^2``; true for factor 1."""

    def check(ctx: Context) -> Evidence:
        wrong = []
        for k, alpha in ((4, 0.3), (6, 1.0), (10, 2.5)):
            critical = factor * (math.exp(alpha) + k - 1)  # N lam^2 = 1
            for distance in NEAR:
                if _bend_penalised(k, alpha, (1 + distance) * critical) * distance <= 0:
                    wrong.append(f"K = {k}, α = {alpha:g}, λ_A = {1 + distance:.7g} of the bound")
        return evidence(
            "the objective bends down below the stated λ_A and not above, for K = 4, 6, 10, at relative distances down to 5·10⁻⁷"
            if not wrong
            else f"not at {wrong[0]}",
            proofs=[symbolic("penalised-deq-etf")] if factor == 1.0 else [],
            numeric=Status.inconclusive if wrong else Status.supported,
            established_by=("perturbations in 80 digits on both sides of the bound",),
        )

    return Claim(
        id="penalised-deq-etf",
        title="A cheap A: with a penalty on A a balanced ETF below the cap is not even a local minimum",
        statement="With λ = √(λ_W λ_H) and N samples an ETF of size α is no local minimum for λ_A < N λ²/p, p = 1/(e^α + K − 1) the "
        "probability of a wrong class; so for λ_A < K N λ² none is, whatever α is.",
        source="Derived here (theorem penalised-deq-etf)",
        scope=Scope(
            models=("penalised-deq",),
            classes=(4, None),
            groups=(1, 1),
            dimension="K - 1",
            conditions=("λ √(N/K) α < ρ λ_A: the bound on |A|₂ is idle at the ETF",),
        ),
        region="whether the ETF is globally optimal for larger λ_A is left open",
        check=check,
        group=GROUP,
        topic="deq",
    )


#: Relative distances from E_A* at which codes are looked for.
EDGE = 5e-4


def boundary_claim(share: float = 1.0, reverse: bool = False, factor: float = 1.0) -> Claim:
    """E_A* grows with tau and is at most ``share`` of the local bound.

    For false variants another ``share``, ``reverse`` to claim that E_A* falls, and E_A* times ``factor``.
    """
    return Claim(
        id="etf-boundary",
        title="The boundary E_A*(K, τ) grows with τ and stays below the bound of local stability",
        statement="The least E_A at which a direct sum of simplices, relaxed, beats the simplex ETF by a relative "
        f"{scientific(MARGIN)} of the risk, bisected to a relative {scientific(ACCURACY)}, grows with τ = K √(E_W E_H) and is at most the E_A up to which the ETF is a local minimum.",
        source="Searched here; no proof of the growth; the second half is theorem etf-local-stability for K ≥ 4",
        region="E_A* ≤ ρ²: beyond, the bound on |A|₂ takes part, and E_A*(3, τ) need not grow; K from "
        f"{KS[0]} to {KS[-1]}, τ/K = {', '.join(f'{x:g}' for x in SCALES)} (at quick effort K = {', '.join(map(str, QUICK[1]))}, τ/K = "
        f"{', '.join(f'{x:g}' for x in QUICK[0])})",
        scope=replace(FROBENIUS, classes=(KS[0], KS[-1]), conditions=(f"|A|₂ ≤ {float(RHO):g}",)),
        check=partial(_boundary, share, reverse, factor),
        group=GROUP,
        topic="deq",
    )


def _boundary(share: float, reverse: bool, factor: float, ctx: Context) -> Evidence:
    scales, ks = (SCALES, KS) if ctx.full else QUICK
    curves: dict[str, tuple[list[float], list[float | None]]] = {}
    ordered = []
    rows: list[dict[str, object]] = []
    for k in ks:
        found = []
        for scale in scales:
            ctx.progress(f"E_A* for K = {k}", len(rows), len(scales) * len(ks))
            boundary = ctx.once(
                f"etf boundary {k} {scale}", partial(etf_boundary, k, k * scale, float(RHO), certify=False)
            )
            found.append(boundary)
            ordered.append(_is_edge(k, scale, factor * boundary.estimate, boundary.local, ctx))
            rows.append(
                {
                    "K": k,
                    "tau": k * scale,
                    "E_A*": _finite(boundary.estimate),
                    "local": _finite(boundary.local),
                    "code": boundary.structure,
                }
            )
            ctx.record("E_A*", rows[-1])
        values = [x.estimate for x in found]
        curves[f"K = {k}"] = list(scales), [_finite(x) for x in values]
        pairs = [pair for pair in itertools.pairwise(values) if pair[1] <= RHO**2]
        ordered.append(all(x * (1 + 1e-3) < y for x, y in (pair[::-1] if reverse else pair for pair in pairs)))
        ordered.append(all(x.estimate <= share * x.local for x in found))
    figure = curves_figure(
        "E_A*: the Frobenius budget from which on a softmax code beats the balanced ETF",
        "Best code of those searched; dots: certified for E_W = E_H = 1, the ETF being optimal below the boundary and not above it.",
        ("√(E_W E_H) = τ/K", "E_A*"),
        curves,
        [("", 1.0, float(Fraction(table[k]))) for k in ks for table in (OPTIMAL, SUBOPTIMAL)],
        scale="log",
    )
    first = next(row for row in rows if row["K"] == 4 and row["tau"] == 4.0)
    return evidence(
        f"E_A*(K = 4, τ = 4) ≈ {first['E_A*']:.4}; E_A* grows with τ and never exceeds the bound of local stability, on {len(rows)} points",
        numeric=Status.supported if all(ordered) else Status.inconclusive,
        established_by=(
            "descent from every direct sum of simplices, bisection in E_A, and again at 1.0005 and 0.9995 of it",
        ),
        details={"boundary": rows},
        figures=[figure],
    )


def _is_edge(k: int, scale: float, budget: float, local: float, ctx: Context) -> bool:
    """Whether a code beats the ETF just above a budget and none does just below, where the ETF is a local minimum."""
    sides = [budget * (1 + sign * EDGE) for sign in (1, -1)]
    beaten = [
        ctx.once(f"beaten {k} {scale} {side}", partial(logits_beating_etf, k, k * scale, side, float(RHO))) is not None
        for side in sides
        if side < local
    ]
    return beaten == [True, False][-len(beaten) :] if beaten else True


def _finite(x: float) -> float | None:
    return x if math.isfinite(x) else None


CLAIMS = (
    replace(
        optimal_claim(),
        variants={
            "ETF optimal: at a budget where a code beats it": optimal_claim({4: "31/100"}),
            "ETF optimal: at E_W E_H/(K−1)": optimal_claim({10: "1/9"}),
            "ETF optimal: at no budget at all": optimal_claim({}),
        },
    ),
    replace(
        suboptimal_claim(),
        variants={
            "ETF beaten: at a budget where it is optimal": suboptimal_claim({4: "1/8"}),
            "ETF beaten while stable: beyond E_W E_H/(K−1)": suboptimal_claim({6: "21/100"}),
            "ETF beaten: at no budget at all": suboptimal_claim({}),
        },
    ),
    replace(
        local_claim(),
        variants={
            "ETF stable: up to E_W E_H/K": local_claim(factor=0.8),
            **{f"ETF stable: up to {x:g} of the bound": local_claim(factor=x) for x in (0.98, 1.03, 1.1)},
        },
        off_by=lambda x: local_claim(1 + x),
        resolution=1e-6,
    ),
    replace(
        deep_claim(),
        variants={
            "deep linear: two factors suffice": deep_claim(depth=2),
            "deep linear: unstable up to n^{0.45 M}": deep_claim(exponent=0.45),
        },
        off_by=lambda x: deep_claim(exponent=0.5 * (1 + x)),
        resolution=1e-6,
    ),
    replace(
        penalised_claim(),
        variants={f"penalty on A: unstable up to {x:g} of the bound": penalised_claim(x) for x in (0.96, 1.04, 1.1)},
        off_by=lambda x: penalised_claim(1 + x),
        resolution=1e-6,
    ),
    replace(
        boundary_claim(),
        variants={
            "ETF boundary: falls with τ": boundary_claim(reverse=True),
            "ETF boundary: at most 0.9 of the local bound": boundary_claim(0.9),
            "ETF boundary: 1 % higher": boundary_claim(factor=1.01),
        },
        off_by=lambda x: boundary_claim(factor=1 + x),
        resolution=1e-3,
    ),
)
