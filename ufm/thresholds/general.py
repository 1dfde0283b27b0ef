"""Collapse thresholds in R for every convex loss and bias, by the universal criterion and the solver of the problem.

The criterion's margin ``pi_B kappa_B - mu omega_B`` is positive where the minority is out of collapse and at most 0
where it is in it. Its sign is looked at over the whole range of R, for that it changes once is not a theorem for every
loss; between two R it is bisected, and from there the root is found on the collapsed branch to rounding
(:mod:`ufm.thresholds.branch`).
"""

from __future__ import annotations

import dataclasses
import functools
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from ufm.architectures import known_architecture
from ufm.labels import ClassPrior
from ufm.losses import Loss
from ufm.problem import Problem
from ufm.solution import Solution
from ufm.solvers import solve
from ufm.thresholds.branch import Branch, Root, Setting
from ufm.thresholds.criterion import check_criterion, group_margin, multiplier
from ufm.two_groups.counts import CountRule
from ufm.two_groups.thresholds import Question, Threshold

__all__ = ["Family", "built_with", "general_threshold"]

#: The R at which the sign of the margin is looked at; the last is the largest at which a problem is solved.
LOOKED_AT = (1.0, 1.3, 2.0, 4.0, 12.0, 64.0, 1e3, 1e5, 1e8)
#: Width of a bracket, in log R, from which Newton's method starts.
NEAR = 0.4
#: Of R* where no root on the branch was found: what bisection leaves, for the multiplier has some ten digits.
ROUGH = 1e-9
#: R at which the minority counts for nothing.
NO_MINORITY = 1e280
#: What budgets press with, ``mu tau``, below which they count as idle, relative to the risk.
IDLE = 1e-9


