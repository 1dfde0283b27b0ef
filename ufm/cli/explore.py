"""``ufm explore``: sliders beside the optimum, in the browser."""

from __future__ import annotations

from typing import Annotated

import typer

from ufm.cli._app import app, command
from ufm.cli.options import JsonOption, parsed
from ufm.cli.output import print_json

__all__: list[str] = []  # a command is registered, not called


@command(app, "explore", "ufm explore --at 'architecture=linear-deq&R=20'")
def explore(
    at: Annotated[
        str, typer.Option("--at", help="Where the sliders start, as in the page's address: NAME=VALUE&NAME=VALUE...")
    ] = "",
    port: Annotated[int, typer.Option("--port", help="0 for any that is free.", **parsed(int))] = 0,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in the browser.")] = True,
    as_json: JsonOption = False,
) -> None:
    """Open a page of this machine: sliders, the optimum's geometry, phase map, thresholds, and trained networks beside.

    The address bar holds where the sliders stand, and can be shared. Ctrl-C ends it. With --json what the page shows
    at the start is printed, and none is opened.
    """
    from ufm.explorer import State, serve, view_of

    state = State.of_query(at)
    if as_json:
        print_json(view_of(state).to_dict())
    else:
        serve(state, port=port, show=browser)
