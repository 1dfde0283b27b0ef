"""What commands print: tables for people, one JSON document for programs, and progress on standard error."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout
from typing import TYPE_CHECKING, Any

import typer

from ufm._extras import require

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["console", "print_figures", "print_json", "print_table", "progress_bar", "quiet_output"]


def console(*, stderr: bool = False) -> Console:
    """Standard output, or standard error, as wide as the terminal.

    >>> console(stderr=True).stderr
    True
    """
    require("rich", extra="cli")
    from rich.console import Console

    return Console(stderr=stderr)


@contextmanager
def quiet_output(wanted: bool) -> Iterator[None]:
    """While the body lasts, what other code prints goes to standard error: with ``--json`` output is one document.

    >>> with quiet_output(True):
    ...     print("a check's own words")
    """
    with redirect_stdout(sys.stderr) if wanted else nullcontext():
        yield


@contextmanager
def progress_bar() -> Iterator[Callable[[str, float, float | None], None]]:
    """A progress bar on standard error while the body lasts; yields what a computation calls to move it.

    >>> with progress_bar() as progress:
    ...     progress("points", 1, 3)
    """
    from rich.progress import Progress

    with Progress(console=console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda description, completed, total: bar.update(
            task, description=description, completed=completed, total=total
        )


def print_json(value: Any) -> None:
    """Print one JSON document; numbers that JSON lacks become the strings "Infinity", "-Infinity" and "NaN".

    >>> print_json({"ratio": math.inf})
    {"ratio": "Infinity"}
    """
    from ufm._json import strict

    is_unicode = (getattr(sys.stdout, "encoding", None) or "utf-8").lower().startswith("utf")
    typer.echo(json.dumps(strict(value), ensure_ascii=not is_unicode, allow_nan=False))


def print_figures(figures: dict[str, Any]) -> None:
    """Print names and values in two columns.

    >>> print_figures({"is_global": True, "value": 0.25})
    is global  yes...
    value      0.25...
    """
    print_table(None, [(name.replace("_", " "), value) for name, value in figures.items()])


def print_table(header: tuple[str, ...] | None, rows: list[tuple[Any, ...]], digits: int = 12) -> None:
    """Print rows under a header, floats with ``digits`` significant digits; long cells go on in the next line.

    >>> print_table(("n_B", "s_B"), [(8, None), (14, 1 / 3)], digits=3)
    n_B  s_B...
    8    -...
    14   0.333...
    """
    require("rich", extra="cli")
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=header is not None, padding=(0, 2, 0, 0), header_style="bold")
    for name in header or ("",) * len(rows[0] if rows else ()):
        table.add_column(Text(name), overflow="fold")
    for row in rows:
        table.add_row(*(Text(_cell(value, digits)) for value in row))
    console().print(table)


def _cell(value: Any, digits: int) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return "inf" if math.isinf(value) else f"{value:.{digits}g}"
    if isinstance(value, list | tuple):
        return ", ".join(_cell(item, digits) for item in value)
    return str(value)
