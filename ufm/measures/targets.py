"""Labels that are no classes: targets of a regression, and several labels a sample."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ufm._validation import array
from ufm.measures._input import LARGEST, Array, IntArray, checked_classifier, checked_features
from ufm.measures.front import measure
from ufm.measures.summary import Measures

__all__ = ["MultiLabelMeasures", "RegressionMeasures", "measure_multi_label", "measure_regression"]

#: Singular values below this fraction of the largest do not span.
SPAN = 1e-7

#: Features whose distance from their mean is below this fraction of the largest are at it: they have no direction.
AT_MEAN = 1e-13


@dataclass(frozen=True)
class RegressionMeasures:
    """Neural regression collapse of a data set; see :func:`measure_regression`. Every number is finite or None.

    Attributes:
        num_samples: N.
        num_targets: m.
        dim: d.
        nrc1: ``(1/N) sum_i |u_i - P u_i|^2``, u_i the features less their mean at length one, P the projection onto
            their m principal components: 0 iff they lie in m dimensions. None where all features are equal.
        nrc2: the same with P onto the span of the rows of W.
        nrc3: ``|W W^T/|.|_F - (S^{1/2} - g^{1/2} I)/|.|_F|_F^2`` at the best g from 0 to the least eigenvalue of S,
            the targets' covariance: 0 at an optimum with weight decay. None where W = 0 or the targets are constant,
            and where S is a multiple of I, of which no root less a multiple need be left.
        offset: the g that nrc3 takes; ``N lambda_W lambda_H`` at an optimum of full rank.
        effective_rank: of the centred features, see :func:`effective_rank`; None where all are equal.
        mean_squared_error: of ``W h + b`` from the targets, ``(1/N) sum_i |W h_i + b - y_i|^2``.
        target_roots: square roots of the eigenvalues of S, descending, shape (m,).

    ``nrc2`` and those after it but the rank and the roots are None without a classifier.
    """

    num_samples: int
    num_targets: int
    dim: int
    nrc1: float | None
    nrc2: float | None
    nrc3: float | None
    offset: float | None
    effective_rank: float | None
    mean_squared_error: float | None
    target_roots: tuple[float, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return all fields by name as JSON types.

        >>> found = measure_regression(np.eye(3), np.array([1.0, 2.0, 3.0])).to_dict()
        >>> found["num_samples"], found["dim"], found["nrc2"], [round(s, 3) for s in found["target_roots"]]
        (3, 3, None, [0.816])
        """
        return dataclasses.asdict(self) | {"target_roots": list(self.target_roots)}


