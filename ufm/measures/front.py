"""The front: :func:`measure` takes features as they come and gives every measure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from ufm._validation import array, integer
from ufm.labels import ClassPrior
from ufm.measures._input import (
    LARGEST,
    IntArray,
    check_prior,
    checked_classifier,
    checked_features,
    checked_labels,
    refuse_network,
)
from ufm.measures.accumulators import FeatureStatistics
from ufm.measures.nearest_mean import LinearDecisions
from ufm.measures.second_pass import SecondPass
from ufm.measures.span import Span, span_of_means
from ufm.measures.summary import Measures

__all__ = ["measure"]


def measure(
    features: Any,
    labels: Any = None,
    *,
    classifier: Any = None,
    bias: Any = None,
    predictions: Any = None,
    num_classes: int | None = None,
    prior: ClassPrior | None = None,
    num_minority: int | None = None,
    tolerance: float = 1e-3,
    centre: str = "classes",
) -> Measures:
    """Measure the neural collapse of features that a network gives its last, linear layer.

    Args:
        features: h, shape (n, d), a NumPy array or torch tensor of any device and float type. Or, without ``labels``,
            an iterable of (features, labels) batches such as a list or a loader; it is gone through a second time for
            NC4, which is None for an iterator that can be used only once. Arrays, lists and tuples, which hold the same
            samples each time, are gone through again for NC1 too, where that costs less than a covariance.
        labels: integer classes in 0..K-1, shape (n,), every class at least once.
        classifier: W, shape (K, d); without it the measures of the classifier are None.
        bias: b, shape (K,); only with ``classifier``, for its predictions.
        predictions: the network's classes, shape (n,), for NC4; default the argmax of ``W h + b``.
        num_classes: K; default that of ``prior`` or ``classifier``, or for arrays the largest label + 1.
        prior: class prior of K classes whose groups of equal counts to use; default the counts of ``labels``.
        num_minority: instead, the number of least frequent classes that make up the minority, the later of two equally
            frequent ones first; the others are the majority.
        tolerance: the phase takes logits as collapsed up to this fraction of their largest singular value.
        centre: what the class means are centred by, for NC2 and NC3: ``"classes"``, their unweighted mean, or
            ``"samples"``, the mean of all samples ``sum_k n_k m_k / N``, which under imbalance is another point. NC1,
            and the ETF error, which is a distance of centred frames, take the unweighted mean off in any case.

    Returns:
        The :class:`Measures`.

    Raises:
        TypeError, ValueError: an argument that is not as described, features and labels of different lengths, labels
            that are no integers, a class without samples, or values that are not finite.

    Example:
        >>> import numpy as np
        >>> from ufm.geometry import simplex_etf
        >>> etf = simplex_etf(3)
        >>> m = measure(np.repeat(etf.T, 5, axis=0), np.repeat([0, 1, 2], 5), classifier=etf.T)
        >>> m.nc1, m.nc4, str(m.phase)
        (0.0, 1.0, 'none')
    """
    batches = _batches(features, labels, predictions)
    k = _num_classes(num_classes, prior, classifier, batches if labels is not None else None)
    statistics = _first_pass(batches, k)
    w, b = checked_classifier(classifier, bias, k, statistics.dim)
    predictor: IntArray | LinearDecisions | None = None if w is None else LinearDecisions(w, b)
    if predictions is not None:
        predictor = checked_labels("predictions", predictions, num_classes=k, length=len(batches[0][0]))
    span = span_of_means(statistics.means)
    second = _second_pass(batches, statistics, span, predictor)
    agreements = None if predictor is None or second is None else second.agreements
    return Measures.of(
        statistics,
        classifier=classifier,
        bias=bias,
        prior=prior,
        num_minority=num_minority,
        nc4=None if agreements is None else float(agreements.sum() / statistics.num_samples),
        nc4_by_class=None if agreements is None else tuple((agreements / statistics.counts).tolist()),
        tolerance=tolerance,
        centre=centre,
        nc1=None if second is None else second.nc1,
        span=span,
    )


def _batches(features: Any, labels: Any, predictions: Any) -> Any:
    """(features, labels) batches: the one batch of arrays, checked, or the iterable that was given."""
    if labels is not None:
        x = checked_features(features)
        return [(x, checked_labels("labels", labels, num_classes=None, length=len(x)))]
    refuse_network(features)
    if isinstance(features, str | bytes) or not isinstance(features, Iterable) or hasattr(features, "shape"):
        raise TypeError("labels must be given, unless features is an iterable of (features, labels) batches")
    if predictions is not None:
        raise ValueError("predictions must be left out when features is an iterable of batches")
    return features


def _first_pass(batches: Any, k: int) -> FeatureStatistics:
    """Statistics of all samples, without covariance where a second pass over the same samples costs less."""
    statistics = None
    for features, labels in _pairs(batches):
        if statistics is None:
            # Lists hold the same samples each time; a loader may draw others, and then NC1 must come of one pass.
            again = isinstance(batches, list | tuple) and 2 * (k - 1) <= _columns(features)
            statistics = FeatureStatistics(k, covariance=not again)
        statistics.update(features, labels)
    statistics = FeatureStatistics(k) if statistics is None else statistics
    statistics.check_complete()
    return statistics


def _columns(features: Any) -> int:
    shape = tuple(getattr(features, "shape", ()))
    return int(shape[-1]) if len(shape) == 2 else 0


def _second_pass(
    batches: Any, statistics: FeatureStatistics, span: Span, predictor: IntArray | LinearDecisions | None
) -> SecondPass | None:
    """NC4, and NC1 where there is no covariance; None where neither is wanted, and for batches that come once only."""
    if isinstance(batches, Iterator) or (predictor is None and statistics.has_covariance):
        return None
    found = SecondPass(statistics, span)
    for features, labels in _pairs(batches):
        x = checked_features(features)
        y = checked_labels("labels", labels, num_classes=statistics.num_classes, length=len(x))
        found.add(x, y, predictor)
    if found.seen not in (0, statistics.num_samples):
        raise ValueError(
            f"features must give the same samples each time, got {statistics.num_samples} and then {found.seen}: "
            "pass an iterator to go through them once, without NC4"
        )
    return found if found.seen else None


def _num_classes(num_classes: Any, prior: Any, classifier: Any, batches: Any) -> int:
    """K from whichever argument says it; they must agree."""
    said: dict[str, int] = {}
    if num_classes is not None:
        said["num_classes"] = integer("num_classes", num_classes, minimum=2)
    if prior is not None:
        said["prior"] = check_prior(prior).num_classes
    if classifier is not None:
        said["classifier"] = len(array("classifier", classifier, ndim=2, largest=LARGEST))
    if not said:
        if batches is None:
            raise ValueError("num_classes must be given for batches without prior or classifier")
        labels = batches[0][1]
        if not len(labels):
            raise ValueError("features must hold at least one sample, got none")
        said["labels"] = int(labels.max()) + 1
    if len(set(said.values())) > 1:
        raise ValueError(f"the number of classes must be one, got {', '.join(f'{v} by {n}' for n, v in said.items())}")
    name, k = next(iter(said.items()))
    if k < 2:
        raise ValueError(f"{name} must have at least 2 classes, got {k}")
    return k


def _pairs(batches: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
    for i, batch in enumerate(batches):
        if not isinstance(batch, Sequence) or isinstance(batch, str | bytes) or len(batch) != 2:
            raise TypeError(f"features must give (features, labels) batches, got {type(batch).__name__} as batch {i}")
        yield batch[0], batch[1]
