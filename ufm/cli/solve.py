"""``ufm solve``: one problem, its optimum and its geometry."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ufm.cli._app import app, command
from ufm.cli.architectures import ARCHITECTURE_OPTIONS, architecture_of
from ufm.cli.options import (
    JsonOption,
    LossOption,
    MajorityOption,
    MinorityOption,
    SeedOption,
    check_loss_name,
    numbers,
    parsed,
    prior_of,
    with_options,
)
from ufm.cli.output import print_figures, print_json, print_table

if TYPE_CHECKING:
    from ufm.problem_file import StatedProblem

__all__: list[str] = []  # a command is registered, not called


def _architecture_or_none(given: dict[str, Any]) -> Any:
    """The architecture of the options, None where there are none: a file may state it."""
    return architecture_of(given) if given else None


def _read(file: Path) -> StatedProblem:
    """What a file states, or standard input for ``-``."""
    from ufm.problem_file import parse_text, read_problem

    if str(file) != "-":
        return read_problem(file)
    try:
        text = sys.stdin.read()
    except UnicodeDecodeError as exc:
        raise ValueError(f"standard input must hold TOML or JSON, got bytes that are no text: {exc}") from exc
    return parse_text(text, name="standard input")


@command(app, "solve", "ufm solve --E-W 1 --E-H 5 --majority 5 --minority 5 --ratio 12")
@with_options(ARCHITECTURE_OPTIONS, _architecture_or_none)
def solve(
    architecture: Any,
    file: Annotated[
        Path | None,
        typer.Argument(
            help="A problem in TOML or JSON, or - for standard input: any labels, loss and bias; see the guide to the "
            "command line."
        ),
    ] = None,
    counts: Annotated[str | None, typer.Option("--counts", help="Counts n_k, e.g. 100,100,10.")] = None,
    majority: MajorityOption = None,
    minority: MinorityOption = None,
    ratio: Annotated[float | None, typer.Option("--ratio", help="Imbalance R = n_A/n_B.")] = None,
    minority_count: Annotated[
        float | None, typer.Option("--minority-count", help="n_B; matters for penalised architectures. (default 1)")
    ] = None,
    loss: LossOption = "ce",
    bias: Annotated[
        str | None, typer.Option("--bias", help="free, or the weight decay lambda_b > 0 of a bias. (default none)")
    ] = None,
    method: Annotated[
        str,
        typer.Option(
            "--method", help="auto, closed_form, reduced, nuclear, sdp, direct, search, factored or low_rank."
        ),
    ] = "auto",
    starts: Annotated[
        int | None, typer.Option("--starts", help="Starts of a search. (default 100; direct at most 8)", **parsed(int))
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

    options: dict[str, Any] = {} if starts is None else {"starts": starts}
    if file is not None:
        given = {"an architecture": architecture, "--counts": counts, "--majority": majority, "--minority": minority}
        given |= {"--ratio": ratio, "--minority-count": minority_count, "--bias": bias}
        idle = [name for name, value in given.items() if value is not None] + ["--loss"] * (loss != "ce")
        if idle:
            raise ValueError(f"{', '.join(idle)} plays no role beside FILE, which states the problem")
        stated = _read(file)
        problem = stated.problem
        settings: dict[str, Any] = {"method": method, "seed": seed, **stated.options}
    else:
        check_loss_name(loss)
        prior = prior_of(counts, majority, minority, ratio, minority_count)
        decay = bias if bias is None or bias == "free" else numbers("--bias", bias)[0]
        problem = Problem.of(architecture_of({}) if architecture is None else architecture, prior, loss, decay)
        settings = {"method": method, "seed": seed}
    if options and settings["method"] not in ("direct", "search") and problem.is_convex:
        raise ValueError(
            f"--starts plays no role for --method {settings['method']} on this problem: it is not searched"
        )
    solution = ufm.solve(
        problem.architecture, problem.prior, problem.loss, bias=problem.stated_bias, **settings, **options
    )
    is_prior = isinstance(problem.prior, ufm.ClassPrior)
    minima = [minimum.to_dict() for minimum in solution.local_minima]
    figures: dict[str, Any] = {
        "architecture": repr(problem.architecture),
        "counts": problem.prior.counts,
        **({} if is_prior else {"targets": problem.targets}),
        "loss": loss if file is None else repr(problem.loss),
        **({} if solution.bias is None else {"bias": solution.bias}),
        "method": solution.method,
        "value": solution.value,
        "lower": solution.lower,
        "upper": solution.upper,
        "multiplier": solution.multiplier,
        "is_global": solution.is_global,
        **({"geometry": solution.geometry.to_dict()} if is_prior else {}),
    }
    if as_json:
        found = {"local_minima": minima} if minima else {}
        print_json(plain("solution", figures | found | {"logits": solution.logits}))
        return
    shown = {k: v for k, v in figures.items() if k not in ("geometry", "targets")}
    shown = {"labels" if k == "counts" and not is_prior else k: v for k, v in shown.items()}
    shown["counts" if is_prior else "labels"] = repr(problem.prior)
    print_figures({**shown, **figures.get("geometry", {})})
    if minima:
        columns = ("value", "share", "rank", "phase", "structure")
        typer.echo(f"\n{len(minima)} local minima from {solution.info['starts']} starts")
        print_table(columns, [tuple(row[name] for name in columns) for row in minima])
