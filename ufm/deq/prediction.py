"""What the theory predicts of a training, with no free parameter.

:func:`predict` goes from the objective: the trained one is the modelled one. :func:`predict_from_budgets` goes from
what the trained network has spent, its own norms: it knows no objective, so it can be asked of any trained network.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from ufm._validation import fraction, one_of, positive
from ufm.architectures import LayerPeeled, LinearDEQ, Penalised, PenalisedDEQ, UnconstrainedFeatures
from ufm.geometry import centred, cosine_matrix, group_scales, mean_pairwise_cosine
from ufm.priors import ClassPrior
from ufm.solution import Solution
from ufm.solvers import solve
from ufm.thresholds import collapse_threshold

if TYPE_CHECKING:
    from ufm.deq.training import TrainingConfig

__all__ = [
    "WEIGHTINGS",
    "BudgetPrediction",
    "Budgets",
    "Prediction",
    "minority_gain",
    "minority_threshold",
    "model_of",
    "predict",
    "predict_from_budgets",
]

Array = NDArray[np.float64]

#: Singular values of trained features or logits below this fraction of the largest are those of unused directions.
USED = 1e-3

#: What a feature budget sums over: all samples, as weight decay does, or class averages, as in the layer-peeled model.
WEIGHTINGS = ("samples", "classes")


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


@dataclass(frozen=True)
class Budgets:
    """What a trained network has spent.

    Attributes:
        classifier: ``E_W = |W|_F^2 / K``.
        features: ``E_H = (1/K) sum_k (1/n_k) sum_i |h_ki|^2``, h the features that are injected into a DEQ.
        total_features: ``sum_{k,i} |h_ki|^2``, the same with every sample counted once.
        spectral: ``|A|_2`` of a DEQ, 0.0 of an explicit network.
        frobenius: ``|A|_F``, likewise.
    """

    classifier: float
    features: float
    total_features: float
    spectral: float = 0.0
    frobenius: float = 0.0

    @classmethod
    def of(
        cls, classifier: Array, injected: Array, labels: NDArray[np.int64], equilibrium: Array | None = None
    ) -> Budgets:
        """Measure them.

        Args:
            classifier: W, shape (K, d).
            injected: h, shape (N, d).
            labels: shape (N,), every class at least once.
            equilibrium: A, shape (d, d); None for an explicit network.
        """
        squares = (np.asarray(injected, dtype=np.float64) ** 2).sum(axis=1)
        counts = np.bincount(labels, minlength=len(classifier))
        averages = np.bincount(labels, weights=squares, minlength=len(classifier)) / counts
        return cls(
            classifier=float((np.asarray(classifier, dtype=np.float64) ** 2).sum() / len(classifier)),
            features=float(averages.mean()),
            total_features=float(squares.sum()),
            spectral=0.0 if equilibrium is None else float(np.linalg.norm(equilibrium, 2)),
            frobenius=0.0 if equilibrium is None else float(np.linalg.norm(equilibrium)),
        )


@dataclass(frozen=True)
class BudgetPrediction:
    """The global optimum at a network's own budgets.

    Attributes:
        budgets: what was measured.
        weighting: ``"samples"`` or ``"classes"``.
        model: of which ``solution`` is the optimum. With ``"samples"`` the penalised one whose optimum spends just
            these budgets; its weight decay is a prediction too, of the one that the network was trained with.
        solution: with logits, factors and geometry.
        threshold: n_B* at the same n_A and, with ``"samples"``, the same weight decay, with ``"classes"``, the same
            budgets; the minority is collapsed iff ``n_B <= n_B*``.
    """

    budgets: Budgets
    weighting: str
    model: Penalised | LayerPeeled | LinearDEQ
    solution: Solution
    threshold: float

    def compare(self, classifier: Array, means: Array) -> dict[str, Any]:
        """Predicted beside measured, and relative errors.

        Args:
            classifier: measured W, shape (K, d).
            means: measured class means of the features that it sees, shape (d, K).

        Returns:
            ``gram_features``, ``gram_classifier``: relative error in the Frobenius norm of the Gram matrices ``M^T M``
            (M centred) and ``W W^T``, scale included; ``scale`` and ``minority_cosine``: ``{"predicted", "measured",
            "error"}`` of s_B (relative) and of the minority's classifiers (absolute); ``phase``, ``threshold``,
            predicted; and, with ``"samples"``, ``lambda_W``, ``lambda_H``, predicted.
        """
        factors, geometry = self.solution.factors, self.solution.geometry
        groups = [group.classes for group in self.solution.problem.prior.groups]
        found: dict[str, Any] = {"weighting": self.weighting, **dataclasses.asdict(self.budgets)}
        pairs = {
            "gram_features": (centred(factors.equilibrium_features), centred(means)),
            "gram_classifier": (factors.classifier.T, classifier.T),
        }
        for name, (theory, network) in pairs.items():
            p, m = theory.T @ theory, network.T @ network
            found[name] = float(np.linalg.norm(p - m) / np.linalg.norm(p))
        logits = classifier @ means
        predicted, measured = geometry.group_scales[-1], group_scales(logits - logits.mean(axis=0), groups)[-1]
        found["scale"] = {
            "predicted": predicted,
            "measured": measured,
            "error": measured / predicted - 1 if predicted and measured is not None else None,
        }
        cosine = mean_pairwise_cosine(cosine_matrix(classifier.T), groups[-1])
        expected = geometry.minority_cosine
        found["minority_cosine"] = {
            "predicted": expected,
            "measured": cosine,
            "error": cosine - expected if cosine is not None and expected is not None else None,
        }
        found |= {"phase": geometry.phase, "threshold": self.threshold}
        if isinstance(self.model, Penalised):
            found |= {"lambda_W": self.model.lambda_W, "lambda_H": self.model.lambda_H}  # type: ignore[attr-defined]
        return found


def predict_from_budgets(
    budgets: Budgets, counts: Sequence[float], num_majority: int, *, weighting: str = "samples"
) -> BudgetPrediction:
    """The global optimum at the budgets that a trained network has spent, with no other knowledge of its training.

    A network at the optimum of a penalised objective is at the optimum of the constrained problem with its own budgets,
    and conversely: with ``w = |W|_F^2`` and ``e = sum_i |h_i|^2`` the weight decays that spend them are
    ``lambda_W = lam sqrt(e/w)`` and ``lambda_H = lam sqrt(w/e)``, lam the root of ``|W(lam)|_F |H(lam) D^{1/2}|_F =
    sqrt(w e)``, whose left side decreases in lam. With ``weighting="classes"`` the budgets are those of the
    layer-peeled model, and the optimum is its own. A DEQ has the spectral bound ``|A|_2``.

    Args:
        budgets: measured.
        counts: n_k, step-wise: the first ``num_majority`` equal, the others equal.
        num_majority: K_A.
        weighting: ``"samples"`` (a network trained with weight decay on its features) or ``"classes"``.

    Raises:
        TypeError, ValueError: an argument is not what it should be; ``budgets.spectral`` is not in [0, 1).
    """
    if not isinstance(budgets, Budgets):
        raise TypeError(f"budgets must be ufm.deq.prediction.Budgets, got {budgets!r}")
    one_of("weighting", weighting, WEIGHTINGS)
    rho = fraction("budgets.spectral", budgets.spectral)
    for name in ("classifier", "features", "total_features"):
        positive(f"budgets.{name}", getattr(budgets, name))
    prior = ClassPrior(counts)
    k, k_a = prior.num_classes, num_majority
    n_a = float(prior.counts[0])
    if weighting == "classes":
        e_w, e_h = budgets.classifier, budgets.features
        budgeted = LinearDEQ(e_w, e_h, rho) if rho else LayerPeeled(e_w, e_h)
        ratio = collapse_threshold(budgeted, k_a, k - k_a).ratio
        return BudgetPrediction(budgets, weighting, budgeted, solve(budgeted, prior, "ce"), n_a / ratio)
    w, e = k * budgets.classifier, budgets.total_features
    balance = math.sqrt(e / w)

    def model(log_lam: float) -> Penalised:
        lam = math.exp(log_lam)
        if rho:
            return PenalisedDEQ(lam * balance, lam / balance, rho)
        return UnconstrainedFeatures(lam * balance, lam / balance)

    def excess(log_lam: float) -> float:
        """Of the classifier's budget; the features' then fits too, by the balance."""
        return float((solve(model(log_lam), prior, "ce").factors.classifier ** 2).sum()) / w - 1

    # Z = 0 is optimal iff (1-rho) lam >= |grad f(0) D^{-1/2}|_2, which sqrt(n_A)/N bounds.
    high = math.log(math.sqrt(float(prior.counts.max())) / prior.counts.sum() / (1 - rho))
    low = high - 1
    while excess(low) < 0:
        low -= 1
    penalised = model(brentq(excess, low, high, xtol=1e-13, rtol=1e-14))
    threshold = collapse_threshold(penalised, k_a, k - k_a, majority_count=n_a)
    return BudgetPrediction(budgets, weighting, penalised, solve(penalised, prior, "ce"), n_a / threshold.ratio)


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
