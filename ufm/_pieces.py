"""Finished pieces of a long check, kept so that a run that was killed goes on from them."""

from __future__ import annotations

import hashlib
import json
import platform
import time
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from ufm._files import sealed, unsealed, write_atomically

__all__ = ["Pieces", "run_key"]

#: Packages whose code, or version, a kept verdict belongs to.
_SOURCES = ("ufm", "proofs_check")
_VERSIONS = ("numpy", "scipy", "sympy", "python-flint", "torch", "cvxpy", "scikit-learn")


def run_key(effort: str, seed: int) -> str:
    """What a kept verdict belongs to: the code of this package and of the proofs, versions, effort and seed.

    >>> run_key("quick", 0) == run_key("quick", 0) != run_key("full", 0)
    True
    """
    digest = hashlib.sha256()
    for name in _SOURCES:
        spec = find_spec(name)
        for folder in [] if spec is None else list(spec.submodule_search_locations or ()):
            for path in sorted(Path(folder).rglob("*")):
                if path.suffix in (".py", ".json", ".v") and path.is_file():
                    digest.update(str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes())
    versions = {name: _version(name) for name in _VERSIONS}
    state = [effort, seed, platform.python_version(), platform.machine(), versions]
    digest.update(json.dumps(state, sort_keys=True).encode())
    return digest.hexdigest()


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


class Pieces:
    """Words found by name, in ``verdicts/CLAIM.part`` of a run's directory, with a checksum.

    Attributes:
        found: what was kept by a run of the same code, versions, effort and seed, and what was added since.

    Args:
        out: directory of the run; None keeps nothing.
        claim: id of the claim.
        effort, seed: of the run.
        interval: seconds after which the next piece is written with those before it.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Pieces(Path(folder), "a-claim", "quick", 0, interval=0).add("first", "refuted")
    ...     Pieces(Path(folder), "a-claim", "quick", 0).found, Pieces(Path(folder), "a-claim", "full", 0).found
    ({'first': 'refuted'}, {})
    """

    def __init__(self, out: Path | None, claim: str, effort: str, seed: int, *, interval: float = 2.0) -> None:
        self._path = None if out is None else self.path(out, claim)
        self._key = "" if out is None else run_key(effort, seed)
        self._interval, self._written = interval, time.monotonic()
        self.found: dict[str, str] = self._load()

    @staticmethod
    def path(out: Path, claim: str) -> Path:
        """Where the pieces of a claim are kept."""
        return out / "verdicts" / f"{claim}.part"

    def _load(self) -> dict[str, str]:
        """What is kept; nothing where the file is missing, damaged or of another run."""
        try:
            document = unsealed(json.loads("" if self._path is None else self._path.read_text(encoding="utf-8")))
            return dict(document["found"]) if document["key"] == self._key else {}
        except (OSError, ValueError, TypeError, KeyError):
            return {}

    def add(self, name: str, word: str) -> None:
        """Add a piece, and write all of them if the last writing is long ago."""
        self.found[name] = word
        if time.monotonic() - self._written >= self._interval:
            self.write()

    def write(self) -> None:
        """Write what was found."""
        if self._path is not None:
            self._path.parent.mkdir(exist_ok=True)
            write_atomically(self._path, json.dumps(sealed({"key": self._key, "found": self.found})) + "\n")
        self._written = time.monotonic()
