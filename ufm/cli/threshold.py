"""``ufm threshold``: the imbalance from which on the minority has collapsed."""

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
    check_loss_name,
    class_numbers,
    numbers,
    with_options,
)
from ufm.cli.output import print_figures, print_json

__all__: list[str] = []  # a command is registered, not called


@command(app, "threshold", "ufm threshold --E-W 1 --E-H 5 --majority 5 --minority 5")
@with_options(ARCHITECTURE_OPTIONS, architecture_of)
def threshold(
    architecture: Any,
    majority: MajorityOption = None,
    minority: MinorityOption = None,
    loss: LossOption = "ce",
    bias: Annotated[
        str | None, typer.Option("--bias", help="free, or the weight decay lambda_b > 0 of a bias. (default none)")
    ] = None,
    num_samples: Annotated[float | None, typer.Option("--num-samples", help="Fix N (penalised).")] = None,
    majority_count: Annotated[float | None, typer.Option("--majority-count", help="Fix n_A (penalised).")] = None,
    minority_count: Annotated[float | None, typer.Option("--minority-count", help="Fix n_B (penalised).")] = None,
    as_json: JsonOption = False,
) -> None:
    """Imbalance ratio R* from which on the minority has collapsed."""
    import ufm

    check_loss_name(loss)
    k_a, k_b = class_numbers(majority, minority)
    found = ufm.collapse_threshold(
        architecture,
        k_a,
        k_b,
        loss=loss,
        bias=bias if bias is None or bias == "free" else numbers("--bias", bias)[0],
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
        print_json(figures)
        return
    print_figures({name: value for name, value in figures.items() if value is not None})
