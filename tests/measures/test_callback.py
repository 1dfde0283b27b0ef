"""Measures over the epochs of a training: the recorder and, where Lightning is installed, its callback."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from ufm.measures import EpochRecorder, lightning_callback, measure_model


@pytest.fixture
def loader() -> DataLoader[Any]:
    torch.manual_seed(0)
    labels = torch.arange(12) % 3
    return DataLoader(TensorDataset(torch.randn(12, 4) + labels[:, None], labels), batch_size=5, shuffle=True)


class Network(torch.nn.Sequential):
    """Two layers, which log as a LightningModule does."""

    def __init__(self) -> None:
        super().__init__(torch.nn.Linear(4, 5), torch.nn.ReLU(), torch.nn.Linear(5, 3))
        self.logged: dict[str, float] = {}

    def log(self, name: str, value: float, *, rank_zero_only: bool) -> None:
        assert rank_zero_only
        self.logged[name] = value


def epoch(number: int, **more: Any) -> SimpleNamespace:
    return SimpleNamespace(current_epoch=number, **more)


def test_it_records_and_logs_what_measure_model_finds(loader):
    recorder, network = EpochRecorder(loader, every=2), Network()
    for number in range(5):
        recorder.on_train_epoch_end(epoch(number), network)
    assert recorder.history.epochs == [1, 3]
    found = measure_model(network, loader)
    assert recorder.history.series("nc1") == pytest.approx([found.nc1] * 2)
    assert network.logged["nc/etf_error"] == pytest.approx(found.etf_error)
    assert set(network.logged) == {"nc/nc1", "nc/etf_error", "nc/self_duality_error", "nc/nc4"}


def test_the_training_draws_the_same_random_numbers_and_stays_in_its_mode(loader):
    recorder, network = EpochRecorder(loader), Network()
    network.train()
    before = torch.random.get_rng_state()
    recorder.on_train_epoch_end(epoch(0), network)
    assert torch.equal(before, torch.random.get_rng_state())
    assert network.training


def test_one_of_several_processes_measures(loader):
    recorder = EpochRecorder(loader)
    recorder.on_train_epoch_end(epoch(0, is_global_zero=False), Network())
    assert recorder.history.epochs == []


def test_a_checkpoint_keeps_the_history(loader):
    recorder, again = EpochRecorder(loader), EpochRecorder(loader)
    recorder.on_train_epoch_end(epoch(0), Network())
    again.load_state_dict(recorder.state_dict())
    again.on_train_epoch_end(epoch(1), Network())
    assert again.history.epochs == [0, 1]
    assert recorder.history.epochs == [0]


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"every": 0}, ValueError, "every must be an integer >= 1, got 0"),
        ({"log": ["loss"]}, ValueError, r"log must hold names among nc1, .*, got \['loss'\]"),
        ({"log": "nc1"}, ValueError, "log must hold names"),
        ({"log": ["phase"]}, ValueError, "log must hold names"),
        ({"layers": ["0"]}, ValueError, "layers plays no role"),
        ({"labels": "regression"}, ValueError, "labels must be 'classes' in a history, got 'regression'"),
        ({"loader": 3}, TypeError, "loader must be an iterable that can be gone through again, got int"),
    ],
)
def test_a_mistake_is_told_at_once(given, error, message):
    with pytest.raises(error, match=message):
        lightning_callback(**{"loader": [], **given})


def test_without_lightning_the_error_says_what_to_install(monkeypatch):
    for name in ("lightning", "lightning.pytorch", "pytorch_lightning"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match="this needs lightning: pip install lightning"):
        lightning_callback([])


def test_it_is_a_callback_of_the_package_that_is_there(monkeypatch, loader):
    class Callback:
        """Stands in for Lightning's."""

        def on_train_start(self) -> str:
            return "theirs"

        def state_dict(self) -> dict[str, Any]:
            return {}

    monkeypatch.setitem(sys.modules, "lightning", None)
    monkeypatch.setitem(sys.modules, "pytorch_lightning", SimpleNamespace(Callback=Callback))
    callback = lightning_callback(loader)
    assert isinstance(callback, Callback)
    assert callback.on_train_start() == "theirs"
    assert "rows" in callback.state_dict()


@pytest.mark.slow
def test_in_a_training_with_lightning(loader, tmp_path):
    lightning = pytest.importorskip("lightning.pytorch")

    class Module(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(1)
            self.network = torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.ReLU(), torch.nn.Linear(5, 3))

        def forward(self, x: Any) -> Any:
            return self.network(x)

        def training_step(self, batch: Any, index: int) -> Any:
            return torch.nn.functional.cross_entropy(self(batch[0]), batch[1])

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.1)

    def trained(epochs: int, *callbacks: Any, checkpoint: Any = None) -> tuple[Any, Any]:
        quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
        trainer = lightning.Trainer(max_epochs=epochs, callbacks=list(callbacks), default_root_dir=tmp_path, **quiet)
        module = Module()
        torch.manual_seed(2)
        trainer.fit(module, loader, ckpt_path=checkpoint)
        return trainer, module

    callback = lightning_callback(loader)
    trainer, module = trained(2, callback)
    assert callback.history.epochs == [0, 1]
    assert float(trainer.callback_metrics["nc/nc1"]) == pytest.approx(callback.history.series("nc1")[-1])
    _, plain = trained(2)
    for a, b in zip(module.parameters(), plain.parameters(), strict=True):
        assert torch.equal(a, b)
    trainer.save_checkpoint(tmp_path / "two.ckpt")
    resumed = lightning_callback(loader)
    trained(3, resumed, checkpoint=tmp_path / "two.ckpt")
    assert resumed.history.epochs == [0, 1, 2]
