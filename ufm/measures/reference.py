"""What to read a measure against: its value under full collapse and at the optimum that the theory predicts."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from ufm._validation import integer
from ufm.geometry import simplex_etf
from ufm.measures._input import Array
from ufm.measures.accumulators import FeatureStatistics
from ufm.measures.between_class import number_that_count
from ufm.measures.nearest_mean import LinearDecisions, NearestMean
from ufm.measures.summary import Measures
from ufm.measures.targets import (
    SPAN,
    MultiLabelMeasures,
    RegressionMeasures,
    measure_multi_label,
    measure_regression,
)
from ufm.solution import Solution

__all__ = ["etf_error_floor", "reference_values"]

#: Most samples that an optimum's columns are repeated to.
LARGEST_REPEAT = 10**6


def etf_error_floor(num_classes: int, dim: int) -> float:
    """Least :func:`ufm.geometry.etf_error` of K vectors in R^d, ``sqrt(2 - 2 sqrt(d/(K-1)))`` for d < K - 1, else 0.

    A Gram matrix of rank d has, at unit norm, an inner product of at most ``sqrt(d/(K-1))`` with the ETF's: it is the
    norm of the ETF's part on d of its K - 1 equal directions, and a projection onto d of them attains it.

    Args:
        num_classes: K >= 2.
        dim: d >= 1.

    Raises:
        TypeError, ValueError: K < 2 or d < 1.

    >>> etf_error_floor(10, 9), round(etf_error_floor(10, 2), 6)
    (0.0, 1.028198)
    """
    k = integer("num_classes", num_classes, minimum=2)
    d = integer("dim", dim, minimum=1)
    return math.sqrt(2 - 2 * math.sqrt(d / (k - 1))) if d < k - 1 else 0.0


def reference_values(
    measures: Measures | RegressionMeasures | MultiLabelMeasures, optimum: Solution | None = None
) -> dict[str, dict[str, Any]]:
    """Return for every number of ``measures`` what it would be, beside what it is.

    Args:
        measures: of a network: of :func:`measure`, :func:`measure_regression` or :func:`measure_multi_label`.
        optimum: the solution of the problem that the network was trained on, :func:`ufm.solve`.

    Returns:
        By name of the measure, a dictionary with ``"measured"``; its value under full collapse, below;
        ``"optimum"``, its value at ``optimum``, None without one; and ``"floor"``, the least that d dimensions allow,
        of the measures that have one, else None.

        Of classes the collapsed value is called ``"etf"``: in the self-dual simplex ETF after within-class collapse.
        The ETF errors have a floor, :func:`etf_error_floor`.

        Of targets it is ``"collapse"``: NRC1 to NRC3 are 0; ``mean_squared_error`` is ``sum_i min(s_i^2, g)`` and
        ``effective_rank`` that of singular values ``sqrt(max(0, s_i - sqrt(g)))``, s_i^2 the eigenvalues of the
        targets' covariance and g the measured ``offset``, itself the decay's to choose: None under collapse. NRC3 is
        at least ``2 - 2 sqrt(q)``, q the part of ``sum_i (s_i - s_m)^2`` in its first d terms, for all offsets, and
        the error at least the sum of the eigenvalues after the first d.

        Of several labels a sample it is ``"collapse"`` too: ``tag_cosine`` is 1, ``trace_quotient`` is 0 and
        ``tag_scales``, a list, holds ``a_m/a_1`` for sets of m labels, where ``a_m (m e^{a_m} + K - m)`` is the same
        for all m and a_1 is the measured ``singles.smallest_margin`` (None where that is none or not positive): the
        optimum of the cross-entropy summed over labels, without a bias and with as many samples for every set of a
        size. Measures of the samples with one label, ``"singles: NAME"``, are those of classes.

    Raises:
        TypeError, ValueError: no measures, not a :class:`ufm.Solution`, or one of other classes, targets or sets.

    >>> from ufm.measures import measure
    >>> etf = simplex_etf(3)
    >>> found = reference_values(measure(np.repeat(etf.T, 2, axis=0), np.repeat([0, 1, 2], 2), classifier=etf.T))
    >>> found["nc4"], round(found["coherence"]["etf"], 12)
    ({'measured': 1.0, 'etf': 1.0, 'optimum': None, 'floor': None}, 0.5)
    >>> found = reference_values(measure_regression(np.eye(3), np.diag([1.0, 2.0, 4.0]), classifier=np.eye(3)))
    >>> found["nrc2"]
    {'measured': 0.0, 'collapse': 0.0, 'optimum': None, 'floor': None}
    """
    if optimum is not None and not isinstance(optimum, Solution):
        raise TypeError(f"optimum must be a ufm.Solution, got {optimum!r}")
    if isinstance(measures, RegressionMeasures):
        return _of_targets(measures, optimum)
    if isinstance(measures, MultiLabelMeasures):
        return _of_sets(measures, optimum)
    if not isinstance(measures, Measures):
        raise TypeError(f"measures must be ufm.measures.Measures, or of targets or several labels, got {measures!r}")
    if optimum is not None and optimum.logits.shape != (measures.num_classes,) * 2:
        raise ValueError(
            f"optimum must have {measures.num_classes} classes, got logits of shape {optimum.logits.shape}"
        )
    if optimum is None:
        return _of_classes(measures, None)
    factors = optimum.factors
    return _of_classes(measures, _collapsed(factors.equilibrium_features, factors.classifier, measures, optimum.bias))


def _of_classes(measures: Measures, at_optimum: Measures | None) -> dict[str, dict[str, Any]]:
    k = measures.num_classes
    etf = _collapsed(simplex_etf(k), simplex_etf(k).T, measures)
    floors = {"etf_error": etf_error_floor(k, measures.dim), "classifier_etf_error": etf_error_floor(k, measures.dim)}
    return {
        name: {
            "measured": getattr(measures, name),
            "etf": getattr(etf, name),
            "optimum": None if at_optimum is None else getattr(at_optimum, name),
            "floor": floors.get(name),
        }
        for name in _numbers()
    }


def _of_targets(measures: RegressionMeasures, optimum: Solution | None) -> dict[str, dict[str, Any]]:
    roots = np.array(measures.target_roots)
    collapse = {"nrc1": 0.0, "nrc2": 0.0, "nrc3": 0.0, "effective_rank": _collapsed_rank(roots, measures.offset)}
    if measures.offset is not None:
        collapse["mean_squared_error"] = float(np.minimum(roots**2, measures.offset).sum())
    floors = {"nrc3": _nrc3_floor(roots, measures.dim), "mean_squared_error": float((roots[measures.dim :] ** 2).sum())}
    at_optimum = None if optimum is None else _regression_at(optimum, measures)
    names = ("nrc1", "nrc2", "nrc3", "offset", "effective_rank", "mean_squared_error")
    return _rows(names, measures, collapse, at_optimum, floors)


def _rows(
    names: tuple[str, ...], measures: Any, collapse: dict[str, Any], at_optimum: Any, floors: dict[str, float]
) -> dict[str, dict[str, Any]]:
    return {
        name: {
            "measured": getattr(measures, name),
            "collapse": collapse.get(name),
            "optimum": None if at_optimum is None else getattr(at_optimum, name),
            "floor": floors.get(name),
        }
        for name in names
    }


def _collapsed_rank(roots: Array, offset: float | None) -> float | None:
    """Effective rank of features with the theory's singular values; equal ones need no offset."""
    if not roots[0] > 0 or (offset is None and roots[0] - roots[-1] > SPAN * roots[0]):
        return None
    left = np.maximum(roots - math.sqrt(offset or 0.0), 0.0)
    return number_that_count(np.sqrt(left))


