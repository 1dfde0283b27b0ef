"""How the binary version of CIFAR is laid out, as its reader and its sources know it."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Cifar"]


@dataclass(frozen=True)
class Cifar:
    """Layout of a CIFAR data set in its binary version.

    Attributes:
        archive, md5: the published archive and its published checksum.
        folder: what the archive unpacks to.
        files: of each split, every one of ``records`` records.
        records: a split's records in one file.
        label_bytes: bytes before the 3072 pixels; the last is the label (the first of two is the coarse one).
        num_classes: K; every split has equally many images of each.
        means: mean pixel of each channel in a split, of 0..1.
    """

    archive: str
    md5: str
    folder: str
    files: dict[str, tuple[str, ...]]
    records: dict[str, int]
    label_bytes: int
    num_classes: int
    means: dict[str, tuple[float, float, float]]
