"""``ufm claims``: what there is to verify."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ufm.cli._app import app, command
from ufm.cli.options import JsonOption
from ufm.cli.output import console, print_json
from ufm.cli.plugins import ClaimsOption

if TYPE_CHECKING:
    from ufm.claims import Claim

__all__: list[str] = []  # a command is registered, not called

#: Narrowest column of titles, however narrow the terminal.
NARROWEST = 12


@command(app, "claims", "ufm claims --verbose")
def claims(
    source: ClaimsOption = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Statement, source and hypotheses of each claim.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """List the claims, a line each: id, the effort from which a run includes it, and title."""
    from ufm.claims import all_claims
    from ufm.claims.plugins import claims_of

    known = list((all_claims() if source is None else claims_of(source)).values())
    if as_json:
        fields = ("id", "title", "statement", "source", "group", "hypotheses", "region", "effort")
        print_json([{name: getattr(claim, name) for name in fields} for claim in known])
    elif verbose:
        for claim in known:
            _print_in_full(claim)
    else:
        _print_lines(known)


def _print_lines(known: list[Claim]) -> None:
    out = console()
    indent = max(len(claim.id) for claim in known) + 2
    width = max(out.width - indent - len("quick  "), NARROWEST)
    for claim in known:
        title = claim.title if len(claim.title) <= width else claim.title[: width - 1] + "…"
        out.print(f"{claim.id:<{indent}}{claim.effort:<7}{title}", soft_wrap=True, markup=False, highlight=False)


def _print_in_full(claim: Claim) -> None:
    from rich.padding import Padding
    from rich.text import Text

    out = console()
    out.print(Text.assemble((claim.id, "bold"), f"  {claim.title}"))
    lines = [claim.statement, f"source: {claim.source}", *(f"assumes: {text}" for text in claim.hypotheses)]
    if claim.region is not None:
        lines.append(f"region: {claim.region}")
    for line in [*lines, f"group: {claim.group}; effort: {claim.effort}"]:
        out.print(Padding(Text(line), (0, 0, 0, 4)))
    out.print()
