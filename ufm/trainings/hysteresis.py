"""Hysteresis in the imbalance: n_B swept down and up again, every training started from the weights of the last.

The optimum of a linear DEQ leaves collapse at ``n_B = (1-rho)^2 N^2 lambda_W lambda_H``. A collapsed network whose A
is a I on the directions that nothing uses yet is stable *along them* up to ``n_B = (1-a)^2 N^2 lambda_W lambda_H``
instead (see :func:`ufm.trainings.prediction.minority_gain`), and along collapsed directions the gradient of a
vanishes: which branch a network is on is remembered in A. From A = rho I it should follow the optimum both ways. From
A = 0 it should follow codes of the rank that the majority needs (:func:`low_rank_branch`): with A = rho on the
directions in use and 0 beside them their local minima are the network's, by the theorem in :mod:`ufm.landscape`.
Rising, it leaves collapse by mixing with directions in use, at :func:`ufm.two_groups.transitions.trapped_threshold`,
before the unused ones are unstable. Where that is a jump, possibly to a higher rank, the way down is another one: it
collapses at a smaller n_B.
"""

from __future__ import annotations

import dataclasses
import json
import os
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ufm._extras import optional
from ufm._files import check_archive, replacing, unsealed
from ufm._interrupts import interruptible
from ufm._validation import positive
from ufm.data import available_counts
from ufm.sweeps import Failure
from ufm.sweeps.engine import Engine, decode_result, point_key
from ufm.trainings.config import TrainingConfig
from ufm.trainings.loop import HysteresisPoint, Loop, LoopInterrupted, leg_counts
from ufm.trainings.low_rank import LowRankCode, low_rank_branch, low_rank_codes
from ufm.trainings.prediction import predict
from ufm.trainings.running import Progress
from ufm.trainings.training import train

with optional("deq"):
    import torch
    from torch import Tensor

__all__ = [
    "HysteresisPoint",
    "Loop",
    "LoopInterrupted",
    "LowRankCode",
    "hysteresis_loop",
    "low_rank_branch",
    "low_rank_codes",
]

#: End of the name of the file beside an unfinished loop's, with the weights that the next training starts from.
STATE = ".weights.npz"

#: What the engine knows a training of a loop by.
NAME, STEP_VERSION = "ufm.trainings.hysteresis.step", "1"


