"""Folders in which the files of data sets are looked for."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ufm.data._registry import Root
from ufm.data.raw import DatasetNotFoundError

__all__ = ["ENVIRONMENT", "first_with_all", "folders"]

#: Environment variable that names a folder with data sets.
ENVIRONMENT = "UFM_DATA"


def folders(root: Root, subfolders: tuple[str, ...]) -> list[Path]:
    """``root``, by default the folder that :data:`ENVIRONMENT` names, and its ``subfolders``; none without either.

    >>> [folder.as_posix() for folder in folders("data", ("mine",))]
    ['data', 'data/mine']
    """
    place = os.environ.get(ENVIRONMENT) if root is None else root
    return [Path(place).expanduser() / sub for sub in ("", *subfolders)] if place else []


def first_with_all(places: list[Path], find: Callable[[Path], Any], message: str) -> Any:
    """What ``find`` finds in the first folder that has all; it lists what is missing elsewhere.

    Raises:
        DatasetNotFoundError: no folder has all; ``message`` and the folders searched say what to put where.

    >>> first_with_all([Path("nowhere"), Path()], lambda folder: folder if folder.is_dir() else ["all"], "").as_posix()
    '.'
    """
    searched = []
    for folder in places:
        found = find(folder)
        if not isinstance(found, list):
            return found
        searched.append(f"{folder} ({'lacks ' + ', '.join(found) if folder.is_dir() else 'no such folder'})")
    where = f" Searched: {'; '.join(searched)}." if searched else ""
    raise DatasetNotFoundError(f"{message} as root or in the environment variable {ENVIRONMENT}.{where}")
