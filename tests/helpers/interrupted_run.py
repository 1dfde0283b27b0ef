"""``ufm verify`` on claims that make interruption hard: ``python interrupted_run.py verify --out FOLDER``.

A line READY on standard error says from when on a signal must not be lost.
"""

from __future__ import annotations

import ctypes
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ufm._interrupts import interruptible, interrupts_held

#: Seconds of each check, long enough that most signals hit one.
SECONDS = 0.25


def until_late() -> Iterator[float]:
    """Times, until the check is over."""
    start = time.monotonic()
    while (now := time.monotonic()) < start + SECONDS:
        yield now


def quiet(*_: object) -> None:
    """Python prints exceptions that it must ignore; these are meant."""


@contextmanager
def ignored_exceptions_are_silent() -> Iterator[None]:
    before, sys.unraisablehook = sys.unraisablehook, quiet
    try:
        yield
    finally:
        sys.unraisablehook = before


def finaliser() -> None:
    """Nearly all time is spent where an exception is ignored."""

    class Slow:
        def __del__(self) -> None:
            time.sleep(0.02)

    for _ in until_late():
        Slow()


def callback() -> None:
    """A callback of C code, whose exceptions are ignored."""
    slow = ctypes.CFUNCTYPE(None)(lambda: time.sleep(0.02))
    for _ in until_late():
        slow()


def greedy() -> None:
    """Code that catches everything."""
    for _ in until_late():
        try:
            time.sleep(0.02)
        except BaseException:
            continue


def deaf() -> None:
    """One swallowed exception at the start of a long wait: nothing but a second one ends it soon."""
    try:
        time.sleep(SECONDS)
    except BaseException:
        time.sleep(30)


def broken() -> None:
    """An interrupt that becomes another error."""
    try:
        time.sleep(SECONDS)
    except BaseException:
        raise ImportError("partially initialised module") from None


def child() -> None:
    """A subprocess."""
    subprocess.run([sys.executable, "-c", f"import time; time.sleep({SECONDS})"], check=True)


def pool() -> None:
    """Worker processes."""
    from sweep_samples import sleeps

    from ufm import sweeps

    with sweeps.processes(2) as executor:
        list(executor.map(_sleep, [sleeps] * 4, range(4)))


def _sleep(function: object, x: int) -> object:
    return function(x=x, seconds=SECONDS / 4)  # type: ignore[operator]


def heavy() -> None:
    """An import of something large."""
    import torch

    torch.ones(2).sum()


def plain() -> None:
    for _ in until_late():
        sum(range(1000))


CHECKS = (plain, finaliser, callback, greedy, deaf, broken, child, pool, heavy)


def main() -> None:
    print("READY", file=sys.stderr, flush=True)
    sys.path.insert(0, str(Path(__file__).parent))
    from claim_samples import claim, found

    from ufm import claims, cli

    def check_of(work):  # type: ignore[no-untyped-def]
        def check(context):  # type: ignore[no-untyped-def]
            context.record("begun", work.__name__)
            work()
            return found("supported")(context)

        return check

    known = [claim(work.__name__, check_of(work)) for work in CHECKS]
    claims._collect = lambda: {c.id: c for c in known}
    with ignored_exceptions_are_silent():
        cli.main()


if __name__ == "__main__":
    import signal

    signal.signal(signal.SIGINT, signal.default_int_handler)  # a parent may have it ignored
    with interruptible(), interrupts_held():
        main()
