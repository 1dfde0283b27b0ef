"""Collapse thresholds of any problem that can be stated, measured by trainings and set beside the theory's."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ufm._validation import integer
from ufm.architectures import Constrained, Penalised, UnconstrainedFeatures
from ufm.geometry import group_scales
from ufm.labels import ClassPrior
from ufm.losses import Loss
from ufm.problem import Problem
from ufm.thresholds import collapse_threshold
from ufm.trainings.stated import StatedTraining, train_problem
from ufm.trainings.threshold import MeasuredThreshold, measured_threshold
from ufm.trainings.units import newton_step

__all__ = ["StatedThreshold", "train_threshold"]

#: Relative difference of the thresholds that the losses of two counts have, up to which they have one: rounding.
SAME = 1e-9
#: How much larger or smaller logits may be than cross-entropy's, for s_B to be taken as it is.
LIKE = 10


@dataclass(frozen=True)
class StatedThreshold:
    """A measured threshold beside the predicted one.

    Attributes:
        predicted: n_B* of the theory at this n_A.
        measured: n_B* of the trainings that came to a stationary point, see :func:`ufm.trainings.measured_threshold`,
            s_B over the scale of the logits where that is not of the order of cross-entropy's.
        points: (n_B, s_B, seed, status) of every training.
    """

    predicted: float
    measured: MeasuredThreshold
    points: tuple[tuple[int, float, int, str], ...]

    @property
    def error(self) -> float:
        """``measured/predicted - 1``."""
        return self.measured.value / self.predicted - 1


def train_threshold(
    architecture: Penalised | Constrained,
    num_majority: int,
    num_minority: int,
    *,
    majority_count: int,
    minority_counts: Sequence[int],
    loss: str | Loss | Callable[[ClassPrior], Loss] = "ce",
    bias: str | float | None = None,
    seeds: Sequence[int] = (0,),
    done: Callable[[StatedTraining], None] | None = None,
    **training: Any,
) -> StatedThreshold:
    """Train at several n_B, and find where the minority's collapse ends.

    The prediction is :func:`ufm.collapse_threshold`: the n_B from which on ``pi_B kappa_B > lam sqrt(n_B)`` at the
    collapsed optimum; under budgets ``pi_B kappa_B > mu`` with their multiplier mu. For residual depth, whose price has
    the slope lam at 0 for every depth, it is that of the explicit network, the end of *local* stability.

    Args:
        architecture: with weight decay, or with budgets, which are kept while n_B changes.
        num_majority, num_minority: K_A >= 1 and K_B >= 2.
        majority_count, minority_counts: n_A, and the n_B to train at: at least four uncollapsed ones near the
            threshold.
        loss: or a function from the prior to the loss, where that depends on the counts, which need not be whole; with
            weight decay only. Logit adjustment does not move the threshold; of weights and temperatures by the counts
            n_B* is where the threshold of the loss at n_B is n_B itself.
        bias: as of :func:`ufm.solve`.
        seeds: every n_B is trained once with each.
        done: called with every training as it ends.
        **training: passed on to :func:`train_problem`; ``dim`` no less than the rank of an optimum, K - 1 or K.

    Raises:
        TypeError, ValueError: an argument is not what it should be, or the theory has no threshold, before any
            training; or too few of the trainings are uncollapsed.

    >>> model = UnconstrainedFeatures(5**0.5 / 34, 5**0.5 / 34)  # n_B* = 5 of N = 34
    >>> found = train_threshold(model, 2, 2, majority_count=12, minority_counts=(4, 6, 7, 8, 9), loss="mse")
    >>> round(found.predicted, 6), found.measured.collapsed, found.measured.uncollapsed, abs(found.error) < 0.05
    (5.0, 4, 6, True)
    """
    if not isinstance(architecture, Penalised | Constrained):
        raise TypeError(f"architecture must have weight decay or budgets, got {architecture!r}")
    of_counts = callable(loss) and not isinstance(loss, Loss)
    if of_counts and not isinstance(architecture, Penalised):
        raise ValueError(f"loss must not depend on the counts under budgets, got {loss!r}: the threshold would move")
    n_a = integer("majority_count", majority_count, minimum=1)
    counts = [integer(f"minority_counts[{i}]", n, minimum=1, maximum=n_a) for i, n in enumerate(minority_counts)]
    k_a, k_b = integer("num_majority", num_majority, minimum=1), integer("num_minority", num_minority, minimum=2)
    seeds = list(seeds)
    if not counts or not seeds:
        raise ValueError(f"minority_counts and seeds must not be empty, got {minority_counts!r} and {seeds!r}")

    def stated(n_b: float) -> tuple[ClassPrior, str | Loss]:
        prior = ClassPrior([n_a] * k_a + [n_b] * k_b)
        return prior, loss(prior) if callable(loss) and not isinstance(loss, Loss) else loss

    groups = tuple(range(k_a)), tuple(range(k_a, k_a + k_b))
    problem = Problem.of(architecture, *stated(min(counts)), bias)
    if training.get("dim") is not None and integer("dim", training["dim"], minimum=1) < problem.max_rank:
        raise ValueError(
            f"dim must be at least {problem.max_rank}, the rank of an optimum, that the threshold is of, "
            f"got {training['dim']!r}"
        )

    def threshold(n_b: float) -> float:
        judged = stated(n_b)[1]
        if isinstance(architecture, Penalised):
            model = _linear(architecture)
            ratio = collapse_threshold(model, k_a, k_b, loss=judged, bias=bias, majority_count=n_a).ratio
        else:
            ratio = collapse_threshold(architecture, k_a, k_b, loss=judged, bias=bias).ratio
        return n_a / ratio

    predicted = _fixed(threshold, min(counts), max(counts)) if of_counts else threshold(min(counts))
    if not 0 < predicted < n_a:
        which = "no n_B collapses" if not predicted else "every n_B up to that collapses"
        raise ValueError(f"architecture {architecture!r} must have a threshold below majority_count = {n_a}: {which}")
    points = []
    for seed in seeds:
        for n_b in counts:
            prior, judged = stated(n_b)
            found = train_problem(architecture, prior, judged, bias=bias, seed=seed, **training)
            scale = group_scales(found.logits, groups)[1]  # n_B = n_A makes one group of all classes
            points.append((n_b, float(scale or 0.0), seed, found.status))
            if done is not None:
                done(found)
    unit = _scale(problem)
    stationary = [(n, s / unit, seed) for n, s, seed, status in points if status != "unconverged"]
    return StatedThreshold(predicted, measured_threshold(stationary), tuple(points))


def _scale(problem: Problem) -> float:
    """Newton's step from logits 0 beside cross-entropy's; 1 within :data:`LIKE` of it either way."""
    plain = Problem.of(UnconstrainedFeatures(1.0, 1.0), problem.prior, "ce")
    scale = newton_step(problem) / newton_step(plain)
    return scale if scale < math.inf and not 1 / LIKE <= scale <= LIKE else 1.0


def _fixed(threshold: Callable[[float], float], least: int, most: int) -> float:
    """n with ``threshold(n) = n``, n the count that the loss is of; at once where the threshold is the same for all."""
    from scipy.optimize import brentq

    first, last = threshold(least), threshold(most)
    if abs(first - last) <= SAME * first:
        return first
    # collapsed at the least count, and out of collapse at the largest
    if not (first >= least and last <= most):
        raise ValueError(
            f"minority_counts must lie on both sides of the threshold where the loss depends on them, got {least} to "
            f"{most}: the losses there have their thresholds at {first:.6g} and {last:.6g}"
        )
    return float(brentq(lambda n: math.log(threshold(n) / n), least, most, xtol=1e-12, rtol=SAME))


def _linear(architecture: Penalised) -> Penalised:
    """The architecture whose gauge has the same slope at 0: itself where that is a nuclear norm."""
    if architecture.convex_form(1) is not None or not architecture.map_decay:
        return architecture
    return UnconstrainedFeatures(architecture.lambda_W, architecture.lambda_H)
