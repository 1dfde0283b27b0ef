"""``ufm measure``: the neural collapse of features in a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ufm.cli._app import app, command
from ufm.cli.options import JsonOption
from ufm.cli.output import print_figures, print_json

__all__: list[str] = []  # a command is registered, not called


@command(app, "measure", "ufm measure features.npz")
def measure(
    file: Annotated[
        Path, typer.Argument(help="NumPy .npz with features (n, d), labels (n,) and, optionally, classifier.")
    ],
    as_json: JsonOption = False,
) -> None:
    """Measure the neural collapse of a trained network's last-layer features.

    The file holds the arrays features (n, d) and labels (n,), and may hold classifier (K, d) and bias (K,).
    """
    import ufm
    from ufm._json import plain

    arrays = _load_arrays(file, required=("features", "labels"), optional=("classifier", "bias"))
    features, labels = arrays.pop("features"), arrays.pop("labels")
    found = plain("measures", ufm.measure(features, labels, **arrays).to_dict())
    if as_json:
        print_json(found)
    else:
        print_figures(found)


def _load_arrays(file: Path, required: tuple[str, ...], optional: tuple[str, ...]) -> dict[str, Any]:
    """Arrays of an .npz file, without pickle; raises ValueError for a file that is none or lacks a required array."""
    import zipfile

    import numpy as np

    if not file.is_file():
        raise ValueError(f"FILE must be an .npz file that exists, got {str(file)!r}")
    try:
        if not zipfile.is_zipfile(file):  # which NumPy would take for a pickle, and say so
            raise ValueError("it is no archive of arrays, as numpy.savez writes it")
        with np.load(file, allow_pickle=False) as archive:
            missing = [name for name in required if name not in archive]
            if missing:
                raise ValueError(f"it lacks {', '.join(missing)} and holds {', '.join(archive.files) or 'nothing'}")
            return {name: archive[name] for name in (*required, *optional) if name in archive}
    except (ValueError, EOFError, OSError, zipfile.BadZipFile) as exc:
        wanted = ", ".join(required)
        raise ValueError(f"FILE must be an .npz file with {wanted}, got {str(file)!r}: {exc}") from exc
