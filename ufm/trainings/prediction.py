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

from ufm._validation import fraction, integer, one_of, positive, real
from ufm.architectures import LayerPeeled, LinearDEQ, Penalised, PenalisedDEQ, UnconstrainedFeatures
from ufm.geometry import centred
from ufm.labels import ClassPrior
from ufm.measures import measure
from ufm.solution import Solution
from ufm.solvers import solve
from ufm.two_groups.thresholds import collapse_threshold

if TYPE_CHECKING:
    from ufm.trainings.training import TrainingConfig

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

#: Relative error of the budgets up to which an optimum spends them; a tiny one leaves the optimum's to round-off.
SPENT = 1e-2
#: Logarithm of the least weight decay looked for: its square, times N^2 the threshold, is still a normal number.
LEAST_LOG_DECAY = -345.0

#: Numbers of a comparison that have no scale of their own; their ``error`` is a difference.
PURE = (
    "minority_cosine",
    "majority_cosine",
    "minority_feature_cosine",
    "majority_feature_cosine",
    "etf_error",
    "classifier_etf_error",
    "self_duality_error",
)


def model_of(config: TrainingConfig) -> Penalised:
    """The theory's architecture of a training: unconstrained features, or the penalised DEQ of the same rho."""
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
    def gram(self) -> dict[str, Array]:
        """``features`` ``M^T M``, M the centred class means, and ``classifier`` ``W W^T``, shape (K, K) each."""
        return _gram_of(self.solution)

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
    """
    from ufm.trainings.training import TrainingConfig

    if not isinstance(config, TrainingConfig):
        raise TypeError(f"config must be a ufm.deq.TrainingConfig, got {config!r}")
    n_b = config.minority_count if minority_count is None else positive("minority_count", minority_count)
    if n_b > config.majority_count:
        raise ValueError(f"minority_count must be at most majority_count = {config.majority_count}, got {n_b!r}")
    model = model_of(config)
    prior = ClassPrior([config.majority_count] * config.num_majority + [n_b] * config.num_minority)
    return Prediction(solve(model, prior, "ce"), minority_threshold(model, config))


def minority_threshold(model: Penalised, config: TrainingConfig) -> float:
    """n_B* of ``model`` at the class numbers and n_A of ``config``; n_A where every ``n_B <= n_A`` is collapsed."""
    threshold = collapse_threshold(
        model, config.num_majority, config.num_minority, majority_count=config.majority_count
    )
    return config.majority_count / threshold.ratio


def gram_matrices(classifier: Array, means: Array) -> dict[str, Array]:
    """Gram matrices, shape (K, K): of the centred class means, ``features``, and of the rows of W, ``classifier``.

    Args:
        classifier: W, shape (K, d).
        means: class means of the features that it sees, shape (d, K).
    """
    w, h = (np.asarray(x, dtype=np.float64) for x in (classifier, means))
    if w.ndim != 2 or h.shape != w.shape[::-1]:
        raise ValueError(f"classifier (K, d) and means (d, K) must fit together, got shapes {w.shape} and {h.shape}")
    m = centred(h)
    return {"features": m.T @ m, "classifier": w @ w.T}


def _gram_of(solution: Solution) -> dict[str, Array]:
    return gram_matrices(solution.factors.classifier, solution.factors.equilibrium_features)


def compare(solution: Solution, threshold: float, classifier: Array, means: Array) -> dict[str, Any]:
    """An optimum beside a trained network, as JSON types.

    Args:
        solution: the predicted optimum.
        threshold: the predicted n_B*.
        classifier: measured W, shape (K, d).
        means: measured class means of the features that it sees, shape (d, K).

    Returns:
        ``gram_features``, ``gram_classifier``: relative error in the Frobenius norm of the Gram matrices ``M^T M``
        (M centred) and ``W W^T``, scale included; None where the predicted one is 0. ``scale`` (s_B), the cosines of
        minority and majority and the errors of NC2 and NC3, named as in :class:`ufm.measures.Measures`:
        ``{"predicted", "measured", "error", "relative_error"}``. ``relative_error`` is ``measured/predicted - 1``, None
        where the predicted is 0; ``error`` is the same for s_B, and the difference for the others, which have no scale.
        ``phase``, ``measured_phase``, and ``threshold``, predicted: one network has none to be measured.

    Raises:
        TypeError, ValueError: arrays that are not real, finite and of these shapes.
    """
    network = gram_matrices(classifier, means)
    theory = _gram_of(solution)
    prior, geometry = solution.problem.prior, solution.geometry
    # Class means are samples without spread.
    measured = measure(np.asarray(means).T, np.arange(prior.num_classes), classifier=classifier, prior=prior)
    found: dict[str, Any] = {}
    for name, p in theory.items():
        size = float(np.linalg.norm(p))
        found[f"gram_{name}"] = float(np.linalg.norm(p - network[name])) / size if size else None
    scales = measured.group_scales
    found["scale"] = beside(geometry.group_scales[-1], None if scales is None else scales[-1], relative=True)
    for name in PURE:
        found[name] = beside(getattr(geometry, name), getattr(measured, name), relative=False)
    return found | {"phase": geometry.phase, "measured_phase": measured.phase, "threshold": threshold}


def beside(predicted: float | None, measured: float | None, *, relative: bool) -> dict[str, float | None]:
    """``{"predicted", "measured", "error", "relative_error"}``; ``error`` is the relative one or the difference."""
    if predicted is None or measured is None:
        difference = quotient = None
    else:
        difference = measured - predicted
        quotient = measured / predicted - 1 if predicted else None
    error = quotient if relative else difference
    return {"predicted": predicted, "measured": measured, "error": error, "relative_error": quotient}


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
        y = _labels(labels, len(h), k)
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
    """

    budgets: Budgets
    weighting: str
    model: Penalised | LayerPeeled | LinearDEQ
    solution: Solution
    threshold: float

    @property
    def gram(self) -> dict[str, Array]:
        """``features`` ``M^T M``, M the centred class means, and ``classifier`` ``W W^T``, shape (K, K) each."""
        return _gram_of(self.solution)

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
    array = np.asarray(value)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"{name} must be a real matrix, got {value!r}")
    if array.ndim != 2 or not array.size:
        raise ValueError(f"{name} must be a matrix with rows and columns, got shape {array.shape}")
    array = array.astype(np.float64)
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite, got {array[~np.isfinite(array)][0]}")
    return array


def _labels(labels: Any, size: int, num_classes: int) -> NDArray[np.int64]:
    array = np.asarray(labels)
    if array.dtype.kind not in "iu":
        raise TypeError(f"labels must be integers, got {labels!r}")
    if array.shape != (size,):
        raise ValueError(f"labels must have shape {(size,)}, one for each row of injected, got {array.shape}")
    array = array.astype(np.int64)
    wrong = array[(array < 0) | (array >= num_classes)]
    if wrong.size:
        raise ValueError(f"labels must lie in 0..{num_classes - 1}, one for each row of classifier, got {wrong[0]}")
    missing = sorted(set(range(num_classes)) - set(array.tolist()))
    if missing:
        raise ValueError(f"labels must hold every class 0..{num_classes - 1} at least once, got none of {missing}")
    return array


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
