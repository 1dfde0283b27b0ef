"""Files checked by ``coqc``, in parallel and remembered, so that an interrupted run goes on where it was."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from proofs_check.coq import lacks_library, run_coqc
from proofs_check.coq_steps.files import StepFile, library

__all__ = ["Verdict", "check_all", "compile_library", "install_hint"]

#: Seconds that one file may take.
TIMEOUT = 120.0

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
    kept = store / f"{file.key}.json"
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
    fresh = kept.with_suffix(f".{os.getpid()}-{id(file)}.new")
    fresh.write_text(json.dumps(asdict(verdict)), encoding="utf-8")
    os.replace(fresh, kept)
    return verdict


def check_all(
    files: Iterable[StepFile],
    store: Path,
    workers: int = 2,
    timeout: float = TIMEOUT,
    progress: Callable[[StepFile, Verdict], None] = lambda file, verdict: None,
) -> list[tuple[StepFile, Verdict]]:
    """Coq's verdict on every file, ``workers`` at a time; verdicts are kept in ``store`` and not asked for twice.

    Raises:
        RuntimeError: coqc or its libraries are missing.
    """
    compile_library(store)
    found = []
    with ThreadPoolExecutor(workers) as pool:
        todo = list(files)
        for file, verdict in zip(todo, pool.map(partial(check, store=store, timeout=timeout), todo), strict=True):
            progress(file, verdict)
            found.append((file, verdict))
    return found
