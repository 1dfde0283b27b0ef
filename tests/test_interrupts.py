"""Ctrl-C held back for as long as a finished piece of work is being kept."""

from __future__ import annotations

import signal
import threading

import pytest

from ufm._interrupts import interrupts_held

pytestmark = pytest.mark.usefixtures("ctrl_c")


def test_it_is_raised_at_the_end_of_the_block():
    done: list[str] = []

    def work() -> None:
        with interrupts_held():
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
            done.append("in the block")
        done.append("behind it")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == ["in the block"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_without_it_nothing_happens():
    with interrupts_held():
        pass
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    with pytest.raises(ValueError, match="of the block"), interrupts_held():
        raise ValueError("of the block")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_error_of_the_block_is_not_lost():
    def work() -> None:
        with interrupts_held():
            signal.raise_signal(signal.SIGINT)
            raise OSError("disk full")

    with pytest.raises(KeyboardInterrupt) as caught:
        work()
    assert isinstance(caught.value.__context__, OSError)


def test_ignored_it_stays_ignored():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with interrupts_held():
        signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_another_thread_leaves_the_handler_alone():
    seen: list[object] = []

    def work() -> None:
        with interrupts_held():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.default_int_handler]
