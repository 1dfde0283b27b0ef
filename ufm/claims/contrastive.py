"""Contrastive learning under imbalance with several frequent classes: the criterion of collapse, and where there is none."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from ufm._words import scientific
from ufm.certificates import Certificate, CertificationError, certify_contrastive
from ufm.claims._figures import curves_figure
from ufm.claims._model import Claim, Context, Evidence, Figure, Scope, Status
from ufm.claims._tools import evidence, keep, symbolic

__all__ = [
    "CLAIMS",
    "contrastive_certified_claim",
    "contrastive_groups_claim",
    "contrastive_monotone_claim",
    "contrastive_ratio",
]

#: Two groups, one majority class or more.
VECTORS = Scope(("contrastive",), ("vectors",), groups=(2, 2), minority=2, dimension="K")

#: K_A, K_B and beta of the thresholds whose two sides are tried.
SIDES = ((2, 2, 1.0), (2, 3, 2.0), (3, 4, 5.0))

#: K_A and beta, and whether the minority collapses at some imbalance.
LIMITS = ((2, 0.5, True), (3, 2.5, False), (3, 4.8, False), (5, 2.5, False), (3, 5.0, True), (4, 8.4, True))

#: Relative distances of R from a threshold.
NEAR = (1e-2, 1e-4, 1e-6)


class _Groups(NamedTuple):
    """K_A classes of weight R, K_B of weight 1, at inverse temperature beta."""

    majority: int
    minority: int
    beta: float
    ratio: float

    def sums(self, x: float, y: float) -> tuple[float, float]:
        """Z_A and Z_B at inner products x within the majority, y across and 1 within the minority."""
        m, n, beta, r = self
        return (
            r * (math.exp(beta) + (m - 1) * math.exp(beta * x)) + n * math.exp(beta * y),
            n * math.exp(beta) + m * r * math.exp(beta * y),
        )

    def _loss(self, y: float) -> float:
        """N times the loss at z = 1, in floats."""
        m, n, _, r = self
        first, second = self.sums((m * y * y - 1) / (m - 1), y)
        return m * r * math.log(first) + n * math.log(second)

    def slope(self) -> float:
        """Derivative of the least loss in z at z = 1, where x is as small as the Gram matrix allows; in 40 digits."""
        import mpmath as mp

        m, n, beta, r = self

        def loss(y: Any, z: Any) -> Any:
            x = (m * n * y * y / (1 + (n - 1) * z) - 1) / (m - 1)
            first = r * (mp.exp(beta) + (m - 1) * mp.exp(beta * x)) + n * mp.exp(beta * y)
            second = mp.exp(beta) + (n - 1) * mp.exp(beta * z) + m * r * mp.exp(beta * y)
            return m * r * mp.log(first) + n * mp.log(second)

        with mp.workdps(40):
            grid = np.linspace(-0.9995, -0.0005, 1000)
            start = float(grid[np.argmin([self._loss(float(y)) for y in grid])])
            y = mp.findroot(lambda y: mp.diff(lambda t: loss(t, 1), y), (start - 1e-4, start), solver="secant")
            return float(mp.diff(lambda z: loss(y, z), 1))


def contrastive_ratio(majority: int, minority: int, beta: float, ratio: float) -> float:
    """e^{2 beta y} (Z_A + Z_B)^2/(4 e^{beta (1+x)} Z_A Z_B) at the best point with coinciding minority: collapse from 1 on.

    Raises:
        ValueError: fewer than two classes in a group, or numbers that are not positive.

    >>> [round(contrastive_ratio(2, 2, 1.0, r), 3) for r in (1.0, 140.0, 150.0)]
    [0.148, 0.999, 1.002]
    """
    from scipy.optimize import brentq

    if min(majority, minority) < 2 or not min(beta, ratio) > 0:
        raise ValueError(
            "majority and minority must be at least 2 and beta and ratio positive, "
            f"got {majority!r}, {minority!r}, {beta!r}, {ratio!r}"
        )
    at = _Groups(majority, minority, beta, ratio)

    def stationary(y: float) -> float:
        x = (majority * y * y - 1) / (majority - 1)
        first, second = at.sums(x, y)
        pull = 2 * majority * ratio * y * math.exp(beta * x) * second
        return (pull + minority * math.exp(beta * y) * (first + second)) / (first * second)

    y = float(brentq(stationary, -1, 0, xtol=1e-15))
    x = (majority * y * y - 1) / (majority - 1)
    first, second = at.sums(x, y)
    return math.exp(2 * beta * y - beta * (1 + x)) * (first + second) ** 2 / (4 * first * second)


def _threshold(majority: int, minority: int, beta: float) -> float:
    """The imbalance at which :func:`contrastive_ratio` passes 1, infinite if it does not up to e^30."""
    from scipy.optimize import brentq

    def above(log_ratio: float) -> float:
        return contrastive_ratio(majority, minority, beta, math.exp(log_ratio)) - 1

    return math.exp(brentq(above, 0, 30, xtol=1e-13)) if above(30) > 0 else math.inf


def contrastive_groups_claim(
    factor: float = 1.0, limits: Callable[[int, float], bool] | None = None, **variant: Any
) -> Claim:
    """``factor`` times the criterion's right side; ``limits`` replaces what decides collapse at large R."""

    def check(ctx: Context) -> Evidence:
        wrong: list[str] = []
        for m, n, beta in SIDES:
            star = ctx.once(f"contrastive threshold {m} {n} {beta}", partial(_threshold, m, n, beta))
            for near in (s * x for x in NEAR for s in (1, -1)):
                at = _Groups(m, n, beta, star * (1 + near))
                collapsed = ctx.once(f"contrastive slope {at}", at.slope) <= 0
                if collapsed is not (contrastive_ratio(*at) >= factor):
                    wrong.append(f"K_A = {m}, K_B = {n}, β = {beta}, R at {1 + near:g} of the threshold")
        for m, beta, known in LIMITS:
            at = _Groups(m, 3, beta, 1e8)
            collapsed = contrastive_ratio(*at) >= 1
            claimed = _decides(m, beta) if limits is None else limits(m, beta)
            if not (collapsed == known == claimed):
                wrong.append(f"K_A = {m}, β = {beta}, large R")
        return evidence(
            "the loss's slope at collapse on both sides of three thresholds at relative distances down to 10⁻⁶; R = 10⁸ at six temperatures"
            if not wrong
            else f"not at {wrong[0]}",
            proofs=[symbolic("contrastive-groups", **variant)] if (factor == 1 and limits is None) or variant else [],
            numeric=Status.inconclusive if wrong else Status.supported,
            established_by=("derivatives in 40 digits on the edge of the Gram matrices",),
            figures=[] if wrong else [ctx.once("contrastive groups figure", _figure)],
        )

    return Claim(
        id="contrastive-groups",
        title="Contrastive learning with several frequent classes: collapse of the rare ones at low temperature, and at no imbalance at high",
        statement="Let F = Σ_c π_c log Σ_c' π_c' e^{β (⟨x_c, x_c'⟩ − 1)} with K_A ≥ 2 classes R times as probable as each of K_B ≥ 2 others, "
        "β > 0. For y ∈ (−1, 0) let x = (K_A y² − 1)/(K_A − 1), Z_A = R (e^β + (K_A − 1) e^{β x}) + K_B e^{β y} and Z_B = K_B e^β + "
        "K_A R e^{β y}; if 2 K_A R y e^{β x} Z_B + K_B e^{β y} (Z_A + Z_B) = 0, then at the minimum of F the vectors of the others "
        "coincide if and only if e^{2 β y} (Z_A + Z_B)² ≥ 4 e^{β (1 + x)} Z_A Z_B. "
        "For all R from some on the vectors of the others coincide if K_A = 2 or β ≥ (K_A − 1) log(4 K_A), and for no R from some on if "
        "K_A ≥ 3 and β ≤ 5/2: the sign of (1 + Z)² − 4 Z e^{(K_A − 2)/(K_A − 1) β} with Z = (e^β + (K_A − 1) e^{−β/(K_A − 1)})/K_A decides.",
        source="Our own (theorem contrastive-groups); arXiv 2605.11291 finds collapse numerically",
        scope=replace(VECTORS, majority=2),
        check=check,
        group="Bounded norms, codes and spheres",
        papers=("contrastive2026",),
        topic="minority-collapse",
        core=False,
    )


