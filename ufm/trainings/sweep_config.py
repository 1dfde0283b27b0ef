"""What a sweep of trainings over n_B is given: three branches, seeds, and all else in common."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ufm._validation import integer
from ufm.trainings.config import TrainingConfig

__all__ = ["BRANCHES", "SweepConfig"]

#: Name of a branch: (architecture, start of A).
BRANCHES: dict[str, tuple[str, str]] = {
    "explicit": ("explicit", "identity"),
    "identity": ("deq", "identity"),
    "zero": ("deq", "zero"),
}


@dataclass(frozen=True)
class SweepConfig:
    """What a sweep trains.

    Attributes:
        explicit, identity, zero: n_B of the points of the three branches.
        seeds: every point is trained once with each.
        training: everything else; its architecture, start, n_B and seed are replaced point by point.

    Raises:
        TypeError, ValueError: a field is not what it should be; the message names it.

    >>> config = SweepConfig(explicit=(14, 26), identity=(6,))
    >>> [(branch, t.architecture, t.minority_count) for branch, t in config.trainings()]
    [('explicit', 'explicit', 14), ('explicit', 'explicit', 26), ('identity', 'deq', 6)]
    >>> SweepConfig.from_dict(config.to_dict()) == config, len(SweepConfig.quick().trainings())
    (True, 10)
    >>> len(SweepConfig.full().trainings())
    135
    """

    explicit: tuple[int, ...] = ()
    identity: tuple[int, ...] = ()
    zero: tuple[int, ...] = ()
    seeds: tuple[int, ...] = (0,)
    training: TrainingConfig = field(default_factory=TrainingConfig)

    def __post_init__(self) -> None:
        if not isinstance(self.training, TrainingConfig):
            raise TypeError(f"training must be a ufm.deq.TrainingConfig, got {self.training!r}")
        for name in (*BRANCHES, "seeds"):
            minimum = 0 if name == "seeds" else 1
            values = getattr(self, name)
            if isinstance(values, str | bytes) or not isinstance(values, tuple | list):
                raise TypeError(f"{name} must be a sequence of integers, got {values!r}")
            numbers = tuple(integer(f"{name}[{i}]", v, minimum=minimum) for i, v in enumerate(values))
            if len(set(numbers)) < len(numbers):
                raise ValueError(f"{name} must not repeat a number, got {list(numbers)}")
            object.__setattr__(self, name, numbers)
        if not self.seeds:
            raise ValueError("seeds must hold at least one seed")
        if not self.trainings():
            raise ValueError("a sweep must have at least one point: explicit, identity and zero are empty")

    @classmethod
    def quick(cls, **training: Any) -> SweepConfig:
        """Ten trainings, about a minute on two cores; keyword arguments go to :class:`TrainingConfig`."""
        return cls((8, 14, 26, 40), (2, 6, 10, 16), (6, 10), training=TrainingConfig(**training))

    @classmethod
    def full(cls, **training: Any) -> SweepConfig:
        """The whole sweep, three branches across both thresholds with three seeds: about twenty minutes."""
        return cls(
            explicit=(6, 8, 10, 12, 14, 16, 18, 19, 20, 21, 22, 24, 26, 30, 35, 40),
            identity=(1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 26, 32, 40),
            zero=(2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 32, 40),
            seeds=(0, 1, 2),
            training=TrainingConfig(**training),
        )

    def trainings(self) -> list[tuple[str, TrainingConfig]]:
        """Branch and training of every point, in the order in which they run."""
        return [
            (
                branch,
                dataclasses.replace(
                    self.training, architecture=architecture, start=start, minority_count=count, seed=seed
                ),
            )
            for seed in self.seeds
            for branch, (architecture, start) in BRANCHES.items()
            for count in getattr(self, branch)
        ]

    def to_dict(self) -> dict[str, Any]:
        """All fields as JSON types."""
        lists = {name: list(getattr(self, name)) for name in (*BRANCHES, "seeds")}
        return {**lists, "training": self.training.to_dict()}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> SweepConfig:
        """The config that :meth:`to_dict` wrote."""
        lists = {name: fields[name] for name in (*BRANCHES, "seeds")}
        return cls(**lists, training=TrainingConfig.from_dict(fields["training"]))
