"""The command line ``ufm``: a thin layer that parses, calls the package and prints; one file a command.

Exit status: 0 when all is as claimed, 1 when a claim came out otherwise or a computation did not come to its end, 2 for
wrong usage (a bad value, an unreadable file), 128 and the number of the signal when interrupted: 130 by Ctrl-C, 143 by
SIGTERM, 129 by SIGHUP, which keep the same. With ``--json`` standard output holds one JSON document and nothing else.
"""

from __future__ import annotations

from ufm._extras import optional

with optional("cli"):
    import typer as _  # noqa: F401  # named before the commands need it

# The order of the imports is that of the commands in the help.
from ufm.cli._app import app, main  # isort: skip
from ufm.cli import verify, claims, solve, threshold, phase, explore, measure, certify, deq  # noqa: F401  # isort: skip
from ufm.cli.architectures import ARCHITECTURES  # isort: skip

__all__ = ["ARCHITECTURES", "app", "main"]
