"""``ufm solve``: one problem, its optimum and its geometry."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ufm.cli._app import app, command
from ufm.cli.architectures import ARCHITECTURE_OPTIONS, architecture_of
from ufm.cli.options import (
    JsonOption,
    LossOption,
    MajorityOption,
    MinorityOption,
    SeedOption,
    numbers,
    parsed,
    prior_of,
    with_options,
)
from ufm.cli.output import print_figures, print_json, print_table

__all__: list[str] = []  # a command is registered, not called


@command(app, "solve", "ufm solve --E-W 1 --E-H 5 --majority 5 --minority 5 --ratio 12")
@with_options(ARCHITECTURE_OPTIONS, architecture_of)
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
    bias: Annotated[
        str | None, typer.Option("--bias", help="free, or the weight decay lambda_b > 0 of a bias. (default none)")
    ] = None,
    method: Annotated[
        str, typer.Option("--method", help="auto, closed_form, reduced, nuclear, sdp, direct or search.")
    ] = "auto",
    starts: Annotated[
        int | None, typer.Option("--starts", help="Starts of a search. (default 100; direct 8)", **parsed(int))
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

    prior = prior_of(counts, majority, minority, ratio, minority_count)
    options = {} if starts is None else {"starts": starts}
    if options and method not in ("direct", "search") and Problem.of(architecture, prior, loss).is_convex:
        raise ValueError(f"--starts plays no role for --method {method} on this problem: it is not searched")
    decay = bias if bias is None or bias == "free" else numbers("--bias", bias)[0]
    solution = ufm.solve(architecture, prior, loss, bias=decay, method=method, seed=seed, **options)
    minima = [minimum.to_dict() for minimum in solution.local_minima]
    figures: dict[str, Any] = {
        "architecture": repr(architecture),
        "counts": prior.counts,
        "loss": loss,
        **({} if solution.bias is None else {"bias": solution.bias}),
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
        print_json(plain("solution", figures | found | {"logits": solution.logits}))
        return
    figures["counts"] = repr(prior)
    print_figures({**{k: v for k, v in figures.items() if k != "geometry"}, **figures["geometry"]})
    if minima:
        columns = ("value", "share", "rank", "phase", "structure")
        typer.echo(f"\n{len(minima)} local minima from {solution.info['starts']} starts")
        print_table(columns, [tuple(row[name] for name in columns) for row in minima])
