"""``ufm deq sweep``: networks across the collapse threshold."""

from __future__ import annotations

import contextlib
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ufm._interrupts import exit_status, interrupt_answered
from ufm.cli._app import command, deq_app
from ufm.cli.deq.options import TRAINING_OPTIONS
from ufm.cli.options import FigureOption, JsonOption, RootOption, numbers, prepare_files, with_options
from ufm.cli.output import print_json, print_table, progress_bar

if TYPE_CHECKING:
    from ufm.deq import MeasuredThreshold

__all__: list[str] = []  # a command is registered, not called


@command(deq_app, "sweep", "ufm deq sweep --effort quick --out sweep.jsonl")
@with_options(TRAINING_OPTIONS, dict)
def deq_sweep(
    training: Any,
    effort: Annotated[
        str, typer.Option("--effort", help="quick (a minute) or full (twenty), unless listed.")
    ] = "quick",
    explicit: Annotated[str | None, typer.Option("--explicit", help="n_B of explicit networks, e.g. 8,14,26.")] = None,
    identity: Annotated[str | None, typer.Option("--identity", help="n_B of DEQs with A started at ρI.")] = None,
    zero: Annotated[str | None, typer.Option("--zero", help="n_B of DEQs with A started at 0.")] = None,
    seeds: Annotated[str, typer.Option("--seeds", help="Seeds of listed points.")] = "0",
    out: Annotated[Path | None, typer.Option("--out", help="Keep points here (JSON lines) and go on from it.")] = None,
    figure: FigureOption = None,
    root: RootOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train networks across the collapse threshold, prediction beside measurement at every point.

    With four uncollapsed points of every seed that have converged, the threshold is measured too, by extrapolation.
    With --gamma above 0 the theory, that of gamma = 0, is no prediction for the DEQs: their departure from it is
    measured, not judged.

    Exit status 0 if every point at least 15% away from its threshold agrees with the prediction (a DEQ started at A = 0
    may stay trapped instead) and every nonlinear one has converged, 1 if one does not, 130 if interrupted: finished
    points are printed, and kept in --out.
    """
    from ufm._files import write_figure
    from ufm._validation import one_of
    from ufm.deq import SweepConfig, SweepInterrupted, TrainingConfig, run_sweep
    from ufm.trainings.threshold import threshold_of_sweep

    listed = {"explicit": explicit, "identity": identity, "zero": zero}
    if any(value is not None for value in listed.values()):
        points: dict[str, Any] = {
            name: tuple(numbers(name, value)) for name, value in listed.items() if value is not None
        }
        shared = TrainingConfig(minority_count=1, **training)  # each point replaces n_B
        points["seeds"] = tuple(numbers("seeds", seeds))
        config = SweepConfig(**points, training=shared)
    else:
        config = getattr(SweepConfig, one_of("effort", effort, ("quick", "full")))(**training)
    prepare_files(out, figure)
    interrupted = False
    with progress_bar() as progress:
        try:
            sweep = run_sweep(config, path=out, root=root, progress=progress)
        except SweepInterrupted as stopped:
            interrupt_answered()
            sweep, interrupted = stopped.sweep, True
    if figure is not None and sweep.points:
        from ufm.deq import plot_sweep

        write_figure(plot_sweep(sweep), figure)
    measured = {}
    for name in ("explicit", "identity"):
        with contextlib.suppress(ValueError):  # too few points
            measured[name] = threshold_of_sweep(sweep, name)
    if as_json:
        thresholds = {name: dataclasses.asdict(found) for name, found in measured.items()}
        print_json({**sweep.to_dict(), "measured_thresholds": thresholds})
    else:
        linear = not any(p.status == "nonlinear" for p in sweep.points)
        predicted = "s_B predicted" if linear else "s_B, linear theory"
        header = ("branch", "n_B", "threshold", predicted, "s_B measured", "phase", "minority cosine", "status")
        rows = [
            (p.branch, p.minority_count, p.threshold, p.predicted_scale, p.scale, p.phase, p.minority_cosine, p.status)
            for p in sweep.points
        ]
        print_table(header, rows, digits=5)
        for name, found in measured.items():
            typer.echo(f"{name}: measured threshold {_threshold_text(found)}")
        if not linear:
            typer.echo("nonlinear: measured, not judged; threshold and s_B beside are the linear theory's (gamma = 0)")
        unconverged = sum(p.converged is False for p in sweep.points)
        if unconverged:
            typer.echo(f"not converged: {unconverged} of {len(sweep.points)} points")
        if interrupted:
            typer.echo(f"partial: interrupted after {len(sweep.points)} of {len(config.trainings())} points")
    unfinished = any(p.status == "nonlinear" and not p.converged for p in sweep.points)
    raise typer.Exit(exit_status() if interrupted else 1 if sweep.deviations or unfinished else 0)


def _threshold_text(found: MeasuredThreshold) -> str:
    text = f"n_B = {found.value:.2f} ± {found.error:.2f}"
    if found.spread is None:
        text += " (error of the extrapolation; the spread over seeds is unknown with one)"
    low = "no collapsed training" if found.collapsed is None else f"collapsed up to {found.collapsed}"
    text += f"; {low}, uncollapsed from {found.uncollapsed} on"
    return text if not found.left_out else f"{text}; {found.left_out} unconverged or failed left out"
