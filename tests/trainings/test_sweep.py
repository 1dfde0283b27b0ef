"""Sweeps: points and their status, what survives an interruption, files, and the figure."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import random
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from deq_samples import LAMBDA, SMALL, TINY, train_once, write_fashion
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

import ufm.trainings.sweep as module
from ufm.deq import DatasetNotFoundError, Sweep, SweepConfig, SweepInterrupted, SweepPoint, plot_sweep, run_sweep
from ufm.trainings.plotting import plot_departure
from ufm.trainings.sweep import judge

#: Smaller root of n = (lambda/2)^2 (90 + 3 n)^2.
DEQ_THRESHOLD = (90 * LAMBDA / (1 + math.sqrt(1 - 270 * LAMBDA**2))) ** 2
CONFIG = SweepConfig(explicit=(4, 12), identity=(1, 4), zero=(4,), training=SMALL)


def without_time(sweep: Sweep) -> list[SweepPoint]:
    return [dataclasses.replace(p, seconds=None) for p in sweep.points]


@pytest.fixture(scope="module")
def sweep() -> Sweep:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "train", train_once)
        return run_sweep(CONFIG)


class TestRun:
    def test_every_point_is_as_predicted(self, sweep):
        assert not sweep.is_partial
        assert [(p.branch, p.minority_count) for p in sweep.points] == [
            ("explicit", 4),
            ("explicit", 12),
            ("identity", 1),
            ("identity", 4),
            ("zero", 4),
        ]
        assert [p.status for p in sweep.points] == ["agrees", "agrees", "agrees", "agrees", "trapped"]
        assert [p.predicted_phase for p in sweep.points] == ["partial", "none", "partial", "none", "none"]
        assert [p.phase for p in sweep.points] == ["partial", "none", "partial", "none", "partial"]
        assert sweep.deviations == ()
        assert sweep.largest_error is not None
        assert sweep.largest_error < 1e-3

    def test_fields(self, sweep):
        for p in sweep.points:
            assert p.is_judged
            assert p.ratio == 30 / p.minority_count
            assert p.threshold == pytest.approx(8 if p.architecture == "explicit" else DEQ_THRESHOLD, rel=1e-9)
            assert p.converged
            assert p.error is None
            assert abs(p.objective_error) < 1e-8 or p.status == "trapped"
            assert (p.start is None) == (p.residual is None) == (p.architecture == "explicit")
            assert p.trace_quotient < 1e-6
            if p.status == "agrees":
                assert p.minority_cosine == pytest.approx(p.predicted_minority_cosine, abs=1e-3)
                assert p.etf_error == pytest.approx(p.predicted_etf_error, abs=1e-3)
                assert p.self_duality_error == pytest.approx(p.predicted_self_duality_error, abs=1e-3)
                assert p.rank == p.predicted_rank
        trapped = sweep.branch("zero")[0]
        assert trapped.objective_error > 1e-3
        assert trapped.minority_count < trapped.local_threshold
        assert trapped.rank < trapped.predicted_rank

    def test_trapped_counts_against_the_other_branches(self, sweep):
        moved = dataclasses.replace(sweep.branch("zero")[0], branch="identity")
        assert dataclasses.replace(sweep, points=(moved,)).deviations == (moved,)

    def test_progress_and_points(self, sweep):
        config = dataclasses.replace(CONFIG, identity=(), zero=())
        seen: list[tuple[float, float | None]] = []
        points: list[SweepPoint] = []
        run_sweep(config, progress=lambda text, done, total: seen.append((done, total)), on_point=points.append)
        done = [d for d, _ in seen]
        assert done == sorted(done)
        assert seen[0] == (0, 2)
        assert seen[-1] == (2, 2)
        assert {t for _, t in seen} == {2}
        assert [dataclasses.replace(p, seconds=None) for p in points] == without_time(sweep)[:2]

    def test_a_failing_point_does_not_stop_the_others(self, monkeypatch, sweep):
        real = module.train

        def train(config, **options):
            if config.minority_count == 12:
                raise RuntimeError("out of luck")
            return real(config, **options)

        monkeypatch.setattr(module, "train", train)
        found = run_sweep(dataclasses.replace(CONFIG, identity=(), zero=()))
        good, bad = found.points
        assert good.status == "agrees"
        assert (bad.status, bad.error, bad.scale) == ("failed", "RuntimeError: out of luck", None)
        assert bad.predicted_scale == sweep.points[1].predicted_scale
        assert found.deviations == (bad,)
        assert not found.is_partial


@pytest.fixture(scope="module")
def bent() -> Sweep:
    return run_sweep(SweepConfig((3,), (1, 3), (3,), training=dataclasses.replace(TINY, gamma=1.0)))


class TestNonlinear:
    """The theory is of the linear DEQ: a nonlinear one is measured beside it, and nothing is held against either."""

    def test_is_measured_and_not_judged(self, bent):
        explicit, *deq = bent.points
        assert (explicit.status, explicit.is_judged) == ("agrees", True)  # gamma plays no role for it
        for p in deq:
            assert p.converged
            assert (p.status, p.is_judged) == ("nonlinear", False)
            assert abs(p.scale_error) > 0.02  # it did depart, by more than an agreeing point may
            assert p.scale_error == p.scale / p.predicted_scale - 1
            assert p.objective_error > 0.001
        assert bent.deviations == ()
        assert bent.largest_error == abs(explicit.scale_error)

    def test_failed_ones_count(self, bent, monkeypatch):
        monkeypatch.setattr(module, "train", lambda *args, **options: 1 / 0)
        found = run_sweep(dataclasses.replace(bent.config, explicit=(), identity=(3,), zero=()))
        assert [p.status for p in found.deviations] == ["failed"]

    def test_points_that_are_above_the_optimum_load_as_trapped(self):
        """Two points of the kept sweep have s_B within 1% of the optimum's, and a rank below it."""
        path = Path(__file__).parents[2] / "results" / "digits-sweep" / "sweep.jsonl"
        kept = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()[1:]]
        changed = [
            (old["branch"], old["minority_count"], old["seed"])
            for old, new in zip(kept, Sweep.load(path).points, strict=True)
            if old["status"] != new.status
        ]
        assert changed == [("zero", 32, 1), ("zero", 32, 2)]

    def test_sweeps_that_were_judged_load(self, bent, tmp_path):
        old = dataclasses.replace(
            bent,
            points=tuple(
                dataclasses.replace(p, status=status)
                for p, status in zip(bent.points, ("agrees", "near-threshold", "trapped", "disagrees"), strict=True)
            ),
        )
        old.save(tmp_path / "old.jsonl")
        assert Sweep.load(tmp_path / "old.jsonl") == bent
        failed = dataclasses.replace(bent.points[1], status="failed")
        assert Sweep.from_dict(dataclasses.replace(bent, points=(failed,)).to_dict()).points == (failed,)

    def test_figure_names_the_linear_theory(self, bent, sweep):
        data = bent.order_parameter(10)
        assert [s["label"] for s in data["series"]] == [
            "explicit network",
            "DEQ (ρ = 0.3, tanh, γ = 1, beside linear theory), A starts at ρI",
            "DEQ (ρ = 0.3, tanh, γ = 1, beside linear theory), A starts at 0",
        ]
        assert data["thresholds"][0]["label"] == "threshold, linear DEQ"
        assert "theory" not in sweep.order_parameter(10)["series"][1]["label"]


