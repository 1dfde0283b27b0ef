"""The benchmarks run, and their table says what was measured. No time is judged here."""

from __future__ import annotations

import json
import math
import time
from importlib.util import find_spec

import numpy as np
import pytest
import torch

from benchmarks import _cvxpy, equilibria, measuring
from benchmarks.__main__ import cells, growth, main, plans, seconds
from benchmarks._timing import Row, Timing, exponent, timed
from ufm.deq import DEQ
from ufm.deq.solvers import SOLVERS, minimal_tolerance
from ufm.measures import measure


class TestTiming:
    def test_median_and_quartiles(self):
        t = Timing((5.0, 1.0, 2.0, 3.0, 4.0))
        assert t.median == 3
        assert t.quartiles == (2, 4)
        assert Timing((2.0, 1.0)).quartiles == (1, 2)

    def test_sleep_is_measured(self):
        t, result = timed(lambda: time.sleep(0.03) or 7, 3)
        assert result == 7
        assert len(t.samples) == 3
        assert all(sample >= 0.03 for sample in t.samples)

    def test_a_quick_function_is_repeated(self):
        calls = []
        t, _ = timed(lambda: calls.append(1), 2)
        assert len(calls) > 100
        assert 0 < t.median < 0.02

    def test_ratio(self):
        row = Row("b", "c", Timing((1.0, 2.0)), "p", Timing((30.0, 60.0)))
        assert row.ratio == (30, 15, 60)
        assert Row("b", "c", Timing((1.0,))).ratio is None

    def test_exponent(self):
        assert exponent([1, 10, 100], [2.0, 200.0, 20000.0]) == pytest.approx(2)
        with pytest.raises(ValueError, match="at least 2"):
            exponent([1], [1.0])

    def test_cells(self):
        row = Row("single", "K = 4", Timing((2e-4,)), "CVXPY", Timing((0.5,)), 1e-12, 3e-6, "note")
        assert cells(row)[:3] == ("single", "K = 4", "200 µs")
        assert cells(row)[4:] == ("CVXPY", "500 ms", "2,500", "2,500 to 2,500", "1e-12", "3e-06", "note")
        assert [seconds(x) for x in (3.0, 0.25, 1e-7)] == ["3 s", "250 ms", "0.1 µs"]

    def test_growth(self):
        rows = [Row("single", "", Timing((1e-6 * k,)), figures={"K": k}) for k in (4, 10, 60)]
        rows += [
            Row("points", "", Timing((n**p * 1e-9,)), figures={"points": n, "family": name})
            for name, p in (("budgets", 1), ("weight decay", 2))
            for n in (10, 100)
        ]
        assert growth(rows) == [
            "single two-group solves: time ~ K^1.00",
            "batches, budgets: time ~ points^1.00",
            "batches, weight decay: time ~ points^2.00",
        ]


class TestPeer:
    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    def test_accumulators_find_the_same_measures(self, dtype):
        batches, classifier = measuring._network(5, 6, 200, 32, dtype)
        peer, ours = measuring.accumulated(batches, classifier), measure(batches, classifier=classifier)
        for name in ("nc1", "trace_quotient", "etf_error", "coherence", "nc4"):
            assert peer[name] == pytest.approx(getattr(ours, name), rel=1e-3), name
        assert measuring._two_pass(batches, 5) == pytest.approx(ours.trace_quotient, rel=1e-12)
        assert measuring._gathered(batches, 5)["trace_quotient"] == pytest.approx(ours.trace_quotient, rel=1e-12)

    def test_cvxpy_solves_the_same_problem(self):
        found = _cvxpy.solve([12.0, 1.0], 2.0, "CLARABEL", samples=2, limit=120)
        import ufm

        expected = ufm.solve(ufm.DeepLinear((2.0, 2.0)), ufm.ClassPrior([12.0, 1.0])).value
        assert found["value"] == pytest.approx(expected, rel=1e-6)
        assert found["solver"] == "CLARABEL"
        assert len(found.timing.samples) == 2

    def test_a_failure_is_told(self):
        found = _cvxpy.solve([12.0, 1.0], 2.0, "NO_SUCH_SOLVER", samples=1, limit=120)
        assert "NO_SUCH_SOLVER" in found["failure"]
        assert found.timing is None

    def test_a_slow_peer_is_given_up(self):
        found = _cvxpy.solve([12.0, 1.0], 2.0, "SCS", samples=1, limit=0.01)
        assert found == {"failure": "no answer within 0 s"}