def hysteresis_loop(
    training: TrainingConfig,
    legs: Sequence[Sequence[int]],
    *,
    perturbation: float = 1e-3,
    path: str | Path | None = None,
    root: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
    on_point: Callable[[HysteresisPoint], None] | None = None,
) -> Loop:
    """Train at every n_B of every leg, each from the weights of the one before.

    A collapsed state is stationary at every n_B, stable or not: noise of the relative size ``perturbation`` on all
    weights lets a training leave one that is not stable.

    Args:
        training: everything but n_B, a DEQ where there is to be something to remember; its ``start`` is that of the
            first training. ``width`` must be given, as it may not depend on n_B.
        legs: sequences of n_B, none of them empty.
        perturbation: standard deviation of the noise on a weight tensor, relative to the tensor's root mean square (to
            1 where that is 0).
        path: JSON file to keep the points in, written after each. If it holds a part of the same loop, that part is not
            trained again, and the rest ends with the same bits as without the interruption: until the loop is complete,
            the last weights lie beside it in a file of the same name with ``.weights.npz`` behind.
        root: folder of the data set's files, see :func:`ufm.deq.load_dataset`.
        progress: called as ``progress(description, trainings done, all trainings)``.
        on_point: called with every point, those read from ``path`` included.

    Returns:
        The complete loop.

    Raises:
        TypeError, ValueError: an argument is not what it should be; the message names it. ``path`` holds something
            else, another loop, or a part of this one without its weights.
        DatasetNotFoundError, DatasetFormatError: the data set's files are not there or damaged; nothing is trained.
        LoopInterrupted: Ctrl-C or SIGTERM; it is a KeyboardInterrupt that carries the finished points, which are in
            ``path`` too.

    >>> counts = {"num_majority": 2, "majority_count": 6, "num_minority": 2, "minority_count": 3}
    >>> training = TrainingConfig(lambda_W=0.07, lambda_H=0.07, rho=0.3, width=32, device="cpu", **counts)
    >>> [p.minority_count for p in hysteresis_loop(training, [[3], [2]]).points]
    [3, 2]
    """
    if not isinstance(training, TrainingConfig):
        raise TypeError(f"training must be a ufm.deq.TrainingConfig with a width, got {training!r}")
    if training.width is None:
        raise ValueError(f"training must be a ufm.deq.TrainingConfig with a width, got {training!r}")
    loop = Loop(training, leg_counts(training, legs), positive("perturbation", perturbation), ())
    for name, function in (("progress", progress), ("on_point", on_point)):
        if function is not None and not callable(function):
            raise TypeError(f"{name} must be callable or None, got {function!r}")
    if path is not None and not isinstance(path, str | os.PathLike):
        raise TypeError(f"path must be a path or None, got {path!r}")
    file = _File(loop, path, root, progress, on_point)
    if file.loop.is_partial:
        available_counts(training.dataset, root, split=training.split)
    if path is not None and not Path(path).exists():
        loop.save(path)  # a path that cannot be written shows now, not after the first training
    try:
        with interruptible():
            file.tell_kept()
            Engine(file.train_next, file.steps, file, name=NAME, version=STEP_VERSION).run_here()
    except KeyboardInterrupt:
        raise LoopInterrupted(file.loop) from None
    if path is not None:
        _state_file(Path(path)).unlink(missing_ok=True)
    return file.loop


class _File:
    """Where the engine keeps the points of a loop, with the state that the next training starts from."""

    def __init__(
        self,
        loop: Loop,
        path: str | Path | None,
        root: str | os.PathLike[str] | None,
        progress: Progress | None,
        on_point: Callable[[HysteresisPoint], None] | None,
    ) -> None:
        self.path, self.root, self.progress, self.on_point = (
            None if path is None else Path(path),
            root,
            progress,
            on_point,
        )
        self.generator = torch.Generator().manual_seed(loop.training.seed)
        self.loop, self.weights = loop, None
        if self.path is not None:
            self.loop, self.weights = _resumed(loop, self.path, self.generator)
        legs = [(number, n) for number, leg in enumerate(loop.legs) for n in leg]
        #: Equal n_B of a leg are two trainings.
        self.steps = [{"position": i, "leg": leg, "minority_count": n} for i, (leg, n) in enumerate(legs)]
        self._positions = {point_key(NAME, STEP_VERSION, step): i for i, step in enumerate(self.steps)}
        self._largest = max(n for _, n in legs)
        self._reached: dict[str, Tensor] = {}
        self._error: Exception | None = None

    def tell_kept(self) -> None:
        for point in self.loop.points:
            if self.on_point is not None:
                self.on_point(point)

    def train_next(self, *, position: int, leg: int, minority_count: int) -> dict[str, Any]:
        """Train from the last weights, with noise; returns the fields of the point."""
        if self.progress is not None:
            self.progress(f"leg {leg}, n_B = {minority_count}", position, len(self.steps))
        loop, before = self.loop, self.weights
        initial = None if before is None else _perturbed(before, loop.perturbation, self.generator)
        config = dataclasses.replace(loop.training, minority_count=minority_count)
        try:
            point, self._reached = _train_point(config, leg, initial, self._largest, self.root)
        except Exception as error:
            self._error = error
            raise
        return dataclasses.asdict(point)

    def status(self, key: str) -> str | None:
        return "done" if self._positions[key] < len(self.loop.points) else None

    def get(self, key: str) -> None:
        return None

    def put(self, key: str, *, result: str | None, failure: Failure | None, **_: object) -> None:
        if result is None:
            raise self._error or RuntimeError(f"training {self._positions[key]} of the loop failed: {failure}")
        point = HysteresisPoint(**decode_result(result))
        self.loop = dataclasses.replace(self.loop, points=(*self.loop.points, point))
        self.weights = self._reached
        if self.path is not None:
            # First the weights, with the points that they belong to: killed in between, the loop goes on from them.
            _save_state(self.path, self.loop, self.weights, self.generator)
            self.loop.save(self.path)
        if self.on_point is not None:
            self.on_point(point)


