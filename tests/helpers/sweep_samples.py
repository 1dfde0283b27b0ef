"""Point functions of the sweep tests, in a module that worker processes import."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

from ufm.sweeps import versioned


def logistic(*, start: float, steps: int, log: str | None = None, pause: float = 0.0) -> dict[str, Any]:
    """Orbit of x -> 3.9 x (1 - x): a wrong bit anywhere grows into a different result.

    ``log`` names an environment variable with the path of a file that gets a line a call.
    """
    if log is not None and log in os.environ:
        with open(os.environ[log], "a", encoding="ascii") as file:
            file.write(f"{start!r}\n")
    time.sleep(pause)
    x, total = start, 0.0
    for _ in range(steps):
        x = 3.9 * x * (1 - x)
        total += x
    return {"last": x, "mean": total / steps}


def square(*, x: float) -> float:
    return x * x


@versioned(2)
def square_again(*, x: float) -> float:
    return x * x


def reciprocal(*, x: float) -> float:
    return 1 / x


def echo(*, value: Any) -> Any:
    return value


def infinities(*, sign: int) -> Any:
    return {"value": sign * float("inf"), "list": [float("-inf"), 0.1]}


def nan(*, x: float) -> float:
    return float("nan") * x


def unserialisable(*, x: float) -> Any:
    return {"set": {x}}


class Unpicklable(Exception):
    def __init__(self) -> None:
        super().__init__(lambda: None, "\udcff")

    def __str__(self) -> str:
        return "cannot be pickled: \udcff"


def raises(*, kind: str) -> None:
    if kind == "exit":
        raise SystemExit(3)
    raise Unpicklable


def fails_until(*, path: str) -> str:
    """Raises as long as there is no such file."""
    return Path(path).read_text(encoding="utf-8")


def kills_its_worker(*, x: int, killer: int, once: str | None = None) -> int:
    """Ends its process at x = killer; with ``once``, only if that file does not exist yet."""
    if x == killer and not (once is not None and Path(once).exists()):
        if once is not None:
            Path(once).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return x


def sleeps(*, x: int, seconds: float, mark: str | None = None) -> int:
    if mark is not None:
        Path(mark).touch()
    time.sleep(seconds)
    return x


def where(*, x: int, seconds: float) -> list[int]:
    """``x`` and the process that had it."""
    time.sleep(seconds)
    return [x, os.getpid()]


def threads(*, x: int) -> list[int]:
    import numpy as np
    from threadpoolctl import threadpool_info

    np.linalg.norm(np.eye(3) * x, 2)
    return [pool["num_threads"] for pool in threadpool_info()]
