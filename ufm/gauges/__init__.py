"""Gauges of atoms ``u v^T`` that are no functions of singular values: nonnegative features, bounded rows and columns.

Each has its value with the factors that attain it, its polar with an upper bound of it, and a descent in its factors
for any smooth convex function. Nothing here knows of losses, labels or architectures.
"""

from __future__ import annotations

from ufm.gauges.cone import ConePoint, minimise_over_cone
from ufm.gauges.copositive import EXACT_SIZE, ConeMaximum, cone_ascents, cone_maximum, split_bound
from ufm.gauges.elliptope import UnitPoint, dual_bound, minimise_over_elliptope
from ufm.gauges.gamma2 import Gamma2, Gamma2Polar, gamma2_factors, gamma2_norm, gamma2_polar
from ufm.gauges.nonnegative import ConeGauge, nonnegative_gauge, nonnegative_polar
from ufm.gauges.smooth import Linear, Quadratic, Smooth, damped_step

__all__ = [
    "EXACT_SIZE",
    "ConeGauge",
    "ConeMaximum",
    "ConePoint",
    "Gamma2",
    "Gamma2Polar",
    "Linear",
    "Quadratic",
    "Smooth",
    "UnitPoint",
    "cone_ascents",
    "cone_maximum",
    "damped_step",
    "dual_bound",
    "gamma2_factors",
    "gamma2_norm",
    "gamma2_polar",
    "minimise_over_cone",
    "minimise_over_elliptope",
    "nonnegative_gauge",
    "nonnegative_polar",
    "split_bound",
]
