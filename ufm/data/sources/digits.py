"""The handwritten digits that come with scikit-learn (Alpaydin, Kaynak 1998)."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from ufm.data._registry import Root, register_dataset

if TYPE_CHECKING:
    from ufm.data.raw import Raw

__all__ = ()  # registered, not called

#: Parts in ten of each digit that are the training split.
TRAIN_TENTHS = 8


@register_dataset(
    "digits",
    num_classes=10,
    what="1797 handwritten digits, 1 x 8 x 8",
    where="scikit-learn",
    has_whole=True,
    is_bundled=True,
    fitted_split="all",
)
def load(split: str, root: Root) -> Raw:
    """All digits, or the first four fifths of the images of each as the training split, the others as the test split.

    >>> load("all", None).images.shape
    (1797, 1, 8, 8)
    """
    return _split(split)


@cache
def _split(split: str) -> Raw:
    import numpy as np

    from ufm._extras import require

    require("sklearn", extra="data")
    from sklearn.datasets import load_digits

    from ufm.data.raw import Raw

    images, labels = load_digits(return_X_y=True)
    images = np.asarray(images, dtype=np.float64).reshape(-1, 1, 8, 8) / 16
    labels = np.asarray(labels, dtype=np.int64)
    if split != "all":
        train = np.zeros(len(labels), dtype=bool)
        for k in range(10):
            rows = np.flatnonzero(labels == k)
            train[rows[: len(rows) * TRAIN_TENTHS // 10]] = True
        keep = train if split == "train" else ~train
        images, labels = images[keep], labels[keep]
    return Raw(images, labels)
