"""Files written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["remove_unfinished", "replacing", "write_atomically", "write_figure"]

#: End of the names of files that are being written.
SUFFIX = ".part"


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A stream whose bytes become the file ``path`` at the end of the block, in one step and on the disk.

    Readers see the old file or the new one, whole. The old one stays where the block raises. A process that is killed
    inside leaves a hidden file beside ``path``, which :func:`remove_unfinished` takes away.
    """
    target = Path(path)
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=SUFFIX)
    try:
        with os.fdopen(handle, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    if hasattr(os, "O_DIRECTORY"):  # not on Windows
        folder = os.open(target.parent, os.O_DIRECTORY)
        try:
            os.fsync(folder)  # the renaming too
        finally:
            os.close(folder)


def write_atomically(path: str | os.PathLike[str], text: str) -> None:
    """Write UTF-8 ``text`` to ``path`` as :func:`replacing` does."""
    with replacing(path) as stream:
        stream.write(text.encode("utf-8"))


def write_figure(figure: Figure, path: str | os.PathLike[str], **options: Any) -> None:
    """Draw a figure into ``path`` as :func:`replacing` does, in the format of its suffix (PNG without one).

    Args:
        figure: of matplotlib.
        path: its suffix is one that matplotlib knows, such as .png, .svg or .pdf; ValueError for another.
        **options: of ``Figure.savefig``.
    """
    with replacing(path) as stream:
        figure.savefig(stream, format=Path(path).suffix[1:] or "png", **options)


def remove_unfinished(folder: Path) -> None:
    """Remove what writers that were killed left in a folder that nobody else writes to."""
    for left in folder.glob(f".*{SUFFIX}"):
        left.unlink(missing_ok=True)
