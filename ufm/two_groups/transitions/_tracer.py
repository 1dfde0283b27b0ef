"""Follows the uncollapsed branch from the end of the collapsed one down to balanced classes.

At given ``s = s_B`` the unknowns are s_A, u, v, R, and mu with a budget, and the equations ``d(f + mu gauge)/dx = 0``
in s_A, s_B, u and v, and ``gauge = radius``: a curve R(s). With ``Phi(s, R)`` the best value at given s it solves
``Phi_s(s, R(s)) = 0``, so that ``Phi_ss = -Phi_sR R'(s)``. A larger R asks for a smaller s_B, ``Phi_sR > 0``: the curve
is a minimum in s where R falls, a saddle where it rises, and turns where ``R' = 0``.
"""

from __future__ import annotations

import contextlib
import math

import numpy as np
from scipy.optimize import brentq, minimize_scalar

from ufm.two_groups.transitions._branches import FINEST, STEP, Stretch
from ufm.two_groups.transitions._critical import common_direction_grows, continued, is_minimum, profile
from ufm.two_groups.transitions._family import Family
from ufm.two_groups.transitions._states import Point

__all__ = ["Tracer"]

#: Range of s_B over which the uncollapsed branch is followed; below it the expansion at 0 decides.
SMALLEST, LARGEST = 1e-4, 60.0


class Tracer:
    """Follows the uncollapsed branch in s_B, R unknown.

    Args:
        family: the symmetric family.
        end: R at which the collapsed branch ends.
        points: values of s_B planned; more are put in where R changes fast.
    """

    def __init__(self, family: Family, end: float, points: int) -> None:
        self.family, self.end, self.points = family, end, points

    def _best_at(self, s_b: float, near: Point, look: bool) -> tuple[Point, bool]:
        """Critical point at s_B, with ``look`` that of the best value over all else; whether it continues ``near``."""
        try:
            point, smooth = continued(self.family, s_b, near), True
            look = look or common_direction_grows(self.family, point)
        except ArithmeticError:
            point, smooth = near._replace(x=profile(self.family, s_b, near.ratio).x), False
            point = continued(self.family, s_b, point)
        for _ in range(5 * look):
            better = profile(self.family, s_b, point.ratio)
            value = self.family.state(point).value
            if self.family.state(better).value > value - 1e-9 * abs(value):
                break
            point, smooth = continued(self.family, s_b, better), False
        return point, smooth

    def march(self) -> tuple[list[Point], list[Stretch]]:
        """The branch up to R = 1 with its turning points, and its stable stretches."""
        pieces = self._pieces()
        curve: list[Point] = []
        stretches: list[list[Point]] = []
        for i, piece in enumerate(pieces):
            # the best of all else may change at some s_B, yet each of the two stays a critical point beyond it
            before = [p.x[1] for q in pieces[:i] for p in q][::-1]
            after = [p.x[1] for q in pieces[i + 1 :] for p in q]
            piece = [*self._extend(piece[0], before)[::-1], *piece, *self._extend(piece[-1], after)]
            piece = self._with_turning_points(piece)
            curve += piece
            stretches += self._stable(piece)
        return curve, [Stretch(tuple(r), tuple(self.family.state(p).value for p in r)) for r in stretches]

    def _pieces(self) -> list[list[Point]]:
        """The best critical points as s_B grows, in pieces along each of which they are continuous."""
        current = profile(self.family, 0.0, self.end)
        pieces = [[current]]
        ahead = list(np.geomspace(SMALLEST, LARGEST, self.points))[::-1]
        planned = set(ahead)
        while ahead and current.ratio > 1 + 1e-9:
            s, last = float(ahead.pop()), float(current.x[1])
            found = None
            with contextlib.suppress(ArithmeticError):
                # a better branch is looked for at every planned point; each found is followed both ways
                found = self._best_at(s, current, look=s in planned)
            if (found is None or abs(math.log(found[0].ratio / current.ratio)) > STEP) and s > last * FINEST > 0:
                ahead += [s, math.sqrt(s * last)]
                continue
            if found is None:
                break  # the family has no critical point of that size
            current, smooth = found
            if smooth:
                current = self._balanced_end(pieces[-1][-1], current)
                pieces[-1].append(current)
            else:
                pieces.append([current])
        return pieces

    def _stable(self, piece: list[Point]) -> list[list[Point]]:
        """The runs of minima of a piece along which R falls, of two points at least."""
        runs: list[list[Point]] = []
        run: list[Point] = []
        for point in piece:
            minimum = is_minimum(self.family, point)
            if run and (point.ratio >= run[-1].ratio or not minimum):
                runs.append(run)
                run = []
            if minimum:
                run.append(point)
        return [run for run in [*runs, run] if len(run) > 1]

    def _balanced_end(self, inside: Point, point: Point) -> Point:
        """``point``, or where R = 1 between the two if it lies beyond."""
        if point.ratio >= 1 or inside.ratio <= 1:
            return point

        def excess(s: float) -> float:
            return math.log((inside if s == inside.x[1] else continued(self.family, s, inside)).ratio)

        low, high = sorted((float(inside.x[1]), float(point.x[1])))
        try:
            return continued(self.family, brentq(excess, low, high, xtol=1e-12), inside)
        except ArithmeticError:
            return point

    def _extend(self, start: Point, sizes: list[float]) -> list[Point]:
        """The branch through ``start`` at further s_B, while it stays a minimum in the common direction."""
        points: list[Point] = []
        ahead = [float(s) for s in sizes][::-1]
        last = start
        while ahead:
            s = ahead.pop()
            point = None
            with contextlib.suppress(ArithmeticError):
                point = continued(self.family, s, last)
            if point is None or common_direction_grows(self.family, point):
                if abs(math.log(s / last.x[1])) < math.log(FINEST) if last.x[1] > 0 else s <= SMALLEST:
                    break
                ahead = [*ahead, math.sqrt(s * last.x[1]) if last.x[1] > 0 else SMALLEST]
                continue
            last = self._balanced_end(last, point)
            points.append(last)
            if last.ratio <= 1 + 1e-9:
                break
        return points

    def _with_turning_points(self, piece: list[Point]) -> list[Point]:
        """The piece with the points in place at which R turns."""
        refined = piece[:1]
        for left, middle, right in zip(piece, piece[1:], piece[2:], strict=False):
            refined.append(middle)
            sign = 1.0 if middle.ratio < min(left.ratio, right.ratio) else -1.0
            if sign > 0 or middle.ratio > max(left.ratio, right.ratio):
                found = minimize_scalar(
                    lambda s, near=middle, sign=sign: sign * math.log(continued(self.family, s, near).ratio),
                    bounds=(left.x[1], right.x[1]),
                    method="bounded",
                    options={"xatol": 1e-10},
                )
                turn = continued(self.family, float(found.x), middle)
                at = len(refined) - (turn.x[1] < middle.x[1])
                refined.insert(at, turn)
        return refined + piece[1:][-1:]
