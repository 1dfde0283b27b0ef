"""The option ``--claims``: claims of a file or a module of one's own."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["ClaimsOption"]

ClaimsOption = Annotated[
    str | None, typer.Option("--claims", metavar="FILE|MODULE", help="Claims of your own: a .py file or a module.")
]
