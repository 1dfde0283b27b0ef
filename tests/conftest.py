"""Settings for the whole suite: deterministic property tests, one thread for torch."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator

import pytest
from hypothesis import settings

# print_blob makes a failure in CI reproducible at a desk
settings.register_profile("ufm", derandomize=True, deadline=None, print_blob=True)
settings.load_profile("ufm")


def pytest_runtest_setup() -> None:
    # small matrices on shared cores: threads cost more than they bring. Tests that never load torch do not pay for it.
    torch = sys.modules.get("torch")
    if torch is not None and torch.get_num_threads() != 1:
        torch.set_num_threads(1)


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Ctrl-C as in a program: test runners may ignore the signal in their workers."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
