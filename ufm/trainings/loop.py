"""A hysteresis loop: n_B of its legs, and the trained points, kept in a file."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ufm._files import sealed, unsealed, write_atomically
from ufm._validation import integer, positive
from ufm.trainings.config import TrainingConfig
from ufm.trainings.prediction import predict

__all__ = ["HysteresisPoint", "Loop", "LoopInterrupted", "leg_counts"]

FORMAT = "ufm.deq.hysteresis"
VERSION = 1


@dataclass(frozen=True)
class HysteresisPoint:
    """One training of a loop.

    Attributes:
        leg: number of the sweep, 0 for the first.
        minority_count: n_B.
        scale, predicted_scale: s_B measured, and at the global optimum.
        phase, predicted_phase: the same of the phase.
        objective_error: objective over the global optimum, less 1.
        threshold: n_B* of the global optimum.
        local_threshold: n_B up to which a collapsed state with the A reached is stable; None where every direction is
            used.
        rank, predicted_rank: of the class logits.
        converged, iterations: of the optimisation.

    >>> fields = {"scale": 0.5, "predicted_scale": 0.5, "phase": "none", "predicted_phase": "none"}
    >>> fields |= {"threshold": 20.0, "local_threshold": None, "rank": 9, "predicted_rank": 9}
    >>> point = HysteresisPoint(0, 26, objective_error=0.01, converged=True, iterations=40, **fields)
    >>> training = TrainingConfig(architecture="explicit")
    >>> reached = point.objective(training) / predict(training, 26).objective
    >>> round(reached, 9)
    1.01
    """

    leg: int
    minority_count: int
    scale: float
    predicted_scale: float
    phase: str
    predicted_phase: str
    objective_error: float
    threshold: float
    local_threshold: float | None
    rank: int
    predicted_rank: int
    converged: bool
    iterations: int

    def objective(self, training: TrainingConfig) -> float:
        """Objective reached; ``training`` is the loop's."""
        config = dataclasses.replace(training, minority_count=self.minority_count)
        return predict(config).objective * (1 + self.objective_error)


@dataclass(frozen=True)
class Loop:
    """Legs of a loop, in the order of training.

    Attributes:
        training: everything but n_B.
        legs: n_B of every leg.
        perturbation: relative size of the noise added before every training.
        points: what has been trained, the first of all trainings or all of them.

    >>> loop = Loop(TrainingConfig(width=64), ((2, 4), (4, 2)), 1e-3, ())
    >>> loop.is_partial, loop.leg(0), loop.runs(), Loop.from_dict(loop.to_dict()) == loop
    (True, [], [], True)
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     loop.save(Path(folder, "loop.json"))
    ...     Loop.load(Path(folder, "loop.json")).to_text() == loop.to_text()
    True
    """

    training: TrainingConfig
    legs: tuple[tuple[int, ...], ...]
    perturbation: float
    points: tuple[HysteresisPoint, ...]

    @property
    def is_partial(self) -> bool:
        """Whether points are missing: the loop was interrupted, or is still running."""
        return len(self.points) < sum(map(len, self.legs))

    def leg(self, number: int) -> list[HysteresisPoint]:
        """Points of a leg, in the order of training."""
        return [p for p in self.points if p.leg == number]

    def runs(self) -> list[tuple[HysteresisPoint, ...]]:
        """Successive points of a leg that have one and the same rank, below the optimum's."""
        grouped = itertools.groupby(self.points, key=lambda p: (p.leg, p.rank < p.predicted_rank and p.rank))
        return [tuple(points) for (_, rank), points in grouped if rank]

    def to_dict(self) -> dict[str, Any]:
        """As JSON types."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "training": self.training.to_dict(),
            "legs": [list(leg) for leg in self.legs],
            "perturbation": self.perturbation,
            "points": [dataclasses.asdict(p) for p in self.points],
        }

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Loop:
        """The loop that :meth:`to_dict` wrote; ValueError for anything else."""
        try:
            if (fields["format"], fields["version"]) != (FORMAT, VERSION):
                raise ValueError(f"format {fields['format']!r}, version {fields['version']!r}")
            training = TrainingConfig.from_dict(fields["training"])
            legs = leg_counts(training, fields["legs"])
            points = tuple(HysteresisPoint(**point) for point in fields["points"])
            order = [(number, n) for number, leg in enumerate(legs) for n in leg]
            if [(p.leg, p.minority_count) for p in points] != order[: len(points)]:
                raise ValueError("points must be those of the legs, in order")
            return cls(training, legs, positive("perturbation", fields["perturbation"]), points)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"not a loop of format {FORMAT!r}, version {VERSION}: {error}") from error

    def save(self, path: str | Path) -> None:
        """Write as JSON; the file is replaced atomically."""
        write_atomically(path, self.to_text())

    def to_text(self) -> str:
        """The JSON text that :meth:`save` writes, with its checksum."""
        return json.dumps(sealed(self.to_dict()), indent=1, allow_nan=False) + "\n"

    @classmethod
    def load(cls, path: str | Path) -> Loop:
        """Read what :meth:`save` wrote; ValueError naming the file for anything else."""
        try:
            return cls.from_dict(unsealed(json.loads(Path(path).read_text(encoding="utf-8"))))
        except ValueError as error:
            raise ValueError(f"path must hold a loop, got {str(path)!r}: {error}") from error


class LoopInterrupted(KeyboardInterrupt):
    """Ctrl-C or SIGTERM during a loop; ``loop`` holds the finished points."""

    def __init__(self, loop: Loop) -> None:
        super().__init__(f"loop interrupted after {len(loop.points)} of {sum(map(len, loop.legs))} points")
        self.loop = loop


def leg_counts(training: TrainingConfig, legs: Any) -> tuple[tuple[int, ...], ...]:
    """``legs`` as tuples, every n_B one that ``training`` can have.

    >>> leg_counts(TrainingConfig(), [range(2, 4), [3]])
    ((2, 3), (3,))
    """

    def items(name: str, value: Any, what: str) -> list[Any]:
        if not isinstance(value, Iterable) or isinstance(value, str | bytes | Mapping):
            raise TypeError(f"{name} must be a sequence of {what}, got {value!r}")
        found = list(value)
        if not found:
            raise ValueError(f"{name} must hold at least one {what.split()[0]}, got none")
        return found

    counts: list[list[int]] = []
    for i, leg in enumerate(items("legs", legs, "sequences of n_B")):
        counts.append([])
        for j, n in enumerate(items(f"legs[{i}]", leg, "n_B")):
            counts[-1].append(integer(f"legs[{i}][{j}]", n, minimum=1))
            try:
                dataclasses.replace(training, minority_count=counts[-1][-1])
            except ValueError as error:
                raise ValueError(f"legs[{i}][{j}] must be an n_B of this training: {error}") from None
    return tuple(map(tuple, counts))
