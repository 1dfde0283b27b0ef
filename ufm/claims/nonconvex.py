"""Balanced classes and a Frobenius budget on A: where the simplex ETF is optimal, where it is not, and how it goes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from fractions import Fraction

import numpy as np

from ufm.certificates import CertificationError, certify_code, certify_counterexample, certify_etf_optimal
from ufm.claims._model import Claim, Context, Evidence, Figure, Status, combine
from ufm.claims._tools import evidence, keep, symbolic
from ufm.landscape.etf_boundary import etf_boundary, etf_risk, logits_beating_etf

__all__ = ["CLAIMS", "deep_claim", "local_claim", "optimal_claim", "penalised_claim", "suboptimal_claim"]

GROUP = "Where neural collapse fails: Frobenius budgets and depth"

#: E_A at which the ETF is optimal and at which it is not, by K, for E_W = E_H = 1: the claims' own numbers.
OPTIMAL = {3: "1/5", 4: "1/8", 5: "9/100", 6: "7/100", 7: "27/500", 8: "11/250", 9: "37/1000", 10: "4/125"}
SUBOPTIMAL = {3: "19/20", 4: "31/100", 5: "9/40", 6: "163/1000", 7: "127/1000", 8: "26/250", 9: "87/1000", 10: "3/40"}

#: Bound on |A|_2 of the counterexamples.
RHO = Fraction(99, 100)

#: sqrt(E_W E_H) at which E_A* is drawn at full effort.
SCALES = (0.4, 0.6, 0.8, 1.0, 1.4, 2.0, 3.0, 4.5)


def local_claim(factor: float = 1.0) -> Claim:
    """The ETF is a local minimum iff ``E_A < factor E_W E_H/(K-1)``; true for factor 1."""

    def check(ctx: Context) -> Evidence:
        wrong, gaps = [], []
        for k in (4, 5, 6, 10):
            for tau in (0.5 * k, 1.0 * k):
                critical = factor * (tau / k) ** 2 / (k - 1)
                below, above = (_second_order(k, tau, critical * share) for share in (0.97, 1.03))
                gaps.append({"K": k, "tau": tau, "E_A": critical, "below": below, "above": above})
                if not below > 0 > above:
                    wrong.append(f"K = {k}, τ = {tau:g}")
        true = factor == 1.0
        return evidence(
            "the risk's second order along the boundary changes sign there for K = 4, 5, 6, 10"
            if not wrong
            else f"no change of sign at {wrong[0]}",
            proofs=[symbolic("etf-local-stability")] if true else [],
            numeric=Status.inconclusive if wrong else Status.supported,
            established_by=("finite perturbations 3 % below and above",),
            details={"second order": gaps},
        )

    return Claim(
        id="etf-local-stability",
        title="The ETF is a local minimum up to E_A = E_W E_H/(K − 1), and no further",
        statement="For K ≥ 4 balanced classes under cross-entropy and a linear DEQ with |A|_F² ≤ E_A whose bound on |A|₂ is idle at the ETF, "
        "the simplex ETF is a strict local minimum for E_A < E_W E_H/(K − 1) and none for E_A > E_W E_H/(K − 1).",
        source="Derived here (theorem etf-local-stability)",
        hypotheses=("K ≥ 4 balanced classes", "cross-entropy", "√E_A < ρ √(K − 1)"),
        check=check,
        group=GROUP,
    )


def _second_order(k: int, tau: float, budget: float) -> float:
    """(risk at sP + tE - risk of the ETF)/t^2 on the boundary of the budgets, E in a least stable direction."""
    n, b, t = k - 1, math.sqrt(budget), 0.03
    e = np.zeros((k, k))
    e[:4, :4] = [[0, 1, 0, -1], [1, 0, -1, 0], [0, -1, 0, 1], [-1, 0, 1, 0]]
    square = t * t * float((e**2).sum())
    s = tau / (n - b * math.sqrt(n))
    for _ in range(60):
        s = (tau + b * math.sqrt(n * s * s + square)) / n
    z = s * (np.eye(k) - 1 / k) + t * e
    risk = float(np.mean(np.log(np.exp(z).sum(axis=0)) - np.diag(z)))
    return (risk - etf_risk(k, tau, budget, 0.99)) / t**2


def optimal_claim(budgets: Mapping[int, str] = OPTIMAL) -> Claim:
    """The ETF is globally optimal at these E_A, tau = K."""

    def check(ctx: Context) -> Evidence:
        theorem = symbolic("frobenius-budget-etf")
        rows, statuses = [], [theorem.status]
        for i, (k, budget) in enumerate(budgets.items()):
            ctx.progress("certifying that the ETF is optimal", i, len(budgets))
            row: dict[str, object] = {"K": k, "tau": k, "E_A": budget}
            try:
                found = certify_etf_optimal(k, k, Fraction(budget))
                row |= {"optimal value": [found.lower, found.upper], "boxes": found.boxes}
                statuses.append(Status.certified)
            except CertificationError as reason:
                row["open"] = str(reason)
                statuses.append(Status.inconclusive)
            rows.append(row)
        status = combine(statuses)
        share = min(float(Fraction(budgets[k])) / float(Fraction(SUBOPTIMAL[k])) for k in budgets if k > 3)
        return evidence(
            f"the ETF is optimal at E_A = {', '.join(budgets.values())} for K = {', '.join(map(str, budgets))} and E_W = E_H = 1, at least "
            f"{share:.0%} of the least E_A known to break it for K ≥ 4"
            if status.as_claimed
            else "no proof for every K",
            numeric=status,
            universal=False,
            established_by=(
                f"symbolic proof of {theorem.theorem} ({theorem.num_steps} exact steps)",
                "ball arithmetic on boxes of (|Z|_F, |Z|_* − tr Z)",
            ),
            assumptions=(f"classical lemmas: {', '.join(theorem.lemmas)}",),
            details={"points": rows},
        )

    return Claim(
        id="etf-optimal-small-frobenius",
        title="P1 with a small Frobenius budget holds: the ETF is globally optimal",
        statement="For K = 3, …, 10 balanced classes under cross-entropy and a linear DEQ with E_W = E_H = 1 and |A|_F² ≤ E_A, any bound on "
        "|A|₂ that is idle at the ETF, the simplex ETF is globally optimal at "
        + ", ".join(f"E_A = {float(Fraction(x)):g} (K = {k})" for k, x in budgets.items())
        + ".",
        source="Sun & Shi 2024 (claim P1), for a Frobenius budget; derived here (theorem frobenius-budget-etf)",
        hypotheses=("K balanced classes", "cross-entropy", "E_W = E_H = 1", "√E_A ≤ ρ √(K − 1)"),
        region="a bound below the true boundary: between these E_A and those of the counterexamples optimality is open",
        check=check,
        group=GROUP,
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
            proofs=[],
            numeric=combine([*statuses, symbolic("etf-local-stability").status]),
            universal=False,
            established_by=(
                "exactly feasible rational factors, risks in ball arithmetic",
                "symbolic proof of etf-local-stability",
            ),
            details={"points": rows},
            figures=[_at_unit_budgets(budgets)],
        )

    return Claim(
        id="etf-suboptimal-frobenius",
        title="P1 with a larger Frobenius budget fails, first by a jump: codes win while the ETF is still a local minimum",
        statement="For K = 3, …, 10 balanced classes under cross-entropy and a linear DEQ with E_W = E_H = 1, |A|₂ ≤ 0.99 and |A|_F² ≤ E_A, a "
        "softmax code beats every simplex ETF at "
        + ", ".join(f"E_A = {float(Fraction(x)):g} (K = {k})" for k, x in budgets.items())
        + "; for K ≥ 4 the ETF is still a strict local minimum there (E_A < 1/(K − 1)): two phases coexist and the transition is of first order.",
        source="Counterexamples to Sun & Shi 2024 (claim P1) read without a bound on |A|₂; softmax codes as in Garrod et al. 2026 for depth; "
        "derived here",
        hypotheses=("K balanced classes", "cross-entropy", "E_W = E_H = 1"),
        check=check,
        group=GROUP,
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
            for share in (0.95, 1.05):
                signs.append(depth > 2 and _bend_deep(k, depth, share * critical) * (share - 1) > 0)
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
        statement="For balanced classes under cross-entropy and M ≥ 3 linear factors with Frobenius budgets, τ = ∏ √c_j, the cross-polytope beats "
        "every simplex ETF at every τ for even K ≥ 6, and for K = 4 if M ≥ 4; and for every K ≥ 4 the ETF is not even a local minimum "
        "for τ < K (M − 2)/M (K − 1)^{M/2}.",
        source="Derived here (theorem deep-linear-etf); that deep neural collapse can be suboptimal: Sukenik & Mondelli 2023, Garrod et al. 2026",
        hypotheses=("balanced classes", "cross-entropy", "M ≥ 3 linear factors, Frobenius budgets"),
        region="odd K above that τ, and K = 4 with M = 3, are left open",
        check=check,
        group=GROUP,
    )


def _perturbed(k: int, s: float, t: float) -> float:
    """Risk at sP + tE, E with eigenvalues 2 and -2 and zero diagonal: four classes have margins s - t, s + t and s else."""
    n = k - 1
    four = math.log1p(math.exp(-s) * (n - 2 + 2 * math.cosh(t)))
    return (4 * four + (k - 4) * math.log1p(n * math.exp(-s))) / k


def _bend_deep(k: int, depth: int, tau: float, t: float = 0.02) -> float:
    """(risk along the gauge of M factors at sP + tE - risk of the ETF)/t^2."""
    n, p = k - 1, 2 / depth
    etf = tau / n ** (1 / p)
    t *= etf
    s = etf
    for _ in range(50):  # (n-2) s^p + (s + 2t)^p + (s - 2t)^p = tau^p
        s *= (tau**p / ((n - 2) * s**p + (s + 2 * t) ** p + (s - 2 * t) ** p)) ** (1 / p)
    return (_perturbed(k, s, t) - _perturbed(k, etf, 0.0)) / t**2


def penalised_claim(factor: float = 1.0) -> Claim:
    """An ETF below the cap is no local minimum for ``lambda_A p < factor N lam^2``; true for factor 1."""

    def check(ctx: Context) -> Evidence:
        wrong = []
        for k, alpha in ((4, 0.3), (6, 1.0), (10, 2.5)):
            strength = 1.0  # N lam^2
            critical = factor * strength * (math.exp(alpha) + k - 1)
            for share in (0.95, 1.05):
                t = 0.01
                change = -8 * t * t * strength / (2 * k * share * critical)  # of the penalty, nu lam^2 = N lam^2/K
                bend = _perturbed(k, alpha, t) - _perturbed(k, alpha, 0.0) + change
                if bend * (share - 1) <= 0:
                    wrong.append(f"K = {k}, α = {alpha:g}, λ_A = {share:g} of the bound")
        return evidence(
            "the objective bends down just below the stated λ_A and not just above, for K = 4, 6, 10"
            if not wrong
            else f"not at {wrong[0]}",
            proofs=[symbolic("penalised-deq-etf")] if factor == 1.0 else [],
            numeric=Status.inconclusive if wrong else Status.supported,
            established_by=("finite perturbations 5 % below and above",),
        )

    return Claim(
        id="penalised-deq-etf",
        title="A cheap A: with a penalty on A the balanced ETF is not even a local minimum",
        statement="For K ≥ 4 balanced classes under cross-entropy and weight decay with (λ_A/2)|A|_F², |A|₂ ≤ ρ, λ = √(λ_W λ_H), N samples, an ETF of "
        "size α with an idle cap is not a local minimum if λ_A < Nλ² (e^α + K − 1); whatever α is, this holds for λ_A ≤ K N λ².",
        source="Derived here (theorem penalised-deq-etf)",
        hypotheses=("K ≥ 4 balanced classes", "cross-entropy", "λ √(N/K) α < ρ λ_A: the cap is idle"),
        region="whether the ETF is globally optimal for larger λ_A is left open",
        check=check,
        group=GROUP,
    )


def _boundary(ctx: Context) -> Evidence:
    scales, ks = (SCALES, range(3, 11)) if ctx.full else ((0.6, 1.0), (4, 5))
    curves, ordered = [], []
    rows: list[dict[str, object]] = []
    for k in ks:
        found = []
        for scale in scales:
            ctx.progress(f"E_A* for K = {k}", len(rows), len(scales) * len(ks))
            boundary = etf_boundary(k, k * scale, float(RHO), certify=False)
            found.append(boundary)
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
        curves.append({"label": f"K = {k}", "x": list(scales), "y": [_finite(x) for x in values]})
        ordered.append(all(x < y for x, y in itertools.pairwise(values) if y <= RHO**2))
        ordered.append(all(x.estimate <= x.local for x in found))
    figure = Figure(
        "thresholds",
        "E_A*: the Frobenius budget from which on a softmax code beats the balanced ETF",
        "Best code of those searched; dots: certified for E_W = E_H = 1, the ETF being optimal below the boundary and not above it.",
        {
            "x_label": "√(E_W E_H) = τ/K",
            "y_label": "E_A*",
            "curves": curves,
            "marks": [
                {"label": "", "x": 1.0, "y": float(Fraction(table[k]))} for k in ks for table in (OPTIMAL, SUBOPTIMAL)
            ],
        },
    )
    first = next(row for row in rows if row["K"] == 4 and row["tau"] == 4.0)
    return evidence(
        f"E_A*(K = 4, τ = 4) ≈ {first['E_A*']:.4}; E_A* grows with τ and never exceeds the bound of local stability, on {len(rows)} points",
        numeric=Status.supported if all(ordered) else Status.inconclusive,
        established_by=("descent from every direct sum of simplices, bisection in E_A",),
        details={"boundary": rows},
        figures=[figure],
    )


def _finite(x: float) -> float | None:
    return x if math.isfinite(x) else None


CLAIMS = (
    optimal_claim(),
    suboptimal_claim(),
    local_claim(),
    deep_claim(),
    penalised_claim(),
    Claim(
        id="etf-boundary",
        title="The boundary E_A*(K, τ) grows with τ and stays below the bound of local stability",
        statement="For balanced classes under cross-entropy, the least E_A at which a direct sum of simplices, relaxed, beats the simplex ETF grows with "
        "τ = K √(E_W E_H) and is at most the E_A up to which the ETF is a local minimum.",
        source="Searched here; no proof",
        region="E_A* ≤ ρ²: beyond, the bound on |A|₂ takes part, and E_A*(3, τ) need not grow",
        hypotheses=("K balanced classes", "cross-entropy", "|A|₂ ≤ 0.99"),
        check=_boundary,
        group=GROUP,
    ),
)
