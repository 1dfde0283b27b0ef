"""SGD runs: what they record, that a killed one ends with the same bits, and files that are not theirs."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import torch
from effort import count
from matplotlib.figure import Figure
from typer.testing import CliRunner

import ufm
from ufm.cli import app
from ufm.cli.schemas import output_schema
from ufm.data import load_dataset, long_tailed_counts
from ufm.deq import (
    ConvergenceWarning,
    DatasetNotFoundError,
    DivergedError,
    Experiment,
    ExperimentConfig,
    load_run,
    plot_curves,
    run_experiment,
)
from ufm.trainings.experiment import _Run, experiment_data, is_terminal

SMALL = ExperimentConfig(
    dataset="digits",
    model="deq",
    options={"rho": 0.7},
    width=32,
    num_majority=3,
    num_minority=3,
    majority_count=40,
    ratio=4,
    test_count=20,
    epochs=8,
    batch_size=16,
    learning_rate=0.05,
    evaluate_every=4,
    device="cpu",
)


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch):
    """Subprocesses too: BLAS threads that spin cost more than they bring."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture
def plain_figure(monkeypatch):
    """An empty figure for the curves: to draw twelve axes takes longer than most trainings here."""
    monkeypatch.setattr("ufm.trainings.plotting.plot_curves", lambda experiment: Figure())


def bits(folder) -> tuple[list[dict], dict]:
    """Metrics and state of a finished run, less wall times."""
    lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    metrics = [{k: v for k, v in json.loads(line).items() if k not in ("seconds", "sha256")} for line in lines]
    state = torch.load(folder / "checkpoint.pt", weights_only=True)
    return metrics, state


def assert_same_bits(one, other) -> None:
    (metrics, state), (other_metrics, other_state) = bits(one), bits(other)
    assert metrics == other_metrics
    assert state["model"].keys() == other_state["model"].keys()
    for name, value in state["model"].items():
        assert torch.equal(value, other_state["model"][name]), name
    buffers, other_buffers = (s["optimiser"]["state"] for s in (state, other_state))
    assert buffers.keys() == other_buffers.keys()
    assert len(buffers) > 0
    for key, buffer in buffers.items():
        assert torch.equal(buffer["momentum_buffer"], other_buffers[key]["momentum_buffer"])


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "whole"
    return run_experiment(SMALL, folder), folder


