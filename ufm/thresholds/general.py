"""Collapse thresholds in R for every convex loss and bias, by the universal criterion and the solver of the problem.

The criterion's margin ``pi_B kappa_B - mu omega_B`` is positive where the minority is out of collapse and at most 0
where it is in it. Its sign is looked at over the whole range of R, for that it changes once is not a theorem for every
loss; between two R it is bisected, and from there the root is found on the collapsed branch to rounding
(:mod:`ufm.thresholds.branch`). Where there is no such branch, or it has a kink, the sign is bisected to
:data:`ROUGH`; for nonnegative features and bounded norms it is that of :func:`ufm.thresholds.slack.signed_slack`.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from ufm.architectures import FeatureCone
from ufm.labels import ClassPrior
from ufm.losses import Loss
from ufm.problem import Problem, check_bias
from ufm.solution import Solution
from ufm.solvers import solve
from ufm.thresholds.branch import Branch, Root, Setting
from ufm.thresholds.criterion import check_criterion, group_margin, multiplier
from ufm.thresholds.slack import has_slack, signed_slack
from ufm.two_groups.counts import CountRule
from ufm.two_groups.thresholds import Question, Threshold

__all__ = ["Family", "built_with", "general_threshold"]

#: The R at which the sign of the margin is looked at; the last is the largest at which a problem is solved.
LOOKED_AT = (1.0, 1.3, 2.0, 4.0, 12.0, 64.0, 1e3, 1e5, 1e8)
#: Width of a bracket, in log R, from which Newton's method starts.
NEAR = 0.4
#: Of R* where no root on the branch was found: what bisection leaves, for the multiplier has some ten digits.
ROUGH = 1e-9
#: Most classes where features are nonnegative: solutions are certified up to there.
MOST_NONNEGATIVE = 12
#: Largest relative gap of a solution whose slack or margin is believed.
CERTIFIED = 1e-6
#: Largest R at which that resolves a slack: what tells the minority apart is of its size, 1/R.
RESOLVED_RATIO = 1e5
#: What the minority lacks, relative to what it needs, below which kappa may bring it out of collapse beside the peak of
#: ``n_B / N^2``, and the factor to either side within which that is looked for.
NEARLY, AROUND = 0.1, 1.5
#: Two factors beyond R*: what the minority lacks there is beyond rounding, and grows as they do, or R* is none.
BEYOND, LACKS, GROWS = (1.05, 1.1), 1e-4, (1.5, 2.5)
#: Relative step of the differences of a margin to one side, and relative difference of slopes that is a kink.
STEP, KINK = 2e-3, 1e-2
#: R at which the minority counts for nothing.
NO_MINORITY = 1e280
#: What budgets press with, ``mu tau``, below which they count as idle, relative to the risk.
IDLE = 1e-9


@dataclass(frozen=True)
class Family:
    """The problems of a two-group prior while R varies.

    Attributes:
        architecture: with a nuclear-norm gauge, nonnegative features, or bounded norms.
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

    def margin(self, solution: Solution) -> float:
        """Positive where the minority is out of collapse at an optimum of the family, at most 0 where it is in it."""
        if solution.lower == -math.inf:
            raise ValueError(
                f"loss {self.loss.name} must have an optimum to have a threshold, and with {self.architecture!r} at "
                f"the prior {solution.problem.prior!r} the objective has no lower bound that was found"
            )
        if not solution.gap <= CERTIFIED * abs(solution.value) + solution.problem.floor:
            raise ValueError(
                f"architecture {self.architecture!r} leaves a gap of {solution.gap:.2g} with loss {self.loss.name} at "
                f"the prior {solution.problem.prior!r}: its threshold would not rest on certified solutions"
            )
        if has_slack(self.architecture):
            return signed_slack(solution, self.groups)
        return group_margin(solution, self.groups[1]).margin

    def lack(self, solution: Solution) -> float:
        """What the minority lacks to leave collapse, relative to what it needs; at most 0 where it is out of it."""
        if has_slack(self.architecture):
            return -self.margin(solution)
        found = group_margin(solution, self.groups[1])
        return 1 - found.gain / found.price if found.price > 0 else 0.0

    def at(self, ratio: float) -> float:
        """The margin of the optimum at R."""
        return self.margin(self.solve(ratio))

    def check(self) -> None:
        """Raise ValueError unless the sign of the margin is known to tell the phase."""
        problem = self.problem(2.0)
        size = problem.prior.num_classes
        if isinstance(self.architecture, FeatureCone) and has_slack(self.architecture) and size > MOST_NONNEGATIVE:
            raise ValueError(
                f"num_majority + num_minority must be at most {MOST_NONNEGATIVE} with nonnegative features, a loss or "
                f"a bias without a closed form, got {size}: beyond, solutions are not certified"
            )
        for group in self.groups:
            check_criterion(problem, group)


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
        found: dict[str, Any] = {}
        for name, changed, values in loss_numbers(self.family):
            slopes = tuple(self._slope(at, value) for at, value in zip(changed, values, strict=True))
            found[name] = slopes[0] if len(slopes) == 1 else slopes
        return found

    def _slope(self, loss: Callable[[float], Loss], at: float) -> float:
        return self.branch.slope_by_loss(self.root, self.family.setting, loss, at)

    def _by(self, name: str, value: float) -> float:
        h = 6e-6 * value
        ahead, behind = (dataclasses.replace(self.family.setting, **{name: value + x}) for x in (h, -h))
        return self.branch.slope(self.root, ahead, behind) / (2 * h)


