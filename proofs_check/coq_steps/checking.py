"""Files checked by ``coqc``, in parallel and remembered, so that an interrupted run goes on where it was."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from proofs_check.coq import lacks_library, run_coqc, run_coqtop
from proofs_check.coq_steps.files import IMPORT, StepFile, library

__all__ = ["Verdict", "batched", "check", "check_all", "compile_library", "install_hint"]

#: Seconds that one file may take.
TIMEOUT = 120.0
#: Most steps that one process of Coq is given at a time.
BATCH = 30
#: What has to be proved before a session may say that something else was not: that it has the tactics.
CONTROL = "Theorem control : (1 + 1 = 2)%R.\nProof.\nequal ltac:(idtac).\nQed.\nLocate control."
#: Most of a batch that was not accepted that are checked one by one.
HALVED = 4

install_hint = "coqc with the libraries Interval and Coquelicot (Debian: coq, libcoq-interval, libcoq-coquelicot)"


@dataclass(frozen=True)
class Verdict:
    """What Coq said of a file.

    Attributes:
        accepted: True: proved; False: an error; None: out of time, or there was no file.
        reason: the error, or why there is no verdict.
        seconds: what coqc took.
    """

    accepted: bool | None
    reason: str = ""
    seconds: float = 0.0


def compile_library(folder: Path) -> None:
    """Compile the tactics in ``folder``.

    Raises:
        RuntimeError: coqc or its libraries are missing.
    """
    source = folder / "library.v"
    if source.exists() and source.read_text(encoding="ascii") == library() and (folder / "library.vo").exists():
        return
    if shutil.which("coqc") is None:
        raise RuntimeError(f"{install_hint} is not installed")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        (Path(scratch) / "library.v").write_text(library(), encoding="ascii")
        status, output = _coqc(Path(scratch), Path(scratch), "library.v", 600.0)
        if status != 0:
            raise RuntimeError(f"the library of tactics does not compile with {install_hint}: {output[-500:]}")
        os.replace(Path(scratch) / "library.vo", folder / "library.vo")
        os.replace(Path(scratch) / "library.v", source)


def _coqc(load: Path, folder: Path, name: str, timeout: float) -> tuple[int | None, str]:
    # coqc runs in ``folder``: a load path that is relative would be looked for there
    return run_coqc(["-w", "none", "-R", str(load.resolve()), "Ufm", name], folder, timeout)


def check(file: StepFile, store: Path, timeout: float = TIMEOUT) -> Verdict:
    """Coq's verdict on a file, from the store where it was asked before.

    Raises:
        RuntimeError: coqc does not find a library, so that it says nothing of the step.
    """
    if not file.text:
        return Verdict(None, f"not exported: {file.reason}")
    kept = _kept(file, store)
    if kept.exists():
        return Verdict(**json.loads(kept.read_text(encoding="utf-8")))
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="step-") as scratch:
        (Path(scratch) / "step.v").write_text(file.text, encoding="ascii")
        status, output = _coqc(store, Path(scratch), "step.v", timeout)
    seconds = round(time.monotonic() - start, 2)
    if status is None:
        return Verdict(None, f"no verdict within {timeout:g} s", seconds)
    if lacks_library(output):  # no verdict on the step, and never one that refuses a false variant
        raise RuntimeError(f"coqc does not find a library, {install_hint}: {output[-300:]}")
    verdict = Verdict(status == 0, "" if status == 0 else " ".join(output.split())[-400:], seconds)
    _keep(file, store, verdict)
    return verdict


def _kept(file: StepFile, store: Path) -> Path:
    return store / f"{file.key}.json"


def _keep(file: StepFile, store: Path, verdict: Verdict) -> None:
    kept = _kept(file, store)
    fresh = kept.with_suffix(f".{os.getpid()}-{id(file)}.new")
    fresh.write_text(json.dumps(asdict(verdict)), encoding="utf-8")
    os.replace(fresh, kept)


def check_all(
    files: Iterable[StepFile],
    store: Path,
    workers: int = 2,
    timeout: float = TIMEOUT,
    progress: Callable[[StepFile, Verdict], None] = lambda file, verdict: None,
) -> list[tuple[StepFile, Verdict]]:
    """Coq's verdict on every file, ``workers`` at a time; verdicts are kept in ``store`` and not asked for twice.

    Coq takes longer to start than for most steps: those of a theorem go through one process first, see :func:`batched`.

    Raises:
        RuntimeError: coqc or its libraries are missing.
    """
    compile_library(store)
    found = []
    with ThreadPoolExecutor(workers) as pool:
        todo = list(files)
        for _ in pool.map(partial(batched, store=store, timeout=timeout), _batches(todo, store)):
            pass
        for file, verdict in zip(todo, pool.map(partial(check, store=store, timeout=timeout), todo), strict=True):
            progress(file, verdict)
            found.append((file, verdict))
    return found


def _batches(files: Iterable[StepFile], store: Path) -> list[list[StepFile]]:
    """Files without a verdict, of one theorem and all true or all false ones, at most :data:`BATCH` together."""
    groups: dict[tuple[str, bool], dict[str, StepFile]] = {}
    for file in files:
        if file.text and not _kept(file, store).exists():
            groups.setdefault((file.theorem, bool(file.variant)), {})[file.key] = file
    batches = []
    for group in groups.values():
        rest = list(group.values())
        batches += [rest[i : i + BATCH] for i in range(0, len(rest), BATCH)]
    return [batch for batch in batches if len(batch) > 1]


def batched(files: Sequence[StepFile], store: Path, timeout: float = TIMEOUT) -> None:
    """Keep the verdicts that one process of Coq has for all of these files; the others are left to :func:`check`.

    Steps of a theorem are one file for coqc: it is accepted as a whole, or cut in half. Steps of false variants go
    through coqtop, which goes on after an error: a statement that it could not prove by its script is refused, for
    coqc, which stops at the first error, proves no more. One that coqtop did prove is left to coqc.
    """
    seconds = time.monotonic()
    limit = timeout * min(len(files), 5)
    with tempfile.TemporaryDirectory(prefix="steps-") as scratch:
        if files[0].variant:
            status, output = run_coqtop(
                ["-w", "none", "-R", str(store.resolve()), "Ufm"], _session(files, timeout), limit
            )
            refused = set(map(int, re.findall(r"No object of basename unit_(\d+)\b", output)))
            done = {i: False for i in refused} if status == 0 and "Constant Top.control" in output else {}
        else:
            (Path(scratch) / "steps.v").write_text(_joined(files, timeout), encoding="ascii")
            status, output = _coqc(store, Path(scratch), "steps.v", limit)
            done = dict.fromkeys(range(len(files)), True) if status == 0 else {}
            if status not in (0, None) and len(files) > HALVED and not lacks_library(output):
                middle = len(files) // 2
                for half in (files[:middle], files[middle:]):
                    batched(half, store, timeout)
    each = round((time.monotonic() - seconds) / len(files), 2)
    for i, accepted in done.items():
        _keep(files[i], store, Verdict(accepted, "" if accepted else "its script does not prove it", each))


def _units(files: Sequence[StepFile]) -> list[str]:
    """The texts without the line that loads the library, their theorems named ``unit_0``, ``unit_1``, ..."""
    texts = (file.text.replace(f"{IMPORT}\n", "", 1) for file in files)
    return [
        re.sub(r"^Theorem step_\d+ :", f"Theorem unit_{i} :", text, count=1, flags=re.M) for i, text in enumerate(texts)
    ]


def _joined(files: Sequence[StepFile], timeout: float) -> str:
    return "\n".join([IMPORT, f"Set Default Timeout {math.ceil(timeout)}.", *_units(files)])


def _session(files: Sequence[StepFile], timeout: float) -> str:
    """Input of coqtop: every script, then whether its theorem is there."""
    parts = [IMPORT, CONTROL, f"Set Default Timeout {math.ceil(timeout)}."]
    for i, unit in enumerate(_units(files)):
        parts += [unit, "Abort All.", f"Locate unit_{i}."]
    return "\n".join(parts) + "\n"