def _nrc3_floor(roots: Array, dim: int) -> float:
    """Least NRC3 of Gram matrices of rank d: the largest offset leaves the most in the first d directions."""
    squares = (roots - roots[-1]) ** 2
    total = float(squares.sum())
    return max(0.0, 2 - 2 * math.sqrt(float(squares[:dim].sum()) / total)) if total > 0 else 0.0


def _regression_at(optimum: Solution, measures: RegressionMeasures) -> RegressionMeasures:
    labels = optimum.problem.prior
    if labels.num_classes != measures.num_targets:
        raise ValueError(f"optimum must have {measures.num_targets} targets, got {labels.num_classes}")
    times = labels.counts / labels.counts.min()
    if np.abs(times - times.round()).max() > SPAN or times.sum() > LARGEST_REPEAT:
        raise ValueError(
            "optimum must have counts that are multiples of the least, got " + repr(labels.counts.tolist())
        )
    factors, repeats = optimum.factors, times.round().astype(int)
    features, targets = (np.repeat(a.T, repeats, axis=0) for a in (factors.equilibrium_features, labels.targets))
    return measure_regression(features, targets, classifier=factors.classifier, bias=optimum.bias)


def _of_sets(measures: MultiLabelMeasures, optimum: Solution | None) -> dict[str, dict[str, Any]]:
    at_optimum, singles = (None, None) if optimum is None else _sets_at(optimum, measures)
    sizes = [len(labels) for labels in measures.label_sets if len(labels) > 1]
    scales = [_tag_scale(measures.singles, size) for size in sizes]
    collapse = {"trace_quotient": 0.0, "tag_cosine": 1.0 if sizes else None, "tag_scales": scales}
    found = _rows(("trace_quotient", "tag_cosine", "tag_scales"), measures, collapse, at_optimum, {})
    for column in ("measured", "optimum"):
        if found["tag_scales"][column] is not None:
            found["tag_scales"][column] = list(found["tag_scales"][column])
    inner = _of_classes(measures.singles, singles)
    return found | {
        f"singles: {name}": {"collapse" if column == "etf" else column: value for column, value in row.items()}
        for name, row in inner.items()
    }