class TestRun:
    def test_records(self, finished):
        experiment, _ = finished
        assert [r["epoch"] for r in experiment.records] == [1, 4, 8]
        assert experiment.stopped == "epochs"
        last = experiment.records[-1]
        assert last["train_accuracy"]["overall"] > 0.9
        assert last["measures"]["counts"] == [40, 40, 40, 10, 10, 10] == list(SMALL.counts)
        assert last["measures"]["groups"] == [[0, 1, 2], [3, 4, 5]]
        assert last["learning_rate"] == pytest.approx(0, abs=1e-12)
        assert experiment.records[0]["loss"] > last["loss"]
        fixed_point = last["fixed_point"]
        assert 1 <= fixed_point["steps"] <= 20
        assert 0 < fixed_point["residual"] < 1e-3 or fixed_point["converged"] < 1
        accuracy = last["train_accuracy"]
        assert accuracy["overall"] == pytest.approx((120 * accuracy["majority"] + 30 * accuracy["minority"]) / 150)

    def test_measures_are_those_of_the_network(self):
        """Against a direct evaluation of the same weights, and the loss against its definition."""
        run = _Run(dataclasses.replace(SMALL, epochs=1), torch.device("cpu"), None)
        run.train_epoch(None)
        run.evaluate()
        found = run.records[-1]
        train, test = experiment_data(SMALL)
        with torch.no_grad():
            output = run.model(torch.from_numpy(train.inputs))
            predicted = run.model(torch.from_numpy(test.inputs)).logits.argmax(1).numpy()
        m = ufm.measure(
            output.features.double(), train.labels, classifier=run.model.classifier.weight.double(), num_minority=3
        )
        assert found["measures"] == m.to_dict()
        assert found["test_accuracy"]["minority"] == np.mean((predicted == test.labels)[test.labels >= 3])
        assert found["test_accuracy"]["overall"] == np.mean(predicted == test.labels)

    def test_files(self, finished):
        experiment, folder = finished
        assert sorted(p.name for p in folder.iterdir()) == [
            "checkpoint.pt",
            "config.json",
            "curves.svg",
            "metrics.jsonl",
            "result.json",
        ]
        again = load_run(folder)
        assert again == experiment
        assert json.loads((folder / "result.json").read_text())["final"] == experiment.records[-1]
        assert ExperimentConfig.from_dict(json.loads((folder / "config.json").read_text())) == SMALL
        titles = [axes.get_title() for axes in plot_curves(experiment).axes]
        assert [t.split(":")[0] for t in titles[:4]] == ["test accuracy", "NC1", "NC2", "NC3"]

    def test_a_finished_run_is_not_trained_again(self, finished):
        experiment, folder = finished
        before = (folder / "checkpoint.pt").stat().st_mtime_ns
        assert run_experiment(SMALL, folder) == experiment
        assert (folder / "checkpoint.pt").stat().st_mtime_ns == before

    def test_seeds(self):
        config = dataclasses.replace(SMALL, epochs=2)
        one, same, other = (run_experiment(dataclasses.replace(config, seed=seed)).records for seed in (0, 0, 1))
        without_times = [[{k: v for k, v in r.items() if k != "seconds"} for r in records] for records in (one, same)]
        assert without_times[0] == without_times[1]
        assert other[-1]["loss"] != one[-1]["loss"]

    def test_leaves_the_global_generator_and_threads(self):
        torch.manual_seed(5)
        expected, threads = torch.rand(3), torch.get_num_threads()
        torch.manual_seed(5)
        run_experiment(dataclasses.replace(SMALL, epochs=1))
        assert torch.equal(torch.rand(3), expected)
        assert torch.get_num_threads() == threads

    def test_cosine_schedule(self):
        run = _Run(dataclasses.replace(SMALL, epochs=4, learning_rate=0.8), torch.device("cpu"), None)
        steps = 4 * run.steps_an_epoch
        assert run.steps_an_epoch == 10  # 150 samples
        assert [run.learning_rate(s) for s in (0, steps // 2, steps)] == pytest.approx([0.8, 0.4, 0])

    def test_unconverged_fixed_points_are_recorded_without_a_warning(self):
        config = dataclasses.replace(SMALL, epochs=1, max_steps=1, tol=1e-6)
        with warnings.catch_warnings():
            warnings.simplefilter("error", ConvergenceWarning)
            found = run_experiment(config).records[-1]["fixed_point"]
        assert found["converged"] == 0
        assert found["residual"] > 1e-6

    def test_explicit_and_convolutional_models(self):
        explicit = run_experiment(dataclasses.replace(SMALL, model="explicit", options={}, epochs=1))
        assert explicit.records[-1]["fixed_point"] is None
        conv = dataclasses.replace(SMALL, model="conv-deq", options={"cell": "contractive"}, width=8, epochs=1)
        assert run_experiment(conv).records[-1]["measures"]["dim"] == 8

    def test_jacobian_penalty_keeps_fixed_points_within_reach(self):
        config = dataclasses.replace(
            SMALL,
            model="conv-deq",
            options={"cell": "residual"},
            width=8,
            majority_count=16,
            batch_size=8,
            epochs=6,
            evaluate_every=6,
            learning_rate=0.3,
        )
        free, kept = (run_experiment(dataclasses.replace(config, jacobian_weight=w)).records[-1] for w in (0.0, 3.0))
        free, kept = free["fixed_point"], kept["fixed_point"]
        assert kept["converged"] == 1
        # how many of the 60 converge without it hangs on last bits; that they take 18 steps or more, not 4, does not
        assert free["converged"] < 1
        assert free["steps"] > 3 * kept["steps"]

    @pytest.mark.usefixtures("plain_figure")
    def test_jacobian_penalty_is_drawn_alike_after_an_interruption(self, tmp_path):
        config = dataclasses.replace(SMALL, epochs=6, evaluate_every=2, jacobian_weight=0.5)
        run_experiment(config, tmp_path / "whole")

        def progress(text: str, done: float, total: float | None) -> None:
            if done > 3.5:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            run_experiment(config, tmp_path / "stopped", progress=progress)
        run_experiment(config, tmp_path / "stopped")
        assert_same_bits(tmp_path / "whole", tmp_path / "stopped")

    def test_diverged(self):
        with pytest.raises(DivergedError, match="in epoch 1: lower learning_rate"):
            run_experiment(dataclasses.replace(SMALL, model="explicit", options={}, learning_rate=1e30))

    def test_pooling_and_order_of_classes(self):
        config = dataclasses.replace(SMALL, pool=2, classes="shuffled", seed=3)
        train, test = experiment_data(config)
        assert train.shape == (1, 4, 4)
        assert train.classes == test.classes != tuple(range(6))
        raw = load_dataset("digits", counts=config.counts, classes=train.classes, seed=3, dtype=np.float32)
        pooled = raw.inputs.reshape(-1, 1, 4, 2, 4, 2).mean(axis=(3, 5))
        np.testing.assert_allclose(train.inputs, (pooled - pooled.mean()) / pooled.std(), atol=1e-5)
        with pytest.raises(ValueError, match=r"pool must divide the sides \(8, 8\)"):
            run_experiment(dataclasses.replace(SMALL, pool=3))


def record(accuracy: float = 1.0, nc1: float | None = 0.1, etf: float = 0.5, dual: float = 0.2) -> dict:
    measures = {"trace_quotient": nc1, "etf_error": etf, "self_duality_error": dual}
    return {"train_accuracy": {"overall": accuracy}, "measures": measures}


class TestEarlyStop:
    def test_criterion(self):
        assert is_terminal([record(), record(etf=0.509)], 1, 0.01)
        assert not is_terminal([record()], 1, 0.01)
        assert not is_terminal([record(accuracy=0.99), record()], 1, 0.01)
        assert is_terminal([record(accuracy=0.99), record(), record()], 1, 0.01)
        for change in ({"nc1": 0.12}, {"etf": 0.52}, {"dual": 0.22}, {"nc1": None}):
            assert not is_terminal([record(), record(**change)], 1, 0.01), change
        drifting = [record(etf=0.5 + 0.008 * i) for i in range(3)]
        assert is_terminal(drifting, 1, 0.01)
        assert not is_terminal(drifting, 2, 0.01)

    @pytest.mark.usefixtures("plain_figure")
    def test_run_stops(self, tmp_path):
        config = dataclasses.replace(SMALL, epochs=200, evaluate_every=1, patience=2, stop_tol=0.2, ratio=1)
        experiment = run_experiment(config, tmp_path)
        assert experiment.stopped == load_run(tmp_path).stopped == "terminal"
        assert experiment.records[-1]["epoch"] < 200
        assert is_terminal(list(experiment.records), 2, 0.2)
        assert not is_terminal(list(experiment.records[:-1]), 2, 0.2)


RUNNER = """
import json, sys
from ufm.deq import ExperimentConfig, run_experiment
run_experiment(ExperimentConfig.from_dict(json.loads(sys.argv[1])), sys.argv[2])
"""


@pytest.mark.slow
@pytest.mark.usefixtures("plain_figure")
def test_killed_and_resumed_ends_with_the_same_bits(tmp_path):
    config = dataclasses.replace(SMALL, model="explicit", options={}, epochs=30, evaluate_every=1)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    run_experiment(config, whole)
    rng, epochs = random.Random(20260102), []

    def epoch() -> int:
        path = killed / "metrics.jsonl"
        return len(path.read_text(encoding="utf-8").splitlines()) if path.exists() else 0

    kills = count(1, 3)
    for _ in range(10 * kills):  # on a busy machine a run may end before it is killed: another one is made then
        process = subprocess.Popen([sys.executable, "-c", RUNNER, json.dumps(config.to_dict()), str(killed)])
        # After a few more epochs, and then at any moment: in a step, in an evaluation, or while files are written.
        target, delay = epoch() + rng.randint(0 if epochs else 1, 3), rng.uniform(0, 0.15)
        while epoch() < target and process.poll() is None:
            time.sleep(0.002)
        time.sleep(delay)
        process.kill()
        assert process.wait(timeout=60) in (0, -signal.SIGKILL)
        if epoch() < config.epochs:
            epochs.append(epoch())
        else:
            epochs.clear()
            shutil.rmtree(killed)
        if len(epochs) == kills:
            break
    assert len(epochs) == kills, "the kills must hit a run that is under way"
    assert epochs[0] > 0
    run_experiment(config, killed)
    assert_same_bits(whole, killed)
    assert (killed / "result.json").exists()
    assert not list(killed.glob(".*")), "half-written files must be gone"


@pytest.mark.usefixtures("plain_figure")
@pytest.mark.parametrize("name", ["checkpoint.pt", "metrics.jsonl", "config.json", "result.json", "curves.svg"])
def test_what_a_killed_run_left_half_written_is_removed(tmp_path, name):
    config = dataclasses.replace(SMALL, model="explicit", options={}, epochs=1)
    left = tmp_path / f".{name}.0a1b2c3d.part"
    left.write_bytes(b"half")
    run_experiment(config, tmp_path)
    assert not left.exists()
    assert (tmp_path / "result.json").exists()


class TestInterruption:
    @pytest.mark.usefixtures("plain_figure")
    def test_ctrl_c_leaves_a_resumable_run(self, tmp_path, finished):
        def progress(text: str, done: float, total: float | None) -> None:
            if done > 7.5:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            run_experiment(SMALL, tmp_path / "run", progress=progress)
        partial = load_run(tmp_path / "run")
        assert partial.stopped is None
        assert [r["epoch"] for r in partial.records] == [1, 4]
        seen: list[float] = []
        run_experiment(SMALL, tmp_path / "run", progress=lambda text, done, total: seen.append(done))
        assert seen[0] == 4
        assert seen == sorted(seen)
        assert_same_bits(tmp_path / "run", finished[1])

    @pytest.mark.usefixtures("plain_figure")
    def test_forgetting_the_momentum_would_show(self, tmp_path, finished, monkeypatch):
        """The comparison of bits is a test: a resumption without the optimiser's state ends elsewhere."""

        def progress(text: str, done: float, total: float | None) -> None:
            if done > 7.5:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            run_experiment(SMALL, tmp_path / "run", progress=progress)
        monkeypatch.setattr(torch.optim.SGD, "load_state_dict", lambda self, state: None)
        run_experiment(SMALL, tmp_path / "run")
        with pytest.raises(AssertionError):
            assert_same_bits(tmp_path / "run", finished[1])


def hide_matplotlib(monkeypatch) -> None:
    for module in [m for m in sys.modules if m.startswith(("matplotlib", "ufm.trainings.plotting"))]:
        monkeypatch.delitem(sys.modules, module)
    for module in ("matplotlib", "matplotlib.figure"):
        monkeypatch.setitem(sys.modules, module, None)


class TestWithoutMatplotlib:
    """What a run needs at its end is looked for at its start."""

    CONFIG = dataclasses.replace(SMALL, model="explicit", options={}, epochs=2, evaluate_every=1)

    @pytest.fixture
    def no_matplotlib(self, monkeypatch):
        hide_matplotlib(monkeypatch)

    def test_is_said_before_the_training_and_the_run_is_whole(self, tmp_path, no_matplotlib):
        trained: list[float] = []

        def progress(text: str, done: float, total: float | None) -> None:
            assert [str(w.message) for w in caught]  # before the first step
            trained.append(done)

        with pytest.warns(UserWarning, match=r"curves\.svg will not be drawn.*pip install 'ufm\[plot\]'") as caught:
            found = run_experiment(self.CONFIG, tmp_path, progress=progress)
        assert trained
        assert found.stopped == load_run(tmp_path).stopped == "epochs"
        assert sorted(p.name for p in tmp_path.iterdir()) == [
            "checkpoint.pt",
            "config.json",
            "metrics.jsonl",
            "result.json",
        ]

    def test_the_figure_is_drawn_once_it_can_be(self, tmp_path, monkeypatch):
        with monkeypatch.context() as missing:
            hide_matplotlib(missing)
            with pytest.warns(UserWarning, match="will not be drawn"):
                run_experiment(self.CONFIG, tmp_path)
        run_experiment(self.CONFIG, tmp_path)
        assert (tmp_path / "curves.svg").exists()

    @pytest.mark.usefixtures("no_matplotlib")
    def test_nothing_is_said_where_nothing_is_kept(self):
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            run_experiment(dataclasses.replace(self.CONFIG, epochs=1))


class TestForeignFiles:
    def test_another_config(self, finished):
        with pytest.raises(ValueError, match=r"holds one with learning_rate 0.05 \(asked for: 0.1\)"):
            run_experiment(dataclasses.replace(SMALL, learning_rate=0.1), finished[1])

    @pytest.mark.parametrize("content", [b"", b"no checkpoint", b"PK\x03\x04 cut off"])
    def test_damaged_checkpoint(self, tmp_path, content):
        (tmp_path / "config.json").write_text(json.dumps(SMALL.to_dict()))
        (tmp_path / "checkpoint.pt").write_bytes(content)
        with pytest.raises(ValueError, match=r"checkpoint\.pt must be a checkpoint of this run"):
            run_experiment(SMALL, tmp_path)

    def test_checkpoint_of_another_run(self, tmp_path, finished):
        (tmp_path / "checkpoint.pt").write_bytes((finished[1] / "checkpoint.pt").read_bytes())
        with pytest.raises(ValueError, match=r"has no config\.json"):
            run_experiment(SMALL, tmp_path)
        other = dataclasses.replace(SMALL, seed=9)
        (tmp_path / "config.json").write_text(json.dumps(other.to_dict()))
        with pytest.raises(ValueError, match="it is of another config"):
            run_experiment(other, tmp_path)

    def test_no_code_is_run_from_a_checkpoint(self, tmp_path):
        class Malice:
            def __reduce__(self):
                return (os.mkdir, (str(tmp_path / "pwned"),))

        (tmp_path / "config.json").write_text(json.dumps(SMALL.to_dict()))
        torch.save({"format": Malice()}, tmp_path / "checkpoint.pt")
        with pytest.raises(ValueError, match="must be a checkpoint of this run"):
            run_experiment(SMALL, tmp_path)
        assert not (tmp_path / "pwned").exists()

    def test_missing_data_leaves_nothing(self, tmp_path):
        config = dataclasses.replace(SMALL, dataset="cifar10")
        with pytest.raises(DatasetNotFoundError, match="cifar10 was not found"):
            run_experiment(config, tmp_path / "run", root=tmp_path)
        assert not (tmp_path / "run").exists()

    def test_bad_config_file(self, tmp_path):
        (tmp_path / "config.json").write_text('{"momentum": 2}')
        with pytest.raises(ValueError, match="must hold the config of a run: momentum must be in"):
            load_run(tmp_path)
        with pytest.raises(FileNotFoundError):
            load_run(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"dataset": "mnist"}, ValueError, "dataset must be one of"),
        ({"model": "vgg"}, ValueError, "model must be one of"),
        ({"options": [1]}, TypeError, "options must be a dictionary"),
        ({"ratio": 0.5}, ValueError, "ratio must be >= 1"),
        ({"ratio": 5000}, ValueError, "ratio must leave each class an image"),
        ({"momentum": 1.0}, ValueError, r"momentum must be in \[0, 1\)"),
        ({"weight_decay": -1e-4}, ValueError, "weight_decay must be >= 0"),
        ({"learning_rate": 0}, ValueError, "learning_rate must be > 0"),
        ({"epochs": 0}, ValueError, "epochs must be an integer >= 1"),
        ({"patience": 0}, ValueError, "patience must be an integer >= 1"),
        ({"batch_size": 2.5}, ValueError, "batch_size must be an integer"),
        ({"jacobian_weight": -1}, ValueError, "jacobian_weight must be >= 0"),
        ({"model": "explicit", "jacobian_weight": 1}, ValueError, "jacobian_weight must be 0 for model 'explicit'"),
        ({"classes": "random"}, ValueError, "classes must be one of 'first', 'shuffled'"),
        ({"seed": -1}, ValueError, "seed must be an integer >= 0"),
        ({"imbalance": "exponential"}, ValueError, "imbalance must be one of 'step', 'long-tailed', got 'exponential'"),
        ({"imbalance": "long-tailed", "ratio": 1001}, ValueError, "ratio must leave each class an image"),
        (
            {"num_majority": 10, "num_minority": 10},
            ValueError,
            "at most 10, the classes of 'fashion-mnist', got 10 [+] 10",
        ),
        (
            {"dataset": "cifar100", "num_majority": 100},
            ValueError,
            "at most 100, the classes of 'cifar100', got 100 [+] 5",
        ),
        ({"options": {"foo": 1}}, ValueError, "foo must not be given for 'conv-deq': its options are .*; got 1"),
        ({"options": {"width": 3}}, ValueError, "options must not hold 'width', a field of its own, got 3"),
        ({"options": {"tol": 1e-3}}, ValueError, "options must not hold 'tol', a field of its own, got 0.001"),
        ({"options": {"seed": 3}}, ValueError, "options must not hold 'seed'"),
        ({"options": {"dtype": "float64"}}, ValueError, "dtype must not be given for 'conv-deq'"),
        ({"options": {"rho": 0.5}}, ValueError, "rho must not be given with cell = 'residual'"),
        ({"options": {"cell": "contractive", "rho": 1}}, ValueError, r"rho must lie in \[0, 1\), got 1"),
        ({"options": {"solver": "newton"}}, ValueError, "solver must be one of .*got 'newton'"),
        (
            {"options": {"blocks": np.int64(2)}},
            TypeError,
            "options must hold numbers and strings of Python, got .*int64",
        ),
    ],
)
def test_bad_config(fields, error, message):
    with pytest.raises(error, match=message):
        ExperimentConfig(**fields)


