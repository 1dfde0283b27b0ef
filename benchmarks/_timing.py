"""Timings with their spread, and rows of ratios."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Row", "Timing", "exponent", "timed"]

#: A sample of a quick function repeats it until this many seconds have passed.
SHORTEST_SAMPLE = 0.02


@dataclass(frozen=True)
class Timing:
    """Seconds of one call, sampled, by the clock of :func:`timed`.

    Attributes:
        samples: one mean time a sample, in the order taken.
    """

    samples: tuple[float, ...]

    @property
    def median(self) -> float:
        """Median of the samples."""
        return statistics.median(self.samples)

    @property
    def quartiles(self) -> tuple[float, float]:
        """Lower and upper quartile; with fewer than three samples the extremes."""
        if len(self.samples) < 3:
            return min(self.samples), max(self.samples)
        lower, _, upper = statistics.quantiles(self.samples, n=4, method="inclusive")
        return lower, upper


def timed(
    function: Callable[[], Any], samples: int, clock: Callable[[], float] = time.perf_counter
) -> tuple[Timing, Any]:
    """Time ``function`` and return its last result as well; ``time.process_time`` as clock counts CPU seconds.

    A first call warms up, unless it takes a second or more: then it is a sample. A quick function is repeated within
    a sample.
    """
    start = clock()
    result = function()
    once = clock() - start
    repeats = max(1, round(SHORTEST_SAMPLE / max(once, 1e-9))) if once < SHORTEST_SAMPLE else 1
    taken = [once] if once >= 1 else []
    while len(taken) < samples:
        start = clock()
        for _ in range(repeats):
            result = function()
        taken.append((clock() - start) / repeats)
    return Timing(tuple(taken)), result


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        benchmark: name of the benchmark.
        case: what was solved.
        ours: our time.
        peer: name of the peer, or of our own way that we compare with; None where there is none.
        theirs: the peer's time; None where it has none or failed.
        error, peer_error: relative error of the answer, or None.
        note: what else to know: a duality gap, a failure, a skipped peer.
        figures: more numbers, for the JSON file.
    """

    benchmark: str
    case: str
    ours: Timing
    peer: str | None = None
    theirs: Timing | None = None
    error: float | None = None
    peer_error: float | None = None
    note: str = ""
    figures: dict[str, Any] = field(default_factory=dict)

    @property
    def ratio(self) -> tuple[float, float, float] | None:
        """The peer's time over ours: of the medians, and the least and largest ratio of quartiles."""
        if self.theirs is None:
            return None
        low, high = self.theirs.quartiles
        our_low, our_high = self.ours.quartiles
        return self.theirs.median / self.ours.median, low / our_high, high / our_low

    def to_dict(self) -> dict[str, Any]:
        """For the JSON file."""
        return {
            "benchmark": self.benchmark,
            "case": self.case,
            "seconds": _figures(self.ours),
            "peer": self.peer,
            "peer_seconds": None if self.theirs is None else _figures(self.theirs),
            "ratio": None if self.ratio is None else dict(zip(("median", "low", "high"), self.ratio, strict=True)),
            "error": self.error,
            "peer_error": self.peer_error,
            "note": self.note,
            **self.figures,
        }


def _figures(timing: Timing) -> dict[str, Any]:
    low, high = timing.quartiles
    return {"median": timing.median, "low": low, "high": high, "samples": list(timing.samples)}


def exponent(sizes: Sequence[float], seconds: Sequence[float]) -> float:
    """Slope of log time against log size by least squares: cost grows as size^slope."""
    if len(sizes) < 2:
        raise ValueError(f"sizes must hold at least 2 points, got {len(sizes)}")
    return statistics.linear_regression([math.log(n) for n in sizes], [math.log(t) for t in seconds]).slope
