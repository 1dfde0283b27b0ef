"""The table of what is certified is what happens: problems of every row and column are certified, or refused."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import pytest

import ufm
from ufm.certificates import table

CELLS = {(c.architecture, c.loss, c.labels, c.bias): c for c in table.cells()}
#: Methods that end at once with some solution of what is refused.
QUICK = {"starts": 1, "max_iter": 2}


def _solution(cell: table.Cell, **options: object) -> ufm.Solution:
    problem = cell.problem
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return ufm.solve(problem.architecture, problem.prior, problem.loss, bias=problem.stated_bias, **options)


def _certified(cell: table.Cell) -> None:
    solution = _solution(cell)
    assert solution.is_global is True
    certificate = ufm.certify(solution)
    assert certificate.check()
    low, high = certificate.lower, certificate.upper
    assert low <= solution.value * (1 + 1e-9) + 1e-12
    assert high - low <= 1e-9 * abs(solution.value) + 1e-14


@pytest.mark.parametrize(
    ("labels", "bias"),
    [
        ("one-hot", "none"),
        ("soft", "free"),
        ("multi-label", "penalised"),
        ("one-hot, long tail", "free"),
        ("multi-label", "none"),
    ],
)
@pytest.mark.parametrize("loss", table.LOSSES)
@pytest.mark.parametrize("architecture", table.ARCHITECTURES)
@pytest.mark.sample(16)
def test_every_cell_is_certified_or_refused_for_its_reason(architecture, loss, labels, bias):
    cell = CELLS.get((architecture, loss, labels, bias))
    if cell is None:  # for which others stand
        bias = bias if table.LOSSES[loss](4).is_convex else "none"
        plain = CELLS[architecture, loss, "one-hot", "none"]
        cell = table.Cell(architecture, loss, labels, bias, plain.reason)
    if not cell.reason:
        _certified(cell)
        return
    if architecture.startswith("of one's own"):
        if not cell.problem.loss.is_convex:
            return  # which nothing solves
        solution = _solution(cell)
    else:
        solution = _solution(cell, method="search" if cell.problem.is_spectral else "direct", **QUICK)
    expected = re.escape(cell.reason.partition(", got ")[0])
    with pytest.raises(ValueError, match=expected):
        ufm.certify(solution)


def test_the_table_in_the_docs_is_this_one():
    kept = Path(__file__).parents[2] / "docs" / "certified.md"
    assert kept.read_text(encoding="utf-8") == table.markdown(), "python -m ufm.certificates.table docs/certified.md"


def test_a_table_without_room_for_an_answer_is_not_written(monkeypatch):
    torn = table.Cell("LayerPeeled", "cross-entropy", "soft", "free", "prior must be others")
    found = (*table.cells(), torn)
    monkeypatch.setattr(table, "cells", lambda: found)
    with pytest.raises(RuntimeError, match=r"not for \[\('LayerPeeled', 'cross-entropy'\)\]"):
        table.markdown()
