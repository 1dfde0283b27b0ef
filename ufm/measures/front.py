"""The front: :func:`measure` takes features as they come and gives every measure."""

from __future__ import annotations

from collections.abc import Iterable
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
from ufm.measures.head import Head
from ufm.measures.nearest_mean import LinearDecisions
from ufm.measures.passes import Passes
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
    passes = Passes(batches, k)
    w, b = checked_classifier(classifier, bias, k, len(passes.means))
    head = None if w is None else Head(w, b)
    predictor: IntArray | LinearDecisions | None = None if head is None else LinearDecisions.of_head(head, passes.span)
    if predictions is not None:
        predictor = checked_labels("predictions", predictions, num_classes=k, length=len(batches[0][0]))
    statistics, nc1, agreements = passes.finish(predictor)
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
        nc1=nc1,
        span=passes.span,
        head=head,
    )


def _batches(features: Any, labels: Any, predictions: Any) -> Any:
    """(features, labels) batches: the one batch of arrays, checked, or the iterable that was given."""
    if labels is not None:
        x = checked_features(features)
        return [(x, _classes(labels, len(x)))]
    refuse_network(features)
    if isinstance(features, str | bytes) or not isinstance(features, Iterable) or hasattr(features, "shape"):
        raise TypeError("labels must be given, unless features is an iterable of (features, labels) batches")
    if predictions is not None:
        raise ValueError("predictions must be left out when features is an iterable of batches")
    return features


def _classes(labels: Any, length: int) -> IntArray:
    try:
        return checked_labels("labels", labels, num_classes=None, length=length)
    except (TypeError, ValueError) as error:
        other = "; measure_multi_label takes rows of several labels a sample, measure_regression takes targets"
        shape = getattr(labels, "shape", ())
        raise type(error)(f"{error}{other if len(shape) > 1 or 'float' in str(error) else ''}") from None


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
