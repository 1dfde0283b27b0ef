"""Reader of IDX files, the format of MNIST and its kin."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ufm.data.published import Published, checked_counts, doubts
from ufm.data.raw import DatasetFormatError, Raw

__all__ = ["read_idx", "read_idx_pair"]


def read_idx(path: Path) -> NDArray[np.uint8]:
    """Array of unsigned bytes in an IDX file, plain or gzip (told apart by content), read-only.

    Only the layout is verified: two zero bytes, type 0x08, number of dimensions, each dimension as a big-endian 32-bit
    integer, then the entries in row-major order.

    Args:
        path: of the file.

    Raises:
        DatasetFormatError: any of that is otherwise; the message names the file.

    Source: LeCun, Cortes, Burges, The MNIST database, "File formats".

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     _ = file.write(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 8, 9]))
    ...     file.flush()
    ...     read_idx(Path(file.name)).tolist()
    [7, 8, 9]
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

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     images, labels = Path(folder, "images"), Path(folder, "labels")
    ...     _ = images.write_bytes(bytes([0, 0, 8, 3, *3 * [0, 0, 0, 2], *range(8)]))
    ...     _ = labels.write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 2, 1, 0]))
    ...     raw = read_idx_pair(images, labels, (2, 2), num_classes=2)
    >>> raw.images.shape, raw.labels.tolist()
    ((2, 1, 2, 2), [1, 0])
    """
    (x, image_digest), (y, label_digest) = _read_idx(images), _read_idx(labels)
    if x.shape[1:] != shape:
        raise DatasetFormatError(f"{images} must hold images of shape {shape}, got an array of shape {x.shape}")
    if y.shape != x.shape[:1]:
        raise DatasetFormatError(f"{labels} must hold {len(x)} labels, one an image, got an array of shape {y.shape}")
    counts = checked_counts(str(labels), y, num_classes)
    x = x[:, None]
    differences = () if published is None else doubts(f"{images} with {labels.name}", x, counts, published)
    return Raw(x, y.astype(np.int64), {images.name: image_digest, labels.name: label_digest}, differences)