def _decides(majority: int, beta: float) -> bool:
    """Whether (1 + Z)^2 > 4 Z e^{beta (K_A - 2)/(K_A - 1)}."""
    whole = (math.exp(beta) + (majority - 1) * math.exp(-beta / (majority - 1))) / majority
    return (1 + whole) ** 2 > 4 * whole * math.exp(beta * (majority - 2) / (majority - 1))


def _figure() -> Figure:
    """R* over beta for some sizes of the majority, three minority classes."""
    curves = {}
    for majority in (2, 3, 4):
        betas = [float(b) for b in np.linspace(0.3, 11, 54) if _decides(majority, float(b))]
        curves[f"K_A = {majority}"] = betas, [_threshold(majority, 3, b) for b in betas]
    return curves_figure(
        "Contrastive learning: the imbalance from which on the minority is one",
        "K_B = 3. Left of the start of its curve K_A ≥ 3 frequent classes leave the rare ones apart at every large imbalance.",
        ("inverse temperature β", "R*"),
        curves,
        scale="log",
    )


#: K_A, K_B and beta whose collapse is followed over R, and the number of powers of ten of R from 10^-2 on.
FOLLOWED = ((2, 2, 1.0), (2, 5, 3.0), (3, 4, 5.0), (3, 3, 4.0), (4, 2, 9.0))
DECADES = 10

