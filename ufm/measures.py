"""Neural-collapse measures of any trained network: its last-layer features, their labels and its linear classifier.

:func:`measure` does it all for arrays, torch tensors or an iterable of batches. Beneath it lie one pure function a
published measure, and :class:`FeatureStatistics`, which gathers in one pass over the batches what those functions need.

Notation: features h_{k,i} in R^d, i = 1..n_k, of class k = 0..K-1, N = sum_k n_k; class means m_k, and M (d, K) with
columns m_k less their unweighted mean ``(1/K) sum_k m_k``; classifier W (K, d) and bias b (K,);
``S_W = (1/N) sum_k sum_i (h_ki - m_k)(h_ki - m_k)^T`` and ``S_B = (1/K) M M^T``.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ufm._validation import fraction, integer
from ufm.geometry import (
    centred,
    collapse,
    cosine_matrix,
    etf_error,
    group_scales,
    mean_pairwise_cosine,
    self_duality_error,
)
from ufm.labels import ClassPrior

if TYPE_CHECKING:
    from rich.table import Table

__all__ = [
    "FeatureStatistics",
    "Measures",
    "cdnv",
    "equiangle_cv",
    "equiangle_std",
    "equinorm_cv",
    "measure",
    "nc1",
    "nearest_mean_agreement",
    "trace_quotient",
]

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: Singular values of M below this fraction of the largest count as zero in pinv(S_B).
PINV_TOLERANCE = 1e-7

#: Class means closer than this fraction of the longest coincide: the rest is round-off of the averages.
COINCIDENT = 1e-13

#: Features and classifiers must stay below this, so that no logit squared overflows.
LARGEST = 1e70
LARGEST_SQUARE = 1e150

#: Rows that are converted to float64 and centred at a time.
CHUNK = 4096


# One function a measure ---------------------------------------------------------------------------------------------


def nc1(within_covariance: Any, means: Any) -> float | None:
    """Within-class variability ``tr(S_W pinv(S_B)) / K``: 0 iff features have no spread along the class means.

    With the compact singular value decomposition ``M = U s V^T`` it equals ``tr(s^{-1} U^T S_W U s^{-1})``. Singular
    values below 1e-7 of the largest count as zero.

    Args:
        within_covariance: S_W, shape (d, d).
        means: class means, shape (d, K); their unweighted mean is removed here.

    Returns:
        A number >= 0; None where all class means coincide, for then S_B = 0 and there is nothing to compare with.

    Raises:
        TypeError, ValueError: arrays that are not real, finite and of these shapes.

    Source: Papyan, Han, Donoho 2020 (NC1).
    """
    s_w, m = _covariance_and_means(within_covariance, means)
    m = centred(m)
    top = float(np.abs(m).max())
    if top == 0:
        return None
    u, s, _ = np.linalg.svd(m / top, full_matrices=False)
    keep = s > PINV_TOLERANCE * s[0]
    scaled = u[:, keep] / s[keep]
    return max(0.0, float((scaled * ((s_w / top / top) @ scaled)).sum()))


def trace_quotient(within_covariance: Any, means: Any) -> float | None:
    """``tr S_W / tr S_B``, the cheap variant of NC1.

    Args:
        within_covariance: S_W, shape (d, d).
        means: class means, shape (d, K); their unweighted mean is removed here.

    Returns:
        A number >= 0; None where all class means coincide (S_B = 0).

    Raises:
        TypeError, ValueError: arrays that are not real, finite and of these shapes.

    Source: the quotient of Hui, Belkin, Nakkiran 2022.
    """
    s_w, m = _covariance_and_means(within_covariance, means)
    m = centred(m)
    top = float(np.abs(m).max())
    if top == 0:
        return None
    return float(np.trace(s_w) / top / top) / (float(((m / top) ** 2).sum()) / m.shape[1])


def cdnv(class_variances: Any, means: Any) -> float | None:
    """Class-distance normalised variance: mean over pairs j < k of ``(v_j + v_k) / (2 |m_j - m_k|^2)``.

    Args:
        class_variances: ``v_k = (1/n_k) sum_i |h_ki - m_k|^2``, shape (K,).
        means: class means, shape (d, K).

    Returns:
        A number >= 0; None where two class means coincide (to 1e-13 of the longest), as under minority collapse.

    Raises:
        TypeError, ValueError: arrays that are not real, finite and of these shapes, or a negative variance.

    Source: Galanti, Gyorgy, Hutter 2022.
    """
    m = _real("means", means, ndim=2)
    v = _real("class_variances", class_variances, ndim=1, largest=LARGEST_SQUARE)
    k = m.shape[1]
    if k < 2:
        raise ValueError(f"means must have at least 2 columns, got {k}")
    if v.shape != (k,):
        raise ValueError(f"class_variances must have shape (K,) = {(k,)}, got {v.shape}")
    if (v < 0).any():
        raise ValueError(f"class_variances must be >= 0, got {float(v.min())!r}")
    top = float(np.abs(m).max())
    if top == 0:
        return None
    m, v = m / top, v / top / top
    coincident = (COINCIDENT * float(np.linalg.norm(m, axis=0).max())) ** 2
    total = 0.0
    for j in range(k - 1):
        # Differences rather than |m_j|^2 + |m_k|^2 - 2 <m_j, m_k>: near pairs weigh most and must not cancel.
        distances = ((m[:, j + 1 :] - m[:, j : j + 1]) ** 2).sum(axis=0)
        if distances.min() <= coincident:
            return None
        total += float(((v[j] + v[j + 1 :]) / (2 * distances)).sum())
    return total / (k * (k - 1) / 2)


def equinorm_cv(vectors: Any) -> float | None:
    """Coefficient of variation of the lengths of K vectors, ``std_k |x_k| / mean_k |x_k|`` (NC2): 0 iff all are equal.

    Args:
        vectors: shape (d, K): centred class means M, or W^T.

    Returns:
        A number >= 0; None where all vectors are zero.

    Raises:
        TypeError, ValueError: not a real finite matrix.

    Source: Papyan, Han, Donoho 2020.
    """
    x = _real("vectors", vectors, ndim=2)
    top = float(np.abs(x).max())
    if top == 0:
        return None
    norms = np.linalg.norm(x / top, axis=0)
    return float(norms.std() / norms.mean())


def equiangle_std(vectors: Any) -> float | None:
    """Standard deviation over pairs j < k of the cosine of x_j and x_k (NC2): 0 iff all angles are equal.

    A zero vector has cosine 0 with the others, and two zero vectors have cosine 1.

    Args:
        vectors: shape (d, K), K >= 2: centred class means M, or W^T.

    Returns:
        A number in [0, 1]; None where all vectors are zero.

    Raises:
        TypeError, ValueError: not a real finite matrix with at least two columns.

    Source: Papyan, Han, Donoho 2020 (equiangularity).
    """
    cosines = _pair_cosines(vectors)
    return None if cosines is None else float(cosines.std())


def equiangle_cv(vectors: Any) -> float | None:
    """Coefficient of variation over pairs of the cosines, ``std / |mean|``; their mean is ``-1/(K-1)`` in an ETF.

    Args:
        vectors: shape (d, K), K >= 2: centred class means M, or W^T.

    Returns:
        A number >= 0; None where the mean cosine is zero (to 1e-12), as in an orthogonal frame, or all vectors are.

    Raises:
        TypeError, ValueError: not a real finite matrix with at least two columns.

    Source: Papyan, Han, Donoho 2020, whose equiangularity is the numerator (:func:`equiangle_std`).
    """
    cosines = _pair_cosines(vectors)
    if cosines is None or abs(cosines.mean()) <= 1e-12:
        return None
    return float(cosines.std() / abs(cosines.mean()))


def nearest_mean_agreement(features: Any, means: Any, predictions: Any) -> float:
    """NC4: fraction of the samples whose predicted class has the nearest class mean, ``argmin_k |h - m_k|``.

    Where several means are equally near, each of them counts as the nearest (collapsed classes share one mean); equal
    is what differs in ``|h - m_k|^2`` by less than 1e-12 of the squared size of h and the means.

    Args:
        features: h, shape (n, d).
        means: class means, shape (d, K).
        predictions: the network's classes, integers in 0..K-1, shape (n,).

    Returns:
        A number in [0, 1].

    Raises:
        TypeError, ValueError: arrays that are not of these shapes and kinds, or no samples.

    Source: Papyan, Han, Donoho 2020 (NC4; they report one minus this).
    """
    m = _real("means", means, ndim=2)
    x = _features(features)
    if not len(x):
        raise ValueError("features must hold at least one sample, got none")
    y = _labels("predictions", predictions, num_classes=m.shape[1], length=len(x))
    if x.shape[1] != len(m):
        raise ValueError(f"features must have d = {len(m)} columns to match means, got {x.shape[1]}")
    return _count_agreements(x, m, y) / len(x)


# One pass over the data ---------------------------------------------------------------------------------------------


class FeatureStatistics:
    """Counts, class means, within-class covariance and class variances of features that come in batches.

    Every batch is centred about its own class means and merged by Chan, Golub and LeVeque's update, in float64: the
    result is that of the two-pass formula, in any order of the batches. Memory is (d, d) + (K, d), never (K, d, d).

    Args:
        num_classes: K >= 2; labels are 0..K-1.

    Source: Welford 1962; Chan, Golub, LeVeque 1983.
    """

    def __init__(self, num_classes: int) -> None:
        self._num_classes = integer("num_classes", num_classes, minimum=2)
        self._counts = np.zeros(self._num_classes, dtype=np.int64)
        self._class_scatter = np.zeros(self._num_classes)
        self._means: Array = np.zeros((self._num_classes, 0))
        self._scatter: Array = np.zeros((0, 0))

    def update(self, features: Any, labels: Any) -> FeatureStatistics:
        """Add a batch: features (n, d) and integer labels (n,); NumPy arrays or torch tensors. Returns self.

        Raises:
            TypeError, ValueError: features that are not real, finite and (n, d), labels that are not integers in
                0..K-1, of another length, or another d than before. Nothing has been added then.
        """
        x = _features(features)
        y = _labels("labels", labels, num_classes=self._num_classes, length=len(x))
        self._check_dim("features", x.shape[1])
        if not len(x):
            return self
        self._allocate(x.shape[1])
        for rows in _chunks(len(x)):
            self._absorb(*self._two_pass(x[rows].astype(np.float64), y[rows]))
        return self

    def merge(self, other: FeatureStatistics) -> FeatureStatistics:
        """The statistics of both data sets together, as a new object.

        Raises:
            TypeError, ValueError: not FeatureStatistics, or of another K or d.
        """
        if not isinstance(other, FeatureStatistics):
            raise TypeError(f"other must be FeatureStatistics, got {other!r}")
        if other._num_classes != self._num_classes:
            raise ValueError(f"other must have {self._num_classes} classes, got {other._num_classes}")
        merged = FeatureStatistics(self._num_classes)
        for part in (self, other):
            if part.num_samples:
                merged._check_dim("other", part.dim)
                merged._allocate(part.dim)
                merged._absorb(part._counts, part._means, part._class_scatter, part._scatter)
        return merged

    @property
    def num_classes(self) -> int:
        """K."""
        return self._num_classes

    @property
    def dim(self) -> int:
        """d; 0 before the first sample."""
        return self._means.shape[1]

    @property
    def counts(self) -> IntArray:
        """Samples n_k seen of every class, shape (K,)."""
        return self._counts.copy()

    @property
    def num_samples(self) -> int:
        """N."""
        return int(self._counts.sum())

    @property
    def means(self) -> Array:
        """Class means m_k, shape (d, K). Raises ValueError while a class has no samples."""
        self._check_complete()
        return self._means.T.copy()

    @property
    def within_covariance(self) -> Array:
        """``S_W = (1/N) sum_k sum_i (h_ki - m_k)(h_ki - m_k)^T``, shape (d, d).

        Raises ValueError while a class has no samples.
        """
        self._check_complete()
        return self._scatter / self.num_samples

    @property
    def class_variances(self) -> Array:
        """``v_k = (1/n_k) sum_i |h_ki - m_k|^2``, shape (K,). Raises ValueError while a class has no samples."""
        self._check_complete()
        return self._class_scatter / self._counts

    def _two_pass(self, x: Array, y: IntArray) -> tuple[IntArray, Array, Array, Array]:
        """Counts (K,), means (K, d), class scatters (K,) and pooled scatter (d, d) of one chunk."""
        order = np.argsort(y, kind="stable")
        x = x[order]
        counts = np.bincount(y, minlength=self._num_classes)
        stops = np.cumsum(counts)
        means = np.zeros((self._num_classes, x.shape[1]))
        class_scatter = np.zeros(self._num_classes)
        for c in np.flatnonzero(counts):
            block = x[stops[c] - counts[c] : stops[c]]
            # The second round removes the rounding error of the first, so that a large common offset does no harm.
            for _ in range(2):
                shift = np.ones(len(block)) @ block / len(block)
                means[c] += shift
                block -= shift
            class_scatter[c] = np.vdot(block, block)
        return counts, means, class_scatter, x.T @ x

    def _absorb(self, counts: IntArray, means: Array, class_scatter: Array, scatter: Array) -> None:
        total = self._counts + counts
        share = counts / np.maximum(total, 1)
        delta = means - self._means
        weighted = delta * np.sqrt(self._counts * share)[:, None]
        self._scatter += scatter + weighted.T @ weighted
        self._class_scatter += class_scatter + (weighted**2).sum(axis=1)
        self._means += share[:, None] * delta
        self._counts = total

    def _allocate(self, dim: int) -> None:
        if self.dim == 0:
            self._means = np.zeros((self._num_classes, dim))
            self._scatter = np.zeros((dim, dim))

    def _check_dim(self, name: str, dim: int) -> None:
        if self.dim not in (0, dim):
            raise ValueError(f"{name} must have d = {self.dim} as before, got {dim}")

    def _check_complete(self) -> None:
        missing = np.flatnonzero(self._counts == 0)
        if len(missing):
            shown = ", ".join(map(str, missing[:10])) + (", ..." if len(missing) > 10 else "")
            raise ValueError(f"labels must hold every class 0..{self._num_classes - 1}, got no sample of {shown}")


# Everything together ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Measures:
    """Neural-collapse measures of a data set; see :func:`measure`. Every number is finite or None.

    Attributes:
        num_samples: N.
        num_classes: K.
        dim: d.
        counts: n_k of every class.
        groups: classes that are taken as interchangeable, most frequent group first; the last is the minority.
        nc1: ``tr(S_W pinv(S_B))/K``, see :func:`nc1`.
        trace_quotient: ``tr S_W / tr S_B``, see :func:`trace_quotient`.
        cdnv: class-distance normalised variance, see :func:`cdnv`.
        etf_error: NC2, ``|G/|G|_F - (I - 11^T/K)/sqrt(K-1)|_F`` with ``G = M^T M``; 1.0 where M = 0.
        equinorm_cv: NC2, of the columns of M, see :func:`equinorm_cv`.
        equiangle_cv: NC2, of the columns of M, see :func:`equiangle_cv`.
        equiangle_std: NC2, of the columns of M, see :func:`equiangle_std`.
        minority_feature_cosine: mean pairwise cosine of the minority's columns of M; None for one class.
        majority_feature_cosine: the same of the most frequent group.
        classifier_etf_error: NC2 with ``G = W W^T``, W not centred; like all that follows None without a classifier.
        classifier_equinorm_cv: of the rows of W.
        classifier_equiangle_cv: of the rows of W.
        classifier_equiangle_std: of the rows of W.
        self_duality_error: NC3, ``|W/|W|_F - M^T/|M|_F|_F``; 1.0 where one of them is 0, 0.0 where both are.
        nc4: NC4, see :func:`nearest_mean_agreement`; None without predictions.
        minority_cosine: mean pairwise cosine of the minority's rows of W, 1 under collapse; None for one class.
        majority_cosine: the same of the most frequent group.
        group_scales: s_b of every group on the class-mean logits ``Z = W [m_1 .. m_K]``, None for one class. A bias
            adds the same to every column: it would change neither s_b nor which classes coincide.
        phase: ``"none"``, ``"partial"`` or ``"total"``, of the same Z; see :class:`ufm.geometry.Geometry`.
    """

    num_samples: int
    num_classes: int
    dim: int
    counts: tuple[int, ...]
    groups: tuple[tuple[int, ...], ...]
    nc1: float | None
    trace_quotient: float | None
    cdnv: float | None
    etf_error: float
    equinorm_cv: float | None
    equiangle_cv: float | None
    equiangle_std: float | None
    minority_feature_cosine: float | None
    majority_feature_cosine: float | None
    classifier_etf_error: float | None = None
    classifier_equinorm_cv: float | None = None
    classifier_equiangle_cv: float | None = None
    classifier_equiangle_std: float | None = None
    self_duality_error: float | None = None
    nc4: float | None = None
    minority_cosine: float | None = None
    majority_cosine: float | None = None
    group_scales: tuple[float | None, ...] | None = None
    phase: str | None = None

    @classmethod
    def of(
        cls,
        statistics: FeatureStatistics,
        *,
        classifier: Any = None,
        bias: Any = None,
        prior: ClassPrior | None = None,
        num_minority: int | None = None,
        nc4: float | None = None,
        tolerance: float = 1e-3,
    ) -> Measures:
        """All measures that class means and covariances give; arguments as in :func:`measure`.

        Args:
            statistics: of all samples.
            classifier: W, shape (K, d).
            bias: b, shape (K,); checked, but no measure here depends on it.
            prior: class prior whose groups to use.
            num_minority: size of the minority instead.
            nc4: :func:`nearest_mean_agreement`, which needs a second pass over the samples.
            tolerance: fraction of the largest singular value up to which logits count as collapsed.

        Raises:
            TypeError, ValueError: a class without samples, or an argument that does not fit.
        """
        if not isinstance(statistics, FeatureStatistics):
            raise TypeError(f"statistics must be FeatureStatistics, got {statistics!r}")
        tolerance = fraction("tolerance", tolerance)
        means, within = statistics.means, statistics.within_covariance
        groups = _groups(statistics, prior, num_minority)
        m = centred(means)
        minority, majority = _extreme_cosines(m, groups)
        measures = cls(
            num_samples=statistics.num_samples,
            num_classes=statistics.num_classes,
            dim=statistics.dim,
            counts=tuple(statistics.counts.tolist()),
            groups=groups,
            nc1=nc1(within, means),
            trace_quotient=trace_quotient(within, means),
            cdnv=cdnv(statistics.class_variances, means),
            etf_error=etf_error(m),
            equinorm_cv=equinorm_cv(m),
            equiangle_cv=equiangle_cv(m),
            equiangle_std=equiangle_std(m),
            minority_feature_cosine=minority,
            majority_feature_cosine=majority,
            nc4=nc4,
        )
        w, _ = _classifier(classifier, bias, statistics.num_classes, statistics.dim)
        if w is None:
            return measures
        minority, majority = _extreme_cosines(w.T, groups)
        logits = w @ means
        logits -= logits.mean(axis=0)
        return dataclasses.replace(
            measures,
            classifier_etf_error=etf_error(w.T, centre=False),
            classifier_equinorm_cv=equinorm_cv(w.T),
            classifier_equiangle_cv=equiangle_cv(w.T),
            classifier_equiangle_std=equiangle_std(w.T),
            self_duality_error=self_duality_error(w, m),
            minority_cosine=minority,
            majority_cosine=majority,
            group_scales=group_scales(logits, groups),
            phase=collapse(logits, groups, tolerance * float(np.linalg.norm(logits, 2)))[1],
        )

    def to_dict(self) -> dict[str, Any]:
        """All fields as JSON types (tuples as lists)."""
        return {f.name: _listed(getattr(self, f.name)) for f in dataclasses.fields(self)}

    def __str__(self) -> str:
        rows = self._rows()
        width = max(len(label) for label, _ in rows)
        return "\n".join([self._title(), *(f"  {label:<{width}}  {value}" for label, value in rows)])

    def __rich__(self) -> Table:
        from rich.table import Table

        table = Table("measure", "value", title=self._title())
        for label, value in self._rows():
            table.add_row(label, value)
        return table

    def _title(self) -> str:
        return f"Neural collapse of {self.num_samples} samples, {self.num_classes} classes, {self.dim} features"

    def _rows(self) -> list[tuple[str, str]]:
        rows = [
            ("NC1  tr(S_W pinv(S_B))/K", self.nc1),
            ("NC1  tr S_W / tr S_B", self.trace_quotient),
            ("NC1  CDNV", self.cdnv),
            ("NC2  ETF error, class means", self.etf_error),
            ("NC2  equinorm CV, class means", self.equinorm_cv),
            ("NC2  equiangle CV, class means", self.equiangle_cv),
            ("NC2  equiangle std, class means", self.equiangle_std),
            ("NC2  ETF error, classifier", self.classifier_etf_error),
            ("NC2  equinorm CV, classifier", self.classifier_equinorm_cv),
            ("NC2  equiangle CV, classifier", self.classifier_equiangle_cv),
            ("NC2  equiangle std, classifier", self.classifier_equiangle_std),
            ("NC3  self-duality error", self.self_duality_error),
            ("NC4  agreement with nearest mean", self.nc4),
            ("minority cosine, classifier", self.minority_cosine),
            ("minority cosine, class means", self.minority_feature_cosine),
            ("majority cosine, classifier", self.majority_cosine),
            ("majority cosine, class means", self.majority_feature_cosine),
        ]
        scales = [] if self.group_scales is None else list(zip(self.groups, self.group_scales, strict=True))
        shown = [(f"s_b  of {len(members)} classes, {_span(members)}", s) for members, s in scales if s is not None]
        values = [(label, "-" if value is None else f"{value:.6g}") for label, value in [*rows, *shown]]
        return [*values, ("phase", self.phase or "-")]


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
        >>> m.nc1, m.nc4, m.phase
        (0.0, 1.0, 'none')
    """
    if labels is not None:
        x = _features(features)
        batches: Iterable[Any] = [(x, _labels("labels", labels, num_classes=None, length=len(x)))]
    elif isinstance(features, str | bytes) or not isinstance(features, Iterable) or hasattr(features, "shape"):
        raise TypeError("labels must be given, unless features is an iterable of (features, labels) batches")
    elif predictions is not None:
        raise ValueError("predictions must be left out when features is an iterable of batches")
    else:
        batches = features
    k = _num_classes(num_classes, prior, classifier, batches if labels is not None else None)
    statistics = FeatureStatistics(k)
    for batch_features, batch_labels in _pairs(batches):
        statistics.update(batch_features, batch_labels)
    statistics._check_complete()
    w, b = _classifier(classifier, bias, k, statistics.dim)
    agreement = None
    if predictions is not None:
        agreement = nearest_mean_agreement(batches[0][0], statistics.means, predictions)  # type: ignore[index]
    elif w is not None and iter(batches) is not batches:
        means = statistics.means
        agreements = 0
        for batch_features, _ in _pairs(batches):
            x = _features(batch_features)
            agreements += _count_agreements(x, means, (w, b))
        agreement = agreements / statistics.num_samples
    return Measures.of(
        statistics,
        classifier=classifier,
        bias=bias,
        prior=prior,
        num_minority=num_minority,
        nc4=agreement,
        tolerance=tolerance,
    )