def test_a_batch_of_one_image_is_refused_by_name_where_batch_norms_cannot_take_it():
    fields = {"num_majority": 2, "num_minority": 1, "majority_count": 1, "ratio": 1, "epochs": 1, "width": 2}
    config = ExperimentConfig("digits", "resnet18", batch_size=2, device="cpu", **fields)  # three images: 2 and 1
    with pytest.raises(ValueError, match="batch_size must leave every batch two images or more for model 'resnet18'"):
        run_experiment(config)


def test_bad_arguments():
    with pytest.raises(TypeError, match="config must be a"):
        run_experiment({"epochs": 3})
    with pytest.raises(ValueError, match="an experiment has no field 'colour'"):
        ExperimentConfig.from_dict({"colour": 1})
    with pytest.raises(ValueError, match="experiment must hold at least one record"):
        plot_curves(Experiment(SMALL, (), None))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"majority_count": 200},
            r"majority_count must .* the train split of digits has, 142 of class 0, got 200, .* 200",
        ),
        # of 142 to 145 images, here the class with the fewest is of the minority
        (
            {"majority_count": 142, "ratio": 1, "num_majority": 3, "num_minority": 7},
            r"majority_count must .* has, 141 of class 2, got 142, which asks for 142 of it",
        ),
        (
            {"test_count": 38},
            r"test_count must .* the test split of digits has, 36 of class 0, got 38, which asks for 38",
        ),
    ],
)
def test_too_few_images(tmp_path, fields, message):
    with pytest.raises(ValueError, match=message):
        run_experiment(dataclasses.replace(SMALL, **fields), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_too_few_images_of_a_shuffled_class():
    """The class that is short of images is the one the draw puts in that place."""
    config = dataclasses.replace(SMALL, classes="shuffled", seed=3, num_majority=1, majority_count=200)
    order = experiment_data(dataclasses.replace(config, majority_count=40))[0].classes
    assert order[0] != 0
    with pytest.raises(ValueError, match=rf"of class {order[0]}, got 200"):
        experiment_data(config)


class TestLongTailed:
    CONFIG = dataclasses.replace(
        SMALL, imbalance="long-tailed", ratio=16, majority_count=80, epochs=2, evaluate_every=1
    )

    def test_counts_fall_geometrically(self):
        assert self.CONFIG.counts == long_tailed_counts(6, 80, 16) == (80, 46, 26, 15, 9, 5)
        assert dataclasses.replace(self.CONFIG, imbalance="step").counts == (80, 80, 80, 5, 5, 5)
        assert dataclasses.replace(self.CONFIG, ratio=1).counts == (80,) * 6

    @pytest.mark.usefixtures("plain_figure")
    def test_run(self, tmp_path):
        found = run_experiment(self.CONFIG, tmp_path)
        last = found.records[-1]
        assert last["measures"]["counts"] == list(self.CONFIG.counts)
        assert last["measures"]["groups"] == [[0, 1, 2], [3, 4, 5]]
        accuracy = last["train_accuracy"]
        assert accuracy["overall"] == pytest.approx((152 * accuracy["majority"] + 29 * accuracy["minority"]) / 181)
        assert experiment_data(self.CONFIG)[0].counts == self.CONFIG.counts
        assert load_run(tmp_path) == found
        assert json.loads((tmp_path / "config.json").read_text())["imbalance"] == "long-tailed"
        assert ExperimentConfig.from_dict(found.to_dict()["config"]) == self.CONFIG
        with pytest.raises(ValueError, match=r"holds one with imbalance 'long-tailed' \(asked for: 'step'\)"):
            run_experiment(dataclasses.replace(self.CONFIG, imbalance="step"), tmp_path)

    @pytest.mark.usefixtures("plain_figure")
    def test_command_line(self, tmp_path):
        arguments = ["--majority", "3", "--minority", "3", "--majority-count", "80", "--ratio", "16", "--epochs", "1"]
        arguments += ["--dataset", "digits", "--model", "deq", "--width", "8", "--test-count", "5", "--device", "cpu"]
        arguments += ["--imbalance", "long-tailed", "--jacobian-weight", "0.25", "--run", str(tmp_path), "--json"]
        result = CliRunner().invoke(app, ["deq", "train", *arguments])
        assert result.exit_code == 0, result.output
        found = json.loads(result.stdout)
        assert found["counts"] == list(self.CONFIG.counts)
        assert found["config"]["imbalance"] == "long-tailed"
        assert found["config"]["jacobian_weight"] == 0.25


class TestFilesOfBeforeTheImbalance:
    """Config files, checkpoints and stored points written without the field are those of step priors."""

    def test_step_priors_are_kept_as_before(self):
        kept = SMALL.to_dict()
        assert "imbalance" not in kept
        assert set(kept) == {f.name for f in dataclasses.fields(SMALL)} - {"imbalance"}
        assert ExperimentConfig.from_dict(kept) == SMALL

    def test_configs_of_stored_results_load(self):
        files = sorted((Path(__file__).resolve().parents[2] / "results").glob("*/*/config.json"))
        assert len(files) >= 2
        for file in files:
            config = ExperimentConfig.from_file(file)
            assert config.imbalance == "step"
            assert json.loads(file.read_text()).items() <= config.to_dict().items()

    @pytest.mark.usefixtures("plain_figure")
    def test_a_checkpoint_goes_on(self, tmp_path, finished):
        """What a run of before left, as it was after epoch 4."""

        def progress(text: str, done: float, total: float | None) -> None:
            if done > 7.5:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            run_experiment(SMALL, tmp_path, progress=progress)
        state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
        assert (state["version"], "imbalance" in state["config"]) == (1, False)
        run_experiment(SMALL, tmp_path)
        assert_same_bits(tmp_path, finished[1])
        # and one whose config states the default
        state["config"]["imbalance"] = "step"
        torch.save(state, tmp_path / "checkpoint.pt")
        (tmp_path / "config.json").write_text(json.dumps({**SMALL.to_dict(), "imbalance": "step"}))
        run_experiment(SMALL, tmp_path)
        assert_same_bits(tmp_path, finished[1])


def test_batches_of_an_epoch_depend_on_seed_and_epoch_alone():
    """Every sample once an epoch, in another order in every epoch and with every seed."""
    orders = {}
    for seed, epoch in itertools.product((0, 1), (0, 1)):
        run = _Run(dataclasses.replace(SMALL, model="explicit", options={}, seed=seed), torch.device("cpu"), None)
        run.epoch = epoch
        seen: list[torch.Tensor] = []
        run.inputs = torch.arange(len(run.labels), dtype=torch.float32)[:, None].expand(-1, 64).contiguous()
        run.model.register_forward_pre_hook(lambda module, args, seen=seen: seen.append(args[0][:, 0].clone()))
        run.train_epoch(None)
        order = torch.cat(seen).tolist()
        assert sorted(order) == list(range(150))
        orders[seed, epoch] = tuple(order)
    assert len(set(orders.values())) == 4


class TestDamagedRun:
    @pytest.fixture
    def copy(self, tmp_path, finished):
        shutil.copytree(finished[1], tmp_path / "copy")
        return tmp_path / "copy"

    @pytest.mark.parametrize(
        ("name", "content", "message"),
        [
            ("metrics.jsonl", '{"epoch": 1}\n{"epo', "in every line, line 2 does not"),
            ("metrics.jsonl", '{"epoch": 1}\n7\n', "in every line, line 2 does not: got '7'"),
            ("metrics.jsonl", b"\xff\xfe", "in every line, line 1 does not"),
            ("result.json", "{", "must hold the result of a run"),
            ("result.json", "[]", "must hold the result of a run"),
            ("result.json", "{}", "must hold the result of a run: KeyError"),
            ("config.json", "[1]", "must hold the config of a run"),
            ("config.json", "", "must hold the config of a run"),
        ],
    )
    def test_the_file_is_named(self, copy, name, content, message):
        (copy / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        with pytest.raises(ValueError, match=message) as caught:
            load_run(copy)
        assert str(copy / name) in str(caught.value)

    def test_the_command_goes_on_from_the_checkpoint(self, copy, finished):
        (copy / "metrics.jsonl").write_text('{"epo')
        (copy / "result.json").write_text("{")
        result = CliRunner().invoke(app, ["deq", "train", "--run", str(copy)])
        assert result.exit_code == 0, result.output
        assert load_run(copy) == finished[0]
        assert_same_bits(copy, finished[1])

    def test_the_command_names_a_damaged_config(self, copy):
        (copy / "config.json").write_text("{")
        result = CliRunner().invoke(app, ["deq", "train", "--run", str(copy)])
        assert result.exit_code == 2
        assert f"{copy / 'config.json'} must hold the config of a run" in result.stderr


class TestCommandLine:
    ARGUMENTS = ("--dataset", "digits", "--model", "deq", "--model-options", '{"rho": 0.7}', "--width", "32")
    ARGUMENTS += ("--majority", "3", "--minority", "3", "--majority-count", "40", "--ratio", "4", "--test-count", "20")
    ARGUMENTS += ("--epochs", "8", "--batch-size", "16", "--evaluate-every", "4", "--device", "cpu")

    def run(self, *arguments):
        return CliRunner().invoke(app, ["deq", "train", *map(str, arguments)])

    @pytest.mark.usefixtures("plain_figure")
    def test_run_and_resume(self, tmp_path, finished):
        result = self.run("--run", tmp_path / "run", *self.ARGUMENTS, "--json")
        assert result.exit_code == 0, result.output
        found = json.loads(result.stdout)
        jsonschema.validate(found, output_schema("deq train --run"))
        assert found["config"] == SMALL.to_dict()
        assert_same_bits(tmp_path / "run", finished[1])
        again = self.run("--run", tmp_path / "run")
        assert again.exit_code == 0
        assert "minority cosine" in again.stdout
        assert json.loads(self.run("--run", tmp_path / "run", "--json").stdout) == found

    def test_ctrl_c_says_how_to_go_on(self, tmp_path, monkeypatch):
        def interrupted(*args, **options):
            raise KeyboardInterrupt

        monkeypatch.setattr("ufm.deq.run_experiment", interrupted, raising=False)
        result = self.run("--run", tmp_path / "run", *self.ARGUMENTS)
        assert result.exit_code == 130
        assert f"go on with: ufm deq train --run {tmp_path / 'run'}" in result.stderr

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("--ratio", "4"), "--ratio plays a role with --run only"),
            (("--run", "x", "--gamma", "0.5"), "--gamma plays no role with --run"),
            (("--run", "x", "--save", "y"), "--save plays no role with --run"),
            (("--run", "x", "--model-options", "rho"), "--model-options must be JSON, got 'rho'"),
            (("--run", "x", "--model", "vgg"), "model must be one of"),
        ],
    )
    def test_wrong_usage(self, tmp_path, monkeypatch, arguments, message):
        monkeypatch.chdir(tmp_path)
        result = self.run(*arguments)
        assert result.exit_code == 2
        assert message in result.stderr
        assert not (tmp_path / "x" / "config.json").exists()
