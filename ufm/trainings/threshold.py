r"""Thresholds of collapse measured by trainings at several n_B.

How s_B vanishes (derived here). Under CE with weight decay ``lam = sqrt(lambda_W lambda_H)``, spectral bound rho and N
samples, let ``p`` be the probability that the optimal network gives the right class on a minority sample and ``q`` that
of another minority class. On the minority's standard representation the gradient of the risk is ``-pi_B (1 - p + q)``,
the gauge's is ``(1-rho) lam sqrt(n_B)``, so stationarity with s_B > 0 reads

    p - q = 1 - (1-rho) lam N / sqrt(n_B),    and    s_B = log(p/q) = log(1 + (p - q)/q).

The right side vanishes to first order at n_B*, q is smooth and positive there: ``exp(s_B) - 1 = (p - q)/q`` is a smooth
function of n_B with a simple zero (singular values of W and H vanish like its square root). A parabola through it at a
few n_B within some 30% above n_B* finds that zero to 0.5%; one through s_B itself, to 1.5%; one through s_B^2 is wrong.

What a measured value rests on: no predicted number enters, neither n_B* nor lam, rho or N. That ``exp(s_B) - 1`` has a
simple zero does enter: it comes from the theory whose n_B* the value is then compared with, and of a nonlinear DEQ it
is an assumption. The bracket by the collapsed and the uncollapsed trainings next to the threshold rests on neither.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ufm._validation import integer, one_of, real
from ufm.trainings.sweep import BRANCHES, Sweep

__all__ = ["MeasuredThreshold", "measured_threshold", "threshold_of_sweep"]

#: A network is collapsed when s_B is below this: it is 1e-5 and less in a converged collapsed training.
COLLAPSED = 1e-2
#: Uncollapsed points, nearest to the threshold, that are used of every seed.
POINTS = 4


@dataclass(frozen=True)
class MeasuredThreshold:
    """n_B* found by extrapolation, and the bracket that takes none.

    Attributes:
        value: mean over seeds.
        error: root of the sum of squares of ``extrapolation`` and ``spread``. With one seed the spread is unknown: the
            error is then that of the extrapolation alone, and says nothing of other seeds.
        collapsed: largest n_B up to which, itself included, every training is collapsed, s_B at most 1e-2, which it is
            half a per cent above n_B* too; None without any.
        uncollapsed: smallest n_B from which on no training is.
        seeds: n_B* of every seed.
        extrapolation: largest change of a seed's n_B* on leaving one of its points out.
        spread: standard error over seeds; None with one seed.
        points: number of trainings that entered the value or the bracket.
        unconverged: how many of them had not converged.
        left_out: number of trainings that did not enter, because they had not converged or had failed.
    """

    value: float
    error: float
    collapsed: int | None
    uncollapsed: int
    seeds: tuple[float, ...]
    extrapolation: float
    spread: float | None
    points: int
    unconverged: int = 0
    left_out: int = 0


def measured_threshold(points: Iterable[tuple[int, float, int]]) -> MeasuredThreshold:
    """Zero of ``exp(s_B) - 1`` as a function of n_B, by a parabola through the points nearest to it.

    Args:
        points: (n_B, s_B, seed) of converged trainings on both sides of the threshold, or above it only.

    Raises:
        TypeError, ValueError: a point is not what it should be, there is none, some seed has fewer than four
            uncollapsed points, its parabola has no zero below them, or a training is collapsed above all that are not.

    >>> points = [(n, np.log1p(0.1 * (n - 10)), 0) for n in (11, 12, 13, 14)]
    >>> round(measured_threshold([(9, 0.0, 0), *points]).value, 6)
    10.0
    """
    if isinstance(points, str | bytes) or not isinstance(points, Iterable):
        raise TypeError(f"points must be (n_B, s_B, seed) each, got {points!r}")
    found = sorted(_point(f"points[{i}]", point) for i, point in enumerate(points))
    if not found:
        raise ValueError(f"points must hold {POINTS} uncollapsed ones of every seed, got none")
    return _measured(found, {seed for _, _, seed in found})


def threshold_of_sweep(sweep: Sweep, branch: str, *, unconverged: bool = False) -> MeasuredThreshold:
    """:func:`measured_threshold` of a branch of a sweep.

    Args:
        sweep: with points of the branch.
        branch: ``"explicit"``, ``"identity"`` or ``"zero"``.
        unconverged: whether trainings that have not converged enter. Their s_B is that of no stationary point, and near
            the threshold, where convergence is slow, how far off it is the error does not tell. The result counts them,
            whether they entered or were left out.

    Raises:
        TypeError, ValueError: an argument is not what it should be, or the branch has too few points.

    >>> from ufm.trainings import SweepConfig
    >>> threshold_of_sweep(Sweep(SweepConfig(explicit=(14,))), "explicit")
    Traceback (most recent call last):
    ValueError: sweep must hold points of the branch 'explicit', got none
    """
    if not isinstance(sweep, Sweep):
        raise TypeError(f"sweep must be a ufm.deq.Sweep, got {sweep!r}")
    one_of("branch", branch, BRANCHES)
    if not isinstance(unconverged, bool):
        raise TypeError(f"unconverged must be True or False, got {unconverged!r}")
    trained = sweep.branch(branch)
    if not trained:
        raise ValueError(f"sweep must hold points of the branch {branch!r}, got none")
    used = [p for p in trained if p.scale is not None and (p.converged or unconverged)]
    return _measured(
        sorted((p.minority_count, float(p.scale), p.seed) for p in used if p.scale is not None),
        {p.seed for p in trained},
        unconverged=sum(not p.converged for p in used),
        left_out=len(trained) - len(used),
    )


def _measured(
    found: list[tuple[int, float, int]], seeds: set[int], *, unconverged: int = 0, left_out: int = 0
) -> MeasuredThreshold:
    estimates, changes = [], []
    for seed in sorted(seeds):
        used = [(n, s) for n, s, k in found if k == seed and s > COLLAPSED][:POINTS]
        if len(used) < POINTS:
            out = f"; {left_out} of all seeds failed or did not converge and were left out" if left_out else ""
            raise ValueError(f"points must hold {POINTS} uncollapsed ones of seed {seed}, got {len(used)}{out}")
        if len({n for n, _ in used}) < POINTS:
            raise ValueError(f"points must not repeat an n_B of a seed, got {used} of seed {seed}")
        estimates.append(_zero(used))
        changes.append(max(abs(_zero(part) - estimates[-1]) for part in itertools.combinations(used, POINTS - 1)))
    spread = statistics.stdev(estimates) / math.sqrt(len(estimates)) if len(estimates) > 1 else None
    collapsed = {n for n, s, _ in found if s <= COLLAPSED}
    uncollapsed = {n for n, s, _ in found if s > COLLAPSED}
    above = [n for n in uncollapsed if n > max(collapsed, default=0)]
    if not above:
        raise ValueError(f"points must not be collapsed above all that are not, got s_B = 0 at n_B = {max(collapsed)}")
    return MeasuredThreshold(
        value=statistics.fmean(estimates),
        error=math.hypot(spread or 0.0, max(changes)),
        collapsed=max((n for n in collapsed if n < min(uncollapsed)), default=None),
        uncollapsed=min(above),
        seeds=tuple(estimates),
        extrapolation=max(changes),
        spread=spread,
        points=len(found),
        unconverged=unconverged,
        left_out=left_out,
    )


def _point(name: str, point: Any) -> tuple[int, float, int]:
    try:
        n, s, seed = point
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be (n_B, s_B, seed), got {point!r}") from None
    return (
        integer(f"{name}: n_B", n, minimum=1),
        real(f"{name}: s_B", s),
        integer(f"{name}: seed", seed, minimum=0),
    )


def _zero(points: tuple[tuple[int, float], ...] | list[tuple[int, float]]) -> float:
    n = np.array([p[0] for p in points], dtype=float)
    smallest = float(n.min())
    roots = np.roots(np.polyfit(n / smallest - 1, np.expm1([p[1] for p in points]), 2))
    below = [float(r.real) for r in roots if abs(r.imag) < 1e-9 and -1 < r.real < 0]
    if not below:
        raise ValueError(f"points must extrapolate to a threshold, got {points}")
    return smallest * (1 + max(below))