@pytest.fixture(scope="module")
def nothing() -> Sweep:
    training = dataclasses.replace(SMALL, lambda_W=1.0, lambda_H=1.0)
    return run_sweep(SweepConfig((4, 30), (4, 30), (30,), training=training))


class TestEverythingCollapsed:
    """Weight decay so strong that zero features are optimal at every n_B up to n_A: no threshold is near."""

    def test_agrees(self, nothing):
        assert [p.status for p in nothing.points] == ["agrees"] * 5
        assert [(p.phase, p.predicted_phase, p.rank, p.predicted_rank) for p in nothing.points] == [
            ("total", "total", 0, 0)
        ] * 5
        assert all(p.is_judged for p in nothing.points)
        assert nothing.deviations == ()

    def test_a_network_that_is_not_zero_disagrees(self, nothing, sweep):
        point = nothing.points[1]
        other = sweep.branch("explicit")[1]
        fields = {name: getattr(other, name) for name in ("scale", "phase", "objective", "rank")}
        moved = dataclasses.replace(point, **fields)
        found = Sweep.from_dict(dataclasses.replace(nothing, points=(moved,)).to_dict())
        assert found.points[0].status != "agrees"
        assert found.deviations == found.points

    def test_loads_with_the_status_it_was_kept_with(self, nothing):
        assert Sweep.from_dict(nothing.to_dict()) == nothing