@dataclass(frozen=True)
class MultiLabelMeasures:
    """Neural collapse of samples with several labels; see :func:`measure_multi_label`.

    Attributes:
        label_sets: the sets of labels that occur, each a tuple of classes, those of one label first.
        counts: samples of each.
        singles: :class:`Measures` of the samples with one label, among the K classes.
        trace_quotient: ``tr S_W / tr S_B`` with every set of labels as a class of its own; None where all means
            coincide.
        tag_cosine: mean over the sets of two or more labels of the cosine between the set's mean and the sum of its
            labels' means, both less the mean of the single labels' means: 1 where means are tag-wise averages up to
            scale. None without such sets.
        tag_scales: the length of the former over that of the latter, of each such set in order: equal for sets of
            equal size at an optimum, less the larger they are.
    """

    label_sets: tuple[tuple[int, ...], ...]
    counts: tuple[int, ...]
    singles: Measures
    trace_quotient: float | None
    tag_cosine: float | None
    tag_scales: tuple[float, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return all fields by name as JSON types.

        >>> tags = np.array([[1, 0], [0, 1], [1, 1], [1, 1]])
        >>> found = measure_multi_label(np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [1.0, 1.0]]), tags).to_dict()
        >>> found["label_sets"], found["counts"]
        ([[0], [1], [0, 1]], [1, 1, 2])
        """
        listed = {"label_sets": [list(s) for s in self.label_sets], "counts": list(self.counts)}
        figures = {"trace_quotient": self.trace_quotient, "tag_cosine": self.tag_cosine}
        return listed | {"singles": self.singles.to_dict()} | figures | {"tag_scales": list(self.tag_scales)}


def measure_regression(features: Any, targets: Any, *, classifier: Any = None, bias: Any = None) -> RegressionMeasures:
    """Measure the neural regression collapse of features before a last, linear layer.

    Args:
        features: h, shape (n, d), at least two.
        targets: y, shape (n, m), or (n,) for one.
        classifier: W, shape (m, d); without it only what asks for none is measured.
        bias: b, shape (m,); only with ``classifier``.

    Raises:
        TypeError, ValueError: an argument that is not as described, or values that are not finite.

    Source: Andriopoulos et al. 2024 (NRC1 to NRC3).

    >>> import ufm
    >>> targets = np.array([[1.0, -1.0, 2.0, 0.0], [0.5, 1.0, 1.0, -2.0]])
    >>> targets -= targets.mean(axis=1, keepdims=True)
    >>> s = ufm.solve(ufm.UnconstrainedFeatures(0.02, 0.03), ufm.Labels(targets, [1.0] * 4), "mse")
    >>> found = measure_regression(s.features.T, targets.T, classifier=s.classifier)
    >>> max(found.nrc1, found.nrc2, found.nrc3) < 1e-9, round(found.offset, 6)  # N lambda_W lambda_H
    (True, 0.0024)
    """
    x = checked_features(features).astype(np.float64)
    if len(x) < 2:
        raise ValueError(f"features must hold at least 2 samples, got {len(x)}")
    y = _rows("targets", targets, len(x))
    w, b = checked_classifier(classifier, bias, y.shape[1], x.shape[1], "m")
    deviations = x - x.mean(axis=0)
    _, s, basis = np.linalg.svd(deviations, full_matrices=False)
    covariance = np.cov(y.T, bias=True).reshape(y.shape[1], -1)
    nrc3, offset = (None, None) if w is None else _gram_error(w, covariance)
    inside = None if w is None else _row_space(w)
    return RegressionMeasures(
        num_samples=len(x),
        num_targets=y.shape[1],
        dim=x.shape[1],
        nrc1=_outside(deviations, basis[: y.shape[1]]),
        nrc2=None if inside is None else _outside(deviations, inside),
        nrc3=nrc3,
        offset=offset,
        effective_rank=_count(s),
        mean_squared_error=None if w is None else float(((x @ w.T + b - y) ** 2).sum(axis=1).mean()),
        target_roots=tuple(np.sqrt(np.maximum(np.linalg.eigvalsh(covariance)[::-1], 0.0)).tolist()),
    )


def measure_multi_label(features: Any, labels: Any, *, classifier: Any = None, bias: Any = None) -> MultiLabelMeasures:
    """Measure the neural collapse of features of samples that have several labels.

    Args:
        features: h, shape (n, d).
        labels: shape (n, K), 1 where a sample has a label and 0 where not (integers, booleans or floats); at least one
            label a sample, and every label alone at least once.
        classifier: W, shape (K, d), and
        bias: b, shape (K,), of the single labels' measures.

    Raises:
        TypeError, ValueError: an argument that is not as described, or values that are not finite.

    Source: Li et al. 2024 (multi-label collapse, tag-wise averages).

    >>> import ufm
    >>> labels = ufm.Labels.multi_label(3, [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2)], [9] * 6)
    >>> s = ufm.solve(ufm.UnconstrainedFeatures(0.01, 0.01), labels)
    >>> found = measure_multi_label(s.features.T, labels.targets.T > 0, classifier=s.classifier)
    >>> round(found.tag_cosine, 6), found.singles.etf_error < 1e-6, found.label_sets[3]
    (1.0, True, (0, 1))
    """
    x = checked_features(features)
    marks = _marks(labels, len(x))
    sets, index, counts = np.unique(marks, axis=0, return_inverse=True, return_counts=True)
    order = sorted(range(len(sets)), key=lambda i: (int(sets[i].sum()), *np.flatnonzero(sets[i]).tolist()))
    place = np.argsort(order)[index.reshape(-1)]
    sets, counts = sets[order], counts[order]
    alone = sets.sum(axis=1) == 1
    missing = np.flatnonzero(~sets[alone].any(axis=0))
    if len(missing) or len(sets[0]) < 2:
        shown = ", ".join(map(str, missing.tolist()[:10]))
        raise ValueError(
            f"labels must hold each of 2 or more labels alone at least once, got no sample of {shown} alone"
        )
    rows = marks.sum(axis=1) == 1
    singles = measure(x[rows], marks[rows].argmax(axis=1), classifier=classifier, bias=bias, num_classes=marks.shape[1])
    cosines, scales = _tags(x.astype(np.float64), place, sets)
    return MultiLabelMeasures(
        label_sets=tuple(tuple(np.flatnonzero(one).tolist()) for one in sets),
        counts=tuple(counts.tolist()),
        singles=singles,
        trace_quotient=measure(x, place, num_classes=len(sets)).trace_quotient,
        tag_cosine=float(np.mean(cosines)) if len(cosines) else None,
        tag_scales=tuple(scales.tolist()),
    )


def _tags(x: Array, place: IntArray, sets: IntArray) -> tuple[Array, Array]:
    """Cosines and ratios of lengths of sets' means and sums of their labels' means, those of two or more labels."""
    means = np.zeros((len(sets), x.shape[1]))
    np.add.at(means, place, x)
    means /= np.bincount(place)[:, None]
    alone = sets.sum(axis=1) == 1
    single = np.zeros((sets.shape[1], x.shape[1]))
    single[sets[alone].argmax(axis=1)] = means[alone]
    centre = single.mean(axis=0)
    found, sums = means[~alone] - centre, sets[~alone] @ (single - centre)
    lengths, others = (np.linalg.norm(v, axis=1) for v in (found, sums))
    products = lengths * others
    cosines = np.divide((found * sums).sum(axis=1), products, out=np.zeros_like(products), where=products > 0)
    return np.clip(cosines, -1.0, 1.0), np.divide(lengths, others, out=np.zeros_like(others), where=others > 0)


def _outside(deviations: Array, basis: Array) -> float | None:
    """Mean over the rows of the squared part of a unit vector that is outside of a span; None where all are zero."""
    norms = np.linalg.norm(deviations, axis=1)
    kept = norms > AT_MEAN * norms.max()
    if not norms.max() > 0:
        return None
    units = deviations[kept] / norms[kept][:, None]
    return float(((units - units @ basis.T @ basis) ** 2).sum(axis=1).mean())


def _row_space(w: Array) -> Array:
    """An orthonormal basis of the span of the rows, shape (r, d)."""
    _, s, basis = np.linalg.svd(w, full_matrices=False)
    return np.asarray(basis[s > SPAN * s[0]] if s[0] > 0 else basis[:0])


def _gram_error(w: Array, covariance: Array) -> tuple[float | None, float | None]:
    """NRC3 at its best offset, and that; see :class:`RegressionMeasures`."""
    gram = w @ w.T
    values, vectors = np.linalg.eigh(covariance)
    roots = np.sqrt(np.maximum(values, 0.0))
    if (
        not np.linalg.norm(gram) > 0
        or not roots[-1] > 0
        or (len(roots) > 1 and roots[-1] - roots[0] < SPAN * roots[-1])
    ):
        return None, None
    gram = gram / np.linalg.norm(gram)
    if len(roots) == 1:  # every offset leaves a positive number
        return 0.0, None

    from scipy.optimize import minimize_scalar

    def error(share: float) -> float:
        left = roots - share * roots[0]
        return float(((gram - (vectors * (left / np.linalg.norm(left))) @ vectors.T) ** 2).sum())

    found = minimize_scalar(error, bounds=(0.0, 1.0), method="bounded", options={"xatol": 1e-12})
    share = min((0.0, float(found.x), 1.0), key=error)
    return error(share), (share * float(roots[0])) ** 2


def _count(singular_values: Array) -> float | None:
    p = singular_values[singular_values > 0] / singular_values.sum() if singular_values.any() else None
    return None if p is None else math.exp(-float((p * np.log(p)).sum()))


def _rows(name: str, value: Any, length: int) -> Array:
    found = array(name, value, largest=LARGEST)
    found = found[:, None] if found.ndim == 1 else found
    if found.ndim != 2 or len(found) != length:
        raise ValueError(f"{name} must have shape (n, m) or (n,), with a row a sample, n = {length}, got {found.shape}")
    return found


def _marks(labels: Any, length: int) -> IntArray:
    value = np.asarray(labels) if not hasattr(labels, "detach") else labels.detach().cpu().numpy()
    found = array("labels", value.astype(np.int64) if value.dtype == bool else value, ndim=2, shape="(n, K)")
    if len(found) != length:
        raise ValueError(f"labels must have as many rows as features, {length}, got {len(found)}")
    if not np.isin(found, (0, 1)).all():
        raise ValueError("labels must be 0 or 1: whether a sample has the label")
    if not found.any(axis=1).all():
        row = int(np.flatnonzero(~found.any(axis=1))[0])
        raise ValueError(f"labels must give every sample at least one label, got none for sample {row}")
    return found.astype(np.int64)