Changed = Callable[[float], Loss]


def loss_numbers(family: Family) -> Iterator[tuple[str, list[Changed], list[float]]]:
    """The numbers that a loss is built with: name, the loss as a function of each, and what each is.

    Of a number a class there are two, those of majority and minority, whose classes change together.

    >>> import ufm
    >>> loss = ufm.CrossEntropy(0.1, scales=(1.0, 1.0, 2.0, 2.0))
    >>> family = Family(ufm.LayerPeeled(1.0, 1.0), 2, 2, loss, None, None)
    >>> [(name, values) for name, _, values in loss_numbers(family)]
    [('smoothing', [0.1]), ('scales', [1.0, 2.0])]
    """
    loss: Any = family.loss
    for name, value in built_with(loss).items():
        if isinstance(value, float):
            yield name, [functools.partial(_with, loss, name)], [value]
        elif isinstance(value, tuple) and len(value) == family.num_majority + family.num_minority:
            pairs = [_group_of(loss, name, value, group) for group in family.groups]
            yield name, [at for at, _ in pairs], [x for _, x in pairs]


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


@dataclass(frozen=True)
class BisectedQuestion:
    """What a bisected threshold is one of: the root of a margin that has a kink there, smooth to either side.

    Attributes:
        family: the problems while R varies.

    >>> import ufm
    >>> relu = ufm.LayerPeeled(0.5, 0.5, features="nonnegative")
    >>> t = ufm.collapse_threshold(relu, 2, 2, loss="bce", bias="free")
    >>> round(t.ratio, 6), {name: round(slope, 3) for name, slope in t.derivative.items()}
    (1.314354, {'E_W': 0.434, 'E_H': 0.434})
    """

    family: Family

    def derivative(self, ratio: float) -> dict[str, Any]:
        """``dR*/dp`` by parameter, to some 1e-6.

        Raises:
            ValueError: R* has a kink in a parameter, whose slopes to both sides the message has.
        """
        family, sides = self.family, self._sides(ratio)
        found = self._of_architecture(ratio, sides)
        if (rule := family.rule) is not None:

            def held(x: float) -> Family:
                return dataclasses.replace(family, rule=CountRule(rule.held, x))

            found[rule.held] = self._slope(rule.held, held, rule.value, ratio, sides)
        if decay := check_bias(family.bias):
            found["bias"] = self._slope("bias", functools.partial(_replaced, family, "bias"), decay, ratio, sides)
        for name, changed, values in loss_numbers(family):
            slopes = tuple(
                self._slope(name, functools.partial(_of_loss, family, at), value, ratio, sides)
                for at, value in zip(changed, values, strict=True)
            )
            found[name] = slopes[0] if len(slopes) == 1 else slopes
        return found

    def _of_architecture(self, ratio: float, sides: dict[int, float]) -> dict[str, Any]:
        """Slopes by the architecture's numbers; a tuple for one of several numbers."""
        found: dict[str, Any] = {}
        for name, value in self.family.architecture.parameters.items():
            if isinstance(value, float):
                found[name] = self._slope(name, functools.partial(_of_model, self.family, name), value, ratio, sides)
            elif isinstance(value, tuple):
                found[name] = tuple(
                    self._slope(name, functools.partial(_of_entry, self.family, name, i), value[i], ratio, sides)
                    for i in range(len(value))
                )
        return found

    def _sides(self, ratio: float) -> dict[int, float]:
        """``d margin / dR`` at R*, from smaller R (1, where the margin is positive) and from larger (-1)."""

        def margin(side: int, x: float) -> float:
            return self.family.at(ratio * (1 - side * x))

        return {side: -side * _forward(functools.partial(margin, side)) / ratio for side in (1, -1)}

    def _slope(
        self, name: str, at: Callable[[float], Family], value: float, ratio: float, sides: dict[int, float]
    ) -> float:
        """``-g_p/g_R`` of the margin g from both sides of p, each with the g_R of the phase that it lies in."""
        size = abs(value) or 1.0

        def margin(sign: int, x: float) -> float:
            return at(value + sign * size * x).at(ratio)

        slopes, collapsed = [], []
        for sign in (1, -1):
            try:
                rise = _forward(functools.partial(margin, sign)) / size
            except ValueError:  # beyond an end of what the parameter may be
                continue
            slopes.append(-sign * rise / sides[1 if rise > 0 else -1])
            collapsed += slopes[-1:] if rise <= 0 else []
        after, before = slopes[0], slopes[-1]
        if abs(after - before) > KINK * max(abs(after), abs(before), ratio * STEP / size):
            raise ValueError(
                f"the threshold R* = {ratio:g} has no derivative by {name}: it has a kink there, with the slope "
                f"{before:.6g} below and {after:.6g} above"
            )
        return (collapsed or slopes)[0]  # the slack has more digits than s_B


