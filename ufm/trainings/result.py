"""A trained network, measured, beside the theory's prediction."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ufm._files import replacing
from ufm.measures import Measures
from ufm.trainings.budgets import Budgets, predict_from_budgets
from ufm.trainings.comparison import beside, gram_matrices
from ufm.trainings.config import TrainingConfig
from ufm.trainings.judgement import STATIONARY, judge
from ufm.trainings.optimisation import Fit, Network
from ufm.trainings.prediction import Prediction

__all__ = ["TrainingResult"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class TrainingResult:
    """A trained network, measured on its training data, beside the theory's prediction.

    Attributes:
        config: what was trained.
        network: the trained network.
        fit: how the optimisation ended.
        measures: neural-collapse measures of the features that the classifier sees, :func:`ufm.measure`. Their
            ``phase`` takes class logits as collapsed when they coincide to 1e-3 of the largest singular value, or to
            1e-3 where that is below 1, :func:`ufm.trainings.comparison.phase_of`.
        prediction: the global optimum of the same objective; where ``config.is_modelled`` is False that of the linear
            DEQ, beside which the measured shows how far a nonlinear one departs.
        spectral_norm: ``|A|_2`` of a DEQ, else None.
        rank: of the class-mean logits, at the same resolution. A low-rank code that uses fewer
            directions than ``prediction.solution.geometry.rank`` is a typical trap of a DEQ started at A = 0.
        residual: largest relative fixed-point residual of a sample in a fresh solve, else None.
        steps: evaluations of the fixed-point map that the slowest sample took in that solve, else None.
        local_threshold: n_B up to which a collapsed state with this A is a local minimum against perturbations along
            unused directions, see :func:`ufm.trainings.prediction.minority_gain`; None for an explicit network, or
            where no direction is unused, or where phi is not linear.
        budgets: what the network has spent, from which :meth:`from_budgets` predicts.
        features: what the classifier sees, shape (N, d).
        labels: shape (N,).

    >>> from ufm.trainings import TrainingConfig, train
    >>> counts = {"num_majority": 2, "majority_count": 6, "num_minority": 2, "minority_count": 3}
    >>> config = TrainingConfig(architecture="explicit", lambda_W=0.07, lambda_H=0.07, device="cpu", **counts)
    >>> result = train(config)
    >>> result.status, result.rank
    ('agrees', 3)
    >>> found = result.from_objective()["scale"]
    >>> abs(found["error"]) < 1e-4, abs(result.from_budgets()["threshold_error"]) < 1e-3
    (True, True)
    """

    config: TrainingConfig
    network: Network
    fit: Fit
    measures: Measures
    prediction: Prediction
    spectral_norm: float | None
    rank: int
    residual: float | None
    steps: int | None
    local_threshold: float | None
    budgets: Budgets
    features: Array
    labels: NDArray[np.int64]

    @property
    def scale(self) -> float:
        """Measured s_B."""
        scales = self.measures.group_scales
        if scales is None or scales[-1] is None:
            raise ValueError("the minority must have at least two classes")
        return scales[-1]

    @property
    def status(self) -> str:
        """Whether it is where the theory says: :func:`ufm.trainings.judge`."""
        prediction = self.prediction
        return judge(
            minority_count=self.config.minority_count,
            threshold=prediction.threshold,
            predicted_scale=prediction.scale,
            predicted_phase=prediction.phase,
            predicted_objective=prediction.objective,
            scale=self.scale,
            phase=str(self.measures.phase),
            objective=self.fit.objective,
            converged=self.fit.converged and self.fit.gradient <= STATIONARY,
            is_modelled=self.config.is_modelled,
            distance=prediction.distance,
        )

    @property
    def means(self) -> Array:
        """Measured class means of the features, shape (d, K)."""
        k = len(self.config.counts)
        return np.stack([self.features[self.labels == c].mean(axis=0) for c in range(k)], axis=1)

    @property
    def classifier(self) -> Array:
        """Trained W, shape (K, d)."""
        return self.network.classifier.weight.detach().cpu().numpy()

    @property
    def gram(self) -> dict[str, Array]:
        """Measured Gram matrices, beside ``prediction.gram``: :func:`ufm.trainings.prediction.gram_matrices`."""
        return gram_matrices(self.classifier, self.means)

    def from_objective(self) -> dict[str, Any]:
        """Prediction beside the measured, :func:`ufm.trainings.prediction.compare`; with ``objective``."""
        value = beside(self.prediction.objective, self.fit.objective, relative=True)
        return {"objective": value, **self.prediction.compare(self.classifier, self.means)}

    def from_budgets(self, weighting: str = "samples") -> dict[str, Any]:
        """Prediction from the network's own budgets beside the measured, :meth:`BudgetPrediction.compare`.

        With it ``threshold_error`` and, with ``"samples"``, ``lambda_W_error`` and ``lambda_H_error``: relative to what
        the objective predicts or has.

        Raises:
            ValueError: an unknown ``weighting``, or budgets that no optimum spends, as of a network that is all zero.
        """
        predicted = predict_from_budgets(
            self.budgets, self.config.counts, self.config.num_majority, weighting=weighting
        )
        found = predicted.compare(self.classifier, self.means)
        known = {"lambda_W": self.config.lambda_W, "lambda_H": self.config.lambda_H}
        for name, value in {"threshold": self.prediction.threshold, **known}.items():
            if name in found:
                found[f"{name}_error"] = found[name] / value - 1
        return found

    def to_dict(self) -> dict[str, Any]:
        """Everything but weights and features, as JSON types.

        ``from_objective`` and ``from_budgets`` set prediction beside measurement with relative errors; the latter is
        ``{"error": why}`` where the network's budgets predict nothing. ``is_modelled`` is False where the predictions
        are those of the linear theory for a nonlinear network.
        """
        geometry = self.prediction.solution.geometry
        try:
            budgets = self.from_budgets()
        except ValueError as error:
            budgets = {"error": str(error)}
        return {
            "config": self.config.to_dict(),
            "fit": dataclasses.asdict(self.fit),
            "measured": self.measures.to_dict(),
            "predicted": {
                "objective": self.prediction.objective,
                "threshold": self.prediction.threshold,
                "group_scales": list(geometry.group_scales),
                "minority_cosine": geometry.minority_cosine,
                "etf_error": geometry.etf_error,
                "self_duality_error": geometry.self_duality_error,
                "phase": geometry.phase,
                "rank": geometry.rank,
            },
            "is_modelled": self.config.is_modelled,
            "status": self.status,
            "rank": self.rank,
            "spectral_norm": self.spectral_norm,
            "residual": self.residual,
            "steps": self.steps,
            "local_threshold": self.local_threshold,
            "from_objective": self.from_objective(),
            "from_budgets": budgets,
        }

    def save(self, path: str | Path) -> None:
        """Write features, labels, classifier and all weights to a NumPy ``.npz`` file, without pickle.

        ``ufm measure`` reads the file. It appears under its name only when it is complete.
        """
        arrays = {f"weights/{name}": value.cpu().numpy() for name, value in self.network.state_dict().items()}
        with replacing(path) as stream:
            np.savez(stream, features=self.features, labels=self.labels, classifier=self.classifier, **arrays)
