"""``ufm claims``: what there is to verify."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ufm.cli._app import app, command
from ufm.cli.finding import AboutArchitecture, AboutLoss, PaperOption, TopicOption
from ufm.cli.options import JsonOption
from ufm.cli.output import console, print_json, quiet_output
from ufm.cli.plugins import ClaimsOption

if TYPE_CHECKING:
    from ufm.claims import Claim

__all__: list[str] = []  # a command is registered, not called

#: Narrowest column of titles; a narrower terminal has them on a line of their own.
NARROWEST = 12


#: What a claim is shown with as JSON.
FIELDS = (
    *("id", "title", "statement", "source", "group", "hypotheses", "region", "effort"),
    *("papers", "topic", "losses", "architectures", "standing", "core"),
)


@command(app, "claims", "ufm claims --paper dang2024 --json")
def claims(
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="[CLAIM]...", help="Show these in full; by default all, a line each.")
    ] = None,
    source: ClaimsOption = None,
    paper: PaperOption = None,
    topic: TopicOption = None,
    loss: AboutLoss = None,
    architecture: AboutArchitecture = None,
    verdict: Annotated[
        str | None,
        typer.Option(
            "--verdict",
            help="On the source's statement: confirmed, sharpened, corrected, refuted, new. With --report also proved, "
            "certified, supported, inconclusive.",
        ),
    ] = None,
    report: Annotated[
        Path | None, typer.Option("--report", metavar="FILE", help="A report.json, for verdicts of its run.")
    ] = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Statement, source and hypotheses of each claim.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """List the claims, a line each: id, the effort from which a run includes it, and title; or show some in full.

    Those about a paper, a topic, a loss and an architecture, where these are given; a key that no claim has is an error
    that lists those there are.
    """
    from ufm.claims import all_claims, lookup, package_claims, select
    from ufm.claims.plugins import claims_of

    with quiet_output(as_json):
        everything = all_claims() if source is None else claims_of(source, taken=package_claims())
    found = [lookup(name, everything) for name in dict.fromkeys(ids)] if ids else list(everything.values())
    known = select(found, paper=paper, topic=topic, loss=loss, architecture=architecture)
    if verdict is not None:
        known = _with_verdict(known, verdict, report)
    elif report is not None:
        raise ValueError(f"--report plays no role without --verdict, got {str(report)!r}")
    if as_json:
        print_json([_document(claim) for claim in known])
    elif verbose or ids:
        for claim in known:
            _print_in_full(claim)
    else:
        _print_lines(known)


def _document(claim: Claim) -> dict[str, Any]:
    from ufm.claims import correction_of

    found = correction_of(claim.id)
    return {name: getattr(claim, name) for name in FIELDS} | {"corrects": None if found is None else found.to_dict()}


def _with_verdict(known: list[Claim], verdict: str, report: Path | None) -> list[Claim]:
    """Those that stand so to their source, and those that a report says came out so."""
    from ufm._validation import one_of
    from ufm.claims import STANDINGS, Status
    from ufm.report import load_report

    statuses = {}
    if report is not None:
        if not report.is_file():
            raise ValueError(f"--report must be a report.json that exists, got {str(report)!r}")
        statuses = {found["claim"]["id"]: found["status"] for found in load_report(report)["verdicts"]}
    one_of("verdict", verdict, (*STANDINGS, *(Status if report is not None else ())))
    return [claim for claim in known if verdict in (claim.standing, statuses.get(claim.id))]


def _print_lines(known: list[Claim]) -> None:
    out = console()
    indent = max((len(claim.id) for claim in known), default=0) + 2
    left = out.width - indent - len("quick  ")
    for claim in known:
        if left >= NARROWEST:
            lines = [f"{claim.id:<{indent}}{claim.effort:<7}{_cut(claim.title, left)}"]
        else:
            lines = [_cut(claim.id, out.width), f"  {_cut(claim.title, out.width - 2)}"]
        for line in lines:
            out.print(line, soft_wrap=True, markup=False, highlight=False)


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: max(width - 1, 0)] + "…"


def _print_in_full(claim: Claim) -> None:
    from rich.padding import Padding
    from rich.text import Text

    from ufm.claims import correction_of

    out = console()
    out.print(Text.assemble((claim.id, "bold"), f"  {claim.title}"))
    lines = [claim.statement, f"source: {claim.source}", *(f"assumes: {text}" for text in claim.hypotheses)]
    if claim.region is not None:
        lines.append(f"region: {claim.region}")
    corrected = correction_of(claim.id)
    if corrected is not None:
        lines += [f"claimed elsewhere: {corrected.claimed}", f"what is true: {corrected.true}"]
    found_by = [
        f"group: {claim.group}; effort: {claim.effort}",
        f"topic: {claim.topic or 'none'}; standing: {claim.standing}",
    ]
    found_by += [f"papers: {', '.join(claim.papers)}"] if claim.papers else []
    for line in [*lines, *found_by]:
        out.print(Padding(Text(line), (0, 0, 0, 4)))
    out.print()