def _replaced(family: Family, name: str, x: float) -> Family:
    return dataclasses.replace(family, **{name: x})  # type: ignore[arg-type]


def _of_loss(family: Family, changed: Changed, x: float) -> Family:
    return dataclasses.replace(family, loss=changed(x))


def _of_model(family: Family, name: str, x: float) -> Family:
    return dataclasses.replace(family, architecture=dataclasses.replace(family.architecture, **{name: x}))


def _of_entry(family: Family, name: str, entry: int, x: float) -> Family:
    value = getattr(family.architecture, name)
    changed = {name: (*value[:entry], x, *value[entry + 1 :])}
    return dataclasses.replace(family, architecture=dataclasses.replace(family.architecture, **changed))


def _forward(function: Callable[[float], float]) -> float:
    """Slope at 0+ of a function that is 0 there, by three points."""
    first, second, third = (function(i * STEP) for i in (1, 2, 3))
    return (18 * first - 9 * second + 2 * third) / (6 * STEP)


def general_threshold(family: Family) -> Threshold:
    """The threshold of a family of problems, see :func:`ufm.collapse_threshold`.

    Raises:
        ValueError: the criterion does not hold for the family, or R* lies beyond what is looked at.

    >>> import ufm
    >>> family = Family(ufm.LayerPeeled(1.0, 1.0), 3, 3, ufm.CrossEntropy(), None, None)
    >>> abs(general_threshold(family).ratio / ufm.collapse_threshold(ufm.LayerPeeled(1.0, 1.0), 3, 3).ratio - 1) < 1e-12
    True
    """
    family.check()

    @cache
    def at(ratio: float) -> Solution:
        return family.solve(ratio)

    def margin(ratio: float) -> float:
        return family.margin(at(ratio))

    largest = RESOLVED_RATIO if has_slack(family.architecture) else math.inf
    looked_at = [r for r in sorted({*LOOKED_AT, *_widest(family, at)}) if r <= largest]
    inside = [margin(ratio) <= 0 for ratio in looked_at[:-1]]
    if not inside[-1] and family.rule is None and _is_idle(at):
        return Threshold(math.inf, math.inf, math.inf, is_monotone=not any(inside))
    inside.append(inside[-1] or margin(looked_at[-1]) <= 0)
    if not inside[-1]:
        raise ValueError(
            f"architecture must leave a threshold below R = {looked_at[-1]:g} with loss {family.loss.name} and bias "
            f"{family.bias!r}, none was looked for beyond; got {family.architecture!r}"
        )
    if all(inside):
        return Threshold(1.0, 1.0, 1.0 + 1e-12, *_counts(family, 1.0), is_monotone=True)
    last = max(i for i, is_in in enumerate(inside) if not is_in)
    monotone = not any(inside[: last + 1])
    low, high = looked_at[last], looked_at[last + 1]
    while math.log(high / low) > NEAR:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if margin(middle) <= 0 else (middle, high)
    for _ in range(0 if has_slack(family.architecture) else 2):
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
    ratio = _between(margin, low, high)
    near, far = (family.lack(at(ratio * factor)) for factor in BEYOND)
    if not (near > LACKS and GROWS[0] * near < far < GROWS[1] * near):
        raise ValueError(
            f"architecture must leave a threshold that solutions resolve with loss {family.loss.name} and bias "
            f"{family.bias!r}, got {family.architecture!r}: beyond R = {ratio:g} the minority lacks nothing that would "
            "keep it in collapse, as where a bound of its features or classifiers is idle, and it has no threshold"
        )
    question, counts = BisectedQuestion(family), _counts(family, ratio)
    return Threshold(ratio, ratio * (1 - ROUGH), ratio * (1 + ROUGH), *counts, question, is_monotone=monotone)


