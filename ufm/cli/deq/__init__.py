"""``ufm deq``: real networks."""

# The order of the imports is that of the commands in the help.
from ufm.cli._app import app, deq_app

from ufm.cli.deq import train, sweep, hysteresis  # noqa: F401  # isort: skip

app.add_typer(deq_app, name="deq")
