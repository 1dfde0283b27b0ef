"""Settings for the whole suite: deterministic property tests, one thread for torch."""

from __future__ import annotations

import gc
import signal
import sys
from collections.abc import Generator, Iterator
from pathlib import Path

import effort
import pytest
from hypothesis import HealthCheck, settings

# print_blob makes a failure in CI reproducible at a desk
# A busy machine is slow, and neither a deadline nor the check of how long examples take to make knows that.
PATIENT = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("ufm", max_examples=effort.examples(100), derandomize=True, print_blob=True, **PATIENT)
settings.load_profile("ufm")

# Below nohup, signals that tests and their programs are to answer would be ignored
for _number in (signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, signal.SIG_DFL)


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


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collecting makes what stays to the end: the garbage collector need not walk through it again and again."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


class Backwards(pytest.Dir):
    """A folder that is collected from its end."""

    def collect(self) -> Iterator[pytest.Item | pytest.Collector]:
        yield from reversed(list(super().collect()))


def pytest_collect_directory(path: Path, parent: pytest.Collector) -> pytest.Dir | None:
    """Every second worker starts from the end: what one has compiled of the tests, the other finds."""
    worker = getattr(parent.config, "workerinput", {}).get("workerid", "gw0")
    return Backwards.from_parent(parent, path=path) if int(worker[2:]) % 2 else None


@pytest.hookimpl(trylast=True)  # Hypothesis has marked its tests by then
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Order the tests; a full run is of those that are samples otherwise: the others would only say the same again."""
    items.sort(key=lambda item: (item.path.name not in LONG, item.path))
    if effort.FULL:
        left = {item for item in items if not _takes_samples(item)}
    elif any("::" in argument for argument in config.args):  # asked for by name
        return
    else:
        left = _left_to_a_full_run(items)
    config.hook.pytest_deselected(items=[item for item in items if item in left])
    items[:] = [item for item in items if item not in left]


def _takes_samples(item: pytest.Item) -> bool:
    if any(item.get_closest_marker(name) for name in ("hypothesis", "sample")):
        return True
    return isinstance(item, pytest.Function) and any(value is effort.count for value in vars(item.module).values())


def _left_to_a_full_run(items: list[pytest.Item]) -> set[pytest.Item]:
    """Cases of tests with the mark ``sample(most)`` that are beyond the sample."""
    laws: dict[tuple[str, int], list[pytest.Item]] = {}
    for item in items:
        if mark := item.get_closest_marker("sample"):
            laws.setdefault((item.nodeid.split("[")[0], mark.args[0]), []).append(item)
    left: set[pytest.Item] = set()
    for (_, most), cases in laws.items():
        taken = effort.covering(most, [_values(case) for case in cases])
        left.update(case for i, case in enumerate(cases) if i not in taken)
    return left


def _values(item: pytest.Item) -> tuple[int, ...]:
    """What stands for the values of its parameters: cases that share a value hold the same object."""
    callspec = getattr(item, "callspec", None)
    return tuple(id(value) for value in callspec.params.values()) if callspec else ()


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
