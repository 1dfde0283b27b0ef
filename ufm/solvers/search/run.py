"""The search from starts to solution: what it supports, its options, and what it says of what it found."""

from __future__ import annotations

import itertools
import math
import warnings
from typing import Any

import numpy as np

from ufm._threads import blas_threads
from ufm._validation import integer, starts_of, tolerance
from ufm.losses import is_ours
from ufm.problem import Problem
from ufm.solution import LocalMinimum, Solution
from ufm.solvers.conclude import checked, is_closed, multiplier, zero_risk
from ufm.solvers.methods import Support
from ufm.solvers.search.catalogue import Catalogue, Point, minimum
from ufm.solvers.search.landscape import STATIONARY, Landscape
from ufm.solvers.search.relaxations import relaxed_lower_bound
from ufm.solvers.search.starting_points import exchanged, starting_points

__all__ = ["solve_search", "supports"]


def supports(problem: Problem) -> Support:
    """Bounded for every loss with an infimum and every architecture of this package, whatever the labels.

    >>> import ufm
    >>> supports(Problem.of(ufm.LayerPeeled(1.0, 1.0), ufm.ClassPrior([1, 1]))).answer
    'bounded'
    """
    if not problem.is_spectral:
        return Support.refused(f"architecture {problem.architecture!r} states no price of singular values")
    if not math.isfinite(problem.loss.infimum):
        return Support.refused(f"loss {problem.loss.name} has no finite infimum")
    return Support("bounded", "local minima from many starts; global only where the lower bound meets the value")


#: Groups of classes from which on those of the best minima are exchanged, of how many, and how often at most.
_MANY_GROUPS, _EXCHANGED, _MOST_EXCHANGES = 4, 3, 5
#: Relative difference of values that is no rounding.
_BETTER = 1e-9
#: Starts by default, and evaluations after which a costly problem gets no more of them, and any other.
_STARTS, _MOST_COSTLY, _MOST = 100, 5000, 50_000


def solve_search(
    problem: Problem,
    *,
    dim: int | None = None,
    seed: int = 0,
    starts: int | None = None,
    rank: int | None = None,
    tol: float = 1e-9,
    max_iter: int | None = None,
) -> Solution:
    """Search for the local minima of ``problem`` from structured and random starts.

    Args:
        problem: what to solve, convex or not.
        dim: feature dimension of the factors, default K; the rank of the logits is at most that.
        seed: seed >= 0 of the starts.
        starts: number of starts >= 1: codes of every kind, then random ones; see the module's docstring. Default 100,
            or fewer once they have cost 50000 evaluations, with a bias or a loss of one's own 5000.
        rank: number r >= 1 of terms, default the bound K - 1 (CE) or K (MSE) of the optimal rank.
        tol: relative gap > 0 between value and lower bound up to which the best minimum counts as global.
        max_iter: L-BFGS iterations per descent >= 1, default 3000, or 300 where starts are fewer.

    Returns:
        The best minimum; ``local_minima`` lists all distinct ones, best first, ``lower`` comes from
        :func:`relaxed_lower_bound`, ``is_global`` is True where the gap is closed and None otherwise. ``info`` holds
        ``starts``, ``stationary_points``, ``saddles`` (those left downhill), ``relative_gap`` and ``relaxation``.

    Raises:
        TypeError, ValueError: an argument is not what it should be.

    >>> import ufm
    >>> problem = Problem.of(ufm.LayerPeeled(1.0, 1.0), ufm.ClassPrior([1, 1, 1]), "ce")
    >>> solution = solve_search(problem, starts=3)
    >>> round(solution.value, 6), solution.is_global
    (0.368981, True)
    """
    seed = integer("seed", seed, minimum=0)
    # a bias is found anew at every point: a default number of starts ends when that has taken long enough
    costly = starts is None and (problem.bias is not None or not is_ours(problem.loss))
    # many groups have many ways to share directions, of which random starts see few
    one_hot = np.array_equal(problem.targets, np.eye(len(problem.targets)))
    thorough = starts is None and one_hot and len(problem.prior.groups) >= _MANY_GROUPS
    most = (_MOST_COSTLY if costly else _MOST) if starts is None else math.inf
    starts = starts_of("starts", _STARTS if starts is None else starts)
    r = problem.max_rank if rank is None else integer("rank", rank, minimum=1)
    r = r if dim is None else min(r, dim)
    tol = tolerance("tol", tol)
    max_iter = integer("max_iter", (300 if costly else 3000) if max_iter is None else max_iter, minimum=1)
    landscape = Landscape(problem, r)
    found = Catalogue(landscape, max_iter)
    # threads cost matrices of this size ten times what they bring
    with blas_threads(1):
        nothing = np.zeros(problem.targets.shape)
        fitted = nothing if problem.risk(nothing) <= problem.loss.infimum else zero_risk(problem, r)
        if fitted is not None:
            minima: tuple[LocalMinimum, ...] = (minimum(problem, fitted, problem.objective(fitted), 1.0, 0.0, True),)
        else:
            points = starting_points(problem, r, starts, np.random.default_rng(seed))
            begin = (landscape.at(y) for y in itertools.takewhile(lambda _: landscape.evaluations <= most, points))
            if costly:
                for x in begin:
                    found.descend(x)
            else:
                found.descend_all(begin)
                if thorough:
                    _exchange(landscape, found, landscape.evaluations + _MOST)
            minima = found.minima()
        best = minima[0]
        name, lower = relaxed_lower_bound(problem, best.value)
    lower = min(lower, best.value)
    info: dict[str, Any] = {
        "starts": found.starts,
        "stationary_points": len(found.points),
        "saddles": found.saddles,
        "relative_gap": (best.value - lower) / best.value if best.value > 0 else 0.0,
        "relaxation": name,
    }
    if best.stationarity > STATIONARY:
        info["warning"] = f"the best point is stationary to {best.stationarity:.2g} only, not {STATIONARY:g}"
        warnings.warn(f"method 'search': {info['warning']}", RuntimeWarning, stacklevel=3)
    found_best = Solution(
        problem,
        "search",
        best.value,
        lower,
        best.value,
        multiplier(problem, best.logits),
        True if is_closed(problem, best.value, lower, tol) else None,
        found.iterations,
        best.logits,
        info,
        dim,
        local_minima=minima,
    )
    return checked(found_best)


def _exchange(landscape: Landscape, found: Catalogue, most: float) -> None:
    """Descend from the best minima with two classes exchanged, every pair of them, while that finds a better one."""
    tried: list[Point] = []
    for _ in range(_MOST_EXCHANGES):
        before = found.lowest(1)[0].value
        best = [point for point in found.lowest(_EXCHANGED) if not any(point is other for other in tried)]
        tried += best
        ways = itertools.chain.from_iterable(exchanged(landscape.problem, point.logits) for point in best)
        points = itertools.takewhile(lambda _: landscape.evaluations <= most, ways)
        found.descend_all((landscape.at(y) for y in points), counted=False)
        if not found.lowest(1)[0].value < before * (1 - _BETTER):
            return
