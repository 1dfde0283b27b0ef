"""What is asked of a transition: both of its branches, a collapsed state, and how far down collapse is stable."""

from __future__ import annotations

from typing import Any

import numpy as np

from ufm._validation import integer, positive
from ufm.architectures import LinearDEQ, PenalisedDEQ
from ufm.two_groups.counts import CountRule, count_rule
from ufm.two_groups.transitions.branches import Stretch
from ufm.two_groups.transitions.budget import BudgetFamily
from ufm.two_groups.transitions.critical import profile
from ufm.two_groups.transitions.family import Family
from ufm.two_groups.transitions.landau import curvature
from ufm.two_groups.transitions.maxwell import Exchange
from ufm.two_groups.transitions.mixing import mixing_end
from ufm.two_groups.transitions.penalised import PenalisedFamily
from ufm.two_groups.transitions.states import Branch, Hysteresis, State
from ufm.two_groups.transitions.tracer import Tracer

__all__ = ["collapsed_state", "hysteresis", "mixing_threshold", "trapped_threshold"]


def hysteresis(
    architecture: Any,
    num_majority: int,
    num_minority: int,
    *,
    num_samples: float | None = None,
    majority_count: float | None = None,
    minority_count: float | None = None,
    points: int = 40,
) -> Hysteresis:
    """Both branches of the collapse transition in R, their ends, and where they exchange the lower value (CE).

    The branches are critical points of the *symmetric* family, in which classes of one group are interchangeable. The
    nonconvex problem may break that symmetry, so a value here is an upper bound of the optimum, a local minimum is one
    within the family, and the Maxwell point is that of the family. (In the full problem the minority can give up its
    directions one after the other: see ``mixing_end`` and ``method="search"``.)

    With a budget of A total and partial collapse are two branches, each with an end of its own. As R falls the minority
    may leave total collapse continuously and then jump back to s_B = 0, into partial collapse.

    Args:
        architecture: a ``PenalisedDEQ`` with ``lambda_A``, or a ``LinearDEQ`` with ``E_A``. Without them the problem is
            convex: there is one branch, and the transition is continuous.
        num_majority: K_A >= 1.
        num_minority: K_B >= 2.
        num_samples, majority_count, minority_count: what is held fixed while R varies, exactly one of them, for a
            penalised architecture; see :func:`ufm.collapse_threshold`.
        points: points of every branch, >= 10.

    Raises:
        TypeError, ValueError: an argument is not what it should be, or the collapsed branch does not end at any R > 1.
        ArithmeticError: a branch could not be followed to the accuracy required, or was missed.
    """
    points = integer("points", points, minimum=10)
    family = _family(architecture, num_majority, num_minority, num_samples, majority_count, minority_count)
    end = family.collapsed_end()
    curve, stretches = Tracer(family, end, points).march()
    if not any(s.leaves_collapse and abs(s.points[0].ratio / end - 1) < 1e-6 for s in stretches):
        best = profile(family, 0.0, end)
        # where s_B jumps, no stretch leaves the collapsed branch: it stands for itself, from its end upwards
        stretches.insert(0, Stretch((best,), (family.state(best).value,)))
    exchange = Exchange(family, end)
    lower, upper = exchange.overlap(stretches)
    maxwell, jump = exchange.maxwell(stretches, lower, upper)
    stable = {id(p) for stretch in stretches for p in stretch.points}
    return Hysteresis(
        first_order=jump[1] != jump[0],
        lower=lower,
        upper=upper,
        maxwell=maxwell,
        jump=jump,
        collapsed_end=end,
        mixing_end=mixing_end(family, end),
        curvature=curvature(family, end),
        collapsed=_collapsed_branch(family, end, 2 * max(end, upper), points // 3),
        uncollapsed=Branch(tuple(family.state(p) for p in curve), tuple(id(p) in stable for p in curve)),
    )


def _collapsed_branch(family: Family, end: float, top: float, points: int) -> Branch:
    """The collapsed branch from R = 1 to ``top``, through its end."""
    ratios = np.concatenate([np.geomspace(1.0, end, points), np.geomspace(end, top, points)[1:]])
    states = tuple(family.state(profile(family, 0.0, float(r))) for r in ratios)
    return Branch(states, tuple(bool(r >= end * (1 - 1e-12)) for r in ratios))


def collapsed_state(
    architecture: PenalisedDEQ | LinearDEQ,
    num_majority: int,
    num_minority: int,
    ratio: float,
    *,
    num_samples: float | None = None,
    majority_count: float | None = None,
    minority_count: float | None = None,
) -> State:
    """The best point of the symmetric family with s_B = 0 at R; arguments as for :func:`hysteresis`."""
    family = _family(architecture, num_majority, num_minority, num_samples, majority_count, minority_count)
    return family.state(profile(family, 0.0, positive("ratio", ratio)))


def mixing_threshold(
    architecture: PenalisedDEQ | LinearDEQ,
    num_majority: int,
    num_minority: int,
    *,
    num_samples: float | None = None,
    majority_count: float | None = None,
    minority_count: float | None = None,
) -> float:
    """:attr:`Hysteresis.mixing_end` alone; arguments as for :func:`hysteresis`."""
    family = _family(architecture, num_majority, num_minority, num_samples, majority_count, minority_count)
    return mixing_end(family, family.collapsed_end())


def trapped_threshold(
    architecture: PenalisedDEQ,
    num_majority: int,
    num_minority: int,
    *,
    num_samples: float | None = None,
    majority_count: float | None = None,
    minority_count: float | None = None,
) -> float:
    """R from which on a spectral DEQ whose A vanishes along the collapsed directions stays collapsed (CE).

    The collapsed point with A = rho on the directions in use and 0 beside them is a local minimum in (W, A, H) from
    this R on, far below the R at which collapse is optimal, ``n_B = (1-rho)^2 N^2 lam^2``. It ends where
    ``n_B = N^2 lam^2`` or, earlier, by mixing (see the module's docstring). A start with A = 0 is drawn to it.

    Args:
        architecture: a ``PenalisedDEQ`` without ``lambda_A``.
        num_majority: K_A >= 1.
        num_minority: K_B >= 2.
        num_samples, majority_count, minority_count: what is held fixed while R varies, exactly one of them.

    Raises:
        TypeError, ValueError: an argument is not what it should be.
    """
    if not isinstance(architecture, PenalisedDEQ) or architecture.lambda_A is not None:
        raise TypeError(f"architecture must be a PenalisedDEQ without lambda_A, got {architecture!r}")
    k_a, k_b = _classes(num_majority, num_minority)
    rule = CountRule.of(num_samples, majority_count, minority_count)
    family = PenalisedFamily(k_a, k_b, architecture, rule)
    n_a, n_b = rule.at_collapse(family.lam, k_a, k_b)
    return mixing_end(family, n_a / n_b)


def _family(
    architecture: Any,
    num_majority: int,
    num_minority: int,
    num_samples: float | None,
    majority_count: float | None,
    minority_count: float | None,
) -> PenalisedFamily | BudgetFamily:
    """The symmetric family of an architecture, arguments checked."""
    k_a, k_b = _classes(num_majority, num_minority)
    if type(architecture) not in (PenalisedDEQ, LinearDEQ):
        raise TypeError(f"architecture must be a PenalisedDEQ or a LinearDEQ, got {architecture!r}")
    rule = count_rule(architecture, num_samples, majority_count, minority_count)
    if rule is None:
        return BudgetFamily(k_a, k_b, architecture)
    return PenalisedFamily(k_a, k_b, architecture, rule)


def _classes(num_majority: int, num_minority: int) -> tuple[int, int]:
    """K_A and K_B, checked."""
    return (
        integer("num_majority", num_majority, minimum=1),
        integer("num_minority", num_minority, minimum=2, reason="a single minority class cannot collapse"),
    )