# Input --------------------------------------------------------------------------------------------------------------


def _array(value: Any) -> NDArray[Any]:
    """A NumPy array of an array or a torch tensor, without importing torch."""
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        # NumPy has no bfloat16.
        value = (value.float() if "float16" in str(value.dtype) else value).numpy()
    return np.asarray(value)


def _real(name: str, value: Any, *, ndim: int, largest: float = LARGEST) -> Array:
    """``value`` as a finite float64 array of ``ndim`` dimensions without an empty axis."""
    array = _array(value)
    _check_real(name, array)
    if array.ndim != ndim or 0 in array.shape:
        raise ValueError(f"{name} must be an array of {ndim} dimension(s) and not empty, got shape {array.shape}")
    array = array.astype(np.float64, copy=False)
    _check_size(name, array, largest)
    return array


def _features(value: Any) -> NDArray[Any]:
    """(n, d) finite features, still of their own type: conversion to float64 goes by chunks."""
    array = _array(value)
    _check_real("features", array)
    if array.ndim != 2 or array.shape[1] == 0:
        raise ValueError(f"features must have shape (n, d), one row a sample, got {array.shape}")
    for rows in _chunks(len(array)):
        _check_size("features", array[rows])
    return array


def _labels(name: str, value: Any, *, num_classes: int | None, length: int) -> IntArray:
    array = _array(value)
    if not np.issubdtype(array.dtype, np.integer):
        raise TypeError(f"{name} must be integers, got dtype {array.dtype}")
    if array.ndim != 1:
        raise ValueError(f"{name} must have shape (n,), got {array.shape}")
    if len(array) != length:
        raise ValueError(f"{name} must have as many entries as features has rows, {length}, got {len(array)}")
    if len(array) and (array.min() < 0 or (num_classes is not None and array.max() >= num_classes)):
        allowed = ">= 0" if num_classes is None else f"between 0 and {num_classes - 1}"
        raise ValueError(f"{name} must be {allowed}, got values from {array.min()} to {array.max()}")
    return array.astype(np.int64, copy=False)


