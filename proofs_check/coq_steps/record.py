"""Which statements Coq has accepted, by their hash: kept in ``accepted.json``, made anew by ``make proofs``.

A statement that was proved once stays proved; one that changed has another hash and counts as not accepted until it has
been checked again, so that the record is never stale.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from functools import lru_cache
from importlib import resources
from pathlib import Path

from proofs_check.coq_steps.statements import state
from proofs_check.coq_steps.terms import NotExported
from proofs_check.theorems.facts import Step

__all__ = ["RECORD", "accepted_steps", "fingerprint", "recorded", "write"]

RECORD = "accepted.json"


def fingerprint(step: Step) -> str | None:
    """Hash of the Coq statement of a step; None if it has none."""
    try:
        return hashlib.sha256(state(step.fact).text.encode()).hexdigest()
    except NotExported:
        return None


@lru_cache(maxsize=1)
def recorded() -> frozenset[str]:
    """Hashes of the statements that Coq accepted."""
    file = resources.files("proofs_check.coq_steps").joinpath(RECORD)
    return frozenset(json.loads(file.read_text(encoding="utf-8"))["accepted"])


def accepted_steps(steps: Iterable[Step]) -> tuple[int, int]:
    """How many of some steps Coq accepted, by the record, and how many there are.

    >>> from proofs_check.theorems import prove
    >>> accepted_steps(prove("etf-gram").steps)
    (14, 14)
    """
    found = [fingerprint(step) for step in steps]
    return sum(key in recorded() for key in found), len(found)


def write(path: Path, accepted: Iterable[str]) -> None:
    """Write the record."""
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps({"accepted": sorted(set(accepted))}, indent=0) + "\n", encoding="utf-8")
    os.replace(fresh, path)
