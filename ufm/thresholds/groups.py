"""Any number of groups: for each when it collapses, what has merged with what, and in which order."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from ufm._json import plain
from ufm.architectures import LayerPeeled, UnconstrainedFeatures, known_architecture
from ufm.labels import ClassPrior
from ufm.losses import Loss
from ufm.phases import Phase
from ufm.problem import Problem
from ufm.solution import Solution
from ufm.solvers import solve
from ufm.thresholds.criterion import check_alike, check_criterion, kappa, multiplier

__all__ = ["CollapseThresholds", "GroupThreshold", "collapse_thresholds"]

#: Factor by which a scale is changed in the search for a bracket, and how often at most.
STRIDE, MAX_STRIDES = 4.0, 40
#: Relative accuracy of critical scales and counts: the multiplier of a solution has some ten digits.
ACCURACY = 1e-10


@dataclass(frozen=True)
class GroupThreshold:
    """When the classes of equal counts of one group collapse.

    Attributes:
        classes: their indices.
        count: samples of each, n_b.
        kappa: ``dl/dz_other - dl/dz_own`` at the optimum, the group's own logits made equal first. Of a class whose
            count no other has: with the class next to it in frequency as the other.
        gain, price: ``pi_b kappa_b`` and ``mu omega_b`` at the optimum.
        is_collapsed: whether ``gain <= price``. A group of two or more classes then shares its features and its
            classifiers. A class by itself does not coincide with another, but has lost the direction of its own: the
            rank of the optimum is the number of classes that have not, to within one.
        critical_scale: budgets: the radius tau up to which it is so (with the counts of the prior), 0 if it is for
            none, infinity if for all. Weight decay: the strength lam from which on it is so.
        critical_count: weight decay, two classes or more: the n_b at which the group collapses while the counts of all
            others stay; infinity where no n_b lets it out. None for budgets and for a class by itself.
    """

    classes: tuple[int, ...]
    count: float
    kappa: float
    gain: float
    price: float
    is_collapsed: bool
    critical_scale: float
    critical_count: float | None

    @property
    def margin(self) -> float:
        """``pi_b kappa_b - mu omega_b``: at most 0 where the group has collapsed."""
        return self.gain - self.price


@dataclass(frozen=True)
class CollapseThresholds:
    """Collapse of every group of a prior; what :func:`ufm.collapse_thresholds` returns.

    Attributes:
        groups: most frequent first.
        scale: the radius (budgets) or strength (weight decay) of the problem itself.
        multiplier: mu at its optimum.
        merged: sets of classes that coincide at the optimum, or all but coincide in a tail, each of two or more.
        phase: of the optimum; ``"tail"`` where rare classes of different counts have all but merged.
        rank: of the optimal logits.
        is_constrained: budgets rather than weight decay.
    """

    groups: tuple[GroupThreshold, ...]
    scale: float
    multiplier: float
    merged: tuple[tuple[int, ...], ...]
    phase: Phase
    rank: int
    is_constrained: bool

    @property
    def order(self) -> tuple[tuple[int, ...], ...]:
        """Groups as they collapse while budgets shrink or weight decay grows: the first merges first."""
        direction = -1 if self.is_constrained else 1
        return tuple(g.classes for g in sorted(self.groups, key=lambda g: (direction * g.critical_scale, g.count)))

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON types.

        >>> import ufm
        >>> found = collapse_thresholds(ufm.UnconstrainedFeatures(0.01, 0.01), ufm.ClassPrior([9, 9, 4, 4]))
        >>> found.to_dict()["phase"], found.to_dict()["groups"][1]["classes"]
        ('none', [2, 3])
        """
        found: dict[str, Any] = plain("thresholds", dataclasses.asdict(self) | {"order": self.order})
        return found

    def __str__(self) -> str:
        rows = [self._head(), *self._rows()]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]
        return "\n".join([self._title(), *lines])

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{cell}</th>" for cell in self._head())
        rows = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in self._rows())
        return f"<table><caption>{self._title()}</caption><tr>{head}</tr>{rows}</table>"

    def _title(self) -> str:
        name = "tau" if self.is_constrained else "lambda"
        return f"{name} = {self.scale:.9g}, mu = {self.multiplier:.9g}, phase {self.phase}, rank {self.rank}"

    def _head(self) -> tuple[str, ...]:
        scale = "collapsed up to tau" if self.is_constrained else "collapsed from lambda"
        head = ("classes", "n", "kappa", "gain", "price", "collapsed", scale)
        return head if self.is_constrained else (*head, "collapsed up to n")

    def _rows(self) -> list[tuple[str, ...]]:
        found = []
        for g in self.groups:
            numbers = (f"{x:.6g}" for x in (g.kappa, g.gain, g.price))
            row = (
                _run(g.classes),
                f"{g.count:g}",
                *numbers,
                "yes" if g.is_collapsed else "no",
                f"{g.critical_scale:.9g}",
            )
            count = "-" if g.critical_count is None else f"{g.critical_count:.9g}"
            found.append(row if self.is_constrained else (*row, count))
        return found


