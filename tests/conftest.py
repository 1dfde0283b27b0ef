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
settings.register_profile("ufm", max_examples=effort.examples(100), derandomize=True, deadline=None, print_blob=True)
settings.load_profile("ufm")


#: Files with single tests that take long: they come first, so that no worker is left with one when the others are done.
LONG = (
    "test_notebooks.py",
    "test_interruption.py",
    "test_network.py",
    "test_kill.py",
    "test_coq.py",
    "test_coq_steps.py",
    "test_benchmarks.py",
)


@pytest.hookimpl(trylast=True)  # Hypothesis has marked its tests by then
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Order the tests; a full run is of those that are samples otherwise: the others would only say the same again."""
    items.sort(key=lambda item: item.path.name not in LONG)
    if effort.FULL:
        sampled = [item for item in items if _takes_samples(item)]
        config.hook.pytest_deselected(items=[item for item in items if not _takes_samples(item)])
        items[:] = sampled


def _takes_samples(item: pytest.Item) -> bool:
    named = vars(item.module).values() if isinstance(item, pytest.Function) else ()
    return item.get_closest_marker("hypothesis") is not None or any(value is effort.count for value in named)


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


@pytest.fixture(scope="session")
def with_coq() -> None:
    """Skips where Coq is missing; asked by the worker that needs it, not by each that collects."""
    from proofs_check import coq

    if not coq.coqc_available():
        pytest.skip("coqc or its Interval library is missing (Debian packages coq and libcoq-interval)")
