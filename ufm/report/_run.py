"""What a report is made of: any run over claims. A run knows of no report, so that data flow one way."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from ufm.claims import Claim, Context, Status, Verdict

__all__ = ["Run"]


class Run(Protocol):
    """A run, finished or not; :class:`ufm.verification.Verification` is one."""

    @property
    def claims(self) -> Sequence[Claim]:
        """The claims of the run, in order."""

    @property
    def verdicts(self) -> Sequence[Verdict]:
        """The verdicts so far."""

    @property
    def context(self) -> Context:
        """Effort and seed."""

    @property
    def interrupted(self) -> bool:
        """Whether the run was stopped before its end."""

    @property
    def started(self) -> datetime:
        """When it began, UTC."""

    @property
    def command(self) -> str | None:
        """The command line, if there was one."""

    @property
    def counts(self) -> dict[Status, int]:
        """Number of verdicts of each status."""

    @property
    def all_as_claimed(self) -> bool:
        """Whether every claim was checked and came out as claimed."""
