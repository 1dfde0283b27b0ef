"""``ufm verify``: the main job, a live table of verdicts and a report."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ufm._files import sealed
from ufm._interrupts import exit_status, interrupts_allowed
from ufm._threads import available_cpus
from ufm.cli._app import app, command
from ufm.cli.finding import AboutArchitecture, AboutLoss, PaperOption, TopicOption
from ufm.cli.options import JsonOption, SeedOption
from ufm.cli.output import console, print_json, quiet_output
from ufm.cli.plugins import ClaimsOption

if TYPE_CHECKING:
    from ufm.claims import Claim

__all__: list[str] = []  # a command is registered, not called


@command(app, "verify", "ufm verify --effort quick --out report", held=True)
def verify(
    claims: Annotated[
        list[str] | None, typer.Argument(metavar="[CLAIM]...", help="Claims by id; the core of the library if none.")
    ] = None,
    effort: Annotated[str, typer.Option("--effort", help="quick (a minute or two) or full.")] = "quick",
    every: Annotated[bool, typer.Option("--all", help="Every claim of the library, not its core alone.")] = False,
    paper: PaperOption = None,
    topic: TopicOption = None,
    loss: AboutLoss = None,
    architecture: AboutArchitecture = None,
    source: ClaimsOption = None,
    out: Annotated[Path, typer.Option("--out", help="Directory for report.html and report.json.")] = Path("out"),
    seed: SeedOption = 0,
    workers: Annotated[
        int | None,
        typer.Option("--workers", help="Processes that check at a time; default: the CPUs, 1 for named claims."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the verdicts of a run in --out.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Check claims of the theory and write a report.

    Shows a table of verdicts as they come, then writes report.html and report.json. Exit status 0 if every claim came
    out proved, certified or supported, 1 if one did not, 130 if interrupted by Ctrl-C, 143 by SIGTERM: then finished
    verdicts are kept in a report that says it is partial. With --resume the same command goes on from them, if neither
    code nor versions have changed.

    Without ids a run of quick effort checks the core of the library; --all, or full effort, every claim; --paper,
    --topic, --loss and --architecture the claims about these, whether of the core or not.

    With --claims those of a file or module of your own are checked: all of them, or the named ones, beside which claims
    of the package can be named too.
    """
    from ufm._live import LiveView, summary_text
    from ufm.claims import package_claims, select
    from ufm.claims.plugins import claims_of
    from ufm.verification import verify as run_checks

    wanted: list[str | Claim] | None = list(claims) if claims else None
    if source is not None:
        with quiet_output(as_json):
            own = claims_of(source, taken=package_claims())
        wanted = [own.get(name, name) for name in claims] if claims else list(own.values())
    if every or any(key is not None for key in (paper, topic, loss, architecture)):
        if claims or source is not None:
            raise ValueError("--all, --paper, --topic, --loss and --architecture must come without ids and --claims")
        found = select(paper=paper, topic=topic, loss=loss, architecture=architecture)
        wanted = [claim for claim in found if effort == "full" or claim.effort == "quick"]
    if workers is None:
        workers = 1 if claims or source is not None else available_cpus()
    view = LiveView(console(stderr=as_json))
    command = shlex.join(["ufm", *sys.argv[1:]])
    run = run_checks(
        wanted, effort, out=out, seed=seed, progress=view.progress, command=command, workers=workers, resume=resume
    )
    stopped = False
    try:
        with interrupts_allowed(), quiet_output(as_json), view.running(run):
            view.start(run.current)
            for verdict in run:
                view.verdict(verdict)
                view.start(run.current)
    except KeyboardInterrupt:
        run.stop()
        stopped = True
    with interrupts_allowed():
        if as_json:
            from ufm.report import build_report

            print_json(sealed(build_report(run)))
        view.console.print()
        view.console.print(summary_text(run))
        partial = " (partial: interrupted)" if run.interrupted else ""
        view.console.print(f"report{partial}: {out / 'report.html'}", soft_wrap=True, highlight=False, markup=False)
    raise typer.Exit(exit_status() if stopped else 0 if run.all_as_claimed else 1)
