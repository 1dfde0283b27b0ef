"""What a training on the modelled objective is given: everything that determines its result."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ufm._validation import fraction, integer, known_fields, one_of, positive, real
from ufm.data import DATASETS, available_counts
from ufm.deq.cells import ACTIVATIONS
from ufm.deq.solvers import SOLVERS
from ufm.deq.wellposed import STARTS
from ufm.trainings.running import DEVICES

__all__ = ["ARCHITECTURES", "DEFAULT_LAMBDA", "TrainingConfig", "fitted_datasets"]

ARCHITECTURES = ("explicit", "deq")

#: lambda_W = lambda_H of the default setting: with 600 samples the explicit threshold is at n_B = 20.
DEFAULT_LAMBDA = math.sqrt(20) / 600
#: Steps of a fixed point that are allowed by default, and the most that are where rho is near 1.
DEFAULT_STEPS, MOST_STEPS = 2000, 100_000


def fitted_datasets() -> dict[str, str]:
    """The data sets whose images are whitened and fitted, each with the split that they are drawn from.

    >>> fitted_datasets()
    {'digits': 'all', 'fashion-mnist': 'train', 'mnist1d': 'train'}
    """
    return {name: source.fitted_split for name, source in DATASETS.items() if source.fitted_split is not None}


def _enough_steps(rho: float, tol: float) -> int:
    """Steps in which an iteration with the factor ``rho`` gets from order 1 to ``tol``, and half as many more."""
    steps = 1.5 * math.log(tol) / math.log(rho) if rho > 0 and tol < 1 else 0
    return int(min(max(DEFAULT_STEPS, math.ceil(steps)), MOST_STEPS))


@dataclass(frozen=True)
class TrainingConfig:
    """A training, with everything that determines its result.

    Attributes:
        architecture: ``"explicit"`` or ``"deq"``.
        dataset: one of :func:`fitted_datasets`; its inputs are whitened.
        minority_count: n_B, images of each minority class; at most ``majority_count``.
        majority_count: n_A, images of each majority class, the first K_A of the data set.
        num_majority: K_A >= 1.
        num_minority: K_B >= 2; together at most the classes of the data set.
        lambda_W, lambda_H: weight decay > 0 of the classifier and of the injected features. They stay as they are when
            n_B changes.
        rho: spectral bound in [0, 1) of the DEQ.
        start: where A starts, ``"identity"`` or ``"zero"``.
        activation, gamma: phi of the DEQ, :class:`ufm.deq.cells.Activation`: the identity at gamma = 0, ``"tanh"`` or
            ``"relu"`` at gamma = 1.
        solver, tol, max_steps: of the fixed point and of its adjoint, see :class:`ufm.deq.DEQ`. ``max_steps`` None
            stands for 2000, or where iterating with the factor rho takes longer to tol for half as many more, up to
            100000.
        dim: feature dimension d >= K - 1, which the rank of the optimum may need.
        width: hidden units; None for 1.2 N, enough to give every image any features.
        seed: of the subsample and of the initial weights.
        max_iterations: of L-BFGS.
        gradient_tol: largest entry of the gradient at which training ends.
        device: ``"auto"`` (CUDA where there is one), ``"cpu"`` or ``"cuda"``.

    Raises:
        TypeError, ValueError: a field is not what it should be; the message names it.

    >>> config = TrainingConfig(minority_count=10, rho=0.9)
    >>> config.counts, config.is_modelled, config.max_steps
    ((100, 100, 100, 100, 100, 10, 10, 10, 10, 10), True, 2000)
    >>> TrainingConfig(num_minority=1)
    Traceback (most recent call last):
    ValueError: num_minority must be an integer between 2 and 5, got 1; there are 10 classes, two of them minority
    """

    architecture: str = "deq"
    minority_count: int = 10
    majority_count: int = 100
    num_majority: int = 5
    num_minority: int = 5
    lambda_W: float = DEFAULT_LAMBDA
    lambda_H: float = DEFAULT_LAMBDA
    rho: float = 0.5
    start: str = "identity"
    solver: str = "fixed_point"
    tol: float = 1e-11
    max_steps: int | None = None
    dim: int = 16
    width: int | None = None
    seed: int = 0
    max_iterations: int = 1000
    gradient_tol: float = 1e-7
    device: str = "auto"
    dataset: str = "digits"
    activation: str = "tanh"
    gamma: float = 0.0

    def __post_init__(self) -> None:
        one_of("architecture", self.architecture, ARCHITECTURES)
        one_of("dataset", self.dataset, fitted_datasets())
        one_of("start", self.start, STARTS)
        one_of("activation", self.activation, ACTIVATIONS)
        object.__setattr__(self, "gamma", real("gamma", self.gamma))
        if not 0 <= self.gamma <= 1:
            raise ValueError(f"gamma must lie in [0, 1], got {self.gamma!r}")
        one_of("solver", self.solver, SOLVERS)
        one_of("device", self.device, DEVICES)
        for name in ("lambda_W", "lambda_H", "tol", "gradient_tol"):
            object.__setattr__(self, name, positive(name, getattr(self, name)))
        object.__setattr__(self, "rho", fraction("rho", self.rho))
        classes = DATASETS[self.dataset].num_classes
        self._integer("num_majority", 1, classes - 2)
        reason = f"there are {classes} classes, two of them minority"
        self._integer("num_minority", 2, classes - self.num_majority, reason)
        k = self.num_majority + self.num_minority
        if DATASETS[self.dataset].is_bundled:
            reason = f"images of the scarcest majority class of {self.dataset}"
            self._integer("majority_count", 1, min(self._available[: self.num_majority]), reason)
        else:  # what they offer shows when they are loaded: a config can be read where their files are missing
            self._integer("majority_count", 1)
        object.__setattr__(self, "minority_count", self.checked_minority_count("minority_count", self.minority_count))
        if self.max_steps is None:
            object.__setattr__(self, "max_steps", _enough_steps(self.rho, self.tol))
        self._integer("max_steps", 1)
        self._integer("dim", k - 1)
        if self.width is not None:
            self._integer("width", 1)
        self._integer("seed", 0)
        self._integer("max_iterations", 1)

    def _integer(self, name: str, minimum: int, maximum: int | None = None, reason: str = "") -> None:
        value = integer(name, getattr(self, name), minimum=minimum, maximum=maximum, reason=reason)
        object.__setattr__(self, name, value)

    def checked_minority_count(self, name: str, value: Any) -> int:
        """``value`` as an n_B of this data set and n_A; TypeError or ValueError naming it ``name`` for any other."""
        largest, reason = self.majority_count, "at most majority_count"
        if DATASETS[self.dataset].is_bundled:
            k = self.num_majority + self.num_minority
            largest = min(largest, *self._available[self.num_majority : k])
            reason += f", and what {self.dataset} offers"
        return integer(name, value, minimum=1, maximum=largest, reason=reason)

    @property
    def split(self) -> str:
        """The split of the data set that the images are drawn from."""
        return fitted_datasets()[self.dataset]

    @property
    def _available(self) -> tuple[int, ...]:
        return available_counts(self.dataset, split=self.split)

    @property
    def is_modelled(self) -> bool:
        """Whether the theory predicts this training: not where the fixed point of a DEQ is nonlinear, gamma > 0."""
        return self.architecture == "explicit" or self.gamma == 0

    @property
    def counts(self) -> tuple[int, ...]:
        """n_k, majority classes first."""
        return (self.majority_count,) * self.num_majority + (self.minority_count,) * self.num_minority

    @property
    def hidden_units(self) -> int:
        """``width``, or 1.2 N rounded up to a multiple of 64."""
        return 64 * math.ceil(1.2 * sum(self.counts) / 64) if self.width is None else self.width

    def to_dict(self) -> dict[str, Any]:
        """All fields as JSON types.

        >>> TrainingConfig.from_dict(TrainingConfig(rho=0.7).to_dict()).rho
        0.7
        """
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> TrainingConfig:
        """The config that :meth:`to_dict` wrote; ValueError for a field it does not have."""
        return cls(**known_fields("a training", cls, fields))
