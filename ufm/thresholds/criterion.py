r"""The universal collapse criterion: what a group of classes would gain by directions of its own, against their price.

On the standard representation of a group b of ``K_b >= 2`` classes, at logits whose ``s_b`` is 0, minus the gradient of
the risk is ``pi_b kappa_b`` with ``kappa_b = dl/dz_other - dl/dz_own``. The gauge charges ``mu omega_b`` for the same
direction, so at an optimum the group has collapsed iff ``pi_b kappa_b <= mu omega_b`` (theory section 7). It holds for
every convex loss, with a bias or without, that permuting the classes of the group leaves as it is.

``kappa_b`` is computed from the loss's own gradients at the collapsed logits, for it may depend on them: it does not
for cross-entropy (1, and 1 - a under smoothing a), binary cross-entropy and mean squared error (1), it does for a
squared hinge.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ufm._validation import array, integer, sequence
from ufm.problem import Problem
from ufm.solution import Solution
from ufm.thresholds.slack import has_slack

__all__ = ["GroupMargin", "check_alike", "check_criterion", "collapsed_logits", "group_margin", "kappa", "multiplier"]

Array = NDArray[np.float64]

#: Relative difference of risks that permuting the classes of a group may make: rounding.
SYMMETRY_TOLERANCE = 1e-9


@dataclass(frozen=True)
class GroupMargin:
    """Where a group stands in the collapse criterion at an optimum.

    Attributes:
        classes: indices of its classes.
        kappa: ``kappa_b`` at the collapsed logits.
        gain: ``pi_b kappa_b``.
        price: ``mu omega_b``.
    """

    classes: tuple[int, ...]
    kappa: float
    gain: float
    price: float

    @property
    def margin(self) -> float:
        """``pi_b kappa_b - mu omega_b``: the group has collapsed iff it is <= 0."""
        return self.gain - self.price

    @property
    def is_collapsed(self) -> bool:
        """Whether ``pi_b kappa_b <= mu omega_b``."""
        return self.margin <= 0


def collapsed_logits(logits: Array, members: Sequence[int]) -> Array:
    """Logits with ``s_b = 0``: entries between the classes of a group replaced by their mean, shape (K, K).

    >>> collapsed_logits(np.diag([4.0, 2.0, 1.0]), [0, 1])
    array([[1.5, 1.5, 0. ],
           [1.5, 1.5, 0. ],
           [0. , 0. , 1. ]])
    """
    out = array("logits", logits, ndim=2, shape="(K, K)").copy()
    members = checked_members(members, min(out.shape))
    block = np.ix_(members, members)
    out[block] = out[block].mean()
    return out


def checked_members(members: Sequence[int], num_classes: int) -> tuple[int, ...]:
    """Different classes of K, at least 2, as a tuple; else a TypeError or ValueError.

    >>> checked_members(range(1, 3), 3)
    (1, 2)
    """
    given = sequence("members", members, "classes")
    found = tuple(integer("members", k, minimum=0, maximum=num_classes - 1) for k in given)
    if len(found) < 2 or len(set(found)) < len(found):
        raise ValueError(f"members must be at least two different classes, got {members!r}")
    return found


def kappa(problem: Problem, logits: Array, members: Sequence[int], *, columns: Sequence[int] | None = None) -> float:
    """``dl/dz_other - dl/dz_own`` in the columns of a group, at logits (K, K) made collapsed first.

    The mean over its columns, or over those of ``columns`` alone.

    >>> import ufm
    >>> problem = Problem.of(ufm.LayerPeeled(1.0, 1.0), ufm.ClassPrior([4, 1, 1]), ufm.CrossEntropy(smoothing=0.1))
    >>> round(kappa(problem, np.zeros((3, 3)), [1, 2]), 12)
    0.9
    """
    z = collapsed_logits(logits, members)
    bias = problem.best_bias(z)
    if bias is not None:
        z = z + bias[:, None]
    wanted = list(members if columns is None else columns)
    slopes = problem.loss.gradients(z, problem.targets)[np.ix_(members, wanted)]
    own = [list(members).index(k) for k in wanted]
    # differences from the own class: equal slopes then give exactly 0
    differences = slopes - slopes[own, np.arange(len(wanted))]
    return float(differences.sum()) / (len(wanted) * (len(members) - 1))


def multiplier(solution: Solution) -> float:
    """``mu`` at an optimum: the polar of minus the gradient for budgets, 0 where they are not active; the strength.

    >>> import ufm
    >>> multiplier(ufm.solve(ufm.UnconstrainedFeatures(0.1, 0.1), ufm.ClassPrior([2, 1])))
    0.1
    """
    problem = solution.problem
    if not problem.is_constrained:
        return problem.strength
    return problem.dual_norm(problem.gradient(solution.logits))


def group_margin(solution: Solution, members: Sequence[int]) -> GroupMargin:
    """Return where the group ``members`` stands in the criterion at a solution.

    >>> import ufm
    >>> s = ufm.solve(ufm.LayerPeeled(1.0, 5.0), ufm.ClassPrior.step(5, 5, 50.0))
    >>> found = group_margin(s, range(5, 10))
    >>> found.is_collapsed, round(found.kappa, 9), round(found.margin, 5)
    (True, 1.0, -0.0101)
    """
    if not isinstance(solution, Solution):
        raise TypeError(f"solution must be a ufm.Solution, got {solution!r}")
    problem = solution.problem
    members = checked_members(members, problem.class_prior.num_classes)
    if problem.loss.closed_form is None:
        check_symmetric(problem, members, "a margin of the group")
    slope = kappa(problem, solution.logits, members)
    gain = float(problem.prior.probabilities[members[0]]) * slope
    return GroupMargin(members, slope, gain, multiplier(solution) * float(problem.weights[members[0]]))


def check_criterion(problem: Problem, members: Sequence[int]) -> None:
    """Raise ValueError unless the criterion holds for a group: convexity, one-hot labels, and a loss that is symmetric.

    >>> import ufm
    >>> weighted = ufm.CrossEntropy(weights=[1.0, 2.0, 1.0])
    >>> check_criterion(Problem.of(ufm.LayerPeeled(1.0, 1.0), ufm.ClassPrior([4, 1, 1]), weighted), [1, 2])
    Traceback (most recent call last):
        ...
    ValueError: loss must treat the classes of a group alike for a collapse threshold, got ...
    """
    if not problem.loss.is_convex:
        raise ValueError(f"loss must be convex for a collapse threshold, got {problem.loss!r}")
    if not problem.has_nuclear_norm and not has_slack(problem.architecture):
        raise ValueError(
            "architecture must have a nuclear-norm gauge, nonnegative features or bounded norms for a collapse "
            f"threshold, got {problem.architecture!r}, for which no criterion is known: where its problem is convex, "
            "the R from which on ufm.solve(...).geometry.group_scales[-1] is 0 can be bisected"
        )
    check_symmetric(problem, members, "a collapse threshold")


def check_symmetric(problem: Problem, members: Sequence[int], purpose: str) -> None:
    """Raise ValueError unless permuting the classes of a group, with their columns, leaves the risk as it is.

    Tried on transpositions of neighbours, which generate all permutations, at random logits of two sizes.

    Args:
        problem: the problem.
        members: class indices of the group.
        purpose: what it is wanted for, for the message.

    >>> import ufm
    >>> weighted = ufm.CrossEntropy(weights=[1.0, 1.0, 2.0])
    >>> check_symmetric(Problem.of(ufm.LayerPeeled(1.0, 1.0), ufm.ClassPrior([4, 4, 1]), weighted), [0, 1], "this")
    """
    size = problem.class_prior.num_classes
    rng = np.random.default_rng(0)
    for scale in (1.0, 4.0):
        z = scale * rng.standard_normal((size, size))
        before = problem.risk(z)
        for i, j in itertools.pairwise(members):
            order = np.arange(size)
            order[[i, j]] = j, i
            after = problem.risk(z[np.ix_(order, order)])
            if not abs(after - before) <= SYMMETRY_TOLERANCE * (1 + abs(before)):
                raise ValueError(
                    f"loss must treat the classes of a group alike for {purpose}, got {problem.loss!r}: exchanging "
                    f"classes {i} and {j} takes its risk from {before:.9g} to {after:.9g}"
                )


def check_alike(problem: Problem, first: int, second: int) -> None:
    """Raise ValueError unless the loss by itself, whatever the counts, treats two classes alike.

    >>> import ufm
    >>> prior, scaled = ufm.ClassPrior([4, 2, 1]), ufm.CrossEntropy(scales=[1.0, 2.0, 1.0])
    >>> check_alike(Problem.of(ufm.LayerPeeled(1.0, 1.0), prior, scaled), 0, 1)
    Traceback (most recent call last):
        ...
    ValueError: loss must treat classes 0 and 1, which no other class has the count of, alike here, got ...
    """
    size = problem.class_prior.num_classes
    z = np.random.default_rng(0).standard_normal((size, size))
    order = np.arange(size)
    order[[first, second]] = second, first
    before = problem.loss.values(z, problem.targets)[order]
    after = problem.loss.values(z[np.ix_(order, order)], problem.targets)
    if not np.abs(after - before).max() <= SYMMETRY_TOLERANCE * (1 + np.abs(before).max()):
        raise ValueError(
            f"loss must treat classes {first} and {second}, which no other class has the count of, alike here, got "
            f"{problem.loss!r}: what a direction of its own would gain a class is read off its neighbour in frequency"
        )
