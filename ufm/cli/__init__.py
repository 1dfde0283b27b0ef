"""The command line ``ufm``: a thin layer that parses, calls the package and prints; one file a command.

Exit status: 0 when all is as claimed, 1 when a claim came out otherwise or a computation did not come to its end, 2 for
wrong usage (a bad value, an unreadable file), 128 and the number of the signal when interrupted: 130 by Ctrl-C, 143 by
SIGTERM, 129 by SIGHUP, which keep the same. With ``--json`` standard output holds one JSON document and nothing else.
"""

from __future__ import annotations

from typing import Any

from ufm._extras import optional

with optional("cli"):
    import typer as _  # noqa: F401  # named before the commands need it

from ufm.cli._app import load_commands, main

__all__ = ["ARCHITECTURES", "app", "main"]


def __getattr__(name: str) -> Any:
    """What all commands make together: :func:`main` loads the one that it runs alone."""
    if name == "app":
        from ufm.cli import _app

        load_commands()
        return _app.app
    if name == "ARCHITECTURES":
        from ufm.cli.architectures import ARCHITECTURES

        return ARCHITECTURES
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
