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
        Path,
        typer.Argument(
            help="NumPy .npz with features (n, d), labels (n,) or (n, K) or targets (n, m), and maybe classifier, bias."
        ),
    ],
    as_json: JsonOption = False,
) -> None:
    """Measure the neural collapse of a trained network's last-layer features.

    The file holds the arrays features (n, d) and labels (n,), and may hold classifier (K, d) and bias (K,). With labels
    (n, K) of zeros and ones the samples have several labels each; with targets (n,) or (n, m) in place of labels they
    are those of a regression.
    """
    from ufm._json import plain

    found = plain("measures", _measured(_load_arrays(file)))
    if as_json:
        print_json(found)
    else:
        inner = found.pop("singles", {})  # of several labels a sample, those that have one
        print_figures(found | {f"singles: {name}": value for name, value in inner.items()})


def _measured(arrays: dict[str, Any]) -> dict[str, Any]:
    """Measures of what the arrays hold: classes, several labels a sample, or targets."""
    import ufm.measures as measures

    features = arrays.pop("features")
    if "targets" in arrays:
        return measures.measure_regression(features, arrays.pop("targets"), **arrays).to_dict()
    labels = arrays.pop("labels")
    if labels.ndim == 2 and labels.shape[1] > 1:
        return measures.measure_multi_label(features, labels, **arrays).to_dict()
    return measures.measure(features, labels, **arrays).to_dict()


def _load_arrays(file: Path) -> dict[str, Any]:
    """Arrays of an .npz file, without pickle; raises ValueError for a file that is none or lacks an array."""
    import zipfile

    import numpy as np

    if not file.is_file():
        raise ValueError(f"FILE must be an .npz file that exists, got {str(file)!r}")
    try:
        if not zipfile.is_zipfile(file):  # which NumPy would take for a pickle, and say so
            raise ValueError("it is no archive of arrays, as numpy.savez writes it")
        with np.load(file, allow_pickle=False) as archive:
            names = [name for name in ("features", "labels", "targets", "classifier", "bias") if name in archive]
            missing = [name for name in ("features",) if name not in names]
            if not {"labels", "targets"} & set(names):
                missing.append("labels (or targets)")
            if missing:
                raise ValueError(f"it lacks {', '.join(missing)} and holds {', '.join(archive.files) or 'nothing'}")
            if {"labels", "targets"} <= set(names):
                raise ValueError("it holds both labels and targets, and one of them says what is measured")
            return {name: archive[name] for name in names}
    except (ValueError, EOFError, OSError, zipfile.BadZipFile) as exc:
        wanted = "features and labels, or features and targets"
        raise ValueError(f"FILE must be an .npz file with {wanted}, got {str(file)!r}: {exc}") from exc
