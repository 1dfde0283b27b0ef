"""``ufm measure``: the neural collapse of features in a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ufm.cli._app import app, command
from ufm.cli.options import JsonOption
from ufm.cli.output import print_json, print_table

if TYPE_CHECKING:
    from ufm.measures import Measures, MultiLabelMeasures, RegressionMeasures

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
    references: Annotated[
        bool, typer.Option("--references", help="With --json, add what theory would have; the table always shows it.")
    ] = False,
) -> None:
    """Measure the neural collapse of a trained network's last-layer features.

    The file holds the arrays features (n, d) and labels (n,), and may hold classifier (K, d) and bias (K,). With labels
    (n, K) of zeros and ones the samples have several labels each; with targets (n,) or (n, m) in place of labels they
    are those of a regression. Beside every measure stand its value under full collapse (for classes in the simplex
    ETF) and the least that as many dimensions allow.
    """
    from ufm._json import plain
    from ufm.measures import reference_values

    measures = _measured(_load_arrays(file))
    found = plain("measures", measures.to_dict())
    beside = plain("references", reference_values(measures)) if references or not as_json else {}
    if as_json:
        print_json(found | ({"references": beside} if references else {}))
    else:
        inner = found.pop("singles", {})  # of several labels a sample, those that have one
        _print_beside(found | {f"singles: {name}": value for name, value in inner.items()}, beside)


def _print_beside(found: dict[str, Any], references: dict[str, dict[str, Any]]) -> None:
    """A table of the measures with what theory would have."""
    column = "etf" if any("etf" in row for row in references.values()) else "collapse"
    rows = []
    for name, value in found.items():
        row = references.get(name, {})
        rows.append((name.replace("_", " "), value, row.get(column), row.get("floor")))
    print_table(("measure", "measured", "in the ETF" if column == "etf" else "at collapse", "floor"), rows, digits=6)


def _measured(arrays: dict[str, Any]) -> Measures | RegressionMeasures | MultiLabelMeasures:
    """Measures of what the arrays hold: classes, several labels a sample, or targets."""
    import ufm.measures as measures

    features = arrays.pop("features")
    if "targets" in arrays:
        return measures.measure_regression(features, arrays.pop("targets"), **arrays)
    labels = arrays.pop("labels")
    if labels.ndim == 2 and labels.shape[1] > 1:
        return measures.measure_multi_label(features, labels, **arrays)
    return measures.measure(features, labels, **arrays)


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
            both = {"labels", "targets"} & set(names)
            missing = ["features"] * ("features" not in names) + ["labels (or targets)"] * (not both)
            if missing:
                raise ValueError(f"it lacks {', '.join(missing)} and holds {', '.join(archive.files) or 'nothing'}")
            if len(both) == 2:
                raise ValueError("it holds both labels and targets, and one of them says what is measured")
            return {name: archive[name] for name in names}
    except (ValueError, EOFError, OSError, zipfile.BadZipFile) as exc:
        wanted = "features and labels, or features and targets"
        raise ValueError(f"FILE must be an .npz file with {wanted}, got {str(file)!r}: {exc}") from exc
