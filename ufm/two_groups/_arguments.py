"""What the functions on two groups take: class numbers, and budgets that float64 has room for."""

from __future__ import annotations

from typing import Any

from ufm._validation import integer
from ufm.architectures import Constrained, Penalised

__all__ = ["MOST_CLASSES", "class_numbers", "finite_bound", "finite_radius", "finite_strength"]

#: Most classes of a group: float64 counts exactly up to here.
MOST_CLASSES = 2**53

#: Radii beyond these leave no room in float64 for their logits.
SMALLEST_RADIUS, LARGEST_RADIUS = 1e-300, 1e290

#: Smallest strength of weight decay, and inverse of the largest.
SMALLEST_STRENGTH = 1e-290


def class_numbers(num_majority: Any, num_minority: Any, *, most: int = MOST_CLASSES) -> tuple[int, int]:
    """K_A >= 1 and K_B >= 2, checked."""
    k_a = integer("num_majority", num_majority, minimum=1)
    k_b = integer("num_minority", num_minority, minimum=2, reason="a single minority class cannot collapse")
    for name, count in (("num_majority", k_a), ("num_minority", k_b)):
        if count > most:
            raise ValueError(f"{name} must be at most {most}, for accuracy in float64, got {count:.6g}")
    return k_a, k_b


def finite_strength(architecture: Penalised) -> float:
    """Strength of the nuclear-norm penalty; ValueError where float64 has no room for it, or it is not convex."""
    strength = architecture.strength
    if not SMALLEST_STRENGTH <= strength <= 1 / SMALLEST_STRENGTH:
        raise ValueError(
            f"architecture must leave a strength (1 - rho) sqrt(lambda_W lambda_H) between {SMALLEST_STRENGTH:g} and "
            f"{1 / SMALLEST_STRENGTH:g}, got {strength:.6g} from {architecture!r}"
        )
    return strength


def finite_bound(architecture: Constrained, num_classes: int) -> float:
    """tau, what the gauge may be at most; ValueError where float64 has no room for it."""
    bound = architecture.bound(num_classes)
    if not SMALLEST_RADIUS <= bound <= LARGEST_RADIUS:
        raise ValueError(
            f"architecture must leave budgets tau between {SMALLEST_RADIUS:g} and {LARGEST_RADIUS:g} for {num_classes} "
            f"classes, got {bound:.6g} from {architecture!r}"
        )
    return bound


def finite_radius(architecture: Constrained, num_classes: int) -> float:
    """Radius of the nuclear-norm ball; ValueError where float64 has no room for it, or the gauge is not convex."""
    radius = architecture.radius(num_classes)
    if not SMALLEST_RADIUS <= radius <= LARGEST_RADIUS:
        raise ValueError(
            f"architecture must leave a radius between {SMALLEST_RADIUS:g} and {LARGEST_RADIUS:g} for {num_classes} "
            f"classes, got {radius:.6g} from {architecture!r}"
        )
    return radius
