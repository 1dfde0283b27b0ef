"""What is asked of a transition: both of its branches, a collapsed state, and how far down collapse is stable."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from ufm._validation import integer, real
from ufm.architectures import LinearDEQ, PenalisedDEQ, is_known
from ufm.two_groups._arguments import class_numbers, finite_bound
from ufm.two_groups.counts import CountRule, count_rule
from ufm.two_groups.transitions._branches import Stretch
from ufm.two_groups.transitions._budget import BudgetFamily
from ufm.two_groups.transitions._critical import profile
from ufm.two_groups.transitions._family import Family
from ufm.two_groups.transitions._landau import curvature
from ufm.two_groups.transitions._maxwell import Exchange
from ufm.two_groups.transitions._mixing import mixing_end
from ufm.two_groups.transitions._penalised import PenalisedFamily
from ufm.two_groups.transitions._states import Branch, BranchError, Hysteresis, State
from ufm.two_groups.transitions._tracer import Tracer

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

    A collapsed point that is better than every branch followed is a ``BranchError``. A branch by itself that no planned
    point meets is not followed: K_A = 1, K_B = 5 has one near R = 1, at lambda_A = 9,500 lam^2, a local minimum that is
    not the best there (see :attr:`Hysteresis.lower`).

    Args:
        architecture: a ``PenalisedDEQ`` with ``lambda_A``, or a ``LinearDEQ`` with ``E_A``. Without them the problem is
            convex: there is one branch, and the transition is continuous.
        num_majority: K_A >= 1.
        num_minority: K_B >= 2.
        num_samples, majority_count, minority_count: what is held fixed while R varies, exactly one of them, for a
            penalised architecture; see :func:`ufm.collapse_threshold`.
        points: points of every branch, >= 10. Where fewer than 24 show no jump although the price of A is concave, so
            that a fold may be between them, 24 or more are taken.

    Raises:
        TypeError, ValueError: an argument is not what it should be, or the collapsed branch does not end at any R > 1.
        BranchError: a branch could not be followed to the accuracy required, or was missed; an ArithmeticError and a
            ValueError at once.

    >>> import ufm
    >>> lam = 20**0.5 / 600  # with N = 600 the collapsed branch ends at n_B = 20, R = 5
    >>> architecture = ufm.PenalisedDEQ(lam, lam, rho=0.5, lambda_A=1200 * lam**2)
    >>> found = hysteresis(architecture, 5, 5, num_samples=600, points=12)
    >>> found.first_order, round(found.collapsed_end, 6), found.lower < found.maxwell < found.upper
    (True, 5.0, True)
    """
    points = integer("points", points, minimum=10)
    family = _family(architecture, num_majority, num_minority, num_samples, majority_count, minority_count)
    with _followed(architecture):
        return _looked_closely(family, points)


#: Points at which a fold of the branch has not been missed: R turns over a factor of two in s_B and more.
ENOUGH = 24


def _looked_closely(family: Family, points: int) -> Hysteresis:
    """The transition; where few points show no jump, but the price's concavity allows one, at twice as many."""
    found = _traced(family, points)
    if found.first_order or points >= ENOUGH or not family.concavity(profile(family, 0.0, found.collapsed_end)) > 0:
        return found
    return _traced(family, max(ENOUGH, 2 * points))


def _traced(family: Family, points: int) -> Hysteresis:
    """Everything :func:`hysteresis` returns."""
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
        lower=max(1.0, lower),
        upper=max(1.0, upper),
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
    """The best point of the symmetric family with s_B = 0 at R >= 1; arguments as for :func:`hysteresis`.

    >>> import ufm
    >>> state = collapsed_state(ufm.LinearDEQ(1.0, 0.3, rho=0.9, E_A=0.5), 3, 3, ratio=4.0)
    >>> state.s_B, round(state.value, 6)
    (0.0, 0.633356)
    """
    family = _family(architecture, num_majority, num_minority, num_samples, majority_count, minority_count)
    if (at := real("ratio", ratio)) < 1:
        raise ValueError(f"ratio must be >= 1 and finite, got {ratio!r}")
    with _followed(architecture):
        return family.state(profile(family, 0.0, at))


