"""Certificates of optima at which the features of a class differ."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Any

from ufm.architectures import LayerPeeled
from ufm.certificates._certificate import Certificate
from ufm.certificates._exact import describe_architecture, describe_prior, rational, text
from ufm.labels import ClassPrior

__all__ = ["certify_uncollapsed"]


def certify_uncollapsed(
    architecture: LayerPeeled, prior: ClassPrior, classifier: Sequence[Any], features: Sequence[Any]
) -> Certificate:
    """Certificate that some optimum under mean squared error has features that differ within a class.

    Args:
        architecture: budgets, which must be slack enough for risk 0.
        prior: integer counts n_k, classes with equal counts next to each other, most frequent first.
        classifier: W, K rows of d rationals.
        features: for each class its n_k feature vectors h, with ``W h = e_k`` exactly.

    Raises:
        CertificationError: the factors exceed a budget, have a risk, or do not differ; the message says which.

    >>> import ufm
    >>> w, h = [[1, 0, 0], [0, 1, 0]], [[[1, 0, 1], [1, 0, -1]], [[0, 1, 1], [0, 1, -1]]]
    >>> certificate = certify_uncollapsed(ufm.LayerPeeled(2, 2), ufm.ClassPrior([2, 2]), w, h)
    >>> certificate.claim["statement"]
    {'distance_squared': '4'}
    """
    exact = [[_rationals("features", h) for h in rows] for rows in features]
    apart = max(
        (sum((x - y) ** 2 for x, y in zip(g, h, strict=True)) for rows in exact for g in rows for h in rows),
        default=Fraction(0),
    )
    claim = {
        "kind": "uncollapsed",
        "architecture": describe_architecture(architecture),
        "prior": describe_prior(prior),
        "loss": "mse",
        "statement": {"distance_squared": text(apart)},
    }
    witness = {
        "W": [[text(x) for x in _rationals("classifier", row)] for row in classifier],
        "features": [[[text(x) for x in h] for h in rows] for rows in exact],
    }
    return Certificate.proving(claim, witness)


def _rationals(name: str, row: Any) -> list[Fraction]:
    if isinstance(row, str | bytes) or not isinstance(row, Iterable):
        raise TypeError(f"{name} must hold rows of rational numbers, got {row!r:.200}")
    return [rational(name, x) for x in row]