class TestRoot:
    CONFIG = SweepConfig(explicit=(2,), training=dataclasses.replace(TINY, dataset="fashion-mnist"))

    @pytest.mark.filterwarnings("ignore::ufm.data.DatasetWarning")
    def test_data_are_read_there(self, tmp_path, monkeypatch):
        monkeypatch.delenv("UFM_DATA", raising=False)
        write_fashion(tmp_path)
        found = run_sweep(self.CONFIG, root=tmp_path)
        assert found.points[0].status == "agrees"
        many = dataclasses.replace(self.CONFIG, training=dataclasses.replace(self.CONFIG.training, majority_count=9))
        # of this folder's files, not of those installed
        assert "has 8 images of 0" in run_sweep(many, root=tmp_path).points[0].error
        with pytest.raises(TypeError, match="positional"):
            run_sweep(self.CONFIG, None, tmp_path)

    def test_missing_files_show_before_any_training(self, tmp_path, monkeypatch):
        monkeypatch.setattr(module, "train", None)
        path = tmp_path / "sweep.jsonl"
        with pytest.raises(DatasetNotFoundError, match="nowhere"):
            run_sweep(self.CONFIG, root=tmp_path / "nowhere", path=path)
        assert not path.exists()


class TestInterruption:
    @pytest.mark.usefixtures("ctrl_c")
    def test_ctrl_c_keeps_finished_points_and_the_sweep_goes_on(self, tmp_path, sweep, monkeypatch):
        path = tmp_path / "sweep.jsonl"

        def progress(text: str, done: float, total: float | None) -> None:
            if done > 2.05:  # in the middle of the third training
                signal.raise_signal(signal.SIGINT)

        with pytest.raises(SweepInterrupted, match="interrupted after 2 of 5 points") as caught:
            run_sweep(CONFIG, path=path, progress=progress)
        assert isinstance(caught.value, KeyboardInterrupt)
        partial = caught.value.sweep
        assert partial.is_partial
        assert partial.to_dict()["partial"] is True
        assert without_time(partial) == without_time(sweep)[:2]
        assert Sweep.load(path) == partial
        assert "partial: 2 of 5" in plot_sweep(partial).axes[0].get_title()

        trained: list[float] = []
        points: list[SweepPoint] = []
        monkeypatch.setattr(module, "train", train_once)
        resumed = run_sweep(
            CONFIG, path=path, progress=lambda text, done, total: trained.append(done), on_point=points.append
        )
        assert min(trained) == 2  # the finished points were not trained again
        assert resumed.points[:2] == partial.points
        assert without_time(resumed) == without_time(sweep)
        assert tuple(points) == resumed.points
        assert Sweep.load(path) == resumed

    @pytest.mark.parametrize("moment", ["before the file", "after the file", "while telling"])
    @pytest.mark.usefixtures("ctrl_c")
    def test_what_is_in_the_file_is_what_the_caller_was_told(self, tmp_path, monkeypatch, moment):
        """A file with a point that nobody was told of gave a partial report without it."""
        path = tmp_path / "sweep.jsonl"
        told: list[SweepPoint] = []
        real = Sweep.save

        def save(self: Sweep, path: object) -> None:
            if self.points and moment == "before the file":
                signal.raise_signal(signal.SIGINT)
            real(self, path)
            if self.points and moment == "after the file":
                signal.raise_signal(signal.SIGINT)

        def tell(point: SweepPoint) -> None:
            if moment == "while telling":
                signal.raise_signal(signal.SIGINT)
            told.append(point)

        monkeypatch.setattr(Sweep, "save", save)
        with pytest.raises(SweepInterrupted, match="interrupted after 1 of 5 points") as caught:
            run_sweep(CONFIG, path=path, on_point=tell)
        assert tuple(told) == Sweep.load(path).points == caught.value.sweep.points

    def test_interrupted_while_told_of_the_kept_points(self, tmp_path, sweep):
        path = tmp_path / "sweep.jsonl"
        sweep.save(path)

        def tell(point: SweepPoint) -> None:
            raise KeyboardInterrupt

        with pytest.raises(SweepInterrupted) as caught:
            run_sweep(CONFIG, path=path, on_point=tell)
        assert caught.value.sweep == sweep

    def test_a_finished_sweep_is_not_trained_again(self, tmp_path, sweep, monkeypatch):
        path = tmp_path / "sweep.jsonl"
        sweep.save(path)
        monkeypatch.setattr(module, "train", None)
        assert run_sweep(CONFIG, path=path) == sweep

    def test_a_crash_while_writing_leaves_the_old_file(self, tmp_path, sweep, monkeypatch):
        path = tmp_path / "sweep.jsonl"
        first = dataclasses.replace(sweep, points=sweep.points[:1])
        first.save(path)
        monkeypatch.setattr(module.os, "fsync", lambda _: (_ for _ in ()).throw(OSError("disk full")))
        with pytest.raises(OSError, match="disk full"):
            sweep.save(path)
        assert Sweep.load(path) == first


