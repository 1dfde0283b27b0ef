"""``ufm claims``: what there is to verify."""

from __future__ import annotations

from ufm.cli._app import app, command
from ufm.cli.options import JsonOption
from ufm.cli.output import print_json, print_table

__all__: list[str] = []  # a command is registered, not called


@command(app, "claims", "ufm claims --json")
def claims(as_json: JsonOption = False) -> None:
    """List the claims: id, title, and the effort from which a run includes them."""
    from ufm.claims import all_claims

    known = list(all_claims().values())
    if as_json:
        fields = ("id", "title", "statement", "source", "group", "hypotheses", "region", "effort")
        print_json([{name: getattr(claim, name) for name in fields} for claim in known])
        return
    print_table(("id", "claim", "group", "effort"), [(c.id, c.title, c.group, c.effort) for c in known])