#: K_A and relative distances from the critical beta at which R = 10^9 is tried; none is critical for K_A = 2.
CRITICAL = ((3, (1e-2, 1e-3, 1e-4)), (4, (1e-2, 1e-3, 1e-4)), (5, (1e-2, 1e-3)))


def _critical(majority: int) -> float:
    """The beta at which (1 + Z)^2 = 4 Z e^{beta (K_A - 2)/(K_A - 1)}."""
    from scipy.optimize import brentq

    return float(brentq(partial(_excess, majority, 4.0), 2.5, 40, xtol=1e-14))


def _excess(majority: int, share: float, beta: float) -> float:
    """log of (1 + Z)^2 over share Z e^{beta (K_A - 2)/(K_A - 1)}."""
    whole = (math.exp(beta) + (majority - 1) * math.exp(-beta / (majority - 1))) / majority
    return 2 * math.log(1 + whole) - math.log(share * whole) - beta * (majority - 2) / (majority - 1)


def _followed(majority: int, minority: int, beta: float) -> list[tuple[float, float]]:
    """R and log of :func:`contrastive_ratio` there; without the R at which the frequent classes coincide."""
    found = []
    for ratio in np.geomspace(1e-2, 10.0 ** (DECADES - 2), 4 * DECADES + 1):
        try:
            found.append((float(ratio), math.log(contrastive_ratio(majority, minority, beta, float(ratio)))))
        except ValueError:  # no stationary y: below the first R with one
            continue
    return found


def contrastive_monotone_claim(
    share: float = 4.0, pattern: Callable[[list[bool]], bool] | None = None, **variant: Any
) -> Claim:
    """``share`` of Z in what decides whether there is collapse at some R; ``pattern`` of collapse over rising R."""

    def rises(collapsed: list[bool]) -> bool:
        return collapsed == sorted(collapsed)

    def check(ctx: Context) -> Evidence:
        wrong: list[str] = []
        for at in FOLLOWED:
            line = ctx.once(f"contrastive over R {at}", partial(_followed, *at))
            collapsed = [log_ratio >= 0 for _, log_ratio in line]
            ever = _excess(at[0], share, at[2]) > 0
            if not (pattern or rises)(collapsed) or any(collapsed) is not ever:
                wrong.append(f"K_A = {at[0]}, K_B = {at[1]}, β = {at[2]} over R")
        for m, near in CRITICAL:
            middle = ctx.once(f"contrastive critical {m}", partial(_critical, m))
            for beta in (middle * (1 + sign * x) for x in near for sign in (1, -1)):
                slope = ctx.once(f"contrastive far {m} {beta}", _Groups(m, 3, beta, 1e9).slope)
                if (slope <= 0) is not (_excess(m, share, beta) > 0):
                    wrong.append(f"K_A = {m}, β = {beta:.6g}, R = 10⁹")
        return evidence(
            "over R from 10⁻² to 10⁸ collapse begins once and does not end; at R = 10⁹ it is there for β above the critical one and not "
            "below, at relative distances 10⁻² to 10⁻⁴, by the loss's slope"
            if not wrong
            else f"not at {wrong[0]}",
            proofs=[symbolic("contrastive-monotone", **variant)] if (share == 4 and pattern is None) or variant else [],
            numeric=Status.inconclusive if wrong else Status.supported,
            established_by=("the criterion over R", "derivatives in 40 digits on the edge of the Gram matrices"),
            figures=[] if wrong else [_phases(ctx)],
        )

    return Claim(
        id="contrastive-monotone",
        title="Contrastive learning: rare classes that are one stay one as imbalance grows, and the temperature decides whether they ever are",
        statement="Let F = Σ_c π_c log Σ_c' π_c' e^{β (⟨x_c, x_c'⟩ − 1)} with K_A ≥ 2 classes R times as probable as each of K_B ≥ 2 others, "
        "β > 0. If the vectors of the others coincide at the minimum of F for one R > 0, they coincide for every larger one. They "
        "coincide for some R if and only if (1 + Z)² > 4 Z e^{(K_A − 2)/(K_A − 1) β}, Z = (e^β + (K_A − 1) e^{−β/(K_A − 1)})/K_A; so they do "
        "for some R if K_A = 2 or β ≥ (K_A − 1) log(4 K_A), and for no R if K_A ≥ 3 and β ≤ 5/2.",
        source="Our own (theorem contrastive-monotone); arXiv 2605.11291 finds collapse numerically",
        scope=replace(VECTORS, majority=2),
        check=check,
        group="Bounded norms, codes and spheres",
        papers=("contrastive2026",),
        topic="minority-collapse",
        core=False,
    )


