"""Training as papers do it: minibatch SGD with momentum, weight decay on all weights and a cosine schedule.

A run lives in a directory: ``config.json``, ``checkpoint.pt`` (weights, momentum, generators, epoch, metrics),
``metrics.jsonl`` (one line an evaluated epoch), ``curves.svg`` and, once it is over, ``result.json``. Every file is
replaced atomically, so a run that was killed at any moment goes on from its last checkpoint when :func:`run_experiment`
is called again, and on a CPU ends with the same bits as one that was not.

The theory's objective penalises features, not all weights: for trainings that it predicts see
:mod:`ufm.trainings.training`.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from ufm._extras import MissingExtraError, optional
from ufm._files import check_archive, remove_unfinished, replacing, sealed, write_atomically, write_figure
from ufm.data import Dataset
from ufm.deq.jacobian import jacobian_penalty
from ufm.deq.layer import ConvergenceWarning
from ufm.measures import measure
from ufm.networks.models import build_model
from ufm.trainings.errors import DivergedError
from ufm.trainings.experiment_config import ExperimentConfig
from ufm.trainings.experiment_record import FORMAT, VERSION, Experiment, is_terminal, load_run
from ufm.trainings.run_data import experiment_data
from ufm.trainings.running import Progress, device_named, threads

with optional("deq"):
    import torch
    from torch import Tensor, nn

__all__ = [
    "DivergedError",
    "Experiment",
    "ExperimentConfig",
    "experiment_data",
    "is_terminal",
    "load_run",
    "run_experiment",
]

#: Samples of a forward pass without gradients.
EVALUATION_BATCH = 512


def run_experiment(
    config: ExperimentConfig,
    directory: str | os.PathLike[str] | None = None,
    *,
    root: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> Experiment:
    """Train, or go on with a run that was interrupted or killed.

    Args:
        config: what to train.
        directory: of the run; made if it does not exist. None: nothing is kept.
        root: folder of the data set's files, see :func:`ufm.data.load_dataset`.
        progress: called as ``progress(description, epochs done, epochs)``.

    Returns:
        The finished run.

    Warns:
        UserWarning: before the training, where matplotlib is missing: the run has no ``curves.svg`` then, and calling
            again once it is there draws it.

    Raises:
        DivergedError: the loss became infinite or no number.
        KeyboardInterrupt: Ctrl-C; the run is at its last checkpoint.
        ValueError: ``directory`` holds the run of another config, or a file that is not what it should be; or a batch
            of one image that the model's batch norms cannot take.

    >>> small = {"num_majority": 2, "num_minority": 2, "majority_count": 6, "ratio": 2, "test_count": 5}
    >>> config = ExperimentConfig("digits", "explicit", width=8, epochs=1, device="cpu", **small)
    >>> run_experiment(config).stopped
    'epochs'
    """
    if not isinstance(config, ExperimentConfig):
        raise TypeError(f"config must be a ufm.deq.ExperimentConfig, got {config!r}")
    folder = None if directory is None else Path(directory)
    draws = folder is not None and _can_draw()
    device = device_named(config.device)
    with threads(config.threads), torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(config.seed)
        run = _Run(config, device, root)
        if folder is not None:
            _claim(folder, config)  # only now: without data there is no run
        if folder is not None and (folder / "checkpoint.pt").exists():
            run.restore(folder / "checkpoint.pt")
            run.publish(folder)
        while run.stopped is None:
            run.train_epoch(progress)
            if run.evaluation_is_due:
                run.evaluate()
                if folder is not None:
                    run.save(folder / "checkpoint.pt")
                    run.publish(folder)
    experiment = Experiment(config, tuple(run.records), run.stopped, run.model)
    if folder is not None:
        text = json.dumps(sealed(experiment.to_dict()), indent=1, allow_nan=False) + "\n"
        write_atomically(folder / "result.json", text)
        if draws:
            from ufm.trainings.plotting import plot_curves

            write_figure(plot_curves(experiment), folder / "curves.svg")
    if progress is not None:
        progress("done", config.epochs, config.epochs)
    return experiment


class _Run:
    """State of a training: all that a checkpoint holds, and what follows from the config."""

    def __init__(self, config: ExperimentConfig, device: torch.device, root: str | os.PathLike[str] | None) -> None:
        self.config, self.device = config, device
        train, test = experiment_data(config, root)
        self.inputs, self.labels = _tensors(train, device)
        self.test_inputs, self.test_labels = _tensors(test, device)
        self.model: nn.Module = build_model(
            config.model,
            train.shape,
            train.num_classes,
            width=config.width,
            tol=config.tol,
            max_steps=config.max_steps,
            seed=config.seed,
            dtype=torch.float32,
            **config.options,
        ).to(device)
        self.optimiser = torch.optim.SGD(
            self.model.parameters(),
            lr=config.learning_rate,
            momentum=config.momentum,
            weight_decay=config.weight_decay,
        )
        self.steps_an_epoch = math.ceil(train.num_samples / config.batch_size)
        self.epoch = 0
        self.loss = math.nan
        self.seconds = 0.0
        self.records: list[dict[str, Any]] = []
        self.stopped: str | None = None

    @property
    def evaluation_is_due(self) -> bool:
        return self.epoch in (1, self.config.epochs) or self.epoch % self.config.evaluate_every == 0

    def learning_rate(self, step: int) -> float:
        total = self.steps_an_epoch * self.config.epochs
        return self.config.learning_rate / 2 * (1 + math.cos(math.pi * step / total))

    def train_epoch(self, progress: Progress | None) -> None:
        """One pass over the training set. Its order depends on seed and epoch alone."""
        start = time.perf_counter()
        generator = torch.Generator().manual_seed(
            int(np.random.SeedSequence([self.config.seed, self.epoch]).generate_state(1, np.uint64)[0]) >> 1
        )
        order = torch.randperm(len(self.labels), generator=generator).to(self.device)
        self.model.train()
        total = 0.0
        for i, rows in enumerate(torch.tensor_split(order, self.steps_an_epoch)):
            if progress is not None:
                progress(self._description(), self.epoch + i / self.steps_an_epoch, self.config.epochs)
            for group in self.optimiser.param_groups:
                group["lr"] = self.learning_rate(self.epoch * self.steps_an_epoch + i)
            self.optimiser.zero_grad(set_to_none=True)
            with _unconverged_is_recorded():
                output = self._output(rows)
                loss = risk = nn.functional.cross_entropy(output.logits, self.labels[rows])
                if self.config.jacobian_weight:
                    loss = risk + self.config.jacobian_weight * jacobian_penalty(*output.equilibrium)
                loss.backward()
            self.optimiser.step()
            total += float(risk.detach()) * len(rows)
        self.epoch += 1
        self.loss = total / len(self.labels)
        self.seconds += time.perf_counter() - start
        if not math.isfinite(self.loss):
            raise DivergedError(
                f"the loss is {self.loss} in epoch {self.epoch}: lower learning_rate = {self.config.learning_rate:g}"
            )

    def _output(self, rows: Tensor) -> Any:
        """The model's output for a batch; a ValueError that names the setting where a batch norm has one number."""
        try:
            return self.model(self.inputs[rows])
        except ValueError as error:
            if len(rows) > 1:
                raise
            raise ValueError(
                f"batch_size must leave every batch two images or more for model {self.config.model!r}, whose batch "
                f"norms cannot take one, got {self.config.batch_size} for {len(self.labels)} images: {error}"
            ) from None

    def evaluate(self) -> None:
        """Metrics of the present weights on both sets; decides whether the run is over."""
        start = time.perf_counter()
        config = self.config
        features, predicted, fixed_point = self._forward(self.inputs)
        classifier: nn.Linear = self.model.classifier  # type: ignore[assignment]
        batches = list(zip(features.split(4096), self.labels.cpu().split(4096), strict=True))
        bias = None if classifier.bias is None else classifier.bias.detach().cpu().double().numpy()
        measures = measure(
            [(x.double().numpy(), y.numpy()) for x, y in batches],
            classifier=classifier.weight.detach().cpu().double().numpy(),
            bias=bias,
            num_classes=len(config.counts),
            num_minority=config.num_minority,
        ).to_dict()
        test_predicted = self._forward(self.test_inputs)[1]
        self.seconds += time.perf_counter() - start
        self.records.append(
            {
                "epoch": self.epoch,
                "learning_rate": self.learning_rate(self.epoch * self.steps_an_epoch),
                "loss": self.loss,
                "train_accuracy": self._accuracy(predicted, self.labels),
                "test_accuracy": self._accuracy(test_predicted, self.test_labels),
                "measures": measures,
                "fixed_point": fixed_point,
                "seconds": self.seconds,
            }
        )
        if self.epoch == config.epochs:
            self.stopped = "epochs"
        elif config.patience is not None and is_terminal(self.records, config.patience, config.stop_tol):
            self.stopped = "terminal"

    def _forward(self, inputs: Tensor) -> tuple[Tensor, Tensor, dict[str, float] | None]:
        """Features (on the CPU), predicted classes, and the work of the fixed-point solver."""
        self.model.eval()
        features, predicted, solves = [], [], []
        with torch.no_grad(), _unconverged_is_recorded():
            for batch in inputs.split(EVALUATION_BATCH):
                output = self.model(batch)
                features.append(output.features.flatten(1).cpu())
                predicted.append(output.logits.argmax(dim=1))
                if output.info is not None:
                    info = output.info
                    solves.append(torch.stack([info.steps.double(), info.residuals.double(), info.converged.double()]))
        fixed_point = None
        if solves:
            steps, residual, converged = torch.cat(solves, dim=1).mean(dim=1).tolist()
            fixed_point = {"steps": steps, "residual": residual, "converged": converged}
        return torch.cat(features), torch.cat(predicted), fixed_point

    def _accuracy(self, predicted: Tensor, labels: Tensor) -> dict[str, float]:
        right, minority = (predicted == labels).double(), labels >= self.config.num_majority
        return {
            "overall": float(right.mean()),
            "majority": float(right[~minority].mean()),
            "minority": float(right[minority].mean()),
        }

    def _description(self) -> str:
        if not self.records:
            return self.config.model
        accuracy = self.records[-1]["test_accuracy"]
        return f"{self.config.model}, test accuracy {accuracy['overall']:.3f} (minority {accuracy['minority']:.3f})"

    # Files ----------------------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "version": VERSION,
            "config": self.config.to_dict(),
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "generator": torch.get_rng_state(),
            "cuda_generator": torch.cuda.get_rng_state(self.device) if self.device.type == "cuda" else None,
            "epoch": self.epoch,
            "seconds": self.seconds,
            "stopped": self.stopped,
            "records": json.dumps(self.records, allow_nan=False),
        }

    def save(self, path: Path) -> None:
        """Write a checkpoint: whole or not at all, and on the disk when this returns."""
        with replacing(path) as stream:
            torch.save(self.state(), stream)

    def restore(self, path: Path) -> None:
        """Take over a checkpoint; ValueError naming the file where it is none of this run."""
        try:
            check_archive(path)
            state = torch.load(path, map_location=self.device, weights_only=True)
            if (state["format"], state["version"]) != (FORMAT, VERSION):
                raise ValueError(f"format {state['format']!r}, version {state['version']!r}")
            if ExperimentConfig.from_dict(state["config"]) != self.config:
                raise ValueError("it is of another config")
            self.model.load_state_dict(state["model"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.records = json.loads(state["records"])
            self.epoch, self.seconds, self.stopped = state["epoch"], state["seconds"], state["stopped"]
            torch.set_rng_state(state["generator"].cpu())
            if state["cuda_generator"] is not None:
                torch.cuda.set_rng_state(state["cuda_generator"].cpu(), self.device)
        except OSError:
            raise
        except Exception as error:  # torch.load fails in many ways on a file that is none of its own
            raise ValueError(f"{path} must be a checkpoint of this run: {error}") from None

    def publish(self, folder: Path) -> None:
        """``metrics.jsonl``, from what the checkpoint holds, every line with its checksum."""
        lines = [json.dumps(sealed(record), allow_nan=False) + "\n" for record in self.records]
        write_atomically(folder / "metrics.jsonl", "".join(lines))


def _can_draw() -> bool:
    """Whether figures can be drawn at the end; a warning that names the extra where not."""
    try:
        import ufm.trainings.plotting  # noqa: F401 - what is broken shows before the training, not after it
    except MissingExtraError as error:
        warnings.warn(f"curves.svg will not be drawn: {error}", stacklevel=3)
        return False
    return True


def _claim(folder: Path, config: ExperimentConfig) -> None:
    """Make ``folder`` the directory of this run, or see that it is."""
    folder.mkdir(parents=True, exist_ok=True)
    remove_unfinished(folder)
    path = folder / "config.json"
    if not path.exists():
        if (folder / "checkpoint.pt").exists():
            raise ValueError(f"directory must hold a whole run, but {str(folder)!r} has no config.json")
        write_atomically(path, json.dumps(config.to_dict(), indent=1, allow_nan=False) + "\n")
        return
    kept = ExperimentConfig.from_file(path)
    fields = [(f.name, getattr(kept, f.name), getattr(config, f.name)) for f in dataclasses.fields(config)]
    changes = ", ".join(f"{name} {old!r} (asked for: {new!r})" for name, old, new in fields if old != new)
    if changes:
        raise ValueError(f"directory must be new or hold this run, but {str(folder)!r} holds one with {changes}")


def _tensors(data: Dataset, device: torch.device) -> tuple[Tensor, Tensor]:
    return torch.from_numpy(data.inputs).to(device), torch.from_numpy(data.labels).to(device)


class _unconverged_is_recorded(warnings.catch_warnings):
    """No warning for a fixed point cut off at ``max_steps``, as the paper does it: the metrics say how often."""

    def __enter__(self) -> None:
        super().__enter__()
        warnings.simplefilter("ignore", ConvergenceWarning)
