"""Verdicts kept as they are found, and found in worker processes."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ufm._files import sealed, unsealed, write_atomically
from ufm._json import strict
from ufm._pieces import Pieces, run_key
from ufm._words import said
from ufm.claims import Claim, Context, Evidence, Figure, Status, all_claims, package_claims

__all__ = ["Outcome", "Store", "check_in_worker", "checked", "families", "is_of_library", "run_key", "unfinished"]


@dataclass(frozen=True)
class Outcome:
    """What checking a claim gave: evidence, seconds, and ``"Type: message"`` of what the check raised."""

    evidence: Evidence
    seconds: float
    error: str | None = None


def checked(claim: Claim, context: Context) -> Outcome:
    """Check a claim; whatever it raises but an interrupt makes the outcome inconclusive.

    >>> from ufm.claims import claim
    >>> @claim(id="broken", title="Broken", statement="1/0 = 1.", source="Nobody")
    ... def check(context):
    ...     return 1 / 0
    >>> checked(check, Context()).evidence.summary
    'the check failed: ZeroDivisionError: division by zero'
    """
    start = time.perf_counter()
    context.records = {}
    try:
        with np.errstate():  # what a check sets of NumPy's errors is not for the next one
            evidence = claim.check(context)
        if not isinstance(evidence, Evidence):
            raise TypeError(f"the check of {claim.id!r} must return Evidence, got {evidence!r}")
    except KeyboardInterrupt:
        raise
    except BaseException as exc:  # whatever a check does, the other claims still get their turn: an exit, pytest.fail
        error = said(exc)
        failed = unfinished(f"the check failed: {error}", context)
        return Outcome(failed, time.perf_counter() - start, error)
    return Outcome(evidence, time.perf_counter() - start)


def unfinished(summary: str, context: Context) -> Evidence:
    """Inconclusive evidence with the finished pieces of a check's work."""
    finished = context.records
    kept = sum(map(len, finished.values()))
    if kept:
        summary += f"; {kept} finished piece{'s' if kept > 1 else ''} of its work kept"
    return Evidence(Status.inconclusive, summary, details={"finished": finished} if finished else {})


def is_of_library(claim: Claim) -> bool:
    """Whether a claim is one of this package or of an installed one, so that another process finds it by its id."""
    return all_claims().get(claim.id) is claim


def _is_kept(claim: Claim) -> bool:
    """Whether a verdict may be taken from an earlier run: :func:`run_key` knows the code of this package alone."""
    return package_claims().get(claim.id) is claim


def families(claims: Iterable[Claim]) -> list[list[Claim]]:
    """Claims by their heading, for such share results: what goes to a worker together.

    The last ones of the report come first: trained networks and the verifier itself take longest.

    >>> [len(family) for family in families(list(all_claims().values())[:3])]
    [1, 2]
    """
    found: dict[str, list[Claim]] = {}
    for claim in claims:
        found.setdefault(claim.group, []).append(claim)
    return list(found.values())[::-1]


def check_in_worker(names: Sequence[str], effort: str, seed: int, out: str | None, key: str) -> list[Outcome | None]:
    """Check claims by their ids, in order, and keep every outcome in ``out`` as soon as it is found.

    None for a claim that this process does not know.

    >>> [outcome.evidence.status.value if outcome else None for outcome in check_in_worker(
    ...     ["mse-closed-form", "nobody-knows"], "quick", 0, None, "")]
    ['proved', None]
    """
    context = Context(effort=effort, seed=seed, out=None if out is None else Path(out))
    store = None if out is None else Store(Path(out), key)
    found: list[Outcome | None] = []
    for name in names:
        claim = all_claims().get(name)
        if claim is None:
            found.append(None)
            continue
        with contextlib.redirect_stdout(sys.stderr):  # standard output may be a document for programs
            outcome = checked(claim, context)
        if store is not None:
            store.save(claim, outcome)
        found.append(outcome)
    return found


class Store:
    """Verdicts of a run in ``verdicts/`` of its directory, a file a claim, each with its checksum.

    Args:
        out: directory of the run.
        key: :func:`run_key`: a verdict with another one is not of this run.

    >>> import tempfile
    >>> claim = all_claims()["lpm-balanced-etf"]
    >>> outcome = Outcome(Evidence("certified", "as it should be", established_by=("an example",)), 0.5)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Store(Path(folder), "key").save(claim, outcome)
    ...     Store(Path(folder), "key").load(claim) == outcome, Store(Path(folder), "another").load(claim)
    (True, None)
    """

    def __init__(self, out: Path, key: str) -> None:
        self.folder = out / "verdicts"
        self.key = key

    def _path(self, claim: Claim) -> Path:
        return self.folder / f"{claim.id}.json"

    def save(self, claim: Claim, outcome: Outcome) -> None:
        """Keep an outcome; one that JSON cannot hold, a check that crashed, is none to go on from."""
        if outcome.error is not None or not _is_kept(claim):
            return
        evidence = outcome.evidence
        fields: dict[str, Any] = {
            "status": evidence.status.value,
            "summary": evidence.summary,
            "details": evidence.details,
            "established_by": evidence.established_by,
            "assumptions": evidence.assumptions,
            "figures": [dataclasses.asdict(figure) for figure in evidence.figures],
        }
        document = strict({"key": self.key, "claim": claim.id, "seconds": outcome.seconds, "evidence": fields})
        self.folder.mkdir(exist_ok=True)
        write_atomically(self._path(claim), json.dumps(sealed(document), indent=1) + "\n")

    def load(self, claim: Claim) -> Outcome | None:
        """The outcome kept for a claim; None without one, or where the file is damaged or of another run."""
        if not _is_kept(claim):
            return None
        try:
            document = unsealed(json.loads(self._path(claim).read_text(encoding="utf-8")))
            if document["key"] != self.key or document["claim"] != claim.id:
                return None
            fields = dict(document["evidence"])
            fields["figures"] = tuple(Figure(**figure) for figure in fields["figures"])
            evidence = Evidence(**fields)
            files = evidence.details.get("certificates", [])
            if not all((self.folder.parent / file).is_file() for file in files):
                return None
            return Outcome(evidence, float(document["seconds"]))
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return None

    def clear(self, claims: Iterable[Claim]) -> None:
        """Forget what is kept of claims, and of their finished pieces."""
        for claim in claims:
            self._path(claim).unlink(missing_ok=True)
            Pieces.path(self.folder.parent, claim.id).unlink(missing_ok=True)