@pytest.fixture(scope="module", params=[((3, 6), "float64"), ((2, 2, 4), "float32")], ids=["matrix", "images"])
def problem(request):
    shape, dtype = request.param
    return equilibria.Problem(*equilibria._cell(shape, getattr(torch, dtype)))


class TestEquilibria:
    @pytest.mark.parametrize("solver", SOLVERS)
    @pytest.mark.sample(3)
    def test_tolerances_are_the_loosest_that_reach_the_goals(self, problem, solver):
        goal = problem.step(DEQ(solver, tol=1e-3))
        goals = problem.residual(goal[0]), problem.error(goal[1])
        assert 0 < goals[0] < 1e-2
        assert 0 < goals[1] < 1e-1
        forward, backward = equilibria.as_accurate(problem, solver, 1e-2, *goals)
        assert 1e-6 < min(forward, backward) <= max(forward, backward) <= 1e-2

        def met(forward, backward):
            z, gradient = problem.step(DEQ(solver, tol=forward, backward_tol=backward))
            return problem.residual(z) <= goals[0] and problem.error(gradient) <= goals[1]

        assert met(forward, backward)
        assert backward == 1e-2 or not met(forward, backward / 0.8)
        assert forward == 1e-2 or not met(forward / 0.8, 1e-5)

    @pytest.mark.sample(1)
    def test_goals_out_of_reach(self, problem):
        floor = minimal_tolerance(problem.x.dtype)
        assert equilibria.as_accurate(problem, "anderson", 1e-3, 0.0, 0.0) == (floor, floor)

    def test_what_a_step_takes_is_counted(self, problem):
        layer, infos = DEQ(tol=1e-4), []

        def keep(f, z0):
            infos.append(layer(f, z0))
            return infos[-1]

        evaluations, products = problem.count(keep)
        info = infos[0][1]
        assert evaluations == int(info.steps.max()) + 1  # one more is recorded
        assert products == int(info.backward.steps.max())

    def test_exact_gradient(self):
        weight, x, apply = equilibria._cell((2, 3), torch.float64)
        problem = equilibria.Problem(weight, x, apply)

        def unrolled(weight):
            z = torch.zeros_like(x)
            for _ in range(300):
                z = torch.tanh(apply(z, weight) + x)
            return (z**2).mean()

        (gradient,) = torch.autograd.grad(unrolled(weight), weight)
        assert problem.error(gradient) < 1e-13
        assert problem.error(1.01 * gradient) == pytest.approx(0.01, rel=1e-6)

    def test_at_least_as_accurate_as_the_peer(self):
        pytest.importorskip("torchdeq")
        rows = list(equilibria.equilibria([(4, 6)], samples=1))
        assert len(rows) == 6
        for row in rows:
            assert row.peer == "TorchDEQ"
            assert row.error <= row.peer_error
            assert row.figures["gradient_error"] <= row.figures["peer_gradient_error"]
            assert "NOT" not in row.note
            assert row.figures["tol"] <= row.figures["peer_tol"]

    def test_less_accuracy_is_said(self, monkeypatch):
        pytest.importorskip("torchdeq")
        monkeypatch.setattr(equilibria, "as_accurate", lambda problem, solver, tol, residual, error: (0.1, 0.1))
        assert all(row.note.startswith("NOT as accurate") for row in equilibria.equilibria([(4, 6)], samples=1))


class TestSteps:
    def test_evaluations_and_what_memory_allows(self):
        rows = {row.case: row for row in equilibria.steps([(3, 6)], samples=1)}
        assert len(rows) == 6
        for case, row in rows.items():
            assert row.error <= 2 * equilibria.TOLERANCES[case.rsplit(", ", 1)[1]]
            figures = row.figures
            assert figures["quotient"] == row.ours.median / row.theirs.median
            assert figures["least"] > 1
        plain, mixed = rows["fixed_point, batch 3, d = 6, float64"], rows["anderson, batch 3, d = 6, float64"]
        assert plain.figures["evaluations"] > mixed.figures["evaluations"]
        assert plain.figures["moved"] == 4 * 3 * 6 * 8 * plain.figures["evaluations"]

    def test_what_steps_move(self):
        """Steps 2, 3, 4 of Broyden's method: four states and the next two, twice, 0 to 2 terms, and a new one."""
        assert equilibria.moved_by_steps("anderson", 4, 1000) == 4 + 3 * 12 + 2 * (0 + 1 + 2)
        assert equilibria.moved_by_steps("broyden", 4, 1) == 4 + 3 * 10 + (0 + 1 + 2)
        assert equilibria.moved_by_steps("anderson", 40, 1) < equilibria.moved_by_steps("broyden", 40, 1)


