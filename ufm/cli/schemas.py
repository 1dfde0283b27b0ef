"""Schemas of what commands print with ``--json``.

    python -m ufm.cli.schemas [FILE]

writes their page of the docs.
"""

from __future__ import annotations

import json
import sys
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from ufm._files import write_atomically
from ufm._validation import one_of

__all__ = ["COMMANDS", "output_schema", "page"]


@cache
def _document() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(resources.files("ufm.cli").joinpath("schema.json").read_text(encoding="utf-8"))
    return found


#: Commands whose output has a schema; a training by SGD prints another document than a fit.
COMMANDS = tuple(_document()["commands"])


def output_schema(command: str) -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of what a command prints with ``--json``, every field described.

    Args:
        command: as it is written after ``ufm``: ``"solve"``, ``"deq sweep"``, ..., or ``"deq train --run"``.

    Raises:
        ValueError: a command that is none.

    >>> sorted(output_schema("threshold")["properties"])
    ['architecture', 'lower', 'majority_count', 'minority_count', 'ratio', 'upper']
    """
    name = one_of("command", command, COMMANDS)
    document = _document()
    if name == "verify":  # the report, which files hold too
        from ufm.report import schema

        return schema()
    return {"$schema": document["$schema"], "$defs": document["$defs"], **document["commands"][name]}


def page() -> str:
    """Return the page of the docs: a table of fields for every command, and for what several of them share.

    >>> page().splitlines()[0]
    '# JSON of the commands'
    """
    document = _document()
    lines = [
        "# JSON of the commands",
        "",
        "With `--json` a command prints one JSON document. `ufm.cli.schemas.output_schema(command)` is its schema,",
        "by which the suite checks every output; the tables below are made from it. A field that may be missing is in",
        'italics. Numbers that JSON lacks are the strings `"Infinity"`, `"-Infinity"` and `"NaN"`.',
    ]
    for name, schema in document["commands"].items():
        lines += ["", f"## ufm {name}", *_described(schema)]
    for name, schema in document["$defs"].items():
        if schema.get("type") == "object":
            lines += ["", f"## {name}", *_described(schema)]
    return "\n".join(lines) + "\n"


def _described(schema: dict[str, Any]) -> list[str]:
    text = [_plain(schema["description"])] if "description" in schema else []
    if "$ref" in schema:
        text.append(f"The document is [{_target(schema)}](#{_target(schema)}).")
    inner = schema.get("items", schema) if schema.get("type") == "array" else schema
    rows = _rows(inner, "")
    table = ["| field | is | |", "|---|---|---|", *rows] if rows else []
    blocks = [*text, *(["\n".join(table)] if table else [])]
    return [line for block in blocks for line in ("", block)]


def _rows(schema: dict[str, Any], prefix: str) -> list[str]:
    rows = []
    for name, field in schema.get("properties", {}).items():
        shown = f"`{prefix}{name}`" if name in schema.get("required", ()) else f"*`{prefix}{name}`*"
        rows.append(f"| {shown} | {_kind(field)} | {_plain(field.get('description', ''))} |")
        rows += _rows(field, f"{prefix}{name}.")
    return rows


def _kind(schema: dict[str, Any]) -> str:
    """What a field may be, in words."""
    if "$ref" in schema:
        name = _target(schema)
        is_table = _document()["$defs"][name].get("type") == "object"
        return f"[{name}](#{name})" if is_table else {"numbers": "list of numbers"}.get(name, name)
    if "const" in schema:
        return f'`"{schema["const"]}"`'
    if "enum" in schema:
        return " or ".join("null" if v is None else str(v).lower() for v in schema["enum"])
    if "anyOf" in schema:
        return " or ".join(map(_kind, schema["anyOf"]))
    if schema.get("type") == "array":
        return f"list of {_kind(schema['items'])}"
    kinds = {"object": "object", "integer": "integer", "string": "text", "boolean": "true or false", "null": "null"}
    return kinds.get(schema.get("type", ""), "number")


def _target(schema: dict[str, Any]) -> str:
    return str(schema["$ref"]).rpartition("/")[2]


def _plain(text: str) -> str:
    return text.replace("|", "\\|").replace("_", "\\_").replace("*", "\\*").replace("<", "&lt;")


def main(arguments: list[str]) -> None:
    """Write the page to the file that is named, or print it.

    >>> main([])  # doctest: +ELLIPSIS
    # JSON of the commands
    ...
    """
    if arguments:
        write_atomically(Path(arguments[0]), page())
    else:
        print(page(), end="")


if __name__ == "__main__":
    main(sys.argv[1:])