def _check_real(name: str, array: NDArray[Any]) -> None:
    if not (np.issubdtype(array.dtype, np.floating) or np.issubdtype(array.dtype, np.integer)):
        raise TypeError(f"{name} must be real numbers, got dtype {array.dtype}")


def _check_size(name: str, array: NDArray[Any], largest: float = LARGEST) -> None:
    if not array.size:
        return
    low, high = float(array.min()), float(array.max())
    # NaN fails both comparisons.
    if not (low >= -largest and high <= largest):
        raise ValueError(f"{name} must be finite and at most {largest:g} in size, got {low} to {high}")


def _covariance_and_means(within_covariance: Any, means: Any) -> tuple[Array, Array]:
    s_w, m = (
        _real("within_covariance", within_covariance, ndim=2, largest=LARGEST_SQUARE),
        _real("means", means, ndim=2),
    )
    if s_w.shape != (len(m), len(m)):
        raise ValueError(f"within_covariance must have shape (d, d) = {(len(m), len(m))}, got {s_w.shape}")
    return s_w, m


def _classifier(classifier: Any, bias: Any, k: int, d: int) -> tuple[Array | None, Array]:
    """W (K, d) or None, and b (K,), zero where there is none."""
    if classifier is None:
        if bias is not None:
            raise ValueError("bias must come with a classifier, got none")
        return None, np.zeros(k)
    w = _real("classifier", classifier, ndim=2)
    if w.shape != (k, d):
        raise ValueError(f"classifier must have shape (K, d) = {(k, d)}, got {w.shape}")
    b = np.zeros(k) if bias is None else _real("bias", bias, ndim=1)
    if b.shape != (k,):
        raise ValueError(f"bias must have shape (K,) = {(k,)}, got {b.shape}")
    return w, b


