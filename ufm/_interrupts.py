"""Interruption: Ctrl-C and SIGTERM end a run with what it has found, soon, and are never lost.

A signal becomes an exception in the main thread. Two things go wrong with that. It may come while a finished piece of
work is kept in two places: :func:`interrupts_held`. And the exception may be raised where it is swallowed, in a
callback of C code, a finaliser or an import that something tries: within :func:`interruptible` the signal is
remembered, raised again at every :func:`check_interrupt`, and every :data:`RING` seconds until
:func:`interrupt_answered`.
"""

from __future__ import annotations

import os
import queue
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

__all__ = [
    "Terminated",
    "check_interrupt",
    "exit_status",
    "interrupt_answered",
    "interruptible",
    "interrupts_allowed",
    "interrupts_held",
]

#: What asks a program to end: Ctrl-C, a scheduler or a CI system, a terminal that was closed.
SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))

#: Seconds after which an interrupt that nobody has answered is raised again.
RING = 2.0

_watch: _Watch | None = None
_last: int | None = None


class Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP: an interrupt that keeps all that Ctrl-C keeps."""


class _Watch:
    """Handlers of the signals while the outermost :func:`interruptible` lasts, and the signal that came.

    Attributes:
        signum: the signal that came and has not been answered, or None.
        raised: whether it has been raised already, and may be on its way to whoever answers it.
        held: how many blocks hold it back.
    """

    def __init__(self) -> None:
        self.signum: int | None = None
        self.raised = self._ringing = self._closed = False
        self.held = 0
        self._pid = os.getpid()
        self.before: dict[int, Any] = {}
        self._bell: queue.SimpleQueue[bool] = queue.SimpleQueue()  # its put may be called by a signal handler
        self._lock = threading.Lock()

    def open(self) -> None:
        for number in SIGNALS:
            before = signal.getsignal(number)
            if isinstance(owner := getattr(before, "__self__", None), _Watch):  # inherited by a forked process
                before = owner.before[number]
            # What is ignored stays so (nohup, a shell's background), and what C code handles too.
            if callable(before) or (before is signal.SIG_DFL and number != signal.SIGINT):
                self.before[number] = before
                signal.signal(number, self._handle)
        threading.Thread(target=self._ring, daemon=True).start()

    def close(self) -> None:
        self.held += 1
        with self._lock:  # no ring after the handlers are gone
            self._closed = True
        self._bell.put(False)
        for number, before in self.before.items():
            signal.signal(number, before)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        global _last
        if os.getpid() != self._pid:  # a forked worker ends as workers do
            signal.signal(number, self.before[number])
            signal.raise_signal(number)
            return
        if self.signum is None:
            self.signum = _last = number
            self.raised = False
        elif not self._ringing:
            return  # the first is on its way: a second exception would cut short what the first one makes sure of
        self._ringing = False
        if not self.held:
            self.honour(frame)

    def honour(self, frame: FrameType | None = None) -> None:
        """Do what the signal asks for: raise, or call the handler that somebody else had installed."""
        number = self.signum
        if number is None:
            return
        before = self.before.get(number)
        if callable(before) and before is not signal.default_int_handler:
            self.signum = None
            before(number, frame)
            return
        self.raised = True
        self._bell.put(True)
        raise KeyboardInterrupt if number == signal.SIGINT else Terminated(signal.Signals(number).name)

    def _ring(self) -> None:
        while self._bell.get():
            while True:
                time.sleep(RING)
                with self._lock:
                    if self._closed or self.signum is None:
                        break
                    if self.held:
                        continue
                    self._ringing = True
                    if hasattr(signal, "pthread_kill"):  # wakes a main thread that waits, too
                        signal.pthread_kill(threading.main_thread().ident or 0, self.signum)
                    else:
                        signal.raise_signal(self.signum)


def _forget_in_child() -> None:
    global _watch
    _watch = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)


class _Interruptible:
    def __init__(self, *, ends_in_safe_point: bool) -> None:
        self._checks = ends_in_safe_point

    def __enter__(self) -> None:
        global _watch, _last
        self._opened: _Watch | None = None
        if _watch is None and threading.current_thread() is threading.main_thread():
            _last = None
            self._opened = _watch = _Watch()
            _watch.open()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        global _watch
        unanswered = _watch is not None and _watch.signum is not None
        if self._opened is None:
            if kind is None and self._checks:
                check_interrupt()
            return
        self._opened.close()
        _watch = None
        if unanswered and not (kind is not None and issubclass(kind, KeyboardInterrupt)):
            self._opened.honour()


def interruptible() -> _Interruptible:
    """Context manager: Ctrl-C, SIGTERM and SIGHUP raise :class:`KeyboardInterrupt` in the block, again until answered.

    SIGTERM and SIGHUP raise its subclass :class:`Terminated`. A signal that is ignored stays ignored, a handler that
    somebody else has installed is called. Where the exception was swallowed in the block it is raised at its end. The
    outermost block counts; outside the main thread, which gets no signals, nothing changes.
    """
    return _Interruptible(ends_in_safe_point=True)


def _own_watch() -> _Watch | None:
    return _watch if threading.current_thread() is threading.main_thread() else None


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Hold interrupts back while the block runs; one that came is raised at the end of the block.

    For short blocks alone, such as writing a finished point to its file and telling the caller of it. Outside the main
    thread, which gets no signals, and where a signal is ignored, nothing changes.
    """
    with _Interruptible(ends_in_safe_point=False):  # it may be an interrupt's handler that holds back the next
        watch = _own_watch()
        if watch is None:
            yield
            return
        watch.held += 1
        try:
            yield
        finally:
            watch.held -= 1
            if not watch.held and not watch.raised:
                watch.honour()


@contextmanager
def interrupts_allowed() -> Iterator[None]:
    """Let interrupts through in a part of :func:`interrupts_held`; one that came before is raised now.

    An interrupt that was swallowed in the block, or made something else fail there, is raised at its end.
    """
    watch = _own_watch()
    if watch is None:
        yield
        return
    held = watch.held
    try:
        watch.held = 0
        if not watch.raised:
            watch.honour()
        yield
    except KeyboardInterrupt:
        watch.held = held
        raise
    except BaseException:
        watch.held = held
        watch.honour()
        raise
    watch.held = held
    watch.honour()


def check_interrupt() -> None:
    """A safe point: raises the interrupt that came and was not answered, swallowed though it may have been."""
    watch = _own_watch()
    if watch is not None and not watch.held:
        watch.honour()


def interrupt_answered() -> None:
    """Say that the interrupt that was raised has done its work: what is to be kept is, and it is not raised again."""
    watch = _own_watch()
    if watch is not None and watch.raised:
        watch.signum, watch.raised = None, False


def exit_status() -> int:
    """128 and the number of the signal that came last: 130 for Ctrl-C, also where none came, 143 for SIGTERM."""
    return 128 + (signal.SIGINT if _last is None else _last)
