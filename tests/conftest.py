"""Settings for the whole suite: deterministic property tests, one thread for torch."""

from __future__ import annotations

import gc
import signal
import sys
from collections.abc import Iterator

import effort
import pytest
from hypothesis import settings

# print_blob makes a failure in CI reproducible at a desk
settings.register_profile("ufm", derandomize=True, deadline=None, print_blob=True)
settings.load_profile("ufm")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A full run is of the modules that take samples otherwise: the others would only say the same again."""
    if effort.FULL:
        sampled = [item for item in items if _takes_samples(item)]
        config.hook.pytest_deselected(items=[item for item in items if not _takes_samples(item)])
        items[:] = sampled


def _takes_samples(item: pytest.Item) -> bool:
    return getattr(getattr(item, "module", None), "count", None) is effort.count


def pytest_collection_finish() -> None:
    """What collecting made stays to the end: the garbage collector need not walk through it again and again."""
    gc.freeze()


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
