"""Stretches of local minima between turning points, and their values at a given R."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy.optimize import brentq

from ufm.two_groups.transitions._critical import common_direction_grows, continued, polish, profile
from ufm.two_groups.transitions._family import Family
from ufm.two_groups.transitions._states import Point

__all__ = ["FINEST", "STEP", "Minima", "Stretch", "close"]

#: Largest step in log R along a branch.
STEP = 0.3

#: Smallest factor between two s_B along a branch.
FINEST = 1.02


@dataclass(frozen=True)
class Stretch:
    """Local minima between two turning points: R falls as s_B grows from the first point to the last.

    One that begins at s_B = 0 goes on as a collapsed branch from its largest R upwards.
    """

    points: tuple[Point, ...]
    values: tuple[float, ...]

    @property
    def ratios(self) -> tuple[float, float]:
        """(smallest, largest) R."""
        return self.points[-1].ratio, self.points[0].ratio

    @property
    def leaves_collapse(self) -> bool:
        """Whether it begins at s_B = 0."""
        return bool(self.points[0].x[1] == 0.0)

    @property
    def top(self) -> float:
        """Largest R of its minima, collapsed ones included."""
        return math.inf if self.leaves_collapse else self.points[0].ratio


class Minima:
    """The minimum at a given R on a stretch.

    Args:
        family: the symmetric family.
        end: R from which on the collapsed branch is a minimum.
    """

    def __init__(self, family: Family, end: float) -> None:
        self.family, self.end = family, end

    def at(self, stretch: Stretch, ratio: float) -> tuple[float, float]:
        """(value, s_B) at R of a stretch's minimum, collapsed where it goes on as such; infinite where it has none."""
        low, high = stretch.ratios
        if ratio > high and stretch.leaves_collapse:
            return self.collapsed(stretch.points[0], ratio), 0.0
        if not low <= ratio <= high:
            return math.inf, 0.0
        if len(stretch.points) == 1:
            return stretch.values[0], float(stretch.points[0].x[1])
        i = next(i for i, p in enumerate(stretch.points[1:]) if p.ratio <= ratio)
        left, right = stretch.points[i], stretch.points[i + 1]

        def excess(s: float) -> float:
            near = left if s - left.x[1] < right.x[1] - s else right
            return (near if s == near.x[1] else continued(self.family, s, near)).ratio - ratio

        s_b = brentq(excess, left.x[1], right.x[1], xtol=1e-13)
        x = left.x + (right.x - left.x) * (s_b - left.x[1]) / (right.x[1] - left.x[1])
        x[1] = s_b
        mu = left.mu if s_b - left.x[1] < right.x[1] - s_b else right.mu
        point = polish(self.family, Point(x, ratio, mu), ratio_free=True)
        return self.family.state(point).value, s_b

    def collapsed(self, start: Point, ratio: float) -> float:
        """Value at R of the collapsed branch through ``start``; infinite where it has come to its end before.

        From ``self.end`` on the best collapsed point, whichever it is, is a minimum and stands for all of them.
        """
        if ratio >= self.end:
            return self.family.state(profile(self.family, 0.0, ratio)).value
        steps = max(1, math.ceil(math.log(ratio / start.ratio) / STEP))
        point = start
        for i in range(1, steps + 1):
            at = start.ratio * (ratio / start.ratio) ** (i / steps)
            x = self.family.scaled(point.x, at)[0]
            try:
                point = polish(self.family, Point(x, at, point.mu), ratio_free=False)
            except ArithmeticError:
                return math.inf
            if common_direction_grows(self.family, point):
                return math.inf
        return self.family.state(point).value


def close(one: float, other: float) -> bool:
    """Whether two s_B are the same, to the accuracy of a branch."""
    return abs(one - other) <= 1e-6 * max(one, other)
