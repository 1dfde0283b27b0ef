r"""Thresholds of collapse measured by trainings at several n_B, with no use of the prediction.

How s_B vanishes (derived here). Under CE with weight decay ``lam = sqrt(lambda_W lambda_H)``, spectral bound rho and N
samples, let ``p`` be the probability that the optimal network gives the right class on a minority sample and ``q`` that
of another minority class. On the minority's standard representation the gradient of the risk is ``-pi_B (1 - p + q)``,
the gauge's is ``(1-rho) lam sqrt(n_B)``, so stationarity with s_B > 0 reads

    p - q = 1 - (1-rho) lam N / sqrt(n_B),    and    s_B = log(p/q) = log(1 + (p - q)/q).

The right side vanishes to first order at n_B*, q is smooth and positive there: ``exp(s_B) - 1 = (p - q)/q`` is a smooth
function of n_B with a simple zero (singular values of W and H vanish like its square root). A parabola through it at a
few n_B within some 30% above n_B* finds that zero to 0.5%; one through s_B itself, to 1.5%; one through s_B^2 is wrong.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ufm.deq.sweep import Sweep

__all__ = ["MeasuredThreshold", "measured_threshold", "threshold_of_sweep"]

#: A network is collapsed when s_B is below this: it is 1e-5 and less in a converged collapsed training.
COLLAPSED = 1e-2
#: Uncollapsed points, nearest to the threshold, that are used of every seed.
POINTS = 4


@dataclass(frozen=True)
class MeasuredThreshold:
    """n_B* found by extrapolation.

    Attributes:
        value: mean over seeds.
        error: root of the sum of squares of the standard error over seeds and of the largest change on leaving a point
            of every seed out.
        collapsed: largest n_B below which, itself included, every training is collapsed; None without any.
        uncollapsed: smallest n_B at which every training is not.
        seeds: n_B* of every seed.
    """

    value: float
    error: float
    collapsed: int | None
    uncollapsed: int
    seeds: tuple[float, ...]


def measured_threshold(points: Iterable[tuple[int, float, int]]) -> MeasuredThreshold:
    """Zero of ``exp(s_B) - 1`` as a function of n_B, by a parabola through the points nearest to it.

    Args:
        points: (n_B, s_B, seed) of trainings on both sides of the threshold, or above it only.

    Raises:
        ValueError: some seed has fewer than four uncollapsed points, or its parabola has no zero below them.
    """
    found = sorted((int(n), float(s), int(seed)) for n, s, seed in points)
    estimates, changes = [], []
    for seed in sorted({seed for _, _, seed in found}):
        used = [(n, s) for n, s, k in found if k == seed and s > COLLAPSED][:POINTS]
        if len(used) < POINTS:
            raise ValueError(f"points must hold {POINTS} uncollapsed ones of seed {seed}, got {len(used)}")
        estimates.append(_zero(used))
        changes.append(max(abs(_zero(part) - estimates[-1]) for part in itertools.combinations(used, POINTS - 1)))
    spread = statistics.stdev(estimates) / math.sqrt(len(estimates)) if len(estimates) > 1 else 0.0
    collapsed = {n for n, s, _ in found if s <= COLLAPSED}
    uncollapsed = {n for n, s, _ in found if s > COLLAPSED}
    return MeasuredThreshold(
        value=statistics.fmean(estimates),
        error=math.hypot(spread, max(changes)),
        collapsed=max((n for n in collapsed if n < min(uncollapsed)), default=None),
        uncollapsed=min(n for n in uncollapsed if n > max(collapsed, default=0)),
        seeds=tuple(estimates),
    )


def threshold_of_sweep(sweep: Sweep, branch: str) -> MeasuredThreshold:
    """:func:`measured_threshold` of a branch of a sweep; ValueError where it has too few points."""
    return measured_threshold((p.minority_count, p.scale, p.seed) for p in sweep.branch(branch) if p.scale is not None)


def _zero(points: tuple[tuple[int, float], ...] | list[tuple[int, float]]) -> float:
    n = np.array([p[0] for p in points], dtype=float)
    smallest = float(n.min())
    roots = np.roots(np.polyfit(n / smallest - 1, np.expm1([p[1] for p in points]), 2))
    below = [float(r.real) for r in roots if abs(r.imag) < 1e-9 and -1 < r.real < 0]
    if not below:
        raise ValueError(f"points must extrapolate to a threshold, got {points}")
    return smallest * (1 + max(below))
