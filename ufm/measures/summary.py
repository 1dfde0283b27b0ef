"""All measures of a data set in one object."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ufm._validation import fraction, integer, one_of
from ufm.geometry import centred, collapse, group_scales, mean_pairwise_cosine, self_duality_error
from ufm.geometry.arrangement import Arrangement, gram_etf_error
from ufm.labels import ClassPrior
from ufm.measures._input import Array, check_prior, checked_classifier
from ufm.measures.accumulators import FeatureStatistics
from ufm.measures.between_class import (
    coherence,
    equiangle_cv,
    equiangle_std,
    equinorm_cv,
    mean_cosine_gap,
    number_that_count,
    separation_kernel_cv,
    variation,
)
from ufm.measures.duality import class_margins
from ufm.measures.head import Head
from ufm.measures.span import Span, span_of_means
from ufm.measures.within_class import cdnv_of, nc1_along, trace_quotient_of
from ufm.phases import Phase

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["Measures"]


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
        minority_feature_cosine: mean pairwise cosine of the minority's columns of M; None for one class, and where
            there is one group only, as in balanced data: no class is rarer than another then, and the mean over all
            pairs, which is ``-1/(K-1)`` or more in any centred frame, would be read as a minority's.
        majority_feature_cosine: the same of the most frequent group, which in balanced data is all classes; None for
            one class.
        classifier_etf_error: NC2 with ``G = W W^T``, W not centred; like all that follows None without a classifier.
        classifier_equinorm_cv: of the rows of W.
        classifier_equiangle_cv: of the rows of W.
        classifier_equiangle_std: of the rows of W.
        self_duality_error: NC3, ``|W/|W|_F - M^T/|M|_F|_F``; 1.0 where one of them is 0, 0.0 where both are.
        nc4: NC4, see :func:`nearest_mean_agreement`; None without predictions.
        minority_cosine: mean pairwise cosine of the minority's rows of W, 1 under collapse; None where
            ``minority_feature_cosine`` is.
        majority_cosine: the same of the most frequent group; None for one class.
        group_scales: s_b of every group on the class-mean logits ``Z = W [m_1 .. m_K]``, None for one class. A bias
            adds the same to every column: it would change neither s_b nor which classes coincide.
        phase: ``"none"``, ``"partial"`` or ``"total"``, of the same Z; see :class:`ufm.geometry.Geometry`.
        mean_cosine_gap: NC2, of the columns of M, see :func:`mean_cosine_gap`.
        coherence: NC2, of the columns of M, see :func:`coherence`.
        separation_kernel_cv: generalised NC2 with the logarithmic kernel, see :func:`separation_kernel_cv`.
        effective_rank: of M, see :func:`effective_rank`.
        classifier_mean_cosine_gap: of the rows of W.
        classifier_coherence: of the rows of W.
        duality_cosine: NC3, mean over classes of :func:`duality_cosines`.
        uniform_duality_cv: UNC3, see :func:`uniform_duality_cv`.
        logit_etf_error: Zhu's NC3, see :func:`logit_etf_error`.
        smallest_margin: the least of :func:`class_margins` of ``W [m_1 .. m_K] + b 1^T``: positive iff the classifier
            decides every class mean rightly.
        nc4_by_class: NC4 among the samples of every class; None where ``nc4`` is, and where labels were not at hand.

    >>> classifier = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])  # the two rare classes share a row
    >>> statistics = FeatureStatistics(4).update(classifier[[0, 0, 1, 1, 2, 3]], [0, 0, 1, 1, 2, 3])
    >>> measures = Measures.of(statistics, classifier=classifier)
    >>> measures.groups, round(measures.minority_cosine, 6), str(measures.phase)
    (((0, 1), (2, 3)), 1.0, 'partial')
    >>> measures.to_dict()["counts"]
    [2, 2, 1, 1]
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
    mean_cosine_gap: float | None = None
    coherence: float | None = None
    separation_kernel_cv: float | None = None
    effective_rank: float | None = None
    classifier_mean_cosine_gap: float | None = None
    classifier_coherence: float | None = None
    duality_cosine: float | None = None
    uniform_duality_cv: float | None = None
    logit_etf_error: float | None = None
    smallest_margin: float | None = None
    nc4_by_class: tuple[float, ...] | None = None

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
        nc4_by_class: tuple[float, ...] | None = None,
        tolerance: float = 1e-3,
        centre: str = "classes",
        nc1: float | None = None,
        span: Span | None = None,
        head: Head | None = None,
    ) -> Measures:
        """Compute all measures that class means and covariances give; arguments as in :func:`measure`.

        Args:
            statistics: of all samples.
            classifier: W, shape (K, d).
            bias: b, shape (K,); checked, but no measure here depends on it.
            prior: class prior whose groups to use.
            num_minority: size of the minority instead.
            nc4: :func:`nearest_mean_agreement`, which needs a second pass over the samples.
            nc4_by_class: the same among the samples of every class.
            tolerance: fraction of the largest singular value up to which logits count as collapsed.
            centre: what is taken off class means to centre them, ``"classes"`` or ``"samples"``; see :func:`measure`.
            nc1: for statistics without covariance; see :class:`~ufm.measures.second_pass.SecondPass`.
            span: of the class means, :func:`~ufm.measures.span.span_of_means`, where it is at hand.
            head: the same classifier and bias, where what they have in common with the class means is at hand.

        Raises:
            TypeError, ValueError: a class without samples, or an argument that does not fit.
        """
        if not isinstance(statistics, FeatureStatistics):
            raise TypeError(f"statistics must be FeatureStatistics, got {statistics!r}")
        tolerance = fraction("tolerance", tolerance)
        means = statistics.means
        groups = _groups(statistics, prior, num_minority)
        by_samples = one_of("centre", centre, ("classes", "samples")) == "samples"
        if head is None:
            w, b = checked_classifier(classifier, bias, statistics.num_classes, statistics.dim)
            head = None if w is None else Head(w, b)
        by_classes = span_of_means(means) if span is None else span
        trace = float(statistics.class_variances @ (statistics.counts / statistics.num_samples))
        if statistics.has_covariance:
            nc1 = None if by_classes.arrangement.is_zero else nc1_along(statistics.within_covariance, by_classes)
        weights = statistics.counts.astype(float) if by_samples else None
        m = by_classes.arrangement if weights is None else Arrangement(centred(means, weights))
        minority, majority = _extreme_cosines(m, groups)
        measures = cls(
            num_samples=statistics.num_samples,
            num_classes=statistics.num_classes,
            dim=statistics.dim,
            counts=tuple(statistics.counts.tolist()),
            groups=groups,
            nc1=nc1,
            trace_quotient=trace_quotient_of(trace, by_classes.arrangement),
            cdnv=cdnv_of(statistics.class_variances, means, by_classes.arrangement),
            etf_error=gram_etf_error(by_classes.arrangement.gram),
            equinorm_cv=equinorm_cv(m),
            equiangle_cv=equiangle_cv(m),
            equiangle_std=equiangle_std(m),
            minority_feature_cosine=minority,
            majority_feature_cosine=majority,
            nc4=nc4,
            mean_cosine_gap=mean_cosine_gap(m),
            coherence=coherence(m),
            separation_kernel_cv=separation_kernel_cv(m),
            effective_rank=_effective_rank(by_classes if weights is None else Span(m, weights)),
            nc4_by_class=nc4_by_class,
        )
        if head is None:
            return measures
        return dataclasses.replace(measures, **_of_classifier(head, m, means, groups, tolerance))

    def to_dict(self) -> dict[str, Any]:
        """Return all fields by name as JSON types, tuples as lists."""
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
            ("NC2  mean |cos + 1/(K-1)|, class means", self.mean_cosine_gap),
            ("NC2  coherence, class means", self.coherence),
            ("NC2  log-distance CV, class means", self.separation_kernel_cv),
            ("NC2  effective rank, class means", self.effective_rank),
            ("NC2  ETF error, classifier", self.classifier_etf_error),
            ("NC2  equinorm CV, classifier", self.classifier_equinorm_cv),
            ("NC2  equiangle CV, classifier", self.classifier_equiangle_cv),
            ("NC2  equiangle std, classifier", self.classifier_equiangle_std),
            ("NC2  mean |cos + 1/(K-1)|, classifier", self.classifier_mean_cosine_gap),
            ("NC2  coherence, classifier", self.classifier_coherence),
            ("NC3  self-duality error", self.self_duality_error),
            ("NC3  mean duality cosine", self.duality_cosine),
            ("NC3  duality cosine CV (UNC3)", self.uniform_duality_cv),
            ("NC3  ETF error, class-mean logits", self.logit_etf_error),
            ("smallest margin of a class mean", self.smallest_margin),
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


def _effective_rank(span: Span) -> float | None:
    return None if span.arrangement.is_zero else number_that_count(span.singular_values)


def _of_classifier(
    head: Head, m: Arrangement, means: Array, groups: tuple[tuple[int, ...], ...], tolerance: float
) -> dict[str, Any]:
    """What a classifier adds, by the fields' names; m holds centred class means."""
    rows = head.rows
    minority, majority = _extreme_cosines(rows, groups)
    logits = head.logits(m, (means - m.vectors).mean(axis=1))
    centred_logits = logits - logits.mean(axis=0)
    cosines = np.clip(np.einsum("ij,ij->j", rows.unit, m.unit), -1.0, 1.0)
    return {
        "classifier_etf_error": gram_etf_error(rows.gram),
        "classifier_equinorm_cv": equinorm_cv(rows),
        "classifier_equiangle_cv": equiangle_cv(rows),
        "classifier_equiangle_std": equiangle_std(rows),
        "self_duality_error": self_duality_error(head.weight, m.vectors),
        "minority_cosine": minority,
        "majority_cosine": majority,
        "group_scales": group_scales(centred_logits, groups),
        "phase": _phase(centred_logits, groups, tolerance),
        "classifier_mean_cosine_gap": mean_cosine_gap(rows),
        "classifier_coherence": coherence(rows),
        "duality_cosine": float(cosines.mean()),
        "uniform_duality_cv": variation(cosines),
        "logit_etf_error": gram_etf_error(head.product(m)[0]),
        "smallest_margin": float(class_margins(logits + head.bias[:, None]).min()),
    }


