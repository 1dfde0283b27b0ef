"""Where branches coexist, and where they exchange the lower value: the Maxwell point.

A stretch i of minima has values ``Phi_i(R)`` for R between its ends ``R_i`` and ``top_i``. Two coexist on
``[max(R_1, R_2), min(top_1, top_2)]``, and exchange the lower value where ``Phi_1(R) = Phi_2(R)``: there s_B of the
optimum jumps from one's to the other's. The Maxwell point is the largest such R.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.optimize import brentq

from ufm.two_groups.transitions._branches import FINEST, Minima, Stretch, close
from ufm.two_groups.transitions._critical import profile
from ufm.two_groups.transitions._family import Family
from ufm.two_groups.transitions._landau import restoring

__all__ = ["Exchange"]


class Exchange:
    """Compares the branches of a family at equal R.

    Args:
        family: the symmetric family.
        end: R from which on the collapsed branch is a minimum.
    """

    def __init__(self, family: Family, end: float) -> None:
        self.family, self.end, self.minima = family, end, Minima(family, end)

    def overlap(self, stretches: Sequence[Stretch]) -> tuple[float, float]:
        """Hull of the R with two local minima or more, of which one at least is not collapsed."""
        pairs = []
        for i, a in enumerate(stretches):
            for b in stretches[:i]:
                low, high = max(a.ratios[0], b.ratios[0]), min(a.top, b.top, max(a.ratios[1], b.ratios[1]))
                if high > low * (1 + 1e-9) and not self._same(a, b, low):
                    pairs.append((low, high))
        return (min(p[0] for p in pairs), max(p[1] for p in pairs)) if pairs else (self.end, self.end)

    def _same(self, one: Stretch, other: Stretch, ratio: float) -> bool:
        """Whether two stretches are one and the same just above R."""
        found = [self.minima.at(s, ratio * (1 + 1e-9)) for s in (one, other)]
        return all(math.isfinite(value) for value, _ in found) and close(found[0][1], found[1][1])

    def maxwell(self, stretches: Sequence[Stretch], lower: float, upper: float) -> tuple[float, tuple[float, float]]:
        """The largest R at which s_B of the best minimum jumps, and s_B above and below it.

        Raises:
            ArithmeticError: the best point known, at some R, lies on none of the branches, or one branch hands over to
                another that it does not meet.
        """
        if upper <= lower:
            for ratio in np.geomspace(1.0, self.end, 16)[:-1]:
                if restoring(self.family, profile(self.family, 0.0, float(ratio))) > 1e-9:
                    raise ArithmeticError(f"collapse is stable at R = {ratio:.6g}, and no branch followed leads there")
            return self.end, (0.0, 0.0)
        inside = np.geomspace(lower, upper, 16)
        inside[0], inside[-1] = lower * (1 + 1e-9), upper * (1 - 1e-9)

        def best(ratio: float) -> int:
            values = [self.minima.at(s, ratio)[0] for s in stretches]
            lowest = int(np.argmin(values))
            collapsed = self.family.state(profile(self.family, 0.0, ratio)).value
            if not values[lowest] <= collapsed + 1e-9 * abs(collapsed):
                raise ArithmeticError(f"a collapsed point at R = {ratio:.6g} is better than every branch followed")
            return lowest

        above = best(float(inside[-1]))
        for high, low in zip(inside[::-1], inside[-2::-1], strict=False):
            below = best(float(low))
            if below != above:
                found = self._exchange(stretches[above], stretches[below], float(low), float(high))
                if found is not None:
                    return found
                above = below
        return self.end, (0.0, 0.0)

    def _exchange(
        self, first: Stretch, second: Stretch, low: float, high: float
    ) -> tuple[float, tuple[float, float]] | None:
        """R at which ``second`` takes over from ``first`` as R falls, and s_B of both; None without a jump."""
        # a branch that ends between the two points is infinite beyond its end: shrink to the overlap
        inner = max(low, first.ratios[0], second.ratios[0]), min(high, first.top, second.top)
        if inner[0] > inner[1]:
            sizes = self.minima.at(first, inner[0])[1], self.minima.at(second, inner[1])[1]
            if inner[0] < inner[1] * FINEST and abs(sizes[0] - sizes[1]) <= (FINEST - 1) * max(sizes):
                return None  # one goes on as the other
            raise ArithmeticError(f"no branch leads from R = {inner[0]:.6g} to R = {inner[1]:.6g}")

        def difference(ratio: float) -> float:
            return self.minima.at(first, ratio)[0] - self.minima.at(second, ratio)[0]

        low, high = inner
        ends = [self.minima.at(s, ratio)[1] for ratio in (low, high) for s in (first, second)]
        if close(ends[0], ends[1]) or close(ends[2], ends[3]):
            return None  # one branches off the other, or both are collapsed
        if not difference(low) > 0 > difference(high):
            raise ArithmeticError(f"branches could not be matched for R in [{low:.6g}, {high:.6g}]")
        ratio = brentq(difference, low, high, rtol=1e-13)
        return ratio, (self.minima.at(first, ratio)[1], self.minima.at(second, ratio)[1])
