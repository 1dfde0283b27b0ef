"""One Coq file for each step: its text, and what it says, in a comment."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources

from proofs_check.coq_steps.scripts import proof
from proofs_check.coq_steps.statements import state
from proofs_check.coq_steps.terms import NotExported
from proofs_check.theorems import all_theorems, mutants, prove
from proofs_check.theorems.facts import Proof, Step

__all__ = ["IMPORT", "StepFile", "every_step", "files_of", "library", "mutant_files", "step_file"]


#: The line that loads the tactics.
IMPORT = "From Ufm Require Import library."


@dataclass(frozen=True)
class StepFile:
    """A step with its Coq file.

    Attributes:
        theorem: name of the theorem.
        variant: name of the false variant; empty for the theorem itself.
        index: place among the proof's steps.
        step: the step.
        text: the Coq file; empty where the step has no Coq statement.
        reason: why it has none.
    """

    theorem: str
    variant: str
    index: int
    step: Step
    text: str
    reason: str = ""

    @property
    def key(self) -> str:
        """Hash of the file and of the library of tactics that it loads: a verdict under it is never stale."""
        return hashlib.sha256(f"{library()}\0{self.text}".encode()).hexdigest()


def library() -> str:
    """The tactics and lemmas that all files load."""
    return resources.files("proofs_check.coq_steps").joinpath("library.v").read_text(encoding="ascii")


def _comment(words: str) -> str:
    plain = words.replace("(*", "( *").replace("*)", "* )").replace('"', "'")
    return re.sub(r"[^\x20-\x7e]", "?", plain)


def step_file(theorem: str, index: int, step: Step, variant: str = "") -> StepFile:
    """The Coq file of a step."""
    try:
        statement = state(step.fact)
        script = proof(statement)
    except (NotExported, ValueError) as reason:
        return StepFile(theorem, variant, index, step, "", str(reason))
    lines = [
        f"(* Theorem {theorem}{', false variant: ' + variant if variant else ''}, step {index + 1} ({step.method}).",
        f"   {_comment(step.statement)} *)".replace("\n", " "),
        IMPORT,
        f"Theorem step_{index + 1} : {statement.text}.",
        "Proof.",
        script,
        "Qed.",
    ]
    return StepFile(theorem, variant, index, step, "\n".join([_comment_first(lines[0]), *lines[1:]]) + "\n")


def _comment_first(line: str) -> str:
    return re.sub(r"[^\x20-\x7e]", "?", line)


def _of(theorem: str, proved: Proof, variant: str = "") -> tuple[StepFile, ...]:
    return tuple(step_file(theorem, i, step, variant) for i, step in enumerate(proved.steps))


def files_of(theorem: str) -> tuple[StepFile, ...]:
    """The files of all steps of a theorem.

    >>> [bool(f.text) for f in files_of("ce-convex")][:3]
    [True, True, True]
    """
    return _of(theorem, prove(theorem))


def mutant_files(theorem: str) -> tuple[StepFile, ...]:
    """The files of the steps of the theorem's false variants that the exact kernel calls False.

    A step that it leaves open may be true: every false variant has one that is contradicted at a point.
    """
    return tuple(
        file
        for name, overrides in mutants(theorem).items()
        for file in _of(theorem, prove(theorem, **overrides), name)
        if file.step.result is False
    )


def every_step() -> Iterator[StepFile]:
    """The files of all steps of all theorems."""
    for theorem in all_theorems():
        yield from files_of(theorem)
