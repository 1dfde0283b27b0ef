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
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ufm._files import remove_unfinished, replacing, write_atomically, write_figure
from ufm._validation import integer, known_fields, one_of, positive, real
from ufm.data import (
    DATASETS,
    NUM_CLASSES,
    Dataset,
    available_counts,
    load_dataset,
    long_tailed_counts,
    step_counts,
)
from ufm.data._load import _class_order
from ufm.deq.jacobian import jacobian_penalty
from ufm.deq.layer import ConvergenceWarning
from ufm.measures import measure
from ufm.networks.models import MODELS, build_model, check_options
from ufm.trainings.training import DEVICES, Progress, _device, _threads

__all__ = [
    "DivergedError",
    "Experiment",
    "ExperimentConfig",
    "experiment_data",
    "is_terminal",
    "load_run",
    "run_experiment",
]

FORMAT = "ufm.deq.experiment"
VERSION = 1

IMBALANCES = ("step", "long-tailed")
#: Measures whose change decides whether the terminal phase has converged.
TERMINAL_MEASURES = ("trace_quotient", "etf_error", "self_duality_error")
#: Samples of a forward pass without gradients.
EVALUATION_BATCH = 512


class DivergedError(RuntimeError):
    """The loss of a training is no longer finite."""


@dataclass(frozen=True)
class ExperimentConfig:
    """A training run, with everything that determines its result. Defaults are the paper's where it states them.

    Attributes:
        dataset: name of :func:`ufm.data.load_dataset`.
        model: name in :data:`ufm.networks.models.MODELS`.
        options: further options of :func:`ufm.networks.models.build_model`, such as
            ``{"cell": "contractive", "rho": 0.9}``; none that is a field here.
            A residual convolutional cell has nothing that keeps its fixed point stable: trained with 20 iterations, it
            may end without one, which ``fixed_point`` in the metrics shows.
        width: channels of a convolutional model, hidden units of another.
        num_majority, num_minority: K_A >= 1 and K_B >= 1, together at most the classes of the data set.
        majority_count: n_A, training images of a majority class.
        ratio: R = n_A/n_B >= 1; n_B is rounded.
        imbalance: ``"step"``: n_A for each majority class, n_B for each minority class; ``"long-tailed"``: n_k falls
            geometrically from n_A to n_A/R over all classes, :func:`ufm.data.long_tailed_counts`, and the first K_A
            classes are still called the majority, in accuracies and measures.
        classes: ``"first"``: labels in the order of the data set, the first K_A are the majority; ``"shuffled"``: in an
            order drawn with the seed, so that over seeds every class is of both kinds.
        test_count: test images of each class; None for all.
        pool: images are averaged over squares of ``pool x pool`` pixels.
        epochs: passes over the training set, also the length of the cosine schedule.
        batch_size: of a step; an epoch is cut into equal batches of at most this many.
        learning_rate: at the start; step t of T has ``(lr/2)(1 + cos(pi t/T))``.
        momentum, weight_decay: of SGD, on all weights.
        jacobian_weight: of :func:`ufm.deq.jacobian_penalty` in the loss, >= 0; of models with a fixed point. It keeps
            the fixed points of a residual cell within reach of the solver.
        tol, max_steps: of the fixed point, which may stop short of tol: how often it did is among the metrics.
        evaluate_every: epochs between evaluations and checkpoints; the first and the last epoch are always evaluated.
        patience: None, or stop once the terminal phase has converged over this many evaluations, :func:`is_terminal`.
        stop_tol: its tolerance.
        threads: CPU threads of torch; another number may change the last bits.
        seed: of the draw, of the weights and of the batches.
        device: ``"auto"`` (CUDA where there is one), ``"cpu"`` or ``"cuda"``.

    Raises:
        TypeError, ValueError: a field is not what it should be; the message names it.
    """

    dataset: str = "fashion-mnist"
    model: str = "conv-deq"
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    width: int = 16
    num_majority: int = 5
    num_minority: int = 5
    majority_count: int = 500
    ratio: float = 10.0
    imbalance: str = "step"
    classes: str = "first"
    test_count: int | None = None
    pool: int = 1
    epochs: int = 200
    batch_size: int = 128
    learning_rate: float = 0.05
    momentum: float = 0.9
    weight_decay: float = 5e-4
    jacobian_weight: float = 0.0
    tol: float = 1e-3
    max_steps: int = 20
    evaluate_every: int = 5
    patience: int | None = None
    stop_tol: float = 1e-2
    threads: int = 1
    seed: int = 0
    device: str = "auto"

    def __post_init__(self) -> None:
        one_of("dataset", self.dataset, DATASETS)
        one_of("model", self.model, MODELS)
        if not isinstance(self.options, Mapping):
            raise TypeError(f"options must be a dictionary, got {self.options!r}")
        object.__setattr__(self, "options", dict(self.options))
        one_of("imbalance", self.imbalance, IMBALANCES)
        one_of("classes", self.classes, ("first", "shuffled"))
        one_of("device", self.device, DEVICES)
        for name in ("learning_rate", "tol", "stop_tol"):
            object.__setattr__(self, name, positive(name, getattr(self, name)))
        for name in ("momentum", "weight_decay", "jacobian_weight"):
            value = real(name, getattr(self, name))
            if value < 0 or (name == "momentum" and value >= 1):
                allowed = "in [0, 1)" if name == "momentum" else ">= 0"
                raise ValueError(f"{name} must be {allowed}, got {value!r}")
            object.__setattr__(self, name, value)
        if self.jacobian_weight and not self.model.endswith("deq"):
            raise ValueError(f"jacobian_weight must be 0 for model {self.model!r}, got {self.jacobian_weight!r}")
        whole = ("width", "num_majority", "num_minority", "majority_count", "pool", "epochs", "batch_size", "max_steps")
        for name in (*whole, "evaluate_every", "patience", "test_count", "threads", "seed"):
            value = getattr(self, name)
            if value is not None or name not in ("patience", "test_count"):
                object.__setattr__(self, name, integer(name, value, minimum=0 if name == "seed" else 1))
        object.__setattr__(self, "ratio", real("ratio", self.ratio))
        if self.ratio < 1:
            raise ValueError(f"ratio must be >= 1, got {self.ratio!r}")
        _ = self.counts
        classes = NUM_CLASSES[self.dataset]
        if self.num_majority + self.num_minority > classes:
            raise ValueError(
                f"num_majority + num_minority must be at most {classes}, the classes of {self.dataset!r}, "
                f"got {self.num_majority} + {self.num_minority}"
            )
        self._check_options()

    def _check_options(self) -> None:
        """Names and values, against the model; and that they can be kept."""
        for name, value in self.options.items():
            if name in {f.name for f in dataclasses.fields(self)}:
                raise ValueError(f"options must not hold {name!r}, a field of its own, got {value!r}")
        settings = {"width": self.width, "tol": self.tol, "max_steps": self.max_steps}
        check_options(self.model, {**self.options, **settings})
        try:
            json.dumps(self.options, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise TypeError(f"options must hold numbers and strings of Python, got {self.options!r}: {error}") from None

    @property
    def counts(self) -> tuple[int, ...]:
        """n_k of the training set, majority classes first."""
        if self.imbalance == "long-tailed":
            return long_tailed_counts(self.num_majority + self.num_minority, self.majority_count, self.ratio)
        return step_counts(self.num_majority, self.num_minority, self.majority_count, self.ratio)

    def to_dict(self) -> dict[str, Any]:
        """All fields as JSON types; ``imbalance`` only where it is not ``"step"``.

        So the points of grids stored before there was that field are still found.
        """
        fields = dataclasses.asdict(self)
        if self.imbalance == "step":
            del fields["imbalance"]
        return fields

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> ExperimentConfig:
        """The config that :meth:`to_dict` wrote; ValueError for a field it does not have."""
        return cls(**known_fields("an experiment", cls, fields))

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> ExperimentConfig:
        """The config in a run's ``config.json``, whatever state its other files are in.

        Args:
            path: of the file.

        Raises:
            OSError: it cannot be read.
            ValueError: it holds no config; the message names it.
        """
        return _read_config(Path(path))


@dataclass(frozen=True)
class Experiment:
    """A run, finished or not.

    Attributes:
        config: what is trained.
        records: metrics of every evaluated epoch: ``epoch`` (1 after the first), ``learning_rate``, ``loss`` (mean over
            the epoch's batches), ``train_accuracy``, ``test_accuracy`` (each ``{"overall", "majority", "minority"}``),
            ``measures`` (:class:`ufm.Measures` of the training set), ``fixed_point`` (None or ``{"steps",
            "residual", "converged"}``: mean steps, mean relative residual and fraction within tol, in the evaluation)
            and ``seconds``.
        stopped: why it ended: ``"epochs"``, ``"terminal"`` (the terminal phase converged), or None while it has not.
        network: the trained network; None for a run read by :func:`load_run` (``checkpoint.pt`` holds its weights).
    """

    config: ExperimentConfig
    records: tuple[dict[str, Any], ...]
    stopped: str | None
    network: nn.Module | None = dataclasses.field(default=None, compare=False, repr=False)

    def to_dict(self) -> dict[str, Any]:
        """As JSON types."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "config": self.config.to_dict(),
            "counts": list(self.config.counts),
            "stopped": self.stopped,
            "final": self.records[-1] if self.records else None,
        }


def is_terminal(records: list[dict[str, Any]], patience: int, tolerance: float) -> bool:
    """Whether the terminal phase of training has converged.

    The training set has been fitted (accuracy 1) at each of the last ``patience + 1`` evaluations, and none of NC1
    (``tr S_W / tr S_B``), NC2 (ETF error) and NC3 (self-duality error) spread over them by more than ``tolerance``.
    Under a cosine schedule this stops before the learning rate has gone down.

    Args:
        records: metrics so far, see :class:`Experiment`.
        patience: evaluations >= 1.
        tolerance: of the spread, absolute; each of the three is of order 1 before collapse.
    """
    last = records[-patience - 1 :]
    if len(last) <= patience or any(r["train_accuracy"]["overall"] < 1 for r in last):
        return False
    values = [[r["measures"][name] for r in last] for name in TERMINAL_MEASURES]
    return all(None not in v and max(v) - min(v) <= tolerance for v in values)


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

    Raises:
        DivergedError: the loss became infinite or no number.
        KeyboardInterrupt: Ctrl-C; the run is at its last checkpoint.
        ValueError: ``directory`` holds the run of another config, or a file that is not what it should be.
    """
    if not isinstance(config, ExperimentConfig):
        raise TypeError(f"config must be a ufm.deq.ExperimentConfig, got {config!r}")
    folder = None if directory is None else Path(directory)
    device = _device(config.device)
    with _threads(config.threads), torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
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
        from ufm.trainings.plotting import plot_curves

        write_atomically(folder / "result.json", json.dumps(experiment.to_dict(), indent=1, allow_nan=False) + "\n")
        write_figure(plot_curves(experiment), folder / "curves.svg")
    if progress is not None:
        progress("done", config.epochs, config.epochs)
    return experiment


def load_run(directory: str | os.PathLike[str]) -> Experiment:
    """The run in a directory, finished or not.

    Args:
        directory: of the run.

    Raises:
        OSError: there is none.
        ValueError: a file of it is damaged; the message names it. :func:`run_experiment` writes ``metrics.jsonl`` and
            ``result.json`` anew from the checkpoint.
    """
    folder = Path(directory)
    config = _read_config(folder / "config.json")
    path, records = folder / "metrics.jsonl", []
    try:
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        for line in lines:
            record = json.loads(line)
            if not isinstance(record, dict):
                raise ValueError(f"got {line!r}")
            records.append(record)
    except ValueError as error:
        raise ValueError(
            f"{path} must hold the metrics of an epoch in every line, line {len(records) + 1} does not: {error}"
        ) from None
    path = folder / "result.json"
    try:
        stopped = json.loads(path.read_text(encoding="utf-8"))["stopped"] if path.exists() else None
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{path} must hold the result of a run: {error!r}") from None
    return Experiment(config, tuple(records), stopped)


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
                output = self.model(self.inputs[rows])
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
        """``metrics.jsonl``, from what the checkpoint holds."""
        lines = [json.dumps(record, allow_nan=False) + "\n" for record in self.records]
        write_atomically(folder / "metrics.jsonl", "".join(lines))


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
    kept = _read_config(path)
    fields = [(f.name, getattr(kept, f.name), getattr(config, f.name)) for f in dataclasses.fields(config)]
    changes = ", ".join(f"{name} {old!r} (asked for: {new!r})" for name, old, new in fields if old != new)
    if changes:
        raise ValueError(f"directory must be new or hold this run, but {str(folder)!r} holds one with {changes}")


def _read_config(path: Path) -> ExperimentConfig:
    try:
        return ExperimentConfig.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} must hold the config of a run: {error}") from None


