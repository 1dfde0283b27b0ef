"""Single solves: two groups, thresholds, long-tailed priors without any symmetry, and searches for local minima."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from functools import partial

import ufm
from benchmarks import _cvxpy
from benchmarks._timing import Row, Timing, timed

__all__ = ["grouped", "searches", "single", "tailed", "threshold"]


def single(sizes: list[tuple[int, tuple[str, ...]]], samples: int, limit: float) -> Iterator[Row]:
    """Two groups of K/2 classes, R = 10, layer-peeled with E_W = 1, E_H = 5, against CVXPY on the K x K problem.

    Args:
        sizes: K and the CVXPY solvers to hold against.
        samples: of every timing.
        limit: seconds after which a peer is given up.
    """
    for k, solvers in sizes:
        prior = ufm.ClassPrior.step(k // 2, k - k // 2, 10.0)
        architecture = ufm.LayerPeeled(1.0, 5.0)
        ours, s = timed(partial(ufm.solve, architecture, prior), samples)
        # the enclosure bounds our error, and is far narrower than a peer's error
        error = s.gap / s.value
        case = f"two groups, K = {k}"
        if not solvers:
            yield Row("single", case, ours, error=error, figures={"K": k})
        for solver in solvers:
            count = samples if k <= 20 else 1
            found = _cvxpy.solve(prior.counts.tolist(), architecture.radius(k), solver, samples=count, limit=limit)
            name = f"CVXPY {solver}"
            if solver == _cvxpy.DEFAULT and "solver" in found:
                name += f" ({found['solver']})"
            off = abs(found["value"] / s.value - 1) if "value" in found else None
            note = found.get("failure", "")
            yield Row("single", case, ours, name, found.timing, error, off, note, {"K": k})


def threshold(sizes: list[int], samples: int) -> Iterator[Row]:
    """Collapse thresholds R*, against finding them by bisection over solves of our own."""
    architecture = ufm.LayerPeeled(1.0, 1.0)
    for k in sizes:
        half = k // 2
        ours, exact = timed(partial(ufm.collapse_threshold, architecture, half, half), samples)

        def bisect(h: int = half, top: float = 2 * exact.ratio) -> float:
            low, high = 1.0, top
            while high - low > 1e-10 * high:
                middle = 0.5 * (low + high)
                s = ufm.solve(architecture, ufm.ClassPrior.step(h, h, middle))
                low, high = (low, middle) if s.phase != "none" else (middle, high)
            return high

        theirs, found = timed(bisect, min(samples, 3))
        off = abs(found / exact.ratio - 1)
        width = (exact.upper - exact.lower) / exact.ratio
        yield Row("threshold", f"R*, K = {k}", ours, "bisection over our solves", theirs, width, off, "", {"K": k})


def tailed(sizes: list[tuple[int, tuple[str, ...]]], samples: int, limit: float) -> Iterator[Row]:
    """Long-tailed priors, all counts distinct, R = 100, E_W = E_H = 1: no symmetry to go by."""
    for k, solvers in sizes:
        architecture, prior = ufm.LayerPeeled(1.0, 1.0), ufm.ClassPrior.long_tailed(k, 100.0)
        ours, s = timed(partial(ufm.solve, architecture, prior), samples)
        gap = s.gap / s.value
        if not solvers:
            yield Row("long-tailed", f"K = {k}", ours, error=gap, figures={"K": k})
        for solver in solvers:
            found = _cvxpy.solve(prior.counts.tolist(), architecture.radius(k), solver, samples=1, limit=limit)
            off = abs(found["value"] / s.value - 1) if "value" in found else None
            name, note = f"CVXPY {solver}", found.get("failure", "")
            yield Row("long-tailed", f"K = {k}", ours, name, found.timing, gap, off, note, {"K": k})


def grouped(sizes: list[tuple[int, int]], samples: int) -> Iterator[Row]:
    """Groups of equal counts, R = 100: over the groups, against our own method without symmetry, to the same gap.

    Args:
        sizes: numbers of groups and of classes in each; one class in each is a prior without any symmetry.
        samples: of every timing.
    """
    for groups, each in sizes:
        counts = ufm.ClassPrior.long_tailed(groups, 100.0).counts
        prior = ufm.ClassPrior([n for n in counts for _ in range(each)])
        architecture = ufm.LayerPeeled(1.0, 1.0)
        ours, s = timed(partial(ufm.solve, architecture, prior, method="reduced"), samples)
        theirs, other = timed(partial(ufm.solve, architecture, prior, method="nuclear"), samples)
        errors = s.gap / s.value, other.gap / other.value
        figures = {"K": prior.num_classes, "family": f"{each} a group"}
        yield Row("grouped", f"{groups} groups of {each}", ours, "without symmetry", theirs, *errors, "", figures)


def searches(sizes: list[int], starts: int, peer_starts: int, samples: int) -> Iterator[Row]:
    """Two groups, R = 5, problems that are not convex: a start of the search against a descent in all the factors.

    Args:
        sizes: K.
        starts: of the search.
        peer_starts: of the descents in the factors (W, A, H) or (W_1, W_2, W_3), which take longer.
        samples: of every timing.
    """
    for k in sizes:
        prior = ufm.ClassPrior.step(k // 2, k - k // 2, 5.0)
        for name, architecture in (
            ("Frobenius budget", ufm.LinearDEQ(1.0, 1.0, 0.95, E_A=0.8)),
            ("three factors", ufm.DeepLinear((k, k / 2, k))),
        ):
            ours, s = timed(partial(ufm.solve, architecture, prior, method="search", starts=starts), samples)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)  # no descent proves a global optimum here
                theirs, other = timed(
                    partial(ufm.solve, architecture, prior, method="direct", starts=peer_starts), samples
                )
            best = min(s.value, other.value)
            each, peer_each = (
                Timing(tuple(x / n for x in timing.samples)) for timing, n in ((ours, starts), (theirs, peer_starts))
            )
            note = f"{starts} starts in {ours.median:.3g} s, {len(s.local_minima or ())} local minima"
            case, off, peer_off = f"{name}, K = {k}, a start", s.value / best - 1, other.value / best - 1
            yield Row("searches", case, each, "all factors", peer_each, off, peer_off, note, {"K": k, "family": name})
