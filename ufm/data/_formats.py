"""Readers of image files: IDX (MNIST and its kin) and the binary version of CIFAR."""

from __future__ import annotations

import gzip
import hashlib
import tarfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "CIFAR10",
    "CIFAR100",
    "FASHION",
    "Cifar",
    "DatasetFormatError",
    "DatasetWarning",
    "Published",
    "Raw",
    "read_cifar",
    "read_idx",
    "read_idx_pair",
]

#: Least deviation of a channel's mean pixel from the published set's at which files are not taken for it. The means are
#: known to four digits.
MEAN_TOLERANCE = 2e-3


class DatasetFormatError(ValueError):
    """A file of a data set is damaged, or is not the file that its name says."""


class DatasetWarning(UserWarning):
    """Files are well-formed, but not those of the published data set."""


class Raw(NamedTuple):
    """A split as stored.

    Attributes:
        images: shape (N, C, ...).
        labels: shape (N,).
        files: SHA-256 of the files read, by name.
        doubts: where they differ from the published set.
    """

    images: NDArray[Any]
    labels: NDArray[np.int64]
    files: Mapping[str, str] = MappingProxyType({})
    doubts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Published:
    """What is known of a split as published.

    Attributes:
        size: N.
        means: mean pixel of each channel, of 0..1.
    """

    size: int
    means: tuple[float, ...]


#: Means as found in the files of Debian's package dataset-fashion-mnist, and as quoted since its publication.
FASHION = {"train": Published(60_000, (0.2860,)), "test": Published(10_000, (0.2868,))}


def read_idx(path: Path) -> NDArray[np.uint8]:
    """Array of unsigned bytes in an IDX file, plain or gzip (told apart by content), read-only.

    Only the layout is verified: two zero bytes, type 0x08, number of dimensions, each dimension as a big-endian 32-bit
    integer, then the entries in row-major order.

    Args:
        path: of the file.

    Raises:
        DatasetFormatError: any of that is otherwise; the message names the file.

    Source: LeCun, Cortes, Burges, The MNIST database, "File formats".
    """
    return _read_idx(path)[0]


def _read_idx(path: Path) -> tuple[NDArray[np.uint8], str]:
    """The array, and the SHA-256 of the file."""
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if content[:2] == b"\x1f\x8b":
        try:
            content = gzip.decompress(content)
        except (EOFError, zlib.error, gzip.BadGzipFile) as exc:
            raise DatasetFormatError(f"{path} is a damaged gzip file: {exc}") from None
    if len(content) < 4 or content[:3] != b"\0\0\x08":
        raise DatasetFormatError(f"{path} must start with 00 00 08 (IDX, unsigned bytes), got {content[:3].hex(' ')!r}")
    start = 4 + 4 * content[3]
    if len(content) < start:
        raise DatasetFormatError(f"{path} ends within its header of {start} bytes")
    shape = tuple(int.from_bytes(content[i : i + 4]) for i in range(4, start, 4))
    size = int(np.prod(shape, dtype=object))
    if len(content) - start != size:
        raise DatasetFormatError(f"{path} must hold {size} entries of shape {shape}, got {len(content) - start}")
    return np.frombuffer(content, dtype=np.uint8, offset=start).reshape(shape), digest


def read_idx_pair(
    images: Path, labels: Path, shape: tuple[int, int], num_classes: int, published: Published | None = None
) -> Raw:
    """Images and labels from a pair of IDX files, checked against each other.

    Args:
        images, labels: paths of the two files.
        shape: (H, W).
        num_classes: K.
        published: what the split should be, every class as frequent; the number of images, those of each class and the
            mean pixel are compared with it. Pixels are not verified beyond their mean.

    Returns:
        The images and labels; ``doubts`` says where they differ from what was published.

    Raises:
        DatasetFormatError: a file is damaged, images are not of the ``shape``, labels are not one an image, outside
            0..K-1, or some class has none.

    Source: LeCun, Cortes, Burges, The MNIST database; Xiao, Rasul, Vollgraf 2017, Fashion-MNIST.
    """
    (x, image_digest), (y, label_digest) = _read_idx(images), _read_idx(labels)
    if x.shape[1:] != shape:
        raise DatasetFormatError(f"{images} must hold images of shape {shape}, got an array of shape {x.shape}")
    if y.shape != x.shape[:1]:
        raise DatasetFormatError(f"{labels} must hold {len(x)} labels, one an image, got an array of shape {y.shape}")
    counts = _check_labels(str(labels), y, num_classes)
    x = x[:, None]
    doubts = () if published is None else _doubts(f"{images} with {labels.name}", x, counts, published)
    return Raw(x, y.astype(np.int64), {images.name: image_digest, labels.name: label_digest}, doubts)


def _doubts(where: str, images: NDArray[np.uint8], counts: NDArray[np.int64], published: Published) -> tuple[str, ...]:
    """Where a split differs from the published one: found and expected numbers."""
    doubts, each = [], published.size // len(counts)
    if len(images) != published.size:
        doubts.append(f"{where} holds {len(images)} images; the published set has {published.size}")
    if counts.min() != each or counts.max() != each:
        doubts.append(f"{where} holds {counts.min()} to {counts.max()} images of a class; the published set has {each}")
    pixels = images.reshape(*images.shape[:2], -1)
    means = pixels.sum(axis=(0, 2), dtype=np.int64) / (255 * len(images) * pixels.shape[2])
    if np.abs(means - published.means).max() > MEAN_TOLERANCE:
        found, wanted = (", ".join(f"{m:.4f}" for m in values) for values in (means, published.means))
        doubts.append(f"{where} has channels of mean {found} (pixels 0..1); the published set has {wanted}")
    return tuple(doubts)


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


