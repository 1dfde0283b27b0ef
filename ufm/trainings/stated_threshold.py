"""Collapse thresholds of any problem that can be stated, measured by trainings and set beside the theory's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ufm._validation import integer
from ufm.architectures import Constrained, Penalised, UnconstrainedFeatures
from ufm.labels import ClassPrior
from ufm.losses import Loss
from ufm.thresholds import collapse_threshold
from ufm.trainings.stated import StatedTraining, train_problem
from ufm.trainings.threshold import MeasuredThreshold, measured_threshold

__all__ = ["StatedThreshold", "train_threshold"]


@dataclass(frozen=True)
class StatedThreshold:
    """A measured threshold beside the predicted one.

    Attributes:
        predicted: n_B* of the theory at this n_A.
        measured: n_B* of the trainings that came to a stationary point, see :func:`ufm.trainings.measured_threshold`.
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
        loss: or a function from the prior to the loss, where that depends on the counts, as logit adjustment does; with
            weight decay only, under which such a shift does not move the threshold.
        bias: as of :func:`ufm.solve`.
        seeds: every n_B is trained once with each.
        done: called with every training as it ends.
        **training: passed on to :func:`train_problem`.

    Raises:
        TypeError, ValueError: an argument is not what it should be, or too few of the trainings are uncollapsed.

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

    def stated(n_b: float) -> tuple[ClassPrior, str | Loss]:
        prior = ClassPrior([n_a] * k_a + [n_b] * k_b)
        return prior, loss(prior) if callable(loss) and not isinstance(loss, Loss) else loss

    points = []
    for seed in seeds:
        for n_b in counts:
            prior, judged = stated(n_b)
            found = train_problem(architecture, prior, judged, bias=bias, seed=seed, **training)
            points.append((n_b, float(found.group_scales[-1] or 0.0), seed, found.status))
            if done is not None:
                done(found)
    # additive shifts of the logits do not move a threshold under weight decay, so any prior's loss predicts it
    judged = stated(min(counts))[1]
    if isinstance(architecture, Penalised):
        ratio = collapse_threshold(_linear(architecture), k_a, k_b, loss=judged, bias=bias, majority_count=n_a).ratio
    else:
        ratio = collapse_threshold(architecture, k_a, k_b, loss=judged, bias=bias).ratio
    stationary = [point[:3] for point in points if point[3] != "unconverged"]
    return StatedThreshold(n_a / ratio, measured_threshold(stationary), tuple(points))


def _linear(architecture: Penalised) -> Penalised:
    """The architecture whose gauge has the same slope at 0: itself where that is a nuclear norm."""
    if architecture.convex_form(1) is not None or not architecture.map_decay:
        return architecture
    return UnconstrainedFeatures(architecture.lambda_W, architecture.lambda_H)
