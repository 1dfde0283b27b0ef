"""The application, and how a command becomes part of it: errors end in a message and a status, never a traceback."""

from __future__ import annotations

import contextlib
import functools
import importlib
import inspect
import io
import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer

import ufm
from ufm._extras import MissingExtraError
from ufm._interrupts import (
    check_interrupt,
    exit_status,
    interrupt_answered,
    interruptible,
    interrupts_allowed,
    interrupts_held,
)

__all__ = ["app", "command", "deq_app", "load_commands", "main"]

#: Commands in the order of the help, each a module of this package.
COMMANDS = ("verify", "claims", "solve", "threshold", "phase", "explore", "measure", "certify", "deq")

app = typer.Typer(
    name="ufm",
    help="Verify the theory of neural collapse, minority collapse and deep equilibrium models.",
    epilog="Example: ufm threshold --majority 5 --minority 5 --E-W 1 --E-H 5",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
deq_app = typer.Typer(
    help="Train real deep equilibrium models and set prediction beside measurement.",
    epilog="Example: ufm deq train --minority-count 10",
    no_args_is_help=True,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"ufm {ufm.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    pass


def load_commands(names: Sequence[str] = COMMANDS) -> None:
    """Register commands, by default all of them, in their order.

    >>> load_commands()
    >>> [found.name for found in app.registered_commands][:3]
    ['verify', 'claims', 'solve']
    """
    for name in names:
        importlib.import_module(f"ufm.cli.{name}")
    app.registered_commands.sort(key=lambda found: COMMANDS.index(str(found.name)))


def main() -> None:
    """Run the command that ``sys.argv`` names, and end the process with its exit status.

    Raises:
        SystemExit: the command has ended, with 0, 1, 2 or 128 and the number of a signal, see :mod:`ufm.cli`.

    >>> from unittest.mock import patch
    >>> line = "ufm threshold --majority 5 --minority 5 --E-W 1 --E-H 5"
    >>> with patch.object(sys, "argv", line.split()):
    ...     try:
    ...         main()
    ...     except SystemExit as end:
    ...         print("status", end.code)
    architecture  LayerPeeled(E_W=1.0, E_H=5.0)
    ratio         12.1924...
    lower         12.1924...
    upper         12.1924...
    status 0
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that has no Greek shows a question mark
            stream.reconfigure(errors="replace")
    try:
        with interruptible(), interrupts_held():  # a command says from where on it can be interrupted
            # every command costs: its module, and an adapter for each of its options. Help and completion need all.
            load_commands([name for name in sys.argv[1:2] if name in COMMANDS] or COMMANDS)
            app(prog_name="ufm")
    except KeyboardInterrupt:  # after the command's end
        sys.exit(exit_status())


def command(
    group: typer.Typer, name: str, example: str, *, held: bool = False
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Decorator: register a function as the command ``name`` of ``group``.

    Wrong values end in a message and status 2, a computation that the package gives up in a message and status 1, an
    interrupt in its status. Any other exception is a fault of the package, and keeps its traceback.

    Args:
        group: the application, or the group of ``ufm deq``.
        name: on the command line; the function's docstring is the help.
        example: ends the help.
        held: the command itself says from where on it can be interrupted.
    """

    def register(function: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> None:
            try:
                with contextlib.nullcontext() if held else interrupts_allowed():
                    function(*args, **kwargs)
                check_interrupt()
            except KeyboardInterrupt:
                interrupt_answered()
                typer.echo("ufm: interrupted", err=True)
                raise typer.Exit(exit_status()) from None
            except Exception as exc:
                status = _status_of(exc)
                if status is None:
                    raise
                typer.echo(f"ufm: {exc}", err=True)
                raise typer.Exit(status) from None

        group.command(name, help=inspect.getdoc(function), epilog=f"Example: {example}")(wrapper)
        return function

    return register


def _status_of(error: Exception) -> int | None:
    """Exit status of a command that raised ``error``; None where its traceback is wanted, or it is click's own."""
    if isinstance(error, BrokenPipeError):
        return None
    if isinstance(error, ValueError | TypeError | OSError | MissingExtraError):
        return 2
    # Errors that the package defines, such as a solver's that did not converge, say all there is to say.
    return 1 if type(error).__module__.partition(".")[0] in ("ufm", "proofs_check") else None
