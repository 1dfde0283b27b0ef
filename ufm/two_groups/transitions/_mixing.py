"""Decay of a collapsed point by turning a singular pair in use towards a collapsed pair of the minority.

It costs ``(sigma/2) [(g + sigma c_1) theta^2 - 2 gamma theta phi + (g + sigma c_2) phi^2]`` in the two angles, derived
in :mod:`ufm.two_groups.transitions`: a form that is positive iff ``(g + sigma c_1)(g + sigma c_2) > gamma^2``.
"""

from __future__ import annotations

import math

from scipy.optimize import brentq

from ufm.two_groups.transitions._critical import VANISHING, profile
from ufm.two_groups.transitions._family import Family
from ufm.two_groups.transitions._states import Point

__all__ = ["mixing", "mixing_end"]


def mixing(family: Family, point: Point) -> float:
    """Smallest ``(g + sigma c_1)(g + sigma c_2)/gamma^2 - 1`` at a collapsed point; positive: no mixing."""
    x, ratio, mu = point
    k_a, k_b, k = family.k_a, family.k_b, family.k
    sigma = family.singular_values(x, ratio)
    slopes = mu * (1 - family.equilibrium(sigma))
    omega_a, omega_b = family.weights(ratio)
    pi_b = family.pi_b(ratio)
    pi_a = (1 - k_b * pi_b) / k_a
    # columns of A and of B: probabilities of one class of B, of A and of B
    r_a = 1 / ((math.exp(x[0]) + k_a - 1) * math.exp((x[2] - x[0]) / k_a) + k_b)
    r_b = 1 / (k_b * math.exp(x[3] / k_b) + k_a)
    q_b = (1 - k_a * r_b) / k_b
    curve_a, curve_b = pi_a / omega_a**2, pi_b / omega_b**2
    margins = []
    if k_a > 1 and sigma[0] > 0:
        # the majority's pairs: c_1 = r_A pi_A/omega_A^2, c_2 = r_B pi_B/omega_B^2
        margins.append((slopes[0] + sigma[0] * curve_a * r_a) * (slopes[0] + sigma[0] * curve_b * r_b))
    if sigma[2] > VANISHING:
        # the common pair, whose right vector has the share ``along`` on the majority's columns
        along = k_b / k * (omega_a * x[2] / sigma[2]) ** 2
        first = along * curve_a * r_a + (1 - along) * curve_b * q_b
        second = curve_b * k_a * r_b * (1 - k_a * r_b) * k / (k_a * k_b)
        margins.append((slopes[2] + sigma[2] * first) * (slopes[2] + sigma[2] * second))
    gamma = pi_b / omega_b
    return min(margins, default=math.inf) / gamma**2 - 1


def mixing_end(family: Family, end: float) -> float:
    """R >= end from which on the best collapsed point withstands mixing."""

    def margin(log_ratio: float) -> float:
        return mixing(family, profile(family, 0.0, math.exp(log_ratio)))

    low = math.log(end)
    if margin(low) >= 0:
        return end
    high = low + 0.25
    while margin(high) < 0:
        low, high = high, high + 0.25
        if high > 60:
            raise ArithmeticError("the collapsed branch does not withstand mixing at any R below e^60")
    return math.exp(brentq(margin, low, high, xtol=1e-12))