def collapse_thresholds(
    architecture: Any, prior: ClassPrior, loss: str | Loss = "ce", bias: str | float | None = None
) -> CollapseThresholds:
    """For every group of a prior when it collapses, and which classes coincide at the optimum.

    A group of two or more classes has collapsed iff ``pi_b kappa_b <= mu omega_b`` (theory section 7), kappa_b at the
    collapsed optimum. Weight decay: mu is the strength lam and ``omega_b = sqrt(n_b)``, so that it has from
    ``lam = sqrt(n_b) kappa_b / N`` on. Budgets: mu falls as the radius tau grows, and the group leaves collapse where
    it passes ``pi_b kappa_b``. In a long tail, whose counts all differ, no two classes coincide; the same comparison
    says which classes have lost the direction of their own.

    Args:
        architecture: one of this package with a nuclear-norm gauge.
        prior: class prior, any number of groups.
        loss: convex, and treating the classes of each group alike, and classes by themselves like their neighbours.
        bias: None, ``"free"`` or lambda_b > 0.

    Raises:
        TypeError, ValueError: an argument that is not as described.

    >>> import ufm
    >>> decay = ufm.UnconstrainedFeatures(0.01, 0.01)
    >>> found = collapse_thresholds(decay, ufm.ClassPrior([100, 100, 9, 9, 4, 4]))
    >>> print(found)
    lambda = 0.01, mu = 0.01, phase partial, rank 4
    classes  n    kappa  gain       price  collapsed  collapsed from lambda  collapsed up to n
    0, 1     100  1      0.442478   0.1    no         0.0442477876           0.0683123147
    2, 3     9    1      0.039823   0.03   no         0.0132743363           4.72877895
    4, 5     4    1      0.0176991  0.02   yes        0.00884955752          5.21833084
    >>> found.order[0], found.merged
    ((4, 5), ((4, 5),))
    """
    known_architecture(architecture, where="for collapse thresholds")
    problem = Problem.of(architecture, prior, loss, bias)
    family = _Family(problem, bias)
    groups = [group.classes for group in problem.class_prior.groups]
    for members in groups:
        check_criterion(problem, members)
        if len(members) == 1:
            check_alike(problem, members[0], _neighbour(problem.class_prior, members[0]))
    solution = solve(architecture, prior, loss, bias=bias)
    geometry = solution.geometry
    return CollapseThresholds(
        tuple(family.threshold(solution, members) for members in groups),
        problem.radius if problem.is_constrained else problem.strength,
        multiplier(solution),
        tuple(tuple(sorted(c)) for c in geometry.collapsed_classes if len(c) > 1),
        geometry.phase,
        geometry.rank,
        problem.is_constrained,
    )


