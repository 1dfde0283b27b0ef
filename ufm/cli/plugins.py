"""Claims that are not of this package: those of a file or a module that ``--claims`` names."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ufm.claims import Claim

__all__ = ["ClaimsOption", "claims_of"]

ClaimsOption = Annotated[
    str | None, typer.Option("--claims", metavar="FILE|MODULE", help="Claims of your own: a .py file or a module.")
]


def claims_of(source: str) -> dict[str, Claim]:
    """The claims that a .py file or a module defines, by id: its names that are claims, or sequences of claims.

    The code of the file runs.

    >>> claims_of("ufm.claims.balanced")["lpm-balanced-etf"].group
    'Balanced classes'

    Raises:
        ValueError: no such file or module, no claim in it, or two of one id.
    """
    from ufm.claims import Claim

    found: dict[str, Claim] = {}
    for value in vars(_loaded(source)).values():
        for claim in value if isinstance(value, list | tuple) else (value,):
            if isinstance(claim, Claim) and found.setdefault(claim.id, claim) is not claim:
                raise ValueError(f"--claims must not hold two claims of one id, got {claim.id!r} twice in {source!r}")
    if not found:
        raise ValueError(f"--claims must name a file or module with claims (see ufm.claim), got {source!r} with none")
    return found


def _loaded(source: str) -> ModuleType:
    if source.endswith(".py") or os.sep in source:
        return _of_file(Path(source))
    if (here := os.getcwd()) not in sys.path:
        sys.path.insert(0, here)  # as python -m does
    try:
        return importlib.import_module(source)
    except ModuleNotFoundError as error:
        if source.partition(".")[0] != (error.name or "").partition(".")[0]:
            raise
        raise ValueError(f"--claims must name a .py file or a module, got {source!r}: {error}") from error


def _of_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise ValueError(f"--claims must name a .py file that exists, got {str(path)!r}")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ValueError(f"--claims must name a .py file, got {str(path)!r}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
