"""Loops of small trainings, what survives of them, and the branches that theory has for them."""

from __future__ import annotations

import dataclasses
import json
import shutil
import signal
from pathlib import Path

import deq_samples
import numpy as np
import pytest
from effort import count
from matplotlib.backends.backend_agg import FigureCanvasAgg

import ufm.deq
import ufm.trainings.hysteresis as module
from ufm.deq import (
    Loop,
    LoopInterrupted,
    TrainingConfig,
    hysteresis_loop,
    low_rank_branch,
    low_rank_codes,
    plot_curves,
    plot_departure,
    plot_hysteresis,
    plot_sweep,
    predict,
)
from ufm.landscape import classify, find_trapped
from ufm.trainings.loop import leg_counts
from ufm.trainings.prediction import model_of
from ufm.two_groups.transitions import trapped_threshold

SMALL = dataclasses.replace(deq_samples.SMALL, gradient_tol=1e-6)
ZERO = dataclasses.replace(SMALL, start="zero")
LEGS = [(3, 12), (3,)]
#: n_B at which a collapsed network of SMALL with A = 0 beside its three directions leaves collapse, about 5.61.
MIXING = 30 / trapped_threshold(model_of(SMALL), 3, 3, majority_count=30)
KEPT = Path(__file__).parents[2] / "results" / "hysteresis-digits"


@pytest.fixture(scope="module")
def loop():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "train", deq_samples.train_once)
        return hysteresis_loop(ZERO, LEGS)


@pytest.fixture
def trained(monkeypatch):
    """n_B of the trainings that are run."""
    real, counts = module.train, []

    def train(config, **arguments):
        counts.append(config.minority_count)
        return real(config, **arguments)

    monkeypatch.setattr(module, "train", train)
    return counts


def interrupt_after(number):
    """An ``on_point`` that is Ctrl-C at the given point."""
    seen = []

    def on_point(point):
        seen.append(point)
        if len(seen) == number:
            raise KeyboardInterrupt

    return on_point


class TestLoop:
    def test_started_at_zero_it_stays_off_the_optimum_both_ways(self, loop):
        rising, top, falling = loop.points
        assert [p.predicted_phase for p in loop.points] == ["none"] * 3
        for point in (rising, falling):
            assert point.threshold < point.minority_count == 3 < point.local_threshold <= 8.5
            assert point.phase == "partial"
            assert point.scale < 1e-3
            assert point.objective_error > 1e-3
        # Above the threshold of a = 0 the minority comes apart, within the directions that the majority uses.
        assert top.phase == "none"
        assert top.rank < top.predicted_rank
        assert 0.1 < top.scale < 0.9 * top.predicted_scale

    def test_it_is_at_the_best_code_of_its_rank(self, loop):
        for point, code in zip(loop.points, low_rank_codes(loop), strict=True):
            assert code.rank == point.rank == 3
            assert code.is_stable
            assert point.objective(ZERO) == pytest.approx(code.value, rel=1e-7)
            assert point.scale == pytest.approx(code.scale, abs=1e-3)

    def test_started_at_the_identity_it_follows_the_optimum_both_ways(self):
        found = hysteresis_loop(SMALL, LEGS)
        for point in found.points:
            assert point.scale == pytest.approx(point.predicted_scale, rel=1e-2)
            assert abs(point.objective_error) < 1e-6
            assert point.rank == point.predicted_rank
        assert found.runs() == []
        assert low_rank_codes(found) == (None,) * 3

    def test_warm_starts_need_the_same_inputs(self, monkeypatch):
        """Whitened by its own statistics, an image is another input at another n_B, and the start is not warm."""
        real, iterations = module.train, {}
        for name in ("same", "own"):

            def train(config, *, whitened_by, name=name, **others):
                return real(config, whitened_by=whitened_by if name == "same" else None, **others)

            monkeypatch.setattr(module, "train", train)
            iterations[name] = hysteresis_loop(SMALL, [(5, 6)]).points[1].iterations
        assert iterations["same"] < iterations["own"]

    def test_runs_end_where_the_leg_or_the_rank_changes(self, loop):
        assert loop.runs() == [loop.points[:2], loop.points[2:]]
        other = dataclasses.replace(loop.points[1], rank=4)
        changed = dataclasses.replace(loop, points=(loop.points[0], other, loop.points[2]))
        assert [[p.rank for p in run] for run in changed.runs()] == [[3], [4], [3]]
        optimal = dataclasses.replace(loop.points[1], rank=5)
        assert dataclasses.replace(loop, points=(loop.points[0], optimal)).runs() == [loop.points[:1]]

    def test_public_names(self):
        names = {"HysteresisPoint", "Loop", "LoopInterrupted", "LowRankCode", "hysteresis_loop", "low_rank_branch"}
        names |= {"low_rank_codes", "plot_departure", "plot_hysteresis"}
        assert names <= set(ufm.deq.__all__)
        assert all(getattr(ufm.deq, name).__name__ == name for name in names)


