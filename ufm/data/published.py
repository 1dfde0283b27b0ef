"""What a split read from files is held to: its labels, and what is known of the published set."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ufm.data.raw import DatasetFormatError

__all__ = ["Published", "checked_counts", "doubts"]

#: Least deviation of a channel's mean pixel from the published set's at which files are not taken for it. The means are
#: known to four digits.
MEAN_TOLERANCE = 2e-3


@dataclass(frozen=True)
class Published:
    """What is known of a split as published.

    Attributes:
        size: N.
        means: mean pixel of each channel, of 0..1.
    """

    size: int
    means: tuple[float, ...]


def checked_counts(where: str, labels: NDArray[np.uint8], num_classes: int) -> NDArray[np.int64]:
    """Images of each class; DatasetFormatError unless every label 0..K-1 is there and no other.

    >>> checked_counts("here", np.array([0, 1, 1], dtype=np.uint8), 2).tolist()
    [1, 2]
    """
    counts = np.bincount(labels, minlength=num_classes)
    if len(counts) > num_classes or counts.min() == 0:
        raise DatasetFormatError(
            f"{where} must hold every label 0..{num_classes - 1} and no other, got {np.unique(labels).tolist()}"
        )
    return counts


def doubts(where: str, images: NDArray[np.uint8], counts: NDArray[np.int64], published: Published) -> tuple[str, ...]:
    """Where a split differs from the published one: found and expected numbers.

    >>> images, counts = np.zeros((4, 1, 2, 2), dtype=np.uint8), np.array([2, 2])
    >>> doubts("here", images, counts, Published(4, (0.0,))), len(doubts("here", images, counts, Published(6, (0.5,))))
    ((), 3)
    """
    differences, each = [], published.size // len(counts)
    if len(images) != published.size:
        differences.append(f"{where} holds {len(images)} images; the published set has {published.size}")
    if counts.min() != each or counts.max() != each:
        differences.append(
            f"{where} holds {counts.min()} to {counts.max()} images of a class; the published set has {each}"
        )
    pixels = images.reshape(*images.shape[:2], -1)
    means = pixels.sum(axis=(0, 2), dtype=np.int64) / (255 * len(images) * pixels.shape[2])
    if np.abs(means - published.means).max() > MEAN_TOLERANCE:
        seen, wanted = (", ".join(f"{m:.4f}" for m in values) for values in (means, published.means))
        differences.append(f"{where} has channels of mean {seen} (pixels 0..1); the published set has {wanted}")
    return tuple(differences)
