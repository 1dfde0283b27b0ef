"""Have Coq check every step of every theorem, and refuse the steps of the false variants."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from proofs_check.coq_steps import record
from proofs_check.coq_steps.checking import TIMEOUT, Verdict, check_all, compile_library, install_hint
from proofs_check.coq_steps.files import StepFile, every_step, files_of, mutant_files
from proofs_check.theorems import all_theorems

Checked = list[tuple[StepFile, Verdict]]

#: Share of all steps that Coq has to accept.
SHARE = 0.95


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; status 0 if Coq accepts enough steps, all that it accepted before, and no false variant."""
    options = _options().parse_args(arguments)
    store = Path(options.store)
    try:
        compile_library(store)
    except RuntimeError as missing:
        print(f"{missing}; nothing was checked")
        return 0 if options.optional else 2
    if options.show:
        for file in files_of(options.theorems[0]):
            print(file.text or f"(* step {file.index + 1}: {file.reason} *)")
        return 0
    files = [f for id in options.theorems for f in files_of(id)] if options.theorems else list(every_step())
    checked = check_all(files, store, options.workers, options.timeout, _progress)
    print(table(checked))
    status = _judge(checked, complete=not options.theorems)
    if options.write:
        record.write(Path(options.write), _accepted(checked))
    if options.mutants:
        status |= _mutants(options, store)
    return status


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m proofs_check.coq_steps", description=__doc__)
    parser.add_argument("theorems", nargs="*", help="names of theorems; all if none")
    parser.add_argument("--store", default="out/proofs", help="folder of verdicts; an interrupted run goes on there")
    parser.add_argument("--workers", type=int, default=2, help="files checked at a time")
    parser.add_argument("--timeout", type=float, default=TIMEOUT, help="seconds for one file")
    parser.add_argument("--mutants", action="store_true", help="also have the false variants refused")
    parser.add_argument("--show", action="store_true", help="print the Coq files of the first theorem named, only")
    parser.add_argument("--write", metavar="FILE", help="write the record of what was accepted")
    parser.add_argument("--optional", action="store_true", help=f"succeed without {install_hint}")
    return parser


def _progress(file: StepFile, verdict: Verdict) -> None:
    if verdict.accepted is not True and not file.variant:
        print(f"{file.theorem}, step {file.index + 1} ({file.step.statement}): {verdict.reason}", flush=True)


def table(checked: Checked) -> str:
    """Accepted and all steps of every theorem, then of all."""
    lines = []
    for theorem in dict.fromkeys(file.theorem for file, _ in checked):
        verdicts = [v.accepted is True for file, v in checked if file.theorem == theorem]
        lines.append(f"{theorem:32} {sum(verdicts):4} of {len(verdicts)}")
    total = sum(v.accepted is True for _, v in checked)
    return "\n".join([*lines, f"{'all':32} {total:4} of {len(checked)} ({total / max(len(checked), 1):.1%})"])


def _accepted(checked: Checked) -> list[str]:
    return [key for file, v in checked if v.accepted is True and (key := record.fingerprint(file.step)) is not None]


def _judge(checked: Checked, complete: bool) -> int:
    accepted = _accepted(checked)
    lost = [f for f, v in checked if v.accepted is not True and record.fingerprint(f.step) in record.recorded()]
    for file in lost:
        print(f"recorded as accepted, and is not: {file.theorem}, step {file.index + 1}")
    return int(bool(lost) or (complete and len(accepted) < SHARE * len(checked)))


def _mutants(options: argparse.Namespace, store: Path) -> int:
    files = [f for id in options.theorems or all_theorems() for f in mutant_files(id)]
    exported = {f.key: f for f in files if f.text}
    checked = check_all(exported.values(), store, options.workers, min(options.timeout, 30.0))
    wrong = [file for file, verdict in checked if verdict.accepted is True]
    for file in wrong:
        print(f"FALSE BUT ACCEPTED: {file.theorem}, {file.variant}, step {file.index + 1}: {file.step.statement}")
    print(f"steps of false variants refused: {len(checked) - len(wrong)} of {len(checked)} exported")
    return int(bool(wrong))


def _end(number: int, frame: object) -> None:
    """SIGTERM ends what has been started as well, as Ctrl-C does."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _end)
    sys.exit(main())
