"""``ufm phase``: phases on a grid of parameters."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any

import typer

from ufm.cli._app import app, command
from ufm.cli.architectures import ARCHITECTURE_OPTIONS
from ufm.cli.options import JsonOption, LossOption, Options, check_figure, numbers, with_options
from ufm.cli.output import print_figures, print_json, print_table

__all__: list[str] = []  # a command is registered, not called


#: Parameters of a phase diagram, by their name in ``ufm.phase_diagram``.
PHASE_OPTIONS: Options = {
    "R": ((str,), ("--R", "--ratios", "--ratio"), "Imbalance R = n_A/n_B."),
    "K_A": ((str,), ("--K-A", "--majority"), "Number of majority classes."),
    "K_B": ((str,), ("--K-B", "--minority"), "Number of minority classes."),
    "K": ((str,), ("--K",), "Number of classes, in place of one of them."),
    **{name: ((str,), *ARCHITECTURE_OPTIONS[name][1:]) for name in ("E_W", "E_H", "rho", "lambda_W", "lambda_H")},
    "lambda_": ((str,), ("--lambda",), "Weight decay of classifier and features."),
    "n_B": (
        (str,),
        ("--n-B", "--minority-count"),
        "Samples n_B of a minority class; for weight decay. (default 1)",
    ),
}

#: Largest grid whose points are printed one by one, and largest of all: its arrays take some tens of gigabytes.
LARGEST_TABLE, LARGEST_GRID = 1000, 10**8


def _axis(name: str, text: str) -> Any:
    """A number, or the array of ``1,2,5``, ``FROM:TO:COUNT`` or ``FROM:TO:COUNT:log``."""
    import numpy as np

    flags = "/".join(PHASE_OPTIONS[name][1])
    if ":" not in text:
        values = numbers(flags, text)
        return values[0] if len(values) == 1 else values
    match text.split(":"):
        case [start, stop, count]:
            space: Any = np.linspace
        case [start, stop, count, "log"]:
            space = np.geomspace
        case _:
            raise ValueError(f"{flags} must be FROM:TO:COUNT or FROM:TO:COUNT:log, got {text!r}")
    try:
        ends, number = (float(start), float(stop)), int(count)
        if not 2 <= number <= LARGEST_GRID or (space is np.geomspace and min(ends) <= 0):
            raise ValueError
    except ValueError:
        raise ValueError(
            f"{flags} must have two numbers and a COUNT from 2 to {LARGEST_GRID} (and with log, numbers > 0), got "
            f"{text!r}"
        ) from None
    values = space(*ends, number)
    # class numbers are integers, whatever their spacing
    return np.unique(np.rint(values)) if name in ("K", "K_A", "K_B") else values


@command(app, "phase", "ufm phase --K-A 5 --K-B 5 --R 1:1e3:100:log --E-W 1 --E-H 0.1:5:100")
@with_options(PHASE_OPTIONS, lambda given: {name: _axis(name, text) for name, text in given.items()})
def phase(
    parameters: Any,
    loss: LossOption = "ce",
    save: Annotated[Path | None, typer.Option("--save", help="Write the diagram here: .nc or .zarr.")] = None,
    plot: Annotated[Path | None, typer.Option("--plot", help="Draw it here: .png, .svg or .pdf; two axes.")] = None,
    quantity: Annotated[str, typer.Option("--quantity", help="What the colours of the plot show.")] = "phase",
    as_json: JsonOption = False,
) -> None:
    """Phase (none, partial, total), order parameter s_B and optimal value on a grid of parameters.

    Every parameter is a number; numbers separated by commas; or FROM:TO:COUNT, spaced evenly, or FROM:TO:COUNT:log,
    spaced by ratios. More than one value makes an axis. Prints the points of a small grid, the number of points in
    every phase of a large one.
    """
    import numpy as np

    import ufm
    from ufm._files import write_figure
    from ufm.two_groups.batch import PHASES
    from ufm.verification import prepare_directory

    check_figure("plot", plot)
    if save is not None and save.suffix not in (".nc", ".zarr"):
        raise ValueError(f"--save must end in .nc (NetCDF) or .zarr (Zarr), got {str(save)!r}")
    for name, path in (("save", save), ("plot", plot)):
        if path is not None:
            prepare_directory(path.parent, f"--{name}'s folder")
    points = math.prod(np.size(values) for values in parameters.values())
    if points > LARGEST_GRID:
        raise ValueError(f"the grid must have at most {LARGEST_GRID} points, got {points}; give it in pieces")
    diagram = ufm.phase_diagram(loss, **parameters)
    figure = None if plot is None else ufm.plot_phase_diagram(diagram, quantity=quantity)
    if save is not None:
        ufm.save_phase_diagram(diagram, save)
    if figure is not None and plot is not None:
        write_figure(figure, plot, dpi=150)
    axes = list(diagram["phase"].dims)
    size = diagram["phase"].size
    counts = {name: int((diagram["phase"] == code).sum()) for code, name in enumerate(PHASES)}
    rows: list[dict[str, Any]] = []
    for index in np.ndindex(diagram["phase"].shape) if size <= LARGEST_TABLE else ():
        point = diagram.isel(dict(zip(axes, index, strict=True)))
        figures = {name: float(point[name]) for name in ("s_B", "value", "lower")}
        place = {str(name): float(point[name]) for name in axes}
        rows.append({**place, "phase": PHASES[int(point["phase"])], **figures})
    if as_json:
        fixed = {str(name): float(value) for name, value in diagram.coords.items() if value.ndim == 0}
        document = {"loss": loss, "fixed": fixed, "axes": {name: diagram.sizes[name] for name in axes}}
        print_json(document | {"phases": counts} | ({"points": rows} if rows else {}))
    elif rows:
        print_table(tuple(rows[0]), [tuple(row.values()) for row in rows])
    else:
        print_figures({"points": size} | counts)
