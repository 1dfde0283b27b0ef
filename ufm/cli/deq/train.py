"""``ufm deq train``: one network, beside its prediction."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ufm._interrupts import interrupt_answered
from ufm.cli._app import command, deq_app
from ufm.cli.deq.options import EXPERIMENT_OPTIONS, SHARED_OPTIONS, SINGLE_OPTIONS, TRAINING_OPTIONS, long_flag
from ufm.cli.options import JsonOption, RootOption, with_options
from ufm.cli.output import print_figures, print_json, print_table, progress_bar

if TYPE_CHECKING:
    from ufm.deq import TrainingConfig

__all__: list[str] = []  # a command is registered, not called


@command(deq_app, "train", "ufm deq train --minority-count 10 --save network.npz")
@with_options(SINGLE_OPTIONS | TRAINING_OPTIONS | EXPERIMENT_OPTIONS, dict)
def deq_train(
    given: Any,
    save: Annotated[Path | None, typer.Option("--save", help="Write weights and features (.npz) here.")] = None,
    run: Annotated[
        Path | None,
        typer.Option("--run", help="Train by SGD as papers do; keep it in this folder, or go on."),
    ] = None,
    root: RootOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train one network on images and set its geometry beside the prediction.

    The file of --save can be read by `ufm measure`. Exit status 1 if the training did not converge. With --gamma above
    0 the prediction is the linear theory's (gamma = 0), and the measured may depart from it.

    With --run DIR: minibatch SGD with momentum, weight decay and a cosine schedule, neural collapse measured over the
    epochs, checkpoints in DIR. The same command goes on after an interruption or a kill; --run DIR alone is enough
    where DIR holds a run.
    """
    for key in given:
        if run is None and key in EXPERIMENT_OPTIONS:
            raise ValueError(f"{long_flag(key)} plays a role with --run only")
        if run is not None and key not in EXPERIMENT_OPTIONS and key not in SHARED_OPTIONS:
            raise ValueError(f"{long_flag(key)} plays no role with --run")
    if run is not None:
        if save is not None:
            raise ValueError("--save plays no role with --run, whose folder holds the weights")
        _deq_run(run, given, root, as_json)
        return
    from ufm.deq import TrainingConfig, train

    if save is not None:
        from ufm.verification import prepare_directory

        prepare_directory(save.parent, "--save's folder")
    config = TrainingConfig(**given)
    with progress_bar() as progress:
        result = train(config, root=root, progress=progress)
    if save is not None:
        result.save(save)
    found = result.to_dict()
    if as_json:
        print_json(found)
    else:
        objective, budgets = found["from_objective"], found["from_budgets"]
        rows = [
            ("s_B" if name == "scale" else name.replace("_", " "), e["predicted"], e["measured"], e["relative_error"])
            for name, e in objective.items()
            if isinstance(e, dict)
        ]
        rows.append(("phase", objective["phase"], objective["measured_phase"], None))
        print_table(("", _predicted(config), "measured", "relative error"), rows, digits=8)
        print_figures(
            {
                "predicted threshold, minority count": objective["threshold"],
                "Gram error, class means": objective["gram_features"],
                "Gram error, classifier": objective["gram_classifier"],
                "from own budgets: threshold": budgets.get("threshold"),
                "from own budgets: Gram error, class means": budgets.get("gram_features"),
                "from own budgets: Gram error, classifier": budgets.get("gram_classifier"),
                "spectral norm of A": found["spectral_norm"],
                "converged": found["fit"]["converged"],
                "status": found["status"],
                "seconds": found["fit"]["seconds"],
            }
        )
        if "error" in budgets:
            typer.echo(f"own budgets predict nothing: {budgets['error']}")
    raise typer.Exit(0 if result.fit.converged else 1)


def _predicted(config: TrainingConfig) -> str:
    """Header of what is predicted of a training."""
    return "predicted" if config.is_modelled else "predicted, linear theory (gamma = 0)"


def _deq_run(folder: Path, given: dict[str, Any], root: Path | None, as_json: bool) -> None:
    """Train by SGD in ``folder``, or go on with the run in it."""
    from ufm.deq import ExperimentConfig, run_experiment

    if "options" in given:
        try:
            given["options"] = json.loads(given["options"])
        except ValueError as error:
            raise ValueError(f"--model-options must be JSON, got {given['options']!r}: {error}") from None
    path = folder / "config.json"
    config = ExperimentConfig.from_file(path) if path.exists() and not given else ExperimentConfig(**given)
    try:
        with progress_bar() as progress:
            experiment = run_experiment(config, folder, root=root, progress=progress)
    except KeyboardInterrupt:
        interrupt_answered()
        command = f"ufm deq train --run {shlex.quote(str(folder))}"
        typer.echo(f"kept up to the last checkpoint; go on with: {command}", err=True)
        raise
    found = experiment.to_dict()
    if as_json:
        print_json(found)
        return
    last = found["final"]
    rows = [
        (f"{name} accuracy, {part}", last[f"{name}_accuracy"][part])
        for name in ("train", "test")
        for part in ("overall", "majority", "minority")
    ]
    names = ("nc1", "trace_quotient", "etf_error", "self_duality_error", "nc4", "minority_cosine")
    rows += [(name.replace("_", " "), last["measures"][name]) for name in names]
    rows += [(f"fixed point, {name}", value) for name, value in (last["fixed_point"] or {}).items()]
    print_table(("", "value"), [*rows, ("epochs", last["epoch"]), ("stopped", found["stopped"])], digits=6)
