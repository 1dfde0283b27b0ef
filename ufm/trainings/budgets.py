"""What a trained network has spent, and the optimum at those budgets.

No objective enters, so that any trained network can be asked.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from ufm._validation import as_array, fraction, integer, one_of, positive, real
from ufm.architectures import LayerPeeled, LinearDEQ, Penalised, PenalisedDEQ, UnconstrainedFeatures
from ufm.labels import ClassPrior
from ufm.solution import Solution
from ufm.solvers import solve
from ufm.trainings.class_indices import class_indices
from ufm.trainings.comparison import compare, gram_of
from ufm.two_groups.thresholds import collapse_threshold

__all__ = ["WEIGHTINGS", "BudgetPrediction", "Budgets", "predict_from_budgets"]

Array = NDArray[np.float64]

#: What a feature budget sums over: all samples, as weight decay does, or class averages, as in the layer-peeled model.
WEIGHTINGS = ("samples", "classes")

#: Relative error of the budgets up to which an optimum spends them; a tiny one leaves the optimum's to round-off.
SPENT = 1e-2
#: Logarithm of the least weight decay looked for: its square, times N^2 the threshold, is still a normal number.
LEAST_LOG_DECAY = -345.0


@dataclass(frozen=True)
class Budgets:
    """What a trained network has spent.

    Attributes:
        classifier: ``E_W = |W|_F^2 / K``.
        features: ``E_H = (1/K) sum_k (1/n_k) sum_i |h_ki|^2``, h the features that are injected into a DEQ.
        total_features: ``sum_{k,i} |h_ki|^2``, the same with every sample counted once.
        spectral: ``|A|_2`` of a DEQ, 0.0 of an explicit network.
        frobenius: ``|A|_F``, likewise.

    Raises:
        TypeError, ValueError: a field is no finite number >= 0; the message names it.

    >>> Budgets.of(np.eye(2), np.array([[3.0, 0.0], [0.0, 4.0]]), np.array([0, 1]))
    Budgets(classifier=1.0, features=12.5, total_features=25.0, spectral=0.0, frobenius=0.0)
    """

    classifier: float
    features: float
    total_features: float
    spectral: float = 0.0
    frobenius: float = 0.0

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            number = real(field.name, value)
            if number < 0:
                raise ValueError(f"{field.name} must be >= 0 and finite, got {value!r}")
            object.__setattr__(self, field.name, number)

    @classmethod
    def of(
        cls, classifier: Array, injected: Array, labels: NDArray[np.int64], equilibrium: Array | None = None
    ) -> Budgets:
        """Measure them.

        Args:
            classifier: W, shape (K, d).
            injected: h, shape (N, d).
            labels: shape (N,), integers 0..K-1, every class at least once.
            equilibrium: A, shape (d, d); None for an explicit network.

        Raises:
            TypeError, ValueError: arrays that are not real, finite and of these shapes, or a class without samples.
        """
        w, h = _matrix("classifier", classifier), _matrix("injected", injected)
        a = None if equilibrium is None else _matrix("equilibrium", equilibrium)
        k, d = w.shape
        if h.shape[1] != d:
            raise ValueError(f"injected must have {d} columns, as classifier has, got {h.shape[1]}")
        if a is not None and a.shape != (d, d):
            raise ValueError(f"equilibrium must have shape {(d, d)}, got {a.shape}")
        y = class_indices(labels, len(h), k, row="row of injected")
        squares = (h**2).sum(axis=1)
        averages = np.bincount(y, weights=squares, minlength=k) / np.bincount(y, minlength=k)
        return cls(
            classifier=float((w**2).sum() / k),
            features=float(averages.mean()),
            total_features=float(squares.sum()),
            spectral=0.0 if a is None else float(np.linalg.norm(a, 2)),
            frobenius=0.0 if a is None else float(np.linalg.norm(a)),
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

    >>> predicted = predict_from_budgets(Budgets(1.0, 2.0, 60.0), [20, 20, 10, 10], 2)
    >>> w, m = predicted.solution.factors.classifier, predicted.solution.factors.equilibrium_features
    >>> abs(predicted.compare(w, m)["scale"]["error"]) < 1e-9
    True
    """

    budgets: Budgets
    weighting: str
    model: Penalised | LayerPeeled | LinearDEQ
    solution: Solution
    threshold: float

    @property
    def gram(self) -> dict[str, Array]:
        """``features`` ``M^T M``, M the centred class means, and ``classifier`` ``W W^T``, shape (K, K) each."""
        return gram_of(self.solution)

    def compare(self, classifier: Array, means: Array) -> dict[str, Any]:
        """Predicted beside measured, :func:`compare`.

        With it the budgets and their ``weighting`` and, with ``"samples"``, ``lambda_W`` and ``lambda_H``, predicted.
        """
        found: dict[str, Any] = {"weighting": self.weighting, **dataclasses.asdict(self.budgets)}
        found |= compare(self.solution, self.threshold, classifier, means)
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
        counts: n_k, step-wise: the first ``num_majority`` equal, the others equal and not larger.
        num_majority: K_A >= 1, with ``K_B = K - K_A >= 2``.
        weighting: ``"samples"`` (a network trained with weight decay on its features) or ``"classes"``.

    Raises:
        TypeError, ValueError: an argument is not what it should be, ``budgets.spectral`` is not in [0, 1), or the
            budgets are so small or so large that in float64 no optimum spends them.

    >>> predicted = predict_from_budgets(Budgets(1.0, 2.0, 60.0), [20, 20, 10, 10], 2)
    >>> spent = (predicted.solution.factors.classifier ** 2).sum() / 4
    >>> round(float(spent), 6), predicted.model.lambda_W > predicted.model.lambda_H
    (1.0, True)
    """
    if not isinstance(budgets, Budgets):
        raise TypeError(f"budgets must be ufm.trainings.prediction.Budgets, got {budgets!r}")
    one_of("weighting", weighting, WEIGHTINGS)
    rho = fraction("budgets.spectral", budgets.spectral)
    for name in ("classifier", "features", "total_features"):
        positive(f"budgets.{name}", getattr(budgets, name))
    prior = ClassPrior(counts)
    k_a = _step(prior, num_majority)
    k, k_b, n_a = prior.num_classes, prior.num_classes - k_a, float(prior.counts[0])
    features = "features" if weighting == "classes" else "total_features"
    # Logarithms, for products and quotients may overflow.
    log_w, log_e = math.log(k) + math.log(budgets.classifier), math.log(getattr(budgets, features))
    if max(abs(log_w), abs(log_e)) > -LEAST_LOG_DECAY:
        raise _unspent(features, budgets, "each must lie between 1e-149 and 1e149")
    if weighting == "classes":
        e_w, e_h = budgets.classifier, budgets.features
        try:
            budgeted = LinearDEQ(e_w, e_h, rho) if rho else LayerPeeled(e_w, e_h)
            ratio = collapse_threshold(budgeted, k_a, k_b).ratio
        except ValueError as error:  # R* beyond float64
            raise _unspent(features, budgets, f"it must be smaller: {error}") from None
        solution = solve(budgeted, prior, "ce")
        _check_spent(features, budgets, solution)
        return BudgetPrediction(budgets, weighting, budgeted, solution, n_a / ratio)
    log_balance = (log_e - log_w) / 2

    def model(log_lam: float) -> Penalised:
        decays = math.exp(log_lam + log_balance), math.exp(log_lam - log_balance)
        return PenalisedDEQ(*decays, rho) if rho else UnconstrainedFeatures(*decays)

    def excess(log_lam: float) -> float:
        """Of the classifier's budget; the features' then fits too, by the balance."""
        spent = float((solve(model(log_lam), prior, "ce").factors.classifier ** 2).sum())
        return spent / math.exp(log_w) - 1

    # Z = 0 is optimal iff (1-rho) lam >= |grad f(0) D^{-1/2}|_2, which sqrt(n_A)/N bounds.
    high = math.log(math.sqrt(float(prior.counts.max())) / prior.counts.sum() / (1 - rho))
    low = high - 1
    while excess(low) < 0:
        low -= 1
        if low + math.log1p(-rho) < LEAST_LOG_DECAY:
            raise _unspent(features, budgets, "it must be smaller, for a weight decay above 1e-150 to spend it")
    penalised = model(brentq(excess, low, high, xtol=1e-13, rtol=1e-14))
    threshold = collapse_threshold(penalised, k_a, k_b, majority_count=n_a)
    solution = solve(penalised, prior, "ce")
    _check_spent(features, budgets, solution)
    return BudgetPrediction(budgets, weighting, penalised, solution, n_a / threshold.ratio)


def _step(prior: ClassPrior, num_majority: int) -> int:
    """Checked K_A of a step prior."""
    k = prior.num_classes
    reason = f"of {k} classes, two at least are minority"
    k_a = integer("num_majority", num_majority, minimum=1, maximum=k - 2, reason=reason)
    n = prior.counts
    if (n[:k_a] != n[0]).any() or (n[k_a:] != n[-1]).any() or n[0] < n[-1]:
        raise ValueError(
            f"counts must be step-wise, {k_a} = num_majority equal ones and {k - k_a} equal ones that are not larger, "
            f"got {n.tolist()}"
        )
    return k_a


def _unspent(features: str, budgets: Budgets, allowed: str) -> ValueError:
    return ValueError(
        f"budgets.classifier and budgets.{features} must have a product that an optimum with |A|_2 = budgets.spectral "
        f"spends, got {budgets.classifier!r}, {getattr(budgets, features)!r} and {budgets.spectral!r}; {allowed}"
    )


def _check_spent(features: str, budgets: Budgets, solution: Solution) -> None:
    spent = float((solution.factors.classifier**2).mean(axis=0).sum())
    if not abs(spent / budgets.classifier - 1) <= SPENT:
        raise _unspent(features, budgets, "it must be larger, for the optimum to stand out from round-off")


def _matrix(name: str, value: Any) -> Array:
    array = as_array(name, value)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"{name} must be a real matrix, got {value!r}")
    if array.ndim != 2 or not array.size:
        raise ValueError(f"{name} must be a matrix with rows and columns, got shape {array.shape}")
    array = array.astype(np.float64)
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite, got {array[~np.isfinite(array)][0]}")
    return array
