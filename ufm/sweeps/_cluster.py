"""Whether anybody works on the calls of a sweep that a Dask cluster has."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["ClusterWatch", "Trouble"]

#: Seconds that the scheduler has to answer.
ANSWER = 8.0


@dataclass(frozen=True)
class Trouble:
    """What keeps every call from being worked on.

    Attributes:
        text: in words.
        passes: whether Dask sees to it by itself, in minutes.
    """

    text: str
    passes: bool = False


class ClusterWatch:
    """Looks at a Dask cluster on behalf of a sweep.

    A Dask future whose worker died may never come to an end: its result is lost on the way, no worker is left to
    compute it, or the scheduler waits five minutes for a worker that is silent.

    Args:
        client: a ``distributed.Client``.
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self._seen: dict[str, float] = {}

    def trouble(self) -> Trouble | None:
        """What keeps every call of this client from being worked on, as far as one sees since the last look."""
        try:
            processing, info = _within(ANSWER, lambda: (self._client.processing(), self._client.scheduler_info()))
        except Exception as error:  # whatever it is, nobody answered
            return Trouble(f"the scheduler does not answer: {type(error).__name__}: {error}")
        before, self._seen = self._seen, {a: w.get("last_seen", 0.0) for a, w in info["workers"].items()}
        calls = set(self._client.futures)
        busy = [address for address, keys in processing.items() if not calls.isdisjoint(keys)]
        if not processing:
            return Trouble("no worker is left")
        if not busy:
            return Trouble("no worker has any of the calls")
        # One that holds the interpreter's lock for long is silent too, and may well be at work.
        if all(address in before and before[address] == self._seen.get(address) for address in busy):
            return Trouble(f"the workers that have the calls are silent: {', '.join(busy)}", passes=True)
        return None


def _within(seconds: float, call: Callable[[], Any]) -> Any:
    """What ``call`` returns or raises; TimeoutError after ``seconds``, with the call left to itself."""
    found: list[Any] = []
    errors: list[Exception] = []

    def work() -> None:
        try:
            found.append(call())
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not found:
        raise TimeoutError(f"nothing within {seconds:g} s")
    return found[0]