def _num_classes(num_classes: Any, prior: Any, classifier: Any, batches: Any) -> int:
    """K from whichever argument says it; they must agree."""
    said: dict[str, int] = {}
    if num_classes is not None:
        said["num_classes"] = integer("num_classes", num_classes, minimum=2)
    if prior is not None:
        said["prior"] = _check_prior(prior).num_classes
    if classifier is not None:
        said["classifier"] = len(_real("classifier", classifier, ndim=2))
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


def _check_prior(prior: Any) -> ClassPrior:
    if not isinstance(prior, ClassPrior):
        raise TypeError(f"prior must be a ufm.ClassPrior, got {prior!r}")
    return prior


def _groups(statistics: FeatureStatistics, prior: Any, num_minority: Any) -> tuple[tuple[int, ...], ...]:
    k = statistics.num_classes
    if num_minority is None:
        prior = ClassPrior(statistics.counts) if prior is None else _check_prior(prior)
        if prior.num_classes != k:
            raise ValueError(f"prior must have {k} classes, got {prior.num_classes}")
        return tuple(group.classes for group in prior.groups)
    if prior is not None:
        raise ValueError("num_minority must be left out where prior says which classes go together")
    size = integer("num_minority", num_minority, minimum=1, maximum=k - 1)
    by_count = sorted(range(k), key=lambda c: -statistics.counts[c])
    return tuple(sorted(by_count[:-size])), tuple(sorted(by_count[-size:]))


