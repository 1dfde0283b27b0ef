"""Critical points of the family: refined from a guess, found by descent, told from saddles."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import root

from ufm.two_groups.transitions._descent import Descent
from ufm.two_groups.transitions._family import Family
from ufm.two_groups.transitions._states import Point

__all__ = ["common_direction_grows", "continued", "is_minimum", "polish", "profile"]

Array = NDArray[np.float64]

#: Largest residual of the stationarity conditions, relative to the forces in balance.
RESIDUAL = 1e-9

#: Sizes (s_A, d) from which the best point at given s_B and R is looked for: any direction may be small or large.
STARTS = ((4.0, 2.0), (0.5, 0.1), (12.0, 0.1), (0.5, 8.0), (12.0, 8.0))

#: Relative change of s_A, s_B, u and v from which descent has to come back to a minimum.
PERTURBATION = np.array([1e-3, 0.0, -7e-4, 4e-4])

#: Common singular value T after descent below which it is taken for 0 (descent in y, T = |y|^2, is inexact there).
NEGLIGIBLE = 1e-6

#: The same in a critical point.
VANISHING = 1e-9


def profile(family: Family, s_b: float, ratio: float) -> Point:
    """Best point of the family at given s_B and R: descent from several starts, then :func:`polish`."""
    descent = Descent(family, s_b, ratio)
    _, x = min((descent.from_sizes(*sizes) for sizes in STARTS), key=lambda found: found[0])
    if family.singular_values(x, ratio)[2] < NEGLIGIBLE:
        x[2:] = 0.0
        x = family.scaled(x, ratio)[0]
    return polish(family, Point(x, ratio, family.multiplier(x, ratio)), ratio_free=False)


def continued(family: Family, s_b: float, near: Point) -> Point:
    """Critical point at s_B, R unknown, continuing that at ``near``."""
    x = near.x.copy()
    x[1] = s_b
    return polish(family, near._replace(x=x), ratio_free=True)


def polish(family: Family, start: Point, *, ratio_free: bool) -> Point:
    """Critical point next to ``start`` with its s_B; R is unknown where ``ratio_free``, else s_B's equation waits.

    A vanishing common direction (total collapse) stays so.

    Raises:
        ArithmeticError: the residual stays above ``RESIDUAL``.
    """
    # positions in x that are free, and equations in the same count: stationarity in each of them, in s_B where R is
    # unknown, and the gauge where the multiplier is
    free = [0] if family.k_a > 1 else []
    if family.singular_values(start.x, start.ratio)[2] > VANISHING:
        free += [2, 3]
    rows = free + [1] * ratio_free + [4] * family.constrained
    n = len(free)
    if not rows:
        return start

    def unpack(y: Array) -> Point:
        x = start.x.copy()
        x[free] = y[:n]
        if 2 not in free:
            x[2:] = 0.0
        ratio = math.exp(y[n]) if ratio_free else start.ratio
        return Point(x, ratio, math.exp(y[-1]) if family.constrained else start.mu)

    def equations(y: Array) -> Array:
        with np.errstate(all="ignore"):
            x, ratio, mu = unpack(y)
            gradient, price = family.risk(x, ratio)[1], mu * family.price(x, ratio)
            residual = (gradient + price) / (np.abs(gradient) + np.abs(price) + 1e-300)
            return np.array([*residual, family.surplus(x, ratio)])[rows]

    y = np.array([*start.x[free], *[math.log(start.ratio)] * ratio_free, *[math.log(start.mu)] * family.constrained])
    for _ in range(4):  # a kink can stall the secant updates; a fresh start from the best point settles it
        try:
            y = root(equations, y, method="hybr", options={"xtol": 1e-14, "maxfev": 2000}).x
        except (OverflowError, ValueError):
            break
        if np.abs(equations(y)).max() <= 1e-3 * RESIDUAL:
            break
    error = np.abs(equations(y)).max()
    if not error <= RESIDUAL:
        raise ArithmeticError(f"a branch could not be followed: residual {error:.1e} at s_B = {start.x[1]:.3g}")
    return unpack(y)


def common_direction_grows(family: Family, point: Point) -> bool:
    """Whether a vanishing common direction (T = 0) pays: its force exceeds its price at 0."""
    x, ratio, mu = point
    sigma = family.singular_values(x, ratio)
    if sigma[2] > VANISHING:
        return False
    omega_a, omega_b = family.weights(ratio)
    gradient = family.risk(x, ratio)[1]
    force = math.hypot(
        gradient[2] / (math.sqrt(family.k_b / family.k) * omega_a),
        gradient[3] / (math.sqrt(family.k_a / family.k) * omega_b),
    )
    return bool(force > mu * (1 - family.equilibrium(sigma)[2]) * (1 + 1e-9))


def is_minimum(family: Family, point: Point) -> bool:
    """Whether descent at its s_B and R from either side of a critical point ends no lower."""
    descent = Descent(family, float(point.x[1]), point.ratio)
    merit = family.merit(point.x, point.ratio)
    for sign in (1, -1):
        found = descent.from_point(point.x * (1 + sign * PERTURBATION))[0]
        if found < merit - 1e-9 * max(1.0, abs(merit)):
            return False
    return True