def _phase(logits: Array, groups: tuple[tuple[int, ...], ...], tolerance: float) -> Phase:
    """The phase up to a fraction of the largest singular value, which is computed only where bounds leave it open."""
    size = float(np.linalg.norm(logits))
    below, above = (1 - 1e-9) * size / math.sqrt(len(logits)), (1 + 1e-9) * size
    found = collapse(logits, groups, tolerance * below)[1]
    # A larger tolerance only ever merges more: what both ends of the interval say holds between them.
    if found == collapse(logits, groups, tolerance * above)[1]:
        return found
    return collapse(logits, groups, tolerance * float(np.linalg.norm(logits, 2)))[1]


def _groups(statistics: FeatureStatistics, prior: Any, num_minority: Any) -> tuple[tuple[int, ...], ...]:
    k = statistics.num_classes
    if num_minority is None:
        prior = ClassPrior(statistics.counts) if prior is None else check_prior(prior)
        if prior.num_classes != k:
            raise ValueError(f"prior must have {k} classes, got {prior.num_classes}")
        return tuple(group.classes for group in prior.groups)
    if prior is not None:
        raise ValueError("num_minority must be left out where prior says which classes go together")
    size = integer("num_minority", num_minority, minimum=1, maximum=k - 1)
    by_count = sorted(range(k), key=lambda c: -statistics.counts[c])
    return tuple(sorted(by_count[:-size])), tuple(sorted(by_count[-size:]))


def _extreme_cosines(vectors: Arrangement, groups: tuple[tuple[int, ...], ...]) -> tuple[float | None, float | None]:
    """Mean pairwise cosines of the minority's columns, the last group's, and of the majority's, the first group's."""
    cosines = vectors.cosines()
    minority = mean_pairwise_cosine(cosines, groups[-1]) if len(groups) > 1 else None
    return minority, mean_pairwise_cosine(cosines, groups[0])


def _span(members: tuple[int, ...]) -> str:
    if members == tuple(range(members[0], members[-1] + 1)):
        return f"{members[0]}..{members[-1]}"
    return ", ".join(map(str, members[:6])) + (", ..." if len(members) > 6 else "")


def _listed(value: Any) -> Any:
    return [_listed(item) for item in value] if isinstance(value, tuple) else value
