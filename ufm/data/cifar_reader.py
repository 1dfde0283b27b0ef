"""Reader of the binary version of CIFAR."""

from __future__ import annotations

import hashlib
import tarfile
from pathlib import Path

import numpy as np

from ufm.data.cifar_layout import Cifar
from ufm.data.published import Published, checked_counts, doubts
from ufm.data.raw import DatasetFormatError, Raw

__all__ = ["read_cifar"]

NUM_COARSE = 20
PIXELS = (3, 32, 32)


def read_cifar(layout: Cifar, split: str, location: Path) -> Raw:
    """One split of CIFAR from the folder of its unpacked files, or from the archive itself.

    The archive is held to its published checksum. Checksums of the files in it are not published: unpacked files are
    held to their published sizes, label ranges and class counts (and CIFAR-100's classes to one superclass each), and
    of the pixels the mean of each channel is compared. Pixels that keep the means are not told apart: a user who wants
    that certainty leaves the archive packed.

    Args:
        layout: of :data:`ufm.data.sources.cifar.LAYOUTS`.
        split: ``"train"`` or ``"test"``.
        location: folder or archive.

    Returns:
        The images and labels; ``doubts`` says where the means are others.

    Raises:
        DatasetFormatError: anything else is otherwise; the message names the file.

    Source: Krizhevsky 2009, https://www.cs.toronto.edu/~kriz/cifar.html

    >>> import tempfile
    >>> means = {"test": (0.0, 0.0, 0.0)}
    >>> layout = Cifar("packed", "", "unpacked", {"test": ("test.bin",)}, {"test": 2}, 1, 2, means)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "test.bin").write_bytes(b"\\1" + bytes(3072) + b"\\0" + bytes(3072))
    ...     raw = read_cifar(layout, "test", Path(folder))
    >>> raw.images.shape, raw.labels.tolist()
    ((2, 3, 32, 32), [1, 0])
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
    counts = checked_counts(where, labels, layout.num_classes)
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
    differences: tuple[str, ...] = ()
    if location.is_dir():  # an archive is what its checksum says
        files = f"{location} with {', '.join(layout.files[split])}"
        differences = doubts(files, images, counts, Published(len(images), layout.means[split]))
    return Raw(images, labels.astype(np.int64), digests, differences)


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
