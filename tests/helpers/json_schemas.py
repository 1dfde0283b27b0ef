"""JSON held against its schema: what a command prints, the files of every kind, certificates."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema

from proofs_check import checker
from proofs_check.checker import Outcome
from ufm.cli.schemas import file_schema, output_schema

__all__ = ["accepted", "check_file", "check_output"]


def check_output(command: str, text: str) -> Any:
    """What a command printed, read and valid."""
    found = json.loads(text)
    jsonschema.validate(found, output_schema(command))
    return found


def check_file(kind: str, path: Path) -> list[Any]:
    """The documents of a file, one a line where it is one of JSON lines, each valid."""
    text = path.read_text(encoding="utf-8")
    found = [json.loads(part) for part in (text.splitlines() if path.suffix == ".jsonl" else [text])]
    for document in found:
        jsonschema.validate(document, file_schema(kind))
    return found


def accepted(certificate: dict[str, Any], name: str) -> Outcome:
    """What the checker says of a certificate that fits the schema, and that it must accept, by lemmas that it lists."""
    outcome = checker.check(certificate)
    assert outcome, (name, outcome.reason)
    assert set(outcome.lemmas) <= set(checker.LEMMAS), name
    jsonschema.validate(certificate, file_schema("certificate"))
    return outcome
