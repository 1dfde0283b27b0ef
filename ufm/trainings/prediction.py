"""What the theory predicts of a training, with no free parameter.

:func:`predict` goes from the objective: the trained one is the modelled one. :func:`predict_from_budgets` goes from
what the trained network has spent, its own norms: it knows no objective, so it can be asked of any trained network.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ufm._validation import positive
from ufm.architectures import Penalised, PenalisedDEQ, UnconstrainedFeatures
from ufm.labels import ClassPrior
from ufm.solution import Solution
from ufm.solvers import solve
from ufm.trainings.budgets import WEIGHTINGS, BudgetPrediction, Budgets, predict_from_budgets
from ufm.trainings.comparison import beside, compare, gram_matrices, gram_of
from ufm.trainings.config import TrainingConfig
from ufm.trainings.gain import USED, minority_gain
from ufm.two_groups.thresholds import collapse_threshold

__all__ = [
    "USED",
    "WEIGHTINGS",
    "BudgetPrediction",
    "Budgets",
    "Prediction",
    "beside",
    "compare",
    "gram_matrices",
    "minority_gain",
    "minority_threshold",
    "model_of",
    "predict",
    "predict_from_budgets",
]

Array = NDArray[np.float64]


def model_of(config: TrainingConfig) -> Penalised:
    """The theory's architecture of a training: unconstrained features, or the penalised DEQ of the same rho.

    >>> model_of(TrainingConfig(architecture="explicit", lambda_W=0.1, lambda_H=0.2))
    UnconstrainedFeatures(lambda_W=0.1, lambda_H=0.2)
    """
    if config.architecture == "explicit":
        return UnconstrainedFeatures(config.lambda_W, config.lambda_H)
    return PenalisedDEQ(config.lambda_W, config.lambda_H, config.rho)


@dataclass(frozen=True)
class Prediction:
    """Global optimum of the trained objective, of a nonlinear DEQ that of the linear one.

    Attributes:
        solution: with logits, factors and geometry.
        threshold: n_B* at n_A majority samples a class: the minority is collapsed iff ``n_B <= n_B*``, the smaller
            root of ``n = ((1-rho)^2 lambda_W lambda_H) (K_A n_A + K_B n)^2``.

    >>> prediction = predict(TrainingConfig(architecture="explicit", minority_count=26))
    >>> round(prediction.threshold, 6), round(prediction.scale, 4), str(prediction.phase)
    (20.0, 0.5595, 'none')
    """

    solution: Solution
    threshold: float

    @property
    def objective(self) -> float:
        """Optimal value of the objective."""
        return self.solution.value

    @property
    def scale(self) -> float:
        """s_B of the minority."""
        value = self.solution.geometry.group_scales[-1]
        if value is None:
            raise ValueError("the minority must have at least two classes")
        return value

    @property
    def phase(self) -> str:
        """``"none"``, ``"partial"`` or ``"total"``."""
        return self.solution.geometry.phase

    @property
    def distance(self) -> float:
        """Relative distance of n_B from where the minority's collapse ends.

        ``|n_B/n_B* - 1|``; where every ``n_B <= n_A`` is collapsed, and ``threshold`` is n_A for want of one,
        ``|n_B/(c N^2) - 1|`` with ``c = (1-rho)^2 lambda_W lambda_H``: collapse is ``n_B <= c N^2``.
        """
        counts = self.solution.problem.prior.counts
        model = cast(UnconstrainedFeatures | PenalisedDEQ, self.solution.problem.architecture)
        n_b = float(counts.min())
        if self.threshold < counts.max():
            return abs(n_b / self.threshold - 1)
        strength = (1 - getattr(model, "rho", 0.0)) * counts.sum()
        return abs(n_b / (strength**2 * model.lambda_W * model.lambda_H) - 1)

    @property
    def gram(self) -> dict[str, Array]:
        """``features`` ``M^T M``, M the centred class means, and ``classifier`` ``W W^T``, shape (K, K) each."""
        return gram_of(self.solution)

    def compare(self, classifier: Array, means: Array) -> dict[str, Any]:
        """Predicted beside measured, see :func:`compare`."""
        return compare(self.solution, self.threshold, classifier, means)


def predict(config: TrainingConfig, minority_count: float | None = None) -> Prediction:
    """Prediction for a training, or for another ``minority_count`` of the same objective.

    Args:
        config: of the training.
        minority_count: any real number > 0 and at most n_A; default that of ``config``.

    Raises:
        TypeError, ValueError: an argument is not what it should be; the message names it.

    >>> config = TrainingConfig(rho=0.5)
    >>> [str(predict(config, n_b).phase) for n_b in (10, 3.5)]
    ['none', 'partial']
    """
    if not isinstance(config, TrainingConfig):
        raise TypeError(f"config must be a ufm.deq.TrainingConfig, got {config!r}")
    n_b = config.minority_count if minority_count is None else positive("minority_count", minority_count)
    if n_b > config.majority_count:
        raise ValueError(f"minority_count must be at most majority_count = {config.majority_count}, got {n_b!r}")
    model = model_of(config)
    prior = ClassPrior([config.majority_count] * config.num_majority + [n_b] * config.num_minority)
    return Prediction(solve(model, prior, "ce"), minority_threshold(model, config))


def minority_threshold(model: Penalised, config: TrainingConfig) -> float:
    """n_B* of ``model`` at the class numbers and n_A of ``config``; n_A where every ``n_B <= n_A`` is collapsed.

    >>> config = TrainingConfig(architecture="explicit")
    >>> round(minority_threshold(model_of(config), config), 9)
    20.0
    """
    threshold = collapse_threshold(
        model, config.num_majority, config.num_minority, majority_count=config.majority_count
    )
    return config.majority_count / threshold.ratio