@pytest.fixture
def once(monkeypatch):
    """No training from the same bits is repeated; from others, as of a file that lost some, it is another one."""
    monkeypatch.setattr(module, "train", deq_samples.train_once)


@pytest.mark.usefixtures("once")
class TestFile:
    def test_round_trip(self, loop, tmp_path):
        loop.save(tmp_path / "loop.json")
        assert Loop.load(tmp_path / "loop.json") == loop
        assert loop.leg(1) == [loop.points[2]]
        assert not loop.is_partial

    @pytest.mark.parametrize("done", [1, 2])
    @pytest.mark.sample(1)
    def test_interrupted_it_goes_on_to_the_same_bits(self, loop, tmp_path, trained, done):
        path = tmp_path / "loop.json"
        with pytest.raises(LoopInterrupted, match=rf"after {done} of 3 points") as caught:
            hysteresis_loop(ZERO, LEGS, path=path, on_point=interrupt_after(done))
        assert caught.value.loop == Loop.load(path)
        assert caught.value.loop.points == loop.points[:done]
        assert caught.value.loop.is_partial
        trained.clear()
        points = []
        assert hysteresis_loop(ZERO, LEGS, path=path, on_point=points.append) == loop
        assert trained == [3, 12, 3][done:]
        assert tuple(points) == loop.points
        assert Loop.load(path) == loop
        assert [f.name for f in tmp_path.iterdir()] == ["loop.json"]

    def test_interrupted_in_a_training(self, loop, tmp_path, monkeypatch):
        path = tmp_path / "loop.json"
        real = module.train

        def train(config, **arguments):
            if config.minority_count == 12:
                raise KeyboardInterrupt
            return real(config, **arguments)

        monkeypatch.setattr(module, "train", train)
        with pytest.raises(LoopInterrupted):
            hysteresis_loop(ZERO, LEGS, path=path)
        assert Loop.load(path).points == loop.points[:1]

    @pytest.mark.parametrize("moment", ["weights", "points", "telling"])
    @pytest.mark.usefixtures("ctrl_c")
    def test_what_is_in_the_file_is_what_the_caller_was_told(self, loop, tmp_path, monkeypatch, moment):
        path = tmp_path / "loop.json"
        told = []

        def interrupting(name, real):
            def function(*arguments):
                if name == moment and path.exists():  # not for the empty loop that it begins with
                    signal.raise_signal(signal.SIGINT)
                return real(*arguments)

            return function

        monkeypatch.setattr(module, "_save_state", interrupting("weights", module._save_state))
        monkeypatch.setattr(Loop, "save", interrupting("points", Loop.save))
        with pytest.raises(LoopInterrupted, match="after 1 of 3 points") as caught:
            hysteresis_loop(ZERO, LEGS, path=path, on_point=interrupting("telling", told.append))
        assert tuple(told) == Loop.load(path).points == caught.value.loop.points == loop.points[:1]

    def test_killed_between_its_two_files(self, loop, tmp_path, trained):
        """The weights are written first, with their points: they are never older than the other file."""
        path = tmp_path / "loop.json"
        with pytest.raises(LoopInterrupted):
            hysteresis_loop(ZERO, LEGS, path=path, on_point=interrupt_after(2))
        dataclasses.replace(loop, points=loop.points[:1]).save(path)
        trained.clear()
        assert hysteresis_loop(ZERO, LEGS, path=path) == loop
        assert trained == [3]

    def test_a_complete_one_is_not_trained_again(self, loop, tmp_path, trained):
        path = tmp_path / "loop.json"
        loop.save(path)
        (tmp_path / "loop.json.weights.npz").write_bytes(b"left by a process that was killed at its end")
        other = dataclasses.replace(ZERO, minority_count=7)  # n_B of the training plays no part
        assert hysteresis_loop(other, LEGS, path=path) == loop
        assert trained == []
        assert [f.name for f in tmp_path.iterdir()] == ["loop.json"]

    def test_weights_without_a_loop_are_not_gone_on_from(self, loop, tmp_path, trained):
        path = tmp_path / "loop.json"
        with pytest.raises(LoopInterrupted):
            hysteresis_loop(ZERO, LEGS, path=path, on_point=interrupt_after(1))
        path.unlink()

        def interrupt(*_):
            raise KeyboardInterrupt

        with pytest.raises(LoopInterrupted, match="after 0 of 3 points"):
            hysteresis_loop(ZERO, LEGS, path=path, progress=interrupt)
        assert [f.name for f in tmp_path.iterdir()] == ["loop.json"]
        assert hysteresis_loop(ZERO, LEGS, path=path) == loop
        assert trained == [3, 3, 12, 3]

    def test_what_is_not_its_own(self, loop, tmp_path, trained):
        path = tmp_path / "loop.json"
        partial = dataclasses.replace(loop, points=loop.points[:1])
        partial.save(path)
        with pytest.raises(ValueError, match=r"the last weights are not beside it in 'loop.json.weights.npz'"):
            hysteresis_loop(ZERO, LEGS, path=path)
        for changes in (
            {"training": SMALL},
            {"legs": [(3, 12), (4,)]},
            {"perturbation": 2e-3},
        ):
            arguments = {"training": ZERO, "legs": LEGS, **changes}
            with pytest.raises(ValueError, match="holds another one"):
                hysteresis_loop(**arguments, path=path)
        for text in ('{"format": "another"}', "[]", "not JSON", "\N{PILE OF POO}"):
            path.write_text(text, encoding="utf-16")
            with pytest.raises(ValueError, match="path must hold a loop"):
                hysteresis_loop(ZERO, LEGS, path=path)
            path.write_text(text, encoding="utf-8")
            with pytest.raises(ValueError, match="path must hold a loop"):
                hysteresis_loop(ZERO, LEGS, path=path)
            assert path.read_text(encoding="utf-8") == text
        assert trained == []

    def test_weights_of_something_else(self, loop, tmp_path, trained):
        path, state = tmp_path / "loop.json", tmp_path / "loop.json.weights.npz"
        with pytest.raises(LoopInterrupted):
            hysteresis_loop(ZERO, LEGS, path=path, on_point=interrupt_after(1))
        trained.clear()
        whole = state.read_bytes()
        for content in (b"", b"no archive", whole[: len(whole) // 2]):
            state.write_bytes(content)
            with pytest.raises(ValueError, match=r"weights.npz' must hold the weights of"):
                hysteresis_loop(ZERO, LEGS, path=path)
        np.savez(state, loop=np.array([{"a pickle": 1}], dtype=object))
        with pytest.raises(ValueError, match="allow_pickle=False"):
            hysteresis_loop(ZERO, LEGS, path=path)
        state.write_bytes(whole)
        point = dataclasses.replace(loop.points[0], scale=1.0)
        dataclasses.replace(loop, points=(point,)).save(path)
        with pytest.raises(ValueError, match="they are of another loop"):
            hysteresis_loop(ZERO, LEGS, path=path)
        assert trained == []
        assert state.read_bytes() == whole

    @pytest.mark.parametrize(
        "change",
        [
            lambda d: d.pop("legs"),
            lambda d: d.update(version=2),
            lambda d: d.update(legs=[]),
            lambda d: d.update(points=5),
            lambda d: d["points"].reverse(),
            lambda d: d["points"][0].pop("rank"),
            lambda d: d["training"].update(colour="red"),
            lambda d: d.update(perturbation="much"),
        ],
    )
    def test_damaged(self, loop, change):
        fields = json.loads(json.dumps(loop.to_dict()))
        assert Loop.from_dict(fields) == loop
        change(fields)
        with pytest.raises(ValueError, match="not a loop of format"):
            Loop.from_dict(fields)

    def test_a_folder_that_is_not_there_shows_before_the_first_training(self, tmp_path, trained):
        with pytest.raises(FileNotFoundError):
            hysteresis_loop(ZERO, LEGS, path=tmp_path / "none" / "loop.json")
        assert trained == []


class TestLowRankBranch:
    def test_without_a_limit_it_is_the_optimum(self):
        for code in low_rank_branch(SMALL, [12, 3, 1.2], 5):
            optimum = predict(SMALL, code.minority_count)
            assert code.value == pytest.approx(optimum.objective, rel=1e-10)
            assert code.scale == pytest.approx(optimum.scale, abs=1e-6)
            assert code.dual_norm == pytest.approx(0.5, abs=1e-6)

    def test_it_is_the_lowest_minimum_that_the_landscape_has(self):
        (code,) = low_rank_branch(SMALL, [12], 3)
        trapped = find_trapped([30] * 3 + [12] * 3, SMALL.lambda_W, 0.5, 3, starts=4)
        point = classify(trapped[0].problem, trapped[0].factors())
        assert point.kind == "local minimum"
        assert code.value == pytest.approx(point.value, rel=1e-12)
        assert code.dual_norm * SMALL.lambda_W == pytest.approx(point.dual_norm, rel=1e-6)
        assert code.is_stable
        # The minority's scale, from the factors.
        z = trapped[0].left @ trapped[0].right.T / np.sqrt(trapped[0].counts)
        block = z[3:, 3:]
        assert code.scale == pytest.approx(np.trace(block) / 3 - (block.sum() - np.trace(block)) / 6, abs=1e-6)

    def test_followed_it_remembers_up_to_the_mixing_threshold(self):
        # none of them at the threshold itself, where it is the last bit that says on which side a descent ends
        counts = (np.linspace(0.9, 1.02, 13) + 0.004) * MIXING
        rising = low_rank_branch(SMALL, counts, 3, follow=True)
        falling = low_rank_branch(SMALL, counts[::-1], 3, follow=True)[::-1]
        best = low_rank_branch(SMALL, counts, 3)
        for n, up, down, lowest in zip(counts, rising, falling, best, strict=True):
            assert up.minority_count == down.minority_count == lowest.minority_count == n
            assert (up.scale > 1e-3) == (n > MIXING)
            assert lowest.value == pytest.approx(min(up.value, down.value), rel=1e-10)
        # Just below the threshold the way down is another one, and the better one; far below there is one again.
        assert falling[8].scale > 0.4
        assert falling[8].value < rising[8].value
        assert falling[0].scale == pytest.approx(0, abs=1e-6)

    def test_order_is_that_of_the_arguments(self):
        codes = low_rank_branch(SMALL, iter((12, 3, 12)), 3)
        assert [c.minority_count for c in codes] == [12, 3, 12]
        assert codes[0] == codes[2]
        assert codes[0].scale > 1
        assert codes[1].scale == pytest.approx(0, abs=1e-6)

    @pytest.mark.parametrize(
        ("changes", "error", "message"),
        [
            ({"training": 5}, TypeError, "training must be a ufm.deq.TrainingConfig"),
            ({"minority_counts": 5}, TypeError, "minority_counts must be a sequence"),
            ({"minority_counts": "12"}, TypeError, "minority_counts must be a sequence"),
            ({"minority_counts": []}, ValueError, "minority_counts must hold at least one"),
            ({"minority_counts": [1, 0]}, ValueError, r"minority_counts\[1\] must be > 0"),
            ({"rank": 0}, ValueError, "rank must be an integer >= 1"),
            ({"starts": 0}, ValueError, "starts must be an integer >= 1"),
            ({"seed": -1}, ValueError, "seed must be an integer >= 0"),
            ({"follow": 1}, TypeError, "follow must be True or False"),
        ],
    )
    def test_bad_arguments(self, changes, error, message):
        with pytest.raises(error, match=message):
            low_rank_branch(**{"training": SMALL, "minority_counts": [3], "rank": 3, **changes})

    def test_codes_of_something_else(self):
        with pytest.raises(TypeError, match="loop must be a"):
            low_rank_codes(5)


class TestArguments:
    @pytest.mark.parametrize(
        ("changes", "error", "message"),
        [
            ({"training": 5}, TypeError, "training must be a ufm.deq.TrainingConfig"),
            ({"training": dataclasses.replace(SMALL, width=None)}, ValueError, "training must be .* with a width"),
            ({"legs": 5}, TypeError, "legs must be a sequence of sequences of n_B, got 5"),
            ({"legs": "35"}, TypeError, "legs must be a sequence of sequences"),
            ({"legs": {3: 5}}, TypeError, "legs must be a sequence of sequences"),
            ({"legs": [1]}, TypeError, r"legs\[0\] must be a sequence of n_B, got 1"),
            ({"legs": ["35"]}, TypeError, r"legs\[0\] must be a sequence of n_B"),
            ({"legs": []}, ValueError, "legs must hold at least one"),
            ({"legs": [(3,), ()]}, ValueError, r"legs\[1\] must hold at least one n_B"),
            ({"legs": [(3, 0)]}, ValueError, r"legs\[0\]\[1\] must be an integer >= 1"),
            ({"legs": [(3, 2.5)]}, ValueError, r"legs\[0\]\[1\] must be an integer >= 1"),
            ({"legs": [(3,), (True,)]}, TypeError, r"legs\[1\]\[0\] must be a real number"),
            ({"legs": [(3, 31)]}, ValueError, r"legs\[0\]\[1\] must be an n_B of this training: .* between 1 and 30"),
            ({"perturbation": 0}, ValueError, "perturbation must be > 0"),
            ({"perturbation": "much"}, TypeError, "perturbation must be a real number"),
            ({"progress": 5}, TypeError, "progress must be callable"),
            ({"on_point": 5}, TypeError, "on_point must be callable"),
            ({"path": 5}, TypeError, "path must be a path"),
        ],
    )
    def test_of_a_loop(self, trained, changes, error, message):
        with pytest.raises(error, match=message):
            hysteresis_loop(**{"training": SMALL, "legs": [(3,)], **changes})
        assert trained == []

    def test_legs_may_be_any_integers(self):
        assert leg_counts(SMALL, iter([range(2, 4), np.array([3.0])])) == ((2, 3), (3,))

    def test_of_figures(self, loop):
        for value in (5, [loop]):
            with pytest.raises(TypeError, match="loops must be a mapping"):
                plot_hysteresis(value)
        with pytest.raises(ValueError, match="loops must hold at least one"):
            plot_hysteresis({})
        with pytest.raises(TypeError, match=r"loops\['a'\] must be a ufm.deq.Loop, got None"):
            plot_hysteresis({"a": []})
        with pytest.raises(TypeError, match=r"loops\['a'\] must be a ufm.deq.Loop, got 5"):
            plot_hysteresis({"a": 5})
        with pytest.raises(TypeError, match=r"loops\['a'\] must hold ufm.deq.Loop, got 5"):
            plot_hysteresis({"a": [loop, 5]})
        with pytest.raises(TypeError, match="loops must have keys of type str, got 5"):
            plot_hysteresis({5: loop})
        with pytest.raises(ValueError, match=r"loops\['a'\] must hold at least one point"):
            plot_hysteresis({"a": dataclasses.replace(loop, points=())})
        with pytest.raises(ValueError, match=r"loops\['a'\] must differ in nothing but the seed"):
            plot_hysteresis({"a": [loop, dataclasses.replace(loop, training=SMALL)]})
        with pytest.raises(TypeError, match="sweeps must be a mapping"):
            plot_departure([0.0])
        with pytest.raises(ValueError, match="sweeps must hold at least one, got none"):
            plot_departure({})
        with pytest.raises(TypeError, match=r"sweeps\[0.0\] must be a ufm.deq.Sweep, got 5"):
            plot_departure({0.0: 5})
        sweep = ufm.deq.Sweep(ufm.deq.SweepConfig(explicit=(4,), training=SMALL))
        with pytest.raises(TypeError, match=r"sweeps must have keys of type .*, got 'much'"):
            plot_departure({"much": sweep})
        with pytest.raises(ValueError, match=r"sweeps must hold at least one trained point that starts at"):
            plot_departure({0.0: sweep})
        with pytest.raises(TypeError, match=r"sweep must be a ufm\.deq\.Sweep"):
            plot_sweep(5)
        with pytest.raises(TypeError, match=r"experiment must be a ufm\.deq\.Experiment"):
            plot_curves(5)


class TestRoot:
    TRAINING = dataclasses.replace(deq_samples.TINY, dataset="fashion-mnist", width=24)

    @pytest.mark.filterwarnings("ignore::ufm.deq.DatasetWarning")
    def test_data_are_read_there(self, tmp_path, monkeypatch):
        monkeypatch.delenv("UFM_DATA", raising=False)
        deq_samples.write_fashion(tmp_path)
        found = hysteresis_loop(self.TRAINING, [(2,)], root=tmp_path)
        assert found.points[0].scale == pytest.approx(found.points[0].predicted_scale, rel=1e-2)
        many = dataclasses.replace(self.TRAINING, majority_count=9)  # of this folder's files, not of those installed
        with pytest.raises(ValueError, match="has 8 images of 0"):
            hysteresis_loop(many, [(2,)], root=tmp_path)

    def test_missing_files_show_before_any_training(self, tmp_path, trained):
        path = tmp_path / "loop.json"
        with pytest.raises(ufm.deq.DatasetNotFoundError, match="nowhere"):
            hysteresis_loop(self.TRAINING, [(2,)], root=tmp_path / "nowhere", path=path)
        assert not path.exists()
        assert trained == []


class TestFigure:
    def test_theory_ends_where_the_minority_is_as_large_as_the_majority(self):
        n = deq_samples.TINY.majority_count
        training = dataclasses.replace(deq_samples.TINY, width=24)
        found = ufm.deq.run_sweep(ufm.deq.SweepConfig(identity=(n,), training=training))
        for figure in (
            plot_departure({0.0: found}),
            plot_hysteresis({"loop": hysteresis_loop(training, [(n - 1, n)])}),
        ):
            FigureCanvasAgg(figure).draw()
            assert max(max(line.get_xdata()) for line in figure.axes[0].lines[:1]) == n

    def test_points_lie_on_the_branch_of_their_rank(self, loop):
        other = dataclasses.replace(loop, training=dataclasses.replace(ZERO, seed=1))
        panels = {"two seeds": [loop, other], "one": loop}
        copies_in = count((2,), (2, 1))
        figure = plot_hysteresis(dict(list(panels.items())[: len(copies_in)]))
        FigureCanvasAgg(figure).draw()
        for axes, copies in zip(figure.axes, copies_in, strict=True):
            lines = {line.get_label(): line for line in axes.lines}
            assert len([line for line in axes.lines if line.get_label() == "trained, n_B rising"]) == copies
            assert list(lines["trained, n_B rising"].get_xdata()) == [3, 12]
            assert list(lines["trained, n_B falling"].get_xdata()) == [3]
            branch = lines["local minimum of rank 3, n_B rising"]
            x, y = branch.get_xdata(), branch.get_ydata()
            assert (x[0], x[-1]) == (3, 12)
            for point in loop.points[:2]:
                assert np.interp(point.minority_count, x, y) == pytest.approx(point.scale, abs=1e-3)
            # Collapsed up to the mixing threshold, and no further.
            assert max(y[x <= MIXING]) < 1e-3 < min(y[x > 1.001 * MIXING])
            optimum = lines["global optimum"]
            assert np.interp(12, optimum.get_xdata(), optimum.get_ydata()) == pytest.approx(2.0135, abs=1e-3)
            marks = {label: line.get_xdata()[0] for label, line in lines.items() if "local" not in label}
            assert marks["the optimum leaves collapse"] == pytest.approx(loop.points[0].threshold)
            assert marks["a collapsed network with A = 0 beside does, by mixing"] == pytest.approx(MIXING)
            assert marks["its unused directions are unstable"] == pytest.approx(8)
        legend = [text.get_text() for text in figure.legends[0].get_texts()]
        assert len(legend) == len(set(legend)) == 8
        assert legend[:2] == ["trained, n_B rising", "trained, n_B falling"]

    def test_partial(self, loop):
        figure = plot_hysteresis({"half": dataclasses.replace(loop, points=loop.points[:1])})
        labels = [line.get_label() for line in figure.axes[0].lines]
        assert "trained, n_B rising" in labels
        assert "trained, n_B falling" not in [
            line.get_label() for line in figure.axes[0].lines if len(line.get_xdata())
        ]


@pytest.mark.skipif(not KEPT.exists(), reason="results are not part of an installed package")
class TestKept:
    def test_the_way_down_is_another_one(self):
        """K = 5 + 5, three seeds: collapsed up to the mixing threshold of 12.02, and less so on the way down."""
        for seed in range(3):
            loop = Loop.load(KEPT / f"zero-ten-{seed}.json")
            assert loop.training.seed == seed
            assert not loop.is_partial
            up, down = ({p.minority_count: p for p in loop.leg(number)} for number in (0, 1))
            for n in (10, 11):
                assert up[n].scale < 1e-3
                assert down[n].scale > 0.6
            # At 11 it has found something better, on the way up it had not: it remembers.
            assert down[11].objective(loop.training) < up[11].objective(loop.training)

    def test_the_call_that_made_them_goes_on_from_them(self, tmp_path, trained):
        for name in ("zero", "identity"):
            path = shutil.copy(KEPT / f"{name}.json", tmp_path)
            kept = Loop.load(path)
            assert hysteresis_loop(kept.training, kept.legs, path=path) == kept
        assert trained == []
        assert isinstance(kept.training, TrainingConfig)

    def test_every_network_is_at_a_local_minimum_of_its_rank(self):
        loop = Loop.load(KEPT / "zero.json")
        codes = low_rank_codes(loop)
        assert [code is None for code in codes] == [p.minority_count == 2 for p in loop.points]
        for point, code in zip(loop.points, codes, strict=True):
            if code is not None:
                assert point.objective(loop.training) == pytest.approx(code.value, rel=1e-8)
                assert point.scale == pytest.approx(code.scale, abs=1e-3)
