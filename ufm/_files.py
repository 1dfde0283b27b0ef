"""Files written whole or not at all, and JSON that carries its checksum."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "check_archive",
    "remove_unfinished",
    "replacing",
    "sealed",
    "unsealed",
    "write_atomically",
    "write_figure",
]

#: End of the names of files that are being written.
SUFFIX = ".part"

#: Key of a JSON object's checksum.
SEAL = "sha256"


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A stream whose bytes become the file ``path`` at the end of the block, in one step and on the disk.

    Readers see the old file or the new one, whole. The old one stays where the block raises. A process that is killed
    inside leaves a hidden file beside ``path``, which :func:`remove_unfinished` takes away. A link is written through;
    what is no file, as ``/dev/null`` or a named pipe, is written to at the end of the block: it has nothing to keep,
    and a file in its place would be in the way of all others.
    """
    target = Path(path)
    if target.exists() and not (target.is_file() or target.is_dir()):
        kept = io.BytesIO()
        yield kept
        target.write_bytes(kept.getvalue())
        return
    target = Path(os.path.realpath(target))
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


def check_archive(path: str | os.PathLike[str]) -> None:
    """Check the checksums of a zip archive, which .npz files and torch's are: ``torch.load`` does not.

    Raises:
        ValueError: a member is another one than was written, or the file is no archive.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except OSError:
        raise
    except Exception as error:  # of a damaged directory zipfile raises whatever it stumbles over
        raise ValueError(f"{os.fspath(path)} is damaged: {error}") from error
    if damaged is not None:
        raise ValueError(f"{os.fspath(path)} is damaged: the checksum of {damaged} does not fit")


def sealed(document: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON object with the SHA-256 of its content under the key ``"sha256"``; :func:`unsealed` checks it.

    >>> sealed({"s_B": 0.5})["sha256"][:8]
    'bcdd4470'
    """
    return {**document, SEAL: _digest(document)}


def unsealed(document: Any) -> Any:
    """A JSON value that was read, without its checksum; one without a checksum, from before there were any, as it is.

    Raises:
        ValueError: the content is another one than that of the checksum.
    """
    if not isinstance(document, Mapping) or SEAL not in document:
        return document
    content = {key: value for key, value in document.items() if key != SEAL}
    if document[SEAL] != _digest(content):
        raise ValueError("its checksum does not fit: bytes of it have changed")
    return content


def _digest(document: Mapping[str, Any]) -> str:
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode("ascii")).hexdigest()
