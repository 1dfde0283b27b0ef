"""Real images: scikit-learn's handwritten digits (8 x 8, 1797 images), subsampled to given class counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ufm._validation import integer

__all__ = ["Dataset", "digit_counts", "digits"]

Array = NDArray[np.float64]

#: Ridge of the whitening, as a fraction of the mean variance of a direction: keeps empty border pixels from blowing up.
RIDGE = 1e-2


@dataclass(frozen=True, eq=False)
class Dataset:
    """Inputs and labels.

    Attributes:
        inputs: shape (N, p), float64.
        labels: shape (N,), integers 0..K-1; class k has ``counts[k]`` of them.
        counts: n_k.
        indices: which images of the whole data set they are, shape (N,).
        name: where the images come from.
    """

    inputs: Array
    labels: NDArray[np.int64]
    counts: tuple[int, ...]
    indices: NDArray[np.int64]
    name: str

    @property
    def num_samples(self) -> int:
        """N."""
        return len(self.labels)

    @property
    def num_classes(self) -> int:
        """K."""
        return len(self.counts)


def digit_counts() -> tuple[int, ...]:
    """How many images of the digits 0..9 there are."""
    return tuple(np.bincount(_load()[1]).tolist())


def digits(counts: Sequence[Any], *, seed: Any = 0) -> Dataset:
    """``counts[k]`` images of the digit k, drawn without replacement, whitened.

    Inputs are ``x V (S^2/N + ridge)^{-1/2}`` with the singular value decomposition of the centred images, scaled to a
    root mean square norm of sqrt(64). Whitening spreads the images out, so that an encoder can tell each from the
    others; the theory of the features asks no more of them.

    Args:
        counts: images of the digits 0..K-1, 2 <= K <= 10, each >= 1 and at most :func:`digit_counts`.
        seed: of the draw, >= 0. A larger count with the same seed contains the smaller one.

    Raises:
        TypeError, ValueError: a count that is not an integer, too small or larger than the data set offers; K outside
            2..10; a seed that is no integer >= 0.
    """
    if isinstance(counts, str | bytes) or not isinstance(counts, Sequence | np.ndarray):
        raise TypeError(f"counts must be a sequence of integers, got {counts!r}")
    images, labels = _load()
    available = digit_counts()
    if not 2 <= len(counts) <= len(available):
        raise ValueError(f"counts must hold 2 to {len(available)} classes, got {len(counts)}")
    wanted = tuple(
        integer(f"counts[{k}]", n, minimum=1, maximum=available[k], reason=f"digits has {available[k]} images of {k}")
        for k, n in enumerate(counts)
    )
    rng = np.random.default_rng(integer("seed", seed, minimum=0))
    chosen = []
    for k in range(len(available)):
        # Every class is permuted, wanted or not, so that a class's draw does not depend on the other counts.
        order = rng.permutation(np.flatnonzero(labels == k))
        if k < len(wanted):
            chosen.append(order[: wanted[k]])
    rows = np.concatenate(chosen)
    return Dataset(_whiten(images[rows]), labels[rows], wanted, rows, "digits")


@cache
def _load() -> tuple[Array, NDArray[np.int64]]:
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    return np.asarray(images, dtype=np.float64) / 16, np.asarray(labels, dtype=np.int64)


def _whiten(images: Array) -> Array:
    centred = images - images.mean(axis=0)
    # All of V even where there are fewer images than pixels.
    _, s, vt = np.linalg.svd(centred, full_matrices=len(images) < images.shape[1])
    variances = np.zeros(len(vt))
    variances[: len(s)] = s**2 / len(images)
    white = centred @ vt.T / np.sqrt(variances + RIDGE * variances.mean())
    return white * np.sqrt(images.shape[1] * len(white) / (white**2).sum())
