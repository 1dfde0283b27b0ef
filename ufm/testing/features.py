"""Strategies for features as a network's last layer sees them, collapsed or far from it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from numpy.typing import NDArray

from ufm._validation import integer, positive
from ufm.testing._failing import Array
from ufm.testing._shown import Shown
from ufm.testing.strategies import SEEDS, log_uniform, rotated_frames

__all__ = ["LabelledFeatures", "far_from_collapse", "near_collapse"]


@dataclass(frozen=True, eq=False, repr=False)
class LabelledFeatures(Shown):
    """Features as a network's last layer sees them.

    Attributes:
        features: shape (N, d), one row a sample.
        labels: shape (N,), classes 0..K-1, each at least once.
        means: the class means they were drawn around, shape (d, K).
        noise: root mean square distance of a sample from its mean, over that of the means from theirs.
    """

    features: Array
    labels: NDArray[np.int64]
    means: Array
    noise: float

    @property
    def classifier(self) -> Array:
        """The self-dual classifier, ``means.T``, shape (K, d)."""
        return self.means.T


def near_collapse(
    *, max_classes: int = 6, max_samples: int = 8, max_noise: float = 1e-2
) -> SearchStrategy[LabelledFeatures]:
    """Features around a randomly rotated simplex ETF with within-class noise in [0, max_noise], 0 among them.

    Args:
        max_classes: bound of K, >= 2.
        max_samples: most samples of a class, >= 1.
        max_noise: see :class:`LabelledFeatures`, > 0.

    Raises:
        TypeError, ValueError: an argument out of its range.

    >>> from hypothesis import Phase, find, settings
    >>> first = settings(phases=[Phase.generate])
    >>> find(near_collapse(), lambda data: data.noise == 0, settings=first).noise
    0.0
    """
    most = positive("max_noise", max_noise)
    noise = st.one_of(st.just(0.0), log_uniform(min(1e-12, most), most))
    return st.builds(_near, _counts(max_classes, max_samples, 1), rotated_frames(), noise, SEEDS)


def far_from_collapse(*, max_classes: int = 6, max_samples: int = 8) -> SearchStrategy[LabelledFeatures]:
    """Features of Gaussian classes: means without any structure, noise as large as they are or larger.

    Args:
        max_classes: bound of K, >= 2.
        max_samples: most samples of a class, >= 2.

    Raises:
        TypeError, ValueError: an argument out of its range.

    >>> from hypothesis import find
    >>> sorted(find(far_from_collapse(), lambda data: True).labels.tolist())
    [0, 0, 1, 1]
    """
    counts = _counts(max_classes, max_samples, 2)
    return st.builds(_far, counts, st.integers(1, max_classes + 3), log_uniform(1.0, 100.0), SEEDS)


def _counts(max_classes: int, max_samples: int, least: int) -> SearchStrategy[list[int]]:
    """Samples of every class; their number is K."""
    most = integer("max_samples", max_samples, minimum=least)
    return st.lists(st.integers(least, most), min_size=2, max_size=integer("max_classes", max_classes, minimum=2))


def _near(counts: list[int], frame: Any, noise: float, seed: int) -> LabelledFeatures:
    return _samples(counts, frame(len(counts)), noise, np.random.default_rng(seed))


def _far(counts: list[int], dim: int, noise: float, seed: int) -> LabelledFeatures:
    rng = np.random.default_rng(seed)
    return _samples(counts, rng.standard_normal((dim, len(counts))), noise, rng)


def _samples(counts: list[int], means: Array, noise: float, rng: np.random.Generator) -> LabelledFeatures:
    """Samples in any order; noise relative to the distance of the means from theirs."""
    d, k = means.shape
    labels = np.repeat(np.arange(k), counts)
    rng.shuffle(labels)
    centre = means.mean(axis=1, keepdims=True)
    size = noise * math.sqrt(((means - centre) ** 2).sum() / k / d)
    features = means.T[labels] + size * rng.standard_normal((len(labels), d))
    return LabelledFeatures(features, labels, means, noise)
