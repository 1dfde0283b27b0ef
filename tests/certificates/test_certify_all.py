"""Certificates of a grid: in order, kept and resumed as sweeps are; what cannot be certified says so at its place."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

import pytest

import ufm
from ufm import sweeps
from ufm.certificates import CertificationError, certify_all, certify_point
from ufm.problem import Problem
from ufm.problem_file import parse_problem, state_problem

PEELED = {"type": "LayerPeeled", "E_W": 1.0, "E_H": 1.0}
DECAY = {"type": "UnconstrainedFeatures", "lambda_W": 5e-3, "lambda_H": 5e-3}
COUNTS = {"counts": [30, 30, 3, 3]}


class Here(Executor):
    """Runs calls in the caller's thread and counts them; stops as Ctrl-C does after a number of them."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.calls, self.stop_after = 0, stop_after

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        if self.calls == self.stop_after:
            raise KeyboardInterrupt
        self.calls += 1
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "certificates.sqlite"


def values(*ratios: float) -> list[dict[str, Any]]:
    return [{"architecture": PEELED, "labels": {"counts": [ratio, ratio, 1.0, 1.0]}} for ratio in ratios]


def test_every_statement_in_the_order_of_the_points(store: Path) -> None:
    problem = Problem.of(ufm.UnconstrainedFeatures(0.01, 0.01), ufm.ClassPrior([5, 5, 2]), "ce", "free")
    points: list[Any] = [
        {"statement": "threshold", "architecture": PEELED, "num_majority": 2, "num_minority": 2},
        {"statement": "phase", "architecture": PEELED, "labels": COUNTS},
        problem,
        {"statement": "geometry", "architecture": PEELED, "labels": COUNTS},
        {"statement": "collapse", "architecture": DECAY, "labels": COUNTS, "classes": [2, 3]},
        {"statement": "phase", "architecture": PEELED, "labels": COUNTS},
        *values(4.0),
    ]
    executor = Here()
    found = certify_all(points, store=store, executor=executor)
    kinds = ["threshold", "phase", "open-value", "geometry", "collapse", "phase", "value"]
    assert [c.kind for c in found] == kinds
    assert all(c.check() for c in found)
    assert executor.calls == 6  # the phase was asked for twice
    assert found[0] == ufm.certify_threshold(ufm.LayerPeeled(1.0, 1.0), 2, 2)
    solution = ufm.solve(problem.architecture, problem.prior, "ce", bias="free")
    assert found[2].lower <= solution.value <= found[2].upper * (1 + 1e-12)
    assert not ufm.Certificate(found[0].claim, found[6].witness).check()


def test_what_an_interrupt_found_finished_is_not_made_again(store: Path) -> None:
    points = values(2.0, 3.0, 4.0, 5.0)
    with pytest.raises(sweeps.SweepInterrupted):
        certify_all(points, store=store, executor=Here(stop_after=2), max_in_flight=1)
    assert len(sweeps.load(store).finished) == 2
    rest = Here()
    found = certify_all(points, store=store, executor=rest)
    assert rest.calls == 2
    assert [c.bounds for c in found] == [ufm.Certificate(**certify_point(**p)).bounds for p in points]
    assert certify_all(points[::-1], store=store, executor=rest)[::-1] == found
    assert rest.calls == 2


def test_what_cannot_be_certified_says_why_at_its_place(store: Path) -> None:
    deep = {"architecture": {"type": "DeepLinear", "budgets": [1.0, 1.0, 1.0]}, "labels": COUNTS}
    boundary = {"statement": "phase", "architecture": DECAY, "labels": {"counts": [9.0, 4.0]}}
    first, second, third = certify_all([deep, *values(2.0), boundary], store=store, executor=Here())
    assert isinstance(first, sweeps.Failure)
    assert (first.type, "DeepLinear" in first.message) == ("ValueError", True)
    assert isinstance(second, ufm.Certificate)
    assert isinstance(third, sweeps.Failure)
    assert "two groups" in third.message
    with pytest.raises((ValueError, CertificationError), match="DeepLinear"):
        certify_point(**deep)


@pytest.mark.parametrize(
    ("point", "error", "message"),
    [
        (3, TypeError, r"points\[1\] cannot be certified: it must be a ufm\.problem\.Problem or a dictionary, got 3"),
        ({"architecture": PEELED}, ValueError, r"points\[1\].*must state labels"),
        ({"statement": "truth", "architecture": PEELED}, ValueError, r"points\[1\].*statement must be one of"),
        ({"statement": "threshold", "architecture": PEELED}, ValueError, r"points\[1\].*must state num_majority"),
        (
            {"statement": "threshold", "architecture": PEELED, "num_majority": 1, "num_minority": 2, "R": 3},
            ValueError,
            r"points\[1\].*key of a threshold's point must be one of",
        ),
        (
            {"statement": "collapse", "architecture": PEELED, "labels": COUNTS},
            TypeError,
            r"points\[1\].*classes must be",
        ),
        ({"architecture": {**PEELED, "E_W": -1.0}, "labels": COUNTS}, ValueError, r"points\[1\].*E_W must be > 0"),
    ],
)
def test_bad_points_are_refused_before_any_is_made(
    point: Any, error: type[Exception], message: str, store: Path
) -> None:
    executor = Here()
    with pytest.raises(error, match=message):
        certify_all([*values(2.0), point], store=store, executor=executor)
    assert executor.calls == 0
    assert not store.exists()


@pytest.mark.parametrize(
    "problem",
    [
        Problem.of(ufm.LayerPeeled(1.0, 5.0, features="nonnegative"), ufm.ClassPrior([3, 1, 0.1])),
        Problem.of(ufm.PenalisedDEQ(0.1, 0.2, 0.3, lambda_A=0.4), ufm.ClassPrior([3, 1]), "mse"),
        Problem.of(ufm.DeepLinear((1, 2, 3)), ufm.ClassPrior([3, 1]), ufm.CrossEntropy(0.1)),
        Problem.of(ufm.NormBounded(1.0, 3.0), ufm.Labels([[1, 0.5], [0, 0.5]], [3, 1]), ufm.SquaredHinge(2.0)),
        Problem.of(
            ufm.UnconstrainedFeatures(0.1, 0.2), ufm.ClassPrior([3, 1]), ufm.CrossEntropy(scales=[1, 1 / 3]), 0.1
        ),
    ],
    ids=lambda problem: type(problem.architecture).__name__,
)
def test_a_problem_is_stated_and_read_back(problem: Problem) -> None:
    assert parse_problem(state_problem(problem)).problem == problem


def test_what_is_ones_own_cannot_be_stated() -> None:
    class Own(ufm.LayerPeeled):
        pass

    problem = Problem.of(Own(1.0, 1.0), ufm.ClassPrior([3, 1]))
    with pytest.raises(ValueError, match="architecture must be one of this package to be stated"):
        state_problem(problem)
