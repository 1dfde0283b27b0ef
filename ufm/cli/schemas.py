"""Schemas of what commands print with ``--json``, and of the JSON files that they read and write.

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

__all__ = ["COMMANDS", "FILES", "file_schema", "output_schema", "page"]


@cache
def _document() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(resources.files("ufm.cli").joinpath("schema.json").read_text(encoding="utf-8"))
    return found


#: Commands whose output has a schema; a training by SGD prints another document than a fit.
COMMANDS = tuple(_document()["commands"])

#: Kinds of files that have a schema; "report" and "certificate" have theirs beside what writes and checks them.
FILES = ("report", "certificate", *_document()["files"])


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
    return _whole(document["commands"][name])


def file_schema(kind: str) -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a file, or of a line of it where it is one of JSON lines.

    Args:
        kind: one of FILES: ``"problem"`` (of ``ufm solve FILE``), ``"report"``, ``"certificate"`` and ``"verdict"`` (of
            ``ufm verify``), ``"sweep"`` and ``"hysteresis"`` (of ``ufm deq``), ``"config"``, ``"metrics"`` and
            ``"result"`` (of ``ufm deq train --run``), ``"history"`` (of :class:`ufm.measures.History`).

    Raises:
        ValueError: a kind that is none.

    >>> sorted(file_schema("history")["properties"])
    ['epochs', 'format', 'rows']
    """
    name = one_of("kind", kind, FILES)
    if name == "report":
        return output_schema("verify")
    if name == "certificate":
        found: dict[str, Any] = json.loads(
            resources.files("proofs_check").joinpath("schema.json").read_text(encoding="utf-8")
        )
        return found
    return _whole(_document()["files"][name])


def _whole(schema: dict[str, Any]) -> dict[str, Any]:
    """A part of the document with the definitions that it refers to."""
    document = _document()
    return {"$schema": document["$schema"], "$defs": document["$defs"], **schema}


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
    lines += [
        "",
        "## Files",
        "",
        "`ufm.cli.schemas.file_schema(kind)` is the schema of a file that a command reads or writes; of JSON lines,",
        "that of a line. Of kind `report` is report.json, of kind `certificate` what `ufm certify` checks (its schema",
        "stands in proofs_check/schema.json); the others follow.",
    ]
    for name, schema in document["files"].items():
        lines += ["", f"## File: {name}", *_described(schema)]
    for name, schema in document["$defs"].items():
        if schema.get("type") == "object":
            lines += ["", f"## {name}", *_described(schema)]
    return "\n".join(lines) + "\n"


def _described(schema: dict[str, Any]) -> list[str]:
    text = [_plain(schema["description"])] if "description" in schema else []
    if "$ref" in schema:
        text.append(f"The document is {_kind(schema)}.")
    if "anyOf" in schema:
        text.append(f"It is {_kind({'anyOf': [s for s in schema['anyOf'] if '$ref' in s]})}{_or_as_below(schema)}.")
        schema = next((s for s in schema["anyOf"] if "$ref" not in s), schema)
    inner = schema.get("items", schema) if schema.get("type") == "array" else schema
    rows = _rows(inner, "")
    table = ["| field | is | |", "|---|---|---|", *rows] if rows else []
    blocks = [*text, *(["\n".join(table)] if table else [])]
    return [line for block in blocks for line in ("", block)]


def _or_as_below(schema: dict[str, Any]) -> str:
    return "" if all("$ref" in s for s in schema["anyOf"]) else ", or as follows"


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
