"""``ufm certify``: certificates through the independent checker."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from ufm._extras import optional
from ufm.cli._app import app, command
from ufm.cli.options import JsonOption
from ufm.cli.output import print_json

__all__: list[str] = []  # a command is registered, not called


@command(app, "certify", "ufm certify certificate.json")
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
        print_json([{"file": str(f), **dataclasses.asdict(o)} for f, o in zip(files, outcomes, strict=True)])
    else:
        for file, outcome in zip(files, outcomes, strict=True):
            typer.echo(f"{'accepted' if outcome.accepted else 'REJECTED'}  {file}")
            rests = [f"rests on {LEMMAS[lemma]}" for lemma in outcome.lemmas]
            for line in filter(None, (outcome.statement, outcome.reason, *rests)):
                typer.echo(f"  {line}")
    raise typer.Exit(0 if all(o.accepted for o in outcomes) else 1)