class TestFiles:
    def test_round_trips(self, tmp_path, sweep):
        text = json.dumps(sweep.to_dict(), allow_nan=False)
        assert Sweep.from_dict(json.loads(text)) == sweep
        path = tmp_path / "sweep.jsonl"
        sweep.save(path)
        assert Sweep.load(path) == sweep
        assert len(path.read_text().splitlines()) == 1 + len(sweep.points)
        assert [p.name for p in tmp_path.iterdir()] == ["sweep.jsonl"]

    def test_another_config_is_refused_and_kept(self, tmp_path, sweep):
        path = tmp_path / "sweep.jsonl"
        sweep.save(path)
        before = path.read_bytes()
        with pytest.raises(ValueError, match="path must be new or hold a part of this sweep"):
            run_sweep(dataclasses.replace(CONFIG, seeds=(1,)), path=path)
        assert path.read_bytes() == before

    @pytest.mark.parametrize("order", [(2, 1), (1, 1), (0, 1, 2, 3, 4, 0)])
    def test_points_of_another_order_are_refused(self, tmp_path, sweep, order):
        path = tmp_path / "sweep.jsonl"
        dataclasses.replace(sweep, points=tuple(sweep.points[i] for i in order)).save(path)
        with pytest.raises(ValueError, match="must hold the points of this sweep in order"):
            run_sweep(CONFIG, path=path)

    def test_gaps_that_parallel_trainings_left_are_filled(self, tmp_path, sweep, monkeypatch):
        monkeypatch.setattr(module, "train", train_once)
        path = tmp_path / "sweep.jsonl"
        dataclasses.replace(sweep, points=(sweep.points[1], sweep.points[3])).save(path)
        told: list[SweepPoint] = []
        with ThreadPoolExecutor(1) as executor:
            found = run_sweep(CONFIG, path=path, executor=executor, on_point=told.append)
        assert without_time(found) == without_time(sweep)
        assert told[:2] == [sweep.points[1], sweep.points[3]]
        assert len(told) == 5
        assert Sweep.load(path) == found

    def test_every_flipped_bit_shows(self, tmp_path, sweep):
        path = tmp_path / "sweep.jsonl"
        sweep.save(path)
        data = path.read_bytes()
        refused = 0
        for bit in random.Random(0).sample(range(8 * len(data)), 300):
            changed = bytearray(data)
            changed[bit // 8] ^= 1 << bit % 8
            path.write_bytes(changed)
            with contextlib.suppress(ValueError):
                assert Sweep.load(path) == sweep, bit
                refused -= 1
            refused += 1
        assert refused > 250

    def test_files_without_checksums_are_read(self, tmp_path, sweep):
        path = tmp_path / "sweep.jsonl"
        header = {"format": "ufm.deq.sweep", "version": 1, "config": sweep.config.to_dict()}
        path.write_text("".join(json.dumps(e) + "\n" for e in (header, *map(dataclasses.asdict, sweep.points))))
        assert Sweep.load(path) == sweep

    @pytest.mark.parametrize(
        "content",
        [
            "",
            "not json\n",
            "[1, 2]\n",
            '{"format": "other", "version": 1}\n',
            '{"format": "ufm.deq.sweep", "version": 1}\n',
        ],
    )
    def test_other_files_are_refused(self, tmp_path, content):
        path = tmp_path / "sweep.jsonl"
        path.write_text(content)
        with pytest.raises(ValueError, match="path must hold a sweep"):
            run_sweep(CONFIG, path=path)
        assert path.read_text() == content

    def test_a_damaged_point_is_refused(self, tmp_path, sweep):
        path = tmp_path / "sweep.jsonl"
        sweep.save(path)
        path.write_text(path.read_text()[:-40])
        with pytest.raises(ValueError, match="path must hold a sweep"):
            run_sweep(CONFIG, path=path)

    def test_unwritable_path_shows_before_any_training(self, tmp_path, monkeypatch):
        monkeypatch.setattr(module, "train", None)
        with pytest.raises(OSError, match="missing"):
            run_sweep(CONFIG, path=tmp_path / "missing" / "sweep.jsonl")


class TestFigure:
    def test_data(self, sweep):
        data = sweep.order_parameter(curve_points=40)
        explicit, deq, zero = data["series"]
        assert explicit["label"] == "explicit network"
        assert zero["line"] is None
        assert deq["points"] == {"x": [1, 4], "y": [p.scale for p in sweep.branch("identity")]}
        assert [t["x"] for t in data["thresholds"]] == [sweep.points[2].threshold, sweep.points[0].threshold]
        for series, threshold in ((explicit, sweep.points[0].threshold), (deq, sweep.points[2].threshold)):
            x, y = series["line"]["x"], series["line"]["y"]
            assert x == sorted(x)
            assert threshold in x
            for n, s in zip(x, y, strict=True):
                assert (s > 1e-9) == (n > threshold * (1 + 1e-12))

    def test_thresholds_of_the_branches_that_are_there(self, sweep):
        explicit = dataclasses.replace(sweep, points=sweep.branch("explicit"))
        assert [t["label"] for t in explicit.order_parameter(10)["thresholds"]] == ["threshold, explicit"]
        assert [t["label"] for t in sweep.order_parameter(10)["thresholds"]] == [
            "threshold, DEQ",
            "threshold, explicit",
        ]

    def test_departure_of_a_nonlinear_fixed_point(self, sweep):
        """s_B of every gamma beside the linear theory, and the threshold of those with points enough."""
        star = sweep.branch("identity")[0].threshold
        above = [
            dataclasses.replace(p, minority_count=n, scale=math.log(n / (1.1 * star)))
            for p in sweep.branch("identity")[:1]
            for n in (2, 3, 4, 5)
        ]
        left, right = plot_departure({0.0: sweep, 0.5: dataclasses.replace(sweep, points=tuple(above))}).axes
        assert [line.get_label() for line in left.lines] == ["theory, linear", "γ = 0", "γ = 0.5"]
        measured, *_ = [line for line in right.lines if list(line.get_xdata()) == [0.5]]
        assert measured.get_ydata()[0] == pytest.approx(1.1, rel=1e-6)

    def test_drawing(self, sweep, tmp_path):
        figure = plot_sweep(sweep)
        assert isinstance(figure, Figure)
        figure.savefig(tmp_path / "sweep.png", dpi=100)
        axes = figure.axes[0]
        assert axes.get_title() == ""
        # The legend stands clear of the data.
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        renderer = canvas.get_renderer()
        legend = figure.legends[0].get_window_extent(renderer)
        assert not legend.overlaps(axes.get_window_extent(renderer))
        assert len(figure.legends[0].get_texts()) == 7

    def test_nothing_to_draw(self):
        with pytest.raises(ValueError, match="sweep must hold at least one trained point"):
            plot_sweep(Sweep(CONFIG))


POINT = {
    "minority_count": 26,
    "threshold": 20.0,
    "predicted_scale": 0.56,
    "predicted_phase": "none",
    "predicted_objective": 1.75,
    "scale": 0.56,
    "phase": "none",
    "objective": 1.75,
    "converged": True,
}


class TestJudge:
    @pytest.mark.parametrize(
        ("changes", "status"),
        [
            ({}, "agrees"),
            ({"scale": 0.5655}, "agrees"),
            ({"scale": 0.5657}, "disagrees"),
            ({"scale": 0.5543}, "disagrees"),
            ({"phase": "partial", "scale": 0.0}, "disagrees"),
            ({"phase": "partial", "scale": 0.0, "objective": 1.76}, "trapped"),
            ({"phase": "partial", "scale": 0.0, "objective": 1.76, "converged": False}, "disagrees"),
            ({"scale": 0.7, "objective": 1.74}, "disagrees"),
            ({"predicted_phase": "partial", "predicted_scale": 0.0}, "disagrees"),
            ({"predicted_phase": "partial", "predicted_scale": 0.0, "phase": "partial", "scale": 1e-7}, "agrees"),
            ({"predicted_phase": "total", "phase": "partial"}, "disagrees"),
            ({"predicted_phase": "total", "phase": "partial", "predicted_scale": 0.0, "scale": 0.0}, "disagrees"),
            # what cannot be seen at the resolution of logits is no disagreement, and what can be is one
            ({"predicted_scale": 4e-4, "phase": "partial", "scale": 0.0}, "agrees"),
            ({"predicted_scale": 0.0, "predicted_phase": "total", "scale": 2e-6}, "agrees"),
            ({"predicted_scale": 0.02, "phase": "partial", "scale": 0.0}, "disagrees"),
            # s_B and phase are right, and the objective is above the optimum: a code of lower rank
            ({"scale": 0.5610, "objective": 1.7635}, "trapped"),
            ({"scale": 0.5610, "objective": 1.7635, "converged": False}, "disagrees"),
            ({"scale": 0.5610, "objective": 1.75 * (1 + 5e-5)}, "agrees"),
            ({"phase": "partial", "predicted_phase": "partial", "scale": 0.0, "objective": 1.7635}, "trapped"),
            ({"minority_count": 22, "scale": 0.5610, "objective": 1.7635}, "trapped"),
            # nothing is below a global optimum
            ({"objective": 1.75 * (1 - 1e-5)}, "disagrees"),
            ({"objective": 1.75 * (1 - 1e-5), "minority_count": 22}, "disagrees"),
            ({"objective": 1.75 * (1 - 1e-7)}, "agrees"),
            # an objective is compared relative to its own size
            ({"objective": 1.75e-6, "predicted_objective": 1.74e-6}, "trapped"),
            ({"objective": 1.75e9, "predicted_objective": 1.75e9 + 1}, "agrees"),
            ({"distance": 0.1}, "near-threshold"),
            ({"minority_count": 22, "distance": 0.2}, "agrees"),
            ({"minority_count": 22}, "near-threshold"),
            ({"minority_count": 22, "scale": 0.9}, "near-threshold"),
            ({"minority_count": 18}, "near-threshold"),
            ({"minority_count": 16.9, "scale": 0.9}, "disagrees"),
            ({"is_modelled": False}, "nonlinear"),
            ({"is_modelled": False, "phase": "partial", "scale": 0.0, "objective": 1.76}, "nonlinear"),
            ({"is_modelled": False, "minority_count": 22, "converged": False}, "nonlinear"),
        ],
    )
    def test_status(self, changes, status):
        assert judge(**{**POINT, **changes}) == status


class TestConfig:
    def test_presets(self):
        quick = SweepConfig.quick()
        assert len(quick.trainings()) == 10
        assert all(
            abs(n / 20 - 1) >= 0.15 and abs(m / 3.7366 - 1) >= 0.15 for n in quick.explicit for m in quick.identity
        )
        full = SweepConfig.full(rho=0.3)
        assert full.training.rho == 0.3
        assert len(full.trainings()) == len(full.seeds) * (len(full.explicit) + len(full.identity) + len(full.zero))

    def test_trainings(self):
        config = SweepConfig(explicit=(3,), zero=(5,), seeds=(0, 7), training=SMALL)
        found = [(b, t.architecture, t.start, t.minority_count, t.seed, t.lambda_W) for b, t in config.trainings()]
        assert found == [
            ("explicit", "explicit", "identity", 3, 0, LAMBDA),
            ("zero", "deq", "zero", 5, 0, LAMBDA),
            ("explicit", "explicit", "identity", 3, 7, LAMBDA),
            ("zero", "deq", "zero", 5, 7, LAMBDA),
        ]

    def test_round_trip(self):
        assert SweepConfig.from_dict(json.loads(json.dumps(CONFIG.to_dict()))) == CONFIG

    @pytest.mark.parametrize(
        ("fields", "error", "message"),
        [
            ({}, ValueError, "a sweep must have at least one point"),
            ({"explicit": (0,)}, ValueError, r"explicit\[0\] must be an integer >= 1, got 0"),
            ({"zero": (-4,)}, ValueError, r"zero\[0\] must be an integer >= 1"),
            ({"identity": (200,)}, ValueError, "minority_count must be an integer between 1 and 100, got 200"),
            ({"identity": (4, 4)}, ValueError, "identity must not repeat a number"),
            ({"identity": "4"}, TypeError, "identity must be a sequence of integers"),
            ({"identity": 4}, TypeError, "identity must be a sequence of integers"),
            ({"explicit": (4,), "seeds": ()}, ValueError, "seeds must hold at least one seed"),
            ({"explicit": (4,), "seeds": (-1,)}, ValueError, r"seeds\[0\] must be an integer >= 0"),
            ({"explicit": (4,), "training": {"rho": 0.5}}, TypeError, "training must be a ufm.deq.TrainingConfig"),
        ],
    )
    def test_bad_input(self, fields, error, message):
        with pytest.raises(error, match=message):
            SweepConfig(**fields)

    def test_bad_arguments(self):
        with pytest.raises(TypeError, match=r"config must be a ufm\.deq\.SweepConfig"):
            run_sweep(SMALL)
        with pytest.raises(ValueError, match=r"rho must lie in \[0, 1\)"):
            SweepConfig.quick(rho=1.5)