def experiment_data(config: ExperimentConfig, root: str | os.PathLike[str] | None = None) -> tuple[Dataset, Dataset]:
    """Training and test set of a run, in float32, pooled and standardised by the training set.

    Args:
        config: of the run.
        root: folder of the data set's files, see :func:`ufm.data.load_dataset`.

    Raises:
        ValueError: the data set has fewer images of a class than the config asks for, or ``pool`` does not divide the
            sides of its images; the message names the field.
        DatasetNotFoundError, DatasetFormatError: as :func:`ufm.data.load_dataset`.
    """
    k = len(config.counts)
    _check_counts(config, root)
    options: dict[str, Any] = {"root": root, "seed": config.seed, "dtype": np.float32}
    order = "shuffled" if config.classes == "shuffled" else None
    train = load_dataset(config.dataset, split="train", counts=config.counts, classes=order, **options)
    counts = None if config.test_count is None else (config.test_count,) * k
    test = load_dataset(config.dataset, split="test", counts=counts, classes=train.classes, **options)
    train, test = (_pooled(data, config.pool) for data in (train, test))
    return train.standardised(), test.standardised(by=train)


def _check_counts(config: ExperimentConfig, root: str | os.PathLike[str] | None) -> None:
    """That both splits have the images that the config asks for."""
    order = _class_order(
        config.dataset,
        "shuffled" if config.classes == "shuffled" else None,
        len(config.counts),
        NUM_CLASSES[config.dataset],
        config.seed,
    )
    wanted = {"train": ("majority_count", config.majority_count, config.counts)}
    if config.test_count is not None:
        wanted["test"] = ("test_count", config.test_count, (config.test_count,) * len(order))
    for split, (name, value, counts) in wanted.items():
        available = available_counts(config.dataset, root, split=split)
        for c, n in zip(order, counts, strict=True):
            if n > available[c]:
                raise ValueError(
                    f"{name} must ask for no more images of a class than the {split} split of {config.dataset} has, "
                    f"{available[c]} of class {c}, got {value}, which asks for {n} of it"
                )


def _pooled(data: Dataset, size: int) -> Dataset:
    if size == 1:
        return data
    if any(side % size for side in data.shape[1:]):
        raise ValueError(f"pool must divide the sides {data.shape[1:]} of an input of {data.name}, got {size}")
    sides = [side for s in data.shape[1:] for side in (s // size, size)]
    images = data.inputs.reshape(len(data.labels), data.shape[0], *sides)
    inputs = images.mean(axis=tuple(range(3, images.ndim, 2)), dtype=np.float64).astype(data.inputs.dtype)
    return dataclasses.replace(data, inputs=inputs)


def _tensors(data: Dataset, device: torch.device) -> tuple[Tensor, Tensor]:
    return torch.from_numpy(data.inputs).to(device), torch.from_numpy(data.labels).to(device)


class _unconverged_is_recorded(warnings.catch_warnings):
    """No warning for a fixed point cut off at ``max_steps``, as the paper does it: the metrics say how often."""

    def __enter__(self) -> None:
        super().__enter__()
        warnings.simplefilter("ignore", ConvergenceWarning)
