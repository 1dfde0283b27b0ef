"""``ufm deq hysteresis``: n_B up and down, each training from the weights of the last."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import typer

from ufm._interrupts import exit_status, interrupt_answered
from ufm.cli._app import command, deq_app
from ufm.cli.deq.options import SINGLE_OPTIONS, TRAINING_OPTIONS
from ufm.cli.options import FigureOption, JsonOption, RootOption, numbers, prepare_files, with_options
from ufm.cli.output import print_json, print_table, progress_bar

__all__: list[str] = []  # a command is registered, not called


@command(deq_app, "hysteresis", "ufm deq hysteresis --leg 2,4,8,11,12,16 --leg 12,11,8,4,2 --start zero")
@with_options(TRAINING_OPTIONS | {name: SINGLE_OPTIONS[name] for name in ("start", "seed")}, dict)
def deq_hysteresis(
    training: Any,
    leg: Annotated[list[str], typer.Option("--leg", help="n_B of one way, in order, e.g. 2,4,8; repeat for the next.")],
    width: Annotated[
        int | None, typer.Option("--width", help="Hidden units. (default 1.2 N at the largest n_B)")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Keep points here (JSON) and go on from it.")] = None,
    figure: FigureOption = None,
    root: RootOption = None,
    as_json: JsonOption = False,
) -> None:
    """Sweep n_B up and down, each training from the weights of the last, next to the branches that theory has.

    A network of lower rank than the optimum's is held against the local minimum of its rank.

    Exit status 0, 1 if a training did not converge, 130 if interrupted: finished points are printed, and kept in --out.
    """
    from ufm._files import write_figure
    from ufm.deq import LoopInterrupted, TrainingConfig, hysteresis_loop, low_rank_codes

    legs = [numbers("--leg", text) for text in leg]
    # The loop checks the legs; the width alone needs the largest n_B before.
    config = TrainingConfig(minority_count=max(map(max, legs)), width=width, **training)  # type: ignore[arg-type]
    config = dataclasses.replace(config, width=config.hidden_units)
    prepare_files(out, figure)
    interrupted = False
    with progress_bar() as progress:
        try:
            loop = hysteresis_loop(config, legs, path=out, root=root, progress=progress)  # type: ignore[arg-type]  # checked there
        except LoopInterrupted as stopped:
            interrupt_answered()
            loop, interrupted = stopped.loop, True
    if figure is not None and loop.points:
        from ufm.deq import plot_hysteresis

        write_figure(plot_hysteresis({f"A starts at {'ρI' if config.start == 'identity' else '0'}": loop}), figure)
    if as_json:
        print_json({**loop.to_dict(), "partial": loop.is_partial})
    else:
        header = ("leg", "n_B", "s_B measured", "its branch", "optimum", "phase", "rank", "over optimum")
        rows = [
            (
                p.leg,
                p.minority_count,
                p.scale,
                p.predicted_scale if code is None else code.scale,
                p.predicted_scale,
                p.phase,
                f"{p.rank} of {p.predicted_rank}",
                f"{p.objective_error:+.2%}",
            )
            for p, code in zip(loop.points, low_rank_codes(loop), strict=True)
        ]
        print_table(header, rows, digits=5)
        if interrupted:
            typer.echo(f"partial: interrupted after {len(loop.points)} of {sum(map(len, loop.legs))} points")
    raise typer.Exit(exit_status() if interrupted else 0 if all(p.converged for p in loop.points) else 1)
