"""What a verification looks like in a terminal: verdicts as a growing table, the running check under it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ufm._extras import optional
from ufm.claims import Claim, Status, Verdict

with optional("cli"):
    from rich.console import Console, Group
    from rich.live import Live
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.table import Table
    from rich.text import Text

if TYPE_CHECKING:
    from ufm.verification import Verification

__all__ = ["LiveView", "status_text", "summary_text"]

COLOURS = {
    Status.proved: "bold green",
    Status.certified: "bold cyan",
    Status.supported: "bold blue",
    Status.refuted: "bold red",
    Status.inconclusive: "bold yellow",
}

#: Longest part of a line for the description of what runs.
MAX_DESCRIPTION = 48


class LiveView:
    """Rows of verdicts that scroll by, above a progress bar for all claims and one for the running check."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._total = Progress(TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), console=console)
        self._check = Progress(SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), console=console)
        self._claim: Claim | None = None

    @contextmanager
    def running(self, run: Verification) -> Iterator[None]:
        """Show the progress bars of ``run`` while the body lasts."""
        self.console.print(self._row(Text("verdict"), Text("claim"), Text("evidence"), Text("seconds"), "bold"))
        task = self._total.add_task("claims", total=len(run.claims))
        self._check_task = self._check.add_task("", total=None)
        self._advance = lambda: self._total.update(
            task, completed=len(run.verdicts), description=f"{len(run.verdicts)} of {len(run.claims)} claims"
        )
        self._advance()
        group = Group(self._check, self._total)
        with Live(group, console=self.console, transient=True, refresh_per_second=8):
            yield

    def start(self, claim: Claim | None) -> None:
        """A check begins (None: there is none left)."""
        self._claim = claim
        self._check.reset(self._check_task, total=None)
        self._describe("")

    def progress(self, description: str, completed: float, total: float | None) -> None:
        """A running check has got somewhere."""
        self._check.update(self._check_task, completed=completed, total=total)
        self._describe(description)

    def verdict(self, verdict: Verdict) -> None:
        """A check has ended."""
        claim = Text.assemble(verdict.claim.title, "\n", (verdict.claim.id, "dim"))
        evidence = Text(verdict.evidence.summary)
        if verdict.evidence.established_by:
            evidence.append("\n" + "; ".join(verdict.evidence.established_by), "dim")
        row = self._row(status_text(verdict.status), claim, evidence, Text(f"{verdict.seconds:.1f}"))
        self.console.print(row)
        self._advance()

    def _describe(self, description: str) -> None:
        text = self._claim.id if self._claim is not None else "writing the report"
        if description:
            text += f": {description}"
        if len(text) > MAX_DESCRIPTION:
            text = text[: MAX_DESCRIPTION - 1] + "…"
        self._check.update(self._check_task, description=Text(text).markup)

    def _row(self, status: Text, claim: Text, evidence: Text, seconds: Text, style: str = "") -> Table:
        table = Table.grid(padding=(0, 2, 0, 0), expand=True)
        table.add_column(width=12)
        table.add_column(ratio=2, overflow="fold")
        table.add_column(ratio=3, overflow="fold")
        table.add_column(width=7, justify="right")
        table.add_row(status, claim, evidence, seconds, style=style)
        return table


def status_text(status: Status) -> Text:
    """The name of a status in its colour."""
    return Text(status.value, style=COLOURS[status])


def summary_text(run: Verification) -> Text:
    """One line: how many claims came out as claimed, and the counts by status."""
    good = sum(v.as_claimed for v in run.verdicts)
    text = Text(
        f"{good} of {len(run.claims)} claims came out as claimed",
        style="bold green" if run.all_as_claimed else "bold red",
    )
    parts = [(f"{count} {status.value}", COLOURS[status]) for status, count in run.counts.items() if count]
    left = len(run.claims) - len(run.verdicts)
    if left:
        parts.append((f"{left} not run", "dim"))
    for i, (words, style) in enumerate(parts):
        text.append(": " if i == 0 else ", ")
        text.append(words, style)
    return text
