"""Ctrl-C and SIGTERM: held back while a finished piece of work is kept, and never lost."""

# ruff: noqa: PT012  (what is raised, and where, is the subject: several statements stand in a block)
from __future__ import annotations

import contextlib
import os
import signal
import threading
import time

import pytest

from ufm._interrupts import (
    SIGNALS,
    Terminated,
    check_interrupt,
    exit_status,
    interrupt_answered,
    interruptible,
    interrupts_allowed,
    interrupts_held,
)

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


class TestInterruptible:
    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
    def test_every_signal_raises_and_gives_its_status(self, number):
        before = [signal.getsignal(n) for n in SIGNALS]
        with pytest.raises(KeyboardInterrupt) as caught, interruptible():
            signal.raise_signal(number)
        assert isinstance(caught.value, Terminated) == (number != signal.SIGINT)
        assert exit_status() == 128 + number
        assert [signal.getsignal(n) for n in SIGNALS] == before

    def test_status_without_a_signal(self):
        with interruptible():
            pass
        assert exit_status() == 130

    def test_swallowed_it_is_raised_at_the_next_safe_point(self):
        done: list[str] = []

        def work() -> None:
            with interruptible():
                with contextlib.suppress(KeyboardInterrupt):
                    signal.raise_signal(signal.SIGTERM)
                done.append("swallowed")
                check_interrupt()
                done.append("lost")

        with pytest.raises(Terminated):
            work()
        assert done == ["swallowed"]

    def test_swallowed_it_is_raised_at_the_end_also_in_place_of_an_error(self):
        def work(error: type[Exception] | None) -> None:
            with interruptible():
                with contextlib.suppress(KeyboardInterrupt):
                    signal.raise_signal(signal.SIGINT)
                if error is not None:
                    raise error

        with pytest.raises(KeyboardInterrupt):
            work(None)
        with pytest.raises(KeyboardInterrupt) as caught:
            work(ImportError)
        assert isinstance(caught.value.__context__, ImportError)

    def test_swallowed_it_rings(self, monkeypatch):
        """Also in a wait that checks nothing."""
        monkeypatch.setattr("ufm._interrupts.RING", 0.05)
        start = time.monotonic()
        with pytest.raises(KeyboardInterrupt), interruptible():
            for _ in range(3):
                with contextlib.suppress(KeyboardInterrupt):
                    signal.raise_signal(signal.SIGINT)
                    time.sleep(60)
            time.sleep(60)
        assert time.monotonic() - start < 30

    def test_answered_it_is_not_raised_again_and_the_next_one_is(self, monkeypatch):
        monkeypatch.setattr("ufm._interrupts.RING", 0.01)
        with pytest.raises(Terminated), interruptible():
            with contextlib.suppress(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
            interrupt_answered()
            time.sleep(0.1)
            check_interrupt()
            signal.raise_signal(signal.SIGTERM)

    def test_a_second_one_does_not_cut_short_what_the_first_one_saves(self):
        saved: list[str] = []
        with pytest.raises(KeyboardInterrupt, match=r"^$"), interruptible():
            try:
                signal.raise_signal(signal.SIGINT)
            except KeyboardInterrupt:
                signal.raise_signal(signal.SIGTERM)
                with interrupts_held():
                    signal.raise_signal(signal.SIGINT)
                    saved.append("all")
                saved.append("and told")
                raise
        assert saved == ["all", "and told"]

    def test_answered_while_held_the_one_that_came_since_is_raised(self):
        """What has not been raised has not been answered."""
        with pytest.raises(KeyboardInterrupt), interrupts_held():
            signal.raise_signal(signal.SIGINT)
            interrupt_answered()

    def test_a_part_of_a_held_block_can_be_interrupted(self):
        done: list[str] = []

        def work() -> None:
            with interrupts_held():
                signal.raise_signal(signal.SIGINT)
                done.append("held")
                with pytest.raises(KeyboardInterrupt), interrupts_allowed():
                    done.append("not reached")
                interrupt_answered()
                with pytest.raises(Terminated), interrupts_allowed():
                    with contextlib.suppress(KeyboardInterrupt):
                        signal.raise_signal(signal.SIGTERM)
                    done.append("swallowed")
                interrupt_answered()
                with pytest.raises(KeyboardInterrupt), interrupts_allowed():
                    with contextlib.suppress(KeyboardInterrupt):
                        signal.raise_signal(signal.SIGINT)
                    raise ImportError
                done.append("held again")
                signal.raise_signal(signal.SIGINT)
                done.append("to the end")

        with pytest.raises(KeyboardInterrupt):
            work()
        assert done == ["held", "swallowed", "held again", "to the end"]

    def test_handlers_of_others_are_called_and_ignored_signals_stay_ignored(self):
        called: list[int] = []
        before = signal.signal(signal.SIGTERM, lambda number, _: called.append(number))
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            with interruptible():
                signal.raise_signal(signal.SIGINT)
                signal.raise_signal(signal.SIGTERM)
                with interrupts_held():
                    signal.raise_signal(signal.SIGTERM)
                    assert called == [signal.SIGTERM]
                assert called == [signal.SIGTERM] * 2
                check_interrupt()
        finally:
            signal.signal(signal.SIGTERM, before)

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
    @pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
    def test_forked_workers_end_as_they_would(self):
        ready, tell = os.pipe()
        with interruptible():
            child = os.fork()
            if child == 0:  # pragma: no cover
                try:
                    with interruptible():
                        pass
                    os.write(tell, b"1")
                    time.sleep(60)
                finally:  # never on into the test runner, whose worker this is a copy of
                    os._exit(0)
            os.read(ready, 1)
            os.kill(child, signal.SIGTERM)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGTERM
            check_interrupt()

    def test_other_threads_are_left_alone(self):
        errors: list[BaseException] = []

        def work() -> None:
            try:
                with interruptible(), interrupts_held(), interrupts_allowed():
                    check_interrupt()
                    interrupt_answered()
            except BaseException as error:
                errors.append(error)

        with pytest.raises(KeyboardInterrupt), interrupts_held():
            signal.raise_signal(signal.SIGINT)
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
        assert errors == []