def _pairs(batches: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
    for i, batch in enumerate(batches):
        if not isinstance(batch, Sequence) or isinstance(batch, str | bytes) or len(batch) != 2:
            raise TypeError(f"features must give (features, labels) batches, got {type(batch).__name__} as batch {i}")
        yield batch[0], batch[1]


def _chunks(length: int) -> Iterator[slice]:
    for start in range(0, length, CHUNK):
        yield slice(start, start + CHUNK)


# Helpers ------------------------------------------------------------------------------------------------------------


def _count_agreements(x: NDArray[Any], means: Array, predictor: IntArray | tuple[Array, Array]) -> int:
    """How many rows of x have a nearest class mean where the predictor, classes or (W, b), says."""
    offset = means.mean(axis=1)
    m = means - offset[:, None]
    squares = (m**2).sum(axis=0)
    longest = math.sqrt(squares.max())
    agreements = 0
    for rows in _chunks(len(x)):
        chunk = x[rows].astype(np.float64)
        if isinstance(predictor, tuple):
            w, b = predictor
            predicted = (chunk @ w.T + b).argmax(axis=1)
        else:
            predicted = predictor[rows]
        chunk -= offset
        # |h - m_k|^2 less the common |h|^2, and what round-off can make of two equal ones.
        distances = squares - 2 * chunk @ m
        slack = 1e-12 * longest * (longest + np.linalg.norm(chunk, axis=1))
        agreements += int((distances[np.arange(len(chunk)), predicted] <= distances.min(axis=1) + slack).sum())
    return agreements


def _pair_cosines(vectors: Any) -> Array | None:
    x = _real("vectors", vectors, ndim=2)
    if x.shape[1] < 2:
        raise ValueError(f"vectors must have at least 2 columns, got {x.shape[1]}")
    return cosine_matrix(x)[np.triu_indices(x.shape[1], 1)] if x.any() else None


def _extreme_cosines(vectors: Array, groups: tuple[tuple[int, ...], ...]) -> tuple[float | None, float | None]:
    """Mean pairwise cosines of the last group's and of the first group's columns."""
    cosines = cosine_matrix(vectors)
    return mean_pairwise_cosine(cosines, groups[-1]), mean_pairwise_cosine(cosines, groups[0])


def _span(members: tuple[int, ...]) -> str:
    if members == tuple(range(members[0], members[-1] + 1)):
        return f"{members[0]}..{members[-1]}"
    return ", ".join(map(str, members[:6])) + (", ..." if len(members) > 6 else "")


def _listed(value: Any) -> Any:
    return [_listed(item) for item in value] if isinstance(value, tuple) else value
