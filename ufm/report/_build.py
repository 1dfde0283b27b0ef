"""From a run to the JSON-able report."""

from __future__ import annotations

import json
import math
import os
import platform
from datetime import UTC, datetime
from importlib import metadata, resources
from pathlib import Path
from typing import Any

import ufm
from ufm._files import unsealed
from ufm._json import strict
from ufm.claims import Claim, Status, Verdict, correction_of
from ufm.report._run import Run

__all__ = ["SCHEMA_VERSION", "build_report", "load_report", "schema"]

SCHEMA_VERSION = 1

#: Packages whose versions stand in the report's provenance, where they are installed.
PACKAGES = ("numpy", "scipy", "sympy", "cvxpy", "torch", "python-flint", "scikit-learn", "matplotlib")


def build_report(run: Run) -> dict[str, Any]:
    """Return the report of a run, finished or not: strict JSON values only, laid out as ``schema.json`` says.

    Numbers that JSON lacks become the strings ``"Infinity"``, ``"-Infinity"`` and ``"NaN"``.

    >>> from ufm.claims import Evidence, claim
    >>> @claim(id="two-and-two", title="Sum", statement="2 + 2 = 4.", source="Euclid")
    ... def check(context):
    ...     return Evidence("certified", "2 + 2 is 4", established_by=("integer arithmetic",))
    >>> run = ufm.verify(check)
    >>> build_report(run)["partial"]  # nothing has been checked yet
    True
    >>> verdicts = list(run)
    >>> report = build_report(run)
    >>> report["partial"], report["all_as_claimed"], report["counts"]["certified"]
    (False, True, 1)
    """
    done = {v.claim.id for v in run.verdicts}
    return {
        "schema_version": SCHEMA_VERSION,
        "partial": run.interrupted or len(run.verdicts) < len(run.claims),
        "all_as_claimed": run.all_as_claimed,
        "counts": {status.value: count for status, count in run.counts.items()},
        "provenance": {
            "ufm": ufm.__version__,
            "python": platform.python_version(),
            "packages": _versions(),
            "platform": f"{platform.system()} {platform.machine()}",
            "effort": run.context.effort,
            "seed": run.context.seed,
            "started": run.started.astimezone(UTC).isoformat(timespec="seconds"),
            "seconds": round(math.fsum(v.seconds for v in run.verdicts), 3),
            "command": run.command,
        },
        "verdicts": [_verdict(v) for v in run.verdicts],
        "not_run": [_claim(c) for c in run.claims if c.id not in done],
    }


def schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of ``report.json``, with a description of every field.

    >>> sorted(schema()["required"])[:3]
    ['all_as_claimed', 'counts', 'not_run']
    """
    return json.loads(resources.files("ufm.report").joinpath("schema.json").read_text(encoding="utf-8"))


def load_report(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a ``report.json``; where it carries a checksum, that is compared with what was read.

    Raises:
        ValueError: it is not JSON, damaged, or not a report of this version.
        OSError: it cannot be read.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "report.json")
    ...     _ = path.write_text('{"schema_version": 0}')
    ...     try:
    ...         load_report(path)
    ...     except ValueError as error:
    ...         print(str(error).removeprefix(str(path)))
     must be a report of schema version 1, got 0
    """
    try:
        report = unsealed(json.loads(Path(path).read_text(encoding="utf-8")))
    except (UnicodeDecodeError, json.JSONDecodeError) as exc:
        raise ValueError(f"{path} is not JSON: {exc}") from exc
    except ValueError as exc:
        raise ValueError(f"{path} is damaged: {exc}") from exc
    version = report.get("schema_version") if isinstance(report, dict) else None
    if version != SCHEMA_VERSION:
        raise ValueError(f"{path} must be a report of schema version {SCHEMA_VERSION}, got {version!r}")
    return report


def _claim(claim: Claim) -> dict[str, Any]:
    found = correction_of(claim.id)
    return {
        "id": claim.id,
        "title": claim.title,
        "statement": claim.statement,
        "source": claim.source,
        "group": claim.group,
        "hypotheses": list(claim.hypotheses),
        "region": claim.region,
        "effort": claim.effort,
        "papers": list(claim.papers),
        "topic": claim.topic,
        "losses": list(claim.losses),
        "architectures": list(claim.architectures),
        "standing": claim.standing,
        "core": claim.core,
        "corrects": None if found is None else found.to_dict(),
    }


def _verdict(verdict: Verdict) -> dict[str, Any]:
    evidence = verdict.evidence
    return {
        "claim": _claim(verdict.claim),
        "status": verdict.status.value,
        "as_claimed": verdict.as_claimed,
        "summary": evidence.summary,
        "established_by": list(evidence.established_by),
        "assumptions": list(evidence.assumptions),
        "details": strict(evidence.details),
        "figures": [
            {"kind": f.kind, "title": f.title, "caption": f.caption, "data": strict(f.data)} for f in evidence.figures
        ],
        "seconds": round(verdict.seconds, 3),
        "error": verdict.error,
    }


def _versions() -> dict[str, str]:
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions


def started(report: dict[str, Any]) -> datetime:
    """When the run of a report began."""
    return datetime.fromisoformat(report["provenance"]["started"])


def labels() -> dict[str, str]:
    """What each status means, for readers."""
    return {
        Status.proved.value: "an exact symbolic proof; every step decided by computer algebra",
        Status.certified.value: "rigorous arithmetic (exact rationals or balls) establishes it as stated",
        Status.supported.value: "floating-point evidence with known error bounds agrees; not a proof",
        Status.refuted.value: "rigorous evidence excludes the statement",
        Status.inconclusive.value: "the evidence decides nothing: too wide, not finite, interrupted or crashed",
    }