def _train_point(
    config: TrainingConfig,
    leg: int,
    initial: Mapping[str, Tensor] | None,
    largest: int,
    root: str | os.PathLike[str] | None,
) -> tuple[HysteresisPoint, dict[str, Tensor]]:
    result = train(config, initial=initial, whitened_by=largest, root=root)
    predicted = predict(config)
    point = HysteresisPoint(
        leg=leg,
        minority_count=config.minority_count,
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
    return point, {name: value.detach().cpu().clone() for name, value in result.network.state_dict().items()}


def _perturbed(weights: Mapping[str, Tensor], size: float, generator: torch.Generator) -> dict[str, Tensor]:
    noisy = {}
    for name, value in weights.items():
        scale = float(value.square().mean().sqrt()) or 1.0
        noisy[name] = value + size * scale * torch.randn(value.shape, generator=generator, dtype=value.dtype)
    return noisy


# what is kept of an unfinished loop -----------------------------------------------------------------------------------


def _state_file(path: Path) -> Path:
    return path.with_name(path.name + STATE)


def _save_state(path: Path, loop: Loop, weights: Mapping[str, Tensor], generator: torch.Generator) -> None:
    arrays = {f"weights/{name}": value.numpy() for name, value in weights.items()}
    text = np.frombuffer(loop.to_text().encode("utf-8"), dtype=np.uint8)
    with replacing(_state_file(path)) as stream:
        np.savez(stream, loop=text, generator=generator.get_state().numpy(), **arrays)  # type: ignore[arg-type]


def _resumed(loop: Loop, path: Path, generator: torch.Generator) -> tuple[Loop, dict[str, Tensor] | None]:
    """What ``path`` holds of ``loop``, and the last weights; the generator is set to where it was."""
    state = _state_file(path)
    if not path.exists():
        state.unlink(missing_ok=True)
        return loop, None
    kept = Loop.load(path)
    if not _same(kept, loop):
        raise ValueError(f"path must be new or hold a part of this loop, but {str(path)!r} holds another one")
    if not kept.is_partial:
        return kept, None
    if not state.exists():
        if kept.points:
            raise ValueError(
                f"path must hold a loop that can go on, but {str(path)!r} is a part of one, "
                f"and the last weights are not beside it in {state.name!r}"
            )
        return kept, None
    try:
        check_archive(state)
        with np.load(state, allow_pickle=False) as arrays:
            newest = Loop.from_dict(unsealed(json.loads(arrays["loop"].tobytes().decode("utf-8"))))
            prefix = "weights/"
            weights = {n.removeprefix(prefix): torch.from_numpy(arrays[n]) for n in arrays if n.startswith(prefix)}
            generator.set_state(torch.from_numpy(arrays["generator"]))
    except (OSError, EOFError, KeyError, TypeError, ValueError, RuntimeError, zipfile.BadZipFile) as error:
        raise ValueError(f"{str(state)!r} must hold the weights of {str(path)!r}: {error}") from error
    if not _same(newest, loop) or newest.points[: len(kept.points)] != kept.points:
        raise ValueError(f"{str(state)!r} must hold the weights of {str(path)!r}, but they are of another loop")
    if len(newest.points) > len(kept.points):
        newest.save(path)
    return newest, weights


def _same(one: Loop, other: Loop) -> bool:
    """Whether the trainings are the same; n_B of ``training`` plays no part."""
    first, second = ((dataclasses.replace(x.training, minority_count=1), x.legs, x.perturbation) for x in (one, other))
    return first == second