def test_every_effort_has_the_same_benchmarks():
    smoke, quick, full = plans().values()
    assert smoke.keys() == quick.keys() == full.keys()


@pytest.mark.slow
def test_smoke(tmp_path, capsys):
    """Every benchmark, on the smallest problems."""
    assert main(["--effort", "smoke", "--out", str(tmp_path)]) == 0
    document = json.loads((tmp_path / "benchmarks.json").read_text())
    rows = document["rows"]
    assert not document["partial"]
    assert {row["benchmark"] for row in rows} == {
        "grouped",
        "single",
        "threshold",
        "long-tailed",
        "searches",
        "points",
        "cores",
        "descent",
        "equilibria",
        "steps",
        "measuring",
        *(["compiled"] if find_spec("numba") else []),
    }
    for row in rows:
        assert 0 < row["seconds"]["low"] <= row["seconds"]["median"] <= row["seconds"]["high"]
        if row["ratio"] is not None:
            measured = row["peer_seconds"]["median"] / row["seconds"]["median"]
            assert row["ratio"]["low"] <= row["ratio"]["median"] <= row["ratio"]["high"]
            assert math.isclose(row["ratio"]["median"], measured)
        if row["benchmark"] not in ("descent", "equilibria", "steps"):
            assert row["error"] <= 2e-6
    assert {"CVXPY CLARABEL", "torch SGD", "single solves"} <= {row["peer"] for row in rows}
    assert [row["peer"] for row in rows if row["case"] == "two groups, K = 4"] == [None]
    table = (tmp_path / "benchmarks.md").read_text()
    assert table.count("\n| ") >= len(rows)
    assert all(np.isfinite(row["seconds"]["median"]) for row in rows)
    assert "time ~ points^" in capsys.readouterr().out


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_stopped_it_keeps_its_rows(tmp_path, capsys, monkeypatch, error):
    def rows(sizes, samples):
        yield Row("threshold", "first", Timing((0.5,)))
        raise error

    monkeypatch.setattr("benchmarks.solves.threshold", rows)
    arguments = ["threshold", "--effort", "smoke", "--out", str(tmp_path)]
    if error is KeyboardInterrupt:
        assert main(arguments) == 130
        assert "interrupted; table of 1 rows" in capsys.readouterr().err
    else:
        with pytest.raises(error):
            main(arguments)
    document = json.loads((tmp_path / "benchmarks.json").read_text())
    assert document["partial"]
    assert document["command"] == "python -m benchmarks threshold --effort smoke"
    assert [row["case"] for row in document["rows"]] == ["first"]
    assert (tmp_path / "benchmarks.md").read_text().startswith("# Benchmarks (partial")


def test_unknown_benchmarks(capsys):
    with pytest.raises(SystemExit):
        main(["--effort", "smoke", "speed"])
    assert "BENCHMARK must be among single, threshold" in capsys.readouterr().err


def test_next_tokens_are_kept_run_by_run(tmp_path, capsys):
    from benchmarks import next_token

    out = tmp_path / "kept.json"
    small = ["--tokens", "30", "--contexts", "60", "--rank", "4", "--tol", "1e-2", "1e-6", "--out", str(out)]
    assert next_token.main(small) == 0
    kept = json.loads(out.read_text())
    loose, close = kept["finished"]
    assert close["relative_gap"] <= 1e-6
    assert close["lower"] <= loose["value"]
    seconds = [row["seconds"] for row in kept["progress"]]
    assert seconds == sorted(seconds)
    assert kept["progress"][-1]["evaluations"] <= close["evaluations"]
    assert capsys.readouterr().out.count("CPU s") == 2


def test_an_interrupted_run_of_next_tokens_has_told_what_it_knows(tmp_path, monkeypatch):
    from benchmarks import next_token

    out, written = tmp_path / "kept.json", []

    def once(path, text, original=next_token.write_atomically):
        original(path, text)
        written.append(text)
        if len(written) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(next_token, "write_atomically", once)
    small = ["--tokens", "30", "--contexts", "60", "--rank", "4", "--tol", "1e-2", "1e-6", "--out", str(out)]
    assert next_token.main(small) == 130
    assert len(json.loads(out.read_text())["progress"]) >= 1