def _phases(ctx: Context) -> Figure:
    """The criterion over R, at temperatures on both sides of the critical one."""
    curves = {}
    for at in FOLLOWED:
        line = [point for point in ctx.once(f"contrastive over R {at}", partial(_followed, *at)) if point[1] > -2]
        m, n, beta = at
        curves[f"K_A = {m}, K_B = {n}, β = {beta:g}"] = [math.log10(ratio) for ratio, _ in line], [y for _, y in line]
    return curves_figure(
        "Contrastive learning: the criterion of collapse over imbalance",
        "The minority is one where a curve is above 0. A curve passes 0 once, or stays below at every imbalance (K_A = 3 at β = 4).",
        ("log10 R", "log of the criterion"),
        curves,
    )


#: K_A, K_B, beta, and R at which the minority is apart and one; with R* in between.
BRACKETS = ((1, 3, "1", 36, 37), (2, 2, "1", 142, 143), (2, 3, "2", 198, 199), (3, 4, "5", 41766, 41767))

#: K_A, K_B, beta and R of a temperature at which rare classes stay apart.
APART = (3, 3, "5/2", 10**8)

#: The least loss for K_A = K_B = 2, beta = 1 at both ends of its bracket.
LEAST = (-0.5717518434, -0.5717131802)

#: How near it is enclosed.
LEAST_ERROR = 1e-10


