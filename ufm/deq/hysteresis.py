"""Hysteresis in the imbalance: n_B swept down and up again, every training started from the weights of the last.

The optimum of a linear DEQ leaves collapse at ``n_B = (1-rho)^2 N^2 lambda_W lambda_H``. A collapsed network whose A
is a I on the directions that nothing uses yet is stable *along them* up to ``n_B = (1-a)^2 N^2 lambda_W lambda_H``
instead (see :func:`ufm.deq.prediction.minority_gain`), and along collapsed directions the gradient of a vanishes: which
branch a network is on is remembered in A. From A = rho I it should follow the optimum both ways. From A = 0 it is
collapsed on the way up until that is no longer stable; directions that the majority uses, which A amplifies, may take
it out of collapse before the local threshold, on a branch of lower rank than the optimum's. The way down shows whether
that is reversible.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ufm._files import write_atomically
from ufm._validation import integer, positive
from ufm.deq.prediction import predict
from ufm.deq.training import Progress, TrainingConfig, train

__all__ = ["HysteresisPoint", "Loop", "hysteresis_loop"]

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


@dataclass(frozen=True)
class Loop:
    """Legs of a loop, in the order of training.

    Attributes:
        training: everything but n_B.
        legs: n_B of every leg.
        perturbation: relative size of the noise added before every training.
        points: what has been trained.
    """

    training: TrainingConfig
    legs: tuple[tuple[int, ...], ...]
    perturbation: float
    points: tuple[HysteresisPoint, ...]

    def leg(self, number: int) -> list[HysteresisPoint]:
        """Points of a leg, in the order of training."""
        return [p for p in self.points if p.leg == number]

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
            return cls(
                TrainingConfig.from_dict(fields["training"]),
                tuple(tuple(leg) for leg in fields["legs"]),
                fields["perturbation"],
                tuple(HysteresisPoint(**point) for point in fields["points"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"not a loop of format {FORMAT!r}, version {VERSION}: {error}") from error

    def save(self, path: str | Path) -> None:
        """Write as JSON; the file is replaced atomically."""
        write_atomically(Path(path), json.dumps(self.to_dict(), indent=1, allow_nan=False) + "\n")

    @classmethod
    def load(cls, path: str | Path) -> Loop:
        """Read what :meth:`save` wrote."""
        return cls.from_dict(json.loads(Path(path).read_text(encoding="utf-8")))


def hysteresis_loop(
    training: TrainingConfig,
    legs: Sequence[Sequence[int]],
    *,
    perturbation: float = 1e-3,
    progress: Progress | None = None,
) -> Loop:
    """Train at every n_B of every leg, each from the weights of the one before.

    A collapsed state is stationary at every n_B, stable or not: noise of the relative size ``perturbation`` on all
    weights lets a training leave one that is not stable.

    Args:
        training: a DEQ with everything but n_B; its ``start`` is that of the first training. ``width`` must be given,
            as it may not depend on n_B.
        legs: sequences of n_B.
        perturbation: standard deviation of the noise on a weight tensor, relative to the tensor's root mean square (to
            1 where that is 0).
        progress: called as ``progress(description, trainings done, all trainings)``.

    Raises:
        TypeError, ValueError: an argument is not what it should be; the message names it.
    """
    if not isinstance(training, TrainingConfig) or training.width is None:
        raise ValueError(f"training must be a ufm.deq.TrainingConfig with a width, got {training!r}")
    size = positive("perturbation", perturbation)
    counts = tuple(
        tuple(integer(f"legs[{i}][{j}]", n, minimum=1) for j, n in enumerate(leg)) for i, leg in enumerate(legs)
    )
    total = sum(map(len, counts))
    if not total:
        raise ValueError("legs must hold at least one n_B")
    largest = max(n for leg in counts for n in leg)
    generator = torch.Generator().manual_seed(training.seed)
    weights: dict[str, Tensor] | None = None
    points: list[HysteresisPoint] = []
    for number, leg in enumerate(counts):
        for n in leg:
            if progress is not None:
                progress(f"leg {number}, n_B = {n}", len(points), total)
            config = dataclasses.replace(training, minority_count=n)
            initial = None if weights is None else _perturbed(weights, size, generator)
            result = train(config, initial=initial, whitened_by=largest)
            weights = {name: value.detach().cpu().clone() for name, value in result.network.state_dict().items()}
            predicted = predict(config)
            points.append(
                HysteresisPoint(
                    leg=number,
                    minority_count=n,
                    scale=result.scale,
                    predicted_scale=predicted.scale,
                    phase=str(result.measures.phase),
                    predicted_phase=predicted.phase,
                    objective_error=result.fit.objective / predicted.objective - 1,
                    threshold=predicted.threshold,
                    local_threshold=result.local_threshold,
                    rank=result.rank,
                    predicted_rank=predicted.solution.geometry.rank,
                    converged=result.fit.converged,
                    iterations=result.fit.iterations,
                )
            )
    return Loop(training, counts, size, tuple(points))


def _perturbed(weights: Mapping[str, Tensor], size: float, generator: torch.Generator) -> dict[str, Tensor]:
    noisy = {}
    for name, value in weights.items():
        scale = float(value.square().mean().sqrt()) or 1.0
        noisy[name] = value + size * scale * torch.randn(value.shape, generator=generator, dtype=value.dtype)
    return noisy
