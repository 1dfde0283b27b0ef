"""What claims are found by on the command line."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["AboutArchitecture", "AboutLoss", "PaperOption", "TopicOption"]

PaperOption = Annotated[str | None, typer.Option("--paper", metavar="KEY", help="Claims about a paper, as dang2024.")]
TopicOption = Annotated[str | None, typer.Option("--topic", metavar="KEY", help="Claims of a topic, as depth.")]
AboutLoss = Annotated[str | None, typer.Option("--loss", metavar="KEY", help="Claims about a loss, as ce.")]
AboutArchitecture = Annotated[
    str | None, typer.Option("--architecture", metavar="KEY", help="Claims about a model, as weight-decay.")
]
