"""A data set is its loader, registered, and every function that takes a name knows it: one row is built here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ufm.data import (
    DATASETS,
    NUM_CLASSES,
    DatasetFormatError,
    Raw,
    available_counts,
    dataset_table,
    load_dataset,
    register_dataset,
    unregister_dataset,
)
from ufm.deq import ExperimentConfig, TrainingConfig, run_experiment, train

#: All that adding a data set takes: this, in a module of ufm.data.sources or anywhere.
STRIPES = """
import numpy as np
from ufm.data import Raw, register_dataset

@register_dataset(
    "stripes",
    num_classes=4,
    what="stripes of 4 widths, 1 x 6 x 6",
    where="drawn here",
    is_bundled=True,
    fitted_split="train",
)
def load(split, root):
    rng = np.random.default_rng({"train": 0, "test": 1}[split])
    labels = np.arange(40) % 4
    images = (np.arange(6)[:, None] // (labels[:, None, None] + 1)) % 2 + 0.3 * rng.standard_normal((40, 6, 6))
    return Raw(images[:, None], labels)
"""


@pytest.fixture
def stripes():
    exec(STRIPES, {"__name__": "stripes"})
    yield
    unregister_dataset("stripes")


class TestOneRow:
    def test_is_drawn_from(self, stripes):
        data = load_dataset("stripes", counts=[5, 3, 2], seed=1)
        assert (data.counts, data.shape, data.name) == ((5, 3, 2), (1, 6, 6), "stripes")
        assert available_counts("stripes", split="all") == (20,) * 4
        assert NUM_CLASSES["stripes"] == 4
        with pytest.raises(ValueError, match=r"counts\[1\] .* the train split of stripes has 10 images of 1"):
            load_dataset("stripes", counts=[5, 11])

    def test_is_trained_on(self, stripes):
        config = TrainingConfig(
            dataset="stripes",
            architecture="explicit",
            num_majority=2,
            num_minority=2,
            majority_count=6,
            minority_count=5,
            lambda_W=0.05,
            lambda_H=0.05,
            dim=4,
            device="cpu",
        )
        result = train(config)
        assert result.scale == pytest.approx(result.prediction.scale, rel=1e-3)
        with pytest.raises(
            ValueError, match=r"majority_count .* between 1 and 10, got 11; images of the scarcest .*stripes"
        ):
            TrainingConfig(dataset="stripes", num_majority=2, num_minority=2, majority_count=11)
        with pytest.raises(ValueError, match=r"num_minority .* between 2 and 2, got 3; there are 4 classes"):
            TrainingConfig(dataset="stripes", num_majority=2, num_minority=3, majority_count=5)

    def test_is_run_on(self, stripes):
        config = ExperimentConfig(
            dataset="stripes",
            model="explicit",
            num_majority=2,
            num_minority=2,
            majority_count=8,
            ratio=2,
            epochs=1,
            device="cpu",
        )
        assert run_experiment(config).records[-1]["measures"]["counts"] == [8, 8, 4, 4]

    def test_is_named_wherever_names_are(self, stripes):
        assert "| `stripes` | stripes of 4 widths, 1 x 6 x 6 | drawn here | train |" in dataset_table()
        for wrong in (
            lambda: load_dataset("bogus"),
            lambda: TrainingConfig(dataset="bogus"),
            lambda: ExperimentConfig(dataset="bogus"),
        ):
            with pytest.raises(ValueError, match=r"must be one of .*'stripes'.* got 'bogus'"):
                wrong()

    def test_is_forgotten(self, stripes):
        unregister_dataset("stripes")
        assert "stripes" not in DATASETS
        assert "stripes" not in dataset_table()
        exec(STRIPES, {"__name__": "stripes"})  # for the fixture to take away

    def test_a_module_among_the_sources_is_found(self, tmp_path):
        """Nothing else is edited: the package's folder is searched."""
        (tmp_path / "stripes.py").write_text(STRIPES, encoding="utf-8")
        code = (
            "import json, sys, ufm.data.sources as s; s.__path__.append(sys.argv[1]); from ufm.data import DATASETS, "
            "load_dataset; print(json.dumps([list(DATASETS), list(load_dataset('stripes').counts)]))"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True, env=os.environ
        )
        names, counts = json.loads(done.stdout)
        assert names == [*sorted(["digits", "stripes"]), "cifar10", "cifar100", "fashion-mnist", "mnist1d"]
        assert counts == [10] * 4


def test_every_source_is_registered_and_has_words():
    modules = {p.stem for p in Path(str(sys.modules["ufm.data"].__file__)).with_name("sources").glob("[a-z]*.py")}
    assert modules == {source.load.__module__.rpartition(".")[2] for source in DATASETS.values()}
    for name, source in DATASETS.items():
        assert source.name == name
        assert source.what
        assert source.where


def test_asking_for_names_loads_nothing_heavy():
    code = "from ufm.data import DATASETS, dataset_table; dataset_table(); import sys; print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    bare = subprocess.run(
        [sys.executable, "-c", "import ufm, sys; print('numpy' in sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == bare.stdout


IMAGES, LABELS = np.zeros((4, 1, 2, 2)), np.array([0, 1, 0, 1])


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (Raw(IMAGES[:3], LABELS), r"the loader of 'wrong' must give images \(N, C, ...\) and labels \(N,\)"),
        (Raw(IMAGES.reshape(4, 4), LABELS), r"must give images \(N, C, ...\)"),
        (Raw(IMAGES, LABELS + 1), r"must give integer labels 0..1, each at least once, got \[1, 2\]"),
        (Raw(IMAGES, 0 * LABELS), r"must give integer labels 0..1, each at least once, got \[0\]"),
        (Raw(IMAGES, LABELS / 1), r"must give integer labels 0..1, .* of float64"),
    ],
)
def test_a_loader_is_told_what_is_wrong_with_what_it_gives(raw, message):
    register_dataset("wrong", num_classes=2, what="", where="")(lambda split, root: raw)
    try:
        with pytest.raises(DatasetFormatError, match=message):
            load_dataset("wrong")
    finally:
        unregister_dataset("wrong")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"name": ""}, ValueError, "name must not be empty, got ''"),
        ({"name": 3}, TypeError, "name must be a string, got 3"),
        ({"name": "digits"}, ValueError, "name must be new, got 'digits', which ufm.data.sources.digits.load has"),
        ({"num_classes": 1}, ValueError, "num_classes must be an integer >= 2, got 1"),
        ({"what": 3}, TypeError, "what must be a string, got 3"),
        ({"fitted_split": "valid"}, ValueError, "fitted_split must be one of 'train', 'test', 'all', got 'valid'"),
        ({"default_generation_seed": 0}, TypeError, r"must be a function load\(split, root, generation_seed\)"),
    ],
)
def test_bad_registration(arguments, error, message):
    known = dict(DATASETS)
    with pytest.raises(error, match=message):
        register_dataset(**{"name": "new", "num_classes": 2, "what": "", "where": "", **arguments})(
            lambda split, root: None
        )
    assert dict(DATASETS) == known
    with pytest.raises(ValueError, match="name must be one of"):
        unregister_dataset("new")