@dataclass(frozen=True)
class Family:
    """The problems of a two-group prior while R varies.

    Attributes:
        architecture: with a nuclear-norm gauge.
        num_majority: K_A.
        num_minority: K_B.
        loss: a convex one.
        bias: None, ``"free"`` or lambda_b.
        rule: how the counts vary with R; None for budgets.

    >>> import ufm
    >>> family = Family(ufm.LayerPeeled(1.0, 1.0), 2, 2, ufm.BinaryCrossEntropy(), None, None)
    >>> family.prior(3.0), family.counts(3.0, 1.0), family.problem(3.0).radius, family.solve(3.0).is_global
    (ClassPrior([3, 3, 1, 1]), (3.0, 1.0), 4.0, True)
    """

    architecture: Any
    num_majority: int
    num_minority: int
    loss: Loss
    bias: str | float | None
    rule: CountRule | None

    @property
    def groups(self) -> tuple[range, range]:
        """Indices of the classes of the majority, which come first, and of the minority."""
        return range(self.num_majority), range(self.num_majority, self.num_majority + self.num_minority)

    def counts(self, ratio: float, held: float) -> tuple[float, float]:
        """(n_A, n_B) at R, where ``held`` is the count that is held fixed."""
        if self.rule is None:
            return ratio, 1.0
        return CountRule(self.rule.held, held).counts(ratio, self.num_majority, self.num_minority)

    @property
    def setting(self) -> Setting:
        """What R* depends on, here."""
        problem = self.problem(2.0)
        scale = problem.radius if problem.is_constrained else problem.strength
        return Setting(scale, 1.0 if self.rule is None else self.rule.value, problem.bias)

    def prior(self, ratio: float) -> ClassPrior:
        """The prior at R."""
        n_a, n_b = self.counts(ratio, 1.0 if self.rule is None else self.rule.value)
        return ClassPrior([n_a] * self.num_majority + [n_b] * self.num_minority)

    def problem(self, ratio: float) -> Problem:
        """The problem at R."""
        return Problem.of(self.architecture, self.prior(ratio), self.loss, self.bias)

    def solve(self, ratio: float) -> Solution:
        """Its optimum, by which signs are looked at and a start found; gaps that stay open are not told."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            return solve(self.architecture, self.prior(ratio), self.loss, bias=self.bias)


@dataclass(frozen=True)
class BranchQuestion:
    """What a threshold is one of, for any convex loss and bias; see :class:`ufm.two_groups.thresholds.Question`.

    Attributes:
        family: the problems while R varies.
        branch: the equations of their collapsed branch.
        root: the threshold on it.

    >>> import ufm
    >>> t = ufm.collapse_threshold(ufm.LayerPeeled(0.6, 0.6), 2, 2, loss="bce")
    >>> {name: round(slope, 6) for name, slope in t.question.derivative(t.ratio).items()}
    {'E_W': 0.45553, 'E_H': 0.45553}
    """

    family: Family
    branch: Branch
    root: Root

    def derivative(self, ratio: float) -> dict[str, Any]:
        """``dR*/dp`` by parameter: the implicit function theorem for the equations of the branch."""
        family, setting = self.family, self.family.setting
        question = Question(family.architecture, family.num_majority, family.num_minority, family.rule)
        outer = self._by("scale", setting.scale)
        found = {
            name: tuple(outer * x for x in slopes) if isinstance(slopes, tuple) else outer * slopes
            for name, slopes in question.scale_slopes().items()
        }
        if family.rule is not None:
            found[family.rule.held] = self._by("held", setting.held)
        if setting.decay:
            found["bias"] = self._by("decay", setting.decay)
        return found | self._by_loss()

    def _by_loss(self) -> dict[str, Any]:
        """Slopes by the numbers that the loss is built with; for a number a class those of majority and minority."""
        loss: Any = self.family.loss
        found: dict[str, Any] = {}
        for name, value in built_with(loss).items():
            if isinstance(value, float):
                found[name] = self._slope(functools.partial(_with, loss, name), value)
            elif isinstance(value, tuple) and len(value) == self.family.num_majority + self.family.num_minority:
                found[name] = tuple(self._slope(*_group_of(loss, name, value, group)) for group in self.family.groups)
        return found

    def _slope(self, loss: Callable[[float], Loss], at: float) -> float:
        return self.branch.slope_by_loss(self.root, self.family.setting, loss, at)

    def _by(self, name: str, value: float) -> float:
        h = 6e-6 * value
        ahead, behind = (dataclasses.replace(self.family.setting, **{name: value + x}) for x in (h, -h))
        return self.branch.slope(self.root, ahead, behind) / (2 * h)


def _with(loss: Any, name: str, value: float) -> Any:
    return dataclasses.replace(loss, **{name: value})


def built_with(loss: Any) -> dict[str, Any]:
    """What a loss is built with by name; nothing of a loss that is no dataclass.

    >>> import ufm
    >>> built_with(ufm.SquaredHinge(0.5))
    {'margin': 0.5}
    """
    if not dataclasses.is_dataclass(loss):
        return {}
    return {f.name: getattr(loss, f.name) for f in dataclasses.fields(loss) if f.init}


def _group_of(loss: Any, name: str, value: tuple[float, ...], group: range) -> tuple[Callable[[float], Loss], float]:
    """The loss as a function of a number that all classes of a group have, and the number."""

    def at(x: float) -> Loss:
        return dataclasses.replace(loss, **{name: tuple(x if i in group else v for i, v in enumerate(value))})

    return at, value[group[0]]


def general_threshold(family: Family) -> Threshold:
    """The threshold of a family of problems, see :func:`ufm.collapse_threshold`.

    Raises:
        ValueError: the criterion does not hold for the family, or R* lies beyond what is looked at.

    >>> import ufm
    >>> family = Family(ufm.LayerPeeled(1.0, 1.0), 3, 3, ufm.CrossEntropy(), None, None)
    >>> abs(general_threshold(family).ratio / ufm.collapse_threshold(ufm.LayerPeeled(1.0, 1.0), 3, 3).ratio - 1) < 1e-12
    True
    """
    from scipy.optimize import brentq

    known_architecture(family.architecture, where="for a collapse threshold")
    for group in family.groups:
        check_criterion(family.problem(2.0), group)

    @cache
    def at(ratio: float) -> Solution:
        return family.solve(ratio)

    def margin(ratio: float) -> float:
        return group_margin(at(ratio), family.groups[1]).margin

    inside = [margin(ratio) <= 0 for ratio in LOOKED_AT[:-1]]
    if not inside[-1] and family.rule is None and _is_idle(at):
        return Threshold(math.inf, math.inf, math.inf, is_monotone=not any(inside))
    inside.append(inside[-1] or margin(LOOKED_AT[-1]) <= 0)
    if not inside[-1]:
        raise ValueError(
            f"architecture must leave a threshold below R = {LOOKED_AT[-1]:g} with loss {family.loss.name} and bias "
            f"{family.bias!r}, none was looked for beyond; got {family.architecture!r}"
        )
    if all(inside):
        return Threshold(1.0, 1.0, 1.0 + 1e-12, *_counts(family, 1.0), is_monotone=True)
    last = max(i for i, is_in in enumerate(inside) if not is_in)
    monotone = not any(inside[: last + 1])
    low, high = LOOKED_AT[last], LOOKED_AT[last + 1]
    while math.log(high / low) > NEAR:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if margin(middle) <= 0 else (middle, high)
    for _ in range(2):
        found = _newton(family, at(high))
        if found is not None and low * (1 - 1e-9) <= found.root.ratio <= high * (1 + 1e-9):
            ratio, error = found.root.ratio, found.root.error
            return Threshold(
                ratio, ratio * (1 - error), ratio * (1 + error), *_counts(family, ratio), found, is_monotone=monotone
            )
        # nearer to the root the branch may be another
        while math.log(high / low) > 1e-3:
            middle = math.sqrt(low * high)
            low, high = (low, middle) if margin(middle) <= 0 else (middle, high)
    ends = math.log(low), math.log(high)
    known = dict(zip(ends, (low, high), strict=True))  # exp(log R) may lie on the other side of a close root
    ratio = math.exp(brentq(lambda x: margin(known.get(x) or math.exp(x)), *ends, xtol=ROUGH / 10, rtol=ROUGH / 10))
    counts = _counts(family, ratio)
    return Threshold(ratio, ratio * (1 - ROUGH), ratio * (1 + ROUGH), *counts, is_monotone=monotone)


def _newton(family: Family, solution: Solution) -> BranchQuestion | None:
    problem = solution.problem
    counts = problem.class_prior.counts
    branch = Branch(
        problem.loss,
        (family.num_majority, family.num_minority),
        is_constrained=problem.is_constrained,
        counts=family.counts,
        logits=solution.logits,
        weights=problem.weights,
        mu=multiplier(solution),
        ratio=float(counts[0] / counts[-1]),
    )
    root = branch.root(family.setting)
    return None if root is None else BranchQuestion(family, branch, root)


def _counts(family: Family, ratio: float) -> tuple[float | None, float | None]:
    if family.rule is None:
        return None, None
    return family.rule.counts(ratio, family.num_majority, family.num_minority)


def _is_idle(at: Callable[[float], Solution]) -> bool:
    """Whether every column, or at least the majority where the minority counts for nothing, has its least risk.

    What every column reaches within the budgets it reaches at all R, for the least risk is that of each column alone.
    """
    return any(_presses_nothing(at(ratio)) for ratio in (1.0, NO_MINORITY))


def _presses_nothing(solution: Solution) -> bool:
    slack = multiplier(solution) * solution.problem.radius
    return solution.value <= solution.problem.loss.floor or slack <= IDLE * solution.value