def mixing_threshold(
    architecture: PenalisedDEQ | LinearDEQ,
    num_majority: int,
    num_minority: int,
    *,
    num_samples: float | None = None,
    majority_count: float | None = None,
    minority_count: float | None = None,
) -> float:
    """:attr:`Hysteresis.mixing_end` alone; arguments as for :func:`hysteresis`.

    >>> import ufm
    >>> lam = 20**0.5 / 600
    >>> round(mixing_threshold(ufm.PenalisedDEQ(lam, lam, 0.5, lambda_A=1200 * lam**2), 5, 5, num_samples=600), 6)
    7.886595
    """
    family = _family(architecture, num_majority, num_minority, num_samples, majority_count, minority_count)
    with _followed(architecture):
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
        BranchError: the collapsed branch could not be followed to the accuracy required.

    >>> import ufm
    >>> lam = 20**0.5 / 600
    >>> round(trapped_threshold(ufm.PenalisedDEQ(lam, lam, rho=0.5), 5, 5, num_samples=600), 6)
    7.886595
    """
    if not (is_known(architecture) and isinstance(architecture, PenalisedDEQ)) or architecture.lambda_A is not None:
        what = repr(architecture) if is_known(architecture) else f"one of class {type(architecture).__name__}"
        raise TypeError(f"architecture must be a PenalisedDEQ without lambda_A, got {what}")
    k_a, k_b = class_numbers(num_majority, num_minority, most=MOST)
    rule = CountRule.of(num_samples, majority_count, minority_count)
    with _followed(architecture):
        family = PenalisedFamily(k_a, k_b, architecture, rule)
        n_a, n_b = rule.at_collapse(family.lam, k_a, k_b)
        return mixing_end(family, n_a / n_b)


#: Most classes of a group: beyond, the descents that look for branches lose their accuracy.
MOST = 1000


def _family(
    architecture: Any,
    num_majority: int,
    num_minority: int,
    num_samples: float | None,
    majority_count: float | None,
    minority_count: float | None,
) -> PenalisedFamily | BudgetFamily:
    """The symmetric family of an architecture, arguments checked."""
    if not (is_known(architecture) and isinstance(architecture, PenalisedDEQ | LinearDEQ)):
        what = repr(architecture) if is_known(architecture) else f"one of class {type(architecture).__name__}"
        raise TypeError(
            f"architecture must be a PenalisedDEQ or a LinearDEQ, got {what}: the family of no other is known here; "
            "ufm.solve(..., method='search') takes any"
        )
    k_a, k_b = class_numbers(num_majority, num_minority, most=MOST)
    if isinstance(architecture, PenalisedDEQ):
        rule = CountRule.of(num_samples, majority_count, minority_count)
        return PenalisedFamily(k_a, k_b, architecture, rule)
    count_rule(architecture, num_samples, majority_count, minority_count)  # refuses them: R alone matters
    finite_bound(architecture, k_a + k_b)
    return BudgetFamily(k_a, k_b, architecture)


@contextlib.contextmanager
def _followed(architecture: Any) -> Iterator[None]:
    """Failures of arithmetic within, as one error that names the architecture."""
    try:
        with np.errstate(over="ignore", under="ignore", invalid="ignore", divide="ignore"):
            yield
    except (ArithmeticError, ValueError, np.linalg.LinAlgError) as error:
        message = str(error)
        if isinstance(error, ValueError) and not isinstance(error, BranchError) and "must" in message:
            raise  # it has been said what is wrong with an argument
        raise BranchError(
            f"architecture {architecture!r} has branches that cannot be followed in float64: {message}"
        ) from error
