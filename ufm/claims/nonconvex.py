"""Balanced classes and a Frobenius budget on A: where the simplex ETF is optimal, where it is not, and how it goes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from fractions import Fraction

import numpy as np

from ufm.boundaries import etf_boundary, etf_risk, logits_beating_etf
from ufm.certificates import CertificationError, certify_code, certify_etf_optimal
from ufm.claims._model import Claim, Context, Evidence, Figure, Status, combine
from ufm.claims._tools import evidence, keep, symbolic

__all__ = ["CLAIMS", "local_claim", "optimal_claim", "suboptimal_claim"]

GROUP = "Where neural collapse fails: Frobenius budgets and depth"

#: E_A at which the ETF is optimal and at which it is not, by K, for E_W = E_H = 1: the claims' own numbers.
OPTIMAL = {3: "1/4", 4: "3/20", 5: "1/10", 6: "2/25", 7: "3/50", 8: "1/20", 9: "1/25", 10: "7/200"}
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
        ordered.append(all(x < y for x, y in itertools.pairwise(values) if math.isfinite(y)))
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
    Claim(
        id="etf-boundary",
        title="The boundary E_A*(K, τ) grows with τ and stays below the bound of local stability",
        statement="For balanced classes under cross-entropy, the least E_A at which a direct sum of simplices, relaxed, beats the simplex ETF grows with "
        "τ = K √(E_W E_H) and is at most the E_A up to which the ETF is a local minimum.",
        source="Searched here; no proof",
        hypotheses=("K balanced classes", "cross-entropy", "|A|₂ ≤ 0.99"),
        check=_boundary,
        group=GROUP,
    ),
)
