"""What the theory predicts of a training, with no free parameter: the trained objective is the modelled one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ufm.architectures import Penalised, PenalisedDEQ, UnconstrainedFeatures
from ufm.priors import ClassPrior
from ufm.solution import Solution
from ufm.solvers import solve
from ufm.thresholds import collapse_threshold

if TYPE_CHECKING:
    from ufm.deq.training import TrainingConfig

__all__ = ["Prediction", "minority_gain", "minority_threshold", "model_of", "predict"]

Array = NDArray[np.float64]

#: Singular values of trained features or logits below this fraction of the largest are those of unused directions.
USED = 1e-3


def model_of(config: TrainingConfig) -> Penalised:
    """The theory's architecture of a training: unconstrained features, or the penalised DEQ of the same rho."""
    if config.architecture == "explicit":
        return UnconstrainedFeatures(config.lambda_W, config.lambda_H)
    return PenalisedDEQ(config.lambda_W, config.lambda_H, config.rho)


@dataclass(frozen=True)
class Prediction:
    """Global optimum of the trained objective.

    Attributes:
        solution: with logits, factors and geometry.
        threshold: n_B* at n_A majority samples a class: the minority is collapsed iff ``n_B <= n_B*``, the smaller
            root of ``n = ((1-rho)^2 lambda_W lambda_H) (K_A n_A + K_B n)^2``.
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


def predict(config: TrainingConfig, minority_count: float | None = None) -> Prediction:
    """Prediction for a training, or for another ``minority_count`` (any real number > 0) of the same objective."""
    n_b = config.minority_count if minority_count is None else minority_count
    model = model_of(config)
    prior = ClassPrior([config.majority_count] * config.num_majority + [n_b] * config.num_minority)
    return Prediction(solve(model, prior, "ce"), minority_threshold(model, config))


def minority_threshold(model: Penalised, config: TrainingConfig) -> float:
    """n_B* of ``model`` at the class numbers and n_A of ``config``; n_A where every ``n_B <= n_A`` is collapsed."""
    threshold = collapse_threshold(
        model, config.num_majority, config.num_minority, majority_count=config.majority_count
    )
    return config.majority_count / threshold.ratio


def minority_gain(equilibrium: Array, classifier: Array, means: Array, tolerance: float = USED) -> float:
    r"""Gain c of the equilibrium layer along directions that neither features nor classifier use yet.

    ``c = |P (I-A)^{-1} Q|_2`` with P the projector onto the complement of the features' span and Q that of the span of
    ``(I-A)^{-T} W^T``. At a collapsed state a perturbation ``dW = w p^T``, ``dH = q w^T`` (w in the standard
    representation of the minority, p in the range of P, q in that of Q) changes the objective by
    ``(lambda_W/2)|p|^2 + (lambda_H n_B/2)|q|^2 - pi_B p^T (I-A)^{-1} q`` to second order: down for some p, q iff
    ``n_B > N^2 lambda_W lambda_H / c^2``, the *local threshold*. For A = a I on those directions ``c = 1/(1-a)``.

    Args:
        equilibrium: A, shape (d, d).
        classifier: W, shape (K, d).
        means: class means of the equilibrium features, shape (d, K).
        tolerance: singular values below this fraction of the largest count as unused.

    Returns:
        c; 0.0 where every direction is used.
    """
    d = len(equilibrium)
    resolvent = np.linalg.inv(np.eye(d) - equilibrium)
    p = _complement(means, tolerance)
    q = _complement(resolvent.T @ classifier.T, tolerance)
    if not p.shape[1] or not q.shape[1]:
        return 0.0
    return float(np.linalg.norm(p.T @ resolvent @ q, 2))


def _complement(vectors: Array, tolerance: float) -> Array:
    """Orthonormal basis (d, d - rank) of the complement of the span of the columns of ``vectors`` (d, K)."""
    u, s, _ = np.linalg.svd(vectors)
    return u[:, int((s > tolerance * s[0]).sum()) :]