#: Means as networks are commonly fed with them. Checksums as published on the data sets' page, https://www.cs.toronto.edu/~kriz/cifar.html
CIFAR10 = Cifar(
    archive="cifar-10-binary.tar.gz",
    md5="c32a1d4ab5d03f1284b67883e8d87530",
    folder="cifar-10-batches-bin",
    files={"train": tuple(f"data_batch_{i}.bin" for i in range(1, 6)), "test": ("test_batch.bin",)},
    records={"train": 10_000, "test": 10_000},
    label_bytes=1,
    num_classes=10,
    means={"train": (0.4914, 0.4822, 0.4465), "test": (0.4942, 0.4851, 0.4504)},
)
CIFAR100 = Cifar(
    archive="cifar-100-binary.tar.gz",
    md5="03b5dce01913d631647c71ecec9e9cb8",
    folder="cifar-100-binary",
    files={"train": ("train.bin",), "test": ("test.bin",)},
    records={"train": 50_000, "test": 10_000},
    label_bytes=2,
    num_classes=100,
    means={"train": (0.5071, 0.4865, 0.4409), "test": (0.5088, 0.4874, 0.4419)},
)
NUM_COARSE = 20
PIXELS = (3, 32, 32)


def read_cifar(layout: Cifar, split: str, location: Path) -> Raw:
    """One split of CIFAR from the folder of its unpacked files, or from the archive itself.

    The archive is held to its published checksum. Checksums of the files in it are not published: unpacked files are
    held to their published sizes, label ranges and class counts (and CIFAR-100's classes to one superclass each), and
    of the pixels the mean of each channel is compared. Pixels that keep the means are not told apart: a user who wants
    that certainty leaves the archive packed.

    Args:
        layout: :data:`CIFAR10` or :data:`CIFAR100`.
        split: ``"train"`` or ``"test"``.
        location: folder or archive.

    Returns:
        The images and labels; ``doubts`` says where the means are others.

    Raises:
        DatasetFormatError: anything else is otherwise; the message names the file.

    Source: Krizhevsky 2009, https://www.cs.toronto.edu/~kriz/cifar.html
    """
    contents = _members(layout, split, location) if location.is_file() else _files(layout, split, location)
    record = layout.label_bytes + int(np.prod(PIXELS))
    rows = []
    for name, content in contents:
        size = layout.records[split] * record
        if len(content) != size:
            raise DatasetFormatError(f"{location / name} must be {size} bytes long, got {len(content)}")
        rows.append(np.frombuffer(content, dtype=np.uint8).reshape(-1, record))
    table = np.concatenate(rows)
    labels, where = table[:, layout.label_bytes - 1], f"{location} ({split})"
    counts = _check_labels(where, labels, layout.num_classes)
    if counts.min() != counts.max():
        expected = len(labels) // layout.num_classes
        raise DatasetFormatError(
            f"{where} must hold {expected} images of each class, got {counts.min()} to {counts.max()}"
        )
    if layout.label_bytes == 2:
        pairs = np.unique(table[:, :2], axis=0)
        if len(pairs) != layout.num_classes or pairs[:, 0].max() >= NUM_COARSE:
            raise DatasetFormatError(
                f"{where} must give each class one superclass of 0..{NUM_COARSE - 1}, got {len(pairs)} pairs up to "
                f"superclass {pairs[:, 0].max()}"
            )
    images = table[:, layout.label_bytes :].reshape(-1, *PIXELS)
    images.setflags(write=False)
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in contents}
    doubts: tuple[str, ...] = ()
    if location.is_dir():  # an archive is what its checksum says
        files = f"{location} with {', '.join(layout.files[split])}"
        doubts = _doubts(files, images, counts, Published(len(images), layout.means[split]))
    return Raw(images, labels.astype(np.int64), digests, doubts)


def _files(layout: Cifar, split: str, folder: Path) -> list[tuple[str, bytes]]:
    return [(name, (folder / name).read_bytes()) for name in layout.files[split]]


def _members(layout: Cifar, split: str, archive: Path) -> list[tuple[str, bytes]]:
    with open(archive, "rb") as file:
        found = hashlib.file_digest(file, "md5").hexdigest()
    if found != layout.md5:
        raise DatasetFormatError(f"{archive} must have the MD5 checksum {layout.md5}, got {found}")
    with tarfile.open(archive, "r:gz") as tar:
        # The checksum says that every member is there, and a file.
        return [(n, tar.extractfile(f"{layout.folder}/{n}").read()) for n in layout.files[split]]  # type: ignore[union-attr]


def _check_labels(where: str, labels: NDArray[np.uint8], num_classes: int) -> NDArray[np.int64]:
    counts = np.bincount(labels, minlength=num_classes)
    if len(counts) > num_classes or counts.min() == 0:
        raise DatasetFormatError(
            f"{where} must hold every label 0..{num_classes - 1} and no other, got {np.unique(labels).tolist()}"
        )
    return counts
