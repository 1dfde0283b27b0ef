"""What a training by SGD is given: everything that determines its result."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ufm._validation import integer, known_fields, one_of, positive, real
from ufm.data import DATASETS, NUM_CLASSES, long_tailed_counts, step_counts
from ufm.networks.models import MODELS, check_options
from ufm.trainings.running import DEVICES

__all__ = ["IMBALANCES", "ExperimentConfig"]

IMBALANCES = ("step", "long-tailed")


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

    >>> config = ExperimentConfig(dataset="digits", num_majority=2, num_minority=2, majority_count=40, ratio=4)
    >>> config.counts, ExperimentConfig.from_dict(config.to_dict()) == config
    ((40, 40, 10, 10), True)
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "config.json").write_text(json.dumps(config.to_dict()))
    ...     ExperimentConfig.from_file(Path(folder, "config.json")).ratio
    4.0
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
        file = Path(path)
        try:
            return cls.from_dict(json.loads(file.read_text(encoding="utf-8")))
        except (ValueError, TypeError, AttributeError) as error:
            raise ValueError(f"{file} must hold the config of a run: {error}") from None