def contrastive_certified_claim(
    brackets: tuple[tuple[int, int, str, int, int], ...] = BRACKETS,
    apart: bool = True,
    least: tuple[float, ...] = LEAST,
) -> Claim:
    """``brackets`` of thresholds, whether rare classes stay ``apart`` at APART, and the ``least`` losses."""
    k_a, k_b, at, *ends = BRACKETS[1]

    def check(ctx: Context) -> Evidence:
        sides = [
            (m, n, beta, ratio, one)
            for m, n, beta, *both in brackets
            for ratio, one in zip(both, (False, True), strict=True)
        ]
        wrong: list[str] = []
        for m, n, beta, ratio, one in [*sides, (*APART, not apart)]:
            found = _certificate(ctx, m, n, beta, ratio, "collapse")
            if isinstance(found, str) or found.claim["statement"]["collapsed"] is not one:
                wrong.append(
                    f"K_A = {m}, K_B = {n}, β = {beta}, R = {ratio}{f': {found}' if isinstance(found, str) else ''}"
                )
        for value, ratio in zip(least, ends, strict=True):
            found = _certificate(ctx, k_a, k_b, at, ratio, "value")
            if isinstance(found, str) or not value - LEAST_ERROR <= found.lower <= found.upper <= value + LEAST_ERROR:
                wrong.append(f"the least F at R = {ratio}")
        return evidence(
            f"ball arithmetic: the minority apart and one at the ends of {len(brackets)} brackets of R, apart at R = "
            f"{scientific(APART[3])}, {len(least)} least losses"
            if not wrong
            else f"not at {wrong[0]}",
            proofs=[
                symbolic("contrastive-collapse", lemma=True, used_for=(replace(VECTORS, conditions=("K_A = 1",)),)),
                symbolic("contrastive-monotone", lemma=True, used_for=(replace(VECTORS, majority=2),)),
            ],
            numeric=Status.inconclusive if wrong else Status.certified,
            universal=False,
            established_by=("rational unit vectors and a tangent in their Gram matrix, which enclose the optimal one",),
            details={
                "brackets of R*": [dict(zip(("K_A", "K_B", "β", "apart", "one"), x, strict=True)) for x in brackets]
            },
        )

    hot = f"K_A = {APART[0]}, K_B = {APART[1]}, β = {APART[2]}"
    losses = " and ".join(f"{value:.10f} at R = {ratio}" for value, ratio in zip(least, ends, strict=True)).replace(
        "-", "−"
    )
    listed = ", ".join(f"({low}, {high}] at ({m}, {n}, {beta})" for m, n, beta, low, high in brackets)
    return Claim(
        id="contrastive-certified",
        title="Contrastive learning: thresholds of collapse between certified sides, and rare classes certified apart",
        statement="Let F = Σ_c π_c log Σ_c' π_c' e^{β (⟨x_c, x_c'⟩ − 1)} over unit vectors in d ≥ K dimensions, with K_A classes R times as "
        "probable as each of K_B others, and R* the imbalance from which on the vectors of the others coincide at the minimum. R* is in "
        f"{listed} = (K_A, K_B, β): they differ at the lower end and coincide at the upper one. At {hot} they "
        f"{'differ' if apart else 'coincide'} at R = {scientific(APART[3])}. At K_A = {k_a}, K_B = {k_b}, β = {at} the least F is "
        f"{losses}, to {scientific(LEAST_ERROR)}.",
        source="Certified here (kind contrastive); one threshold each by the theorems contrastive-collapse and contrastive-monotone",
        scope=VECTORS,
        check=check,
        group="Bounded norms, codes and spheres",
        papers=("contrastive2026",),
        topic="minority-collapse",
        core=False,
    )


def _certificate(ctx: Context, m: int, n: int, beta: str, ratio: int, statement: str) -> Certificate | str:
    """A certificate, kept, or why there is none."""
    name = f"contrastive-{statement}-{m}-{n}-{beta.replace('/', '-')}-{ratio}"
    try:
        found = ctx.once(name, partial(certify_contrastive, m, n, ratio, beta, statement=statement))
    except CertificationError as reason:
        return str(reason)
    return keep(ctx, name, found)


CLAIMS = (
    replace(
        contrastive_groups_claim(),
        variants={
            "contrastive groups: twice the right side": contrastive_groups_claim(2.0),
            "contrastive groups: half the right side": contrastive_groups_claim(0.5),
            "contrastive groups: collapse at every temperature": contrastive_groups_claim(limits=lambda m, beta: True),
            "contrastive groups: at two frequent classes alone": contrastive_groups_claim(
                limits=lambda m, beta: m == 2
            ),
        },
        off_by=lambda x: contrastive_groups_claim(1 + x),
        resolution=1e-3,
    ),
    replace(
        contrastive_monotone_claim(),
        variants={
            "contrastive over R: collapse up to some R": contrastive_monotone_claim(
                pattern=lambda collapsed: collapsed == sorted(collapsed, reverse=True)
            ),
            "contrastive over R: collapse at every R": contrastive_monotone_claim(pattern=all),
            "contrastive over R: 2 Z for 4 Z": contrastive_monotone_claim(2.0),
        },
        off_by=lambda x: contrastive_monotone_claim(4 * (1 + x)),
        resolution=1e-3,
    ),
    replace(
        contrastive_certified_claim(),
        variants={
            "contrastive certified: one beyond the brackets": contrastive_certified_claim(
                tuple((m, n, beta, low + 1, high + 1) for m, n, beta, low, high in BRACKETS)
            ),
            "contrastive certified: one below the brackets": contrastive_certified_claim(
                tuple((m, n, beta, low - 1, high - 1) for m, n, beta, low, high in BRACKETS)
            ),
            "contrastive certified: hot classes coincide": contrastive_certified_claim(apart=False),
            "contrastive certified: another least loss": contrastive_certified_claim(
                least=(LEAST[0] + 1e-9, LEAST[1] + 1e-9)
            ),
        },
    ),
)
