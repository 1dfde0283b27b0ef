"""Claims that are not of this package: of a file, a module, or an installed package that registers them.

A package registers its claims as entry points of the group ``ufm.claims``, each the name of a module, of a claim or of
a sequence of claims::

    [project.entry-points."ufm.claims"]
    mine = "my_package.claims"

They are then listed by ``ufm claims``, checked by ``ufm verify`` after those of this package, and found by their ids.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Collection, Mapping
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from ufm._words import said
from ufm.claims._model import Claim

__all__ = ["GROUP", "claims_of", "installed_claims"]

#: The group of entry points that hold claims.
GROUP = "ufm.claims"

T = TypeVar("T")

_NONE: Mapping[str, Claim] = {}


def claims_of(source: str, argument: str = "--claims", taken: Mapping[str, Claim] = _NONE) -> dict[str, Claim]:
    """The claims that a .py file or a module defines, by id: its names that are claims, or sequences, sets or dictionaries of claims.

    The code of the file runs.

    Args:
        source: path of a .py file, or name of a module.
        argument: what messages call it.
        taken: claims whose ids no other may have, such as :func:`ufm.claims.package_claims`.

    Raises:
        ValueError: no such file or module, code in it that raises, no claim in it, two of one id, or one that is taken.

    >>> claims_of("ufm.claims.balanced")["lpm-balanced-etf"].group
    'Balanced classes'
    """
    found = _by_id(vars(_loaded(source, argument)).values(), f"{argument} {source!r}")
    if not found:
        raise ValueError(f"{argument} must name a file or module with claims (see ufm.claim), got {source!r} with none")
    for name, claim in found.items():
        if taken.get(name, claim) is not claim:
            raise ValueError(f"{argument} must not take the id {name!r}, that of another claim: {taken[name].title}")
    return found


def installed_claims(taken: Collection[str] = ()) -> dict[str, Claim]:
    """The claims that installed packages register in the group ``ufm.claims``, by id.

    A package whose claims cannot be loaded is left out, with a RuntimeWarning that names it: the others still count.

    Args:
        taken: ids that are others' already.

    >>> isinstance(installed_claims(), dict)
    True
    """
    found: dict[str, Claim] = {}
    for point in sorted(entry_points(group=GROUP), key=lambda point: (point.name, point.value)):
        try:
            claims = _registered(point)
            for name in claims:
                if name in taken or found.get(name, claims[name]) is not claims[name]:
                    raise ValueError(f"there is another claim with the id {name!r}")
            found |= claims
        except Exception as error:  # whatever a package does wrong, the others still get their turn
            warnings.warn(
                f"claims of the entry point {point.name!r} = {point.value!r} are left out: "
                f"{type(error).__name__}: {error}",
                RuntimeWarning,
                stacklevel=3,
            )
    return found


def _registered(point: EntryPoint) -> dict[str, Claim]:
    held = point.load()
    claims = _by_id(vars(held).values() if isinstance(held, ModuleType) else (held,), f"entry point {point.name!r}")
    if not claims:
        raise ValueError("it must be a module with claims, a claim or a sequence of claims (see ufm.claim)")
    return claims


def _by_id(values: Any, where: str) -> dict[str, Claim]:
    found: dict[str, Claim] = {}
    for value in values:
        held = value.values() if isinstance(value, Mapping) else value
        for claim in held if isinstance(value, list | tuple | set | frozenset | Mapping) else (value,):
            if isinstance(claim, Claim) and found.setdefault(claim.id, claim) is not claim:
                raise ValueError(f"{where} must not hold two claims of one id, got {claim.id!r} twice")
    return found


def _loaded(source: str, argument: str) -> ModuleType:
    if source.endswith(".py") or os.sep in source:
        return _of_file(Path(source), argument)
    if (here := os.getcwd()) not in sys.path:
        sys.path.insert(0, here)  # as python -m does
    if not all(part.strip() for part in source.split(".")):
        raise ValueError(f"{argument} must name a .py file or a module, got {source!r}")
    try:
        return _run(lambda: importlib.import_module(source), source, argument)
    except ModuleNotFoundError as error:
        raise ValueError(f"{argument} must name a .py file or a module, got {source!r}: {error}") from error


def _of_file(path: Path, argument: str) -> ModuleType:
    if not path.is_file():
        raise ValueError(f"{argument} must name a .py file that exists, got {str(path)!r}")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ValueError(f"{argument} must name a .py file, got {str(path)!r}")
    module, loader = importlib.util.module_from_spec(spec), spec.loader
    _run(lambda: loader.exec_module(module), str(path), argument)
    return module


def _run(load: Callable[[], T], source: str, argument: str) -> T:
    """What ``load`` returns; a ValueError for whatever the code under ``source`` raises, an exit included.

    A script that ends in ``sys.exit()`` would end the command with its status, 0 as if all had come out as claimed.
    """
    try:
        return load()
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        if isinstance(error, ModuleNotFoundError) and _is_part(error.name, source):
            raise
        frame = traceback.extract_tb(error.__traceback__)[-1]
        where = "" if isinstance(error, SyntaxError) else f" ({frame.filename}, line {frame.lineno})"
        raise ValueError(
            f"{argument} must name code that can be loaded, got {source!r}, which raised {said(error)}{where}"
        ) from error


def _is_part(name: str | None, source: str) -> bool:
    """Whether the module that is missing is the one that was named, or a package that it is in."""
    return name is not None and not source.endswith(".py") and f"{source}.".startswith(f"{name}.")
