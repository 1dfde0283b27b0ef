"""The expansion of the family's best value at s_B = 0: where the collapsed branch lets go, and which way it bends.

``Phi(s_B) = Phi(0) + slope s_B + curvature s_B^2 / 2 + O(s_B^3)``, derived in :mod:`ufm.two_groups.transitions`.
"""

from __future__ import annotations

import math

from ufm.two_groups.transitions._critical import profile
from ufm.two_groups.transitions._family import Family
from ufm.two_groups.transitions._states import Point

__all__ = ["curvature", "restoring"]


def restoring(family: Family, point: Point) -> float:
    """Logarithm of price over force in s_B at a collapsed point; positive where it is a minimum in s_B.

    With weight decay and without a part of A along the collapsed directions that is ``log(lam N / sqrt(n_B))``.
    """
    x, ratio, mu = point
    price = mu * (1 - family.equilibrium(family.singular_values(x, ratio))[1]) * family.weights(ratio)[1]
    return math.log(price) - math.log(family.pi_b(ratio))


def curvature(family: Family, ratio: float) -> float:
    """Second derivative in s_B of the best value of the family at s_B = 0.

    ``(K_B-1) [pi_B q_B - omega_B^2 (concavity of the price)] + (K_B-1)^2 F''(tau)``, the last term for budgets.
    """
    point = profile(family, 0.0, ratio)
    q = family.risk(point.x, ratio)[2]
    weight = family.weights(ratio)[1] ** 2
    bend = family.pi_b(ratio) * q - weight * family.concavity(point)
    return (family.k_b - 1) * (bend + (family.k_b - 1) * family.relaxation(point))