def _tag_scale(singles: Measures, size: int) -> float | None:
    """``a_m/a_1`` at the optimum whose margin of single labels is the measured one."""
    from scipy.optimize import brentq

    first, k = singles.smallest_margin, singles.num_classes
    if first is None or not first > 0 or size == k:  # the sum of all labels' means, centred, is zero
        return None
    level = math.log(first) + _log_balance(k, 1, first)
    return float(brentq(lambda t: math.log(t * first) + _log_balance(k, size, t * first) - level, 1e-12, 1.0))


def _log_balance(num_classes: int, size: int, margin: float) -> float:
    """``log(m e^a + K - m)``, without overflow."""
    return margin + math.log(size + (num_classes - size) * math.exp(-margin))


def _sets_at(optimum: Solution, measures: MultiLabelMeasures) -> tuple[MultiLabelMeasures, Measures]:
    """Measures of an optimum of the same sets of labels, and those of its single labels in the measured groups."""
    marks, factors = optimum.problem.prior.targets > 0, optimum.factors
    there = {tuple(np.flatnonzero(column).tolist()) for column in marks.T}
    if there != set(measures.label_sets):
        raise ValueError(f"optimum must have the sets of labels {measures.label_sets}, got {sorted(there)}")
    features = factors.equilibrium_features
    found = measure_multi_label(features.T, marks.T, classifier=factors.classifier, bias=optimum.bias)
    alone = [int(np.flatnonzero((marks.sum(axis=0) == 1) & row)[0]) for row in marks]
    return found, _collapsed(features[:, alone], factors.classifier, measures.singles, optimum.bias)


def _numbers() -> list[str]:
    """Names of the measures that are one number each."""
    skipped = {"num_samples", "num_classes", "dim", "counts", "groups", "group_scales", "phase", "nc4_by_class"}
    return [f.name for f in dataclasses.fields(Measures) if f.name not in skipped]


def _collapsed(means: Array, classifier: Array, like: Measures, bias: Array | None = None) -> Measures:
    """Measures of what the classifier reads where it has collapsed onto ``means`` (d, K), in the groups of ``like``."""
    k = like.num_classes
    statistics = FeatureStatistics(k).update(means.T, np.arange(k))
    minority = len(like.groups[-1]) if len(like.groups) == 2 else None
    found = Measures.of(statistics, classifier=classifier, bias=bias, num_minority=minority)
    decided = NearestMean(means).agreements(means.T, LinearDecisions(classifier, np.zeros(k) if bias is None else bias))
    return dataclasses.replace(found, nc4=float(decided.mean()))
