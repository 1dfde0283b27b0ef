"""The command line ``ufm``: a thin layer that parses, calls the package and prints.

Exit status: 0 when all is as claimed, 1 when a claim came out otherwise, 2 for wrong usage (a bad value, an unreadable
file), 128 and the number of the signal when interrupted: 130 by Ctrl-C, 143 by SIGTERM, 129 by SIGHUP, which keep the
same. With ``--json`` standard output holds one JSON document and nothing else.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import inspect
import json
import math
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from ufm._extras import optional, require

with optional("cli"):
    import typer

from ufm._interrupts import (
    check_interrupt,
    exit_status,
    interrupt_answered,
    interruptible,
    interrupts_allowed,
    interrupts_held,
)

if TYPE_CHECKING:
    from rich.console import Console

    from ufm.architectures import Architecture
    from ufm.deq import MeasuredThreshold, TrainingConfig
    from ufm.labels import ClassPrior

__all__ = ["app", "main"]

app = typer.Typer(
    name="ufm",
    help="Verify the theory of neural collapse, minority collapse and deep equilibrium models.",
    epilog="Example: ufm threshold --majority 5 --minority 5 --E-W 1 --E-H 5",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
deq_app = typer.Typer(
    help="Train real deep equilibrium models and set prediction beside measurement.",
    epilog="Example: ufm deq train --minority-count 10",
    no_args_is_help=True,
)
app.add_typer(deq_app, name="deq")

#: Architectures by their name on the command line: class, the options it needs and those it may be given.
ARCHITECTURES: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "layer-peeled": ("LayerPeeled", ("E_W", "E_H"), ()),
    "linear-deq": ("LinearDEQ", ("E_W", "E_H", "rho"), ("E_A",)),
    "deep-linear": ("DeepLinear", ("budgets",), ()),
    "unconstrained-features": ("UnconstrainedFeatures", ("lambda_W", "lambda_H"), ()),
    "penalised-deq": ("PenalisedDEQ", ("lambda_W", "lambda_H", "rho"), ("lambda_A",)),
}

Options = dict[str, tuple[type, tuple[str, ...], str]]

#: Options that choose an architecture, shared by several commands: type, flags, help.
ARCHITECTURE_OPTIONS: Options = {
    "architecture": (
        str,
        ("--architecture", "-a"),
        f"One of {', '.join(ARCHITECTURES)}. (default layer-peeled)",
    ),
    "E_W": (float, ("--E-W", "--e-w"), "Classifier budget E_W."),
    "E_H": (float, ("--E-H", "--e-h"), "Feature budget E_H."),
    "budgets": (str, ("--budgets",), "Budgets c_1,...,c_M of a deep linear network."),
    "lambda_W": (float, ("--lambda-W", "--lambda-w"), "Weight decay of the classifier."),
    "lambda_H": (float, ("--lambda-H", "--lambda-h"), "Weight decay of the features."),
    "rho": (float, ("--rho",), "Spectral bound on the equilibrium map A, in [0, 1)."),
    "E_A": (float, ("--E-A", "--e-a"), "Budget of |A|_F^2, optional for linear-deq; the problem is then not convex."),
    "lambda_A": (float, ("--lambda-A", "--lambda-a"), "Weight decay of A, optional for penalised-deq; not convex."),
}

#: Parameters of a phase diagram, by their name in ``ufm.phase_diagram``.
PHASE_OPTIONS: Options = {
    "R": (str, ("--R", "--ratios", "--ratio"), "Imbalance R = n_A/n_B."),
    "K_A": (str, ("--K-A", "--majority"), "Number of majority classes."),
    "K_B": (str, ("--K-B", "--minority"), "Number of minority classes."),
    "K": (str, ("--K",), "Number of classes, in place of one of them."),
    **{name: (str, *ARCHITECTURE_OPTIONS[name][1:]) for name in ("E_W", "E_H", "rho", "lambda_W", "lambda_H")},
    "lambda_": (str, ("--lambda",), "Weight decay of classifier and features."),
    "n_B": (str, ("--n-B", "--minority-count"), "Samples of a minority class; matters for weight decay. (default 1)"),
}

#: Largest grid whose points are printed one by one.
LARGEST_TABLE = 1000

#: Options of a training, by field of ``ufm.deq.TrainingConfig``, which holds the defaults and checks the values.
TRAINING_OPTIONS: Options = {
    "dataset": (str, ("--dataset",), "digits, mnist1d or fashion-mnist; with --run also cifar10 or cifar100."),
    "majority_count": (int, ("--majority-count",), "Images n_A of each majority class. (default 100; 500 with --run)"),
    "num_majority": (int, ("--majority",), "Number K_A of majority classes. (default 5)"),
    "num_minority": (int, ("--minority",), "Number K_B of minority classes. (default 5)"),
    "lambda_W": (float, ("--lambda-W", "--lambda-w"), "Weight decay of the classifier. (default √20/600)"),
    "lambda_H": (float, ("--lambda-H", "--lambda-h"), "Weight decay of the features. (default √20/600)"),
    "rho": (float, ("--rho",), "Spectral bound on A, in [0, 1). (default 0.5)"),
    "activation": (str, ("--activation",), "Nonlinearity of the fixed point, tanh or relu. (default tanh)"),
    "gamma": (float, ("--gamma",), "Its strength in [0, 1]; 0 is the linear DEQ of the theory. (default 0)"),
    "solver": (str, ("--solver",), "Fixed-point solver. (default fixed_point)"),
    "max_iterations": (int, ("--max-iterations",), "Longest optimisation. (default 1000)"),
    "device": (str, ("--device",), "auto, cpu or cuda. (default auto)"),
}

#: Options of a single training, beyond those of all trainings.
SINGLE_OPTIONS: Options = {
    "architecture": (str, ("--architecture", "-a"), "deq or explicit. (default deq)"),
    "minority_count": (int, ("--minority-count",), "Images n_B of each minority class. (default 10)"),
    "start": (str, ("--start",), "Where A starts: identity (A = ρI) or zero. (default identity)"),
    "seed": (int, ("--seed",), "Seed of everything random. (default 0)"),
}

#: Options of a run by SGD, by field of ``ufm.deq.ExperimentConfig``, which holds the defaults and checks the values.
EXPERIMENT_OPTIONS: Options = {
    "model": (str, ("--model",), "Name of ufm.deq.build_model, such as conv-deq or resnet18. (default conv-deq)"),
    "options": (str, ("--model-options",), 'Its options as JSON, such as \'{"cell": "contractive", "rho": 0.9}\'.'),
    "width": (int, ("--width",), "Channels or hidden units. (default 16)"),
    "ratio": (float, ("--ratio",), "Imbalance R = n_A/n_B. (default 10)"),
    "imbalance": (str, ("--imbalance",), "step, or long-tailed: n_k falls from n_A to n_A/R. (default step)"),
    "classes": (str, ("--classes",), "Which are the majority: the first, or shuffled by the seed. (default first)"),
    "test_count": (int, ("--test-count",), "Test images of each class. (default all)"),
    "pool": (int, ("--pool",), "Average images over squares of this many pixels a side. (default 1)"),
    "epochs": (int, ("--epochs",), "Passes over the training set. (default 200)"),
    "batch_size": (int, ("--batch-size",), "Samples of a step. (default 128)"),
    "learning_rate": (float, ("--learning-rate",), "At the start of the cosine schedule. (default 0.05)"),
    "weight_decay": (float, ("--weight-decay",), "Of all weights. (default 5e-4)"),
    "jacobian_weight": (float, ("--jacobian-weight",), "Of the Jacobian penalty, with a fixed point. (default 0)"),
    "evaluate_every": (int, ("--evaluate-every",), "Epochs between evaluations and checkpoints. (default 5)"),
    "patience": (int, ("--patience",), "Stop when the terminal phase converged over so many evaluations."),
}
#: Options of a training that a run by SGD takes too.
SHARED_OPTIONS = ("dataset", "majority_count", "num_majority", "num_minority", "device", "seed")


def _parsed(kind: type) -> dict[str, Any]:
    """Keywords of ``typer.Option`` that parse a number and, unlike the default, show the value that is none."""
    noun = {int: "an integer", float: "a number"}

    def parse(text: str) -> Any:
        try:
            return kind(text)
        except ValueError:
            raise typer.BadParameter(f"must be {noun[kind]}, got {text!r}") from None

    return {"parser": parse, "metavar": f"<{kind.__name__}>"} if kind in noun else {}


JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of a table.")]
FigureOption = Annotated[
    Path | None, typer.Option("--figure", help="Draw s_B against n_B into this .svg, .png or .pdf.")
]
RootOption = Annotated[Path | None, typer.Option("--root", help="Folder of the data set's files.")]
LossOption = Annotated[str, typer.Option("--loss", help="ce (cross-entropy) or mse.")]
MajorityOption = Annotated[
    int | None, typer.Option("--majority", help="Number K_A of majority classes.", **_parsed(int))
]
MinorityOption = Annotated[
    int | None, typer.Option("--minority", help="Number K_B of minority classes.", **_parsed(int))
]
SeedOption = Annotated[int, typer.Option("--seed", help="Seed of everything random.", **_parsed(int))]


def main() -> None:
    """Entry point of the ``ufm`` script."""
    try:
        with interruptible(), interrupts_held():  # a command says from where on it can be interrupted
            app(prog_name="ufm")
    except KeyboardInterrupt:  # after the command's end
        sys.exit(exit_status())


def _command(
    group: typer.Typer, name: str, example: str, *, held: bool = False
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register a command; wrong values end in a message and status 2, an interrupt in its status, never a traceback.

    With ``held`` the command itself says from where on it can be interrupted.
    """

    def register(function: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> None:
            try:
                with contextlib.nullcontext() if held else interrupts_allowed():
                    function(*args, **kwargs)
                check_interrupt()
            except KeyboardInterrupt:
                interrupt_answered()
                typer.echo("ufm: interrupted", err=True)
                raise typer.Exit(exit_status()) from None
            except BrokenPipeError:
                raise
            except (ValueError, TypeError, OSError) as exc:
                typer.echo(f"ufm: {exc}", err=True)
                raise typer.Exit(2) from None

        group.command(name, help=inspect.getdoc(function), epilog=f"Example: {example}")(wrapper)
        return function

    return register


def _with_options(
    options: Options, build: Callable[[dict[str, Any]], Any]
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command ``options`` in place of its first parameter, which gets ``build`` of those that were given."""

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
        shared = [
            inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
            for key, (kind, flags, text) in options.items()
            for annotation in (Annotated[kind | None, typer.Option(*flags, help=text, **_parsed(kind))],)
        ]

        def wrapper(**values: Any) -> None:
            given = {key: value for key in options if (value := values.pop(key)) is not None}
            function(build(given), **values)

        parameters = [*shared, *(p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own)]
        wrapper.__name__, wrapper.__doc__ = function.__name__, function.__doc__
        wrapper.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        wrapper.__annotations__ = {p.name: p.annotation for p in parameters}
        return wrapper

    return decorate


def _architecture(given: dict[str, Any]) -> Architecture:
    """The architecture of the options; raises ValueError for one that is missing or plays no role."""
    from ufm import architectures
    from ufm._validation import one_of

    name = one_of("--architecture", given.pop("architecture", "layer-peeled"), ARCHITECTURES)
    class_name, wanted, optional = ARCHITECTURES[name]
    for key in ARCHITECTURE_OPTIONS:
        if key in wanted and key not in given:
            raise ValueError(f"{_flag(key)} must be given for --architecture {name}")
        if key in given and key not in wanted + optional:
            taken = _flags(wanted + optional)
            raise ValueError(f"{_flag(key)} plays no role for --architecture {name}: it takes {taken}")
    if "budgets" in given:
        given["budgets"] = tuple(_numbers("budgets", given["budgets"]))
    return getattr(architectures, class_name)(**given)


# Claims -------------------------------------------------------------------------------------------------------------


@_command(app, "verify", "ufm verify --effort quick --out report", held=True)
def verify(
    claims: Annotated[list[str] | None, typer.Argument(metavar="[CLAIM]...", help="Claims by id; all if none.")] = None,
    effort: Annotated[str, typer.Option("--effort", help="quick (a minute or two) or full.")] = "quick",
    out: Annotated[Path, typer.Option("--out", help="Directory for report.html and report.json.")] = Path("out"),
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Check claims of the theory and write a report.

    Shows a table of verdicts as they come, then writes report.html and report.json. Exit status 0 if every claim came
    out proved, certified or supported, 1 if one did not, 130 if interrupted by Ctrl-C, 143 by SIGTERM: then finished
    verdicts are kept in a report that says it is partial.
    """
    from ufm._live import LiveView, summary_text
    from ufm.report import build_report
    from ufm.verification import verify as run_checks

    view = LiveView(_console(stderr=as_json))
    command = shlex.join(["ufm", *sys.argv[1:]])
    run = run_checks(claims or None, effort, out=out, seed=seed, progress=view.progress, command=command)
    stopped = False
    try:
        with interrupts_allowed(), view.running(run):
            view.start(run.current)
            for verdict in run:
                view.verdict(verdict)
                view.start(run.current)
    except KeyboardInterrupt:
        run.stop()
        stopped = True
    with interrupts_allowed():
        if as_json:
            _print_json(build_report(run))
        view.console.print()
        view.console.print(summary_text(run))
        partial = " (partial: interrupted)" if run.interrupted else ""
        view.console.print(f"report{partial}: {out / 'report.html'}", soft_wrap=True, highlight=False, markup=False)
    raise typer.Exit(exit_status() if stopped else 0 if run.all_as_claimed else 1)


@_command(app, "claims", "ufm claims --json")
def claims(as_json: JsonOption = False) -> None:
    """List the claims: id, title, and the effort from which a run includes them."""
    from ufm.claims import all_claims

    known = list(all_claims().values())
    if as_json:
        fields = ("id", "title", "statement", "source", "group", "hypotheses", "region", "effort")
        _print_json([{name: getattr(claim, name) for name in fields} for claim in known])
        return
    _print_table(("id", "claim", "group", "effort"), [(c.id, c.title, c.group, c.effort) for c in known])


# Solving ------------------------------------------------------------------------------------------------------------


@_command(app, "solve", "ufm solve --E-W 1 --E-H 5 --majority 5 --minority 5 --ratio 12")
@_with_options(ARCHITECTURE_OPTIONS, _architecture)
def solve(
    architecture: Any,
    counts: Annotated[str | None, typer.Option("--counts", help="Counts n_k, e.g. 100,100,10.")] = None,
    majority: MajorityOption = None,
    minority: MinorityOption = None,
    ratio: Annotated[float | None, typer.Option("--ratio", help="Imbalance R = n_A/n_B.")] = None,
    minority_count: Annotated[
        float | None, typer.Option("--minority-count", help="n_B; matters for penalised architectures. (default 1)")
    ] = None,
    loss: LossOption = "ce",
    method: Annotated[str, typer.Option("--method", help="auto, reduced, nuclear, sdp, direct or search.")] = "auto",
    starts: Annotated[
        int | None, typer.Option("--starts", help="Starts of a search. (default 100; direct 8)", **_parsed(int))
    ] = None,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Solve one problem: optimal value with its enclosure, multiplier and geometry.

    Where the problem is not convex (--E-A, --lambda-A, three or more --budgets) it is searched from many starts, and
    the distinct local minima found are listed; "is global" is then yes only if a lower bound meets the best of them.
    """
    import ufm
    from ufm._json import plain
    from ufm.problem import Problem

    prior = _prior(counts, majority, minority, ratio, minority_count)
    options = {} if starts is None else {"starts": starts}
    if options and method not in ("direct", "search") and Problem.of(architecture, prior, loss).is_convex:
        raise ValueError(f"--starts plays no role for --method {method} on this problem: it is not searched")
    solution = ufm.solve(architecture, prior, loss, method=method, seed=seed, **options)
    minima = [minimum.to_dict() for minimum in solution.local_minima]
    figures: dict[str, Any] = {
        "architecture": repr(architecture),
        "counts": prior.counts,
        "loss": loss,
        "method": solution.method,
        "value": solution.value,
        "lower": solution.lower,
        "upper": solution.upper,
        "multiplier": solution.multiplier,
        "is_global": solution.is_global,
        "geometry": solution.geometry.to_dict(),
    }
    if as_json:
        found = {"local_minima": minima} if minima else {}
        _print_json(plain("solution", figures | found | {"logits": solution.logits}))
        return
    figures["counts"] = repr(prior)
    _print_figures({**{k: v for k, v in figures.items() if k != "geometry"}, **figures["geometry"]})
    if minima:
        columns = ("value", "share", "rank", "phase", "structure")
        typer.echo(f"\n{len(minima)} local minima from {solution.info['starts']} starts")
        _print_table(columns, [tuple(row[name] for name in columns) for row in minima])


@_command(app, "threshold", "ufm threshold --E-W 1 --E-H 5 --majority 5 --minority 5")
@_with_options(ARCHITECTURE_OPTIONS, _architecture)
def threshold(
    architecture: Any,
    majority: MajorityOption = None,
    minority: MinorityOption = None,
    loss: LossOption = "ce",
    num_samples: Annotated[float | None, typer.Option("--num-samples", help="Fix N (penalised).")] = None,
    majority_count: Annotated[float | None, typer.Option("--majority-count", help="Fix n_A (penalised).")] = None,
    minority_count: Annotated[float | None, typer.Option("--minority-count", help="Fix n_B (penalised).")] = None,
    as_json: JsonOption = False,
) -> None:
    """Imbalance ratio R* from which on the minority has collapsed."""
    import ufm

    k_a, k_b = _groups(majority, minority)
    found = ufm.collapse_threshold(
        architecture,
        k_a,
        k_b,
        loss=loss,
        num_samples=num_samples,
        majority_count=majority_count,
        minority_count=minority_count,
    )
    figures = {
        "architecture": repr(architecture),
        "ratio": found.ratio,
        "lower": found.lower,
        "upper": found.upper,
        "majority_count": found.majority_count,
        "minority_count": found.minority_count,
    }
    if as_json:
        _print_json(figures)
        return
    _print_figures({name: value for name, value in figures.items() if value is not None})


@_command(app, "phase", "ufm phase --K-A 5 --K-B 5 --R 1:1e3:100:log --E-W 1 --E-H 0.1:5:100")
@_with_options(PHASE_OPTIONS, lambda given: {name: _axis(name, text) for name, text in given.items()})
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

    _check_figure("plot", plot)
    diagram = ufm.phase_diagram(loss, **parameters)
    figure = None if plot is None else ufm.plot_phase_diagram(diagram, quantity=quantity)
    if save is not None:
        ufm.save_phase_diagram(diagram, save)
    if figure is not None and plot is not None:
        plot.parent.mkdir(parents=True, exist_ok=True)
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
        _print_json(document | {"phases": counts} | ({"points": rows} if rows else {}))
    elif rows:
        _print_table(tuple(rows[0]), [tuple(row.values()) for row in rows])
    else:
        _print_figures({"points": size} | counts)


# Real networks ------------------------------------------------------------------------------------------------------


@_command(deq_app, "train", "ufm deq train --minority-count 10 --save network.npz")
@_with_options(SINGLE_OPTIONS | TRAINING_OPTIONS | EXPERIMENT_OPTIONS, dict)
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
            raise ValueError(f"{_long_flag(key)} plays a role with --run only")
        if run is not None and key not in EXPERIMENT_OPTIONS and key not in SHARED_OPTIONS:
            raise ValueError(f"{_long_flag(key)} plays no role with --run")
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
    with _progress_bar() as progress:
        result = train(config, root=root, progress=progress)
    if save is not None:
        result.save(save)
    found = result.to_dict()
    if as_json:
        _print_json(found)
    else:
        objective, budgets = found["from_objective"], found["from_budgets"]
        rows = [
            ("s_B" if name == "scale" else name.replace("_", " "), e["predicted"], e["measured"], e["relative_error"])
            for name, e in objective.items()
            if isinstance(e, dict)
        ]
        rows.append(("phase", objective["phase"], objective["measured_phase"], None))
        _print_table(("", _predicted(config), "measured", "relative error"), rows, digits=8)
        _print_figures(
            {
                "predicted threshold, minority count": objective["threshold"],
                "Gram error, class means": objective["gram_features"],
                "Gram error, classifier": objective["gram_classifier"],
                "from own budgets: threshold": budgets.get("threshold"),
                "from own budgets: Gram error, class means": budgets.get("gram_features"),
                "from own budgets: Gram error, classifier": budgets.get("gram_classifier"),
                "spectral norm of A": found["spectral_norm"],
                "converged": found["fit"]["converged"],
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
        with _progress_bar() as progress:
            experiment = run_experiment(config, folder, root=root, progress=progress)
    except KeyboardInterrupt:
        interrupt_answered()
        command = f"ufm deq train --run {shlex.quote(str(folder))}"
        typer.echo(f"kept up to the last checkpoint; go on with: {command}", err=True)
        raise
    found = experiment.to_dict()
    if as_json:
        _print_json(found)
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
    _print_table(("", "value"), [*rows, ("epochs", last["epoch"]), ("stopped", found["stopped"])], digits=6)


@_command(deq_app, "sweep", "ufm deq sweep --effort quick --out sweep.jsonl")
@_with_options(TRAINING_OPTIONS, dict)
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
            name: tuple(_numbers(name, value)) for name, value in listed.items() if value is not None
        }
        shared = TrainingConfig(minority_count=1, **training)  # each point replaces n_B
        points["seeds"] = tuple(_numbers("seeds", seeds))
        config = SweepConfig(**points, training=shared)
    else:
        config = getattr(SweepConfig, one_of("effort", effort, ("quick", "full")))(**training)
    _prepare_files(out, figure)
    interrupted = False
    with _progress_bar() as progress:
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
        _print_json({**sweep.to_dict(), "measured_thresholds": thresholds})
    else:
        linear = not any(p.status == "nonlinear" for p in sweep.points)
        predicted = "s_B predicted" if linear else "s_B, linear theory"
        header = ("branch", "n_B", "threshold", predicted, "s_B measured", "phase", "minority cosine", "status")
        rows = [
            (p.branch, p.minority_count, p.threshold, p.predicted_scale, p.scale, p.phase, p.minority_cosine, p.status)
            for p in sweep.points
        ]
        _print_table(header, rows, digits=5)
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


@_command(deq_app, "hysteresis", "ufm deq hysteresis --leg 2,4,8,11,12,16 --leg 12,11,8,4,2 --start zero")
@_with_options(TRAINING_OPTIONS | {name: SINGLE_OPTIONS[name] for name in ("start", "seed")}, dict)
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

    legs = [_numbers("--leg", text) for text in leg]
    # The loop checks the legs; the width alone needs the largest n_B before.
    config = TrainingConfig(minority_count=max(map(max, legs)), width=width, **training)  # type: ignore[arg-type]
    config = dataclasses.replace(config, width=config.hidden_units)
    _prepare_files(out, figure)
    interrupted = False
    with _progress_bar() as progress:
        try:
            loop = hysteresis_loop(config, legs, path=out, root=root, progress=progress)  # type: ignore[arg-type]  # checked there
        except LoopInterrupted as stopped:
            interrupt_answered()
            loop, interrupted = stopped.loop, True
    if figure is not None and loop.points:
        from ufm.deq import plot_hysteresis

        write_figure(plot_hysteresis({f"A starts at {'ρI' if config.start == 'identity' else '0'}": loop}), figure)
    if as_json:
        _print_json({**loop.to_dict(), "partial": loop.is_partial})
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
        _print_table(header, rows, digits=5)
        if interrupted:
            typer.echo(f"partial: interrupted after {len(loop.points)} of {sum(map(len, loop.legs))} points")
    raise typer.Exit(exit_status() if interrupted else 0 if all(p.converged for p in loop.points) else 1)


# Files --------------------------------------------------------------------------------------------------------------


@_command(app, "measure", "ufm measure features.npz")
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
        _print_json(found)
    else:
        _print_figures(found)


@_command(app, "certify", "ufm certify certificate.json")
def certify(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Certificates (JSON).")],
    as_json: JsonOption = False,
) -> None:
    """Check certificates with the independent checker: exit status 0 if it accepts all, 1 if it rejects one.

    The checker re-derives the problem from the claim in the file, trusts none of the numbers in it, and runs no solver.
    """
    with optional("certify"):
        from proofs_check.checker import LEMMAS, check_file

    missing = [str(file) for file in files if not file.is_file()]
    if missing:
        raise ValueError(f"FILE must be a certificate that exists, got {', '.join(map(repr, missing))}")
    outcomes = [check_file(file) for file in files]
    if as_json:
        _print_json([{"file": str(f), **dataclasses.asdict(o)} for f, o in zip(files, outcomes, strict=True)])
    else:
        for file, outcome in zip(files, outcomes, strict=True):
            typer.echo(f"{'accepted' if outcome.accepted else 'REJECTED'}  {file}")
            rests = [f"rests on {LEMMAS[lemma]}" for lemma in outcome.lemmas]
            for line in filter(None, (outcome.statement, outcome.reason, *rests)):
                typer.echo(f"  {line}")
    raise typer.Exit(0 if all(o.accepted for o in outcomes) else 1)


# Helpers ------------------------------------------------------------------------------------------------------------


def _prior(
    counts: str | None,
    majority: int | None,
    minority: int | None,
    ratio: float | None,
    minority_count: float | None,
) -> ClassPrior:
    from ufm.labels import ClassPrior

    if counts is not None:
        if any(value is not None for value in (majority, minority, ratio, minority_count)):
            raise ValueError("--counts must stand alone, without --majority, --minority, --ratio and --minority-count")
        return ClassPrior(_numbers("counts", counts))
    k_a, k_b = _groups(majority, minority, "; or give --counts")
    if ratio is None:
        raise ValueError("--ratio must be given with --majority and --minority")
    return ClassPrior.step(k_a, k_b, ratio, 1.0 if minority_count is None else minority_count)


def _groups(majority: int | None, minority: int | None, otherwise: str = "") -> tuple[int, int]:
    if majority is None or minority is None:
        raise ValueError(f"--majority and --minority must be given{otherwise}")
    return majority, minority


def _check_figure(name: str, path: Path | None) -> None:
    """ValueError for the name of a figure that cannot be written."""
    if path is not None and path.suffix not in (".png", ".svg", ".pdf"):
        raise ValueError(f"--{name} must end in .png, .svg or .pdf, got {str(path)!r}")


def _prepare_files(out: Path | None, figure: Path | None) -> None:
    """See that both can be written, before any training."""
    from ufm.verification import prepare_directory

    _check_figure("figure", figure)
    for name, path in (("--out", out), ("--figure", figure)):
        if path is not None:
            prepare_directory(path.parent, f"{name}'s folder")


def _numbers(name: str, text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        flag = name if name.startswith("--") else _flag(name)
        raise ValueError(f"{flag} must be numbers separated by commas, got {text!r}") from None


def _axis(name: str, text: str) -> Any:
    """A number, or the array of ``1,2,5``, ``FROM:TO:COUNT`` or ``FROM:TO:COUNT:log``."""
    import numpy as np

    flags = "/".join(PHASE_OPTIONS[name][1])
    if ":" not in text:
        values = _numbers(flags, text)
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
        if number < 2 or (space is np.geomspace and min(ends) <= 0):
            raise ValueError
    except ValueError:
        raise ValueError(
            f"{flags} must have two numbers and a COUNT >= 2 (and with log, numbers > 0), got {text!r}"
        ) from None
    values = space(*ends, number)
    # class numbers are integers, whatever their spacing
    return np.unique(np.rint(values)) if name in ("K", "K_A", "K_B") else values


def _long_flag(key: str) -> str:
    """The option of a training or a run."""
    return (SINGLE_OPTIONS | TRAINING_OPTIONS | EXPERIMENT_OPTIONS)[key][1][0]


def _flag(key: str) -> str:
    return f"--{key.replace('_', '-')}"


def _flags(keys: tuple[str, ...]) -> str:
    return ", ".join(map(_flag, keys))


def _load_arrays(file: Path, required: tuple[str, ...], optional: tuple[str, ...]) -> dict[str, Any]:
    """Arrays of an .npz file, without pickle; raises ValueError for a file that is none or lacks a required array."""
    import zipfile

    import numpy as np

    if not file.is_file():
        raise ValueError(f"FILE must be an .npz file that exists, got {str(file)!r}")
    try:
        archive = np.load(file, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise ValueError("it holds a single array")
        with archive:
            missing = [name for name in required if name not in archive]
            if missing:
                raise ValueError(f"it lacks {', '.join(missing)} and holds {', '.join(archive.files) or 'nothing'}")
            return {name: archive[name] for name in (*required, *optional) if name in archive}
    except (ValueError, EOFError, OSError, zipfile.BadZipFile) as exc:
        wanted = ", ".join(required)
        raise ValueError(f"FILE must be an .npz file with {wanted}, got {str(file)!r}: {exc}") from exc


def _console(*, stderr: bool = False) -> Console:
    require("rich", extra="cli")
    from rich.console import Console

    return Console(stderr=stderr)


@contextmanager
def _progress_bar() -> Iterator[Callable[[str, float, float | None], None]]:
    """A progress bar on standard error while the body lasts; yields what a computation calls to move it."""
    from rich.progress import Progress

    with Progress(console=_console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda description, completed, total: bar.update(
            task, description=description, completed=completed, total=total
        )


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(_strict(value), ensure_ascii=False, allow_nan=False))


def _strict(value: Any) -> Any:
    from ufm._json import strict

    return strict(value)


def _print_figures(figures: dict[str, Any]) -> None:
    _print_table(None, [(name.replace("_", " "), value) for name, value in figures.items()])


def _print_table(header: tuple[str, ...] | None, rows: list[tuple[Any, ...]], digits: int = 12) -> None:
    require("rich", extra="cli")
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=header is not None, padding=(0, 2, 0, 0), header_style="bold")
    for name in header or ("",) * len(rows[0] if rows else ()):
        table.add_column(Text(name), overflow="fold")
    for row in rows:
        table.add_row(*(Text(_cell(value, digits)) for value in row))
    _console().print(table)


def _cell(value: Any, digits: int) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return "inf" if math.isinf(value) else f"{value:.{digits}g}"
    if isinstance(value, list | tuple):
        return ", ".join(_cell(item, digits) for item in value)
    return str(value)


if __name__ == "__main__":
    main()
