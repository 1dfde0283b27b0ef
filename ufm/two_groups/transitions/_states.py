"""What a transition consists of: critical points of the symmetric family, branches of them, and the whole picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Branch", "BranchError", "Hysteresis", "Point", "State"]

Array = NDArray[np.float64]


class BranchError(ArithmeticError, ValueError):
    """A branch could not be followed to the accuracy required, or one was missed: no answer rather than a doubtful one.

    It is a ValueError, for it depends on the architecture asked about whether its branches can be followed in float64,
    and an ArithmeticError, for that is what fails.
    """


class Point(NamedTuple):
    """A point of the family: ``x = (s_A, s_B, u, v)``, R and the multiplier, which is lam for weight decay."""

    x: Array
    ratio: float
    mu: float


@dataclass(frozen=True)
class State:
    """A critical point of the symmetric family.

    Attributes:
        ratio: R = n_A/n_B.
        s_A, s_B, d_A, d_B: reduced logits ``Z_ij = s_a [i=j] + t_ab``, ``d_A = t_AA - t_BA``, ``d_B = t_BB - t_AB``.
        a_A, a_B, a_T: singular values of A along the majority's, the minority's and the common direction.
        value: objective (weight decay) or risk (budgets).
    """

    ratio: float
    s_A: float
    s_B: float
    d_A: float
    d_B: float
    a_A: float
    a_B: float
    a_T: float
    value: float


@dataclass(frozen=True)
class Branch:
    """A curve of critical points of the symmetric family, parametrised by s_B (uncollapsed) or R (collapsed).

    Attributes:
        states: its points, in order.
        stable: whether each is a local minimum in s_B.
    """

    states: tuple[State, ...]
    stable: tuple[bool, ...]

    def __getattr__(self, name: str) -> Array:
        """A field of the states as an array, e.g. ``branch.ratio``."""
        if name.startswith("_") or name not in State.__dataclass_fields__:
            raise AttributeError(name)
        return np.array([getattr(state, name) for state in self.states])


@dataclass(frozen=True)
class Hysteresis:
    """The collapse transition of the symmetric family.

    Attributes:
        first_order: whether the best s_B jumps at the transition.
        lower, upper: ends (spinodals) of the interval of R >= 1 with two local minima, one at least not collapsed;
            equal where there is none. Of the branches that were followed: one that does not meet the others, such as
            that of the ETF near R = 1, is found where one of the ``points`` happens to look at it, and more points find
            more.
        maxwell: R at which the best point of the family changes branch; the end of the collapsed branch where the
            transition is continuous.
        jump: (s_B just above, s_B just below) the Maxwell point; both 0 where the transition is continuous.
        collapsed_end: R down to which the collapsed branch is a local minimum (``n_B = N^2 lam^2`` with weight decay).
        mixing_end: R down to which it also withstands mixing with directions in use, in the full problem; never below
            ``collapsed_end``.
        curvature: second derivative of the objective in s_B at ``collapsed_end``; negative makes the transition first
            order.
        collapsed, uncollapsed: the branches; the uncollapsed one with its unstable stretch.
    """

    first_order: bool
    lower: float
    upper: float
    maxwell: float
    jump: tuple[float, float]
    collapsed_end: float
    mixing_end: float
    curvature: float
    collapsed: Branch
    uncollapsed: Branch

    @property
    def branches(self) -> tuple[Branch, Branch]:
        """``(collapsed, uncollapsed)``."""
        return self.collapsed, self.uncollapsed