def _widest(family: Family, at: Callable[[float], Solution]) -> list[float]:
    """R at which a minority that is in collapse on both sides is nearest to leaving it, where n_A is held.

    ``n_B / N^2 = R / (n_A (K_A R + K_B)^2)`` is largest at ``R = K_B / K_A``, and kappa moves that a little: what is
    out of collapse there alone may lie between two R that are looked at.
    """
    peak = family.num_minority / family.num_majority
    if family.rule is None or family.rule.held != "majority_count" or peak <= 1 or has_slack(family.architecture):
        return []
    if not 0 < family.lack(at(peak)) < NEARLY:
        return [peak]
    from scipy.optimize import minimize_scalar

    ends = max(1.0, peak / AROUND), peak * AROUND
    found = minimize_scalar(lambda ratio: family.lack(at(ratio)), bounds=ends, options={"xatol": 1e-6})
    return [peak, float(found.x)]


def _between(margin: Callable[[float], float], low: float, high: float) -> float:
    """R between two at which the margin has its two signs, to :data:`ROUGH`."""
    from scipy.optimize import brentq

    ends = math.log(low), math.log(high)
    known = dict(zip(ends, (low, high), strict=True))  # exp(log R) may lie on the other side of a close root
    return math.exp(brentq(lambda x: margin(known.get(x) or math.exp(x)), *ends, xtol=ROUGH / 10, rtol=ROUGH / 10))


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
    slack = multiplier(solution) * solution.problem.bound
    return solution.value <= solution.problem.loss.floor or slack <= IDLE * solution.value
