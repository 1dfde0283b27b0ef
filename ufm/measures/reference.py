"""What to read a measure against: its value in the simplex ETF and at the optimum that the theory predicts."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from ufm._validation import integer
from ufm.geometry import simplex_etf
from ufm.measures._input import Array
from ufm.measures.accumulators import FeatureStatistics
from ufm.measures.nearest_mean import LinearDecisions, NearestMean
from ufm.measures.summary import Measures
from ufm.solution import Solution

__all__ = ["etf_error_floor", "reference_values"]


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


def reference_values(measures: Measures, optimum: Solution | None = None) -> dict[str, dict[str, float | None]]:
    """Return for every number of ``measures`` what it would be, beside what it is.

    Args:
        measures: of a network, see :func:`measure`.
        optimum: the solution of the problem that the network was trained on, :func:`ufm.solve`.

    Returns:
        By name of the measure, a dictionary with ``"measured"``; ``"etf"``, its value in the self-dual simplex ETF
        after within-class collapse; ``"optimum"``, its value at ``optimum``, None without one; and ``"floor"``, the
        least that K vectors in R^d allow, for the ETF errors (:func:`etf_error_floor`), else None.

    Raises:
        TypeError, ValueError: not :class:`Measures`, not a :class:`ufm.Solution`, or one of another K.

    >>> from ufm.measures import measure
    >>> etf = simplex_etf(3)
    >>> found = reference_values(measure(np.repeat(etf.T, 2, axis=0), np.repeat([0, 1, 2], 2), classifier=etf.T))
    >>> found["nc4"], round(found["coherence"]["etf"], 12)
    ({'measured': 1.0, 'etf': 1.0, 'optimum': None, 'floor': None}, 0.5)
    """
    if not isinstance(measures, Measures):
        raise TypeError(f"measures must be ufm.measures.Measures, got {measures!r}")
    k = measures.num_classes
    etf = _collapsed(simplex_etf(k), simplex_etf(k).T, measures)
    at_optimum = None
    if optimum is not None:
        if not isinstance(optimum, Solution):
            raise TypeError(f"optimum must be a ufm.Solution, got {optimum!r}")
        if optimum.logits.shape != (k, k):
            raise ValueError(f"optimum must have {k} classes, got logits of shape {optimum.logits.shape}")
        factors = optimum.factors
        at_optimum = _collapsed(factors.equilibrium_features, factors.classifier, measures, optimum.bias)
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
