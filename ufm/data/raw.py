"""A split as stored, and what can be wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["DatasetFormatError", "DatasetNotFoundError", "DatasetWarning", "Raw"]


class DatasetFormatError(ValueError):
    """A file of a data set is damaged, or is not the file that its name says."""


class DatasetNotFoundError(FileNotFoundError):
    """Files or the package of a data set are missing; the message says what to put where."""


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
