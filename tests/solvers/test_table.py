"""The table of what is solved is what happens: every cell is called."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

import ufm
from ufm.solvers import METHODS
from ufm.solvers.table import ARCHITECTURES, BIASES, LABELS, LOSSES, markdown, table

ROWS = table()
#: What makes a cell cheap enough to be called.
CHEAP = {"direct": {"starts": 1, "max_iter": 100}, "search": {"starts": 1, "max_iter": 100}}


#: Architectures whose cells take long: `make test` calls a third of them and half of the others, every loss, kind of
#: labels and bias among them, and `make test-full` calls all.
LONG = {
    "NormBounded",
    "LayerPeeled, nonnegative",
    "UnconstrainedFeatures, nonnegative",
    "PenalisedDeepLinear, 3 factors",
}


def _is_in_the_sample(row):
    places = (list(names).index(name) for names, name in ((LOSSES, row.loss), (LABELS, row.labels), (BIASES, row.bias)))
    return sum(places) % (3 if row.architecture in LONG else 2) == 0


CELLS = [row if _is_in_the_sample(row) else pytest.param(row, marks=pytest.mark.sample(0)) for row in ROWS]


def _solve(row, method):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return _asked(row, method=method, **CHEAP.get(method, {}))


def _asked(row, **options):
    architecture, labels, loss = ARCHITECTURES[row.architecture], LABELS[row.labels], LOSSES[row.loss]
    return ufm.solve(architecture, labels, loss, bias=BIASES[row.bias], **options)


@pytest.mark.parametrize("row", CELLS, ids=lambda row: f"{row.loss}, {row.labels}, {row.bias}, {row.architecture}")
def test_every_cell_does_what_it_says(row):
    found = {}
    for method, answer in row.answers.items():
        if not answer:
            with pytest.raises(
                ValueError, match=rf"'{method}' does not solve this problem: (loss|architecture|prior|bias) "
            ):
                _solve(row, method)
            continue
        found[method] = solution = _solve(row, method)
        assert solution.lower <= solution.value
        if answer.answer == "exact":
            assert solution.is_global is True
    exact = [s.value for method, s in found.items() if row.answers[method].answer == "exact"]
    assert max(exact, default=0.0) - min(exact, default=0.0) <= 2e-6 * max(exact, default=1.0)
    for method, solution in found.items():
        if exact:
            assert solution.value >= min(exact) * (1 - 2e-6), method
            assert solution.lower <= max(exact) * (1 + 2e-6), method
        else:
            assert solution.is_global is None or solution.gap <= 1e-6 * solution.value


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.loss}, {row.labels}, {row.bias}, {row.architecture}")
@pytest.mark.sample(50)
def test_auto_takes_the_most_that_there_is(row):
    answers = {answer.answer for answer in row.answers.values()}
    if answers == {"refused"}:
        with pytest.raises(ValueError, match="no method solves this problem"):
            _asked(row)
    elif "exact" in answers:
        solution = _asked(row)
        assert row.answers[solution.method].answer == "exact"
        assert solution.is_global is True


def test_the_table_in_the_docs_is_this_one():
    assert set(ARCHITECTURES) > LONG
    kept = Path(__file__).parents[2] / "docs" / "solved.md"
    assert kept.read_text(encoding="utf-8") == markdown(), "python -m ufm.solvers.table docs/solved.md"
    assert set(METHODS) == {"auto", *ROWS[0].answers}
