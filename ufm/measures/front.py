"""The front: :func:`measure` takes features as they come and gives every measure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from ufm._validation import array, integer
from ufm.labels import ClassPrior
from ufm.measures._input import (
    LARGEST,
    Array,
    IntArray,
    check_prior,
    checked_classifier,
    checked_features,
    checked_labels,
    refuse_network,
)
from ufm.measures.accumulators import FeatureStatistics
from ufm.measures.nearest_mean import NearestMean
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
            NC4, which is None for an iterator that can be used only once.
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
    statistics = FeatureStatistics(k)
    for batch_features, batch_labels in _pairs(batches):
        statistics.update(batch_features, batch_labels)
    statistics.check_complete()
    w, b = checked_classifier(classifier, bias, k, statistics.dim)
    if predictions is not None:
        says = checked_labels("predictions", predictions, num_classes=k, length=len(batches[0][0]))
        agreements = _agreements(batches, statistics, says)
    else:
        agreements = None if w is None else _agreements(batches, statistics, (w, b))
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


def _agreements(batches: Any, statistics: FeatureStatistics, predictor: IntArray | tuple[Array, Array]) -> Array | None:
    """Samples of every class that NC4 counts, (K,), by a second pass; None for batches that come once only."""
    if isinstance(batches, Iterator):
        return None
    nearest, seen = NearestMean(statistics.means), 0
    agreements = np.zeros(statistics.num_classes)
    for batch_features, batch_labels in _pairs(batches):
        x = checked_features(batch_features)
        y = checked_labels("labels", batch_labels, num_classes=statistics.num_classes, length=len(x))
        seen += len(x)
        agreements += np.bincount(y[nearest.agreements(x, predictor)], minlength=statistics.num_classes)
    if seen not in (0, statistics.num_samples):
        raise ValueError(
            f"features must give the same samples each time, got {statistics.num_samples} and then {seen}: "
            "pass an iterator to go through them once, without NC4"
        )
    return agreements if seen else None


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
