"""The precision of balls belongs to one thread at a time."""

from __future__ import annotations

import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from flint import ctx

import ufm
from proofs_check.precision import precision


def test_another_thread_waits_and_changes_nothing() -> None:
    entered = threading.Event()

    def other() -> None:
        with precision(64):
            entered.set()

    before = ctx.prec
    with precision(200):
        thread = threading.Thread(target=other)
        thread.start()
        assert not entered.wait(0.1)
        with precision(100):
            assert ctx.prec == 100
        assert ctx.prec == 200
    thread.join(timeout=60)
    assert entered.is_set()
    assert ctx.prec == before


@pytest.fixture
def hasty() -> None:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("hasty")
def test_threads_certify_what_one_does(tmp_path: Path) -> None:
    peeled = {"type": "LayerPeeled", "E_W": 1.0, "E_H": 5.0}
    grid = [{"statement": "phase", "architecture": peeled, "labels": {"counts": [r, r, 1, 1]}} for r in (5, 50, 900)]
    with ThreadPoolExecutor(3) as threads:
        found = ufm.certify_all(grid, store=tmp_path / "threads.sqlite", executor=threads)
    assert all(certificate.check() for certificate in found)
    assert list(found) == list(ufm.certify_all(grid, store=tmp_path / "alone.sqlite"))
