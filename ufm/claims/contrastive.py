"""Contrastive learning under imbalance with several frequent classes: the criterion of collapse, and where there is none."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from ufm.claims._model import Claim, Context, Evidence, Figure, Scope, Status
from ufm.claims._tools import evidence, symbolic

__all__ = ["CLAIMS", "contrastive_groups_claim", "contrastive_ratio"]

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
        scope=Scope(("contrastive",), ("vectors",), groups=(2, 2), majority=2, minority=2, dimension="K"),
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
    """log10 R* over beta for some sizes of the majority, three minority classes."""
    curves = []
    for majority in (2, 3, 4):
        betas = [float(b) for b in np.linspace(0.5, 6, 12) if _decides(majority, float(b))]
        found = [math.log10(_threshold(majority, 3, b)) for b in betas]
        curves.append({"label": f"K_A = {majority}", "x": betas, "y": found})
    return Figure(
        "thresholds",
        "Contrastive learning: the imbalance from which on the minority is one",
        "K_B = 3. Left of the start of its curve K_A ≥ 3 frequent classes leave the rare ones apart at every large imbalance.",
        {"x_label": "inverse temperature β", "y_label": "log10 R*", "curves": curves, "marks": []},
    )


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
)