class _Family:
    """A problem under other scales of its gauge, and other counts of one group."""

    def __init__(self, problem: Problem, bias: str | float | None) -> None:
        self._problem, self._bias = problem, bias
        self._rescaled = cache(self._solve_rescaled)

    def threshold(self, solution: Solution, members: tuple[int, ...]) -> GroupThreshold:
        prior = self._problem.class_prior
        slope, gain, price = _standing(solution, members)
        scale = self._radius(members) if self._problem.is_constrained else self._strength(members, slope)
        count = None if self._problem.is_constrained or len(members) == 1 else self._count(members, slope)
        return GroupThreshold(members, float(prior.counts[members[0]]), slope, gain, price, gain <= price, scale, count)

    def _solve_rescaled(self, log_scale: float) -> Solution:
        """The optimum under another radius or strength: the gauge is the same nuclear norm."""
        scale = math.exp(log_scale)
        size = scale / self._problem.prior.num_classes
        other = LayerPeeled(size, size) if self._problem.is_constrained else UnconstrainedFeatures(scale, scale)
        return solve(other, self._problem.prior, self._problem.loss, bias=self._bias)

    def _radius(self, members: tuple[int, ...]) -> float:
        """The radius at which ``mu = pi_b kappa_b``."""
        problem = self._problem
        zero = np.zeros(problem.targets.shape)
        share = float(problem.prior.probabilities[members[0]])
        # at radius 0 mu is the norm of the gradient there: what is worth that much is never collapsed
        if share * _slope(problem, zero, members) >= problem.dual_norm(problem.gradient(zero)) * (1 - 1e-12):
            return 0.0

        def excess(log_radius: float) -> float:
            _, gain, price = _standing(self._rescaled(log_radius), members)
            return math.log(gain / price) if gain > 0 and price > 0 else (1.0 if gain > 0 else -1.0)

        return _root(excess, math.log(problem.radius))

    def _strength(self, members: tuple[int, ...], slope: float) -> float:
        """The strength ``pi_b kappa_b / omega_b``, with the kappa_b of the optimum there."""
        share, omega = float(self._problem.prior.probabilities[members[0]]), float(self._problem.weights[members[0]])

        def at(strength: float) -> float:
            return _slope(self._problem, self._rescaled(math.log(strength)).logits, members) * share / omega

        return _fixed_point(at, slope * share / omega)

    def _count(self, members: tuple[int, ...], slope: float) -> float:
        """The n_b with ``sqrt(n_b) kappa_b = lam N`` while the other counts stay: the smaller root of a quadratic."""
        problem = self._problem
        counts = problem.class_prior.counts
        size, rest = len(members), float(counts.sum() - counts[list(members)].sum())
        lam = problem.strength

        def root(k: float) -> float:
            discriminant = k * k - 4 * lam * lam * size * rest
            if k <= 0 or discriminant < 0:
                return math.inf
            return float((2 * lam * rest / (k + math.sqrt(discriminant))) ** 2)

        def at(count: float) -> float:
            others = counts.copy()
            others[list(members)] = count
            solution = solve(problem.architecture, ClassPrior(others), problem.loss, bias=self._bias)
            return root(_slope(solution.problem, solution.logits, members))

        return _fixed_point(at, root(slope))


def _neighbour(prior: ClassPrior, index: int) -> int:
    """The class next to one in frequency: the next rarer one, of the rarest the next more frequent one."""
    order = np.argsort(-prior.counts, kind="stable").tolist()
    at = order.index(index)
    return int(order[at + 1] if at + 1 < len(order) else order[at - 1])


def _slope(problem: Problem, logits: Any, members: tuple[int, ...]) -> float:
    if len(members) > 1:
        return kappa(problem, logits, members)
    pair = (members[0], _neighbour(problem.class_prior, members[0]))
    return kappa(problem, logits, pair, columns=members)


def _standing(solution: Solution, members: tuple[int, ...]) -> tuple[float, float, float]:
    """``kappa_b, pi_b kappa_b, mu omega_b`` at an optimum."""
    problem = solution.problem
    slope = _slope(problem, solution.logits, members)
    share, omega = float(problem.prior.probabilities[members[0]]), float(problem.weights[members[0]])
    return slope, share * slope, multiplier(solution) * omega


def _fixed_point(at: Callable[[float], float], start: float) -> float:
    """x with ``at(x) = x``: at once where kappa does not depend on the logits, else by a root of the difference."""
    if not 0 < start < math.inf:
        return start
    first = at(start)
    if abs(first - start) <= ACCURACY * start or not 0 < first < math.inf:
        return first
    return _root(lambda x: math.log(math.exp(x) / at(math.exp(x))), math.log(start))


def _root(excess: Callable[[float], float], start: float) -> float:
    """``exp`` of the root of a function that rises through 0; 0 or infinity where it keeps one sign."""
    from scipy.optimize import brentq

    step = math.log(STRIDE)
    low = high = start
    rising = excess(start) <= 0
    for _ in range(MAX_STRIDES):
        low, high = (high, high + step) if rising else (low - step, low)
        if (excess(high) > 0) if rising else (excess(low) <= 0):
            return math.exp(brentq(excess, low, high, xtol=ACCURACY, rtol=ACCURACY))
    return math.inf if rising else 0.0


def _run(classes: Sequence[int]) -> str:
    """``0, 1`` or ``0 to 9``: the classes of a group in few characters."""
    if len(classes) > 2 and classes[-1] - classes[0] == len(classes) - 1:
        return f"{classes[0]} to {classes[-1]}"
    return ", ".join(map(str, classes))
